package sinks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// group is a group of nodes with one trail and one committed state, as feeds see it.
type group struct {
	mu     sync.Mutex
	state  *engine.State
	epoch  engine.Epoch
	count  uint64
	events []engine.TrailEvent
	grown  chan struct{}
	first  engine.TrailPosition // that is kept
	leader atomic.Int32
	fails  atomic.Int32 // commands that find no leader
}

func newGroup(t *testing.T) *group {
	g := &group{state: engine.NewState(), grown: make(chan struct{})}
	var eff engine.Effects
	open := engine.EncodeBatch(engine.BatchHeader{Time: 1000}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "a"})
	if err := g.state.Apply(1, open, &eff); err != nil {
		t.Fatal(err)
	}
	g.epoch = 1
	return g
}

// add appends events of orders, each its own entry or several in one.
func (g *group) add(n, orders int, random *rand.Rand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := engine.TrailPosition{Index: 1}
	if len(g.events) > 0 {
		at = g.events[len(g.events)-1].TrailPosition
	}
	for i := range n {
		if at.N++; i == 0 || random.IntN(2) == 0 { // an entry is there whole or not at all
			at = engine.TrailPosition{Index: at.Index + 1 + engine.LogIndex(random.IntN(3))}
		}
		e := engine.TrailEvent{TrailPosition: at, Time: engine.TimeOf(time.Now()), Kind: engine.OrderPaid,
			OrderNo: fmt.Sprint("o", random.IntN(orders))}
		if random.IntN(8) == 0 {
			e.Kind = engine.HoldRefused // no sink is handed it
		}
		g.events = append(g.events, e)
	}
	close(g.grown)
	g.grown = make(chan struct{})
}

// told are the events that sinks are to have, from a position on.
func (g *group) told(from engine.TrailPosition) (ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.events {
		if e := &g.events[i]; Tells(e.Kind) && !e.Before(from) {
			ids = append(ids, e.TrailPosition.String())
		}
	}
	return ids
}

func (g *group) Events(from engine.TrailPosition, most int) (page []engine.TrailEvent, next engine.TrailPosition,
	err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from.Before(g.first) {
		return nil, from, &engine.TrailGone{First: g.first}
	}
	i, _ := slices.BinarySearchFunc(g.events, from, func(e engine.TrailEvent, p engine.TrailPosition) int {
		return e.TrailPosition.Compare(p)
	})
	page = slices.Clone(g.events[i:min(i+most, len(g.events))])
	if len(page) == most {
		return page, page[most-1].Next(), nil
	}
	next = from
	if end := g.end(); from.Before(end) {
		next = end
	}
	return page, next, nil
}

func (g *group) end() engine.TrailPosition {
	if len(g.events) == 0 {
		return engine.TrailPosition{Index: 2}
	}
	return engine.TrailPosition{Index: g.events[len(g.events)-1].Index + 1}
}

func (g *group) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	for {
		g.mu.Lock()
		end, grown := g.end(), g.grown
		g.mu.Unlock()
		if from.Before(end) || ctx.Err() != nil {
			return end.Index - 1
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

func (g *group) Horizon(bool) (engine.TrailPosition, engine.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, _ := slices.BinarySearchFunc(g.events, g.first, func(e engine.TrailEvent, p engine.TrailPosition) int {
		return e.TrailPosition.Compare(p)
	})
	if i == len(g.events) {
		return g.end(), 0, nil
	}
	return g.events[i].TrailPosition, g.events[i].Time, nil
}

// nodeOf is a group as one of its nodes has it.
type nodeOf struct {
	*group
	id int32
}

func (n nodeOf) Leads() bool { return n.leader.Load() == n.id }

func (n nodeOf) OrdersNow(nos []string) (map[string]*engine.OrderView, engine.LogIndex, error) {
	views := map[string]*engine.OrderView{}
	for _, no := range nos {
		views[no] = &engine.OrderView{OrderNo: no}
	}
	return views, 1, nil
}

func (n nodeOf) Sink(name string) *engine.SinkNote {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.Sink(name)
}

func (n nodeOf) SetSink(_ context.Context, by engine.By, x engine.SinkChange, note string) error {
	if n.fails.Add(-1) >= 0 {
		return engine.ErrOutcomeUnknown
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	var eff engine.Effects
	entry := engine.EncodeBatch(engine.BatchHeader{Epoch: n.epoch, Sequence: n.count, Time: 2000},
		engine.Command{Kind: engine.CmdSetSink, Sink: &x, Operator: by.Operator, Note: note})
	if err := n.state.Apply(n.state.LogIndex()+1, entry, &eff); err != nil {
		return err
	}
	if e := eff.Primary[0]; e.Kind == engine.CommandRefused {
		return &engine.Refusal{Reason: e.Reason}
	}
	return nil
}

// set is SetSink by an operator.
func (n nodeOf) set(t *testing.T, x engine.SinkChange) {
	t.Helper()
	x.Name = "shop"
	if err := n.SetSink(t.Context(), engine.By{Operator: "op"}, x, ""); err != nil {
		t.Fatal(err)
	}
}

// otherSide is what fake sinks of all nodes write to. It may keep the position, and then
// takes whole batches; or takes one change after the other.
type otherSide struct {
	keeps bool

	mu     sync.Mutex
	at     engine.TrailPosition
	got    []string
	writes int
	down   bool
	full   bool // it takes no changes
	odds   int  // one in so many calls fails; 0: none
	random *rand.Rand
	hang   chan struct{} // calls wait for it, or for their context
	refuse map[string]bool
	buried []string
}

// fakeSink is one node's.
type fakeSink struct {
	*otherSide
	at   engine.TrailPosition // that it knows of
	run  bool                 // it goes on from elsewhere, which the other side hears of with what is written
	open bool
	bury Bury
}

var errFake = errors.New("the other side fails")

func (s *fakeSink) fails() bool { return s.down || s.odds > 0 && s.random.IntN(s.odds) == 0 }

func (s *fakeSink) Open(context.Context) (engine.TrailPosition, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		panic("it is open already")
	}
	s.open = true
	if s.fails() {
		return engine.TrailPosition{}, false, errFake
	}
	s.at, s.run = s.otherSide.at, false
	return s.at, s.keeps, nil
}

func (s *fakeSink) Rewind(_ context.Context, to engine.TrailPosition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails() {
		return errFake
	}
	s.at, s.run = to, true
	return nil
}

func (s *fakeSink) Write(ctx context.Context, changes []Change, next engine.TrailPosition) error {
	s.mu.Lock()
	hang := s.hang
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		panic("it is not open")
	}
	if s.writes++; s.full {
		return errFake
	}
	if s.keeps {
		if s.otherSide.at != s.at && !s.run {
			return errors.New("another has written")
		}
		if len(changes) == 0 {
			return nil // as streams do, which have nothing to keep the position in
		}
		before := s.fails()
		if before {
			return errFake
		}
		for i := range changes {
			s.got = append(s.got, changes[i].ID())
		}
		s.at, s.otherSide.at, s.run = next, next, false
		if s.fails() { // it is there, and nobody hears of it
			return errFake
		}
		return nil
	}
	for i := range changes {
		c := &changes[i]
		if s.fails() {
			return errFake
		}
		if c.Order == nil || c.Order.OrderNo != c.OrderNo {
			return fmt.Errorf("change %s comes with the order %v", c.ID(), c.Order)
		}
		if s.refuse[c.ID()] {
			if err := s.bury(ctx, c, "no such thing"); err != nil {
				return err
			}
			s.buried = append(s.buried, c.ID())
			continue
		}
		s.got = append(s.got, c.ID())
	}
	return nil
}

func (s *fakeSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	return nil
}

func (o *otherSide) has() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.got)
}

// fast is a configuration for tests.
func fast(n nodeOf) Config {
	return Config{Sinks: []Fed{{Name: "shop", Kind: "fake"}}, Trail: n, Shop: n, Every: time.Millisecond,
		NoteEvery: 3 * time.Millisecond, RetryFirst: time.Millisecond, RetryMost: 8 * time.Millisecond,
		AlarmAfter: 20 * time.Millisecond}
}

// feedOn has a node of a group feed the other side until stop.
func feedOn(t *testing.T, n nodeOf, to *otherSide) (r *Runner, stop func()) {
	t.Helper()
	r, err := New(fast(n))
	if err != nil {
		t.Fatal(err)
	}
	r.Give("shop", &fakeSink{otherSide: to, bury: r.Means("shop").Bury})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-ended
		})
	}
	t.Cleanup(stop)
	return r, stop
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for till := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(till) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestFeedOverFailures: three nodes lead in turn and beside each other, some are stopped and
// started again, and the other side fails: it has each change once where it keeps its
// position, and each at least once, in order, where it keeps none.
func TestFeedOverFailures(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprint("keeps ", keeps), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Log("seed", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			g := newGroup(t)
			to := &otherSide{keeps: keeps, odds: 12, random: rand.New(rand.NewPCG(seed, 2))}
			stops, runners := make([]func(), 3), make([]*Runner, 3)
			for i := range stops {
				runners[i], stops[i] = feedOn(t, nodeOf{g, int32(i)}, to)
			}
			for range 60 {
				g.add(random.IntN(120), 40, random)
				time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
				switch i := random.IntN(3); random.IntN(4) {
				case 0:
					g.leader.Store(int32(i))
				case 1:
					stops[i]()
					runners[i], stops[i] = feedOn(t, nodeOf{g, int32(i)}, to)
				case 2:
					g.fails.Store(int32(random.IntN(3)))
				}
			}
			to.mu.Lock()
			to.odds = 0
			to.mu.Unlock()
			g.fails.Store(0)
			want := g.told(engine.TrailPosition{})
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("led by %d: %+v, and %+v", g.leader.Load(), runners[g.leader.Load()].Status(),
						*nodeOf{g, 0}.Sink("shop"))
				}
			})
			await(t, "the last change", func() bool {
				got := to.has()
				return len(got) >= len(want) && got[len(got)-1] == want[len(want)-1]
			})
			got := to.has()
			if keeps && !slices.Equal(got, want) {
				t.Errorf("%d changes, want each of %d once and in order", len(got), len(want))
			}
			if !keeps {
				checkAtLeastOnce(t, got, want)
			}
			t.Logf("%d changes, %d handed over, %d writes", len(want), len(got), to.writes)
		})
	}
}

// checkAtLeastOnce: the first arrivals of what was handed over are all there is, in order.
func checkAtLeastOnce(t *testing.T, got, want []string) {
	t.Helper()
	seen := map[string]bool{}
	var first []string
	for _, id := range got {
		if !seen[id] {
			seen[id], first = true, append(first, id)
		}
	}
	if !slices.Equal(first, want) {
		t.Errorf("%d different changes, want %d in order", len(first), len(want))
	}
}

func TestPauseAndReplay(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprint("keeps ", keeps), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 1))
			g := newGroup(t)
			n, to := nodeOf{g, 0}, &otherSide{keeps: keeps}
			g.add(300, 10, random)
			r, _ := feedOn(t, n, to)
			all := func() []string { return g.told(engine.TrailPosition{}) }
			await(t, "all changes", func() bool { return len(to.has()) == len(all()) })
			n.set(t, engine.SinkChange{Action: engine.SinkPause})
			await(t, "the pause", func() bool { return r.Status()[0].State == StatePaused })
			before := len(to.has())
			g.add(200, 10, random)
			await(t, "what is behind", func() bool { s := r.Status()[0]; return s.Lag(time.Now()) > 0 })
			if len(to.has()) != before {
				t.Error("it is fed while it is paused")
			}
			// A replay while it is paused waits, and begins where it was asked to.
			from := g.events[150].TrailPosition
			n.set(t, engine.SinkChange{Action: engine.SinkReplay, To: from})
			n.set(t, engine.SinkChange{Action: engine.SinkResume})
			if s := r.Status()[0].State; s == StatePaused {
				t.Errorf("it is %s when it has been resumed", s)
			}
			want := append(all()[:before:before], g.told(from)...)
			await(t, "the replay", func() bool { return len(to.has()) == len(want) })
			if got := to.has(); !slices.Equal(got, want) {
				t.Errorf("%d changes, not those that are to be replayed", len(got))
			}
			await(t, "that its beginning is noted", func() bool { x := n.Sink("shop"); return x.Begun == x.Replays })
			await(t, "that it is noted how far it is", func() bool { return n.Sink("shop").At == r.Status()[0].At })
			if s := r.Status()[0]; s.State != StateFlowing || s.Known != keeps || s.Failures != 0 {
				t.Errorf("%+v", s)
			}
			// While it flows, too; and although nothing is taken when it begins.
			full := func(is bool) {
				to.mu.Lock()
				defer to.mu.Unlock()
				to.full = is
			}
			full(true)
			n.set(t, engine.SinkChange{Action: engine.SinkReplay, To: from})
			await(t, "failures", func() bool { return r.Status()[0].Failures > 3 })
			full(false)
			want = append(want, g.told(from)...)
			await(t, "the second replay", func() bool { return len(to.has()) == len(want) })
		})
	}
}

// TestPositionIsCommittedSeldom: a sink that moves has no more committed than every so often,
// and one that does not move nothing at all, as each entry moves the end of the trail.
func TestPositionIsCommittedSeldom(t *testing.T) {
	g := newGroup(t)
	n, to := nodeOf{g, 0}, &otherSide{}
	g.add(500, 10, rand.New(rand.NewPCG(1, 1)))
	feedOn(t, n, to)
	last := g.events[len(g.events)-1].TrailPosition
	await(t, "the note", func() bool { return last.Before(n.Sink("shop").At) })
	index := func() engine.LogIndex {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.state.LogIndex()
	}
	before := index()
	g.mu.Lock()
	for range 50 { // entries without anything for it
		g.events = append(g.events, engine.TrailEvent{TrailPosition: g.end(), Kind: engine.HoldRefused})
	}
	g.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	if after := index(); after != before {
		t.Errorf("%d entries for a sink that takes nothing", after-before)
	}
}

func TestGoneEventsStopASink(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	g := newGroup(t)
	n, to := nodeOf{g, 0}, &otherSide{keeps: true}
	g.add(300, 10, random)
	g.first = g.events[100].TrailPosition
	r, stop := feedOn(t, n, to)
	// One that has had nothing yet begins with what is there.
	want := g.told(g.first)
	await(t, "what is kept", func() bool { return len(to.has()) == len(want) })
	stop()
	g.add(300, 10, random)
	g.first = g.events[400].TrailPosition
	r, _ = feedOn(t, n, to)
	await(t, "that it is told", func() bool { return r.Status()[0].State == StateGone })
	alarms := r.Alarms()
	if len(alarms) != 1 || alarms[0].Name != engine.AlarmSinkGone || alarms[0].About != "shop" ||
		!strings.Contains(alarms[0].Detail, g.first.String()) {
		t.Errorf("alarms %v", alarms)
	}
	if len(to.has()) != len(want) {
		t.Error("it has gone on")
	}
	n.set(t, engine.SinkChange{Action: engine.SinkReplay, To: g.first})
	want = append(want, g.told(g.first)...)
	await(t, "that it goes on", func() bool { return len(to.has()) == len(want) })
	await(t, "that the alarm is over", func() bool { return len(r.Alarms()) == 0 })
	// A hole in the trail is told, too, once all before it was handed over.
	g.mu.Lock()
	at := g.end()
	g.events = append(g.events, engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: at.Index + 9},
		Missing: at.Index})
	close(g.grown)
	g.grown = make(chan struct{})
	g.mu.Unlock()
	await(t, "the hole", func() bool { return r.Status()[0].State == StateGone })
}

func TestFailingAndHangingSinks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	g := newGroup(t)
	n, to := nodeOf{g, 0}, &otherSide{down: true}
	g.add(50, 10, random)
	r, stop := feedOn(t, n, to)
	await(t, "an alarm", func() bool {
		a := r.Alarms()
		return len(a) == 1 && a[0].Name == engine.AlarmSinkFails && strings.Contains(a[0].Detail, errFake.Error())
	})
	if s := r.Status()[0]; s.State != StateFailing || s.Failures == 0 || s.Next.IsZero() || s.Lag(time.Now()) == 0 {
		t.Errorf("%+v", s)
	}
	hang := make(chan struct{})
	to.mu.Lock()
	to.down, to.hang = false, hang
	to.mu.Unlock()
	await(t, "an alarm of one that hangs", func() bool {
		a := r.Alarms()
		return len(a) == 1 && strings.Contains(a[0].Detail, "does not take")
	})
	began := time.Now()
	stop() // it ends with its context
	if took := time.Since(began); took > patience {
		t.Errorf("it took %s to stop", took)
	}
	close(hang)
	r, _ = feedOn(t, n, to)
	await(t, "all changes", func() bool { return len(to.has()) == len(g.told(engine.TrailPosition{})) })
	await(t, "that it is well", func() bool { return len(r.Alarms()) == 0 && r.Status()[0].State == StateFlowing })
}

func TestDeadLetters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	g := newGroup(t)
	n, to := nodeOf{g, 0}, &otherSide{refuse: map[string]bool{}}
	g.add(100, 10, random)
	all := g.told(engine.TrailPosition{})
	bad := []string{all[10], all[20], all[30]}
	for _, id := range bad {
		to.refuse[id] = true
	}
	r, _ := feedOn(t, n, to)
	await(t, "the others", func() bool { return len(to.has()) == len(all)-3 })
	letters := n.Sink("shop").Letters
	if len(letters) != 3 || letters[0].At.String() != bad[0] || letters[0].Why != "no such thing" ||
		letters[0].OrderNo == "" || letters[0].Times != 1 {
		t.Fatalf("%+v", letters)
	}
	await(t, "an alarm", func() bool {
		a := r.Alarms()
		return len(a) == 1 && a[0].Name == engine.AlarmSinkLetters
	})
	to.mu.Lock()
	delete(to.refuse, bad[0])
	to.mu.Unlock()
	n.set(t, engine.SinkChange{Action: engine.SinkAgain,
		Letters: []engine.TrailPosition{letters[0].At, letters[1].At}})
	await(t, "the first", func() bool { got := to.has(); return got[len(got)-1] == bad[0] })
	await(t, "that the second is put aside again", func() bool {
		left := n.Sink("shop").Letters
		return len(left) == 2 && left[0].Times == 2 && !left[0].Again && left[1].Times == 1
	})
	g.mu.Lock()
	g.first = g.events[len(g.events)-1].TrailPosition // what is in it is gone
	g.mu.Unlock()
	n.set(t, engine.SinkChange{Action: engine.SinkAgain})
	await(t, "that it is told", func() bool {
		left := n.Sink("shop").Letters
		return len(left) == 2 && strings.Contains(left[1].Why, "dropped")
	})
	n.set(t, engine.SinkChange{Action: engine.SinkDrop})
	await(t, "that all is well", func() bool { return len(r.Alarms()) == 0 })
}

func TestFirstSince(t *testing.T) {
	g := newGroup(t)
	if at, err := FirstSince(g, 5); err != nil || at.Index != 2 {
		t.Errorf("of nothing: %v, %v", at, err)
	}
	for i := range 100 {
		g.events = append(g.events, engine.TrailEvent{Time: engine.Time(1000 + i/3*10),
			TrailPosition: engine.TrailPosition{Index: engine.LogIndex(5 + 2*i)}})
	}
	for since, want := range map[engine.Time]engine.LogIndex{0: 5, 1000: 5, 1001: 11, 1010: 11, 1320: 203, 1330: 203,
		9999: 204} {
		at, err := FirstSince(g, since)
		events, _, _ := g.Events(at, 1)
		if err != nil || want < 204 && (len(events) == 0 || events[0].Index > want ||
			events[0].Time < since && want > 5) {
			t.Errorf("since %d: %v, %v; want the event %d", since, at, err, want)
		}
	}
	g.first = engine.TrailPosition{Index: 50}
	var gone *engine.TrailGone
	if _, err := FirstSince(g, 1000); !errors.As(err, &gone) {
		t.Errorf("before what is kept: %v", err)
	}
}
