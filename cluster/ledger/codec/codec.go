// Package codec reads and writes the values that the ledger's files are made of:
// numbers as varints, strings as a length and their bytes. What is read was damaged,
// as far as anybody knows: a Reader never panics, and says so.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"doorbuster/engine"
)

// ErrDamaged: bytes are not what was written, or not what belongs there.
var ErrDamaged = errors.New("damaged")

// ErrUnreadable: it can't be said now. The node has not found out yet whose ledger it
// has, is ending, or lacks files that the answer needs. The doors say "not now".
var ErrUnreadable = fmt.Errorf("%w: the ledger can't be read just now", engine.ErrNotLeader)

// Damaged gives an ErrDamaged that says what is wrong.
func Damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Writer appends values to Buf.
type Writer struct{ Buf []byte }

// Uint appends numbers.
func (w *Writer) Uint(values ...uint64) {
	for _, v := range values {
		w.Buf = binary.AppendUvarint(w.Buf, v)
	}
}

// Int appends numbers that may be negative.
func (w *Writer) Int(values ...int64) {
	for _, v := range values {
		w.Buf = binary.AppendVarint(w.Buf, v)
	}
}

// String appends strings.
func (w *Writer) String(values ...string) {
	for _, s := range values {
		w.Buf = append(binary.AppendUvarint(w.Buf, uint64(len(s))), s...)
	}
}

// Reader takes values from Buf. After the first error every value is zero.
type Reader struct {
	Buf []byte
	Err error
}

// Fail makes the reader fail, unless it has.
func (r *Reader) Fail() {
	if r.Err == nil {
		r.Err = Damaged("a record is cut short, or says what can't be")
	}
	r.Buf = nil
}

// Bytes takes n bytes, which alias Buf, or gives nil.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.Buf)) {
		r.Fail()
		return nil
	}
	b := r.Buf[:n:n]
	r.Buf = r.Buf[n:]
	return b
}

// Byte takes one.
func (r *Reader) Byte() byte {
	if b := r.Bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint takes a number.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.Buf)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.Buf = r.Buf[n:]
	return v
}

// Uint32 takes a number of 32 bits.
func (r *Reader) Uint32() uint32 {
	v := r.Uint()
	if v > math.MaxUint32 {
		r.Fail()
		return 0
	}
	return uint32(v)
}

// Int takes a number that may be negative.
func (r *Reader) Int() int64 {
	u := r.Uint()
	return int64(u>>1) ^ -int64(u&1)
}

// String takes a string.
func (r *Reader) String() string { return string(r.Bytes(r.Uint())) }

// Version takes a version, a byte, which must be one that this build knows. Error:
// engine.ErrNewerFormat.
func (r *Reader) Version(newest byte) {
	if v := r.Byte(); r.Err == nil && v > newest {
		r.Err = fmt.Errorf("version %d, this build reads %d: %w", v, newest, engine.ErrNewerFormat)
		r.Buf = nil
	}
}

// Done gives the error, which there is also if something is left.
func (r *Reader) Done() error {
	if r.Err == nil && len(r.Buf) != 0 {
		r.Fail()
	}
	return r.Err
}
