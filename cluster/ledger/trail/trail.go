package trail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// ErrNotReady: nothing can be read before Own has said whose trail it should be.
var ErrNotReady = errors.New("the trail does not know yet whose it is")

// What makes a trail, or a segment of it, another's.
var (
	errOtherGroup = errors.New("it belongs to another cluster")
	errOverlap    = errors.New("it covers what another segment does")
)

// Trail is one node's. Applied, Restored, Own and Disown are for the goroutine that
// applies, or for whoever opens the trail before that runs; the other methods are
// safe for concurrent use.
type Trail struct {
	cfg   Config
	queue *queue
	peers Peers

	disk sync.Mutex // taken before mu by who renames or removes files that are listed
	mu   sync.Mutex // of what follows; never held over a look at the disk
	segs []*segment // sealed ones, in order; replaced, never changed
	live *segment   // what is on disk of the one that is written to, nil if there is none
	last entry      // durable
	// dropped: nothing is kept up to here. It is on disk before anything is removed.
	dropped    engine.LogIndex
	group      [16]byte
	known      bool
	generation int // raised by Disown
	aside      []quarantined
	advanced   chan struct{} // closed and replaced when last moves

	tail *building // nil if there is none; of the goroutine that writes

	index    atomic.Uint64 // of last
	wanted   atomic.Uint64 // somebody waits for it
	poke     chan struct{}
	work     chan struct{} // for the keeper
	ready    chan struct{} // closed by the first Own
	roll     atomic.Bool   // the live segment is damaged: it is to be sealed, and found out
	rebuilds atomic.Int64
	gaps     atomic.Int64
	trouble  atomic.Pointer[string]

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// quarantined is a file that is to be renamed.
type quarantined struct {
	name string
	why  error
}

// Open opens the trail in a directory, or begins one. It reads the ends of sealed
// segments, and the whole of the one that was written last: what a crash left behind
// its last whole commit is cut off. Errors: engine.ErrNewerFormat, and what the disk
// says. Nothing can be read before Own.
func Open(cfg Config) (*Trail, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.SegmentBytes = min(cfg.SegmentBytes, cfg.KeepBytes/8)
	t := &Trail{cfg: cfg, queue: newQueue(cfg.QueueEvents), advanced: make(chan struct{}),
		poke: make(chan struct{}, 1), work: make(chan struct{}, 1), ready: make(chan struct{})}
	t.ctx, t.stop = context.WithCancel(context.Background())
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	return t, nil
}

func (t *Trail) path(name string) string { return filepath.Join(t.cfg.Dir, name) }

func (t *Trail) open() error {
	if err := t.cfg.FS.MkdirAll(t.cfg.Dir); err != nil {
		return err
	}
	names, err := t.cfg.FS.List(t.cfg.Dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	if t.dropped, err = readHorizon(t.cfg.FS, t.cfg.Dir); err != nil {
		return err
	}
	var open []*segment
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			if err := t.cfg.FS.Remove(t.path(name)); err != nil {
				return err
			}
		}
		if _, ours := namedAfter(name); !ours {
			continue
		}
		s, err := openSegment(t.cfg.FS, t.path(name))
		switch {
		case errors.Is(err, errDamaged):
			t.setAside(name, err)
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case s.sealed:
			t.segs = append(t.segs, s)
		default:
			open = append(open, s)
		}
	}
	for i, s := range open {
		if i < len(open)-1 || len(t.segs) > 0 && t.segs[len(t.segs)-1].after > s.after {
			t.setAside(s.name(), damaged("it has no summary, and is not the last"))
			continue
		}
		if err := t.openTail(s); err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	t.reach()
	return nil
}

// openTail goes on with the segment that was written last.
func (t *Trail) openTail(s *segment) error {
	b := newBuilding(t.cfg.FS, t.cfg.Dir, s.header)
	cut, rotten, err := b.recover()
	switch {
	case errors.Is(err, errDamaged):
		b.file.Close()
		t.setAside(s.name(), err)
		return nil
	case err != nil:
		return err
	case rotten:
		t.rebuilds.Add(1)
		t.cfg.Logger.Error("ALARM: the trail's last segment was damaged; what is behind the damage is cut off", "bytes", cut, "log_index", b.last.index)
	case cut > 0:
		t.cfg.Logger.Warn("the trail's last commit was not whole; it is cut off", "bytes", cut, "log_index", b.last.index)
	}
	t.tail, t.live = b, b.live()
	return nil
}

// setAside has a file that is not listed any more quarantined.
func (t *Trail) setAside(name string, why error) {
	t.rebuilds.Add(1)
	t.aside = append(t.aside, quarantined{name, why})
	t.cfg.Logger.Error("ALARM: a segment of the trail is damaged or another's; it is quarantined", "segment", name, "error", why)
}

// arrange keeps what is in order of the listed segments.
func (t *Trail) arrange() {
	segs := t.segs
	t.segs = nil
	prev := &segment{contents: contents{last: entry{index: t.dropped}}}
	for _, s := range segs {
		switch {
		case s.group != t.group:
			t.setAside(s.name(), errOtherGroup)
		case s.last.index <= t.dropped || prev.thinned && s.last.index <= prev.last.index: // a crash kept it from being removed
			t.aside = append(t.aside, quarantined{name: s.name()})
		case s.after < prev.last.index && len(t.segs) > 0:
			t.setAside(s.name(), errOverlap)
		default:
			t.segs = append(t.segs, s)
			prev = s
		}
	}
	if why := error(nil); t.live != nil {
		if t.live.group != t.group {
			why = errOtherGroup
		} else if t.live.after < prev.last.index && len(t.segs) > 0 {
			why = errOverlap
		}
		if why != nil {
			t.setAside(t.live.name(), why)
			t.tail.file.Close()
			t.tail, t.live = nil, nil
		}
	}
	t.reach()
}

// reach finds out how far the listed segments reach.
func (t *Trail) reach() {
	t.last = entry{index: t.dropped}
	if len(t.segs) > 0 {
		t.last = t.segs[len(t.segs)-1].last
	}
	if t.live != nil && t.live.last.index > t.last.index {
		t.last = t.live.last
	}
	if index := t.last.index; t.index.Swap(uint64(index)) != uint64(index) {
		t.queue.reset(index)
	}
}

// Own tells the trail which group it is of: a secret of the cluster's that the state
// derives, not zero. It must be called before the first Applied or Restored of that
// group's state. Segments of another group are quarantined.
func (t *Trail) Own(group [16]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known || group == [16]byte{} {
		return
	}
	ours := func(s *segment) bool { return s.group == group }
	if !slices.ContainsFunc(t.segs, ours) && (len(t.segs) > 0 || t.live != nil && !ours(t.live)) {
		t.dropped = 0 // the horizon was another's
	}
	t.group, t.known = group, true
	t.arrange()
	t.tell()
	close(t.ready)
}

// Opened is the last entry that is on disk: when that very index is applied again,
// another time, epoch or sequence means that the trail is of another log (Disown).
// index is 0 if there is none, and epoch is 0 where only index and time are known.
// It holds once Own was called.
func (t *Trail) Opened() (index engine.LogIndex, at engine.Time, epoch engine.Epoch, sequence uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.index, t.last.time, t.last.epoch, t.last.number
}

// Disown has all of the trail quarantined, and another begun, without what was applied
// before: it was of another log or group.
func (t *Trail) Disown(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.segs {
		t.aside = append(t.aside, quarantined{s.name(), why})
	}
	if t.live != nil {
		t.aside = append(t.aside, quarantined{t.live.name(), why})
	}
	t.rebuilds.Add(1)
	t.cfg.Logger.Error("ALARM: the trail is another's; it is quarantined and begun anew", "error", why)
	t.segs, t.live, t.last, t.dropped = nil, nil, entry{}, 0
	t.generation++
	t.index.Store(0)
	t.queue.reset(0)
	t.tell()
	signal(t.poke)
}

// Start begins to write. Call it once; peers is nil for a node that is alone.
func (t *Trail) Start(peers Peers) {
	t.peers = peers
	for _, run := range []func(){t.write, t.keep} {
		t.running.Go(func() {
			select {
			case <-t.ready:
				run()
			case <-t.ctx.Done():
			}
		})
	}
}

// Close writes what waits, as far as that takes no longer than a moment, and ends.
// Nothing must be applied any more.
func (t *Trail) Close() error {
	t.stop()
	t.running.Wait()
	if t.tail == nil {
		return nil
	}
	err := t.tail.file.Close()
	t.tail = nil
	return err
}

// Applied takes in what one entry did. It is called in log order, and neither waits nor
// looks at the disk. Entries up to Index are ignored. Between two calls, indexes may be
// left out: nothing happened there. The effects are kept, and read later: nobody must
// change them. What there is no room for leaves a gap.
func (t *Trail) Applied(e *engine.Effects) {
	if t.queue.add(e) {
		t.cfg.Logger.Error("ALARM: the trail can't keep up; entries are lost to it until a peer has them", "log_index", e.Index)
	}
}

// Restored takes in that a snapshot at a log index, of a state time, has replaced the
// state, at the start too. What lies between the trail and it did not come: a gap.
func (t *Trail) Restored(index engine.LogIndex, at engine.Time) {
	t.queue.restored(entry{index: index, time: at})
}

// AwaitRoom waits while more than half the queue is full, until stop is closed. It does
// not wait for a disk that fails: sales go on, with an alarm.
func (t *Trail) AwaitRoom(stop <-chan struct{}) {
	for {
		room := t.queue.full()
		if room == nil || t.trouble.Load() != nil {
			return
		}
		select {
		case <-room:
		case <-stop:
			return
		case <-t.ctx.Done():
			return
		}
	}
}

// Index is the log index up to which everything is on disk, but for gaps; 0 before Own.
func (t *Trail) Index() engine.LogIndex {
	select {
	case <-t.ready:
		return engine.LogIndex(t.index.Load())
	default:
		return 0
	}
}

// tell wakes who waits for the index; mu is held.
func (t *Trail) tell() {
	close(t.advanced)
	t.advanced = make(chan struct{})
}

// await waits until Index is at least index, or ctx or the trail ends.
func (t *Trail) await(ctx context.Context, index engine.LogIndex, ask func()) error {
	for {
		t.mu.Lock()
		advanced := t.advanced
		t.mu.Unlock()
		if t.Index() >= index {
			return nil
		}
		ask()
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("the trail is on disk up to %d and not to %d: %w", t.Index(), index, ctx.Err())
		case <-t.ctx.Done():
			return fmt.Errorf("the trail is closed: %w", context.Canceled)
		}
	}
}

// Await has everything up to index written at once, and waits for that. The error is
// ctx's end, or that the trail was closed.
func (t *Trail) Await(ctx context.Context, index engine.LogIndex) error {
	return t.await(ctx, index, func() {
		for at := t.wanted.Load(); uint64(index) > at && !t.wanted.CompareAndSwap(at, uint64(index)); at = t.wanted.Load() {
		}
		signal(t.poke)
	})
}

// AwaitEvents waits until the trail reaches a position, or ctx ends, and gives up to
// which index it reaches.
func (t *Trail) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	_ = t.await(ctx, from.Index, func() {}) // how far it got is the answer
	return t.Index()
}

// Stats are what a trail tells of itself.
type Stats struct {
	Index       engine.LogIndex
	Waiting     int           // events that are not on disk yet
	Behind      time.Duration // between the time of the first that waits and that of what is on disk; 0 if nothing waits
	Bytes       int64         // on disk, but for what is quarantined
	Rebuilds    int64         // segments quarantined, or cut for damage, since the start
	Gaps        int64         // that are there now
	Lost        int64         // entries since the start for which the queue had no room
	FirstEvent  engine.LogIndex
	Trouble     string // why nothing can be written just now, "" if it can
	QueueEvents int
}

// Stats gives the figures. It asks no disk.
func (t *Trail) Stats() Stats {
	s := Stats{Index: t.Index(), Rebuilds: t.rebuilds.Load(), QueueEvents: t.cfg.QueueEvents}
	if why := t.trouble.Load(); why != nil {
		s.Trouble = *why
	}
	var since engine.Time
	s.Waiting, since = t.queue.waiting()
	t.mu.Lock()
	v := t.viewed()
	at := t.last.time
	t.mu.Unlock()
	if s.Waiting > 0 && since > at && at > 0 {
		s.Behind = since.Sub(at)
	}
	for i := range v.len() {
		s.Bytes += v.at(i).bytes()
	}
	s.Gaps, s.FirstEvent = int64(len(v.gaps())), v.thinned()+1
	t.queue.mu.Lock()
	s.Lost = t.queue.lost
	t.queue.mu.Unlock()
	return s
}
