package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// View is how somebody looks at a page. Zero fields are 1400 pixels, light, English.
type View struct {
	Width    int
	Dark     bool
	Language string // as navigator.language has it: zh-CN
}

// Widths are those that pages are made for: a phone and a desk.
var Widths = []int{390, 1400}

// Name tells views apart in names of files.
func (v View) Name() string {
	v = v.withDefaults()
	light := "light"
	if v.Dark {
		light = "dark"
	}
	return fmt.Sprintf("%d-%s-%.2s", v.Width, light, v.Language)
}

func (v View) withDefaults() View {
	if v.Width == 0 {
		v.Width = Widths[1]
	}
	if v.Language == "" {
		v.Language = "en-US"
	}
	return v
}

// EveryView gives each width in light and dark and in both languages.
func EveryView() (all []View) {
	for _, width := range Widths {
		for _, dark := range []bool{false, true} {
			for _, language := range []string{"en-US", "zh-CN"} {
				all = append(all, View{width, dark, language})
			}
		}
	}
	return all
}

// Tab is a page that somebody looks at. One goroutine at a time uses it.
type Tab struct {
	t   *testing.T
	b   *Browser
	ctx context.Context

	mu       sync.Mutex
	errors   []string
	forgiven []*regexp.Regexp
}

// Tab opens one more tab of the profile. To what its page asks in a dialog it says yes.
func (p *Profile) Tab(v View) *Tab {
	t := p.b.t
	t.Helper()
	tab := &Tab{t: t, b: p.b}
	ctx, closeTab := chromedp.NewContext(p.b.ctx, chromedp.WithExistingBrowserContext(p.id),
		chromedp.WithListener(tab.hear))
	tab.ctx = ctx
	t.Cleanup(func() {
		closeTab()
		for _, said := range tab.Errors() {
			t.Errorf("the page has an error: %s", said)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context, and has no deadline
		t.Fatal(err)
	}
	dialogs := chromedp.Events(ctx, page.JavascriptDialogOpening)
	go func() { // a page that asks is told yes
		for _, err := range dialogs {
			if err != nil {
				return
			}
			_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}
	}()
	call(tab, log.Enable, cdp.Empty{})
	call(tab, network.Enable, network.EnableParams{})
	tab.View(v)
	return tab
}

// View changes how the page is looked at. Pages read the language when they are loaded.
func (tab *Tab) View(v View) {
	tab.t.Helper()
	v = v.withDefaults()
	phone, scheme, height := v.Width < 600, "light", int64(900)
	if v.Dark {
		scheme = "dark"
	}
	if phone {
		height = 844
	}
	call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(v.Width), Height: height, DeviceScaleFactor: 1, Mobile: phone})
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	call(tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: Value[string](tab, "navigator.userAgent"), AcceptLanguage: v.Language})
}

// Media has the page take itself for printed ("print"), or shown on a screen again ("").
func (tab *Tab) Media(kind string) {
	tab.t.Helper()
	call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: kind})
}

// hear notes what the page logs and throws.
func (tab *Tab) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = "thrown: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			said += " " + x.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		said = "console:"
		for _, a := range e.Args {
			said += " " + string(a.Value) + a.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError || strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
			return // browsers ask for an icon whatever the page says
		}
		said = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	default:
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.errors = append(tab.errors, said)
}

// Forgive says that errors which match are expected, before and after.
func (tab *Tab) Forgive(pattern string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.forgiven = append(tab.forgiven, regexp.MustCompile(pattern))
}

// Errors gives what the page has logged and thrown, but for what is forgiven.
func (tab *Tab) Errors() (all []string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
next:
	for _, said := range tab.errors {
		for _, f := range tab.forgiven {
			if f.MatchString(said) {
				continue next
			}
		}
		all = append(all, said)
	}
	return all
}

// Do does what chromedp can do, within Patience.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	Run(tab, chromedp.Steps(actions...))
}

// Run is Do with a result.
func Run[T any](tab *Tab, action chromedp.Action[T]) T {
	tab.t.Helper()
	result, err := try(tab, action)
	if err != nil {
		tab.fail(err)
	}
	return result
}

func try[T any](tab *Tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(tab.ctx, Patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// call sends one command of the protocol.
func call[P, R any](tab *Tab, command cdp.Command[P, R], params P) R {
	tab.t.Helper()
	return Run(tab, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
}

// fail ends the test with what the page shows.
func (tab *Tab) fail(err error) {
	tab.t.Helper()
	shown, _ := try(tab, chromedp.Evaluate[string](
		"location + ' shows\\n' + (document.body ? document.body.innerText : '')"))
	tab.t.Fatalf("%v; %s\nand has said %q", err, shown, tab.Errors())
}

// Go opens an address.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	tab.Do(chromedp.Navigate(url))
}

// Reload loads the page again.
func (tab *Tab) Reload() {
	tab.t.Helper()
	tab.Do(chromedp.Reload())
}

// Click clicks, with the mouse, what a CSS selector finds first, once it is to be seen,
// enabled, and not under something else.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	find := fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		if (!e || e.disabled) return null;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		return r.width > 0 && (e === top || e.contains(top)) ? {x, y} : null;
	})()`, quoted(selector))
	tab.Await(find)
	at := Value[*struct{ X, Y float64 }](tab, find)
	if at == nil {
		tab.fail(fmt.Errorf("%s went as it was to be clicked", selector))
	}
	tab.Do(chromedp.MouseClickXY(at.X, at.Y))
}

// Type writes into a field in place of what it has.
func (tab *Tab) Type(selector, text string) {
	tab.t.Helper()
	tab.Click(selector)
	tab.Do(chromedp.Evaluate[chromedp.Void]("document.querySelector(" + quoted(selector) + ").value = ''"))
	call(tab, input.InsertText, input.InsertTextParams{Text: text})
}

// Set gives a field that takes no text, such as a date and time, its value.
func (tab *Tab) Set(selector, value string) {
	tab.t.Helper()
	tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(e => {
		e.value = %s;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		e.dispatchEvent(new Event("change", {bubbles: true}));
	})(document.querySelector(%s))`, quoted(value), quoted(selector))))
}

// Press presses keys, as chromedp's kb names them, where the focus is.
func (tab *Tab) Press(keys string) {
	tab.t.Helper()
	tab.Do(chromedp.KeyEvent(keys))
}

// Await waits until an expression of JavaScript is true, through reloads.
func (tab *Tab) Await(expression string) {
	tab.t.Helper()
	ask := chromedp.Evaluate[bool]("(() => { try { return !!(" + expression + ") } catch { return false } })()")
	for deadline := time.Now().Add(Patience); ; {
		// A page that gives way to another may take the question along.
		ctx, cancel := context.WithTimeout(tab.ctx, Patience/5)
		holds, err := chromedp.Run(ctx, ask)
		cancel()
		if holds {
			return
		}
		if time.Now().After(deadline) {
			tab.fail(fmt.Errorf("waited for %s (%v)", expression, err))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// AwaitText waits until something that a CSS selector finds has a text in it.
func (tab *Tab) AwaitText(selector, text string) {
	tab.t.Helper()
	tab.Await(fmt.Sprintf("[...document.querySelectorAll(%s)].some(e => e.innerText.includes(%s))", quoted(selector),
		quoted(text)))
}

// Text gives the text of what a CSS selector finds first, once it is to be seen.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return strings.TrimSpace(Run(tab, chromedp.Text(chromedp.CSS(selector))))
}

// Value evaluates an expression of JavaScript, and a promise to its end.
func Value[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	return Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Offline takes the network away from the tab, or gives it back. What the browser logs
// of it meanwhile is forgiven.
func (tab *Tab) Offline(away bool) {
	tab.t.Helper()
	if away {
		tab.Forgive(`ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED`)
	}
	call(tab, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: away,
		DownloadThroughput: -1, UploadThroughput: -1})
	call(tab, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: away, DownloadThroughput: -1,
			UploadThroughput: -1}}})
}

// Hide has the page believe that nobody looks at it, as of another tab or a phone in a
// pocket, or that somebody does again.
func (tab *Tab) Hide(hidden bool) {
	tab.t.Helper()
	tab.Do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`
		Object.defineProperty(document, "hidden", {value: %t, configurable: true});
		Object.defineProperty(document, "visibilityState", {value: %t ? "hidden" : "visible", configurable: true});
		document.dispatchEvent(new Event("visibilitychange"));`, hidden, hidden)))
}

// Screenshot keeps the whole page as NAME.png, from its top.
func (tab *Tab) Screenshot(name string) {
	tab.t.Helper()
	tab.Do(chromedp.Evaluate[chromedp.Void]("scrollTo(0, 0)"))
	if err := os.WriteFile(tab.b.file(name), Run(tab, chromedp.FullScreenshot(100)), 0o644); err != nil {
		tab.t.Fatal(err)
	}
}

//go:embed testdata/axe-core/axe.min.js
var axe string

// Accessible expects that axe-core finds nothing serious or critical on the page as it is, and
// that a dialog has room for what it says.
func (tab *Tab) Accessible() {
	tab.t.Helper()
	if cut := Value[string](tab, `[...document.querySelectorAll("dialog[open]")].filter(d => d.scrollWidth > d.clientWidth)
		.map(d => d.innerText).join()`); cut != "" {
		tab.t.Errorf("a dialog is wider than it is shown: %s", cut)
	}
	if !Value[bool](tab, "'axe' in window") {
		tab.Do(chromedp.Evaluate[chromedp.Void](axe))
	}
	found := Value[string](tab, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => (
		{id: v.id, impact: v.impact, help: v.help, at: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary)}
	))))`)
	var violations []struct {
		ID, Impact, Help string
		At               []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		tab.t.Fatal(err, found)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			tab.t.Errorf("axe-core: %s (%s): %s\n  %s", v.ID, v.Impact, v.Help, strings.Join(v.At, "\n  "))
		}
	}
}

func quoted(text string) string {
	q, _ := json.Marshal(text) // a string always can
	return string(q)
}

// Upload has a field for files hold some, as if somebody had chosen them.
func (tab *Tab) Upload(selector string, files ...string) {
	tab.t.Helper()
	tab.Await("document.querySelector(" + quoted(selector) + ")")
	tab.Do(chromedp.SetUploadFiles(chromedp.CSS(selector), files))
}
