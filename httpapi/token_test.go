package httpapi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/engine"
)

var (
	testSecret  = bytes.Repeat([]byte("s"), MinSecretBytes)
	otherSecret = bytes.Repeat([]byte("o"), MinSecretBytes)
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
	c := jwt.MapClaims{"sub": "ada", "aud": string(ShopperToken), "exp": time.Now().Add(time.Hour).Unix()}
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
	both := TokenKeys{Secret: testSecret, PublicKeyPEM: keyPEM}
	good := sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims())
	part := strings.Split(good, ".")
	minted, err := TokenClaims{Kind: ShopperToken, Subject: "ada", TTL: time.Hour}.Sign(testSecret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part[1] + "."
	for name, c := range map[string]struct {
		keys   TokenKeys
		header string
		status int
	}{
		"good":                    {both, "Bearer " + good, 200},
		"minted":                  {both, "Bearer " + minted, 200},
		"scheme in small letters": {both, "bearer " + good, 200},
		"several audiences":       {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("aud", []string{"x", string(ShopperToken)})), 200},
		"EdDSA":                   {both, "Bearer " + sign(t, jwt.SigningMethodEdDSA, private, shopperClaims()), 200},
		"with the issuer":         {TokenKeys{Secret: testSecret, Issuer: "shop"}, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("iss", "shop")), 200},

		"none":                      {both, "", 401},
		"dev's header":              {both, "X-Shopper-Id", 401},
		"basic":                     {both, "Basic YWRhOng=", 401},
		"no token":                  {both, "Bearer ", 401},
		"scribble":                  {both, "Bearer a.b.c", 401},
		"too long":                  {both, "Bearer " + good + strings.Repeat("x", DefaultTokenBytes), 401},
		"another secret":            {both, "Bearer " + sign(t, jwt.SigningMethodHS256, otherSecret, shopperClaims()), 401},
		"signature of another":      {both, "Bearer " + part[0] + "." + part[1] + "." + strings.Split(minted, ".")[2], 401},
		"subject changed":           {both, "Bearer " + part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve","aud":"doorbuster-shopper","exp":9999999999}`)) + "." + part[2], 401},
		"expired":                   {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("exp", time.Now().Add(-time.Second).Unix())), 401},
		"without expiry":            {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("exp", nil)), 401},
		"not yet":                   {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("nbf", time.Now().Add(time.Hour).Unix())), 401},
		"operators' audience":       {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("aud", string(OpsToken))), 401},
		"without audience":          {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("aud", nil)), 401},
		"without subject":           {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("sub", nil)), 401},
		"subject with a space":      {both, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("sub", "a b")), 401},
		"another issuer":            {TokenKeys{Secret: testSecret, Issuer: "shop"}, "Bearer " + sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims("iss", "x")), 401},
		"without issuer":            {TokenKeys{Secret: testSecret, Issuer: "shop"}, "Bearer " + good, 401},
		"alg none":                  {both, "Bearer " + unsigned, 401},
		"HS512":                     {both, "Bearer " + sign(t, jwt.SigningMethodHS512, testSecret, shopperClaims()), 401},
		"EdDSA of another":          {both, "Bearer " + sign(t, jwt.SigningMethodEdDSA, foreign, shopperClaims()), 401},
		"public key as secret":      {TokenKeys{PublicKeyPEM: keyPEM}, "Bearer " + sign(t, jwt.SigningMethodHS256, keyPEM, shopperClaims()), 401},
		"raw public key as secret":  {TokenKeys{PublicKeyPEM: keyPEM}, "Bearer " + sign(t, jwt.SigningMethodHS256, []byte(public), shopperClaims()), 401},
		"EdDSA without its key":     {TokenKeys{Secret: testSecret}, "Bearer " + sign(t, jwt.SigningMethodEdDSA, private, shopperClaims()), 401},
		"HS256 without its secret":  {TokenKeys{PublicKeyPEM: keyPEM}, "Bearer " + good, 401},
		"two spaces after a scheme": {both, "Bearer  " + good, 401},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fakeSeller{answer: granted()}).keepGrabs()
			s, err := NewShopper(ShopperConfig{Seller: f, Tokens: c.keys})
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

func TestPublicKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		key    crypto.Signer
	}{"RS256": {jwt.SigningMethodRS256, rsaKey}, "ES256": {jwt.SigningMethodES256, p256}} {
		checker, err := newTokenChecker(ShopperToken, TokenKeys{PublicKeyPEM: publicPEM(t, c.key.Public())}, 0, 10, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := checker.check([]byte(sign(t, c.method, c.key, shopperClaims()))); err != nil || string(b.subject) != "ada" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := checker.check([]byte(sign(t, jwt.SigningMethodPS256, rsaKey, shopperClaims()))); err == nil {
			t.Errorf("%s takes PS256", name)
		}
	}
	for name, keys := range map[string]TokenKeys{
		"P-384": {PublicKeyPEM: publicPEM(t, p384.Public())}, "no PEM": {PublicKeyPEM: []byte("x")}, "none": {},
		"no key in the PEM": {PublicKeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})}, "short": {Secret: []byte("short")},
	} {
		if _, err := newTokenChecker(ShopperToken, keys, 0, 10, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTokenCacheKeepsWhoAsks: who goes on asking is remembered, however many others
// come meanwhile.
func TestTokenCacheKeepsWhoAsks(t *testing.T) {
	const places, between = 512, 50
	c, err := newTokenChecker(ShopperToken, TokenKeys{Secret: testSecret}, 0, places, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mint := func(shopper string) []byte {
		token, err := TokenClaims{Kind: ShopperToken, Subject: shopper, TTL: time.Hour}.Sign(testSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return []byte(token)
	}
	ask := func(token []byte) *bearer {
		b, err := c.check(token)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	regular := mint("regular")
	first := ask(regular)
	for i := range 10 * places {
		ask(mint(fmt.Sprint("other-", i)))
		if i%between == 0 && ask(regular) != first {
			t.Fatalf("after %d others the one who went on asking was forgotten", i)
		}
	}
}

// TestTokenCache: it stays within its bound, forgets what expired, and spares
// the hot path the signature.
func TestTokenCache(t *testing.T) {
	const places = 64 // one a shard
	c, err := newTokenChecker(ShopperToken, TokenKeys{Secret: testSecret}, 0, places, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	remembered := func() (n int) {
		for i := range c.shards {
			n += len(c.shards[i].passed)
		}
		return n
	}
	var last []byte
	for i := range 10 * places {
		token, err := TokenClaims{Kind: ShopperToken, Subject: fmt.Sprintf("shopper-%d", i), TTL: time.Minute}.Sign(testSecret, now)
		if err != nil {
			t.Fatal(err)
		}
		last = []byte(token)
		if b, err := c.check(last); err != nil || string(b.subject) != fmt.Sprintf("shopper-%d", i) {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if n := remembered(); n > places || n < places/2 {
		t.Errorf("%d tokens are remembered", n)
	}
	if !raceDetector {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := c.check(last); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for a remembered token", n)
		}
	}
	now = now.Add(2 * time.Minute)
	if _, err := c.check(last); err == nil {
		t.Error("an expired token passes from the cache")
	}
	hash := sha256.Sum256(last)
	shard := &c.shards[hash[0]%uint8(len(c.shards))]
	for i := 0; shard.passed[hash] != nil; i++ { // others take its place, as soon as one comes into its shard
		token, err := TokenClaims{Kind: ShopperToken, Subject: fmt.Sprintf("later-%d", i), TTL: time.Minute}.Sign(testSecret, now)
		if err != nil || i == 1000*places {
			t.Fatalf("an expired token is still remembered after %d others: %v", i, err)
		}
		if _, err := c.check([]byte(token)); err != nil {
			t.Fatal(err)
		}
	}
	if n := remembered(); n > places {
		t.Errorf("%d tokens are remembered", n)
	}
}

func TestMintTokenReportsEverything(t *testing.T) {
	now := time.Now()
	for name, mint := range map[string]func() (string, error){
		"kind": func() (string, error) {
			return TokenClaims{Kind: "x", Subject: "ada", TTL: time.Hour}.Sign(testSecret, now)
		},
		"subject": func() (string, error) {
			return TokenClaims{Kind: ShopperToken, Subject: "a b", TTL: time.Hour}.Sign(testSecret, now)
		},
		"role": func() (string, error) {
			return TokenClaims{Kind: OpsToken, Subject: "ada", Role: "chief", TTL: time.Hour}.Sign(testSecret, now)
		},
		"no role": func() (string, error) {
			return TokenClaims{Kind: OpsToken, Subject: "ada", TTL: time.Hour}.Sign(testSecret, now)
		},
		"role too many": func() (string, error) {
			return TokenClaims{Kind: ShopperToken, Subject: "ada", Role: RoleAdmin, TTL: time.Hour}.Sign(testSecret, now)
		},
		"ttl": func() (string, error) {
			return TokenClaims{Kind: ShopperToken, Subject: "ada", TTL: 0}.Sign(testSecret, now)
		},
		"secret": func() (string, error) {
			return TokenClaims{Kind: ShopperToken, Subject: "ada", TTL: time.Hour}.Sign(nil, now)
		},
	} {
		if token, err := mint(); err == nil || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

func BenchmarkRefusedGrabWithToken(b *testing.B) {
	s, err := NewShopper(ShopperConfig{Seller: &fakeSeller{answer: engine.Answer{Code: engine.CodeSoldOut}}, Tokens: TokenKeys{Secret: testSecret}})
	if err != nil {
		b.Fatal(err)
	}
	token, err := TokenClaims{Kind: ShopperToken, Subject: "ada", TTL: time.Hour}.Sign(testSecret, time.Now())
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
