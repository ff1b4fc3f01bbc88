package engine

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// What earlier builds have written must be read for ever: these files were
// written once. -update makes missing ones, and rewrites none.
const (
	sampleSnapshot = "testdata/sample-v1.snapshot"
	sampleBatch    = "testdata/sample-v1.batch"
)

// sample reads a sample, or writes it where it is missing and is to be made.
func sample(t *testing.T, file string, write func() []byte) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if *update && os.IsNotExist(err) {
		data = write()
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sampleGroup has a paid order with a receiver, an extended hold, a refund, a waitlist, an
// open draw, rosters of every kind, one of them staged, a profile that a session has
// turned on, and a play with two bargains, one of them with cuts and bought by.
func sampleGroup(t testing.TB) *group {
	g := newGroup(t)
	g.turn(ProfileDefine, "rush", Setting{SwitchRates, 50}, Setting{SwitchTickets, 2})
	g.plan(&Plan{Products: []Product{{ID: "mask", Currency: "CNY", Name: Text{{"en", "Masks"}, {"zh", "口罩"}},
		Image:    "https://example.com/p.png",
		Supplier: "s", ListPrice: 4900, Place: &Place{31.2304, 121.4737}}, {ID: "tea", Currency: "CNY"},
		{ID: "fan", Currency: "CNY"}},
		Plays: []PlayTemplate{{"bargain", "id: bargain"}}, Sales: []SalePlan{{Sale: Sale{ID: "sale",
			Name:     Text{{"en", "Fans' Day"}},
			Timezone: "Asia/Shanghai", Months: []Time{clockStart - 1000, clockStart + 1_000_000},
			Offsets:  []Offset{{0, 8 * 3600}},
			Messages: []Message{{"sold_out", Text{{"en", "Gone."}, {"zh", "没了"}}}}},
			Sessions: []SessionPlan{
				{SessionSpec: SessionSpec{ID: "ten", StartSpec: "now", Start: clockStart, End: clockStart + 3_600_000,
					PayWithin: 15 * time.Minute,
					PayGrace:  2 * time.Minute, Publish: true, Profile: "rush"},
					Listings: []ListingSpec{
						{SKU: "mask", Price: 100, Stock: 2, LimitPerShopper: 1, Waitlist: true, LimitPerMonth: 2,
							Ticket: true, Challenge: ChallengeImage},
						{SKU: "fan", Price: 300, Stock: 1, Draw: 30 * time.Second, Waitlist: true}}},
				{SessionSpec: SessionSpec{ID: "eleven", StartSpec: "later", Start: clockStart + 3_600_000,
					End: clockStart + 7_200_000, PayWithin: time.Minute, Publish: true},
					Listings: []ListingSpec{{SKU: "tea", Price: 200, Stock: 5, Reservation: true, AllowList: "vip"}}},
				{SessionSpec: SessionSpec{ID: "cut", StartSpec: "now", Start: clockStart, End: clockStart + 3_600_000,
					PayWithin: time.Minute, Publish: true},
					Listings: []ListingSpec{{SKU: "mask", Price: 1000, Stock: 3, Play: bargainPlay(func(p *Play) {
						p.Cut.TakeStock, p.Cut.PerDay, p.Cut.Weight = true, 3, "new_friend ? 150 : 100"
						p.Words = []Message{{"granted", Text{{"en", "Cut and yours."}}}}
					})}}},
				{SessionSpec: SessionSpec{ID: "out", StartSpec: "now", Start: clockStart, End: clockStart + 3_600_000,
					PayWithin: time.Minute, Publish: true, CouponsUpTo: 30, ReceiveWithin: 48 * time.Hour,
					CompleteWithin: time.Hour, Forecast: 20},
					Listings: []ListingSpec{{SKU: "tea", Price: 100, Stock: 9, Delivery: DeliveryShip},
						{SKU: "fan", Price: 100, Stock: 9, Delivery: DeliveryCollect}}},
			}}}})
	mask, fan, tea := ListingHandle(1), ListingHandle(2), ListingHandle(3)
	grab := func(l ListingHandle, shopper string, ticket uint64) OrderRef {
		c := g.placeHold(l, shopper, "k", 1)
		c.Waitlist, c.Ticket, c.Transaction = true, ticket, Transaction{byte(ticket)}
		return g.one(c).Order
	}
	ann, bob := grab(mask, "ann", 7), grab(mask, "bob", 8)
	g.pay(ann, "p1")
	g.payAt(ann, "p2", 100, clockStart-1000)
	g.one(Command{Kind: CmdSetReceiver, Order: ann, Shopper: []byte("ann"), Receiver: sealed("Ann"),
		PersonalKey: testKey})
	g.one(Command{Kind: CmdExtendHold, Order: bob, Deadline: clockStart + 1_200_000})
	left := grab(mask, "cai", 0)
	g.one(Command{Kind: CmdLeaveLine, Order: left, Shopper: []byte("cai")})
	grab(mask, "dov", 0)
	for _, shopper := range []string{"eva", "fay"} {
		c := g.placeHold(fan, shopper, "k", 1)
		c.Waitlist = shopper == "eva"
		g.one(c)
	}
	g.one(Command{Kind: CmdReserve, Listing: tea, Shopper: []byte("ann")})
	g.one(Command{Kind: CmdReserve, Listing: tea, Shopper: []byte("bob")})
	g.one(Command{Kind: CmdReserve, Listing: tea, Shopper: []byte("bob"), Withdraw: true})
	for _, e := range sampleEdits {
		if done := g.one(Command{Kind: CmdEditRoster, Edit: e}); done.Kind != RosterEdited {
			t.Fatal(e, done)
		}
	}
	cut := g.state.ListingOf("cut", "mask")
	ref := BargainRef{cut.Session, g.start(cut, "ann").Bargain}
	g.start(cut, "bob")
	g.help(ref, "bob", "k")
	g.help(ref, "cai", "k")
	g.buy(ref, "ann", "cut")
	sent, held := grab(cut.Handle+1, "gil", 0), grab(cut.Handle+1, "hal", 0)
	fetched := grab(cut.Handle+2, "ida", 0)
	for i, o := range []OrderRef{sent, held, fetched} {
		g.one(Command{Kind: CmdPayOrder, Order: o, PaymentID: fmt.Sprint("o", i), Amount: 100, Currency: "CNY",
			PayType: "wechat", Coupon: int64(10 * i)})
	}
	g.one(Command{Kind: CmdSetReceiver, Order: sent, Shopper: []byte("gil"), Receiver: sealed("Gil"),
		PersonalKey: testKey})
	g.steer(sent.Session, SessionEnd)
	for _, c := range []Command{
		{Kind: CmdReviewOrders, Reviews: []Review{{sent, ReviewPassed, ""}, {held, ReviewHeld, "shared address"},
			{fetched, ReviewPassed, ""}}},
		{Kind: CmdExportOrders, Orders: []OrderRef{sent, fetched}},
		{Kind: CmdShipOrders, Parcels: []Parcel{{sent, "SF", "SF1001"}}},
		{Kind: CmdReceiveOrders, Orders: []OrderRef{fetched}},
	} {
		c.Session, c.Operator = sent.Session, "op"
		if e := g.one(c); e.Kind != OrdersHandled {
			t.Fatal(e)
		}
	}
	g.approving = ApprovalRules{1000, 5, true, true, time.Hour}
	g.open()
	for _, end := range []SessionHandle{1, 2} {
		if e := g.one(Command{Kind: CmdSteerSession, Session: end, Action: SessionEnd, Operator: "op", Note: "why"}); e.
			Kind != ApprovalAsked {
			t.Fatal(e)
		}
	}
	g.one(Command{Kind: CmdDecideApproval, Decision: &Decision{Approval: 1}, Operator: "other", Note: "not yet"})
	if e := g.one(Command{Kind: CmdApplyPlan, Operator: "op", Plan: &Plan{Sales: []SalePlan{{Sale: Sale{ID: "sale",
		Timezone: "Asia/Shanghai", Messages: []Message{{"sold_out", Text{{"en", "All gone."}}}}}}}}}); e.Kind !=
		ApprovalAsked {
		t.Fatal(e)
	}
	return g
}

var sampleEdits = []RosterEdit{
	{Roster: RosterID{Kind: RosterAllowed, Name: "vip"}, Action: RosterPut,
		Rows: []RosterEntry{{[]byte("ann"), LevelListed, nil}}},
	{Roster: RosterID{Kind: RosterAllowed, Name: "vip"}, Action: RosterStage, Stage: 9,
		Rows: []RosterEntry{{[]byte("bob"), LevelListed, nil}, {[]byte("cai"), LevelListed, nil}}},
	{Roster: RosterID{Kind: RosterRiskShopper}, Action: RosterPut,
		Rows: []RosterEntry{{[]byte("zed"), LevelBlock, nil}, {[]byte("yan"), LevelChallenge, nil}}},
	{Roster: RosterID{Kind: RosterRiskPhone}, Action: RosterPut,
		Rows: []RosterEntry{{[]byte("a phone's hash :"), LevelBlock, []byte("a phone, sealed")}}},
	{Roster: RosterID{Kind: RosterRiskAddress}, Action: RosterPut,
		Rows: []RosterEntry{{[]byte("an address' hash"), LevelListed, []byte("an address, sealed")}}},
	{Roster: RosterID{Kind: RosterRiskIP}, Action: RosterPut,
		Rows: []RosterEntry{{[]byte("203.0.113.0/24"), LevelBlock, nil}}},
}

func TestSampleSnapshotIsRead(t *testing.T) {
	data := sample(t, sampleSnapshot, func() []byte { return encoded(t, sampleGroup(t).state.Snapshot()) })
	s := mustRead(t, data)
	if !bytes.Equal(encoded(t, s.Snapshot()), data) {
		t.Error("written again it has other bytes: nodes of older builds could not read them")
	}
	ann := OrderRef{1, 1}
	v, ok := s.View(ann)
	want := OrderView{Ref: ann, OrderNo: s.OrderNo(ann), Shopper: "ann", Session: "ten", SKU: "mask", Quantity: 1,
		Amount: 100, Currency: "CNY", State: Paid, GrantedAt: clockStart, PayBy: clockStart + 900_000,
		ChangedAt: clockStart, PaymentID: "p1", PaidAt: clockStart, Transaction: Transaction{7},
		Receiver: sealed("Ann"), HasReceiver: true}
	if !ok || v != want {
		t.Errorf("order %+v, want %+v", v, want)
	}
	if due := s.Money().ViewRefunds(0, 9); len(due) != 1 || due[0].PaymentID != "p2" || due[0].Why != ReasonPaidTwice ||
		due[0].PaidAt != clockStart-1000 {
		t.Errorf("refunds %+v", due)
	}
	if v, _ := s.View(OrderRef{1, 2}); v.PayBy != clockStart+1_200_000 {
		t.Errorf("the extended hold: %+v", v)
	}
	if got := s.Product("mask").Name.In("zh") + s.Product("mask").Name.In("fr") +
		s.Product("mask").Place.String(); got != "口罩Masks31.2304,121.4737" {
		t.Errorf("product: %s", got)
	}
	if mask, want := s.CountsOf(s.Listing(1)), (Counts{Session: "ten", SKU: "mask", Stock: 2, Held: 1, Paid: 1,
		Shoppers: 2, Waiting: 1, State: ListingSoldOut, LogIndex: s.LogIndex()}); mask != want {
		t.Errorf("counts %+v, want %+v", mask, want)
	}
	if fan, tea := s.CountsOf(s.Listing(2)), s.CountsOf(s.Listing(3)); fan.Entrants != 2 || fan.Available != 1 ||
		tea.Reserved != 1 {
		t.Errorf("counts %+v and %+v", fan, tea)
	}
	for order, want := range map[OrderRef]OrderView{
		{1, 3}: {State: Left, Why: ReasonLeft, Shopper: "cai"},
		{1, 4}: {State: Waiting, Position: 1, Shopper: "dov"},
		{1, 5}: {State: Entered, Shopper: "eva"},
	} {
		if v, _ := s.View(order); v.State != want.State || v.Why != want.Why || v.Position != want.Position ||
			v.Shopper != want.Shopper {
			t.Errorf("order %v: %+v", order, v)
		}
	}
	if !s.ticketUsed(s.ShopperNo("ann"), 7) || s.ticketUsed(s.ShopperNo("ann"), 8) {
		t.Error("not the tickets that were used")
	}
	if l := s.Listing(2); l.Seed == [32]byte{} || l.Draw != 30*time.Second || s.NextDue() != clockStart+30_000 {
		t.Errorf("a draw of %v, next due %d", l.Draw, s.NextDue())
	}
	if sale := s.Sale("sale"); len(sale.Months) != 2 || sale.Messages[0].Text.In("zh") != "没了" {
		t.Errorf("sale %+v", sale)
	}
	if s.board.profile != "rush" || s.Switches()[SwitchRates] != 50 || len(s.board.clocked) != 1 ||
		s.board.base != NormalSwitches() || len(s.board.history) != 1 {
		t.Errorf("switches %+v", s.board)
	}
	for _, e := range sampleEdits {
		row := e.Rows[0]
		want := row.Level
		if e.Action == RosterStage {
			want = LevelNone
		}
		if got := s.Rosters().Level(e.Roster, row.ID); got != want {
			t.Errorf("%v of %s: level %d", e.Roster, row.ID, got)
		}
	}
	if vip := s.rosters[sampleEdits[0].Roster]; vip.stage != 9 || vip.staged.rows.rows.len() != 2 {
		t.Errorf("staged: %d", vip.stage)
	}
	bargain := s.ViewBargain(BargainRef{3, 1}, 0, 9, "cai")
	if l := s.Listing(4); bargain.Owner != "ann" || bargain.State != BargainBought || len(bargain.Recent) != 2 ||
		bargain.Helped.Number != 2 || !bargain.Helped.New && bargain.Helped.Friend != "cai" || bargain.Price >= 1000 ||
		l.Play.Version != 1 || l.Play.Words[0].Text.In("en") != "Cut and yours." || l.Held != 2 {
		t.Errorf("bargain %+v of %+v", bargain, l.Play)
	}
	if p := s.Play("bargain"); p.Text != "id: bargain" || p.Since != clockStart {
		t.Errorf("template %+v", p)
	}
	if rejected, end, plan := s.Approval(1), s.Approval(2), s.Approval(3); rejected.DecidedBy != "other" ||
		rejected.Said != "not yet" || end.Session != 2 || end.Expires != clockStart+3_600_000 || plan.plan == nil ||
		len(plan.Changes) == 0 || s.ApprovalRules().PlanUnits != 1000 {
		t.Errorf("approvals %+v, %+v, %+v of %+v", rejected, end, plan, s.ApprovalRules())
	}
	if h, p := s.History(), s.LastPlan(); len(h.Plans) != 1 || h.PlansDropped || h.Plans[0].Index != p.Of ||
		p.At != clockStart || len(s.undo.Sales) != 1 {
		t.Errorf("history %+v, to be undone %+v", h, s.undo)
	}
	for version, want := range map[string]error{snapshotMagic + "\x02": ErrNewerFormat,
		"DOORSNAP\x03": ErrOlderFormat} {
		_, err := ReadState(strings.NewReader(version + string(data[len(version):])))
		mustFail(t, err, want)
	}
}

func TestSampleBatchIsRead(t *testing.T) {
	commands := []Command{
		{Kind: CmdPlaceHold, Listing: 1, Shopper: []byte("ann"), Key: Key{1, 2, 3}, Quantity: 2,
			Deadline: clockStart + 1000, Waitlist: true, Ticket: 1 << 40, Transaction: Transaction{4}},
		{Kind: CmdPlaceHold, Listing: 1, Shopper: []byte("ann"), Key: Key{5}, Quantity: 1, Bargain: BargainRef{1, 2},
			Price: 500, Priced: true},
		{Kind: CmdStartBargain, Listing: 1, Shopper: []byte("ann")},
		{Kind: CmdCutBargain, Bargain: BargainRef{1, 2}, Shopper: []byte("bob"), Key: Key{6}, Weight: 150, Weighed: 2},
		{Kind: CmdEndBargain, Bargain: BargainRef{1, 2}, Operator: "op", Note: "why"},
		{Kind: CmdApplyPlan, Operator: "op", Entropy: [32]byte{7}, Plan: &Plan{Now: clockStart,
			Plays: []PlayTemplate{{"bargain", "text"}}, Sales: []SalePlan{{Sale: Sale{ID: "s",
				Timezone: "UTC", Months: []Time{1, 2}, Offsets: []Offset{{1, 3600}},
				Messages: []Message{{"sold_out", Text{{"en", "Gone."}}}}},
				Sessions: []SessionPlan{{SessionSpec: SessionSpec{ID: "x", Profile: "rush", PayWithin: time.Minute},
					Listings: []ListingSpec{
						{SKU: "p", LimitPerMonth: 2, Reservation: true, AllowList: "vip", Waitlist: true, Ticket: true,
							Challenge: ChallengeWork, Draw: 3 * time.Second},
						{SKU: "q", Play: bargainPlay(nil)}}}}}}}},
		{Kind: CmdLeaveLine, Order: OrderRef{1, 2}, Shopper: []byte("bob")},
		{Kind: CmdReserve, Listing: 3, Shopper: []byte("cai"), Withdraw: true},
		{Kind: CmdEditRoster, Edit: sampleEdits[2], Operator: "op", Note: "why"},
		{Kind: CmdEditRoster, Edit: RosterEdit{Roster: RosterID{Kind: RosterReserved, Listing: 3}, Action: RosterCommit,
			Stage: 5, Count: 1_000_000}, Operator: "op"},
		{Kind: CmdSetSwitches, Switches: SwitchChange{Action: SwitchSet,
			Settings: []Setting{{SwitchRates, 50}, {SwitchDepth, 4096}}}, Operator: "op", Note: "why"},
		{Kind: CmdSetProfile, Switches: SwitchChange{Action: ProfileDefine, Profile: "rush",
			Settings: []Setting{{SwitchTickets, 2}}}, Operator: "op"},
		{Kind: CmdCancelHold, Order: OrderRef{1, 2}, Shopper: []byte("bob")},
		{Kind: CmdPayOrder, Order: OrderRef{1, 3}, Amount: 4900, Currency: "CNY", PaymentID: "p1", PaidAt: clockStart,
			OrderNo: "no", Transaction: Transaction{5}, PayType: "wechat", Coupon: 900},
		{Kind: CmdVoidOrder, Order: OrderRef{1, 4}, Operator: "op", Note: "why"},
		{Kind: CmdExtendHold, Order: OrderRef{1, 5}, Deadline: clockStart, Operator: "op", Note: "why"},
		{Kind: CmdSetReceiver, Order: OrderRef{1, 6}, Shopper: []byte("cai"), Receiver: sealed("Cai"),
			PersonalKey: testKey},
		{Kind: CmdErase, Shoppers: []string{"cai", "dee"}, Deadline: clockStart, Operator: "op", Note: "why"},
		{Kind: CmdRewrap, Rewraps: []Rewrap{{"cai", testKey, PersonalKey{8, "another"}},
			{Key: PersonalKey{8, "lists"}}}},
		{Kind: CmdSteerSession, Session: 1, Action: SessionPause, Operator: "op", Note: "why"},
		{Kind: CmdAddStock, Listing: 1, Amount: -5, Operator: "op", Note: "why"},
		{Kind: CmdRaiseRules, RulesVersion: 1},
		{Kind: CmdConfirmRefund, Refund: 7, Note: "why"},
		{Kind: CmdCloseHold, Order: OrderRef{1, 7}},
		{Kind: CmdSettleSession, Session: 1, Operator: "op", Note: "why", Intent: Intent{Key: Key{1}, Request: Key{2}}},
		{Kind: CmdClearSession, Session: 1, Operator: "op"},
		{Kind: CmdReviewOrders, Session: 1, Reviews: []Review{{OrderRef{1, 8}, ReviewHeld, "why"}}, Operator: "op"},
		{Kind: CmdExportOrders, Session: 1, Export: 3, Orders: []OrderRef{{1, 8}, {1, 9}}, Operator: "op"},
		{Kind: CmdShipOrders, Session: 1, Parcels: []Parcel{{OrderRef{1, 8}, "SF", "SF1001"}}, Operator: "op"},
		{Kind: CmdReceiveOrder, Order: OrderRef{1, 8}, Shopper: []byte("ann")},
		{Kind: CmdReceiveOrders, Session: 1, Orders: []OrderRef{{1, 9}}, Operator: "op", Note: "why"},
		{Kind: CmdOpenEpoch, Node: "a1", Nonce: 7, Secret: [16]byte{9},
			Approving: &ApprovalRules{1000, 5, true, true, time.Hour}},
		{Kind: CmdDecideApproval, Decision: &Decision{Approval: 7, Approve: true}, Operator: "op", Note: "why"},
		{Kind: CmdPlanBack, Back: 9, Entropy: [32]byte{8}, Operator: "op", Note: "why"},
	}
	header := BatchHeader{Epoch: 3, Sequence: 5, Time: clockStart, Commands: len(commands)}
	data := sample(t, sampleBatch, func() []byte { return EncodeBatch(header, commands...) })
	h, got, err := DecodeBatch(data)
	if err != nil || h != header {
		t.Fatalf("header %+v, %v", h, err)
	}
	if a, b := EncodeBatch(h, got...), EncodeBatch(header, commands...); !bytes.Equal(a, b) || !bytes.Equal(a, data) {
		t.Errorf("read   %s\nwant   %s\nstored %s", hex.EncodeToString(a), hex.EncodeToString(b),
			hex.EncodeToString(data))
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
