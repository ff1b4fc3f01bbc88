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
	Cursor string `query:"cursor" as:"row"`               // From the page before.
	Limit  int    `query:"limit" usual:"500" most:"5000"` // Entries a page.
	Format string `query:"format" oneof:"ndjson"`         // ndjson: all of it as a file.
}

// draw shows a page of a listing's draw, or all of it as a file that anybody can
// check.
func (s *AdminServer) draw(w http.ResponseWriter, r *http.Request, q *drawQuery) error {
	if q.Format == "ndjson" {
		q.Limit, q.Cursor = exportEntries, ""
	}
	v, err := s.operator.Draw(r.PathValue("session"), r.PathValue("sku"), q.Cursor, q.Limit)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown:
		return refuse(notFound, "No session offers this SKU by a draw.")
	case err != nil:
		return err
	case q.Format == "ndjson":
		return s.exportDraw(w, r, &v)
	}
	j := wire.OpsDraw{Session: v.Session, SKU: v.SKU, Stock: v.Stock, Undecided: v.Entrants, Cursor: v.Next,
		Entries: listOf(v.Entries, draw.EntryOf),
		Draw:    wire.Draw{State: v.State.String(), Commitment: hex.EncodeToString(v.Commitment[:])}}
	if v.DrawAt != 0 {
		j.DrawAt = rfc3339(v.DrawAt)
	}
	if v.Revealed {
		j.Seed = hex.EncodeToString(v.Seed[:])
	}
	return s.reply(w, j)
}

// exportDraw writes the file of a draw; v is its first page.
func (s *AdminServer) exportDraw(w http.ResponseWriter, r *http.Request, v *engine.DrawView) error {
	if !v.Revealed {
		return refuse(conflict, "The draw has not closed: who entered, and the seed, are told once it has.")
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
	return nil
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
