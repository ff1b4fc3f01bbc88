package httpapi

import (
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// phrase is a message taken apart once, so that filling it in is appending:
// JSON-escaped text, each piece followed by a placeholder or none.
type phrase []struct {
	text []byte
	then messages.Blank
}

// wording is every message in words: the shop's, or those of a sale with words of
// its own. It does not change.
type wording struct {
	phrases [messages.Messages][languages]phrase
	// whole are the bodies of answers that have nothing to fill in. A message that
	// is told so in one sale is told so, in one body, in all of it.
	whole [messages.Messages][languages][]byte
}

// wholeAnswers are the messages that say all there is to say, with their codes.
var wholeAnswers = map[messages.Message]engine.Code{
	messages.SoldOut: engine.CodeSoldOut, messages.Gone: engine.CodeSoldOut, messages.Left: engine.CodeSoldOut,
	messages.NotDrawn: engine.CodeSoldOut,
	messages.Paused:   engine.CodeNotOpen, messages.Ended: engine.CodeEnded, messages.Missed: engine.CodeMissed,
	messages.BargainOver: engine.CodeEnded,
}

// shopWording is the shop's own. An error is a mistake in its table.
func shopWording() (*wording, error) {
	w := new(wording)
	for m := range messages.Messages {
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
		m, known := messages.Named(own[i].Name)
		if !known {
			continue
		}
		for _, text := range own[i].Text {
			if in, spoken := messages.LanguageNamed(text.Lang); spoken {
				_ = changed.say(m, in, text.Text)
			}
		}
	}
	return &changed
}

// say has m told by text. After an error, which is messages.Parse's, nothing changed.
func (w *wording) say(m messages.Message, in language, text string) error {
	pieces, err := messages.Parse(m, text)
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

// telling is what fills in a message's placeholders.
type telling struct {
	answer *engine.Answer
	now    engine.Time
	zone   *time.Location
	key    []byte // the grab's
	// currency of answer.Amount, where a message has that.
	currency string
}

// append appends message m with its placeholders filled in, inside a JSON string.
func (w *wording) append(b []byte, m messages.Message, in language, t telling) []byte {
	a := t.answer
	for i := range w.phrases[m][in] {
		piece := &w.phrases[m][in][i]
		b = append(b, piece.text...)
		switch piece.then {
		case messages.PayWithin:
			b = appendDuration(b, a.PayBy.Sub(t.now), in)
		case messages.Position, messages.Count:
			b = strconv.AppendUint(b, uint64(a.Count), 10)
		case messages.Scope:
			b = w.append(b, scopeOf(a), in, t)
		case messages.Start, messages.DrawAt:
			b = appendMoment(b, a.Start, t.now, t.zone, in)
		case messages.ResultURL:
			b = appendResultURL(b, t.key, a.Deadline)
		case messages.Amount:
			b = appendMoney(b, a.Amount, t.currency)
		}
	}
	return b
}

// scopeOf says what a limit is for.
func scopeOf(a *engine.Answer) messages.Message {
	switch a.Reason {
	case engine.ReasonLimitSession:
		return messages.ScopeSession
	case engine.ReasonLimitMonth:
		return messages.ScopeMonth
	}
	return messages.ScopeListing
}

// How much is kept of what was worked out for whoever comes next: sales' own words
// taken apart, at about 20 KB each; zones; Accept-Language headers.
const (
	maxOwnWordings = 256
	maxZones       = 64
	maxLanguages   = 256
)

// wordingOf gives the words that are spoken where a listing is sold, and in which
// zone: found by its name as in the request, else by its handle.
func (s *ShopperServer) wordingOf(listing []byte, h engine.ListingHandle) (*wording, *time.Location) {
	timezone, version, own := s.seller.Messages(listing, h)
	zone, known := s.zones.all()[timezone]
	if !known {
		var err error
		if zone, err = time.LoadLocation(timezone); err != nil { // the plan was checked where more zones are known
			zone = time.UTC
		}
		s.zones.keep(timezone, zone)
	}
	if version == 0 {
		return s.shop, zone
	}
	said := s.own.all()[version]
	if said == nil {
		said = s.shop.with(own)
		s.own.keep(version, said)
	}
	return said, zone
}

// languageOf gives the language that a request asks for.
func (s *ShopperServer) languageOf(ctx *fasthttp.RequestCtx) language {
	header := ctx.Request.Header.PeekCanonical(headerLanguage)
	if len(header) == 0 {
		return english
	}
	in, known := s.spoken.all()[string(header)]
	if !known {
		text := string(header)
		in = messages.LanguageOf(text)
		if len(text) <= messages.MaxHeaderBytes {
			s.spoken.keep(text, in)
		}
	}
	return in
}
