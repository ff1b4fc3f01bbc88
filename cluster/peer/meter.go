package peer

import "fmt"

// Types of hashicorp/raft's requests, as its network transport numbers them.
const (
	rpcInstallSnapshot = 2
	rpcRequestPreVote  = 4 // the last one
)

// bounds of one message.
type bounds struct {
	message int64 // bytes, but for a snapshot's content
	field   int64 // bytes of one string or byte array
	values  int64 // numbers, strings, lists, maps, together
	depth   int
}

var (
	// A request carries at most 32 entries of under 512 KiB. The codec grows a
	// field by 256 KiB at a time, copying, and makes a hundred bytes of an empty
	// list item: so fields and values are bounded too, not only the whole.
	requestBounds = bounds{message: 32 << 20, field: 4 << 20, values: 1 << 16, depth: 16}
	answerBounds  = bounds{message: 1 << 20, field: 256 << 10, values: 1 << 12, depth: 16}
)

// meter follows the messages of Raft's network transport on their way in, without
// decoding them: a request is a byte for its type and a MessagePack value, an
// answer two values. It refuses what is out of bounds where it is claimed, before
// anybody makes room for it; and it knows where a message ends by its own count,
// so that messages sent ahead are measured too.
type meter struct {
	bounds
	requests bool // else answers

	begun   bool
	request byte
	taken   int64
	seen    int64
	skip    int64 // bytes of the present field that are yet to come
	open    []int64
	length  uint64 // being read
	digits  int    // of length, yet to come
	opening opening
	// snapshot: the rest of the connection is a snapshot's content, which goes to
	// disk as it comes and is bounded by its announced size.
	snapshot bool
}

// opening is what a length is of.
type opening byte

const (
	ofField opening = iota
	ofExtension
	ofList
	ofMap
)

// take follows b. After an error the connection is of no use.
func (m *meter) take(b []byte) error {
	for len(b) > 0 && !m.snapshot {
		if m.skip > 0 {
			n := min(m.skip, int64(len(b)))
			b, m.skip, m.taken = b[n:], m.skip-n, m.taken+n
			m.end()
			continue
		}
		next := b[0]
		b = b[1:]
		if err := m.step(next); err != nil {
			return err
		}
		if m.taken > m.message {
			return fmt.Errorf("a message is over %d bytes", m.message)
		}
		m.end()
	}
	return nil
}

// step follows one byte outside of a field's content.
func (m *meter) step(b byte) error {
	m.taken++
	switch {
	case !m.begun:
		m.begun, m.open = true, append(m.open[:0], 1)
		if m.requests {
			if m.request = b; b > rpcRequestPreVote {
				return fmt.Errorf("there is no request of type %d", b)
			}
			return nil
		}
	case m.digits > 0:
		m.length = m.length<<8 | uint64(b)
		if m.digits--; m.digits > 0 {
			return nil
		}
		return m.opened(m.opening, int64(m.length))
	}
	if m.seen++; m.seen > m.values {
		return fmt.Errorf("a message has over %d values", m.values)
	}
	m.open[len(m.open)-1]--
	return m.value(b)
}

// value follows the first byte of a value, by MessagePack's table.
func (m *meter) value(b byte) error {
	switch {
	case b <= 0x7f || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3: // small numbers, nil, booleans
		return nil
	case b <= 0x8f:
		return m.opened(ofMap, int64(b&0x0f))
	case b <= 0x9f:
		return m.opened(ofList, int64(b&0x0f))
	case b <= 0xbf:
		return m.opened(ofField, int64(b&0x1f))
	case b >= 0xc4 && b <= 0xc6: // bytes
		m.expect(ofField, 1<<(b-0xc4))
	case b >= 0xc7 && b <= 0xc9:
		m.expect(ofExtension, 1<<(b-0xc7))
	case b == 0xca: // floats
		m.skip = 4
	case b == 0xcb:
		m.skip = 8
	case b >= 0xcc && b <= 0xcf: // unsigned
		m.skip = 1 << (b - 0xcc)
	case b >= 0xd0 && b <= 0xd3: // signed
		m.skip = 1 << (b - 0xd0)
	case b >= 0xd4 && b <= 0xd8: // extensions of 1 to 16 bytes, after a byte for the type
		m.skip = 1 + 1<<(b-0xd4)
	case b >= 0xd9 && b <= 0xdb: // strings
		m.expect(ofField, 1<<(b-0xd9))
	case b == 0xdc || b == 0xdd:
		m.expect(ofList, 2<<(b-0xdc))
	case b == 0xde || b == 0xdf:
		m.expect(ofMap, 2<<(b-0xde))
	default:
		return fmt.Errorf("0x%02x begins no MessagePack value", b)
	}
	return nil
}

func (m *meter) expect(what opening, digits int) {
	m.opening, m.digits, m.length = what, digits, 0
}

// opened follows a length.
func (m *meter) opened(what opening, n int64) error {
	switch what {
	case ofField, ofExtension:
		if n > m.field || m.taken+n > m.message {
			return fmt.Errorf("a field claims %d bytes; one has at most %d, and a message %d", n, m.field, m.message)
		}
		if m.skip = n; what == ofExtension {
			m.skip++
		}
		return nil
	case ofMap:
		n *= 2
	}
	if n > m.values-m.seen {
		return fmt.Errorf("a list or map claims %d values; a message has at most %d", n, m.values)
	}
	if n > 0 {
		if m.open = append(m.open, n); len(m.open) > m.depth {
			return fmt.Errorf("values are nested deeper than %d", m.depth)
		}
	}
	return nil
}

// end makes ready for the next message when this one is complete.
func (m *meter) end() {
	if !m.begun || m.skip > 0 || m.digits > 0 {
		return
	}
	for len(m.open) > 0 && m.open[len(m.open)-1] == 0 {
		m.open = m.open[:len(m.open)-1]
	}
	if len(m.open) > 0 {
		return
	}
	m.snapshot = m.requests && m.request == rpcInstallSnapshot
	m.begun, m.taken, m.seen = false, 0, 0
}
