package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

// fakeParsePlan finds problems in texts that say so.
func fakeParsePlan(text []byte) (*engine.Plan, []wire.PlanProblem) {
	if strings.Contains(string(text), "bad") {
		return nil, []wire.PlanProblem{{Path: "sales[x].colour", Message: "unknown key", Line: 3, Column: 5},
			{Path: "", Message: "no sales"}}
	}
	return &engine.Plan{Products: []engine.Product{{ID: "mask-50"}}}, nil
}

func newTestAdmin(t testing.TB, f *fakeOperator, change ...func(*AdminConfig)) *AdminServer {
	t.Helper()
	cfg := AdminConfig{Operator: Operator{Catalogue: f, OrderOffice: f, Switcher: f, Lists: f, PlayOffice: f,
		ProductOffice: f, Archive: f},
		Cluster: &fakeCluster{}, Trail: &fakeTrail{}, ParsePlan: fakeParsePlan, Dev: true}
	for _, c := range change {
		c(&cfg)
	}
	s, err := NewAdmin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// askAdmin puts one request through s's handler. headers are pairs of name and value.
func askAdmin(s *AdminServer, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	described(method, r.URL.EscapedPath(), w.Code, w.Header().Get("Content-Type"), w.Body.Bytes())
	return w
}

func wantAdminProblem(t *testing.T, w *httptest.ResponseRecorder, status int, slug string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Instance string
		Status                        int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("status %d: %v: %s", w.Code, err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Type != problemURN+slug || p.Title == "" || p.Detail == "" ||
		p.Instance == "" {
		t.Errorf("status %d, problem %+v; want %d %s", w.Code, p, status, slug)
	}
	if got := w.Header().Get("Content-Type"); got != problemType {
		t.Errorf("content type %q", got)
	}
}

func TestAdminRoutes(t *testing.T) {
	const counts = `{"session":"fans-day-10","sku":"mask-50","stock":1000,"available":0,"held":990,"paid":10,"waitlisted":4,"entrants":5,"reserved":6,"shoppers":1000,"state":"open","log_index":4711}`
	const order = `{"order_no":"0123456789ABCDEFGHJKMNPQ","shopper":"ada","session":"fans-day-10","sku":"mask-50","quantity":1,"amount":100,"currency":"CNY",` +
		`"state":"%s","granted_at":"2026-09-20T02:00:00Z","pay_by":"%s","changed_at":"2026-09-20T02:00:00Z"}`
	held, voided := fmt.Sprintf(order, "held", "2026-09-20T02:15:00Z"),
		fmt.Sprintf(order, "voided", "2026-09-20T02:15:00Z")
	extended := fmt.Sprintf(order, "held", "2026-09-20T03:00:00Z")
	for name, c := range map[string]struct {
		method, path, body, want string
	}{
		"livez":  {"GET", "/livez", "", `{"live":true}`},
		"readyz": {"GET", "/readyz", "", `{"ready":true}`},
		"counts": {"GET", "/admin/v1/sessions/fans-day-10/skus/mask-50", "", counts},
		"stock": {"POST", "/admin/v1/sessions/fans-day-10/skus/mask-50/stock", `{"units":5,"note":"more came"}`,
			counts},
		"stock taken": {"POST", "/admin/v1/sessions/fans-day-10/skus/mask-50/stock", `{"units":-5}`, counts},
		"products": {"GET", "/admin/v1/products",
			"", `{"products":[{"id":"mask-50","name":{"en":"Masks"},"supplier":"acme","list_price":4900,"currency":"CNY","place":{"latitude":31.2,"longitude":121.5},` +
				`"stock":{"total":500},"use":{"put_up":300,"held":20,"paid":100,"paid_before":0,"allowance":500}}]}`},
		"sales": {"GET", "/admin/v1/sales",
			"", `{"sales":[{"id":"fans-day","name":{"en":"Fans' Day"},"timezone":"Asia/Shanghai"}]}`},
		"orders":        {"GET", "/admin/v1/orders", "", `{"orders":[` + held + `],"cursor":"more"}`},
		"order":         {"GET", "/admin/v1/orders/" + fakeOrderNo, "", held},
		"void":          {"POST", "/admin/v1/orders/" + fakeOrderNo + "/void", `{"note":"a mistake"}`, voided},
		"void, no note": {"POST", "/admin/v1/orders/" + fakeOrderNo + "/void", "", voided},
		"extend": {"POST", "/admin/v1/orders/" + fakeOrderNo +
			"/extend", `{"pay_by":"2026-09-20T11:00:00+08:00"}`, extended},
		"cluster": {"GET", "/admin/v1/cluster",
			"", `{"generation":0,"leader":"a1","term":2,"epoch":7,"rules_version":0,"zone_ack":{"mode":"","state":"","zone_index":0},"time":"0001-01-01T00:00:00Z","state_at":"0001-01-01T00:00:00Z","fsync_ms":0,"alarms":[],` +
				`"nodes":[{"id":"a1","zone":"a","role":"leader","reachable":true,"applied_index":9,"last_index":9,"first_index":0,"oldest_index":0,"durable_index":0,"ledger_index":0,"lag":0,` +
				`"rules_version":0,"generation":0,"drained":false,"joining":false,"preferred":false,"clock_offset_ms":0,"wal_bytes":0,` +
				`"looks":0,"grabs":0,"looks_share":0,"grabs_share":0}]}`},
		"plan": {"POST", "/admin/v1/plan",
			"{}", `{"applied":true,"dry_run":false,"changes":[{"path":"sales[a]","before":"","after":"new"}]}`},
		"plan, dry": {"POST", "/admin/v1/plan?dry_run=true",
			"{}", `{"applied":false,"dry_run":true,"changes":[{"path":"sales[a]","before":"","after":"new"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{found: []engine.OrderView{heldOrder()},
				changes: []engine.Change{{Path: "sales[a]", After: "new"}}}
			w := askAdmin(newTestAdmin(t, f), c.method, c.path, c.body)
			if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != 200 || got != c.want {
				t.Errorf("status %d\n got %s\nwant %s", w.Code, got, c.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestAdminSessions(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{})
	var list struct{ Sessions []wire.OpsSession }
	w := askAdmin(s, "GET", "/admin/v1/sessions", "")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Sessions) != 2 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	var one wire.OpsSession
	w = askAdmin(s, "GET", "/admin/v1/sessions/fans-day-10", "")
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if one.ID != "fans-day-10" || one.State != "open" || one.PayWithinSeconds != 900 || one.PayGraceSeconds != 120 ||
		len(one.Listings) != 3 ||
		one.Listings[2].Counts == nil || one.Listings[2].Counts.Held != 990 || one.SaleName["zh"] != "粉丝节" {
		t.Errorf("%s", w.Body)
	}
}

// TestSteer: each action reaches the operator under its own name, with who asked.
func TestSteer(t *testing.T) {
	for _, action := range []engine.SessionAction{engine.SessionPublish, engine.SessionPause, engine.SessionResume,
		engine.SessionEnd} {
		f := &fakeOperator{}
		w := askAdmin(newTestAdmin(t, f), "POST", "/admin/v1/sessions/fans-day-10/"+action.String(), `{"note":"why"}`)
		if w.Code != 200 || f.action != action || f.session != "fans-day-10" || f.note != "why" || f.operator != "dev" {
			t.Errorf("%s: status %d, asked for %s of %q by %q because %q", action, w.Code, f.action, f.session,
				f.operator, f.note)
		}
	}
}

func TestAdminProblems(t *testing.T) {
	long := strings.Repeat("x", engine.MaxTextBytes+1)
	const stock, void, extend = "/admin/v1/sessions/s/skus/x/stock", "/admin/v1/orders/" + fakeOrderNo + "/void",
		"/admin/v1/orders/" + fakeOrderNo + "/extend"
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		slug               string
	}{
		"no such path":       {"GET", "/admin/v1/nothing", "", nil, 404, "not-found"},
		"deeper":             {"GET", "/admin/v1/sessions/a/b/c/d", "", nil, 404, "not-found"},
		"unknown session":    {"GET", "/admin/v1/sessions/none", "", nil, 404, "not-found"},
		"unknown listing":    {"GET", "/admin/v1/sessions/a/skus/none", "", nil, 404, "not-found"},
		"unknown order":      {"GET", "/admin/v1/orders/none", "", nil, 404, "not-found"},
		"unknown action":     {"POST", "/admin/v1/sessions/a/explode", "", nil, 404, "not-found"},
		"livez by POST":      {"POST", "/livez", "", nil, 405, "method"},
		"plan by DELETE":     {"DELETE", "/admin/v1/plan", "", nil, 405, "method"},
		"void by DELETE":     {"DELETE", void, "", nil, 405, "method"},
		"stock: nothing":     {"POST", stock, "", nil, 400, "malformed"},
		"stock: 0":           {"POST", stock, `{"units":0}`, nil, 400, "malformed"},
		"stock: too many":    {"POST", stock, `{"units":1000000001}`, nil, 400, "malformed"},
		"stock: unknown":     {"POST", stock, `{"unit":1}`, nil, 400, "malformed"},
		"stock: long note":   {"POST", stock, `{"units":1,"note":"` + long + `"}`, nil, 400, "malformed"},
		"void: broken":       {"POST", void, `{`, nil, 400, "malformed"},
		"extend: nothing":    {"POST", extend, "", nil, 400, "malformed"},
		"extend: no time":    {"POST", extend, `{"pay_by":"soon"}`, nil, 400, "malformed"},
		"steer: broken note": {"POST", "/admin/v1/sessions/a/pause", `{"note":1}`, nil, 400, "malformed"},
		"orders: state":      {"GET", "/admin/v1/orders?state=gone", "", nil, 400, "malformed"},
		"orders: limit":      {"GET", "/admin/v1/orders?limit=1001", "", nil, 400, "malformed"},
		"orders: from":       {"GET", "/admin/v1/orders?from=yesterday", "", nil, 400, "malformed"},
		"orders: shopper":    {"GET", "/admin/v1/orders?shopper=a%20b", "", nil, 400, "malformed"},
		"orders: session":    {"GET", "/admin/v1/orders?session=a%20b", "", nil, 400, "malformed"},
		"orders: sku":        {"GET", "/admin/v1/orders?sku=a%20b", "", nil, 400, "malformed"},
		"orders: number":     {"GET", "/admin/v1/orders?order_no=a%20b", "", nil, 400, "malformed"},
		"orders: cursor":     {"GET", "/admin/v1/orders?cursor=" + strings.Repeat("x", 513), "", nil, 400, "malformed"},
		"plan: dry_run":      {"POST", "/admin/v1/plan?dry_run=maybe", "{}", nil, 400, "malformed"},
		"plan: problems":     {"POST", "/admin/v1/plan", `{"bad":1}`, nil, 422, "plan"},
		"plan: too large": {"POST", "/admin/v1/plan", strings.Repeat(" ", maxPlanTextBytes+1), nil, 413,
			"too-large"},
		"note too large": {"POST", void, strings.Repeat(" ", adminBodyBytes+1), nil, 413, "too-large"},
		"form": {"POST", void, "note=x", []string{"Content-Type", "application/x-www-form-urlencoded"},
			415, "media-type"},
		"text": {"POST", void, "{}", []string{"Content-Type", "text/plain"}, 415, "media-type"},
		"plan as a form": {"POST", "/admin/v1/plan", "a: b", []string{"Content-Type",
			"application/x-www-form-urlencoded"}, 415, "media-type"},
		"another site":   {"POST", void, "{}", []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-site"},
		"another origin": {"POST", void, "{}", []string{"Origin", "http://evil.test"}, 403, "cross-site"},
		"rebound name":   {"GET", "/admin/v1/orders", "", []string{"Host", "evil.test:8081"}, 403, "cross-site"},
		"rebound address": {"GET", "/admin/v1/orders", "", []string{"Host", "127.0.0.1.evil.test"}, 403,
			"cross-site"},
	} {
		t.Run(name, func(t *testing.T) {
			w := askAdmin(newTestAdmin(t, &fakeOperator{}), c.method, c.path, c.body, c.headers...)
			wantAdminProblem(t, w, c.status, c.slug)
			if allow := w.Header().Get("Allow"); (c.status == 405) != (allow != "") {
				t.Errorf("status %d with Allow %q", c.status, allow)
			}
		})
	}
	for _, host := range []string{"localhost", "LOCALHOST:8081", "127.0.0.1", "127.1.2.3:80", "[::1]:8081", "[::1]"} {
		if w := askAdmin(newTestAdmin(t, &fakeOperator{}), "POST", void, "{}", "Host", host, "Origin",
			"http://"+host); w.Code != 200 {
			t.Errorf("host %s: status %d: %s", host, w.Code, w.Body)
		}
	}
}

func TestPlanProblems(t *testing.T) {
	f := &fakeOperator{}
	s := newTestAdmin(t, f)
	w := askAdmin(s, "POST", "/admin/v1/plan", "bad: 1", "Content-Type", "application/yaml; charset=utf-8")
	const want = `"problems":[{"path":"sales[x].colour","message":"unknown key","line":3,"column":5},{"path":"","message":"no sales"}]`
	if wantAdminProblem(t, w, 422, "plan"); !strings.Contains(w.Body.String(), want) || f.plan != nil {
		t.Errorf("%s; want %s", w.Body, want)
	}
	f.problems = []engine.Problem{{Path: "sales[a]", Message: "it ends before it starts"}}
	w = askAdmin(s, "POST", "/admin/v1/plan", "good: 1", "Content-Type", "application/yaml")
	if wantAdminProblem(t, w, 422, "plan"); !strings.Contains(w.Body.String(),
		`"problems":[{"path":"sales[a]","message":"it ends before it starts"}]`) || f.plan == nil {
		t.Errorf("%s", w.Body)
	}
	f.problems = nil
	if w = askAdmin(s, "POST", "/admin/v1/plan", "good: 1", "Content-Type",
		"text/yaml"); !strings.Contains(w.Body.String(), `"changes":[]`) {
		t.Errorf("nothing to change: %s", w.Body)
	}
}

// TestUnknownOutcomeOfWhatAdds: where doing it twice counts twice, nobody is told
// that it changes nothing.
func TestUnknownOutcomeOfWhatAdds(t *testing.T) {
	for path, body := range map[string]string{"/admin/v1/sessions/a/skus/b/stock": `{"units":1}`,
		"/admin/v1/switches/back": ""} {
		w := askAdmin(newTestAdmin(t, &fakeOperator{err: engine.ErrOutcomeUnknown}), "POST", path, body)
		wantAdminProblem(t, w, 503, "unavailable")
		if said := w.Body.String(); !strings.Contains(said, "count twice") ||
			strings.Contains(said, "changes nothing") {
			t.Errorf("%s: %s", path, said)
		}
		w = askAdmin(newTestAdmin(t, &fakeOperator{err: engine.ErrOutcomeUnknown}), "POST", path, body,
			"Idempotency-Key", "k")
		if said := w.Body.String(); !strings.Contains(said, "with the same Idempotency-Key: it counts once") {
			t.Errorf("%s with a key: %s", path, said)
		}
	}
}

// TestRefusalsSayWhatIsThere: the figures that come with a refusal are told, whatever it is for.
func TestRefusalsSayWhatIsThere(t *testing.T) {
	const figures = "The supplier of mug has 10 in all, and 10 are put up: 0 more can be."
	for _, reason := range []engine.Reason{engine.ReasonSupplier, engine.ReasonUndelivered, engine.ReasonOffered} {
		w := askAdmin(newTestAdmin(t, &fakeOperator{err: &engine.Refusal{Reason: reason, Detail: figures}}), "POST",
			"/admin/v1/sessions/a/skus/b/stock", `{"units":1}`)
		wantAdminProblem(t, w, 409, "conflict")
		if !strings.Contains(w.Body.String(), figures) {
			t.Errorf("%s: %s", reason, w.Body)
		}
	}
}

func TestAdminErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		slug   string
	}{
		"unknown":   {&engine.Refusal{Reason: engine.ReasonUnknown}, 404, "not-found"},
		"ended":     {&engine.Refusal{Reason: engine.ReasonEnded}, 409, "conflict"},
		"not held":  {&engine.Refusal{Reason: engine.ReasonNotHeld, State: engine.Shipped}, 409, "order-state"},
		"wrapped":   {fmt.Errorf("void: %w", &engine.Refusal{Reason: engine.ReasonFrozen}), 409, "conflict"},
		"too few":   {&engine.Refusal{Reason: engine.ReasonSoldOut}, 409, "conflict"},
		"no leader": {engine.ErrNotLeader, 503, "unavailable"},
		"not known": {fmt.Errorf("ask: %w", engine.ErrOutcomeUnknown), 503, "unavailable"},
		"our fault": {errors.New("secret innards"), 500, "internal"},
	} {
		for _, request := range [][3]string{
			{"POST", "/admin/v1/plan", "{}"}, {"POST", "/admin/v1/sessions/a/end", ""},
			{"POST", "/admin/v1/sessions/a/skus/b/stock", `{"units":1}`},
			{"GET", "/admin/v1/sessions/a/skus/b", ""}, {"GET", "/admin/v1/orders", ""},
			{"GET", "/admin/v1/orders/x", ""},
			{"POST", "/admin/v1/orders/x/void", ""},
			{"POST", "/admin/v1/orders/x/extend", `{"pay_by":"2026-09-20T02:15:00Z"}`},
			{"GET", "/admin/v1/sessions/fans-day-10", ""},
		} {
			t.Run(request[1]+": "+name, func(t *testing.T) {
				w := askAdmin(newTestAdmin(t, &fakeOperator{err: c.err}), request[0], request[1], request[2])
				wantAdminProblem(t, w, c.status, c.slug)
				if strings.Contains(w.Body.String(), "secret") ||
					(c.status == 503) != (w.Header().Get("Retry-After") != "") {
					t.Errorf("Retry-After %q: %s", w.Header().Get("Retry-After"), w.Body)
				}
			})
		}
	}
}

func TestOrderFilter(t *testing.T) {
	f := &fakeOperator{}
	askAdmin(newTestAdmin(t, f), "GET", "/admin/v1/orders?order_no=ABC&shopper=ada&session=s&sku=k&state=paid&from=2026-09-20T02:00:00Z&to=2026-09-20T10:00:00%2B08:00&cursor=1.2&limit=1000", "")
	want := engine.OrderFilter{OrderNo: "ABC", Shopper: "ada", Session: "s", SKU: "k", State: engine.Paid,
		From: fakeNow, To: fakeNow, Cursor: "1.2", Limit: 1000}
	if !reflect.DeepEqual(f.filter, want) {
		t.Errorf("%+v; want %+v", f.filter, want)
	}
}

func TestReadiness(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{},
		func(c *AdminConfig) { c.Cluster = &fakeCluster{notReady: errors.New("no leader yet")} })
	w := askAdmin(s, "GET", "/readyz", "")
	if wantAdminProblem(t, w, 503, "unavailable"); !strings.Contains(w.Body.String(), "no leader yet") {
		t.Errorf("%s", w.Body)
	}
	if w = askAdmin(s, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("livez: status %d", w.Code)
	}
}

// TestRoles walks every route with every kind of token.
func TestRoles(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{found: []engine.OrderView{heldOrder()}},
		func(c *AdminConfig) {
			c.Dev, c.Tokens, c.Trail = false, auth.Keys{Secret: testSecret}, &fakeTrail{reached: 7}
		})
	tokens := map[auth.Role]string{}
	for _, role := range []auth.Role{auth.Viewer, auth.Operator, auth.Admin} {
		token, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: role,
			TTL: time.Hour}.Sign(testSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		tokens[role] = token
	}
	path := strings.NewReplacer("{session}", "fans-day-10", "{sku}", "mask-50", "{order_no}", fakeOrderNo, "{$}", "")
	for _, r := range adminRoutes {
		if r.method == "POST" && strings.HasPrefix(r.pattern, "/console/") {
			continue // changes nothing of the shop: see TestConsoleLogin
		}
		for _, role := range []auth.Role{auth.Anybody, auth.Viewer, auth.Operator, auth.Admin} {
			var headers []string
			if role != auth.Anybody {
				headers = []string{"Authorization", "Bearer " + tokens[role]}
			}
			target := path.Replace(r.pattern)
			if r.within == stream {
				target += "?follow=false"
			}
			w := askAdmin(s, r.method, target, "", headers...)
			barred := w.Code == 401 || w.Code == 403
			if want := !role.Covers(r.needs); barred != want || barred && (w.Code == 401) != (role == auth.Anybody) {
				t.Errorf("%s %s as %q: status %d", r.method, r.pattern, role, w.Code)
			}
			if barred && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s as %q is not challenged", r.method, r.pattern, role)
			}
			if r.method != "GET" && !r.needs.Covers(auth.Operator) {
				t.Errorf("%s changes something and needs only %q", r.pattern, r.needs)
			}
		}
	}
}

func TestOpsTokens(t *testing.T) {
	f := &fakeOperator{}
	s := newTestAdmin(t, f, func(c *AdminConfig) { c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret} })
	claims := func(changes ...any) jwt.MapClaims {
		return shopperClaims(append([]any{"aud", string(auth.Operators), "role", "admin"}, changes...)...)
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"good":           {sign(t, jwt.SigningMethodHS256, testSecret, claims("sub", "olga")), 200},
		"a shopper's":    {sign(t, jwt.SigningMethodHS256, testSecret, claims("aud", string(auth.Shoppers))), 401},
		"no role":        {sign(t, jwt.SigningMethodHS256, testSecret, claims("role", nil)), 401},
		"unknown role":   {sign(t, jwt.SigningMethodHS256, testSecret, claims("role", "root")), 401},
		"role is a list": {sign(t, jwt.SigningMethodHS256, testSecret, claims("role", []string{"admin"})), 401},
		"viewer":         {sign(t, jwt.SigningMethodHS256, testSecret, claims("role", "viewer")), 403},
		"expired":        {sign(t, jwt.SigningMethodHS256, testSecret, claims("exp", 1)), 401},
		"another secret": {sign(t, jwt.SigningMethodHS256, otherSecret, claims()), 401},
		"unsigned":       {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()), 401},
	} {
		t.Run(name, func(t *testing.T) {
			f.operator = ""
			w := askAdmin(s, "POST", "/admin/v1/orders/"+fakeOrderNo+"/void", "", "Authorization", "Bearer "+c.token,
				"Host", "ops.shop.test")
			if w.Code != c.status || (c.status == 200) != (f.operator == "olga") {
				t.Errorf("status %d by %q: %s", w.Code, f.operator, w.Body)
			}
		})
	}
}

func TestOpenMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, open := range []bool{false, true} {
		s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
			c.Dev, c.Tokens, c.Gatherer, c.OpenMetrics = false, auth.Keys{Secret: testSecret}, registry, open
			if open {
				c.Registerer = registry
			}
		})
		w := askAdmin(s, "GET", "/metrics", "")
		if open != (w.Code == 200) || open && !strings.Contains(w.Body.String(),
			`doorbuster_http_panics_total{api="admin"} 0`) {
			t.Errorf("open %t: status %d: %s", open, w.Code, w.Body)
		}
	}
}

func TestConsole(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Dev, c.Tokens = false,
			auth.Keys{Secret: testSecret}
	})
	for path, kind := range map[string]string{"/": "text/html", "/now": "text/html",
		"/after/any?of=x": "text/html", "/console/app.js": "text/javascript", "/console/console.css": "text/css"} {
		w := askAdmin(s, "GET", path, "")
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) ||
			!strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: status %d, %v", path, w.Code, w.Header())
		}
	}
	page := askAdmin(s, "GET", "/now", "")
	w := askAdmin(s, "GET", "/now", "", "If-None-Match", page.Header().Get("ETag"))
	if w.Code != 304 || w.Body.Len() > 0 {
		t.Errorf("status %d, %d bytes of what is known", w.Code, w.Body.Len())
	}
	if w := askAdmin(s, "GET", "/now", "", "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "gzip" {
		t.Error("the page is not compressed")
	}
	for _, path := range []string{"/console/doc.go", "/nothing", "/nothing/else", "/now/and/then", "/%2e%2e/now"} {
		wantAdminProblem(t, askAdmin(s, "GET", path, ""), 404, "not-found")
	}
	wantAdminProblem(t, askAdmin(s, "POST", "/", ""), 405, "method")
}

func TestAdminPanic(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{panics: true})
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/products", ""), 500, "internal")
	if s.metrics.panicked.Load() != 1 {
		t.Error("it was not counted")
	}
}

func TestNewAdminReportsEverything(t *testing.T) {
	_, err := NewAdmin(AdminConfig{RequestTimeout: time.Hour})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no Operator", "no Cluster", "no ParsePlan", "RequestTimeout", "neither a secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
}

// TestAdminServes over a connection: the limits that net/http keeps, and the end.
func TestAdminServes(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{})
	server := httptest.NewUnstartedServer(nil)
	ln := server.Listener
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	base := "http://" + ln.Addr().String()
	r, err := http.Get(base + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil || string(body) != `{"live":true}`+"\n" {
		t.Errorf("%s, %v", body, err)
	}
	line := dial(t, ln.Addr().String())
	line.send(t, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "+strings.Repeat("x", 2*adminHeaderBytes)+"\r\n\r\n")
	if status, _, _ := line.receive(t); status != 431 {
		t.Errorf("large headers: status %d", status)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
