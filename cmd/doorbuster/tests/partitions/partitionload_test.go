package partitions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// traffic is shoppers who come to the doors of a country all the time, from both
// rooms, until they are told to stop.
type traffic struct {
	c       *country
	history *history
	// next gives a shopper and a listing for one visit; ok is false at the end.
	next func(worker int) (shopper, listing string, ok bool)
	// pause is how long a shopper thinks, on average.
	pause time.Duration

	doors   atomic.Pointer[[]*nodetest.Member] // where shoppers come to; nil: all nodes
	stopped atomic.Bool
	apart   atomic.Bool // shoppers keep to the nodes of their room
	done    sync.WaitGroup
	granted atomic.Int64
}

// shopperPatience is longer than a node takes to say "processing".
const shopperPatience = 3 * time.Second

// start sends workers, by turns from each room.
func (x *traffic) start(seed uint64, workers int, rooms ...string) {
	for w := range workers {
		b := &buyer{traffic: x, room: rooms[w%len(rooms)], rng: rand.New(rand.NewPCG(seed, uint64(w)))}
		// Some go away before a node says "processing".
		b.client = x.c.client(b.room+"0", 300*time.Millisecond+time.Duration(b.rng.Int64N(int64(shopperPatience))))
		b.client.Transport = &noting{RoundTripper: b.client.Transport, connected: &b.connected}
		x.done.Go(func() {
			for !x.stopped.Load() {
				shopper, listing, ok := x.next(w)
				if !ok {
					return
				}
				b.visit(shopper, listing)
			}
		})
	}
}

// stop lets them finish what they are at.
func (x *traffic) stop() {
	x.stopped.Store(true)
	x.done.Wait()
}

// buyer is one of them, at one thing at a time.
type buyer struct {
	*traffic
	room   string
	rng    *rand.Rand
	client *http.Client
	// connected: the last request had a connection, and may have arrived.
	connected atomic.Bool
}

// noting tells whether a request had a connection at all. Its error does not: where one
// that was kept breaks, the transport tries the request once more by itself, and may then
// find nobody.
type noting struct {
	http.RoundTripper
	connected *atomic.Bool
}

func (n *noting) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { n.connected.Store(true) }}
	return n.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// visit is a shopper who tries for a unit, looks whether they have it, perhaps gives
// it back, and tries again.
func (b *buyer) visit(shopper, listing string) {
	for round := range 3 {
		key := fmt.Sprintf("%s-%d", shopper, round)
		orderNo := ""
		for try := 0; try < 4 && orderNo == "" && !b.stopped.Load(); try++ {
			e := b.grab(shopper, key, listing)
			if e.outcome == "limit_reached" {
				return // by a grab that had its effect after all
			}
			if e.outcome == outUnknown && b.rng.IntN(2) == 0 {
				e = b.byKey(shopper, key, listing)
			}
			orderNo = e.orderNo
			b.think()
			if e.outcome == "sold_out" && try > 0 { // for a while, it seems
				break
			}
			if e.outcome == "missed" {
				time.Sleep(20 * time.Millisecond)
			}
		}
		if orderNo == "" {
			return
		}
		b.granted.Add(1)
		for range 2 {
			switch b.rng.IntN(4) {
			case 0:
				b.grab(shopper, key, listing)
			case 1:
				b.byKey(shopper, key, listing)
			case 2:
				b.order(shopper, key, listing, orderNo)
			default:
				b.orders(shopper, key, listing)
			}
		}
		b.think()
		if b.rng.IntN(2) == 0 {
			return
		}
		for try := 0; ; try++ {
			e := b.cancel(shopper, key, listing, orderNo)
			if e.outcome != outUnknown {
				break
			}
			if try == 3 {
				return
			}
		}
	}
}

// think is between two things that a shopper does.
func (b *buyer) think() { time.Sleep(time.Duration(b.rng.Int64N(int64(2*b.pause + 1)))) }

// door is a node to come to: mostly one of the same room.
func (b *buyer) door() *nodetest.Member {
	doors := b.doors.Load()
	if doors == nil {
		doors = &b.c.Nodes
	}
	for {
		m := (*doors)[b.rng.IntN(len(*doors))]
		if m.Zone == b.room || !b.apart.Load() && b.rng.IntN(10) == 0 {
			return m
		}
	}
}

// ask makes one request; sent is false if it surely did not arrive.
func (b *buyer) ask(e *event, method, path string) (a nodetest.Reply, sent bool) {
	m := b.door()
	e.node = m.ID
	through := nodetest.Shop{HTTP: m.HTTP, Through: b.client}
	e.call = b.history.now()
	b.connected.Store(false)
	a, err := through.Request(method, m.HTTP+path, "", "X-Shopper-Id", e.shopper, "Idempotency-Key", e.key)
	e.end = b.history.now()
	if err != nil {
		return nodetest.Reply{}, b.connected.Load()
	}
	return a, true
}

// record keeps an event, and gives it back.
func (b *buyer) record(e event) event {
	b.history.add(e)
	return e
}

func (b *buyer) grab(shopper, key, listing string) event {
	e := event{what: askGrab, shopper: shopper, key: key, listing: listing, outcome: outUnknown}
	a, sent := b.ask(&e, "POST", grabPath(listing))
	if a.Status == 200 {
		e.outcome, e.orderNo = a.Code, a.Order.OrderNo
	}
	if !sent {
		return e
	}
	return b.record(e)
}

func (b *buyer) byKey(shopper, key, listing string) event {
	e := event{what: askByKey, shopper: shopper, key: key, listing: listing, outcome: outUnknown}
	a, _ := b.ask(&e, "GET", "/v1/grabs/"+url.PathEscape(key))
	switch a.Status {
	case 200:
		e.outcome, e.orderNo = a.Code, a.Order.OrderNo
	case 404:
		e.outcome = "unknown_key"
	}
	return b.record(e)
}

func (b *buyer) order(shopper, key, listing, orderNo string) event {
	e := event{what: askOrder, shopper: shopper, key: key, listing: listing, outcome: outUnknown, orderNo: orderNo}
	a, _ := b.ask(&e, "GET", "/v1/orders/"+orderNo)
	switch a.Status {
	case 200:
		e.outcome = a.Order.State
	case 404:
		e.outcome = "unknown_order"
	}
	return b.record(e)
}

// orders looks at all orders of a shopper; each is kept as an event of its own.
func (b *buyer) orders(shopper, key, listing string) {
	e := event{what: askOrders, shopper: shopper, key: key, listing: listing}
	a, _ := b.ask(&e, "GET", "/v1/orders")
	var all struct{ Orders []nodetest.Order }
	if a.Status != 200 || json.Unmarshal([]byte(a.Body), &all) != nil {
		return
	}
	for _, o := range all.Orders {
		e.orderNo, e.outcome = o.OrderNo, o.State
		b.record(e)
	}
}

func (b *buyer) cancel(shopper, key, listing, orderNo string) event {
	e := event{what: askCancel, shopper: shopper, key: key, listing: listing, outcome: outUnknown, orderNo: orderNo}
	a, sent := b.ask(&e, "POST", "/v1/orders/"+orderNo+"/cancel")
	switch a.Status {
	case 200:
		e.outcome = a.Order.State
	case 404:
		e.outcome = "unknown_order"
	case 409:
		e.outcome = "conflict"
	}
	if !sent {
		return e
	}
	return b.record(e)
}

func grabPath(listing string) string {
	return (&nodetest.Shop{}).ListingURL(listing) + "/grab"
}
