package httpapi

import (
	"github.com/valyala/fasthttp"

	"doorbuster/httpapi/storefront"
)

// storefrontFile serves a file of the storefront, "" for the page. It holds no secret and
// needs no token: what it shows it asks for as whoever looks at it.
func (s *ShopperServer) storefrontFile(ctx *fasthttp.RequestCtx, name []byte) {
	f, ok := s.storefront.File(string(name))
	if !ok {
		s.problem(ctx, notFound, "The storefront has no such file.")
		return
	}
	h := &ctx.Response.Header
	h.SetContentType(f.Type)
	// Kept, and asked about each time: all files are of one release, also after an upgrade.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.Tag)
	h.Set("Vary", "Accept-Encoding")
	if hasTag(&ctx.Request.Header, []byte(f.Tag)) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.Set("Content-Security-Policy", storefront.Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if takesGzip(ctx) {
		h.Set("Content-Encoding", "gzip")
		ctx.Response.SetBodyRaw(f.Zipped)
		return
	}
	ctx.Response.SetBodyRaw(f.Body)
}

// ofStorefront reports whether a route is the storefront's. Its links get parameters from
// whoever shares them on, which mean nothing here and are passed over.
func (r route) ofStorefront() bool { return r == routeStorefront || r == routeStorefrontFile }
