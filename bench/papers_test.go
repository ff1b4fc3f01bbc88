package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestPapers has a volley's shoppers get their tickets and show them.
func TestPapers(t *testing.T) {
	addr := serve(t, func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString(fmt.Sprintf(`{"ticket":"for %s from %s"}`, ctx.Request.Header.Peek("Authorization"),
			ctx.Request.Header.Peek("X-Forwarded-For")))
	})
	for _, pool := range []int{0, 100} {
		s := HTTPServer{Addr: addr, Grab: Listing{Session: "s", SKU: "a"}, Pool: pool,
			TokenFor: func(shopper string) (string, error) { return "token-of-" + shopper, nil }}
		v := newVolley(s, 1, "x-", codeSoldOut)
		v.shopper.Store(0x12340) // as after other volleys
		if err := v.equip(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		v.served = 10
		request := bytes.Clone(v.template)
		came := map[string]int{}
		for i := range 190 {
			if !v.patch(request) {
				if pool > 0 || i != 100 {
					t.Errorf("pool of %d: all had come after %d", pool, i)
				}
				break
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
			if err != nil {
				t.Fatalf("%v: %s", err, request)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			token, from := r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-For")
			if want := fmt.Sprintf(`{"ticket":"for %s from %s"}`, token, from); string(body) != want {
				t.Errorf("%s, not %s", body, want)
			}
			if _, err := netip.ParseAddr(from); err != nil {
				t.Error(err)
			}
			if r.URL.Path != "/v1/sessions/s/skus/a/grab" || token == "" {
				t.Errorf("%s", request)
			}
			came[token]++
		}
		if first := came["Bearer token-of-x-0000074561"]; len(came) != 100 || first != 1 {
			t.Errorf("pool of %d: %d came, the first one %d times", pool, len(came), first)
		}
		for token, n := range came {
			if n > 2 || n == 2 && pool == 0 {
				t.Errorf("pool of %d: %s came %d times", pool, token, n)
			}
		}
	}
}
