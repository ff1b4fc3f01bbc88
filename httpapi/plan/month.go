package plan

import (
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/plan/tree"
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
func (r *reader) months(n *tree.Node, sale *engine.SalePlan, zone *time.Location) []engine.Time {
	if !lists(sale, func(l engine.ListingSpec) bool { return l.LimitPerMonth > 0 }) {
		return nil
	}
	latest := r.latest(sale)
	first, last := monthOf(r.opts.Now, zone)-monthsBefore, monthOf(latest, zone)+monthsAfter
	if count := last - first + 1; count > engine.MaxMonths {
		r.Problem(n.Get("sessions"), "its last session ends in %s; a limit a month then needs a table of %d months, "+
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

// offsets gives the distances from UTC of the zone of a sale in which a play may ask when a
// day began; none where it has no play. They reach as far as a table of months would.
func (r *reader) offsets(sale *engine.SalePlan, zone *time.Location) (offsets []engine.Offset) {
	if !lists(sale, func(l engine.ListingSpec) bool { return l.Play != nil }) {
		return nil
	}
	at, last := r.opts.Now.AddDate(0, -monthsBefore, 0).In(zone), r.latest(sale).AddDate(0, monthsAfter, 0)
	for !at.After(last) {
		from, next := at.ZoneBounds()
		_, seconds := at.Zone()
		offset := engine.Offset{Seconds: int32(seconds)}
		if !from.IsZero() {
			offset.From = max(engine.TimeOf(from), 0)
		}
		offsets = append(offsets, offset)
		if next.IsZero() {
			break
		}
		at = next
	}
	return offsets
}

// lists reports whether a sale has such a listing.
func lists(sale *engine.SalePlan, such func(engine.ListingSpec) bool) bool {
	return slices.ContainsFunc(sale.Sessions, func(x engine.SessionPlan) bool {
		return slices.ContainsFunc(x.Listings, such)
	})
}

// latest is the last end of a sale's sessions, or now.
func (r *reader) latest(sale *engine.SalePlan) time.Time {
	latest := r.opts.Now
	for i := range sale.Sessions {
		if end := sale.Sessions[i].End.Wall(); end.After(latest) {
			latest = end
		}
	}
	return latest
}

// monthOf counts months from January of the year 0.
func monthOf(t time.Time, zone *time.Location) int {
	year, month, _ := t.In(zone).Date()
	return 12*year + int(month) - 1
}
