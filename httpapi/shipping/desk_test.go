package shipping_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/shipping"
	"doorbuster/httpapi/wire"
)

// fakeOffice has orders of one session, "day", and of others.
type fakeOffice struct {
	shipping.Office // what is not used here is not there
	orders          []engine.OrderView
	exports         uint32
	keys            []string // of what went out
	// meanwhile is called before each change, as what others do in between.
	meanwhile func()
}

func newFakeOffice(orders ...engine.OrderView) *fakeOffice {
	f := &fakeOffice{orders: orders, meanwhile: func() {}}
	for i := range f.orders {
		o := &f.orders[i]
		o.Ref = engine.OrderRef{Session: 1, Ordinal: uint32(i + 1)}
		o.OrderNo = fmt.Sprintf("N%d", i+1)
		if o.State == 0 {
			o.State = engine.Paid
		}
		if o.Session == "" {
			o.Session = "day"
		}
		o.Delivery = engine.DeliveryShip
	}
	return f
}

func (f *fakeOffice) ParcelPage(session string, filter engine.ParcelFilter, after engine.OrderRef,
	most int) (page []engine.OrderView, next engine.OrderRef, done bool, err error) {
	most = min(most, 3) // so that there are pages
	for _, o := range f.orders[after.Ordinal:] {
		if len(page) == most {
			return page, next, false, nil
		}
		if next = o.Ref; o.Session == session && filter.Wants(&o) {
			page = append(page, o)
		}
	}
	return page, next, true, nil
}

// change changes an order at each ref, or says of those that may not be.
func (f *fakeOffice) change(refs []engine.OrderRef, may func(*engine.OrderView) bool,
	change func(i int, o *engine.OrderView)) (changed int, err error) {
	f.meanwhile()
	var wrong engine.RowProblems
	for i, ref := range refs {
		if !may(&f.orders[ref.Ordinal-1]) {
			wrong = append(wrong, engine.RowProblem{Row: i, Reason: engine.ReasonNotHeld})
		}
	}
	if len(wrong) > 0 {
		return 0, wrong
	}
	for i, ref := range refs {
		change(i, &f.orders[ref.Ordinal-1])
	}
	return len(refs), nil
}

func isPaid(o *engine.OrderView) bool { return o.State == engine.Paid }

func (f *fakeOffice) Review(_ context.Context, _ engine.By, _ string, r []engine.Review) (int, error) {
	refs := make([]engine.OrderRef, len(r))
	for i := range r {
		refs[i] = r[i].Order
	}
	return f.change(refs, isPaid, func(i int, o *engine.OrderView) {
		o.Review, o.ReviewNote = r[i].Verdict, r[i].Why
		if o.Review == engine.ReviewRejected {
			o.State = engine.RefundDue
		}
	})
}

func (f *fakeOffice) Export(_ context.Context, by engine.By, _ string, export uint32,
	orders []engine.OrderRef) (uint32, error) {
	f.keys = append(f.keys, by.Key)
	if export == 0 && len(orders) > 0 {
		export = f.exports + 1
	}
	_, err := f.change(orders, func(o *engine.OrderView) bool {
		return isPaid(o) && o.Review == engine.ReviewPassed && (o.Export == 0 || o.Export == export)
	}, func(_ int, o *engine.OrderView) { o.Export = export })
	if err == nil {
		f.exports = max(f.exports, export)
	}
	return export, err
}

func (f *fakeOffice) Ship(_ context.Context, _ engine.By, _ string, p []engine.Parcel) (int, error) {
	refs := make([]engine.OrderRef, len(p))
	for i := range p {
		refs[i] = p[i].Order
	}
	return f.change(refs, isPaid, func(i int, o *engine.OrderView) {
		o.State, o.Carrier, o.Tracking, o.ShippedAt = engine.Shipped, p[i].Carrier, p[i].Tracking, 1
	})
}

func (f *fakeOffice) OrderViews(orderNos []string) (found []engine.OrderView, err error) {
	for _, no := range orderNos {
		at := slices.IndexFunc(f.orders, func(o engine.OrderView) bool { return strings.EqualFold(o.OrderNo, no) })
		if at < 0 {
			found = append(found, engine.OrderView{OrderNo: no})
			continue
		}
		found = append(found, f.orders[at])
	}
	return found, nil
}

func (f *fakeOffice) desk(change ...func(*shipping.Config)) *shipping.Desk {
	cfg := shipping.Config{Office: f,
		Listed: func(o *engine.OrderView) (engine.Level, string) {
			level, _ := engine.ParseLevel(strings.TrimSuffix(o.Shopper, "er")) // blocker, watcher, challengeer
			return level, "shopper"
		},
		Places: func(o *engine.OrderView) (at shipping.Places) {
			return shipping.Places{Phone: shipping.Place(o.Receiver.Phone), Address: shipping.Place(o.Receiver.Address)}
		},
		Open: func(o *engine.OrderView) (*wire.Receiver, error) {
			parts := strings.Split(o.Receiver.Sealed, "|")
			return &wire.Receiver{Name: parts[0], Phone: parts[1], Street: parts[2]}, nil
		}}
	for _, c := range change {
		c(&cfg)
	}
	return shipping.New(cfg)
}

// to gives a paid order of a shopper that goes somewhere.
func to(shopper, phone, address string) engine.OrderView {
	o := engine.OrderView{Shopper: shopper, HasReceiver: phone != ""}
	o.Receiver.Sealed = strings.Join([]string{shopper, phone, address}, "|")
	copy(o.Receiver.Phone[:], phone)
	copy(o.Receiver.Address[:], address)
	return o
}

// verdicts are what became of all orders, one after the other.
func (f *fakeOffice) verdicts() (all string) {
	for _, o := range f.orders {
		all += fmt.Sprintf("%s:%s:%s\n", o.Shopper, o.Review, o.ReviewNote)
	}
	return all
}

// A second look goes by lists first, then by who shares a place, and asks the service of
// the rest only.
func TestSecondLook(t *testing.T) {
	f := newFakeOffice(to("blocker", "1", "A"), to("watcher", "2", "B"), to("challengeer", "3", "C"),
		to("ann", "4", "Shared"), to("bob", "5", "Shared"), to("eve", "6", "D"), to("eve", "6", "D"),
		to("gone", "", ""), to("doubt", "7", "E"), to("down", "8", "F"), to("late", "4", "G"))
	var asked atomic.Int32
	d := f.desk(func(c *shipping.Config) {
		c.Ask = func(_ context.Context, o *engine.OrderView) (engine.Level, bool) {
			asked.Add(1)
			switch o.Shopper {
			case "doubt":
				return engine.LevelBlock, true
			case "down":
				return engine.LevelChallenge, false
			}
			return engine.LevelNone, true
		}
	})
	dry, err := d.LookAt(t.Context(), "ops", "day", shipping.Look{Shared: 2, DryRun: true})
	if err != nil || dry.Looked != 11 || dry.Held != 5 || dry.Rejected != 2 || !dry.DryRun {
		t.Errorf("%v: %+v", err, dry)
	}
	if strings.Contains(f.verdicts(), "passed") {
		t.Error(f.verdicts())
	}
	asked.Store(0)
	r, err := d.LookAt(t.Context(), "ops", "day", shipping.Look{Shared: 2})
	if err != nil || r.Looked != 11 || r.Passed != 4 || r.Held != 5 || r.Rejected != 2 || len(r.Orders) != 7 {
		t.Errorf("%v: %+v", err, r)
	}
	// Eve has one place twice, which nobody shares; Ann's phone is Late's, too.
	const want = `blocker:rejected:shopper is on a risk list (block)
watcher:passed:shopper is on a risk list (watch)
challengeer:held:shopper is on a risk list (challenge)
ann:held:phone and address of 2 or more shoppers
bob:held:address of 2 or more shoppers
eve:passed:
eve:passed:
gone:passed:
doubt:rejected:risk service (block)
down:held:risk service does not answer (challenge)
late:held:phone of 2 or more shoppers
`
	if f.verdicts() != want {
		t.Error(f.verdicts())
	}
	if n := asked.Load(); n != 6 { // watcher, eve twice, gone, doubt, down
		t.Errorf("the service was asked %d times", n)
	}
	if r, err = d.LookAt(t.Context(), "ops", "day", shipping.Look{Shared: 2}); err != nil || r.Looked != 0 {
		t.Errorf("%v: %+v", err, r)
	}
	// Again, with others on the lists, and a place that more must share; by hand is by hand.
	if r, err = d.Decide(t.Context(), "ops", "day", []string{"N3"}, engine.ReviewHeld, false); err != nil ||
		r.Held != 1 {
		t.Errorf("%v: %+v", err, r)
	}
	r, err = d.LookAt(t.Context(), "ops", "day", shipping.Look{Shared: 3, Again: true})
	if err != nil || r.Looked != 4 || r.Passed != 3 || r.Held != 1 {
		t.Errorf("%v: %+v", err, r)
	}
	if !strings.Contains(f.verdicts(), "challengeer:held:by hand") {
		t.Error(f.verdicts())
	}
}

// Orders that change while a look goes on keep what they became, and the others get what
// the look says.
func TestLookWhileOrdersChange(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"), to("eve", "3", "C"))
	f.meanwhile = func() { f.orders[1].State = engine.RefundDue } // voided
	r, err := f.desk().LookAt(t.Context(), "ops", "day", shipping.Look{})
	if err != nil || r.Looked != 2 || r.Passed != 2 || r.Changed != 1 {
		t.Errorf("%v: %+v", err, r)
	}
}

// While a look at a session asks the outside service, other changes of its orders are refused,
// and those of other sessions are made; who waits for a turn heeds the end of their request.
func TestTurns(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"))
	f.orders[1].Session = "night"
	asked, answer := make(chan struct{}), make(chan struct{})
	d := f.desk(func(c *shipping.Config) {
		c.Ask = func(context.Context, *engine.OrderView) (engine.Level, bool) {
			close(asked)
			<-answer
			return engine.LevelNone, true
		}
	})
	looked := make(chan error)
	go func() {
		_, err := d.LookAt(t.Context(), "ops", "day", shipping.Look{})
		looked <- err
	}()
	<-asked
	by, short := engine.By{Operator: "ops"}, 10*time.Second
	ctx, stop := context.WithTimeout(t.Context(), short)
	defer stop()
	change := func(session, no string) error {
		_, err := d.Decide(ctx, "ops", session, []string{no}, engine.ReviewPassed, false)
		return err
	}
	_, again := d.LookAt(ctx, "ops", "day", shipping.Look{})
	_, out := d.Export(ctx, by, "day", 0)
	_, shipped := d.Ship(ctx, by, "day", nil)
	_, received := d.Received(ctx, by, "day", nil)
	for what, err := range map[string]error{"another look": again, "a verdict": change("day", "N1"), "an export": out,
		"parcels": shipped, "receipts": received} {
		if !errors.Is(err, shipping.ErrBusy) {
			t.Errorf("%s during a look: %v", what, err)
		}
	}
	if err := change("night", "N2"); err != nil {
		t.Errorf("a verdict on another session's: %v", err)
	}
	close(answer)
	if err := <-looked; err != nil {
		t.Error(err)
	}
	if err := change("day", "N1"); err != nil {
		t.Error(err)
	}

	changing, change2 := make(chan struct{}), make(chan struct{})
	f.meanwhile = func() { close(changing); <-change2 }
	done := make(chan error)
	go func() { done <- change("day", "N1") }()
	<-changing
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := d.LookAt(ended, "ops", "day", shipping.Look{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a look whose request is over: %v", err)
	}
	close(change2)
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.meanwhile = func() {}
	if err := change("day", "N1"); err != nil { // the look that gave up is in nobody's way
		t.Error(err)
	}
}

// A verdict by hand is for all orders that are named, or none.
func TestByHand(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"))
	f.orders[1].State = engine.Shipped
	var problems *shipping.Problems
	_, err := f.desk().Decide(t.Context(), "ops", "day", []string{"N1", "N2", "N9"}, engine.ReviewRejected, false)
	if !errors.As(err, &problems) || problems.Count != 2 || problems.Told[0].Line != 2 || f.orders[0].Review != 0 {
		t.Errorf("%v: %+v", err, f.orders)
	}
}

// An order has small letters in its number as well as capital ones, and is twice in a list
// that has both: nothing is taken of one, and both places are told.
func TestOrderTwiceInAnotherSpelling(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"))
	for i := range f.orders {
		f.orders[i].Review, f.orders[i].Export = engine.ReviewPassed, 1
	}
	d, by := f.desk(), engine.By{Operator: "ops"}
	rows := []shipping.Row{{Line: 2, OrderNo: "N1", Carrier: "SF", Tracking: "1"},
		{Line: 3, OrderNo: "N2", Carrier: "SF", Tracking: "2"}, {Line: 4, OrderNo: "n1", Carrier: "SF", Tracking: "3"}}
	_, shipped := d.Ship(t.Context(), by, "day", rows)
	_, decided := d.Decide(t.Context(), "ops", "day", []string{"N1", "N2", "N1"}, engine.ReviewPassed, false)
	for says, err := range map[string]error{"line 4: the order n1 is there twice: here, and at 2": shipped,
		"line 3: the order N1 is there twice: here, and at 1": decided} {
		if err == nil || err.Error() != says {
			t.Errorf("%v; not: %s", err, says)
		}
	}
	if f.orders[0].ShippedAt != 0 || f.orders[0].ReviewNote != "" || f.orders[1].ShippedAt != 0 {
		t.Errorf("%+v", f.orders)
	}
}

// What has passed goes out once; what changes meanwhile stays.
func TestExport(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"), to("eve", "", ""), to("fox", "4", "D"),
		to("gus", "5", "E"))
	for i := range f.orders[:4] {
		f.orders[i].Review = engine.ReviewPassed
	}
	f.meanwhile = func() { f.orders[3].State = engine.RefundDue }
	d, by := f.desk(), engine.By{Operator: "ops"}
	x, err := d.Export(t.Context(), by, "day", 0)
	if err != nil || x.Export != 1 || x.Orders != 2 || x.NoReceiver != 1 || x.NoReceiverOrders[0] != "N3" ||
		x.Unreviewed != 1 {
		t.Errorf("%v: %+v", err, x)
	}
	// Part of it may be out by then: under one key the rest goes out with the same number.
	if len(f.keys) != 2 || f.keys[0] == "" || f.keys[0] != f.keys[1] {
		t.Errorf("%q", f.keys)
	}
	if x, err = d.Export(t.Context(), by, "day", 0); err != nil || x.Export != 0 || x.Orders != 0 {
		t.Errorf("%v: %+v", err, x)
	}
	// What passes later goes out with the next one: the warehouse may have this one already.
	f.orders[4].Review, f.meanwhile = engine.ReviewPassed, func() {}
	if x, err = d.Export(t.Context(), by, "day", 1); err != nil || x.Export != 1 || x.Orders != 2 ||
		f.orders[4].Export != 0 {
		t.Errorf("%v: %+v, %+v", err, x, f.orders[4])
	}
	if _, err = d.Export(t.Context(), by, "day", 2); !errors.Is(err, shipping.ErrNoExport) || f.orders[4].Export != 0 {
		t.Errorf("%v: %+v", err, f.orders[4])
	}
	var whole, rest bytes.Buffer
	err = errors.Join(d.Write(t.Context(), &whole, shipping.Written{Session: "day", Export: 1, Format: shipping.CSV}),
		d.Write(t.Context(), &rest, shipping.Written{Session: "day", Export: 1, After: "N1", Format: shipping.CSV}))
	if err != nil || strings.Count(whole.String(), "\n") != 3 ||
		!strings.HasSuffix(whole.String(), "\n"+rest.String()) || !strings.HasPrefix(rest.String(), "N2,") {
		t.Errorf("%v: %s%s", err, &whole, &rest)
	}
	whole.Reset()
	if err = d.Write(t.Context(), &whole, shipping.Written{Session: "day", Export: 2}); !errors.Is(err,
		shipping.ErrNoExport) || whole.Len() > 0 {
		t.Error(err)
	}
	if err = d.Write(t.Context(), &whole, shipping.Written{Session: "day", Export: 1, After: "N3"}); !errors.Is(err,
		shipping.ErrNotInExport) || whole.Len() > 0 {
		t.Error(err)
	}
}

// Cells that a spreadsheet would reckon with are led in by an apostrophe, and no others.
func TestExportHasNoFormulas(t *testing.T) {
	for address, want := range map[string]string{"=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "-2+3+cmd!x": "'-2+3+cmd!x",
		"+86 138 0000": "+86 138 0000", "-5": "-5", "1 Lane": "1 Lane", "\tx": "'\tx",
		"＝1+1": "'＝1+1", "＠SUM(A1)": "'＠SUM(A1)",
		"1 Lane;=1+1": "1 Lane;'=1+1", "1;2; ＋cmd": "1;2;' ＋cmd", "=1;-2;3": "'=1;'-2;3",
		"Room 1; Floor 2": "Room 1; Floor 2"} {
		f := newFakeOffice(to("ann", "1", address))
		f.orders[0].Export = 1
		var b bytes.Buffer
		if err := f.desk().Write(t.Context(), &b, shipping.Written{Session: "day", Export: 1}); err != nil ||
			!strings.Contains(b.String(), ",1,,,,,"+want+",") {
			t.Errorf("%v: %q, not %q", err, &b, want)
		}
	}
}

// A file of parcels is taken whole or not at all, and every row that is in the way is
// told.
func TestParcels(t *testing.T) {
	f := newFakeOffice(to("ann", "1", "A"), to("bob", "2", "B"), to("eve", "3", "C"), to("fox", "4", "D"),
		to("gus", "5", "E"), to("hal", "6", "F"))
	for i := range f.orders {
		f.orders[i].Review, f.orders[i].Export = engine.ReviewPassed, 1
	}
	f.orders[1].Session = "other"
	f.orders[2].Export = 0
	f.orders[3].Carrier, f.orders[3].Tracking, f.orders[3].ShippedAt, f.orders[3].State = "SF", "4", 1, engine.Shipped
	f.orders[4].State = engine.RefundDue
	row := func(line int, no, tracking string) shipping.Row {
		return shipping.Row{Line: line, OrderNo: no, Carrier: "SF", Tracking: tracking}
	}
	d, by := f.desk(), engine.By{Operator: "ops", Key: "k"}
	var problems *shipping.Problems
	_, err := d.Ship(t.Context(), by, "day", []shipping.Row{row(2, "N1", "1"), row(3, "N2", "2"), row(4, "N3", "3"),
		row(5, "N4", "5"), row(6, "N5", "5"), row(7, "N9", "9")})
	if !errors.As(err, &problems) || problems.Count != 5 || f.orders[0].ShippedAt != 0 {
		t.Fatalf("%v: %+v", err, f.orders)
	}
	for i, want := range []string{"is of another session, other", "is not exported: it goes out with the next export",
		"was shipped before with SF 4", "is refund_due", "there is no order N9"} {
		if p := problems.Told[i]; p.Line != i+3 || !strings.Contains(p.Message, want) {
			t.Errorf("line %d: %s; not %s", p.Line, p.Message, want)
		}
	}
	good := []shipping.Row{row(2, "N1", "1"), row(3, "N4", "4")}
	taken, err := d.Ship(t.Context(), by, "day", good)
	if err != nil || taken.Rows != 2 || taken.Changed != 1 || taken.Unchanged != 1 || f.orders[0].Tracking != "1" {
		t.Errorf("%v: %+v", err, taken)
	}
	if taken, err = d.Ship(t.Context(), by, "day", good); err != nil || taken.Changed != 0 || taken.Unchanged != 2 {
		t.Errorf("%v: %+v", err, taken)
	}
	f.meanwhile = func() { f.orders[5].State = engine.RefundDue }
	if _, err = d.Ship(t.Context(), by, "day", []shipping.Row{row(2, "N6", "6")}); !errors.Is(err, shipping.ErrPartly) {
		t.Error(err)
	}
}
