package cashier

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func openBooks(t *testing.T, path string) *Books {
	t.Helper()
	b, err := OpenBooks(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var day = time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)

func paymentAt(i int) Payment {
	return Payment{ID: fmt.Sprint("p", i), OrderNo: fmt.Sprint("O", i), Amount: int64(i), Currency: "CNY",
		At: day.Add(time.Duration(i) * time.Second), Transaction: "t"}
}

// TestBooksOnce: an order is paid once and paid back once, whoever asks how often,
// also after the books were closed.
func TestBooksOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "books.db")
	b := openBooks(t, path)
	until := day.Add(time.Hour)
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 20 {
		all.Go(func() {
			p := paymentAt(i % 5)
			p.ID += fmt.Sprint("-", i)
			if _, calls, err := b.Take(p, until, []call{{PaymentID: p.ID, Due: day}}); err == nil {
				mu.Lock()
				taken++
				mu.Unlock()
				if len(calls) != 1 || calls[0].Seq == 0 {
					t.Errorf("queued %v", calls)
				}
			} else if !errors.Is(err, ErrPaid) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken != 5 {
		t.Errorf("%d payments of 5 orders", taken)
	}
	p, _, err := b.Take(paymentAt(1), until, nil)
	if !errors.Is(err, ErrPaid) {
		t.Fatal(err)
	}
	back := Refund{Reference: "r1", No: 7, PaymentID: p.ID, OrderNo: p.OrderNo, Amount: p.Amount,
		Currency: p.Currency, At: day}
	for name, c := range map[string]struct {
		change func(*Refund)
		want   error
	}{
		"unknown":  {func(r *Refund) { r.PaymentID = "x" }, ErrUnknown},
		"amount":   {func(r *Refund) { r.Amount++ }, ErrDiffers},
		"currency": {func(r *Refund) { r.Currency = "EUR" }, ErrDiffers},
		"order":    {func(r *Refund) { r.OrderNo = "O2" }, ErrDiffers},
	} {
		r := back
		if c.change(&r); true {
			if _, err := b.PayBack(r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for i := range 3 {
		r := back
		r.Reference = fmt.Sprint("r", i+1)
		if made, err := b.PayBack(r); err != nil || made.Reference != "r1" || made.Asked != i+1 {
			t.Errorf("%+v, %v", made, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = openBooks(t, path)
	}
	defer b.Close()
	back.No = 8
	if _, err := b.PayBack(back); !errors.Is(err, ErrRefunded) {
		t.Errorf("under another number: %v", err)
	}
	calls, err := b.calls()
	if err != nil || len(calls) != 5 {
		t.Fatalf("%d callbacks wait, %v", len(calls), err)
	}
	for _, said := range []string{unchanged, "paid", unchanged} { // repeated callbacks, heard in another order
		if err := b.delivered(calls[0], said, day); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	if err := b.Payments(func(p *Payment) error {
		if want := p.ID == calls[0].PaymentID; want != (p.Told == "paid" &&
			p.ToldAt.Equal(day)) || !want && p.Told != "" {
			t.Errorf("%+v", p)
		}
		told++
		return nil
	}); err != nil || told != 5 {
		t.Errorf("%d payments are listed, %v", told, err)
	}
	sum, err := b.Add()
	if err != nil || sum.Payments != 5 || sum.Taken["CNY"] != 0+1+2+3+4 || sum.Refunds != 1 ||
		sum.PaidBack["CNY"] != 1 || sum.Asked != 3 || sum.Calls != 4 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestClosedOrPaid: never both, and a closed order may be paid only with a token
// that was given more time since.
func TestClosedOrPaid(t *testing.T) {
	b := openBooks(t, filepath.Join(t.TempDir(), "books.db"))
	defer b.Close()
	for i := range 200 {
		var all sync.WaitGroup
		var paid *Payment
		var closing, taking error
		all.Go(func() { paid, closing = b.CloseOrder(fmt.Sprint("O", i), day.Add(time.Minute)) })
		all.Go(func() { _, _, taking = b.Take(paymentAt(i), day.Add(time.Second), nil) })
		all.Wait()
		if closing != nil || (taking == nil) != (paid != nil) || taking != nil && !errors.Is(taking, ErrClosed) {
			t.Fatalf("order %d: closing %v %v, taking %v", i, paid, closing, taking)
		}
	}
	if _, err := b.CloseOrder("X", day); err != nil {
		t.Fatal(err)
	}
	p := paymentAt(1000)
	p.OrderNo = "X"
	if _, _, err := b.Take(p, day, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, _, err := b.Take(p, day.Add(time.Second), nil); err != nil {
		t.Errorf("with more time: %v", err)
	}
}

func TestStatement(t *testing.T) {
	b := openBooks(t, filepath.Join(t.TempDir(), "books.db"))
	defer b.Close()
	const n = statementRows/8 + 3
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < n*8; i += 8 {
				if _, _, err := b.Take(paymentAt(i), day, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := b.PayBack(Refund{Reference: "r", No: 1, PaymentID: "p2", OrderNo: "O2", Amount: 2, Currency: "CNY",
		At: day.Add(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	count := func(from, to time.Duration) (rows []Row) {
		if err := b.Statement(day.Add(from), day.Add(to),
			func(r *Row) error { rows = append(rows, *r); return nil }); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if rows := count(0, 24*time.Hour); len(rows) != n*8+1 || rows[1].OrderNo != "O1" || rows[n*8].Kind != "refund" {
		t.Errorf("%d rows", len(rows))
	}
	if rows := count(2*time.Second, 4*time.Second); len(rows) != 3 ||
		rows[0] != (Row{"p2", "O2", 2, "CNY", "payment", day.Add(2 * time.Second), "t"}) ||
		rows[2] != (Row{"p2", "O2", 2, "CNY", "refund", day.Add(3 * time.Second), ""}) {
		t.Errorf("%+v", rows)
	}
}

// broken is a connection on which nothing arrives.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestBrokenStatement: a statement that can't be written is aborted and never ends
// as a whole one does, also if all of it fits the writer's buffer.
func TestBrokenStatement(t *testing.T) {
	b := openBooks(t, filepath.Join(t.TempDir(), "books.db"))
	defer b.Close()
	if _, _, err := b.Take(paymentAt(1), day, nil); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"csv", "ndjson"} {
		t.Run(format, func(t *testing.T) {
			defer func() {
				if got := recover(); got != http.ErrAbortHandler {
					t.Errorf("it ended with %v", got)
				}
			}()
			r := httptest.NewRequest("GET",
				"/statement?from=2026-09-20T00:00:00Z&to=2026-09-21T00:00:00Z&format="+format, nil)
			(&Cashier{books: b}).statement(broken{httptest.NewRecorder()}, r)
		})
	}
}

// TestFaultsAreAsWished: the same seed misbehaves in the same way, in the shares
// that were wished for.
func TestFaultsAreAsWished(t *testing.T) {
	f := Faults{Delay: time.Second, Repeat: 0.2, Drop: 0.1, Reorder: 0.3, Seed: 7}
	dropped, repeated, overtaken := 0, 0, 0
	const n = 10_000
	for i := range n {
		at := f.callbacks(fmt.Sprint("O", i), day)
		if again := f.callbacks(fmt.Sprint("O", i), day); fmt.Sprint(at) != fmt.Sprint(again) {
			t.Fatal("the same order fares otherwise")
		}
		switch {
		case len(at) == 0:
			dropped++
		case len(at) > 1:
			repeated++
		}
		if len(at) > 0 && at[0].Sub(day) > time.Second {
			overtaken++
		}
	}
	for what, c := range map[string]struct{ got, want float64 }{"dropped": {float64(dropped), 0.1},
		"repeated": {float64(repeated), 0.18}, "overtaken": {float64(overtaken), 0.27}} {
		if c.got < n*c.want*0.85 || c.got > n*c.want*1.15 {
			t.Errorf("%s: %v of %d; wanted %v", what, c.got, n, n*c.want)
		}
	}
	if at := (&Faults{}).callbacks("O", day); len(at) != 1 || !at[0].Equal(day) {
		t.Errorf("a good cashier calls %v", at)
	}
}
