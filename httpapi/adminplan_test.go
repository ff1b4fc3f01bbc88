package httpapi

import (
	"testing"

	"doorbuster/engine"
)

// TestExportedPlan: it is a file, and says what would come of applying it.
func TestExportedPlan(t *testing.T) {
	const file = "products:\n  - id: mask-50\n    currency: CNY\nsales:\n  - id: fans-day\n"
	const head = "# The plan as of 2026-09-20T02:00:00Z.\n"
	for name, c := range map[string]struct {
		f     fakeOperator
		query string
		says  string
	}{
		"as it is": {query: "?over=true", says: head + file},
		"would change": {f: fakeOperator{changes: []engine.Change{{Path: "sales[a]", After: "n\new"}}},
			query: "?sale=fans-day", says: head + `# Applying it would change sales[a] from "" to "n\new".` + "\n" + file},
		"can't be": {f: fakeOperator{problems: []engine.Problem{{Path: "sales[a]", Message: "is\nbad"}}},
			says: head + "# It can't be applied as it is: sales[a]: is bad\n" + file},
	} {
		w := askAdmin(newTestAdmin(t, &c.f), "GET", "/admin/v1/plan"+c.query, "")
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/yaml" || w.Body.String() != c.says {
			t.Errorf("%s: %d %v\n%s", name, w.Code, w.Header(), w.Body)
		}
		if c.f.plan != nil && !c.f.dryRun {
			t.Errorf("%s: it was applied", name)
		}
	}
	s := newTestAdmin(t, &fakeOperator{})
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/plan?sale=none", ""), 404, "not-found")
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/plan?all_products=true", ""), 409, "conflict")
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/plan?over=perhaps", ""), 400, "malformed")
	w := askAdmin(newTestAdmin(t, &fakeOperator{err: engine.ErrNotLeader}), "GET", "/admin/v1/plan", "")
	if w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
