package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

// ask puts one request through s's handler.
func ask(s *ShopperServer, method, path string, headers map[string]string, body string) *fasthttp.Response {
	ctx := newGrab(method, path, headers, body)
	s.handle(ctx)
	if len(ctx.Response.Header.ContentEncoding()) == 0 {
		described(method, string(ctx.Path()), ctx.Response.StatusCode(), string(ctx.Response.Header.ContentType()),
			ctx.Response.Body())
	}
	return &ctx.Response
}

var ada = map[string]string{"X-Shopper-Id": "ada"}

// wantProblem checks that r is a whole problem document of this status.
func wantProblem(t *testing.T, r *fasthttp.Response, status int, slug string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Instance string
		Status                        int
	}
	if err := json.Unmarshal(r.Body(), &p); err != nil {
		t.Fatalf("status %d with a body that is no JSON: %v: %s", r.StatusCode(), err, r.Body())
	}
	if r.StatusCode() != status || p.Status != status || p.Type != problemURN+slug || p.Title == "" || p.Detail == "" ||
		p.Instance == "" {
		t.Errorf("status %d, problem %+v; want %d %s", r.StatusCode(), p, status, slug)
	}
	if got := string(r.Header.ContentType()); got != problemType {
		t.Errorf("content type %q", got)
	}
}

// payToken is what orders have besides, signed by a key that tests don't know.
var payToken = regexp.MustCompile(`,"pay_token":"[\w.-]+"`)

func TestShopperRoutes(t *testing.T) {
	const order = `{"order_no":"0123456789ABCDEFGHJKMNPQ","session":"fans-day-10","sku":"mask-50","quantity":1,"amount":100,"currency":"CNY",` +
		`"state":"held","pay_by":"2026-09-20T02:15:00Z","granted_at":"2026-09-20T02:00:00Z","changed_at":"2026-09-20T02:00:00Z"`
	const listing = `{"session":"fans-day-10","sku":"mask-50","name":"Masks \"50\"","price":100,"list_price":4900,"currency":"CNY",` +
		`"stock":1000,"state":"open","start":"2026-09-20T02:00:00Z","end":"2026-09-20T03:00:00Z","limit_per_shopper":1,` +
		`"place":{"latitude":31.2,"longitude":121.5},"server_time":"2026-09-20T02:00:00Z"}`
	for name, c := range map[string]struct {
		method, path, body string
		want               string
	}{
		"time":    {"GET", "/v1/time", "", `{"unix_ms":1789869600000}`},
		"listing": {"GET", "/v1/sessions/fans-day-10/skus/mask-50", "", listing},
		"orders":  {"GET", "/v1/orders", "", `{"orders":[` + order + `}],"cursor":"next page"}`},
		"order":   {"GET", "/v1/orders/" + fakeOrderNo, "", order + "}"},
		"cancel":  {"POST", "/v1/orders/" + fakeOrderNo + "/cancel", "", order + "}"},
		"receiver": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver",
			`{"name":"Ada","phone":"1","street":"北京 1"}`, order +
				`,"receiver":{"name":"Ada","phone":"1","street":"北京 1"}}`},
		"callback": {"POST", "/v1/payments/callback",
			`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","amount":100,"currency":"CNY"}`,
			`{"outcome":"paid","order":` + order + "}}"},
		"grab by key":  {"GET", "/v1/grabs/k%201", "", ""},
		"absolute URI": {"GET", "http://shop.test/v1/time", "", `{"unix_ms":1789869600000}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestShopper(t, &fakeSeller{order: heldOrder(), sessions: fakeSessions()})
			r := ask(s, c.method, c.path, ada, c.body)
			if c.want == "" {
				return
			}
			if r.StatusCode() != 200 || string(payToken.ReplaceAll(r.Body(), nil)) != c.want {
				t.Errorf("status %d\n got %s\nwant %s", r.StatusCode(), r.Body(), c.want)
			}
			if got := string(r.Header.ContentType()); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestShopperProblems(t *testing.T) {
	long := strings.Repeat("a", 256)
	for name, c := range map[string]struct {
		method, path string
		headers      map[string]string
		body         string
		status       int
		slug         string
	}{
		"no such path":   {"GET", "/v1/nothing", ada, "", 404, "not-found"},
		"root":           {"GET", "/", ada, "", 404, "not-found"},
		"trailing slash": {"GET", "/v1/time/", ada, "", 404, "not-found"},
		"dots":           {"GET", "/v1/orders/../time", ada, "", 404, "not-found"},
		"escaped id": {"POST", "/v1/sessions/fans%2Dday-10/skus/mask-50/grab", ada, "", 404,
			"not-found"},
		"escaped slash in an id": {"POST", "/v1/sessions/a%2Fskus/skus/mask-50/grab", ada, "", 404, "not-found"},
		"id too long": {"POST", "/v1/sessions/" + long + "/skus/mask-50/grab", ada, "", 404,
			"not-found"},
		"empty id":                   {"POST", "/v1/sessions//skus/mask-50/grab", ada, "", 404, "not-found"},
		"deeper than a grab":         {"POST", grabPath + "/x", ada, "", 404, "not-found"},
		"bad order number":           {"GET", "/v1/orders/a%00b", ada, "", 404, "not-found"},
		"unknown listing to look at": {"GET", "/v1/sessions/fans-day-10/skus/none", ada, "", 404, "unknown-listing"},

		"grab by GET":       {"GET", grabPath, ada, "", 405, "method"},
		"grab by DELETE":    {"DELETE", grabPath, ada, "", 405, "method"},
		"time by POST":      {"POST", "/v1/time", ada, "", 405, "method"},
		"method in letters": {"post", grabPath, ada, "", 405, "method"},

		"grab by nobody":        {"POST", grabPath, nil, "", 401, "unauthorized"},
		"shopper with a space":  {"POST", grabPath, map[string]string{"X-Shopper-Id": "a b"}, "", 401, "unauthorized"},
		"shopper too long":      {"POST", grabPath, map[string]string{"X-Shopper-Id": long}, "", 401, "unauthorized"},
		"shopper not ASCII":     {"POST", grabPath, map[string]string{"X-Shopper-Id": "艾达"}, "", 401, "unauthorized"},
		"orders by nobody":      {"GET", "/v1/orders", nil, "", 401, "unauthorized"},
		"order by nobody":       {"GET", "/v1/orders/" + fakeOrderNo, nil, "", 401, "unauthorized"},
		"grab by key by nobody": {"GET", "/v1/grabs/k1", nil, "", 401, "unauthorized"},

		"quantity 0":              {"POST", grabPath, ada, `{"quantity":0}`, 400, "quantity"},
		"quantity 0 and a ticket": {"POST", grabPath, ada, `{"quantity":0,"ticket":""}`, 400, "quantity"},
		"quantity -1":             {"POST", grabPath, ada, `{"quantity":-1}`, 400, "quantity"},
		"quantity 1000000000":     {"POST", grabPath, ada, `{"quantity":1000000000}`, 400, "quantity"},
		"quantity 2^32+1":         {"POST", grabPath, ada, `{"quantity":4294967297}`, 400, "quantity"},
		"quantity 1e9":            {"POST", grabPath, ada, `{"quantity":1e9}`, 400, "malformed"},
		"quantity 1.5":            {"POST", grabPath, ada, `{"quantity":1.5}`, 400, "malformed"},
		"quantity beyond 64 bits": {"POST", grabPath, ada, `{"quantity":99999999999999999999}`, 400, "malformed"},
		"quantity as a string":    {"POST", grabPath, ada, `{"quantity":"1"}`, 400, "malformed"},
		"broken JSON":             {"POST", grabPath, ada, `{"quantity":`, 400, "malformed"},
		"a list":                  {"POST", grabPath, ada, `[]`, 400, "malformed"},
		"null":                    {"POST", grabPath, ada, `null`, 400, "malformed"},
		"unknown member":          {"POST", grabPath, ada, `{"qty":1}`, 400, "malformed"},
		"two objects":             {"POST", grabPath, ada, `{"quantity":1}{}`, 400, "malformed"},
		"blank body":              {"POST", grabPath, ada, " ", 400, "malformed"},

		"key of 256 bytes": {"POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": long},
			"", 400, "malformed"},
		"key with a space": {"POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "a b"},
			"", 400, "malformed"},
		"key not ASCII": {"POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": "é"},
			"", 400, "malformed"},

		"asked key broken":       {"GET", "/v1/grabs/%zz", ada, "", 400, "malformed"},
		"asked key cut":          {"GET", "/v1/grabs/a%2", ada, "", 400, "malformed"},
		"asked key of 256 bytes": {"GET", "/v1/grabs/" + long, ada, "", 400, "malformed"},
		"asked key with a NUL":   {"GET", "/v1/grabs/%00", ada, "", 400, "malformed"},
		"asked key unknown":      {"GET", "/v1/grabs/k1", ada, "", 404, "unknown-key"},
		"deadline no number":     {"GET", "/v1/grabs/k1?deadline=soon", ada, "", 400, "malformed"},
		"deadline below 0":       {"GET", "/v1/grabs/k1?deadline=-5", ada, "", 400, "malformed"},
		"near nowhere":           {"GET", "/v1/sessions?near=here", ada, "", 400, "malformed"},
		"near beyond the pole":   {"GET", "/v1/sessions?near=91,0", ada, "", 400, "malformed"},
		"near NaN":               {"GET", "/v1/sessions?near=NaN,0", ada, "", 400, "malformed"},
		"near without end":       {"GET", "/v1/sessions?near=0,-Inf", ada, "", 400, "malformed"},
		"near latitude 400":      {"GET", "/v1/sessions?near=400,0", ada, "", 400, "malformed"},
		"near longitude 181":     {"GET", "/v1/sessions?near=0,181", ada, "", 400, "malformed"},
		"near in hexadecimal":    {"GET", "/v1/sessions?near=0x1p3,0", ada, "", 400, "malformed"},
		"near nothing":           {"GET", "/v1/sessions?near=", ada, "", 400, "malformed"},
		"near without a value":   {"GET", "/v1/sessions?near", ada, "", 400, "malformed"},
		"near half a place":      {"GET", "/v1/sessions?near=31.2,", ada, "", 400, "malformed"},
		"near one number":        {"GET", "/v1/sessions?near=31.2", ada, "", 400, "malformed"},
		"near three numbers":     {"GET", "/v1/sessions?near=1,2,3", ada, "", 400, "malformed"},
		"near two places":        {"GET", "/v1/sessions?near=1,2&near=3,4", ada, "", 400, "malformed"},
		"orders: limit 0":        {"GET", "/v1/orders?limit=0", ada, "", 400, "malformed"},
		"orders: limit 101":      {"GET", "/v1/orders?limit=101", ada, "", 400, "malformed"},
		"orders: session no id":  {"GET", "/v1/orders?session=a%20b", ada, "", 400, "malformed"},
		"orders: cursor too long": {"GET", "/v1/orders?cursor=" + strings.Repeat("x", 513), ada, "", 400,
			"malformed"},
		"receiver: empty": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", ada, "", 400, "malformed"},
		"receiver: no phone": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", ada,
			`{"name":"Ada","street":"x"}`, 400, "malformed"},
		"receiver: control": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", ada,
			`{"name":"A\u0000","phone":"1","street":"x"}`, 400, "malformed"},
		"receiver: override": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", ada,
			`{"name":"A\u202e","phone":"1","street":"x"}`, 400, "malformed"},
		"receiver: too long": {"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", ada, `{"name":"` +
			strings.Repeat("x", 129) + `","phone":"1","street":"x"}`, 400, "malformed"},
		"callback: no amount": {"POST", "/v1/payments/callback", nil,
			`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","currency":"CNY"}`, 400, "malformed"},
		"callback: bad currency": {"POST", "/v1/payments/callback", nil,
			`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","amount":1,"currency":"RMBS"}`, 400, "malformed"},
		"callback: no payment id": {"POST", "/v1/payments/callback", nil,
			`{"order_no":"0123456789ABCDEFGHJKMNPQ","amount":1,"currency":"CNY"}`, 400, "malformed"},
		"callback: below 0": {"POST", "/v1/payments/callback", nil,
			`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p","amount":-1,"currency":"CNY"}`, 400, "malformed"},
		"callback: no order number": {"POST", "/v1/payments/callback", nil,
			`{"order_no":"","payment_id":"p","amount":1,"currency":"CNY"}`, 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSeller{sessions: fakeSessions(), order: heldOrder(),
				onGrab: func(*engine.Grab) { t.Error("it got to the seller") }}
			r := ask(newTestShopper(t, f), c.method, c.path, c.headers, c.body)
			wantProblem(t, r, c.status, c.slug)
			if allow := r.Header.Peek("Allow"); (c.status == 405) != (len(allow) > 0) {
				t.Errorf("status %d with Allow %q", c.status, allow)
			}
			if challenge := r.Header.Peek("WWW-Authenticate"); (c.status == 401) != (len(challenge) > 0) {
				t.Errorf("status %d with WWW-Authenticate %q", c.status, challenge)
			}
		})
	}
}

// TestProblemSaysWhere: whoever sent broken JSON is told where it breaks.
func TestProblemSaysWhere(t *testing.T) {
	for body, want := range map[string]string{
		`{"quantity":x}`:             "at byte 13",
		`{"quantity":"many"}`:        `\"quantity\" can't be a string`,
		`{"quantity":1,"colour":""}`: `unknown field \"colour\"`,
		`{"quantity":1`:              "ends too early",
		`{"quantity":-7}`:            "The quantity is -7; it must be 1 to 1000000",
	} {
		r := ask(newTestShopper(t, &fakeSeller{}), "POST", grabPath, ada, body)
		if !strings.Contains(string(r.Body()), want) {
			t.Errorf("%s: %s; want %s", body, r.Body(), want)
		}
	}
}

// TestGrabReachesSeller: what was sent is what the seller is asked.
func TestGrabReachesSeller(t *testing.T) {
	for name, c := range map[string]struct {
		key, body string
		quantity  uint32
	}{
		"empty body":       {"k1", "", 1},
		"empty object":     {"k1", "{}", 1},
		"three":            {"k1", `{"quantity":3}`, 3},
		"three, spaced":    {"k1", " { \"quantity\" : 3 }\n", 3},
		"all members":      {"k1", `{"waitlist":true,"ticket":"t","quantity":1000000}`, 1_000_000},
		"key of 255 bytes": {strings.Repeat("~", 255), "", 1},
		"no key":           {"", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fakeSeller{answer: granted()}).keepGrabs()
			r := ask(newTestShopper(t, f), "POST", grabPath, map[string]string{"X-Shopper-Id": "ada",
				"Idempotency-Key": c.key}, c.body)
			if r.StatusCode() != 200 {
				t.Fatalf("status %d: %s", r.StatusCode(), r.Body())
			}
			g := f.grabbed
			if string(g.Listing) != "fans-day-10/skus/mask-50" || string(g.Shopper) != "ada" ||
				g.Quantity != c.quantity {
				t.Errorf("the seller was asked for %s by %s, %d units", g.Listing, g.Shopper, g.Quantity)
			}
			told := string(r.Header.Peek("Idempotency-Key"))
			switch {
			case c.key != "" && (string(g.IdempotencyKey) != c.key || told != ""):
				t.Errorf("key %q became %q, told %q", c.key, g.IdempotencyKey, told)
			case c.key == "" && (len(g.IdempotencyKey) != mintedKeyBytes || told != string(g.IdempotencyKey)):
				t.Errorf("minted %q, told %q", g.IdempotencyKey, told)
			}
		})
	}
}

func TestMintedKeysDiffer(t *testing.T) {
	var c grabCall
	seen := map[string]bool{}
	for range 1000 {
		key := string(c.mint())
		if seen[key] || !engine.ValidKey(key) {
			t.Fatalf("minted %q", key)
		}
		seen[key] = true
	}
}

// TestSellerRefusals: one table turns reasons and errors into statuses.
func TestSellerRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		answer engine.Answer
		status int
		slug   string
		says   string
	}{
		"over the limit": {engine.Answer{Reason: engine.ReasonQuantity, Limit: 2}, 400, "quantity",
			"The limit here is 2 for each shopper"},
		"unknown listing": {engine.Answer{Reason: engine.ReasonUnknown}, 404, "unknown-listing", "/v1/sessions"},
		"key reused":      {engine.Answer{Reason: engine.ReasonKeyReused}, 422, "key-reused", "new key"},
	} {
		t.Run("grab: "+name, func(t *testing.T) {
			r := ask(newTestShopper(t, &fakeSeller{answer: c.answer}), "POST", grabPath, ada, "")
			wantProblem(t, r, c.status, c.slug)
			if !strings.Contains(string(r.Body()), c.says) {
				t.Errorf("%s does not say %q", r.Body(), c.says)
			}
		})
	}
	for name, c := range map[string]struct {
		err    error
		status int
		slug   string
	}{
		"unknown":       {&engine.Refusal{Reason: engine.ReasonUnknown}, 404, "not-found"},
		"not yours":     {&engine.Refusal{Reason: engine.ReasonNotYours}, 404, "not-found"},
		"not held":      {&engine.Refusal{Reason: engine.ReasonNotHeld, State: engine.Paid}, 409, "order-state"},
		"wrong amount":  {&engine.Refusal{Reason: engine.ReasonAmount}, 422, "amount"},
		"frozen":        {&engine.Refusal{Reason: engine.ReasonFrozen}, 409, "conflict"},
		"unforeseen":    {&engine.Refusal{Reason: engine.ReasonOverload}, 409, "conflict"},
		"no leader":     {engine.ErrNotLeader, 503, "unavailable"},
		"no records":    {engine.ErrNoRecords, 503, "unavailable"},
		"not known":     {engine.ErrOutcomeUnknown, 503, "unavailable"},
		"fault of ours": {errors.New("secret innards"), 500, "internal"},
	} {
		for _, request := range [][3]string{
			{"GET", "/v1/orders/" + fakeOrderNo, ""}, {"GET", "/v1/orders", ""}, {"POST", "/v1/orders/" + fakeOrderNo +
				"/cancel", ""},
			{"PUT", "/v1/orders/" + fakeOrderNo + "/receiver", `{"name":"a","phone":"1","street":"x"}`},
			{"POST", "/v1/payments/callback",
				`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","amount":100,"currency":"CNY"}`},
			{"GET", "/v1/grabs/k1", ""},
		} {
			t.Run(request[0]+" "+request[1]+": "+name, func(t *testing.T) {
				r := ask(newTestShopper(t, &fakeSeller{err: c.err}), request[0], request[1], ada, request[2])
				wantProblem(t, r, c.status, c.slug)
				if bytes.Contains(r.Body(), []byte("secret")) {
					t.Errorf("it tells what is inside: %s", r.Body())
				}
				if wait := r.Header.Peek("Retry-After"); (c.status == 503) != (len(wait) > 0) {
					t.Errorf("status %d with Retry-After %q", c.status, wait)
				}
			})
		}
	}
}

// TestGrabByKey: an unknown outcome is "processing" for who names a deadline,
// never a final no.
func TestGrabByKey(t *testing.T) {
	for name, c := range map[string]struct {
		seller fakeSeller
		query  string
		status int
		code   string
	}{
		"granted": {fakeSeller{answer: granted(), found: true}, "", 200, "granted"},
		"missed for good": {fakeSeller{answer: engine.Answer{Code: engine.CodeMissed}, found: true}, "?deadline=5",
			200, "missed"},
		"still open": {fakeSeller{answer: engine.Answer{Code: engine.CodeProcessing, Deadline: 5}, found: true},
			"?deadline=5", 202, "processing"},
		"nothing to be said": {fakeSeller{}, "?deadline=5", 202, "processing"},
		"nobody leads":       {fakeSeller{err: engine.ErrNotLeader}, "?deadline=5", 202, "processing"},
		"not known":          {fakeSeller{err: engine.ErrOutcomeUnknown}, "?deadline=5", 202, "processing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(newTestShopper(t, &c.seller), "GET", "/v1/grabs/a%2Fb%25"+c.query, ada, "")
			var a struct {
				Code      string
				ResultURL string `json:"result_url"`
			}
			if err := json.Unmarshal(r.Body(), &a); err != nil || r.StatusCode() != c.status || a.Code != c.code {
				t.Fatalf("status %d, %s (%v)", r.StatusCode(), r.Body(), err)
			}
			if c.seller.key != "a/b%" || c.seller.shopper != "ada" {
				t.Errorf("asked for key %q of %q", c.seller.key, c.seller.shopper)
			}
			if c.status == 202 && (a.ResultURL != "/v1/grabs/a%2Fb%25?deadline=5" ||
				string(r.Header.Peek("Location")) != a.ResultURL ||
				string(r.Header.Peek("Retry-After")) != "1") {
				t.Errorf("ask again at %q, Location %q, Retry-After %q", a.ResultURL, r.Header.Peek("Location"),
					r.Header.Peek("Retry-After"))
			}
		})
	}
}

// TestResultURLLeadsBack: every valid key survives the way into the URL and back.
func TestResultURLLeadsBack(t *testing.T) {
	var key []byte
	for c := byte('!'); c <= '~'; c++ {
		key = append(key, c)
	}
	f := &fakeSeller{answer: engine.Answer{Code: engine.CodeProcessing, Deadline: 17}}
	s := newTestShopper(t, f)
	r := ask(s, "POST", grabPath, map[string]string{"X-Shopper-Id": "ada", "Idempotency-Key": string(key)}, "")
	location := string(r.Header.Peek("Location"))
	if u, err := url.Parse(location); err != nil || u.Path != "/v1/grabs/"+string(key) {
		t.Errorf("Location %q: %v", location, err)
	}
	ask(s, "GET", location, ada, "")
	if f.key != string(key) || f.deadline != 17 {
		t.Errorf("came back as %q until %d", f.key, f.deadline)
	}
}

func TestOrdersAsk(t *testing.T) {
	f := &fakeSeller{order: heldOrder()}
	s := newTestShopper(t, f)
	ask(s, "GET", "/v1/orders", ada, "")
	if f.limit != 20 || f.session != "" || f.cursor != "" {
		t.Errorf("asked for %d of session %q from %q", f.limit, f.session, f.cursor)
	}
	ask(s, "GET", "/v1/orders?session=fans-day-10&cursor=a.b&limit=100", ada, "")
	if f.limit != 100 || f.session != "fans-day-10" || f.cursor != "a.b" || f.shopper != "ada" {
		t.Errorf("asked for %d of session %q from %q for %q", f.limit, f.session, f.cursor, f.shopper)
	}
}

// TestCallbackNeedsDev: without a cashier's key nobody can say that they paid.
func TestCallbackNeedsDev(t *testing.T) {
	f := &fakeSeller{order: heldOrder()}
	s, err := NewShopper(ShopperConfig{Seller: selling(f), Tokens: auth.Keys{Secret: bytes.Repeat([]byte("s"), 32)}})
	if err != nil {
		t.Fatal(err)
	}
	r := ask(s, "POST", "/v1/payments/callback", ada,
		`{"order_no":"0123456789ABCDEFGHJKMNPQ","payment_id":"p1","amount":100,"currency":"CNY"}`)
	wantProblem(t, r, 403, "callback-not-configured")
	if f.orderNo != "" {
		t.Error("it got to the seller")
	}
}

func TestNewShopperReportsEverything(t *testing.T) {
	_, err := NewShopper(ShopperConfig{Limits: Limits{BodyBytes: 1, ReadTimeout: -1, ConnectionsPerIP: -1},
		Tokens: auth.Keys{Secret: []byte("short")}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no Seller", "BodyBytes", "ReadTimeout", "ConnectionsPerIP", "at least 32"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
}
