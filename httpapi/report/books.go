package report

import (
	"cmp"
	"context"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// figures are how often things happened to orders.
type figures = wire.ReportBooks

// books are what the trail has of a session, up to a position. They are kept as JSON, and go on
// from where they were.
type books struct {
	Next     engine.TrailPosition    `json:"next"` // of the trail
	From     engine.Time             `json:"from"` // 0; else what was before has been dropped
	Opened   engine.Time             `json:"opened"`
	Ended    engine.Time             `json:"ended"`
	Rest     figures                 `json:"rest"` // of no listing that is known
	Listings map[string]*listingBook `json:"listings"`

	Height  engine.Time `json:"height"` // the second in which most units were granted
	Highest int64       `json:"highest"`
	Second  engine.Time `json:"second"` // the latest with a grant
	InIt    int64       `json:"in_it"`

	Deeds []incident `json:"deeds"`
	More  int        `json:"more"` // deeds that there was no room for
}

// listingBook is the part about a listing.
type listingBook struct {
	figures
	FirstGrant engine.Time `json:"first_grant"`
	LastUnit   engine.Time `json:"last_unit"`
}

// Trail is where books come from.
type Trail interface {
	// Audit gives a page of what the filter asks for, and where to go on. A page may have
	// fewer than asked for, and more may follow.
	Audit(f engine.TrailFilter) (events []engine.TrailEvent, next engine.TrailPosition, more bool, err error)
	// AwaitEvents waits until the trail reaches to a position, or ctx ends, and gives up to
	// which index it does.
	AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex
	// Horizon gives the first event since which the trail is kept, and when that was.
	Horizon(deeds bool) (engine.TrailPosition, engine.Time, error)
}

const trailPage = 1000

// follow takes in what the trail has of a session by now.
func (b *books) follow(t Trail, session string) error {
	if b.Next == (engine.TrailPosition{}) {
		first, at, err := t.Horizon(false)
		if err != nil {
			return err
		}
		if b.Listings = map[string]*listingBook{}; first.Index > 1 {
			b.From = at
		}
	}
	for {
		// What others do counts while the session is open: only then all is looked at.
		open := b.Opened != 0 && b.Ended == 0
		page, next, more, err := t.Audit(engine.TrailFilter{Session: session, From: b.Next, Limit: trailPage,
			Besides: open, Brief: true})
		if err != nil {
			return err
		}
		turned := false
		for i := range page {
			b.take(&page[i], session)
			b.Next = page[i].Next()
			if turned = open != (b.Opened != 0 && b.Ended == 0); turned {
				break // the rest is to be asked for otherwise
			}
		}
		switch {
		case turned:
		case !more:
			return nil
		default:
			b.Next = next
		}
	}
}

// take takes in an event.
func (b *books) take(e *engine.TrailEvent, session string) {
	if e.Session == session {
		b.count(e)
	}
	if b.Opened == 0 || b.Ended != 0 && e.Time > b.Ended {
		return
	}
	x := incident{What: deed, Name: e.Kind.Word(), At: e.Time, Operator: e.Operator, Session: e.Session, About: e.SKU,
		Detail: e.Detail, Note: e.Note, Times: 1}
	switch {
	case e.Kind == engine.EpochOpened:
		x.What, x.Node = leader, strings.TrimPrefix(x.Detail, "node ")
		x.Node, _, _ = strings.Cut(x.Node, ",")
		x.Detail = ""
	case e.Session == session && (e.Kind == engine.SwitchesSet || e.Kind == engine.ListingFroze ||
		e.Kind == engine.SessionOpened || e.Kind == engine.SessionEnded || e.Kind == engine.StockWithdrawn):
	case e.Operator == "":
		return
	case e.OrderNo != "": // many may be alike
		x.Detail, x.About, x.Note = "", "", ""
		if n := len(b.Deeds); n > 0 {
			last := &b.Deeds[n-1]
			if last.Name == x.Name && last.Operator == x.Operator && last.Session == x.Session && last.Detail == "" {
				last.Times, last.Until = last.Times+1, x.At
				return
			}
		}
	}
	if len(b.Deeds) >= mostIncidents {
		b.More++
		return
	}
	x.Until = x.At
	b.Deeds = append(b.Deeds, x)
}

// count counts what happened to an order of the session, or to itself.
func (b *books) count(e *engine.TrailEvent) {
	of := &b.Rest
	var l *listingBook
	if e.SKU != "" {
		if l = b.Listings[e.SKU]; l == nil {
			l = new(listingBook)
			b.Listings[e.SKU] = l
		}
		of = &l.figures
	}
	one := wire.ReportFigure{Orders: 1, Units: int64(e.Quantity), Amount: e.Amount}
	switch e.Kind {
	case engine.SessionOpened:
		b.Opened = e.Time
	case engine.SessionEnded:
		b.Ended = e.Time
	case engine.HoldPlaced:
		sum(&of.Granted, one)
		if e.State == engine.Paid { // it costs nothing
			sum(&of.Paid, one)
		}
		b.rises(e.Time, one.Units)
		if l != nil {
			l.FirstGrant = cmp.Or(l.FirstGrant, e.Time)
		}
	case engine.StockTaken, engine.StockGone:
		if l != nil {
			l.LastUnit = cmp.Or(l.LastUnit, e.Time)
		}
	case engine.OrderPaid:
		sum(&of.Paid, one)
		if e.Reason == engine.ReasonPaidLate {
			sum(&of.PaidLate, one)
		}
	case engine.HoldReleased:
		switch e.Reason {
		case engine.ReasonExpired:
			sum(&of.Expired, one)
		case engine.ReasonCancelled:
			sum(&of.Cancelled, one)
		default:
			sum(&of.Voided, one)
		}
	case engine.RefundBecameDue:
		sum(&of.RefundsDue, one)
		// That of money for what is voided already has no operator.
		if e.Reason == engine.ReasonVoided && e.Operator != "" || e.Reason == engine.ReasonReviewRejected {
			sum(&of.Voided, one)
		}
	case engine.RefundMade:
		sum(&of.Refunded, one)
	case engine.OrderShipped:
		sum(&of.Shipped, one)
	case engine.OrderReceived:
		sum(&of.Received, one)
	case engine.OrderCompleted:
		sum(&of.Completed, one)
	case engine.PlaceTaken:
		sum(&of.Waitlisted, one)
	case engine.DrawEntered:
		sum(&of.Entered, one)
	}
}

// rises notes units that were granted, for the second with most of them.
func (b *books) rises(at engine.Time, units int64) {
	if second := at - at%1000; second != b.Second {
		b.Second, b.InIt = second, 0
	}
	if b.InIt += units; b.InIt > b.Highest {
		b.Height, b.Highest = b.Second, b.InIt
	}
}

func sum(to *wire.ReportFigure, one wire.ReportFigure) {
	to.Orders += one.Orders
	to.Units += one.Units
	to.Amount += one.Amount
}

// whole adds all up.
func (b *books) whole() (all figures) {
	all = b.Rest
	for _, l := range b.Listings {
		of := eachFigure(&l.figures)
		for i, to := range eachFigure(&all) {
			sum(to, *of[i])
		}
	}
	return all
}

func eachFigure(f *figures) []*wire.ReportFigure {
	return []*wire.ReportFigure{&f.Granted, &f.Paid, &f.PaidLate, &f.Expired, &f.Cancelled, &f.Voided, &f.RefundsDue,
		&f.Refunded, &f.Shipped, &f.Received, &f.Completed, &f.Waitlisted, &f.Entered}
}
