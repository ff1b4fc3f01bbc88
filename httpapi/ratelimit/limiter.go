package ratelimit

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
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
	// Keys are remembered at most. Default 262,144, up to 256 bytes each. Fewer:
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
		err = fmt.Errorf("%s is %v; it must be 0 (no limit) or %v to %d", "PerSecond", perSecond, MinPerSecond, MaxPerSecond)
	}
	return errors.Join(err, within("Burst", burst, 1, MaxBurst))
}

// Limiter gives each key a bucket of tokens. Its methods are safe for concurrent
// use.
type Limiter struct {
	limit  atomic.Pointer[limit]
	seed   maphash.Seed
	shards [shards]shard
}

// shards is how many parts the keys are in, so that requests seldom wait for
// each other.
const shards = 64

type limit struct {
	perSecond rate.Limit // 0 is none
	burst     int
}

type shard struct {
	mu      sync.Mutex
	buckets *simplelru.LRU[uint64, *rate.Limiter]
	_       [64 - 16]byte // no two locks in one cache line
}

// New makes a Limiter, or says all that is wrong with cfg.
func New(cfg Config) (*Limiter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("rate limit: %w", err)
	}
	if cfg.Keys == 0 {
		cfg.Keys = DefaultConfig().Keys
	}
	l := &Limiter{seed: maphash.MakeSeed()}
	l.limit.Store(&limit{rate.Limit(cfg.PerSecond), cfg.Burst})
	for i := range l.shards {
		buckets, err := simplelru.NewLRU[uint64, *rate.Limiter](cfg.Keys/shards, nil)
		if err != nil {
			return nil, fmt.Errorf("rate limit: %w", err)
		}
		l.shards[i].buckets = buckets
	}
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
	l.limit.Store(&limit{rate.Limit(perSecond), burst})
	return nil
}

// Allow takes a token of key's, or tells that there is none. Keys must be spread
// evenly, as those of ShopperKey and AddressKey are.
func (l *Limiter) Allow(key uint64, now time.Time) bool {
	to := l.limit.Load()
	if to.perSecond == 0 {
		return true
	}
	s := &l.shards[key>>58]
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, known := s.buckets.Get(key)
	if !known {
		bucket = rate.NewLimiter(to.perSecond, to.burst)
		s.buckets.Add(key, bucket)
	}
	if bucket.Limit() != to.perSecond {
		bucket.SetLimitAt(now, to.perSecond)
	}
	if bucket.Burst() != to.burst {
		bucket.SetBurstAt(now, to.burst)
	}
	return bucket.AllowN(now, 1)
}

// Len counts the keys that are remembered.
func (l *Limiter) Len() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += s.buckets.Len()
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
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return maphash.Bytes(l.seed, b[:])
	}
	b := addr.As16()
	return maphash.Bytes(l.seed, b[:8])
}
