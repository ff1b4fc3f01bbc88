package settled

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cespare/xxhash/v2"

	"doorbuster/engine"
)

// errDamaged: a file does not hold what was written to it, or is not the one that
// is expected.
var errDamaged = errors.New("damaged")

const (
	magic          = "DBORDERS"
	formatVersion  = 1
	summaryVersion = 1
	filterVersion  = 1
	trailerBytes   = len(magic) + 8 + 3*16 + 8
)

// Summary is a settled session: what its file says of itself.
type Summary struct {
	Session
	At             engine.Time // of the entry that settled it
	Oldest, Newest engine.Time // grants; 0 without orders
	Listings       []Listing
	Digest         [32]byte // SHA-256 of its orders
}

// Listing is a listing of such a session, as it was then.
type Listing struct {
	Listing                                  engine.ListingHandle
	Price                                    int64
	Stock, Available, Paid, Released, Buyers int64
}

func (s *Summary) append(w *writer) {
	w.buf = append(w.buf, summaryVersion)
	w.buf = append(w.buf, s.Group[:]...)
	w.uint(uint64(s.Handle))
	w.uint(uint64(s.Index))
	w.uint(uint64(s.Orders))
	w.int(int64(s.At))
	w.int(int64(s.Oldest))
	w.int(int64(s.Newest))
	w.buf = append(w.buf, s.Digest[:]...)
	w.uint(uint64(len(s.Listings)))
	for _, l := range s.Listings {
		w.uint(uint64(l.Listing))
		for _, v := range [...]int64{l.Price, l.Stock, l.Available, l.Paid, l.Released, l.Buyers} {
			w.int(v)
		}
	}
}

func summaryOf(body []byte) (s Summary, err error) {
	r := reader{buf: body}
	r.version(summaryVersion)
	copy(s.Group[:], r.bytes(uint64(len(s.Group))))
	s.Handle, s.Index, s.Orders = engine.SessionHandle(r.uint32()), engine.LogIndex(r.uint()), r.uint32()
	s.At, s.Oldest, s.Newest = engine.Time(r.int()), engine.Time(r.int()), engine.Time(r.int())
	copy(s.Digest[:], r.bytes(uint64(len(s.Digest))))
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		s.Listings = append(s.Listings, Listing{Listing: engine.ListingHandle(r.uint32()),
			Price: r.int(), Stock: r.int(), Available: r.int(), Paid: r.int(), Released: r.int(), Buyers: r.int()})
	}
	return s, r.done()
}

// trailer says of a file's three parts how long they are, and what they sum up to.
type trailer struct{ length, sum [3]uint64 }

const (
	partRows = iota
	partFilters
	partSummary
)

func (t *trailer) bytes() []byte {
	b := binary.LittleEndian.AppendUint64([]byte(magic), formatVersion)
	for i := range t.length {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, t.length[i]), t.sum[i])
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// readTrailer reads a file's end. Errors: errDamaged, engine.ErrNewerFormat.
func readTrailer(f *os.File) (t trailer, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return t, 0, err
	}
	size = info.Size()
	b := make([]byte, trailerBytes)
	if size < int64(len(b)) {
		return t, size, fmt.Errorf("%w: it has %d bytes", errDamaged, size)
	}
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil {
		return t, size, err
	}
	end := len(b) - 8
	if string(b[:len(magic)]) != magic || binary.LittleEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return t, size, fmt.Errorf("%w: its end is not a trailer", errDamaged)
	}
	if v := binary.LittleEndian.Uint64(b[len(magic):]); v > formatVersion {
		return t, size, fmt.Errorf("format %d, this build reads %d: %w", v, formatVersion, engine.ErrNewerFormat)
	}
	left := uint64(size) - uint64(len(b))
	for i := range t.length {
		at := b[len(magic)+8+16*i:]
		t.length[i], t.sum[i] = binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:])
		if t.length[i] > left {
			return t, size, fmt.Errorf("%w: it is cut", errDamaged)
		}
		left -= t.length[i]
	}
	if left != 0 {
		return t, size, fmt.Errorf("%w: it is too long", errDamaged)
	}
	return t, size, nil
}

// part reads one of the small parts and checks it.
func (t *trailer) part(f *os.File, i int) ([]byte, error) {
	at := uint64(0)
	for _, n := range t.length[:i] {
		at += n
	}
	b := make([]byte, t.length[i])
	if _, err := f.ReadAt(b, int64(at)); err != nil {
		return nil, err
	}
	if xxhash.Sum64(b) != t.sum[i] {
		return nil, fmt.Errorf("%w: part %d does not fit its checksum", errDamaged, i)
	}
	return b, nil
}

// summary reads the summary, which must be of what is expected.
func (t *trailer) summary(f *os.File, want Session) (s Summary, err error) {
	b, err := t.part(f, partSummary)
	if err == nil {
		s, err = summaryOf(b)
	}
	switch {
	case err != nil:
	case s.Group != want.Group:
		err = fmt.Errorf("%w: it is another group's", errDamaged)
	case s.Session != want:
		err = fmt.Errorf("%w: it is of session %d as index %d left it, %d orders, and not of index %d, %d orders",
			errDamaged, s.Handle, s.Index, s.Orders, want.Index, want.Orders)
	}
	return s, err
}

// head is what is kept in memory of a file.
type head struct {
	oldest, newest     engine.Time
	shoppers, payments filter
	size               int64
}

// file is a session's file, while it is there and fits.
type file struct {
	want    Session
	path    string
	checks  sync.Mutex // held by check, so that readers read it once
	checked atomic.Bool
	head    atomic.Pointer[head]
}

// load gives the head, reading it if need be.
func (f *file) load() (*head, error) {
	if h := f.head.Load(); h != nil {
		return h, nil
	}
	from, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	h, _, err := readHead(from, f.want)
	if err == nil {
		f.head.Store(h)
	}
	return h, err
}

func readHead(from *os.File, want Session) (*head, trailer, error) {
	t, size, err := readTrailer(from)
	if err != nil {
		return nil, t, err
	}
	s, err := t.summary(from, want)
	if err != nil {
		return nil, t, err
	}
	b, err := t.part(from, partFilters)
	if err != nil {
		return nil, t, err
	}
	r := reader{buf: b}
	r.version(filterVersion)
	h := &head{oldest: s.Oldest, newest: s.Newest, size: size, shoppers: readFilter(&r), payments: readFilter(&r)}
	return h, t, r.done()
}

// pace is called while much is read, with how many bytes were.
type pace func(ctx context.Context, n int) error

// check reads the whole file, if nobody has yet, for a reader who waits for it.
func (f *file) check(ctx context.Context) error {
	f.checks.Lock()
	defer f.checks.Unlock()
	if f.checked.Load() {
		return nil
	}
	return f.read(ctx, nil)
}

// read reads the whole file and compares it with its checksums and what is wanted.
func (f *file) read(ctx context.Context, pace pace) error {
	from, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer from.Close()
	h, err := verify(ctx, from, f.want, pace)
	if err == nil {
		f.head.Store(h)
		f.checked.Store(true)
	}
	return err
}

// verify is read of an open file.
func verify(ctx context.Context, from *os.File, want Session, pace pace) (*head, error) {
	h, t, err := readHead(from, want)
	if err != nil {
		return nil, err
	}
	sum, err := sumRows(ctx, from, int64(t.length[partRows]), pace)
	if err == nil && sum != t.sum[partRows] {
		err = fmt.Errorf("%w: its rows do not fit their checksum", errDamaged)
	}
	return h, err
}

// readBytes is how much is read in one go.
const readBytes = 256 << 10

func sumRows(ctx context.Context, from *os.File, length int64, pace pace) (uint64, error) {
	rows, sum, buf := io.NewSectionReader(from, 0, length), xxhash.New(), make([]byte, readBytes)
	for {
		n, err := rows.Read(buf)
		sum.Write(buf[:n])
		if err == io.EOF {
			return sum.Sum64(), nil
		}
		if err == nil && pace != nil {
			err = pace(ctx, n)
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return 0, err
		}
	}
}

// unreadable reports whether err condemns the file, and not just this try.
func unreadable(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err,
		syscall.EIO)
}

// guard runs do, and turns what a damaged file makes it panic with into an error: a
// page that leads nowhere, or that has been cut off since, faults.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return do()
}
