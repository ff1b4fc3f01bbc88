package pages

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/wire"
)

var fans = flag.Int("fanday.fans", 1500, "fans who come in TestFanDayThroughTheConsole; from 10,000 on they have the "+
	"minute to pay of docs/console.md")

const (
	pageFans  = 200_000 // of docs/console.md
	manyFans  = 10_000
	fanDay    = "fans-day-10"
	leastSold = 20 // units of each listing that are put up, however few come
)

// fanDayRun is somebody who follows docs/console.md.
type fanDayRun struct {
	t         *testing.T
	s         *nodetest.Shop
	tab       *browser.Tab
	till      *nodetest.Shop // the cashier's process
	at        string         // the cashier's address
	dir       string
	payWithin time.Duration
	letGo     func() // what somebody still holds
}

// TestFanDayThroughTheConsole: a fan day is planned, checked, opened, watched, seen to, settled
// and reported as docs/console.md says it, click by click, on one node and with a cashier
// outside; and what the page shows are the API's figures. Steps are numbered as there.
func TestFanDayThroughTheConsole(t *testing.T) {
	b := browser.Open(t)
	d := &fanDayRun{t: t, at: nodetest.Address(t), dir: t.TempDir(), payWithin: 5 * time.Second}
	if *fans >= manyFans {
		d.payWithin = time.Minute
	}
	d.s = nodetest.Open(t, t.TempDir(), "--cashier-url", "http://"+d.at)
	d.openTill()
	d.tab = b.Profile().Tab(browser.View{})
	d.plan()
	d.open()
	rush := d.watch()
	order := d.find()
	d.void(order)
	d.end(order)
	report := d.reconcile()
	d.settle()
	d.after(rush)
	d.figures(rush, report)
}

// openTill starts the cashier, who is late, and loses a callback in ten.
func (d *fanDayRun) openTill() {
	d.till = &nodetest.Shop{T: d.t, Logs: nodetest.NewLogBook()}
	d.till.Start(nodetest.Command(d.t, "cashier", "--data", filepath.Join(d.dir, "cashier"), "--listen", d.at, "--shop",
		d.s.HTTP, "--delay", "1s", "--drop", "0.1"))
	d.till.Logs.Await(d.t, d.till.Exit, "msg=cashier")
}

// view goes to a view by its link.
func (d *fanDayRun) view(name, heading string) {
	d.tab.Click(fmt.Sprintf(`.views a[href="/%s"]`, name))
	d.tab.AwaitText("main h1", heading)
}

// ask gets something of the API.
func (d *fanDayRun) ask(path string, into any) {
	d.t.Helper()
	if a := d.s.Ops("GET", path, ""); a.Status != 200 || json.Unmarshal([]byte(a.Body), into) != nil {
		d.t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
}

var putUp = regexp.MustCompile(`stock: (\d+)`)

// plan is step 2: a file is taken, changed, looked at and applied.
func (d *fanDayRun) plan() {
	tab := d.tab
	tab.Go("http://" + d.s.Admin + "/")
	tab.AwaitText("main", "Nothing is planned")
	tab.Accessible()
	clicks(tab, "main", "Go to the plan file.")
	tab.Upload(`input[type=file]`, filepath.Join(nodetest.Root(), "examples", "fans-day.yaml"))
	tab.Await(`document.querySelector("textarea").value.includes("fans-day-10")`)
	text := browser.Value[string](tab, `document.querySelector("textarea").value`)
	for _, change := range [][2]string{{"pay_within: 15m", "pay_within: " + d.payWithin.String()},
		{"pay_grace: 2m", "pay_grace: 1s"}, {"# publish: false", "publish: false"},
		{"forecast: 200000", fmt.Sprintf("forecast: %d", *fans)}} {
		if !strings.Contains(text, change[0]) {
			d.t.Fatalf("the plan has no %q", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	text = putUp.ReplaceAllStringFunc(text, func(stock string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(stock, "stock: "))
		return fmt.Sprintf("stock: %d", max(leastSold, n**fans/pageFans)) // as few a fan as in the file
	})
	tab.Set("textarea", text)
	clicks(tab, "main", "Show what would change")
	tab.AwaitText("#review h2", "What would change: 10")
	tab.AwaitText("#review ins", "new, opens")
	tab.AwaitText("#review li", "in minor units")
	tab.Accessible()
	tab.Screenshot("fanday-diff")
	clicks(tab, "#review", "Apply it")
	tab.AwaitText(".said", "The plan is applied.")
	tab.Accessible()
	tab.Screenshot("fanday-applied")
	// Who goes there at once is not told that it is not there.
	browser.Value[bool](tab, `!new MutationObserver(() => {
		window.lacked ||= document.body.innerText.includes("There is no session");
	}).observe(document.body, {childList: true, subtree: true})`)
	clicks(tab, "#touched", fanDay)
	tab.AwaitText("#doings h2", fanDay)
	if browser.Value[bool](tab, "!!window.lacked") {
		d.t.Error("the session that was applied is not known")
	}
}

// open is step 3: what the checklist says is seen to, and a switch is turned for the crowd.
func (d *fanDayRun) open() {
	tab := d.tab
	tab.AwaitText("#checklist .point", "It is a draft")
	tab.AwaitText("#checklist .point", "Start the nodes of a real shop without it.")
	tab.AwaitText("#checklist .point", "This node is alone")
	tab.AwaitText("#checklist summary", "In order: 14")
	tab.Screenshot("fanday-checklist")
	clicks(tab, "#doings", "Publish")
	press(tab, "dialog", "Publish")
	tab.AwaitText(".said", fanDay+" is published.")
	tab.AwaitText("#doings .state", "open")
	tab.AwaitText("#doings .when", "Ends in")
	d.view("crowd", "Crowd")
	tab.Click(`button[aria-label="Turn: rate_limits"]`)
	tab.Type(`dialog input[name="value"]`, "200")
	tab.Type(`dialog input[name="note"]`, "families share a phone")
	tab.Accessible()
	tab.Screenshot("fanday-switch")
	press(tab, "dialog", "Turn")
	tab.AwaitText(".said", "rate_limits is turned.")
	d.view("plan", "Plan")
	clicks(tab, "tbody", fanDay)
	clicks(tab, "#doings", "Watch it sell")
	tab.AwaitText("main h1", "Now")
}

// watch is step 4: the crowd comes, as the page's command has it come.
func (d *fanDayRun) watch() *bench.RushReport {
	tab := d.tab
	label := `document.querySelector(".listing .plot").getAttribute("aria-label")`
	tab.Await(label + `.includes("Held 0")`)
	told, rate := filepath.Join(d.dir, "rush.json"), max(500, *fans/20)
	ended := make(chan [2]string, 1)
	go func() {
		status, out, errs := nodetest.Tool(d.t, "", "bench", "rush", "--addr", strings.TrimPrefix(d.s.HTTP, "http://"),
			"--admin", d.s.Admin, "--cashier", d.at, "--shoppers", strconv.Itoa(*fans), "--rate", strconv.Itoa(rate),
			"--shopper-prefix", "fan-", "--settle", "2m", "--listing", fanDay+"/mask-50=4", "--listing",
			fanDay+"/earbuds-2=3", "--listing", fanDay+"/lamp-desk=2", "--listing", fanDay+"/mug-fans=1", "--progress",
			"none", "--json", told)
		if status == 0 {
			errs = ""
		} else {
			errs += "the rush failed"
		}
		ended <- [2]string{out, errs}
	}()
	tab.Await(label + `.match(/Held [1-9]/)`)
	tab.Await(label + `.match(/Available 0\b/) && ` + label + `.match(/Paid [1-9]/)`)
	tab.AwaitText(".listing .state", "sold out for now")
	tab.AwaitText(".chart figcaption", "sold out for now")
	tab.Screenshot("fanday-rush")
	said := <-ended
	if d.t.Log(said[0]); said[1] != "" {
		d.t.Fatal(said[1])
	}
	text, err := os.ReadFile(told)
	if err != nil {
		d.t.Fatal(err)
	}
	report := &bench.RushReport{}
	if err := json.Unmarshal(text, report); err != nil || !report.OK() {
		d.t.Fatal(err, report.Verdict)
	}
	tab.Accessible()
	tab.Screenshot("fanday-sold")
	return report
}

// find is step 5: of somebody who came too late, and of an order that is paid, whose number
// it gives.
func (d *fanDayRun) find() string {
	tab := d.tab
	d.view("orders", "Orders")
	late := fmt.Sprintf("fan-%d", min(19_999, *fans*99/100))
	find(tab, late)
	tab.AwaitText("main", "No order fits")
	tab.AwaitText("h2", "Why was "+late+" refused?")
	tab.AwaitText("td", "sold out")
	tab.Accessible()
	clicks(tab, "main", "All orders")
	tab.Set(field(tab, "State"), "paid")
	clicks(tab, "main", "Show")
	tab.Await(`location.search.includes("state=paid") &&
		[...document.querySelectorAll("tbody .state")].every(s => s.innerText === "paid")`)
	tab.Screenshot("fanday-orders")
	tab.Click("tbody th a")
	tab.AwaitText("h2", "All that happened to it")
	tab.AwaitText(".trail", "Paid")
	return tab.Text("main h1")
}

// void is step 6: the order is voided while the cashier is down, whom an alarm tells of; the
// refund leaves the list by itself once they are back.
func (d *fanDayRun) void(order string) {
	tab := d.tab
	d.till.Stop()
	clicks(tab, "main", "Void")
	tab.Type(`dialog input[name="note"]`, "the shopper asked")
	certain(tab, "Void", order)
	tab.AwaitText(".said", "is voided")
	tab.AwaitText("main .card .state", "refund due")
	tab.AwaitText(".health", "Alarms: 2")
	tab.Click(`.health a[href="/now#alarms"]`)
	tab.AwaitText("#alarms .state", "wake")
	tab.AwaitText("#alarms", "Cashier fails")
	tab.AwaitText("#alarms a", "What to do")
	tab.Accessible()
	tab.Screenshot("fanday-alarm")
	clicks(tab, "#alarms", "Acknowledge")
	press(tab, "dialog", "Acknowledge")
	tab.AwaitText("#alarms", "Acknowledged by")
	clicks(tab, "#alarms", "Money")
	tab.AwaitText("#refunds tbody", order)
	tab.Accessible()
	tab.Screenshot("fanday-refund")
	d.openTill()
	tab.AwaitText("#refunds .empty", "None is due")
	tab.AwaitText(".health", "No alarms")
}

// end is step 7. Somebody has the unit that was voided, and holds it for as long as the test
// says, so that the session can't be settled.
func (d *fanDayRun) end(order string) {
	tab := d.tab
	var voided nodetest.Order
	d.ask("/admin/v1/orders/"+order, &voided)
	held := d.s.MustGrant("late", "", fanDay+"/"+voided.SKU)
	if a := d.s.Ops("POST", "/admin/v1/orders/"+held.OrderNo+"/extend", fmt.Sprintf(`{"pay_by":%q}`,
		held.PayBy.Add(time.Hour).Format(time.RFC3339))); a.Status != 200 {
		d.t.Fatal(a.Body)
	}
	d.letGo = func() { d.s.CancelOrder("late", held.OrderNo) }
	d.view("plan", "Plan")
	clicks(tab, "tbody", fanDay)
	clicks(tab, "#doings", "End")
	tab.Accessible()
	certain(tab, "End", fanDay)
	tab.AwaitText(".said", fanDay+" has ended.")
	tab.AwaitText("#doings .state", "ended")
	tab.AwaitText("#doings", "Held and not yet paid: ")
	tab.Await(`document.querySelector('[aria-label="Settle: fans-day-10"]').disabled`)
	var session wire.OpsSession
	d.ask("/admin/v1/sessions/"+fanDay, &session)
	if session.EndedAt == "" || session.EndedAt >= session.End {
		d.t.Errorf("it ended at %s, planned for %s", session.EndedAt, session.End)
	}
	tab.AwaitText("#doings dd", browser.Value[string](tab, fmt.Sprintf(
		`new Date(%q).toLocaleTimeString("en-GB", {hourCycle: "h23"})`, session.EndedAt)))
	tab.Accessible()
	tab.Screenshot("fanday-ended")
}

// reconcile is the first half of step 8, and gives the report.
func (d *fanDayRun) reconcile() *reconcile.Report {
	tab := d.tab
	file := fileOf(d.t, "statement.csv", d.till.Do("GET", "http://"+d.at+"/statement", "").Body)
	d.view("money", "Money")
	tab.Upload(`input[type="file"]`, file)
	press(tab, "main", "Compare")
	tab.AwaitText(".said", "statement.csv is compared; nothing was booked.")
	tab.AwaitText("h2", "Differences that somebody must see to")
	tab.Accessible()
	tab.Screenshot("fanday-compared")
	clicks(tab, "main", "All of the money")
	tab.Upload(`input[type="file"]`, file)
	press(tab, "main", "Reconcile")
	tab.AwaitText(".said", "statement.csv is reconciled.")
	tab.AwaitText("main", "The books agree.")
	tab.Accessible()
	tab.Screenshot("fanday-reconciled")
	report := &reconcile.Report{}
	d.ask("/admin/v1/reconciliations/"+browser.Value[string](tab, `location.pathname.split("/").at(-1)`), report)
	return report
}

// settle is the other half, once nobody holds a unit any more.
func (d *fanDayRun) settle() {
	tab := d.tab
	d.letGo()
	d.view("plan", "Plan")
	clicks(tab, "main", "Past ones, too")
	clicks(tab, "tbody", fanDay)
	held := func() bool {
		return browser.Value[bool](tab, `document.querySelector('[aria-label="Settle: fans-day-10"]')?.disabled ?? true`)
	}
	for until := time.Now().Add(d.payWithin); held() && time.Now().Before(until); {
		time.Sleep(100 * time.Millisecond) // longer than a tab's patience
	}
	clicks(tab, "#doings", "Settle")
	certain(tab, "Settle", fanDay)
	tab.AwaitText(".said", fanDay+" is settled.")
	tab.AwaitText("#doings .state", "settled")
}

// after is step 9: the report, and next time's profile and session.
func (d *fanDayRun) after(rush *bench.RushReport) {
	tab := d.tab
	clicks(tab, "#doings", "Report")
	tab.AwaitText(".state", "settled")
	tab.AwaitText(".trail", "Cashier fails")
	tab.AwaitText(".trail", "families share a phone")
	number := func(n int64) string {
		return browser.Value[string](tab, fmt.Sprintf(`(%d).toLocaleString("en-GB")`, n))
	}
	tab.AwaitText(".facts", number(int64(*fans)))
	tab.AwaitText(".facts", number(rush.Orders+1)+" units")
	tab.Await(`![...document.querySelectorAll("td")].some(td => td.innerText === "0 ms")`)
	tab.Accessible()
	tab.Screenshot("fanday-report")
	clicks(tab, "main", "Make next time's profile")
	tab.Type(`dialog input[name="name"]`, "fans")
	tab.Accessible()
	press(tab, "dialog", "Make next time's profile")
	tab.Await(`location.pathname === "/plan"`)
	tab.Type(field(tab, "Id"), "fans-day-11")
	tab.Set(field(tab, "Start"), "2099-09-20T10:00")
	tab.Set(field(tab, "End"), "2099-09-20T11:00")
	clicks(tab, "main", "Show what would change")
	tab.AwaitText("#review ins", "profile fans")
	tab.Accessible()
	clicks(tab, "#review", "Apply it")
	tab.AwaitText(".said", "The plan is applied.")
	tab.AwaitText("tbody tr", "fans-day-11")
	var next wire.OpsSession
	d.ask("/admin/v1/sessions/fans-day-11", &next)
	var profile struct{ Switches map[string]any }
	d.ask("/admin/v1/profiles/fans", &profile)
	if next.State != "draft" || fmt.Sprint(profile.Switches) != "map[rate_limits:200]" {
		d.t.Errorf("next time: %s, %v", next.State, profile.Switches)
	}
}

// figures holds the report against the orders, the counts, what the crowd was told and the
// cashier's statement.
func (d *fanDayRun) figures(rush *bench.RushReport, statement *reconcile.Report) {
	var report wire.SessionReport
	d.ask("/admin/v1/sessions/"+fanDay+"/report", &report)
	same := func(what string, is, want int64) {
		if is != want {
			d.t.Errorf("%s: %d, not %d", what, is, want)
		}
	}
	orders, money, all := map[string]int64{}, int64(0), int64(0)
	for _, o := range d.s.Orders() {
		orders[o.State]++
		if all++; o.State == "paid" {
			money += o.Amount
		}
	}
	books := report.Books
	same("granted", books.Granted.Orders, all)
	same("granted, as the crowd heard it and one more", books.Granted.Orders, rush.Orders+1)
	same("paid", books.Paid.Orders, orders["paid"]+orders["refunded"])
	same("expired", books.Expired.Orders, orders["expired"])
	same("cancelled", books.Cancelled.Orders, orders["cancelled"])
	same("paid back", books.Refunded.Orders, orders["refunded"])
	same("voided", books.Voided.Orders, 1)
	same("grabs", report.Funnel.Grabs, rush.Grabs+1)
	same("expected", report.Forecast.Expected, int64(*fans))
	if off := float64(report.Forecast.Came)/float64(*fans) - 1; off < -0.1 || off > 0.1 { // an estimate
		d.t.Errorf("%d fans came, of %d", report.Forecast.Came, *fans)
	}
	paid := int64(0)
	for _, l := range report.Listings {
		c := d.s.Counts(fanDay + "/" + l.SKU) // which add up
		same(l.SKU+" in stock", l.Stock, c.Stock)
		same(l.SKU+" available", l.Available, c.Available)
		same(l.SKU+" paid", l.Paid, c.Paid)
		same(l.SKU+" held", c.Held, 0)
		paid += c.Paid
	}
	same("units paid for", paid, orders["paid"])
	if len(statement.Totals) != 1 || statement.Totals[0].Theirs != statement.Totals[0].Ours {
		d.t.Fatalf("the statement says %+v", statement.Totals)
	}
	theirs := statement.Totals[0].Theirs
	same("open differences", statement.Open+statement.OpenNow, 0)
	same("payments in the statement", theirs.Payments, books.Paid.Orders)
	same("refunds in the statement", theirs.Refunds, books.Refunded.Orders)
	same("money in the statement", theirs.Paid-theirs.Refunded, money)
	same("money in the report", books.Paid.Amount-books.Refunded.Amount, money)
	if report.Stage != "settled" {
		d.t.Errorf("it is %s", report.Stage)
	}
	waits := report.Doors.Latency["all"]
	d.t.Logf("%d fans, %d came as counted; %d grabs; %d orders: %v; sold out within %.3g s, resold %d; grabs took "+
		"p50 %.3g ms, p99 %.3g ms; %d payments booked by the statement", *fans, report.Forecast.Came,
		report.Funnel.Grabs, all, orders, *report.SoldOut.Seconds, report.Resold, waits.P50MS, waits.P99MS,
		statement.Booked)
}
