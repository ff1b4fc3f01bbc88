package httpapi

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"doorbuster/engine"
)

// displayAge is how long what is on display may be shown without asking again:
// a second, so that a storm of looks can be taken by caches.
const displayAge = "public, max-age=1"

// time answers what a countdown runs on.
func (s *ShopperServer) time(ctx *fasthttp.RequestCtx) {
	b := strconv.AppendInt([]byte(`{"unix_ms":`), int64(s.seller.Now()), 10)
	uncached(ctx, append(b, '}'))
}

// display answers 200 with body, whose last member is to be the server's time,
// or 304 if the asker has it already. The time is no part of the tag: it alone
// does not make a page new.
func (s *ShopperServer) display(ctx *fasthttp.RequestCtx, body []byte) {
	var buf [24]byte
	tag := append(buf[:0], `W/"`...)
	tag = strconv.AppendUint(tag, fnv1a(body), 16)
	tag = append(tag, '"')
	h := &ctx.Response.Header
	h.SetContentTypeBytes(jsonType)
	h.Set("Cache-Control", displayAge)
	h.Set("Vary", "Accept-Language")
	h.SetBytesV("ETag", tag)
	if given := ctx.Request.Header.PeekCanonical(headerNoneMatch); len(given) > 0 && bytes.Contains(given, tag[2:]) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	body = append(body, `,"server_time":`...)
	body = appendTime(body, s.seller.Now())
	ctx.Response.SetBodyRaw(append(body, '}'))
}

// fnv1a is the 64-bit FNV-1a hash: the same on every node.
func fnv1a(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func (s *ShopperServer) listing(ctx *fasthttp.RequestCtx, session, sku string) {
	v, ok := s.seller.Listing(session, sku)
	if !ok {
		s.problem(ctx, unknownListing, "No session offers this SKU. The sessions are listed at /v1/sessions.")
		return
	}
	in := languageOf(ctx.Request.Header.PeekCanonical(headerLanguage))
	s.display(ctx, appendListing(nil, v, in, nil))
}

// appendListing appends a listing up to its closing brace.
func appendListing(b []byte, v *engine.ListingView, in language, near *engine.Place) []byte {
	b = append(b, `{"session":`...)
	b = appendString(b, v.Session)
	b = append(b, `,"sku":`...)
	b = appendString(b, v.SKU)
	b = append(b, `,"name":`...)
	b = appendString(b, v.Name.In(in.tag()))
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
	if v.Place != nil {
		b = append(b, `,"place":{"latitude":`...)
		b = strconv.AppendFloat(b, v.Place.Latitude, 'f', -1, 64)
		b = append(b, `,"longitude":`...)
		b = strconv.AppendFloat(b, v.Place.Longitude, 'f', -1, 64)
		b = append(b, '}')
		if near != nil {
			b = append(b, `,"distance_m":`...)
			b = strconv.AppendInt(b, int64(distance(near, v.Place)), 10)
		}
	}
	return b
}

func (s *ShopperServer) sessions(ctx *fasthttp.RequestCtx) {
	var near *engine.Place
	if given := ctx.QueryArgs().Peek("near"); len(given) > 0 {
		place, ok := parsePlace(string(given))
		if !ok {
			s.problem(ctx, malformed, "near must be a latitude (-90 to 90), a comma and a longitude (-180 to 180).")
			return
		}
		near = &place
	}
	sessions := s.seller.Sessions()
	if near != nil {
		sessions = nearFirst(sessions, near)
	}
	in := languageOf(ctx.Request.Header.PeekCanonical(headerLanguage))
	b := []byte(`{"sessions":[`)
	for i := range sessions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSession(b, &sessions[i], in, near)
	}
	s.display(ctx, append(b, ']'))
}

func appendSession(b []byte, x *engine.SessionView, in language, near *engine.Place) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, x.ID)
	b = append(b, `,"sale":`...)
	b = appendString(b, x.Sale)
	b = append(b, `,"name":`...)
	b = appendString(b, x.SaleName.In(in.tag()))
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
		b = append(appendListing(b, &x.Listings[i], in, near), '}')
	}
	return append(b, `]}`...)
}

// parsePlace reads "latitude,longitude" in degrees.
func parsePlace(text string) (p engine.Place, ok bool) {
	lat, lng, ok := strings.Cut(text, ",")
	if !ok {
		return p, false
	}
	var err1, err2 error
	p.Latitude, err1 = strconv.ParseFloat(strings.TrimSpace(lat), 64)
	p.Longitude, err2 = strconv.ParseFloat(strings.TrimSpace(lng), 64)
	// Comparisons that NaN fails.
	return p, err1 == nil && err2 == nil && math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180
}

// nearFirst gives copies sorted by distance: listings within their session, and
// sessions by their nearest listing. What has no place comes last; what is
// equally far stays in its sequence. The views themselves are not touched.
func nearFirst(sessions []engine.SessionView, near *engine.Place) []engine.SessionView {
	sorted := slices.Clone(sessions)
	nearest := make(map[string]float64, len(sorted))
	for i := range sorted {
		x := &sorted[i]
		x.Listings = slices.Clone(x.Listings)
		slices.SortStableFunc(x.Listings, func(a, b engine.ListingView) int {
			return compareDistance(distance(near, a.Place), distance(near, b.Place))
		})
		nearest[x.ID] = math.Inf(1)
		if len(x.Listings) > 0 {
			nearest[x.ID] = distance(near, x.Listings[0].Place)
		}
	}
	slices.SortStableFunc(sorted, func(a, b engine.SessionView) int { return compareDistance(nearest[a.ID], nearest[b.ID]) })
	return sorted
}

func compareDistance(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// distance is the way between two places on the earth's surface in metres, by
// the haversine formula; without end to where there is no place.
func distance(from, to *engine.Place) float64 {
	if to == nil {
		return math.Inf(1)
	}
	const earthRadius, degree = 6_371_000, math.Pi / 180
	dLat := (to.Latitude - from.Latitude) * degree / 2
	dLng := (to.Longitude - from.Longitude) * degree / 2
	h := math.Pow(math.Sin(dLat), 2) + math.Cos(from.Latitude*degree)*math.Cos(to.Latitude*degree)*math.Pow(math.Sin(dLng), 2)
	return 2 * earthRadius * math.Asin(math.Min(1, math.Sqrt(h)))
}
