package pages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// guarded starts a node that asks for tokens, and gives one of each role.
func guarded(t *testing.T, more ...string) (s *nodetest.Shop, tokens map[string]string) {
	t.Helper()
	dir := t.TempDir()
	key := func(name string) string {
		path := filepath.Join(dir, name+".key")
		if err := os.WriteFile(path, []byte(strings.Repeat(name[:1], 48)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ops := key("operators")
	s = nodetest.Start(t, append([]string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--log-format", "json", "--stall-timeout", nodetest.Patience.String(),
		"--shopper-key-file", key("shoppers"), "--ops-key-file", ops}, more...))
	s.AwaitServing()
	tokens = map[string]string{}
	for _, role := range []string{"viewer", "operator", "admin"} {
		status, out, errs := nodetest.Tool(t, "", "token", "--sub", "olga", "--role", role, "--key-file", ops)
		if status != 0 {
			t.Fatal(errs)
		}
		tokens[role] = strings.TrimSpace(out)
	}
	return s, tokens
}

// TestConsoleLogin: whoever has no token sees the login alone, at whatever address; with one
// the address that was asked for is shown, and again after a reload, until they log out.
func TestConsoleLogin(t *testing.T) {
	b := browser.Open(t)
	s, tokens := guarded(t)
	tab := b.Profile().Tab(browser.View{Width: 390})
	tab.Forgive("401")
	tab.Go("http://" + s.Admin + "/now")
	tab.AwaitText("h1", "Log in")
	tab.Accessible()
	tab.Screenshot("console-login")
	tab.Type("main input", "x.y.z")
	tab.Click("main button")
	tab.Await(`document.querySelector("main [role=alert]")`)
	tab.Type("main input", tokens["viewer"])
	tab.Click("main button")
	tab.AwaitText("h1", "Now")
	tab.AwaitText(".me", "olga viewer")
	tab.Reload()
	tab.AwaitText("h1", "Now")
	found := browser.Value[string](tab, `document.cookie + JSON.stringify({...localStorage, ...sessionStorage})`)
	if strings.Contains(found, tokens["viewer"][:20]) {
		t.Error("a script can read the token")
	}
	// Who comes after a session that has ended sees nothing that it was told.
	tab.AwaitText(".health .chip", "Leader")
	browser.Value[bool](tab, `(() => {
		const real = fetch;
		window.fetch = (path, how) => (!path.startsWith("/admin/") ? real(path, how)
			: window.silent ? new Promise(() => {}) : Promise.resolve(new Response("{}", {status: 401})));
		return true;
	})()`)
	tab.AwaitText("h1", "Log in")
	browser.Value[bool](tab, "window.silent = true")
	tab.Type("main input", tokens["viewer"])
	tab.Click("main button")
	tab.AwaitText("h1", "Now")
	if browser.Value[bool](tab, `!!document.querySelector(".health .chip")`) {
		t.Error("the next who logs in sees what was told before")
	}
	tab.Click("#logout")
	tab.AwaitText("h1", "Log in")
	tab.Reload()
	tab.AwaitText("h1", "Log in")
}

// noMarkup expects that no name has become an element: the policy forbids its script, so that
// only what is in the page tells.
func noMarkup(t *testing.T, tab *browser.Tab) {
	t.Helper()
	found := browser.Value[string](tab, `document.querySelector("body img, main script, main bdi *, td b")
		?.outerHTML || ""`)
	if found != "" {
		t.Errorf("a name was taken for markup: %s", found)
	}
}

// consoleViews are the addresses of all views that the console offers.
func consoleViews(tab *browser.Tab) []string {
	return browser.Value[[]string](tab, `[...document.querySelectorAll(".views a")].map(a => a.getAttribute("href"))`)
}

// TestConsoleViews: each view opens by its address, in every view in which pages are made for,
// without an error, and is accessible. Names that would be markup are text.
func TestConsoleViews(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	p := b.Profile()
	tab := p.Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/")
	tab.AwaitText("h1", "Now")
	views := consoleViews(tab)
	if len(views) < 2 {
		t.Fatal(views)
	}
	for _, path := range append(views, "/crowd?part=lists", "/crowd?part=lines", "/crowd?part=plays") {
		for n, v := range browser.EveryView() {
			if n != 0 && n != 7 && (testing.Short() || strings.Contains(path, "?")) {
				continue
			}
			tab.View(v)
			zh := v.Language == "zh-CN"
			tab.Go("http://" + s.Admin + path)
			tab.Await(fmt.Sprintf(`document.documentElement.lang === %q && document.querySelector("main h1") &&
				document.title.endsWith("Doorbuster") && !document.querySelector(".loading")`,
				map[bool]string{true: "zh-CN", false: "en"}[zh]))
			tab.Await(fmt.Sprintf(`document.documentElement.scrollWidth <= %d`, v.Width))
			noMarkup(t, tab)
			tab.Accessible()
			tab.Screenshot("console" + strings.NewReplacer("/", "-", "?part=", "-").Replace(path) + "-" + v.Name())
		}
	}
}

// scripted is a plan with a script in every name.
const scripted = `
products:
  - {id: mask, name: {en: "<script>window.marked=1</script>", zh: "口罩<img src=x onerror=window.marked=1>"}, list_price: 4900, currency: CNY}
  - {id: lamp, name: {en: "Desk lamp", zh: "护眼台灯"}, list_price: 15900, currency: CNY}
sales:
  - id: fans-day
    name: {en: "Fans' <b>Day</b><script>window.marked=1</script>", zh: "粉丝节<img src=x onerror=window.marked=1>"}
    sessions:
      - id: day
        start: now
        limit_per_shopper: 0
        listings:
          - {sku: mask, price: 100, stock: 7, waitlist: true}
          - {sku: lamp, price: 4900, stock: 500}
      - id: evening
        start: "+2h"
        listings:
          - {sku: mask, price: 100, stock: 7}
`

// TestConsoleByKeys: views by their numbers, the dialog of keys by ?, which Esc closes; back and
// forward; the language and the colours stay chosen.
func TestConsoleByKeys(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/now")
	tab.AwaitText("h1", "Now")
	tab.Press("?")
	tab.Await(`document.querySelector("dialog[open]")`)
	tab.Accessible()
	tab.Press(kb.Escape)
	tab.Await(`!document.querySelector("dialog")`)

	tab.Click("#language")
	tab.AwaitText("h1", "实时")
	tab.Click("#theme")
	tab.Await(`document.documentElement.dataset.theme === "dark"`)
	tab.Reload()
	tab.AwaitText("h1", "实时")
	tab.Await(`document.documentElement.dataset.theme === "dark"`)
	tab.Click("#language")
	tab.AwaitText("h1", "Now")

	tab.Forgive("404")
	tab.Go("http://" + s.Admin + "/nothing")
	tab.AwaitText("body", "No route has this path")
	tab.Go("http://" + s.Admin + "/now")
	tab.AwaitText("h1", "Now")
	walk(t, tab)
}

// walk goes to each view by its key, and back.
func walk(t *testing.T, tab *browser.Tab) {
	t.Helper()
	steps := browser.Value[string](tab, `JSON.stringify([...document.querySelectorAll(".views a")].map(a => (
		{to: a.getAttribute("href"), key: a.querySelector("kbd").innerText, name: a.querySelector("span").innerText})))`)
	var all []struct{ To, Key, Name string }
	if err := json.Unmarshal([]byte(steps), &all); err != nil {
		t.Fatal(err, steps)
	}
	for _, x := range all {
		tab.Press(x.Key)
		tab.Await(fmt.Sprintf(`location.pathname === %q && document.title.startsWith(%q)`, x.To, x.Name))
		tab.AwaitText("main h1", x.Name)
	}
	tab.Press("1")
	tab.Await(`location.pathname === "/now"`)
	tab.Click(".brand")
	tab.Await(`location.pathname === "/"`)
	for _, step := range [][2]string{{"back", "/now"}, {"forward", "/"}} {
		browser.Value[bool](tab, "history."+step[0]+"(), true")
		tab.Await(fmt.Sprintf(`location.pathname === %q && document.querySelector("main h1").innerText === "Now"`, step[1]))
	}
}

// TestConsoleCurveMoves: while a session sells, its curve and its counts follow without anybody
// asking anew, by one stream; and a page that nobody looks at has none.
func TestConsoleCurveMoves(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/now?session=day")
	tab.Await(`document.querySelectorAll(".chart canvas").length === 3`)
	label := `document.querySelectorAll(".listing .plot")[0].getAttribute("aria-label")`
	tab.Await(label + `.includes("Held 0")`)
	for i := range 5 {
		s.MustGrant(fmt.Sprintf("shopper-%d", i), nodetest.NewKey(), "day/mask")
	}
	tab.Await(label + `.includes("Held 5")`)
	tab.Await(label + `.includes("Available 2")`)
	tab.AwaitText(".facts", "5 of 507")
	// The line itself rises: pixels of its colour stand above the ground.
	tab.Await(`(() => {
		const c = document.querySelectorAll(".listing canvas")[0], d = c.getContext("2d").getImageData(0, 0, c.width, c.height / 2).data;
		const held = getComputedStyle(document.querySelector(".listing .ink-held")).color.match(/\d+/g).map(Number);
		for (let i = 0; i < d.length; i += 4) {
			if (d[i + 3] > 200 && held.every((v, k) => Math.abs(v - d[i + k]) < 12)) return true;
		}
	})()`)
	tab.Screenshot("console-curve")
	s.Eventually(func() bool { return s.Metric("doorbuster_event_readers") == "1" },
		func() string { return "there is no stream, or more than one: " + s.Metric("doorbuster_event_readers") })
	tab.Hide(true)
	s.Eventually(func() bool { return s.Metric("doorbuster_event_readers") == "0" },
		func() string { return "a page that is not looked at keeps its stream" })
	s.MustGrant("shopper-9", nodetest.NewKey(), "day/mask")
	tab.Hide(false)
	tab.Await(label + `.includes("Held 6")`)
}

// TestConsoleCluster: a node is drained through the page, and let in again; taking one out asks
// for its name to be typed, and Enter does not do it; without a quorum each view says so, and
// from when what it shows is.
func TestConsoleCluster(t *testing.T) {
	b := browser.Open(t)
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	leader := f.Leader()
	drained := f.Others(leader)[0]
	tab := b.Profile().Tab(browser.View{})
	tab.Forgive("503|504|409")
	tab.Go("http://" + leader.Admin + "/cluster")
	tab.AwaitText("h1", "Cluster")
	tab.Await(`document.querySelectorAll("tbody tr").length === 3`)
	tab.Accessible()
	tab.Screenshot("console-cluster-three")
	drain := fmt.Sprintf(`button[aria-label="Drain: %s"]`, drained.ID)
	tab.Click(drain)
	tab.Accessible()
	tab.Click("dialog button[type=submit]")
	tab.AwaitText(".said", drained.ID+" takes no new shoppers")
	s, _ := leader.Status()
	for _, n := range s.Nodes {
		if n.Drained != (n.ID == drained.ID) {
			t.Errorf("%s is drained: %t", n.ID, n.Drained)
		}
	}
	tab.AwaitText("td .state", "drained")
	tab.Click(fmt.Sprintf(`button[aria-label="Let shoppers in again: %s"]`, drained.ID))
	tab.Click("dialog button[type=submit]")
	tab.AwaitText(".said", "takes shoppers again")

	tab.Click(fmt.Sprintf(`button[aria-label="Remove %[1]s: %[1]s"]`, drained.ID))
	tab.Await(`document.querySelector("dialog .danger").disabled`)
	tab.Accessible()
	tab.Type("dialog .field:nth-of-type(2) input", drained.ID)
	tab.Await(`!document.querySelector("dialog .danger").disabled`)
	tab.Press(kb.Enter)
	tab.Screenshot("console-danger")
	tab.Press(kb.Escape)
	tab.Await(`!document.querySelector("dialog")`)
	if s, _ = leader.Status(); len(s.Nodes) != 3 {
		t.Errorf("%d nodes", len(s.Nodes))
	}

	tab.AwaitText("main .card", "When the other zone is lost")
	tab.Click("main form.row > button")
	tab.AwaitText("main", "Leader last heard")
	for _, m := range f.Others(leader) {
		m.Kill()
	}
	tab.AwaitText(".stale", "No quorum")
	tab.Accessible()
	tab.Screenshot("console-no-quorum")
	tab.Press("1")
	tab.AwaitText("h1", "Now")
	tab.AwaitText(".stale", "No quorum")
	tab.AwaitText("#alarms", "No quorum")
	tab.Screenshot("console-alarms")
}

// TestConsoleCrowd: a switch is turned, a shopper is put on a list, a network is barred only by
// typing it, and a draw is verified, all through the page.
func TestConsoleCrowd(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(products + `
sales:
  - id: fans-day
    sessions:
      - id: day
        start: now
        listings:
          - {sku: wine, price: 149900, stock: 1, draw: 5s}
`)
	for _, who := range []string{"alice", "bob", "carol"} {
		s.Grab(who, nodetest.NewKey(), "day/wine")
	}
	tab := b.Profile().Tab(browser.View{})
	open := func(part string) {
		tab.Go("http://" + s.Admin + "/crowd?part=" + part)
		tab.AwaitText("h1", "Crowd")
	}
	open("switches")
	tab.Click(`button[aria-label="Turn: risk_lists"]`)
	tab.Await(`(() => {
		const choice = document.querySelector("dialog select");
		choice.value = "off";
		return choice.dispatchEvent(new Event("change", {bubbles: true}));
	})()`)
	tab.Type("dialog input", "tried in a test")
	tab.Click("dialog button[type=submit]")
	tab.AwaitText(".said", "risk_lists is turned")
	tab.AwaitText("td", "tried in a test")

	// What comes of a change after its dialog was closed is said.
	browser.Value[bool](tab, `(window.fetch = () => new Promise((answer) => {
		window.refuse = () => answer(new Response('{"title":"Refused for a test"}', {status: 409}));
	})) && true`)
	tab.Click(`button[aria-label="Turn: risk_lists"]`)
	tab.Click("dialog button[type=submit]")
	tab.Await("window.refuse")
	tab.Press(kb.Escape)
	tab.Await(`!document.querySelector("dialog")`)
	browser.Value[bool](tab, "(refuse(), true)")
	tab.AwaitText(".said .bad", "Refused for a test")

	open("lists")
	tab.AwaitText(".empty", "Nobody")
	tab.Type("main h3 ~ .row input", "mallory")
	tab.Click(`button[aria-label="Put on the list: mallory"]`)
	tab.Click("dialog button[type=submit]")
	tab.AwaitText(".said", "mallory is on the list")
	tab.AwaitText("tbody th", "mallory")
	tab.Screenshot("console-crowd-list")

	tab.Go("http://" + s.Admin + "/crowd?part=lists&list=risk%2Fips")
	tab.AwaitText("h2", "risk/ips")
	tab.AwaitText(".empty", "Nobody")
	tab.Type("main h3 ~ .row input", "203.0.113.0/24")
	tab.Click(`button[aria-label="Put on the list: 203.0.113.0/24"]`)
	tab.Await(`document.querySelector("dialog.grave .danger").disabled`)
	tab.Press(kb.Escape)
	tab.Await(`!document.querySelector("dialog")`)

	open("lines")
	tab.AwaitText("dd .state", "done")
	tab.Click("section form .strong")
	tab.AwaitText(".checks", "✓ The seed is the one that was committed to.")
	tab.Await(`document.querySelectorAll("[aria-label='The draw'] tbody tr").length === 3`)
	tab.Accessible()
	tab.Screenshot("console-draw")
}
