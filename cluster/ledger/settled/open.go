package settled

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// opened are the databases that are open, under the Store's lock. At most as many as
// were asked for stay open when nobody reads them.
type opened struct {
	most    int
	handles map[*file]*handle
	clock   uint64
}

// handle is a database that readers share. It is closed when it has been let go of
// (retired, or the least used of too many) and nobody reads it any more.
type handle struct {
	db      *bbolt.DB
	readers int
	used    uint64
	retired bool
}

func (o *opened) take(f *file) *handle {
	h := o.handles[f]
	if h != nil {
		o.clock++
		h.readers++
		h.used = o.clock
	}
	return h
}

// release ends a take. It and retire give what is to be closed, outside of the lock,
// or nil: unmapping a file takes a while.
func (o *opened) release(h *handle) *bbolt.DB {
	h.readers--
	if h.retired && h.readers == 0 {
		return h.db
	}
	return nil
}

// retire lets go of f's handle.
func (o *opened) retire(f *file) *bbolt.DB {
	h := o.handles[f]
	if h == nil {
		return nil
	}
	delete(o.handles, f)
	h.retired = true
	if h.readers == 0 {
		return h.db
	}
	return nil
}

// shrink lets go of the one that was not used for longest, if there are too many.
func (o *opened) shrink() *bbolt.DB {
	if len(o.handles) <= o.most {
		return nil
	}
	var oldest *file
	for f, h := range o.handles {
		if h.readers == 0 && (oldest == nil || h.used < o.handles[oldest].used) {
			oldest = f
		}
	}
	return o.retire(oldest)
}

// closeDB closes what release, retire or shrink gave. What was only read is closed
// without trouble, or has none that matters.
func closeDB(db *bbolt.DB) {
	if db != nil {
		_ = db.Close()
	}
}

// view runs read in a transaction of a session's file, which is checked before. What
// read gets is good until it returns. Errors: ErrIncomplete, ErrClosed.
func (s *Store) view(x *slot, read func(*bbolt.Tx) error) error {
	f := x.file.Load()
	if f == nil {
		return x.missing()
	}
	h, err := s.handle(f)
	if err == nil {
		err = guard(func() error { return h.db.View(read) })
		s.release(h)
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		err = s.condemn(x, f, err)
	}
	return err
}

// handle opens a file, or shares it.
func (s *Store) handle(f *file) (*handle, error) {
	s.mu.Lock()
	h, closed := s.open.take(f), s.closed
	s.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if h != nil {
		return h, nil
	}
	if err := f.check(context.Background()); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	if err := guard(func() (err error) {
		db, err = bbolt.Open(f.path, 0o600, &bbolt.Options{ReadOnly: true, NoStatistics: true, Timeout: time.Second})
		return err
	}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	h = s.open.take(f)
	switch {
	case s.closed:
		h, closed = nil, true
	case h == nil:
		s.open.handles[f] = &handle{db: db}
		h, db = s.open.take(f), s.open.shrink()
	} // else somebody was faster
	s.mu.Unlock()
	closeDB(db)
	if closed {
		return nil, ErrClosed
	}
	return h, nil
}

func (s *Store) release(h *handle) {
	s.mu.Lock()
	db := s.open.release(h)
	s.mu.Unlock()
	closeDB(db)
}
