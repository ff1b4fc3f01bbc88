package shipping

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// where is where an order is on its way.
type where uint8

const (
	atNowhere    where = iota // not paid, or not any more
	atUnreviewed              // paid
	atHeld
	atNoReceiver // passed, but there is nowhere to send it
	atPassed
	atExported
	atShipped
	atReceived
	atCompleted
)

// whereIs says where an order is.
func whereIs(o *engine.OrderView) where {
	switch {
	case o.State == engine.Shipped:
		return atShipped
	case o.State == engine.Received:
		return atReceived
	case o.State == engine.Completed:
		return atCompleted
	case o.State != engine.Paid:
		return atNowhere
	case o.Export != 0:
		return atExported
	case o.Review == engine.NotReviewed:
		return atUnreviewed
	case o.Review != engine.ReviewPassed:
		return atHeld
	case o.Delivery == engine.DeliveryShip && !o.HasReceiver:
		return atNoReceiver
	}
	return atPassed
}

// Count says where the orders of a session are; it reads all that are paid or further.
func (d *Desk) Count(ctx context.Context, session string) (*wire.Shipping, error) {
	told := &wire.Shipping{Session: session, Exports: []wire.ExportCounts{}}
	exports := map[uint32]*wire.ExportCounts{}
	at := map[where]*int{atUnreviewed: &told.Unreviewed, atHeld: &told.Held,
		atNoReceiver: &told.NoReceiver, atPassed: &told.Passed, atExported: &told.Exported, atShipped: &told.Shipped,
		atReceived: &told.Received, atCompleted: &told.Completed}
	err := d.each(ctx, session, engine.ParcelFilter{}, func(page []engine.OrderView) error {
		for i := range page {
			o := &page[i]
			is := whereIs(o)
			if n := at[is]; n != nil {
				*n++
			}
			if o.Export == 0 {
				continue
			}
			x := exports[o.Export]
			if x == nil {
				x = &wire.ExportCounts{Export: o.Export}
				exports[o.Export] = x
			}
			if x.Orders++; is == atExported {
				x.Waiting++
			}
		}
		return nil
	})
	for _, x := range slices.SortedFunc(maps.Values(exports), func(a, b *wire.ExportCounts) int {
		return cmp.Compare(a.Export, b.Export)
	}) {
		told.Exports = append(told.Exports, *x)
	}
	for _, state := range [...]engine.OrderState{engine.RefundDue, engine.Refunded, engine.Voided} {
		if err == nil {
			err = d.countBack(ctx, told, state)
		}
	}
	return told, err
}

// countBack counts orders of a session that were paid, and taken back.
func (d *Desk) countBack(ctx context.Context, told *wire.Shipping, state engine.OrderState) error {
	filter := engine.OrderFilter{Session: told.Session, State: state, Limit: pageRows}
	for more := true; more; more = filter.Cursor != "" {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, next, err := d.Office.FindOrders(filter)
		if err != nil {
			return err
		}
		filter.Cursor = next
		for i := range page {
			if page[i].Review == engine.ReviewRejected {
				told.Rejected++
			}
		}
		switch state {
		case engine.RefundDue:
			told.RefundDue += len(page)
		case engine.Refunded:
			told.Refunded += len(page)
		}
	}
	return nil
}
