package httpapi

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/challenge"
)

// solution is the body of a request for a ticket.
type solution struct {
	Solution string `json:"solution"` // of work
	Token    string `json:"token"`    // of an image
	Answer   string `json:"answer"`
}

// giveChallenge gives something to solve for a ticket, once the listing is open.
// It gives it also where no challenge is asked for: some shoppers may need one
// yet, and nobody shall find out who.
func (s *ShopperServer) giveChallenge(ctx *fasthttp.RequestCtx, listing []byte) {
	call, rules, ok := s.beforeTickets(ctx, listing)
	if !ok {
		return
	}
	defer s.done(call)
	g, now := s.guard, time.Now()
	var body []byte
	var err error
	if rules.Challenge == engine.ChallengeImage {
		wait, stop := s.commandContext()
		defer stop()
		leave, why := g.images.enter(wait, string(call.grab.Shopper), call.visitor.Addr)
		switch {
		case leave != nil:
			defer leave()
		case why == tooOften:
			s.problem(ctx, why, "An image is being drawn for you already. Wait for it.")
			return
		default:
			s.problem(ctx, why, "Too many images are asked for. Ask again in a moment.")
			return
		}
		var made challenge.Image
		if made, err = g.challenges.MakeImage(call.grab.Shopper, listing, now); err == nil {
			body, err = json.Marshal(struct {
				Type string `json:"type"`
				challenge.Image
			}{"image", made})
			g.counts.made[engine.ChallengeImage].Add(1)
		}
	} else {
		var made challenge.Work
		if made, err = g.challenges.MakeWork(call.grab.Shopper, listing, now); err == nil {
			body, err = json.Marshal(struct {
				Type string `json:"type"`
				challenge.Work
			}{"work", made})
			g.counts.made[engine.ChallengeWork].Add(1)
		}
	}
	if err != nil {
		s.failed(ctx, err)
		return
	}
	uncached(ctx, body)
}

// giveTicket gives a ticket, for a solution where a challenge is asked for. The
// same challenge solved again gives a ticket with the same id: one use in all.
func (s *ShopperServer) giveTicket(ctx *fasthttp.RequestCtx, listing []byte) {
	var sent solution
	if body := ctx.Request.Body(); len(body) > 0 {
		if wrong := decodeStrictly(body, &sent); wrong != "" {
			s.problem(ctx, malformed, wrong)
			return
		}
	}
	if sent.Solution != "" && sent.Token != "" {
		s.problem(ctx, malformed, "Both a solution and a token: a solution is of work, a token and an answer are of "+
			"an image.")
		return
	}
	call, rules, ok := s.beforeTickets(ctx, listing)
	if !ok {
		return
	}
	defer s.done(call)
	g, now := s.guard, time.Now()
	asks := toSolve(rules, s.seller.Switches(), s.seller.Risk(&call.visitor))
	id, by, err := uint64(0), engine.ChallengeNone, error(nil)
	switch {
	case sent.Token != "":
		by = engine.ChallengeImage
		id, err = g.challenges.CheckImage([]byte(sent.Token), []byte(sent.Answer), call.grab.Shopper, listing, now)
	case sent.Solution != "" && asks != engine.ChallengeImage:
		by = engine.ChallengeWork
		id, err = g.challenges.CheckWork([]byte(sent.Solution), call.grab.Shopper, listing, now)
	case asks != engine.ChallengeNone:
		call.asks = asks
		call.answer = engine.Answer{Code: engine.CodeTicketRequired, Reason: engine.ReasonTicketMissing}
		s.answer(&ctx.Response, call, nil)
		return
	}
	if err != nil {
		g.counts.solutions[solutionKindOf(err)].Add(1)
		s.problem(ctx, badSolution, solutionWords(err))
		return
	}
	if by != engine.ChallengeNone {
		id |= solved
	}
	for id == 0 { // nothing was to be solved
		id = rand.Uint64() &^ solved
	}
	expires := now.Add(g.ttl).Truncate(time.Millisecond)
	b := append([]byte(nil), `{"ticket":"`...)
	b = g.tickets.Issue(b, call.grab.Shopper, listing, id, expires)
	b = append(b, `","expires_at":`...)
	b = appendTime(b, engine.TimeOf(expires))
	g.counts.issued[by].Add(1)
	uncached(ctx, append(b, '}'))
}

// solutionWords says what is wrong with a solution, and what to do. Whether a
// challenge was forged or borrowed helps only whoever tries.
func solutionWords(err error) string {
	switch {
	case errors.Is(err, challenge.ErrWrong):
		return "It is not the solution. Look again, or get another challenge."
	case errors.Is(err, challenge.ErrExpired):
		return "The challenge has expired. Get another one."
	case errors.Is(err, challenge.ErrSpent):
		return "There were too many wrong answers to this image. Get another one."
	}
	return "It is no solution of a challenge that was given to you for this listing. Get another one."
}

// beforeTickets does what comes before challenges and tickets; ok is false if
// that was the answer. They are given out only where a grab has something to hope
// for: the answer is the grab's otherwise.
func (s *ShopperServer) beforeTickets(ctx *fasthttp.RequestCtx, listing []byte) (call *grabCall, rules engine.DoorRules,
	ok bool) {
	who, ok := s.whoAsks(ctx)
	if !ok {
		return nil, rules, false
	}
	call, rules = s.callFor(ctx, &who, listing), s.seller.DoorRules(listing)
	s.guard.lookAt(call)
	if why := closed(rules); why != engine.ReasonNone {
		call.answer = engine.Answer{Code: engine.CodeOf(why), Reason: why, Session: rules.Session}
		if why == engine.ReasonNotOpen {
			call.answer.Start = rules.Start
		}
		s.answer(&ctx.Response, call, nil)
	} else if now := time.Now(); s.guard.overRate(call, now) {
		s.problem(ctx, tooOften, "Ask for a challenge or a ticket again in a moment.")
	} else if !s.guard.knowsSecret() {
		s.problem(ctx, unavailable, "This node can't give out tickets yet. Ask again in a moment.")
	} else {
		s.guard.visitors.note(&call.visitor, now)
		return call, rules, true
	}
	s.done(call)
	return nil, rules, false
}

// closed tells why a listing has no use for tickets. What would be told as missed
// is not told here: the grab that comes of the ticket hears of it.
func closed(rules engine.DoorRules) engine.Reason {
	switch {
	case rules.Session == 0:
		return engine.ReasonUnknown
	case engine.CodeOf(rules.Closed) == engine.CodeMissed:
		return engine.ReasonNone
	}
	return rules.Closed
}
