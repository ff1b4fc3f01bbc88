package httpapi

import (
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// identify tells who asks, or answers 401 itself and gives false. The bytes lie
// in the request or in the token cache: read only, and gone with the handler.
func (s *ShopperServer) identify(ctx *fasthttp.RequestCtx) (shopper []byte, ok bool) {
	b, ok := s.whoAsks(ctx)
	return b.subject, ok
}

// whoAsks is identify with all that is known of who asks.
func (s *ShopperServer) whoAsks(ctx *fasthttp.RequestCtx) (b bearer, ok bool) {
	if s.dev {
		if b.subject = ctx.Request.Header.PeekCanonical(headerShopperID); engine.ValidShopper(b.subject) {
			if phone := ctx.Request.Header.PeekCanonical(headerShopperPhone); len(phone) > 0 {
				b.phone = string(phone)
			}
			return b, true
		}
		s.unknown(ctx, "X-Shopper-Id", "Send X-Shopper-Id: 1 to 128 printable ASCII characters and no space.")
		return bearer{}, false
	}
	token, ok := bearerToken(ctx.Request.Header.PeekCanonical(headerAuthorization))
	if !ok {
		s.unknown(ctx, `Bearer realm="doorbuster"`, "Send Authorization: Bearer and a token.")
		return bearer{}, false
	}
	known, err := s.tokens.check(token)
	if err != nil {
		// Which of signature, audience and expiry was wrong helps only a forger.
		s.unknown(ctx, `Bearer realm="doorbuster", error="invalid_token"`, "The token is not valid, or not any more. Get a new one.")
		return bearer{}, false
	}
	return *known, true
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
