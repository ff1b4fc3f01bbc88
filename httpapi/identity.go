package httpapi

import (
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// whoAsks tells who asks, or answers 401 itself and gives false. The bytes lie in the
// request or in the token cache: read only, and gone with the handler.
func (s *ShopperServer) whoAsks(ctx *fasthttp.RequestCtx) (b bearer, ok bool) {
	if s.dev {
		var ids int
		if b.subject, ids = oneOf(ctx, "X-Shopper-Id"); ids == 1 && engine.ValidShopper(b.subject) {
			if phone := ctx.Request.Header.PeekCanonical(headerShopperPhone); len(phone) > 0 {
				b.phone = string(phone)
				s.guard.know(&b)
			}
			return b, true
		}
		s.unknown(ctx, "X-Shopper-Id", "Send one X-Shopper-Id: "+engine.ShopperForm+".")
		return bearer{}, false
	}
	header, headers := oneOf(ctx, fasthttp.HeaderAuthorization)
	known, err := authorize(s.tokens, header, headers)
	if err != nil {
		s.unknown(ctx, tokenWanted("doorbuster", err), err.Error())
		return bearer{}, false
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

// bearerToken takes the token out of an Authorization header.
func bearerToken[T string | []byte](header T) (token T, ok bool) {
	const scheme = "bearer "
	if len(header) <= len(scheme) {
		return token, false
	}
	for i := range len(scheme) {
		c := header[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != scheme[i] {
			return token, false
		}
	}
	return header[len(scheme):], true
}
