package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	testSecret  = bytes.Repeat([]byte("s"), MinSecretBytes)
	otherSecret = bytes.Repeat([]byte("o"), MinSecretBytes)
)

// sign makes a token of whatever claims.
func sign(t testing.TB, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
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
	c := jwt.MapClaims{"sub": "ada", "aud": string(Shoppers), "exp": time.Now().Add(time.Hour).Unix()}
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

// newChecker makes one for shoppers that remembers so many.
func newChecker(keys Keys, remember int) (*Checker, error) {
	return NewChecker(Config{Audience: Shoppers, Keys: keys, Remember: remember, Log: slog.New(slog.DiscardHandler)})
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
		checker, err := newChecker(Keys{PublicKeyPEM: publicPEM(t, c.key.Public())}, 10)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := checker.check([]byte(sign(t, c.method, c.key, shopperClaims()))); err != nil ||
			string(b.Subject) != "ada" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := checker.check([]byte(sign(t, jwt.SigningMethodPS256, rsaKey, shopperClaims()))); err == nil {
			t.Errorf("%s takes PS256", name)
		}
	}
	for name, keys := range map[string]Keys{
		"P-384": {PublicKeyPEM: publicPEM(t, p384.Public())}, "no PEM": {PublicKeyPEM: []byte("x")}, "none": {},
		"no key in the PEM": {PublicKeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})},
		"short":             {Secret: []byte("short")},
	} {
		if _, err := newChecker(keys, 10); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTokenCacheKeepsWhoAsks: who goes on asking is remembered, however many others
// come meanwhile.
func TestTokenCacheKeepsWhoAsks(t *testing.T) {
	const places, between = 512, 50
	c, err := newChecker(Keys{Secret: testSecret}, places)
	if err != nil {
		t.Fatal(err)
	}
	mint := func(shopper string) []byte {
		token, err := Claims{Audience: Shoppers, Subject: shopper, TTL: time.Hour}.Sign(testSecret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return []byte(token)
	}
	ask := func(token []byte) *Bearer {
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
	const places = 64
	c, err := newChecker(Keys{Secret: testSecret}, places)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	var last []byte
	for i := range 10 * places {
		token, err := Claims{Audience: Shoppers, Subject: fmt.Sprintf("shopper-%d", i),
			TTL: time.Minute}.Sign(testSecret, now)
		if err != nil {
			t.Fatal(err)
		}
		last = []byte(token)
		if b, err := c.check(last); err != nil || string(b.Subject) != fmt.Sprintf("shopper-%d", i) {
			t.Fatalf("token %d: %v", i, err)
		}
	}
	if n := c.passed.Len(); n > places || n < places/2 {
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
	for i := range 20 * places { // others take its place
		token, err := Claims{Audience: Shoppers, Subject: fmt.Sprintf("later-%d", i), TTL: time.Minute}.Sign(testSecret,
			now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.check([]byte(token)); err != nil {
			t.Fatal(err)
		}
	}
	if c.passed.Get(c.passed.Key(last)) != nil {
		t.Error("an expired token is still remembered")
	}
	if n := c.passed.Len(); n > places {
		t.Errorf("%d tokens are remembered", n)
	}
}

func TestMintTokenReportsEverything(t *testing.T) {
	now := time.Now()
	for name, mint := range map[string]func() (string, error){
		"kind": func() (string, error) {
			return Claims{Audience: "x", Subject: "ada", TTL: time.Hour}.Sign(testSecret, now)
		},
		"subject": func() (string, error) {
			return Claims{Audience: Shoppers, Subject: "a b", TTL: time.Hour}.Sign(testSecret, now)
		},
		"role": func() (string, error) {
			return Claims{Audience: Operators, Subject: "ada", Role: "chief", TTL: time.Hour}.Sign(testSecret, now)
		},
		"no role": func() (string, error) {
			return Claims{Audience: Operators, Subject: "ada", TTL: time.Hour}.Sign(testSecret, now)
		},
		"role too many": func() (string, error) {
			return Claims{Audience: Shoppers, Subject: "ada", Role: Admin, TTL: time.Hour}.Sign(testSecret, now)
		},
		"ttl": func() (string, error) {
			return Claims{Audience: Shoppers, Subject: "ada", TTL: 0}.Sign(testSecret, now)
		},
		"secret": func() (string, error) {
			return Claims{Audience: Shoppers, Subject: "ada", TTL: time.Hour}.Sign(nil, now)
		},
	} {
		if token, err := mint(); err == nil || token != "" {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

// TestKeysThatStay: the tokens of a key that stays are remembered when another is
// withdrawn; those of that one don't count, and do again when it comes back.
func TestKeysThatStay(t *testing.T) {
	both := Keys{Secret: []byte(string(testSecret) + "\n" + string(otherSecret))}
	c, err := newChecker(both, 1000)
	if err != nil {
		t.Fatal(err)
	}
	stays, goes := []byte(sign(t, jwt.SigningMethodHS256, testSecret, shopperClaims())), []byte(sign(t,
		jwt.SigningMethodHS256, otherSecret, shopperClaims("sub", "bob")))
	first, err := c.check(stays)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Replace(both); err != nil {
			t.Fatal(err)
		}
		if _, err := c.check(goes); err != nil {
			t.Error("a key that came back: ", err)
		}
		if err := c.Replace(Keys{Secret: testSecret}); err != nil {
			t.Fatal(err)
		}
		if b, err := c.check(stays); err != nil || b != first {
			t.Error("the token of a key that stays was forgotten: ", err)
		}
		if _, err := c.check(goes); err == nil {
			t.Error("the token of a key that was withdrawn counts")
		}
	}
}

// TestBlankLinesAreNoKeys: two keys with a blank line between them are two keys.
func TestBlankLinesAreNoKeys(t *testing.T) {
	text := append(append(append([]byte{}, testSecret...), "\n\r\n"...), otherSecret...)
	if all := Secrets(text); len(all) != 2 || string(all[0]) != string(testSecret) ||
		string(all[1]) != string(otherSecret) {
		t.Errorf("%q", all)
	}
}

// FuzzToken: whoever passes is who another reader of JSON says they are, to the
// letter.
func FuzzToken(f *testing.F) {
	c, err := newChecker(Keys{Secret: testSecret}, 1000)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"sub":"ann","aud":"doorbuster-shopper","exp":4102444800}`)
	f.Add(`{"sub":"ann","sub":"bob","aud":["doorbuster-shopper"],"exp":4102444800}`)
	f.Add(`{"sub":"a\u0041nn","aud":"doorbuster-shopper","exp":4102444800,"nbf":1}`)
	f.Add(`{"sub":7,"Sub":"eve","aud":"doorbuster-shopper","exp":4.1e9,"address":{"formatted":"x\ny"},"phone_number":"+8613800138000"} `)
	f.Add("{\"sub\":\"a\xffn\",\"aud\":\"doorbuster-shopper\",\"exp\":4102444800}")
	f.Add(`{"sub":"\ud800","aud":"doorbuster-shopper","exp":4102444800}`)
	f.Fuzz(func(t *testing.T, payload string) {
		b, err := c.keys.Load().verify([]byte(signedText(t, plainHeader, payload, testSecret)), Shoppers,
			time.Now().Unix())
		if err != nil {
			return
		}
		var said map[string]json.RawMessage
		if err := json.Unmarshal([]byte(payload), &said); err != nil {
			t.Fatalf("%q passes, and is no object: %v", payload, err)
		}
		var sub any
		if number := json.Number(""); json.Unmarshal(said["sub"], &number) == nil {
			sub = number.String()
		} else if err := json.Unmarshal(said["sub"], &sub); err != nil {
			t.Fatalf("%q passes: %v", payload, err)
		}
		if sub != string(b.Subject) {
			t.Fatalf("%q passes as %q", payload, b.Subject)
		}
		var expires float64
		if err := json.Unmarshal(said["exp"], &expires); err != nil || int64(expires) != b.expires {
			t.Fatalf("%q expires at %d", payload, b.expires)
		}
	})
}

func BenchmarkFirstCheck(b *testing.B) {
	c, err := newChecker(Keys{Secret: testSecret}, 1000)
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([][]byte, 4096)
	for i := range tokens {
		tokens[i] = []byte(sign(b, jwt.SigningMethodHS256, testSecret, jwt.MapClaims{"sub": fmt.Sprint("shopper-", i),
			"aud": string(Shoppers), "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.keys.Load().verify(tokens[i%len(tokens)], Shoppers, time.Now().Unix()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkKnownToken is what a token costs that passed before, among many.
func BenchmarkKnownToken(b *testing.B) {
	c, err := newChecker(Keys{Secret: testSecret}, 100_000)
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([][]byte, 60_000)
	for i := range tokens {
		token, err := Claims{Audience: Shoppers, Subject: fmt.Sprintf("bench-%010d", i),
			TTL: time.Hour}.Sign(testSecret, time.Now())
		if err == nil {
			tokens[i] = []byte(token)
			_, err = c.check(tokens[i])
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.check(tokens[i*7919%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}
