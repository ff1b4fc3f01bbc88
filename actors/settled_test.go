package actors_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"doorbuster/engine"
)

// lostLedger is on disk up to whatever is asked for, and has no orders: they were
// settled, and nobody could give them to this node since.
type lostLedger struct{}

func (lostLedger) Order(engine.OrderRef) (engine.OrderRecord, bool, error) {
	return engine.OrderRecord{}, false, nil
}
func (lostLedger) PaidBy(string) (engine.OrderRef, bool, error) { return engine.OrderRef{}, false, nil }
func (lostLedger) OrdersOf(string, engine.OrderRef, engine.Time, func(*engine.OrderRecord) bool) error {
	return nil
}
func (lostLedger) Scan(engine.OrderRef, func(*engine.OrderRecord) bool) error { return nil }
func (lostLedger) Await(context.Context, engine.LogIndex) error               { return nil }
func (lostLedger) Recorded() (engine.LogIndex, []string)                      { return ^engine.LogIndex(0), nil }

// clear waits until the orders of a settled session have left the state.
func (s *testShop) clear(t *testing.T, session string) {
	t.Helper()
	s.KeepSettling(time.Hour)
	await(t, "the orders to leave", func() (left bool) {
		s.View(func(state *engine.State) { left = state.Session(session).Left() })
		return left
	})
}

// TestSettledOrdersThatTheLedgerLacks are not denied: a cashier who hears "no such
// order" keeps the money and asks nobody any more.
func TestSettledOrdersThatTheLedgerLacks(t *testing.T) {
	s := openShop(t, nil)
	s.SetLedger(lostLedger{})
	s.plan("day", nil, units("mask", 2))
	no := s.grab("day/skus/mask", "ann", "k").No.String()
	p := engine.Payment{OrderNo: no, ID: "p", Amount: 100, Currency: "CNY"}
	if _, err := s.Pay(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "day", engine.SessionEnd, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settle(t.Context(), engine.By{Operator: "ops"}, "day", ""); err != nil {
		t.Fatal(err)
	}
	s.clear(t, "day")
	for what, ask := range map[string]func() error{
		"looked up": func() error { _, err := s.AnyOrder(no); return err },
		"found": func() error {
			_, _, err := s.FindOrders(engine.OrderFilter{OrderNo: no})
			return err
		},
		"paid":           func() error { _, err := s.Pay(t.Context(), p); return err },
		"paid once more": func() error { q := p; q.ID = "q"; _, err := s.Pay(t.Context(), q); return err },
		"for the statement": func() error {
			_, err := s.Accounts(t.Context(), []engine.AccountKey{{OrderNo: no}})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, engine.ErrNotLeader) || !errors.Is(err, engine.ErrNoRecords) {
			t.Errorf("%s: %v; want that it can't be said now, and why", what, err)
		}
	}
	_, err := s.AnyOrder("000000000000000000000000")
	if err := isRefusal(err, engine.ReasonUnknown); err != nil {
		t.Error("nobody's order: ", err)
	}
}

// keptLedger has the orders that it was given.
type keptLedger struct {
	lostLedger
	kept []engine.OrderRecord
	err  error
}

func (l *keptLedger) OrdersOf(
	shopper string, _ engine.OrderRef, _ engine.Time, yield func(*engine.OrderRecord) bool,
) error {
	for i := range l.kept {
		if l.kept[i].Shopper == shopper && !yield(&l.kept[i]) {
			break
		}
	}
	return l.err
}

// TestSameKeyAfterSettlement: a grab asked again, when its session has been settled, is
// told what its key led to, as who looks by the key is; and others that it has ended.
func TestSameKeyAfterSettlement(t *testing.T) {
	s := openShop(t, nil)
	l := &keptLedger{}
	s.SetLedger(l)
	s.plan("day", nil, units("mask", 2), units("soap", 2))
	held := s.grab("day/skus/mask", "ann", "k")
	if _, err := s.Pay(t.Context(), engine.Payment{OrderNo: held.No.String(), ID: "p", Amount: 100,
		Currency: "CNY"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "day", engine.SessionEnd, ""); err != nil {
		t.Fatal(err)
	}
	s.log.View(func(state *engine.State) {
		l.kept = []engine.OrderRecord{{Ref: held.Order, Shopper: "ann", Key: s.Keyed()([]byte("k")),
			Listing: held.Listing, Quantity: 1, Amount: 100, State: engine.Paid, Life: state.Life(held.Order)}}
	})
	if _, err := s.Settle(t.Context(), engine.By{Operator: "ops"}, "day", ""); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"settled", "cleared"} {
		if a := s.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeGranted || a.State != engine.Paid ||
			a.No != held.No {
			t.Errorf("%s: %+v, want order %s", when, a, held.No)
		}
		for _, other := range [][3]string{{"mask", "ann", "other"}, {"mask", "bob", "k"}} {
			if a := s.grab("day/skus/"+other[0], other[1], other[2]); a.Code != engine.CodeEnded {
				t.Errorf("%s: %v: %+v", when, other, a)
			}
		}
		for _, q := range []*engine.Grab{{Listing: []byte("day/skus/mask"), Quantity: 2},
			{Listing: []byte("day/skus/soap"), Quantity: 1}} {
			q.Shopper, q.IdempotencyKey = []byte("ann"), []byte("k")
			if a := s.Grab(q); a.Reason != engine.ReasonKeyReused {
				t.Errorf("%s: the key with another request: %+v", when, a)
			}
		}
		s.clear(t, "day")
	}
	l.err = errors.New("the disk is gone")
	if a := s.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeProcessing {
		t.Errorf("when the ledger can't be read: %+v", a)
	}
}
