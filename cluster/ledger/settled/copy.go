package settled

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"doorbuster/engine"
	"doorbuster/wal/vfs"
)

// Peers are the other nodes, as a Store that lacks a file asks them. Their files are
// equal, so that chunks may come from different ones.
type Peers interface {
	// SessionChunk gives what stands at an offset of a session's file, as much as the
	// peer likes, and how many bytes the file has.
	SessionChunk(ctx context.Context, h engine.SessionHandle, offset int64) (chunk []byte, total int64, err error)
}

// OpenFile opens a session's file as a whole, for a backup; the caller closes it.
// It is checked before. Errors: ErrIncomplete, also if the session is not expected,
// ErrClosed.
func (s *Store) OpenFile(h engine.SessionHandle) (from *os.File, err error) {
	f, err := s.file(h)
	if err == nil && f == nil {
		err = Session{Handle: h}.missing()
	}
	if err != nil {
		return nil, err
	}
	err = s.try(f, func() (err error) {
		if err = f.check(context.Background()); err == nil {
			from, err = f.open()
		}
		return err
	})
	return from, err
}

// chunkBytes bounds a piece of a file for a peer.
const chunkBytes = 1 << 20

// ReadChunk gives a piece of a session's file from an offset on, and how many bytes the
// file has, for a peer. Errors: as of OpenFile.
func (s *Store) ReadChunk(h engine.SessionHandle, offset int64) (chunk []byte, total int64, err error) {
	f, err := s.OpenFile(h)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	total = info.Size()
	if offset < 0 || offset > total {
		return nil, 0, fmt.Errorf("session %d's file has %d bytes, asked for those from %d on", h, total, offset)
	}
	chunk = make([]byte, min(s.chunk, total-offset))
	n, err := f.ReadAt(chunk, offset)
	return chunk[:n], total, err
}

// receive copies an expected session's file from another node by its chunks.
func (s *Store) receive(ctx context.Context, h engine.SessionHandle,
	fetch func(offset int64) (chunk []byte, total int64, err error)) error {
	return s.accept(ctx, h, func(x Session, to *os.File) error {
		for at, size := int64(0), int64(1); at < size; {
			chunk, total, err := fetch(at)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if at > 0 && total != size || total > x.mostBytes() || len(chunk) == 0 || int64(len(chunk)) > total-at {
				return fmt.Errorf("a peer's file has %d bytes, of %d it sent %d at %d", total, size, len(chunk), at)
			}
			if _, err := to.Write(chunk); err != nil {
				return err
			}
			at, size = at+int64(len(chunk)), total
		}
		return nil
	})
}

// Install takes an expected session's file as a whole from elsewhere, as a backup has
// it. Nothing of it is used unless all of it is what is expected.
func (s *Store) Install(ctx context.Context, h engine.SessionHandle, from io.Reader) error {
	return s.accept(ctx, h, func(_ Session, to *os.File) error { return copyAll(ctx, to, from) })
}

// accept has an expected session's file filled with what comes from elsewhere.
func (s *Store) accept(ctx context.Context, h engine.SessionHandle, fill func(Session, *os.File) error) error {
	x, err := s.file(h)
	if err == nil && x == nil {
		err = fmt.Errorf("session %d is not expected to be settled", h)
	}
	if err != nil {
		return err
	}
	err = s.make(x.Session, func(f *os.File) (*head, error) {
		if err := fill(x.Session, f); err != nil {
			return nil, err
		}
		return verify(ctx, f, x.Session)
	})
	if err == nil {
		s.received.Add(1)
	}
	return err
}

// make has a file filled, and installs it.
func (s *Store) make(want Session, fill func(*os.File) (*head, error)) error {
	if err := vfs.OS().MkdirAll(s.cfg.Dir); err != nil { // somebody may have removed it
		return err
	}
	f, err := os.CreateTemp(s.cfg.Dir, filepath.Base(s.path(want.Handle))+".*"+tmpSuffix)
	if err != nil {
		return err
	}
	h, err := fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.install(f.Name(), want, h)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("file of settled session %d: %w", want.Handle, err)
	}
	return nil
}
