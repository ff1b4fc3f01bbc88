package settled

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"

	"go.etcd.io/bbolt"

	"doorbuster/engine"
)

// pageOrders is how many orders are read in one go: no file is held while they are
// given out.
const pageOrders = 64

// Order gives an order, or false. It has no refunds: those are in the state. Errors
// of this and all that follow: ErrIncomplete, ErrClosed, and what the disk says.
func (s *Store) Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error) {
	x, err := s.slot(ref.Session)
	if x == nil || err != nil || ref.Ordinal == 0 || ref.Ordinal > x.want.Orders {
		return o, false, err
	}
	err = s.view(x, func(tx *bbolt.Tx) (err error) {
		o, err = orderAt(tx, ref)
		return err
	})
	return o, err == nil, err
}

func orderAt(tx *bbolt.Tx, ref engine.OrderRef) (o engine.OrderRecord, err error) {
	key := ordinalKey(ref.Ordinal)
	row := tx.Bucket(bucketOrders).Get(key)
	if row == nil {
		return o, fmt.Errorf("%w: order %d is not there", errDamaged, ref.Ordinal)
	}
	return orderOf(ref.Session, key, row)
}

// Session gives a settled session, or false if none is expected.
func (s *Store) Session(h engine.SessionHandle) (sum Summary, found bool, err error) {
	x, err := s.slot(h)
	if x == nil || err != nil {
		return sum, false, err
	}
	f := x.file.Load()
	if f == nil {
		return sum, false, x.missing()
	}
	from, err := os.Open(f.path)
	if err == nil {
		var t trailer
		if t, _, err = readTrailer(from); err == nil {
			sum, err = t.summary(from, x.want)
		}
		from.Close()
	}
	if err != nil {
		return Summary{}, false, s.condemn(x, f, err)
	}
	return sum, true, nil
}

// PaidBy gives the order that a payment paid for, the first one if there are more,
// or false. An order that it finds is an answer also while files are missing.
func (s *Store) PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error) {
	var lacks lacking
	hash, prefix := hashOf(paymentID), append([]byte(paymentID), 0)
	for _, x := range s.all() {
		h, err := s.head(x)
		if err == nil && h.payments.mayHave(hash) {
			err = s.view(x, func(tx *bbolt.Tx) error {
				key, _ := tx.Bucket(bucketPayments).Cursor().Seek(prefix)
				if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+4 {
					return nil
				}
				ref, found = engine.OrderRef{Session: x.want.Handle, Ordinal: binary.BigEndian.Uint32(key[len(prefix):])}, true
				return nil
			})
			if err == nil && !found {
				err = s.doubt(x)
			}
		}
		if found && err == nil {
			return ref, true, nil
		}
		if err := lacks.note(err); err != nil {
			return engine.OrderRef{}, false, err
		}
	}
	return engine.OrderRef{}, false, lacks.err()
}

// doubt reads a file once more that does not know a name its filter has: that is a
// mistake of the filter, once in 65,536 names, or damage since the file was checked.
func (s *Store) doubt(x *slot) error {
	f := x.file.Load()
	if f == nil {
		return x.missing()
	}
	err := f.read(context.Background(), nil)
	if err != nil {
		err = s.condemn(x, f, err)
	}
	return err
}

// lacking gathers the sessions that an answer lacks.
type lacking struct{ sessions []engine.SessionHandle }

// note takes ErrIncomplete and gives all other errors back.
func (l *lacking) note(err error) error {
	var e *Incomplete
	if errors.As(err, &e) {
		l.sessions = append(l.sessions, e.Sessions...)
		return nil
	}
	return err
}

func (l *lacking) err() error {
	if l.sessions == nil {
		return nil
	}
	return &Incomplete{l.sessions}
}

// Scan walks a session's orders from an ordinal on, until yield says stop.
func (s *Store) Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error {
	x, err := s.slot(from.Session)
	if x == nil || err != nil {
		return err
	}
	for next := max(from.Ordinal, 1); next <= x.want.Orders; {
		var page []engine.OrderRecord
		if err := s.view(x, func(tx *bbolt.Tx) error {
			page = page[:0]
			c := tx.Bucket(bucketOrders).Cursor()
			for key, row := c.Seek(ordinalKey(next)); key != nil && len(page) < pageOrders; key, row = c.Next() {
				o, err := orderOf(x.want.Handle, key, row)
				if err != nil {
					return err
				}
				page = append(page, o)
			}
			if len(page) == 0 || page[0].Ref.Ordinal != next {
				return fmt.Errorf("%w: order %d is not there", errDamaged, next)
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
		last := page[len(page)-1].Ref.Ordinal
		if last == math.MaxUint32 {
			return nil
		}
		next = last + 1
	}
	return nil
}

// OrdersOf walks a shopper's orders in all sessions, the newest grant first, from
// behind the one given on (the zero value: from the first), until yield says stop.
// While files are missing it gives what it knows, and ErrIncomplete behind that.
func (s *Store) OrdersOf(shopper string, after engine.OrderRef, granted engine.Time,
	yield func(*engine.OrderRecord) bool) error {
	var lacks lacking
	var from *place
	if !after.IsZero() {
		from = &place{granted, after}
	}
	var merge sources
	hash := hashOf(shopper)
	for _, x := range s.all() {
		h, err := s.head(x)
		if err := lacks.note(err); err != nil {
			return err
		}
		if h == nil || !h.shoppers.mayHave(hash) {
			continue
		}
		at := place{h.newest, engine.OrderRef{Session: x.want.Handle, Ordinal: math.MaxUint32}}
		if from != nil && from.compare(place{h.oldest, engine.OrderRef{Session: x.want.Handle}}) >= 0 {
			continue // all of it is before that
		}
		if from != nil && at.compare(*from) < 0 {
			at = *from
		}
		merge = append(merge, &source{slot: x, at: at, behind: from})
	}
	heap.Init(&merge)
	for len(merge) > 0 {
		first := merge[0]
		if len(first.page) > 0 {
			if !yield(&first.page[0]) {
				break
			}
			first.page = first.page[1:]
		} else if err := lacks.note(first.read(s, shopper)); err != nil {
			return err
		}
		if len(first.page) > 0 {
			first.at = placeOf(&first.page[0])
		}
		if len(first.page) > 0 || first.more {
			heap.Fix(&merge, 0)
		} else {
			heap.Pop(&merge)
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
	slot   *slot
	at     place
	behind *place // what is read next is behind it; nil: the first
	page   []engine.OrderRecord
	more   bool
}

// read reads the next page, empty behind the last order.
func (q *source) read(s *Store, shopper string) error {
	known := false
	err := s.view(q.slot, func(tx *bbolt.Tx) error {
		q.page, q.more = nil, false
		prefix := append([]byte(shopper), 0)
		c := tx.Bucket(bucketShoppers).Cursor()
		first, _ := c.Seek(prefix)
		if known = bytes.HasPrefix(first, prefix); !known {
			return nil
		}
		seek := prefix
		if q.behind != nil {
			seek = q.behind.seek(shopper, q.slot.want.Handle)
		}
		for key, _ := c.Seek(seek); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
			if len(key) != len(prefix)+12 {
				break // nobody has this name: there is a 0 in it
			}
			if len(q.page) == pageOrders {
				q.more = true
				break
			}
			o, err := orderAt(tx, engine.OrderRef{Session: q.slot.want.Handle,
				Ordinal: ^binary.BigEndian.Uint32(key[len(key)-4:])})
			if err == nil && o.Shopper != shopper {
				err = fmt.Errorf("%w: order %d is not that shopper's", errDamaged, o.Ref.Ordinal)
			}
			if err != nil {
				return err
			}
			q.page = append(q.page, o)
		}
		if len(q.page) > 0 {
			last := placeOf(&q.page[len(q.page)-1])
			q.behind = &last
		}
		return nil
	})
	if err == nil && !known {
		err = s.doubt(q.slot)
	}
	if err != nil {
		q.page, q.more = nil, false
	}
	return err
}

// seek gives the key in session h from which on a shopper's orders are behind p.
func (p place) seek(shopper string, h engine.SessionHandle) []byte {
	switch {
	case h > p.ref.Session: // those of p's moment were before it
		return shopperKey(shopper, p.granted-1, math.MaxUint32)
	case h < p.ref.Session:
		return shopperKey(shopper, p.granted, math.MaxUint32)
	}
	return append(shopperKey(shopper, p.granted, p.ref.Ordinal), 0) // right behind it
}

type sources []*source

func (m sources) Len() int           { return len(m) }
func (m sources) Less(i, j int) bool { return m[i].at.compare(m[j].at) < 0 }
func (m sources) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *sources) Push(x any)        { *m = append(*m, x.(*source)) }
func (m *sources) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
