package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Failover runs a cluster under load and puts its leader out of action over and
// over: it measures how long nothing is granted, and holds whatever anybody was
// ever told, by any node, against what all nodes know in the end.
//
// Cancelling ctx ends the run after the kill under way; the report and its
// verdict still come. So does the first kill that finds something wrong, unless
// the configuration says to go on. The
// error is for runs that could not be done at all; see [FailoverReport.OK] for a
// cluster that broke its word.
func Failover(ctx context.Context, cfg FailoverConfig) (*FailoverReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixMicro())
	}
	t := &failoverTest{cfg: &cfg, rush: cfg.rush(), report: newFailoverReport(cfg), watch: newGrantWatch(),
		gaps: newLatency(), leaderKills: newLatency(), followerKills: newLatency(),
		everywhere: newLatency(), back: newLatency(),
		nodes: make([]failoverNode, len(cfg.Nodes)), away: make([]atomic.Bool, len(cfg.Nodes))}
	// The kill under way is finished, and the verdict owed, all the same.
	lasting := context.WithoutCancel(ctx)
	if err := t.open(lasting); err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.underLoad(lasting, func() {
		for i := range cfg.Kills {
			if ctx.Err() != nil {
				t.report.Interrupted = true
				break
			}
			err := t.kill(lasting, i)
			t.showKill()
			if err != nil || t.crowd.sins.any() && !cfg.GoOn {
				break
			}
		}
	})
	t.allBack(lasting)
	t.check(lasting)
	if err := t.close(); err != nil {
		t.crowd.sins.add(checkStaysUp, "the last, orderly stop: "+err.Error())
	}
	for n := range cfg.Nodes {
		t.verifyLog(n)
	}
	t.judge()
	return t.report, nil
}

// failoverTest is one run under way.
type failoverTest struct {
	cfg    *FailoverConfig
	rush   RushConfig
	crowd  *crowd
	inq    *inquest
	nodes  []failoverNode
	away   []atomic.Bool // nodes that were put down on purpose
	stock  []int64       // of each listing, as put up
	watch  *grantWatch
	report *FailoverReport
	line   *FailoverKill // of the kill under way

	// Until the next grant: after kills of leaders, of followers, and until the
	// last node that was left granted. back is from a start until caught up.
	leaderKills, followerKills, everywhere, back *latency
	gaps                                         *latency // the longest time without a grant around each kill
}

// failoverNode is a node of the cluster under test.
type failoverNode struct {
	CrashNode
	up     bool
	paused bool
	desk   *admin // its own operators' address
}

// open starts all nodes and puts the listings up.
func (t *failoverTest) open(ctx context.Context) error {
	for n := range t.nodes {
		if err := t.start(ctx, n); err != nil {
			return err
		}
		t.rush.Addrs = append(t.rush.Addrs, t.nodes[n].HTTPAddr)
		if n > 0 {
			t.rush.Admin += ","
		}
		t.rush.Admin += t.nodes[n].AdminAddr
	}
	if err := t.awaitWell(ctx); err != nil {
		return err
	}
	if err := t.cfg.ApplyPlan(ctx, t.nodes[0].AdminAddr, planFor("failover", t.cfg.offers())); err != nil {
		return fmt.Errorf("apply the plan: %w", err)
	}
	var before []Counts
	for n := range t.nodes {
		for until := time.Now().Add(t.cfg.Settle); ; time.Sleep(time.Millisecond) {
			var err error
			before, err = t.nodes[n].desk.survey(ctx, t.rush.Listings)
			if err == nil && !slices.ContainsFunc(before, func(c Counts) bool { return c.State != "open" }) {
				break
			}
			if time.Now().After(until) {
				return fmt.Errorf("the listings did not open on %s: %+v, %v", t.cfg.Nodes[n], before, err)
			}
		}
	}
	for n := range t.nodes {
		t.tell("%s in zone %s serves shoppers at %s, operators at %s", t.cfg.Nodes[n], t.cfg.Zones[n],
			t.nodes[n].HTTPAddr, t.nodes[n].AdminAddr)
	}
	t.crowd = newCrowd(&t.rush)
	t.crowd.serverAhead = t.crowd.clockOffset()
	t.crowd.agenda = newAgenda(t.crowd.now, pace{rate: t.rush.Rate}, probesFrom)
	t.crowd.onGrant, t.crowd.resend = t.granted, true
	t.inq = &inquest{crowd: t.crowd, desk: newAdmin(t.rush.Admin, "", t.rush.Timeout), before: before}
	for _, o := range t.cfg.offers() {
		t.stock = append(t.stock, o.stock)
	}
	return nil
}

func (t *failoverTest) start(ctx context.Context, n int) error {
	c, err := t.cfg.StartNode(ctx, n)
	if err != nil {
		return fmt.Errorf("start %s: %w", t.cfg.Nodes[n], err)
	}
	t.report.Starts++
	node := &t.nodes[n]
	if node.desk == nil {
		node.desk = newAdmin(c.AdminAddr, "", time.Second)
	} else if c.HTTPAddr != node.HTTPAddr || c.AdminAddr != node.AdminAddr {
		return errors.Join(fmt.Errorf("%s listens elsewhere than before", t.cfg.Nodes[n]), c.Kill())
	}
	node.CrashNode, node.up = c, true
	t.away[n].Store(false)
	return nil
}

// close stops the nodes that are up, one after the other.
func (t *failoverTest) close() error {
	var all []error
	for n := range t.nodes {
		if node := &t.nodes[n]; node.up {
			node.up = false
			if err := node.Stop(); err != nil {
				all = append(all, fmt.Errorf("%s: %w", t.cfg.Nodes[n], err))
			}
		}
	}
	return errors.Join(all...)
}

// underLoad does f while the crowd comes and the probes ask, and waits until all
// that was asked has been answered.
func (t *failoverTest) underLoad(ctx context.Context, f func()) {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	probing := make(chan struct{})
	var load, probes sync.WaitGroup
	t.crowd.started = time.Now()
	load.Go(func() { t.crowd.send(loading) })
	for n := range t.nodes {
		probes.Go(func() { t.probe(n, probing) })
	}
	f()
	// The probes first: what they leave open goes onto the crowd's agenda.
	close(probing)
	probes.Wait()
	stopLoad()
	load.Wait()
}

// granted looks at each grant: it is timed, and one in echoEvery is asked for
// again at once with its key, mostly by way of another node, which has to know
// that the shopper was told yes.
func (t *failoverTest) granted(addr string, q ask, fresh bool) {
	t.watch.heard(addr, q, fresh)
	if d := dice(uint64(q.shopper)); d.next()%echoEvery == 0 {
		t.crowd.agenda.add(task{due: q.heardAt, deed: deedGrab, shopper: q.shopper, listing: q.listing, click: q.click})
	}
}

const echoEvery = 4

// kill is one cycle: calm, a strike, the way back. An error ends the run; it has
// been entered among the offences.
func (t *failoverTest) kill(ctx context.Context, i int) error {
	t.report.Kills = append(t.report.Kills, FailoverKill{Kill: i + 1})
	t.line = &t.report.Kills[i]
	look := t.newOnlookers(i)
	done, looked := make(chan struct{}), make(chan struct{})
	go func() { defer close(looked); look.watch(done) }()
	defer func() {
		close(done)
		<-looked
		t.report.Looks += look.asked.Load()
		t.report.LooksAnswered += look.answered.Load()
		t.line.Orders = t.crowd.tally.granted.Load()
	}()
	s := t.cfg.strikeOf(i)
	if s.calm > 0 {
		if err := t.fillUp(ctx, i); err != nil {
			return t.fault(checkStockStays, err)
		}
		time.Sleep(s.calm)
	}
	leader, err := t.awaitLeader(ctx)
	if err != nil {
		return t.fault(checkGrants, err)
	}
	victim := leader
	if s.kind == killFollower {
		victim = (leader + 1 + int(s.pick%uint64(len(t.nodes)-1))) % len(t.nodes)
	}
	t.line.Kind, t.line.Node = s.kind, t.cfg.Nodes[victim]
	if err := t.strike(victim); err != nil {
		return t.fault(checkStaysUp, err)
	}
	struck := time.Now()
	if t.cfg.blocked(victim) {
		t.line.Blocked = true
	} else if err := t.awaitGrants(s.kind, victim); err != nil {
		return t.fault(checkGrants, err)
	}
	pause := s.down
	if t.cfg.How == HowStall {
		pause = t.cfg.StallFor - time.Since(struck)
	}
	time.Sleep(max(0, pause))
	if err := t.bringBack(ctx, victim); err != nil {
		return t.fault(checkBack, err)
	}
	gap := t.watch.disarm()
	t.line.GapMS = millis(gap)
	if !t.line.Blocked {
		t.gaps.record(0, gap)
	}
	return nil
}

func (t *failoverTest) fault(check string, err error) error {
	t.watch.disarm()
	t.line.Fault = err.Error()
	t.crowd.sins.add(check, fmt.Sprintf("kill %d (%s %s): %v", t.line.Kill, t.line.Kind, t.line.Node, err))
	return err
}

func (t *failoverTest) newOnlookers(i int) *onlookers {
	d := dice(t.cfg.Seed ^ 0x6c6f6f6b ^ uint64(i)<<32)
	return &onlookers{inquest: t.inq, orders: t.crowd.witness.someTold(&d, 1000)}
}

// fillUp makes the listings that sell out sell again, by way of another node each
// time.
func (t *failoverTest) fillUp(ctx context.Context, i int) error {
	desk := t.nodes[i%len(t.nodes)].desk
	counts, err := desk.survey(ctx, t.rush.Listings)
	if err != nil {
		return err
	}
	for l, o := range t.cfg.offers() {
		more := o.keep - counts[l].Available
		if more <= 0 {
			continue
		}
		if err := desk.addStock(o.Listing, more); err != nil {
			return fmt.Errorf("more units by way of %s: %w", t.cfg.Nodes[i%len(t.nodes)], err)
		}
		t.stock[l] += more
	}
	return nil
}

// strike puts a node out of action.
func (t *failoverTest) strike(victim int) error {
	node := &t.nodes[victim]
	at := t.crowd.now()
	t.line.AtSeconds = at.Seconds()
	t.watch.arm(at)
	switch t.cfg.How {
	case HowStall:
		err := node.Pause()
		node.paused = true
		t.watch.countFrom(t.crowd.now() + dyingTakes)
		return err
	case HowStop:
		// It may grant on until it has handed over: here the gap says more.
		t.watch.countFrom(at)
		node.up = false
		t.away[victim].Store(true)
		return node.Stop()
	}
	node.up = false
	t.away[victim].Store(true)
	err := node.Kill()
	t.watch.countFrom(t.crowd.now()) // what is asked from here on was not decided by it
	return err
}

// awaitGrants waits until each node that is left has granted a unit to a shopper
// who asked after the strike.
func (t *failoverTest) awaitGrants(kind string, victim int) error {
	patience := time.NewTimer(t.cfg.GrantWithin)
	defer patience.Stop()
	for first := true; ; {
		byNode, more := t.watch.granting()
		delete(byNode, t.nodes[victim].HTTPAddr)
		if len(byNode) > 0 && first {
			first = false
			var next time.Duration
			for n := range t.nodes {
				if d, ok := byNode[t.nodes[n].HTTPAddr]; ok && (next == 0 || d < next) {
					next, t.line.NextBy = d, t.cfg.Nodes[n]
				}
			}
			t.line.NextGrantMS = millis(next)
			if kind == killFollower {
				t.followerKills.record(0, next)
			} else {
				t.leaderKills.record(0, next)
			}
		}
		if len(byNode) == len(t.nodes)-1 {
			var last time.Duration
			for _, d := range byNode {
				last = max(last, d)
			}
			t.line.AllGrantMS = millis(last)
			t.everywhere.record(0, last)
			return nil
		}
		select {
		case <-more:
		case <-patience.C:
			var silent []string
			for n := range t.nodes {
				if _, ok := byNode[t.nodes[n].HTTPAddr]; !ok && n != victim {
					silent = append(silent, t.cfg.Nodes[n])
				}
			}
			return fmt.Errorf("nothing granted by %v within %v; %s", silent, t.cfg.GrantWithin, t.views())
		}
	}
}

// bringBack starts the node again, or lets it go on, and waits until all is well.
func (t *failoverTest) bringBack(ctx context.Context, victim int) error {
	node := &t.nodes[victim]
	began := time.Now()
	if t.cfg.How == HowStall {
		node.paused = false
		if err := node.Resume(); err != nil {
			return err
		}
	} else {
		t.verifyLog(victim)
		if err := t.start(ctx, victim); err != nil {
			return err
		}
	}
	if err := t.awaitWell(ctx); err != nil {
		return err
	}
	t.line.BackMS = millis(time.Since(began))
	t.back.record(0, time.Since(began))
	return nil
}

// allBack brings back what a kill that went wrong has left away, for the verdict.
func (t *failoverTest) allBack(ctx context.Context) {
	for n := range t.nodes {
		node := &t.nodes[n]
		switch {
		case node.paused:
			node.paused = false
			_ = node.Resume() // if it can't go on, it won't be well below
		case !node.up:
			if err := t.start(ctx, n); err != nil {
				t.crowd.sins.add(checkBack, err.Error())
			}
		}
	}
	if err := t.awaitWell(ctx); err != nil {
		t.crowd.sins.add(checkBack, "before the verdict: "+err.Error())
	}
}

func (t *failoverTest) verifyLog(n int) {
	if t.cfg.VerifyLog == nil {
		return
	}
	log, err := t.cfg.VerifyLog(n)
	if err != nil {
		t.crowd.sins.add(checkLogWhole, fmt.Sprintf("%s: %v", t.cfg.Nodes[n], err))
	}
	if log.Torn != "" {
		t.report.TornTails++
	}
}
