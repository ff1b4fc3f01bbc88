package actors

import (
	"time"

	"doorbuster/engine"
)

// Grab decides a grab: at the gate where that is possible, else by the actor and
// the log. It answers CodeProcessing when the outcome is not known by the
// deadline; nothing of q is kept. A no at the gate allocates nothing.
func (g *Group) Grab(q *engine.Grab) engine.Answer {
	if !g.caughtUp.Load() && !g.leadsBefore(g.slots.now()+g.cfg.GrabTimeout) {
		// What came before this grab had the same patience, and the time of a grab after it.
		return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Deadline: g.clock.read().Add(2 * g.cfg.GrabTimeout)}
	}
	gate := g.catalogue.Load().byName[string(q.Listing)]
	if gate == nil {
		return engine.Answer{Reason: engine.ReasonUnknown}
	}
	fingerprint := g.fingerprint(q.Shopper)
	engaged := gate.engaged.has(fingerprint)
	if !engaged {
		if why := gate.refusal(q.Quantity); why != engine.ReasonNone {
			return gate.refuse(why)
		}
		if int(gate.waiting.Load()) >= g.cfg.WaitingDepth {
			if g.slots.inside.has(fingerprint) {
				return g.crowded(gate)
			}
			return gate.refuse(engine.ReasonDepth)
		}
		if !gate.admit(fingerprint) {
			return gate.refuse(engine.ReasonQuota)
		}
	}
	key := (*g.keyed.Load())(q.IdempotencyKey)
	if engaged {
		if a, found := g.byKey(gate, q.Shopper, key, q.Quantity); found {
			return a
		}
		if int(gate.waiting.Load()) >= 2*g.cfg.WaitingDepth {
			return g.crowded(gate)
		}
	}
	return g.enter(gate, q, fingerprint, key)
}

// crowded puts off a shopper for whom there is no room, but who may hold a unit
// or have a grab inside: all that he sent before is certain by the deadline.
func (g *Group) crowded(gate *gate) engine.Answer {
	return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonDepth, Session: gate.session, Deadline: g.clock.read().Add(g.cfg.GrabTimeout)}
}

// enter sends the grab to the actor, again with the same key where the outcome
// is unknown, until the deadline.
func (g *Group) enter(gate *gate, q *engine.Grab, fingerprint uint64, key engine.Key) engine.Answer {
	deadline := g.clock.read().Add(g.cfg.GrabTimeout)
	expires := g.slots.now() + g.cfg.GrabTimeout
	epoch, tries := g.epoch.Load(), 0
	g.slots.inside.enter(fingerprint) // between tries, too
	defer g.slots.inside.leave(fingerprint)
	for {
		gate.waiting.Add(1)
		s := g.slots.take(gate, q.Shopper, fingerprint, key, q.Quantity, deadline, expires)
		g.send(gate, s)
		a, answered := g.slots.wait(s)
		if answered && a != unknown {
			return a
		}
		// Within an epoch only an actor's panic makes an outcome unknown; a
		// listing that panics on this grab is asked once more and no further.
		if tries++; g.epoch.Load() != epoch {
			epoch, tries = g.epoch.Load(), 0
		}
		if !answered || tries > 1 && g.leads.Load() || !g.leadsBefore(expires) {
			return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Session: gate.session, Deadline: deadline}
		}
	}
}

// leadsBefore waits for an epoch, at most until the slots' clock says when.
func (g *Group) leadsBefore(when time.Duration) bool {
	for !g.leads.Load() {
		opened := *g.opened.Load()
		if g.leads.Load() {
			break
		}
		patience := time.NewTimer(when - g.slots.now())
		select {
		case <-opened:
			patience.Stop()
		case <-patience.C:
			return false
		}
	}
	return true
}

// byKey answers from committed state a shopper whose key is known there.
func (g *Group) byKey(gate *gate, shopper []byte, key engine.Key, quantity uint32) (a engine.Answer, found bool) {
	g.view.View(func(s *engine.State) {
		ref := s.OrderByKey(s.ShopperNo(string(shopper)), key)
		if found = !ref.IsZero(); found {
			e := s.Known(ref, gate.handle, quantity)
			a = answer(gate, &e)
		}
	})
	return a, found
}

// known answers from committed state all that it can tell of a shopper: what his
// key led to, or which rule forbids him another hold.
func (g *Group) known(gate *gate, shopper []byte, key engine.Key, quantity uint32) (a engine.Answer, final bool) {
	g.view.View(func(s *engine.State) {
		l := s.Listing(gate.handle)
		st := s.StandingOf(s.ShopperNo(string(shopper)), l, key)
		var e engine.Event
		if !st.Known.IsZero() {
			e = s.Known(st.Known, l.Handle, quantity)
		} else if why, limit := s.MayHold(l, st, quantity); why != engine.ReasonNone {
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
	if e.Kind != engine.HoldRefused || e.Order.IsZero() {
		return answer(gate, e)
	}
	var a engine.Answer
	g.view.View(func(s *engine.State) { a = answerIn(s, gate, e) })
	return a
}

// answerIn is answer, with the live order that a limit counts.
func answerIn(s *engine.State, gate *gate, e *engine.Event) engine.Answer {
	a := answer(gate, e)
	if o := s.Order(e.Order); a.Code == engine.CodeLimitReached && o != nil {
		a.Order, a.State, a.Listing, a.Quantity, a.Amount, a.PayBy = e.Order, o.State, o.Listing, o.Quantity, o.Amount, o.PayBy
	}
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
	return engine.Answer{Code: engine.CodeGranted, State: e.State, Order: e.Order, Session: gate.session, Listing: e.Listing,
		Quantity: e.Quantity, Amount: e.Amount, PayBy: e.PayBy}
}

// GrabByKey tells what became of a grab: the order that the key led to; else
// missed for good, if state time is past deadline; else processing. Without a
// deadline (0) an unknown key is not found.
func (g *Group) GrabByKey(shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, err error) {
	if err := g.mayDeny(); err != nil {
		return a, false, err
	}
	hash := (*g.keyed.Load())(key)
	look := func() (past bool) {
		g.view.View(func(s *engine.State) {
			ref := s.OrderByKey(s.ShopperNo(string(shopper)), hash)
			if found = !ref.IsZero(); found {
				o := s.Order(ref)
				a = engine.Answer{Code: engine.CodeGranted, State: o.State, Order: ref, Session: ref.Session, Listing: o.Listing,
					Quantity: o.Quantity, Amount: o.Amount, PayBy: o.PayBy}
			}
			past = s.Now() > deadline
		})
		return past
	}
	// Looked at first: whoever is not inside now has been decided, and is seen.
	inside := g.slots.inside.has(g.fingerprint(shopper))
	past := look()
	switch {
	case found || deadline == 0:
		return a, found, nil
	case past && !inside: // else a later grab with the same key may still be granted
		return engine.Answer{Code: engine.CodeMissed, Reason: engine.ReasonDeadline}, true, nil
	case g.leads.Load() && g.clock.read() > deadline:
		g.batcher.nudge() // state time is behind because nothing happens
	}
	return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Deadline: deadline}, true, nil
}
