package trail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"doorbuster/engine"
	"doorbuster/wal"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged: a file does not hold what was written to it.
var errDamaged = errors.New("damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// Event is a committed event, with handles where readers see names. It is a copy,
// the reader's to keep.
type Event struct {
	engine.TrailPosition
	Time     engine.Time
	Kind     engine.EventKind
	Reason   engine.Reason
	State    engine.OrderState
	Session  engine.SessionHandle
	Listing  engine.ListingHandle
	Order    engine.OrderRef
	Life     engine.Life // of the order
	Quantity uint32
	Limit    uint32
	Amount   int64
	PayBy    engine.Time
	// Transaction and Shopper are what the remark or the event has: of an order, it may
	// be left to the order to tell.
	Transaction engine.Transaction
	Shopper     string
	Operator    string // not empty: a deed
	Note        string
	Detail      string
	// Missing: no event. What stood from this index up to the position's is not here.
	Missing engine.LogIndex
}

// Which fields an event has: the others are zero.
const (
	hasSkipped = 1 << iota // events of the entry that stood before it are left out
	hasReason
	hasState
	hasSession
	hasListing
	hasOrder
	hasLife
	hasQuantity
	hasLimit
	hasAmount
	hasPayBy
	hasTransaction
	hasShopper
	hasOperator
	hasNote
	hasDetail
)

// appendEvent appends e, before which skipped events of the entry are left out:
//
//	uint16  which fields follow, little endian
//	byte    kind
//	        fields: varints (signed ones zigzag), strings a length and their bytes
func appendEvent(b []byte, e *Event, skipped uint32) []byte {
	at := len(b)
	b = append(b, 0, 0, byte(e.Kind))
	flags := 0
	if skipped != 0 {
		flags |= hasSkipped
		b = binary.AppendUvarint(b, uint64(skipped))
	}
	if e.Reason != 0 {
		flags |= hasReason
		b = append(b, byte(e.Reason))
	}
	if e.State != 0 {
		flags |= hasState
		b = append(b, byte(e.State))
	}
	if e.Session != 0 {
		flags |= hasSession
		b = binary.AppendUvarint(b, uint64(e.Session))
	}
	if e.Listing != 0 {
		flags |= hasListing
		b = binary.AppendUvarint(b, uint64(e.Listing))
	}
	if !e.Order.IsZero() {
		flags |= hasOrder
		b = binary.AppendUvarint(b, uint64(e.Order.Session))
		b = binary.AppendUvarint(b, uint64(e.Order.Ordinal))
	}
	if e.Life != 0 {
		flags |= hasLife
		b = binary.AppendUvarint(b, uint64(e.Life))
	}
	if e.Quantity != 0 {
		flags |= hasQuantity
		b = binary.AppendUvarint(b, uint64(e.Quantity))
	}
	if e.Limit != 0 {
		flags |= hasLimit
		b = binary.AppendUvarint(b, uint64(e.Limit))
	}
	if e.Amount != 0 {
		flags |= hasAmount
		b = binary.AppendVarint(b, e.Amount)
	}
	if e.PayBy != 0 {
		flags |= hasPayBy
		b = binary.AppendVarint(b, int64(e.PayBy-e.Time))
	}
	if e.Transaction != (engine.Transaction{}) {
		flags |= hasTransaction
		b = append(b, e.Transaction[:]...)
	}
	for i, s := range [...]string{e.Shopper, e.Operator, e.Note, e.Detail} {
		if s != "" {
			flags |= hasShopper << i
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(flags))
	return b
}

// takeEvent takes the next event of an entry into e, which has the entry's index and
// time, and the position behind the event before.
func (r *reader) takeEvent(e *Event) {
	*e = Event{TrailPosition: e.TrailPosition, Time: e.Time}
	head := r.bytes(3)
	if head == nil {
		return
	}
	flags := int(binary.LittleEndian.Uint16(head))
	e.Kind = engine.EventKind(head[2])
	if flags&hasSkipped != 0 {
		e.N += r.uint32()
	}
	if flags&hasReason != 0 {
		e.Reason = engine.Reason(r.byte())
	}
	if flags&hasState != 0 {
		e.State = engine.OrderState(r.byte())
	}
	if flags&hasSession != 0 {
		e.Session = engine.SessionHandle(r.uint32())
	}
	if flags&hasListing != 0 {
		e.Listing = engine.ListingHandle(r.uint32())
	}
	if flags&hasOrder != 0 {
		e.Order.Session = engine.SessionHandle(r.uint32())
		e.Order.Ordinal = r.uint32()
	}
	if flags&hasLife != 0 {
		e.Life = engine.Life(r.uint())
	}
	if flags&hasQuantity != 0 {
		e.Quantity = r.uint32()
	}
	if flags&hasLimit != 0 {
		e.Limit = r.uint32()
	}
	if flags&hasAmount != 0 {
		e.Amount = r.int()
	}
	if flags&hasPayBy != 0 {
		e.PayBy = e.Time + engine.Time(r.int())
	}
	if flags&hasTransaction != 0 {
		copy(e.Transaction[:], r.bytes(len(e.Transaction)))
	}
	for i, s := range [...]*string{&e.Shopper, &e.Operator, &e.Note, &e.Detail} {
		if flags&(hasShopper<<i) != 0 {
			*s = r.string()
		}
	}
}

// entry is what is known of an entry beside its events.
type entry struct {
	index  engine.LogIndex
	time   engine.Time
	epoch  engine.Epoch
	number uint64 // of the batch, in its epoch
}

// meta is an entry's time and number as its record keeps them.
func (n entry) meta(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, int64(n.time)), n.number)
}

// entryOf gives the entry of a record.
func entryOf(rec *wal.Record) (entry, error) {
	r := reader{buf: rec.Meta}
	n := entry{index: engine.LogIndex(rec.Index), time: engine.Time(r.int()), epoch: engine.Epoch(rec.Term), number: r.uint()}
	return n, r.done()
}

// eachEvent gives a record's events to visit, until it returns false. The event is
// reused.
func eachEvent(rec *wal.Record, visit func(*Event) bool) error {
	n, err := entryOf(rec)
	if err != nil {
		return err
	}
	e := Event{TrailPosition: engine.TrailPosition{Index: n.index}, Time: n.time}
	for r := (reader{buf: rec.Data}); len(r.buf) > 0; e.N++ {
		if r.takeEvent(&e); r.err != nil {
			return r.err
		}
		if !visit(&e) {
			return nil
		}
	}
	return nil
}

// onlyDeeds gives a record with nothing but the deeds of rec, appended to b.
func onlyDeeds(rec *wal.Record, b []byte) (_ []byte, err error) {
	next := uint32(0)
	err = eachEvent(rec, func(e *Event) bool {
		if e.Operator != "" {
			b = appendEvent(b, e, e.N-next)
			next = e.N + 1
		}
		return true
	})
	return b, err
}

// reader takes values from buf; after the first error every value is zero.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = damaged("a record is cut short, or says what can't be")
	}
	r.buf = nil
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > math.MaxUint32 {
		r.fail()
		return 0
	}
	return uint32(v)
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.buf) {
		r.fail()
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) string() string {
	return string(r.bytes(int(min(r.uint(), math.MaxInt32))))
}

func (r *reader) done() error {
	if r.err == nil && len(r.buf) != 0 {
		r.fail()
	}
	return r.err
}
