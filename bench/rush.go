package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Rush sends the crowd and judges what came of it.
//
// Cancelling ctx stops the sending; what is under way is waited for, and the
// report and its verdict still come. The error is for runs that could not be
// done at all; a shop that sold wrongly is in the report: see
// [RushReport.OK].
func Rush(ctx context.Context, cfg RushConfig) (report *RushReport, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seed(&cfg.Seed)
	if cfg.ShopperPrefix == "" {
		cfg.ShopperPrefix = "rush-" + strconv.FormatUint(cfg.Seed, 36) + "-"
	}
	// The verdict is owed even when the sending was stopped, and the node to outlive that.
	lasting := context.WithoutCancel(ctx)
	inProcess := len(cfg.Addrs) == 0
	if inProcess {
		node, err := cfg.StartNode(lasting)
		if err != nil {
			return nil, fmt.Errorf("start node: %w", err)
		}
		cfg.Addrs, cfg.Admin = []string{node.HTTPAddr}, node.AdminAddr
		defer func() {
			if cerr := node.Close(); cerr != nil && err == nil {
				err = fmt.Errorf("stop node: %w", cerr)
			}
		}()
	}
	ops := newAdmin(cfg.Admin, cfg.AdminToken, cfg.Timeout)
	before, err := ops.survey(lasting, cfg.Listings)
	if err != nil {
		return nil, fmt.Errorf("before the rush: %w", err)
	}
	r := newCrowd(&cfg)
	r.serverAhead = r.clockOffset()
	r.started = time.Now()
	report = &RushReport{Config: cfg, InProcess: inProcess, Environment: environment("rush"), Started: r.started}
	struck := r.strikeInTime(ctx)
	err = r.come(ctx)
	report.Strike = struck()
	if err != nil {
		return nil, err
	}
	report.Interrupted = ctx.Err() != nil

	r.fill(report)
	v := &inquest{crowd: r, ops: ops, before: before}
	v.hold(lasting)
	report.Verdict = v.verdict(nil)
	report.Listings = v.listings()
	report.Cashier = v.till
	return report, nil
}

// seed makes one where none is given: below 2^53, safe in anyone's JSON.
func seed(given *uint64) {
	if *given == 0 {
		*given = uint64(time.Now().UnixMicro())
	}
}

// crowd is one rush under way.
type crowd struct {
	cfg       *RushConfig
	requests  *requests
	schedule  *schedule
	testimony *testimony
	findings  *findings
	tally     *tally

	started     time.Time
	ended       time.Duration
	serverAhead time.Duration  // the shop's wall clock less ours
	soldOut     []atomic.Int64 // by listing: when sold_out was first heard, in ns of the run
	// onGrant, if not nil, is told of each order first heard of: which node said
	// so, and whether the shopper had asked for nothing before. Called concurrently.
	onGrant func(addr string, q ask, fresh bool)
	// resend: a shopper whose grab left no trace sends it again with its key,
	// instead of asking on.
	resend bool
	// visit does what a shopper comes for: a grab, unless others are sent.
	visit func(w *worker, t task)
}

func newCrowd(cfg *RushConfig) *crowd {
	r := &crowd{
		cfg:      cfg,
		requests: newRequests(cfg),
		findings: newFindings(),
		tally:    newTally(),
		started:  time.Now(),
		soldOut:  make([]atomic.Int64, len(cfg.Listings)),
		visit:    (*worker).grab,
	}
	r.testimony = newTestimony(cfg, r.findings)
	r.schedule = newSchedule(r.now, pace{rate: cfg.Rate}, cfg.Shoppers)
	return r
}

// now is the time of the run.
func (r *crowd) now() time.Duration { return time.Since(r.started) }

// come sends everybody, and what follows.
func (r *crowd) come(ctx context.Context) error {
	if r.cfg.throng {
		if err := r.throng(ctx); err != nil {
			return fmt.Errorf("throng: %w", err)
		}
	}
	r.send(ctx)
	return nil
}

// send runs the workers until the schedule is empty.
func (r *crowd) send(ctx context.Context) {
	done := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { r.schedule.keepTime(done) })
	beside.Go(func() { r.showProgress(done) })
	beside.Go(func() {
		select {
		case <-ctx.Done():
			r.schedule.stop()
		case <-done:
		}
	})
	var workers sync.WaitGroup
	for i := range r.cfg.Connections {
		workers.Go(func() {
			w := &worker{crowd: r, number: i, conn: newConn(r.cfg.Addrs, i, r.cfg.Timeout),
				twin: newConn(r.cfg.Addrs, i+1, r.cfg.Timeout)}
			defer w.conn.close()
			defer w.twin.close()
			if r.cfg.Cashier != "" {
				w.till = newConn([]string{r.cfg.Cashier}, 0, r.cfg.Timeout)
				defer w.till.close()
			}
			for held := false; ; held = true {
				t, ok := r.schedule.take(held)
				if !ok {
					return
				}
				w.do(t)
			}
		})
	}
	workers.Wait()
	r.ended = r.now()
	close(done)
	beside.Wait()
}

// get asks for path, once, as the first shopper, and reads the answer into v.
func (r *crowd) get(path string, v any) error {
	c := newConn(r.cfg.Addrs, 0, r.cfg.Timeout)
	defer c.close()
	got, err := c.roundTrip(r.requests.appendGet(nil, path, 0))
	switch {
	case err != nil:
		return err
	case got.status != 200:
		return fmt.Errorf("status %d: %.200s", got.status, got.body)
	}
	return json.Unmarshal(got.body, v)
}

// clockOffset measures how far the shop's clock is ahead of ours; pay_by is by
// its clock. 0 if it does not say.
func (r *crowd) clockOffset() time.Duration {
	var got struct {
		UnixMS int64 `json:"unix_ms"`
	}
	asked := time.Now()
	if r.get("/v1/time", &got) != nil || got.UnixMS == 0 {
		return 0
	}
	half := time.Since(asked) / 2
	return time.UnixMilli(got.UnixMS).Sub(asked.Add(half))
}

// clockError is how wrong clockOffset may be: milliseconds, and slewing.
const clockError = 100 * time.Millisecond

// runTime turns a wall time of the shop into time of the run, on the early
// side.
func (r *crowd) runTime(t time.Time) time.Duration {
	return t.Sub(r.started) - r.serverAhead - clockError
}

// hear takes down the final answer to an ask, and gives the order if this is the first
// that was heard of it.
func (r *crowd) hear(q ask, a answer) *told {
	var payBy time.Duration
	if a.order != nil {
		payBy = r.runTime(a.order.PayBy)
	}
	news := r.testimony.hear(q, a, payBy)
	if news != nil {
		atomic.AddInt64(&r.tally.Orders, 1)
	}
	return news
}

// worker does tasks one by one over its own connection.
type worker struct {
	*crowd
	number int
	conn   *conn
	twin   *conn // for the other tab; see RushConfig.TwoNodes
	till   *conn // to the cashier, if there is one
	buf    []byte
}

func (w *worker) do(t task) {
	switch t.deed {
	case deedGrab:
		w.visit(w, t)
	case deedPoll:
		w.poll(t)
	case deedPay:
		w.pay(t)
	case deedCancel:
		w.cancel(t)
	}
}

// reach is roundTrip, but keeps trying to connect for as long as the timeout:
// a shopper whose request never left tries again.
func (w *worker) reach(c *conn, request []byte) (reply, error) {
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a, err := c.roundTrip(request)
		if err == nil || !errors.Is(err, errNotSent) || time.Since(began) > w.cfg.Timeout {
			return a, err
		}
	}
}

func (w *worker) grab(t task) {
	if t.first {
		it := w.cfg.intentOf(t.shopper)
		t.listing = it.listing
		now := w.now()
		follow := func(listing int, k click, after time.Duration) {
			w.schedule.add(task{due: now + after, deed: deedGrab, shopper: t.shopper, listing: listing, click: k})
		}
		if it.again {
			follow(it.listing, clickFirst, it.againAfter)
		}
		if it.anew {
			follow(it.listing, clickAnew, it.againAfter)
		}
		switch {
		case it.second >= 0 && w.cfg.TwoNodes:
			w.grabBoth(t, it.second)
			return
		case it.second >= 0:
			follow(it.second, clickSecond, 0)
		}
	}
	w.buf = w.requests.appendGrab(w.buf[:0], t.shopper, t.listing, t.click)
	sent := w.now()
	got, err := w.reach(w.conn, w.buf)
	heard := w.now()

	w.answered(t, ask{t.shopper, t.listing, t.click, sent, heard, false, w.conn.addr()}, got, err)
}

// grabBoth sends the grabs of two tabs, each over a connection of its own, before
// it waits for either's answer.
func (w *worker) grabBoth(t task, second int) {
	other := t
	other.listing, other.click, other.first = second, clickSecond, false
	w.buf = w.requests.appendGrab(w.buf[:0], t.shopper, t.listing, t.click)
	one := len(w.buf)
	w.buf = w.requests.appendGrab(w.buf, other.shopper, other.listing, other.click)
	sent := w.now()
	errOne, errTwo := w.conn.send(w.buf[:one]), w.twin.send(w.buf[one:])
	tell := func(t task, c *conn, err error) {
		var got reply
		addr := c.addr()
		if err == nil {
			got, err = c.receive()
		}
		w.answered(t, ask{t.shopper, t.listing, t.click, sent, w.now(), false, addr}, got, err)
	}
	tell(t, w.conn, errOne)
	tell(other, w.twin, errTwo)
}

// answered takes the first answer to a grab, or that there was none.
func (w *worker) answered(t task, q ask, got reply, err error) {
	a := answer{code: outcomeUnknown}
	switch {
	case err == nil:
		a = readAnswer(got)
	case errors.Is(err, errNotSent):
		a.code = outcomeNotSent
	}
	from := q.sentAt
	if w.cfg.Rate > 0 {
		from = t.due
		w.tally.lag.record(w.number, q.sentAt-t.due)
	}
	w.tally.asked(w.number, a.code, q.heardAt-from)
	if t.first {
		w.tally.arrived(q.sentAt)
	}
	w.conclude(t, q, a)
}

// conclude acts on the answer to an ask, final or not.
func (w *worker) conclude(t task, q ask, a answer) {
	if !a.final() {
		if t.deed != deedPoll {
			t.giveUp = q.heardAt + w.cfg.PollFor
			t.sentAt = q.sentAt
		}
		if a.deadline != "" {
			t.deadline = a.deadline
		}
		t.deed = deedPoll
		t.due = q.heardAt + w.cfg.PollEvery
		if t.due <= t.giveUp && w.schedule.add(t) {
			return
		}
		a.code = outcomeUnknown
	}
	w.tally.outcome(a.code)
	if a.code == outcomeNotSent {
		return
	}
	if news := w.hear(q, a); news != nil {
		if w.onGrant != nil && a.code == codeGranted {
			w.onGrant(w.conn.addr(), q, t.first || t.probe)
		}
		it := w.cfg.intentOf(t.shopper)
		switch {
		case it.pays:
			w.schedule.add(task{due: q.heardAt + it.decideAfter, deed: deedPay, shopper: t.shopper, order: news})
		case it.cancels:
			w.schedule.add(task{due: q.heardAt + it.decideAfter, deed: deedCancel, shopper: t.shopper, order: news})
		}
	}
	if a.code == codeSoldOut {
		w.soldOut[q.listing].CompareAndSwap(0, int64(q.heardAt))
		again := t.first || t.click >= clickReturn
		if !again {
			return
		}
		if it := w.cfg.intentOf(t.shopper); t.tries < it.returns {
			w.schedule.add(task{
				due: q.heardAt + it.returnAfter, deed: deedGrab, shopper: t.shopper,
				listing: t.listing, click: clickReturn + click(t.tries), tries: t.tries + 1,
			})
		}
	}
}

// poll asks what became of a grab.
func (w *worker) poll(t task) {
	w.buf = w.requests.appendOutcome(w.buf[:0], t.shopper, t.click, t.deadline)
	got, err := w.reach(w.conn, w.buf)
	a := answer{code: outcomeUnknown}
	if err == nil && got.status != 404 {
		// 404: no trace of it yet. The grab may still be on its way in.
		a = readAnswer(got)
	}
	atomic.AddInt64(&w.tally.Polls, 1)
	if w.resend && err == nil && got.status == 404 {
		again := task{due: w.now() + w.cfg.PollEvery, deed: deedGrab, shopper: t.shopper, listing: t.listing,
			click: t.click, tries: t.tries}
		if w.schedule.add(again) {
			return
		}
	}
	w.conclude(t, ask{t.shopper, t.listing, t.click, t.sentAt, w.now(), true, w.conn.addr()}, a)
}

// triesFor bounds how often a callback or a cancellation is sent again while
// the shop does not answer it. The cashier is not that easily put off, but a
// run has to end.
const triesFor = 5

func (w *worker) pay(t task) {
	if w.cfg.Cashier != "" {
		w.payCashier(t)
		return
	}
	w.buf = w.requests.appendCallback(w.buf[:0], t.order)
	status, news := w.try(t, &t.order.pay)
	if news {
		w.testimony.change(t.order, func(o *told) { o.payTaken = true })
	}
	w.tally.carriedOut(&w.tally.Paid, &w.tally.PayRefused, status, news)
	w.payAgain(t, status == 200)
}

// payAgain puts a payment that was taken back on the schedule, once, where the shopper is
// of those who pay twice.
func (w *worker) payAgain(t task, taken bool) {
	if taken && t.tries < triesFor && w.cfg.intentOf(t.shopper).paysTwice {
		t.tries = triesFor
		t.due = w.now()
		w.schedule.add(t)
	}
}

func (w *worker) cancel(t task) {
	w.buf = w.requests.appendCancel(w.buf[:0], t.shopper, t.order.orderNo)
	status, news := w.try(t, &t.order.cancel)
	w.tally.carriedOut(&w.tally.Cancelled, &w.tally.CancelRefused, status, news)
}

// try sends what is in the worker's buffer, an attempt at the task's order. news says
// that it was answered 200 for the first time.
func (w *worker) try(t task, a *attempt) (status int, news bool) {
	w.testimony.sending(t.order, a, w.now())
	status = w.once(w.conn, t).status
	return status, status == 200 && w.testimony.confirmed(t.order, a, w.now())
}

// once sends what is in the worker's buffer and returns the answer, with status 0
// for none. Without a clear answer the task goes back on the schedule.
func (w *worker) once(c *conn, t task) reply {
	got, err := w.reach(c, w.buf)
	if err != nil {
		got = reply{}
	}
	if (got.status == 0 || got.status == 202 || got.status >= 500) && t.tries < triesFor-1 {
		t.tries++
		t.due = w.now() + w.cfg.PollEvery<<t.tries
		w.schedule.add(t)
	}
	return got
}
