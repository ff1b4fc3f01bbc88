package engine

import (
	"cmp"
	"slices"
)

// monthUnits is what a shopper has bought of a product in a month, kept when the
// session in which he did is settled.
type monthUnits struct {
	sku   string
	month Time // when it began
	units uint32
}

// monthKept is how long after its beginning a month counts at most: longer than
// any month, and than money may be late.
const monthKept Time = 62 * 24 * 3600 * 1000

// MaySettle tells why a session's orders can't leave the state, or ReasonNone: it is
// over, nobody holds or waits, and no money of its orders is on its way back. It
// reads every order of the session. Reasons: ReasonSettled, ReasonNotOpen before its
// end, ReasonNotHeld.
func (s *State) MaySettle(x *Session) Reason {
	switch x.State {
	case Ended:
	case Settled:
		return ReasonSettled
	default:
		return ReasonNotOpen
	}
	for _, h := range x.Listings {
		if l := s.listings[h-1]; l.Held > 0 || l.Waiting > 0 || l.Entrants > 0 || l.Frozen {
			return ReasonNotHeld
		}
	}
	for i := range x.orders.len() {
		if x.orders.at(i).State == RefundDue {
			return ReasonNotHeld
		}
	}
	return ReasonNone
}

// settleSession has a session's orders leave the state; every voter's ledger has
// them by then, which is for whoever asks to see to. What remains of them are the
// units that limits by the month count, and the listings' figures.
func (s *State) settleSession(c *Command) Event {
	x := s.SessionOf(c.Session)
	if x == nil {
		return refused(ReasonUnknown)
	}
	if x.State == Settled {
		return Event{Kind: SessionUnchanged, Session: x.Handle}
	}
	if why := s.MaySettle(x); why != ReasonNone {
		return Event{Kind: CommandRefused, Reason: why, Session: x.Handle}
	}
	s.eff.Leaving = append(s.eff.Leaving, s.leaving(x))
	s.forgetMonths()
	s.forgetPayments(x)
	limited := s.limitedByMonth()
	var gone []ShopperNo
	for i := range x.orders.len() {
		o := x.orders.at(i)
		if o.State.Live() && limited[s.listings[o.Listing-1].SKU] {
			s.keepMonth(o, x)
		}
		if s.unchain(o.Shopper, x.Handle) && len(s.bought[o.Shopper]) == 0 {
			gone = append(gone, o.Shopper)
		}
	}
	slices.Sort(gone)
	for _, no := range slices.Compact(gone) {
		if len(s.bought[no]) == 0 && s.lastOrder(no).IsZero() {
			s.shoppers.remove(no)
		}
	}
	s.shoppers.shrink()
	x.settledOrders = uint32(x.orders.len())
	x.orders, x.details = table[Order]{gen: x.orders.gen}, table[details]{gen: x.details.gen}
	if s.doublePayments {
		s.findPayments()
	}
	x.expired, x.exceptional, x.asides, x.lastDue = 0, nil, nil, 0
	x.State = Settled
	for _, h := range x.Listings {
		delete(s.rosters, RosterID{Kind: RosterReserved, Listing: h})
		s.lines[h-1], s.draws[h-1] = line{}, pool{}
	}
	s.sessionChanged(x, SessionSettled)
	return Event{Kind: SessionSettled, Session: x.Handle, Quantity: x.settledOrders}
}

// limitedByMonth tells of which products units are counted by the month.
func (s *State) limitedByMonth() map[string]bool {
	limited := map[string]bool{}
	for _, l := range s.listings {
		if l.LimitPerMonth > 0 {
			limited[l.SKU] = true
		}
	}
	return limited
}

// keepMonth counts an order's units for the month in which it was granted.
func (s *State) keepMonth(o *Order, x *Session) {
	month := s.sales[x.Sale].monthOf(o.Granted)
	if month+monthKept < s.now {
		return
	}
	sku := s.listings[o.Listing-1].SKU
	kept := s.bought[o.Shopper]
	for i := range kept {
		if kept[i].sku == sku && kept[i].month == month {
			kept[i].units += o.Quantity
			return
		}
	}
	s.keepBought(o.Shopper, monthUnits{sku, month, o.Quantity})
}

func (s *State) keepBought(no ShopperNo, b monthUnits) {
	s.bought[no] = append(s.bought[no], b)
	s.oldestMonth = min(s.oldestMonth, b.month)
}

// forgetMonths drops the counts of months that no limit looks at any more.
func (s *State) forgetMonths() {
	old := func(b monthUnits) bool { return b.month+monthKept < s.now }
	if s.oldestMonth == Never || !old(monthUnits{month: s.oldestMonth}) {
		return
	}
	before := s.bought
	s.bought, s.oldestMonth = map[ShopperNo][]monthUnits{}, Never // what a map has grown to it would keep
	var none []ShopperNo
	for no, all := range before {
		left := slices.DeleteFunc(all, old)
		for _, b := range left {
			s.oldestMonth = min(s.oldestMonth, b.month)
		}
		if len(left) > 0 {
			s.bought[no] = left
		} else {
			none = append(none, no)
		}
	}
	slices.Sort(none) // maps are walked in no order, and every node must do the same
	for _, no := range none {
		if s.lastOrder(no).IsZero() {
			s.shoppers.remove(no)
		}
	}
}

// unchain takes a shopper's orders of a session out of the chain of his orders;
// true if none are left.
func (s *State) unchain(no ShopperNo, session SessionHandle) (none bool) {
	last := s.lastOrder(no)
	for last.Session == session {
		last = s.sessions[session-1].orders.at(int(last.Ordinal) - 1).previous
	}
	if last != s.lastOrder(no) {
		s.shoppers.rows.mut(int(no) - 1).kept = last
	}
	for at := last; !at.IsZero(); {
		next := s.Order(at).previous
		for next.Session == session {
			next = s.sessions[session-1].orders.at(int(next.Ordinal) - 1).previous
		}
		if next != s.Order(at).previous {
			s.mutOrder(at).previous = next
		}
		at = next
	}
	return last.IsZero()
}

// boughtRow is what one shopper has bought, in a snapshot.
type boughtRow struct {
	shopper ShopperNo
	monthUnits
}

func (s *State) boughtRows() (rows []boughtRow) {
	for no, all := range s.bought {
		for _, b := range all {
			rows = append(rows, boughtRow{no, b})
		}
	}
	slices.SortFunc(rows, func(a, b boughtRow) int {
		return cmp.Or(cmp.Compare(a.shopper, b.shopper), cmp.Compare(a.sku, b.sku), cmp.Compare(a.month, b.month))
	})
	return rows
}

func (s *snapshotReader) readBought(r *reader) {
	no, b := ShopperNo(r.uint32()), monthUnits{sku: r.string(MaxIDBytes), month: Time(r.int()), units: r.uint32()}
	switch {
	case r.err != nil:
	case s.ShopperID(no) == "" || s.products[b.sku] == nil || !sane(b.month) || b.units == 0:
		r.fail("units bought by nobody, or of nothing")
	case slices.ContainsFunc(s.bought[no], func(o monthUnits) bool { return o.sku == b.sku && o.month == b.month }):
		r.fail("units bought are there twice")
	default:
		s.keepBought(no, b)
	}
}
