package shipping

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Look is how a second look is to be taken.
type Look struct {
	// Again: at orders that are held, too.
	Again bool
	// Shared holds orders that go to one phone or address and are of this many shoppers or
	// more; 0 holds none for that.
	Shared int
	// DryRun only tells what would come of it.
	DryRun bool
}

// asking is how many questions to the outside service are under way at once, of all sessions.
const asking = 64

// byHand is what is noted of an order that somebody decided about. No look changes that.
const byHand = "by hand"

// verdict is what a second look says of one order. why is "" where there is nothing to
// say.
type verdict struct {
	is  engine.ReviewState
	why string
}

// LookAt takes the second look at a session's paid orders, on behalf of the operator by. What
// was decided before an error stays. Errors: ErrBusy, the office's, and ctx's.
func (d *Desk) LookAt(ctx context.Context, by, session string, how Look) (*wire.Review, error) {
	leave, err := d.enter(ctx, session, true)
	if err != nil {
		return nil, err
	}
	defer leave()
	shared, err := d.sharedPlaces(ctx, session, how.Shared)
	if err != nil {
		return nil, err
	}
	t := &tally{Review: wire.Review{Session: session, DryRun: how.DryRun}}
	look := func(filter engine.ParcelFilter) error {
		filter.State, filter.ByReview = engine.Paid, true
		return d.each(ctx, session, filter, func(page []engine.OrderView) error {
			page = slices.DeleteFunc(page, func(o engine.OrderView) bool { return o.ReviewNote == byHand })
			verdicts, err := d.judge(ctx, page, shared, how.Shared)
			if err != nil {
				return err
			}
			return d.decide(ctx, by, t, page, verdicts)
		})
	}
	if how.Again { // first: what is held from now on has been looked at
		err = look(engine.ParcelFilter{Review: engine.ReviewHeld})
	}
	if err == nil {
		err = look(engine.ParcelFilter{Review: engine.NotReviewed})
	}
	return t.told(), err
}

// Decide says of orders what was decided by hand. All of them are of the session, and paid;
// else nothing is changed, and the error is ErrBusy, or *Problems, whose lines are their places
// from 1.
func (d *Desk) Decide(ctx context.Context, by, session string, orderNos []string,
	to engine.ReviewState, dryRun bool) (*wire.Review, error) {
	leave, err := d.enter(ctx, session, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows := make([]Row, len(orderNos))
	for i, no := range orderNos {
		rows[i] = Row{Line: i + 1, OrderNo: no}
	}
	orders, err := d.find(session, rows, func(o *engine.OrderView, _ *Row) string {
		switch {
		case o.State != engine.Paid:
			return "is " + o.State.String() + "; it must be paid"
		case o.Export != 0 && to != o.Review:
			return fmt.Sprintf("is out in export %d: it can't be called back by a review; void it, and tell the "+
				"warehouse", o.Export)
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	t := &tally{Review: wire.Review{Session: session, DryRun: dryRun}}
	verdicts := slices.Repeat([]verdict{{to, byHand}}, len(orders))
	err = d.decide(ctx, by, t, orders, verdicts)
	return t.told(), err
}

// decide makes verdicts count, and counts them. An order that has changed since it was
// read is left as it is.
func (d *Desk) decide(ctx context.Context, operator string, t *tally, orders []engine.OrderView,
	verdicts []verdict) error {
	reviews := make([]engine.Review, len(orders))
	for i := range orders {
		reviews[i] = engine.Review{Order: orders[i].Ref, Verdict: verdicts[i].is, Why: verdicts[i].why}
	}
	// The orders themselves say what is done already, so there is no key: pages of another
	// look may have other orders on them.
	by := engine.By{Operator: operator}
	changed := map[engine.OrderRef]bool{}
	for len(reviews) > 0 && !t.DryRun {
		_, err := d.Office.Review(ctx, by, t.Session, reviews)
		rest, out, told := without(reviews, err)
		if err != nil && !told {
			return err
		}
		for _, r := range out {
			changed[r.Order] = true
		}
		if reviews = rest; err == nil {
			break
		}
	}
	for i := range orders {
		if changed[orders[i].Ref] {
			t.Changed++
			continue
		}
		t.Looked++
		t.count(&orders[i], verdicts[i])
	}
	return nil
}

// judge looks at orders: at all that asks nobody else first, and then, many at once, has
// the outside service asked about those that may still pass.
func (d *Desk) judge(ctx context.Context, orders []engine.OrderView, shared *places, least int) ([]verdict, error) {
	verdicts := make([]verdict, len(orders))
	crowd, asked := errgroup.WithContext(ctx)
	crowd.SetLimit(asking)
	for i := range orders {
		o := &orders[i]
		level, of := d.Listed(o)
		if verdicts[i] = said(level, of+" is on a risk list"); verdicts[i].is != engine.ReviewPassed {
			continue
		}
		if at := shared.of(d.Places(o)); at != "" {
			verdicts[i] = verdict{engine.ReviewHeld, fmt.Sprintf("%s of %d or more shoppers", at, least)}
			continue
		}
		if d.Ask == nil {
			continue
		}
		crowd.Go(func() error {
			select {
			case d.asks <- struct{}{}:
				defer func() { <-d.asks }()
			case <-asked.Done():
				return asked.Err()
			}
			level, answered := d.Ask(asked, o)
			switch {
			case asked.Err() != nil:
				return asked.Err()
			case !answered:
				verdicts[i] = said(level, "risk service does not answer")
			case level > engine.LevelNone:
				verdicts[i] = said(level, "risk service")
			}
			return nil
		})
	}
	return verdicts, crowd.Wait()
}

// said turns what is said of somebody into a verdict: who may not buy at all is refused
// what they bought, and what a challenge would have decided in the rush is for a person.
func said(level engine.Level, why string) verdict {
	switch level {
	case engine.LevelNone:
		return verdict{is: engine.ReviewPassed}
	case engine.LevelListed:
		return verdict{engine.ReviewPassed, why + " (watch)"}
	case engine.LevelChallenge:
		return verdict{engine.ReviewHeld, why + " (challenge)"}
	}
	return verdict{engine.ReviewRejected, why + " (block)"}
}

// places are the phones and addresses that orders of several shoppers go to.
type places struct {
	seed          maphash.Seed
	phones, addrs map[Place]sharing
	least         int
}

// sharing is who has been seen at a place, as hashes, as far as it matters: none twice,
// and no more than are asked for.
type sharing struct {
	first uint64
	rest  []uint64
}

// sharedPlaces looks at where all orders of a session go that are paid or were.
func (d *Desk) sharedPlaces(ctx context.Context, session string, least int) (*places, error) {
	p := &places{seed: maphash.MakeSeed(), phones: map[Place]sharing{}, addrs: map[Place]sharing{}, least: least}
	if least < 2 {
		return p, nil
	}
	return p, d.each(ctx, session, engine.ParcelFilter{}, func(page []engine.OrderView) error {
		for i := range page {
			o := &page[i]
			at, who := d.Places(o), maphash.String(p.seed, o.Shopper)
			p.see(p.phones, at.Phone, who)
			p.see(p.addrs, at.Address, who)
		}
		return nil
	})
}

func (p *places) see(all map[Place]sharing, at Place, who uint64) {
	if at == (Place{}) {
		return
	}
	s, known := all[at]
	switch {
	case !known:
		s.first = who
	case s.first == who || len(s.rest) >= p.least-1 || slices.Contains(s.rest, who):
		return
	default:
		s.rest = append(s.rest, who)
	}
	all[at] = s
}

// of says what of a receiver too many shoppers share, "" if nothing.
func (p *places) of(at Places) string {
	if p.least < 2 {
		return ""
	}
	var both []string
	if s, known := p.phones[at.Phone]; known && len(s.rest) >= p.least-1 {
		both = append(both, "phone")
	}
	if s, known := p.addrs[at.Address]; known && len(s.rest) >= p.least-1 {
		both = append(both, "address")
	}
	return strings.Join(both, " and ")
}

// tally counts verdicts.
type tally struct {
	wire.Review
	reasons map[verdict]int
}

// verdictNames are verdicts as the API has them.
var verdictNames = map[engine.ReviewState]string{engine.ReviewPassed: "pass", engine.ReviewHeld: "hold",
	engine.ReviewRejected: "reject"}

// VerdictNamed finds a verdict by its name.
func VerdictNamed(name string) (v engine.ReviewState, known bool) {
	for v, n := range verdictNames {
		if n == name {
			return v, true
		}
	}
	return 0, false
}

func (t *tally) count(o *engine.OrderView, v verdict) {
	switch v.is {
	case engine.ReviewPassed:
		t.Passed++
	case engine.ReviewHeld:
		t.Held++
	default:
		t.Rejected++
	}
	if v.why == "" {
		return
	}
	if t.reasons == nil {
		t.reasons = map[verdict]int{}
	}
	t.reasons[v]++
	if v.is != engine.ReviewPassed && len(t.Orders) < maxNamed {
		t.Orders = append(t.Orders, wire.ReviewedOrder{OrderNo: o.OrderNo, Shopper: o.Shopper,
			Verdict: verdictNames[v.is], Why: v.why})
	}
}

func (t *tally) told() *wire.Review {
	for v, n := range t.reasons {
		t.Reasons = append(t.Reasons, wire.ReviewReason{Verdict: verdictNames[v.is], Why: v.why, Orders: n})
	}
	slices.SortFunc(t.Reasons, func(a, b wire.ReviewReason) int {
		return strings.Compare(a.Verdict+a.Why, b.Verdict+b.Why)
	})
	return &t.Review
}
