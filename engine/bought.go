package engine

import (
	"cmp"
	"slices"
)

// bought is what shoppers have bought in one month in sessions that are cleared.
type bought struct {
	month Time             // when it began
	rows  table[boughtRow] // in the order in which they came to be
	last  byShopper        // of a shopper's rows, the last one's place from 1
}

// boughtRow counts a shopper's units of a product.
type boughtRow struct {
	shopper ShopperNo
	sku     string
	units   uint32
	before  uint32 // the shopper's row before this one, from 1; 0 if none
}

// monthKept is how long after its beginning a month counts at most: longer than
// any month, and than money may be late.
const monthKept Time = 62 * 24 * 3600 * 1000

// byShopper is a number a shopper, in pages that are made when needed: unlike a map it
// never has much to move at once.
type byShopper []*[1024]uint32

func (p byShopper) of(no ShopperNo) uint32 {
	if at := int(no) >> 10; at < len(p) && p[at] != nil {
		return p[at][no&1023]
	}
	return 0
}

func (p *byShopper) set(no ShopperNo, to uint32) {
	at := int(no) >> 10
	for at >= len(*p) {
		*p = append(*p, nil)
	}
	if (*p)[at] == nil {
		(*p)[at] = new([1024]uint32)
	}
	(*p)[at][no&1023] = to
}

// change adds to a shopper's number.
func (p *byShopper) change(no ShopperNo, by int) { p.set(no, uint32(int(p.of(no))+by)) }

// row gives the place of a shopper's row of a product, from 1, or 0.
func (b *bought) row(no ShopperNo, sku string) uint32 {
	at := b.last.of(no)
	for at != 0 && b.rows.at(int(at)-1).sku != sku {
		at = b.rows.at(int(at) - 1).before
	}
	return at
}

func (b *bought) add(no ShopperNo, sku string, units uint32) {
	b.rows.add(boughtRow{no, sku, units, b.last.of(no)})
	b.last.set(no, uint32(b.rows.len()))
}

// boughtIn gives what was bought in a month; it is made if missing.
func (s *State) boughtIn(month Time) *bought {
	at, found := slices.BinarySearchFunc(s.bought, month, func(b *bought, m Time) int {
		return cmp.Compare(b.month, m)
	})
	if !found {
		s.bought = slices.Insert(s.bought, at, &bought{month: month})
	}
	return s.bought[at]
}

// boughtSince counts a shopper's units of a product in the months from one on.
func (s *State) boughtSince(month Time, no ShopperNo, sku string) (units uint32) {
	for i := len(s.bought) - 1; i >= 0 && s.bought[i].month >= month; i-- {
		if at := s.bought[i].row(no, sku); at != 0 {
			units += s.bought[i].rows.at(int(at) - 1).units
		}
	}
	return units
}

func (s *State) hasBought(no ShopperNo) bool {
	return slices.ContainsFunc(s.bought, func(b *bought) bool { return b.last.of(no) != 0 })
}

// keepMonth counts an order's units for the month in which it was granted.
func (s *State) keepMonth(o *Order, x *Session) {
	month := s.sales[x.Sale].monthOf(o.Granted)
	if month+monthKept < s.now {
		return
	}
	b, sku := s.boughtIn(month), s.listings[o.Listing-1].SKU
	if at := b.row(o.Shopper, sku); at != 0 {
		b.rows.mut(int(at) - 1).units += o.Quantity
		return
	}
	b.add(o.Shopper, sku, o.Quantity)
}

// monthIsOver reports whether there are counts that no limit looks at any more.
func (s *State) monthIsOver() bool { return len(s.bought) > 0 && s.bought[0].month+monthKept < s.now }

// forgetBought lets go of a row of the oldest month, the last one.
func (s *State) forgetBought() (work int) {
	b := s.bought[0]
	n := b.rows.len()
	if n == 0 {
		s.bought = slices.Delete(s.bought, 0, 1)
		return 1
	}
	row := *b.rows.at(n - 1)
	b.rows.cut(n - 1)
	if b.last.set(row.shopper, row.before); row.before == 0 {
		s.forgetShopper(row.shopper)
	}
	return 1
}

// monthRow is a row of a month as a snapshot has it.
type monthRow struct {
	boughtRow
	month Time
}

func (x *monthRow) fields(c *coder) { c.all(&x.shopper, &x.sku, &x.month, &x.units) }

func (s *State) readBought(c *coder) {
	var x monthRow
	x.fields(c)
	c.check(s.ShopperID(x.shopper) != "" && s.productNo(x.sku) != 0 && x.units != 0,
		"units bought by nobody, or of nothing")
	if n := len(s.bought); n > 0 {
		c.check(s.bought[n-1].month <= x.month, "months out of order")
	}
	if c.err == nil {
		b := s.boughtIn(x.month)
		c.check(b.row(x.shopper, x.sku) == 0, "units bought are there twice")
		b.add(x.shopper, x.sku, x.units)
	}
}

// monthOf gives when the calendar month that at lies in began, as the sale's
// table of months has it; 0 where the table does not reach.
func (x *Sale) monthOf(at Time) Time {
	i, found := slices.BinarySearch(x.Months, at)
	if found {
		return x.Months[i]
	}
	if i == 0 {
		return 0
	}
	return x.Months[i-1]
}

// month gives the beginning of the month that a limit of l counts in now.
func (s *State) month(l *Listing) Time {
	sale := s.sales[s.sessions[l.Session-1].Sale]
	return sale.monthOf(s.now)
}

// learnMonths adds what the state knows of a sale's months, and of its clocks, to what a
// plan brings of them, and the other way round. A later plan brings later months and may
// bring no more the early ones, by which holds still count; and it may change nothing else.
func (s *State) learnMonths(sale *Sale) {
	old := s.sales[sale.ID]
	if old == nil || old.Timezone != sale.Timezone {
		return
	}
	sale.Months, sale.Offsets = mergeMonths(old.Months, sale.Months), mergeOffsets(old.Offsets, sale.Offsets)
	if !slices.Equal(sale.Months, old.Months) || !slices.Equal(sale.Offsets, old.Offsets) {
		learnt := *old // a snapshot may hold the old one
		learnt.Months, learnt.Offsets = sale.Months, sale.Offsets
		s.sales[sale.ID] = &learnt
	}
}

// mergeOffsets gives the changes of the clocks in two tables, the second's where both have
// one, and of more than there is room for the latest.
func mergeOffsets(a, b []Offset) []Offset {
	merged := slices.Concat(b, a)
	slices.SortStableFunc(merged, func(x, y Offset) int { return cmp.Compare(x.From, y.From) })
	merged = slices.CompactFunc(merged, func(x, y Offset) bool { return x.From == y.From })
	return merged[max(0, len(merged)-MaxOffsets):]
}

// mergeMonths gives the months of two tables, each once, ascending, and of more
// than there is room for the latest.
func mergeMonths(a, b []Time) []Time {
	merged := slices.Concat(a, b)
	slices.Sort(merged)
	merged = slices.Compact(merged)
	return merged[max(0, len(merged)-MaxMonths):]
}
