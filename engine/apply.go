package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Apply takes the entry at index, the next one that holds a batch, and says in
// eff what it did. eff.Primary has an event for each command.
//
// Errors leave the state as it was but for the index. ErrStaleEpoch: the batch
// is not the next one of the open epoch. ErrMalformed: bytes that no leader of
// these rules writes; eff has a BatchRefused event. ErrNewerFormat, ErrRulesTooNew:
// the node must stop; not even the index counts as applied, so that a newer build
// takes the entry up again. After ErrRulesTooNew every further Apply fails alike.
func (s *State) Apply(index LogIndex, entry []byte, eff *Effects) error {
	eff.reset()
	eff.Index, eff.Time, eff.NextDue = index, s.now, s.NextDue()
	if s.tooNew > 0 {
		return s.rulesTooNew(index)
	}
	header, commands, rules, err := s.decode(entry)
	defer s.empty(commands)
	if err != nil && !errors.Is(err, ErrNewerFormat) {
		s.index = index
		eff.Derived = append(eff.Derived, Event{Kind: BatchRefused, Command: -1})
	}
	if err != nil {
		return fmt.Errorf("log index %d: %w", index, err)
	}
	eff.Header = header
	opens := header.Epoch == 0 && len(commands) > 0 && commands[0].Kind == CmdOpenEpoch
	if !opens && (header.Epoch == 0 || header.Epoch != s.epoch || header.Sequence != s.sequence+1) {
		s.index = index
		return fmt.Errorf("log index %d: batch %d of epoch %d, expected %d of %d: %w",
			index, header.Sequence, header.Epoch, s.sequence+1, s.epoch, ErrStaleEpoch)
	}
	if rules > max(s.rules, RulesVersion) {
		s.tooNew = rules
		return s.rulesTooNew(index)
	}
	s.index = index
	if !opens {
		s.sequence = header.Sequence
	}
	before := s.now
	s.now = max(s.now, header.Time)
	eff.Time = s.now
	s.eff = eff
	s.timersLeft, s.products.share = s.timerShare, s.clearShare*takeShare
	s.runTimers()
	eff.Primary = slices.Grow(eff.Primary, len(commands))
	for i := range commands {
		c := &commands[i]
		said := s.describe(c)
		e := s.apply(c)
		e.Command, e.Life = int32(i), s.Life(e.Order)
		if c.Kind != CmdPlaceHold || e.Kind == HoldRefused {
			s.noteForAudit(c, &e, said)
		}
		eff.Primary = append(eff.Primary, e)
	}
	s.takeIn(before)
	s.finishTouched()
	s.letGo(before)
	eff.NextDue = s.NextDue()
	s.eff = nil
	return nil
}

func (s *State) rulesTooNew(index LogIndex) error {
	return fmt.Errorf("log index %d: rules version %d, this build knows %d: %w", index, s.tooNew, RulesVersion,
		ErrRulesTooNew)
}

// decode reads the whole entry before anything of it is applied, so that a malformed
// one changes nothing. rules is the highest version it asks for. The commands lie in
// the state's room for them until they are emptied.
func (s *State) decode(entry []byte) (h BatchHeader, commands []Command, rules uint32, err error) {
	s.entry = coder{buf: entry, reads: true}
	defer func() { s.entry = coder{} }()
	r := &s.entry
	h, commands = r.batch(s.commands[:0])
	for i := range commands {
		if c := &commands[i]; c.Kind == CmdRaiseRules {
			rules = max(rules, c.RulesVersion)
		}
	}
	s.commands = commands[:0]
	return h, commands, rules, r.done()
}

// empty lets go of what commands point at: the entry, and what is decoded from it.
func (s *State) empty(commands []Command) {
	for i := range commands {
		if c := &commands[i]; c.Kind == CmdPlaceHold {
			c.Shopper = nil // the hot one: nothing else of it points anywhere
		} else {
			*c = Command{}
		}
	}
}

func (s *State) apply(c *Command) Event {
	if c.Kind == CmdPlaceHold {
		return s.placeHold(c)
	}
	if c.Intent == (Intent{}) {
		return s.do(c)
	}
	e, repeated := s.repeated(c)
	if !repeated {
		e = s.do(c)
		s.remember(c, &e)
	}
	return e
}

// do applies a command other than a grab. About an order of a settled session nothing
// changes any more; money for it is taken, to go back.
func (s *State) do(c *Command) Event {
	if c.Kind != CmdPayOrder && s.settled(c.Order.Session) {
		return refused(ReasonUnknown)
	}
	return commandSpecs[c.Kind].do(s, c)
}

func refused(why Reason) Event { return Event{Kind: CommandRefused, Reason: why} }

func (s *State) openEpoch(c *Command) Event {
	if s.eff.Header.Epoch != 0 {
		return refused(ReasonConflict) // what is fenced by one epoch can't open another
	}
	if s.epoch == 0 {
		s.setSecret(c.Secret)
	}
	s.epoch, s.sequence, s.epochNode, s.life = Epoch(s.index), 0, c.Node, s.newLife(c.Nonce)
	if s.approving = (ApprovalRules{}); c.Approving != nil {
		s.approving = *c.Approving
	}
	return Event{Kind: EpochOpened}
}

func (s *State) raiseRules(c *Command) Event {
	if c.RulesVersion <= s.rules {
		return refused(ReasonConflict)
	}
	s.rules = c.RulesVersion
	return Event{Kind: RulesRaised}
}

// touch notes that a listing's figures or state may have changed.
func (s *State) touch(h ListingHandle) {
	if l := s.listings[h-1]; l.touched != s.index {
		l.touched = s.index
		s.eff.Touched = append(s.eff.Touched, h)
	}
}

func (s *State) derive(e Event) {
	e.Command, e.After, e.Life = -1, int32(len(s.eff.Primary)), s.Life(e.Order)
	s.eff.Derived = append(s.eff.Derived, e)
}

// finishTouched checks the invariants of what the batch touched, and draws the
// conclusions: sold out, gone, and then sessions of which everything is gone.
func (s *State) finishTouched() {
	for i := 0; i < len(s.eff.Touched); i++ { // lines may touch more, of the same session
		l := s.listings[s.eff.Touched[i]-1]
		if s.workWaitlist(l) {
			s.calm(l)
		} else {
			s.unrest(l)
		}
	}
	for _, h := range s.eff.Touched {
		l := s.listings[h-1]
		session := s.sessions[l.Session-1]
		if !l.Frozen && !s.conserved(l) {
			l.Frozen = true
			s.calm(l)
			s.schedule(session) // its holds are not due any more
			s.derive(Event{Kind: ListingFroze, Session: l.Session, Listing: h})
		}
		looks := session.StateOf(l)
		if looks == l.looks {
			continue
		}
		l.looks = looks
		switch looks {
		case ListingSoldOut:
			s.derive(Event{Kind: StockTaken, Session: l.Session, Listing: h})
		case ListingGone:
			s.derive(Event{Kind: StockGone, Session: l.Session, Listing: h})
		}
	}
	for _, h := range s.eff.Touched { // ending a session touches more, of the same session
		l := s.listings[h-1]
		session := s.sessions[l.Session-1]
		if l.looks != ListingGone || !s.allSold(session) {
			continue
		}
		s.derive(s.endSession(session))
		for _, other := range session.Listings {
			l := s.listings[other-1]
			l.looks = session.StateOf(l)
		}
	}
}

// unrest notes that the waitlist or the draw of l goes on with the next batch.
func (s *State) unrest(l *Listing) {
	x := s.sessions[l.Session-1]
	if at, found := slices.BinarySearch(x.restless, l.Handle); !found {
		x.restless = slices.Insert(x.restless, at, l.Handle)
		s.schedule(x)
	}
}

// calm notes that nothing is left to do for those on the waitlist or in the draw of l.
func (s *State) calm(l *Listing) {
	x := s.sessions[l.Session-1]
	if at, found := slices.BinarySearch(x.restless, l.Handle); found {
		x.restless = slices.Delete(x.restless, at, at+1)
		s.schedule(x)
	}
}

// conserved reports whether stock = available + held + paid, none negative.
func (s *State) conserved(l *Listing) bool {
	ok := l.Stock == l.Available+l.Held+l.Paid && l.Available >= 0 && l.Held >= 0 && l.Paid >= 0
	if !ok && invariantsPanic {
		panic(fmt.Sprintf("engine: listing %d at log index %d: stock %d, available %d, held %d, paid %d",
			l.Handle, s.index, l.Stock, l.Available, l.Held, l.Paid))
	}
	if invariantsPanic {
		s.recount(l)
	}
	return ok && l.Waiting >= 0 && l.Entrants >= 0
}

// recount panics unless the orders of l add up to its counts. Only for builds
// with the invariants tag: it reads every order.
func (s *State) recount(l *Listing) {
	var held, paid, waiting, entrants int64
	live := map[ShopperNo]int64{}
	session := s.sessions[l.Session-1]
	if l.use != 0 {
		if wrong := s.recountUse(l.use); wrong != "" {
			panic(fmt.Sprintf("engine: product %s at log index %d: %s", l.SKU, s.index, wrong))
		}
	}
	if session.State >= Settled {
		return // its orders are in the ledgers
	}
	for i := range session.orders.len() {
		o := session.orders.at(i)
		if o.Listing == l.Handle && o.State == Waiting {
			waiting += int64(o.Quantity)
		}
		if o.Listing == l.Handle && o.State == Entered {
			entrants++
		}
		if o.Listing != l.Handle || !o.State.Live() {
			continue
		}
		live[o.Shopper] += int64(o.Quantity)
		if o.State == Held {
			held += int64(o.Quantity)
		} else {
			paid += int64(o.Quantity)
		}
	}
	for i := range session.bargains.rows.len() {
		if b := session.bargains.rows.at(i); b.Listing == l.Handle && b.taken {
			held++
		}
	}
	if held != l.Held || paid != l.Paid || int64(len(live)) != l.Shoppers || waiting != l.Waiting ||
		entrants != l.Entrants {
		panic(fmt.Sprintf("engine: listing %d at log index %d: counts held %d paid %d shoppers %d waiting %d "+
			"entrants %d, orders say %d, %d, %d, %d, %d",
			l.Handle, s.index, l.Held, l.Paid, l.Shoppers, l.Waiting, l.Entrants, held, paid, len(live), waiting,
			entrants))
	}
}

// sorted gives what a map has in the order of its keys.
func sorted[V any](m map[string]*V) []*V {
	values := make([]*V, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[id])
	}
	return values
}
