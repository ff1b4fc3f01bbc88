package payment

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// What every token says.
const (
	Issuer   = "doorbuster"
	audience = "doorbuster-cashier"
	// maxTokenBytes bounds a token that comes in.
	maxTokenBytes = 4096
)

// firstClaims is how the claims of every token begin: whole groups of three bytes, so
// that the rest can be encoded behind their base64url.
const firstClaims = `{"iss":"` + Issuer + `","aud":"` + audience + `","jti":"`

var _ = [1]struct{}{}[len(firstClaims)%3]

// Why a token does not do. A token of which nothing else is wrong but that its
// time is over gives its claims with ErrTokenExpired.
var (
	ErrTokenMalformed = errors.New("it is no token of payments")
	ErrTokenKey       = errors.New("it names a key that is not known, or no longer")
	ErrTokenSignature = errors.New("its signature is wrong")
	ErrTokenExpired   = errors.New("its time to pay is over")
)

// Claims are what a token says.
type Claims struct {
	OrderNo     string
	Amount      int64 // minor units
	Currency    string
	PayBy       engine.Time // to the second, cut
	Transaction engine.Transaction
}

// Append appends the token of an order to dst, and reports whether it could: it
// can't where the key does not sign after all. orderNo and c's currency are
// engine.ValidID; c.OrderNo does not count. With HS256 it allocates only to grow
// dst.
func (k *Keys) Append(dst, orderNo []byte, c *Claims) ([]byte, bool) {
	s := k.ring.Load().signer
	from := len(dst)
	var room [320]byte
	said := append(append(append(room[:0], orderNo...), `","order_no":"`...), orderNo...)
	said = strconv.AppendInt(append(said, `","amount":`...), c.Amount, 10)
	said = append(append(said, `,"currency":"`...), c.Currency...)
	said = strconv.AppendInt(append(said, `","exp":`...), int64(c.PayBy)/1000, 10)
	if c.Transaction != (engine.Transaction{}) {
		said = append(AppendTransaction(append(said, `,"txn":"`...), c.Transaction), '"')
	}
	said = append(said, '}')
	dst = base64.RawURLEncoding.AppendEncode(append(dst, s.begin...), said)
	if s.macs != nil {
		m := s.macs.Get().(*mac)
		m.hash.Reset()
		m.hash.Write(dst[from:])
		dst = base64.RawURLEncoding.AppendEncode(append(dst, '.'), m.hash.Sum(m.sum[:0]))
		s.macs.Put(m)
		return dst, true
	}
	signature, err := s.method.Sign(string(dst[from:]), s.signing)
	if err != nil {
		return dst[:from], false
	}
	return base64.RawURLEncoding.AppendEncode(append(dst, '.'), signature), true
}

// mac is what HS256 signs with, pooled.
type mac struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// claims are Claims as they stand in a token.
type claims struct {
	jwt.RegisteredClaims
	OrderNo     string `json:"order_no"`
	Amount      *int64 `json:"amount"`
	Currency    string `json:"currency"`
	Transaction string `json:"txn"`
}

// Read checks a token at now. Errors: ErrTokenMalformed, ErrTokenKey,
// ErrTokenSignature, ErrTokenExpired.
func (k *Keys) Read(token string, now time.Time) (c Claims, err error) {
	return k.ring.Load().read(token, now)
}

func (r *ring) read(token string, now time.Time) (c Claims, err error) {
	if len(token) > maxTokenBytes {
		return c, fmt.Errorf("%w: it has %d bytes, over %d", ErrTokenMalformed, len(token), maxTokenBytes)
	}
	var said claims
	switch _, err = r.parser.ParseWithClaims(token, &said, r.keyFor); {
	case err == nil:
	case errors.Is(err, ErrTokenKey):
		return c, ErrTokenKey
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return c, ErrTokenSignature
	default:
		return c, ErrTokenMalformed
	}
	// The library takes claims by names that differ in case.
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || input.Object(body, &claims{}, false) != "" {
		return c, ErrTokenMalformed
	}
	c = Claims{OrderNo: said.OrderNo, Currency: said.Currency, PayBy: engine.TimeOf(said.ExpiresAt.Time)}
	if said.Amount == nil || said.ID != said.OrderNo || !engine.ValidID(said.OrderNo) {
		return Claims{}, ErrTokenMalformed
	}
	c.Amount = *said.Amount
	if said.Transaction != "" {
		if c.Transaction, err = ParseTransaction(said.Transaction); err != nil {
			return Claims{}, ErrTokenMalformed
		}
	}
	if !now.Before(said.ExpiresAt.Time) {
		return c, ErrTokenExpired
	}
	return c, nil
}

// Peek reads a token that another has found good: it checks nothing but its form.
func Peek(token string) (c Claims, ok bool) {
	var said claims
	_, _, err := jwt.NewParser().ParseUnverified(token, &said)
	if err != nil || said.Amount == nil || said.ExpiresAt == nil || !engine.ValidID(said.OrderNo) {
		return c, false
	}
	c = Claims{OrderNo: said.OrderNo, Amount: *said.Amount, Currency: said.Currency,
		PayBy: engine.TimeOf(said.ExpiresAt.Time)}
	if said.Transaction != "" {
		t, err := ParseTransaction(said.Transaction)
		if err != nil {
			return Claims{}, false
		}
		c.Transaction = t
	}
	return c, true
}

// keyFor gives the key that a token names, if it is of the token's algorithm.
func (r *ring) keyFor(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	k := r.byID[id]
	if k == nil {
		return nil, ErrTokenKey
	}
	if k.method.Alg() != t.Method.Alg() {
		return nil, jwt.ErrTokenSignatureInvalid
	}
	if !strings.HasPrefix(t.Raw, k.header) { // not made here: it may ask for what nobody here understands
		return nil, jwt.ErrTokenMalformed
	}
	return k.check, nil
}

// ParseTransaction reads a transaction id: a UUID with dashes.
func ParseTransaction[T string | []byte](text T) (t engine.Transaction, err error) {
	if len(text) != 36 { // uuid takes other forms, too
		return t, errors.New("a transaction id is a UUID, such as 018f3f2e-6c1a-7b62-9d4e-0a1b2c3d4e5f")
	}
	id, err := uuid.ParseBytes([]byte(text))
	if err != nil || id == uuid.Nil {
		return t, errors.New("a transaction id is a UUID, such as 018f3f2e-6c1a-7b62-9d4e-0a1b2c3d4e5f")
	}
	return engine.Transaction(id), nil
}

// AppendTransaction appends the UUID of a transaction. It allocates only to grow b.
func AppendTransaction(b []byte, t engine.Transaction) []byte {
	for i, part := range [...][]byte{t[:4], t[4:6], t[6:8], t[8:10], t[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}
