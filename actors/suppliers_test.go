package actors_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/engine"
)

// supplies states what acme has of products.
func (s *testShop) supplies(by engine.By, replace bool, rows ...engine.Product) (engine.ProductImported, error) {
	return s.ImportProducts(s.t.Context(), "acme", engine.ProductImport{Replace: replace, Count: len(rows),
		Rows: asRows(slices.Values(rows)), By: by, Source: "a test"})
}

func asRows(products iter.Seq[engine.Product]) iter.Seq[engine.ProductRow] {
	return func(yield func(engine.ProductRow) bool) {
		for p := range products {
			if !yield(engine.RowOf(&p)) {
				return
			}
		}
	}
}

func acmes(id string, figure int64) engine.Product {
	return engine.Product{ID: id, Currency: "CNY", Name: engine.Text{{Lang: "en", Text: id}},
		Stock: engine.SupplierStock{Known: true, Figure: figure}}
}

// offers lists acme's product in a session that is open.
func (s *testShop) offers(session, product string, stock int64) {
	s.t.Helper()
	now := s.Now() - 1000
	x := engine.SessionPlan{SessionSpec: engine.SessionSpec{ID: session, StartSpec: "fixed", Start: now,
		End: now + 3600_000, PayWithin: 60e9, Publish: true}, Listings: []engine.ListingSpec{units(product, stock)}}
	o, err := s.ApplyPlan(s.t.Context(), engine.By{Operator: "ops"}, &engine.Plan{Sales: []engine.SalePlan{{
		Sale: engine.Sale{ID: "sale", Timezone: "UTC"}, Sessions: []engine.SessionPlan{x}}}}, false)
	if err != nil || len(o.Problems) > 0 {
		s.t.Fatal(err, o.Problems)
	}
}

// A supplier lowers its figure again and again in the middle of a rush, over two sessions, with
// shoppers who pay and shoppers who let go: after every entry no more is held and paid than
// the supplier has, unless it was before.
func TestSupplierLowersInARush(t *testing.T) {
	const shoppers, first = 1200, 600
	s := openShop(t, nil)
	if _, err := s.supplies(engine.By{Operator: "acme"}, false, acmes("mask", first)); err != nil {
		t.Fatal(err)
	}
	s.offers("a", "mask", first/2)
	s.offers("b", "mask", first/2)
	live, allowance := int64(0), int64(first)
	var granted, withdrawn atomic.Int64
	s.log.mu.Lock()
	s.log.seen = func(state *engine.State, effects *engine.Effects) {
		v, _ := state.ProductOf("mask")
		now := v.Use.Held + v.Use.Paid
		if now > max(live, allowance, v.Use.Allowance) {
			t.Errorf("entry %d: %d are held and paid of %d, and %d of %d were", effects.Index, now, v.Use.Allowance,
				live, allowance)
		}
		if free := v.Use.PutUp - now; v.Use.Over() > 0 && free > 0 {
			t.Errorf("entry %d: %d units are over, and %d free", effects.Index, v.Use.Over(), free)
		}
		live, allowance = now, v.Use.Allowance
		for _, e := range effects.Derived {
			if e.Kind == engine.StockWithdrawn {
				withdrawn.Add(e.Amount)
			}
		}
	}
	s.log.mu.Unlock()
	var crowd sync.WaitGroup
	for worker := range 8 {
		crowd.Go(func() {
			for i := worker; i < shoppers; i += 8 {
				who := fmt.Sprint("shopper-", i)
				a := s.grab([]string{"a", "b"}[i%2]+"/skus/mask", who, "k")
				if a.Code != engine.CodeGranted {
					continue
				}
				granted.Add(1)
				var err error
				switch i % 3 {
				case 0:
					_, err = s.Pay(t.Context(), engine.Payment{OrderNo: s.OrderNo(a.Order), ID: "pay-" + who,
						Amount: 100, Currency: "CNY"})
				case 1:
					_, err = s.Cancel(t.Context(), who, s.OrderNo(a.Order))
				}
				if err != nil {
					t.Error(who, err)
				}
			}
		})
	}
	for _, step := range []struct{ sold, figure int64 }{{50, 450}, {120, 250}, {200, 260}, {220, 100}} {
		await(t, "a rush", func() bool { return granted.Load() >= step.sold || s.soldOut() })
		if _, err := s.supplies(engine.By{Operator: "acme"}, false, acmes("mask", step.figure)); err != nil {
			t.Fatal(err)
		}
	}
	crowd.Wait()
	p, known, err := s.Product("mask")
	if !known || err != nil || withdrawn.Load() == 0 {
		t.Fatalf("%v, %v, %d units were withdrawn", known, err, withdrawn.Load())
	}
	// What is over was held or paid when the figure fell, and all that was let go since is gone.
	if free := p.Use.PutUp - p.Use.Held - p.Use.Paid; p.Use.Over() > 0 && free > 0 {
		t.Errorf("in the end %+v", p.Use)
	}
	if err := isRefusal(func() error {
		_, err := s.AddStock(t.Context(), engine.By{Operator: "ops"}, "a", "mask", 1000, "")
		return err
	}(), engine.ReasonSupplier); err != nil {
		t.Error(err)
	}
}

// soldOut reports whether neither session has anything left.
func (s *testShop) soldOut() bool {
	a, errA := s.Counts("a", "mask")
	b, errB := s.Counts("b", "mask")
	return errA == nil && errB == nil && a.Available+b.Available == 0
}

func TestProductsThroughTheOffice(t *testing.T) {
	s := openShop(t, nil)
	const many = 3*engine.MaxImportProducts + 7
	products := func(price int64) iter.Seq[engine.Product] {
		return func(yield func(engine.Product) bool) {
			for i := range many {
				p := acmes(fmt.Sprintf("p-%05d", i), 10)
				if p.ListPrice = price; !yield(p) {
					return
				}
			}
		}
	}
	steps := 0
	in := engine.ProductImport{Replace: true, Count: many, Rows: asRows(products(1)), By: engine.By{
		Operator: "acme", Key: "once", Request: engine.Key{1}}, Source: "a test", Committed: func(int) { steps++ }}
	out, err := s.ImportProducts(t.Context(), "acme", in)
	if err != nil || out.New != many || out.Count != many || steps != 4 {
		t.Fatalf("%+v, %v, %d steps", out, err, steps)
	}
	before := s.log.batches
	out, err = s.ImportProducts(t.Context(), "acme", in)
	if err != nil || out.Count != many || s.log.batches != before {
		t.Errorf("the same again: %+v, %v, %d batches", out, err, s.log.batches-before)
	}
	in.By, in.Rows = engine.By{Operator: "acme"}, asRows(products(2))
	if out, err = s.ImportProducts(t.Context(), "acme", in); err != nil || out.Changed != many || out.New != 0 {
		t.Errorf("other prices: %+v, %v", out, err)
	}
	if p, known, err := s.Product("p-00009"); !known || err != nil || p.ListPrice != 2 || p.Supplier != "acme" {
		t.Errorf("%+v, %v", p, err)
	}
	seen := 0
	for at, done := 0, false; !done; {
		var page []engine.ProductView
		page, at, done, err = s.ProductPage(engine.ProductFilter{Supplier: "acme", Prefix: "p-000"}, at, 50)
		if err != nil {
			t.Fatal(err)
		}
		seen += len(page)
	}
	if seen != 100 {
		t.Errorf("%d products have the prefix", seen)
	}
	// One bad row, far behind: nothing of it is there, and what was staged is in nobody's way.
	bad := slices.Collect(products(3))
	bad[many-1].Currency = "yuan"
	bad = append(bad, engine.Product{ID: "of another", Currency: "CNY"})
	out, err = s.supplies(engine.By{Operator: "acme"}, false, bad...)
	if err != nil || len(out.Problems) != 2 || out.Problems[0].Row != many-1 ||
		out.Problems[1].Product != "of another" {
		t.Errorf("%+v, %v", out.Problems, err)
	}
	if p, _, _ := s.Product("p-00009"); p.ListPrice != 2 {
		t.Errorf("half of a refused import: %+v", p)
	}
	_, err = s.supplies(engine.By{Operator: "acme"}, true, acmes("p-00001", 5))
	if err := isRefusal(err, engine.ReasonShrinks); err != nil {
		t.Error(err)
	}
	s.offers("a", "p-00002", 3)
	stock := map[string]engine.SupplierStockView{}
	if err := s.StockOf("acme", func(views []engine.SupplierStockView) error {
		for _, v := range views {
			stock[v.Product] = v
		}
		return nil
	}); err != nil || len(stock) != many || stock["p-00002"].PutUp != 3 || stock["p-00001"].Allowance != 10 {
		t.Errorf("%d, %+v, %v", len(stock), stock["p-00002"], err)
	}
	_, err = s.AddStock(t.Context(), engine.By{Operator: "ops"}, "a", "p-00002", 8, "")
	if err == nil || isRefusal(err, engine.ReasonSupplier) != nil ||
		!strings.Contains(err.(*engine.Refusal).Detail, "has 10 in all, and 3 are put up: 7 more can be") {
		t.Errorf("%v", err)
	}
	by := engine.By{Operator: "ops"}
	if err := isRefusal(s.DeleteProduct(t.Context(), by, "p-00002", ""), engine.ReasonOffered); err != nil {
		t.Error(err)
	}
	for _, do := range []func() error{
		func() error { return s.DeleteProduct(t.Context(), by, "p-00001", "") },
		func() error { return s.RetireProduct(t.Context(), by, "p-00002", "") },
		func() error { _, err := s.Steer(t.Context(), by, "a", engine.SessionEnd, ""); return err },
		func() error { return s.ArchiveSale(t.Context(), by, "sale", "") },
		func() error { return s.RecallSale(t.Context(), by, "sale", "") },
		func() error { return s.ArchiveSession(t.Context(), by, "a", "") },
		func() error { return s.RecallSession(t.Context(), by, "a", "") },
		func() error { return s.DeleteSession(t.Context(), by, "a", "") },
		func() error { return s.DeleteProduct(t.Context(), by, "p-00002", "") },
		func() error { return s.DeleteSale(t.Context(), by, "sale", "") },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if a := s.grab("a/skus/p-00002", "ann", "k"); a.Reason != engine.ReasonUnknown {
		t.Errorf("a listing of a deleted session: %+v", a)
	}
	if sessions := s.AllSessions(); len(sessions) != 0 {
		t.Errorf("%+v", sessions)
	}
	s.plan("a", nil, units("other", 1)) // the id is free
	if a := s.grab("a/skus/other", "ann", "k"); a.Code != engine.CodeGranted {
		t.Errorf("%+v", a)
	}
}
