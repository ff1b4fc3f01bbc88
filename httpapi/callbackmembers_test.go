package httpapi

import (
	"strings"
	"testing"
	"time"
)

// TestCallbacksOfLaterCashiers: a callback with members that we don't know yet counts,
// and so does one whose time is written in small letters; 400 would be final for a cashier.
func TestCallbacksOfLaterCashiers(t *testing.T) {
	const path = "/v1/payments/callback"
	for name, body := range map[string]string{
		"an added member":  strings.TrimSuffix(goodCallback, "}") + `,"channel":"app","fees":{"cashier":[1]}}`,
		"a small t and z":  strings.Replace(goodCallback, "2026-09-20T02:03:04.5Z", "2026-09-20t02:03:04.5z", 1),
		"no time, as null": strings.Replace(goodCallback, `"2026-09-20T02:03:04.5Z"`, "null", 1),
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSeller{order: heldOrder()}
			s, ours, _ := newSignedShopper(t, f)
			if r := ask(s, "POST", path, signedHeaders(t, ours, path, body, time.Now()), body); r.StatusCode() != 200 {
				t.Errorf("%d %s", r.StatusCode(), r.Body())
			}
		})
	}
}

// TestNobodyHearsGosOwnWords: what is wrong is said in words for whoever sent it, at
// the JSON doors of shoppers, cashiers and operators alike.
func TestNobodyHearsGosOwnWords(t *testing.T) {
	const callback = "/v1/payments/callback"
	for _, c := range []struct{ body, says string }{
		{strings.Replace(goodCallback, "2026-09-20T02:03:04.5Z", "yesterday", 1),
			`\"yesterday\" is not a time such as 2026-09-20T02:15:00Z (RFC 3339)`},
		{strings.Replace(goodCallback, `"2026-09-20T02:03:04.5Z"`, "1789869784", 1),
			`\"1789869784\" is not a time such as`},
		{strings.Replace(goodCallback, "100", `"100"`, 1), `The member \"amount\" can't be a string, at byte`},
		{strings.Replace(goodCallback, "100", "100.5", 1), `The member \"amount\" can't be a number 100.5, at byte`},
		{`{"order_no":}`, "The body is not JSON, at byte 13."},
		{`{"order_no":`, "The body is not JSON: it ends too early, at byte 12."},
		{goodCallback + "{}", "The body goes on after its object, at byte"},
		{"[]", "The body must be a JSON object."},
	} {
		f := &fakeSeller{order: heldOrder()}
		s, ours, _ := newSignedShopper(t, f)
		r := ask(s, "POST", callback, signedHeaders(t, ours, callback, c.body, time.Now()), c.body)
		if r.StatusCode() != 400 || !strings.Contains(string(r.Body()), c.says) {
			t.Errorf("%s: %d %s\nwant %s", c.body, r.StatusCode(), r.Body(), c.says)
		}
		for _, own := range []string{"parsing time", "2006-01-02", "Go ", "json:", "looking for", "unmarshal",
			"struct"} {
			if strings.Contains(string(r.Body()), own) {
				t.Errorf("%s: it says %q: %s", c.body, own, r.Body())
			}
		}
	}
}
