package httpapi

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestVisitors: who asks often counts once, who came long ago not at all, and noting
// somebody allocates nothing and stands beside counting.
func TestVisitors(t *testing.T) {
	v := newVisitors(DefaultListShare, nil)
	all := func(*engine.Visitor) bool { return true }
	now := time.Now()
	ann := engine.Visitor{Shopper: []byte("ann"), Addr: netip.MustParseAddr("10.0.0.1"), Phone: "+8613800138000"}
	if n := testing.AllocsPerRun(100, func() { v.note(&ann, now) }); n != 0 && !raceDetector {
		t.Errorf("noting a visitor allocates %v times", n)
	}
	n := v.count(func(who *engine.Visitor) bool {
		return string(who.Shopper) == "ann" && who.Addr == ann.Addr && who.Phone == ann.Phone
	})
	if n.of != 1 || n.met != 1 || n.large() {
		t.Errorf("%+v", n)
	}
	v.note(&ann, now.Add(-visitorsWithin-time.Second))
	if n := v.count(all); n.of != 0 {
		t.Errorf("of long ago: %+v", n)
	}
	var crowd sync.WaitGroup
	for i := range 4 {
		crowd.Go(func() {
			for j := range 4 * visitorPlaces {
				v.note(&engine.Visitor{Shopper: fmt.Appendf(nil, "shopper-%d-%d", i, j), Address: "here"}, now)
			}
		})
	}
	for range 20 {
		v.count(all)
	}
	crowd.Wait()
	if n := v.count(all); n.of < visitorPlaces/2 || n.of > visitorPlaces || !n.large() {
		t.Errorf("of a crowd: %+v", n)
	}
	var nobody *Visitors
	if n := nobody.count(all); n.of != 0 || n.large() {
		t.Errorf("of nobody: %+v", n)
	}
}
