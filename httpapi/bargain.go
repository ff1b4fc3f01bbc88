package httpapi

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/messages"
)

const noSuchBargain = "No bargain has this code. Whoever started it has the right one."

// bargainWords are the code of an answer about a bargain, and the message that goes with it.
type bargainWords struct {
	code string
	says messages.Message
}

var (
	bargainStarted = bargainWords{"started", messages.Started}
	bargainCut     = bargainWords{"cut", messages.Cut}
	bargainUnsure  = bargainWords{engine.CodeProcessing.String(), messages.Checking}
)

// bargainRefusals are the words for what keeps a bargain from being started or cut, where
// they are not those of a grab.
var bargainRefusals = map[engine.Reason]bargainWords{
	engine.ReasonHelped:       {"already_helped", messages.AlreadyHelped},
	engine.ReasonOwnBargain:   {"own_bargain", messages.OwnBargain},
	engine.ReasonBargainOver:  {"bargain_over", messages.BargainOver},
	engine.ReasonBought:       {"bargain_over", messages.BargainOver},
	engine.ReasonFloor:        {"floor_reached", messages.FloorReached},
	engine.ReasonHelpsToday:   {"helps_used_up", messages.HelpsUsedUp},
	engine.ReasonLimitListing: {engine.CodeLimitReached.String(), messages.AtLimit},
	engine.ReasonLimitSession: {engine.CodeLimitReached.String(), messages.AtLimit},
	engine.ReasonLimitMonth:   {engine.CodeLimitReached.String(), messages.AtLimit},
	engine.ReasonReleases:     {engine.CodeLimitReached.String(), messages.AtLimit},
}

// bargainAsk is one request about a bargain, on its way to an answer.
type bargainAsk struct {
	*grabCall // who asks, for the guard; its grab names the listing, and asks for nothing
	counts    bargainCounts
	shopper   string
	amount    int64               // that a friend took off; 0 if they did not
	bargain   *engine.BargainView // nil: there is none to tell of
}

// startBargain begins a shopper's bargain on a listing, or gives the one that they have.
func (s *ShopperServer) startBargain(ctx *fasthttp.RequestCtx, m matched) {
	a, ok := s.asksOfBargain(ctx, m.listing, s.bargains.starts)
	if !ok {
		return
	}
	defer s.done(a.grabCall)
	rules := s.seller.DoorRules(m.listing)
	s.guard.lookAt(a.grabCall)
	if now := time.Now(); s.guard.overRate(a.grabCall, now) {
		s.noBargain(a, engine.ReasonRate)
		return
	} else if why := hopeless(rules); why != engine.ReasonNone {
		s.noBargain(a, why)
		return
	} else if why = s.guard.vet(&a.grab, a.grabCall, rules, now); why != engine.ReasonNone {
		s.noBargain(a, why)
		return
	}
	wait, stop := s.commandContext()
	defer stop()
	v, err := s.seller.StartBargain(wait, a.shopper, string(m.session), string(m.sku))
	did := bargainStarted
	if err == nil {
		if a.bargain = &v; v.State != engine.BargainOpen { // they have had theirs
			did = bargainRefusals[engine.ReasonBargainOver]
		}
	}
	s.cameOf(a, did, err)
}

// cutBargain has a friend cut a bargain.
func (s *ShopperServer) cutBargain(ctx *fasthttp.RequestCtx, name []byte) {
	a, ok := s.asksOfBargain(ctx, nil, s.bargains.cuts)
	if !ok {
		return
	}
	defer s.done(a.grabCall)
	if a.minted {
		ctx.Response.Header.SetCanonical(headerIdempotencyKey, a.grab.IdempotencyKey)
	}
	before, ok := s.findBargain(ctx, name, a.shopper)
	if !ok {
		return
	}
	a.grab.Listing, a.bargain, a.amount = listingOf(&before), &before, before.Helped.Amount
	if why := s.mayCut(a); why != engine.ReasonNone {
		s.noBargain(a, why)
		return
	}
	wait, stop := s.commandContext()
	defer stop()
	cut, after, err := s.seller.CutBargain(wait, a.shopper, before.Code, a.grab.IdempotencyKey)
	if after.Code != "" {
		a.bargain = &after
	}
	a.amount = cut.Amount
	s.cameOf(a, bargainCut, err)
}

// mayCut tells why a cut is not let in, or ReasonNone. Who has helped before is: they are
// to hear of their cut, by the same key as before.
func (s *ShopperServer) mayCut(a *bargainAsk) engine.Reason {
	g, v, now := s.guard, a.bargain, time.Now()
	rules, helped := s.seller.DoorRules(a.grab.Listing), v.Helped.Number != 0
	g.lookAt(a.grabCall)
	over := g.overRate(a.grabCall, now)
	switch why := hopeless(rules); {
	case over && helped:
		return engine.ReasonHelped
	case over:
		return engine.ReasonRate
	case v.Owner == a.shopper:
		return engine.ReasonOwnBargain
	case helped:
		return engine.ReasonNone
	case why != engine.ReasonNone:
		return why
	case v.State != engine.BargainOpen:
		return engine.ReasonBargainOver
	case v.Price <= v.Floor:
		return engine.ReasonFloor
	}
	return g.vet(&a.grab, a.grabCall, rules, now)
}

// hopeless tells why no bargain can be started or cut on a listing, whoever asks;
// ReasonNone where its state lets them try. That all is sold out keeps nobody from what
// they have started.
func hopeless(rules engine.DoorRules) engine.Reason {
	why := closed(rules)
	if code := engine.CodeOf(why); code == engine.CodeNotOpen || code == engine.CodeEnded ||
		why == engine.ReasonUnknown {
		return why
	}
	return engine.ReasonNone
}

// buy buys by the shopper's own bargain: it is a grab.
func (s *ShopperServer) buy(ctx *fasthttp.RequestCtx, name []byte) {
	who, ok := s.whoAsks(ctx)
	if !ok {
		return
	}
	call := s.callFor(ctx, &who, nil)
	if kind, wrong := call.take((*grabCall).readTicket); wrong != "" {
		s.problem(ctx, kind, wrong)
		s.done(call)
		return
	}
	v, ok := s.findBargain(ctx, name, string(who.Subject))
	if ok && v.Owner != string(who.Subject) {
		s.problem(ctx, unknownBargain, noSuchBargain)
		ok = false
	}
	if !ok {
		s.done(call)
		return
	}
	call.grab.Listing, call.grab.Bargain = listingOf(&v), v.Ref.Ordinal
	s.decide(call)
}

// bargain shows a bargain to anybody, with what is their own of it.
func (s *ShopperServer) bargain(ctx *fasthttp.RequestCtx, name []byte) {
	who, ok := s.mayAsk(ctx)
	if !ok || s.looksTooOften(ctx) {
		return
	}
	asker := string(who.Subject)
	v, ok := s.findBargain(ctx, name, asker)
	switch {
	case !ok:
	case !bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), []byte(eventStreamType)):
		uncached(ctx, s.appendBargain(nil, &v, asker))
	case s.isOver(&v) && len(ctx.Request.Header.Peek("Last-Event-ID")) > 0: // told, and nothing follows
		ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
		ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	default:
		s.stream(ctx, &who, func() (<-chan struct{}, func()) { return s.seller.WatchBargain(v.Code) },
			&bargainEvents{code: v.Code, asker: asker})
	}
}

// isOver reports whether a bargain can't change any more.
func (s *ShopperServer) isOver(v *engine.BargainView) bool {
	return v.State == engine.BargainEnded || v.State == engine.BargainExpired || v.Expires <= s.seller.Now()
}

// bargainEvents tells a stream of a bargain as it changes, and ends it with the bargain.
type bargainEvents struct {
	code, asker string
	told        []byte
	expires     engine.Time
	bought      bool
}

func (e *bargainEvents) look(ctx context.Context, x *eventStream) (over bool, err error) {
	s := x.server
	v, err := s.seller.Bargain(ctx, e.code, e.asker)
	if reasonOf(err) == engine.ReasonUnknown { // it left with its session
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if now := s.appendBargainUntimed(nil, &v, e.asker); !bytes.Equal(now, e.told) {
		e.told = now
		x.begin("bargain")
		x.b = append(s.appendNow(append(x.b, now...)), "\n\n"...)
	}
	e.expires, e.bought = v.Expires, v.State == engine.BargainBought
	return s.isOver(&v), nil
}

// moves is true of one bought, too: the order that it was bought by lives on without it.
func (e *bargainEvents) moves(now engine.Time) bool { return e.bought || now >= e.expires }

// asksOfBargain reads what the requests have in common that start or cut a bargain. ok is
// false if it has answered what is wrong with that.
func (s *ShopperServer) asksOfBargain(ctx *fasthttp.RequestCtx, listing []byte, counts bargainCounts) (a *bargainAsk,
	ok bool) {
	who, ok := s.whoAsks(ctx)
	if !ok {
		return nil, false
	}
	call := s.callFor(ctx, &who, listing)
	if kind, wrong := call.take((*grabCall).readTicket); wrong != "" {
		s.problem(ctx, kind, wrong)
		s.done(call)
		return nil, false
	}
	call.answer = engine.Answer{}
	return &bargainAsk{grabCall: call, counts: counts, shopper: string(who.Subject)}, true
}

// findBargain gives the bargain that a path names, or answers that there is none and gives
// false.
func (s *ShopperServer) findBargain(ctx *fasthttp.RequestCtx, name []byte, asker string) (v engine.BargainView,
	ok bool) {
	wait, stop := s.commandContext()
	defer stop()
	err := error(&engine.Refusal{Reason: engine.ReasonUnknown})
	if len(name) == engine.BargainCodeBytes {
		v, err = s.seller.Bargain(wait, string(bytes.ToUpper(name)), asker)
	}
	switch {
	case reasonOf(err) == engine.ReasonUnknown:
		s.problem(ctx, unknownBargain, noSuchBargain)
	case err != nil:
		s.failed(ctx, err)
	}
	return v, err == nil
}

// reasonOf gives the reason of a refusal; ReasonNone if err is none.
func reasonOf(err error) engine.Reason {
	var refusal *engine.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return engine.ReasonNone
}

// listingOf names a bargain's listing, as a grab does.
func listingOf(v *engine.BargainView) []byte { return []byte(v.Session + "/skus/" + v.SKU) }

// cameOf answers what came of starting or cutting a bargain: did, or an error.
func (s *ShopperServer) cameOf(a *bargainAsk, did bargainWords, err error) {
	switch why := reasonOf(err); {
	case err == nil:
		s.tellBargain(a, did)
	case why == engine.ReasonUnknown || why != engine.ReasonNone && engine.CodeOf(why) != engine.CodeRefused:
		s.noBargain(a, why)
	case unknownOutcome(err):
		s.tellBargain(a, bargainUnsure)
	default:
		s.failed(a.ctx, err)
	}
}

// noBargain answers why a bargain was not started, or not cut.
func (s *ShopperServer) noBargain(a *bargainAsk, why engine.Reason) {
	switch {
	case why == engine.ReasonUnknown && a.bargain != nil:
		s.problem(a.ctx, unknownBargain, noSuchBargain)
		return
	case why == engine.ReasonUnknown:
		s.problem(a.ctx, unknownListing, "No session offers this SKU by a bargain. The sessions are listed at "+
			"/v1/sessions.")
		return
	case why != engine.ReasonHelped:
		a.amount = 0
	}
	words, own := bargainRefusals[why]
	a.answer.Reason = why
	if !own {
		switch a.answer.Code = engine.CodeOf(why); a.answer.Code {
		case engine.CodeMissed: // whatever is behind it, the answer is the same
			a.bargain = nil
		case engine.CodeNotOpen:
			a.answer.Start = s.seller.DoorRules(a.grab.Listing).Start
		}
		words = bargainWords{a.answer.Code.String(), messageFor(&a.answer, 0)}
	}
	s.tellBargain(a, words)
}

// tellBargain answers with words, with what a grab's answer would have besides, and with
// the bargain as it is.
func (s *ShopperServer) tellBargain(a *bargainAsk, words bargainWords) {
	a.counts.add(words.code)
	r := &a.ctx.Response
	said, zone := s.wordingOf(a.grab.Listing, 0)
	filled := telling{answer: &a.answer, now: s.seller.Now(), zone: zone}
	a.answer.Amount = a.amount
	if a.bargain != nil {
		filled.currency = a.bargain.Currency
	}
	b := append(append([]byte(`{"code":"`), words.code...), `","message":"`...)
	b = append(said.append(b, words.says, a.in, filled), '"')
	b = s.appendOutcome(b, r, a.grabCall, nil)
	if a.amount != 0 {
		b = strconv.AppendInt(append(b, `,"amount":`...), a.amount, 10)
	}
	if words == bargainUnsure {
		r.SetStatusCode(fasthttp.StatusAccepted)
		r.Header.Set("Retry-After", retrySeconds)
	}
	if words == bargainUnsure && a.bargain != nil {
		at := "/v1/bargains/" + a.bargain.Code
		r.Header.Set("Location", at)
		b = appendString(append(b, `,"result_url":`...), at)
	}
	if a.bargain != nil {
		b = s.appendBargain(append(b, `,"bargain":`...), a.bargain, a.shopper)
	}
	uncached(a.ctx, append(b, '}'))
}

// appendBargain appends a bargain as asker may see it.
func (s *ShopperServer) appendBargain(b []byte, v *engine.BargainView, asker string) []byte {
	return s.appendNow(s.appendBargainUntimed(b, v, asker))
}

// appendNow ends an object with the server's time.
func (s *ShopperServer) appendNow(b []byte) []byte {
	return append(appendTime(append(b, `,"server_time":`...), s.seller.Now()), '}')
}

// appendBargainUntimed is appendBargain up to the server's time, which alone makes it no
// other.
func (s *ShopperServer) appendBargainUntimed(b []byte, v *engine.BargainView, asker string) []byte {
	for _, text := range [...]struct{ member, value string }{{`{"code":`, v.Code}, {`,"session":`, v.Session},
		{`,"sku":`, v.SKU}, {`,"state":`, v.State.String()}, {`,"currency":`, v.Currency}} {
		b = appendString(append(b, text.member...), text.value)
	}
	for _, n := range [...]struct {
		member string
		value  int64
	}{{`,"start_price":`, v.From}, {`,"price":`, v.Price}, {`,"floor":`, v.Floor}, {`,"cuts":`, int64(v.Cuts)},
		{`,"friends":`, int64(v.Friends)}} {
		b = strconv.AppendInt(append(b, n.member...), n.value, 10)
	}
	b = appendTime(append(b, `,"expires_at":`...), v.Expires)
	b = append(b, `,"recent":[`...)
	for i := range v.Recent {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCut(b, &v.Recent[i])
	}
	b = hex.AppendEncode(append(b, `],"commitment":"`...), v.Commitment[:])
	if v.Revealed {
		b = hex.AppendEncode(append(b, `","seed":"`...), v.Seed[:])
	}
	b = append(b, '"')
	if asker == "" {
		return b
	}
	if v.Helped.Number != 0 {
		b = appendCut(append(b, `,"helped":`...), &v.Helped)
	}
	if v.Owner != asker {
		return b
	}
	b = append(b, `,"mine":true`...)
	if v.OrderNo == "" {
		return b
	}
	if o, err := s.seller.Order(asker, v.OrderNo); err == nil { // else the next look may have it
		b = s.appendOrder(append(b, `,"order":`...), &o)
	}
	return b
}

// appendCut appends a cut without who made it.
func appendCut(b []byte, c *engine.CutView) []byte {
	b = strconv.AppendInt(append(b, `{"amount":`...), c.Amount, 10)
	return append(appendTime(append(b, `,"at":`...), c.At), '}')
}

// mayAsk is whoAsks where nobody needs to say who they are.
func (s *ShopperServer) mayAsk(ctx *fasthttp.RequestCtx) (who auth.Bearer, ok bool) {
	header := fasthttp.HeaderAuthorization
	if s.dev {
		header = "X-Shopper-Id"
	}
	if _, headers := oneOf(ctx, header); headers == 0 {
		return auth.Bearer{}, true
	}
	return s.whoAsks(ctx)
}

// appendPlay appends what is public of a listing's play; nothing for a flash sale.
func appendPlay(b []byte, p *engine.Play) []byte {
	if p == nil {
		return b
	}
	number := func(member string, value int64) {
		b = strconv.AppendInt(append(b, member...), value, 10)
	}
	b = appendString(append(b, `,"play":{"kind":`...), p.Name)
	b = appendString(append(b, `,"price":`...), p.Price.Kind.String())
	number(`,"floor":`, p.Price.Floor)
	switch p.Price.Kind {
	case engine.PriceCut:
		number(`,"friends":`, int64(p.Cut.Friends))
		number(`,"window_seconds":`, int64(p.Cut.Window/time.Second))
		if p.Cut.PerDay > 0 {
			number(`,"per_day":`, int64(p.Cut.PerDay))
		}
		b = strconv.AppendBool(append(b, `,"at_floor":`...), p.Cut.AtFloor)
		b = strconv.AppendBool(append(b, `,"unit_set_aside":`...), p.Cut.TakeStock)
	case engine.PriceSteps:
		b = append(b, `,"steps":[`...)
		for i, step := range p.Price.Steps {
			if i > 0 {
				b = append(b, ',')
			}
			number(`{"sold":`, step.Sold)
			number(`,"price":`, step.Price)
			b = append(b, '}')
		}
		b = append(b, ']')
	case engine.PriceClock:
		number(`,"every_seconds":`, int64(p.Price.Every/time.Second))
		number(`,"by":`, p.Price.By)
	}
	if p.Who.FirstOfDay {
		b = append(b, `,"first_of_day":true`...)
	}
	return append(b, '}')
}
