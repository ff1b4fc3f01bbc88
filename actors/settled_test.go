package actors

import (
	"context"
	"errors"
	"testing"

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
func (lostLedger) View(*engine.OrderRecord) engine.OrderView                  { return engine.OrderView{} }
func (lostLedger) Await(context.Context, engine.LogIndex) error               { return nil }
func (lostLedger) Recorded() (engine.LogIndex, []string)                      { return ^engine.LogIndex(0), nil }

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
	s.clearSettled(t.Context())
	for what, ask := range map[string]func() error{
		"looked up": func() error { _, err := s.AnyOrder(no); return err },
		"found": func() error {
			_, _, err := s.FindOrders(engine.OrderFilter{OrderNo: no})
			return err
		},
		"paid":              func() error { _, err := s.Pay(t.Context(), p); return err },
		"paid once more":    func() error { q := p; q.ID = "q"; _, err := s.Pay(t.Context(), q); return err },
		"for the statement": func() error { _, err := s.Accounts(t.Context(), []engine.AccountKey{{OrderNo: no}}); return err },
	} {
		if err := ask(); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("%s: %v; want that it can't be said now", what, err)
		}
	}
	_, err := s.AnyOrder("000000000000000000000000")
	if err := isRefusal(err, engine.ReasonUnknown); err != nil {
		t.Error("nobody's order: ", err)
	}
}
