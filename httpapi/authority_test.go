package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/intake"
)

// TestShoppersStreamEndsWithItsToken: a stream of events ends when its token
// expires, and when the key of its token is withdrawn; that of a key that stays
// goes on.
func TestShoppersStreamEndsWithItsToken(t *testing.T) {
	mint := func(secret []byte, ttl time.Duration) string {
		token, err := auth.Claims{Audience: auth.Shoppers, Subject: "ada", TTL: ttl}.Sign(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	both := auth.Keys{Secret: bytes.Join([][]byte{testSecret, otherSecret}, []byte("\n"))}
	f := &fakeSeller{order: heldOrder()}
	s, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Tokens: both})
	follow := func(token string) *caller {
		c := dial(t, addr)
		c.send(t, "GET /v1/events HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer "+token+"\r\n\r\n")
		for said := ""; !strings.Contains(said, "event: snapshot"); {
			line, err := c.in.ReadString('\n')
			if said += line; err != nil {
				t.Fatal(err, said)
			}
		}
		return c
	}
	ends := func(c *caller, why string) {
		t.Helper()
		if _, err := io.Copy(io.Discard, c.in); err != nil { // it has a deadline
			t.Errorf("%s, and the stream goes on: %v", why, err)
		}
	}
	ends(follow(mint(testSecret, 5*time.Second)), "the token has expired")
	stays, goes := follow(mint(testSecret, time.Hour)), follow(mint(otherSecret, time.Hour))
	if err := s.SetTokens(auth.Keys{Secret: testSecret}); err != nil {
		t.Fatal(err)
	}
	ends(goes, "its key was withdrawn")
	// The other one ends with the server only.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, stays.in)
	}()
	select {
	case <-ended:
		t.Error("the stream of a key that stays has ended")
	default:
	}
	s.streams.close()
	<-ended
}

// slowWriter takes a second for each part, and has a bound for them: what goes on
// for ever is ended by it.
type slowWriter struct {
	httptest.ResponseRecorder
	taken int
}

var errTooMuch = errors.New("it goes on and on")

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Second)
	if w.taken++; w.taken > 60 {
		return 0, errTooMuch
	}
	return w.ResponseRecorder.Write(p)
}

// slowBody brings a line a second, so many of them.
type slowBody struct{ lines int }

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	if b.lines--; b.lines < 0 {
		return 0, io.EOF
	}
	return copy(p, fmt.Sprintf("s%06d\n", b.lines)), nil
}

func (b *slowBody) Close() error { return nil }

// longRequests are those that may take long, for each route of the table that may.
var longRequests = map[string]string{
	"GET /admin/v1/events":                                       "/admin/v1/events?from=1",
	"GET /admin/v1/sessions/{session}/curve":                     "/admin/v1/sessions/fans-day-10/curve?stream=true",
	"GET /admin/v1/cluster/backup":                               "/admin/v1/cluster/backup",
	"GET /admin/v1/reconciliations/{id}":                         "/admin/v1/reconciliations/r",
	"GET /admin/v1/sessions/{session}/skus/{sku}/draw":           "/admin/v1/sessions/a/skus/b/draw?format=ndjson",
	"GET /admin/v1/risk/{kind}":                                  "/admin/v1/risk/shoppers?format=csv",
	"GET /admin/v1/allowlists/{name}":                            "/admin/v1/allowlists/vips?format=ndjson",
	"GET /admin/v1/sessions/{session}/skus/{sku}/reservations":   "/admin/v1/sessions/a/skus/b/reservations?format=csv",
	"POST /admin/v1/reconciliations":                             "/admin/v1/reconciliations",
	"PUT /admin/v1/risk/{kind}":                                  "/admin/v1/risk/shoppers",
	"PATCH /admin/v1/risk/{kind}":                                "/admin/v1/risk/shoppers",
	"PUT /admin/v1/allowlists/{name}":                            "/admin/v1/allowlists/vips",
	"PATCH /admin/v1/allowlists/{name}":                          "/admin/v1/allowlists/vips",
	"PUT /admin/v1/sessions/{session}/skus/{sku}/reservations":   "/admin/v1/sessions/a/skus/b/reservations",
	"PATCH /admin/v1/sessions/{session}/skus/{sku}/reservations": "/admin/v1/sessions/a/skus/b/reservations",
	"GET /admin/v1/sessions/{session}/exports/{export}":          "/admin/v1/sessions/a/exports/1",
	"POST /admin/v1/sessions/{session}/exports":                  "/admin/v1/sessions/a/exports",
	"POST /admin/v1/sessions/{session}/review":                   "/admin/v1/sessions/a/review",
	"POST /admin/v1/sessions/{session}/parcels":                  "/admin/v1/sessions/a/parcels",
	"POST /admin/v1/sessions/{session}/received":                 "/admin/v1/sessions/a/received",
	"PUT " + suppliersProducts:                                   "/admin/v1/suppliers/acme/products?format=ndjson",
	"POST /admin/v1/suppliers/{supplier}/pull":                   "/admin/v1/suppliers/acme/pull",
	"POST /admin/v1/suppliers/{supplier}/reconciliations": "/admin/v1/suppliers/acme/reconciliations" +
		"?format=ndjson",
	"POST /admin/v1/plan":                                "/admin/v1/plan",
	"POST /admin/v1/sessions/{session}/skus/{sku}/stock": "/admin/v1/sessions/a/skus/b/stock",
}

// TestNothingOutlivesItsToken: whatever takes long at the operators' door ends when
// the token of who asked expires, or its key is withdrawn: what is sent breaks off,
// and what is brought is refused and changes nothing.
func TestNothingOutlivesItsToken(t *testing.T) {
	covered := map[string]bool{}
	for i := range adminRoutes {
		to := &adminRoutes[i]
		name := to.method + " " + to.pattern
		path, asked := longRequests[name]
		if !asked {
			if to.within >= download {
				t.Errorf("%s may take long, and is not tried", name)
			}
			continue
		}
		covered[name] = true
		for _, withdrawn := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s withdrawn=%t", name, withdrawn), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { outlive(t, to, path, withdrawn) })
			})
		}
	}
	if len(covered) != len(longRequests) {
		t.Errorf("%d of %d requests are of routes that there are", len(covered), len(longRequests))
	}
}

// outlive asks for something that takes far longer than its token lasts.
func outlive(t *testing.T, to *adminRoute, path string, withdrawn bool) {
	f := longLists()
	keys := auth.Keys{Secret: bytes.Join([][]byte{testSecret, otherSecret}, []byte("\n"))}
	desk := &readDesk{}
	s := newTestAdmin(t, f, func(c *AdminConfig) {
		c.Dev, c.Tokens, c.Reconciler, c.RequestTimeout = false, keys, desk, 10*time.Second
		c.Trail = &farTrail{fakeTrail: fakeTrail{reached: 1 << 40}}
		c.Operator.Shipping = farParcels{}
		c.Operations = &fakeOperations{text: strings.Repeat("x", 4<<20)}
	})
	ttl := time.Hour
	if !withdrawn {
		ttl = 5 * time.Second
	}
	token, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: auth.Admin, TTL: ttl}.Sign(otherSecret,
		time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var body io.Reader
	if to.takes != noBody {
		body = &slowBody{lines: 20}
	}
	r := httptest.NewRequestWithContext(t.Context(), to.method, path, body)
	r.Header.Set("Authorization", "Bearer "+token)
	if to.takes != noBody {
		r.Header.Set("Content-Type", bodies[to.takes].types[0])
		r.ContentLength = -1
	}
	if withdrawn {
		time.AfterFunc(5*time.Second, func() {
			if err := s.SetTokens(auth.Keys{Secret: testSecret}); err != nil {
				t.Error(err)
			}
		})
	}
	w := &slowWriter{ResponseRecorder: *httptest.NewRecorder()}
	began, aborted := time.Now(), false
	func() {
		defer func() {
			if p := recover(); p != nil {
				if aborted = p == http.ErrAbortHandler; !aborted {
					panic(p)
				}
			}
		}()
		s.ServeHTTP(w, r)
	}()
	if took := time.Since(began); took < 4*time.Second || took > 9*time.Second {
		t.Errorf("it took %s; its token was good for 5 s", took)
	}
	if to.takes == noBody {
		if !aborted || w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("status %d, %d bytes; broken off: %t", w.Code, w.Body.Len(), aborted)
		}
		return
	}
	wantAdminProblem(t, &w.ResponseRecorder, 401, "unauthorized")
	if f.operator != "" || desk.whole {
		t.Errorf("something was done by %q", f.operator)
	}
}

// farParcels is an export that takes long to send.
type farParcels struct{ Shipping }

func (farParcels) ParcelPage(_ string, f engine.ParcelFilter, after engine.OrderRef,
	most int) (page []engine.OrderView, next engine.OrderRef, done bool, err error) {
	for range most {
		after.Ordinal++
		page = append(page, engine.OrderView{OrderNo: fakeOrderNo, Ref: after, State: engine.Paid,
			Delivery: engine.DeliveryShip, Shipment: engine.Shipment{Export: f.Export}})
	}
	return page, after, after.Ordinal > 100_000, nil
}

// readDesk notes whether it got all of a statement.
type readDesk struct {
	longDesk
	whole bool
}

func (d *readDesk) Reconcile(ctx context.Context, from io.Reader, q intake.Request) (*reconcile.Report, error) {
	report, err := d.longDesk.Reconcile(ctx, from, q)
	d.whole = err == nil
	return report, err
}

// longLists are lists that take long to send.
func longLists() *fakeOperator {
	f := &fakeOperator{drawn: &engine.DrawView{State: engine.DrawDone, Revealed: true}}
	for i := range 12_000 {
		f.rows = append(f.rows, engine.RosterRow{ID: fmt.Sprintf("shopper-%d-%s", i, strings.Repeat("x", 40)),
			Level: engine.LevelBlock, Since: fakeNow})
	}
	for range 12_000 {
		f.drawn.Entries = append(f.drawn.Entries, engine.DrawEntry{OrderNo: fakeOrderNo, Quantity: 1,
			State: engine.Passed})
	}
	return f
}

// TestLateUploaderHearsAtOnce: who is still sending when their right to it ends is
// told then, and not once they have sent the rest.
func TestLateUploaderHearsAtOnce(t *testing.T) {
	both, checked := auth.Keys{Secret: bytes.Join([][]byte{testSecret, otherSecret}, []byte("\n"))}, make(chan struct{})
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Dev, c.Tokens = false, both })
	var err error
	if s.tokens, err = auth.NewChecker(auth.Config{Audience: auth.Operators, Keys: both, Remember: 1,
		Know: func(*auth.Bearer) { close(checked) }, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	defer web.Close()
	token, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: auth.Admin,
		TTL: time.Hour}.Sign(otherSecret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(text string) {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	const line = "4\r\nann\n\r\n"
	send("PUT /admin/v1/allowlists/vips HTTP/1.1\r\nHost: shop\r\nContent-Type: text/plain\r\nTransfer-Encoding: " +
		"chunked\r\nAuthorization: Bearer " + token + "\r\n\r\n" + line)
	<-checked
	if err := s.SetTokens(auth.Keys{Secret: testSecret}); err != nil {
		t.Fatal(err)
	}
	send(line)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != 401 {
		t.Fatalf("%v, %v", answer, err)
	}
}
