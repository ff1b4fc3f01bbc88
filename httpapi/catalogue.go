package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func textJSON(t engine.Text) wire.Text {
	m := make(wire.Text, len(t))
	for _, w := range t {
		m[w.Lang] = w.Text
	}
	return m
}

func countsOf(c *engine.Counts) *wire.Counts {
	return &wire.Counts{Session: c.Session, SKU: c.SKU, Stock: c.Stock, Available: c.Available, Held: c.Held,
		Paid:       c.Paid,
		Waitlisted: c.Waiting, Entrants: c.Entrants, Reserved: c.Reserved, Shoppers: c.Shoppers,
		State:    c.State.String(),
		LogIndex: uint64(c.LogIndex)}
}

func sessionOf(x *engine.SessionView) wire.OpsSession {
	ended := ""
	if x.EndedAt > 0 {
		ended = rfc3339(x.EndedAt)
	}
	return wire.OpsSession{
		ID: x.ID, Sale: x.Sale, SaleName: textJSON(x.SaleName), State: x.State.String(), Paused: x.Paused,
		Archived: x.Archived,
		Start:    rfc3339(x.Start), End: rfc3339(x.End), EndedAt: ended,
		PayWithinSeconds: float64(x.PayWithinMS) / 1000, PayGraceSeconds: float64(x.PayGraceMS) / 1000,
		LimitPerShopper: x.LimitPerShopper, AdmissionMultiple: x.AdmissionMultiple,
		Listings: listOf(x.Listings, func(l *engine.ListingView) wire.OpsListing {
			return wire.OpsListing{SKU: l.SKU, Name: textJSON(l.Name), Price: l.Price, ListPrice: l.ListPrice,
				Currency: l.Currency, Shown: l.Stock, State: l.State.String(), LimitPerShopper: l.LimitPerShopper,
				SortOrder: l.SortOrder, Draw: l.Draw > 0, Waitlist: l.Waitlist, Reservation: l.Reservation}
		}),
		Findings: placesOf(x.Findings),
	}
}

// archiveQuery is what may be asked of what can be archived.
type archiveQuery struct {
	Archived bool `query:"archived"` // true: those in the archive, too.
}

func (s *AdminServer) sales(_ *http.Request, q *archiveQuery) (wire.Sales, error) {
	sales := slices.DeleteFunc(s.operator.Sales(), func(x engine.Sale) bool { return x.Archived && !q.Archived })
	return wire.Sales{Sales: listOf(sales, func(x *engine.Sale) wire.Sale {
		return wire.Sale{ID: x.ID, Name: textJSON(x.Name), Timezone: x.Timezone, Archived: x.Archived}
	})}, nil
}

func (s *AdminServer) sessions(_ *http.Request, q *archiveQuery) (wire.OpsSessions, error) {
	all := []wire.OpsSession{}
	for _, x := range s.operator.AllSessions() {
		if !x.Archived || q.Archived {
			all = append(all, sessionOf(&x))
		}
	}
	return wire.OpsSessions{Sessions: all}, nil
}

// session shows one session, its listings with their exact counts. The counts
// are each exact for their listing, but not all of one log index.
func (s *AdminServer) session(r *http.Request) (j wire.OpsSession, err error) {
	id := r.PathValue("session")
	views := s.operator.AllSessions()
	for i := range views {
		if views[i].ID != id {
			continue
		}
		j = sessionOf(&views[i])
		for l := range j.Listings {
			c, err := s.operator.Counts(id, j.Listings[l].SKU)
			if err != nil {
				return j, err
			}
			j.Listings[l].Counts = countsOf(&c)
		}
		return j, nil
	}
	return j, refuse(notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
}

// steer makes the handler of one action on a session.
func steer(action engine.SessionAction) adminHandler {
	return makes(func(s *AdminServer, r *http.Request, b *wire.Note) (wire.OpsSession, error) {
		x, err := s.operator.Steer(r.Context(), byOf(r), r.PathValue("session"), action, b.Note)
		return sessionOf(&x), err
	})
}

// settle has a session's orders leave memory for the ledger.
func (s *AdminServer) settle(r *http.Request, b *wire.Note) (wire.OpsSession, error) {
	x, err := s.operator.Settle(r.Context(), byOf(r), r.PathValue("session"), b.Note)
	return sessionOf(&x), err
}

func (s *AdminServer) counts(r *http.Request) (*wire.Counts, error) {
	c, err := s.operator.Counts(r.PathValue("session"), r.PathValue("sku"))
	return countsOf(&c), err
}

// addStock puts more units up, or with a negative number takes free ones away.
func (s *AdminServer) addStock(r *http.Request, b *wire.StockRequest) (*wire.Counts, error) {
	if n := b.Units; n == nil || *n == 0 || *n > engine.MaxStock || *n < -engine.MaxStock {
		return nil, refuse(malformed, fmt.Sprintf("The units must be there: up to %d to add, or below 0 to take away "+
			"free ones.",
			engine.MaxStock))
	}
	c, err := s.operator.AddStock(r.Context(), byOf(r), r.PathValue("session"), r.PathValue("sku"), *b.Units,
		b.Note.Note)
	return countsOf(&c), err
}

// planQuery is what may be asked with a plan.
type planQuery struct {
	DryRun bool `query:"dry_run"` // Only tell what would change.
}

func (s *AdminServer) applyPlan(r *http.Request, q *planQuery) (wire.PlanChanges, error) {
	text, err := bodyOf(r)
	if err != nil {
		return wire.PlanChanges{}, err
	}
	plan, problems := s.parsePlan(text)
	if len(problems) > 0 {
		return wire.PlanChanges{}, refuse(badPlan, planRefused, problems...)
	}
	o, err := s.operator.ApplyPlan(r.Context(), byOf(r), plan, q.DryRun)
	return planned(&o, q.DryRun, err)
}

const planRefused = "Nothing was changed. Each problem is listed with its place."

// planned says what a plan changed, or would, or why it could not be.
func planned(o *engine.PlanOutcome, dry bool, err error) (wire.PlanChanges, error) {
	switch {
	case err != nil:
		return wire.PlanChanges{}, err
	case len(o.Problems) > 0:
		return wire.PlanChanges{}, refuse(badPlan, planRefused, placesOf(o.Problems)...)
	}
	changes := listOf(o.Changes, func(c *engine.Change) wire.PlanChange { return wire.PlanChange(*c) })
	j := wire.PlanChanges{Applied: !dry, DryRun: dry, Changes: changes, Notes: placesOf(o.Notes)}
	if dry {
		j.NeedsApproval = o.Approval
	}
	return j, nil
}

func placesOf(of []engine.Problem) []wire.PlanProblem {
	return listOf(of, func(p *engine.Problem) wire.PlanProblem {
		return wire.PlanProblem{Path: p.Path, Message: p.Message}
	})
}
