package ratelimit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how often a key may ask.
type Config struct {
	// PerSecond is how many requests a key earns each second; 0 (the default) is
	// no limit. Higher lets bots try more often; lower hits whole offices that
	// share an address.
	PerSecond float64
	// Burst is how many a key that has been quiet may ask at once. Required with
	// PerSecond. Higher forgives impatient fingers, and bots.
	Burst int
	// Keys are remembered at most. Default 262,144, some 43 bytes each. Fewer:
	// who has many addresses is sooner forgotten, and begins anew.
	Keys int
}

// DefaultConfig has no limit.
func DefaultConfig() Config { return Config{Keys: 262_144} }

// Bounds of a Config.
const (
	MinPerSecond, MaxPerSecond = 0.001, 1_000_000
	MaxBurst                   = 1_000_000

	minKeys, maxKeys = 1 << 10, 1 << 24
)

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	if c.Keys == 0 {
		c.Keys = DefaultConfig().Keys
	}
	return errors.Join(within("Keys", c.Keys, minKeys, maxKeys), validateLimit(c.PerSecond, c.Burst))
}

// within says which bounds a value must keep if it does not.
func within(name string, value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d; it must be %d to %d", name, value, least, most)
	}
	return nil
}

func validateLimit(perSecond float64, burst int) error {
	if perSecond == 0 {
		return nil
	}
	var err error
	if !(perSecond >= MinPerSecond && perSecond <= MaxPerSecond) { // what is not a number, too
		err = fmt.Errorf("%s is %v; it must be 0 (no limit) or %v to %d", "PerSecond", perSecond, MinPerSecond,
			MaxPerSecond)
	}
	return errors.Join(err, within("Burst", burst, 1, MaxBurst))
}

// Limiter gives each key a bucket of tokens. Its methods are safe for concurrent
// use.
//
// Limiters of several nodes that Hear what the others Tell let an address in as one
// would: n nodes give it at most a burst, one request more for each further node, and
// the rate. For each holds a share of burst and rate: an even one of an address that
// nobody told of, else one that follows the demand, of which a node without any has
// a sixteenth of an even share, and a node with all of it nearly all. The shares of
// all nodes come to 1 as long as what one tells reaches the others within 250 ms
// (slower, or with nodes cut off from each other, each part lets in as much again),
// and a bucket never has more tokens than its share of the burst, or one. It takes
// half a second until a share follows; what a node has not used of its share of the
// burst by then is earned anew at the rate.
type Limiter struct {
	limit    atomic.Pointer[limit]
	shares   atomic.Pointer[shares] // nil: no other node counts
	seed     maphash.Seed
	began    time.Time // that times are counted from
	sets     int       // of a shard
	shards   [shardCount]shard
	exchange exchange
}

// shardCount is how many parts the keys are in, so that requests seldom wait for
// each other.
const shardCount = 64

type limit struct {
	perSecond float64 // 0 is none
	burst     float64
}

// bucket is what one key has. Between two requests it earns by the lower of the
// limits at both: a limit that is raised counts from the next request on.
type bucket struct {
	limit
	tokens float64
	at     time.Duration // of the last request, since the limiter began
}

// take takes a token, if there is one.
func (b *bucket) take(to limit, at time.Duration) bool {
	if elapsed := at - b.at; elapsed > 0 {
		b.tokens += elapsed.Seconds() * min(b.perSecond, to.perSecond)
		b.at = at
	}
	b.tokens = min(b.tokens, b.burst, to.burst)
	b.limit = to
	if b.tokens < 1-rounding {
		return false
	}
	b.tokens = max(0, b.tokens-1)
	return true
}

// rounding is how much of a token the sums of what was earned may be off by.
const rounding = 1e-9

// set has the buckets of keys that share it, without a pointer, so that the garbage
// collector passes it over. With it full, the key that has not asked for the longest
// time is forgotten. It is four cache lines long, of which a request needs two.
type set struct {
	keys    [ways]uint64 // 0 is none
	busy    [ways]uint8  // the place in the shard's list, from 1 on; 0 is none
	_       [64 - 54]byte
	buckets [ways]bucket
}

const ways = 6

type shard struct {
	mu   sync.Mutex
	sets []set         // nil until one is asked for
	busy []busyAddress // that came near their rate
	_    [64 - 56]byte // no two locks in one cache line
}

// busyAddress is what is told of an address.
type busyAddress struct {
	from   network
	place  *uint8  // in the list, as its set has it, as long as that has it
	demand float64 // as it was told last
	asked  uint32  // since then
}

// New makes a Limiter, or says all that is wrong with cfg.
func New(cfg Config) (*Limiter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("rate limit: %w", err)
	}
	if cfg.Keys == 0 {
		cfg.Keys = DefaultConfig().Keys
	}
	l := &Limiter{seed: maphash.MakeSeed(), began: time.Now(), sets: cfg.Keys / shardCount / ways}
	l.limit.Store(&limit{cfg.PerSecond, float64(cfg.Burst)})
	return l, nil
}

// SetLimit changes the limit of all keys from now on; perSecond 0 is no limit.
// What a key has earned until its next request counts by the old limit, and is
// kept up to the new burst. After an error, which says all that is out of
// bounds, nothing has changed.
func (l *Limiter) SetLimit(perSecond float64, burst int) error {
	if err := validateLimit(perSecond, burst); err != nil {
		return fmt.Errorf("rate limit: %w", err)
	}
	l.limit.Store(&limit{perSecond, float64(burst)})
	return nil
}

// Allow takes a token of key's, or tells that there is none. Keys must be spread
// evenly, as those of ShopperKey and AddressKey are.
func (l *Limiter) Allow(key uint64, now time.Time) bool {
	to := l.limit.Load()
	if to.perSecond == 0 {
		return true
	}
	s := l.lock(key)
	defer s.mu.Unlock()
	in, i := s.find(key, *to, l.at(now))
	return in.buckets[i].take(*to, l.at(now))
}

// AllowAddress takes a token that an address has on this node, or tells that there is
// none. Addresses are told apart as AddressKey does.
func (l *Limiter) AllowAddress(addr netip.Addr, now time.Time) bool {
	to := *l.limit.Load()
	if to.perSecond == 0 {
		return true
	}
	from, key, among := networkOf(addr), l.AddressKey(addr), l.shares.Load()
	if share := among.share(from); share < 1 {
		to.perSecond, to.burst = to.perSecond*share, max(1, to.burst*share)
	}
	s := l.lock(key)
	defer s.mu.Unlock()
	in, i := s.find(key, to, l.at(now))
	b, place := &in.buckets[i], &in.busy[i]
	ok := b.take(to, l.at(now))
	if among == nil {
		return ok
	}
	if *place == 0 && b.tokens < b.burst/2 && len(s.busy) < maxBusy {
		s.busy = append(s.busy, busyAddress{from: from, place: place})
		*place = uint8(len(s.busy))
	}
	if *place > 0 {
		s.busy[*place-1].asked++
	}
	return ok
}

func (l *Limiter) at(now time.Time) time.Duration { return now.Sub(l.began) }

// lock gives the shard of a key, locked, and with room.
func (l *Limiter) lock(key uint64) *shard {
	s := &l.shards[key>>58]
	s.mu.Lock()
	if s.sets == nil {
		s.sets, s.busy = make([]set, l.sets), make([]busyAddress, 0, maxBusy)
	}
	return s
}

// find gives where a key's bucket is, which is a full one if the key is new.
func (s *shard) find(key uint64, to limit, at time.Duration) (in *set, i int) {
	key = max(key, 1)
	in = &s.sets[key%uint64(len(s.sets))]
	if i = slices.Index(in.keys[:], key); i >= 0 {
		return in, i
	}
	i = 0
	for j, known := range in.keys {
		if known == 0 || in.keys[i] != 0 && in.buckets[j].at < in.buckets[i].at {
			i = j
		}
	}
	in.keys[i], in.busy[i] = key, 0
	in.buckets[i] = bucket{limit: to, tokens: to.burst, at: at}
	return in, i
}

// Len counts the keys that are remembered.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for j := range s.sets {
			for _, key := range s.sets[j].keys {
				if key != 0 {
					n++
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}

// ShopperKey is the key that a shopper is counted by. It differs from Limiter to
// Limiter, so that nobody can seek out shoppers who share one.
func (l *Limiter) ShopperKey(shopper []byte) uint64 {
	return maphash.Bytes(l.seed, shopper)
}

// AddressKey is the key that an address is counted by: all of an IPv4 address
// (also where it is written as IPv6), the /64 of an IPv6 address. The zone does
// not count. It differs from Limiter to Limiter.
func (l *Limiter) AddressKey(addr netip.Addr) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(networkOf(addr)))
	return maphash.Bytes(l.seed, b[:])
}
