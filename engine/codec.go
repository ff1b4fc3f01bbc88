package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"
)

// Integers are varints (signed ones zigzag), strings a length and their bytes, keys 8
// bytes; a type is its fields in the order in which they are declared, so that another
// order is another format: the samples in testdata notice. What is hot, grabs and the
// rows of a snapshot of which there are millions, is written by hand: an entry is
// decoded on every node for every batch, in place and without allocation.

// coder appends values to buf, or takes them from it: what a type consists of, and in
// which order, is said once, so that what is written is what is read. After the first
// error every value that is read is zero.
type coder struct {
	buf   []byte
	reads bool
	state bool // what is read is a state: its times are checked
	pos   int  // of what is read
	err   error
}

// row is a type that says what it consists of, where that is not its fields as they
// are declared. Written, it is not changed.
type row interface{ fields(*coder) }

// written gives what x, a pointer, is written as.
func written(x any) []byte {
	var c coder
	c.all(x)
	return c.buf
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s at byte %d of %d", ErrMalformed, what, c.pos, len(c.buf))
	}
	c.pos = len(c.buf) // nothing is left to be read
}

// check fails a value that was read and can't be.
func (c *coder) check(ok bool, what string) {
	if c.reads && !ok {
		c.fail(what)
	}
}

func (c *coder) left() int { return len(c.buf) - c.pos }

func (c *coder) done() error {
	c.check(c.left() == 0, "bytes are left over")
	return c.err
}

// take gives the next n bytes in place: they are the caller's only as long as buf is.
func (c *coder) take(n uint64) []byte {
	if n > uint64(c.left()) {
		c.fail("bytes are missing")
		return nil
	}
	b := c.buf[c.pos : c.pos+int(n) : c.pos+int(n)]
	c.pos += int(n)
	return b
}

func (c *coder) readUint() uint64 {
	v, n := binary.Uvarint(c.buf[c.pos:])
	if n <= 0 {
		c.fail("a number is cut off or too long")
		return 0
	}
	c.pos += n
	return v
}

// unsigned is a number without a sign.
func unsigned[T ~uint32 | ~uint64 | ~int](c *coder, v *T) {
	switch {
	case !c.reads:
		c.buf = binary.AppendUvarint(c.buf, uint64(*v))
		return
	case c.pos < len(c.buf) && c.buf[c.pos] < 0x80: // most are small
		*v = T(c.buf[c.pos])
		c.pos++
		return
	}
	n := c.readUint()
	if *v = T(n); *v < 0 || uint64(*v) != n {
		*v = 0
		c.fail("a number is too large")
	}
}

// signed is a number with a sign.
func signed[T ~int32 | ~int64](c *coder, v *T) {
	if !c.reads {
		c.buf = binary.AppendVarint(c.buf, int64(*v))
		return
	}
	n := c.readUint()
	zigzag := int64(n>>1) ^ -int64(n&1)
	if *v = T(zigzag); int64(*v) != zigzag {
		*v = 0
		c.fail("a number is too large")
	}
}

// octet is a byte.
func octet[T ~uint8](c *coder, v *T) {
	switch {
	case !c.reads:
		c.buf = append(c.buf, byte(*v))
	case c.pos < len(c.buf):
		*v = T(c.buf[c.pos])
		c.pos++
	default:
		*v = 0
		c.fail("a byte is missing")
	}
}

// oneOf is a byte below end; what says what else is.
func oneOf[T ~uint8](c *coder, v *T, end T, what string) {
	octet(c, v)
	c.check(*v < end, what)
}

func (c *coder) bool(v *bool) {
	if !c.reads {
		c.buf = append(c.buf, byte(btoi(*v)))
		return
	}
	var b byte
	oneOf(c, &b, 2, "a truth value is neither 0 nor 1")
	*v = b == 1
}

// fixed is bytes whose number is known.
func (c *coder) fixed(b []byte) {
	if !c.reads {
		c.buf = append(c.buf, b...)
	} else if n := copy(b, c.take(uint64(len(b)))); n == 0 {
		clear(b)
	}
}

// span is a text of at most most bytes; read, it lies in buf.
func (c *coder) span(b *[]byte, most int) {
	n := c.length(len(*b), most)
	if !c.reads {
		c.buf = append(c.buf, *b...)
	} else {
		*b = c.take(uint64(n))
	}
}

// maxString is as long as any text in an entry or a snapshot may be that says no other
// bound: what the doors let in is shorter.
const maxString = 4096

func (c *coder) string(s *string) { c.text(s, maxString) }

// text is a string of at most most bytes.
func (c *coder) text(s *string, most int) {
	n := c.length(len(*s), most)
	if !c.reads {
		c.buf = append(c.buf, *s...)
	} else {
		*s = string(c.take(uint64(n)))
	}
}

// length is how many bytes or items follow, each item of one byte at least: a bad
// length can't make anybody allocate for more than there is.
func (c *coder) length(n, most int) int {
	unsigned(c, &n)
	if c.reads && (n > most || n > c.left()) {
		c.fail("more follows than may, or than there is")
		return 0
	}
	return n
}

// time of a state is one that it can hold.
func (c *coder) time(t *Time) {
	signed(c, t)
	c.check(sane(*t) || !c.state, "a time beyond all use")
}

// sane reports whether t is a time that a state can hold: sums of a plan's times
// and durations may be over maxTime, but not twice that.
func sane(t Time) bool { return t >= 0 && t <= 2*maxTime }

// since is a time that a state can hold, told from another one on.
func (c *coder) since(t *Time, from Time) {
	after := *t - from
	if signed(c, &after); c.reads {
		*t = from + after
	}
	c.check(sane(*t), "a time beyond all use")
}

func (c *coder) ref(r *OrderRef) {
	unsigned(c, &r.Session)
	unsigned(c, &r.Ordinal)
}

// anyNumber of items may be in a list that its entry or its block bounds.
const anyNumber = math.MaxInt

// all is the values that pointers lead to, of any type: for what is not hot.
func (c *coder) all(pointers ...any) {
	for _, p := range pointers {
		c.value(reflect.ValueOf(p).Elem())
	}
}

func (c *coder) value(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case row:
		x.fields(c)
		return
	case *bool:
		c.bool(x)
		return
	case *string:
		c.string(x)
		return
	case *[]byte:
		c.span(x, maxString)
		return
	case *Time:
		c.time(x)
		return
	case *time.Duration: // in whole milliseconds
		ms := int64(*x / time.Millisecond)
		if signed(c, &ms); c.reads {
			c.check(ms >= 0 && ms <= int64(math.MaxInt64/time.Millisecond), "a duration is out of bounds")
			*x = time.Duration(ms) * time.Millisecond
		}
		return
	}
	switch v.Kind() {
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		n := v.Uint()
		if unsigned(c, &n); c.reads {
			c.check(!v.OverflowUint(n), "a number is too large")
			v.SetUint(n)
		}
	case reflect.Int32, reflect.Int64:
		n := v.Int()
		if signed(c, &n); c.reads {
			c.check(!v.OverflowInt(n), "a number is too large")
			v.SetInt(n)
		}
	case reflect.Float64:
		n := math.Float64bits(v.Float())
		if unsigned(c, &n); c.reads {
			v.SetFloat(math.Float64frombits(n))
		}
	case reflect.Array:
		c.fixed(v.Bytes())
	case reflect.Slice:
		n := c.length(v.Len(), anyNumber)
		for i := 0; i < n && c.err == nil; i++ {
			if c.reads { // no more at once than there is
				v.Grow(1)
				v.SetLen(i + 1)
			}
			c.value(v.Index(i))
		}
	case reflect.Pointer:
		there := !v.IsNil()
		if c.bool(&there); there {
			if c.reads {
				v.Set(reflect.New(v.Type().Elem()))
			}
			c.value(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			c.value(v.Field(i))
		}
	default:
		panic("engine: no encoding of " + v.Type().String())
	}
}
