package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
	"doorbuster/httpapi/challenge"
)

// products have their names in both languages.
const products = `
products:
  - {id: mask, name: {en: "Surgical masks, box of 50", zh: "医用口罩 50只装"}, list_price: 4900, currency: CNY}
  - {id: lamp, name: {en: "Desk lamp", zh: "护眼台灯"}, list_price: 15900, currency: CNY}
  - {id: cup, name: {en: "Glass cup", zh: "玻璃杯"}, list_price: 5000, currency: CNY}
  - {id: wine, name: {en: "Rice spirit, 500 ml", zh: "白酒 500ml"}, list_price: 149900, currency: CNY}
`

// enter opens the shop as somebody.
func enter(tab *browser.Tab, url, name string) {
	tab.Go(url + "/shop")
	tab.Type("#name", name)
	tab.Click("#enter")
	tab.AwaitText("#me", name)
}

// inEveryView keeps what a page looks like in every view, all of which must be
// accessible; in a short test only in two.
func inEveryView(t *testing.T, tab *browser.Tab, name string) {
	t.Helper()
	views := browser.EveryView()
	if testing.Short() {
		views = []browser.View{views[0], views[2], views[7]}
	}
	for _, v := range views {
		tab.View(v)
		zh := v.Language == "zh-CN"
		if browser.Value[bool](tab, "document.documentElement.lang === 'zh-CN'") != zh {
			tab.Click("#language")
			tab.Await(fmt.Sprintf("(document.documentElement.lang === 'zh-CN') === %t", zh))
			// What is on sale comes again with its names.
			tab.Await(fmt.Sprintf(`!document.querySelector("h3") ||
				/[\u4e00-\u9fff]/.test(document.querySelector("h3").innerText) === %t`, zh))
		}
		tab.Await(fmt.Sprintf("document.documentElement.scrollWidth === %d", v.Width))
		if !zh { // what axe-core looks at is the same in both languages
			tab.Accessible()
		}
		tab.Screenshot(name + "-" + v.Name())
	}
	if browser.Value[string](tab, "document.documentElement.lang") != "en" {
		tab.Click("#language")
	}
}

// cashierFor starts the cashier of a shop that is told of it beforehand.
func cashierFor(t *testing.T, addr, shop string) {
	t.Helper()
	c := &nodetest.Shop{T: t, Logs: nodetest.NewLogBook()}
	c.Start(nodetest.Command(t, "cashier", "--data", t.TempDir(), "--listen", addr, "--shop", shop))
	c.Logs.Await(t, c.Exit, "msg=cashier")
}

// people has the page keep the challenge that it got last, so that it can be read.
func people(tab *browser.Tab) {
	browser.Value[bool](tab, `(() => {
		const asked = fetch;
		window.fetch = async (...what) => {
			const r = await asked(...what);
			if (what[0].endsWith("/challenge")) window.challenge = await r.clone().json();
			return r;
		};
		return true;
	})()`)
}

// read reads the image that the page shows.
func read(tab *browser.Tab, s *nodetest.Shop) string {
	tab.Await(`document.querySelector(".image img")?.src === window.challenge.image`)
	return s.Digits(browser.Value[string](tab, "window.challenge.token"))
}

// TestBuyingThroughTheStorefront: two shoppers, one on a desk and one on a phone in
// Chinese, reserve, read an image and grab. One gets all there is; another stands between
// them in line, and the second behind them. The place moves as they leave, and when the
// first lets go, the second is granted, pays at the cashier's page, says where it goes,
// and follows it until it has come.
func TestBuyingThroughTheStorefront(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	till := nodetest.Address(t)
	s := nodetest.Open(t, t.TempDir(), "--cashier-url", "http://"+till)
	cashierFor(t, till, s.HTTP)

	alice, desk := b.Profile(), browser.View{}
	tab := alice.Tab(desk)
	tab.Go(s.HTTP + "/shop/?from=friends")
	tab.AwaitText("h1", "Who are you?")
	tab.Accessible()
	phone := b.Profile().Tab(browser.View{Width: 390, Dark: true, Language: "zh-CN"})
	plan := products + `
sales:
  - id: fans-day
    name: {en: "Fans' Day", zh: "粉丝节"}
    messages: {granted: {en: "It is yours!", zh: "抢到了！"}}
    sessions:
      - id: day
        start: "%s"
        pay_within: 10m
        delivery: ship
        limit_per_shopper: 3
        listings:
          - {sku: mask, price: 100, stock: 2, limit_per_shopper: 2, reservation: true, waitlist: true, challenge: image}
          - {sku: lamp, price: 4900, stock: 500, limit_per_shopper: 5}
          - {sku: wine, price: 149900, stock: 2, ticket: true}
`
	s.Apply(fmt.Sprintf(plan, "+50s"))
	enter(tab, s.HTTP, "alice")
	enter(phone, s.HTTP, "bob")
	people(tab)
	people(phone)
	tab.Forgive("status of 422") // a wrong answer
	tab.AwaitText("#l-day-mask", "Surgical masks")
	phone.AwaitText("#l-day-mask", "医用口罩")
	tab.AwaitText(".session", "Starts in")
	tab.Click("#do-day-mask")
	tab.AwaitText("#l-day-mask", "Reserved")
	phone.Click("#do-day-mask")
	phone.AwaitText("#l-day-mask", "已预约")
	if a := s.Do("POST", s.ListingURL(nodetest.Mask)+"/reservation", "", "X-Shopper-Id", "carol"); a.Status != 201 {
		t.Fatal(a.Body)
	}
	s.Apply(fmt.Sprintf(plan, "+2s")) // it need not be waited for any longer

	// The page itself sees the session open, by the shop's time.
	tab.AwaitText("#do-day-mask", "Grab it")
	tab.AwaitText(".session", "Ends in")

	// As many as the limits allow, by mouse and by keyboard.
	tab.Click("#more-day-lamp")
	tab.AwaitText("#do-day-lamp", "Grab 2 for ¥98.00")
	tab.Type("#many-day-lamp", "500")
	tab.Press("\r")
	tab.AwaitText("#do-day-lamp", "Grab 3 for ¥147.00") // the session's limit
	tab.Await(`document.querySelector("#many-day-lamp").value === "3" && !document.querySelector("#many-day-wine")`)
	tab.Click("#more-day-mask")
	tab.AwaitText("#do-day-mask", "Grab 2 for ¥2.00")
	inEveryView(t, tab, "sale")

	tab.Click("#do-day-mask")
	read(tab, s)
	tab.Type("#digits-day-mask", "no")
	tab.Click("#ok-day-mask")
	tab.AwaitText("#l-day-mask", "That was not it")
	read(tab, s)
	first := browser.Value[string](tab, "window.challenge.token")
	tab.Click("#other-day-mask")
	tab.Await("document.querySelector('.image img') && window.challenge.token !== " + strconv.Quote(first))
	answer := read(tab, s)
	inEveryView(t, tab, "image")
	tab.Type("#digits-day-mask", answer)
	tab.Press("\r")
	tab.AwaitText("#l-day-mask", "It is yours!") // in the sale's own words
	tab.AwaitText("#l-day-mask", "Pay within")

	carols := nodetest.NewKey()
	var image challenge.Image
	if err := json.Unmarshal([]byte(s.Ask("POST", "carol", nodetest.Mask, "challenge", "").Body), &image); err != nil {
		t.Fatal(err)
	}
	ticket := s.Ticket("carol", nodetest.Mask, fmt.Sprintf(`{"token":%q,"answer":%q}`, image.Token, s.Digits(image.Token)))
	s.ExpectWith("waitlisted", "carol", carols, nodetest.Mask, fmt.Sprintf(`{"waitlist":true,"ticket":%q}`, ticket))
	phone.Await(`document.querySelector("#do-day-mask")?.innerText === "排队候补"`)
	phone.Click("#do-day-mask")
	phone.Type("#digits-day-mask", read(phone, s))
	phone.Click("#ok-day-mask")
	phone.AwaitText("#l-day-mask .place", "#2")
	phone.Accessible()
	phone.Screenshot("line-390-dark-zh")
	if a := s.Do("DELETE", s.HTTP+"/v1/grabs/"+carols, "", "X-Shopper-Id", "carol"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	phone.AwaitText("#l-day-mask .place", "#1") // the line moves without being asked

	// A second tab of hers knows who she is and what she has.
	second := alice.Tab(desk)
	second.Go(s.HTTP + "/shop")
	second.AwaitText("#me", "alice")
	second.AwaitText("#l-day-mask", "Pay within")
	second.Click("#letgo-day-mask")
	tab.Await(`!document.querySelector("#letgo-day-mask")`)
	second.AwaitText("#do-day-mask", "Grab") // bob is given one of the two

	phone.Await(`document.querySelector("#pay-day-mask")`)
	inEveryView(t, phone, "held")
	phone.View(browser.View{Width: 390, Dark: true, Language: "zh-CN"})
	phone.Click("#language")
	phone.Click("#pay-day-mask")
	phone.Await(`!document.querySelector("#pay").disabled && location.hash === ""`)
	phone.AwaitText("#amount", "1.00")
	phone.Accessible()
	phone.Screenshot("cashier-390-dark-zh")
	phone.Click("#pay")
	phone.AwaitText("#said", "付款成功")
	phone.Click("#back")
	phone.AwaitText("#l-day-mask", "已抢到")

	phone.Click("#to-orders")
	phone.AwaitText(".order", "已付款")
	phone.Click(".order h2 a")
	phone.AwaitText(".badge", "已付款")
	for name, text := range map[string]string{"name": "王小明", "phone": "+8613800138000", "city": "上海",
		"street": "南京东路 1 号"} {
		phone.Type(".fields [name="+name+"]", text)
	}
	phone.Click("#save")
	phone.AwaitText("#to-said", "已保存")
	inEveryView(t, phone, "order")

	ship(t, s)
	phone.AwaitText(".badge", "On its way")
	phone.AwaitText("dl", "SF123")
	phone.Click("#arrived")
	phone.AwaitText(".badge", "Delivered")
	phone.Accessible()
	s.Expect("day/mask", 1, 0, 1)
}

// ship has the session's only paid order reviewed, exported and shipped.
func ship(t *testing.T, s *nodetest.Shop) {
	t.Helper()
	s.Ops("POST", "/admin/v1/sessions/day/end", `{"note":"all is sold"}`)
	s.MustRun("shipping", "review", "day")
	dir := t.TempDir()
	rows := filepath.Join(dir, "orders.csv")
	s.MustRun("shipping", "export", "day", "--out", rows)
	text, err := os.ReadFile(rows)
	if err != nil || !strings.Contains(string(text), "南京东路") {
		t.Fatalf("%v: %s", err, text)
	}
	lines := strings.Split(string(text), "\n")
	parcels := filepath.Join(dir, "parcels.csv")
	no, _, _ := strings.Cut(lines[1], ",")
	if err := os.WriteFile(parcels, []byte("order_no,carrier,tracking\n"+no+",SF,SF123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.MustRun("shipping", "import", "day", parcels)
}

// TestPlaysInTheStorefront: a bargain whose price falls while its link goes round, and a
// draw whose proof the page works out.
func TestPlaysInTheStorefront(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(products + `
sales:
  - id: fans-day
    name: {en: "Fans' Day", zh: "粉丝节"}
    sessions:
      - id: day
        start: now
        limit_per_shopper: 0
        listings:
          - {sku: cup, price: 4900, stock: 10, play: {kind: bargain, floor: 900, helpers: 3}}
          - {sku: wine, price: 149900, stock: 1, draw: 10s}
`)
	alice := b.Profile().Tab(browser.View{})
	enter(alice, s.HTTP, "alice")
	bob := b.Profile().Tab(browser.View{Width: 390, Dark: true, Language: "zh-CN"})
	enter(bob, s.HTTP, "bob")

	for _, x := range []*browser.Tab{alice, bob} {
		x.Click("#do-day-wine")
		x.Await(`document.querySelector("#l-day-wine .place")`)
	}
	alice.Click("#do-day-cup")
	alice.AwaitText("h1", "Glass cup")
	link := browser.Value[string](alice, `document.querySelector("#link").value`)
	alice.AwaitText("#bargain-price", "49.00")
	bob.Go(link)
	bob.AwaitText("#bargain-price", "49.00")
	bob.Accessible()
	bob.Click("#cut")
	bob.AwaitText(".bargain", "你已砍掉")
	alice.Await(`!document.querySelector("#bargain-price").innerText.includes("49.00")`)
	inEveryView(t, alice, "bargain")
	alice.Click("#buy")
	alice.AwaitText(".bargain", "See the order")

	// Whoever got it: the proof holds, on each device.
	for n, x := range []*browser.Tab{alice, bob} {
		x.Go(s.HTTP + "/shop#/draw/day/wine")
		x.Await(`document.querySelectorAll(".checks .yes").length === 3 && document.querySelectorAll("tbody tr").length === 2`)
		x.Await(`!document.querySelector(".no") && document.querySelectorAll("tr.mine").length === 1`)
		x.Accessible()
		x.Screenshot([]string{"draw-1400-light-en", "draw-390-dark-zh"}[n])
	}
	s.Eventually(func() bool { c := s.Counts("day/wine"); return c.Held == 1 },
		func() string { return "nobody was drawn" })

	// One whose outcomes are swapped does not hold; of a part that is all a page takes in nothing is said.
	for says, tampers := range map[string]string{
		"有未获得者排在获得者之前":   `const [a, b] = d.entries; [a.state, b.state, a.why, b.why] = [b.state, a.state, b.why, a.why]`,
		"只读取了前 20,000 条": `d.entries = Array.from({length: 20000}, () => ({...d.entries[0]})); d.cursor = "more"`,
	} {
		bob.Go(s.HTTP + "/shop#/")
		bob.Reload()
		bob.AwaitText("#me", "bob")
		browser.Value[bool](bob, `(() => {
			const asked = fetch;
			window.fetch = async (...what) => {
				const r = await asked(...what);
				if (!what[0].endsWith("/draw")) return r;
				const d = await r.json();
				`+tampers+`;
				return new Response(JSON.stringify(d));
			};
			return true;
		})()`)
		bob.Go(s.HTTP + "/shop#/draw/day/wine")
		bob.AwaitText(".checks", says)
		bob.Await(`document.querySelectorAll(".checks .yes").length === 2`)
	}
	dead := s.HTTP + "/shop#/b/AAAAAAAAAAAAAAAA"
	bob.Forgive("status of 404")
	bob.Go(dead)
	bob.AwaitText("main", "No bargain has this code")

	// Times are exact to what the shop writes, which leaves zeros at the end out.
	if !browser.Value[bool](alice, `import("/shop/orders.js").then(({orders, take}) => {
		for (const [state, at] of [["paid", "00.357Z"], ["held", "00.35Z"]]) {
			take([{order_no: "x", session: "x", sku: "x", state, changed_at: "2026-01-01T00:00:" + at}], true);
		}
		const {state} = orders.get("x");
		return orders.delete("x") && state === "paid";
	})`) {
		t.Error("an order as it was has taken the place of what became of it")
	}
	// SHA-256 of each length that pads in its own way.
	sums := map[string]string{}
	for n := range 130 {
		sum := sha256.Sum256([]byte(strings.Repeat("x", n)))
		sums[strings.Repeat("x", n)] = hex.EncodeToString(sum[:])
	}
	want, err := json.Marshal(sums)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := browser.Value[int](alice, `import("/shop/work.js").then(({ascii, hex, sha256}) =>
		Object.entries(`+string(want)+`).filter(([text, sum]) => hex(sha256(ascii(text))) !== sum).length)`); wrong > 0 {
		t.Errorf("%d sums of SHA-256 are wrong", wrong)
	}
}

// TestStorefrontByToken: without --dev a shopper comes with a token behind the #, which
// leaves the address at once.
func TestStorefrontByToken(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	dir := t.TempDir()
	shoppers, ops := filepath.Join(dir, "shoppers.key"), filepath.Join(dir, "ops.key")
	for n, file := range []string{shoppers, ops} {
		secret := strings.Repeat(string(rune('a'+n)), 48)
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	theme := filepath.Join(dir, "theme.css")
	if err := os.WriteFile(theme, []byte(":root { --brand: #00529b; --radius: 4px; }"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := func(more ...string) string {
		status, out, errs := nodetest.Tool(t, "", append([]string{"token"}, more...)...)
		if status != 0 {
			t.Fatal(errs)
		}
		return strings.TrimSpace(out)
	}
	carol, fresh, dave := token("--sub", "carol", "--key-file", shoppers), token("--sub", "carol", "--ttl", "2h",
		"--key-file", shoppers), token("--sub", "dave", "--key-file", shoppers)
	s := nodetest.Start(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--log-format", "json", "--stall-timeout", nodetest.Patience.String(), "--storefront",
		"--storefront-theme", theme, "--shopper-key-file", shoppers, "--ops-key-file", ops})
	s.AwaitServing()
	tab := b.Profile().Tab(browser.View{})
	n, shop := between(t, s)
	tab.Go(shop + "/shop#token=" + carol)
	tab.AwaitText("#me", "carol")
	tab.Await(`location.hash === "#/"`)
	tab.AwaitText("h1", "Nothing is on sale")
	tab.Await(`getComputedStyle(document.documentElement).getPropertyValue("--brand").trim() === "#00529b"`)
	tab.Click("#to-orders")
	tab.AwaitText("h1", "No orders yet")
	tab.Reload()
	tab.AwaitText("#me", "carol") // the tab remembers
	tab.Accessible()

	// What one shopper wishes for is not asked for by the next, in whatever way they come.
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that who asked has gone
		<-r.Context().Done()
	}
	unwell := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	n.turns = []func(w http.ResponseWriter, r *http.Request){hangs, hangs, unwell}
	s.Token = token("--sub", "olga", "--role", "admin", "--key-file", ops)
	if a := s.Do("POST", "http://"+s.Admin+"/admin/v1/plan", nodetest.Masks(5), "Authorization", "Bearer "+s.Token,
		"Content-Type", "application/yaml"); a.Status != 200 {
		t.Fatal(a.Body)
	}
	tab.Forgive("401|status of 503|ERR_ABORTED|status of 429") // streams of pages that were left count for a while
	wishes := func(number int) {
		t.Helper()
		tab.Click("#do-day-mask")
		s.Eventually(func() bool { return len(n.asked("/grab")) == number }, func() string {
			return fmt.Sprint(n.asked("/grab"))
		})
	}
	tab.Click("#to-sale")
	tab.Reload() // it looks seldom where nothing is on sale
	wishes(1)
	tab.Go("about:blank")
	tab.Go(shop + "/shop#token=" + dave)
	tab.AwaitText("#me", "dave")
	tab.AwaitText("#do-day-mask", "Grab it")
	wishes(2)
	tab.Go(shop + "/shop#token=" + carol)
	tab.AwaitText("#me", "carol")
	tab.AwaitText("#do-day-mask", "Grab it")
	// A fresh token of the same shopper goes on with theirs, and with its key.
	wishes(3)
	tab.Go(shop + "/shop#token=" + fresh)
	tab.AwaitText("#l-day-mask", "Pay within")
	all := n.asked("/grab")
	if len(all) != 4 || all[2].key != all[3].key || all[1].key == all[2].key || all[0].key == all[1].key {
		t.Error(all)
	}
	s.Expect("day/mask", 4, 1, 0)

	tab.Go(shop + "/shop#token=x.y.z")
	tab.AwaitText("h1", "Please come through")
}
