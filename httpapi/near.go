package httpapi

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"doorbuster/engine"
)

// nowhere is how far away it is to what has no place.
var nowhere = math.Inf(1)

// askedPlace is a place that was asked for, if one was.
type askedPlace struct {
	engine.Place
	given bool
}

func (p *askedPlace) ask(_, given string) string {
	p.Place, p.given = parsePlace(given)
	return unless(p.given, "near must be a latitude (-90 to 90), a comma and a longitude (-180 to 180), both in "+
		"degrees: near=31.2,121.5.")
}

// parsePlace reads "latitude,longitude" in degrees.
func parsePlace(text string) (p engine.Place, ok bool) {
	lat, lng, ok := strings.Cut(text, ",")
	if !ok {
		return p, false
	}
	if p.Latitude, ok = parseDegrees(lat, 90); !ok {
		return p, false
	}
	p.Longitude, ok = parseDegrees(lng, 180)
	return p, ok
}

// parseDegrees reads a decimal number of at most so many degrees either way.
func parseDegrees(text string, most float64) (degrees float64, ok bool) {
	text = strings.TrimSpace(text)
	if strings.Trim(text, "0123456789.-+eE") != "" { // hexadecimal, "Inf", "NaN"
		return 0, false
	}
	degrees, err := strconv.ParseFloat(text, 64)
	return degrees, err == nil && math.Abs(degrees) <= most
}

// far is the place of a view in its sequence, and how far away it is.
type far struct {
	at     int
	metres float64
}

// byDistance sorts so that what is equally far stays in its sequence.
func byDistance(all []far) {
	slices.SortStableFunc(all, func(a, b far) int { return cmp.Compare(a.metres, b.metres) })
}

// nearFirst gives copies sorted by distance, and the distances: listings within
// their session, and sessions by their nearest listing. What has no place comes
// last; what is equally far stays in its sequence. The views themselves are not
// touched.
func nearFirst(sessions []engine.SessionView, near engine.Place) ([]engine.SessionView, [][]float64) {
	copies, nearest, metres := make([]engine.SessionView, len(sessions)), make([]far, len(sessions)),
		make([][]float64, len(sessions))
	var listings []far
	for i, x := range sessions {
		listings = listings[:0]
		for j := range x.Listings {
			listings = append(listings, far{j, distance(near, x.Listings[j].Place)})
		}
		byDistance(listings)
		sorted, away := make([]engine.ListingView, len(listings)), make([]float64, len(listings))
		for j, l := range listings {
			sorted[j], away[j] = x.Listings[l.at], l.metres
		}
		nearest[i] = far{i, nowhere}
		if len(away) > 0 {
			nearest[i].metres = away[0]
		}
		x.Listings = sorted
		copies[i], metres[i] = x, away
	}
	byDistance(nearest)
	ordered, distances := make([]engine.SessionView, len(sessions)), make([][]float64, len(sessions))
	for i, x := range nearest {
		ordered[i], distances[i] = copies[x.at], metres[x.at]
	}
	return ordered, distances
}

// distance is the way between two places on the earth's surface in metres, by
// the haversine formula; without end to where there is no place.
func distance(from engine.Place, to *engine.Place) float64 {
	if to == nil {
		return nowhere
	}
	const earthRadius, degree = 6_371_000, math.Pi / 180
	dLat := (to.Latitude - from.Latitude) * degree / 2
	dLng := (to.Longitude - from.Longitude) * degree / 2
	h := math.Pow(math.Sin(dLat), 2) + math.Cos(from.Latitude*degree)*math.Cos(to.Latitude*degree)*math.Pow(math.Sin(
		dLng), 2)
	return 2 * earthRadius * math.Asin(math.Min(1, math.Sqrt(h)))
}
