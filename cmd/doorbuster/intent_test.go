package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// opsCall is one request of an operator.
type opsCall struct{ method, path, body, kind string }

func asOperator(s *nodetest.Shop, a opsCall, key string) nodetest.Reply {
	s.T.Helper()
	header := []string{"Content-Type", a.kind}
	if a.kind == "" {
		header = []string{"Content-Type", "application/json"}
	}
	if key != "" {
		header = append(header, "Idempotency-Key", key)
	}
	return s.Do(a.method, "http://"+s.Admin+a.path, a.body, header...)
}

var changes = regexp.MustCompile(`"(log_index|server_time|index)":\s*("[^"]*"|\d+)`)

// changeOnce is a change that is asked for twice, and where it shows.
type changeOnce struct {
	name   string
	change opsCall
	undo   opsCall // by somebody else; none if its method is ""
	look   string
}

// TestEveryChangeIsMadeOnce: each operators' route that changes something is asked,
// its answer is lost, somebody else changes the same again, and whoever heard
// nothing asks once more with the same key: nothing changes. The same key with
// another request is refused.
func TestEveryChangeIsMadeOnce(t *testing.T) {
	const plan, text = "application/yaml", "text/plain"
	s := openShop(t, t.TempDir())
	start := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	s.Apply(nodetest.Masks(100) + "      - id: later\n        start: " + start +
		"\n        listings:\n          - {sku: mask, price: 100, stock: 3, reservation: true}\n" +
		"      - id: haggle\n        start: now\n        listings:\n          " +
		"- {sku: mask, price: 4900, stock: 3, play: {kind: bargain, floor: 100}}\n")
	var begun struct{ Bargain struct{ Code string } }
	if err := json.Unmarshal([]byte(s.Ask("POST", "cai", "haggle/mask", "bargains", "").Body), &begun); err != nil {
		t.Fatal(err)
	}
	bargain := "/admin/v1/bargains/" + begun.Bargain.Code
	s.MustRun("switches", "set", "rate_limits=95", "--admin", s.Admin) // at the height of the session
	voided, extended := s.MustGrant("ann", "", nodetest.Mask).OrderNo, s.MustGrant("bob", "", nodetest.Mask).OrderNo
	at := func(minutes int) string {
		return `{"pay_by":"` + time.Now().Add(time.Duration(minutes)*time.Minute).UTC().Format(time.RFC3339) + `"}`
	}
	products := func(name string) string {
		return "products:\n  - {id: tea, currency: CNY, list_price: 900, name: {en: " + name + "}}\n"
	}
	day, message, profile := "/admin/v1/sessions/day/", "/admin/v1/messages/sale/sold_out", "/admin/v1/profiles/rush"
	vips, reserved := "/admin/v1/allowlists/vips", "/admin/v1/sessions/later/skus/mask/reservations"
	setting := func(n string) string { return `{"switches":{"rate_limits":` + n + `}}` }
	cases := []changeOnce{
		{"plan", opsCall{"POST", "/admin/v1/plan", products("One"), plan},
			opsCall{"POST", "/admin/v1/plan", products("Two"), plan}, "/admin/v1/products"},
		{"message", opsCall{"PUT", message, `{"text":{"en":"One."}}`, ""},
			opsCall{"PUT", message, `{"text":{"en":"Two."}}`, ""}, "/admin/v1/messages"},
		{"no-message", opsCall{"DELETE", message, "", ""}, opsCall{"PUT", message, `{"text":{"en":"Three."}}`, ""},
			"/admin/v1/messages"},
		{"publish", opsCall{"POST", day + "publish", "", ""}, opsCall{}, "/admin/v1/sessions"},
		{"pause", opsCall{"POST", day + "pause", "", ""}, opsCall{"POST", day + "resume", "", ""},
			"/admin/v1/sessions"},
		{"resume", opsCall{"POST", day + "resume", "", ""}, opsCall{"POST", day + "pause", "", ""},
			"/admin/v1/sessions"},
		{"stock", opsCall{"POST", day + "skus/mask/stock", `{"units":5}`, ""}, opsCall{},
			"/admin/v1/sessions/day/skus/mask"},
		{"void", opsCall{"POST", "/admin/v1/orders/" + voided + "/void", "", ""}, opsCall{}, "/admin/v1/orders/" +
			voided},
		{"extend", opsCall{"POST", "/admin/v1/orders/" + extended + "/extend", at(30), ""},
			opsCall{"POST", "/admin/v1/orders/" + extended + "/extend", at(40), ""}, "/admin/v1/orders/" + extended},
		{"end-bargain", opsCall{"POST", bargain + "/end", "", ""}, opsCall{}, bargain},
		{"report-profile", opsCall{"POST", day + "report/profile", `{"name":"tall"}`, ""},
			opsCall{"DELETE", "/admin/v1/profiles/tall", "", ""}, "/admin/v1/profiles"},
		{"switches", opsCall{"PATCH", "/admin/v1/switches", setting("50"), ""},
			opsCall{"PATCH", "/admin/v1/switches", setting("60"), ""}, "/admin/v1/switches"},
		{"back", opsCall{"POST", "/admin/v1/switches/back", "", ""}, opsCall{}, "/admin/v1/switches"},
		{"normal", opsCall{"POST", "/admin/v1/switches/normal", "", ""},
			opsCall{"PATCH", "/admin/v1/switches", setting("70"), ""}, "/admin/v1/switches"},
		{"profile", opsCall{"PUT", profile, setting("50"), ""}, opsCall{"PUT", profile, setting("60"), ""},
			"/admin/v1/switches"},
		{"apply", opsCall{"POST", profile + "/apply", "", ""},
			opsCall{"PATCH", "/admin/v1/switches", setting("80"), ""}, "/admin/v1/switches"},
		{"forget", opsCall{"DELETE", profile, "", ""}, opsCall{"PUT", profile, setting("90"), ""},
			"/admin/v1/switches"},
		{"risk", opsCall{"PUT", "/admin/v1/risk/shoppers", "x\ny\n", text},
			opsCall{"PATCH", "/admin/v1/risk/shoppers", "z\n", text}, "/admin/v1/risk/shoppers"},
		{"more-risk", opsCall{"PATCH", "/admin/v1/risk/shoppers", "v\n", text},
			opsCall{"DELETE", "/admin/v1/risk/shoppers/v", "", ""}, "/admin/v1/risk/shoppers"},
		{"less-risk", opsCall{"DELETE", "/admin/v1/risk/shoppers/x", "", ""},
			opsCall{"PATCH", "/admin/v1/risk/shoppers", "x\n", text}, "/admin/v1/risk/shoppers"},
		{"no-risk", opsCall{"DELETE", "/admin/v1/risk/shoppers/y", "", ""}, opsCall{}, "/admin/v1/risk/shoppers"},
		{"vips", opsCall{"PUT", vips, "x\ny\n", text}, opsCall{"PATCH", vips, "z\n", text}, vips},
		{"more-vips", opsCall{"PATCH", vips, "v\n", text}, opsCall{"DELETE", vips + "/v", "", ""}, vips},
		{"less-vips", opsCall{"DELETE", vips + "/x", "", ""}, opsCall{"PATCH", vips, "x\n", text}, vips},
		{"no-vips", opsCall{"DELETE", vips, "", ""}, opsCall{"PATCH", vips, "w\n", text}, vips},
		{"reserved", opsCall{"PUT", reserved, "x\ny\n", text}, opsCall{"PATCH", reserved, "z\n", text}, reserved},
		{"more-reserved", opsCall{"PATCH", reserved, "v\n", text}, opsCall{"DELETE", reserved + "/v", "", ""},
			reserved},
		{"less-reserved", opsCall{"DELETE", reserved + "/x", "", ""}, opsCall{"PATCH", reserved, "x\n", text},
			reserved},
		{"silence", opsCall{"POST", "/admin/v1/alarms/disk_slow/silence", `{"for":"2h"}`, ""},
			opsCall{"POST", "/admin/v1/alarms/disk_slow/silence", `{"for":"0s"}`, ""}, "/admin/v1/alarms"},
		{"end", opsCall{"POST", "/admin/v1/sessions/later/end", "", ""}, opsCall{}, "/admin/v1/sessions"},
		{"settle", opsCall{"POST", "/admin/v1/sessions/later/settle", "", ""}, opsCall{}, "/admin/v1/sessions"},
	}
	for _, back := range []changeOnce{
		{"plan-back", opsCall{"POST", "/admin/v1/plan/back", `{}`, ""},
			opsCall{"POST", "/admin/v1/plan", products("Three"), plan}, "/admin/v1/products"},
		{"words-back", opsCall{"POST", message + "/back", "", ""},
			opsCall{"PUT", message, `{"text":{"en":"Three."}}`, ""}, "/admin/v1/messages"},
	} { // behind what they take back
		at := slices.IndexFunc(cases, func(c changeOnce) bool { return c.look == back.look })
		cases = slices.Insert(cases, at+1, back)
	}
	cases = append(cases, changesOfGoods(s)...)
	tried := map[string]bool{}
	for _, c := range cases {
		tried[c.change.method+" "+c.change.path] = true
		if a := asOperator(s, c.change, c.name); a.Status != 200 { // an answer that nobody hears
			t.Fatalf("%s: %d %s", c.name, a.Status, a.Body)
		}
		if c.undo.method != "" {
			if a := asOperator(s, c.undo, ""); a.Status != 200 {
				t.Fatalf("%s, undone: %d %s", c.name, a.Status, a.Body)
			}
		}
		look := func() string {
			return changes.ReplaceAllString(s.Ops("GET", c.look, "").Body, "")
		}
		before := look()
		if a := asOperator(s, c.change, c.name); a.Status != 200 {
			t.Errorf("%s, asked again: %d %s", c.name, a.Status, a.Body)
		}
		if after := look(); after != before {
			t.Errorf("%s was done twice\nbefore %s\nafter  %s", c.name, before, after)
		}
		other := c.change
		other.path += "?note=other"
		if !strings.HasPrefix(c.change.path, "/admin/v1/risk") && c.look != vips && c.look != reserved {
			other = opsCall{"POST", day + "skus/mask/stock", `{"units":1}`, ""}
			if c.name == "stock" {
				other.body = `{"units":2}`
			}
		}
		if a := asOperator(s, other, c.name); a.Status != 422 {
			t.Errorf("%s, another request with its key: %d %s", c.name, a.Status, a.Body)
		}
	}
	everyChangeIsTried(s, tried)
}

// everyChangeIsTried looks in the description for a route that changes something
// once for each key, and was not tried.
func everyChangeIsTried(s *nodetest.Shop, tried map[string]bool) {
	s.T.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(s.Ops("GET", "/openapi.json", "").Body), &document); err != nil {
		s.T.Fatal(err)
	}
	keyed := 0
	for path, item := range document.Paths {
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path),
			"[^/]+") + "$")
		for method, operation := range item {
			if !strings.HasPrefix(path, "/admin/") || !strings.Contains(string(operation),
				"#/components/parameters/OperatorKey") {
				continue
			}
			keyed++
			found := false
			for done := range tried {
				m, at, _ := strings.Cut(done, " ")
				found = found || strings.EqualFold(m, method) && pattern.MatchString(at)
			}
			if !found && triedElsewhere[path] == "" {
				s.T.Errorf("%s %s is not tried", method, path)
			}
		}
	}
	if keyed == 0 {
		s.T.Error("no route takes a key")
	}
}

// TestToolsAskAgain: whoever runs a command whose answer is lost has it done once.
func TestToolsAskAgain(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	for name, args := range map[string][]string{
		"switches back": {"switches", "back"},
		"switches set":  {"switches", "set", "rate_limits=50"},
		"lists add":     {"lists", "add", "risk/shoppers", "zed"},
	} {
		before := len(switchHistory(s))
		door := loseFirst(t, s.Admin)
		status, out, errs := runTool(t, "", append(args, "--admin", door)...)
		if status != 0 {
			t.Errorf("%s: status %d: %s%s", name, status, out, errs)
		}
		if after := len(switchHistory(s)); after > before+1 {
			t.Errorf("%s was done %d times", name, after-before)
		}
	}
}

func switchHistory(s *nodetest.Shop) []any {
	var board struct{ History []any }
	if err := json.Unmarshal([]byte(s.Ops("GET", "/admin/v1/switches", "").Body), &board); err != nil {
		s.T.Fatal(err)
	}
	return board.History
}

// loseFirst is a way to a node that loses the first answer of a change, after it
// was made.
func loseFirst(t *testing.T, admin string) (address string) {
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: admin})
	var lost atomic.Bool
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || lost.Swap(true) {
			to.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		to.ServeHTTP(answer, r)
		_, _ = io.Copy(io.Discard, answer.Body)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(door.Close)
	return strings.TrimPrefix(door.URL, "http://")
}

// TestRefusedExtendSaysWhy: and until when an order may be extended.
func TestRefusedExtendSaysWhy(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	o := s.MustGrant("ann", "", nodetest.Mask)
	a := s.Ops("POST", "/admin/v1/orders/"+o.OrderNo+"/extend", `{"pay_by":"2020-01-01T00:00:00Z"}`)
	if a.Status != 409 || !strings.Contains(a.Body,
		"The order is to be paid by "+o.PayBy.UTC().Format("2006-01-02T15:04")) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// TestUnknownAllowListIsNotFound: a list that nobody has made does not read as one
// that names nobody.
func TestUnknownAllowListIsNotFound(t *testing.T) {
	s := openShop(t, t.TempDir())
	for _, path := range []string{"/admin/v1/allowlists/vipps", "/admin/v1/allowlists/vipps?limit=5",
		"/admin/v1/allowlists/vipps?format=csv"} {
		if a := s.Ops("GET", path, ""); a.Status != 404 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.Ops("GET", "/admin/v1/risk/shoppers?format=csv", ""); a.Status != 200 {
		t.Errorf("an empty risk list: %d %s", a.Status, a.Body)
	}
}
