package auth

// Role is what an operator may do. Each includes those before it, but for Supplier, which is
// apart.
type Role string

// Roles. Viewers read; operators besides change plans, sessions, stock and orders;
// admins may do everything. A supplier sees to products of its own (Bearer.Supplier), and
// may do nothing else.
const (
	Anybody  Role = "" // no role, as of shoppers; what needs it is open to all
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
	Supplier Role = "supplier"
)

// Covers reports whether who has r may do what needs the role needed. A supplier's covers
// nothing that needs one: what it may do goes by whose products they are.
func (r Role) Covers(needed Role) bool { return r.rank() >= needed.rank() }

// rank orders roles; 0 is none.
func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	}
	return 0
}

// valid reports whether an operator's token may say r.
func (r Role) valid() bool { return r.rank() > 0 || r == Supplier }
