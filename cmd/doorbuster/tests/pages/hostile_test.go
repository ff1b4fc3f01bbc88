package pages

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// script is a name that is a script wherever it is taken for markup.
const script = `"><img src=x onerror=owned=1><script>owned=1</script>`

// TestNamesAreNoScripts: whatever a product, a sale, its words and a receiver are called,
// the page shows it as it is written.
func TestNamesAreNoScripts(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(fmt.Sprintf(`
products:
  - {id: mask, name: {en: '%[1]s', zh: '%[1]s'}, list_price: 4900, currency: CNY, image: "https://127.0.0.1:1/x.png?%[2]s"}
sales:
  - id: sale
    name: {en: '%[1]s', zh: '%[1]s'}
    messages: {granted: {en: '%[1]s', zh: '%[1]s'}, paid: {en: '%[1]s', zh: '%[1]s'}}
    sessions:
      - id: day
        start: now
        delivery: ship
        listings:
          - {sku: mask, price: 100, stock: 5}
`, script, "%22onerror=owned=1"))
	tab := b.Profile().Tab(browser.View{Width: 390})
	tab.Forgive("ERR_CONNECTION_REFUSED|ERR_UNSAFE_PORT") // the picture
	enter(tab, s.HTTP, "alice")
	tab.AwaitText("#l-day-mask h3", script)
	tab.AwaitText(".session h2", script)
	tab.Await("document.title.includes(" + strconv.Quote(script) + ")")
	tab.Await(`!document.querySelector(".pic img")`) // a picture that does not come is a letter
	tab.Await("document.documentElement.scrollWidth === 390")
	tab.Screenshot("names-390-light-en")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask .note", script)
	tab.Click("#pay-day-mask")
	tab.Click("#l-day-mask .note a")
	tab.AwaitText("h1", script)
	tab.AwaitText("[role=status]", script)
	for _, field := range []string{"name", "street", "city"} {
		tab.Type(".fields [name="+field+"]", script)
	}
	tab.Type(".fields [name=phone]", "+8613800138000")
	tab.Click("#save")
	tab.AwaitText("#to-said", "Saved")
	tab.Reload()
	tab.Await(`document.querySelector(".fields [name=street]").value === ` + strconv.Quote(script))
	// The policy forbids the script of such a name, so that only what is in the page tells.
	tab.Await(`!document.querySelector("body img, main script")`)
	tab.Accessible()
}

// TestPagesOfOtherOrigins can neither show the shop in a frame, nor ask it for something
// in a shopper's name, nor read what it says.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<iframe src="%s/shop"></iframe>`, s.HTTP)
	}))
	t.Cleanup(other.Close)
	p := b.Profile()
	shop := p.Tab(browser.View{})
	enter(shop, s.HTTP, "alice")
	shop.AwaitText("#do-day-mask", "Grab it")

	tab := p.Tab(browser.View{})
	tab.Forgive(".")
	tab.Go(other.URL)
	tab.Await(`frames.length === 1 && document.readyState === "complete"`)
	for name, options := range map[string]string{
		"as she":        `{method: "POST", body: "{}", headers: {"X-Shopper-Id": "alice", "Content-Type": "application/json"}}`,
		"by her name":   `{method: "POST", body: "{}", headers: {"X-Shopper-Id": "alice"}}`,
		"with cookies":  `{method: "POST", body: "{}", credentials: "include"}`,
		"without a say": `{method: "POST", body: "{}", credentials: "include", mode: "no-cors"}`,
	} {
		got := browser.Value[string](tab, fmt.Sprintf(`fetch(%q, %s).then(r => r.text()).catch(e => "")`,
			s.ListingURL(nodetest.Mask)+"/grab", options))
		if got != "" {
			t.Errorf("%s: another origin reads %q", name, got)
		}
	}
	if got := browser.Value[string](tab, fmt.Sprintf(`fetch(%q).then(r => r.text()).catch(e => "")`,
		s.HTTP+"/v1/sessions")); got != "" {
		t.Errorf("another origin reads what is on sale: %q", got)
	}
	tab.Await(`(() => { try { return !frames[0].document.querySelector("main"); } catch { return true; } })()`)
	s.Expect("day/mask", 5, 0, 0)
	shop.AwaitText("#do-day-mask", "Grab it")
}

// TestTwoShoppersInOneBrowser: what one wishes for in a tab is nothing to another's tab.
func TestTwoShoppersInOneBrowser(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	p := b.Profile()
	alice, bob := p.Tab(browser.View{}), p.Tab(browser.View{})
	enter(alice, s.HTTP, "alice")
	bob.Go(s.HTTP + "/shop")
	bob.AwaitText("#me", "alice") // until he says who he is
	bob.Click("#leave")
	bob.Type("#name", "bob")
	bob.Click("#enter")
	bob.AwaitText("#me", "bob")
	bob.Click("#do-day-mask")
	bob.AwaitText("#l-day-mask", "Pay within")
	alice.AwaitText("#l-day-mask .stock", "4 left")
	alice.AwaitText("#do-day-mask", "Grab it")
	alice.Click("#to-orders")
	alice.AwaitText("h1", "No orders yet")
	alice.Go(s.HTTP + "/shop#/order/nothing")
	alice.Forgive("status of 404")
	alice.AwaitText("main", "Nothing by this name is known")
	s.Expect("day/mask", 4, 1, 0)
}
