package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecretBytes is the shortest HS256 secret that is taken: as long as the
// hash, or the secret would be the weaker of the two (RFC 7518, 3.2).
const MinSecretBytes = 32

// Keys are what tokens of one audience are checked with. A token names its
// algorithm, but only the one that belongs to a key given here counts: a public
// key never serves as a secret, and "none" is no algorithm.
type Keys struct {
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

// keyring is what tokens are checked with, until it is replaced whole.
type keyring struct {
	keys   []*key
	issuer string // "" where any does
	// header is of a token that passed; nil before.
	header atomic.Pointer[knownHeader]
}

// key is a key for as long as it is among those that tokens are checked with.
type key struct {
	method jwt.SigningMethod
	check  any
	macs   sync.Pool // of hash.Hash, for HS256: the library makes one for each token
	same   string    // of two that are one key
	// gone is set, and lasts ends, when the key is withdrawn.
	gone     atomic.Bool
	lasts    context.Context
	withdraw context.CancelFunc
}

// signed reports whether the signature in the scratch is the key's, of text.
func (k *key) signed(text []byte, s *scratch) bool {
	secret, symmetric := k.check.([]byte)
	if !symmetric {
		return k.method.Verify(string(text), s.sig, k.check) == nil
	}
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, secret)
	}
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(text)
	s.plain = mac.Sum(s.plain[:0])
	return hmac.Equal(s.sig, s.plain)
}

// Replace checks tokens with other keys from now on. Tokens of keys that stay are
// remembered on; those of keys that are withdrawn don't count any more, nor does what
// was begun with them. After an error nothing has changed.
func (c *Checker) Replace(keys Keys) error {
	next := &keyring{issuer: keys.Issuer}
	add := func(method jwt.SigningMethod, check any, text []byte) {
		k := &key{method: method, check: check, same: method.Alg() + "\x00" + keys.Issuer + "\x00" + string(text)}
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
	var before []*key
	if old := c.keys.Load(); old != nil {
		before = slices.Clone(old.keys)
	}
	for i, k := range next.keys {
		if at := slices.IndexFunc(before, func(old *key) bool { return old.same == k.same }); at >= 0 {
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
