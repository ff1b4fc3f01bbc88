package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"doorbuster/engine"
)

// Buckets, each named by a letter.
const (
	bucketMeta      = 'm' // format, group, the index, tallies
	bucketOrders    = 'o' // order's place → all that is known of it
	bucketShoppers  = 's' // shopper, newest grant first, order's place → nothing
	bucketEvents    = 'e' // log index, place in the entry → event
	bucketTrail     = 't' // order's place, event's place → nothing
	bucketOperators = 'p' // operator, event's place → nothing
	bucketNames     = 'n' // session's or listing's handle → what it is called
	bucketPayments  = 'y' // payment's id, order's place that it paid for → nothing
	bucketSettled   = 'x' // session's handle → what it was when it was settled
)

var buckets = []byte{bucketMeta, bucketOrders, bucketShoppers, bucketEvents, bucketTrail, bucketOperators, bucketNames, bucketSettled, bucketPayments}

// fileFormat is the version of the database's layout.
const fileFormat = 1

var (
	keyHead  = []byte("head")
	keyTally = []byte("tally")
)

// head is what the file knows of itself.
type head struct {
	group  [16]byte // which group's ledger it is; zero before the first epoch
	index  engine.LogIndex
	time   engine.Time  // state time then
	epoch  engine.Epoch // and the entry's epoch and sequence: another log's differ
	number uint64
	// lacking: a resync is under way, and what is there is not whole.
	lacking bool
	// owner is the data directory whose log it was written from; "" before that.
	owner string
}

func (h *head) body() []byte {
	w := writer{}
	w.byte(fileFormat)
	w.buf = append(w.buf, h.group[:]...)
	w.uint(uint64(h.index))
	w.int(int64(h.time))
	w.uint(uint64(h.epoch))
	w.uint(h.number)
	if h.lacking {
		w.byte(1)
	} else {
		w.byte(0)
	}
	w.string(h.owner)
	return w.buf
}

func headOf(body []byte) (h head, err error) {
	r := reader{buf: body}
	if v := r.byte(); v > fileFormat {
		return h, fmt.Errorf("ledger format %d, this build reads %d: %w", v, fileFormat, engine.ErrNewerFormat)
	}
	copy(h.group[:], r.bytes(len(h.group)))
	h.index, h.time, h.epoch, h.number = engine.LogIndex(r.uint()), engine.Time(r.int()), engine.Epoch(r.uint()), r.uint()
	h.lacking = r.byte() != 0
	h.owner = r.string()
	return h, r.done()
}

// tally counts a bucket's rows and sums their checksums: what is missing is missed.
type tally struct{ rows, sum uint64 }

type tallies ['z']tally

func (t *tallies) body() []byte {
	w := writer{}
	for _, b := range buckets[1:] {
		w.uint(t[b].rows)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, t[b].sum)
	}
	return w.buf
}

func talliesOf(body []byte) (t tallies, err error) {
	r := reader{buf: body}
	for _, b := range buckets[1:] {
		t[b].rows = r.uint()
		if sum := r.bytes(8); sum != nil {
			t[b].sum = binary.LittleEndian.Uint64(sum)
		}
	}
	return t, r.done()
}

// store is an open database. Reads are safe for concurrent use; one goroutine writes.
type store struct {
	db   *bbolt.DB
	path string
}

// guard runs do, and takes what a damaged file makes it panic with as an error: a
// page number that leads nowhere faults.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return do()
}

// openStore opens the database at path, makes it if it is missing, and reads its
// head. Errors: errDamaged, engine.ErrNewerFormat, and what the disk says.
func openStore(path string) (s *store, h head, fresh bool, err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		fresh = true
	} else if err != nil {
		return nil, h, false, err
	} else if info.Size() == 0 {
		return nil, h, false, fmt.Errorf("%w: it is empty", errDamaged)
	}
	if !fresh {
		if err := checkSize(path); err != nil {
			return nil, h, false, err
		}
	}
	s = &store{path: path}
	err = guard(func() error {
		var err error
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 1 << 30})
		if err != nil {
			return err
		}
		if fresh {
			return s.make()
		}
		return s.db.View(func(tx *bbolt.Tx) error {
			for _, b := range buckets {
				if tx.Bucket([]byte{b}) == nil {
					return fmt.Errorf("%w: bucket %c is missing", errDamaged, b)
				}
			}
			var err error
			h, err = (&viewing{tx}).head()
			return err
		})
	})
	if err != nil {
		s.close()
		if !errors.Is(err, engine.ErrNewerFormat) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, bbolterrors.ErrTimeout) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		return nil, h, false, err
	}
	return s, h, fresh, nil
}

func (s *store) make() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, b := range buckets {
			if _, err := tx.CreateBucket([]byte{b}); err != nil {
				return err
			}
		}
		var t tallies
		meta := tx.Bucket([]byte{bucketMeta})
		if err := meta.Put(keyHead, seal(bucketMeta, keyHead, (&head{}).body())); err != nil {
			return err
		}
		return meta.Put(keyTally, seal(bucketMeta, keyTally, t.body()))
	})
}

func (s *store) close() error {
	if s.db == nil {
		return nil
	}
	return guard(s.db.Close)
}

// view runs read in a transaction; what it gets from the file is good until it returns.
func (s *store) view(read func(*viewing) error) error {
	return guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error { return read(&viewing{tx}) })
	})
}

// viewing is a transaction that reads.
type viewing struct{ tx *bbolt.Tx }

func (v *viewing) bucket(b byte) *bbolt.Bucket { return v.tx.Bucket([]byte{b}) }

// get gives a row's body, nil if there is none.
func (v *viewing) get(bucket byte, key []byte) ([]byte, error) {
	value := v.bucket(bucket).Get(key)
	if value == nil {
		return nil, nil
	}
	return unseal(bucket, key, value)
}

// head gives what the file knows of itself.
func (v *viewing) head() (h head, err error) {
	body, err := v.get(bucketMeta, keyHead)
	if err != nil {
		return h, err
	}
	return headOf(body)
}

// walk calls row for the rows from from on that begin with prefix, in order, until
// it says stop.
func (v *viewing) walk(bucket byte, prefix, from []byte, row func(key, body []byte) (more bool, err error)) error {
	c := v.bucket(bucket).Cursor()
	for key, value := c.Seek(from); key != nil && len(key) >= len(prefix) && string(key[:len(prefix)]) == string(prefix); key, value = c.Next() {
		body, err := unseal(bucket, key, value)
		if err != nil {
			return err
		}
		if more, err := row(key, body); err != nil || !more {
			return err
		}
	}
	return nil
}

// update runs write in a transaction, which is on disk when it returns.
func (s *store) update(write func(*writing) error) error {
	return guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			w := &writing{viewing: viewing{tx}}
			body, err := w.get(bucketMeta, keyTally)
			if err == nil {
				w.tallies, err = talliesOf(body)
			}
			if err == nil {
				err = write(w)
			}
			if err == nil {
				err = w.bucket(bucketMeta).Put(keyTally, seal(bucketMeta, keyTally, w.tallies.body()))
			}
			return err
		})
	})
}

// writing is a transaction that writes.
type writing struct {
	viewing
	tallies tallies
}

// put writes a row over what was there; changed is false if that was the same.
func (w *writing) put(bucket byte, key, body []byte) (changed bool, err error) {
	b := w.bucket(bucket)
	value := seal(bucket, key, body)
	t := &w.tallies[bucket]
	if old := b.Get(key); old != nil {
		if string(old) == string(value) {
			return false, nil
		}
		if _, err := unseal(bucket, key, old); err != nil {
			return false, err
		}
		t.take(old)
	}
	t.rows++
	t.sum += sealOf(value)
	return true, b.Put(key, value)
}

// drop removes a row, if it is there.
func (w *writing) drop(bucket byte, key []byte) error {
	b := w.bucket(bucket)
	old := b.Get(key)
	if old == nil {
		return nil
	}
	if _, err := unseal(bucket, key, old); err != nil {
		return err
	}
	w.tallies[bucket].take(old)
	return b.Delete(key)
}

func (t *tally) take(value []byte) {
	t.rows--
	t.sum -= sealOf(value)
}

func sealOf(value []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(value[len(value)-crcBytes:]))
}

func (w *writing) putHead(h *head) error {
	return w.bucket(bucketMeta).Put(keyHead, seal(bucketMeta, keyHead, h.body()))
}

// pointerBody is the value of a row that says all by its key.
func pointerBody() []byte { return []byte{pointerVersion} }

// putOrder writes an order, and has it found by its shopper and its payment.
func (w *writing) putOrder(o *engine.OrderRecord) error {
	key := refKey(o.Ref)
	old, err := w.get(bucketOrders, key)
	if err != nil {
		return err
	}
	pointers := orderPointers(o)
	if old != nil {
		was, err := orderOf(key, old)
		if err != nil {
			return err
		}
		for _, p := range orderPointers(&was) {
			if at := slices.IndexFunc(pointers, p.same); at >= 0 {
				pointers = slices.Delete(pointers, at, at+1)
			} else if err := w.drop(p.bucket, p.key); err != nil {
				return err
			}
		}
	}
	if _, err := w.put(bucketOrders, key, orderBody(o)); err != nil {
		return err
	}
	for _, p := range pointers {
		if _, err := w.put(p.bucket, p.key, pointerBody()); err != nil {
			return err
		}
	}
	return nil
}

// orderPointers are what finds an order.
func orderPointers(o *engine.OrderRecord) []pointer {
	p := []pointer{{bucketShoppers, shopperKey(o.Shopper, o.Granted, o.Ref)}}
	if o.PaymentID != "" {
		p = append(p, pointer{bucketPayments, append(paymentPrefix(o.PaymentID), refKey(o.Ref)...)})
	}
	return p
}

// putEvent writes an event, and has it found by its order and its operator.
func (w *writing) putEvent(e *event) error {
	at := positionKey(e.at)
	if _, err := w.put(bucketEvents, at, e.body()); err != nil {
		return err
	}
	for _, p := range e.pointers(at) {
		if _, err := w.put(p.bucket, p.key, pointerBody()); err != nil {
			return err
		}
	}
	return nil
}

// dropEvent removes an event and all that leads to it.
func (w *writing) dropEvent(e *event) error {
	at := positionKey(e.at)
	for _, p := range e.pointers(at) {
		if err := w.drop(p.bucket, p.key); err != nil {
			return err
		}
	}
	return w.drop(bucketEvents, at)
}

type pointer struct {
	bucket byte
	key    []byte
}

func (p pointer) same(q pointer) bool { return p.bucket == q.bucket && string(p.key) == string(q.key) }

func (e *event) pointers(at []byte) (p []pointer) {
	if !e.order.IsZero() {
		p = append(p, pointer{bucketTrail, append(refKey(e.order), at...)})
	}
	if e.operator != "" {
		p = append(p, pointer{bucketOperators, append(operatorPrefix(e.operator), at...)})
	}
	return p
}

func paymentPrefix(id string) []byte { return append([]byte(id), 0) }

func operatorPrefix(operator string) []byte { return append([]byte(operator), 0) }
