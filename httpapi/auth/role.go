package auth

// Role is what an operator may do. Each includes those before it.
type Role string

// Roles. Viewers read; operators besides change plans, sessions, stock and orders;
// admins may do everything.
const (
	Anybody  Role = "" // no role, as of shoppers; what needs it is open to all
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

// Covers reports whether who has r may do what needs the role needed.
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
