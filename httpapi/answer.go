package httpapi

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/payment"
)

// appendCode begins an answer, up to the opening quote of its message.
func appendCode(dst []byte, code engine.Code) []byte {
	dst = append(dst, `{"code":"`...)
	dst = append(dst, code.String()...)
	return append(dst, `","message":"`...)
}

// answer writes call.answer to a response. Answers without anything to fill
// in are whole already; the others are put together in call's own buffer. key is the
// grab's, for where to ask again.
func (s *ShopperServer) answer(r *fasthttp.Response, call *grabCall, key []byte) {
	a := &call.answer
	if a.Code == engine.CodeRefused {
		s.refused(r, call)
		return
	}
	r.Header.SetContentTypeBytes(jsonType)
	r.Header.SetCanonical(headerCacheControl, noStore)
	in := call.in
	now := engine.Time(0)
	if a.Code == engine.CodeGranted || a.Start != 0 {
		now = s.seller.Now()
	}
	m := messageFor(a, now)
	said, zone := s.wordingOf(call.grab.Listing, a.Listing)
	if body := said.whole[m][in]; body != nil {
		r.SetBodyRaw(body)
		return
	}
	if call.sheet == nil {
		call.sheet = sheets.Get().(*sheet)
	}
	b := said.append(appendCode(call.sheet.body[:0], a.Code), m, in, telling{answer: a, now: now, zone: zone, key: key})
	b = append(b, '"')
	b = s.appendOutcome(b, r, call, key)
	call.sheet.body = append(b, '}')
	r.SetBody(call.sheet.body) // copies: the sheet may be used again before this is sent
}

// refused answers a grab that no state of things would allow.
func (s *ShopperServer) refused(r *fasthttp.Response, call *grabCall) {
	kind, detail := unknownListing, noSuchListing
	if call.grab.Bargain != 0 {
		kind, detail = unknownBargain, noSuchBargain
	}
	switch a := &call.answer; a.Reason {
	case engine.ReasonQuantity:
		kind, detail = badQuantity, "The limit here is "+strconv.FormatUint(uint64(a.Limit), 10)+
			" for each shopper; ask for no more than that."
	case engine.ReasonKeyReused:
		kind, detail = keyReused, refusalTable[engine.ReasonKeyReused].detail
	case engine.ReasonNotAtFloor:
		kind, detail = notAtFloor, refusalTable[engine.ReasonNotAtFloor].detail
	}
	if call.conn == nil { // at once
		s.problem(call.ctx, kind, detail)
		return
	}
	call.conn.door.metrics.problem(kind)
	setProblem(r, kind, append(appendProblem(nil, kind, detail, call.path), '}'))
}

// appendResultURL appends where to ask what became of a grab. Nothing in it
// needs escaping in JSON.
func appendResultURL(b, key []byte, deadline engine.Time) []byte {
	b = append(appendGrabURL(b, key), "?deadline="...)
	return strconv.AppendInt(b, int64(deadline), 10)
}

// appendGrabURL appends where the grab with a key is to be found.
func appendGrabURL(b, key []byte) []byte {
	b = append(b, "/v1/grabs/"...)
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// terms are what every order object has.
type terms struct {
	no           []byte
	session, sku string
	quantity     uint32
	state        engine.OrderState
	payment.Claims
}

// appendAnswerOrder appends the order that an answer carries.
func (s *ShopperServer) appendAnswerOrder(b []byte, a *engine.Answer) []byte {
	session, sku, currency := s.seller.ListingOf(a.Listing)
	b = s.appendTerms(b, terms{a.No[:], session, sku, a.Quantity, a.State,
		payment.Claims{Amount: a.Amount, Currency: currency, PayBy: a.PayBy, Transaction: a.Transaction}})
	return append(b, '}')
}

// appendTerms begins an order object, up to what it takes to pay.
func (s *ShopperServer) appendTerms(b []byte, t terms) []byte {
	b = append(b, `{"order_no":"`...)
	b = append(b, t.no...)
	b = append(b, `","session":`...)
	b = appendString(b, t.session)
	b = append(b, `,"sku":`...)
	b = appendString(b, t.sku)
	b = append(b, `,"quantity":`...)
	b = strconv.AppendUint(b, uint64(t.quantity), 10)
	b = append(b, `,"amount":`...)
	b = strconv.AppendInt(b, t.Amount, 10)
	b = append(b, `,"currency":`...)
	b = appendString(b, t.Currency)
	b = append(b, `,"state":"`...)
	b = append(b, t.state.String()...)
	b = append(b, '"')
	if t.state.Granted() { // else there is nothing to pay yet, or ever
		b = append(b, `,"pay_by":`...)
		b = appendTime(b, t.PayBy)
	}
	return s.appendPayment(b, t.no, t.state, t.Claims)
}

// appendOrder appends an order, or a place in line or in a draw, as its shopper
// sees it.
func (s *ShopperServer) appendOrder(b []byte, o *engine.OrderView) []byte {
	b = s.appendTerms(b, terms{[]byte(o.OrderNo), o.Session, o.SKU, o.Quantity, o.State,
		payment.Claims{Amount: o.Amount, Currency: o.Currency, PayBy: o.PayBy, Transaction: o.Transaction}})
	switch {
	case o.State.Granted():
		b = append(b, `,"granted_at":`...)
		b = appendTime(b, o.GrantedAt)
	case o.State == engine.Waiting:
		b = append(b, `,"position":`...)
		b = strconv.AppendUint(b, uint64(o.Position), 10)
		b = s.appendEstimate(b, o.Session, o.SKU, o.Position)
	case o.State == engine.Left, o.State == engine.Passed: // the true reason is not for everybody's eyes
		b = append(b, `,"outcome":"`...)
		b = append(b, engine.CodeOfPlace(o.Why).String()...)
		b = append(b, '"')
	}
	b = append(b, `,"changed_at":`...)
	b = appendTime(b, o.ChangedAt)
	b = s.appendReceiver(b, o)
	return append(appendShipment(b, o), '}')
}

// appendShipment appends how an order comes to its shopper, and how far it is. What a
// second look came to, and what is out at a warehouse, is not for shoppers.
func appendShipment(b []byte, o *engine.OrderView) []byte {
	if o.Delivery == engine.DeliveryNone {
		return b
	}
	b = append(b, `,"delivery":"`...)
	b = append(b, o.Delivery.String()...)
	b = append(b, '"')
	for _, text := range [...]struct{ member, is string }{{`,"carrier":`, o.Carrier}, {`,"tracking":`, o.Tracking}} {
		if text.is != "" {
			b = appendString(append(b, text.member...), text.is)
		}
	}
	for _, at := range [...]struct {
		member string
		is     engine.Time
	}{{`,"shipped_at":`, o.ShippedAt}, {`,"received_at":`, o.ReceivedAt}, {`,"completed_at":`, o.CompletedAt}} {
		if at.is != 0 {
			b = appendTime(append(b, at.member...), at.is)
		}
	}
	return b
}
