package cashier

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Payment is money that was taken.
type Payment struct {
	ID          string    `json:"payment_id"`
	OrderNo     string    `json:"order_no"`
	Amount      int64     `json:"amount"` // minor units
	Currency    string    `json:"currency"`
	At          time.Time `json:"at"`
	Transaction string    `json:"transaction_id,omitempty"`
	Token       string    `json:"token,omitempty"`
	Late        bool      `json:"late,omitempty"` // taken after its time
	Refund      string    `json:"refund,omitempty"`
	// Told is what the shop answered to the callback at ToldAt: paid, refund_due,
	// unchanged, or refused_STATUS. "" while it has answered nothing.
	Told   string    `json:"told,omitempty"`
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Refund is money that was paid back.
type Refund struct {
	Reference string    `json:"reference"`
	No        uint32    `json:"refund_no"` // the shop's
	PaymentID string    `json:"payment_id"`
	OrderNo   string    `json:"order_no"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	At        time.Time `json:"at"`
	Asked     int       `json:"asked"` // how often
	// Transaction of the payment; "" if the shop names none.
	Transaction string `json:"transaction_id,omitempty"`
}

// call is a callback that has not been delivered.
type call struct {
	Seq       uint64    `json:"-"`
	PaymentID string    `json:"payment_id"`
	Due       time.Time `json:"due"`
	tries     int
}

func (c *call) key() []byte { return binary.BigEndian.AppendUint64(nil, c.Seq) }

// refusal is a no of the cashier's, with the HTTP status that goes with it.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// Errors of the books.
var (
	ErrPaid     error = &refusal{409, "the order is paid already"}
	ErrClosed   error = &refusal{409, "the order is closed: no money is taken for it any more"}
	ErrUnknown  error = &refusal{404, "there is no such payment"}
	ErrDiffers  error = &refusal{422, "order, amount or currency are not the payment's own"}
	ErrRefunded error = &refusal{409, "the payment was paid back under another number"}
)

var (
	bucketPayments = []byte("payments") // by time and id, as statements list them
	bucketByID     = []byte("by_id")    // payment id to its key in payments
	bucketByOrder  = []byte("by_order") // order number to the payment's id
	bucketRefunds  = []byte("refunds")  // by time and reference
	bucketClosed   = []byte("closed")   // order number to the time
	bucketCalls    = []byte("calls")    // by sequence: callbacks to deliver
	buckets        = [][]byte{bucketPayments, bucketByID, bucketByOrder, bucketRefunds, bucketClosed, bucketCalls}
)

// Books are on disk before anybody is told of what is in them. Safe for concurrent
// use.
type Books struct{ db *bolt.DB }

// OpenBooks opens the books in a file, which is made if it is missing. One process
// may have them open; another waits for a moment, and gives up.
func OpenBooks(path string) (*Books, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open the cashier's books in %s: %w", path, err)
	}
	db.MaxBatchDelay = 2 * time.Millisecond
	if err := db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open the cashier's books in %s: %w", path, err)
	}
	return &Books{db}, nil
}

// Close closes the books.
func (b *Books) Close() error { return b.db.Close() }

// keyAt sorts by time, and is text.
func keyAt(at time.Time, id string) []byte {
	return fmt.Appendf(nil, "%016x %s", at.UnixMilli(), id)
}

func put(b *bolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

// update writes in a transaction that others may share. what is run again where one
// of those fails, so it sets what it gives back anew each time.
func (b *Books) update(what func(*bolt.Tx) error) error {
	var refused error
	err := b.db.Batch(func(tx *bolt.Tx) error {
		refused = nil
		err := what(tx)
		if no := new(refusal); errors.As(err, &no) {
			refused = err // a no has written nothing, and is no reason to roll others back
			return nil
		}
		return err
	})
	return cmp.Or(err, refused)
}

// paymentBy finds a payment by its id, or in bucketByOrder by its order.
func paymentBy(tx *bolt.Tx, index []byte, name string) (p Payment, found bool, err error) {
	key := tx.Bucket(index).Get([]byte(name))
	switch {
	case key == nil:
		return p, false, nil
	case &index[0] == &bucketByOrder[0]:
		return paymentBy(tx, bucketByID, string(key))
	}
	return p, true, json.Unmarshal(tx.Bucket(bucketPayments).Get(key), &p)
}

// Take books a payment and the callbacks that are to tell of it. until is when its
// token's time is over: an order that was closed may be paid again only if it was
// given time since. Errors: ErrPaid with the payment that there is, ErrClosed.
func (b *Books) Take(p Payment, until time.Time, calls []call) (booked Payment, queued []call, err error) {
	err = b.update(func(tx *bolt.Tx) error {
		booked, queued = p, nil
		known, found, err := paymentBy(tx, bucketByOrder, p.OrderNo)
		if err != nil {
			return err
		}
		if found {
			booked = known
			return ErrPaid
		}
		if closed := tx.Bucket(bucketClosed).Get([]byte(p.OrderNo)); closed != nil &&
			!until.After(time.UnixMilli(int64(binary.BigEndian.Uint64(closed)))) {
			return ErrClosed
		}
		key := keyAt(p.At, p.ID)
		if err := errors.Join(put(tx.Bucket(bucketPayments), key, &p), tx.Bucket(bucketByID).Put([]byte(p.ID), key),
			tx.Bucket(bucketByOrder).Put([]byte(p.OrderNo), []byte(p.ID))); err != nil {
			return err
		}
		for _, c := range calls {
			if c.Seq, err = tx.Bucket(bucketCalls).NextSequence(); err != nil {
				return err
			}
			if err := put(tx.Bucket(bucketCalls), c.key(), &c); err != nil {
				return err
			}
			queued = append(queued, c)
		}
		return nil
	})
	return booked, queued, err
}

// Payment finds a payment.
func (b *Books) Payment(id string) (p Payment, found bool, err error) {
	err = b.db.View(func(tx *bolt.Tx) error {
		p, found, err = paymentBy(tx, bucketByID, id)
		return err
	})
	return p, found, err
}

// PayBack books a refund, once for each payment. Errors: ErrUnknown, ErrDiffers,
// ErrRefunded.
func (b *Books) PayBack(r Refund) (booked Refund, err error) {
	err = b.update(func(tx *bolt.Tx) error {
		booked = r
		p, found, err := paymentBy(tx, bucketByID, r.PaymentID)
		switch {
		case err != nil:
			return err
		case !found:
			return ErrUnknown
		case p.OrderNo != r.OrderNo || p.Amount != r.Amount || p.Currency != r.Currency,
			p.Transaction != r.Transaction && p.Transaction != "" && r.Transaction != "":
			return ErrDiffers
		}
		refunds := tx.Bucket(bucketRefunds)
		if p.Refund != "" {
			var known Refund
			if err := json.Unmarshal(refunds.Get([]byte(p.Refund)), &known); err != nil {
				return err
			}
			if known.No != r.No {
				return ErrRefunded
			}
			known.Asked++
			booked = known
			return put(refunds, []byte(p.Refund), &known)
		}
		key := keyAt(r.At, r.Reference)
		p.Refund, booked.Asked = string(key), 1
		return errors.Join(put(refunds, key, &booked),
			put(tx.Bucket(bucketPayments), tx.Bucket(bucketByID).Get([]byte(p.ID)), &p))
	})
	return booked, err
}

// CloseOrder takes no money for an order any more whose time is over at, or gives
// the payment that there is.
func (b *Books) CloseOrder(orderNo string, at time.Time) (paid *Payment, err error) {
	err = b.update(func(tx *bolt.Tx) error {
		paid = nil
		p, found, err := paymentBy(tx, bucketByOrder, orderNo)
		if err != nil {
			return err
		}
		if found {
			paid = &p
			return nil
		}
		return tx.Bucket(bucketClosed).Put([]byte(orderNo), binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli())))
	})
	return paid, err
}

// calls gives all callbacks that have not been delivered.
func (b *Books) calls() (all []call, err error) {
	err = b.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCalls).ForEach(func(k, v []byte) error {
			c := call{Seq: binary.BigEndian.Uint64(k)}
			all = append(all, c)
			return json.Unmarshal(v, &all[len(all)-1])
		})
	})
	return all, err
}

// unchanged is the shop's answer to what it has heard before.
const unchanged = "unchanged"

// delivered forgets a callback, and notes what the shop answered. Of several answers
// for a payment the first stays that decided anything.
func (b *Books) delivered(c call, told string, at time.Time) error {
	return b.update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketCalls).Delete(c.key()); err != nil {
			return err
		}
		p, found, err := paymentBy(tx, bucketByID, c.PaymentID)
		if err != nil || !found || p.Told != "" && (p.Told != unchanged || told == unchanged) {
			return err
		}
		p.Told, p.ToldAt = told, at
		return put(tx.Bucket(bucketPayments), tx.Bucket(bucketByID).Get([]byte(p.ID)), &p)
	})
}

// Payments gives each with every payment, without its token, in the order of their
// times.
func (b *Books) Payments(each func(*Payment) error) error {
	return rows(b, bucketPayments, time.UnixMilli(0), time.Now().Add(time.Hour), func(p *Payment) error {
		p.Token = ""
		return each(p)
	})
}

// statementRows is how many rows are read in one transaction.
const statementRows = 4096

// Row is a line of a statement.
type Row struct {
	PaymentID   string    `json:"payment_id"`
	OrderNo     string    `json:"order_no"`
	Amount      int64     `json:"amount"`
	Currency    string    `json:"currency"`
	Kind        string    `json:"kind"` // payment or refund
	At          time.Time `json:"at"`
	Transaction string    `json:"transaction_id,omitempty"`
}

// Statement gives each with every payment, and then every refund, at [from, to),
// in the order of their times.
func (b *Books) Statement(from, to time.Time, each func(*Row) error) error {
	if err := rows(b, bucketPayments, from, to, func(p *Payment) error {
		return each(&Row{p.ID, p.OrderNo, p.Amount, p.Currency, "payment", p.At, p.Transaction})
	}); err != nil {
		return err
	}
	return rows(b, bucketRefunds, from, to, func(r *Refund) error {
		return each(&Row{r.PaymentID, r.OrderNo, r.Amount, r.Currency, "refund", r.At, ""})
	})
}

// rows reads a bucket in pieces: a transaction that stays open keeps the file from
// using its pages again, and its reader may be slow.
func rows[T any](b *Books, bucket []byte, from, to time.Time, each func(*T) error) error {
	next, end := keyAt(from, ""), keyAt(to, "")
	for {
		var page []*T
		if err := b.db.View(func(tx *bolt.Tx) error {
			c := tx.Bucket(bucket).Cursor()
			k, v := c.Seek(next)
			for ; k != nil && string(k) < string(end) && len(page) < statementRows; k, v = c.Next() {
				row := new(T)
				if err := json.Unmarshal(v, row); err != nil {
					return err
				}
				page = append(page, row)
				next = append(append(next[:0], k...), 0)
			}
			return nil
		}); err != nil {
			return err
		}
		for _, row := range page {
			if err := each(row); err != nil {
				return err
			}
		}
		if len(page) < statementRows {
			return nil
		}
	}
}

// Totals are what the books add up to.
type Totals struct {
	Payments int64            `json:"payments"`
	Taken    map[string]int64 `json:"taken"` // minor units by currency
	Late     int64            `json:"late"`
	Refunds  int64            `json:"refunds"`
	PaidBack map[string]int64 `json:"paid_back"`
	Asked    int64            `json:"refunds_asked"` // how often
	Closed   int64            `json:"closed"`
	Calls    int64            `json:"callbacks_waiting"`
}

// Add gives the totals.
func (b *Books) Add() (t Totals, err error) {
	t.Taken, t.PaidBack = map[string]int64{}, map[string]int64{}
	begin, end := time.UnixMilli(0), time.Now().Add(time.Hour)
	return t, errors.Join(
		b.db.View(func(tx *bolt.Tx) error {
			t.Closed, t.Calls = int64(tx.Bucket(bucketClosed).Stats().KeyN), int64(tx.Bucket(bucketCalls).Stats().KeyN)
			return nil
		}),
		rows(b, bucketPayments, begin, end, func(p *Payment) error {
			t.Payments++
			t.Taken[p.Currency] += p.Amount
			if p.Late {
				t.Late++
			}
			return nil
		}),
		rows(b, bucketRefunds, begin, end, func(r *Refund) error {
			t.Refunds++
			t.PaidBack[r.Currency] += r.Amount
			t.Asked += int64(r.Asked)
			return nil
		}))
}
