package payment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"doorbuster/engine"
)

// Shop is what Jobs need to know and to tell. All methods are safe for
// concurrent use.
type Shop interface {
	// Leads reports whether this node leads: only then does it run jobs.
	Leads() bool
	// RefundsOwed tells how many refunds are due, and since when the oldest is.
	RefundsOwed() (refunds int, since engine.Time)
	// LookForRefunds gives numbers of refunds that are due, at most so many, of those
	// behind after, and where to look next: 0 is from the first on.
	LookForRefunds(after engine.RefundNo, most int) (due []engine.RefundNo, last engine.RefundNo)
	// RefundDue gives a refund, and whether it is due still.
	RefundDue(no engine.RefundNo) (engine.RefundView, bool)
	// ConfirmRefund notes, committed, that a refund was made.
	ConfirmRefund(ctx context.Context, no engine.RefundNo, reference string) error
	// InGrace gives holds past their time to pay that are not released yet, at most
	// so many, of those behind after, and where to look next: the zero value is from
	// the first on.
	InGrace(after engine.OrderRef, most int) (holds []engine.OrderRef, last engine.OrderRef)
	// OrderNo gives an order's number.
	OrderNo(ref engine.OrderRef) string
	// CloseHold releases such a hold.
	CloseHold(ctx context.Context, ref engine.OrderRef) error
	// Pay takes a payment, committed.
	Pay(ctx context.Context, p engine.Payment) (engine.Receipt, error)
}

// pageRows is how many refunds or holds, at most, are given at once, and pagesATime
// how many such pages each time they are looked for. The next time goes on behind
// the last: however many fail, those behind them get their turn.
const (
	pageRows   = 512
	pagesATime = 8
)

// commandTimeout bounds what the shop is told.
const commandTimeout = 10 * time.Second

// Jobs asks the cashier for every refund that is due until it is made, and for
// the end of every hold whose time to pay is over. What there is to ask stands in
// the shop's state alone: a new leader, or one started again, begins with what is
// there.
type Jobs struct {
	client *Client
	shop   Shop
	cfg    Config

	refunds queue[engine.RefundNo]
	closes  queue[engine.OrderRef]

	asked, confirmed, failed           atomic.Uint64 // refunds
	closed, paidAlready, closeFailures atomic.Uint64
}

// NewJobs makes Jobs that do nothing until Run.
func NewJobs(client *Client, shop Shop) *Jobs {
	cfg := client.cfg
	return &Jobs{client: client, shop: shop, cfg: cfg,
		refunds: queue[engine.RefundNo]{retries: newRetries[engine.RefundNo](cfg), page: shop.LookForRefunds},
		closes:  queue[engine.OrderRef]{retries: newRetries[engine.OrderRef](cfg), page: shop.InGrace}}
}

// Run runs jobs until ctx ends, and then waits for those under way, whose
// requests end with it.
func (j *Jobs) Run(ctx context.Context) {
	defer j.client.Close()
	var all sync.WaitGroup
	all.Go(func() { j.refunds.run(ctx, j.shop.Leads, j.cfg, j.refund) })
	all.Go(func() { j.closes.run(ctx, j.shop.Leads, j.cfg, j.close) })
	all.Wait()
}

// queue is one kind of job: what there is to do, and what failed of it.
type queue[K comparable] struct {
	*retries[K]
	page func(after K, most int) (keys []K, last K) // the zero key is before the first, and behind the last
	last K                                          // where the last look ended
}

// run looks for work again and again, and does it, so many at once.
func (q *queue[K]) run(ctx context.Context, leads func() bool, cfg Config, do func(context.Context, K)) {
	work := make(chan K)
	var hands sync.WaitGroup
	for range cfg.InFlight {
		hands.Go(func() {
			for k := range work {
				if leads() {
					do(ctx, k)
				} else {
					q.drop(k)
				}
			}
		})
	}
	defer hands.Wait()
	defer close(work)
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	for {
		q.look(leads, func(k K) bool {
			select {
			case work <- k:
				return true
			case <-ctx.Done():
				return false
			}
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look gives out what is to be done, page by page, until give gives false.
func (q *queue[K]) look(leads func() bool, give func(K) bool) {
	var zero K
	for range pagesATime {
		leads := leads()
		if !leads {
			q.last = zero
		}
		if q.last == zero {
			q.turn()
		}
		if !leads {
			return
		}
		var keys []K
		keys, q.last = q.page(q.last, pageRows)
		for _, k := range keys {
			if q.begin(k, time.Now()) && !give(k) {
				return
			}
		}
		if q.last == zero {
			return
		}
	}
}

// refund asks for one refund.
func (j *Jobs) refund(ctx context.Context, no engine.RefundNo) {
	r, due := j.shop.RefundDue(no)
	if !due {
		j.refunds.drop(no)
		return
	}
	reference, err := j.client.Refund(ctx, &r)
	if !errors.Is(err, ErrLeftAlone) {
		j.asked.Add(1)
	}
	if err == nil {
		wait, stop := context.WithTimeout(ctx, commandTimeout)
		err = j.shop.ConfirmRefund(wait, r.No, reference)
		stop()
	}
	if err == nil {
		j.confirmed.Add(1)
		j.refunds.done(r.No)
		j.cfg.Logger.Info("refund made", "refund_no", r.No, "order_no", r.OrderNo, "payment_id", r.PaymentID,
			"amount", r.Amount, "currency", r.Currency, "reason", r.Why.String(),
			"transaction_id", r.Transaction.String())
		return
	}
	if j.refunds.failed(r.No, time.Now(), err); ctx.Err() == nil && !errors.Is(err, ErrLeftAlone) {
		j.failed.Add(1)
		j.cfg.Logger.Warn("a refund failed; it is asked for again", "refund_no", r.No, "order_no", r.OrderNo,
			"error", err)
	}
}

// RefundTries tells how often a refund was asked for and what came of it, on the node
// that leads: known is false elsewhere, and forgotten when another leads.
func (j *Jobs) RefundTries(no engine.RefundNo) (t Tries, known bool) {
	if j == nil || !j.shop.Leads() {
		return t, false
	}
	return j.refunds.told(no), true
}

// close asks for the end of one hold. Where the cashier does not answer, the
// grace runs.
func (j *Jobs) close(ctx context.Context, ref engine.OrderRef) {
	orderNo := j.shop.OrderNo(ref)
	closed, err := j.client.CloseOrder(ctx, orderNo)
	wait, stop := context.WithTimeout(ctx, commandTimeout)
	defer stop()
	switch {
	case err != nil:
	case closed.Closed:
		err = j.shop.CloseHold(wait, ref)
	default:
		err = j.takeLost(wait, orderNo, closed.Payment)
	}
	switch {
	case err == nil && closed.Closed:
		j.closed.Add(1)
	case err == nil:
		j.paidAlready.Add(1)
	default:
		if j.closes.failed(ref, time.Now(), err); ctx.Err() != nil || errors.Is(err, ErrLeftAlone) {
			return
		}
		// A hold that is refused was paid, or released, meanwhile.
		if no := (*engine.Refusal)(nil); closed.Payment != nil || !errors.As(err, &no) {
			j.closeFailures.Add(1)
			j.cfg.Logger.Warn("an order could not be closed at the cashier; its grace runs", "order_no", orderNo,
				"error", err)
		}
		return
	}
	j.closes.done(ref)
}

// takeLost takes a payment whose callback has not come.
func (j *Jobs) takeLost(ctx context.Context, orderNo string, t *Taken) error {
	p, wrong := t.Payment(time.Now())
	if wrong == "" && p.OrderNo != orderNo {
		wrong = "The payment is for another order."
	}
	if wrong != "" {
		return errors.New("the payment in the cashier's answer: " + wrong)
	}
	r, err := j.shop.Pay(ctx, p)
	if err == nil {
		j.cfg.Logger.Info("a payment whose callback had not come was taken", "order_no", orderNo, "payment_id", p.ID,
			"outcome", r.Outcome.String())
	}
	return err
}

// owed tells of the refunds that are due, to metrics: none where another leads.
func (j *Jobs) owed() (refunds int, since engine.Time) {
	if !j.shop.Leads() {
		return 0, 0
	}
	return j.shop.RefundsOwed()
}

// Alarms is what somebody must see to between the shop and the cashier, on the node
// that leads; none elsewhere.
func (j *Jobs) Alarms() (all []engine.Alarm) {
	if j == nil || !j.shop.Leads() {
		return nil
	}
	if since, why := j.client.fails(); why != "" {
		all = append(all, engine.Alarm{Name: engine.AlarmCashierFails, Since: since,
			Detail: "The cashier does not answer: " + why + ".",
			Advice: "Refunds wait, and orders past their time to pay are kept for their grace, until it answers: " +
				"look at it, and at cashier_url."})
	}
	if n, why := j.refunds.failing(); n > 0 {
		all = append(all, engine.Alarm{Name: engine.AlarmRefundsFail,
			Detail: fmt.Sprintf("Refunds that failed and are asked for again: %d; of one: %s.", n, why),
			Advice: "See 'doorbuster refunds --admin ADDR'."})
	}
	return all
}

// Collectors give what is counted, for metrics.
func (j *Jobs) Collectors() []prometheus.Collector {
	counter := func(name, result, help string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help,
			ConstLabels: prometheus.Labels{"result": result}}, func() float64 { return float64(n.Load()) })
	}
	refunds := func(result string, n *atomic.Uint64) prometheus.Collector {
		return counter("doorbuster_refund_requests_total", result,
			"Refunds: asked of the cashier, confirmed by it, failed and to be asked for again.", n)
	}
	closes := func(result string, n *atomic.Uint64) prometheus.Collector {
		return counter("doorbuster_hold_closes_total", result,
			"Holds past their time to pay, by what the cashier said: closed, paid already, nothing.", n)
	}
	return []prometheus.Collector{
		refunds("asked", &j.asked), refunds("confirmed", &j.confirmed), refunds("failed", &j.failed),
		closes("closed", &j.closed), closes("paid", &j.paidAlready), closes("failed", &j.closeFailures),
		j.client.took,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_cashier_left_alone",
			Help: "1 while the cashier fails, and is not asked."},
			func() float64 {
				if j.client.breaker.State() == gobreaker.StateOpen {
					return 1
				}
				return 0
			}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_refunds_due",
			Help: "Refunds that the cashier has not confirmed, on the leader; 0 elsewhere."},
			func() float64 {
				n, _ := j.owed()
				return float64(n)
			}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "doorbuster_refunds_oldest_seconds",
			Help: "ALARM (refunds_overdue) if it keeps growing: for how long the oldest refund has been due, on the " +
				"leader; 0 without."},
			func() float64 {
				n, since := j.owed()
				if n == 0 {
					return 0
				}
				return max(0, time.Since(since.Wall()).Seconds())
			}),
	}
}
