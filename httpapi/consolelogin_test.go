package httpapi

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

// loggedIn is a browser of an operator who has logged in.
type loggedIn struct {
	*AdminServer
	t      *testing.T
	cookie *http.Cookie
	csrf   string
	token  string
}

func opsToken(t *testing.T, secret []byte, role auth.Role, ttl time.Duration) string {
	t.Helper()
	token, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: role, TTL: ttl}.Sign(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func logIn(t *testing.T, s *AdminServer, role auth.Role) *loggedIn {
	t.Helper()
	token := opsToken(t, testSecret, role, time.Hour)
	w := askAdmin(s, "POST", "/console/login", `{"token":"`+token+`"}`, "Sec-Fetch-Site", "same-origin")
	var x wire.ConsoleSession
	if err := json.Unmarshal(w.Body.Bytes(), &x); err != nil || w.Code != 200 || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if !x.LoggedIn || x.Name != "olga" || x.Role != string(role) || x.CSRF == "" || strings.Contains(w.Body.String(),
		token) {
		t.Errorf("%+v", x)
	}
	return &loggedIn{s, t, w.Result().Cookies()[0], x.CSRF, token}
}

func (b *loggedIn) asks(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	headers = append(headers, "Cookie", b.cookie.Name+"="+b.cookie.Value)
	return askAdmin(b.AdminServer, method, path, body, headers...)
}

const stockPath = "/admin/v1/sessions/fans-day-10/skus/mask-50/stock"

func TestConsoleLogin(t *testing.T) {
	f := &fakeOperator{}
	var logged bytes.Buffer
	s := newTestAdmin(t, f, func(c *AdminConfig) {
		c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret}
		c.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	})
	b := logIn(t, s, auth.Operator)
	c := b.cookie
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode ||
		c.Path != "/" || c.Domain != "" || time.Until(c.Expires) > time.Hour || time.Until(c.Expires) < 59*time.Minute {
		t.Errorf("%+v", c)
	}
	if w := b.asks("GET", "/admin/v1/sessions", ""); w.Code != 200 {
		t.Errorf("reading: %d %s", w.Code, w.Body)
	}
	if w := b.asks("GET", "/console/session", "", "Sec-Fetch-Site", "same-origin"); w.Code != 200 ||
		!strings.Contains(w.Body.String(), `"csrf":"`+b.csrf+`"`) {
		t.Errorf("loaded anew: %d %s", w.Code, w.Body)
	}
	good := []string{"Sec-Fetch-Site", "same-origin", HeaderCSRF, b.csrf}
	if w := b.asks("POST", stockPath, `{"units":1}`, good...); w.Code != 200 || f.operator != "olga" || f.units != 1 {
		t.Errorf("changing: %d %s", w.Code, w.Body)
	}
	if w := b.asks("POST", stockPath, `{"units":2}`, "Origin", "http://127.0.0.1:8081", HeaderCSRF, b.csrf); w.Code !=
		200 {
		t.Errorf("changing, with an Origin: %d %s", w.Code, w.Body)
	}
	// As before: a program with its token needs none of that.
	if w := askAdmin(s, "POST", stockPath, `{"units":3}`, "Authorization", "Bearer "+b.token); w.Code != 200 {
		t.Errorf("by bearer: %d %s", w.Code, w.Body)
	}
	wantAdminProblem(t, b.asks("POST", "/console/logout", "", "Sec-Fetch-Site", "same-origin"), 403, "cross-site")
	w := b.asks("POST", "/console/logout", "", good...)
	if gone := w.Result().Cookies(); w.Code != 200 || len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Value != "" {
		t.Errorf("logout: %d %v", w.Code, w.Header())
	}
	if strings.Contains(logged.String(), b.token) || strings.Contains(logged.String(), b.csrf) {
		t.Errorf("the log has a secret: %s", &logged)
	}
}

// TestCookieOfAnOperatorIsNoUseToOthers: a page of another origin, one without the proof, and
// a viewer with hand-made operators' requests change nothing.
func TestCookieOfAnOperatorIsNoUseToOthers(t *testing.T) {
	f := &fakeOperator{}
	s := newTestAdmin(t, f, func(c *AdminConfig) { c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret} })
	b, viewer := logIn(t, s, auth.Operator), logIn(t, s, auth.Viewer)
	for name, headers := range map[string][]string{
		"another site":               {"Sec-Fetch-Site", "cross-site", HeaderCSRF, b.csrf},
		"another name of the site":   {"Sec-Fetch-Site", "same-site", HeaderCSRF, b.csrf},
		"typed in":                   {"Sec-Fetch-Site", "none", HeaderCSRF, b.csrf},
		"another origin":             {"Origin", "https://evil.example", HeaderCSRF, b.csrf},
		"another port":               {"Origin", "http://127.0.0.1:9999", HeaderCSRF, b.csrf},
		"an origin that is null":     {"Origin", "null", HeaderCSRF, b.csrf},
		"neither site nor origin":    {HeaderCSRF, b.csrf},
		"no proof":                   {"Sec-Fetch-Site", "same-origin"},
		"a wrong proof":              {"Sec-Fetch-Site", "same-origin", HeaderCSRF, b.csrf[1:] + "A"},
		"an empty proof":             {"Sec-Fetch-Site", "same-origin", HeaderCSRF, ""},
		"the proof of another token": {"Sec-Fetch-Site", "same-origin", HeaderCSRF, viewer.csrf},
	} {
		t.Run(name, func(t *testing.T) {
			wantAdminProblem(t, b.asks("POST", stockPath, `{"units":1}`, headers...), 403, "cross-site")
			wantAdminProblem(t, b.asks("DELETE", "/admin/v1/sales/fans-day", "", headers...), 403, "cross-site")
		})
	}
	wantAdminProblem(t, viewer.asks("POST", stockPath, `{"units":1}`, "Sec-Fetch-Site", "same-origin", HeaderCSRF,
		viewer.csrf), 403, "forbidden")
	wantAdminProblem(t, b.asks("GET", "/admin/v1/sessions", "", "Sec-Fetch-Site", "cross-site"), 403, "cross-site")
	if f.operator != "" || len(f.gone) > 0 {
		t.Errorf("something was done by %q", f.operator)
	}
}

func TestBadLogins(t *testing.T) {
	s := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Dev, c.Tokens = false, auth.Keys{Secret: testSecret}
	})
	token := opsToken(t, testSecret, auth.Viewer, time.Hour)
	suppliers, err := auth.Claims{Audience: auth.Operators, Subject: "feed", Role: auth.Supplier, Supplier: "acme",
		TTL: time.Hour}.Sign(testSecret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body, site string
		status     int
		slug       string
	}{
		"no token":             {`{}`, "same-origin", 401, "unauthorized"},
		"no object":            {`[]`, "same-origin", 400, "malformed"},
		"an unknown member":    {`{"token":"x","remember":true}`, "same-origin", 400, "malformed"},
		"of another key":       {`{"token":"` + opsToken(t, otherSecret, auth.Admin, time.Hour) + `"}`, "same-origin", 401, "unauthorized"},
		"of a page of others":  {`{"token":"` + token + `"}`, "cross-site", 403, "cross-site"},
		"of nobody's page":     {`{"token":"` + token + `"}`, "", 403, "cross-site"},
		"of a supplier":        {`{"token":"` + suppliers + `"}`, "same-origin", 403, "forbidden"},
		"longer than a cookie": {`{"token":"` + strings.Repeat("x", maxCookieToken+1) + `"}`, "same-origin", 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if c.site != "" {
				headers = []string{"Sec-Fetch-Site", c.site}
			}
			w := askAdmin(s, "POST", "/console/login", c.body, headers...)
			wantAdminProblem(t, w, c.status, c.slug)
			if len(w.Result().Cookies()) > 0 {
				t.Errorf("it gave a cookie: %v", w.Header())
			}
		})
	}
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/sales", "", "Cookie", sessionCookie+"="+token+"; "+sessionCookie+
		"="+token), 401, "unauthorized")
	wantAdminProblem(t, askAdmin(s, "GET", "/admin/v1/sales", "", "Cookie", sessionCookie+"=junk"), 401, "unauthorized")
	dev := askAdmin(newTestAdmin(t, &fakeOperator{}), "POST", "/console/login", `{"token":""}`, "Sec-Fetch-Site",
		"same-origin")
	if dev.Code != 200 || len(dev.Result().Cookies()) > 0 || !strings.Contains(dev.Body.String(), `"name":"dev"`) {
		t.Errorf("with --dev: %d %s", dev.Code, dev.Body)
	}
}
