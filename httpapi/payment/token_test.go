package payment

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/engine"
)

var (
	moment   = time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	someone  = engine.Transaction{0x01, 0x8f, 0x3f, 0x2e, 0x6c, 0x1a, 0x4b, 0x62, 0x9d, 0x4e, 1, 2, 3, 4, 5, 6}
	someText = "018f3f2e-6c1a-4b62-9d4e-010203040506"
	claimed  = Claims{OrderNo: "0123456789ABCDEFGHJKMNPQ", Amount: 100, Currency: "CNY",
		PayBy: engine.TimeOf(moment.Add(15 * time.Minute)), Transaction: someone}
)

func secret(c byte) []byte { return []byte(strings.Repeat(string(c), MinSecretBytes)) }

func edKeys(t testing.TB, seed byte) (private, public []byte) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(secret(seed))
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
}

func mustKeys(t testing.TB, keys ...Key) *Keys {
	t.Helper()
	k, err := NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func tokenOf(t testing.TB, k *Keys, c Claims) string {
	t.Helper()
	b, ok := k.Append([]byte("before "), []byte(c.OrderNo), &c)
	if !ok {
		t.Fatal("not signed")
	}
	return strings.TrimPrefix(string(b), "before ")
}

// TestTokenIsRead by us, and by the library that the world uses.
func TestTokenIsRead(t *testing.T) {
	private, public := edKeys(t, 1)
	for name, c := range map[string]struct {
		signs, checks Key
	}{
		"HS256": {Key{"h", secret('h'), true}, Key{"h", secret('h'), true}},
		"EdDSA": {Key{"e", private, true}, Key{"e", public, false}},
	} {
		t.Run(name, func(t *testing.T) {
			token := tokenOf(t, mustKeys(t, c.signs), claimed)
			if again := tokenOf(t, mustKeys(t, c.signs), claimed); again != token {
				t.Error("another node signs otherwise")
			}
			reader := mustKeys(t, c.checks, Key{"other", secret('o'), !c.checks.Signs})
			got, err := reader.Read(token, moment)
			if err != nil || got != claimed {
				t.Errorf("read %+v, %v", got, err)
			}
			said := jwt.MapClaims{}
			if _, err := jwt.ParseWithClaims(token, said, func(k *jwt.Token) (any, error) {
				if k.Header["kid"] != c.signs.ID || k.Method.Alg() != name {
					t.Errorf("header %v", k.Header)
				}
				return reader.ring.Load().byID[c.signs.ID].check, nil
			}, jwt.WithTimeFunc(func() time.Time { return moment })); err != nil {
				t.Error(err)
			}
			if said["jti"] != claimed.OrderNo || said["txn"] != someText || said["amount"] != 100.0 ||
				said["exp"] != float64(claimed.PayBy/1000) {
				t.Errorf("claims %v", said)
			}
		})
	}
}

// TestBadTokens: each for its own reason.
func TestBadTokens(t *testing.T) {
	private, public := edKeys(t, 1)
	keys := mustKeys(t, Key{"now", secret('n'), true}, Key{"ed", public, false})
	good := tokenOf(t, keys, claimed)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	with := func(key []byte, id string, change func(map[string]any)) string {
		said := map[string]any{"iss": Issuer, "aud": audience, "jti": "A", "order_no": "A", "amount": 1,
			"currency": "CNY", "exp": moment.Add(time.Hour).Unix()}
		change(said)
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(said))
		token.Header["kid"] = id
		if said["crit"] != nil {
			token.Header["crit"] = said["crit"]
		}
		s, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := func(map[string]any) {}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"none":     {"", ErrTokenMalformed},
		"garbled":  {"a.b.c", ErrTokenMalformed},
		"too long": {strings.Repeat("a", 5000), ErrTokenMalformed},
		"cut":      {good[:len(good)-3], ErrTokenSignature},
		"another's signature": {parts[0] + "." + parts[1] + "." + strings.Split(with(secret('n'), "now", same),
			".")[2], ErrTokenSignature},
		"another amount": {parts[0] + "." + encode([]byte(strings.Replace(mustDecode(t, parts[1]),
			`"amount":100`, `"amount":1`, 1))) + "." + parts[2], ErrTokenSignature},
		"signed by a retired": {with(secret('o'), "old", same), ErrTokenKey},
		"a secret of ours":    {with(secret('x'), "now", same), ErrTokenSignature},
		"no key":              {with(secret('n'), "", same), ErrTokenKey},
		"algorithm none": {encode([]byte(`{"alg":"none","kid":"now"}`)) + "." + parts[1] + ".",
			ErrTokenSignature},
		"public key as secret": {with(public, "ed", same), ErrTokenSignature},
		"over": {tokenOf(t, keys, Claims{OrderNo: "A", Currency: "CNY", PayBy: engine.TimeOf(moment)}),
			ErrTokenExpired},
		"for others": {with(secret('n'), "now", func(m map[string]any) { m["aud"] = "doorbuster-shopper" }),
			ErrTokenMalformed},
		"of others": {with(secret('n'), "now", func(m map[string]any) { m["iss"] = "x" }),
			ErrTokenMalformed},
		"without an end": {with(secret('n'), "now", func(m map[string]any) { delete(m, "exp") }),
			ErrTokenMalformed},
		"without an amount": {with(secret('n'), "now", func(m map[string]any) { delete(m, "amount") }),
			ErrTokenMalformed},
		"of two orders": {with(secret('n'), "now", func(m map[string]any) { m["jti"] = "B" }),
			ErrTokenMalformed},
		"of no transaction": {with(secret('n'), "now", func(m map[string]any) { m["txn"] = "x" }),
			ErrTokenMalformed},
		"another Amount": {with(secret('n'), "now", func(m map[string]any) { m["Amount"] = 2 }),
			ErrTokenMalformed},
		"an Order_No alone": {with(secret('n'), "now", func(m map[string]any) {
			delete(m,
				"order_no")
			m["Order_No"] = "A"
		}), ErrTokenMalformed},
		"crit": {with(secret('n'), "now", func(m map[string]any) { m["crit"] = []string{"x"} }),
			ErrTokenMalformed},
		"an amount of a string": {with(secret('n'), "now", func(m map[string]any) { m["amount"] = "1" }),
			ErrTokenMalformed},
	} {
		if got, err := keys.Read(c.token, moment); !errors.Is(err, c.want) || err != nil && c.want != ErrTokenExpired &&
			got != (Claims{}) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
	if _, err := keys.Read(with(secret('n'), "now", same), moment); err != nil {
		t.Errorf("a good one: %v", err)
	}
	// A new key comes beside the old one, then signs, then the old one goes.
	if err := keys.Replace([]Key{{"now", secret('n'), false}, {"new", private, true}}); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{good, tokenOf(t, keys, claimed)} {
		if _, err := keys.Read(token, moment); err != nil {
			t.Error(err)
		}
	}
	if err := keys.Replace([]Key{{"new", private, true}}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Read(good, moment); !errors.Is(err, ErrTokenKey) {
		t.Errorf("retired: %v", err)
	}
}

func mustDecode(t *testing.T, part string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBadKeys(t *testing.T) {
	private, public := edKeys(t, 1)
	for name, c := range map[string]struct {
		keys []Key
		want string
	}{
		"none":                {nil, "0 keys sign"},
		"two sign":            {[]Key{{"a", secret('a'), true}, {"b", secret('b'), true}}, "2 keys sign"},
		"twice":               {[]Key{{"a", secret('a'), true}, {"a", secret('b'), false}}, "twice"},
		"short":               {[]Key{{"a", []byte("short"), true}}, "5 bytes"},
		"public signs":        {[]Key{{"a", public, true}}, "can't sign"},
		"broken PEM":          {[]Key{{"a", private[:60], true}}, "broken"},
		"an id with a quote":  {[]Key{{`a"`, secret('a'), true}}, "the id"},
		"a certificate":       {[]Key{{"a", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), true}}, "CERTIFICATE"},
		"a key of nothing":    {[]Key{{"a", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), true}}, "parse"},
		"all that is wrong":   {[]Key{{"a", []byte("short"), true}, {"b", public, true}}, "can't sign"},
		"more than there are": {make([]Key, 65), "65 keys"},
	} {
		k, err := NewKeys(c.keys)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		_ = k
	}
}

func TestPublicKeys(t *testing.T) {
	private, _ := edKeys(t, 1)
	_, public := edKeys(t, 2)
	var set struct {
		Keys []struct{ Kty, Crv, Kid, X, Alg string }
	}
	if err := json.Unmarshal(mustKeys(t, Key{"z", private, true}, Key{"b", public, false},
		Key{"h", secret('h'), false}).Public(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 2 || set.Keys[0].Kid != "b" || set.Keys[1].Kid != "z" || set.Keys[0].Alg != "EdDSA" ||
		len(set.Keys[0].X) != 43 {
		t.Errorf("%+v", set)
	}
}

func TestSigningAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("pools forget at random under the race detector")
	}
	keys, no := mustKeys(t, Key{"h", secret('h'), true}), []byte(claimed.OrderNo)
	b := make([]byte, 0, 1024)
	// the pool may be emptied
	if n := testing.AllocsPerRun(1000, func() { b, _ = keys.Append(b[:0], no, &claimed) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	private, _ := edKeys(b, 1)
	for name, key := range map[string]Key{"HS256": {"h", secret('h'), true}, "EdDSA": {"e", private, true}} {
		b.Run(name, func(b *testing.B) {
			keys, no, room := mustKeys(b, key), []byte(claimed.OrderNo), make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				keys.Append(room, no, &claimed)
			}
		})
	}
}
