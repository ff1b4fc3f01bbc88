package engine

import (
	"fmt"
	"testing"
	"time"
)

func intended(key byte, c Command) Command {
	c.Intent = Intent{Key{key}, Key{1}}
	return c
}

// TestAnIntentIsDoneOnce: what an operator asks for twice with one key changes one
// thing once, in a state that was restored, too; with another request the key is
// refused.
func TestAnIntentIsDoneOnce(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 5})
	add := intended(7, Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: 3})
	if e := g.one(add); e.Kind != StockAdded {
		t.Fatal(e)
	}
	before := g.state.Hash()
	restored := mustRead(t, encoded(t, g.state.Snapshot()))
	if restored.Hash() != before {
		t.Error("restored, it is another state")
	}
	g.state = restored
	if e := g.one(add); e.Kind != IntentRepeated || e.Listing != x.Listings[0] {
		t.Error(e)
	}
	if got := g.state.Listing(x.Listings[0]).Stock; got != 8 {
		t.Errorf("%d units of 5 and 3", got)
	}
	add.Intent.Request = Key{2}
	if e := g.one(add); e.Kind != CommandRefused || e.Reason != ReasonKeyReused {
		t.Error(e)
	}
}

// TestARefusalIsNoDeed: what was refused has changed nothing, and may be done when
// it is asked again.
func TestARefusalIsNoDeed(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 5})
	take := intended(7, Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: -6})
	if e := g.one(take); e.Kind != CommandRefused {
		t.Fatal(e)
	}
	g.one(Command{Kind: CmdAddStock, Listing: x.Listings[0], Amount: 1})
	if e := g.one(take); e.Kind != StockAdded {
		t.Error(e)
	}
}

// TestARepeatedPlanTellsWhatItChanged: and its outcome is the one of its own
// command, beside other plans of the batch.
func TestARepeatedPlanTellsWhatItChanged(t *testing.T) {
	g := newGroup(t)
	plan := intended(7, Command{Kind: CmdApplyPlan, Plan: &Plan{Products: []Product{{ID: "tea", Currency: "CNY"}}}})
	first := fmt.Sprint(g.do(plan).Plans[0].Changes)
	g.one(Command{Kind: CmdApplyPlan, Plan: &Plan{Products: []Product{{ID: "tea", Currency: "EUR"}}}})
	again := g.do(Command{Kind: CmdApplyPlan, Plan: &Plan{}}, plan)
	if len(again.Plans) != 2 || again.Plans[1].Command != 1 || fmt.Sprint(again.Plans[1].Changes) != first ||
		first == "[]" {
		t.Errorf("%+v, at first %+v", again.Plans, first)
	}
	if got := g.state.Product("tea").Currency; got != "EUR" {
		t.Errorf("the second plan was undone: %s", got)
	}
}

// TestIntentsAreBounded: the newest are kept, for a day.
func TestIntentsAreBounded(t *testing.T) {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 5})
	publish := func(n int) Command {
		return Command{Kind: CmdSteerSession, Session: x.Handle, Action: SessionPublish,
			Intent: Intent{Key{1, byte(n), byte(n >> 8)}, Key{1}}}
	}
	for n := range MaxIntents + 1 {
		g.one(publish(n))
	}
	if got := len(g.state.intents.done); got != MaxIntents || len(g.state.intents.byKey) != got {
		t.Errorf("%d are kept, %d by key", got, len(g.state.intents.byKey))
	}
	if e := g.one(publish(1)); e.Kind != IntentRepeated {
		t.Error(e)
	}
	if e := g.one(publish(0)); e.Kind == IntentRepeated {
		t.Error("the oldest is still there")
	}
	g.clock += Time(IntentLife / time.Millisecond)
	if e := g.one(publish(9)); e.Kind == IntentRepeated {
		t.Error("kept for over a day")
	}
	if got := len(g.state.intents.done); got != 1 {
		t.Errorf("%d are kept after a day", got)
	}
}
