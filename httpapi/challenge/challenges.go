package challenge

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// SecretBytes is the length of the group's secret.
const SecretBytes = 32

// maxInputBytes bounds what a shopper sends as a solution or an image's token.
const maxInputBytes = 4 << 10

// Why a solution does not do.
var (
	// ErrMalformed: not what a challenge's solution looks like, or too long.
	ErrMalformed = errors.New("the solution is malformed")
	// ErrForged: of a challenge that was not given out under the group's secret.
	ErrForged = errors.New("the challenge is forged")
	// ErrBorrowed: of a challenge that was given to another shopper, or for
	// another listing.
	ErrBorrowed = errors.New("the challenge was given to another shopper, or for another listing")
	// ErrExpired: of a challenge whose time is over.
	ErrExpired = errors.New("the challenge has expired")
	// ErrWrong: not the solution.
	ErrWrong = errors.New("the solution is wrong")
	// ErrSpent: of an image that had too many wrong answers.
	ErrSpent = errors.New("the image had too many wrong answers; get another one")
)

// Challenges makes challenges and checks their solutions. Its methods are safe
// for concurrent use.
type Challenges struct {
	cfg       Config
	maxNumber atomic.Int64
	keys      atomic.Pointer[keys]

	mu    sync.Mutex
	tried *simplelru.LRU[nonce, int] // wrong answers by image
}

// keys are derived from the group's secret.
type keys struct {
	work string // signs work, as the library takes it
	bind []byte
	id   []byte
	seal cipher.AEAD
}

// New makes Challenges from the group's secret, SecretBytes long, which is not
// kept, or says all that is wrong with cfg. A node that does not know the secret
// yet gives nil: then a random one serves until SetSecret, so challenges of other
// nodes count as forged meanwhile, and those given out meanwhile count as forged
// after it.
func New(cfg Config, secret []byte) (*Challenges, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("challenges: %w", err)
	}
	c := &Challenges{cfg: cfg.withDefaults()}
	c.maxNumber.Store(c.cfg.MaxNumber)
	var err error
	if c.tried, err = simplelru.NewLRU[nonce, int](c.cfg.TriedImages, nil); err != nil {
		return nil, fmt.Errorf("challenges: %w", err)
	}
	if secret == nil {
		secret = make([]byte, SecretBytes)
		// It never fails: the process ends instead.
		_, _ = rand.Read(secret)
	}
	return c, c.SetSecret(secret)
}

// SetSecret makes and checks with another secret from now on, SecretBytes long,
// which is not kept. After an error nothing has changed.
func (c *Challenges) SetSecret(secret []byte) error {
	if len(secret) != SecretBytes {
		return fmt.Errorf("the secret of challenges has %d bytes; it must have %d", len(secret), SecretBytes)
	}
	derive := func(label string) []byte { return sum(secret, []byte("doorbuster challenge 1 "+label)) }
	block, err := aes.NewCipher(derive("seal"))
	if err != nil {
		return fmt.Errorf("make the key that seals images: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return fmt.Errorf("make the key that seals images: %w", err)
	}
	c.keys.Store(&keys{work: string(derive("work")), bind: derive("bind"), id: derive("id"), seal: seal})
	return nil
}

// SetMaxNumber makes the work of challenges from now on harder or easier (see
// Config.MaxNumber). After an error nothing has changed.
func (c *Challenges) SetMaxNumber(n int64) error {
	if n < minNumber || n > maxNumber {
		return fmt.Errorf("%s is %d; it must be %d to %d", "MaxNumber", n, minNumber, maxNumber)
	}
	c.maxNumber.Store(n)
	return nil
}

// binding is what ties a challenge to a shopper and a listing, telling neither.
const bindingBytes = 16

func (k *keys) binding(shopper, listing []byte) []byte {
	// The shopper's length stands before the shopper, or else the end of one and the
	// beginning of the other could change places.
	return sum(k.bind, binary.BigEndian.AppendUint64(nil, uint64(len(shopper))), shopper, listing)[:bindingBytes]
}

// idOf derives the id of a challenge of a kind from its nonce. It is never 0.
func (k *keys) idOf(kind string, nonce []byte) uint64 {
	return max(1, binary.BigEndian.Uint64(sum(k.id, []byte(kind), nonce)))
}

// sum is HMAC-SHA256 over the parts, one behind the other.
func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}
