package httpapi

import (
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// reserve registers a shopper for a listing before its start (201, 200 if they were
// already), or takes that back (204).
func (s *ShopperServer) reserve(ctx *fasthttp.RequestCtx, shopper, session, sku string, withdraw bool) {
	wait, stop := s.commandContext()
	defer stop()
	changed, err := s.seller.Reserve(wait, shopper, session, sku, withdraw)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown:
		s.nothingToReserve(ctx, session, sku)
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonTooLate:
		s.problem(ctx, conflict, "The session has started: reservations were taken, and given up, before that.")
	case err != nil:
		s.failed(ctx, err)
	case withdraw:
		ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
		ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	default:
		listing := session + "/skus/" + sku
		b := appendString([]byte(`{"session":`), session)
		b = append(b, `,"sku":`...)
		b = appendString(b, sku)
		b = append(b, `,"reserved":true,"start":`...)
		b = appendTime(b, s.seller.DoorRules([]byte(listing)).Start)
		uncached(ctx, append(b, '}'))
		if changed {
			ctx.Response.SetStatusCode(fasthttp.StatusCreated)
		}
	}
}

// nothingToReserve tells a listing that asks for no reservation from none at all.
func (s *ShopperServer) nothingToReserve(ctx *fasthttp.RequestCtx, session, sku string) {
	v, known, err := s.seller.Listing(session, sku)
	switch {
	case err != nil:
		s.failed(ctx, err)
	case known && !v.Reservation:
		s.problem(ctx, conflict, "This listing asks for no reservation: everybody may grab once it is open.")
	default:
		s.problem(ctx, unknownListing, noSuchListing)
	}
}

const noSuchListing = "No session offers this SKU. The sessions are listed at /v1/sessions."

// leaveLine gives up the place in line or in a draw that a key led to.
func (s *ShopperServer) leaveLine(ctx *fasthttp.RequestCtx, shopper, escaped []byte) {
	key, ok := unescape(escaped)
	if !ok || !engine.ValidKey(key) {
		s.problem(ctx, malformed, badKey)
		return
	}
	wait, stop := s.commandContext()
	defer stop()
	o, err := s.seller.LeaveWaitlist(wait, shopper, key)
	var refusal *engine.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown:
		s.problem(ctx, unknownKey, "No place of yours in a line or a draw was taken with this key.")
	case errors.As(err, &refusal) && refusal.Reason == engine.ReasonNotHeld && refusal.State == engine.Held:
		s.problem(ctx, notHeld, "The grab was granted: there is no place to give up. Cancel the order instead.")
	default:
		s.orderOrError(ctx, &o, err)
	}
}

// entriesQuery is which entries of a draw are asked for.
type entriesQuery struct {
	wordsQuery        // there are none in it; whoever asks for all pages alike may
	Cursor     string `query:"cursor" as:"row"`               // From the page before.
	Limit      int    `query:"limit" usual:"500" most:"5000"` // Entries a page.
}

// draw shows a listing's draw: the commitment to its seed, and once it has closed
// the seed and all who entered, so that anybody can draw again.
func (s *ShopperServer) draw(ctx *fasthttp.RequestCtx, session, sku string) {
	var q entriesQuery
	if !askedFor(s, ctx, routeDraw, &q) {
		return
	}
	if s.looksTooOften(ctx) {
		return
	}
	v, err := s.seller.Draw(session, sku, q.Cursor, q.Limit)
	var refusal *engine.Refusal
	if errors.As(err, &refusal) && refusal.Reason == engine.ReasonUnknown {
		s.problem(ctx, unknownListing, "No session offers this SKU by a draw. The sessions are listed at /v1/sessions.")
		return
	}
	if err != nil {
		s.failed(ctx, err)
		return
	}
	b := appendString([]byte(`{"session":`), v.Session)
	b = append(b, `,"sku":`...)
	b = appendString(b, v.SKU)
	b = append(b, `,"stock":`...)
	b = strconv.AppendInt(b, v.Stock, 10)
	b = append(b, `,"undecided":`...)
	b = strconv.AppendInt(b, v.Entrants, 10)
	b = append(b, ',')
	b = appendDraw(b, v.State, v.DrawAt, v.Commitment, v.Seed, v.Revealed)
	if v.Revealed {
		b = append(b, `,"entries":[`...)
		for i := range v.Entries {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendEntry(b, &v.Entries[i])
		}
		b = append(b, ']')
	}
	if v.Next != "" {
		b = append(b, `,"cursor":`...)
		b = appendString(b, v.Next)
	}
	s.display(ctx, newPage(0, b), false, false)
}

// appendDraw appends what is told of any draw.
func appendDraw(b []byte, state engine.DrawState, at engine.Time, commitment, seed [32]byte, revealed bool) []byte {
	b = append(b, `"state":"`...)
	b = append(b, state.String()...)
	b = append(b, `","commitment":"`...)
	b = hex.AppendEncode(b, commitment[:])
	b = append(b, '"')
	if at != 0 {
		b = append(b, `,"draw_at":`...)
		b = appendTime(b, at)
	}
	if revealed {
		b = append(b, `,"seed":"`...)
		b = hex.AppendEncode(b, seed[:])
		b = append(b, '"')
	}
	return b
}

// appendEntry appends an entrant. Why they were passed is told in the words that they
// were told themselves.
func appendEntry(b []byte, e *engine.DrawEntry) []byte {
	b = append(b, `{"order_no":`...)
	b = appendString(b, e.OrderNo)
	b = append(b, `,"quantity":`...)
	b = strconv.AppendUint(b, uint64(e.Quantity), 10)
	b = append(b, `,"late":`...)
	b = strconv.AppendBool(b, e.Late)
	b = append(b, `,"state":"`...)
	b = append(b, e.State.String()...)
	b = append(b, '"')
	if e.State == engine.Left || e.State == engine.Passed {
		b = append(b, `,"why":"`...)
		b = append(b, engine.CodeOfPlace(e.Why).String()...)
		b = append(b, '"')
	}
	return append(b, '}')
}

// appendRules appends what a listing asks of shoppers beyond being there in time,
// and nothing for one that asks for nothing.
func appendRules(b []byte, v *engine.ListingView) []byte {
	if v.LimitPerMonth > 0 {
		b = append(b, `,"limit_per_month":`...)
		b = strconv.AppendUint(b, uint64(v.LimitPerMonth), 10)
	}
	for _, rule := range [...]struct {
		is   bool
		says string
	}{
		{v.Reservation, `,"reservation":true`}, {v.AllowList, `,"allow_list":true`}, {v.Waitlist, `,"waitlist":true`},
		{v.Ticket, `,"ticket":true`},
	} {
		if rule.is {
			b = append(b, rule.says...)
		}
	}
	if v.Challenge != engine.ChallengeNone {
		b = append(b, `,"challenge":"`...)
		b = append(b, v.Challenge.String()...)
		b = append(b, '"')
	}
	if v.Draw > 0 {
		b = append(b, `,"draw":{`...)
		b = appendDraw(b, v.DrawState, v.DrawAt, v.Commitment, v.Seed, v.Seed != [32]byte{})
		b = append(b, '}')
	}
	return b
}
