package pages

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// marking is a shopper whose id would be markup.
const marking = "<img/src=x/onerror=window.marked=1>"

// seen looks at a view of the console at both widths, in light English and in dark Chinese:
// without an error, accessible, no wider than the screen, and kept as a screenshot.
func seen(t *testing.T, tab *browser.Tab, url, name, ready string) {
	t.Helper()
	for n, v := range browser.EveryView() {
		if n%4 != 0 && n%4 != 3 {
			continue
		}
		tab.View(v)
		tab.Go(url)
		tab.Await(fmt.Sprintf(`document.documentElement.lang === %q && !document.querySelector(".loading")`,
			map[bool]string{true: "zh-CN", false: "en"}[v.Language == "zh-CN"]))
		tab.Await(ready)
		// A phone makes its window wider where a page does not fit.
		tab.Await(fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, v.Width))
		noMarkup(t, tab)
		tab.Accessible()
		tab.Screenshot("console-" + name + "-" + v.Name())
	}
	tab.View(browser.View{})
}

// find writes something into the box of the view Orders, and has it found.
func find(tab *browser.Tab, text string) {
	tab.Type(".find input", text)
	tab.Press(kb.Enter)
	tab.AwaitText("h2", "Found for "+text)
	tab.Await(`!document.querySelector(".loading")`)
}

// TestConsoleOrders: a shopper is found by whatever is known of them, and why they were refused;
// all that happened to their order is told; it is extended and voided.
func TestConsoleOrders(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	first := s.MustGrant(marking, "", "day/mask")
	held := s.MustGrant("bob", "", "day/lamp")
	paid := s.MustGrant("anna", "", "day/mask")
	s.Pay(paid, "pay-4711")
	receiver := `{"name":"Wang <b>Wei</b>","phone":"+8613812349876","country":"CN","city":"Hangzhou","street":"1 Lake"}`
	if a := s.Do("PUT", s.HTTP+"/v1/orders/"+paid.OrderNo+"/receiver", receiver, "X-Shopper-Id",
		"anna"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	s.MustRefuse("limit_reached", "anna", "", "day/mask")
	url := "http://" + s.Admin + "/orders"
	tab := b.Profile().Tab(browser.View{})
	seen(t, tab, url, "orders", `document.querySelectorAll("tbody tr").length === 3`)
	seen(t, tab, url+"/"+paid.OrderNo, "order", `document.querySelectorAll(".trail li").length > 2`)
	seen(t, tab, url+"/trail", "trail", `document.querySelectorAll(".trail li").length > 2`)
	seen(t, tab, url+"?shopper=anna", "shopper", `document.querySelectorAll("tbody tr").length === 2`)

	tab.Go(url)
	numbers := `[...document.querySelectorAll("tbody th code")].map(e => e.innerText).join()`
	tab.Await(fmt.Sprintf("%s === %q", numbers, strings.Join([]string{paid.OrderNo, held.OrderNo, first.OrderNo}, ",")))
	tab.Go(url + "?from=x") // no time
	tab.Await(`document.querySelectorAll("tbody tr").length === 3`)
	tab.Go(url + "?state=paid&session=day")
	tab.Await(fmt.Sprintf("%s === %q", numbers, paid.OrderNo))
	tab.AwaitText(".facts", "Stock")
	for _, known := range []string{paid.OrderNo, strings.ToLower(paid.OrderNo), "anna", "pay-4711",
		"+86 138 1234 9876"} {
		find(tab, known)
		tab.Await(fmt.Sprintf("%s === %q", numbers, paid.OrderNo))
		if strings.Contains(browser.Value[string](tab, "location.href"), "9876") {
			t.Error("a phone number is in the address")
		}
	}
	find(tab, "nobody")
	tab.AwaitText(".empty", "No order fits")
	tab.AwaitText("h2", "Why was nobody refused?")
	tab.AwaitText(".empty", "No refusal of theirs is remembered")
	tab.Go(url + "?shopper=anna")
	tab.AwaitText("h2", "Why was anna refused?")
	tab.AwaitText("td", "limit of the listing")

	// Extend one, by the keyboard.
	tab.Go(url + "/" + held.OrderNo)
	tab.Await(`document.querySelectorAll("main .card button").length === 2`)
	browser.Value[bool](tab, `document.querySelector("main .card header button").focus(), true`)
	tab.Press(kb.Enter)
	tab.Await(`document.querySelector("dialog[open]")`)
	tab.Accessible()
	tab.Press(kb.Tab + kb.Tab + kb.Enter)
	tab.AwaitText(".said", "may be paid longer")
	tab.AwaitText(".trail", "Extended")

	// Void one: not by Enter, and not before its number is there.
	tab.Click("main button.danger")
	tab.Await(`document.querySelector("dialog[open] button.danger").disabled`)
	tab.Accessible()
	tab.Type(`dialog input[name="note"]`, "the shopper <b>asked</b>")
	tab.Type(`dialog input[name="typed"]`, held.OrderNo)
	tab.Screenshot("console-void")
	tab.Press(kb.Enter)
	tab.Await(`document.querySelector("dialog[open]") && !document.querySelector("dialog button.danger").disabled`)
	tab.Click("dialog button.danger")
	tab.AwaitText(".said", "is voided")
	tab.AwaitText(".trail", "the shopper <b>asked</b>")
	tab.AwaitText("main .card .state", "voided")
	s.Expect("day/lamp", 500, 0, 0)
	noMarkup(t, tab)
}

// TestConsoleManyOrders: a hundred thousand orders in the table are shown a page at a time, and
// exported page by page.
func TestConsoleManyOrders(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/now")
	tab.AwaitText("h1", "Now")
	// The API is stood in for: so many orders are its own tests' matter.
	browser.Value[bool](tab, `(() => {
		const real = fetch, many = 100000;
		window.fetch = async (path, how) => {
			const url = new URL(path, location.origin);
			if (url.pathname !== "/admin/v1/orders") return real(path, how);
			const from = Number(url.searchParams.get("cursor") || 0);
			const limit = url.searchParams.get("limit") === "1000" ? 1000 : many;
			const orders = Array.from({length: Math.min(limit, many - from)}, (_, i) => ({
				order_no: String(from + i).padStart(24, "0"), shopper: "=cmd" + i, session: "day", sku: "mask", quantity: 1,
				amount: 100, currency: "CNY", state: "paid", granted_at: "2026-09-20T02:00:00Z",
				changed_at: "2026-09-20T02:00:00Z"}));
			return new Response(JSON.stringify({orders, cursor: from + limit < many ? String(from + limit) : undefined}));
		};
		URL.createObjectURL = (blob) => (blob.text().then((text) => (window.saved = text)), "");
		HTMLAnchorElement.prototype.click = () => {};
		return true;
	})()`)
	tab.Press("3")
	tab.AwaitText(".pager", "1–50 of 100,000")
	tab.Await(`document.querySelectorAll("tbody tr").length === 50`)
	tab.Click(".pager button:last-child")
	tab.AwaitText(".pager", "51–100 of 100,000")
	tab.Click("thead th:nth-child(3) button")
	tab.AwaitText("tbody td:nth-child(3)", "=cmd")
	tab.Click("#export")
	tab.AwaitText(".said", "100,000 orders are in the file.")
	tab.Await(`window.saved.split("\r\n").length === 100002 && window.saved.includes(",'=cmd7,")`)
}
