package pages

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// fileOf writes a file, and gives its path.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// press clicks the first button within something that has a text, once it may be.
func press(tab *browser.Tab, within, text string) {
	tab.Await(fmt.Sprintf(`(() => {
		for (const b of document.querySelectorAll("[data-pressed]")) b.removeAttribute("data-pressed");
		const b = [...document.querySelectorAll(%q)].find(b => b.innerText === %q && !b.disabled);
		b?.setAttribute("data-pressed", "");
		return b;
	})()`, within+" button", text))
	tab.Click("[data-pressed]")
}

// certain does in a dialog what can't be undone.
func certain(tab *browser.Tab, text, name string) {
	tab.Await(`document.querySelector("dialog[open] button.danger").disabled`)
	tab.Type(`dialog input[name="typed"]`, name)
	press(tab, "dialog", text)
	tab.Await(`!document.querySelector("dialog")`)
}

const shippedPlan = `
products:
  - {id: mask, name: {en: "<script>window.marked=1</script>", zh: "口罩<img src=x onerror=window.marked=1>"},
     list_price: 100, currency: CNY}
sales:
  - id: sale
    name: {en: "Fans' <b>Day</b>", zh: "粉丝节<img src=x onerror=window.marked=1>"}
    sessions: [{id: day, start: now, listings: [{sku: mask, price: 100, stock: 9, delivery: ship}]}]
`

// TestConsoleShipping: what was paid goes out: the second look, what it holds decided by hand,
// an export, tracking numbers, and what has arrived.
func TestConsoleShipping(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(shippedPlan)
	order := map[string]string{}
	for i, shopper := range []string{"anna", "bob", "cleo"} {
		o := s.MustGrant(shopper, "", "day/mask")
		s.Pay(o, "pay-"+shopper)
		order[shopper] = o.OrderNo
		// Two of them share an address.
		receiver := fmt.Sprintf(`{"name":"X","phone":"+861381234987%d","country":"CN","city":"S","street":"%d Lane"}`, i,
			min(i, 1))
		if a := s.Do("PUT", s.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", receiver, "X-Shopper-Id",
			shopper); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}
	s.End("day")
	tab := b.Profile().Tab(browser.View{})
	url := "http://" + s.Admin + "/goods/shipping"
	seen(t, tab, url, "shipping", `document.querySelectorAll("tbody tr").length === 1`)
	tab.Go(url)
	tab.Click("tbody a")
	tab.AwaitText(".facts", "Paid, not looked at")
	tab.Click("#look")
	tab.AwaitText("main", "It would come to this: 3 looked at, 1 pass, 2 held, 0 rejected")
	press(tab, "main", "Take the second look")
	certain(tab, "Take the second look", "day")
	tab.AwaitText("main", "It came to this: 3 looked at, 1 pass, 2 held, 0 rejected")
	tab.AwaitText(".facts", "Held: decide by hand")
	tab.Screenshot("console-look")
	press(tab, "main", "Reject")
	rejected := browser.Value[string](tab, `document.querySelector("dialog label[for]:last-of-type") && `+
		`[...document.querySelectorAll("dialog label")].at(-1).innerText.split(" ").at(-1)`)
	certain(tab, "Reject", rejected)
	tab.AwaitText(".said", "is rejected")
	press(tab, "main td", "Pass")
	press(tab, "dialog", "Pass")
	tab.AwaitText(".said", "passes")
	browser.Value[bool](tab, `(URL.createObjectURL = (blob) => (blob.text().then((text) => (window.saved = text)), ""),
		HTMLAnchorElement.prototype.click = () => {}, true)`)
	press(tab, "main", "Export what passed")
	certain(tab, "Export what passed", "day")
	tab.Await(fmt.Sprintf(`window.saved.includes(%q) && window.saved.trim().split("\n").length === 3`, order["anna"]))
	tab.AwaitText(".facts", "Out at the warehouse")

	tab.Upload("#parcels input[type=file]", fileOf(t, "parcels.csv", "order_no,carrier,tracking\nnobody,SF,1\n"))
	tab.Forgive("422")
	press(tab, "#parcels", "Take it in")
	tab.AwaitText("#parcels .problem", "nothing was changed")
	tab.Upload("#parcels input[type=file]", fileOf(t, "parcels.csv", "order_no,carrier,tracking\n"+order["anna"]+
		",SF,1\n"))
	press(tab, "#parcels", "Take it in")
	tab.AwaitText(".said", "1 of them news")
	tab.AwaitText(".facts", "Shipped")
	tab.Upload("#received input[type=file]", fileOf(t, "received.csv", "order_no\n"+order["anna"]+"\n"))
	press(tab, "#received", "Take it in")
	tab.AwaitText(".facts", "Received")
	seen(t, tab, url+"?session=day", "shipping-day", `document.querySelectorAll("tbody tr").length === 1`)
	if o := s.Order("anna", order["anna"]); o.Order.State != "received" {
		t.Errorf("the order is %s", o.Order.State)
	}
}

// TestConsoleCatalogue: a supplier's products come in from a file, are held against another, and
// one is retired and revived.
func TestConsoleCatalogue(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(shippedPlan)
	tab := b.Profile().Tab(browser.View{})
	url := "http://" + s.Admin + "/goods"
	tab.Go(url)
	tab.Type(`input[name="supplier"][required]`, "acme")
	row := `{"id":"mug","name":"Mug <img src=x onerror=window.marked=1>","list_price":4900,"currency":"CNY","stock":{"total":%d}}`
	tab.Upload("input[type=file]", fileOf(t, "acme.ndjson", fmt.Sprintf(row, 5)))
	tab.Click("#import")
	tab.AwaitText(".said", "acme: 1 rows; new 1, changed 0, gone 0.")
	tab.Upload("input[type=file]", fileOf(t, "stock.ndjson", fmt.Sprintf(row, 7)))
	tab.Click("#stock")
	tab.AwaitText("#stock-report tbody", "another figure")
	tab.Accessible()
	seen(t, tab, url, "goods", `document.querySelectorAll("tbody tr").length === 3`)

	tab.Go(url + "?supplier=acme")
	press(tab, "main td", "Retire")
	press(tab, "dialog", "Retire")
	tab.AwaitText(".said", "is retired")
	tab.AwaitText(".empty", "No such product")
	tab.Go(url + "?supplier=acme&retired=true")
	press(tab, "main td", "Revive")
	press(tab, "dialog", "Revive")
	tab.AwaitText(".said", "can be listed again")
	tab.Await(`[...document.querySelectorAll("td button")].some(b => b.innerText === "Retire")`)

	// Without its only product the catalogue would be empty: that must be meant.
	tab.Forgive("409")
	tab.Upload("input[type=file]", fileOf(t, "acme.ndjson", strings.Replace(fmt.Sprintf(row, 5), `"mug"`, `"cup"`, 1)))
	press(tab, "main", "Replace all")
	tab.Type(`dialog input[name="typed"]`, "acme")
	tab.Click(`dialog input[name="sure"]`)
	press(tab, "dialog", "Replace all")
	tab.AwaitText(".said", "are replaced")
	tab.AwaitText("tbody th", "cup")
}

// TestConsoleSinks: a sink is paused and goes on, and its dead letters are sent again and dropped.
func TestConsoleSinks(t *testing.T) {
	b := browser.Open(t)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}))
	defer refuses.Close()
	secret := fileOf(t, "secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 32))))
	config := fileOf(t, "node.yaml", fmt.Sprintf("sinks:\n  - {name: hooks, kind: webhook, url: %q, secret_file: %q, "+
		"allow_addresses: [127.0.0.0/8], attempts: 1, events: [order_paid]}\n", refuses.URL, secret))
	s := nodetest.Open(t, t.TempDir(), "--config", config)
	s.Apply(scripted)
	for _, shopper := range []string{"anna", "bob"} {
		s.Pay(s.MustGrant(shopper, "", "day/mask"), "pay-"+shopper)
	}
	tab := b.Profile().Tab(browser.View{})
	url := "http://" + s.Admin + "/goods/sinks"
	tab.Go(url)
	tab.Await(`document.querySelector("td.number .bad")?.innerText === "2"`)
	seen(t, tab, url, "sinks", `document.querySelectorAll("tbody tr").length === 1`)
	seen(t, tab, url+"?sink=hooks", "sink", `document.querySelectorAll("tbody tr").length === 2`)
	tab.Go(url)
	press(tab, "td", "Pause")
	press(tab, "dialog", "Pause")
	tab.AwaitText("td .state", "paused")
	press(tab, "td", "Resume")
	press(tab, "dialog", "Resume")
	tab.AwaitText("td .state", "flowing")
	tab.Click("tbody a")
	letter := browser.Value[string](tab, `new Promise((done) => setInterval(() => {
		const first = document.querySelector("tbody th code");
		if (first) done(first.innerText);
	}, 20))`)
	press(tab, "td", "Drop")
	certain(tab, "Drop", letter)
	tab.Await(`document.querySelectorAll("tbody tr").length === 1`)
	press(tab, "main", "Drop all")
	certain(tab, "Drop all", "hooks")
	tab.AwaitText(".empty", "There are none")
	press(tab, "main", "Replay")
	tab.Type(`dialog input[name="from"]`, "1")
	press(tab, "dialog", "Replay")
	tab.AwaitText(".said", "goes on from there")
	tab.Await(`document.querySelectorAll("tbody tr").length === 2`)
}
