package httpapi

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Lack is something that a shop as it is configured can't do.
type Lack struct {
	Setting string // or several
	Means   string // what the shop does instead, after "this shop"
	Do      string // what to do about it, if that is not to set it
	Bad     bool   // no sale is of use without it
}

// How far a clock may be off before it is worth a look: half of what takes leadership away.
const clockWarnMS = clockAlarmMS / 2

// staleFigure is how old what a supplier has left may be.
const staleFigure = 24 * time.Hour

// checklist looks at what a session needs to open well.
func (s *AdminServer) checklist(r *http.Request) (*wire.Checklist, error) {
	views := s.operator.AllSessions()
	at := slices.IndexFunc(views, func(x engine.SessionView) bool { return x.ID == r.PathValue("session") })
	if at < 0 {
		return nil, refuse(notFound, "No session has this id. The sessions are listed at /admin/v1/sessions.")
	}
	status, err := s.clusterStatus(r)
	if err != nil {
		return nil, err
	}
	x := &views[at]
	c := checker{Checklist: wire.Checklist{Session: x.ID, Opens: rfc3339(x.Start), State: wire.CheckOK}}
	c.session(x)
	for i := range x.Listings {
		if err := s.checkListing(&c, &x.Listings[i]); err != nil {
			return nil, err
		}
	}
	if len(x.Listings) == 0 {
		c.bad("stock", "", "Plan listings for it.", "It lists nothing.")
	}
	s.checkWords(&c, x)
	c.configured(s.lacks)
	c.cluster(&status)
	return &c.Checklist, nil
}

// checker gathers checks.
type checker struct{ wire.Checklist }

func (c *checker) add(x wire.Check) {
	c.Checks = append(c.Checks, x)
	if x.State == wire.CheckBad || x.State == wire.CheckWarn && c.State == wire.CheckOK {
		c.State = x.State
	}
}

func (c *checker) ok(name, about, format string, args ...any) {
	c.add(wire.Check{Name: name, About: about, State: wire.CheckOK, Says: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(name, about, do, format string, args ...any) {
	c.add(wire.Check{Name: name, About: about, State: wire.CheckWarn, Says: fmt.Sprintf(format, args...), Do: do})
}

func (c *checker) bad(name, about, do, format string, args ...any) {
	c.add(wire.Check{Name: name, About: about, State: wire.CheckBad, Says: fmt.Sprintf(format, args...), Do: do})
}

// passes says that nothing is wrong, if nothing was said of name.
func (c *checker) passes(name, format string, args ...any) {
	if !slices.ContainsFunc(c.Checks, func(x wire.Check) bool { return x.Name == name }) {
		c.ok(name, "", format, args...)
	}
}

func (c *checker) session(x *engine.SessionView) {
	switch {
	case x.State >= engine.Ended:
		c.bad("session", "", "Plan another one under a new id.", "It is over.")
	case x.State == engine.Draft:
		c.bad("session", "", "Publish it, or say publish: true in the plan.", "It is a draft, which does not open.")
	case x.Paused:
		c.bad("session", "", "Resume it.", "It is paused: nobody can buy.")
	case x.State == engine.Open:
		c.ok("session", "", "It is open, until %s.", rfc3339(x.End))
	default:
		c.ok("session", "", "It is published, and opens at %s.", rfc3339(x.Start))
	}
	for _, p := range x.Findings {
		if strings.HasSuffix(p.Path, "allow_list") {
			c.bad("lists", p.Path, "Import the list: 'doorbuster lists add'.", "%s.", p.Message)
			continue
		}
		c.warn("lists", p.Path, "Define it: 'doorbuster switches define'.", "%s.", p.Message)
	}
	c.passes("lists", "All lists and profiles that it names are there.")
}

// checkListing looks at what a listing has to sell, and what its supplier says of that.
func (s *AdminServer) checkListing(c *checker, l *engine.ListingView) error {
	n, err := s.operator.Counts(l.Session, l.SKU)
	if err != nil {
		return err
	}
	switch {
	case l.State == engine.ListingFrozen:
		c.bad("stock", l.SKU, "See the alarm listing_frozen.", "It is frozen: nothing changes any more.")
	case n.Stock == 0:
		c.bad("stock", l.SKU, "Put stock up: 'doorbuster apply', or …/stock.", "No stock is put up.")
	case n.Available == 0:
		c.warn("stock", l.SKU, "Put more up if there is more.", "All of its %d units are taken.", n.Stock)
	default:
		c.ok("stock", l.SKU, "%d of %d units are free.", n.Available, n.Stock)
	}
	p, known, err := s.operator.Product(l.SKU)
	if err != nil || !known {
		return err
	}
	switch stock, over := p.Stock, p.Use.Over(); {
	case p.Retired:
		c.warn("supplier", l.SKU, "Ask the supplier; revive it, or take its stock down.", "The product is retired.")
	case over > 0:
		c.bad("supplier", l.SKU, "Take stock down, or ask the supplier for more.",
			"%d units are put up, held or paid that the supplier does not have: it says %s.", over, stock)
	case !stock.Known && p.Supplier != "":
		c.warn("supplier", l.SKU, "Import its figure: 'doorbuster products import'.",
			"The supplier %s has not said how many there are: nothing bounds what is put up.", p.Supplier)
	case !stock.Known:
		c.ok("supplier", l.SKU, "It has no supplier whose figure bounds it.")
	case stock.Remaining && l.Start.Sub(stock.AsOf) > staleFigure:
		c.warn("supplier", l.SKU, "Ask the supplier for a newer one.", "The supplier's figure will be older than a "+
			"day at the opening: %s.", stock)
	default:
		c.ok("supplier", l.SKU, "The supplier has enough: %s.", stock)
	}
	return nil
}

// spoken are the languages that the shop itself speaks.
var spoken = []string{"en", "zh"}

// lacksWords gives the languages that a text is not in.
func lacksWords(t engine.Text) (lacking []string) {
	for _, lang := range spoken {
		if !slices.ContainsFunc(t, func(w engine.Words) bool { return w.Lang == lang && w.Text != "" }) {
			lacking = append(lacking, lang)
		}
	}
	return lacking
}

// checkWords looks whether all that shoppers read is there in both languages.
func (s *AdminServer) checkWords(c *checker, x *engine.SessionView) {
	look := func(what string, t engine.Text) {
		if lacking := lacksWords(t); len(lacking) > 0 {
			c.warn("words", what, "Say it in the plan, or in the sale's words.", "It is not there in %s.",
				strings.Join(lacking, " and "))
		}
	}
	look("the name of the sale", x.SaleName)
	for i := range x.Listings {
		look("the name of "+x.Listings[i].SKU, x.Listings[i].Name)
	}
	for _, sale := range s.operator.Sales() {
		for _, m := range sale.Messages {
			if sale.ID == x.Sale && len(m.Text) > 0 {
				look("the message "+m.Name, m.Text)
			}
		}
	}
	c.passes("words", "All names, and all words of the sale's own, are there in %s.", strings.Join(spoken, " and "))
}

// configured looks at what the node's configuration lacks.
func (c *checker) configured(lacks []Lack) {
	for _, l := range lacks {
		name := "settings"
		switch {
		case strings.Contains(l.Setting, "cashier") || strings.Contains(l.Setting, "reconcile"):
			name = "cashier"
		case strings.Contains(l.Setting, "keys"):
			name = "keys"
		}
		add := c.warn
		if l.Bad {
			add = c.bad
		}
		add(name, l.Setting, cmp.Or(l.Do, "Set it in the node's configuration."), "This shop %s.", l.Means)
	}
	c.passes("keys", "The keys that it needs are configured.")
}

// cluster looks at the nodes, and at alarms that are on.
func (c *checker) cluster(status *wire.Cluster) {
	zones := map[string]int{} // voters that are there
	voters := 0
	for i := range status.Nodes {
		n := &status.Nodes[i]
		if votes := n.Kind == wire.KindVoter || n.Kind == wire.KindWitness; votes && !n.Joining {
			voters++
			there := zones[n.Zone]
			if n.Reachable {
				there++
			}
			zones[n.Zone] = there
		}
		if off := max(n.ClockOffsetMS, -n.ClockOffsetMS); n.Reachable && off > clockWarnMS && off <= clockAlarmMS {
			c.warn("clocks", n.ID, "Look at its time service.",
				"Its clock is %.0f ms off; from %d ms on it can't lead.", off, clockAlarmMS)
		}
	}
	if len(status.Nodes) < 2 {
		c.warn("zones", "", "See 'Cluster' in the documentation for three nodes in two rooms.",
			"This node is alone: while it is down nothing is sold, and what its disk loses is lost.")
	}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		if zones[zone] == 0 {
			c.bad("zones", zone, "Bring a voter of it back before the sale.", "No voter of this zone can be reached.")
		}
	}
	if voters > 1 && len(zones) == 1 {
		c.warn("zones", "", "Add a voter in another machine room.", "All voters are in one zone.")
	}
	for i := range status.Alarms {
		c.alarm(&status.Alarms[i])
	}
	c.passes("clocks", "The clocks of all nodes that can be reached agree within %d ms.", clockWarnMS)
	c.passes("quorum", "%s leads, and a quorum answers.", status.Leader)
	c.passes("zones", "Voters of %d zones answer.", len(zones))
	c.passes("cashier", "Nothing that it was asked fails.")
	c.passes("alarms", "No other alarm is on.")
}

// alarmChecks are the checks that alarms of their own are of.
var alarmChecks = map[engine.AlarmName]string{
	engine.AlarmNoLeader: "quorum", engine.AlarmNoQuorum: "quorum", engine.AlarmNobodyServes: "quorum",
	engine.AlarmZoneAck: "zones", engine.AlarmClockOff: "clocks", engine.AlarmCashierFails: "cashier",
	engine.AlarmRefundsFail: "cashier", engine.AlarmKeysUnusable: "keys", engine.AlarmPersonalKeys: "keys",
}

// alarm takes an alarm that is on: what somebody is woken for would spoil the sale.
func (c *checker) alarm(a *engine.Alarm) {
	name, about := alarmChecks[a.Name], a.About
	if name == "" {
		name, about = "alarms", strings.TrimSpace(string(a.Name)+" "+a.About)
	}
	add := c.warn
	if a.Severity == engine.SeverityWake {
		add = c.bad
	}
	do := a.Advice
	if do == "" {
		do = engine.KindOf(a.Name).Do
	}
	add(name, about, do, "%s", a.Detail)
}
