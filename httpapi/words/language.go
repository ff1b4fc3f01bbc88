package words

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

// LanguageOf reads an Accept-Language header: the first language named decides,
// Chinese of any region for "zh", English for everything else.
func LanguageOf(header []byte) Language {
	for len(header) > 0 && header[0] == ' ' {
		header = header[1:]
	}
	if len(header) >= 2 && header[0]|0x20 == 'z' && header[1]|0x20 == 'h' &&
		(len(header) == 2 || header[2] == '-' || header[2] == ',' || header[2] == ';' || header[2] == ' ') {
		return Chinese
	}
	return English
}
