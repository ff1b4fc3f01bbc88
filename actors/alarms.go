package actors

import (
	"fmt"
	"strings"
	"time"

	"doorbuster/engine"
)

// strayFor is how long money that came for no order is an alarm: it goes back by
// itself, but the cashier, or a recovery, has made a mistake.
const strayFor = time.Hour

// overdueAfter is how long a refund may be due.
const overdueAfter = 24 * time.Hour

// alarmNames is how many listings an alarm names.
const alarmNames = 5

// Alarms is what somebody must see to of the listings, and of money for none.
func (g *Group) Alarms() (all []engine.Alarm) {
	var frozen, quarantined []string
	for _, gate := range g.catalogue.Load().byHandle {
		f := gate.facts.Load()
		if engine.ListingState(gate.looks.Load()) == engine.ListingFrozen {
			frozen = append(frozen, f.session+"/"+f.sku)
		}
		if gate.quarantined.Load() {
			quarantined = append(quarantined, f.session+"/"+f.sku)
		}
	}
	alarm := func(name engine.AlarmName, listings []string, what, advice string) {
		if len(listings) == 0 {
			return
		}
		named := strings.Join(listings[:min(len(listings), alarmNames)], ", ")
		if more := len(listings) - alarmNames; more > 0 {
			named += fmt.Sprintf(" and %d more", more)
		}
		all = append(all, engine.Alarm{Name: name, Detail: fmt.Sprintf("%s: %s.", what, named), Advice: advice})
	}
	alarm(engine.AlarmListingFrozen, frozen, "Listings whose units no longer add up sell nothing",
		"Keep a backup of every node, and report it: it is a fault of this program.")
	alarm(engine.AlarmListingQuarantined, quarantined, "Listings whose actor panicked too often let no new shopper in",
		"Have another node lead ('doorbuster cluster transfer'), or start this one again; and report it.")
	if at := time.UnixMilli(g.strayAt.Load()); time.Since(at) < strayFor {
		all = append(all, engine.Alarm{Name: engine.AlarmStrayPayments, Since: at,
			Detail: fmt.Sprintf("Money came for no order of this group, %d times since the start; it goes back.",
				g.strays.Load()),
			Advice: "Ask the cashier what it was for; the log has each."})
	}
	if n, since := g.RefundsOwed(); n > 0 && g.leads.Load() && time.Since(since.Wall()) > overdueAfter {
		all = append(all, engine.Alarm{Name: engine.AlarmRefundsOverdue, Since: since.Wall(),
			Detail: fmt.Sprintf("Refunds have been due for more than a day, %d in all.", n),
			Advice: "See 'doorbuster refunds --admin ADDR' for why; without a cashier_url nobody is asked for them."})
	}
	return all
}
