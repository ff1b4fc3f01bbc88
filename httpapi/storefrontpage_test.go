package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"doorbuster/httpapi/storefront"
)

// lookAtShop asks a shoppers' server for a path; headers are pairs.
func lookAtShop(s *ShopperServer, path string, headers ...string) *fasthttp.Response {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod("GET")
	ctx.Request.SetRequestURI(path)
	for i := 0; i+1 < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	s.handle(&ctx)
	return &ctx.Response
}

func TestStorefrontIsServed(t *testing.T) {
	site, err := storefront.Open(storefront.Config{Dev: true, Theme: []byte(":root{--brand:#123}"),
		Cashier: `http://till/pay?"<x>`})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{}), Personal: testVault(&fakeSeller{}), Dev: true,
		Storefront: site})
	if err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]string{
		"/shop": "text/html; charset=utf-8", "/shop/": "text/html; charset=utf-8",
		"/shop?from=a-friend&x": "text/html; charset=utf-8", "/shop/app.js": "text/javascript; charset=utf-8",
		"/shop/shop.css": "text/css; charset=utf-8", "/shop/theme.css": "text/css; charset=utf-8",
	} {
		r := lookAtShop(s, path)
		if r.StatusCode() != 200 || string(r.Header.ContentType()) != kind || len(r.Body()) == 0 {
			t.Errorf("%s: %d %s", path, r.StatusCode(), r.Header.ContentType())
		}
		for name, value := range map[string]string{"Content-Security-Policy": storefront.Policy,
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"} {
			if got := string(r.Header.Peek(name)); got != value {
				t.Errorf("%s: %s: %q", path, name, got)
			}
		}
		again := lookAtShop(s, path, "If-None-Match", string(r.Header.Peek("ETag")))
		if again.StatusCode() != 304 || len(again.Body()) != 0 {
			t.Errorf("%s again: %d, %d bytes", path, again.StatusCode(), len(again.Body()))
		}
		zipped := lookAtShop(s, path, "Accept-Encoding", "br, gzip")
		z, err := gzip.NewReader(bytes.NewReader(zipped.Body()))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, r.Body()) {
			t.Errorf("%s by gzip is not what it is plainly: %v", path, err)
		}
	}
	page := string(lookAtShop(s, "/shop").Body())
	if !strings.Contains(page, `data-dev="true" data-cashier="http://till/pay?&#34;&lt;x&gt;"`) {
		t.Errorf("the page does not say where to pay: %s", page)
	}
	for _, path := range []string{"/shop/doc.go", "/shop/../shop", "/shop//", "/shop/x/y", "/shop/%61pp.js",
		"/shopping", "/shop/storefront.go"} {
		if r := lookAtShop(s, path); r.StatusCode() != 404 {
			t.Errorf("%s: %d", path, r.StatusCode())
		}
	}
}

func TestStorefrontIsOffUnlessSaid(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{})
	for _, path := range []string{"/shop", "/shop/", "/shop/app.js"} {
		r := lookAtShop(s, path)
		if r.StatusCode() != 404 || !strings.Contains(string(r.Body()), "No route has this path") {
			t.Errorf("%s: %d %s", path, r.StatusCode(), r.Body())
		}
	}
}
