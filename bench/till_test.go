package bench

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/bench/cashier"
	"doorbuster/httpapi/payment"
)

// openCashier has a shop's orders paid at a cashier of their own, for as long as the
// test, and gives its address.
func openCashier(t *testing.T, f *fakeShop, faults cashier.Faults) string {
	t.Helper()
	keys, err := payment.NewKeys([]payment.Key{{ID: "k", Text: []byte(strings.Repeat("k", 40)), Signs: true}})
	if err != nil {
		t.Fatal(err)
	}
	f.pay = keys
	c, err := cashier.New(cashier.Config{File: filepath.Join(t.TempDir(), "books.db"),
		Shop: []string{"http://" + f.shopAddr}, Keys: keys, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); c.Run(ctx) }()
	door := httptest.NewServer(c.Handler())
	t.Cleanup(func() {
		door.Close()
		stop()
		<-ran
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return door.Listener.Addr().String()
}

// TestVerdictWithACashier: callbacks that come late, twice or never are no fault of
// the shop's; a payment that it confirmed to the cashier and forgot is.
func TestVerdictWithACashier(t *testing.T) {
	for name, c := range map[string]struct {
		sin    sin
		faults cashier.Faults
		caught check
		lost   bool
	}{
		"all is well": {},
		"callbacks go lost": {faults: cashier.Faults{Delay: 50 * time.Millisecond, Repeat: 0.5, Drop: 0.4,
			Reorder: 0.3}, lost: true},
		"a payment is forgotten": {sin: sinDropPaid, caught: checkStatesAgree},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeShop(t, c.sin, map[string]int{"s/a": 60, "s/b": 60})
			cfg := smallRush(f, "s/a", "s/b")
			cfg.Cashier, cfg.Settle = openCashier(t, f, c.faults), 10*time.Second
			cfg.PayTwiceShare = 0.5
			r := mustRush(t, cfg)
			for _, k := range r.Verdict.Checks {
				if k.OK != (k.ID != c.caught.id) {
					t.Errorf("%s holds: %v\n%s", k.ID, k.OK, table(t, r))
				}
			}
			m := r.Cashier
			if m == nil || m.Taken == 0 || m.Taken != r.Paid || m.Taken != m.Paid+m.Untold ||
				(m.Untold > 0) != c.lost || r.PayRefused+r.PayUnanswered != 0 {
				t.Errorf("%d paid, %d refused, %d unanswered; the cashier: %+v", r.Paid,
					r.PayRefused, r.PayUnanswered, m)
			}
		})
	}
}

// TestVerdictWithoutTheCashier: where its books can't be read there is no verdict.
func TestVerdictWithoutTheCashier(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 5})
	cfg := smallRush(f, "s/a")
	cfg.Cashier, cfg.PayShare, cfg.Shoppers = "127.0.0.1:1", 0, 10
	if r := mustRush(t, cfg); r.OK() || !strings.Contains(table(t, r), "ask the cashier") {
		t.Errorf("\n%s", table(t, r))
	}
}

// TestVerdictMissesTokens: a shop that gives none leaves nothing to pay with.
func TestVerdictMissesTokens(t *testing.T) {
	f := newFakeShop(t, sinNone, map[string]int{"s/a": 5})
	cfg := smallRush(f, "s/a")
	cfg.Cashier = openCashier(t, f, cashier.Faults{})
	f.pay = nil
	r := mustRush(t, cfg)
	if k := checked(&r.Verdict, checkOrdersKnown); k.OK ||
		!strings.Contains(table(t, r), "without a token") {
		t.Errorf("\n%s", table(t, r))
	}
}
