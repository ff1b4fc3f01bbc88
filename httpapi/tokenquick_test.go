package httpapi

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// quickChecker gives a checker that knows its issuer's header.
func quickChecker(t testing.TB, issuer string) (*tokenChecker, []byte) {
	t.Helper()
	secret := []byte("a secret of thirty-two bytes or more")
	c, err := newTokenChecker(ShopperToken, TokenKeys{Secret: secret, Issuer: issuer}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	first := signed(t, secret, jwt.MapClaims{"sub": "first", "aud": string(ShopperToken), "exp": time.Now().Add(time.Hour).Unix(), "iss": issuer})
	if _, err := c.check([]byte(first)); err != nil || c.keys.Load().header.Load() == nil {
		t.Fatal("the first token: ", err)
	}
	return c, secret
}

func signed(t testing.TB, secret []byte, claims jwt.Claims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The short way says yes only where the library does, and then says the same.
func TestQuickTokensAreThoseOfTheLibrary(t *testing.T) {
	c, secret := quickChecker(t, "shop")
	now := time.Now().Unix()
	cases := []struct {
		name  string
		more  jwt.MapClaims
		quick bool
	}{
		{"plain", nil, true}, {"an array of one audience", jwt.MapClaims{"aud": []string{string(ShopperToken)}}, true},
		{"with all times", jwt.MapClaims{"iat": now, "nbf": now - 5, "jti": "x"}, true},
		{"expired", jwt.MapClaims{"exp": now - 1}, false}, {"never expires", jwt.MapClaims{"exp": nil}, false},
		{"of a fraction", jwt.MapClaims{"exp": float64(now) + 100.5}, false}, {"not yet", jwt.MapClaims{"nbf": now + 100}, false},
		{"of the operators", jwt.MapClaims{"aud": string(OpsToken)}, false}, {"two audiences", jwt.MapClaims{"aud": []string{"x", string(ShopperToken)}}, false},
		{"another issuer", jwt.MapClaims{"iss": "x"}, false}, {"no shopper", jwt.MapClaims{"sub": ""}, false}, {"a number for a shopper", jwt.MapClaims{"sub": 7}, false},
		{"a phone", jwt.MapClaims{"phone_number": "+8613800138000"}, false}, {"another case", jwt.MapClaims{"SUB": "eve"}, false},
		{"an expiry beyond time", jwt.MapClaims{"exp": 1e18}, false}, {"a space", jwt.MapClaims{"sub": "a b"}, false},
	}
	for _, x := range cases {
		claims := jwt.MapClaims{"sub": "ann", "aud": string(ShopperToken), "exp": now + 3600, "iss": "shop"}
		for k, v := range x.more {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
		token := []byte(signed(t, secret, claims))
		quick, sure := c.quickly(c.keys.Load(), token)
		slow, err := c.verify(c.keys.Load(), token)
		if sure != x.quick {
			t.Errorf("%s: the short way is sure: %v, want %v", x.name, sure, x.quick)
		}
		if sure && (err != nil || !reflect.DeepEqual(quick, slow)) {
			t.Errorf("%s: %+v, the library %+v, %v", x.name, quick, slow, err)
		}
	}
	if _, sure := c.quickly(c.keys.Load(), []byte(signed(t, []byte("another secret of thirty-two bytes!!"), jwt.MapClaims{"sub": "ann", "aud": string(ShopperToken), "exp": now + 3600, "iss": "shop"}))); sure {
		t.Error("signed with another secret")
	}
}

func FuzzQuickToken(f *testing.F) {
	c, secret := quickChecker(f, "")
	f.Add(`{"sub":"ann","aud":"doorbuster-shopper","exp":4102444800}`)
	f.Add(`{"sub":"ann","sub":"bob","aud":["doorbuster-shopper"],"exp":4102444800}`)
	f.Add(`{"sub":"a\u0041nn","aud":"doorbuster-shopper","exp":4102444800,"nbf":1}`)
	f.Add(`{"sub":"ann","aud":"doorbuster-shopper","exp":4102444800} `)
	f.Add("{\"sub\":\"a\xffn\",\"aud\":\"doorbuster-shopper\",\"exp\":4102444800}")
	f.Add("{\"sub\":\"0\\0\",\"aud\":\"doorbuster-shopper\",\"exp\":2000000000}")
	f.Fuzz(func(t *testing.T, payload string) {
		unsigned := string(*c.keys.Load().header.Load()) + base64.RawURLEncoding.EncodeToString([]byte(payload))
		sig, err := jwt.SigningMethodHS256.Sign(unsigned, secret)
		if err != nil {
			t.Fatal(err)
		}
		token := []byte(unsigned + "." + base64.RawURLEncoding.EncodeToString(sig))
		if len(token) > maxTokenBytes {
			return
		}
		quick, sure := c.quickly(c.keys.Load(), token)
		if !sure {
			return
		}
		if slow, err := c.verify(c.keys.Load(), token); err != nil || !reflect.DeepEqual(quick, slow) {
			t.Fatalf("%q: %+v, the library %+v, %v", payload, quick, slow, err)
		}
	})
}

func BenchmarkFirstCheck(b *testing.B) {
	c, secret := quickChecker(b, "")
	tokens := make([][]byte, 4096)
	for i := range tokens {
		tokens[i] = []byte(signed(b, secret, jwt.MapClaims{"sub": fmt.Sprint("shopper-", i), "aud": string(ShopperToken), "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}))
	}
	for name, way := range map[string]func([]byte) bool{
		"quick":   func(token []byte) bool { _, sure := c.quickly(c.keys.Load(), token); return sure },
		"library": func(token []byte) bool { _, err := c.verify(c.keys.Load(), token); return err == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !way(tokens[i%len(tokens)]) {
					b.Fatal("it does not pass")
				}
			}
		})
	}
}
