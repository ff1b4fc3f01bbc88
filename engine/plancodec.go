package engine

func (w *writer) plan(p *Plan) {
	w.bool(p.ByHand)
	w.uint(uint64(len(p.Products)))
	for i := range p.Products {
		w.product(&p.Products[i])
	}
	w.uint(uint64(len(p.Sales)))
	for i := range p.Sales {
		s := &p.Sales[i]
		w.sale(&s.Sale)
		w.uint(uint64(len(s.Sessions)))
		for j := range s.Sessions {
			w.sessionSpec(&s.Sessions[j].SessionSpec)
			w.uint(uint64(len(s.Sessions[j].Listings)))
			for _, l := range s.Sessions[j].Listings {
				w.listingSpec(&l)
			}
		}
	}
}

func (r *reader) plan() *Plan {
	p := &Plan{ByHand: r.bool()}
	for range r.count() {
		p.Products = append(p.Products, r.product())
		if r.err != nil {
			return p
		}
	}
	for range r.count() {
		sale := SalePlan{Sale: r.sale()}
		for range r.count() {
			session := SessionPlan{SessionSpec: r.sessionSpec()}
			for range r.count() {
				session.Listings = append(session.Listings, r.listingSpec())
				if r.err != nil {
					return p
				}
			}
			sale.Sessions = append(sale.Sessions, session)
			if r.err != nil {
				return p
			}
		}
		p.Sales = append(p.Sales, sale)
		if r.err != nil {
			return p
		}
	}
	return p
}

func (w *writer) product(p *Product) {
	w.string(p.ID)
	w.text(p.Name)
	w.string(p.Image)
	w.string(p.Supplier)
	w.int(p.ListPrice)
	w.string(p.Currency)
	w.bool(p.Place != nil)
	if p.Place != nil {
		w.float(p.Place.Latitude)
		w.float(p.Place.Longitude)
	}
}

func (r *reader) product() Product {
	p := Product{ID: r.string(MaxIDBytes), Name: r.text(), Image: r.string(MaxURLBytes), Supplier: r.string(MaxTextBytes),
		ListPrice: r.int(), Currency: r.string(MaxIDBytes)}
	if r.bool() {
		p.Place = &Place{Latitude: r.float(), Longitude: r.float()}
	}
	return p
}

func (w *writer) sale(s *Sale) {
	w.string(s.ID)
	w.text(s.Name)
	w.string(s.Timezone)
	w.uint(uint64(len(s.Months)))
	for _, at := range s.Months {
		w.int(int64(at))
	}
	for _, messages := range [...][]Message{s.Messages, s.Planned} {
		w.uint(uint64(len(messages)))
		for _, m := range messages {
			w.string(m.Name)
			w.text(m.Text)
		}
	}
}

func (r *reader) sale() Sale {
	s := Sale{ID: r.string(MaxIDBytes), Name: r.text(), Timezone: r.string(MaxIDBytes)}
	for range r.count() {
		s.Months = append(s.Months, Time(r.int()))
		if len(s.Months) > MaxMonths {
			r.fail("too many months")
			return s
		}
	}
	for _, messages := range [...]*[]Message{&s.Messages, &s.Planned} {
		for range r.count() {
			*messages = append(*messages, Message{Name: r.string(MaxIDBytes), Text: r.text()})
			if r.err != nil {
				return s
			}
		}
	}
	return s
}

func (w *writer) sessionSpec(s *SessionSpec) {
	w.string(s.ID)
	w.string(s.StartSpec)
	w.int(int64(s.Start))
	w.int(int64(s.End))
	w.duration(s.PayWithin)
	w.duration(s.PayGrace)
	w.uint(uint64(s.LimitPerShopper))
	w.uint(uint64(s.AdmissionMultiple))
	w.bool(s.Publish)
	w.string(s.Profile)
}

func (r *reader) sessionSpec() SessionSpec {
	return SessionSpec{ID: r.string(MaxIDBytes), StartSpec: r.string(MaxIDBytes), Start: Time(r.int()), End: Time(r.int()),
		PayWithin: r.duration(), PayGrace: r.duration(), LimitPerShopper: r.uint32(), AdmissionMultiple: r.uint32(), Publish: r.bool(), Profile: r.string(MaxIDBytes)}
}

func (w *writer) listingSpec(l *ListingSpec) {
	w.string(l.SKU)
	w.int(l.Price)
	w.int(l.Stock)
	w.int(l.Shown)
	w.uint(uint64(l.LimitPerShopper))
	w.int(int64(l.SortOrder))
	w.uint(uint64(l.LimitPerMonth))
	w.bool(l.Reservation)
	w.string(l.AllowList)
	w.bool(l.Waitlist)
	w.bool(l.Ticket)
	w.byte(byte(l.Challenge))
	w.duration(l.Draw)
	w.duration(l.SetAside)
}

func (r *reader) listingSpec() ListingSpec {
	l := ListingSpec{SKU: r.string(MaxIDBytes), Price: r.int(), Stock: r.int(), Shown: r.int(), LimitPerShopper: r.uint32()}
	order := r.int()
	if order != int64(int32(order)) {
		r.fail("a sort order is over 32 bits")
	}
	l.SortOrder = int32(order)
	l.LimitPerMonth, l.Reservation, l.AllowList = r.uint32(), r.bool(), r.string(MaxIDBytes)
	l.Waitlist, l.Ticket, l.Challenge = r.bool(), r.bool(), Challenge(r.byte())
	l.Draw, l.SetAside = r.duration(), r.duration()
	if int(l.Challenge) >= len(challenges) {
		r.fail("an unknown challenge")
	}
	return l
}
