package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// NodeRefusals is what one node's journal has of a shopper. Error says why it
// could not be asked; the report is empty then.
type NodeRefusals struct {
	Node   string
	Report engine.RefusalReport
	Error  string
}

// refusalQuery says whose refusals are asked for.
type refusalQuery struct {
	Shopper string `query:"shopper" as:"shopper" needed:"true"` // Whose.
	Session string `query:"session" as:"id"`                    // In this session.
}

// refusals tells customer service why a shopper was refused.
func (s *AdminServer) refusals(r *http.Request, q *refusalQuery) (*wire.Refusals, error) {
	if q.Shopper == "" {
		return nil, refuse(malformed, "Say whose: ?shopper=ID.")
	}
	return refusalsOf(q.Shopper, q.Session, s.cluster.Refusals(r.Context(), q.Shopper, q.Session)), nil
}

// refusalsOf puts together what the nodes told.
func refusalsOf(shopper, session string, told []NodeRefusals) *wire.Refusals {
	all := &wire.Refusals{Shopper: shopper, Session: session, Refusals: []wire.Refused{}, Nodes: []wire.NodeJournal{},
		Complete: true}
	for i := range told {
		n, report := &told[i], &told[i].Report
		j := wire.NodeJournal{Node: n.Node, Answered: n.Error == "", Noting: report.On, Entries: report.Entries,
			Capacity: report.Capacity,
			Lost:     report.Lost, LeftOut: report.LeftOut, Error: n.Error}
		if report.Since != 0 {
			j.Since = rfc3339(report.Since)
		}
		all.Nodes = append(all.Nodes, j)
		for _, x := range report.Refused {
			all.Refusals = append(all.Refusals, wire.Refused{Node: n.Node, Session: x.Session, SKU: x.SKU,
				Code:   x.Code.String(),
				Reason: x.Reason.String(), First: rfc3339(x.First), Last: rfc3339(x.Last), Count: x.Count})
		}
	}
	slices.SortStableFunc(all.Refusals, func(a, b wire.Refused) int { return cmp.Compare(b.Last, a.Last) })
	caveats := caveatsOf(all.Nodes)
	all.Complete = len(caveats) == 0
	all.Note = strings.Join(append([]string{"Each node remembers what it refused itself, in memory, since the time " +
		"given for it."}, caveats...), " ")
	return all
}

// caveatsOf says in words what may be missing.
func caveatsOf(nodes []wire.NodeJournal) (caveats []string) {
	for i := range nodes {
		n := &nodes[i]
		say := func(format string, args ...any) { caveats = append(caveats, n.Node+" "+fmt.Sprintf(format, args...)) }
		switch {
		case !n.Answered:
			say("did not answer: what it refused is not here.")
			continue
		case n.Capacity == 0:
			say("has no journal (journal_entries: 0).")
			continue
		case !n.Noting:
			say("notes nothing: its journal is turned off.")
		}
		if n.Lost > 0 {
			say("has lost %d entries to newer ones, of all shoppers: there may have been more.", n.Lost)
		}
		if n.LeftOut > 0 {
			say("has %d older ones of this shopper for which there was no room.", n.LeftOut)
		}
	}
	return caveats
}
