package goods

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// The receivers of watched's orders, and what its risk lists name. A viewer may be told the
// first letter of the name, the phone's last digits, and the city.
const (
	watchedReceiver = `{"name":"Xanthippe Quagmire","phone":"+8613812349876","country":"CN","city":"Springdale",
		"district":"Underbridge","street":"77 Quillfeather Lane","post_code":"Z9-4711"}`
	watchedPhone   = "+8613998877665"
	watchedAddress = "99 marmalade boulevard, ghosttown"
)

// hiddenFromViewers are parts of these that no viewer is told.
var hiddenFromViewers = []string{"Xanthippe", "Quagmire", "381234", "Underbridge", "Quillfeather", "Z9-4711", "399887",
	"marmalade", "ghosttown"}

// plainIn gives what an answer has that viewers are not told.
func plainIn(text string) (found []string) {
	text = strings.ToLower(text)
	if unescaped, err := url.QueryUnescape(text); err == nil {
		text += unescaped
	}
	for _, h := range hiddenFromViewers {
		if strings.Contains(text, strings.ToLower(h)) {
			found = append(found, h)
		}
	}
	return found
}

// watched is a shop that has something under every path of the operations API, and asks
// operators for their tokens.
type watched struct {
	*nodetest.Shop
	tokens map[string]string // by role
	files  map[string]string // these, as files
	named  map[string]string // what the path parameters of the API are filled in with
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	// A sink has a dead letter of every change: what is posted is refused.
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}))
	t.Cleanup(refuses.Close)
	secret := file(t, "hooks.secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32))))
	config := file(t, "node.yaml", fmt.Sprintf("sinks:\n  - {name: hooks, kind: webhook, url: %q, secret_file: %q, "+
		"allow_addresses: [127.0.0.0/8], attempts: 1, events: [order_paid]}\n", refuses.URL, secret))
	s := nodetest.Open(t, t.TempDir(), "--config", config)
	s.Apply(watchedPlan)
	w := &watched{s, map[string]string{}, map[string]string{}, map[string]string{}}
	for _, session := range []string{"day", "old", "back"} {
		o := s.MustGrant("xena", "", session+"/mask")
		s.Pay(o, "pay-"+session)
		if a := s.Do("PUT", s.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", watchedReceiver, "X-Shopper-Id",
			"xena"); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		s.End(session)
		switch session {
		case "day": // at the warehouse
			w.named["order_no"] = o.OrderNo
			must(s, "POST", "/admin/v1/sessions/day/review", `{}`)
			must(s, "POST", "/admin/v1/sessions/day/exports", `{}`)
		case "old": // only in the ledger any more
			s.Settle(session)
		case "back": // its money is due back
			must(s, "POST", "/admin/v1/orders/"+o.OrderNo+"/void", `{}`)
		}
	}
	for list, id := range map[string]string{"risk/phones": watchedPhone, "risk/addresses": watchedAddress,
		"allowlists/friends": "xena", "sessions/later/skus/mask/reservations": "xena"} {
		if a := s.Do("PATCH", "http://"+s.Admin+"/admin/v1/"+list, fmt.Sprintf(`{"id":%q}`, id), "Content-Type",
			"application/x-ndjson"); a.Status != 200 {
			t.Fatalf("%s: %d %s", list, a.Status, a.Body)
		}
	}
	must(s, "PUT", "/admin/v1/suppliers/acme/products", `{"id":"mug","name":"Mug","list_price":4900,"currency":"CNY",`+
		`"stock":{"total":5}}`)
	must(s, "PUT", "/admin/v1/profiles/rush", `{"switches":{"risk_lists":"off"}}`)
	a := s.Do("POST", s.HTTP+"/v1/sessions/play/skus/cut/bargains", "", "X-Shopper-Id", "xena")
	var begun wire.BargainAnswer
	if err := json.Unmarshal([]byte(a.Body), &begun); err != nil || begun.Bargain.Code == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a = s.Do("POST", "http://"+s.Admin+"/admin/v1/reconciliations", nodetest.StatementHeader,
		"Content-Type", "text/csv")
	var report struct{ ID string }
	if err := json.Unmarshal([]byte(a.Body), &report); err != nil || a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Eventually(func() bool { return s.Metric(`doorbuster_sink_dead_letters{sink="hooks"}`) != "0" },
		func() string { return s.Ops("GET", "/admin/v1/sinks", "").Body })
	maps.Copy(w.named, map[string]string{"session": "day", "sku": "mask", "export": "1", "product": "mug",
		"supplier": "acme", "shopper": "xena", "profile": "rush", "code": begun.Bargain.Code, "id": report.ID,
		"sale": "sale", "name": "friends", "sink": "hooks", "alarm": "disk_slow", "kind": "phones",
		"file": "app.js", "view": "now", "of": "day"})
	s.Stop()

	key := func(name string) string { return file(t, name, strings.Repeat(name, 8)) }
	ops := key("operators")
	w.Shop = &nodetest.Shop{T: t, Dir: s.Dir, Logs: nodetest.NewLogBook()}
	w.Start(nodetest.Command(t, "serve", "--data", s.Dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--log-format", "json", "--config", config, "--shopper-key-file", key("shoppers"), "--cashier-key-file",
		key("cashiers"), "--ops-key-file", ops, "--approvals-end-session"))
	w.AwaitServing()
	for _, role := range []string{"viewer", "operator", "admin"} {
		status, out, errs := nodetest.Tool(t, "", "token", "--sub", "olga", "--role", role, "--key-file", ops)
		if status != 0 {
			t.Fatal(errs)
		}
		w.tokens[role], w.files[role] = strings.TrimSpace(out), file(t, role+".token", out)
	}
	if a := w.ask("operator", "POST", "/admin/v1/sessions/later/end"); a.Status != 202 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	w.named["approval"] = "1"
	return w
}

const watchedPlan = `
products:
  - {id: mask, currency: CNY, list_price: 900}
  - {id: cut, currency: CNY, list_price: 900}
sales:
  - id: sale
    sessions:
      - {id: day, start: now, listings: [{sku: mask, price: 100, stock: 3, delivery: ship}]}
      - {id: old, start: now, listings: [{sku: mask, price: 100, stock: 3}]}
      - {id: back, start: now, listings: [{sku: mask, price: 100, stock: 3}]}
      - {id: play, start: now, listings: [
          {sku: cut, price: 900, stock: 3, play: {kind: bargain, floor: 100, helpers: 2}}]}
      - {id: drawn, start: now, listings: [{sku: mask, price: 100, stock: 3, draw: 1s}]}
      - {id: later, start: 2099-01-01T10:00:00+08:00, listings: [
          {sku: mask, price: 100, stock: 3, reservation: true}]}
`

func must(s *nodetest.Shop, method, path, body string) nodetest.Reply {
	s.T.Helper()
	a := s.Ops(method, path, body)
	if a.Status/100 != 2 {
		s.T.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	return a
}

// ask asks as a role, by whatever query and for whatever type of answer.
func (w *watched) ask(role, method, path string, header ...string) nodetest.Reply {
	w.T.Helper()
	return w.Do(method, "http://"+w.Admin+path, "", append(header, "Authorization", "Bearer "+w.tokens[role])...)
}

// operation is what the description says of a path and method.
type operation struct {
	OperationID string `json:"operationId"`
	Parameters  []struct {
		Name, In string
		Schema   struct{ Enum []string }
	}
	Responses map[string]struct{ Content map[string]any }
}

// operations is the description of the operations API: every route there is, for a test holds
// it against the table of routes.
func operations(t *testing.T) map[string]map[string]operation {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nodetest.Root(), "httpapi", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all.Paths) == 0 {
		t.Fatal(err)
	}
	maps.DeleteFunc(all.Paths, func(path string, _ map[string]operation) bool {
		return !strings.HasPrefix(path, "/admin/") && path != "/metrics"
	})
	return all.Paths
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// places gives the paths that a template is asked by: one, or as many as there are kinds of
// things under it that have something to hide.
func (w *watched) places(template string) (all []string) {
	fill := func(with map[string]string) {
		all = append(all, pathParameter.ReplaceAllStringFunc(template, func(name string) string {
			name = strings.Trim(name, "{}")
			if v, ok := with[name]; ok {
				return url.PathEscape(v)
			}
			if w.named[name] == "" {
				w.T.Errorf("%s: say in this test what {%s} is to be", template, name)
			}
			return w.named[name]
		}))
	}
	switch {
	case strings.HasPrefix(template, "/admin/v1/risk/{kind}"):
		fill(map[string]string{"kind": "phones", "id": watchedPhone})
		fill(map[string]string{"kind": "addresses", "id": watchedAddress})
	case strings.HasPrefix(template, "/admin/v1/allowlists/"):
		fill(map[string]string{"name": "friends", "id": "xena"})
	case strings.Contains(template, "/reservations"):
		fill(map[string]string{"session": "later", "id": "xena"})
	case strings.HasSuffix(template, "/draw"):
		fill(map[string]string{"session": "drawn"})
	default:
		fill(nil)
	}
	return all
}

// ways gives the queries and headers that an operation is asked by, beside none.
func (o operation) ways() (queries []string, accept []string) {
	base := "?"
	for _, p := range o.Parameters {
		switch {
		case p.Name == "follow":
			base = "?follow=false&from=0&"
		case p.Name == "shopper" && o.OperationID == "findRefusals":
			base = "?shopper=xena&"
		}
	}
	queries = []string{base}
	for _, p := range o.Parameters {
		for _, v := range p.Schema.Enum {
			if p.In == "query" && p.Name == "format" {
				queries = append(queries, base+"format="+v)
			}
		}
	}
	accepts := slices.Collect(maps.Keys(o.Responses["200"].Content))
	if slices.Contains(accepts, "application/json") { // a stream of the same would not end
		accepts = slices.DeleteFunc(accepts, func(kind string) bool { return kind == "text/event-stream" })
	}
	return queries, accepts
}

// TestViewersSeeMasks goes through every route of the operations API and every command that
// asks it: what operators are told of receivers, phones and addresses in plain, viewers are
// told in masks or not at all. A route or a command that is new fails it until it says how it
// is asked.
func TestViewersSeeMasks(t *testing.T) {
	w := newWatched(t)
	shown := map[string]bool{} // templates under which operators see something in plain
	for template, methods := range operations(t) {
		for method, o := range methods {
			method = strings.ToUpper(method)
			for _, path := range w.places(template) {
				if method != http.MethodGet {
					if a := w.ask("viewer", method, path); a.Status != 403 ||
						len(plainIn(strings.ReplaceAll(a.Body, path, ""))) > 0 { // it repeats what was asked
						t.Errorf("%s %s by a viewer: %d %s", method, path, a.Status, a.Body)
					}
					continue
				}
				queries, accepts := o.ways()
				for _, query := range queries {
					for _, accept := range accepts {
						w.compare(template, path+query, accept, shown)
					}
				}
			}
		}
	}
	for _, template := range []string{"/admin/v1/orders", "/admin/v1/orders/{order_no}", "/admin/v1/risk/{kind}",
		"/admin/v1/risk/{kind}/{id}", "/admin/v1/sessions/{session}/exports/{export}"} {
		if !shown[template] {
			t.Errorf("operators are told nothing by %s: this test does not see what it looks for", template)
		}
		delete(shown, template)
	}
	if len(shown) > 0 {
		t.Errorf("operators are told of receivers or listed people by %v, too: see that docs/personal-data.md says so",
			slices.Sorted(maps.Keys(shown)))
	}
	for _, session := range []string{"day", "old", "back"} { // wherever its order is
		a := w.ask("viewer", "GET", "/admin/v1/orders?session="+session)
		if !strings.Contains(a.Body, `"phone":"***9876"`) || !strings.Contains(a.Body, `"name":"X***"`) {
			t.Errorf("%s: %s", session, a.Body)
		}
	}
	w.commands()
}

// compare has an operator and a viewer ask the same.
func (w *watched) compare(template, path, accept string, shown map[string]bool) {
	w.T.Helper()
	viewer := w.ask("viewer", "GET", path, "Accept", accept)
	if viewer.Status != 200 && viewer.Status != 403 {
		w.T.Errorf("%s: %d %s: have it find something, else nothing is tried", path, viewer.Status, viewer.Body)
	}
	if found := plainIn(viewer.Body); len(found) > 0 {
		w.T.Errorf("%s (%s) tells a viewer %q", path, accept, found)
	}
	operator := w.ask("operator", "GET", path, "Accept", accept)
	if operator.Status == 403 {
		if operator = w.ask("admin", "GET", path, "Accept", accept); len(plainIn(operator.Body)) > 0 {
			w.T.Errorf("%s has %q in plain", path, plainIn(operator.Body))
		}
	}
	if operator.Status != 200 {
		w.T.Errorf("%s by an operator: %d %s", path, operator.Status, operator.Body)
	}
	if len(plainIn(operator.Body)) == 0 {
		return
	}
	shown[template] = true
	if viewer.Status == 200 && !strings.Contains(viewer.Body, "***") {
		w.T.Errorf("%s tells an operator something, and a viewer not even that it is there: %s", path, viewer.Body)
	}
}

// commands runs every command that asks an operations API, as a viewer.
func (w *watched) commands() {
	asks := map[string]string{ // what only looks, and with which arguments
		"alarms": "--json", "approvals list": "--json", "approvals show": "1",
		"bargains list": "--json", "bargains show": w.named["code"], "cluster status": "--json",
		"draw show": "drawn/mask", "draw verify": "drawn/mask", "events tail": "--from 0 --json",
		"history": "--json", "hot": "--json", "lists export": "risk/phones|risk/addresses --format ndjson",
		"lists show": "|risk/phones|risk/addresses " +
			"--json|risk/phones " + watchedPhone, "personal-keys status": "--json", "plan export": "", "plays list": "",
		"products list": "", "products show": "mug", "products suppliers": "", "refunds": "|--json",
		"refusals": "--shopper xena --json", "reservations export": "later/mask", "reservations show": "later/mask",
		"sessions check": "day --json", "sessions curve": "day --json",
		"sessions report": "day|day --json", "shipping export": "day --export 1",
		"shipping status": "day --json", "sinks letters": "hooks|hooks --json", "sinks status": "--json",
		"switches": "--json", "switches list": "",
	}
	text, err := os.ReadFile(filepath.Join(nodetest.Root(), "docs", "reference", "cli.md"))
	if err != nil {
		w.T.Fatal(err)
	}
	for _, section := range strings.Split(string(text), "\n## doorbuster ")[1:] {
		name, about, _ := strings.Cut(section, "\n")
		args, looks := asks[name]
		delete(asks, name)
		if !strings.Contains(about, "--token-file") || !looks && slices.Contains(changing, name) {
			continue
		}
		if !looks {
			w.T.Errorf("%s is new: does it look, or change something?", name)
			continue
		}
		for _, given := range strings.Split(args, "|") {
			all := append(strings.Fields(name+" "+given), "--admin", w.Admin, "--token-file", w.files["viewer"])
			status, out, errs := nodetest.Tool(w.T, "", all...)
			if found := plainIn(out + errs); len(found) > 0 {
				w.T.Errorf("%s %s tells a viewer %q", name, given, found)
			}
			if status != 0 && !strings.Contains(errs, "403") && (name != "sessions check" || status != 3) {
				w.T.Errorf("%s %s: status %d: %s%s", name, given, status, out, errs)
			}
		}
	}
	if len(asks) > 0 {
		w.T.Errorf("there are no such commands: %v", asks)
	}
}

// changing are the commands that change something, which a viewer may not.
var changing = strings.Split("alarms ack|alarms silence|"+
	"apply|approvals approve|approvals reject|"+
	"backup|bargains end|bench rush|cluster backup|cluster drain|cluster join|"+
	"cluster prefer|cluster promote|cluster remove|cluster snapshot|cluster transfer|cluster undrain|cluster zone-ack|"+
	"erase|lists add|lists forget|lists import|lists remove|plan back|plays apply|products delete|products import|products pull|"+
	"products retire|products revive|reconcile|reconcile set-aside|reservations add|reservations import|"+
	"reservations remove|sales archive|sales delete|sales recall|sessions archive|sessions delete|sessions profile|"+
	"sessions recall|"+
	"shipping import|shipping received|shipping review|sinks drop|sinks forget|sinks pause|sinks replay|sinks resume|"+
	"sinks send|switches back|switches define|switches forget|switches normal|switches profile|switches set", "|")
