package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	// errNotSent wraps a failure to connect: no byte of the request left, so
	// the shop can't have acted on it.
	errNotSent = errors.New("not sent")
	// errBadAnswer means that the answer could not be read as HTTP/1.1 with a
	// Content-Length. The shop may have acted on the request.
	errBadAnswer = errors.New("unreadable answer")
)

// Bounds of what a [conn] reads. The shop's answers are a few hundred bytes; a
// page of orders is the largest.
const (
	firstReadBytes = 4 << 10
	maxAnswerBytes = 16 << 20
)

// staleAfter is how long a connection may lie idle before it is opened anew:
// servers close idle connections, and a request sent into one that is just
// being closed would come back as "unknown" for no good reason.
const staleAfter = 2 * time.Second

// homeAfter is how long a connection that has hopped stays away from its first
// address: long enough for a node to come back, short enough that the crowd
// spreads evenly again.
const homeAfter = 5 * time.Second

// conn is one keep-alive HTTP/1.1 connection that sends ready-made bytes. It
// exists because the generator shares its cores with the shop: a general HTTP
// client costs more for each request than the shop does.
//
// It reads answers with a Content-Length only (no chunked transfer), no TLS.
// Not for concurrent use.
type conn struct {
	addrs    []string // tried in turn, beginning with addrs[at]
	at       int
	home     int           // where it began
	hopped   time.Time     // when it last left an address that was down
	timeout  time.Duration // for dialling, and for each round trip
	c        net.Conn
	in       []byte
	lastUse  time.Time
	deadline time.Time
}

// newConn returns a connection that is opened at first use. The n-th
// connection starts at the n-th address, so that connections spread evenly.
func newConn(addrs []string, n int, timeout time.Duration) *conn {
	return &conn{addrs: addrs, at: n % len(addrs), home: n % len(addrs), timeout: timeout,
		in: make([]byte, firstReadBytes)}
}

// reply is the part of an HTTP answer that matters here. The body is valid
// until the connection's next round trip.
type reply struct {
	status int
	body   []byte
}

// roundTrip sends request, which must be one whole HTTP/1.1 request, and reads
// its answer. It waits between timeout and timeout plus one second: the
// deadline is renewed once a second only, because doing so costs a timer each
// time. An error that is errNotSent means the request never left; after any
// other its fate is open. The connection is opened anew after an error,
// to the next address: what broke once may do so again.
func (c *conn) roundTrip(request []byte) (reply, error) {
	if err := c.send(request); err != nil {
		return reply{}, err
	}
	return c.receive()
}

// send is the first half of roundTrip: receive must follow it, unless it fails.
func (c *conn) send(request []byte) error {
	now := time.Now()
	if c.c != nil && now.Sub(c.lastUse) > staleAfter {
		c.close()
	}
	if c.at != c.home && now.Sub(c.hopped) > homeAfter {
		c.close()
		c.at = c.home
	}
	if c.c == nil {
		if err := c.dial(); err != nil {
			return fmt.Errorf("%w: %w", errNotSent, err)
		}
	}
	if c.deadline.Sub(now) < c.timeout {
		c.deadline = now.Add(c.timeout + time.Second)
		if err := c.c.SetDeadline(c.deadline); err != nil {
			c.close()
			return fmt.Errorf("%w: %w", errNotSent, err)
		}
	}
	c.lastUse = now
	if _, err := c.c.Write(request); err != nil {
		c.hop()
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive is the second half of roundTrip.
func (c *conn) receive() (a reply, err error) {
	_, err = c.read(1, func(_ int, got reply) { a = got })
	return a, err
}

// exchange sends count requests, one behind the other, before it reads the
// answers, which come in the same sequence. each is told of them as they come; the
// reply is valid until it returns. It gives how many were answered: of the others
// nothing is known, unless the error is errNotSent.
func (c *conn) exchange(requests []byte, count int, each func(n int, a reply)) (answered int, err error) {
	if err := c.send(requests); err != nil {
		return 0, err
	}
	return c.read(count, each)
}

// read reads count answers and nothing behind them.
func (c *conn) read(count int, each func(n int, a reply)) (answered int, err error) {
	have, last := 0, false
	for answered < count && !last && err == nil {
		total, head, perr := answerBounds(c.in[:have])
		if err = perr; err == nil && (total == 0 || have < total) {
			var n int
			n, err = c.more(have, total)
			have += n
			continue
		}
		if err == nil {
			last = saysClose(c.in[:head])
			each(answered, reply{status: statusOf(c.in[:head]), body: c.in[head:total]})
			answered++
			have = copy(c.in, c.in[total:have])
		}
	}
	if err == nil && have > 0 && answered == count {
		err = fmt.Errorf("%w: %d bytes after the last answer", errBadAnswer, have)
	}
	if err != nil {
		c.hop()
	} else if last {
		c.close()
		if answered < count {
			err = fmt.Errorf("receive: %w", io.ErrUnexpectedEOF)
		}
	}
	return answered, err
}

// more reads behind the have bytes that were read of an answer of total bytes, 0
// for one whose head is not complete.
func (c *conn) more(have, total int) (n int, err error) {
	need := max(total, have+1)
	if need > maxAnswerBytes {
		return 0, fmt.Errorf("%w: over %d bytes", errBadAnswer, maxAnswerBytes)
	}
	if need > len(c.in) {
		c.in = append(c.in, make([]byte, max(need-len(c.in), len(c.in)))...)
	}
	if n, err = c.c.Read(c.in[have:]); n > 0 {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("receive: %w", err)
}

func (c *conn) dial() error {
	var first error
	for range c.addrs {
		addr := c.addrs[c.at]
		nc, err := net.DialTimeout("tcp", addr, c.timeout)
		if err == nil {
			c.c = nc
			c.deadline = time.Time{}
			return nil
		}
		if first == nil {
			first = err
		}
		c.hop()
	}
	return first
}

// addr is where the last request went, unless that failed.
func (c *conn) addr() string { return c.addrs[c.at] }

// hop closes the connection; the next one is to the next address.
func (c *conn) hop() {
	c.close()
	c.at = (c.at + 1) % len(c.addrs)
	c.hopped = time.Now()
}

func (c *conn) close() {
	if c.c != nil {
		_ = c.c.Close()
		c.c = nil
	}
}

// answerBounds finds where the head of the answer in b ends and how long the
// whole of it is; total 0 means that the head is not complete yet.
func answerBounds(b []byte) (total, head int, err error) {
	i := bytes.Index(b, []byte("\r\n\r\n"))
	if i < 0 {
		return 0, 0, nil
	}
	head = i + 4
	if statusOf(b[:head]) == 0 {
		return 0, 0, fmt.Errorf("%w: no status line", errBadAnswer)
	}
	n, ok := contentLength(b[:head])
	if !ok {
		if s := statusOf(b[:head]); s == 204 || s == 304 {
			return head, head, nil
		}
		return 0, 0, fmt.Errorf("%w: no Content-Length", errBadAnswer)
	}
	return head + n, head, nil
}

// statusOf reads the status out of "HTTP/1.1 200 OK…"; 0 where there is none.
func statusOf(head []byte) int {
	if len(head) < 12 || string(head[:7]) != "HTTP/1." {
		return 0
	}
	s := 0
	for _, d := range head[9:12] {
		if d < '0' || d > '9' {
			return 0
		}
		s = s*10 + int(d-'0')
	}
	return s
}

// contentLength finds the Content-Length in an answer's head. The spelling
// that nearly every server uses is looked for first.
func contentLength(head []byte) (n int, ok bool) {
	i := bytes.Index(head, []byte("\r\nContent-Length:"))
	if i < 0 {
		i = bytes.Index(bytes.ToLower(head), []byte("\r\ncontent-length:"))
	}
	if i < 0 {
		return 0, false
	}
	for _, d := range head[i+len("\r\ncontent-length:"):] {
		switch {
		case d == ' ' && !ok:
		case d >= '0' && d <= '9' && n < maxAnswerBytes:
			n, ok = n*10+int(d-'0'), true
		default:
			return n, ok && d == '\r'
		}
	}
	return 0, false
}

func saysClose(head []byte) bool {
	return bytes.Contains(head, []byte("\r\nConnection: close"))
}
