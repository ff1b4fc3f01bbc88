package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// sin is a way in which the fake shop misbehaves.
type sin string

const (
	sinNone            sin = ""
	sinOversell        sin = "sells ten units too many"
	sinOversellQuietly sin = "sells ten units too many and hides it in its counts"
	sinForgetOrder     sin = "forgets an order it granted"
	sinTwoOrders       sin = "tells two orders for one key"
	sinDropPaid        sin = "confirms a payment and forgets it"
	sinLoseUnit        sin = "loses a unit"
	sinTakeUntold      sin = "takes a unit and answers sold out"
	sinTwoTabs         sin = "lets one shopper have two listings"
	sinNoAfterYes      sin = "says sold out to a key that got an order"
	sinMissHolder      sin = "says missed to a holder"
	sinWrongAmount     sin = "stores another amount than it told"
	sinEarlyExpiry     sin = "expires holds before their time"
	sinWrongCount      sin = "counts a held unit as paid"
)

// fakeShop is a shop that keeps the outside contract with one mutex and no
// disk, good but for its sin.
type fakeShop struct {
	sin       sin
	payWithin time.Duration
	slow      bool          // answers every fifth grab "processing"
	breaks    bool          // decides every sixth grab, then drops the connection
	mute      bool          // never says what became of a grab
	quick     bool          // every grab is a new shopper's: looks no one up
	pay       *payment.Keys // signs the tokens of orders; nil gives none

	mu       sync.Mutex
	listings map[string]*fakeListing
	orders   map[string]*fakeOrder
	byKey    map[string]*fakeOrder // shopper and key
	putOff   map[string]bool       // likewise: told "processing"
	sinned   int
	granted  int
	asks     atomic.Int64

	shopAddr, adminAddr string
}

type fakeListing struct {
	session, sku     string
	stock, available int
	held, paid       int
	line             []inLine
	misplaced        int
}

// inLine is a place on a listing's waitlist.
type inLine struct {
	shopper, key string
	quantity     int
}

type fakeOrder struct {
	order
	listing *fakeListing
	payID   string
}

func newFakeShop(t *testing.T, s sin, stock map[string]int) *fakeShop {
	t.Helper()
	f := &fakeShop{
		sin: s, payWithin: time.Hour,
		listings: make(map[string]*fakeListing),
		orders:   make(map[string]*fakeOrder), byKey: make(map[string]*fakeOrder),
		putOff: make(map[string]bool),
	}
	for name, n := range stock {
		session, sku, _ := strings.Cut(name, "/")
		f.listings[name] = &fakeListing{session: session, sku: sku, stock: n, available: n}
	}
	f.shopAddr = serve(t, f.serveShop)
	f.adminAddr = serve(t, f.serveAdmin)
	return f
}

// serve runs a handler on a free loopback port for as long as the test.
func serve(t testing.TB, h fasthttp.RequestHandler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fasthttp.Server{Handler: h, NoDefaultServerHeader: true, CloseOnShutdown: true,
		Logger: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func (f *fakeShop) serveShop(ctx *fasthttp.RequestCtx) {
	shopper := string(ctx.Request.Header.Peek("X-Shopper-Id"))
	path := strings.Split(strings.Trim(string(ctx.Path()), "/"), "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	switch {
	case len(path) == 2 && path[1] == "time":
		tell(ctx, 200, map[string]any{"unix_ms": time.Now().UnixMilli()})
	case len(path) == 6 && path[5] == "grab":
		key := string(ctx.Request.Header.Peek("Idempotency-Key"))
		l := f.listings[path[2]+"/"+path[4]]
		if l == nil {
			problem(ctx, 404)
			return
		}
		n, waits := 1, false
		if len(ctx.PostBody()) > 0 {
			var b struct {
				Quantity int
				Waitlist bool
			}
			_ = json.Unmarshal(ctx.PostBody(), &b)
			n, waits = b.Quantity, b.Waitlist
		}
		code, o := f.grab(l, shopper, key, n)
		if waits && code == "sold_out" {
			code = "waitlisted"
			if !f.waiting(shopper, key) {
				l.line = append(l.line, inLine{shopper, key, n})
			}
		}
		if f.breaks && f.asks.Add(1)%6 == 0 {
			_ = ctx.Conn().Close()
			return
		}
		if f.slow && f.asks.Add(1)%5 == 0 {
			f.putOff[shopper+" "+key] = true
			tell(ctx, 202, map[string]any{"code": "processing", "message": "Hold on.",
				"result_url": "/v1/grabs/" + key + "?deadline=1795990818000"})
			return
		}
		tellGrab(ctx, code, o)
	case len(path) == 3 && path[1] == "grabs":
		if f.mute {
			problem(ctx, 503)
			return
		}
		if f.waiting(shopper, path[2]) {
			tellGrab(ctx, "waitlisted", nil)
			return
		}
		if o := f.byKey[shopper+" "+path[2]]; o != nil {
			tellGrab(ctx, "granted", o)
			return
		}
		if f.putOff[shopper+" "+path[2]] && string(ctx.QueryArgs().Peek("deadline")) != "1795990818000" {
			problem(ctx, 404) // nobody can say that it came to nothing
			return
		}
		tellGrab(ctx, "missed", nil)
	case len(path) >= 3 && path[1] == "orders":
		o := f.orders[path[2]]
		if o == nil || o.Shopper != shopper {
			problem(ctx, 404)
			return
		}
		if len(path) == 4 && path[3] == "cancel" {
			if o.State == "held" {
				f.release(o, "cancelled")
			}
			if o.State != "cancelled" {
				problem(ctx, 409)
				return
			}
		}
		tell(ctx, 200, o.order)
	case len(path) == 3 && path[1] == "payments":
		f.callback(ctx)
	default:
		problem(ctx, 404)
	}
}

func (f *fakeShop) grab(l *fakeListing, shopper, key string, n int) (string, *fakeOrder) {
	if o := f.byKey[shopper+" "+key]; o != nil {
		switch {
		case f.sin == sinTwoOrders:
			return "granted", f.grant(l, shopper, key, n)
		case f.sin == sinNoAfterYes:
			return "sold_out", nil
		}
		return "granted", o
	}
	for _, o := range f.orders {
		if f.quick {
			break
		}
		if o.Shopper == shopper && o.Session == l.session && !released(o.State) {
			switch {
			case f.sin == sinTwoTabs && o.listing != l:
				continue
			case f.sin == sinMissHolder && o.listing == l:
				return "missed", nil
			}
			return "limit_reached", o
		}
	}
	extra := 0
	if f.sin == sinOversell || f.sin == sinOversellQuietly {
		extra = 10
	}
	if l.available+extra < n {
		return "sold_out", nil
	}
	o := f.grant(l, shopper, key, n)
	switch {
	case f.sin == sinTakeUntold && f.sometimes():
		delete(f.byKey, shopper+" "+key)
		return "sold_out", nil
	case f.sin == sinForgetOrder && f.once():
		delete(f.orders, o.OrderNo)
		l.held--
		l.available++
	case f.sin == sinLoseUnit && f.once():
		l.available--
	case f.sin == sinWrongCount && f.once():
		l.misplaced++
	case f.sin == sinWrongAmount && f.sometimes():
		told := *o
		o.Amount++
		return "granted", &told
	case f.sin == sinEarlyExpiry && f.sometimes():
		told := *o
		f.release(o, "expired")
		return "granted", &told
	}
	return "granted", o
}

// once is true the first time.
func (f *fakeShop) once() bool {
	f.sinned++
	return f.sinned == 1
}

// sometimes is true every fifth time: for sins that some shoppers' further
// clicks would bring to light, and so undo.
func (f *fakeShop) sometimes() bool {
	f.sinned++
	return f.sinned%5 == 0
}

func (f *fakeShop) grant(l *fakeListing, shopper, key string, n int) *fakeOrder {
	f.granted++
	o := &fakeOrder{listing: l, order: order{
		OrderNo: "o" + strconv.Itoa(f.granted), Shopper: shopper,
		Session: l.session, SKU: l.sku, Quantity: n, Amount: int64(100 * n), Currency: "CNY",
		State: "held", PayBy: time.Now().Add(f.payWithin),
	}}
	if f.pay != nil {
		token, _ := f.pay.Append(nil, []byte(o.OrderNo), &payment.Claims{Amount: o.Amount, Currency: o.Currency,
			PayBy: engine.TimeOf(o.PayBy)})
		o.PayToken = string(token)
	}
	l.available -= n
	l.held += n
	f.orders[o.OrderNo] = o
	if key != "" {
		f.byKey[shopper+" "+key] = o
	}
	return o
}

func (f *fakeShop) release(o *fakeOrder, state string) {
	o.State = state
	o.listing.held -= o.Quantity
	o.listing.available += o.Quantity
	for l := o.listing; len(l.line) > 0 && l.available >= l.line[0].quantity; {
		next := l.line[0]
		l.line = l.line[1:]
		if !f.holds(next.shopper, l.session) {
			f.grant(l, next.shopper, next.key, next.quantity)
		}
	}
}

func (f *fakeShop) waiting(shopper, key string) bool {
	for _, l := range f.listings {
		for _, p := range l.line {
			if p.shopper == shopper && p.key == key {
				return true
			}
		}
	}
	return false
}

func (f *fakeShop) holds(shopper, session string) bool {
	for _, o := range f.orders {
		if o.Shopper == shopper && o.Session == session && !released(o.State) {
			return true
		}
	}
	return false
}

// expire releases what was not paid in time. It is called with mu held before
// anything else is looked at, so overdue holds are never seen.
func (f *fakeShop) expire() {
	if f.payWithin >= time.Hour {
		return
	}
	for _, o := range f.orders {
		if o.State == "held" && time.Now().After(o.PayBy) {
			f.release(o, "expired")
		}
	}
}

func (f *fakeShop) callback(ctx *fasthttp.RequestCtx) {
	var b struct {
		OrderNo   string `json:"order_no"`
		Amount    int64  `json:"amount"`
		Currency  string `json:"currency"`
		PaymentID string `json:"payment_id"`
	}
	if json.Unmarshal(ctx.PostBody(), &b) != nil {
		problem(ctx, 400)
		return
	}
	o := f.orders[b.OrderNo]
	switch {
	case o == nil:
		problem(ctx, 404)
		return
	case b.Amount != o.Amount || b.Currency != o.Currency:
		problem(ctx, 422)
		return
	case o.payID == b.PaymentID:
		tell(ctx, 200, map[string]any{"outcome": "unchanged"})
		return
	case f.sin == sinDropPaid && f.once():
		tell(ctx, 200, map[string]any{"outcome": "paid"})
		return
	case o.State == "held":
		o.payID, o.State = b.PaymentID, "paid"
		o.listing.held -= o.Quantity
		o.listing.paid += o.Quantity
	default:
		o.payID, o.State = b.PaymentID, "refund_due"
	}
	tell(ctx, 200, map[string]any{"outcome": o.State})
}

func (f *fakeShop) serveAdmin(ctx *fasthttp.RequestCtx) {
	path := strings.Split(strings.Trim(string(ctx.Path()), "/"), "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	if len(path) == 6 && path[2] == "sessions" {
		l := f.listings[path[3]+"/"+path[5]]
		if l == nil {
			problem(ctx, 404)
			return
		}
		who := make(map[string]bool)
		for _, o := range f.orders {
			if o.listing == l && !released(o.State) {
				who[o.Shopper] = true
			}
		}
		c := Counts{Stock: int64(l.stock), Available: int64(l.available), Shoppers: int64(len(who)), State: "open",
			Held: int64(l.held - l.misplaced), Paid: int64(l.paid + l.misplaced)}
		if f.sin == sinOversellQuietly && c.Available < 0 {
			c.Held += c.Available
			c.Available = 0
		}
		tell(ctx, 200, c)
		return
	}
	// Pages are small here, so that cursors are used.
	args := ctx.QueryArgs()
	from, _ := strconv.Atoi(string(args.Peek("cursor")))
	var all []order
	for _, o := range f.orders {
		if o.Session == string(args.Peek("session")) {
			all = append(all, o.order)
		}
	}
	slices.SortFunc(all, func(a, b order) int { return strings.Compare(a.OrderNo, b.OrderNo) })
	to := min(from+100, len(all))
	page := map[string]any{"orders": all[from:to]}
	if to < len(all) {
		page["cursor"] = strconv.Itoa(to)
	}
	tell(ctx, 200, page)
}

func tell(ctx *fasthttp.RequestCtx, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(b)
}

func tellGrab(ctx *fasthttp.RequestCtx, code string, o *fakeOrder) {
	m := map[string]any{"code": code, "message": "…"}
	if o != nil {
		m["order"] = o.order
	}
	tell(ctx, 200, m)
}

func problem(ctx *fasthttp.RequestCtx, status int) {
	tell(ctx, status, map[string]any{"status": status, "title": fmt.Sprint("status ", status)})
	ctx.SetContentType("application/problem+json")
}
