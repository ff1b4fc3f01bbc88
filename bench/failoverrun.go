package bench

import (
	"context"
	"errors"
	"fmt"
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
	seed(&cfg.Seed)
	p := &FailoverReport{Config: cfg}
	t := &failoverTest{drill: cfg.drill(&p.DrillReport), cfg: &cfg, report: p, watch: newGrantWatch(),
		mortalCluster: newMortalCluster(cfg.Nodes, cfg.StartNode, cfg.GrantWithin, cfg.BackWithin),
		gaps:          newLatency(), leaderKills: newLatency(), followerKills: newLatency(),
		everywhere: newLatency(), back: newLatency()}
	// The kill under way is finished, and the verdict owed, all the same.
	lasting := context.WithoutCancel(ctx)
	if err := t.open(lasting); err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.underLoad(lasting, func() {
		for i := range cfg.Kills {
			if ctx.Err() != nil {
				p.Interrupted = true
				break
			}
			err := t.kill(lasting, i)
			t.showKill()
			if err != nil || t.crowd.findings.any() && !cfg.GoOn {
				break
			}
		}
	})
	if err := t.allBack(lasting); err != nil {
		t.crowd.findings.add(checkBack, "before the verdict: %v", err)
	}
	t.check(lasting)
	if err := t.close(); err != nil {
		t.crowd.findings.add(checkStaysUp, "the last, orderly stop: %v", err)
	}
	for n := range cfg.Nodes {
		t.verifyLog(n)
	}
	p.Starts = t.starts
	t.sumUp()
	return p, nil
}

// failoverTest is one run under way.
type failoverTest struct {
	drill
	mortalCluster
	cfg    *FailoverConfig
	watch  *grantWatch
	report *FailoverReport
	line   *FailoverKill // of the kill under way

	// Until the next grant: after kills of leaders, of followers, and until the
	// last node that was left granted. back is from a start until caught up.
	leaderKills, followerKills, everywhere, back *latency
	gaps                                         *latency // the longest time without a grant around each kill
}

// open starts all nodes and puts the listings up.
func (t *failoverTest) open(ctx context.Context) error {
	if err := t.drill.openAt(ctx, &t.mortalCluster, t.cfg.ApplyPlan, planFor("failover", t.offers)); err != nil {
		return err
	}
	for n, node := range t.nodes {
		t.tell("%s in zone %s serves shoppers at %s, operators at %s", t.cfg.Nodes[n], t.cfg.Zones[n],
			node.HTTPAddr, node.AdminAddr)
	}
	t.crowd.schedule = newSchedule(t.crowd.now, pace{rate: t.rush.Rate}, probesFrom)
	t.crowd.onGrant, t.crowd.resend = t.granted, true
	return nil
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
	// The probes first: what they leave open goes onto the crowd's schedule.
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
		t.crowd.schedule.add(task{due: q.heardAt, deed: deedGrab, shopper: q.shopper, listing: q.listing,
			click: q.click})
	}
}

const echoEvery = 4

// kill is one cycle: calm, a strike, the way back. An error ends the run; it has
// been entered among the offences.
func (t *failoverTest) kill(ctx context.Context, i int) error {
	t.report.Kills = append(t.report.Kills, FailoverKill{Kill: i + 1})
	t.line = &t.report.Kills[i]
	stopLooking := t.lookOn(dice(t.cfg.Seed ^ 0x6c6f6f6b ^ uint64(i)<<32))
	defer func() {
		stopLooking()
		t.line.Orders = atomic.LoadInt64(&t.crowd.tally.Orders)
	}()
	s := t.cfg.strikeOf(i)
	if s.calm > 0 {
		if err := t.fillUp(ctx, t.nodes[i%len(t.nodes)].ops); err != nil {
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

func (t *failoverTest) fault(c check, err error) error {
	t.watch.disarm()
	t.line.Fault = err.Error()
	t.crowd.findings.add(c, "kill %d (%s %s): %v", t.line.Kill, t.line.Kind, t.line.Node, err)
	return err
}

// strike puts a node out of action.
func (t *failoverTest) strike(victim int) error {
	node, at := t.nodes[victim], t.crowd.now()
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
		return node.close()
	}
	err := node.kill()
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
		var next, last time.Duration
		var silent []string
		for n, node := range t.nodes {
			if n == victim {
				continue
			}
			d, ok := byNode[node.HTTPAddr]
			if !ok {
				silent = append(silent, t.cfg.Nodes[n])
				continue
			}
			if last = max(last, d); first && (next == 0 || d < next) {
				next, t.line.NextBy = d, t.cfg.Nodes[n]
			}
		}
		if next > 0 {
			first = false
			t.line.NextGrantMS = millis(next)
			if kind == killFollower {
				t.followerKills.record(0, next)
			} else {
				t.leaderKills.record(0, next)
			}
		}
		if len(silent) == 0 {
			t.line.AllGrantMS = millis(last)
			t.everywhere.record(0, last)
			return nil
		}
		select {
		case <-more:
		case <-patience.C:
			return fmt.Errorf("nothing granted by %v within %v; %s", silent, t.cfg.GrantWithin, t.views())
		}
	}
}

// bringBack starts the node again, or lets it go on, and waits until all is well.
func (t *failoverTest) bringBack(ctx context.Context, victim int) error {
	node := t.nodes[victim]
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

func (t *failoverTest) verifyLog(n int) {
	if t.cfg.VerifyLog == nil {
		return
	}
	log, err := t.cfg.VerifyLog(n)
	if err != nil {
		t.crowd.findings.add(checkLogWhole, "%s: %v", t.cfg.Nodes[n], err)
	}
	if log.Torn != "" {
		t.report.TornTails++
	}
}
