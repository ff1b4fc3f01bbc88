package everynode

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestStockNeverRisesForAHopper: a shopper who looks at one node after the other
// while others grab and give back, as fast as they can, never sees more than they
// has seen. Without the zone rule followers may be ahead of the leader, with it
// they are behind; a listing alone and the list of all agree.
func TestStockNeverRisesForAHopper(t *testing.T) {
	const units, grabbers, hoppers = 1_000_000, 12, 4
	for _, zoneAck := range []string{"off", "prefer"} {
		t.Run(zoneAck, func(t *testing.T) {
			f := nodetest.OpenFleet(t, zoneAck, nodetest.Rooms3...)
			f.Plan(nodetest.DayPlan("        admission_multiple: 0\n", units))
			f.Settled()
			keep := &http.Transport{MaxIdleConnsPerHost: grabbers + hoppers}
			defer keep.CloseIdleConnections()
			for _, m := range f.Nodes {
				m.Through = &http.Client{Timeout: nodetest.Patience, Transport: keep}
			}
			var done atomic.Bool
			var granted, cancelled, shown, unsure atomic.Int64
			var busy sync.WaitGroup
			for w := range grabbers {
				busy.Go(func() {
					for i := 0; !done.Load(); i++ {
						m, who := f.Nodes[(w+i)%len(f.Nodes)], fmt.Sprintf("s%d-%d", w, i)
						a, err := m.TryGrab(who, "k", "day/sku-1")
						if err != nil {
							t.Error(err)
							return
						}
						if a.Code != "granted" {
							continue
						}
						if granted.Add(1); i%3 == 0 {
							if a, err := m.Request("POST", m.HTTP+"/v1/orders/"+a.Order.OrderNo+"/cancel", "",
								"X-Shopper-Id", who); err == nil && a.Status == 200 {
								cancelled.Add(1)
							}
						}
					}
				})
			}
			for h := range hoppers {
				busy.Go(func() {
					for last, i := int64(units), h; !done.Load(); i++ {
						m, path := f.Nodes[i%len(f.Nodes)], "/v1/sessions/day/skus/sku-1"
						if i%5 == 0 {
							path = "/v1/sessions"
						}
						a, err := m.Request("GET", m.HTTP+path, "")
						if err != nil {
							t.Error(err)
							return
						}
						if a.Status == 503 {
							unsure.Add(1)
							continue
						}
						var seen struct {
							Stock    int64
							Sessions []struct{ Listings []struct{ Stock int64 } }
						}
						if err := json.Unmarshal([]byte(a.Body), &seen); err != nil || a.Status != 200 {
							t.Errorf("%d: %v: %s", a.Status, err, a.Body)
							return
						}
						if i%5 == 0 {
							seen.Stock = seen.Sessions[0].Listings[0].Stock
						}
						if seen.Stock > last {
							t.Errorf("%s shows %d units to a shopper who has seen %d", m.ID, seen.Stock, last)
							done.Store(true)
						}
						last = seen.Stock
						shown.Add(1)
					}
				})
			}
			end := func() { done.Store(true); busy.Wait() }
			defer end() // also where too little happens
			enough := func() bool { return granted.Load() >= 100 && cancelled.Load() >= 20 && shown.Load() >= 100 }
			began := time.Now()
			f.Eventually(func() bool {
				return done.Load() || time.Since(began) > 2*time.Second && enough()
			}, "too little happens to show anything")
			end()
			t.Logf("%d granted, %d cancelled; %d looks, %d more could not be answered", granted.Load(),
				cancelled.Load(), shown.Load(), unsure.Load())
		})
	}
}

// TestNobodyIsShownWhatMayBeOld: a node that hears of no leader shows no stock,
// and says so soon; the time it knows.
func TestNobodyIsShownWhatMayBeOld(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 10))
	left := f.Nodes[0]
	for _, m := range f.Others(left) {
		m.Kill()
	}
	f.Eventually(func() bool {
		return left.Do("GET", left.HTTP+"/v1/sessions", "").Status == 503
	}, "it goes on showing stock")
	a := left.Do("GET", left.HTTP+"/v1/sessions/day/skus/sku-1", "")
	if a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := left.Do("GET", left.HTTP+"/v1/time", ""); a.Status != 200 {
		t.Errorf("the time: %d %s", a.Status, a.Body)
	}
}
