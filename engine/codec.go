package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The binary forms are written by hand: an entry is decoded on every node for
// every batch, in place and without allocation. Integers are varints (signed
// ones zigzag), strings a length and their bytes, keys 16 bytes.

// writer appends to buf.
type writer struct{ buf []byte }

func (w *writer) byte(b byte)    { w.buf = append(w.buf, b) }
func (w *writer) uint(v uint64)  { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int64)    { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) fixed(b []byte) { w.buf = append(w.buf, b...) }
func (w *writer) float(v float64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(v))
}

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) span(b []byte) {
	w.uint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) text(t Text) {
	w.uint(uint64(len(t)))
	for _, words := range t {
		w.string(words.Lang)
		w.string(words.Text)
	}
}

func (w *writer) ref(r OrderRef) {
	w.uint(uint64(r.Session))
	w.uint(uint64(r.Ordinal))
}

// reader takes values from buf; after the first error every value is zero.
type reader struct {
	buf []byte
	pos int
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s at byte %d of %d", ErrMalformed, what, r.pos, len(r.buf))
	}
}

func (r *reader) left() int { return len(r.buf) - r.pos }

func (r *reader) byte() byte {
	if r.err != nil || r.pos >= len(r.buf) {
		r.fail("a byte is missing")
		return 0
	}
	b := r.buf[r.pos]
	r.pos++
	return b
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail("a truth value is neither 0 nor 1")
	}
	return b == 1
}

func (r *reader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.buf[r.pos:])
	if n <= 0 {
		r.fail("a number is cut off or too long")
		return 0
	}
	r.pos += n
	return v
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > math.MaxUint32 {
		r.fail("a number is over 32 bits")
		return 0
	}
	return uint32(v)
}

func (r *reader) int() int64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Varint(r.buf[r.pos:])
	if n <= 0 {
		r.fail("a number is cut off or too long")
		return 0
	}
	r.pos += n
	return v
}

func (r *reader) float() float64 {
	b := r.bytes(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// bytes gives the next n bytes in place: they are the caller's only as long as buf is.
func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > r.left() {
		r.fail("bytes are missing")
		return nil
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

func (r *reader) key() (k Key) {
	copy(k[:], r.bytes(len(k)))
	return k
}

// span gives the bytes of a string of at most most bytes, in place.
func (r *reader) span(most int) []byte {
	n := r.uint()
	if n > uint64(most) {
		r.fail("a text is too long")
		return nil
	}
	return r.bytes(int(n))
}

func (r *reader) string(most int) string { return string(r.span(most)) }

// count reads how many items follow, each of at least one byte, so that a bad
// count can't make anybody allocate for more than there is.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(r.left()) {
		r.fail("a count is beyond the end")
		return 0
	}
	return int(n)
}

func (r *reader) text() Text {
	n := r.count()
	if n == 0 || r.err != nil {
		return nil
	}
	t := make(Text, 0, min(n, 16))
	for range n {
		t = append(t, Words{Lang: r.string(MaxIDBytes), Text: r.string(MaxTextBytes)})
		if r.err != nil {
			return nil
		}
	}
	return t
}

func (r *reader) duration() time.Duration {
	ms := r.int()
	if ms < 0 || ms > int64(math.MaxInt64/time.Millisecond) {
		r.fail("a duration is out of bounds")
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

func (w *writer) duration(d time.Duration) { w.int(int64(d / time.Millisecond)) }

func (r *reader) ref() OrderRef {
	return OrderRef{Session: SessionHandle(r.uint32()), Ordinal: r.uint32()}
}

func (r *reader) done() error {
	if r.err == nil && r.left() != 0 {
		r.fail("bytes are left over")
	}
	return r.err
}
