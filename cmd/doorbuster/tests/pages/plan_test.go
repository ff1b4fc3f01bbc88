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

// field selects the field that is to be seen with a label.
func field(tab *browser.Tab, label string) string {
	find := fmt.Sprintf(`[...document.querySelectorAll("label")].find(l => l.innerText === %q && l.checkVisibility())`, label)
	tab.Await(find)
	return `[id="` + browser.Value[string](tab, find+".htmlFor") + `"]`
}

// clicks clicks a button or a link by its text.
func clicks(tab *browser.Tab, within, text string) {
	mark := fmt.Sprintf(`(() => {
		const e = [...document.querySelectorAll(%q)].find(e => e.innerText === %q && !e.disabled && e.checkVisibility());
		if (!e) return false;
		for (const old of document.querySelectorAll("[data-click]")) delete old.dataset.click;
		e.dataset.click = "";
		return true;
	})()`, within+" button, "+within+" a, "+within+" summary", text)
	tab.Await(mark)
	tab.Click("[data-click]")
}

// TestPlanByForm: a session is changed by the form, which shows what it would change before it
// does; two operators at one session hear of each other; one that is like it is made.
func TestPlanByForm(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(scripted)
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/plan/evening")
	stock := `#change fieldset input[name="listings-0-stock"]`
	tab.Type(stock, "9")
	tab.Type(`#change fieldset input[name="listings-0-price"]`, "1.50")
	tab.Click("#change button[type=submit]")
	tab.AwaitText("#review .diff li", "evening")
	tab.AwaitText("#review ins", "150")
	tab.Accessible()
	tab.Screenshot("plan-diff")

	// Another operator was quicker.
	s.Apply(strings.Replace(scripted, `- id: evening
        start: "+2h"
        listings:
          - {sku: mask, price: 100, stock: 7}`, `- id: evening
        start: "+2h"
        limit_per_shopper: 4
        listings:
          - {sku: mask, price: 200, stock: 7}`, 1))
	clicks(tab, "#review", "Apply it")
	tab.AwaitText("#review .problem", "Meanwhile somebody has changed")
	tab.Click("#change form.plan-form > button")
	tab.AwaitText("#change .problem", "Somebody else has changed this session since you began")
	tab.AwaitText("#change .problem td", "2.00")
	tab.Accessible()
	tab.Screenshot("plan-conflict")
	clicks(tab, "#change", "Take their changes in")
	tab.Await(`!document.querySelector("#change .problem")`)
	tab.Click("#change form.plan-form > button")
	tab.AwaitText("#review del", "200")
	tab.Await(`document.querySelectorAll("#review .diff li").length === 2`) // theirs stays
	clicks(tab, "#review", "Apply it")
	tab.AwaitText(".said", "The plan is applied")
	s.Expect("evening/mask", 9, 0, 0)
	tab.Await(fmt.Sprintf(`document.querySelector(%q).value === "9"`, stock)) // the form begins anew

	clicks(tab, "#doings", "Another like it")
	tab.Type(field(tab, "Id"), "next")
	tab.Set(field(tab, "Start"), "2099-09-20T10:00")
	tab.Set(field(tab, "End"), "2099-09-20T11:30")
	clicks(tab, "main", "Add a listing")
	tab.Type(`input[name="listings-1-sku"]`, "lamp")
	tab.Type(`input[name="listings-1-price"]`, "49")
	tab.Type(`input[name="listings-1-stock"]`, "5")
	tab.Press(kb.Enter) // looks, and applies nothing
	tab.AwaitText("#review ins", "new, opens")
	tab.AwaitText("#review", "lamp")
	tab.Screenshot("plan-new")
	clicks(tab, "#review", "Apply it")
	tab.AwaitText(".said", "The plan is applied")
	tab.AwaitText("th a", "next")
	var made struct {
		State, Start, End string
		Listings          []struct{ Price int64 }
	}
	if err := json.Unmarshal([]byte(s.Ops("GET", "/admin/v1/sessions/next", "").Body), &made); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(made) != "{draft 2099-09-20T10:00:00Z 2099-09-20T11:30:00Z [{150} {4900}]}" {
		t.Error(made)
	}
	tab.Screenshot("plan")

	// The last plan, and the last change of words, one step back.
	if a := s.Ops("PUT", "/admin/v1/messages/fans-day/sold_out", `{"text": {"en": "Gone."}}`); a.Status != 200 {
		t.Fatal(a.Status, a.Body)
	}
	tab.Go("http://" + s.Admin + "/plan?part=history")
	tab.AwaitText("main h3", "Words")
	tab.AwaitText("main ins", "Gone.")
	tab.Accessible()
	tab.Screenshot("plan-history")
	clicks(tab, "main", "Take it back…")
	tab.AwaitText("dialog del", "Gone.")
	clicks(tab, "dialog", "Take it back")
	tab.AwaitText(".said", "It is as it was before")
	tab.Set(field(tab, "Kind"), "plan")
	tab.Await(`!document.querySelector("main ins")?.innerText.includes("Gone.")`)
	clicks(tab, "main", "Take it back…")
	tab.AwaitText("dialog .diff", "next")
	tab.Accessible()
	tab.Type(field(tab, "Why, for the audit trail"), "a slip")
	clicks(tab, "dialog", "Take it back")
	tab.AwaitText(".said", "It is as it was before")
	tab.AwaitText("main q", "a slip")
	if a := s.Ops("GET", "/admin/v1/sessions/next", ""); a.Status != 404 {
		t.Error("the session that the plan has made is still there", a.Status)
	}
	noMarkup(t, tab)
}

// TestPlanByFile: a file is looked at before it is applied; one that is broken is refused with
// its line, and one that is too large without reading it.
func TestPlanByFile(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	tab := b.Profile().Tab(browser.View{Width: 390})
	tab.Forgive("422")
	tab.Go("http://" + s.Admin + "/plan?part=file")
	dir := t.TempDir()
	choose := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tab.Upload(`input[type=file]`, path)
	}
	choose("large.yaml", strings.Repeat("# too much\n", 1<<19))
	tab.AwaitText("main .problem", "Split it")
	choose("broken.yaml", scripted+"      - id: [\n")
	tab.Await(`document.querySelector("textarea").value.includes("id: [")`)
	clicks(tab, "main", "Show what would change")
	tab.AwaitText("main .problem", "line 19: not YAML")
	tab.Accessible()
	choose("plan.yaml", scripted)
	tab.Await(`!document.querySelector("textarea").value.includes("id: [")`)
	clicks(tab, "main", "Show what would change")
	tab.AwaitText("#review ins", "new, opens")
	tab.Accessible()
	tab.Screenshot("plan-file")
	if len(s.EveryListing()) > 0 {
		t.Error("what was looked at is applied")
	}
	clicks(tab, "#review", "Apply it")
	tab.AwaitText(".said", "The plan is applied")
	s.Expect("day/mask", 7, 0, 0)
	clicks(tab, "main", "Begin with the plan as it is")
	tab.Await(`document.querySelector("textarea").value.includes("fans-day")`)
	clicks(tab, "main", "Show what would change")
	tab.AwaitText("#review", "Nothing would change")

	clicks(tab, ".tabs", "Words")
	clicks(tab, "main", "All")
	tab.Click(`button[aria-label="Change: Granted"]`)
	tab.Type(field(tab, "In English"), "Yours for {pay_within}! <b>")
	tab.AwaitText("dialog .bubble", "Yours for 15 minutes! <b>")
	tab.Accessible()
	tab.Screenshot("plan-words-dialog")
	s.Ops("PUT", "/admin/v1/messages/fans-day/granted", `{"text":{"en":"Quicker."}}`)
	clicks(tab, "dialog", "Say it so")
	tab.AwaitText("dialog .problem", "Quicker.")
	clicks(tab, "dialog", "Say it so")
	tab.AwaitText(".said", "Changed: Granted")
	tab.AwaitText(".messages .bubble", "Yours for 15 minutes! <b>")
	tab.Screenshot("plan-words")
}
