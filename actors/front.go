package actors

import (
	"context"
	"errors"
	"sync"
	"time"

	"doorbuster/engine"
)

// Decide decides a grab: at the gate where that is possible, and else by the actor and the
// log, on whichever node leads; then decided is false and to is told, once, maybe before
// Decide returns. It is CodeProcessing when the outcome is not known by the deadline. A no
// at the gate allocates nothing. A no of any kind is noted in this node's journal.
func (g *Group) Decide(q *engine.Grab, to engine.Asker) (a engine.Answer, decided bool) {
	x := passing{Grab: q, fingerprint: g.fingerprint(q.Shopper), front: true}
	a, gate, decided := g.decide(&x)
	if !decided {
		if a, decided = g.begin(&x, gate, to); !decided {
			return a, false
		}
	}
	g.finish(gate, &x, &a)
	return a, true
}

// Grab is Decide for who waits. Nothing of q is kept.
func (g *Group) Grab(q *engine.Grab) engine.Answer {
	w := g.waiters.Get().(waiter)
	defer g.waiters.Put(w)
	a, decided := g.Decide(q, w)
	if !decided {
		a = (<-w).answer
	}
	return a
}

// waiter is told what became of one grab at a time.
type waiter chan outcome

type outcome struct {
	answer engine.Answer
	index  engine.LogIndex
	err    error
}

// Keep is engine.Asker's: who waits keeps all.
func (w waiter) Keep() {}

// Decided is engine.Reply's.
func (w waiter) Decided(a engine.Answer, index engine.LogIndex, err error) {
	w <- outcome{a, index, err}
}

// finish makes an answer whole, and notes a no. It may read what is settled.
func (g *Group) finish(gate *gate, x *passing, a *engine.Answer) {
	if settled := g.settledFor(x, a); settled != nil {
		*a = g.afterSettling(settled, x, *a)
	}
	g.number(a)
	if refused(a.Code) {
		g.noteRefusal(gate, x.Listing, x.fingerprint, a.Code, a.Reason)
	}
}

// retryPause is how long a front waits before it asks again whoever leads then.
const retryPause = 5 * time.Millisecond

// errExpired is told when the time of a grab is over.
var errExpired = errors.New("the grab's time is over")

// front is a grab that came to this node and that somebody has to decide. It is told what
// came of the first try, and asks again whoever leads then where that is not known.
type front struct {
	passing
	group *Group
	gate  *gate // that let it in here, or nil
	to    engine.Reply

	// Of the last try.
	elsewhere, leads bool
	epoch            uint64
}

var fronts = sync.Pool{New: func() any { return new(front) }}

// begin has whoever leads decide a grab; to is told later, unless it is decided at once.
func (g *Group) begin(x *passing, gate *gate, to engine.Asker) (a engine.Answer, decided bool) {
	to.Keep()
	x.deadline, x.expires = g.clock.read().Add(g.cfg.GrabTimeout), g.slots.now()+g.cfg.GrabTimeout
	x.front, x.undecided = false, 1
	g.slots.undecided.enter(x.fingerprint) // between tries, too
	f := fronts.Get().(*front)
	f.passing, f.group, f.gate, f.to = *x, g, gate, to
	if g.others != nil && !g.leads.Load() {
		gate = nil // passed, but not the leader's
	}
	a, handed, err := f.try(gate, f)
	switch {
	case handed: // f may be told, and another's, by now
		return a, false
	case err != nil:
		go f.insist(err, false)
		return a, false
	}
	g.slots.undecided.leave(x.fingerprint)
	f.put()
	return a, true
}

// put gives f back.
func (f *front) put() {
	*f = front{}
	fronts.Put(f)
}

// try asks whoever leads; handed: to is told. passed is the leader's gate, where the grab
// has passed that.
func (f *front) try(passed *gate, to engine.Reply) (a engine.Answer, handed bool, err error) {
	g := f.group
	f.epoch, f.leads, f.reply = g.epoch.Load(), g.leads.Load(), to
	f.elsewhere = g.others != nil && !f.leads && !g.presides()
	switch {
	case !f.elsewhere:
		return g.lead(&f.passing, passed)
	case g.hasState(): // else it could not be told what came of it
		q, deadline, s := f.Grab, f.deadline, g.slots.lend(&f.passing, nil)
		lent := s.state.Load()
		g.others.Grab(q, deadline, s) // it may be decided by now
		s.handed(lent)
		return a, true, nil
	}
	return a, false, engine.ErrNotLeader
}

// Decided takes in what came of the first try. It is engine.Reply's, and does not wait.
func (f *front) Decided(a engine.Answer, index engine.LogIndex, err error) {
	g := f.group
	switch {
	case err == nil && (f.elsewhere && !g.knows(a.Listing) || g.settledFor(&f.passing, &a) != nil):
		go f.tell(a, index)
	case err == nil:
		f.tell(a, index)
	case err == errExpired:
		f.tell(g.processing(f.gate, f.deadline), 0)
	default:
		go f.insist(err, true)
	}
}

// tell tells what became of the grab. index is what another node had applied that decided
// it; 0 for none.
func (f *front) tell(a engine.Answer, index engine.LogIndex) {
	g, to := f.group, f.to
	if index != 0 {
		g.learn(&f.passing, &a, index)
	}
	g.slots.undecided.leave(f.fingerprint)
	g.finish(f.gate, &f.passing, &a)
	f.put()
	to.Decided(a, 0, nil)
}

// insist asks again, with the same key, where the outcome of the first try is unknown,
// until the grab's time is over. handed: somebody had taken that.
//
// A try whose outcome is unknown may yet have its effect: on the way to another node
// until its deadline, here until another epoch opens. Before that no later try's no is
// sure, since a unit may come back meanwhile.
func (f *front) insist(err error, handed bool) {
	g, w, epoch, tries := f.group, make(waiter, 1), f.epoch, 0
	lost, left := false, false // a try elsewhere, or any, of unknown outcome
	for {
		if handed && !errors.Is(err, engine.ErrNotLeader) {
			lost, left = lost || f.elsewhere, true
		}
		// Within an epoch only an actor's panic makes an outcome unknown; a listing that
		// panics on this grab is asked once more and no further.
		if e := g.epoch.Load(); e != epoch {
			epoch, tries = e, 0
		}
		here := handed && !f.elsewhere
		if here {
			tries++
		}
		switch patience := f.expires - g.slots.now(); {
		case here && g.leads.Load() && tries <= 1:
		case here && g.leads.Load(), patience <= retryPause:
			f.tell(g.processing(f.gate, f.deadline), 0)
			return
		case g.others == nil && !g.leads.Load():
			g.leadsWithin(patience - retryPause)
		default:
			time.Sleep(retryPause)
		}
		var a engine.Answer
		var index engine.LogIndex
		if a, handed, err = f.try(nil, w); handed {
			came := <-w
			a, index, err = came.answer, came.index, came.err
		}
		switch {
		case err == errExpired, err == nil && refused(a.Code) && (lost || left && !f.leads):
			f.tell(g.processing(f.gate, f.deadline), 0)
			return
		case err == nil:
			f.tell(a, index)
			return
		}
	}
}

// Pause waits before somebody is asked again; false once ctx ends.
func Pause(ctx context.Context) bool {
	select {
	case <-time.After(retryPause):
		return true
	case <-ctx.Done():
		return false
	}
}
