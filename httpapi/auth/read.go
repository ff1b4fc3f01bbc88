package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
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

// scratch is the scratch of one verification.
type scratch struct {
	parser     fastjson.Parser
	plain, sig []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encoding is the one encoding of each part of a token.
var encoding = base64.RawURLEncoding.Strict()

// verify reads a token and checks it at now, or gives a Fault.
func (r *keyring) verify(token []byte, audience Audience, now int64) (*Bearer, error) {
	head, body := bytes.IndexByte(token, '.'), bytes.LastIndexByte(token, '.')
	if head < 1 || body <= head {
		return nil, faultMalformed
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	method, err := r.methodOf(token[:head], s)
	if err != nil {
		return nil, err
	}
	if s.sig, err = encoding.AppendDecode(s.sig[:0], token[body+1:]); err != nil {
		return nil, faultMalformed
	}
	// A key serves for its own algorithm only: a public one is never a secret.
	at := slices.IndexFunc(r.keys, func(k *key) bool { return k.method == method && k.signed(token[:body], s) })
	if at < 0 {
		return nil, faultSignature
	}
	if r.header.Load() == nil && head <= 200 {
		r.header.Store(&knownHeader{bytes.Clone(token[:head]), method})
	}
	if s.plain, err = encoding.AppendDecode(s.plain[:0], token[head+1:body]); err != nil {
		return nil, faultMalformed
	}
	b, err := s.bearerOf(audience, r.issuer, now)
	if err != nil {
		return nil, err
	}
	b.key = r.keys[at]
	return b, nil
}

// methodOf reads the header of a token.
func (r *keyring) methodOf(header []byte, s *scratch) (jwt.SigningMethod, error) {
	if known := r.header.Load(); known != nil && bytes.Equal(header, known.text) {
		return known.method, nil
	}
	var err error
	if s.plain, err = encoding.AppendDecode(s.plain[:0], header); err != nil {
		return nil, faultMalformed
	}
	var alg, crit *fastjson.Value
	if !s.members([]member{{"alg", &alg}, {"crit", &crit}}) {
		return nil, faultMalformed
	}
	if crit != nil { // what must be understood, none of which is
		return nil, faultCritical
	}
	name, _ := textOf(alg)
	for _, k := range r.keys {
		if k.method.Alg() == name {
			return k.method, nil
		}
	}
	return nil, faultAlgorithm
}

// bearerOf reads the claims of a token, which lie in the scratch, and holds them to what
// they must be. A claim that is not needed, or of another name, also one that differs
// in case alone, may be anything.
func (s *scratch) bearerOf(audience Audience, issuer string, now int64) (*Bearer, error) {
	var sub, aud, exp, nbf, iss, role, supplier, phone, address *fastjson.Value
	if !s.members([]member{{"sub", &sub}, {"aud", &aud}, {"exp", &exp}, {"nbf", &nbf}, {"iss", &iss}, {"role", &role},
		{"supplier", &supplier},
		// As OpenID Connect calls them; risk lists know shoppers by them.
		{"phone_number", &phone}, {"address", &address}}) {
		return nil, faultMalformed
	}
	b := &Bearer{}
	var ok bool
	if b.expires, ok = secondsOf(exp); !ok || now >= b.expires {
		return nil, faultExpired
	}
	if given(nbf) {
		if from, ok := secondsOf(nbf); !ok || now+leeway < from {
			return nil, faultEarly
		}
	}
	if !names(aud, string(audience)) {
		return nil, faultAudience
	}
	if by, _ := textOf(iss); issuer != "" && by != issuer {
		return nil, faultIssuer
	}
	id, _ := idOf(sub)
	if !engine.ValidShopper(id) {
		return nil, faultSubject
	}
	b.Subject = []byte(id)
	if audience == Operators {
		of, _ := textOf(role)
		if b.Role = Role(of); !b.Role.valid() {
			return nil, faultRole
		}
		if b.Role == Supplier {
			if b.Supplier, _ = textOf(supplier); !engine.ValidID(b.Supplier) {
				return nil, faultSupplier
			}
		} else if given(supplier) {
			return nil, faultSupplier
		}
		return b, nil
	}
	b.Phone, _ = idOf(phone)
	if b.Address, ok = textOf(address); !ok && given(address) {
		b.Address, _ = textOf(address.Get("formatted"))
	}
	return b, nil
}

// member is where a member of an object is to be put.
type member struct {
	name string
	at   **fastjson.Value
}

// members puts the wanted members of the one object in the scratch where they are to
// be. false: it is none, or one of them is there twice.
func (s *scratch) members(wanted []member) bool {
	if !utf8.Valid(s.plain) || !json.Valid(s.plain) { // fastjson lets more pass
		return false
	}
	v, err := s.parser.ParseBytes(s.plain)
	if err != nil {
		return false
	}
	o, err := v.Object()
	if err != nil {
		return false
	}
	once := true
	o.Visit(func(name []byte, v *fastjson.Value) {
		for _, m := range wanted {
			if m.name == string(name) {
				once = once && *m.at == nil
				*m.at = v
			}
		}
	})
	return once
}

// given reports whether a member is there and says something.
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

// names reports whether v is a name, or a list with it.
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
