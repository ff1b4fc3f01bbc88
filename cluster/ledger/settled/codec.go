package settled

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"doorbuster/engine"
)

// orderVersion is that of an order's row:
//
//	byte    version
//	        fields: varints (signed ones zigzag), strings a length and their bytes
//	uint32  CRC-32C of the key and all before it, little endian
const orderVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcBytes = 4

func crcOf(key, body []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, body)
}

const (
	orderReceiver = 1 << iota
	orderDrawn
	orderLate
)

func ordinalKey(ordinal uint32) []byte { return binary.BigEndian.AppendUint32(nil, ordinal) }

func orderRow(key []byte, o *engine.OrderRecord) []byte {
	flags := byte(0)
	if o.Receiver != nil {
		flags |= orderReceiver
	}
	if o.Drawn {
		flags |= orderDrawn
	}
	if o.Late {
		flags |= orderLate
	}
	w := writer{append(make([]byte, 0, 160), orderVersion, flags, byte(o.State), byte(o.Why))}
	w.uint(uint64(o.Life))
	w.uint(uint64(o.Listing))
	w.string(o.Shopper)
	w.buf = append(w.buf, o.Key[:]...)
	w.uint(uint64(o.Quantity))
	w.int(o.Amount)
	w.int(int64(o.Granted))
	w.int(int64(o.PayBy - o.Granted))
	w.int(int64(o.Changed - o.Granted))
	w.buf = append(w.buf, o.Transaction[:]...)
	w.string(o.PaymentID)
	w.int(int64(o.PaidAt))
	if o.Receiver != nil {
		w.string(o.Receiver.Name)
		w.string(o.Receiver.Phone)
		w.string(o.Receiver.Address)
	}
	return binary.LittleEndian.AppendUint32(w.buf, crcOf(key, w.buf))
}

func orderOf(h engine.SessionHandle, key, row []byte) (o engine.OrderRecord, err error) {
	n := len(row) - crcBytes
	if len(key) != 4 || n < 0 || binary.LittleEndian.Uint32(row[n:]) != crcOf(key, row[:n]) {
		return o, fmt.Errorf("%w: order %x does not fit its checksum", errDamaged, key)
	}
	r := reader{buf: row[:n]}
	r.version(orderVersion)
	o.Ref = engine.OrderRef{Session: h, Ordinal: binary.BigEndian.Uint32(key)}
	flags := r.byte()
	o.Drawn, o.Late = flags&orderDrawn != 0, flags&orderLate != 0
	o.State, o.Why = engine.OrderState(r.byte()), engine.Reason(r.byte())
	o.Life, o.Listing, o.Shopper = engine.Life(r.uint()), engine.ListingHandle(r.uint32()), r.string()
	copy(o.Key[:], r.bytes(uint64(len(o.Key))))
	o.Quantity, o.Amount, o.Granted = r.uint32(), r.int(), engine.Time(r.int())
	o.PayBy, o.Changed = o.Granted+engine.Time(r.int()), o.Granted+engine.Time(r.int())
	copy(o.Transaction[:], r.bytes(uint64(len(o.Transaction))))
	o.PaymentID, o.PaidAt = r.string(), engine.Time(r.int())
	if flags&orderReceiver != 0 {
		o.Receiver = &engine.Receiver{Name: r.string(), Phone: r.string(), Address: r.string()}
	}
	return o, r.done()
}

// shopperKey sorts a shopper's orders, the newest first. Ids have no byte below '!'.
func shopperKey(shopper string, granted engine.Time, ordinal uint32) []byte {
	b := append(make([]byte, 0, len(shopper)+14), shopper...)
	b = binary.BigEndian.AppendUint64(append(b, 0), ^uint64(granted))
	return binary.BigEndian.AppendUint32(b, ^ordinal)
}

func paymentKey(id string, ordinal uint32) []byte {
	b := append(append(make([]byte, 0, len(id)+5), id...), 0)
	return binary.BigEndian.AppendUint32(b, ordinal)
}

// writer appends to buf.
type writer struct{ buf []byte }

func (w *writer) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)   { w.buf = binary.AppendVarint(w.buf, v) }

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// reader takes values from buf; after the first error every value is zero.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = fmt.Errorf("%w: a row is cut short, or says what can't be", errDamaged)
	}
	r.buf = nil
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.fail()
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
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

func (r *reader) string() string { return string(r.bytes(r.uint())) }

// version reads a version, which must be one that this build knows.
func (r *reader) version(newest byte) {
	if v := r.byte(); r.err == nil && v > newest {
		r.err = fmt.Errorf("version %d, this build reads %d: %w", v, newest, engine.ErrNewerFormat)
		r.buf = nil
	}
}

func (r *reader) done() error {
	if r.err == nil && len(r.buf) != 0 {
		r.fail()
	}
	return r.err
}
