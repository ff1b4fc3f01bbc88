package peer

import (
	"log/slog"
	"sync"
	"time"
)

const (
	maxReports  = 1024
	reportStays = time.Hour // when there is no place for others
)

// reports logs each thing that is wrong with a peer once, until a handshake with
// that peer has succeeded. Peers are told apart by the host they call from, or by
// the address they are called at.
type reports struct {
	logger *slog.Logger

	mu   sync.Mutex
	told map[string]map[string]time.Time // by peer and code
	held int
	full bool // and that was said
}

func newReports(logger *slog.Logger) *reports {
	return &reports{logger: logger, told: map[string]map[string]time.Time{}}
}

// first tells whether (peer, code) is new, and remembers it.
func (r *reports) first(peer, code string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.told[peer][code]; ok {
		return false
	}
	if r.held >= maxReports {
		r.sweep()
	}
	if r.held >= maxReports {
		if !r.full {
			r.full = true
			r.logger.Warn("too many peers have been turned away; no more are told of for a while", "remembered", r.held)
		}
		return false
	}
	r.full = false
	if r.told[peer] == nil {
		r.told[peer] = map[string]time.Time{}
	}
	r.told[peer][code] = time.Now()
	r.held++
	return true
}

func (r *reports) sweep() {
	for peer, codes := range r.told {
		for code, at := range codes {
			if time.Since(at) > reportStays {
				delete(codes, code)
				r.held--
			}
		}
		if len(codes) == 0 {
			delete(r.told, peer)
		}
	}
}

// good forgets what was wrong with peer.
func (r *reports) good(peer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held -= len(r.told[peer])
	delete(r.told, peer)
}

// warn logs once.
func (r *reports) warn(peer, code, message string, args ...any) {
	if r.first(peer, code) {
		r.logger.Warn(message, append([]any{"peer", peer, "code", code}, args...)...)
	}
}
