package engine

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// AuditNote is what the audit trail keeps of a command besides its event.
type AuditNote struct {
	Command  int32  // which command of the batch
	Operator string // who of the operators asked
	Note     string // why
	// Shopper is whose a command was that made them no number: a refused grab, a
	// reservation.
	Shopper string
	// Detail is what else there is to say: the payment, the switches, the changes.
	Detail string
	// Transaction of a grab that was refused.
	Transaction Transaction
}

// maxDetailBytes bounds an audit note's detail.
const maxDetailBytes = 4096

// describe says what a command is to do, to whom, and how that is before. Most
// commands say enough by themselves, or by their event.
func (s *State) describe(c *Command) string {
	switch c.Kind {
	case CmdOpenEpoch:
		return fmt.Sprintf("node %s", c.Node)
	case CmdConfirmRefund:
		return fmt.Sprintf("refund %d", c.Refund)
	case CmdRaiseRules:
		return fmt.Sprintf("version %d; before: %d", c.RulesVersion, s.rules)
	case CmdSteerSession:
		before := "unknown"
		if x := s.SessionOf(c.Session); x != nil {
			if before = x.State.String(); x.Paused {
				before = "paused"
			}
		}
		return fmt.Sprintf("%s; before: %s", c.Action, before)
	case CmdAddStock:
		if l := s.Listing(c.Listing); l != nil {
			return fmt.Sprintf("stock %d to %d", l.Stock, l.Stock+c.Amount)
		}
	case CmdReviewOrders, CmdExportOrders, CmdShipOrders, CmdReceiveOrders:
		return s.describeRows(c)
	case CmdVoidOrder, CmdExtendHold:
		o := s.Order(c.Order)
		switch {
		case o == nil:
		case c.Kind == CmdVoidOrder:
			return fmt.Sprintf("before: %s", o.State)
		default:
			return fmt.Sprintf("pay by %s; before: %s", c.Deadline.Wall().Format(time.RFC3339),
				o.PayBy.Wall().Format(time.RFC3339))
		}
	case CmdEditRoster:
		return s.describeEdit(&c.Edit)
	case CmdEditProducts:
		return s.describeProducts(c.Products)
	case CmdChangeProduct:
		before := "unknown"
		if p := s.Product(c.Product); p != nil {
			before = []string{"on offer", "retired"}[btoi(p.Retired)]
		}
		return fmt.Sprintf("%s product %s; before: %s", c.ProductAction, clip(c.Product), before)
	case CmdDiscard:
		return s.describeDiscard(&c.Discard)
	case CmdSetSwitches:
		after, _, _ := s.turned(&c.Switches)
		return s.describeSettings(c.Switches, settingsThatDiffer(s.board.now, after), &s.board.now)
	case CmdSetProfile:
		return s.describeProfile(c.Switches)
	case CmdSetSink:
		return s.describeSink(c.Sink)
	case CmdPlanBack:
		return s.describeBack()
	case CmdDecideApproval:
		return s.describeDecision(c.Decision)
	case CmdNoteAlarm:
		return s.describeAlarm(c.Alarm)
	}
	return ""
}

// describeEdit names who is put on a roster or taken off, as far as there is room,
// with the level before and after; of phone numbers and addresses it has the hash alone.
func (s *State) describeEdit(e *RosterEdit) string {
	var b strings.Builder
	action := rosterActions[min(int(e.Action), len(rosterActions)-1)]
	fmt.Fprintf(&b, "%s, %s: ", e.Roster, action)
	r := s.rosters[e.Roster]
	switch e.Action {
	case RosterPut:
		for i, row := range e.Rows {
			if b.Len() > maxDetailBytes/2 {
				fmt.Fprintf(&b, "... %d rows", len(e.Rows))
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			id := string(row.ID)
			if e.Roster.Kind.Hashed() && len(row.ID) > 0 {
				id = "#" + hex.EncodeToString(row.ID)
			}
			fmt.Fprintf(&b, "%s %s to %s", id, e.Roster.Kind.Word(r.level(row.ID)), e.Roster.Kind.Word(row.Level))
		}
	case RosterStage:
		fmt.Fprintf(&b, "%d rows", len(e.Rows))
	case RosterCommit:
		fmt.Fprintf(&b, "%d rows in place of %d", e.Count, s.Rosters().Count(e.Roster))
	default:
		fmt.Fprintf(&b, "%d rows", s.Rosters().Count(e.Roster))
	}
	if e.Source != "" {
		b.WriteString(", " + e.Source)
	}
	return b.String()
}

// describeSettings says what a change does, and the switches that it turns, after
// and before.
func (s *State) describeSettings(c SwitchChange, turned []Setting, before *Switches) string {
	c.Settings = turned
	if len(turned) == 0 {
		return c.String() + "; nothing is turned"
	}
	was := make([]Setting, len(turned))
	for i, set := range turned {
		was[i] = Setting{set.Switch, before[set.Switch]}
	}
	return c.String() + "; before:" + settingsText(was)
}

func (s *State) describeProfile(c SwitchChange) string {
	before := " nothing"
	if i, found := s.profileNamed(c.Profile); found {
		before = settingsText(s.board.profiles[i].Settings)
	}
	return c.String() + "; before:" + before
}

// noteForAudit notes of a command what its event has no room for; said is what describe
// gave before. Grants have none.
func (s *State) noteForAudit(c *Command, e *Event, said string) {
	r := AuditNote{Command: e.Command, Operator: c.Operator, Note: c.Note, Detail: said}
	switch c.Kind {
	case CmdPlaceHold:
		if e.Kind != HoldRefused {
			return
		}
		r.Shopper, r.Transaction = string(c.Shopper), c.Transaction
	case CmdReserve:
		r.Shopper = string(c.Shopper)
	case CmdErase:
		if len(c.Shoppers) == 1 {
			r.Shopper = c.Shoppers[0]
		}
	case CmdStartBargain, CmdCutBargain, CmdEndBargain:
		r.Shopper = string(c.Shopper)
		r.Detail = s.describeBargain(c, e)
	case CmdOpenEpoch:
		r.Detail += fmt.Sprintf(", order numbers end in %s", s.life)
	case CmdPayOrder:
		if r.Detail = c.PaymentID; e.Reason == ReasonNoOrder {
			r.Detail = fmt.Sprintf("%s, %s, for %s", c.PaymentID, c.Currency, s.paidFor(c))
		}
	case CmdApplyPlan:
		if o := s.eff.LastPlan(); o.Command == e.Command { // else it was refused before it was looked at
			r.Detail = o.String()
		}
	case CmdDecideApproval, CmdPlanBack:
		if o := s.eff.LastPlan(); o.Command == e.Command && len(s.eff.Plans) > 0 {
			r.Detail += "; " + o.String()
		}
	}
	if e.Kind == ApprovalAsked {
		r.Detail = fmt.Sprintf("approval %d: %s", e.Amount, r.Detail)
	}
	if e.Kind == IntentRepeated {
		r.Detail = c.Kind.String() + " had been done before"
	}
	if len(r.Detail) > maxDetailBytes {
		r.Detail = strings.ToValidUTF8(r.Detail[:maxDetailBytes-3], "") + "..."
	}
	if r != (AuditNote{Command: r.Command}) {
		s.eff.AuditNotes = append(s.eff.AuditNotes, r)
	}
}

// String tells what the plan has changed, or why it was refused.
func (o PlanOutcome) String() string {
	var b strings.Builder
	for _, p := range o.Problems {
		fmt.Fprintf(&b, "%s: %s; ", p.Path, p.Message)
	}
	for _, c := range o.Changes {
		switch {
		case len(o.Problems) > 0:
		case c.Before == "" && c.After == "new":
			fmt.Fprintf(&b, "%s: new; ", c.Path)
		default:
			fmt.Fprintf(&b, "%s: %s to %s; ", c.Path, cmp.Or(c.Before, "not given"), cmp.Or(c.After, "not given"))
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
	b.WriteString(settingsText(c.Settings))
	return b.String()
}

// settingsText writes settings as operators do, each with a space before it.
func settingsText(settings []Setting) string {
	var b strings.Builder
	for _, set := range settings {
		if set.Switch.Valid(set.Value) { // others were refused
			fmt.Fprintf(&b, " %s=%s", set.Switch, set.Switch.Word(set.Value))
		}
	}
	return b.String()
}
