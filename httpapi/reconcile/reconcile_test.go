package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/statement"
)

func listing(sku string, stock, price int64) engine.ListingSpec {
	return engine.ListingSpec{SKU: sku, Price: price, Stock: stock, Shown: -1, LimitPerShopper: 1}
}

// TestEveryDifference has one of each in one statement, and sees what is told.
func TestEveryDifference(t *testing.T) {
	for _, format := range []statement.Format{statement.CSV, statement.NDJSON} {
		t.Run(string(format), func(t *testing.T) { everyDifference(t, format) })
	}
}

func everyDifference(t *testing.T, format statement.Format) {
	s := openShop(t, listing("mask", 8, 4900), listing("gel", 2, 100))
	var b book
	at := func(minutes int) engine.Time { return opened.Add(time.Duration(minutes) * time.Minute) }
	agreed, lost, missing, differs, conflict := s.grab("mask", "ann"), s.grab("mask", "bob"), s.grab("mask",
		"cai"), s.grab("mask", "dov"), s.grab("mask", "eva")
	late, tooLate, twice := s.grab("mask", "fay"), s.grab("gel", "gil"), s.grab("mask", "hal")
	other := s.grab("gel", "ivy")
	s.paid(agreed, "p-agreed", at(1))
	b.took(agreed, "p-agreed", 4900, at(1))
	b.took(lost, "p-lost", 4900, at(2))
	s.paid(missing, "p-missing", at(3))
	b.took(differs, "p-differs", 4901, at(4))
	b.took(conflict, "p-agreed-too", 4900, at(4))
	s.paid(other, "p-agreed-too", at(4))
	b.took("000000000000000000000000", "p-unknown", 700, at(5))
	b.took(agreed, "p-agreed", 4900, at(1)) // again
	b.gaveBack(agreed, "p-agreed", 4900, at(6))
	s.paid(twice, "p-once", at(7))
	b.took(twice, "p-once", 4900, at(7))
	b.took(twice, "p-twice", 4900, at(8)) // nobody has told us, and they have it back already
	b.gaveBack(twice, "p-twice", 4900, at(9))
	s.after(20 * time.Minute) // the holds are over
	s.grab("gel", "joe")      // and one unit is another's
	b.took(late, "p-late", 4900, at(18))
	b.took(tooLate, "p-too-late", 100, at(18))

	dry, foundDry := reconciled(t, s, b.text(format), func(o *reconcile.Options) { o.DryRun = true })
	before := s.snapshot()
	if dry, _ := reconciled(t, s, b.text(format), func(o *reconcile.Options) { o.DryRun = true }); dry.Booked != 0 ||
		before != s.snapshot() {
		t.Errorf("a dry run booked %d", dry.Booked)
	}
	// only the log can tell a conflict
	if n := len(foundDry[reconcile.Unbooked]); n != 5 || !strings.Contains(dry.Verdict, "dry run") {
		t.Errorf("a dry run tells of %d lost payments: %s", n, dry.Verdict)
	}

	report, found := reconciled(t, s, b.text(format), nil)
	for kind, want := range map[reconcile.Kind][]string{
		reconcile.LostPayment: {"p-lost paid_late", "p-twice refund_due", "p-late paid_late",
			"p-too-late refund_due"},
		reconcile.LostRefund:      {"p-twice "},
		reconcile.RefundPending:   {"p-too-late "},
		reconcile.Repeated:        {"p-agreed "},
		reconcile.UnknownOrder:    {"p-unknown "},
		reconcile.AmountDiffers:   {"p-differs "},
		reconcile.PaymentConflict: {"p-agreed-too "},
		reconcile.MissingPayment:  {"p-missing ", "p-agreed-too "},
		reconcile.UnknownRefund:   {"p-agreed "},
	} {
		var got []string
		for _, f := range found[kind] {
			got = append(got, f.PaymentID+" "+f.Outcome)
			if f.Open != kind.Open() || f.Says == "" || f.Currency != "CNY" {
				t.Errorf("%+v", f)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		delete(found, kind)
	}
	if len(found) > 0 {
		t.Errorf("also %v", found)
	}
	if report.Open != 7 || report.Booked != 5 || report.Matched != 2 || report.Found != 13 ||
		!strings.HasPrefix(report.Verdict, "7 differences are open.") {
		t.Errorf("open %d, booked %d, matched %d, found %d: %s", report.Open, report.Booked, report.Matched,
			report.Found, report.Verdict)
	}
	want := reconcile.Total{Currency: "CNY",
		Theirs: reconcile.Book{Payments: 9, Paid: 4900 + 4900 + 4901 + 4900 + 700 + 4900 + 4900 + 4900 + 100,
			Refunds: 2, Refunded: 9800},
		Ours: reconcile.Book{Payments: 8, Paid: 4900 + 4900 + 4900 + 4900 + 4900 + 100 + 4900 + 100, Refunds: 1,
			Refunded: 4900}}
	if len(report.Totals) != 1 || report.Totals[0] != want {
		t.Errorf("totals %+v\nwant   %+v", report.Totals, want)
	}
	if len(report.Days) != 1 || report.Days[0].Day != "2026-09-20" || len(report.Sessions) != 2 ||
		len(report.Listings) != 3 {
		t.Errorf("days %v, sessions %v, listings %v", report.Days, report.Sessions, report.Listings)
	}
	for no, state := range map[string]engine.OrderState{lost: engine.Paid, late: engine.Paid, tooLate: engine.RefundDue,
		differs: engine.Expired, twice: engine.Paid} {
		if v := s.order(no); v.State != state {
			t.Errorf("order of %s is %s, not %s", v.Shopper, v.State, state)
		}
	}

	settled := s.snapshot()
	again, foundAgain := reconciled(t, s, b.text(format), nil)
	if again.Booked != 0 || again.Open != report.Open || again.Matched != report.Matched+report.Booked ||
		settled != s.snapshot() {
		t.Errorf("a second time: booked %d, open %d, matched %d", again.Booked, again.Open, again.Matched)
	}
	if len(again.Totals) != 1 || again.Totals[0] != want {
		t.Errorf("a second time the totals are %+v", again.Totals)
	}
	if len(foundAgain[reconcile.RefundPending]) != 1 {
		t.Error("the refund that is due is not told of a second time")
	}
}

// TestRefundsOnBothSides: made and known, made and not known, known and not made.
func TestRefundsOnBothSides(t *testing.T) {
	s := openShop(t, listing("mask", 8, 4900))
	var b book
	numbers := map[string]string{}
	for _, name := range []string{"both", "theirs", "ours", "due", "old"} {
		numbers[name] = s.grab("mask", name)
		s.paid(numbers[name], name, opened)
		s.do(engine.Command{Kind: engine.CmdVoidOrder, Order: s.order(numbers[name]).Ref})
		if name != "old" {
			b.took(numbers[name], name, 4900, opened)
		}
	}
	refund := func(name string) engine.RefundNo {
		for no := engine.RefundNo(1); ; no++ {
			if s.state.Money().Refund(no).PaymentID == name {
				return no
			}
		}
	}
	confirm := func(name string) {
		if err := s.ConfirmRefund(context.Background(), refund(name), "r-"+name); err != nil {
			t.Fatal(err)
		}
	}
	s.after(30 * time.Minute)
	confirm("old") // noted so early in the period that it may have been made before it
	s.after(2 * time.Hour)
	confirm("both")
	confirm("ours")
	b.gaveBack(numbers["both"], "both", 4900, s.now)
	b.gaveBack(numbers["theirs"], "theirs", 4900, s.now+1)
	s.after(time.Hour)
	report, found := reconciled(t, s, b.text(statement.CSV), func(o *reconcile.Options) {
		o.From = opened +
			1
		o.To = s.now
	})
	names := func(kind reconcile.Kind) (names string) {
		for _, f := range found[kind] {
			names += f.PaymentID + " "
		}
		return names
	}
	if names(reconcile.LostRefund) != "theirs " || names(reconcile.MissingRefund) != "ours " ||
		names(reconcile.RefundPending) != "due " || report.Open != 2 {
		t.Errorf("%+v", report.Findings)
	}
	if got := names(reconcile.MissingPayment); got != "old " { // the statement's own first row widens the period
		t.Errorf("missing: %s", got)
	}
	if s.order(numbers["theirs"]).State != engine.Refunded || s.order(numbers["due"]).State != engine.RefundDue {
		t.Error("what they paid back is not noted")
	}
	if report.Pending.Count != 1 || len(report.Pending.Money) != 1 ||
		report.Pending.Money[0] != (reconcile.Sum{Currency: "CNY", Amount: 4900}) {
		t.Errorf("pending %+v", report.Pending)
	}
	// What a statement has told of was made when the statement says, not when it was read.
	s.after(24 * time.Hour)
	var next book
	next.gaveBack(numbers["due"], "due", 4900, s.now)
	nextDay, found := reconciled(t, s, next.text(statement.CSV),
		func(o *reconcile.Options) { o.From = s.now.Add(-3 * time.Hour) })
	if nextDay.Open != 0 || nextDay.Booked != 1 {
		t.Errorf("the day after: %v", found)
	}
}

// TestRandomStatements: whatever was lost on the way, afterwards both sides agree to the
// cent, but for what no callback could have said; a second time changes nothing.
func TestRandomStatements(t *testing.T) {
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 1))
		s := openShop(t, listing("mask", 40, 4900), listing("gel", 30, 100))
		var b book
		var numbers []string
		for i := range 60 {
			sku := []string{"mask", "gel"}[dice.IntN(2)]
			if l := s.state.ListingOf("ten", sku); l.Available == 0 {
				continue
			}
			numbers = append(numbers, s.grab(sku, fmt.Sprint("shopper", i)))
		}
		wrong, payments := 0, 0
		for i, no := range numbers {
			if dice.IntN(8) == 0 {
				s.after(time.Duration(dice.IntN(5)) * time.Minute)
			}
			for range dice.IntN(3) {
				payments++
				id, amount := fmt.Sprint("p", payments), s.order(no).Amount
				b.took(no, id, amount, s.now)
				if dice.IntN(2) == 0 {
					s.paid(no, id, s.now)
				}
			}
			if dice.IntN(20) == 0 {
				b.took(no, fmt.Sprint("wrong", i), s.order(no).Amount+1, s.now)
				wrong++
			}
		}
		s.after(time.Duration(dice.IntN(30)) * time.Minute)
		dice.Shuffle(len(b.rows), func(i, j int) { b.rows[i], b.rows[j] = b.rows[j], b.rows[i] })
		for _, r := range b.rows { // the cashier pays some back that we don't know of yet
			if dice.IntN(10) == 0 && strings.HasPrefix(r.PaymentID, "p") {
				for no := engine.RefundNo(1); int(no) <= s.state.Money().Refunds(); no++ {
					if s.state.Money().Refund(no).PaymentID == r.PaymentID {
						b.gaveBack(r.OrderNo, r.PaymentID, r.Amount, s.now)
					}
				}
			}
		}
		report, found := reconciled(t, s, b.text(statement.CSV), nil)
		if int(report.Open) != wrong || len(found[reconcile.AmountDiffers]) != wrong {
			t.Fatalf("seed %d: %d open, %d were wrong: %v", seed, report.Open, wrong, report.Findings)
		}
		for _, total := range report.Totals {
			if total.Theirs.Payments != total.Ours.Payments+int64(wrong) || wrong == 0 && total.Theirs != total.Ours {
				t.Fatalf("seed %d: %+v", seed, total)
			}
		}
		for _, r := range b.rows {
			if ref, _ := s.state.FindOrder(r.OrderNo); strings.HasPrefix(r.PaymentID, "p") &&
				s.state.Money().PaymentOf(r.PaymentID) != ref {
				t.Fatalf("seed %d: payment %s is not known", seed, r.PaymentID)
			}
		}
		before := s.snapshot()
		if again, _ := reconciled(t, s, b.text(statement.NDJSON), nil); again.Booked != 0 ||
			again.Open != report.Open || before != s.snapshot() {
			t.Fatalf("seed %d: a second time booked %d", seed, again.Booked)
		}
	}
}

// A statement that can't be taken changes nothing at all.
func TestMalformedChangesNothing(t *testing.T) {
	s := openShop(t, listing("mask", 8, 4900))
	var b book
	b.took(s.grab("mask", "ann"), "p1", 4900, s.now)
	before := s.snapshot()
	o := reconcile.DefaultOptions()
	text := b.text(statement.CSV) + "p2,0123"
	o.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	var bad *statement.Malformed
	if _, err := reconcile.Run(context.Background(), s, o); !errors.As(err, &bad) || bad.Problems[0].Line != 3 {
		t.Errorf("%v", err)
	}
	if before != s.snapshot() || s.asked != 0 {
		t.Error("something was changed")
	}
}

// While nobody leads, payments are tried again; one that stays unknown is told.
func TestNobodyLeads(t *testing.T) {
	s := openShop(t, listing("mask", 8, 4900))
	var b book
	for i := range 3 {
		b.took(s.grab("mask", fmt.Sprint("ann", i)), fmt.Sprint("p", i), 4900, s.now)
	}
	s.failing = 3
	if report, _ := reconciled(t, s, b.text(statement.CSV), nil); report.Booked != 3 || report.Open != 0 {
		t.Errorf("booked %d, open %d", report.Booked, report.Open)
	}
	b.took(s.grab("mask", "bob"), "p-bob", 4900, s.now)
	s.failing = 1
	report, found := reconciled(t, s, b.text(statement.CSV), func(o *reconcile.Options) { o.Patience = 0 })
	if n := len(found[reconcile.Unbooked]); n != 1 || report.Open != 1 || !strings.Contains(report.Findings[0].Says,
		"Run the statement again") {
		t.Errorf("%+v", report.Findings)
	}
	if report, _ := reconciled(t, s, b.text(statement.CSV), nil); report.Booked != 1 || report.Open != 0 {
		t.Errorf("run again: booked %d, open %d", report.Booked, report.Open)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	o := reconcile.DefaultOptions()
	o.InFlight, o.Patience, o.From, o.To, o.Zone = 0, -1, 2, 1, nil
	_, err := reconcile.Run(context.Background(), nil, o)
	for _, want := range []string{"no Open", "0 payments in flight", "patience", "the period begins", "no Zone"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: lacks %s", err, want)
		}
	}
}

// Days begin where the sale is: 16:30 UTC is the next day in Shanghai.
func TestDaysAreTheSales(t *testing.T) {
	s := openShop(t, listing("mask", 8, 4900))
	var b book
	no := s.grab("mask", "ann")
	at := engine.TimeOf(time.Date(2026, 9, 20, 16, 30, 0, 0, time.UTC))
	b.took(no, "p1", 4900, at)
	b.took("000000000000000000000000", "p2", 1, at)
	report, _ := reconciled(t, s, b.text(statement.CSV), nil)
	if len(report.Days) != 2 || report.Days[0].Day != "2026-09-20" || report.Days[1].Day != "2026-09-21" ||
		report.Days[1].Theirs.Paid != 4900 {
		t.Errorf("%+v", report.Days)
	}
}

func ExampleRun() {
	s := openShop(&testing.T{}, listing("mask", 8, 4900))
	order := s.grab("mask", "ann")
	text := "payment_id,order_no,amount,currency,kind,at\np-1," + order + ",4900,CNY,payment,2026-09-20T02:16:00Z\n"
	o := reconcile.DefaultOptions()
	o.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	for range 2 {
		report, err := reconcile.Run(context.Background(), s, o)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Verdict)
	}
	// Output:
	// The books agree. What was news to us is noted: 1 payment, 0 refunds.
	// The books agree. Nothing was changed.
}

// TestMoneyOfLostOrdersGoesBack: a statement tells of money for an order that was
// given out in another life of the shop, and of money in another transaction than its
// order's. Both go back, once, and no order is paid. A number that this shop never
// gave out is left to people: it may be another shop's.
func TestMoneyOfLostOrdersGoesBack(t *testing.T) {
	s := openShop(t, listing("mask", 8, 4900))
	ann := s.do(engine.Command{Kind: engine.CmdPlaceHold, Listing: 1, Shopper: []byte("ann"), Key: engine.Key{1},
		Quantity: 1, Deadline: engine.Never,
		Transaction: engine.Transaction{1}})
	anns := s.state.OrderNo(ann.Order)
	lost := s.state.Numberer().Number(ann.Order, 77).String()
	foreign := engine.Numberer{}.Number(ann.Order, 77).String()
	text := "payment_id,order_no,amount,currency,kind,at,transaction_id\n"
	for _, row := range []string{"p-lost," + lost + ",4900,", "p-other," + anns +
		",4900,01000000-0000-0000-0000-000000000001", "p-foreign," + foreign + ",4900,", "p-ann," + anns +
		",4900,their-own"} {
		text += strings.Replace(row, ",4900,", ",4900,CNY,payment,2026-09-20T02:00:01Z,", 1) + "\n"
	}
	report, found := reconciled(t, s, text, nil)
	var booked []string
	for _, f := range found[reconcile.LostPayment] {
		booked = append(booked, f.PaymentID+" "+f.Outcome+" "+f.Session)
	}
	if fmt.Sprint(booked) != "[p-lost refund_due  p-other refund_due  p-ann paid ten]" ||
		len(found[reconcile.UnknownOrder]) != 1 || report.Booked != 3 || report.Open != 1 {
		t.Errorf("booked %q, %d open: %+v", booked, report.Open, found)
	}
	due := s.state.Money().ViewRefunds(0, 10)
	slices.SortFunc(due, func(a, b engine.RefundView) int { return strings.Compare(a.PaymentID, b.PaymentID) })
	if len(due) != 2 || due[0].OrderNo != lost || due[1].OrderNo != anns || !due[0].Stray() || !due[1].Stray() {
		t.Errorf("due %+v", due)
	}
	if v := s.order(anns); v.State != engine.Paid || v.PaymentID != "p-ann" {
		t.Errorf("%+v", v)
	}
	bookedState := s.snapshot()
	again, foundAgain := reconciled(t, s, text, nil)
	if again.Booked != 0 || again.Open != 1 || again.Matched != 3 || bookedState != s.snapshot() ||
		len(again.Totals) != 1 || again.Totals[0] != report.Totals[0] {
		t.Errorf("a second time: booked %d, open %d, matched %d: %+v; totals %+v, %+v", again.Booked, again.Open,
			again.Matched, foundAgain, again.Totals, report.Totals)
	}
	// The cashier has made them.
	for _, id := range []string{"p-lost," + lost, "p-other," + anns} {
		text += id + ",4900,CNY,refund,2026-09-20T02:00:02Z,\n"
	}
	if made, foundMade := reconciled(t, s, text, nil); made.Booked != 2 || made.Open != 1 ||
		len(foundMade[reconcile.LostRefund]) != 2 {
		t.Errorf("made: booked %d, open %d: %+v", made.Booked, made.Open, foundMade)
	}
}

// TestCouponsOnBothSides: a statement may say what was due, what was paid, or both; what both
// sides have is told, and what is against the session's rule is not booked.
func TestCouponsOnBothSides(t *testing.T) {
	s := openShop(t, listing("mask", 9, 4900))
	s.do(engine.Command{Kind: engine.CmdApplyPlan, Plan: &engine.Plan{Sales: []engine.SalePlan{{
		Sale: *s.state.Sale("sale"), Sessions: []engine.SessionPlan{{SessionSpec: func() engine.SessionSpec {
			spec := s.state.Session("ten").SessionSpec
			spec.CouponsUpTo = 500
			return spec
		}()}}}}}})
	known, dueOnly, paidOnly := s.grab("mask", "ann"), s.grab("mask", "bob"), s.grab("mask", "cai")
	lost, over, wrong := s.grab("mask", "dan"), s.grab("mask", "eve"), s.grab("mask", "fay")
	for i, no := range []string{known, dueOnly, paidOnly, wrong} {
		if _, err := s.Pay(t.Context(), engine.Payment{OrderNo: no, ID: fmt.Sprint("p", i), Amount: 4900, Coupon: 300,
			Currency: "CNY", PaidAt: opened}); err != nil {
			t.Fatal(err)
		}
	}
	text := "payment_id,order_no,amount,currency,kind,at,amount_paid\n"
	for _, row := range []string{
		"p0," + known + ",4900,CNY,payment,2026-09-20T02:15:00Z,4600",
		"p1," + dueOnly + ",4900,CNY,payment,2026-09-20T02:15:00Z,",
		"p2," + paidOnly + ",4600,CNY,payment,2026-09-20T02:15:00Z,",
		"p3," + wrong + ",4900,CNY,payment,2026-09-20T02:15:00Z,4500",
		"p4," + lost + ",4900,CNY,payment,2026-09-20T02:15:00Z,4400",
		"p5," + over + ",4900,CNY,payment,2026-09-20T02:15:00Z,4399",
	} {
		text += row + "\n"
	}
	report, found := reconciled(t, s, text, nil)
	if report.Matched != 3 || report.Booked != 1 || report.Open != 2 {
		t.Errorf("%d matched, %d booked, %d open: %v", report.Matched, report.Booked, report.Open, found)
	}
	if f := found[reconcile.LostPayment]; len(f) != 1 || *f[0].Theirs != 4400 ||
		!strings.Contains(f[0].Says, "A coupon paid 500 of the 4900 that was due.") {
		t.Errorf("%+v", f)
	}
	if f := found[reconcile.AmountDiffers]; len(f) != 1 || f[0].OrderNo != wrong || *f[0].Theirs != 4500 ||
		*f[0].Ours != 4600 {
		t.Errorf("%+v", f)
	}
	if f := found[reconcile.Unbooked]; len(f) != 1 || f[0].OrderNo != over {
		t.Errorf("%+v", f)
	}
	if v := s.order(lost); v.State != engine.Paid || v.Coupon != 500 {
		t.Errorf("%+v", v)
	}
	if v := s.order(over); v.State != engine.Held {
		t.Errorf("%+v", v)
	}
	if c := report.Coupons; c.Count != 4 || len(c.Money) != 1 || c.Money[0].Amount != 3*300+500 {
		t.Errorf("%+v", c)
	}
	theirs, ours := report.Totals[0].Theirs.Paid, report.Totals[0].Ours.Paid
	if theirs != 3*4600+4500+4400+4399 || ours != 4*4600+4400 {
		t.Errorf("they have %d, we have %d", theirs, ours)
	}
	for _, paid := range []string{"4901", "0", "-1", "46.00"} {
		o := reconcile.DefaultOptions()
		o.Open = func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Replace(text, ",4600\n", ","+paid+"\n", 1))), nil
		}
		var bad *statement.Malformed
		if _, err := reconcile.Run(t.Context(), s, o); !errors.As(err, &bad) ||
			!strings.Contains(bad.Problems[0].Message, "amount_paid ") {
			t.Errorf("%s: %v", paid, err)
		}
	}
}
