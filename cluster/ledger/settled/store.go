package settled

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal/vfs"
)

var (
	// ErrIncomplete: the answer needs a session's file that is missing. It comes as an
	// *Incomplete, which names the sessions.
	ErrIncomplete = fmt.Errorf("%w: settled orders are missing", codec.ErrUnreadable)
	// ErrClosed: the Store has been closed.
	ErrClosed = fmt.Errorf("%w: it is closed", codec.ErrUnreadable)
)

// Incomplete is the ErrIncomplete of an answer, with the sessions whose files are
// missing, in ascending order.
type Incomplete struct{ Sessions []engine.SessionHandle }

func (e *Incomplete) Error() string {
	return fmt.Sprintf("%v: those of %d sessions, the first of them %d", ErrIncomplete, len(e.Sessions), e.Sessions[0])
}

func (e *Incomplete) Unwrap() error { return ErrIncomplete }

// Session identifies a session's file: another with the same handle is not it.
type Session struct {
	Handle engine.SessionHandle
	Index  engine.LogIndex // of the entry that settled it
	At     engine.Time     // of that entry
	Orders uint32
	Group  [16]byte // whose log that is
}

// mostBytes bounds what a peer's file may have: several times what the longest of
// everything takes.
func (want Session) mostBytes() int64 { return 64<<20 + int64(want.Orders)<<13 }

func (want Session) missing() error { return &Incomplete{[]engine.SessionHandle{want.Handle}} }

// Config says where a Store is.
type Config struct {
	Dir string
	Log *slog.Logger // slog.Default()
}

const (
	fileSuffix  = ".orders"
	namesSuffix = ".names"
	tmpSuffix   = ".tmp"
	// openFiles is how many files stay open. More cost descriptors and mappings; with
	// fewer, more questions open a file, which takes a quarter of a millisecond.
	openFiles = 256
	// retryEvery is how often files are looked for, and peers asked for what is missing.
	retryEvery = 10 * time.Second
	// checkShare: checking rests so many times as long as it takes.
	checkShare = 4
)

// Stats count what a Store has and had to do.
type Stats struct {
	Missing, Unchecked int   // of those expected
	Bytes              int64 // of the files that have been looked at
	Damaged            int64 // files quarantined, or found to be gone, since Open
	Received           int64 // files received from peers or a backup since Open
}

// Store reads and writes the files of a directory. It is safe for concurrent use.
type Store struct {
	cfg   Config
	most  int // open files
	chunk int64
	retry time.Duration

	mu     sync.Mutex
	files  map[engine.SessionHandle]*file // expected ones
	sorted []*file                        // by handle; nil: to be made again
	closed bool

	opening sync.Mutex // of what follows
	open    []*file    // those that were opened, and not yet closed to make room

	damaged, received atomic.Int64
	wake              chan struct{}
	end               context.CancelFunc
	ctx               context.Context
	running           sync.WaitGroup
}

// Open opens a directory, which it makes if it is missing. What is there is looked at
// once it is expected.
func Open(cfg Config) (*Store, error) {
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	s := &Store{cfg: cfg, most: openFiles, chunk: chunkBytes, retry: retryEvery, wake: make(chan struct{}, 1),
		files: map[engine.SessionHandle]*file{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	err := vfs.OS().MkdirAll(cfg.Dir)
	if err != nil {
		return nil, err
	}
	names, err := vfs.OS().List(cfg.Dir)
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) { // it was being written when a process ended
			err = errors.Join(err, os.Remove(filepath.Join(cfg.Dir, name)))
		}
	}
	return s, err
}

func (s *Store) path(h engine.SessionHandle) string {
	return filepath.Join(s.cfg.Dir, strconv.FormatUint(uint64(h), 10)+fileSuffix)
}

// Close ends what runs in the background and closes all files. Readers get ErrClosed
// from then on.
func (s *Store) Close() error {
	s.end()
	s.running.Wait()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.opening.Lock()
	defer s.opening.Unlock()
	for _, f := range s.open {
		f.close()
	}
	s.open = nil
	return nil
}

// Expect says which sessions are settled, and so which files there ought to be; of those
// it finds out whether they are there, and reads none. Sessions of earlier calls stay expected; one
// that is named differently than before is expected as it is named now. Call it for a session once
// its orders are no longer to be had elsewhere: until it has a file, answers that may need it fail
// with ErrIncomplete. What has been written or received need not be named.
func (s *Store) Expect(sessions ...Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, want := range sessions {
		s.expect(want)
	}
	signal(s.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// expect is Expect of one, under the lock.
func (s *Store) expect(want Session) *file {
	if old := s.files[want.Handle]; old != nil && old.Session == want {
		return old
	}
	f := &file{Session: want, path: s.path(want.Handle)}
	_, err := os.Stat(f.path)
	f.missing.Store(err != nil)
	return s.replace(f)
}

// replace has f expected in the place of another, under the lock.
func (s *Store) replace(f *file) *file {
	if old := s.files[f.Handle]; old != nil {
		old.close()
	}
	s.files[f.Handle], s.sorted = f, nil
	return f
}

// all gives the expected sessions in ascending order. The slice is not changed.
func (s *Store) all() []*file {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted == nil {
		s.sorted = slices.SortedFunc(maps.Values(s.files),
			func(a, b *file) int { return cmp.Compare(a.Handle, b.Handle) })
	}
	return s.sorted
}

// file gives an expected session, or nil. Error: ErrClosed.
func (s *Store) file(h engine.SessionHandle) (*file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	return s.files[h], nil
}

// Missing gives the expected sessions that have no file, in ascending order.
func (s *Store) Missing() (missing []engine.SessionHandle) {
	for _, f := range s.all() {
		if f.missing.Load() {
			missing = append(missing, f.Handle)
		}
	}
	return missing
}

// has reports whether a session's file is there and whole; if it is there, the session
// is expected from then on. It reads the file if nobody has since Open.
func (s *Store) has(ctx context.Context, want Session) (bool, error) {
	if _, err := os.Stat(s.path(want.Handle)); err != nil {
		return false, nil
	}
	s.mu.Lock()
	f := s.expect(want)
	s.mu.Unlock()
	err := s.try(f, func() error { return f.check(ctx) })
	if errors.Is(err, ErrIncomplete) {
		return false, nil
	}
	return err == nil, err
}

// Stats counts.
func (s *Store) Stats() Stats {
	t := Stats{Damaged: s.damaged.Load(), Received: s.received.Load()}
	for _, f := range s.all() {
		if f.missing.Load() {
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

// try has do read a session's file. One that turns out to be damaged, another's or gone
// is missing from then on, and quarantined if it is there. Errors: ErrIncomplete,
// ErrClosed, ctx's end, and what the disk says.
func (s *Store) try(f *file, do func() error) error {
	if f.missing.Load() {
		return f.Session.missing()
	}
	err := do()
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	if !errors.Is(err, codec.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.EOF) &&
		!errors.Is(err, syscall.EIO) {
		return fmt.Errorf("orders of session %d: %w", f.Handle, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.files[f.Handle] == f && f.missing.CompareAndSwap(false, true) {
		f.checked.Store(false)
		f.close()
		s.damaged.Add(1)
		s.cfg.Log.Error("the file of a settled session is damaged or gone: nothing that needs it is answered",
			"session", f.Handle, "error", err, "failure", vfs.Quarantine(vfs.OS(), s.cfg.Dir, filepath.Base(f.path)))
		signal(s.wake)
	}
	return f.Session.missing()
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
	f := s.replace(&file{Session: want, path: s.path(want.Handle)})
	f.keep(h)
	f.checked.Store(true)
	return vfs.OS().SyncDir(s.cfg.Dir)
}

// Start has files looked at and checked in the background, and missing ones received
// from peers, who are nil for a node that is alone. Close ends that. Call it once.
func (s *Store) Start(peers Peers) {
	s.running.Go(func() {
		retry := time.NewTicker(s.retry)
		defer retry.Stop()
		for s.ctx.Err() == nil {
			s.look()
			if peers != nil {
				s.fill(peers)
			}
			select {
			case <-s.ctx.Done():
			case <-s.wake:
			case <-retry.C:
			}
		}
	})
}

// look looks at what is there: first at heads, for questions by shopper and payment.
func (s *Store) look() {
	all := s.all()
	for _, f := range all {
		_, err := os.Stat(f.path)
		if err == nil {
			f.missing.Store(false) // somebody may have put it back
		}
		_ = s.try(f, func() error { // what is wrong is said there
			if err == nil {
				_, err = f.load()
			}
			return err
		})
	}
	for _, f := range all {
		if f.missing.Load() || f.checked.Load() || s.ctx.Err() != nil {
			continue
		}
		began := time.Now()
		_ = s.try(f, func() error { return f.check(s.ctx) })
		rest := time.NewTimer(checkShare * time.Since(began))
		select {
		case <-rest.C:
		case <-s.ctx.Done():
		}
		rest.Stop()
	}
}

// fill receives what is missing. What nobody can send now is asked for again later.
func (s *Store) fill(peers Peers) {
	missing, failed, why := s.Missing(), 0, error(nil)
	for _, h := range missing {
		if err := s.receive(s.ctx, h, func(offset int64) ([]byte, int64, error) {
			return peers.SessionChunk(s.ctx, h, offset)
		}); err != nil {
			failed, why = failed+1, err
		}
	}
	if failed > 0 && s.ctx.Err() == nil {
		s.cfg.Log.Warn("settled sessions' files are missing, and no other node has sent them",
			"files", failed, "error", why)
	}
}
