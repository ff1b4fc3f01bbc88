package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CrashNode is a run of a node in a process of its own, which can be killed.
type CrashNode struct {
	// HTTPAddr and AdminAddr are where it listens, once it does; the same for
	// all runs on a directory, as shoppers go on knocking through an outage.
	HTTPAddr, AdminAddr string
	// Kill ends the process at once (SIGKILL) and waits until it is gone. An
	// error means that it had ended by itself before, and why.
	Kill func() error
	// Stop ends it in an orderly way and waits.
	Stop func() error
	// Pause stops the process where it stands (SIGSTOP) and Resume lets it go on;
	// nil where that can't be done.
	Pause, Resume func() error
	// Ended is closed once the process is gone.
	Ended <-chan struct{}
}

// LogReport is what an offline look at a stopped node's log found.
type LogReport struct {
	Bytes   int64  `json:"bytes"`
	Records uint64 `json:"records"`
	Torn    string `json:"torn,omitempty"` // what the next start will cut off; "" for a clean end
	// HalfSnapshots is how many snapshots lie beside it that were being written.
	HalfSnapshots int `json:"half_snapshots,omitempty"`
}

// offer is a listing of the run.
type offer struct {
	Listing
	stock int64 // put up at first
	// keep is how many units are made available again before each round, so that
	// the listing sells out and sells what comes back in all of them; 0 is none.
	keep      int64
	payWithin time.Duration
}

// planFor puts offers up in sessions of one sale that are open throughout: each
// has a unit that nobody comes for, as a session ends when it has sold everything.
func planFor(sale string, offers []offer) []byte {
	products, sessions, session := "  - {id: unwanted, list_price: 4900, currency: CNY}\n", "", ""
	for _, o := range offers {
		products += fmt.Sprintf("  - {id: %s, list_price: 4900, currency: CNY}\n", o.SKU)
		if o.Session != session {
			session = o.Session
			sessions += fmt.Sprintf("      - id: %s\n        start: now\n        duration: 24h\n        pay_within: "+
				"%s\n        pay_grace: 0s\n"+
				"        limit_per_shopper: 1\n        admission_multiple: 0\n        listings:\n"+
				"          - {sku: unwanted, price: 100, stock: 1}\n", session, o.payWithin)
		}
		sessions += fmt.Sprintf("          - {sku: %s, price: 100, stock: %d, limit_per_shopper: 1}\n", o.SKU, o.stock)
	}
	return []byte("products:\n" + products + "sales:\n  - id: " + sale + "\n    name: " + sale +
		"\n    timezone: UTC\n    sessions:\n" + sessions)
}

// drill is a crowd at nodes that are killed under it: what a crash test and a failover
// test have in common.
type drill struct {
	rush   RushConfig
	offers []offer
	crowd  *crowd
	inq    *inquest
	stock  []int64 // of each listing, as put up
	report *DrillReport
}

// DrillReport is what came of one.
type DrillReport struct {
	Environment Environment `json:"environment"`
	Started     time.Time   `json:"started"`
	Interrupted bool        `json:"interrupted"`
	Seconds     float64     `json:"seconds"`

	Totals
	Starts        int   `json:"starts"`
	TornTails     int   `json:"torn_tails"`       // logs that ended in half a batch
	Lost          int64 `json:"lost_answers"`     // grabs whose outcome was open when nodes were well again
	LostYes       int64 `json:"lost_answers_yes"` // of them, those that had got an order
	Looks         int64 `json:"looks"`            // orders asked for while nodes were being killed
	LooksAnswered int64 `json:"looks_answered"`

	Listings []ListingReport `json:"listings"`
	Verdict  Verdict         `json:"verdict"`
}

// OK reports whether every check held.
func (p *DrillReport) OK() bool { return p.Verdict.OK }

// newDrill prepares a crowd of a seed for offers.
func newDrill(report *DrillReport, workload string, seed uint64, offers []offer) drill {
	*report = DrillReport{Environment: environment(workload), Started: time.Now()}
	r := DefaultRushConfig()
	r.Seed, r.ShopperPrefix = seed, seeded(workload, seed)+"-"
	for _, o := range offers {
		r.Listings = append(r.Listings, o.Listing)
	}
	r.AgainShare, r.AnewShare, r.SecondListingShare = 0.15, 0.1, 0.1
	r.PayShare, r.CancelShare, r.PayTwiceShare = 0.4, 0.2, 0.2
	r.ReturnShare, r.Returns = 0.2, 2
	return drill{rush: r, offers: offers, report: report}
}

// seeded is a name that another seed does not have.
func seeded(name string, seed uint64) string { return name + "-" + strconv.FormatUint(seed, 36) }

// openAt starts a cluster, and opens there.
func (t *drill) openAt(ctx context.Context, c *mortalCluster, apply func(context.Context, string, []byte) error,
	plan []byte) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	var admins []string
	var ops []*admin
	for _, node := range c.nodes {
		t.rush.Addrs = append(t.rush.Addrs, node.HTTPAddr)
		admins, ops = append(admins, node.AdminAddr), append(ops, node.ops)
	}
	t.rush.Admin = strings.Join(admins, ",")
	return t.open(ctx, apply, plan, ops...)
}

// open applies the plan that puts the offers up, waits until every node says that they
// are open, and readies the crowd.
func (t *drill) open(ctx context.Context, apply func(context.Context, string, []byte) error, plan []byte,
	ops ...*admin) error {
	if err := apply(ctx, ops[0].addr(), plan); err != nil {
		return fmt.Errorf("apply the plan: %w", err)
	}
	var before []Counts
	for _, node := range ops {
		var err error
		if before, err = node.awaitOpen(ctx, t.rush.Listings, t.rush.Settle); err != nil {
			return err
		}
	}
	t.crowd = newCrowd(&t.rush)
	t.crowd.serverAhead = t.crowd.clockOffset()
	t.inq = &inquest{crowd: t.crowd, ops: newAdmin(t.rush.Admin, "", t.rush.Timeout), before: before}
	for _, o := range t.offers {
		t.stock = append(t.stock, o.stock)
	}
	return nil
}

// fillUp makes the listings that sell out sell again, by way of one node.
func (t *drill) fillUp(ctx context.Context, node *admin) error {
	counts, err := node.survey(ctx, t.rush.Listings)
	if err != nil {
		return err
	}
	for i, o := range t.offers {
		if more := o.keep - counts[i].Available; more > 0 {
			if err := node.addStock(ctx, o.Listing, more); err != nil {
				return fmt.Errorf("more units by way of %s: %w", node.addr(), err)
			}
			t.stock[i] += more
		}
	}
	return nil
}

// check judges what the nodes know; false if they could not be asked.
func (t *drill) check(ctx context.Context) bool {
	t.inq.hold(ctx)
	if t.inq.after == nil {
		return false // every check says so
	}
	for i, l := range t.rush.Listings {
		if has := t.inq.after[i].Stock; has != t.stock[i] {
			t.crowd.findings.add(checkStockStays, "%s has a stock of %d, %d were put up", l, has, t.stock[i])
		}
	}
	return true
}

// sumUp takes over what was counted, and the verdict, so far.
func (t *drill) sumUp(besides []check) {
	p, f := t.report, t.crowd.findings
	p.Seconds = time.Since(p.Started).Seconds()
	p.Totals, p.Listings = t.crowd.tally.Totals, t.inq.listings()
	f.figure(checkStockStays, "%v units", t.stock)
	f.figure(checkLostResolved, "%d answers lost, %d of them a yes", p.Lost, p.LostYes)
	f.figure(checkNoWrongNo, "%d questions while nodes were killed, %d answered", p.Looks, p.LooksAnswered)
	p.Verdict = t.inq.verdict(besides)
}

// write writes what all drills have, behind what is a drill's own.
func (p *DrillReport) write(s *sheet, times []timed) {
	if p.Interrupted {
		s.put("\tinterrupted\n")
	}
	s.put("ORDERS\t%d told in %d grabs, %d paid, %d cancelled by the shopper\n", p.Orders, p.Grabs, p.Paid, p.Cancelled)
	s.put("LOST\t%d answers to grabs, %d of them a yes; %d orders asked for during kills\n\n", p.Lost, p.LostYes,
		p.Looks)
	s.times("TIME", times)
	s.listings(p.Listings)
	s.verdict(&p.Verdict)
}

// mortalNode is a node under test, in all its lives.
type mortalNode struct {
	CrashNode
	up     bool
	paused bool
	away   atomic.Bool // put down on purpose
	ops    *admin      // its own operators' address
}

// started takes on a new life of the node.
func (n *mortalNode) started(c CrashNode) error {
	if n.ops == nil {
		n.ops = newAdmin(c.AdminAddr, "", time.Second)
	} else if c.HTTPAddr != n.HTTPAddr || c.AdminAddr != n.AdminAddr {
		return errors.Join(errors.New("it listens elsewhere than before"), c.Kill())
	}
	n.CrashNode, n.up = c, true
	n.away.Store(false)
	return nil
}

func (n *mortalNode) kill() error {
	n.up = false
	n.away.Store(true)
	return n.Kill()
}

// close stops the node in an orderly way, if it is up.
func (n *mortalNode) close() error {
	if !n.up {
		return nil
	}
	n.up = false
	n.away.Store(true)
	return n.Stop()
}

// onlookerConnections is how many look on at once: enough to meet a recovery of some
// 50 ms at any point, few enough to leave the cores to the load.
const onlookerConnections = 2

// lookOn has orders asked for that were told before, over and over through kills and
// recoveries, until stop. No answer is fine then, and "later"; "there is no such order"
// is not.
func (t *drill) lookOn(d dice) (stop func()) {
	orders := t.crowd.testimony.someTold(&d, 1000)
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range onlookerConnections {
		all.Go(func() {
			c := newConn(t.rush.Addrs, i, t.rush.Timeout)
			defer c.close()
			for n := i; len(orders) > 0; n += onlookerConnections {
				select {
				case <-done:
					return
				case <-time.After(500 * time.Microsecond):
				}
				t.look(c, orders[n%len(orders)], n%4 == 0)
			}
		})
	}
	return func() { close(done); all.Wait() }
}

// look asks for an order, or after the grab that got it.
func (t *drill) look(c *conn, o *told, byKey bool) {
	r, asked := t.crowd, "for their order "+o.orderNo
	request := r.requests.appendOrder(nil, o.shopper, o.orderNo)
	if byKey {
		request = r.requests.appendOutcome(nil, o.shopper, o.click, "")
		asked = "after the grab that had got them order " + o.orderNo
	}
	atomic.AddInt64(&t.report.Looks, 1)
	got, err := c.roundTrip(request)
	if err != nil || got.status >= 500 {
		return
	}
	atomic.AddInt64(&t.report.LooksAnswered, 1)
	wrong := ""
	if !byKey || got.status != 200 {
		if _, err := t.inq.readOrder(got, o); err != nil {
			wrong = err.Error()
		}
	} else if a := readAnswer(got); a.code != codeGranted {
		wrong = "the answer " + a.code
	} else {
		wrong = t.inq.differs(o, *a.order)
	}
	if wrong != "" {
		r.findings.add(checkNoWrongNo, "%s asked %s and got %s", r.cfg.shopper(o.shopper), asked, wrong)
	}
}

// noTrace is what resolveLost calls no answer, and a no that may yet be a yes when it is
// asked again.
const noTrace = "no trace"

// resolveLost asks after each grab whose answer a kill has swallowed, sends it
// again with its key, as its shopper would, and asks once more.
// It gives how many there were, and how many of them had got an order.
func (t *drill) resolveLost() (lost, yes int64) {
	r := t.crowd
	open := r.testimony.takeOpen()
	each(r.cfg.Addrs, r.cfg.Timeout, open, func(c *conn, q openAsk) {
		hear := func(request []byte, polled bool) (said string, a answer) {
			sent := r.now()
			got, err := t.inq.insist(c, request)
			a.code = outcomeUnknown
			if err == nil && polled && got.status == 404 {
				return noTrace, a
			}
			if err == nil {
				if b := readAnswer(got); b.final() {
					a = b
				}
			}
			r.hear(ask{q.shopper, q.listing, q.click, sent, r.now(), polled, c.addr()}, a)
			switch a.code {
			case codeMissed:
				return noTrace, a
			case codeGranted:
				return "order " + a.order.OrderNo, a
			}
			return a.code, a
		}
		first, _ := hear(r.requests.appendOutcome(nil, q.shopper, q.click, ""), true)
		again, a := hear(r.requests.appendGrab(nil, q.shopper, q.listing, q.click), false)
		if a.code == outcomeUnknown {
			return // a slow machine; it stays open, and is asked after while the shop is counted
		}
		last, _ := hear(r.requests.appendOutcome(nil, q.shopper, q.click, ""), true)
		if first != noTrace {
			atomic.AddInt64(&yes, 1)
		}
		switch {
		case first != noTrace && (again != first || last != first),
			a.code == codeGranted && last != again,
			a.code != codeGranted && last != noTrace,
			knownCode([]byte(a.code)) == "":
			r.findings.add(checkLostResolved, "%s, whose answer was lost, is told %s, on asking again %s, and then %s",
				r.cfg.shopper(q.shopper), first, again, last)
		}
	})
	t.report.Lost += int64(len(open))
	t.report.LostYes += yes
	return int64(len(open)), yes
}

// checkOutcomes looks for answers that can't be right whatever has crashed.
func (r *crowd) checkOutcomes() {
	for code, n := range r.tally.outcomes {
		switch {
		case code == codeNotOpen || code == codeEnded,
			knownCode([]byte(code)) == "" && code != outcomeUnknown && code != outcomeNotSent:
			r.findings.add(checkNoWrongNo, "%d grabs were answered %s", n, code)
		}
	}
	if n := r.tally.orderUnknown.Load(); n > 0 {
		r.findings.add(checkNoWrongNo, "%d payments or cancellations were answered that there is no such order", n)
	}
}
