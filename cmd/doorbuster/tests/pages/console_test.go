package pages

import (
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

// TestConsoleOpens: the console shows a session that is open, and logs no error.
func TestConsoleOpens(t *testing.T) {
	b := browser.Open(t)
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(7))
	tab := b.Profile().Tab(browser.View{})
	tab.Go("http://" + s.Admin + "/")
	tab.AwaitText("body", "mask")
	tab.Accessible()
	tab.Screenshot("console")
}
