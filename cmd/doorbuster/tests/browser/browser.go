package browser

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Patience bounds every wait for something that a page should soon show; a machine that
// is busy with other tests is slow, not wrong.
const Patience = 30 * time.Second

var kept = flag.String("browser.screenshots", "", "`folder` that screenshots are kept in; without it they go with "+
	"the test")

// programs are the names that a Chromium goes by.
var programs = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
	"headless-shell"}

// Browser is a Chromium without a window. It ends with the test.
type Browser struct {
	t           *testing.T
	ctx         context.Context
	screenshots string
}

// Open starts a Chromium, or skips the test where there is none.
func Open(t *testing.T) *Browser {
	t.Helper()
	path := ""
	for _, name := range programs {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skipf("there is no Chromium (looked for %s): 'make tools' installs one", strings.Join(programs, ", "))
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // which needs a user namespace; containers, and root, have none
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-US"))
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(allocated)
	b := &Browser{t: t, ctx: ctx, screenshots: *kept}
	if b.screenshots == "" {
		b.screenshots = t.TempDir()
	}
	t.Cleanup(func() {
		closeBrowser()
		stop() // waits until the process is gone, whose folder goes next
	})
	if err := os.MkdirAll(b.screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	return b
}

// Profile is somebody with cookies and storage of their own.
type Profile struct {
	b  *Browser
	id cdp.BrowserContextID
}

// Profile gives a new one.
func (b *Browser) Profile() *Profile {
	b.t.Helper()
	made, err := chromedp.CallBrowser(b.ctx, target.CreateBrowserContext, target.CreateBrowserContextParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	return &Profile{b, made.BrowserContextID}
}

// file is where a screenshot of this name goes.
func (b *Browser) file(name string) string { return filepath.Join(b.screenshots, name+".png") }
