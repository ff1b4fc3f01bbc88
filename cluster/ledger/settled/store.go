package settled

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

var (
	// ErrIncomplete: the answer needs a session's file that is missing. It comes as an
	// *Incomplete, which names the sessions.
	ErrIncomplete = errors.New("settled orders are missing")
	// ErrClosed: the Store has been closed.
	ErrClosed = errors.New("settled orders can't be read any more")
)

// Incomplete is the ErrIncomplete of an answer, with the sessions whose files are
// missing, in ascending order.
type Incomplete struct{ Sessions []engine.SessionHandle }

func (e *Incomplete) Error() string {
	if len(e.Sessions) == 1 {
		return fmt.Sprintf("%v: those of session %d", ErrIncomplete, e.Sessions[0])
	}
	return fmt.Sprintf("%v: those of %d sessions, the first of them %d", ErrIncomplete, len(e.Sessions), e.Sessions[0])
}

func (e *Incomplete) Unwrap() error { return ErrIncomplete }

// Session identifies a session's file: another with the same handle is not it.
type Session struct {
	Handle engine.SessionHandle
	Index  engine.LogIndex // of the entry that settled it
	Orders uint32
	Group  [16]byte // whose log that is
}

// Config says where a Store is. Only Dir has no default.
type Config struct {
	Dir string
	// OpenFiles is how many files stay open: 256. More cost descriptors and mappings;
	// with fewer, more questions open a file, which takes a quarter of a millisecond.
	OpenFiles int
	// CheckBytes is how many bytes a second background checks read: 64 MiB.
	CheckBytes int
	// CheckEvery is how often all files are checked again, a day, and RetryEvery how
	// often the directory is looked at and peers are asked for what is missing, 10 s.
	CheckEvery, RetryEvery time.Duration
	Log                    *slog.Logger // slog.Default()
}

// Stats count what a Store has and had to do.
type Stats struct {
	Sessions, Missing, Unchecked int   // of those expected
	Bytes                        int64 // of the files that have been looked at
	Damaged                      int64 // files quarantined, or found to be gone, since Open
	Received                     int64 // files received from peers or a backup since Open
}

// Store reads and writes the files of a directory. It is safe for concurrent use.
type Store struct {
	cfg Config

	mu     sync.Mutex
	slots  map[engine.SessionHandle]*slot
	sorted []*slot                           // by handle; nil: to be made again
	found  map[engine.SessionHandle]struct{} // files that nobody has expected yet
	closed bool
	open   opened

	damaged, received atomic.Int64
	background        background
}

// slot is an expected session: its file is nil while that is missing.
type slot struct {
	want Session
	file atomic.Pointer[file]
}

const (
	fileSuffix    = ".orders"
	damagedSuffix = ".damaged"
	tmpSuffix     = ".tmp"
	keepDamaged   = 2 // files, the newest, for whoever wants to know what happened
)

// Open reads the names of a directory, which it makes if it is missing. What is
// there is looked at once it is expected.
func Open(cfg Config) (*Store, error) {
	cfg.OpenFiles = cmp.Or(cfg.OpenFiles, 256)
	cfg.CheckBytes = cmp.Or(cfg.CheckBytes, 64<<20)
	cfg.CheckEvery = cmp.Or(cfg.CheckEvery, 24*time.Hour)
	cfg.RetryEvery = cmp.Or(cfg.RetryEvery, 10*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	s := &Store{cfg: cfg, slots: map[engine.SessionHandle]*slot{}, open: opened{most: cfg.OpenFiles,
		handles: map[*file]*handle{}}}
	s.background.wakes = make(chan struct{}, 1)
	err := os.MkdirAll(cfg.Dir, 0o700)
	if err == nil {
		s.found, err = s.list(true)
	}
	return s, err
}

// list gives the sessions that there are files of, and removes what was being
// written when a process ended.
func (s *Store) list(clean bool) (map[engine.SessionHandle]struct{}, error) {
	dir, err := os.Open(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	found := map[engine.SessionHandle]struct{}{}
	for _, name := range names {
		if number, ok := strings.CutSuffix(name, fileSuffix); ok {
			if h, err := strconv.ParseUint(number, 10, 32); err == nil && name == fileName(engine.SessionHandle(h)) {
				found[engine.SessionHandle(h)] = struct{}{}
			}
		} else if clean && strings.HasSuffix(name, tmpSuffix) {
			err = errors.Join(err, os.Remove(filepath.Join(s.cfg.Dir, name)))
		}
	}
	return found, err
}

func fileName(h engine.SessionHandle) string { return strconv.FormatUint(uint64(h), 10) + fileSuffix }

func (s *Store) path(h engine.SessionHandle) string { return filepath.Join(s.cfg.Dir, fileName(h)) }

// Close ends what runs in the background and closes all files. Readers get ErrClosed
// from then on.
func (s *Store) Close() error {
	s.background.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for f := range s.open.handles {
		closeDB(s.open.retire(f))
	}
	return nil
}

// Expect says which sessions are settled, and so which files there ought to be; it
// reads none. Sessions of earlier calls stay expected; one that is named differently
// than before is expected as it is named now. Call it for a session once its orders
// are no longer to be had elsewhere: until it has a file, answers that may need it
// fail with ErrIncomplete. What has been written or received need not be named.
func (s *Store) Expect(sessions ...Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, want := range sessions {
		s.expect(want)
	}
	s.background.wake()
}

// expect is Expect of one, under the lock.
func (s *Store) expect(want Session) *slot {
	x := s.slots[want.Handle]
	if x != nil && x.want == want {
		return x
	}
	there := x != nil && x.file.Load() != nil
	if _, ok := s.found[want.Handle]; ok {
		there = true
		delete(s.found, want.Handle)
	}
	if x != nil {
		closeDB(s.open.retire(x.file.Load()))
	}
	x = &slot{want: want}
	if there {
		x.file.Store(&file{want: want, path: s.path(want.Handle)})
	}
	s.slots[want.Handle], s.sorted = x, nil
	return x
}

// Missing gives the expected sessions that have no file, in ascending order.
func (s *Store) Missing() (missing []engine.SessionHandle) {
	for _, x := range s.all() {
		if x.file.Load() == nil {
			missing = append(missing, x.want.Handle)
		}
	}
	return missing
}

// Has reports whether a session's file is there and whole; if it is there, the
// session is expected from then on. It reads the file if nobody has since Open.
func (s *Store) Has(ctx context.Context, want Session) (bool, error) {
	s.mu.Lock()
	_, there := s.found[want.Handle]
	if x := s.slots[want.Handle]; x != nil {
		there = x.file.Load() != nil
	}
	if s.closed || !there {
		defer s.mu.Unlock()
		return false, s.closedError()
	}
	x := s.expect(want)
	s.mu.Unlock()
	f := x.file.Load()
	if f == nil {
		return false, nil
	}
	err := f.check(ctx)
	if err != nil {
		err = s.condemn(x, f, err)
	}
	if errors.Is(err, ErrIncomplete) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) closedError() error {
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Stats counts.
func (s *Store) Stats() Stats {
	t := Stats{Damaged: s.damaged.Load(), Received: s.received.Load()}
	for _, x := range s.all() {
		t.Sessions++
		f := x.file.Load()
		if f == nil {
			t.Missing++
			continue
		}
		if !f.checked.Load() {
			t.Unchecked++
		}
		if h := f.head.Load(); h != nil {
			t.Bytes += h.size
		}
	}
	return t
}

// all gives the expected sessions in ascending order. The slice is not changed.
func (s *Store) all() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted == nil {
		s.sorted = make([]*slot, 0, len(s.slots))
		for _, x := range s.slots {
			s.sorted = append(s.sorted, x)
		}
		slices.SortFunc(s.sorted, func(a, b *slot) int { return cmp.Compare(a.want.Handle, b.want.Handle) })
	}
	return s.sorted
}

// slot gives an expected session, or nil. Error: ErrClosed.
func (s *Store) slot(h engine.SessionHandle) (*slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.slots[h], nil
}

// head gives the head of a session's file. Error: as of missing.
func (s *Store) head(x *slot) (h *head, err error) {
	f := x.file.Load()
	if f == nil {
		return nil, x.missing()
	}
	if h, err = f.load(); err != nil {
		err = s.condemn(x, f, err)
	}
	return h, err
}

// missing is the error of an answer that needs the session's file.
func (x *slot) missing() error { return &Incomplete{[]engine.SessionHandle{x.want.Handle}} }

// condemn looks at what reading f failed with. A file that is damaged, another's or
// gone is missing from then on, and quarantined if it is there; anything else is
// given back.
func (s *Store) condemn(x *slot, f *file, err error) error {
	if !unreadable(err) {
		return fmt.Errorf("orders of session %d: %w", x.want.Handle, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if x.file.CompareAndSwap(f, nil) {
		closeDB(s.open.retire(f))
		if s.slots[x.want.Handle] == x {
			s.quarantine(f, err)
		}
		s.background.wake()
	}
	return x.missing()
}

func (s *Store) quarantine(f *file, why error) {
	s.damaged.Add(1)
	s.cfg.Log.Error("the file of a settled session is damaged or gone: nothing that needs it is answered",
		"session", f.want.Handle, "error", why)
	to, now := f.path+damagedSuffix, time.Now()
	err := os.Rename(f.path, to)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	err = errors.Join(err, os.Chtimes(to, now, now), s.dropDamaged())
	if err != nil {
		s.cfg.Log.Error("a damaged file can't be quarantined", "session", f.want.Handle, "error", err)
	}
}

// dropDamaged removes all but the newest quarantined files.
func (s *Store) dropDamaged() error {
	names, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*"+damagedSuffix))
	age := map[string]time.Time{}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			age[name] = info.ModTime()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return age[b].Compare(age[a]) })
	for _, name := range names[min(len(names), keepDamaged):] {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// install gives a file that is whole and on disk its name. The session is expected
// from then on.
func (s *Store) install(tmp string, want Session, h *head) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := os.Rename(tmp, s.path(want.Handle)); err != nil {
		return err
	}
	x := s.expect(want)
	closeDB(s.open.retire(x.file.Load()))
	f := &file{want: want, path: s.path(want.Handle)}
	f.head.Store(h)
	f.checked.Store(true)
	x.file.Store(f)
	dir, err := os.Open(s.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
