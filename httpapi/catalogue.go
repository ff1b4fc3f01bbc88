package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

func textJSON(t engine.Text) map[string]string {
	m := make(map[string]string, len(t))
	for _, w := range t {
		m[w.Lang] = w.Text
	}
	return m
}

func countsOf(c *engine.Counts) *wire.Counts {
	return &wire.Counts{Session: c.Session, SKU: c.SKU, Stock: c.Stock, Available: c.Available, Held: c.Held, Paid: c.Paid,
		Waitlisted: c.Waiting, Entrants: c.Entrants, Reserved: c.Reserved, Shoppers: c.Shoppers, State: c.State.String(), LogIndex: uint64(c.LogIndex)}
}

func sessionOf(x *engine.SessionView) wire.OpsSession {
	j := wire.OpsSession{
		ID: x.ID, Sale: x.Sale, SaleName: textJSON(x.SaleName), State: x.State.String(), Paused: x.Paused,
		Start: rfc3339(x.Start), End: rfc3339(x.End),
		PayWithinSeconds: float64(x.PayWithinMS) / 1000, PayGraceSeconds: float64(x.PayGraceMS) / 1000,
		LimitPerShopper: x.LimitPerShopper, AdmissionMultiple: x.AdmissionMultiple,
		Listings: make([]wire.OpsListing, 0, len(x.Listings)), Findings: placesOf(x.Findings),
	}
	for i := range x.Listings {
		l := &x.Listings[i]
		j.Listings = append(j.Listings, wire.OpsListing{SKU: l.SKU, Name: textJSON(l.Name), Price: l.Price, ListPrice: l.ListPrice,
			Currency: l.Currency, Shown: l.Stock, State: l.State.String(), LimitPerShopper: l.LimitPerShopper, SortOrder: l.SortOrder})
	}
	return j
}

func (s *AdminServer) products(w http.ResponseWriter, r *http.Request) {
	products := s.operator.Products()
	list := make([]wire.Product, 0, len(products))
	for i := range products {
		p := &products[i]
		j := wire.Product{ID: p.ID, Name: textJSON(p.Name), Image: p.Image, Supplier: p.Supplier, ListPrice: p.ListPrice, Currency: p.Currency}
		if p.Place != nil {
			j.Place = &wire.Place{Latitude: p.Place.Latitude, Longitude: p.Place.Longitude}
		}
		list = append(list, j)
	}
	s.reply(w, r, http.StatusOK, map[string]any{"products": list})
}

func (s *AdminServer) sales(w http.ResponseWriter, r *http.Request) {
	sales := s.operator.Sales()
	list := make([]wire.Sale, 0, len(sales))
	for _, x := range sales {
		list = append(list, wire.Sale{ID: x.ID, Name: textJSON(x.Name), Timezone: x.Timezone})
	}
	s.reply(w, r, http.StatusOK, map[string]any{"sales": list})
}

func (s *AdminServer) sessions(w http.ResponseWriter, r *http.Request) {
	views := s.operator.AllSessions()
	list := make([]wire.OpsSession, 0, len(views))
	for i := range views {
		list = append(list, sessionOf(&views[i]))
	}
	s.reply(w, r, http.StatusOK, map[string]any{"sessions": list})
}

// session shows one session, its listings with their exact counts. The counts
// are each exact for their listing, but not all of one log index.
func (s *AdminServer) session(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("session")
	views := s.operator.AllSessions()
	for i := range views {
		if views[i].ID != id {
			continue
		}
		j := sessionOf(&views[i])
		for l := range j.Listings {
			c, err := s.operator.Counts(id, j.Listings[l].SKU)
			if err != nil {
				s.failed(w, r, err)
				return
			}
			j.Listings[l].Counts = countsOf(&c)
		}
		s.reply(w, r, http.StatusOK, j)
		return
	}
	s.problem(w, r, notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
}

// noted is what a change may say of why it is made.
type noted struct {
	Note string `json:"note"`
}

func (n noted) wrong() string {
	if n.Note != "" && !validText(n.Note) {
		return fmt.Sprintf("The note may have %d bytes of text without control characters.", engine.MaxTextBytes)
	}
	return ""
}

// steer makes the handler of one action on a session.
func steer(action engine.SessionAction) func(*AdminServer, http.ResponseWriter, *http.Request) {
	return func(s *AdminServer, w http.ResponseWriter, r *http.Request) {
		var request noted
		if !s.decode(w, r, &request, func() string { return request.wrong() }) {
			return
		}
		x, err := s.operator.Steer(r.Context(), byOf(r), r.PathValue("session"), action, request.Note)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		s.reply(w, r, http.StatusOK, sessionOf(&x))
	}
}

// settle has a session's orders leave memory for the ledger.
func (s *AdminServer) settle(w http.ResponseWriter, r *http.Request) {
	var request noted
	if !s.decode(w, r, &request, func() string { return request.wrong() }) {
		return
	}
	x, err := s.operator.Settle(r.Context(), byOf(r), r.PathValue("session"), request.Note)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, sessionOf(&x))
}

func (s *AdminServer) counts(w http.ResponseWriter, r *http.Request) {
	c, err := s.operator.Counts(r.PathValue("session"), r.PathValue("sku"))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, countsOf(&c))
}

// addStock puts more units up, or with a negative number takes free ones away.
func (s *AdminServer) addStock(w http.ResponseWriter, r *http.Request) {
	var request struct {
		noted
		Units *int64 `json:"units"`
	}
	if !s.decode(w, r, &request, func() string {
		if n := request.Units; n == nil || *n == 0 || *n > engine.MaxStock || *n < -engine.MaxStock {
			return fmt.Sprintf("The units must be there: up to %d to add, or below 0 to take away free ones.", engine.MaxStock)
		}
		return request.wrong()
	}) {
		return
	}
	c, err := s.operator.AddStock(r.Context(), byOf(r), r.PathValue("session"), r.PathValue("sku"), *request.Units, request.Note)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.reply(w, r, http.StatusOK, countsOf(&c))
}

// decode reads the body of a change into v, unless it is empty, and then asks
// check what is wrong with it. It answers a problem itself and gives false.
func (s *AdminServer) decode(w http.ResponseWriter, r *http.Request, v any, check func() string) bool {
	body, ok := s.body(w, r)
	if !ok {
		return false
	}
	wrong := ""
	if len(body) > 0 {
		wrong = decodeStrictly(body, v)
	}
	if wrong == "" {
		wrong = check()
	}
	if wrong != "" {
		s.problem(w, r, malformed, wrong)
		return false
	}
	return true
}

// body reads a body, or answers 413 or 400 itself and gives false.
func (s *AdminServer) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		s.problem(w, r, tooLarge, "The body may have "+strconv.FormatInt(large.Limit, 10)+" bytes.")
	case err != nil:
		s.problem(w, r, malformed, "The body broke off before its end.")
	}
	return body, err == nil
}

// planQuery is what may be asked with a plan.
type planQuery struct {
	DryRun bool `query:"dry_run"`
}

func (s *AdminServer) applyPlan(w http.ResponseWriter, r *http.Request, q *planQuery) {
	text, ok := s.body(w, r)
	if !ok {
		return
	}
	plan, problems := s.parsePlan(text)
	if len(problems) > 0 {
		s.problem(w, r, badPlan, "Nothing was changed. Each problem is listed with its place.", problems...)
		return
	}
	o, err := s.operator.ApplyPlan(r.Context(), byOf(r), plan, q.DryRun)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.planned(w, r, q.DryRun, &o)
}

// planned answers with what a plan changed, or would, or why it could not be.
func (s *AdminServer) planned(w http.ResponseWriter, r *http.Request, dry bool, o *engine.PlanOutcome) {
	if len(o.Problems) > 0 {
		s.problem(w, r, badPlan, "Nothing was changed. Each problem is listed with its place.", placesOf(o.Problems)...)
		return
	}
	list := make([]wire.PlanChange, 0, len(o.Changes))
	for _, c := range o.Changes {
		list = append(list, wire.PlanChange(c))
	}
	s.reply(w, r, http.StatusOK, struct {
		Applied bool              `json:"applied"`
		DryRun  bool              `json:"dry_run"`
		Changes []wire.PlanChange `json:"changes"`
		// Notes forbid nothing, and are to be known.
		Notes []wire.PlanProblem `json:"notes,omitempty"`
	}{!dry, dry, list, placesOf(o.Notes)})
}

func placesOf(of []engine.Problem) []wire.PlanProblem {
	places := make([]wire.PlanProblem, len(of))
	for i, p := range of {
		places[i] = wire.PlanProblem{Path: p.Path, Message: p.Message}
	}
	return places
}
