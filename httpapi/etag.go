package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// hasTag reports whether whoever asks has what tag is the tag of: If-None-Match
// lists it, in one header or several, or is "*". Compared weakly (RFC 9110,
// 13.1.2): W/ makes no difference.
func hasTag(h *fasthttp.RequestHeader, tag []byte) bool {
	if len(h.PeekCanonical(headerNoneMatch)) == 0 {
		return false
	}
	for _, list := range h.PeekAll(string(headerNoneMatch)) {
		if listsTag(list, bytes.TrimPrefix(tag, weakly)) {
			return true
		}
	}
	return false
}

var weakly = []byte("W/")

// listsTag looks for tag, in its quotes, in a list. A list that is malformed ends
// where that begins.
func listsTag(list, tag []byte) bool {
	if string(bytes.TrimSpace(list)) == "*" {
		return true
	}
	for {
		list = bytes.TrimLeft(list, " \t,")
		list = bytes.TrimPrefix(list, weakly)
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if end += 2; bytes.Equal(list[:end], tag) {
			return true
		}
		list = list[end:]
	}
}
