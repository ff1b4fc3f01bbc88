package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/wire"
)

// Bounds of lists.
const (
	// MaxListBytes bounds the body that brings a list. Room for it is taken until it
	// has been taken in, and a little more; so one that is not small comes alone.
	MaxListBytes   = 256 << 20
	smallListBytes = 1 << 20
	listPatience   = 10 * time.Minute // for all of an import, once it has come in
	progressStep   = 100 * time.Millisecond
)

// riskKinds are the risk lists as paths name them.
var riskKinds = []struct {
	name string
	kind engine.RosterKind
}{
	{"shoppers", engine.RosterRiskShopper}, {"phones", engine.RosterRiskPhone},
	{"addresses", engine.RosterRiskAddress}, {"ips", engine.RosterRiskIP},
}

// listName reads which list a path is about. wrong says why none, "" if it is one.
func listName(r *http.Request) (name engine.RosterName, title, wrong string) {
	switch {
	case r.PathValue("kind") != "":
		given := r.PathValue("kind")
		for _, k := range riskKinds {
			if k.name == given {
				return engine.RosterName{Kind: k.kind}, "risk/" + given, ""
			}
		}
		return name, "", "There is no such risk list. Take one of shoppers, phones, addresses, ips."
	case r.PathValue("name") != "":
		given := r.PathValue("name")
		if !engine.ValidID(given) {
			return name, "", fmt.Sprintf("An allow list's name has 1 to %d letters, digits, dots, dashes and underscores, and begins with a letter or digit.", engine.MaxIDBytes)
		}
		return engine.RosterName{Kind: engine.RosterAllowed, Name: given}, "allowlists/" + given, ""
	}
	name = engine.RosterName{Kind: engine.RosterReserved, Session: r.PathValue("session"), SKU: r.PathValue("sku")}
	return name, "reservations of " + name.Session + "/" + name.SKU, ""
}

func rowOf(kind engine.RosterKind, row *engine.RosterRow) wire.ListRow {
	j := wire.ListRow{ID: row.ID, Since: rfc3339(row.Since)}
	if kind >= engine.RosterRiskShopper {
		j.Level = row.Level.String()
	}
	return j
}

// listOfLists makes the handler that counts the lists of some kinds.
func listOfLists(member string, wanted func(engine.RosterKind) bool) func(*AdminServer, http.ResponseWriter, *http.Request) {
	return func(s *AdminServer, w http.ResponseWriter, r *http.Request) {
		infos, err := s.operator.Rosters()
		if err != nil {
			s.failed(w, r, err)
			return
		}
		list := []wire.ListCount{}
		for _, info := range infos {
			if !wanted(info.Kind) {
				continue
			}
			name := info.Name
			for _, k := range riskKinds {
				if k.kind == info.Kind {
					name = k.name
				}
			}
			list = append(list, wire.ListCount{List: name, Count: info.Count})
		}
		s.reply(w, r, http.StatusOK, map[string]any{member: list})
	}
}

// listQuery is what may be asked of a list.
type listQuery struct {
	Format string `query:"format" oneof:"csv ndjson"`
	Cursor int    `query:"cursor" least:"0" most:"1000000000"`
	Limit  int    `query:"limit" usual:"100" most:"1000"`
}

// list shows a page of a list, or gives all of it in the format that is asked for.
func (s *AdminServer) list(w http.ResponseWriter, r *http.Request, q *listQuery) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	if q.Format != "" {
		s.exportList(w, r, name, title, q.Format)
		return
	}
	limit, from, err := q.Limit, q.Cursor, error(nil)
	page := wire.ListPage{List: title, Rows: []wire.ListRow{}}
	for done := false; !done && len(page.Rows) < limit; {
		var rows []engine.RosterRow
		if rows, from, page.Count, done, err = s.operator.RosterPage(name, from, limit-len(page.Rows)); err != nil {
			s.failed(w, r, err)
			return
		}
		for i := range rows {
			page.Rows = append(page.Rows, rowOf(name.Kind, &rows[i]))
		}
		if page.Cursor = ""; !done {
			page.Cursor = strconv.Itoa(from)
		}
	}
	s.reply(w, r, http.StatusOK, page)
}

// exportList gives a whole list, as what can be sent back.
func (s *AdminServer) exportList(w http.ResponseWriter, r *http.Request, name engine.RosterName, title, format string) {
	media := map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[format]
	out := &counted{to: w}
	begin := func() error {
		if out.written > 0 || w.Header().Get("Content-Type") == media {
			return nil
		}
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Disposition", `attachment; filename="`+strings.NewReplacer("/", "-", " ", "-").Replace(title)+"."+format+`"`)
		if format != "csv" {
			return nil
		}
		_, err := io.WriteString(out, map[bool]string{true: "id,level,since\n", false: "id,since\n"}[name.Kind >= engine.RosterRiskShopper])
		return err
	}
	err := s.operator.ExportRoster(name, func(rows []engine.RosterRow) error {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		if err := begin(); err != nil {
			return err
		}
		return writeRows(out, format, name.Kind, rows)
	})
	if err == nil {
		err = begin() // of an empty list
	}
	switch {
	case err == nil:
	case out.written == 0:
		w.Header().Del("Content-Disposition")
		s.failed(w, r, err)
	default: // whoever reads must not take the part for the whole
		s.log.Warn("the export of a list broke off", "list", title, "error", err)
		panic(http.ErrAbortHandler)
	}
}

func writeRows(to io.Writer, format string, kind engine.RosterKind, rows []engine.RosterRow) error {
	var b strings.Builder
	if format == "ndjson" {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for i := range rows {
			if err := e.Encode(rowOf(kind, &rows[i])); err != nil {
				return err
			}
		}
	} else {
		c := csv.NewWriter(&b)
		for i := range rows {
			j := rowOf(kind, &rows[i])
			record := []string{j.ID, j.Level, j.Since}
			if kind < engine.RosterRiskShopper {
				record = []string{j.ID, j.Since}
			}
			if err := c.Write(record); err != nil {
				return err
			}
		}
		c.Flush()
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// listRow looks one up.
func (s *AdminServer) listRow(w http.ResponseWriter, r *http.Request) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	id, ok := s.listID(w, r, name.Kind)
	if !ok {
		return
	}
	row, found, err := s.operator.RosterRow(name, id)
	switch {
	case err != nil:
		s.failed(w, r, err)
	case !found:
		s.problem(w, r, notFound, fmt.Sprintf("There is no %s in %s.", clipped(id), title))
	default:
		s.reply(w, r, http.StatusOK, rowOf(name.Kind, &row))
	}
}

// listID reads the id of a row, or answers what is wrong with it and gives false.
func (s *AdminServer) listID(w http.ResponseWriter, r *http.Request, kind engine.RosterKind) (string, bool) {
	id := s.canon.Of(kind, r.PathValue("id"))
	if wrong := engine.ValidRosterRow(kind, id, engine.LevelListed); wrong != "" {
		s.problem(w, r, malformed, wrong+".")
		return "", false
	}
	return id, true
}

// dropRow takes one off a list.
func (s *AdminServer) dropRow(w http.ResponseWriter, r *http.Request, q *noteQuery) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	id, ok := s.listID(w, r, name.Kind)
	if !ok {
		return
	}
	row, found, err := s.operator.RosterRow(name, id)
	done := false
	if err == nil {
		done, err = s.operator.Done(r.Context(), byOf(r))
	}
	if err == nil && !done && (!found || row.ID != id) {
		s.problem(w, r, notFound, fmt.Sprintf("There is no %s in %s.", clipped(id), title))
		return
	}
	var out engine.RosterImported
	if err == nil {
		out, err = s.operator.ImportRoster(r.Context(), name, engine.RosterImport{Count: 1, By: byOf(r), Note: q.Note,
			Rows: slices.Values([]engine.RosterEntry{{ID: []byte(id)}})})
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("taken off a list", "list", title, "operator", operatorOf(r), "note", q.Note)
	s.reply(w, r, http.StatusOK, wire.ListImport{List: title, Action: "change", Rows: out.Changed, Removed: out.Removed, Unchanged: 1 - out.Changed, Count: out.Count})
}

func (s *AdminServer) dropList(w http.ResponseWriter, r *http.Request, q *sureQuery) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	if !q.Sure && s.asks(w, r, s.bars(name, nil, true)) {
		return
	}
	if err := s.operator.DropRoster(r.Context(), byOf(r), name, q.Note); err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("list forgotten", "list", title, "operator", operatorOf(r), "note", q.Note)
	s.reply(w, r, http.StatusOK, wire.ListCount{List: title})
}

// noteQuery says why a list is changed: its body is the list.
type noteQuery struct {
	Note string `query:"note" as:"note"`
}

// sureQuery is noteQuery of what could end a sale.
type sureQuery struct {
	noteQuery
	Sure bool `query:"sure"` // it is meant, whoever it bars
}

// riskQuery is sureQuery of a risk list, whose rows have a level.
type riskQuery struct {
	sureQuery
	Level askedLevel `query:"level"` // of rows that name none
}

// emptyQuery is sureQuery of rows that take the place of a list.
type emptyQuery struct {
	sureQuery
	Empty bool `query:"empty"` // takes everybody off
}

// emptyRiskQuery is emptyQuery of a risk list.
type emptyRiskQuery struct {
	riskQuery
	Empty bool `query:"empty"`
}

func (s *AdminServer) replaceRisk(w http.ResponseWriter, r *http.Request, q *emptyRiskQuery) {
	s.importList(w, r, q, true)
}

func (s *AdminServer) changeRisk(w http.ResponseWriter, r *http.Request, q *riskQuery) {
	s.importList(w, r, &emptyRiskQuery{riskQuery: *q}, false)
}

func (s *AdminServer) replaceNames(w http.ResponseWriter, r *http.Request, q *emptyQuery) {
	s.importList(w, r, &emptyRiskQuery{riskQuery{sureQuery: q.sureQuery}, q.Empty}, true)
}

func (s *AdminServer) changeNames(w http.ResponseWriter, r *http.Request, q *sureQuery) {
	s.importList(w, r, &emptyRiskQuery{riskQuery: riskQuery{sureQuery: *q}}, false)
}

// importList takes a list in: instead of what was there, or on top of it. All of it
// is read and checked first, so that a bad line changes nothing.
func (s *AdminServer) importList(w http.ResponseWriter, r *http.Request, q *emptyRiskQuery, replace bool) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	cfg, ok := s.listConfig(w, r, name.Kind, q)
	if !ok {
		return
	}
	cfg.Whole = replace
	release := func() {}
	if r.ContentLength < 0 || r.ContentLength > smallListBytes {
		if !s.importing.TryLock() {
			s.problem(w, r, conflict, "Another large list is being imported through this node. Wait for it, or ask another node.")
			return
		}
		release = sync.OnceFunc(s.importing.Unlock)
		defer release()
	}
	hash := sha256.New()
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, hash), r.Body}
	list, ok := s.readList(w, r, cfg)
	if !ok {
		return
	}
	if replace && list.Len() == 0 && !q.Empty {
		s.problem(w, r, badList, "The list is empty, and nothing was changed. To take everybody off, say so with ?empty=true.")
		return
	}
	if !q.Sure && s.asks(w, r, s.bars(name, list, replace)) {
		return
	}
	done := wire.ListImport{List: title, Action: map[bool]string{true: "replace", false: "change"}[replace], Repeated: list.Repeated()}
	source := fmt.Sprintf("sha256 %x", hash.Sum(nil))
	log := s.log.With("list", title, "source", source, "action", done.Action, "operator", operatorOf(r), "rows", list.Len(), "note", q.Note)
	told := newListProgress(w, r, list.Len())
	ctx, stop := context.WithTimeout(r.Context(), listPatience)
	defer stop()
	out, err := s.operator.ImportRoster(ctx, name, engine.RosterImport{Replace: replace, Count: list.Len(), Rows: list.Rows(), Source: source,
		By: byOf(r), Note: q.Note, Committed: told.committed})
	release() // whoever hears of the end may send the next
	if err != nil {
		log.Info("list not imported", "committed", told.rows, "error", err)
		s.listFailed(w, r, told, replace, err)
		return
	}
	done.Rows, done.Removed, done.Unchanged, done.Count = out.Changed, out.Removed, list.Len()-out.Changed, out.Count
	log.Info("list imported", "changed", done.Rows, "removed", done.Removed, "count", done.Count)
	if told.streams {
		told.line(done)
		return
	}
	s.reply(w, r, http.StatusOK, done)
}

// bars says whom a change of a list would bar, if that could end a sale; "" if it could
// not, as far as this node can tell. Without a list, all rows go.
func (s *AdminServer) bars(name engine.RosterName, list *roster.List, replace bool) string {
	if name.Kind >= engine.RosterRiskShopper {
		// Of the whole list as it is to be, so that many small changes count together; and
		// only where somebody is barred by it who was not.
		anew := false
		met := s.visitors.count(func(v *engine.Visitor) bool {
			only := by(name.Kind, v)
			before := s.visitors.risk(&only) > engine.LevelListed
			level, _ := list.Says(v)
			bars := level > engine.LevelListed
			anew = anew || bars && !before
			return bars || before && !replace
		})
		switch {
		case list.Broad() != "":
			return fmt.Sprintf("%s bars a good part of all addresses; the list would meet %s.", list.Broad(), met)
		case anew && met.large():
			return fmt.Sprintf("The list would meet %s.", met)
		}
		return ""
	}
	goes := s.visitors.count(func(v *engine.Visitor) bool {
		there := false
		if list != nil {
			var level engine.Level
			level, there = list.Says(v)
			there = there && (replace || level == engine.LevelNone)
		}
		if there == replace {
			return false
		}
		_, on, err := s.operator.RosterRow(name, string(v.Shopper))
		return err == nil && on
	})
	if goes.large() {
		return fmt.Sprintf("This takes off %s.", goes)
	}
	return ""
}

// asks has an operator say that what could end a sale is meant, and gives true then;
// unless danger is "", or it was done already.
func (s *AdminServer) asks(w http.ResponseWriter, r *http.Request, danger string) bool {
	if danger == "" {
		return false
	}
	if done, err := s.operator.Done(r.Context(), byOf(r)); err == nil && done {
		return false
	}
	s.problem(w, r, unsure, danger+" It could end a sale, and nothing was changed. If it is meant, say so with ?sure=true (--yes).")
	return true
}

// listConfig says how a list is to be read, or answers what is wrong and gives
// false.
func (s *AdminServer) listConfig(w http.ResponseWriter, r *http.Request, kind engine.RosterKind, q *emptyRiskQuery) (cfg roster.Config, ok bool) {
	cfg = roster.Config{Kind: kind, Level: engine.LevelListed, Canon: s.canon}
	if cfg.Format, ok = roster.FormatOf(r.Header.Get("Content-Type")); !ok { // of a body that is empty; others were looked at
		s.problem(w, r, wrongMediaType, "Send Content-Type: "+bodies[listBody].asked+".")
		return cfg, false
	}
	switch level := q.Level.Level; {
	case kind >= engine.RosterRiskShopper && level == engine.LevelNone:
		cfg.Level = engine.LevelBlock
	case level != engine.LevelNone:
		cfg.Level = level
	}
	return cfg, true
}

// readList reads and checks all of a body, or answers what is wrong and gives
// false.
func (s *AdminServer) readList(w http.ResponseWriter, r *http.Request, cfg roster.Config) (*roster.List, bool) {
	list, err := roster.Read(r.Body, cfg)
	var problems *roster.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &problems):
		reasons := make([]wire.PlanProblem, 0, len(problems.Told))
		for _, p := range problems.Told {
			reasons = append(reasons, wire.PlanProblem{Path: fmt.Sprintf("line %d", p.Line), Line: p.Line, Message: p.Message})
		}
		said := "One line is wrong, and nothing was changed."
		if problems.Count > 1 {
			said = fmt.Sprintf("%d lines are wrong, and nothing was changed.", problems.Count)
		}
		if problems.Count > len(reasons) {
			said += fmt.Sprintf(" The first %d are listed.", len(reasons))
		}
		s.problem(w, r, badList, said, reasons...)
	case errors.As(err, &large):
		s.problem(w, r, tooLarge, fmt.Sprintf("The list may have %d bytes.", large.Limit))
	case err != nil:
		s.problem(w, r, malformed, "The list broke off before its end, and nothing was changed.")
	}
	return list, err == nil
}

// listFailed answers an import that ended in err after all lines were found good.
func (s *AdminServer) listFailed(w http.ResponseWriter, r *http.Request, told *listProgress, replace bool, err error) {
	kind, detail, known := problemOf(err)
	if !known {
		s.log.Error("admin request failed", "path", r.URL.Path, "error", err)
	}
	var refusal *engine.Refusal
	switch {
	case replace && errors.As(err, &refusal) && refusal.Reason == engine.ReasonConflict:
		detail = "Another import of this list came in between. The list is as that one has it, or as it was; nothing of this one was taken."
	case kind == unavailable && replace:
		detail = "It is not known whether the list was replaced; it was whole, or not at all. " + notKnown(r)
	case kind == unavailable:
		detail = fmt.Sprintf("%d of %d rows are known to be taken in; send all of them again. %s", told.rows, told.of, notKnown(r))
	}
	if !told.streams || told.written == 0 {
		s.problem(w, r, kind, detail)
		return
	}
	s.metrics.problem(kind)
	told.line(json.RawMessage(append(appendProblem(nil, kind, detail, r.URL.EscapedPath()), '}')))
}

// listProgress tells a client that asked for it how far an import has come, a line
// each time, and in the end what came of it.
type listProgress struct {
	streams bool
	counted
	control  *http.ResponseController
	rows, of int
	last     time.Time
	header   http.Header
}

func newListProgress(w http.ResponseWriter, r *http.Request, of int) *listProgress {
	return &listProgress{streams: strings.Contains(r.Header.Get("Accept"), "application/x-ndjson"), of: of, header: w.Header(),
		counted: counted{to: w}, control: http.NewResponseController(w)}
}

func (p *listProgress) committed(rows int) {
	p.rows = rows
	if p.streams && time.Since(p.last) >= progressStep {
		p.last = time.Now()
		p.line(wire.ImportProgress{Committed: rows, Of: p.of})
	}
}

func (p *listProgress) line(v any) {
	if p.written == 0 {
		p.header.Set("Content-Type", "application/x-ndjson")
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("strings and numbers did not encode: %v", err))
	}
	// Whoever asked may have gone; the import goes on.
	_, _ = p.Write(append(text, '\n'))
	_ = p.control.Flush()
}
