package httpapi

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

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

// Bounds of tokens, besides those of the headers that they stand in.
const (
	DefaultTokenBytes = 4 << 10
	minTokenBytes     = 256
	maxTokenBytes     = 64 << 10
)

// tokenLeeway is how far the clock of who made a token may be ahead of ours: a token
// is taken so long before its nbf. Its exp is kept to the second, for what was begun
// with it ends then.
const tokenLeeway = 60 // seconds

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

// Secrets splits what a key file says into its secrets, one a line; blank lines are
// none. Text of which any other line is too short for one is a single secret, whatever
// bytes it has.
func Secrets(text []byte) [][]byte {
	var all [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		if len(line) < MinSecretBytes {
			return [][]byte{text}
		}
		all = append(all, line)
	}
	return all
}

// bearer is who a checked token says it is. It is shared: read only.
type bearer struct {
	subject []byte
	role    Role
	phone   string // "" where the token does not say
	address string
	expires int64     // Unix seconds
	key     *tokenKey // nil where nobody had to prove anything

	// What is said of a shopper, as lists have it; "" also where that can't be made
	// out.
	listedPhone, listedAddress engine.Canonical
}

// errAuthorityOver is why something long that was begun with a token has ended.
var errAuthorityOver = errors.New("the token has expired meanwhile, or its key was withdrawn")

// within gives a context that ends with ctx, and before it, with errAuthorityOver for
// a cause, when the token expires or its key is withdrawn. All that is not done in a
// moment goes by it. The function ends it at once, and is to be called.
func (b *bearer) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	if b.key == nil {
		return ctx, func() { end(nil) }
	}
	over := func() { end(errAuthorityOver) }
	late := time.AfterFunc(time.Until(time.Unix(b.expires, 0)), over)
	forget := context.AfterFunc(b.key.lasts, over)
	return ctx, func() {
		late.Stop()
		forget()
		end(nil)
	}
}

// tokenFault is what is wrong with a token, or with how it was sent.
type tokenFault uint8

const (
	tokenMissing tokenFault = iota
	tokenTwice
	tokenLong
	tokenMalformed
	tokenCritical
	tokenAlgorithm
	tokenSignature
	tokenExpired
	tokenEarly
	tokenAudience
	tokenIssuer
	tokenSubject
	tokenRole
	tokenFaultKinds
)

// tokenFaultTable says of each fault how metrics and the log call it, and what who
// sent the token hears. Before the signature has passed they hear little: the rest
// would help only a forger.
var tokenFaultTable = [tokenFaultKinds]struct{ slug, says string }{
	tokenMissing:   {"missing", "Send Authorization: Bearer and a token."},
	tokenTwice:     {"twice", "Send one Authorization header, not several."},
	tokenLong:      {"too_long", "The token is longer than is taken here. The setting token_bytes bounds it."},
	tokenMalformed: {"malformed", badToken},
	tokenCritical:  {"crit", badToken},
	tokenAlgorithm: {"alg", badToken},
	tokenSignature: {"signature", badToken},
	tokenExpired:   {"exp", "The token has expired, or does not say when it does. Get a new one."},
	tokenEarly:     {"nbf", "The token is not good yet. Are the clocks right?"},
	tokenAudience:  {"aud", "The token is for another audience."},
	tokenIssuer:    {"iss", "The token is of another issuer than is asked for here."},
	tokenSubject:   {"sub", fmt.Sprintf("The token's subject must be 1 to %d printable ASCII characters without spaces, or a whole number.", engine.MaxShopperBytes)},
	tokenRole:      {"role", "The token's role must be viewer, operator or admin."},
}

const badToken = "The token is not valid, or not any more. Get a new one."

// Error says what who sent the token hears.
func (f tokenFault) Error() string { return tokenFaultTable[f].says }

// tokenChecker checks tokens and remembers those that passed, so that a shopper
// who asks again costs a hash and no signature. Safe for concurrent use.
type tokenChecker struct {
	kind TokenKind
	keys atomic.Pointer[keyring]
	now  func() time.Time
	know func(*bearer) // looks at who passed, once; nil for nobody
	most int           // bytes of a token
	log  *slog.Logger

	replacing sync.Mutex
	perShard  int
	shards    [64]tokenShard

	refused     [tokenFaultKinds]atomic.Uint64
	refusedDesc *prometheus.Desc
}

// keyring is what tokens are checked with, until it is replaced whole.
type keyring struct {
	keys   []*tokenKey
	issuer string // "" where any does
	// header is of a token that passed; nil before.
	header atomic.Pointer[knownHeader]
}

// tokenKey is a key for as long as it is among those that tokens are checked with.
type tokenKey struct {
	method jwt.SigningMethod
	check  any
	same   string // of two that are one key
	// gone is set, and lasts ends, when the key is withdrawn.
	gone     atomic.Bool
	lasts    context.Context
	withdraw context.CancelFunc
}

// tokenShard holds a part of what was checked, by the SHA-256 of the token. When it
// is full, a hand goes around what is remembered and forgets the first that does not
// count any more, or whom nobody asked for since it came by last (CLOCK).
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
	at    int         // in the ring
	asked atomic.Bool // since the hand came by
}

// find gives what was remembered of a token whose key still counts; nil if nothing was.
func (t *tokenShard) find(hash *[sha256.Size]byte) *remembered {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.passed[*hash]
	if r == nil || r.key.gone.Load() {
		return nil
	}
	if !r.asked.Load() { // written once, not with every request
		r.asked.Store(true)
	}
	return r
}

// keep remembers a token, among most at most. The shard is locked.
func (t *tokenShard) keep(r *remembered, most int, now int64) {
	if t.passed == nil {
		t.passed = make(map[[sha256.Size]byte]*remembered)
	}
	if old := t.passed[r.hash]; old != nil {
		if old.key.gone.Load() { // and the key has come back
			t.put(r, old.at)
		}
		return // another request brought it meanwhile
	}
	if len(t.ring) < most {
		t.ring = append(t.ring, nil)
		t.put(r, len(t.ring)-1)
		return
	}
	for old := t.ring[t.hand]; old.expires > now && !old.key.gone.Load() && old.asked.Swap(false); old = t.ring[t.hand] { // once around at most
		t.hand = (t.hand + 1) % len(t.ring)
	}
	delete(t.passed, t.ring[t.hand].hash)
	t.put(r, t.hand)
	t.hand = (t.hand + 1) % len(t.ring)
}

func (t *tokenShard) put(r *remembered, at int) {
	r.at = at
	t.ring[at], t.passed[r.hash] = r, r
}

// newTokenChecker makes one that takes tokens of so many bytes at most (0 is the
// default), remembers so many, and says to log why tokens are refused.
func newTokenChecker(kind TokenKind, keys TokenKeys, most, remember int, log *slog.Logger) (*tokenChecker, error) {
	fill(&most, DefaultTokenBytes)
	if most < minTokenBytes || most > maxTokenBytes {
		return nil, fmt.Errorf("tokens of %d bytes; they may have %d to %d", most, minTokenBytes, maxTokenBytes)
	}
	c := &tokenChecker{kind: kind, now: time.Now, most: most, log: log}
	api := map[TokenKind]string{ShopperToken: "shopper", OpsToken: "admin"}[kind]
	c.refusedDesc = prometheus.NewDesc("doorbuster_tokens_refused_total",
		"Requests refused for their token, by what was wrong with it.", []string{"reason"}, prometheus.Labels{"api": api})
	if remember < 1 || remember > 10_000_000 {
		return nil, fmt.Errorf("the token cache has %d places; it must have 1 to 10000000", remember)
	}
	c.perShard = (remember + len(c.shards) - 1) / len(c.shards)
	return c, c.replace(keys)
}

// replace checks tokens with other keys from now on. Tokens of keys that stay are
// remembered on; those of keys that are withdrawn don't count any more, nor does what
// was begun with them. After an error nothing has changed.
func (c *tokenChecker) replace(keys TokenKeys) error {
	next := &keyring{issuer: keys.Issuer}
	add := func(method jwt.SigningMethod, check any, text []byte) {
		k := &tokenKey{method: method, check: check, same: method.Alg() + "\x00" + keys.Issuer + "\x00" + string(text)}
		k.lasts, k.withdraw = context.WithCancel(context.Background())
		next.keys = append(next.keys, k)
	}
	if len(keys.Secret) > 0 {
		for _, secret := range Secrets(append([]byte(nil), keys.Secret...)) {
			if len(secret) < MinSecretBytes {
				return fmt.Errorf("the secret has %d bytes; it must have at least %d", len(secret), MinSecretBytes)
			}
			add(jwt.SigningMethodHS256, secret, secret)
		}
	}
	if len(keys.PublicKeyPEM) > 0 {
		if err := parsePublicKeys(keys.PublicKeyPEM, add); err != nil {
			return err
		}
	}
	if len(next.keys) == 0 {
		return errors.New("there is neither a secret nor a public key to check tokens with")
	}
	c.replacing.Lock()
	defer c.replacing.Unlock()
	var before []*tokenKey
	if old := c.keys.Load(); old != nil {
		before = slices.Clone(old.keys)
	}
	for i, k := range next.keys {
		if at := slices.IndexFunc(before, func(old *tokenKey) bool { return old.same == k.same }); at >= 0 {
			next.keys[i] = before[at]
			before = slices.Delete(before, at, at+1)
		}
	}
	c.keys.Store(next)
	for _, k := range before {
		k.gone.Store(true)
		k.withdraw()
	}
	return nil
}

// parsePublicKeys hands on public keys, all of one kind.
func parsePublicKeys(text []byte, add func(method jwt.SigningMethod, check any, text []byte)) error {
	of := ""
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		key, method, err := parsePublicKey(block)
		if err != nil {
			return err
		}
		if of != "" && of != method.Alg() {
			return fmt.Errorf("the public keys are of two kinds, %s and %s; all must be of one", of, method.Alg())
		}
		add(method, key, block.Bytes)
		of, text = method.Alg(), rest
	}
	if of == "" {
		return errors.New("the public key is not PEM")
	}
	return nil
}

// parsePublicKey reads a public key and tells which algorithm goes with it.
func parsePublicKey(block *pem.Block) (key any, method jwt.SigningMethod, err error) {
	if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, nil, fmt.Errorf("parse the public key: %w", err)
	}
	switch k := key.(type) {
	case ed25519.PublicKey:
		return key, jwt.SigningMethodEdDSA, nil
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return key, jwt.SigningMethodRS256, nil
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return key, jwt.SigningMethodES256, nil
		}
	}
	return nil, nil, errors.New("the public key must be Ed25519, RSA of 2048 bits or more, or ECDSA P-256")
}

// authorize tells who asks by an Authorization header, the first of so many, or what
// is wrong, a tokenFault, which it counts.
func authorize[T string | []byte](c *tokenChecker, header T, headers int) (*bearer, error) {
	err := error(tokenMissing)
	if headers > 1 {
		err = tokenTwice
	} else if token, ok := bearerToken(header); ok {
		var b *bearer
		if b, err = c.check([]byte(token)); err == nil {
			return b, nil
		}
	}
	fault := err.(tokenFault)
	c.refused[fault].Add(1)
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("token refused", "audience", string(c.kind), "reason", tokenFaultTable[fault].slug)
	}
	return nil, err
}

// tokenWanted is a WWW-Authenticate header that asks for a token, after what authorize
// found wrong.
func tokenWanted(realm string, fault error) string {
	if fault == tokenMissing {
		return `Bearer realm="` + realm + `"`
	}
	return `Bearer realm="` + realm + `", error="invalid_token"`
}

// check tells whose token it is, or gives a tokenFault. token is not kept.
func (c *tokenChecker) check(token []byte) (*bearer, error) {
	if len(token) > c.most {
		return nil, tokenLong
	}
	hash := sha256.Sum256(token)
	shard := &c.shards[hash[0]%uint8(len(c.shards))]
	now := c.now().Unix()
	if r := shard.find(&hash); r != nil {
		if now < r.expires {
			return &r.bearer, nil
		}
		return nil, tokenExpired // the hand will come by
	}
	b, err := c.keys.Load().verify(token, c.kind, now)
	if err != nil {
		return nil, err
	}
	if c.know != nil {
		c.know(b)
	}
	r := &remembered{bearer: *b, hash: hash}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.keep(r, c.perShard, now)
	return &r.bearer, nil
}

// Describe implements prometheus.Collector.
func (c *tokenChecker) Describe(ch chan<- *prometheus.Desc) { ch <- c.refusedDesc }

// Collect implements prometheus.Collector.
func (c *tokenChecker) Collect(ch chan<- prometheus.Metric) {
	for fault := range c.refused {
		ch <- prometheus.MustNewConstMetric(c.refusedDesc, prometheus.CounterValue, float64(c.refused[fault].Load()), tokenFaultTable[fault].slug)
	}
}

// TokenClaims are what a token says.
type TokenClaims struct {
	Kind    TokenKind
	Subject string        // engine.ValidShopper
	Role    Role          // of OpsToken only
	Issuer  string        // "" is none
	TTL     time.Duration // from when it is signed; 1 s to 366 days
}

// Sign makes a token of c by an HS256 secret, or says all that is wrong.
func (c TokenClaims) Sign(secret []byte, now time.Time) (string, error) {
	var errs []error
	if c.Kind != ShopperToken && c.Kind != OpsToken {
		errs = append(errs, fmt.Errorf("there is no kind of token %q", string(c.Kind)))
	}
	if !engine.ValidShopper(c.Subject) {
		errs = append(errs, errors.New("the subject must have "+engine.ShopperForm))
	}
	if c.Kind == OpsToken && c.Role.rank() == 0 {
		errs = append(errs, fmt.Errorf("there is no role %q; take viewer, operator or admin", string(c.Role)))
	}
	if c.Kind == ShopperToken && c.Role != "" {
		errs = append(errs, errors.New("a shopper has no role"))
	}
	if c.TTL < time.Second || c.TTL > 366*24*time.Hour {
		errs = append(errs, fmt.Errorf("the token would be valid for %s; it must be 1s to 366 days", c.TTL))
	}
	if len(secret) < MinSecretBytes {
		errs = append(errs, fmt.Errorf("the secret has %d bytes; it must have at least %d", len(secret), MinSecretBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	said := jwt.MapClaims{"sub": c.Subject, "aud": string(c.Kind), "iat": now.Unix(), "exp": now.Add(c.TTL).Unix()}
	if c.Role != "" {
		said["role"] = string(c.Role)
	}
	if c.Issuer != "" {
		said["iss"] = c.Issuer
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, said).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return signed, nil
}
