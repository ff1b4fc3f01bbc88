package httpapi

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"doorbuster/engine"
)

// TokenKind says which API a token opens: it is the token's audience.
type TokenKind string

// Kinds of tokens.
const (
	ShopperToken TokenKind = "doorbuster-shopper"
	OpsToken     TokenKind = "doorbuster-ops"
)

// MinSecretBytes is the shortest HS256 secret that is taken: as long as the
// hash, or the secret would be the weaker of the two (RFC 7518, 3.2).
const MinSecretBytes = 32

// maxTokenBytes bounds a token; headers are bounded besides.
const maxTokenBytes = 4096

// TokenKeys are what tokens of one kind are checked with. A token names its
// algorithm, but only the one that belongs to a key given here counts: a public
// key never serves as a secret, and "none" is no algorithm.
type TokenKeys struct {
	// Secret is for HS256: at least MinSecretBytes. Several, one a line, all do
	// (see Secrets), so that a new one can come before the old one goes.
	Secret []byte
	// PublicKeyPEM is for EdDSA (Ed25519), RS256 (RSA of 2048 bits or more) or
	// ES256 (P-256), whichever it is. Several blocks of one kind all do.
	PublicKeyPEM []byte
	// Issuer, where set, must be the token's.
	Issuer string
}

// Secrets splits what a key file says into its secrets, one a line. Text of which
// any line is too short for one is a single secret, whatever bytes it has.
func Secrets(text []byte) [][]byte {
	var all [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) < MinSecretBytes {
			return [][]byte{text}
		}
		all = append(all, line)
	}
	return all
}

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	Role Role `json:"role,omitempty"`
	// Phone and Address are what OpenID Connect calls them; risk lists know
	// shoppers by them.
	Phone   string `json:"phone_number,omitempty"`
	Address struct {
		Formatted string `json:"formatted,omitempty"`
	} `json:"address,omitzero"`
}

// bearer is who a checked token says it is. It is shared: read only.
type bearer struct {
	subject []byte
	role    Role
	phone   string // "" where the token does not say
	address string
	expires int64 // Unix seconds
}

// errBadToken is all that the outside learns of a token that does not do.
var errBadToken = errors.New("the token is not valid")

// tokenChecker checks tokens and remembers those that passed, so that a shopper
// who asks again costs a hash and no signature. Safe for concurrent use.
type tokenChecker struct {
	kind TokenKind
	keys atomic.Pointer[keyring]
	now  func() time.Time

	perShard int
	shards   [64]tokenShard
}

// keyring is what tokens are checked with, until it is replaced whole.
type keyring struct {
	secrets jwt.VerificationKeySet
	public  jwt.VerificationKeySet
	method  string // of public
	parser  *jwt.Parser
	// validator holds the claims of a token to the same as parser does.
	validator *jwt.Validator
	// header, with its dot, is of a token of HS256 that passed; nil before.
	header atomic.Pointer[[]byte]
}

// tokenShard holds a part of what was checked, by the SHA-256 of the token. When it
// is full, a hand goes around what is remembered and forgets the first that expired,
// or whom nobody asked for since it came by last (CLOCK).
type tokenShard struct {
	mu     sync.RWMutex
	passed map[[sha256.Size]byte]*remembered
	ring   []*remembered // all of them
	hand   int
}

// remembered is a token that passed.
type remembered struct {
	bearer
	hash  [sha256.Size]byte
	asked atomic.Bool // since the hand came by
}

// find gives what was remembered of a token; nil if nothing was.
func (t *tokenShard) find(hash *[sha256.Size]byte) *remembered {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.passed[*hash]
	if r != nil && !r.asked.Load() { // written once, not with every request
		r.asked.Store(true)
	}
	return r
}

// keep remembers a token, among most at most. The shard is locked.
func (t *tokenShard) keep(r *remembered, most int, now int64) {
	if t.passed == nil {
		t.passed = make(map[[sha256.Size]byte]*remembered)
	}
	if old := t.passed[r.hash]; old != nil { // another request brought it meanwhile
		return
	}
	t.passed[r.hash] = r
	if len(t.ring) < most {
		t.ring = append(t.ring, r)
		return
	}
	for t.ring[t.hand].expires > now && t.ring[t.hand].asked.Swap(false) { // once around at most
		t.hand = (t.hand + 1) % len(t.ring)
	}
	delete(t.passed, t.ring[t.hand].hash)
	t.ring[t.hand] = r
	t.hand = (t.hand + 1) % len(t.ring)
}

func newTokenChecker(kind TokenKind, keys TokenKeys, remember int) (*tokenChecker, error) {
	c := &tokenChecker{kind: kind, now: time.Now}
	if remember < 1 || remember > 10_000_000 {
		return nil, fmt.Errorf("the token cache has %d places; it must have 1 to 10000000", remember)
	}
	c.perShard = (remember + len(c.shards) - 1) / len(c.shards)
	return c, c.replace(keys)
}

// replace checks tokens with other keys from now on. What was remembered of
// tokens that passed with the old ones is forgotten. After an error nothing has
// changed.
func (c *tokenChecker) replace(keys TokenKeys) error {
	r := &keyring{}
	var methods []string
	if len(keys.Secret) > 0 {
		for _, secret := range Secrets(append([]byte(nil), keys.Secret...)) {
			if len(secret) < MinSecretBytes {
				return fmt.Errorf("the secret has %d bytes; it must have at least %d", len(secret), MinSecretBytes)
			}
			r.secrets.Keys = append(r.secrets.Keys, secret)
		}
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	if len(keys.PublicKeyPEM) > 0 {
		var err error
		if r.public.Keys, r.method, err = parsePublicKeys(keys.PublicKeyPEM); err != nil {
			return err
		}
		methods = append(methods, r.method)
	}
	if len(methods) == 0 {
		return errors.New("there is neither a secret nor a public key to check tokens with")
	}
	options := []jwt.ParserOption{jwt.WithValidMethods(methods), jwt.WithAudience(string(c.kind)), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return c.now() })}
	if keys.Issuer != "" {
		options = append(options, jwt.WithIssuer(keys.Issuer))
	}
	r.parser, r.validator = jwt.NewParser(options...), jwt.NewValidator(options...)
	c.keys.Store(r)
	for i := range c.shards {
		c.shards[i].mu.Lock()
		c.shards[i].passed, c.shards[i].ring, c.shards[i].hand = nil, nil, 0
		c.shards[i].mu.Unlock()
	}
	return nil
}

// parsePublicKeys reads public keys, all of one kind, and tells which algorithm
// goes with them.
func parsePublicKeys(text []byte) (keys []jwt.VerificationKey, method string, err error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		key, of, err := parsePublicKey(block)
		if err != nil {
			return nil, "", err
		}
		if method != "" && of != method {
			return nil, "", fmt.Errorf("the public keys are of two kinds, %s and %s; all must be of one", method, of)
		}
		keys, method, text = append(keys, key), of, rest
	}
	if len(keys) == 0 {
		return nil, "", errors.New("the public key is not PEM")
	}
	return keys, method, nil
}

// parsePublicKey reads a public key and tells which algorithm goes with it.
func parsePublicKey(block *pem.Block) (key any, method string, err error) {
	if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, "", fmt.Errorf("parse the public key: %w", err)
	}
	switch k := key.(type) {
	case ed25519.PublicKey:
		return key, jwt.SigningMethodEdDSA.Alg(), nil
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return key, jwt.SigningMethodRS256.Alg(), nil
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return key, jwt.SigningMethodES256.Alg(), nil
		}
	}
	return nil, "", errors.New("the public key must be Ed25519, RSA of 2048 bits or more, or ECDSA P-256")
}

// check tells whose token it is, or gives errBadToken. token is not kept.
func (c *tokenChecker) check(token []byte) (*bearer, error) {
	if len(token) == 0 || len(token) > maxTokenBytes {
		return nil, errBadToken
	}
	hash := sha256.Sum256(token)
	shard := &c.shards[hash[0]%uint8(len(c.shards))]
	now := c.now().Unix()
	if r := shard.find(&hash); r != nil {
		if now < r.expires {
			return &r.bearer, nil
		}
		return nil, errBadToken // the hand will come by
	}
	keys := c.keys.Load()
	b, sure := c.quickly(keys, token)
	if !sure {
		var err error
		if b, err = c.verify(keys, token); err != nil {
			return nil, errBadToken
		}
	}
	r := &remembered{bearer: *b, hash: hash}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if c.keys.Load() == keys { // else they were replaced meanwhile: not to be remembered
		shard.keep(r, c.perShard, now)
	}
	return &r.bearer, nil
}

// verify checks a token by the library alone.
func (c *tokenChecker) verify(keys *keyring, token []byte) (*bearer, error) {
	var said claims
	parsed, err := keys.parser.ParseWithClaims(string(token), &said, keys.keyFor)
	if err != nil {
		return nil, err
	}
	keys.noteHeader(parsed, token)
	if !engine.ValidShopper(said.Subject) {
		return nil, errBadToken
	}
	return &bearer{subject: []byte(said.Subject), role: said.Role, phone: said.Phone, address: said.Address.Formatted, expires: said.ExpiresAt.Unix()}, nil
}

// keyFor gives the keys that belong to a token's algorithm, and no others. The
// HMAC is compared in constant time by the library.
func (r *keyring) keyFor(t *jwt.Token) (any, error) {
	switch alg := t.Method.Alg(); {
	case alg == jwt.SigningMethodHS256.Alg() && len(r.secrets.Keys) > 0:
		return r.secrets, nil
	case len(r.public.Keys) > 0 && alg == r.method:
		return r.public, nil
	}
	return nil, errBadToken
}

// MintToken makes a token signed with an HS256 secret, valid from now for ttl.
// role is for OpsToken only. The subject must be engine.ValidShopper.
func MintToken(kind TokenKind, subject string, role Role, ttl time.Duration, secret []byte, now time.Time) (string, error) {
	var errs []error
	if kind != ShopperToken && kind != OpsToken {
		errs = append(errs, fmt.Errorf("there is no kind of token %q", string(kind)))
	}
	if !engine.ValidShopper(subject) {
		errs = append(errs, fmt.Errorf("the subject must have 1 to %d printable ASCII characters and no space", engine.MaxShopperBytes))
	}
	if kind == OpsToken && role.rank() == 0 {
		errs = append(errs, fmt.Errorf("there is no role %q; take viewer, operator or admin", string(role)))
	}
	if kind == ShopperToken && role != "" {
		errs = append(errs, errors.New("a shopper has no role"))
	}
	if ttl < time.Second || ttl > 366*24*time.Hour {
		errs = append(errs, fmt.Errorf("the token would be valid for %s; it must be 1s to 366 days", ttl))
	}
	if len(secret) < MinSecretBytes {
		errs = append(errs, fmt.Errorf("the secret has %d bytes; it must have at least %d", len(secret), MinSecretBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: subject, Audience: jwt.ClaimStrings{string(kind)},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Role: role,
	})
	signed, err := token.SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return signed, nil
}
