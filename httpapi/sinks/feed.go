package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"doorbuster/engine"
)

// feed keeps one sink fed while this node leads. Its goroutine alone has the fields above mu.
type feed struct {
	Fed
	cfg  *Config
	log  *slog.Logger
	wait time.Duration // before the sink is opened again

	known    bool                 // the sink keeps its position
	at       engine.TrailPosition // the sink has all before it
	noted    engine.TrailPosition // what the group has noted, as far as this node knows
	notedAt  time.Time
	unnoted  bool   // changes were handed over since
	begins   uint64 // the replay that has begun once something is written; 0: none
	goneWith uint64 // the replay under which events were gone

	mu   sync.Mutex
	told Status
}

// graceful is how long a call may go on once the sink is to pause, or to go on elsewhere.
const graceful = 5 * time.Second

// commandTimeout bounds what the group is told.
const commandTimeout = 10 * time.Second

// errElsewhere ends a life of the sink without a failure: another leads, or an operator
// wants something else of it.
var errElsewhere = errors.New("the sink is to stop here")

// run feeds the sink until ctx ends.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		note := f.cfg.Shop.Sink(f.Name)
		switch {
		case !f.cfg.Shop.Leads():
			f.say(StateElsewhere)
		case note.Paused:
			f.say(StatePaused)
			f.look(note.At)
		case f.gone() && note.Replays == f.goneWith:
			f.say(StateGone)
		default:
			f.say(StateOpening)
			f.over(ctx, f.live(ctx, note))
			continue
		}
		f.pause(ctx, f.cfg.Every, note)
	}
}

// live opens the sink and feeds it until something ends that. note is what is noted of it.
func (f *feed) live(ctx context.Context, note *engine.SinkNote) (err error) {
	ctx, end := f.whileMeant(ctx, note)
	defer end()
	defer func() {
		f.calling(true)
		if closing := f.Sink.Close(); err == nil && closing != nil {
			err = fmt.Errorf("close: %w", closing)
		}
		f.calling(false)
	}()
	f.begins = 0
	f.calling(true)
	at, known, err := f.Sink.Open(ctx)
	f.calling(false)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if f.known, f.at, f.noted = known, note.At, note.At; known {
		f.at = at
	}
	if note.Begun != note.Replays {
		if err := f.rewind(ctx, note); err != nil {
			return err
		}
	}
	defer func() { // at the end, too: less is handed over again
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer stop()
		if noting := f.note(last); err == nil && noting != nil {
			err = noting
		}
	}()
	for err == nil && ctx.Err() == nil && f.meant(note) {
		err = f.turn(ctx)
	}
	return err
}

// rewind has the sink go on from where an operator wants it to.
func (f *feed) rewind(ctx context.Context, note *engine.SinkNote) error {
	f.at = note.At
	back, able := f.Sink.(Rewinder)
	switch {
	case !able && f.known:
		return errors.New("the sink keeps its position and can't be told another")
	case able:
		f.calling(true)
		err := back.Rewind(ctx, f.at)
		f.calling(false)
		if err != nil {
			return fmt.Errorf("go on from %s: %w", f.at, err)
		}
	}
	f.log.Info("a sink goes on from where an operator wants it to", "at", f.at.String())
	f.begins = note.Replays
	if !f.known { // the note is where it goes on from
		return f.begun(ctx)
	}
	return nil
}

// begun has the group note that a replay has begun. A sink that keeps its position may do so with
// what it is handed alone: until then it begins anew wherever it is opened again.
func (f *feed) begun(ctx context.Context) error {
	if f.begins == 0 {
		return nil
	}
	err := f.set(ctx, engine.SinkChange{Action: engine.SinkBegin, Replay: f.begins})
	if err == nil {
		f.begins = 0
	}
	return err
}

// turn hands over what comes next, or waits a little if there is nothing.
func (f *feed) turn(ctx context.Context) error {
	if err := f.sendAgain(ctx); err != nil {
		return err
	}
	events, next, err := f.read(f.at)
	if err != nil {
		return err
	}
	changes, err := f.changes(events)
	if err != nil {
		return err
	}
	if dead := f.cfg.Shop.Sink(f.Name); len(dead.Letters) > 0 { // they are sent again by wish alone
		changes = slices.DeleteFunc(changes, func(c Change) bool {
			_, is := dead.Letter(c.TrailPosition)
			return is
		})
	}
	if len(changes) > 0 {
		f.behind(&changes[0])
		f.say(StateFlowing)
		if err := f.write(ctx, changes, next); err != nil {
			if p, is := f.Sink.(Partial); is && f.at.Before(p.Taken()) {
				f.at, f.unnoted = p.Taken(), true
			}
			return err
		}
	} else if f.known && next.Index >= f.at.Index+idleEntries {
		if err := f.write(ctx, nil, next); err != nil {
			return err
		}
	}
	if len(changes) > 0 {
		if err := f.begun(ctx); err != nil {
			return err
		}
	}
	f.wait, f.at, f.unnoted = 0, next, f.unnoted || len(changes) > 0
	f.cameTo(len(changes))
	if len(events) == 0 {
		f.behind(nil)
		f.say(StateFlowing)
		idle, stop := context.WithTimeout(ctx, f.cfg.Every)
		f.cfg.Trail.AwaitEvents(idle, f.at)
		stop()
	}
	if time.Since(f.notedAt) >= f.cfg.NoteEvery {
		return f.note(ctx)
	}
	return nil
}

// idleEntries is after how many entries without anything for the sink its position is moved
// all the same, so that it does not fall behind what the trail keeps.
const idleEntries = 10_000

// read gives the events from a position on. Where the trail has dropped them, that is noted
// and ends the life of the sink.
func (f *feed) read(from engine.TrailPosition) ([]engine.TrailEvent, engine.TrailPosition, error) {
	events, next, err := f.cfg.Trail.Events(from, MaxBatch)
	var gone *engine.TrailGone
	if errors.As(err, &gone) && from == (engine.TrailPosition{}) { // it has had nothing yet
		f.log.Info("a new sink begins with the first event that is kept", "at", gone.First.String())
		events, next, err = f.cfg.Trail.Events(gone.First, MaxBatch)
	}
	if err != nil {
		return nil, next, fmt.Errorf("read the trail: %w", err)
	}
	for i := range events {
		if events[i].Missing != 0 { // up to there it can be had; not the gap
			if i > 0 {
				return events[:i], events[i-1].Next(), nil
			}
			return nil, next, fmt.Errorf("read the trail: %w", &engine.TrailGone{First: events[0].TrailPosition})
		}
	}
	return events, next, nil
}

// changes gives those of the events that the sink is handed, with their orders as they are now.
func (f *feed) changes(events []engine.TrailEvent) (changes []Change, err error) {
	var nos []string
	seen := map[string]bool{}
	for i := range events {
		e := &events[i]
		if !f.wants(e.Kind) {
			continue
		}
		changes = append(changes, Change{TrailEvent: *e})
		if e.OrderNo != "" && !seen[e.OrderNo] {
			seen[e.OrderNo], nos = true, append(nos, e.OrderNo)
		}
	}
	if len(nos) == 0 {
		return changes, nil
	}
	views, asOf, err := f.cfg.Shop.OrdersNow(nos)
	if err != nil {
		return nil, fmt.Errorf("look up orders: %w", err)
	}
	for i := range changes {
		if no := changes[i].OrderNo; no != "" {
			changes[i].Order, changes[i].AsOf = views[no], asOf
		}
	}
	return changes, nil
}

func (f *feed) write(ctx context.Context, changes []Change, next engine.TrailPosition) error {
	f.calling(true)
	err := f.Sink.Write(ctx, changes, next)
	f.calling(false)
	if err != nil {
		return fmt.Errorf("hand over %d changes up to %s: %w", len(changes), next, err)
	}
	return nil
}

// sendAgain hands over the dead letters that operators want sent again.
func (f *feed) sendAgain(ctx context.Context) error {
	for _, l := range f.cfg.Shop.Sink(f.Name).Letters {
		if !l.Again {
			continue
		}
		events, _, err := f.cfg.Trail.Events(l.At, 1)
		var gone *engine.TrailGone
		if errors.As(err, &gone) || err == nil && (len(events) == 0 || events[0].TrailPosition != l.At) {
			again := engine.SinkChange{Action: engine.SinkBury, Letter: engine.Letter{At: l.At, OrderNo: l.OrderNo,
				Why: "its event has been dropped by now"}}
			if err := f.set(ctx, again); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read the trail: %w", err)
		}
		changes, err := f.changes(events)
		if err == nil && len(changes) > 0 {
			err = f.write(ctx, changes, f.at)
		}
		if err != nil {
			return err
		}
		if now := f.cfg.Shop.Sink(f.Name); !letterWaits(now, l.At) { // it was put aside once more
			continue
		}
		arrived := engine.SinkChange{Action: engine.SinkArrive, Letters: []engine.TrailPosition{l.At}}
		if err := f.set(ctx, arrived); err != nil {
			return err
		}
	}
	return nil
}

// letterWaits reports whether a letter is still to be sent again.
func letterWaits(n *engine.SinkNote, at engine.TrailPosition) bool {
	i, is := n.Letter(at)
	return is && n.Letters[i].Again
}

// note has the group note how far the sink is, if that is worth an entry: each entry moves the
// end of the trail, too.
func (f *feed) note(ctx context.Context) error {
	if f.begins != 0 || !f.unnoted && f.at.Index < f.noted.Index+idleEntries || !f.noted.Before(f.at) {
		return nil
	}
	err := f.set(ctx, engine.SinkChange{Action: engine.SinkMove, From: f.noted, To: f.at})
	var no *engine.Refusal
	if errors.As(err, &no) && no.Reason == engine.ReasonConflict {
		return errElsewhere
	}
	if err == nil {
		f.noted, f.notedAt, f.unnoted = f.at, time.Now(), false
	}
	return err
}

func (f *feed) set(ctx context.Context, x engine.SinkChange) error {
	ctx, stop := context.WithTimeout(ctx, commandTimeout)
	defer stop()
	x.Name = f.Name
	if err := f.cfg.Shop.SetSink(ctx, engine.By{}, x, ""); err != nil {
		return fmt.Errorf("note of the sink (%s): %w", x.Action, err)
	}
	return nil
}

// bury is the sink's Bury.
func (f *feed) bury(ctx context.Context, c *Change, why string) error {
	why = cut(why, engine.MaxLetterBytes)
	err := f.set(ctx, engine.SinkChange{Action: engine.SinkBury,
		Letter: engine.Letter{At: c.TrailPosition, OrderNo: c.OrderNo, Why: why}})
	var no *engine.Refusal
	if errors.As(err, &no) && no.Reason == engine.ReasonTooMany {
		return ErrTooManyLetters
	}
	if err == nil {
		f.log.Warn("a change is put aside: the sink's other side refuses it", "at", c.ID(), "order_no", c.OrderNo,
			"why", why)
	}
	return err
}

// meant reports whether the sink is to go on as it was when note was read.
func (f *feed) meant(note *engine.SinkNote) bool {
	now := f.cfg.Shop.Sink(f.Name)
	return f.cfg.Shop.Leads() && !now.Paused && now.Replays == note.Replays
}

// whileMeant gives a context that ends when another leads, and a while after operators want
// something else of the sink.
func (f *feed) whileMeant(ctx context.Context, note *engine.SinkNote) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(f.cfg.Every)
		defer tick.Stop()
		var unmeant time.Time
		for {
			switch {
			case !f.cfg.Shop.Leads():
				end()
			case f.meant(note):
				unmeant = time.Time{}
			case unmeant.IsZero():
				unmeant = time.Now()
			case time.Since(unmeant) > graceful:
				end()
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, end
}

// over says what ended a life of the sink, and waits before the next one if it failed.
func (f *feed) over(ctx context.Context, err error) {
	note := f.cfg.Shop.Sink(f.Name)
	if err == nil || errors.Is(err, errElsewhere) || ctx.Err() != nil || !f.cfg.Shop.Leads() {
		return
	}
	var gone *engine.TrailGone
	if errors.As(err, &gone) {
		f.goneWith = note.Replays
		f.lost(gone.First)
		f.log.Error("a sink stands still: events that it has not had are gone", "at", f.at.String(),
			"first_kept", gone.First.String())
		return
	}
	f.wait = min(max(f.cfg.RetryFirst, 2*f.wait), f.cfg.RetryMost)
	wait := time.Duration(float64(f.wait) * (0.8 + 0.4*rand.Float64()))
	if first := f.failed(err, time.Now().Add(wait)); first {
		f.log.Warn("a sink failed; it is tried again", "at", f.at.String(), "error", err)
	}
	if f.at.Before(note.At) && !f.known {
		f.at = note.At
	}
	f.look(f.at)
	f.pause(ctx, wait, note)
}

// pause waits, at most until operators want something else of the sink.
func (f *feed) pause(ctx context.Context, wait time.Duration, note *engine.SinkNote) {
	till := time.Now().Add(wait)
	for left := wait; left > 0; left = time.Until(till) {
		select {
		case <-time.After(min(left, f.cfg.Every)):
		case <-ctx.Done():
			return
		}
		if now := f.cfg.Shop.Sink(f.Name); now.Paused != note.Paused || now.Replays != note.Replays ||
			!f.cfg.Shop.Leads() {
			f.wait = 0
			return
		}
	}
}

// look finds out how far a sink that is not fed is behind.
func (f *feed) look(at engine.TrailPosition) {
	f.mu.Lock()
	soon := time.Since(f.told.looked) < time.Second
	f.mu.Unlock()
	if soon {
		return
	}
	var next *Change
	for range 8 { // pages
		events, after, err := f.read(at)
		if err != nil {
			return
		}
		for i := range events {
			if f.wants(events[i].Kind) {
				next = &Change{TrailEvent: events[i]}
				break
			}
		}
		if next != nil || len(events) == 0 {
			break
		}
		at = after
	}
	f.behind(next)
}
