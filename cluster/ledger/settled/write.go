package settled

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"doorbuster/engine"
)

var (
	bucketOrders   = []byte("orders")
	bucketShoppers = []byte("shoppers")
	bucketPayments = []byte("payments")
)

// pageBytes is the same on every machine, so that files are.
const pageBytes = 4096

// writeRows is how many rows go into one transaction, which keeps them in memory: fewer
// cost commits, more cost bbolt's growing nodes, and take a processor from grabs for
// longer than two milliseconds at a time. What is kept of all orders are the keys that
// have to be sorted.
const writeRows = 512

// A file is written beside a rush: who writes it rests so many times as long as each
// transaction takes, and has what it wrote put on disk bit by bit, so that the log's next sync
// need not wait for all of it.
const (
	writeRests = 2
	syncEvery  = 32 // transactions, of 128 KiB or so each
)

// Write writes the file of a session from what the engine froze. The file is on disk when
// Write returns nil, and its session is expected. It may take seconds; when ctx is done it
// gives up and leaves nothing. A file that is there already, and whole, stays.
func (s *Store) Write(ctx context.Context, group [16]byte, l *engine.Leaving) error {
	return s.write(ctx, Session{l.Session, l.Sealed, l.At, uint32(l.Orders()), group}, l.Record)
}

// write is Write of orders that record gives, whose ordinals go from 1 to want.Orders.
func (s *Store) write(ctx context.Context, want Session, record func(ordinal uint32) (engine.OrderRecord, bool)) error {
	if has, err := s.has(ctx, want); has || err != nil {
		return err
	}
	return s.make(want, func(f *os.File) (*head, error) {
		h := &head{span: span{Session: want}}
		if err := guard(func() error { return h.writeRows(ctx, f.Name(), record) }); err != nil {
			return nil, err // bbolt may have panicked over a disk that fails
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		h.rows = uint64(info.Size())
		if h.sum, err = sumRows(ctx, f, info.Size()); err != nil {
			return nil, err
		}
		b := h.append(nil)
		h.size = info.Size() + int64(len(b))
		_, err = f.WriteAt(b, info.Size())
		return h, err
	})
}

// writeRows fills a file's first part, and what the head says of it.
func (h *head) writeRows(ctx context.Context, path string, record func(uint32) (engine.OrderRecord, bool)) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, NoFreelistSync: true,
		FreelistType: bbolt.FreelistArrayType, PageSize: pageBytes, NoStatistics: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	shoppers, payments := make([]string, 0, h.Orders), []string(nil)
	if err := fill(ctx, db, bucketOrders, int(h.Orders), func(i int) (key, row []byte, err error) {
		ordinal := uint32(i) + 1
		o, ok := record(ordinal)
		if !ok {
			return nil, nil, fmt.Errorf("order %d of %d is missing", ordinal, h.Orders)
		}
		shoppers = append(shoppers, string(shopperKey(o.Shopper, o.Granted, ordinal)))
		if o.PaymentID != "" {
			payments = append(payments, string(paymentKey(o.PaymentID, ordinal)))
		}
		if i == 0 {
			h.Oldest, h.Newest = o.Granted, o.Granted
		}
		h.Oldest, h.Newest = min(h.Oldest, o.Granted), max(h.Newest, o.Granted)
		key = ordinalKey(ordinal)
		return key, orderRow(key, &o), nil
	}); err != nil {
		return err
	}
	if h.shoppers, err = fillKeys(ctx, db, bucketShoppers, shoppers, shopperTail); err == nil {
		h.payments, err = fillKeys(ctx, db, bucketPayments, payments, paymentTail)
	}
	return err
}

// fillKeys puts keys without values into a bucket, and gives the filter of their names.
func fillKeys(ctx context.Context, db *bbolt.DB, bucket []byte, keys []string, tail int) (filter, error) {
	slices.Sort(keys)
	hashes := make([]uint64, len(keys))
	if err := fill(ctx, db, bucket, len(keys), func(i int) (key, row []byte, err error) {
		hashes[i] = hashOf(keys[i][:len(keys[i])-1-tail])
		return []byte(keys[i]), nil, nil
	}); err != nil {
		return filter{}, err
	}
	return filterOf(hashes)
}

// fill puts n rows, which come in key order, into a bucket of its own.
func fill(ctx context.Context, db *bbolt.DB, bucket []byte, n int, row func(int) (key, value []byte, err error)) error {
	for i, transactions := 0, 0; transactions == 0 || i < n; transactions++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			b.FillPercent = 1
			for end := min(n, i+writeRows); i < end; i++ {
				key, value, err := row(i)
				if err == nil {
					err = b.Put(key, value)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if transactions%syncEvery == syncEvery-1 {
			if err := db.Sync(); err != nil {
				return err
			}
		}
		if i < n {
			select {
			case <-time.After(writeRests * time.Since(began)):
			case <-ctx.Done():
			}
		}
	}
	return nil
}
