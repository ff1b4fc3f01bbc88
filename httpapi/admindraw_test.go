package httpapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/draw"
	"doorbuster/httpapi/wire"
)

const drawPath = "/admin/v1/sessions/day/skus/mask/draw"

func aDraw(revealed bool) *engine.DrawView {
	seed := [32]byte{1, 2, 3}
	v := &engine.DrawView{State: engine.DrawDone, DrawAt: fakeNow, Stock: 5, Commitment: engine.Commitment(seed),
		Revealed: revealed}
	if revealed {
		v.Seed = seed
		for _, no := range []string{"A", "B", "C", "D", "E"} {
			v.Entries = append(v.Entries, engine.DrawEntry{OrderNo: no, State: engine.Held, Quantity: 1})
		}
		v.Entries[1].State, v.Entries[1].Why = engine.Passed, engine.ReasonRisk
	}
	return v
}

func TestDrawIsShownAndExported(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{drawn: aDraw(true)})
	w := askAdmin(s, "GET", drawPath+"?limit=2", "")
	var page wire.OpsDraw
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Entries) != 2 || page.Cursor != "2" ||
		page.Entries[1].Why != "risk" || page.Seed == "" || page.State != "done" {
		t.Errorf("%v: %s", err, w.Body)
	}
	w = askAdmin(s, "GET", drawPath+"?format=ndjson", "")
	d, err := draw.Read(strings.NewReader(w.Body.String()))
	if err != nil || len(d.Entries) != 5 || d.Session != "day" || d.SKU != "mask" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if r := draw.Verify(d, ""); !r.Holds() {
		t.Errorf("%q", r.Problems)
	}
}

func TestDrawThatIsNotToBeTold(t *testing.T) {
	w := askAdmin(newTestAdmin(t, &fakeOperator{drawn: aDraw(false)}), "GET", drawPath, "")
	if w.Code != 200 || strings.Contains(w.Body.String(), `"seed"`) || !strings.Contains(w.Body.String(),
		`"commitment":"`) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{drawn: aDraw(false)}), "GET", drawPath+"?format=ndjson",
		""), 409, "conflict")
	wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", drawPath, ""), 404, "not-found")
	wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{err: errors.New("a fault")}), "GET", drawPath, ""), 500,
		"internal")
	for _, query := range []string{"?cursor=x", "?limit=0", "?format=csv"} {
		wantAdminProblem(t, askAdmin(newTestAdmin(t, &fakeOperator{drawn: aDraw(true)}), "GET", drawPath+query, ""),
			400, "malformed")
	}
}

func TestWaitlistIsShown(t *testing.T) {
	o := heldOrder()
	o.State, o.Position, o.PayBy = engine.Waiting, 3, 0
	f := &fakeOperator{found: []engine.OrderView{o}}
	w := askAdmin(newTestAdmin(t, f), "GET", "/admin/v1/sessions/day/skus/mask/waitlist", "")
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `"state":"waiting"`) ||
		!strings.Contains(body, `"position":3`) || strings.Contains(body, "pay_by") ||
		!strings.Contains(body, `"cursor":"9"`) {
		t.Errorf("status %d: %s", w.Code, body)
	}
	wantAdminProblem(t, askAdmin(newTestAdmin(t, f), "GET", "/admin/v1/sessions/day/skus/mask/waitlist?cursor=x", ""),
		400, "malformed")
	for _, state := range []engine.OrderState{engine.Waiting, engine.Entered, engine.Left, engine.Passed} {
		if w := askAdmin(newTestAdmin(t, f), "GET", "/admin/v1/orders?state="+state.String(), ""); w.Code != 200 ||
			f.filter.State != state {
			t.Errorf("%s: status %d, %+v", state, w.Code, f.filter)
		}
	}
}
