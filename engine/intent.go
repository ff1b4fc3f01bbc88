package engine

import "time"

// What operators mean to have done once is remembered with what came of it, so that
// asking again after an unknown outcome changes nothing more: the newest
// MaxIntents, for IntentLife of state time. What was refused has changed nothing,
// is not remembered, and may be done when it is asked again.
const (
	MaxIntents = 4096
	IntentLife = 24 * time.Hour
	// intentBytes bounds the changes of a plan that are remembered.
	intentBytes = maxString
)

// By says who of the operators asks for a change, and what they mean to have done
// once.
type By struct {
	Operator string
	Key      string // the operator's own; "" means nothing is remembered
	Request  Key    // a hash of all that is asked
}

// Intent is By as a command carries it. The zero value is none.
type Intent struct {
	Key     Key // of the operator and their key, by State.KeyOf
	Request Key
}

// Intent gives what a command of b's carries. keyed is State.Keyed.
func (b By) Intent(keyed func([]byte) Key) Intent {
	if b.Key == "" {
		return Intent{}
	}
	// Keyed, so that nobody finds a request by its hash who guesses what it was about.
	return Intent{keyed([]byte(b.Operator + "\x00" + b.Key)), keyed(b.Request[:])}
}

// deed is what came of an intent. Immutable.
type deed struct {
	Intent
	at      Time
	event   Event
	changes []Change // of a plan, as far as they fit into intentBytes
	// approval is what was asked for in its place: that is all that was done.
	approval ApprovalNo
}

// intents are the deeds that are remembered, the oldest first.
type intents struct {
	done  []*deed
	byKey map[Key]*deed
}

// Done reports whether what the intent means has been done, and which changes of a
// plan that was. Errors: a refusal for a key that was used for another request; Awaits
// where a second operator was asked to approve it, whatever has become of that.
func (s *State) Done(i Intent) (done bool, changes []Change, err error) {
	d := s.deedOf(i)
	switch {
	case d == nil:
		return false, nil, nil
	case d.Request != i.Request:
		return false, nil, &Refusal{Reason: ReasonKeyReused}
	case d.approval != 0:
		return false, nil, &Awaits{d.approval}
	}
	return true, d.changes, nil
}

// DoneWith gives the order, or the first of the orders, that what the intent means was
// about; none if that has not been done, or was about none.
func (s *State) DoneWith(i Intent) OrderRef {
	if d := s.deedOf(i); d != nil && d.Request == i.Request {
		return d.event.Order
	}
	return OrderRef{}
}

// deedOf gives what is remembered of the intent's key, or nil.
func (s *State) deedOf(i Intent) *deed {
	d := s.intents.byKey[i.Key]
	if i == (Intent{}) || d == nil || d.at.Add(IntentLife) <= s.now {
		return nil
	}
	return d
}

// repeated gives the event of a command whose intent has been done, or whose key
// was used for another; false for one that is still to be done.
func (s *State) repeated(c *Command) (e Event, is bool) {
	d := s.deedOf(c.Intent)
	switch {
	case d == nil:
		return e, false
	case d.Request != c.Intent.Request:
		return refused(ReasonKeyReused), true
	}
	if c.Kind == CmdApplyPlan || len(d.changes) > 0 {
		s.eff.Plans = append(s.eff.Plans, PlanOutcome{Command: int32(len(s.eff.Primary)), Changes: d.changes})
	}
	e = d.event
	e.Kind, e.Amount = IntentRepeated, int64(d.approval)
	return e, true
}

// remember keeps what came of a command that carries an intent.
func (s *State) remember(c *Command, e *Event) {
	if e.Kind == CommandRefused || e.Kind == PlanRefused {
		return
	}
	d := &deed{Intent: c.Intent, at: s.now, event: Event{Reason: e.Reason, State: e.State, Session: e.Session,
		Listing: e.Listing, Order: e.Order}}
	if e.Kind == PlanApplied {
		d.changes, _ = keptOf(s.eff.LastPlan().Changes, intentBytes)
	}
	if e.Kind == ApprovalAsked {
		d.approval = ApprovalNo(e.Amount)
	}
	s.keep(d)
}

// keep adds a deed, and forgets those that are over.
func (s *State) keep(d *deed) {
	x := &s.intents
	gone := 0
	for gone < len(x.done) && (len(x.done)-gone >= MaxIntents || x.done[gone].at.Add(IntentLife) <= s.now) {
		if old := x.done[gone]; x.byKey[old.Key] == old {
			delete(x.byKey, old.Key)
		}
		gone++
	}
	x.done = append(x.done[gone:], d)
	x.byKey[d.Key] = d
}

func (d *deed) fields(c *coder) {
	e := &d.event
	c.all(&d.Intent, &d.at, &e.Reason, &e.State, &e.Session, &e.Listing, &e.Order, &d.changes, &d.approval)
}

// readDeed reads a deed, which no older one may follow.
func (s *State) readDeed(c *coder) {
	d := new(deed)
	d.fields(c)
	last := s.intents.done
	c.check(d.at <= s.now && (len(last) == 0 || last[len(last)-1].at <= d.at), "an intent of another time")
	c.check(d.Intent != Intent{} && len(last) < MaxIntents, "no intent, or one too many")
	s.intents.done = append(last, d)
	s.intents.byKey[d.Key] = d
}
