package backoffice

import (
	"context"

	"doorbuster/engine"
)

// sessionOf gives the handle of a session, after this node knows all that was told.
func (bo *Office) sessionOf(ctx context.Context, session string) (h engine.SessionHandle, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return 0, err
	}
	bo.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h = x.Handle
		}
	})
	if h == 0 {
		return 0, refusal(engine.ReasonUnknown)
	}
	return h, nil
}

// ParcelPage gives up to most orders of a session that f wants, those behind after, in
// the order of their grants, and the last one that it looked at, for the next page; fewer
// may come although done is false.
func (bo *Office) ParcelPage(session string, f engine.ParcelFilter, after engine.OrderRef, most int) (
	rows []engine.OrderView, next engine.OrderRef, done bool, err error,
) {
	if err := bo.Current(); err != nil {
		return nil, next, false, err
	}
	at := engine.OrderRef{}
	bo.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			at = engine.OrderRef{Session: x.Handle, Ordinal: 1}
		}
	})
	switch {
	case at.IsZero():
		return nil, next, false, refusal(engine.ReasonUnknown)
	case after.Session == at.Session:
		at.Ordinal = after.Ordinal + 1
	case !after.IsZero():
		return nil, next, false, refusal(engine.ReasonConflict)
	}
	looked, err := bo.walk(&at, func(s *engine.State, o *engine.OrderRecord) bool {
		if len(rows) == most {
			return false
		}
		if !f.MayWant(o) {
			return true
		}
		if v := s.ViewRecord(o); f.Wants(&v) {
			rows = append(rows, v)
		}
		return true
	})
	at.Ordinal--
	return rows, at, looked == 0, err
}

// Review takes verdicts of the second look at orders of a session, and tells how many
// were news. Errors: engine.RowProblems if rows can't be taken as things are: nothing has
// changed then. Where orders change meanwhile, what was taken before stays; asking again
// is right then.
func (bo *Office) Review(
	ctx context.Context, by engine.By, session string, reviews []engine.Review,
) (done int, err error) {
	return bo.askMany(ctx, by, session, &many{kind: engine.CmdReviewOrders, rows: len(reviews),
		order: func(i int) engine.OrderRef { return reviews[i].Order },
		add:   func(c *engine.Command, i int) { c.Reviews = append(c.Reviews, reviews[i]) }})
}

// Export notes that orders go out to the warehouse: with the export of a number, or, of
// 0, with a new one. It gives the number. Errors as of Review; an order that has gone
// out with another export is refused.
func (bo *Office) Export(
	ctx context.Context, by engine.By, session string, export uint32, orders []engine.OrderRef,
) (number uint32, err error) {
	m := ofOrders(engine.CmdExportOrders, orders)
	m.export = export
	_, err = bo.askMany(ctx, by, session, m)
	return m.export, err
}

// Ship takes in what the warehouse says of parcels, and tells how many orders were
// shipped by that: those that were already, with the same parcel, stay so. Errors as of
// Review.
func (bo *Office) Ship(
	ctx context.Context, by engine.By, session string, parcels []engine.Parcel,
) (shipped int, err error) {
	return bo.askMany(ctx, by, session, &many{kind: engine.CmdShipOrders, rows: len(parcels),
		order: func(i int) engine.OrderRef { return parcels[i].Order },
		add:   func(c *engine.Command, i int) { c.Parcels = append(c.Parcels, parcels[i]) }})
}

// ReceivedBy takes operators' word that orders have come, also of goods that nobody
// carries and that were never shipped. It tells how many had not before. Errors as of
// Review.
func (bo *Office) ReceivedBy(
	ctx context.Context, by engine.By, session string, orders []engine.OrderRef,
) (received int, err error) {
	return bo.askMany(ctx, by, session, ofOrders(engine.CmdReceiveOrders, orders))
}

func ofOrders(kind engine.CommandKind, orders []engine.OrderRef) *many {
	return &many{kind: kind, rows: len(orders),
		order: func(i int) engine.OrderRef { return orders[i] },
		add:   func(c *engine.Command, i int) { c.Orders = append(c.Orders, orders[i]) }}
}

// Received takes a shopper's word that their order has come.
func (bo *Office) Received(ctx context.Context, shopper, orderNo string) (engine.OrderView, error) {
	return bo.askOwn(ctx, shopper, orderNo, engine.Command{Kind: engine.CmdReceiveOrder})
}
