package catalogue

import (
	"context"

	"doorbuster/engine"
)

// Shelf has the products that are there. It is met by backoffice.Office. Errors: whatever
// keeps the node from reading its state.
type Shelf interface {
	// Product gives one by its id.
	Product(id string) (p engine.ProductView, known bool, err error)
	// ProductPage gives at most so many of those that f lets through, from a position on (0
	// first), and the position to go on at, until done. Fewer may come although there are more.
	ProductPage(f engine.ProductFilter, from, most int) (rows []engine.ProductView, next int, done bool, err error)
}

// fewLookups is how many products are looked up one by one before all of a supplier's are
// read at once: each may ask the leader.
const fewLookups = 64

// Lookup finds a supplier's products for Config.Known, for one goroutine. After the first
// error there are none.
type Lookup struct {
	Err error // of the shelf

	shelf    Shelf
	supplier string
	asked    int
	all      map[string]engine.Product
}

// NewLookup finds products of supplier on shelf.
func NewLookup(shelf Shelf, supplier string) *Lookup {
	return &Lookup{shelf: shelf, supplier: supplier}
}

// Find gives a product; after an error it finds none.
func (l *Lookup) Find(id string) (p engine.Product, found bool) {
	if l.asked++; l.Err == nil && l.asked <= fewLookups {
		v, found, err := l.shelf.Product(id)
		l.Err = err
		return v.Product, found
	}
	if l.Err == nil && l.all == nil {
		l.readAll()
	}
	p, found = l.all[id]
	return p, found && l.Err == nil
}

func (l *Lookup) readAll() {
	l.all = map[string]engine.Product{}
	filter := engine.ProductFilter{Supplier: l.supplier, Retired: true}
	for from, done := 0, false; !done && l.Err == nil; {
		var rows []engine.ProductView
		rows, from, done, l.Err = l.shelf.ProductPage(filter, from, 1000)
		for i := range rows {
			l.all[rows[i].ID] = rows[i].Product
		}
	}
}

// Importer takes products in. It is met by backoffice.Office.
type Importer interface {
	ImportProducts(ctx context.Context, supplier string, in engine.ProductImport) (engine.ProductImported, error)
}

// Import hands a list to to, as in says but for the rows. Error: *Problems, by the lines of
// the list, if rows are wrong as things are; nothing was changed then.
func (l *List) Import(ctx context.Context, to Importer, supplier string, in engine.ProductImport) (
	engine.ProductImported, error) {
	in.Count, in.Rows = l.Len(), l.Rows()
	out, err := to.ImportProducts(ctx, supplier, in)
	if err != nil || len(out.Problems) == 0 {
		return out, err
	}
	rows := make([]int, len(out.Problems))
	for i := range rows {
		rows[i] = out.Problems[i].Row
	}
	problems := &Problems{Count: len(rows), AtLeast: len(rows) >= engine.MaxProductProblems}
	for i, line := range l.Lines(rows) {
		p := &out.Problems[i]
		problems.Told = append(problems.Told, Problem{line, p.Product + ": " + p.Message})
	}
	return out, problems
}
