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

	cmdBreakListing CommandKind = 127 // takes effect only in builds with the faults tag
)

// cmdIntended is added to the kind of a command that carries an intent.
const cmdIntended CommandKind = 128

const maxBatchCommands = 16_384

var commandKinds = [...]string{"", "OpenEpoch", "PlaceHold", "CancelHold", "PayOrder", "VoidOrder", "ExtendHold", "SetReceiver", "ApplyPlan",
	"SteerSession", "AddStock", "RaiseRules", "LeaveLine", "Reserve", "EditRoster", "SetSwitches", "SetProfile", "ConfirmRefund",
	"CloseHold", "SettleSession", "ClearSession", cmdBreakListing: "BreakListing"}

func (k CommandKind) String() string {
	if int(k) < len(commandKinds) && commandKinds[k] != "" {
		return commandKinds[k]
	}
	return fmt.Sprintf("command %d", uint8(k))
}

// Command is one thing asked of the state. Which fields count depends on Kind.
// Shopper and the slices of a decoded command lie in the entry they came from.
type Command struct {
	Kind     CommandKind
	Shopper  []byte // PlaceHold, CancelHold, SetReceiver, LeaveLine, Reserve
	Key      Key    // PlaceHold
	Listing  ListingHandle
	Session  SessionHandle
	Quantity uint32
	Deadline Time // PlaceHold: past it, the hold is of no use; ExtendHold: the new PayBy
	Order    OrderRef
	Waitlist bool   // PlaceHold: would rather wait than be told that all is taken
	Ticket   uint64 // PlaceHold: the id of the ticket shown; 0 without

	Withdraw bool // Reserve: takes the reservation back
	Edit     RosterEdit
	Switches SwitchChange // SetSwitches, SetProfile

	Amount    int64 // PayOrder: minor units; AddStock: units
	Currency  string
	PaymentID string
	OrderNo   string   // PayOrder: as the cashier told it, for money that goes back without an order
	PaidAt    Time     // PayOrder: by the cashier's clock; 0 if it does not say
	Refund    RefundNo // ConfirmRefund; Note is the cashier's reference
	// Transaction of a PlaceHold; of a PayOrder, zero if the cashier told none.
	Transaction Transaction

	Intent   Intent // of an operator's
	Operator string // who of the operators asked, for the audit trail
	Note     string // why
	Action   SessionAction
	Receiver Receiver
	Plan     *Plan
	// Entropy seeds the draws that a plan begins: random, and the leader's secret.
	Entropy [32]byte

	Node  string // OpenEpoch
	Nonce uint64
	// Secret becomes the group's at the first OpenEpoch, and is ignored later.
	Secret       [16]byte
	RulesVersion uint32 // RaiseRules
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

// ParseSessionAction reads the name of an action.
func ParseSessionAction(name string) (SessionAction, bool) {
	for i, n := range sessionActions {
		if i > 0 && n == name {
			return SessionAction(i), true
		}
	}
	return 0, false
}
