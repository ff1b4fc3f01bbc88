package personal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"doorbuster/engine"
	"doorbuster/httpapi/roster"
)

// Errors.
var (
	// ErrNoKeys: this node has no key file.
	ErrNoKeys = errors.New("this node has no key file for personal data: give it personal_keys")
	// ErrNoSecret: this node does not know the group's secret yet.
	ErrNoSecret = errors.New("this node does not know the group's secret yet")
	// ErrErased: the shopper's key is gone, and with it what was sealed by it.
	ErrErased = errors.New("the personal data has been erased")
	// ErrDamaged: what is sealed is not what was sealed.
	ErrDamaged = errors.New("sealed personal data is damaged, or belongs to somebody else")
)

// MissingKeyError: the key file of this node lacks a key.
type MissingKeyError struct{ Number uint32 }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the key file for personal data has no key %d, or another one of that number", e.Number)
}

// Table is where keys are kept, wrapped. Its methods must be safe for concurrent use.
type Table interface {
	PersonalKey(shopper string) (engine.PersonalKey, bool)
	// ListKey is the key of what risk lists name.
	ListKey() (engine.PersonalKey, bool)
	// PersonalSecret gives the secret that hashes are made with, the same on all nodes of
	// the group; false before this node knows it.
	PersonalSecret() (secret [32]byte, known bool)
}

// Vault seals and opens personal data. Its methods are safe for concurrent use.
type Vault struct {
	table  Table
	canon  roster.Canon
	keys   atomic.Pointer[[]Key]
	secret atomic.Pointer[[32]byte]
}

// New makes a vault that goes by keys, in the order of ParseKeys, which are the vault's from
// then on; without any it opens and seals nothing. canon is how what people write is compared.
func New(table Table, canon roster.Canon, keys []Key) *Vault {
	v := &Vault{table: table, canon: canon}
	_ = v.Replace(keys)
	return v
}

// Closed gives a vault that seals and opens nothing.
func Closed() *Vault { return New(nowhere{}, roster.Canon{}, nil) }

// nowhere is a table without anything.
type nowhere struct{}

func (nowhere) PersonalKey(string) (key engine.PersonalKey, there bool) { return key, false }
func (nowhere) ListKey() (key engine.PersonalKey, there bool)           { return key, false }
func (nowhere) PersonalSecret() (secret [32]byte, known bool)           { return secret, false }

// Replace has the vault go by other keys, as New. Its error is always nil: it is there for
// who hands on what files hold.
func (v *Vault) Replace(keys []Key) error {
	v.keys.Store(&keys)
	return nil
}

// Numbers gives the numbers of the keys that the vault goes by; the last one seals.
func (v *Vault) Numbers() (numbers []uint32) {
	for _, k := range *v.keys.Load() {
		numbers = append(numbers, k.Number)
	}
	return numbers
}

const (
	version    = 1
	idBytes    = 8
	nonceBytes = 12
	tagBytes   = 16
	headBytes  = 1 + idBytes
	wrapBytes  = headBytes + nonceBytes + KeyBytes + tagBytes
)

// dataKey is a key in plain, and its id, which stays the same however it is wrapped.
type dataKey struct {
	id     [idBytes]byte
	secret [KeyBytes]byte
}

func gcm(secret [KeyBytes]byte) cipher.AEAD {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic("personal: 32 bytes are a key: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("personal: AES has blocks of 16 bytes: " + err.Error())
	}
	return aead
}

func random[T [idBytes]byte | [nonceBytes]byte | [KeyBytes]byte]() (b T) {
	switch p := any(&b).(type) {
	case *[idBytes]byte:
		rand.Read(p[:])
	case *[nonceBytes]byte:
		rand.Read(p[:])
	case *[KeyBytes]byte:
		rand.Read(p[:])
	}
	return b
}

// wrap seals a data key of an owner under the newest key.
func (v *Vault) wrap(owner string, d dataKey) (engine.PersonalKey, error) {
	keys := *v.keys.Load()
	if len(keys) == 0 {
		return engine.PersonalKey{}, ErrNoKeys
	}
	by := keys[len(keys)-1]
	nonce := random[[nonceBytes]byte]()
	b := append(append(append(make([]byte, 0, wrapBytes), version), d.id[:]...), nonce[:]...)
	b = gcm(by.Secret).Seal(b, nonce[:], d.secret[:], wrapContext(owner, d.id[:]))
	return engine.PersonalKey{KEK: by.Number, Wrapped: string(b)}, nil
}

func wrapContext(owner string, id []byte) []byte {
	return append([]byte("doorbuster personal key\x00"+owner+"\x00"), id...)
}

// unwrap opens a data key of an owner.
func (v *Vault) unwrap(owner string, k engine.PersonalKey) (d dataKey, err error) {
	keys := *v.keys.Load()
	if len(keys) == 0 {
		return d, ErrNoKeys
	}
	if len(k.Wrapped) != wrapBytes || k.Wrapped[0] != version {
		return d, ErrDamaged
	}
	for _, by := range keys {
		if by.Number != k.KEK {
			continue
		}
		b := []byte(k.Wrapped)
		copy(d.id[:], b[1:])
		if _, err := gcm(by.Secret).Open(d.secret[:0], b[headBytes:headBytes+nonceBytes], b[headBytes+nonceBytes:],
			wrapContext(owner, d.id[:])); err == nil {
			return d, nil
		}
	}
	return dataKey{}, &MissingKeyError{k.KEK}
}

// sealedContext is what else a receiver is bound to: nobody else's can take its place.
func sealedContext(shopper string) []byte { return []byte("doorbuster receiver\x00" + shopper) }

// Seal seals a receiver with the shopper's key, and gives both; the key is a new one if
// the shopper has none. Errors: ErrNoKeys, ErrNoSecret, *MissingKeyError, ErrDamaged.
func (v *Vault) Seal(shopper string, r Receiver) (to engine.Receiver, key engine.PersonalKey, err error) {
	var d dataKey
	key, there := v.table.PersonalKey(shopper)
	if there {
		d, err = v.unwrap(shopper, key)
	} else {
		d = dataKey{random[[idBytes]byte](), random[[KeyBytes]byte]()}
		key, err = v.wrap(shopper, d)
	}
	if err != nil {
		return to, key, err
	}
	plain := r.encoded()
	if to.Same, err = v.hash("receiver", shopper+"\x00"+string(plain)); err != nil {
		return to, key, err
	}
	to.Phone, _ = v.PhoneBlind(r.Phone) // what the one hash needed is there
	if blinds, _ := v.AddressBlinds(r); len(blinds) > 0 {
		to.Address = blinds[0]
	}
	nonce := random[[nonceBytes]byte]()
	b := append(append(append(make([]byte, 0, headBytes+nonceBytes+len(plain)+tagBytes), version), d.id[:]...),
		nonce[:]...)
	to.Sealed = string(gcm(d.secret).Seal(b, nonce[:], plain, sealedContext(shopper)))
	return to, key, nil
}

// Open opens a shopper's receiver. Errors: ErrErased, ErrNoKeys, *MissingKeyError,
// ErrDamaged.
func (v *Vault) Open(shopper string, sealed engine.Receiver) (r Receiver, err error) {
	b := []byte(sealed.Sealed)
	if len(b) < headBytes+nonceBytes+tagBytes || b[0] != version {
		return r, ErrDamaged
	}
	key, there := v.table.PersonalKey(shopper)
	if !there || len(key.Wrapped) >= headBytes && key.Wrapped[1:headBytes] != sealed.Sealed[1:headBytes] {
		return r, ErrErased
	}
	d, err := v.unwrap(shopper, key)
	if err != nil {
		return r, err
	}
	plain, err := gcm(d.secret).Open(nil, b[headBytes:headBytes+nonceBytes], b[headBytes+nonceBytes:],
		sealedContext(shopper))
	if err != nil {
		return r, ErrDamaged
	}
	return decoded(plain)
}

// hash makes a Blind of a value for one purpose. Error: ErrNoSecret.
func (v *Vault) hash(purpose, value string) (b engine.Blind, err error) {
	secret := v.secret.Load()
	if secret == nil {
		now, known := v.table.PersonalSecret()
		if !known {
			return b, ErrNoSecret
		}
		secret = &now
		v.secret.Store(secret)
	}
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte(purpose + "\x00" + value))
	copy(b[:], mac.Sum(nil))
	return b, nil
}

// PhoneBlind gives the hash of a phone number, the same however it is written, and the
// same as a risk list has. Of what is no number it is the hash of the text; of nothing it
// is none. Error: ErrNoSecret.
func (v *Vault) PhoneBlind(phone string) (engine.Blind, error) {
	if phone = strings.TrimSpace(phone); phone == "" {
		return engine.Blind{}, nil
	}
	if known, ok := v.canon.Phone(phone); ok {
		phone = string(known)
	}
	return v.hash(phonePurpose, phone)
}

// AddressBlind is PhoneBlind for an address in one line.
func (v *Vault) AddressBlind(line string) (engine.Blind, error) {
	if line = strings.TrimSpace(line); line == "" {
		return engine.Blind{}, nil
	}
	if known, ok := v.canon.Address(line); ok {
		line = string(known)
	}
	return v.hash(addressPurpose, line)
}

// AddressBlinds gives the hashes of a receiver's address as Receiver.Lines writes it; the
// first is the one that is kept with it. Error: ErrNoSecret.
func (v *Vault) AddressBlinds(r Receiver) (blinds []engine.Blind, err error) {
	for _, line := range r.Lines() {
		b, err := v.AddressBlind(line)
		if err != nil {
			return nil, err
		}
		blinds = append(blinds, b)
	}
	return blinds, nil
}
