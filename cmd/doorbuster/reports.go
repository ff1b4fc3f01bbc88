package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/reconcile"
)

// How much of past reconciliations a node keeps, the oldest dropped first.
const (
	mostReports     = 400
	mostReportBytes = 2 << 30
	// mostFindingBytes bounds one report's findings: some four million. More say the
	// same.
	mostFindingBytes = 1 << 30
)

// Names of a report's files: what it says as a whole, and its findings, a line
// each. One that is being written has partSuffix besides.
const (
	reportSuffix   = ".json"
	findingsSuffix = ".findings.ndjson"
	partSuffix     = ".part"
)

// reports are kept in a directory of the node's data. Safe for concurrent use.
type reports struct {
	dir string

	mu    sync.Mutex
	read  bool
	known []keptReport // the newest first
}

// keptReport is a report as it is listed.
type keptReport struct {
	brief reconcile.Report
	bytes int64
}

// brief leaves out what is long.
func brief(r reconcile.Report) reconcile.Report {
	r.Days, r.Listings, r.Findings = []reconcile.Total{}, []reconcile.Total{}, []reconcile.Finding{}
	return r
}

// prepare makes the directory, and drops what a run has left that did not end.
func (s *reports) prepare() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"+partSuffix))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// load reads what is kept, once; s.mu is held. A report that can't be read is not
// there; it is left for people to look at.
func (s *reports) load() error {
	if s.read {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), reportSuffix)
		if !ok || !engine.ValidID(id) {
			continue
		}
		if r, err := s.readReport(id); err == nil {
			s.known = append(s.known, keptReport{brief(*r), s.size(id)})
		}
	}
	slices.SortFunc(s.known, func(a, b keptReport) int { return strings.Compare(b.brief.ID, a.brief.ID) })
	s.read = true
	return nil
}

func (s *reports) path(id, suffix string) string { return filepath.Join(s.dir, id+suffix) }

func (s *reports) size(id string) (bytes int64) {
	for _, suffix := range [...]string{reportSuffix, findingsSuffix} {
		if info, err := os.Stat(s.path(id, suffix)); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

func (s *reports) readReport(id string) (*reconcile.Report, error) {
	text, err := os.ReadFile(s.path(id, reportSuffix))
	if err != nil {
		return nil, err
	}
	r := new(reconcile.Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("report %s: %w", id, err)
	}
	if r.Version > reconcile.ReportVersion {
		return nil, fmt.Errorf("report %s has format %d, this build reads up to %d: %w", id, r.Version, reconcile.ReportVersion, engine.ErrNewerFormat)
	}
	return r, nil
}

// list gives what is kept, the newest first.
func (s *reports) list() ([]reconcile.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	list := make([]reconcile.Report, len(s.known))
	for i := range s.known {
		list[i] = s.known[i].brief
	}
	return list, nil
}

// open gives one report and its findings.
func (s *reports) open(id string) (*reconcile.Report, io.ReadCloser, error) {
	r, err := s.readReport(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, httpapi.ErrNoReport
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(s.path(id, findingsSuffix))
	if errors.Is(err, fs.ErrNotExist) { // dropped just now
		return nil, nil, httpapi.ErrNoReport
	}
	return r, f, err
}

// reportWriter writes one report.
type reportWriter struct {
	reports  *reports
	id       string
	file     *os.File
	findings *bufio.Writer
	kept     int64
	bytes    int64
}

// begin opens the findings of a report to come.
func (s *reports) begin(id string) (*reportWriter, error) {
	f, err := os.OpenFile(s.path(id, findingsSuffix)+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &reportWriter{reports: s, id: id, file: f, findings: bufio.NewWriterSize(f, 64<<10)}, nil
}

// finding keeps a finding, unless there is no more room for any.
func (w *reportWriter) finding(f *reconcile.Finding) error {
	if w.bytes >= mostFindingBytes {
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	w.kept++
	w.bytes += int64(len(text)) + 1
	_, err = w.findings.Write(append(text, '\n'))
	return err
}

// drop leaves nothing behind.
func (w *reportWriter) drop() {
	_ = w.file.Close() // it is removed
	_ = os.Remove(w.file.Name())
}

// keep makes the report last: its findings first, so that where it is, they are.
func (w *reportWriter) keep(r *reconcile.Report) error {
	s := w.reports
	if err := errors.Join(w.findings.Flush(), w.file.Sync(), w.file.Close()); err != nil {
		return errors.Join(err, os.Remove(w.file.Name()))
	}
	r.Kept = w.kept
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	part := s.path(w.id, reportSuffix) + partSuffix
	if err := writeWhole(part, text); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(w.file.Name(), s.path(w.id, findingsSuffix)), os.Rename(part, s.path(w.id, reportSuffix)), syncFolder(s.dir)); err != nil {
		return err
	}
	s.known = slices.Insert(s.known, 0, keptReport{brief(*r), s.size(w.id)})
	return s.prune()
}

// writeWhole writes a file and has it on disk.
func writeWhole(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// prune drops the oldest reports that there is no room for; never the newest. s.mu
// is held.
func (s *reports) prune() (err error) {
	bytes := int64(0)
	for i, k := range s.known {
		bytes += k.bytes
		if i == 0 || i < mostReports && bytes <= mostReportBytes {
			continue
		}
		for _, old := range s.known[i:] {
			err = errors.Join(err, os.Remove(s.path(old.brief.ID, reportSuffix)), os.Remove(s.path(old.brief.ID, findingsSuffix)))
		}
		s.known = s.known[:i]
		break
	}
	return err
}
