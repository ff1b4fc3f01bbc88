package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// payDesk is the shoppers' door's side of payments.
type payDesk struct {
	keys    *payment.Keys    // nil: none configured
	cashier *payment.Checker // nil likewise
	// own is dev's, by a key that all nodes of the group derive from its secret.
	own    atomic.Pointer[payment.Keys]
	dev    bool
	counts paymentMetrics
}

func newPayDesk(cfg *ShopperConfig) (p *payDesk, err error) {
	p = &payDesk{keys: cfg.PayKeys, dev: cfg.Dev, counts: newPaymentMetrics()}
	if cfg.Cashier != nil {
		p.cashier, err = payment.NewChecker(cfg.Cashier, time.Now)
	}
	return p, err
}

// signing gives the keys of payment tokens; nil where there are none.
func (p *payDesk) signing(seller Seller) *payment.Keys {
	if p.keys != nil || !p.dev {
		return p.keys
	}
	if own := p.own.Load(); own != nil {
		return own
	}
	secret, known := seller.TicketSecret()
	if !known {
		return nil
	}
	derive := hmac.New(sha256.New, secret[:])
	derive.Write([]byte("doorbuster payment tokens of dev"))
	own, err := payment.NewKeys([]payment.Key{{ID: "dev", Text: derive.Sum(nil), Signs: true}})
	if err != nil {
		return nil // a hash is as long as a secret has to be
	}
	p.own.Store(own)
	return own
}

// appendPayment appends to an order what paying it takes: the token, of one that
// is held, and the transaction.
func (s *ShopperServer) appendPayment(b, orderNo []byte, state engine.OrderState, c payment.Claims) []byte {
	if state == engine.Held {
		if keys := s.pay.signing(s.seller); keys != nil {
			from := len(b)
			b = append(b, `,"pay_token":"`...)
			var signed bool
			if b, signed = keys.Append(b, orderNo, &c); signed {
				b = append(b, '"')
			} else {
				b = b[:from]
			}
		}
	}
	if c.Transaction != (engine.Transaction{}) {
		b = append(b, `,"transaction_id":"`...)
		b = payment.AppendTransaction(b, c.Transaction)
		b = append(b, '"')
	}
	return b
}

// verifyPayToken tells a cashier who checks no signatures whether a token is good,
// and its order still to be paid.
func (s *ShopperServer) verifyPayToken(ctx *fasthttp.RequestCtx) {
	if !s.fromCashier(ctx) {
		return
	}
	var asked struct {
		Token string `json:"token"`
	}
	if wrong := decode(ctx.Request.Body(), &asked); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	keys := s.pay.signing(s.seller)
	if keys == nil {
		s.problem(ctx, unavailable, "No keys of payment tokens are configured here (pay_keys).")
		return
	}
	c, err := keys.Read(asked.Token, time.Now())
	why := ""
	for _, known := range tokenFaults {
		if errors.Is(err, known.err) {
			why = known.why
		}
	}
	if why != "" && why != "expired" {
		uncached(ctx, appendInvalid(nil, why, "The token is not good: "+err.Error()+"."))
		return
	}
	o, err := s.seller.AnyOrder(c.OrderNo)
	refusal := (*engine.Refusal)(nil)
	switch {
	case errors.As(err, &refusal):
		uncached(ctx, appendInvalid(nil, "order", "There is no such order."))
		return
	case err != nil:
		s.failed(ctx, err)
		return
	case o.State != engine.Held:
		uncached(ctx, appendInvalid(nil, "used", "The order is "+o.State.String()+": nothing is to be paid for it."))
		return
	case o.Amount != c.Amount || o.Currency != c.Currency:
		uncached(ctx, appendInvalid(nil, "differs", "Amount or currency are not the order's own."))
		return
	case why == "expired":
		uncached(ctx, appendInvalid(nil, why, "The time to pay is over."))
		return
	}
	o.HasReceiver = false
	uncached(ctx, append(s.appendOrder([]byte(`{"valid":true,"order":`), &o), '}'))
}

// tokenFaults are the words for what is wrong with a token.
var tokenFaults = [...]struct {
	err error
	why string
}{{payment.ErrTokenMalformed, "malformed"}, {payment.ErrTokenKey, "key"}, {payment.ErrTokenSignature, "signature"},
	{payment.ErrTokenExpired, "expired"}}

func appendInvalid(b []byte, why, detail string) []byte {
	b = append(b, `{"valid":false,"why":`...)
	b = appendString(b, why)
	b = append(b, `,"detail":`...)
	return append(appendString(b, detail), '}')
}

// payKeys gives the public keys of tokens.
func (s *ShopperServer) payKeys(ctx *fasthttp.RequestCtx) {
	set := []byte(`{"keys":[]}`)
	if keys := s.pay.signing(s.seller); keys != nil {
		set = keys.Public()
	}
	ctx.Response.Header.SetContentType("application/jwk-set+json")
	ctx.Response.Header.Set("Cache-Control", "public, max-age=60")
	ctx.Response.SetBodyRaw(set)
}

// paymentMetrics counts callbacks. Safe for concurrent use.
type paymentMetrics struct {
	names    []string
	outcomes []atomic.Uint64 // by engine.PaymentOutcome
	desc     *prometheus.Desc
}

func newPaymentMetrics() paymentMetrics {
	names := engine.PaymentOutcomes()
	return paymentMetrics{names: names, outcomes: make([]atomic.Uint64, len(names)),
		desc: prometheus.NewDesc("doorbuster_payment_callbacks_total",
			"Callbacks of the cashier that were taken, by what became of the money.", []string{"outcome"}, nil)}
}

// Describe implements prometheus.Collector.
func (m *paymentMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc }

// Collect implements prometheus.Collector.
func (m *paymentMetrics) Collect(ch chan<- prometheus.Metric) {
	for i, name := range m.names {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.outcomes[i].Load()), name)
	}
}
