package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// difference is what the reports that are kept say of one difference between the
// accounts: it is open until a later report closes it or an operator sets it aside.
type difference struct {
	About
	foundBy  string // the newest report that found it open; "" if none is kept
	closedBy string // the newest report that closes it
	asideBy  string // the newest report that sets it aside
}

// About is what a difference is about: a payment, or the refund of one.
type About struct {
	Kind      statement.Kind
	PaymentID string
}

// became says what became of a difference; "" while it is open.
func (d difference) became() string {
	switch {
	case d.asideBy != "":
		return "set aside, see report " + d.asideBy
	case d.closedBy > d.foundBy:
		return "settled, see report " + d.closedBy
	}
	return ""
}

// open reports whether somebody has to see to it.
func (d difference) open() bool { return d.foundBy != "" && d.became() == "" }

// index takes in what a report left open, closed and set aside.
func (a *Archive) index(r *reconcile.Report) error {
	if r.DryRun {
		return nil
	}
	note := func(id string, what func(d *difference)) {
		d := a.differences[id]
		what(&d)
		a.differences[id] = d
	}
	for _, id := range r.Closes {
		note(id, func(d *difference) { d.closedBy = max(d.closedBy, r.ID) })
	}
	for _, id := range r.SetAside {
		note(id, func(d *difference) { d.asideBy = max(d.asideBy, r.ID) })
	}
	if r.Open == 0 {
		return nil
	}
	f, err := os.Open(a.path(r.ID, findingsSuffix))
	if os.IsNotExist(err) { // a report that lost its findings is left for people to look at
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for text, err := range (&Findings{from: f}).Lines() {
		if err != nil {
			return err
		}
		var found reconcile.Finding
		if err := json.Unmarshal(text, &found); err != nil {
			return fmt.Errorf("a finding of report %s: %w", r.ID, err)
		}
		if found.Open {
			note(found.ID, func(d *difference) {
				if d.foundBy < r.ID {
					d.foundBy, d.About = r.ID, aboutOf(&found)
				}
			})
		}
	}
	return nil
}

func aboutOf(f *reconcile.Finding) About {
	switch f.Kind {
	case reconcile.UnknownRefund, reconcile.Unconfirmed, reconcile.MissingRefund:
		return About{statement.Refund, f.PaymentID}
	}
	return About{statement.Payment, f.PaymentID}
}

// forget takes back what a report found that is no more.
func (a *Archive) forget(report string) {
	for id, d := range a.differences {
		if d.foundBy == report {
			d.foundBy = ""
			a.differences[id] = d
		}
	}
}

// became says what became of a difference; "" while it is open.
func (a *Archive) became(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.differences[id].became()
}

// IsAside reports whether a difference was set aside.
func (a *Archive) IsAside(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.differences[id].asideBy != ""
}

// Open gives what is open, by what it is about.
func (a *Archive) Open() (open map[About][]string, err error) {
	open = map[About][]string{}
	return open, a.locked(func() error {
		for id, d := range a.differences {
			if d.open() {
				open[d.About] = append(open[d.About], id)
			}
		}
		return nil
	})
}

// openBy counts what is open by the report that found it last. The lock is held.
func (a *Archive) openBy() map[string]int64 {
	by := map[string]int64{}
	for _, d := range a.differences {
		if d.open() {
			by[d.foundBy]++
		}
	}
	return by
}

// OpenNow counts what is open, and gives the oldest report that left some.
func (a *Archive) OpenNow() (open int64, oldest string, err error) {
	err = a.locked(func() error {
		by := a.openBy()
		for _, n := range by {
			open += n
		}
		if open > 0 {
			oldest = slices.Min(slices.Collect(maps.Keys(by)))
		}
		return nil
	})
	return open, oldest, err
}

// AsOfNow notes in reports what is open still.
func (a *Archive) AsOfNow(list ...*reconcile.Report) error {
	return a.locked(func() error {
		by := a.openBy()
		for _, r := range list {
			r.OpenNow, r.OpenBefore = by[r.ID], 0
			if _, known := a.at(r.ID); !known && !r.DryRun {
				r.OpenNow = r.Open // another node's, which is not copied yet
			}
			for id, n := range by {
				if id < r.ID {
					r.OpenBefore += n
				}
			}
		}
		return nil
	})
}

// Findings are those of one report, as they stand now: what was closed or set aside
// since is not open. To be closed.
type Findings struct {
	from   io.ReadCloser
	became func(id string) string // nil: as they stand there
}

// NewFindings gives findings that are read from an NDJSON stream.
func NewFindings(from io.ReadCloser) *Findings { return &Findings{from: from} }

// Close ends the reading.
func (f *Findings) Close() error { return f.from.Close() }

// openFinding is in the line of a finding that is open, and in no other: within a text
// the quotes are escaped.
var openFinding = []byte(`"open":true`)

// IsOpen reports whether the finding in a line is open.
func IsOpen(line []byte) bool { return bytes.Contains(line, openFinding) }

// Lines gives the findings as JSON, each valid until the next one, and last the error
// that broke them off, if one did.
func (f *Findings) Lines() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(f.from)
		for lines.Scan() {
			text, err := lines.Bytes(), error(nil)
			var found reconcile.Finding
			if f.became != nil && IsOpen(text) && json.Unmarshal(text, &found) == nil {
				if became := f.became(found.ID); became != "" {
					found.Open = false
					found.Says += " It is " + became + "."
					text, err = json.Marshal(&found)
				}
			}
			if !yield(text, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, err)
		}
	}
}

// SetAside names open differences that somebody has seen to.
type SetAside struct {
	Report      string
	Differences []string // by id
	All         bool     // all that the report left open
	Operator    string
	Note        string // why
}

// NotOpenError names a difference that is not open, so that it can't be set aside, or
// none where there is none at all.
type NotOpenError struct {
	Difference string
	Became     string
	Known      bool
}

func (e *NotOpenError) Error() string {
	switch {
	case e.Difference == "":
		return "the report has left nothing open"
	case e.Known:
		return "the difference " + e.Difference + " is not open: it is " + e.Became
	}
	return "there is no difference " + strconv.QuoteToASCII(e.Difference)
}

// SetAside notes that somebody has seen to open differences, and gives the report of
// that: it is kept as a report of its own, and so comes to the other nodes. Asking again
// changes nothing. Errors: ErrNoReport, a *NotOpenError.
func (a *Archive) SetAside(_ context.Context, q SetAside) (*reconcile.Report, error) {
	ids, done, err := a.toSetAside(q)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		report, err := a.read(done)
		if err != nil {
			return nil, fmt.Errorf("read the report that sets them aside: %w", err)
		}
		return report, a.AsOfNow(report)
	}
	began := time.Now()
	report := reconcile.NewReport()
	report.ID = ID(began, sha256.Sum256([]byte(a.cfg.Node+strings.Join(ids, " "))))
	report.RanAt, report.Node, report.Operator, report.Note = began.UTC(), a.cfg.Node, q.Operator, q.Note
	report.SetAside, report.Statement.Name = ids, "set aside of "+q.Report
	report.Verdict = fmt.Sprintf("Set aside: %s of report %s.", engine.Counted(int64(len(ids)), "difference"), q.Report)
	w, err := a.Begin(report.ID)
	if err == nil {
		err = w.Keep(report)
	}
	if err != nil {
		return nil, err
	}
	return report, a.AsOfNow(report)
}

// toSetAside gives the differences that a request is about and that are open. Where all
// of them were set aside already, it gives the newest report that says so.
func (a *Archive) toSetAside(q SetAside) (ids []string, done string, err error) {
	err = a.locked(func() error {
		if _, known := a.at(q.Report); !known {
			return ErrNoReport
		}
		asked := q.Differences
		if q.All {
			for id, d := range a.differences {
				if d.foundBy == q.Report {
					asked = append(asked, id)
				}
			}
		}
		for _, id := range asked {
			switch d := a.differences[id]; {
			case d.open():
				ids = append(ids, id)
			case d.foundBy != "" && d.asideBy != "":
				done = max(done, d.asideBy)
			case !q.All:
				return &NotOpenError{Difference: id, Became: d.became(), Known: d.foundBy != ""}
			}
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) == 0 && done == "" {
			return &NotOpenError{}
		}
		return nil
	})
	return ids, done, err
}
