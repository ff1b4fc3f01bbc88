package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"doorbuster/engine"
)

// A row's value:
//
//	byte    version of the bucket's rows
//	        fields: varints (signed ones zigzag), strings a length and their bytes
//	uint32  CRC-32C of the bucket's letter, the key and all before it, little endian
//
// So a row that is damaged, or that stands under another key or in another
// bucket, is noticed by whoever reads it.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const crcBytes = 4

// errDamaged: the file does not hold what was written to it.
var errDamaged = errors.New("the ledger is damaged")

func sumOf(bucket byte, key, body []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte{bucket})
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, body)
}

// seal gives the value of a row with body.
func seal(bucket byte, key, body []byte) []byte {
	return binary.LittleEndian.AppendUint32(body, sumOf(bucket, key, body))
}

// unseal checks a value and gives its body, in place.
func unseal(bucket byte, key, value []byte) ([]byte, error) {
	n := len(value) - crcBytes
	if n < 0 || binary.LittleEndian.Uint32(value[n:]) != sumOf(bucket, key, value[:n]) {
		return nil, fmt.Errorf("%w: row %x of bucket %c does not fit its checksum", errDamaged, key, bucket)
	}
	return value[:n:n], nil
}

// writer appends to buf.
type writer struct{ buf []byte }

func (w *writer) byte(b byte)   { w.buf = append(w.buf, b) }
func (w *writer) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)   { w.buf = binary.AppendVarint(w.buf, v) }

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// reader takes values from buf; after the first error every value is zero. Rows
// have been checked by their sums: an error here is a build's mistake, or a newer
// version's row.
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

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail()
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
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
	n := r.uint()
	if n > uint64(len(r.buf)) {
		r.fail()
		return ""
	}
	return string(r.bytes(int(n)))
}

// version reads a row's version, which must be one that this build knows.
func (r *reader) version(newest byte) {
	if v := r.byte(); r.err == nil && v > newest {
		r.err = fmt.Errorf("a row of version %d, this build reads %d: %w", v, newest, engine.ErrNewerFormat)
		r.buf = nil
	}
}

func (r *reader) done() error {
	if r.err == nil && len(r.buf) != 0 {
		r.fail()
	}
	return r.err
}

// Keys sort as what they stand for does: numbers are big endian.

func refKey(ref engine.OrderRef) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 8), uint32(ref.Session))
	return binary.BigEndian.AppendUint32(b, ref.Ordinal)
}

func refOf(key []byte) engine.OrderRef {
	return engine.OrderRef{Session: engine.SessionHandle(binary.BigEndian.Uint32(key)), Ordinal: binary.BigEndian.Uint32(key[4:])}
}

func positionKey(p engine.TrailPosition) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12), uint64(p.Index))
	return binary.BigEndian.AppendUint32(b, p.N)
}

func positionOf(key []byte) engine.TrailPosition {
	return engine.TrailPosition{Index: engine.LogIndex(binary.BigEndian.Uint64(key)), N: binary.BigEndian.Uint32(key[8:])}
}

func handleKey[T engine.SessionHandle | engine.ListingHandle](kind byte, h T) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, uint32(h))
}

// shopperKey sorts a shopper's orders, the newest first. Ids have no byte below '!'.
func shopperKey(shopper string, granted engine.Time, ref engine.OrderRef) []byte {
	b := append(make([]byte, 0, len(shopper)+17), shopper...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint64(b, ^uint64(granted))
	return binary.BigEndian.AppendUint64(b, ^(uint64(ref.Session)<<32 | uint64(ref.Ordinal)))
}

// shopperKeyOf gives the end of a shopperKey's meaning.
func shopperKeyOf(key []byte) (granted engine.Time, ref engine.OrderRef) {
	tail := key[len(key)-16:]
	at := ^binary.BigEndian.Uint64(tail[8:])
	return engine.Time(^binary.BigEndian.Uint64(tail)), engine.OrderRef{Session: engine.SessionHandle(at >> 32), Ordinal: uint32(at)}
}
