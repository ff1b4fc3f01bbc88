package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/wire"
)

// fakeNow is the time that the fakes say it is.
var fakeNow = engine.TimeOf(time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC))

const fakeOrderNo = "0123456789ABCDEFGHJKMNPQ"

var fakeNo = engine.OrderNo([]byte(fakeOrderNo))

var fakeRef = engine.OrderRef{Session: 1, Ordinal: 1}

// fakeSeller answers what a test tells it to, and keeps what it was asked.
type fakeSeller struct {
	answer  engine.Answer
	onGrab  func(*engine.Grab)
	grabbed engine.Grab // copies

	found bool
	order engine.OrderView
	err   error

	shopper, key, orderNo, session, cursor string
	deadline                               engine.Time
	limit                                  int
	payment                                engine.Payment
	receiver                               engine.Receiver
	personal                               engine.PersonalKey // of whoever set a receiver last
	sessions                               []engine.SessionView
	version                                uint64   // of sessions; 0: not to be kept
	called                                 []string // what else it was asked
	wording                                uint64   // version of messages
	messages                               []engine.Message

	rules   engine.DoorRules
	bargain engine.BargainView
	cut     engine.CutView
	cutErr  error         // of starting and cutting
	changed chan struct{} // the bargain has
	asker   string        // whose own part of a bargain was asked for
	code    string
}

func (f *fakeSeller) Decide(g *engine.Grab, _ engine.Asker) (engine.Answer, bool) {
	if f.onGrab != nil {
		f.onGrab(g)
	}
	return f.answer, true
}

// keepGrabs makes f copy what it is asked.
func (f *fakeSeller) keepGrabs() *fakeSeller {
	f.onGrab = func(g *engine.Grab) {
		f.grabbed = engine.Grab{Listing: []byte(string(g.Listing)), Shopper: []byte(string(g.Shopper)),
			IdempotencyKey: []byte(string(g.IdempotencyKey)), Quantity: g.Quantity, Bargain: g.Bargain}
	}
	return f
}

func (f *fakeSeller) GrabByKey(shopper, key []byte, deadline engine.Time) (engine.Answer, bool, error) {
	f.shopper, f.key, f.deadline = string(shopper), string(key), deadline
	return f.answer, f.found, f.err
}

func (f *fakeSeller) Order(shopper, orderNo string) (engine.OrderView, error) {
	f.shopper, f.orderNo = shopper, orderNo
	return f.order, f.err
}

func (f *fakeSeller) Orders(shopper, session, cursor string, limit int) ([]engine.OrderView, string, error) {
	f.shopper, f.session, f.cursor, f.limit = shopper, session, cursor, limit
	return []engine.OrderView{f.order}, "next page", f.err
}

func (f *fakeSeller) Cancel(_ context.Context, shopper, orderNo string) (engine.OrderView, error) {
	f.shopper, f.orderNo = shopper, orderNo
	return f.order, f.err
}

func (f *fakeSeller) SetReceiver(_ context.Context, shopper, orderNo string, to engine.Receiver,
	key engine.PersonalKey) (engine.OrderView, error) {
	f.shopper, f.orderNo, f.receiver, f.personal = shopper, orderNo, to, key
	o := f.order
	o.Shopper = shopper
	o.Receiver, o.HasReceiver = to, true
	return o, f.err
}

func (f *fakeSeller) Received(_ context.Context, shopper, orderNo string) (engine.OrderView, error) {
	f.shopper, f.orderNo = shopper, orderNo
	return f.order, f.err
}

func (f *fakeSeller) Pay(_ context.Context, p engine.Payment) (engine.Receipt, error) {
	f.orderNo, f.payment = p.OrderNo, p
	return engine.Receipt{Outcome: engine.PaymentTaken, Order: f.order}, f.err
}

func (f *fakeSeller) AnyOrder(orderNo string) (engine.OrderView, error) {
	f.orderNo = orderNo
	return f.order, f.err
}

func (f *fakeSeller) Listing(session, sku string) (*engine.ListingView, bool, error) {
	if f.err != nil {
		return nil, false, f.err
	}
	for i := range f.sessions {
		for j := range f.sessions[i].Listings {
			if l := &f.sessions[i].Listings[j]; f.sessions[i].ID == session && l.SKU == sku {
				return l, true, nil
			}
		}
	}
	return nil, false, nil
}

func (f *fakeSeller) ListingOf(engine.ListingHandle) (session, sku, currency string) {
	return "fans-day-10", "mask-50", "CNY"
}

func (f *fakeSeller) Sessions(known uint64) ([]engine.SessionView, uint64, error) {
	if f.err != nil {
		return nil, 0, f.err
	}
	if known != 0 && known == f.version {
		return nil, known, nil
	}
	return f.sessions, f.version, nil
}

func (f *fakeSeller) Messages(listing []byte, h engine.ListingHandle) (string, uint64, []engine.Message) {
	if string(listing) != "fans-day-10/skus/mask-50" && h != 1 {
		return "", 0, nil
	}
	return "Asia/Shanghai", f.wording, f.messages
}

func (f *fakeSeller) Now() engine.Time { return fakeNow }
func (f *fakeSeller) Reserve(_ context.Context, shopper, session, sku string, withdraw bool) (bool, error) {
	f.called = append(f.called, fmt.Sprint("reserve ", shopper, " ", session, " ", sku, " ", withdraw))
	return len(f.called) == 1, f.err
}

func (f *fakeSeller) LeaveWaitlist(_ context.Context, shopper, key []byte) (engine.OrderView, error) {
	f.called = append(f.called, fmt.Sprintf("leave %s %s", shopper, key))
	return f.order, f.err
}

func (f *fakeSeller) Watch(string) (<-chan struct{}, func()) { return make(chan struct{}), func() {} }
func (f *fakeSeller) Own(context.Context, string, int) ([]engine.OrderView, error) {
	return []engine.OrderView{f.order}, f.err
}
func (f *fakeSeller) Estimate(string, string, uint32) (int64, bool) { return 0, false }
func (f *fakeSeller) Draw(session, sku, _ string, _ int) (engine.DrawView, error) {
	return engine.DrawView{Session: session, SKU: sku}, f.err
}
func (f *fakeSeller) DoorRules([]byte) engine.DoorRules {
	if f.rules.Session == 0 {
		return engine.DoorRules{Session: 1, Listing: 1}
	}
	return f.rules
}

func (f *fakeSeller) StartBargain(ctx context.Context, shopper, session, sku string) (engine.BargainView, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.called = append(f.called, fmt.Sprint("start ", shopper, " ", session, " ", sku))
	return f.bargain, f.cutErr
}

func (f *fakeSeller) Bargain(_ context.Context, code, asker string) (engine.BargainView, error) {
	f.code, f.asker = code, asker
	if code != f.bargain.Code {
		return engine.BargainView{}, &engine.Refusal{Reason: engine.ReasonUnknown}
	}
	return f.bargain, f.err
}

func (f *fakeSeller) CutBargain(ctx context.Context, friend, code string, key []byte) (engine.CutView,
	engine.BargainView, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.called = append(f.called, fmt.Sprintf("cut %s %s %s", friend, code, key))
	return f.cut, f.bargain, f.cutErr
}

func (f *fakeSeller) WatchBargain(string) (<-chan struct{}, func()) { return f.changed, func() {} }
func (f *fakeSeller) Risk(*engine.Visitor) engine.Level             { return engine.LevelNone }
func (f *fakeSeller) Switches() *engine.Switches {
	normal := engine.NormalSwitches()
	return &normal
}
func (f *fakeSeller) TicketSecret() ([32]byte, bool) { return [32]byte{1}, true }

// heldOrder is an order as the fakes give it.
func heldOrder() engine.OrderView {
	return engine.OrderView{Ref: fakeRef, OrderNo: fakeOrderNo, Shopper: "ada", Session: "fans-day-10", SKU: "mask-50",
		Quantity: 1,
		Amount:   100, Currency: "CNY", State: engine.Held, GrantedAt: fakeNow, PayBy: fakeNow.Add(15 * time.Minute),
		ChangedAt: fakeNow}
}

// granted is the answer that goes with heldOrder.
func granted() engine.Answer {
	return engine.Answer{Code: engine.CodeGranted, State: engine.Held, Order: fakeRef, No: fakeNo, Session: 1,
		Listing: 1, Quantity: 1, Amount: 100,
		PayBy: fakeNow.Add(15 * time.Minute)}
}

func fakeSessions() []engine.SessionView {
	listing := func(sku string, at *engine.Place) engine.ListingView {
		return engine.ListingView{Session: "fans-day-10", SKU: sku, Name: engine.Text{{Lang: "en", Text: `Masks "50"`},
			{Lang: "zh", Text: "医用口罩"}},
			Price: 100, ListPrice: 4900, Currency: "CNY", Stock: 1000, State: engine.ListingOpen, Start: fakeNow,
			End: fakeNow.Add(time.Hour), LimitPerShopper: 1, Place: at}
	}
	return []engine.SessionView{
		{ID: "nowhere", Sale: "fans-day", State: engine.Published, Start: fakeNow, End: fakeNow.Add(time.Hour)},
		{ID: "fans-day-10", Sale: "fans-day", SaleName: engine.Text{{Lang: "en", Text: "Fans' Day"},
			{Lang: "zh", Text: "粉丝节"}},
			State: engine.Open, Start: fakeNow, End: fakeNow.Add(time.Hour), PayWithinMS: 900_000, PayGraceMS: 120_000,
			LimitPerShopper:   1,
			AdmissionMultiple: 20, Listings: []engine.ListingView{
				listing("no-place", nil), listing("beijing", &engine.Place{Latitude: 39.9, Longitude: 116.4}),
				listing("mask-50", &engine.Place{Latitude: 31.2, Longitude: 121.5})}},
	}
}

// selling gives what a server needs of a fake.
func selling[F interface {
	Grabber
	ShopperOrders
	Display
	Rules
	Bargains
	Receiving
}](f F) Seller {
	return Seller{Grabber: f, ShopperOrders: f, Receiving: f, Display: f, Rules: f, Bargains: f}
}

const fakeCode = "0123456789ABCDEFGHJKMNPQRS"

// openBargain is a bargain of ada's as the fakes give it, that bob has cut.
func openBargain() engine.BargainView {
	return engine.BargainView{Ref: engine.BargainRef{Session: 1, Ordinal: 7}, Code: fakeCode, Session: "fans-day-10",
		SKU: "mask-50", Listing: 1, Owner: "ada", State: engine.BargainOpen, From: 4900, Floor: 100, Price: 4660,
		Currency: "CNY", Cuts: 1, Friends: 20, Started: fakeNow, Expires: fakeNow.Add(time.Hour),
		Recent:     []engine.CutView{{Friend: "bob", Number: 1, At: fakeNow, Amount: 240, Weight: 100, New: true}},
		Commitment: [32]byte{1}}
}

// helpedBy gives a bargain as a friend sees it who has cut it.
func helpedBy(friend string, amount int64) engine.BargainView {
	v := openBargain()
	v.Helped = engine.CutView{Friend: friend, Number: 1, At: fakeNow, Amount: amount, Weight: 100}
	return v
}

// testVault goes by the key that f keeps.
func testVault(f personal.Table) *personal.Vault {
	return personal.New(f, roster.Canon{}, []personal.Key{{Number: 3, Secret: [personal.KeyBytes]byte{1}}})
}

func (f *fakeSeller) PersonalKey(shopper string) (engine.PersonalKey, bool) {
	if f.shopper != shopper {
		return engine.PersonalKey{}, false
	}
	return f.personal, f.personal.KEK != 0
}

func (f *fakeSeller) ListKey() (key engine.PersonalKey, there bool) { return key, false }

func (f *fakeSeller) PersonalSecret() (secret [32]byte, known bool) { return [32]byte{2}, true }

// newTestShopper makes a server in dev mode around f.
func newTestShopper(t testing.TB, f *fakeSeller) *ShopperServer {
	t.Helper()
	if f.order.OrderNo == "" {
		f.order = heldOrder()
	}
	s, err := NewShopper(ShopperConfig{Seller: selling(f), Personal: testVault(f), Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeOperator answers what a test tells it to, and keeps what it was asked.
type fakeOperator struct {
	due      []engine.RefundView // by number
	err      error
	changes  []engine.Change
	problems []engine.Problem
	found    []engine.OrderView
	panics   bool

	operator, session, sku, orderNo, note string
	action                                engine.SessionAction
	units                                 int64
	payBy                                 engine.Time
	dryRun                                bool
	profile                               string          // of the switchboard; rush without
	done                                  map[string]bool // requests, by key
	plan                                  *engine.Plan
	sale                                  string
	message                               engine.Message
	filter                                engine.OrderFilter
	switched                              engine.SwitchChange
	rows                                  []engine.RosterRow
	roster                                engine.RosterName
	imported                              string
	replaced                              bool
	drawn                                 *engine.DrawView
	bargains                              engine.BargainFilter
	code                                  string
	behind                                uint32
	most                                  int

	products map[string]engine.ProductView // by id; the fake's own without
	put      *engine.ProductImport         // the last, whose rows were
	putRows  []engine.Product
	putOut   engine.ProductImported
	putErr   error
	gone     []string // what was deleted, retired or archived, and how
}

func (f *fakeOperator) ApplyPlan(_ context.Context, by engine.By, plan *engine.Plan, dryRun bool) (engine.PlanOutcome,
	error) {
	f.operator, f.plan, f.dryRun = by.Operator, plan, dryRun
	return engine.PlanOutcome{Changes: f.changes, Problems: f.problems}, f.err
}

func (f *fakeOperator) Planned(w engine.Wanted) (*engine.Planned, bool, error) {
	p := &engine.Planned{At: fakeNow, More: w.Products}
	p.Plan.Products = []engine.Product{{ID: "mask-50", Currency: "CNY"}}
	p.Plan.Sales = []engine.SalePlan{{Sale: engine.Sale{ID: "fans-day", Timezone: "UTC"}}}
	return p, w.Sale == "" || w.Sale == "fans-day", f.err
}

func (f *fakeOperator) SetMessage(ctx context.Context, by engine.By, sale string,
	own engine.Message) (engine.PlanOutcome, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	if sale == "none" {
		return engine.PlanOutcome{}, &engine.Refusal{Reason: engine.ReasonUnknown}
	}
	f.operator, f.sale, f.message = by.Operator, sale, own
	return engine.PlanOutcome{Changes: f.changes, Problems: f.problems}, f.err
}

func (f *fakeOperator) MessageBack(context.Context, engine.By, string, string, bool) (engine.PlanOutcome, error) {
	return engine.PlanOutcome{}, nil
}

func (f *fakeOperator) Steer(ctx context.Context, by engine.By, session string, action engine.SessionAction,
	note string) (engine.SessionView, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.operator, f.session, f.action, f.note = by.Operator, session, action, note
	return fakeSessions()[1], f.err
}

func (f *fakeOperator) Settle(_ context.Context, by engine.By, session, note string) (engine.SessionView, error) {
	f.operator, f.session, f.note = by.Operator, session, note
	return engine.SessionView{ID: session, Sale: "fans-day", State: engine.Settled}, f.err
}

func (f *fakeOperator) AddStock(_ context.Context, by engine.By, session, sku string, units int64,
	note string) (engine.Counts, error) {
	f.operator, f.session, f.sku, f.units, f.note = by.Operator, session, sku, units, note
	return f.counts(session, sku), f.err
}

func (f *fakeOperator) Void(_ context.Context, by engine.By, orderNo, note string) (engine.OrderView, error) {
	f.operator, f.orderNo, f.note = by.Operator, orderNo, note
	o := heldOrder()
	o.State = engine.Voided
	return o, f.err
}

func (f *fakeOperator) Extend(_ context.Context, by engine.By, orderNo string, payBy engine.Time,
	note string) (engine.OrderView, error) {
	f.operator, f.orderNo, f.payBy, f.note = by.Operator, orderNo, payBy, note
	o := heldOrder()
	o.PayBy = payBy
	return o, f.err
}

func (f *fakeOperator) counts(session, sku string) engine.Counts {
	return engine.Counts{Session: session, SKU: sku, Stock: 1000, Held: 990, Paid: 10, Waiting: 4, Entrants: 5,
		Reserved: 6, Shoppers: 1000, State: engine.ListingOpen, LogIndex: 4711}
}

func (f *fakeOperator) Counts(session, sku string) (engine.Counts, error) {
	if session == "nowhere" || strings.HasPrefix(sku, "none") {
		return engine.Counts{}, &engine.Refusal{Reason: engine.ReasonUnknown}
	}
	return f.counts(session, sku), f.err
}

func (f *fakeOperator) FindOrders(filter engine.OrderFilter) ([]engine.OrderView, string, error) {
	f.filter = filter
	return f.found, "more", f.err
}

func (f *fakeOperator) LostOrder(string) (engine.LostOrder, bool) { return engine.LostOrder{}, false }

func (f *fakeOperator) RefundsDue(after engine.RefundNo, most int) []engine.RefundView {
	due := f.due
	for len(due) > 0 && due[0].No <= after {
		due = due[1:]
	}
	return due[:min(len(due), most)]
}

func (f *fakeOperator) Switchboard() (engine.SwitchboardView, error) {
	v := engine.SwitchboardView{LogIndex: 4711, Now: engine.NormalSwitches(), Profile: "rush",
		Profiles: []engine.Profile{{Name: cmp.Or(f.profile, "rush"), Settings: []engine.Setting{
			{Switch: engine.SwitchTickets, Value: 2},
			{Switch: engine.SwitchRates, Value: 50}}}}}
	before := v.Now
	v.Now[engine.SwitchTickets], v.Now[engine.SwitchRates] = 2, 50
	v.History = []engine.SwitchRecord{
		{At: fakeNow, Index: 9, Operator: "grace", Action: engine.SwitchNormal, Before: before, After: before},
		{At: fakeNow, Index: 4711, Operator: "ada", Note: "bots", Action: engine.SwitchProfile, Profile: "rush",
			Before: before, After: v.Now},
	}
	return v, f.err
}

func (f *fakeOperator) ChangeSwitches(ctx context.Context, by engine.By, change engine.SwitchChange,
	note string) (engine.SwitchboardView, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.operator, f.switched, f.note = by.Operator, change, note
	return f.Switchboard()
}

func (f *fakeOperator) Draw(session, sku, cursor string, most int) (engine.DrawView, error) {
	if f.drawn == nil {
		return engine.DrawView{}, cmp.Or(f.err, error(&engine.Refusal{Reason: engine.ReasonUnknown}))
	}
	v, from := *f.drawn, 0
	v.Session, v.SKU = session, sku
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	}
	end := min(from+most, from+2, len(v.Entries)) // short pages, as when many orders are no entries
	if v.Entries = v.Entries[from:end]; end < len(f.drawn.Entries) {
		v.Next = strconv.Itoa(end)
	}
	return v, f.err
}

func (f *fakeOperator) Waitlist(session, sku, cursor string, most int) ([]engine.OrderView, string, error) {
	f.session, f.sku = session, sku
	return f.found, "9", f.err
}

func (f *fakeOperator) Rosters() ([]engine.RosterInfo, error) {
	infos := []engine.RosterInfo{}
	for _, k := range riskKinds {
		infos = append(infos, engine.RosterInfo{RosterName: engine.RosterName{Kind: k.kind}, Count: int64(len(f.rows))})
	}
	return append(infos, engine.RosterInfo{RosterName: engine.RosterName{Kind: engine.RosterAllowed, Name: "vips"},
		Count: 3}), f.err
}

func (f *fakeOperator) RosterPage(name engine.RosterName, from, most int) ([]engine.RosterRow, int, int64, bool,
	error) {
	f.roster = name
	end := min(from+most, len(f.rows))
	return f.rows[min(from, end):end], end, int64(len(f.rows)), end == len(f.rows), f.err
}

func (f *fakeOperator) ExportRoster(name engine.RosterName, each func([]engine.RosterRow) error) error {
	f.roster = name
	for i := range f.rows {
		if err := each(f.rows[i : i+1]); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fakeOperator) RosterRow(name engine.RosterName, id string) (engine.RosterRow, bool, error) {
	f.roster = name
	for _, row := range f.rows {
		if row.ID == id {
			return row, true, f.err
		}
	}
	return engine.RosterRow{}, false, f.err
}

func (f *fakeOperator) ImportRoster(ctx context.Context, name engine.RosterName,
	rows engine.RosterImport) (engine.RosterImported, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.roster, f.imported, f.operator, f.note, f.replaced = name, "", rows.By.Operator, rows.Note, rows.Replace
	out := engine.RosterImported{Count: int64(rows.Count)}
	for row := range rows.Rows {
		out.Take(row)
		f.imported += fmt.Sprintf("%s=%s ", row.ID, row.Level)
	}
	if rows.Committed != nil {
		rows.Committed(rows.Count)
	}
	return out, f.err
}

func (f *fakeOperator) DropRoster(_ context.Context, by engine.By, name engine.RosterName, note string) error {
	f.operator, f.roster, f.note = by.Operator, name, note
	return f.err
}

func (f *fakeOperator) Plays() ([]engine.PlayVersion, error) {
	return []engine.PlayVersion{{PlayTemplate: engine.PlayTemplate{ID: "bargain", Text: "id: bargain"}, Version: 2,
		Since: fakeNow}}, f.err
}

func (f *fakeOperator) FindBargains(filter engine.BargainFilter) ([]engine.BargainView, string, error) {
	f.bargains = filter
	return []engine.BargainView{openBargain()}, "more", f.err
}

func (f *fakeOperator) BargainCuts(code string, behind uint32, most int) (engine.BargainView, error) {
	f.code, f.behind, f.most = code, behind, most
	v := openBargain()
	v.Recent = v.Recent[:min(most, 1)]
	return v, f.err
}

func (f *fakeOperator) EndBargain(ctx context.Context, by engine.By, code, note string) (engine.BargainView, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a command without a deadline")
	}
	f.operator, f.code, f.note = by.Operator, code, note
	v := openBargain()
	v.State = engine.BargainEnded
	return v, f.err
}

func (f *fakeOperator) Sales() []engine.Sale {
	return []engine.Sale{{ID: "fans-day", Name: engine.Text{{Lang: "en", Text: "Fans' Day"}}, Timezone: "Asia/Shanghai",
		Messages: []engine.Message{{Name: "missed", Text: engine.Text{{Lang: "en", Text: "Not today."}}},
			{Name: "of_another_build"}}}}
}

func (f *fakeOperator) AllSessions() []engine.SessionView { return fakeSessions() }

func (f *fakeOperator) Done(_ context.Context, by engine.By) (bool, error) {
	return by.Key != "" && f.done[by.Key], f.err
}

// fakeCluster is ready unless notReady says why not, and one node that leads
// unless status says otherwise.
type fakeCluster struct {
	notReady error
	status   *wire.Cluster

	refused          []NodeRefusals
	shopper, session string // whose refusals were asked for
}

func (f *fakeCluster) Ready() error { return f.notReady }
func (f *fakeCluster) Refusals(ctx context.Context, shopper, session string) []NodeRefusals {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("a question without a deadline")
	}
	f.shopper, f.session = shopper, session
	return f.refused
}

func (f *fakeCluster) Status() wire.Cluster {
	if f.status != nil {
		return *f.status
	}
	return wire.Cluster{Leader: "a1", Term: 2, Epoch: 7,
		Nodes: []wire.Node{{ID: "a1", Zone: "a", Role: "leader", Reachable: true, AppliedIndex: 9, LastIndex: 9}}}
}

// fakeOperations answers what a test tells it to, and keeps what it was asked.
type fakeOperations struct {
	err     error
	refusal string // of the plan to promote
	text    string // of the backup, written before err is given
	hold    func() // a backup waits in it

	operator, asked string
}

func (f *fakeOperations) ask(operator, format string, args ...any) {
	f.operator, f.asked = operator, fmt.Sprintf(format, args...)
}

func (f *fakeOperations) Join(ctx context.Context, operator string, m wire.Member) error {
	if _, bounded := ctx.Deadline(); !bounded {
		panic("an operation without a deadline")
	}
	f.ask(operator, "join %+v", m)
	return f.err
}

func (f *fakeOperations) Remove(_ context.Context, operator, node string) error {
	f.ask(operator, "remove %s", node)
	return f.err
}

func (f *fakeOperations) Transfer(_ context.Context, operator, from, to string) (string, error) {
	f.ask(operator, "transfer %q %q", from, to)
	return "b1", f.err
}

func (f *fakeOperations) Snapshot(_ context.Context, operator string) (uint64, error) {
	f.ask(operator, "snapshot")
	return 4711, f.err
}

func (f *fakeOperations) SetZoneAck(_ context.Context, operator, mode, note string) error {
	f.ask(operator, "zone-ack %s because %q", mode, note)
	return f.err
}

func (f *fakeOperations) Prefer(_ context.Context, operator, zone string) error {
	f.ask(operator, "prefer %q", zone)
	return f.err
}

func (f *fakeOperations) Drain(_ context.Context, operator string, d wire.Drain) error {
	f.ask(operator, "drain %+v", d)
	return f.err
}

func (f *fakeOperations) PromotePlan(_ context.Context, zone string) (wire.PromotePlan, error) {
	return wire.PromotePlan{Zone: zone, Node: "b1", Generation: 1, NextGeneration: 2, LastIndex: 9, AppliedIndex: 9,
		Term: 2, ZoneAck: wire.ZoneAckPrefer,
		LeaderHeardAgo: "12s", Unreachable: []string{"a1", "a2"}, Will: []string{"Raise the generation."},
		Refusal: f.refusal, Token: "t-9"}, f.err
}

func (f *fakeOperations) Promote(ctx context.Context, operator, zone, token string) (wire.PromotePlan, error) {
	f.ask(operator, "promote %s as %s", zone, token)
	return f.PromotePlan(ctx, zone)
}

func (f *fakeOperations) Backup(ctx context.Context, w io.Writer, stateOnly bool) error {
	if _, bounded := ctx.Deadline(); bounded {
		panic("a backup with a deadline")
	}
	f.ask("", "backup")
	if stateOnly {
		f.ask("", "backup of the state only")
	}
	if f.text != "" {
		if _, err := io.WriteString(w, f.text); err != nil {
			return err
		}
	}
	if f.hold != nil {
		f.hold()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.err
}
