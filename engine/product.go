package engine

import (
	"math"
	"slices"
	"strings"
)

// products is the catalogue: a million of them, so that each is a row that freezes cheaply
// and one piece of memory that nothing points out of.
type products struct {
	directory[productRow]
	suppliers []supplier // by number - 1
	byName    map[string]supplierNo
	uses      table[productUse] // by useNo - 1
	freeUses  []useNo           // ascending
	stagings  []*staging        // by number
	there     int               // of the rows: the rest are only claimed, or free
	markEvery Time              // the constant of this name, except in tests
	share     int               // rows that the Apply under way may still take in, about
}

type (
	productNo  = ShopperNo // in the directory, from 1
	supplierNo uint32      // from 1; 0 is the shop itself
	useNo      uint32      // from 1; 0 is none
	stagingNo  uint32      // never given out twice
)

// productRow is what the catalogue keeps of a product.
type productRow struct {
	text     string // see productText
	supplier supplierNo
	// stage is the last staging that had a row of it, and staged which one, from 1; 0 once
	// that has taken its place.
	stage  stagingNo
	staged uint32
	use    useNo // 0: no session has it
	productStock
}

// productStock is what a supplier says of a product besides its text.
type productStock struct {
	figure int64
	asOf   Time
	is     productFlags
}

// productFlags are bits.
type productFlags uint8

const (
	productThere      productFlags = 1 << iota // else the row is only claimed by a staging
	productKnown                               // the supplier has said a figure
	productRemaining                           // that is what was left at asOf
	productGivenUp                             // retired by its supplier
	productRetired                             // retired by operators
	productFlagsEnd                            // the first that is none
	productsSupplier  = productKnown | productRemaining | productGivenUp
	productOutOfOffer = productGivenUp | productRetired
)

func (s productStock) view() SupplierStock {
	return SupplierStock{Known: s.is&productKnown != 0, Figure: s.figure, Remaining: s.is&productRemaining != 0,
		AsOf: s.asOf}
}

func stockOf(x SupplierStock, retired bool) (p productStock) {
	if x.Known {
		p = productStock{figure: x.Figure, is: productKnown}
		if x.Remaining {
			p.asOf, p.is = x.AsOf, p.is|productRemaining
		}
	}
	if retired {
		p.is |= productGivenUp
	}
	return p
}

// after gives what is known once next was said; a figure that next does not say stays.
func (s productStock) after(next productStock) productStock {
	kept := s.is &^ productsSupplier
	if next.is&productKnown == 0 {
		next.figure, next.asOf = s.figure, s.asOf
		next.is |= s.is & (productKnown | productRemaining)
	}
	next.is |= kept
	return next
}

// statesAs reports whether both state the same figure.
func (s productStock) statesAs(o productStock) bool {
	const stated = productKnown | productRemaining
	return s.figure == o.figure && s.asOf == o.asOf && s.is&stated == o.is&stated
}

// supplier is one that has, or had, products.
type supplier struct {
	id                string
	products, retired int64
	last              importDone
}

// importDone is what came of a supplier's last import.
type importDone struct {
	Stage                     uint64
	Count, New, Changed, Gone uint32
}

// supplierOf numbers a supplier. "" is the shop itself; false if there are too many.
func (p *products) supplierOf(id string) (supplierNo, bool) {
	if id == "" {
		return 0, true
	}
	if no := p.byName[id]; no != 0 {
		return no, true
	}
	if len(p.suppliers) >= MaxSuppliers {
		return 0, false
	}
	p.addSupplier(supplier{id: id})
	return supplierNo(len(p.suppliers)), true
}

func (p *products) addSupplier(x supplier) {
	p.suppliers = append(p.suppliers, x)
	p.byName[x.id] = supplierNo(len(p.suppliers))
}

func (p *products) supplierID(no supplierNo) string {
	if no == 0 {
		return ""
	}
	return p.suppliers[no-1].id
}

// tally adds to what a row's supplier has.
func (p *products) tally(row *productRow, by int64) {
	if row.supplier == 0 || row.is&productThere == 0 {
		return
	}
	if x := &p.suppliers[row.supplier-1]; row.is&productOutOfOffer != 0 {
		x.retired += by
	} else {
		x.products += by
	}
}

func (p *products) row(no productNo) *productRow { return &p.rows.at(int(no) - 1).kept }

func (p *products) mutRow(no productNo) *productRow { return &p.rows.mut(int(no) - 1).kept }

func (p *products) id(no productNo) string { return p.rows.at(int(no) - 1).id }

// addRow numbers an id with its text, in one piece of memory.
func (p *products) addRow(id, text []byte, kept productRow) productNo {
	whole := string(slices.Concat(id, text))
	kept.text = whole[len(id):]
	return p.addKept(whole[:len(id)], kept)
}

// present gives a product as it is for everybody: what an import brought that was committed
// counts from then on, also where its row has not taken its place yet. pending says so.
func (s *State) present(no productNo) (row productRow, pending bool) {
	p := &s.products
	row = *p.row(no)
	g := p.staging(row.stage)
	switch {
	case g != nil && g.phase == stagingTaken && row.staged != 0:
		next := g.rows.at(int(row.staged) - 1)
		row.text, row.supplier = next.text, g.supplier
		row.productStock = row.after(next.productStock)
		row.is |= productThere
		return row, true
	case row.is&productThere == 0 || row.supplier == 0:
		return row, false
	}
	if g := p.replacing(row.supplier); g != nil && row.stage != g.number {
		if row.use == 0 {
			return productRow{}, true
		}
		row.is |= productGivenUp
		return row, true
	}
	return row, false
}

// productNo finds a product, or gives 0.
func (s *State) productNo(id string) productNo {
	no := s.products.find([]byte(id))
	if no == 0 {
		return 0
	}
	if row, _ := s.present(no); row.is&productThere == 0 {
		return 0
	}
	return no
}

// Product copies a product as it was stated, or gives nil.
func (s *State) Product(id string) *Product {
	no := s.productNo(id)
	if no == 0 {
		return nil
	}
	row, _ := s.present(no)
	p := s.productOf(no, &row)
	return &p
}

func (s *State) productOf(no productNo, row *productRow) Product {
	stated := ProductRow{ID: []byte(s.products.id(no)), Text: []byte(row.text),
		Retired: row.is&productOutOfOffer != 0, Stock: row.view()}
	return stated.Product(s.products.supplierID(row.supplier))
}

// text is what a product's row keeps as one text.
func (p *Product) text(c *coder) {
	n := c.length(len(p.Name), MaxLanguages)
	if c.reads && n > 0 {
		p.Name = make(Text, n)
	}
	for i := range n {
		c.text(&p.Name[i].Lang, MaxIDBytes)
		c.text(&p.Name[i].Text, MaxTextBytes)
	}
	c.text(&p.Image, MaxURLBytes)
	signed(c, &p.ListPrice)
	c.text(&p.Currency, currencyBytes)
	there := p.Place != nil
	if c.bool(&there); there {
		if c.reads {
			p.Place = new(Place)
		}
		p.Place.fields(c)
	}
}

func (p *Place) fields(c *coder) {
	for _, degrees := range [...]*float64{&p.Latitude, &p.Longitude} {
		bits := math.Float64bits(*degrees)
		if unsigned(c, &bits); c.reads {
			*degrees = math.Float64frombits(bits)
		}
	}
}

const currencyBytes = 3

// maxProductText is more than any text of a product takes.
const maxProductText = MaxLanguages*(MaxTextBytes+MaxIDBytes+4) + MaxURLBytes + 64

// currencyOf gives a product's currency without reading all of its text.
func (s *State) currencyOf(row *productRow) string {
	var p Product
	c := coder{buf: []byte(row.text), reads: true}
	p.text(&c)
	return p.Currency
}

// ProductRow is a product as an import carries it. The slices of a decoded one lie in the
// entry that it came from.
type ProductRow struct {
	ID, Text []byte // Text as Product.text writes it
	Retired  bool
	Stock    SupplierStock
}

// RowOf gives the row of a product. Its supplier is the import's.
func RowOf(p *Product) ProductRow {
	var c coder
	p.text(&c)
	return ProductRow{ID: []byte(p.ID), Text: c.buf, Retired: p.Retired, Stock: p.Stock}
}

// Product gives the product of a supplier's row.
func (r *ProductRow) Product(supplier string) Product {
	p := Product{ID: string(r.ID), Supplier: supplier, Retired: r.Retired, Stock: r.Stock}
	c := coder{buf: r.Text, reads: true}
	p.text(&c)
	return p
}

// Append writes a row behind to, as ReadProductRow reads it.
func (r *ProductRow) Append(to []byte) []byte {
	c := coder{buf: to}
	r.fields(&c)
	return c.buf
}

// ReadProductRow reads what Append wrote, and gives what follows it. The row's slices lie in
// text.
func ReadProductRow(text []byte) (r ProductRow, rest []byte, err error) {
	c := coder{buf: text, reads: true}
	r.fields(&c)
	return r, c.buf[c.pos:], c.err
}

// Bytes is about what a row takes in an entry.
func (r *ProductRow) Bytes() int { return len(r.ID) + len(r.Text) + 32 }

func (r *ProductRow) fields(c *coder) {
	c.span(&r.ID, MaxIDBytes)
	c.span(&r.Text, maxProductText)
	c.bool(&r.Retired)
	r.Stock.fields(c)
}

func (x *SupplierStock) fields(c *coder) {
	if c.bool(&x.Known); !x.Known {
		*x = SupplierStock{}
		return
	}
	signed(c, &x.Figure)
	if c.bool(&x.Remaining); x.Remaining {
		signed(c, &x.AsOf)
	} else if c.reads {
		x.AsOf = 0
	}
}

// ProductPage reads products from a position on (0 first), up to most of them, and gives
// the position after them; done at the end of all. Fewer may come back than were read.
// While an import is being taken in, a page may have some of its rows and not others.
func (s *State) ProductPage(f ProductFilter, from, most int) (rows []ProductView, next int, done bool) {
	p := &s.products
	end := min(p.rows.len(), max(from, 0)+most)
	by, known := p.byName[f.Supplier], f.Supplier == "" || p.byName[f.Supplier] != 0
	for i := max(from, 0); i < end && known; i++ {
		at := p.rows.at(i)
		if !strings.HasPrefix(at.id, f.Prefix) || at.id == "" ||
			by != 0 && at.kept.supplier != by && at.kept.staged == 0 {
			continue
		}
		row, _ := s.present(productNo(i + 1))
		if row.is&productThere == 0 || by != 0 && row.supplier != by || row.is&productOutOfOffer != 0 && !f.Retired {
			continue
		}
		rows = append(rows, s.viewProduct(productNo(i+1), &row))
	}
	return rows, max(from, end), end >= p.rows.len() || !known
}

// ProductOf copies a product with what sessions make of it, or gives false.
func (s *State) ProductOf(id string) (v ProductView, known bool) {
	no := s.productNo(id)
	if no == 0 {
		return v, false
	}
	row, _ := s.present(no)
	return s.viewProduct(no, &row), true
}

// ProductsOver reads up to most of the products that sessions list, from a position on (0
// first). It gives those of which more is held and paid than their supplier has, and the
// position after what was read; done at the end of all.
func (s *State) ProductsOver(from, most int) (over []ProductView, next int, done bool) {
	uses := &s.products.uses
	end := min(uses.len(), max(from, 0)+most)
	for i := max(from, 0); i < end; i++ {
		if u := uses.at(i); u.product != 0 && u.over() > 0 {
			row, _ := s.present(u.product)
			over = append(over, s.viewProduct(u.product, &row))
		}
	}
	return over, max(from, end), end >= uses.len()
}

func (s *State) viewProduct(no productNo, row *productRow) ProductView {
	v := ProductView{Product: s.productOf(no, row), RetiredByShop: row.is&productRetired != 0,
		Use: ProductUse{Allowance: -1}}
	if row.is&productKnown != 0 {
		v.Use.Allowance = row.figure
	}
	if row.use == 0 {
		return v
	}
	u := s.products.uses.at(int(row.use) - 1)
	v.Offered = true
	v.Use.PutUp, v.Use.Paid = u.putUp, u.paid
	for _, h := range u.listings {
		v.Use.Held += s.listings[h-1].Held
	}
	if row.is&productRemaining != 0 {
		v.Use.PaidBefore = s.paidAhead(no, row)
		v.Use.Allowance += v.Use.PaidBefore
	}
	return v
}

// ProductCount gives how many products there are, of all suppliers, retired ones too.
func (s *State) ProductCount() int { return s.products.there }

// Suppliers gives those that have products, in the order of their ids.
func (s *State) Suppliers() []SupplierInfo {
	var infos []SupplierInfo
	for _, x := range s.products.suppliers {
		if x.products+x.retired > 0 {
			infos = append(infos, SupplierInfo{x.id, x.products, x.retired})
		}
	}
	slices.SortFunc(infos, func(a, b SupplierInfo) int { return strings.Compare(a.ID, b.ID) })
	return infos
}

// changeRow has a product be another one. What follows from its stock follows.
func (s *State) changeRow(no productNo, to productRow) {
	p := &s.products
	row := p.mutRow(no)
	was := *row
	p.tally(row, -1)
	p.there += btoi(to.is&productThere != 0) - btoi(row.is&productThere != 0)
	*row = to
	p.tally(row, 1)
	if row.use == 0 {
		return
	}
	if was.text != to.text {
		s.eff.Catalogue = true // it is on display
	}
	if !was.statesAs(to.productStock) || was.supplier != to.supplier {
		s.restock(no)
	}
}

// dropRow forgets a product that no session has.
func (s *State) dropRow(no productNo) {
	row := *s.products.row(no)
	row.text, row.supplier, row.productStock = "", 0, productStock{}
	s.changeRow(no, row)
	if row.staged == 0 || s.products.staging(row.stage) == nil {
		s.products.remove(no)
	}
}

// settleRow has what a committed import brought of a product take its place now: whatever
// decides by the product calls it first.
func (s *State) settleRow(no productNo) {
	p := &s.products
	row := p.row(no)
	if g := p.staging(row.stage); g != nil && g.phase == stagingTaken && row.staged != 0 {
		s.takeRow(g, int(row.staged)-1)
	} else if _, pending := s.present(no); pending {
		s.sweepRow(p.replacing(row.supplier), no)
	}
}

// settleProduct is settleRow of an id.
func (s *State) settleProduct(id string) productNo {
	no := s.products.find([]byte(id))
	if no == 0 {
		return 0
	}
	s.settleRow(no)
	return s.productNo(id)
}
