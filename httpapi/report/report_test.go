package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// TestTallies: what doors do is counted for the right session, from the first grab on; those
// that are not wanted are not counted, and there is a bound.
func TestTallies(t *testing.T) {
	all := NewTallies()
	granted := engine.Answer{Code: engine.CodeGranted}
	soldOut := engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonGone}
	for i := range 1000 {
		all.Of(1).Answered(&soldOut, 50*time.Microsecond, fmt.Append(nil, "shopper-", i))
	}
	all.Of(1).Answered(&granted, 10*time.Millisecond, []byte("shopper-7"))
	all.Of(1).Answered(&granted, -1, []byte("shopper-8"))
	all.Of(1).Feared(ByService, engine.LevelChallenge)
	all.Listed()
	all.Looked([]byte("day")) // nobody knows it yet
	var want []wanted
	for h := engine.SessionHandle(1); h <= MostSessions+20; h++ {
		want = append(want, wanted{h, fmt.Sprint("s", h), engine.Time(h)})
	}
	want[0].id = "day"
	all.want(want, engine.SessionHandle(len(want)))
	all.Looked([]byte("day"))
	c := all.Counted(1)
	if c.grabs() != 1002 || c.Answers["sold_out"]["gone"] != 1000 || c.Answers["granted"]["none"] != 2 ||
		c.Looks != 1 || c.Lists != 1 || c.Risk[ByService]["challenge"] != 1 || c.Since == 0 {
		t.Errorf("%+v", c)
	}
	if n := estimate(c.Seen); math.Abs(float64(n-1000)) > 100 {
		t.Errorf("about %d shoppers of 1000", n)
	}
	if p := quantile(c.Took["refused"], 0.5); p < 0.04 || p > 0.06 {
		t.Errorf("the median of 50 µs is %v ms", p)
	}
	if p := quantile(c.Took["granted"], 0.99); p < 9 || p > 11 {
		t.Errorf("p99 of 10 ms is %v ms", p)
	}
	if all.Of(MostSessions) == nil || all.Of(MostSessions+1) != nil || all.Of(0) != nil ||
		all.Of(chunks*chunkSessions) != nil {
		t.Error("the bound does not hold")
	}
	all.want(want[1:], engine.SessionHandle(len(want)))
	if all.Of(1) != nil || all.Counted(1).Since != 0 || all.Of(MostSessions+1) == nil {
		t.Error("what is over is counted, or its place is not given to the next")
	}
	var none *Tallies
	none.Of(1).Answered(&granted, 0, nil)
	none.Of(1).Looked()
	none.Looked(nil)
	none.Listed()
}

// TestTalliesAllocateNothing on the way of a grab.
func TestTalliesAllocateNothing(t *testing.T) {
	all := NewTallies()
	all.want([]wanted{{1, "day", 0}}, 1)
	a, shopper, day := engine.Answer{Code: engine.CodeSoldOut, Session: 1}, []byte("somebody"), []byte("day")
	if n := testing.AllocsPerRun(100, func() {
		all.Of(a.Session).Answered(&a, time.Millisecond, shopper)
		all.Looked(day)
		all.Listed()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEstimate(t *testing.T) {
	for _, n := range []int{0, 1, 100, 3_000, 200_000} {
		all := NewTallies()
		for i := range n {
			all.Of(1).Answered(&engine.Answer{}, 0, fmt.Append(nil, "shopper-", i))
		}
		if n == 0 {
			all.Of(1)
		}
		got := estimate(all.Counted(1).Seen)
		if math.Abs(float64(got)-float64(n)) > 0.1*float64(n) {
			t.Errorf("%d of %d shoppers", got, n)
		}
	}
}

func TestBuckets(t *testing.T) {
	for took := time.Duration(1); took < time.Minute; took = took*9/8 + 1 {
		from, to := bounds(bucketOf(took))
		if n := float64(took); n < from || n >= to && bucketOf(took) < buckets-1 {
			t.Fatalf("%s is in %v to %v", took, from, to)
		}
	}
}

// pages is a trail of events that gives a few at a time.
type pages []engine.TrailEvent

func (p pages) Audit(f engine.TrailFilter) (found []engine.TrailEvent, next engine.TrailPosition, more bool,
	err error) {
	for _, e := range p {
		switch {
		case e.Before(f.From) || e.Session != f.Session && !(f.Besides && e.Operator != ""):
		case len(found) == 2:
			return found, e.TrailPosition, true, nil
		default:
			found = append(found, e)
		}
	}
	return found, next, false, nil
}

func (pages) Horizon(bool) (p engine.TrailPosition, at engine.Time, err error) { return p, 0, nil }

func (pages) AwaitEvents(_ context.Context, from engine.TrailPosition) engine.LogIndex {
	return from.Index
}

// TestBooks: they come to the same wherever they were kept in between, and tell of others' deeds
// while the session is open alone.
func TestBooks(t *testing.T) {
	var p pages
	event := func(at engine.Time, kind engine.EventKind, change func(*engine.TrailEvent)) {
		e := engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: engine.LogIndex(len(p) + 1)}, Time: at,
			Kind: kind, Session: "day", SKU: "mask", Quantity: 1, Amount: 100}
		if change != nil {
			change(&e)
		}
		p = append(p, e)
	}
	olga := func(e *engine.TrailEvent) { e.Operator, e.Session = "olga", "" }
	why := func(r engine.Reason) func(*engine.TrailEvent) { return func(e *engine.TrailEvent) { e.Reason = r } }
	event(500, engine.ProfileSet, olga) // before
	event(1000, engine.SessionOpened, nil)
	event(1100, engine.HoldPlaced, nil)
	event(2000, engine.SwitchesSet, olga)
	event(2100, engine.HoldPlaced, nil)
	event(2200, engine.HoldPlaced, func(e *engine.TrailEvent) { e.State = engine.Paid })
	event(2200, engine.StockTaken, nil)
	event(2300, engine.HoldReleased, why(engine.ReasonExpired))
	event(2400, engine.HoldPlaced, nil)
	event(2500, engine.OrderPaid, why(engine.ReasonPaidLate))
	for range 3 {
		event(2600, engine.RefundBecameDue, func(e *engine.TrailEvent) {
			e.Reason, e.Operator, e.OrderNo = engine.ReasonVoided, "olga", "1"
		})
	}
	event(2700, engine.RefundBecameDue, why(engine.ReasonVoided)) // money for what was voided before
	event(3000, engine.SessionEnded, nil)
	event(4000, engine.SwitchesSet, olga)
	event(4100, engine.RefundMade, nil)
	event(4200, engine.OrderShipped, func(e *engine.TrailEvent) { e.SKU = "" })
	var whole string
	for stop := len(p); stop >= 0; stop-- {
		var b books
		for _, known := range []pages{p[:stop], p} {
			if err := b.follow(known, "day"); err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(&b)
			b = books{}
			if err := json.Unmarshal(text, &b); err != nil {
				t.Fatal(err)
			}
		}
		if text, _ := json.Marshal(&b); whole == "" {
			whole = string(text)
		} else if string(text) != whole {
			t.Errorf("stopped at %d: %s, want %s", stop, text, whole)
		}
		all := b.whole()
		one := func(n int64) wire.ReportFigure { return wire.ReportFigure{Orders: n, Units: n, Amount: 100 * n} }
		if all != (wire.ReportBooks{Granted: one(4), Paid: one(2), PaidLate: one(1), Expired: one(1), Voided: one(3),
			RefundsDue: one(4), Refunded: one(1), Shipped: one(1)}) || b.Height != 2000 || b.Highest != 3 ||
			b.Listings["mask"].FirstGrant != 1100 || b.Listings["mask"].LastUnit != 2200 {
			t.Fatalf("stopped at %d: %+v, %+v", stop, all, b)
		}
		said := ""
		for _, x := range b.Deeds {
			said += fmt.Sprint(x.Name, x.At, " ", x.Times, ";")
		}
		if said != "session_opened1000 1;switches_set2000 1;refund_became_due2600 3;session_ended3000 1;" {
			t.Errorf("stopped at %d: %s", stop, said)
		}
	}
}

// TestIncidents: an alarm that flickers is one, several nodes see one, and there is a bound.
func TestIncidents(t *testing.T) {
	var l incidents
	on := []incident{{What: alarm, Name: "disk_slow", At: 1000}}
	l.look(on, 1000)
	l.look(nil, 2000)
	on[0].At = 5000
	l.look(on, 5000)
	l.look(nil, 6000)
	on[0].At = 60_000
	l.look(on, 60_000)
	if got := fmt.Sprint(l.within(0, 0)); got != fmt.Sprint([]incident{{What: alarm, Name: "disk_slow", At: 1000,
		Until: 6000}, {What: alarm, Name: "disk_slow", At: 60_000}}) {
		t.Error(got)
	}
	if got := l.within(7000, 50_000); len(got) != 0 {
		t.Error(got)
	}
	seen := together([]incident{{What: alarm, Name: "a", At: 5, Until: 9}, {What: alarm, Name: "a", At: 3, Until: 7},
		{What: deed, Name: "a", At: 4}, {What: deed, Name: "a", At: 4}})
	if fmt.Sprint(seen) != fmt.Sprint([]incident{{What: alarm, Name: "a", At: 3, Until: 9},
		{What: deed, Name: "a", At: 4}, {What: deed, Name: "a", At: 4}}) {
		t.Error(seen)
	}
	for i := range 2 * mostIncidents {
		l.look([]incident{{What: alarm, Name: fmt.Sprint(i), At: 100_000}}, 100_000)
	}
	if n := len(l.within(0, 0)); n != mostIncidents {
		t.Error(n)
	}
}

// TestMerge: what a node had counted before it was started again stays.
func TestMerge(t *testing.T) {
	before := []Counted{{Node: "a", Since: 10, Looks: 5}, {Node: "b", Since: 10, Looks: 6}, {Node: "gone", Since: 10}}
	now := []Counted{{Node: "a", Since: 10, Looks: 8}, {Node: "b", Since: 99, Looks: 1}, {Node: "c", Error: "no"}}
	got := merge(before, now)
	if len(got) != 4 || got[0].Looks != 8 || got[1].Looks != 6 || got[2].Error != "no" || got[3].Node != "gone" {
		t.Errorf("%+v", got)
	}
}

// TestDamagedFiles of reports, those of another session or of a newer build, are none.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	k := New(Config{Dir: dir})
	for name, text := range map[string]string{"half.7.ended": `{"version":1`, "other.7.paid": `{"version":1,"session":"x"}`,
		"new.7.paid":   `{"version":2,"session":"new","opened":7,"stage":2}`,
		"again.6.paid": `{"version":1,"session":"again","opened":6,"stage":2}`,
		"good.7.paid":  `{"version":1,"session":"good","opened":7,"stage":2}`, "odd": "", "odd.7.never": ""} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, session := range []string{"half", "other", "new", "again", "odd", "none"} {
		if r := k.here(session, 7); r != nil {
			t.Errorf("%s: %+v", session, r)
		}
	}
	if k.here("good", 7) == nil || k.stages["good.7"] != paid || len(k.stages) != 5 {
		t.Error(k.stages)
	}
}

// oldAndNew makes a state with so many sessions that ended long ago, and one that ended just now.
func oldAndNew(t *testing.T, old int) (state *engine.State, now engine.Time) {
	t.Helper()
	state, now = engine.NewState(), 1_800_000_000_000
	index := engine.LogIndex(0)
	do := func(c engine.Command) {
		t.Helper()
		head, eff := engine.BatchHeader{Time: now}, new(engine.Effects)
		if index > 0 {
			head.Epoch, head.Sequence = 1, uint64(index)
		}
		index++
		if err := state.Apply(index, engine.EncodeBatch(head, c), eff); err != nil {
			t.Fatal(err)
		}
	}
	hour := func(ids ...string) {
		t.Helper()
		sale := engine.SalePlan{Sale: engine.Sale{ID: "sale", Timezone: "Asia/Shanghai"}}
		for _, id := range ids {
			sale.Sessions = append(sale.Sessions, engine.SessionPlan{
				SessionSpec: engine.SessionSpec{ID: id, StartSpec: "now", Start: now, End: now.Add(time.Hour),
					PayWithin: 15 * time.Minute, Publish: true},
				Listings: []engine.ListingSpec{{SKU: "mask", Price: 100, Stock: 5}},
			})
		}
		do(engine.Command{Kind: engine.CmdApplyPlan, Operator: "olga", Plan: &engine.Plan{
			Products: []engine.Product{{ID: "mask", Currency: "CNY"}}, Sales: []engine.SalePlan{sale}}})
		for now = now.Add(time.Hour); state.NextDue() <= now; {
			do(engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: 1})
		}
	}
	do(engine.Command{Kind: engine.CmdOpenEpoch, Node: "n1", Secret: [16]byte{1}})
	var ids []string
	for i := range old {
		ids = append(ids, fmt.Sprint("old-", i))
	}
	hour(ids...)
	now = now.Add(30 * 24 * time.Hour)
	hour("new")
	if x := state.Session("new"); x == nil || x.State < engine.Ended || state.Session("old-0").OpenedAt == 0 {
		t.Fatalf("%+v", x)
	}
	return state, now.Add(time.Minute)
}

// TestOldSessionsWithoutReports keep no new one waiting, and are asked for no more once every
// node has said that it has none.
func TestOldSessionsWithoutReports(t *testing.T) {
	state, now := oldAndNew(t, 30)
	asked, away := map[string]int{}, "old-7"
	k := New(Config{Dir: t.TempDir(), Node: "a", Tallies: NewTallies(), Trail: pages{},
		Log: slog.New(slog.DiscardHandler), View: func(read func(*engine.State)) { read(state) },
		Leads:  func() bool { return true },
		Now:    func() engine.Time { return now },
		Alarms: func() ([]engine.Alarm, []string) { return nil, nil },
		Others: func(_ context.Context, session string, kept bool) []Told {
			if asked[session]++; session == away {
				return []Told{{Node: "b", Err: errors.New("away")}}
			}
			return []Told{{Node: "b", Told: []byte("null")}}
		}})
	k.look(t.Context())
	if r := k.here("new", state.Session("new").OpenedAt); r == nil || r.Stage == soFar {
		t.Error("the first look leaves the new session's report for later")
	}
	for range 10 {
		k.look(t.Context())
	}
	for name, again := range k.tries {
		again.at = time.Time{}
		k.tries[name] = again
	}
	k.look(t.Context())
	for i := range 30 {
		if id := fmt.Sprint("old-", i); id == away && asked[id] != 2 || id != away && asked[id] != 1 {
			t.Errorf("%s was asked for %d times", id, asked[id])
		}
	}
	state = engine.NewState()
	if k.look(t.Context()); len(k.tries) != 0 {
		t.Errorf("%d sessions that are gone are not forgotten", len(k.tries))
	}
}

func BenchmarkAnswered(b *testing.B) {
	all := NewTallies()
	all.want([]wanted{{1, "day", 0}}, 1)
	a, shopper := engine.Answer{Code: engine.CodeSoldOut, Session: 1}, []byte("shopper-12345")
	for b.Loop() {
		all.Of(a.Session).Answered(&a, 40*time.Microsecond, shopper)
	}
}
