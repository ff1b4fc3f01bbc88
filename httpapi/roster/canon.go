package roster

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"doorbuster/engine"
	"doorbuster/httpapi/input"
)

// Canon brings what people write into the one form in which it is compared, on both
// sides: what operators put on lists, and what shoppers' tokens say of them. The zero
// value knows no home country. Safe for concurrent use.
type Canon struct{ home string }

// NewCanon makes a Canon. home is the country (ISO 3166, such as CN) whose phone
// numbers may be written without their country code; "" is none.
func NewCanon(home string) (Canon, error) {
	if home != "" && !phonenumbers.GetSupportedRegions()[home] {
		return Canon{}, fmt.Errorf("%q is no country; give two capital letters, such as CN or US", home)
	}
	return Canon{home}, nil
}

// most bounds what is looked at: no number or address that a list may have is written
// with more.
const most = 4 * engine.MaxShopperBytes

// maxPrefixes bounds the trunk prefixes before a number, which has up to 15 digits.
const maxPrefixes = 16

// Phone gives a phone number as E.164 writes it, without its extension. ok is false
// for what is none, and for a number without a country code where there is no home.
func (c Canon) Phone(text string) (phone engine.Canonical, ok bool) {
	defer func() {
		if recover() != nil { // the library has panicked at odd input before
			phone, ok = "", false
		}
	}()
	if len(text) > most || !utf8.ValidString(text) {
		return "", false
	}
	text = strings.TrimSpace(strings.ToLower(strings.Map(plainDigit, norm.NFKC.String(text))))
	if whole, cut := strings.CutSuffix(text, ".0"); cut && !strings.Contains(whole, ".") {
		text = whole // as a spreadsheet writes a number: the zero is no digit of it
	}
	parts := phoneURI.FindStringSubmatch(text)
	if parts == nil {
		return "", false
	}
	text = strings.TrimRight(parts[1], " ,#;.")
	digits := text
	if end := strings.IndexAny(text, "xe"); end > 0 { // an extension
		digits = text[:end]
	}
	if strings.ContainsFunc(digits, func(c rune) bool { return c == ';' || unicode.IsLetter(c) || input.Steers(c) }) {
		return "", false // the library would find a number in it somehow
	}
	if at := strings.Index(parts[2], ";phone-context="); at >= 0 { // what a short number belongs to
		text = "tel:" + text + parts[2][at:]
	}
	for before, tries := "", 0; text != before; tries++ { // Parse takes off one trunk prefix, and there may be more
		number, err := phonenumbers.Parse(text, c.home)
		if err != nil || tries > maxPrefixes {
			return "", false
		}
		before, text = text, phonenumbers.Format(number, phonenumbers.E164)
	}
	return engine.Canonical(text), engine.ValidRosterRow(engine.RosterRiskPhone, text, engine.LevelNone) == ""
}

// phoneURI takes a number, alone or in a link (RFC 3966, RFC 5724), apart from the
// parameters behind it.
var phoneURI = regexp.MustCompile(`^(?:(?:tel|callto|sms|smsto|mms|mmsto):)?(.*?)((?:;[a-z-]+=[^;?]*)*)(?:\?.*)?$`)

// plainDigit gives the digits of all scripts as ASCII has them, and drops what does not
// show. Unicode has the digits of a script side by side, from its zero on.
func plainDigit(r rune) rune {
	if r < 0x80 || !unicode.IsDigit(r) {
		return unseen(r)
	}
	zero := r
	for unicode.IsDigit(zero - 1) {
		zero--
	}
	return '0' + (r-zero)%10
}

// Address gives a postal address without what does not show or means nothing: one
// line of Unicode's NFKC, folded in case, with single spaces. ok is false for one
// that is empty, or too long for a list.
func (c Canon) Address(text string) (address engine.Canonical, ok bool) {
	if len(text) > most {
		return "", false
	}
	text = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(text)))
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return unseen(r)
	}, text)
	// A mark that something unseen kept from its letter stands behind it now.
	text = norm.NFKC.String(strings.Join(strings.Fields(text), " "))
	return engine.Canonical(text), engine.ValidRosterRow(engine.RosterRiskAddress, text, engine.LevelNone) == ""
}

// unseen drops what does not show, as text that is pasted has it: controls, marks of
// direction, and what Unicode has readers ignore (UAX #44, Default_Ignorable_Code_Point).
func unseen(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return -1
	}
	return r
}

// Of gives an id in the form in which a list of a kind has it. What it can't put
// right it leaves for engine.ValidRosterRow to refuse.
func (c Canon) Of(kind engine.RosterKind, id string) string {
	id = strings.TrimSpace(id)
	switch kind {
	case engine.RosterRiskPhone:
		if phone, ok := c.Phone(id); ok {
			return string(phone)
		}
	case engine.RosterRiskAddress:
		if address, ok := c.Address(id); ok {
			return string(address)
		}
	case engine.RosterRiskIP:
		if _, err := netip.ParseAddr(id); err == nil {
			if prefix := engine.CanonicalPrefix(id); prefix != "" {
				return prefix
			}
		}
		if p, err := netip.ParsePrefix(id); err == nil && p == p.Masked() {
			return engine.CanonicalPrefix(id)
		}
	}
	return id
}
