package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
	"doorbuster/httpapi/wire"
)

// backQuery is what may be asked with a step back.
type backQuery struct {
	DryRun bool `query:"dry_run"` // Only tell what would change.
}

// planBack takes the last plan back.
func (s *AdminServer) planBack(r *http.Request, q *backQuery, b *wire.PlanBackRequest) (j wire.PlanBack, err error) {
	o, of, err := s.operator.PlanBack(r.Context(), byOf(r), engine.Back{Of: engine.LogIndex(b.Of), Note: b.Note.Note,
		DryRun: q.DryRun})
	if j.PlanChanges, err = planned(&o, q.DryRun, err); err != nil {
		return j, err
	}
	j.Plan = wire.AppliedPlan{Index: uint64(of.Of), At: rfc3339(of.At), By: of.By}
	return j, nil
}

// messageBack takes the last change of a sale's own words for a message back.
func (s *AdminServer) messageBack(r *http.Request, q *backQuery) (wire.PlanChanges, error) {
	m, known := messages.Named(r.PathValue("name"))
	if !known {
		return wire.PlanChanges{}, noSuchMessage
	}
	o, err := s.operator.MessageBack(r.Context(), byOf(r), r.PathValue("sale"), m.String(), q.DryRun)
	return planned(&o, q.DryRun, err)
}

// historyQuery is which part of the history is asked for.
type historyQuery struct {
	Kind   string        `query:"kind"`   // plan, words or switches alone.
	Before askedPosition `query:"before"` // Where to go on, as the page before says.
	Limit  int           `query:"limit" usual:"50" most:"200"`
}

// historyEntry is an entry, and where it stands among those of all kinds.
type historyEntry struct {
	wire.HistoryEntry
	at engine.TrailPosition
}

func (s *AdminServer) history(_ *http.Request, q *historyQuery) (j wire.History, err error) {
	if q.Kind != "" && q.Kind != "plan" && q.Kind != "words" && q.Kind != "switches" {
		return j, refuse(malformed, "The kind may be plan, words or switches.")
	}
	h, err := s.operator.History()
	if err != nil {
		return j, err
	}
	j.Entries = []wire.HistoryEntry{}
	for _, e := range entriesOf(&h) {
		if q.Before.given && !e.at.Before(q.Before.TrailPosition) || !e.of(q.Kind) {
			continue
		}
		if len(j.Entries) == q.Limit {
			break
		}
		j.Entries = append(j.Entries, e.HistoryEntry)
		j.Before = e.at.String()
	}
	if last := len(j.Entries); last < q.Limit {
		j.Before = ""
	}
	since := engine.Time(0)
	if h.PlansDropped && q.Kind != "switches" {
		since = h.Plans[0].At
	}
	if h.SwitchesDropped && q.Kind != "plan" && q.Kind != "words" {
		since = max(since, h.Switches[0].At)
	}
	if since > 0 {
		j.KeptSince = rfc3339(since)
	}
	return j, nil
}

// of reports whether the entry is of a kind, "" for any. For words it leaves of a plan what
// that has changed of them.
func (e *historyEntry) of(kind string) bool {
	if kind == "words" && e.Kind == "plan" {
		e.Changes = slices.DeleteFunc(e.Changes, func(c wire.PlanChange) bool {
			return !strings.Contains(c.Path, "].messages.")
		})
		return len(e.Changes) > 0
	}
	return kind == "" || kind == e.Kind
}

// entriesOf gives all that is kept, the newest first.
func entriesOf(h *engine.History) (all []historyEntry) {
	for _, r := range h.Plans {
		e := wire.HistoryEntry{LogIndex: uint64(r.Index), At: rfc3339(r.At), Kind: "plan", Action: "apply",
			By: r.Operator, ApprovedBy: r.ApprovedBy, Approval: uint32(r.Approval), Note: r.Note, LeftOut: r.LeftOut,
			Changes: listOf(r.Changes, func(c *engine.Change) wire.PlanChange { return wire.PlanChange(*c) })}
		switch r.Kind {
		case engine.PlanWords:
			e.Kind, e.Action = "words", "set"
		case engine.PlanBack:
			e.Action = "back"
		}
		all = append(all, historyEntry{e, engine.TrailPosition{Index: r.Index}})
	}
	for i := range h.Switches {
		r := switchRecordOf(&h.Switches[i])
		e := wire.HistoryEntry{LogIndex: r.LogIndex, At: r.At, Kind: "switches", Action: r.Action, By: r.Operator,
			Note: r.Note, Profile: r.Profile, Changes: []wire.PlanChange{}}
		for _, c := range r.Changed {
			e.Changes = append(e.Changes, wire.PlanChange{Path: "switches." + c.Name, Before: string(c.Before),
				After: string(c.After)})
		}
		all = append(all, historyEntry{e, engine.TrailPosition{Index: h.Switches[i].Index}})
	}
	slices.SortStableFunc(all, func(a, b historyEntry) int { return cmp.Compare(a.at.Index, b.at.Index) })
	for i := 1; i < len(all); i++ { // of one entry of the log, which may hold several
		if all[i].at.Index == all[i-1].at.Index {
			all[i].at.N = all[i-1].at.N + 1
		}
	}
	slices.Reverse(all)
	return all
}
