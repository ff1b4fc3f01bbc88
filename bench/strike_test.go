package bench

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// deadAddr is a loopback address that nobody listens on.
const deadAddr = "127.0.0.1:1"

// TestRushOverSeveralNodes: shoppers and the verdict pass over nodes that are
// down, and one dies in the middle.
func TestRushOverSeveralNodes(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"day/mask": 100_000})
	second, third := serve(t, f.serveShop), serve(t, f.serveShop)
	c := DefaultRushConfig()
	c.Addrs = []string{deadAddr, f.shopAddr, second, third}
	c.Admin = deadAddr + "," + f.adminAddr
	c.Listings = []Listing{{Session: "day", SKU: "mask"}}
	c.Shoppers, c.Rate, c.Connections, c.Seed = 600, 1000, 8, 3
	c.Settle = 5 * time.Second
	c.StrikeAfter = 200 * time.Millisecond
	c.Strike = func() error { return nil }
	r, err := Rush(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := WriteTable(&text, r); err != nil {
		t.Fatal(err)
	}
	s := r.Strike
	if !r.OK() || r.Orders != 600 || s == nil || s.AtSeconds < 0.2 || s.NextGrantMS <= 0 ||
		s.GapMS <= 0 || s.Error != "" {
		t.Errorf("%+v\n%s", s, text.String())
	}
	if s != nil && !slices.Contains(c.Addrs[1:], s.NextBy) ||
		!strings.Contains(text.String(), "next grant to somebody who came after it") {
		t.Errorf("granted by %s:\n%s", s.NextBy, text.String())
	}
}

func TestStrikeThatComesToNothing(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		err   error
		want  string
	}{
		{time.Minute, nil, "the rush was over before"},
		{time.Millisecond, errors.New("no such process"), "no such process"},
	} {
		f := newFakeShop(t, sinNone, map[string]int{"day/mask": 100})
		cfg := DefaultRushConfig()
		cfg.Addrs, cfg.Admin = []string{f.shopAddr}, f.adminAddr
		cfg.Listings = []Listing{{Session: "day", SKU: "mask"}}
		cfg.Shoppers, cfg.Rate, cfg.Connections, cfg.DecideWithin = 50, 500, 4, 10*time.Millisecond
		cfg.StrikeAfter, cfg.Strike = c.after, func() error { return c.err }
		r, err := Rush(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := WriteTable(&text, r); err != nil || !strings.Contains(text.String(), "STRIKE") ||
			r.Strike.Error != c.want {
			t.Errorf("%+v, %v\n%s", r.Strike, err, text.String())
		}
	}
}

// TestConnGoesHome: a connection that left a node which was down comes back to it.
func TestConnGoesHome(t *testing.T) {
	f := newFakeShop(t, sinNone, nil)
	request := []byte("GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n")
	c := newConn([]string{deadAddr, f.shopAddr}, 0, time.Second)
	defer c.close()
	if _, err := c.roundTrip(request); err != nil || c.addr() != f.shopAddr {
		t.Fatalf("%v at %s", err, c.addr())
	}
	c.addrs = []string{serve(t, f.serveShop), f.shopAddr} // it has come back
	if _, err := c.roundTrip(request); err != nil || c.addr() != f.shopAddr {
		t.Errorf("back too soon: %v at %s", err, c.addr())
	}
	c.hopped = c.hopped.Add(-homeAfter)
	if _, err := c.roundTrip(request); err != nil || c.addr() != c.addrs[0] {
		t.Errorf("not back: %v at %s", err, c.addr())
	}
}
