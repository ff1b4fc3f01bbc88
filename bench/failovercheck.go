package bench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// check holds what was told against what all nodes know once the crowd has gone.
func (t *failoverTest) check(ctx context.Context) {
	t.tell("the crowd has gone; checking %d orders on %d nodes", atomic.LoadInt64(&t.crowd.tally.Orders), len(t.nodes))
	t.resolveLost()
	t.awaitReleases(ctx)
	if !t.drill.check(ctx) {
		return
	}
	t.crowd.checkOutcomes()
	orders := t.crowd.testimony.orders()
	for n := range t.nodes {
		// A node that does not answer would have all orders waited for, one by one.
		if _, err := t.view(n); err != nil {
			t.crowd.findings.add(checkEveryNode, "%s could not be asked: %v", t.cfg.Nodes[n], err)
			continue
		}
		t.checkNode(n, orders)
	}
	p := t.report
	var err error
	if p.AgreedAt, p.Hash, err = t.awaitAgreement(ctx, t.rush.Listings, t.cfg.Settle); err != nil {
		t.crowd.findings.add(checkNodesAgree, "%v", err)
	}
}

// awaitReleases waits until the brief holds have run out, or their states would
// change from one node's look to the next.
func (t *failoverTest) awaitReleases(ctx context.Context) {
	brief := slices.IndexFunc(t.offers, func(o offer) bool { return o.payWithin == t.cfg.PayWithin })
	for until := time.Now().Add(t.cfg.PayWithin +
		t.cfg.Settle); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if counts, err := t.inq.ops.survey(ctx, t.rush.Listings); err == nil && counts[brief].Held == 0 {
			return
		}
	}
}

// checkNode looks every order up on one node, as its shopper.
func (t *failoverTest) checkNode(n int, orders []*told) {
	r := t.crowd
	each([]string{t.nodes[n].HTTPAddr}, r.cfg.Timeout, orders, func(c *conn, o *told) {
		got, err := t.inq.insist(c, r.requests.appendOrder(nil, o.shopper, o.orderNo))
		var has order
		if err == nil {
			has, err = t.inq.readOrder(got, o)
		}
		ranOut := unpaid(o.state) && has.State == "expired" && r.now() >= o.payBy // since it was looked up before
		if err == nil && has.State != o.state && o.state != "" && !ranOut {
			err = fmt.Errorf("state %s, elsewhere %s", has.State, o.state)
		}
		if err != nil {
			r.findings.add(checkEveryNode, "order %s of %s on %s: %v", o.orderNo, r.cfg.shopper(o.shopper),
				t.cfg.Nodes[n], err)
		}
	})
	t.report.LookedUpEverywhere += int64(len(orders))
}

// sumUp takes over what was counted, and the verdict.
func (t *failoverTest) sumUp() {
	p, c, f := t.report, t.crowd.tally, t.crowd.findings
	p.NextGrant, p.AfterFollower = percentilesOf(t.leaderKills.sum()), percentilesOf(t.followerKills.sum())
	p.Everywhere, p.Gap, p.Back = percentilesOf(t.everywhere.sum()), percentilesOf(t.gaps.sum()),
		percentilesOf(t.back.sum())
	p.LongestGapMS = millis(t.watch.longest)
	p.Outcomes = c.outcomes
	kills := fmt.Sprintf("%d kills", len(p.Kills))
	f.figure(checkEveryNode, "%d orders × %d nodes", c.Orders, len(t.nodes))
	f.figure(checkNodesAgree, "%d listings at log index %d, hash %s", len(t.rush.Listings), p.AgreedAt,
		p.Hash)
	f.figure(checkLogWhole, "%s, %d torn ends", kills, p.TornTails)
	f.figure(checkGrants, "%s, the slowest %s, within %v", kills, ms(p.Everywhere.Max), t.cfg.GrantWithin)
	f.figure(checkBack, "%s, the slowest %s, within %v", kills, ms(p.Back.Max), t.cfg.BackWithin)
	f.figure(checkStaysUp, "%s", kills)
	t.drill.sumUp(failoverChecks)
}
