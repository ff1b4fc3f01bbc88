package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

const (
	dirMode  = 0o750
	fileMode = 0o640
)

type osFS struct{}

func (o osFS) MkdirAll(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := o.MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncDir(parent)
}

func (osFS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osFS) OpenRead(name string) (File, error) { return open(name, os.O_RDONLY) }

func (osFS) OpenWrite(name string) (File, error) { return open(name, os.O_RDWR) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file := &osFile{File: f, conn: conn}
	file.syncFunc = func(fd uintptr) { file.syncErr = datasync(fd) }
	return file, nil
}

// osFile goes through conn for calls that package os does not offer: it keeps
// the descriptor from being closed and reused under a call.
type osFile struct {
	*os.File
	conn syscall.RawConn

	mu       sync.Mutex // guards syncErr
	syncErr  error
	syncFunc func(fd uintptr) // made once: a closure for each call would allocate

	direct  *os.File // of writeDirect; nil before the first, and where it is refused
	refused bool
}

// WriteSync goes around the page cache where the file system lets it: then neither is a
// page copied and written back, nor does the journal commit. Elsewhere it is a write and
// a sync.
func (f *osFile) WriteSync(p []byte, at int64) error {
	if done, err := f.writeDirect(p, at); done {
		return err
	}
	if _, err := f.WriteAt(p, at); err != nil {
		return err
	}
	return f.Sync()
}

// writeDirect writes whole blocks around the page cache, durably. It reports false, and
// has done nothing, where they are not whole or the file system refuses.
func (f *osFile) writeDirect(p []byte, at int64) (bool, error) {
	if f.direct == nil && !f.refused {
		var err error
		f.direct, err = openDirect(f.Fd())
		f.refused = err != nil
	}
	if f.refused || (at|int64(len(p)))%BlockBytes != 0 {
		return false, nil
	}
	n, err := f.direct.WriteAt(p, at)
	if n == 0 && errors.Is(err, syscall.EINVAL) {
		f.refused = true // only the first write tells what some file systems want
		return false, nil
	}
	return true, err
}

func (f *osFile) Direct() bool { return f.direct != nil && !f.refused }

func (f *osFile) Close() error {
	err := f.File.Close()
	if f.direct != nil {
		err = errors.Join(err, f.direct.Close())
	}
	return err
}

func (f *osFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.conn.Control(f.syncFunc); err != nil {
		return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
	}
	if f.syncErr != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: f.syncErr}
	}
	return nil
}

func (f *osFile) Preallocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	var failure error
	if err := f.conn.Control(func(fd uintptr) { failure = allocate(fd, size) }); err != nil {
		return fmt.Errorf("fallocate %s: %w", f.Name(), err)
	}
	switch {
	case errors.Is(failure, errors.ErrUnsupported):
		return f.Truncate(size)
	case failure != nil:
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: failure}
	}
	return f.fill(have, size)
}

// zeros are what space is filled with: never written to, so they take no memory.
var zeros [4<<20 + alignment]byte

// fill writes zeros over reserved space. Blocks that were reserved but never
// written are marked so in the file system, and the first write to each has to
// change the mark: a journal commit within the sync that follows. In the page cache
// the zeros would have to be copied, and dropped again by each direct write.
func (f *osFile) fill(from, to int64) error {
	aligned := zeros[-address(zeros[:])&(alignment-1):]
	for at := from; at < to; {
		p := aligned[:min(int64(len(zeros)-alignment), to-at)]
		if done, err := f.writeDirect(p, at); err != nil {
			return err
		} else if !done {
			if _, err := f.WriteAt(p, at); err != nil {
				return err
			}
		}
		at += int64(len(p))
	}
	return nil
}

func (f *osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
