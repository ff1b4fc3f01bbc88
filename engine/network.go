package engine

import (
	"fmt"
	"strings"
)

// silences are the ways in which a network, and what speaks through it, say at the end
// of an error that another machine did not answer. Words that end in a blank go on with
// where.
var silences = [...]struct{ said, words string }{
	{"connection refused", "nothing listens at "},
	{"no such host", "there is no address for "},
	{"no route to host", "no network leads to "}, {"network is unreachable", "no network leads to "},
	{"context deadline exceeded", "no answer in time"}, {"i/o timeout", "no answer in time"},
	{"awaiting headers)", "no answer in time"}, {"within timeout", "no answer in time"},
	{"connection reset by peer", "the connection broke off"}, {"broken pipe", "the connection broke off"},
	{"EOF", "the connection broke off"}, {"context canceled", "the connection was given up"},
	{"too many open files", "too many open files"},
}

// PlainNetworkError says in plain words why another machine did not answer, as alarms have
// it; an error of another kind in its own.
func PlainNetworkError(err error) string {
	text, _, _ := strings.Cut(err.Error(), ", received prior goaway")
	for _, wrapping := range [...]string{"desc = ", "Error while dialing: "} {
		if i := strings.LastIndex(text, wrapping); i >= 0 {
			text = text[i+len(wrapping):]
		}
	}
	text = strings.Trim(text, `"\`)
	for _, s := range silences {
		if !strings.HasSuffix(text, s.said) {
			continue
		}
		if !strings.HasSuffix(s.words, " ") {
			return s.words
		}
		where := "its address"
		for _, before := range [...]string{"dial tcp ", "lookup "} {
			if _, after, named := strings.Cut(text, before); named {
				where, _, _ = strings.Cut(after, ": ")
				where, _, _ = strings.Cut(where, " on ") // the name server
			}
		}
		return s.words + where
	}
	return text
}

// Counted is a number of things, in words of English: 1 payment, 2 payments.
func Counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
