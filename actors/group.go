package actors

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"doorbuster/engine"
)

// View lets readers see the committed state.
type View interface {
	// View calls read with the state under a reader's lock. read must be short
	// and must keep nothing of the state.
	View(read func(*engine.State))
}

// Config of a Group. Start from DefaultConfig.
type Config struct {
	// WaitingDepth is how many grabs of one listing may wait undecided; more are
	// missed. Default 16,384. Higher holds more memory (about 1 KB each) and
	// lets people wait longer; lower turns a burst away that could have been
	// served.
	WaitingDepth int
	// GrabTimeout is after what time a grab whose outcome is not known is
	// answered "processing". Default 2 s; longer keeps shoppers on the line
	// through a change of leader, shorter makes them ask again.
	GrabTimeout time.Duration
	// CommandTimeout is the same for every other command. Default 5 s.
	CommandTimeout time.Duration
	// EntriesInFlight is how many log entries may be on their way at once.
	// Default 1: what comes meanwhile makes the next one larger. More pays where
	// the log is far away, and makes entries smaller.
	EntriesInFlight int
	// JournalEntries is how many reasons why shoppers were refused the journal
	// keeps, at 32 bytes each; 0 is no journal. Default 262,144 (8 MiB). More looks
	// further back in a rush, and takes its memory as it fills.
	JournalEntries int
	Logger         *slog.Logger
	// Took is told how long the stages of grabs that this node decides took: one grab of a
	// batch for all. It must not block. Default: nobody is.
	Took func(engine.Stage, time.Duration)
	// Wall reads the wall clock. Default time.Now.
	Wall func() time.Time
}

// DefaultConfig is what suits a node.
func DefaultConfig() Config {
	return Config{WaitingDepth: 16_384, GrabTimeout: 2 * time.Second, CommandTimeout: 5 * time.Second,
		EntriesInFlight: 1, JournalEntries: 262_144, Logger: slog.Default(), Wall: time.Now}
}

// Validate tells every field that is out of bounds.
func (c Config) Validate() error {
	var bad []string
	if c.WaitingDepth < 1 || c.WaitingDepth > 1<<20 {
		bad = append(bad, fmt.Sprintf("waiting depth %d is not between 1 and %d", c.WaitingDepth, 1<<20))
	}
	if c.GrabTimeout < 10*time.Millisecond || c.GrabTimeout > time.Minute {
		bad = append(bad, fmt.Sprintf("grab timeout %s is not between 10ms and 1m", c.GrabTimeout))
	}
	if c.CommandTimeout < 10*time.Millisecond || c.CommandTimeout > 10*time.Minute {
		bad = append(bad, fmt.Sprintf("command timeout %s is not between 10ms and 10m", c.CommandTimeout))
	}
	if c.EntriesInFlight < 1 || c.EntriesInFlight > 64 {
		bad = append(bad, fmt.Sprintf("entries in flight %d is not between 1 and 64", c.EntriesInFlight))
	}
	if c.JournalEntries < 0 || c.JournalEntries > MaxJournalEntries {
		bad = append(bad, fmt.Sprintf("journal entries %d are not between 0 and %d", c.JournalEntries,
			MaxJournalEntries))
	}
	if len(bad) > 0 {
		return fmt.Errorf("actors: %v", bad)
	}
	return nil
}

// Group is the gates and actors of one Raft group on one node. It is told of
// every applied entry (Applied, Restored) and of this node's epochs (EpochOpened,
// EpochClosed); shoppers and operators come in by the other methods, which are
// safe for concurrent use.
type Group struct {
	cfg    Config
	logger *slog.Logger
	view   View
	others Others // nil alone
	rounds rounds // of Sync, for the display
	guard  Guard  // nil without
	// formulas evaluates plays' expressions; nil without.
	formulas engine.Formulas
	// tickets is the secret of grab tickets.
	tickets atomic.Pointer[[32]byte]

	records  Records
	switches atomic.Pointer[engine.Switches]
	risky    atomic.Bool // anybody is on a risk list

	catalogue atomic.Pointer[catalogue]
	// figures counts the changes of what is on display: odd while one is being
	// made, so that nobody keeps what they saw half of.
	figures  atomic.Uint64
	clock    *stateClock
	slots    *slotPool
	batcher  *batcher
	journal  *journal // nil: nothing is noted
	seed     maphash.Seed
	keyed    atomic.Pointer[func([]byte) engine.Key]
	numberer atomic.Pointer[engine.Numberer] // never nil; before there is a state, of no group

	turning sync.Mutex // one change of epoch at a time
	leads   atomic.Bool
	epoch   atomic.Uint64
	epochAt atomic.Int64                  // when it opened, by the slots' clock
	opened  atomic.Pointer[chan struct{}] // closed when an epoch opens
	// caughtUp: this node has led, so that all it was ever told of has been
	// applied. Before, what it does not know may well be there, and nothing is
	// denied.
	caughtUp atomic.Bool

	connected  chan struct{} // closed by Connect
	system     *actor.ActorSystem
	supervisor *supervisor
	dispatcher dispatcher
	spawning   sync.Mutex
	byActor    sync.Map // actor id → *gate
	decidedMsg sync.Pool
	waiters    sync.Pool // of waiter
	touched    []*gate   // of the flight being completed
	versions   uint64    // versions of sales' words given out; of the goroutine that applies

	panics  atomic.Int64
	frozen  atomic.Int64
	blocked atomic.Bool // see Blocked

	// onGrab lets tests of this package make an actor fail.
	onGrab func(*slot)
}

// warnings lets proto.actor log only what is amiss: that actors come and go is
// no news here.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// New makes a group that knows of nothing yet. Connect it before anything else.
func New(cfg Config) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, logger: cfg.Logger, clock: newStateClock(cfg.Wall),
		records: Records{patience: cfg.GrabTimeout}, slots: newSlotPool(cfg.GrabTimeout), seed: maphash.MakeSeed(),
		connected: make(chan struct{})}
	if cfg.JournalEntries > 0 {
		g.journal = newJournal(cfg.JournalEntries, g.clock.read)
	}
	g.catalogue.Store(&catalogue{})
	g.numberer.Store(&engine.Numberer{})
	normal := engine.NormalSwitches()
	g.switches.Store(&normal)
	nothing := make(chan struct{})
	g.opened.Store(&nothing)
	g.supervisor = &supervisor{g}
	g.decidedMsg.New = func() any { return &decided{} }
	g.waiters.New = func() any { return make(waiter, 1) }
	g.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(warnings{cfg.Logger.Handler()})
	}))
	return g, nil
}

// Connect gives the group the log that it proposes to and the state that it
// reads. Call it once, before grabs come in, after SetLedger and Join: who tells of
// epochs before waits for it, and other nodes hear that this one does not lead.
func (g *Group) Connect(log Proposer, view View) {
	g.view = view
	g.batcher = newBatcher(log, g.clock, g.cfg.EntriesInFlight, g.landed)
	close(g.connected)
}

// Close stops the group: what is in flight is completed, whoever comes later is
// told that the outcome is unknown. Close it before the log that it proposes to.
func (g *Group) Close() {
	g.EpochClosed()
	g.batcher.shutdown()
	g.system.Shutdown()
	g.slots.close()
	if g.journal != nil {
		g.journal.close()
	}
}

// Applied takes in what one entry did. It is called by the goroutine that
// applies, in order, while readers are locked out; it must not block.
func (g *Group) Applied(s *engine.State, effects *engine.Effects) {
	changes := effects.Catalogue || len(effects.Touched) > 0
	if changes {
		g.figures.Add(1)
	}
	if effects.Catalogue {
		g.catalogue.Store(g.rebuilt(s, g.catalogue.Load()))
	}
	if !g.hasState() {
		g.learnSecret(s) // the first epoch brought it, whoever leads that
	}
	c := g.catalogue.Load()
	own := g.leads.Load() && uint64(effects.Header.Epoch) == g.epoch.Load()
	if !own { // of its own epoch's holds the actor has told the gate already
		// Before the gate closes: who took the last unit is not told that it is gone.
		for i := range effects.Primary {
			if e := &effects.Primary[i]; e.Kind == engine.HoldPlaced || e.Kind == engine.PlaceTaken ||
				e.Kind == engine.DrawEntered {
				c.gate(e.Listing).see(g.fingerprint([]byte(s.ShopperID(e.Shopper))))
			}
		}
	}
	for _, h := range effects.Touched {
		l, gate := s.Listing(h), c.gate(h)
		if engine.ListingState(gate.looks.Load()) != engine.ListingOpen {
			gate.opens(effects.Index, g.slots.now())
		}
		gate.update(s, s.SessionOf(l.Session), l)
	}
	if changes {
		g.figures.Add(1)
	}
	if effects.Switches {
		g.learnSwitches(s)
	}
	for _, id := range effects.Rosters {
		g.learnRoster(s, id)
	}
	for _, gone := range effects.Leaving {
		g.retire(c, gone)
	}
	if changes {
		for i := range effects.Primary {
			if e := &effects.Primary[i]; e.Kind == engine.SessionCleared {
				g.records.left(s.SessionOf(e.Session))
			}
		}
	}
	for i := range effects.Derived {
		if e := &effects.Derived[i]; e.Kind == engine.ListingFroze {
			g.frozen.Add(1)
			g.alarmFrozen(c.gate(e.Listing), effects.Index)
		}
	}
}

func (g *Group) alarmFrozen(frozen *gate, at engine.LogIndex) {
	f := frozen.facts.Load()
	g.logger.Error("ALARM: listing frozen: its units no longer add up; it sells nothing until it was looked into",
		"session", f.session, "sku", f.sku, "log_index", uint64(at))
}

// Restored takes in a state that replaces all before it. Called like Applied.
func (g *Group) Restored(s *engine.State) {
	for _, gate := range g.catalogue.Load().byHandle {
		g.retireActor(gate)
	}
	c := g.rebuilt(s, &catalogue{})
	for _, x := range s.Sessions() {
		if x.Left() {
			g.records.left(x)
		}
		for ordinal := 1; ordinal <= x.Orders() && x.State != engine.Settled; ordinal++ {
			o := s.Order(engine.OrderRef{Session: x.Handle, Ordinal: uint32(ordinal)})
			gate, fingerprint := c.gate(o.Listing), g.fingerprint([]byte(s.ShopperID(o.Shopper)))
			if entered, _ := o.Entrant(); entered {
				gate.seen.add(fingerprint)
			} else {
				gate.see(fingerprint)
			}
		}
	}
	g.learnSecret(s)
	g.figures.Add(1)
	g.catalogue.Store(c) // whole: who looks meanwhile sees what was there before
	g.figures.Add(1)
	// What froze before the snapshot is as alarming as what froze after it.
	frozen := int64(0)
	for _, l := range s.Listings() {
		if l.Frozen {
			frozen++
			g.alarmFrozen(c.gate(l.Handle), s.LogIndex())
		}
	}
	g.frozen.Store(max(frozen, g.frozen.Load()))
	g.learnSwitches(s)
	for _, id := range s.Rosters().IDs() {
		g.learnRoster(s, id)
	}
}

// learnSecret takes over what does not change after the first epoch. A state before
// that is none.
func (g *Group) learnSecret(s *engine.State) {
	secret, known := s.Derive("tickets")
	if !known {
		return
	}
	keyed, numberer := s.Keyed(), s.Numberer()
	g.tickets.Store(&secret)
	g.numberer.Store(&numberer)
	g.keyed.Store(&keyed) // last: it is what hasState goes by
}

// Keyed gives what hashes idempotency keys with the group's secret; nil before this
// node knows it.
func (g *Group) Keyed() func(key []byte) engine.Key {
	if keyed := g.keyed.Load(); keyed != nil {
		return *keyed
	}
	return nil
}

// View calls read with the committed state; see the View that the group was connected
// to.
func (g *Group) View(read func(*engine.State)) { g.view.View(read) }

// hasState reports whether this node has a state of the group's. Whatever needs the
// group's secret is asked for only then.
func (g *Group) hasState() bool { return g.keyed.Load() != nil }

// EpochOpened tells that this node leads, from epoch on; at is state time then.
// The committed state must be the one as of the epoch's first entry.
func (g *Group) EpochOpened(epoch engine.Epoch, at engine.Time) {
	<-g.connected
	g.turning.Lock()
	defer g.turning.Unlock()
	g.closeEpoch(engine.Epoch(g.epoch.Load()))
	g.view.View(g.learnSecret)
	for _, gate := range g.catalogue.Load().byHandle {
		gate.panics.Store(0)
		gate.quarantined.Store(false)
	}
	g.epochAt.Store(int64(g.slots.now()))
	g.epoch.Store(uint64(epoch))
	g.batcher.open(epoch, at)
	g.leads.Store(true)
	g.caughtUp.Store(true)
	close(*g.opened.Load())
	g.logger.Info("epoch opened: this node leads and sells", "epoch", uint64(epoch))
}

// EpochClosed tells that this node no longer leads. The outcome of what is in
// flight is unknown to everybody here.
func (g *Group) EpochClosed() {
	<-g.connected
	g.turning.Lock()
	defer g.turning.Unlock()
	g.closeEpoch(engine.Epoch(g.epoch.Load()))
}

// closeEpoch ends epoch if it is the one that is open; g.turning is held.
func (g *Group) closeEpoch(epoch engine.Epoch) {
	if uint64(epoch) != g.epoch.Load() || !g.leads.CompareAndSwap(true, false) {
		return
	}
	next := make(chan struct{})
	g.opened.Store(&next)
	left := g.batcher.close(epoch)
	g.failed(left, engine.ErrNotLeader)
	for _, gate := range g.catalogue.Load().byHandle {
		gate.quarantined.Store(false) // another leads, and sells
		g.letGo(gate)
	}
}

// awaitEpoch waits until this node leads.
func (g *Group) awaitEpoch(ctx context.Context) error {
	for !g.leads.Load() {
		opened := *g.opened.Load()
		if g.leads.Load() {
			break
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return engine.ErrNotLeader
		}
	}
	return nil
}

// landed completes what a flight brought back.
func (g *Group) landed(f flight, effects *engine.Effects, err error) {
	if err == nil && len(effects.Primary) != len(f.pending) {
		err = engine.ErrOutcomeUnknown // a batch that was refused as malformed
	}
	if err != nil {
		g.logger.Warn("an entry's outcome is unknown; the epoch ends", "epoch", uint64(f.epoch),
			"commands", len(f.pending), "error", err)
		g.turning.Lock()
		g.closeEpoch(f.epoch) // before anybody hears: who asks again would take this node's no for a sure one
		g.turning.Unlock()
		g.failed(f.pending, engine.ErrOutcomeUnknown)
		g.batcher.log.EpochLost(f.epoch)
		return
	}
	for i := range f.pending {
		p, e := &f.pending[i], &effects.Primary[i]
		if p.ask != nil {
			p.ask.outcome = engine.Outcome{Index: effects.Index, Event: *e}
			for _, plan := range effects.Plans {
				if plan.Command == e.Command {
					p.ask.outcome.Changes, p.ask.outcome.Problems = plan.Changes, plan.Problems
				}
			}
			close(p.ask.done)
			continue
		}
		g.noteDecided(p)
	}
	g.passed(&f, &effects.Times)
	g.tellDecided()
	g.answerAll(f.pending, effects.Primary)
	if applied := effects.Times.Applied; f.grabs && !applied.IsZero() {
		g.took(engine.StageAnswer, time.Since(applied))
	}
	for i, gate := range g.touched {
		g.wakeRetired(gate)
		g.touched[i] = nil
	}
	g.touched = g.touched[:0]
}

// passed tells how long the stages of a flight's grabs took.
func (g *Group) passed(f *flight, times *engine.Times) {
	ends := [...]struct {
		stage engine.Stage
		at    time.Time
	}{{engine.StageActor, f.began}, {engine.StageBatch, f.proposed}, {engine.StageLog, times.Stored},
		{engine.StageQuorum, times.Committed}, {engine.StageApply, times.Applied}}
	if f.grabs {
		before := f.handed
		for _, end := range ends {
			if !before.IsZero() && !end.at.IsZero() {
				g.took(end.stage, max(0, end.at.Sub(before)))
			}
			before = end.at
		}
	}
	if !f.traced {
		return
	}
	for i := range f.pending {
		if p := &f.pending[i]; p.ask == nil && p.slot.trace != nil {
			for _, end := range ends[1:] { // the first is its own
				p.slot.trace.Ended(end.stage, end.at)
			}
		}
	}
}

func (g *Group) took(stage engine.Stage, took time.Duration) {
	if g.cfg.Took != nil {
		g.cfg.Took(stage, took)
	}
}

// wakeRetired has the actor of a gate that is retired, if it is there, look whether it
// may stop, once somebody who waited there does so no more.
func (g *Group) wakeRetired(gate *gate) {
	if gate.retired.Load() && gate.waiting.Load() == 0 {
		if pid := gate.pid.Load(); pid != nil {
			g.system.Root.Send(pid, look{})
		}
	}
}

// answersAWriter is how many answers are worth a goroutine that writes them beside others.
const answersAWriter = 8

// answerAll answers the grabs of a flight, with as many writers as processors where there
// are many: one alone would leave the others nothing to do.
func (g *Group) answerAll(flight []pending, came []engine.Event) {
	var beside sync.WaitGroup
	writers := max(1, min(runtime.GOMAXPROCS(0), len(flight)/answersAWriter))
	part := (len(flight) + writers - 1) / writers
	answer := func(from, to int) {
		for i := from; i < to; i++ {
			if p := &flight[i]; p.ask == nil {
				p.slot.Decided(g.answerOf(p.gate, &came[i]), 0, nil)
			}
		}
	}
	for from := part; from < len(flight); from += part {
		beside.Go(func() { answer(from, min(from+part, len(flight))) })
	}
	answer(0, min(part, len(flight)))
	beside.Wait()
}

// failed completes commands of which nobody knows what became, or which were
// never proposed.
func (g *Group) failed(commands []pending, err error) {
	for i := range commands {
		if p := &commands[i]; p.ask != nil {
			p.ask.err = err
			close(p.ask.done)
		} else {
			p.slot.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
			g.wakeRetired(p.gate)
		}
	}
}

// noteDecided gathers what the actor of p's listing is to be told.
func (g *Group) noteDecided(p *pending) {
	gate := p.gate
	if m := gate.decided; m != nil && m.speculative != p.speculative {
		gate.inbox.tell(m)
		gate.decided = nil
	}
	if gate.decided == nil {
		gate.decided = g.decidedMsg.Get().(*decided)
		gate.decided.speculative = p.speculative
		g.touched = append(g.touched, gate)
	}
	gate.decided.items = append(gate.decided.items, p.item)
}

func (g *Group) tellDecided() {
	for _, gate := range g.touched {
		if m := gate.decided; m != nil {
			gate.decided = nil
			if gate.inbox.tell(m) || gate.retired.Load() {
				g.wake(gate)
			}
		}
	}
}

func (g *Group) putDecided(m *decided) {
	m.speculative, m.items = nil, m.items[:0]
	g.decidedMsg.Put(m)
}

func (g *Group) fingerprint(shopper []byte) uint64 {
	return maphash.Bytes(g.seed, shopper) | 1 // never 0
}

// Stats are a group's counters since it started.
type Stats struct {
	Leads          bool
	Epoch          engine.Epoch
	Panics         int64 // of SKU actors
	FrozenListings int64 // alarms
	Quarantined    int64 // listings now
	Leaving        int64 // settled sessions whose orders have not left the state yet
	Waiting        int64 // undecided grabs now
	Actors         int64 // listings whose actor has been needed
	JournalEntries int64 // in use
	JournalLost    uint64
	Batches        uint64 // proposed
	Commands       uint64 // in them
	Gathering      int64  // commands that wait for the next batch
	InFlight       int64  // batches on their way
}

// Stats gives the counters.
func (g *Group) Stats() Stats {
	s := Stats{Leads: g.leads.Load(), Epoch: engine.Epoch(g.epoch.Load()), Panics: g.panics.Load(),
		FrozenListings: g.frozen.Load()}
	s.Batches, s.Commands = g.batcher.batches.Load(), g.batcher.commands.Load()
	s.Gathering, s.InFlight = int64(g.batcher.gathered()), int64(len(g.batcher.tokens))
	if j := g.journal; j != nil {
		s.JournalEntries, s.JournalLost = j.used.Load(), j.lostSoFar()
	}
	for _, gate := range g.catalogue.Load().byHandle {
		s.Waiting += int64(gate.waiting.Load())
		if gate.pid.Load() != nil {
			s.Actors++
		}
		if gate.quarantined.Load() {
			s.Quarantined++
		}
	}
	g.view.View(func(state *engine.State) {
		for _, x := range state.Sessions() {
			if x.Leaving() {
				s.Leaving++
			}
		}
	})
	return s
}
