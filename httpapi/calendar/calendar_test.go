package calendar_test

import (
	"testing"
	"time"

	"doorbuster/httpapi/calendar"
)

// A day begins when its clocks first show it, also where no clock shows its midnight,
// and each ends where the next begins.
func TestDaysBeginOnce(t *testing.T) {
	for _, c := range []struct{ zone, noon, from, to string }{
		{"UTC", "2026-09-20T12:00:00Z", "2026-09-20T00:00:00Z", "2026-09-21T00:00:00Z"},
		{"Asia/Shanghai", "2026-09-20T04:00:00Z", "2026-09-19T16:00:00Z", "2026-09-20T16:00:00Z"},
		// 23 hours, from one o'clock
		{"America/Santiago", "2026-09-06T15:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"},
		{"America/Santiago", "2026-09-05T15:00:00Z", "2026-09-05T04:00:00Z", "2026-09-06T04:00:00Z"},
		{"America/Havana", "2026-03-08T16:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},
		// midnight twice: the first
		{"America/Havana", "2026-11-01T16:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		noon, _ := time.Parse(time.RFC3339, c.noon)
		from, to := calendar.Day(noon.In(zone))
		if got := from.UTC().Format(time.RFC3339) + " " + to.UTC().Format(time.RFC3339); got != c.from+" "+c.to {
			t.Errorf("%s, %s: %s; want %s %s", c.zone, c.noon, got, c.from, c.to)
		}
	}
}
