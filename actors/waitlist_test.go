package actors_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// queue grabs a unit, or a place on the waitlist where there is none.
func (s *testShop) queue(listing, shopper, key string) engine.Answer {
	return s.Grab(&engine.Grab{Listing: []byte(listing), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
		Quantity: 1, Waitlist: true})
}

func TestWaitlistByHand(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 2)
	mask.Waitlist = true
	// so that each unit comes back once at most
	s.plan("day", func(x *engine.SessionPlan) { x.PayWithin = 2 * time.Hour }, mask)
	ann := s.grab("day/skus/mask", "ann", "k")
	s.grab("day/skus/mask", "bob", "k")
	first := s.queue("day/skus/mask", "cai", "k1")
	if first.Code != engine.CodeWaitlisted || first.Count != 1 {
		t.Fatalf("first in line: %+v", first)
	}
	if again := s.queue("day/skus/mask", "cai", "k2"); again.Code != engine.CodeWaitlisted ||
		again.Order != first.Order {
		t.Errorf("with another key: %+v", again)
	}
	place := first.No[:]
	if a, found, err := s.GrabByKey([]byte("cai"), place, 0); err != nil || !found || a != first {
		t.Errorf("by the number of the place: %+v, %v, %v", a, found, err)
	}
	if a, found, err := s.GrabByKey([]byte("dan"), place, 0); err != nil || found {
		t.Errorf("by the number of another's place: %+v, %v", a, err)
	}
	if _, err := s.LeaveWaitlist(t.Context(), []byte("dan"), place); isRefusal(err, engine.ReasonUnknown) != nil {
		t.Errorf("leaving another's place: %v", err)
	}
	if a := s.queue("day/skus/mask", "dan", "k"); a.Code != engine.CodeWaitlisted || a.Count != 2 {
		t.Errorf("second in line: %+v", a)
	}
	if a := s.queue("day/skus/mask", "eve", "k"); a.Code != engine.CodeSoldOut {
		t.Errorf("the line is as long as it may be: %+v", a)
	}
	if a := s.grab("day/skus/mask", "fay", "k"); a.Code != engine.CodeSoldOut {
		t.Errorf("one who would not wait: %+v", a)
	}
	changed, stop := s.Watch("cai")
	defer stop()
	if _, err := s.Cancel(t.Context(), "ann", ann.No.String()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("who watches was not told")
	}
	if a, found, err := s.GrabByKey([]byte("cai"), []byte("k1"), 0); err != nil || !found ||
		a.Code != engine.CodeGranted || a.State != engine.Held || a.Order != first.Order {
		t.Errorf("the head of the line: %+v, %v, %v", a, found, err)
	}
	if a, _, _ := s.GrabByKey([]byte("dan"), []byte("k"), 0); a.Code != engine.CodeWaitlisted || a.Count != 1 {
		t.Errorf("the next: %+v", a)
	}
	dan, _, _ := s.GrabByKey([]byte("dan"), []byte("k"), 0)
	if v, err := s.LeaveWaitlist(t.Context(), []byte("dan"), dan.No[:]); err != nil || v.State != engine.Left {
		t.Errorf("leaving: %+v, %v", v, err)
	}
	if a, _, _ := s.GrabByKey([]byte("dan"), []byte("k"), 0); a.Code != engine.CodeSoldOut ||
		a.Reason != engine.ReasonLeft {
		t.Errorf("after leaving: %+v", a)
	}
	if _, err := s.LeaveWaitlist(t.Context(), []byte("cai"), []byte("k1")); isRefusal(err,
		engine.ReasonNotHeld) != nil {
		t.Errorf("leaving with a grant: %v", err)
	}
	if orders, _, _ := s.Orders("dan", "", "", 10); len(orders) != 0 {
		t.Errorf("a place that was left is no order: %+v", orders)
	}
	if c := s.counts("day", "mask"); c.Waiting != 0 || c.Held != 2 {
		t.Errorf("counts: %+v", c)
	}
}

// TestWaitlistCrowd lets a crowd that would wait meet others who let go: units only
// ever go to who is next.
func TestWaitlistCrowd(t *testing.T) {
	const stock, shoppers = 50, 600
	s := openShop(t, nil)
	mask := units("mask", stock)
	mask.Waitlist = true
	s.plan("day", nil, mask)
	var wait sync.WaitGroup
	var granted, waiting atomic.Int64
	for i := range shoppers {
		wait.Go(func() {
			name := fmt.Sprint("s", i)
			a := s.queue("day/skus/mask", name, "k")
			switch a.Code {
			case engine.CodeGranted:
				granted.Add(1)
				if i%2 == 0 {
					if _, err := s.Cancel(t.Context(), name, a.No.String()); err != nil {
						t.Error(err)
					}
				}
			case engine.CodeWaitlisted:
				waiting.Add(1)
			case engine.CodeSoldOut:
			default:
				t.Errorf("%s: %+v", name, a)
			}
		})
	}
	wait.Wait()
	c := s.counts("day", "mask")
	if c.Available > 0 && c.Waiting > 0 {
		t.Errorf("units lie about while people wait: %+v", c)
	}
	if c.Held+c.Available != stock || granted.Load() < stock {
		t.Errorf("%+v, granted at once %d, waited %d", c, granted.Load(), waiting.Load())
	}
	// Who went first on the waitlist has not been passed by who came later.
	s.log.View(func(state *engine.State) {
		last := uint32(0)
		x := state.SessionOf(1)
		for i := range x.Orders() {
			o := state.Order(engine.OrderRef{Session: 1, Ordinal: uint32(i) + 1})
			if o.State != engine.Waiting {
				continue
			}
			if ref := (engine.OrderRef{Session: 1, Ordinal: uint32(i) + 1}); state.Position(ref) != last+1 {
				t.Errorf("%v is at %d, after %d", ref, state.Position(ref), last)
			}
			last++
		}
	})
}

func TestDrawThroughTheGroup(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 5)
	mask.Draw = 2 * time.Second
	s.plan("day", nil, mask)
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			if a := s.grab("day/skus/mask", fmt.Sprint("s", i), "k"); a.Code != engine.CodeEntered || a.Start == 0 {
				t.Errorf("%d: %+v", i, a)
			}
		})
	}
	wait.Wait()
	if v, err := s.Draw("day", "mask", "", 100); err != nil || v.Revealed || v.Entrants != 40 || len(v.Entries) != 0 {
		t.Errorf("while it is open: %+v, %v", v, err)
	}
	await(t, "the draw is done", func() bool {
		s.Nudge()
		v, _ := s.Draw("day", "mask", "", 1)
		return v.State == engine.DrawDone
	})
	v, err := s.Draw("day", "mask", "", 100)
	if err != nil || !v.Revealed || engine.Commitment(v.Seed) != v.Commitment || len(v.Entries) != 40 {
		t.Fatalf("done: %+v, %v", v, err)
	}
	slices.SortFunc(v.Entries, func(a, b engine.DrawEntry) int {
		if engine.Rank(v.Seed, a.OrderNo) < engine.Rank(v.Seed, b.OrderNo) {
			return -1
		}
		return 1
	})
	for i, e := range v.Entries {
		if got, want := e.State == engine.Held, i < 5; got != want {
			t.Errorf("rank %d: %v", i, e.State)
		}
	}
	if a, _, _ := s.GrabByKey([]byte("s0"), []byte("k"), 0); a.Code != engine.CodeGranted &&
		(a.Code != engine.CodeSoldOut || a.Reason != engine.ReasonDrawn) {
		t.Errorf("afterwards: %+v", a)
	}
}

// strict bars who has no ticket, and blocks some.
type strict struct{ asked atomic.Int64 }

func (g *strict) Check(q *engine.Grab, rules engine.DoorRules) engine.Reason {
	g.asked.Add(1)
	switch door, _ := q.Door.(string); {
	case string(q.Shopper) == "bot":
		return engine.ReasonRisk
	case rules.Ticket && door == "":
		return engine.ReasonTicketMissing
	case rules.Ticket:
		q.Ticket = uint64(len(door))
	}
	return engine.ReasonNone
}

func TestGuardIsAskedAfterWhatIsKnown(t *testing.T) {
	s := openShop(t, nil)
	guard := &strict{}
	s.SetGuard(guard)
	mask := units("mask", 2)
	mask.LimitPerShopper, mask.Ticket = 2, true
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 2 }, mask)
	grab := func(shopper, key, ticket string) engine.Answer {
		q := &engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte(shopper), IdempotencyKey: []byte(key),
			Quantity: 1}
		if ticket != "" {
			q.Door = ticket
		}
		return s.Grab(q)
	}
	for _, c := range []struct {
		shopper, key, ticket string
		code                 engine.Code
		why                  engine.Reason
		asked                int64
	}{
		{"bot", "k1", "t", engine.CodeMissed, engine.ReasonRisk, 1},
		{"ann", "k1", "", engine.CodeTicketRequired, engine.ReasonTicketMissing, 1},
		{"ann", "k1", "t", engine.CodeGranted, 0, 1},
		{"ann", "k1", "", engine.CodeGranted, 0, 0},                                   // known
		{"ann", "k2", "t", engine.CodeTicketRequired, engine.ReasonTicketUsed, 1},     // once is all
		{"ann", "k2", "", engine.CodeTicketRequired, engine.ReasonTicketMissing, 1},   //
		{"ann", "k2", "another", engine.CodeGranted, 0, 1},                            //
		{"cai", "k1", "t", engine.CodeSoldOut, engine.ReasonSoldOut, 0},               // what the gate says comes first
		{"bot", "k1", "", engine.CodeSoldOut, engine.ReasonSoldOut, 0},                //
		{"ann", "k3", "third", engine.CodeLimitReached, engine.ReasonLimitListing, 1}, //
	} {
		before := guard.asked.Load()
		a := grab(c.shopper, c.key, c.ticket)
		if a.Code != c.code || a.Reason != c.why || guard.asked.Load()-before != c.asked {
			t.Errorf("%s with key %s and ticket %q: %v %v, asked %d times; want %v %v, %d", c.shopper, c.key, c.ticket,
				a.Code, a.Reason, guard.asked.Load()-before, c.code, c.why, c.asked)
		}
	}
}

// A shopper who holds a unit is never told that they missed it, whatever the door
// thinks of them.
func TestBarredHolderIsNotToldHeMissed(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 2)
	mask.LimitPerShopper = 2
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 2 }, mask)
	held := s.grab("day/skus/mask", "bot", "k1")
	s.SetGuard(&strict{})
	if a := s.grab("day/skus/mask", "bot", "k1"); a.Code != engine.CodeGranted || a.Order != held.Order {
		t.Errorf("their own key: %+v", a)
	}
	if a := s.grab("day/skus/mask", "bot", "k2"); a.Code != engine.CodeProcessing {
		t.Errorf("another key: %+v", a)
	}
}

// checkBots bars whoever says that they are one.
type checkBots struct{}

func (checkBots) Check(q *engine.Grab, _ engine.DoorRules) engine.Reason {
	if strings.HasPrefix(string(q.Shopper), "bot") {
		return engine.ReasonRisk
	}
	return engine.ReasonNone
}

// TestBarredHearTheSameWhateverTheyHad: a barred shopper who once had a unit and let it
// go hears what one hears who never had any, whatever has become of the listing; and
// of a listing that is not there, what everybody hears.
func TestBarredHearTheSameWhateverTheyHad(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, units("mask", 2))
	once := s.grab("day/skus/mask", "bot-once", "k0")
	if _, err := s.Cancel(t.Context(), "bot-once", s.OrderNo(once.Order)); err != nil {
		t.Fatal(err)
	}
	s.SetGuard(checkBots{})
	alike := func(when string, code engine.Code) {
		t.Helper()
		a, b := s.grab("day/skus/mask", "bot-once", "k1"), s.grab("day/skus/mask", "bot-new", "k1")
		if a != b || a.Code != code {
			t.Errorf("%s: who let go hears %+v, who never had any %+v; want %v", when, a, b, code)
		}
	}
	alike("open", engine.CodeMissed)
	steer := func(action engine.SessionAction) {
		t.Helper()
		if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, "day", action, ""); err != nil {
			t.Fatal(err)
		}
	}
	steer(engine.SessionPause)
	alike("paused", engine.CodeNotOpen)
	steer(engine.SessionResume)
	s.grab("day/skus/mask", "ann", "k")
	s.grab("day/skus/mask", "bob", "k")
	alike("sold out", engine.CodeSoldOut)
	steer(engine.SessionEnd)
	alike("ended", engine.CodeEnded)
	if a := s.grab("day/skus/none", "bot-new", "k"); a != s.grab("day/skus/none", "ann", "k") {
		t.Errorf("a listing that is not there: %+v", a)
	}
}

// Nor is one who is on the waitlist sent to ask for what would turn out as missed, nor one
// who has all that they may have.
func TestBarredIsToldOfWhatHeHas(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 1)
	mask.Waitlist = true
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, mask, units("lamp", 2))
	s.grab("day/skus/mask", "ann", "k")
	held, place := s.grab("day/skus/lamp", "bot", "lamp"), s.queue("day/skus/mask", "bot", "mask")
	if held.Code != engine.CodeGranted || place.Code != engine.CodeWaitlisted {
		t.Fatalf("%+v, %+v", held, place)
	}
	s.SetGuard(&strict{})
	if a := s.queue("day/skus/mask", "bot", "k2"); a != place {
		t.Errorf("in line, with another key: %+v, want %+v", a, place)
	}
	if a := s.grab("day/skus/lamp", "bot", "k3"); a.Code != engine.CodeLimitReached || a.Order != held.Order {
		t.Errorf("with all that they may have, and another key: %+v", a)
	}
}

// A place that came to nothing by a limit says which, also after the shopper has
// let go of what counted against it.
func TestPassedByALimit(t *testing.T) {
	s := openShop(t, nil)
	a, b := units("mask", 1), units("lamp", 1)
	a.Waitlist, b.Waitlist = true, true
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper, x.PayWithin = 1, 2*time.Hour }, a, b)
	mask, lamp := s.grab("day/skus/mask", "ann", "k"), s.grab("day/skus/lamp", "bob", "k")
	s.queue("day/skus/mask", "cai", "mask")
	s.queue("day/skus/lamp", "cai", "lamp")
	for who, order := range map[string]engine.OrderRef{"ann": mask.Order, "bob": lamp.Order} {
		if _, err := s.Cancel(t.Context(), who, s.OrderNo(order)); err != nil {
			t.Fatal(err)
		}
	}
	got, missed := "mask", "lamp"
	held, _, _ := s.GrabByKey([]byte("cai"), []byte(got), 0)
	if held.Code != engine.CodeGranted {
		got, missed = missed, got
		held, _, _ = s.GrabByKey([]byte("cai"), []byte(got), 0)
	}
	want := engine.Answer{Code: engine.CodeLimitReached, Reason: engine.ReasonLimitSession, Count: 1, Limit: 1,
		State: engine.Held, Session: held.Session, Order: held.Order, No: held.No, Listing: held.Listing, Quantity: 1,
		Amount: held.Amount, PayBy: held.PayBy, Transaction: held.Transaction}
	if a, _, err := s.GrabByKey([]byte("cai"), []byte(missed), 0); err != nil || a != want {
		t.Errorf("the second place: %+v, %v; want %+v", a, err, want)
	}
	if _, err := s.Cancel(t.Context(), "cai", held.No.String()); err != nil {
		t.Fatal(err)
	}
	want = engine.Answer{Code: engine.CodeLimitReached, Reason: engine.ReasonLimitSession, Count: 1, Limit: 1,
		Session: held.Session}
	if a, _, err := s.GrabByKey([]byte("cai"), []byte(missed), 0); err != nil || a != want {
		t.Errorf("after letting go: %+v, %v; want %+v", a, err, want)
	}
}

// A place for more units than a limit has come to allow was asked for rightly:
// nothing of that sort is left, and nobody hears that their request was wrong.
func TestPassedByALoweredLimit(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 2)
	mask.Waitlist, mask.LimitPerShopper = true, 2
	wide := func(x *engine.SessionPlan) { x.LimitPerShopper = 2 }
	s.plan("day", wide, mask)
	two := func(shopper string) engine.Answer {
		return s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte(shopper),
			IdempotencyKey: []byte("k"), Quantity: 2, Waitlist: true})
	}
	held, place := two("ann"), two("bob")
	if held.Code != engine.CodeGranted || place.Code != engine.CodeWaitlisted {
		t.Fatalf("%+v, %+v", held, place)
	}
	mask.LimitPerShopper = 1
	s.plan("day", wide, mask)
	if _, err := s.Cancel(t.Context(), "ann", held.No.String()); err != nil {
		t.Fatal(err)
	}
	if a, _, err := s.GrabByKey([]byte("bob"), []byte("k"), 0); err != nil || a.Code != engine.CodeSoldOut ||
		a.Reason != engine.ReasonQuantity {
		t.Errorf("the place: %+v, %v", a, err)
	}
	no := place.No.String()
	if found, _, err := s.FindOrders(engine.OrderFilter{OrderNo: no}); err != nil || len(found) != 1 ||
		found[0].Why != engine.ReasonQuantity {
		t.Errorf("the place by its number: %+v, %v", found, err)
	}
}

func TestRiskLists(t *testing.T) {
	s := openShop(t, nil)
	put := func(kind engine.RosterKind, id string, level engine.Level) {
		t.Helper()
		_, err := s.Ask(t.Context(), engine.Command{Kind: engine.CmdEditRoster,
			Edit: engine.RosterEdit{Roster: engine.RosterID{Kind: kind}, Action: engine.RosterPut,
				Rows: []engine.RosterEntry{{ID: []byte(id), Level: level}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	hash := engine.Blind([]byte("hash of a phone."))
	if _, err := s.Ask(t.Context(), engine.Command{Kind: engine.CmdEditRoster,
		Edit: engine.RosterEdit{Roster: engine.RosterID{Kind: engine.RosterRiskPhone}, Action: engine.RosterPut,
			Rows: []engine.RosterEntry{{ID: hash[:], Level: engine.LevelChallenge, Sealed: []byte("a phone")}}},
	}); err != nil {
		t.Fatal(err)
	}
	at := func(shopper, addr, phone string) engine.Level {
		v := engine.Visitor{Shopper: []byte(shopper)}
		if phone != "" {
			v.PhoneHash = hash
		}
		if addr != "" {
			v.Addr = netip.MustParseAddr(addr)
		}
		return s.Risk(&v)
	}
	put(engine.RosterRiskShopper, "bot", engine.LevelBlock)
	put(engine.RosterRiskIP, "203.0.113.0/24", engine.LevelChallenge)
	put(engine.RosterRiskIP, "203.0.113.7/32", engine.LevelBlock)
	put(engine.RosterRiskIP, "2001:db8::/32", engine.LevelListed)
	for _, c := range []struct {
		shopper, addr, phone string
		want                 engine.Level
	}{
		{"ann", "198.51.100.1", "", engine.LevelNone}, {"bot", "", "", engine.LevelBlock},
		{"ann", "203.0.113.8", "", engine.LevelChallenge},
		{"ann", "203.0.113.7", "", engine.LevelBlock}, {"ann", "::ffff:203.0.113.7", "", engine.LevelBlock},
		{"ann", "2001:db8::1", "", engine.LevelListed},
		{"ann", "", "+8613800138000", engine.LevelChallenge},
	} {
		if got := at(c.shopper, c.addr, c.phone); got != c.want {
			t.Errorf("%s from %s, phone %s: %v, want %v", c.shopper, c.addr, c.phone, got, c.want)
		}
	}
	put(engine.RosterRiskShopper, "bot", engine.LevelNone)
	if got := at("bot", "", ""); got != engine.LevelNone {
		t.Errorf("taken off: %v", got)
	}
	if _, err := s.Ask(t.Context(), engine.Command{Kind: engine.CmdSetSwitches,
		Switches: engine.SwitchChange{Action: engine.SwitchSet,
			Settings: []engine.Setting{{Switch: engine.SwitchRiskLists}}}}); err != nil {
		t.Fatal(err)
	}
	if got := at("ann", "203.0.113.7", ""); got != engine.LevelNone {
		t.Errorf("switched off: %v", got)
	}
}

// TestWhatChangesNothingIsNotCommitted: a receiver that is there already, a reservation
// that is, or is taken back twice, and what is cancelled or given up a second time
// write nothing into the log.
func TestWhatChangesNothingIsNotCommitted(t *testing.T) {
	s := openShop(t, nil)
	reserved := units("later", 5)
	reserved.Reservation = true
	s.plan("soon", func(x *engine.SessionPlan) {
		x.StartSpec, x.Start, x.End = "soon", x.Start.Add(time.Hour), x.End.Add(2*time.Hour)
	}, reserved)
	lamp := units("lamp", 1)
	lamp.Waitlist = true
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 2 }, units("mask", 5), lamp)
	await(t, "the opening", func() bool {
		v, _, _ := s.Listing("day", "mask")
		return v != nil && v.State == engine.ListingOpen
	})
	no := s.grab("day/skus/mask", "ann", "k").No.String()
	index := func() (at engine.LogIndex) {
		s.View(func(s *engine.State) { at = s.LogIndex() })
		return at
	}
	key := engine.PersonalKey{KEK: 1, Wrapped: "a key"}
	receiver := func(name string) {
		to := engine.Receiver{Sealed: name, Same: engine.Blind([]byte(name + "             "))}
		if o, err := s.SetReceiver(t.Context(), "ann", no, to, key); err != nil || o.Receiver != to {
			t.Fatal(o, err)
		}
	}
	reserve := func(withdraw bool) {
		if _, err := s.Reserve(t.Context(), "ann", "soon", "later", withdraw); err != nil {
			t.Fatal(err)
		}
	}
	for name, do := range map[string]func(){"receiver": func() {
		receiver("Ann")
	}, "reservation": func() { reserve(false) }} {
		do()
		before := index()
		do()
		if at := index(); at != before {
			t.Errorf("%s: the log went on from %d to %d", name, before, at)
		}
	}
	cancel := func() {
		if o, err := s.Cancel(t.Context(), "ann", no); err != nil || o.State != engine.Cancelled {
			t.Fatal(o, err)
		}
	}
	receiver("Bea") // what does change something is written
	cancel()
	before := index()
	cancel()
	_, err := s.SetReceiver(t.Context(), "ann", no, engine.Receiver{Sealed: "Cai", Same: engine.Blind{1}}, key)
	if isRefusal(err, engine.ReasonNotHeld) != nil || index() != before {
		t.Errorf("cancelled again, and a receiver of what is cancelled: %v, from %d to %d", err, before, index())
	}
	s.grab("day/skus/lamp", "bob", "k")
	s.queue("day/skus/lamp", "ann", "wait")
	leave := func() {
		if o, err := s.LeaveWaitlist(t.Context(), []byte("ann"), []byte("wait")); err != nil || o.State != engine.Left {
			t.Fatal(o, err)
		}
	}
	leave()
	before = index()
	if leave(); index() != before {
		t.Error("a place given up twice went into the log")
	}
	reserve(true)
	before = index()
	if reserve(true); index() != before {
		t.Error("a reservation taken back twice went into the log")
	}
}

func TestReservationOpensTheDoor(t *testing.T) {
	s := openShop(t, nil)
	mask := units("mask", 5)
	mask.Reservation = true
	s.plan("day", func(x *engine.SessionPlan) { x.StartSpec, x.Start = "soon", x.Start.Add(2*time.Second) }, mask)
	for _, who := range []string{"ann", "bob"} {
		if changed, err := s.Reserve(t.Context(), who, "day", "mask", false); err != nil || !changed {
			t.Fatal(err)
		}
	}
	if _, err := s.Reserve(t.Context(), "bob", "day", "mask", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reserve(t.Context(), "ann", "day", "none", false); isRefusal(err, engine.ReasonUnknown) != nil {
		t.Error(err)
	}
	await(t, "the opening", func() bool {
		v, _, _ := s.Listing("day", "mask")
		return v != nil && v.State == engine.ListingOpen
	})
	if a := s.grab("day/skus/mask", "ann", "k"); a.Code != engine.CodeGranted {
		t.Errorf("who reserved: %+v", a)
	}
	if a := s.grab("day/skus/mask", "bob", "k"); a.Code != engine.CodeNotReserved {
		t.Errorf("who took it back: %+v", a)
	}
	if _, err := s.Reserve(t.Context(), "cai", "day", "mask", false); isRefusal(err, engine.ReasonTooLate) != nil {
		t.Error(err)
	}
}
