package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
)

func TestDailyFollowsTheClocksOfTheZone(t *testing.T) {
	for _, c := range []struct {
		name, zone, from, until, at string
		want                        []string // local time and offset, UTC
	}{
		{"no daylight saving", "Asia/Shanghai", "2026-03-28", "2026-03-30", "10:00", []string{
			"2026-03-28T10:00:00+08:00 = 02:00Z", "2026-03-29T10:00:00+08:00 = 02:00Z",
			"2026-03-30T10:00:00+08:00 = 02:00Z"}},
		{"UTC has an offset in digits", "UTC", "2026-03-28", "2026-03-28", "10:00:30",
			[]string{"2026-03-28T10:00:30+00:00 = 10:00Z"}},
		{"spring, 23 hours apart", "Europe/Berlin", "2026-03-28", "2026-03-30", "10:00", []string{
			"2026-03-28T10:00:00+01:00 = 09:00Z", "2026-03-29T10:00:00+02:00 = 08:00Z",
			"2026-03-30T10:00:00+02:00 = 08:00Z"}},
		{"autumn, 25 hours apart", "Europe/Berlin", "2026-10-24", "2026-10-26", "10:00", []string{
			"2026-10-24T10:00:00+02:00 = 08:00Z", "2026-10-25T10:00:00+01:00 = 09:00Z",
			"2026-10-26T10:00:00+01:00 = 09:00Z"}},
		{"in the gap: the first instant after it", "Europe/Berlin", "2026-03-28", "2026-03-30", "02:30", []string{
			"2026-03-28T02:30:00+01:00 = 01:30Z", "2026-03-29T03:00:00+02:00 = 01:00Z",
			"2026-03-30T02:30:00+02:00 = 00:30Z"}},
		{"the gap's first moment", "Europe/Berlin", "2026-03-29", "2026-03-29", "02:00",
			[]string{"2026-03-29T03:00:00+02:00 = 01:00Z"}},
		{"just before the gap", "Europe/Berlin", "2026-03-29", "2026-03-29", "01:59:59",
			[]string{"2026-03-29T01:59:59+01:00 = 00:59Z"}},
		{"just after the gap", "Europe/Berlin", "2026-03-29", "2026-03-29", "03:00",
			[]string{"2026-03-29T03:00:00+02:00 = 01:00Z"}},
		{"twice: the first", "Europe/Berlin", "2026-10-25", "2026-10-25", "02:30",
			[]string{"2026-10-25T02:30:00+02:00 = 00:30Z"}},
		{"just after twice", "Europe/Berlin", "2026-10-25", "2026-10-25", "03:00",
			[]string{"2026-10-25T03:00:00+01:00 = 02:00Z"}},
		{"in the gap, west", "America/New_York", "2026-03-07", "2026-03-09", "02:30", []string{
			"2026-03-07T02:30:00-05:00 = 07:30Z", "2026-03-08T03:00:00-04:00 = 07:00Z",
			"2026-03-09T02:30:00-04:00 = 06:30Z"}},
		{"twice, west", "America/New_York", "2026-10-31", "2026-11-02", "01:30", []string{
			"2026-10-31T01:30:00-04:00 = 05:30Z", "2026-11-01T01:30:00-04:00 = 05:30Z",
			"2026-11-02T01:30:00-05:00 = 06:30Z"}},
		{"a gap of half an hour", "Australia/Lord_Howe", "2026-10-03", "2026-10-05", "02:15", []string{
			"2026-10-03T02:15:00+10:30 = 15:45Z", "2026-10-04T02:30:00+11:00 = 15:30Z",
			"2026-10-05T02:15:00+11:00 = 15:15Z"}},
		{"half an hour twice", "Australia/Lord_Howe", "2026-04-04", "2026-04-06", "01:45", []string{
			"2026-04-04T01:45:00+11:00 = 14:45Z", "2026-04-05T01:45:00+11:00 = 14:45Z",
			"2026-04-06T01:45:00+10:30 = 15:15Z"}},
		{"a day that never was", "Pacific/Apia", "2011-12-29", "2011-12-31", "10:00", []string{
			"2011-12-29T10:00:00-10:00 = 20:00Z", "2011-12-31T00:00:00+14:00 = 10:00Z",
			"2011-12-31T10:00:00+14:00 = 20:00Z"}},
		{"the first instant before the gap at midnight", "America/Santiago", "2026-09-06", "2026-09-06", "00:00",
			[]string{"2026-09-06T01:00:00-03:00 = 04:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := fmt.Sprintf("sales:\n- {id: s, timezone: %s, sessions: [{id: x, daily: {from: %s, until: %s, at: "+
				"%q}}]}\n", c.zone, c.from, c.until, c.at)
			result, problems := Parse([]byte(text), Options{Now: time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC)})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			sessions := result.Plan.Sales[0].Sessions
			if len(sessions) != len(c.want) {
				t.Fatalf("%d sessions", len(sessions))
			}
			day, _ := time.Parse(time.DateOnly, c.from)
			for i, s := range sessions {
				if want := "x-" + day.AddDate(0, 0, i).Format("20060102"); s.ID != want {
					t.Errorf("id %s, want %s", s.ID, want)
				}
				if got := s.StartSpec + " = " + s.Start.Wall().Format("15:04Z"); got != c.want[i] {
					t.Errorf("day %d: %s, want %s", i, got, c.want[i])
				}
				if at, err := time.Parse(time.RFC3339, s.StartSpec); err != nil || engine.TimeOf(at) != s.Start {
					t.Errorf("day %d: %s is not %s", i, s.StartSpec, s.Start.Wall())
				}
				if s.Length() != time.Hour {
					t.Errorf("day %d is %s long", i, s.Length())
				}
			}
		})
	}
}

// TestFirstInstantAgainstSearch walks the minutes around each change of the clocks
// and compares with the obvious search.
func TestFirstInstantAgainstSearch(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe",
		"America/Santiago", "Africa/Casablanca", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Pago_Pago"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, zone); ; {
			_, change := at.ZoneBounds()
			if change.IsZero() || change.Year() > 2026 {
				break
			}
			at = change
			_, offset := change.Zone()
			wall := change.Add(time.Duration(offset) * time.Second).UTC()
			for m := -150; m <= 150; m += 5 {
				local := wall.Add(time.Duration(m) * time.Minute)
				want := searchInstant(local, change, zone)
				if got := calendar.FirstInstant(local, zone); !got.Equal(want) {
					t.Fatalf("%s, %s: %s, want %s", name, local, got, want)
				}
			}
		}
	}
}

// searchInstant tries every minute around change; the first that shows local, or
// else the change itself, is it.
func searchInstant(local, change time.Time, zone *time.Location) time.Time {
	for m := -6 * 60; m <= 6*60; m++ {
		at := change.Add(time.Duration(m) * time.Minute).In(zone)
		if at.Format(time.DateTime) == local.Format(time.DateTime) {
			return at
		}
	}
	return change
}

func TestStartsAndEnds(t *testing.T) {
	now := engine.TimeOf(noon())
	for _, c := range []struct {
		session    string
		spec       string
		start, end engine.Time
	}{
		{"start: now", "now", now, now.Add(time.Hour)},
		{`start: "+30s", duration: 90s`, "+30s", now.Add(30 * time.Second), now.Add(2 * time.Minute)},
		{`start: +1h30m`, "+1h30m", now.Add(90 * time.Minute), now.Add(150 * time.Minute)},
		{"start: 2026-09-20T10:00:00+08:00", "2026-09-20T02:00:00Z", now.Add(38 * time.Hour), now.Add(39 * time.Hour)},
		{"start: 2026-09-20t02:00:00.0005z", "2026-09-20T02:00:00Z", now.Add(38 * time.Hour), now.Add(39 * time.Hour)},
		{`start: "2026-09-20 02:00:00Z", end: 2026-09-20T13:00:00+08:00`, "2026-09-20T02:00:00Z",
			now.Add(38 * time.Hour), now.Add(41 * time.Hour)},
	} {
		result := mustParse(t, "sales: [{id: s, sessions: [{id: x, "+c.session+"}]}]")
		s := result.Plan.Sales[0].Sessions[0]
		if s.ID != "x" || s.StartSpec != c.spec || s.Start != c.start || s.End != c.end {
			t.Errorf("%s: %+v", c.session, s.SessionSpec)
		}
	}
}

func TestPastDaysAreLeftOut(t *testing.T) {
	const text = "sales: [{id: s, sessions: [{id: x, daily: {from: 2026-09-16, until: 2026-09-19, at: \"11:30\"}}]}]"
	for _, c := range []struct {
		now  time.Time
		days string
		note string
	}{
		{noon().AddDate(0, 0, -7), "x-20260916 x-20260917 x-20260918 x-20260919", ""},
		{noon(), "x-20260918 x-20260919", "sales[s].sessions[x]: 2 of 4 days are past and left out; what was applied " +
			"of them stays as it is"},
		{noon().Add(30 * time.Minute), "x-20260919", "sales[s].sessions[x]: 3 of 4 days are past and left out; what " +
			"was applied of them stays as it is"},
		{noon().AddDate(0, 0, 7), "", "sales[s].sessions[x]: its last day, 2026-09-19, is past; nothing of it is " +
			"applied"},
	} {
		result, problems := Parse([]byte(text), Options{Now: c.now})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var ids []string
		for _, s := range result.Plan.Sales[0].Sessions {
			ids = append(ids, s.ID)
		}
		if got := strings.Join(ids, " "); got != c.days {
			t.Errorf("at %s: %s, want %s", c.now, got, c.days)
		}
		if got := strings.Join(result.Notes, "\n"); got != c.note {
			t.Errorf("at %s: %q, want %q", c.now, got, c.note)
		}
	}
}
