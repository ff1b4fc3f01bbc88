package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A plan with a mistake is refused whole: each mistake with line and path, and
// nothing is changed by the rest of it.
func TestBadPlans(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	good := nodetest.Masks(3)
	s.Apply(good)
	s.MustGrant("alice", "", nodetest.Mask)
	before := s.Counts(nodetest.Mask)
	catalogue := s.Ops("GET", "/admin/v1/sessions", "").Body + s.Ops("GET", "/admin/v1/products", "").Body

	extra := strings.Replace(good, "sales:\n", "  - {id: mug, currency: CNY}\nsales:\n", 1) // would be a change
	for name, c := range map[string]struct {
		from, to string
		want     []string // in the message
	}{
		"unknown key":    {"stock: 3}", "stock: 3, stok: 4}", []string{":10:", "listings[mask].stok", "unknown key"}},
		"negative stock": {"stock: 3}", "stock: -3}", []string{":10:", "listings[mask].stock"}},
		"end before start": {"start: now", "start: 2030-01-02T00:00:00Z\n        end: 2030-01-01T00:00:00Z",
			[]string{":9:", "sessions[day].end", "not after the start"}},
		"duplicate id": {"sales:\n", "  - {id: mask, currency: CNY}\nsales:\n", []string{":4:", "products[mask]"}},
		"huge stock":   {"stock: 3}", "stock: 99999999999999999999}", []string{":10:", "listings[mask].stock"}},
		"no YAML":      {"sales:\n", "sales: [\n", []string{"nothing was changed"}},
		"two mistakes": {"price: 100, stock: 3}", "price: -1, stock: x}",
			[]string{"listings[mask].price", "listings[mask].stock", "2 problems"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := strings.Replace(extra, c.from, c.to, 1)
			if plan == extra {
				t.Fatal("nothing was spoilt")
			}
			file := nodetest.TempFile(t, plan)
			status, out, errs := runTool(t, "", "apply", "-f", file, "--admin", s.Admin)
			if status != 1 || out != "" {
				t.Errorf("status %d, stdout %q", status, out)
			}
			for _, part := range append(c.want, file) {
				if !strings.Contains(errs, part) {
					t.Errorf("no %q in:\n%s", part, errs)
				}
			}
			// The node does not rely on the tool that sent it.
			r, err := http.Post("http://"+s.Admin+"/admin/v1/plan", "application/yaml", strings.NewReader(plan))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if r.StatusCode != 422 || r.Header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(string(body), `"line":`) {
				t.Errorf("%d %s", r.StatusCode, body)
			}
		})
	}
	if after := s.Counts(nodetest.Mask); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
	if after := s.Ops("GET", "/admin/v1/sessions", "").Body +
		s.Ops("GET", "/admin/v1/products", "").Body; after != catalogue {
		t.Errorf("the catalogue changed from\n%s\nto\n%s", catalogue, after)
	}
}

// What can't be a grab is answered with a 4xx that says why, and changes nothing.
func TestBadGrabs(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 3}",
		"{sku: mug, price: 100, stock: 9, limit_per_shopper: 4}"}, "limit_per_shopper: 0"))
	s.MustGrant("holder", "", nodetest.Mask)
	before := s.EveryListing()

	url := s.ListingURL(nodetest.Mask) + "/grab"
	for name, c := range map[string]struct {
		method, url, body string
		header            []string // pairs, instead of the shopper's id
		status            int
	}{
		"128 KB":              {body: `{"quantity":1,"ticket":"` + strings.Repeat("x", 128<<10) + `"}`, status: 413},
		"10 MB":               {body: `{"quantity":1,"ticket":"` + strings.Repeat("x", 10<<20) + `"}`, status: 413},
		"broken JSON":         {body: `{"quantity":1`, status: 400},
		"no object":           {body: `[1]`, status: 400},
		"two objects":         {body: `{"quantity":1}{"quantity":1}`, status: 400},
		"unknown member":      {body: `{"quantities":1}`, status: 400},
		"quantity 0":          {body: `{"quantity":0}`, status: 400},
		"quantity -1":         {body: `{"quantity":-1}`, status: 400},
		"quantity 10⁹":        {body: `{"quantity":1000000000}`, status: 400},
		"quantity 10¹⁹":       {body: `{"quantity":10000000000000000000}`, status: 400},
		"quantity 1.5":        {body: `{"quantity":1.5}`, status: 400},
		"quantity as text":    {body: `{"quantity":"1"}`, status: 400},
		"above the limit":     {body: `{"quantity":2}`, status: 400},
		"above another limit": {url: s.ListingURL("day/mug") + "/grab", body: `{"quantity":5}`, status: 400},
		"key over 255 bytes": {header: []string{"X-Shopper-Id", "eve", "Idempotency-Key", strings.Repeat("k", 256)},
			status: 400},
		"key with a space":     {header: []string{"X-Shopper-Id", "eve", "Idempotency-Key", "a b"}, status: 400},
		"key with a tab":       {header: []string{"X-Shopper-Id", "eve", "Idempotency-Key", "a\tb"}, status: 400},
		"key beyond ASCII":     {header: []string{"X-Shopper-Id", "eve", "Idempotency-Key", "钥匙"}, status: 400},
		"no shopper":           {header: []string{"X-Nobody", "eve"}, status: 401},
		"shopper beyond ASCII": {header: []string{"X-Shopper-Id", "é"}, status: 401},
		"shopper over 128":     {header: []string{"X-Shopper-Id", strings.Repeat("s", 129)}, status: 401},
		"shopper with a tab":   {header: []string{"X-Shopper-Id", "a\tb"}, status: 401},
		"unknown session":      {url: s.ListingURL("night/mask") + "/grab", status: 404},
		"unknown SKU":          {url: s.ListingURL("day/glove") + "/grab", status: 404},
		"control character":    {url: s.HTTP + "/v1/sessions/day/skus/mas%00k/grab", status: 404},
		"newline in an id":     {url: s.HTTP + "/v1/sessions/day%0Ax/skus/mask/grab", status: 404},
		"slash in an id":       {url: s.HTTP + "/v1/sessions/day%2Fskus/skus/mask/grab", status: 404},
		"long id": {url: s.HTTP + "/v1/sessions/" + strings.Repeat("d", 4000) + "/skus/mask/grab",
			status: 404},
		"wrong method": {method: "GET", status: 405},
		"huge headers": {header: []string{"X-Shopper-Id", "eve", "X-Padding", strings.Repeat("x", 20_000)},
			status: 431},
	} {
		t.Run(name, func(t *testing.T) {
			method, to := "POST", url
			if c.method != "" {
				method = c.method
			}
			if c.url != "" {
				to = c.url
			}
			header := c.header
			if header == nil {
				header = []string{"X-Shopper-Id", "eve"}
			}
			a, err := s.Request(method, to, c.body, header...)
			if err != nil && len(c.body) > 1<<20 {
				return // cut off before all was sent, which is as clear
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != c.status || a.Header.Get("Content-Type") != "application/problem+json" || a.Title == "" ||
				a.Detail == "" || a.Type == "" {
				t.Errorf("%d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
			}
		})
	}
	after := s.EveryListing()
	for listing := range before {
		if before[listing] != after[listing] {
			t.Errorf("%s: from %+v to %+v", listing, before[listing], after[listing])
		}
	}
	if a := s.Grab("holder", "", nodetest.Mask); a.Code != "limit_reached" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// Bytes that net/http would not send.
func TestBadBytes(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	before := s.Counts(nodetest.Mask)
	const grab = "POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: eve\r\n"
	for name, c := range map[string]struct {
		send   string
		status int
	}{
		"no HTTP":         {"hello\r\n\r\n", 400},
		"TLS":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"length too big":  {grab + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		"negative length": {grab + "Content-Length: -5\r\n\r\n", 400},
		"two lengths":     {grab + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400},
		"broken chunks":   {grab + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"NUL in the shopper": {"POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: " +
			"e\x00ve\r\n\r\n", 0},
		"control in the path": {"POST /v1/sessions/day/skus/ma\x01sk/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: " +
			"eve\r\n\r\n", 0},
		"escape in the shopper": {"POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: " +
			"e\x1b[2Jve\r\n\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(nodetest.Patience))
			fmt.Fprint(conn, c.send)
			r, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if c.status != 0 && r.StatusCode != c.status || r.StatusCode < 400 || r.StatusCode > 499 ||
				r.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s", r.StatusCode, body)
			}
		})
	}
	if after := s.Counts(nodetest.Mask); after != before {
		t.Errorf("from %+v to %+v", before, after)
	}
	s.MustGrant("alice", "", nodetest.Mask)
}

// Requests in one go are answered one by one, in order.
func TestPipelinedGrabs(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(nodetest.Patience))
	const shoppers = 6
	var send strings.Builder
	for i := range shoppers {
		fmt.Fprintf(&send, "POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: s%d\r\n\r\n", i)
	}
	fmt.Fprint(conn, send.String())
	in := bufio.NewReader(conn)
	for i := range shoppers {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		want := `"code":"granted"`
		if i >= 3 {
			want = `"code":"sold_out"`
		}
		if !strings.Contains(string(body), want) {
			t.Errorf("shopper %d: %s", i, body)
		}
	}
}

// The words are the shopper's own language; odd headers are no reason for less.
func TestLanguages(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(0))
	for accept, want := range map[string]string{
		"": "Sold out.", "zh-CN,zh;q=0.9": "已售罄。", "de": "Sold out.", "ZH": "已售罄。", strings.Repeat("zh,", 1000): "已售罄。",
		";;;,,,*": "Sold out.", "\xff\xfe": "Sold out.",
	} {
		a := s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", "X-Shopper-Id", "alice", "Accept-Language", accept)
		if a.Code != "sold_out" || a.Message != want {
			t.Errorf("%q: %s", accept, a.Body)
		}
	}
}
