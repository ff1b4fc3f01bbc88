package httpapi

import (
	"context"

	"doorbuster/engine"
)

// Seller is what the shopper API needs of the room behind it. All methods are
// safe for concurrent use. Errors: *engine.Refusal for a no of the state
// machine, engine.ErrNotLeader and engine.ErrOutcomeUnknown where the outcome
// can't be had in time.
type Seller interface {
	// Grab decides a grab, or gives CodeProcessing when its deadline passed. It
	// allocates nothing where the answer is no without asking anybody.
	Grab(g *engine.Grab) engine.Answer
	// GrabByKey tells what became of a grab. deadline is the one of a processing
	// answer, or 0 if the shopper names none. Where the key led to nothing, the
	// answer is CodeMissed once no grab with that deadline can come true any more,
	// and CodeProcessing until then; found is false only where neither can be
	// said, as without a deadline.
	GrabByKey(shopper, key []byte, deadline engine.Time) (answer engine.Answer, found bool, err error)

	// Order, Orders: the shopper's own. cursor is "" for the newest.
	Order(shopper, orderNo string) (engine.OrderView, error)
	Orders(shopper, session, cursor string, limit int) (orders []engine.OrderView, next string, err error)
	Cancel(ctx context.Context, shopper, orderNo string) (engine.OrderView, error)
	SetReceiver(ctx context.Context, shopper, orderNo string, to engine.Receiver) (engine.OrderView, error)
	// Pay tells of money taken for an order, once for each payment id.
	Pay(ctx context.Context, orderNo, paymentID string, amount int64, currency string) (engine.OrderView, error)

	// OrderNo appends the number of the order at ref to dst.
	OrderNo(dst []byte, ref engine.OrderRef) []byte
	// Listing, Sessions: the display path. Views are shared: read only.
	Listing(session, sku string) (*engine.ListingView, bool)
	// ListingOf gives the session id, SKU and currency of a listing.
	ListingOf(h engine.ListingHandle) (session, sku, currency string)
	Sessions() []engine.SessionView
	// Now is the time that sales open and end by.
	Now() engine.Time
}

// Operator is what the admin API needs of the room behind it. Errors as for Seller.
type Operator interface {
	// ApplyPlan makes the plan true, whole or not at all; with dryRun it only
	// tells what would change. Problems are why it can't be.
	ApplyPlan(ctx context.Context, operator string, plan *engine.Plan, dryRun bool) ([]engine.Change, []engine.Problem, error)
	Steer(ctx context.Context, operator, session string, action engine.SessionAction, note string) (engine.SessionView, error)
	AddStock(ctx context.Context, operator, session, sku string, units int64, note string) (engine.Counts, error)
	Void(ctx context.Context, operator, orderNo, note string) (engine.OrderView, error)
	Extend(ctx context.Context, operator, orderNo string, payBy engine.Time, note string) (engine.OrderView, error)

	Counts(session, sku string) (engine.Counts, error)
	FindOrders(filter engine.OrderFilter) (orders []engine.OrderView, next string, err error)
	Products() []engine.Product
	Sales() []engine.Sale
	AllSessions() []engine.SessionView // drafts and ended ones too
}

// ClusterView is what the admin API shows of the nodes.
type ClusterView interface {
	// Ready is nil once the node serves; else it says what is missing.
	Ready() error
	Status() ClusterStatus
}

// ClusterStatus is the state of the group as this node sees it.
type ClusterStatus struct {
	Leader string       `json:"leader"`
	Term   uint64       `json:"term"`
	Epoch  uint64       `json:"epoch"`
	Hash   string       `json:"hash,omitempty"`
	Nodes  []NodeStatus `json:"nodes"`
}

// NodeStatus is one node of the group.
type NodeStatus struct {
	ID           string `json:"id"`
	Zone         string `json:"zone"`
	Role         string `json:"role"` // leader, follower, candidate
	Reachable    bool   `json:"reachable"`
	AppliedIndex uint64 `json:"applied_index"`
	LastIndex    uint64 `json:"last_index"`
}
