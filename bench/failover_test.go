package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Flaws of a cluster beyond those of a node.
const (
	flawDeafNode    flaw = "has a node that does not know orders"
	flawOtherCounts flaw = "has a node that counts otherwise"
	flawOtherState  flaw = "has a node with another state"
	flawMuteNode    flaw = "has a node that grants nothing after a kill"
	flawNeverBack   flaw = "never takes a node back"
	flawForgetYes   flaw = "has a node that forgets a yes at once"
	flawNodeEnds    flaw = "has a node that ends by itself"
)

// fakeCluster is three fronts of one mortal shop. When the leader is killed, the
// shop recovers for a while, as if it elected another.
type fakeCluster struct {
	*mortal
	ids    []string
	fronts [3]struct{ shop, admin string }

	clusterMu sync.Mutex
	alive     [3]bool
	leader    int
	term      int
	yes       int
}

func newFakeCluster(t *testing.T, fl flaw, c *FailoverConfig) *fakeCluster {
	t.Helper()
	stock := make(map[string]int)
	for _, o := range c.offers() {
		stock[o.String()] = int(o.stock)
	}
	f := &fakeCluster{mortal: &mortal{fakeShop: newFakeShop(t, sinNone, stock), flaw: fl}, ids: c.Nodes, term: 1}
	f.payWithin = c.PayWithin
	f.up.Store(true)
	for n := range f.fronts {
		f.fronts[n].shop = serve(t, f.front(n, f.shopperAt))
		f.fronts[n].admin = serve(t, f.front(n, f.operatorAt))
	}
	return f
}

func (f *fakeCluster) front(n int, next func(int, *fasthttp.RequestCtx)) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		f.clusterMu.Lock()
		alive := f.alive[n]
		f.clusterMu.Unlock()
		if !alive {
			_ = ctx.Conn().Close()
			return
		}
		next(n, ctx)
	}
}

func (f *fakeCluster) shopperAt(n int, ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	isGrab := strings.HasSuffix(path, "/grab")
	switch {
	case f.flaw == flawDeafNode && n == 2 && strings.HasPrefix(path, "/v1/orders/") && ctx.IsGet():
		problem(ctx, 404)
		return
	case f.flaw == flawMuteNode && n == 2 && isGrab && f.kills.Load() > 0:
		tellGrab(ctx, codeSoldOut, nil)
		return
	}
	f.serveRecovering(ctx)
	if f.flaw == flawForgetYes && n == 2 && isGrab && bytes.Contains(ctx.Response.Body(), []byte(`"granted"`)) {
		f.clusterMu.Lock()
		defer f.clusterMu.Unlock()
		if f.yes++; f.yes > 20 {
			tellGrab(ctx, codeSoldOut, nil)
		}
	}
}

func (f *fakeCluster) operatorAt(n int, ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	switch {
	case path == "/admin/v1/cluster":
		f.clusterMu.Lock()
		defer f.clusterMu.Unlock()
		var nodes []map[string]any
		for i, id := range f.ids {
			back := f.alive[i] && (f.flaw != flawNeverBack || f.kills.Load() == 0)
			nodes = append(nodes, map[string]any{"id": id, "reachable": back, "applied_index": 7})
		}
		tell(ctx, 200, map[string]any{"leader": f.ids[f.leader], "answered_by": f.ids[n],
			"term": f.term, "nodes": nodes})
	case path == "/admin/v1/cluster/backup":
		info := `{"log_index":7,"hash":"one"}`
		if f.flaw == flawOtherState && n == 2 {
			info = `{"log_index":7,"hash":"another"}`
		}
		head := binary.LittleEndian.AppendUint32(make([]byte, 12), uint32(len(info)))
		ctx.SetBody(append(append(head, make([]byte, 8)...), info+"the state"...))
	default:
		f.serveOperators(ctx)
		if f.flaw == flawOtherCounts && n == 2 && strings.Contains(path, "/skus/plenty") {
			var c Counts
			if json.Unmarshal(ctx.Response.Body(), &c) == nil {
				c.LogIndex++
				tell(ctx, 200, c)
			}
		}
	}
}

func (f *fakeCluster) start(_ context.Context, n int) (CrashNode, error) {
	f.clusterMu.Lock()
	defer f.clusterMu.Unlock()
	f.alive[n] = true
	ended := make(chan struct{})
	if f.flaw == flawNodeEnds && f.kills.Load() > 0 {
		close(ended)
	}
	return CrashNode{HTTPAddr: f.fronts[n].shop, AdminAddr: f.fronts[n].admin, Ended: ended,
		Kill: func() error { return f.strike(n) }, Stop: func() error { return nil },
		Pause: func() error { return f.strike(n) }, Resume: func() error {
			_, err := f.start(context.Background(),
				n)
			return err
		}}, nil
}

func (f *fakeCluster) strike(n int) error {
	f.clusterMu.Lock()
	defer f.clusterMu.Unlock()
	if f.flaw == flawNodeEnds && f.kills.Load() > 0 {
		return errors.New("it had ended by itself")
	}
	f.alive[n] = false
	f.since.Store(time.Now().UnixNano())
	err := f.kill()
	f.up.Store(true)
	if n == f.leader {
		f.leader, f.term = (n+1)%len(f.ids), f.term+1
	}
	return err
}

// smallFailover is a failover test on a fake cluster that takes about a second a
// kill.
func smallFailover(t *testing.T, fl flaw) FailoverConfig {
	t.Helper()
	c := DefaultFailoverConfig()
	c.Seed, c.Kills, c.Rate, c.Connections, c.PayWithin = 11, 3, 300, 16, time.Second
	c.CalmLeast, c.CalmMost, c.DownMost = 200*time.Millisecond, 400*time.Millisecond, 50*time.Millisecond
	c.GrantWithin, c.BackWithin, c.Settle, c.StallFor = 2*time.Second, 2*time.Second,
		5*time.Second, 100*time.Millisecond
	f := newFakeCluster(t, fl, &c)
	c.StartNode = f.start
	c.ApplyPlan = func(context.Context, string, []byte) error { return nil }
	c.VerifyLog = func(int) (LogReport, error) { return f.verifyLog() }
	return c
}

func TestFailoverOfTheGoodCluster(t *testing.T) {
	for _, how := range []string{HowKill, HowStall} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := smallFailover(t, flawNone)
			var progress bytes.Buffer
			c.Progress, c.How = &progress, how
			r, err := Failover(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			text := table(t, r)
			if !r.OK() || len(r.Kills) != 3 || r.NextGrant.Count != 3 || r.NextGrant.Max < millis(recovers)/2 ||
				r.Orders == 0 || r.LooksAnswered == 0 || r.LookedUpEverywhere != 3*r.Orders {
				t.Errorf("the good cluster:\n%s", text)
			}
			if !strings.Contains(text, "EXACT") || strings.Contains(text, "✗") ||
				strings.Count(progress.String(), "✓ "+how) != 3 {
				t.Errorf("the report says:\n%s\n%s", progress.String(), text)
			}
			b, err := JSON(r)
			if err != nil {
				t.Fatal(err)
			}
			var back FailoverReport
			if err := json.Unmarshal(b, &back); err != nil || len(back.Kills) != 3 || !back.OK() ||
				back.Config.Seed != 11 {
				t.Errorf("lost on the way through JSON: %v\n%s", err, b)
			}
		})
	}
}

func TestFailoverCatchesEachFlaw(t *testing.T) {
	for fl, caught := range map[flaw]check{
		flawForgetOrder: checkEveryNode,
		flawForgetPaid:  checkStatesAgree,
		flawForgetStock: checkStockStays,
		flawInventUnits: checkConservation,
		flawDenyOrders:  checkNoWrongNo,
		flawLogDamaged:  checkLogWhole,
		flawDeafNode:    checkEveryNode,
		flawOtherCounts: checkNodesAgree,
		flawOtherState:  checkNodesAgree,
		flawMuteNode:    checkGrants,
		flawForgetYes:   checkOneAnswer,
		flawNeverBack:   checkBack,
		flawNodeEnds:    checkBack,
	} {
		catches(t, fl, caught, 5, func() (Report, *Verdict, error) {
			r, err := Failover(t.Context(), smallFailover(t, fl))
			return r, &r.Verdict, err
		})
	}
}

func TestFailoverEndsAfterTheKill(t *testing.T) {
	t.Parallel()
	c := smallFailover(t, flawNone)
	ctx, stop := context.WithCancel(t.Context())
	verify := c.VerifyLog
	c.VerifyLog = func(n int) (LogReport, error) { stop(); return verify(n) }
	r, err := Failover(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || len(r.Kills) != 1 || !r.OK() {
		t.Errorf("interrupted %v after %d kills:\n%s", r.Interrupted, len(r.Kills), table(t, r))
	}
}

func TestFailoverWithoutNodes(t *testing.T) {
	c := smallFailover(t, flawNone)
	c.StartNode = func(context.Context, int) (CrashNode, error) { return CrashNode{}, errors.New("no such program") }
	if _, err := Failover(t.Context(), c); err == nil || !strings.Contains(err.Error(), "start a1: no such program") {
		t.Error(err)
	}
	c = FailoverConfig{}
	err := c.Validate()
	for _, want := range []string{"kills 0", "nodes [] in zones []", `zone ack ""`, `how ""`, "rate 0",
		"pay within 0s", "no way to start"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestStrikesFollowTheSeed: the same seed strikes at the same instants, and whom
// the kill's number says.
func TestStrikesFollowTheSeed(t *testing.T) {
	c := DefaultFailoverConfig()
	c.Seed = 5
	var kinds []string
	for i := range 35 {
		s := c.strikeOf(i)
		if s != c.strikeOf(i) {
			t.Fatal("not the same twice")
		}
		if s.kind != killAgain && (s.calm < c.CalmLeast || s.calm > c.CalmMost) || s.down > c.DownMost {
			t.Errorf("%+v", s)
		}
		kinds = append(kinds, s.kind[:1])
	}
	const want = "llllfla" + "llfllla" + "fllllfa" + "lllflla" + "lflllla"
	if got := strings.Join(kinds, ""); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBlockedByZoneAck(t *testing.T) {
	for _, c := range []struct {
		zones, ack string
		want       []bool
	}{
		{"a a b", "require", []bool{false, false, true}},
		{"a a b", "prefer", []bool{false, false, false}},
		{"a b c", "require", []bool{false, false, false}},
		{"a a a b b", "require", []bool{false, false, false, false, false}},
	} {
		cfg := FailoverConfig{Zones: strings.Fields(c.zones), ZoneAck: c.ack}
		var got []bool
		for n := range cfg.Zones {
			got = append(got, cfg.blocked(n))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v", c.ack, c.zones, got)
		}
	}
}

func TestGrantWatch(t *testing.T) {
	s := time.Second
	w := newGrantWatch()
	grant := func(addr string, sent, heard time.Duration, fresh bool) {
		w.heard(addr, ask{sentAt: sent, heardAt: heard}, fresh)
	}
	grant("a", 0, s, true)
	grant("a", s, 4*s, true) // a gap of 3 s before the strike
	w.arm(5 * s)
	grant("a", 4*s, 6*s, true) // sent before: it may have been decided before
	w.countFrom(6 * s)
	grant("b", 6*s, 8*s, false) // an old order told again
	if byNode, _ := w.granting(); len(byNode) != 0 || !w.urgent("b") {
		t.Errorf("counted what was decided before: %v", byNode)
	}
	_, more := w.granting()
	grant("b", 7*s, 8*s+s/2, true)
	<-more
	grant("b", 7*s, 9*s, true)
	byNode, _ := w.granting()
	if fmt.Sprint(byNode) != "map[b:3.5s]" || w.urgent("b") || !w.urgent("a") {
		t.Errorf("%v", byNode)
	}
	if gap := w.disarm(); gap != 2*s || w.longest != 3*s || w.urgent("a") {
		t.Errorf("gap %v, longest %v", gap, w.longest)
	}
}
