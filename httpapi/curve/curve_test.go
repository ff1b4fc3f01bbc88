package curve

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"doorbuster/engine"
)

// sale is what a recorder of a test looks at.
type sale struct {
	*Recorder
	now     time.Time
	counts  []engine.Counts
	refused []uint64
}

func newSale() *sale {
	s := &sale{now: time.Unix(1_000_000, 0), refused: make([]uint64, len(engine.Reasons()))}
	s.Recorder = New(Config{Look: func() []engine.Counts { return s.counts },
		Refused: func() []uint64 { return append([]uint64(nil), s.refused...) },
		Clock:   func() time.Time { return s.now }})
	return s
}

func (s *sale) after(seconds int) {
	s.now = s.now.Add(time.Duration(seconds) * time.Second)
	s.look()
}

func TestCurve(t *testing.T) {
	s := newSale()
	if c, _ := s.Session("day", 0); c.Last != 0 || len(c.Listings) != 0 {
		t.Errorf("before the first look: %+v", c)
	}
	s.counts = []engine.Counts{{Session: "day", SKU: "a", Stock: 10, Available: 8, Held: 1, Paid: 1},
		{Session: "other", SKU: "a", Stock: 1}}
	s.look()
	_, changed := s.Session("day", 0)
	s.counts[0] = engine.Counts{Session: "day", SKU: "a", Stock: 10, Available: 5, Held: 2, Paid: 2, Released: 1,
		Waiting: 7}
	s.refused[engine.ReasonGone], s.refused[engine.ReasonNone] = 3, 9
	s.after(1)
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	s.look() // the same second
	s.counts[0].Paid, s.counts[0].Available = 4, 3
	s.after(3) // nobody looked for two
	at := s.now.Unix()
	c, _ := s.Session("day", 0)
	want := []Point{{0, 10, 8, 1, 1, 0}, {3, 10, 5, 2, 2, 7}, {0, 10, 5, 2, 2, 7}, {0, 10, 5, 2, 2, 7},
		{2, 10, 3, 2, 4, 7}}
	if c.Last != at || len(c.Listings) != 1 || c.Listings[0].From != at-4 ||
		!reflect.DeepEqual(c.Listings[0].Points, want) {
		t.Errorf("%+v", c)
	}
	if !reflect.DeepEqual(c.Refused, map[engine.Reason][]uint32{engine.ReasonGone: {0, 3, 0, 0, 0}}) ||
		c.RefusedFrom != at-4 {
		t.Errorf("%+v from %d", c.Refused, c.RefusedFrom)
	}
	if c, _ := s.Session("day", at-1); len(c.Listings[0].Points) != 1 || c.Listings[0].From != at ||
		len(c.Refused) != 0 {
		t.Errorf("after the last but one: %+v", c)
	}
	if c, _ := s.Session("day", at); len(c.Listings[0].Points) != 0 {
		t.Errorf("after the last: %+v", c)
	}
}

// TestCurveIsBounded: an hour of points, so many listings, the busiest of them; what has not
// sold for an hour goes.
func TestCurveIsBounded(t *testing.T) {
	s := newSale()
	for i := range MostListings {
		s.counts = append(s.counts, engine.Counts{Session: "day", SKU: fmt.Sprint(i), Stock: 9, Held: int64(i + 1)})
	}
	s.look()
	s.counts = append(s.counts, engine.Counts{Session: "day", SKU: "idle", Stock: 9, Held: 1},
		engine.Counts{Session: "day", SKU: "busy", Stock: 9, Held: 2})
	s.after(1)
	c, _ := s.Session("day", 0)
	has := map[string]bool{}
	for _, l := range c.Listings {
		has[l.SKU] = true
	}
	if len(has) != MostListings || has["0"] && has["busy"] || has["idle"] || !has["busy"] {
		t.Errorf("%d listings: %v", len(has), has)
	}
	s.counts = []engine.Counts{{Session: "day", SKU: "busy", Stock: 9, Held: 2}}
	for range Seconds + 10 {
		s.after(1)
	}
	c, _ = s.Session("day", 0)
	if len(c.Listings) != 1 || len(c.Listings[0].Points) != Seconds || len(s.listings) != 1 {
		t.Errorf("%d listings", len(c.Listings))
	}
	s.after(-10 * Seconds) // the clock was set
	if c, _ := s.Session("day", 0); c.Last != s.now.Unix() || len(c.Listings[0].Points) != 1 {
		t.Errorf("after the clock was set: %+v", c)
	}
}
