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

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"

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

// Reader gives the rows of a statement one by one. It is for one goroutine.
type Reader struct {
	from   *bufio.Reader
	format Format
	line   int64 // of the last one read
	how    *Reading
	cells  []string

	at    [columns]int // of our own CSV: where a column stands in a line; -1: nowhere
	width int          // columns of the header

	table   *table // nil for our own formats
	looking bool   // for the header
	unended bool   // the last line read had no line feed
	text    encodings
	wasGBK  bool // the last line read was
	gbk     *encoding.Decoder
	decoded []byte
}

// encodings are how the text of a statement may be encoded.
type encodings uint8

const (
	onlyUTF8 encodings = iota
	onlyGBK
	asSeen // UTF-8 where a line may be that, or else GBK
)

// Open begins to read a statement: it finds the format out, as far as how leaves it open,
// and reads the header where there is one. Rows that how leaves out are Foreign. The error
// is a *Malformed, or that of from.
func Open(from io.Reader, how *Reading) (*Reader, error) {
	r := &Reader{how: how, from: bufio.NewReaderSize(from, max(MaxLineBytes+2, 256<<10))}
	head, err := r.from.Peek(8)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if wrong := foreign(head); wrong != "" {
		return nil, &Malformed{Problems: []Problem{{0, wrong}}}
	}
	marked := bytes.HasPrefix(head, bomUTF8)
	if marked {
		_, _ = r.from.Discard(len(bomUTF8)) // it was peeked at
	}
	if how.As == "" || how.As == CSV {
		return r.openOurs()
	}
	return r.openTable(marked)
}

// openOurs begins to read a statement in one of our own formats.
func (r *Reader) openOurs() (*Reader, error) {
	for { // the first line that says anything
		first, err := r.nextLine()
		switch {
		case err != nil:
			return nil, atHeader(err)
		case len(first) == 0:
			continue
		}
		return r.ours(first)
	}
}

// ours begins with a first line of our own formats.
func (r *Reader) ours(first []byte) (*Reader, error) {
	if first[0] == '{' {
		r.format = NDJSON
		return r.again(first), nil
	}
	r.format = CSV
	if wrong := r.readHeader(string(first)); wrong != "" {
		return nil, &Malformed{Problems: []Problem{{r.line, wrong}}}
	}
	return r, nil
}

// atHeader is what an error before the first row comes to.
func atHeader(err error) error {
	var problem *lineProblem
	switch {
	case err == io.EOF:
		return &Malformed{Problems: []Problem{{0, "the file is empty"}}}
	case errors.As(err, &problem):
		return &Malformed{Problems: []Problem{problem.Problem}}
	}
	return err
}

// mostBefore is how many lines there may be before the header of a table.
const mostBefore = 64

// openTable looks for the header of a table.
func (r *Reader) openTable(marked bool) (*Reader, error) {
	layouts := r.how.layouts()
	var least []string // that the line most like a header lacks, where one format is asked for
	if r.looking = true; !marked {
		r.text = asSeen
	}
	for range mostBefore {
		line, err := r.nextLine()
		if err == io.EOF && r.line > 0 {
			break
		}
		if err != nil {
			return nil, atHeader(err)
		}
		text := string(line)
		if r.how.As == Auto && r.maybeOurs(text) {
			r.looking, r.text = false, onlyUTF8
			if r.unended {
				return nil, atHeader(r.noEnd())
			}
			return r.ours([]byte(text))
		}
		var found []string
		for i := range layouts {
			p := &layouts[i]
			cells, wrong := p.split(nil, text)
			if wrong != "" || len(cells) > maxColumns {
				continue
			}
			t, lacks := p.match(cells)
			if t != nil {
				r.table, r.format = t, p.Format
				found = append(found, string(p.Format))
			} else if least == nil || len(lacks) < len(least) {
				least = lacks
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			r.looking = false
			r.settleEncoding(line, marked)
			return r, nil
		}
		return nil, &Malformed{Problems: []Problem{{r.line, "its header is that of " + strings.Join(found, " and ") +
			"; say which it is (--format)"}}}
	}
	says := "none of its first lines is the header of a format that is known: " +
		strings.Join(Formats()[1:], ", ") + "; map the columns of another (--format map:FILE)"
	if r.how.As != Auto {
		says = fmt.Sprintf("none of its first lines is the header of %s: the one most like it lacks %s", r.how.As,
			strings.Join(least, ", "))
	}
	return nil, &Malformed{Problems: []Problem{{0, says}}}
}

// maybeOurs reports whether a first line is of one of our own formats.
func (r *Reader) maybeOurs(line string) bool {
	if strings.HasPrefix(line, "{") {
		return true
	}
	cells, _ := splitCSV(nil, line, ",")
	return slices.Contains(cells, columnNames[colPayment])
}

// settleEncoding decides by the header how the rows are encoded.
func (r *Reader) settleEncoding(header []byte, marked bool) {
	ascii := !bytes.ContainsFunc(header, func(c rune) bool { return c >= utf8.RuneSelf })
	switch {
	case marked || !ascii && !r.wasGBK, ascii && r.table.Encoding != "gbk":
		r.text = onlyUTF8
	default:
		r.text = onlyGBK
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
			return known.what + "; a statement is plain text, or a zip archive of one"
		}
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return "it has zero bytes: it is written in UTF-16, or is no text; a statement is plain text, or a zip " +
			"archive of one"
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
	case err != nil && err != io.EOF:
		return nil, err
	case len(line) > MaxLineBytes:
		return nil, r.wrong("it has over %d bytes", MaxLineBytes)
	case err == io.EOF && r.table == nil && !r.looking:
		return nil, r.noEnd()
	}
	r.unended = err == io.EOF
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
	valid := utf8.Valid(line)
	r.wasGBK = r.text == onlyGBK || r.text == asSeen && !valid
	if r.wasGBK {
		if line, err = r.fromGBK(line); err != nil {
			return nil, err
		}
	} else if !valid {
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
	for i, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, r.wrong("byte %d is a control character (0x%02x)", i+1, c)
		}
	}
	return line, nil
}

func (r *Reader) noEnd() error {
	return r.wrong("it has no end: the file may have been cut off here; if it is whole, end this line too")
}

// fromGBK decodes a line in GB 18030, of which GBK is a part.
func (r *Reader) fromGBK(line []byte) ([]byte, error) {
	if r.gbk == nil {
		r.gbk = simplifiedchinese.GB18030.NewDecoder()
		r.decoded = make([]byte, 3*MaxLineBytes) // no byte comes to more
	}
	r.gbk.Reset()
	n, _, err := r.gbk.Transform(r.decoded, line, true)
	if at := bytes.IndexRune(r.decoded[:n], utf8.RuneError); err != nil || at >= 0 {
		return nil, r.wrong("it is neither UTF-8 nor GBK (GB 18030)")
	}
	return r.decoded[:n], nil
}

// readHeader finds the columns, or says what is wrong with the header.
func (r *Reader) readHeader(line string) string {
	const wanted = "a statement begins with the header payment_id,order_no,amount,currency,kind,at (and " +
		"transaction_id and refund_id, if they are known), in any order, or is NDJSON"
	var wrong string
	if r.cells, wrong = splitCSV(r.cells[:0], line, ","); wrong != "" {
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

// splitCSV appends the cells of a line to cells, as RFC 4180 has them, between
// separators of one character; a cell has no line ends within.
func splitCSV(cells []string, line, separator string) (_ []string, wrong string) {
	for {
		if !strings.HasPrefix(line, `"`) {
			cell, rest, more := strings.Cut(line, separator)
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
		if line[0] != separator[0] {
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
		if err == io.EOF && r.table != nil && !r.table.over {
			r.table.over = true
			if wrong := r.table.end(); wrong != "" {
				return r.wrong("%s", wrong)
			}
		}
		if err != nil {
			if r.table != nil {
				r.table.bad = true
			}
			return err
		}
		if len(line) == 0 {
			continue
		}
		*row = Row{Line: r.line}
		if r.table != nil {
			wrong, err := r.row(string(line), row)
			if wrong != "" {
				r.table.bad = true
				return r.wrong("%s", wrong)
			}
			if err == errNoRow {
				continue
			}
			return nil
		}
		var v [columns]string
		var wrong, notOurs string
		if r.format == CSV {
			wrong, notOurs = r.cut(string(line), &v)
		} else {
			wrong = members(line, &v)
		}
		if wrong == "" && notOurs == "" {
			notOurs = r.how.notOurs(&v)
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
	if r.cells, wrong = splitCSV(r.cells[:0], line, ","); wrong != "" {
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
		Paid        json.RawMessage `json:"amount_paid"`
		PayType     json.RawMessage `json:"payment_type"`
	}
	if wrong := input.Object(line, &object, false); wrong != "" {
		return wrong
	}
	for i, raw := range [columns]json.RawMessage{object.PaymentID, object.OrderNo, object.Amount, object.Currency,
		object.Kind, object.At, object.Transaction, object.Refund, object.Paid, object.PayType} {
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
