package statement

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/money"
)

// table is a statement of a layout as it is read.
type table struct {
	*Layout
	at     [fields][]int   // where the columns of a field stand in a row
	named  [fields]string  // as the header has them
	kinds  []string        // keys of Kinds that end in *, without it, the longest first
	layout string          // of times, as Go writes it
	zones  map[string]zone // by what the statement calls them
	width  int             // columns of the header
	sums   sums            // of the rows so far
	said   []bool          // which of Totals were read
	next   int             // the one whose figures the next line has, or -1
	bad    bool            // a row was: totals are not held against the others
	over   bool            // its end is told
}

// zone is a time zone, or why there is none.
type zone struct {
	*time.Location
	wrong string
}

// sums are what rows come to, in minor units.
type sums struct {
	rows, in, out, inRows, outRows int64
	currency                       string
	mixed                          bool // there are several: in and out are not sums
}

func (s *sums) add(in, out int64, currency string) {
	s.mixed = s.mixed || s.rows > 0 && currency != s.currency
	if s.rows++; s.rows == 1 {
		s.currency = strings.Clone(currency)
	}
	s.in, s.out = Plus(s.in, in), Plus(s.out, out)
	if in != 0 {
		s.inRows++
	}
	if out != 0 {
		s.outRows++
	}
}

// match gives the table that has this header, or what it lacks of the layout's.
func (l *Layout) match(cells []string) (t *table, lacks []string) {
	t = &table{Layout: l, width: len(cells), zones: map[string]zone{}, said: make([]bool, len(l.Totals)), next: -1}
	stripped := make([]string, len(cells))
	for i, cell := range cells {
		stripped[i] = l.strip(cell)
	}
	if l.Header != "" && (len(cells) == 0 || stripped[0] != l.Header) {
		lacks = append(lacks, l.Header)
	}
	for f, field := range layoutFields {
		for _, name := range l.Columns[field] {
			i := slices.Index(stripped, name)
			if i < 0 {
				continue
			}
			if slices.Contains(stripped[i+1:], name) {
				lacks = append(lacks, name+" (only once)")
			}
			t.at[f] = append(t.at[f], i)
			t.named[f] = cmp.Or(t.named[f], strings.Clone(name))
		}
		if l.has(f) && len(t.at[f]) == 0 && !slices.Contains(mayLack, f) {
			lacks = append(lacks, l.Columns[field][0])
		}
	}
	if len(lacks) > 0 {
		return nil, lacks
	}
	for _, key := range slices.SortedFunc(maps.Keys(l.Kinds), func(a, b string) int { return len(b) - len(a) }) {
		if begins, all := strings.CutSuffix(key, "*"); all {
			t.kinds = append(t.kinds, begins)
		}
	}
	t.layout = strings.NewReplacer("YYYY", "2006", "MM", "01", "DD", "02", "hh", "15", "mm", "04", "ss", "05",
		"ZZ", "-0700").Replace(cmp.Or(l.Time, "YYYY-MM-DD hh:mm:ss"))
	return t, nil
}

// strip takes padding off a cell.
func (l *Layout) strip(cell string) string {
	return strings.Trim(strings.TrimPrefix(strings.Trim(cell, " \t"), l.Tick), " \t")
}

// split cuts a line into cells.
func (l *Layout) split(cells []string, line string) (_ []string, wrong string) {
	separator := cmp.Or(l.Separator, ",")
	switch {
	case l.Tick != "" && strings.HasPrefix(line, l.Tick):
		line, separator = line[len(l.Tick):], separator+l.Tick
	case !l.Unquoted || strings.HasPrefix(line, `"`):
		return splitCSV(cells, line, separator)
	}
	for {
		cell, rest, more := strings.Cut(line, separator)
		cells = append(cells, cell)
		if !more {
			return cells, ""
		}
		line = rest
	}
}

// beyond tells what a line is that is no row: none of the table's, or totals, which are
// held against its rows.
func (t *table) beyond(line string) (is bool, wrong string) {
	if t.next >= 0 {
		of := t.next
		t.next = -1
		return true, t.check(of, line)
	}
	bare := strings.TrimLeft(line, "\"`")
	for i := range t.Totals {
		of := &t.Totals[i]
		figures, ok := strings.CutPrefix(bare, of.Begins)
		switch {
		case !ok:
			continue
		case of.Next:
			t.next = i
			return true, ""
		}
		return true, t.check(i, figures)
	}
	return slices.ContainsFunc(t.Skip, func(begin string) bool { return strings.HasPrefix(bare, begin) }), ""
}

var number = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?`)

// check holds the figures of a line of totals against the rows.
func (t *table) check(of int, line string) (wrong string) {
	total := &t.Totals[of]
	t.said[of] = true
	said := number.FindAllString(line, -1)
	if len(said) < len(total.Figures) {
		return fmt.Sprintf("its totals (%s) have %d numbers, and there should be %d", total.Begins, len(said),
			len(total.Figures))
	}
	s := &t.sums
	for i, figure := range total.Figures {
		have, decimals := map[string]int64{"rows": s.rows, "in": s.in, "out": s.out, "in rows": s.inRows,
			"out rows": s.outRows}[figure], 0
		if figure == "in" || figure == "out" {
			decimals = t.decimals(s.currency)
		}
		if figure == "-" || t.bad || s.mixed && (figure == "in" || figure == "out") {
			continue
		}
		figureSaid, ok := money.Minor(said[i], decimals)
		if figure == "out" {
			figureSaid = max(figureSaid, -figureSaid)
		}
		if !ok || figureSaid != have {
			return fmt.Sprintf("its totals (%s) say %s for %s, and its rows come to %s: lines are missing, or too many",
				total.Begins, said[i], figureNames[figure], money.Text(have, decimals))
		}
	}
	return ""
}

var figureNames = map[string]string{"rows": "the number of rows", "in": "money in", "out": "money out",
	"in rows": "the number of rows with money in", "out rows": "the number of rows with money out"}

// decimals are how many an amount has, in what the statement calls a unit.
func (t *table) decimals(currency string) int {
	if t.Amounts == "minor" {
		return 0
	}
	return money.Decimals(currency)
}

// end says which totals a statement lacks at its end.
func (t *table) end() (wrong string) {
	for i, said := range t.said {
		if total := &t.Totals[i]; (!said || t.next == i) && !total.Optional {
			return fmt.Sprintf("it ends without its totals (%s): it may have been cut off", total.Begins)
		}
	}
	return ""
}

// errNoRow: a line of a table is none of its rows.
var errNoRow = errors.New("no row")

// row reads a line: a row, or errNoRow, or what is wrong with it.
func (r *Reader) row(line string, row *Row) (wrong string, err error) {
	t := r.table
	if is, wrong := t.beyond(line); is {
		return wrong, errNoRow
	}
	cells, wrong := t.split(r.cells[:0], line)
	r.cells = cells
	switch {
	case wrong != "":
		return wrong, nil
	case t.Header != "" && cells[0] == t.Header: // a part of the table begins
		wrong := t.end()
		next, lacks := t.match(cells)
		if next == nil {
			return "the header lacks " + strings.Join(lacks, ", "), errNoRow
		}
		next.bad, r.table = t.bad, next
		return wrong, errNoRow
	case t.Row != "" && cells[0] != t.Row:
		return fmt.Sprintf("it begins with %s, which is nothing that this format has", quoted(cells[0])), nil
	case len(cells) != t.width && isBlankOrTotal(cells) && !slices.ContainsFunc(cells, couldBeOrder):
		row.NotOurs = "total, or an empty row"
	case len(cells) != t.width:
		return fmt.Sprintf("it has %d columns, the header has %d", len(cells), t.width), nil
	case slices.Contains(t.said, true):
		return "it is a row behind the totals", nil
	default:
		return t.fill(cells, row, r.how), nil
	}
	row.Kind = Foreign
	return "", nil
}

// fill reads the cells of a row, or says what is wrong with the first bad one.
func (t *table) fill(cells []string, row *Row, how *Reading) (wrong string) {
	value := func(field int) string {
		for _, i := range t.at[field] {
			if cell := t.strip(cells[i]); cell != "" {
				return cell
			}
		}
		return ""
	}
	v := [columns]string{colPayment: value(colPayment), colOrder: value(colOrder), colKind: value(colKind),
		colCurrency: t.Currency, colTransaction: value(colTransaction), colAt: value(colAt),
		colPayType: t.PaymentType}
	if t.PaymentType == "" {
		v[colPayType] = value(colPayType)
	}
	if t.Currency == "" {
		v[colCurrency] = strings.ToUpper(value(colCurrency))
	}
	in, out, wrong := t.money(value, v[colCurrency])
	if wrong != "" {
		return wrong
	}
	kind, known := t.kind(v[colKind])
	if !known {
		return fmt.Sprintf("the %s %s is no kind of row that this format has", t.named[colKind], quoted(v[colKind]))
	}
	if !t.has(colKind) && out > 0 {
		kind = Refund
	}
	if kind == Refund && in > 0 && !t.has(fieldRefundAmount) && !t.has(fieldDirection) {
		in, out = 0, in
	}
	t.sums.add(in, out, v[colCurrency])
	row.Kind, row.Amount = kind, in
	if kind == Refund {
		row.Amount = out
	}
	if row.NotOurs = t.notOurs(&v, row, value(fieldState), how); row.NotOurs != "" {
		row.Kind, row.Amount = Foreign, in-out
		if currency(v[colCurrency]) {
			row.Currency = v[colCurrency]
		}
		return ""
	}
	if kind == Refund {
		v[colRefund], v[colPayType] = value(colRefund), ""
		if t.has(fieldRefundPayment) {
			v[colPayment] = value(fieldRefundPayment)
		}
	}
	names := (*[columns]string)(t.named[:columns])
	switch wrong := row.identify(&v, names); {
	case wrong != "":
		return wrong
	case row.Amount == 0 && in+out > 0:
		return fmt.Sprintf("the row is a %s, and its money goes the other way", kind)
	case row.Amount > maxAmount:
		return fmt.Sprintf("the amount %d is over %d, more than any order comes to", row.Amount, int64(maxAmount))
	}
	if text := value(colPaid); text != "" && kind == Payment {
		paid, ok := money.Minor(text, t.decimals(row.Currency))
		if !ok {
			return fmt.Sprintf("the %s %s is no amount such as %s", t.named[colPaid], quoted(text),
				money.Text(4900, t.decimals(row.Currency)))
		}
		if wrong := row.paid(paid, t.named[colPaid]); wrong != "" {
			return wrong
		}
	}
	row.At, wrong = t.time(v[colAt], value(fieldZone))
	return wrong
}

// money gives what a row says came in, or went out.
func (t *table) money(value func(int) string, currency string) (in, out int64, wrong string) {
	read := func(field int) (amount int64) {
		text := value(field)
		amount, ok := money.Minor(text, t.decimals(currency))
		if !ok {
			wrong = fmt.Sprintf("the %s %s is no amount such as %s", t.named[field], quoted(text),
				money.Text(4900, t.decimals(currency)))
		}
		return amount
	}
	in = read(colAmount)
	if t.has(fieldRefundAmount) {
		out = read(fieldRefundAmount)
		return in, max(out, -out), wrong
	}
	goes := value(fieldDirection)
	switch {
	case t.has(fieldDirection) && goes != t.In && goes != t.Out:
		return 0, 0, fmt.Sprintf("the %s %s is neither %s nor %s", t.named[fieldDirection], quoted(goes), t.In, t.Out)
	case goes != "" && goes == t.Out:
		return 0, max(in, -in), wrong
	case in < 0:
		return 0, -in, wrong
	}
	return in, 0, wrong
}

// kind gives what Kinds say of a row.
func (t *table) kind(says string) (_ Kind, known bool) {
	is, known := t.Kinds[says]
	for i := 0; !known && i < len(t.kinds); i++ {
		if known = strings.HasPrefix(says, t.kinds[i]); known {
			is = t.Kinds[t.kinds[i]+"*"]
		}
	}
	switch {
	case is == "refund":
		return Refund, true
	case is == "payment", !t.has(colKind):
		return Payment, true
	}
	return Foreign, known
}

// notOurs tells why a row can't be about an order of ours; "" for what could be.
func (t *table) notOurs(v *[columns]string, row *Row, state string, how *Reading) (why string) {
	why = how.leftOut(v)
	switch {
	case why != "":
		return why
	case row.Kind == Foreign:
		return "another kind of row than payments and refunds"
	case slices.Contains(t.Void, state):
		return "nothing came of it"
	case row.Amount == 0 && t.has(fieldDirection):
		return "money that goes the other way"
	case v[colOrder] == "":
		return "no order number"
	case !couldBeOrder(v[colOrder]):
		return "order number of another shop or channel"
	}
	return ""
}

// abbreviated are time zones by what statements call them: hours ahead of UTC.
var abbreviated = map[string]int{"GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
	"SGT": 8, "HKT": 8, "JST": 9, "AEST": 10, "AEDT": 11, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6,
	"PST": -8, "PDT": -7}

// mostZones is how many time zones of a statement are remembered.
const mostZones = 64

// time reads when a row was.
func (t *table) time(text, zoneName string) (at engine.Time, wrong string) {
	zoneName = cmp.Or(zoneName, t.Zone, "UTC") // where there is neither, times say theirs
	in, known := t.zones[zoneName]
	if !known {
		if hours, short := abbreviated[zoneName]; short {
			in.Location = time.FixedZone(zoneName, hours*3600)
		} else if zone, err := calendar.Zone(zoneName); err == nil {
			in.Location = zone
		} else {
			in.wrong = fmt.Sprintf("the time zone %s %v", quoted(zoneName), err)
		}
		if len(t.zones) < mostZones {
			t.zones[strings.Clone(zoneName)] = in
		}
	}
	if in.wrong != "" {
		return 0, in.wrong
	}
	when, err := time.ParseInLocation(t.layout, text, in.Location)
	if err != nil || when.Before(earliest) || !when.Before(latest) {
		return 0, fmt.Sprintf("the %s %s is no time such as %s", t.named[colAt], quoted(text),
			cmp.Or(t.Time, "YYYY-MM-DD hh:mm:ss"))
	}
	return engine.TimeOf(when), ""
}
