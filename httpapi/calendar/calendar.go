// Package calendar finds the moments at which the clocks of a zone show a time of day.
// They may show one twice, or never: where they are put forward at midnight (Santiago,
// Havana), that day begins at one.
package calendar

import (
	"errors"
	"strings"
	"time"
)

// areas are those of the IANA time zones that are named Area/City. Other names are
// older, or mean another thing than they say: EST knows no summer, and Etc/GMT+8 is
// eight hours behind.
const areas = " Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific "

// Zone gives the IANA time zone of a name such as Asia/Shanghai, or UTC. Its data are
// those of the machine, or else the ones built in. Error: what a name is to be.
func Zone(name string) (*time.Location, error) {
	area, _, found := strings.Cut(name, "/")
	if name == "UTC" || found && strings.Contains(areas, " "+area+" ") {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return nil, errors.New("is not an IANA time zone of an area and a city, such as Asia/Shanghai, or UTC")
}

// FirstInstant gives when clocks in zone first show what local shows in UTC. If
// they never do, because they were put forward past it, it is the moment they
// were.
func FirstInstant(local time.Time, zone *time.Location) time.Time {
	// No zone is, or was, a day off UTC: a day before, the clocks have yet to show it.
	t := local.Add(-24 * time.Hour).In(zone)
	for {
		begin, end := t.ZoneBounds()
		_, offset := t.Zone()
		// When they would show it, did this offset hold for ever.
		shown := local.Add(-time.Duration(offset) * time.Second).In(zone)
		if end.IsZero() || shown.Before(end) {
			if !begin.IsZero() && shown.Before(begin) {
				return begin
			}
			return shown
		}
		t = end
	}
}

// Midnight gives the first instant of a day in zone.
func Midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	return FirstInstant(time.Date(year, month, day, 0, 0, 0, 0, time.UTC), zone)
}

// Day gives the first instants of the day of at in its zone, and of the next one.
func Day(at time.Time) (from, to time.Time) {
	year, month, day := at.Date()
	return Midnight(year, month, day, at.Location()), Midnight(year, month, day+1, at.Location())
}
