package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"doorbuster/httpapi"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

// differences are what the reports that are kept here have left open, until a later
// report settles it or an operator sets it aside. They follow from the reports alone,
// in whatever sequence those come, so that all nodes know the same. Guarded by
// reports.mu.
type differences struct {
	found   map[string]openIn // by the difference's id
	settled map[string]string // by that: the newest report that settles it
	aside   map[string]string // by that: the report that sets it aside
}

// openIn is the newest report that found a difference, and what the difference is about.
type openIn struct {
	report string
	about  about
}

// about is a payment, or the refund of one.
type about struct {
	kind    statement.Kind
	payment string
}

func aboutOf(f *reconcile.Finding) about {
	switch f.Kind {
	case reconcile.UnknownRefund, reconcile.Unconfirmed, reconcile.MissingRefund:
		return about{statement.Refund, f.PaymentID}
	}
	return about{statement.Payment, f.PaymentID}
}

func newDifferences() differences {
	return differences{map[string]openIn{}, map[string]string{}, map[string]string{}}
}

// add takes in a report with its findings, an NDJSON stream.
func (d *differences) add(r *reconcile.Report, findings io.Reader) error {
	if r.DryRun {
		return nil
	}
	for _, id := range r.Closes {
		d.settled[id] = max(d.settled[id], r.ID)
	}
	for _, id := range r.SetAside {
		d.aside[id] = r.ID
	}
	if r.Open == 0 {
		return nil
	}
	lines := bufio.NewScanner(findings)
	for lines.Scan() {
		var f reconcile.Finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return fmt.Errorf("a finding of report %s: %w", r.ID, err)
		}
		if f.Open && d.found[f.ID].report < r.ID {
			d.found[f.ID] = openIn{r.ID, aboutOf(&f)}
		}
	}
	return lines.Err()
}

// state tells what became of a difference: "" while it is open.
func (d *differences) state(id string) string {
	in, found := d.found[id]
	switch aside := d.aside[id]; {
	case aside != "":
		return "set aside, see report " + aside
	case !found || d.settled[id] > in.report:
		return "settled, see report " + d.settled[id]
	}
	return ""
}

// open counts what is open by the report that found it last.
func (d *differences) open() (all int64, by map[string]int64) {
	by = map[string]int64{}
	for id, in := range d.found {
		if d.state(id) == "" {
			all++
			by[in.report]++
		}
	}
	return all, by
}

// drop forgets what a report found that is no more.
func (d *differences) drop(report string) {
	for id, in := range d.found {
		if in.report == report {
			delete(d.found, id)
		}
	}
}

// openDifferences gives what is open by what it is about, for a run.
func (s *reports) openDifferences() (map[about][]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	open := map[about][]string{}
	for id, in := range s.open.found {
		if s.open.state(id) == "" {
			open[in.about] = append(open[in.about], id)
		}
	}
	return open, nil
}

// isAside tells whether a difference was set aside.
func (s *reports) isAside(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open.aside[id] != ""
}

// openNow counts what is open, and gives the oldest report that left some.
func (s *reports) openNow() (open int64, oldest string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return 0, "", err
	}
	open, by := s.open.open()
	for id := range by {
		if oldest == "" || id < oldest {
			oldest = id
		}
	}
	return open, oldest, nil
}

// asOfNow tells in a report what is open still.
func (s *reports) asOfNow(list ...*reconcile.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	_, by := s.open.open()
	for _, r := range list {
		r.OpenNow, r.OpenBefore = by[r.ID], 0
		if here := slices.ContainsFunc(s.known, func(k keptReport) bool { return k.brief.ID == r.ID }); !here && !r.DryRun {
			r.OpenNow = r.Open // another node's, which is not copied yet
		}
		for id, n := range by {
			if id < r.ID {
				r.OpenBefore += n
			}
		}
	}
	return nil
}

// current passes findings on as they stand now: what was settled or set aside since is
// not open.
func (s *reports) current(findings io.ReadCloser) io.ReadCloser {
	from, to := io.Pipe()
	go func() {
		lines := bufio.NewScanner(findings)
		var err error
		for err == nil && lines.Scan() {
			text := lines.Bytes()
			var f reconcile.Finding
			if strings.Contains(string(text), `"open":true`) && json.Unmarshal(text, &f) == nil {
				s.mu.Lock()
				became := s.open.state(f.ID)
				s.mu.Unlock()
				if became != "" {
					f.Open = false
					f.Says += " It is " + became + "."
					text, err = json.Marshal(&f)
				}
			}
			if err == nil {
				_, err = to.Write(slices.Concat(text, []byte{'\n'}))
			}
		}
		if err == nil {
			err = lines.Err()
		}
		to.CloseWithError(err)
	}()
	return &closing{from, findings}
}

// closing closes what is read and what that is read from.
type closing struct {
	*io.PipeReader
	from io.Closer
}

func (c *closing) Close() error {
	_ = c.PipeReader.Close()
	return c.from.Close()
}

// SetAside notes that somebody has seen to differences. It is kept as a report of its
// own, and so comes to the other nodes.
func (r *reconciler) SetAside(_ context.Context, q httpapi.SetAsideRequest) (*reconcile.Report, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, fmt.Errorf("the node is closing: %w", err)
	}
	if err := r.reports.prepare(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", r.reports.dir, err)
	}
	ids, done, err := r.reports.toSetAside(q)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		report, err := r.reports.readReport(done)
		if err != nil {
			return nil, fmt.Errorf("read the report that sets them aside: %w", err)
		}
		return report, r.reports.asOfNow(report)
	}
	began := time.Now()
	sum := sha256.Sum256([]byte(r.node + strings.Join(ids, " ")))
	report := &reconcile.Report{Version: reconcile.ReportVersion, ID: reportID(began, sum[:]), RanAt: began.UTC(), Node: r.node, Operator: q.Operator, Note: q.Note, SetAside: ids,
		Statement: reconcile.StatementFile{Name: "set aside of " + q.Report}, Counts: []reconcile.Count{}, Findings: []reconcile.Finding{},
		Pending: reconcile.Tally{Money: []reconcile.Sum{}}, NotOurs: statement.NotOurs{Tally: reconcile.Tally{Money: []reconcile.Sum{}}, By: []statement.NotOursBy{}},
		Totals: []reconcile.Total{}, Days: []reconcile.Total{}, Sessions: []reconcile.Total{}, Listings: []reconcile.Total{}}
	report.Verdict = fmt.Sprintf("Set aside: %s of report %s.", counted(int64(len(ids)), "difference"), q.Report)
	keep, err := r.reports.begin(report.ID)
	if err != nil {
		return nil, fmt.Errorf("begin the report: %w", err)
	}
	if err := keep.keep(report); err != nil {
		return nil, fmt.Errorf("keep the report: %w", err)
	}
	return report, r.reports.asOfNow(report)
}

// reportID names a report made at a time; two nodes may make one in the same
// millisecond.
func reportID(at time.Time, sum []byte) string {
	const hashShown = 6
	return at.UTC().Format("20060102T150405.000Z") + "-" + hex.EncodeToString(sum[:hashShown])
}

// toSetAside gives the differences that a request is about and that are open. Where
// all of them were set aside already, it gives the newest report that says so:
// asking again changes nothing.
func (s *reports) toSetAside(q httpapi.SetAsideRequest) (ids []string, done string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, "", err
	}
	if !slices.ContainsFunc(s.known, func(k keptReport) bool { return k.brief.ID == q.Report }) {
		return nil, "", httpapi.ErrNoReport
	}
	asked := q.Differences
	if q.All {
		for id, in := range s.open.found {
			if in.report == q.Report {
				asked = append(asked, id)
			}
		}
	}
	for _, id := range asked {
		_, found := s.open.found[id]
		switch aside, became := s.open.aside[id], s.open.state(id); {
		case found && aside != "":
			done = max(done, aside)
		case found && became == "":
			ids = append(ids, id)
		case !q.All:
			return nil, "", &httpapi.NotOpenError{Difference: id, Became: became, Known: found}
		}
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 && done == "" {
		return nil, "", &httpapi.NotOpenError{}
	}
	return ids, done, nil
}
