package actors

import (
	"testing"
	"time"

	"doorbuster/engine"
)

// TestSettlingWaitsLonger for a session that something is in the way of, and not for
// others; a minute at most.
func TestSettlingWaitsLonger(t *testing.T) {
	s := openNewest(t, nil)
	s.SetLedger(lostLedger{})
	for _, id := range []string{"stuck", "free"} {
		s.plan(id, nil, units("mask", 2))
	}
	no := s.grab("stuck/skus/mask", "ann", "k").No.String()
	if _, err := s.Pay(t.Context(), engine.Payment{OrderNo: no, ID: "p", Amount: 100, Currency: "CNY"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Void(t.Context(), engine.By{Operator: "ops"}, no, ""); err != nil { // its money is to go back
		t.Fatal(err)
	}
	for _, id := range []string{"stuck", "free"} {
		if _, err := s.Steer(t.Context(), engine.By{Operator: "ops"}, id, engine.SessionEnd, ""); err != nil {
			t.Fatal(err)
		}
	}
	state := func(id string) (is engine.SessionState) {
		s.view.View(func(st *engine.State) { is = st.Session(id).State })
		return is
	}
	now := s.Now()
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		s.settleDue(t.Context(), now, 0)
		v := s.settling.inVain["stuck"]
		if v.wait != want*time.Second || v.until != now.Add(v.wait) {
			t.Fatalf("after a try at %d it waits %s, until %d; want %d s", now, v.wait, v.until, want)
		}
		if state("free") != engine.Settled {
			t.Fatal("the other session has not been settled")
		}
		s.settleDue(t.Context(), v.until-1, 0)
		if s.settling.inVain["stuck"] != v {
			t.Fatalf("tried within %s", v.wait)
		}
		now = v.until
	}
	if _, left := s.settling.inVain["free"]; left {
		t.Error("what is settled is remembered")
	}
	if err := s.ConfirmRefund(t.Context(), 1, "ref"); err != nil {
		t.Fatal(err)
	}
	if s.settleDue(t.Context(), now, 0); state("stuck") != engine.Settled {
		t.Errorf("nothing is in the way, and it is %v", state("stuck"))
	}
}
