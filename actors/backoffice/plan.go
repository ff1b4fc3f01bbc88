package backoffice

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
)

// ApplyPlan makes a plan true, whole or not at all. With dryRun it only tells. The
// first one of a group of nodes waits a moment for the newest rules.
func (bo *Office) ApplyPlan(
	ctx context.Context, by engine.By, p *engine.Plan, dryRun bool,
) (o engine.PlanOutcome, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return o, err
	}
	c := engine.Command{Kind: engine.CmdApplyPlan, Plan: p}
	if err := bo.sign(ctx, &c, by); err != nil {
		return o, err
	}
	if done, changes, err := bo.done(c.Intent); (done || err != nil) && !dryRun {
		return engine.PlanOutcome{Changes: changes}, err
	}
	if !dryRun {
		bo.awaitNewestRules(ctx)
	}
	bo.View(func(s *engine.State) { o = s.ComparePlan(p) })
	if dryRun || len(o.Problems) > 0 || len(o.Changes) == 0 {
		return o, nil
	}
	rand.Read(c.Entropy[:]) // never fails
	a, err := bo.Ask(ctx, c)
	o.Changes, o.Problems = a.Changes, a.Problems
	return o, err
}

// PlanBack takes the last plan back, whole or not at all, and gives which that is.
func (bo *Office) PlanBack(
	ctx context.Context, by engine.By, b engine.Back,
) (o engine.PlanOutcome, of engine.AppliedPlan, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return o, of, err
	}
	c := engine.Command{Kind: engine.CmdPlanBack, Back: b.Of, Note: b.Note}
	if err := bo.sign(ctx, &c, by); err != nil {
		return o, of, err
	}
	bo.View(func(s *engine.State) { of = s.LastPlan() })
	if done, changes, err := bo.done(c.Intent); (done || err != nil) && !b.DryRun {
		return engine.PlanOutcome{Changes: changes}, of, err
	}
	if b.Of != 0 && b.Of != of.Of {
		return o, of, refusal(engine.ReasonBaseChanged)
	}
	bo.View(func(s *engine.State) { o = s.CompareBack() })
	if b.DryRun || len(o.Problems) > 0 {
		return o, of, nil
	}
	rand.Read(c.Entropy[:]) // never fails
	a, err := bo.Ask(ctx, c)
	o.Changes, o.Problems = a.Changes, a.Problems
	return o, of, err
}

// History gives the last changes by plans, of words and of switches.
func (bo *Office) History() (h engine.History, err error) {
	if err := bo.Current(); err != nil {
		return h, err
	}
	bo.View(func(s *engine.State) { h = s.History() })
	return h, nil
}

// Planned gives the plan as it is: read only. known is false if there is no such sale.
func (bo *Office) Planned(w engine.Wanted) (p *engine.Planned, known bool, err error) {
	if err := bo.Current(); err != nil {
		return nil, false, err
	}
	bo.View(func(s *engine.State) { p, known = s.Planned(w) })
	return p, known, nil
}

// Steer publishes, pauses, resumes or ends a session.
func (bo *Office) Steer(
	ctx context.Context, by engine.By, session string, action engine.SessionAction, note string,
) (v engine.SessionView, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return v, err
	}
	var h engine.SessionHandle
	bo.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h = x.Handle
		}
	})
	if h == 0 {
		return v, refusal(engine.ReasonUnknown)
	}
	c := engine.Command{Kind: engine.CmdSteerSession, Session: h, Action: action, Note: note}
	if err := bo.askBy(ctx, by, c); err != nil {
		return v, err
	}
	return bo.session(session), nil
}

// AddStock puts more units up, or takes free ones away.
func (bo *Office) AddStock(
	ctx context.Context, by engine.By, session, sku string, units int64, note string,
) (engine.Counts, error) {
	h, err := bo.handle(ctx, session, sku)
	if err != nil {
		return engine.Counts{}, err
	}
	c := engine.Command{Kind: engine.CmdAddStock, Listing: h, Amount: units, Note: note}
	if err := bo.askBy(ctx, by, c); err != nil {
		return engine.Counts{}, bo.whatSuppliers(err, sku)
	}
	return bo.Counts(session, sku)
}

// Counts gives the exact figures of a listing.
func (bo *Office) Counts(session, sku string) (c engine.Counts, err error) {
	if err := bo.Current(); err != nil {
		return c, err
	}
	err = refusal(engine.ReasonUnknown)
	bo.View(func(s *engine.State) {
		if l := s.ListingOf(session, sku); l != nil {
			c, err = s.CountsOf(l), nil
		}
	})
	return c, err
}

// soldLately is for how long after its end a session's listings are among LiveCounts.
const soldLately = time.Hour

// LiveCounts gives the counts of the listings of sessions that are open, or have ended in the
// last hour, as this node has applied them.
func (bo *Office) LiveCounts() (all []engine.Counts) {
	bo.View(func(s *engine.State) {
		since := s.Now().Add(-soldLately)
		for _, x := range s.Sessions() {
			if x.State < engine.Open || x.State >= engine.Ended && x.EndedAt < since || s.Session(x.ID) != x {
				continue
			}
			for _, h := range x.Listings {
				all = append(all, s.CountsOf(s.Listing(h)))
			}
		}
	})
	return all
}

// Products gives the catalogue, in the order of their ids.
func (bo *Office) Products() (products []engine.Product) {
	bo.AwaitKnown()
	for at, done := 0, false; !done; {
		var page []engine.ProductView
		bo.View(func(s *engine.State) {
			page, at, done = s.ProductPage(engine.ProductFilter{Retired: true}, at, scanRows)
		})
		for i := range page {
			products = append(products, page[i].Product)
		}
	}
	slices.SortFunc(products, func(a, b engine.Product) int { return strings.Compare(a.ID, b.ID) })
	return products
}

// Sales gives the campaigns.
func (bo *Office) Sales() (sales []engine.Sale) {
	bo.AwaitKnown()
	bo.View(func(s *engine.State) {
		for _, x := range s.Sales() {
			sales = append(sales, *x)
		}
	})
	return sales
}

// SetMessage gives a sale's message these words, or with none takes its own away.
// What else the sale has stays as it is. Problems are why it can't be. Error: a
// refusal as unknown where there is no such sale.
func (bo *Office) SetMessage(
	ctx context.Context, by engine.By, sale string, m engine.Message,
) (engine.PlanOutcome, error) {
	return bo.changeMessage(ctx, by, sale, false, func(*engine.Sale) (engine.Message, error) { return m, nil })
}

// MessageBack gives a sale's message the words that it had before they were changed last.
// Error: a refusal where they have not been.
func (bo *Office) MessageBack(
	ctx context.Context, by engine.By, sale, name string, dryRun bool,
) (engine.PlanOutcome, error) {
	return bo.changeMessage(ctx, by, sale, dryRun, func(x *engine.Sale) (engine.Message, error) {
		at := slices.IndexFunc(x.Before, func(m engine.Message) bool { return m.Name == name })
		if at < 0 {
			return engine.Message{}, &engine.Refusal{Reason: engine.ReasonConflict,
				Detail: "The sale's words for this message have not been changed: there is no way back."}
		}
		return x.Before[at], nil
	})
}

// changeMessage gives a message of a sale the words that of says.
func (bo *Office) changeMessage(
	ctx context.Context, by engine.By, sale string, dryRun bool, of func(*engine.Sale) (engine.Message, error),
) (o engine.PlanOutcome, err error) {
	if err := bo.CatchUp(ctx); err != nil {
		return o, err
	}
	var present *engine.Sale
	bo.View(func(s *engine.State) {
		if x := s.Sale(sale); x != nil {
			copied := *x
			present = &copied
		}
	})
	if present == nil {
		return o, refusal(engine.ReasonUnknown)
	}
	m, err := of(present)
	if err != nil {
		return o, err
	}
	present.Months, present.Planned, present.Before = nil, nil, nil // those that the sale has stay
	present.Messages = slices.DeleteFunc(slices.Clone(present.Messages), func(other engine.Message) bool {
		return other.Name == m.Name
	})
	if len(m.Text) > 0 {
		present.Messages = append(present.Messages, m)
		slices.SortFunc(present.Messages, func(a, b engine.Message) int { return strings.Compare(a.Name, b.Name) })
	}
	return bo.ApplyPlan(ctx, by, &engine.Plan{ByHand: true, Sales: []engine.SalePlan{{Sale: *present}}}, dryRun)
}

// rulesPause is how long whoever waits for newer rules looks away.
const rulesPause = 5 * time.Millisecond

// awaitNewestRules waits, in a group of several nodes that has nothing to sell yet,
// for the newest rules: a sale should not begin by rules that change under it. After
// half the time that a command may take it goes on without them, for it may be that
// a node is away or too old.
func (bo *Office) awaitNewestRules(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, bo.patience/2)
	defer cancel()
	look := time.NewTicker(rulesPause)
	defer look.Stop()
	for !bo.Alone() && ctx.Err() == nil {
		var newest, sells bool
		bo.View(func(s *engine.State) { newest, sells = s.Rules() >= engine.RulesVersion, len(s.Sessions()) > 0 })
		if newest || sells {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}
