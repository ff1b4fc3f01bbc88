package peer

import (
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	maxReports  = 1024
	reportStays = time.Hour // when there is no place for others
)

// report is something that is wrong with a peer.
type report struct{ peer, code string }

// reports logs each thing that is wrong with a peer once, until a handshake with
// that peer has succeeded. Peers are told apart by the host they call from, or by
// the address they are called at.
type reports struct {
	logger *slog.Logger

	mu   sync.Mutex
	told map[report]time.Time
	full bool // and that was said
}

func newReports(logger *slog.Logger) *reports {
	return &reports{logger: logger, told: map[report]time.Time{}}
}

// first reports whether (peer, code) is new, and remembers it.
func (r *reports) first(x report) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.told[x]; ok {
		return false
	}
	if len(r.told) >= maxReports {
		maps.DeleteFunc(r.told, func(_ report, at time.Time) bool { return time.Since(at) > reportStays })
	}
	if len(r.told) >= maxReports {
		if !r.full {
			r.full = true
			r.logger.Warn("too many peers have been turned away; no more are told of for a while",
				"remembered", len(r.told))
		}
		return false
	}
	r.full = false
	r.told[x] = time.Now()
	return true
}

// good forgets what was wrong with peer.
func (r *reports) good(peer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.told, func(x report, _ time.Time) bool { return x.peer == peer })
}

// warn logs once.
func (r *reports) warn(peer, code, message string, args ...any) {
	if r.first(report{peer, code}) {
		r.logger.Warn(message, append([]any{"peer", peer, "code", code}, args...)...)
	}
}
