package settled

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

// made makes up orders one by one, so that as many as one likes need no memory.
func made(h engine.SessionHandle) func(uint32) (engine.OrderRecord, bool) {
	return func(ordinal uint32) (engine.OrderRecord, bool) {
		o := engine.OrderRecord{Ref: engine.OrderRef{Session: h, Ordinal: ordinal}, Life: 1, Listing: 1,
			Shopper: madeShopper(h, ordinal), Quantity: 1, Amount: 9900,
			State: engine.Paid, Granted: engine.Time(h)*1_000_000 + engine.Time(ordinal/100),
			PaymentID: fmt.Sprintf("payment-%08d-%08d", h, ordinal),
			Receiver:  &engine.Receiver{Sealed: strings.Repeat("sealed: Ann Example ", 6)}}
		o.PayBy, o.Changed = o.Granted+900_000, o.Granted+5000
		return o, true
	}
}

// madeShopper: a shopper buys in many sessions, once in each.
func madeShopper(h engine.SessionHandle, ordinal uint32) string {
	return fmt.Sprintf("shopper-%08d", uint32(h)*7919*16+ordinal*31)
}

func madeSession(h engine.SessionHandle, orders int) Session {
	return Session{Handle: h, Index: engine.LogIndex(h), Orders: uint32(orders), Group: group}
}

// BenchmarkWriteMillion writes the file of a million orders.
func BenchmarkWriteMillion(b *testing.B) {
	const orders = 1_000_000
	for b.Loop() {
		s := open(b, b.TempDir())
		must(b, s.write(context.Background(), madeSession(1, orders), made(1)))
		b.ReportMetric(float64(s.Stats().Bytes)/orders, "B/order")
	}
}

// settledOrders is more where "make ledger" asks for it.
var settledOrders = flag.Int("settled.orders", 1_000_000, "orders in BenchmarkThousandsOfFiles")

// BenchmarkThousandsOfFiles asks 2,000 files, opened before and loaded in the
// background, for orders by number, by shopper and by payment, and says how long
// the slowest of a hundred took.
func BenchmarkThousandsOfFiles(b *testing.B) {
	sessions := 2000
	if testing.Short() {
		sessions = 200
	}
	orders := max(*settledOrders/sessions, 1)
	dir := b.TempDir()
	s := open(b, dir)
	for h := range sessions {
		must(b, s.write(context.Background(), madeSession(engine.SessionHandle(h+1), orders),
			made(engine.SessionHandle(h+1))))
	}
	must(b, s.Close())
	began := time.Now()
	s, err := Open(Config{Dir: dir})
	must(b, err)
	defer s.Close()
	for h := range sessions {
		s.Expect(madeSession(engine.SessionHandle(h+1), orders))
	}
	opening := time.Since(began)
	_, found, err := s.PaidBy("nobody's")
	if found || err != nil {
		b.Fatal(err)
	}
	b.Logf("opened in %v, the first question across all files after %v", opening, time.Since(began))
	for _, x := range s.all() {
		must(b, x.check(context.Background()))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, by := range []struct {
		name string
		ask  func(o *engine.OrderRecord) (bool, error)
	}{
		{"number", func(o *engine.OrderRecord) (bool, error) { _, found, err := s.Order(o.Ref); return found, err }},
		{"payment", func(o *engine.OrderRecord) (bool, error) {
			ref, found, err := s.PaidBy(o.PaymentID)
			return found && ref == o.Ref, err
		}},
		{"shopper", func(o *engine.OrderRecord) (found bool, err error) {
			n := 0
			err = s.OrdersOf(o.Shopper, engine.OrderRef{}, 0, func(got *engine.OrderRecord) bool {
				n++
				found = true
				return n < 20
			})
			return found, err
		}},
		{"nobody", func(o *engine.OrderRecord) (bool, error) {
			_, found, err := s.PaidBy(o.PaymentID + "x")
			return !found, err
		}},
	} {
		b.Run(by.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				h := engine.SessionHandle(rng.IntN(sessions) + 1)
				o, _ := made(h)(uint32(rng.IntN(orders) + 1))
				start := time.Now()
				if ok, err := by.ask(&o); !ok || err != nil {
					b.Fatal(o.Ref, ok, err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
