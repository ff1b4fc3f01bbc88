package challenge

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dchest/captcha"
)

// Image is a challenge to read digits.
type Image struct {
	// Token goes back with the answer.
	Token string `json:"token"`
	// Image is a data URL with a PNG of 240 by 80 points.
	Image string `json:"image"`
}

// A token is this in base64url without padding:
//
//	offset  0         1          13
//	        +---------+----------+---------+---------+--------+-----------+
//	        | version | nonce    | expiry  | binding | digits | seal's    |
//	        | 1       |          | Unix ms |         | 0 to 9 | check sum |
//	        +---------+----------+---------+---------+--------+-----------+
//	bytes     1         12         8         16        4 to 8   16
//
// The expiry is big-endian. From there on it is sealed with AES-256-GCM; the
// version is what is sealed along.
const (
	imageVersion = 1
	nonceBytes   = 12
	sealedFrom   = 1 + nonceBytes
	digitsFrom   = 8 + bindingBytes

	maxAnswerBytes = 64
)

// nonce tells images apart.
type nonce [nonceBytes]byte

var tokenEncoding = base64.RawURLEncoding.Strict()

// MakeImage makes an image for a shopper and a listing ("{session}/skus/{sku}").
// It costs some milliseconds: whoever may ask for one must be limited.
func (c *Challenges) MakeImage(shopper, listing []byte, now time.Time) (Image, error) {
	digits := captcha.RandomDigits(c.cfg.Digits)
	token, n := c.sealImage(digits, shopper, listing, now.Add(c.cfg.Lifetime))
	text := bytes.NewBufferString("data:image/png;base64,")
	encoder := base64.NewEncoder(base64.StdEncoding, text)
	// The name seeds how the digits are bent and crossed out.
	image := captcha.NewImage(string(n[:]), digits, captcha.StdWidth, captcha.StdHeight)
	if _, err := image.WriteTo(encoder); err != nil {
		return Image{}, fmt.Errorf("draw an image: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return Image{}, fmt.Errorf("draw an image: %w", err)
	}
	return Image{Token: token, Image: text.String()}, nil
}

func (c *Challenges) sealImage(digits, shopper, listing []byte, expires time.Time) (token string, n nonce) {
	k := c.keys.Load()
	_, _ = rand.Read(n[:]) // it never fails
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.UnixMilli()))
	plain = append(append(plain, k.binding(shopper, listing)...), digits...)
	frame := append([]byte{imageVersion}, n[:]...)
	return tokenEncoding.EncodeToString(k.seal.Seal(frame, n[:], plain, frame[:1])), n
}

// CheckImage gives the id (never 0) of the image whose token and answer these
// are, or 0 and ErrMalformed, ErrForged, ErrBorrowed, ErrExpired, ErrSpent or
// ErrWrong. Spaces in the answer do not count. The same image has the same id on
// every node.
func (c *Challenges) CheckImage(token, answer, shopper, listing []byte, now time.Time) (id uint64, err error) {
	// The decoder would skip line ends, and there would be more than one way to
	// write a token.
	if len(token) > maxInputBytes || len(answer) > maxAnswerBytes || bytes.ContainsAny(token, "\r\n") {
		return 0, ErrMalformed
	}
	frame, err := tokenEncoding.AppendDecode(nil, token)
	if err != nil || len(frame) < sealedFrom || frame[0] != imageVersion {
		return 0, ErrMalformed
	}
	k := c.keys.Load()
	n := nonce(frame[1:])
	plain, err := k.seal.Open(nil, n[:], frame[sealedFrom:], frame[:1])
	if err != nil || len(plain) <= digitsFrom {
		return 0, ErrForged
	}
	if subtle.ConstantTimeCompare(plain[8:digitsFrom], k.binding(shopper, listing)) != 1 {
		return 0, ErrBorrowed
	}
	if now.UnixMilli() >= int64(binary.BigEndian.Uint64(plain)) {
		return 0, ErrExpired
	}
	if err := c.try(n, plain[digitsFrom:], answer); err != nil {
		return 0, err
	}
	return k.idOf("image", n[:]), nil
}

// try compares an answer with an image's digits, and counts it if it is wrong.
// Both under one lock: however many are tried at once, no more than Tries are.
func (c *Challenges) try(n nonce, digits, answer []byte) error {
	said := make([]byte, 0, maxAnswerBytes)
	for _, b := range answer {
		if b != ' ' {
			said = append(said, b-'0')
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wrong, _ := c.tried.Get(n)
	if wrong >= c.cfg.Tries {
		return ErrSpent
	}
	if subtle.ConstantTimeCompare(said, digits) != 1 {
		c.tried.Add(n, wrong+1)
		return ErrWrong
	}
	return nil
}
