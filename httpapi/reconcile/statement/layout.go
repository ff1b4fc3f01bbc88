package statement

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/plan/tree"
)

// Layout declares how a provider writes its statements: a table of lines, with lines
// before and after it. Formats are these, and whoever has another writes one in YAML.
type Layout struct {
	Separator string `yaml:"separator"` // of cells; a comma if left out
	// Tick stands before each cell of a row. Where there is one, a comma or a quote in a
	// cell is as any other character.
	Tick     string `yaml:"tick"`
	Unquoted bool   `yaml:"unquoted"` // a quote in a cell is as any other character
	// Encoding is utf-8, also if left out, or gbk. A byte order mark, or a header that is
	// only one of them, has the last word.
	Encoding string `yaml:"encoding"`
	// Header and Row are the first cells of header and rows, where lines say what they
	// are. Lines that begin with one of Skip are neither.
	Header string   `yaml:"header"`
	Row    string   `yaml:"row"`
	Skip   []string `yaml:"skip"`
	// Columns name the columns of the statement by those that we read, see layoutFields.
	// Of several the first that is not empty in a row counts.
	Columns map[string]names `yaml:"columns"`
	// Kinds say what rows are: payment, refund or other, by the column kind. A key that
	// ends in * is for all that begin so, and other is not ours. Without the column, money
	// in is a payment and money out a refund.
	Kinds map[string]string `yaml:"kinds"`
	// In and Out are what the column direction says of money that came in, and went out.
	In  string `yaml:"in"`
	Out string `yaml:"out"`
	// Void are what the column state says of rows that nothing came of.
	Void     []string `yaml:"void"`
	Amounts  string   `yaml:"amounts"`  // decimal, also if left out, or minor
	Currency string   `yaml:"currency"` // of all rows, where there is no column
	// PaymentType is how all payments were paid, where there is no column.
	PaymentType string  `yaml:"payment_type"`
	Zone        string  `yaml:"zone"` // of times that do not say theirs
	Time        string  `yaml:"time"` // YYYY-MM-DD hh:mm:ss if left out; ZZ is +0800
	Totals      []Total `yaml:"totals"`
}

// Total declares a line that says what the rows before it come to. A statement that lacks
// it has been cut off.
type Total struct {
	Begins string `yaml:"begins"` // the line does, but for a quote or a tick
	Next   bool   `yaml:"next"`   // it is a header, and the line after it has the figures
	// Figures are what the numbers of the line say, in their order: rows, in, out (money
	// in and out), in rows and out rows (rows with such), or - for what is not checked.
	Figures  []string `yaml:"figures"`
	Optional bool     `yaml:"optional"`
}

// Fields of a layout: the columns that our own statements have, and these.
const (
	fieldRefundAmount  = columns + iota // of refunds, where it has a column of its own
	fieldRefundPayment                  // the payment id in rows of refunds, where it is another column
	fieldDirection
	fieldState
	fieldZone
	fields
)

var layoutFields = append(slices.Clone(columnNames[:]), "refund_amount", "refund_payment_id", "direction", "state",
	"zone")

// mayLack are the fields whose columns need not be in a statement.
var mayLack = []int{colTransaction, colRefund, colPaid, colPayType, fieldRefundPayment, fieldState, fieldZone}

var figures = []string{"rows", "in", "out", "in rows", "out rows", "-"}

// names are a column's, the first that counts before the others.
type names []string

// UnmarshalYAML takes one name, or a list of them.
func (n *names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(n))
	}
	*n = names{""}
	return node.Decode(&(*n)[0])
}

// MaxMapBytes is how long a map may be: it is sent in the query of a request.
const MaxMapBytes = 4 << 10

// ReadMap reads a layout that a user has written in YAML. The error has a line for each
// thing that is wrong, with its number.
func ReadMap(text []byte) (*Layout, error) {
	if len(text) > MaxMapBytes {
		return nil, fmt.Errorf("a map has at most %d bytes", MaxMapBytes)
	}
	l := new(Layout)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(l)
	if err == io.EOF {
		return nil, errors.New("the map is empty")
	}
	if err == nil && d.Decode(new(any)) != io.EOF {
		return nil, errors.New("a map is one document: take out the --- behind it")
	}
	var shape *yaml.TypeError
	switch {
	case errors.As(err, &shape):
		return nil, errors.New(ofType.ReplaceAllString(strings.Join(shape.Errors, "\n"), ""))
	case err != nil:
		line, column, said := tree.NotYAML(text, err)
		return nil, fmt.Errorf("line %d, column %d: %s", line, column, said)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	var errs []error
	for _, wrong := range l.problems() {
		errs = append(errs, fmt.Errorf("line %d: %s", lineOf(root.Content[0], wrong.path), wrong.message))
	}
	return l, errors.Join(errs...)
}

var ofType = regexp.MustCompile(` in type \S+`)

// lineOf gives the line of the last key of a path that there is.
func lineOf(n *yaml.Node, path []string) int {
	line := n.Line
	for _, key := range path {
		var at *yaml.Node
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				line, at = n.Content[i].Line, n.Content[i+1]
			}
		}
		if at == nil {
			break
		}
		n = at
	}
	return line
}

// layoutProblem is one thing that is wrong with a layout, and at which key.
type layoutProblem struct {
	path    []string
	message string
}

// problems is everything that is wrong with a layout.
func (l *Layout) problems() (all []layoutProblem) {
	bad := func(is bool, path []string, format string, args ...any) {
		if is {
			all = append(all, layoutProblem{path, fmt.Sprintf(format, args...)})
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		bad(!slices.Contains(allowed, value), []string{key}, "%s is none of %s", quoted(value),
			strings.Join(allowed[1:], ", "))
	}
	oneOf("encoding", l.Encoding, "", "utf-8", "gbk")
	oneOf("amounts", l.Amounts, "", "decimal", "minor")
	bad(len(l.Separator) > 1 || len(l.Tick) > 1, []string{"separator"}, "separator and tick are one character each")
	bad(len(l.Separator) == 1 && !separates(l.Separator[0]), []string{"separator"}, "%s separates no cells: take "+
		"what is in none of them, such as a comma, a semicolon or a tab", quoted(l.Separator))
	bad(slices.Contains(l.Skip, ""), []string{"skip"}, "skip has \"\", which every line begins with")
	for _, name := range slices.Sorted(maps.Keys(l.Columns)) {
		at := []string{"columns", name}
		bad(!slices.Contains(layoutFields, name), at, "%s is none of %s", quoted(name),
			strings.Join(layoutFields, ", "))
		bad(len(l.Columns[name]) == 0 || slices.Contains(l.Columns[name], ""), at, "a name of a column is empty")
	}
	for _, f := range []int{colPayment, colOrder, colAmount, colAt} {
		bad(!l.has(f), []string{"columns"}, "the column for %s is not named", layoutFields[f])
	}
	bad(l.has(colCurrency) == (l.Currency != ""), []string{"currency"}, "name the column of the currency, or the "+
		"currency of all rows")
	bad(l.Currency != "" && !currency(l.Currency), []string{"currency"},
		"%s is no ISO 4217 code of three capital letters", quoted(l.Currency))
	bad(l.PaymentType != "" && (l.has(colPayType) || !engine.ValidPayType(l.PaymentType)), []string{"payment_type"},
		"name the column of the payment type, or that of all payments, in 1 to %d printable ASCII characters",
		engine.MaxPayTypeBytes)
	bad(l.has(colKind) != (len(l.Kinds) > 0), []string{"kinds"}, "kinds go with a column for kind")
	for _, key := range slices.Sorted(maps.Keys(l.Kinds)) {
		is := l.Kinds[key]
		bad(is != "payment" && is != "refund" && is != "other", []string{"kinds", key},
			"%s is none of payment, refund, other", quoted(is))
	}
	bad(l.has(fieldDirection) != (l.In != "" && l.Out != ""), []string{"in"},
		"in and out go with a column for direction")
	bad(l.has(fieldState) != (len(l.Void) > 0), []string{"void"}, "void goes with a column for state")
	if l.Zone != "" {
		_, err := calendar.Zone(l.Zone)
		bad(err != nil, []string{"zone"}, "%s %v", quoted(l.Zone), err)
	}
	bad(l.Zone == "" && !l.has(fieldZone) && !strings.Contains(l.Time, "ZZ"), []string{"zone"},
		"name the zone of the times, or its column")
	for _, part := range []string{"YYYY", "MM", "DD"} {
		bad(l.Time != "" && strings.Count(l.Time, part) != 1, []string{"time"},
			"a time is written such as YYYY-MM-DD hh:mm:ss ZZ, with %s once", part)
	}
	for _, t := range l.Totals {
		bad(t.Begins == "", []string{"totals"}, "a total does not say what its line begins with")
		for _, f := range t.Figures {
			bad(!slices.Contains(figures, f), []string{"totals"}, "%s is none of %s", quoted(f),
				strings.Join(figures, ", "))
		}
	}
	return all
}

// separates reports whether cells may be told apart by a character: not by one that is in
// their text, quotes them or ends the line.
func separates(c byte) bool {
	letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
	return c < 0x80 && !letter && !strings.ContainsRune("\"\r\n.-", rune(c)) && (c >= ' ' || c == '\t')
}

func (l *Layout) has(field int) bool { return len(l.Columns[layoutFields[field]]) > 0 }
