package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/cluster/rpc"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/reconcile"
)

// reportForms are all that can be downloaded of a report.
var reportForms = []string{"", "?open=true", "?format=csv", "?format=csv&part=totals", "?format=csv&part=days", "?format=csv&part=sessions", "?format=csv&part=listings"}

// reportBodies downloads all forms of a report; nil if one can't be had.
func (m *member) reportBodies(id string) (bodies []string) {
	for _, form := range reportForms {
		a, err := m.request("GET", "http://"+m.admin+reconciliationsPath+"/"+id+form, "")
		if err != nil || a.Status != 200 {
			return nil
		}
		bodies = append(bodies, a.Body)
	}
	return bodies
}

// reportsThere lists what a node says that there is.
func (m *member) reportsThere() (ids []string, silent []httpapi.SilentNode) {
	m.t.Helper()
	var list struct {
		Reconciliations []reconcile.Report
		Unanswered      []httpapi.SilentNode
	}
	if a := m.ops("GET", reconciliationsPath, ""); json.Unmarshal([]byte(a.Body), &list) != nil {
		m.t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, r := range list.Reconciliations {
		ids = append(ids, r.ID+" by "+r.Node)
	}
	return ids, list.Unanswered
}

// hasCopy tells whether a report's files are in the node's directory, whole.
func (m *member) hasCopy(id string) bool {
	_, err := os.Stat(filepath.Join(m.dir, reportsFolder, id+reportSuffix))
	return err == nil
}

// TestReportsOnEveryNode: a report is found on every node at once, and stays when
// the node that ran it is lost; a node that was down gets it when it is back, also
// from those that have only a copy.
func TestReportsOnEveryNode(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 10))
	ran, other, away := f.node("a1"), f.node("a2"), f.node("b1")
	away.kill()
	f.leader()
	numbers := []string{orderOfShopper(t, ran.shop, "ann"), orderOfShopper(t, ran.shop, "bob")}
	now := time.Now()
	text := statementHeader + statementRow("p-lost", numbers[0], 100, "payment", now) + statementRow("p-differs", numbers[1], 99, "payment", now)
	for i := range 9_000 { // findings of several pieces
		text += statementRow(fmt.Sprint("p-unknown-", i), "000000000000000000000000", 5, "payment", now)
	}
	_, report, errs := reconcileHere(t, ran.shop, text)
	if report == nil || report.Node != ran.id || report.Open != 9_001 || report.Settled != 1 {
		t.Fatalf("%+v %s", report, errs)
	}
	want := ran.reportBodies(report.ID)
	if info, err := os.Stat(filepath.Join(ran.dir, reportsFolder, report.ID+findingsSuffix)); err != nil || info.Size() <= 2*rpc.MaxPieceBytes {
		t.Fatalf("the findings are no more than two pieces: %v, %v", info, err)
	}
	same := func(m *member, when string) {
		t.Helper()
		got := m.reportBodies(report.ID)
		if !slices.Equal(got, want) {
			t.Errorf("%s: node %s gives another report: %d of %d forms", when, m.id, len(got), len(want))
		}
	}
	listed := func(m *member, when string, silent ...string) {
		t.Helper()
		ids, unanswered := m.reportsThere()
		if !slices.Equal(ids, []string{report.ID + " by " + ran.id}) {
			t.Errorf("%s: node %s lists %v", when, m.id, ids)
		}
		var nodes []string
		for _, n := range unanswered {
			if nodes = append(nodes, n.Node); n.Error == "" {
				t.Errorf("%s: node %s does not say why %s was silent", when, m.id, n.Node)
			}
		}
		if !slices.Equal(nodes, silent) {
			t.Errorf("%s: node %s could not ask %v, want %v", when, m.id, nodes, silent)
		}
	}
	same(other, "at once")
	listed(other, "at once", away.id)
	if a := other.ops("GET", reconciliationsPath+"/20000101T000000.000Z-0123456789ab", ""); a.Status != 404 || !strings.Contains(a.Body, "not all nodes could be asked: b1 (") {
		t.Errorf("a report that nobody has: %d %s", a.Status, a.Body)
	}
	f.eventually(func() bool { return other.hasCopy(report.ID) }, "the report is not copied to the other node")
	same(other, "copied")

	ran.kill()
	if err := os.RemoveAll(ran.dir); err != nil {
		t.Fatal(err)
	}
	same(other, "the node that ran it is lost")
	listed(other, "the node that ran it is lost", ran.id, away.id)
	away.relaunch()
	f.eventually(func() bool { return away.hasCopy(report.ID) }, "the report does not reach the node that was down")
	other.kill()
	same(away, "alone with a copy")
	listed(away, "alone with a copy", ran.id, other.id)
}

// heldReports are other nodes that answer from memory, with faults.
type heldReports struct {
	nodes map[string]*reports
	fault func(node string, q rpc.ReportsRequest, p *rpc.ReportsPage) error
	asked int // for pieces
}

func (h *heldReports) Others() (ids []string) {
	for id := range h.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (h *heldReports) AskReports(_ context.Context, node string, q rpc.ReportsRequest, _ time.Duration) (rpc.ReportsPage, error) {
	p, err := h.nodes[node].Reports(q)
	if q.ID != "" {
		h.asked++
	}
	if err == nil && h.fault != nil {
		err = h.fault(node, q, &p)
	}
	return p, err
}

// copying is a reconciler that copies when it is told to.
func copying(t *testing.T, others otherReports) *reconciler {
	t.Helper()
	cfg := testConfig(t)
	r, err := newReconciler(cfg, nil, func() bool { return true }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.others, r.uncopied = others, map[string]*uncopiedReport{}
	return r
}

// reportElsewhere keeps a report of n findings in a directory of its own.
func reportElsewhere(t *testing.T, id string, n int) *reports {
	t.Helper()
	s := &reports{dir: t.TempDir()}
	w, err := s.begin(id)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.finding(&reconcile.Finding{Line: int64(i), Kind: reconcile.UnknownOrder, Open: true, Says: strings.Repeat("x", 200)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.keep(&reconcile.Report{Version: reconcile.ReportVersion, ID: id, Node: "a2"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// filesOf reads a report's two files.
func filesOf(t *testing.T, s *reports, id string) (files [2][]byte) {
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
	here := func(r *reconciler) bool {
		list, err := r.reports.list()
		if err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(r.reports.dir, "*"+partSuffix))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		return len(list) > 0
	}
	for name, c := range map[string]struct {
		fault func(h *heldReports) func(node string, q rpc.ReportsRequest, p *rpc.ReportsPage) error
		comes bool
	}{
		"as it is": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error { return nil }, true},
		"a piece lost on the way": {func(h *heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, q rpc.ReportsRequest, _ *rpc.ReportsPage) error {
				if q.ID != "" && h.asked == 2 {
					return engine.ErrOutcomeUnknown
				}
				return nil
			}
		}, true},
		"one node that gives it up": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(node string, q rpc.ReportsRequest, p *rpc.ReportsPage) error {
				if node == "a2" && q.From > 0 {
					p.Piece = nil
				}
				return nil
			}
		}, true},
		"findings that were changed": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, q rpc.ReportsRequest, p *rpc.ReportsPage) error {
				if q.Findings {
					p.Piece = bytes.ReplaceAll(p.Piece, []byte("order_unknown"), []byte("order_unknowm"))
				}
				return nil
			}
		}, false},
		"another report": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, q rpc.ReportsRequest, p *rpc.ReportsPage) error {
				if q.ID != "" && !q.Findings {
					p.Piece = bytes.ReplaceAll(p.Piece, []byte("0123456789ab"), []byte("ffffffffffff"))
				}
				return nil
			}
		}, false},
		"more than there was": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, q rpc.ReportsRequest, p *rpc.ReportsPage) error {
				p.Piece = append(p.Piece, 'x')
				return nil
			}
		}, false},
		"a newer format": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, q rpc.ReportsRequest, p *rpc.ReportsPage) error {
				p.Piece = bytes.Replace(p.Piece, []byte(`"version":2`), []byte(`"version":9`), 1)
				return nil
			}
		}, false},
		"older builds": {func(*heldReports) func(string, rpc.ReportsRequest, *rpc.ReportsPage) error {
			return func(_ string, _ rpc.ReportsRequest, p *rpc.ReportsPage) error {
				*p = rpc.ReportsPage{}
				return rpc.ErrOlderBuild
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heldReports{nodes: map[string]*reports{"a2": good, "b1": good}}
			h.fault = c.fault(h)
			r := copying(t, h)
			if name == "as it is" { // it is read where it is, before it is copied
				want := filesOf(t, good, heldID)[1]
				_, findings, err := r.Report(t.Context(), heldID)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(findings); err != nil || !bytes.Equal(got, want) || len(want) <= rpc.MaxPieceBytes || here(r) {
					t.Errorf("%d bytes of findings, want %d: %v", len(got), len(want), err)
				}
			}
			r.copyLacking()
			if got := here(r); got != c.comes {
				t.Fatalf("copied: %t, want %t", got, c.comes)
			}
			if !c.comes {
				before := h.asked
				if r.copyLacking(); h.asked > before {
					t.Error("it is tried again at once")
				}
				return
			}
			if got, want := filesOf(t, &r.reports, heldID), filesOf(t, good, heldID); !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
				t.Error("the copy differs")
			}
			before := h.asked
			if r.copyLacking(); h.asked > before {
				t.Error("it is copied once more")
			}
		})
	}
}

// TestCopiesAreBounded: what would be dropped at once is not copied, and what is
// damaged here comes anew.
func TestCopiesAreBounded(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("20260922T0430%02d.%03dZ-0123456789ab", i/1000, i%1000) }
	h := &heldReports{nodes: map[string]*reports{"a2": reportElsewhere(t, heldID, 1)}}
	r := copying(t, h)
	if err := r.reports.prepare(); err != nil {
		t.Fatal(err)
	}
	put := func(file, text string) {
		if err := os.WriteFile(filepath.Join(r.reports.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range mostReports {
		put(name(i)+reportSuffix, fmt.Sprintf(`{"version":1,"id":%q}`, name(i)))
		put(name(i)+findingsSuffix, "")
	}
	if r.copyLacking(); h.asked != 0 {
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
	if err := damaged.reports.prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged.reports.path(heldID, reportSuffix), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, findings, err := damaged.Report(t.Context(), heldID); err != nil || report.Node != "a2" {
		t.Errorf("damaged here: %+v, %v", report, err)
	} else {
		findings.Close()
	}
	damaged.copyLacking()
	if got, want := filesOf(t, &damaged.reports, heldID), filesOf(t, h.nodes["a2"], heldID); !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
		t.Error("the damaged report did not come anew")
	}
	h.fault = func(string, rpc.ReportsRequest, *rpc.ReportsPage) error { return errors.New("not now") }
	var unsure *httpapi.NoReportError
	if _, _, err := damaged.Report(t.Context(), name(0)); !errors.As(err, &unsure) || !errors.Is(err, httpapi.ErrNoReport) || unsure.Silent[0] != (httpapi.SilentNode{Node: "a2", Error: "not now"}) {
		t.Errorf("a node that can't be asked: %v", err)
	}
}
