package httpapi

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

var (
	testSecret  = bytes.Repeat([]byte("s"), auth.MinSecretBytes)
	otherSecret = bytes.Repeat([]byte("o"), auth.MinSecretBytes)
)

// sign makes a token of whatever claims.
func sign(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// shopperClaims are those of a good token, changed by pairs of name and value;
// a nil value takes the claim out.
func shopperClaims(changes ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ada", "aud": string(auth.Shoppers), "exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(changes); i += 2 {
		if c[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(c, changes[i].(string))
		}
	}
	return c
}

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// TestShopperTokens: only a token of the configured key, algorithm, audience
// and issuer opens the door, and only until it expires.
func TestShopperTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := publicPEM(t, public)
	both := auth.Keys{Secret: testSecret, PublicKeyPEM: keyPEM}
	good := sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims())
	part := strings.Split(good, ".")
	minted, err := auth.Claims{Audience: auth.Shoppers, Subject: "ada", TTL: time.Hour}.Sign(testSecret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part[1] + "."
	for name, c := range map[string]struct {
		keys   auth.Keys
		header string
		status int
	}{
		"good":                    {both, "Bearer " + good, 200},
		"minted":                  {both, "Bearer " + minted, 200},
		"scheme in small letters": {both, "bearer " + good, 200},
		"several audiences": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("aud", []string{"x", string(auth.Shoppers)})), 200},
		"EdDSA": {both, "Bearer " + sign(t, jwt.SigningMethodEdDSA, private, shopperClaims()), 200},
		"with the issuer": {auth.Keys{Secret: testSecret, Issuer: "shop"}, "Bearer " +
			sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("iss", "shop")), 200},

		"none":         {both, "", 401},
		"dev's header": {both, "X-Shopper-Id", 401},
		"basic":        {both, "Basic YWRhOng=", 401},
		"no token":     {both, "Bearer ", 401},
		"scribble":     {both, "Bearer a.b.c", 401},
		"too long":     {both, "Bearer " + good + strings.Repeat("x", auth.DefaultBytes), 401},
		"another secret": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, otherSecret, shopperClaims()),
			401},
		"signature of another": {both, "Bearer " + part[0] + "." + part[1] + "." + strings.Split(minted, ".")[2],
			401},
		"subject changed": {both, "Bearer " + part[0] + "." +
			base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve","aud":"doorbuster-shopper","exp":9999999999}`)) +
			"." + part[2], 401},
		"expired": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("exp", time.Now().Add(-time.Second).Unix())), 401},
		"without expiry": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("exp", nil)), 401},
		"not yet": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("nbf", time.Now().Add(time.Hour).Unix())), 401},
		"operators' audience": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("aud", string(auth.Operators))), 401},
		"without audience": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("aud", nil)), 401},
		"without subject": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("sub", nil)), 401},
		"subject with a space": {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret,
			shopperClaims("sub", "a b")), 401},
		"another issuer": {auth.Keys{Secret: testSecret, Issuer: "shop"}, "Bearer " +
			sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("iss", "x")), 401},
		"without issuer": {auth.Keys{Secret: testSecret, Issuer: "shop"}, "Bearer " + good, 401},
		"alg none":       {both, "Bearer " + unsigned, 401},
		"HS512": {both, "Bearer " + sign(t, jwt.SigningMethodHS512, testSecret, shopperClaims()),
			401},
		"EdDSA of another": {both, "Bearer " + sign(t, jwt.SigningMethodEdDSA, foreign, shopperClaims()), 401},
		"public key as secret": {auth.Keys{PublicKeyPEM: keyPEM}, "Bearer " + sign(t, jwt.SigningMethodHS256,
			keyPEM, shopperClaims()), 401},
		"raw public key as secret": {auth.Keys{PublicKeyPEM: keyPEM}, "Bearer " + sign(t, jwt.SigningMethodHS256,
			[]byte(public), shopperClaims()), 401},
		"EdDSA without its key": {auth.Keys{Secret: testSecret}, "Bearer " + sign(t, jwt.SigningMethodEdDSA,
			private, shopperClaims()), 401},
		"HS256 without its secret":  {auth.Keys{PublicKeyPEM: keyPEM}, "Bearer " + good, 401},
		"two spaces after a scheme": {both, "Bearer  " + good, 401},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fakeSeller{answer: granted()}).keepGrabs()
			s, err := NewShopper(ShopperConfig{Seller: selling(f), Tokens: c.keys})
			if err != nil {
				t.Fatal(err)
			}
			headers := map[string]string{"Authorization": c.header}
			if c.header == "X-Shopper-Id" {
				headers = ada
			}
			for range 2 { // the second time from the cache
				r := ask(s, "POST", grabPath, headers, "")
				if r.StatusCode() != c.status {
					t.Fatalf("status %d: %s; want %d", r.StatusCode(), r.Body(), c.status)
				}
				if c.status == 401 {
					wantProblem(t, r, 401, "unauthorized")
					if len(f.grabbed.Shopper) > 0 || len(r.Header.Peek("WWW-Authenticate")) == 0 {
						t.Error("it got to the seller, or was not challenged")
					}
				} else if string(f.grabbed.Shopper) != "ada" {
					t.Errorf("shopper %q", f.grabbed.Shopper)
				}
			}
		})
	}
}

// signedText signs a token whose parts are written out.
func signedText(t testing.TB, header, claims string, secret []byte) string {
	t.Helper()
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodHS256.Sign(unsigned, secret)
	if err != nil {
		t.Fatal(err)
	}
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// TestTokensAreReadToTheLetter: a header that asks for what nobody here understands
// refuses, a claim counts by its name to the letter only and once, and of two
// Authorization headers neither does.
func TestTokensAreReadToTheLetter(t *testing.T) {
	ops := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) {
		c.Dev, c.Tokens = false,
			auth.Keys{Secret: testSecret}
	})
	later := time.Now().Add(time.Hour).Unix()
	claims := func(more string) string {
		return fmt.Sprintf(`{"sub":"olga","aud":"doorbuster-ops","exp":%d%s}`, later, more)
	}
	stocks := func(bearers ...string) int {
		r := httptest.NewRequest("POST", "/admin/v1/sessions/a/skus/b/stock", strings.NewReader(`{"units":1}`))
		r.Header.Set("Content-Type", "application/json")
		for _, b := range bearers {
			r.Header.Add("Authorization", "Bearer "+b)
		}
		w := httptest.NewRecorder()
		ops.ServeHTTP(w, r)
		return w.Code
	}
	good := signedText(t, plainHeader, claims(`,"role":"operator"`), testSecret)
	for name, c := range map[string]struct {
		header, more string
		want         int
	}{
		"good":                    {plainHeader, `,"role":"operator"`, 200},
		"Role beside role":        {plainHeader, `,"role":"viewer","Role":"admin"`, 403},
		"ROLE before role":        {plainHeader, `,"ROLE":"viewer","role":"operator"`, 200},
		"Role alone":              {plainHeader, `,"Role":"admin"`, 401},
		"role twice":              {plainHeader, `,"role":"viewer","role":"admin"`, 401},
		"role once more, escaped": {plainHeader, `,"role":"viewer","r\u006fle":"admin"`, 401},
		"Aud beside aud":          {plainHeader, `,"role":"operator","Aud":"x"`, 200},
		"Exp beside exp": {plainHeader, `,"role":"operator","Exp":1}`[:len(`,"role":"operator","Exp":1`)],
			200},
		"crit of something":        {`{"alg":"HS256","crit":["b64"],"b64":true}`, `,"role":"operator"`, 401},
		"crit of nothing":          {`{"alg":"HS256","crit":[]}`, `,"role":"operator"`, 401},
		"alg twice":                {`{"alg":"HS256","alg":"HS256"}`, `,"role":"operator"`, 401},
		"Alg":                      {`{"Alg":"HS256"}`, `,"role":"operator"`, 401},
		"a header that goes on":    {`{"alg":"HS256"}{}`, `,"role":"operator"`, 401},
		"a member that none needs": {`{"alg":"HS256","kid":"7","cty":1}`, `,"role":"operator"`, 200},
		"a role of another type":   {plainHeader, `,"role":["operator"]`, 401},
	} {
		for range 2 { // the second time by what is remembered
			if got := stocks(signedText(t, c.header, claims(c.more), testSecret)); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
	}
	if got := stocks(good, good); got != 401 {
		t.Errorf("two Authorization headers: %d", got)
	}

	shopper := signedText(t, plainHeader,
		fmt.Sprintf(`{"Sub":"eve","sub":"ada","SUB":"eve","aud":"doorbuster-shopper","exp":%d}`, later), testSecret)
	f := (&fakeSeller{answer: granted()}).keepGrabs()
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Tokens: auth.Keys{Secret: testSecret}})
	c := dial(t, addr)
	grab := func(headers string) (status int) {
		c.send(t, "POST "+grabPath+" HTTP/1.1\r\nHost: shop.test\r\n"+headers+"\r\n")
		status, _, _ = c.receive(t)
		return status
	}
	if got := grab("Authorization: Bearer " + shopper + "\r\n"); got != 200 || string(f.grabbed.Shopper) != "ada" {
		t.Errorf("%d for %s", got, f.grabbed.Shopper)
	}
	if got := grab("Authorization: Bearer " + shopper + "\r\nauthorization: Bearer " + shopper + "\r\n"); got != 401 {
		t.Errorf("a shopper's two Authorization headers: %d", got)
	}
	if got := grab("Authorization: Bearer " + shopper + "\r\nIdempotency-Key: a\r\nIdempotency-Key: " +
		"b\r\n"); got != 400 {
		t.Errorf("two keys: %d", got)
	}
	_, dev := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true})
	c = dial(t, dev)
	if got := grab("X-Shopper-Id: ada\r\nX-Shopper-Id: bob\r\n"); got != 401 {
		t.Errorf("two shoppers: %d", got)
	}
}

// TestTokensOfOtherIssuers: what nobody needs of a token can't refuse it, clocks may
// differ by a minute, and why one is refused is counted by kind.
func TestTokensOfOtherIssuers(t *testing.T) {
	now := time.Now().Unix()
	registry := prometheus.NewRegistry()
	f := (&fakeSeller{answer: granted()}).keepGrabs()
	log := &safeText{}
	s, err := NewShopper(ShopperConfig{Seller: selling(f), Tokens: auth.Keys{Secret: testSecret, Issuer: "shop"},
		Registerer: registry,
		Logger:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]float64{}
	for _, c := range []struct {
		name, claims, shopper, reason string // by which it is refused
	}{
		{"a role", `"role":["user"]`, "ada", ""}, {"another role", `"role":7`, "ada", ""},
		{"an address of text", `"address":"1 Nanjing Road"`, "ada", ""}, {"an address of a number", `"address":7`,
			"ada", ""},
		{"a phone of digits", `"phone_number":13800138000`, "ada", ""}, {"a phone of many", `"phone_number":["1"]`,
			"ada", ""},
		{"what is null", `"phone_number":null,"address":null,"nbf":null,"jti":{}`, "ada", ""},
		{"made by a clock that is ahead", fmt.Sprintf(`"iat":%d,"nbf":%d`, now+50, now+50), "ada", ""},
		{"made at no time", `"iat":"yesterday"`, "ada", ""},
		{"a whole number for a subject", `"sub":10293847561029384756`, "10293847561029384756", ""},
		{"not yet", fmt.Sprintf(`"nbf":%d`, now+3600), "", "nbf"}, {"at no time", `"nbf":"soon"`, "", "nbf"},
		{"over", fmt.Sprintf(`"exp":%d`, now-1), "", "exp"}, {"over at no time", `"exp":"never"`, "", "exp"},
		{"a subject that is not ASCII", `"sub":"艾达"`, "", "sub"}, {"one with a space", `"sub":"a b"`, "", "sub"},
		{"one of a fraction", `"sub":1.5`, "", "sub"}, {"one below nothing", `"sub":-1`, "", "sub"},
		{"one of a power", `"sub":1e3`, "", "sub"},
		{"half a character", `"sub":"\ud800"`, "", "sub"}, {"a domain's user", `"sub":"SHOP\\ada"`, `SHOP\ada`, ""},
		{"another issuer", `"iss":"x"`, "", "iss"}, {"another audience", `"aud":["x"]`, "", "aud"},
		{"too long", `"x":"` + strings.Repeat("x", 4000) + `"`, "", "too_long"},
	} {
		said := map[string]string{"sub": `"ada"`, "aud": `"doorbuster-shopper"`, "iss": `"shop"`,
			"exp": fmt.Sprint(now + 3600)}
		text := "{" + c.claims
		for name, value := range said {
			if !strings.Contains(c.claims, `"`+name+`":`) {
				text += `,"` + name + `":` + value
			}
		}
		f.grabbed = engine.Grab{}
		r := ask(s, "POST", grabPath, map[string]string{"Authorization": "Bearer " + signedText(t, plainHeader,
			text+"}", testSecret)}, "")
		want := 200
		if c.shopper == "" {
			want = 401
			reasons[c.reason]++
		}
		if r.StatusCode() != want || string(f.grabbed.Shopper) != c.shopper {
			t.Errorf("%s: %d for %q: %s", c.name, r.StatusCode(), f.grabbed.Shopper, r.Body())
		}
	}
	ask(s, "POST", grabPath, nil, "")
	reasons["missing"]++
	ask(s, "POST", grabPath, map[string]string{"Authorization": "Bearer a.b.c"}, "")
	reasons["malformed"]++
	ask(s, "POST", grabPath, map[string]string{"Authorization": "Bearer " + signedText(t, plainHeader, "{}",
		otherSecret)}, "")
	reasons["signature"]++
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "doorbuster_tokens_refused_total" {
			for _, m := range family.GetMetric() {
				for _, label := range m.GetLabel() {
					if label.GetName() == "reason" && m.GetCounter().GetValue() > 0 {
						counted[label.GetValue()] = m.GetCounter().GetValue()
					}
				}
			}
		}
	}
	for reason, times := range reasons {
		if said := strings.Count(log.String(),
			`msg="token refused" audience=doorbuster-shopper reason=`+reason+"\n"); said != int(times) {
			t.Errorf("%s was said %d times", reason, said)
		}
	}
	if fmt.Sprint(counted) != fmt.Sprint(reasons) {
		t.Errorf("counted %v\nwant %v", counted, reasons)
	}
}

func BenchmarkRefusedGrabWithToken(b *testing.B) {
	s, err := NewShopper(ShopperConfig{Seller: selling(&fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut}}),
		Tokens: auth.Keys{Secret: testSecret}})
	if err != nil {
		b.Fatal(err)
	}
	token, err := auth.Claims{Audience: auth.Shoppers, Subject: "ada", TTL: time.Hour}.Sign(testSecret, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	ctx := newGrab("POST", grabPath, map[string]string{"Authorization": "Bearer " + token, "Idempotency-Key": "k1"}, "")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.handle(ctx)
	}
}
