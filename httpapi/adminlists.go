package httpapi

import (
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
)

// Bounds of lists.
const (
	// MaxListBytes bounds the body that brings a list. Room for it is taken until it
	// has been taken in, and a little more; so one that is not small comes alone.
	MaxListBytes   = 256 << 20
	smallListBytes = 1 << 20
	listPatience   = 10 * time.Minute // for all of an import
	listSilence    = 30 * time.Second // for the next part of its body
	progressStep   = 100 * time.Millisecond
	usualRows      = 100 // of a page
	mostRows       = 1000
)

// riskKinds are the risk lists as paths name them.
var riskKinds = []struct {
	name string
	kind engine.RosterKind
}{
	{"shoppers", engine.RosterRiskShopper}, {"phones", engine.RosterRiskPhone},
	{"addresses", engine.RosterRiskAddress}, {"ips", engine.RosterRiskIP},
}

// takesList tells whether what is sent to a path, or pattern, is a list.
func takesList(method, path string) bool {
	return (method == http.MethodPut || method == http.MethodPatch) &&
		(strings.HasPrefix(path, "/admin/v1/risk/") || strings.HasPrefix(path, "/admin/v1/allowlists/") || strings.HasSuffix(path, "/reservations"))
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

// What operators see of lists.
type (
	listCountJSON struct {
		List  string `json:"list"`
		Count int64  `json:"count"`
	}
	listRowJSON struct {
		ID    string `json:"id"`
		Level string `json:"level,omitempty"` // of risk lists
		Since string `json:"since"`
	}
	listPageJSON struct {
		List   string        `json:"list"`
		Count  int64         `json:"count"`
		Rows   []listRowJSON `json:"rows"`
		Cursor string        `json:"cursor,omitempty"`
	}
	listImportJSON struct {
		List     string `json:"list"`
		Action   string `json:"action"`   // replace, or change
		Rows     int    `json:"rows"`     // that were taken in
		Removed  int    `json:"removed"`  // of these, those that took somebody off
		Repeated int    `json:"repeated"` // lines that said what a line before had said
		Count    int64  `json:"count"`    // that the list names now
	}
	listProgressJSON struct {
		Committed int `json:"committed"`
		Of        int `json:"of"`
	}
)

func rowOf(kind engine.RosterKind, row *engine.RosterRow) listRowJSON {
	j := listRowJSON{ID: row.ID, Since: rfc3339(row.Since)}
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
		list := []listCountJSON{}
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
			list = append(list, listCountJSON{name, info.Count})
		}
		s.reply(w, r, http.StatusOK, map[string]any{member: list})
	}
}

// list shows a page of a list, or gives all of it in the format that is asked for.
func (s *AdminServer) list(w http.ResponseWriter, r *http.Request) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	query := r.URL.Query()
	switch format := query.Get("format"); format {
	case "":
	case "csv", "ndjson":
		s.exportList(w, r, name, title, format)
		return
	default:
		s.problem(w, r, malformed, "The format must be csv or ndjson, or not there for a page as JSON.")
		return
	}
	limit, wrong := pageSize(query.Get("limit"), usualRows, mostRows)
	from, err := 0, error(nil)
	if cursor := query.Get("cursor"); wrong == "" && cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > engine.MaxRosterRows {
			wrong = "The cursor is none that was given out."
		}
	}
	if wrong != "" {
		s.problem(w, r, malformed, wrong)
		return
	}
	page := listPageJSON{List: title, Rows: []listRowJSON{}}
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
	out := &stream{to: w, control: http.NewResponseController(w)}
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
		s.problem(w, r, notFound, fmt.Sprintf("%s names no %s.", capital(title), clipped(id)))
	default:
		s.reply(w, r, http.StatusOK, rowOf(name.Kind, &row))
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// listID reads the id of a row, or answers what is wrong with it and gives false.
func (s *AdminServer) listID(w http.ResponseWriter, r *http.Request, kind engine.RosterKind) (string, bool) {
	id := roster.Canonical(kind, r.PathValue("id"))
	if wrong := engine.ValidRosterRow(kind, id, engine.LevelListed); wrong != "" {
		s.problem(w, r, malformed, capital(wrong)+".")
		return "", false
	}
	return id, true
}

// dropRow takes one off a list.
func (s *AdminServer) dropRow(w http.ResponseWriter, r *http.Request) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	id, ok := s.listID(w, r, name.Kind)
	if !ok {
		return
	}
	note, ok := s.listNote(w, r)
	if !ok {
		return
	}
	row, found, err := s.operator.RosterRow(name, id)
	if err == nil && (!found || row.ID != id) {
		s.problem(w, r, notFound, fmt.Sprintf("%s names no %s.", capital(title), clipped(id)))
		return
	}
	count := int64(0)
	if err == nil {
		count, err = s.operator.ImportRoster(r.Context(), name, engine.RosterImport{Count: 1, Operator: operatorOf(r), Note: note,
			Rows: slices.Values([]engine.RosterEntry{{ID: []byte(id)}})})
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("taken off a list", "list", title, "operator", operatorOf(r), "note", note)
	s.reply(w, r, http.StatusOK, listImportJSON{List: title, Action: "change", Rows: 1, Removed: 1, Count: count})
}

func (s *AdminServer) dropList(w http.ResponseWriter, r *http.Request) {
	name, title, wrong := listName(r)
	if wrong != "" {
		s.problem(w, r, notFound, wrong)
		return
	}
	note, ok := s.listNote(w, r)
	if !ok {
		return
	}
	if err := s.operator.DropRoster(r.Context(), operatorOf(r), name, note); err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("list forgotten", "list", title, "operator", operatorOf(r), "note", note)
	s.reply(w, r, http.StatusOK, listCountJSON{title, 0})
}

// listNote reads why a list is changed: its body is the list.
func (s *AdminServer) listNote(w http.ResponseWriter, r *http.Request) (string, bool) {
	note := noted{r.URL.Query().Get("note")}
	if wrong := note.wrong(); wrong != "" {
		s.problem(w, r, malformed, wrong)
		return "", false
	}
	return note.Note, true
}

// importList makes the handler that takes a list in: instead of what was there, or
// on top of it. All of it is read and checked first, so that a bad line changes
// nothing.
func importList(replace bool) func(*AdminServer, http.ResponseWriter, *http.Request) {
	return func(s *AdminServer, w http.ResponseWriter, r *http.Request) {
		name, title, wrong := listName(r)
		if wrong != "" {
			s.problem(w, r, notFound, wrong)
			return
		}
		cfg, note, ok := s.listConfig(w, r, name.Kind, replace)
		if !ok {
			return
		}
		if r.ContentLength > MaxListBytes {
			w.Header().Set("Connection", "close") // nobody reads the rest
			s.problem(w, r, tooLarge, fmt.Sprintf("The list may have %d bytes.", int64(MaxListBytes)))
			return
		}
		release := func() {}
		if r.ContentLength < 0 || r.ContentLength > smallListBytes {
			if !s.importing.TryLock() {
				s.problem(w, r, conflict, "Another large list is being imported through this node. Wait for it, or ask another node.")
				return
			}
			release = sync.OnceFunc(s.importing.Unlock)
			defer release()
		}
		list, ok := s.readList(w, r, cfg)
		if !ok {
			return
		}
		if empty, err := strconv.ParseBool(r.URL.Query().Get("empty")); replace && list.Len() == 0 && (err != nil || !empty) {
			s.problem(w, r, badList, "The list is empty, and nothing was changed. To take everybody off, say so with ?empty=true.")
			return
		}
		done := listImportJSON{List: title, Action: map[bool]string{true: "replace", false: "change"}[replace], Rows: list.Len(), Removed: list.Removals(), Repeated: list.Repeated()}
		log := s.log.With("list", title, "action", done.Action, "operator", operatorOf(r), "rows", done.Rows, "removed", done.Removed, "note", note)
		told := newListProgress(w, r, done.Rows)
		var err error
		done.Count, err = s.operator.ImportRoster(r.Context(), name, engine.RosterImport{Replace: replace, Count: list.Len(), Rows: list.Rows(),
			Operator: operatorOf(r), Note: note, Committed: told.committed})
		release() // whoever hears of the end may send the next
		if err != nil {
			log.Info("list not imported", "committed", told.rows, "error", err)
			s.listFailed(w, r, told, replace, err)
			return
		}
		log.Info("list imported", "count", done.Count)
		if told.streams {
			told.line(done)
			return
		}
		s.reply(w, r, http.StatusOK, done)
	}
}

// listConfig reads how a list is to be read, or answers what is wrong and gives
// false.
func (s *AdminServer) listConfig(w http.ResponseWriter, r *http.Request, kind engine.RosterKind, replace bool) (cfg roster.Config, note string, ok bool) {
	cfg = roster.Config{Kind: kind, Level: engine.LevelListed, Whole: replace}
	if cfg.Format, ok = roster.FormatOf(r.Header.Get("Content-Type")); !ok {
		s.problem(w, r, wrongMediaType, "Send Content-Type: text/csv, application/x-ndjson, or text/plain for an id a line.")
		return cfg, "", false
	}
	given := r.URL.Query().Get("level")
	switch {
	case kind < engine.RosterRiskShopper && given != "":
		s.problem(w, r, malformed, "Levels are for risk lists.")
		return cfg, "", false
	case kind >= engine.RosterRiskShopper && given == "":
		cfg.Level = engine.LevelBlock
	case given != "":
		if cfg.Level, ok = engine.ParseLevel(given); !ok || cfg.Level == engine.LevelNone {
			s.problem(w, r, malformed, "The level must be watch, challenge or block.")
			return cfg, "", false
		}
	}
	note, ok = s.listNote(w, r)
	return cfg, note, ok
}

// readList reads and checks all of a body, or answers what is wrong and gives
// false.
func (s *AdminServer) readList(w http.ResponseWriter, r *http.Request, cfg roster.Config) (*roster.List, bool) {
	list, err := roster.Read(&patientBody{r.Body, r.Context().Err, http.NewResponseController(w)}, cfg)
	var problems *roster.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &problems):
		reasons := make([]PlanProblem, 0, len(problems.Told))
		for _, p := range problems.Told {
			reasons = append(reasons, PlanProblem{Path: fmt.Sprintf("line %d", p.Line), Line: p.Line, Message: p.Message})
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

// patientBody is a body that may take long as a whole, but not from one part to
// the next.
type patientBody struct {
	io.Reader
	ended   func() error // why nobody waits for it any more; nil while somebody does
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	// Where there are no deadlines, there is none to be in the way.
	_ = b.control.SetReadDeadline(time.Now().Add(listSilence))
	return b.Reader.Read(p)
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
		detail = "It is not known whether the list was replaced; it was whole, or not at all. Send it again: doing it twice changes nothing more."
	case kind == unavailable:
		detail = fmt.Sprintf("%d of %d rows are known to be taken in. Send all of them again: doing it twice changes nothing more.", told.rows, told.of)
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
	stream
	rows, of int
	last     time.Time
	header   http.Header
}

func newListProgress(w http.ResponseWriter, r *http.Request, of int) *listProgress {
	return &listProgress{streams: strings.Contains(r.Header.Get("Accept"), "application/x-ndjson"), of: of, header: w.Header(),
		stream: stream{to: w, control: http.NewResponseController(w)}}
}

func (p *listProgress) committed(rows int) {
	p.rows = rows
	if p.streams && time.Since(p.last) >= progressStep {
		p.last = time.Now()
		p.line(listProgressJSON{rows, p.of})
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
