package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/engine"
)

// wire is a follower's way to a leader in the same process, with the faults that
// a test asks for.
type wire struct {
	leader  *actors.Group
	fresh   *atomic.Bool
	current bool // this node leads, and is certain
	seen    atomic.Uint64
	syncs   atomic.Int64
	grabs   atomic.Int64

	mu        sync.Mutex
	lose      int  // so many grabs come to nothing, and nobody knows
	loseReply int  // so many are decided, and nobody hears
	cut       bool // nobody can be asked
	deadlines []engine.Time
	late      func(deliver func()) // if not nil, takes the next grab: nobody knows, until it arrives after all
}

func (w *wire) Fresh() bool { return w.fresh.Load() }

func (w *wire) Seen() engine.LogIndex { return engine.LogIndex(w.seen.Load()) }

func (w *wire) Current() bool { return w.current }

func (w *wire) Ahead() time.Duration { return 0 }

func (w *wire) Sync(ctx context.Context) error {
	w.syncs.Add(1)
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if cut {
		<-ctx.Done()
		return engine.ErrNotLeader
	}
	return nil
}

func (w *wire) Await(context.Context, engine.LogIndex) error { return nil }

func (w *wire) Grab(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	w.grabs.Add(1)
	w.mu.Lock()
	w.deadlines = append(w.deadlines, deadline)
	cut, lose, loseReply := w.cut, w.lose > 0, w.loseReply > 0
	late := w.late
	w.late = nil
	if lose {
		w.lose--
	} else if loseReply {
		w.loseReply--
	}
	w.mu.Unlock()
	switch {
	case late != nil:
		kept := engine.Grab{Listing: slices.Clone(q.Listing), Shopper: slices.Clone(q.Shopper),
			IdempotencyKey: slices.Clone(q.IdempotencyKey), Quantity: q.Quantity}
		late(func() {
			told := make(heard, 1)
			w.leader.GrabFor(&kept, deadline, told)
			<-told
		})
		to.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
	case cut:
		to.Decided(engine.Answer{}, 0, engine.ErrNotLeader)
	case lose:
		to.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
	case loseReply:
		w.leader.GrabFor(q, deadline, lost{to})
	default:
		w.leader.GrabFor(q, deadline, to)
	}
}

// lost is a reply that does not come through.
type lost struct{ engine.Reply }

func (l lost) Decided(engine.Answer, engine.LogIndex, error) {
	l.Reply.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
}

// heard is told what a node decides for another.
type heard chan engine.Answer

func (h heard) Decided(a engine.Answer, _ engine.LogIndex, err error) {
	if err != nil {
		close(h)
		return
	}
	h <- a
}

// grabFor asks a node as another does; false if it does not say.
func (s *testShop) grabFor(listing, shopper, key string) (engine.Answer, bool) {
	told := make(heard, 1)
	s.GrabFor(&engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
		Quantity: 1}, s.Now().Add(time.Second), told)
	a, ok := <-told
	return a, ok
}

func (w *wire) Ask(ctx context.Context, batch []byte) (engine.Outcome, error) {
	return w.leader.AskFor(ctx, batch)
}

func (w *wire) Look(
	_ context.Context, shopper, key []byte, deadline engine.Time,
) (engine.Answer, bool, engine.LogIndex, error) {
	a, found, err := w.leader.LookFor(shopper, key, deadline)
	return a, found, 0, err
}

// openPair is a leader that sells and a follower of it.
func openPair(t *testing.T, timeout time.Duration) (leader, follower *testShop, w *wire) {
	t.Helper()
	leader, follower, w = openBlank(t, timeout)
	follower.awake()
	return leader, follower, w
}

// openBlank is a leader that sells and a node that has applied nothing yet.
func openBlank(t *testing.T, timeout time.Duration) (leader, blank *testShop, w *wire) {
	t.Helper()
	leader = openShop(t, nil)
	own := &wire{leader: leader.Group, fresh: alwaysTrue(), current: true}
	own.seen.Store(math.MaxUint64)
	leader.Join(own)
	cfg := actors.DefaultConfig()
	cfg.GrabTimeout, cfg.CommandTimeout = timeout, timeout
	g, err := backoffice.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Connect(leader.log, leader.log)
	w = &wire{leader: leader.Group, fresh: alwaysTrue()}
	g.Join(w)
	t.Cleanup(g.Close)
	return leader, &testShop{Office: g, log: leader.log, t: t}, w
}

// awake has a blank node take over the state, and apply what comes.
func (s *testShop) awake() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.Restored(s.log.state)
	s.log.followers = append(s.log.followers, s.Office)
}

func alwaysTrue() *atomic.Bool {
	b := new(atomic.Bool)
	b.Store(true)
	return b
}

// TestFollowerSaysNoByItself: what is sold out, or unknown to nobody, costs the
// leader nothing; the rest it decides, and its yes is the same everywhere.
func TestFollowerSaysNoByItself(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 1))
	held := follower.grab("day/skus/mask", "ann", "k")
	if held.Code != engine.CodeGranted || w.grabs.Load() != 1 {
		t.Fatal(held, w.grabs.Load())
	}
	for range 3 {
		if a := follower.grab("day/skus/mask", "bob", ""); a.Code != engine.CodeSoldOut {
			t.Error(a)
		}
	}
	if again := follower.grab("day/skus/mask", "ann", "k"); again.Order != held.Order || w.grabs.Load() != 1 {
		t.Errorf("the same key: %+v after %d calls", again, w.grabs.Load())
	}
	if a := leader.grab("day/skus/mask", "ann", "other"); a.Code != engine.CodeLimitReached || a.Order != held.Order {
		t.Error(a)
	}
	if _, err := follower.Cancel(t.Context(), "ann", held.No.String()); err != nil {
		t.Error(err)
	}
	if a := follower.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeGranted {
		t.Error(a)
	}
	if a := follower.grab("day/skus/none", "bob", "k"); a.Reason != engine.ReasonUnknown {
		t.Error(a)
	}
}

// TestStaleFollowerSaysNothing: a follower that may be behind asks, whatever its
// gates say.
func TestStaleFollowerSaysNothing(t *testing.T) {
	_, follower, w := openPair(t, 50*time.Millisecond)
	follower.plan("day", nil, units("mask", 1))
	held := follower.grab("day/skus/mask", "ann", "k")
	w.fresh.Store(false)
	before := w.grabs.Load()
	if a := follower.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeSoldOut || w.grabs.Load() != before+1 {
		t.Errorf("%+v, asked %d times", a, w.grabs.Load()-before)
	}
	w.cut = true
	if a := follower.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeProcessing || a.Deadline == 0 {
		t.Errorf("cut off: %+v", a)
	}
	for what, ask := range map[string]func() error{
		"order":  func() error { _, err := follower.Order("ann", held.No.String()); return err },
		"orders": func() error { _, _, err := follower.Orders("ann", "", "", 10); return err },
		"counts": func() error { _, err := follower.Counts("day", "mask"); return err },
	} {
		if err := ask(); !errors.Is(err, engine.ErrNotLeader) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWithoutStateNothingIsTold: a node that has applied nothing yet does not know
// the group's secret. It could not tell what it has decided elsewhere, so it has
// nothing decided, until it has a state.
func TestWithoutStateNothingIsTold(t *testing.T) {
	leader, blank, w := openBlank(t, 50*time.Millisecond)
	leader.plan("day", nil, units("mask", 5))
	granted := leader.grab("day/skus/mask", "bob", "k")
	number := granted.No.String()
	for _, fresh := range []bool{false, true} { // what the cluster says of freshness is not about the state
		w.fresh = new(atomic.Bool)
		w.fresh.Store(fresh)
		if a := blank.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeProcessing || a.Deadline == 0 ||
			w.grabs.Load() != 0 {
			t.Errorf("a grab: %+v, asked elsewhere %d times", a, w.grabs.Load())
		}
		for what, ask := range map[string]func() error{
			"by key": func() error {
				_, _, err := blank.GrabByKey([]byte("bob"), []byte("k"), blank.Now()+1)
				return err
			},
			"leave": func() error {
				_, err := blank.LeaveWaitlist(t.Context(), []byte("bob"), []byte("k"))
				return err
			},
			"order":  func() error { _, err := blank.Order("bob", number); return err },
			"orders": func() error { _, _, err := blank.Orders("bob", "", "", 10); return err },
			"own":    func() error { _, err := blank.Own(t.Context(), "bob", 10); return err },
			"cancel": func() error { _, err := blank.Cancel(t.Context(), "bob", number); return err },
			"looks":  func() error { _, _, err := blank.Listing("day", "mask"); return err },
			"counts": func() error { _, err := blank.Counts("day", "mask"); return err },
		} {
			if err := ask(); !errors.Is(err, engine.ErrNotLeader) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if c := leader.counts("day", "mask"); c.Held != 1 {
		t.Errorf("%+v", c)
	}
	blank.awake()
	if a := blank.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeGranted || a.No == (engine.OrderNo{}) {
		t.Errorf("with a state: %+v", a)
	}
}

// TestUnknownIsAskedAgain: with the same key and the same deadline, until it is
// known; a yes that was lost on the way is found.
func TestUnknownIsAskedAgain(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 5))
	w.lose, w.loseReply = 2, 1
	a := follower.grab("day/skus/mask", "ann", "k")
	if a.Code != engine.CodeGranted || w.grabs.Load() != 4 {
		t.Fatalf("%+v after %d", a, w.grabs.Load())
	}
	for _, d := range w.deadlines {
		if d != w.deadlines[0] {
			t.Errorf("deadlines %v", w.deadlines)
		}
	}
	if c := leader.counts("day", "mask"); c.Held != 1 {
		t.Errorf("%+v", c)
	}
}

// TestNoIsNotSureWhileATryMayArrive: a grab that got lost on its way to the leader may
// arrive late and bring a unit that came back meanwhile. So its shopper is not told that
// all is sold out by a later try.
func TestNoIsNotSureWhileATryMayArrive(t *testing.T) {
	leader, follower, w := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 1), units("cap", 1))
	var bob engine.Answer
	var arrive func()
	w.late = func(deliver func()) {
		arrive, bob = deliver, leader.grab("day/skus/mask", "bob", "k")
	}
	a := follower.grab("day/skus/mask", "ann", "k")
	if bob.Code != engine.CodeGranted || a.Code != engine.CodeProcessing || a.Deadline == 0 {
		t.Errorf("%+v, %+v", bob, a)
	}
	if _, err := leader.Cancel(t.Context(), "bob", bob.No.String()); err != nil {
		t.Fatal(err)
	}
	arrive()
	if a, found, err := follower.GrabByKey([]byte("ann"), []byte("k"), a.Deadline); err != nil || !found ||
		a.Code != engine.CodeGranted {
		t.Errorf("%+v %t %v", a, found, err)
	}
	// One that surely was not asked leaves nothing behind.
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
	w.grabs.Store(0)
	told := make(chan engine.Answer)
	go func() { told <- follower.grab("day/skus/cap", "carl", "k") }()
	await(t, "a try", func() bool { return w.grabs.Load() > 0 })
	leader.grab("day/skus/cap", "dan", "k")
	w.mu.Lock()
	w.cut = false
	w.mu.Unlock()
	if a := <-told; a.Code != engine.CodeSoldOut {
		t.Errorf("%+v", a)
	}
}

// replyFunc is a reply of a test's.
type replyFunc func()

func (f replyFunc) Decided(engine.Answer, engine.LogIndex, error) { f() }

// TestNoIsNotSureWhileAnEntryMayArrive: the entry with a shopper's grab got lost, and may
// be found in the log after all. Whoever asks again at once hears no no before another
// epoch has opened, however full the listing is.
func TestNoIsNotSureWhileAnEntryMayArrive(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *testShop{
		"alone": func(t *testing.T) *testShop {
			return openShop(t, func(c *actors.Config) { c.GrabTimeout = time.Second })
		},
		"a leader": func(t *testing.T) *testShop {
			leader, _, _ := openPair(t, time.Second)
			return leader
		},
	} {
		t.Run(name, func(t *testing.T) { noIsNotSure(t, open(t)) })
	}
}

func noIsNotSure(t *testing.T, s *testShop) {
	s.plan("s1", nil, units("a", 9))
	forward := func(shopper string, to replyFunc) {
		if !s.HandToActor("s1/skus/a", shopper, "k", to) {
			t.Fatal("a grab was not handed to the actor")
		}
	}
	gathered := func(n int) func() bool {
		return func() bool { return s.Gathered() == n }
	}
	release := s.log.holdEntries()
	forward("first", func() {})
	await(t, "an entry in flight, which the log has and does not lose", func() bool {
		return s.log.held.Load() == 1 && gathered(0)()
	})
	answered, again := make(chan engine.Answer, 1), make(chan struct{})
	go func() { answered <- s.grab("s1/skus/a", "alice", "k") }()
	await(t, "their grab in the next entry", gathered(1))
	var others sync.WaitGroup
	for _, shopper := range []string{"b", "c", "d"} {
		others.Add(1)
		forward(shopper, func() {
			defer others.Done()
			select { // the others hear nothing before the first one has asked again
			case <-again:
			case <-time.After(5 * time.Second):
			}
		})
	}
	await(t, "all others beside it", gathered(4))
	s.SetSwitches(func(now *engine.Switches) { now[engine.SwitchDepth] = 1 })
	s.log.setFail(true)
	release()
	a := <-answered
	close(again)
	others.Wait()
	if actors.Refused(a.Code) {
		t.Errorf("told %v (%v), of a grab that may yet be granted", a.Code, a.Reason)
	}
}

// TestNoFinalNoWhileUndecided: a key that led to nothing is not called missed while
// a grab of the same shopper is on its way from this node.
func TestNoFinalNoWhileUndecided(t *testing.T) {
	leader, follower, _ := openPair(t, 20*time.Second)
	follower.plan("day", nil, units("mask", 5))
	past := leader.Now() - 1
	await(t, "a final no", func() bool {
		a, found, err := follower.GrabByKey([]byte("ann"), []byte("k"), past)
		return err == nil && found && a.Code == engine.CodeMissed
	})
	follower.Enter("ann")
	if a, found, err := follower.GrabByKey([]byte("ann"), []byte("k"), past); err != nil || !found ||
		a.Code != engine.CodeProcessing {
		t.Errorf("%+v %t %v", a, found, err)
	}
	follower.Leave("ann")
	if a, _, err := follower.GrabByKey([]byte("ann"), []byte("k"), past); err != nil || a.Code != engine.CodeMissed {
		t.Errorf("%+v %v", a, err)
	}
}

// TestForwardedCommands: what another node may have taken through the log.
func TestForwardedCommands(t *testing.T) {
	leader, follower, _ := openPair(t, time.Second)
	good := engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: 1}
	for name, batch := range map[string][]byte{
		"garbage":      []byte("\x01\x02"),
		"no command":   engine.EncodeBatch(engine.BatchHeader{}),
		"two commands": engine.EncodeBatch(engine.BatchHeader{}, good, good),
		"an epoch":     engine.EncodeBatch(engine.BatchHeader{}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "x"}),
		"a hold": engine.EncodeBatch(engine.BatchHeader{},
			engine.Command{Kind: engine.CmdPlaceHold, Shopper: []byte("ann"), Listing: 1, Quantity: 1}),
	} {
		if _, err := leader.AskFor(t.Context(), batch); !errors.Is(err, engine.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := follower.AskFor(t.Context(), engine.EncodeBatch(engine.BatchHeader{}, good)); !errors.Is(err,
		engine.ErrNotLeader) {
		t.Errorf("a follower: %v", err)
	}
	if a, ok := follower.grabFor("day/skus/mask", "ann", "k"); ok {
		t.Errorf("a follower: %+v", a)
	}
	if _, _, err := follower.LookFor([]byte("ann"), []byte("k"), 1); !errors.Is(err, engine.ErrNotLeader) {
		t.Errorf("a follower: %v", err)
	}
}

// TestBlocked: while nothing would be acknowledged, nobody new is let in, and
// holders hear of their holds.
func TestBlocked(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 5))
	held := s.grab("day/skus/mask", "ann", "k")
	commands := s.log.commands
	s.Blocked(true)
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeMissed {
		t.Error(a)
	}
	if a := s.grab("day/skus/mask", "ann", "k"); a.Order != held.Order {
		t.Error(a)
	}
	if s.log.commands != commands {
		t.Error("something was proposed")
	}
	s.Blocked(false)
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeGranted {
		t.Error(a)
	}
}

// TestPresiding: a node that leads and can open no epoch asks nobody, and proposes
// nothing. It says what it knows, to shoppers and to the other nodes, at once.
func TestPresiding(t *testing.T) { synctest.Test(t, presiding) }

func presiding(t *testing.T) {
	leader, next, w := openPair(t, 20*time.Second)
	leader.plan("day", nil, units("mask", 1), units("soap", 5))
	held := leader.grab("day/skus/mask", "ann", "k")
	back := leader.grab("day/skus/soap", "cid", "k")
	if _, err := leader.Cancel(t.Context(), "cid", leader.OrderNo(back.Order)); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.cut, w.current = true, true
	w.mu.Unlock()
	next.Blocked(true)
	grabs, commands, since := w.grabs.Load(), leader.log.commands, time.Now()
	for name, c := range map[string]struct {
		listing, shopper, key string
		want                  engine.Code
	}{
		"sold out":                       {"mask", "eve", "k", engine.CodeSoldOut},
		"would be granted":               {"soap", "eve", "k", engine.CodeMissed},
		"the holder, with the key":       {"mask", "ann", "k", engine.CodeGranted},
		"the holder, with another":       {"mask", "ann", "other", engine.CodeLimitReached},
		"who may have a grab on its way": {"soap", "cid", "other", engine.CodeProcessing},
		"a listing that there is not":    {"none", "eve", "k", engine.CodeRefused},
	} {
		listing := "day/skus/" + c.listing
		if a := next.grab(listing, c.shopper, c.key); a.Code != c.want {
			t.Errorf("%s: %+v", name, a)
		}
		if a, ok := next.grabFor(listing, c.shopper, c.key); !ok || a.Code != c.want {
			t.Errorf("%s, for another node: %+v", name, a)
		}
	}
	if a, found, err := next.GrabByKey([]byte("ann"), []byte("k"), 0); err != nil || !found || a.Order != held.Order {
		t.Errorf("by key: %+v %t %v", a, found, err)
	}
	if a, found, err := next.LookFor([]byte("eve"), []byte("k"), next.Now().Add(time.Second)); err != nil || !found ||
		a.Code != engine.CodeProcessing {
		t.Errorf("an unknown key, for another node: %+v %t %v", a, found, err)
	}
	if v, _, err := next.Listing("day", "mask"); err != nil || v.Stock != 0 {
		t.Errorf("the display: %+v %v", v, err)
	}
	if w.grabs.Load() != grabs || leader.log.commands != commands {
		t.Error("somebody was asked, or something was proposed")
	}
	if took := time.Since(since); took > 0 { // whatever waits for something takes bubble time
		t.Errorf("that took %s", took)
	}
	w.mu.Lock()
	w.current = false
	w.mu.Unlock()
	if a, ok := next.grabFor("day/skus/mask", "eve", "k"); ok {
		t.Errorf("who leads no more: %+v", a)
	}
}

// TestReopenedIsKnownFirst: a unit that comes back is granted only once every node
// that may be fresh knows that there is one, or can't be fresh any more.
func TestReopenedIsKnownFirst(t *testing.T) {
	for name, known := range map[string]bool{"the others tell": true, "the others are silent": false} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t, nil)
			w := &wire{leader: s.Group, fresh: alwaysTrue()}
			w.seen.Store(math.MaxUint64)
			s.Join(w)
			s.plan("day", nil, units("mask", 1))
			held := s.grab("day/skus/mask", "ann", "k")
			sold := s.counts("day", "mask").LogIndex
			w.seen.Store(uint64(sold))
			since := s.Since()
			if _, err := s.Cancel(t.Context(), "ann", held.No.String()); err != nil {
				t.Fatal(err)
			}
			told := make(chan engine.Answer, 1)
			go func() { told <- s.grab("day/skus/mask", "bob", "k") }()
			if known {
				await(t, "bob waits undecided", func() bool { return s.Stats().Waiting == 1 })
				select {
				case a := <-told:
					t.Fatalf("told before the others know: %+v", a)
				case <-time.After(20 * time.Millisecond):
				}
				w.seen.Store(uint64(sold) + 1)
			}
			if a := <-told; a.Code != engine.CodeGranted {
				t.Error(a)
			}
			if took := s.Since() - since; !known && took < actors.KnownAfter {
				t.Errorf("granted after %s, when a node may still be fresh", took)
			}
		})
	}
}

// TestOnlyWhatChangedReopens: another session's change holds up nobody's grants,
// however long a node says nothing.
func TestOnlyWhatChangedReopens(t *testing.T) {
	s := openShop(t, nil)
	w := &wire{leader: s.Group, fresh: alwaysTrue()}
	w.seen.Store(math.MaxUint64)
	s.Join(w)
	s.plan("day", nil, units("mask", 9))
	s.plan("night", nil, units("lamp", 9))
	s.grab("day/skus/mask", "ann", "k")
	mask, lamp := s.Gate("day/skus/mask"), s.Gate("night/skus/lamp")
	for _, c := range []struct {
		what   string
		change func() error
	}{
		{"paused", func() error {
			_, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "night", engine.SessionPause, "")
			return err
		}},
		{"another limit", func() error {
			_, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "night", engine.SessionResume, "")
			l := units("lamp", 9)
			l.LimitPerShopper = 2
			s.plan("night", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, l)
			return err
		}},
		{"a new session", func() error { s.plan("dawn", nil, units("cup", 1)); return nil }},
	} {
		before := mask.Opened()
		if err := c.change(); err != nil {
			t.Fatal(c.what, err)
		}
		if after := mask.Opened(); after != before {
			t.Errorf("%s: the mask counts as opened by entry %d, was %d", c.what, after, before)
		}
	}
	at := s.counts("night", "lamp").LogIndex
	if opened := lamp.Opened(); opened == 0 || engine.LogIndex(opened) > at {
		t.Errorf("the lamp counts as opened by entry %d of %d", opened, at)
	}
	opened := mask.Opened()
	w.seen.Store(opened) // a node is mute from now on
	s.plan("noon", nil, units("hat", 1))
	if !s.EverybodyKnows("day/skus/mask") {
		t.Error("grants of the mask wait for a mute node, because another session was planned")
	}
	if s.EverybodyKnows("noon/skus/hat") {
		t.Error("grants of a new listing don't wait for a mute node")
	}
}

// TestOwnGrantIsNoSoldOut: a shopper whose grant takes the last unit, through whatever
// node, is never told by another that has just applied it that all units are gone.
func TestOwnGrantIsNoSoldOut(t *testing.T) {
	const rounds = 400
	leader, follower, _ := openPair(t, 20*time.Second)
	var skus []engine.ListingSpec
	for i := range rounds {
		skus = append(skus, units(fmt.Sprint("mask", i), 1))
	}
	leader.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = rounds }, skus...)
	var wait sync.WaitGroup
	defer wait.Wait()
	for i := range rounds {
		listing := fmt.Sprint("day/skus/mask", i)
		began := make(chan struct{})
		wait.Go(func() {
			q := &engine.Grab{Listing: []byte(listing), Shopper: []byte("ann"), IdempotencyKey: []byte("other"),
				Quantity: 1}
			gate, ann := follower.Gate(listing), follower.Fingerprint("ann")
			for looks := 0; !gate.HasSeen(ann); looks++ {
				if a, decided := follower.AtGate(listing, q); decided {
					t.Errorf("listing %d: %+v", i, a)
					return
				}
				if looks == 0 {
					close(began)
				}
			}
		})
		<-began
		if a := leader.grab(listing, "ann", fmt.Sprint("k", i)); a.Code != engine.CodeGranted {
			t.Fatal(a)
		}
	}
}

// TestQuotaOverFailover: whom one leader let in and granted a unit counts against the
// quota of the next, through whichever node they came, also after a restore.
func TestQuotaOverFailover(t *testing.T) {
	for name, restored := range map[string]bool{"from the log": false, "from a snapshot": true} {
		t.Run(name, func(t *testing.T) {
			leader, follower, w := openPair(t, 20*time.Second)
			w.seen.Store(math.MaxUint64)
			leader.plan("day", func(x *engine.SessionPlan) {
				x.AdmissionMultiple = 1
			}, units("other", 1), units("mask", 3))
			leader.grab("day/skus/other", "alice", "k")
			for who, through := range map[string]*testShop{"bob": leader, "ben": follower} {
				if a := through.grab("day/skus/mask", who, "k"); a.Code != engine.CodeGranted {
					t.Fatal(who, a)
				}
			}
			if restored {
				follower.log.mu.Lock()
				follower.Restored(follower.log.state)
				follower.log.mu.Unlock()
			}
			follower.leadNow(leader)
			// let in, and refused
			if a := follower.grab("day/skus/mask", "alice", "k1"); a.Code != engine.CodeLimitReached {
				t.Fatal(a)
			}
			if a := follower.grab("day/skus/mask", "carol", "k"); a.Reason != engine.ReasonQuota {
				t.Errorf("a fourth, where three may be let in: %+v", a)
			}
		})
	}
}

// leadNow has a node lead in old's place.
func (s *testShop) leadNow(old *testShop) {
	s.t.Helper()
	old.EpochClosed()
	opened, err := s.log.apply(engine.EncodeBatch(engine.BatchHeader{Time: s.Now()},
		engine.Command{Kind: engine.CmdOpenEpoch, Node: "n2"}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.EpochOpened(engine.Epoch(opened.Index), opened.Time)
}

// shaky is a way to the leader whose answers come late, in any order, or not in time.
type shaky struct {
	*wire
	mu     sync.Mutex
	random *rand.Rand
}

type late struct {
	engine.Reply
	by time.Duration
}

func (l late) Decided(a engine.Answer, index engine.LogIndex, err error) {
	time.AfterFunc(l.by, func() { l.Reply.Decided(a, index, err) })
}

func (s *shaky) Grab(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	s.mu.Lock()
	by, how := time.Duration(s.random.IntN(60))*time.Millisecond, s.random.IntN(8)
	s.mu.Unlock()
	switch how {
	case 0:
		late{to, by}.Decided(engine.Answer{}, 0, engine.ErrOutcomeUnknown)
	case 1:
		s.leader.GrabFor(q, deadline, lost{late{to, by}})
	case 2:
		s.leader.GrabFor(q, deadline, to)
	default:
		s.leader.GrabFor(q, deadline, late{to, by})
	}
}

// TestLateAnswersFindNobodyElse: fronts that leave while another node decides, actors
// that panic and epochs that end there: whoever is answered hears of an order of their
// own, and no slot stays behind on either node.
func TestLateAnswersFindNobodyElse(t *testing.T) {
	const shoppers, rounds = 32, 30
	leader, follower, w := openPair(t, 40*time.Millisecond)
	follower.SetOthers(&shaky{wire: w, random: rand.New(rand.NewPCG(1, 2))})
	var grabs atomic.Int64
	leader.OnGrab(func(string) {
		if grabs.Add(1)%97 == 0 {
			panic("as the test wants")
		}
	})
	leader.plan("day", nil, units("mask", shoppers/2))
	var heard, answered atomic.Int64
	var crowd sync.WaitGroup
	for i := range shoppers {
		crowd.Go(func() {
			who := fmt.Sprintf("shopper-%d", i)
			for n := range rounds {
				a := follower.grab("day/skus/mask", who, fmt.Sprint("k", n%3))
				heard.Add(1)
				if a.Code != engine.CodeGranted {
					continue
				}
				answered.Add(1)
				leader.log.View(func(state *engine.State) {
					if o := state.Order(a.Order); o == nil || state.ShopperID(o.Shopper) != who ||
						a.No.String() != state.OrderNo(a.Order) {
						t.Errorf("%s was given %+v", who, a)
					}
				})
			}
		})
	}
	for i := range 3 { // in the middle of it
		await(t, "some of the crowd to be answered", func() bool {
			return heard.Load() > int64((i+1)*shoppers*rounds/5)
		})
		leader.log.openEpoch(t, leader.Now())
	}
	crowd.Wait()
	for _, s := range []*testShop{leader, follower} {
		await(t, "all slots to come back", func() bool { return s.Lent() == 0 })
		if err := s.LeavesNothing(); err != nil {
			t.Error(err)
		}
	}
	if answered.Load() == 0 {
		t.Error("nobody was granted anything")
	}
}
