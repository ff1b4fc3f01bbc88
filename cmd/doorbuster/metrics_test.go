package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// TestStagesOfGrabs: what is granted goes through all stages, what the gate refuses through
// two.
func TestStagesOfGrabs(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.DayPlan("", 1))
	count := func(stage engine.Stage) (n int) {
		n, err := strconv.Atoi(s.Metric(fmt.Sprintf("doorbuster_grab_stage_seconds_count{stage=%q}", stage)))
		if err != nil {
			t.Fatal(stage, err)
		}
		return n
	}
	for _, stage := range []engine.Stage{engine.StageActor, engine.StageAnswer} {
		if n := count(stage); n != 0 {
			t.Errorf("%d of %s before the first grab", n, stage)
		}
	}
	s.MustGrant("ann", "", "day/sku-1")
	for stage := engine.StageActor; stage <= engine.StageAnswer; stage++ {
		s.Eventually(func() bool { return count(stage) == 1 }, func() string { // some just after the answer
			return fmt.Sprintf("%d of %s", count(stage), stage)
		})
	}
	grabs := 0
	s.Eventually(func() bool {
		for range 64 {
			grabs++
			s.MustRefuse("sold_out", fmt.Sprint("shopper-", grabs), "", "day/sku-1")
		}
		return count(engine.StageDoor) > 0 && count(engine.StageGate) > 0
	}, func() string { return "no grab is timed at the door" })
	if doors, gates := count(engine.StageDoor), count(engine.StageGate); doors != gates || doors > 1+grabs/16 {
		t.Errorf("%d doors and %d gates of %d grabs", doors, gates, grabs)
	}
	if n := count(engine.StageApply); n != 1 {
		t.Errorf("refusals were applied: %d", n)
	}
}

// TestListingMetrics: the busiest listings have metrics of their own, which say what the
// state says, and the others are counted.
func TestListingMetrics(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir(), "--metrics-listings", "2")
	s.Apply(nodetest.DayPlan("", 3, 5, 1))
	s.Pay(s.MustGrant("ann", "", "day/sku-3"), "p-1")
	s.MustRefuse("sold_out", "ben", "", "day/sku-3")
	s.MustRefuse("sold_out", "cid", "", "day/sku-3")
	s.MustGrant("dan", "", "day/sku-2")
	for name, want := range map[string]string{
		`refused_total{reason="gone",session="day",sku="sku-3"}`:     "2",
		`granted_units_total{session="day",sku="sku-3"}`:             "1",
		`stock{session="day",sku="sku-2"}`:                           "5",
		`available{session="day",sku="sku-2"}`:                       "4",
		`held{session="day",sku="sku-2"}`:                            "1",
		`paid{session="day",sku="sku-3"}`:                            "1",
		`waiting{session="day",sku="sku-3"}`:                         "0",
		`stock{session="day",sku="sku-1"}`:                           "",
		`refused_total{reason="sold_out",session="day",sku="sku-2"}`: "",
	} {
		if has := s.Metric("doorbuster_listing_" + name); has != want {
			t.Errorf("%s is %q, not %q", name, has, want)
		}
	}
	if left := s.Metric("doorbuster_listings_without_metrics"); left != "1" {
		t.Errorf("%s left out", left)
	}
	off := openShop(t, t.TempDir(), "--metrics-listings", "0")
	off.Apply(nodetest.DayPlan("", 3))
	if has := off.Ops("GET", "/metrics", "").Body; strings.Contains(has, "doorbuster_listing_") {
		t.Error("metrics of listings that nobody asked for")
	}
}
