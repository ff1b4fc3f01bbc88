package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/reconcile"
)

// TestOpenStaysOpen: a statement that covers nothing is a difference, and what is open
// stays open, through clean runs and a restart, until a later statement settles it or
// an operator sets it aside by name, saying why.
func TestOpenStaysOpen(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 10))
	open := func(want string) {
		t.Helper()
		if got := s.Metric("doorbuster_reconciliation_open"); got != want {
			t.Errorf("open: %s, want %s", got, want)
		}
	}
	began := time.Now()
	paid := map[string]string{}
	for _, shopper := range []string{"ann", "bob"} {
		paid[shopper] = nodetest.OrderOfShopper(t, s, shopper)
		if a := s.Do("POST", s.HTTP+"/v1/payments/callback",
			fmt.Sprintf(`{"order_no":%q,"payment_id":"p-%s","amount":100,"currency":"CNY"}`, paid[shopper], shopper),
			"Content-Type", "application/json"); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	now := time.Now()
	status, empty, errs := nodetest.ReconcileHere(t, s, nodetest.StatementHeader)
	if status != 1 || empty == nil || empty.Open != 1 || empty.Counts[0].Kind != reconcile.CoversNothing ||
		strings.Contains(empty.Verdict, "agree") {
		t.Fatalf("a header and no rows: status %d, %+v %s", status, empty, errs)
	}
	open("1")
	day := []string{"--from", began.Format(time.RFC3339), "--to", now.Add(time.Minute).Format(time.RFC3339)}
	status, lacks, errs := nodetest.ReconcileHere(t, s, nodetest.StatementHeader, day...)
	if status != 1 || lacks.Open != 2 || lacks.OpenBefore != 1 || !strings.Contains(lacks.Verdict,
		"no payment of "+began.UTC().Format(time.DateOnly)) {
		t.Fatalf("nothing of a day on which we sold: status %d, %+v %s", status, lacks, errs)
	}
	open("3")
	// A clean run of one of the payments settles what was open of it, and only that.
	status, clean, errs := nodetest.ReconcileHere(t, s, nodetest.StatementHeader+nodetest.StatementRow("p-ann",
		paid["ann"], 100, "payment", now.Add(time.Second)))
	if status != 0 || clean.Open != 0 || len(clean.Closes) != 1 || clean.OpenBefore != 2 {
		t.Fatalf("a clean run: status %d, %+v %s", status, clean, errs)
	}
	open("2")
	s.Stop()
	s = openShop(t, s.Dir)
	open("2")

	bob := ""
	var whole reconcile.Report
	if a := s.Ops("GET", reconciliationsPath+"/"+lacks.ID, ""); json.Unmarshal([]byte(a.Body), &whole) != nil ||
		whole.OpenNow != 1 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for _, f := range whole.Findings {
		if f.Open {
			bob = f.ID
		} else if !strings.Contains(f.Says, "settled, see report "+clean.ID) {
			t.Errorf("%+v", f)
		}
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"without a word":  {[]string{lacks.ID, bob}, "--note"},
		"of no report":    {[]string{"nobody", bob, "--note", "x"}, "No report has this id"},
		"that is none":    {[]string{lacks.ID, "0123", "--note", "x"}, `no difference "0123"`},
		"that is settled": {[]string{lacks.ID, clean.Closes[0], "--note", "x"}, "settled, see report " + clean.ID},
		"nothing":         {[]string{lacks.ID, "--note", "x"}, "name a report and its differences"},
	} {
		if status, _, errs := runTool(t, "", append([]string{"reconcile", "set-aside", "--admin", s.Admin},
			c.args...)...); status == 0 || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, %s", name, status, errs)
		}
	}
	open("2")
	kept := ""
	for range 2 { // an operator who did not hear the answer asks again
		status, out, errs := runTool(t, "", "reconcile", "set-aside", lacks.ID, bob, "--note", "paid in cash",
			"--admin", s.Admin)
		if status != 0 || !strings.Contains(out, "Still open, in all reports: 1.") {
			t.Errorf("status %d, %s%s", status, out, errs)
		}
		open("1")
		all := s.Ops("GET", reconciliationsPath, "").Body
		if kept != "" && all != kept {
			t.Errorf("setting aside twice is kept twice: %s, was %s", all, kept)
		}
		kept = all
	}
	// Found again, it is told, and is not open.
	if status, again, errs := nodetest.ReconcileHere(t, s, nodetest.StatementHeader+nodetest.StatementRow("p-ann",
		paid["ann"], 100, "payment", now.Add(time.Second)), day...); status != 0 || again.Open != 0 ||
		again.Found != 1 || again.Findings[0].ID != bob {
		t.Errorf("status %d, %+v %s", status, again, errs)
	}
	if status, _, errs := runTool(t, "", "reconcile", "set-aside", empty.ID, "all", "--note", "tried out", "--admin",
		s.Admin); status != 0 {
		t.Errorf("status %d %s", status, errs)
	}
	open("0")
	if a := s.Ops("GET", reconciliationsPath, ""); !strings.Contains(a.Body, "paid in cash") ||
		!strings.Contains(a.Body, "Set aside: 1 difference of report "+lacks.ID) {
		t.Errorf("who set aside what, and why, is not kept: %s", a.Body)
	}
	s.Stop()
	s = openShop(t, s.Dir)
	open("0")
}
