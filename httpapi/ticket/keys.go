package ticket

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
)

// SecretBytes is the length of the group's secret.
const SecretBytes = 32

// label sets the key of tickets apart from all else that is derived from the
// group's secret.
const label = "doorbuster grab ticket 1"

// Keys issues and checks the tickets of one group. Its methods are safe for
// concurrent use.
type Keys struct {
	signers atomic.Pointer[sync.Pool] // of *signer, all with one key
}

// New makes Keys from the group's secret, SecretBytes long, which is not kept.
// A node that does not know it yet gives nil: then a random one serves until
// Replace, so tickets of other nodes count as forged meanwhile, and those issued
// meanwhile count as forged after it.
func New(secret []byte) (*Keys, error) {
	if secret == nil {
		secret = make([]byte, SecretBytes)
		// It never fails: the process ends instead.
		_, _ = rand.Read(secret)
	}
	k := &Keys{}
	return k, k.Replace(secret)
}

// Replace issues and checks with another secret from now on, SecretBytes long,
// which is not kept. After an error nothing has changed.
func (k *Keys) Replace(secret []byte) error {
	if len(secret) != SecretBytes {
		return fmt.Errorf("the secret of tickets has %d bytes; it must have %d", len(secret), SecretBytes)
	}
	derive := hmac.New(sha256.New, secret)
	derive.Write([]byte(label))
	key := derive.Sum(nil)
	k.signers.Store(&sync.Pool{New: func() any { return &signer{mac: hmac.New(sha256.New, key)} }})
	return nil
}

// signer is a keyed hash with room for all that it works on, since what is
// handed to a hash escapes to the heap.
type signer struct {
	mac   hash.Hash
	frame [frameBytes]byte
	sum   [sha256.Size]byte
}

// sign gives the signature of what the frame says for a shopper and a listing.
// It is valid until the next call.
func (s *signer) sign(shopper, listing []byte) []byte {
	// The shopper's length stands before the shopper, or else the end of one and the
	// beginning of the other could change places.
	binary.BigEndian.PutUint64(s.sum[:], uint64(len(shopper)))
	s.mac.Reset()
	s.mac.Write(s.frame[:signedBytes])
	s.mac.Write(s.sum[:8])
	s.mac.Write(shopper)
	s.mac.Write(listing)
	return s.mac.Sum(s.sum[:0])[:macBytes]
}
