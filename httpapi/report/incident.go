package report

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// mostIncidents is how many are remembered by a node, and told of a session.
const mostIncidents = 256

// sameAlarm is for how long an alarm may be off, or seen by nobody, and be the same when it is
// on again: one that flickers is one.
const sameAlarm = 15 * time.Second

// incident is one as it is kept.
type incident struct {
	What     string          `json:"what"`
	Name     string          `json:"name"`
	At       engine.Time     `json:"at"`
	Until    engine.Time     `json:"until,omitempty"` // 0 while it lasts
	Severity engine.Severity `json:"severity,omitempty"`
	Node     string          `json:"node,omitempty"`
	About    string          `json:"about,omitempty"`
	Operator string          `json:"operator,omitempty"`
	Session  string          `json:"session,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Note     string          `json:"note,omitempty"`
	Times    int             `json:"times,omitempty"`
}

func (i *incident) is(of *incident) bool {
	return i.What == of.What && i.Name == of.Name && i.Node == of.Node && i.About == of.About
}

// within reports whether it was on at some time of a span; a span that ends at 0 has not ended.
func (i *incident) within(from, to engine.Time) bool {
	return (to == 0 || i.At <= to) && (i.Until == 0 || i.Until >= from)
}

func (i *incident) told() wire.ReportIncident {
	j := wire.ReportIncident{What: i.What, Name: i.Name, At: stamp(i.At), Severity: i.Severity, Node: i.Node,
		About: i.About, Operator: i.Operator, Session: i.Session, Detail: i.Detail, Note: i.Note, Times: i.Times}
	if i.Until != 0 {
		j.Until = stamp(i.Until)
	}
	return j
}

// incidents is a log of what was on, and when; the oldest that are over are dropped first.
type incidents struct {
	mu  sync.Mutex
	log []incident
}

// look notes what is on now.
func (l *incidents) look(on []incident, now engine.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.log {
		x := &l.log[i]
		if x.Until == 0 && !slices.ContainsFunc(on, func(now incident) bool { return now.is(x) }) {
			x.Until = now
		}
	}
	for _, x := range on {
		at := slices.IndexFunc(l.log, func(known incident) bool {
			return known.is(&x) && (known.Until == 0 || now.Sub(known.Until) < sameAlarm)
		})
		if at >= 0 {
			l.log[at].Until = 0
			continue
		}
		if len(l.log) >= mostIncidents {
			over := slices.IndexFunc(l.log, func(known incident) bool { return known.Until != 0 })
			if over < 0 {
				continue
			}
			l.log = slices.Delete(l.log, over, over+1)
		}
		l.log = append(l.log, x)
	}
}

// within gives those that were on at some time of a span.
func (l *incidents) within(from, to engine.Time) (found []incident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.log {
		if l.log[i].within(from, to) {
			found = append(found, l.log[i])
		}
	}
	return found
}

// together makes one of what several nodes have seen of an incident, and sorts all by time.
func together(seen []incident) (all []incident) {
	byTime := func(a, b incident) int { return cmp.Compare(a.At, b.At) }
	slices.SortStableFunc(seen, byTime)
	for _, x := range seen {
		at := -1
		if x.What != deed && x.What != leader {
			at = slices.IndexFunc(all, func(known incident) bool {
				return known.is(&x) && (known.Until == 0 || x.At.Sub(known.Until) < sameAlarm)
			})
		}
		switch {
		case at < 0:
			all = append(all, x)
		case x.Until == 0:
			all[at].Until = 0
		case all[at].Until != 0:
			all[at].Until = max(all[at].Until, x.Until)
		}
	}
	return all
}

// What incidents are.
const (
	alarm  = "alarm"
	leader = "leader"
	drain  = "drain"
	deed   = "deed"
)

// onNow gives what a cluster says that is an incident while it lasts.
func onNow(alarms []engine.Alarm, drained []string, now engine.Time) (on []incident) {
	for i := range alarms {
		a := &alarms[i]
		x := incident{What: alarm, Name: string(a.Name), At: now, Severity: a.Severity, Node: a.Node, About: a.About,
			Detail: a.Detail}
		if since := engine.Time(a.Since.UnixMilli()); !a.Since.IsZero() && since < now {
			x.At = since
		}
		on = append(on, x)
	}
	for _, node := range drained {
		on = append(on, incident{What: drain, Name: "drained", At: now, Node: node,
			Detail: "An operator has the node out of service."})
	}
	return on
}
