package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// "make ledger" asks for sessions of 50,000 units.
var settledUnits = flag.Int("settled.units", 1000, "units of a session that is settled")

// heapAlone is set where this binary runs TestHeapComesBack and nothing else: what
// tests before it have left would go in its midst.
const heapAlone = "TEST_DOORBUSTER_HEAP"

// TestHeapComesBack: ten sessions that were sold through the door and settled leave
// the heap of a whole node as it was, and their orders are found.
func TestHeapComesBack(t *testing.T) {
	if os.Getenv(heapAlone) == "" {
		alone := exec.Command(os.Args[0], "-test.run=^TestHeapComesBack$", "-test.v",
			fmt.Sprint("-settled.units=", *settledUnits))
		alone.Env = append(os.Environ(), heapAlone+"=1")
		said, err := alone.CombinedOutput()
		if t.Logf("%s", said); err != nil {
			t.Error(err)
		}
		return
	}
	// The rate of writes remembers up to 262,144 orders, settled or not.
	s := openShop(t, t.TempDir(), "--rate-limit-write-per-second", "0")
	const sessions = 11
	first := max(*settledUnits, 10_000) // fills pools, tables and what is kept of the log's end
	s.Apply(nodetest.DaysPlan(append([]int{first}, slices.Repeat([]int{*settledUnits}, sessions-1)...)...))
	heap := func() int64 {
		var m runtime.MemStats
		http.DefaultClient.CloseIdleConnections()
		runtime.GC()
		runtime.GC() // what finalizers held goes with the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	s.SellAndSettle("day0", first)
	before := heap()
	for i := 1; i < sessions; i++ {
		s.SellAndSettle(fmt.Sprint("day", i), *settledUnits)
	}
	most, after := before+before/10, heap()
	for deadline := time.Now().Add(nodetest.Patience); after > most && time.Now().Before(deadline); after = heap() {
		time.Sleep(10 * time.Millisecond) // what writes may still have the last entries in hand
	}
	t.Logf("sessions of %d: %d KiB before, %d KiB after ten of them, %+.1f%%", *settledUnits, before>>10, after>>10,
		100*float64(after-before)/float64(before))
	if after > most {
		t.Errorf("%d bytes of heap before, %d after ten sessions of %d were settled", before, after, *settledUnits)
	}
	for _, i := range []int{0, *settledUnits / 2, *settledUnits - 1} {
		shopper := fmt.Sprint("s", i)
		a := s.Do("GET", s.HTTP+"/v1/orders?limit=50", "", "X-Shopper-Id", shopper)
		if n := strings.Count(a.Body, `"order_no"`); a.Status != 200 || n != sessions {
			t.Errorf("%s finds %d orders: %d %s", shopper, n, a.Status, a.Body)
		}
	}
}
