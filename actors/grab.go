package actors

import (
	"context"
	"time"

	"doorbuster/engine"
)

// passing is a grab on its way.
type passing struct {
	*engine.Grab
	fingerprint uint64
	// front: the shopper came to this node, and the guard is to be asked.
	front bool
	// undecided is how often the grab itself is counted as undecided.
	undecided int32
	// What its slot is to know, once it has passed the gate.
	key      engine.Key
	deadline engine.Time
	expires  time.Duration // by the slots' clock
	reply    engine.Reply
}

// settledFor gives the gate of a listing whose session is settled, for one who was told
// that it has ended; nil otherwise.
func (g *Group) settledFor(x *passing, a *engine.Answer) *gate {
	if a.Reason == engine.ReasonEnded {
		if gate := g.named(x.Listing); gate != nil && gate.retired.Load() {
			return gate
		}
	}
	return nil
}

// number names the order of an answer, wherever it was decided. Orders have lives only
// in a state with a secret, so the numberer is there; no lock is taken.
func (g *Group) number(a *engine.Answer) {
	if a.Life != 0 {
		a.No, a.Life = g.numberer.Load().Number(a.Order, a.Life), 0
	}
}

// decide is Decide's look at the gate. gate is the listing's, if it was known here.
func (g *Group) decide(x *passing) (a engine.Answer, gate *gate, decided bool) {
	if g.others == nil && !g.Fresh() && !g.leadsWithin(g.cfg.GrabTimeout) {
		// What came before this grab had the same patience, and the time of a grab after it.
		return g.processing(nil, g.clock.read().Add(2*g.cfg.GrabTimeout)), nil, true
	}
	fresh := g.Fresh() // else what the gates say is from the past
	if fresh {
		gate = g.named(x.Listing)
	}
	switch {
	case gate != nil:
		a, decided = g.atGate(gate, x)
		return a, gate, decided
	case fresh && (g.others == nil || g.leads.Load()):
		return engine.Answer{Reason: engine.ReasonUnknown}, nil, true
	case g.checked(nil, x.Grab) == engine.ReasonNone: // it may have been published just now
		return a, nil, false
	case fresh:
		return engine.Answer{Reason: engine.ReasonUnknown}, nil, true // as everybody hears for a listing not there
	}
	// So is who holds a unit: nobody is told that they missed it.
	return g.processing(nil, g.clock.read().Add(g.cfg.GrabTimeout)), nil, true
}

// named finds a listing's gate by how a Grab names it; nil if there is none.
func (g *Group) named(listing []byte) *gate { return g.catalogue.Load().byName[string(listing)] }

// processing puts off who asks until the outcome is certain.
func (g *Group) processing(gate *gate, certain engine.Time) engine.Answer {
	a := engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Deadline: certain}
	if gate != nil {
		a.Session = gate.session
	}
	return a
}

// Guard is the door's say on a grab: tickets, rates, risk. Met by the front.
// Safe for concurrent use.
type Guard interface {
	// Check tells why a grab that the gate would let in is not let in, or ReasonNone.
	// It is asked once for a grab, on the node that the shopper came to, and never
	// about a key that is known. It may set the grab's Ticket. rules are those of
	// the listing; of one that this node does not know yet they are zero.
	Check(q *engine.Grab, rules engine.DoorRules) engine.Reason
}

// SetGuard has the guard asked from now on. Call it before grabs come in.
func (g *Group) SetGuard(guard Guard) { g.guard = guard }

// checked asks the guard. at is nil for a listing that this node does not know.
func (g *Group) checked(at *gate, q *engine.Grab) engine.Reason {
	switch {
	case g.guard == nil:
		return engine.ReasonNone
	case at == nil:
		return g.guard.Check(q, engine.DoorRules{})
	}
	return g.guard.Check(q, at.doorRules())
}

// quotaWord is how long a node that does not lead goes by the leader's word that
// the admission quota is used up. Longer saves the leader work; but released
// units make the quota larger.
const quotaWord = 100 * time.Millisecond

// depth is how many grabs of one listing may wait undecided.
func (g *Group) depth() int32 {
	if depth := g.switches.Load()[engine.SwitchDepth]; depth > 0 {
		return int32(depth)
	}
	return int32(g.cfg.WaitingDepth)
}

// atGate answers what can be answered without the actor.
func (g *Group) atGate(gate *gate, x *passing) (a engine.Answer, decided bool) {
	closed := gate.refusal(x.Quantity, x.Waitlist) // first: their own grant may be what closes it
	if x.Bargain != 0 && closed == engine.ReasonSoldOut && gate.setsAside() {
		closed = engine.ReasonNone
	}
	if gate.seen.has(x.fingerprint) {
		return g.atGateSeen(gate, x)
	}
	if closed != engine.ReasonNone {
		return gate.refuse(closed), true
	}
	why := engine.ReasonNone
	leads := g.others == nil || g.leads.Load()
	if gate.waiting.Load() >= g.depth() {
		why = engine.ReasonDepth
	} else if !leads && gate.spentUntil.Load() > int64(g.slots.now()) {
		why = engine.ReasonQuota
	} else if x.front {
		why = g.checked(gate, x.Grab)
	}
	switch {
	case why == engine.ReasonNone && leads && !gate.admit(x.fingerprint):
		// the leader counts who was let in, for all nodes
		why = engine.ReasonQuota
	case why == engine.ReasonNone:
		return a, false
	}
	if engine.CodeOf(why) == engine.CodeMissed && g.slots.undecided.count(x.fingerprint) > x.undecided {
		return g.busy(gate), true
	}
	return gate.refuse(why), true
}

// atGateSeen is atGate for one who holds, held or may yet hold a unit. What they
// ask with a known key comes before every rule, and they are not told that they
// missed anything.
func (g *Group) atGateSeen(gate *gate, x *passing) (a engine.Answer, decided bool) {
	if a, found := g.byKey(gate, x.Grab, g.hashed(x.IdempotencyKey)); found {
		return a, true
	}
	if gate.waiting.Load() >= 2*g.depth() {
		return g.putOff(gate, x, engine.ReasonDepth), true
	}
	if !x.front {
		return a, false
	}
	switch why := g.checked(gate, x.Grab); {
	case why == engine.ReasonNone:
		return a, false
	case engine.CodeOf(why) == engine.CodeMissed:
		return g.putOff(gate, x, why), true
	default:
		return gate.refuse(why), true
	}
}

// hashed gives the hash that a key is known by; the group has a state.
func (g *Group) hashed(key []byte) engine.Key { return (*g.keyed.Load())(key) }

// putOff answers one who was seen and is not let in, for why: with what they have,
// where that is a place or all that they may have, so that they are not sent to ask
// for what would turn out as missed; and one who has nothing here any more, and
// nothing under way, like one who never had.
func (g *Group) putOff(gate *gate, x *passing, why engine.Reason) engine.Answer {
	// the gate first: their own grant may close it
	closed, caughtUp := gate.refusal(x.Quantity, x.Waitlist), g.seesGrants(gate)
	a, final := g.known(gate, x.Grab, g.hashed(x.IdempotencyKey))
	switch {
	case final && a.Code != engine.CodeMissed:
		return a
	case !caughtUp || g.blocked.Load() || g.slots.undecided.count(x.fingerprint) > x.undecided ||
		g.has(gate, x.Shopper):
		return g.busy(gate)
	}
	if closed != engine.ReasonNone {
		return gate.refuse(closed)
	}
	return gate.refuse(why)
}

// has reports whether a shopper holds units of a listing, or has a place.
func (g *Group) has(gate *gate, shopper []byte) (has bool) {
	g.view.View(func(s *engine.State) {
		st := s.StandingOf(s.ShopperNo(string(shopper)), shopper, s.Listing(gate.handle), engine.Key{})
		has = st.ListingUnits > 0 || !st.Place.IsZero()
	})
	return has
}

// seesGrants waits until this node's state has all that it told of the listing as the
// leader's word, before it was applied here; false where that takes too long.
func (g *Group) seesGrants(gate *gate) bool {
	told := engine.LogIndex(gate.told.Load())
	if told == 0 || g.leads.Load() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), displayPatience)
	defer cancel()
	return g.others.Await(ctx, told) == nil
}

// busy puts off a shopper for whom there is no room, but who may hold a unit
// or have an undecided grab: all that they sent before is certain by the deadline.
func (g *Group) busy(gate *gate) engine.Answer {
	return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonDepth, Session: gate.session,
		Deadline: g.clock.read().Add(g.cfg.GrabTimeout)}
}

// lead decides a grab as the leader, at the gate, unless it has passed that, or has the
// listing's actor tell x.reply (handed); it is an error if it can't be decided here and now.
func (g *Group) lead(x *passing, passed *gate) (a engine.Answer, handed bool, err error) {
	gate := passed
	if gate == nil {
		if !g.Fresh() {
			return a, false, engine.ErrNotLeader
		}
		if gate = g.named(x.Listing); gate == nil {
			return engine.Answer{Reason: engine.ReasonUnknown}, false, nil
		}
		if a, decided := g.atGate(gate, x); decided {
			return a, false, nil
		}
	}
	switch {
	case g.leads.Load():
		gate.waiting.Add(1)
		if gate.retired.Load() { // looked at after waiting says that somebody comes: its actor may be gone
			gate.waiting.Add(-1)
			g.wakeRetired(gate)
			return a, false, engine.ErrNotLeader
		}
		x.key = g.hashed(x.IdempotencyKey)
		g.hand(gate, g.slots.lend(x, gate))
		return a, true, nil
	case g.others != nil && g.blocked.Load(): // they were seen, or the gate would have told them that they missed it
		return g.putOff(gate, x, engine.ReasonOverload), false, nil
	}
	return a, false, engine.ErrNotLeader
}

// learn takes in what another node told of a grab, having applied index.
func (g *Group) learn(x *passing, a *engine.Answer, index engine.LogIndex) {
	g.learnOf(a.Listing, index)
	gate := g.named(x.Listing)
	if gate == nil {
		return
	}
	switch {
	case a.Code == engine.CodeGranted, a.Code == engine.CodeWaitlisted, a.Code == engine.CodeEntered:
		gate.see(x.fingerprint) // when they ask again they go the long way, also before this node has seen their hold
		gate.tells(index)
	case a.Reason == engine.ReasonQuota:
		gate.spentUntil.Store(int64(g.slots.now() + quotaWord))
	}
}

// knows reports whether this node knows a listing that another told of.
func (g *Group) knows(h engine.ListingHandle) bool {
	return h == 0 || g.catalogue.Load().gate(h) != nil
}

// leadsWithin waits for an epoch, at most so long.
func (g *Group) leadsWithin(patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return g.awaitEpoch(ctx) == nil
}

// byKey answers from committed state a shopper whose key is known there.
func (g *Group) byKey(gate *gate, x *engine.Grab, key engine.Key) (a engine.Answer, found bool) {
	g.view.View(func(s *engine.State) {
		ref := s.OrderByKey(s.ShopperNo(string(x.Shopper)), key)
		if found = !ref.IsZero(); found {
			e := s.Known(ref, gate.handle, x.Quantity, x.Bargain != 0)
			a = answerIn(s, gate, &e)
		}
	})
	return a, found
}

// known answers from committed state all that it can tell of a shopper: what their
// key led to, or which rule forbids them another hold.
func (g *Group) known(gate *gate, x *engine.Grab, key engine.Key) (a engine.Answer, final bool) {
	g.view.View(func(s *engine.State) {
		l := s.Listing(gate.handle)
		st := s.StandingOf(s.ShopperNo(string(x.Shopper)), x.Shopper, l, key)
		var e engine.Event
		if !st.Known.IsZero() {
			e = s.Known(st.Known, l.Handle, x.Quantity, x.Bargain != 0)
		} else if !st.Place.IsZero() {
			e = s.Taken(st.Place)
		} else if !s.Switches().On(engine.SwitchPrecheck) {
			return
		} else if why, limit := s.MayHold(l, st, x.Quantity); why != engine.ReasonNone {
			e = s.RefusedFor(l, st, why, limit)
		} else {
			return
		}
		a, final = answerIn(s, gate, &e), true
	})
	return a, final
}

// answerOf turns what the log said of a grab into the answer.
func (g *Group) answerOf(gate *gate, e *engine.Event) engine.Answer {
	if e.Kind != engine.HoldRefused && e.State.Granted() || e.Order.IsZero() {
		return answer(gate, e)
	}
	var a engine.Answer
	g.view.View(func(s *engine.State) { a = answerIn(s, gate, e) })
	return a
}

// answerIn is answer, with the live order that a limit counts, or with what is to
// be said of a place on the waitlist or in a draw.
func answerIn(s *engine.State, gate *gate, e *engine.Event) engine.Answer {
	if e.Kind != engine.HoldRefused && !e.State.Granted() {
		return answerOrder(s, e.Order)
	}
	a := answer(gate, e)
	if o := s.Order(e.Order); a.Code == engine.CodeLimitReached && o != nil {
		naming(&a, e.Order, o)
	}
	a.Life = s.Life(a.Order)
	return a
}

func answer(gate *gate, e *engine.Event) engine.Answer {
	if e.Kind == engine.HoldRefused {
		a := gate.refuse(e.Reason)
		if e.Limit > 0 {
			a.Count, a.Limit = e.Quantity, e.Limit
		}
		return a
	}
	return engine.Answer{Code: engine.CodeGranted, State: e.State, Order: e.Order, Life: e.Life, Session: gate.session,
		Listing: e.Listing, Quantity: e.Quantity, Amount: e.Amount, PayBy: e.PayBy, Transaction: e.Transaction}
}

// answerOrder tells a shopper of what a key of theirs led to.
func answerOrder(s *engine.State, ref engine.OrderRef) engine.Answer {
	o := s.Order(ref)
	a := engine.Answer{Code: engine.CodeGranted, Life: s.Life(ref), Session: ref.Session}
	naming(&a, ref, o)
	switch o.State {
	case engine.Waiting:
		a.Code, a.Count, a.PayBy = engine.CodeWaitlisted, s.Position(ref), 0
	case engine.Entered:
		a.Code, a.Start, a.PayBy = engine.CodeEntered, s.DrawAt(s.Listing(o.Listing)), 0
	case engine.Left, engine.Passed:
		return answerPassed(s, ref)
	}
	return a
}

// naming has an answer say all of an order but its life.
func naming(a *engine.Answer, ref engine.OrderRef, o *engine.Order) {
	a.Order, a.State, a.Listing, a.Quantity = ref, o.State, o.Listing, o.Quantity
	a.Amount, a.PayBy, a.Transaction = o.Amount, o.PayBy, o.Transaction
}

// answerPassed tells a shopper why their place at ref came to nothing. Where that was
// a limit, they hear at least how many units must have counted against it then: by
// now they may have let them go.
func answerPassed(s *engine.State, ref engine.OrderRef) engine.Answer {
	o := s.Order(ref)
	l := s.Listing(o.Listing)
	a := engine.Answer{Code: engine.CodeOfPlace(o.Why), Reason: o.Why, State: o.State, Session: ref.Session}
	if a.Code != engine.CodeLimitReached {
		return a
	}
	st := s.StandingOf(o.Shopper, []byte(s.ShopperID(o.Shopper)), l, engine.Key{})
	switch o.Why {
	case engine.ReasonLimitListing:
		a.Count, a.Limit, a.Order = st.ListingUnits, l.LimitPerShopper, st.Live
	case engine.ReasonLimitSession:
		a.Count, a.Limit, a.Order = st.SessionUnits, s.SessionOf(ref.Session).LimitPerShopper, st.Live
	case engine.ReasonLimitMonth:
		a.Count, a.Limit, a.Order = st.MonthUnits, l.LimitPerMonth, st.MonthLive
	case engine.ReasonReleases:
		a.Count, a.Limit = st.Releases, engine.MaxReleases
		return a
	}
	a.Count = max(a.Count, a.Limit-min(a.Limit, o.Quantity-1), 1)
	a.State, a.Life = 0, s.Life(a.Order)
	if live := s.Order(a.Order); live != nil {
		naming(&a, a.Order, live)
	}
	return a
}

// GrabByKey tells what became of a grab: the order that the key led to, or that has
// the number given instead; else
// missed for good, if state time is past deadline; else processing. Without a
// deadline (0) an unknown key is not found.
func (g *Group) GrabByKey(shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, err error) {
	a, found, err = g.whatCame(shopper, key, deadline)
	g.number(&a)
	return a, found, err
}

// whatCame is GrabByKey without the order's number. Where this node does not lead, the
// leader must say: a grab may be under way to it from any node.
func (g *Group) whatCame(shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, err error) {
	processing := engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Deadline: deadline}
	// Looked at first: whoever is not undecided now has been decided, and the state has the outcome.
	undecided := g.slots.undecided.has(g.fingerprint(shopper))
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.GrabTimeout)
	defer cancel()
	for g.others != nil && !g.leads.Load() && !g.presides() {
		if g.hasState() { // else it could not be told what came of it
			var index engine.LogIndex
			if a, found, index, err = g.others.Look(ctx, shopper, key, deadline); err == nil {
				// one of theirs is on its way to the leader
				if g.learnOf(a.Listing, index); a.Code == engine.CodeMissed && undecided {
					a = processing
				}
				return a, found, nil
			}
		}
		if !Pause(ctx) {
			return engine.Answer{}, false, engine.ErrNotLeader
		}
	}
	if err := g.Current(); err != nil {
		return a, false, err
	}
	hash, past := g.hashed(key), false
	g.view.View(func(s *engine.State) {
		ref := s.OrderOf(string(shopper), string(key))
		if found = !ref.IsZero(); found {
			a = answerOrder(s, ref)
		}
		past = s.Now() > deadline
	})
	if !found && g.records.Any() {
		var o engine.OrderRecord
		if o, found, err = g.records.ByKey(string(shopper), hash); err != nil {
			return a, false, err
		}
		if found {
			a = answerRecord(&o)
		}
	}
	switch {
	case found || deadline == 0:
		return a, found, nil
	case past && !undecided: // else a later grab with the same key may still be granted
		return engine.Answer{Code: engine.CodeMissed, Reason: engine.ReasonDeadline}, true, nil
	case g.leads.Load() && g.clock.read() > deadline:
		g.batcher.nudge() // state time is behind because nothing happens
	}
	return processing, true, nil
}

// answerRecord tells a shopper of what a key of theirs led to.
func answerRecord(o *engine.OrderRecord) engine.Answer {
	if !o.State.Granted() {
		return engine.Answer{Code: engine.CodeOfPlace(o.Why), Reason: o.Why, State: o.State, Session: o.Ref.Session}
	}
	return engine.Answer{Code: engine.CodeGranted, State: o.State, Order: o.Ref, Life: o.Life, Session: o.Ref.Session,
		Listing: o.Listing, Quantity: o.Quantity, Amount: o.Amount, PayBy: o.PayBy, Transaction: o.Transaction}
}

// afterSettling answers one who grabs in a settled session: with what their key led to
// there, else with no. Gates know nobody any more.
func (g *Group) afterSettling(gate *gate, x *passing, no engine.Answer) engine.Answer {
	key := g.hashed(x.IdempotencyKey)
	if a, found := g.byKey(gate, x.Grab, key); found {
		return a
	}
	switch o, found, err := g.records.ByKey(string(x.Shopper), key); {
	case err != nil:
		return g.processing(gate, g.clock.read().Add(g.cfg.GrabTimeout))
	case !found:
		return no
	case o.Listing != gate.handle || o.Quantity != x.Quantity:
		return gate.refuse(engine.ReasonKeyReused)
	default:
		return answerRecord(&o)
	}
}
