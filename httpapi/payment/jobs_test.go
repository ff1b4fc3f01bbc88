package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// fakeShop owes refunds and has holds in their grace.
type fakeShop struct {
	leads atomic.Bool

	mu     sync.Mutex
	due    map[engine.RefundNo]engine.RefundView
	made   map[engine.RefundNo]string
	twice  []engine.RefundNo // confirmed again
	viewed int               // refunds
	holds  map[engine.OrderRef]engine.OrderView
	closed []engine.OrderRef
	paid   []engine.Payment
	fails  int // confirmations that find no leader

	heldOnce int // holds that there were at first
}

func newFakeShop(refunds, holds int) *fakeShop {
	s := &fakeShop{due: map[engine.RefundNo]engine.RefundView{}, made: map[engine.RefundNo]string{},
		holds: map[engine.OrderRef]engine.OrderView{}, heldOnce: holds}
	s.leads.Store(true)
	for i := 1; i <= refunds; i++ {
		no := engine.RefundNo(i)
		s.due[no] = engine.RefundView{Refund: engine.Refund{No: no, PaymentID: fmt.Sprint("p", i), Amount: 100,
			Currency: "CNY", Why: engine.ReasonPaidLate, Due: 1}, OrderNo: fmt.Sprint("R", i), Transaction: someone}
	}
	for i := 1; i <= holds; i++ {
		ref := engine.OrderRef{Session: 1, Ordinal: uint32(i)}
		s.holds[ref] = engine.OrderView{Ref: ref, OrderNo: fmt.Sprint("H", i), Amount: 100, Currency: "CNY",
			State: engine.Held}
	}
	return s
}

func (s *fakeShop) Leads() bool { return s.leads.Load() }

func (s *fakeShop) RefundsOwed() (refunds int, since engine.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due), 1
}

func (s *fakeShop) LookForRefunds(after engine.RefundNo, most int) (due []engine.RefundNo, last engine.RefundNo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for no := after + 1; int(no) <= len(s.due)+len(s.made); no++ {
		if len(due) == most {
			return due, no - 1
		}
		if _, ok := s.due[no]; ok {
			due = append(due, no)
		}
	}
	return due, 0
}

func (s *fakeShop) RefundDue(no engine.RefundNo) (engine.RefundView, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewed++
	r, due := s.due[no]
	return r, due
}

func (s *fakeShop) ConfirmRefund(_ context.Context, no engine.RefundNo, reference string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return engine.ErrOutcomeUnknown
	}
	if s.made[no] != "" {
		s.twice = append(s.twice, no)
	}
	s.made[no] = reference
	delete(s.due, no)
	return nil
}

func (s *fakeShop) InGrace(after engine.OrderRef, most int) (holds []engine.OrderRef, last engine.OrderRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ordinal := after.Ordinal + 1; int(ordinal) <= s.heldOnce; ordinal++ {
		if len(holds) == most {
			return holds, engine.OrderRef{Session: 1, Ordinal: ordinal - 1}
		}
		ref := engine.OrderRef{Session: 1, Ordinal: ordinal}
		if _, ok := s.holds[ref]; ok {
			holds = append(holds, ref)
		}
	}
	return holds, engine.OrderRef{}
}

func (s *fakeShop) OrderNo(ref engine.OrderRef) string { return fmt.Sprint("H", ref.Ordinal) }

func (s *fakeShop) CloseHold(_ context.Context, ref engine.OrderRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holds, ref)
	s.closed = append(s.closed, ref)
	return nil
}

func (s *fakeShop) Pay(_ context.Context, p engine.Payment) (engine.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ref, o := range s.holds {
		if o.OrderNo == p.OrderNo {
			delete(s.holds, ref)
		}
	}
	s.paid = append(s.paid, p)
	return engine.Receipt{Outcome: engine.PaymentTaken}, nil
}

func (s *fakeShop) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due) == 0 && len(s.holds) == 0
}

// runJobs runs them against a cashier until the test ends.
func runJobs(t *testing.T, shop *fakeShop, cashier http.HandlerFunc) *Jobs {
	t.Helper()
	server := httptest.NewServer(cashier)
	secrets, err := NewSecrets([][]byte{secret('a')})
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(Config{URL: server.URL, Secrets: secrets, Timeout: 200 * time.Millisecond,
		Every: time.Millisecond, RetryFirst: time.Millisecond, RetryMost: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	e := NewJobs(client, shop)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		client.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what + " does not happen")
		}
	}
}

// TestJobsGetThrough to a cashier who refuses, fails, hangs and talks nonsense:
// every refund is made once, however often it is asked for, and every hold ends.
func TestJobsGetThrough(t *testing.T) {
	const refunds, holds = 600, 40 // more than a page
	shop := newFakeShop(refunds, holds)
	shop.fails = 20
	var mu sync.Mutex
	asked, booked := map[string]int{}, map[string]string{}
	hang := make(chan struct{})
	defer close(hang)
	e := runJobs(t, shop, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		n := asked[r.URL.Path]
		mu.Unlock()
		if r.Header.Get(HeaderSignature) == "" {
			t.Error("a question is not signed")
		}
		if no, ok := strings.CutPrefix(r.URL.Path, "/orders/H"); ok {
			switch {
			case n == 1:
				http.Error(w, "no", http.StatusInternalServerError)
			case strings.HasPrefix(no, "7/"):
				fmt.Fprint(w, `{"closed":false,"payment":{"payment_id":"p7","order_no":"H7","amount":100,"currency":"CNY","paid_at":"2026-09-20T02:00:00Z"}}`)
			default:
				fmt.Fprint(w, `{"closed":true}`)
			}
			return
		}
		var q RefundRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Transaction != someText || q.Amount != 100 ||
			q.Why != "paid_late" {
			t.Errorf("asked for %+v, %v", q, err)
		}
		mu.Lock()
		booked[q.PaymentID] = "back-" + q.PaymentID // whatever is answered
		mu.Unlock()
		switch n {
		case 3, 50:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case 10:
			fmt.Fprint(w, "nonsense")
		case 20:
			fmt.Fprint(w, `{}`)
		case 30:
			http.Error(w, "never heard of it", http.StatusNotFound)
		case 40:
			<-hang
		default:
			fmt.Fprintf(w, `{"reference":%q}`, "back-"+q.PaymentID)
		}
	})
	eventually(t, "the end of all jobs", shop.over)
	shop.mu.Lock()
	defer shop.mu.Unlock()
	mu.Lock()
	defer mu.Unlock()
	if len(shop.made) != refunds || len(booked) != refunds || len(shop.twice) > 0 {
		t.Errorf("%d made, %d booked, %v confirmed twice", len(shop.made), len(booked), shop.twice)
	}
	for no, reference := range shop.made {
		if want := fmt.Sprint("back-p", no); reference != want {
			t.Errorf("refund %d is %q", no, reference)
		}
	}
	if len(shop.paid) != 1 || shop.paid[0] != (engine.Payment{OrderNo: "H7", ID: "p7", Amount: 100, Currency: "CNY",
		PaidAt: engine.TimeOf(moment)}) || len(shop.closed) != holds-1 {
		t.Errorf("%d closed, paid %+v", len(shop.closed), shop.paid)
	}
	if e.confirmed.Load() != refunds || e.asked.Load() <= refunds || e.failed.Load() == 0 ||
		e.closed.Load() != holds-1 || e.paidAlready.Load() != 1 {
		t.Errorf("counted %d asked, %d confirmed, %d failed, %d closed, %d paid", e.asked.Load(), e.confirmed.Load(),
			e.failed.Load(), e.closed.Load(), e.paidAlready.Load())
	}
	if got := asked["/refunds"]; got <= refunds {
		t.Errorf("asked %d times", got)
	}
}

// TestOnlyALeaderRunsJobs.
func TestOnlyALeaderRunsJobs(t *testing.T) {
	shop := newFakeShop(1, 1)
	shop.leads.Store(false)
	var asked atomic.Int64
	e := runJobs(t, shop, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, `{"reference":"r","closed":true}`)
	})
	rounds := func() uint64 {
		e.refunds.mu.Lock()
		defer e.refunds.mu.Unlock()
		return e.refunds.round
	}
	from := rounds()
	eventually(t, "a round", func() bool { return rounds() > from+3 })
	if n := asked.Load(); n > 0 {
		t.Errorf("asked %d times", n)
	}
	shop.leads.Store(true)
	eventually(t, "the end of all jobs", shop.over)
}

// TestThoseWhoFailStarveNobody: there are more of them than are looked at each time,
// and what stands behind them is done; nothing is built for those that wait.
func TestThoseWhoFailStarveNobody(t *testing.T) {
	const stuck = pageRows * pagesATime
	shop := newFakeShop(stuck+1, stuck+1)
	client, err := NewClient(Config{URL: "http://cashier.test", RetryFirst: time.Hour, RetryMost: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	e := NewJobs(client, shop)
	var refunds []engine.RefundNo
	var holds []engine.OrderRef
	for range 4 { // two times round
		e.refunds.look(shop.Leads, func(no engine.RefundNo) bool {
			refunds = append(refunds, no)
			e.refunds.failed(no, time.Now(), ErrLeftAlone)
			return true
		})
		e.closes.look(shop.Leads, func(ref engine.OrderRef) bool {
			holds = append(holds, ref)
			e.closes.failed(ref, time.Now(), ErrLeftAlone)
			return true
		})
	}
	if len(refunds) != stuck+1 || refunds[stuck] != stuck+1 || shop.viewed != 0 {
		t.Errorf("%d refunds were given out, and %d built", len(refunds), shop.viewed)
	}
	if len(holds) != stuck+1 || holds[stuck].Ordinal != stuck+1 {
		t.Errorf("%d holds were given out", len(holds))
	}
	if n, _ := e.owed(); n != stuck+1 {
		t.Errorf("%d refunds are owed", n)
	}
	shop.leads.Store(false)
	e.refunds.look(shop.Leads, nil)
	e.refunds.look(shop.Leads, nil)
	if n, since := e.owed(); n != 0 || since != 0 || len(e.refunds.of) != 0 {
		t.Errorf("where another leads, %d refunds are owed since %d, %d remembered", n, since, len(e.refunds.of))
	}
}

// TestALyingCashier: a payment for another order, or another sum, is not believed.
func TestALyingCashier(t *testing.T) {
	shop := newFakeShop(0, 1)
	var asked atomic.Int64
	e := runJobs(t, shop, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 4 {
			fmt.Fprint(w, `{"closed":false,"payment":{"payment_id":"p","order_no":"OTHER","amount":100,"currency":"CNY"}}`)
			return
		}
		fmt.Fprint(w, `{"closed":true,"payment":{"payment_id":"p","order_no":"H1","amount":100,"currency":"CNY"}}`)
	})
	eventually(t, "six questions", func() bool { return asked.Load() > 6 })
	if shop.over() || len(shop.paid) > 0 || e.closeFailures.Load() < 5 {
		t.Errorf("it was believed: paid %v, closed %v", shop.paid, shop.closed)
	}
}

// TestRetriesForget what is no longer there to do.
func TestRetriesForget(t *testing.T) {
	r := newRetries[int](Config{RetryFirst: time.Second, RetryMost: 10 * time.Second})
	now := moment
	for round := range 10 {
		r.turn()
		if !r.begin(1, now) || r.begin(1, now) {
			t.Fatalf("round %d: under way twice, or not at all", round)
		}
		r.failed(1, now, ErrLeftAlone)
		wait := min(time.Second<<round, 10*time.Second)
		if r.begin(1, now.Add(wait*79/100)) || r.of[1].wait != wait {
			t.Errorf("round %d: again too soon; it waits %s, not %s", round, r.of[1].wait, wait)
		}
		now = now.Add(wait * 121 / 100)
	}
	r.turn()
	r.turn()
	if len(r.of) > 0 {
		t.Errorf("it remembers %v", r.of)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	err := Config{URL: "ftp://x", Timeout: time.Hour, InFlight: 1000, Every: time.Hour,
		RetryFirst: 2 * time.Hour}.Validate()
	for _, want := range []string{"URL", "Timeout", "InFlight", "Every", "RetryFirst", "RetryMost"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if err := (Config{URL: "https://cashier.test/api"}).Validate(); err != nil {
		t.Error(err)
	}
}
