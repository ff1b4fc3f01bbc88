package httpapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

// operator is who asks; the name goes into the audit trail.
type operator struct {
	*auth.Bearer
	name string
	key  string    // their Idempotency-Key; "" without
	said hash.Hash // of the request, as far as it has been read; with a key
}

type operatorKey struct{}

func withOperator(ctx context.Context, who operator) context.Context {
	return context.WithValue(ctx, operatorKey{}, who)
}

// operatorOf gives the name of who asks.
func operatorOf(r *http.Request) string {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	return who.name
}

// roleOf gives the role of who asks; auth.Anybody where nobody has been asked.
func roleOf(r *http.Request) auth.Role {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	if who.Bearer == nil {
		return auth.Anybody
	}
	return who.Role
}

// byOf says who asks, and what they mean to have done once. The body must have been
// read.
func byOf(r *http.Request) engine.By {
	who, _ := r.Context().Value(operatorKey{}).(operator)
	by := engine.By{Operator: who.name, Key: who.key}
	if who.key != "" {
		copy(by.Request[:], who.said.Sum(nil))
	}
	return by
}

// hashedBody hashes a body as it is read.
type hashedBody struct {
	io.ReadCloser
	said hash.Hash
}

func (b *hashedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.said.Write(p[:n]) // never fails
	return n, err
}

// intends notes the key of who asks, or says what is wrong with it.
func (who *operator) intends(r *http.Request, to *adminRoute) (wrong string) {
	keys := r.Header.Values("Idempotency-Key")
	if to.again == reads || len(keys) == 0 {
		return ""
	}
	if len(keys) > 1 || !engine.ValidKey([]byte(keys[0])) {
		return badKey
	}
	who.key, who.said = keys[0], sha256.New()
	fmt.Fprintf(who.said, "%s %s\n", r.Method, r.URL.RequestURI())
	r.Body = &hashedBody{r.Body, who.said}
	return ""
}

// authorize tells who asks, by their token or by the cookie that it has become, if they may
// call the route, or answers 401 or 403 itself and
// gives false.
func (s *AdminServer) authorize(w http.ResponseWriter, r *http.Request, to *adminRoute) (operator, bool) {
	header, headers := r.Header.Get("Authorization"), len(r.Header.Values("Authorization"))
	token, none := cookieToken(r)
	cookie := none == nil && headers == 0
	if cookie {
		header, headers = "Bearer "+token, 1
	}
	b, err := auth.Authorize(s.tokens, header, headers)
	if err == nil && cookie {
		if wrong := byCookie(r, token); wrong != "" {
			s.problem(w, r, crossSite, wrong)
			return operator{}, false
		}
	}
	if err != nil {
		w.Header().Set("WWW-Authenticate", auth.Challenge("doorbuster-ops", err))
		s.problem(w, r, unauthorized, err.Error())
		return operator{}, false
	}
	refused := ""
	switch {
	case b.Role == auth.Supplier && !to.suppliersOwn():
		refused = "A supplier's token is for its own products alone: /admin/v1/suppliers/" + b.Supplier + "/products."
	case b.Role == auth.Supplier && r.PathValue("supplier") != b.Supplier:
		refused = "The token is of the supplier " + b.Supplier + ", and these are another's products."
	case b.Role != auth.Supplier && !b.Role.Covers(to.needs):
		refused = "This needs the role " + string(to.needs) + "; the token has " + string(b.Role) + "."
	}
	if refused != "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorbuster-ops", error="insufficient_scope"`)
		s.problem(w, r, forbidden, refused)
		return operator{}, false
	}
	return operator{Bearer: b, name: string(b.Subject)}, true
}

// sameSite refuses what a page of another site may have sent in an operator's
// name. Without tokens (dev) that, and that such a page can't send the types of
// most bodies unasked, is all that stands between a page and the sale.
func (s *AdminServer) sameSite(w http.ResponseWriter, r *http.Request) bool {
	// What load balancers ask tells nobody anything, and they give any Host or none.
	if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
		return true
	}
	if s.dev && !loopbackHost(r.Host) {
		s.problem(w, r, crossSite, "With --dev this answers only to localhost and loopback addresses.")
		return false
	}
	if s.origins.Check(r) != nil {
		s.problem(w, r, crossSite,
			"Changes are taken from the console's own pages and from programs, not from pages of other sites.")
		return false
	}
	return true
}

// loopbackHost reports whether a Host header names this machine itself.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
