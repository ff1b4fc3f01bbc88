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
var ErrNotReady = fmt.Errorf("%w: the trail does not know yet whose it is", codec.ErrUnreadable)

// Trail is one node's. Applied, Restored, Own and Disown are for the goroutine that
// applies, or for the code that opens the trail before that runs; the other methods are
// safe for concurrent use.
type Trail struct {
	cfg   Config
	queue *queue
	peers Peers

	disk  sync.Mutex       // held by who writes, renames or removes files; taken before mu
	tails [kinds]*building // the last segment of each kind, nil if it is sealed
	// What the goroutine that writes uses again.
	recs         []wal.Record
	data, frames []byte

	mu sync.Mutex // of what follows; never held over a look at the disk
	views
	group    [16]byte
	known    bool
	advanced chan struct{} // closed and replaced when upto moves

	wanted   atomic.Uint64 // somebody waits for it
	work     chan struct{} // for the keeper
	ready    chan struct{} // closed by the first Own
	rebuilds atomic.Int64

	pageBytes int64
	trouble   atomic.Pointer[string]

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
	t := &Trail{cfg: cfg, pageBytes: pageBytes, advanced: make(chan struct{}), work: make(chan struct{}, 1),
		ready: make(chan struct{}),
		queue: &queue{most: cfg.QueueEvents, wake: make(chan struct{}, 1), room: make(chan struct{})}}
	t.ctx, t.stop = context.WithCancel(context.Background())
	for kind := range kinds {
		t.views[kind].kind = kind
		names, err := listSegments(&cfg, kind)
		for i := 0; i < len(names) && err == nil; i++ {
			if err = t.open(kind, names[i], i == len(names)-1); errors.Is(err, codec.ErrDamaged) {
				if s := t.rescue(kind, names[i], err); s != nil {
					t.views[kind].segs = append(t.views[kind].segs, s)
				}
				err = nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("trail: %w", err)
		}
	}
	return t, nil
}

// listSegments gives the names of a directory's segments of a kind, in order, and removes
// what was not installed.
func listSegments(c *Config, kind int) ([]string, error) {
	if err := c.FS.MkdirAll(c.Dir); err != nil {
		return nil, err
	}
	names, err := c.FS.List(c.Dir)
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			err = cmp.Or(err, c.FS.Remove(filepath.Join(c.Dir, name)))
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, suffixes[kind]) })
	slices.Sort(names)
	return names, err
}

func (t *Trail) path(name string) string { return filepath.Join(t.cfg.Dir, name) }

// open lists a segment; the last is gone on with.
func (t *Trail) open(kind int, name string, last bool) error {
	s, err := openSegment(t.cfg.FS, t.path(name))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case s.sealed:
		t.views[kind].segs = append(t.views[kind].segs, s)
		return nil
	case !last:
		return codec.Damaged("it has no summary, and is not the last")
	}
	b, kept := newBuilding(&t.cfg, s.header), engine.LogIndex(0)
	if segs := t.views[events].segs; kind == deeds && len(segs) > 0 {
		kept = segs[len(segs)-1].upto // deeds are on disk before the events that they are among
	}
	cut, err := b.recover(kept)
	if err != nil {
		return err
	}
	if cut > 0 {
		t.cfg.Logger.Warn("the trail's last commit was not whole; it is cut off", "bytes", cut, "log_index", b.upto)
	}
	t.tails[kind], t.views[kind].segs = b, append(t.views[kind].segs, b.live())
	return nil
}

// setAside has a file that is not listed any more quarantined; disk is held.
func (t *Trail) setAside(name string, why error) {
	t.rebuilds.Add(1)
	t.cfg.Logger.Error("ALARM: a segment of the trail is damaged or another's; it is quarantined",
		"segment", name, "error", why, "failure", vfs.Quarantine(t.cfg.FS, t.cfg.Dir, name))
}

// rescue has a damaged file that is not listed any more quarantined, and makes a segment
// of the intact frames before the damage; disk is held. It is nil if there are none.
func (t *Trail) rescue(kind int, name string, why error) *segment {
	b, err := t.intact(kind, name)
	t.setAside(name, why)
	if err != nil || b == nil {
		return nil
	}
	s, err := b.finish()
	if err != nil {
		t.cfg.Logger.Warn("what was intact of a damaged segment could not be kept", "segment", name, "error", err)
		return nil
	}
	return s
}

// intact builds a segment of a file's intact frames, up to the first that is not.
func (t *Trail) intact(kind int, name string) (*building, error) {
	f, err := t.cfg.FS.OpenRead(t.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := readAt(f, 0, headerBytes)
	if err != nil {
		return nil, err
	}
	h, err := headerOf(head)
	if err != nil || h.kind != kind || h.name() != name || h.gone || t.known && h.group != t.group {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	var recs []wal.Record
	_ = scan(f, headerBytes, size, func(rec *wal.Record) (bool, error) { // it ends at the damage
		rec.Meta, rec.Data = slices.Clone(rec.Meta), slices.Clone(rec.Data)
		recs = append(recs, *rec)
		return true, nil
	})
	if len(recs) == 0 {
		return nil, nil
	}
	p := Page{Group: h.group, After: h.after, Time: h.time, Upto: engine.LogIndex(recs[len(recs)-1].Index),
		Frames: wal.AppendBatch(nil, recs)}
	return p.build(&t.cfg, kind, h.owner)
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
	var all views
	for kind := range kinds {
		all[kind] = t.sort(kind, group)
	}
	// Deeds are on disk before the events that they are among: what the last segment does
	// not have of them up to there, there was not.
	d, upto := &all[deeds], all[events].upto
	if b := t.tails[deeds]; b != nil {
		b.upto = max(b.upto, upto)
		d.segs[len(d.segs)-1] = b.live()
	}
	d.upto = max(d.upto, upto)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.views, t.group, t.known = all, group, true
	t.queue.reset(upto)
	t.tell()
	close(t.ready)
}

// sort gives a kind's segments that are the group's; the others are quarantined.
func (t *Trail) sort(kind int, group [16]byte) view {
	v := view{kind: kind}
	for _, s := range t.views[kind].segs { // nobody else looks at them yet
		switch {
		case s.group != group:
			t.setAside(s.name(), errors.New("it belongs to another cluster"))
		case s.after >= v.upto:
			v.segs, v.upto, v.last = append(v.segs, s), s.upto, s.last
			continue
		case s.upto <= v.dropped(): // a crash kept it from being removed
			if err := t.cfg.FS.Remove(t.path(s.name())); err != nil {
				t.cfg.Logger.Warn("a segment of the trail could not be removed", "error", err)
			}
		default:
			t.setAside(s.name(), errors.New("it covers what another segment does"))
		}
		if !s.sealed {
			t.tails[kind].file.Close()
			t.tails[kind] = nil
		}
	}
	return v
}

// Writer reports whether the directory's last segment was written from the log of this
// data directory, or of another. Call it before Own.
func (t *Trail) Writer() (own, other bool) {
	if segs := t.views[events].segs; len(segs) > 0 {
		owner := segs[len(segs)-1].owner
		return owner != 0 && owner == t.cfg.owner(), owner != 0 && owner != t.cfg.owner()
	}
	return false, false
}

// Opened is the last entry that is known: when that very index is applied again,
// another time, epoch or sequence means that the trail is of another log (Disown).
// index is 0 if there is none, and epoch is 0 where only index and time are known.
// Before Own it is the last of whoever wrote the segments.
func (t *Trail) Opened() (index engine.LogIndex, at engine.Time, epoch engine.Epoch, sequence uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &t.views[events]
	last := v.last
	if n := len(v.segs); n > 0 && !t.known {
		last = v.segs[n-1].last
	}
	return last.index, last.time, last.epoch, last.number
}

// Disown has all of the trail quarantined, and another begun, without what was applied
// before: it was of another log or group.
func (t *Trail) Disown(why error) {
	t.disk.Lock()
	defer t.disk.Unlock()
	all := t.now()
	t.mu.Lock()
	for kind := range kinds {
		t.views[kind] = view{kind: kind}
	}
	t.queue.reset(0)
	t.tell()
	t.mu.Unlock()
	t.rebuilds.Add(1)
	t.cfg.Logger.Error("ALARM: the trail is another's; it is quarantined and begun anew", "error", why)
	for kind, v := range all {
		if b := t.tails[kind]; b != nil {
			b.file.Close() // the file is another's, whatever it says
			t.tails[kind] = nil
		}
		for _, s := range v.segs {
			t.setAside(s.name(), why)
		}
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
	var errs []error
	for kind, b := range t.tails {
		if b != nil {
			errs = append(errs, b.file.Close())
			t.tails[kind] = nil
		}
	}
	return errors.Join(errs...)
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
func (t *Trail) now() views {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.views
}

// Index is the log index up to which everything is on disk, but for gaps; 0 before Own.
func (t *Trail) Index() engine.LogIndex { return t.now()[events].upto }

// tell wakes who waits for the index; mu is held.
func (t *Trail) tell() {
	close(t.advanced)
	t.advanced = make(chan struct{})
}

// await waits until Index is at least index, or ctx or the trail ends.
func (t *Trail) await(ctx context.Context, index engine.LogIndex) error {
	for {
		t.mu.Lock()
		upto, advanced := t.views[events].upto, t.advanced
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
	Behind      time.Duration // how long the first that waits has waited since it was committed; 0 if nothing waits
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
	all := t.now()
	v := &all[events]
	s := Stats{Index: v.upto, Rebuilds: t.rebuilds.Load(), QueueEvents: t.cfg.QueueEvents,
		Gaps: int64(len(v.gaps(v.upto)) + len(all[deeds].gaps(v.dropped()))), FirstEvent: v.dropped() + 1}
	if why := t.trouble.Load(); why != nil {
		s.Trouble = *why
	}
	var since time.Time
	if s.Waiting, since, s.Lost = t.queue.waiting(); !since.IsZero() {
		s.Behind = max(0, t.cfg.Now().Sub(since))
	}
	for _, seg := range slices.Concat(v.segs, all[deeds].segs) {
		s.Bytes += seg.size
	}
	return s
}
