package httpapi

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"doorbuster/engine"
	"doorbuster/httpapi/curve"
	"doorbuster/httpapi/wire"
)

func withCurve(t *testing.T) (s *AdminServer, session string) {
	session = fakeSessions()[0].ID
	recorder := curve.New(curve.Config{Look: func() []engine.Counts {
		return []engine.Counts{{Session: session, SKU: "mask-50", Stock: 10, Available: 7, Held: 2, Paid: 1}}
	}})
	go recorder.Run(t.Context())
	for _, changed := recorder.Session(session, 0); ; {
		c, next := recorder.Session(session, 0)
		if c.Last > 0 {
			break
		}
		<-changed
		changed = next
	}
	return newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Curves = recorder }), session
}

func TestCurveAsJSON(t *testing.T) {
	s, session := withCurve(t)
	path := "/admin/v1/sessions/" + session + "/curve"
	var c wire.Curve
	w := askAdmin(s, "GET", path, "")
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || len(c.Listings) != 1 || c.Listings[0].Held[0] != 2 {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/sessions/none/curve", ""), 404, "not-found")
	for _, query := range []string{"?after=-1", "?after=x", "?stream=perhaps", "?after=9999999999999"} {
		wantAdminProblem(t, askAdmin(s, "GET", path+query, ""), 400, "malformed")
	}
}

// TestCurveAsStream: all that there is, and then what is new, each second, once.
func TestCurveAsStream(t *testing.T) {
	s, session := withCurve(t)
	server := httptest.NewServer(s)
	defer server.Close()
	request, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/admin/v1/sessions/"+session+"/curve", nil)
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	lines, next := bufio.NewScanner(response.Body), int64(0)
	for events := 0; events < 2 && lines.Scan(); {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		events++
		var c wire.Curve
		if err := json.Unmarshal([]byte(data), &c); err != nil || len(c.Listings) != 1 {
			t.Fatalf("%s: %v", data, err)
		}
		l := &c.Listings[0]
		if next != 0 && l.From != next || l.From+int64(len(l.Granted))-1 != c.Last {
			t.Errorf("from %d, %d points, up to %d; wanted from %d", l.From, len(l.Granted), c.Last, next)
		}
		next = c.Last + 1
	}
}
