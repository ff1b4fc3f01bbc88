package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// opened is when the tests' sessions open: 10:15 in Shanghai.
const opened engine.Time = 1_789_870_500_000

// shop is the real state machine without the log, as accounts to reconcile with.
type shop struct {
	t testing.TB

	mu      sync.Mutex
	state   *engine.State
	index   engine.LogIndex
	now     engine.Time
	asked   int
	failing int // so many payments come to nothing that anybody knows
}

func openShop(t testing.TB, listings ...engine.ListingSpec) *shop {
	t.Helper()
	s := &shop{t: t, state: engine.NewState(), now: opened}
	s.apply(engine.EncodeBatch(engine.BatchHeader{Time: s.now}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "a1",
		Secret: [16]byte{1, 2, 3}}))
	x := engine.SessionPlan{SessionSpec: engine.SessionSpec{ID: "ten", StartSpec: "now", Start: s.now,
		End:       s.now.Add(time.Hour),
		PayWithin: 15 * time.Minute, Publish: true}, Listings: listings}
	plan := &engine.Plan{Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "Asia/Shanghai"},
		Sessions: []engine.SessionPlan{x}}}}
	for _, l := range listings {
		plan.Products = append(plan.Products, engine.Product{ID: l.SKU, Currency: "CNY"})
	}
	s.do(engine.Command{Kind: engine.CmdApplyPlan, Plan: plan})
	return s
}

func (s *shop) apply(entry []byte) *engine.Effects {
	s.t.Helper()
	s.index++
	effects := new(engine.Effects)
	if err := s.state.Apply(s.index, entry, effects); err != nil {
		s.t.Fatal(err)
	}
	return effects
}

func (s *shop) do(c engine.Command) engine.Event {
	s.t.Helper()
	epoch, sequence, _ := s.state.Epoch()
	e := s.apply(engine.EncodeBatch(engine.BatchHeader{Epoch: epoch, Sequence: sequence + 1, Time: s.now},
		c)).Primary[0]
	return e
}

func (s *shop) after(d time.Duration) {
	s.t.Helper()
	s.now = s.now.Add(d)
	epoch, sequence, _ := s.state.Epoch()
	s.apply(engine.EncodeBatch(engine.BatchHeader{Epoch: epoch, Sequence: sequence + 1, Time: s.now}))
}

// grab gives the number of a new order.
func (s *shop) grab(sku, shopper string) string {
	s.t.Helper()
	e := s.do(engine.Command{Kind: engine.CmdPlaceHold, Listing: s.state.ListingOf("ten", sku).Handle,
		Shopper: []byte(shopper),
		Key:     s.state.KeyOf([]byte(shopper)), Quantity: 1, Deadline: s.now + 1000})
	if e.Kind != engine.HoldPlaced {
		s.t.Fatalf("%s got no %s: %v", shopper, sku, e)
	}
	return s.state.OrderNo(e.Order)
}

// paid has an order paid, as a callback would.
func (s *shop) paid(orderNo, id string, at engine.Time) {
	s.t.Helper()
	v := s.order(orderNo)
	if _, err := s.Pay(context.Background(), engine.Payment{OrderNo: orderNo, ID: id, Amount: v.Amount,
		Currency: v.Currency, PaidAt: at}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) order(orderNo string) engine.OrderView {
	ref, _ := s.state.FindOrder(orderNo)
	v, _ := s.state.View(ref)
	return v
}

func (s *shop) Accounts(_ context.Context, keys []engine.AccountKey) ([]engine.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	accounts := make([]engine.Account, len(keys))
	for i, key := range keys {
		accounts[i], _, _ = s.state.Money().AccountBy(key)
	}
	return accounts, nil
}

func (s *shop) Takings(_ context.Context, from, to engine.Time, at engine.TakingsPlace) (page []engine.Account,
	next engine.TakingsPlace, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, done := s.state.Money().Takings(1, at.Ordinal, from, to, 3, func(ref engine.OrderRef) {
		a, _ := s.state.Money().Account(ref)
		page = append(page, a)
	})
	return page, engine.TakingsPlace{Ordinal: last}, !done, nil
}

func (s *shop) RefundsAfter(_ context.Context, after engine.RefundNo) (page []engine.RefundView, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for no := after + 1; int(no) <= s.state.Money().Refunds() && len(page) < 2; no++ {
		page = append(page, s.state.Money().ViewRefund(no))
	}
	return page, nil
}

func (s *shop) Pay(_ context.Context, p engine.Payment) (r engine.Receipt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.failing > 0 {
		s.failing--
		return r, engine.ErrOutcomeUnknown
	}
	ref, _ := s.state.FindOrder(p.OrderNo)
	e := s.do(engine.Command{Kind: engine.CmdPayOrder, Order: ref, Amount: p.Amount, Coupon: p.Coupon,
		Currency: p.Currency, PaymentID: p.ID, PaidAt: p.PaidAt, OrderNo: p.OrderNo,
		Transaction: p.Transaction, PayType: p.PayType})
	switch e.Kind {
	case engine.CommandRefused:
		return r, &engine.Refusal{Reason: e.Reason, State: e.State}
	case engine.OrderPaid:
		r.Outcome = engine.PaymentTaken
	case engine.RefundBecameDue:
		r.Outcome = engine.PaymentToRefund
	}
	if r.Reason = e.Reason; r.Reason != engine.ReasonNoOrder {
		r.Order, _ = s.state.View(ref)
	}
	return r, nil
}

func (s *shop) ConfirmRefund(_ context.Context, no engine.RefundNo, reference string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.do(engine.Command{Kind: engine.CmdConfirmRefund, Refund: no,
		Note: reference}); e.Kind == engine.CommandRefused {
		return &engine.Refusal{Reason: e.Reason}
	}
	return nil
}

// book is what the cashier writes down.
type book struct{ rows []statement.Row }

func (b *book) took(orderNo, id string, amount int64, at engine.Time) {
	b.rows = append(b.rows, statement.Row{Kind: statement.Payment, PaymentID: id, OrderNo: orderNo, Amount: amount,
		Currency: "CNY", At: at})
}

func (b *book) gaveBack(orderNo, id string, amount int64, at engine.Time) {
	b.rows = append(b.rows, statement.Row{Kind: statement.Refund, PaymentID: id, OrderNo: orderNo, Amount: amount,
		Currency: "CNY", At: at})
}

func (b *book) text(format statement.Format) string {
	var s strings.Builder
	if format == statement.CSV {
		s.WriteString("payment_id,order_no,amount,currency,kind,at\n")
	}
	for _, r := range b.rows {
		at := r.At.Wall().Format("2006-01-02T15:04:05.000Z07:00")
		if format == statement.CSV {
			fmt.Fprintf(&s, "%s,%s,%d,%s,%s,%s\n", r.PaymentID, r.OrderNo, r.Amount, r.Currency, r.Kind, at)
			continue
		}
		line, _ := json.Marshal(map[string]any{"payment_id": r.PaymentID, "order_no": r.OrderNo, "amount": r.Amount,
			"currency": r.Currency, "kind": r.Kind.String(), "at": at})
		s.Write(append(line, '\n'))
	}
	return s.String()
}

// reconciled runs a statement, and gives the findings by kind besides.
func reconciled(t testing.TB, s *shop, text string, change func(*reconcile.Options)) (*reconcile.Report,
	map[reconcile.Kind][]reconcile.Finding) {
	t.Helper()
	o := reconcile.DefaultOptions()
	o.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	found := map[reconcile.Kind][]reconcile.Finding{}
	o.Finding = func(f *reconcile.Finding) error {
		found[f.Kind] = append(found[f.Kind], *f)
		return nil
	}
	if change != nil {
		change(&o)
	}
	report, err := reconcile.Run(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return report, found
}

// snapshot is all orders, refunds and counts, as text to compare.
func (s *shop) snapshot() string {
	var b strings.Builder
	for ordinal := 1; ordinal <= s.state.SessionOf(1).Orders(); ordinal++ {
		a, _ := s.state.Money().Account(engine.OrderRef{Session: 1, Ordinal: uint32(ordinal)})
		fmt.Fprintf(&b, "%+v\n", a)
	}
	for _, l := range s.state.Listings() {
		fmt.Fprintf(&b, "%+v\n", s.state.CountsOf(l).Paid)
	}
	return b.String()
}
