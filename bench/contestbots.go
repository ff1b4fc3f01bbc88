package bench

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"
)

// botPhase is what a bot does next.
type botPhase uint8

const (
	botGrabs     botPhase = iota
	botAsks               // what became of its grab
	botChallenge          // gets something to solve
	botSolves             // waits for a solver
	botTicket             // sends the solution
	botHolds              // a unit; may cancel it later
	botCancels
	botDone
)

// bot is an account. Its connection's alone, but for solution.
type bot struct {
	number   int
	phase    botPhase
	click    click
	grab     []byte // the request without a ticket, ready to send; of click 0
	ticket   string
	solution atomic.Pointer[string]
	order    *told
	cancels  bool
	cancelAt time.Duration
}

// botConn is one connection with the accounts that use it.
type botConn struct {
	*contest
	conn *conn
	bots []*bot
	next int
	sent []*bot // under way, in this sequence
	buf  []byte
	told map[string]int64
}

// runBots sends over connection i of all until the requests are used up.
func (c *contest) runBots(ctx context.Context, i int) {
	b := &botConn{contest: c, conn: newConn(c.crowd.cfg.Addrs, i, c.cfg.Timeout), told: map[string]int64{}}
	defer b.conn.close()
	for n := i; n < c.cfg.Bots; n += c.cfg.BotConnections {
		number := c.cfg.People + n
		b.bots = append(b.bots, &bot{number: number, grab: c.appendGrab(nil, number, 0, ""),
			cancels: c.contestant(number).cancels})
	}
	if c.await(ctx, -early) {
		b.run(ctx)
	}
	c.mu.Lock()
	for code, n := range b.told {
		c.botsTold[code] += n
	}
	c.mu.Unlock()
}

func (b *botConn) run(ctx context.Context) {
	idle := time.NewTicker(time.Millisecond)
	defer idle.Stop()
	for ctx.Err() == nil && b.left.Load() > 0 {
		if b.load(); len(b.sent) > 0 {
			b.exchange()
			continue
		}
		select { // all hold, or wait for their solvers
		case <-b.peopleGone:
			return
		case <-idle.C:
		}
	}
}

// load makes requests of the next bots that have one to send.
func (b *botConn) load() {
	b.buf, b.sent = b.buf[:0], b.sent[:0]
	for range b.bots {
		if len(b.sent) == b.cfg.Pipeline {
			return
		}
		x := b.bots[b.next]
		if b.next++; b.next == len(b.bots) {
			b.next = 0
		}
		before := len(b.buf)
		b.request(x)
		if len(b.buf) == before {
			continue
		}
		if b.left.Add(-1) < 0 {
			b.buf = b.buf[:before]
			return
		}
		b.sent = append(b.sent, x)
	}
}

// request appends what a bot sends next, if anything.
func (b *botConn) request(x *bot) {
	switch {
	case x.phase == botSolves && x.solution.Load() != nil:
		x.phase = botTicket
		if *x.solution.Load() == "" {
			x.phase = botDone
		}
	case x.phase == botHolds && x.cancels && b.now() >= x.cancelAt:
		x.phase = botCancels
		b.witness.sending(x.order, &x.order.cancel, b.now())
	}
	switch x.phase {
	case botGrabs:
		if x.click == 0 && x.ticket == "" {
			b.buf = append(b.buf, x.grab...)
		} else {
			b.buf = b.appendGrab(b.buf, x.number, x.click, x.ticket)
		}
	case botAsks:
		b.buf = b.appendOutcome(b.buf, x.number, x.click)
	case botChallenge:
		b.buf = b.appendRequest(b.buf, "POST", b.path+"/challenge", x.number, "", nil)
	case botTicket:
		b.buf = b.appendRequest(b.buf, "POST", b.path+"/ticket", x.number, "",
			[]byte(`{"solution":"`+*x.solution.Load()+`"}`))
	case botCancels:
		b.buf = b.appendRequest(b.buf, "POST", "/v1/orders/"+x.order.orderNo+"/cancel", x.number, "", nil)
	}
}

func (b *botConn) exchange() {
	sent := b.now()
	answered, err := b.conn.exchange(b.buf, len(b.sent), func(n int, a reply) { b.answered(b.sent[n], a, sent) })
	b.botsUntil.Store(int64(b.now())) // of connections that end together; the last one's stays
	if err == nil {
		return
	}
	for _, x := range b.sent[answered:] { // whatever became of it, it must be asked after
		b.told[outcomeUnknown]++
		if x.phase == botGrabs {
			b.hear(ask{x.number, 0, x.click, sent, b.now(), false, b.conn.addr()}, answer{code: outcomeUnknown})
			x.phase = botAsks
		}
	}
}

// answered takes the answer to a bot's request.
func (b *botConn) answered(x *bot, got reply, sent time.Duration) {
	switch x.phase {
	case botGrabs, botAsks:
		b.outcome(x, got, sent)
	case botChallenge:
		var work workText
		if x.phase = botGrabs; got.status == 200 && json.Unmarshal(got.body, &work) == nil && work.Challenge != "" {
			x.phase = botSolves
			x.solution.Store(nil)
			// has room for every bot
			b.botWork.jobs <- solverJob{work, func(solution string) { x.solution.Store(&solution) }}
		}
	case botTicket:
		x.phase = botGrabs
		var given struct {
			Ticket string `json:"ticket"`
		}
		if got.status == 200 && json.Unmarshal(got.body, &given) == nil {
			x.ticket = given.Ticket
		}
	case botCancels:
		if got.status == 200 {
			b.witness.confirmed(x.order, &x.order.cancel, b.now())
			x.phase = botDone
		}
	}
}

// outcome takes what a bot was told of its grab.
func (b *botConn) outcome(x *bot, got reply, sent time.Duration) {
	asked := x.phase == botAsks
	a := readAnswer(got)
	if asked && got.status == 404 {
		x.phase = botGrabs
		return
	}
	b.told[a.code]++
	if a.code == codeProcessing {
		a.code = outcomeUnknown // until it says more
	}
	news := b.hear(ask{x.number, 0, x.click, sent, b.now(), asked, b.conn.addr()}, a)
	if news != nil {
		x.order = news
	}
	switch a.code {
	case codeGranted, codeLimit:
		x.phase, x.cancelAt = botHolds, b.now()+time.Second
		if x.cancels = x.cancels && x.order != nil; !x.cancels {
			x.phase = botDone
		}
	case codeWaitlisted, codeEntered, outcomeUnknown:
		x.phase = botAsks
	case codeTicket:
		x.phase = botChallenge
	default:
		if x.phase = botGrabs; asked && x.click < clickUntold-1 {
			x.click++ // the key led to a no
		}
	}
}
