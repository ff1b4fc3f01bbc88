package httpapi

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
)

const reservationsPath = "/admin/v1/sessions/day/skus/mask/reservations"

func listedRows() []engine.RosterRow {
	return []engine.RosterRow{{ID: "ann", Level: engine.LevelBlock, Since: fakeNow},
		{ID: `b,"ob`, Level: engine.LevelListed, Since: fakeNow}, {ID: "cai", Level: engine.LevelChallenge,
			Since: fakeNow}}
}

func TestListsAreShown(t *testing.T) {
	const ann = `{"id":"ann","level":"block","since":"2026-09-20T02:00:00Z"}`
	for name, c := range map[string]struct {
		path, want, kind string
		roster           engine.RosterName
	}{
		"risk": {"/admin/v1/risk",
			`{"risk":[{"list":"shoppers","count":3},{"list":"phones","count":3},{"list":"addresses","count":3},{"list":"ips","count":3}]}`, "application/json", engine.RosterName{}},
		"allow lists": {"/admin/v1/allowlists", `{"allowlists":[{"list":"vips","count":3}]}`, "application/json",
			engine.RosterName{}},
		"page": {"/admin/v1/risk/shoppers?limit=1", `{"list":"risk/shoppers","count":3,"rows":[` + ann +
			`],"cursor":"1"}`, "application/json", engine.RosterName{Kind: engine.RosterRiskShopper}},
		"last page": {"/admin/v1/risk/ips?cursor=2",
			`{"list":"risk/ips","count":3,"rows":[{"id":"cai","level":"challenge","since":"2026-09-20T02:00:00Z"}]}`,
			"application/json", engine.RosterName{Kind: engine.RosterRiskIP}},
		"no levels": {"/admin/v1/allowlists/vips?limit=1",
			`{"list":"allowlists/vips","count":3,"rows":[{"id":"ann","since":"2026-09-20T02:00:00Z"}],"cursor":"1"}`,
			"application/json", engine.RosterName{Kind: engine.RosterAllowed, Name: "vips"}},
		"CSV": {"/admin/v1/risk/shoppers?format=csv",
			"id,level,since\nann,block,2026-09-20T02:00:00Z\n\"b,\"\"ob\",watch,2026-09-20T02:00:00Z\ncai,challenge,2026-09-20T02:00:00Z", "text/csv; charset=utf-8", engine.RosterName{Kind: engine.RosterRiskShopper}},
		"objects": {reservationsPath + "?format=ndjson", `{"id":"ann","since":"2026-09-20T02:00:00Z"}` + "\n" +
			`{"id":"b,\"ob","since":"2026-09-20T02:00:00Z"}` + "\n" + `{"id":"cai","since":"2026-09-20T02:00:00Z"}`,
			"application/x-ndjson", engine.RosterName{Kind: engine.RosterReserved, Session: "day", SKU: "mask"}},
		"one": {"/admin/v1/risk/shoppers/ann", ann, "application/json",
			engine.RosterName{Kind: engine.RosterRiskShopper}},
		"one reserved": {reservationsPath + "/ann", `{"id":"ann","since":"2026-09-20T02:00:00Z"}`, "application/json",
			engine.RosterName{Kind: engine.RosterReserved, Session: "day", SKU: "mask"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{rows: listedRows()}
			w := askAdmin(newTestAdmin(t, f), "GET", c.path, "")
			if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != 200 || got != c.want ||
				w.Header().Get("Content-Type") != c.kind || f.roster != c.roster {
				t.Errorf("status %d, %s, %+v\n got %s\nwant %s", w.Code, w.Header().Get("Content-Type"), f.roster, got,
					c.want)
			}
		})
	}
	w := askAdmin(newTestAdmin(t, &fakeOperator{rows: []engine.RosterRow{{ID: "203.0.113.0/24",
		Level: engine.LevelBlock}}}), "GET", "/admin/v1/risk/ips/203.0.113.0%2F24", "")
	if w.Code != 200 {
		t.Errorf("a prefix: status %d: %s", w.Code, w.Body)
	}
	if w := askAdmin(newTestAdmin(t, &fakeOperator{}), "GET", "/admin/v1/risk/ips?format=csv", ""); w.Code != 200 ||
		w.Body.String() != "id,level,since\n" {
		t.Errorf("an empty list: status %d: %s", w.Code, w.Body)
	}
}

func TestListsAreImported(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, kind, body string
		imported, answer         string
	}{
		"replace": {"PUT", "/admin/v1/risk/shoppers?note=bots", "text/csv", "id,level\nann,watch\nbob,\nbob,block\n",
			"ann=watch bob=block ", `{"list":"risk/shoppers","action":"replace","rows":2,"removed":0,"unchanged":0,"repeated":1,"count":2}`},
		"change": {"PATCH", "/admin/v1/risk/ips?level=watch", "text/plain", "203.0.113.7\n203.0.113.0/24,none\n",
			"203.0.113.7/32=watch 203.0.113.0/24=none ",
			`{"list":"risk/ips","action":"change","rows":2,"removed":1,"unchanged":0,"repeated":0,"count":2}`},
		"objects": {"PUT", "/admin/v1/allowlists/vips", "application/x-ndjson", `{"id":"ann"}`, "ann=watch ",
			`{"list":"allowlists/vips","action":"replace","rows":1,"removed":0,"unchanged":0,"repeated":0,"count":1}`},
		"reserve": {"PATCH", reservationsPath, "text/plain; charset=utf-8", "ann\nbob", "ann=watch bob=watch ",
			`{"list":"reservations of day/mask","action":"change","rows":2,"removed":0,"unchanged":0,"repeated":0,"count":2}`},
		"empty": {"PUT", "/admin/v1/allowlists/vips?empty=true", "text/plain", "",
			"", `{"list":"allowlists/vips","action":"replace","rows":0,"removed":0,"unchanged":0,"repeated":0,"count":0}`},
		"one off": {"DELETE", "/admin/v1/risk/shoppers/ann?note=a%20mistake", "", "", "ann=none ",
			`{"list":"risk/shoppers","action":"change","rows":1,"removed":1,"unchanged":0,"repeated":0,"count":1}`},
		"forget": {"DELETE", "/admin/v1/allowlists/vips", "", "", "", `{"list":"allowlists/vips","count":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{rows: listedRows()}
			w := askAdmin(newTestAdmin(t, f), c.method, c.path, c.body, "Content-Type", c.kind)
			if got := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != 200 || got != c.answer ||
				f.imported != c.imported || f.operator != "dev" || f.replaced != (c.method == "PUT") {
				t.Errorf("status %d, imported %q by %q, replaced %t\n got %s\nwant %s", w.Code, f.imported, f.operator,
					f.replaced, got, c.answer)
			}
		})
	}
}

func TestImportTellsItsProgress(t *testing.T) {
	f := &fakeOperator{}
	w := askAdmin(newTestAdmin(t, f), "PUT", "/admin/v1/risk/shoppers", "ann\nbob", "Content-Type", "text/plain",
		"Accept", "application/x-ndjson")
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if len(lines) != 2 || lines[0] != `{"committed":2,"of":2}` || !strings.Contains(lines[1], `"count":2`) ||
		w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%q", lines)
	}
	f.err = engine.ErrOutcomeUnknown
	w = askAdmin(newTestAdmin(t, f), "PATCH", "/admin/v1/risk/shoppers", "ann\nbob", "Content-Type", "text/plain",
		"Accept", "application/x-ndjson")
	lines = strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], problemURN+"unavailable") ||
		!strings.Contains(lines[1], "2 of 2 rows") {
		t.Errorf("%q", lines)
	}
}

func TestBadListsThroughTheAPI(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, kind, body string
		err                      error
		status                   int
		slug, says               string
	}{
		"bad line": {"PUT", "/admin/v1/risk/shoppers", "text/plain", "ann\nb ob\n", nil, 422, "list", `"line":2`},
		"thirty": {"PUT", "/admin/v1/risk/shoppers", "text/plain", strings.Repeat("b ob\n", 30), nil, 422,
			"list", "30 lines are wrong, and nothing was changed. The first 20 are listed."},
		"unknown kind": {"PUT", "/admin/v1/risk/cars", "text/plain", "ann", nil, 404, "not-found",
			"shoppers, phones, addresses, ips"},
		"unknown shown": {"GET", "/admin/v1/risk/cars", "", "", nil, 404, "not-found", "shoppers, phones"},
		"bad name": {"PUT", "/admin/v1/allowlists/-x", "text/plain", "ann", nil, 404, "not-found",
			"An allow list's name"},
		"a form": {"PUT", "/admin/v1/risk/shoppers", "application/x-www-form-urlencoded", "ann", nil, 415,
			"media-type", "text/csv"},
		"wrong code": {"PUT", "/admin/v1/risk/addresses", "text/plain", "Caf\xe9", nil, 422, "list", "UTF-8"},
		"empty":      {"PUT", "/admin/v1/risk/shoppers", "text/plain", "\n", nil, 422, "list", "empty=true"},
		"level": {"PUT", "/admin/v1/risk/shoppers?level=none", "text/plain", "ann", nil, 400, "malformed",
			"watch, challenge or block"},
		"allowed level": {"PUT", "/admin/v1/allowlists/vips?level=block", "text/plain", "ann", nil, 400, "malformed",
			"no parameter"},
		"format": {"GET", "/admin/v1/risk/shoppers?format=xml", "", "", nil, 400, "malformed", "csv or ndjson"},
		"cursor": {"GET", "/admin/v1/risk/shoppers?cursor=x", "", "", nil, 400, "malformed", "cursor"},
		"not there": {"GET", "/admin/v1/risk/shoppers/ann", "", "", nil, 404, "not-found",
			"There is no ann in risk/shoppers"},
		"drop not": {"DELETE", "/admin/v1/risk/shoppers/ann", "", "", nil, 404, "not-found",
			"There is no ann in risk/shoppers"},
		"bad id": {"GET", "/admin/v1/risk/phones/13800138000", "", "", nil, 400, "malformed", "+8613800138000"},
		"bad note": {"PUT", "/admin/v1/risk/shoppers?note=%07", "text/plain", "ann", nil, 400, "malformed",
			"note"},
		"in between": {"PUT", "/admin/v1/risk/shoppers", "text/plain",
			"ann", &engine.Refusal{Reason: engine.ReasonConflict}, 409, "conflict", "Another import"},
		"too late": {"PUT", reservationsPath, "text/plain", "ann", &engine.Refusal{Reason: engine.ReasonTooLate},
			409, "conflict", "the session has started"},
		"unknown": {"PUT", reservationsPath, "text/plain", "ann", &engine.Refusal{Reason: engine.ReasonUnknown},
			404, "not-found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeOperator{err: c.err}
			w := askAdmin(newTestAdmin(t, f), c.method, c.path, c.body, "Content-Type", c.kind)
			wantAdminProblem(t, w, c.status, c.slug)
			if !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%s does not say %s", w.Body, c.says)
			}
			if c.err == nil && f.imported != "" {
				t.Errorf("%q was imported", f.imported)
			}
		})
	}
}

// TestListTooLarge: a list that is too large is refused before it is sent.
func TestListTooLarge(t *testing.T) {
	f := &fakeOperator{}
	server := httptest.NewServer(newTestAdmin(t, f))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "PUT /admin/v1/risk/shoppers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "+
		"text/plain\r\nContent-Length: %d\r\n\r\nann\n", 2<<30)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 413 || f.imported != "" {
		t.Errorf("status %d, imported %q", response.StatusCode, f.imported)
	}
}

// TestListBrokenOff: a list whose sender goes away in the middle changes nothing.
func TestListBrokenOff(t *testing.T) {
	f := &fakeOperator{}
	answered := make(chan struct{})
	admin := newTestAdmin(t, f)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admin.ServeHTTP(w, r)
		close(answered)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PUT /admin/v1/risk/shoppers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "+
		"text/plain\r\nContent-Length: 100\r\n\r\nann\nbob\n")
	conn.Close()
	<-answered
	if f.imported != "" {
		t.Errorf("%q was imported", f.imported)
	}
}
