package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// TestCurveThroughTheProgram: what a crowd gets and is refused shows in the curve, and adds up
// to the exact counts.
func TestCurveThroughTheProgram(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(5))
	read := func() (c wire.Curve) {
		out := s.MustRun("sessions", "curve", "day", "--last", "1h", "--json", "--admin", s.Admin)
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	s.Eventually(func() bool { return len(read().Listings) == 1 }, func() string { return "nothing is known" })
	for i := range 9 {
		s.Grab(fmt.Sprint("shopper-", i), "", nodetest.Mask)
	}
	sum := func(c *wire.Curve) (granted int32, refused uint32) {
		for _, n := range c.Listings[0].Granted {
			granted += n
		}
		for _, counts := range c.Refusals.Reasons {
			for _, n := range counts {
				refused += n
			}
		}
		return granted, refused
	}
	s.Eventually(func() bool {
		c := read()
		granted, refused := sum(&c)
		return granted == 5 && refused == 4
	}, func() string { return fmt.Sprintf("%+v", read()) })
	if l := read().Listings[0]; l.Held[len(l.Held)-1] != 5 || l.Available[len(l.Held)-1] != 0 {
		t.Errorf("%+v", l)
	}
	if out := s.MustRun("sessions", "curve", "day", "--last", "1h", "--admin", s.Admin); !strings.Contains(out,
		"mask     5        5      0     5     0     0\nrefused by this node: sold_out 4\n") {
		t.Errorf("got\n%s", out)
	}
	node, err := client.New(client.Config{Addr: s.Admin})
	if err != nil {
		t.Fatal(err)
	}
	enough, last := errors.New("enough"), int64(0)
	err = node.FollowCurve(t.Context(), "day", 0, func(c *wire.Curve) error {
		switch l := &c.Listings[0]; {
		case last == 0: // all that there is
			if granted, _ := sum(c); granted != 5 {
				t.Errorf("%d granted", granted)
			}
		case l.From != last+1: // what is new
			t.Errorf("from %d, after %d", l.From, last)
		default:
			return enough
		}
		last = c.Last
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("followed: %v", err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no such session": {[]string{"none"}, 1, "No session has this id"},
		"none named":      {nil, 2, "name one session"},
		"too long":        {[]string{"day", "--last", "2h"}, 2, "between 1s and 1h"},
	} {
		status, out, errs := runTool(t, "", append([]string{"sessions", "curve", "--admin", s.Admin}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: %d %q %q", name, status, out, errs)
		}
	}
}
