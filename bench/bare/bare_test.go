package bare

import (
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"doorbuster/bench/port"
)

// TestCounts: whatever was said to be applied was counted, and on all nodes is in the end.
func TestCounts(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) {
			var peers []string
			if nodes > 1 {
				addrs, release, err := port.Hold(nodes)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(release)
				peers = addrs
			}
			var all []*Node
			for i := range nodes {
				n, err := Open(Config{Dir: filepath.Join(t.TempDir(), "log"), Peers: peers, At: i})
				if err != nil {
					t.Fatal(err)
				}
				defer n.Close()
				all = append(all, n)
			}
			if err := all[0].AwaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			const callers, each = 32, 50
			var calling sync.WaitGroup
			for range callers {
				calling.Go(func() {
					for range each {
						if code, err := all[0].Grab(t.Context(), "", "", "shopper", "key", 1); code != "granted" {
							t.Errorf("%q, %v", code, err)
						}
					}
				})
			}
			calling.Wait()
			if n := all[0].Counted(); n != callers*each {
				t.Errorf("%d commands counted of %d", n, callers*each)
			}
		})
	}
}
