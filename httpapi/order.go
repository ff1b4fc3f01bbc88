package httpapi

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// maxCursorBytes bounds where a page goes on.
const maxCursorBytes = 512

// serve answers the routes other than a grab.
func (s *ShopperServer) serve(ctx *fasthttp.RequestCtx, r route, m matched) {
	switch r {
	case routeTime:
		s.time(ctx)
		return
	case routeStorefront, routeStorefrontFile:
		s.storefrontFile(ctx, m.name)
		return
	case routeSessions:
		s.looks.Add(1)
		s.tallies.Listed()
		s.sessions(ctx)
		return
	case routeListing:
		if s.hot != nil {
			s.hot.Saw(m.sku)
		}
		s.looks.Add(1)
		s.tallies.Looked(m.session)
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
	case routeStartBargain:
		s.startBargain(ctx, m)
		return
	case routeBargain:
		s.bargain(ctx, m.name)
		return
	case routeCutBargain:
		s.cutBargain(ctx, m.name)
		return
	case routeBuy:
		s.buy(ctx, m.name)
		return
	}
	who, ok := s.whoAsks(ctx)
	if !ok {
		return
	}
	thing := m.listing
	if thing == nil {
		thing = m.name
	}
	if shopperRoutes[r].writes && s.writesTooOften(ctx, who.Subject, thing) {
		return
	}
	shopper, orderNo := string(who.Subject), string(m.name)
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
	case routeReceived:
		wait, stop := s.commandContext()
		defer stop()
		o, err := s.seller.Received(wait, shopper, orderNo)
		s.orderOrError(ctx, &o, err)
	case routeReserve, routeWithdraw:
		s.reserve(ctx, shopper, string(m.session), string(m.sku), r == routeWithdraw)
	case routeLeave:
		s.leaveLine(ctx, who.Subject, m.name)
	case routeEvents:
		s.events(ctx, shopper, &who)
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
	tellTransaction(&ctx.Response, o.Transaction)
	uncached(ctx, s.appendOrder(nil, o))
}

// ordersQuery is which of their orders a shopper asks for.
type ordersQuery struct {
	Session string `query:"session" as:"id"`             // Only of this session.
	Cursor  string `query:"cursor" as:"cursor"`          // From the page before.
	Limit   int    `query:"limit" usual:"20" most:"100"` // Orders a page.
}

func (s *ShopperServer) orders(ctx *fasthttp.RequestCtx, shopper string) {
	var q ordersQuery
	if !askedFor(s, ctx, routeOrders, &q) {
		return
	}
	orders, next, err := s.seller.Orders(shopper, q.Session, q.Cursor, q.Limit)
	var refusal *engine.Refusal
	switch {
	// nothing else of it can contradict what is there
	case q.Cursor != "" && errors.As(err, &refusal) && refusal.Reason == engine.ReasonConflict:
		s.problem(ctx, malformed, foreignCursor)
		return
	case err != nil:
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
