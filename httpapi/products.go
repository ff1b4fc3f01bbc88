package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/catalogue"
	"doorbuster/httpapi/catalogue/pull"
	"doorbuster/httpapi/wire"
)

func stockOf(x *engine.SupplierStock) *wire.SupplierStock {
	switch {
	case !x.Known:
		return nil
	case x.Remaining:
		return &wire.SupplierStock{Remaining: &x.Figure, AsOf: rfc3339(x.AsOf)}
	}
	return &wire.SupplierStock{Total: &x.Figure}
}

func useOf(u *engine.ProductUse) *wire.ProductUse {
	j := &wire.ProductUse{PutUp: u.PutUp, Held: u.Held, Paid: u.Paid, PaidBefore: u.PaidBefore, Over: u.Over()}
	if u.Allowance >= 0 {
		j.Allowance = &u.Allowance
	}
	return j
}

func productOf(p *engine.ProductView) wire.Product {
	j := wire.Product{ID: p.ID, Name: textJSON(p.Name), Image: p.Image, Supplier: p.Supplier, ListPrice: p.ListPrice,
		Currency: p.Currency, Retired: p.Retired || p.RetiredByShop, RetiredByShop: p.RetiredByShop,
		Stock: stockOf(&p.Stock)}
	if p.Place != nil {
		j.Place = &wire.Place{Latitude: p.Place.Latitude, Longitude: p.Place.Longitude}
	}
	if p.Offered || p.Stock.Known {
		j.Use = useOf(&p.Use)
	}
	return j
}

// shelfQuery is which products of one supplier are looked for, and which page of them.
type shelfQuery struct {
	Prefix  string `query:"prefix" as:"id"`                          // Of the id.
	Retired bool   `query:"retired"`                                 // true: those that are retired, too.
	Cursor  int    `query:"cursor" least:"0" most:"1000000000"`      // From the page before.
	Limit   int    `query:"limit" usual:"100" least:"1" most:"1000"` // Products a page.
}

// productsQuery is shelfQuery of all products.
type productsQuery struct {
	shelfQuery
	Supplier string `query:"supplier" as:"id"` // Whose.
}

// products shows a page of the catalogue.
func (s *AdminServer) products(r *http.Request, q *productsQuery) (wire.Products, error) {
	return s.productPage(r, q.Supplier, &q.shelfQuery)
}

// supplierProducts shows a page of a supplier's products.
func (s *AdminServer) supplierProducts(r *http.Request, q *shelfQuery) (wire.Products, error) {
	supplier, err := supplierOf(r)
	if err != nil {
		return wire.Products{}, err
	}
	return s.productPage(r, supplier, q)
}

func (s *AdminServer) productPage(r *http.Request, supplier string, q *shelfQuery) (wire.Products, error) {
	page := wire.Products{Products: []wire.Product{}}
	filter := engine.ProductFilter{Supplier: supplier, Prefix: q.Prefix, Retired: q.Retired}
	from := q.Cursor
	for done := false; !done && len(page.Products) < q.Limit; {
		var rows []engine.ProductView
		var err error
		if rows, from, done, err = s.operator.ProductPage(filter, from, q.Limit-len(page.Products)); err != nil {
			return page, err
		}
		if err := r.Context().Err(); err != nil {
			return page, err
		}
		for i := range rows {
			page.Products = append(page.Products, productOf(&rows[i]))
		}
		if page.Cursor = ""; !done {
			page.Cursor = strconv.Itoa(from)
		}
	}
	return page, nil
}

// supplierOf reads whose catalogue a path is about.
func supplierOf(r *http.Request) (string, error) {
	supplier := r.PathValue("supplier")
	if !engine.ValidID(supplier) {
		return "", refuse(notFound, fmt.Sprintf("A supplier's id has 1 to %d letters, digits, dots, dashes and "+
			"underscores, and begins with a letter or digit.", engine.MaxIDBytes))
	}
	return supplier, nil
}

// product shows one product; below a supplier's path, one of its own.
func (s *AdminServer) product(r *http.Request) (j wire.Product, err error) {
	id, supplier := r.PathValue("product"), r.PathValue("supplier")
	p, known, err := s.operator.Product(id)
	switch {
	case err != nil:
		return j, err
	case !known || supplier != "" && p.Supplier != supplier:
		return j, refuse(notFound, "No product has this id. The catalogue is at /admin/v1/products.")
	}
	return productOf(&p), nil
}

func (s *AdminServer) suppliers(*http.Request) (wire.Suppliers, error) {
	all, err := s.operator.Suppliers()
	return wire.Suppliers{Suppliers: listOf(all, func(x *engine.SupplierInfo) wire.Supplier {
		return wire.Supplier{ID: x.ID, Products: x.Products, Retired: x.Retired}
	})}, err
}

// discard is what deletes, retires or archives one thing.
type discard func(o Operator, ctx context.Context, by engine.By, id, note string) error

// discards makes the handler of one way of taking the thing out of sight that a path names.
func discards(name, action string, do discard) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.Note) (wire.Discarded, error) {
		return s.discard(r, name, action, b.Note, do)
	})
}

// deletes is discards for DELETE.
func deletes(name string, do discard) adminHandler {
	return finds(func(s *AdminServer, r *http.Request, q *noteQuery) (wire.Discarded, error) {
		return s.discard(r, name, "delete", q.Note, do)
	})
}

func (s *AdminServer) discard(r *http.Request, name, action, note string, do discard) (wire.Discarded, error) {
	id := r.PathValue(name)
	if err := do(s.operator, r.Context(), byOf(r), id, note); err != nil {
		return wire.Discarded{}, err
	}
	s.log.Info(name+" "+action, "id", id, "operator", operatorOf(r), "note", note)
	return wire.Discarded{ID: id, Action: action}, nil
}

// Ways of taking out of sight.
var (
	deleteProduct  discard = Operator.DeleteProduct
	retireProduct  discard = Operator.RetireProduct
	reviveProduct  discard = Operator.ReviveProduct
	deleteSale     discard = Operator.DeleteSale
	archiveSale    discard = Operator.ArchiveSale
	recallSale     discard = Operator.RecallSale
	deleteSession  discard = Operator.DeleteSession
	archiveSession discard = Operator.ArchiveSession
	recallSession  discard = Operator.RecallSession
)

// readingQuery says how a catalogue is written.
type readingQuery struct {
	// How it is written; auto (also without it) by the body's type and its header.
	Format   string `query:"format" oneof:"auto csv ndjson json shopify woocommerce magento"`
	Currency string `query:"currency"` // ISO 4217, of rows that name none, as those of shop systems.
	Language string `query:"language"` // Of names that don't say theirs; en without it.
	// What figures count that don't say so, as those of shop systems: what is remaining (also
	// without it) or the total; none: they are not looked at.
	Stock string      `query:"stock" oneof:"remaining total none"`
	AsOf  engine.Time `query:"as_of"` // When what is remaining was counted, of rows that don't say.
}

// importQuery is readingQuery of a catalogue that counts.
type importQuery struct {
	noteQuery
	readingQuery
	// true: it takes the place of all that the supplier has. What it lacks is deleted, or
	// retired where a session offers it.
	Replace bool `query:"replace"`
	// true: it is meant that fewer than half of the supplier's products are left; without it
	// that is a 409 (problem unsure), and nothing is changed.
	Sure bool `query:"sure"`
}

// config says how a catalogue is to be read.
func (s *AdminServer) config(r *http.Request, supplier string, q *readingQuery) (cfg catalogue.Config, err error) {
	cfg = catalogue.Config{Supplier: supplier, Format: catalogue.Format(q.Format), Currency: q.Currency,
		Language: q.Language, Stock: catalogue.StockKind(q.Stock), AsOf: q.AsOf, Now: engine.TimeOf(time.Now())}
	if err := cfg.Validate(); err != nil {
		return cfg, refuse(malformed, err.Error())
	}
	if q.Format == "" || cfg.Format == catalogue.Auto {
		var known bool
		// of a body that is empty; others were looked at
		if cfg.Format, known = catalogue.FormatOf(r.Header.Get("Content-Type")); !known {
			return cfg, refuse(wrongMediaType, "Send Content-Type: "+bodies[catalogueBody].asked+".")
		}
	}
	return cfg, nil
}

// importProducts takes a supplier's catalogue in. All of it is read and checked first, so
// that a bad row changes nothing.
func (s *AdminServer) importProducts(w http.ResponseWriter, r *http.Request, q *importQuery) error {
	supplier, err := supplierOf(r)
	if err != nil {
		return err
	}
	cfg, err := s.config(r, supplier, &q.readingQuery)
	if err != nil {
		return err
	}
	release, err := s.admitImport(r)
	if err != nil {
		return err
	}
	defer release()
	lookup := catalogue.NewLookup(s.operator, supplier)
	cfg.Known = lookup.Find
	hash := sha256.New()
	list, err := catalogue.Read(io.TeeReader(r.Body, hash), cfg)
	switch {
	case lookup.Err != nil:
		return lookup.Err
	case err != nil:
		return badCatalogueOf(err)
	}
	told := newListProgress(w, r, list.Len())
	done := wire.ProductsImport{Supplier: supplier, Action: "change", Rows: list.Len()}
	if q.Replace {
		done.Action = "replace"
	}
	source := fmt.Sprintf("sha256 %x", hash.Sum(nil))
	log := s.log.With("supplier", supplier, "source", source, "action", done.Action, "operator", operatorOf(r),
		"rows", list.Len(), "note", q.Note)
	ctx, stop := context.WithTimeout(r.Context(), listPatience)
	defer stop()
	out, err := list.Import(ctx, s.operator, supplier, engine.ProductImport{Replace: q.Replace, Shrinks: q.Sure,
		Source: source, By: byOf(r), Note: q.Note, Committed: told.committed})
	release() // whoever hears of the end may send the next
	if err != nil {
		log.Info("catalogue not imported", "error", err)
		if errors.As(err, new(*catalogue.Problems)) {
			err = badCatalogueOf(err)
		}
		return s.importFailed(r, told, err)
	}
	done.New, done.Changed, done.Gone, done.Count = out.New, out.Changed, out.Gone, out.Count
	log.Info("catalogue imported", "new", done.New, "changed", done.Changed, "gone", done.Gone, "count", done.Count)
	if told.streams {
		told.line(done)
		return nil
	}
	return s.reply(w, done)
}

// Puller fetches suppliers' catalogues. It is met by pull.Puller. Safe for concurrent use.
type Puller interface {
	// Pull fetches a supplier's catalogue now and has it take the place of what there was.
	// sure: it is meant that fewer than half of its products are left.
	Pull(ctx context.Context, supplier string, by engine.By, note string, sure bool) (pull.Pulled, error)
}

// sureAlone is what may be asked of a change that says why in its body.
type sureAlone struct {
	// true: it is meant that fewer than half of the supplier's products are left; without it
	// that is a 409 (problem unsure), and nothing is changed.
	Sure bool `query:"sure"`
}

// pullCatalogue fetches a supplier's catalogue now.
func (s *AdminServer) pullCatalogue(w http.ResponseWriter, r *http.Request, q *sureAlone) error {
	supplier, err := supplierOf(r)
	if err != nil {
		return err
	}
	var b wire.Note
	if err := readBody(r, &b); err != nil {
		return err
	}
	if s.puller == nil {
		return refuse(notFound, "This node fetches no catalogues: its setting catalogue.pulls is empty.")
	}
	out, err := s.puller.Pull(r.Context(), supplier, byOf(r), b.Note, q.Sure)
	if err != nil {
		s.log.Info("catalogue not pulled", "supplier", supplier, "operator", operatorOf(r), "note", b.Note,
			"error", engine.PlainNetworkError(err))
	}
	var known *engine.Refusal
	switch {
	case errors.Is(err, pull.ErrUnknown):
		return refuse(notFound, "This node fetches no catalogue of this supplier: its setting catalogue.pulls has "+
			"none.")
	case errors.Is(err, pull.ErrPulling):
		return refuse(conflict, "This supplier's catalogue is being fetched just now. Wait for it.")
	case errors.Is(err, pull.ErrShrinks):
		return refuse(unsure, fmt.Sprintf("The catalogue was not taken: %s. If it is meant, say so with ?sure=true "+
			"(--yes).", err))
	case errors.As(err, new(*catalogue.Problems)):
		return badCatalogueOf(err)
	case errors.As(err, &known), errors.Is(err, engine.ErrNotLeader), errors.Is(err, engine.ErrOutcomeUnknown):
		return err
	case err != nil:
		return refuse(badCatalogue, "The catalogue could not be had, and nothing was changed: "+
			engine.PlainNetworkError(err)+".")
	}
	return s.reply(w, wire.ProductsImport{Supplier: supplier, Action: "replace", Rows: out.Rows, New: out.New,
		Changed: out.Changed, Gone: out.Gone, Count: out.Count})
}

// badCatalogueOf says why a catalogue could not be read.
func badCatalogueOf(err error) error {
	var problems *catalogue.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &problems):
		reasons := make([]wire.PlanProblem, 0, len(problems.Told))
		for _, p := range problems.Told {
			reasons = append(reasons, wire.PlanProblem{Path: fmt.Sprintf("line %d", p.Line), Line: p.Line,
				Message: p.Message})
		}
		said := wrongLines(problems.Count, len(reasons))
		if problems.AtLeast {
			said = fmt.Sprintf("%d lines or more are wrong, and nothing was changed.", problems.Count)
		}
		return refuse(badCatalogue, said, reasons...)
	case errors.As(err, &large):
		return refuse(tooLarge, fmt.Sprintf("The catalogue may have %d bytes.", large.Limit))
	case errors.Is(err, errUnsteady):
		return refuse(tooSlow, unsteady)
	}
	return refuse(malformed, "The catalogue broke off before its end, and nothing was changed.")
}

func wrongLines(count, told int) string {
	said := "One line is wrong, and nothing was changed."
	if count > 1 {
		said = fmt.Sprintf("%d lines are wrong, and nothing was changed.", count)
	}
	if count > told {
		said += fmt.Sprintf(" The first %d are listed.", told)
	}
	return said
}

// importFailed answers an import that ended in err after all rows were found good.
func (s *AdminServer) importFailed(r *http.Request, told *listProgress, err error) error {
	if !told.streams || told.written == 0 {
		return err
	}
	kind, detail, known := problemOf(err)
	if !known {
		s.log.Error("admin request failed", "path", r.URL.Path, "error", err)
	}
	if unknownOutcome(err) {
		detail = notKnown(r)
	}
	var refused *problemError
	var reasons []wire.PlanProblem
	if errors.As(err, &refused) {
		reasons = refused.reasons
	}
	s.metrics.problem(kind)
	told.line(problemFor(kind, detail, r.URL.EscapedPath(), reasons...))
	return nil
}
