package challenge

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"time"

	altcha "github.com/altcha-org/altcha-lib-go"

	"doorbuster/httpapi/input"
)

// Work is a challenge to find the number that, written behind the salt, hashes
// to the challenge. It is the JSON that ALTCHA's widget reads; the widget's
// versions differ in how they spell the bound, so it is in both.
type Work struct {
	Algorithm      string `json:"algorithm"`
	Challenge      string `json:"challenge"`
	MaxNumber      int64  `json:"maxnumber"`
	MaxNumberCamel int64  `json:"maxNumber"`
	Salt           string `json:"salt"`
	Signature      string `json:"signature"`
}

// A salt is text, so that the widget can read when it expires:
//
//	{nonce}?expires={Unix seconds}&for={binding}&
//
// nonce and binding are 16 bytes each in lower-case hexadecimal. The ampersand
// at the end keeps digits of the number from passing for digits of the salt. The
// signature is over the challenge, which is a hash over salt and number.
const (
	workNonceBytes = 16
	forParam       = "for"
	expiresParam   = "expires"
)

// MakeWork makes a challenge for a shopper and a listing ("{session}/skus/{sku}").
func (c *Challenges) MakeWork(shopper, listing []byte, now time.Time) (Work, error) {
	k := c.keys.Load()
	var nonce [workNonceBytes]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	expires := now.Add(c.cfg.Lifetime)
	made, err := altcha.CreateChallenge(altcha.ChallengeOptions{
		Algorithm: altcha.SHA256, MaxNumber: c.maxNumber.Load(), HMACKey: k.work, Salt: hex.EncodeToString(nonce[:]),
		Expires: &expires, Params: url.Values{forParam: {hex.EncodeToString(k.binding(shopper, listing))}},
	})
	if err != nil {
		return Work{}, fmt.Errorf("make a challenge: %w", err)
	}
	return Work{Algorithm: made.Algorithm, Challenge: made.Challenge, MaxNumber: made.MaxNumber,
		MaxNumberCamel: made.MaxNumber, Salt: made.Salt, Signature: made.Signature}, nil
}

// CheckWork gives the id (never 0) of the challenge that solution solves, the
// base64 text that ALTCHA's widget makes, or 0 and ErrMalformed, ErrForged,
// ErrWrong, ErrBorrowed or ErrExpired. The same challenge has the same id on
// every node.
func (c *Challenges) CheckWork(solution, shopper, listing []byte, now time.Time) (id uint64, err error) {
	payload, salt, err := parseWork(solution)
	if err != nil {
		return 0, err
	}
	k := c.keys.Load()
	solved, err := altcha.VerifySolutionSafe(payload, k.work, false) // the expiry is looked at below, at now
	if err != nil {
		return 0, ErrMalformed
	}
	if !solved {
		signature, err := hex.DecodeString(payload.Signature)
		if err != nil || !hmac.Equal(signature, sum([]byte(k.work), []byte(payload.Challenge))) {
			return 0, ErrForged
		}
		return 0, ErrWrong // ours, but not with this number and salt
	}
	if !hmac.Equal(salt.binding, k.binding(shopper, listing)) {
		return 0, ErrBorrowed
	}
	if now.Unix() >= salt.expires {
		return 0, ErrExpired
	}
	return k.idOf("work", salt.nonce), nil
}

// workSalt is what a salt says.
type workSalt struct {
	nonce, binding []byte
	expires        int64 // Unix seconds
}

func parseWork(solution []byte) (altcha.Payload, workSalt, error) {
	var payload altcha.Payload
	if len(solution) > maxInputBytes {
		return payload, workSalt{}, ErrMalformed
	}
	text, err := base64.StdEncoding.AppendDecode(nil, solution)
	if err != nil || input.Object(text, &payload, false) != "" || payload.Algorithm != string(altcha.SHA256) {
		return altcha.Payload{}, workSalt{}, ErrMalformed
	}
	salt, ok := parseSalt([]byte(payload.Salt))
	if !ok {
		return altcha.Payload{}, workSalt{}, ErrMalformed
	}
	return payload, salt, nil
}

// parseSalt reads a salt as MakeWork writes it, and no other.
func parseSalt(text []byte) (s workSalt, ok bool) {
	nonce, rest, _ := bytes.Cut(text, []byte("?"+expiresParam+"="))
	expires, rest, _ := bytes.Cut(rest, []byte("&"+forParam+"="))
	binding, rest, closed := bytes.Cut(rest, []byte("&"))
	if len(nonce) != 2*workNonceBytes || len(binding) != 2*bindingBytes || !closed || len(rest) > 0 {
		return s, false
	}
	var err [3]error
	s.nonce, err[0] = hex.AppendDecode(nil, nonce)
	s.expires, err[1] = strconv.ParseInt(string(expires), 10, 64)
	s.binding, err[2] = hex.AppendDecode(nil, binding)
	return s, err == [3]error{}
}
