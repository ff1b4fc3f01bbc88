package catalogue

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/money"
)

// Bounds of what is read.
const (
	// MaxBytes bounds a catalogue: ten times what a million products take. Read leaves that
	// to its callers.
	MaxBytes = 1 << 30
	// MaxRows is how many products there may be; more are not counted.
	MaxRows = engine.MaxProducts
	// maxRowBytes bounds a row: descriptions of shop systems are long, and not kept.
	maxRowBytes = 1 << 20
	maxTold     = 20       // problems that are told in full
	headBytes   = 64 << 10 // of a catalogue, by which its format is recognised
	// DefaultLanguage is that of names that don't say theirs.
	DefaultLanguage = "en"
	// aheadLeeway is how far the clock of a supplier may be ahead of ours.
	aheadLeeway = time.Minute
)

// Problem is what is wrong with a row.
type Problem struct {
	Line    int // from 1, where the row begins
	Message string
}

// Problems are why a catalogue was not taken. It is an error.
type Problems struct {
	Told    []Problem // the first of them, at most 20; of List.Import at most engine.MaxProductProblems
	Count   int       // in all
	AtLeast bool      // there may be more than Count
}

func (p *Problems) Error() string {
	if p.Count == 1 {
		return fmt.Sprintf("line %d: %s", p.Told[0].Line, p.Told[0].Message)
	}
	return fmt.Sprintf("%d lines are wrong, the first is line %d: %s", p.Count, p.Told[0].Line, p.Told[0].Message)
}

// Config says how a catalogue is to be read.
type Config struct {
	Supplier string // whose it is: a row can name no other
	Format   Format // "" is Auto
	Currency string // of rows that name none
	Language string // of names that don't say theirs; "" is DefaultLanguage
	// Stock says what figures count whose column does not; "" is StockRemaining.
	Stock StockKind
	// AsOf is when what remains was counted, of rows that don't say; 0 where they must.
	AsOf engine.Time
	// Now is the time by which AsOf is not to come; 0: it is not looked at.
	Now engine.Time
	// StockOnly: rows are looked at for how much there is, and for nothing else.
	StockOnly bool
	// Known gives a product that is there, for rows that say nothing of it but how much there
	// is; nil for none.
	Known func(id string) (p engine.Product, found bool)
}

// Validate says all that is wrong with what people set of a Config.
func (c *Config) Validate() error {
	var errs []error
	if c.Currency != "" && !money.Known(c.Currency) {
		errs = append(errs, fmt.Errorf("currency: %q is no currency of ISO 4217, such as CNY, EUR or USD",
			clip(c.Currency)))
	}
	if c.Language != "" && !languageTag.MatchString(c.Language) {
		errs = append(errs, fmt.Errorf("language: %q is no language such as en or zh", clip(c.Language)))
	}
	if !slices.Contains(StockKinds(), string(c.Stock)) && c.Stock != "" {
		errs = append(errs, fmt.Errorf("stock: %q is none of %s", clip(string(c.Stock)),
			strings.Join(StockKinds(), ", ")))
	}
	if !slices.Contains(Formats(), string(c.Format)) && c.Format != "" {
		errs = append(errs, fmt.Errorf("format: %q is none of %s", clip(string(c.Format)),
			strings.Join(Formats(), ", ")))
	}
	return errors.Join(errs...)
}

// languageTag is what languages look like, as in plans.
var languageTag = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)

// entry is what a row says. A pointer is nil where it says nothing.
type entry struct {
	id, supplier    string
	name            engine.Text
	image, currency *string
	price           *int64 // minor units
	decimal         string // the price as people write it, where price is nil; "" is none
	place           *engine.Place
	stock           engine.SupplierStock
	retired         bool
	wrong           string // why it can't be taken, beyond what is checked of all
}

type reading struct {
	Config
	list     *List
	problems Problems
	over     bool // there are more rows than there may be

	// Of a table: columns by their names in small letters, how many, and the row.
	column  map[string]int
	columns int
	cells   []string
	names   []nameColumn // of ours
	// Of the Shopify product whose rows these are.
	handle, title, image string
}

// Read reads a catalogue to its end. Errors: *Problems if rows are wrong, else from's. It
// bounds each row (1 MiB) and their number (MaxRows); who calls it bounds the whole, by
// MaxBytes. cfg must be valid; Known is called by this goroutine, once for each row that only
// says how much there is.
func Read(from io.Reader, cfg Config) (*List, error) {
	r := &reading{Config: cfg, list: newList()}
	if r.Format == "" {
		r.Format = Auto
	}
	if r.Language == "" {
		r.Language = DefaultLanguage
	}
	bound := &perRow{from: from}
	in := bufio.NewReaderSize(bound, headBytes)
	bound.next()
	head, err := in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		in.Discard(3)
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, wrongWhole("the catalogue is in UTF-16; save it as UTF-8")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return nil, wrongWhole("the catalogue is packed (zip, gzip or a spreadsheet); send it as CSV, JSON or NDJSON")
	}
	first := bytes.TrimLeft(head, " \t\r\n")
	if err == nil && len(first) == 0 { // it goes on, and may have products yet
		return nil, wrongWhole(fmt.Sprintf("the catalogue begins with %d blank characters; begin with the products, "+
			"or with the line of columns", headBytes))
	}
	if r.Format == Auto && len(first) > 0 {
		switch first[0] {
		case '{':
			r.Format = NDJSON
			if end := bytes.IndexByte(first, '\n'); end > 0 && !bytes.HasSuffix(bytes.TrimRight(first[:end], "\r \t"),
				[]byte("}")) || isWrapped(first) {
				r.Format = JSON
			}
		case '[':
			r.Format = JSON
		}
	}
	switch {
	case len(first) == 0:
		err = nil // an empty catalogue
	case r.Format == NDJSON:
		err = r.lines(in, bound)
	case r.Format == JSON:
		err = r.values(in, bound)
	default:
		err = r.table(in, bound, head)
	}
	if err != nil && !errors.Is(err, errLongRow) {
		return nil, err
	}
	if r.problems.Count > 0 {
		return nil, &r.problems
	}
	return r.list, nil
}

func wrongWhole(message string) error { return &Problems{Told: []Problem{{1, message}}, Count: 1} }

// errLongRow ends a reading whose row does not end: where the next begins can't be told.
var errLongRow = errors.New("a row is too long")

// perRow bounds what one row may have read.
type perRow struct {
	from io.Reader
	left int
}

func (p *perRow) next() { p.left = maxRowBytes + 128<<10 } // and what the buffers hold of the next ones

func (p *perRow) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, errLongRow
	}
	n, err := p.from.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}

func (r *reading) wrong(line int, format string, args ...any) {
	if r.problems.Count++; r.problems.Count <= maxTold {
		r.problems.Told = append(r.problems.Told, Problem{line, fmt.Sprintf(format, args...)})
	}
}

// tooLong tells of a row that does not end.
func (r *reading) tooLong(line int) error {
	r.wrong(line, "the row is longer than %d bytes, or a quote in it is not closed; nothing after it was looked at",
		maxRowBytes)
	return errLongRow
}

// lines reads objects, one a line.
func (r *reading) lines(in *bufio.Reader, bound *perRow) error {
	var line []byte
	for no := 1; ; no++ {
		bound.next()
		line = line[:0]
		var err error
		for more := true; more; {
			var part []byte
			part, err = in.ReadSlice('\n')
			more = errors.Is(err, bufio.ErrBufferFull)
			line = append(line, part...)
			if len(line) > maxRowBytes {
				return r.tooLong(no)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if errors.Is(err, errLongRow) {
				return r.tooLong(no)
			}
			return err
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			r.object(no, text)
		}
		if err != nil || r.over {
			return nil
		}
	}
}

// table reads records, of which the first names the columns.
func (r *reading) table(in *bufio.Reader, bound *perRow, head []byte) error {
	header, _, _ := bytes.Cut(head, []byte("\n"))
	records := csv.NewReader(in)
	records.FieldsPerRecord, records.ReuseRecord = -1, true
	records.Comma = separatorOf(string(header))
	var of *layout
	for no := 1; !r.over; {
		bound.next()
		cells, err := records.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &parse):
			r.wrong(parse.StartLine, "the line is no CSV: %s", parse.Err)
			continue
		case errors.Is(err, errLongRow):
			return r.tooLong(no)
		case err != nil:
			return err
		}
		no, _ = records.FieldPos(0)
		switch {
		case of == nil:
			if of = r.header(no, cells); of == nil {
				return nil
			}
		case len(cells) == 1 && strings.TrimSpace(cells[0]) == "":
		case len(cells) != r.columns:
			r.wrong(no, "the line has %d columns, and the first line names %d; quote what has the separator in it",
				len(cells), r.columns)
		default:
			r.cells = cells
			if e, skip := of.row(r); !skip {
				r.take(no, &e)
			}
		}
	}
	return nil
}

// header reads the names of the columns; nil if it can't be made out what they are of.
func (r *reading) header(no int, cells []string) *layout {
	names := make([]string, len(cells))
	r.column, r.columns = map[string]int{}, len(cells)
	for i, name := range cells {
		names[i] = strings.ToLower(strings.TrimSpace(name))
		if _, there := r.column[names[i]]; !there { // of several, the first counts
			r.column[names[i]] = i
		}
	}
	of := layoutOf(r.Format, names)
	if of == nil {
		as := "of ours (id, name, list_price or price, currency, ...), Shopify, WooCommerce or Magento"
		if r.Format != Auto {
			as = string(r.Format)
		}
		r.wrong(no, "the first line must name the columns, as a catalogue %s does; it begins with %q", as,
			clip(strings.Join(cells, ",")))
		return nil
	}
	if of.own && !r.ownHeader(no, names) {
		return nil
	}
	return of
}

// cell gives what a row has in a column, "" where there is none.
func (r *reading) cell(name string) string {
	if at, there := r.column[name]; there {
		return strings.TrimSpace(r.cells[at])
	}
	return ""
}

// has reports whether there is a column.
func (r *reading) has(name string) bool {
	_, there := r.column[name]
	return there
}

// take checks a row and takes it in.
func (r *reading) take(no int, e *entry) {
	if e.wrong != "" {
		r.wrong(no, "%s", e.wrong)
		return
	}
	if !engine.ValidID(e.id) {
		r.wrong(no, "%q is no id: it has 1 to %d letters, digits, dots, dashes and underscores, and begins with a "+
			"letter or digit", clip(e.id), engine.MaxIDBytes)
		return
	}
	if e.supplier != "" && e.supplier != r.Supplier {
		r.wrong(no, "%s is said to be of the supplier %q, and this is the catalogue of %s", e.id, clip(e.supplier),
			r.Supplier)
		return
	}
	p := engine.Product{ID: e.id, Supplier: r.Supplier}
	wrong := ""
	switch {
	case r.StockOnly:
	case e.stockOnly():
		p, wrong = r.known(e)
	default:
		wrong = r.fill(&p, e)
	}
	if wrong == "" {
		p.Retired, p.Stock = e.retired, e.stock
		wrong = r.wrongStock(&p.Stock)
	}
	if wrong != "" {
		r.wrong(no, "%s: %s", e.id, wrong)
		return
	}
	if before, twice := r.list.add(&p, no); twice {
		r.wrong(no, "%s is there twice, here and on line %d", e.id, before)
	} else if r.list.count > MaxRows {
		r.wrong(no, "a catalogue may have %d products, and here is one more; nothing after it was looked at", MaxRows)
		r.over = true
	}
}

// stockOnly reports whether a row says nothing of its product but how much there is.
func (e *entry) stockOnly() bool {
	return len(e.name) == 0 && e.image == nil && e.currency == nil && e.price == nil && e.decimal == "" &&
		e.place == nil
}

// known gives the product of a row that says nothing but how much there is of it.
func (r *reading) known(e *entry) (p engine.Product, wrong string) {
	there := false
	if r.Known != nil {
		p, there = r.Known(e.id)
	}
	switch {
	case there && p.Supplier != r.Supplier:
		return p, "it is a product of another supplier, or of the shop itself"
	case !there:
		return p, "it has no price, and there is no product of this id yet; a new one needs a price and a currency"
	case !e.stock.Known && !e.retired && !p.Retired:
		return p, "it says nothing of the product: no name, no price, no stock"
	}
	return p, ""
}

// fill makes the product that a row says, and says what of it can't be.
func (r *reading) fill(p *engine.Product, e *entry) (wrong string) {
	p.Name = e.name
	if len(p.Name) == 0 {
		p.Name = engine.Text{{Lang: r.Language, Text: e.id}}
	}
	if wrong = wrongName(p.Name); wrong != "" {
		return wrong
	}
	if p.Currency = r.Currency; e.currency != nil {
		p.Currency = *e.currency
	}
	switch {
	case p.Currency == "":
		return "it names no currency; name one in the row, or for all rows (--currency CNY, or currency=CNY)"
	case !money.Known(p.Currency):
		return fmt.Sprintf("%q is no currency of ISO 4217, such as CNY, EUR or USD", clip(p.Currency))
	}
	switch {
	case e.price != nil:
		p.ListPrice = *e.price
	case e.decimal != "":
		decimals := money.Decimals(p.Currency)
		amount, ok := money.Minor(e.decimal, decimals)
		if !ok {
			return fmt.Sprintf("the price %q is no amount of %s such as %s", clip(e.decimal), p.Currency,
				money.Text(4900, decimals))
		}
		p.ListPrice = amount
	default:
		return "it has no price"
	}
	if p.ListPrice < 0 || p.ListPrice > engine.MaxPrice {
		return fmt.Sprintf("the price must be 0 to %d minor units; it is %d", int64(engine.MaxPrice), p.ListPrice)
	}
	if e.image != nil {
		p.Image = *e.image
		if wrong = wrongImage(p.Image); wrong != "" {
			return wrong
		}
	}
	if e.place != nil {
		p.Place = e.place
		if at := p.Place; !(math.Abs(at.Latitude) <= 90 && math.Abs(at.Longitude) <= 180) {
			return fmt.Sprintf("the place %s is not between -90,-180 and 90,180", at)
		}
	}
	return ""
}

// wrongStock says what is wrong with a supplier's figure.
func (r *reading) wrongStock(s *engine.SupplierStock) string {
	switch {
	case !s.Known:
		return ""
	case s.Figure < 0:
		return fmt.Sprintf("the stock is %d; it can't be below 0", s.Figure)
	case s.Figure > engine.MaxSupplierStock:
		return fmt.Sprintf("the stock is %d; it can't be over %d", s.Figure, int64(engine.MaxSupplierStock))
	case !s.Remaining:
		return ""
	}
	if s.AsOf == 0 {
		s.AsOf = r.AsOf
	}
	switch {
	case s.AsOf == 0:
		return "it says how much is left, and not when that was counted: say as_of in the row, or --as-of TIME for " +
			"all rows; or that the figures are totals (--stock total), or to be ignored (--stock none)"
	case r.Now != 0 && s.AsOf > r.Now+engine.Time(aheadLeeway.Milliseconds()):
		return fmt.Sprintf("as_of is %s, which has not come yet",
			time.UnixMilli(int64(s.AsOf)).UTC().Format(time.RFC3339))
	case r.Now != 0 && s.AsOf > r.Now:
		s.AsOf = r.Now
	}
	return ""
}

func wrongName(name engine.Text) string {
	if len(name) > engine.MaxLanguages {
		return fmt.Sprintf("it has names in %d languages; there may be %d", len(name), engine.MaxLanguages)
	}
	for _, w := range name {
		switch {
		case !languageTag.MatchString(w.Lang):
			return fmt.Sprintf("%q is no language such as en or zh", clip(w.Lang))
		case strings.TrimSpace(w.Text) == "":
			return "its name is empty"
		case len(w.Text) > engine.MaxTextBytes:
			return fmt.Sprintf("its name has %d bytes; it may have %d", len(w.Text), engine.MaxTextBytes)
		case !utf8.ValidString(w.Text):
			return "its name is not UTF-8; save the catalogue as UTF-8"
		}
		if wrong := input.OneLine(w.Text); wrong != "" {
			return "its name " + wrong
		}
	}
	return ""
}

func wrongImage(image string) string {
	if image == "" {
		return ""
	}
	u, err := url.Parse(image)
	switch {
	case len(image) > engine.MaxURLBytes:
		return fmt.Sprintf("the address of its image has %d bytes; it may have %d", len(image), engine.MaxURLBytes)
	case err != nil || u.Host == "" || !utf8.ValidString(image) || input.OneLine(image) != "":
		return fmt.Sprintf("%q is not an https:// address of an image", clip(image))
	}
	return ""
}

func clip(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) > engine.MaxIDBytes {
		return s[:engine.MaxIDBytes] + "…"
	}
	return s
}
