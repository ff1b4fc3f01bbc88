package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/auth"
)

// TestRiskListsMeetEverySpelling lists phones and an address each in one spelling,
// and shoppers come with tokens that have another: they are barred all the same.
func TestRiskListsMeetEverySpelling(t *testing.T) {
	dir, secret := t.TempDir(), []byte(strings.Repeat("s", 32))
	keys := map[string][]byte{"shopper.key": secret, "ops.key": []byte(strings.Repeat("o", 32))}
	for name, text := range keys {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := runShop(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0",
		"--log-format", "json", "--home-country", "CN",
		"--shopper-key-file", filepath.Join(dir, "shopper.key"), "--ops-key-file", filepath.Join(dir, "ops.key")})
	s.AwaitServing()
	operator, err := auth.Claims{Audience: auth.Operators, Subject: "olga", Role: auth.Operator,
		TTL: time.Hour}.Sign(keys["ops.key"], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ops := func(method, path, kind, body string) {
		t.Helper()
		if a := s.Do(method, "http://"+s.Admin+path, body, "Authorization", "Bearer "+operator, "Content-Type",
			kind); a.Status != 200 {
			t.Fatalf("%s %s: %d %s", method, path, a.Status, a.Body)
		}
	}
	ops("POST", "/admin/v1/plan", "application/yaml", nodetest.Masks(50))
	ops("PATCH", "/admin/v1/risk/phones", "text/plain", "138 0013 8000\ntel:+1-425-555-1212\n+44 20 7946 0018\n")
	ops("PATCH", "/admin/v1/risk/addresses", "text/plain", "１２  Long Straße, Springfield\n")
	grab := func(name string, claims jwt.MapClaims) string {
		t.Helper()
		claims["sub"], claims["aud"], claims["exp"] = name, string(auth.Shoppers), time.Now().Add(time.Hour).Unix()
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return s.Do("POST", s.ListingURL(nodetest.Mask)+"/grab", "", "Authorization", "Bearer "+token).Code
	}
	if got := grab("good", jwt.MapClaims{"phone_number": "+8613800138009",
		"address": map[string]any{"formatted": "13 Long Strasse"}}); got != "granted" {
		t.Fatalf("who is on no list: %s", got)
	}
	for i, phone := range []string{"13800138000", "+86 138 0013 8000", "tel:+86-138-0013-8000", "0086 138-0013-8000",
		"+86１３８００１３８０００",
		"+1 (425) 555-1212", "+14255551212", "001 425 555 1212", "+44 (0)20 7946 0018",
		"+86 13800138000;ext=5", "13800138000,", "13800138000#", "+٨٦١٣٨٠٠١٣٨٠٠٠", "१३८००१३८०००",
		"sms:+8613800138000"} {
		if got := grab(fmt.Sprint("phone-", i), jwt.MapClaims{"phone_number": phone}); got != "missed" {
			t.Errorf("phone %q: %s", phone, got)
		}
	}
	for i, address := range []string{"12 Long Strasse, Springfield", "12 LONG STRASSE,\nSPRINGFIELD\n",
		" 12\u00a0long\tstraße,\r\n\u200bspringfield"} {
		claims := jwt.MapClaims{"address": map[string]any{"formatted": address}}
		if got := grab(fmt.Sprint("address-", i), claims); got != "missed" {
			t.Errorf("address %q: %s", address, got)
		}
	}
	if got := grab("odd", jwt.MapClaims{"phone_number": "none of yours"}); got != "granted" {
		t.Errorf("a phone that is none: %s", got)
	}
	a := s.Do("GET", "http://"+s.Admin+"/metrics", "", "Authorization", "Bearer "+operator)
	if !strings.Contains(a.Body, `doorbuster_risk_claims_unreadable_total{claim="phone"} 1`) {
		t.Error("a phone that no list can be compared with is not counted")
	}
}
