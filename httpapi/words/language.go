package words

import (
	"strings"

	"golang.org/x/text/language"
)

// Language is one that shoppers are spoken to in.
type Language uint8

// The languages.
const (
	English Language = iota
	Chinese
	Languages
)

var tags = [Languages]string{"en", "zh"}

// Tag is the language as products and sales name theirs.
func (l Language) Tag() string { return tags[l] }

// LanguageNamed finds a language by its tag.
func LanguageNamed(tag string) (l Language, known bool) {
	for l, t := range tags {
		if t == tag {
			return Language(l), true
		}
	}
	return 0, false
}

// MaxHeaderBytes is how much of an Accept-Language header is read: more than any
// browser sends.
const MaxHeaderBytes = 256

// LanguageOf reads an Accept-Language header: of the languages named, the one that is
// wanted most and spoken here, Chinese of any region or script; English where there is
// none. What follows MaxHeaderBytes is not looked at.
func LanguageOf(header string) Language {
	if len(header) > MaxHeaderBytes {
		header = header[:max(0, strings.LastIndexByte(header[:MaxHeaderBytes], ','))]
	}
	wanted, _, err := language.ParseAcceptLanguage(header) // the most wanted first
	if err != nil {
		return English
	}
	for _, tag := range wanted {
		base, _ := tag.Base()
		if l, spoken := LanguageNamed(base.String()); spoken {
			return l
		}
	}
	return English
}
