package sqlsink

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/sinks"
)

// columnKind is what a column holds; each dialect has a type for it.
type columnKind uint8

const (
	word    columnKind = iota // a short text: string
	text                      // a longer one: string
	integer                   // of 64 bits: int64
	moment                    // with milliseconds, in UTC: time.Time
)

// column of a table.
type column struct {
	key  string // what it is called unless it is called otherwise
	kind columnKind
}

// orderColumn is a column of the order table. of gives the value: string, int64, time.Time, or
// nil for NULL.
type orderColumn struct {
	column
	is string // what it is, for people
	of func(*orderRow) any
}

// Column is one that the order table may have.
type Column struct{ Key, Is string }

// Columns gives the columns that the order table may have, and what each is.
func Columns() (all []Column) {
	for _, c := range orderColumns {
		all = append(all, Column{c.key, c.is})
	}
	return all
}

// orderRow is what a row of the order table is made of.
type orderRow struct {
	*engine.OrderView
	index    engine.LogIndex
	receiver personal.Receiver // zero unless it is to be told
}

// orderColumns are the columns of the order table; the first is what a row is known by.
var orderColumns = []orderColumn{
	{column{"order_no", word}, "the order number, by which rows are known",
		func(r *orderRow) any { return r.OrderNo }},
	{column{"session", word}, "the session",
		func(r *orderRow) any { return r.Session }},
	{column{"sku", word}, "the product",
		func(r *orderRow) any { return r.SKU }},
	{column{"shopper", word}, "the shopper's id",
		func(r *orderRow) any { return r.Shopper }},
	{column{"quantity", integer}, "the units",
		func(r *orderRow) any { return int64(r.Quantity) }},
	{column{"amount", integer}, "the amount due, in minor units",
		func(r *orderRow) any { return r.Amount }},
	{column{"amount_paid", integer}, "what the shopper paid of it, in minor units; NULL while nobody paid",
		func(r *orderRow) any { return amountPaid(r.OrderView) }},
	{column{"coupon", integer}, "what of the amount a coupon at the cashier paid; NULL while nobody paid",
		func(r *orderRow) any { return coupon(r.OrderView) }},
	{column{"currency", word}, "the currency",
		func(r *orderRow) any { return r.Currency }},
	{column{"payment_type", word}, "how it was paid, as the cashier says",
		func(r *orderRow) any { return given(r.PayType) }},
	{column{"payment_id", word}, "the cashier's id of the payment",
		func(r *orderRow) any { return given(r.PaymentID) }},
	{column{"transaction_id", word}, "the transaction's id",
		func(r *orderRow) any { return transaction(r.Transaction) }},
	{column{"state", word}, "the state, by the API's names",
		func(r *orderRow) any { return r.State.String() }},
	{column{"delivery", word}, "how its goods come: ship, collect or virtual", func(r *orderRow) any {
		if r.Delivery == engine.DeliveryNone {
			return nil
		}
		return r.Delivery.String()
	}},
	{column{"review", word}, "what the second look has come to: passed, held or rejected",
		func(r *orderRow) any {
			if r.Review == engine.NotReviewed {
				return nil
			}
			return r.Review.String()
		}},
	{column{"export", integer}, "the session's export that it went out to the warehouse with",
		func(r *orderRow) any { return number(r.Export) }},
	{column{"carrier", word}, "who carries it", func(r *orderRow) any { return given(r.Carrier) }},
	{column{"tracking", word}, "the carrier's number of it", func(r *orderRow) any { return given(r.Tracking) }},
	{column{"receiver_name", word}, "the receiver's name",
		func(r *orderRow) any { return given(r.receiver.Name) }},
	{column{"receiver_phone", word}, "the receiver's phone",
		func(r *orderRow) any { return given(r.receiver.Phone) }},
	{column{"receiver_country", word}, "the receiver's country",
		func(r *orderRow) any { return given(r.receiver.Country) }},
	{column{"receiver_province", word}, "the receiver's province",
		func(r *orderRow) any { return given(r.receiver.Province) }},
	{column{"receiver_city", word}, "the receiver's city",
		func(r *orderRow) any { return given(r.receiver.City) }},
	{column{"receiver_district", word}, "the receiver's district",
		func(r *orderRow) any { return given(r.receiver.District) }},
	{column{"receiver_street", text}, "the receiver's street",
		func(r *orderRow) any { return given(r.receiver.Street) }},
	{column{"receiver_post_code", word}, "the receiver's post code",
		func(r *orderRow) any { return given(r.receiver.PostCode) }},
	{column{"created_at", moment}, "when it was granted",
		func(r *orderRow) any { return when(r.GrantedAt) }},
	{column{"pay_by", moment}, "until when it may be paid",
		func(r *orderRow) any { return when(r.PayBy) }},
	{column{"paid_at", moment}, "when it was paid, by the cashier's clock",
		func(r *orderRow) any { return when(r.PaidAt) }},
	{column{"shipped_at", moment}, "when it left the warehouse", func(r *orderRow) any { return when(r.ShippedAt) }},
	{column{"received_at", moment}, "when it was received", func(r *orderRow) any { return when(r.ReceivedAt) }},
	{column{"completed_at", moment}, "when nothing about it was to come any more",
		func(r *orderRow) any { return when(r.CompletedAt) }},
	{column{"changed_at", moment}, "when its state changed last",
		func(r *orderRow) any { return when(r.ChangedAt) }},
	{column{"log_index", integer}, "the log index of its last change",
		func(r *orderRow) any { return int64(r.index) }},
}

// changeColumn is a column of the table of changes.
type changeColumn struct {
	column
	of func(*sinks.Change) any
}

// changeColumns are the columns of the table of changes; the first two are the key.
var changeColumns = []changeColumn{
	{column{"log_index", integer}, func(c *sinks.Change) any { return int64(c.Index) }},
	{column{"n", integer}, func(c *sinks.Change) any { return int64(c.N) }},
	{column{"order_no", word}, func(c *sinks.Change) any { return c.OrderNo }},
	{column{"event", word}, func(c *sinks.Change) any { return c.Kind.Word() }},
	{column{"reason", word}, func(c *sinks.Change) any {
		if c.Reason == engine.ReasonNone {
			return nil
		}
		return c.Reason.String()
	}},
	{column{"state", word}, func(c *sinks.Change) any { return given(c.State.String()) }},
	{column{"session", word}, func(c *sinks.Change) any { return given(c.Session) }},
	{column{"sku", word}, func(c *sinks.Change) any { return given(c.SKU) }},
	{column{"shopper", word}, func(c *sinks.Change) any { return given(c.Shopper) }},
	{column{"quantity", integer}, func(c *sinks.Change) any { return int64(c.Quantity) }},
	{column{"amount", integer}, func(c *sinks.Change) any { return c.Amount }},
	{column{"currency", word}, func(c *sinks.Change) any { return given(c.Currency) }},
	{column{"operator", word}, func(c *sinks.Change) any { return given(c.Operator) }},
	{column{"transaction_id", word}, func(c *sinks.Change) any { return transaction(c.Transaction) }},
	{column{"at", moment}, func(c *sinks.Change) any { return when(c.Time) }},
}

// given gives text, or NULL where there is none.
func given(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(n uint32) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func when(t engine.Time) any {
	if t == 0 || t == engine.Never {
		return nil
	}
	return t.Wall()
}

func transaction(t engine.Transaction) any {
	if t == (engine.Transaction{}) {
		return nil
	}
	return t.String()
}

// amountPaid is what the shopper has paid for an order, also if it has gone back since; NULL
// while nobody paid. Together with coupon it is the amount due.
func amountPaid(o *engine.OrderView) any {
	if o.PaidAt == 0 {
		return nil
	}
	return o.Amount - o.Coupon
}

func coupon(o *engine.OrderView) any {
	if o.PaidAt == 0 {
		return nil
	}
	return o.Coupon
}

// table is one of the tables as a batch is written into it.
type table struct {
	name    string
	keys    int // so many of the first columns are the key
	columns []column
	names   []string // of the columns, as they are called there
	// greatest of the columns never gets less by an upsert: "" for none
	greatest string
	// index is another column that rows are looked up by: "" for none
	index string
}

// ordersTable gives the order table with the columns that are written, and how each is had.
func (c *Config) ordersTable() (t table, of []func(*orderRow) any) {
	t = table{name: c.tables().Orders, keys: 1}
	for _, col := range orderColumns {
		called := col.key
		if len(c.Columns) > 0 {
			called = c.Columns[col.key]
		}
		if called == "" {
			continue
		}
		switch col.key {
		case "log_index":
			t.greatest = called
		case "shopper":
			t.index = called
		}
		t.columns, t.names, of = append(t.columns, col.column), append(t.names, called), append(of, col.of)
	}
	return t, of
}

func (c *Config) changesTable() (t table, of []func(*sinks.Change) any) {
	t = table{name: c.tables().Changes, keys: 2, index: "order_no"}
	for _, col := range changeColumns {
		t.columns, t.names, of = append(t.columns, col.column), append(t.names, col.key), append(of, col.of)
	}
	return t, of
}

// rows are the values of a batch, column by column.
type rows [][]any

// orderRows gives a row for each order that the changes are about, as it is now.
func (c *Config) orderRows(changes []sinks.Change, of []func(*orderRow) any) (rows, error) {
	last := make(map[string]int, len(changes))
	for i := range changes {
		if o := changes[i].Order; o != nil && o.State.Granted() {
			last[o.OrderNo] = i
		}
	}
	values := make(rows, len(of))
	for i := range changes {
		o := changes[i].Order
		if o == nil {
			continue
		}
		if at, ok := last[o.OrderNo]; !ok || at != i {
			continue
		}
		row := orderRow{OrderView: o, index: changes[i].Index}
		var err error
		if row.receiver, err = c.receiver(o); err != nil {
			return nil, fmt.Errorf("the receiver of order %s: %w", o.OrderNo, err)
		}
		for j, value := range of {
			values.add(j, value(&row))
		}
	}
	return values, nil
}

// receiver gives what of an order's receiver goes out.
func (c *Config) receiver(o *engine.OrderView) (r personal.Receiver, err error) {
	if c.receivers() == NoReceivers || !o.HasReceiver {
		return r, nil
	}
	switch r, err = c.Open(o.Shopper, o.Receiver); {
	case errors.Is(err, personal.ErrErased):
		return personal.Receiver{}, nil
	case err != nil:
		return personal.Receiver{}, err
	case c.receivers() == MaskedReceivers:
		return personal.Mask(r), nil
	}
	return r, nil
}

// changeRows gives a row for each change that is about an order.
func changeRows(changes []sinks.Change, of []func(*sinks.Change) any) rows {
	values := make(rows, len(of))
	for i := range changes {
		if changes[i].OrderNo == "" {
			continue
		}
		for j, value := range of {
			values.add(j, value(&changes[i]))
		}
	}
	return values
}

// add adds a value to a column. Neither database takes what is no UTF-8, and PostgreSQL no NUL.
func (r rows) add(column int, value any) {
	if s, ok := value.(string); ok {
		value = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	}
	r[column] = append(r[column], value)
}

func (r rows) count() int {
	if len(r) == 0 {
		return 0
	}
	return len(r[0])
}

// typed gives the values of a column as a slice of pointers of its kind, nil for NULL.
func typed(kind columnKind, values []any) any {
	switch kind {
	case integer:
		return pointers[int64](values)
	case moment:
		return pointers[time.Time](values)
	}
	return pointers[string](values)
}

func pointers[T any](values []any) []*T {
	p := make([]*T, len(values))
	for i, v := range values {
		if v != nil {
			x := v.(T)
			p[i] = &x
		}
	}
	return p
}
