package shipping

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// ErrPartly: an order changed after all rows had been found good, so that some were
// taken and some not. The same file again tells of the rest.
var ErrPartly = errors.New("an order has changed while the file was being taken")

// Ship takes in which carrier has which order: whole, or not at all. Rows that say what is
// known already change nothing. Errors: ErrBusy, and *Problems if rows are wrong.
func (d *Desk) Ship(ctx context.Context, by engine.By, session string, rows []Row) (*wire.ParcelsTaken, error) {
	leave, err := d.enter(ctx, session, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	orders, err := d.find(session, rows, mayShip)
	if err != nil {
		return nil, err
	}
	told := &wire.ParcelsTaken{Session: session, Rows: len(rows)}
	parcels := make([]engine.Parcel, 0, len(rows))
	for i := range orders {
		if orders[i].ShippedAt == 0 {
			parcels = append(parcels, engine.Parcel{Order: orders[i].Ref, Carrier: rows[i].Carrier,
				Tracking: rows[i].Tracking})
		}
	}
	if len(parcels) > 0 {
		if told.Changed, err = d.Office.Ship(ctx, by, session, parcels); err != nil {
			return told, partly(told, err)
		}
	}
	told.Unchanged = told.Rows - told.Changed
	return told, nil
}

// Received takes in which orders have arrived, as Ship does.
func (d *Desk) Received(ctx context.Context, by engine.By, session string, rows []Row) (*wire.ParcelsTaken, error) {
	leave, err := d.enter(ctx, session, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	orders, err := d.find(session, rows, mayReceive)
	if err != nil {
		return nil, err
	}
	told := &wire.ParcelsTaken{Session: session, Rows: len(rows)}
	var refs []engine.OrderRef
	for i := range orders {
		if orders[i].ReceivedAt == 0 {
			refs = append(refs, orders[i].Ref)
		}
	}
	if len(refs) > 0 {
		if told.Changed, err = d.Office.ReceivedBy(ctx, by, session, refs); err != nil {
			return told, partly(told, err)
		}
	}
	told.Unchanged = told.Rows - told.Changed
	return told, nil
}

// partly says of an error what it means that part of a file had been taken by then.
func partly(told *wire.ParcelsTaken, err error) error {
	var problems engine.RowProblems
	if !errors.As(err, &problems) {
		return err
	}
	return fmt.Errorf("%w: %d of %d rows are in", ErrPartly, told.Changed, told.Rows)
}

// find finds the orders of rows, in their order, and has each checked: check says what is
// in the way, "" if nothing. Errors: *Problems, with all that is wrong.
func (d *Desk) find(session string, rows []Row, check func(*engine.OrderView, *Row) string) ([]engine.OrderView,
	error) {
	found := make([]engine.OrderView, 0, len(rows))
	var problems Problems
	lines := make(map[engine.OrderRef]int, len(rows)) // where an order is first: its number may be written in two ways
	for chunk := range slices.Chunk(rows, pageRows) {
		numbers := make([]string, len(chunk))
		for i := range chunk {
			numbers[i] = chunk[i].OrderNo
		}
		orders, err := d.Office.OrderViews(numbers)
		if err != nil {
			return nil, err
		}
		for i := range orders {
			o, row := &orders[i], &chunk[i]
			switch {
			case o.Ref.IsZero():
				problems.add(row.Line, "there is no order %s", row.OrderNo)
				continue
			case o.Session != session:
				problems.add(row.Line, "the order %s is of another session, %s", row.OrderNo, o.Session)
				continue
			case !o.State.Granted():
				problems.add(row.Line, "%s is a place in line or in a draw, and no order yet", row.OrderNo)
				continue
			case o.Delivery == engine.DeliveryNone:
				problems.add(row.Line, "the order %s is of the listing %s, which has no delivery", row.OrderNo, o.SKU)
				continue
			}
			if first, twice := lines[o.Ref]; twice {
				problems.add(row.Line, "the order %s is there twice: here, and at %d", row.OrderNo, first)
				continue
			}
			lines[o.Ref] = row.Line
			if wrong := check(o, row); wrong != "" {
				problems.add(row.Line, "the order %s %s", row.OrderNo, wrong)
			}
		}
		found = append(found, orders...)
	}
	return found, problems.err()
}

// mayShip says what keeps an order from being shipped as a row has it, "" if nothing does.
func mayShip(o *engine.OrderView, row *Row) string {
	switch {
	case o.ShippedAt != 0 && o.Carrier == row.Carrier && o.Tracking == row.Tracking:
		return ""
	case o.ShippedAt != 0:
		return fmt.Sprintf("was shipped before with %s %s", o.Carrier, o.Tracking)
	case o.State != engine.Paid:
		return "is " + o.State.String() + "; it must be paid"
	case o.Export == 0:
		return "is not exported: " + notOut(o)
	}
	return ""
}

// mayReceive says what keeps an order from being received, "" if nothing does. What
// nobody carries may be handed over once it has passed.
func mayReceive(o *engine.OrderView, _ *Row) string {
	switch at := whereIs(o); {
	case o.ReceivedAt != 0, o.State == engine.Shipped:
		return ""
	case o.State != engine.Paid:
		return "is " + o.State.String() + "; it must be shipped"
	case o.Delivery == engine.DeliveryShip:
		return "is not shipped yet: its tracking number comes first"
	case at == atUnreviewed || at == atHeld:
		return "can't be handed over: " + notOut(o)
	}
	return ""
}

// notOut says why a paid order is not out.
func notOut(o *engine.OrderView) string {
	switch whereIs(o) {
	case atUnreviewed:
		return "nobody has taken the second look at it"
	case atHeld:
		return "the second look holds it"
	case atNoReceiver:
		return "it has no receiver"
	}
	return "it goes out with the next export"
}
