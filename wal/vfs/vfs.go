// Package vfs is the little of a file system that a write-ahead log needs.
//
// It exists so that tests can put a disk underneath the log that loses power
// at any operation, runs full, fails or hangs (see wal/waltest). [OS] is the
// real one.
//
// Names are whole paths as the operating system understands them. An error
// about a name that is not there satisfies errors.Is(err, fs.ErrNotExist); one
// about a file that was closed satisfies errors.Is(err, fs.ErrClosed).
package vfs

import (
	"io"
	"unsafe"
)

// BlockBytes is the unit of File.WriteSync: what a disk writes whole or not at all.
const BlockBytes = 512

// alignment is what direct writes want of memory, on any disk.
const alignment = 4096

// Blocks gives memory for n bytes of blocks, with room to the next multiple of 4 KiB.
func Blocks(n int) []byte {
	n = (n + alignment - 1) &^ (alignment - 1)
	b := make([]byte, n+alignment)
	skip := -address(b) & (alignment - 1)
	return b[skip : skip+n : skip+n]
}

func address(b []byte) int { return int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// FS opens and arranges files. All methods may be called concurrently.
//
// Creating, renaming and removing names is durable only after SyncDir of the
// directory that holds them; until then a crash may undo any of it, in any
// order. A rename is atomic: after a crash either name, never both or neither.
type FS interface {
	// MkdirAll makes dir and what is missing above it, and makes the new
	// names durable. It does nothing where dir exists.
	MkdirAll(dir string) error

	// Create opens name for reading and writing, empty: a file that was
	// there before is emptied.
	Create(name string) (File, error)

	// OpenRead opens an existing file for reading only.
	OpenRead(name string) (File, error)

	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)

	// Remove takes the name away. Open files stay readable.
	Remove(name string) error

	// Rename gives the file a new name, replacing what had it.
	Rename(from, to string) error

	// List returns the base names in dir, in no particular order.
	List(dir string) ([]string, error)

	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
}

// File is an open file. ReadAt may run concurrently with everything else,
// Close included; the other methods are called by one goroutine at a time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// WriteSync writes whole blocks, in memory that Blocks gave, at a multiple of
	// BlockBytes, and returns once they are durable. The space must have been
	// preallocated and synced.
	WriteSync(p []byte, at int64) error

	// Direct reports whether WriteSync, which was called before, went around the
	// system's cache.
	Direct() bool

	// Sync makes what was written, and the size, durable. It need not make
	// times or other attributes durable.
	Sync() error

	// Truncate sets the size. Bytes between the old and a larger new size
	// read as zeros.
	Truncate(size int64) error

	// Preallocate makes the file at least size bytes long and reserves the
	// space, so that later writes below size neither run out of space nor
	// change the size. New bytes read as zeros. Where the file system can't
	// reserve, it only sets the size.
	Preallocate(size int64) error

	// Size returns the current size in bytes.
	Size() (int64, error)
}
