package engine

import "fmt"

// CommandKind says what a command asks for.
type CommandKind uint8

// Commands. Their numbers are on disk: never reuse one.
const (
	CmdOpenEpoch CommandKind = iota + 1
	CmdPlaceHold
	CmdCancelHold
	CmdPayOrder
	CmdVoidOrder
	CmdExtendHold
	CmdSetReceiver
	CmdApplyPlan
	CmdSteerSession
	CmdAddStock
	CmdRaiseRules
	CmdLeaveLine
	CmdReserve
	CmdEditRoster
	CmdSetSwitches
	CmdSetProfile
	CmdConfirmRefund
	CmdCloseHold
	CmdSettleSession
	CmdClearSession
	CmdStartBargain
	CmdCutBargain
	CmdEndBargain
	CmdEditProducts
	CmdChangeProduct
	CmdDiscard
	CmdReviewOrders
	CmdExportOrders
	CmdShipOrders
	CmdReceiveOrder
	CmdReceiveOrders
	CmdSetSink
	CmdErase
	CmdRewrap
	CmdNoteAlarm
	CmdDecideApproval
	CmdPlanBack

	cmdBreakListing CommandKind = 127 // takes effect only in builds with the faults tag
)

// cmdIntended is added to the kind of a command that carries an intent.
const cmdIntended CommandKind = 128

const maxBatchCommands = 16_384

// commandSpecs are what there is to each kind of command: its name, where its fields
// are, in the order in which they are written, and who does it. A grab is written and
// done by itself: it is hot.
var commandSpecs = [...]struct {
	name    string
	carries func(*Command) []any
	do      func(*State, *Command) Event
}{
	CmdOpenEpoch: {"OpenEpoch",
		func(c *Command) []any { return []any{&c.Node, &c.Nonce, &c.Secret, &c.Approving} }, (*State).openEpoch},
	CmdPlaceHold: {name: "PlaceHold"},
	CmdCancelHold: {"CancelHold",
		func(c *Command) []any { return []any{&c.Order, &c.Shopper} }, (*State).cancelHold},
	CmdPayOrder:  {"PayOrder", (*Command).payment, (*State).payOrder},
	CmdVoidOrder: {"VoidOrder", func(c *Command) []any { return c.by(&c.Order) }, (*State).voidOrder},
	CmdExtendHold: {"ExtendHold",
		func(c *Command) []any { return c.by(&c.Order, &c.Deadline) }, (*State).extendHold},
	CmdSetReceiver: {"SetReceiver",
		func(c *Command) []any { return []any{&c.Order, &c.Shopper, &c.Receiver, &c.PersonalKey} },
		(*State).setReceiver},
	CmdApplyPlan: {"ApplyPlan",
		func(c *Command) []any { return []any{&c.Operator, &c.Entropy, &c.Plan} }, (*State).applyPlan},
	CmdSteerSession: {"SteerSession",
		func(c *Command) []any { return c.by(&c.Session, &c.Action) }, (*State).steerSession},
	CmdAddStock:   {"AddStock", func(c *Command) []any { return c.by(&c.Listing, &c.Amount) }, (*State).addStock},
	CmdRaiseRules: {"RaiseRules", func(c *Command) []any { return []any{&c.RulesVersion} }, (*State).raiseRules},
	CmdLeaveLine: {"LeaveLine",
		func(c *Command) []any { return []any{&c.Order, &c.Shopper} }, (*State).leaveWaitlist},
	CmdReserve: {"Reserve",
		func(c *Command) []any { return []any{&c.Listing, &c.Shopper, &c.Withdraw} }, (*State).reserve},
	CmdEditRoster:  {"EditRoster", func(c *Command) []any { return c.by(&c.Edit) }, (*State).editRoster},
	CmdSetSwitches: {"SetSwitches", func(c *Command) []any { return c.by(&c.Switches) }, (*State).setSwitches},
	CmdSetProfile:  {"SetProfile", func(c *Command) []any { return c.by(&c.Switches) }, (*State).setProfile},
	CmdConfirmRefund: {"ConfirmRefund",
		func(c *Command) []any { return []any{&c.Refund, &c.Note} }, (*State).confirmRefund},
	CmdCloseHold:     {"CloseHold", func(c *Command) []any { return []any{&c.Order} }, (*State).closeHold},
	CmdSettleSession: {"SettleSession", func(c *Command) []any { return c.by(&c.Session) }, (*State).settleSession},
	CmdClearSession:  {"ClearSession", func(c *Command) []any { return c.by(&c.Session) }, (*State).clearSession},
	CmdStartBargain: {"StartBargain",
		func(c *Command) []any { return []any{&c.Listing, &c.Shopper} }, (*State).startBargain},
	CmdCutBargain: {"CutBargain",
		func(c *Command) []any { return []any{&c.Bargain, &c.Shopper, &c.Key, &c.Weight, &c.Weighed} },
		(*State).cutBargain},
	CmdErase:        {"Erase", func(c *Command) []any { return c.by(&c.Shoppers, &c.Deadline) }, (*State).erase},
	CmdRewrap:       {"Rewrap", func(c *Command) []any { return []any{&c.Rewraps} }, (*State).rewrap},
	CmdEndBargain:   {"EndBargain", func(c *Command) []any { return c.by(&c.Bargain) }, (*State).endBargain},
	CmdEditProducts: {"EditProducts", func(c *Command) []any { return c.by(&c.Products) }, (*State).editProducts},
	CmdChangeProduct: {"ChangeProduct",
		func(c *Command) []any { return c.by(&c.Product, &c.ProductAction) }, (*State).changeProduct},
	CmdDiscard: {"Discard", func(c *Command) []any { return c.by(&c.Discard) }, (*State).discard},
	CmdReviewOrders: {"ReviewOrders",
		func(c *Command) []any { return c.by(&c.Session, &c.Reviews) }, (*State).handleOrders},
	CmdExportOrders: {"ExportOrders",
		func(c *Command) []any { return c.by(&c.Session, &c.Export, &c.Orders) }, (*State).handleOrders},
	CmdShipOrders: {"ShipOrders",
		func(c *Command) []any { return c.by(&c.Session, &c.Parcels) }, (*State).handleOrders},
	CmdReceiveOrder: {"ReceiveOrder",
		func(c *Command) []any { return []any{&c.Order, &c.Shopper} }, (*State).receiveOrder},
	CmdReceiveOrders: {"ReceiveOrders",
		func(c *Command) []any { return c.by(&c.Session, &c.Orders) }, (*State).handleOrders},
	CmdSetSink:   {"SetSink", func(c *Command) []any { return c.by(&c.Sink) }, (*State).setSink},
	CmdNoteAlarm: {"NoteAlarm", func(c *Command) []any { return c.by(&c.Alarm) }, (*State).noteAlarm},
	CmdDecideApproval: {"DecideApproval",
		func(c *Command) []any { return c.by(&c.Decision) }, (*State).decideApproval},
	CmdPlanBack: {"PlanBack",
		func(c *Command) []any { return c.by(&c.Back, &c.Entropy) }, (*State).planBack},
	cmdBreakListing: {"BreakListing", func(c *Command) []any { return []any{&c.Listing} }, (*State).breakListing},
}

// by is which operator asked, and why, and fields.
func (c *Command) by(fields ...any) []any { return append([]any{&c.Operator, &c.Note}, fields...) }

func (c *Command) payment() []any {
	return []any{&c.Order, &c.Amount, &c.Currency, &c.PaymentID, &c.PaidAt, &c.OrderNo, &c.Transaction,
		&c.PayType, &c.Coupon}
}

func (k CommandKind) String() string {
	if int(k) < len(commandSpecs) && commandSpecs[k].name != "" {
		return commandSpecs[k].name
	}
	return fmt.Sprintf("command %d", uint8(k))
}

// Command is one thing asked of the state. Which fields count depends on Kind.
// Shopper and the slices of a decoded command lie in the entry they came from.
type Command struct {
	Kind     CommandKind
	Shopper  []byte // of what shoppers ask for
	Key      Key    // PlaceHold, CutBargain
	Listing  ListingHandle
	Session  SessionHandle
	Quantity uint32
	// Deadline of a PlaceHold: past it, the hold is of no use; of an ExtendHold: the new PayBy;
	// of an Erase: only keys that were not used from then on, 0 for any.
	Deadline Time
	Order    OrderRef
	Waitlist bool   // PlaceHold: would rather wait than be told that all is taken
	Ticket   uint64 // PlaceHold: the id of the ticket shown; 0 without
	// Bargain of a PlaceHold is the one to buy by, and in the listing's session; zero for
	// none.
	Bargain BargainRef
	Weight  uint32 // CutBargain: of the cut, in percent
	Weighed uint32 // CutBargain: what of the friend Weight was made of, as WeighedOf says; 0 = nothing
	// Price of a PlaceHold is what the play's expression says of a unit, where Priced.
	Price  int64
	Priced bool

	Withdraw bool // Reserve: takes the reservation back
	Action   SessionAction
	// ProductAction is what ChangeProduct does.
	ProductAction ProductAction
	Refund        RefundNo // ConfirmRefund; Note is the cashier's reference

	Edit     RosterEdit
	Switches SwitchChange // SetSwitches, SetProfile
	Sink     *SinkChange  // SetSink
	Alarm    *AlarmChange // NoteAlarm
	Decision *Decision    // DecideApproval
	Back     LogIndex     // PlanBack: of the entry of the plan that is meant; 0: the last one, whichever that is

	Amount    int64 // PayOrder: minor units; AddStock: units
	Currency  string
	PaymentID string
	OrderNo   string // PayOrder: as the cashier told it, for money that goes back without an order
	PaidAt    Time   // PayOrder: by the cashier's clock; 0 if it does not say
	PayType   string // PayOrder: how it was paid, ValidPayType; "" if the cashier does not say
	Coupon    int64  // PayOrder: what of Amount the shopper did not pay, 0 to under Amount
	// Transaction of a PlaceHold; of a PayOrder, zero if the cashier told none.
	Transaction Transaction

	// Of one on many orders of Session, at most MaxParcels.
	Reviews []Review
	Orders  []OrderRef // ExportOrders, ReceiveOrders
	Parcels []Parcel
	Export  uint32 // ExportOrders: the number of one that there is; 0: a new one

	RulesVersion uint32 // RaiseRules

	Intent   Intent // of an operator's
	Operator string // who of the operators asked, for the audit trail
	Note     string // why
	Receiver Receiver
	Plan     *Plan
	Products *ProductEdit // EditProducts; nil: an edit of nothing
	Product  string       // ChangeProduct
	Discard  Discarding   // Discard
	// PersonalKey of a SetReceiver is the shopper's, that Receiver was sealed with.
	PersonalKey PersonalKey
	Shoppers    []string // Erase
	Rewraps     []Rewrap
	// Entropy seeds the draws that a plan begins: random, and the leader's secret.
	Entropy [32]byte

	Node  string // OpenEpoch
	Nonce uint64
	// Secret becomes the group's at the first OpenEpoch, and is ignored later.
	Secret    [16]byte
	Approving *ApprovalRules // OpenEpoch: the group's from now on; nil is none
}

// SessionAction is what an operator does to a session.
type SessionAction uint8

// Actions on a session.
const (
	SessionPublish SessionAction = iota + 1
	SessionPause
	SessionResume
	SessionEnd
)

var sessionActions = [...]string{"", "publish", "pause", "resume", "end"}

func (a SessionAction) String() string { return nameOf(sessionActions[:], int(a)) }
