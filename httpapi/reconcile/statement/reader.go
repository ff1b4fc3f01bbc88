package statement

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"doorbuster/httpapi/input"
)

// Bounds of a statement. They keep memory bounded, whatever is sent.
const (
	MaxBytes     = 4 << 30 // 214 for each of MaxLines
	MaxLineBytes = 8 << 10
	MaxLines     = 20_000_000
	// MaxCurrencies and MaxDays are how many different ones the lines have: whoever
	// totals a statement keeps sums for each currency and day. Days are those of UTC.
	MaxCurrencies = 64
	MaxDays       = 1_000
	maxColumns    = 64
)

// Format is how a statement is written.
type Format string

// Formats.
const (
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// Reader gives the rows of a statement one by one. It is for one goroutine.
type Reader struct {
	from   *bufio.Reader
	format Format
	line   int64        // of the last one read
	at     [columns]int // where a column stands in a line; -1: nowhere
	width  int          // columns of the header
	filter *Filter
	cells  []string
}

// Open begins to read a statement: it finds the format out, and reads the header
// where there is one. Rows that filter leaves out are Foreign. The error is a *Malformed, or that of from.
func Open(from io.Reader, filter *Filter) (*Reader, error) {
	r := &Reader{filter: filter, from: bufio.NewReaderSize(from, max(MaxLineBytes+2, 256<<10))}
	head, err := r.from.Peek(8)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if wrong := foreign(head); wrong != "" {
		return nil, &Malformed{Problems: []Problem{{0, wrong}}}
	}
	if bytes.HasPrefix(head, bomUTF8) {
		_, _ = r.from.Discard(len(bomUTF8)) // it was peeked at
	}
	for { // the first line that says anything
		first, err := r.nextLine()
		var problem *lineProblem
		switch {
		case err == io.EOF:
			return nil, &Malformed{Problems: []Problem{{0, "the file is empty"}}}
		case errors.As(err, &problem):
			return nil, &Malformed{Problems: []Problem{problem.Problem}}
		case err != nil:
			return nil, err
		case len(first) == 0:
			continue
		case first[0] == '{':
			r.format = NDJSON
			return r.again(first), nil
		}
		r.format = CSV
		if wrong := r.readHeader(string(first)); wrong != "" {
			return nil, &Malformed{Problems: []Problem{{r.line, wrong}}}
		}
		return r, nil
	}
}

// again has the line that told the format read once more.
func (r *Reader) again(first []byte) *Reader {
	line := append(bytes.Clone(first), '\n')
	r.from = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(line), r.from), max(MaxLineBytes+2, 256<<10))
	r.line--
	return r
}

var bomUTF8 = []byte("\xef\xbb\xbf")

// foreign names what begins as no text in UTF-8 does; "" if it may be one.
func foreign(head []byte) string {
	for _, known := range [...]struct{ begins, what string }{
		{"\xff\xfe\x00\x00", "it is written in UTF-32"}, {"\x00\x00\xfe\xff", "it is written in UTF-32"},
		{"\xff\xfe", "it is written in UTF-16"}, {"\xfe\xff", "it is written in UTF-16"},
		{"\x1f\x8b", "it is compressed with gzip"}, {"\x28\xb5\x2f\xfd", "it is compressed with zstd"},
		{"BZh", "it is compressed with bzip2"},
		{"PK\x03\x04", "it is a zip archive or a workbook"}, {"%PDF", "it is a PDF"},
		{"\xd0\xcf\x11\xe0", "it is a workbook"},
	} {
		if bytes.HasPrefix(head, []byte(known.begins)) {
			return known.what + "; a statement is CSV or NDJSON, plain text in UTF-8"
		}
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return "it has zero bytes: it is written in UTF-16, or is no text; a statement is CSV or NDJSON, plain text " +
			"in UTF-8"
	}
	return ""
}

// lineProblem is what is wrong with one line; the next may be read.
type lineProblem struct{ Problem }

func (p *lineProblem) Error() string { return p.String() }

func (r *Reader) wrong(format string, args ...any) error {
	return &lineProblem{Problem{r.line, fmt.Sprintf(format, args...)}}
}

// nextLine gives the next line without its end. It is valid until the next call.
func (r *Reader) nextLine() ([]byte, error) {
	line, err := r.from.ReadSlice('\n')
	if len(line) == 0 && err != nil {
		return nil, err
	}
	r.line++
	if r.line > MaxLines {
		return nil, &Malformed{Problems: []Problem{{r.line,
			fmt.Sprintf("a statement has at most %d lines; split it, by day for instance", MaxLines)}}}
	}
	switch {
	case err == bufio.ErrBufferFull:
		for err == bufio.ErrBufferFull {
			_, err = r.from.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, r.wrong("it has over %d bytes", MaxLineBytes)
	case err == io.EOF:
		return nil, r.wrong("it has no end: the file may have been cut off here; if it is whole, end this line too")
	case err != nil:
		return nil, err
	case len(line) > MaxLineBytes:
		return nil, r.wrong("it has over %d bytes", MaxLineBytes)
	}
	line = bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})
	if !utf8.Valid(line) {
		at := 0
		for rest := line; ; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n == 1 {
				break
			}
			at, rest = at+n, rest[n:]
		}
		return nil, r.wrong("byte %d (0x%02x) is not UTF-8; if the file is in GB 18030 or another encoding, convert "+
			"it: iconv -f GB18030 -t UTF-8", at+1, line[at])
	}
	if i := bytes.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); i >= 0 {
		return nil, r.wrong("byte %d is a control character (0x%02x)", i+1, line[i])
	}
	return line, nil
}

// readHeader finds the columns, or says what is wrong with the header.
func (r *Reader) readHeader(line string) string {
	const wanted = "a statement begins with the header payment_id,order_no,amount,currency,kind,at (and " +
		"transaction_id and refund_id, if they are known), in any order, or is NDJSON"
	var wrong string
	if r.cells, wrong = splitCSV(r.cells[:0], line); wrong != "" {
		return "the header can't be read: " + wrong + "; " + wanted
	}
	if len(r.cells) > maxColumns {
		return fmt.Sprintf("the header has %d columns; at most %d are read", len(r.cells), maxColumns)
	}
	if len(r.cells) == 1 && strings.ContainsAny(line, ";\t|") && strings.Contains(line, columnNames[colPayment]) {
		return "the columns of the header are not separated by commas; " + wanted
	}
	r.width = len(r.cells)
	var missing []string
	for i, name := range columnNames {
		r.at[i] = slices.Index(r.cells, name)
		if r.at[i] < 0 && i < colTransaction {
			missing = append(missing, name)
		}
		if r.at[i] >= 0 && slices.Contains(r.cells[r.at[i]+1:], name) {
			return "the header has the column " + name + " twice; " + wanted
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("the header %s lacks %s; %s", quoted(line), strings.Join(missing, ", "), wanted)
	}
	return ""
}

// splitCSV appends the cells of a line to cells, as RFC 4180 has them; a cell has
// no line ends within.
func splitCSV(cells []string, line string) (_ []string, wrong string) {
	for {
		if !strings.HasPrefix(line, `"`) {
			cell, rest, more := strings.Cut(line, ",")
			if strings.Contains(cell, `"`) {
				return cells, fmt.Sprintf("there is a quote within %s", quoted(cell))
			}
			cells = append(cells, cell)
			if !more {
				return cells, ""
			}
			line = rest
			continue
		}
		line = line[1:]
		var whole strings.Builder
		for {
			part, rest, closed := strings.Cut(line, `"`)
			if !closed {
				return cells, "a quote is not closed"
			}
			whole.WriteString(part)
			if line = rest; !strings.HasPrefix(line, `"`) {
				break
			}
			whole.WriteByte('"')
			line = line[1:]
		}
		cells = append(cells, whole.String())
		if line == "" {
			return cells, ""
		}
		if line[0] != ',' {
			return cells, "there is text behind a closing quote"
		}
		line = line[1:]
	}
}

// Next reads the next row. Errors: io.EOF at the end, one that says what is wrong
// with the line, after which the next may be read, or a *Malformed or that of the
// reader below, after which nothing can.
func (r *Reader) Next(row *Row) error {
	for {
		line, err := r.nextLine()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		var v [columns]string
		var wrong, notOurs string
		if r.format == CSV {
			wrong, notOurs = r.cut(string(line), &v)
		} else {
			wrong = members(line, &v)
		}
		*row = Row{Line: r.line}
		if wrong == "" && notOurs == "" {
			notOurs = r.filter.notOurs(&v)
		}
		switch {
		case notOurs != "":
			row.foreign(notOurs, &v)
		case wrong == "":
			wrong = row.fill(&v)
		}
		if wrong != "" {
			return r.wrong("%s", wrong)
		}
		return nil
	}
}

// cut gives the columns of a CSV line, or says what is wrong with it, or why it can't
// be ours: lines of sums need not have the columns of the others.
func (r *Reader) cut(line string, v *[columns]string) (wrong, notOurs string) {
	if r.cells, wrong = splitCSV(r.cells[:0], line); wrong != "" {
		return wrong, ""
	}
	if len(r.cells) != r.width {
		if isBlankOrTotal(r.cells) && !slices.ContainsFunc(r.cells, couldBeOrder) {
			return "", "total, or an empty row"
		}
		return fmt.Sprintf("it has %d columns, the header has %d", len(r.cells), r.width), ""
	}
	for i, at := range r.at {
		if at >= 0 {
			v[i] = r.cells[at]
		}
	}
	return "", ""
}

// members gives the columns of an NDJSON line. Members of other names are ignored.
func members(line []byte, v *[columns]string) (wrong string) {
	var object struct {
		PaymentID   json.RawMessage `json:"payment_id"`
		OrderNo     json.RawMessage `json:"order_no"`
		Amount      json.RawMessage `json:"amount"`
		Currency    json.RawMessage `json:"currency"`
		Kind        json.RawMessage `json:"kind"`
		At          json.RawMessage `json:"at"`
		Transaction json.RawMessage `json:"transaction_id"`
		Refund      json.RawMessage `json:"refund_id"`
	}
	if wrong := input.Object(line, &object, false); wrong != "" {
		return wrong
	}
	for i, raw := range [columns]json.RawMessage{object.PaymentID, object.OrderNo, object.Amount, object.Currency,
		object.Kind, object.At, object.Transaction, object.Refund} {
		switch {
		case len(raw) == 0 || string(raw) == "null":
		case raw[0] == '"':
			_ = json.Unmarshal(raw, &v[i]) // it is a string of a whole object
		case raw[0] == '{' || raw[0] == '[':
			return fmt.Sprintf("the member %s must be a string or a number", columnNames[i])
		default:
			v[i] = string(raw)
		}
	}
	return ""
}
