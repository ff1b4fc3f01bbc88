package settled

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"

	"go.etcd.io/bbolt"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
)

// pageOrders is how many orders are read in one go: no file is held while they are
// given out.
const pageOrders = 64

// Order gives an order, or false. It has no refunds: those are in the state. Errors
// of this and all that follow: ErrIncomplete, ErrClosed, and what the disk says.
func (s *Store) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	f, err := s.file(ref.Session)
	if f == nil || err != nil || ref.Ordinal == 0 || ref.Ordinal > f.Orders {
		return o, false, err
	}
	err = s.view(f, func(tx *bbolt.Tx) (err error) {
		o, err = orderAt(tx, ref)
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
// the sessions of missing ones as ErrIncomplete.
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
		}
		if err == nil && of(h).mayHave(hash) {
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
	for next := uint64(max(from.Ordinal, 1)); next <= uint64(f.Orders); next += pageOrders {
		var page []engine.OrderRecord
		if err := s.view(f, func(tx *bbolt.Tx) error {
			page = page[:0]
			for i := next; i < next+pageOrders && i <= uint64(f.Orders); i++ {
				o, err := orderAt(tx, engine.OrderRef{Session: f.Handle, Ordinal: uint32(i)})
				if err != nil {
					return err
				}
				page = append(page, o)
			}
			return nil
		}); err != nil {
			return err
		}
		for i := range page {
			if !yield(&page[i]) {
				return nil
			}
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
	var merge []*source
	err := s.having(shopper, func(h *head) filter { return h.shoppers }, func(f *file, h *head) (bool, error) {
		at := place{h.newest, engine.OrderRef{Session: f.Handle, Ordinal: math.MaxUint32}}
		if at.compare(from) < 0 {
			at = from
		}
		if at.compare(place{h.oldest, engine.OrderRef{Session: f.Handle}}) < 0 { // else all of it is before that
			merge = append(merge, &source{file: f, at: at, behind: from, more: true})
		}
		return true, nil
	})
	if err := lacks.note(err); err != nil {
		return err
	}
	for len(merge) > 0 {
		i := 0
		for j := range merge {
			if merge[j].at.compare(merge[i].at) < 0 {
				i = j
			}
		}
		q := merge[i]
		if len(q.page) > 0 {
			if !yield(&q.page[0]) {
				break
			}
			q.page = q.page[1:]
		} else if err := lacks.note(q.read(s, shopper)); err != nil {
			return err
		}
		if len(q.page) > 0 {
			q.at = placeOf(&q.page[0])
		} else if !q.more {
			merge = append(merge[:i], merge[i+1:]...)
		}
	}
	return lacks.err()
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

// source is a file that may have orders of a shopper. Until it has been read, at
// is where its first one is at the earliest: so files are opened only when what
// comes before them has been given out.
type source struct {
	file   *file
	at     place
	behind place // what is read next is behind it
	page   []engine.OrderRecord
	more   bool
}

// read reads the next page, empty behind the last order.
func (q *source) read(s *Store, shopper string) error {
	h := q.file.Handle
	err := s.seek(q.file, bucketShoppers, shopper, func(c *bbolt.Cursor, _, prefix []byte) error {
		q.page, q.more = nil, false
		for key, _ := c.Seek(q.behind.key(shopper, h)); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			if len(key) != len(prefix)+shopperTail {
				break // nobody has this name: there is a 0 in it
			}
			if q.more = len(q.page) == pageOrders; q.more {
				break
			}
			o, err := orderAt(c.Bucket().Tx(), engine.OrderRef{Session: h, Ordinal: ^binary.BigEndian.Uint32(key[len(key)-4:])})
			if err == nil && o.Shopper != shopper {
				err = codec.Damaged("order %d is not that shopper's", o.Ref.Ordinal)
			}
			if err != nil {
				return err
			}
			q.page = append(q.page, o)
		}
		return nil
	})
	if err != nil {
		q.page, q.more = nil, false
	}
	if n := len(q.page); n > 0 {
		q.behind = placeOf(&q.page[n-1])
	} else {
		q.more = false
	}
	return err
}

// key gives the one in session h from which on a shopper's orders are behind p.
func (p place) key(shopper string, h engine.SessionHandle) []byte {
	switch {
	case h > p.ref.Session: // those of p's moment were before it
		return shopperKey(shopper, p.granted-1, math.MaxUint32)
	case h < p.ref.Session:
		return shopperKey(shopper, p.granted, math.MaxUint32)
	}
	return append(shopperKey(shopper, p.granted, p.ref.Ordinal), 0) // right behind it
}
