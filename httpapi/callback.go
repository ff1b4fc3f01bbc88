package httpapi

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// fromCashier reports whether a request comes from the cashier, or answers that it
// does not and gives false.
func (s *ShopperServer) fromCashier(ctx *fasthttp.RequestCtx) bool {
	if s.pay.cashier == nil {
		if !s.dev {
			s.problem(ctx, unsignedCallback, "Without --dev it must be signed by the cashier, and no cashier's key "+
				"is configured (cashier_key_file).")
		}
		return s.dev
	}
	path, _ := pathOf(ctx)
	said, complete := payment.Signed{Method: string(ctx.Method()), Path: string(path), Body: ctx.Request.Body()}, true
	for name, into := range map[string]*string{payment.HeaderTimestamp: &said.Timestamp,
		payment.HeaderNonce: &said.Nonce, payment.HeaderSignature: &said.Signature} {
		value, headers := oneOf(ctx, name)
		if *into = string(value); headers > 1 {
			*into = "" // each program on the way may have meant another
		}
		complete = complete && *into != ""
	}
	err := s.pay.cashier.Check(&said)
	if err == nil {
		return true
	}
	kind, detail := unsigned, "Send one each of "+payment.HeaderTimestamp+", "+payment.HeaderNonce+" and "+
		payment.HeaderSignature+", as docs/cashier.md says."
	switch {
	case complete && errors.Is(err, payment.ErrUnsigned):
		detail = payment.HeaderTimestamp + " must be Unix seconds, " + payment.HeaderNonce +
			" must be 16 to 64 letters, digits, dashes or underscores, and " +
			payment.HeaderSignature + ` must be "v1=" and 64 hex digits.`
	case errors.Is(err, payment.ErrSignature):
		kind, detail = wrongSignature, "It is not what a secret known here gives for method, path, timestamp, nonce "+
			"and body. Is it the right secret, and the body unchanged?"
	case errors.Is(err, payment.ErrStale):
		kind, detail = staleRequest, "The timestamp is over "+payment.Tolerance.String()+
			" off this clock, which says "+strconv.FormatInt(time.Now().Unix(), 10)+"."
	case errors.Is(err, payment.ErrNonce):
		kind, detail = nonceReused, "The nonce came with another request before. Take a new one for each."
	}
	ctx.Response.Header.Set("WWW-Authenticate", "Doorbuster-Cashier")
	s.problem(ctx, kind, detail)
	return false
}

// callback takes the cashier's word that money was taken for an order.
func (s *ShopperServer) callback(ctx *fasthttp.RequestCtx) {
	if !s.fromCashier(ctx) {
		return
	}
	var taken payment.Taken
	if wrong := decode(ctx.Request.Body(), &taken); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	p, wrong := taken.Payment(time.Now())
	if wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	if taken.Token != "" {
		if wrong := s.foreignToken(&taken, &p); wrong != "" {
			s.problem(ctx, badPayToken, wrong)
			return
		}
	}
	wait, stop := s.commandContext()
	defer stop()
	r, err := s.seller.Pay(wait, p)
	if err != nil {
		s.failed(ctx, err)
		return
	}
	s.pay.counts.outcomes[r.Outcome].Add(1)
	if r.Outcome == engine.PaymentToRefund || r.Reason == engine.ReasonPaidLate {
		s.faults.Do(func() {
			s.log.Info("a payment came late, or for nothing", "order_no", p.OrderNo, "payment_id", p.ID,
				"outcome", r.Outcome.String(), "reason", r.Reason.String(),
				"transaction_id", r.Order.Transaction.String())
		})
	}
	r.Order.HasReceiver = false // where the goods go is not the cashier's business
	tellTransaction(&ctx.Response, r.Order.Transaction)
	b := append([]byte(`{"outcome":"`), r.Outcome.String()...)
	b = append(b, '"')
	if r.Order.State != 0 { // else the money is for no order
		b = s.appendOrder(append(b, `,"order":`...), &r.Order)
	}
	uncached(ctx, append(b, '}'))
}

// foreignToken tells what is wrong with a callback's token, and has p know of its
// transaction. That its time is over is no matter: the payment's own time says what
// was late.
func (s *ShopperServer) foreignToken(t *payment.Taken, p *engine.Payment) (wrong string) {
	keys := s.pay.signing(s.seller)
	if keys == nil {
		return "A token can't be checked here: no keys of payment tokens are configured (pay_keys). Leave it out."
	}
	c, err := keys.Read(t.Token, time.Now())
	switch {
	case err != nil && !errors.Is(err, payment.ErrTokenExpired):
		return "The token is not good: " + err.Error() + "."
	case !strings.EqualFold(c.OrderNo, t.OrderNo): // as orders are found
		return "The token is of another order, " + c.OrderNo + "."
	case c.Amount != *t.Amount || c.Currency != t.Currency:
		return "The token is for " + strconv.FormatInt(c.Amount, 10) + " " + c.Currency + ", another sum than was paid."
	case !p.Transaction.May(c.Transaction):
		return "The token is of another transaction, " + c.Transaction.String() + "."
	}
	p.Transaction = c.Transaction
	return ""
}
