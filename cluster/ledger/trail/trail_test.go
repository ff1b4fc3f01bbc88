package trail

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/wal/vfs"
	"doorbuster/wal/waltest"
)

var group = [16]byte{1, 2, 3}

// testConfig is of a trail that seals often and writes at once.
func testConfig(fsys vfs.FS) Config {
	c := DefaultConfig("/trail")
	c.FS, c.Logger = fsys, slog.New(slog.DiscardHandler)
	c.SegmentBytes, c.CommitEvery = 64<<10, time.Millisecond
	return c
}

// open opens a trail that is closed with the test.
func open(t *testing.T, c Config, peers Peers) *Trail {
	t.Helper()
	tr, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	tr.pageBytes = 10_000
	tr.Own(group)
	tr.Start(peers)
	return tr
}

// sale makes entries as a sale might, from a seed.
type sale struct {
	rng    *rand.Rand
	index  engine.LogIndex
	time   engine.Time
	orders map[engine.SessionHandle]uint32
	model  []Event // what every trail should have
}

func newSale(seed uint64) *sale {
	return &sale{rng: rand.New(rand.NewPCG(seed, 1)), time: 1_700_000_000_000,
		orders: map[engine.SessionHandle]uint32{}}
}

// entry gives the next entry, with up to most events.
func (s *sale) entry(most int) *engine.Effects {
	s.index += engine.LogIndex(1 + s.rng.IntN(3)/2) // some have no batch
	s.time += engine.Time(s.rng.IntN(20))
	e := &engine.Effects{Index: s.index, Time: s.time, Header: engine.BatchHeader{Epoch: 1, Sequence: uint64(s.index)}}
	for i := range s.rng.IntN(most + 1) {
		ev, note := s.event(i)
		if s.rng.IntN(4) == 0 && note.Operator == "" {
			ev.Command, ev.After = -1, int32(s.rng.IntN(most))
			e.Derived = append(e.Derived, ev)
			continue
		}
		ev.Command = int32(len(e.Primary))
		if note != (engine.AuditNote{}) {
			note.Command = ev.Command
			e.AuditNotes = append(e.AuditNotes, note)
		}
		e.Primary = append(e.Primary, ev)
	}
	slices.SortStableFunc(e.Derived, func(a, b engine.Event) int { return int(a.After - b.After) })
	n := uint32(0)
	for ev, r := range e.InOrder {
		m := Event{Session: ev.Session, Listing: ev.Listing, Order: ev.Order, Life: ev.Life,
			TrailEvent: engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: e.Index, N: n}, Time: e.Time,
				Kind: ev.Kind, Reason: ev.Reason, State: ev.State, Quantity: ev.Quantity,
				Limit: ev.Limit, Amount: ev.Amount,
				PayBy: ev.PayBy, Transaction: ev.Transaction}}
		if r != nil {
			m.Shopper, m.Operator, m.Note, m.Detail = r.Shopper, r.Operator, r.Note, r.Detail
			if r.Transaction != (engine.Transaction{}) {
				m.Transaction = r.Transaction
			}
		}
		s.model = append(s.model, m)
		n++
	}
	return e
}

func (s *sale) event(i int) (ev engine.Event, r engine.AuditNote) {
	x := engine.SessionHandle(1 + s.rng.IntN(3) + int(s.index)/200)
	switch s.rng.IntN(10) {
	case 0:
		ev = engine.Event{Kind: engine.SessionPaused, Session: x}
		r = engine.AuditNote{Operator: fmt.Sprintf("ops-%d", s.rng.IntN(4)), Note: "too hot",
			Detail: fmt.Sprint(s.index)}
	case 1, 2, 3:
		ev = engine.Event{Kind: engine.HoldRefused, Reason: 1, Session: x, Listing: engine.ListingHandle(x),
			Limit: 2, Quantity: 3}
		r = engine.AuditNote{Shopper: fmt.Sprintf("shopper-%d", s.rng.IntN(1000)),
			Transaction: engine.Transaction{byte(i), 9}}
	case 4, 5, 6, 7:
		s.orders[x]++
		ev = engine.Event{Kind: engine.HoldPlaced, State: 1, Session: x, Listing: engine.ListingHandle(x),
			Quantity: 1, Amount: 1999,
			Order: engine.OrderRef{Session: x, Ordinal: s.orders[x]}, Life: engine.Life(x)<<30 + 5,
			PayBy:       s.time + 900_000,
			Transaction: engine.Transaction{byte(s.index), byte(i), 7}}
	default:
		ev = engine.Event{Kind: engine.OrderPaid, State: 2, Session: x, Amount: -5}
		if s.orders[x] > 0 {
			ev.Order, ev.Life = engine.OrderRef{Session: x,
				Ordinal: 1 + s.rng.Uint32N(s.orders[x])}, engine.Life(x)<<30+5
		}
	}
	return ev, r
}

// feed applies entries, waiting for room as the batcher does.
func (s *sale) feed(tr *Trail, entries, most int) {
	for range entries {
		tr.AwaitRoom(nil)
		tr.Applied(s.entry(most))
	}
}

func await(t *testing.T, tr *Trail, index engine.LogIndex) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tr.Await(ctx, index); err != nil {
		t.Fatal(err)
	}
}

// all reads the trail from a position on.
func all(t *testing.T, tr *Trail, from engine.TrailPosition) (events []Event) {
	t.Helper()
	for {
		page, next, err := tr.Events(from, 333)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page...)
		if len(page) < 333 {
			if want := (engine.TrailPosition{Index: tr.Index() + 1}); next != want {
				t.Fatalf("the end is %s, want %s", next, want)
			}
			return events
		}
		from = next
	}
}

func same(t *testing.T, got, want []Event) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("event %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
}

func TestTrailKeepsEverythingInOrder(t *testing.T) {
	disk := waltest.NewDisk(1)
	s := newSale(1)
	tr := open(t, testConfig(disk), nil)
	for range 5 {
		s.feed(tr, 300, 12)
		await(t, tr, s.index)
		same(t, all(t, tr, engine.TrailPosition{}), s.model)
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		tr = open(t, testConfig(disk), nil)
		if index, at, epoch, number := tr.Opened(); index != s.index || at != s.time || epoch != 1 ||
			number != uint64(s.index) {
			t.Fatalf("it reaches to %d, %d, %d, %d; want %d, %d", index, at, epoch, number, s.index, s.time)
		}
		same(t, all(t, tr, engine.TrailPosition{}), s.model)
		tr.Restored(s.index-10, s.time-1) // and Raft replays from there
		tr.Applied(&engine.Effects{Index: s.index - 5, Primary: []engine.Event{{Kind: engine.StockGone}}})
	}
	if stats := tr.Stats(); stats.Gaps != 0 || stats.Rebuilds != 0 || stats.Lost != 0 || stats.Trouble != "" ||
		stats.Bytes < 64<<10 {
		t.Errorf("%+v", stats)
	}
	for _, at := range []int{0, 1, len(s.model) / 2, len(s.model) - 1} {
		same(t, all(t, tr, s.model[at].TrailPosition), s.model[at:])
	}
}

func TestFindAcrossSegments(t *testing.T) {
	s := newSale(2)
	tr := open(t, testConfig(waltest.NewDisk(1)), nil)
	s.feed(tr, 2000, 12)
	await(t, tr, s.index)
	found := func(f Filter) (events []Event) {
		f.Limit = 7
		for {
			page, next, more, err := tr.Find(f)
			if err != nil {
				t.Fatal(err)
			}
			if events = append(events, page...); !more {
				return events
			}
			f.From = next
		}
	}
	filters := []Filter{{}, {Operator: "ops-1"}, {Operator: "nobody"}, {Order: engine.OrderRef{Session: 9999,
		Ordinal: 1}}}
	for x := engine.SessionHandle(1); x < 16; x += 2 {
		filters = append(filters, Filter{Session: x}, Filter{Order: engine.OrderRef{Session: x, Ordinal: 1}},
			Filter{Order: engine.OrderRef{Session: x, Ordinal: 40}, Life: engine.Life(x)<<30 + 5},
			Filter{Order: engine.OrderRef{Session: x, Ordinal: 40}, Life: 1},
			Filter{Order: engine.OrderRef{Session: x, Ordinal: 2}, From: engine.TrailPosition{Index: s.index / 2}})
	}
	for _, f := range filters {
		var want []Event
		for _, e := range s.model {
			if f.wants(&e) && !e.Before(f.From) {
				want = append(want, e)
			}
		}
		same(t, found(f), want)
	}
	for _, n := range []int{0, 1, 100, 5000, 1 << 30} {
		for _, keep := range []func(*Event) bool{nil, func(e *Event) bool { return e.Session == 5 }} {
			want, have := engine.TrailPosition{Index: s.index + 1}, 0
			for i := len(s.model) - 1; i >= 0 && have < n; i-- {
				if keep == nil || keep(&s.model[i]) {
					want = s.model[i].TrailPosition
					have++
				}
			}
			if got, err := tr.Last(n, keep); err != nil || got != want {
				t.Errorf("the last %d begin at %s, %v; want %s", n, got, err, want)
			}
		}
	}
}

func TestReadersWaitForEvents(t *testing.T) {
	s := newSale(3)
	c := testConfig(waltest.NewDisk(1))
	c.CommitEvery = 10 * time.Second
	tr := open(t, c, nil)
	reached := make(chan engine.LogIndex)
	go func() { reached <- tr.AwaitEvents(context.Background(), engine.TrailPosition{Index: 5}) }()
	for s.index < 5 {
		tr.Applied(s.entry(3))
	}
	await(t, tr, s.index) // does not wait for the 10 seconds
	if at := <-reached; at < 5 {
		t.Errorf("woken at %d", at)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tr.Await(ctx, s.index+1); err == nil {
		t.Error("it reached what was never applied")
	}
	quiet := s.index + 1
	tr.Applied(&engine.Effects{Index: quiet, Time: s.time})
	await(t, tr, quiet)
}

// TestCompanyWakesTheWriter: an entry that did nothing may wait for company; when that
// comes, the writer is woken.
func TestCompanyWakesTheWriter(t *testing.T) {
	q := &queue{most: 1 << 20, wake: make(chan struct{}, 1), room: make(chan struct{})}
	q.add(&engine.Effects{Index: 1})
	<-q.wake
	if q.due(false) {
		t.Fatal("it is written at once, for nothing")
	}
	q.add(&engine.Effects{Index: 2, Primary: []engine.Event{{Kind: engine.HoldPlaced}}})
	if len(q.wake) == 0 || !q.due(false) {
		t.Error("nobody is woken")
	}
}
