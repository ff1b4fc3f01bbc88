package bench

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// workText is a challenge by proof of work, as ALTCHA writes it: find the number
// that, written behind the salt, hashes to the challenge.
type workText struct {
	Algorithm string `json:"algorithm"`
	Challenge string `json:"challenge"`
	MaxNumber int64  `json:"maxnumber"`
	Salt      string `json:"salt"`
	Signature string `json:"signature"`
}

// solve does the work and gives the solution as ALTCHA's widget writes it. It is
// this package's own loop, and not the library's, because a bot farm would not use
// that either: it takes over three times as long.
func (w *workText) solve() (solution string, err error) {
	want, err := hex.DecodeString(w.Challenge)
	if err != nil || len(want) != sha256.Size || w.Algorithm != "SHA-256" {
		return "", fmt.Errorf("a challenge of algorithm %q that is no SHA-256: %q", w.Algorithm, w.Challenge)
	}
	text := []byte(w.Salt)
	for n := int64(0); n <= w.MaxNumber; n++ {
		text = strconv.AppendInt(text[:len(w.Salt)], n, 10)
		if sha256.Sum256(text) != [sha256.Size]byte(want) {
			continue
		}
		found, err := json.Marshal(struct {
			Algorithm string `json:"algorithm"`
			Challenge string `json:"challenge"`
			Number    int64  `json:"number"`
			Salt      string `json:"salt"`
			Signature string `json:"signature"`
		}{w.Algorithm, w.Challenge, n, w.Salt, w.Signature})
		return base64.StdEncoding.EncodeToString(found), err
	}
	return "", fmt.Errorf("no number up to %d solves the challenge", w.MaxNumber)
}

// solvers does the work of many, each solver one after another. Safe for
// concurrent use.
type solvers struct {
	jobs   chan solverJob
	all    sync.WaitGroup
	closed atomic.Bool

	solved, failed atomic.Int64
	took           atomic.Int64 // ns of them all
}

type solverJob struct {
	work workText
	done func(solution string) // "" if it can't be solved
}

// newSolvers starts count solvers that take on at most so many jobs ahead.
func newSolvers(count, ahead int) *solvers {
	s := &solvers{jobs: make(chan solverJob, ahead)}
	for range count {
		s.all.Go(func() {
			for job := range s.jobs {
				if s.closed.Load() {
					job.done("")
					continue
				}
				began := time.Now()
				solution, err := job.work.solve()
				s.took.Add(int64(time.Since(began)))
				if s.solved.Add(1); err != nil {
					s.failed.Add(1)
				}
				job.done(solution)
			}
		})
	}
	return s
}

// close drops the jobs that were not begun; each is told. None may be added any
// more.
func (s *solvers) close() {
	s.closed.Store(true)
	close(s.jobs)
	s.all.Wait()
}

// report tells how many were solved, and how long one took on average.
func (s *solvers) report() (r WorkReport) {
	r.Solved, r.Failed = s.solved.Load(), s.failed.Load()
	if r.Solved > 0 {
		r.MeanMS = millis(time.Duration(s.took.Load() / r.Solved))
	}
	return r
}

// WorkReport is what proofs of work cost.
type WorkReport struct {
	Solved int64   `json:"solved"`
	Failed int64   `json:"failed"`
	MeanMS float64 `json:"mean_ms"` // of one, on a core that others use too
}
