package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
)

func newArchive(t *testing.T) *Archive {
	return New(Config{Dir: t.TempDir(), Node: "a1", Log: slog.New(slog.DiscardHandler)})
}

// TestReportsAreBounded: the oldest go, damaged ones and those of a newer build are
// left alone, and what a run that was killed has left is cleared away.
func TestReportsAreBounded(t *testing.T) {
	s := newArchive(t)
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return fmt.Sprintf("20260920T0430%02d.%03dZ-0123456789ab", i/1000, i%1000) }
	for i := range mostReports {
		put(name(i)+reportSuffix, fmt.Sprintf(`{"version":1,"id":%q}`, name(i)))
		put(name(i)+findingsSuffix, "")
	}
	put("20000101T000000.000Z-damaged"+reportSuffix, "{")
	put("20000101T000000.000Z-newer"+reportSuffix, `{"version":99,"id":"20000101T000000.000Z-newer"}`)
	put("statement-1"+partSuffix, "half")
	last := "20260921T043000.000Z-0123456789ab"
	w, err := s.Begin(last)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finding(&reconcile.Finding{Kind: reconcile.UnknownOrder}); err != nil {
		t.Fatal(err)
	}
	if err := w.Keep(&reconcile.Report{Version: 1, ID: last}); err != nil {
		t.Fatal(err)
	}
	list, _, err := s.Reports(t.Context())
	if err != nil || len(list) != mostReports || list[0].ID != last || list[0].Kept != 1 ||
		list[mostReports-1].ID != name(1) {
		t.Fatalf("%d reports, %v", len(list), err)
	}
	if _, _, err := s.here(name(0)); !errors.Is(err, ErrNoReport) {
		t.Errorf("the oldest: %v", err)
	}
	if _, f, err := s.here(name(1)); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	for file, want := range map[string]bool{"20000101T000000.000Z-damaged" + reportSuffix: true,
		"20000101T000000.000Z-newer" + reportSuffix: true, "statement-1" + partSuffix: false} {
		if _, err := os.Stat(filepath.Join(s.Dir(), file)); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// heldReports are other nodes that answer from memory, with faults.
type heldReports struct {
	nodes map[string]*Archive
	fault func(node string, q engine.ReportsRequest, p *engine.ReportsPage) error
	asked int // for pieces
	mu    sync.Mutex
}

func (h *heldReports) Others() (ids []string) {
	for id := range h.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (h *heldReports) AskReports(_ context.Context, node string, q engine.ReportsRequest,
	_ time.Duration) (engine.ReportsPage, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := h.nodes[node].GiveReports(q)
	if q.ID != "" {
		h.asked++
	}
	if err == nil && h.fault != nil {
		err = h.fault(node, q, &p)
	}
	return p, err
}

// copying is an archive that copies when it is told to.
func copying(t *testing.T, others Others) *Archive {
	t.Helper()
	a := newArchive(t)
	a.Join(others)
	return a
}

// reportElsewhere keeps a report of n findings in a directory of its own.
func reportElsewhere(t *testing.T, id string, n int) *Archive {
	t.Helper()
	s := newArchive(t)
	w, err := s.Begin(id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Finding(&reconcile.Finding{Line: int64(i), Kind: reconcile.UnknownOrder, Open: true,
			Says: strings.Repeat("x", 200)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Keep(&reconcile.Report{Version: reconcile.ReportVersion, ID: id, Node: "a2"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// filesOf reads a report's two files.
func filesOf(t *testing.T, s *Archive, id string) (files [2][]byte) {
	t.Helper()
	for i, suffix := range [...]string{reportSuffix, findingsSuffix} {
		text, err := os.ReadFile(s.path(id, suffix))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = text
	}
	return files
}

const heldID = "20260921T043000.000Z-0123456789ab"

// TestCopiesOfReports: a copy is the same bytes, whatever broke on the way; half a
// report, or one that is damaged where it comes from, is not kept.
func TestCopiesOfReports(t *testing.T) {
	good := reportElsewhere(t, heldID, 5_000)
	here := func(r *Archive) bool {
		list, err := r.GiveReports(engine.ReportsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(r.Dir(), "*"+partSuffix))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		return len(list.Kept) > 0
	}
	for name, c := range map[string]struct {
		fault func(h *heldReports) func(node string, q engine.ReportsRequest, p *engine.ReportsPage) error
		comes bool
	}{
		"as it is": {func(*heldReports) func(string, engine.ReportsRequest, *engine.ReportsPage) error { return nil },
			true},
		"a piece lost on the way": {func(h *heldReports) func(string, engine.ReportsRequest,
			*engine.ReportsPage) error {
			return func(_ string, q engine.ReportsRequest, _ *engine.ReportsPage) error {
				if q.ID != "" && h.asked == 2 {
					return engine.ErrOutcomeUnknown
				}
				return nil
			}
		}, true},
		"one node that gives it up": {func(*heldReports) func(string, engine.ReportsRequest,
			*engine.ReportsPage) error {
			return func(node string, q engine.ReportsRequest, p *engine.ReportsPage) error {
				if node == "a2" && q.From > 0 {
					p.Piece = nil
				}
				return nil
			}
		}, true},
		"findings that were changed": {func(*heldReports) func(string, engine.ReportsRequest,
			*engine.ReportsPage) error {
			return func(_ string, q engine.ReportsRequest, p *engine.ReportsPage) error {
				if q.Findings {
					p.Piece = bytes.ReplaceAll(p.Piece, []byte("order_unknown"), []byte("order_unknowm"))
				}
				return nil
			}
		}, false},
		"another report": {func(*heldReports) func(string, engine.ReportsRequest, *engine.ReportsPage) error {
			return func(_ string, q engine.ReportsRequest, p *engine.ReportsPage) error {
				if q.ID != "" && !q.Findings {
					p.Piece = bytes.ReplaceAll(p.Piece, []byte("0123456789ab"), []byte("ffffffffffff"))
				}
				return nil
			}
		}, false},
		"more than there was": {func(*heldReports) func(string, engine.ReportsRequest, *engine.ReportsPage) error {
			return func(_ string, q engine.ReportsRequest, p *engine.ReportsPage) error {
				p.Piece = append(p.Piece, 'x')
				return nil
			}
		}, false},
		"a newer format": {func(*heldReports) func(string, engine.ReportsRequest, *engine.ReportsPage) error {
			return func(_ string, q engine.ReportsRequest, p *engine.ReportsPage) error {
				p.Piece = bytes.Replace(p.Piece, []byte(`"version":2`), []byte(`"version":9`), 1)
				return nil
			}
		}, false},
		"older builds": {func(*heldReports) func(string, engine.ReportsRequest, *engine.ReportsPage) error {
			return func(_ string, _ engine.ReportsRequest, p *engine.ReportsPage) error {
				*p = engine.ReportsPage{}
				return errors.New("an older build")
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heldReports{nodes: map[string]*Archive{"a2": good, "b1": good}}
			h.fault = c.fault(h)
			r := copying(t, h)
			if name == "as it is" { // it is read where it is, before it is copied
				want := filesOf(t, good, heldID)[1]
				_, findings, err := r.Report(t.Context(), heldID)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(findings.from); err != nil || !bytes.Equal(got, want) ||
					len(want) <= engine.MaxReportPieceBytes || here(r) {
					t.Errorf("%d bytes of findings, want %d: %v", len(got), len(want), err)
				}
			}
			r.copyLacking(t.Context())
			if got := here(r); got != c.comes {
				t.Fatalf("copied: %t, want %t", got, c.comes)
			}
			if !c.comes {
				before := h.asked
				if r.copyLacking(t.Context()); h.asked > before {
					t.Error("it is tried again at once")
				}
				return
			}
			if got, want := filesOf(t, r, heldID), filesOf(t, good, heldID); !bytes.Equal(got[0], want[0]) ||
				!bytes.Equal(got[1], want[1]) {
				t.Error("the copy differs")
			}
			before := h.asked
			if r.copyLacking(t.Context()); h.asked > before {
				t.Error("it is copied once more")
			}
		})
	}
}

// TestCopiesAreBounded: what would be dropped at once is not copied, and what is
// damaged here comes anew.
func TestCopiesAreBounded(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("20260922T0430%02d.%03dZ-0123456789ab", i/1000, i%1000) }
	h := &heldReports{nodes: map[string]*Archive{"a2": reportElsewhere(t, heldID, 1)}}
	r := copying(t, h)
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(filepath.Join(r.Dir(), file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range mostReports {
		put(name(i)+reportSuffix, fmt.Sprintf(`{"version":1,"id":%q}`, name(i)))
		put(name(i)+findingsSuffix, "")
	}
	if r.copyLacking(t.Context()); h.asked != 0 {
		t.Error("a report is copied for which there is no room")
	}
	// It can be looked at nevertheless, where it is.
	list, silent, err := r.Reports(t.Context())
	if err != nil || len(silent) != 0 || len(list) != mostReports+1 || list[mostReports].ID != heldID {
		t.Errorf("%d reports, %v, %v", len(list), silent, err)
	}
	if report, findings, err := r.Report(t.Context(), heldID); err != nil || report.Node != "a2" {
		t.Errorf("%+v, %v", report, err)
	} else {
		findings.Close()
	}

	damaged := copying(t, h)
	if err := damaged.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged.path(heldID, reportSuffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, findings, err := damaged.Report(t.Context(), heldID); err != nil || report.Node != "a2" {
		t.Errorf("damaged here: %+v, %v", report, err)
	} else {
		findings.Close()
	}
	damaged.copyLacking(t.Context())
	if got, want := filesOf(t, damaged, heldID), filesOf(t, h.nodes["a2"], heldID); !bytes.Equal(got[0], want[0]) ||
		!bytes.Equal(got[1], want[1]) {
		t.Error("the damaged report did not come anew")
	}
	h.mu.Lock()
	h.fault = func(string, engine.ReportsRequest, *engine.ReportsPage) error { return errors.New("not now") }
	h.mu.Unlock()
	var unsure *NoReportError
	if _, _, err := damaged.Report(t.Context(), name(0)); !errors.As(err, &unsure) || !errors.Is(err, ErrNoReport) ||
		unsure.Silent[0] != (SilentNode{Node: "a2", Error: "not now"}) {
		t.Errorf("a node that can't be asked: %v", err)
	}
}

// TestDryRunStaysAsItWas: what a dry run found settles nothing, is settled by nothing, and
// is told as open.
func TestDryRunStaysAsItWas(t *testing.T) {
	a := newArchive(t)
	w, err := a.Begin(heldID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finding(&reconcile.Finding{ID: "f", Kind: reconcile.UnknownOrder, Open: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.Keep(&reconcile.Report{ID: heldID, DryRun: true, Open: 1}); err != nil {
		t.Fatal(err)
	}
	_, findings, err := a.Report(t.Context(), heldID)
	if err != nil {
		t.Fatal(err)
	}
	defer findings.Close()
	for line, err := range findings.Lines() {
		if err != nil || !IsOpen(line) {
			t.Errorf("%s, %v", line, err)
		}
	}
	if open, _, err := a.OpenNow(); open != 0 || err != nil {
		t.Errorf("%d are open, %v", open, err)
	}
}
