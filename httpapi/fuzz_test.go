package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// FuzzShopper sends whatever it likes: nothing panics, every status is one of
// those the contract knows, and every body is JSON.
func FuzzShopper(f *testing.F) {
	f.Add("POST", grabPath, "ada", "k1", "zh-CN", []byte(`{"quantity":2}`), uint8(engine.CodeGranted), uint8(0))
	f.Add("POST", grabPath, "ada", "", "", []byte(`{"quantity":1e9,"ticket":"x","waitlist":null}`),
		uint8(engine.CodeMissed), uint8(9))
	f.Add("GET", "/v1/grabs/%41%zz?deadline=1", "ada", "k", "", []byte(nil), uint8(engine.CodeProcessing), uint8(0))
	f.Add("GET", "/v1/sessions?near=1,2", "", "", "en", []byte(nil), uint8(0), uint8(0))
	f.Add("PUT", "/v1/orders/ABC/receiver", "ada", "", "", []byte(`{"name":"a","phone":"1","street":"x"}`), uint8(0),
		uint8(0))
	f.Add("POST", "/v1/payments/callback", "", "",
		"", []byte(`{"order_no":"A","payment_id":"p","amount":1,"currency":"CNY"}`), uint8(0), uint8(0))
	f.Add("GET", "//v1/../v1/time#x", "\x00", "\xff", "\n", []byte("{"), uint8(200), uint8(200))
	f.Add("POST", startPath, "ada", "k", "zh", []byte(`{"ticket":"x"}`), uint8(0), uint8(engine.ReasonSoldOut))
	f.Add("POST", cutPath, "bob", "k", "", []byte(`{"ticket":"\u0041","x":1}`), uint8(0), uint8(engine.ReasonHelped))
	f.Add("POST", buyPath, "ada", "", "", []byte(nil), uint8(engine.CodeRefused), uint8(engine.ReasonNotAtFloor))
	f.Add("GET", strings.ToLower(bargainPath), "", "", "", []byte(nil), uint8(0), uint8(0))
	statuses := []int{200, 201, 202, 204, 400, 401, 404, 405, 409, 422}
	f.Fuzz(func(t *testing.T, method, path, shopper, key, language string, body []byte, code, reason uint8) {
		var request fasthttp.Request
		request.Header.SetMethod(method)
		request.SetRequestURI(path)
		request.Header.Set("X-Shopper-Id", shopper)
		request.Header.Set("Idempotency-Key", key)
		request.Header.Set("Accept-Language", language)
		request.SetBody(body)
		var ctx fasthttp.RequestCtx
		ctx.Init(&request, nil, nil)
		s := newTestShopper(t, &fakeSeller{sessions: fakeSessions(), order: heldOrder(), found: true,
			bargain: openBargain(), cutErr: refusing(engine.Reason(reason)), answer: engine.Answer{
				Code: engine.Code(code), Reason: engine.Reason(reason), State: engine.OrderState(reason),
				Order: fakeRef,
				No:    fakeNo, Listing: 1, Start: fakeNow, PayBy: fakeNow, Deadline: 1}})
		s.handle(&ctx)
		if s.front.metrics.panicked.Load() != 0 {
			t.Fatalf("%s %q panicked", method, path)
		}
		if status := ctx.Response.StatusCode(); !slices.Contains(statuses, status) {
			t.Fatalf("%s %q: status %d", method, path, status)
		}
		if ctx.Response.IsBodyStream() || ctx.Response.StatusCode() == fasthttp.StatusNoContent {
			s.streams.close()
			return
		}
		if !json.Valid(ctx.Response.Body()) {
			t.Fatalf("%s %q: %q", method, path, ctx.Response.Body())
		}
	})
}

// FuzzGrabBody: the short way of reading a body agrees with the long one.
func FuzzGrabBody(f *testing.F) {
	for _, body := range []string{`{"quantity":1}`, `{ "quantity" : 0 }`, `{"quantity":01}`, `{"quantity":12345678901}`,
		`{"quantity":1}}`, `{"quantity":}`,
		`{"ticket":"abc","waitlist":true, "quantity": 3}`, `{"waitlist":false,}`, `{"ticket":"a\\u0041"}`,
		`{"quantity":1,"quantity":2}`, `{}`, `{"quantity":1.0}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		short := grabBody{quantity: 1}
		if !short.read(body) {
			return
		}
		long := struct {
			Quantity int64  `json:"quantity"`
			Ticket   string `json:"ticket"`
			Waitlist bool   `json:"waitlist"`
		}{Quantity: 1}
		if wrong := decodeStrictly(body, &long); wrong != "" || long.Quantity != short.quantity ||
			long.Ticket != string(short.ticket) || long.Waitlist != short.waitlist {
			t.Fatalf("%q is %+v, or %+v: %s", body, short, long, wrong)
		}
	})
}
