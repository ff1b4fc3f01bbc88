package bench

import (
	"strconv"
	"strings"
	"time"
)

// click tells a shopper's idempotency keys apart.
type click uint8

const (
	clickFirst  click = iota // the grab itself; a second click with the same key too
	clickAnew                // the impatient second click with a key of its own
	clickSecond              // the other tab: another listing of the session
	clickReturn              // coming back after sold out; +1 for each further time
)

// intent is what a shopper will do. It derives from the run's seed and their
// number only, so it needs no storage and a run can be repeated.
type intent struct {
	listing     int
	second      int           // another listing of the same session, or -1
	again       bool          // clicks twice with the same key
	anew        bool          // clicks again with another key
	againAfter  time.Duration // when, after the first
	pays        bool
	paysTwice   bool
	cancels     bool
	decideAfter time.Duration // how long they hold before paying or cancelling
	returns     int           // how often they come back after sold out
	returnAfter time.Duration
}

// dice is splitmix64 (Steele, Lea, Flood 2014): a good stream from any seed,
// with no allocation, so that an intent can be worked out anew when needed.
type dice uint64

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// share is uniform in [0, 1).
func (d *dice) share() float64 { return float64(d.next()>>11) / (1 << 53) }

// upTo is uniform in [0, most).
func (d *dice) upTo(most time.Duration) time.Duration {
	return time.Duration(d.share() * float64(most))
}

// intentOf works out what shopper number n will do. Every draw is made for
// every shopper, so that changing one share leaves the others' choices alone.
func (c *RushConfig) intentOf(n int) intent {
	d := dice(c.Seed)
	d = dice(d.next() ^ uint64(n)*0x9e3779b97f4a7c15)
	it := intent{second: -1}

	pick := d.share() * c.totalWeight()
	for i, l := range c.Listings {
		it.listing = i
		if pick -= l.weight(); pick < 0 {
			break
		}
	}
	it.again = d.share() < c.AgainShare
	it.anew = d.share() < c.AnewShare
	it.againAfter = d.upTo(c.AgainWithin)
	if both, other := d.share() < c.SecondListingShare, d.next(); both {
		it.second = c.otherListing(it.listing, other)
	}
	fate := d.share()
	it.pays = fate < c.PayShare
	it.cancels = !it.pays && fate < c.PayShare+c.CancelShare
	it.paysTwice = d.share() < c.PayTwiceShare
	it.decideAfter = d.upTo(c.DecideWithin)
	if d.share() < c.ReturnShare {
		it.returns = 1 + int(d.next()%uint64(max(1, c.Returns)))
		it.returns = min(it.returns, c.Returns)
	}
	// Half to one and a half times, or they would all come back at once.
	it.returnAfter = c.ReturnAfter/2 + d.upTo(c.ReturnAfter)
	return it
}

// otherListing picks another listing of the same session, or -1 if none is.
func (c *RushConfig) otherListing(i int, draw uint64) int {
	var others []int
	for j, l := range c.Listings {
		if j != i && l.Session == c.Listings[i].Session {
			others = append(others, j)
		}
	}
	if len(others) == 0 {
		return -1
	}
	return others[draw%uint64(len(others))]
}

// appendShopper appends the name of shopper number n.
func (c *RushConfig) appendShopper(b []byte, n int) []byte {
	b = append(b, c.ShopperPrefix...)
	return strconv.AppendInt(b, int64(n), 10)
}

func (c *RushConfig) shopper(n int) string { return string(c.appendShopper(nil, n)) }

// appendKey appends the idempotency key of one of the shopper's clicks.
func (c *RushConfig) appendKey(b []byte, n int, k click) []byte {
	b = c.appendShopper(b, n)
	b = append(b, '-', 'k')
	return strconv.AppendInt(b, int64(k), 10)
}

// numberOf is the number in a shopper's name, if they are of this run.
func (c *RushConfig) numberOf(shopper string) (int, bool) {
	digits, ok := strings.CutPrefix(shopper, c.ShopperPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && n < c.Shoppers
}
