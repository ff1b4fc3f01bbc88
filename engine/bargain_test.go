package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// bargainPlay cuts a price of 1,000 down to 400 by about 10 friends, within the hour.
func bargainPlay(change func(*Play)) *Play {
	p := &Play{Name: "bargain", Parameters: `{"floor":400}`, Price: PriceRule{Kind: PriceCut, Floor: 400},
		Cut: CutRule{Friends: 10, Spread: 50, Window: 30 * time.Minute}}
	if change != nil {
		change(p)
	}
	return p
}

// plays plans a session of one listing with a play, at 1,000.
func (g *group) plays(id string, p *Play, stock int64, change func(*ListingSpec)) *Listing {
	g.tb.Helper()
	g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{Plays: []PlayTemplate{{p.Name, "text"}}}})
	l := ListingSpec{Stock: stock, Price: 1000, Shown: -1, Play: p}
	if change != nil {
		change(&l)
	}
	return g.state.Listing(g.session(id, nil, l).Listings[0])
}

func (g *group) start(l *Listing, shopper string) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdStartBargain, Listing: l.Handle, Shopper: []byte(shopper)})
}

func (g *group) help(ref BargainRef, friend, key string) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdCutBargain, Bargain: ref, Shopper: []byte(friend), Key: g.state.KeyOf([]byte(key)),
		Weight: 100})
}

func (g *group) buy(ref BargainRef, shopper, key string) Event {
	g.tb.Helper()
	c := g.placeHold(g.state.Bargain(ref).Listing, shopper, key, 1)
	c.Bargain = ref
	return g.one(c)
}

// cutDown has friends help until the floor is reached, and gives how many it took.
func (g *group) cutDown(ref BargainRef, prefix string) int {
	g.tb.Helper()
	for n := 1; ; n++ {
		if e := g.help(ref, fmt.Sprint(prefix, n), "k"); e.Kind != BargainWasCut {
			g.tb.Fatalf("friend %d: %v", n, e)
		}
		if b := g.state.Bargain(ref); b.Price == b.floor {
			return n
		}
	}
}

func TestBargain(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 5, nil)
	e := g.start(l, "ann")
	ref := BargainRef{e.Session, e.Bargain}
	if e.Kind != BargainStarted || e.Amount != 1000 || ref != (BargainRef{l.Session, 1}) {
		t.Fatalf("%v %+v", e, e)
	}
	if again := g.start(l, "ann"); again.Kind != BargainConfirmed || again.Bargain != e.Bargain {
		t.Errorf("again: %v", again)
	}
	first := g.help(ref, "bob", "k1")
	if first.Kind != BargainWasCut || first.Amount <= 0 || g.state.Bargain(ref).Price != 1000-first.Amount {
		t.Fatalf("cut: %v", first)
	}
	for name, c := range map[string]struct {
		got  Event
		kind EventKind
		why  Reason
	}{
		"oneself":            {g.help(ref, "ann", "k"), CommandRefused, ReasonOwnBargain},
		"twice":              {g.help(ref, "bob", "k2"), CommandRefused, ReasonHelped},
		"twice by one key":   {g.help(ref, "bob", "k1"), BargainConfirmed, ReasonNone},
		"no bargain":         {g.help(BargainRef{l.Session, 9}, "cai", "k"), CommandRefused, ReasonUnknown},
		"another buys":       {g.buy(ref, "bob", "k"), HoldRefused, ReasonUnknown},
		"a stranger's start": {g.start(&Listing{Handle: 99}, "dan"), CommandRefused, ReasonUnknown},
	} {
		if c.got.Kind != c.kind || c.got.Reason != c.why {
			t.Errorf("%s: %v, want %v %v", name, c.got, c.kind, c.why)
		}
	}
	n := 1 + g.cutDown(ref, "f")
	if n < 6 || n > 16 {
		t.Errorf("%d friends, planned were 10", n)
	}
	if e := g.help(ref, "late", "k"); e.Reason != ReasonFloor {
		t.Errorf("below the floor: %v", e)
	}
	bought := g.buy(ref, "ann", "b")
	if bought.Kind != HoldPlaced || bought.Amount != 400 || g.state.BargainState(ref) != BargainBought {
		t.Fatalf("%v, %v", bought, g.state.BargainState(ref))
	}
	if again := g.buy(ref, "ann", "b"); again.Kind != HoldConfirmed || again.Order != bought.Order {
		t.Errorf("again by the key: %v", again)
	}
	if again := g.buy(ref, "ann", "c"); again.Reason != ReasonBought {
		t.Errorf("again: %v", again)
	}
	if e := g.help(ref, "later", "k"); e.Reason != ReasonBargainOver {
		t.Errorf("after the purchase: %v", e)
	}
	if paid := g.pay(bought.Order, "p"); paid.Kind != OrderPaid {
		t.Errorf("%v", paid)
	}
	if !g.state.conserved(l) {
		t.Error("units are not conserved")
	}
}

// A bargain whose order was let go can be bought by again, as long as its time lasts.
// A bargain is not shown to be open for longer than its session.
func TestBargainIsShownToEndWithItsSession(t *testing.T) {
	g := newGroup(t)
	l := g.plays("day", bargainPlay(nil), 5, nil)
	ref := BargainRef{1, g.start(l, "ann").Bargain}
	x := g.state.SessionOf(1)
	expires := g.state.Bargain(ref).Expires
	x.End = expires - 1000
	if v := g.state.ViewBargain(ref, 0, 0, ""); v.Expires != x.End {
		t.Errorf("of a session that ends at %v: %v", x.End, v.Expires)
	}
	x.End = expires + 1000
	g.one(Command{Kind: CmdSteerSession, Session: 1, Action: SessionEnd})
	if v := g.state.ViewBargain(ref, 0, 0, ""); v.Expires != x.EndedAt || v.State != BargainExpired {
		t.Errorf("of a session that ended at %v: %v, %v", x.EndedAt, v.Expires, v.State)
	}
}

// A key is of one request: a grab is none by a bargain.
func TestKeysOfGrabsAndOfBargains(t *testing.T) {
	g := newGroup(t)
	l := g.plays("day", bargainPlay(nil), 5, nil)
	ref := BargainRef{1, g.start(l, "ann").Bargain}
	g.one(g.placeHold(l.Handle, "ann", "plain", 1))
	if e := g.buy(ref, "ann", "plain"); e.Kind != HoldRefused || e.Reason != ReasonKeyReused {
		t.Errorf("by the bargain, with a grab's key: %v", e)
	}
	bought := g.buy(ref, "ann", "own")
	if e := g.one(g.placeHold(l.Handle, "ann", "own", 1)); e.Kind != HoldRefused || e.Reason != ReasonKeyReused {
		t.Errorf("a grab with the bargain's key: %v", e)
	}
	if e := g.buy(ref, "ann", "own"); bought.Kind != HoldPlaced || e.Kind != HoldConfirmed || e.Order != bought.Order {
		t.Errorf("%v, and again %v", bought, e)
	}
}

func TestBargainIsBoughtAgain(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 5, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	g.cancel(g.buy(ref, "ann", "a").Order)
	if e := g.buy(ref, "ann", "b"); e.Kind != HoldPlaced {
		t.Errorf("%v", e)
	}
	g.cancel(OrderRef{ref.Session, g.state.Bargain(ref).order})
	g.after(31 * time.Minute)
	if e := g.buy(ref, "ann", "c"); e.Reason != ReasonBargainOver || g.state.BargainState(ref) != BargainExpired {
		t.Errorf("after its time: %v", e)
	}
	if e := g.help(ref, "bob", "k"); e.Reason != ReasonBargainOver {
		t.Errorf("a cut after its time: %v", e)
	}
}

func TestBoughtOnlyAtTheFloor(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.AtFloor = true }), 5, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	if e := g.buy(ref, "ann", "a"); e.Reason != ReasonNotAtFloor {
		t.Errorf("%v", e)
	}
	g.cutDown(ref, "f")
	if e := g.buy(ref, "ann", "a"); e.Kind != HoldPlaced || e.Amount != 400 {
		t.Errorf("%v", e)
	}
}

// A unit that is set aside from the start is the bargain's until it is over, and then
// comes back by itself.
func TestStockTakenAtTheStart(t *testing.T) {
	for name, over := range map[string]func(*group, BargainRef){
		"its time is over": func(g *group, _ BargainRef) { g.after(30 * time.Minute) },
		"the session ends": func(g *group, _ BargainRef) { g.after(2 * time.Hour) },
		"operators end the session": func(g *group, ref BargainRef) {
			g.steer(ref.Session, SessionEnd)
		},
		"operators end it": func(g *group, ref BargainRef) {
			if e := g.one(Command{Kind: CmdEndBargain, Bargain: ref, Operator: "op"}); e.Kind != BargainWasOver {
				g.tb.Errorf("%v", e)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.TakeStock = true }), 2, nil)
			ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
			g.start(l, "bob")
			if l.Available != 0 || l.Held != 2 {
				t.Fatalf("available %d, held %d", l.Available, l.Held)
			}
			if e := g.start(l, "cai"); e.Kind != CommandRefused || e.Reason != ReasonSoldOut {
				t.Errorf("no unit is left: %v", e)
			}
			if e := g.grab(l.Handle, "dan", "k", 1); e.Reason != ReasonSoldOut {
				t.Errorf("a grab beside: %v", e)
			}
			other := BargainRef{l.Session, 2}
			if e := g.buy(other, "bob", "b"); e.Kind != HoldPlaced || l.Held != 2 {
				t.Fatalf("its own unit: %v, held %d", e, l.Held)
			}
			over(g, ref)
			if l.Available < 1 || g.state.BargainState(ref) == BargainOpen {
				t.Errorf("available %d, %v", l.Available, g.state.BargainState(ref))
			}
			if !g.state.conserved(l) {
				t.Error("units are not conserved")
			}
		})
	}
}

func TestHelpsADay(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.PerDay = 2 }), 5, nil)
	var refs []BargainRef
	for _, owner := range []string{"a", "b", "c"} {
		refs = append(refs, BargainRef{l.Session, g.start(l, owner).Bargain})
	}
	g.help(refs[0], "fay", "k")
	g.help(refs[1], "fay", "k")
	if e := g.help(refs[2], "fay", "k"); e.Reason != ReasonHelpsToday {
		t.Errorf("%v", e)
	}
}

// A bargain's code leads to it alone; no other code leads anywhere.
// Anybody can do the sum of a cut again, as docs/plays.md says it.
func TestLuckIsASumThatAnybodyCanDo(t *testing.T) {
	seed, code := [32]byte{1, 2, 31: 3}, "0123456789ABCDEFGHJKMNPQRS"
	h := sha256.Sum256([]byte(string(seed[:]) + code + "\x00\x00\x01\x02"))
	want := uint64(0)
	for _, b := range h[:8] {
		want = want<<8 | uint64(b)
	}
	if got := Luck(seed, code, 0x102); got != want {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestBargainCodes(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 500, nil)
	seen := map[string]bool{}
	for i := range 300 {
		ref := BargainRef{l.Session, g.start(l, fmt.Sprint("s", i)).Bargain}
		code := g.state.BargainCode(ref)
		if got, ok := g.state.FindBargain(code); !ok || got != ref || seen[code] || len(code) != BargainCodeBytes {
			t.Fatalf("%s: %v %v", code, got, ok)
		}
		seen[code] = true
		for at := range code {
			forged := []byte(code)
			forged[at] = orderNoEncodingLetter(code[at])
			if _, ok := g.state.FindBargain(string(forged)); ok {
				t.Fatalf("%s is taken for %s", forged, code)
			}
		}
	}
	for _, bad := range []string{"", "x", "IIIIIIIIIIIIIIIIIIIIIIIIII", "00000000000000000000000000", "é"} {
		if ref, ok := g.state.FindBargain(bad); ok {
			t.Errorf("%q: %v", bad, ref)
		}
	}
}

// orderNoEncodingLetter gives another letter than c.
func orderNoEncodingLetter(c byte) byte {
	if c == '0' {
		return '4'
	}
	return '0'
}

// A group price falls as units sell, each order at its own step, and never rises again.
func TestGroupPrice(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "group", Price: PriceRule{Kind: PriceSteps, Floor: 700,
		Steps: []PriceStep{{2, 900}, {3, 700}}}}, 10, nil)
	for i, want := range []int64{1000, 1000, 900, 700, 700} {
		e := g.grab(l.Handle, fmt.Sprint("s", i), "k", 1)
		if e.Kind != HoldPlaced || e.Amount != want {
			t.Errorf("unit %d: %v costs %d, want %d", i+1, e, e.Amount, want)
		}
		if i == 3 { // three come back: nobody pays more than who looked before
			for j := range 3 {
				g.cancel(g.state.OrderByKey(g.state.ShopperNo(fmt.Sprint("s", j)), g.state.KeyOf([]byte("k"))))
			}
		}
	}
}

func TestFallingPrice(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "falling", Price: PriceRule{Kind: PriceClock, Floor: 750, Every: time.Minute,
		By: 100}}, 10, nil)
	for i, want := range []int64{1000, 900, 800, 750, 750} {
		if e := g.grab(l.Handle, fmt.Sprint("s", i), "k", 1); e.Amount != want {
			t.Errorf("minute %d: %d, want %d", i, e.Amount, want)
		}
		g.after(time.Minute)
	}
}

// A price that an expression gave is taken within its bounds, and only then.
func TestPriceByFormula(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "formula", Price: PriceRule{Kind: PriceFormula, Floor: 500, Amount: "x"}}, 10, nil)
	for i, c := range []struct {
		price  int64
		priced bool
		kind   EventKind
	}{
		{500, true, HoldPlaced}, {1000, true, HoldPlaced}, {499, true, HoldRefused}, {1001, true, HoldRefused},
		{0, false, HoldRefused},
	} {
		grab := g.placeHold(l.Handle, fmt.Sprint("s", i), "k", 2)
		grab.Price, grab.Priced = c.price, c.priced
		if e := g.one(grab); e.Kind != c.kind || e.Kind == HoldPlaced && e.Amount != 2*c.price {
			t.Errorf("%+v: %v %d", c, e, e.Amount)
		}
	}
}

func TestFirstOfTheDay(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "first", Who: WhoRule{FirstOfDay: true}}, 10, nil)
	first := g.grab(l.Handle, "ann", "a", 1)
	if e := g.grab(l.Handle, "ann", "b", 1); e.Reason != ReasonNotFirst || e.Order != first.Order {
		t.Errorf("%v", e)
	}
	g.cancel(first.Order)
	if e := g.grab(l.Handle, "ann", "c", 1); e.Kind != HoldPlaced {
		t.Errorf("after it was let go: %v", e)
	}
}

// TestFirstOfTheDayOnce: also where the first hold ran out, and its money comes after another
// was bought.
func TestFirstOfTheDayOnce(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "first", Who: WhoRule{FirstOfDay: true}}, 10, nil)
	late := g.grab(l.Handle, "ann", "a", 1)
	g.after(20 * time.Minute)
	second := g.grab(l.Handle, "ann", "b", 1)
	if e := g.pay(second.Order, "p2"); e.Kind != OrderPaid {
		t.Fatal(e)
	}
	if e := g.pay(late.Order, "p1"); e.Kind != RefundBecameDue {
		t.Errorf("two of one day: %v", e)
	}
}

// Days begin at midnight where the sale is, also when the clocks are changed.
func TestMidnight(t *testing.T) {
	for _, zone := range []string{"Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"} {
		where, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		sale := Sale{Timezone: zone}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 400 * 24 * 2 {
			_, seconds := at.In(where).Zone()
			if n := len(sale.Offsets); n == 0 || sale.Offsets[n-1].Seconds != int32(seconds) {
				sale.Offsets = append(sale.Offsets, Offset{TimeOf(at), int32(seconds)})
			}
			at = at.Add(30 * time.Minute)
		}
		for at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); at.Year() == 2026; at = at.Add(29 * time.Minute) {
			there := at.In(where)
			want := TimeOf(time.Date(there.Year(), there.Month(), there.Day(), 0, 0, 0, 0, where))
			if got := sale.midnight(TimeOf(at)); got != want {
				t.Fatalf("%s %s: %s, want %s", zone, at, got.Wall(), want.Wall())
			}
		}
	}
}

// What a plan may not say of plays.
func TestBadPlays(t *testing.T) {
	cut := func(change func(*Play)) *Play { return bargainPlay(change) }
	for name, p := range map[string]*Play{
		"floor over the price": cut(func(p *Play) { p.Price.Floor = 1001 }),
		"no friends":           cut(func(p *Play) { p.Cut.Friends = 0 }),
		"too little to share":  cut(func(p *Play) { p.Cut.Friends = 100 }),
		"spread":               cut(func(p *Play) { p.Cut.Spread = 91 }),
		"no window":            cut(func(p *Play) { p.Cut.Window = 0 }),
		"no template":          {Name: "none"},
		"no steps":             {Name: "bargain", Price: PriceRule{Kind: PriceSteps}},
		"steps that rise":      {Name: "bargain", Price: PriceRule{Kind: PriceSteps, Steps: []PriceStep{{1, 1000}}}},
		"steps out of order": {Name: "bargain", Price: PriceRule{Kind: PriceSteps,
			Steps: []PriceStep{{5, 900}, {5, 800}}}},
		"a step under the floor": {Name: "bargain", Price: PriceRule{Kind: PriceSteps, Floor: 950,
			Steps: []PriceStep{{5, 900}}}},
		"a clock that stands": {Name: "bargain", Price: PriceRule{Kind: PriceClock, Every: time.Minute}},
		"no expression":       {Name: "bargain", Price: PriceRule{Kind: PriceFormula}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{
				Products: []Product{{ID: "sku", Currency: "CNY"}},
				Plays:    []PlayTemplate{{"bargain", "text"}}, Sales: []SalePlan{{Sale: Sale{ID: "x"}}}}})
			before := g.state.Hash()
			o := g.state.ComparePlan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "x"}, Sessions: []SessionPlan{{
				SessionSpec: SessionSpec{ID: "s", Start: g.clock, End: g.clock.Add(time.Hour), PayWithin: time.Minute},
				Listings:    []ListingSpec{{SKU: "sku", Price: 1000, Stock: 5, Shown: -1, Play: p}}}}}}})
			if len(o.Problems) == 0 {
				t.Error("it is taken")
			}
			if g.state.Hash() != before {
				t.Error("the state changed")
			}
		})
	}
}

// A published listing keeps the version of its play; an open one its play.
func TestPlayKeepsItsVersion(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 5, nil)
	if e := g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{Plays: []PlayTemplate{{"bargain", "new"}}}}); e.Kind !=
		PlanApplied || g.state.Play("bargain").Version != 2 || l.Play.Version != 1 {
		t.Errorf("%v, template %+v, listing's version %d", e, g.state.Play("bargain"), l.Play.Version)
	}
	again := l.ListingSpec
	again.Play = bargainPlay(func(p *Play) { p.Cut.Friends = 20 }) // as version 2 has it
	x := g.state.SessionOf(l.Session)
	plan := &Plan{Sales: []SalePlan{{Sale: *g.state.Sale(x.Sale), Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
		Listings: []ListingSpec{again}}}}}}
	if o := g.state.ComparePlan(plan); len(o.Problems)+len(o.Changes) > 0 {
		t.Errorf("%v %v", o.Problems, o.Changes)
	}
	plan.Sales[0].Sessions[0].Listings[0].Play = bargainPlay(func(p *Play) { p.Parameters = "{}" })
	if o := g.state.ComparePlan(plan); len(o.Problems) != 1 {
		t.Errorf("another play while it is open: %v", o.Problems)
	}
}

// A snapshot in the middle has all of it, and what leaves with a settled session leaves.
func TestBargainsLeaveWithTheirSession(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.TakeStock = true }), 5, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	g.start(l, "bob")
	g.help(ref, "cai", "k")
	restored := mustRead(t, encoded(t, g.state.Snapshot()))
	if restored.Hash() != g.state.Hash() || restored.NextDue() != g.state.NextDue() {
		t.Fatal("a restored state differs")
	}
	g.pay(g.buy(ref, "ann", "b").Order, "p")
	g.after(2 * time.Hour)
	code := g.state.BargainCode(ref)
	if e := g.one(Command{Kind: CmdSettleSession, Session: l.Session}); e.Kind != SessionSettled {
		t.Fatalf("%v", e)
	}
	if _, found := g.state.FindBargain(code); found {
		t.Error("found in a settled session")
	}
	g.one(Command{Kind: CmdClearSession, Session: l.Session})
	for range 5 {
		g.after(10 * time.Millisecond)
	}
	for _, who := range []string{"ann", "bob", "cai"} {
		if no := g.state.ShopperNo(who); no != 0 {
			t.Errorf("%s still has number %d", who, no)
		}
	}
	if x := g.state.SessionOf(l.Session); x.Bargains() != 0 {
		t.Errorf("%d bargains are left", x.Bargains())
	}
}

// A session that has been settled answers the same on a node that comes from a snapshot.
func TestSettledBargainsAfterARestore(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 5, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	g.help(ref, "bob", "k")
	g.steer(l.Session, SessionEnd)
	g.one(Command{Kind: CmdSettleSession, Session: l.Session})
	g.state = copied(t, g.state)
	l = g.state.Listing(l.Handle)
	if e := g.start(l, "ann"); e.Kind != CommandRefused || e.Reason != ReasonEnded {
		t.Errorf("%v", e)
	}
	replayed(t, g)
}

func TestLongTemplate(t *testing.T) {
	g := newGroup(t)
	text := strings.Repeat("x", MaxPlayBytes)
	g.plan(&Plan{Plays: []PlayTemplate{{"long", text}}})
	if p := copied(t, g.state).Play("long"); p == nil || p.Text != text {
		t.Error("it is not there after a restore")
	}
	if o := g.state.ComparePlan(&Plan{Plays: []PlayTemplate{{"longer", text + "x"}}}); len(o.Problems) != 1 {
		t.Errorf("%v", o.Problems)
	}
}

// A published listing keeps the version of its play; its price must suit that one.
func TestPriceSuitsThePlayThatIsKept(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 5, nil)
	g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{Plays: []PlayTemplate{{"bargain", "with another floor"}}}})
	x, again := g.state.SessionOf(l.Session), l.ListingSpec
	again.Price = 300
	again.Play = bargainPlay(func(p *Play) { p.Price.Floor = 100 })
	plan := &Plan{Sales: []SalePlan{{Sale: *g.state.Sale(x.Sale), Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
		Listings: []ListingSpec{again}}}}}}
	if o := g.state.ComparePlan(plan); len(o.Problems) == 0 {
		t.Errorf("a price under the floor: %v", o.Changes)
	}
}

// A bargain is the price of one unit: money that comes late for one order by it takes none
// where another has been bought since, and bars another where none has.
func TestLateMoneyForABargain(t *testing.T) {
	for _, again := range []bool{true, false} {
		g := newGroup(t)
		l := g.plays("s", bargainPlay(nil), 5, nil)
		ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
		first := g.buy(ref, "ann", "a").Order
		g.after(18 * time.Minute)
		if again {
			g.pay(g.buy(ref, "ann", "b").Order, "p2")
		} else {
			g.cancel(g.buy(ref, "ann", "b").Order)
		}
		e := g.pay(first, "p1")
		if want := (map[bool]EventKind{true: RefundBecameDue, false: OrderPaid})[again]; e.Kind != want {
			t.Errorf("bought again %v: %v", again, e)
		}
		g.state = copied(t, g.state)
		if e := g.buy(ref, "ann", "c"); e.Reason != ReasonBought || g.state.BargainState(ref) != BargainBought {
			t.Errorf("bought again %v: %v", again, e)
		}
		if l = g.state.Listing(l.Handle); l.Paid != 1 || l.Held != 0 {
			t.Errorf("paid %d, held %d", l.Paid, l.Held)
		}
	}
}

// What is paid for late has been sold, too.
func TestLateMoneyLowersAGroupPrice(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "group", Price: PriceRule{Kind: PriceSteps, Floor: 700,
		Steps: []PriceStep{{2, 900}}}}, 10, nil)
	first := g.grab(l.Handle, "ann", "k", 1).Order
	g.after(18 * time.Minute)
	g.grab(l.Handle, "bob", "k", 1)
	g.pay(first, "p")
	if e := g.grab(l.Handle, "cai", "k", 1); e.Amount != 900 || l.Sold != 3 {
		t.Errorf("the third unit costs %d, %d sold", e.Amount, l.Sold)
	}
}

// Nobody on a waitlist pays more than they were shown when they joined it.
func TestWaitlistPaysNoMoreThanItWasShown(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", &Play{Name: "falling", Parameters: "{}", Price: PriceRule{Kind: PriceClock, Floor: 100,
		Every: time.Hour, By: 100}}, 1, func(l *ListingSpec) { l.Waitlist = true })
	holder := g.grab(l.Handle, "ann", "k", 1).Order
	c := g.placeHold(l.Handle, "bob", "k", 1)
	c.Waitlist = true
	waiting := g.one(c)
	x, dearer := g.state.SessionOf(l.Session), l.ListingSpec
	dearer.Price = 2000
	g.plan(&Plan{Sales: []SalePlan{{Sale: *g.state.Sale(x.Sale), Sessions: []SessionPlan{{SessionSpec: x.SessionSpec,
		Listings: []ListingSpec{dearer}}}}}})
	g.cancel(holder)
	if o := g.state.Order(waiting.Order); o.State != Held || o.Amount != 1000 {
		t.Errorf("%v for %d, shown was %d", o.State, o.Amount, waiting.Amount)
	}
}

// Who has helped very often does not make their next help slow: no more is looked at than
// the rules ask for.
func TestManyHelpsOfOneFriend(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 10, nil)
	for i := range MaxBargainCuts + 10 {
		ref := BargainRef{l.Session, g.start(l, fmt.Sprint("s", i)).Bargain}
		if e := g.help(ref, "fay", "k"); e.Kind != BargainWasCut {
			t.Fatal(e)
		}
	}
	first := BargainRef{l.Session, 1}
	if e := g.help(first, "fay", "other"); e.Reason != ReasonHelped {
		t.Errorf("twice: %v", e)
	}
	if found, many := g.state.CutBy(g.state.ShopperNo("fay"), first, 0); found == nil || many != MaxBargainCuts {
		t.Errorf("%+v, and %d helps", found, many)
	}
}

// Who clears a session of which there is nothing has nothing left to do, as has a node
// that comes from a snapshot.
func TestNothingIsLeftToLetGoOf(t *testing.T) {
	for _, bargains := range []int{0, clearShare, clearShare + 1} {
		g := newGroup(t)
		l := g.plays("s", bargainPlay(nil), 10, nil)
		for i := range bargains {
			g.start(l, fmt.Sprint("s", i))
		}
		g.steer(l.Session, SessionEnd)
		g.one(Command{Kind: CmdSettleSession, Session: l.Session})
		g.one(Command{Kind: CmdClearSession, Session: l.Session})
		for range 5 {
			restored := copied(t, g.state)
			if a, b := g.state.NextDue(), restored.NextDue(); a != b {
				t.Errorf("%d bargains: due %d, after a restore %d", bargains, a, b)
			}
			if a, b := g.state.Listing(l.Handle).Bargains, restored.Listing(l.Handle).Bargains; a != b {
				t.Errorf("%d bargains: %d are counted, after a restore %d", bargains, a, b)
			}
			g.after(clearEvery * time.Millisecond)
		}
	}
}

func TestManyTemplatesAgain(t *testing.T) {
	g := newGroup(t)
	p := &Plan{}
	for i := range MaxPlays {
		p.Plays = append(p.Plays, PlayTemplate{fmt.Sprint("play-", i), "text"})
	}
	g.plan(p)
	g.plan(p)
	if o := g.state.ComparePlan(&Plan{Plays: []PlayTemplate{{"another", "text"}}}); len(o.Problems) != 1 {
		t.Errorf("%v", o.Problems)
	}
}

func TestOffsetsOfAPlan(t *testing.T) {
	for name, offsets := range map[string][]Offset{
		"before all time": {{-1, 0}},
		"beyond all time": {{maxTime + 1, 0}},
		"out of order":    {{5, 0}, {5, 3600}},
		"of days":         {{0, 3 * 86_400}},
		"too many":        make([]Offset, 3*MaxMonths),
	} {
		g := newGroup(t)
		p := &Plan{Sales: []SalePlan{{Sale: Sale{ID: "s", Timezone: "UTC", Offsets: offsets}}}}
		if o := g.state.ComparePlan(p); len(o.Problems) == 0 {
			t.Errorf("%s: taken", name)
		}
	}
}

// A plan that asks for no days, or for others, leaves what is known of the clocks.
func TestPlansAddToOffsets(t *testing.T) {
	g := newGroup(t)
	for _, offsets := range [][]Offset{{{100, 3600}, {300, 7200}}, nil, {{100, 3600}, {200, 0}}} {
		g.plan(&Plan{Sales: []SalePlan{{Sale: Sale{ID: "s", Timezone: "UTC", Offsets: offsets}}}})
	}
	want := []Offset{{100, 3600}, {200, 0}, {300, 7200}}
	if got := g.state.Sale("s").Offsets; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Nobody without an id can have anything: a number without one is free.
func TestNobodyHasAnything(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 10, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	long := strings.Repeat("x", MaxShopperBytes+1)
	for _, c := range []Command{{Kind: CmdStartBargain, Listing: l.Handle},
		{Kind: CmdCutBargain, Bargain: ref, Weight: 1},
		{Kind: CmdPlaceHold, Listing: l.Handle, Quantity: 1},
		{Kind: CmdStartBargain, Listing: l.Handle, Shopper: []byte(long)},
		{Kind: CmdCutBargain, Bargain: ref, Weight: 1, Shopper: []byte(long)}} {
		err := g.try(EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence + 1, Time: g.clock}, c))
		mustFail(t, err, ErrMalformed)
	}
}

// Of bargains, too, nothing is taken for what can't be.
func TestCraftedBargainsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*State){
		"a play whose price nobody cuts": func(s *State) {
			p := *s.listings[0].Play
			p.Cut.Friends = 0
			s.listings[0].Play = &p
		},
		"a unit set aside in a session that has been settled": func(s *State) {
			s.sessions[0].bargains.rows.mut(0).taken = true
			s.sessions[0].State = Settled
		},
		"a price that its cuts do not give": func(s *State) { s.sessions[0].bargains.rows.mut(0).Price++ },
		"a bargain of no shopper":           func(s *State) { s.sessions[0].bargains.rows.mut(0).Shopper = 0 },
		"a bargain of a shopper beyond":     func(s *State) { s.sessions[0].bargains.rows.mut(0).Shopper = 99 },
		"a bargain of no listing":           func(s *State) { s.sessions[0].bargains.rows.mut(0).Listing = 9 },
		"a bargain of no order":             func(s *State) { s.sessions[0].bargains.rows.mut(0).order = 9 },
		"two bargains of one":               func(s *State) { s.sessions[0].bargains.rows.mut(1).Shopper = 1 },
		"a cut of no bargain":               func(s *State) { s.sessions[0].bargains.cuts.mut(0).bargain = 9 },
		"a cut of nobody":                   func(s *State) { s.sessions[0].bargains.cuts.mut(0).Friend = 0 },
		"a cut of nothing":                  func(s *State) { s.sessions[0].bargains.cuts.mut(0).Amount = 0 },
		"a price under the floor":           func(s *State) { s.sessions[0].bargains.rows.mut(0).floor = 1000 },
		"a template of no version":          func(s *State) { s.plays["bargain"].Version = 0 },
	} {
		g := newGroup(t)
		l := g.plays("s", bargainPlay(nil), 5, nil)
		ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
		g.start(l, "bob")
		g.help(ref, "cai", "k")
		change(g.state)
		if _, err := ReadState(bytes.NewReader(encoded(t, g.state.Snapshot()))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who buys the unit that was set aside for them, and does not pay, lets it go.
func TestUnitSetAsideIsHeldForItsTime(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.TakeStock = true }), 1, nil)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	bought := g.buy(ref, "ann", "a")
	due := g.state.Order(bought.Order).Due()
	if restored := copied(t, g.state); g.state.NextDue() != due || restored.NextDue() != due {
		t.Errorf("due %d, after a restore %d, the hold is due %d", g.state.NextDue(), restored.NextDue(), due)
	}
	g.after(17 * time.Minute)
	if o := g.state.Order(bought.Order); o.State != Expired || l.Available != 1 {
		t.Errorf("%v, available %d", o.State, l.Available)
	}
}

// A draft that is published by the plan that changes its play has the new one.
func TestDraftIsPublishedWithItsNewPlay(t *testing.T) {
	g := newGroup(t)
	p := &Plan{Plays: []PlayTemplate{{"bargain", "text"}}, Products: []Product{{ID: "sku", Currency: "CNY"}},
		Sales: []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{{
			SessionSpec: SessionSpec{ID: "s", Start: g.clock + 1, End: g.clock.Add(time.Hour), PayWithin: time.Minute},
			Listings:    []ListingSpec{{SKU: "sku", Price: 1000, Play: bargainPlay(nil)}}}}}}}
	g.plan(p)
	x := &p.Sales[0].Sessions[0]
	p.Plays[0].Text, x.Publish = "with more friends", true
	x.Listings[0].Play = bargainPlay(func(p *Play) { p.Cut.Friends = 20 })
	g.plan(p)
	if l := g.state.Listing(1); l.Play.Version != 2 || l.Play.Cut.Friends != 20 {
		t.Errorf("%v, by %d friends", l.Play, l.Play.Cut.Friends)
	}
	// Published, it stays as it is, though nobody can have bought by it yet.
	p.Plays[0].Text = "with fewer friends"
	x.Listings[0].Play = bargainPlay(func(p *Play) { p.Cut.Friends = 5 })
	g.plan(p)
	if l, x := g.state.Listing(1), g.state.Session("s"); x.State != Published || l.Play.Version != 2 {
		t.Errorf("%v: %v", x.State, l.Play)
	}
}

// A cut is weighed by the friend that it is recorded of, or is to be weighed again.
func TestWeightOfAnother(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 9, nil)
	cut := func(owner string, weighed uint32) Event {
		ref := BargainRef{l.Session, g.start(l, owner).Bargain}
		return g.one(Command{Kind: CmdCutBargain, Bargain: ref, Shopper: []byte("friend"), Weight: 100,
			Weighed: weighed})
	}
	for i, c := range []struct {
		weighed uint32
		why     Reason
	}{{WeighedOf(1, 0), ReasonConflict}, {WeighedOf(0, 0), ReasonNone}, {WeighedOf(0, 0), ReasonConflict},
		{WeighedOf(1, 0), ReasonConflict}, {WeighedOf(1, 1), ReasonNone}, {0, ReasonNone}} {
		if e := cut(fmt.Sprint("owner", i), c.weighed); e.Reason != c.why {
			t.Errorf("%d: %v, want %v", i, e, c.why)
		}
	}
}

// A node that is a moment behind asks for a code that it does not know only where that may
// be a bargain's.
func TestBargainAhead(t *testing.T) {
	g := newGroup(t)
	l := g.plays("s", bargainPlay(nil), 500, nil)
	behind := copied(t, g.state)
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	code := g.state.BargainCode(ref)
	if !behind.BargainAhead(code) || g.state.BargainAhead(code) {
		t.Error("a bargain that has just been started")
	}
	for i := range 10_000 {
		hash := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		if made := orderNoEncoding.EncodeToString(hash[:16]); behind.BargainAhead(made) {
			t.Errorf("%s, which is made up", made)
		}
	}
}
