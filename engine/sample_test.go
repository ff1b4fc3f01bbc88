package engine

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"
)

// What earlier builds have written must be read for ever: these files were
// written once by version 1 of the formats. -update makes missing ones, and
// rewrites none.
const (
	sampleSnapshot = "testdata/sample-v1.snapshot"
	sampleBatch    = "testdata/sample-v1.batch"
)

func sampleState(t *testing.T) *State {
	g := newGroup(t)
	x := g.session("ten", nil, ListingSpec{Stock: 5, LimitPerShopper: 2}, ListingSpec{Stock: 1, Shown: -1, SortOrder: -3})
	g.plan(&Plan{Products: []Product{{ID: "p", Currency: "CNY", Name: Text{{"en", "Masks"}, {"zh", "口罩"}}, Image: "https://example.com/p.png",
		Supplier: "s", ListPrice: 4900, Place: &Place{31.2304, 121.4737}}}})
	ann := g.grab(x.Listings[0], "ann", "k1", 2).Order
	bob := g.grab(x.Listings[1], "bob", "k1", 1).Order
	cai := g.grab(x.Listings[0], "cai", "k1", 1).Order
	g.pay(ann, "p1")
	g.one(Command{Kind: CmdSetReceiver, Order: ann, Shopper: []byte("ann"), Receiver: Receiver{"Ann", "123", "Here"}})
	g.one(Command{Kind: CmdExtendHold, Order: bob, Deadline: g.clock + 1_200_000})
	g.cancel(cai)
	return g.state
}

func TestSampleSnapshotIsRead(t *testing.T) {
	data, err := os.ReadFile(sampleSnapshot)
	if *update && os.IsNotExist(err) {
		data = encoded(t, sampleState(t).Snapshot())
		err = os.WriteFile(sampleSnapshot, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := mustRead(t, data)
	v, ok := s.View(OrderRef{1, 1})
	want := OrderView{Ref: OrderRef{1, 1}, OrderNo: s.Numberer().String(OrderRef{1, 1}), Shopper: "ann", Session: "ten", SKU: "sku-1", Quantity: 2,
		Amount: 200, Currency: "CNY", State: Paid, GrantedAt: clockStart, PayBy: clockStart + 900_000, ChangedAt: clockStart, PaymentID: "p1",
		Receiver: Receiver{"Ann", "123", "Here"}, HasReceiver: true}
	if !ok || v != want {
		t.Errorf("order %+v, want %+v", v, want)
	}
	if got := s.Product("p").Name.In("zh") + s.Product("p").Name.In("fr") + s.Product("p").Place.String(); got != "口罩Masks31.2304,121.4737" {
		t.Errorf("product: %s", got)
	}
	counts := s.CountsOf(s.ListingOf("ten", "sku-1"))
	if want := (Counts{Session: "ten", SKU: "sku-1", Stock: 5, Available: 3, Paid: 2, Released: 1, Shoppers: 1, State: ListingOpen, LogIndex: 10}); counts != want {
		t.Errorf("counts %+v, want %+v", counts, want)
	}
	if got := s.NextDue(); got != clockStart+1_320_000 {
		t.Errorf("next due %d: the extended hold", got)
	}
	if snapshotVersion == 1 && !bytes.Equal(encoded(t, s.Snapshot()), data) {
		t.Error("written again it has other bytes")
	}
	newer := bytes.Clone(data)
	newer[8] = snapshotVersion + 1
	_, err = ReadState(bytes.NewReader(newer))
	mustFail(t, err, ErrNewerFormat)
}

func TestSampleBatchIsRead(t *testing.T) {
	commands := []Command{
		{Kind: CmdPlaceHold, Listing: 1, Shopper: []byte("ann"), Key: Key{1, 2, 3}, Quantity: 2, Deadline: clockStart + 1000},
		{Kind: CmdCancelHold, Order: OrderRef{1, 2}, Shopper: []byte("bob")},
		{Kind: CmdPayOrder, Order: OrderRef{1, 3}, Amount: 4900, Currency: "CNY", PaymentID: "p1"},
		{Kind: CmdVoidOrder, Order: OrderRef{1, 4}, Operator: "op", Note: "why"},
		{Kind: CmdExtendHold, Order: OrderRef{1, 5}, Deadline: clockStart, Operator: "op", Note: "why"},
		{Kind: CmdSetReceiver, Order: OrderRef{1, 6}, Shopper: []byte("cai"), Receiver: Receiver{"Cai", "1", "Here"}},
		{Kind: CmdSteerSession, Session: 1, Action: SessionPause, Operator: "op", Note: "why"},
		{Kind: CmdAddStock, Listing: 1, Amount: -5, Operator: "op", Note: "why"},
		{Kind: CmdRaiseRules, RulesVersion: 1},
		{Kind: CmdApplyPlan, Operator: "op", Plan: &Plan{Sales: []SalePlan{{Sale: Sale{ID: "s", Timezone: "UTC"}}}}},
		{Kind: CmdOpenEpoch, Node: "a1", Nonce: 7, Secret: [16]byte{9}},
	}
	header := BatchHeader{Epoch: 3, Sequence: 5, Time: clockStart, Commands: len(commands)}
	data, err := os.ReadFile(sampleBatch)
	if *update && os.IsNotExist(err) {
		data = EncodeBatch(header, commands...)
		err = os.WriteFile(sampleBatch, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	h, got, err := DecodeBatch(data)
	if err != nil || h != header {
		t.Fatalf("header %+v, %v", h, err)
	}
	if a, b := EncodeBatch(h, got...), EncodeBatch(header, commands...); !bytes.Equal(a, b) || !bytes.Equal(a, data) {
		t.Errorf("read   %s\nwant   %s\nstored %s", hex.EncodeToString(a), hex.EncodeToString(b), hex.EncodeToString(data))
	}
	newer := bytes.Clone(data)
	newer[0] = batchVersion + 1
	_, _, err = DecodeBatch(newer)
	mustFail(t, err, ErrNewerFormat)
	// A newer build would read it, so it must not count as applied here.
	s, eff := NewState(), Effects{}
	mustFail(t, s.Apply(1, newer, &eff), ErrNewerFormat)
	if s.LogIndex() != 0 || len(eff.Derived) != 0 {
		t.Errorf("applied up to %d, and %v", s.LogIndex(), eff.Derived)
	}
}
