package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShippingAgainstModel plays the same as TestMoneyAgainstModel, where most listings
// deliver and warehouses are busy.
func TestShippingAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sim := newModelled(t)
		sim.brisk, sim.ships = true, true
		sim.run()
	})
}

// enrichDelivery says how the listings of a session deliver, and how long that takes.
func (s *simulation) enrichDelivery(x *SessionPlan) {
	if !s.ships && rapid.IntRange(0, 5).Draw(s.t, "delivers") > 0 {
		return
	}
	x.ReceiveWithin = time.Duration(rapid.IntRange(0, 6).Draw(s.t, "receive_within")) * modelTick
	x.CompleteWithin = time.Duration(rapid.IntRange(0, 6).Draw(s.t, "complete_within")) * modelTick
	for i := range x.Listings {
		x.Listings[i].Delivery = rapid.SampledFrom([]Delivery{DeliveryShip, DeliveryShip, DeliveryCollect,
			DeliveryVirtual, DeliveryNone}).Draw(s.t, "delivery")
	}
}

// warehouse plays what happens to orders once their session has ended.
func (s *simulation) warehouse() {
	s.jump()
	var commands []Command
	for range rapid.IntRange(1, 5).Draw(s.t, "steps") {
		commands = append(commands, s.delivering())
	}
	if rapid.IntRange(0, 5).Draw(s.t, "said twice") == 0 {
		commands = append(commands, commands...)
	}
	s.play(commands...)
}

// busy gives a session to ship from: mostly one that has ended and has orders.
func (s *simulation) busy() *Session {
	sessions := s.group.state.Sessions()
	if len(sessions) == 0 {
		return nil
	}
	over := slices.DeleteFunc(slices.Clone(sessions), func(x *Session) bool {
		return x.State != Ended || x.Orders() == 0
	})
	if len(over) == 0 || rapid.IntRange(0, 9).Draw(s.t, "any session") == 0 {
		over = sessions
	}
	return over[rapid.IntRange(0, len(over)-1).Draw(s.t, "ships from")]
}

// delivering is a step of an order's delivery: mostly one that it is ready for.
func (s *simulation) delivering() Command {
	x := s.busy()
	if x == nil {
		return Command{Kind: CmdReceiveOrders, Session: 1}
	}
	if x.State < Ended && rapid.Bool().Draw(s.t, "end it") {
		return Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionEnd}
	}
	c := Command{Session: x.Handle, Operator: "op", Kind: rapid.SampledFrom([]CommandKind{CmdReviewOrders,
		CmdReviewOrders, CmdExportOrders, CmdExportOrders, CmdShipOrders, CmdShipOrders, CmdReceiveOrders,
		CmdReceiveOrder, CmdSetReceiver, CmdSetReceiver}).Draw(s.t, "step")}
	refs := s.ready(x, c.Kind)
	switch c.Kind {
	case CmdReviewOrders:
		for _, ref := range refs {
			c.Reviews = append(c.Reviews, Review{ref, rapid.SampledFrom([]ReviewState{ReviewPassed, ReviewPassed,
				ReviewPassed, ReviewPassed, ReviewHeld, ReviewRejected, NotReviewed}).Draw(s.t, "verdict"),
				rapid.SampledFrom([]string{"", "", "", "odd", " "}).Draw(s.t, "why")})
		}
	case CmdExportOrders:
		c.Orders = refs
		c.Export = uint32(max(0, rapid.IntRange(-2, int(x.exports)+1).Draw(s.t, "export")))
	case CmdShipOrders:
		for _, ref := range refs {
			c.Parcels = append(c.Parcels, Parcel{ref,
				rapid.SampledFrom([]string{"SF", "SF", "SF", "EMS", ""}).Draw(s.t, "carrier"),
				rapid.SampledFrom([]string{"1", "1", "1", "2", ""}).Draw(s.t, "tracking")})
		}
	case CmdReceiveOrders:
		c.Orders = refs
	default:
		c.Order, c.Shopper = s.order(), s.shopper()
		if len(refs) > 0 {
			c.Order = refs[0]
			if o := s.group.state.Order(refs[0]); o != nil && rapid.IntRange(0, 5).Draw(s.t, "another's") > 0 {
				c.Shopper = []byte(s.group.state.ShopperID(o.Shopper))
			}
		}
		c.Receiver, c.PersonalKey = simReceiver(s.t), testKey
		if key, there := s.group.state.Personal().Key(string(c.Shopper)); there {
			c.PersonalKey = key
		}
	}
	return c
}

// ready gives up to four orders of a session, mostly such as a step can be done to.
func (s *simulation) ready(x *Session, step CommandKind) (refs []OrderRef) {
	careless := rapid.IntRange(0, 5).Draw(s.t, "careless") == 0
	state := s.group.state
	for i := x.Orders(); i > 0 && len(refs) < 4; i-- {
		ref := OrderRef{x.Handle, uint32(i)}
		o := state.Order(ref)
		if o == nil {
			continue
		}
		l, now := state.Listing(o.Listing), state.shipmentOf(ref)
		_, has := state.Receiver(ref)
		goes := now.Review == ReviewPassed && (has || l.Delivery != DeliveryShip)
		fits := o.State == Paid && l.Delivery != DeliveryNone
		switch step {
		case CmdReviewOrders:
			fits = fits && now.Export == 0
		case CmdExportOrders:
			fits = fits && goes && now.Export == 0
		case CmdShipOrders:
			fits = fits && goes
		case CmdReceiveOrders:
			fits = o.State == Shipped || fits && goes && l.Delivery != DeliveryShip
		case CmdReceiveOrder:
			fits = o.State == Shipped
		case CmdSetReceiver:
			fits = fits && (!has || rapid.IntRange(0, 3).Draw(s.t, "again") == 0)
		}
		if (fits || careless) && rapid.IntRange(0, 3).Draw(s.t, "of these") > 0 {
			refs = append(refs, ref)
		}
	}
	if careless && len(refs) > 0 && rapid.IntRange(0, 2).Draw(s.t, "twice") == 0 {
		refs = append(refs, refs[0])
	}
	if careless && rapid.IntRange(0, 5).Draw(s.t, "elsewhere") == 0 {
		refs = append(refs, s.order())
	}
	return refs
}

func simReceiver(t *rapid.T) Receiver {
	return sealed(rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "name"))
}

// deliverAll takes every order that is still to be delivered on as far as it goes, and
// takes back those that can't be: then all of them come to their end by time.
func (s *simulation) deliverAll() {
	state := s.group.state
	for _, x := range state.Sessions() {
		var pass, export, ship, back []Command
		for i := range x.Orders() {
			ref := OrderRef{x.Handle, uint32(i) + 1}
			o := state.Order(ref)
			if o == nil || x.State != Ended || o.State != Paid || state.Listing(o.Listing).Delivery == DeliveryNone {
				continue
			}
			now := state.shipmentOf(ref)
			if _, has := state.Receiver(ref); !has && state.Listing(o.Listing).Delivery == DeliveryShip {
				back = append(back, Command{Kind: CmdVoidOrder, Order: ref})
				continue
			}
			if now.Export == 0 {
				pass = append(pass, Command{Kind: CmdReviewOrders, Session: x.Handle,
					Reviews: []Review{{ref, ReviewPassed, ""}}})
				export = append(export, Command{Kind: CmdExportOrders, Session: x.Handle, Orders: []OrderRef{ref}})
			}
			ship = append(ship, Command{Kind: CmdShipOrders, Session: x.Handle, Parcels: []Parcel{{ref, "SF", "9"}}})
		}
		s.play(slices.Concat(pass, export, ship, back)...)
		for i := range x.Orders() {
			ref := OrderRef{x.Handle, uint32(i) + 1}
			if o := state.Order(ref); o != nil && x.State == Ended && o.State == Paid &&
				state.Listing(o.Listing).Delivery != DeliveryNone {
				s.t.Fatalf("order %v can't be delivered: %+v", ref, state.shipmentOf(ref))
			}
		}
	}
	s.passAll() // they are received,
	s.passAll() // and completed
	for _, x := range state.Sessions() {
		if units := state.undelivered(x); units > 0 && x.State == Ended {
			s.t.Fatalf("%d units of session %q are on their way for ever", units, x.ID)
		}
	}
}
