package engine

import (
	"slices"
	"strings"
)

// planHistory is how many of the last changes by plans and words are kept.
const planHistory = 64

// maxWordsBefore is of how many messages of a sale the words before their last change are
// kept.
const maxWordsBefore = 256

// PlanKind is how something came to be changed.
type PlanKind uint8

// Kinds. Their numbers are on disk.
const (
	PlanFile  PlanKind = iota + 1 // by a plan
	PlanWords                     // words of a sale, by hand
	PlanBack                      // the last plan was taken back
	planKindEnd
)

// PlanRecord is a change that was made to products, sales, sessions and listings. One that
// the state has given out never changes.
type PlanRecord struct {
	At         Time
	Index      LogIndex
	Kind       PlanKind
	Operator   string // who asked for it
	ApprovedBy string // "" where nobody had to
	Approval   ApprovalNo
	Note       string
	Changes    []Change // those, as far as there is room; LeftOut are the rest
	LeftOut    uint32
}

func (r *PlanRecord) fields(c *coder) {
	c.all(&r.At, &r.Index)
	oneOf(c, &r.Kind, planKindEnd, "an unknown kind of change")
	c.all(&r.Operator, &r.ApprovedBy, &r.Approval, &r.Note, &r.Changes, &r.LeftOut)
	c.check(r.Kind > 0, "a change of no kind")
}

// readRecord reads a record, which no older one may follow.
func (s *State) readRecord(c *coder) {
	r := new(PlanRecord)
	r.fields(c)
	last := len(s.records)
	c.check(last < planHistory && r.Index <= s.index && (last == 0 || s.records[last-1].Index <= r.Index),
		"a change of another time, or one too many")
	s.records = append(s.records, r)
}

// History is the last changes by plans, of words and of switches, each the oldest first.
type History struct {
	Plans    []*PlanRecord // read only
	Switches []SwitchRecord
	// PlansDropped, SwitchesDropped: there may have been earlier ones, which are not kept.
	PlansDropped, SwitchesDropped bool
}

// History copies what is kept.
func (s *State) History() History {
	return History{s.records, slices.Clone(s.board.history), len(s.records) == planHistory,
		len(s.board.history) == switchHistory}
}

// recordPlan keeps a change that was made.
func (s *State) recordPlan(c *Command, o *PlanOutcome, kind PlanKind) {
	r := &PlanRecord{At: s.now, Index: s.index, Kind: kind, Operator: c.Operator, Note: c.Note}
	if a := c.approval(); a != nil {
		r.ApprovedBy, r.Approval = c.Decision.by, a.No
	}
	r.Changes, r.LeftOut = keptOf(o.Changes, keptChangesBytes)
	kept := s.records
	if len(kept) >= planHistory {
		kept = kept[1:]
	}
	s.records = append(slices.Clone(kept), r) // a snapshot may hold the old ones
}

// wordsBeforeChange gives, of each message whose words change, those that shoppers were told
// till then.
func wordsBeforeChange(old *Sale, live []Message) []Message {
	if old == nil {
		return nil
	}
	names := map[string]bool{}
	var before []Message
	for _, w := range wordings(old.Messages, live) {
		if !names[w.name] && messageText(old.Messages, w) != messageText(live, w) {
			names[w.name] = true
			m := Message{Name: w.name} // without a text it is in the shop's words
			if at := slices.IndexFunc(old.Messages, func(m Message) bool { return m.Name == w.name }); at >= 0 {
				m = old.Messages[at]
			}
			before = append(before, m)
		}
	}
	for _, m := range old.Before {
		if !names[m.Name] && len(before) < maxWordsBefore {
			before = append(before, m)
		}
	}
	slices.SortFunc(before, func(a, b Message) int { return strings.Compare(a.Name, b.Name) })
	return before
}
