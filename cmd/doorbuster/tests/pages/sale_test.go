package pages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
	"doorbuster/httpapi/auth"
)

// office is a cluster for use, whose shoppers and operators have tokens.
type office struct {
	*nodetest.Fleet
	shoppers, operators []byte // secrets
}

// openOffice starts three nodes that meet by certificates, with further lines of their
// configuration.
func openOffice(t *testing.T, more string) *office {
	t.Helper()
	o := &office{Fleet: nodetest.NewFleet(t, "prefer", nodetest.Rooms3...), shoppers: []byte(strings.Repeat("s", 48)),
		operators: []byte(strings.Repeat("o", 48))}
	o.Guarded = true
	o.Extra = fmt.Sprintf("shopper_key_file: %s\nops_key_file: %s\n%s", nodetest.TempFile(t, string(o.shoppers)),
		nodetest.TempFile(t, string(o.operators)), more)
	certs := t.TempDir()
	args := []string{"cluster", "certs", "--dir", certs, "--cluster", "shop"}
	for _, m := range o.Nodes {
		args = append(args, m.ID)
		file := func(kind string) string { return filepath.Join(certs, m.ID+"."+kind) }
		m.Section = fmt.Sprintf("  ca: %s\n  cert: %s\n  key: %s\n", filepath.Join(certs, "ca.crt"), file("crt"),
			file("key"))
		m.Token = o.operator(t, "tests", auth.Admin)
	}
	if status, _, errs := nodetest.Tool(t, "", args...); status != 0 {
		t.Fatal(errs)
	}
	o.Open()
	return o
}

func (o *office) operator(t *testing.T, name string, role auth.Role) string {
	t.Helper()
	return signed(t, auth.Claims{Audience: auth.Operators, Subject: name, Role: role, TTL: time.Hour}, o.operators)
}

func signed(t *testing.T, c auth.Claims, secret []byte) string {
	t.Helper()
	token, err := c.Sign(secret, time.Now())
	if err != nil {
		t.Error(err)
	}
	return token
}

// enters logs somebody in at a node's console.
func (o *office) enters(b *browser.Browser, at *nodetest.Member, name string, role auth.Role) *browser.Tab {
	tab := b.Profile().Tab(browser.View{})
	tab.Forgive("401") // before the login
	tab.Go("http://" + at.Admin + "/plan")
	tab.Type("main input", o.operator(o.T, name, role))
	tab.Click("main button")
	tab.AwaitText(".me", name)
	tab.AwaitText("h1", "Plan")
	return tab
}

const salePlan = `products:
  - {id: mask, name: {en: "Masks <script>window.marked=1</script>", zh: "口罩 50只"}, list_price: 4900, currency: CNY}
sales:
  - id: fans-day
    name: {en: "Fans' day <img src=x onerror=window.marked=1>", zh: "粉丝节"}
    timezone: Asia/Shanghai
    sessions:
      - id: rush
        start: now
        duration: 2h
        forecast: 400
        publish: false
        listings: [{sku: mask, price: 100, stock: 60}]
`

// TestASaleThroughTheConsole: a sale on three nodes is planned by a file, approved by a second
// person, checked, opened, watched in a rush, seen to, and reported, in the console alone.
func TestASaleThroughTheConsole(t *testing.T) {
	b := browser.Open(t)
	o := openOffice(t, "approvals: {plan_units: 50, end_session: true}\n")
	leader := o.Leader()
	drained := o.Others(leader)[0]
	at := "http://" + leader.Admin
	olga := o.enters(b, leader, "olga", auth.Operator)
	piet := o.enters(b, leader, "piet", auth.Operator)
	adam := o.enters(b, leader, "adam", auth.Admin)
	vera := o.enters(b, leader, "vera", auth.Viewer)

	// Plan.
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte(salePlan), 0o600); err != nil {
		t.Fatal(err)
	}
	clicks(olga, ".tabs", "Plan file")
	olga.Upload("input[type=file]", path)
	olga.Await(`document.querySelector("textarea").value.includes("rush")`)
	clicks(olga, "main", "Show what would change")
	olga.AwaitText("#review ins", "new, opens")
	olga.Accessible()
	olga.Screenshot("sale-diff")
	olga.AwaitText("#review .notice", "approvals.plan_units")
	clicks(olga, "#review", "Ask for approval")
	olga.AwaitText(".said", "a second operator must approve it")
	olga.AwaitText("main .card .card", "You asked for it")
	if a := leader.Ops("GET", "/admin/v1/sessions/rush", ""); a.Status != 404 {
		t.Errorf("before it is approved there is %s", a.Body)
	}

	// Approve.
	clicks(piet, ".tabs", "Approvals")
	piet.AwaitText(".card .diff ins", "new, opens")
	seen(t, piet, at+"/plan?part=approvals", "sale-approval", `document.querySelector(".card .diff ins")`)
	vera.Go(at + "/plan?part=approvals")
	vera.Await(`document.querySelector(".card .diff ins") && !document.querySelector("main button")`)
	piet.Go(at + "/plan?part=approvals")
	clicks(piet, "main", "Approve")
	piet.Accessible()
	piet.Type(`dialog input[name="note"]`, "as we said")
	piet.Click("dialog button[type=submit]")
	piet.AwaitText(".said", "Approved and done")
	piet.AwaitText("td", "as we said")

	// Check, and open.
	olga.Go(at + "/plan/rush")
	olga.AwaitText("#checklist .point", "It is a draft")
	seen(t, olga, at+"/plan/rush", "sale-checklist",
		`document.querySelector("#checklist .point") && document.querySelector("#change form")`)
	olga.Go(at + "/plan/rush")
	clicks(olga, "#doings", "Publish")
	olga.Click("dialog button[type=submit]")
	olga.AwaitText(".said", "rush is published")
	olga.AwaitText("#doings .state", "open")
	vera.Go(at + "/plan/rush")
	vera.AwaitText("#doings .state", "open")
	vera.Await(`document.querySelector("#checklist") && !document.querySelector("main form, #doings button")`)

	// The rush.
	olga.Go(at + "/now?session=rush")
	label := `document.querySelector(".listing .plot").getAttribute("aria-label")`
	olga.Await(label + `.includes("Held 0")`)
	done := make(chan *bench.RushReport)
	go func() { done <- o.rush(leader) }()
	olga.Await(label + `.match(/Held ([1-9]\d*)/)`)
	report := <-done
	if !report.OK() || report.Orders != 60 {
		t.Fatalf("%d orders, %+v", report.Orders, report.Verdict)
	}
	counts := leader.Counts("rush/mask")
	for figure, n := range map[string]int64{"Available": counts.Available, "Held": counts.Held, "Paid": counts.Paid} {
		olga.Await(fmt.Sprintf("%s.includes(%q)", label, fmt.Sprintf("%s %d", figure, n)))
	}
	olga.AwaitText(".facts", "60 of 60")
	seen(t, olga, at+"/now?session=rush", "sale-rush", label+`.match(/60/)`)

	// A shopper, and their order.
	no := o.orderOf(leader, "rush")
	olga.Go(at + "/orders")
	find(olga, no.Shopper)
	clicks(olga, "tbody", no.OrderNo)
	olga.Click("main button.danger")
	olga.Type(`dialog input[name="note"]`, "asked for it")
	olga.Type(`dialog input[name="typed"]`, no.OrderNo)
	olga.Click("dialog button.danger")
	olga.AwaitText(".said", "is voided")
	olga.Accessible()
	olga.Screenshot("sale-order")

	// A node goes out of service.
	adam.Go(at + "/cluster")
	adam.Click(fmt.Sprintf(`button[aria-label="Drain: %s"]`, drained.ID))
	adam.Click("dialog button[type=submit]")
	adam.AwaitText("td .state", "drained")
	adam.Accessible()
	adam.Screenshot("sale-drained")

	// The end, and the report.
	olga.Go(at + "/plan/rush")
	clicks(olga, "#doings", "End")
	olga.Type(`dialog input[name="typed"]`, "rush")
	olga.Click("dialog button.danger")
	olga.AwaitText(".said", "a second operator must approve it")
	piet.Go(at + "/plan?part=approvals")
	clicks(piet, "main", "Approve")
	piet.Type(`dialog input[name="typed"]`, "rush") // it can't be undone
	piet.Accessible()
	piet.Click("dialog button.danger")
	piet.AwaitText(".said", "Approved and done")
	olga.AwaitText("#doings .state", "ended")
	olga.Go(at + "/after/rush")
	olga.AwaitText(".facts", fmt.Sprintf("%d units", o.granted(leader)))
	olga.AwaitText(".facts", "400")
	olga.AwaitText(".trail", "Out of service")
	olga.AwaitText("td, th", "Voided")
	seen(t, olga, at+"/after/rush", "sale-report", `document.querySelectorAll(".bars li").length > 8`)
}

// rush sends a crowd through all nodes.
func (o *office) rush(leader *nodetest.Member) *bench.RushReport {
	c := bench.DefaultRushConfig()
	c.Admin, c.AdminToken, c.Shoppers, c.ShopperPrefix = leader.Admin, leader.Token, 400, "shopper-"
	for _, m := range o.Nodes {
		c.Addrs = append(c.Addrs, m.Ports[0])
	}
	c.TokenFor = func(shopper string) string {
		return signed(o.T, auth.Claims{Audience: auth.Shoppers, Subject: shopper, TTL: time.Hour}, o.shoppers)
	}
	c.Listings = []bench.Listing{{Session: "rush", SKU: "mask"}}
	c.AgainShare, c.AnewShare, c.SecondListingShare, c.ReturnShare = 0, 0, 0, 0
	c.PayShare, c.CancelShare, c.Rate, c.Connections = 0, 0, 100, 32
	report, err := bench.Rush(o.T.Context(), c)
	if err != nil {
		o.T.Error(err)
		return &bench.RushReport{}
	}
	return report
}

// orderOf gives an order of a session that is held.
func (o *office) orderOf(m *nodetest.Member, session string) (found struct {
	OrderNo string `json:"order_no"`
	Shopper string
}) {
	var page struct{ Orders []json.RawMessage }
	a := m.Ops("GET", "/admin/v1/orders?state=held&limit=1&session="+session, "")
	if err := json.Unmarshal([]byte(a.Body), &page); err != nil || len(page.Orders) == 0 {
		o.T.Fatal(a.Body, err)
	}
	if err := json.Unmarshal(page.Orders[0], &found); err != nil {
		o.T.Fatal(err)
	}
	return found
}

// granted is how many units the books say were granted.
func (o *office) granted(m *nodetest.Member) int64 {
	var report struct {
		Books struct{ Granted struct{ Units int64 } }
	}
	a := m.Ops("GET", "/admin/v1/sessions/rush/report", "")
	if err := json.Unmarshal([]byte(a.Body), &report); err != nil {
		o.T.Fatal(err)
	}
	return report.Books.Granted.Units
}
