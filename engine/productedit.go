package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// An import is staged piece by piece, and committed in one step: from then on its rows are
// the catalogue, for whoever looks and whatever decides (see present). They take their places
// in the table in shares, by the batches to come, so that no Apply takes long; what decides
// by a product has its row take its place at once. What is staged claims the products' ids,
// so that nothing that is committed can fail afterwards.

// staging is what an import brings.
type staging struct {
	number   stagingNo
	supplier supplierNo
	stage    uint64
	phase    stagingPhase
	replace  bool
	stale    bool // something that it was checked against has changed
	touched  Time // by its last rows
	rows     table[stagedRow]
	done     uint32 // of the rows, those that have taken their places or were forgotten
	swept    uint32 // of the table, the rows that were looked at for those that are gone
	importDone
}

// stagingPhase is how far a staging has come.
type stagingPhase uint8

const (
	stagingOpen    stagingPhase = iota
	stagingTaken                // committed: its rows take their places, then those that are gone go
	stagingDropped              // its claims are taken back
	stagingPhaseEnd
)

type stagedRow struct {
	no   productNo
	text string
	productStock
}

// Stagings are bounded, and given up by whoever needs the room when nobody has touched them
// for a while.
const (
	maxStagings     = 16
	stagingPatience = 10 * time.Minute
)

// A share of rows takes about a millisecond.
const (
	takeShare  = 16 // rows that take their places, for each that letGo would let go of
	sweepShare = 16 // rows looked at, for each that takes its place
)

// staging gives one that is there, or nil.
func (p *products) staging(no stagingNo) *staging {
	for _, g := range p.stagings {
		if g.number == no && no != 0 {
			return g
		}
	}
	return nil
}

// replacing gives the committed staging that takes the place of all that a supplier had, as
// long as some of that is left, or nil.
func (p *products) replacing(of supplierNo) *staging {
	for _, g := range p.stagings {
		if g.supplier == of && g.replace && g.phase == stagingTaken {
			return g
		}
	}
	return nil
}

// open gives a supplier's staging that takes rows, or nil.
func (p *products) open(of supplierNo) *staging {
	for _, g := range p.stagings {
		if g.supplier == of && g.phase == stagingOpen {
			return g
		}
	}
	return nil
}

func (p *products) drop(g *staging) { g.phase, g.done = stagingDropped, 0 }

// checkText tells what is wrong with a product's text, or "", without taking memory. formed:
// it can be read, whatever it says.
func checkText(text []byte) (wrong string, formed bool) {
	c := coder{buf: text, reads: true}
	var last, lang, word, image []byte
	n := c.length(0, MaxLanguages)
	for i := 0; i < n && c.err == nil; i++ {
		last = lang
		c.span(&lang, MaxIDBytes)
		c.span(&word, MaxTextBytes)
		switch {
		case i > 0 && string(last) >= string(lang):
			wrong = "name: a language is there twice, or they are not sorted"
		case !utf8.Valid(lang) || !utf8.Valid(word):
			wrong = "name: it is not UTF-8"
		}
	}
	var price int64
	var place Place
	c.span(&image, MaxURLBytes)
	signed(&c, &price)
	c.span(&lang, currencyBytes)
	there := false
	if c.bool(&there); there {
		place.fields(&c)
	}
	switch {
	case c.done() != nil:
		return "its text is cut off, or something of it is too long", false
	case wrong != "":
	case !utf8.Valid(image):
		wrong = "image: it is not UTF-8"
	case price < 0 || price > MaxPrice:
		wrong = fmt.Sprintf("list_price: %d is not between 0 and %d", price, int64(MaxPrice))
	case len(lang) != currencyBytes || !capital(lang[0]) || !capital(lang[1]) || !capital(lang[2]):
		wrong = fmt.Sprintf("currency: %q is not an ISO 4217 code of three capital letters", lang)
	case there && !place.valid():
		wrong = fmt.Sprintf("place: %s is not between -90,-180 and 90,180", &place)
	}
	return wrong, true
}

func capital(c byte) bool { return c >= 'A' && c <= 'Z' }

func (p *Place) valid() bool {
	return p.Latitude >= -90 && p.Latitude <= 90 && p.Longitude >= -180 && p.Longitude <= 180
}

// wrongStock tells what is wrong with a figure, whatever is known, or "".
func (s *State) wrongStock(x *SupplierStock) string {
	switch {
	case !x.Known:
	case x.Figure < 0 || x.Figure > MaxSupplierStock:
		return fmt.Sprintf("stock: %d is not between 0 and %d", x.Figure, int64(MaxSupplierStock))
	case x.Remaining && x.AsOf <= 0:
		return "stock: what remains needs a time that it is as of"
	case x.Remaining && x.AsOf > s.now.Add(asOfAhead):
		return fmt.Sprintf("stock: as of %s is in the future", x.AsOf.Wall().Format(time.RFC3339))
	}
	return ""
}

// asOfAhead is how far the clock of a supplier may be ahead.
const asOfAhead = 5 * time.Minute

// WrongProduct tells why a supplier can't put a product into the catalogue now, or "".
func (s *State) WrongProduct(supplier string, r *ProductRow) string {
	by := s.products.byName[supplier]
	if no := s.products.find(r.ID); no != 0 {
		return s.wrongRow(by, no, r)
	}
	return s.wrongRow(by, 0, r)
}

// wrongRow is WrongProduct of a supplier by number, 0 of a new one, and of a product that
// has one, 0 of one without.
func (s *State) wrongRow(by supplierNo, no productNo, r *ProductRow) string {
	if !ValidID(string(r.ID)) {
		return fmt.Sprintf("id: %q %s", clip(string(r.ID)), idForm)
	}
	if wrong, _ := checkText(r.Text); wrong != "" {
		return wrong
	}
	if wrong := s.wrongStock(&r.Stock); wrong != "" || no == 0 {
		return wrong
	}
	p := &s.products
	row, _ := s.present(no)
	if row.is&productThere == 0 {
		if g := p.staging(row.stage); g != nil && row.staged != 0 && g.phase == stagingOpen && g.supplier != by {
			return "id: an import of another supplier that is under way has it"
		}
		return ""
	}
	switch {
	case row.supplier == 0:
		return "id: the product is the shop's own; take another id"
	case row.supplier != by:
		return "id: the product is another supplier's; take another id" // whose, is not for who asks
	case r.Stock.Known && r.Stock.Remaining && row.is&productRemaining != 0 && r.Stock.AsOf < row.asOf:
		return fmt.Sprintf("stock: as of %s is before what is known, as of %s",
			r.Stock.AsOf.Wall().Format(time.RFC3339), row.asOf.Wall().Format(time.RFC3339))
	case row.use != 0 && row.text != string(r.Text):
		if was, is := s.currencyOf(&row), currencyIn(r.Text); was != is {
			return fmt.Sprintf("currency: it stays %s: the product is offered in a session already", was)
		}
	}
	return ""
}

func currencyIn(text []byte) string {
	var p Product
	p.text(&coder{buf: text, reads: true})
	return p.Currency
}

// editProducts is a supplier's edit, whole or not at all.
func (s *State) editProducts(c *Command) Event {
	e, p := c.Products, &s.products
	if !ValidID(e.Supplier) || e.Action == 0 || e.Action >= productEditActionEnd || e.Stage == 0 {
		return refused(ReasonRefused)
	}
	by, g := p.byName[e.Supplier], (*staging)(nil)
	if by != 0 {
		g = p.open(by)
	}
	if e.Action != ProductsStage && (g == nil || g.stage != e.Stage) {
		return refused(ReasonConflict)
	}
	switch e.Action {
	case ProductsStage:
		return s.stageProducts(e, by, g)
	case ProductsDrop:
		p.drop(g)
		return Event{Kind: ProductsStaged}
	}
	has := p.suppliers[by-1].products
	switch {
	case g.rows.len() != int(e.Count) || g.stale:
		return refused(ReasonConflict)
	case e.Replace && !e.Shrinks && int64(e.Count) < has-int64(e.Count):
		return refused(ReasonShrinks)
	case p.replacing(by) != nil:
		return refused(ReasonConflict) // it is not done yet
	}
	g.phase, g.replace, g.Stage, g.Count = stagingTaken, e.Replace, e.Stage, e.Count
	s.takeSome(g)
	return Event{Kind: ProductsImported, Quantity: e.Count}
}

// stageProducts takes rows into a supplier's staging, which is new if g is another one or
// nil.
func (s *State) stageProducts(e *ProductEdit, by supplierNo, g *staging) Event {
	p := &s.products
	fresh := g == nil || g.stage != e.Stage
	if p.replacing(by) != nil { // what it leaves is not known yet
		return refused(ReasonConflict)
	}
	if fresh && len(p.stagings) >= maxStagings {
		s.giveUpStagings()
		if len(p.stagings) >= maxStagings+btoi(g != nil) {
			return refused(ReasonTooMany)
		}
	}
	nos := make([]productNo, len(e.Rows))
	added := 0
	for i := range e.Rows {
		if no := p.find(e.Rows[i].ID); no != 0 {
			s.settleRow(no)
		}
		if nos[i] = p.find(e.Rows[i].ID); nos[i] == 0 { // or it went with what another import replaced
			added++
		}
		if s.wrongRow(by, nos[i], &e.Rows[i]) != "" {
			return refused(ReasonConflict)
		}
	}
	if p.count()+added > MaxProducts {
		return refused(ReasonTooMany)
	}
	no, known := p.supplierOf(e.Supplier)
	if !known {
		return refused(ReasonTooMany)
	}
	if fresh {
		if g != nil {
			p.drop(g)
		}
		s.imports++
		g = &staging{number: s.imports, supplier: no, stage: e.Stage}
		p.stagings = append(p.stagings, g)
	}
	g.touched = s.now
	for i := range e.Rows {
		if !s.stageRow(g, nos[i], &e.Rows[i]) {
			g.stale = true
			return refused(ReasonConflict)
		}
	}
	return Event{Kind: ProductsStaged, Quantity: uint32(len(e.Rows))}
}

// stageRow stages one row of the product with a number, 0 of one without; false if it is
// there twice.
func (s *State) stageRow(g *staging, no productNo, r *ProductRow) bool {
	p := &s.products
	if no == 0 { // or it is new, and there twice
		no = p.find(r.ID)
	}
	claim := productRow{stage: g.number, staged: uint32(g.rows.len() + 1)}
	next := stagedRow{no: no, productStock: stockOf(r.Stock, r.Retired)}
	if no == 0 {
		next.no = p.addRow(r.ID, r.Text, claim)
		next.text, p.mutRow(next.no).text = p.row(next.no).text, ""
		g.rows.add(next)
		return true
	}
	row := p.mutRow(no)
	if row.stage == g.number && row.staged != 0 {
		return false
	}
	if next.text = row.text; row.text != string(r.Text) {
		next.text = string(r.Text)
	}
	row.stage, row.staged = claim.stage, claim.staged
	g.rows.add(next)
	return true
}

// giveUpStagings drops those that nobody has touched for a while.
func (s *State) giveUpStagings() {
	for _, g := range s.products.stagings {
		if g.phase == stagingOpen && g.touched.Add(stagingPatience) <= s.now {
			s.products.drop(g)
		}
	}
}

// overrule notes that a product has become another one than an import that is under way was
// checked against.
func (s *State) overrule(no productNo) {
	row := s.products.row(no)
	if g := s.products.staging(row.stage); g != nil && g.phase == stagingOpen && row.staged != 0 {
		g.stale = true
	}
}

// claimed reports whether a row of an import, from 0, still claims its product.
func (p *products) claimed(g *staging, i int) bool {
	no := g.rows.at(i).no
	if int(no) > p.rows.len() { // it has gone
		return false
	}
	row := p.row(no)
	return row.stage == g.number && int(row.staged) == i+1
}

// takeRow has a row of a committed import take its place, unless it has.
func (s *State) takeRow(g *staging, i int) {
	p := &s.products
	next := g.rows.at(i)
	if !p.claimed(g, i) {
		return
	}
	row := *p.row(next.no)
	to := row
	to.text, to.supplier, to.staged = next.text, g.supplier, 0
	to.productStock = row.after(next.productStock)
	switch to.is |= productThere; {
	case row.is&productThere == 0:
		g.New++
	case row.text != to.text || row.productStock != to.productStock:
		g.Changed++
	}
	s.changeRow(next.no, to)
}

// sweepRow has a product go that a replaced catalogue has and its successor has not.
func (s *State) sweepRow(g *staging, no productNo) {
	row := *s.products.row(no)
	if row.supplier != g.supplier || row.stage == g.number || row.is&productThere == 0 {
		return
	}
	if row.use == 0 {
		g.Gone++
		s.dropRow(no)
		return
	}
	g.Gone += uint32(btoi(row.is&productGivenUp == 0))
	row.stage, row.staged = g.number, 0
	row.is |= productGivenUp
	s.changeRow(no, row)
}

// mustTake reports whether imports leave something to be done.
func (s *State) mustTake() bool {
	return s.products.trimmable() ||
		slices.ContainsFunc(s.products.stagings, func(g *staging) bool { return g.phase != stagingOpen })
}

// takeIn does a share of what imports leave to be done, if it is time for one; before is the
// state time of the last batch.
func (s *State) takeIn(before Time) {
	if len(s.products.stagings) == 0 && !s.products.trimmable() || s.now < s.nextShare(before) {
		return
	}
	s.giveUpStagings()
	for _, g := range slices.Clone(s.products.stagings) {
		switch g.phase {
		case stagingTaken:
			s.takeSome(g)
		case stagingDropped:
			s.dropSome(g)
		}
	}
	for s.products.share > 0 && s.products.trimmable() {
		s.products.share -= s.products.trim()
	}
}

// takeSome has rows of a committed import take their places, as far as the share goes.
func (s *State) takeSome(g *staging) {
	p := &s.products
	for ; int(g.done) < g.rows.len(); g.done++ {
		if p.share <= 0 {
			return
		}
		p.share--
		if !p.claimed(g, int(g.done)) {
			continue
		}
		if row := p.row(g.rows.at(int(g.done)).no); row.use != 0 {
			p.share -= 4 + len(p.uses.at(int(row.use)-1).listings)/4
		}
		s.takeRow(g, int(g.done))
	}
	for n := 0; g.replace && int(g.swept) < p.rows.len(); n++ {
		if p.share <= 0 {
			return
		}
		if row := p.row(productNo(g.swept + 1)); n%sweepShare == 0 ||
			row.supplier == g.supplier && row.stage != g.number {
			p.share--
		}
		g.swept++
		s.sweepRow(g, productNo(g.swept))
	}
	p.suppliers[g.supplier-1].last = g.importDone
	p.forget(g)
}

// dropSome takes claims of a dropped staging back, as far as the share goes.
func (s *State) dropSome(g *staging) {
	p := &s.products
	for ; int(g.done) < g.rows.len(); g.done++ {
		if p.share <= 0 {
			return
		}
		p.share--
		if !p.claimed(g, int(g.done)) {
			continue
		}
		no := g.rows.at(int(g.done)).no
		if p.row(no).is&productThere == 0 {
			p.remove(no)
		} else {
			p.mutRow(no).staged = 0
		}
	}
	p.forget(g)
}

func (p *products) forget(g *staging) {
	p.stagings = slices.DeleteFunc(p.stagings, func(o *staging) bool { return o == g })
}

// Imported tells what came of a supplier's import with a stage of its own; done once all of
// its rows have taken their places. known is false of one that was never committed, or that
// a later one has followed.
func (s *State) Imported(supplier string, stage uint64) (out ProductImported, done, known bool) {
	p := &s.products
	by := p.byName[supplier]
	if by == 0 {
		return out, false, false
	}
	x := &p.suppliers[by-1]
	out.Count = x.products
	if last := &x.last; last.Stage == stage {
		out.New, out.Changed, out.Gone = int(last.New), int(last.Changed), int(last.Gone)
		return out, true, true
	}
	return out, false, slices.ContainsFunc(p.stagings, func(g *staging) bool {
		return g.supplier == by && g.stage == stage && g.phase == stagingTaken
	})
}

// Importing reports whether rows of a supplier's import that was committed have not taken
// their places yet.
func (s *State) Importing(supplier string) bool {
	by := s.products.byName[supplier]
	return slices.ContainsFunc(s.products.stagings, func(g *staging) bool {
		return g.supplier == by && g.phase == stagingTaken
	})
}

// changeProduct deletes, retires or revives a product on behalf of operators.
func (s *State) changeProduct(c *Command) Event {
	no := s.settleProduct(c.Product)
	if no == 0 {
		return refused(ReasonUnknown)
	}
	row := *s.products.row(no)
	switch c.ProductAction {
	case ProductDelete:
		if row.use != 0 {
			return refused(ReasonOffered)
		}
		s.dropRow(no)
		return Event{Kind: ProductDeleted}
	case ProductRetire, ProductRevive:
		kind, is := ProductRetired, row.is|productRetired
		if c.ProductAction == ProductRevive {
			kind, is = ProductRevived, row.is&^productOutOfOffer
		}
		if row.is == is {
			return Event{Kind: ProductUnchanged}
		}
		row.is = is
		s.changeRow(no, row)
		return Event{Kind: kind}
	}
	return refused(ReasonRefused)
}

// describeProducts says what an edit does.
func (s *State) describeProducts(e *ProductEdit) string {
	var b strings.Builder
	action := productEditActions[min(int(e.Action), len(productEditActions)-1)]
	fmt.Fprintf(&b, "supplier %s, %s: ", clip(e.Supplier), action)
	switch has := int64(0); e.Action {
	case ProductsCommit:
		if by := s.products.byName[e.Supplier]; by != 0 {
			has = s.products.suppliers[by-1].products
		}
		how := []string{"", " in place of all"}[btoi(e.Replace)]
		fmt.Fprintf(&b, "%d rows%s; before: %d products", e.Count, how, has)
	default:
		fmt.Fprintf(&b, "%d rows", len(e.Rows))
	}
	if e.Source != "" {
		b.WriteString(", " + e.Source)
	}
	return b.String()
}

var productEditActions = [...]string{"", "stage", "commit", "drop", "unknown"}

func (d *importDone) fields(c *coder) {
	unsigned(c, &d.Stage)
	unsigned(c, &d.Count)
	unsigned(c, &d.New)
	unsigned(c, &d.Changed)
	unsigned(c, &d.Gone)
}
