package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"doorbuster/engine"
	"doorbuster/httpapi/hidden"
	"doorbuster/httpapi/input"
)

// maxAnswerBytes bounds what the cashier answers.
const maxAnswerBytes = 16 << 10

// breakerFailures in a row, and the cashier is left alone for breakerFor.
const (
	breakerFailures = 8
	breakerFor      = 2 * time.Second
)

// ErrLeftAlone: the cashier has failed so often that it is not asked for the moment.
var ErrLeftAlone = errors.New("the cashier fails, and is left alone for a while")

// Client asks the cashier. Its methods are safe for concurrent use.
type Client struct {
	cfg     Config
	base    string
	http    *http.Client
	breaker *gobreaker.CircuitBreaker[[]byte]
	failure atomic.Pointer[error] // the latest
	took    prometheus.Histogram
	silent  atomic.Int64 // since when it has not answered, in Unix milliseconds; 0: it did last
}

// NewClient makes a Client, or says all that is wrong with cfg. It connects to
// nothing until it is asked.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("cashier: %w", err)
	}
	cfg = cfg.withDefaults()
	c := &Client{cfg: cfg, base: strings.TrimSuffix(cfg.URL, "/"), http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
			TLSHandshakeTimeout: cfg.Timeout, ForceAttemptHTTP2: true,
			DisableCompression: true, // answers are tiny, and what unpacks may grow
			MaxConnsPerHost:    2 * cfg.InFlight, MaxIdleConns: 2 * cfg.InFlight, MaxIdleConnsPerHost: 2 * cfg.InFlight,
			IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.took = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "doorbuster_cashier_request_seconds",
		Help:    "How long the cashier took to answer, or failed to.",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 14)})
	c.breaker = gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
		MaxRequests: 1, Timeout: breakerFor,
		ReadyToTrip:   func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerFailures },
		IsSuccessful:  works,
		OnStateChange: c.logBreaker,
	})
	return c, nil
}

func (c *Client) logBreaker(_ string, _, to gobreaker.State) {
	switch to {
	case gobreaker.StateOpen:
		var why error
		if failed := c.failure.Load(); failed != nil {
			why = *failed
		}
		c.cfg.Logger.Warn("the cashier fails; it is left alone for a while", "for", breakerFor, "error", why)
	case gobreaker.StateClosed:
		c.cfg.Logger.Info("the cashier answers again")
	}
}

// works reports whether the cashier does, by what came of asking.
func works(err error) bool { return err == nil || errors.As(err, new(refusedError)) }

// deadAfter is how long the cashier may fail before that is an alarm.
const deadAfter = 5 * time.Second

// fails says since when the cashier has not answered, and why, if it is taken to be
// dead. It is until it has answered again.
func (c *Client) fails() (since time.Time, why string) {
	if at := c.silent.Load(); at != 0 && time.Since(time.UnixMilli(at)) > deadAfter {
		return time.UnixMilli(at), strings.TrimSuffix(engine.PlainNetworkError(*c.failure.Load()), ".")
	}
	return since, ""
}

// Close drops the connections that are not in use. The client may still ask.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// RefundRequest asks the cashier to pay a payment back. Number and payment id
// together name it: it pays back once, however often it is asked.
type RefundRequest struct {
	No          engine.RefundNo `json:"refund_no"`
	PaymentID   string          `json:"payment_id"`
	OrderNo     string          `json:"order_no"`
	Amount      int64           `json:"amount"` // minor units
	Currency    string          `json:"currency"`
	Why         string          `json:"reason,omitempty"`
	Transaction string          `json:"transaction_id,omitempty"`
}

// RefundMade answers a RefundRequest.
type RefundMade struct {
	Reference string `json:"reference"` // the cashier's own name for it
}

// Closed is the answer to CloseOrder: either it takes no money for the order any
// more, or it took it already.
type Closed struct {
	Closed  bool   `json:"closed"`
	Payment *Taken `json:"payment,omitempty"`
}

// Taken is a payment as the cashier tells of it, here and in callbacks.
type Taken struct {
	PaymentID string `json:"payment_id" jsonschema:"maxLength=255"`
	OrderNo   string `json:"order_no"`
	Amount    *int64 `json:"amount" jsonschema:"minimum=0"` // Minor units: what was due.
	Currency  string `json:"currency" jsonschema:"minLength=3,maxLength=3"`
	// What of it the shopper paid, where a coupon at the cashier paid the rest; as much as the
	// amount, without it. By how much it may be less is the session's coupons_up_to.
	AmountPaid *int64 `json:"amount_paid,omitempty" jsonschema:"minimum=0"`
	// When the money was taken, by the cashier's clock: it decides what was late. Without it,
	// the time of arrival does.
	PaidAt input.Moment `json:"paid_at,omitzero"`
	// The pay_token that the shopper brought; checked against the rest, where given.
	Token string `json:"token,omitempty"`
	// The txn of the token that was paid by. Money in another transaction than the order's goes
	// back.
	Transaction string `json:"transaction_id,omitempty" jsonschema:"format=uuid"`
	// How it was paid, as the shop is to know it: wechat, alipay, card, …
	PayType string `json:"payment_type,omitempty" jsonschema:"maxLength=32"`
}

// Payment turns t into what the shop understands, or says what is wrong with it.
func (t *Taken) Payment(now time.Time) (p engine.Payment, wrong string) {
	switch {
	case !engine.ValidID(t.OrderNo):
		return p, "The order_no is no order number."
	case !engine.ValidKey(t.PaymentID):
		return p, fmt.Sprintf("The payment_id must have 1 to %d printable ASCII characters and no space.",
			engine.MaxKeyBytes)
	case t.Amount == nil || *t.Amount < 0:
		return p, "The amount must be there, in minor units, and not below 0."
	case t.AmountPaid != nil && *t.AmountPaid != *t.Amount && (*t.AmountPaid < 1 || *t.AmountPaid > *t.Amount):
		return p, "The amount_paid must be 1 to the amount, in minor units: what of it the shopper paid, where a " +
			"coupon paid the rest. Without one, leave it out."
	case len(t.Currency) != 3:
		return p, "The currency must be an ISO 4217 code of three letters."
	case !t.PaidAt.IsZero() && (t.PaidAt.UnixMilli() <= 0 || t.PaidAt.After(now.Add(Tolerance))):
		return p, "The paid_at must be the time at which the money was taken, in RFC 3339: after 1970, and not ahead " +
			"of this clock."
	case t.PayType != "" && !engine.ValidPayType(t.PayType):
		return p, fmt.Sprintf("The payment_type must have 1 to %d printable ASCII characters and no space, or be left "+
			"out.", engine.MaxPayTypeBytes)
	}
	var transaction engine.Transaction
	if t.Transaction != "" {
		var err error
		if transaction, err = ParseTransaction(t.Transaction); err != nil {
			return p, "The transaction_id must be the order's, a UUID with dashes, or be left out."
		}
	}
	p = engine.Payment{Transaction: transaction, OrderNo: t.OrderNo, ID: t.PaymentID, Amount: *t.Amount,
		Currency: t.Currency, PayType: t.PayType}
	if t.AmountPaid != nil {
		p.Coupon = *t.Amount - *t.AmountPaid
	}
	if !t.PaidAt.IsZero() {
		p.PaidAt = engine.TimeOf(t.PaidAt.Time)
	}
	return p, ""
}

// refusedError is an answer of the cashier that is a no: it works.
type refusedError struct {
	status int
	body   string
}

func (e refusedError) Error() string {
	return fmt.Sprintf("the cashier answered with status %d: %q", e.status, e.body)
}

// Refund asks for a refund and gives the cashier's reference once it is made.
func (c *Client) Refund(ctx context.Context, r *engine.RefundView) (reference string, err error) {
	q := RefundRequest{No: r.No, PaymentID: r.PaymentID, OrderNo: r.OrderNo, Amount: r.Amount, Currency: r.Currency,
		Why: r.Why.String(), Transaction: r.Transaction.String()}
	var made RefundMade
	if err := c.ask(ctx, "/refunds", &q, &made); err != nil {
		return "", err
	}
	if made.Reference == "" || len(made.Reference) > engine.MaxTextBytes {
		return "", fmt.Errorf("the cashier's answer has a reference of %d bytes, not 1 to %d", len(made.Reference),
			engine.MaxTextBytes)
	}
	return made.Reference, nil
}

// CloseOrder asks that no money is taken for an order any more. Without an error
// it is closed, or the answer has the payment.
func (c *Client) CloseOrder(ctx context.Context, orderNo string) (closed Closed, err error) {
	err = c.ask(ctx, "/orders/"+url.PathEscape(orderNo)+"/close", struct{}{}, &closed)
	if err == nil && closed.Closed == (closed.Payment != nil) {
		err = errors.New("the cashier's answer must have closed true, or a payment")
	}
	return closed, err
}

// ask posts a question and reads the answer, at most for as long as the
// configuration lets it.
func (c *Client) ask(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("write the question: %w", err)
	}
	said, err := c.breaker.Execute(func() ([]byte, error) {
		within, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
		said, err := c.exchange(within, path, body)
		if err != nil {
			c.failure.Store(&err)
		}
		switch {
		case works(err):
			c.silent.Store(0)
		case ctx.Err() == nil: // else it was given no time
			c.silent.CompareAndSwap(0, time.Now().UnixMilli())
		}
		return said, err
	})
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		return ErrLeftAlone
	case err != nil:
		return err
	}
	if input.Object(said, answer, false) != "" { // the error might quote what a stranger wrote at length
		return errors.New("the cashier's answer is not the JSON that is expected")
	}
	return nil
}

func (c *Client) exchange(ctx context.Context, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("write the question: the URL is not valid")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if c.cfg.Secrets != nil {
		c.cfg.Secrets.Sign(r, body, time.Now())
	}
	began := time.Now()
	defer func() { c.took.Observe(time.Since(began).Seconds()) }()
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the cashier: %w", hidden.Cause(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is of no interest
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the cashier's answer: %w", err)
	case len(said) > maxAnswerBytes:
		return nil, fmt.Errorf("the cashier's answer is longer than %d bytes", maxAnswerBytes)
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return nil, refusedError{resp.StatusCode, string(said[:min(len(said), 200)])}
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the cashier answered with status %d", resp.StatusCode)
	}
	return said, nil
}
