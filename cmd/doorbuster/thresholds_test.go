package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestThresholds: what is too much of a minute is an alarm, and over once it is not; little
// is none.
func TestThresholds(t *testing.T) {
	now := time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	var bad, all uint64
	var waiting, paid int64
	h := &thresholds{cfg: ThresholdsConfig{FaultPercent: 1, Fsync: 100 * time.Millisecond, Silence: 10 * time.Minute},
		felt: func() (uint64, uint64) { return bad, all }, fsyncs: &fsyncs{slow: 100 * time.Millisecond},
		leads: func() bool { return true }, owed: func() (int64, int64) { return waiting, paid }}
	names := func(seconds int, each func()) (names []string) {
		for range seconds {
			each()
			now = now.Add(time.Second)
			names = nil
			for _, a := range h.alarms(now) {
				names = append(names, string(a.Name))
			}
		}
		return names
	}
	is := func(want string, seconds int, each func()) {
		t.Helper()
		if got := strings.Join(names(seconds, each), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	is("", 120, func() { all += 1000; bad += 9 })
	is("faults_felt", 60, func() { all += 1000; bad += 12 })
	is("", 70, func() { all += 1000 })
	is("", 10, func() { all += 3 })
	bad += 4
	is("", 10, func() {}) // four by accident
	is("disk_slow", 10, func() { h.fsyncs.observe(time.Millisecond); h.fsyncs.observe(200 * time.Millisecond) })
	is("", 70, func() { h.fsyncs.observe(time.Millisecond) })
	waiting = 19
	is("", 1200, func() {})
	waiting = 20
	is("", 590, func() {})
	is("callbacks_silent", 12, func() {})
	paid++
	is("", 2, func() {})
}

// TestCashierWhoIsSilentIsAnAlarm, until an order is paid for.
func TestCashierWhoIsSilentIsAnAlarm(t *testing.T) {
	s := openShop(t, t.TempDir(), "--warnings-callbacks-silent", "1s")
	s.Apply(nodetest.DayPlan("", 100))
	for i := range 19 {
		s.MustGrant(fmt.Sprint("shopper-", i), "", "day/sku-1")
	}
	o, p := s.MustGrant("ann", "", "day/sku-1"), s.MustGrant("bob", "", "day/sku-1")
	s.Raised("callbacks_silent")
	s.Pay(o, "p-1")
	s.Pay(p, "p-2")
	s.Healed("callbacks_silent")
}
