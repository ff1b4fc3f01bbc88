package personal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"doorbuster/httpapi/input"
)

// Receiver is where an order's goods go, in plain: lines of UTF-8 text, "" if not said.
type Receiver struct {
	Name     string // required, at most 128 bytes
	Phone    string // required, at most 64 bytes
	Country  string // ISO 3166, two capital letters
	Province string // at most 128 bytes, as City and District
	City     string
	District string
	Street   string // required, at most 512 bytes
	PostCode string // at most 32 bytes
}

// field is a part of a receiver, as messages and JSON name it.
type field struct {
	Name     string
	Most     int // bytes
	Required bool
	of       func(*Receiver) *string
}

// fields are in the order in which they are sealed.
var fields = [...]field{
	{"name", 128, true, func(r *Receiver) *string { return &r.Name }},
	{"phone", 64, true, func(r *Receiver) *string { return &r.Phone }},
	{"country", 2, false, func(r *Receiver) *string { return &r.Country }},
	{"province", 128, false, func(r *Receiver) *string { return &r.Province }},
	{"city", 128, false, func(r *Receiver) *string { return &r.City }},
	{"district", 128, false, func(r *Receiver) *string { return &r.District }},
	{"street", 512, true, func(r *Receiver) *string { return &r.Street }},
	{"post_code", 32, false, func(r *Receiver) *string { return &r.PostCode }},
}

// Check says in a sentence what is wrong with the receiver, "" if nothing is. It never
// repeats a value.
func (r *Receiver) Check() string {
	for _, f := range fields {
		switch v := *f.of(r); {
		case v == "" && f.Required:
			return fmt.Sprintf("The %s is missing: 1 to %d bytes of text.", f.Name, f.Most)
		case len(v) > f.Most:
			return fmt.Sprintf("The %s has %d bytes; it may have %d at most.", f.Name, len(v), f.Most)
		case !utf8.ValidString(v) || input.OneLine(v) != "":
			return fmt.Sprintf("The %s must be text of one line, without control characters.", f.Name)
		case f.Name == "country" && v != "" && (len(v) != 2 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
			return "The country must be two capital letters (ISO 3166), such as CN."
		}
	}
	return ""
}

func (r *Receiver) encoded() []byte {
	var b []byte
	for _, f := range fields {
		v := *f.of(r)
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	return b
}

var errFields = errors.New("a sealed receiver does not have its fields")

func decoded(b []byte) (r Receiver, err error) {
	for _, f := range fields {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return Receiver{}, errFields
		}
		*f.of(&r) = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	if len(b) > 0 {
		return Receiver{}, errFields
	}
	return r, nil
}

// Lines gives the address in one line, as people may have written it on a list: without
// country and post code, from the small to the large with commas, and from the large to
// the small without anything between, the likelier one first. None without a street.
func (r *Receiver) Lines() []string {
	if r.Street == "" {
		return nil
	}
	var small, large []string
	for _, part := range [...]string{r.Street, r.District, r.City, r.Province} {
		if part != "" {
			small = append(small, part)
			large = append([]string{part}, large...)
		}
	}
	lines := []string{strings.Join(small, ", "), strings.Join(large, "")}
	if strings.ContainsFunc(r.Street, func(c rune) bool { return unicode.In(c, unicode.Han, unicode.Hangul) }) {
		lines[0], lines[1] = lines[1], lines[0]
	}
	if lines[0] == lines[1] {
		lines = lines[:1]
	}
	return lines
}

// Mask gives what may be seen by who may not see it in plain: enough to tell two apart
// over the phone, not enough to find anybody.
func Mask(r Receiver) Receiver {
	r.Name, r.Phone = maskFrom(r.Name, 1), MaskPhone(r.Phone)
	r.District, r.Street, r.PostCode = maskFrom(r.District, 0), maskFrom(r.Street, 0), maskFrom(r.PostCode, 0)
	return r
}

const masked = "***"

// maskFrom leaves a text's first letters, if it has more than these.
func maskFrom(s string, letters int) string {
	if s == "" {
		return ""
	}
	for i := range s {
		if letters == 0 {
			return s[:i] + masked
		}
		letters--
	}
	return masked
}

// MaskPhone leaves the last four digits of a number that is long enough for others to
// have the same.
func MaskPhone(phone string) string {
	const shown, enough = 4, 10
	if phone == "" {
		return ""
	}
	if utf8.RuneCountInString(phone) < enough {
		return masked
	}
	from := len(phone)
	for range shown {
		_, size := utf8.DecodeLastRuneInString(phone[:from])
		from -= size
	}
	return masked + phone[from:]
}

// MaskAddress hides an address whole: of a line nobody knows which part is which.
func MaskAddress(address string) string { return maskFrom(address, 0) }
