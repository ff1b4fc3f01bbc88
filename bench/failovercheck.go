package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The checks of a failover test beyond a rush's and those that it shares with a
// crash test, by the names under which reports carry them.
const (
	checkEveryNode  = "every_node_knows"
	checkNodesAgree = "nodes_agree"
	checkGrants     = "granting_again"
	checkBack       = "back_again"
)

// failoverChecks is the sequence in which they are reported.
func failoverChecks() [][2]string {
	return [][2]string{
		{checkEveryNode, "every order told is found by its shopper on every node, in one state"},
		{checkNodesAgree, "all nodes count the same at the same log index"},
		{checkStockStays, "every unit put up is still there, and none besides"},
		{checkLostSettle, "an answer lost in a kill turns out one way and stays that way"},
		{checkNoWrongNo, "nobody hears in a failover that their order, their grab or the sale is not there"},
		{checkLogWhole, "after each kill the log is whole, or torn at its very end"},
		{checkGrants, "after each kill all nodes that are left grant again"},
		{checkBack, "each node that was killed comes back and catches up"},
		{checkStaysUp, "nodes end only when they are told to"},
	}
}

// check holds what was told against what all nodes know once the crowd has gone.
func (t *failoverTest) check(ctx context.Context) {
	t.tell("the crowd has gone; checking %d orders on %d nodes", t.crowd.tally.granted.Load(), len(t.nodes))
	t.report.Lost, t.report.LostYes = t.inq.settleLost()
	t.awaitReleases(ctx)
	t.report.Verdict = t.inq.hold(ctx)
	if t.inq.after == nil {
		return // the shop did not answer: every check says so
	}
	t.crowd.checkOutcomes()
	for i, l := range t.rush.Listings {
		if has := t.inq.after[i].Stock; has != t.stock[i] {
			t.crowd.sins.add(checkStockStays, fmt.Sprintf("%s has a stock of %d, %d were put up", l, has, t.stock[i]))
		}
	}
	orders := t.crowd.witness.orders()
	for n := range t.nodes {
		// A node that does not answer would have all orders waited for, one by one.
		if _, err := t.view(n); err != nil {
			t.crowd.sins.add(checkEveryNode, fmt.Sprintf("%s could not be asked: %v", t.cfg.Nodes[n], err))
			continue
		}
		t.checkNode(n, orders)
	}
	t.checkAgreement(ctx)
}

// awaitReleases waits until the brief holds have run out, or their states would
// change from one node's look to the next.
func (t *failoverTest) awaitReleases(ctx context.Context) {
	brief := slices.IndexFunc(t.cfg.offers(), func(o offer) bool { return o.payWithin == t.cfg.PayWithin })
	for until := time.Now().Add(t.cfg.PayWithin +
		t.cfg.Settle); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if counts, err := t.inq.desk.survey(ctx, t.rush.Listings); err == nil && counts[brief].Held == 0 {
			return
		}
	}
}

// checkNode looks every order up on one node, as its shopper.
func (t *failoverTest) checkNode(n int, orders []*told) {
	r := t.crowd
	var asked atomic.Int64
	eachAt([]string{t.nodes[n].HTTPAddr}, r, orders, func(c *conn, o *told) {
		asked.Add(1)
		wrong := ""
		got, err := t.inq.insist(c, r.requests.appendOrder(nil, o.shopper, o.orderNo))
		var has order
		switch {
		case err != nil:
			wrong = err.Error()
		case got.status != 200:
			wrong = fmt.Sprintf("status %d", got.status)
		default:
			if err := json.Unmarshal(got.body, &has); err != nil {
				wrong = err.Error()
				break
			}
			has.Shopper = r.cfg.shopper(o.shopper) // it may leave out whom it talks to
			wrong = t.inq.differs(o, has)
			ranOut := unpaid(o.state) && has.State == "expired" && r.now() >= o.payBy // since it was looked up before
			if wrong == "" && has.State != o.state && o.state != "" && !ranOut {
				wrong = fmt.Sprintf("state %s, elsewhere %s", has.State, o.state)
			}
		}
		if wrong != "" {
			r.sins.add(checkEveryNode, fmt.Sprintf("order %s of %s on %s: %s", o.orderNo,
				r.cfg.shopper(o.shopper), t.cfg.Nodes[n], wrong))
		}
	})
	t.report.LookedUpEverywhere += asked.Load()
}

// checkAgreement waits until all nodes stand at one log index, and compares what
// they count there.
func (t *failoverTest) checkAgreement(ctx context.Context) {
	for until := time.Now().Add(t.cfg.Settle); ; time.Sleep(20 * time.Millisecond) {
		same, err := t.agreement(ctx)
		if err == nil {
			t.report.AgreedAt = same
			return
		}
		if time.Now().After(until) || !t.allUp() {
			t.crowd.sins.add(checkNodesAgree, err.Error())
			return
		}
	}
}

func (t *failoverTest) allUp() bool {
	return !slices.ContainsFunc(t.nodes, func(n failoverNode) bool { return !n.up })
}

// agreement gives the log index at which all nodes stand and agree.
func (t *failoverTest) agreement(ctx context.Context) (index uint64, err error) {
	var first []Counts
	var hashes []string
	for n := range t.nodes {
		counts, err := t.nodes[n].desk.survey(ctx, t.rush.Listings)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.cfg.Nodes[n], err)
		}
		v, err := t.view(n)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", t.cfg.Nodes[n], err)
		}
		hashes = append(hashes, v.Hash)
		if first == nil {
			first = counts
			continue
		}
		if !slices.Equal(first, counts) {
			return 0, fmt.Errorf("%s counts %+v, %s %+v", t.cfg.Nodes[0], first, t.cfg.Nodes[n], counts)
		}
	}
	slices.Sort(hashes)
	if hashes = slices.Compact(hashes); len(hashes) > 1 {
		return 0, fmt.Errorf("the nodes' states differ: hashes %s", strings.Join(hashes, ", "))
	}
	t.report.Hash = hashes[0]
	return first[len(first)-1].LogIndex, nil
}

// judge draws up the verdict: the inquest's checks, with offences found since,
// and the failover test's own.
func (t *failoverTest) judge() {
	p, v := t.report, &t.report.Verdict
	v.unchecked("the run did not get that far")
	t.fillReport()
	agreed := fmt.Sprintf("%d listings at log index %d", len(t.rush.Listings), p.AgreedAt)
	if p.Hash != "" {
		agreed += ", hash " + p.Hash
	}
	kills := fmt.Sprintf("%d kills", len(p.Kills))
	v.extend(failoverChecks(), map[string]string{
		checkEveryNode:  fmt.Sprintf("%d orders × %d nodes", p.Orders, len(t.nodes)),
		checkNodesAgree: agreed,
		checkStockStays: fmt.Sprintf("%v units", t.stock),
		checkLostSettle: fmt.Sprintf("%d answers open at the end, %d of them a yes", p.Lost, p.LostYes),
		checkNoWrongNo:  fmt.Sprintf("%d questions during the kills, %d answered", p.Looks, p.LooksAnswered),
		checkLogWhole:   fmt.Sprintf("%s, %d torn ends", kills, p.TornTails),
		checkGrants:     fmt.Sprintf("%s, the slowest %s, within %v", kills, ms(p.Everywhere.Max), t.cfg.GrantWithin),
		checkBack:       fmt.Sprintf("%s, the slowest %s, within %v", kills, ms(p.Back.Max), t.cfg.BackWithin),
		checkStaysUp:    kills,
	}, t.crowd.sins)
}
