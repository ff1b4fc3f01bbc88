package engine

import "container/heap"

// bargainRow and cutRow are a bargain and a cut as a snapshot has them.
type bargainRow struct {
	session SessionHandle
	*Bargain
}

func (x *bargainRow) fields(c *coder) {
	b := x.Bargain
	unsigned(c, &x.session)
	unsigned(c, &b.Shopper)
	unsigned(c, &b.Listing)
	signed(c, &b.Price)
	signed(c, &b.from)
	signed(c, &b.floor)
	c.time(&b.Started)
	c.since(&b.Expires, b.Started)
	c.bool(&b.Ended)
	unsigned(c, &b.order)
	c.bool(&b.taken)
	c.check(b.floor >= 0 && b.floor <= b.Price && b.Price <= b.from && b.from <= MaxPrice,
		"a bargain whose price is out of bounds")
}

type cutRow struct {
	session SessionHandle
	*Cut
}

func (x *cutRow) fields(c *coder) {
	t := x.Cut
	unsigned(c, &x.session)
	unsigned(c, &t.bargain)
	unsigned(c, &t.Friend)
	c.time(&t.At)
	signed(c, &t.Amount)
	unsigned(c, &t.Weight)
	c.bool(&t.New)
	c.fixed(t.key[:])
	c.check(t.Amount > 0 && t.Amount <= MaxPrice && t.Weight > 0 && t.Weight <= MaxWeight, "a cut out of bounds")
}

func (s *snapshotReader) readBargain(c *coder) {
	s.bargain = Bargain{}
	row := bargainRow{Bargain: &s.bargain}
	row.fields(c)
	x, l := s.SessionOf(row.session), s.Listing(row.Listing)
	c.check(x != nil && l != nil && l.Session == x.Handle, "a bargain of no listing")
	c.check(row.Shopper != 0 && int(row.Shopper) <= s.shoppers.rows.len(), "a bargain of no shopper")
	c.check(x == nil || int(row.order) <= x.orders.len() || x.Left(), "a bargain of no order")
	if c.err != nil {
		return
	}
	c.check(x.bargains.of[bargainOwner{row.Shopper, row.Listing}] == 0, "a bargain is there twice")
	x.bargains.rows.add(s.bargain)
	x.bargains.index(uint32(x.bargains.rows.len()))
	s.playing.change(row.Shopper, 1)
}

func (s *snapshotReader) readCut(c *coder) {
	s.cut = Cut{}
	row := cutRow{Cut: &s.cut}
	row.fields(c)
	x := s.SessionOf(row.session)
	c.check(x != nil && row.bargain > 0 && int(row.bargain) <= x.bargains.rows.len(), "a cut of no bargain")
	c.check(row.Friend != 0 && int(row.Friend) <= s.shoppers.rows.len(), "a cut of no shopper")
	if c.err != nil {
		return
	}
	b := x.bargains.rows.mut(int(row.bargain) - 1)
	b.Cuts++
	s.cut.Number, s.cut.before, s.cut.friendBefore = b.Cuts, b.last, x.bargains.last[row.Friend]
	x.bargains.cuts.add(s.cut)
	b.last = uint32(x.bargains.cuts.len())
	x.bargains.follow(b.last)
	s.playing.change(row.Friend, 1)
}

// forget lets go of what finds bargains that nobody looks for any more.
func (x *bargains) forget() { x.of, x.last, x.due = nil, nil, nil }

// restoreBargains finds what is due of a session's, and checks what they add up to.
func (s *State) restoreBargains(x *Session) string {
	for i := range x.bargains.rows.len() {
		b, sum := x.bargains.rows.at(i), int64(0)
		for at := b.last; at != 0; {
			c := x.bargains.cuts.at(int(at) - 1)
			sum += c.Amount
			at = c.before
		}
		l := s.listings[b.Listing-1]
		if sum != b.from-b.Price && !x.cleared {
			return "a bargain whose price is not its start less its cuts"
		}
		if b.taken && x.State == Settled {
			return "a unit is set aside, and it has been settled"
		}
		l.Bargains++
		if b.taken {
			x.bargains.due = append(x.bargains.due, timer{b.Expires, uint32(i) + 1})
		}
	}
	heap.Init(&x.bargains.due)
	if x.State == Settled {
		x.bargains.forget()
	}
	return ""
}

// freeze gives the tables as they are now.
func (x *bargains) freeze() bargains {
	return bargains{rows: x.rows.freeze(), cuts: x.cuts.freeze()}
}
