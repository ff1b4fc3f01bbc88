package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fastjson"

	"doorbuster/engine"
)

// Tokens are read here, and only their signatures checked by the library: it takes a
// claim by a name that differs in case, knows nothing of crit, and refuses a token for
// a claim that nobody needs. A crowd comes with a token each, and its reflection and
// garbage would cost more than an HMAC; all tokens of one issuer have the same header,
// which is known again by its bytes.

// knownHeader is the header of tokens that passed, and what it says.
type knownHeader struct {
	text   []byte
	method jwt.SigningMethod
}

// tokenRoom is the scratch of one verification.
type tokenRoom struct {
	parser     fastjson.Parser
	plain, sig []byte
}

var tokenRooms = sync.Pool{New: func() any { return new(tokenRoom) }}

// tokenText is the one encoding of each part of a token.
var tokenText = base64.RawURLEncoding.Strict()

// verify reads a token and checks it at now, or gives a tokenFault.
func (r *keyring) verify(token []byte, kind TokenKind, now int64) (*bearer, error) {
	head, body := bytes.IndexByte(token, '.'), bytes.LastIndexByte(token, '.')
	if head < 1 || body <= head {
		return nil, tokenMalformed
	}
	room := tokenRooms.Get().(*tokenRoom)
	defer tokenRooms.Put(room)
	method, err := r.methodOf(token[:head], room)
	if err != nil {
		return nil, err
	}
	if room.sig, err = tokenText.AppendDecode(room.sig[:0], token[body+1:]); err != nil {
		return nil, tokenMalformed
	}
	// A key serves for its own algorithm only: a public one is never a secret.
	signed, key := string(token[:body]), (*tokenKey)(nil)
	for _, k := range r.keys {
		if key == nil && k.method == method && method.Verify(signed, room.sig, k.check) == nil {
			key = k
		}
	}
	if key == nil {
		return nil, tokenSignature
	}
	if r.header.Load() == nil && head <= 200 {
		r.header.Store(&knownHeader{bytes.Clone(token[:head]), method})
	}
	if room.plain, err = tokenText.AppendDecode(room.plain[:0], token[head+1:body]); err != nil {
		return nil, tokenMalformed
	}
	b, err := room.bearerOf(kind, r.issuer, now)
	if err != nil {
		return nil, err
	}
	b.key = key
	return b, nil
}

// methodOf reads the header of a token.
func (r *keyring) methodOf(header []byte, room *tokenRoom) (jwt.SigningMethod, error) {
	if known := r.header.Load(); known != nil && bytes.Equal(header, known.text) {
		return known.method, nil
	}
	var err error
	if room.plain, err = tokenText.AppendDecode(room.plain[:0], header); err != nil {
		return nil, tokenMalformed
	}
	var alg, crit *fastjson.Value
	if !room.members(func(name []byte) **fastjson.Value {
		switch string(name) {
		case "alg":
			return &alg
		case "crit":
			return &crit
		}
		return nil
	}) {
		return nil, tokenMalformed
	}
	if crit != nil { // what must be understood, none of which is
		return nil, tokenCritical
	}
	name, _ := textOf(alg)
	for _, k := range r.keys {
		if k.method.Alg() == name {
			return k.method, nil
		}
	}
	return nil, tokenAlgorithm
}

// bearerOf reads the claims of a token, which lie in the room, and holds them to what
// they must be. A claim that is not needed, or of another name, also one that differs
// in case alone, may be anything.
func (room *tokenRoom) bearerOf(kind TokenKind, issuer string, now int64) (*bearer, error) {
	var sub, aud, exp, nbf, iss, role, phone, address *fastjson.Value
	if !room.members(func(name []byte) **fastjson.Value {
		switch string(name) {
		case "sub":
			return &sub
		case "aud":
			return &aud
		case "exp":
			return &exp
		case "nbf":
			return &nbf
		case "iss":
			return &iss
		case "role":
			return &role
		case "phone_number": // as OpenID Connect calls it; risk lists know shoppers by it
			return &phone
		case "address":
			return &address
		}
		return nil
	}) {
		return nil, tokenMalformed
	}
	b := &bearer{}
	var ok bool
	if b.expires, ok = secondsOf(exp); !ok || now >= b.expires {
		return nil, tokenExpired
	}
	if given(nbf) {
		if from, ok := secondsOf(nbf); !ok || now+tokenLeeway < from {
			return nil, tokenEarly
		}
	}
	if !names(aud, string(kind)) {
		return nil, tokenAudience
	}
	if by, _ := textOf(iss); issuer != "" && by != issuer {
		return nil, tokenIssuer
	}
	id, _ := idOf(sub)
	if !engine.ValidShopper(id) {
		return nil, tokenSubject
	}
	b.subject = []byte(id)
	if kind == OpsToken {
		of, _ := textOf(role)
		if b.role = Role(of); b.role.rank() == 0 {
			return nil, tokenRole
		}
		return b, nil
	}
	b.phone, _ = idOf(phone)
	if b.address, ok = textOf(address); !ok && given(address) {
		b.address, _ = textOf(address.Get("formatted"))
	}
	return b, nil
}

// members puts the members of the one object in the room where place has them, nil
// being nowhere. false: it is none, or one of them is there twice.
func (room *tokenRoom) members(place func(name []byte) **fastjson.Value) bool {
	if !utf8.Valid(room.plain) || !json.Valid(room.plain) { // fastjson lets more pass
		return false
	}
	v, err := room.parser.ParseBytes(room.plain)
	if err != nil {
		return false
	}
	o, err := v.Object()
	if err != nil {
		return false
	}
	once := true
	o.Visit(func(name []byte, v *fastjson.Value) {
		if at := place(name); at != nil {
			once = once && *at == nil
			*at = v
		}
	})
	return once
}

// given tells whether a member is there and says something.
func given(v *fastjson.Value) bool { return v != nil && v.Type() != fastjson.TypeNull }

// halfPair is an escape that fastjson leaves as it is: half a character.
var halfPair = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// textOf gives a string.
func textOf(v *fastjson.Value) (text string, ok bool) {
	if !given(v) {
		return "", false
	}
	b, err := v.StringBytes()
	if err != nil || bytes.IndexByte(b, '\\') >= 0 && halfPair.Match(b) {
		return "", false
	}
	return string(b), true
}

// idOf gives a string, or the digits of a whole number.
func idOf(v *fastjson.Value) (text string, ok bool) {
	if !given(v) || v.Type() != fastjson.TypeNumber {
		return textOf(v)
	}
	digits := v.MarshalTo(nil)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return string(digits), true
}

// secondsOf gives a moment, in whole Unix seconds.
func secondsOf(v *fastjson.Value) (at int64, ok bool) {
	if v == nil {
		return 0, false
	}
	if at, err := v.Int64(); err == nil {
		return at, at >= 0 && at < 1<<40
	}
	if v.Type() != fastjson.TypeNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.MarshalTo(nil)), 64) // fastjson's is a little off
	return int64(f), err == nil && f >= 0 && f < 1<<40
}

// names tells whether v is a name, or a list with it.
func names(v *fastjson.Value, name string) bool {
	if v == nil || v.Type() != fastjson.TypeArray {
		text, ok := textOf(v)
		return ok && text == name
	}
	for _, one := range v.GetArray() {
		if text, ok := textOf(one); ok && text == name {
			return true
		}
	}
	return false
}
