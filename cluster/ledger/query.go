package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"doorbuster/engine"
)

// ErrClosed: the ledger can't be read now: it is being closed, or made anew.
var ErrClosed = errors.New("the ledger can't be read just now")

// view reads the file, if it is known to be this group's. Damage that a reader
// comes upon is looked into.
func (l *Ledger) view(read func(*viewing) error) error {
	if !l.mayTell() {
		return ErrClosed
	}
	return l.look(read)
}

// look is view of a file that may be anybody's.
func (l *Ledger) look(read func(*viewing) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.store == nil {
		return ErrClosed
	}
	err := l.store.view(read)
	if errors.Is(err, errDamaged) {
		l.suspect.Store(true)
		l.feed.signal()
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// Order gives an order as it is on disk, or false. Error of this and all that follow:
// ErrClosed.
func (l *Ledger) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	err = l.view(func(v *viewing) error {
		key := refKey(ref)
		body, err := v.get(bucketOrders, key)
		if err != nil || body == nil {
			return err
		}
		found = true
		o, err = orderOf(key, body)
		return err
	})
	return o, found && err == nil, err
}

// PaidBy gives the order that a payment paid for, or false.
func (l *Ledger) PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error) {
	err = l.view(func(v *viewing) error {
		prefix := paymentPrefix(paymentID)
		return v.walk(bucketPayments, prefix, prefix, func(key, _ []byte) (bool, error) {
			if len(key) != len(prefix)+8 {
				return false, errDamaged
			}
			ref, found = refOf(key[len(prefix):]), true
			return false, nil
		})
	})
	return ref, found && err == nil, err
}

// OrdersOf walks a shopper's orders, the newest grant first, from behind the one
// given on (the zero value: from the first), until yield says stop.
func (l *Ledger) OrdersOf(shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool) error {
	return l.view(func(v *viewing) error {
		prefix := append([]byte(shopper), 0)
		from := prefix
		if !after.IsZero() {
			from = append(shopperKey(shopper, granted, after), 0) // right behind it
		}
		return v.walk(bucketShoppers, prefix, from, func(key, _ []byte) (bool, error) {
			if len(key) != len(prefix)+16 {
				return false, errDamaged
			}
			_, ref := shopperKeyOf(key)
			at := refKey(ref)
			body, err := v.get(bucketOrders, at)
			if err == nil && body == nil {
				err = fmt.Errorf("%w: a shopper's order is missing", errDamaged)
			}
			if err != nil {
				return false, err
			}
			o, err := orderOf(at, body)
			return err == nil && yield(&o), err
		})
	})
}

// Scan walks a session's orders from an ordinal on, until yield says stop.
func (l *Ledger) Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error {
	return l.view(func(v *viewing) error {
		prefix := binary.BigEndian.AppendUint32(nil, uint32(from.Session))
		return v.walk(bucketOrders, prefix, refKey(from), func(key, body []byte) (bool, error) {
			o, err := orderOf(key, body)
			return err == nil && yield(&o), err
		})
	})
}

// SessionOf gives a session as it was when it was settled, or false.
func (l *Ledger) SessionOf(h engine.SessionHandle) (x Settled, found bool, err error) {
	err = l.view(func(v *viewing) error {
		key := handleKey(sessionName, h)
		body, err := v.get(bucketSettled, key)
		if err != nil || body == nil {
			return err
		}
		found = true
		x, err = settledOf(key, body)
		return err
	})
	return x, found && err == nil, err
}

// View gives an order as readers see it.
func (l *Ledger) View(o *engine.OrderRecord) engine.OrderView {
	n := l.names.Load()
	listing := n.listings[o.Listing]
	v := engine.OrderView{Ref: o.Ref, OrderNo: l.numberer.Load().Number(o.Ref, o.Life).String(), Shopper: o.Shopper, Session: n.sessions[o.Ref.Session], SKU: listing.id, Quantity: o.Quantity, Amount: o.Amount,
		Currency: listing.currency, State: o.State, GrantedAt: o.Granted, PayBy: o.PayBy, ChangedAt: o.Changed, Why: o.Why, PaymentID: o.PaymentID, PaidAt: o.PaidAt, Transaction: o.Transaction}
	switch o.State {
	case engine.Expired, engine.Cancelled, engine.Voided, engine.Refunded:
		for i := range o.Refunds { // of money that came when it had left the state
			if v.State = engine.Refunded; o.Refunds[i].Made == 0 {
				v.State = engine.RefundDue
				break
			}
		}
	}
	if o.Receiver != nil {
		v.Receiver, v.HasReceiver = *o.Receiver, true
	}
	return v
}

// Digest is the SHA-256 of what the ledger holds: orders, settled sessions, and
// the events from from on. Ledgers of one group that reach to the same index have
// the same, but for holes.
func (l *Ledger) Digest(from engine.LogIndex) (sum [sha256.Size]byte, index engine.LogIndex, err error) {
	digest := sha256.New()
	err = l.view(func(v *viewing) error {
		h, err := v.head()
		if err != nil {
			return err
		}
		index = h.index
		for _, part := range []struct {
			bucket byte
			from   []byte
		}{{bucketOrders, nil}, {bucketShoppers, nil}, {bucketPayments, nil}, {bucketNames, nil}, {bucketSettled, nil}, {bucketEvents, positionKey(engine.TrailPosition{Index: from})}} {
			if err := v.walk(part.bucket, nil, part.from, func(key, body []byte) (bool, error) {
				digest.Write(binary.AppendUvarint([]byte{part.bucket}, uint64(len(key))))
				digest.Write(key)
				digest.Write(binary.AppendUvarint(nil, uint64(len(body))))
				digest.Write(body)
				return true, nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	digest.Sum(sum[:0])
	return sum, index, err
}
