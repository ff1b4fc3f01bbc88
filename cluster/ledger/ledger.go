package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// Config of a Ledger. Start from DefaultConfig.
type Config struct {
	// Dir is the ledger's own directory. It is made if missing.
	Dir string
	// QueueEvents is how many events may wait to be written. Default 1,048,576, some
	// 60 MiB; 1,024 to 67,108,864. What does not fit is made up for from the state, and its events from
	// another node.
	QueueEvents int
	// CommitEvery is how long events gather before they are written. Default 50 ms,
	// 1 ms to 10 s; ten times as long while they come by the thousands. Less keeps readers of
	// events closer, and the disk busier.
	CommitEvery time.Duration
	// KeepEvents is how long events are kept, in state time. Default 90 days, 1 min to
	// 20 years.
	KeepEvents time.Duration
	// KeepEventBytes bounds the events on disk, about 200 bytes each with what finds
	// them. Default 4 GiB, 1 MiB at least. The oldest are dropped first; operators' deeds
	// only once they alone fill a quarter.
	KeepEventBytes int64
	// Archive has the orders of settled sessions written to files of their own,
	// too: for a node that is alone, which has nobody to copy them from.
	Archive bool
	// Owner names the data directory, at random: what a file of the same owner has
	// was in the log of that directory. "" of no directory.
	Owner string
	// Logger hears of damage, holes and what is made anew; required.
	Logger *slog.Logger

	trimEvery time.Duration // tests'; 0 is the usual
}

// DefaultConfig is what suits a node.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, QueueEvents: 1 << 20, CommitEvery: 50 * time.Millisecond, KeepEvents: 90 * 24 * time.Hour, KeepEventBytes: 4 << 30, Logger: slog.Default()}
}

// Validate tells every field that is out of bounds.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("no directory for the ledger")
	}
	if c.QueueEvents < 1024 || c.QueueEvents > 1<<26 {
		bad("queue of %d events; it must be 1024 to %d", c.QueueEvents, 1<<26)
	}
	if c.CommitEvery < time.Millisecond || c.CommitEvery > 10*time.Second {
		bad("events gather for %s; it must be 1ms to 10s", c.CommitEvery)
	}
	if c.KeepEvents < time.Minute || c.KeepEvents > 20*365*24*time.Hour {
		bad("events are kept for %s; it must be 1m to 20 years", c.KeepEvents)
	}
	if c.KeepEventBytes < 1<<20 {
		bad("%d bytes of events are under 1 MiB", c.KeepEventBytes)
	}
	return errors.Join(errs...)
}

// Source is the committed state.
type Source interface {
	// View calls read with the state under a reader's lock.
	View(read func(*engine.State))
}

// Others copies from other nodes' ledgers. Met by the cluster's node; nil alone.
type Others interface {
	// Copy asks a node whose ledger reaches to least, or further, for a page.
	// An error means that nobody could be asked now.
	Copy(ctx context.Context, least engine.LogIndex, r CopyRequest) (CopyPage, error)
}

// Ledger is one node's. It is told of every applied entry (Applied, Restored) from
// the moment that it is open; the other methods are safe for concurrent use.
type Ledger struct {
	cfg    Config
	logger *slog.Logger
	feed   *feed
	source Source
	others Others

	mu    sync.RWMutex // of store: taken to write it by the one who puts a file aside
	store *store       // nil while there is none
	head  head         // as on disk; of the goroutine that writes

	index    atomic.Uint64 // durable
	names    atomic.Pointer[names]
	numberer atomic.Pointer[engine.Numberer] // learned before there is a row that may be told; never nil

	waiting  sync.Mutex
	advanced chan struct{} // closed and replaced when index moves
	wanted   atomic.Uint64 // somebody waits for it
	poke     chan struct{}

	suspect  atomic.Bool // a reader has come upon damage
	checked  atomic.Bool // the file was walked after it was opened
	whole    atomic.Bool // and nothing is known to be missing
	missing  atomic.Int64
	rebuilds atomic.Int64
	gaps     atomic.Int64
	trouble  atomic.Pointer[string]
	keptFrom atomic.Uint64 // the first index of events that are kept
	at       atomic.Int64  // state time of index

	trimmed   time.Time // old events, last; of the goroutine that writes
	refetched time.Time // settled sessions that are missing, last; of the same

	opened  atomic.Pointer[head] // as it was found; nil once that is gone
	known   atomic.Bool          // the file is this group's, or empty: before that, nothing of it is told
	foreign atomic.Pointer[disowned]

	stop    context.CancelFunc
	ctx     context.Context
	started bool
	running sync.WaitGroup
}

// Open opens the ledger in a directory, or begins one. A damaged file is put aside;
// what it held comes from elsewhere once Start was called. Errors:
// engine.ErrNewerFormat, and what the disk says.
func Open(cfg Config) (*Ledger, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, logger: cfg.Logger, feed: newFeed(cfg.QueueEvents), advanced: make(chan struct{}), poke: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.names.Store(newNames())
	l.numberer.Store(&engine.Numberer{})
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := l.openFile(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Ledger) path() string { return filepath.Join(l.cfg.Dir, "ledger.db") }

// openFile opens the database; one that is damaged is put aside for a new one.
func (l *Ledger) openFile() error {
	for first := true; ; first = false {
		s, h, fresh, err := openStore(l.path())
		if err == nil {
			l.adopt(s, h)
			if fresh && first {
				l.whole.Store(true) // until something turns out to have been before it
			}
			return nil
		}
		if !first || !errors.Is(err, errDamaged) {
			return fmt.Errorf("ledger: %w", err)
		}
		if err := l.putAside(err); err != nil {
			return err
		}
	}
}

// adopt goes on with an open database.
func (l *Ledger) adopt(s *store, h head) {
	l.mu.Lock()
	l.store = s
	l.mu.Unlock()
	l.head = h
	l.opened.Store(&h)
	l.index.Store(uint64(h.index))
	l.at.Store(int64(h.time))
	l.known.Store(h.group == [16]byte{}) // last: from here on it is told
	if h.lacking {
		l.feed.miss()
	}
}

// asideKept is how many damaged files are kept for whoever wants to look into them.
const asideKept = 2

// putAside moves the file out of the way.
func (l *Ledger) putAside(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		l.store.close() // what it says of a damaged file helps nobody
		l.store = nil
	}
	l.whole.Store(false)
	l.rebuilds.Add(1)
	for i := asideKept; i >= 1; i-- {
		older := fmt.Sprintf("%s.damaged-%d", l.path(), i)
		if i == asideKept {
			os.Remove(older)
		} else {
			os.Rename(older, fmt.Sprintf("%s.damaged-%d", l.path(), i+1))
		}
	}
	aside := l.path() + ".damaged-1"
	if err := os.Rename(l.path(), aside); err != nil {
		return fmt.Errorf("ledger: put a damaged file aside: %w", err)
	}
	l.logger.Error("ALARM: the ledger was damaged; it is put aside and made anew", "file", filepath.Base(aside), "error", why)
	l.names.Store(newNames())
	l.known.Store(false)
	l.opened.Store(nil)
	l.feed.miss()
	return nil
}

// Start begins to write. Call it once, when the state can be read; others is nil
// for a node that is alone.
func (l *Ledger) Start(source Source, others Others) {
	l.source, l.others, l.started = source, others, true
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		l.run()
	}()
}

// Close writes what waits, as far as that takes no longer than a moment, and ends.
// No entry must be applied any more.
func (l *Ledger) Close() error {
	l.stop()
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	err := l.store.close()
	l.store = nil
	return err
}

// Applied takes in what one entry did. It is called by the goroutine that applies,
// in order, and neither waits nor looks at the disk. The effects are kept, and read
// later: nobody must change them.
func (l *Ledger) Applied(s *engine.State, e *engine.Effects) {
	l.recognise(s)
	if uint64(e.Index) > l.index.Load() {
		l.feed.add(e)
		return
	}
	if o := l.opened.Load(); o != nil && e.Index == o.index && (e.Time != o.time || o.epoch != 0 && (e.Header.Epoch != o.epoch || e.Header.Sequence != o.number)) {
		l.disown(o, errOtherLog)
	}
}

// recognise finds out whose the file is, as soon as the state tells whose that is:
// a file from elsewhere must be put aside before anybody is told of what is in it.
func (l *Ledger) recognise(s *engine.State) {
	if l.known.Load() {
		return
	}
	o := l.opened.Load()
	group := groupOf(s)
	switch {
	case o == nil || group == [16]byte{}:
	case o.group != group:
		l.disown(o, errOtherGroup)
	default:
		l.learnNumberer(s)
		l.known.Store(true)
		l.tell()
	}
}

// disowned says of the file that was opened with a head why it is not of this log.
type disowned struct {
	opened *head
	why    error
}

// disown has the file that was opened with o put aside.
func (l *Ledger) disown(o *head, why error) {
	l.foreign.Store(&disowned{o, why})
	l.feed.signal()
}

// notOurs says why the file must be put aside, nil if nothing speaks against it.
func (l *Ledger) notOurs() error {
	if d := l.foreign.Load(); d != nil && d.opened == l.opened.Load() {
		return d.why
	}
	return nil
}

// Proves gives a log index that this data directory's own log has reached, as its
// ledger was written from there; 0: nothing is known. Call it before Start.
func (l *Ledger) Proves() engine.LogIndex {
	if o := l.opened.Load(); o != nil && o.owner != "" && o.owner == l.cfg.Owner {
		return o.index
	}
	return 0
}

// Bound tells the ledger, before Start, where the node's log ends: a file that
// reaches further was not written from it, but by another node, or before another
// generation took over without what this one knows.
func (l *Ledger) Bound(last engine.LogIndex) {
	if o := l.opened.Load(); o != nil && o.index > last {
		l.disown(o, fmt.Errorf("%w: it reaches to %d, and this node's log to %d", errDamaged, o.index, last))
	}
}

// Restored takes in that a snapshot has replaced the state. What lies between it
// and the ledger has to come from elsewhere.
func (l *Ledger) Restored(s *engine.State) {
	l.recognise(s)
	if o := l.opened.Load(); o != nil && o.index != 0 && o.index == s.LogIndex() && o.time != s.Now() {
		l.disown(o, errOtherLog)
	}
	if index := s.LogIndex(); uint64(index) > l.index.Load() && !l.feed.reached(index) {
		l.whole.Store(false)
		l.feed.miss()
	}
}

// Index is the log index up to which everything is on disk; 0 until that has been
// checked, and the file is known to be this group's.
func (l *Ledger) Index() engine.LogIndex {
	if !l.checked.Load() || !l.mayTell() {
		return 0
	}
	return engine.LogIndex(l.index.Load())
}

// moved tells everybody who waits that the ledger is on disk up to h.
func (l *Ledger) moved(h *head) {
	l.head = *h
	l.index.Store(uint64(h.index))
	l.at.Store(int64(h.time))
	l.tell()
}

// mayTell is false while the file may be from elsewhere.
func (l *Ledger) mayTell() bool { return l.known.Load() && l.notOurs() == nil }

func (l *Ledger) tell() {
	l.waiting.Lock()
	close(l.advanced)
	l.advanced = make(chan struct{})
	l.waiting.Unlock()
}

// Await waits until everything up to index is on disk. The error is ctx's end, or
// that the ledger was closed.
func (l *Ledger) Await(ctx context.Context, index engine.LogIndex) error {
	for {
		l.waiting.Lock()
		advanced := l.advanced
		l.waiting.Unlock()
		if l.Index() >= index {
			return nil
		}
		for at := l.wanted.Load(); uint64(index) > at && !l.wanted.CompareAndSwap(at, uint64(index)); at = l.wanted.Load() {
		}
		select {
		case l.poke <- struct{}{}:
		default:
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("the ledger is on disk up to %d and not to %d: %w", l.Index(), index, ctx.Err())
		case <-l.ctx.Done():
			return fmt.Errorf("the ledger is closed: %w", context.Canceled)
		}
	}
}

// Stats are what a ledger tells of itself.
type Stats struct {
	Index       engine.LogIndex
	Waiting     int           // events that are not on disk yet
	Behind      time.Duration // between the state's time and that of what is on disk; 0 if nothing waits
	Bytes       int64         // of the file
	Rebuilds    int64         // files put aside since the start
	Gaps        int64         // holes in the trail noted since the start
	Missing     int64         // settled sessions whose orders could not be had yet
	FirstEvent  engine.LogIndex
	Whole       bool   // the file was checked, and nothing is known to be missing
	Trouble     string // why nothing can be written just now, "" if it can
	QueueEvents int
}

// behindTooFar is how far behind the state a ledger may be before it is an alarm.
const behindTooFar = time.Minute

// Alarms tells what of the ledger somebody must see to. It asks no disk.
func (l *Ledger) Alarms() (alarms []engine.Alarm) {
	alarm := func(name engine.AlarmName, advice, format string, args ...any) {
		alarms = append(alarms, engine.Alarm{Name: name, Detail: fmt.Sprintf(format, args...), Advice: advice})
	}
	s := l.inMemory()
	if s.Trouble != "" {
		alarm(engine.AlarmLedgerBlocked, "Sales go on; nothing is settled and no snapshot taken until it can. Give its "+
			"disk room.", "The ledger can't be written: %s.", s.Trouble)
	}
	if s.Missing > 0 {
		alarm(engine.AlarmLedgerMissing, "Neither another node nor an archive has had them yet: bring the others back, or "+
			"an archive.", "The ledger lacks the orders of %d settled sessions.", s.Missing)
	}
	if s.Behind > behindTooFar {
		alarm(engine.AlarmLedgerBehind, "Its disk is too slow.", "The ledger is %s behind, with %d events to write.",
			s.Behind.Round(time.Second), s.Waiting)
	}
	if s.Gaps > 0 {
		alarm(engine.AlarmLedgerGaps, "Another node may have what is missing.",
			"The trail of events has %d new holes since the start.", s.Gaps)
	}
	if s.Rebuilds > 0 {
		alarm(engine.AlarmLedgerRebuilt, "Check its disk; this is said until the node is started again.",
			"The ledger was damaged, put aside and made anew, %d times since the start.", s.Rebuilds)
	}
	return alarms
}

// Stats gives the figures.
func (l *Ledger) Stats() Stats {
	s := l.inMemory()
	if info, err := os.Stat(l.path()); err == nil {
		s.Bytes = info.Size()
	}
	return s
}

// inMemory gives those that ask no disk.
func (l *Ledger) inMemory() Stats {
	s := Stats{Index: l.Index(), Rebuilds: l.rebuilds.Load(), Gaps: l.gaps.Load(), Missing: l.missing.Load(), Whole: l.whole.Load(),
		FirstEvent: engine.LogIndex(l.keptFrom.Load()), QueueEvents: l.cfg.QueueEvents}
	if t := l.trouble.Load(); t != nil {
		s.Trouble = *t
	}
	var since engine.Time
	s.Waiting, since = l.feed.waiting()
	if at := engine.Time(l.at.Load()); s.Waiting > 0 && since > at && at > 0 {
		s.Behind = since.Sub(at)
	}
	return s
}
