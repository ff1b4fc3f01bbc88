package httpapi

import (
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

// whoAsks tells who asks, or answers 401 itself and gives false. The bytes lie in the
// request or in the token cache: read only, and gone with the handler.
func (s *ShopperServer) whoAsks(ctx *fasthttp.RequestCtx) (b auth.Bearer, ok bool) {
	if s.dev {
		var ids int
		if b.Subject, ids = oneOf(ctx, "X-Shopper-Id"); ids == 1 && engine.ValidShopper(b.Subject) {
			if phone := ctx.Request.Header.PeekCanonical(headerShopperPhone); len(phone) > 0 {
				b.Phone = string(phone)
				s.guard.know(&b)
			}
			return b, true
		}
		s.unknown(ctx, "X-Shopper-Id", "Send one X-Shopper-Id: "+engine.ShopperForm+".")
		return auth.Bearer{}, false
	}
	header, headers := oneOf(ctx, fasthttp.HeaderAuthorization)
	known, err := auth.Authorize(s.tokens, header, headers)
	if err != nil {
		s.unknown(ctx, auth.Challenge("doorbuster", err), err.Error())
		return auth.Bearer{}, false
	}
	return *known, true
}

// oneOf gives the first of a request's headers of this name, and how many there are.
// Of several, each program on the way may have meant another.
func oneOf(ctx *fasthttp.RequestCtx, name string) (value []byte, headers int) {
	all := ctx.Request.Header.PeekAll(name)
	if len(all) == 0 {
		return nil, 0
	}
	return all[0], len(all)
}

// unknown asks for an identity.
func (s *ShopperServer) unknown(ctx *fasthttp.RequestCtx, scheme, detail string) {
	ctx.Response.Header.Set("WWW-Authenticate", scheme)
	s.problem(ctx, unauthorized, detail)
}
