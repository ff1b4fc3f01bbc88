package ledger

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
	"doorbuster/httpapi/reconcile/archive"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/reconcile"
)

// reportForms are all that can be downloaded of a report.
var reportForms = []string{"", "?open=true", "?format=csv", "?format=csv&part=totals", "?format=csv&part=days",
	"?format=csv&part=sessions", "?format=csv&part=listings"}

// reportsPath is where reports are asked for.
const reportsPath = "/admin/v1/reconciliations"

// reportBodies downloads all forms of a report; nil if one can't be had.
func reportBodies(m *nodetest.Member, id string) (bodies []string) {
	for _, form := range reportForms {
		a, err := m.Request("GET", "http://"+m.Admin+reportsPath+"/"+id+form, "")
		if err != nil || a.Status != 200 {
			return nil
		}
		bodies = append(bodies, a.Body)
	}
	return bodies
}

// reportsThere lists what a node says that there is.
func reportsThere(m *nodetest.Member) (ids []string, silent []archive.SilentNode) {
	m.T.Helper()
	var list struct {
		Reconciliations []reconcile.Report
		Unanswered      []archive.SilentNode
	}
	if a := m.Ops("GET", reportsPath, ""); json.Unmarshal([]byte(a.Body), &list) != nil {
		m.T.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, r := range list.Reconciliations {
		ids = append(ids, r.ID+" by "+r.Node)
	}
	return ids, list.Unanswered
}

// hasCopy reports whether a report's files are in the node's directory, whole.
func hasCopy(m *nodetest.Member, id string) bool {
	_, err := os.Stat(filepath.Join(m.Dir, archive.Folder, id+".json"))
	return err == nil
}

// TestReportsOnEveryNode: a report is found on every node at once, and stays when
// the node that ran it is lost; a node that was down gets it when it is back, also
// from those that have only a copy.
func TestReportsOnEveryNode(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 10))
	ran, other, away := f.Node("a1"), f.Node("a2"), f.Node("b1")
	away.Kill()
	f.Leader()
	numbers := []string{nodetest.OrderOfShopper(t, ran.Shop, "ann"), nodetest.OrderOfShopper(t, ran.Shop, "bob")}
	now := time.Now()
	text := nodetest.StatementHeader + nodetest.StatementRow("p-lost", numbers[0], 100, "payment", now) +
		nodetest.StatementRow("p-differs", numbers[1], 99, "payment", now)
	for i := range 9_000 { // findings of several pieces
		text += nodetest.StatementRow(fmt.Sprint("p-unknown-", i), "000000000000000000000000", 5, "payment", now)
	}
	_, report, errs := nodetest.ReconcileHere(t, ran.Shop, text)
	if report == nil || report.Node != ran.ID || report.Open != 9_001 || report.Booked != 1 {
		t.Fatalf("%+v %s", report, errs)
	}
	want := reportBodies(ran, report.ID)
	if info, err := os.Stat(filepath.Join(ran.Dir, archive.Folder, report.ID+".findings.ndjson")); err != nil ||
		info.Size() <= 2*engine.MaxReportPieceBytes {
		t.Fatalf("the findings are no more than two pieces: %v, %v", info, err)
	}
	same := func(m *nodetest.Member, when string) {
		t.Helper()
		got := reportBodies(m, report.ID)
		if !slices.Equal(got, want) {
			t.Errorf("%s: node %s gives another report: %d of %d forms", when, m.ID, len(got), len(want))
		}
	}
	listed := func(m *nodetest.Member, when string, silent ...string) {
		t.Helper()
		ids, unanswered := reportsThere(m)
		if !slices.Equal(ids, []string{report.ID + " by " + ran.ID}) {
			t.Errorf("%s: node %s lists %v", when, m.ID, ids)
		}
		var nodes []string
		for _, n := range unanswered {
			if nodes = append(nodes, n.Node); n.Error == "" {
				t.Errorf("%s: node %s does not say why %s was silent", when, m.ID, n.Node)
			}
		}
		if !slices.Equal(nodes, silent) {
			t.Errorf("%s: node %s could not ask %v, want %v", when, m.ID, nodes, silent)
		}
	}
	same(other, "at once")
	listed(other, "at once", away.ID)
	if a := other.Ops("GET", reportsPath+"/20000101T000000.000Z-0123456789ab", ""); a.Status != 404 ||
		!strings.Contains(a.Body, "not all nodes could be asked: b1 (") {
		t.Errorf("a report that nobody has: %d %s", a.Status, a.Body)
	}
	f.Eventually(func() bool { return hasCopy(other, report.ID) }, "the report is not copied to the other node")
	same(other, "copied")

	ran.Kill()
	if err := os.RemoveAll(ran.Dir); err != nil {
		t.Fatal(err)
	}
	same(other, "the node that ran it is lost")
	listed(other, "the node that ran it is lost", ran.ID, away.ID)
	findings := filepath.Join(other.Dir, archive.Folder, report.ID+".findings.ndjson")
	if err := os.Rename(findings, findings+".aside"); err != nil {
		t.Fatal(err)
	}
	away.Relaunch()
	away.Raised("reports_not_copied")
	if err := os.Rename(findings+".aside", findings); err != nil {
		t.Fatal(err)
	}
	away.Healed("reports_not_copied")
	f.Eventually(func() bool { return hasCopy(away, report.ID) }, "the report does not reach the node that was down")
	other.Kill()
	same(away, "alone with a copy")
	listed(away, "alone with a copy", ran.ID, other.ID)
}
