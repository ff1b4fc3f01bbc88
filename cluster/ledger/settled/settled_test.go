package settled

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"doorbuster/engine"
)

var group = [16]byte{7, 7}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.most, s.chunk = 4, 5000
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// world makes up sessions, the same ones for the same seed.
type world struct {
	shoppers int
	orders   map[engine.SessionHandle][]engine.OrderRecord
	sums     map[engine.SessionHandle]Session
}

func newWorld(sessions, orders, shoppers int) *world {
	w := &world{shoppers, map[engine.SessionHandle][]engine.OrderRecord{}, map[engine.SessionHandle]Session{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for h := engine.SessionHandle(1); int(h) <= sessions; h++ {
		of := make([]engine.OrderRecord, orders)
		for i := range of {
			o := engine.OrderRecord{Ref: engine.OrderRef{Session: h, Ordinal: uint32(i + 1)}, Life: 1,
				Listing: engine.ListingHandle(h), Shopper: fmt.Sprint("shopper-", rng.IntN(shoppers)),
				Quantity: 1, Amount: 9900, State: engine.Expired, Granted: engine.Time(1_000_000 + rng.IntN(1000))}
			o.PayBy, o.Changed = o.Granted+60_000, o.Granted+10
			if rng.IntN(2) == 0 {
				o.State, o.PaymentID, o.PaidAt = engine.Paid, fmt.Sprintf("pay-%d-%d", h, i), o.Granted+5
				o.Receiver = &engine.Receiver{Sealed: "sealed: Ann, Here 5"}
			}
			o.Key[0], o.Transaction[3], o.Drawn = byte(i), byte(i), i%3 == 0
			of[i] = o
		}
		w.orders[h] = of
		w.sums[h] = Session{Handle: h, Index: engine.LogIndex(1000 + h), At: 2_000_000,
			Orders: uint32(orders), Group: group}
	}
	return w
}

func (w *world) record(h engine.SessionHandle) func(uint32) (engine.OrderRecord, bool) {
	return func(ordinal uint32) (engine.OrderRecord, bool) { return w.orders[h][ordinal-1], true }
}

func (w *world) write(t testing.TB, s *Store) {
	t.Helper()
	for h := range w.orders {
		if err := s.write(context.Background(), w.sums[h], w.record(h)); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) expect(s *Store) {
	for _, x := range w.sums {
		s.Expect(x)
	}
}

// of gives a shopper's orders, the newest first.
func (w *world) of(shopper string) (of []engine.OrderRecord) {
	for _, orders := range w.orders {
		for _, o := range orders {
			if o.Shopper == shopper {
				of = append(of, o)
			}
		}
	}
	slices.SortFunc(of, func(a, b engine.OrderRecord) int { return placeOf(&a).compare(placeOf(&b)) })
	return of
}

// check asks everything, and wants it as it was made up.
func (w *world) check(t *testing.T, s *Store) {
	t.Helper()
	if missing := s.Missing(); missing != nil {
		t.Fatalf("missing: %v", missing)
	}
	for h, orders := range w.orders {
		for i := range orders {
			o, found, err := s.Order(orders[i].Ref)
			if !found || err != nil || !reflect.DeepEqual(o, orders[i]) {
				t.Fatalf("%+v %v %v, want %+v", o, found, err, orders[i])
			}
			if orders[i].PaymentID != "" {
				if ref, found, err := s.PaidBy(orders[i].PaymentID); ref != o.Ref || !found || err != nil {
					t.Fatalf("%v %v %v, want %v", ref, found, err, o.Ref)
				}
			}
		}
		var scanned []engine.OrderRecord
		if err := s.Scan(engine.OrderRef{Session: h, Ordinal: 3},
			func(o *engine.OrderRecord) bool { scanned = append(scanned, *o); return true }); err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(scanned, orders[min(2, len(orders)):]) && len(orders) > 2 {
			t.Errorf("session %d: %d scanned, want %d from the third on", h, len(scanned), len(orders)-2)
		}
	}
	for i := range w.shoppers {
		shopper := fmt.Sprint("shopper-", i)
		want := w.of(shopper)
		for _, page := range []int{1 << 30, 20} {
			if got := ordersOf(t, s, shopper, page); !reflect.DeepEqual(got, want) {
				t.Errorf("%s by %d: %d orders, want %d", shopper, page, len(got), len(want))
			}
		}
	}
	if _, found, err := s.PaidBy("nobody's"); found || err != nil {
		t.Errorf("a payment that nobody made: %v %v", found, err)
	}
}

// ordersOf asks for a shopper's orders by pages.
func ordersOf(t *testing.T, s *Store, shopper string, page int) (of []engine.OrderRecord) {
	t.Helper()
	for {
		var last place
		if len(of) > 0 {
			last = placeOf(&of[len(of)-1])
		}
		n := 0
		if err := s.OrdersOf(shopper, last.ref, last.granted, func(o *engine.OrderRecord) bool {
			of = append(of, *o)
			n++
			return n < page
		}); err != nil {
			t.Fatal(err)
		}
		if n < page {
			return of
		}
	}
}

// TestOrdersAreFound: what was written is found by number, shopper and payment, also
// by a Store that was opened later, with fewer open files than there are.
func TestOrdersAreFound(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(6, 150, 10)
	s := open(t, dir)
	w.write(t, s)
	w.check(t, s)
	s.Close()

	s = open(t, dir)
	if _, found, err := s.Order(engine.OrderRef{Session: 1, Ordinal: 1}); found || err != nil {
		t.Errorf("nobody expects it yet: %v %v", found, err)
	}
	w.expect(s)
	w.check(t, s)
	if n := len(s.open); n > 4 {
		t.Errorf("%d files are open, 4 allowed", n)
	}
	for _, ref := range []engine.OrderRef{{Session: 1, Ordinal: 0}, {Session: 1, Ordinal: 151}, {Session: 99,
		Ordinal: 1}} {
		if _, found, err := s.Order(ref); found || err != nil {
			t.Errorf("%v: %v %v", ref, found, err)
		}
	}
}

// TestSessionWithoutOrders: a file may be empty.
func TestSessionWithoutOrders(t *testing.T) {
	w := newWorld(1, 0, 1)
	s := open(t, t.TempDir())
	w.write(t, s)
	w.check(t, s)
}

// TestFilesAreEqual: the same orders make the same bytes.
func TestFilesAreEqual(t *testing.T) {
	var files [2][]byte
	for i := range files {
		w := newWorld(1, 2*writeRows+100, 500)
		s := open(t, t.TempDir())
		w.write(t, s)
		var err error
		if files[i], err = os.ReadFile(s.path(1)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(files[0], files[1]) {
		t.Errorf("%d and %d bytes differ", len(files[0]), len(files[1]))
	}
}

// TestWriteIsAbandoned: nothing remains of it.
func TestWriteIsAbandoned(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(1, 100, 10)
	s := open(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	err := s.write(ctx, w.sums[1], func(ordinal uint32) (engine.OrderRecord, bool) {
		if ordinal == 50 {
			cancel()
		}
		return w.record(1)(ordinal)
	})
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if !errors.Is(err, context.Canceled) || len(left) > 0 || s.Missing() != nil {
		t.Errorf("%v, files %v, missing %v", err, left, s.Missing())
	}
}

// TestFilesChangePlaces: while nobody has them open, files that were checked are put in
// each other's place; nobody is told of another's order.
func TestFilesChangePlaces(t *testing.T) {
	w := newWorld(2, 30, 5)
	s := open(t, t.TempDir())
	w.write(t, s)
	a, b := s.path(1), s.path(2)
	if err := errors.Join(os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b)); err != nil {
		t.Fatal(err)
	}
	for _, h := range []engine.SessionHandle{1, 2} {
		if o, found, err := s.Order(engine.OrderRef{Session: h, Ordinal: 3}); !errors.Is(err, ErrIncomplete) || found {
			t.Errorf("session %d: %+v, %v, %v", h, o, found, err)
		}
	}
}
