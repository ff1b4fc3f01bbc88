package settled

import (
	"context"
	"reflect"
	"testing"
	"time"

	"doorbuster/engine"
)

// TestWriteWhatTheEngineFroze: a session that was sold, ended and settled is found as
// the state had it.
func TestWriteWhatTheEngineFroze(t *testing.T) {
	state, clock := engine.NewState(), engine.Time(1_800_000_000_000)
	var index engine.LogIndex
	do := func(commands ...engine.Command) *engine.Effects {
		t.Helper()
		head, eff := engine.BatchHeader{Time: clock}, new(engine.Effects)
		if index > 0 {
			head.Epoch, head.Sequence = 1, uint64(index)
		}
		index++
		must(t, state.Apply(index, engine.EncodeBatch(head, commands...), eff))
		return eff
	}
	do(engine.Command{Kind: engine.CmdOpenEpoch, Node: "n1", Secret: [16]byte{1, 2, 3}})
	do(engine.Command{Kind: engine.CmdApplyPlan, Operator: "olga", Plan: &engine.Plan{
		Products: []engine.Product{{ID: "mask", Currency: "CNY"}},
		Sales: []engine.SalePlan{{Sale: engine.Sale{ID: "sale", Timezone: "Asia/Shanghai"},
			Sessions: []engine.SessionPlan{{
				SessionSpec: engine.SessionSpec{ID: "day", StartSpec: "now", Start: clock, End: clock.Add(time.Hour),
					PayWithin: 15 * time.Minute, Publish: true},
				Listings: []engine.ListingSpec{{SKU: "mask", Price: 100, Stock: 5}},
			}}}},
	}})
	x := state.Session("day")
	for _, shopper := range []string{"ann", "bob", "cleo"} {
		do(engine.Command{Kind: engine.CmdPlaceHold, Listing: x.Listings[0], Shopper: []byte(shopper),
			Key: state.KeyOf([]byte(shopper)), Quantity: 1, Deadline: clock + 1000})
	}
	paid := engine.OrderRef{Session: x.Handle, Ordinal: 2}
	do(engine.Command{Kind: engine.CmdPayOrder, Order: paid, Amount: 100, Currency: "CNY",
		PaymentID: "p", PaidAt: clock},
		engine.Command{Kind: engine.CmdSetReceiver, Order: paid, Shopper: []byte("bob"),
			Receiver:    engine.Receiver{Sealed: "sealed: Bob"},
			PersonalKey: engine.PersonalKey{KEK: 1, Wrapped: "a key"}})
	for clock += 3_600_000; state.NextDue() <= clock; {
		do()
	}
	var want []engine.OrderRecord
	for ordinal := range uint32(3) {
		o, ok := state.Record(engine.OrderRef{Session: x.Handle, Ordinal: ordinal + 1})
		if !ok {
			t.Fatal("the state has no order", ordinal+1)
		}
		want = append(want, o)
	}
	eff := do(engine.Command{Kind: engine.CmdSettleSession, Session: x.Handle, Operator: "olga", Note: "done"})
	if len(eff.Leaving) != 1 {
		t.Fatalf("%+v", eff.Primary)
	}

	s := open(t, t.TempDir())
	must(t, s.Write(context.Background(), group, eff.Leaving[0]))
	for i := range want {
		if o, found, err := s.Order(want[i].Ref); !found || err != nil || !reflect.DeepEqual(o, want[i]) {
			t.Errorf("%+v %v %v, want %+v", o, found, err, want[i])
		}
	}
	if ref, found, err := s.PaidBy("p"); ref != paid || !found || err != nil {
		t.Error(ref, found, err)
	}
	f := s.all()[0]
	if h := f.head.Load(); f.Session != (Session{x.Handle, eff.Index, eff.Time, 3, group}) || h.Session != f.Session {
		t.Errorf("%+v %+v", f, h)
	}
}
