package httpapi

import (
	"context"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// Pages of a shopper's orders.
const (
	defaultOrders  = 20
	maxOrders      = 100
	maxCursorBytes = 512
)

// serve answers the routes other than a grab.
func (s *ShopperServer) serve(ctx *fasthttp.RequestCtx, r route, m matched) {
	switch r {
	case routeTime:
		s.time(ctx)
		return
	case routeSessions:
		s.sessions(ctx)
		return
	case routeListing:
		s.listing(ctx, string(m.session), string(m.sku))
		return
	case routeGrabByKey:
		s.grabByKey(ctx, m.name)
		return
	case routeCallback:
		s.callback(ctx)
		return
	case routeDraw:
		s.draw(ctx, string(m.session), string(m.sku))
		return
	case routeChallenge:
		s.giveChallenge(ctx, m.listing)
		return
	case routeTicket:
		s.giveTicket(ctx, m.listing)
		return
	case routeVerify:
		s.verifyPayToken(ctx)
		return
	case routePayKeys:
		s.payKeys(ctx)
		return
	}
	id, ok := s.identify(ctx)
	if !ok {
		return
	}
	shopper, orderNo := string(id), string(m.name)
	switch r {
	case routeOrders:
		s.orders(ctx, shopper)
	case routeOrder:
		o, err := s.seller.Order(shopper, orderNo)
		s.orderOrError(ctx, &o, err)
	case routeCancel:
		wait, stop := s.commandContext()
		defer stop()
		o, err := s.seller.Cancel(wait, shopper, orderNo)
		s.orderOrError(ctx, &o, err)
	case routeReceiver:
		s.receiver(ctx, shopper, orderNo)
	case routeReserve, routeWithdraw:
		s.reserve(ctx, shopper, string(m.session), string(m.sku), r == routeWithdraw)
	case routeLeave:
		s.leaveLine(ctx, id, m.name)
	case routeEvents:
		s.events(ctx, shopper)
	}
}

// commandContext bounds a command. It is not the request's own: that one ends
// when a shutdown begins, and what is in flight then is to be finished.
func (s *ShopperServer) commandContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), s.limits.CommandTimeout)
}

// uncached answers 200 with what is this shopper's or this moment's alone.
func uncached(ctx *fasthttp.RequestCtx, body []byte) {
	ctx.Response.Header.SetContentTypeBytes(jsonType)
	ctx.Response.Header.SetCanonical(headerCacheControl, noStore)
	ctx.Response.SetBodyRaw(body)
}

func (s *ShopperServer) orderOrError(ctx *fasthttp.RequestCtx, o *engine.OrderView, err error) {
	if err != nil {
		s.failed(ctx, err)
		return
	}
	tellTransaction(ctx, o.Transaction)
	uncached(ctx, s.appendOrder(nil, o))
}

func (s *ShopperServer) orders(ctx *fasthttp.RequestCtx, shopper string) {
	args := ctx.QueryArgs()
	session, cursor := string(args.Peek("session")), string(args.Peek("cursor"))
	limit, wrong := pageSize(string(args.Peek("limit")), defaultOrders, maxOrders)
	switch {
	case session != "" && !engine.ValidID(session):
		wrong = "The session is no valid id."
	case len(cursor) > maxCursorBytes:
		wrong = "The cursor is none that was given out."
	}
	if wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	orders, next, err := s.seller.Orders(shopper, session, cursor, limit)
	if err != nil {
		s.failed(ctx, err)
		return
	}
	b := []byte(`{"orders":[`)
	for i := range orders {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendOrder(b, &orders[i])
	}
	b = append(b, ']')
	if next != "" {
		b = append(b, `,"cursor":`...)
		b = appendString(b, next)
	}
	uncached(ctx, append(b, '}'))
}

// pageSize reads a limit; "" is the usual one.
func pageSize(given string, usual, most int) (limit int, wrong string) {
	if given == "" {
		return usual, ""
	}
	limit, err := strconv.Atoi(given)
	if err != nil || limit < 1 || limit > most {
		return 0, fmt.Sprintf("The limit must be 1 to %d.", most)
	}
	return limit, ""
}

func (s *ShopperServer) receiver(ctx *fasthttp.RequestCtx, shopper, orderNo string) {
	var to struct {
		Name    string `json:"name"`
		Phone   string `json:"phone"`
		Address string `json:"address"`
	}
	if wrong := decodeStrictly(ctx.Request.Body(), &to); wrong != "" {
		s.problem(ctx, malformed, wrong)
		return
	}
	for _, field := range [...]struct{ name, value string }{{"name", to.Name}, {"phone", to.Phone}, {"address", to.Address}} {
		if !validText(field.value) {
			s.problem(ctx, malformed, fmt.Sprintf("The %s must have 1 to %d bytes of text without control characters.", field.name, engine.MaxTextBytes))
			return
		}
	}
	wait, stop := s.commandContext()
	defer stop()
	o, err := s.seller.SetReceiver(wait, shopper, orderNo, engine.Receiver{Name: to.Name, Phone: to.Phone, Address: to.Address})
	s.orderOrError(ctx, &o, err)
}

// validText tells whether text is there, short enough, and for people to read.
func validText(text string) bool {
	if text == "" || len(text) > engine.MaxTextBytes || !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
