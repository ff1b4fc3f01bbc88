package payment

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"doorbuster/engine"
)

// retries knows what is under way, and when what failed may be tried again. Safe
// for concurrent use.
type retries[K comparable] struct {
	first, most time.Duration

	mu    sync.Mutex
	of    map[K]*attempt
	round uint64
}

type attempt struct {
	underWay bool
	finished bool // and may still stand on a page that was read before
	wait     time.Duration
	next     time.Time
	tries    int
	failure  string // of the last try; "" before the first
	seen     uint64 // the round in which it was last there to do
}

func newRetries[K comparable](cfg Config) *retries[K] {
	return &retries[K]{first: cfg.RetryFirst, most: cfg.RetryMost, of: map[K]*attempt{}}
}

// begin reports whether k may be tried now, and takes it to be under way if so.
func (r *retries[K]) begin(k K, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of[k]
	if a == nil {
		a = &attempt{}
		r.of[k] = a
	}
	a.seen = r.round
	if a.underWay || a.finished || now.Before(a.next) {
		return false
	}
	a.underWay = true
	return true
}

// done has k never tried again, as long as it is there to do.
func (r *retries[K]) done(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.of[k]; a != nil {
		a.underWay, a.finished, a.seen = false, true, r.round
	}
}

// drop forgets k, which was not tried.
func (r *retries[K]) drop(k K) {
	r.mu.Lock()
	delete(r.of, k)
	r.mu.Unlock()
}

// Tries is what came of asking for something that is still to be done.
type Tries struct {
	Tries     int
	LastError string    // of the last try; "" before the first
	Next      time.Time // not before; zero for at once
}

// maxFailureBytes bounds what is remembered of a failure.
const maxFailureBytes = 300

// told gives what came of k so far.
func (r *retries[K]) told(k K) Tries {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of[k]
	if a == nil {
		return Tries{}
	}
	return Tries{a.tries, a.failure, a.next}
}

// failing counts what has failed and was not done since, and gives what is known of one.
func (r *retries[K]) failing() (n int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.of {
		if a.tries > 0 && !a.finished {
			n, why = n+1, a.failure
		}
	}
	return n, why
}

// failed has k wait, each time twice as long, a fifth more or less. A why that is
// ErrLeftAlone was no try.
func (r *retries[K]) failed(k K, now time.Time, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.of[k]
	if a == nil { // forgotten meanwhile
		return
	}
	a.underWay = false
	if !errors.Is(why, ErrLeftAlone) {
		a.tries++
		a.failure = strings.ToValidUTF8(engine.PlainNetworkError(why), "?")
		if len(a.failure) > maxFailureBytes {
			a.failure = strings.ToValidUTF8(a.failure[:maxFailureBytes], "") + "…"
		}
	}
	a.wait = min(max(r.first, 2*a.wait), r.most)
	a.next = now.Add(time.Duration(float64(a.wait) * (0.8 + 0.4*rand.Float64())))
}

// turn begins a round, and forgets what was not there to do in the last one.
func (r *retries[K]) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, a := range r.of {
		if a.seen != r.round && !a.underWay {
			delete(r.of, k)
		}
	}
	r.round++
}
