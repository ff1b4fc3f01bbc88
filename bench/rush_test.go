package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallRush is a rush on f that takes well under a second.
func smallRush(f *fakeShop, listings ...string) RushConfig {
	c := DefaultRushConfig()
	c.Addrs, c.Admin = []string{f.shopAddr}, f.adminAddr
	for _, name := range listings {
		l, err := ParseListing(name)
		if err != nil {
			panic(err)
		}
		c.Listings = append(c.Listings, l)
	}
	c.Seed = 7
	c.Shoppers = 400
	c.Connections = 16
	c.DecideWithin = 20 * time.Millisecond
	c.AgainWithin = 20 * time.Millisecond
	c.ReturnAfter = 30 * time.Millisecond
	c.PollEvery = 5 * time.Millisecond
	c.Settle = 300 * time.Millisecond
	c.AgainShare, c.AnewShare, c.SecondListingShare = 0.3, 0.3, 0.3
	return c
}

func mustRush(t *testing.T, c RushConfig) *RushReport {
	t.Helper()
	r, err := Rush(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func table(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteTable(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checked gives a line of a verdict.
func checked(v *Verdict, c check) *Check {
	for i := range v.Checks {
		if v.Checks[i].ID == c.id {
			return &v.Checks[i]
		}
	}
	panic(c.id + " is no check of this verdict")
}

func TestVerdictOnTheGoodShop(t *testing.T) {
	cases := map[string]func(*fakeShop, *RushConfig){
		"closed loop": func(*fakeShop, *RushConfig) {},
		"open loop":   func(_ *fakeShop, c *RushConfig) { c.Rate = 2000 },
		"throng": func(f *fakeShop, c *RushConfig) {
			f.slow, f.breaks, c.throng = true, true, true
		},
		"processing answers": func(f *fakeShop, _ *RushConfig) { f.slow = true },
		"holds that expire": func(f *fakeShop, c *RushConfig) {
			f.payWithin = 250 * time.Millisecond
			c.ReturnShare, c.ReturnAfter = 1, 400*time.Millisecond
			c.Settle = 5 * time.Second
		},
		"nobody pays": func(_ *fakeShop, c *RushConfig) { c.PayShare, c.CancelShare = 0, 0 },
		"all cancel":  func(_ *fakeShop, c *RushConfig) { c.PayShare, c.CancelShare = 0, 1 },
		"stock enough": func(f *fakeShop, _ *RushConfig) {
			f.listings["s/a"].stock, f.listings["s/a"].available = 900, 900
		},
		"connections that break": func(f *fakeShop, _ *RushConfig) { f.breaks = true },
		"outcomes never told": func(f *fakeShop, c *RushConfig) {
			// Asking is given up at once, and the inquest gets no word either.
			f.breaks, f.mute = true, true
			c.PollFor, c.Returns, c.AgainShare, c.AnewShare = 0, 0, 0, 0
			c.Shoppers, c.SecondListingShare = 40, 0
		},
		"a waitlist": func(_ *fakeShop, c *RushConfig) {
			c.Waitlist, c.CancelShare = true, 0.3
		},
		"two units each": func(_ *fakeShop, c *RushConfig) {
			c.Quantity, c.LimitPerSession = 2, 2
		},
	}
	for name, set := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeShop(t, sinNone, map[string]int{"s/a": 40, "s/b": 30})
			c := smallRush(f, "s/a", "s/b")
			set(f, &c)
			r := mustRush(t, c)
			if !r.OK() {
				t.Errorf("verdict on the good shop:\n%s", table(t, r))
			}
			if r.Shoppers != int64(c.Shoppers) || r.Orders < 30 {
				t.Errorf("shoppers %d, orders %d", r.Shoppers, r.Orders)
			}
			var sum int64
			for _, o := range r.Outcomes {
				if sum += o.Count; o.Code == outcomeUnknown && f.slow && !f.breaks {
					t.Errorf("%d grabs told processing were never told more", o.Count)
				}
			}
			if sum != r.Grabs {
				t.Errorf("outcomes add up to %d of %d grabs", sum, r.Grabs)
			}
		})
	}
}

func TestVerdictCatchesEachSin(t *testing.T) {
	cases := []struct {
		sin    sin
		caught []check // the checks that must fail; no other may
	}{
		{sinOversell, []check{checkConservation, checkNeverOver}},
		{sinOversellQuietly, []check{checkToldIsTaken, checkNeverOver, checkRecount}},
		{sinForgetOrder, []check{checkOrdersKnown}},
		{sinTwoOrders, []check{checkOneAnswer, checkNobodyTwice}},
		{sinDropPaid, []check{checkStatesAgree}},
		{sinLoseUnit, []check{checkConservation, checkRecount}},
		{sinTakeUntold, []check{checkNobodyUntold, checkToldIsTaken}},
		{sinTwoTabs, []check{checkNobodyTwice}},
		{sinNoAfterYes, []check{checkOneAnswer}},
		{sinMissHolder, []check{checkOneAnswer}},
		{sinWrongAmount, []check{checkOrdersKnown}},
		{sinEarlyExpiry, []check{checkStatesAgree}},
		{sinWrongCount, []check{checkRecount}},
	}
	for _, c := range cases {
		t.Run(string(c.sin), func(t *testing.T) {
			t.Parallel()
			f := newFakeShop(t, c.sin, map[string]int{"s/a": 60, "s/b": 60})
			cfg := smallRush(f, "s/a", "s/b")
			// Clicks that come surely after the first one's answer, by
			// shoppers who still hold: else an answer may be excused.
			cfg.AgainShare, cfg.AnewShare, cfg.AgainWithin = 0.5, 0.5, 60*time.Millisecond
			cfg.CancelShare = 0
			r := mustRush(t, cfg)
			if r.OK() {
				t.Fatalf("not caught:\n%s", table(t, r))
			}
			var failed []string
			for _, k := range r.Verdict.Checks {
				if !k.OK {
					failed = append(failed, k.ID)
					if k.Offences == 0 || len(k.Offenders) == 0 {
						t.Errorf("%s fails without an offender", k.ID)
					}
				}
			}
			for _, want := range c.caught {
				if !slices.Contains(failed, want.id) {
					t.Errorf("%s holds", want.id)
				}
			}
			if t.Failed() {
				t.Logf("failed: %v\n%s", failed, table(t, r))
			}
		})
	}
}

func TestRushSaysWhatItDid(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 10})
	c := smallRush(f, "s/a")
	var progress bytes.Buffer
	c.Progress = &progress
	r := mustRush(t, c)
	text := table(t, r)
	for _, want := range []string{"granted", "sold_out", "VERDICT", "EXACT", "s/a", "✓"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if !strings.Contains(progress.String(), "done: 400 shoppers") {
		t.Errorf("progress: %q", progress.String())
	}
	b, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	var back RushReport
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !back.OK() || back.Config.Seed != 7 || back.Environment.GoVersion == "" || back.Listings[0].After.Stock != 10 {
		t.Errorf("lost on the way through JSON: %s", b)
	}
	if l := r.Listings[0]; l.SoldOutSeconds <= 0 || l.FirstRefusedSeconds <= 0 || l.Granted < 10 ||
		l.Resold != l.Granted-10 {
		t.Errorf("listing %+v", l)
	}
}

func TestRushStopsAndStillJudges(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 1000})
	c := smallRush(f, "s/a")
	c.Rate, c.Shoppers = 200, 100_000
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	r, err := Rush(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || !r.OK() || r.Shoppers == 0 || r.Shoppers > 1000 {
		t.Errorf("interrupted %v after %d shoppers:\n%s", r.Interrupted, r.Shoppers, table(t, r))
	}
}

func TestRushStartsANode(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 10})
	c := smallRush(f, "s/a")
	c.Addrs, c.Admin = nil, ""
	closed := false
	c.StartNode = func(context.Context) (Node, error) {
		return Node{HTTPAddr: f.shopAddr, AdminAddr: f.adminAddr, Close: func() error { closed = true; return nil }},
			nil
	}
	if r := mustRush(t, c); !r.OK() || !r.InProcess || !closed {
		t.Errorf("ok %v, in process %v, closed %v", r.OK(), r.InProcess, closed)
	}
}

func TestRushWithoutAShop(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 10})
	c := smallRush(f, "s/other")
	if _, err := Rush(t.Context(), c); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a listing that does not exist: %v", err)
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	c := DefaultRushConfig()
	c.Addrs = []string{"nowhere"}
	c.Listings = []Listing{{Session: "a b", SKU: "x"}, {Session: "s", SKU: "k"}, {Session: "s", SKU: "k", Weight: -1}}
	c.Shoppers, c.Connections, c.Rate = 0, -1, -2
	c.PayShare, c.CancelShare, c.ReturnShare = 0.8, 0.3, 1.5
	c.Timeout = 0
	err := c.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, want := range []string{"nowhere", "admin", "a b", "twice", "weight", "shoppers 0", "connections -1",
		"rate -2", "together over 1", "return share 1.5", "timeout 0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}
