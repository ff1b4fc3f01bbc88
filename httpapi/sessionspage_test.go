package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/ratelimit"
)

// aYear is a seller with a session a day for a year.
func aYear() *fakeSeller {
	f := &fakeSeller{}
	for day := range 365 {
		at := fakeNow.Add(time.Duration(day) * 24 * time.Hour)
		f.sessions = append(f.sessions, engine.SessionView{ID: fmt.Sprintf("day-%03d", day), Sale: "daily",
			State: engine.Published, Start: at, End: at.Add(time.Hour)})
	}
	return f
}

type sessionsPage struct {
	Sessions []struct{ ID string }
	Cursor   string
	Later    int
}

func (p *sessionsPage) ids() string {
	var ids []string
	for _, x := range p.Sessions {
		ids = append(ids, x.ID)
	}
	return strings.Join(ids, " ")
}

// TestSessionsAreBounded: what starts within a week is told, more is asked for page
// by page.
func TestSessionsAreBounded(t *testing.T) {
	s := newTestShopper(t, aYear())
	look := func(query string) (p sessionsPage) {
		r := ask(s, "GET", "/v1/sessions"+query, nil, "")
		if err := json.Unmarshal(r.Body(), &p); err != nil || r.StatusCode() != 200 {
			t.Fatalf("%s: %d, %v: %.200s", query, r.StatusCode(), err, r.Body())
		}
		return p
	}
	if p := look(""); len(p.Sessions) != 8 || p.Later != 357 || p.Cursor != "" {
		t.Errorf("%d sessions, %d later, cursor %q", len(p.Sessions), p.Later, p.Cursor)
	}
	if p := look("?limit=3"); p.ids() != "day-000 day-001 day-002" || p.Cursor != "day-002" {
		t.Errorf("%+v", p)
	}
	if p := look("?limit=3&cursor=day-002"); p.ids() != "day-003 day-004 day-005" {
		t.Errorf("%+v", p)
	}
	until := fakeNow.Add(400 * 24 * time.Hour).Wall().Format(time.RFC3339)
	seen := 0
	for query := "?until=" + until; query != ""; {
		p := look(query)
		if seen += len(p.Sessions); len(p.Sessions) > 100 {
			t.Fatalf("%d sessions on a page", len(p.Sessions))
		}
		if query = ""; p.Cursor != "" {
			query = "?until=" + until + "&cursor=" + p.Cursor
		}
	}
	if seen != 365 {
		t.Errorf("%d of 365 sessions", seen)
	}
	wantProblem(t, ask(s, "GET", "/v1/sessions?cursor=zzz", nil, ""), 400, "malformed")
	wantProblem(t, ask(s, "GET", "/v1/sessions?near=1,2&cursor=day-002", nil, ""), 400, "malformed")
}

// TestTheDisplayIsCompressed: gzip where it is asked for, of the same bytes.
func TestTheDisplayIsCompressed(t *testing.T) {
	s := newTestShopper(t, aYear())
	for _, path := range []string{"/v1/sessions", "/v1/sessions", "/v1/sessions?limit=8"} {
		plain := ask(s, "GET", path, map[string]string{"Accept-Encoding": "br, gzip;q=0"}, "")
		zipped := ask(s, "GET", path, map[string]string{"Accept-Encoding": "br;q=1, GZIP;q=0.5"}, "")
		if got := string(zipped.Header.Peek("Content-Encoding")); got != "gzip" ||
			len(plain.Header.Peek("Content-Encoding")) > 0 {
			t.Fatalf("%s: codings %q and %q", path, got, plain.Header.Peek("Content-Encoding"))
		}
		r, err := gzip.NewReader(bytes.NewReader(zipped.Body()))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(text, plain.Body()) || len(zipped.Body()) > len(text)/2 {
			t.Errorf("%s: %v, %d bytes for %d\n%s\n%s", path, err, len(zipped.Body()), len(plain.Body()), text,
				plain.Body())
		}
	}
}

// TestLooksOfOnesOwnHaveARate: what is made for one address alone is bounded, what
// all share is not.
func TestLooksOfOnesOwnHaveARate(t *testing.T) {
	s, err := NewShopper(ShopperConfig{Seller: selling(aYear()), Dev: true,
		Guard: GuardConfig{LookRate: ratelimit.Config{PerSecond: 0.001, Burst: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range []string{"/v1/sessions?near=1,2", "/v1/sessions?limit=5", "/v1/sessions/a/skus/b/draw",
		"/v1/sessions?near=1,2", "/v1/sessions/a/skus/b/draw?limit=5000"} {
		r := ask(s, "GET", path, nil, "")
		if i < 3 && r.StatusCode() != 200 {
			t.Errorf("%s: %d", path, r.StatusCode())
		}
		if i >= 3 {
			wantProblem(t, r, 429, "rate")
			if len(r.Header.Peek("Retry-After")) == 0 {
				t.Errorf("%s: no Retry-After", path)
			}
		}
	}
	for range 10 {
		if r := ask(s, "GET", "/v1/sessions", nil, ""); r.StatusCode() != 200 {
			t.Errorf("the display: %d", r.StatusCode())
		}
	}
}

// TestForeignOrdersCursor: a cursor that nobody gave out is the asker's slip.
func TestForeignOrdersCursor(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{err: &engine.Refusal{Reason: engine.ReasonConflict}})
	wantProblem(t, ask(s, "GET", "/v1/orders?cursor=zzz", ada, ""), 400, "malformed")
}

// TestCodedBodies: a body in a coding is 415 at every route that takes one, and not
// said to be no JSON.
func TestCodedBodies(t *testing.T) {
	for _, to := range adminRoutes {
		if to.takes == noBody {
			continue
		}
		w := askAdmin(newTestAdmin(t, &fakeOperator{}), to.method, pathOfPattern(to.pattern), "\x1f\x8b",
			"Content-Encoding", "gzip", "Content-Type", bodies[to.takes].types[0])
		wantAdminProblem(t, w, 415, "media-type")
	}
	for _, to := range shopperRoutes[routeNone+1:] {
		if to.method == "POST" || to.method == "PUT" {
			headers := map[string]string{"X-Shopper-Id": "ada", "Content-Encoding": "gzip"}
			wantProblem(t, ask(newTestShopper(t, &fakeSeller{}), to.method, pathOfPattern(to.template), headers,
				"\x1f\x8b"), 415, "media-type")
		}
	}
}

// TestWhoAsksComesFirst: who may not ask hears that, whatever their body is.
func TestWhoAsksComesFirst(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Dev, c.Tokens = false,
			auth.Keys{Secret: testSecret}
	})
	for _, to := range adminRoutes {
		if to.takes != noBody && to.needs != auth.Anybody {
			wantAdminProblem(t, askAdmin(s, to.method, pathOfPattern(to.pattern), "x", "Content-Type", "image/png"),
				401, "unauthorized")
		}
	}
}
