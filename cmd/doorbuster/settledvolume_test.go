package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
)

// "make ledger" asks for sessions of 50,000 units, and for millions of orders.
var (
	settledUnits    = flag.Int("settled.units", 1000, "units of a session that is settled")
	settledSessions = flag.Int("settled.sessions", 3, "sessions that a rush finds settled")
)

// daysPlan is the plan of one open session for each number of units.
func daysPlan(units ...int) string {
	var b strings.Builder
	b.WriteString("products: [{id: mask, list_price: 100, currency: CNY}]\nsales:\n  - id: sale\n    sessions:\n")
	for i, n := range units {
		fmt.Fprintf(&b, "      - {id: day%d, start: now, duration: 24h, listings: [{sku: mask, price: 100, stock: %d}]}\n", i, n)
	}
	return b.String()
}

// sellOff sells a session to so many shoppers, through their door; half pay, half
// cancel.
func (s *shop) sellOff(session string, shoppers int, change func(*bench.RushConfig)) *bench.RushReport {
	s.t.Helper()
	c := bench.DefaultRushConfig()
	c.Addrs, c.Admin, c.Shoppers = []string{strings.TrimPrefix(s.http, "http://")}, s.admin, shoppers
	c.ShopperPrefix, c.Listings = "s", []bench.Listing{{Session: session, SKU: "mask"}}
	c.AgainShare, c.AnewShare, c.SecondListingShare, c.ReturnShare = 0, 0, 0, 0
	c.PayShare, c.CancelShare, c.DecideWithin, c.Connections = 0.5, 0.5, 100*time.Millisecond, 64
	change(&c)
	report, err := bench.Rush(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	if report.Orders != int64(shoppers) || !report.OK() {
		s.t.Errorf("%s: %d orders of %d; %+v", session, report.Orders, shoppers, report.Verdict)
	}
	return report
}

// sellAndSettle sells a session and has its orders leave memory.
func (s *shop) sellAndSettle(session string, shoppers int) {
	s.t.Helper()
	s.sellOff(session, shoppers, func(*bench.RushConfig) {})
	s.end(session)
	s.settle(session)
}

func (s *shop) end(session string) {
	s.t.Helper()
	if a := s.ops("POST", "/admin/v1/sessions/"+session+"/end", `{}`); a.Status != 200 {
		s.t.Fatal(a.Body)
	}
}

// settle has an ended session's orders leave memory.
func (s *shop) settle(session string) {
	s.t.Helper()
	var a reply
	s.eventually(func() bool {
		a = s.ops("POST", "/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`)
		return a.Status == 200
	}, func() string { return session + " is not settled: " + a.Body })
	s.eventually(func() bool { return s.metric("doorbuster_sessions_leaving") == "0" },
		func() string { return "the orders of " + session + " do not leave memory" })
}

// TestHeapComesBack: ten sessions that were sold through the door and settled leave
// the heap of a whole node as it was, and their orders are found.
func TestHeapComesBack(t *testing.T) {
	// The rate of writes remembers up to 262,144 orders, settled or not.
	s := openShop(t, t.TempDir(), "--rate-limit-write-per-second", "0")
	const sessions = 11
	first := max(*settledUnits, 10_000) // fills pools, tables and what is kept of the log's end
	s.apply(daysPlan(append([]int{first}, slices.Repeat([]int{*settledUnits}, sessions-1)...)...))
	heap := func() int64 {
		var m runtime.MemStats
		http.DefaultClient.CloseIdleConnections()
		runtime.GC()
		runtime.GC() // what finalizers held goes with the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	s.sellAndSettle("day0", first)
	before := heap()
	for i := 1; i < sessions; i++ {
		s.sellAndSettle(fmt.Sprint("day", i), *settledUnits)
	}
	most, after := before+before/10, heap()
	for deadline := time.Now().Add(patience); after > most && time.Now().Before(deadline); after = heap() {
		time.Sleep(10 * time.Millisecond) // what writes may still have the last entries in hand
	}
	t.Logf("sessions of %d: %d KiB before, %d KiB after ten of them, %+.1f%%", *settledUnits, before>>10, after>>10, 100*float64(after-before)/float64(before))
	if after > most {
		t.Errorf("%d bytes of heap before, %d after ten sessions of %d were settled", before, after, *settledUnits)
	}
	for _, i := range []int{0, *settledUnits / 2, *settledUnits - 1} {
		shopper := fmt.Sprint("s", i)
		a := s.do("GET", s.http+"/v1/orders?limit=50", "", "X-Shopper-Id", shopper)
		if n := strings.Count(a.Body, `"order_no"`); a.Status != 200 || n != sessions {
			t.Errorf("%s finds %d orders: %d %s", shopper, n, a.Status, a.Body)
		}
	}
}

// rushOf sells grants units of a session at a rate, to shoppers of its own.
func (s *shop) rushOf(session string, grants, rate int) *bench.RushReport {
	s.t.Helper()
	return s.sellOff(session, grants, func(c *bench.RushConfig) {
		c.ShopperPrefix, c.Rate, c.PayShare, c.CancelShare = session+"-", float64(rate), 0, 0
	})
}

// TestRushBesideSettling: one session of all units is settled and cleared while another
// sells. That all are sold and found again it demands; how quick the grants are, beside
// the same rush alone, it tells.
func TestRushBesideSettling(t *testing.T) {
	s := spawnShop(t, t.TempDir())
	rate, grants, units := rushRate(), 2000, *settledUnits**settledSessions
	if *settledUnits > 10_000 {
		rate, grants = 10_000, 200_000
	}
	s.apply(daysPlan(units, grants, grants))
	s.sellOff("day0", units, func(*bench.RushConfig) {})
	s.end("day0")
	alone := s.rushOf("day1", grants, rate)
	settled := make(chan time.Duration)
	go func() {
		defer close(settled) // also where settling fails the test
		began := time.Now()
		s.settle("day0")
		settled <- time.Since(began)
	}()
	beside := s.rushOf("day2", grants, rate)
	t.Logf("%d orders left memory within %s", units, (<-settled).Round(time.Millisecond))
	t.Logf("granted at %d a second: p50 %.2f ms, p99 %.2f ms alone, p50 %.2f ms, p99 %.2f ms beside the settling", rate,
		alone.Latency.Granted.P50, alone.Latency.Granted.P99, beside.Latency.Granted.P50, beside.Latency.Granted.P99)
	for _, i := range []int{0, units / 2, units - 1} {
		a := s.do("GET", s.http+"/v1/orders?limit=50", "", "X-Shopper-Id", fmt.Sprint("s", i))
		if n := strings.Count(a.Body, `"order_no"`); a.Status != 200 || n != 1 {
			t.Errorf("s%d finds %d orders: %d %s", i, n, a.Status, a.Body)
		}
	}
}

// TestKilledWhileOrdersLeave: whenever a node is killed after a session was settled, its
// orders have left memory some time after it is back, and all are found once, as they
// were.
func TestKilledWhileOrdersLeave(t *testing.T) {
	s := spawnShop(t, t.TempDir())
	const sessions, units, samples = 3, 3000, 50
	s.apply(daysPlan(slices.Repeat([]int{units}, sessions)...))
	had := func() (all []string) {
		for i := range samples {
			a := s.do("GET", s.http+"/v1/orders?limit=50", "", "X-Shopper-Id", fmt.Sprint("s", i*units/samples))
			if a.Status != 200 {
				t.Fatal(a.Status, a.Body)
			}
			all = append(all, a.Body)
		}
		return all
	}
	cut := 0
	for i := range sessions {
		session := fmt.Sprint("day", i)
		s.sellOff(session, units, func(*bench.RushConfig) {})
		s.end(session)
		before := had()
		var a reply
		s.eventually(func() bool {
			a = s.ops("POST", "/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`)
			return a.Status == 200
		}, func() string { return session + " is not settled: " + a.Body })
		for range i { // each a little later than the one before
			s.metric("doorbuster_sessions_leaving")
		}
		s.child.Process.Kill()
		s.wait()
		s = spawnShop(t, s.dir)
		if s.metric("doorbuster_sessions_leaving") == "1" {
			cut++
		}
		s.eventually(func() bool { return s.metric("doorbuster_sessions_leaving") == "0" },
			func() string { return "the orders of " + session + " do not leave memory" })
		for j, after := range had() {
			if after != before[j] {
				t.Errorf("%s, after %s:\n%s\nbefore the kill\n%s", fmt.Sprint("s", j*units/samples), session, after, before[j])
			}
		}
		if n := strings.Count(before[0], `"order_no"`); n != i+1 {
			t.Errorf("%d orders of one shopper in %d sessions", n, i+1)
		}
	}
	t.Logf("%d of %d restarts found orders that had yet to leave", cut, sessions)
}

// TestRushBesideTheLedger: while a thousand grants a second (without the race
// detector ten thousand) go through the door, settled orders are looked up, one
// after another. How quick all of it is, beside the same rush before anything was
// settled, it tells; that everything is found and the ledger keeps up, it demands.
func TestRushBesideTheLedger(t *testing.T) {
	s := spawnShop(t, t.TempDir())
	rate, grants := rushRate(), 2000
	if *settledUnits > 10_000 {
		rate, grants = 10_000, 300_000
	}
	n := *settledSessions
	s.apply(daysPlan(grants))
	alone := s.rushOf("day0", grants, rate)
	s.apply(daysPlan(slices.Concat([]int{grants}, slices.Repeat([]int{*settledUnits}, n), []int{grants})...))
	began := time.Now()
	for i := range n {
		s.sellAndSettle(fmt.Sprint("day", i+1), *settledUnits)
	}
	t.Logf("%d orders are settled after %s, the ledger is %s bytes", n**settledUnits, time.Since(began).Round(time.Second), s.metric("doorbuster_ledger_bytes"))

	stop, looked, lag := make(chan struct{}), make(chan [2][]time.Duration), make(chan float64)
	go func() {
		desk := *s // whose connections stay open
		desk.through = &http.Client{Timeout: patience}
		var took [2][]time.Duration
		random := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				looked <- took
				return
			case <-time.After(time.Millisecond):
			}
			shopper := fmt.Sprint("s", random.IntN(*settledUnits))
			at := time.Now()
			a := desk.do("GET", s.http+"/v1/orders?limit=20", "", "X-Shopper-Id", shopper)
			took[0] = append(took[0], time.Since(at))
			_, after, found := strings.Cut(a.Body, `"order_no":"`)
			if !found {
				t.Errorf("%s finds nothing: %d %s", shopper, a.Status, a.Body)
				continue
			}
			no, _, _ := strings.Cut(after, `"`)
			at = time.Now()
			if a := desk.ops("GET", "/admin/v1/orders/"+no, ""); a.Status != 200 {
				t.Errorf("%s: %d %s", no, a.Status, a.Body)
			}
			took[1] = append(took[1], time.Since(at))
		}
	}()
	go func() {
		behind, look := 0.0, time.NewTicker(200*time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-stop:
				lag <- behind
				return
			case <-look.C:
			}
			if now, err := strconv.ParseFloat(s.metric("doorbuster_ledger_lag_seconds"), 64); err != nil {
				t.Error(err)
			} else {
				behind = max(behind, now)
			}
		}
	}()
	beside := s.rushOf(fmt.Sprint("day", n+1), grants, rate)
	close(stop)
	took, behind := <-looked, <-lag
	for i, what := range []string{"by shopper", "by number"} {
		slices.Sort(took[i])
		if len(took[i]) == 0 {
			t.Fatal("nothing was looked up")
		}
		t.Logf("%s: %d look-ups, p50 %s, p99 %s", what, len(took[i]), took[i][len(took[i])/2], took[i][len(took[i])*99/100])
	}
	t.Logf("granted at %d a second: p50 %.2f ms, p99 %.2f ms before, p50 %.2f ms, p99 %.2f ms beside the look-ups", rate,
		alone.Latency.Granted.P50, alone.Latency.Granted.P99, beside.Latency.Granted.P50, beside.Latency.Granted.P99)
	at := time.Now()
	s.eventually(func() bool { return s.metric("doorbuster_ledger_lag_events") == "0" }, func() string { return "the ledger does not catch up" })
	t.Logf("the ledger was at most %.2f s behind, and had all %s after the end", behind, time.Since(at).Round(time.Millisecond))
	for metric, want := range map[string]string{"doorbuster_ledger_gaps": "0", "doorbuster_ledger_rebuilds_total": "0", "doorbuster_ledger_whole": "1"} {
		if got := s.metric(metric); got != want {
			t.Errorf("%s is %s", metric, got)
		}
	}
}
