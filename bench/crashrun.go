package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixMicro())
	}
	t := &crashTest{cfg: &cfg, rush: cfg.rush(), report: newCrashReport(cfg), settled: make(map[*told]string),
		ready: newLatency(), outage: newLatency()}
	// The round under way is finished, and its verdict owed, all the same.
	lasting := context.WithoutCancel(ctx)
	if err := t.open(lasting); err != nil {
		return nil, errors.Join(err, t.close())
	}
	for round := range cfg.Rounds {
		if ctx.Err() != nil {
			t.report.Interrupted = true
			break
		}
		err := t.round(lasting, round)
		t.judge()
		t.showRound()
		if err != nil || !t.report.OK() {
			break
		}
	}
	if err := t.close(); err != nil {
		t.crowd.sins.add(checkStaysUp, "the last, orderly stop: "+err.Error())
	}
	if log, err := cfg.VerifyLog(); err != nil {
		t.crowd.sins.add(checkLogWhole, "after the last, orderly stop: "+err.Error())
	} else if log.Torn != "" {
		t.crowd.sins.add(checkLogWhole, "after the last, orderly stop: torn: "+log.Torn)
	}
	t.judge()
	return t.report, nil
}

// crashTest is one run under way.
type crashTest struct {
	cfg    *CrashConfig
	rush   RushConfig
	crowd  *crowd
	node   CrashNode
	up     bool
	inq    *inquest
	stock  []int64 // of each listing, as put up
	report *CrashReport
	line   *CrashRound // of the round under way

	startedAt time.Time // of the process
	killedAt  time.Time // zero while no outage lasts
	halves    int       // snapshots half written when the node was last killed
	// settled is each order's state when it was last looked up.
	settled map[*told]string
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
	if err := t.cfg.ApplyPlan(ctx, t.node.AdminAddr, planFor("crash", t.cfg.offers())); err != nil {
		return fmt.Errorf("apply the plan: %w", err)
	}
	desk := newAdmin(t.rush.Admin, "", t.rush.Timeout)
	var before []Counts
	for until := time.Now().Add(t.cfg.Settle); ; time.Sleep(time.Millisecond) {
		var err error
		if before, err = desk.survey(ctx, t.rush.Listings); err != nil {
			return err
		}
		if !slices.ContainsFunc(before, func(c Counts) bool { return c.State != "open" }) {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("the listings did not open: %+v", before)
		}
	}
	t.crowd = newCrowd(&t.rush)
	t.crowd.serverAhead = t.crowd.clockOffset()
	t.inq = &inquest{crowd: t.crowd, desk: desk, before: before}
	for _, o := range t.cfg.offers() {
		t.stock = append(t.stock, o.stock)
	}
	return nil
}

func (t *crashTest) start(ctx context.Context, snapshotBytes int64) error {
	t.startedAt = time.Now()
	n, err := t.cfg.StartNode(ctx, snapshotBytes)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	if t.report.Starts++; t.report.Starts > 1 && (n.HTTPAddr != t.rush.Addrs[0] || n.AdminAddr != t.rush.Admin) {
		return errors.Join(errors.New("the node listens elsewhere than before"), n.Kill())
	}
	t.node, t.up = n, true
	return nil
}

func (t *crashTest) close() error {
	if !t.up {
		return nil
	}
	t.up = false
	return t.node.Stop()
}

// awaitReady waits until the node says that it is ready, and notes how long it
// took.
func (t *crashTest) awaitReady(ctx context.Context) error {
	c := newConn([]string{t.node.AdminAddr}, 0, time.Second)
	defer c.close()
	request := []byte("GET /readyz HTTP/1.1\r\nHost: " + t.node.AdminAddr + "\r\n\r\n")
	for {
		got, err := c.roundTrip(request)
		took := time.Since(t.startedAt)
		if err == nil && got.status == 200 {
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
			if err == nil {
				err = fmt.Errorf("status %d", got.status)
			}
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
// been entered among the offences.
func (t *crashTest) round(ctx context.Context, round int) error {
	t.report.Rounds = append(t.report.Rounds, CrashRound{Round: round + 1})
	t.line = &t.report.Rounds[round]
	defer func() { t.line = nil }()
	kills := t.cfg.killsOf(round)
	if err := t.fillUp(ctx); err != nil {
		t.crowd.sins.add(checkStockStays, fmt.Sprintf("round %d: %v", t.line.Round, err))
		return err
	}
	longest := t.cfg.LoadTime + t.rush.Timeout + 10*time.Second
	for _, k := range kills {
		longest += k.after + k.down + t.cfg.ReadyWithin
	}
	loading, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	t.fillAgenda(round)
	look := t.newOnlookers(round)
	loaded, looked := make(chan struct{}), make(chan struct{})
	began := time.Now()
	go func() { defer close(loaded); t.crowd.send(loading) }()
	go func() { defer close(looked); look.watch(loaded) }()
	err := t.killAll(ctx, kills, began)
	if err != nil {
		cancel() // nobody will answer any more
	}
	<-loaded
	<-looked
	t.report.Looks += look.asked.Load()
	t.report.LooksAnswered += look.answered.Load()
	if err != nil {
		return err
	}
	lost, yes := t.inq.settleLost()
	t.line.Lost, t.line.LostYes = int(lost), int(yes)
	t.report.Lost += lost
	t.report.LostYes += yes
	t.askAgain(round)
	t.check(ctx)
	return nil
}

// fillUp makes the listings that sell out sell again.
func (t *crashTest) fillUp(ctx context.Context) error {
	counts, err := t.inq.desk.survey(ctx, t.rush.Listings)
	if err != nil {
		return err
	}
	for i, o := range t.cfg.offers() {
		if more := o.keep - counts[i].Available; more > 0 {
			if err := t.inq.desk.addStock(o.Listing, more); err != nil {
				return err
			}
			t.stock[i] += more
		}
	}
	return nil
}

// killAll carries out a round's kills.
func (t *crashTest) killAll(ctx context.Context, kills []kill, since time.Time) error {
	sins := t.crowd.sins
	for i, k := range kills {
		t.awaitInstant(ctx, k, since)
		recovering := i > 0 && !t.isReady()
		t.line.KilledMS = append(t.line.KilledMS, millis(time.Since(since)))
		if t.killedAt.IsZero() {
			t.killedAt = time.Now()
		}
		t.up = false
		t.report.Kills++
		if recovering {
			t.report.KillsRecovering++
		}
		if err := t.node.Kill(); err != nil {
			sins.add(checkStaysUp, fmt.Sprintf("round %d: %v", t.line.Round, err))
			return err
		}
		log, err := t.cfg.VerifyLog()
		if err != nil {
			sins.add(checkLogWhole, fmt.Sprintf("round %d: %v", t.line.Round, err))
			return err
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
			sins.add(checkReady, fmt.Sprintf("round %d: %v", t.line.Round, err))
			return err
		}
		since = t.startedAt
		if i < len(kills)-1 {
			continue
		}
		if err := t.awaitReady(ctx); err != nil {
			if errors.Is(err, errNodeEnded) {
				err = fmt.Errorf("%w: %w", err, t.node.Kill())
			}
			sins.add(checkReady, fmt.Sprintf("round %d: %v", t.line.Round, err))
			return err
		}
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

// isReady asks once.
func (t *crashTest) isReady() bool {
	c := newConn([]string{t.node.AdminAddr}, 0, 100*time.Millisecond)
	defer c.close()
	got, err := c.roundTrip([]byte("GET /readyz HTTP/1.1\r\nHost: " + t.node.AdminAddr + "\r\n\r\n"))
	return err == nil && got.status == 200
}

// fillAgenda invites a round's shoppers: new ones, those who come back for an
// order they were told of, and those who come back whatever they were told.
func (t *crashTest) fillAgenda(round int) {
	r := t.crowd
	r.agenda = newAgenda(r.now, pace{}, 0)
	d := t.diceOf(round, "load")
	start := r.now()
	for i := range t.cfg.Shoppers {
		r.agenda.add(task{due: start + d.upTo(t.cfg.LoadTime), deed: deedGrab,
			shopper: round*t.cfg.Shoppers + i, first: true})
	}
	if round == 0 {
		return
	}
	for i, o := range r.witness.someTold(&d, t.cfg.Returning) {
		back := task{due: start + d.upTo(t.cfg.LoadTime), deed: deedGrab, shopper: o.shopper,
			listing: o.listing, click: o.click}
		if i%4 == 0 {
			n := int(d.next() % uint64(round*t.cfg.Shoppers))
			back.shopper, back.listing, back.click = n, t.rush.intentOf(n).listing, clickFirst
		}
		r.agenda.add(back)
	}
}

func (t *crashTest) diceOf(round int, what string) dice {
	d := dice(t.cfg.Seed)
	for _, c := range []byte(what) {
		d = dice(d.next() ^ uint64(c))
	}
	return dice(d.next() ^ uint64(round)*0x9e3779b97f4a7c15)
}
