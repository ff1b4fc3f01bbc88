package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStockNeverRisesForAHopper: a shopper who looks at one node after the other
// while others grab and give back, as fast as they can, never sees more than they
// has seen. Without the zone rule followers may be ahead of the leader, with it
// they are behind; a listing alone and the list of all agree.
func TestStockNeverRisesForAHopper(t *testing.T) {
	const units, grabbers, hoppers = 1_000_000, 12, 4
	for _, zoneAck := range []string{"off", "prefer"} {
		t.Run(zoneAck, func(t *testing.T) {
			f := openFleet(t, zoneAck, rooms3...)
			f.plan(dayPlan("        admission_multiple: 0\n", units))
			f.settled()
			keep := &http.Transport{MaxIdleConnsPerHost: grabbers + hoppers}
			defer keep.CloseIdleConnections()
			for _, m := range f.nodes {
				m.through = &http.Client{Timeout: patience, Transport: keep}
			}
			var done atomic.Bool
			var granted, cancelled, shown, unsure atomic.Int64
			var busy sync.WaitGroup
			for w := range grabbers {
				busy.Go(func() {
					for i := 0; !done.Load(); i++ {
						m, who := f.nodes[(w+i)%len(f.nodes)], fmt.Sprintf("s%d-%d", w, i)
						a, err := m.tryGrab(who, "k", "day/sku-1")
						if err != nil {
							t.Error(err)
							return
						}
						if a.Code != "granted" {
							continue
						}
						if granted.Add(1); i%3 == 0 {
							if a, err := m.request("POST", m.http+"/v1/orders/"+a.Order.OrderNo+"/cancel", "", "X-Shopper-Id", who); err == nil && a.Status == 200 {
								cancelled.Add(1)
							}
						}
					}
				})
			}
			for h := range hoppers {
				busy.Go(func() {
					for last, i := int64(units), h; !done.Load(); i++ {
						m, path := f.nodes[i%len(f.nodes)], "/v1/sessions/day/skus/sku-1"
						if i%5 == 0 {
							path = "/v1/sessions"
						}
						a, err := m.request("GET", m.http+path, "")
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
							t.Errorf("%s shows %d units to a shopper who has seen %d", m.id, seen.Stock, last)
							done.Store(true)
						}
						last = seen.Stock
						shown.Add(1)
					}
				})
			}
			enough := func() bool { return granted.Load() >= 100 && cancelled.Load() >= 20 && shown.Load() >= 100 }
			began := time.Now()
			f.eventually(func() bool { return done.Load() || time.Since(began) > 2*time.Second && enough() }, "too little happens to show anything")
			done.Store(true)
			busy.Wait()
			t.Logf("%d granted, %d cancelled; %d looks, %d more could not be answered", granted.Load(), cancelled.Load(), shown.Load(), unsure.Load())
		})
	}
}

// TestNobodyIsShownWhatMayBeOld: a node that hears of no leader shows no stock,
// and says so soon; the time it knows.
func TestNobodyIsShownWhatMayBeOld(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 10))
	left := f.nodes[0]
	for _, m := range f.others(left) {
		m.kill()
	}
	f.eventually(func() bool { return left.do("GET", left.http+"/v1/sessions", "").Status == 503 }, "it goes on showing stock")
	a := left.do("GET", left.http+"/v1/sessions/day/skus/sku-1", "")
	if a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := left.do("GET", left.http+"/v1/time", ""); a.Status != 200 {
		t.Errorf("the time: %d %s", a.Status, a.Body)
	}
}

// TestDisplayApart: with an address of its own the display answers there, within
// limits of its own, and shoppers' address sends whoever looks there.
func TestDisplayApart(t *testing.T) {
	s := openShop(t, t.TempDir(), "--display", "127.0.0.1:0", "--display-connections", "2")
	s.apply(dayPlan("", 3))
	if s.shown == s.http {
		t.Fatal("no address of its own")
	}
	look := "/v1/sessions/day/skus/sku-1"
	for _, path := range []string{"/v1/time", "/v1/sessions", look} {
		if a := s.do("GET", s.shown+path, ""); a.Status != 200 {
			t.Errorf("%s at the display: %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.do("GET", s.http+"/v1/time", ""); a.Status != 200 {
		t.Errorf("the time at the shoppers': %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"/v1/sessions", look} {
		if a := s.do("GET", s.http+path, ""); a.Status != 404 || !strings.Contains(a.Body, "another address") {
			t.Errorf("%s at the shoppers': %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.do("POST", s.shown+look+"/grab", "", "X-Shopper-Id", "ann"); a.Status != 404 || !strings.Contains(a.Body, "another address") {
		t.Errorf("a grab at the display: %d %s", a.Status, a.Body)
	}
	// A storm of looks that takes all connections of the display takes none of the
	// shoppers'.
	addr := strings.TrimPrefix(s.shown, "http://")
	for range 2 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("GET /v1/time HTTP/1.1\r\nHost: shop.test\r\n")); err != nil { // and never its end
			t.Fatal(err)
		}
	}
	s.eventually(func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err = c.Write([]byte("GET /v1/time HTTP/1.1\r\nHost: shop.test\r\n\r\n")); err != nil {
			return true
		}
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && r.StatusCode == 503 && r.Header.Get("Content-Type") == "application/problem+json"
	}, func() string { return "a third connection is served at the display" })
	s.mustGrant("ann", "k", "day/sku-1")
	if n := s.metric(`doorbuster_http_problems_total{api="display",kind="elsewhere",status="404"}`); n != "1" {
		t.Errorf("%s problems counted at the display", n)
	}
	if n := s.metric(`doorbuster_http_problems_total{api="shopper",kind="elsewhere",status="404"}`); n != "2" {
		t.Errorf("%s problems counted at the shoppers'", n)
	}
}

// TestDisplayAddressTaken: it is said which one, and why, and nothing is begun.
func TestDisplayAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	status, _, errs := runTool(t, "", serveArgs(t.TempDir(), "--display", ln.Addr().String())...)
	if status != 1 || !strings.Contains(errs, "--display") || !strings.Contains(errs, ln.Addr().String()) {
		t.Errorf("status %d: %s", status, errs)
	}
}

// TestTimesInTheSalesZone: a shopper hears when it starts as a person of the sale's zone
// says it, in the language that they want most.
func TestTimesInTheSalesZone(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	s := openShop(t, t.TempDir())
	start := time.Now().Add(48 * time.Hour).In(shanghai).Truncate(time.Minute)
	plan := strings.Replace(masks(10), "start: now", "start: "+start.UTC().Format(time.RFC3339), 1)
	s.apply(strings.Replace(plan, "  - id: sale\n", "  - id: sale\n    timezone: Asia/Shanghai\n", 1))
	year := func(format string) string {
		if start.Year() != time.Now().In(shanghai).Year() {
			return start.Format(format)
		}
		return ""
	}
	for language, want := range map[string]string{
		"de, en;q=0.5": "Starts at " + start.Format("15:04 on 2 January") + year(" 2006") + ".",
		"fr, zh;q=0.9": year("2006年") + start.Format("1月2日15:04") + " 开始。",
	} {
		a := s.do("POST", s.listingURL(mask)+"/grab", "", "X-Shopper-Id", "ann", "Accept-Language", language)
		var told struct{ Code, Message string }
		if err := json.Unmarshal([]byte(a.Body), &told); err != nil || told.Code != "not_open" || told.Message != want {
			t.Errorf("%s: %s, want %q", language, a.Body, want)
		}
	}
}
