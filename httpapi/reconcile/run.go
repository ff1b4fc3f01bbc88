package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/reconcile/statement"
)

// How a run is cut into pieces.
const (
	pieceRows = 512
	// MostFindings is how many findings a report itself holds.
	MostFindings = 100
	// noticeLag is how much later than the cashier made a refund we may have noted
	// it, and still look for it in the statement of that time.
	noticeLag = engine.Time(time.Hour / time.Millisecond)
)

// Options of a run. Start from DefaultOptions.
type Options struct {
	// Open gives the statement from its beginning, each time the same; required.
	Open func() (io.ReadCloser, error)
	// File says which it is: its name, hash and size. The rest is filled in.
	File StatementFile
	// From and To are the period of the statement, where it is known: every payment
	// of ours from From on and before To should be in it. The period is widened by
	// what is in the statement, and is only that where they are 0.
	From, To engine.Time
	// Reading says how the statement is written, and which rows to leave out. Default: our
	// own format, and none.
	Reading statement.Reading
	// Zone is where the days begin for rows of no known order. Default UTC.
	Zone *time.Location
	// DryRun only tells what would be booked.
	DryRun bool
	// InFlight is how many payments are on their way to the log at once, 1 to 1,024.
	// Default 64: more are booked faster, and take more of the log from those who buy.
	InFlight int
	// Patience is how long one payment is tried while nobody leads. Default 30 s.
	Patience time.Duration
	// Now reads the clock. Default time.Now.
	Now func() time.Time
	// Progress, if not nil, hears how far the run is, after every 4,096 rows of the
	// check and every few hundred of what follows, from the goroutine that called Run.
	Progress func(Progress)
	// Agreed, if not nil, hears of each payment, and each refund, that both sides have
	// alike.
	Agreed func(kind statement.Kind, paymentID string)
	// SetAside, if not nil, tells which differences are not open any more, because
	// somebody has set them aside.
	SetAside func(id string) bool
	// Finding takes each finding, in the sequence of the lines, those of what the
	// statement lacks last. An error ends the run. Default: nobody.
	Finding func(*Finding) error
}

// DefaultOptions are what suits a run.
func DefaultOptions() Options {
	return Options{Zone: time.UTC, InFlight: 64, Patience: 30 * time.Second, Now: time.Now}
}

// Validate reports everything that is out of bounds.
func (o *Options) Validate() error {
	errs := []error{o.Reading.Validate()}
	if o.Open == nil {
		errs = append(errs, errors.New("no Open"))
	}
	if o.InFlight < 1 || o.InFlight > 1024 {
		errs = append(errs, fmt.Errorf("%d payments in flight are not between 1 and 1024", o.InFlight))
	}
	if o.Patience < 0 || o.Patience > time.Hour {
		errs = append(errs, fmt.Errorf("the patience of %s is not between 0s and 1h", o.Patience))
	}
	if o.Zone == nil || o.Now == nil {
		errs = append(errs, errors.New("no Zone, or no Now"))
	}
	if o.From != 0 && o.To != 0 && o.From >= o.To {
		errs = append(errs, fmt.Errorf("the period begins at %s, not before its end at %s",
			wall(o.From).Format(time.RFC3339), wall(o.To).Format(time.RFC3339)))
	}
	return errors.Join(errs...)
}

// Phases of a run.
const (
	Checking = "checking" // the statement is read whole; nothing is done yet
	Matching = "matching" // its rows are held against the orders, and lost payments booked
	Seeking  = "seeking"  // the orders are walked for what it lacks
)

// Progress is how far a run is.
type Progress struct {
	Phase string `json:"phase"`
	Rows  int64  `json:"rows"` // done in this phase
	Of    int64  `json:"of"`   // 0 where it is not known
}

// Run reconciles one statement. Errors: a *statement.Malformed for a file that
// can't be taken, of which nothing was done; else what went wrong, after which some
// payments may have been booked, each for good, and the same statement can be run
// again.
func Run(ctx context.Context, accounts Accounts, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	r := &run{accounts: accounts, o: o, seen: newSeen(), totals: newTotals(o.Zone), report: NewReport(),
		counts: map[Kind]int64{}, open: map[Kind]int64{}}
	return r.run(ctx)
}

// run is one run under way. It is for one goroutine, but for pay.
type run struct {
	accounts Accounts
	o        Options
	summary  *statement.Summary
	seen     *seen
	totals   *totals
	counts   map[Kind]int64
	open     map[Kind]int64 // of them
	report   *Report
	hasty    bool // a payment could not be booked in time: others are tried once
}

func (r *run) run(ctx context.Context) (*Report, error) {
	began := r.o.Now()
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	rows := r.summary.Payments + r.summary.Refunds
	if err := r.match(ctx, statement.Payment, 0, rows); err != nil {
		return nil, err
	}
	if r.summary.Refunds > 0 {
		if err := r.match(ctx, statement.Refund, r.summary.Payments, rows); err != nil {
			return nil, err
		}
	}
	from, to := r.period()
	if from < to {
		if err := r.seek(ctx, from, to); err != nil {
			return nil, err
		}
		r.report.From, r.report.To = wall(from), wall(to)
	} else if rows == 0 {
		err := r.found(&Finding{Kind: CoversNothing, At: began.UTC(),
			Says: "It covers no time: it has no row of an order of ours, and nobody said from when to when it is. " +
				"Nothing was compared."})
		if err != nil {
			return nil, err
		}
	}
	report := r.report
	report.Statement, report.NotOurs = r.o.File, r.summary.NotOurs
	f := &report.Statement
	f.Format, f.Payments, f.Refunds, f.Repeated = r.summary.Format, r.summary.Payments, r.summary.Refunds,
		int64(r.summary.Repeated())
	report.RanAt, report.TookMS, report.DryRun = began.UTC(), r.o.Now().Sub(began).Milliseconds(), r.o.DryRun
	for _, k := range kinds {
		if n := r.counts[k]; n > 0 {
			report.Counts = append(report.Counts, Count{k, n, r.open[k]})
		}
	}
	r.totals.into(report)
	report.Verdict = r.verdict()
	return report, nil
}

// check reads the statement whole, before anything is done.
func (r *run) check(ctx context.Context) error {
	from, err := r.o.Open()
	if err != nil {
		return fmt.Errorf("open the statement: %w", err)
	}
	defer from.Close()
	r.summary, err = statement.Check(ctx, from, &r.o.Reading, func(rows int64) { r.progress(Checking, rows, 0) })
	return err
}

func (r *run) progress(phase string, rows, of int64) {
	if r.o.Progress != nil {
		r.o.Progress(Progress{phase, rows, of})
	}
}

// period is what our accounts are walked for.
func (r *run) period() (from, to engine.Time) {
	from, to = r.o.From, r.o.To
	if first := r.summary.First; first != 0 {
		if from == 0 || first < from {
			from = first
		}
		to = max(to, r.summary.Last+1)
	}
	return from, to
}

// matched is a row with what is known of its order, and what came of it.
type matched struct {
	row     statement.Row
	account engine.Account
	earlier int64 // the line that it repeats, or 0
	again   bool

	lost    bool // to be booked
	receipt engine.Receipt
	err     error
}

// match holds the rows of one kind against the orders, piece by piece.
func (r *run) match(ctx context.Context, kind statement.Kind, done, of int64) error {
	from, err := r.o.Open()
	if err != nil {
		return fmt.Errorf("open the statement: %w", err)
	}
	defer from.Close()
	reader, err := statement.Open(from, &r.o.Reading)
	if err != nil {
		return err
	}
	piece := make([]matched, 0, pieceRows)
	for more := true; more; {
		piece = piece[:0]
		for len(piece) < pieceRows {
			var m matched
			if err := reader.Next(&m.row); err == io.EOF {
				more = false
				break
			} else if err != nil {
				return fmt.Errorf("the statement has changed since it was checked: %w", err)
			}
			if m.row.Kind != kind {
				continue
			}
			m.earlier, m.again = r.summary.Repeats(m.row.Line)
			if !m.again {
				done++
			}
			piece = append(piece, m)
		}
		if err := r.book(ctx, piece); err != nil {
			return err
		}
		r.progress(Matching, done, of)
	}
	return nil
}

// book decides a piece: all of its rows are looked up at once, what is lost is
// booked side by side, and then each row is told in its turn.
func (r *run) book(ctx context.Context, piece []matched) error {
	if len(piece) == 0 {
		return ctx.Err()
	}
	keys := make([]engine.AccountKey, len(piece))
	for i := range piece {
		keys[i] = engine.AccountKey{OrderNo: piece[i].row.OrderNo, PaymentID: piece[i].row.PaymentID}
	}
	accounts, err := r.accounts.Accounts(ctx, keys)
	if err != nil {
		return fmt.Errorf("look the orders up: %w", err)
	}
	var paying errgroup.Group
	paying.SetLimit(r.o.InFlight)
	patience := r.o.Patience
	if r.hasty {
		patience = 0
	}
	for i := range piece {
		m := &piece[i]
		m.account = accounts[i]
		if m.lost = r.isLost(m); m.lost && !r.o.DryRun {
			paying.Go(func() error {
				r.pay(ctx, m, patience)
				return nil
			})
		}
	}
	_ = paying.Wait() // each keeps its own error
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range piece {
		if err := r.tell(&piece[i]); err != nil {
			return err
		}
	}
	return nil
}

// isLost reports whether a row is news to us that we can take.
func (r *run) isLost(m *matched) bool {
	a := &m.account
	if m.again {
		return false
	}
	amount, known, back := a.PaidBy(m.row.PaymentID)
	switch {
	case m.row.Kind == statement.Refund:
		return back != nil && back.Made == 0 && amount == m.row.Amount && back.Currency == m.row.Currency
	case known:
		return false
	}
	return m.forNone() || a.Known() && a.Order.Amount == m.row.Amount && a.Order.Currency == m.row.Currency
}

// forNone reports whether a payment is for no order of ours and ours to give back: for
// an order that a recovery lost, or of another transaction than the order's. What has
// a number that we never gave out may be another shop's: that is for people.
func (m *matched) forNone() bool {
	if m.row.Kind != statement.Payment {
		return false
	}
	if !m.account.Known() {
		return m.account.GaveOut
	}
	return !transactionOf(&m.row).May(m.account.Order.Transaction)
}

// transactionOf gives the transaction of a row; zero where the cashier writes none,
// or something of its own.
func transactionOf(row *statement.Row) engine.Transaction {
	t, err := payment.ParseTransaction(row.Transaction)
	if err != nil {
		return engine.Transaction{}
	}
	return t
}

// Between two tries of what had no outcome.
const (
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
)

// pay books a lost row, and tries again for as long as it is not known what came
// of it: it is booked once, however often it is asked.
func (r *run) pay(ctx context.Context, m *matched, patience time.Duration) {
	ctx, stop := context.WithTimeout(ctx, patience+mostPause)
	defer stop()
	until := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		if m.row.Kind == statement.Payment {
			m.receipt, m.err = r.accounts.Pay(ctx, engine.Payment{OrderNo: m.row.OrderNo, ID: m.row.PaymentID,
				Amount: m.row.Amount, Coupon: m.row.Amount - m.row.Taken(), Currency: m.row.Currency, PaidAt: m.row.At,
				Transaction: transactionOf(&m.row), PayType: m.row.PayType})
		} else {
			_, _, back := m.account.PaidBy(m.row.PaymentID)
			m.err = r.accounts.ConfirmRefund(ctx, back.No, referenceOf(m.row.At))
		}
		var no *engine.Refusal
		if m.err == nil || errors.As(m.err, &no) || time.Now().Add(pause).After(until) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// statementReference leads the reference of a refund that a statement has told of.
// What follows it is the cashier's time.
const statementReference = "statement "

func referenceOf(at engine.Time) string {
	return statementReference + wall(at).Format("2006-01-02T15:04:05.000Z07:00")
}

// madeAt is when the cashier has made a refund, as well as we know: exactly true
// reports whether that is its own word.
func madeAt(r *engine.Refund) (at engine.Time, exactly bool) {
	if text, ok := strings.CutPrefix(r.Reference, statementReference); ok {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return engine.TimeOf(t), true
		}
	}
	return r.Made, false
}

// tell counts a row, and tells what there is to tell of it.
func (r *run) tell(m *matched) error {
	a, row := &m.account, &m.row
	taken := m.taken()
	f := Finding{Line: row.Line, PaymentID: row.PaymentID, OrderNo: row.OrderNo, Currency: row.Currency,
		Theirs: &taken, At: wall(row.At)}
	if m.again {
		f.Kind, f.Says = Repeated, fmt.Sprintf("Line %d says the same. It was counted once.", m.earlier)
		return r.found(&f)
	}
	amount, known, back := a.PaidBy(row.PaymentID)
	stray := m.lost && m.forNone() || back != nil && back.Stray()
	if m.lost && m.err == nil && row.Kind == statement.Payment && !r.o.DryRun {
		a.Order = m.receipt.Order
	}
	if stray {
		a.Order = engine.OrderView{} // whatever its number leads to
	}
	if a.Known() {
		f.Session, f.SKU, f.State = a.Order.Session, a.Order.SKU, a.Order.State.String()
	} else {
		a.Order = engine.OrderView{} // a place in line is no order
	}
	at := place{row.At, a, row.Currency}
	r.totals.add(at, row.Kind, taken, theirs)
	agreed := func(amount int64) {
		if row.Kind == statement.Refund {
			_, _, back := a.PaidBy(row.PaymentID)
			if !r.seen.refunds.has(uint32(back.No)) { // parts have several rows
				r.totals.add(at, row.Kind, amount, ours)
				r.seen.refunds.set(uint32(back.No))
			}
			return
		}
		r.totals.add(at, row.Kind, amount, ours)
		r.sawPayment(a, row.PaymentID)
		if m.lost && m.receipt.Outcome != engine.PaymentTaken {
			r.seen.late[row.PaymentID] = true // its refund is not in the account yet
		}
	}
	switch {
	case !a.Known() && !stray:
		f.Kind, f.Says = UnknownOrder, "They have it for an order that we don't have."
		return r.found(&f)
	case row.Kind == statement.Refund && back != nil && back.Currency == row.Currency &&
		r.paidBackMore(back, row.Amount):
		f.Kind, f.Ours = UnknownRefund, &back.Amount
		f.Says = fmt.Sprintf("With it they paid back more than the %d %s that we owe.", back.Amount, back.Currency)
		return r.found(&f)
	case m.lost:
		return r.tellLost(m, &f, agreed)
	case row.Kind == statement.Refund && back == nil:
		f.Kind, f.Says = UnknownRefund, "They paid back what we owe nobody."
		return r.found(&f)
	case row.Kind == statement.Refund:
		amount = back.Amount
	case !known:
		amount, taken = a.Order.Amount, row.Amount // it is the amount due that is not the order's
	}
	currency := a.Order.Currency
	if row.Kind == statement.Refund || stray {
		currency = back.Currency
	}
	// What a second payment of an order was for is not kept: it goes back, and what came counts.
	otherDue := row.Paid != 0 && a.Order.PaymentID == row.PaymentID && row.Amount != a.Order.Amount
	if amount != taken || currency != row.Currency || otherDue {
		f.Kind, f.Ours = AmountDiffers, &amount
		f.Says = fmt.Sprintf("They took %d %s for an order of %d %s. It was not taken as a payment.", row.Amount,
			row.Currency, amount, currency)
		if known {
			f.Says = fmt.Sprintf("They have %d %s, we have %d %s.", taken, row.Currency, amount, currency)
			if otherDue {
				f.Says += fmt.Sprintf(" They say that %d was due, and it was %d.", row.Amount, a.Order.Amount)
			}
			if row.Kind == statement.Refund && currency == row.Currency {
				f.Says += fmt.Sprintf(" With it they paid back %d of it.", r.seen.parts[back.No])
			}
			at.currency = currency
			agreed(amount) // it is there, if not as it should be
		}
		return r.found(&f)
	}
	agreed(amount)
	r.coupon(m)
	r.matches(row)
	return nil
}

// taken is the money of a row: of a payment that a coupon paid a part of, without that. Where
// the statement has only what was due, what we know of the coupon counts.
func (m *matched) taken() int64 {
	o := &m.account.Order
	if m.row.Kind == statement.Payment && m.row.Paid == 0 && o.PaymentID == m.row.PaymentID &&
		m.row.Amount == o.Amount {
		return o.Amount - o.Coupon
	}
	return m.row.Taken()
}

// coupon counts what a coupon paid of a payment on which both sides agree.
func (r *run) coupon(m *matched) {
	if o := &m.account.Order; m.row.Kind == statement.Payment && o.PaymentID == m.row.PaymentID && o.Coupon > 0 {
		r.report.Coupons.Add(o.Currency, o.Coupon)
	}
}

// matches counts a row on which both sides agree.
func (r *run) matches(row *statement.Row) {
	r.report.Matched++
	r.agree(row)
}

// agree tells whoever wants to know it that both sides have a row alike.
func (r *run) agree(row *statement.Row) {
	if r.o.Agreed != nil {
		r.o.Agreed(row.Kind, row.PaymentID)
	}
}

// paidBackMore notes what was paid back of a refund, and reports whether it comes to
// more than we owe with a row that is not its first.
func (r *run) paidBackMore(back *engine.Refund, amount int64) bool {
	before := r.seen.parts[back.No]
	if before == 0 && !r.seen.refunds.has(uint32(back.No)) {
		if amount != back.Amount {
			r.seen.parts[back.No] = amount
		}
		return false
	}
	if before == 0 { // a row had it whole
		return true
	}
	r.seen.parts[back.No] = before + amount
	return before+amount > back.Amount
}

// sawPayment notes that the statement has a payment of ours.
func (r *run) sawPayment(a *engine.Account, paymentID string) {
	if a.Order.PaymentID == paymentID {
		r.seen.order(a.Order.Ref)
	}
	for i := range a.Refunds {
		if a.Refunds[i].PaymentID == paymentID {
			r.seen.returns.set(uint32(a.Refunds[i].No))
		}
	}
}

// tellLost tells what came of a row that was news to us.
func (r *run) tellLost(m *matched, f *Finding, agreed func(int64)) error {
	row := &m.row
	if row.Kind == statement.Refund {
		_, _, back := m.account.PaidBy(row.PaymentID)
		defer r.seen.refunds.set(uint32(back.No)) // whatever came of it, it is told of once
	}
	open := map[statement.Kind]Kind{statement.Payment: Unbooked, statement.Refund: Unconfirmed}[row.Kind]
	var no *engine.Refusal
	switch {
	case r.o.DryRun && row.Kind == statement.Payment:
		f.Kind, f.Says = open, "They took it and we don't have it. Without a dry run it is booked."
	case r.o.DryRun:
		f.Kind, f.Says = open, "They paid it back and we have it as due. Without a dry run it is noted."
	case errors.As(m.err, &no) && no.Reason == engine.ReasonConflict:
		f.Kind, f.Says = PaymentConflict, "We have this payment for another order."
	case m.err != nil:
		f.Kind, f.Says = open, "It could not be booked: "+m.err.Error()+"."
		if no == nil {
			r.hasty = true
			f.Says += " Run the statement again."
		}
	case row.Kind == statement.Refund:
		agreed(row.Amount)
		r.agree(row)
		r.report.Booked++
		f.Kind, f.Says, f.Ours = LostRefund, "They paid it back and nobody had told us. It is noted now.", &row.Amount
	case m.receipt.Outcome == engine.PaymentUnchanged: // its callback has come meanwhile
		agreed(m.taken())
		r.coupon(m)
		r.matches(row)
		return nil
	default:
		r.agree(row)
		r.report.Booked++
		f.Kind, f.Ours = LostPayment, f.Theirs
		r.coupon(m)
		switch {
		case m.receipt.Reason == engine.ReasonNoOrder:
			f.Outcome, f.Says = "refund_due", "They took it for an order that we don't have any more, or in another "+
				"transaction than the order's. It goes back."
		case m.receipt.Outcome == engine.PaymentToRefund:
			f.Outcome, f.Says = "refund_due", "They took it and nobody had told us. There is nothing to have for it "+
				"any more: it goes back."
		case m.receipt.Reason == engine.ReasonPaidLate:
			f.Outcome, f.Says = "paid_late", "They took it and nobody had told us. It was late, and a unit was free: "+
				"the order is paid."
		default:
			f.Outcome, f.Says = "paid", "They took it and nobody had told us. The order is paid."
		}
		if c := row.Amount - row.Taken(); c > 0 {
			f.Says += fmt.Sprintf(" A coupon paid %d of the %d that was due.", c, row.Amount)
		}
		agreed(*f.Theirs)
	}
	return r.found(f)
}

// found hands a finding on, and keeps the first of them.
func (r *run) found(f *Finding) error {
	f.identify()
	f.Open = f.Kind.Open()
	if f.Open && r.o.SetAside != nil && r.o.SetAside(f.ID) {
		f.Open = false
		f.Says += " It was set aside."
	}
	r.counts[f.Kind]++
	r.report.Found++
	if f.Open {
		r.open[f.Kind]++
		r.report.Open++
	}
	if len(r.report.Findings) < MostFindings {
		r.report.Findings = append(r.report.Findings, *f)
	}
	if r.o.Finding == nil {
		return nil
	}
	if err := r.o.Finding(f); err != nil {
		return fmt.Errorf("keep a finding: %w", err)
	}
	return nil
}
