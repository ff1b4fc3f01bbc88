package engine

import "fmt"

// raise is a listing that a plan has put more up of.
type raise struct{ path, product string }

// puts notes what a plan puts up of a product, or takes back.
func (d *planDiff) puts(path, product string, units int64) {
	if units > 0 {
		d.raises = append(d.raises, raise{path, product})
	}
	d.put[product] += units
}

// stated checks a supplier's figure that a plan says, and compares it.
func (d *planDiff) stated(path string, old, x SupplierStock) {
	if wrong := d.state.wrongStock(&x); wrong != "" {
		d.problem(path, "%s", wrong)
	}
	if x.Remaining && old.Known && old.Remaining && x.AsOf < old.AsOf {
		d.problem(path, "it is as of before what is known, %s", old)
	}
	compare(d, path, old, x)
}

// withdraws tells which listings a supplier's lower figure takes free units from. They are no
// changes: how many are free moves with every grab.
func (d *planDiff) withdraws(product string, x SupplierStock) {
	s := d.state
	no := s.productNo(product)
	if no == 0 || s.products.row(no).use == 0 {
		return
	}
	row := *s.products.row(no)
	row.productStock = row.after(stockOf(x, false))
	u := s.products.uses.at(int(row.use) - 1)
	over := u.putUp - s.allowanceOf(no, &row)
	for i := len(u.listings) - 1; i >= 0 && over > 0; i-- {
		l := s.listings[u.listings[i]-1]
		units := s.withdrawable(l, over)
		if units == 0 {
			continue
		}
		over -= units
		session := s.sessions[l.Session-1]
		path := "sales[" + session.Sale + "].sessions[" + session.ID + "].listings[" + l.SKU + "]"
		d.changed[path] = max(d.changed[path], l.Stock)
		d.note(path+".stock", "%d free units are withdrawn, as the supplier has no more: taking the plan back does "+
			"not bring them", units)
	}
}

// supplied checks that what all sessions put up of each product is not more than its supplier
// has.
func (d *planDiff) supplied(p *Plan) {
	stated := map[string]SupplierStock{}
	there := d.state.ProductCount()
	suppliers := map[string]bool{}
	for i := range p.Products {
		if x := &p.Products[i]; x.Stock.Known {
			stated[x.ID] = x.Stock
		}
		there += btoi(d.state.productNo(p.Products[i].ID) == 0)
		if by := p.Products[i].Supplier; by != "" && d.state.products.byName[by] == 0 {
			suppliers[by] = true
		}
	}
	if there > MaxProducts {
		d.problem("products", "%d in all are over %d", there, MaxProducts)
	}
	if n := len(d.state.products.suppliers) + len(suppliers); n > MaxSuppliers {
		d.problem("products", "%d suppliers in all are over %d", n, MaxSuppliers)
	}
	told := map[string]bool{}
	for _, r := range d.raises {
		units := d.put[r.product]
		if units <= 0 || told[r.product] {
			continue
		}
		told[r.product] = true
		row, no := productRow{}, d.state.productNo(r.product)
		if no != 0 {
			row, _ = d.state.present(no)
		}
		if x, says := stated[r.product]; says {
			row.productStock = row.after(stockOf(x, false))
		}
		allowance, put := d.state.allowanceOf(no, &row), int64(0)
		if row.use != 0 {
			put = d.state.products.uses.at(int(row.use) - 1).putUp
		}
		if allowance != noBound && put+units > allowance {
			d.problem(r.path, "%d units of %s would be put up by all sessions, and its supplier has %s: %s",
				put+units, r.product, row.view(), moreThere(allowance-put))
		}
	}
}

// moreThere says how many units more may be put up.
func moreThere(room int64) string {
	if room <= 0 {
		return "nothing more can be put up"
	}
	return fmt.Sprintf("%d more can be put up", room)
}

// offered reports whether a product is listed anywhere.
func (s *State) offered(product string) bool {
	no := s.products.find([]byte(product))
	return no != 0 && s.products.row(no).use != 0
}

// settlePlanned has all that a plan names take its place, if an import has brought it.
func (s *State) settlePlanned(p *Plan) {
	if !s.mustTake() {
		return
	}
	for i := range p.Products {
		s.settleProduct(p.Products[i].ID)
	}
	for i := range p.Sales {
		for j := range p.Sales[i].Sessions {
			for _, l := range p.Sales[i].Sessions[j].Listings {
				s.settleProduct(l.SKU)
			}
		}
	}
}

// planProduct makes a plan's product true, but for what its supplier has.
func (s *State) planProduct(p *Product) {
	x := &s.products
	var c coder
	p.text(&c)
	by, _ := x.supplierOf(p.Supplier) // there is room
	no := x.find([]byte(p.ID))
	if no == 0 {
		no = x.addRow([]byte(p.ID), c.buf, productRow{})
	}
	row := *x.row(no)
	to := row
	if to.supplier, to.is = by, to.is|productThere; to.text != string(c.buf) {
		to.text = string(c.buf)
	}
	if to == row {
		return
	}
	s.overrule(no)
	if g := x.replacing(by); g != nil { // else it would go with what that replaces
		to.stage, to.staged = g.number, 0
	}
	s.changeRow(no, to)
}

// planStock states what a plan says that a product's supplier has.
func (s *State) planStock(p *Product) {
	if !p.Stock.Known {
		return
	}
	no := s.productNo(p.ID)
	row := *s.products.row(no)
	if next := row.after(stockOf(p.Stock, row.is&productGivenUp != 0)); next != row.productStock {
		s.overrule(no)
		row.productStock = next
		s.changeRow(no, row)
	}
}

// overruleCurrency has an import under way be refused that brings another currency for a
// product which is offered from now on.
func (s *State) overruleCurrency(product string) {
	no := s.productNo(product)
	row := s.products.row(no)
	g := s.products.staging(row.stage)
	if row.staged == 0 || g == nil || g.phase != stagingOpen {
		return
	}
	next := *row
	next.text = g.rows.at(int(row.staged) - 1).text
	if s.currencyOf(&next) != s.currencyOf(row) {
		g.stale = true
	}
}

// staysArchived reports whether a sale in the archive stays there under a plan: a new session
// takes it out.
func (s *State) staysArchived(sale *SalePlan) bool {
	old := s.sales[sale.ID]
	if old == nil || !old.Archived {
		return false
	}
	for i := range sale.Sessions {
		if s.sessionByID[sale.Sessions[i].ID] == nil {
			return false
		}
	}
	return true
}
