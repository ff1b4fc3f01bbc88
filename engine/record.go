package engine

import (
	"cmp"
	"fmt"
	"strings"
)

// OrderRecord is all that is known of an order, for whoever keeps it once it has
// left the state: a copy, theirs to keep.
type OrderRecord struct {
	Ref                     OrderRef
	Listing                 ListingHandle
	Shopper                 string
	Key                     Key
	Quantity                uint32
	Amount                  int64 // minor units
	State                   OrderState
	Why                     Reason // of one Left or Passed
	Granted, PayBy, Changed Time
	Transaction             Transaction
	PaymentID               string
	PaidAt                  Time      // by the cashier's clock; 0 if it did not say
	Receiver                *Receiver // nil: the shopper has not said
	Drawn, Late             bool      // as of Order.Entrant
	Refunds                 []Refund  // the oldest first
}

// Record copies the order at ref, or gives false.
func (s *State) Record(ref OrderRef) (OrderRecord, bool) {
	o := s.Order(ref)
	if o == nil {
		return OrderRecord{}, false
	}
	r := recordOf(ref, o, s.detailsOf(ref), s.ShopperID(o.Shopper))
	r.Refunds = s.RefundsOf(ref)
	return r, true
}

func recordOf(ref OrderRef, o *Order, d details, shopper string) OrderRecord {
	r := OrderRecord{Ref: ref, Listing: o.Listing, Shopper: shopper, Key: o.Key, Quantity: o.Quantity, Amount: o.Amount, State: o.State, Why: o.Why,
		Granted: o.Granted, PayBy: o.PayBy, Changed: o.Changed, Transaction: o.Transaction, PaymentID: d.payment, PaidAt: d.paidAt}
	if d.receiver != nil {
		to := *d.receiver
		r.Receiver = &to
	}
	r.Drawn, r.Late = o.Entrant()
	return r
}

// Leaving is a session's orders as they leave the state. Nothing of it changes any
// more: it may be kept and read by anybody.
type Leaving struct {
	Session  SessionHandle
	Listings []Listing // as they were
	orders   table[Order]
	details  table[details]
	shoppers []string // by ordinal - 1
}

// leaving takes hold of the orders of x.
func (s *State) leaving(x *Session) *Leaving {
	l := &Leaving{Session: x.Handle, orders: x.orders, details: x.details, shoppers: make([]string, x.orders.len())}
	for i := range l.shoppers {
		l.shoppers[i] = s.ShopperID(x.orders.at(i).Shopper)
	}
	for _, h := range x.Listings {
		l.Listings = append(l.Listings, *s.listings[h-1])
	}
	return l
}

// Orders tells how many there are; their ordinals go from 1 to it.
func (l *Leaving) Orders() int { return l.orders.len() }

// Record copies an order, without its refunds: those stay in the state.
func (l *Leaving) Record(ordinal uint32) (OrderRecord, bool) {
	if ordinal == 0 || int(ordinal) > l.orders.len() {
		return OrderRecord{}, false
	}
	o := l.orders.at(int(ordinal) - 1)
	var d details
	if o.details != 0 {
		d = *l.details.at(int(o.details) - 1)
	}
	return recordOf(OrderRef{l.Session, ordinal}, o, d, l.shoppers[ordinal-1]), true
}

// Remark is what the audit trail keeps of a command besides its event.
type Remark struct {
	Command  int32  // which command of the batch
	Operator string // who of the operators asked
	Note     string // why
	// Shopper is whose a command was that made him no number: a refused grab, a
	// reservation.
	Shopper string
	// Detail is what else there is to say: the payment, the switches, the changes.
	Detail string
	// Transaction of a grab that was refused.
	Transaction Transaction
}

// maxDetailBytes bounds a remark's detail.
const maxDetailBytes = 1024

// remark notes of a command what its event has no room for. Grants have none.
func (s *State) remark(c *Command, e *Event) {
	r := Remark{Command: e.Command, Operator: c.Operator, Note: c.Note}
	switch c.Kind {
	case CmdPlaceHold:
		if e.Kind != HoldRefused {
			return
		}
		r.Shopper, r.Transaction = string(c.Shopper), c.Transaction
	case CmdReserve:
		r.Shopper = string(c.Shopper)
	case CmdOpenEpoch:
		r.Detail = "node " + c.Node
	case CmdPayOrder:
		r.Detail = c.PaymentID
	case CmdConfirmRefund:
		r.Detail = fmt.Sprintf("refund %d", c.Refund)
	case CmdRaiseRules:
		r.Detail = fmt.Sprintf("version %d", c.RulesVersion)
	case CmdSteerSession:
		r.Detail = c.Action.String()
	case CmdEditRoster:
		r.Detail = fmt.Sprintf("%s, %s", c.Edit.Roster, rosterActions[min(int(c.Edit.Action), len(rosterActions)-1)])
	case CmdSetSwitches, CmdSetProfile:
		r.Detail = c.Switches.String()
	case CmdApplyPlan:
		r.Detail = s.planDetail()
	}
	if len(r.Detail) > maxDetailBytes {
		r.Detail = strings.ToValidUTF8(r.Detail[:maxDetailBytes-3], "") + "..."
	}
	if r != (Remark{Command: r.Command}) {
		s.eff.Remarks = append(s.eff.Remarks, r)
	}
}

// planDetail tells what the plan just applied has changed, or why it was refused.
func (s *State) planDetail() string {
	var b strings.Builder
	for _, p := range s.eff.Problems {
		fmt.Fprintf(&b, "%s: %s; ", p.Path, p.Message)
	}
	for _, c := range s.eff.Changes {
		if len(s.eff.Problems) == 0 {
			fmt.Fprintf(&b, "%s: %s; ", c.Path, cmp.Or(c.After, "gone"))
		}
		if b.Len() > maxDetailBytes {
			break
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}

var rosterActions = [...]string{"", "put", "stage", "commit", "drop", "unknown"}

// String says what the change does, as operators write it.
func (c *SwitchChange) String() string {
	var b strings.Builder
	b.WriteString(c.Action.String())
	if c.Profile != "" {
		b.WriteString(" " + c.Profile)
	}
	for _, set := range c.Settings {
		if set.Switch.Valid(set.Value) { // others were refused
			fmt.Fprintf(&b, " %s=%s", set.Switch, set.Switch.Word(set.Value))
		}
	}
	return b.String()
}

// MaySettle tells why a session can't leave the state yet, or ReasonNone. It reads
// every order of the session.
func (s *State) MaySettle(x *Session) Reason {
	if x.State == Settled {
		return ReasonSettled
	}
	return s.maySettle(x)
}
