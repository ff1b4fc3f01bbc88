package httpapi

import (
	"context"
	"io"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Seller is what the shopper API needs of the room behind it. All methods are safe for
// concurrent use. Errors: *engine.Refusal for a no of the state machine,
// engine.ErrNotLeader and engine.ErrOutcomeUnknown where the outcome can't be had in time.
type Seller struct {
	Grabber
	ShopperOrders
	Receiving
	Display
	Rules
	Bargains
}

// Grabber decides who gets a unit, or a place on the waitlist or in a draw. It is apart
// from the rest so that nothing stands before it on the way of a grab.
type Grabber interface {
	// Decide decides a grab, or gives CodeProcessing when its deadline passed. Where
	// that takes the log, decided is false and to is told, maybe before Decide returns. A
	// no without asking anybody allocates nothing.
	Decide(g *engine.Grab, to engine.Asker) (a engine.Answer, decided bool)
	// GrabByKey tells what became of a grab. deadline is the one of a processing
	// answer, or 0 if the shopper names none. Where the key led to nothing, the
	// answer is CodeMissed once no grab with that deadline can come true any more,
	// and CodeProcessing until then; found is false only where neither can be
	// said, as without a deadline.
	GrabByKey(shopper, key []byte, deadline engine.Time) (answer engine.Answer, found bool, err error)
}

// ShopperOrders has shoppers' orders, and their places.
type ShopperOrders interface {
	// Order, Orders: the shopper's own. cursor is "" for the newest.
	Order(shopper, orderNo string) (engine.OrderView, error)
	Orders(shopper, session, cursor string, limit int) (orders []engine.OrderView, next string, err error)
	// Own gives the shopper's newest orders and places, at most so many, up to date
	// with all that they were told by any node.
	Own(ctx context.Context, shopper string, most int) ([]engine.OrderView, error)
	// Watch signals on changed whenever something of the shopper's has changed on
	// this node, at most one signal ahead, until stop is called. It may signal
	// without a change. nil, nil if too many watch already.
	Watch(shopper string) (changed <-chan struct{}, stop func())
	Cancel(ctx context.Context, shopper, orderNo string) (engine.OrderView, error)
	// SetReceiver says where the goods go. A refusal as in conflict asks for to to be sealed
	// once more: key is not the shopper's.
	SetReceiver(ctx context.Context, shopper, orderNo string, to engine.Receiver,
		key engine.PersonalKey) (engine.OrderView, error)
	// Pay takes the cashier's word of a payment, once for each payment id, and comes
	// back once that is committed.
	Pay(ctx context.Context, p engine.Payment) (engine.Receipt, error)
	// LeaveWaitlist gives up the place on the waitlist or in a draw that the key led
	// to. The error for a key that led to none is a refusal as unknown.
	LeaveWaitlist(ctx context.Context, shopper, key []byte) (engine.OrderView, error)
	// Reserve registers a shopper for a listing before its start, or takes the
	// registration back. Doing it twice changes nothing; changed says so.
	Reserve(ctx context.Context, shopper, session, sku string, withdraw bool) (changed bool, err error)
	// AnyOrder gives an order, whosever it is.
	AnyOrder(orderNo string) (engine.OrderView, error)
}

// Receiving has shoppers say that their goods have come.
type Receiving interface {
	// Received takes a shopper's word that their order has come; doing it twice changes
	// nothing. A refusal as not_held says that it was never shipped.
	Received(ctx context.Context, shopper, orderNo string) (engine.OrderView, error)
}

// Display is what everybody may see. Stock never goes up from one look to the next, on
// whichever node; engine.ErrNotLeader where that can't be promised. Views are shared: read
// only.
type Display interface {
	Listing(session, sku string) (*engine.ListingView, bool, error)
	// ListingOf gives the session id, SKU and currency of a listing.
	ListingOf(h engine.ListingHandle) (session, sku, currency string)
	// Sessions gives a version of what it gives, and nothing but that if it is the one in
	// known. Version 0 is not to be kept.
	Sessions(known uint64) (sessions []engine.SessionView, version uint64, err error)
	// Estimate tells in about how many seconds the waitlist will have come to position;
	// false while nothing is known of its pace.
	Estimate(session, sku string, position uint32) (seconds int64, known bool)
	// Draw gives a page of a listing's draw.
	Draw(session, sku, cursor string, most int) (engine.DrawView, error)
	// Messages gives the zone of the sale of a listing, "" if it is not known, and what
	// the sale tells in its own words, shared: read only. The listing is named as in a
	// Grab; one without a name is found by its handle. version is 0 where there are
	// none, and never the same of other words. It must be cheap, and allocates nothing.
	Messages(listing []byte, h engine.ListingHandle) (zone string, version uint64, own []engine.Message)
	// Now is the time that sales open and end by.
	Now() engine.Time
}

// Rules are what the door goes by.
type Rules interface {
	// DoorRules gives what the door must know of a listing, named as in a Grab.
	DoorRules(listing []byte) engine.DoorRules
	// Risk gives what the risk lists say of a visitor: the worst.
	Risk(v *engine.Visitor) engine.Level
	// Switches gives the present values; read only.
	Switches() *engine.Switches
	// TicketSecret gives the secret that every node of the group knows and nobody
	// else; false before this node does.
	TicketSecret() (secret [32]byte, known bool)
}

// Bargains are prices that shoppers' friends cut down.
type Bargains interface {
	// StartBargain begins a shopper's bargain on a listing; one that they have started
	// already is given again.
	StartBargain(ctx context.Context, shopper, session, sku string) (engine.BargainView, error)
	// Bargain gives the bargain of a code, with its newest cuts, as many as it is
	// shown with, and asker's own cut.
	Bargain(ctx context.Context, code, asker string) (engine.BargainView, error)
	// CutBargain has a friend cut a bargain; the same key again gets the same answer. A
	// refusal comes with the bargain as it is.
	CutBargain(ctx context.Context, friend, code string, key []byte) (cut engine.CutView, b engine.BargainView,
		err error)
	// WatchBargain signals when a bargain changes, as Watch does for a shopper's orders.
	WatchBargain(code string) (changed <-chan struct{}, stop func())
}

// Operator is what the admin API needs of the room behind it. Errors as for Seller. Each
// change that carries a key is made once, and asked for again gives what is there then.
type Operator struct {
	Catalogue
	OrderOffice
	Switcher
	Lists
	PlayOffice
	ProductOffice
	Archive
	Shipping
	PersonalOffice
	Approver
	Historian
}

// Historian knows what was changed, and takes the last plan back.
type Historian interface {
	History() (engine.History, error)
	// PlanBack takes the last plan back, whole or not at all, and gives which that is. Refusal:
	// ReasonBaseChanged where another was meant.
	PlanBack(ctx context.Context, by engine.By, b engine.Back) (o engine.PlanOutcome, of engine.AppliedPlan, err error)
}

// Approver has the changes that a second operator must approve. Whatever change of an operator's
// must be is not made, and gives an engine.Awaits.
type Approver interface {
	// Approvals gives those that are kept, the newest first, without what they would change
	// now, and the rules that ask for them.
	Approvals() ([]engine.ApprovalView, engine.ApprovalRules, error)
	Approval(no engine.ApprovalNo) (v engine.ApprovalView, known bool, err error)
	// DecideApproval approves a change, which is made then, or rejects it. Where it has problems
	// today nothing is decided. Refusals: ReasonOwnApproval, ReasonBaseChanged, ReasonApprovalOver.
	DecideApproval(ctx context.Context, by engine.By, d engine.Decision, note string) (engine.ApprovalView, error)
}

// Catalogue is what is for sale, and what operators change about it.
type Catalogue interface {
	// ApplyPlan makes the plan true, whole or not at all; with dryRun it only
	// tells what would change.
	ApplyPlan(ctx context.Context, by engine.By, plan *engine.Plan, dryRun bool) (engine.PlanOutcome, error)
	// Planned gives the plan as it is: read only. known is false if there is no such sale.
	Planned(w engine.Wanted) (p *engine.Planned, known bool, err error)
	// SetMessage gives a sale its own words for one message, or with none the
	// shop's, and leaves all else of the sale as it is. The outcome is as of
	// ApplyPlan; a sale that is not there is refused as unknown.
	SetMessage(ctx context.Context, by engine.By, sale string, own engine.Message) (engine.PlanOutcome, error)
	// MessageBack gives a message the words that it had before they were changed last. A
	// refusal says that they were not.
	MessageBack(ctx context.Context, by engine.By, sale, name string, dryRun bool) (engine.PlanOutcome, error)
	Steer(ctx context.Context, by engine.By, session string, action engine.SessionAction,
		note string) (engine.SessionView, error)
	// Settle has a session's orders leave memory for the ledgers, whether or not it is
	// time for that. The refusal says in sentences what is in the way.
	Settle(ctx context.Context, by engine.By, session, note string) (engine.SessionView, error)
	AddStock(ctx context.Context, by engine.By, session, sku string, units int64, note string) (engine.Counts, error)
	Counts(session, sku string) (engine.Counts, error)
	Sales() []engine.Sale
	AllSessions() []engine.SessionView // drafts and ended ones too
}

// OrderOffice finds orders and places, and changes single ones.
type OrderOffice interface {
	FindOrders(filter engine.OrderFilter) (orders []engine.OrderView, next string, err error)
	// LostOrder tells of an order that was not found, by its number, if the group has
	// granted it and lost it in a recovery.
	LostOrder(orderNo string) (lost engine.LostOrder, ok bool)
	Void(ctx context.Context, by engine.By, orderNo, note string) (engine.OrderView, error)
	Extend(ctx context.Context, by engine.By, orderNo string, payBy engine.Time, note string) (engine.OrderView, error)
	// RefundsDue gives refunds that the cashier has not confirmed, with a number over
	// after, by number, at most so many.
	RefundsDue(after engine.RefundNo, most int) []engine.RefundView
	// Draw and Waitlist give pages of a listing's draw, by arrival, and of its waitlist,
	// the first to be served first.
	Draw(session, sku, cursor string, most int) (engine.DrawView, error)
	Waitlist(session, sku, cursor string, most int) (waiting []engine.OrderView, next string, err error)
}

// Switcher has what operators turn while a sale runs.
type Switcher interface {
	Switchboard() (engine.SwitchboardView, error)
	// ChangeSwitches gives how all is afterwards.
	ChangeSwitches(ctx context.Context, by engine.By, change engine.SwitchChange, note string) (engine.SwitchboardView,
		error)
}

// Lists are reservations, allow lists and risk lists.
type Lists interface {
	Rosters() ([]engine.RosterInfo, error)
	// RosterPage reads up to most rows from a position on, and gives the position
	// after them. Fewer may come although done is false.
	RosterPage(name engine.RosterName, from, most int) (rows []engine.RosterRow, next int, count int64, done bool,
		err error)
	ExportRoster(name engine.RosterName, each func([]engine.RosterRow) error) error
	RosterRow(name engine.RosterName, id string) (row engine.RosterRow, found bool, err error)
	// ImportRoster takes rows in, which were checked. Rows that change nothing are
	// left out.
	ImportRoster(ctx context.Context, name engine.RosterName, rows engine.RosterImport) (engine.RosterImported, error)
	DropRoster(ctx context.Context, by engine.By, name engine.RosterName, note string) error
	// Done reports whether by has had this request done, as far as that is remembered.
	// Error: a refusal for a key that was used for another request.
	Done(ctx context.Context, by engine.By) (bool, error)
}

// PersonalOffice has the keys that personal data is sealed with, and destroys them.
type PersonalOffice interface {
	// KeepListKey has the group keep a key for risk lists, unless it has one.
	KeepListKey(ctx context.Context, key engine.PersonalKey) error
	// EraseShopper destroys a shopper's key, and drops what was sealed with it. Without a key
	// nothing is done.
	EraseShopper(ctx context.Context, by engine.By, shopper, note string) error
	PersonalStatus(shopper string) (engine.PersonalStatus, error)
	// KeyUses tells how many keys each key of the key file wraps. Read only.
	KeyUses() []engine.KeyUse
}

// PlayOffice has the rules that listings sell by, and looks into the bargains of those.
type PlayOffice interface {
	// Plays gives the templates, by id.
	Plays() ([]engine.PlayVersion, error)
	FindBargains(f engine.BargainFilter) (page []engine.BargainView, next string, err error)
	// BargainCuts gives a bargain with its cuts behind the one with a number, the newest
	// first; 0: from the newest on.
	BargainCuts(code string, behind uint32, most int) (engine.BargainView, error)
	// EndBargain ends a bargain, and gives it as it is then.
	EndBargain(ctx context.Context, by engine.By, code, note string) (engine.BargainView, error)
}

// ProductOffice has the products, and what their suppliers say of them.
type ProductOffice interface {
	Product(id string) (p engine.ProductView, known bool, err error)
	// ProductPage reads up to most products from a position on (0 first), and gives the
	// position after them. Fewer may come although done is false.
	ProductPage(f engine.ProductFilter, from, most int) (rows []engine.ProductView, next int, done bool, err error)
	// Suppliers gives those that have products, by id.
	Suppliers() ([]engine.SupplierInfo, error)
	// ImportProducts takes a supplier's rows into the catalogue, whole or not at all. With
	// Problems nothing was changed. Refusals: ReasonConflict if another import of the
	// supplier came in between, ReasonShrinks, ReasonTooMany.
	ImportProducts(ctx context.Context, supplier string, in engine.ProductImport) (engine.ProductImported, error)
	// DeleteProduct deletes a product that no session offers; ReasonOffered of another.
	DeleteProduct(ctx context.Context, by engine.By, id, note string) error
	// RetireProduct has no session list a product any more; ReviveProduct takes that back.
	RetireProduct(ctx context.Context, by engine.By, id, note string) error
	ReviveProduct(ctx context.Context, by engine.By, id, note string) error
	// StockOf gives, some at a time, the products of which a supplier has said what it has,
	// or that sessions offer. Error: each's, which ends it.
	StockOf(supplier string, each func([]engine.SupplierStockView) error) error
}

// Archive takes sales and sessions out of sight. A session is deleted that nobody has ordered
// from, and a sale with all its sessions where that is so of each. Refusals: ReasonOffered
// where there are orders or bargains, ReasonNotOpen while a session is open, ReasonSettled
// once one is settled. Those that are over are archived; ReasonNotOpen before.
type Archive interface {
	DeleteSale(ctx context.Context, by engine.By, id, note string) error
	DeleteSession(ctx context.Context, by engine.By, id, note string) error
	ArchiveSale(ctx context.Context, by engine.By, id, note string) error
	ArchiveSession(ctx context.Context, by engine.By, id, note string) error
	// RecallSale and RecallSession take them from the archive.
	RecallSale(ctx context.Context, by engine.By, id, note string) error
	RecallSession(ctx context.Context, by engine.By, id, note string) error
}

// Shipping is what becomes of paid orders once their session has ended. Rows that can't be
// taken are engine.RowProblems: nothing has changed then. All changes may be asked for
// again: what is so already is left as it is.
type Shipping interface {
	// ParcelPage gives up to most orders of a session that f wants, of those behind after,
	// by their grants, and the last one that it looked at. Fewer may come although done is
	// false.
	ParcelPage(session string, f engine.ParcelFilter, after engine.OrderRef, most int) (rows []engine.OrderView,
		next engine.OrderRef, done bool, err error)
	// OrderViews finds orders by their numbers, in the same order, whichever sessions they
	// are of. Of a number that leads nowhere Ref is zero; of an order that has left the
	// state only Ref, OrderNo and Session are given.
	OrderViews(orderNos []string) ([]engine.OrderView, error)
	// Review takes verdicts of the second look, and tells how many were news.
	Review(ctx context.Context, by engine.By, session string, reviews []engine.Review) (done int, err error)
	// Export notes that orders go out to the warehouse, each with one export: with the one
	// of a number, or (0) with a new one. It gives the number.
	Export(ctx context.Context, by engine.By, session string, export uint32,
		orders []engine.OrderRef) (number uint32, err error)
	// Ship takes in parcels, and tells how many orders were shipped by that.
	Ship(ctx context.Context, by engine.By, session string, parcels []engine.Parcel) (shipped int, err error)
	// ReceivedBy takes operators' word that orders have come.
	ReceivedBy(ctx context.Context, by engine.By, session string, orders []engine.OrderRef) (received int, err error)
}

// ClusterView is what the admin API shows of the nodes.
type ClusterView interface {
	// Ready is nil once the node serves; else it says what is missing.
	Ready() error
	// Status must not wait for other nodes: it gives what is known of them.
	Status() wire.Cluster
	// wire.Refusals asks every node that serves shoppers why it refused one
	// (engine.ValidShopper), in one session or ("") in all. It waits about a
	// second for those that don't answer, and names them. Safe for concurrent use.
	Refusals(ctx context.Context, shopper, session string) []NodeRefusals
}

// ClusterOperator is what operators do to the cluster. Each change takes who
// asks, for the audit, and is made by whichever node may make it. All methods are
// safe for concurrent use. Errors: *ClusterRefusal for a no, after which nothing
// was changed; engine.ErrNotLeader and engine.ErrOutcomeUnknown where the outcome
// can't be had in time.
type ClusterOperator interface {
	// Join lets a node in: as a non-voter at first, and where it is to vote, as a
	// voter once it has caught up, which Join does not wait for.
	Join(ctx context.Context, operator string, m wire.Member) error
	// Remove takes a node out for good; its id can't come back.
	Remove(ctx context.Context, operator, node string) error
	// Transfer hands leadership to a node, or with "" to the best one, unless from
	// is another node than the one that leads; it gives who leads then.
	Transfer(ctx context.Context, operator, from, to string) (leader string, err error)
	// Snapshot takes one on the node that answers and gives its log index.
	Snapshot(ctx context.Context, operator string) (index uint64, err error)
	// SetZoneAck changes the mode: wire.ZoneAckOff, wire.ZoneAckPrefer or wire.ZoneAckRequire.
	SetZoneAck(ctx context.Context, operator, mode, note string) error
	// Prefer names the zone that leadership is to be in; "" for none.
	Prefer(ctx context.Context, operator, zone string) error
	// wire.Drain keeps new shoppers away from nodes, or lets them come again.
	Drain(ctx context.Context, operator string, d wire.Drain) error
	// wire.PromotePlan says what Promote would do on the node that answers, and what it
	// can't know. It changes nothing.
	PromotePlan(ctx context.Context, zone string) (wire.PromotePlan, error)
	// Promote makes the surviving zone take over. token is that of the plan that
	// was read; where things have changed since, Promote refuses. It gives the plan
	// that it followed.
	Promote(ctx context.Context, operator, zone, token string) (wire.PromotePlan, error)
	// Backup writes the whole state at one log index to w, and unless it is to be the
	// state only, what the ledger has kept of before: settled orders and the trail;
	// with checksums. An error may come after parts were written: they are worth
	// nothing then. *ClusterRefusal where the ledger can't give its part now.
	Backup(ctx context.Context, w io.Writer, stateOnly bool) error
}

// ClusterRefusal is an operation on the cluster that was refused; nothing was
// changed.
type ClusterRefusal struct {
	// Invalid: it could never be done as it was asked (422). Else the present
	// state forbids it (409).
	Invalid bool `json:"invalid"`
	// Message says in sentences what is in the way and what to do. Operators read it.
	Message string `json:"message"`
}

func (r *ClusterRefusal) Error() string { return r.Message }
