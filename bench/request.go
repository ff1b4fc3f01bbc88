package bench

import (
	"net/url"
	"strconv"
)

// requests builds the bytes of the shop's requests. What does not change from
// one shopper to the next is built once. Safe for concurrent use after
// newRequests.
type requests struct {
	cfg   *RushConfig
	host  string
	grabs [][]byte // a listing's grab up to the identity header
	body  []byte   // of a grab; empty where it would say nothing but the defaults
}

func newRequests(cfg *RushConfig) *requests {
	r := &requests{cfg: cfg, host: cfg.Addrs[0]}
	switch {
	case cfg.Waitlist:
		r.body = []byte(`{"quantity":` + strconv.Itoa(cfg.Quantity) + `,"waitlist":true}`)
	case cfg.Quantity != 1:
		r.body = []byte(`{"quantity":` + strconv.Itoa(cfg.Quantity) + `}`)
	}
	for _, l := range cfg.Listings {
		g := []byte("POST " + l.path() + "/grab HTTP/1.1\r\nHost: " + r.host + "\r\n")
		if len(r.body) > 0 {
			g = append(g, "Content-Type: application/json\r\n"...)
		}
		g = append(g, "Content-Length: "+strconv.Itoa(len(r.body))+"\r\n"...)
		r.grabs = append(r.grabs, g)
	}
	return r
}

// appendIdentity appends the header that says who asks.
func (r *requests) appendIdentity(b []byte, shopper int) []byte {
	if r.cfg.TokenFor != nil {
		b = append(b, "Authorization: Bearer "...)
		b = append(b, r.cfg.TokenFor(r.cfg.shopper(shopper))...)
	} else {
		b = append(b, "X-Shopper-Id: "...)
		b = r.cfg.appendShopper(b, shopper)
	}
	return append(b, "\r\n"...)
}

func (r *requests) appendGrab(b []byte, shopper, listing int, k click) []byte {
	b = append(b, r.grabs[listing]...)
	b = r.appendIdentity(b, shopper)
	b = append(b, "Idempotency-Key: "...)
	b = r.cfg.appendKey(b, shopper, k)
	b = append(b, "\r\n\r\n"...)
	return append(b, r.body...)
}

// appendGet asks for path as shopper.
func (r *requests) appendGet(b []byte, path string, shopper int) []byte {
	b = append(b, "GET "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.host...)
	b = append(b, "\r\n"...)
	b = r.appendIdentity(b, shopper)
	return append(b, "\r\n"...)
}

// appendOutcome asks what became of a grab.
func (r *requests) appendOutcome(b []byte, shopper int, k click) []byte {
	return r.appendGet(b, "/v1/grabs/"+url.PathEscape(string(r.cfg.appendKey(nil, shopper, k))), shopper)
}

func (r *requests) appendOrder(b []byte, shopper int, orderNo string) []byte {
	return r.appendGet(b, "/v1/orders/"+url.PathEscape(orderNo), shopper)
}

func (r *requests) appendCancel(b []byte, shopper int, orderNo string) []byte {
	b = append(b, "POST /v1/orders/"...)
	b = append(b, url.PathEscape(orderNo)...)
	b = append(b, "/cancel HTTP/1.1\r\nHost: "...)
	b = append(b, r.host...)
	b = append(b, "\r\nContent-Length: 0\r\n"...)
	b = r.appendIdentity(b, shopper)
	return append(b, "\r\n"...)
}

// paymentID derives from the order, so that paying again is the same payment.
func paymentID(o *told) string { return "pay-" + o.orderNo }

// appendPay carries an order's token to the cashier.
func (r *requests) appendPay(b []byte, o *told) []byte {
	body := []byte(`{"token":` + strconv.Quote(o.payToken) + `,"payment_id":` + strconv.Quote(paymentID(o)) + `}`)
	b = append(b, "POST /pay HTTP/1.1\r\nHost: "...)
	b = append(b, r.cfg.Cashier...)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}

// appendCallback is the cashier's word that an order was paid.
func (r *requests) appendCallback(b []byte, o *told) []byte {
	body := []byte(`{"order_no":` + strconv.Quote(o.orderNo) +
		`,"amount":` + strconv.FormatInt(o.amount, 10) +
		`,"currency":` + strconv.Quote(o.currency) +
		`,"payment_id":` + strconv.Quote(paymentID(o)) + `}`)
	b = append(b, "POST /v1/payments/callback HTTP/1.1\r\nHost: "...)
	b = append(b, r.host...)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	if r.cfg.SignCallback != nil {
		name, value := r.cfg.SignCallback(body)
		b = append(b, "\r\n"+name+": "+value...)
	}
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}
