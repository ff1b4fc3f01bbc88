package browser

import (
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
)

// Heap gives how many bytes of the page's scripts are in use after a collection.
func (tab *Tab) Heap() int64 {
	tab.t.Helper()
	for range 3 { // what a first one frees may hold more
		call(tab, heapprofiler.CollectGarbage, cdp.Empty{})
	}
	return int64(call(tab, runtime.GetHeapUsage, cdp.Empty{}).UsedSize)
}
