package engine

import "cmp"

// What the rules say of suppliers' figures, each time added up from the orders.

// putUp is what counts against a product's figure.
func (m *model) putUp(sku string) (units int64) {
	for _, l := range m.listings {
		switch c := m.counts(l); {
		case l.spec.SKU != sku:
		case l.session.state < Ended:
			units += l.stock
		default:
			units += c.Held + c.Paid
		}
	}
	return units
}

// allowance is the most that may be put up of a product if its supplier says x; false without
// a bound.
func (m *model) allowance(sku string, x SupplierStock) (units int64, bounded bool) {
	units = x.Figure
	for _, o := range m.orders {
		if x.Remaining && o.listing.spec.SKU == sku && o.bought() && o.boughtAt < x.AsOf {
			units += int64(o.quantity)
		}
	}
	return units, x.Known
}

// over is how many units of a product its supplier does not have any more.
func (m *model) over(sku string) int64 {
	allowance, bounded := m.allowance(sku, m.supply[sku])
	if !bounded {
		return 0
	}
	return max(0, m.putUp(sku)-allowance)
}

// fitsSupply reports whether so many units more of a product may be put up.
func (m *model) fitsSupply(sku string, x SupplierStock, units int64) bool {
	allowance, bounded := m.allowance(sku, x)
	return units <= 0 || !bounded || m.putUp(sku)+units <= allowance
}

// cameBack takes units of a listing that have come free, if they are over.
func (m *model) cameBack(l *modelListing) {
	if l.session.state >= Ended {
		return
	}
	units := min(m.over(l.spec.SKU), m.counts(l).Available)
	if units <= 0 {
		return
	}
	l.stock -= units
	m.derived = append(m.derived, Event{Kind: StockWithdrawn, Reason: ReasonSupplier, Command: -1,
		Session: l.session.handle, Listing: l.handle, Amount: units})
}

// states takes what a supplier says, and back what is free and over, newest session first.
func (m *model) states(sku string, x SupplierStock) {
	m.supply[sku] = x
	for i := len(m.sessions) - 1; i >= 0; i-- {
		if l := m.listingIn(m.sessions[i], sku); l != nil {
			m.cameBack(l)
		}
	}
}

// maySupply reports whether suppliers' figures allow a plan.
func (m *model) maySupply(p *Plan) bool {
	figures, net, raised := map[string]SupplierStock{}, map[string]int64{}, map[string]bool{}
	for _, product := range p.Products {
		old := m.supply[product.ID]
		figures[product.ID] = old
		if x := product.Stock; x.Known {
			figures[product.ID] = x
			if x.Remaining && old.Remaining && x.AsOf < old.AsOf {
				return false
			}
		}
	}
	for _, s := range p.Sales {
		for _, x := range s.Sessions {
			session := m.session(x.ID)
			for _, spec := range x.Listings {
				var l *modelListing
				if session != nil {
					l = m.listingIn(session, spec.SKU)
				}
				units := spec.Stock
				switch {
				case l == nil:
				case l.spec.Stock == spec.Stock || session.state >= Ended:
					continue
				default:
					units -= l.stock
				}
				net[spec.SKU] += units
				raised[spec.SKU] = raised[spec.SKU] || units > 0
			}
		}
	}
	for sku, units := range net {
		x, planned := figures[sku]
		if !planned {
			x = m.supply[sku]
		}
		if raised[sku] && !m.fitsSupply(sku, x, units) {
			return false
		}
	}
	return true
}

// supplyDiffers tells where the state has another figure, or counts otherwise.
func (m *model) supplyDiffers(s *State) string {
	for sku := range m.products {
		v, known := s.ProductOf(sku)
		allowance, bounded := m.allowance(sku, m.supply[sku])
		if !bounded {
			allowance = -1
		}
		if !known || v.Stock != m.supply[sku] || v.Use.PutUp != m.putUp(sku) || v.Use.Allowance != allowance {
			return "product " + sku + " has another supply: " + cmp.Or(v.Stock.String(), "none")
		}
	}
	return ""
}
