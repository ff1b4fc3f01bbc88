package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

const patience = 30 * time.Second

// shop is a log of entries, the state that they make, and the ledgers that hear of
// them.
type shop struct {
	t        testing.TB
	mu       sync.RWMutex
	state    *engine.State
	log      [][]byte
	clock    engine.Time
	epoch    engine.Epoch
	sequence uint64
	ledgers  []*Ledger
}

func newShop(t testing.TB, secret byte) *shop {
	s := &shop{t: t, state: engine.NewState(), clock: 1_800_000_000_000}
	s.begin("n1", secret)
	s.do(engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: engine.RulesVersion})
	return s
}

// begin opens an epoch.
func (s *shop) begin(node string, secret byte) {
	s.t.Helper()
	s.apply(engine.BatchHeader{Time: s.clock}, engine.Command{Kind: engine.CmdOpenEpoch, Node: node,
		Secret: [16]byte{secret}})
	s.epoch, s.sequence = engine.Epoch(s.index()), 0
}

func (s *shop) index() engine.LogIndex { return engine.LogIndex(len(s.log)) }

func (s *shop) View(read func(*engine.State)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	read(s.state)
}

func (s *shop) apply(h engine.BatchHeader, commands ...engine.Command) *engine.Effects {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, engine.EncodeBatch(h, commands...))
	eff := new(engine.Effects)
	if err := s.state.Apply(s.index(), s.log[len(s.log)-1], eff); err != nil {
		s.t.Fatal(err)
	}
	for _, l := range s.ledgers {
		l.Applied(s.state, eff)
	}
	return eff
}

func (s *shop) do(commands ...engine.Command) *engine.Effects {
	s.t.Helper()
	s.sequence++
	return s.apply(engine.BatchHeader{Epoch: s.epoch, Sequence: s.sequence, Time: s.clock}, commands...)
}

// day sells a session of an hour to so many shoppers: some pay, some cancel, the rest
// expire, and it ends.
func (s *shop) day(id string, shoppers int) *engine.Session {
	s.t.Helper()
	eff := s.do(engine.Command{Kind: engine.CmdApplyPlan, Operator: "olga", Plan: &engine.Plan{
		Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "Asia/Shanghai"},
			Sessions: []engine.SessionPlan{{
				SessionSpec: engine.SessionSpec{ID: id, StartSpec: "now", Start: s.clock, End: s.clock.Add(time.Hour),
					PayWithin: 15 * time.Minute, Publish: true},
				Listings: []engine.ListingSpec{{SKU: "mask", Price: 100, Stock: int64(shoppers)}},
			}}}},
	}})
	if problems := eff.LastPlan().Problems; len(problems) > 0 {
		s.t.Fatal(problems)
	}
	x := s.state.Session(id)
	for i := range shoppers {
		who := fmt.Sprint("s", i)
		eff := s.do(engine.Command{Kind: engine.CmdPlaceHold, Listing: x.Listings[0], Shopper: []byte(who),
			Key: s.state.KeyOf([]byte(id + who)), Quantity: 1, Deadline: s.clock + 1000})
		e := eff.Primary[0]
		if e.Kind != engine.HoldPlaced {
			s.t.Fatal(e)
		}
		s.clock += 5
		switch i % 3 {
		case 0:
			s.do(engine.Command{Kind: engine.CmdPayOrder, Order: e.Order, Amount: 100, Currency: "CNY",
				PaymentID: fmt.Sprint(id, "-p", i), PaidAt: s.clock})
		case 1:
			s.do(engine.Command{Kind: engine.CmdCancelHold, Order: e.Order, Shopper: []byte(who)})
		}
	}
	for s.clock = s.clock.Add(time.Hour); s.state.NextDue() <= s.clock; {
		s.do()
	}
	return x
}

// seal settles an ended session; clear has its orders leave the state.
func (s *shop) seal(x *engine.Session) {
	s.t.Helper()
	eff := s.do(engine.Command{Kind: engine.CmdSettleSession, Session: x.Handle, Operator: "olga", Note: "done"})
	if eff.Primary[0].Kind != engine.SessionSettled {
		s.t.Fatal(eff.Primary[0])
	}
}

func (s *shop) clear(x *engine.Session) {
	s.t.Helper()
	for _, l := range s.ledgers {
		s.reached(l)
	}
	s.do(engine.Command{Kind: engine.CmdClearSession, Session: x.Handle})
	for x.Leaving() {
		s.clock = s.state.NextDue()
		s.do()
	}
}

func (s *shop) settledDay(id string, shoppers int) *engine.Session {
	s.t.Helper()
	x := s.day(id, shoppers)
	s.seal(x)
	s.clear(x)
	return x
}

func quiet(dir string) Config {
	c := DefaultConfig(dir)
	c.Logger, c.Trail.CommitEvery = slog.New(slog.DiscardHandler), time.Millisecond
	return c
}

// keep opens a ledger that hears of what is applied until the test ends: at the start
// by the whole log, or by a snapshot of the state.
func (s *shop) keep(c Config, snapshot bool, others Others) *Ledger {
	s.t.Helper()
	l, err := Open(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	l.Bound(s.index())
	if snapshot {
		l.Restored(s.state)
	} else {
		again := engine.NewState()
		for i, entry := range s.log {
			eff := new(engine.Effects)
			if err := again.Apply(engine.LogIndex(i+1), entry, eff); err != nil {
				s.t.Fatal(err)
			}
			l.Applied(again, eff)
		}
	}
	s.ledgers = append(s.ledgers, l)
	s.mu.Unlock()
	l.Start(s, others)
	s.t.Cleanup(func() { s.part(l) })
	return l
}

// part closes a ledger, once.
func (s *shop) part(l *Ledger) {
	s.t.Helper()
	s.mu.Lock()
	i := slices.Index(s.ledgers, l)
	if i >= 0 {
		s.ledgers = slices.Delete(s.ledgers, i, i+1)
	}
	s.mu.Unlock()
	if i >= 0 {
		if err := l.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// reached waits until a ledger has everything that was applied on disk.
func (s *shop) reached(l *Ledger) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := l.Await(ctx, s.index()); err != nil {
		s.t.Fatal(err)
	}
}

// whole waits until a ledger lacks nothing.
func (s *shop) whole(l *Ledger) {
	s.t.Helper()
	s.reached(l)
	until(s.t, "whole ledger", func() bool { return l.Stats().Whole })
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

// events are all that a ledger tells, up to the index of now.
func (s *shop) events(l *Ledger) []engine.TrailEvent {
	s.t.Helper()
	s.reached(l)
	events, _, err := l.Events(engine.TrailPosition{}, 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	return events
}

// orders are all that a ledger has of settled orders, as readers see them.
func (s *shop) orders(l *Ledger) (all []engine.OrderView) {
	s.t.Helper()
	for _, x := range s.state.Sessions() {
		if err := l.Scan(engine.OrderRef{Session: x.Handle}, func(o *engine.OrderRecord) bool {
			all = append(all, l.View(o))
			return true
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

// mustBeAlike compares what two ledgers tell.
func (s *shop) mustBeAlike(a, b *Ledger) {
	s.t.Helper()
	if !slices.Equal(s.events(a), s.events(b)) {
		s.t.Errorf("%d events, and here %d; they differ", len(s.events(a)), len(s.events(b)))
	}
	if one, two := s.orders(a), s.orders(b); len(one) == 0 || !slices.Equal(one, two) {
		s.t.Errorf("%d settled orders, and here %d; they differ", len(one), len(two))
	}
}

// other is another node's ledger.
type other struct{ *Ledger }

func (o other) Entries(_ context.Context, after, upto engine.LogIndex, deeds bool) (trail.Page, error) {
	return o.Page(after, upto, deeds)
}

func (o other) SessionChunk(_ context.Context, h engine.SessionHandle, offset int64) ([]byte, int64, error) {
	return o.ReadChunk(h, offset)
}
