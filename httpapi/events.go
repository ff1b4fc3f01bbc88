package httpapi

import (
	"bufio"
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

// Bounds of streams of events.
const (
	defaultStreams    = 10_000
	maxStreams        = 1_000_000
	streamsPerShopper = 4
	streamOrders      = 50 // of a shopper, the newest
	streamLife        = 30 * time.Minute
	heartbeat         = 15 * time.Second
	linePoll          = 2 * time.Second // how often the position of who waits is looked at
	leavePoll         = 100 * time.Millisecond
	comeBack          = 3 * time.Second // after which a client is to connect again, and up to twice that
)

// streams are the streams of events that are open. Its methods are safe for
// concurrent use.
type streams struct {
	leaves func() bool
	shares *shares // by address, which many shoppers may have; as many as may be open

	mu     sync.Mutex
	by     map[string]int // by shopper
	ended  chan struct{}  // closed when those that are open shall end
	watchs bool           // somebody watches whether shoppers shall leave
	closed bool

	opened, turnedAway atomic.Uint64
	openDesc           *prometheus.Desc
	openedDesc         *prometheus.Desc
	awayDesc           *prometheus.Desc
}

func newStreams(most int, leaves func() bool) *streams {
	return &streams{shares: newShares(most), leaves: leaves, by: map[string]int{}, ended: make(chan struct{}),
		openDesc:   prometheus.NewDesc("doorbuster_event_streams", "Streams of events that are open.", nil, nil),
		openedDesc: prometheus.NewDesc("doorbuster_event_streams_opened_total", "Streams of events opened.", nil, nil),
		awayDesc: prometheus.NewDesc("doorbuster_event_streams_refused_total",
			"Streams of events that were one too many.", nil, nil)}
}

// enter takes a place for a stream of a shopper, "" if nobody says who they are; ended tells
// it to end, and leave gives the place back. end is called when the place goes to somebody
// of another address. own: the shopper has too many already; neither: there is no room.
func (x *streams) enter(shopper, address string, end func()) (ended <-chan struct{}, leave func(), own bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	own = shopper != "" && x.by[shopper] >= streamsPerShopper
	var out func()
	if !own && !x.closed && !x.leaves() {
		out = x.shares.enter(address, end)
	}
	if out == nil {
		x.turnedAway.Add(1)
		return nil, nil, own
	}
	x.by[shopper]++
	x.opened.Add(1)
	if !x.watchs {
		x.watchs = true
		go x.watch()
	}
	return x.ended, sync.OnceFunc(func() {
		out()
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.by[shopper]--; x.by[shopper] == 0 {
			delete(x.by, shopper)
		}
	}), false
}

// watch ends all streams once shoppers had better go to another node. It ends
// with the last of them.
func (x *streams) watch() {
	for tick := time.NewTicker(leavePoll); ; <-tick.C {
		x.mu.Lock()
		if x.leaves() && !x.closed {
			close(x.ended)
			x.ended = make(chan struct{})
		}
		if len(x.by) == 0 || x.closed {
			x.watchs = false
			tick.Stop()
			x.mu.Unlock()
			return
		}
		x.mu.Unlock()
	}
}

// close ends all streams, and lets nobody open another.
func (x *streams) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closed {
		x.closed = true
		close(x.ended)
	}
}

// Describe implements prometheus.Collector.
func (x *streams) Describe(ch chan<- *prometheus.Desc) {
	ch <- x.openDesc
	ch <- x.openedDesc
	ch <- x.awayDesc
}

// Collect implements prometheus.Collector.
func (x *streams) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(x.openDesc, prometheus.GaugeValue, float64(x.shares.count()))
	ch <- prometheus.MustNewConstMetric(x.openedDesc, prometheus.CounterValue, float64(x.opened.Load()))
	ch <- prometheus.MustNewConstMetric(x.awayDesc, prometheus.CounterValue, float64(x.turnedAway.Load()))
}

// eventStreamType is the media type of streams of events.
const eventStreamType = "text/event-stream"

// source is what a stream tells of.
type source interface {
	// look begins the events of x that are to be told now: at first of all there is, then
	// of what has changed. over: there will be no more.
	look(ctx context.Context, x *eventStream) (over bool, err error)
	// moves reports whether there may be something to tell although nobody said so.
	moves(now engine.Time) bool
}

// events streams what becomes of a shopper's orders and places: first all of
// them, then each as it changes. A Last-Event-ID is of no need: what comes first
// is always the present.
func (s *ShopperServer) events(ctx *fasthttp.RequestCtx, shopper string, who *auth.Bearer) {
	s.stream(ctx, who, func() (<-chan struct{}, func()) { return s.seller.Watch(shopper) },
		&orderEvents{shopper: shopper})
}

// stream answers with a stream of what from tells, and looks again whenever watch's
// channel says so. It ends with the authority of who asks.
func (s *ShopperServer) stream(ctx *fasthttp.RequestCtx, who *auth.Bearer, watch func() (<-chan struct{}, func()),
	from source) {
	held, end := who.Within(context.Background())
	ended, leave, own := s.streams.enter(string(who.Subject), networkOf(s.guard.addressOf(ctx)).String(), end)
	if leave == nil {
		end()
	}
	switch {
	case own:
		s.problem(ctx, tooManyStreams, "You have "+strconv.Itoa(streamsPerShopper)+" streams open, as many as one "+
			"may. Close one.")
		return
	case leave == nil:
		s.problem(ctx, unavailable, noStream)
		return
	}
	changed, stop := watch() // first: what changes from now on is not missed
	if stop == nil {
		end()
		leave()
		s.problem(ctx, unavailable, noStream)
		return
	}
	conn, _ := ctx.Conn().(*lingeringConn)
	x := &eventStream{server: s, from: from, changed: changed, ended: ended, conn: conn,
		timeout: s.limits.WriteTimeout}
	wait, done := s.commandContext()
	over, err := from.look(wait, x)
	done()
	if err != nil || ctx.IsHead() {
		stop()
		end()
		leave()
	}
	if err != nil {
		s.failed(ctx, err)
		return
	}
	ctx.Response.Header.SetContentType(eventStreamType)
	ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
	ctx.Response.Header.Set("X-Accel-Buffering", "no") // proxies that gather what they pass on
	if ctx.IsHead() {
		return
	}
	ctx.Response.SetConnectionClose()
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer leave()
		defer stop()
		defer end()
		if x.flush(w) && !over {
			x.run(held, w)
		}
	})
}

const noStream = "There is no room for another stream here. Ask again in a moment, or without a stream."

// eventStream is one open stream of events.
type eventStream struct {
	server  *ShopperServer
	from    source
	changed <-chan struct{}
	ended   <-chan struct{}
	conn    *lingeringConn // nil: it came in by no door of ours
	timeout time.Duration

	count int
	b     []byte
}

// orderEvents tells a stream of a shopper's orders and places.
type orderEvents struct {
	shopper string
	told    []toldOrder // nil before the first look
}

// toldOrder is what a stream has told of an order.
type toldOrder struct {
	ref      engine.OrderRef
	state    engine.OrderState
	position uint32
	payBy    engine.Time
	changed  engine.Time
	receiver bool
}

func toldOf(o *engine.OrderView) toldOrder {
	return toldOrder{o.Ref, o.State, o.Position, o.PayBy, o.ChangedAt, o.HasReceiver}
}

// run writes until the stream shall end, held does, or its reader has gone.
func (x *eventStream) run(held context.Context, w *bufio.Writer) {
	life, beat, poll := time.NewTimer(streamLife), time.NewTicker(heartbeat), time.NewTicker(linePoll)
	defer life.Stop()
	defer beat.Stop()
	defer poll.Stop()
	for {
		select {
		case <-held.Done():
		case <-x.changed:
		case <-poll.C:
			if !x.from.moves(x.server.seller.Now()) {
				continue
			}
		case <-beat.C:
			x.b = append(x.b[:0], ":\n\n"...)
			if !x.flush(w) {
				return
			}
			continue
		case <-life.C:
			x.goodbye(w)
			return
		case <-x.ended:
			x.goodbye(w)
			return
		}
		// Where nobody can say just now, the next look will tell.
		ctx, done := context.WithTimeout(held, linePoll)
		x.b = x.b[:0]
		over, err := x.from.look(ctx, x)
		done()
		if held.Err() != nil {
			x.goodbye(w)
			return
		}
		if err != nil {
			continue
		}
		if !x.flush(w) || over {
			return
		}
	}
}

// moves reports whether the shopper is in line, where things move without them.
func (e *orderEvents) moves(engine.Time) bool {
	for i := range e.told {
		if e.told[i].state == engine.Waiting {
			return true
		}
	}
	return false
}

func (e *orderEvents) look(ctx context.Context, x *eventStream) (over bool, err error) {
	orders, err := x.server.seller.Own(ctx, e.shopper, streamOrders)
	switch {
	case err != nil:
	case e.told == nil:
		e.snapshot(x, orders)
	default:
		e.changes(x, orders)
	}
	return false, err
}

// snapshot says all there is.
func (e *orderEvents) snapshot(x *eventStream, orders []engine.OrderView) {
	e.told = []toldOrder{}
	x.begin("snapshot")
	x.b = append(x.b, `{"orders":[`...)
	for i := range orders {
		if i > 0 {
			x.b = append(x.b, ',')
		}
		x.b = x.server.appendOrder(x.b, &orders[i])
		e.told = append(e.told, toldOf(&orders[i]))
	}
	x.b = append(x.b, "]}\n\n"...)
}

// changes says what differs from what was told, the oldest first. A position that
// was told never goes up.
func (e *orderEvents) changes(x *eventStream, orders []engine.OrderView) {
	now := make([]toldOrder, 0, len(orders))
	for i := len(orders) - 1; i >= 0; i-- {
		o := &orders[i]
		var before toldOrder
		for j := range e.told {
			if e.told[j].ref == o.Ref {
				before = e.told[j]
			}
		}
		if before.state == engine.Waiting && o.State == engine.Waiting {
			o.Position = min(o.Position, before.position)
		}
		is := toldOf(o)
		now = append(now, is)
		if is != before {
			x.begin("order")
			x.b = x.server.appendOrder(x.b, o)
			x.b = append(x.b, "\n\n"...)
		}
	}
	e.told = now
}

// begin begins an event, up to its data, which is one line of JSON.
func (x *eventStream) begin(event string) {
	x.count++
	x.b = append(x.b, "event: "...)
	x.b = append(x.b, event...)
	x.b = append(x.b, "\nid: "...)
	x.b = strconv.AppendInt(x.b, int64(x.count), 10)
	x.b = append(x.b, "\ndata: "...)
}

// goodbye tells the client when to come back, not all at once.
func (x *eventStream) goodbye(w *bufio.Writer) {
	x.b = append(x.b[:0], "retry: "...)
	x.b = strconv.AppendInt(x.b, (comeBack + rand.N(comeBack)).Milliseconds(), 10)
	x.b = append(x.b, "\n\n"...)
	x.flush(w)
}

// flush sends what is to be sent; false if the reader has gone, or is too slow.
func (x *eventStream) flush(w *bufio.Writer) bool {
	if len(x.b) == 0 {
		return true
	}
	// The deadline of an answer is for one that is whole at once.
	if x.conn != nil && x.conn.SetWriteDeadline(time.Now().Add(x.timeout)) != nil {
		return false
	}
	if _, err := w.Write(x.b); err != nil {
		return false
	}
	return w.Flush() == nil
}
