package actors_test

import (
	"testing"
	"time"

	"doorbuster/engine"
)

func said(name, text string) engine.Message {
	return engine.Message{Name: name, Text: engine.Text{{Lang: "en", Text: text}}}
}

// TestSalesOwnWords: every session of a sale tells its words, on every node; they
// change with the sale and keep their version with everything else.
func TestSalesOwnWords(t *testing.T) {
	leader, follower, _ := openPair(t, 20*time.Second)
	leader.plan("day", nil, units("mask", 1), units("mug", 1))
	leader.plan("eve", nil, units("mask", 1))
	for _, s := range []*testShop{leader, follower} {
		if _, version, own := s.Messages([]byte("day/skus/mask"), 0); version != 0 || own != nil {
			t.Fatal(version, own)
		}
	}
	set := func(through *testShop, m engine.Message) []engine.Change {
		t.Helper()
		o, err := through.SetMessage(t.Context(), engine.By{Operator: "ops"}, "sale", m)
		if err != nil || len(o.Problems) > 0 {
			t.Fatal(err, o.Problems)
		}
		return o.Changes
	}
	if changes := set(follower, said("missed", "Not today.")); len(changes) != 1 ||
		changes[0] != (engine.Change{Path: "sales[sale].messages.missed.en", After: "Not today."}) {
		t.Error(changes)
	}
	set(leader, said("gone", "All gone."))
	if changes := set(leader, said("gone", "All gone.")); len(changes) != 0 {
		t.Error("the same again:", changes)
	}
	var before [2]uint64
	for i, s := range []*testShop{leader, follower} {
		for listing, h := range map[string]engine.ListingHandle{"day/skus/mask": 0, "day/skus/mug": 0,
			"eve/skus/mask": 0, "": 3} {
			_, version, own := s.Messages([]byte(listing), h)
			if len(own) != 2 || own[0].Name != "gone" || own[1].Text.In("en") != "Not today." || version == 0 ||
				before[i] != 0 && version != before[i] {
				t.Errorf("%q: version %d, %v", listing, version, own)
			}
			before[i] = version
		}
		if _, version, own := s.Messages([]byte("day/skus/none"), 9); version != 0 || own != nil {
			t.Error(version, own)
		}
	}
	if _, err := leader.AddStock(t.Context(), engine.By{Operator: "ops"}, "day", "mask", 5, ""); err != nil {
		t.Fatal(err)
	}
	for i, s := range []*testShop{leader, follower} {
		if _, version, _ := s.Messages([]byte("day/skus/mask"), 0); version != before[i] {
			t.Errorf("version %d for the words of version %d", version, before[i])
		}
	}
	set(leader, engine.Message{Name: "gone"})
	for i, s := range []*testShop{leader, follower} {
		if _, version, own := s.Messages([]byte("eve/skus/mask"), 0); len(own) != 1 || version == before[i] ||
			version == 0 {
			t.Errorf("version %d after %d: %v", version, before[i], own)
		}
	}
	leader.log.mu.Lock()
	follower.Restored(leader.log.state)
	leader.log.mu.Unlock()
	if _, version, own := follower.Messages([]byte("eve/skus/mask"), 0); len(own) != 1 || version == 0 {
		t.Errorf("restored: version %d: %v", version, own)
	}
	set(leader, engine.Message{Name: "missed"})
	if _, version, own := leader.Messages([]byte("day/skus/mask"), 0); version != 0 || own != nil {
		t.Error(version, own)
	}
	_, err := leader.SetMessage(t.Context(), engine.By{Operator: "ops"}, "none", said("missed", "?"))
	if err := isRefusal(err, engine.ReasonUnknown); err != nil {
		t.Error(err)
	}
}

func TestMessagesAllocateNothing(t *testing.T) {
	s := openShop(t, nil)
	s.plan("day", nil, units("mask", 1))
	if o, err := s.SetMessage(t.Context(), engine.By{Operator: "ops"}, "sale",
		said("missed", "Not today.")); err != nil || len(o.Problems) > 0 {
		t.Fatal(err, o.Problems)
	}
	listing := []byte("day/skus/mask")
	if n := testing.AllocsPerRun(100, func() {
		if _, version, _ := s.Messages(listing, 0); version == 0 {
			t.Error("no words")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
