package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"doorbuster/engine"
	"doorbuster/httpapi/play"
)

// BargainReport is what came of bargains.
type BargainReport struct {
	Config BargainConfig `json:"config"`
	DrillReport

	// Starting, Cutting and Buying are from when somebody was due, if anybody was, to the
	// final answer, whatever that was: through kills, too.
	Starting Percentiles `json:"starting"`
	Cutting  Percentiles `json:"cutting"`
	Buying   Percentiles `json:"buying"`

	Outcomes map[string]int64 `json:"outcomes"`
	Kills    []BargainKill    `json:"kills"`
	// Friends is what it took to reach floors where cuts have weight 100, and
	// FriendsBetweenKills of the bargains that met none.
	Friends             FriendsReport `json:"friends"`
	FriendsBetweenKills FriendsReport `json:"friends_between_kills"`
	Idle                *IdleReport   `json:"idle,omitempty"`
	AgreedAt            uint64        `json:"agreed_at"`
	Hash                string        `json:"hash,omitempty"`
	Questions           []Question    `json:"questions"`
}

// BargainKill is a kill of the leader.
type BargainKill struct {
	Node      string  `json:"node"`
	AtSeconds float64 `json:"at_seconds"`
	LedMS     float64 `json:"led_ms"`  // until another led
	BackMS    float64 `json:"back_ms"` // from its start until it had caught up
}

// FriendsReport holds how many friends floors took against the plan.
type FriendsReport struct {
	Bargains  int         `json:"bargains"`
	Planned   int         `json:"planned"`
	Mean      float64     `json:"mean"`
	Counts    map[int]int `json:"counts"` // bargains by their number of friends
	ChiSquare float64     `json:"chi_square"`
	Degrees   int         `json:"degrees_of_freedom"`
	Chance    float64     `json:"chance"` // of so large a sum or a larger one
}

// IdleReport is what came of many idle bargains.
type IdleReport struct {
	Bargains  int         `json:"bargains"`
	PerSecond float64     `json:"started_per_second"`
	Cuts      int         `json:"cuts"`
	Cutting   Percentiles `json:"cutting"`
	// Lag is how late the cuts were sent.
	Lag            Percentiles `json:"lag"`
	RestartSeconds float64     `json:"restart_seconds"` // of a node, until it was ready
}

// Bargain has a cluster hold bargains, kills its leader, and judges what came of it.
//
// Cancelling ctx ends the coming of the crowd; the report and its verdict still come. The
// error is for runs that could not be done at all.
func Bargain(ctx context.Context, cfg BargainConfig) (*BargainReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seed(&cfg.Seed)
	p := &BargainReport{Config: cfg}
	t := &bargainTest{drill: cfg.drill(&p.DrillReport), cfg: &cfg, report: p,
		mortalCluster: newMortalCluster(cfg.Nodes, cfg.StartNode, cfg.BackWithin, cfg.BackWithin)}
	lasting := context.WithoutCancel(ctx)
	err := t.openAt(lasting, &t.mortalCluster, cfg.ApplyPlan, cfg.plan())
	if err == nil && cfg.Idle > 0 {
		err = t.idle(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, t.mortalCluster.close())
	}
	t.hagglers = newHagglers(t.crowd, &cfg)
	t.underLoad(ctx)
	p.Interrupted = ctx.Err() != nil
	if err := t.allBack(lasting); err != nil {
		t.crowd.findings.add(checkBack, "before the verdict: %v", err)
	}
	t.hagglers.finish()
	if err := t.judge(lasting); err != nil {
		for _, c := range bargainChecks {
			t.crowd.findings.add(c, "could not be checked: %v", err)
		}
	}
	if err := t.mortalCluster.close(); err != nil {
		t.crowd.findings.add(checkStaysUp, "the last, orderly stop: %v", err)
	}
	t.sumUp()
	return p, nil
}

// bargainTest is one run under way.
type bargainTest struct {
	drill
	mortalCluster
	hagglers *hagglers
	cfg      *BargainConfig
	report   *BargainReport
	struck   [][2]time.Duration // kills, each until the node was back
}

func (t *bargainTest) tell(format string, args ...any) {
	if t.cfg.Progress != nil {
		fmt.Fprintf(t.cfg.Progress, format+"\n", args...)
	}
}

// underLoad kills the leader while the crowd comes, evenly over who come.
func (t *bargainTest) underLoad(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	var load sync.WaitGroup
	t.crowd.started = time.Now()
	load.Go(func() { defer close(done); t.crowd.send(ctx) })
	lasting := context.WithoutCancel(ctx)
	for i := range t.cfg.Kills {
		at := int64((t.cfg.Bargains + t.cfg.Helps) * (i + 1) / (t.cfg.Kills + 1))
		for t.hagglers.came.Load() < at && ctx.Err() == nil {
			time.Sleep(lookEvery)
		}
		if ctx.Err() != nil {
			break
		}
		if err := t.kill(lasting); err != nil {
			t.crowd.findings.add(checkBack, "kill %d: %v", i+1, err)
			break
		}
	}
	load.Wait()
}

// kill kills the leader, and starts it again once another leads.
func (t *bargainTest) kill(ctx context.Context) error {
	n, err := t.awaitLeader(ctx)
	if err != nil {
		return err
	}
	at := t.crowd.now()
	if err := t.nodes[n].kill(); err != nil {
		return err
	}
	if _, err := t.awaitLeader(ctx); err != nil {
		return err
	}
	k := BargainKill{Node: t.ids[n], AtSeconds: at.Seconds(), LedMS: millis(t.crowd.now() - at)}
	began := time.Now()
	if err := t.start(ctx, n); err != nil {
		return err
	}
	if err := t.awaitWell(ctx); err != nil {
		return err
	}
	k.BackMS = millis(time.Since(began))
	t.struck = append(t.struck, [2]time.Duration{at, t.crowd.now()})
	t.report.Kills = append(t.report.Kills, k)
	t.tell("✓ kill %d: %s; another led after %.0f ms; back in %.0f ms", len(t.report.Kills), k.Node, k.LedMS,
		k.BackMS)
	return nil
}

// idle starts bargains that lie idle, cuts random ones at a steady rate, and restarts a
// node with them.
func (t *bargainTest) idle(ctx context.Context) error {
	p := &IdleReport{Bargains: t.cfg.Idle}
	t.report.Idle = p
	r := newCrowd(&t.rush)
	path, codes := t.cfg.idle().path()+"/bargains", make([]string, t.cfg.Idle)
	b := &hagglers{crowd: r, bargains: t.cfg}
	var wrong []string
	var mu sync.Mutex
	fault := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	phase := func(rate float64, arrivals int, visit func(w *worker, t task)) {
		r.schedule, r.visit, r.started = newSchedule(r.now, pace{rate: rate}, arrivals), visit, time.Now()
		r.send(ctx)
	}
	for _, n := range t.nodes {
		if _, err := n.ops.awaitOpen(ctx, []Listing{t.cfg.idle()}, t.cfg.Settle); err != nil {
			return err
		}
	}
	// Others than those who come later.
	owner := func(i int) int { return t.rush.Shoppers + engine.MaxBargainCuts*t.cfg.Bargains + i }
	phase(0, t.cfg.Idle, func(w *worker, k task) {
		sent := r.now()
		a := readBargainAnswer(b.insist(w.conn, b.request(path, owner(k.shopper), r.cfg.appendKey(nil, owner(k.shopper),
			0))))
		if codes[k.shopper] = a.Bargain.Code; a.Code != codeStarted {
			fault("a start: %s", a.Code)
		}
		r.tally.arrived(sent)
		r.tally.asked(w.number, a.Code, r.now()-sent)
	})
	p.PerSecond = float64(t.cfg.Idle) / r.ended.Seconds()
	t.tell("%d idle bargains started, %.0f a second", t.cfg.Idle, p.PerSecond)
	if err := errors.Join(t.awaitWell(ctx), ctx.Err()); err != nil {
		return err
	}
	cutting, lag := newLatency(), newLatency()
	p.Cuts = int(t.cfg.IdleRate * t.cfg.IdleFor.Seconds())
	phase(t.cfg.IdleRate, p.Cuts, func(w *worker, k task) {
		d := t.cfg.diceOf(uint64(k.shopper) | 1<<43)
		friend := owner(t.cfg.Idle + k.shopper)
		lag.record(w.number, r.now()-k.due)
		a := readBargainAnswer(b.insist(w.conn, b.request("/v1/bargains/"+codes[d.next()%uint64(len(codes))]+"/cuts",
			friend, r.cfg.appendKey(nil, friend, 0))))
		took := r.now() - k.due
		cutting.record(w.number, took)
		r.tally.asked(w.number, a.Code, took)
		if a.Code != codeCut && a.Code != codeFloorReached {
			fault("a cut: %s", a.Code)
		}
	})
	p.Cutting, p.Lag = percentilesOf(cutting.sum()), percentilesOf(lag.sum())
	if len(wrong) > 0 {
		return fmt.Errorf("%d answers about idle bargains are wrong: %s", len(wrong), wrong[0])
	}
	n := len(t.nodes) - 1
	if err := t.nodes[n].close(); err != nil {
		return err
	}
	began := time.Now()
	if err := t.start(ctx, n); err != nil {
		return err
	}
	for t.nodes[n].ops.ready() != nil {
		if time.Since(began) > t.cfg.BackWithin {
			return fmt.Errorf("%s is not ready within %v", t.ids[n], t.cfg.BackWithin)
		}
		time.Sleep(lookEvery)
	}
	p.RestartSeconds = time.Since(began).Seconds()
	t.tell("cut p99 %s at %.0f a second; a node was ready after %.2f s", ms(p.Cutting.P99), t.cfg.IdleRate,
		p.RestartSeconds)
	return t.awaitWell(ctx)
}

// judge ends the session, so that the seeds are told, and holds what was told against what
// all nodes have.
func (t *bargainTest) judge(ctx context.Context) error {
	ops, findings := t.inq.ops, t.crowd.findings
	before, err := ops.survey(ctx, t.rush.Listings)
	if err != nil {
		return err
	}
	sessions := []string{t.rush.Listings[0].Session}
	if t.cfg.Idle > 0 {
		sessions = append(sessions, t.cfg.idle().Session)
	}
	for _, id := range sessions {
		end := call{"POST", "/admin/v1/sessions/" + id + "/end", "application/json", uuid.NewString(),
			[]byte(`{"note":"the bench is over"}`)}
		if err := ops.insist(ctx, end, nil); err != nil {
			return err
		}
	}
	t.tell("the crowd has gone; checking %d bargains", t.cfg.Bargains+t.cfg.Idle)
	if !t.drill.check(ctx) {
		return errors.New("the shop could not be asked")
	}
	c := bargainCase{findings: findings, started: t.crowd.started, name: t.rush.shopper, rules: t.cfg.cutRules(),
		helps: t.hagglers.helps, starts: t.hagglers.starts, purchases: t.hagglers.purchases, orders: t.inq.listed}
	for i, l := range t.rush.Listings {
		c.skus, c.left = append(c.skus, l.SKU), append(c.left, before[i].Available)
	}
	for _, id := range sessions {
		if err := t.read(ctx, id, &c.records); err != nil {
			return err
		}
	}
	c.judge()
	t.judgeFriends(&c)
	p := t.report
	if p.AgreedAt, p.Hash, err = t.awaitAgreement(ctx, t.rush.Listings, t.cfg.Settle); err != nil {
		findings.add(checkNodesAgree, "%v", err)
	}
	findings.figure(checkNodesAgree, "%d nodes at log index %d, hash %s", len(t.nodes), p.AgreedAt, p.Hash)
	return nil
}

// read reads the bargains of a session, with the cuts of those that have any.
func (t *bargainTest) read(ctx context.Context, session string, into *[]*bargainRecord) error {
	var cut []*bargainRecord
	for cursor := ""; ; {
		var page struct {
			Bargains []*bargainRecord `json:"bargains"`
			Cursor   string           `json:"cursor"`
		}
		path := "/admin/v1/bargains?limit=1000&session=" + url.QueryEscape(session)
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := t.inq.ops.insist(ctx, call{method: "GET", path: path}, &page); err != nil {
			return err
		}
		*into = append(*into, page.Bargains...)
		for _, b := range page.Bargains {
			if b.Cuts > 0 {
				cut = append(cut, b)
			}
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	var mu sync.Mutex
	var failed error
	each(t.rush.Addrs, t.rush.Timeout, cut, func(_ *conn, b *bargainRecord) {
		err := t.inq.ops.insist(ctx, call{method: "GET", path: "/admin/v1/bargains/" + b.Code}, b)
		if err == nil && b.Cursor != "" {
			err = fmt.Errorf("bargain %s has more cuts than a page", b.Code)
		}
		if err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	return failed
}

// judgeFriends holds the number of friends that floors took against the rule's.
func (t *bargainTest) judgeFriends(c *bargainCase) {
	d := play.Distribute(&engine.Play{Price: engine.PriceRule{Kind: engine.PriceCut, Floor: bargainFloor},
		Cut: *c.rules["plain"]}, bargainPrice)
	of := func(lets func(h *haggle) bool) FriendsReport {
		friends, short := c.friendsOf(skuPlain, lets)
		if short > 0 {
			c.findings.add(checkAsPlanned, "%d bargains did not come to their floor", short)
		}
		return newFriendsReport(friends, t.cfg.Friends, d.At)
	}
	p := t.report
	p.Friends = of(func(*haggle) bool { return true })
	p.FriendsBetweenKills = of(func(h *haggle) bool {
		for _, k := range t.struck {
			if h.began <= k[1] && h.floorAt >= k[0] {
				return false
			}
		}
		return true
	})
	for _, r := range []FriendsReport{p.Friends, p.FriendsBetweenKills} {
		if wrong := r.wrong(); wrong != "" {
			c.findings.add(checkAsPlanned, "%s", wrong)
		}
	}
	c.findings.figure(checkAsPlanned, "%v; between kills %v", p.Friends, p.FriendsBetweenKills)
}

// leastExpected is how many bargains a class of the chi-square test is expected to have, at
// least, and fewBargains how many say nothing of a mean.
const (
	leastExpected = 5
	fewBargains   = 50
)

// newFriendsReport compares numbers of friends with the chance of each.
func newFriendsReport(friends []int, planned int, chance func(friends uint32) float64) FriendsReport {
	r := FriendsReport{Bargains: len(friends), Planned: planned, Counts: map[int]int{}, Degrees: -1, Chance: 1}
	for _, n := range friends {
		r.Counts[n]++
		r.Mean += float64(n) / float64(len(friends))
	}
	if len(friends) == 0 {
		return r
	}
	// Classes from the fewest friends on; what is left at the end goes to the last.
	var seen, expected []float64
	s, e, all := 0.0, 0.0, 0.0
	for n := 1; n <= engine.MaxBargainCuts && all < 1-1e-12; n++ {
		p := chance(uint32(n))
		s, e, all = s+float64(r.Counts[n]), e+p*float64(len(friends)), all+p
		if e >= leastExpected {
			seen, expected = append(seen, s), append(expected, e)
			s, e = 0, 0
		}
	}
	if last := len(seen) - 1; last >= 0 {
		seen[last], expected[last] = seen[last]+s, expected[last]+e
	}
	counted := 0.0
	for i := range seen {
		counted += seen[i]
		r.ChiSquare += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i]
		r.Degrees++
	}
	if r.Degrees < 1 {
		return r
	}
	if counted != float64(len(friends)) { // numbers that have no chance
		r.ChiSquare, r.Chance = math.Inf(1), 0
		return r
	}
	r.Chance = chiSquareTail(r.ChiSquare, float64(r.Degrees))
	return r
}

// chiSquareTail is about the chance of a sum of x or more (Wilson and Hilferty 1931).
func chiSquareTail(x, degrees float64) float64 {
	v := 2 / (9 * degrees)
	return math.Erfc((math.Cbrt(x/degrees)-1+v)/math.Sqrt(2*v)) / 2
}

// wrong says what is not as planned; "" if all is.
func (r FriendsReport) wrong() string {
	off := math.Abs(r.Mean/float64(r.Planned) - 1)
	if r.Bargains >= fewBargains && off > mustOfFriends || r.Chance < mustBeByChance {
		return r.String()
	}
	return ""
}

func (r FriendsReport) String() string {
	return fmt.Sprintf("%d bargains took %.3f friends, planned %d; chi-square %.1f of %d degrees, p %.3g", r.Bargains,
		r.Mean, r.Planned, r.ChiSquare, r.Degrees, r.Chance)
}

// sumUp takes over what was counted, and the verdict.
func (t *bargainTest) sumUp() {
	p, h := t.report, t.hagglers
	p.Starts = t.starts
	p.Starting, p.Cutting, p.Buying = percentilesOf(h.starting.sum()), percentilesOf(h.cutting.sum()),
		percentilesOf(h.buying.sum())
	p.Outcomes = t.crowd.tally.outcomes
	kills := fmt.Sprintf("%d kills of leaders", len(p.Kills))
	t.crowd.findings.figure(checkBack, "%s, within %v", kills, t.cfg.BackWithin)
	t.crowd.findings.figure(checkStaysUp, "%s", kills)
	t.drill.sumUp(bargainChecks)
	mean := p.Friends.Mean / float64(t.cfg.Friends)
	p.Questions = append(p.Questions, atMost(mustOfFriends, "Bargain/friends",
		"mean of the friends that a floor takes, off the plan", math.Abs(mean-1)).in("", "%v", p.Friends))
	if i := p.Idle; i != nil {
		p.Questions = append(p.Questions,
			atMost(mustCutP99, "Bargain/cutP99", "99 of 100 cuts among idle bargains answered within", i.Cutting.P99).
				in("ms", "%d cuts at %.0f/s of %d bargains", i.Cuts, t.cfg.IdleRate, i.Bargains),
			atMost(mustIdleStart, "Bargain/restart", "restart of a node with idle bargains to ready", i.RestartSeconds).
				in("s", "%d bargains", i.Bargains))
	}
}

func (p *BargainReport) write(s *sheet) {
	s.put("BARGAIN\t%d bargains, %d helps, seed %d, %d nodes, %d kills of leaders, %.0f s\n", p.Config.Bargains,
		p.Config.Helps, p.Config.Seed, len(p.Config.Nodes), len(p.Kills), p.Seconds)
	s.put("ANSWERS\t%s\n", sortedCounts(p.Outcomes))
	rows := []timed{{"start", p.Starting}, {"cut", p.Cutting}, {"buy", p.Buying}}
	if p.Idle != nil {
		s.put("IDLE\t%d bargains started, %.0f a second\n", p.Idle.Bargains, p.Idle.PerSecond)
		rows = append(rows, timed{"cut among idle ones", p.Idle.Cutting}, timed{"sent late by", p.Idle.Lag})
	}
	p.DrillReport.write(s, rows)
	s.put("\n")
	s.questions(p.Questions)
}

func (p *BargainReport) kept() kept {
	k := kept{dir: p.Config.ResultsDir, from: &p.Environment}
	k.questions(p.Questions)
	return k
}
