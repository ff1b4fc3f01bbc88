package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"doorbuster/engine"
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

// Folder is where a node keeps its archive, below its data directory.
const Folder = "reconciliations"

// Names of a report's files. One that is being written has partSuffix besides.
const (
	reportSuffix   = ".json"
	findingsSuffix = ".findings.ndjson"
	partSuffix     = ".part"
)

// ErrNoReport: there is none by this id, as far as nodes could be asked.
var ErrNoReport = errors.New("no such report")

// Config is what an Archive is made of.
type Config struct {
	Dir  string // made when the first report comes
	Node string // whose it is
	Log  *slog.Logger
}

// Archive keeps reports. Safe for concurrent use.
type Archive struct {
	cfg    Config
	others Others // nil on a lone node

	mu          sync.Mutex
	prepared    bool
	loaded      bool
	known       []kept // the newest first
	differences map[string]difference

	uncopied  map[string]*uncopied // by id; of the goroutine that copies
	notCopied atomic.Int64
}

// kept is a report as it is listed.
type kept struct {
	engine.KeptReport
	brief reconcile.Report // without what is long
}

// New gives an Archive that has read nothing yet.
func New(cfg Config) *Archive { return &Archive{cfg: cfg, uncopied: map[string]*uncopied{}} }

// Dir is where the archive's files are.
func (a *Archive) Dir() string { return a.cfg.Dir }

func (a *Archive) path(id, suffix string) string { return filepath.Join(a.cfg.Dir, id+suffix) }

// prepare makes the directory, and drops what a run or a copy has left that did not
// end. It does so once.
func (a *Archive) prepare() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.prepared {
		return nil
	}
	if err := os.MkdirAll(a.cfg.Dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(a.path("*", partSuffix))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	a.prepared = err == nil
	return err
}

// locked calls do with the lock held and all that is kept known.
func (a *Archive) locked(do func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.load(); err != nil {
		return err
	}
	return do()
}

// load reads what is kept, once. A report that can't be read is not there; it is left
// for people to look at.
func (a *Archive) load() error {
	if a.loaded {
		return nil
	}
	a.known, a.differences = nil, map[string]difference{}
	entries, err := os.ReadDir(a.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), reportSuffix)
		if !ok || !engine.ValidID(id) {
			continue
		}
		if r, err := a.read(id); err == nil {
			if err := a.add(r); err != nil {
				return err
			}
		}
	}
	a.loaded = true
	return nil
}

// add takes in a report that is in its files.
func (a *Archive) add(r *reconcile.Report) error {
	k := kept{engine.KeptReport{ID: r.ID}, brief(*r)}
	for _, of := range [...]struct {
		suffix string
		bytes  *int64
	}{{reportSuffix, &k.Whole}, {findingsSuffix, &k.Findings}} {
		if info, err := os.Stat(a.path(r.ID, of.suffix)); err == nil {
			*of.bytes = info.Size()
		}
	}
	at, there := a.at(r.ID)
	if !there {
		a.known = slices.Insert(a.known, at, kept{})
	}
	a.known[at] = k
	return a.index(r)
}

// at is where a report is, or would be, among those that are known.
func (a *Archive) at(id string) (at int, known bool) {
	return slices.BinarySearchFunc(a.known, id, func(k kept, id string) int { return newerFirst(k.ID, id) })
}

// newerFirst compares ids, which begin with when their report was made.
func newerFirst(a, b string) int { return strings.Compare(b, a) }

// brief leaves out what is long.
func brief(r reconcile.Report) reconcile.Report {
	r.Days, r.Listings, r.Findings = []reconcile.Total{}, []reconcile.Total{}, []reconcile.Finding{}
	return r
}

// read reads what a report says as a whole.
func (a *Archive) read(id string) (*reconcile.Report, error) {
	text, err := os.ReadFile(a.path(id, reportSuffix))
	if err != nil {
		return nil, err
	}
	return parse(id, text)
}

func parse(id string, text []byte) (*reconcile.Report, error) {
	r := new(reconcile.Report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("report %s: %w", id, err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("report %s says that it is %q", id, r.ID)
	}
	if r.Version > reconcile.ReportVersion {
		return nil, fmt.Errorf("report %s has format %d, this build reads up to %d: %w", id, r.Version,
			reconcile.ReportVersion, engine.ErrNewerFormat)
	}
	return r, nil
}

// here gives a report that is kept here, and its findings.
func (a *Archive) here(id string) (*reconcile.Report, *Findings, error) {
	r, err := a.read(id)
	var f *os.File
	if err == nil {
		f, err = os.Open(a.path(id, findingsSuffix)) // not there if it was dropped just now
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, ErrNoReport
	case err != nil:
		return nil, nil, err
	}
	return r, &Findings{f, a.became}, a.AsOfNow(r)
}

// GiveReports gives another node the list of what is kept here, or a piece of a report.
func (a *Archive) GiveReports(q engine.ReportsRequest) (p engine.ReportsPage, err error) {
	if q.ID != "" {
		p.Piece, err = a.piece(q)
		return p, err
	}
	err = a.locked(func() error {
		for i := range a.known {
			p.Kept = append(p.Kept, a.known[i].KeptReport)
		}
		return nil
	})
	return p, err
}

func (a *Archive) piece(q engine.ReportsRequest) ([]byte, error) {
	suffix := reportSuffix
	if q.Findings {
		suffix = findingsSuffix
	}
	f, err := os.Open(a.path(q.ID, suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoReport
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	piece := make([]byte, engine.MaxReportPieceBytes)
	n, err := f.ReadAt(piece, q.From)
	if err == io.EOF {
		err = nil
	}
	return piece[:n], err
}

// roomFor reports whether a report is kept that has so many newer ones, and so many
// bytes together with them.
func roomFor(newer int, bytes int64) bool {
	return newer == 0 || newer < mostReports && bytes <= mostReportBytes
}

// prune drops the oldest reports that there is no room for; never the newest.
func (a *Archive) prune() (err error) {
	bytes := int64(0)
	for i := range a.known {
		bytes += a.known[i].Whole + a.known[i].Findings
		if roomFor(i, bytes) {
			continue
		}
		for _, old := range a.known[i:] {
			a.forget(old.ID)
			err = errors.Join(err, os.Remove(a.path(old.ID, reportSuffix)), os.Remove(a.path(old.ID, findingsSuffix)))
		}
		a.known = a.known[:i]
		break
	}
	return err
}
