package actors

import (
	"fmt"
	"strings"

	"doorbuster/engine"
)

// alarmNames is how many listings an alarm names.
const alarmNames = 5

// Alarms is what somebody must see to of the listings.
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
	return all
}
