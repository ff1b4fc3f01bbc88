package engine

import (
	"cmp"
	"fmt"
	"strings"
)

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
		r.Detail = fmt.Sprintf("node %s, order numbers end in %s", c.Node, s.life)
	case CmdPayOrder:
		if r.Detail = c.PaymentID; e.Reason == ReasonNoOrder {
			r.Detail = fmt.Sprintf("%s, %s, for %s", c.PaymentID, c.Currency, s.paidFor(c))
		}
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
	if e.Kind == IntentRepeated {
		r.Detail = c.Kind.String() + " had been done before"
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
