package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// trailPatience is how long the trail is waited for, so that the books have what the figures do.
const trailPatience = 2 * time.Second

// ErrUnknown: there is no such session.
var ErrUnknown = errors.New("there is no such session")

// NotOpenedError says that a session has not opened, and so has no report.
type NotOpenedError struct {
	State engine.SessionState
	Start engine.Time
}

func (e *NotOpenedError) Error() string {
	if e.State >= engine.Ended {
		return "The session has ended without having opened: there is nothing to report."
	}
	return fmt.Sprintf("The session has not opened: it is %s, and planned for %s.", e.State, stamp(e.Start))
}

func stamp(t engine.Time) string { return t.Wall().Format("2006-01-02T15:04:05.000Z07:00") }

// sessionFacts are what the state says of a session.
type sessionFacts struct {
	handle        engine.SessionHandle
	opened, ended engine.Time
	now           engine.Time
	index         engine.LogIndex
	state         engine.SessionState
	start         engine.Time
	forecast      int64
	stage         int
	board         engine.SwitchboardView
	view          wire.SessionReport // what is told of it as it is
}

// session reads what the state says; false if there is no such session.
func (k *Keeper) session(id string) (x *sessionFacts, found bool) {
	now := k.cfg.Now()
	k.cfg.View(func(s *engine.State) {
		of := s.Session(id)
		if found = of != nil; !found {
			return
		}
		x = &sessionFacts{handle: of.Handle, opened: of.OpenedAt, ended: of.EndedAt, now: now, state: of.State,
			start: of.Start, forecast: int64(of.Forecast), board: s.Switchboard()}
		x.index = x.board.LogIndex
		x.view = wire.SessionReport{Session: of.ID, Sale: of.Sale, State: of.State.String(), Start: stamp(of.Start),
			End: stamp(of.End), Opened: stamp(of.OpenedAt), LogIndex: uint64(x.index),
			Listings: []wire.ReportListing{}, Switches: wire.ReportSwitches{Profile: of.Profile}}
		if sale := s.Sale(of.Sale); sale != nil {
			x.view.SaleName = words(sale.Name)
		}
		if of.EndedAt != 0 {
			x.view.Ended = stamp(of.EndedAt)
			x.stage = stageOf(s, of, now)
		}
		for _, h := range of.Listings {
			l := s.Listing(h)
			j := wire.ReportListing{SKU: l.SKU, Stock: l.Stock, Available: l.Available, Held: l.Held, Paid: l.Paid}
			if p := s.Product(l.SKU); p != nil {
				j.Name = words(p.Name)
			}
			// So many were out at once; whatever was granted beyond that had come back.
			most := l.Stock - l.Lowest
			j.Resold = min(max(l.Held+l.Paid+l.Released-most, 0), l.Released)
			x.view.Resold += j.Resold
			x.view.Currency = l.Currency
			x.view.Listings = append(x.view.Listings, j)
		}
	})
	return x, found
}

func words(t engine.Text) wire.Text {
	m := make(wire.Text, len(t))
	for _, w := range t {
		m[w.Lang] = w.Text
	}
	return m
}

// Report tells what came of a session, or has come of it so far. Errors: ErrUnknown,
// *NotOpenedError, those of the trail.
func (k *Keeper) Report(ctx context.Context, session string) (*wire.SessionReport, error) {
	x, ok := k.session(session)
	switch {
	case !ok:
		return nil, ErrUnknown
	case x.opened == 0:
		return nil, &NotOpenedError{x.state, x.start}
	}
	wait, cancel := context.WithTimeout(ctx, trailPatience)
	x.view.LogIndex = uint64(min(x.index, k.cfg.Trail.AwaitEvents(wait, engine.TrailPosition{Index: x.index})))
	cancel()
	var known *kept
	if x.ended != 0 {
		if known = k.here(session, x.opened); known == nil {
			known, _ = k.elsewhere(ctx, session, x.opened)
		}
	}
	r := known
	if known == nil {
		var err error
		if r, err = k.makeKept(ctx, x, nil); err != nil {
			return nil, err
		}
	} else if err := k.follow(x, known, &r.Books); err != nil {
		return nil, err
	}
	return k.told(x, r), nil
}

// told is a report as it is told.
func (k *Keeper) told(x *sessionFacts, r *kept) *wire.SessionReport {
	j := &x.view
	j.Stage, j.Counted, j.Books = stages[x.stage], stamp(r.Made), r.Books.whole()
	tellListings(j, &r.Books, x.opened)
	came := tellDoors(j, r.Doors, x)
	j.Forecast = wire.ReportForecast{Expected: x.forecast, Came: came}
	j.Funnel.Shoppers, j.Funnel.Granted, j.Funnel.Paid = came, j.Books.Granted.Orders, j.Books.Paid.Orders
	j.Funnel.Shipped, j.Funnel.Received = j.Books.Shipped.Orders, j.Books.Received.Orders
	tellIncidents(j, r)
	j.Switches.At, j.Switches.Granted = stamp(r.Height), r.Books.Highest
	j.Switches.Switches = map[string]wire.SwitchValue{}
	for name, v := range r.Turned {
		if w, known := engine.ParseSwitch(name); known && w.Valid(v) {
			j.Switches.Switches[name] = wire.SwitchValue(w.Word(v))
		}
	}
	if r.Books.From > x.opened {
		j.Notes = append(j.Notes, "The trail is kept from "+stamp(r.Books.From)+
			" on: what was before is not in the books.")
	}
	return j
}

func tellListings(j *wire.SessionReport, b *books, opened engine.Time) {
	first, last, all := engine.Time(0), engine.Time(0), len(j.Listings) > 0
	for i := range j.Listings {
		to := &j.Listings[i]
		l := b.Listings[to.SKU]
		if l == nil {
			l = new(listingBook)
		}
		to.Books, to.SoldOut = l.figures, soldOut(l.FirstGrant, l.LastUnit, opened)
		if l.FirstGrant != 0 && (first == 0 || l.FirstGrant < first) {
			first = l.FirstGrant
		}
		last, all = max(last, l.LastUnit), all && l.LastUnit != 0
	}
	if !all {
		last = 0
	}
	j.SoldOut = soldOut(first, last, opened)
}

func soldOut(first, last, opened engine.Time) (s wire.ReportSoldOut) {
	if first == 0 {
		return s
	}
	s.FirstGrant = stamp(first)
	if last != 0 {
		s.LastUnit = stamp(last)
		lasted, since := last.Sub(first).Seconds(), last.Sub(opened).Seconds()
		s.Seconds, s.SecondsFromStart = &lasted, &since
	}
	return s
}

// tellDoors adds up what doors have counted, and gives how many shoppers they saw.
func tellDoors(j *wire.SessionReport, nodes []Counted, x *sessionFacts) (came int64) {
	d := &j.Doors
	*d = wire.ReportDoors{Nodes: []wire.ReportNode{}, Answers: map[string]int64{}, Reasons: map[string]int64{},
		Risk:    wire.ReportRisk{Lists: map[string]int64{}, Service: map[string]int64{}},
		Latency: map[string]wire.ReportLatency{}}
	j.Notes = []string{}
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b Counted) int { return cmp.Compare(a.Node, b.Node) })
	took := map[string]map[int]int64{}
	seen := make([]byte, registers)
	for i := range nodes {
		c := &nodes[i]
		n := wire.ReportNode{Node: c.Node, Counted: c.Since != 0, Grabs: c.grabs(), Error: c.Error}
		d.Of++
		switch {
		case n.Counted:
			d.Counted++
			n.Since = stamp(engine.Time(c.Since))
			if late := engine.Time(c.Since).Sub(x.opened); late > 2*lookEvery {
				j.Notes = append(j.Notes, fmt.Sprintf("Node %s counts from %s after the opening on: it was started "+
					"then, or had too many sessions to count.", c.Node, late.Round(time.Millisecond)))
			}
		case c.Error != "":
			j.Notes = append(j.Notes, fmt.Sprintf("Node %s could not be asked, and what it had counted is missing: %s.",
				c.Node, c.Error))
		default:
			n.Error = "it has counted nothing of this session"
			j.Notes = append(j.Notes, fmt.Sprintf("Node %s has counted nothing: it was started after the session, or "+
				"had too many to count.", c.Node))
		}
		d.Nodes = append(d.Nodes, n)
		j.Funnel.Looks += c.Looks
		j.Funnel.ListLooks += c.Lists
		j.Funnel.Grabs += n.Grabs
		for code, reasons := range c.Answers {
			for why, times := range reasons {
				d.Answers[code] += times
				if why != engine.ReasonNone.String() {
					d.Reasons[why] += times
				}
			}
		}
		for source, to := range [sources]map[string]int64{d.Risk.Lists, d.Risk.Service} {
			for level, times := range c.Risk[source] {
				to[level] += times
			}
		}
		for class, counts := range c.Took {
			for bucket, times := range counts {
				add(took, class, bucket, times)
				add(took, "all", bucket, times)
			}
		}
		for i, rank := range c.Seen[:min(len(c.Seen), registers)] {
			seen[i] = max(seen[i], rank)
		}
	}
	for class, counts := range took {
		of := wire.ReportLatency{P50MS: quantile(counts, 0.5), P99MS: quantile(counts, 0.99),
			P999MS: quantile(counts, 0.999)}
		for _, times := range counts {
			of.Grabs += times
		}
		d.Latency[class] = of
	}
	if d.Counted < d.Of {
		j.Notes = slices.Insert(j.Notes, 0, fmt.Sprintf("Looks, grabs, refusals and latencies were counted by %d "+
			"of %d nodes.", d.Counted, d.Of))
	}
	return estimate(seen)
}

func tellIncidents(j *wire.SessionReport, r *kept) {
	all := slices.Clone(r.Books.Deeds)
	for i := range r.Doors {
		all = append(all, r.Doors[i].Incidents...)
	}
	all = together(all)
	j.MoreIncidents = r.Books.More + max(0, len(all)-mostIncidents)
	j.Incidents = []wire.ReportIncident{}
	for i := range all[:min(len(all), mostIncidents)] {
		j.Incidents = append(j.Incidents, all[i].told())
	}
}
