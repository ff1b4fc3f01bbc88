package engine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// clockStart is what the tests' clock says first.
const clockStart Time = 1_800_000_000_000

// group stands for a leader and its log: it stamps batches with epoch, sequence
// and time, and keeps the entries so that others can replay them.
type group struct {
	tb       rapid.TB
	state    *State
	clock    Time
	entries  [][]byte // by log index - 1
	sequence uint64
	epoch    Epoch
	effects  Effects

	approving ApprovalRules // of epochs that begin
}

func newGroup(tb rapid.TB) *group {
	tb.Helper()
	g := &group{tb: tb, state: NewState(), clock: clockStart}
	g.open()
	return g
}

// open begins an epoch.
func (g *group) open() *Effects {
	g.tb.Helper()
	c := Command{Kind: CmdOpenEpoch, Node: "a1", Nonce: uint64(len(g.entries)), Approving: &g.approving,
		Secret: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	eff := g.apply(EncodeBatch(BatchHeader{Time: g.clock}, c))
	g.epoch, g.sequence = Epoch(len(g.entries)), 0
	return eff
}

// do applies one batch at the group's clock. The effects are good until the next one.
func (g *group) do(commands ...Command) *Effects {
	g.tb.Helper()
	g.sequence++
	return g.apply(EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock}, commands...))
}

func (g *group) apply(entry []byte) *Effects {
	g.tb.Helper()
	if err := g.try(entry); err != nil {
		g.tb.Fatal(err)
	}
	return &g.effects
}

func (g *group) try(entry []byte) error {
	g.entries = append(g.entries, entry)
	return g.state.Apply(LogIndex(len(g.entries)), entry, &g.effects)
}

// after moves the clock and applies an empty batch: a tick.
func (g *group) after(d time.Duration) *Effects {
	g.tb.Helper()
	g.clock = g.clock.Add(d)
	return g.do()
}

// one applies a batch of one command and gives its event.
func (g *group) one(c Command) Event {
	g.tb.Helper()
	return g.do(c).Primary[0]
}

func (g *group) grab(l ListingHandle, shopper, key string, quantity uint32) Event {
	g.tb.Helper()
	return g.one(g.placeHold(l, shopper, key, quantity))
}

func (g *group) placeHold(l ListingHandle, shopper, key string, quantity uint32) Command {
	return Command{Kind: CmdPlaceHold, Listing: l, Shopper: []byte(shopper), Key: g.state.KeyOf([]byte(key)),
		Quantity: quantity, Deadline: g.clock.Add(time.Second)}
}

func (g *group) cancel(ref OrderRef) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdCancelHold, Order: ref,
		Shopper: []byte(g.state.ShopperID(g.state.Order(ref).Shopper))})
}

func (g *group) pay(ref OrderRef, payment string) Event {
	g.tb.Helper()
	o := g.state.Order(ref)
	return g.one(Command{Kind: CmdPayOrder, Order: ref, Amount: o.Amount, Currency: g.state.Listing(o.Listing).Currency,
		PaymentID: payment})
}

func (g *group) steer(x SessionHandle, action SessionAction) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdSteerSession, Session: x, Action: action})
}

// session plans one published session of an hour that has begun; its listings
// are named sku-1 and so on.
func (g *group) session(id string, change func(*SessionPlan), listings ...ListingSpec) *Session {
	g.tb.Helper()
	x := SessionPlan{SessionSpec: SessionSpec{ID: id, StartSpec: "now", Start: g.clock, End: g.clock.Add(time.Hour),
		PayWithin: 15 * time.Minute, PayGrace: 2 * time.Minute, Publish: true}}
	plan := &Plan{}
	for i, l := range listings {
		if l.SKU == "" {
			l.SKU = "sku-" + string(rune('1'+i))
		}
		if l.Price == 0 {
			l.Price = 100
		}
		x.Listings = append(x.Listings, l)
		plan.Products = append(plan.Products, Product{ID: l.SKU, Currency: "CNY"})
	}
	if change != nil {
		change(&x)
	}
	plan.Sales = []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"}, Sessions: []SessionPlan{x}}}
	g.plan(plan)
	return g.state.Session(id)
}

func (g *group) plan(p *Plan) *Effects {
	g.tb.Helper()
	eff := g.do(Command{Kind: CmdApplyPlan, Plan: p})
	if len(eff.LastPlan().Problems) > 0 {
		g.tb.Fatal(eff.LastPlan().Problems)
	}
	return eff
}

// copied gives a second state with the same contents, by way of a snapshot.
func copied(tb rapid.TB, s *State) *State {
	tb.Helper()
	twin, err := ReadState(bytes.NewReader(encoded(tb, s.Snapshot())))
	if err != nil {
		tb.Fatal(err)
	}
	return twin
}

func encoded(tb rapid.TB, snap *Snapshot) []byte {
	tb.Helper()
	var b bytes.Buffer
	if _, err := snap.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// keep copies effects, which the next Apply overwrites.
func keep(e *Effects) Effects {
	c := *e
	c.Primary = append([]Event(nil), e.Primary...)
	c.Derived = append([]Event(nil), e.Derived...)
	c.Touched = append([]ListingHandle(nil), e.Touched...)
	c.Rosters = append([]RosterID(nil), e.Rosters...)
	c.AuditNotes = append([]AuditNote(nil), e.AuditNotes...)
	c.Leaving = nil
	for _, l := range e.Leaving { // in words: where tables keep things is their own business
		var words []string
		for i := range l.Orders() {
			r, _ := l.Record(uint32(i + 1))
			to := fmt.Sprint(r.Receiver == nil)
			if r.Receiver != nil {
				to = fmt.Sprint(*r.Receiver)
			}
			r.Receiver = nil
			words = append(words, fmt.Sprintf("%+v %s", r, to))
		}
		c.Leaving = append(c.Leaving, &Leaving{Session: l.Session, Sealed: l.Sealed, At: l.At,
			Listings: []Listing{{Currency: strings.Join(words, "\n")}}})
	}
	return c
}

func mustFail(tb rapid.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
}

// clear has the orders of a settled session leave the state.
func (g *group) clear(x *Session) {
	if e := g.one(Command{Kind: CmdClearSession, Session: x.Handle}); e.Kind != SessionCleared {
		g.tb.Fatalf("clearing %q: %v", x.ID, e)
	}
	for g.state.mustLetGo() {
		due := g.state.NextDue()
		if due > g.state.Now()+clearEvery {
			g.tb.Fatalf("there is more to let go of, and the next batch may wait until %d", due)
		}
		g.clock = max(g.clock, due)
		g.do()
	}
}
