package engine

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// productUse is what sessions make of a product that one of them has.
type productUse struct {
	product productNo // 0: the row is free
	// before are those of paid that the supplier's figure does not count again.
	before int64
	// marks tell how many units were paid up to when, ascending; the last two apart, so that
	// what a snapshot has of them is never changed in place.
	marks      []paidMark
	last       paidMark
	lastMarked Time // when the last of marks was put there

	// What is derived from listings:

	listings  []ListingHandle // by session, the newest last; deleted ones left out
	putUp     int64           // what counts against the figure: the sum of Listing.counted
	paid      int64
	allowance int64 // of putUp; noBound without a figure
}

// paidMark says that so many units of a product were paid at a time or before, and are still.
type paidMark struct {
	at   Time
	paid int64
}

const noBound = math.MaxInt64

// Marks are kept at distances that grow with their age, so that they are few, whatever time
// goes by: what was paid at a time long ago is known less exactly. What is not known is
// counted against the figure.
const (
	maxMarks      = 128
	markEvery     = 100 // ms, the least between two
	markPrecision = 8   // a mark's distance to the next is about its age by this
)

func (u *productUse) over() int64 { return max(0, u.putUp-u.allowance) }

// room is how many units more may be put up.
func (u *productUse) room() int64 {
	if u.allowance == noBound {
		return noBound
	}
	return max(0, u.allowance-u.putUp)
}

// useOf gives what sessions make of a product's listing.
func (s *State) useOf(l *Listing) *productUse { return s.products.uses.at(int(l.use) - 1) }

func (s *State) mutUse(no useNo) *productUse { return s.products.uses.mut(int(no) - 1) }

// use has a listing counted with its product. The product is there.
func (s *State) use(l *Listing) {
	p := &s.products
	no := p.find([]byte(l.SKU))
	if p.row(no).use == 0 {
		p.mutRow(no).use = p.newUse(productUse{product: no, allowance: noBound})
		s.restock(no)
	}
	l.use = p.row(no).use
	u := s.mutUse(l.use)
	at, _ := slices.BinarySearchFunc(u.listings, l, func(h ListingHandle, l *Listing) int {
		return cmp.Or(cmp.Compare(s.listings[h-1].Session, l.Session), cmp.Compare(h, l.Handle))
	})
	u.listings = slices.Insert(u.listings, at, l.Handle)
	u.paid += l.Paid
	s.countUp(l)
}

func (p *products) newUse(u productUse) useNo {
	if len(p.freeUses) == 0 {
		p.uses.add(u)
		return useNo(p.uses.len())
	}
	no := p.freeUses[0]
	p.freeUses = p.freeUses[1:]
	*p.uses.mut(int(no) - 1) = u
	return no
}

// unuse forgets a listing that nothing was sold of.
func (s *State) unuse(l *Listing) {
	u := s.mutUse(l.use)
	u.putUp -= l.counted
	u.listings = slices.DeleteFunc(u.listings, func(h ListingHandle) bool { return h == l.Handle })
	if len(u.listings) == 0 {
		p := &s.products
		p.mutRow(u.product).use = 0
		at, _ := slices.BinarySearch(p.freeUses, l.use)
		p.freeUses = slices.Insert(p.freeUses, at, l.use)
		*u = productUse{}
	}
	l.use, l.counted = 0, 0
}

// countUp adds up what a listing counts against its supplier's figure: what it has put up,
// and once its session is over, what is held and paid.
func (s *State) countUp(l *Listing) {
	if l.use == 0 {
		return
	}
	counts := l.Stock
	if s.sessions[l.Session-1].State >= Ended {
		counts = l.Held + l.Paid
	}
	if counts != l.counted {
		s.mutUse(l.use).putUp += counts - l.counted
		l.counted = counts
	}
}

// sold counts units of a listing that were paid now.
func (s *State) sold(l *Listing, units uint32) {
	l.Paid += int64(units)
	if l.use == 0 {
		return
	}
	u := s.mutUse(l.use)
	u.paid += int64(units)
	if u.last.at < s.now {
		u.push(s.now, s.products.markEvery)
		u.last.at = s.now
	}
	u.last.paid = u.paid
}

// push puts the last mark among those that are kept, unless one is there that is nearly as
// old.
func (u *productUse) push(now, every Time) {
	if u.last.at == 0 || u.last.at < u.lastMarked+every && len(u.marks) > 0 {
		return
	}
	if len(u.marks) >= maxMarks {
		u.thin(now)
	}
	u.marks = append(u.marks, u.last)
	u.lastMarked = u.last.at
}

// thin keeps marks at distances that grow with their age.
func (u *productUse) thin(now Time) {
	kept := make([]paidMark, 0, maxMarks)
	for i, m := range u.marks {
		if i+1 < len(u.marks) && len(kept) > 0 &&
			u.marks[i+1].at-kept[len(kept)-1].at < (now-u.marks[i+1].at)/markPrecision {
			continue
		}
		kept = append(kept, m)
	}
	if len(kept) >= maxMarks { // all of them are far apart: the oldest say least
		kept = kept[len(kept)-maxMarks*3/4:]
	}
	u.marks = kept
}

// unsold takes units back that were paid at a time. They are given back after that.
func (s *State) unsold(l *Listing, units uint32, at Time) {
	l.Paid -= int64(units)
	if l.use == 0 {
		return
	}
	u := s.mutUse(l.use)
	u.paid -= int64(units)
	u.marks = slices.Clone(u.marks)
	for i := range u.marks {
		u.marks[i].less(at, units)
	}
	u.last.less(at, units)
	if row := s.products.row(u.product); row.is&productRemaining != 0 && at < row.asOf {
		u.before = max(0, u.before-int64(units))
		u.allowance = row.figure + u.before
	}
}

func (m *paidMark) less(at Time, units uint32) {
	if m.at >= at {
		m.paid = max(0, m.paid-int64(units))
	}
}

// paidUntil is how many units were surely paid before a time, and are still.
func (u *productUse) paidUntil(at Time) (units int64) {
	if u.last.at < at {
		return u.last.paid
	}
	i, _ := slices.BinarySearchFunc(u.marks, at, func(m paidMark, at Time) int { return cmp.Compare(m.at, at) })
	if i == 0 {
		return 0
	}
	return u.marks[i-1].paid
}

// paidAhead is how many units of a product, as row has it, were paid before its figure was
// stated.
func (s *State) paidAhead(no productNo, row *productRow) int64 {
	if row.use == 0 || row.is&productRemaining == 0 {
		return 0
	}
	u := s.products.uses.at(int(row.use) - 1)
	if s.products.row(no).statesAs(row.productStock) {
		return u.before
	}
	return u.paidUntil(row.asOf)
}

// allowanceOf is the most that may be put up of a product, as row has it; noBound without a
// figure.
func (s *State) allowanceOf(no productNo, row *productRow) int64 {
	if row.is&productKnown == 0 {
		return noBound
	}
	return row.figure + s.paidAhead(no, row)
}

// restock follows a supplier's figure that was stated anew.
func (s *State) restock(no productNo) {
	row := s.products.row(no)
	u := s.mutUse(row.use)
	u.before, u.allowance = 0, noBound
	if row.is&productRemaining != 0 {
		u.before = u.paidUntil(row.asOf)
	}
	if row.is&productKnown != 0 {
		u.allowance = row.figure + u.before
	}
	s.lower(row.use)
}

// lower takes units back that are free and that the supplier does not have any more, of
// the newest session first. Those that are held or paid are never taken; what of them comes
// back later is.
func (s *State) lower(no useNo) {
	u := s.products.uses.at(int(no) - 1)
	for i := len(u.listings) - 1; i >= 0 && u.over() > 0; i-- {
		s.lowerOf(s.listings[u.listings[i]-1], u.over())
		u = s.products.uses.at(int(no) - 1)
	}
}

// withdrawable is how many of so many units over can be taken from a listing.
func (s *State) withdrawable(l *Listing, over int64) int64 {
	if l.Frozen || s.sessions[l.Session-1].State >= Ended {
		return 0
	}
	return max(0, min(over, l.Available))
}

// lowerOf takes free units of one listing back, so many at most.
func (s *State) lowerOf(l *Listing, over int64) {
	units := s.withdrawable(l, over)
	if units == 0 {
		return
	}
	l.adjust(-units)
	s.countUp(l)
	s.touch(l.Handle)
	s.derive(Event{Kind: StockWithdrawn, Reason: ReasonSupplier, Session: l.Session, Listing: l.Handle, Amount: units})
}

// cameBack takes units that have just come free back at once, if the supplier does not have
// them any more.
func (s *State) cameBack(l *Listing) {
	if l.use == 0 {
		return
	}
	s.countUp(l)
	if over := s.useOf(l).over(); over > 0 {
		s.lowerOf(l, over)
	}
}

// roomFor is how many units more of a listing's product may be put up; noBound without a
// figure.
func (s *State) roomFor(l *Listing) int64 {
	if l.use == 0 {
		return noBound
	}
	return s.useOf(l).room()
}

func (u *productUse) fields(c *coder) {
	c.all(&u.product, &u.before, &u.marks, &u.last, &u.lastMarked)
	c.check(u.before >= 0, "less than nothing was paid")
	for i := range u.marks {
		c.check(u.marks[i].paid >= 0 && (i == 0 || u.marks[i-1].at < u.marks[i].at), "units paid out of order")
	}
	c.check(u.last.paid >= 0 && len(u.marks) <= maxMarks &&
		(len(u.marks) == 0 || u.marks[len(u.marks)-1].at < u.last.at), "units paid out of order")
}

func (m *paidMark) fields(c *coder) {
	c.time(&m.at)
	signed(c, &m.paid)
}

// recountUse tells what does not add up of a product that sessions have, or "". Only for
// tests and builds with the invariants tag: it reads every listing of it.
func (s *State) recountUse(no useNo) string {
	u := s.products.uses.at(int(no) - 1)
	if u.product == 0 {
		return ""
	}
	var putUp, paid, free int64
	for _, h := range u.listings {
		l := s.listings[h-1]
		over := s.sessions[l.Session-1].State >= Ended
		if paid += l.Paid; over {
			putUp += l.Held + l.Paid
		} else {
			putUp += l.Stock
		}
		if !over && !l.Frozen {
			free += l.Available
		}
		if l.SKU != s.products.id(u.product) || l.use != no {
			return fmt.Sprintf("listing %d is another product's", h)
		}
	}
	row := s.products.row(u.product)
	allowance := int64(noBound)
	if row.is&productKnown != 0 {
		allowance = row.figure + u.before
	}
	switch {
	case putUp != u.putUp || paid != u.paid || allowance != u.allowance:
		return fmt.Sprintf("put up %d, paid %d, allowance %d; counted are %d, %d, %d", putUp, paid, allowance, u.putUp,
			u.paid, u.allowance)
	case u.before > u.paid || u.last.paid > u.paid:
		return fmt.Sprintf("of %d paid, %d were paid before, %d till the last time", u.paid, u.before, u.last.paid)
	case u.over() > 0 && free > 0:
		return fmt.Sprintf("%d units are over the supplier's figure, and %d free", u.over(), free)
	}
	return ""
}
