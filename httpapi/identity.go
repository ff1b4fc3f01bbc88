package httpapi

import (
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// identify tells who asks, or answers 401 itself and gives false. The bytes lie
// in the request or in the token cache: read only, and gone with the handler.
func (s *ShopperServer) identify(ctx *fasthttp.RequestCtx) (shopper []byte, ok bool) {
	if s.dev {
		if shopper = ctx.Request.Header.PeekCanonical(headerShopperID); engine.ValidShopper(shopper) {
			return shopper, true
		}
		s.challenge(ctx, "X-Shopper-Id", "Send X-Shopper-Id: 1 to 128 printable ASCII characters and no space.")
		return nil, false
	}
	token, ok := bearerToken(ctx.Request.Header.PeekCanonical(headerAuthorization))
	if !ok {
		s.challenge(ctx, `Bearer realm="doorbuster"`, "Send Authorization: Bearer and a token.")
		return nil, false
	}
	b, err := s.tokens.check(token)
	if err != nil {
		// Which of signature, audience and expiry was wrong helps only a forger.
		s.challenge(ctx, `Bearer realm="doorbuster", error="invalid_token"`, "The token is not valid, or not any more. Get a new one.")
		return nil, false
	}
	return b.subject, true
}

func (s *ShopperServer) challenge(ctx *fasthttp.RequestCtx, scheme, detail string) {
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
