package everynode

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/wire"
)

func reportOf(m *nodetest.Member, session string) (r wire.SessionReport) {
	m.T.Helper()
	a := m.Ops("GET", "/admin/v1/sessions/"+session+"/report", "")
	if err := json.Unmarshal([]byte(a.Body), &r); err != nil || a.Status != 200 {
		m.T.Fatalf("%s: %d %s: %v", m.ID, a.Status, a.Body, err)
	}
	return r
}

// TestReportAcrossNodes: a rush on three nodes, the leader killed halfway. Every node's report
// has the books that the counts have, and what the nodes that are left have counted, and says
// so; the one that was killed has it, too, once it is back.
func TestReportAcrossNodes(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("        limit_per_shopper: 2\n        pay_within: 10m\n        pay_grace: 0s\n", 40, 60))
	leader := f.Leader()
	grabs := map[string]int64{} // by the node that has answered
	crowd := func(name string, through []*nodetest.Member) {
		type told struct {
			nodetest.Order
			by *nodetest.Member
		}
		for i, one := range nodetest.Crowd(90, func(i int) told {
			m := through[i%len(through)]
			a, err := m.TryGrab(fmt.Sprint(name, i), "k", fmt.Sprintf("day/sku-%d", i%2+1))
			if err != nil {
				t.Errorf("%s: %v", m.ID, err)
			}
			return told{a.Order, m}
		}) {
			grabs[one.by.ID]++
			if one.OrderNo != "" && i%3 > 0 {
				through[0].Pay(one.Order, "pay-"+one.OrderNo)
			}
		}
	}
	crowd("early-", f.Nodes)
	var before wire.SessionReport
	f.Eventually(func() bool {
		before = reportOf(leader, "day")
		return before.Doors.Counted == 3 && before.Funnel.Grabs == 90
	}, "not all grabs are counted")
	leader.Kill()
	left := f.Others(leader)
	left[0].EventuallyGrants("in-between", "day/sku-2")
	crowd("late-", left)
	left[0].End("day")
	f.Eventually(func() bool {
		for _, m := range left {
			if r := reportOf(m, "day"); r.Stage != "ended" || r.Counted < r.Ended {
				return false
			}
			files, err := filepath.Glob(filepath.Join(m.Dir, report.Folder, "day.*.ended.json"))
			if err != nil || len(files) != 1 {
				return false
			}
		}
		return true
	}, "not all nodes keep the report")
	want := reportOf(left[0], "day")
	asBooks := func(m *nodetest.Member) {
		t.Helper()
		r := reportOf(m, "day")
		for i := range r.Listings {
			l := &r.Listings[i]
			c := m.Counts("day/" + l.SKU)
			b := &l.Books
			if l.Stock != c.Stock || l.Held != c.Held || l.Paid != c.Paid || b.Paid.Units != c.Paid ||
				b.Granted.Units != c.Held+c.Paid+b.Expired.Units+b.Cancelled.Units ||
				c.Available == 0 != (l.SoldOut.Seconds != nil) {
				t.Errorf("%s: %+v, and the counts are %+v", m.ID, l, c)
			}
		}
		r.LogIndex, want.LogIndex = 0, 0
		if got, other := mustJSON(&r), mustJSON(&want); got != other {
			t.Errorf("%s tells\n%s\nand another\n%s", m.ID, got, other)
		}
	}
	for _, m := range left {
		asBooks(m)
	}
	counted := int64(0)
	for _, n := range want.Doors.Nodes {
		if n.Counted != (n.Node != leader.ID) || n.Counted != (n.Error == "") {
			t.Errorf("%+v", n)
		}
		if n.Counted && n.Grabs < grabs[n.Node] {
			t.Errorf("%s has counted %d of %d grabs", n.Node, n.Grabs, grabs[n.Node])
		}
		counted += n.Grabs
	}
	leaders := 0
	for _, x := range want.Incidents {
		if x.What == "leader" && x.Node != leader.ID {
			leaders++
		}
	}
	if want.Doors.Counted != 2 || want.Doors.Of != 3 || want.Funnel.Grabs != counted || leaders == 0 ||
		!strings.Contains(strings.Join(want.Notes, " "), "counted by 2 of 3 nodes") {
		t.Errorf("%+v, %+v, %q", want.Doors, want.Incidents, want.Notes)
	}
	leader.Relaunch()
	f.Eventually(func() bool {
		files, err := filepath.Glob(filepath.Join(leader.Dir, report.Folder, "day.*.ended.json"))
		return err == nil && len(files) == 1
	}, "the report does not come to the node that was away")
	asBooks(leader)
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
