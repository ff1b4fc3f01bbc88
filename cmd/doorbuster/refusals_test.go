package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/wire"
)

// refusalsSay runs "doorbuster refusals" with args.
func refusalsSay(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"refusals"}, args...), strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), status
}

func TestRefusalsCommand(t *testing.T) {
	told := wire.Refusals{Shopper: "ann", Refusals: []wire.Refused{
		{Node: "b1", Session: "day", SKU: "lamp", Code: "missed", Reason: "quota", First: "2026-09-20T02:00:01Z",
			Last: "2026-09-20T02:00:09Z", Count: 65535},
		{Node: "a1", Session: "day", SKU: "mask-50", Code: "limit_reached", Reason: "limit_session",
			First: "2026-09-20T02:00:03Z", Last: "2026-09-20T02:00:03Z", Count: 1},
	}, Nodes: []wire.NodeJournal{
		{Node: "a1", Answered: true, Noting: true, Since: "2026-09-20T01:00:00Z", Entries: 2, Capacity: 8, Lost: 3},
		{Node: "a2", Error: "no answer within 1s\x1b"}, {Node: "b1", Answered: true}, {Node: "b2", Answered: true,
			Since: "2026-09-20T01:00:00Z", Capacity: 8},
	}, Note: "There may have been more."}
	node := newClusterNode(t, map[string]string{"GET /admin/v1/refusals": encoded(t, told)})
	out, errs, status := refusalsSay(t, "--shopper", "ann", "--session", "day", "--admin", node.URL)
	const want = `LAST                  FIRST                 TIMES   SESSION  SKU      TOLD           REASON         NODE
2026-09-20T02:00:09Z  2026-09-20T02:00:01Z  65535+  day      lamp     missed         quota          b1
2026-09-20T02:00:03Z  2026-09-20T02:00:03Z  1       day      mask-50  limit_reached  limit_session  a1

NODE  SINCE                 ENTRIES  LOST  NOTES
a1    2026-09-20T01:00:00Z  2 of 8   3     -
a2    -                     -        -     "no answer: no answer within 1s\x1b"
b1    -                     -        -     no journal
b2    2026-09-20T01:00:00Z  0 of 8   0     turned off

There may have been more.
`
	if status != 0 || out != want {
		t.Errorf("status %d, %s\n got:\n%s\nwant:\n%s", status, errs, out, want)
	}
	for _, as := range [][]string{{"--json"}, {"--output", "json"}} {
		out, errs, status = refusalsSay(t, append([]string{"--shopper", "ann", "--admin", node.URL}, as...)...)
		var back wire.Refusals
		if err := json.Unmarshal([]byte(out), &back); status != 0 || err != nil || encoded(t, back) != encoded(t,
			told) {
			t.Errorf("%v: status %d, %s, %v:\n%s", as, status, errs, err, out)
		}
	}
	for _, args := range [][]string{{"--admin", node.URL}, {"--shopper", "a b", "--admin", node.URL},
		{"--shopper", "ann"}, {"--shopper", "ann", "--session", "a b", "--admin", node.URL}} {
		if _, errs, status := refusalsSay(t, args...); status != 2 || errs == "" {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
}

// TestRefusalsOfALoneNode: noted, told, bounded, and forgotten with the process.
func TestRefusalsOfALoneNode(t *testing.T) {
	s := openShop(t, t.TempDir(), "--journal-entries", "4")
	s.Apply(nodetest.DayPlan("", 1))
	s.MustGrant("ann", "k", "day/sku-1")
	s.MustRefuse("limit_reached", "ann", "other", "day/sku-1")
	told := s.Refusals("ann")
	if got := strings.Join(nodetest.Reasons(told), "; "); got != "n1 day/sku-1 limit_listing" &&
		got != "n1 day/sku-1 limit_session" || !told.Complete || told.Refusals[0].Code != "limit_reached" {
		t.Errorf("%+v", told)
	}
	for _, shopper := range []string{"bob", "cid", "dan", "eve"} { // one more than there is room for
		s.MustRefuse("sold_out", shopper, "", "day/sku-1")
	}
	told = s.Refusals("eve")
	if len(told.Refusals) != 1 || told.Complete || len(told.Nodes) != 1 || told.Nodes[0].Lost != 1 ||
		told.Nodes[0].Entries != 4 || !strings.Contains(told.Note, "there may have been more") {
		t.Errorf("%+v", told)
	}
	if entries, lost := s.Metric("doorbuster_journal_entries"),
		s.Metric("doorbuster_journal_lost_total"); entries != "4" || lost != "1" {
		t.Errorf("metrics say %s entries, %s lost", entries, lost)
	}
	out, errs, status := refusalsSay(t, "--shopper", "eve", "--admin", s.Admin)
	if status != 0 || !strings.Contains(out, "sold_out") || !strings.Contains(out, "there may have been more") {
		t.Errorf("status %d, %s:\n%s", status, errs, out)
	}
	s.Stop()
	s = s.Reopen("--journal-entries", "0")
	if told := s.Refusals("eve"); len(told.Refusals) != 0 || told.Complete || told.Nodes[0].Since != "" {
		t.Errorf("without a journal: %+v", told)
	}
}
