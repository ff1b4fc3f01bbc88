package engine

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Shipping begins once a session has ended: each paid order is looked at a second time,
// rejected ones are paid back, the others are exported for the warehouse, their parcels
// are told of, and time or whoever knows says that they were received, and that with
// them the order is completed. What there is to say of it lies in the order's details:
// an order itself stays as small as grabs want it.

// Delivery is how the goods of a listing come to who bought them.
type Delivery uint8

// Ways of delivery.
const (
	DeliveryNone    Delivery = iota // the shop sees to it elsewhere: paid is the end
	DeliveryShip                    // by a carrier, to the receiver
	DeliveryCollect                 // collected in a store
	DeliveryVirtual                 // nothing that could be carried: a code, a right
	deliveryEnd
)

var deliveries = [...]string{"none", "ship", "collect", "virtual"}

func (d *Delivery) fields(c *coder) { oneOf(c, d, deliveryEnd, "an unknown delivery") }

func (d Delivery) String() string { return nameOf(deliveries[:], int(d)) }

// ParseDelivery reads the name of a way of delivery.
func ParseDelivery(name string) (Delivery, bool) { return parse[Delivery](deliveries[:], name) }

// ReviewState is what the second look at a paid order has come to.
type ReviewState uint8

// Verdicts of a second look.
const (
	NotReviewed    ReviewState = iota
	ReviewPassed               // it may be exported
	ReviewHeld                 // somebody has to look into it
	ReviewRejected             // it is paid back, and its units are free again
	reviewEnd
)

var reviewStates = [...]string{"none", "passed", "held", "rejected"}

func (r ReviewState) String() string { return nameOf(reviewStates[:], int(r)) }

// ParseReviewState reads the name of a verdict.
func ParseReviewState(name string) (ReviewState, bool) {
	return parse[ReviewState](reviewStates[:], name)
}

// Bounds of shipping.
const (
	MaxParcels        = 2048 // rows of one command
	MaxParcelBytes    = 64   // of a carrier's name, a tracking number, a reason of a review
	MaxPayTypeBytes   = 32
	MaxReceiveWithin  = 365 * 24 * time.Hour
	MaxCompleteWithin = 365 * 24 * time.Hour
)

// Review is a verdict of the second look at an order.
type Review struct {
	Order   OrderRef
	Verdict ReviewState // not NotReviewed
	Why     string      // ValidParcelText, or ""
}

func (r *Review) fields(c *coder) {
	c.ref(&r.Order)
	oneOf(c, &r.Verdict, reviewEnd, "an unknown verdict")
	c.text(&r.Why, MaxParcelBytes)
}

// Parcel is what the warehouse says of an order that has left it. Without a carrier and a
// number it is one that nobody carries, of an order that is not for shipping.
type Parcel struct {
	Order             OrderRef
	Carrier, Tracking string // ValidParcelText, or ""
}

func (p *Parcel) fields(c *coder) {
	c.ref(&p.Order)
	c.text(&p.Carrier, MaxParcelBytes)
	c.text(&p.Tracking, MaxParcelBytes)
}

func (r *OrderRef) fields(c *coder) { c.ref(r) }

// Shipment is how far the delivery of an order has come.
type Shipment struct {
	Review     ReviewState
	ReviewNote string // why
	Export     uint32 // the number of the session's export that it went out with; 0: it did not yet
	Carrier    string
	Tracking   string
	// 0 of what has not happened. What nobody carries may be received without being
	// shipped.
	ShippedAt, ReceivedAt, CompletedAt Time
}

func (x *Shipment) fields(c *coder) {
	oneOf(c, &x.Review, reviewEnd, "an unknown verdict")
	c.text(&x.ReviewNote, MaxParcelBytes)
	unsigned(c, &x.Export)
	c.text(&x.Carrier, MaxParcelBytes)
	c.text(&x.Tracking, MaxParcelBytes)
	c.time(&x.ShippedAt)
	c.time(&x.ReceivedAt)
	c.time(&x.CompletedAt)
	c.check(*x != (Shipment{}), "a shipment of which there is nothing to say")
}

// ValidParcelText reports whether a text may name a carrier, a tracking number or the
// reason of a review: 1 to MaxParcelBytes of UTF-8 without control characters, and no
// space at either end.
func ValidParcelText(text string) bool {
	if len(text) == 0 || len(text) > MaxParcelBytes || !utf8.ValidString(text) || text[0] == ' ' ||
		text[len(text)-1] == ' ' {
		return false
	}
	for _, c := range text {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return false
		}
	}
	return true
}

// ValidPayType reports whether a text may name a payment type: 1 to MaxPayTypeBytes of
// printable ASCII without spaces.
func ValidPayType(text string) bool { return printable(text, MaxPayTypeBytes) }

// shipmentOf gives how far an order's delivery has come.
func (s *State) shipmentOf(ref OrderRef) Shipment {
	if d := s.detailsOf(ref); d.shipment != nil {
		return *d.shipment
	}
	return Shipment{}
}

// setShipment keeps how far it has come. What was kept before may belong to a snapshot,
// too, and is left as it is.
func (s *State) setShipment(ref OrderRef, to Shipment) {
	if to == (Shipment{}) {
		s.mutDetails(ref).shipment = nil
		return
	}
	s.mutDetails(ref).shipment = &to
}

// handled is one row of a command on many orders of a session: what the order becomes.
type handled struct {
	ref OrderRef
	to  Shipment
	as  OrderState
}

// decided says what becomes of one order by a row, or why that can't be; nothing becomes
// of one that is so already.
type decided func(o *Order, l *Listing, now Shipment) (to Shipment, as OrderState, why Reason)

// row gives the order of a row of a command on many orders, and what decides about it.
func (s *State) row(c *Command, i int) (OrderRef, decided) {
	switch c.Kind {
	case CmdReviewOrders:
		return c.Reviews[i].Order, c.Reviews[i].decided
	case CmdExportOrders:
		return c.Orders[i], func(o *Order, l *Listing, now Shipment) (Shipment, OrderState, Reason) {
			return s.mayExport(c, c.Orders[i], o, l, now)
		}
	case CmdShipOrders:
		return c.Parcels[i].Order, func(o *Order, l *Listing, now Shipment) (Shipment, OrderState, Reason) {
			return s.mayShip(&c.Parcels[i], o, l, now)
		}
	}
	return c.Orders[i], func(o *Order, l *Listing, now Shipment) (Shipment, OrderState, Reason) {
		return s.mayReceive(c.Orders[i], o, l, now)
	}
}

// handlings gives what becomes of the orders that a command is about, in its order. wrong
// is told of each row that can't be, and why, until it wants no more; the orders are
// worth nothing then. e is a refusal of the whole, or says of which session it is.
func (s *State) handlings(c *Command, wrong func(row int, ref OrderRef, why Reason) (more bool)) (
	work []handled, e Event,
) {
	x := s.SessionOf(c.Session)
	switch {
	case x == nil:
		return nil, refused(ReasonUnknown)
	case x.State == Settled:
		return nil, Event{Kind: CommandRefused, Reason: ReasonSettled, Session: x.Handle}
	case x.State != Ended:
		return nil, Event{Kind: CommandRefused, Reason: ReasonNotOpen, Session: x.Handle}
	case c.Export > x.exports:
		return nil, Event{Kind: CommandRefused, Reason: ReasonUnknown, Session: x.Handle}
	}
	rows := max(len(c.Reviews), len(c.Orders), len(c.Parcels))
	work = make([]handled, 0, rows)
	seen := make(map[uint32]bool, rows)
	for i := range rows {
		ref, decide := s.row(c, i)
		o := s.Order(ref)
		if o == nil || ref.Session != x.Handle || !o.State.Granted() {
			if !wrong(i, ref, ReasonUnknown) {
				break
			}
			continue
		}
		l, now := s.listings[o.Listing-1], s.shipmentOf(ref)
		to, as, why := now, o.State, ReasonNone
		switch {
		case l.Delivery == DeliveryNone:
			why = ReasonNoDelivery
		case l.Frozen:
			why = ReasonFrozen
		case seen[ref.Ordinal]:
			why = ReasonConflict
		default:
			to, as, why = decide(o, l, now)
		}
		seen[ref.Ordinal] = true
		if why != ReasonNone && !wrong(i, ref, why) {
			break
		}
		if to != now || as != o.State {
			work = append(work, handled{ref, to, as})
		}
	}
	return work, Event{Kind: OrdersHandled, Session: x.Handle, Quantity: uint32(len(work))}
}

// Foresee says how many orders a command on many would change at this moment, and tells
// wrong of each row that forbids it, as handlings does. Error: a *Refusal of the whole.
func (s *State) Foresee(c *Command, wrong func(row int, ref OrderRef, why Reason) (more bool)) (int, error) {
	work, e := s.handlings(c, wrong)
	if e.Kind == CommandRefused {
		return 0, &Refusal{Reason: e.Reason}
	}
	return len(work), nil
}

// handleOrders makes the rows of a command true, all or none.
func (s *State) handleOrders(c *Command) Event {
	var no *Event
	work, e := s.handlings(c, func(_ int, ref OrderRef, why Reason) bool {
		first := Event{Kind: CommandRefused, Reason: why, Session: c.Session, Order: ref}
		if ref.Session == c.Session && s.Order(ref) != nil {
			first = s.refusedOrder(ref, why)
		}
		no = &first
		return false
	})
	switch {
	case no != nil:
		return *no
	case e.Kind == CommandRefused:
		return e
	}
	x := s.sessions[c.Session-1]
	if c.Kind == CmdExportOrders && len(c.Orders) > 0 {
		number := x.export(c)
		x.exports = max(x.exports, number)
		e.Order, e.Amount = c.Orders[0], int64(number)
	}
	for i := range work {
		s.become(x, &work[i])
	}
	s.schedule(x)
	return e
}

// become takes an order where a row says, and tells of it.
func (s *State) become(x *Session, h *handled) {
	before := s.shipmentOf(h.ref)
	s.setShipment(h.ref, h.to)
	switch {
	case before.Review != h.to.Review || before.ReviewNote != h.to.ReviewNote:
		why := ReasonNone
		switch h.to.Review {
		case ReviewHeld:
			why = ReasonReviewHeld
		case ReviewRejected:
			why = ReasonReviewRejected
		}
		s.derive(s.orderEvent(OrderReviewed, h.ref, why))
		if h.to.Review == ReviewRejected {
			s.derive(s.takeBack(h.ref, ReasonReviewRejected))
		}
	case before.Export != h.to.Export:
		s.derive(s.orderEvent(OrderExported, h.ref, ReasonNone))
	default:
		s.derive(s.moveOn(x, h.ref, h.as))
	}
}

// moveOn takes an order whose shipment says so to Shipped, Received or Completed.
func (s *State) moveOn(x *Session, ref OrderRef, to OrderState) Event {
	l := s.listings[s.at(ref).Listing-1]
	o := s.mutOrder(ref)
	units := int64(o.Quantity)
	switch o.State {
	case Shipped:
		l.Shipped -= units
	case Received:
		l.Received -= units
	}
	kind := OrderShipped
	switch to {
	case Shipped:
		l.Shipped += units
	case Received:
		kind = OrderReceived
		l.Received += units
	case Completed:
		kind = OrderCompleted
		l.Completed += units
	}
	o.State, o.Changed = to, s.now
	if at := s.parcelDue(x, ref); at != Never {
		x.parcels.add(timer{at, ref.Ordinal})
	}
	s.touch(l.Handle)
	return s.orderEvent(kind, ref, ReasonNone)
}

// decided: verdicts may change until the order is exported; a rejected order is on its
// way back.
func (r *Review) decided(o *Order, _ *Listing, now Shipment) (Shipment, OrderState, Reason) {
	to := now
	to.Review, to.ReviewNote = r.Verdict, r.Why
	switch {
	case r.Verdict == NotReviewed || r.Why != "" && !ValidParcelText(r.Why):
		return now, o.State, ReasonRefused
	case to == now:
	case o.State != Paid:
		return now, o.State, ReasonNotHeld
	case now.Export != 0:
		return now, o.State, ReasonTooLate
	}
	return to, o.State, ReasonNone
}

// lookAgain forgets the verdict on a paid order, about which something has changed.
func (s *State) lookAgain(ref OrderRef) {
	if now := s.shipmentOf(ref); now.Review != NotReviewed {
		now.Review, now.ReviewNote = NotReviewed, ""
		s.setShipment(ref, now)
	}
}

// export is the number of the export that c is about.
func (x *Session) export(c *Command) uint32 {
	if c.Export == 0 {
		return x.exports + 1
	}
	return c.Export
}

// mayExport: an order goes out once, with an export that there is or a new one.
func (s *State) mayExport(
	c *Command, ref OrderRef, o *Order, l *Listing, now Shipment,
) (Shipment, OrderState, Reason) {
	to := now
	to.Export = s.sessions[c.Session-1].export(c)
	switch {
	case to == now:
		return now, o.State, ReasonNone
	case now.Export != 0:
		return now, o.State, ReasonConflict
	}
	return to, o.State, s.mayLeave(ref, o, l, now)
}

// mayLeave tells why the goods of an order can't go to who bought them, or ReasonNone.
func (s *State) mayLeave(ref OrderRef, o *Order, l *Listing, now Shipment) Reason {
	_, has := s.Receiver(ref)
	switch {
	case o.State != Paid:
		return ReasonNotHeld
	case now.Review != ReviewPassed:
		return ReasonNotReviewed
	case l.Delivery == DeliveryShip && !has:
		return ReasonNoReceiver
	}
	return ReasonNone
}

// mayShip: the same parcel again changes nothing, and no order is shipped twice.
func (s *State) mayShip(p *Parcel, o *Order, l *Listing, now Shipment) (Shipment, OrderState, Reason) {
	to := now
	to.Carrier, to.Tracking = p.Carrier, p.Tracking
	switch {
	case p.Carrier != "" && !ValidParcelText(p.Carrier), p.Tracking != "" && !ValidParcelText(p.Tracking),
		l.Delivery == DeliveryShip && (p.Carrier == "" || p.Tracking == ""):
		return now, o.State, ReasonNoTracking
	case now.ShippedAt != 0 && to == now: // also once it was received
		return now, o.State, ReasonNone
	case now.ShippedAt != 0:
		return now, o.State, ReasonConflict
	}
	to.ShippedAt = s.now
	return to, Shipped, s.mayLeave(p.Order, o, l, now)
}

// receiveOrder takes the shopper's word that their order has come.
func (s *State) receiveOrder(c *Command) Event {
	if !s.owns(c.Shopper, c.Order) {
		return refused(ReasonUnknown)
	}
	o := s.Order(c.Order)
	switch l := s.listings[o.Listing-1]; {
	case o.State == Received || o.State == Completed:
		return s.orderEvent(OrderUnchanged, c.Order, ReasonNone)
	case o.State != Shipped:
		return s.refusedOrder(c.Order, ReasonNotHeld)
	case l.Frozen:
		return s.refusedOrder(c.Order, ReasonFrozen)
	}
	return s.receive(s.sessions[c.Order.Session-1], c.Order)
}

func (s *State) receive(x *Session, ref OrderRef) Event {
	to := s.shipmentOf(ref)
	to.ReceivedAt = s.now
	s.setShipment(ref, to)
	e := s.moveOn(x, ref, Received)
	s.schedule(x)
	return e
}

// mayReceive: operators may say so also of what was never shipped, for nobody carries it.
func (s *State) mayReceive(ref OrderRef, o *Order, l *Listing, now Shipment) (Shipment, OrderState, Reason) {
	to := now
	to.ReceivedAt = s.now
	switch {
	case o.State == Received || o.State == Completed:
		return now, o.State, ReasonNone
	case o.State == Shipped:
		return to, Received, ReasonNone
	case l.Delivery == DeliveryShip:
		return now, o.State, ReasonNotHeld
	}
	return to, Received, s.mayLeave(ref, o, l, now)
}

// parcelDue is when time takes an order on: one that was shipped counts as received,
// and one that was received is completed.
func (s *State) parcelDue(x *Session, ref OrderRef) Time {
	switch s.at(ref).State {
	case Shipped:
		return s.shipmentOf(ref).ShippedAt.Add(x.ReceiveWithin)
	case Received:
		return s.shipmentOf(ref).ReceivedAt.Add(x.CompleteWithin)
	}
	return Never
}

// nextParcel gives the order that time takes on first, and when; none and Never without.
func (s *State) nextParcel(x *Session) (OrderRef, Time) {
	for len(x.parcels) > 0 {
		top := x.parcels[0]
		ref := OrderRef{x.Handle, top.who}
		if s.parcelDue(x, ref) == top.at && !s.listings[s.at(ref).Listing-1].Frozen {
			return ref, top.at
		}
		x.parcels.drop()
	}
	return OrderRef{}, Never
}

// parcelWork is how much of a batch's share of timers one parcel takes: with its details
// it is several times the work of a hold that expires, and a whole warehouse is due at once.
const parcelWork = 4

// passParcel does with an order what is due: it is received, or completed.
func (s *State) passParcel(x *Session, ref OrderRef) Event {
	s.timersLeft -= parcelWork - 1
	x.parcels.drop()
	if s.at(ref).State == Shipped {
		return s.receive(x, ref)
	}
	to := s.shipmentOf(ref)
	to.CompletedAt = s.now
	s.setShipment(ref, to)
	e := s.moveOn(x, ref, Completed)
	s.schedule(x)
	return e
}

// describeRows says what a command on many orders is to do to which of them, as far as
// there is room: of a second look, those that do not pass, and why.
func (s *State) describeRows(c *Command) string {
	var b strings.Builder
	switch c.Kind {
	case CmdReviewOrders:
		var verdicts [reviewEnd]int
		for i := range c.Reviews {
			verdicts[c.Reviews[i].Verdict]++
		}
		fmt.Fprintf(&b, "%d passed, %d held, %d rejected", verdicts[ReviewPassed], verdicts[ReviewHeld],
			verdicts[ReviewRejected])
	case CmdExportOrders:
		number := "a new export"
		if c.Export != 0 {
			number = fmt.Sprintf("export %d", c.Export)
		}
		fmt.Fprintf(&b, "%d orders with %s", len(c.Orders), number)
	case CmdShipOrders:
		fmt.Fprintf(&b, "%d parcels", len(c.Parcels))
	default:
		fmt.Fprintf(&b, "%d orders received", len(c.Orders))
	}
	for i := range c.Reviews {
		r := &c.Reviews[i]
		if r.Verdict == ReviewPassed {
			continue
		}
		if b.Len() > maxDetailBytes/2 {
			b.WriteString("; ...")
			break
		}
		fmt.Fprintf(&b, "; %s %s", s.OrderNo(r.Order), r.Verdict)
		if r.Why != "" {
			fmt.Fprintf(&b, " (%s)", r.Why)
		}
	}
	return b.String()
}

// undelivered counts the paid units of a session whose delivery is not over.
func (s *State) undelivered(x *Session) (units int64) {
	for _, h := range x.Listings {
		if l := s.listings[h-1]; l.Delivery != DeliveryNone {
			units += l.Paid - l.Completed
		}
	}
	return units
}

// restoreParcels puts what time takes on where it finds it, and adds up how far the
// orders of x have come. It says what can't be, or "".
func (s *State) restoreParcels(x *Session) string {
	if x.State == Settled {
		return ""
	}
	type figures struct{ shipped, received, completed int64 }
	counted := make(map[ListingHandle]*figures, len(x.Listings))
	for _, h := range x.Listings {
		counted[h] = &figures{}
	}
	for i := range x.orders.len() {
		o, ref := x.orders.at(i), OrderRef{x.Handle, uint32(i) + 1}
		f, now, l := counted[o.Listing], s.shipmentOf(ref), s.listings[o.Listing-1]
		if f == nil {
			continue // restore says of it what is wrong
		}
		on := o.State == Shipped || o.State == Received || o.State == Completed
		switch {
		case now.Export > x.exports:
			return "an order went out with an export that there was not"
		case now != (Shipment{}) && (x.State < Ended || l.Delivery == DeliveryNone || !o.State.Granted()):
			return "an order is being delivered that is not to be"
		case o.State == Shipped && now.ShippedAt == 0, on && o.State != Shipped && now.ReceivedAt == 0,
			o.State == Completed && now.CompletedAt == 0, (now.ReceivedAt != 0 || now.ShippedAt != 0) && !on,
			o.State == Shipped && now.ReceivedAt != 0, on && o.State != Completed && now.CompletedAt != 0:
			return "an order's delivery has come to another place than the order"
		}
		switch o.State {
		case Shipped:
			f.shipped += int64(o.Quantity)
		case Received:
			f.received += int64(o.Quantity)
		case Completed:
			f.completed += int64(o.Quantity)
		}
		if at := s.parcelDue(x, ref); at != Never {
			x.parcels.add(timer{at, ref.Ordinal})
		}
	}
	for h, f := range counted {
		if l := s.listings[h-1]; (figures{l.Shipped, l.Received, l.Completed}) != *f {
			return "a listing counts other units on their way than its orders are"
		}
	}
	return ""
}
