package payment

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Bounds of keys.
const (
	// MinSecretBytes is the shortest secret that is taken: as long as the hash, or
	// the secret would be the weaker of the two (RFC 7518, 3.2).
	MinSecretBytes = 32
	maxKeyIDBytes  = 64
	maxKeys        = 64
)

// Key is a key of tokens as it stands in its file.
type Key struct {
	// ID is what tokens name it by: 1 to 64 letters, digits, dots, dashes and
	// underscores. A key that changes takes another id.
	ID string
	// Text is a secret for HS256 of at least MinSecretBytes, or a PEM block with an
	// Ed25519 key for EdDSA: a private one (PKCS #8), or a public one, which only
	// checks.
	Text []byte
	// Signs says that new tokens are signed with it: of exactly one key.
	Signs bool
}

// Keys sign and check tokens. Its methods are safe for concurrent use.
type Keys struct{ ring atomic.Pointer[ring] }

// ring is replaced whole.
type ring struct {
	byID   map[string]*key
	signer *key
	parser *jwt.Parser
	public []byte // the JWK set
}

type key struct {
	id      string
	method  jwt.SigningMethod
	signing any
	check   any
	header  string     // of tokens: its base64url, and a dot
	begin   string     // of tokens: the header, and firstClaims in base64url
	macs    *sync.Pool // of *mac; nil but for HS256
}

// NewKeys makes Keys, or says all that is wrong with them.
func NewKeys(keys []Key) (*Keys, error) {
	k := &Keys{}
	return k, k.Replace(keys)
}

// Replace signs and checks with other keys from now on. After an error nothing
// has changed.
func (k *Keys) Replace(keys []Key) error {
	r := &ring{byID: make(map[string]*key, len(keys))}
	var errs []error
	signers := 0
	if len(keys) > maxKeys {
		errs = append(errs, fmt.Errorf("there are %d keys; take the retired ones out, %d may stay", len(keys), maxKeys))
	}
	for _, given := range keys {
		parsed, err := parseKey(given)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("key %q: %w", given.ID, err))
			continue
		case r.byID[given.ID] != nil:
			errs = append(errs, fmt.Errorf("key %q is there twice", given.ID))
			continue
		}
		r.byID[given.ID] = parsed
		if given.Signs {
			signers++
			r.signer = parsed
		}
	}
	if signers != 1 {
		errs = append(errs, fmt.Errorf("%d keys sign; exactly one must", signers))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("keys of payment tokens: %w", err)
	}
	r.parser = jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg(), jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithAudience(audience), jwt.WithIssuer(Issuer), jwt.WithExpirationRequired(),
		// what is over is told apart from all else, by who reads
		jwt.WithTimeFunc(func() time.Time { return time.Unix(0, 0) }))
	r.public = r.jwks()
	k.ring.Store(r)
	return nil
}

func parseKey(given Key) (*key, error) {
	if !validKeyID(given.ID) {
		return nil, fmt.Errorf("the id must have 1 to %d letters, digits, dots, dashes and underscores", maxKeyIDBytes)
	}
	k := &key{id: given.ID}
	block, _ := pem.Decode(given.Text)
	switch {
	case block == nil && strings.Contains(string(given.Text), "-----BEGIN"):
		return nil, errors.New("the PEM block is broken")
	case block == nil:
		if len(given.Text) < MinSecretBytes {
			return nil, fmt.Errorf("the secret has %d bytes; it must have at least %d", len(given.Text), MinSecretBytes)
		}
		secret := slices.Clone(given.Text)
		k.method, k.signing, k.check = jwt.SigningMethodHS256, secret, secret
		k.macs = &sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, secret)} }}
	case block.Type == "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse the private key: %w", err)
		}
		private, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return nil, errors.New("the private key must be of Ed25519: 'openssl genpkey -algorithm ed25519'")
		}
		k.method, k.signing, k.check = jwt.SigningMethodEdDSA, private, private.Public()
	case block.Type == "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse the public key: %w", err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("the public key must be of Ed25519")
		}
		if given.Signs {
			return nil, errors.New("a public key can't sign; give the private one")
		}
		k.method, k.check = jwt.SigningMethodEdDSA, public
	default:
		return nil, fmt.Errorf("a PEM block %q is no key that is known; take PRIVATE KEY (Ed25519, PKCS #8) or "+
			"PUBLIC KEY", block.Type)
	}
	header := `{"alg":"` + k.method.Alg() + `","kid":"` + k.id + `","typ":"JWT"}`
	k.header = base64.RawURLEncoding.EncodeToString([]byte(header)) + "."
	k.begin = k.header + base64.RawURLEncoding.EncodeToString([]byte(firstClaims))
	return k, nil
}

func validKeyID(id string) bool {
	if len(id) == 0 || len(id) > maxKeyIDBytes {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// Public gives the public keys as a JWK set (RFC 7517), for those who check tokens
// themselves; shared, read only. Secrets are not in it.
func (k *Keys) Public() []byte { return k.ring.Load().public }

func (r *ring) jwks() []byte {
	ids := make([]string, 0, len(r.byID))
	for id, k := range r.byID {
		if _, public := k.check.(ed25519.PublicKey); public {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	b := []byte(`{"keys":[`)
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"`+id+`","x":"`...)
		b = base64.RawURLEncoding.AppendEncode(b, r.byID[id].check.(ed25519.PublicKey))
		b = append(b, `"}`...)
	}
	return append(b, `]}`...)
}
