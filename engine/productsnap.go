package engine

import (
	"fmt"
	"slices"
)

// frozenProducts is the catalogue frozen.
type frozenProducts struct {
	rows      table[named[productRow]]
	suppliers []supplier
	uses      table[productUse]
	stagings  []staging
}

func (p *products) freeze() frozenProducts {
	f := frozenProducts{rows: p.rows.freeze(), suppliers: slices.Clone(p.suppliers), uses: p.uses.freeze()}
	for _, g := range p.stagings {
		frozen := *g
		frozen.rows = g.rows.freeze()
		f.stagings = append(f.stagings, frozen)
	}
	return f
}

func (f *frozenProducts) writeTo(b *blockWriter) {
	for i := range f.suppliers {
		b.row(blockSuppliers, &f.suppliers[i])
	}
	var product namedProduct
	for i := range f.rows.len() {
		at := f.rows.at(i)
		product = namedProduct{id: append(product.id[:0], at.id...), text: append(product.text[:0], at.kept.text...),
			productRow: at.kept}
		b.row(blockProducts, &product)
	}
	for i := range f.uses.len() {
		b.row(blockUses, f.uses.at(i))
	}
	for i := range f.stagings {
		b.row(blockStagings, &f.stagings[i])
	}
	var staged stagedProduct
	for i := range f.stagings {
		for j := range f.stagings[i].rows.len() {
			at := f.stagings[i].rows.at(j)
			staged = stagedProduct{of: i, text: append(staged.text[:0], at.text...), stagedRow: *at}
			b.row(blockStaged, &staged)
		}
	}
}

func (x *supplier) fields(c *coder) {
	c.all(&x.id, &x.last)
	c.check(ValidID(x.id), "a supplier of no id")
}

// namedProduct is a row of the catalogue as a snapshot has it; without an id, a number to be
// given out again.
type namedProduct struct {
	id, text []byte
	productRow
}

func (x *namedProduct) fields(c *coder) {
	c.span(&x.id, MaxIDBytes)
	c.span(&x.text, maxProductText)
	unsigned(c, &x.supplier)
	unsigned(c, &x.stage)
	unsigned(c, &x.staged)
	unsigned(c, &x.use)
	x.productStock.fields(c)
	there := x.is&productThere != 0
	c.check(len(x.id) > 0 || x.productRow == (productRow{}) && len(x.text) == 0, "something of no product")
	c.check(there == (len(x.text) > 0) && (there || x.use == 0 && x.supplier == 0 && x.productStock == productStock{}),
		"a product that is not there has something")
}

func (x *productStock) fields(c *coder) {
	oneOf(c, &x.is, productFlagsEnd, "an unknown property of a product")
	signed(c, &x.figure)
	c.time(&x.asOf)
	known, remaining := x.is&productKnown != 0, x.is&productRemaining != 0
	c.check(x.figure >= 0 && x.figure <= MaxSupplierStock && (known || x.figure == 0 && !remaining) &&
		remaining == (x.asOf != 0), "a figure that no supplier can have stated")
}

// stagedProduct is a row of an import, which is told by its place among them from 0.
type stagedProduct struct {
	of   int
	text []byte
	stagedRow
}

func (x *stagedProduct) fields(c *coder) {
	unsigned(c, &x.of)
	unsigned(c, &x.no)
	c.span(&x.text, maxProductText)
	x.productStock.fields(c)
	c.check(x.is&^productsSupplier == 0, "a property that no supplier states")
}

func (g *staging) fields(c *coder) {
	c.all(&g.number, &g.supplier, &g.stage)
	oneOf(c, &g.phase, stagingPhaseEnd, "an unknown phase of an import")
	c.all(&g.replace, &g.stale, &g.touched, &g.done, &g.swept, &g.importDone)
}

func (s *snapshotReader) readSupplier(c *coder) {
	var x supplier
	x.fields(c)
	p := &s.State.products
	c.check(p.byName[x.id] == 0 && len(p.suppliers) < MaxSuppliers, "a supplier is there twice, or there are too many")
	if c.err == nil {
		p.addSupplier(x)
	}
}

func (s *snapshotReader) readProduct(c *coder) {
	x, p := &s.product, &s.State.products
	x.productRow = productRow{}
	x.fields(c)
	switch {
	case c.err != nil:
	case len(x.id) == 0:
		p.addFree()
	case int(x.supplier) > len(p.suppliers) || !ValidID(string(x.id)) || p.find(x.id) != 0:
		c.fail("a product of no supplier, of no id, or one that is there twice")
	case p.count() >= MaxProducts:
		c.fail("too many products")
	default:
		if x.is&productThere != 0 {
			_, formed := checkText(x.text)
			c.check(formed, "a product's text can't be read")
			p.there++
		}
		whole := string(slices.Concat(x.id, x.text))
		kept := x.productRow
		kept.text = whole[len(x.id):]
		p.appendKept(whole[:len(x.id)], kept)
		p.tally(&kept, 1)
	}
}

func (s *snapshotReader) readUse(c *coder) {
	u, p := productUse{allowance: noBound}, &s.State.products
	u.fields(c)
	no := useNo(p.uses.len() + 1)
	switch {
	case c.err != nil:
	case u.product == 0:
		c.check(u.before == 0 && len(u.marks) == 0 && u.last == paidMark{} && u.lastMarked == 0, "a use of no product")
		p.freeUses = append(p.freeUses, no)
	case int(u.product) > p.rows.len() || p.row(u.product).use != no:
		c.fail("a use of another product")
	default:
		row := p.row(u.product)
		c.check(row.is&productRemaining != 0 || u.before == 0, "units paid before no time")
		if row.is&productKnown != 0 {
			u.allowance = row.figure + u.before
		}
	}
	p.uses.add(u)
}

func (s *snapshotReader) readStaging(c *coder) {
	g, p := new(staging), &s.State.products
	g.fields(c)
	last := stagingNo(0)
	if n := len(p.stagings); n > 0 {
		last = p.stagings[n-1].number
	}
	c.check(g.number > last && g.number <= s.imports && g.supplier > 0 && int(g.supplier) <= len(p.suppliers) &&
		g.stage != 0 && int(g.swept) <= p.rows.len(), "an import that can't be")
	p.stagings = append(p.stagings, g)
}

func (s *snapshotReader) readStaged(c *coder) {
	var x stagedProduct
	x.fields(c)
	p := &s.State.products
	switch {
	case c.err != nil:
	case x.of >= len(p.stagings) || x.no == 0: // the product may have gone meanwhile
		c.fail("a row of no import, or of no product")
	case len(x.text) == 0:
		c.fail("a row of an import without a text")
	default:
		_, formed := checkText(x.text)
		c.check(formed, "the text of a row of an import can't be read")
		g := p.stagings[x.of]
		x.stagedRow.text = string(x.text)
		g.rows.add(x.stagedRow)
	}
}

// restoreProducts checks that rows, uses and imports refer to each other.
func (s *State) restoreProducts() error {
	p := &s.products
	bad := func(what string, of int) error { return fmt.Errorf("%w: %s %d", ErrMalformed, what, of) }
	for i, g := range p.stagings {
		if int(g.done) > g.rows.len() || g.phase == stagingTaken && int(g.Count) != g.rows.len() {
			return bad("more is done than there is of import", i+1)
		}
		for _, o := range p.stagings[:i] {
			if o.supplier == g.supplier && o.phase == g.phase && g.phase == stagingOpen {
				return bad("its supplier has another open one beside import", i+1)
			}
		}
	}
	for i := range p.rows.len() {
		row := p.row(productNo(i + 1))
		if row.use != 0 && (int(row.use) > p.uses.len() || p.uses.at(int(row.use)-1).product != productNo(i+1)) {
			return bad("another use than its own has product", i+1)
		}
		if row.staged == 0 {
			if p.rows.at(i).id != "" && row.is&productThere == 0 {
				return bad("nobody claims product", i+1)
			}
			continue
		}
		g := p.staging(row.stage)
		if g == nil || int(row.staged) > g.rows.len() || g.rows.at(int(row.staged)-1).no != productNo(i+1) ||
			g.phase != stagingOpen && row.staged <= g.done {
			return bad("no import has a row of product", i+1)
		}
	}
	for i := range p.uses.len() {
		if u := p.uses.at(i); (u.product == 0) != (len(u.listings) == 0) {
			return bad("no session has what there is of use", i+1)
		}
	}
	return nil
}
