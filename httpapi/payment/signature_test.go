package payment

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func signed(t *testing.T, s *Secrets, method, path, body string, at time.Time) *Signed {
	t.Helper()
	r, err := http.NewRequest(method, "http://shop.test"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	s.Sign(r, []byte(body), at)
	return &Signed{Method: method, Path: path, Timestamp: r.Header.Get(HeaderTimestamp),
		Nonce: r.Header.Get(HeaderNonce), Signature: r.Header.Get(HeaderSignature), Body: []byte(body)}
}

func TestSignatures(t *testing.T) {
	ours, err := NewSecrets([][]byte{secret('a'), secret('b')})
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSecrets([][]byte{secret('x')})
	if err != nil {
		t.Fatal(err)
	}
	older, err := NewSecrets([][]byte{secret('b')})
	if err != nil {
		t.Fatal(err)
	}
	fine := func() *Signed { return signed(t, ours, "POST", "/v1/payments/callback", `{"a":1}`, moment) }
	for name, c := range map[string]struct {
		of    func() *Signed
		spoil func(*Signed)
		want  error
	}{
		"good": {fine, func(*Signed) {}, nil},
		"by the second": {func() *Signed { return signed(t, older, "POST", "/x", "", moment) }, func(*Signed) {},
			nil},
		"5 minutes old": {func() *Signed { return signed(t, ours, "POST", "/x", "", moment.Add(-Tolerance)) },
			func(*Signed) {}, nil},
		"older": {func() *Signed {
			return signed(t, ours, "POST", "/x", "",
				moment.Add(-Tolerance-time.Second))
		}, func(*Signed) {}, ErrStale},
		"of the future": {func() *Signed {
			return signed(t, ours, "POST", "/x", "",
				moment.Add(Tolerance+time.Second))
		}, func(*Signed) {}, ErrStale},
		"another's": {func() *Signed { return signed(t, other, "POST", "/x", "", moment) }, func(*Signed) {},
			ErrSignature},
		"body changed":      {fine, func(r *Signed) { r.Body[5] = '2' }, ErrSignature},
		"path changed":      {fine, func(r *Signed) { r.Path = "/v1/payments/verify" }, ErrSignature},
		"method changed":    {fine, func(r *Signed) { r.Method = "PUT" }, ErrSignature},
		"nonce changed":     {fine, func(r *Signed) { r.Nonce += "x" }, ErrSignature},
		"timestamp changed": {fine, func(r *Signed) { r.Timestamp = "1789869601" }, ErrSignature},
		"no timestamp":      {fine, func(r *Signed) { r.Timestamp = "" }, ErrUnsigned},
		"timestamp in ms":   {fine, func(r *Signed) { r.Timestamp = "99999999999999999999" }, ErrUnsigned},
		"short nonce":       {fine, func(r *Signed) { r.Nonce = "short" }, ErrUnsigned},
		"odd nonce":         {fine, func(r *Signed) { r.Nonce = "0123456789\n123456" }, ErrUnsigned},
		"no signature":      {fine, func(r *Signed) { r.Signature = "" }, ErrUnsigned},
		"another version":   {fine, func(r *Signed) { r.Signature = "v2" + r.Signature[2:] }, ErrUnsigned},
		"half a signature":  {fine, func(r *Signed) { r.Signature = r.Signature[:35] }, ErrUnsigned},
	} {
		checker, err := NewChecker(ours, func() time.Time { return moment })
		if err != nil {
			t.Fatal(err)
		}
		r := c.of()
		c.spoil(r)
		if err := checker.Check(r); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

// TestNonces: the same request again is the same request; another with its nonce
// is refused. Whoever knows no secret can't use a nonce up.
func TestNonces(t *testing.T) {
	ours, _ := NewSecrets([][]byte{secret('a')})
	checker, err := NewChecker(ours, func() time.Time { return moment })
	if err != nil {
		t.Fatal(err)
	}
	first := signed(t, ours, "POST", "/x", "1", moment)
	forged := *first
	forged.Signature = signaturePrefix + strings.Repeat("0", 64)
	if err := checker.Check(&forged); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
	for range 2 {
		if err := checker.Check(first); err != nil {
			t.Error(err)
		}
	}
	second := *first
	second.Body = []byte("2")
	second.Signature = signaturePrefix + hexOf(sum(secret('a'), "POST", "/x", second.Timestamp, second.Nonce,
		second.Body))
	if err := checker.Check(&second); !errors.Is(err, ErrNonce) {
		t.Errorf("the nonce of another: %v", err)
	}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// TestDocumentedSignature holds docs/cashier.md to its example.
func TestDocumentedSignature(t *testing.T) {
	const want = "71942394f955319a19275dd630595a495fec9d5a427f39143adea1918538f8e5"
	body := `{"payment_id":"p-1","order_no":"0123456789ABCDEFGHJKMNPQ","amount":100,"currency":"CNY","paid_at":"2026-09-20T02:03:04Z"}`
	got := hexOf(sum([]byte("0123456789abcdef0123456789abcdef"), "POST", "/v1/payments/callback", "1789869784",
		"n-0123456789abcdef", []byte(body)))
	if got != want {
		t.Errorf("%s; docs/cashier.md says %s", got, want)
	}
}

func TestSecretsAreChecked(t *testing.T) {
	if _, err := NewSecrets(nil); err == nil {
		t.Error("none was taken")
	}
	s, err := NewSecrets([][]byte{secret('a')})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replace([][]byte{secret('b'), []byte("short")}); err == nil || !strings.Contains(err.Error(),
		"number 2 has 5 bytes") {
		t.Error(err)
	}
	if string((*s.all.Load())[0]) != string(secret('a')) {
		t.Error("a refused change has changed something")
	}
}
