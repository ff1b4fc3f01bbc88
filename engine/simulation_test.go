package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// simulation drives a group by what rapid draws, and holds it against the model,
// against a twin that came from a snapshot, and against snapshots taken earlier.
type simulation struct {
	t        *rapid.T
	group    *group
	model    *model // nil where what a batch gets done depends on its share
	share    int    // of timers a batch
	stages   uint64
	plans    int
	places   map[OrderRef]uint32 // on the waitlist, as last seen
	paid     []Command           // payments so far, so that they can come again
	accounts accounts
	brisk    bool      // nearly everybody gets what they ask for, so that there is money to hear of
	ships    bool      // most listings deliver, and warehouses are busy
	playful  bool      // most listings have a play, and there are bargains
	effects  []Effects // by log index - 1
	failed   []error
	twin     *State
	frozen   *Snapshot
	bytes    []byte // what frozen encoded to at once
}

// modelTick is what durations are multiples of, so that ends, timers and jumps meet.
const modelTick = 5 * time.Second

// modelRules is the newest version of the rules that the model knows.
const modelRules = 1

var (
	simShoppers = []string{"ann", "bob", "cai", "dov"}
	simKeys     = []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"}
)

// TestStateAgainstModel plays random sequences of batches. More of them:
// go test ./engine -run StateAgainstModel -rapid.checks=10000 -rapid.steps=100
func TestStateAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newModelled(t).run()
	})
}

// newModelled gives a simulation that is held against the model.
func newModelled(t *rapid.T) *simulation {
	sim := newSimulation(t, MaxTimersPerBatch)
	sim.model = &model{now: sim.group.clock, rules: 1, products: map[string]bool{}, supply: map[string]SupplierStock{},
		rosters: map[RosterID]*modelRoster{}, asked: map[string]bool{}, templates: map[string]modelTemplate{},
		sinks: map[string]*modelSink{}, alarms: map[AlarmName]AlarmNote{},
		board: modelBoard{now: NormalSwitches(), before: NormalSwitches(), profiles: map[string][]Setting{}}}
	sim.model.rank = func(o *modelOrder) (uint64, string) {
		no := sim.group.state.OrderNo(o.ref)
		return Rank(sim.group.state.Listing(o.listing.handle).Seed, no), no
	}
	sim.model.luck = func(b *modelBargain, number uint32) uint64 {
		return Luck(sim.group.state.Listing(b.listing.handle).Seed, sim.group.state.BargainCode(b.ref), number)
	}
	return sim
}

// TestSmallSharesOfDues plays the same with batches that get only a few things
// done: what is left over must be the same on every node, and come to its end.
func TestSmallSharesOfDues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sim := newSimulation(t, rapid.IntRange(2, 5).Draw(t, "share"))
		sim.brisk = rapid.Bool().Draw(t, "brisk")
		sim.playful = rapid.Bool().Draw(t, "playful")
		sim.ships = rapid.Bool().Draw(t, "ships")
		sim.run()
	})
}

func newSimulation(t *rapid.T, share int) *simulation {
	s := &simulation{t: t, share: share, places: map[OrderRef]uint32{}}
	s.group = &group{tb: t, state: s.limited(NewState()), clock: clockStart}
	s.group.open()
	s.effects = append(s.effects, keep(&s.group.effects))
	s.failed = append(s.failed, nil)
	return s
}

// limited gives a state whose batches have the simulation's share.
func (s *simulation) limited(state *State) *State {
	// the model clears at once; see TestClearingInShares
	state.timerShare, state.clearShare, state.clearEvery, state.products.markEvery = s.share, 1<<30, 0, 0
	return state
}

func (s *simulation) run() {
	s.play(Command{Kind: CmdRaiseRules, RulesVersion: s.rules()})
	s.play(Command{Kind: CmdApplyPlan, Plan: s.plan("s0"), Entropy: [32]byte{1}})
	actions := map[string]func(*rapid.T){
		"batch":    func(t *rapid.T) { s.t = t; s.batch() },
		"grabs":    func(t *rapid.T) { s.t = t; s.grabs() },
		"queue":    func(t *rapid.T) { s.t = t; s.queue() },
		"cashier":  func(t *rapid.T) { s.t = t; s.cashier() },
		"restart":  func(t *rapid.T) { s.t = t; s.restart() },
		"time":     func(t *rapid.T) { s.t = t; s.jump(); s.play() },
		"unfenced": func(t *rapid.T) { s.t = t; s.unfenced() },
		"epoch":    func(t *rapid.T) { s.t = t; s.epoch() },
		"twin":     func(t *rapid.T) { s.t = t; s.twin = s.limited(copied(t, s.group.state)) },
		"freeze":   func(t *rapid.T) { s.t = t; s.freeze() },
	}
	if s.brisk {
		actions["shop"] = func(t *rapid.T) { s.t = t; s.shop() }
		for _, again := range []string{"cashier 2", "cashier 3", "cashier 4"} {
			actions[again] = actions["cashier"]
		}
		delete(actions, "queue")
		delete(actions, "unfenced")
	}
	if s.ships {
		for _, again := range []string{"warehouse", "warehouse 2", "warehouse 3", "warehouse 4"} {
			actions[again] = func(t *rapid.T) { s.t = t; s.warehouse() }
		}
	}
	if s.playful {
		for _, again := range []string{"haggle", "haggle 2", "haggle 3"} {
			actions[again] = func(t *rapid.T) { s.t = t; s.haggle() }
		}
	}
	s.t.Repeat(actions)
	s.finish()
	s.replay()
}

// rules is the newest version that may be raised to.
func (s *simulation) rules() uint32 {
	if s.model != nil {
		return modelRules
	}
	return RulesVersion
}

// finish lets all time pass: nobody may wait or hold then.
func (s *simulation) finish() {
	g := s.group
	for _, x := range g.state.Sessions() {
		s.play(Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionResume})
	}
	s.passAll()
	s.deliverAll()
	for _, x := range g.state.Sessions() {
		if x.State != Draft && x.State < Ended {
			s.t.Fatalf("session %q is %v for ever", x.ID, x.State)
		}
		for i := range x.Orders() {
			if o := g.state.Order(OrderRef{x.Handle, uint32(i) + 1}); o != nil &&
				(o.State == Held || o.State == Waiting || o.State == Entered) {
				s.t.Fatalf("order %d of session %q is %v for ever", i+1, x.ID, o.State)
			}
		}
	}
	s.settleAll()
}

// passAll lets as much time pass as anything waits for.
func (s *simulation) passAll() {
	g := s.group
	g.clock = g.clock.Add(MaxPayWithin + 48*time.Hour)
	for n := 0; g.state.NextDue() <= g.clock; n++ {
		if n > 2000 {
			s.t.Fatal("time has always something left to do")
		}
		s.play()
	}
}

// batch plays up to six commands at once, perhaps after some time.
func (s *simulation) batch() {
	s.jump()
	var commands []Command
	for range rapid.IntRange(1, 6).Draw(s.t, "commands") {
		commands = append(commands, s.command())
	}
	s.play(commands...)
}

func (s *simulation) grabs() {
	var commands []Command
	for range rapid.IntRange(1, 4).Draw(s.t, "grabs") {
		commands = append(commands, s.grab())
	}
	s.play(commands...)
}

// queue has everybody ask for something of one listing, and perhaps somebody let
// go of something: so waitlists and draws come about.
func (s *simulation) queue() {
	l := s.listing()
	var commands []Command
	for i := range simShoppers {
		c := s.grab()
		c.Listing, c.Shopper, c.Waitlist, c.Deadline = l, []byte(simShoppers[i]), true, Never
		commands = append(commands, c)
	}
	if rapid.Bool().Draw(s.t, "one lets go") {
		ref := s.order()
		if o := s.group.state.Order(ref); o != nil {
			commands = append(commands, Command{Kind: CmdCancelHold, Order: ref,
				Shopper: []byte(s.group.state.ShopperID(o.Shopper))})
		}
	}
	s.play(commands...)
}

// jump moves the clock: often a little, often to the brink of something, now
// and then far beyond everything.
func (s *simulation) jump() {
	g := s.group
	next := g.state.NextDue()
	switch rapid.IntRange(0, 9).Draw(s.t, "jump") {
	case 0, 1, 2:
	case 3, 4:
		g.clock = g.clock.Add(time.Duration(rapid.IntRange(0, 3).Draw(s.t, "ticks")) * modelTick)
	case 5:
		g.clock++
	case 6:
		if next != Never {
			g.clock = max(g.clock, next-1)
		}
	case 7, 8:
		if next != Never {
			g.clock = max(g.clock, next)
		}
	case 9:
		if rapid.IntRange(0, 4).Draw(s.t, "far") == 0 {
			g.clock = g.clock.Add(24 * time.Hour)
		}
	}
}

func (s *simulation) command() Command {
	switch n := rapid.IntRange(0, 40).Draw(s.t, "command"); {
	case n >= 39:
		if s.model == nil && rapid.Bool().Draw(s.t, "back") { // the model does not know what there was
			return Command{Kind: CmdPlanBack, Operator: s.operator()}
		}
		return s.decision()
	case n >= 38:
		return s.alarm()
	case n >= 36:
		return s.sink()
	case n >= 35:
		return s.delivering()
	case n >= 32:
		return s.bargaining(s.listing())
	case n >= 31:
		return s.confirmation()
	case n >= 30:
		return Command{Kind: CmdCloseHold, Order: s.order()}
	case n >= 28:
		return s.settling()
	case n >= 26:
		return Command{Kind: CmdLeaveLine, Order: s.order(), Shopper: s.shopper()}
	case n >= 25:
		return Command{Kind: CmdReserve, Listing: s.listing(), Shopper: s.shopper(),
			Withdraw: rapid.IntRange(0, 3).Draw(s.t, "withdraw") == 0}
	case n >= 23:
		return s.edit()
	case n >= 21:
		return s.turn()
	case n >= 20:
		return Command{Kind: CmdRaiseRules, RulesVersion: uint32(rapid.IntRange(1, int(s.rules())).Draw(s.t,
			"version"))}
	case n < 5:
		return s.grab()
	case n < 8:
		return Command{Kind: CmdCancelHold, Order: s.order(), Shopper: s.shopper()}
	case n < 12:
		return s.payment()
	case n < 13:
		return Command{Kind: CmdVoidOrder, Order: s.order(), Operator: "op", Note: "why"}
	case n < 14:
		by := s.group.clock.Add(time.Duration(rapid.IntRange(-1, 4).Draw(s.t, "extend")) * modelTick)
		if rapid.IntRange(0, 9).Draw(s.t, "too far") == 0 {
			by = s.group.clock.Add(MaxPayWithin) + 1
		}
		return Command{Kind: CmdExtendHold, Order: s.order(), Deadline: by}
	case n < 15:
		return s.personal()
	case n < 17:
		action := SessionAction(rapid.SampledFrom([]int{1, 1, 2, 2, 3, 3, 3, 4, 0, 9}).Draw(s.t, "action"))
		return Command{Kind: CmdSteerSession, Session: SessionHandle(rapid.IntRange(0,
			len(s.group.state.Sessions())+1).Draw(s.t, "session")), Action: action, Operator: s.operator()}
	case n < 18:
		amount := rapid.SampledFrom([]int64{-3, -1, 0, 1, 2, MaxStock, -MaxStock, 1 << 62, -1 << 63}).Draw(s.t, "stock")
		return Command{Kind: CmdAddStock, Listing: s.listing(), Amount: amount}
	}
	id := fmt.Sprint("s", rapid.IntRange(0, 5).Draw(s.t, "id"))
	s.plans++
	return Command{Kind: CmdApplyPlan, Plan: s.plan(id), Entropy: [32]byte{byte(len(s.group.entries))},
		Operator: fmt.Sprint("planner ", s.plans)}
}

// edit changes a roster, or stages and commits one.
func (s *simulation) edit() Command {
	e := RosterEdit{Action: RosterAction(rapid.SampledFrom([]int{1, 1, 1, 2, 2, 3, 3, 4}).Draw(s.t, "edit"))}
	switch rapid.IntRange(0, 2).Draw(s.t, "roster") {
	case 0:
		e.Roster = RosterID{Kind: RosterReserved, Listing: max(1, s.listing())}
	case 1:
		e.Roster = RosterID{Kind: RosterAllowed, Name: "vip"}
	case 2:
		e.Roster = RosterID{Kind: RosterRiskShopper}
	}
	if e.Action != RosterCommit {
		for range rapid.IntRange(0, 3).Draw(s.t, "rows") {
			e.Rows = append(e.Rows, RosterEntry{ID: s.shopper(),
				Level: Level(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3}).Draw(s.t, "level"))})
		}
	}
	if e.Action == RosterStage || e.Action == RosterCommit {
		s.stages += uint64(rapid.IntRange(0, 3).Draw(s.t, "stage") / 3)
		e.Stage, e.Count = s.stages+1, uint32(rapid.IntRange(0, 3).Draw(s.t, "count"))
	}
	return Command{Kind: CmdEditRoster, Edit: e, Operator: "op", Note: "why"}
}

// turn changes switches that Apply looks at, or a profile of them.
func (s *simulation) turn() Command {
	c := Command{Kind: CmdSetSwitches, Operator: "op", Note: "why"}
	w := rapid.SampledFrom([]Switch{SwitchWaitlist, SwitchReservations, SwitchAllowLists, SwitchRiskLists}).Draw(s.t,
		"switch")
	c.Switches.Settings = []Setting{{w, int64(rapid.IntRange(0, 1).Draw(s.t, "value"))}}
	switch n := rapid.IntRange(0, 9).Draw(s.t, "turn"); {
	case n < 3:
		c.Switches.Action = SwitchSet
	case n < 4:
		c.Switches = SwitchChange{Action: SwitchProfile, Profile: "rush"}
	case n < 5:
		c.Switches = SwitchChange{Action: SwitchBack}
	case n < 6:
		c.Switches = SwitchChange{Action: SwitchNormal}
	case n < 7:
		c.Kind, c.Switches = CmdSetProfile, SwitchChange{Action: ProfileForget, Profile: "calm"}
	default:
		c.Kind, c.Switches.Action, c.Switches.Profile = CmdSetProfile, ProfileDefine, rapid.SampledFrom([]string{"rush",
			"calm"}).Draw(s.t, "profile")
	}
	return c
}

func (s *simulation) grab() Command {
	g := s.group
	deadline := g.clock.Add(time.Duration(rapid.SampledFrom([]int{0, 1000, 1000, -1}).Draw(s.t,
		"deadline")) * time.Millisecond)
	trace := Transaction{byte(rapid.IntRange(0, 3).Draw(s.t, "transaction"))}
	price := int64(rapid.SampledFrom([]int{50, 70, 100, 100, 49, 201}).Draw(s.t, "price by a formula"))
	return Command{Kind: CmdPlaceHold, Listing: s.listing(), Shopper: s.shopper(), Deadline: deadline,
		Price: price, Priced: price != 49 || rapid.Bool().Draw(s.t, "priced"),
		Transaction: trace, Key: g.state.KeyOf([]byte(rapid.SampledFrom(simKeys).Draw(s.t, "key"))),
		Quantity: rapid.SampledFrom([]uint32{1, 1, 1, 1, 2, 3, 0, 1 << 31}).Draw(s.t, "quantity"),
		Waitlist: rapid.Bool().Draw(s.t, "waitlist"), Ticket: rapid.SampledFrom([]uint64{0, 0, 0, 7}).Draw(s.t,
			"ticket")}
}

func (s *simulation) shopper() []byte {
	return []byte(rapid.SampledFrom(simShoppers).Draw(s.t, "shopper"))
}

func (s *simulation) listing() ListingHandle {
	return ListingHandle(rapid.IntRange(0, len(s.group.state.Listings())+1).Draw(s.t, "listing"))
}

func (s *simulation) order() OrderRef {
	if s.brisk && rapid.IntRange(0, 19).Draw(s.t, "any order") > 0 {
		return s.someOrder()
	}
	x := SessionHandle(rapid.IntRange(1, max(1, len(s.group.state.Sessions()))).Draw(s.t, "of session"))
	if session := s.group.state.SessionOf(x); session != nil && session.Orders() > 0 && session.State != Settled {
		return OrderRef{x, uint32(rapid.IntRange(max(1, session.Orders()-8), session.Orders()).Draw(s.t, "order"))}
	}
	return OrderRef{x, uint32(rapid.IntRange(0, 2).Draw(s.t, "ordinal"))}
}

// plan draws a session that is new, or another idea of one that is there.
func (s *simulation) plan(id string) *Plan {
	start := s.group.clock.Add(time.Duration(rapid.IntRange(-2, 3).Draw(s.t, "start")) * modelTick)
	if x := s.group.state.Session(id); x != nil {
		start = x.Start
	}
	x := SessionPlan{SessionSpec: SessionSpec{
		ID: id, StartSpec: "spec", Start: start,
		End:             start.Add(time.Duration(rapid.IntRange(1, 20).Draw(s.t, "length")) * modelTick),
		PayWithin:       time.Duration(rapid.IntRange(1, 4).Draw(s.t, "pay_within")) * modelTick,
		PayGrace:        time.Duration(rapid.IntRange(0, 2).Draw(s.t, "pay_grace")) * modelTick,
		LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(s.t, "session limit")),
		CouponsUpTo:     int64(rapid.SampledFrom([]int{0, 20}).Draw(s.t, "coupons")),
		Publish:         rapid.IntRange(0, 4).Draw(s.t, "publish") > 0,
	}}
	rich := rapid.IntRange(0, 5).Draw(s.t, "rich") > 0
	if rich {
		x.Profile = rapid.SampledFrom([]string{"", "rush", "calm"}).Draw(s.t, "session profile")
	}
	p := &Plan{}
	for i := range rapid.IntRange(1, 3).Draw(s.t, "listings") {
		sku := fmt.Sprint("sku-", i)
		p.Products = append(p.Products, Product{ID: sku, Currency: "CNY", Stock: s.stock(sku)})
		x.Listings = append(x.Listings, ListingSpec{SKU: sku, Price: int64(100 * (2 - i)), // the last costs nothing
			Stock:           int64(rapid.IntRange(0, 4).Draw(s.t, "stock")),
			LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 1, 2}).Draw(s.t, "limit"))})
		if rich || s.playful {
			s.enrichPlay(p, id, &x.Listings[i])
		}
		if rich {
			s.enrich(&x.Listings[i])
			if l := s.group.state.ListingOf(id, sku); l != nil && rapid.IntRange(0, 9).Draw(s.t, "same draw") > 0 {
				x.Listings[i].Draw = l.Draw // of an open session it can't change
			}
		}
	}
	s.enrichDelivery(&x)
	p.Sales = []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{x}}}
	if s.playful {
		p.Sales[0].Offsets = simOffsets
	}
	if rich {
		p.Sales[0].Months = s.months(rapid.IntRange(-2, 2).Draw(s.t, "months from"))
	}
	return p
}

// stock draws what a supplier says it has of a product.
func (s *simulation) stock(sku string) (x SupplierStock) {
	if rapid.IntRange(0, 3).Draw(s.t, "supplied") > 0 {
		return x
	}
	x.Known, x.Figure = true, int64(rapid.IntRange(0, 12).Draw(s.t, "figure"))
	if x.Remaining = rapid.Bool().Draw(s.t, "remaining"); x.Remaining {
		x.AsOf = s.group.clock.Add(-time.Duration(rapid.IntRange(0, 3).Draw(s.t, "as of")) * modelTick)
		if p := s.group.state.Product(sku); p != nil && rapid.IntRange(0, 9).Draw(s.t, "late") > 0 {
			x.AsOf = max(x.AsOf, p.Stock.AsOf)
		}
		x.AsOf = min(x.AsOf, s.group.state.Now())
	}
	return x
}

// months are of six ticks, so that they turn now and then.
func (s *simulation) months(from int) (months []Time) {
	for i := range 4 {
		months = append(months, clockStart.Add(time.Duration(6*(from+i))*modelTick))
	}
	return months
}

// enrich adds rules beyond limits.
func (s *simulation) enrich(l *ListingSpec) {
	l.Waitlist = rapid.IntRange(0, 3).Draw(s.t, "has a line") > 0
	l.SetAside = time.Duration(rapid.IntRange(0, 3).Draw(s.t, "set aside")) * modelTick
	l.LimitPerMonth = uint32(rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(s.t, "month limit"))
	l.Reservation = rapid.IntRange(0, 5).Draw(s.t, "reservation") == 0
	if rapid.IntRange(0, 5).Draw(s.t, "allow list") == 0 {
		l.AllowList = "vip"
	}
	if rapid.IntRange(0, 2).Draw(s.t, "drawn") == 0 {
		l.Draw = time.Duration(rapid.IntRange(1, 5).Draw(s.t, "draw")) * modelTick
	}
}

// play applies a batch and compares.
func (s *simulation) play(commands ...Command) {
	g := s.group
	eff := g.do(commands...)
	s.record(nil)
	checkInside(s.t, g.state)
	s.checkPlaces()
	s.accounts.note(s.t, g.state, commands, eff)
	if s.model == nil {
		return
	}
	primary, derived := s.model.batch(g.clock, commands, eff.Touched)
	for _, events := range [][]Event{primary, derived} {
		for i := range events { // the model has no numbers
			events[i].Life = g.state.Life(events[i].Order)
		}
	}
	if !slices.Equal(eff.Primary, primary) {
		s.t.Fatalf("commands %v\nprimary  %#v\nexpected %#v", kinds(commands), eff.Primary, primary)
	}
	got := slices.Clone(eff.Derived)
	for i := range got {
		got[i].After = 0 // the model has no order of events
	}
	if !sameEvents(got, derived) {
		s.t.Fatalf("commands %v\nderived  %#v\nexpected %#v", kinds(commands), eff.Derived, derived)
	}
	if why := s.model.differs(g.state); why != "" {
		s.t.Fatal(why)
	}
}

// checkPlaces sees to it that nobody on the waitlist is ever further back than before.
func (s *simulation) checkPlaces() {
	state := s.group.state
	now := map[OrderRef]uint32{}
	for _, x := range state.Sessions() {
		for i := range x.Orders() {
			ref := OrderRef{x.Handle, uint32(i) + 1}
			if place := state.Position(ref); place > 0 {
				if before := s.places[ref]; before > 0 && place > before {
					s.t.Fatalf("order %v has moved from place %d to %d", ref, before, place)
				}
				now[ref] = place
			}
		}
	}
	s.places = now
}

func kinds(commands []Command) (names []string) {
	for _, c := range commands {
		names = append(names, c.Kind.String())
	}
	return names
}

// sameEvents compares regardless of order: which of two things due at different
// times came first in one batch, the model does not say.
func sameEvents(a, b []Event) bool {
	type fields Event // all of them, not only what String says
	order := func(x, y Event) int { return strings.Compare(fmt.Sprint(fields(x)), fmt.Sprint(fields(y))) }
	slices.SortFunc(a, order)
	slices.SortFunc(b, order)
	return slices.Equal(a, b)
}

// record keeps what the last entry did, and has the twin do it too.
func (s *simulation) record(failed error) {
	g := s.group
	s.effects = append(s.effects, keep(&g.effects))
	s.failed = append(s.failed, failed)
	if s.twin != nil {
		s.follow(s.twin, len(g.entries)-1)
		if s.twin.Hash() != g.state.Hash() {
			s.t.Fatal("a twin restored from a snapshot went another way")
		}
	}
	if s.frozen != nil && !bytes.Equal(encoded(s.t, s.frozen), s.bytes) {
		s.t.Fatal("a snapshot changed after it was taken")
	}
}

// follow applies entry i to another state and compares what it did.
func (s *simulation) follow(other *State, i int) {
	var eff Effects
	err := other.Apply(LogIndex(i+1), s.group.entries[i], &eff)
	if fmt.Sprint(err) != fmt.Sprint(s.failed[i]) {
		s.t.Fatalf("index %d: %v, at first %v", i+1, err, s.failed[i])
	}
	if now := keep(&eff); !reflect.DeepEqual(now, s.effects[i]) {
		s.t.Fatalf("index %d\neffects  %+v\nat first %+v", i+1, now, s.effects[i])
	}
}

func (s *simulation) freeze() {
	s.frozen = s.group.state.Snapshot()
	s.bytes = encoded(s.t, s.frozen)
}

// unfenced plays batches of other epochs, with gaps, and of noise: nothing may change.
func (s *simulation) unfenced() {
	g := s.group
	h := BatchHeader{Epoch: g.epoch, Sequence: g.sequence + 1, Time: g.clock.Add(time.Hour)}
	want := ErrStaleEpoch
	entry := func() []byte { return EncodeBatch(h, s.grab()) }
	switch rapid.IntRange(0, 4).Draw(s.t, "unfenced") {
	case 0:
		h.Epoch--
	case 1:
		h.Epoch = 0
	case 2:
		h.Sequence++
	case 3:
		h.Sequence--
	case 4:
		want = ErrMalformed
		whole := EncodeBatch(h, s.grab())
		entry = func() []byte { return whole[:rapid.IntRange(1, len(whole)-1).Draw(s.t, "cut")] }
	}
	before := hashBesideIndex(g.state)
	err := g.try(entry())
	if !errors.Is(err, want) {
		s.t.Fatalf("got %v, want %v", err, want)
	}
	if hashBesideIndex(g.state) != before {
		s.t.Fatalf("%v changed the state", err)
	}
	s.record(err)
}

func (s *simulation) epoch() {
	g := s.group
	g.approving = ApprovalRules{EndSession: rapid.Bool().Draw(s.t, "approving")}
	g.open()
	s.record(nil)
	if s.model != nil {
		s.model.approving = g.approving.EndSession
		s.model.batch(g.clock, nil, g.effects.Touched)
		if why := s.model.differs(g.state); why != "" {
			s.t.Fatal(why)
		}
	}
}

// replay applies the whole log to a fresh state.
func (s *simulation) replay() {
	other := s.limited(NewState())
	for i := range s.group.entries {
		s.follow(other, i)
	}
	if other.Hash() != s.group.state.Hash() {
		s.t.Fatal("the same log gave another hash")
	}
}

func hashBesideIndex(s *State) [sha256.Size]byte {
	snap := s.Snapshot()
	snap.head.index = 0
	return snap.Hash()
}

// checkInside looks at what only the state itself can see.
func checkInside(tb rapid.TB, s *State) {
	for _, x := range s.sessions {
		if at := s.nextTimer(x); int(x.Handle) <= len(s.timers.current) && at != s.timers.current[x.Handle-1] {
			tb.Fatalf("session %q is due at %d, the timers say %d", x.ID, at, s.timers.current[x.Handle-1])
		}
	}
	for i := range s.products.uses.len() {
		if wrong := s.recountUse(useNo(i + 1)); wrong != "" {
			tb.Fatalf("product %d: %s", s.products.uses.at(i).product, wrong)
		}
	}
	for _, l := range s.listings {
		if looks := s.sessions[l.Session-1].StateOf(l); looks != l.looks {
			tb.Fatalf("listing %d looks %v, its mark %v", l.Handle, looks, l.looks)
		}
		if !l.Frozen {
			s.recount(l)
		}
		x := s.sessions[l.Session-1]
		aside := l.Aside
		goesOn := !s.nextUp(l).IsZero() || s.drawDone(l)
		if n := l.waitlist; l.Aside != aside || aside != 0 &&
			(n.count == 0 || !goesOn && s.movable(l) && aside <= s.now) {
			tb.Fatalf("listing %d has %d free, %d are in line, and it is set aside until %d, or should be until %d; "+
				"it is %d", l.Handle, l.Available, n.count, aside, l.Aside, s.now)
		}
		if goesOn != slices.Contains(x.restless, l.Handle) {
			tb.Fatalf("listing %d goes on: %v; of its session these do: %v", l.Handle, goesOn, x.restless)
		}
		if x.State == Open && !slices.Equal(x.draws, s.drawsOf(x)) {
			tb.Fatalf("session %q is to close the draws of %v, not of %v", x.ID, s.drawsOf(x), x.draws)
		}
	}
}
