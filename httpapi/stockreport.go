package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/wire"
)

// mostStockDifferences is how many differences of a report are told.
const mostStockDifferences = 10_000

// Kinds of differences between a supplier's figures and ours.
const (
	unknownToUs       = "unknown_to_us"
	unknownToSupplier = "unknown_to_supplier"
	noFigureHere      = "no_figure_here"
	noFigureThere     = "no_figure_there"
	otherStock        = "stock"
	otherTime         = "time"
	overStock         = "over"
)

// stockQuestion is what a supplier says of a product, and where.
type stockQuestion struct {
	stock engine.SupplierStock
	row   int
	seen  bool
}

// reconcileStock holds a supplier's figures against ours, product by product. It changes
// nothing.
func (s *AdminServer) reconcileStock(w http.ResponseWriter, r *http.Request, q *readingQuery) error {
	supplier, err := supplierOf(r)
	if err != nil {
		return err
	}
	cfg, err := s.config(r, supplier, q)
	if err != nil {
		return err
	}
	release, err := s.admitImport(r)
	if err != nil {
		return err
	}
	defer release()
	cfg.StockOnly = true
	list, err := catalogue.Read(r.Body, cfg)
	if err != nil {
		return badCatalogueOf(err)
	}
	report, err := s.stockReport(supplier, list)
	if err != nil {
		return err
	}
	s.log.Info("a supplier's stock reconciled", "supplier", supplier, "operator", operatorOf(r), "rows", report.Rows,
		"agree", report.Agree, "differences", report.Counts)
	return s.reply(w, report)
}

func (s *AdminServer) stockReport(supplier string, list *catalogue.List) (*wire.StockReport, error) {
	report := &wire.StockReport{Supplier: supplier, Rows: list.Len(), Counts: map[string]int{},
		Differences: []wire.StockDifference{}}
	var rows []int // of Differences, ascending
	note := func(d wire.StockDifference, row int) {
		if report.Counts[d.Kind]++; len(report.Differences) < mostStockDifferences {
			report.Differences, rows = append(report.Differences, d), append(rows, row)
		}
	}
	theirs, n := make(map[string]*stockQuestion, list.Len()), 0
	for p := range list.Rows() {
		theirs[string(p.ID)] = &stockQuestion{stock: p.Stock, row: n}
		n++
	}
	err := s.operator.StockOf(supplier, func(views []engine.SupplierStockView) error {
		for i := range views {
			v := &views[i]
			asked := theirs[v.Product]
			if asked == nil {
				if v.Stock.Known && (v.Stock.Figure > 0 || v.Held+v.Paid > 0) {
					note(wire.StockDifference{Product: v.Product, Kind: unknownToSupplier, Ours: stockOf(&v.Stock),
						Use: useOf(&v.ProductUse)}, -1)
				}
				continue
			}
			asked.seen = true
			kind, expected := compareStock(&asked.stock, v)
			if kind == "" {
				report.Agree++
				continue
			}
			note(wire.StockDifference{Product: v.Product, Kind: kind, Theirs: stockOf(&asked.stock),
				Ours: stockOf(&v.Stock), Use: useOf(&v.ProductUse), Expected: expected}, asked.row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for p := range list.Rows() {
		id := string(p.ID)
		asked := theirs[id]
		if asked.seen {
			continue
		}
		known, there, err := s.operator.Product(id)
		switch {
		case err != nil:
			return nil, err
		case there && known.Supplier == supplier && p.Stock.Known:
			note(wire.StockDifference{Product: id, Kind: noFigureHere, Theirs: stockOf(&p.Stock)}, asked.row)
		case there && known.Supplier == supplier:
			report.Agree++ // neither says anything
		default:
			note(wire.StockDifference{Product: id, Kind: unknownToUs, Theirs: stockOf(&p.Stock)}, asked.row)
		}
	}
	tellLines(report, rows, list)
	report.Verdict = stockVerdict(report)
	return report, nil
}

// tellLines puts the differences in the order of their lines, those without one last.
func tellLines(report *wire.StockReport, rows []int, list *catalogue.List) {
	sorted := slices.Clone(rows)
	slices.Sort(sorted)
	sorted = slices.DeleteFunc(sorted, func(row int) bool { return row < 0 })
	lines := list.Lines(sorted)
	for i, row := range rows {
		if at, there := slices.BinarySearch(sorted, row); there {
			report.Differences[i].Line = lines[at]
		}
	}
	slices.SortStableFunc(report.Differences, func(a, b wire.StockDifference) int {
		switch {
		case a.Line == b.Line:
			return strings.Compare(a.Product, b.Product)
		case a.Line == 0:
			return 1
		case b.Line == 0:
			return -1
		}
		return a.Line - b.Line
	})
}

// compareStock says how what a supplier says now differs from what we know, "" if it does
// not, and what we would have expected it to say.
func compareStock(theirs *engine.SupplierStock, v *engine.SupplierStockView) (kind string, expected *int64) {
	ours := &v.Stock
	switch {
	case !ours.Known && !theirs.Known:
		return "", nil
	case !ours.Known:
		return noFigureHere, nil
	case !theirs.Known:
		return noFigureThere, nil
	}
	// Since our figure: units paid that it does not have any more.
	since, figure := v.Paid, ours.Figure
	if ours.Remaining {
		since = v.Paid - v.PaidBefore
	}
	want := figure - since // left by now
	switch {
	case !theirs.Remaining && ours.Remaining:
		want = figure + v.PaidBefore
	case !theirs.Remaining:
		want = figure
	case ours.Remaining && theirs.AsOf <= ours.AsOf:
		want = figure // what was paid since does not count at that time
	}
	switch {
	case theirs.Figure != want && theirs.Remaining && theirs.Figure >= figure-since && theirs.Figure <= figure:
		return otherTime, &want
	case theirs.Figure != want:
		return otherStock, &want
	case v.Over() > 0:
		return overStock, &want
	}
	return "", nil
}

// products counts products, in words.
func products(n int) string {
	if n == 1 {
		return "1 product"
	}
	return fmt.Sprintf("%d products", n)
}

// stockVerdict is the report in a sentence.
func stockVerdict(report *wire.StockReport) string {
	if len(report.Counts) == 0 {
		return fmt.Sprintf("The supplier's figures are ours, of %s.", products(report.Agree))
	}
	all := 0
	for _, n := range report.Counts {
		all += n
	}
	if report.Counts[otherTime] == all {
		return fmt.Sprintf("The figures of %s agree; of %d what was paid since the supplier counted may be all the "+
			"difference.", products(report.Agree), all)
	}
	return fmt.Sprintf("The figures of %s agree, and those of %s differ.", products(report.Agree), products(all))
}
