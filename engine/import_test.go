package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// catalogueModel is what products there are, as plainly as can be.
type catalogueModel struct {
	products map[string]*modelProduct
	staged   map[string]*modelStaging // by supplier
}

type modelProduct struct {
	supplier         string
	price            int64
	stock            SupplierStock
	givenUp, retired bool
	listed           bool
}

type modelStaging struct {
	stage uint64
	rows  map[string]Product
	stale bool
}

// TestImportsAgainstModel stages, commits and drops imports of several suppliers, with plans
// and operators in between, in shares of a few rows, and from snapshots.
func TestImportsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &importSim{t: t, group: newGroup(t), stage: 1, model: catalogueModel{products: map[string]*modelProduct{},
			staged: map[string]*modelStaging{}}}
		s.group.state.clearShare, s.group.state.clearEvery = 1, 0
		s.small = rapid.IntRange(0, 3).Draw(t, "small share") > 0
		t.Repeat(map[string]func(*rapid.T){
			"stage":   func(t *rapid.T) { s.t = t; s.stageSome() },
			"stage 2": func(t *rapid.T) { s.t = t; s.stageSome() },
			"commit":  func(t *rapid.T) { s.t = t; s.commit() },
			"drop":    func(t *rapid.T) { s.t = t; s.drop() },
			"plan":    func(t *rapid.T) { s.t = t; s.plan() },
			"change":  func(t *rapid.T) { s.t = t; s.change() },
			"time":    func(t *rapid.T) { s.t = t; s.group.after(time.Duration(rapid.IntRange(0, 3).Draw(t, "ms"))) },
			"twin":    func(t *rapid.T) { s.t = t; s.twin() },
			"":        func(t *rapid.T) { s.t = t; s.compare() },
		})
		for s.group.state.mustTake() {
			s.group.after(time.Millisecond)
		}
		s.compare()
	})
}

type importSim struct {
	t     *rapid.T
	group *group
	model catalogueModel
	stage uint64
	small bool
}

func (s *importSim) share() {
	s.group.state.clearShare = 1 << 20
	if s.small {
		s.group.state.clearShare = 1
	}
}

func (s *importSim) supplier() string {
	return rapid.SampledFrom([]string{"acme", "bolt"}).Draw(s.t, "supplier")
}

func (s *importSim) id() string { return fmt.Sprint("p", rapid.IntRange(0, 40).Draw(s.t, "product")) }

func (s *importSim) stageSome() {
	by := s.supplier()
	if rapid.IntRange(0, 3).Draw(s.t, "another stage") == 0 {
		s.stage++
	}
	var rows []Product
	for range rapid.IntRange(0, 30).Draw(s.t, "rows") {
		p := Product{ID: s.id(), ListPrice: int64(rapid.IntRange(0, 3).Draw(s.t, "price")),
			Retired: rapid.IntRange(0, 5).Draw(s.t, "retired") == 0}
		if rapid.Bool().Draw(s.t, "stock") {
			p.Stock = inAll(int64(rapid.IntRange(0, 5).Draw(s.t, "figure")))
		}
		if !slices.ContainsFunc(rows, func(o Product) bool { return o.ID == p.ID }) {
			rows = append(rows, p)
		}
	}
	replacing := s.group.state.products.replacing(s.group.state.products.byName[by]) != nil
	e := s.group.stages(by, s.stage, rows...)
	g := s.model.staged[by]
	fits, twice := !replacing, false
	for _, p := range rows {
		if old := s.model.products[p.ID]; old != nil && old.supplier != by {
			fits = false
		}
		for other, g := range s.model.staged {
			if _, has := g.rows[p.ID]; has && other != by && s.model.products[p.ID] == nil && s.claims(p.ID, other) {
				fits = false
			}
		}
		if g != nil && g.stage == s.stage {
			_, has := g.rows[p.ID]
			twice = twice || has && s.claims(p.ID, by)
		}
	}
	switch {
	case !fits:
		s.wants(e, CommandRefused)
		return
	case twice:
		s.wants(e, CommandRefused)
		g.stale = true
	default:
		s.wants(e, ProductsStaged)
	}
	if g == nil || g.stage != s.stage {
		g = &modelStaging{stage: s.stage, rows: map[string]Product{}}
		s.model.staged[by] = g
	}
	for _, p := range rows {
		if twice {
			if _, has := g.rows[p.ID]; has {
				break // what is behind it was not looked at
			}
		}
		g.rows[p.ID] = p
	}
}

// claims reports whether the state has a product claimed by a supplier's open import.
func (s *importSim) claims(id, supplier string) bool {
	p := &s.group.state.products
	no := p.find([]byte(id))
	if no == 0 || p.row(no).staged == 0 {
		return false
	}
	g := p.staging(p.row(no).stage)
	return g != nil && g.phase == stagingOpen && p.supplierID(g.supplier) == supplier
}

func (s *importSim) wants(e Event, kind EventKind) {
	s.t.Helper()
	if e.Kind != kind {
		s.t.Fatalf("got %v, want %v", e, kind)
	}
}

func (s *importSim) commit() {
	s.share()
	by := s.supplier()
	g := s.model.staged[by]
	if g == nil {
		s.wants(s.group.commits(by, s.stage, 0, false), CommandRefused)
		return
	}
	replace, shrinks := rapid.Bool().Draw(s.t, "replace"), rapid.Bool().Draw(s.t, "shrinks")
	p := &s.group.state.products
	has := p.suppliers[p.byName[by]-1].products
	busy := p.replacing(p.byName[by]) != nil
	e := s.group.one(Command{Kind: CmdEditProducts, Products: &ProductEdit{Supplier: by, Action: ProductsCommit,
		Stage: g.stage, Count: uint32(len(g.rows)), Replace: replace, Shrinks: shrinks}})
	if g.stale || replace && !shrinks && 2*int64(len(g.rows)) < has || busy {
		s.wants(e, CommandRefused)
		return
	}
	s.wants(e, ProductsImported)
	delete(s.model.staged, by)
	for id, x := range s.model.products {
		if _, stays := g.rows[id]; replace && !stays && x.supplier == by {
			if x.givenUp = true; !x.listed {
				delete(s.model.products, id)
			}
		}
	}
	for id, row := range g.rows {
		x := s.model.products[id]
		if x == nil {
			x = &modelProduct{}
			s.model.products[id] = x
		}
		x.supplier, x.price, x.givenUp = by, row.ListPrice, row.Retired
		if row.Stock.Known {
			x.stock = row.Stock
		}
	}
}

func (s *importSim) drop() {
	by := s.supplier()
	kind := ProductsStaged
	if g := s.model.staged[by]; g == nil || g.stage != s.stage {
		kind = CommandRefused
	} else {
		delete(s.model.staged, by)
	}
	s.wants(s.group.one(Command{Kind: CmdEditProducts, Products: &ProductEdit{Supplier: by, Action: ProductsDrop,
		Stage: s.stage}}), kind)
}

// stales has the imports under way be refused that have a product.
func (s *importSim) stales(id string) {
	for by, g := range s.model.staged {
		if _, has := g.rows[id]; has && s.claims(id, by) {
			g.stale = true
		}
	}
}

func (s *importSim) plan() {
	id := s.id()
	p := &Plan{Products: []Product{{ID: id, Currency: "CNY", Supplier: s.supplier(), ListPrice: 7}}}
	if rapid.Bool().Draw(s.t, "listed") {
		p.Sales = s.group.offer("session-"+id, id, 0).Sales
		p.Sales[0].Sessions[0].StartSpec = "fixed"
		p.Sales[0].Sessions[0].Start, p.Sales[0].Sessions[0].End = clockStart, clockStart.Add(24*time.Hour)
	}
	x := s.model.products[id]
	claimed := x == nil || x.supplier != p.Products[0].Supplier || x.price != 7
	if claimed {
		s.stales(id)
	}
	fits := x == nil || p.Sales == nil || x.listed || !x.givenUp && !x.retired
	if e := s.group.one(Command{Kind: CmdApplyPlan, Plan: p}); (e.Kind == PlanApplied) != fits {
		s.t.Fatalf("%v: %v", e, s.group.effects.LastPlan().Problems)
	}
	if !fits {
		if claimed { // it was refused: nothing is overruled
			for _, g := range s.model.staged {
				if _, has := g.rows[id]; has {
					g.stale = s.group.state.products.open(s.group.state.products.byName[s.by(g)]).stale
				}
			}
		}
		return
	}
	if x == nil {
		x = &modelProduct{}
		s.model.products[id] = x
	}
	x.supplier, x.price, x.listed = p.Products[0].Supplier, 7, x.listed || p.Sales != nil
}

func (s *importSim) by(of *modelStaging) string {
	for by, g := range s.model.staged {
		if g == of {
			return by
		}
	}
	return ""
}

func (s *importSim) change() {
	id, action := s.id(), ProductAction(rapid.IntRange(1, 3).Draw(s.t, "action"))
	e := s.group.one(Command{Kind: CmdChangeProduct, Product: id, ProductAction: action})
	x := s.model.products[id]
	switch {
	case x == nil:
		s.wants(e, CommandRefused)
	case action == ProductDelete && x.listed:
		s.wants(e, CommandRefused)
	case action == ProductDelete:
		s.wants(e, ProductDeleted)
		delete(s.model.products, id)
	case action == ProductRetire:
		x.retired = true
	case action == ProductRevive:
		x.retired, x.givenUp = false, false
	}
}

// twin goes on with a state that came from a snapshot, which must be like the one before.
func (s *importSim) twin() {
	twin := copied(s.t, s.group.state)
	twin.clearShare, twin.clearEvery = s.group.state.clearShare, 0
	if twin.Hash() != s.group.state.Hash() {
		s.t.Fatal("a snapshot's reading has another hash")
	}
	old := s.group.state
	s.group.after(time.Millisecond)
	var eff Effects
	if err := twin.Apply(LogIndex(len(s.group.entries)), s.group.entries[len(s.group.entries)-1], &eff); err != nil ||
		twin.Hash() != old.Hash() {
		s.t.Fatalf("a node from a snapshot went another way: %v", err)
	}
	s.group.state = twin
}

func (s *importSim) compare() {
	state := s.group.state
	checkInside(s.t, state)
	seen := 0
	for i := range 41 {
		id := fmt.Sprint("p", i)
		v, known := state.ProductOf(id)
		x := s.model.products[id]
		if known != (x != nil) {
			s.t.Fatalf("product %s is there: %v", id, known)
		}
		if !known {
			continue
		}
		seen++
		if v.Supplier != x.supplier || v.ListPrice != x.price || v.Stock != x.stock ||
			v.Retired != (x.givenUp || x.retired) || v.RetiredByShop != x.retired || v.Offered != x.listed {
			s.t.Fatalf("%s: %+v, want %+v", id, v, x)
		}
	}
	if state.mustTake() {
		return
	}
	rows, _, _ := state.ProductPage(ProductFilter{Retired: true}, 0, 1000)
	products := int64(0)
	for _, x := range state.Suppliers() {
		products += x.Products + x.Retired
	}
	if len(rows) != seen || state.ProductCount() != seen || products != int64(seen) {
		s.t.Fatalf("%d products, a page has %d, the count %d, suppliers %d", seen, len(rows), state.ProductCount(),
			products)
	}
}

// catalogueOf gives the rows of a catalogue of a million products.
func catalogueOf(n int, price int64, from int) []ProductRow {
	rows := make([]ProductRow, 0, n)
	for i := from; i < from+n; i++ {
		rows = append(rows, RowOf(&Product{ID: fmt.Sprintf("product-%07d", i), Image: fmt.Sprintf(
			"https://images.example.com/%07d.webp", i), ListPrice: price, Currency: "CNY",
			Name: Text{{"en", fmt.Sprintf("Thing no. %d", i)}, {"zh", fmt.Sprintf("第 %d 件商品", i)}}, Stock: inAll(100)}))
	}
	return rows
}

// BenchmarkImportMillion stages and commits a catalogue of a million products, the second
// time in place of itself with other prices, with a snapshot frozen every hundred steps; and
// tells the longest Apply.
func BenchmarkImportMillion(b *testing.B) {
	const products = 1_000_000
	for range b.N {
		b.StopTimer()
		g := newGroup(b)
		var longest, all time.Duration
		steps := 0
		do := func(c ...Command) {
			g.clock++
			entry := EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence + 1, Time: g.clock}, c...)
			g.sequence++
			g.entries = append(g.entries, nil)
			b.StartTimer()
			began := time.Now()
			err := g.state.Apply(LogIndex(len(g.entries)), entry, &g.effects)
			took := time.Since(began)
			b.StopTimer()
			if err != nil || len(g.effects.Primary) > 0 && g.effects.Primary[0].Kind == CommandRefused {
				b.Fatal(err, g.effects.Primary)
			}
			longest, all = max(longest, took), all+took
			if steps++; steps%100 == 0 {
				g.state.Snapshot()
			}
		}
		g.do()
		for stage := range uint64(2) {
			edit := ProductEdit{Supplier: "acme", Action: ProductsStage, Stage: stage + 1}
			for from := 0; from < products; from += MaxImportProducts {
				staged := edit
				staged.Rows = catalogueOf(min(MaxImportProducts, products-from), int64(stage), from)
				do(Command{Kind: CmdEditProducts, Products: &staged})
			}
			edit.Action, edit.Count, edit.Replace = ProductsCommit, products, true
			do(Command{Kind: CmdEditProducts, Products: &edit})
			for g.state.mustTake() {
				g.clock = max(g.clock, g.state.NextDue())
				do()
			}
		}
		began := time.Now()
		for i := 0; i < products; i += 1000 {
			if g.state.Product(fmt.Sprintf("product-%07d", i)) == nil {
				b.Fatal("a product is missing")
			}
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/(products/1000), "ns/find")
		began = time.Now()
		g.state.Snapshot()
		b.ReportMetric(float64(time.Since(began).Microseconds()), "µs/freeze")
		b.ReportMetric(longest.Seconds()*1000, "ms/longest")
		b.ReportMetric(all.Seconds()/2, "s/import")
	}
}
