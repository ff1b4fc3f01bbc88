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

	altcha "github.com/altcha-org/altcha-lib-go"
)

// workText is a challenge by proof of work: find the number that, written behind the
// salt, hashes to the challenge.
type workText = altcha.Challenge

// solve does the work and gives the solution as ALTCHA's widget writes it. It is
// this package's own loop, and not the library's, because a bot farm would not use
// that either: it takes over three times as long.
func solve(w *workText) (solution string, err error) {
	want, err := hex.DecodeString(w.Challenge)
	if err != nil || len(want) != sha256.Size || w.Algorithm != string(altcha.SHA256) {
		return "", fmt.Errorf("a challenge of algorithm %q that is no SHA-256: %q", w.Algorithm, w.Challenge)
	}
	text := []byte(w.Salt)
	for n := int64(0); n <= w.MaxNumber; n++ {
		text = strconv.AppendInt(text[:len(w.Salt)], n, 10)
		if sha256.Sum256(text) == [sha256.Size]byte(want) {
			found, err := json.Marshal(altcha.Payload{Algorithm: w.Algorithm, Challenge: w.Challenge, Number: n,
				Salt: w.Salt, Signature: w.Signature})
			return base64.StdEncoding.EncodeToString(found), err
		}
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
				solution, err := solve(&job.work)
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
