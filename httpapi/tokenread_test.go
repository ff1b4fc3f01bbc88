package httpapi

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func signed(t testing.TB, secret []byte, claims jwt.Claims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzToken: whoever passes is who another reader of JSON says they are, to the
// letter.
func FuzzToken(f *testing.F) {
	c, err := newTokenChecker(ShopperToken, TokenKeys{Secret: testSecret}, 0, 1000, slog.New(slog.DiscardHandler))
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
		b, err := c.keys.Load().verify([]byte(signedText(t, plainHeader, payload, testSecret)), ShopperToken, time.Now().Unix())
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
		if sub != string(b.subject) {
			t.Fatalf("%q passes as %q", payload, b.subject)
		}
		var expires float64
		if err := json.Unmarshal(said["exp"], &expires); err != nil || int64(expires) != b.expires {
			t.Fatalf("%q expires at %d", payload, b.expires)
		}
	})
}

func BenchmarkFirstCheck(b *testing.B) {
	c, err := newTokenChecker(ShopperToken, TokenKeys{Secret: testSecret}, 0, 1000, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	tokens := make([][]byte, 4096)
	for i := range tokens {
		tokens[i] = []byte(signed(b, testSecret, jwt.MapClaims{"sub": fmt.Sprint("shopper-", i), "aud": string(ShopperToken), "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.keys.Load().verify(tokens[i%len(tokens)], ShopperToken, time.Now().Unix()); err != nil {
			b.Fatal(err)
		}
	}
}
