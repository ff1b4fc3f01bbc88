package settled

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cespare/xxhash/v2"
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

// writeRows is how many rows go into one transaction, which keeps them in memory:
// fewer cost commits, more cost bbolt's growing nodes. What is kept of all orders are
// the keys that have to be sorted, 32 bytes and a name each.
const writeRows = 2048

// Write writes the file of a session from what the engine froze, as the entry at
// index left it, at that entry's time. The file is on disk when Write returns nil,
// and its session is expected. It may take seconds; when ctx is done it gives up and
// leaves nothing.
func (s *Store) Write(ctx context.Context, group [16]byte, l *engine.Leaving, index engine.LogIndex,
	at engine.Time) error {
	sum := Summary{Session: Session{Handle: l.Session, Index: index, Orders: uint32(l.Orders()), Group: group}, At: at}
	for i := range l.Listings {
		x := &l.Listings[i]
		sum.Listings = append(sum.Listings, Listing{Listing: x.Handle, Price: x.Price, Stock: x.Stock,
			Available: x.Available, Paid: x.Paid, Released: x.Released, Buyers: x.Shoppers})
	}
	return s.WriteOrders(ctx, sum, l.Record)
}

// WriteOrders is Write of orders that record gives, whose ordinals go from 1 to
// sum.Orders. It fills in the times of grants and the digest of sum. A file that is
// there already, and whole, stays.
func (s *Store) WriteOrders(ctx context.Context, sum Summary, record func(ordinal uint32) (engine.OrderRecord,
	bool)) (err error) {
	if has, err := s.Has(ctx, sum.Session); has || err != nil {
		return err
	}
	tmp, err := s.temporary(sum.Handle)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("file of settled session %d: %w", sum.Handle, err)
			os.Remove(tmp)
		}
	}()
	var filters [2]filter
	if err := guard(func() (err error) { // bbolt may panic over a disk that fails
		filters, err = writeDatabase(ctx, tmp, &sum, record)
		return err
	}); err != nil {
		return err
	}
	h, err := finish(ctx, tmp, &sum, filters)
	if err != nil {
		return err
	}
	return s.install(tmp, sum.Session, h)
}

// temporary makes an empty file beside the others.
func (s *Store) temporary(h engine.SessionHandle) (string, error) {
	f, err := os.CreateTemp(s.cfg.Dir, fileName(h)+".*"+tmpSuffix)
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// named is an order as a shopper's or a payment's name leads to it.
type named struct {
	name    string
	granted engine.Time
	ordinal uint32
}

// writeDatabase fills a file's first part and gives the filters.
func writeDatabase(ctx context.Context, path string, sum *Summary, record func(uint32) (engine.OrderRecord,
	bool)) (filters [2]filter, err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, NoFreelistSync: true,
		FreelistType: bbolt.FreelistArrayType, PageSize: pageBytes, NoStatistics: true})
	if err != nil {
		return filters, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	digest := sha256.New()
	shoppers, payments := make([]named, 0, sum.Orders), []named(nil)
	sum.Oldest, sum.Newest = 0, 0
	if err := fill(ctx, db, bucketOrders, int(sum.Orders), func(i int) (key, row []byte, err error) {
		ordinal := uint32(i) + 1
		o, ok := record(ordinal)
		if !ok {
			return nil, nil, fmt.Errorf("order %d of %d is missing", ordinal, sum.Orders)
		}
		shoppers = append(shoppers, named{o.Shopper, o.Granted, ordinal})
		if o.PaymentID != "" {
			payments = append(payments, named{o.PaymentID, 0, ordinal})
		}
		if i == 0 || o.Granted < sum.Oldest {
			sum.Oldest = o.Granted
		}
		if i == 0 || o.Granted > sum.Newest {
			sum.Newest = o.Granted
		}
		key = ordinalKey(ordinal)
		row = orderRow(key, &o)
		digest.Write(key)
		digest.Write(binary.AppendUvarint(nil, uint64(len(row))))
		digest.Write(row)
		return key, row, nil
	}); err != nil {
		return filters, err
	}
	digest.Sum(sum.Digest[:0])
	for i, by := range []struct {
		bucket []byte
		names  []named
		key    func(*named) []byte
	}{
		{bucketShoppers, shoppers, func(n *named) []byte { return shopperKey(n.name, n.granted, n.ordinal) }},
		{bucketPayments, payments, func(n *named) []byte { return paymentKey(n.name, n.ordinal) }},
	} {
		slices.SortFunc(by.names, func(a, b named) int { // as the keys do
			if c := cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(b.granted, a.granted)); c != 0 {
				return c
			}
			if i == 0 {
				return cmp.Compare(b.ordinal, a.ordinal)
			}
			return cmp.Compare(a.ordinal, b.ordinal)
		})
		hashes := make([]uint64, 0, len(by.names))
		if err := fill(ctx, db, by.bucket, len(by.names), func(j int) (key, row []byte, err error) {
			n := &by.names[j]
			if j == 0 || n.name != by.names[j-1].name {
				hashes = append(hashes, hashOf(n.name))
			}
			return by.key(n), nil, nil
		}); err != nil {
			return filters, err
		}
		if filters[i], err = filterOf(hashes); err != nil {
			return filters, err
		}
	}
	return filters, nil
}

// fill puts n rows, which come in key order, into a bucket of its own.
func fill(ctx context.Context, db *bbolt.DB, bucket []byte, n int, row func(int) (key, value []byte, err error)) error {
	for i, first := 0, true; first || i < n; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
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
	}
	return nil
}

// finish writes what stands behind the database, and has all of it on disk.
func finish(ctx context.Context, path string, sum *Summary, filters [2]filter) (h *head, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	t := trailer{length: [3]uint64{partRows: uint64(info.Size())}}
	if t.sum[partRows], err = sumRows(ctx, f, info.Size(), nil); err != nil {
		return nil, err
	}
	w := writer{[]byte{filterVersion}}
	filters[0].append(&w)
	filters[1].append(&w)
	n := len(w.buf)
	sum.append(&w)
	for part, b := range map[int][]byte{partFilters: w.buf[:n], partSummary: w.buf[n:]} {
		t.length[part], t.sum[part] = uint64(len(b)), xxhash.Sum64(b)
	}
	w.buf = append(w.buf, t.bytes()...)
	if _, err := f.WriteAt(w.buf, info.Size()); err != nil {
		return nil, err
	}
	return &head{oldest: sum.Oldest, newest: sum.Newest, size: info.Size() + int64(len(w.buf)), shoppers: filters[0],
		payments: filters[1]}, f.Sync()
}
