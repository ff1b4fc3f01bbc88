package pages

import (
	"fmt"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// TestConsoleAfter: the report of a session is a page, which can be printed; one step makes next
// time's profile of its switches, and leads on to a session that names it.
func TestConsoleAfter(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	s.MustRun("switches", "set", "rate_limits=200", "--note", "<b>bots</b>", "--admin", s.Admin)
	for i := range 7 {
		o := s.MustGrant(fmt.Sprintf("shopper-%d", i), "", "day/mask")
		if i < 5 {
			s.Pay(o, fmt.Sprintf("pay-%d", i))
		}
	}
	s.Grab("shopper-9", "", "day/mask")
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/after")
	tab.AwaitText("th a", "day")
	tab.Await(`![...document.querySelectorAll("th a")].some(a => a.innerText === "evening")`) // has not opened
	clicks(tab, "tbody", "day")
	tab.AwaitText(".state", "so far")
	s.End("day")
	clicks(tab, "main", "Ask again")
	tab.AwaitText(".state", "ended")
	seen(t, tab, "http://"+s.Admin+"/after/day", "after", `document.querySelectorAll(".bars li").length > 8`)
	tab.Go("http://" + s.Admin + "/after/day")
	tab.AwaitText(".facts", "7 units")
	tab.AwaitText(".facts", "CN¥5.00")
	tab.AwaitText("td", "not sold out") // the lamp
	tab.Media("print")
	tab.Await(`getComputedStyle(document.querySelector(".views")).display === "none"`)
	tab.Screenshot("console-after-printed")
	tab.Media("")
	if !browser.Value[bool](tab, `fetch(document.querySelector("a[download]").href).then(r => r.json()).then(r => r.session === "day")`) {
		t.Error("its JSON is not there")
	}

	clicks(tab, "main", "Make next time's profile")
	tab.Accessible()
	tab.Type(`dialog input[name="name"]`, "rush")
	tab.Click("dialog button[type=submit]")
	tab.Await(`location.pathname === "/plan"`)
	tab.AwaitText(".said", "The profile is made")
	clicks(tab, "main", "Limits, time to pay, profile")
	tab.Await(`document.querySelector('input[name="profile"]').value === "rush"`)
	if a := s.Ops("GET", "/admin/v1/profiles/rush", ""); a.Status != 200 {
		t.Error(a.Body)
	}
	noMarkup(t, tab)
}
