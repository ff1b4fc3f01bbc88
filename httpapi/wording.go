package httpapi

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"doorbuster/engine"
	"doorbuster/httpapi/words"
)

// phrase is a message taken apart once, so that filling it in is appending:
// JSON-escaped text, each piece followed by a placeholder or none.
type phrase []struct {
	text []byte
	then words.Blank
}

// wording is every message in words: the shop's, or those of a sale with words of
// its own. It does not change.
type wording struct {
	phrases [words.Messages][languages]phrase
	// whole are the bodies of answers that have nothing to fill in. A message that
	// is told so in one sale is told so, in one body, in all of it.
	whole [words.Messages][languages][]byte
}

// wholeAnswers are the messages that say all there is to say, with their codes.
var wholeAnswers = map[words.Message]engine.Code{
	words.SoldOut: engine.CodeSoldOut, words.Gone: engine.CodeSoldOut, words.Left: engine.CodeSoldOut, words.NotDrawn: engine.CodeSoldOut,
	words.Paused: engine.CodeNotOpen, words.Ended: engine.CodeEnded, words.Missed: engine.CodeMissed,
}

// shopWording is the shop's own. An error is a mistake in its table.
func shopWording() (*wording, error) {
	w := new(wording)
	for m := range words.Messages {
		for in := range languages {
			if err := w.say(m, in, m.Shop(in)); err != nil {
				return nil, fmt.Errorf("the shop's words for %s in %s: %w", m, in.Tag(), err)
			}
		}
	}
	return w, nil
}

// with gives the wording with a sale's own words. What will not do is left as it
// was: another build may have taken what this one can't tell.
func (w *wording) with(own []engine.Message) *wording {
	changed := *w
	for i := range own {
		m, known := words.Named(own[i].Name)
		if !known {
			continue
		}
		for _, text := range own[i].Text {
			if in, spoken := words.LanguageNamed(text.Lang); spoken {
				_ = changed.say(m, in, text.Text)
			}
		}
	}
	return &changed
}

// say has m told by text. After an error, which is words.Parse's, nothing changed.
func (w *wording) say(m words.Message, in language, text string) error {
	pieces, err := words.Parse(m, text)
	if err != nil {
		return err
	}
	p := make(phrase, len(pieces))
	for i, piece := range pieces {
		p[i].text, p[i].then = appendEscaped(nil, piece.Text), piece.Then
	}
	w.phrases[m][in] = p
	if code, whole := wholeAnswers[m]; whole {
		w.whole[m][in] = append(append(appendCode(nil, code), p[0].text...), `"}`...)
	}
	return nil
}

// append appends message m with its placeholders filled in from a, inside a JSON
// string.
func (w *wording) append(b []byte, m words.Message, in language, a *engine.Answer, now engine.Time, key []byte) []byte {
	for i := range w.phrases[m][in] {
		piece := &w.phrases[m][in][i]
		b = append(b, piece.text...)
		switch piece.then {
		case words.PayWithin:
			b = appendDuration(b, a.PayBy.Sub(now), in)
		case words.Position, words.Count:
			b = strconv.AppendUint(b, uint64(a.Count), 10)
		case words.Scope:
			b = w.append(b, scopeOf(a), in, a, now, key)
		case words.Start, words.DrawAt:
			b = appendMoment(b, a.Start)
		case words.ResultURL:
			b = appendResultURL(b, key, a.Deadline)
		}
	}
	return b
}

// scopeOf says what a limit is for.
func scopeOf(a *engine.Answer) words.Message {
	switch a.Reason {
	case engine.ReasonLimitSession:
		return words.ScopeSession
	case engine.ReasonLimitMonth:
		return words.ScopeMonth
	}
	return words.ScopeListing
}

// maxOwnWordings bounds how many sales' own words are kept taken apart, at about
// 20 KB each.
const maxOwnWordings = 256

// ownWordings are the wordings of sales, by the versions that Seller gives. They
// are read without a lock; each change makes a new map.
type ownWordings struct {
	known atomic.Pointer[map[uint64]*wording]
	mu    sync.Mutex // held by whoever adds one
}

// of gives the wording of a version, made from shop if it is not known yet.
func (o *ownWordings) of(version uint64, shop *wording, own []engine.Message) *wording {
	if known := o.known.Load(); known != nil {
		if w := (*known)[version]; w != nil {
			return w
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	next := map[uint64]*wording{}
	if known := o.known.Load(); known != nil {
		if w := (*known)[version]; w != nil {
			return w
		}
		if len(*known) < maxOwnWordings { // else anew: most may be of versions past
			maps.Copy(next, *known)
		}
	}
	w := shop.with(own)
	next[version] = w
	o.known.Store(&next)
	return w
}

// wordingOf gives the words that are spoken where a listing is sold: found by its
// name as in the request, else by its handle.
func (s *ShopperServer) wordingOf(listing []byte, h engine.ListingHandle) *wording {
	version, own := s.seller.Messages(listing, h)
	if version == 0 {
		return s.shop
	}
	return s.own.of(version, s.shop, own)
}
