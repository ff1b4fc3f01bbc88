package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"doorbuster/engine"
)

// skuActor is the actor of one listing. It takes grabs one by one against its
// speculative state and never says yes.
type skuActor struct {
	group       *Group
	gate        *gate
	speculative *speculative // this incarnation's alone: nobody else completes what it holds
}

// speculative is an actor's memory between messages. A restarted actor begins with a
// new one: what was in flight at the old is decided by the log alone.
type speculative struct {
	inFlight int64            // units proposed and not decided
	joining  int64            // units that are to be waited for, likewise
	shoppers map[uint64]int32 // fingerprints in flight
	parked   []*slot          // waiting for units in flight to be decided, first come first
	twins    []*slot          // waiting for what the same shopper has in flight
	current  *slot            // being decided: lost if the actor panics now

	grabs   []*slot // taken from the inbox; those that are nil have been taken up
	decided []*decided
}

func newSpeculative() *speculative { return &speculative{shoppers: map[uint64]int32{}} }

// decided tells an actor what became of its proposals. Pooled by the group.
type decided struct {
	speculative *speculative
	items       []decidedItem
}

type decidedItem struct {
	fingerprint uint64
	units       uint32 // as counted in speculative
	joining     bool   // in speculative.joining, else in speculative.inFlight
}

// inbox is what has gathered for an actor: one message has it look, however much that is.
// What was decided is told with the next message, or at once where somebody waits for it.
type inbox struct {
	mu      sync.Mutex
	grabs   []*slot
	decided []*decided
	sent    bool // a message is on its way
	waits   bool // somebody is parked, or a twin
}

// add takes a grab in; it reports whether the actor is to be told.
func (b *inbox) add(s *slot) (tell bool) {
	b.mu.Lock()
	b.grabs = append(b.grabs, s)
	tell, b.sent = !b.sent, true
	b.mu.Unlock()
	return tell
}

// tell takes in what was decided; it reports whether somebody waits for that.
func (b *inbox) tell(m *decided) (waits bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decided = append(b.decided, m)
	return b.waits
}

// take empties the inbox, which gets the memory of two slices for what comes next.
func (b *inbox) take(grabs []*slot, decided []*decided) ([]*slot, []*decided) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grabs, grabs = grabs[:0], b.grabs
	b.decided, decided = decided[:0], b.decided
	b.sent = false
	return grabs, decided
}

// rest notes whether somebody waits; false where something was decided meanwhile.
func (b *inbox) rest(waits bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = waits
	return !waits || len(b.decided) == 0
}

// look has an actor look into its inbox; closed tells it that its epoch is over.
type (
	look   struct{}
	closed struct{}
)

// Receive is proto.actor's.
func (a *skuActor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case look:
		a.look()
	case closed:
		a.letGo()
	case *actor.Restarting: // it panicked; its successor begins with what is committed
		a.letGo()
	case *actor.Stopped:
		a.group.byActor.Delete(ctx.Self().Id)
		a.gate.pid.CompareAndSwap(ctx.Self(), nil)
		return
	}
	if a.gate.retired.Load() && a.gate.waiting.Load() == 0 {
		ctx.Stop(ctx.Self()) // nobody sends a grab any more
	}
}

// look takes up what has gathered.
func (a *skuActor) look() {
	for d := a.speculative; ; {
		d.grabs, d.decided = a.gate.inbox.take(d.grabs, d.decided)
		for i, m := range d.decided {
			d.decided[i] = nil
			a.takeDecided(m)
		}
		if len(d.decided) > 0 {
			a.goOn()
		}
		for i, s := range d.grabs {
			d.grabs[i] = nil
			a.decide(s)
		}
		if a.gate.inbox.rest(len(d.parked)+len(d.twins) > 0) {
			return
		}
	}
}

// decide answers a grab, parks it, or sends it on.
func (a *skuActor) decide(s *slot) {
	d := a.speculative
	d.current = s
	if a.group.onGrab != nil {
		a.group.onGrab(s)
	}
	switch {
	case s.abandoned(), !a.group.leads.Load(), a.gate.retired.Load():
		a.unknown(s)
	case d.shoppers[s.fingerprint] > 0 && a.group.blocked.Load():
		a.answer(s, a.group.busy(a.gate)) // what they have in flight may take as long as a zone is away
	case d.shoppers[s.fingerprint] > 0:
		d.current = nil
		d.twins = append(d.twins, s)
	default:
		a.sell(s)
	}
}

func (a *skuActor) answer(s *slot, with engine.Answer) {
	a.speculative.current = nil
	s.Decided(with, 0, nil)
}

// unknown has whoever asked ask again.
func (a *skuActor) unknown(s *slot) {
	a.speculative.current = nil
	s.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
}

// answerKnown answers a shopper who has or had something here, from committed
// state, if that says all there is to say.
func (a *skuActor) answerKnown(s *slot) bool {
	x := engine.Grab{Shopper: s.shopper, Quantity: s.quantity, Bargain: s.bargain}
	answer, final := a.group.known(a.gate, &x, s.key)
	if final {
		a.answer(s, answer)
	}
	return final
}

// sell proposes a hold if units are free, parks the grab if units in flight may
// come back, else says no. Whoever was seen is answered from committed state
// first.
func (a *skuActor) sell(s *slot) {
	d := a.speculative
	quantity := int64(s.quantity)
	free := a.gate.available.Load() - d.inFlight
	if a.gate.waitedFor.Load() > 0 {
		free = 0 // it is theirs
	}
	drawing := a.gate.drawing()
	closed := a.gate.refusal(s.quantity, s.waitlist)
	if closed == engine.ReasonSoldOut || closed == engine.ReasonGone {
		closed = engine.ReasonNone // what is free says that better
	}
	// Where a unit is free, the look into the set of those seen and the entry there are
	// one.
	seen, setAside := false, s.bargain != 0 && a.gate.setsAside() // for them, and not free
	joins := !drawing && free < quantity && s.waitlist && a.gate.facts.Load().waitlist &&
		a.gate.waitlistCapacity.Load()-d.joining >= quantity
	if closed == engine.ReasonNone && (drawing || joins || setAside || free >= quantity) {
		seen = !a.gate.seen.add(s.fingerprint)
	} else {
		seen = a.gate.seen.has(s.fingerprint)
	}
	switch {
	case seen && a.answerKnown(s):
	case closed == engine.ReasonOverload && seen:
		a.answer(s, a.group.busy(a.gate)) // no final no to somebody who may have a grab in flight
	case closed != engine.ReasonNone:
		a.answer(s, a.gate.refuse(closed))
	case a.barred(s):
	case drawing, setAside:
		a.propose(s, 0, false)
	case free >= quantity && a.group.everybodyKnows(a.gate):
		a.propose(s, s.quantity, false)
	case free >= quantity:
		d.current = nil
		d.parked = append(d.parked, s)
		a.group.wakeWhenKnown(a.gate)
	case joins:
		a.propose(s, s.quantity, true)
	case d.inFlight > 0:
		d.current = nil
		d.parked = append(d.parked, s)
	default:
		why := engine.ReasonSoldOut
		if engine.ListingState(a.gate.looks.Load()) == engine.ListingGone {
			why = engine.ReasonGone
		}
		a.answer(s, a.gate.refuse(why))
	}
}

// barred refuses a grab that the play's expressions forbid.
func (a *skuActor) barred(s *slot) bool {
	why := a.group.byPlay(a.gate, s)
	if why != engine.ReasonNone {
		a.answer(s, a.gate.refuse(why))
	}
	return why != engine.ReasonNone
}

// propose hands a grab, whose shopper was seen, to the batcher. units of it are
// counted as in flight or, joining, as waited for.
func (a *skuActor) propose(s *slot, units uint32, joining bool) {
	d := a.speculative
	item := decidedItem{s.fingerprint, units, joining}
	d.count(item, 1)
	d.shoppers[item.fingerprint]++
	d.current = nil
	if !a.group.batcher.addGrab(s, d, item) {
		d.over(item)
		a.unknown(s)
	}
}

func (d *speculative) count(item decidedItem, sign int64) {
	if item.joining {
		d.joining += sign * int64(item.units)
	} else {
		d.inFlight += sign * int64(item.units)
	}
}

// over takes what is decided, or was never proposed, out of the speculative state.
func (d *speculative) over(item decidedItem) {
	d.count(item, -1)
	fingerprint := item.fingerprint
	if d.shoppers[fingerprint]--; d.shoppers[fingerprint] <= 0 {
		delete(d.shoppers, fingerprint)
	}
}

// takeDecided takes in what the log decided.
func (a *skuActor) takeDecided(m *decided) {
	if d := a.speculative; m.speculative == d {
		for _, item := range m.items {
			d.over(item)
		}
	}
	a.group.putDecided(m)
}

// goOn lets those who wait for what is in flight go on where they can. Those that must
// wait on are appended behind.
func (a *skuActor) goOn() {
	d := a.speculative
	for n := len(d.twins); n > 0; n-- {
		s := d.twins[0]
		d.twins = d.twins[1:]
		a.decide(s)
	}
	goesOn := func() bool {
		return d.inFlight == 0 || a.gate.available.Load()-d.inFlight >= int64(d.parked[0].quantity)
	}
	for n := len(d.parked); n > 0 && goesOn(); n-- {
		s := d.parked[0]
		d.parked[0] = nil
		if d.parked = d.parked[1:]; len(d.parked) == 0 {
			d.parked = nil // the room behind the queue's head is given back
		}
		a.decide(s)
	}
}

// letGo completes what waits here as unknown, so that the fronts ask again: the
// epoch is over, or this incarnation. What that had not taken up is its successor's.
func (a *skuActor) letGo() {
	d := a.speculative
	a.speculative = newSpeculative()
	for _, s := range append(append(d.parked, d.twins...), d.current) {
		if s != nil {
			s.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
		}
	}
	for _, s := range d.grabs {
		if s != nil {
			a.group.hand(a.gate, s)
		}
	}
}

// supervisor restarts an actor that panicked from committed state; what it held
// is unknown and asked again once. At the third panic of an epoch the listing is
// quarantined, with an alarm. Other listings never notice.
type supervisor struct{ group *Group }

// panicsAllowed in an epoch, before quarantine.
const panicsAllowed = 2

// HandleFailure is proto.actor's. It runs on the failing actor's goroutine.
func (v *supervisor) HandleFailure(
	_ *actor.ActorSystem, by actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any,
) {
	found, ok := v.group.byActor.Load(child.Id)
	if !ok {
		by.StopChildren(child)
		return
	}
	g := found.(*gate)
	panics := g.panics.Add(1)
	v.group.panics.Add(1)
	f := g.facts.Load()
	v.group.logger.Error("a SKU actor panicked; it restarts from committed state",
		"session", f.session, "sku", f.sku, "panics", panics, "reason", reason)
	if int(panics) > panicsAllowed && g.quarantined.CompareAndSwap(false, true) {
		v.group.logger.Error("ALARM: listing in quarantine: no new shopper is let in until the next epoch",
			"session", f.session, "sku", f.sku)
	}
	by.RestartChildren(child)
}

// hand gives a grab to the listing's actor.
func (g *Group) hand(gate *gate, s *slot) {
	if gate.inbox.add(s) {
		g.wake(gate)
	}
}

// wake has the listing's actor look, which is started when first needed.
func (g *Group) wake(gate *gate) {
	pid := gate.pid.Load()
	if pid == nil {
		pid = g.spawn(gate)
	}
	g.system.Root.Send(pid, look{})
}

// letGo has the listing's actor give back what it holds.
func (g *Group) letGo(gate *gate) {
	if pid := gate.pid.Load(); pid != nil {
		g.system.Root.Send(pid, closed{})
	}
}

func (g *Group) spawn(gate *gate) *actor.PID {
	g.spawning.Lock()
	defer g.spawning.Unlock()
	if pid := gate.pid.Load(); pid != nil {
		return pid
	}
	props := actor.PropsFromProducer(func() actor.Actor {
		return &skuActor{g, gate, newSpeculative()}
	}, actor.WithGuardian(g.supervisor), actor.WithDispatcher(&g.dispatcher))
	pid := g.system.Root.SpawnPrefix(props, "sku")
	g.byActor.Store(pid.Id, gate)
	gate.pid.Store(pid)
	return pid
}

// retire frees what the gates of a settled session hold: nobody gets anything of it
// any more.
func (g *Group) retire(c *catalogue, gone *engine.Leaving) {
	for i := range gone.Listings {
		gate := c.gate(gone.Listings[i].Handle)
		gate.forget()
		g.retireActor(gate)
	}
}

// retireActor has a gate's actor give back what it holds and stop, for good.
func (g *Group) retireActor(gate *gate) {
	gate.retired.Store(true)
	g.letGo(gate)
}
