package engine_test

import (
	"bytes"
	"fmt"
	"log"
	"time"

	"doorbuster/engine"
)

// A leader opens an epoch, plans a session, and a shopper grabs: three entries
// of the log, and what came of them.
func ExampleState_Apply() {
	now := engine.TimeOf(time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC))
	state := engine.NewState()
	var effects engine.Effects
	apply := func(index engine.LogIndex, h engine.BatchHeader, commands ...engine.Command) {
		if err := state.Apply(index, engine.EncodeBatch(h, commands...), &effects); err != nil {
			log.Fatal(err)
		}
		for _, e := range append(effects.Primary, effects.Derived...) {
			fmt.Println(e)
		}
	}
	apply(1, engine.BatchHeader{Time: now}, engine.Command{Kind: engine.CmdOpenEpoch, Node: "a1", Secret: [16]byte{1}})
	apply(2, engine.BatchHeader{Epoch: 1, Sequence: 1, Time: now},
		engine.Command{Kind: engine.CmdApplyPlan, Plan: &engine.Plan{
			Products: []engine.Product{{ID: "mask-50", Currency: "CNY"}},
			Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "fans-day", Timezone: "Asia/Shanghai"},
				Sessions: []engine.SessionPlan{{
					SessionSpec: engine.SessionSpec{ID: "fans-day-10", Start: now, End: now.Add(time.Hour),
						PayWithin: 15 * time.Minute, Publish: true},
					Listings: []engine.ListingSpec{{SKU: "mask-50", Price: 100, Stock: 1, LimitPerShopper: 1}},
				}}}},
		}})
	listing := state.ListingOf("fans-day-10", "mask-50")
	grab := func(shopper string) engine.Command {
		return engine.Command{Kind: engine.CmdPlaceHold, Listing: listing.Handle, Shopper: []byte(shopper),
			Key: state.KeyOf([]byte("key of " + shopper)), Quantity: 1, Deadline: now.Add(time.Second)}
	}
	apply(3, engine.BatchHeader{Epoch: 1, Sequence: 2, Time: now}, grab("ann"), grab("bob"))
	fmt.Println("next due:", effects.NextDue.Wall().Format(time.TimeOnly))
	// Output:
	// EpochOpened
	// PlanApplied
	// SessionOpened
	// HoldPlaced order 1/1 held listing 1 quantity 1
	// HoldRefused sold_out listing 1
	// StockTaken listing 1
	// next due: 10:15:00
}

func ExampleReadState() {
	state := engine.NewState()
	var file bytes.Buffer
	if _, err := state.Snapshot().WriteTo(&file); err != nil {
		log.Fatal(err)
	}
	restored, err := engine.ReadState(&file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(restored.Hash() == state.Hash())
	// Output: true
}
