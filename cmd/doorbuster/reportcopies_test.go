package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
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
func (m *member) reportsThere() (ids []string, silent []archive.SilentNode) {
	m.t.Helper()
	var list struct {
		Reconciliations []reconcile.Report
		Unanswered      []archive.SilentNode
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
	_, err := os.Stat(filepath.Join(m.dir, archive.Folder, id+".json"))
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
	if report == nil || report.Node != ran.id || report.Open != 9_001 || report.Booked != 1 {
		t.Fatalf("%+v %s", report, errs)
	}
	want := ran.reportBodies(report.ID)
	if info, err := os.Stat(filepath.Join(ran.dir, archive.Folder, report.ID+".findings.ndjson")); err != nil || info.Size() <= 2*engine.MaxReportPieceBytes {
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
