package ticket

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A ticket is this frame in base64url without padding, 44 characters:
//
//	offset  0         1             9        17                 33
//	        +---------+-------------+--------+------------------+
//	        | version | expiry      | id     | signature        |
//	        | 1       | Unix ms     | not 0  | HMAC-SHA256, cut |
//	        +---------+-------------+--------+------------------+
//	bytes     1         8             8        16
//
// Numbers are big-endian. The signature is over all that stands before it, the
// shopper's length in eight bytes, the shopper, and the listing.
const (
	version     = 1
	macBytes    = 16
	signedBytes = 1 + 8 + 8
	frameBytes  = signedBytes + macBytes
)

// EncodedBytes is the length of a ticket.
const EncodedBytes = frameBytes / 3 * 4

var encoding = base64.RawURLEncoding.Strict()

// Why a ticket does not do. Shoppers are not told which it was.
var (
	// ErrMalformed: no ticket at all, or one of a version that is not known here.
	ErrMalformed = errors.New("the ticket is malformed")
	// ErrForged: not signed with the group's secret, or for another shopper or
	// listing (borrowed).
	ErrForged = errors.New("the ticket is forged, or of another shopper or listing")
	// ErrExpired: good once, but its time is over.
	ErrExpired = errors.New("the ticket has expired")

	errNewer = fmt.Errorf("%w: only version %d is known", ErrMalformed, version)
)

// Issue appends a ticket to dst. It passes for this shopper and this listing
// ("{session}/skus/{sku}") before expires, which is cut to milliseconds. id is
// what makes it one ticket and not two: the same id is the same use. 0 asks for
// a random one.
func (k *Keys) Issue(dst []byte, shopper, listing []byte, id uint64, expires time.Time) []byte {
	for id == 0 {
		id = rand.Uint64()
	}
	pool := k.signers.Load()
	s := pool.Get().(*signer)
	defer pool.Put(s)
	s.frame[0] = version
	binary.BigEndian.PutUint64(s.frame[1:], uint64(expires.UnixMilli()))
	binary.BigEndian.PutUint64(s.frame[9:], id)
	copy(s.frame[signedBytes:], s.sign(shopper, listing))
	return encoding.AppendEncode(dst, s.frame[:])
}

// Check gives the id of a ticket (never 0) that passes for this shopper and this
// listing at now, or 0 and ErrMalformed, ErrForged or ErrExpired. Nothing of the
// arguments is kept.
func (k *Keys) Check(ticket, shopper, listing []byte, now time.Time) (id uint64, err error) {
	if len(ticket) != EncodedBytes {
		return 0, ErrMalformed
	}
	pool := k.signers.Load()
	s := pool.Get().(*signer)
	defer pool.Put(s)
	// Line ends are skipped by the decoder: with any inside it is too short.
	if n, err := encoding.Decode(s.frame[:], ticket); err != nil || n != frameBytes {
		return 0, ErrMalformed
	}
	if s.frame[0] != version {
		return 0, errNewer
	}
	if subtle.ConstantTimeCompare(s.sign(shopper, listing), s.frame[signedBytes:]) != 1 {
		return 0, ErrForged
	}
	if now.UnixMilli() >= int64(binary.BigEndian.Uint64(s.frame[1:])) {
		return 0, ErrExpired
	}
	return binary.BigEndian.Uint64(s.frame[9:]), nil
}
