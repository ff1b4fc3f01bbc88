package shipping

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Export has what passed go out to the warehouse in a new export. Orders that are out
// already stay where they are. What went out before an error is out. With the number of an
// export it tells of that one, and nothing goes out: the warehouse may have it already, and
// would never hear of what joined it later. Errors: ErrBusy; ErrNoExport for a number of none.
func (d *Desk) Export(ctx context.Context, by engine.By, session string, export uint32) (*wire.Export, error) {
	if export == 0 {
		leave, err := d.enter(ctx, session, false)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	told := &wire.Export{Session: session, Export: export}
	var leaving []engine.OrderRef
	err := d.each(ctx, session, engine.ParcelFilter{State: engine.Paid, ByExport: true},
		func(page []engine.OrderView) error {
			for i := range page {
				switch o := &page[i]; whereIs(o) {
				case atUnreviewed:
					told.Unreviewed++
				case atHeld:
					told.Held++
				case atNoReceiver:
					if told.NoReceiver++; len(told.NoReceiverOrders) < maxNamed {
						told.NoReceiverOrders = append(told.NoReceiverOrders, o.OrderNo)
					}
				case atPassed:
					leaving = append(leaving, o.Ref)
				}
			}
			return nil
		})
	if err == nil && export == 0 {
		err = d.leave(ctx, by, told, leaving)
	}
	if err != nil || told.Export == 0 {
		return told, err
	}
	err = d.each(ctx, session, engine.ParcelFilter{ByExport: true, Export: told.Export},
		func(page []engine.OrderView) error {
			told.Orders += len(page)
			return nil
		})
	if err == nil && told.Orders == 0 && export != 0 {
		err = ErrNoExport
	}
	return told, err
}

// leave has orders go out in a new export. One that has changed meanwhile is left where it
// is. The same request as before gets the number that it got.
func (d *Desk) leave(ctx context.Context, by engine.By, to *wire.Export, orders []engine.OrderRef) error {
	if by.Key == "" { // what is tried again without the changed ones is the same request, too
		by.Key = rand.Text()
	}
	for {
		number, err := d.Office.Export(ctx, by, to.Session, 0, orders)
		rest, _, told := without(orders, err)
		if err != nil && !told {
			return err
		}
		if orders = rest; err == nil {
			to.Export = number
			return nil
		}
	}
}

// columns of an export, and at its end those that the warehouse fills in.
var columns = []string{"order_no", "sku", "quantity", "delivery", "name", "phone", "country", "province", "city",
	"district", "street", "post_code", "amount", "currency", "payment_type", "paid_at", "shopper", "carrier",
	"tracking"}

// Written is what is to be written of an export.
type Written struct {
	Session string
	Export  uint32 // from 1
	After   string // the number of the last order that has come; "" for none
	Format  Format // CSV or NDJSON
}

// Why an export is not written.
var (
	ErrNoExport    = errors.New("the session has no such export")
	ErrNotInExport = errors.New("the order is not in the export")
)

// Write writes the orders of an export, some at a time. The same export is written alike
// each time, but for orders that were taken back, which are left out, and what has come
// to be known since. Before it is known that there is something to write, nothing is. Errors:
// ErrNoExport, ErrNotInExport of After, and those of the office, of Config.Open and of to,
// before which whole rows may have been written.
func (d *Desk) Write(ctx context.Context, to io.Writer, w Written) error {
	var behind engine.OrderRef
	if w.After != "" {
		last, err := d.Office.OrderViews([]string{w.After})
		switch {
		case err != nil:
			return err
		case last[0].Ref.IsZero() || last[0].Session != w.Session || last[0].Export != w.Export:
			return ErrNotInExport
		}
		behind = last[0].Ref
	}
	found := w.After != ""
	head := w.Format == CSV && !found
	filter := engine.ParcelFilter{ByExport: true, Export: w.Export}
	err := d.from(ctx, w.Session, filter, behind, func(page []engine.OrderView) error {
		found = true
		var b bytes.Buffer
		c, e := csv.NewWriter(&b), json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if head {
			head = false
			_ = c.Write(columns) // into memory
		}
		for i := range page {
			row, err := d.row(&page[i])
			switch {
			case err != nil:
			case w.Format == CSV:
				err = c.Write(cells(row))
			default:
				err = e.Encode(row)
			}
			if err != nil {
				return err
			}
		}
		c.Flush()
		_, err := to.Write(b.Bytes())
		return err
	})
	if err == nil && !found {
		err = ErrNoExport
	}
	return err
}

func (d *Desk) row(o *engine.OrderView) (*wire.ExportRow, error) {
	row := &wire.ExportRow{OrderNo: o.OrderNo, SKU: o.SKU, Quantity: o.Quantity, Delivery: o.Delivery.String(),
		Amount: o.Amount, Currency: o.Currency, PaymentType: o.PayType, Shopper: o.Shopper, Carrier: o.Carrier,
		Tracking: o.Tracking}
	if o.PaidAt != 0 {
		row.PaidAt = o.PaidAt.Wall().Format("2006-01-02T15:04:05.999Z07:00")
	}
	if !o.HasReceiver {
		return row, nil
	}
	to, err := d.Open(o)
	row.Receiver = to
	return row, err
}

func cells(r *wire.ExportRow) []string {
	to := r.Receiver
	if to == nil {
		to = &wire.Receiver{}
	}
	record := []string{r.OrderNo, r.SKU, strconv.FormatUint(uint64(r.Quantity), 10), r.Delivery, to.Name, to.Phone,
		to.Country, to.Province, to.City, to.District, to.Street, to.PostCode,
		strconv.FormatInt(r.Amount, 10), r.Currency, r.PaymentType, r.PaidAt, r.Shopper,
		r.Carrier, r.Tracking}
	for i := range record {
		record[i] = Inert(record[i])
	}
	return record
}

// number is what may begin with a sign and is no formula.
var number = regexp.MustCompile(`^[+-]?[\d ()-]+$`)

// led is what comes before a sign that begins a formula behind a semicolon.
var led = regexp.MustCompile(`;([\s"']*[=+@＝＋－＠-])`)

// Inert gives a cell that no spreadsheet takes for a formula: shoppers write some of
// them, and a warehouse opens the file with whatever it has. One that would be is led in
// by an apostrophe, which spreadsheets do not show. Full-width signs count as others do in
// some of them. Those of countries that write decimals with a comma take what follows a
// semicolon for a cell of its own, whatever quotes there are.
func Inert(cell string) string {
	if cell == "" || number.MatchString(cell) {
		return cell
	}
	cell = led.ReplaceAllString(cell, ";'$1")
	switch first, _ := utf8.DecodeRuneInString(cell); first {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r':
		return "'" + cell
	}
	return cell
}
