package plan

import (
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
)

// The table of a sale's months begins before any session that may still sell, and
// reaches beyond the last one for as long as its orders may come back.
const (
	monthsBefore = 2  // now
	monthsAfter  = 13 // the latest end
)

// months gives the first moments of the months that the limits of a sale count in,
// by the clocks of its zone; none where it has no such limit. No session is longer
// than a month, so that whichever is not over lies within.
func (r *reader) months(n *node, sale *engine.SalePlan, zone *time.Location) []engine.Time {
	limited, latest := false, r.opts.Now
	for i := range sale.Sessions {
		x := &sale.Sessions[i]
		if end := x.End.Wall(); end.After(latest) {
			latest = end
		}
		for j := range x.Listings {
			limited = limited || x.Listings[j].LimitPerMonth > 0
		}
	}
	if !limited {
		return nil
	}
	first, last := monthOf(r.opts.Now, zone)-monthsBefore, monthOf(latest, zone)+monthsAfter
	if count := last - first + 1; count > engine.MaxMonths {
		r.problem(n.get("sessions"), "its last session ends in %s; a limit a month then needs a table of %d months, "+
			"which are over %d: end it earlier, or plan it later",
			latest.In(zone).Format("2006-01"), count, engine.MaxMonths)
		return nil
	}
	months := make([]engine.Time, 0, last-first+1)
	for m := first; m <= last; m++ {
		if at := engine.TimeOf(calendar.Midnight(0, time.Month(m+1), 1, zone)); at >= 0 {
			months = append(months, at)
		}
	}
	return months
}

// monthOf counts months from January of the year 0.
func monthOf(t time.Time, zone *time.Location) int {
	year, month, _ := t.In(zone).Date()
	return 12*year + int(month) - 1
}
