package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// contest is one under way. People have the first numbers, bots those behind.
type contest struct {
	*crowd
	cfg     *ContestConfig
	d       Defence
	network string
	shop    ContestShop
	path    string // of the listing
	host    string

	left       atomic.Int64 // requests that bots have yet to send
	botsUntil  atomic.Int64 // when they were last answered, in ns of the run
	peopleGone chan struct{}
	botWork    *solvers
	peopleWork *solvers
	judge      wordJudge

	mu       sync.Mutex
	botsTold map[string]int64
	people   map[string]int64 // by the last that each was told
	missed   int64
	wait     *hdrhistogram.Histogram
}

// holdContest starts a shop, holds one contest at it, and stops it.
func holdContest(ctx context.Context, cfg *ContestConfig, d Defence, network string,
	seed uint64) (round *ContestRound, err error) {
	shop, err := cfg.StartShop(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("start the shop: %w", err)
	}
	defer func() {
		if cerr := shop.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("stop the shop: %w", cerr)
		}
	}()
	rush := DefaultRushConfig()
	rush.Addrs, rush.Admin, rush.Listings = []string{shop.HTTPAddr}, shop.AdminAddr, []Listing{shop.Listing}
	rush.Shoppers, rush.ShopperPrefix, rush.Seed, rush.Timeout = cfg.People+cfg.Bots,
		contestPrefix(seed), seed, cfg.Timeout
	rush.LimitPerSession = 1
	if err := rush.Validate(); err != nil {
		return nil, err
	}
	c := &contest{
		crowd: newCrowd(&rush), cfg: cfg, d: d, network: network, shop: shop,
		path: shop.Listing.path(), host: shop.HTTPAddr,
		peopleGone: make(chan struct{}), botsTold: map[string]int64{}, people: map[string]int64{},
		wait: newHistogram(),
	}
	c.judge = wordJudge{d: d, findings: c.findings}
	c.left.Store(cfg.Requests)
	ops := newAdmin(shop.AdminAddr, "", cfg.Timeout)
	c.serverAhead = c.clockOffset()
	opens, err := c.opens()
	if err != nil {
		return nil, err
	}
	if err := c.prepare(ctx, ops); err != nil {
		return nil, err
	}
	before, err := ops.survey(ctx, rush.Listings)
	if err != nil {
		return nil, err
	}
	c.started = opens.Add(-c.serverAhead)
	if c.now() > -early {
		return nil, fmt.Errorf("the listing opened %v before all was ready: it must open later", c.now())
	}
	c.fight(ctx)
	round = &ContestRound{
		Requests: cfg.Requests - max(0, c.left.Load()), Seconds: c.ended.Seconds(),
		BotSeconds: time.Duration(c.botsUntil.Load()).Seconds(),
		PeopleTold: c.people, BotsTold: c.botsTold,
		Missed: c.missed, PeopleWork: c.peopleWork.report(), BotWork: c.botWork.report(), Wait: percentilesOf(c.wait),
	}
	v := &inquest{crowd: c.crowd, ops: ops, before: before}
	v.hold(context.WithoutCancel(ctx))
	c.findings.figure(checkHonestWords, "%d answers", c.judge.judged.Load())
	round.Verdict = v.verdict(contestChecks)
	for _, o := range v.listed {
		if released(o.State) {
			continue
		}
		if n, ours := rush.numberOf(o.Shopper); ours && n < cfg.People {
			round.PeopleUnits += int64(o.Quantity)
		} else {
			round.BotUnits += int64(o.Quantity)
		}
	}
	if all := round.PeopleUnits + round.BotUnits; all > 0 {
		round.PeopleShare = float64(round.PeopleUnits) / float64(all)
	}
	return round, nil
}

// early is how long before the opening bots begin.
const early = 2 * time.Millisecond

// opens asks when the listing does, by the shop's clock.
func (c *contest) opens() (time.Time, error) {
	var l struct {
		Start time.Time `json:"start"`
	}
	err := c.get(c.path, &l)
	if err == nil && l.Start.IsZero() {
		err = errors.New("it does not say")
	}
	if err != nil {
		err = fmt.Errorf("when does the listing open: %w", err)
	}
	return l.Start, err
}

// contestant is what the seed made of somebody.
type contestant struct {
	arrives  time.Duration // a person's first look
	known    bool          // a bot that is on the risk lists
	reserved bool
	cancels  bool
	dice     dice
}

func (c *contest) contestant(n int) contestant {
	d := dice(c.crowd.cfg.Seed)
	d = dice(d.next() ^ uint64(n)*0x9e3779b97f4a7c15)
	who := contestant{arrives: d.upTo(c.cfg.PeopleWithin)}
	who.known = d.share() < c.cfg.KnownShare
	who.reserved = d.share() < c.cfg.ReservedShare
	who.cancels = d.share() < c.cfg.CancelShare && (!c.d.Draw || c.d.Waitlist)
	if n < c.cfg.People {
		who.known, who.reserved = false, true
	}
	who.dice = d
	return who
}

// prepare brings in reservations and risk lists, where the defence has them.
func (c *contest) prepare(ctx context.Context, ops *admin) error {
	var reserved []int
	var known bytes.Buffer
	for n := range c.cfg.People + c.cfg.Bots {
		who := c.contestant(n)
		if who.reserved {
			reserved = append(reserved, n)
		}
		if who.known {
			known.Write(c.crowd.cfg.appendShopper(nil, n))
			known.WriteString(",block\n")
		}
	}
	if c.d.Risk && known.Len() > 0 {
		if err := ops.insist(ctx, call{method: "PUT", path: "/admin/v1/risk/shoppers", contentType: "text/csv",
			body: known.Bytes()}, nil); err != nil {
			return err
		}
	}
	if !c.d.Reservation {
		return nil
	}
	var failed error
	var once sync.Once
	each(c.crowd.cfg.Addrs, c.cfg.Timeout, reserved, func(n *conn, who int) {
		got, err := n.roundTrip(c.appendRequest(nil, "POST", c.path+"/reservation", who, "", nil))
		if err == nil && got.status >= 300 {
			err = fmt.Errorf("status %d: %.200s", got.status, got.body)
		}
		if err != nil {
			once.Do(func() { failed = fmt.Errorf("reserve: %w", err) })
		}
	})
	return failed
}

// addrOf is the address that somebody asks from.
func (c *contest) addrOf(n int) string {
	if n < c.cfg.People {
		return personAddr(n)
	}
	return c.cfg.botAddr(c.network, n-c.cfg.People)
}

// appendRequest appends a request of a contestant; key "" sends none.
func (c *contest) appendRequest(b []byte, method, path string, who int, key string, body []byte) []byte {
	b = append(appendHead(b, method, path, c.host), "X-Forwarded-For: "...)
	b = append(append(b, c.addrOf(who)...), "\r\n"...)
	b = c.requests.appendIdentity(b, who)
	if key != "" {
		b = append(append(append(b, "Idempotency-Key: "...), key...), "\r\n"...)
	}
	return appendBody(b, method, body)
}

// grabBody is the body of a grab; waitlist asks for a place in line.
func (c *contest) grabBody(ticket string) []byte {
	switch {
	case c.d.Waitlist && ticket != "":
		return []byte(`{"waitlist":true,"ticket":"` + ticket + `"}`)
	case c.d.Waitlist:
		return []byte(`{"waitlist":true}`)
	case ticket != "":
		return []byte(`{"ticket":"` + ticket + `"}`)
	}
	return nil
}

func (c *contest) appendGrab(b []byte, who int, k click, ticket string) []byte {
	return c.appendRequest(b, "POST", c.path+"/grab", who,
		string(c.crowd.cfg.appendKey(nil, who, k)), c.grabBody(ticket))
}

func (c *contest) appendOutcome(b []byte, who int, k click) []byte {
	return c.appendRequest(b, "GET", "/v1/grabs/"+string(c.crowd.cfg.appendKey(nil, who, k)), who, "", nil)
}

// fight lets bots and people come, and waits until both have gone.
func (c *contest) fight(ctx context.Context) {
	c.botWork = newSolvers(c.cfg.BotCores, c.cfg.Bots)
	c.peopleWork = newSolvers(1, c.cfg.People)
	var people, bots, beside sync.WaitGroup
	for n := range c.cfg.People {
		people.Go(func() { c.visit(ctx, n) })
	}
	for i := range min(c.cfg.BotConnections, c.cfg.Bots) {
		bots.Go(func() { c.runBots(ctx, i) })
	}
	over := make(chan struct{})
	beside.Go(func() {
		everyLine(over, func() {
			if c.cfg.Progress != nil {
				fmt.Fprintf(c.cfg.Progress, "  %s, %s addresses: %.1f s, bots sent %d of %d, orders told %d\n",
					c.d.Name, c.network, c.now().Seconds(), c.cfg.Requests-max(0, c.left.Load()), c.cfg.Requests,
					atomic.LoadInt64(&c.tally.Orders))
			}
		})
	})
	people.Wait()
	close(c.peopleGone)
	bots.Wait()
	c.ended = c.now()
	close(over)
	beside.Wait()
	c.botWork.close()
	c.peopleWork.close()
}

// await waits until the time of the run; false if ctx ended before.
func (c *contest) await(ctx context.Context, until time.Duration) bool {
	wait := time.NewTimer(until - c.now())
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wait.C:
		return true
	}
}
