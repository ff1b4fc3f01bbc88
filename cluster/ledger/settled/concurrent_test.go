package settled

import (
	"context"
	"errors"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestReadersBesideDamage: while files go, are damaged and come back from a peer, an
// answer is right or says what it lacks.
func TestReadersBesideDamage(t *testing.T) {
	w := newWorld(6, 60, 5)
	source := open(t, t.TempDir())
	w.write(t, source)
	s := open(t, t.TempDir())
	s.retry = time.Millisecond
	w.write(t, s)
	s.Start(peer{source})
	var stop atomic.Bool
	var readers sync.WaitGroup
	for h, orders := range w.orders {
		readers.Go(func() {
			for i := 0; !stop.Load(); i = (i + 1) % len(orders) {
				o, found, err := s.Order(orders[i].Ref)
				if err == nil && (!found || !reflect.DeepEqual(o, orders[i])) || err != nil &&
					!errors.Is(err, ErrIncomplete) {
					t.Errorf("session %d: %+v %v %v", h, o, found, err)
				}
				if id := orders[i].PaymentID; id != "" {
					ref, found, err := s.PaidBy(id)
					if err == nil && (!found || ref != orders[i].Ref) || err != nil && !errors.Is(err, ErrIncomplete) {
						t.Errorf("session %d: %v %v %v", h, ref, found, err)
					}
				}
				if of := w.of(orders[i].Shopper); i == 0 {
					n := 0
					err := s.OrdersOf(orders[i].Shopper, engine.OrderRef{}, 0,
						func(*engine.OrderRecord) bool { n++; return true })
					if err == nil && n != len(of) || err != nil && !errors.Is(err, ErrIncomplete) {
						t.Errorf("session %d: %d orders of %d: %v", h, n, len(of), err)
					}
				}
			}
		})
	}
	for i := range 18 {
		h := engine.SessionHandle(i%6 + 1)
		before := s.Stats().Received
		switch i % 3 {
		case 0:
			must(t, os.Remove(s.path(h)))
		case 1:
			flipAll(t, s.path(h), "Here 5")
		default:
			must(t, s.receive(context.Background(), h, func(offset int64) ([]byte, int64, error) {
				return source.ReadChunk(h, offset)
			}))
		}
		await(t, s, func(n Stats) bool { return n.Received > before && n.Missing == 0 })
	}
	stop.Store(true)
	readers.Wait()
	w.check(t, s)
}
