package ledger

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/nodetest"
)

// "make ledger" asks for sessions of 50,000 units, and for millions of orders.
var (
	settledUnits    = flag.Int("settled.units", 1000, "units of a session that is settled")
	settledSessions = flag.Int("settled.sessions", 3, "sessions that a rush finds settled")
)

// rushOf sells grants units of a session at a rate, to shoppers of its own.
func rushOf(s *nodetest.Shop, session string, grants, rate int) *bench.RushReport {
	s.T.Helper()
	return s.SellOff(session, grants, func(c *bench.RushConfig) {
		c.ShopperPrefix, c.Rate, c.PayShare, c.CancelShare = session+"-", float64(rate), 0, 0
	})
}

// TestRushBesideSettling: one session of all units is settled and cleared while another
// sells. That all are sold and found again it demands; how quick the grants are, beside
// the same rush alone, it tells.
func TestRushBesideSettling(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	rate, grants, units := nodetest.RushRate(), 2000, *settledUnits**settledSessions
	if *settledUnits > 10_000 {
		rate, grants = 10_000, 200_000
	}
	s.Apply(nodetest.DaysPlan(units, grants, grants))
	s.SellOff("day0", units, func(*bench.RushConfig) {})
	s.End("day0")
	alone := rushOf(s, "day1", grants, rate)
	settled := make(chan time.Duration)
	go func() {
		defer close(settled) // also where settling fails the test
		began := time.Now()
		s.Settle("day0")
		settled <- time.Since(began)
	}()
	beside := rushOf(s, "day2", grants, rate)
	t.Logf("%d orders left memory within %s", units, (<-settled).Round(time.Millisecond))
	t.Logf("granted at %d a second: p50 %.2f ms, p99 %.2f ms alone, p50 %.2f ms, p99 %.2f ms beside the settling", rate,
		alone.Latency.Granted.P50, alone.Latency.Granted.P99, beside.Latency.Granted.P50, beside.Latency.Granted.P99)
	for _, i := range []int{0, units / 2, units - 1} {
		a := s.Do("GET", s.HTTP+"/v1/orders?limit=50", "", "X-Shopper-Id", fmt.Sprint("s", i))
		if n := strings.Count(a.Body, `"order_no"`); a.Status != 200 || n != 1 {
			t.Errorf("s%d finds %d orders: %d %s", i, n, a.Status, a.Body)
		}
	}
}

// TestKilledWhileOrdersLeave: whenever a node is killed after a session was settled, its
// orders have left memory some time after it is back, and all are found once, as they
// were.
func TestKilledWhileOrdersLeave(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	const sessions, units, samples = 3, 3000, 50
	s.Apply(nodetest.DaysPlan(slices.Repeat([]int{units}, sessions)...))
	had := func() (all []string) {
		for i := range samples {
			a := s.Do("GET", s.HTTP+"/v1/orders?limit=50", "", "X-Shopper-Id", fmt.Sprint("s", i*units/samples))
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
		s.SellOff(session, units, func(*bench.RushConfig) {})
		s.End(session)
		before := had()
		var a nodetest.Reply
		s.Eventually(func() bool {
			a = s.Ops("POST", "/admin/v1/sessions/"+session+"/settle", `{"note":"books"}`)
			return a.Status == 200
		}, func() string { return session + " is not settled: " + a.Body })
		for range i { // each a little later than the one before
			s.Metric("doorbuster_sessions_leaving")
		}
		s.Child.Process.Kill()
		s.Wait()
		s = nodetest.Open(t, s.Dir)
		if s.Metric("doorbuster_sessions_leaving") == "1" {
			cut++
		}
		s.Eventually(func() bool { return s.Metric("doorbuster_sessions_leaving") == "0" },
			func() string { return "the orders of " + session + " do not leave memory" })
		for j, after := range had() {
			if after != before[j] {
				t.Errorf("%s, after %s:\n%s\nbefore the kill\n%s", fmt.Sprint("s", j*units/samples), session, after,
					before[j])
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
	s := nodetest.Open(t, t.TempDir())
	rate, grants := nodetest.RushRate(), 2000
	if *settledUnits > 10_000 {
		rate, grants = 10_000, 300_000
	}
	n := *settledSessions
	s.Apply(nodetest.DaysPlan(grants))
	alone := rushOf(s, "day0", grants, rate)
	s.Apply(nodetest.DaysPlan(slices.Concat([]int{grants}, slices.Repeat([]int{*settledUnits}, n), []int{grants})...))
	began := time.Now()
	for i := range n {
		s.SellAndSettle(fmt.Sprint("day", i+1), *settledUnits)
	}
	t.Logf("%d orders are settled after %s, the ledger is %s bytes", n**settledUnits,
		time.Since(began).Round(time.Second), s.Metric("doorbuster_ledger_bytes"))

	stop, looked, lag := make(chan struct{}), make(chan [2][]time.Duration), make(chan float64)
	go func() {
		desk := *s // whose connections stay open
		desk.Through = &http.Client{Timeout: nodetest.Patience}
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
			a := desk.Do("GET", s.HTTP+"/v1/orders?limit=20", "", "X-Shopper-Id", shopper)
			took[0] = append(took[0], time.Since(at))
			_, after, found := strings.Cut(a.Body, `"order_no":"`)
			if !found {
				t.Errorf("%s finds nothing: %d %s", shopper, a.Status, a.Body)
				continue
			}
			no, _, _ := strings.Cut(after, `"`)
			at = time.Now()
			if a := desk.Ops("GET", "/admin/v1/orders/"+no, ""); a.Status != 200 {
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
			if now, err := strconv.ParseFloat(s.Metric("doorbuster_ledger_lag_seconds"), 64); err != nil {
				t.Error(err)
			} else {
				behind = max(behind, now)
			}
		}
	}()
	beside := rushOf(s, fmt.Sprint("day", n+1), grants, rate)
	close(stop)
	took, behind := <-looked, <-lag
	for i, what := range []string{"by shopper", "by number"} {
		slices.Sort(took[i])
		if len(took[i]) == 0 {
			t.Fatal("nothing was looked up")
		}
		t.Logf("%s: %d look-ups, p50 %s, p99 %s", what, len(took[i]), took[i][len(took[i])/2],
			took[i][len(took[i])*99/100])
	}
	t.Logf("granted at %d a second: p50 %.2f ms, p99 %.2f ms before, p50 %.2f ms, p99 %.2f ms beside the look-ups",
		rate,
		alone.Latency.Granted.P50, alone.Latency.Granted.P99, beside.Latency.Granted.P50, beside.Latency.Granted.P99)
	at := time.Now()
	s.Eventually(func() bool {
		return s.Metric("doorbuster_ledger_lag_events") == "0"
	}, func() string { return "the ledger does not catch up" })
	t.Logf("the ledger was at most %.2f s behind, and had all %s after the end", behind,
		time.Since(at).Round(time.Millisecond))
	for metric, want := range map[string]string{"doorbuster_ledger_gaps": "0", "doorbuster_ledger_rebuilds_total": "0",
		"doorbuster_ledger_whole": "1"} {
		if got := s.Metric(metric); got != want {
			t.Errorf("%s is %s", metric, got)
		}
	}
}
