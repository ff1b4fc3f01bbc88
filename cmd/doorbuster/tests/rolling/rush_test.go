package rolling

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// rush is shoppers who come at a steady rate over connections that stay open, to
// doors that say that they are ready, as a load balancer lets them. Nobody tries
// twice: what a connection or a node fails to do is a failure.
type rush struct {
	t       *testing.T
	name    string // begins the names of its shoppers
	listing string
	doors   []*door
	stop    chan struct{}
	running sync.WaitGroup

	mu         sync.Mutex
	granted    map[string]string // order numbers by shopper
	grants     []time.Time
	processing int
	failures   []string
}

// door is where shoppers come in.
type door struct {
	addr  string
	check string // URL that says 200 while shoppers may come; "" for always
	ready atomic.Bool
}

// rushConnections share the rate among them.
const rushConnections = 96

// doorOf is a node's own.
func doorOf(m *nodetest.Member) *door {
	return &door{addr: m.Ports[0], check: "http://" + m.Admin + "/readyz"}
}

// startRush lets shoppers in until close.
func startRush(t *testing.T, name, listing string, rate int, doors ...*door) *rush {
	t.Helper()
	r := &rush{t: t, name: name, listing: listing, doors: doors, stop: make(chan struct{}),
		granted: map[string]string{}}
	for _, d := range doors {
		d.ready.Store(true)
		if d.check != "" {
			r.running.Go(func() { r.watch(d) })
		}
	}
	start := time.Now()
	for i := range rushConnections {
		r.running.Go(func() {
			var line connection
			defer line.close()
			for n := i; ; n += rushConnections {
				select {
				case <-r.stop:
					return
				case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate)))):
				}
				r.buy(&line, i, fmt.Sprint(r.name, n))
			}
		})
	}
	return r
}

// watch asks again and again whether a door is ready.
func (r *rush) watch(d *door) {
	for {
		response, err := nodetest.Client.Get(d.check)
		d.ready.Store(err == nil && response.StatusCode == 200)
		if err == nil {
			response.Body.Close()
		}
		select {
		case <-r.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// buy has one shopper grab, and ask again while they are told to.
func (r *rush) buy(line *connection, home int, who string) {
	for began := time.Now(); time.Since(began) < nodetest.Patience; {
		d := r.door(home)
		if d == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		status, answer, err := line.grab(d.addr, r.listing, who)
		r.mu.Lock()
		switch {
		case err != nil:
			r.failures = append(r.failures, fmt.Sprintf("%s at %s: %v", who, d.addr, err))
		case answer.Code == "processing":
			r.processing++
			r.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			continue
		case answer.Code != "granted":
			r.failures = append(r.failures, fmt.Sprintf("%s at %s: %d %s %s", who, d.addr, status, answer.Code,
				answer.Title))
		default:
			r.granted[who] = answer.Order.OrderNo
			r.grants = append(r.grants, time.Now())
		}
		r.mu.Unlock()
		return
	}
	r.fail(who + " was never told what became of it")
}

func (r *rush) fail(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, what)
}

// door gives the home door or, while that is not ready, another that is.
func (r *rush) door(home int) *door {
	for i := range r.doors {
		if d := r.doors[(home+i)%len(r.doors)]; d.ready.Load() {
			return d
		}
	}
	return nil
}

// sold is how many were granted so far.
func (r *rush) sold() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.grants)
}

// sell waits until n more were granted.
func (r *rush) sell(n int) {
	r.t.Helper()
	until := r.sold() + n
	for began := time.Now(); r.sold() < until; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > nodetest.Patience {
			r.t.Fatalf("only %d of %d were granted; failures: %v", r.sold(), until, firstOf(r.failed()))
		}
	}
}

func (r *rush) failed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

// gap is the longest time after since without a grant.
func (r *rush) gap(since time.Time) (longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.grants { // in the order of time: r.mu is held when they are noted
		if at.After(since) {
			longest, since = max(longest, at.Sub(since)), at
		}
	}
	return longest
}

// close ends the rush; nobody's grab may have failed.
func (r *rush) close() {
	r.t.Helper()
	close(r.stop)
	r.running.Wait()
	if len(r.failures) > 0 {
		r.t.Errorf("%d of %d failed: %q", len(r.failures), len(r.failures)+len(r.granted), firstOf(r.failures))
	}
	r.t.Logf("%d granted, %d told to ask again", len(r.granted), r.processing)
}

func firstOf(list []string) []string { return list[:min(len(list), 10)] }

// checkRushes compares what was told with what the cluster knows of the listing:
// all of it, and nothing else.
func checkRushes(f *nodetest.Fleet, rushes ...*rush) {
	f.T.Helper()
	c, known, total := f.Settled()[rushes[0].listing], f.Leader().Orders(), int64(0)
	for _, r := range rushes {
		total += int64(len(r.granted))
		for who, orderNo := range r.granted {
			if o := known[orderNo]; o.Shopper != who {
				f.T.Fatalf("%s was told %s, which is %+v", who, orderNo, o)
			}
		}
	}
	if c.Held != total || c.Shoppers != total {
		f.T.Errorf("%d were granted: %+v", total, c)
	}
}

// connection is a shopper's, open as long as the server lets it be.
type connection struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// grab sends one request, and gives what it was answered.
func (c *connection) grab(addr, listing, who string) (status int, a nodetest.Reply, err error) {
	if c.addr != addr {
		c.close()
	}
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", addr); err != nil {
			c.conn = nil
			return 0, a, err
		}
		c.addr, c.in = addr, bufio.NewReader(c.conn)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err = c.conn.SetDeadline(time.Now().Add(nodetest.Patience)); err != nil {
		return 0, a, err
	}
	session, sku, _ := strings.Cut(listing, "/")
	_, err = fmt.Fprintf(c.conn, "POST /v1/sessions/%s/skus/%s/grab HTTP/1.1\r\nHost: shop\r\nX-Shopper-Id: %s\r\n"+
		"Idempotency-Key: k\r\nContent-Length: 0\r\n\r\n", session, sku, who)
	if err != nil {
		return 0, a, err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, a, err
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, a, err
	}
	if response.Close {
		c.close()
	}
	if err = json.Unmarshal(text, &a); err != nil {
		return response.StatusCode, a, fmt.Errorf("%d %q: %w", response.StatusCode, text, err)
	}
	return response.StatusCode, a, nil
}
