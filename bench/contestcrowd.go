package bench

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"
)

// phase is what an account does next.
type phase uint8

const (
	phaseGrab      phase = iota
	phaseAsk             // what became of its grab
	phaseChallenge       // gets something to solve
	phaseSolve           // waits for a solver
	phaseTicket          // sends the solution
	phaseHold            // a unit, which it gives back when that is due
	phaseCancel
	phaseDone
)

// account is a bot or a person. Its connection's alone, but for solution and solved.
type account struct {
	contestant
	number   int
	phase    phase
	due      time.Duration // when its next request is; 0 at once
	click    click
	grab     []byte // a bot's first request, ready to send
	ticket   string
	solution atomic.Pointer[string]
	order    *told
	told     map[string]int64 // by code; a bot's connection's
	person   *person          // nil for a bot
}

// person is one who comes by hand.
type person struct {
	last     string // that they were told of a grab
	missed   bool
	tries    int
	until    time.Duration // patience to hear what became of a grab; 0 = there is none to ask after
	position int           // in line, the last told; 0 none
	solved   chan struct{}
}

// shopping is what a person reads of an answer.
type shopping struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Position int    `json:"position"`
	Ticket   string `json:"ticket"`
	workText
}

// appendNext appends what an account sends next, if anything is due.
func (c *contest) appendNext(b []byte, x *account) []byte {
	if x.due > 0 && c.now() < x.due {
		return b
	}
	switch {
	case x.phase == phaseSolve && x.solution.Load() != nil:
		if x.phase = phaseTicket; *x.solution.Load() == "" {
			x.phase = phaseDone
		}
	case x.phase == phaseHold:
		x.phase = phaseCancel
		c.testimony.sending(x.order, &x.order.cancel, c.now())
	}
	switch x.phase {
	case phaseGrab:
		if x.grab != nil && x.click == 0 && x.ticket == "" {
			return append(b, x.grab...)
		}
		return c.appendGrab(b, x.number, x.click, x.ticket)
	case phaseAsk:
		return c.appendOutcome(b, x.number, x.click)
	case phaseChallenge:
		return c.appendRequest(b, "POST", c.path+"/challenge", x.number, "", nil)
	case phaseTicket:
		return c.appendRequest(b, "POST", c.path+"/ticket", x.number, "",
			[]byte(`{"solution":"`+*x.solution.Load()+`"}`))
	case phaseCancel:
		return c.appendRequest(b, "POST", "/v1/orders/"+x.order.orderNo+"/cancel", x.number, "", nil)
	}
	return b
}

// answered takes the answer to what an account sent, or that there was none.
func (c *contest) answered(x *account, q ask, got reply, err error) {
	switch x.phase {
	case phaseGrab, phaseAsk:
		c.outcome(x, q, got, err)
	case phaseCancel:
		x.due = q.heardAt + 50*time.Millisecond // where it is not clear what became of it
		if err == nil && got.status < 500 && got.status != 202 {
			x.phase = phaseDone
		} else if p := x.person; p != nil {
			if p.tries++; p.tries == c.cfg.Tries+triesFor {
				x.phase = phaseDone
			}
		}
		if got.status == 200 {
			c.testimony.confirmed(x.order, &x.order.cancel, q.heardAt)
		}
	case phaseChallenge, phaseTicket:
		var s shopping
		if err == nil && json.Unmarshal(got.body, &s) != nil {
			s = shopping{} // what can't be read has nothing in it
		}
		switch {
		case s.Challenge != "":
			c.solve(x, s.workText)
		case s.Ticket != "":
			x.phase, x.ticket = phaseGrab, s.Ticket
		default: // why there is none, as it would have been said to the grab
			if x.person != nil && err == nil {
				x.person.last = readAnswer(got).code
				c.weigh(x, q, got)
			}
			c.refused(x, false)
		}
	}
}

// solve hands a challenge to a solver, who has room for all.
func (c *contest) solve(x *account, work workText) {
	x.phase = phaseSolve
	x.solution.Store(nil)
	solvers, done := c.botWork, func(solution string) { x.solution.Store(&solution) }
	if x.person != nil {
		solvers, done = c.peopleWork, func(solution string) {
			x.solution.Store(&solution)
			x.person.solved <- struct{}{}
		}
	}
	solvers.jobs <- solverJob{work, done}
}

// outcome takes what an account was told of its grab.
func (c *contest) outcome(x *account, q ask, got reply, err error) {
	if err == nil && q.polled && got.status == 404 { // it came to nothing
		c.refused(x, false)
		return
	}
	a, p := answer{code: outcomeUnknown}, x.person
	if err == nil {
		a = readAnswer(got)
	}
	if p == nil {
		x.told[a.code]++
	} else {
		p.last, p.missed = a.code, p.missed || a.code == codeMissed
		if err == nil {
			c.weigh(x, q, got)
		}
	}
	if a.code == codeProcessing {
		a.code = outcomeUnknown // until it says more
	}
	if err == nil || !q.polled { // else it is open already
		if news := c.hear(q, a); news != nil {
			x.order = news
		}
	}
	switch {
	case a.code == codeGranted, a.code == codeLimit:
		x.phase, x.due = phaseHold, q.heardAt+time.Second
		if !x.cancels || x.order == nil {
			x.phase = phaseDone
		}
	case mayChange(a.code):
		x.phase = phaseAsk
		if p != nil {
			c.follow(x, q.heardAt, a.code != outcomeUnknown)
		}
	case a.code == codeTicket && (p == nil || x.ticket == ""):
		x.phase = phaseChallenge
	case a.code == codeEnded && p != nil:
		x.phase = phaseDone
	default:
		c.refused(x, q.polled)
	}
}

// follow has a person ask every second what became of a grab, for as long as their
// patience lasts. placed: they have a place in line or in a draw.
func (c *contest) follow(x *account, now time.Duration, placed bool) {
	p := x.person
	if p.until == 0 {
		p.until = now + c.cfg.Patience
	}
	x.due = now + time.Second
	switch {
	case now < p.until:
	case placed:
		x.phase = phaseDone
	default:
		c.refused(x, false)
	}
}

// refused has a bot grab again at once, with another key if the old one led to a no, and
// a person a second or two later, if they have not asked often enough.
func (c *contest) refused(x *account, oldKey bool) {
	x.phase = phaseGrab
	if p := x.person; p != nil {
		p.until = 0
		if p.tries++; p.tries == c.cfg.Tries {
			x.phase = phaseDone
		}
		x.click, x.due = click(p.tries), c.now()+time.Second+x.dice.upTo(time.Second)
	} else if oldKey && x.click < clickUntold-1 {
		x.click++
	}
}

// weigh has the words of an answer to a person judged.
func (c *contest) weigh(x *account, q ask, got reply) {
	var s shopping
	if json.Unmarshal(got.body, &s) != nil {
		s = shopping{}
	}
	who, p := c.crowd.cfg.shopper(x.number), x.person
	c.judge.weigh(verdictOn{
		who: who, status: got.status, body: got.body, said: s, ticket: x.ticket != "",
		holds: x.order != nil, mayHold: c.testimony.owed(x.number), sentAt: q.sentAt, heardAt: q.heardAt,
	})
	if s.Position > 0 {
		if p.position > 0 && s.Position > p.position {
			c.findings.add(checkLineMoves, "%s was told a place further back than before", who)
		}
		p.position = s.Position
	}
}

// visit is a person's whole part in a contest.
func (c *contest) visit(ctx context.Context, n int) {
	p := &person{solved: make(chan struct{}, 1)}
	x := &account{contestant: c.contestant(n), number: n, person: p}
	x.due = x.arrives
	line := newConn(c.crowd.cfg.Addrs, n, c.cfg.Timeout)
	defer line.close()
	for x.phase != phaseDone && c.await(ctx, x.due) {
		if x.phase == phaseSolve {
			select {
			case <-p.solved:
			case <-ctx.Done():
			}
		}
		request := c.appendNext(nil, x)
		if len(request) == 0 {
			continue
		}
		q := ask{shopper: n, click: x.click, sentAt: c.now(), polled: x.phase == phaseAsk}
		grabs := x.phase == phaseGrab
		got, err := line.roundTrip(request)
		q.heardAt, q.by = c.now(), line.addr()
		if grabs && err == nil {
			c.mu.Lock()
			record(c.wait, q.heardAt-q.sentAt)
			c.mu.Unlock()
		}
		c.answered(x, q, got, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people[p.last]++
	if p.missed {
		c.missed++
	}
}

// botConn is one connection with the bots that use it.
type botConn struct {
	*contest
	conn *conn
	bots []*account
	next int
	sent []*account // under way, in this sequence
	buf  []byte
}

// runBots sends over connection i of all until the requests are used up.
func (c *contest) runBots(ctx context.Context, i int) {
	b, told := &botConn{contest: c, conn: newConn(c.crowd.cfg.Addrs, i, c.cfg.Timeout)}, map[string]int64{}
	defer b.conn.close()
	for n := c.cfg.People + i; n < c.cfg.People+c.cfg.Bots; n += c.cfg.BotConnections {
		b.bots = append(b.bots, &account{contestant: c.contestant(n), number: n, grab: c.appendGrab(nil, n, 0, ""),
			told: told})
	}
	if c.await(ctx, -early) {
		b.run(ctx)
	}
	c.mu.Lock()
	for code, n := range told {
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
		x, before := b.bots[b.next], len(b.buf)
		if b.next++; b.next == len(b.bots) {
			b.next = 0
		}
		if b.buf = b.appendNext(b.buf, x); len(b.buf) == before {
			continue
		}
		if b.left.Add(-1) < 0 {
			b.buf = b.buf[:before]
			return
		}
		b.sent = append(b.sent, x)
	}
}

func (b *botConn) exchange() {
	sent := b.now()
	answered := func(x *account, got reply, err error) {
		b.answered(x, ask{x.number, 0, x.click, sent, b.now(), x.phase == phaseAsk, b.conn.addr()}, got, err)
	}
	n, err := b.conn.exchange(b.buf, len(b.sent), func(n int, a reply) { answered(b.sent[n], a, nil) })
	b.botsUntil.Store(int64(b.now())) // of connections that end together; the last one's stays
	for _, x := range b.sent[n:] {    // whatever became of it, it must be asked after
		answered(x, reply{}, err)
	}
}
