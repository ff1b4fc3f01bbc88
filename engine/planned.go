package engine

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Wanted says what of the plan Planned gives.
type Wanted struct {
	Sale     string // of this sale alone; "" of all
	Over     bool   // sessions that have ended, and what is in the archive, too
	Products bool   // also products that nothing of it offers
}

// MaxPlannedProducts is how many products Planned gives: more are no plan.
const MaxPlannedProducts = 20_000

// Planned is what the plans so far come to.
type Planned struct {
	At   Time // state time
	Plan Plan // applied again, it changes nothing
	// Apart is where things are otherwise than planned: what operators have changed
	// since, and times that were counted from when the plan was applied.
	Apart []Change
	// More: there were over MaxPlannedProducts products, and the rest is left out.
	More bool
}

// Planned gives the plan as it is; known is false if there is no such sale. It shares
// texts and plays with the state: read only, also when the state has moved on.
func (s *State) Planned(w Wanted) (p *Planned, known bool) {
	p = &Planned{At: s.now}
	offered, played := map[string]bool{}, map[string]bool{}
	for _, x := range s.Sales() {
		if w.Sale != "" && x.ID != w.Sale || x.Archived && !w.Over {
			known = known || x.ID == w.Sale
			continue
		}
		known = true
		p.sale(x)
		sale := &p.Plan.Sales[len(p.Plan.Sales)-1]
		for _, session := range s.sessions {
			if session.Sale != x.ID || s.sessionByID[session.ID] != session || // deleted
				(session.State >= Ended || session.Archived) && !w.Over {
				continue
			}
			sale.Sessions = append(sale.Sessions, s.plannedSession(session, p))
			for _, l := range sale.Sessions[len(sale.Sessions)-1].Listings {
				offered[l.SKU] = true
				if l.Play != nil {
					played[l.Play.Name] = true
				}
			}
		}
	}
	for _, t := range s.Plays() {
		if w.Sale == "" || played[t.ID] {
			p.Plan.Plays = append(p.Plan.Plays, t.PlayTemplate)
		}
	}
	s.plannedProducts(w, p, offered)
	return p, known || w.Sale == ""
}

// sale adds one without its sessions, in the words of the last plan.
func (p *Planned) sale(x *Sale) {
	planned := SalePlan{Sale: Sale{ID: x.ID, Name: x.Name, Timezone: x.Timezone, Messages: x.Planned}}
	for _, w := range wordings(x.Messages, x.Planned) {
		if was, is := messageText(x.Planned, w), messageText(x.Messages, w); was != is {
			p.Apart = append(p.Apart, Change{"sales[" + x.ID + "].messages." + w.name + "." + w.lang, was, is})
		}
	}
	p.Plan.Sales = append(p.Plan.Sales, planned)
}

// plannedSession gives a session as the last plan said it.
func (s *State) plannedSession(x *Session, to *Planned) SessionPlan {
	path := "sales[" + x.Sale + "].sessions[" + x.ID + "]"
	planned := SessionPlan{SessionSpec: x.SessionSpec}
	if x.StartSpec == "now" || strings.HasPrefix(x.StartSpec, "+") {
		to.Apart = append(to.Apart, Change{path + ".start", x.StartSpec, x.Start.Wall().Format(time.RFC3339)})
	}
	if !x.Publish && x.State > Draft {
		to.Apart = append(to.Apart, Change{path + ".publish", "false", "true"})
	}
	for _, h := range x.Listings {
		l := s.listings[h-1]
		planned.Listings = append(planned.Listings, l.ListingSpec)
		if l.Stock != l.ListingSpec.Stock {
			to.Apart = append(to.Apart, Change{path + ".listings[" + l.SKU + "].stock",
				strconv.FormatInt(l.ListingSpec.Stock, 10), strconv.FormatInt(l.Stock, 10)})
		}
	}
	return planned
}

// plannedProducts adds those that are offered, and the others if they are wanted.
func (s *State) plannedProducts(w Wanted, to *Planned, offered map[string]bool) {
	add := func(p *Product) bool {
		if to.More = len(to.Plan.Products) == MaxPlannedProducts; !to.More {
			to.Plan.Products = append(to.Plan.Products, *p)
		}
		return !to.More
	}
	ids := make([]string, 0, len(offered))
	for id := range offered {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if p := s.Product(id); p != nil && !add(p) {
			return
		}
	}
	const page = 1000
	for at, done := 0, !w.Products; !done; {
		var rows []ProductView
		rows, at, done = s.ProductPage(ProductFilter{}, at, page)
		for i := range rows {
			if !offered[rows[i].ID] && !add(&rows[i].Product) {
				return
			}
		}
	}
}
