package payment

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Headers of a signed request.
const (
	HeaderTimestamp = "X-Cashier-Timestamp" // Unix seconds
	HeaderNonce     = "X-Cashier-Nonce"     // 16 to 64 letters, digits, dashes or underscores; another one each time
	HeaderSignature = "X-Cashier-Signature" // "v1=" and HMAC-SHA256 in hex
)

// Tolerance is how far the clocks of shop and cashier may be apart.
const Tolerance = 5 * time.Minute

// rememberedNonces bounds the nonces that are remembered. Whoever knows no secret
// adds none.
const rememberedNonces = 100_000

// Why a request is not taken for the other side's.
var (
	ErrUnsigned = errors.New("it is not signed: " + HeaderTimestamp + ", " + HeaderNonce + " and " + HeaderSignature +
		" must be there, each in its form")
	ErrSignature = errors.New("the signature is wrong")
	ErrStale     = fmt.Errorf("the timestamp is more than %s off this clock", Tolerance)
	ErrNonce     = errors.New("the nonce was used with another request")
)

// Secrets are shared by shop and cashier: the first signs, all check, so that a
// new one can come before the old one goes. Safe for concurrent use.
type Secrets struct{ all atomic.Pointer[[][]byte] }

// NewSecrets makes Secrets, which are not copied.
func NewSecrets(secrets [][]byte) (*Secrets, error) {
	s := &Secrets{}
	return s, s.Replace(secrets)
}

// Replace signs and checks with other secrets from now on. After an error nothing
// has changed.
func (s *Secrets) Replace(secrets [][]byte) error {
	if len(secrets) == 0 {
		return errors.New("secrets of the cashier: there is none")
	}
	for i, secret := range secrets {
		if len(secret) < MinSecretBytes {
			return fmt.Errorf("secrets of the cashier: number %d has %d bytes; it must have at least %d", i+1,
				len(secret), MinSecretBytes)
		}
	}
	s.all.Store(&secrets)
	return nil
}

func sum(secret []byte, method, path, timestamp, nonce string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{method, path, timestamp, nonce} {
		mac.Write([]byte(part + "\n"))
	}
	mac.Write(body)
	return mac.Sum(nil)
}

const signaturePrefix = "v1="

// Sign sets the headers of a request with this body.
func (s *Secrets) Sign(r *http.Request, body []byte, now time.Time) {
	nonce := rand.Text()
	timestamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set(HeaderTimestamp, timestamp)
	r.Header.Set(HeaderNonce, nonce)
	signature := sum((*s.all.Load())[0], r.Method, r.URL.EscapedPath(), timestamp, nonce, body)
	r.Header.Set(HeaderSignature, signaturePrefix+hex.EncodeToString(signature))
}

// Signed is a request as it came in. Path is as it was sent, without a query.
type Signed struct {
	Method, Path                string
	Timestamp, Nonce, Signature string
	Body                        []byte
}

// Checker reports whether requests come from who knows a secret. Safe for concurrent
// use.
type Checker struct {
	secrets *Secrets
	now     func() time.Time
	nonces  *lru.Cache[string, [sha256.Size]byte]
}

// NewChecker makes a Checker. now is the wall clock.
func NewChecker(secrets *Secrets, now func() time.Time) (*Checker, error) {
	nonces, err := lru.New[string, [sha256.Size]byte](rememberedNonces)
	return &Checker{secrets: secrets, now: now, nonces: nonces}, err
}

// Check gives nil for a request that is signed. The same request again does, too:
// whoever got no answer sends it again. Errors: ErrUnsigned, ErrSignature,
// ErrStale, ErrNonce.
func (c *Checker) Check(r *Signed) error {
	given, ok := strings.CutPrefix(r.Signature, signaturePrefix)
	signature, err := hex.DecodeString(given)
	seconds, bad := strconv.ParseInt(r.Timestamp, 10, 64)
	if !ok || err != nil || bad != nil || !validNonce(r.Nonce) || len(signature) != sha256.Size {
		return ErrUnsigned
	}
	found := false
	for _, secret := range *c.secrets.all.Load() {
		found = hmac.Equal(signature, sum(secret, r.Method, r.Path, r.Timestamp, r.Nonce, r.Body)) || found
	}
	if !found {
		return ErrSignature
	}
	if off := c.now().Unix() - seconds; off > int64(Tolerance/time.Second) || off < -int64(Tolerance/time.Second) {
		return ErrStale
	}
	known, was, _ := c.nonces.PeekOrAdd(r.Nonce, [sha256.Size]byte(signature))
	if was && known != [sha256.Size]byte(signature) {
		return ErrNonce
	}
	return nil
}

func validNonce(nonce string) bool {
	if len(nonce) < 16 || len(nonce) > 64 {
		return false
	}
	return !strings.ContainsFunc(nonce, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
