package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// haggle is a bargain as the crowd knows it.
type haggle struct {
	number, owner, sku int
	goal               int // buy after so many cuts; toFloor or toNobody

	mu      sync.Mutex
	code    string        // "" until it is started
	friends map[int]bool  // who were asked
	helped  []int         // who heard of their cut
	began   time.Duration // when the first friend was asked
	floorAt time.Duration // when it was heard to be at its floor; 0 = not yet
	buyAt   time.Duration // when its owner first asked to buy
	buying  bool
	over    bool // bought, or not to be had
}

// What owners wait for before they buy, beyond a number of cuts.
const (
	toFloor  = math.MaxInt
	toNobody = math.MaxInt - 1 // to the floor, and is not bought
)

// help is one request of a friend, and its answer.
type help struct {
	of     *haggle
	friend int
	key    int // which of their keys
	forged bool

	code   string // the answer's; "404", or another status that was none of a help's
	amount int64
	cuts   int // of the bargain, as the answer has it; with its price
	price  int64
	sent   time.Duration
	heard  time.Duration
}

// start and purchase are requests of an owner, and their answers.
type start struct {
	of         *haggle
	code, name string // the answer's code, the bargain's
}

type purchase struct {
	of   *haggle
	code string
}

// bargainAnswer is what the shop says to a start or to a help.
type bargainAnswer struct {
	Code    string `json:"code"`
	Amount  int64  `json:"amount"`
	Bargain struct {
		Code  string `json:"code"`
		Price int64  `json:"price"`
		Floor int64  `json:"floor"`
		Cuts  int    `json:"cuts"`
	} `json:"bargain"`
}

// Answers about bargains.
const (
	codeStarted      = "started"
	codeCut          = "cut"
	codeHelped       = "already_helped"
	codeOwnBargain   = "own_bargain"
	codeBargainOver  = "bargain_over"
	codeFloorReached = "floor_reached"
	codeHelpsUsedUp  = "helps_used_up"
	codeNoBargain    = "404"
	codeNotAtFloor   = "http_409" // of a purchase
)

// hagglers are all who start bargains and help.
type hagglers struct {
	*crowd
	bargains *BargainConfig
	all      []*haggle
	came     atomic.Int64 // arrivals

	starting, cutting, buying *latency // from when they were due
	asides                    sync.Mutex
	helps                     []help
	starts                    []start
	purchases                 []purchase

	mu         sync.Mutex
	open, done []*haggle // friends may help; nothing is left for them
}

// newHagglers has a crowd act so: each arrival is a start, or a request for help.
func newHagglers(r *crowd, cfg *BargainConfig) *hagglers {
	b := &hagglers{crowd: r, bargains: cfg, starting: newLatency(), cutting: newLatency(),
		buying: newLatency()}
	for i := range cfg.Bargains {
		h := &haggle{number: i, owner: i, sku: i % bargainSKUs, goal: toFloor, friends: map[int]bool{}}
		if i%10 == 9 {
			h.owner = i - 1 // has two, one of each SKU
		}
		switch d := cfg.diceOf(uint64(i) | 1<<40); {
		case d.share() < 0.2:
			h.goal = 1 + int(d.next()%uint64(max(1, cfg.Friends/2)))
		case d.share() < 0.1:
			h.goal = toNobody
		}
		b.all = append(b.all, h)
	}
	r.schedule = newSchedule(r.now, pace{rate: cfg.Rate}, cfg.Bargains+cfg.Helps)
	r.visit = b.act
	return b
}

func (c *BargainConfig) diceOf(n uint64) dice {
	d := dice(c.Seed)
	return dice(d.next() ^ n*0x9e3779b97f4a7c15)
}

// startOf gives which bargain the n-th arrival starts; -1 if it helps. Some start at once,
// the others until eight of ten have come, evenly.
func (c *BargainConfig) startOf(n int) int {
	const atOnce = 50
	if n < min(atOnce, c.Bargains) {
		return n
	}
	each := max(1, (c.Bargains+c.Helps)*8/10/c.Bargains)
	if i := n / each; n%each == 0 && i >= atOnce && i < c.Bargains {
		return i
	}
	return -1
}

// act does what is due.
func (b *hagglers) act(w *worker, t task) {
	if !t.first {
		b.follow(w, t)
		return
	}
	b.came.Add(1)
	b.tally.arrived(b.now())
	if i := b.bargains.startOf(t.shopper); i >= 0 {
		b.start(w.conn, w.number, b.all[i], t.due)
		return
	}
	d := b.bargains.diceOf(uint64(t.shopper))
	kind := d.share()
	h := b.pick(&b.open, &d)
	if late := b.pick(&b.done, &d); late != nil && (h == nil || kind > 0.94) {
		h = late
	}
	if h == nil {
		h, kind = b.all[0], 0
	}
	ask := help{of: h}
	switch {
	case kind < 0.03:
		ask.forged, ask.friend = true, b.newFriend(h, &d)
	case kind < 0.06:
		ask.friend = h.owner
	case kind < 0.12:
		var ok bool
		if ask.friend, ok = h.someFriend(&d); !ok {
			ask.friend = b.newFriend(h, &d)
		}
		ask.key = int(d.next() % 2) // as the first time, or another
	default:
		ask.friend = b.newFriend(h, &d)
		if d.share() < 0.1 { // with another key, at once
			b.schedule.add(task{due: t.due, deed: deedGrab, shopper: ask.friend, listing: h.number, click: clickAnew})
		}
	}
	b.help(w.conn, w.number, ask, t.due)
}

// follow does what came of an arrival: a second click, or a purchase.
func (b *hagglers) follow(w *worker, t task) {
	h := b.all[t.listing]
	if t.click == clickAnew {
		b.help(w.conn, w.number, help{of: h, friend: t.shopper, key: int(clickAnew)}, t.due)
		return
	}
	if news := b.buy(w.conn, w.number, h); news != nil && b.cfg.intentOf(h.owner).pays {
		b.schedule.add(task{due: b.now() + b.cfg.intentOf(h.owner).decideAfter, deed: deedPay, shopper: h.owner,
			order: news})
	}
}

// pick draws one of some; nil if there is none.
func (b *hagglers) pick(of *[]*haggle, d *dice) *haggle {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(*of) == 0 {
		return nil
	}
	return (*of)[d.next()%uint64(len(*of))]
}

// retire makes a bargain one that nobody need help.
func (b *hagglers) retire(h *haggle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.open {
		if x == h {
			last := len(b.open) - 1
			b.open[i] = b.open[last]
			b.open = b.open[:last]
			b.done = append(b.done, h)
			return
		}
	}
}

// newFriend draws one who has not been asked for this bargain. Owners of others are among
// them.
func (b *hagglers) newFriend(h *haggle, d *dice) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		friend := int(d.next() % uint64(b.cfg.Shoppers))
		if friend == h.owner || h.friends[friend] && len(h.friends) < b.cfg.Shoppers/2 {
			continue
		}
		h.friends[friend] = true
		return friend
	}
}

// someFriend draws one who has heard of their cut.
func (h *haggle) someFriend(d *dice) (int, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.helped) == 0 {
		return 0, false
	}
	return h.helped[d.next()%uint64(len(h.helped))], true
}

// insist sends a request until it has a clear answer, each time to the next node. Whoever
// asks has a key, or asks for what can be done only once.
func (b *hagglers) insist(c *conn, request []byte) (reply, bool) {
	const every = 50 * time.Millisecond
	for until := time.Now().Add(b.bargains.BackWithin); ; time.Sleep(every) {
		got, err := c.roundTrip(request)
		switch {
		case err == nil && got.status < 500 && got.status != 202:
			return got, true
		case time.Now().After(until):
			return got, false
		case err == nil:
			c.hop()
		}
	}
}

// request is a shopper's POST, with a key.
func (b *hagglers) request(path string, shopper int, key []byte) []byte {
	r := b.requests.appendIdentity(appendHead(nil, "POST", path, b.requests.host), shopper)
	r = append(append(append(r, "Idempotency-Key: "...), key...), "\r\n"...)
	return appendBody(r, "POST", nil)
}

// readBargainAnswer reads an answer; its code is outcomeUnknown if there was none.
func readBargainAnswer(got reply, ok bool) (a bargainAnswer) {
	switch {
	case !ok:
		a.Code = outcomeUnknown
	case got.status != 200:
		a.Code = strconv.Itoa(got.status)
	case json.Unmarshal(got.body, &a) != nil || a.Code == "":
		a = bargainAnswer{Code: outcomeUnreadable}
	}
	return a
}

// start has an owner start a bargain, one in eight twice.
func (b *hagglers) start(c *conn, n int, h *haggle, due time.Duration) {
	from := b.from(due)
	path := b.cfg.Listings[h.sku].path() + "/bargains"
	for again := range 2 {
		if again == 1 && h.number%8 != 0 {
			break
		}
		key := b.cfg.appendKey(nil, h.owner, click(10+2*again+h.sku))
		a := readBargainAnswer(b.insist(c, b.request(path, h.owner, key)))
		b.heard(n, a.Code, from, b.starting)
		b.asides.Lock()
		b.starts = append(b.starts, start{of: h, code: a.Code, name: a.Bargain.Code})
		b.asides.Unlock()
		if again == 0 && a.Code == codeStarted {
			h.mu.Lock()
			h.code = a.Bargain.Code
			h.mu.Unlock()
			b.mu.Lock()
			b.open = append(b.open, h)
			b.mu.Unlock()
		}
	}
}

// from is when one began to wait who was due then: now, if nobody was.
func (b *hagglers) from(due time.Duration) time.Duration {
	if b.bargains.Rate == 0 {
		return b.now()
	}
	return due
}

// heard counts an answer that was waited for from a moment on.
func (b *hagglers) heard(n int, code string, from time.Duration, of *latency) {
	took := b.now() - from
	b.tally.asked(n, code, took)
	b.tally.outcome(code)
	if code != outcomeUnknown {
		of.record(n, took)
	}
}

// help has a friend help.
func (b *hagglers) help(c *conn, n int, q help, due time.Duration) {
	h, from := q.of, b.from(due)
	h.mu.Lock()
	name := h.code
	if h.began == 0 {
		h.began = b.now()
	}
	h.mu.Unlock()
	if q.forged {
		name = forgedCode(name, b.bargains.diceOf(uint64(q.friend)|1<<41))
	}
	q.sent = b.now()
	key := fmt.Appendf(b.cfg.appendShopper(nil, q.friend), "-h%d-%d", h.number, q.key)
	a := readBargainAnswer(b.insist(c, b.request("/v1/bargains/"+name+"/cuts", q.friend, key)))
	q.code, q.amount, q.cuts, q.price, q.heard = a.Code, a.Amount, a.Bargain.Cuts, a.Bargain.Price, b.now()
	b.heard(n, a.Code, from, b.cutting)
	b.asides.Lock()
	b.helps = append(b.helps, q)
	b.asides.Unlock()
	if q.forged {
		return
	}
	buys, over := h.hear(&q, a.Bargain.Floor)
	if over {
		b.retire(h)
	}
	if buys {
		b.schedule.add(task{due: b.now(), deed: deedGrab, shopper: h.owner, listing: h.number})
	}
}

// forgedCode is a code that there is not: another letter, another length, or at random.
func forgedCode(real string, d dice) string {
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	code := []byte(real)
	if len(code) == 0 || d.next()%4 == 0 {
		code = make([]byte, 26)
		for i := range code {
			code[i] = letters[d.next()%32]
		}
		return string(code)
	}
	if d.next()%8 == 0 {
		return real[:len(real)-1]
	}
	at := d.next() % 25 // the last carries two bits only
	for old := code[at]; code[at] == old; {
		code[at] = letters[d.next()%32]
	}
	return string(code)
}

// hear takes down an answer: whether the owner is to buy now, and whether nobody can help
// any more.
func (h *haggle) hear(q *help, floor int64) (buys, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch q.code {
	case codeCut:
		if !slices.Contains(h.helped, q.friend) {
			h.helped = append(h.helped, q.friend)
		}
	case codeBargainOver:
		h.over = true
	}
	if floorTold(q.code) && q.price <= floor && h.floorAt == 0 {
		h.floorAt = q.heard
	}
	return h.wantsToBuy(), h.over || h.floorAt > 0
}

// floorTold reports whether an answer has the bargain as it is.
func floorTold(code string) bool {
	return code == codeCut || code == codeHelped || code == codeFloorReached
}

// wantsToBuy reports once whether the owner is to buy. The caller holds mu.
func (h *haggle) wantsToBuy() bool {
	if h.buying || h.over || h.goal == toNobody || h.floorAt == 0 && len(h.helped) < h.goal {
		return false
	}
	h.buying = true
	return true
}

// buy has the owner buy, again if that was too early and is no longer. It gives the order
// if this is the first that was heard of it.
func (b *hagglers) buy(c *conn, n int, h *haggle) *told {
	for k := click(h.sku); ; k += bargainSKUs {
		sent := b.now()
		h.mu.Lock()
		if h.buyAt == 0 {
			h.buyAt = sent
		}
		h.mu.Unlock()
		got, ok := b.insist(c, b.request("/v1/bargains/"+h.code+"/buy", h.owner, b.cfg.appendKey(nil, h.owner, k)))
		a := answer{code: outcomeUnknown}
		if ok {
			a = readAnswer(got)
		}
		b.heard(n, a.code, sent, b.buying)
		b.asides.Lock()
		b.purchases = append(b.purchases, purchase{h, a.code})
		b.asides.Unlock()
		if a.code != codeNotAtFloor {
			h.mu.Lock()
			h.over = true
			h.mu.Unlock()
			b.retire(h)
			return b.hear(ask{h.owner, h.sku, k, sent, b.now(), false, c.addr()}, a)
		}
		h.mu.Lock()
		h.goal, h.buying = toFloor, false
		again := h.wantsToBuy()
		h.mu.Unlock()
		if !again {
			return nil
		}
	}
}

// finish brings what is open to its floor, with friends who are new, and has the owners
// buy who would have.
func (b *hagglers) finish() {
	var friends atomic.Int64
	friends.Store(int64(b.cfg.Shoppers))
	each(b.cfg.Addrs, b.cfg.Timeout, slices.Clone(b.open), func(c *conn, h *haggle) {
		for tries := 0; h.floorAt == 0 && !h.over && tries < engine.MaxBargainCuts; tries++ {
			b.help(c, 0, help{of: h, friend: int(friends.Add(1))}, b.now())
			if h.buying && !h.over {
				b.buy(c, 0, h)
			}
		}
	})
}
