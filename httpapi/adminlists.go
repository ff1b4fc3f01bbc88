package httpapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/personal"
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

// listNamed is a list, and what people call it.
type listNamed struct {
	engine.RosterName
	title string
}

// listName reads which list a path is about.
func listName(r *http.Request) (l listNamed, err error) {
	if kind := r.PathValue("kind"); kind != "" {
		for _, k := range riskKinds {
			if k.name == kind {
				return listNamed{engine.RosterName{Kind: k.kind}, "risk/" + kind}, nil
			}
		}
		return l, refuse(notFound, "There is no such risk list. Take one of shoppers, phones, addresses, ips.")
	}
	if name := r.PathValue("name"); name != "" {
		if !engine.ValidID(name) {
			return l, refuse(notFound, fmt.Sprintf(
				"An allow list's name has 1 to %d letters, digits, dots, dashes and "+
					"underscores, and begins with a letter or digit.", engine.MaxIDBytes))
		}
		return listNamed{engine.RosterName{Kind: engine.RosterAllowed, Name: name}, "allowlists/" + name}, nil
	}
	l.RosterName = engine.RosterName{Kind: engine.RosterReserved, Session: r.PathValue("session"),
		SKU: r.PathValue("sku")}
	l.title = "reservations of " + l.Session + "/" + l.SKU
	return l, nil
}

// rowsSeen gives the rows of a list as whoever asks may see them.
func (s *AdminServer) rowsSeen(r *http.Request, kind engine.RosterKind) func(*engine.RosterRow) wire.ListRow {
	if !kind.Hashed() {
		return func(row *engine.RosterRow) wire.ListRow { return rowOf(kind, row) }
	}
	opens, err := s.vault.Rows()
	if err != nil && !errors.Is(err, personal.ErrNoListKey) {
		s.faults.Do(func() { s.log.Error("risk lists can't be opened", "error", err) })
	}
	plain := roleOf(r).Covers(auth.Operator)
	return func(row *engine.RosterRow) wire.ListRow {
		j := rowOf(kind, row)
		j.Hash = personal.HashText(row.ID)
		j.ID = j.Hash // nobody here can say more
		if opens != nil {
			if id, err := opens.Open(kind, row); err == nil {
				j.ID = id
				if !plain {
					j.ID = personal.MaskRow(kind, id)
				}
			}
		}
		return j
	}
}

// sealing makes rows of a list, in plain, into what is kept of them.
type sealing func(engine.RosterEntry) engine.RosterEntry

// sealer gives what makes rows of a list, in plain, into what is kept of them.
func (s *AdminServer) sealer(ctx context.Context, kind engine.RosterKind) (seal sealing, err error) {
	if !kind.Hashed() {
		return func(row engine.RosterEntry) engine.RosterEntry { return row }, nil
	}
	seals, err := s.vault.Rows()
	if errors.Is(err, personal.ErrNoListKey) {
		var key engine.PersonalKey
		if key, err = s.vault.NewListKey(); err == nil {
			if err := s.operator.KeepListKey(ctx, key); err != nil {
				return nil, err
			}
			seals, err = s.vault.Rows()
		}
	}
	if err != nil {
		s.log.Error("risk lists can't be sealed", "error", err)
		return nil, refuse(unavailable, "Phone numbers and addresses can't be kept safely here just now: "+err.Error()+
			". Nothing was changed.")
	}
	return func(row engine.RosterEntry) engine.RosterEntry { return seals.Seal(kind, row) }, nil
}

func rowOf(kind engine.RosterKind, row *engine.RosterRow) wire.ListRow {
	j := wire.ListRow{ID: row.ID, Since: rfc3339(row.Since)}
	if kind >= engine.RosterRiskShopper {
		j.Level = row.Level.String()
	}
	return j
}

// riskLists counts the risk lists.
func (s *AdminServer) riskLists(*http.Request) (wire.RiskLists, error) {
	list, err := s.countLists(func(k engine.RosterKind) bool { return k >= engine.RosterRiskShopper })
	return wire.RiskLists{Risk: list}, err
}

// allowLists counts the allow lists.
func (s *AdminServer) allowLists(*http.Request) (wire.AllowLists, error) {
	list, err := s.countLists(func(k engine.RosterKind) bool { return k == engine.RosterAllowed })
	return wire.AllowLists{AllowLists: list}, err
}

func (s *AdminServer) countLists(wanted func(engine.RosterKind) bool) ([]wire.ListCount, error) {
	infos, err := s.operator.Rosters()
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
	return list, err
}

// listQuery is what may be asked of a list.
type listQuery struct {
	// All of the list, as what can be sent back; without it a page as JSON.
	Format string `query:"format" oneof:"csv ndjson"`
	Cursor int    `query:"cursor" least:"0" most:"1000000000"` // From the page before.
	Limit  int    `query:"limit" usual:"100" most:"1000"`      // Rows a page.
}

// list shows a page of a list, or gives all of it in the format that is asked for.
func (s *AdminServer) list(w http.ResponseWriter, r *http.Request, q *listQuery) error {
	name, err := listName(r)
	if err != nil {
		return err
	}
	if q.Format != "" {
		return s.exportList(w, r, name, q.Format)
	}
	seen := s.rowsSeen(r, name.Kind)
	from, page := q.Cursor, wire.ListPage{List: name.title, Rows: []wire.ListRow{}}
	for done := false; !done && len(page.Rows) < q.Limit; {
		var rows []engine.RosterRow
		if rows, from, page.Count, done, err = s.operator.RosterPage(name.RosterName, from,
			q.Limit-len(page.Rows)); err != nil {
			return err
		}
		for i := range rows {
			page.Rows = append(page.Rows, seen(&rows[i]))
		}
		if page.Cursor = ""; !done {
			page.Cursor = strconv.Itoa(from)
		}
	}
	return s.reply(w, page)
}

// exportList gives a whole list, as what can be sent back.
func (s *AdminServer) exportList(w http.ResponseWriter, r *http.Request, name listNamed, format string) error {
	media := map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[format]
	out := &counted{to: w}
	begin := func() error {
		if out.written > 0 || w.Header().Get("Content-Type") == media {
			return nil
		}
		w.Header().Set("Content-Type", media)
		file := strings.NewReplacer("/", "-", " ", "-").Replace(name.title) + "." + format
		w.Header().Set("Content-Disposition", `attachment; filename="`+file+`"`)
		if format != "csv" {
			return nil
		}
		head := "id,since\n"
		if name.Kind >= engine.RosterRiskShopper {
			head = "id,level,since\n"
		}
		_, err := io.WriteString(out, head)
		return err
	}
	seen := s.rowsSeen(r, name.Kind)
	err := s.operator.ExportRoster(name.RosterName, func(rows []engine.RosterRow) error {
		if r.Context().Err() != nil {
			return r.Context().Err()
		}
		if err := begin(); err != nil {
			return err
		}
		return writeRows(out, format, name.Kind, listOf(rows, seen))
	})
	if err == nil {
		err = begin() // of an empty list
	}
	if err != nil && out.written > 0 { // whoever reads must not take the part for the whole
		s.log.Warn("the export of a list broke off", "list", name.title, "error", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		w.Header().Del("Content-Disposition")
	}
	return err
}

func writeRows(to io.Writer, format string, kind engine.RosterKind, rows []wire.ListRow) error {
	var b strings.Builder
	if format == "ndjson" {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		for i := range rows {
			if err := e.Encode(&rows[i]); err != nil {
				return err
			}
		}
	} else {
		c := csv.NewWriter(&b)
		for i := range rows {
			j := &rows[i]
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
func (s *AdminServer) listRow(r *http.Request) (j wire.ListRow, err error) {
	name, id, err := s.listID(r)
	if err != nil {
		return j, err
	}
	key, err := s.keyOf(name.Kind, id)
	if err != nil {
		return j, err
	}
	row, found, err := s.operator.RosterRow(name.RosterName, key)
	if err == nil && !found {
		err = name.lacks(id)
	}
	return s.rowsSeen(r, name.Kind)(&row), err
}

func (l *listNamed) lacks(id string) error {
	return refuse(notFound, fmt.Sprintf("There is no %s in %s.", clipped(id), l.title))
}

// keyOf gives what a list has an id by.
func (s *AdminServer) keyOf(kind engine.RosterKind, id string) (string, error) {
	if !kind.Hashed() {
		return id, nil
	}
	hash, err := s.vault.RowHash(kind, id)
	if err != nil {
		return "", refuse(unavailable, "This node can't look that up yet: "+err.Error()+". Ask again in a moment.")
	}
	return string(hash[:]), nil
}

// listID reads which row of which list a path is about.
func (s *AdminServer) listID(r *http.Request) (l listNamed, id string, err error) {
	if l, err = listName(r); err != nil {
		return l, "", err
	}
	id = s.canon.Of(l.Kind, r.PathValue("id"))
	if wrong := engine.ValidRosterRow(l.Kind, id, engine.LevelListed); wrong != "" {
		return l, "", refuse(malformed, wrong+".")
	}
	return l, id, nil
}

// dropRow takes one off a list.
func (s *AdminServer) dropRow(r *http.Request, q *noteQuery) (j wire.ListImport, err error) {
	name, id, err := s.listID(r)
	if err != nil {
		return j, err
	}
	key, err := s.keyOf(name.Kind, id)
	if err != nil {
		return j, err
	}
	row, found, err := s.operator.RosterRow(name.RosterName, key)
	if err != nil {
		return j, err
	}
	if done, err := s.operator.Done(r.Context(), byOf(r)); err != nil || !done && (!found || row.ID != key) {
		return j, cmp.Or(err, name.lacks(id))
	}
	out, err := s.operator.ImportRoster(r.Context(), name.RosterName, engine.RosterImport{Count: 1, By: byOf(r),
		Note: q.Note,
		Rows: slices.Values([]engine.RosterEntry{{ID: []byte(key)}})})
	if err != nil {
		return j, err
	}
	s.log.Info("taken off a list", "list", name.title, "operator", operatorOf(r), "note", q.Note)
	return wire.ListImport{List: name.title, Action: "change", Rows: out.Changed, Removed: out.Removed,
		Unchanged: 1 - out.Changed, Count: out.Count}, nil
}

func (s *AdminServer) dropList(r *http.Request, q *sureQuery) (j wire.ListCount, err error) {
	name, err := listName(r)
	if err != nil {
		return j, err
	}
	if !q.Sure {
		if err := s.unsure(r, s.bars(name.RosterName, nil, true)); err != nil {
			return j, err
		}
	}
	if err := s.operator.DropRoster(r.Context(), byOf(r), name.RosterName, q.Note); err != nil {
		return j, err
	}
	s.log.Info("list forgotten", "list", name.title, "operator", operatorOf(r), "note", q.Note)
	return wire.ListCount{List: name.title}, nil
}

// noteQuery says why a list is changed: its body is the list.
type noteQuery struct {
	Note string `query:"note" as:"note"` // Why, for the audit trail.
}

// sureQuery is noteQuery of what could end a sale.
type sureQuery struct {
	noteQuery
	// true: what could end a sale is meant; without it that is a 409 that says why (problem
	// unsure), and nothing is changed. It is a prefix shorter than /8 (IPv4) or /32 (IPv6), or
	// what bars more than risk.list_share percent of the shoppers whom the node that answers
	// saw in the last five minutes.
	Sure bool `query:"sure"`
}

// riskQuery is sureQuery of a risk list, whose rows have a level.
type riskQuery struct {
	sureQuery
	Level askedLevel `query:"level"` // Of rows that name none; block without it.
}

// emptyQuery is sureQuery of rows that take the place of a list.
type emptyQuery struct {
	sureQuery
	Empty bool `query:"empty"` // true: an empty list is meant, and takes everybody off.
}

// emptyRiskQuery is emptyQuery of a risk list.
type emptyRiskQuery struct {
	riskQuery
	Empty bool `query:"empty"` // true: an empty list is meant, and takes everybody off.
}

// imports makes the handler that takes a list in, as what is asked says: instead of what
// was there, or on top of it.
func imports[Q any](replace bool, as func(*Q) emptyRiskQuery) adminHandler {
	return asking(func(s *AdminServer, w http.ResponseWriter, r *http.Request, q *Q) error {
		all := as(q)
		return s.importList(w, r, &all, replace)
	}).giving(wire.Bodies{wire.JSON: {wire.ListImport{}}, wire.NDJSON: {wire.ImportProgress{}, wire.ListImport{},
		wire.Problem{}}})
}

// What takes lists in, by whether rows have levels, and take the place of what there is.
var (
	replacesRisk  = imports(true, func(q *emptyRiskQuery) emptyRiskQuery { return *q })
	changesRisk   = imports(false, func(q *riskQuery) emptyRiskQuery { return emptyRiskQuery{riskQuery: *q} })
	replacesNames = imports(true, func(q *emptyQuery) emptyRiskQuery {
		return emptyRiskQuery{riskQuery{sureQuery: q.sureQuery}, q.Empty}
	})
	changesNames = imports(false, func(q *sureQuery) emptyRiskQuery {
		return emptyRiskQuery{riskQuery: riskQuery{sureQuery: *q}}
	})
)

// wholeLists is what a list is answered as.
var wholeLists = wire.Bodies{wire.JSON: {wire.ListPage{}}, "text/csv": nil, wire.NDJSON: {wire.ListRow{}}}

// importList takes a list in: instead of what was there, or on top of it. All of it
// is read and checked first, so that a bad line changes nothing.
func (s *AdminServer) importList(w http.ResponseWriter, r *http.Request, q *emptyRiskQuery, replace bool) error {
	name, err := listName(r)
	if err != nil {
		return err
	}
	cfg, err := s.listConfig(r, name.Kind, q)
	if err != nil {
		return err
	}
	cfg.Whole = replace
	release := func() {}
	if r.ContentLength < 0 || r.ContentLength > smallListBytes {
		if !s.importing.TryLock() {
			return refuse(conflict, mostAtOnceRefusal)
		}
		release = sync.OnceFunc(s.importing.Unlock)
		defer release()
	}
	hash := sha256.New()
	list, err := roster.Read(io.TeeReader(r.Body, hash), cfg)
	switch {
	case err != nil:
		return badListOf(err)
	case replace && list.Len() == 0 && !q.Empty:
		return refuse(badList, "The list is empty, and nothing was changed. To take everybody off, say so with "+
			"?empty=true.")
	case !q.Sure:
		if err := s.unsure(r, s.bars(name.RosterName, list, replace)); err != nil {
			return err
		}
	}
	done := wire.ListImport{List: name.title, Action: "change", Repeated: list.Repeated()}
	if replace {
		done.Action = "replace"
	}
	seal, err := s.sealer(r.Context(), name.Kind)
	if err != nil {
		return err
	}
	source := fmt.Sprintf("sha256 %x", hash.Sum(nil))
	if name.Kind.Hashed() { // of a file of one number, anybody could try them all
		digest, err := s.vault.Digest(hash.Sum(nil))
		if err != nil {
			return err
		}
		source = "keyed hash " + digest
	}
	log := s.log.With("list", name.title, "source", source, "action", done.Action, "operator", operatorOf(r),
		"rows", list.Len(), "note", q.Note)
	told := newListProgress(w, r, list.Len())
	ctx, stop := context.WithTimeout(r.Context(), listPatience)
	defer stop()
	out, err := s.operator.ImportRoster(ctx, name.RosterName, engine.RosterImport{Replace: replace, Count: list.Len(),
		Rows: each(list.Rows(), seal), Source: source, By: byOf(r), Note: q.Note, Committed: told.committed})
	release() // whoever hears of the end may send the next
	if err != nil {
		log.Info("list not imported", "committed", told.rows, "error", err)
		return s.listFailed(r, told, replace, err)
	}
	done.Rows, done.Removed, done.Unchanged, done.Count = out.Changed, out.Removed, list.Len()-out.Changed, out.Count
	log.Info("list imported", "changed", done.Rows, "removed", done.Removed, "count", done.Count)
	if told.streams {
		told.line(done)
		return nil
	}
	return s.reply(w, done)
}

// each gives rows as they are made into others.
func each(rows iter.Seq[engine.RosterEntry], to sealing) iter.Seq[engine.RosterEntry] {
	return func(yield func(engine.RosterEntry) bool) {
		for row := range rows {
			if !yield(to(row)) {
				return
			}
		}
	}
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

// unsure has an operator say that what could end a sale is meant, unless danger is "", or
// it was done already.
func (s *AdminServer) unsure(r *http.Request, danger string) error {
	if danger == "" {
		return nil
	}
	if done, err := s.operator.Done(r.Context(), byOf(r)); err == nil && done {
		return nil
	}
	return refuse(unsure, danger+" It could end a sale, and nothing was changed. If it is meant, say so with "+
		"?sure=true (--yes).")
}

// listConfig says how a list is to be read.
func (s *AdminServer) listConfig(r *http.Request, kind engine.RosterKind, q *emptyRiskQuery) (cfg roster.Config,
	err error) {
	cfg = roster.Config{Kind: kind, Level: engine.LevelListed, Canon: s.canon}
	known := false
	// of a body that is empty; others were looked at
	if cfg.Format, known = roster.FormatOf(r.Header.Get("Content-Type")); !known {
		return cfg, refuse(wrongMediaType, "Send Content-Type: "+bodies[listBody].asked+".")
	}
	switch level := q.Level.Level; {
	case kind >= engine.RosterRiskShopper && level == engine.LevelNone:
		cfg.Level = engine.LevelBlock
	case level != engine.LevelNone:
		cfg.Level = level
	}
	return cfg, nil
}

// badListOf says why a list could not be read.
func badListOf(err error) error {
	var problems *roster.Problems
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &problems):
		reasons := make([]wire.PlanProblem, 0, len(problems.Told))
		for _, p := range problems.Told {
			reasons = append(reasons, wire.PlanProblem{Path: fmt.Sprintf("line %d", p.Line), Line: p.Line,
				Message: p.Message})
		}
		said := "One line is wrong, and nothing was changed."
		if problems.Count > 1 {
			said = fmt.Sprintf("%d lines are wrong, and nothing was changed.", problems.Count)
		}
		if problems.Count > len(reasons) {
			said += fmt.Sprintf(" The first %d are listed.", len(reasons))
		}
		return refuse(badList, said, reasons...)
	case errors.As(err, &large):
		return refuse(tooLarge, fmt.Sprintf("The list may have %d bytes.", large.Limit))
	}
	return refuse(malformed, "The list broke off before its end, and nothing was changed.")
}

// listFailed answers an import that ended in err after all lines were found good.
func (s *AdminServer) listFailed(r *http.Request, told *listProgress, replace bool, err error) error {
	kind, detail, known := problemOf(err)
	if !known {
		s.log.Error("admin request failed", "route", r.Pattern, "error", err)
	}
	var refusal *engine.Refusal
	switch {
	case replace && errors.As(err, &refusal) && refusal.Reason == engine.ReasonConflict:
		detail = "Another import of this list came in between. The list is as that one has it, or as it was; nothing " +
			"of this one was taken."
	case kind == unavailable && replace:
		detail = "It is not known whether the list was replaced; it was whole, or not at all. " + notKnown(r)
	case kind == unavailable:
		detail = fmt.Sprintf("%d of %d rows are known to be taken in; send all of them again. %s", told.rows, told.of,
			notKnown(r))
	}
	if !told.streams || told.written == 0 {
		return refuse(kind, detail)
	}
	s.metrics.problem(kind)
	told.line(problemFor(kind, detail, r.URL.EscapedPath()))
	return nil
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
	return &listProgress{streams: strings.Contains(r.Header.Get("Accept"), "application/x-ndjson"), of: of,
		header:  w.Header(),
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
