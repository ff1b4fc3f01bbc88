package bench

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// person is one who comes by hand.
type person struct {
	*contest
	number   int
	who      contestant
	conn     *conn
	ticket   string
	order    *told
	position int // the last told; 0 none
	last     string
	missed   bool
}

// shopping is what a person reads of an answer.
type shopping struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Position int    `json:"position"`
	Ticket   string `json:"ticket"`
	workText
}

// visit is a person's whole part in a contest.
func (c *contest) visit(ctx context.Context, n int) {
	p := &person{contest: c, number: n, who: c.contestant(n), conn: newConn(c.crowd.cfg.Addrs, n, c.cfg.Timeout)}
	defer p.conn.close()
	if p.await(ctx, p.who.arrives) {
		p.shop(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people[p.last]++
	if p.missed {
		c.missed++
	}
}

// shop asks until the person has a unit, or has asked often enough.
func (p *person) shop(ctx context.Context) {
	for try := range p.cfg.Tries {
		if try > 0 && !p.pause(ctx) {
			return
		}
		k := click(try)
		code := p.grab(ctx, k)
		if mayChange(code) || code == codeProcessing {
			code = p.follow(ctx, k)
		}
		switch code {
		case codeGranted:
			if p.order != nil && p.who.cancels && p.await(ctx, p.now()+time.Second) {
				p.cancel()
			}
			return
		case codeWaitlisted, codeEntered, codeLimit, codeEnded:
			return
		}
	}
}

// pause is a second or two.
func (p *person) pause(ctx context.Context) bool {
	return p.await(ctx, p.now()+time.Second+p.who.dice.upTo(time.Second))
}

// grab asks for a unit, and gets a ticket where one is asked for.
func (p *person) grab(ctx context.Context, k click) (code string) {
	sent := p.now()
	got, err := p.conn.roundTrip(p.appendGrab(nil, p.number, k, p.ticket))
	heard := p.now()
	code = p.told(ask{p.number, 0, k, sent, heard, false, p.conn.addr()}, got, err)
	if err == nil {
		p.mu.Lock()
		record(p.wait, heard-sent)
		p.mu.Unlock()
	}
	if code != codeTicket || p.ticket != "" {
		return code
	}
	switch err := p.getTicket(ctx); {
	case errors.Is(err, errClosed):
		return p.last
	case err != nil:
		return outcomeUnknown
	}
	return p.grab(ctx, k)
}

// told takes what the person was told of a grab.
func (p *person) told(q ask, got reply, err error) (code string) {
	a := answer{code: outcomeUnknown}
	if err == nil {
		a = readAnswer(got)
		p.weigh(q, got)
	}
	p.last = a.code
	p.missed = p.missed || a.code == codeMissed
	if a.code == codeProcessing {
		a.code = outcomeUnknown
	}
	if news := p.hear(q, a); news != nil {
		p.order = news
	}
	return p.last
}

// weigh has the words of an answer judged.
func (p *person) weigh(q ask, got reply) {
	var s shopping
	if json.Unmarshal(got.body, &s) != nil {
		s = shopping{}
	}
	p.judge.weigh(verdictOn{
		who: p.crowd.cfg.shopper(p.number), status: got.status, body: got.body, said: s, ticket: p.ticket != "",
		holds: p.order != nil, mayHold: p.witness.owed(p.number),
		sentAt: q.sentAt, heardAt: q.heardAt,
	})
	if s.Position > 0 {
		if p.position > 0 && s.Position > p.position {
			p.findings.add(checkLineMoves, "%s was told a place further back than before",
				p.crowd.cfg.shopper(p.number))
		}
		p.position = s.Position
	}
}

// follow asks every second what became of a grab, for as long as the person's
// patience lasts, and gives the last that was said.
func (p *person) follow(ctx context.Context, k click) (code string) {
	code = p.last
	for until := p.now() + p.cfg.Patience; p.now() < until && p.await(ctx, p.now()+time.Second); {
		sent := p.now()
		got, err := p.conn.roundTrip(p.appendOutcome(nil, p.number, k))
		if err == nil && got.status == 404 { // it came to nothing
			return outcomeUnknown
		}
		code = p.told(ask{p.number, 0, k, sent, p.now(), true, p.conn.addr()}, got, err)
		if !mayChange(code) && code != codeProcessing {
			return code
		}
	}
	return code
}

// getTicket solves a challenge for one. errClosed: the shop said instead why there
// is none, as it would have to the grab.
func (p *person) getTicket(ctx context.Context) error {
	post := func(what string, body []byte) (s shopping, err error) {
		sent := p.now()
		got, err := p.conn.roundTrip(p.appendRequest(nil, "POST", p.path+"/"+what, p.number, "", body))
		if err != nil {
			return s, err
		}
		_ = json.Unmarshal(got.body, &s) // what can't be read has nothing in it
		if s.Ticket == "" && s.Challenge == "" {
			p.last = readAnswer(got).code
			p.weigh(ask{p.number, 0, 0, sent, p.now(), false, p.conn.addr()}, got)
			return s, errClosed
		}
		return s, nil
	}
	s, err := post("challenge", nil)
	if err != nil {
		return err
	}
	solved := make(chan string, 1)
	// has room for every person
	p.peopleWork.jobs <- solverJob{s.workText, func(solution string) { solved <- solution }}
	var solution string
	select {
	case solution = <-solved:
	case <-ctx.Done():
		return ctx.Err()
	}
	if s, err = post("ticket", []byte(`{"solution":"`+solution+`"}`)); err != nil {
		return err
	}
	p.ticket = s.Ticket
	return nil
}

func (p *person) cancel() {
	p.witness.sending(p.order, &p.order.cancel, p.now())
	for range triesFor {
		got, err := p.conn.roundTrip(p.appendRequest(nil, "POST",
			"/v1/orders/"+p.order.orderNo+"/cancel", p.number, "", nil))
		if err == nil && got.status < 500 && got.status != 202 {
			if got.status == 200 {
				p.witness.confirmed(p.order, &p.order.cancel, p.now())
			}
			return
		}
	}
}
