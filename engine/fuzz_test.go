package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"
)

// seedBatches are entries with every kind of command.
func seedBatches(tb testing.TB) [][]byte {
	g := newGroup(tb)
	x := g.session("s", nil, ListingSpec{Stock: 3, LimitPerShopper: 2}, ListingSpec{Stock: 3})
	g.plan(&Plan{Products: []Product{{ID: "p", Currency: "CNY", Name: Text{{"en", "A"}, {"zh", "B"}}, Image: "i",
		Supplier: "s", Place: &Place{31.2, 121.4}}}})
	ref := g.grab(x.Listings[0], "ann", "k1", 1).Order
	other := g.grab(x.Listings[1], "bob", "k1", 2).Order
	g.one(Command{Kind: CmdExtendHold, Order: other, Deadline: g.clock.Add(time.Hour), Operator: "op", Note: "why"})
	g.one(Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte("ann"), Receiver: sealed("Ann"),
		PersonalKey: testKey})
	g.pay(ref, "p1")
	g.one(Command{Kind: CmdVoidOrder, Order: ref, Operator: "op", Note: "why"})
	g.cancel(other)
	g.one(Command{Kind: CmdAddStock, Listing: 1, Amount: 5, Operator: "op", Note: "why"})
	g.one(Command{Kind: CmdRaiseRules, RulesVersion: 1})
	g.steer(x.Handle, SessionPause)
	g.do(g.placeHold(1, "ann", "k2", 1), g.placeHold(1, "cai", "k2", 1))
	return append(g.entries, EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence + 1, Time: g.clock},
		Command{Kind: cmdBreakListing, Listing: 2}))
}

// richBatches are entries with every kind of command about waitlists, draws, lists and switches, behind
// those that make something to use them on.
func richBatches(tb testing.TB) [][]byte {
	g := sampleGroup(tb)
	g.one(Command{Kind: CmdEditRoster, Edit: RosterEdit{Roster: sampleEdits[1].Roster, Action: RosterCommit, Stage: 9,
		Count: 2}})
	g.one(Command{Kind: CmdEditRoster, Edit: RosterEdit{Roster: sampleEdits[2].Roster, Action: RosterDrop},
		Operator: "op", Note: "why"})
	g.cancel(OrderRef{1, 2})
	for _, action := range []SwitchAction{SwitchProfile, SwitchBack, SwitchNormal, ProfileForget} {
		g.turn(action, "rush")
	}
	g.turn(SwitchSet, "", Setting{SwitchWaitlist, 0}, Setting{SwitchRiskLists, 0})
	g.after(30 * time.Second)
	g.after(2 * time.Hour)
	return g.entries
}

// moneyBatches are entries with every kind of command about money and settling, and
// how many of them make a group of a session that is settled, one that is over with
// a refund due, and one that is open.
func moneyBatches(tb testing.TB) (entries [][]byte, made int) {
	g := newGroup(tb)
	short := func(x *SessionPlan) { x.PayWithin, x.PayGrace = time.Minute, time.Minute }
	var refs []OrderRef
	for _, id := range []string{"goes", "ends", "stays"} {
		x := g.session(id, short, ListingSpec{Stock: 2, Waitlist: true, LimitPerMonth: 9})
		for _, who := range []string{"ann", "bob"} {
			c := g.placeHold(x.Listings[0], who, id, 1)
			c.Transaction = Transaction{1, byte(len(refs))}
			refs = append(refs, g.one(c).Order)
		}
	}
	for i, ref := range refs[:4] {
		g.payAt(ref, fmt.Sprint("p", i), 100, g.clock)
	}
	g.payAt(refs[2], "again", 100, g.clock+1)
	g.after(90 * time.Second)
	g.payAt(refs[4], "p4", 100, g.clock)
	g.steer(1, SessionEnd)
	g.steer(2, SessionEnd)
	g.one(Command{Kind: CmdSettleSession, Session: 1, Operator: "op", Note: "why"})
	g.payAt(refs[0], "late", 100, g.clock)
	made = len(g.entries)
	g.one(Command{Kind: CmdCloseHold, Order: refs[5]})
	g.one(Command{Kind: CmdVoidOrder, Order: refs[3], Operator: "op", Note: "why"})
	for no := range RefundNo(4) {
		g.one(Command{Kind: CmdConfirmRefund, Refund: no, Note: "ref"})
	}
	g.payAt(refs[5], "p5", 100, g.clock)
	g.one(Command{Kind: CmdSettleSession, Session: 2})
	return g.entries, made
}

// playBatches are entries with every kind of command about plays, and how many of them
// make a group with bargains that are open, one with a unit set aside.
func playBatches(tb testing.TB) (entries [][]byte, made int) {
	g := newGroup(tb)
	l := g.plays("s", bargainPlay(func(p *Play) { p.Cut.TakeStock, p.Cut.PerDay = true, 3 }), 2, nil)
	formula := g.plays("t", &Play{Name: "formula", Price: PriceRule{Kind: PriceFormula, Floor: 5, Amount: "x"}}, 2, nil)
	for _, p := range []*Play{{Name: "group", Price: PriceRule{Kind: PriceSteps, Steps: []PriceStep{{1, 900}}}},
		{Name: "falling", Price: PriceRule{Kind: PriceClock, Every: time.Minute, By: 100}},
		{Name: "first", Who: WhoRule{FirstOfDay: true, MaxRisk: LevelListed},
			Words: []Message{{"granted", Text{{"en", "Yours."}}}}}} {
		g.grab(g.plays(p.Name, p, 3, nil).Handle, "ann", p.Name, 1)
	}
	ref := BargainRef{l.Session, g.start(l, "ann").Bargain}
	g.start(l, "bob")
	g.help(ref, "cai", "k")
	made = len(g.entries)
	g.help(ref, "dov", "k")
	c := g.placeHold(formula.Handle, "bob", "k", 1)
	c.Priced, c.Price = true, 7
	g.one(c)
	g.cancel(g.buy(ref, "ann", "k").Order)
	g.one(Command{Kind: CmdEndBargain, Bargain: BargainRef{l.Session, 2}, Operator: "op", Note: "why"})
	g.steer(l.Session, SessionEnd)
	g.one(Command{Kind: CmdSettleSession, Session: l.Session})
	g.one(Command{Kind: CmdClearSession, Session: l.Session})
	return g.entries, made
}

// shipBatches are entries with every kind of command about deliveries, and how many of
// them make a group of orders at every stage of one.
func shipBatches(tb testing.TB) (entries [][]byte, made int) {
	d := newDelivered(tb).over()
	d.export(0, d.ann, d.annHas)
	d.ship("1", d.ann)
	d.one(Command{Kind: CmdReceiveOrders, Session: d.x.Handle, Orders: []OrderRef{d.annHas}, Operator: "op"})
	d.review(ReviewHeld, d.bob, d.bobHas)
	made = len(d.entries)
	d.one(Command{Kind: CmdReceiveOrder, Order: d.ann, Shopper: []byte("ann")})
	d.review(ReviewRejected, d.bob)
	d.review(ReviewPassed, d.bobHas)
	d.export(1, d.bobHas)
	d.after(24 * time.Hour)
	d.one(Command{Kind: CmdSettleSession, Session: d.x.Handle})
	return d.entries, made
}

// supplyBatches are entries with every kind of command about the catalogue, and how many of
// them make a group with an import that is staged and one that is being taken in.
func supplyBatches(tb testing.TB) (entries [][]byte, made int) {
	g := newGroup(tb)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(9)}, Product{ID: "q"})
	l := g.offers("a", "p", 5, nil)
	g.offers("b", "p", 4, func(x *SessionPlan) { x.Start, x.End = x.Start+60_000, x.End+60_000 })
	g.pay(g.grab(l.Handle, "ann", "k", 2).Order, "p1")
	held := g.grab(l.Handle, "bob", "k", 1).Order
	g.after(time.Second)
	g.stages("bolt", 1, Product{ID: "r", Place: &Place{1, 2}}, Product{ID: "s", Retired: true})
	g.state.clearShare = 0
	g.supplies(true, 2, Product{ID: "p", Stock: remaining(4, g.clock)}, Product{ID: "t"})
	made = len(g.entries)
	g.state.clearShare = clearShare
	g.commits("bolt", 1, 2, false)
	g.cancel(held)
	g.supplies(false, 3, Product{ID: "p", Stock: inAll(1)})
	for _, a := range []ProductAction{ProductRetire, ProductRevive, ProductDelete} {
		g.one(Command{Kind: CmdChangeProduct, Product: "t", ProductAction: a, Operator: "op", Note: "why"})
	}
	g.one(Command{Kind: CmdEditProducts, Products: &ProductEdit{Supplier: "bolt", Action: ProductsDrop, Stage: 1}})
	for _, d := range []Discarding{{Session: "b", Action: DiscardDelete}, {Sale: "sale", Action: DiscardArchive},
		{Session: "a", Action: DiscardArchive}, {Session: "a", Action: DiscardRecall}} {
		g.one(Command{Kind: CmdDiscard, Discard: d, Operator: "op", Note: "why"})
	}
	return g.entries, made
}

func FuzzDecodeBatch(f *testing.F) {
	money, _ := moneyBatches(f)
	plays, _ := playBatches(f)
	ships, _ := shipBatches(f)
	supply, _ := supplyBatches(f)
	for _, entry := range slices.Concat(seedBatches(f), richBatches(f), money, plays, ships, supply) {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		h, commands, err := DecodeBatch(entry)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNewerFormat) {
				t.Fatalf("not an error of its own: %v", err)
			}
			return
		}
		again := EncodeBatch(h, commands...)
		h2, commands2, err := DecodeBatch(again)
		if err != nil || h2 != h {
			t.Fatalf("decoded %+v, encoded, decoded %+v, %v", h, h2, err)
		}
		if third := EncodeBatch(h2, commands2...); !bytes.Equal(third, again) {
			t.Fatalf("encoded %x, then %x", again, third)
		}
	})
}

// What a decoded batch costs is bounded by the bytes it comes from.
func TestDecodeBatchAllocatesInProportion(t *testing.T) {
	var small []byte
	for range maxBatchCommands {
		small = AppendCommand(small, &Command{Kind: CmdRaiseRules})
	}
	entry := append(AppendBatchHeader(nil, BatchHeader{Epoch: 1, Sequence: 1, Commands: maxBatchCommands}), small...)
	before := totalAlloc()
	if _, _, err := DecodeBatch(entry); err != nil {
		t.Fatal(err)
	}
	if got := totalAlloc() - before; got > 64<<20 {
		t.Errorf("%d bytes of commands took %d", len(entry), got)
	}
	if _, _, err := DecodeBatch(AppendCommand(AppendBatchHeader(nil, BatchHeader{Commands: maxBatchCommands + 1}),
		&Command{Kind: CmdRaiseRules})); !errors.Is(err, ErrMalformed) {
		t.Errorf("more commands than allowed: %v", err)
	}
}

func totalAlloc() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// FuzzApply puts arbitrary bytes behind real logs.
func FuzzApply(f *testing.F) {
	entries, rich := seedBatches(f), richBatches(f)
	money, made := moneyBatches(f)
	plays, played := playBatches(f)
	ships, shipped := shipBatches(f)
	supply, supplied := supplyBatches(f)
	for _, entry := range slices.Concat(entries, rich, money, plays, ships, supply) {
		f.Add(entry)
	}
	logs := [][][]byte{entries[:4], rich[:len(sampleGroup(f).entries)], money[:made], plays[:played], ships[:shipped],
		supply[:supplied]}
	f.Fuzz(func(t *testing.T, entry []byte) {
		for _, log := range logs {
			fuzzApply(t, log, entry)
		}
	})
}

func fuzzApply(t *testing.T, log [][]byte, entry []byte) {
	s, twin := NewState(), NewState()
	var eff, other Effects
	for i, e := range log {
		for _, each := range []*State{s, twin} {
			if err := each.Apply(LogIndex(i+1), e, &eff); err != nil {
				t.Fatal(err)
			}
		}
	}
	// With the fence opened for it, more of it gets through.
	fenced := entry
	if h, commands, err := DecodeBatch(entry); err == nil && h.Epoch != 0 {
		if invariantsPanic && slices.ContainsFunc(commands, func(c Command) bool { return c.Kind == cmdBreakListing }) {
			return // as it should
		}
		h.Epoch, h.Sequence = s.epoch, s.sequence+1
		fenced = EncodeBatch(h, commands...)
	}
	before := hashBesideIndex(s)
	index := LogIndex(len(log) + 1)
	err := s.Apply(index, fenced, &eff)
	if err2 := twin.Apply(index, fenced, &other); fmt.Sprint(err) != fmt.Sprint(err2) || s.Hash() != twin.Hash() {
		t.Fatalf("two nodes differ: %v and %v", err, err2)
	}
	if err != nil {
		if hashBesideIndex(s) != before {
			t.Fatalf("%v, and the state changed", err)
		}
		return
	}
	if len(eff.Primary) != eff.Header.Commands {
		t.Fatalf("%d events for %d commands", len(eff.Primary), eff.Header.Commands)
	}
	checkInside(t, s)
	restored := copied(t, s)
	if restored.Hash() != s.Hash() {
		t.Fatal("a snapshot's reading has another hash")
	}
	// What is derived on reading leads to the same future.
	for n := range Time(3) {
		index++
		h := BatchHeader{Epoch: s.epoch, Sequence: s.sequence + 1, Time: min(s.now+n*3_600_000, maxTime)}
		for _, each := range []*State{s, restored} {
			if err := each.Apply(index, EncodeBatch(h), &eff); err != nil {
				t.Fatal(err)
			}
		}
		if restored.Hash() != s.Hash() {
			t.Fatal("a node from a snapshot went another way")
		}
	}
}

// FuzzReadState reads arbitrary blocks with right checksums: only so does it get
// anywhere. What it accepts must bear being used.
func FuzzReadState(f *testing.F) {
	s := NewState()
	var eff Effects
	seeds := seedBatches(f)
	for i, e := range seeds[:len(seeds)-1] { // but for the one that breaks a listing
		if err := s.Apply(LogIndex(i+1), e, &eff); err != nil {
			f.Fatal(err)
		}
	}
	settled := NewState()
	money, _ := moneyBatches(f)
	for i, e := range money {
		if err := settled.Apply(LogIndex(i+1), e, &eff); err != nil {
			f.Fatal(err)
		}
	}
	played := NewState()
	plays, made := playBatches(f)
	for i, e := range plays[:made] {
		if err := played.Apply(LogIndex(i+1), e, &eff); err != nil {
			f.Fatal(err)
		}
	}
	shipped := NewState()
	ships, made := shipBatches(f)
	for i, e := range ships[:made] {
		if err := shipped.Apply(LogIndex(i+1), e, &eff); err != nil {
			f.Fatal(err)
		}
	}
	supplied := NewState()
	supplied.clearShare = 0 // an import is on its way
	supply, made := supplyBatches(f)
	for i, e := range supply[:made] {
		if err := supplied.Apply(LogIndex(i+1), e, &eff); err != nil {
			f.Fatal(err)
		}
	}
	for _, s := range []*State{s, sampleGroup(f).state, settled, played, shipped, supplied} {
		data := encoded(f, s.Snapshot())
		head, blocks := blocksOf(data)
		f.Add(data)
		f.Add(data[:len(data)/2])
		for i := range blocks {
			f.Add(joined(head, blocks[:i]...))
		}
	}
	const snapshotHeadBytes = len(snapshotMagic) + 4
	f.Fuzz(func(t *testing.T, data []byte) {
		mended := bytes.Clone(data)
		for at := snapshotHeadBytes; at+9 <= len(mended); {
			size := int(binary.LittleEndian.Uint32(mended[at+1:]))
			if size > len(mended)-at-9 {
				break
			}
			binary.LittleEndian.PutUint32(mended[at+5:], blockCRC(mended[at], mended[at+9:at+9+size]))
			at += 9 + size
		}
		for _, data := range [][]byte{data, mended} {
			s, err := ReadState(bytes.NewReader(data))
			if err != nil {
				if s != nil || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrNewerFormat) &&
					!errors.Is(err, ErrOlderFormat) && !errors.Is(err, ErrRulesTooNew) {
					t.Fatalf("state %v with error %v", s != nil, err)
				}
				continue
			}
			if again := copied(t, s); again.Hash() != s.Hash() {
				t.Fatal("read, written and read again it has another hash")
			}
			if invariantsPanic {
				continue // made-up counts break invariants, as they should
			}
			use(t, s)
		}
	})
}

// use asks a state for a bit of everything.
func use(t *testing.T, s *State) {
	var eff Effects
	open := EncodeBatch(BatchHeader{Time: s.now}, Command{Kind: CmdOpenEpoch, Node: "a"})
	if err := s.Apply(s.index+1, open, &eff); err != nil {
		t.Fatal(err)
	}
	var commands []Command
	for _, l := range s.listings[:min(len(s.listings), 4)] {
		commands = append(commands, Command{Kind: CmdPlaceHold, Listing: l.Handle, Shopper: []byte("zoe"), Key: Key{1},
			Quantity: 1, Deadline: Never, Waitlist: true})
		commands = append(commands, Command{Kind: CmdReserve, Listing: l.Handle, Shopper: []byte("zoe")})
		commands = append(commands, Command{Kind: CmdStartBargain, Listing: l.Handle, Shopper: []byte("zoe")})
		s.PriceNow(l)
	}
	for _, id := range s.Rosters().IDs()[:min(len(s.rosters), 4)] {
		for _, action := range []RosterAction{RosterStage, RosterCommit, RosterPut} {
			commands = append(commands, Command{Kind: CmdEditRoster,
				Edit: RosterEdit{Roster: id, Action: action, Stage: max(1, s.rosters[id].stage)}})
		}
		s.Rosters().Rows(id, 0, 10)
	}
	for _, action := range []SwitchAction{SwitchBack, SwitchNormal} {
		commands = append(commands, Command{Kind: CmdSetSwitches, Switches: SwitchChange{Action: action}})
	}
	for _, x := range s.sessions[:min(len(s.sessions), 4)] {
		for i := range min(x.Orders(), 4) {
			ref := OrderRef{x.Handle, uint32(i) + 1}
			commands = append(commands, Command{Kind: CmdPayOrder, Order: ref, PaymentID: "of use", Amount: 100,
				Currency: "CNY"}, Command{Kind: CmdVoidOrder, Order: ref})
			commands = append(commands, Command{Kind: CmdCloseHold, Order: ref})
			if o := s.Order(ref); o != nil {
				commands = append(commands, Command{Kind: CmdLeaveLine, Order: ref,
					Shopper: []byte(s.ShopperID(o.Shopper))})
			}
			s.View(ref)
		}
		for i := range min(x.Bargains(), 4) {
			ref := BargainRef{x.Handle, uint32(i) + 1}
			if b := s.Bargain(ref); b != nil {
				s.ViewBargain(ref, 0, 9, "zoe")
				commands = append(commands,
					Command{Kind: CmdCutBargain, Bargain: ref, Shopper: []byte("zoe"), Weight: 150},
					Command{Kind: CmdPlaceHold, Listing: b.Listing, Bargain: ref, Quantity: 1, Key: Key{byte(i), 2},
						Shopper: []byte(s.ShopperID(b.Shopper)), Deadline: Never},
					Command{Kind: CmdEndBargain, Bargain: ref})
			}
		}
		commands = append(commands, Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionEnd})
		commands = append(commands, Command{Kind: CmdSettleSession, Session: x.Handle},
			Command{Kind: CmdClearSession, Session: x.Handle})
	}
	for no := range RefundNo(min(s.Money().Refunds(), 4) + 1) {
		commands = append(commands, Command{Kind: CmdConfirmRefund, Refund: no})
	}
	for _, id := range []string{"p", "q", "t"} {
		s.ProductOf(id)
		for _, action := range []ProductAction{ProductRetire, ProductDelete} {
			commands = append(commands, Command{Kind: CmdChangeProduct, Product: id, ProductAction: action})
		}
	}
	s.ProductPage(ProductFilter{}, 0, 10)
	for _, x := range s.products.suppliers[:min(len(s.products.suppliers), 4)] {
		for _, action := range []ProductEditAction{ProductsStage, ProductsCommit} {
			commands = append(commands, Command{Kind: CmdEditProducts, Products: &ProductEdit{Supplier: x.id,
				Action: action, Stage: 9, Count: 1, Replace: true, Shrinks: true,
				Rows: []ProductRow{RowOf(&Product{ID: "p", Currency: "CNY", Stock: inAll(1)})}}})
		}
	}
	for i := range s.shoppers.rows.len() {
		s.OrdersOf(ShopperNo(i+1), func(OrderRef, *Order) bool { return true })
	}
	for n := range uint64(2) {
		h := BatchHeader{Epoch: s.epoch, Sequence: n + 1, Time: s.now + Time(n)*Time(time.Hour/time.Millisecond)}
		if h.Time > maxTime {
			return
		}
		if err := s.Apply(s.index+1, EncodeBatch(h, commands...), &eff); err != nil {
			t.Fatal(err)
		}
	}
	s.Hash()
}

// A snapshot with a byte changed or its end missing is refused, whichever byte.
func TestCorruptedSnapshotIsRefused(t *testing.T) {
	data := crafted(t, func(*State) {})
	want := mustRead(t, data).Hash()
	for i := range data {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if s, err := ReadState(bytes.NewReader(bad)); err == nil && s.Hash() != want {
				t.Fatalf("byte %d flipped: read as another state", i)
			} else if err == nil {
				t.Fatalf("byte %d flipped: not noticed", i)
			}
		}
		_, err := ReadState(bytes.NewReader(data[:i]))
		mustFail(t, err, ErrMalformed)
	}
}

func mustRead(tb testing.TB, data []byte) *State {
	tb.Helper()
	s, err := ReadState(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// FuzzComparePlan decodes plans from arbitrary bytes and asks for them twice:
// what ComparePlan lets pass must apply, and then be there.
func FuzzComparePlan(f *testing.F) {
	plays, _ := playBatches(f)
	for _, entry := range slices.Concat(seedBatches(f), richBatches(f), plays) {
		if _, commands, err := DecodeBatch(entry); err == nil && len(commands) > 0 && commands[0].Kind == CmdApplyPlan {
			f.Add(written(commands[0].Plan), int64(3600_000), false)
			f.Add(written(commands[0].Plan), int64(math.MaxInt64), true)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, ms int64, ended bool) {
		c, p := coder{buf: data, reads: true}, new(Plan)
		if c.all(p); c.done() != nil {
			return
		}
		for i := range p.Sales {
			for j := range p.Sales[i].Sessions {
				p.Sales[i].Sessions[j].End += Time(ms) // over the brink, now and then
			}
		}
		g := newGroup(t)
		x := g.session("s", nil, ListingSpec{Stock: 3, LimitPerShopper: 2})
		g.grab(x.Listings[0], "ann", "k", 1)
		if ended {
			g.steer(x.Handle, SessionEnd)
		}
		before := hashBesideIndex(g.state)
		o := g.state.ComparePlan(p)
		changes, problems := o.Changes, o.Problems
		if hashBesideIndex(g.state) != before {
			t.Fatal("comparing changed the state")
		}
		eff := g.do(Command{Kind: CmdApplyPlan, Plan: p})
		if !reflect.DeepEqual(eff.LastPlan().Changes, changes) ||
			!reflect.DeepEqual(eff.LastPlan().Problems, problems) {
			t.Fatalf("compared: %v %v\napplied: %v %v", changes, problems, eff.LastPlan().Changes,
				eff.LastPlan().Problems)
		}
		if (len(problems) == 0) != (eff.Primary[0].Kind == PlanApplied) {
			t.Fatalf("problems %v, yet %v", problems, eff.Primary[0])
		}
		checkInside(t, g.state)
		if restored := copied(t, g.state); restored.Hash() != g.state.Hash() {
			t.Fatal("a snapshot's reading has another hash")
		}
		if len(problems) == 0 {
			if o := g.state.ComparePlan(p); len(o.Changes) > 0 || len(o.Problems) > 0 {
				for _, problem := range o.Problems { // a plan may end what it plans
					t.Logf("again: %v", problem)
				}
				if len(o.Changes) > 0 {
					t.Fatalf("asked for again, it still changes %v", o.Changes)
				}
			}
		}
	})
}
