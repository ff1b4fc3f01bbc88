// Package curve keeps how listings sell, second by second, for the last hour: what a page
// draws while a session is open. It looks at counters that there are anyway, once a second, so
// that nothing on the way of a grab knows of it.
//
// It is bounded: MostListings listings of Seconds points, the busiest where there are more.
// What it keeps is this node's memory alone; a node that starts begins with nothing.
package curve

import (
	"context"
	"sync"
	"time"

	"doorbuster/engine"
)

// Bounds of what is kept.
const (
	Seconds      = 3600
	MostListings = 100 // 9 MiB of points in all
)

// Config says where a Recorder looks.
type Config struct {
	// Look gives the present counts of the listings that sell, or did lately; required. It
	// is called once a second.
	Look func() []engine.Counts
	// Refused gives how many grabs this node has answered by each engine.Reason since it
	// started. Default: none.
	Refused func() []uint64
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
}

// Recorder keeps curves. Its methods are safe for concurrent use.
type Recorder struct {
	cfg Config

	mu       sync.Mutex
	listings map[name]*series
	refused  [Seconds][]uint32 // by second modulo Seconds, then by reason
	counted  []uint64          // by reason, at the last look
	since    int64             // the first second that is known; 0 before
	last     int64
	changed  chan struct{} // closed with the next look
}

type name struct{ session, sku string }

// series are the points of one listing, by their second modulo Seconds.
type series struct {
	from, last int64 // the first and the last second that there are points of
	granted    int64 // units, ever
	points     [Seconds]Point
}

// Point is how a listing looked in one second, in units; Granted in that second.
type Point struct{ Granted, Stock, Available, Held, Paid, Waiting int32 }

// Listing has the points of a listing, one a second from From on.
type Listing struct {
	SKU    string
	From   int64 // Unix seconds
	Points []Point
}

// Curve is what is known of a session's listings after some second.
type Curve struct {
	Last     int64     // the latest look, in Unix seconds; 0 before the first
	Listings []Listing // in no order
	// Refused are the grabs that this node answered with a no in each second from
	// RefusedFrom on, by reason, of all listings.
	RefusedFrom int64
	Refused     map[engine.Reason][]uint32
}

// New makes a recorder, which looks once Run runs.
func New(cfg Config) *Recorder {
	if cfg.Refused == nil {
		cfg.Refused = func() []uint64 { return nil }
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Recorder{cfg: cfg, listings: map[name]*series{}, changed: make(chan struct{})}
}

// Run looks once a second until ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look notes how all is. Where the second has been noted already, the clock went back or ticks
// came close together: what has happened is of the next.
func (r *Recorder) look() {
	now := r.cfg.Clock().Unix()
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if now <= last && last-now < Seconds {
		return
	}
	counts, refused := r.cfg.Look(), r.cfg.Refused()
	r.mu.Lock()
	defer r.mu.Unlock()
	if last == 0 || now <= last || now-last >= Seconds { // a clock that was set begins anew
		clear(r.listings)
		r.since = now
	}
	r.last = now
	r.refusals(refused, last, now)
	for i := range counts {
		r.note(&counts[i], now)
	}
	for n, s := range r.listings {
		if now-s.last >= Seconds {
			delete(r.listings, n)
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// refusals notes the refusals since the last look in this second; those between had none.
func (r *Recorder) refusals(counted []uint64, last, now int64) {
	if now-last < Seconds {
		for at := last + 1; at < now; at++ {
			r.refused[at%Seconds] = nil
		}
	}
	one := make([]uint32, len(counted))
	for i, n := range counted {
		if i < len(r.counted) && n >= r.counted[i] {
			one[i] = uint32(n - r.counted[i])
		}
	}
	r.refused[now%Seconds], r.counted = one, counted
}

// note notes one listing. Seconds in which nobody looked are as the one before.
func (r *Recorder) note(c *engine.Counts, now int64) {
	granted := c.Held + c.Paid + c.Released
	p := Point{Stock: int32(c.Stock), Available: int32(c.Available), Held: int32(c.Held), Paid: int32(c.Paid),
		Waiting: int32(c.Waiting)}
	at := name{c.Session, c.SKU}
	s := r.listings[at]
	if s == nil {
		if s = r.room(granted); s == nil {
			return
		}
		*s = series{from: now, last: now - 1, granted: granted}
		r.listings[at] = s
	}
	before := s.points[s.last%Seconds]
	before.Granted = 0
	for t := s.last + 1; t < now; t++ {
		s.points[t%Seconds] = before
	}
	p.Granted = int32(max(granted-s.granted, 0))
	s.points[now%Seconds], s.last, s.granted = p, now, granted
}

// room gives a place for a listing, if need be that of the least busy one; nil if that is
// busier.
func (r *Recorder) room(granted int64) *series {
	if len(r.listings) < MostListings {
		return new(series)
	}
	var least name
	var of *series
	for n, s := range r.listings {
		if of == nil || s.granted < of.granted {
			least, of = n, s
		}
	}
	if of.granted >= granted {
		return nil
	}
	delete(r.listings, least)
	return of
}

// Session gives what is known of a session's listings after a second, and a channel that is
// closed once there is more. after is in Unix seconds; 0 for the whole hour.
func (r *Recorder) Session(session string, after int64) (c Curve, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Last = r.last
	first := func(known int64) int64 { return max(known, after+1, r.last-Seconds+1) }
	for n, s := range r.listings {
		if n.session != session {
			continue
		}
		l := Listing{SKU: n.sku, From: first(s.from)}
		for t := l.From; t <= s.last; t++ {
			l.Points = append(l.Points, s.points[t%Seconds])
		}
		c.Listings = append(c.Listings, l)
	}
	if r.last == 0 {
		return c, r.changed
	}
	c.RefusedFrom, c.Refused = first(r.since), map[engine.Reason][]uint32{}
	for t := c.RefusedFrom; t <= r.last; t++ {
		for why, n := range r.refused[t%Seconds] {
			if n == 0 || engine.Reason(why) == engine.ReasonNone {
				continue
			}
			all := c.Refused[engine.Reason(why)]
			if all == nil {
				all = make([]uint32, r.last-c.RefusedFrom+1)
				c.Refused[engine.Reason(why)] = all
			}
			all[t-c.RefusedFrom] = n
		}
	}
	return c, r.changed
}
