package settled

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
)

const (
	magic        = "DBORDERS"
	headVersion  = 1
	trailerBytes = 32
)

// span is the part of a head whose size is fixed.
type span struct {
	Session
	Oldest, Newest engine.Time // of grants; 0 without orders
}

// head is what a file says of itself, kept in memory, and beside the file.
type head struct {
	span
	shoppers, payments filter
	size               int64  // of the whole file
	rows, sum          uint64 // bytes of the rows, and their sum
}

// append appends head and trailer.
func (h *head) append(b []byte) []byte {
	le := binary.LittleEndian
	b, _ = binary.Append(append(b, headVersion), le, &h.span) // its size is fixed
	w := codec.Writer{Buf: b}
	h.shoppers.append(&w)
	h.payments.append(&w)
	w.Buf = le.AppendUint64(append(w.Buf, magic...), uint64(len(w.Buf)))
	w.Buf = le.AppendUint64(w.Buf, h.sum)
	return le.AppendUint64(w.Buf, xxhash.Sum64(w.Buf))
}

// readHead reads a file's end, which must be of what is expected. Errors:
// codec.ErrDamaged, engine.ErrNewerFormat.
func readHead(f *os.File, want Session) (*head, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size, le := info.Size(), binary.LittleEndian
	if size < trailerBytes {
		return nil, codec.Damaged("it has %d bytes", size)
	}
	b := make([]byte, trailerBytes)
	if _, err := f.ReadAt(b, size-trailerBytes); err != nil {
		return nil, err
	}
	length := le.Uint64(b[8:])
	if string(b[:8]) != magic || length > uint64(size-trailerBytes) {
		return nil, codec.Damaged("its end is not a trailer")
	}
	h := &head{size: size, rows: uint64(size) - trailerBytes - length}
	b = make([]byte, length+trailerBytes)
	if _, err := f.ReadAt(b, int64(h.rows)); err != nil {
		return nil, err
	}
	sum := len(b) - 8
	if xxhash.Sum64(b[:sum]) != le.Uint64(b[sum:]) {
		return nil, codec.Damaged("its head does not fit its checksum")
	}
	h.sum = le.Uint64(b[sum-8:])
	r := codec.Reader{Buf: b[:length]}
	r.Version(headVersion)
	_, _ = binary.Decode(r.Bytes(uint64(binary.Size(h.span))), le, &h.span) // the reader knows if there is too little
	h.shoppers, h.payments = readFilter(&r), readFilter(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if h.Session != want {
		return nil, codec.Damaged("it is of session %d as index %d left it at %d, %d orders, and not of index %d at "+
			"%d, "+
			"%d orders, or of another group", h.Handle, h.Index, h.At, h.Orders, want.Index, want.At, want.Orders)
	}
	return h, nil
}

// verify reads the whole file and compares it with its checksums and what is wanted.
func verify(ctx context.Context, f *os.File, want Session) (*head, error) {
	h, err := readHead(f, want)
	if err != nil {
		return nil, err
	}
	sum, err := sumRows(ctx, f, int64(h.rows))
	if err == nil && sum != h.sum {
		err = codec.Damaged("its rows do not fit their checksum")
	}
	return h, err
}

func sumRows(ctx context.Context, f *os.File, length int64) (uint64, error) {
	sum := xxhash.New()
	err := copyAll(ctx, sum, io.NewSectionReader(f, 0, length))
	return sum.Sum64(), err
}

// copyAll is io.Copy that ends with ctx.
func copyAll(ctx context.Context, to io.Writer, from io.Reader) error {
	for {
		if _, err := io.CopyN(to, from, 1<<20); err == io.EOF {
			return nil
		} else if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
	}
}

// file is an expected session's: another takes its place when it is expected anew, or
// installed.
type file struct {
	Session
	path    string
	missing atomic.Bool
	checks  sync.Mutex // held by check, so that readers read it once
	checked atomic.Bool
	head    atomic.Pointer[head]
	db      atomic.Pointer[bbolt.DB] // nil: to be opened
}

// load gives the head, reading it if need be.
func (f *file) load() (*head, error) {
	if h := f.head.Load(); h != nil {
		return h, nil
	}
	h, err := f.read(f.path)
	if err == nil {
		f.keep(h)
	}
	return h, err
}

// names gives the head from beside the file, where that is missing: what may be in it,
// and what not, is known all the same. It is nil if that is gone, too.
func (f *file) names() *head {
	if h := f.head.Load(); h != nil {
		return h
	}
	h, err := f.read(f.path + namesSuffix)
	if err != nil {
		return nil
	}
	f.head.Store(h)
	return h
}

// read reads the head of either.
func (f *file) read(path string) (*head, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return readHead(from, f.Session)
}

// keep takes a head in, also beside the file. That it can't be kept there matters only
// once the file is missing, and is said then.
func (f *file) keep(h *head) {
	f.head.Store(h)
	if _, err := f.read(f.path + namesSuffix); err != nil {
		if os.WriteFile(f.path+tmpSuffix, h.append(nil), 0o600) == nil {
			_ = os.Rename(f.path+tmpSuffix, f.path+namesSuffix)
		}
	}
}

// check reads the whole file, if nobody has yet.
func (f *file) check(ctx context.Context) error {
	f.checks.Lock()
	defer f.checks.Unlock()
	if f.checked.Load() {
		return nil
	}
	return f.recheck(ctx)
}

// recheck reads the whole file.
func (f *file) recheck(ctx context.Context) error {
	from, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer from.Close()
	h, err := verify(ctx, from, f.Session)
	if err == nil {
		f.keep(h)
		f.checked.Store(true)
	}
	return err
}

// open opens the file by its name, and makes sure that it is still the one that was
// checked: another may have got the name since.
func (f *file) open() (*os.File, error) {
	from, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	h, err := readHead(from, f.Session)
	if known := f.head.Load(); err == nil && known != nil && h.sum != known.sum {
		err = codec.Damaged("it is not the file that was checked")
	}
	if err != nil {
		from.Close()
		return nil, err
	}
	return from, nil
}

// close closes the database when nobody reads it any more. What was only read is closed
// without trouble, or has none that matters.
func (f *file) close() {
	if db := f.db.Swap(nil); db != nil {
		_ = db.Close()
	}
}

// view runs read in a transaction of a session's file, which is checked before. What
// read gets is good until it returns. Errors: ErrIncomplete, ErrClosed.
func (s *Store) view(f *file, read func(*bbolt.Tx) error) error {
	return s.try(f, func() error {
		for {
			db, err := s.database(f)
			if err == nil {
				err = guard(func() error { return db.View(read) })
			}
			if !errors.Is(err, bolterrors.ErrDatabaseNotOpen) { // else it was closed to make room
				return err
			}
		}
	})
}

// database opens a file, or shares it. The one that was opened first is closed if there
// are too many.
func (s *Store) database(f *file) (*bbolt.DB, error) {
	if db := f.db.Load(); db != nil {
		return db, nil
	}
	if err := f.check(context.Background()); err != nil {
		return nil, err
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	if db := f.db.Load(); db != nil {
		return db, nil
	}
	if _, err := s.file(f.Handle); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	if err := guard(func() (err error) {
		db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{ReadOnly: true, NoStatistics: true, Timeout: time.Second,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f.open() }})
		return err
	}); err != nil {
		return nil, err
	}
	f.db.Store(db)
	if s.open = append(s.open, f); len(s.open) > s.most {
		s.open[0].close()
		s.open = s.open[1:]
	}
	return db, nil
}

// guard runs do, and turns what a damaged file makes it panic with into an error: a
// page that leads nowhere, or that has been cut off since, faults.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(runtime.Error); fault {
				r = "a page of it leads nowhere, or was cut off"
			}
			err = fmt.Errorf("%w: %v", codec.ErrDamaged, r)
		}
	}()
	return do()
}
