package ledger

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
)

const patience = 30 * time.Second

// shop is a state that is changed by entries, and the ledgers that hear of them.
type shop struct {
	t        testing.TB
	mu       sync.RWMutex
	state    *engine.State
	clock    engine.Time
	index    engine.LogIndex
	epoch    engine.Epoch
	sequence uint64
	secret   [16]byte
	ledgers  []*Ledger
}

func newShop(t testing.TB) *shop {
	s := &shop{t: t, state: engine.NewState(), clock: 1_800_000_000_000, secret: [16]byte{1, 2, 3}}
	return s
}

func (s *shop) View(read func(*engine.State)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	read(s.state)
}

// open makes the shop's epoch and rules.
func (s *shop) open() *shop {
	s.apply(engine.BatchHeader{Time: s.clock}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "n1", Secret: s.secret})
	s.epoch, s.sequence = engine.Epoch(s.index), 0
	s.do(engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: engine.RulesVersion})
	return s
}

func (s *shop) apply(h engine.BatchHeader, commands ...engine.Command) *engine.Effects {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	eff := new(engine.Effects)
	if err := s.state.Apply(s.index, engine.EncodeBatch(h, commands...), eff); err != nil {
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

// clear has the orders of a settled session leave the state.
func (s *shop) clear(x *engine.Session) {
	s.t.Helper()
	s.do(engine.Command{Kind: engine.CmdClearSession, Session: x.Handle})
	for eff := s.do(); eff.NextDue <= eff.Time; eff = s.do() {
	}
}

// sell opens a session of an hour with one listing.
func (s *shop) sell(id string, stock int64) *engine.Session {
	s.t.Helper()
	eff := s.do(engine.Command{Kind: engine.CmdApplyPlan, Operator: "olga", Plan: &engine.Plan{
		Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "Asia/Shanghai"}, Sessions: []engine.SessionPlan{{
			SessionSpec: engine.SessionSpec{ID: id, StartSpec: "now", Start: s.clock, End: s.clock.Add(time.Hour), PayWithin: 15 * time.Minute, Publish: true},
			Listings:    []engine.ListingSpec{{SKU: "mask", Price: 100, Stock: stock}},
		}}}},
	}})
	if len(eff.LastPlan().Problems) > 0 {
		s.t.Fatal(eff.LastPlan().Problems)
	}
	return s.state.Session(id)
}

func (s *shop) hold(x *engine.Session, shopper string) engine.Command {
	return engine.Command{Kind: engine.CmdPlaceHold, Listing: x.Listings[0], Shopper: []byte(shopper), Key: s.state.KeyOf([]byte(x.ID + shopper)), Quantity: 1, Deadline: s.clock + 1000}
}

func (s *shop) pay(ref engine.OrderRef, id string) engine.Command {
	return engine.Command{Kind: engine.CmdPayOrder, Order: ref, Amount: 100, Currency: "CNY", PaymentID: id, PaidAt: s.clock}
}

// day sells to so many shoppers: some pay, some cancel, the rest expire, and the
// session ends. settle has its orders leave the state.
func (s *shop) day(id string, shoppers int, settle bool) *engine.Session {
	s.t.Helper()
	x := s.sell(id, int64(shoppers))
	for at := 0; at < shoppers; at += 100 {
		var holds []engine.Command
		for i := at; i < min(at+100, shoppers); i++ {
			holds = append(holds, s.hold(x, fmt.Sprint("s", i)))
		}
		eff := s.do(holds...)
		var next []engine.Command
		for i := range eff.Primary {
			switch e := &eff.Primary[i]; {
			case e.Kind != engine.HoldPlaced:
				s.t.Fatal(e)
			case e.Order.Ordinal%3 == 1:
				next = append(next, s.pay(e.Order, fmt.Sprint(id, "-p", e.Order.Ordinal)))
			case e.Order.Ordinal%3 == 2:
				next = append(next, engine.Command{Kind: engine.CmdCancelHold, Order: e.Order, Shopper: []byte(s.state.ShopperID(e.Shopper))})
			}
		}
		s.clock += 50
		s.do(next...)
	}
	for s.clock += 3_600_000; s.state.NextDue() <= s.clock; {
		s.do()
	}
	if settle {
		if eff := s.do(engine.Command{Kind: engine.CmdSettleSession, Session: x.Handle, Operator: "olga", Note: "done"}); eff.Primary[0].Kind != engine.SessionSettled {
			s.t.Fatal(eff.Primary[0])
		}
		s.clear(x)
	}
	return x
}

func quiet(dir string) Config {
	c := DefaultConfig(dir)
	c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.CommitEvery = time.Millisecond
	return c
}

// keep opens a ledger that the shop tells of its entries, until the test ends.
func (s *shop) keep(c Config, others Others) *Ledger {
	s.t.Helper()
	l, err := Open(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	if s.index > 0 {
		l.Restored(s.state)
	}
	s.ledgers = append(s.ledgers, l)
	s.mu.Unlock()
	l.Start(s, others)
	s.t.Cleanup(func() { s.part(l) })
	return l
}

// part closes a ledger; once closed it is left alone.
func (s *shop) part(l *Ledger) {
	s.t.Helper()
	s.mu.Lock()
	found := false
	for i, k := range s.ledgers {
		if found = k == l; found {
			s.ledgers = append(s.ledgers[:i:i], s.ledgers[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if !found {
		return
	}
	if err := l.Close(); err != nil {
		s.t.Error(err)
	}
	if err := scrub(l.path(), func() bool { return false }); err != nil {
		s.t.Error(err)
	}
}

// digest waits until a ledger has everything, and gives its digest.
func (s *shop) digest(l *Ledger) string {
	s.t.Helper()
	s.reached(l)
	sum, index, err := l.Digest(0)
	if err != nil || index != s.index {
		s.t.Fatalf("digest at %d of %d: %v", index, s.index, err)
	}
	return fmt.Sprintf("%x", sum[:8])
}

func (s *shop) reached(l *Ledger) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := l.Await(ctx, s.index); err != nil {
		s.t.Fatal(err)
	}
}

// other lets a ledger copy from another of the same process.
type other struct{ from *Ledger }

func (o other) Copy(_ context.Context, least engine.LogIndex, r CopyRequest) (CopyPage, error) {
	p, err := o.from.Page(r)
	if err == nil && p.Index < least {
		err = fmt.Errorf("it reaches to %d only", p.Index)
	}
	return p, err
}
