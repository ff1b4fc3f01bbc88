package bench

import (
	"fmt"
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
	end   []byte   // of a grab, with its body, which is empty where it would say nothing but the defaults
}

func newRequests(cfg *RushConfig) *requests {
	r := &requests{cfg: cfg, host: cfg.Addrs[0]}
	var body []byte
	switch {
	case cfg.Waitlist:
		body = []byte(`{"quantity":` + strconv.Itoa(cfg.Quantity) + `,"waitlist":true}`)
	case cfg.Quantity != 1:
		body = []byte(`{"quantity":` + strconv.Itoa(cfg.Quantity) + `}`)
	}
	for _, l := range cfg.Listings {
		r.grabs = append(r.grabs, appendHead(nil, "POST", l.path()+"/grab", r.host))
	}
	r.end = appendBody(nil, "POST", body)
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
	return append(append(b, "\r\n"...), r.end...)
}

// appendHead begins a request to host.
func appendHead(b []byte, method, path, host string) []byte {
	b = append(append(append(append(b, method...), ' '), path...), " HTTP/1.1\r\nHost: "...)
	return append(append(b, host...), "\r\n"...)
}

// appendBody ends a request, with a JSON body or an empty one.
func appendBody(b []byte, method string, body []byte) []byte {
	if method != "GET" {
		if len(body) > 0 {
			b = append(b, "Content-Type: application/json\r\n"...)
		}
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(body)), 10), "\r\n"...)
	}
	return append(append(b, "\r\n"...), body...)
}

// appendGet asks for path as shopper.
func (r *requests) appendGet(b []byte, path string, shopper int) []byte {
	return appendBody(r.appendIdentity(appendHead(b, "GET", path, r.host), shopper), "GET", nil)
}

// appendOutcome asks what became of a grab, by the deadline that it was told; "" without.
func (r *requests) appendOutcome(b []byte, shopper int, k click, deadline string) []byte {
	path := "/v1/grabs/" + url.PathEscape(string(r.cfg.appendKey(nil, shopper, k)))
	if deadline != "" {
		path += "?deadline=" + deadline
	}
	return r.appendGet(b, path, shopper)
}

func (r *requests) appendOrder(b []byte, shopper int, orderNo string) []byte {
	return r.appendGet(b, "/v1/orders/"+url.PathEscape(orderNo), shopper)
}

func (r *requests) appendCancel(b []byte, shopper int, orderNo string) []byte {
	b = appendHead(b, "POST", "/v1/orders/"+url.PathEscape(orderNo)+"/cancel", r.host)
	return appendBody(r.appendIdentity(b, shopper), "POST", nil)
}

// paymentID derives from the order, so that paying again is the same payment.
func paymentID(o *told) string { return "pay-" + o.orderNo }

// appendPay carries an order's token to the cashier.
func (r *requests) appendPay(b []byte, o *told) []byte {
	return appendBody(appendHead(b, "POST", "/pay", r.cfg.Cashier), "POST",
		fmt.Appendf(nil, `{"token":%q,"payment_id":%q}`, o.payToken, paymentID(o)))
}

// appendCallback is the cashier's word that an order was paid.
func (r *requests) appendCallback(b []byte, o *told) []byte {
	body := fmt.Appendf(nil, `{"order_no":%q,"amount":%d,"currency":%q,"payment_id":%q}`, o.orderNo, o.amount,
		o.currency, paymentID(o))
	b = appendHead(b, "POST", "/v1/payments/callback", r.host)
	if r.cfg.SignCallback != nil {
		name, value := r.cfg.SignCallback(body)
		b = append(b, name+": "+value+"\r\n"...)
	}
	return appendBody(b, "POST", body)
}
