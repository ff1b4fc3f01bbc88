package shipping

import (
	"context"
	"errors"
	"sync"

	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// Office is what a desk asks of the room behind it. Errors: engine.RowProblems where rows
// of a change can't be taken, *engine.Refusal for any other no of the state machine. A
// change may be of many orders; where its error comes from one that changed meanwhile,
// part of it may have been made. All methods are safe for concurrent use.
type Office interface {
	// ParcelPage reads orders of a session that are paid, or further, and to be delivered,
	// and that filter lets through, from behind the order after on, at most so many, and
	// gives the last that it has looked at.
	ParcelPage(session string, filter engine.ParcelFilter, after engine.OrderRef, most int) (page []engine.OrderView,
		next engine.OrderRef, done bool, err error)
	// Review says what a second look came to, and gives how many orders it changed.
	Review(ctx context.Context, by engine.By, session string, reviews []engine.Review) (changed int, err error)
	// Export notes that orders are out in the export with a number, 0 for a new one, and
	// gives the number; 0 if there was nothing to go out. What by had done before, it gives
	// the number of.
	Export(ctx context.Context, by engine.By, session string, export uint32, orders []engine.OrderRef) (uint32, error)
	// Ship says which carrier has which order.
	Ship(ctx context.Context, by engine.By, session string, parcels []engine.Parcel) (changed int, err error)
	// ReceivedBy says on behalf of operators that orders have arrived.
	ReceivedBy(ctx context.Context, by engine.By, session string, orders []engine.OrderRef) (changed int, err error)
	// OrderViews finds orders by their numbers, whichever session they are of; one that is
	// not there has a Ref of zero.
	OrderViews(orderNos []string) ([]engine.OrderView, error)
	FindOrders(filter engine.OrderFilter) (orders []engine.OrderView, next string, err error)
}

// Config says what a desk goes by. Its functions must be safe for concurrent use; Ask is
// called by up to 64 goroutines at once, of all looks together.
type Config struct {
	// Office has the orders; required.
	Office Office
	// Listed gives the worst that risk lists say now of an order's shopper, or of its
	// receiver's phone or address, and what of these it is said of. Required.
	Listed func(*engine.OrderView) (worst engine.Level, of string)
	// Places gives what an order's receiver is told from others by. Required.
	Places func(*engine.OrderView) Places
	// Ask asks the outside risk service about an order, within a deadline of its own, and
	// reports whether it answered; else level is what is set for then. nil: there is none.
	Ask func(context.Context, *engine.OrderView) (level engine.Level, answered bool)
	// Open gives the receiver of an order in plain; nil where there is none, or it was
	// erased. Required.
	Open func(*engine.OrderView) (*wire.Receiver, error)
}

// Place names a phone or an address, by a hash; zero is none.
type Place [16]byte

// Places are those of one receiver.
type Places struct{ Phone, Address Place }

// Desk is where paid orders are looked at, exported and shipped. Safe for concurrent
// use: changes of a session's orders go one after the other.
type Desk struct {
	Config
	asks chan struct{} // a place for each question to the outside service that is under way

	mu    sync.Mutex
	turns map[string]*turn // by session, of those that somebody works on
}

// New makes a desk of a Config that has all that is required.
func New(cfg Config) *Desk {
	return &Desk{Config: cfg, asks: make(chan struct{}, asking), turns: map[string]*turn{}}
}

const pageRows = 1000

// maxNamed is how many orders an answer names.
const maxNamed = 1000

// each walks the orders of a session that filter lets through, a page at a time. The
// pages are the callee's.
func (d *Desk) each(ctx context.Context, session string, filter engine.ParcelFilter,
	page func([]engine.OrderView) error) error {
	return d.from(ctx, session, filter, engine.OrderRef{}, page)
}

// from is each from behind an order on.
func (d *Desk) from(ctx context.Context, session string, filter engine.ParcelFilter, after engine.OrderRef,
	page func([]engine.OrderView) error) error {
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var orders []engine.OrderView
		var err error
		if orders, after, done, err = d.Office.ParcelPage(session, filter, after, pageRows); err != nil {
			return err
		}
		if len(orders) > 0 {
			if err := page(orders); err != nil {
				return err
			}
		}
	}
	return nil
}

// without leaves out of rows those that an error of the office tells of, and gives them;
// false if the error is another.
func without[T any](rows []T, err error) (rest, out []T, told bool) {
	var problems engine.RowProblems
	if !errors.As(err, &problems) || len(problems) == 0 {
		return rows, nil, false
	}
	bad := map[int]bool{}
	for _, p := range problems {
		bad[p.Row] = true
	}
	for i, row := range rows {
		if bad[i] {
			out = append(out, row)
		} else {
			rest = append(rest, row)
		}
	}
	return rest, out, len(out) > 0
}
