package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fastjson"

	"doorbuster/engine"
)

// A crowd comes with a token each, all by one issuer: their headers are the same
// to the byte, and their claims plain. For such a token of HS256 the library's
// header, reflection and garbage cost more than its HMAC. So a header that the
// library has read once is known again by its bytes; the HMAC is the library's,
// and so are the rules that the claims must meet. Whatever is in any way unusual
// takes the long way.

// quickRoom is the scratch of one verification.
type quickRoom struct {
	parser fastjson.Parser
	plain  [maxTokenBytes]byte
	sig    [64]byte
}

var quickRooms = sync.Pool{New: func() any { return new(quickRoom) }}

// quickly verifies an ordinary token of HS256. sure is false if it is none, or
// does not pass: then the long way decides.
func (c *tokenChecker) quickly(keys *keyring, token []byte) (b *bearer, sure bool) {
	known := keys.header.Load()
	if known == nil || !bytes.HasPrefix(token, *known) {
		return nil, false
	}
	body := token[len(*known):]
	dot := bytes.IndexByte(body, '.')
	if dot < 0 || base64.RawURLEncoding.DecodedLen(len(body)-dot-1) != 32 {
		return nil, false
	}
	room := quickRooms.Get().(*quickRoom)
	defer quickRooms.Put(room)
	if _, err := base64.RawURLEncoding.Decode(room.sig[:], body[dot+1:]); err != nil {
		return nil, false
	}
	signed := string(token[:len(*known)+dot])
	passed := false
	for _, key := range keys.secrets.Keys {
		passed = passed || jwt.SigningMethodHS256.Verify(signed, room.sig[:32], key) == nil
	}
	if !passed {
		return nil, false
	}
	n, err := base64.RawURLEncoding.Decode(room.plain[:], body[:dot])
	if err != nil {
		return nil, false
	}
	if plain := room.plain[:n]; bytes.IndexByte(plain, '\\') >= 0 || !utf8.Valid(plain) || !json.Valid(plain) {
		return nil, false // the two readers of JSON differ in what they let pass
	}
	v, err := room.parser.ParseBytes(room.plain[:n])
	if err != nil {
		return nil, false
	}
	said, plain := plainClaims(v)
	if !plain || keys.validator.Validate(said) != nil || !engine.ValidShopper(said.Subject) {
		return nil, false
	}
	return &bearer{subject: []byte(said.Subject), role: said.Role, phone: said.Phone, address: said.Address.Formatted, expires: said.ExpiresAt.Unix()}, true
}

// plainClaims reads claims that are each of its one plain kind, and there once.
func plainClaims(v *fastjson.Value) (said *claims, plain bool) {
	o, err := v.Object()
	if err != nil {
		return nil, false
	}
	said, plain = new(claims), true
	seen := 0
	text := func(v *fastjson.Value, into *string) {
		b, err := v.StringBytes()
		plain = plain && err == nil
		*into = string(b)
	}
	date := func(v *fastjson.Value, into **jwt.NumericDate) {
		at, err := v.Int64()
		plain = plain && err == nil && at > 0 && at < 1<<40
		*into = jwt.NewNumericDate(time.Unix(at, 0))
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		bit := 0
		switch string(key) {
		case "sub":
			bit = 1
			text(v, &said.Subject)
		case "aud":
			bit = 2
			said.Audience = jwt.ClaimStrings{""}
			switch v.Type() {
			case fastjson.TypeString:
				text(v, &said.Audience[0])
			case fastjson.TypeArray:
				if all := v.GetArray(); len(all) == 1 {
					text(all[0], &said.Audience[0])
					break
				}
				plain = false
			default:
				plain = false
			}
		case "exp":
			bit = 4
			date(v, &said.ExpiresAt)
		case "nbf":
			bit = 8
			date(v, &said.NotBefore)
		case "iat":
			bit = 16
			date(v, &said.IssuedAt)
		case "iss":
			bit = 32
			text(v, &said.Issuer)
		case "jti":
			bit = 64
			text(v, &said.ID)
		default: // of another name, also one that differs in case alone: the long way knows
			plain = false
		}
		plain = plain && seen&bit == 0
		seen |= bit
	})
	return said, plain
}

// noteHeader remembers the header of a token that the library let pass, if it is
// of HS256.
func (r *keyring) noteHeader(t *jwt.Token, token []byte) {
	if dot := bytes.IndexByte(token, '.'); dot > 0 && dot < 200 && t.Method == jwt.SigningMethodHS256 && r.header.Load() == nil {
		header := bytes.Clone(token[:dot+1])
		r.header.Store(&header)
	}
}
