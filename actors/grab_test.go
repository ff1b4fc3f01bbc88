package actors_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

func TestGrabByHand(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	first := s.grab("day/skus/mask", "alice", "k1")
	if first.Code != engine.CodeGranted || first.State != engine.Held {
		t.Fatalf("first grab: %+v", first)
	}
	if again := s.grab("day/skus/mask", "alice", "k1"); again.Code != engine.CodeGranted || again.Order != first.Order {
		t.Errorf("the same key: %+v", again)
	}
	if other := s.grab("day/skus/mask", "alice", "k2"); other.Code != engine.CodeLimitReached ||
		other.Order != first.Order || other.Count != 1 || other.Amount != 100 {
		t.Errorf("another key: %+v", other)
	}
	if a := s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("alice"),
		IdempotencyKey: []byte("k1"), Quantity: 2}); a.Reason != engine.ReasonKeyReused {
		t.Errorf("the key with another request: %+v", a)
	}
	if bob := s.grab("day/skus/mask", "bob", "k1"); bob.Code != engine.CodeSoldOut ||
		bob.Reason != engine.ReasonSoldOut {
		t.Errorf("a second shopper: %+v", bob)
	}
	if a := s.grab("day/skus/none", "bob", "k1"); a.Code != engine.CodeRefused || a.Reason != engine.ReasonUnknown {
		t.Errorf("an unknown listing: %+v", a)
	}
	if a := s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("carol"), IdempotencyKey: []byte("k"),
		Quantity: 2}); a.Code != engine.CodeSoldOut {
		t.Errorf("too many of a sold-out listing: %+v", a)
	}
	v, err := s.Order("alice", first.No.String())
	if err != nil || v.SKU != "mask" || v.Shopper != "alice" {
		t.Errorf("order: %+v, %v", v, err)
	}
	if _, err := s.Order("bob", v.OrderNo); isRefusal(err, engine.ReasonUnknown) != nil {
		t.Error(isRefusal(err, engine.ReasonUnknown))
	}
	if _, err := s.Cancel(t.Context(), "alice", v.OrderNo); err != nil {
		t.Fatal(err)
	}
	if bob := s.grab("day/skus/mask", "bob", "k2"); bob.Code != engine.CodeGranted {
		t.Errorf("after the release: %+v", bob)
	}
}

// TestCrowd sends many shoppers at once, each twice with one key, and checks
// that exactly the stock was granted, nobody twice, nobody told two things.
func TestCrowd(t *testing.T) {
	const stock, shoppers = 200, 2000
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", stock))
	var granted, soldOut atomic.Int64
	orders := sync.Map{}
	var wait sync.WaitGroup
	for i := range shoppers {
		name := fmt.Sprintf("shopper-%d", i)
		answers := make(chan engine.Answer, 2)
		for range 2 {
			wait.Go(func() { answers <- s.grab("day/skus/mask", name, "key") })
		}
		wait.Go(func() {
			a, b := <-answers, <-answers
			if a.Code != b.Code || a.Order != b.Order {
				t.Errorf("%s was told %v %v and %v %v", name, a.Code, a.Order, b.Code, b.Order)
			}
			switch a.Code {
			case engine.CodeGranted:
				granted.Add(1)
				if _, twice := orders.LoadOrStore(a.Order, name); twice {
					t.Errorf("order %v went to two shoppers", a.Order)
				}
			case engine.CodeSoldOut:
				soldOut.Add(1)
			default:
				t.Errorf("%s: %+v", name, a)
			}
		})
	}
	wait.Wait()
	if granted.Load() != stock || soldOut.Load() != shoppers-stock {
		t.Errorf("granted %d of %d, sold out %d", granted.Load(), stock, soldOut.Load())
	}
	if c := s.counts("day", "mask"); c.Held != stock || c.Available != 0 || c.Shoppers != stock {
		t.Errorf("counts: %+v", c)
	}
}

// TestParkedGrabGetsTheRefusedUnit: of two SKUs in a session with a limit of one
// unit across both, the unit that the log refuses goes to who parked.
func TestParkedGrabGetsTheRefusedUnit(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("a", 1), units("b", 1))
	if a := s.grab("day/skus/a", "alice", "k1"); a.Code != engine.CodeGranted {
		t.Fatalf("alice: %+v", a)
	}
	release := s.log.holdEntries()
	alice, bob := make(chan engine.Answer, 1), make(chan engine.Answer, 1)
	go func() { alice <- s.grab("day/skus/b", "alice", "k2") }()
	gate := s.Gate("day/skus/b")
	await(t, "alice's grab in flight", func() bool { return gate.Undecided() == 1 && gate.SeenSoFar() == 1 })
	go func() { bob <- s.grab("day/skus/b", "bob", "k1") }()
	await(t, "bob undecided", func() bool { return gate.Undecided() == 2 })
	release()
	if a := <-alice; a.Code != engine.CodeLimitReached || a.Reason != engine.ReasonLimitSession || a.Listing == 0 {
		t.Errorf("alice: %+v", a)
	}
	if b := <-bob; b.Code != engine.CodeGranted {
		t.Errorf("bob: %+v", b)
	}
}

// TestEpochLost: what is in flight when an epoch ends is unknown, asked again
// under the next, and answered once.
func TestEpochLost(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 3))
	s.log.setFail(true)
	answers := make(chan engine.Answer, 5)
	for i := range 5 {
		go func() {
			a := s.grab("day/skus/mask", fmt.Sprintf("s%d", i), "k")
			for a.Code == engine.CodeProcessing { // the next epoch had not opened when it was asked again
				a = s.grab("day/skus/mask", fmt.Sprintf("s%d", i), "k")
			}
			answers <- a
		}()
	}
	<-s.log.lost
	s.log.setFail(false)
	s.log.openEpoch(t, 0)
	granted := 0
	for range 5 {
		switch a := <-answers; a.Code {
		case engine.CodeGranted:
			granted++
		case engine.CodeSoldOut:
		default:
			t.Errorf("%+v", a)
		}
	}
	if granted != 3 {
		t.Errorf("granted %d of 3", granted)
	}
}

// TestProcessing: a grab whose deadline passes is told where to ask, and then
// hears the truth: the order, or missed once it can't be any more.
func TestProcessing(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.GrabTimeout = 20 * time.Millisecond })
	s.plan("day", nil, units("mask", 3))
	release := s.log.holdEntries()
	a := s.grab("day/skus/mask", "alice", "k")
	if a.Code != engine.CodeProcessing || a.Deadline == 0 {
		t.Fatalf("%+v", a)
	}
	if b, found, err := s.GrabByKey([]byte("alice"), []byte("k"), a.Deadline); err != nil || !found ||
		b.Code != engine.CodeProcessing {
		t.Errorf("while undecided: %+v %v %v", b, found, err)
	}
	if _, found, _ := s.GrabByKey([]byte("alice"), []byte("never"), 0); found {
		t.Error("a key never seen was found")
	}
	release()
	await(t, "an outcome", func() bool {
		b, _, _ := s.GrabByKey([]byte("alice"), []byte("k"), a.Deadline)
		return b.Code == engine.CodeGranted || b.Code == engine.CodeMissed
	})
	await(t, "missed for good", func() bool {
		b, _, _ := s.GrabByKey([]byte("bob"), []byte("k"), a.Deadline)
		return b.Code == engine.CodeMissed
	})
}

// TestActorPanics: its listing recovers from committed state and nobody is told
// two things; the third panic of an epoch puts the listing in quarantine; the
// other listing never notices.
func TestActorPanics(t *testing.T) {
	s := openShop(t, nil)
	var faults atomic.Int32
	s.OnGrab(func(listing string) {
		if listing == "day/skus/bad" && faults.Add(-1) >= 0 {
			panic("made to")
		}
	})
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, units("bad", 4), units("good", 4))
	faults.Store(1)
	if a := s.grab("day/skus/bad", "alice", "k"); a.Code != engine.CodeGranted {
		t.Errorf("asked again after a panic: %+v", a)
	}
	if n := s.Stats().Panics; n != 1 {
		t.Errorf("%d panics, want 1", n)
	}
	faults.Store(2)
	if a := s.grab("day/skus/bad", "bob", "k"); a.Code != engine.CodeProcessing {
		t.Errorf("a grab that panics twice: %+v", a)
	}
	if st := s.Stats(); st.Panics != 3 || st.Quarantined != 1 {
		t.Errorf("%+v", st)
	}
	if all := s.Alarms(); len(all) != 1 || all[0].Name != engine.AlarmListingQuarantined ||
		!strings.Contains(all[0].Detail, "day/bad") || strings.Contains(all[0].Detail, "good") {
		t.Errorf("alarms %+v", all)
	}
	if a := s.grab("day/skus/bad", "carol", "k"); a.Code != engine.CodeMissed {
		t.Errorf("in quarantine: %+v", a)
	}
	if a := s.grab("day/skus/bad", "alice", "k"); a.Code != engine.CodeGranted {
		t.Errorf("a holder in quarantine: %+v", a)
	}
	if a := s.grab("day/skus/good", "carol", "k"); a.Code != engine.CodeGranted {
		t.Errorf("the other listing: %+v", a)
	}
	s.log.openEpoch(t, 0)
	if a := s.grab("day/skus/bad", "dave", "k"); a.Code != engine.CodeGranted {
		t.Errorf("in the next epoch: %+v", a)
	}
}

// TestPanicWithGrabsInFlight: units in flight at an actor that panics are decided
// by the log, once.
func TestPanicWithGrabsInFlight(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 2))
	var fault atomic.Bool
	s.OnGrab(func(string) {
		if fault.CompareAndSwap(true, false) {
			panic("made to")
		}
	})
	release := s.log.holdEntries()
	answers := make(chan engine.Answer, 4)
	gate := s.Gate("day/skus/mask")
	for i := range 3 { // two in flight, one parked
		go func() { answers <- s.grab("day/skus/mask", fmt.Sprintf("s%d", i), "k") }()
		await(t, "a grab undecided", func() bool { return gate.Undecided() == i+1 })
	}
	fault.Store(true)
	go func() { answers <- s.grab("day/skus/mask", "last", "k") }()
	await(t, "the panic", func() bool { return s.Stats().Panics == 1 })
	release()
	granted := 0
	for range 4 {
		switch a := <-answers; a.Code {
		case engine.CodeGranted:
			granted++
		case engine.CodeSoldOut:
		default:
			t.Errorf("%+v", a)
		}
	}
	if granted != 2 {
		t.Errorf("granted %d of 2", granted)
	}
}

// TestSoldOutForAHolder: whoever holds hears of their order, whoever looks.
func TestSoldOutForAHolder(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	first := s.grab("day/skus/mask", "alice", "k")
	if a := s.grab("day/skus/mask", "alice", "k"); a.Code != engine.CodeGranted || a.Order != first.Order {
		t.Errorf("sold out: %+v", a)
	}
	for _, action := range []engine.SessionAction{engine.SessionPause, engine.SessionEnd} {
		if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "day", action, ""); err != nil {
			t.Fatal(err)
		}
		if a := s.grab("day/skus/mask", "alice", "k"); a.Code != engine.CodeGranted || a.Order != first.Order {
			t.Errorf("after %s: %+v", action, a)
		}
	}
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeEnded {
		t.Errorf("another after the end: %+v", a)
	}
}

// TestGrabAndCancelForEver: after the third release nothing changes any more, and
// no entry is written.
func TestGrabAndCancelForEver(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 5))
	releases := 0
	for i := range 1_000_000 {
		a := s.grab("day/skus/mask", "alice", fmt.Sprintf("k%d", i))
		if a.Code == engine.CodeGranted {
			if _, err := s.Cancel(t.Context(), "alice", a.No.String()); err != nil {
				t.Fatal(err)
			}
			releases++
			continue
		}
		if a.Code != engine.CodeLimitReached || a.Reason != engine.ReasonReleases {
			t.Fatalf("%+v", a)
		}
		if i == 10 {
			s.log.mu.Lock()
			s.log.commands = 0
			s.log.mu.Unlock()
		}
	}
	if releases != engine.MaxReleases {
		t.Errorf("%d releases", releases)
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.commands != 0 {
		t.Errorf("%d commands reached the log after the third release", s.log.commands)
	}
}

func TestExpiryByTicks(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", func(x *engine.SessionPlan) { x.PayWithin = time.Second }, units("mask", 1))
	s.grab("day/skus/mask", "alice", "k")
	await(t, "the unit back", func() bool { return s.counts("day", "mask").Available == 1 })
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeGranted {
		t.Errorf("%+v", a)
	}
}

func TestWaitingDepth(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.WaitingDepth = 2 })
	s.plan("day", nil, units("mask", 5))
	release := s.log.holdEntries()
	gate := s.Gate("day/skus/mask")
	answers := make(chan engine.Answer, 2)
	for i := range 2 {
		go func() { answers <- s.grab("day/skus/mask", fmt.Sprintf("s%d", i), "k") }()
		await(t, "a grab undecided", func() bool { return gate.Undecided() == i+1 })
	}
	if a := s.grab("day/skus/mask", "late", "k"); a.Code != engine.CodeMissed || a.Reason != engine.ReasonDepth {
		t.Errorf("waiting room full: %+v", a)
	}
	release()
	for range 2 {
		if a := <-answers; a.Code != engine.CodeGranted {
			t.Errorf("%+v", a)
		}
	}
	if a := s.grab("day/skus/mask", "late", "k"); a.Code != engine.CodeGranted {
		t.Errorf("with room again: %+v", a)
	}
}

// TestAdmissionQuota: each shopper counts once, and who was let in stays so.
func TestAdmissionQuota(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", func(x *engine.SessionPlan) { x.AdmissionMultiple = 1 }, units("other", 1), units("mask", 2))
	s.grab("day/skus/other", "alice", "k0")
	for range 3 { // let in, and refused for the session's limit
		if a := s.grab("day/skus/mask", "alice", "k1"); a.Code != engine.CodeLimitReached {
			t.Fatalf("%+v", a)
		}
	}
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeGranted {
		t.Errorf("%+v", a)
	}
	if a := s.grab("day/skus/mask", "carol", "k"); a.Code != engine.CodeMissed || a.Reason != engine.ReasonQuota {
		t.Errorf("over the quota: %+v", a)
	}
	v, _, _ := s.Orders("bob", "", "", 1)
	if _, err := s.Cancel(t.Context(), "bob", v[0].OrderNo); err != nil {
		t.Fatal(err)
	}
	if a := s.grab("day/skus/mask", "carol", "k"); a.Code != engine.CodeGranted { // a released unit lets one more in
		t.Errorf("after a release: %+v", a)
	}
}

// TestRefusedAllocatesNothing is the budget of the refused path.
func TestRefusedAllocatesNothing(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	s.grab("day/skus/mask", "alice", "k")
	q := &engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("bob"), IdempotencyKey: []byte("k"),
		Quantity: 1}
	if n := testing.AllocsPerRun(1000, func() { s.Grab(q) }); n != 0 {
		t.Errorf("%v allocations a refused grab", n)
	}
}

// TestShownStockNeverRises: a released unit is for sale, but the figure that
// shoppers see only goes down, until operators add stock.
func TestShownStockNeverRises(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 3))
	shown := func() int64 {
		v, ok, err := s.Listing("day", "mask")
		if !ok || err != nil {
			t.Fatal("the listing is gone:", err)
		}
		return v.Stock
	}
	a := s.grab("day/skus/mask", "alice", "k")
	s.grab("day/skus/mask", "bob", "k")
	if n := shown(); n != 1 {
		t.Errorf("shown %d, want 1", n)
	}
	if _, err := s.Cancel(t.Context(), "alice", a.No.String()); err != nil {
		t.Fatal(err)
	}
	if n, c := shown(), s.counts("day", "mask"); n != 1 || c.Available != 2 {
		t.Errorf("after a release: shown %d, want 1; available %d, want 2", n, c.Available)
	}
	if _, err := s.AddStock(t.Context(), engine.By{Operator: "ops"}, "day", "mask", 10, ""); err != nil {
		t.Fatal(err)
	}
	if n := shown(); n != 11 {
		t.Errorf("after 10 were added: shown %d, want 11", n)
	}
}

// TestPlansInOneBatch: each hears of its own changes.
func TestPlansInOneBatch(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 3))
	release := sync.OnceFunc(s.log.holdEntries())
	t.Cleanup(release)
	blocked := make(chan error)
	for range actors.DefaultConfig().EntriesInFlight { // each in an entry of its own, so that the plans must gather
		before := s.Sequence()
		go func() {
			_, err := s.AddStock(t.Context(), engine.By{Operator: "ops"}, "day", "mask", 1, "")
			blocked <- err
		}()
		await(t, "an entry in flight", func() bool { return s.Sequence() > before })
	}
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			id := fmt.Sprintf("p%d", i)
			o, err := s.ApplyPlan(t.Context(), engine.By{Operator: "ops"},
				&engine.Plan{Products: []engine.Product{{ID: id, Currency: "CNY"}}}, false)
			if err != nil || len(o.Problems) > 0 || len(o.Changes) != 1 || o.Changes[0].Path != "products["+id+"]" {
				t.Errorf("%s: %+v %v", id, o, err)
			}
		})
	}
	await(t, "the plans to gather", func() bool { return s.Gathered() == 4 })
	release()
	wait.Wait()
	for range actors.DefaultConfig().EntriesInFlight {
		if err := <-blocked; err != nil {
			t.Error(err)
		}
	}
}

// TestMissedOnlyOnceNothingIsUnderWay: a grab that is turned away because many
// wait names a deadline at which their earlier one with the same key is certain.
func TestMissedOnlyOnceNothingIsUnderWay(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.WaitingDepth = 1 })
	s.plan("day", nil, units("mask", 3))
	s.log.setFail(true)
	release := s.log.holdEntries()
	answers := make(chan engine.Answer, 2)
	go func() { answers <- s.grab("day/skus/mask", "alice", "k") }()
	await(t, "the first undecided", func() bool { return s.Stats().Waiting == 1 && s.seen("day/skus/mask", "alice") })
	go func() { answers <- s.grab("day/skus/mask", "alice", "other") }()
	await(t, "the second undecided", func() bool { return s.Stats().Waiting == 2 })
	again := s.grab("day/skus/mask", "alice", "k")
	if again.Code != engine.CodeProcessing {
		t.Fatalf("the same key again: %+v", again)
	}
	release()
	<-s.log.lost
	s.log.setFail(false)
	opened, err := s.log.apply(engine.EncodeBatch(engine.BatchHeader{Time: s.Now() + 5},
		engine.Command{Kind: engine.CmdOpenEpoch, Node: "n1"}))
	if err != nil {
		t.Fatal(err)
	}
	if a, _, err := s.GrabByKey([]byte("alice"), []byte("k"), again.Deadline); err != nil ||
		a.Code != engine.CodeProcessing {
		t.Errorf("asked while the first is under way: %+v, %v", a, err)
	}
	s.EpochOpened(engine.Epoch(opened.Index), opened.Time)
	if a, b := <-answers, <-answers; a.Code != engine.CodeGranted && b.Code != engine.CodeGranted {
		t.Errorf("none of the two was granted: %+v, %+v", a, b)
	}
}

// TestNobodyUndecidedIsMissed: whoever has an undecided grab that may yet be granted is
// not told that they missed it because many wait.
func TestNobodyUndecidedIsMissed(t *testing.T) {
	s := openShop(t, func(c *actors.Config) { c.WaitingDepth = 2 })
	s.plan("day", nil, units("mask", 1))
	release := s.log.holdEntries()
	answers := make(chan engine.Answer, 2)
	for i, who := range []string{"alice", "bob"} { // bob parks behind alice
		go func() { answers <- s.grab("day/skus/mask", who, "k") }()
		await(t, who+" undecided", func() bool {
			return s.Stats().Waiting == int64(i)+1 && s.seen("day/skus/mask", "alice")
		})
	}
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeProcessing {
		t.Errorf("bob again: %+v", a)
	}
	if a := s.grab("day/skus/mask", "carol", "k"); a.Code != engine.CodeMissed {
		t.Errorf("carol: %+v", a)
	}
	release()
	<-answers
	<-answers
}

func (s *testShop) seen(listing, shopper string) bool {
	return s.Gate(listing).HasSeen(s.Fingerprint(shopper))
}

// TestGrantAllocatesOnce at most is the budget of the granted path, from the gate to the answer,
// with the state machine: what lives on in the state is counted, too, and what a batch
// needs is shared by all in it.
func TestGrantAllocatesOnce(t *testing.T) {
	if raceDetector {
		t.Skip("with the race detector pools forget")
	}
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", engine.MaxStock))
	const callers, grabs = 256, 100
	grant := func(round int) (mallocs uint64) {
		var all [callers][grabs]engine.Grab
		for i := range all {
			for n := range all[i] {
				all[i][n] = engine.Grab{Listing: []byte("day/skus/mask"), IdempotencyKey: []byte("k"), Quantity: 1,
					Shopper: fmt.Appendf(nil, "shopper-%d-%d-%d", round, i, n)}
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var running sync.WaitGroup
		for i := range all {
			running.Go(func() {
				for n := range all[i] {
					if a := s.Grab(&all[i][n]); a.Code != engine.CodeGranted {
						t.Errorf("%+v", a)
					}
				}
			})
		}
		running.Wait()
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	grant(0)                                      // pools fill, tables grow
	each := float64(grant(1)) / (callers * grabs) // with the callers' own
	t.Logf("%.2f allocations a grant", each)
	if each > 1 { // 0.2 are the callers' own, and the batches'
		t.Errorf("%.2f allocations a grant", each)
	}
}
