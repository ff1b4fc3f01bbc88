package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Crash runs a node in rounds: it is killed under load, restarted on the same
// directory, and what anybody was ever told is held against what it knows then.
//
// Cancelling ctx ends the run after the round under way; the report and its
// verdict still come. So does the first round that finds something wrong, with
// the directory as it is then. The error is for runs that could not be done at
// all; see [CrashReport.OK] for a node that broke its word.
//
// A killed process leaves what it has written to the operating system: this
// tries the recovery, not the disk. What a loss of power may leave is for the
// log's own tests.
func Crash(ctx context.Context, cfg CrashConfig) (*CrashReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seed(&cfg.Seed)
	p := &CrashReport{Config: cfg}
	t := &crashTest{drill: cfg.drill(&p.DrillReport), cfg: &cfg, report: p, states: make(map[*told]string),
		ready: newLatency(), outage: newLatency()}
	// The round under way is finished, and its verdict owed, all the same.
	lasting := context.WithoutCancel(ctx)
	if err := t.open(lasting); err != nil {
		return nil, errors.Join(err, t.node.close())
	}
	for round := range cfg.Rounds {
		if ctx.Err() != nil {
			p.Interrupted = true
			break
		}
		err := t.round(lasting, round)
		t.sumUp()
		t.showRound()
		if err != nil || !p.OK() {
			break
		}
	}
	if err := t.node.close(); err != nil {
		t.crowd.findings.add(checkStaysUp, "the last, orderly stop: %v", err)
	}
	if log, err := cfg.VerifyLog(); err != nil {
		t.crowd.findings.add(checkLogWhole, "after the last, orderly stop: %v", err)
	} else if log.Torn != "" {
		t.crowd.findings.add(checkLogWhole, "after the last, orderly stop: torn: %s", log.Torn)
	}
	t.sumUp()
	return p, nil
}

// crashTest is one run under way.
type crashTest struct {
	drill
	cfg    *CrashConfig
	node   mortalNode
	report *CrashReport
	line   *CrashRound // of the round under way

	startedAt time.Time // of the process
	killedAt  time.Time // zero while no outage lasts
	halves    int       // snapshots half written when the node was last killed
	// states are those of orders when they were last looked up.
	states map[*told]string
	// ready counts from the start of a process, outage from the kill before.
	ready, outage *latency
}

var errNodeEnded = errors.New("the node ended by itself")

// open starts the first node and puts the listings up.
func (t *crashTest) open(ctx context.Context) error {
	if err := t.start(ctx, 0); err != nil {
		return err
	}
	t.rush.Addrs, t.rush.Admin = []string{t.node.HTTPAddr}, t.node.AdminAddr
	if err := t.awaitReady(ctx); err != nil {
		return err
	}
	return t.drill.open(ctx, t.cfg.ApplyPlan, planFor("crash", t.offers), t.node.ops)
}

func (t *crashTest) start(ctx context.Context, snapshotBytes int64) error {
	t.startedAt = time.Now()
	n, err := t.cfg.StartNode(ctx, snapshotBytes)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	t.report.Starts++
	return t.node.started(n)
}

// awaitReady waits until the node says that it is ready, and notes how long it
// took.
func (t *crashTest) awaitReady(ctx context.Context) error {
	for {
		err := t.node.ops.ready()
		took := time.Since(t.startedAt)
		if err == nil {
			t.ready.record(0, took)
			if t.line != nil {
				t.line.ReadyMS = append(t.line.ReadyMS, millis(took))
			}
			if !t.killedAt.IsZero() {
				t.outage.record(0, time.Since(t.killedAt))
				t.killedAt = time.Time{}
			}
			return nil
		}
		if took > t.cfg.ReadyWithin {
			return fmt.Errorf("not ready after %v: %w", t.cfg.ReadyWithin, err)
		}
		select {
		case <-t.node.Ended:
			return errNodeEnded
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// round is load with its kills, then the check. An error ends the run; it has
// been entered among the findings.
func (t *crashTest) round(ctx context.Context, round int) error {
	t.report.Rounds = append(t.report.Rounds, CrashRound{Round: round + 1})
	t.line = &t.report.Rounds[round]
	defer func() { t.line = nil }()
	kills := t.cfg.killsOf(round)
	if err := t.fillUp(ctx, t.node.ops); err != nil {
		return t.fault(checkStockStays, err)
	}
	longest := t.cfg.LoadTime + t.rush.Timeout + 10*time.Second
	for _, k := range kills {
		longest += k.after + k.down + t.cfg.ReadyWithin
	}
	loading, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	t.fillSchedule(round)
	stopLooking := t.lookOn(t.diceOf(round, "look"))
	loaded := make(chan struct{})
	began := time.Now()
	go func() { defer close(loaded); t.crowd.send(loading) }()
	err := t.killAll(ctx, kills, began)
	if err != nil {
		cancel() // nobody will answer any more
	}
	<-loaded
	stopLooking()
	if err != nil {
		return err
	}
	lost, yes := t.resolveLost()
	t.line.Lost, t.line.LostYes = int(lost), int(yes)
	t.askAgain(round)
	t.check(ctx)
	return nil
}

// fault enters what ends the run.
func (t *crashTest) fault(c check, err error) error {
	t.crowd.findings.add(c, "round %d: %v", t.line.Round, err)
	return err
}

// killAll carries out a round's kills.
func (t *crashTest) killAll(ctx context.Context, kills []kill, since time.Time) error {
	for i, k := range kills {
		t.awaitInstant(ctx, k, since)
		if i > 0 && t.node.ops.ready() != nil {
			t.report.KillsRecovering++
		}
		t.line.KilledMS = append(t.line.KilledMS, millis(time.Since(since)))
		if t.killedAt.IsZero() {
			t.killedAt = time.Now()
		}
		t.report.Kills++
		if err := t.node.kill(); err != nil {
			return t.fault(checkStaysUp, err)
		}
		log, err := t.cfg.VerifyLog()
		if err != nil {
			return t.fault(checkLogWhole, err)
		}
		t.line.LogBytes, t.line.LogRecords = log.Bytes, log.Records
		if log.HalfSnapshots > t.halves { // else they are of an earlier kill: it takes a start to remove them
			t.report.KillsSnapshot++
		}
		t.halves = log.HalfSnapshots
		if log.Torn != "" {
			t.line.Torn = append(t.line.Torn, log.Torn)
			t.report.TornTails++
		}
		time.Sleep(k.down)
		t.line.DownMS = append(t.line.DownMS, millis(k.down))
		if err := t.start(ctx, k.snapshotBytes); err != nil {
			return t.fault(checkReady, err)
		}
		since = t.startedAt
	}
	err := t.awaitReady(ctx)
	if errors.Is(err, errNodeEnded) {
		err = fmt.Errorf("%w: %w", err, t.node.kill())
	}
	if err != nil {
		return t.fault(checkReady, err)
	}
	return nil
}

// awaitInstant waits until a kill is due. If the node ends before, the kill will
// say why.
func (t *crashTest) awaitInstant(ctx context.Context, k kill, since time.Time) {
	ctx, cancel := context.WithDeadline(ctx, since.Add(k.after))
	defer cancel()
	ended := t.node.Ended
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if k.atSnapshot {
		t.cfg.AwaitSnapshot(ctx)
		return
	}
	<-ctx.Done()
}

// fillSchedule invites a round's shoppers: new ones, those who come back for an
// order they were told of, and those who come back whatever they were told.
func (t *crashTest) fillSchedule(round int) {
	r := t.crowd
	r.schedule = newSchedule(r.now, pace{}, 0)
	d := t.diceOf(round, "load")
	start := r.now()
	for i := range t.cfg.Shoppers {
		r.schedule.add(task{due: start + d.upTo(t.cfg.LoadTime), deed: deedGrab,
			shopper: round*t.cfg.Shoppers + i, first: true})
	}
	if round == 0 {
		return
	}
	for i, o := range r.testimony.someTold(&d, t.cfg.Returning) {
		back := task{due: start + d.upTo(t.cfg.LoadTime), deed: deedGrab, shopper: o.shopper,
			listing: o.listing, click: o.click}
		if i%4 == 0 {
			n := int(d.next() % uint64(round*t.cfg.Shoppers))
			back.shopper, back.listing, back.click = n, t.rush.intentOf(n).listing, clickFirst
		}
		r.schedule.add(back)
	}
}

func (t *crashTest) diceOf(round int, what string) dice {
	d := dice(t.cfg.Seed)
	for _, c := range []byte(what) {
		d = dice(d.next() ^ uint64(c))
	}
	return dice(d.next() ^ uint64(round)*0x9e3779b97f4a7c15)
}

// askAgain sends grabs of earlier rounds again with their old keys.
func (t *crashTest) askAgain(round int) {
	r, d := t.crowd, t.diceOf(round, "again")
	some := r.testimony.someTold(&d, t.cfg.KeysAgain)
	each(t.rush.Addrs, t.rush.Timeout, some, func(c *conn, o *told) {
		told := "no answer"
		got, err := t.inq.insist(c, r.requests.appendGrab(nil, o.shopper, o.listing, o.click))
		if err == nil {
			a := readAnswer(got)
			if told = a.code; a.code == codeGranted {
				told = a.order.OrderNo
			}
		}
		if told != o.orderNo {
			r.findings.add(checkOldKeys, "%s asks again with the key that had got them order %s and is told %s",
				r.cfg.shopper(o.shopper), o.orderNo, told)
		}
	})
	t.report.KeysAsked += int64(len(some))
}

// check reads every order ever told anew, and holds it against the round before.
func (t *crashTest) check(ctx context.Context) {
	orders := t.crowd.testimony.orders()
	for _, o := range orders {
		o.state = ""
	}
	if !t.drill.check(ctx) {
		return
	}
	t.crowd.checkOutcomes()
	orders = t.crowd.testimony.orders()
	for _, o := range orders {
		if was := t.states[o]; o.state != "" && !mayFollow(was, o.state) {
			t.crowd.findings.add(checkStateStays, "order %s of %s was %s and is %s", o.orderNo,
				t.rush.shopper(o.shopper), was, o.state)
		}
		t.states[o] = o.state
	}
	t.line.Orders = len(orders)
}

// mayFollow reports whether an order may be in state now that was in state was,
// with nobody but shoppers and the cashier at work.
func mayFollow(was, now string) bool {
	switch was {
	case "", "held":
		return true
	case "expired", "cancelled":
		return now == was || now == "refund_due" // late money
	}
	return now == was
}

// sumUp takes over what was counted, and the verdict, so far.
func (t *crashTest) sumUp() {
	p, f := t.report, t.crowd.findings
	p.LookedUp = t.crowd.tally.lookedUp.Load()
	p.Ready, p.Outage = percentilesOf(t.ready.sum()), percentilesOf(t.outage.sum())
	f.figure(checkOldKeys, "%d keys asked again", p.KeysAsked)
	f.figure(checkLogWhole, "%d kills, %d torn ends", p.Kills, p.TornTails)
	f.figure(checkReady, "%d starts, the slowest %s, within %v", p.Starts, ms(p.Ready.Max), t.cfg.ReadyWithin)
	f.figure(checkStateStays, "%d orders", len(t.states))
	f.figure(checkStaysUp, "%d kills", p.Kills)
	t.drill.sumUp(crashChecks)
}

// CrashReport is what came of a crash test.
type CrashReport struct {
	Config CrashConfig `json:"config"`
	DrillReport
	Kills           int   `json:"kills"`
	KillsRecovering int   `json:"kills_recovering"` // of them, before the node was ready again
	KillsSnapshot   int   `json:"kills_snapshot"`   // of them, in the middle of a snapshot
	LookedUp        int64 `json:"looked_up"`        // orders read for the checks
	KeysAsked       int64 `json:"keys_asked"`       // grabs sent again with an old key for the checks

	// Ready is from the start of a process until it said that it is ready,
	// Outage from the kill until then; both of the starts that were not killed
	// on the way.
	Ready  Percentiles  `json:"ready"`
	Outage Percentiles  `json:"outage"`
	Rounds []CrashRound `json:"rounds"`
}

// CrashRound is one round of a crash test.
type CrashRound struct {
	Round int `json:"round"` // from 1
	// KilledMS are the kills: the first from the start of the load, others from
	// the start of the process. DownMS is how long nothing ran on purpose.
	KilledMS   []float64 `json:"killed_ms"`
	DownMS     []float64 `json:"down_ms"`
	ReadyMS    []float64 `json:"ready_ms"`
	LogBytes   int64     `json:"log_bytes"`
	LogRecords uint64    `json:"log_records"`
	Torn       []string  `json:"torn,omitempty"`
	Orders     int       `json:"orders"` // told so far, in all rounds
	Lost       int       `json:"lost_answers"`
	LostYes    int       `json:"lost_answers_yes"`
}

// showRound writes the line of the last round.
func (t *crashTest) showRound() {
	if t.cfg.Progress == nil {
		return
	}
	r, ends := t.report.Rounds[len(t.report.Rounds)-1], "clean"
	if len(r.Torn) > 0 {
		ends = "torn: " + strings.Join(r.Torn, "; ")
	}
	fmt.Fprintf(t.cfg.Progress, "%s round %2d: %d orders told; killed at %.0f ms, down %.0f ms, ready in %.0f ms; log "+
		"%.2f MB, %d records, %s; %d answers lost, %d a yes\n", mark(t.report.OK()), r.Round, r.Orders, r.KilledMS,
		r.DownMS, r.ReadyMS, float64(r.LogBytes)/1e6, r.LogRecords, ends, r.Lost, r.LostYes)
}

func (p *CrashReport) write(s *sheet) {
	s.put("CRASH\t%d rounds of %d, seed %d, %.0f s\n", len(p.Rounds), p.Config.Rounds, p.Config.Seed, p.Seconds)
	s.put("KILLS\t%d, %d of them before the node was ready again, %d in the middle of a snapshot; %d left a torn end\n",
		p.Kills, p.KillsRecovering, p.KillsSnapshot, p.TornTails)
	s.put("CHECKED\t%d orders looked up, %d keys asked again\n", p.LookedUp, p.KeysAsked)
	p.DrillReport.write(s, []timed{{"start to ready", p.Ready}, {"kill to ready", p.Outage}})
}
