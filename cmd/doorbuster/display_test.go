package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestDisplayApart: with an address of its own the display answers there, within
// limits of its own, and shoppers' address sends whoever looks there.
func TestDisplayApart(t *testing.T) {
	s := openShop(t, t.TempDir(), "--display", "127.0.0.1:0", "--display-connections", "20")
	s.Apply(nodetest.DayPlan("", 3))
	if s.Shown == s.HTTP {
		t.Fatal("no address of its own")
	}
	look := "/v1/sessions/day/skus/sku-1"
	for _, path := range []string{"/v1/time", "/v1/sessions", look} {
		if a := s.Do("GET", s.Shown+path, ""); a.Status != 200 {
			t.Errorf("%s at the display: %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.Do("GET", s.HTTP+"/v1/time", ""); a.Status != 200 {
		t.Errorf("the time at the shoppers': %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"/v1/sessions", look} {
		if a := s.Do("GET", s.HTTP+path, ""); a.Status != 404 || !strings.Contains(a.Body, "another address") {
			t.Errorf("%s at the shoppers': %d %s", path, a.Status, a.Body)
		}
	}
	if a := s.Do("POST", s.Shown+look+"/grab", "", "X-Shopper-Id", "ann"); a.Status != 404 ||
		!strings.Contains(a.Body, "another address") {
		t.Errorf("a grab at the display: %d %s", a.Status, a.Body)
	}
	// A storm of looks that takes all connections of the display takes none of the
	// shoppers'.
	addr := strings.TrimPrefix(s.Shown, "http://")
	for range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("GET /v1/time HTTP/1.1\r\nHost: shop.test\r\n")); err != nil { // and never its end
			t.Fatal(err)
		}
	}
	s.Eventually(func() bool {
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
	}, func() string { return "one more connection is served at the display" })
	s.MustGrant("ann", "k", "day/sku-1")
	if n := s.Metric(`doorbuster_http_problems_total{api="display",kind="elsewhere",status="404"}`); n != "1" {
		t.Errorf("%s problems counted at the display", n)
	}
	if n := s.Metric(`doorbuster_http_problems_total{api="shopper",kind="elsewhere",status="404"}`); n != "2" {
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
	status, _, errs := runTool(t, "", nodetest.ServeArgs(t.TempDir(), "--display", ln.Addr().String())...)
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
	plan := strings.Replace(nodetest.Masks(10), "start: now", "start: "+start.UTC().Format(time.RFC3339), 1)
	s.Apply(strings.Replace(plan, "  - id: sale\n", "  - id: sale\n    timezone: Asia/Shanghai\n", 1))
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
		a := s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", "X-Shopper-Id", "ann", "Accept-Language", language)
		var told struct{ Code, Message string }
		if err := json.Unmarshal([]byte(a.Body), &told); err != nil || told.Code != "not_open" || told.Message != want {
			t.Errorf("%s: %s, want %q", language, a.Body, want)
		}
	}
}
