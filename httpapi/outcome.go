package httpapi

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// appendOutcome appends the members that an answer has besides code and message,
// and sets the headers that go with them.
func (s *ShopperServer) appendOutcome(b []byte, r *fasthttp.Response, call *grabCall, key []byte) []byte {
	a := &call.answer
	switch a.Code {
	case engine.CodeProcessing:
		b = append(b, `,"result_url":"`...)
		from := len(b)
		b = appendResultURL(b, key, a.Deadline)
		r.SetStatusCode(fasthttp.StatusAccepted)
		r.Header.SetBytesV("Location", b[from:])
		r.Header.Set("Retry-After", retrySeconds)
		b = append(b, '"')
	case engine.CodeNotOpen:
		b = append(b, `,"start":`...)
		b = appendTime(b, a.Start)
		b = s.appendReservation(b, call.grab.Listing)
	case engine.CodeNotReserved:
		b = s.appendReservation(b, call.grab.Listing)
	case engine.CodeTicketRequired:
		b = s.appendWhereTickets(b, call)
	case engine.CodeWaitlisted:
		b = append(b, `,"position":`...)
		b = strconv.AppendUint(b, uint64(a.Count), 10)
		session, sku, _ := s.seller.ListingOf(a.Listing)
		b = s.appendEstimate(b, session, sku, a.Count)
		b = s.appendPlace(b, a)
	case engine.CodeEntered:
		b = append(b, `,"draw_at":`...)
		b = appendTime(b, a.Start)
		b = s.appendPlace(b, a)
	case engine.CodeGranted, engine.CodeLimitReached:
		tellTransaction(r, a.Transaction)
		if !a.Order.IsZero() {
			b = append(b, `,"order":`...)
			b = s.appendAnswerOrder(b, a)
		}
	}
	return b
}

// appendPlace appends by which number a place in line or in a draw is known, and
// where to ask what became of it: by that number, since it may have been taken with
// another key than the one that they ask with.
func (s *ShopperServer) appendPlace(b []byte, a *engine.Answer) []byte {
	b = append(b, `,"entry":"`...)
	b = append(b, a.No[:]...)
	b = append(b, `","result_url":"`...)
	b = appendGrabURL(b, a.No[:])
	return append(b, '"')
}

// appendEstimate appends in about how many seconds a position's turn will come,
// where anything is known of that.
func (s *ShopperServer) appendEstimate(b []byte, session, sku string, position uint32) []byte {
	if seconds, known := s.seller.Estimate(session, sku, position); known {
		b = append(b, `,"estimate_seconds":`...)
		b = strconv.AppendInt(b, seconds, 10)
	}
	return b
}

// appendReservation appends, for a listing that asks for it, whether one can
// reserve, and until when.
func (s *ShopperServer) appendReservation(b, listing []byte) []byte {
	rules := s.seller.DoorRules(listing)
	if !rules.Reservation {
		return b
	}
	b = append(b, `,"reservation":{"open":`...)
	b = strconv.AppendBool(b, rules.State == engine.ListingPublished && s.seller.Now() < rules.Start)
	b = append(b, `,"until":`...)
	b = appendTime(b, rules.Start)
	b = append(b, `,"url":"`...)
	b = appendListingURL(b, listing, "reservation")
	return append(b, `"}`...)
}

// appendWhereTickets appends where to get a ticket, and what is to be solved for
// it. The guard knows that; where it was not asked, the listing's rules do.
func (s *ShopperServer) appendWhereTickets(b []byte, call *grabCall) []byte {
	if len(call.grab.Listing) == 0 { // asked for by key
		return b
	}
	asks := call.asks
	if asks == engine.ChallengeNone {
		asks = s.seller.DoorRules(call.grab.Listing).Challenge
	}
	b = append(b, `,"challenge":"`...)
	b = append(b, asks.String()...)
	if asks != engine.ChallengeNone {
		b = append(b, `","challenge_url":"`...)
		b = appendListingURL(b, call.grab.Listing, "challenge")
	}
	b = append(b, `","ticket_url":"`...)
	b = appendListingURL(b, call.grab.Listing, "ticket")
	return append(b, '"')
}

// appendListingURL appends the path of what is asked of a listing. Ids need no
// escaping.
func appendListingURL(b, listing []byte, what string) []byte {
	b = append(b, "/v1/sessions/"...)
	b = append(b, listing...)
	b = append(b, '/')
	return append(b, what...)
}
