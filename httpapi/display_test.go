package httpapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

func TestSessionsNearFirst(t *testing.T) {
	f := &fakeSeller{sessions: fakeSessions()}
	s := newTestShopper(t, f)
	order := func(path string) (got []string) {
		t.Helper()
		r := ask(s, "GET", path, map[string]string{"Accept-Language": "zh-TW,en"}, "")
		var page struct {
			Sessions []struct {
				ID, Name string
				Listings []struct{ SKU, Name string }
			}
			ServerTime string `json:"server_time"`
		}
		if err := json.Unmarshal(r.Body(), &page); err != nil || r.StatusCode() != 200 || page.ServerTime == "" {
			t.Fatalf("status %d: %v: %s", r.StatusCode(), err, r.Body())
		}
		for _, x := range page.Sessions {
			got = append(got, x.ID)
			for _, l := range x.Listings {
				if l.Name != "医用口罩" {
					t.Errorf("name %q", l.Name)
				}
				got = append(got, l.SKU)
			}
		}
		return got
	}
	for path, want := range map[string]string{
		"/v1/sessions":                  "nowhere fans-day-10 no-place beijing mask-50",
		"/v1/sessions?near=31.0,121.0":  "fans-day-10 mask-50 beijing no-place nowhere",
		"/v1/sessions?near=40,%20116":   "fans-day-10 beijing mask-50 no-place nowhere",
		"/v1/sessions?near=-90.0,180.0": "fans-day-10 mask-50 beijing no-place nowhere",
		"/v1/sessions?near=39.9,116.4":  "fans-day-10 beijing mask-50 no-place nowhere",
	} {
		if got := strings.Join(order(path), " "); got != want {
			t.Errorf("%s: %s; want %s", path, got, want)
		}
	}
	if f.sessions[0].ID != "nowhere" || f.sessions[1].Listings[0].SKU != "no-place" {
		t.Error("the seller's own views were sorted")
	}
}

// TestDisplayIsCached: what is on display may be kept for a second and is not
// sent twice; what is a shopper's own is never kept.
func TestDisplayIsCached(t *testing.T) {
	f := &fakeSeller{sessions: fakeSessions(), order: heldOrder(), answer: granted()}
	s := newTestShopper(t, f)
	for _, path := range []string{"/v1/sessions", "/v1/sessions/fans-day-10/skus/mask-50"} {
		r := ask(s, "GET", path, nil, "")
		tag := string(r.Header.Peek("ETag"))
		if tag == "" || string(r.Header.Peek("Cache-Control")) != "public, max-age=1" ||
			!strings.HasPrefix(string(r.Header.Peek("Vary")), "Accept-Language") {
			t.Errorf("%s: ETag %q, Cache-Control %q, Vary %q", path, tag, r.Header.Peek("Cache-Control"),
				r.Header.Peek("Vary"))
		}
		if r = ask(s, "GET", path, map[string]string{"If-None-Match": `"x", ` + tag}, ""); r.StatusCode() != 304 ||
			len(r.Body()) != 0 {
			t.Errorf("%s again: status %d, %d bytes", path, r.StatusCode(), len(r.Body()))
		}
	}
	tag := string(ask(s, "GET", "/v1/sessions", nil, "").Header.Peek("ETag"))
	f.sessions[1].Listings[2].Stock--
	if r := ask(s, "GET", "/v1/sessions", map[string]string{"If-None-Match": tag}, ""); r.StatusCode() != 200 {
		t.Errorf("changed stock: status %d", r.StatusCode())
	}
	for _, request := range [][2]string{{"GET", "/v1/orders"}, {"GET", "/v1/orders/" + fakeOrderNo}, {"POST", grabPath},
		{"GET", "/v1/time"}, {"GET", "/v1/nothing"}} {
		if r := ask(s, request[0], request[1], ada, ""); string(r.Header.Peek("Cache-Control")) != "no-store" {
			t.Errorf("%s: Cache-Control %q", request[1], r.Header.Peek("Cache-Control"))
		}
	}
}

// TestNearIsForOneShopper: where they are, and how far it is from there, is nobody
// else's business, and no shared cache's.
func TestNearIsForOneShopper(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{sessions: fakeSessions(), version: 7})
	r := ask(s, "GET", "/v1/sessions?near=31.2,121.5", nil, "")
	if got := string(r.Header.Peek("Cache-Control")); got != "private, max-age=1" {
		t.Errorf("Cache-Control %q", got)
	}
	var page struct {
		Sessions []struct {
			Listings []struct {
				SKU      string
				Distance *int `json:"distance_m"`
			}
		}
	}
	if err := json.Unmarshal(r.Body(), &page); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1_070_000, -1} { // to Beijing; nowhere
		got := page.Sessions[0].Listings[i].Distance
		if want < 0 && got != nil || want >= 0 && (got == nil || *got < want-10_000 || *got > want+10_000) {
			t.Errorf("listing %d is %v m away, want %d", i, got, want)
		}
	}
	if r := ask(s, "GET", "/v1/sessions", nil, ""); strings.Contains(string(r.Body()), "distance_m") {
		t.Errorf("a distance from nowhere: %s", r.Body())
	}
}

// TestIfNoneMatch: as RFC 9110 says.
func TestIfNoneMatch(t *testing.T) {
	s := newTestShopper(t, &fakeSeller{sessions: fakeSessions()})
	tag := string(ask(s, "GET", "/v1/sessions", nil, "").Header.Peek("ETag"))
	opaque := strings.TrimPrefix(tag, "W/")
	for given, status := range map[string]int{
		tag: 304, opaque: 304, "*": 304, " * ": 304, `"x",` + tag: 304, `"x" ,  W/"y" , ` + opaque + `, "z"`: 304,
		`,,` + tag:      304,
		`"a,b", ` + tag: 304,
		"":              200, `"x"`: 200, `"x", *`: 200, `"*"`: 200, strings.Trim(opaque, `"`): 200,
		opaque[:len(opaque)-2] + `"`: 200,
		`"x` + opaque[1:]:            200, `"unclosed`: 200, `x, ` + tag: 200, "W/": 200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := ask(s, method, "/v1/sessions", map[string]string{"If-None-Match": given}, "")
			if r.StatusCode() != status || string(r.Header.Peek("ETag")) != tag ||
				string(r.Header.Peek("Vary")) == "" || string(r.Header.Peek("Cache-Control")) == "" {
				t.Errorf("%s with %q: status %d, want %d, with the same headers: %s", method, given, r.StatusCode(),
					status, &r.Header)
			}
		}
	}
	ctx := newGrab("GET", "/v1/sessions", nil, "")
	ctx.Request.Header.Add("If-None-Match", `"x"`)
	ctx.Request.Header.Add("If-None-Match", tag)
	if s.handle(ctx); ctx.Response.StatusCode() != 304 {
		t.Errorf("in the second of two headers: status %d", ctx.Response.StatusCode())
	}
}

// TestDisplayAge: how long a page may be kept is said in whole seconds, within bounds.
func TestDisplayAge(t *testing.T) {
	var age time.Duration
	s, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{sessions: fakeSessions()}), Dev: true,
		DisplayAge: func() time.Duration { return age }})
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[time.Duration]string{
		-1: "no-store", 0: "no-store", 999 * time.Millisecond: "no-store", time.Second: "public, max-age=1",
		2500 * time.Millisecond: "public, max-age=2",
		time.Minute:             "public, max-age=60", time.Hour: "public, max-age=60",
	} {
		age = given
		if got := string(ask(s, "GET", "/v1/sessions", nil, "").Header.Peek("Cache-Control")); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}

// TestPagesAreKept: a page is built once for a version of the figures and a
// language, and is the same on every node.
func TestPagesAreKept(t *testing.T) {
	f := &fakeSeller{sessions: fakeSessions(), version: 7}
	s, other := newTestShopper(t, f), newTestShopper(t, &fakeSeller{sessions: fakeSessions(), version: 4711})
	zh := map[string]string{"Accept-Language": "zh"}
	english, chinese := string(ask(s, "GET", "/v1/sessions", nil, "").Body()),
		string(ask(s, "GET", "/v1/sessions", zh, "").Body())
	if english == chinese {
		t.Error("one page for two languages")
	}
	f.sessions[1].Listings[2].Stock-- // and the version stays: nobody can have seen it
	again := ask(s, "GET", "/v1/sessions", nil, "")
	if got := string(again.Body()); got != english {
		t.Errorf("the same version gives another page:\n%s\n%s", got, english)
	}
	elsewhere := ask(other, "GET", "/v1/sessions", nil, "")
	if string(elsewhere.Header.Peek("ETag")) != string(again.Header.Peek("ETag")) ||
		string(elsewhere.Body()) != english {
		t.Error("another node gives another page, or tag")
	}
	f.version = 8
	if got := string(ask(s, "GET", "/v1/sessions", nil, "").Body()); got == english ||
		!strings.Contains(got, `"stock":999`) {
		t.Errorf("the next version gives %s", got)
	}
	f.version = 0 // being changed
	f.sessions[1].Listings[2].Stock--
	if got := string(ask(s, "GET", "/v1/sessions", nil, "").Body()); !strings.Contains(got, `"stock":998`) {
		t.Errorf("while it changes: %s", got)
	}
	f.version, f.sessions[1].Listings[2].Stock = 9, 900
	if got := string(ask(s, "GET", "/v1/sessions", nil, "").Body()); !strings.Contains(got, `"stock":900`) {
		t.Errorf("a page was kept that was half changed: %s", got)
	}
}

// TestUncertainStockIsNotShown: where nobody can say what others were shown, the
// shopper is told to look again.
func TestUncertainStockIsNotShown(t *testing.T) {
	f := &fakeSeller{sessions: fakeSessions(), version: 7}
	s := newTestShopper(t, f)
	ask(s, "GET", "/v1/sessions", nil, "") // a page is kept
	f.err = engine.ErrNotLeader
	for _, path := range []string{"/v1/sessions", "/v1/sessions?near=1,2", "/v1/sessions/fans-day-10/skus/mask-50",
		"/v1/sessions/fans-day-10/skus/none"} {
		r := ask(s, "GET", path, map[string]string{"If-None-Match": "*"}, "")
		wantProblem(t, r, 503, "unavailable")
		if string(r.Header.Peek("Retry-After")) != retrySeconds ||
			string(r.Header.Peek("Cache-Control")) != "no-store" {
			t.Errorf("%s: %s", path, &r.Header)
		}
	}
}

// manySessions is a catalogue of ten sessions with a hundred listings each.
func manySessions() []engine.SessionView {
	var all []engine.SessionView
	for i := range 10 {
		x := fakeSessions()[1]
		x.ID = fmt.Sprintf("fans-day-%d", i)
		l := x.Listings[2]
		x.Listings = nil
		for j := range 100 {
			l.Session, l.SKU = x.ID, "mask-"+strconv.Itoa(j)
			l.Place = &engine.Place{Latitude: float64(i*j%90) + 0.5, Longitude: float64(i*j%180) + 0.25}
			x.Listings = append(x.Listings, l)
		}
		all = append(all, x)
	}
	return all
}

// BenchmarkSessions is a look at a thousand listings: kept, while figures change
// with each look, by somebody who has it, and near first.
func BenchmarkSessions(b *testing.B) {
	for name, c := range map[string]struct {
		path    string
		version uint64
		headers map[string]string
	}{
		"kept":     {"/v1/sessions", 7, nil},
		"built":    {"/v1/sessions", 0, nil},
		"unsent":   {"/v1/sessions", 7, map[string]string{"If-None-Match": "*"}},
		"by place": {"/v1/sessions?near=31.2,121.5", 7, nil},
	} {
		b.Run(name, func(b *testing.B) {
			s := newTestShopper(b, &fakeSeller{sessions: manySessions(), version: c.version})
			ctx := newGrab("GET", c.path, c.headers, "")
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				s.handle(ctx)
			}
			b.ReportMetric(float64(len(ctx.Response.Body())), "body-B")
		})
	}
}

// TestLanguageOfTheDisplay: lang chooses the words of whoever looks, from the page that
// all share, and then no cache has to look at Accept-Language.
func TestLanguageOfTheDisplay(t *testing.T) {
	f := &fakeSeller{sessions: fakeSessions()}
	s := newTestShopper(t, f)
	for path, c := range map[string]struct {
		header  string
		status  int
		part    string
		varying bool
	}{
		"/v1/sessions":                                          {"fr, zh;q=0.9", 200, "医用口罩", true},
		"/v1/sessions?lang=zh":                                  {"en", 200, "医用口罩", false},
		"/v1/sessions?lang=en":                                  {"zh", 200, "Masks", false},
		"/v1/sessions/fans-day-10/skus/mask-50?lang=zh":         {"en", 200, "医用口罩", false},
		"/v1/sessions/fans-day-10/skus/mask-50":                 {"en", 200, "Masks", true},
		"/v1/sessions?lang=fr":                                  {"", 400, "The lang must be en or zh.", false},
		"/v1/sessions/fans-day-10/skus/mask-50?lang=zh&lang=en": {"", 400, "more than once", false},
		"/v1/sessions/fans-day-10/skus/mask-50?land=zh":         {"", 400, "no parameter", false},
	} {
		r := ask(s, "GET", path, map[string]string{"Accept-Language": c.header}, "")
		if vary := string(r.Header.Peek("Vary")); r.StatusCode() != c.status || !strings.Contains(string(r.Body()),
			c.part) || strings.Contains(vary, "Accept-Language") != c.varying {
			t.Errorf("%s: %d, Vary %q, %s", path, r.StatusCode(), vary, r.Body())
		}
	}
}
