package actors

import (
	"errors"
	"fmt"
	"math"
	"time"

	"doorbuster/engine"
)

// What the tests of the package and of those below it look at from within.

// KnownAfter is knownAfter, and AlarmNames is alarmNames.
const (
	KnownAfter = knownAfter
	AlarmNames = alarmNames
)

// Gate is a listing's gate.
func (g *Group) Gate(listing string) *gate { return g.named([]byte(listing)) }

func (g *gate) Undecided() int                  { return int(g.waiting.Load()) }
func (g *gate) HasSeen(fingerprint uint64) bool { return g.seen.has(fingerprint) }
func (g *gate) SeenSoFar() int64                { return g.seen.len() }
func (g *gate) Admit(fingerprint uint64) bool   { return g.admit(fingerprint) }
func (g *gate) Freeze()                         { g.looks.Store(uint32(engine.ListingFrozen)) }

func (g *Group) Fingerprint(shopper string) uint64 { return g.fingerprint([]byte(shopper)) }

// OnGrab has f called by actors with the listing of each grab that they take up.
func (g *Group) OnGrab(f func(listing string)) { g.onGrab = func(s *slot) { f(s.gate.name) } }

// Nudge has a batch proposed though there is no command.
func (g *Group) Nudge() { g.batcher.nudge() }

// Gathered counts the commands of the next entry.
func (g *Group) Gathered() int {
	g.batcher.mu.Lock()
	defer g.batcher.mu.Unlock()
	return len(g.batcher.next.pending)
}

// Sequence is the number of the last batch that was proposed.
func (g *Group) Sequence() uint64 {
	g.batcher.mu.Lock()
	defer g.batcher.mu.Unlock()
	return g.batcher.sequence
}

// Others is what the group was joined with.
func (g *Group) Others() Others          { return g.others }
func (g *Group) SetOthers(others Others) { g.others = others }

// SetSwitches has the group go by switches that the log knows nothing of.
func (g *Group) SetSwitches(change func(*engine.Switches)) {
	changed := *g.switches.Load()
	change(&changed)
	g.switches.Store(&changed)
}

// Since is how long the group's clock of patience has been running.
func (g *Group) Since() time.Duration { return g.slots.now() }

// Enter and Leave count a grab of a shopper's that is nowhere.
func (g *Group) Enter(shopper string) { g.slots.undecided.enter(g.Fingerprint(shopper)) }
func (g *Group) Leave(shopper string) { g.slots.undecided.leave(g.Fingerprint(shopper)) }

// EverybodyKnows reports whether a listing's grants are not held up.
func (g *Group) EverybodyKnows(listing string) bool { return g.everybodyKnows(g.Gate(listing)) }

// HandToActor has the actor of a listing decide a grab; false if it was decided before.
func (g *Group) HandToActor(listing, shopper, key string, to engine.Reply) bool {
	x := passing{Grab: &engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
		Quantity: 1}, fingerprint: g.Fingerprint(shopper), deadline: g.Now().Add(time.Minute), expires: math.MaxInt64,
		reply: to}
	_, handed, _ := g.lead(&x, nil)
	return handed
}

// AtGate is what the gate says of a shopper's grab, if it decides it.
func (g *Group) AtGate(listing string, q *engine.Grab) (engine.Answer, bool) {
	return g.atGate(g.Gate(listing), &passing{Grab: q, fingerprint: g.fingerprint(q.Shopper), front: true})
}

// Lent counts the slots that are in use.
func (g *Group) Lent() int {
	g.slots.mu.Lock()
	defer g.slots.mu.Unlock()
	return len(g.slots.lent)
}

// AllTold reports whether the gate's actor has taken up all that was decided.
func (g *gate) AllTold() bool {
	g.inbox.mu.Lock()
	defer g.inbox.mu.Unlock()
	return len(g.inbox.decided) == 0
}

// Retired counts the actors of gates that are retired, and which are to stop.
func (g *Group) Retired() (n int) {
	g.byActor.Range(func(_, of any) bool {
		if of.(*gate).retired.Load() {
			n++
		}
		return true
	})
	return n
}

// LeavesNothing tells what is left of grabs once all are over.
func (g *Group) LeavesNothing() error {
	var left []error
	if lent := g.Lent(); lent != 0 {
		left = append(left, fmt.Errorf("%d slots were never given back", lent))
	}
	for _, gate := range g.catalogue.Load().byHandle {
		if n := gate.waiting.Load(); n != 0 {
			left = append(left, fmt.Errorf("%s counts %d undecided grabs", gate.name, n))
		}
	}
	for i := range g.slots.undecided {
		if n := g.slots.undecided[i].Load(); n != 0 {
			left = append(left, fmt.Errorf("place %d counts %d undecided grabs", i, n))
		}
	}
	free := map[*slot]bool{}
	for _, x := range g.slots.free {
		if free[x] {
			left = append(left, errors.New("a slot is free twice: two grabs would share it"))
		}
		free[x] = true
	}
	return errors.Join(left...)
}

// Opened is the entry that opened the listing last.
func (g *gate) Opened() uint64 {
	index, _ := g.opened()
	return index
}

// Depth is how many grabs of a listing may wait.
func (g *Group) Depth() int32 { return g.depth() }

// Refused is refused.
func Refused(code engine.Code) bool { return refused(code) }
