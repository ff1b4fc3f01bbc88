package httpapi

import (
	"strings"
	"testing"

	"doorbuster/engine"
)

// TestWhatIsAskedIsKnown: a misspelt filter does not give everything, and nothing
// is settled by who misspelt dry_run.
func TestWhatIsAskedIsKnown(t *testing.T) {
	for path, says := range map[string]string{
		"/admin/v1/orders?payment=p-1":             `There is no parameter \"payment\" here. Take some of order_no, shopper,`,
		"/admin/v1/orders?shopper=ann&shopper=bob": "shopper is there more than once",
		"/admin/v1/orders?shopper=%zz":             "no query: it has a % without two hexadecimal digits",
		"/admin/v1/orders?shopper=a;state=held":    "no query: parameters are set apart by &",
		"/admin/v1/refunds?session=day":            "Take some of cursor, limit.",
		"/admin/v1/refusals?shoper=ann":            "Take some of shopper, session.",
		"/admin/v1/audit?cursor=1":                 "Take some of order, session, operator, from, limit.",
		"/admin/v1/events?from=1&from=2":           "from is there more than once",
		"/admin/v1/reconciliations?limit=1":        "Nothing can be asked for here",
		"POST /admin/v1/reconciliations?dryrun=true": "Take some of name, note, dry_run, from, to, format, map, " +
			"ignore_kind, order_prefix.",
	} {
		method, headers := "GET", []string(nil)
		if at, post := strings.CutPrefix(path, "POST "); post {
			method, path, headers = "POST", at, []string{"Content-Type", "text/csv"}
		}
		f := &fakeOperator{}
		w := askAdmin(newTestAdmin(t, f), method, path, "", headers...)
		wantAdminProblem(t, w, 400, "malformed")
		if !strings.Contains(w.Body.String(), says) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

// TestForeignCursor: a cursor that nobody gave out is the asker's slip, and no
// matter of the state.
func TestForeignCursor(t *testing.T) {
	f := &fakeOperator{err: &engine.Refusal{Reason: engine.ReasonConflict}}
	if w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/admin/v1/orders?session=day&cursor=",
		""); w.Code == 400 {
		t.Errorf("the first page of a loop: %d %s", w.Code, w.Body)
	}
	w := askAdmin(newTestAdmin(t, f), "GET", "/admin/v1/orders?cursor=zzz", "")
	wantAdminProblem(t, w, 400, "malformed")
	if !strings.Contains(w.Body.String(), "cursor is none that was given out") {
		t.Error(w.Body)
	}
}
