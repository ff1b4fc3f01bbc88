// Package webhook posts changes to a URL, each signed as Standard Webhooks has it:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
//
// The receiver keeps no position for us, so each change arrives at least once, whatever
// fails, under a webhook-id that is the same each time: whoever drops ids that were seen
// takes each once. Changes of one order arrive in order, those of others beside them.
//
// Whether the receiver takes a change is for its status to say. What it will not take for
// what is in it is put aside as a dead letter; while it takes nothing at all, nothing is put
// aside, and everything waits.
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
)

// maxAnswerBytes is how much of an answer is read; nothing in it counts.
const maxAnswerBytes = 16 << 10

// mostRetryAfter is how long a receiver may ask to be left alone.
const mostRetryAfter = 5 * time.Minute

// secretsEvery is how long signers are used before they are asked for again.
const secretsEvery = 10 * time.Second

// Sink posts changes. One goroutine calls it.
type Sink struct {
	cfg    Config
	poster *Poster

	signers   []*standardwebhooks.Webhook
	signersAt time.Time
	taken     engine.TrailPosition
	notBefore time.Time // the receiver wants to be left alone until then

	mu sync.Mutex
	// done are the changes that have arrived, and tried those that have not, of batches that
	// did not arrive as a whole.
	done  map[engine.TrailPosition]bool
	tried map[engine.TrailPosition]int
	last  *letter // that was taken
}

var (
	_ sinks.Sink     = (*Sink)(nil)
	_ sinks.Rewinder = (*Sink)(nil)
	_ sinks.Partial  = (*Sink)(nil)
)

// New makes a Sink, or says all that is wrong with cfg.
func New(cfg Config) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Sink{cfg: cfg, done: map[engine.TrailPosition]bool{}, tried: map[engine.TrailPosition]int{},
		poster: NewPoster(PosterConfig{URL: cfg.URL, ContentType: cfg.ContentType, Timeout: cfg.Timeout,
			Connections: cfg.InFlight, Allow: cfg.Allow})}, nil
}

// Open reads the secrets. The receiver keeps no position.
func (s *Sink) Open(context.Context) (at engine.TrailPosition, known bool, err error) {
	s.signersAt = time.Time{}
	return at, false, s.readSigners()
}

func (s *Sink) readSigners() error {
	if time.Since(s.signersAt) < secretsEvery {
		return nil
	}
	signers, err := s.cfg.Signers()
	if err == nil && len(signers) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	s.signers, s.signersAt = signers, time.Now()
	return nil
}

// Close drops the connections.
func (s *Sink) Close() error {
	s.poster.Close()
	return nil
}

// letter is a change as it is posted.
type letter struct {
	change *sinks.Change
	id     string
	body   []byte
}

// idOf is the webhook-id of a change: its place, and its time, which tells it from another
// change in that place if a recovery has lost this one.
func idOf(c *sinks.Change) string { return c.ID() + "." + strconv.FormatInt(int64(c.Time), 10) }

// Rewind forgets what has arrived: an operator wants it posted again.
func (s *Sink) Rewind(context.Context, engine.TrailPosition) error {
	clear(s.done)
	clear(s.tried)
	return nil
}

// Write posts what has not arrived yet. An error says that something has not, or is not
// taken: the changes from Taken on come again.
func (s *Sink) Write(ctx context.Context, changes []sinks.Change, _ engine.TrailPosition) error {
	s.taken = engine.TrailPosition{}
	if err := s.rest(ctx); err != nil {
		return err
	}
	if err := s.readSigners(); err != nil {
		return err
	}
	for rows := s.rows(changes); len(rows) > 0; rows = s.rows(changes) {
		if err := s.round(ctx, rows); err != nil {
			for i := range changes {
				if s.taken = changes[i].TrailPosition; !s.done[s.taken] {
					s.forget(changes[:i])
					break
				}
			}
			return err
		}
	}
	s.forget(changes)
	return nil
}

// forget has changes posted if they are ever handed over again.
func (s *Sink) forget(changes []sinks.Change) {
	for i := range changes {
		delete(s.done, changes[i].TrailPosition)
		delete(s.tried, changes[i].TrailPosition)
	}
}

// round posts rows side by side. Without an error each has arrived, or its first that was
// not taken is put aside.
func (s *Sink) round(ctx context.Context, rows [][]*sinks.Change) error {
	failures := make([]error, len(rows))
	failed := make([]*letter, len(rows)) // of each row the first that was not taken
	work := make(chan int)
	var inVain atomic.Int64 // one after the other
	var hands sync.WaitGroup
	for range min(s.cfg.InFlight, len(rows)) {
		hands.Go(func() {
			for i := range work {
				if inVain.Load() >= 2*int64(s.cfg.InFlight) {
					failures[i] = errTakesNothing
				} else if failed[i], failures[i] = s.post(ctx, rows[i]); failures[i] != nil {
					inVain.Add(1)
				} else {
					inVain.Store(0)
				}
			}
		})
	}
	for i := range rows {
		work <- i
	}
	close(work)
	hands.Wait()
	var first error
	p := probe{s: s}
	for i, l := range failed {
		why := failures[i]
		if l != nil {
			why = s.refused(ctx, l, why, &p)
		}
		if first == nil {
			first = why
		}
	}
	return first
}

// errTakesNothing is the error for what is not even tried.
var errTakesNothing = errors.New("the receiver takes nothing")

// probe finds out, once, whether the receiver takes what it has taken before.
type probe struct {
	s         *Sink
	asked, is bool
}

func (p *probe) takes(ctx context.Context) bool {
	if !p.asked {
		p.asked = true
		p.is = p.s.last != nil && p.s.send(ctx, p.s.last) == nil
	}
	return p.is
}

// Taken gives the first change of the batch that failed which has not arrived.
func (s *Sink) Taken() engine.TrailPosition { return s.taken }

// rest waits until the receiver may be asked again.
func (s *Sink) rest(ctx context.Context) error {
	wait := time.Until(s.notBefore)
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rows parts changes that have not arrived by order, or else by session, each in order.
func (s *Sink) rows(changes []sinks.Change) (rows [][]*sinks.Change) {
	at := map[string]int{}
	for i := range changes {
		c := &changes[i]
		if s.done[c.TrailPosition] {
			continue
		}
		of := cmp.Or(c.OrderNo, c.Session)
		row, there := at[of]
		if !there {
			row, at[of] = len(rows), len(rows)
			rows = append(rows, nil)
		}
		rows[row] = append(rows[row], c)
	}
	return rows
}

// post posts a row, one after the other, and gives the first that was not taken, and why.
func (s *Sink) post(ctx context.Context, row []*sinks.Change) (*letter, error) {
	for _, c := range row {
		body, err := s.cfg.Encode(c)
		if err != nil {
			return nil, fmt.Errorf("write change %s: %w", c.ID(), err)
		}
		l := &letter{c, idOf(c), body}
		if err := s.send(ctx, l); err != nil {
			return l, err
		}
		s.mu.Lock()
		s.done[c.TrailPosition], s.last = true, l
		s.mu.Unlock()
	}
	return nil, nil
}

// refused counts that a change was not taken, and puts it aside once that is for what is in
// it. Without an error it is dealt with.
func (s *Sink) refused(ctx context.Context, l *letter, why error, p *probe) error {
	if ctx.Err() != nil {
		return why
	}
	at := l.change.TrailPosition
	s.tried[at]++
	if s.tried[at] < s.cfg.Attempts {
		return why
	}
	// That the receiver does not take this one says nothing as long as it may take none. It is
	// asked to take once more what it has taken before, under the old id.
	var no *statusError
	if (!errors.As(why, &no) || !no.aboutContent()) && !p.takes(ctx) {
		return why
	}
	if err := s.cfg.Bury(ctx, l.change, why.Error()); err != nil {
		return err
	}
	s.done[at] = true
	return nil
}

// statusError is an answer that is no yes.
type statusError struct {
	status   int
	redirect string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the receiver answered with status %d", e.status)
	if e.redirect != "" {
		text += ", to " + e.redirect + "; redirects are not followed"
	}
	return text
}

// aboutContent reports whether the status is about what was posted, whoever posts it.
func (e *statusError) aboutContent() bool {
	switch e.status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// send posts one letter. Error: *statusError for an answer that is no yes.
func (s *Sink) send(ctx context.Context, l *letter) error {
	rest, err := s.poster.Post(ctx, l.id, l.body, s.signers)
	if rest > 0 {
		s.mu.Lock()
		s.notBefore = time.Now().Add(rest)
		s.mu.Unlock()
	}
	return err
}
