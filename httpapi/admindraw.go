package httpapi

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	"doorbuster/engine"
	"doorbuster/httpapi/draw"
	"doorbuster/httpapi/wire"
)

// exportEntries is how many entries of a draw are read at a time.
const exportEntries = 5000

// drawQuery is what may be asked of a draw.
type drawQuery struct {
	Cursor string `query:"cursor" as:"row"`
	Limit  int    `query:"limit" usual:"500" most:"5000"`
	Format string `query:"format" oneof:"ndjson"`
}

// draw shows a page of a listing's draw, or all of it as a file that anybody can
// check.
func (s *AdminServer) draw(w http.ResponseWriter, r *http.Request, q *drawQuery) {
	cursor, most, format := q.Cursor, q.Limit, q.Format
	session, sku := r.PathValue("session"), r.PathValue("sku")
	if format == "ndjson" {
		most, cursor = exportEntries, ""
	}
	v, err := s.operator.Draw(session, sku, cursor, most)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown:
		s.problem(w, r, notFound, "No session offers this SKU by a draw.")
		return
	case err != nil:
		s.failed(w, r, err)
		return
	case format == "ndjson":
		s.exportDraw(w, r, &v)
		return
	}
	j := wire.OpsDraw{Session: v.Session, SKU: v.SKU, Stock: v.Stock, Undecided: v.Entrants, Entries: []wire.DrawEntry{},
		Cursor: v.Next, Draw: wire.Draw{State: v.State.String(), Commitment: hex.EncodeToString(v.Commitment[:])}}
	if v.DrawAt != 0 {
		j.DrawAt = rfc3339(v.DrawAt)
	}
	if v.Revealed {
		j.Seed = hex.EncodeToString(v.Seed[:])
	}
	for i := range v.Entries {
		j.Entries = append(j.Entries, draw.EntryOf(&v.Entries[i]))
	}
	s.reply(w, r, http.StatusOK, j)
}

// exportDraw writes the file of a draw; v is its first page.
func (s *AdminServer) exportDraw(w http.ResponseWriter, r *http.Request, v *engine.DrawView) {
	if !v.Revealed {
		s.problem(w, r, conflict, "The draw has not closed: who entered, and the seed, are told once it has.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", `attachment; filename="draw-`+v.Session+"-"+v.SKU+`.ndjson"`)
	err := writeDraw(w, v, func(cursor string) (engine.DrawView, error) {
		if err := r.Context().Err(); err != nil {
			return engine.DrawView{}, err
		}
		return s.operator.Draw(v.Session, v.SKU, cursor, exportEntries)
	})
	if err != nil { // the file lacks its last line, and says so itself
		s.log.Warn("the export of a draw broke off", "session", v.Session, "sku", v.SKU, "error", err)
		panic(http.ErrAbortHandler)
	}
}

// writeDraw writes a draw from its first page on.
func writeDraw(to io.Writer, v *engine.DrawView, next func(cursor string) (engine.DrawView, error)) error {
	file, err := draw.NewWriter(to, draw.HeaderOf(v))
	for page := *v; err == nil; {
		for i := 0; i < len(page.Entries) && err == nil; i++ {
			err = file.Add(draw.EntryOf(&page.Entries[i]))
		}
		if page.Next == "" || err != nil {
			break
		}
		page, err = next(page.Next)
	}
	if err == nil {
		err = file.Close()
	}
	return err
}

// waitlistQuery is which places in line an operator looks for.
type waitlistQuery struct {
	Cursor string `query:"cursor" as:"row"`
	Limit  int    `query:"limit" usual:"100" most:"1000"`
}

// waitlist shows who waits for a listing, the first in line first.
func (s *AdminServer) waitlist(w http.ResponseWriter, r *http.Request, q *waitlistQuery) {
	found, next, err := s.operator.Waitlist(r.PathValue("session"), r.PathValue("sku"), q.Cursor, q.Limit)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	list := make([]wire.OpsOrder, 0, len(found))
	for i := range found {
		list = append(list, orderOf(&found[i]))
	}
	s.reply(w, r, http.StatusOK, struct {
		Waiting []wire.OpsOrder `json:"waiting"`
		Cursor  string          `json:"cursor,omitempty"`
	}{list, next})
}
