package plan

import (
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/calendar"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/plan/tree"
)

// MaxDays bounds the days of a daily session: a year, leap day and all.
const MaxDays = 366

// opening is when one session opens and ends.
type opening struct {
	suffix     string // of the id; "" if it is not daily
	spec       string
	start, end engine.Time
}

// openings reads when a session, or each day of a daily one, is open.
func (r *reader) openings(n *tree.Node, zone *time.Location, length time.Duration) []opening {
	start, daily := n.Get("start"), n.Get("daily")
	switch {
	case start != nil && daily != nil: // the schema said so
	case daily != nil:
		return r.days(n, daily, zone, length)
	case start.Usable():
		if o, ok := r.start(n, start, length); ok {
			return []opening{o}
		}
	}
	return nil
}

func (r *reader) start(n, start *tree.Node, length time.Duration) (opening, bool) {
	var at time.Time
	spec, end := start.Value, n.Get("end")
	if after, fromNow := strings.CutPrefix(spec, "+"); spec == "now" || fromNow {
		var wait time.Duration
		if fromNow {
			var ok bool
			if wait, ok = r.ParseDuration(start, after, 0, maxWait); !ok {
				return opening{}, false
			}
		}
		if end != nil {
			// The end would stay and the start move with each time the file is
			// applied, and so would the length.
			r.Problem(end, "an end goes with a start that is a date and time; with %q, say a duration", spec)
			return opening{}, false
		}
		at = r.opts.Now.Add(wait)
	} else {
		var ok bool
		if at, ok = r.instant(start); !ok {
			return opening{}, false
		}
		spec = at.Format(time.RFC3339Nano)
	}
	o := opening{spec: spec, start: engine.TimeOf(at)}
	o.end = o.start.Add(length)
	if end.Usable() {
		t, ok := r.instant(end)
		if !ok {
			return opening{}, false
		}
		o.end = engine.TimeOf(t)
		switch length := o.end.Sub(o.start); {
		case length <= 0:
			r.Problem(end, "%s is not after the start, %s", end.Value, start.Value)
		case length > engine.MaxSessionLength:
			r.Problem(end, "%s is %s after the start, which is over %s", end.Value, length,
				tree.Short(engine.MaxSessionLength))
		}
	}
	return o, true
}

// maxWait bounds a start from now.
const maxWait = 366 * 24 * time.Hour

// instant reads an RFC 3339 date and time, in UTC and whole milliseconds.
func (r *reader) instant(n *tree.Node) (time.Time, bool) {
	text := strings.Replace(n.Value, " ", "T", 1)
	t, err := input.Time(text)
	if err == nil {
		return t.UTC().Truncate(time.Millisecond), true
	}
	if _, err := input.Time(text + "Z"); err == nil {
		r.Problem(n, "%q has no offset from UTC; add Z or one such as +08:00", tree.Clip(n.Value))
	} else {
		r.Problem(n, "%q is not a date and time of RFC 3339, such as 2026-09-20T10:00:00+08:00", tree.Clip(n.Value))
	}
	return time.Time{}, false
}

// days gives one opening a day, without those that are past.
func (r *reader) days(n, daily *tree.Node, zone *time.Location, length time.Duration) []opening {
	from, ok1 := r.date(daily.Get("from"))
	until, ok2 := r.date(daily.Get("until"))
	at, ok3 := r.timeOfDay(daily.Get("at"))
	if !ok1 || !ok2 || !ok3 {
		return nil
	}
	count := int(until.Sub(from)/(24*time.Hour)) + 1
	if count < 1 {
		r.Problem(daily.Get("until"), "%s is before from, %s", daily.Get("until").Value, daily.Get("from").Value)
		return nil
	}
	if count > MaxDays {
		r.Problem(daily.Get("until"), "%d days are over %d", count, MaxDays)
		return nil
	}
	const suffix = "-20060102"
	if id := n.Get("id"); id.Usable() && len(id.Value)+len(suffix) > engine.MaxIDBytes {
		r.Problem(id, "%d characters are over %d: each day adds %d, as in %q", len(id.Value),
			engine.MaxIDBytes-len(suffix), len(suffix), from.Format(suffix))
		return nil
	}
	if r.bytes > engine.MaxPlanBytes {
		return nil // nobody makes sessions of them any more
	}
	now := engine.TimeOf(r.opts.Now)
	openings := make([]opening, 0, count)
	past := 0
	for i := range count {
		day := from.AddDate(0, 0, i)
		local := day.Add(at)
		instant := calendar.FirstInstant(local, zone)
		o := opening{
			suffix: day.Format(suffix),
			// The offset in digits even in UTC, so that all are equally long.
			spec:  instant.Format("2006-01-02T15:04:05-07:00"),
			start: engine.TimeOf(instant),
		}
		if o.end = o.start.Add(length); o.end <= now {
			past++
			continue
		}
		openings = append(openings, o)
	}
	switch {
	case past == count:
		r.note("%s: its last day, %s, is past; nothing of it is applied", n.Path, daily.Get("until").Value)
	case past > 0:
		r.note("%s: %d of %d days are past and left out; what was applied of them stays as it is", n.Path, past, count)
	}
	return openings
}

// date gives midnight UTC of a day.
func (r *reader) date(n *tree.Node) (time.Time, bool) {
	if !n.Usable() {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		r.Problem(n, "%q is not a day of the calendar", tree.Clip(n.Value))
		return time.Time{}, false
	}
	return t, true
}

func (r *reader) timeOfDay(n *tree.Node) (time.Duration, bool) {
	if !n.Usable() {
		return 0, false
	}
	text := n.Value
	if strings.Count(text, ":") == 1 {
		text += ":00"
	}
	t, err := time.Parse(time.TimeOnly, text)
	if err != nil {
		r.Problem(n, "%q is not a time of day", tree.Clip(n.Value))
		return 0, false
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second, true
}

// zone reads a time zone.
func (r *reader) zone(n *tree.Node) (*time.Location, string) {
	if !n.Usable() {
		return time.UTC, "UTC"
	}
	zone, err := calendar.Zone(n.Value)
	if err != nil {
		r.Problem(n, "%q %v", tree.Clip(n.Value), err)
		return time.UTC, "UTC"
	}
	return zone, n.Value
}
