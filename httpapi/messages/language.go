package messages

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

// matcher finds the language that is nearest to a tag: English, or one of the rest, all
// of whose speakers read Chinese.
var matcher = language.NewMatcher([]language.Tag{language.English, language.Chinese, language.Make("yue"),
	language.Make("wuu"), language.Make("hak"), language.Make("nan"), language.Make("gan"), language.Make("hsn")})

// LanguageOf reads an Accept-Language header: of the languages named, the one that is
// wanted most and spoken here, Chinese of any name, region or script; where there is
// none the first that was not refused (q=0), English before Chinese. An entry that is
// malformed, and what follows MaxHeaderBytes, is not looked at.
func LanguageOf(header string) Language {
	if len(header) > MaxHeaderBytes {
		header = header[:max(0, strings.LastIndexByte(header[:MaxHeaderBytes], ','))]
	}
	var refused [Languages]bool
	wanted, most := Languages, float32(0)
	for entry := range strings.SplitSeq(strings.ToLower(header), ",") {
		name, parameters, _ := strings.Cut(entry, ";")
		name, quality := strings.TrimSpace(name), ""
		for p := range strings.SplitSeq(parameters, ";") {
			if p = strings.TrimSpace(p); strings.HasPrefix(p, "q") {
				quality = ";" + p
			}
		}
		tags, weights, err := language.ParseAcceptLanguage(name + quality)
		if err != nil || name == "" || name == "*" {
			continue
		}
		_, spoken, how := matcher.Match(language.Make(name))
		switch l := min(Language(spoken), Chinese); {
		case how == language.No:
		case len(tags) == 0:
			refused[l] = true
		case weights[0] > most:
			wanted, most = l, weights[0]
		}
	}
	switch {
	case wanted != Languages:
		return wanted
	case refused[English] && !refused[Chinese]:
		return Chinese
	}
	return English
}
