package actors

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"doorbuster/engine"
)

func refusal(why engine.Reason) error { return &engine.Refusal{Reason: why} }

// Order gives a shopper's own order. Another's is as unknown as none.
func (g *Group) Order(shopper, orderNo string) (engine.OrderView, error) {
	v, err := g.AnyOrder(orderNo)
	if err == nil && v.Shopper != shopper {
		return engine.OrderView{}, refusal(engine.ReasonUnknown)
	}
	return v, err
}

// AnyOrder gives an order by number, also one that has left the state.
func (g *Group) AnyOrder(orderNo string) (v engine.OrderView, err error) {
	var ref engine.OrderRef
	gone := false
	look := func() (found bool) {
		g.view.View(func(s *engine.State) {
			ref, _ = find(s, orderNo)
			v, found = s.View(ref)
			gone = !found && hasLeft(s, ref)
		})
		return found
	}
	if g.fresh() && look() {
		return v, nil
	}
	if !gone {
		if err := g.current(); err != nil {
			return v, err
		}
		if look() {
			return v, nil
		}
	}
	if gone {
		return g.settledOrder(ref)
	}
	return v, refusal(engine.ReasonUnknown)
}

// LostOrder tells operators of an order that was granted in another life of the group
// and lost in a recovery, by its number. Ask once it was not found.
func (g *Group) LostOrder(orderNo string) (lost engine.LostOrder, ok bool) {
	g.view.View(func(s *engine.State) { lost, ok = s.FindLost(strings.ToUpper(orderNo)) })
	return lost, ok
}

// Orders gives a shopper's orders, the newest first, at most limit of them, and
// the cursor of the next page, "" at the end.
func (g *Group) Orders(shopper, session, cursor string, limit int) (orders []engine.OrderView, next string, err error) {
	if err := g.current(); err != nil {
		return nil, "", err
	}
	var after engine.OrderRef
	if cursor != "" {
		known := false
		if g.view.View(func(s *engine.State) { after, known = find(s, cursor) }); !known {
			return nil, "", refusal(engine.ReasonConflict)
		}
	}
	orders, more, err := g.ordersOf(shopper, after, limit, func(v *engine.OrderView) bool {
		return (session == "" || v.Session == session) && v.State.Granted()
	})
	if more {
		next = orders[limit-1].OrderNo
	}
	return orders, next, err
}

// scanRows is how many orders an operator's search reads at once.
const scanRows = 4096

// mostScanned is about how many it reads in all; the next page goes on from there.
const mostScanned = 200_000

// FindOrders gives the orders that an operator looks for, the oldest first
// within each session.
func (g *Group) FindOrders(f engine.OrderFilter) (orders []engine.OrderView, next string, err error) {
	if err := g.current(); err != nil {
		return nil, "", err
	}
	limit := f.Limit
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	keep := func(v *engine.OrderView) bool {
		return (f.Shopper == "" || v.Shopper == f.Shopper) && (f.Session == "" || v.Session == f.Session) && (f.SKU == "" || v.SKU == f.SKU) &&
			(f.State == 0 && (v.State.Granted() || f.OrderNo != "") || v.State == f.State) && (f.From == 0 || v.GrantedAt >= f.From) && (f.To == 0 || v.GrantedAt < f.To)
	}
	if f.OrderNo != "" {
		v, err := g.AnyOrder(f.OrderNo)
		switch {
		case isUnknown(err):
			err = nil
		case err == nil && keep(&v):
			orders = append(orders, v)
		}
		return orders, "", err
	}
	var at engine.OrderRef
	if f.Cursor != "" {
		if at, err = parseCursor(f.Cursor); err != nil {
			return nil, "", err
		}
	}
	if f.Shopper != "" {
		orders, more, err := g.ordersOf(f.Shopper, at, limit, keep)
		if more {
			next = formatCursor(orders[limit-1].Ref)
		}
		return orders, next, err
	}
	if at.IsZero() {
		at = engine.OrderRef{Session: 1, Ordinal: 1}
	}
	for looked := 0; len(orders) < limit && looked < mostScanned; looked++ {
		x := (*engine.Session)(nil)
		rows := 0
		g.view.View(func(s *engine.State) {
			if f.Session != "" {
				if x = s.Session(f.Session); x != nil && at.Session < x.Handle {
					at = engine.OrderRef{Session: x.Handle, Ordinal: 1}
				}
			} else {
				x = s.SessionOf(at.Session)
			}
			if x != nil {
				rows = x.Orders()
			}
		})
		over := x != nil && (at.Session > x.Handle || int(at.Ordinal) > rows)
		switch {
		case x == nil, over && f.Session != "":
			return orders, "", nil
		case over:
			at = engine.OrderRef{Session: at.Session + 1, Ordinal: 1}
			continue
		}
		n, err := g.walk(&at, func(s *engine.State, o *engine.OrderRecord) bool {
			if len(orders) == limit {
				return false
			}
			if v := s.ViewRecord(o); keep(&v) {
				v.Position = s.Position(o.Ref)
				orders = append(orders, v)
			}
			return true
		})
		if err != nil {
			return nil, "", err
		}
		if n == 0 && len(orders) < limit { // nothing is left of it
			at.Ordinal = uint32(rows) + 1
		}
		looked += n
	}
	return orders, formatCursor(at), nil
}

// walk gives some orders of one session, from at on, to yield until that takes none any
// more, from the state or from the ledger; at is moved behind what was taken. looked is
// how many there were, 0 at the end, and where the ledger has none of them.
func (g *Group) walk(at *engine.OrderRef, yield func(s *engine.State, o *engine.OrderRecord) bool) (looked int, err error) {
	take := func(s *engine.State, o *engine.OrderRecord) bool {
		if looked == scanRows || !yield(s, o) {
			return false
		}
		looked++
		at.Ordinal = o.Ref.Ordinal + 1
		return true
	}
	left := false
	g.view.View(func(s *engine.State) { // a little at a time: readers hold up what is applied
		if left = s.SessionOf(at.Session).Left(); left {
			return
		}
		for {
			if o, ok := s.Record(*at); !ok || !take(s, &o) {
				return
			}
		}
	})
	if !left || g.ledger == nil {
		return looked, nil
	}
	if err := g.recorded(engine.LogIndex(g.settledAt.Load())); err != nil {
		return 0, err
	}
	err = g.ledger.Scan(*at, func(o *engine.OrderRecord) (more bool) {
		g.view.View(func(s *engine.State) { more = take(s, o) })
		return more
	})
	return looked, unreadable(err)
}

func formatCursor(at engine.OrderRef) string {
	return strconv.FormatUint(uint64(at.Session), 10) + "." + strconv.FormatUint(uint64(at.Ordinal), 10)
}

func parseCursor(cursor string) (at engine.OrderRef, err error) {
	if n, err := fmt.Sscanf(cursor, "%d.%d", &at.Session, &at.Ordinal); n != 2 || err != nil || formatCursor(at) != cursor || at.Session == 0 || at.Ordinal == 0 {
		return at, refusal(engine.ReasonConflict)
	}
	return at, nil
}

// Counts gives the exact figures of a listing.
func (g *Group) Counts(session, sku string) (c engine.Counts, err error) {
	if err := g.current(); err != nil {
		return c, err
	}
	err = refusal(engine.ReasonUnknown)
	g.view.View(func(s *engine.State) {
		if l := s.ListingOf(session, sku); l != nil {
			c, err = s.CountsOf(l), nil
		}
	})
	return c, err
}

// Products gives the catalogue.
func (g *Group) Products() (products []engine.Product) {
	g.awaitKnown()
	g.view.View(func(s *engine.State) {
		for _, p := range s.Products() {
			products = append(products, *p)
		}
	})
	return products
}

// Sales gives the campaigns.
func (g *Group) Sales() (sales []engine.Sale) {
	g.awaitKnown()
	g.view.View(func(s *engine.State) {
		for _, x := range s.Sales() {
			sales = append(sales, *x)
		}
	})
	return sales
}

// ask takes a command through the log, on whichever node leads; when it comes
// back, this node has applied it. One that was never proposed, because the epoch
// ended first, waits for the next.
func (g *Group) ask(ctx context.Context, c engine.Command) (o engine.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.CommandTimeout)
	defer cancel()
	for {
		switch {
		case g.others == nil || g.leads.Load():
			if g.others == nil {
				err = g.awaitEpoch(ctx)
			}
			if err == nil {
				o, err = g.askHere(ctx, c)
			}
		case !g.hasState(): // it could not be told what came of it
			err = engine.ErrNotLeader
		default:
			if o, err = g.others.Ask(ctx, engine.EncodeBatch(engine.BatchHeader{}, c)); err == nil {
				err = g.others.Await(ctx, o.Index) // so that this node has seen what it did
			}
		}
		switch {
		case errors.Is(err, engine.ErrNotLeader) && (g.leads.Load() && ctx.Err() == nil || pause(ctx)):
			err = nil
		case err != nil:
			return o, err
		case o.Event.Kind == engine.CommandRefused:
			return o, &engine.Refusal{Reason: o.Event.Reason, State: o.Event.State}
		default:
			return o, nil
		}
	}
}

// askHere takes a command through the log of this node, which leads.
func (g *Group) askHere(ctx context.Context, c engine.Command) (o engine.Outcome, err error) {
	a := &ask{command: c, done: make(chan struct{})}
	if !g.batcher.addAsk(a) {
		return o, engine.ErrNotLeader
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return o, engine.ErrOutcomeUnknown
	}
	return a.outcome, a.err
}

// askOrder takes a command about an order through the log and gives the order
// as it is afterwards.
func (g *Group) askOrder(ctx context.Context, orderNo string, c engine.Command) (v engine.OrderView, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return v, err
	}
	var ref engine.OrderRef
	ok := false
	if g.view.View(func(s *engine.State) { ref, ok = find(s, orderNo) }); !ok {
		return v, refusal(engine.ReasonUnknown)
	}
	c.Order = ref
	if v, err := g.settledUnlessPaid(ref, &c); err != nil {
		return v, err
	}
	if needed, err := g.needed(ref, &c); err != nil {
		return v, err
	} else if needed {
		if _, err = g.ask(ctx, c); err != nil {
			return v, err
		}
	}
	g.view.View(func(s *engine.State) { v, ok = s.View(ref) })
	if !ok {
		return g.settledOrder(ref)
	}
	return v, nil
}

// needed tells whether a shopper's command would change their order: what is so already,
// and what the order's state forbids for good, needs no entry. The node must have
// caught up.
func (g *Group) needed(ref engine.OrderRef, c *engine.Command) (needed bool, err error) {
	needed = true
	g.view.View(func(s *engine.State) {
		o := s.Order(ref)
		if o == nil {
			return
		}
		forbidden := false
		switch c.Kind {
		case engine.CmdCancelHold:
			needed, forbidden = o.State != engine.Cancelled, o.State != engine.Held
		case engine.CmdLeaveLine:
			needed, forbidden = o.State != engine.Left, o.State != engine.Waiting && o.State != engine.Entered
		case engine.CmdSetReceiver:
			known, _ := s.Receiver(ref)
			forbidden = o.State != engine.Held && o.State != engine.Paid
			needed = forbidden || known != c.Receiver
		}
		if needed && forbidden {
			err = &engine.Refusal{Reason: engine.ReasonNotHeld, State: o.State}
		}
	})
	return needed, err
}

// Cancel releases a shopper's unpaid hold.
func (g *Group) Cancel(ctx context.Context, shopper, orderNo string) (engine.OrderView, error) {
	return g.askOwn(ctx, shopper, orderNo, engine.Command{Kind: engine.CmdCancelHold})
}

// SetReceiver says where an order's goods go.
func (g *Group) SetReceiver(ctx context.Context, shopper, orderNo string, to engine.Receiver) (engine.OrderView, error) {
	return g.askOwn(ctx, shopper, orderNo, engine.Command{Kind: engine.CmdSetReceiver, Receiver: to})
}

// askOwn is askOrder for a shopper, about an order of theirs.
func (g *Group) askOwn(ctx context.Context, shopper, orderNo string, c engine.Command) (engine.OrderView, error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return engine.OrderView{}, err
	}
	if _, err := g.Order(shopper, orderNo); err != nil { // no entry for what is not theirs
		return engine.OrderView{}, err
	}
	c.Shopper = []byte(shopper)
	return g.askOrder(ctx, orderNo, c)
}

// Void takes an order back.
func (g *Group) Void(ctx context.Context, by engine.By, orderNo, note string) (engine.OrderView, error) {
	return g.askOrderBy(ctx, by, orderNo, engine.Command{Kind: engine.CmdVoidOrder, Note: note})
}

// Extend gives a hold until payBy to be paid.
func (g *Group) Extend(ctx context.Context, by engine.By, orderNo string, payBy engine.Time, note string) (engine.OrderView, error) {
	v, err := g.askOrderBy(ctx, by, orderNo, engine.Command{Kind: engine.CmdExtendHold, Deadline: payBy, Note: note})
	var refused *engine.Refusal
	if errors.As(err, &refused) && refused.Reason == engine.ReasonConflict {
		if now, lookErr := g.AnyOrder(orderNo); lookErr == nil {
			refused.Detail = fmt.Sprintf("The order is to be paid by %s now: pay_by must not be before that, nor over %s from now.",
				now.PayBy.Wall().Format(time.RFC3339), engine.MaxPayWithin)
		}
	}
	return v, err
}

func (g *Group) askOrderBy(ctx context.Context, by engine.By, orderNo string, c engine.Command) (engine.OrderView, error) {
	if err := g.sign(ctx, &c, by); err != nil {
		return engine.OrderView{}, err
	}
	return g.askOrder(ctx, orderNo, c)
}

// ApplyPlan makes a plan true, whole or not at all. With dryRun it only tells. The
// first one of a group of nodes waits a moment for the newest rules.
func (g *Group) ApplyPlan(ctx context.Context, by engine.By, p *engine.Plan, dryRun bool) (o engine.PlanOutcome, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return o, err
	}
	c := engine.Command{Kind: engine.CmdApplyPlan, Plan: p}
	if err := g.sign(ctx, &c, by); err != nil {
		return o, err
	}
	if done, changes, err := g.done(c.Intent); (done || err != nil) && !dryRun {
		return engine.PlanOutcome{Changes: changes}, err
	}
	if !dryRun {
		g.awaitNewestRules(ctx)
	}
	g.view.View(func(s *engine.State) { o = s.ComparePlan(p) })
	if dryRun || len(o.Problems) > 0 || len(o.Changes) == 0 {
		return o, nil
	}
	rand.Read(c.Entropy[:]) // never fails
	a, err := g.ask(ctx, c)
	o.Changes, o.Problems = a.Changes, a.Problems
	return o, err
}

// Steer publishes, pauses, resumes or ends a session.
func (g *Group) Steer(ctx context.Context, by engine.By, session string, action engine.SessionAction, note string) (v engine.SessionView, err error) {
	if err := g.awaitCaughtUp(ctx); err != nil {
		return v, err
	}
	var h engine.SessionHandle
	g.view.View(func(s *engine.State) {
		if x := s.Session(session); x != nil {
			h = x.Handle
		}
	})
	if h == 0 {
		return v, refusal(engine.ReasonUnknown)
	}
	c := engine.Command{Kind: engine.CmdSteerSession, Session: h, Action: action, Note: note}
	if err := g.sign(ctx, &c, by); err != nil {
		return v, err
	}
	if _, err = g.ask(ctx, c); err != nil {
		return v, err
	}
	return g.session(session), nil
}

// AddStock puts more units up, or takes free ones away.
func (g *Group) AddStock(ctx context.Context, by engine.By, session, sku string, units int64, note string) (engine.Counts, error) {
	gate, err := g.gateOf(ctx, session, sku)
	if err != nil {
		return engine.Counts{}, err
	}
	c := engine.Command{Kind: engine.CmdAddStock, Listing: gate.handle, Amount: units, Note: note}
	if err := g.sign(ctx, &c, by); err != nil {
		return engine.Counts{}, err
	}
	if _, err := g.ask(ctx, c); err != nil {
		return engine.Counts{}, err
	}
	return g.Counts(session, sku)
}
