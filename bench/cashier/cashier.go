package cashier

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"doorbuster/httpapi/input"
	"doorbuster/httpapi/payment"
)

// shopTimeout bounds one request to the shop.
const shopTimeout = 10 * time.Second

// Cashier takes money and tells the shop. Safe for concurrent use.
type Cashier struct {
	cfg     Config
	books   *Books
	checker *payment.Checker // nil without secrets
	shop    *http.Client
	next    atomic.Uint64 // which of the shop's doors
	asked   atomic.Uint64 // questions of the shop, for the dice

	mu    sync.Mutex
	queue callHeap
	wake  chan struct{}
}

// New opens the books, or says all that is wrong with cfg. Close it.
func New(cfg Config) (*Cashier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cashier: %w", err)
	}
	if cfg.Workers == 0 {
		cfg.Workers = 16
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	books, err := OpenBooks(cfg.File)
	if err != nil {
		return nil, err
	}
	c := &Cashier{cfg: cfg, books: books, wake: make(chan struct{}, 1),
		shop: &http.Client{Timeout: shopTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: cfg.Workers,
			MaxConnsPerHost: 2 * cfg.Workers, IdleConnTimeout: 30 * time.Second}}}
	if cfg.Secrets != nil {
		if c.checker, err = payment.NewChecker(cfg.Secrets, time.Now); err != nil {
			return nil, errors.Join(err, books.Close())
		}
	}
	waiting, err := books.calls()
	if err != nil {
		return nil, errors.Join(err, books.Close())
	}
	c.queue = waiting
	heap.Init(&c.queue)
	return c, nil
}

// Close closes the books; nobody may ask any more, and Run has ended.
func (c *Cashier) Close() error {
	c.shop.CloseIdleConnections()
	return c.books.Close()
}

// Books are the cashier's own.
func (c *Cashier) Books() *Books { return c.books }

// Errors of Take besides those of the books.
var (
	ErrToken   error = &refusal{422, "the token does not do"}
	ErrExpired error = &refusal{422, "the time to pay is over"}
	ErrShop    error = &refusal{502, "the shop, which checks tokens, does not answer"}
)

// Take takes the money that a token names. id names the payment, "" for a new
// name. Errors: ErrToken, ErrExpired, ErrShop, ErrPaid with the payment that there
// is, ErrClosed.
func (c *Cashier) Take(ctx context.Context, token, id string) (Payment, error) {
	claims, err := c.read(ctx, token)
	now := time.Now().Truncate(time.Millisecond).UTC()
	late := errors.Is(err, ErrExpired)
	if late && c.cfg.Faults.dice(claims.OrderNo+" late").Float64() < c.cfg.Faults.Late {
		err = nil
	}
	if err != nil {
		return Payment{}, err
	}
	if id == "" {
		id = "pay-" + uuid.NewString()
	}
	p := Payment{ID: id, OrderNo: claims.OrderNo, Amount: claims.Amount, Currency: claims.Currency, At: now,
		Transaction: claims.Transaction.String(), Token: token, Late: late}
	var calls []call
	for _, at := range c.cfg.Faults.callbacks(p.OrderNo, now) {
		calls = append(calls, call{PaymentID: id, Due: at})
	}
	booked, queued, err := c.books.Take(p, claims.PayBy.Wall(), calls)
	if err != nil {
		return booked, err
	}
	c.enqueue(queued...)
	return booked, nil
}

// read checks a token, by the keys or by asking the shop. One of which only the
// time is over gives its claims with ErrExpired.
func (c *Cashier) read(ctx context.Context, token string) (payment.Claims, error) {
	if c.cfg.Keys != nil {
		claims, err := c.cfg.Keys.Read(token, time.Now())
		switch {
		case errors.Is(err, payment.ErrTokenExpired):
			return claims, ErrExpired
		case err != nil:
			return claims, fmt.Errorf("%w: %w", ErrToken, err)
		}
		return claims, nil
	}
	var v verdict
	status, err := c.post(ctx, c.doors()[0], "/v1/payments/verify", map[string]string{"token": token}, &v)
	if err != nil || status != http.StatusOK {
		return payment.Claims{}, fmt.Errorf("%w: status %d, %v", ErrShop, status, err)
	}
	claims, ok := payment.Peek(token)
	switch {
	case v.Valid && ok:
		return claims, nil
	case ok && (v.Why == "expired" || v.Why == "used") && !time.Now().Before(claims.PayBy.Wall()):
		return claims, ErrExpired
	}
	return payment.Claims{}, fmt.Errorf("%w: %s", ErrToken, v.Detail)
}

type verdict struct {
	Valid  bool
	Why    string
	Detail string
}

// doors gives the shop's doors, another one first each time.
func (c *Cashier) doors() []string {
	n := int(c.next.Add(1) % uint64(len(c.cfg.Shop)))
	return append(append([]string(nil), c.cfg.Shop[n:]...), c.cfg.Shop[:n]...)
}

// callHeap is a min-heap of callbacks by when they are due.
type callHeap []call

func (h callHeap) Len() int           { return len(h) }
func (h callHeap) Less(i, j int) bool { return h[i].Due.Before(h[j].Due) }
func (h callHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *callHeap) Push(x any)        { *h = append(*h, x.(call)) }
func (h *callHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (c *Cashier) enqueue(calls ...call) {
	c.mu.Lock()
	for _, x := range calls {
		heap.Push(&c.queue, x)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due takes the first callback whose time has come, or tells how long until then.
func (c *Cashier) due(now time.Time) (x call, found bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return x, false, time.Hour
	}
	if wait = c.queue[0].Due.Sub(now); wait > 0 {
		return x, false, wait
	}
	return heap.Pop(&c.queue).(call), true, 0
}

// Run delivers callbacks until ctx ends.
func (c *Cashier) Run(ctx context.Context) {
	work := make(chan call)
	var workers sync.WaitGroup
	for range c.cfg.Workers {
		workers.Go(func() {
			for x := range work {
				c.deliver(ctx, x)
			}
		})
	}
	defer workers.Wait()
	defer close(work)
	for {
		x, found, wait := c.due(time.Now())
		if found {
			select {
			case work <- x:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// retryCallback bounds how long a callback waits that nobody took.
const retryCallback = 5 * time.Second

// deliver tells the shop of a payment, by whichever door takes it.
func (c *Cashier) deliver(ctx context.Context, x call) {
	p, found, err := c.books.Payment(x.PaymentID)
	if err == nil && found {
		for _, door := range c.doors() {
			var said struct{ Outcome, Type, Detail string }
			status, err := c.post(ctx, door, "/v1/payments/callback",
				&payment.Taken{PaymentID: p.ID, OrderNo: p.OrderNo, Amount: &p.Amount, Currency: p.Currency,
					PaidAt: input.Moment{Time: p.At}, Token: p.Token, Transaction: p.Transaction}, &said)
			refused := status >= 400 && status < 500 && status != http.StatusRequestTimeout &&
				status != http.StatusTooManyRequests
			if err == nil && (status == http.StatusOK || refused) {
				told := said.Outcome
				if refused {
					told = fmt.Sprint("refused_", status)
					c.cfg.Logger.Warn("the shop refused a callback", "payment_id", p.ID, "order_no", p.OrderNo,
						"status", status, "problem", said.Type, "detail", said.Detail)
				}
				if err := c.books.delivered(x, told, time.Now().Truncate(time.Millisecond).UTC()); err != nil {
					c.cfg.Logger.Error("a delivered callback stays in the books, and comes again", "error", err)
				}
				return
			}
			if ctx.Err() != nil {
				return // it stays in the books
			}
		}
	}
	x.tries++
	x.Due = time.Now().Add(min(100*time.Millisecond<<min(x.tries, 10), retryCallback))
	c.enqueue(x)
}
