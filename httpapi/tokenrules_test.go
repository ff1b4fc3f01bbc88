package httpapi

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// signedText signs a token whose parts are written out.
func signedText(t testing.TB, header, claims string, secret []byte) string {
	t.Helper()
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
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
	ops := newTestAdmin(t, &fakeOperator{}, func(c *AdminConfig) { c.Dev, c.Tokens = false, TokenKeys{Secret: testSecret} })
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
		"good":                     {plainHeader, `,"role":"operator"`, 200},
		"Role beside role":         {plainHeader, `,"role":"viewer","Role":"admin"`, 403},
		"ROLE before role":         {plainHeader, `,"ROLE":"viewer","role":"operator"`, 200},
		"Role alone":               {plainHeader, `,"Role":"admin"`, 401},
		"role twice":               {plainHeader, `,"role":"viewer","role":"admin"`, 401},
		"role once more, escaped":  {plainHeader, `,"role":"viewer","r\u006fle":"admin"`, 401},
		"Aud beside aud":           {plainHeader, `,"role":"operator","Aud":"x"`, 200},
		"Exp beside exp":           {plainHeader, `,"role":"operator","Exp":1}`[:len(`,"role":"operator","Exp":1`)], 200},
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

	shopper := signedText(t, plainHeader, fmt.Sprintf(`{"Sub":"eve","sub":"ada","SUB":"eve","aud":"doorbuster-shopper","exp":%d}`, later), testSecret)
	f := (&fakeSeller{answer: granted()}).keepGrabs()
	_, addr := serveShopper(t, ShopperConfig{Seller: f, Tokens: TokenKeys{Secret: testSecret}})
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
	if got := grab("Authorization: Bearer " + shopper + "\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n"); got != 400 {
		t.Errorf("two keys: %d", got)
	}
	_, dev := serveShopper(t, ShopperConfig{Seller: f, Dev: true})
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
	s, err := NewShopper(ShopperConfig{Seller: f, Tokens: TokenKeys{Secret: testSecret, Issuer: "shop"}, Registerer: registry,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]float64{}
	for _, c := range []struct {
		name, claims, shopper, reason string // by which it is refused
	}{
		{"a role", `"role":["user"]`, "ada", ""}, {"another role", `"role":7`, "ada", ""},
		{"an address of text", `"address":"1 Nanjing Road"`, "ada", ""}, {"an address of a number", `"address":7`, "ada", ""},
		{"a phone of digits", `"phone_number":13800138000`, "ada", ""}, {"a phone of many", `"phone_number":["1"]`, "ada", ""},
		{"what is null", `"phone_number":null,"address":null,"nbf":null,"jti":{}`, "ada", ""},
		{"made by a clock that is ahead", fmt.Sprintf(`"iat":%d,"nbf":%d`, now+50, now+50), "ada", ""},
		{"made at no time", `"iat":"yesterday"`, "ada", ""},
		{"a whole number for a subject", `"sub":10293847561029384756`, "10293847561029384756", ""},
		{"not yet", fmt.Sprintf(`"nbf":%d`, now+3600), "", "nbf"}, {"at no time", `"nbf":"soon"`, "", "nbf"},
		{"over", fmt.Sprintf(`"exp":%d`, now-1), "", "exp"}, {"over at no time", `"exp":"never"`, "", "exp"},
		{"a subject that is not ASCII", `"sub":"艾达"`, "", "sub"}, {"one with a space", `"sub":"a b"`, "", "sub"},
		{"one of a fraction", `"sub":1.5`, "", "sub"}, {"one below nothing", `"sub":-1`, "", "sub"}, {"one of a power", `"sub":1e3`, "", "sub"},
		{"half a character", `"sub":"\ud800"`, "", "sub"}, {"a domain's user", `"sub":"SHOP\\ada"`, `SHOP\ada`, ""},
		{"another issuer", `"iss":"x"`, "", "iss"}, {"another audience", `"aud":["x"]`, "", "aud"}, {"too long", `"x":"` + strings.Repeat("x", 4000) + `"`, "", "too_long"},
	} {
		said := map[string]string{"sub": `"ada"`, "aud": `"doorbuster-shopper"`, "iss": `"shop"`, "exp": fmt.Sprint(now + 3600)}
		text := "{" + c.claims
		for name, value := range said {
			if !strings.Contains(c.claims, `"`+name+`":`) {
				text += `,"` + name + `":` + value
			}
		}
		f.grabbed = engine.Grab{}
		r := ask(s, "POST", grabPath, map[string]string{"Authorization": "Bearer " + signedText(t, plainHeader, text+"}", testSecret)}, "")
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
	ask(s, "POST", grabPath, map[string]string{"Authorization": "Bearer " + signedText(t, plainHeader, "{}", otherSecret)}, "")
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
		if said := strings.Count(log.String(), `msg="token refused" audience=doorbuster-shopper reason=`+reason+"\n"); said != int(times) {
			t.Errorf("%s was said %d times", reason, said)
		}
	}
	if fmt.Sprint(counted) != fmt.Sprint(reasons) {
		t.Errorf("counted %v\nwant %v", counted, reasons)
	}
}

// TestKeysThatStay: the tokens of a key that stays are remembered when another is
// withdrawn; those of that one don't count, and do again when it comes back.
func TestKeysThatStay(t *testing.T) {
	both := TokenKeys{Secret: []byte(string(testSecret) + "\n" + string(otherSecret))}
	c, err := newTokenChecker(ShopperToken, both, 0, 1000, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stays, goes := []byte(signed(t, testSecret, shopperClaims())), []byte(signed(t, otherSecret, shopperClaims("sub", "bob")))
	first, err := c.check(stays)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.replace(both); err != nil {
			t.Fatal(err)
		}
		if _, err := c.check(goes); err != nil {
			t.Error("a key that came back: ", err)
		}
		if err := c.replace(TokenKeys{Secret: testSecret}); err != nil {
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
	if all := Secrets(text); len(all) != 2 || string(all[0]) != string(testSecret) || string(all[1]) != string(otherSecret) {
		t.Errorf("%q", all)
	}
}
