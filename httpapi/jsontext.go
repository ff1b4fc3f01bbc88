package httpapi

import (
	"unicode/utf8"

	"doorbuster/engine"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, so that the result is always valid JSON.
func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends what goes between the quotes of a JSON string.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			size := runeBytes(s[i:])
			if size == 0 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				i++
				from = i
				continue
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(dst, s[from:]...)
}

// runeBytes is the length of the UTF-8 sequence that s begins with, 0 if it is none.
func runeBytes[T string | []byte](s T) int {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	r, size := utf8.DecodeRune(b[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

// timeLayout is RFC 3339 with milliseconds where there are any.
const timeLayout = "2006-01-02T15:04:05.999Z07:00"

// appendTime appends t as a JSON string, in UTC.
func appendTime(dst []byte, t engine.Time) []byte {
	w := t.Wall()
	year, month, day := w.Date()
	if year < 0 || year > 9999 {
		return append(w.AppendFormat(append(dst, '"'), timeLayout), '"')
	}
	hour, minute, second := w.Clock()
	dst = append(dst, '"')
	dst = appendDigits(dst, year, 4, '-')
	dst = appendDigits(dst, int(month), 2, '-')
	dst = appendDigits(dst, day, 2, 'T')
	dst = appendDigits(dst, hour, 2, ':')
	dst = appendDigits(dst, minute, 2, ':')
	ms := w.Nanosecond() / 1e6
	if ms == 0 {
		return append(appendDigits(dst, second, 2, 'Z'), '"')
	}
	dst = appendDigits(dst, second, 2, '.')
	places := 3
	for ; ms%10 == 0; places-- {
		ms /= 10
	}
	return append(appendDigits(dst, ms, places, 'Z'), '"')
}

// appendDigits appends n in so many digits, and what follows it. A time's layout
// read anew for each grab would cost more than its digits.
func appendDigits(dst []byte, n, digits int, then byte) []byte {
	dst = append(dst, "0000"[:digits]...)
	for i := len(dst) - 1; digits > 0; i, digits, n = i-1, digits-1, n/10 {
		dst[i] = byte('0' + n%10)
	}
	return append(dst, then)
}

// rfc3339 is t as the operations API writes it.
func rfc3339(t engine.Time) string { return t.Wall().Format(timeLayout) }
