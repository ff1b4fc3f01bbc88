package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"doorbuster/cluster/rpc"
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

	mu       sync.Mutex
	prepared bool
	read     bool
	known    []keptReport // the newest first
	open     differences
}

// keptReport is a report as it is listed.
type keptReport struct {
	brief           reconcile.Report
	whole, findings int64 // bytes of its files
}

// brief leaves out what is long.
func brief(r reconcile.Report) reconcile.Report {
	r.Days, r.Listings, r.Findings = []reconcile.Total{}, []reconcile.Total{}, []reconcile.Finding{}
	return r
}

// prepare makes the directory, and drops what a run or a copy has left that did not
// end. It does so once.
func (s *reports) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"+partSuffix))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	s.prepared = err == nil
	return err
}

// load reads what is kept, once; s.mu is held. A report that can't be read is not
// there; it is left for people to look at.
func (s *reports) load() error {
	if s.read {
		return nil
	}
	s.known, s.open = nil, newDifferences()
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
			s.known = append(s.known, s.keptAs(r))
			if err := s.index(r); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(s.known, func(a, b keptReport) int { return newerFirst(a.brief.ID, b.brief.ID) })
	s.read = true
	return nil
}

// index takes in what a report left open, settled and set aside; s.mu is held.
func (s *reports) index(r *reconcile.Report) error {
	f, err := os.Open(s.path(r.ID, findingsSuffix))
	if errors.Is(err, fs.ErrNotExist) { // a report that lost its findings is left for people to look at
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return s.open.add(r, f)
}

func (s *reports) path(id, suffix string) string { return filepath.Join(s.dir, id+suffix) }

// newerFirst compares ids, which begin with when their report was made.
func newerFirst(a, b string) int { return strings.Compare(b, a) }

// keptAs looks at a report's files.
func (s *reports) keptAs(r *reconcile.Report) keptReport {
	size := func(suffix string) int64 {
		if info, err := os.Stat(s.path(r.ID, suffix)); err == nil {
			return info.Size()
		}
		return 0
	}
	return keptReport{brief(*r), size(reportSuffix), size(findingsSuffix)}
}

func (s *reports) readReport(id string) (*reconcile.Report, error) {
	text, err := os.ReadFile(s.path(id, reportSuffix))
	if err != nil {
		return nil, err
	}
	return parseReport(id, text)
}

// parseReport reads what a report says as a whole.
func parseReport(id string, text []byte) (*reconcile.Report, error) {
	r := new(reconcile.Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("report %s: %w", id, err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("report %s says that it is %q", id, r.ID)
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

// opened gives one report and its findings.
func (s *reports) opened(id string) (*reconcile.Report, io.ReadCloser, error) {
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
	if err != nil {
		return nil, nil, err
	}
	return r, f, nil
}

// reportWriter writes one report.
type reportWriter struct {
	reports  *reports
	id       string
	file     *os.File
	findings *bufio.Writer
	sum      hash.Hash // of the findings
	kept     int64
	bytes    int64
}

// begin opens the findings of a report to come.
func (s *reports) begin(id string) (*reportWriter, error) {
	f, err := os.OpenFile(s.path(id, findingsSuffix)+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &reportWriter{reports: s, id: id, file: f, findings: bufio.NewWriterSize(f, 64<<10), sum: sha256.New()}, nil
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
	_, err = w.Write(append(text, '\n'))
	return err
}

// Write appends findings that are lines already.
func (w *reportWriter) Write(lines []byte) (int, error) {
	w.sum.Write(lines)
	return w.findings.Write(lines)
}

// sumText is the checksum of the findings, as reports tell it.
func (w *reportWriter) sumText() string { return hex.EncodeToString(w.sum.Sum(nil)) }

// drop leaves nothing behind.
func (w *reportWriter) drop() {
	_ = w.file.Close() // it is removed
	_ = os.Remove(w.file.Name())
}

// keep makes the report of a run last.
func (w *reportWriter) keep(r *reconcile.Report) error {
	r.Kept, r.FindingsSHA256 = w.kept, w.sumText()
	text, err := json.Marshal(r)
	if err != nil {
		w.drop()
		return err
	}
	return w.keepAs(r, text)
}

// keepAs makes a report last that is written as text: its findings first, so that
// where it is, they are.
func (w *reportWriter) keepAs(r *reconcile.Report, text []byte) error {
	s := w.reports
	if err := errors.Join(w.findings.Flush(), w.file.Sync(), w.file.Close()); err != nil {
		return errors.Join(err, os.Remove(w.file.Name()))
	}
	part := s.path(w.id, reportSuffix) + partSuffix
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(writeWhole(part, text), s.load())
	if err == nil {
		err = errors.Join(os.Rename(w.file.Name(), s.path(w.id, findingsSuffix)), os.Rename(part, s.path(w.id, reportSuffix)), syncFolder(s.dir))
	}
	if err != nil {
		_ = os.Remove(w.file.Name()) // what is left of it
		_ = os.Remove(part)
		return err
	}
	at, there := slices.BinarySearchFunc(s.known, w.id, func(k keptReport, id string) int { return newerFirst(k.brief.ID, id) })
	if there {
		s.known[at] = s.keptAs(r)
	} else {
		s.known = slices.Insert(s.known, at, s.keptAs(r))
	}
	return errors.Join(s.index(r), s.prune())
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

// roomFor tells whether a report is kept that has so many newer ones, and so many
// bytes together with them.
func roomFor(newer int, bytes int64) bool {
	return newer == 0 || newer < mostReports && bytes <= mostReportBytes
}

// offered lists what is kept for other nodes, the newest first.
func (s *reports) offered() (list []rpc.KeptReport, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	for i := range s.known {
		k := &s.known[i]
		list = append(list, rpc.KeptReport{ID: k.brief.ID, Whole: k.whole, Findings: k.findings})
	}
	return list, nil
}

// piece reads a piece of a report for another node.
func (s *reports) piece(q rpc.ReportsRequest) ([]byte, error) {
	suffix := reportSuffix
	if q.Findings {
		suffix = findingsSuffix
	}
	f, err := os.Open(s.path(q.ID, suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, httpapi.ErrNoReport
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	piece := make([]byte, rpc.MaxPieceBytes)
	n, err := f.ReadAt(piece, q.From)
	if err == io.EOF {
		err = nil
	}
	return piece[:n], err
}

// Reports gives another node what it asks for.
func (s *reports) Reports(q rpc.ReportsRequest) (p rpc.ReportsPage, err error) {
	if q.ID == "" {
		p.Kept, err = s.offered()
	} else {
		p.Piece, err = s.piece(q)
	}
	return p, err
}

// prune drops the oldest reports that there is no room for; never the newest. s.mu
// is held.
func (s *reports) prune() (err error) {
	bytes := int64(0)
	for i, k := range s.known {
		bytes += k.whole + k.findings
		if roomFor(i, bytes) {
			continue
		}
		for _, old := range s.known[i:] {
			s.open.drop(old.brief.ID)
			err = errors.Join(err, os.Remove(s.path(old.brief.ID, reportSuffix)), os.Remove(s.path(old.brief.ID, findingsSuffix)))
		}
		s.known = s.known[:i]
		break
	}
	return err
}
