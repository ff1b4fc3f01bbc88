package httpapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/wire"
)

// A page logs in once: the operator's token becomes a cookie that no script can read and no
// page of another site sends along. The cookie is the token itself, so that each node knows
// it, and nothing is kept; it ends with the token.

// sessionCookie has the prefix that has browsers take it from this very host only, and never
// without Secure. Browsers take http://localhost and loopback addresses for secure.
const sessionCookie = "__Host-doorbuster-ops"

// maxCookieToken is the longest token that becomes a cookie: browsers keep 4096 bytes of one,
// with its name and all.
const maxCookieToken = 3800

// HeaderCSRF is what a page proves with that it may read what it was answered: each request
// by cookie that changes something has it.
const HeaderCSRF = "Doorbuster-Csrf"

// csrfOf gives the proof that goes with a token: whoever has it was told it, or has the token.
func csrfOf(token string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("doorbuster console csrf 1"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// login makes a token a cookie.
func (s *AdminServer) login(w http.ResponseWriter, r *http.Request, _ *none) error {
	var b wire.Login
	if err := readBody(r, &b); err != nil {
		return err
	}
	if !sameOrigin(r) {
		return refuse(crossSite, notTheConsole)
	}
	if s.dev {
		return s.reply(w, devSession)
	}
	token := strings.TrimSpace(b.Token)
	if len(token) > maxCookieToken {
		return refuse(malformed, fmt.Sprintf("The token has %d bytes, and one that a browser is to keep may have %d. "+
			"Use one with fewer claims.", len(token), maxCookieToken))
	}
	who, err := auth.Authorize(s.tokens, "Bearer "+token, 1)
	if err != nil {
		s.log.Info("console login refused", "address", r.RemoteAddr, "reason", err.Error())
		return refuse(unauthorized, err.Error())
	}
	if !who.Role.Covers(auth.Viewer) {
		s.log.Info("console login refused", "operator", string(who.Subject), "address", r.RemoteAddr,
			"reason", "a supplier's token")
		return refuse(forbidden, "The console is for operators: viewers, operators and admins. A token with the role "+
			string(who.Role)+" is for its supplier's products, by the API and doorbuster products.")
	}
	http.SetCookie(w, cookieOf(token, who.Expires()))
	s.log.Info("console login", "operator", string(who.Subject), "address", r.RemoteAddr)
	return s.reply(w, sessionOfToken(who, token))
}

// logout takes the cookie back. The token stays good: who has it may log in again.
func (s *AdminServer) logout(w http.ResponseWriter, r *http.Request, _ *none) error {
	if !sameOrigin(r) {
		return refuse(crossSite, notTheConsole)
	}
	if token, err := cookieToken(r); err == nil && !s.dev {
		if _, err := auth.Authorize(s.tokens, "Bearer "+token, 1); err == nil && !csrfHolds(r, token) {
			return refuse(crossSite, withoutCSRF)
		}
	}
	c := cookieOf("", time.Unix(1, 0))
	c.MaxAge = -1
	http.SetCookie(w, c)
	return s.reply(w, wire.ConsoleSession{})
}

// consoleSession tells who asks; and a page that was loaded anew, by its cookie, what proves
// its changes.
func (s *AdminServer) consoleSession(r *http.Request) (wire.ConsoleSession, error) {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	if s.dev || who.Bearer == nil {
		return devSession, nil
	}
	x := sessionOfToken(who.Bearer, "")
	if token, err := cookieToken(r); err == nil && len(r.Header.Values("Authorization")) == 0 {
		x.CSRF = csrfOf(token)
	}
	return x, nil
}

var devSession = wire.ConsoleSession{LoggedIn: true, Name: "dev", Role: string(auth.Admin)}

// sessionOfToken says who has logged in by a token; by "" without what proves changes.
func sessionOfToken(who *auth.Bearer, token string) wire.ConsoleSession {
	x := wire.ConsoleSession{LoggedIn: true, Name: string(who.Subject), Role: string(who.Role),
		Supplier: who.Supplier, Expires: who.Expires().UTC().Format(time.RFC3339)}
	if token != "" {
		x.CSRF = csrfOf(token)
	}
	return x
}

func cookieOf(token string, expires time.Time) *http.Cookie {
	return &http.Cookie{Name: sessionCookie, Value: token, Path: "/", Expires: expires, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode}
}

// cookieToken gives the token of a request's cookie, which must be there once.
func cookieToken(r *http.Request) (string, error) {
	all := r.CookiesNamed(sessionCookie)
	if len(all) != 1 || all[0].Value == "" {
		return "", http.ErrNoCookie
	}
	return all[0].Value, nil
}

// csrfHolds reports whether a request has the proof that goes with its cookie.
func csrfHolds(r *http.Request, token string) bool {
	given := r.Header.Values(HeaderCSRF)
	return len(given) == 1 && subtle.ConstantTimeCompare([]byte(given[0]), []byte(csrfOf(token))) == 1
}

const (
	notTheConsole = "This is for the console's own pages: the browser must say so in Sec-Fetch-Site or Origin."
	withoutCSRF   = "A change by a browser that has logged in needs the header " + HeaderCSRF +
		", with what login or GET /console/session gave."
)

// sameOrigin reports whether a browser says that a request that changes something is of a page
// of this very address. One that says nothing is no browser's that people use.
func sameOrigin(r *http.Request) bool {
	if sites := r.Header.Values("Sec-Fetch-Site"); len(sites) > 0 {
		return len(sites) == 1 && sites[0] == "same-origin"
	}
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// byCookie says why a request by cookie is not taken, "" if it is. What reads may have been
// typed into the address line; what changes something is of the console's own page, which
// proves it.
func byCookie(r *http.Request, token string) (wrong string) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		switch site := r.Header.Get("Sec-Fetch-Site"); site {
		case "", "same-origin", "none":
			return ""
		}
		return notTheConsole
	}
	if !sameOrigin(r) {
		return notTheConsole
	}
	if !csrfHolds(r, token) {
		return withoutCSRF
	}
	return ""
}

// taking says what the body is of a handler that reads it by itself.
func taking[B any](h adminHandler) adminHandler {
	h.body = reflect.TypeFor[B]()
	return h
}
