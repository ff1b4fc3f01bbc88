package engine

import (
	"fmt"
	"testing"
	"time"
)

// supplies states what supplier acme has of products, as an import, and gives the last event.
func (g *group) supplies(replace bool, stage uint64, products ...Product) Event {
	g.tb.Helper()
	if e := g.stages("acme", stage, products...); e.Kind != ProductsStaged {
		return e
	}
	return g.commits("acme", stage, len(products), replace)
}

func (g *group) stages(supplier string, stage uint64, products ...Product) Event {
	g.tb.Helper()
	edit := &ProductEdit{Supplier: supplier, Action: ProductsStage, Stage: stage}
	for i := range products {
		if products[i].Currency == "" {
			products[i].Currency = "CNY"
		}
		edit.Rows = append(edit.Rows, RowOf(&products[i]))
	}
	return g.one(Command{Kind: CmdEditProducts, Operator: "op", Note: "why", Products: edit})
}

func (g *group) commits(supplier string, stage uint64, count int, replace bool) Event {
	g.tb.Helper()
	return g.one(Command{Kind: CmdEditProducts, Operator: "op", Note: "why", Products: &ProductEdit{Supplier: supplier,
		Action: ProductsCommit, Stage: stage, Count: uint32(count), Replace: replace}})
}

func inAll(units int64) SupplierStock { return SupplierStock{Known: true, Figure: units} }

func remaining(units int64, asOf Time) SupplierStock {
	return SupplierStock{Known: true, Figure: units, Remaining: true, AsOf: asOf}
}

// offers plans a session of one listing of acme's product, with so many units.
func (g *group) offers(session, product string, units int64, change func(*SessionPlan)) *Listing {
	g.tb.Helper()
	p := g.offer(session, product, units)
	if change != nil {
		change(&p.Sales[0].Sessions[0])
	}
	g.plan(p)
	return g.state.ListingOf(session, product)
}

func (g *group) offer(session, product string, units int64) *Plan {
	return &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale", Timezone: "Asia/Shanghai"}, Sessions: []SessionPlan{{
		SessionSpec: SessionSpec{ID: session, StartSpec: "now", Start: g.clock, End: g.clock.Add(time.Hour),
			PayWithin: 15 * time.Minute, PayGrace: 2 * time.Minute, Publish: true},
		Listings: []ListingSpec{{SKU: product, Price: 100, Stock: units}}}}}}}
}

func (g *group) wantCounts(l *Listing, stock, available, held, paid int64) {
	g.tb.Helper()
	if l.Stock != stock || l.Available != available || l.Held != held || l.Paid != paid {
		g.tb.Errorf("stock %d, available %d, held %d, paid %d; want %d, %d, %d, %d", l.Stock, l.Available, l.Held,
			l.Paid, stock, available, held, paid)
	}
	checkInside(g.tb, g.state)
	if copied(g.tb, g.state).Hash() != g.state.Hash() {
		g.tb.Error("a snapshot's reading has another hash")
	}
}

// Whose a product is that a supplier can't take is not for that supplier to hear.
func TestSuppliersHearOfNoOther(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "theirs"})
	g.stages("acme", 2, Product{ID: "coming"})
	for id, want := range map[string]string{"theirs": "id: the product is another supplier's; take another id",
		"coming": "id: an import of another supplier that is under way has it"} {
		row := RowOf(&Product{ID: id, Currency: "CNY"})
		if got := g.state.WrongProduct("other", &row); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// What all sessions put up of a product never exceeds its supplier's figure, whichever way it
// is put up.
func TestSuppliersFigureBoundsWhatIsPutUp(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(10)})
	a := g.offers("a", "p", 6, nil)
	if problems := g.state.ComparePlan(g.offer("b", "p", 5)).Problems; len(problems) != 1 ||
		problems[0].String() != "sales[sale].sessions[b].listings[p].stock: 11 units of p would be put up by all "+
			"sessions, and its supplier has 10 in all: 4 more can be put up" {
		t.Errorf("problems: %v", problems)
	}
	b := g.offers("b", "p", 3, nil)
	add := func(l *Listing, units int64) Event {
		return g.one(Command{Kind: CmdAddStock, Listing: l.Handle, Amount: units})
	}
	if e := add(a, 2); e.Kind != CommandRefused || e.Reason != ReasonSupplier {
		t.Errorf("two more of one: %v", e)
	}
	if e := add(a, 1); e.Kind != StockAdded {
		t.Errorf("the last one: %v", e)
	}
	if e := add(b, -2); e.Kind != StockAdded {
		t.Errorf("two less: %v", e)
	}
	if e := add(a, 2); e.Kind != StockAdded {
		t.Errorf("the two that came free: %v", e)
	}
	g.wantCounts(a, 9, 9, 0, 0)
	g.wantCounts(b, 1, 1, 0, 0)
	// A plan may move units from one session to another, and state the figure besides.
	move := g.offer("a", "p", 2)
	move.Sales[0].Sessions = append(move.Sales[0].Sessions, g.offer("b", "p", 8).Sales[0].Sessions...)
	g.plan(move)
	g.wantCounts(b, 8, 8, 0, 0)
	raise := g.offer("c", "p", 5)
	raise.Products = []Product{{ID: "p", Currency: "CNY", Supplier: "acme", Stock: inAll(15)}}
	g.plan(raise)
	g.wantCounts(g.state.ListingOf("c", "p"), 5, 5, 0, 0)
}

// Lowering takes units back that are free, of the newest session first, and never those that
// are held or paid; what of them comes back is taken then.
func TestLoweringTakesFreeUnits(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(10)}, Product{ID: "q"})
	a, b := g.offers("a", "p", 5, nil), g.offers("b", "p", 5, nil)
	other := g.offers("c", "q", 5, nil)
	held := g.grab(a.Handle, "ann", "k", 2).Order
	paid := g.grab(b.Handle, "bob", "k", 1).Order
	g.pay(paid, "pay-1")
	edit := func(e ProductEdit) Command { return Command{Kind: CmdEditProducts, Products: &e} }
	eff := keep(g.do(edit(ProductEdit{Supplier: "acme", Action: ProductsStage, Stage: 2,
		Rows: []ProductRow{RowOf(&Product{ID: "p", Currency: "CNY", Stock: inAll(5)})}}),
		edit(ProductEdit{Supplier: "acme", Action: ProductsCommit, Stage: 2, Count: 1})))
	if len(eff.Derived) < 2 || eff.Derived[0].Kind != StockWithdrawn || eff.Derived[0].Listing != b.Handle ||
		eff.Derived[0].Amount != 4 || eff.Derived[1].Listing != a.Handle || eff.Derived[1].Amount != 1 {
		t.Errorf("events %v", eff.Derived)
	}
	g.wantCounts(b, 1, 0, 0, 1)
	g.wantCounts(a, 4, 2, 2, 0)
	g.supplies(false, 3, Product{ID: "p", Stock: inAll(2)})
	g.wantCounts(a, 2, 0, 2, 0) // one over: it is held
	if v, _ := g.state.ProductOf("p"); v.Use.Over() != 1 || v.Use.PutUp != 3 || v.Use.Allowance != 2 {
		t.Errorf("%+v", v.Use)
	}
	g.cancel(held)
	g.wantCounts(a, 1, 1, 0, 0)
	if e := g.grab(a.Handle, "cai", "k", 1); e.Kind != HoldPlaced {
		t.Errorf("the unit that is left: %v", e)
	}
	g.wantCounts(other, 5, 5, 0, 0)
	g.supplies(false, 4, Product{ID: "p", Stock: inAll(0)})
	g.wantCounts(a, 1, 0, 1, 0)
	g.one(Command{Kind: CmdVoidOrder, Order: paid, Operator: "op"})
	g.wantCounts(b, 1, 1, 0, 0) // its session has ended, sold out
	g.after(20 * time.Minute)
	g.wantCounts(a, 0, 0, 0, 0)
	g.supplies(false, 5, Product{ID: "p", Stock: inAll(100)})
	g.wantCounts(a, 0, 0, 0, 0) // what was taken back is put up again by whoever plans
}

// What remains is told as of a time: units paid before that are not counted again, and units
// that were paid before and come back do not count for the supplier any more.
func TestRemainingDoesNotCountTwice(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(10)})
	l := g.offers("a", "p", 10, nil)
	var orders []OrderRef
	for i := range 4 {
		orders = append(orders, g.grab(l.Handle, fmt.Sprint("s", i), "k", 1).Order)
		g.pay(orders[i], fmt.Sprint("pay-", i))
		g.after(time.Second)
	}
	asOf := clockStart.Add(1500 * time.Millisecond) // two are paid by then
	if e := g.supplies(false, 2, Product{ID: "p", Stock: remaining(8, asOf)}); e.Kind != ProductsImported {
		t.Fatal(e)
	}
	g.wantCounts(l, 10, 6, 0, 4)
	if v, _ := g.state.ProductOf("p"); v.Use.PaidBefore != 2 || v.Use.Allowance != 10 {
		t.Errorf("%+v", v.Use)
	}
	g.supplies(false, 3, Product{ID: "p", Stock: remaining(7, asOf)})
	g.wantCounts(l, 9, 5, 0, 4)
	if e := g.supplies(false, 4, Product{ID: "p", Stock: remaining(9, asOf-1)}); e.Reason != ReasonConflict {
		t.Errorf("what was counted before: %v", e)
	}
	g.one(Command{Kind: CmdVoidOrder, Order: orders[0], Operator: "op"}) // their books have it as sold
	g.wantCounts(l, 8, 5, 0, 3)
	g.one(Command{Kind: CmdVoidOrder, Order: orders[3], Operator: "op"}) // these do not
	g.wantCounts(l, 8, 6, 0, 2)
	g.supplies(false, 5, Product{ID: "p", Stock: remaining(6, g.clock)})
	g.wantCounts(l, 8, 6, 0, 2) // all that is paid was paid before
	if v, _ := g.state.ProductOf("p"); v.Use.PaidBefore != 2 {
		t.Errorf("%+v", v.Use)
	}
	for _, bad := range []SupplierStock{{Known: true, Figure: -1}, {Known: true, Figure: MaxSupplierStock + 1},
		{Known: true, Figure: 1, Remaining: true}, remaining(1, g.clock.Add(time.Hour))} {
		if e := g.supplies(false, 6, Product{ID: "p", Stock: bad}); e.Kind != CommandRefused {
			t.Errorf("%v: %v", bad, e)
		}
	}
}

// What a session had left when it ended may be put up elsewhere, and no late payment takes it
// then.
func TestEndedSessionsGiveWhatTheyHadLeft(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(3)})
	l := g.offers("a", "p", 3, nil)
	late, later := g.grab(l.Handle, "ann", "k", 1).Order, g.grab(l.Handle, "bob", "k", 1).Order
	g.after(20 * time.Minute) // both have expired
	g.steer(l.Session, SessionEnd)
	g.offers("b", "p", 2, nil)
	if e := g.pay(late, "pay-1"); e.Kind != OrderPaid || e.Reason != ReasonPaidLate {
		t.Errorf("the one unit that is nobody's: %v", e)
	}
	if e := g.pay(later, "pay-2"); e.Kind != RefundBecameDue {
		t.Errorf("one that another session has put up: %v", e)
	}
	g.wantCounts(l, 3, 2, 0, 1)
}

// A supplier writes only what is its own, and all of an import or nothing.
func TestSuppliersWriteTheirOwn(t *testing.T) {
	g := newGroup(t)
	g.plan(&Plan{Products: []Product{{ID: "shops", Currency: "CNY"}, {ID: "other", Currency: "CNY", Supplier: "bolt"}}})
	for _, id := range []string{"shops", "other"} {
		if e := g.supplies(false, 1, Product{ID: "mine"}, Product{ID: id}); e.Kind != CommandRefused {
			t.Errorf("%s: %v", id, e)
		}
	}
	if g.state.Product("mine") != nil {
		t.Error("half an import is there")
	}
	if e := g.stages("acme", 2, Product{ID: "both"}); e.Kind != ProductsStaged {
		t.Fatal(e)
	}
	if e := g.stages("bolt", 2, Product{ID: "both"}); e.Kind != CommandRefused {
		t.Errorf("what another's import under way has: %v", e)
	}
	if e := g.stages("acme", 2, Product{ID: "both"}); e.Kind != CommandRefused {
		t.Errorf("twice in one import: %v", e)
	}
	if e := g.commits("acme", 2, 1, false); e.Kind != CommandRefused || g.state.Product("both") != nil {
		t.Errorf("an import with one row twice: %v", e)
	}
	g.stages("acme", 3, Product{ID: "both"})
	g.plan(&Plan{Products: []Product{{ID: "both", Currency: "EUR"}}})
	if e := g.commits("acme", 3, 1, false); e.Kind != CommandRefused || g.state.Product("both").Supplier != "" {
		t.Errorf("an import that the shop came before: %v", e)
	}
	g.supplies(false, 4, Product{ID: "sold"})
	g.offers("a", "sold", 1, nil)
	if e := g.supplies(false, 5, Product{ID: "sold", Currency: "EUR"}); e.Kind != CommandRefused {
		t.Errorf("another currency of what is on offer: %v", e)
	}
	checkInside(t, g.state)
}

// A catalogue that replaces another has what it lacks deleted, or retired where a session
// has it; shrinking is to be meant.
func TestReplacedCatalogue(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "a"}, Product{ID: "b"}, Product{ID: "c"}, Product{ID: "d"})
	g.offers("s", "b", 2, nil)
	if e := g.supplies(true, 2, Product{ID: "a"}); e.Reason != ReasonShrinks {
		t.Errorf("a quarter of it: %v", e)
	}
	if e := g.supplies(true, 3, Product{ID: "a", Image: "x"}, Product{ID: "e"}); e.Kind != ProductsImported {
		t.Fatal(e)
	}
	if out, done, _ := g.state.Imported("acme", 3); !done || out.New != 1 || out.Changed != 1 || out.Gone != 3 ||
		out.Count != 2 {
		t.Errorf("%+v, %v", out, done)
	}
	for id, want := range map[string]bool{"a": true, "b": true, "c": false, "d": false, "e": true} {
		if got := g.state.Product(id) != nil; got != want {
			t.Errorf("product %s is there: %v", id, got)
		}
	}
	if p := g.state.Product("b"); !p.Retired {
		t.Error("what a session has is not retired")
	}
	if problems := g.state.ComparePlan(g.offer("t", "b", 1)).Problems; len(problems) != 1 {
		t.Errorf("listing what is retired: %v", problems)
	}
	if e := g.grab(g.state.ListingOf("s", "b").Handle, "ann", "k", 1); e.Kind != HoldPlaced {
		t.Errorf("what was listed before goes on: %v", e)
	}
	g.supplies(false, 4, Product{ID: "b"})
	if g.state.Product("b").Retired {
		t.Error("its supplier has it again")
	}
	g.wantCounts(g.state.ListingOf("s", "b"), 2, 1, 1, 0)
}

func TestDeletingAndArchiving(t *testing.T) {
	g := newGroup(t)
	g.supplies(false, 1, Product{ID: "p", Stock: inAll(9)}, Product{ID: "q"})
	l := g.offers("a", "p", 3, nil)
	g.offers("b", "p", 3, nil)
	change := func(id string, a ProductAction) Event {
		return g.one(Command{Kind: CmdChangeProduct, Product: id, ProductAction: a, Operator: "op"})
	}
	discard := func(d Discarding) Event { return g.one(Command{Kind: CmdDiscard, Discard: d, Operator: "op"}) }
	want := func(e Event, kind EventKind, why Reason) {
		t.Helper()
		if e.Kind != kind || e.Reason != why {
			t.Errorf("got %v, want %v %v", e, kind, why)
		}
	}
	want(change("p", ProductDelete), CommandRefused, ReasonOffered)
	want(change("q", ProductRetire), ProductRetired, ReasonNone)
	want(change("q", ProductRetire), ProductUnchanged, ReasonNone)
	want(change("q", ProductRevive), ProductRevived, ReasonNone)
	want(change("q", ProductDelete), ProductDeleted, ReasonNone)
	want(change("q", ProductDelete), CommandRefused, ReasonUnknown)
	want(discard(Discarding{Session: "b", Action: DiscardDelete}), CommandRefused, ReasonNotOpen)
	g.grab(l.Handle, "ann", "k", 1)
	want(discard(Discarding{Session: "a", Action: DiscardArchive}), CommandRefused, ReasonNotOpen)
	g.steer(1, SessionEnd)
	g.steer(2, SessionEnd)
	want(discard(Discarding{Session: "a", Action: DiscardDelete}), CommandRefused, ReasonOffered)
	want(discard(Discarding{Sale: "sale", Action: DiscardDelete}), CommandRefused, ReasonOffered)
	want(discard(Discarding{Session: "b", Action: DiscardDelete}), SessionDeleted, ReasonNone)
	want(discard(Discarding{Session: "b", Action: DiscardDelete}), CommandRefused, ReasonUnknown)
	want(discard(Discarding{Session: "a", Action: DiscardArchive}), SessionArchived, ReasonNone)
	want(discard(Discarding{Session: "a", Action: DiscardArchive}), SessionUnchanged, ReasonNone)
	want(discard(Discarding{Session: "a", Action: DiscardRecall}), SessionRecalled, ReasonNone)
	want(discard(Discarding{Sale: "sale", Action: DiscardArchive}), SaleArchived, ReasonNone)
	if !g.state.Session("a").Archived || !g.state.Sale("sale").Archived {
		t.Error("what was archived is not in the archive")
	}
	g.offers("c", "p", 8, nil)
	if g.state.Sale("sale").Archived {
		t.Error("a sale with a new session stays in the archive")
	}
	g.wantCounts(g.state.ListingOf("c", "p"), 8, 8, 0, 0)
	// Whatever is asked of the deleted one changes nothing.
	for _, c := range []Command{g.placeHold(2, "bob", "k", 1),
		{Kind: CmdSteerSession, Session: 2, Action: SessionResume},
		{Kind: CmdAddStock, Listing: 2, Amount: 1}, {Kind: CmdSettleSession, Session: 2},
		{Kind: CmdClearSession, Session: 2}, {Kind: CmdStartBargain, Listing: 2, Shopper: []byte("bob")},
		{Kind: CmdReserve, Listing: 2, Shopper: []byte("bob")}} {
		before := string(written(g.state.SessionOf(2))) + string(written(g.state.Listing(2)))
		if e := g.one(c); e.Kind != HoldRefused && e.Kind != CommandRefused && e.Kind != SessionUnchanged {
			t.Errorf("%v: %v", c.Kind, e)
		}
		if string(written(g.state.SessionOf(2)))+string(written(g.state.Listing(2))) != before {
			t.Errorf("%v changed something", c.Kind)
		}
	}
	g.steer(3, SessionEnd)
	want(discard(Discarding{Session: "c", Action: DiscardDelete}), SessionDeleted, ReasonNone)
	g.offers("c", "p", 1, nil) // the id is free
	checkInside(t, g.state)
	if copied(t, g.state).Hash() != g.state.Hash() {
		t.Error("a snapshot's reading has another hash")
	}
	empty := newGroup(t)
	empty.session("x", func(x *SessionPlan) { x.Publish = false }, ListingSpec{Stock: 1})
	if e := empty.one(Command{Kind: CmdDiscard, Discard: Discarding{Sale: "sale", Action: DiscardDelete}}); e.Kind !=
		SaleDeleted || empty.state.Sale("sale") != nil || empty.state.Session("x") != nil {
		t.Errorf("a sale that nothing was sold of: %v", e)
	}
	if e := empty.one(Command{Kind: CmdChangeProduct, Product: "sku-1", ProductAction: ProductDelete}); e.Kind !=
		ProductDeleted {
		t.Errorf("a product that no session has any more: %v", e)
	}
}
