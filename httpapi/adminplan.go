package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/plan"
	"doorbuster/httpapi/wire"
)

// planExportQuery is what of the plan may be asked for.
type planExportQuery struct {
	Sale        string `query:"sale"`         // Of this sale alone.
	Over        bool   `query:"over"`         // Also sessions that have ended, and what is in the archive.
	AllProducts bool   `query:"all_products"` // Also products that none of its sessions offers.
	JSON        bool   `query:"json"`         // As JSON, without comments, and without templates of plays.
}

// exportPlan gives the plan as it is, and says so where it would not do as it stands.
func (s *AdminServer) exportPlan(w http.ResponseWriter, r *http.Request, q *planExportQuery) error {
	planned, known, err := s.operator.Planned(engine.Wanted{Sale: q.Sale, Over: q.Over, Products: q.AllProducts})
	switch {
	case err != nil:
		return err
	case !known:
		return refuse(notFound, "No sale has this id. The sales are listed at /admin/v1/sales.")
	case planned.More:
		return refuse(conflict, fmt.Sprintf("There are over %d products, which is more than a plan has. Ask for one "+
			"sale, without all_products.", engine.MaxPlannedProducts))
	}
	if q.JSON {
		text, err := plan.WriteJSON(planned)
		if err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
		w.Header().Set("Content-Type", wire.JSON)
		_, _ = w.Write(text)
		return nil
	}
	head := []string{"The plan as of " + planned.At.Wall().Format(time.RFC3339) + "."}
	text, err := plan.Write(planned, head)
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if wrong := s.wouldChange(r, text); len(wrong) > 0 && len(planned.Plan.Products)+len(planned.Plan.Sales) > 0 {
		if text, err = plan.Write(planned, append(head, wrong...)); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/yaml")
	h.Set("Content-Disposition", `attachment; filename="plan.yaml"`)
	// Whoever asked may have gone; there is nobody left to tell.
	_, _ = w.Write(text)
	return nil
}

// wouldChange says, a line each, what keeps a plan from being applied, or what it would
// change; nothing if it can be and would not.
func (s *AdminServer) wouldChange(r *http.Request, text []byte) (lines []string) {
	say := func(format string, args ...any) {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	}
	parsed, problems := s.parsePlan(text)
	for _, p := range problems {
		say("It can't be applied as it is: %s: %s", p.Path, p.Message)
	}
	if len(problems) > 0 {
		return lines
	}
	o, err := s.operator.ApplyPlan(r.Context(), byOf(r), parsed, true)
	if err != nil {
		say("Whether it can be applied is not known: %v", err)
	}
	for _, p := range o.Problems {
		say("It can't be applied as it is: %s: %s", p.Path, p.Message)
	}
	for _, c := range o.Changes {
		say("Applying it would change %s from %q to %q.", c.Path, c.Before, c.After)
	}
	return lines
}
