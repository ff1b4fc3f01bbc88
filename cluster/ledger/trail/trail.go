package trail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// ErrNotReady: nothing can be read before Own has said whose trail it should be.
var ErrNotReady = errors.New("the trail does not know yet whose it is")

// Trail is one node's. Applied, Restored, Own and Disown are for the goroutine that
// applies, or for whoever opens the trail before that runs; the other methods are
// safe for concurrent use.
type Trail struct {
	cfg   Config
	queue *queue
	peers Peers

	disk sync.Mutex // held by who writes, renames or removes files; taken before mu
	tail *building  // the last segment, nil if it is sealed
	// What the goroutine that writes uses again.
	recs         []wal.Record
	data, frames []byte

	mu sync.Mutex // of what follows; never held over a look at the disk
	view
	group    [16]byte
	known    bool
	advanced chan struct{} // closed and replaced when upto moves

	wanted   atomic.Uint64 // somebody waits for it
	work     chan struct{} // for the keeper
	ready    chan struct{} // closed by the first Own
	roll     atomic.Bool   // the last segment is damaged: it is to be sealed, and found out
	rebuilds atomic.Int64
	trouble  atomic.Pointer[string]

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
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
	t := &Trail{cfg: cfg, advanced: make(chan struct{}), work: make(chan struct{}, 1), ready: make(chan struct{}),
		queue: &queue{most: cfg.QueueEvents, wake: make(chan struct{}, 1), room: make(chan struct{})}}
	t.ctx, t.stop = context.WithCancel(context.Background())
	names, err := listSegments(&cfg)
	for i := 0; i < len(names) && err == nil; i++ {
		if err = t.open(names[i], i == len(names)-1); errors.Is(err, codec.ErrDamaged) {
			t.setAside(names[i], err)
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	return t, nil
}

// listSegments gives the names of a directory's segments, in order, and removes what was
// not installed.
func listSegments(c *Config) ([]string, error) {
	if err := c.FS.MkdirAll(c.Dir); err != nil {
		return nil, err
	}
	names, err := c.FS.List(c.Dir)
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			err = cmp.Or(err, c.FS.Remove(filepath.Join(c.Dir, name)))
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffix) })
	slices.Sort(names)
	return names, err
}

func (t *Trail) path(name string) string { return filepath.Join(t.cfg.Dir, name) }

// open lists a segment; the last is gone on with.
func (t *Trail) open(name string, last bool) error {
	s, err := openSegment(t.cfg.FS, t.path(name))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case s.sealed:
		t.segs = append(t.segs, s)
		return nil
	case !last:
		return codec.Damaged("it has no summary, and is not the last")
	}
	b := newBuilding(&t.cfg, s.header)
	cut, rotten, err := b.recover()
	if err != nil {
		if b.file != nil {
			b.file.Close()
		}
		return err
	}
	if rotten {
		t.rebuilds.Add(1)
		t.cfg.Logger.Error("ALARM: the trail's last segment was damaged; what is behind the damage is cut off",
			"bytes", cut, "log_index", b.upto)
	} else if cut > 0 {
		t.cfg.Logger.Warn("the trail's last commit was not whole; it is cut off", "bytes", cut, "log_index", b.upto)
	}
	t.tail, t.segs = b, append(t.segs, b.live())
	return nil
}

// setAside has a file that is not listed any more quarantined; disk is held.
func (t *Trail) setAside(name string, why error) {
	t.rebuilds.Add(1)
	t.cfg.Logger.Error("ALARM: a segment of the trail is damaged or another's; it is quarantined",
		"segment", name, "error", why, "failure", vfs.Quarantine(t.cfg.FS, t.cfg.Dir, name))
}

// Own tells the trail which group it is of: a secret of the cluster's that the state
// derives, not zero. It must be called before the first Applied or Restored of that
// group's state. Segments of another group are quarantined.
func (t *Trail) Own(group [16]byte) {
	t.disk.Lock()
	defer t.disk.Unlock()
	if t.known || group == [16]byte{} {
		return
	}
	var v view
	for _, s := range t.segs { // nobody else looks at them yet
		switch {
		case s.group != group:
			t.setAside(s.name(), errors.New("it belongs to another cluster"))
		case s.after >= v.upto:
			v = view{append(v.segs, s), s.upto, s.last}
			continue
		case s.upto <= v.upto && v.segs[len(v.segs)-1].kind != whole: // a crash kept it from being removed
			if err := t.cfg.FS.Remove(t.path(s.name())); err != nil {
				t.cfg.Logger.Warn("a thinned segment of the trail could not be removed", "error", err)
			}
		default:
			t.setAside(s.name(), errors.New("it covers what another segment does"))
		}
		if !s.sealed {
			t.tail.file.Close()
			t.tail = nil
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view, t.group, t.known = v, group, true
	t.queue.reset(v.upto)
	t.tell()
	close(t.ready)
}

// Reaches is the last entry that the directory's segments tell of, whoever's they are.
// Call it before Own.
func (t *Trail) Reaches() engine.LogIndex {
	if n := len(t.segs); n > 0 {
		return t.segs[n-1].last.index
	}
	return 0
}

// Opened is the last entry that is known: when that very index is applied again,
// another time, epoch or sequence means that the trail is of another log (Disown).
// index is 0 if there is none, and epoch is 0 where only index and time are known.
// Before Own it is the last of whoever wrote the segments.
func (t *Trail) Opened() (index engine.LogIndex, at engine.Time, epoch engine.Epoch, sequence uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.last
	for i := 0; i < len(t.segs) && !t.known; i++ {
		if s := t.segs[i]; s.last.index > last.index {
			last = s.last
		}
	}
	return last.index, last.time, last.epoch, last.number
}

// Disown has all of the trail quarantined, and another begun, without what was applied
// before: it was of another log or group.
func (t *Trail) Disown(why error) {
	t.disk.Lock()
	defer t.disk.Unlock()
	segs := t.now().segs
	t.mu.Lock()
	t.view = view{}
	t.queue.reset(0)
	t.tell()
	t.mu.Unlock()
	if t.tail != nil {
		t.tail.file.Close() // the file is another's, whatever it says
		t.tail = nil
	}
	t.rebuilds.Add(1)
	t.cfg.Logger.Error("ALARM: the trail is another's; it is quarantined and begun anew", "error", why)
	for _, s := range segs {
		t.setAside(s.name(), why)
	}
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
		t.cfg.Logger.Error("ALARM: the trail can't keep up; entries are lost to it until a peer has them",
			"log_index", e.Index)
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
		room := t.queue.fuller(t.cfg.QueueEvents / 2)
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

// now gives the trail as it is.
func (t *Trail) now() view {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view
}

// Index is the log index up to which everything is on disk, but for gaps; 0 before Own.
func (t *Trail) Index() engine.LogIndex { return t.now().upto }

// tell wakes who waits for the index; mu is held.
func (t *Trail) tell() {
	close(t.advanced)
	t.advanced = make(chan struct{})
}

// await waits until Index is at least index, or ctx or the trail ends.
func (t *Trail) await(ctx context.Context, index engine.LogIndex) error {
	for {
		t.mu.Lock()
		upto, advanced := t.upto, t.advanced
		t.mu.Unlock()
		if upto >= index {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("the trail is on disk up to %d and not to %d: %w", upto, index, ctx.Err())
		case <-t.ctx.Done():
			return fmt.Errorf("the trail is closed: %w", context.Canceled)
		}
	}
}

// Await has everything up to index written at once, and waits for that. The error is
// ctx's end, or that the trail was closed.
func (t *Trail) Await(ctx context.Context, index engine.LogIndex) error {
	at := t.wanted.Load()
	for uint64(index) > at && !t.wanted.CompareAndSwap(at, uint64(index)) {
		at = t.wanted.Load()
	}
	signal(t.queue.wake)
	return t.await(ctx, index)
}

// AwaitEvents waits until the trail reaches a position, or ctx ends, and gives up to
// which index it reaches.
func (t *Trail) AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex {
	_ = t.await(ctx, from.Index) // how far it got is the answer
	return t.Index()
}

// Stats are what a trail tells of itself.
type Stats struct {
	Index       engine.LogIndex
	Waiting     int           // events that are not on disk yet, and their entries
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
	v := t.now()
	s := Stats{Index: v.upto, Rebuilds: t.rebuilds.Load(), QueueEvents: t.cfg.QueueEvents,
		Gaps: int64(len(v.gaps())), FirstEvent: v.reaches(thinned) + 1}
	if why := t.trouble.Load(); why != nil {
		s.Trouble = *why
	}
	var since engine.Time
	if s.Waiting, since, s.Lost = t.queue.waiting(); since > v.last.time && v.last.time > 0 {
		s.Behind = since.Sub(v.last.time)
	}
	for _, seg := range v.segs {
		s.Bytes += seg.size
	}
	return s
}
