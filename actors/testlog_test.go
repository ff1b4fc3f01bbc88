package actors_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/engine"
)

// memoryLog is a replicated log without the replication: entries are applied by
// one goroutine, in order, when the test lets them.
type memoryLog struct {
	group     *backoffice.Office
	followers []*backoffice.Office // that apply the same, at once

	mu    sync.RWMutex // the state's
	state *engine.State
	seen  func(*engine.State, *engine.Effects) // told of each entry; nil without
	more  []*engine.State                      // of other nodes
	index engine.LogIndex

	proposing sync.Mutex
	entries   chan *memoryEntry
	hold      chan struct{} // nil: entries are applied at once
	fail      bool          // the next entries come to nothing
	batches   int
	commands  int
	lost      chan engine.Epoch
	done      chan struct{}
	held      atomic.Int64 // entries that came while they were to be held
}

type memoryEntry struct {
	data    []byte
	applied chan struct{}
	effects *engine.Effects
	err     error
}

func newMemoryLog(g *backoffice.Office) *memoryLog {
	l := &memoryLog{group: g, state: engine.NewState(), entries: make(chan *memoryEntry, 64),
		lost: make(chan engine.Epoch, 64), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for e := range l.entries {
			l.proposing.Lock()
			hold, fail := l.hold, l.fail
			l.proposing.Unlock()
			if hold != nil {
				l.held.Add(1)
				<-hold
			}
			if fail {
				e.err = engine.ErrOutcomeUnknown
			} else {
				e.effects, e.err = l.apply(e.data)
			}
			close(e.applied)
		}
	}()
	return l
}

func (l *memoryLog) apply(entry []byte) (*engine.Effects, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	effects := new(engine.Effects)
	err := l.state.Apply(l.index, entry, effects)
	for _, other := range l.more {
		if also := other.Apply(l.index, entry, new(engine.Effects)); (also == nil) != (err == nil) {
			err = errors.Join(err, also)
		}
	}
	if l.seen != nil && err == nil {
		l.seen(l.state, effects)
	}
	l.group.Applied(l.state, effects)
	for _, follower := range l.followers {
		follower.Applied(l.state, effects)
	}
	l.batches++
	l.commands += effects.Header.Commands
	return effects, err
}

func (l *memoryLog) Propose(entry []byte) func() (*engine.Effects, error) {
	e := &memoryEntry{data: entry, applied: make(chan struct{})}
	l.entries <- e
	return func() (*engine.Effects, error) {
		<-e.applied
		return e.effects, e.err
	}
}

func (l *memoryLog) EpochLost(epoch engine.Epoch) { l.lost <- epoch }

func (l *memoryLog) View(read func(*engine.State)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	read(l.state)
}

// holdEntries keeps entries from being applied until the function it returns is
// called.
func (l *memoryLog) holdEntries() (release func()) {
	l.proposing.Lock()
	defer l.proposing.Unlock()
	gate := make(chan struct{})
	l.hold = gate
	return func() {
		l.proposing.Lock()
		l.hold = nil
		l.proposing.Unlock()
		close(gate)
	}
}

func (l *memoryLog) setFail(fail bool) {
	l.proposing.Lock()
	l.fail = fail
	l.proposing.Unlock()
}

// openEpoch does what the cluster does when this node gains leadership.
func (l *memoryLog) openEpoch(t testing.TB, now engine.Time) {
	t.Helper()
	l.group.EpochClosed()
	effects, err := l.apply(engine.EncodeBatch(engine.BatchHeader{Time: now},
		engine.Command{Kind: engine.CmdOpenEpoch, Node: "n1", Secret: [16]byte{1, 2, 3}}))
	if err != nil {
		t.Fatal(err)
	}
	l.group.EpochOpened(engine.Epoch(effects.Index), effects.Time)
}

// testShop is a shop that sells, on a memory log.
type testShop struct {
	*backoffice.Office
	log *memoryLog
	t   testing.TB
}

func openShop(t testing.TB, change func(*actors.Config)) *testShop {
	t.Helper()
	cfg := actors.DefaultConfig()
	cfg.GrabTimeout = 20 * time.Second // a condition decides, not the clock
	if change != nil {
		change(&cfg)
	}
	g, err := backoffice.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	log := newMemoryLog(g)
	g.Connect(log, log)
	log.openEpoch(t, engine.TimeOf(cfg.Wall()))
	s := &testShop{Office: g, log: log, t: t}
	t.Cleanup(func() {
		g.Close()
		close(log.entries)
		<-log.done
		s.conserves()
	})
	return s
}

// plan lists products in one session, open from now on.
func (s *testShop) plan(session string, change func(*engine.SessionPlan), listings ...engine.ListingSpec) {
	s.t.Helper()
	now := s.Now().Add(-time.Second) // the leader's clock may be a little behind a follower's
	p := &engine.Plan{Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "UTC"}}}}
	x := engine.SessionPlan{SessionSpec: engine.SessionSpec{ID: session, StartSpec: "now", Start: now,
		End: now.Add(time.Hour), PayWithin: time.Minute, LimitPerShopper: 1, Publish: true}, Listings: listings}
	for _, l := range listings {
		p.Products = append(p.Products, engine.Product{ID: l.SKU, Currency: "CNY",
			Name: engine.Text{{Lang: "en", Text: l.SKU}}})
	}
	if change != nil {
		change(&x)
	}
	p.Sales[0].Sessions = []engine.SessionPlan{x}
	o, err := s.ApplyPlan(s.t.Context(), engine.By{Operator: "ops"}, p, false)
	if err != nil || len(o.Problems) > 0 {
		s.t.Fatal(err, o.Problems)
	}
}

func units(sku string, stock int64) engine.ListingSpec {
	return engine.ListingSpec{SKU: sku, Price: 100, Stock: stock, Shown: -1, LimitPerShopper: 1}
}

func (s *testShop) grab(listing, shopper, key string) engine.Answer {
	return s.Grab(&engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
		Quantity: 1})
}

// conserves checks what must be true of every listing at any time.
func (s *testShop) conserves() {
	s.t.Helper()
	s.log.View(func(state *engine.State) {
		for _, l := range state.Listings() {
			if !l.Frozen && (l.Stock != l.Available+l.Held+l.Paid || l.Available < 0 || l.Held < 0 || l.Paid < 0) {
				s.t.Errorf("listing %s: stock %d, available %d, held %d, paid %d", l.SKU, l.Stock, l.Available, l.Held,
					l.Paid)
			}
		}
	})
}

func (s *testShop) counts(session, sku string) engine.Counts {
	s.t.Helper()
	c, err := s.Counts(session, sku)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// await waits for a condition that other goroutines bring about.
func await(t testing.TB, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatal("never came: ", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func isRefusal(err error, why engine.Reason) error {
	var r *engine.Refusal
	if !errors.As(err, &r) || r.Reason != why {
		return fmt.Errorf("got %v, want a refusal for %s", err, why)
	}
	return nil
}
