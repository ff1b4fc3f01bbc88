package engine

import (
	"fmt"
	"slices"
)

// live reports whether units are the shopper's.
func (o *modelOrder) live() bool {
	return o.state == Held || o.bought()
}

// bought reports whether units were paid for, wherever they are by now.
func (o *modelOrder) bought() bool {
	return o.state == Paid || o.state == Shipped || o.state == Received || o.state == Completed
}

// undelivered reports whether goods that were paid for are not yet where they belong.
func (o *modelOrder) undelivered() bool {
	return o.bought() && o.state != Completed && o.listing.spec.Delivery != DeliveryNone
}

// takeBack has the units of a paid order free again, and its money on the way back.
func (m *model) takeBack(o *modelOrder, why Reason) Event {
	if o.amount == 0 {
		return m.release(o, Voided, why)
	}
	o.released += int64(o.quantity)
	o.state, o.changed = RefundDue, m.now
	m.cameBack(o.listing)
	m.payBack(o.ref, *o.payment, why)
	return m.toldOfMoney(why, o, *o.payment)
}

// then notes what follows a command.
func (m *model) then(e Event) {
	e.Command = -1
	m.derived = append(m.derived, e)
}

// handleOrders does each row by itself, once it has been seen that all of them can be done.
func (m *model) handleOrders(c *Command) Event {
	if c.Session == 0 || int(c.Session) > len(m.sessions) {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	x := m.sessions[c.Session-1]
	no := Event{Kind: CommandRefused, Session: x.handle}
	switch {
	case x.state == Settled:
		no.Reason = ReasonSettled
		return no
	case x.state != Ended:
		no.Reason = ReasonNotOpen
		return no
	case c.Export > x.exports:
		no.Reason = ReasonUnknown
		return no
	}
	number := c.Export
	if number == 0 {
		number = x.exports + 1
	}
	refs := m.rowsOf(c)
	var seen []OrderRef
	for i, ref := range refs {
		o := m.order(ref)
		switch {
		case ref.Session != x.handle || o == nil || !o.state.Granted():
			no.Reason, no.Order = ReasonUnknown, ref
			if o != nil && ref.Session == x.handle {
				return m.told(CommandRefused, ReasonUnknown, o)
			}
			return no
		case o.listing.spec.Delivery == DeliveryNone:
			return m.told(CommandRefused, ReasonNoDelivery, o)
		case slices.Contains(seen, ref):
			return m.told(CommandRefused, ReasonConflict, o)
		}
		seen = append(seen, ref)
		if why := m.rowForbidden(c, i, o, number); why != ReasonNone {
			return m.told(CommandRefused, why, o)
		}
	}
	e := Event{Kind: OrdersHandled, Session: x.handle}
	for i, ref := range refs {
		if o := m.order(ref); !m.rowSo(c, i, o, number) {
			m.handleRow(c, i, o, number)
			e.Quantity++
		}
	}
	if c.Kind == CmdExportOrders && len(refs) > 0 {
		x.exports = max(x.exports, number)
		e.Order, e.Amount = refs[0], int64(number)
	}
	return e
}

func (m *model) rowsOf(c *Command) (refs []OrderRef) {
	switch c.Kind {
	case CmdReviewOrders:
		for _, r := range c.Reviews {
			refs = append(refs, r.Order)
		}
		return refs
	case CmdShipOrders:
		for _, p := range c.Parcels {
			refs = append(refs, p.Order)
		}
		return refs
	}
	return c.Orders
}

// rowSo reports whether an order is already as a row says.
func (m *model) rowSo(c *Command, i int, o *modelOrder, export uint32) bool {
	s := o.shipment
	switch c.Kind {
	case CmdReviewOrders:
		return s.Review == c.Reviews[i].Verdict && s.ReviewNote == c.Reviews[i].Why
	case CmdExportOrders:
		return s.Export == export
	case CmdShipOrders:
		return s.ShippedAt != 0 && s.Carrier == c.Parcels[i].Carrier && s.Tracking == c.Parcels[i].Tracking
	}
	return o.state == Received || o.state == Completed
}

// rowForbidden tells why a row can't be, of an order that can be delivered.
func (m *model) rowForbidden(c *Command, i int, o *modelOrder, export uint32) Reason {
	ships := o.listing.spec.Delivery == DeliveryShip
	switch c.Kind {
	case CmdReviewOrders:
		if r := c.Reviews[i]; r.Verdict == NotReviewed || r.Why != "" && r.Why != "odd" {
			return ReasonRefused // the simulation has no other good words
		}
	case CmdShipOrders:
		if p := c.Parcels[i]; ships && (p.Carrier == "" || p.Tracking == "") {
			return ReasonNoTracking
		}
	}
	if m.rowSo(c, i, o, export) {
		return ReasonNone
	}
	if c.Kind == CmdReviewOrders {
		switch {
		case o.state != Paid:
			return ReasonNotHeld
		case o.shipment.Export != 0:
			return ReasonTooLate
		}
		return ReasonNone
	}
	switch {
	case c.Kind == CmdExportOrders && o.shipment.Export != 0, c.Kind == CmdShipOrders && o.shipment.ShippedAt != 0:
		return ReasonConflict
	case c.Kind == CmdReceiveOrders && o.state == Shipped:
		return ReasonNone
	case c.Kind == CmdReceiveOrders && ships, o.state != Paid:
		return ReasonNotHeld
	case o.shipment.Review != ReviewPassed:
		return ReasonNotReviewed
	case ships && !o.toKnown:
		return ReasonNoReceiver
	}
	return ReasonNone
}

func (m *model) handleRow(c *Command, i int, o *modelOrder, export uint32) {
	switch c.Kind {
	case CmdReviewOrders:
		r := c.Reviews[i]
		o.shipment.Review, o.shipment.ReviewNote = r.Verdict, r.Why
		m.then(m.told(OrderReviewed, map[ReviewState]Reason{ReviewHeld: ReasonReviewHeld,
			ReviewRejected: ReasonReviewRejected}[r.Verdict], o))
		if r.Verdict == ReviewRejected {
			m.then(m.takeBack(o, ReasonReviewRejected))
		}
	case CmdExportOrders:
		o.shipment.Export = export
		m.then(m.told(OrderExported, ReasonNone, o))
	case CmdShipOrders:
		p := c.Parcels[i]
		o.shipment.Carrier, o.shipment.Tracking, o.shipment.ShippedAt = p.Carrier, p.Tracking, m.now
		o.state, o.changed = Shipped, m.now
		m.then(m.told(OrderShipped, ReasonNone, o))
	case CmdReceiveOrders:
		m.then(m.receive(o))
	}
}

func (m *model) receive(o *modelOrder) Event {
	o.shipment.ReceivedAt, o.state, o.changed = m.now, Received, m.now
	return m.told(OrderReceived, ReasonNone, o)
}

// parcelDue is when time takes a delivery on; Never if nothing does.
func (o *modelOrder) parcelDue() Time {
	x := o.listing.session
	switch o.state {
	case Shipped:
		return o.shipment.ShippedAt.Add(x.ReceiveWithin)
	case Received:
		return o.shipment.ReceivedAt.Add(x.CompleteWithin)
	}
	return Never
}

func (m *model) passParcels() {
	for _, o := range m.orders {
		if o.state == Shipped && o.parcelDue() <= m.now {
			m.then(m.receive(o))
		}
		if o.state == Received && o.parcelDue() <= m.now {
			o.shipment.CompletedAt, o.state, o.changed = m.now, Completed, m.now
			m.then(m.told(OrderCompleted, ReasonNone, o))
		}
	}
}

// shippingDiffers says how a state's figures of deliveries are not what the model says.
func (m *model) shippingDiffers(s *State) string {
	for i, l := range m.listings {
		var shipped, received, completed int64
		for _, o := range m.orders {
			if o.listing != l {
				continue
			}
			switch o.state {
			case Shipped:
				shipped += int64(o.quantity)
			case Received:
				received += int64(o.quantity)
			case Completed:
				completed += int64(o.quantity)
			}
		}
		if got := s.Listings()[i]; got.Shipped != shipped || got.Received != received || got.Completed != completed {
			return fmt.Sprintf("listing %d: %d shipped, %d received, %d completed; the model says %d, %d, %d", l.handle,
				got.Shipped, got.Received, got.Completed, shipped, received, completed)
		}
	}
	for i, x := range m.sessions {
		if got := s.Sessions()[i].exports; got != x.exports {
			return fmt.Sprintf("%d exports of %q, the model has %d", got, x.ID, x.exports)
		}
	}
	return ""
}
