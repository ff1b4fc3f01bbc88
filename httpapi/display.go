package httpapi

import (
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/valyala/fasthttp"

	"doorbuster/engine"
	"doorbuster/httpapi/messages"
)

// How long what is on display may be shown without asking again: a second, so
// that a storm of looks can be taken by caches.
const (
	defaultDisplayAge = time.Second
	mostDisplayAge    = time.Minute
)

// page is what is on display, as it is sent but for its last member, the server's
// time: that alone does not make it new. Immutable but for what is derived.
type page struct {
	version uint64 // of the figures in it; 0 if they may not be kept
	body    []byte // up to the last member
	tag     []byte
	turns   engine.Time // when it is to be built anew whatever the figures are
	zipped  compressed
}

// newPage takes body over.
func newPage(version uint64, body []byte) *page {
	tag := strconv.AppendUint([]byte(`W/"`), xxhash.Sum64(body), 16) // the same on every node
	return &page{version: version, body: body, tag: append(tag, '"')}
}

// time answers what a countdown runs on.
func (s *ShopperServer) time(ctx *fasthttp.RequestCtx) {
	b := strconv.AppendInt([]byte(`{"unix_ms":`), int64(s.seller.Now()), 10)
	beginTransaction(ctx)
	uncached(ctx, append(b, '}'))
}

// display answers 200 with p, or 304 if the asker has it already. A page of one
// shopper's own asking is for their cache alone. negotiated: Accept-Language chose its
// words.
func (s *ShopperServer) display(ctx *fasthttp.RequestCtx, p *page, own, negotiated bool) {
	h := &ctx.Response.Header
	h.SetContentTypeBytes(jsonType)
	h.SetCanonical(headerCacheControl, appendCacheControl(nil, s.displayAge(), own))
	zips := len(p.body) >= leastCompressed
	switch {
	case negotiated && zips:
		h.Set("Vary", "Accept-Language, Accept-Encoding")
	case negotiated:
		h.Set("Vary", "Accept-Language")
	case zips:
		h.Set("Vary", "Accept-Encoding")
	}
	h.SetBytesV("ETag", p.tag)
	if own {
		beginTransaction(ctx)
	}
	if hasTag(&ctx.Request.Header, p.tag) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	var room [64]byte
	last := append(appendTime(append(room[:0], `,"server_time":`...), s.seller.Now()), '}')
	if zips && takesGzip(ctx) {
		h.Set("Content-Encoding", "gzip")
		ctx.Response.SetBodyRaw(p.appendGzip(nil, last))
		return
	}
	ctx.Response.AppendBody(p.body)
	ctx.Response.AppendBody(last)
}

// appendCacheControl appends for how many whole seconds an answer may be kept;
// under one it is not to be kept at all.
func appendCacheControl(b []byte, age time.Duration, own bool) []byte {
	if age < time.Second {
		return append(b, noStore...)
	}
	scope := "public, max-age="
	if own {
		scope = "private, max-age="
	}
	return strconv.AppendInt(append(b, scope...), int64(min(age, mostDisplayAge)/time.Second), 10)
}

// unsure answers a look that came while nobody could say what others were shown.
func (s *ShopperServer) unsure(ctx *fasthttp.RequestCtx) {
	s.problem(ctx, unavailable, "It can't be told just now how much is left. Look again in a moment.")
}

// wordsQuery is in which language what is on display is asked for.
type wordsQuery struct {
	// The language of names, whatever Accept-Language says: the answer is then the same for all
	// who ask so, without Vary: Accept-Language.
	Lang string `query:"lang" oneof:"en zh"`
}

// languageAsked gives the language of what is on display, and whether Accept-Language
// chose it.
func (s *ShopperServer) languageAsked(ctx *fasthttp.RequestCtx, q *wordsQuery) (in language, negotiated bool) {
	if in, asked := messages.LanguageNamed(q.Lang); asked {
		return in, false
	}
	return s.languageOf(ctx), true
}

func (s *ShopperServer) listing(ctx *fasthttp.RequestCtx, session, sku string) {
	var q wordsQuery
	if !askedFor(s, ctx, routeListing, &q) {
		return
	}
	v, ok, err := s.seller.Listing(session, sku)
	switch {
	case err != nil:
		s.unsure(ctx)
	case !ok:
		s.problem(ctx, unknownListing, noSuchListing)
	default:
		in, negotiated := s.languageAsked(ctx, &q)
		s.display(ctx, newPage(0, appendListing(nil, v, in, nowhere)), false, negotiated)
	}
}

// sessions shows what is on sale. The page is kept, and built anew when a figure in
// it has changed, or a session comes within the horizon: before a sale opens, and
// after it has sold out, all ask for the same. What is asked for one alone is made
// for them, and counts against their rate.
func (s *ShopperServer) sessions(ctx *fasthttp.RequestCtx) {
	var q sessionsQuery
	if !askedFor(s, ctx, routeSessions, &q) {
		return
	}
	in, negotiated := s.languageAsked(ctx, &q.wordsQuery)
	if q.Near.given || q.Until != 0 || q.Cursor != "" || q.Limit != usualSessions {
		s.ownSessions(ctx, &q)
		return
	}
	now := s.seller.Now()
	kept, known := s.pages[in].Load(), uint64(0)
	if kept != nil && now < kept.turns {
		known = kept.version
	}
	all, version, err := s.seller.Sessions(known)
	if err != nil {
		s.unsure(ctx)
		return
	}
	if known == 0 || version != known {
		shown := q.within(all, now)
		q.page(&shown)
		kept = newPage(version, appendSessions(nil, &shown, in, nil))
		kept.turns = shown.turns
		if version != 0 {
			s.pages[in].Store(kept)
		}
	}
	s.display(ctx, kept, false, negotiated)
}

// ownSessions shows a page that is asked for.
func (s *ShopperServer) ownSessions(ctx *fasthttp.RequestCtx, q *sessionsQuery) {
	if q.Near.given && q.Cursor != "" {
		s.problem(ctx, malformed, "near has no pages: ask for more with limit.")
		return
	}
	if s.looksTooOften(ctx) {
		return
	}
	all, _, err := s.seller.Sessions(0)
	if err != nil {
		s.unsure(ctx)
		return
	}
	shown := q.within(all, s.seller.Now())
	var metres [][]float64
	if q.Near.given {
		shown.sessions, metres = nearFirst(shown.sessions, q.Near.Place)
	}
	if !q.page(&shown) {
		s.problem(ctx, malformed, "The cursor is none that was given out, or its session has ended. Begin again.")
		return
	}
	if q.Near.given {
		shown.next = "" // what is near has no pages
	}
	in, negotiated := s.languageAsked(ctx, &q.wordsQuery)
	s.display(ctx, newPage(0, appendSessions(nil, &shown, in, metres)), q.Near.given, negotiated)
}

// appendSessions appends the whole, up to its closing brace. metres are how far
// away each session's listings are; nil where nobody asked.
func appendSessions(b []byte, shown *shownSessions, in language, metres [][]float64) []byte {
	sessions := shown.sessions
	b = append(b, `{"sessions":[`...)
	for i := range sessions {
		if i > 0 {
			b = append(b, ',')
		}
		var far []float64
		if metres != nil {
			far = metres[i]
		}
		b = appendSession(b, &sessions[i], in, far)
	}
	b = append(b, ']')
	if shown.next != "" {
		b = append(b, `,"cursor":`...)
		b = appendString(b, shown.next)
	}
	if shown.later > 0 {
		b = append(b, `,"later":`...)
		b = strconv.AppendInt(b, int64(shown.later), 10)
	}
	return b
}

// appendListing appends a listing up to its closing brace; metres is how far away
// it is, or nowhere.
func appendListing(b []byte, v *engine.ListingView, in language, metres float64) []byte {
	b = append(b, `{"session":`...)
	b = appendString(b, v.Session)
	b = append(b, `,"sku":`...)
	b = appendString(b, v.SKU)
	b = append(b, `,"name":`...)
	b = appendString(b, v.Name.In(in.Tag()))
	if v.Image != "" {
		b = append(b, `,"image":`...)
		b = appendString(b, v.Image)
	}
	b = append(b, `,"price":`...)
	b = strconv.AppendInt(b, v.Price, 10)
	b = append(b, `,"list_price":`...)
	b = strconv.AppendInt(b, v.ListPrice, 10)
	b = append(b, `,"currency":`...)
	b = appendString(b, v.Currency)
	b = append(b, `,"stock":`...)
	b = strconv.AppendInt(b, v.Stock, 10)
	b = append(b, `,"state":"`...)
	b = append(b, v.State.String()...)
	b = append(b, `","start":`...)
	b = appendTime(b, v.Start)
	b = append(b, `,"end":`...)
	b = appendTime(b, v.End)
	b = append(b, `,"limit_per_shopper":`...)
	b = strconv.AppendUint(b, uint64(v.LimitPerShopper), 10)
	b = appendRules(b, v)
	b = appendPlay(b, v.Play)
	if v.Place != nil {
		b = append(b, `,"place":{"latitude":`...)
		b = strconv.AppendFloat(b, v.Place.Latitude, 'f', -1, 64)
		b = append(b, `,"longitude":`...)
		b = strconv.AppendFloat(b, v.Place.Longitude, 'f', -1, 64)
		b = append(b, '}')
		if metres != nowhere {
			b = append(b, `,"distance_m":`...)
			b = strconv.AppendInt(b, int64(metres), 10)
		}
	}
	return b
}

func appendSession(b []byte, x *engine.SessionView, in language, metres []float64) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, x.ID)
	b = append(b, `,"sale":`...)
	b = appendString(b, x.Sale)
	b = append(b, `,"name":`...)
	b = appendString(b, x.SaleName.In(in.Tag()))
	b = append(b, `,"state":"`...)
	if x.Paused {
		b = append(b, "paused"...)
	} else {
		b = append(b, x.State.String()...)
	}
	b = append(b, `","start":`...)
	b = appendTime(b, x.Start)
	b = append(b, `,"end":`...)
	b = appendTime(b, x.End)
	b = append(b, `,"pay_within_seconds":`...)
	b = strconv.AppendInt(b, x.PayWithinMS/1000, 10)
	b = append(b, `,"limit_per_shopper":`...)
	b = strconv.AppendUint(b, uint64(x.LimitPerShopper), 10)
	b = append(b, `,"listings":[`...)
	for i := range x.Listings {
		if i > 0 {
			b = append(b, ',')
		}
		far := nowhere
		if metres != nil {
			far = metres[i]
		}
		b = append(appendListing(b, &x.Listings[i], in, far), '}')
	}
	return append(b, `]}`...)
}
