package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// cashierSecret is what shop and cashier share in tests.
var cashierSecret = bytes.Repeat([]byte("c"), payment.MinSecretBytes)

// newSignedShopper makes a server that takes signed callbacks only.
func newSignedShopper(t *testing.T, f *fakeSeller) (*ShopperServer, *payment.Secrets, *payment.Keys) {
	t.Helper()
	secrets, err := payment.NewSecrets([][]byte{cashierSecret})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := payment.NewKeys([]payment.Key{{ID: "k1", Text: bytes.Repeat([]byte("k"), payment.MinSecretBytes),
		Signs: true}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewShopper(ShopperConfig{Seller: selling(f), Dev: true, Cashier: secrets, PayKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return s, secrets, keys
}

// signedHeaders are those of a request at a time.
func signedHeaders(t *testing.T, secrets *payment.Secrets, path, body string, at time.Time) map[string]string {
	t.Helper()
	r, err := http.NewRequest("POST", "http://shop.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets.Sign(r, []byte(body), at)
	h := map[string]string{}
	for name := range r.Header {
		h[name] = r.Header.Get(name)
	}
	return h
}

const goodCallback = `{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","amount":100,"currency":"CNY","paid_at":"2026-09-20T02:03:04.5Z"}`

// TestBadCallbacks: each has its name, and nothing of it gets to the seller.
func TestBadCallbacks(t *testing.T) {
	const path = "/v1/payments/callback"
	other, err := payment.NewSecrets([][]byte{bytes.Repeat([]byte("x"), payment.MinSecretBytes)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token := func(keys *payment.Keys, orderNo string, amount int64) string {
		b, _ := keys.Append(nil, []byte(orderNo), &payment.Claims{Amount: amount, Currency: "CNY", PayBy: fakeNow})
		return string(b)
	}
	with := func(token string) string {
		return strings.TrimSuffix(goodCallback, "}") + `,"token":"` + token + `"}`
	}
	for name, c := range map[string]struct {
		body    func(keys *payment.Keys) string
		headers func(t *testing.T, ours *payment.Secrets, body string) map[string]string
		status  int
		slug    string
	}{
		"unsigned": {nil, func(*testing.T, *payment.Secrets, string) map[string]string { return nil }, 401, "unsigned"},
		"another's signature": {nil, func(t *testing.T, _ *payment.Secrets, body string) map[string]string {
			return signedHeaders(t, other, path, body, now)
		}, 401, "signature"},
		"a signature of another body": {nil, func(t *testing.T, ours *payment.Secrets, body string) map[string]string {
			return signedHeaders(t, ours, path, body+" ", now)
		}, 401, "signature"},
		"a signature of another path": {nil, func(t *testing.T, ours *payment.Secrets, body string) map[string]string {
			return signedHeaders(t, ours, "/v1/payments/verify", body, now)
		}, 401, "signature"},
		"an old timestamp": {nil, func(t *testing.T, ours *payment.Secrets, body string) map[string]string {
			return signedHeaders(t, ours, path, body, now.Add(-6*time.Minute))
		}, 401, "stale"},
		"a timestamp to come": {nil, func(t *testing.T, ours *payment.Secrets, body string) map[string]string {
			return signedHeaders(t, ours, path, body, now.Add(6*time.Minute))
		}, 401, "stale"},
		"paid in the future": {func(*payment.Keys) string {
			return strings.Replace(goodCallback, "2026-09-20T02:03:04.5Z", now.Add(time.Hour).Format(time.RFC3339), 1)
		}, nil, 400, "malformed"},
		"paid before money was": {func(*payment.Keys) string {
			return strings.Replace(goodCallback, "2026-09-20T02",
				"1969-01-01T00", 1)
		}, nil, 400, "malformed"},
		"no JSON": {func(*payment.Keys) string { return goodCallback[:20] }, nil, 400, "malformed"},
		"a token of another order": {func(keys *payment.Keys) string { return with(token(keys, "OTHER", 100)) },
			nil, 422, "pay-token"},
		"a token for another sum": {func(keys *payment.Keys) string { return with(token(keys, fakeOrderNo, 99)) },
			nil, 422, "pay-token"},
		"a token of a retired key": {func(*payment.Keys) string {
			retired, err := payment.NewKeys([]payment.Key{{ID: "k0", Text: bytes.Repeat([]byte("r"),
				payment.MinSecretBytes), Signs: true}})
			if err != nil {
				t.Fatal(err)
			}
			return with(token(retired, fakeOrderNo, 100))
		}, nil, 422, "pay-token"},
		"a garbled token": {func(*payment.Keys) string { return with("a.b.c") }, nil, 422, "pay-token"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSeller{order: heldOrder()}
			s, ours, keys := newSignedShopper(t, f)
			body := goodCallback
			if c.body != nil {
				body = c.body(keys)
			}
			headers := signedHeaders(t, ours, path, body, now)
			if c.headers != nil {
				headers = c.headers(t, ours, body)
			}
			r := ask(s, "POST", path, headers, body)
			wantProblem(t, r, c.status, c.slug)
			if f.orderNo != "" {
				t.Error("it got to the seller")
			}
			challenge := string(r.Header.Peek("WWW-Authenticate"))
			if (c.status == 401) != (challenge == "Doorbuster-Cashier") {
				t.Errorf("status %d with WWW-Authenticate %q", c.status, challenge)
			}
		})
	}
}

// TestSignedCallback: what the cashier says is what the seller is told, and an
// overdue token is no matter.
func TestSignedCallback(t *testing.T) {
	const path = "/v1/payments/callback"
	f := &fakeSeller{order: heldOrder()}
	f.order.State, f.order.HasReceiver, f.order.Receiver = engine.Paid, true, engine.Receiver{Sealed: "sealed: Ada"}
	f.order.Transaction[0] = 1
	s, ours, keys := newSignedShopper(t, f)
	token, _ := keys.Append(nil, []byte(fakeOrderNo), &payment.Claims{Amount: 100, Currency: "CNY",
		PayBy: engine.TimeOf(time.Now().Add(-time.Hour))})
	body := strings.TrimSuffix(goodCallback, "}") + `,"token":"` + string(token) + `"}`
	headers := signedHeaders(t, ours, path, body, time.Now())
	for range 2 { // whoever got no answer sends it again
		r := ask(s, "POST", path, headers, body)
		var told struct {
			Outcome string
			Order   map[string]any
		}
		if err := json.Unmarshal(r.Body(), &told); err != nil || r.StatusCode() != 200 || told.Outcome != "paid" ||
			told.Order["state"] != "paid" {
			t.Fatalf("status %d: %s (%v)", r.StatusCode(), r.Body(), err)
		}
		if told.Order["receiver"] != nil || told.Order["pay_token"] != nil {
			t.Errorf("the cashier is told too much: %s", r.Body())
		}
		if id := told.Order["transaction_id"]; id != "01000000-0000-0000-0000-000000000000" ||
			string(r.Header.Peek("X-Transaction-Id")) != id {
			t.Errorf("transaction %v, header %s", id, r.Header.Peek("X-Transaction-Id"))
		}
	}
	want := engine.Payment{OrderNo: fakeOrderNo, ID: "p1", Amount: 100, Currency: "CNY",
		PaidAt: fakeNow.Add(3*time.Minute + 4500*time.Millisecond)}
	if f.payment != want {
		t.Errorf("the seller was told %+v", f.payment)
	}
	small := strings.Replace(body, fakeOrderNo, strings.ToLower(fakeOrderNo), 1)
	if r := ask(s, "POST", path, signedHeaders(t, ours, path, small, time.Now()), small); r.StatusCode() != 200 {
		t.Errorf("its number in small letters: %d %s", r.StatusCode(), r.Body())
	}
	changed := maps.Clone(headers)
	changed["X-Cashier-Timestamp"] = "1789869600"
	wantProblem(t, ask(s, "POST", path, changed, body), 401, "signature")
}

// TestRefusedCallbacks: what the state machine says has names of its own.
func TestRefusedCallbacks(t *testing.T) {
	for why, want := range map[engine.Reason]struct {
		status int
		slug   string
	}{
		engine.ReasonUnknown: {404, "not-found"}, engine.ReasonAmount: {422, "amount"},
		engine.ReasonCurrency: {422, "currency"},
		engine.ReasonConflict: {409, "conflict"}, engine.ReasonFrozen: {409, "conflict"},
	} {
		s, ours, _ := newSignedShopper(t, &fakeSeller{err: &engine.Refusal{Reason: why}})
		wantProblem(t, ask(s, "POST", "/v1/payments/callback", signedHeaders(t, ours, "/v1/payments/callback",
			goodCallback, time.Now()), goodCallback), want.status, want.slug)
	}
}

// TestGarbledSignature: headers that are there and not in their form are named.
func TestGarbledSignature(t *testing.T) {
	const path = "/v1/payments/callback"
	s, ours, _ := newSignedShopper(t, &fakeSeller{order: heldOrder()})
	for header, bad := range map[string]string{"X-Cashier-Timestamp": "noon", "X-Cashier-Nonce": "short",
		"X-Cashier-Signature": "v1=abc"} {
		headers := signedHeaders(t, ours, path, goodCallback, time.Now())
		headers[header] = bad
		r := ask(s, "POST", path, headers, goodCallback)
		wantProblem(t, r, 401, "unsigned")
		if body := string(r.Body()); !strings.Contains(body, header+" must be") || strings.Contains(body, "Send ") {
			t.Errorf("%s: %s", header, body)
		}
	}
}

// TestVerifyPayToken: a cashier who checks no signatures hears whether a token is good.
func TestVerifyPayToken(t *testing.T) {
	const path = "/v1/payments/verify"
	f := &fakeSeller{order: heldOrder()}
	f.order.PayBy = engine.TimeOf(time.Now().Add(time.Hour))
	s, ours, keys := newSignedShopper(t, f)
	verify := func(token string) (v struct {
		Valid bool
		Why   string
		Order struct {
			OrderNo  string `json:"order_no"`
			PayToken string `json:"pay_token"`
		}
	}) {
		t.Helper()
		body := `{"token":"` + token + `"}`
		r := ask(s, "POST", path, signedHeaders(t, ours, path, body, time.Now()), body)
		if err := json.Unmarshal(r.Body(), &v); err != nil || r.StatusCode() != 200 {
			t.Fatalf("status %d: %s (%v)", r.StatusCode(), r.Body(), err)
		}
		return v
	}
	token := func(amount int64, payBy engine.Time) string {
		b, _ := keys.Append(nil, []byte(fakeOrderNo), &payment.Claims{Amount: amount, Currency: "CNY", PayBy: payBy})
		return string(b)
	}
	good := token(100, f.order.PayBy)
	if v := verify(good); !v.Valid || v.Order.OrderNo != fakeOrderNo || v.Order.PayToken != good {
		t.Errorf("a good one: %+v", v)
	}
	for why, bad := range map[string]string{"malformed": "x", "signature": good[:len(good)-3] + "AAA",
		"expired": token(100, fakeNow-1), "differs": token(99, f.order.PayBy)} {
		if why == "expired" {
			bad = token(100, engine.TimeOf(time.Now().Add(-time.Minute)))
		}
		if v := verify(bad); v.Valid || v.Why != why {
			t.Errorf("%s: %+v", why, v)
		}
	}
	f.order.State = engine.Paid
	if v := verify(good); v.Valid || v.Why != "used" {
		t.Errorf("of a paid order: %+v", v)
	}
	f.err = &engine.Refusal{Reason: engine.ReasonUnknown}
	if v := verify(good); v.Valid || v.Why != "order" {
		t.Errorf("of no order: %+v", v)
	}
	wantProblem(t, ask(s, "POST", path, nil, `{"token":"x"}`), 401, "unsigned")
	if r := ask(s, "GET", "/v1/payments/keys", nil, ""); r.StatusCode() != 200 || string(r.Body()) != `{"keys":[]}` {
		t.Errorf("secrets are shown: %s", r.Body())
	}
}

// TestTransactions: the one that came is the one that goes on; none begins one.
func TestTransactions(t *testing.T) {
	const id = "018f3f2e-6c1a-4b62-9d4e-010203040506"
	f := &fakeSeller{answer: granted()}
	var got engine.Transaction
	f.onGrab = func(g *engine.Grab) { got = g.Transaction; f.answer.Transaction = g.Transaction }
	s := newTestShopper(t, f)
	r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "X-Transaction-Id": id}, "")
	if got.String() != id || string(r.Header.Peek("X-Transaction-Id")) != id || !strings.Contains(string(r.Body()),
		`"transaction_id":"`+id+`"`) {
		t.Errorf("asked with %s: %s", got.String(), r.String())
	}
	first := got
	r = ask(s, "POST", grabPath, ada, "")
	if got == first || got == (engine.Transaction{}) || string(r.Header.Peek("X-Transaction-Id")) != got.String() {
		t.Errorf("minted %s: %s", got.String(), r.String())
	}
	if parsed, err := payment.ParseTransaction(got.String()); err != nil || parsed != got || got[6]>>4 != 4 ||
		got[8]>>6 != 2 {
		t.Errorf("%s is no UUID of version 4", got.String())
	}
	for _, bad := range []string{"x", strings.Repeat("0", 36), "00000000-0000-0000-0000-000000000000", "{" + id + "}"} {
		wantProblem(t, ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "X-Transaction-Id": bad}, ""),
			400, "malformed")
	}
	f.onGrab, f.answer = nil, engine.Answer{Code: engine.CodeMissed}
	if r = ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "X-Transaction-Id": id},
		""); r.Header.Peek("X-Transaction-Id") != nil {
		t.Error("a refusal begins nothing, and has a transaction")
	}
	f.sessions = fakeSessions()
	if r = ask(s, "GET", "/v1/time", nil, ""); len(r.Header.Peek("X-Transaction-Id")) != 36 {
		t.Error("nothing begins with a look at the clock")
	}
	if r = ask(s, "GET", "/v1/sessions", nil, ""); r.Header.Peek("X-Transaction-Id") != nil {
		t.Error("caches would give one transaction to many")
	}
	if r = ask(s, "GET", "/v1/sessions?near=31,121", nil, ""); len(r.Header.Peek("X-Transaction-Id")) != 36 {
		t.Error("nothing begins with a page of one's own")
	}
}
