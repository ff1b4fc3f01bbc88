package actors

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"doorbuster/engine"
)

// gate stands before a listing on every node. Its figures are the committed
// ones; the goroutine that applies writes them, anybody reads them.
type gate struct {
	handle  engine.ListingHandle
	session engine.SessionHandle
	name    string // "{session}/skus/{sku}"

	looks            atomic.Uint32 // engine.ListingState
	available        atomic.Int64
	stock            atomic.Int64
	released         atomic.Int64
	lowest           atomic.Int64 // what is shown of it; see engine.Listing
	sold             atomic.Int64 // the most ever; where there is a play
	waitedFor        atomic.Int64 // units waited for
	waitlistCapacity atomic.Int64 // units that may be waited for besides
	drawState        atomic.Uint32
	facts            atomic.Pointer[facts]

	// seen has everybody who holds, held or may be in flight.
	seen fingerprints
	// admitted has everybody whom the admission quota let in on this node; used only
	// with one. elsewhere counts those besides whom another leader let in: the log
	// tells of those who got something.
	admitted  fingerprints
	elsewhere atomic.Int64
	// waiting counts the undecided grabs, parked or in flight.
	waiting atomic.Int32
	// quarantined: the actor panicked too often in this epoch.
	quarantined atomic.Bool
	// blocked: nothing that is proposed now would be acknowledged; the group's.
	blocked *atomic.Bool
	// switches are the group's.
	switches *atomic.Pointer[engine.Switches]
	// refused counts what this node's shoppers were refused, by engine.Reason. It is apart,
	// since all else is read far more often than written.
	refused []atomic.Uint64
	// spentUntil is until when, by the slots' clock, a node that does not lead
	// takes the leader's word that the admission quota is used up.
	spentUntil atomic.Int64
	// told is up to which log index a node that does not lead has told shoppers of
	// grants here, as the leader's word.
	told atomic.Uint64

	// reopened is the log index that opened it last; reopenedAt is when this node
	// applied that, by the slots' clock.
	reopened   atomic.Uint64
	reopenedAt atomic.Int64
	waking     atomic.Bool // see wakeWhenKnown

	pid    atomic.Pointer[actor.PID] // nil until first needed
	inbox  inbox                     // of the actor
	panics atomic.Int32              // of the actor, in this epoch
	// retired: the gate is out of the catalogue, or its session settled. Grabs that
	// are undecided are given back to their fronts, nobody else is let in, and the actor
	// stops once waiting is 0. Set before the actor is told.
	retired atomic.Bool
	// decided is what the actor is to be told of the flight being completed; the
	// batcher's.
	decided *decided
}

// rules are all that a plan says of who may buy how much of a listing, and when.
type rules struct {
	session  engine.SessionSpec
	listing  engine.ListingSpec
	timezone string // of the sale
}

// changes reports whether a listing, as f has it and as it looks now, may let in
// whom the gate refused. Other listings' changes must not hold up its grants.
func (g *gate) changes(f *facts, looks engine.ListingState, draw engine.DrawState) bool {
	old := g.facts.Load()
	return old == nil || old.rules != f.rules || draw != engine.DrawState(g.drawState.Load()) ||
		looks == engine.ListingOpen && looks != engine.ListingState(g.looks.Load())
}

// facts are what a listing's plan says, as one immutable value.
type facts struct {
	rules        rules
	session, sku string
	mostAtOnce   uint32
	multiple     uint32
	start, end   engine.Time
	view         engine.ListingView // without what changes with each grab
	waitlist     bool
	ticket       bool
	challenge    engine.Challenge
	draws        bool
	play         *engine.Play  // nil: a flash sale
	opened       engine.Time   // the session; 0 while it has not
	own          *saleMessages // of a play with words of its own; nil: the sale's
}

// drawing reports whether a grab enters a draw now.
func (g *gate) drawing() bool {
	return g.facts.Load().draws && engine.DrawState(g.drawState.Load()) != engine.DrawDone
}

// doorRules gives what the door must know of the listing.
func (g *gate) doorRules() engine.DoorRules {
	f, w := g.facts.Load(), g.switches.Load()
	r := engine.DoorRules{Session: g.session, Listing: g.handle, State: engine.ListingState(g.looks.Load()),
		Ticket: f.ticket, Challenge: f.challenge, Reservation: f.view.Reservation && w.On(engine.SwitchReservations),
		Start: f.start, Closed: g.refusal(1, true)}
	switch w[engine.SwitchChallenge] {
	case 0:
		r.Challenge = engine.ChallengeNone
	case 2:
		r.Challenge = engine.ChallengeWork
	case 3:
		r.Challenge = engine.ChallengeImage
	}
	switch w[engine.SwitchTickets] {
	case 0:
		r.Ticket, r.Challenge = false, engine.ChallengeNone
	case 2:
		r.Ticket = true
	}
	r.Ticket = r.Ticket || r.Challenge != engine.ChallengeNone
	return r
}

// update takes over the committed figures of l.
func (g *gate) update(s *engine.State, session *engine.Session, l *engine.Listing) {
	g.stock.Store(l.Stock)
	g.available.Store(l.Available)
	g.released.Store(l.Released)
	g.lowest.Store(l.Lowest)
	g.sold.Store(l.Sold)
	g.waitedFor.Store(l.Waiting)
	g.waitlistCapacity.Store(s.WaitlistCapacity(l))
	g.drawState.Store(uint32(l.DrawState))
	g.looks.Store(uint32(session.StateOf(l)))
}

// tells notes that a grant is told which the log has by an index.
func (g *gate) tells(index engine.LogIndex) {
	for told := g.told.Load(); uint64(index) > told; told = g.told.Load() {
		if g.told.CompareAndSwap(told, uint64(index)) {
			return
		}
	}
}

// opens notes that the listing has opened, or opened again, with an entry.
func (g *gate) opens(index engine.LogIndex, at time.Duration) {
	g.reopenedAt.Store(int64(at)) // first: who sees the index sees a time that is as late
	g.reopened.Store(uint64(index))
}

// opened gives what opens noted last.
func (g *gate) opened() (index uint64, at time.Duration) {
	return g.reopened.Load(), time.Duration(g.reopenedAt.Load())
}

// refusal gives the answer that the gate has for those it knows nothing of;
// ReasonNone lets them in. waitlist: they would rather join the waitlist.
func (g *gate) refusal(quantity uint32, waitlist bool) engine.Reason {
	switch engine.ListingState(g.looks.Load()) {
	case engine.ListingOpen:
		if quantity > g.facts.Load().mostAtOnce {
			return engine.ReasonQuantity
		}
		if g.quarantined.Load() || g.blocked.Load() {
			return engine.ReasonOverload
		}
		return engine.ReasonNone
	case engine.ListingSoldOut:
		if waitlist && g.waitlistCapacity.Load() >= int64(quantity) && !g.quarantined.Load() && !g.blocked.Load() {
			return engine.ReasonNone
		}
		return engine.ReasonSoldOut
	case engine.ListingGone:
		return engine.ReasonGone
	case engine.ListingPublished:
		return engine.ReasonNotOpen
	case engine.ListingPaused:
		return engine.ReasonPaused
	case engine.ListingEnded:
		return engine.ReasonEnded
	case engine.ListingFrozen:
		return engine.ReasonFrozen
	}
	return engine.ReasonUnknown // drafts are nobody's business
}

// setsAside reports whether bargains have units set aside for them.
func (g *gate) setsAside() bool {
	p := g.facts.Load().play
	return p.Cuts() && p.Cut.TakeStock
}

// refuse makes the answer of a reason.
func (g *gate) refuse(why engine.Reason) engine.Answer {
	a := engine.Answer{Code: engine.CodeOf(why), Reason: why, Session: g.session}
	switch why {
	case engine.ReasonNotOpen:
		a.Start = g.facts.Load().start
	case engine.ReasonQuantity:
		a.Limit = g.facts.Load().mostAtOnce
	}
	return a
}

// see takes in one who got something by another leader's word. Entries of a draw
// count against no quota.
func (g *gate) see(fingerprint uint64) {
	if g.seen.add(fingerprint) && !g.drawing() && !g.admitted.has(fingerprint) {
		g.elsewhere.Add(1)
	}
}

// forget frees what a gate knows of shoppers.
func (g *gate) forget() {
	g.seen.clear()
	g.admitted.clear()
	g.elsewhere.Store(0)
}

// admit counts a shopper against the admission quota, once; false if it is used up.
func (g *gate) admit(fingerprint uint64) bool {
	multiple := int64(g.facts.Load().multiple)
	if multiple == 0 || g.admitted.has(fingerprint) || g.drawing() || !g.switches.Load().On(engine.SwitchAdmission) {
		return true
	}
	most := multiple*(g.stock.Load()+g.released.Load()) - g.elsewhere.Load()
	if g.admitted.len() >= most {
		return g.admitted.has(fingerprint) // their other click may have been the last
	}
	return g.admitted.addUpTo(most, fingerprint)
}
