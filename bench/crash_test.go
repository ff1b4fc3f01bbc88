package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// mortal is a fake shop that can be killed: while it is down it drops every
// connection, and for a while after each start it recovers. It does all that a
// shop must but for its flaw.
type mortal struct {
	*fakeShop
	flaw  flaw
	up    atomic.Bool
	since atomic.Int64 // start of the last life, Unix nanoseconds
	kills atomic.Int32
}

// flaw is a way in which a killed shop comes back wrong.
type flaw string

const (
	flawNone         flaw = ""
	flawForgetOrder  flaw = "forgets an order"
	flawForgetPaid   flaw = "forgets a payment"
	flawRevive       flaw = "brings a cancelled order back"
	flawAnotherOrder flaw = "has another order for a key"
	flawForgetStock  flaw = "forgets units put up"
	flawInventUnits  flaw = "has units that nobody put up"
	flawDenyOrders   flaw = "denies orders while it recovers"
	flawDenyListing  flaw = "denies the listings while it recovers"
	flawDenyHolders  flaw = "tells holders sold out while it recovers"
	flawLogDamaged   flaw = "leaves a damaged log"
	flawNeverReady   flaw = "never gets ready"
	flawEndsByItself flaw = "ends by itself"
)

// recovers is how long after a start a shop recovers.
const recovers = 40 * time.Millisecond

func newMortal(t *testing.T, fl flaw, c *CrashConfig) *mortal {
	t.Helper()
	stock := make(map[string]int)
	for _, o := range c.offers() {
		stock[o.String()] = int(o.stock)
	}
	m := &mortal{fakeShop: newFakeShop(t, sinNone, stock), flaw: fl}
	m.shopAddr = serve(t, m.alive(m.serveRecovering))
	m.adminAddr = serve(t, m.alive(m.serveOperators))
	return m
}

func (m *mortal) alive(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if !m.up.Load() {
			_ = ctx.Conn().Close()
			return
		}
		next(ctx)
	}
}

func (m *mortal) recovering() bool {
	return m.kills.Load() > 0 && time.Since(time.Unix(0, m.since.Load())) < recovers
}

func (m *mortal) serveRecovering(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	isGrab := strings.HasSuffix(path, "/grab")
	switch {
	case !m.recovering():
	case m.flaw == flawDenyOrders && strings.Contains(path, "/orders/"), m.flaw == flawDenyListing && isGrab:
		problem(ctx, 404)
		return
	case m.flaw == flawDenyHolders && isGrab:
		tellGrab(ctx, "sold_out", nil)
		return
	default:
		problem(ctx, 503)
		return
	}
	m.serveShop(ctx)
}

func (m *mortal) serveOperators(ctx *fasthttp.RequestCtx) {
	path := strings.Split(strings.Trim(string(ctx.Path()), "/"), "/")
	switch {
	case path[0] == "readyz":
		if m.recovering() || m.flaw == flawNeverReady && m.kills.Load() > 0 {
			problem(ctx, 503)
			return
		}
		tell(ctx, 200, map[string]any{"ready": true})
	case path[len(path)-1] == "stock":
		var b struct{ Units int }
		if json.Unmarshal(ctx.PostBody(), &b) != nil {
			problem(ctx, 400)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		l := m.listings[path[3]+"/"+path[5]]
		l.stock += b.Units
		l.available += b.Units
		tell(ctx, 200, map[string]any{})
	default:
		m.serveAdmin(ctx)
	}
}

func (m *mortal) start(context.Context, int64) (CrashNode, error) {
	m.since.Store(time.Now().UnixNano())
	m.up.Store(true)
	return CrashNode{HTTPAddr: m.shopAddr, AdminAddr: m.adminAddr, Ended: make(chan struct{}), Kill: m.kill,
		Stop: func() error { return nil }}, nil
}

func (m *mortal) kill() error {
	m.up.Store(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kills.Add(1)
	inState := func(state string) *fakeOrder {
		for _, no := range slices.Sorted(maps.Keys(m.orders)) {
			if o := m.orders[no]; o.State == state {
				return o
			}
		}
		return nil
	}
	switch m.flaw {
	case flawForgetOrder:
		if o := inState("held"); o != nil {
			m.release(o, "expired")
			delete(m.orders, o.OrderNo)
			maps.DeleteFunc(m.byKey, func(_ string, k *fakeOrder) bool { return k == o })
		}
	case flawForgetPaid:
		if o := inState("paid"); o != nil {
			o.State, o.payID = "held", ""
			o.listing.paid--
			o.listing.held++
		}
	case flawRevive:
		if o := inState("cancelled"); o != nil && o.listing.available > 0 {
			o.State = "held"
			o.listing.available--
			o.listing.held++
		}
	case flawAnotherOrder:
		for key, o := range m.byKey {
			if o.State == "cancelled" && o.listing.available > 0 {
				m.byKey[key] = m.grant(o.listing, o.Shopper, "", 1)
			}
		}
	case flawForgetStock:
		for _, l := range m.listings {
			if l.available > 0 {
				l.available--
				l.stock--
			}
		}
	case flawInventUnits:
		for _, l := range m.listings {
			l.available += 5
		}
	case flawEndsByItself:
		return errors.New("it had ended by itself")
	}
	return nil
}

func (m *mortal) verifyLog() (LogReport, error) {
	if m.flaw == flawLogDamaged {
		return LogReport{}, errors.New("damage at byte 7")
	}
	return LogReport{Bytes: 100, Records: 1}, nil
}

// smallCrash is a crash test on a fake shop that takes about a second a round.
func smallCrash(t *testing.T, fl flaw) (CrashConfig, *mortal) {
	t.Helper()
	c := DefaultCrashConfig()
	c.Seed, c.Rounds, c.ListingStock = 11, 3, 500
	c.Shoppers, c.Returning, c.Connections, c.KeysAgain = 150, 80, 8, 100
	c.LoadTime, c.KillAfter, c.KillBefore = 200*time.Millisecond, 40*time.Millisecond, 150*time.Millisecond
	c.ReadyWithin, c.Settle = time.Second, 5*time.Second
	m := newMortal(t, fl, &c)
	c.StartNode, c.VerifyLog = m.start, m.verifyLog
	c.ApplyPlan = func(context.Context, string, []byte) error { return nil }
	return c, m
}

func TestCrashOfTheGoodShop(t *testing.T) {
	t.Parallel()
	c, _ := smallCrash(t, flawNone)
	var progress bytes.Buffer
	c.Progress = &progress
	r, err := Crash(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	text := table(t, r)
	if !r.OK() || r.Kills < 3 || r.Orders == 0 || r.Looks == 0 || r.KeysAsked == 0 ||
		r.Lost == 0 || r.Ready.Count == 0 {
		t.Errorf("the good shop:\n%s", text)
	}
	if !strings.Contains(text, "EXACT") || strings.Contains(text, "✗") ||
		strings.Count(progress.String(), "✓ round") != 3 {
		t.Errorf("the report says:\n%s\n%s", progress.String(), text)
	}
	b, err := JSON(r)
	if err != nil {
		t.Fatal(err)
	}
	var back CrashReport
	if err := json.Unmarshal(b, &back); err != nil || len(back.Rounds) != 3 || !back.OK() || back.Config.Seed != 11 {
		t.Errorf("lost on the way through JSON: %v\n%s", err, b)
	}
}

func TestCrashCatchesEachFlaw(t *testing.T) {
	for fl, caught := range map[flaw]check{
		flawForgetOrder:  checkOrdersKnown,
		flawForgetPaid:   checkStatesAgree,
		flawRevive:       checkStatesAgree,
		flawAnotherOrder: checkOldKeys,
		flawForgetStock:  checkStockStays,
		flawInventUnits:  checkConservation,
		flawDenyOrders:   checkNoWrongNo,
		flawDenyListing:  checkNoWrongNo,
		flawDenyHolders:  checkOneAnswer,
		flawLogDamaged:   checkLogWhole,
		flawNeverReady:   checkReady,
		flawEndsByItself: checkStaysUp,
	} {
		catches(t, fl, caught, 10, func() (Report, *Verdict, error) {
			c, _ := smallCrash(t, fl)
			r, err := Crash(t.Context(), c)
			return r, &r.Verdict, err
		})
	}
}

// catches runs a drill until a flaw has been caught by its check: a kill may come before
// the flaw had anything to show itself on.
func catches(t *testing.T, fl flaw, caught check, tries int, run func() (Report, *Verdict, error)) {
	t.Run(string(fl), func(t *testing.T) {
		t.Parallel()
		for {
			r, v, err := run()
			if err != nil {
				t.Fatal(err)
			}
			if k := checked(v, caught); !r.OK() && !k.OK && len(k.Offenders) > 0 {
				return
			}
			if tries--; tries == 0 {
				t.Fatalf("%s holds:\n%s", caught.id, table(t, r))
			}
		}
	})
}

func TestCrashEndsAfterTheRound(t *testing.T) {
	t.Parallel()
	c, m := smallCrash(t, flawNone)
	ctx, stop := context.WithCancel(t.Context())
	c.VerifyLog = func() (LogReport, error) { stop(); return m.verifyLog() }
	r, err := Crash(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || len(r.Rounds) != 1 || !r.OK() {
		t.Errorf("interrupted %v after %d rounds:\n%s", r.Interrupted, len(r.Rounds), table(t, r))
	}
}

func TestCrashWithoutANode(t *testing.T) {
	c, _ := smallCrash(t, flawNone)
	c.StartNode = func(context.Context, int64) (CrashNode, error) { return CrashNode{}, errors.New("no such program") }
	if _, err := Crash(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such program") {
		t.Error(err)
	}
	c = CrashConfig{}
	err := c.Validate()
	for _, want := range []string{"rounds 0", "listing stock 0", "connections 0", "pay within 0s", "no way to start"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestKillsFollowTheSeed: the same seed kills at the same instants, and the mix
// has every kind in it.
func TestKillsFollowTheSeed(t *testing.T) {
	c := DefaultCrashConfig()
	c.Seed = 5
	c.AwaitSnapshot = func(context.Context) {}
	again, down, small, aimed := 0, 0, 0, 0
	for round := range 200 {
		kills := c.killsOf(round)
		if fmt.Sprint(kills) != fmt.Sprint(c.killsOf(round)) {
			t.Fatal("not the same twice")
		}
		if k := kills[0]; k.after < c.KillAfter || k.after > c.KillBefore {
			t.Errorf("round %d: killed at %v", round, k.after)
		}
		if len(kills) > 1 {
			again++
		}
		for i, k := range kills {
			if k.atSnapshot {
				aimed++
				if kills[i-1].snapshotBytes == 0 {
					t.Errorf("round %d waits for a snapshot that won't come", round)
				}
			}
			if k.down > 0 {
				down++
			}
			if k.snapshotBytes > 0 {
				small++
			}
		}
	}
	if again < 40 || down < 20 || small < 40 || aimed < 20 {
		t.Errorf("killed again %d, kept down %d, small snapshots %d, aimed at them %d", again, down, small, aimed)
	}
}
