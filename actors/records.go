package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// Ledger keeps the orders that have left the state. Met by the ledger. Safe for
// concurrent use.
type Ledger interface {
	// Order gives an order as it is on disk, or false.
	Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error)
	// PaidBy gives the order that a payment paid for, or false.
	PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error)
	// OrdersOf walks a shopper's orders, the newest grant first, from behind the
	// one given on (the zero value: from the first), until yield says stop.
	OrdersOf(shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool) error
	// Scan walks a session's orders from an ordinal on, until yield says stop.
	Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error
	// Await waits until everything up to index is on disk.
	Await(ctx context.Context, index engine.LogIndex) error
	// Recorded gives the index up to which the ledgers of all voters have everything
	// on disk, and the voters of which that is not known now.
	Recorded() (index engine.LogIndex, unknown []string)
}

// Records are the orders that have left the state, as this node's ledger has them. A
// read that needs all of them waits until the ledger has them, as long as a grab may
// take. Errors: engine.ErrNoRecords where they can't be read now.
type Records struct {
	ledger   Ledger        // nil: nothing is found
	upTo     atomic.Uint64 // the last entry that sealed a session whose orders have left; 0: none have
	patience time.Duration
}

// SetLedger gives the group what has left the state. Call it before grabs come in.
func (g *Group) SetLedger(ledger Ledger) { g.records.ledger = ledger }

// Records gives the orders that have left the state.
func (g *Group) Records() *Records { return &g.records }

// left notes that the orders of x are to be had from the ledger.
func (r *Records) left(x *engine.Session) {
	if at := uint64(x.Sealed); at > r.upTo.Load() { // told by one goroutine at a time
		r.upTo.Store(at)
	}
}

// Kept reports whether there is a ledger.
func (r *Records) Kept() bool { return r.ledger != nil }

// Any reports whether orders have left the state, and are to be had.
func (r *Records) Any() bool { return r.Kept() && r.upTo.Load() > 0 }

// Await waits until the ledger has everything up to index.
func (r *Records) Await(index engine.LogIndex) error {
	if !r.Kept() || index == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	return unreadable(r.ledger.Await(ctx, index))
}

func (r *Records) awaitAll() error { return r.Await(engine.LogIndex(r.upTo.Load())) }

// unreadable says in the group's words that the ledger can't be read now.
func unreadable(err error) error {
	if err == nil || errors.Is(err, engine.ErrNotLeader) {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrNoRecords, err)
}

// Order gives an order, or false.
func (r *Records) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	if !r.Kept() {
		return o, false, nil
	}
	if o, found, err = r.ledger.Order(ref); err == nil && !found {
		if err = r.awaitAll(); err == nil {
			o, found, err = r.ledger.Order(ref)
		}
	}
	return o, found, unreadable(err)
}

// ByKey gives the order that a shopper's key led to, or false.
func (r *Records) ByKey(shopper string, key engine.Key) (o engine.OrderRecord, found bool, err error) {
	err = r.OrdersOf(shopper, engine.OrderRef{}, 0, func(x *engine.OrderRecord) bool {
		if found = x.Key == key; found {
			o = *x
		}
		return !found
	})
	return o, found && err == nil, err
}

// PaidBy gives the order that a payment paid for, or false.
func (r *Records) PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error) {
	if !r.Any() {
		return ref, false, nil
	}
	if err := r.awaitAll(); err != nil {
		return ref, false, err
	}
	ref, found, err = r.ledger.PaidBy(paymentID)
	return ref, found, unreadable(err)
}

// OrdersOf is Ledger.OrdersOf.
func (r *Records) OrdersOf(
	shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool,
) error {
	if !r.Kept() {
		return nil
	}
	if err := r.awaitAll(); err != nil {
		return err
	}
	return unreadable(r.ledger.OrdersOf(shopper, after, granted, yield))
}

// Scan is Ledger.Scan.
func (r *Records) Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error {
	if !r.Kept() {
		return nil
	}
	if err := r.awaitAll(); err != nil {
		return err
	}
	return unreadable(r.ledger.Scan(from, yield))
}

// Recorded is Ledger.Recorded; there must be a ledger.
func (r *Records) Recorded() (index engine.LogIndex, unknown []string) { return r.ledger.Recorded() }
