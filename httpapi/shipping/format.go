package shipping

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// Format is how a file of orders is written.
type Format uint8

// Formats.
const (
	CSV    Format = iota // RFC 4180; the first line names the columns
	NDJSON               // an object a line
	Lines                // an order number a line, where nothing else is asked for
)

// FormatOf gives the format of a media type, as in Content-Type.
func FormatOf(mediaType string) (f Format, known bool) {
	kind, _, err := mime.ParseMediaType(mediaType)
	switch {
	case err != nil:
	case kind == "text/csv":
		return CSV, true
	case kind == "application/x-ndjson" || kind == "application/ndjson" || kind == "application/jsonl":
		return NDJSON, true
	case kind == "text/plain":
		return Lines, true
	}
	return 0, false
}

// Bounds of files that are read. Readers leave MaxBytes to their callers.
const (
	MaxBytes     = 64 << 20
	MaxRows      = 500_000 // orders; one more is a problem of its row
	maxLineBytes = 16 << 10
	// MaxTold is how many bad rows are told in full; the rest are counted.
	MaxTold = 10_000
)

// Row is an order that a file names, and what it says of it.
type Row struct {
	Line              int // from 1
	OrderNo           string
	Carrier, Tracking string // "" where only orders are asked for
}

// Problem is what is wrong with a row.
type Problem struct {
	Line    int // from 1
	Message string
}

// Problems are why a file was not taken. It is an error.
type Problems struct {
	Told  []Problem // in the order of their lines, at most MaxTold
	Count int       // in all
}

func (p *Problems) Error() string {
	if p.Count == 1 {
		return fmt.Sprintf("line %d: %s", p.Told[0].Line, p.Told[0].Message)
	}
	return fmt.Sprintf("%d rows are wrong, the first is line %d: %s", p.Count, p.Told[0].Line, p.Told[0].Message)
}

func (p *Problems) add(line int, format string, args ...any) {
	if p.Count++; len(p.Told) < MaxTold {
		p.Told = append(p.Told, Problem{line, fmt.Sprintf(format, args...)})
	}
}

// err gives p as an error, the problems in the order of their lines; nil if there are none.
func (p *Problems) err() error {
	if p.Count == 0 {
		return nil
	}
	slices.SortStableFunc(p.Told, func(a, b Problem) int { return a.Line - b.Line })
	return p
}

// The columns that are looked for. Others are passed over: a warehouse sends the export
// back with two columns filled in.
const (
	columnOrder    = "order_no"
	columnCarrier  = "carrier"
	columnTracking = "tracking"
)

// reading is a file as it is read.
type reading struct {
	parcels bool // rows must have a carrier and a tracking number
	rows    []Row
	lines   map[string]int // where an order was named first
	Problems
}

// ReadParcels reads which carrier has taken which order, with its tracking number:
// columns or members order_no, carrier and tracking, the latter two of 1 to
// engine.MaxParcelBytes. Rows come in the order of the file, each order once, and are the
// caller's. Errors: *Problems if rows are wrong, else from's.
func ReadParcels(from io.Reader, f Format) ([]Row, error) { return read(from, f, true) }

// ReadOrders reads order numbers: a column or member order_no, or a number a line; else as
// ReadParcels.
func ReadOrders(from io.Reader, f Format) ([]Row, error) { return read(from, f, false) }

func read(from io.Reader, f Format, parcels bool) ([]Row, error) {
	r := &reading{parcels: parcels, lines: map[string]int{}}
	in := bufio.NewReaderSize(from, maxLineBytes)
	switch head, err := in.Peek(3); {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.Equal(head, []byte("\xef\xbb\xbf")):
		_, _ = in.Discard(3) // they are there
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		r.add(1, "the file is in UTF-16; save it as UTF-8")
		return nil, r.err()
	}
	var err error
	switch {
	case f == CSV:
		err = r.csv(in)
	case f == Lines && parcels:
		r.add(1, "plain lines have no carrier and no tracking number; send CSV or NDJSON with order_no, carrier and "+
			"tracking")
	default:
		err = r.plain(in, f)
	}
	if err != nil {
		return nil, err
	}
	return r.rows, r.err()
}

// plain reads an order or an object a line. Empty lines are passed over.
func (r *reading) plain(in *bufio.Reader, f Format) error {
	for no := 1; ; no++ {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		text := string(bytes.TrimSpace(line))
		switch {
		case long:
			r.add(no, "the line is longer than %d bytes", maxLineBytes)
		case text == "":
		case f == Lines:
			r.row(Row{Line: no, OrderNo: text})
		default:
			r.object(no, text)
		}
		if err != nil {
			return nil
		}
	}
}

func (r *reading) object(no int, text string) {
	var row struct {
		OrderNo  string `json:"order_no"`
		Carrier  string `json:"carrier"`
		Tracking string `json:"tracking"`
	}
	if wrong := input.Object([]byte(text), &row, false); wrong != "" {
		such := `{"order_no":"…"}`
		if r.parcels {
			such = `{"order_no":"…","carrier":"…","tracking":"…"}`
		}
		r.add(no, "the line is no object like %s: %s", such, wrong)
		return
	}
	r.row(Row{no, row.OrderNo, row.Carrier, row.Tracking})
}

func (r *reading) csv(in *bufio.Reader) error {
	records := csv.NewReader(in)
	records.FieldsPerRecord, records.ReuseRecord = -1, true
	var at map[string]int
	columns := 0
	for {
		record, err := records.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if at == nil {
				r.add(1, "the file is empty; its first line must name the columns: %s", r.wanted())
			}
			return nil
		case errors.As(err, &parse):
			r.add(parse.Line, "the line is no CSV: %s", parse.Err)
			if at == nil {
				return drained(in)
			}
			continue
		case err != nil:
			return err
		}
		no, _ := records.FieldPos(0)
		if at == nil {
			if at, columns = r.header(no, record), len(record); at == nil {
				return drained(in)
			}
			continue
		}
		if !slices.ContainsFunc(record, func(cell string) bool { return strings.TrimSpace(cell) != "" }) {
			continue // as spreadsheets leave them behind
		}
		if len(record) > columns { // cells may be in columns that are not theirs
			r.add(no, "the line has %d columns, and the first line names %d; quote what has a comma in it", len(record),
				columns)
			continue
		}
		cell := func(name string) string {
			if i, there := at[name]; there && i < len(record) {
				return record[i]
			}
			return ""
		}
		r.row(Row{no, cell(columnOrder), cell(columnCarrier), cell(columnTracking)})
	}
}

// drained reads what is left of a file, so that whoever sends it hears what is wrong with
// it, and not that nobody listens.
func drained(in io.Reader) error {
	_, err := io.Copy(io.Discard, in)
	return err
}

func (r *reading) wanted() string {
	if r.parcels {
		return "order_no, carrier, tracking"
	}
	return columnOrder
}

// header reads where the columns are; nil if one is missing, or there twice.
func (r *reading) header(no int, record []string) map[string]int {
	at := map[string]int{}
	for i, name := range record {
		name = strings.ToLower(strings.TrimSpace(name))
		if name != columnOrder && name != columnCarrier && name != columnTracking {
			continue
		}
		if _, twice := at[name]; twice {
			r.add(no, "the column %s is there twice", name)
			return nil
		}
		at[name] = i
	}
	for name := range strings.SplitSeq(r.wanted(), ", ") {
		if _, there := at[name]; !there {
			r.add(no, "the first line must name the columns %s, separated by commas (others may stand beside them); "+
				"%s is missing",
				r.wanted(), name)
			return nil
		}
	}
	return at
}

// spoilt is a long number as a spreadsheet shows it: its last digits are gone.
var spoilt = regexp.MustCompile(`^\d([.,]\d+)?[eE]\+?\d+$`)

// row checks what can be checked without the orders, and takes the row in.
func (r *reading) row(row Row) {
	row.OrderNo, row.Carrier, row.Tracking = strings.TrimSpace(row.OrderNo), strings.TrimSpace(row.Carrier),
		strings.TrimSpace(row.Tracking)
	switch {
	case row.OrderNo == "":
		r.add(row.Line, "the order_no is missing")
		return
	case !engine.ValidID(row.OrderNo):
		r.add(row.Line, "%q is no order number", clip(row.OrderNo))
		return
	}
	if first, twice := r.lines[row.OrderNo]; twice {
		r.add(row.Line, "the order %s is in the file twice: it is on line %d, too", row.OrderNo, first)
		return
	}
	r.lines[row.OrderNo] = row.Line
	if r.parcels {
		for _, cell := range [...]struct{ name, text string }{{columnCarrier, row.Carrier},
			{columnTracking, row.Tracking}} {
			if wrong := wrongText(cell.text); wrong != "" {
				r.add(row.Line, "the %s of order %s %s", cell.name, row.OrderNo, wrong)
				return
			}
		}
		if spoilt.MatchString(row.Tracking) {
			r.add(row.Line, "the tracking number of order %s is %s: a spreadsheet has cut off its last digits; format "+
				"the column as text, and fill it in again", row.OrderNo, row.Tracking)
			return
		}
	}
	if len(r.rows) == MaxRows {
		r.add(row.Line, "a file may have %d rows, and here is one more", MaxRows)
		return
	}
	r.rows = append(r.rows, row)
}

// wrongText says what is wrong with the name of a carrier or a tracking number, "" if
// nothing.
func wrongText(text string) string {
	switch {
	case text == "":
		return "is missing"
	case !utf8.ValidString(text):
		return "is not UTF-8; save the file as UTF-8"
	case len(text) > engine.MaxParcelBytes:
		return fmt.Sprintf("has %d bytes; there may be %d", len(text), engine.MaxParcelBytes)
	case input.OneLine(text) != "":
		return "has a character that does not show"
	}
	return ""
}

func clip(s string) string {
	if len(s) > engine.MaxIDBytes {
		return s[:engine.MaxIDBytes] + "…"
	}
	return s
}
