package actors_test

import (
	"fmt"
	"strings"
	"testing"

	"doorbuster/actors"
	"doorbuster/engine"
)

// TestFrozenListingsAreAnAlarm: one alarm names some of them and counts the others.
func TestFrozenListingsAreAnAlarm(t *testing.T) {
	s := openShop(t, nil)
	var listings []engine.ListingSpec
	for i := range actors.AlarmNames + 2 {
		listings = append(listings, units(fmt.Sprint("sku-", i), 1))
	}
	s.plan("day", func(x *engine.SessionPlan) { x.LimitPerShopper = 0 }, listings...)
	if all := s.Alarms(); len(all) != 0 {
		t.Errorf("of a shop that is well: %+v", all)
	}
	for _, l := range listings {
		s.Gate("day/skus/" + l.SKU).Freeze()
	}
	if all := s.Alarms(); len(all) != 1 || all[0].Name != engine.AlarmListingFrozen ||
		!strings.Contains(all[0].Detail, "day/sku-0") || !strings.Contains(all[0].Detail, "and 2 more") {
		t.Errorf("%+v", all)
	}
}
