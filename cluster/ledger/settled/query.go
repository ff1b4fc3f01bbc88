package settled

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"go.etcd.io/bbolt"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
)

// Order gives an order, or false. It has no refunds: those are in the state. Errors
// of this and all that follow: ErrIncomplete, ErrClosed, and what the disk says.
func (s *Store) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	return s.order(ref, "")
}

// order is Order of one that must be a shopper's, unless that is "".
func (s *Store) order(ref engine.OrderRef, shopper string) (o engine.OrderRecord, found bool, err error) {
	f, err := s.file(ref.Session)
	if f == nil || err != nil || ref.Ordinal == 0 || ref.Ordinal > f.Orders {
		return o, false, err
	}
	err = s.view(f, func(tx *bbolt.Tx) (err error) {
		if o, err = orderAt(tx, ref); err == nil && shopper != "" && o.Shopper != shopper {
			err = codec.Damaged("order %d is not that shopper's", ref.Ordinal)
		}
		return err
	})
	return o, err == nil, err
}

func orderAt(tx *bbolt.Tx, ref engine.OrderRef) (engine.OrderRecord, error) {
	key := ordinalKey(ref.Ordinal)
	row := tx.Bucket(bucketOrders).Get(key)
	if row == nil {
		return engine.OrderRecord{}, codec.Damaged("order %d is not there", ref.Ordinal)
	}
	return orderOf(ref.Session, key, row)
}

// having gives, of the expected files, those that may have a name to use, and after that
// the sessions of missing ones that may have it as ErrIncomplete.
func (s *Store) having(name string, of func(*head) filter, use func(*file, *head) (goOn bool, err error)) error {
	var lacks Incomplete
	hash := hashOf(name)
	for _, f := range s.all() {
		goOn, h, err := true, f.head.Load(), error(nil)
		if h == nil || f.missing.Load() {
			err = s.try(f, func() (err error) {
				h, err = f.load()
				return err
			})
			if errors.Is(err, ErrIncomplete) {
				h = f.names()
			}
		}
		switch {
		case h != nil && !of(h).mayHave(hash):
			continue
		case err == nil:
			goOn, err = use(f, h)
		}
		if err := lacks.note(err); err != nil || !goOn {
			return err
		}
	}
	return lacks.err()
}

// note takes ErrIncomplete and gives all other errors back.
func (e *Incomplete) note(err error) error {
	var more *Incomplete
	if errors.As(err, &more) {
		e.Sessions = append(e.Sessions, more.Sessions...)
		return nil
	}
	return err
}

func (e *Incomplete) err() error {
	if e.Sessions == nil {
		return nil
	}
	slices.Sort(e.Sessions)
	e.Sessions = slices.Compact(e.Sessions)
	return e
}

// seek runs read in a file's transaction with a cursor at the first key of a name that
// its filter has. Where there is none, the file is read once more: that is a mistake of
// the filter, once in 65,536 names, or damage since the file was checked.
func (s *Store) seek(f *file, bucket []byte, name string, read func(c *bbolt.Cursor, key, prefix []byte) error) error {
	prefix, known := append([]byte(name), 0), false
	err := s.view(f, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		key, _ := c.Seek(prefix)
		if known = bytes.HasPrefix(key, prefix); known {
			return read(c, key, prefix)
		}
		return nil
	})
	if err == nil && !known {
		err = s.try(f, func() error { return f.recheck(context.Background()) })
	}
	return err
}

// PaidBy gives the order that a payment paid for, the first one if there are more,
// or false. An order that it finds is an answer also while files are missing.
func (s *Store) PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error) {
	err = s.having(paymentID, func(h *head) filter { return h.payments }, func(f *file, _ *head) (bool, error) {
		err := s.seek(f, bucketPayments, paymentID, func(_ *bbolt.Cursor, key, prefix []byte) error {
			if found = len(key) == len(prefix)+paymentTail; found {
				ref = engine.OrderRef{Session: f.Handle, Ordinal: binary.BigEndian.Uint32(key[len(prefix):])}
			}
			return nil
		})
		return !found, err
	})
	return ref, found && err == nil, err
}

// Scan walks a session's orders from an ordinal on, until yield says stop.
func (s *Store) Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error {
	f, err := s.file(from.Session)
	if f == nil || err != nil {
		return err
	}
	for ref := (engine.OrderRef{Session: f.Handle,
		Ordinal: max(from.Ordinal, 1)}); ref.Ordinal <= f.Orders; ref.Ordinal++ {
		if o, _, err := s.Order(ref); err != nil || !yield(&o) {
			return err
		}
	}
	return nil
}

// OrdersOf walks a shopper's orders in all sessions, the newest grant first, from
// behind the one given on (the zero value: from the first), until yield says stop.
// While files are missing it gives what it knows, and ErrIncomplete behind that.
func (s *Store) OrdersOf(shopper string, after engine.OrderRef, granted engine.Time,
	yield func(*engine.OrderRecord) bool) error {
	from := place{math.MaxInt64, after}
	if !after.IsZero() {
		from.granted = granted
	}
	var lacks Incomplete
	var files []*head
	err := s.having(shopper, func(h *head) filter { return h.shoppers }, func(_ *file, h *head) (bool, error) {
		if h.Oldest <= from.granted { // else all of it is before that
			files = append(files, h)
		}
		return true, nil
	})
	if err := lacks.note(err); err != nil {
		return err
	}
	// The newest files first, and none before what those have is given out.
	slices.SortStableFunc(files, func(a, b *head) int { return cmp.Compare(b.Newest, a.Newest) })
	var next []place
	for len(files)+len(next) > 0 {
		if len(files) > 0 && (len(next) == 0 || files[0].Newest >= next[0].granted) {
			more, err := s.places(files[0].Handle, shopper, from)
			if err := lacks.note(err); err != nil {
				return err
			}
			next, files = append(next, more...), files[1:]
			slices.SortFunc(next, place.compare)
			continue
		}
		o, found, err := s.order(next[0].ref, shopper)
		if err := lacks.note(err); err != nil {
			return err
		}
		if found && !yield(&o) {
			break
		}
		next = next[1:]
	}
	return lacks.err()
}

// places gives where a shopper's orders in a session stand that are behind a place.
func (s *Store) places(h engine.SessionHandle, shopper string, from place) (found []place, err error) {
	f, err := s.file(h)
	if f == nil || err != nil {
		return nil, err
	}
	err = s.seek(f, bucketShoppers, shopper, func(c *bbolt.Cursor, key, prefix []byte) error {
		found = nil
		// no name has a 0 in it
		for ; len(key) == len(prefix)+shopperTail && bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			granted := engine.Time(^binary.BigEndian.Uint64(key[len(prefix):]))
			p := place{granted, engine.OrderRef{Session: h, Ordinal: ^binary.BigEndian.Uint32(key[len(key)-4:])}}
			if from.compare(p) < 0 {
				found = append(found, p)
			}
		}
		return nil
	})
	return found, err
}

// place is where an order stands among a shopper's.
type place struct {
	granted engine.Time
	ref     engine.OrderRef
}

func placeOf(o *engine.OrderRecord) place { return place{o.Granted, o.Ref} }

// compare is below 0 if p comes first.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(q.granted, p.granted), cmp.Compare(q.ref.Session, p.ref.Session),
		cmp.Compare(q.ref.Ordinal, p.ref.Ordinal))
}
