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
	t       *rapid.T
	group   *group
	model   model
	effects []Effects // by log index - 1
	failed  []error
	twin    *State
	frozen  *Snapshot
	bytes   []byte // what frozen encoded to at once
}

// modelTick is what durations are multiples of, so that ends, dues and jumps meet.
const modelTick = 5 * time.Second

var (
	simShoppers = []string{"ann", "bob", "cai", "dov"}
	simKeys     = []string{"k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"}
)

// TestStateAgainstModel plays random sequences of batches. More of them:
// go test ./engine -run StateAgainstModel -rapid.checks=10000 -rapid.steps=100
func TestStateAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &group{tb: t, state: NewState(), clock: clockStart}
		sim := &simulation{t: t, group: g, model: model{products: map[string]bool{}}}
		g.open()
		sim.model.now = g.clock
		sim.effects = append(sim.effects, keep(&g.effects))
		sim.failed = append(sim.failed, nil)
		sim.play(Command{Kind: CmdApplyPlan, Plan: sim.plan("s0")})
		t.Repeat(map[string]func(*rapid.T){
			"batch":    func(t *rapid.T) { sim.t = t; sim.batch() },
			"grabs":    func(t *rapid.T) { sim.t = t; sim.grabs() },
			"time":     func(t *rapid.T) { sim.t = t; sim.jump(); sim.play() },
			"unfenced": func(t *rapid.T) { sim.t = t; sim.unfenced() },
			"epoch":    func(t *rapid.T) { sim.t = t; sim.epoch() },
			"twin":     func(t *rapid.T) { sim.t = t; sim.twin = copied(t, g.state) },
			"freeze":   func(t *rapid.T) { sim.t = t; sim.freeze() },
		})
		sim.replay()
	})
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
	switch n := rapid.IntRange(0, 19).Draw(s.t, "command"); {
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
		return Command{Kind: CmdSetReceiver, Order: s.order(), Shopper: s.shopper(), Receiver: Receiver{Name: rapid.SampledFrom([]string{"", "A", "B"}).Draw(s.t, "name")}}
	case n < 17:
		action := SessionAction(rapid.SampledFrom([]int{1, 1, 2, 2, 3, 3, 3, 4, 0, 9}).Draw(s.t, "action"))
		return Command{Kind: CmdSteerSession, Session: SessionHandle(rapid.IntRange(0, len(s.model.sessions)+1).Draw(s.t, "session")), Action: action}
	case n < 18:
		amount := rapid.SampledFrom([]int64{-3, -1, 0, 1, 2, MaxStock, -MaxStock, 1 << 62, -1 << 63}).Draw(s.t, "stock")
		return Command{Kind: CmdAddStock, Listing: s.listing(), Amount: amount}
	}
	id := fmt.Sprint("s", rapid.IntRange(0, 3).Draw(s.t, "id"))
	return Command{Kind: CmdApplyPlan, Plan: s.plan(id)}
}

func (s *simulation) grab() Command {
	g := s.group
	deadline := g.clock.Add(time.Duration(rapid.SampledFrom([]int{0, 1000, 1000, -1}).Draw(s.t, "deadline")) * time.Millisecond)
	return Command{Kind: CmdPlaceHold, Listing: s.listing(), Shopper: s.shopper(), Deadline: deadline,
		Key:      g.state.KeyOf([]byte(rapid.SampledFrom(simKeys).Draw(s.t, "key"))),
		Quantity: rapid.SampledFrom([]uint32{1, 1, 1, 1, 2, 3, 0, 1 << 31}).Draw(s.t, "quantity")}
}

func (s *simulation) payment() Command {
	c := Command{Kind: CmdPayOrder, Order: s.order(), Currency: "CNY", PaymentID: rapid.SampledFrom([]string{"p1", "p1", "p2", ""}).Draw(s.t, "payment")}
	if o := s.model.order(c.Order); o != nil {
		c.Amount = o.amount
	}
	switch rapid.IntRange(0, 9).Draw(s.t, "wrong") {
	case 0:
		c.Amount++
	case 1:
		c.Currency = "EUR"
	}
	return c
}

func (s *simulation) shopper() []byte {
	return []byte(rapid.SampledFrom(simShoppers).Draw(s.t, "shopper"))
}

func (s *simulation) listing() ListingHandle {
	return ListingHandle(rapid.IntRange(0, len(s.model.listings)+1).Draw(s.t, "listing"))
}

func (s *simulation) order() OrderRef {
	if n := len(s.model.orders); n > 0 {
		return s.model.orders[rapid.IntRange(max(0, n-8), n-1).Draw(s.t, "order")].ref
	}
	return OrderRef{1, uint32(rapid.IntRange(0, 2).Draw(s.t, "ordinal"))}
}

// plan draws a session that is new, or another idea of one that is there.
func (s *simulation) plan(id string) *Plan {
	start := s.group.clock.Add(time.Duration(rapid.IntRange(-2, 3).Draw(s.t, "start")) * modelTick)
	if x := s.model.session(id); x != nil {
		start = x.Start
	}
	x := SessionPlan{SessionSpec: SessionSpec{
		ID: id, StartSpec: "spec", Start: start,
		End:             start.Add(time.Duration(rapid.IntRange(1, 20).Draw(s.t, "length")) * modelTick),
		PayWithin:       time.Duration(rapid.IntRange(1, 4).Draw(s.t, "pay_within")) * modelTick,
		PayGrace:        time.Duration(rapid.IntRange(0, 2).Draw(s.t, "pay_grace")) * modelTick,
		LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(s.t, "session limit")),
		Publish:         rapid.IntRange(0, 4).Draw(s.t, "publish") > 0,
	}}
	p := &Plan{}
	for i := range rapid.IntRange(1, 3).Draw(s.t, "listings") {
		sku := fmt.Sprint("sku-", i)
		p.Products = append(p.Products, Product{ID: sku, Currency: "CNY"})
		x.Listings = append(x.Listings, ListingSpec{SKU: sku, Price: int64(100 * (i + 1)),
			Stock:           int64(rapid.IntRange(0, 4).Draw(s.t, "stock")),
			LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 1, 2}).Draw(s.t, "limit"))})
	}
	p.Sales = []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{x}}}
	return p
}

// play applies a batch and compares.
func (s *simulation) play(commands ...Command) {
	g := s.group
	primary, derived := s.model.batch(g.clock, commands)
	eff := g.do(commands...)
	s.record(nil)
	if !slices.Equal(eff.Primary, primary) {
		s.t.Fatalf("commands %v\nprimary  %#v\nexpected %#v", kinds(commands), eff.Primary, primary)
	}
	if got := slices.Clone(eff.Derived); !sameEvents(got, derived) {
		s.t.Fatalf("commands %v\nderived  %#v\nexpected %#v", kinds(commands), eff.Derived, derived)
	}
	if why := s.model.differs(g.state); why != "" {
		s.t.Fatal(why)
	}
	checkInside(s.t, g.state)
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
	s.model.batch(g.clock, nil)
	g.open()
	s.record(nil)
	if why := s.model.differs(g.state); why != "" {
		s.t.Fatal(why)
	}
}

// replay applies the whole log to a fresh state.
func (s *simulation) replay() {
	other := NewState()
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
		if at := s.dueOf(x); int(x.Handle) <= len(s.agenda.current) && at != s.agenda.current[x.Handle-1] {
			tb.Fatalf("session %q is due at %d, the agenda says %d", x.ID, at, s.agenda.current[x.Handle-1])
		}
	}
	for _, l := range s.listings {
		if looks := s.sessions[l.Session-1].StateOf(l); looks != s.marks[l.Handle-1].looks {
			tb.Fatalf("listing %d looks %v, its mark %v", l.Handle, looks, s.marks[l.Handle-1].looks)
		}
		if !l.Frozen {
			s.recount(l)
		}
	}
}
