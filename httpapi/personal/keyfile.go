package personal

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"doorbuster/httpapi/input"
)

// KeyBytes is how long keys are.
const KeyBytes = 32

// MaxKeys bounds the keys of a file.
const MaxKeys = 64

// Key is a key-encryption key.
type Key struct {
	Number uint32
	Secret [KeyBytes]byte
}

// String gives the number alone, so that no log has a secret.
func (k Key) String() string { return fmt.Sprintf("key %d", k.Number) }

// GoString is String.
func (k Key) GoString() string { return k.String() }

type keyFile struct {
	Keys []struct {
		Number uint32 `json:"number"`
		Key    []byte `json:"key"`
	} `json:"keys"`
}

// ParseKeys reads a key file of 1 to 64 keys. They come by their numbers; the last one, the
// newest, seals. Errors say what is wrong, and never name a secret.
func ParseKeys(text []byte) ([]Key, error) {
	var f keyFile
	if wrong := input.Object(text, &f, true); wrong != "" {
		return nil, errors.New("it must be like " + `{"keys":[{"number":1,"key":"…32 bytes in base64…"}]}: ` + wrong)
	}
	if len(f.Keys) == 0 || len(f.Keys) > MaxKeys {
		return nil, fmt.Errorf("it has %d keys; it must have 1 to %d", len(f.Keys), MaxKeys)
	}
	keys := make([]Key, 0, len(f.Keys))
	for _, k := range f.Keys {
		key := Key{Number: k.Number}
		switch n := copy(key.Secret[:], k.Key); {
		case k.Number == 0:
			return nil, errors.New("a key has the number 0; numbers go from 1")
		case n != KeyBytes || len(k.Key) != KeyBytes:
			return nil, fmt.Errorf("key %d has %d bytes; it must have %d, in base64", k.Number, len(k.Key), KeyBytes)
		case key.Secret == [KeyBytes]byte{}:
			return nil, fmt.Errorf("key %d is all zeros", k.Number)
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.Number, b.Number) })
	for i := 1; i < len(keys); i++ {
		if keys[i].Number == keys[i-1].Number {
			return nil, fmt.Errorf("the number %d is there twice", keys[i].Number)
		}
	}
	return keys, nil
}

// FormatKeys writes keys as ParseKeys reads them.
func FormatKeys(keys []Key) []byte {
	type row struct {
		Number uint32 `json:"number"`
		Key    string `json:"key"`
	}
	var f struct {
		Keys []row `json:"keys"`
	}
	for _, k := range keys {
		f.Keys = append(f.Keys, row{k.Number, base64.StdEncoding.EncodeToString(k.Secret[:])})
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		panic("personal: numbers and texts are always JSON: " + err.Error())
	}
	return append(text, '\n')
}

// NewKey makes a key that is newer than others. Its number is the second it was made in,
// so that files made apart have no number in common.
func NewKey(others []Key, now time.Time) (Key, error) {
	k := Key{Number: uint32(max(1, min(now.Unix(), math.MaxUint32)))}
	for _, o := range others {
		if o.Number == math.MaxUint32 {
			return Key{}, fmt.Errorf("no number is left behind %d", o.Number)
		}
		k.Number = max(k.Number, o.Number+1)
	}
	rand.Read(k.Secret[:]) // never fails
	return k, nil
}
