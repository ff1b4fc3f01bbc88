package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"doorbuster/wal/vfs"
)

// The floor is the exact index below which no record exists. Segments can only
// be deleted whole, so it has a file of its own, FLOOR, replaced by renaming.
// It is laid out like a segment's header:
//
//	byte 0          8         10     16      24     28      32
//	     +----------+---------+------+-------+------+-------+
//	     | DBLOGFLR | version | zero | floor | zero | crc   |
//	     |          | u16     |      | u64   | u32  | u32   |
//	     +----------+---------+------+-------+------+-------+
//
// It is there before the first segment: segments without it mean that somebody
// removed it.
const (
	floorMagic = "DBLOGFLR"
	floorName  = "FLOOR"
)

// readFloor returns 0 where there is no floor yet.
func readFloor(fsys vfs.FS, dir string) (uint64, error) {
	b, err := readSmall(fsys, dir, floorName, segmentHeaderBytes)
	if b == nil || err != nil {
		return 0, err
	}
	floor, _, err := decodeHeader(b, floorMagic, floorName)
	if err != nil {
		return 0, err
	}
	if floor == 0 || len(b) > segmentHeaderBytes {
		return 0, &DamageError{Segment: floorName, Reason: fmt.Sprintf("floor %d in %d bytes or more", floor, len(b))}
	}
	return floor, nil
}

// readSmall reads a file of so many bytes, and one more of a longer one; nil where
// there is none.
func readSmall(fsys vfs.FS, dir, name string, bytes int) ([]byte, error) {
	file, err := fsys.OpenRead(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("wal: open %s: %w", name, err)
	}
	defer file.Close()
	b := make([]byte, bytes+1)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("wal: read %s: %w", name, err)
	}
	return b[:n], nil
}

// writeFloor makes the floor durable.
func writeFloor(fsys vfs.FS, dir string, floor uint64) error {
	file, err := writeNew(fsys, dir, floorName, appendHeader(nil, floorMagic, floor, 0), 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// writeNew makes a file that begins with a header, and its name, durable. It takes the
// place of one of the same name at once.
func writeNew(fsys vfs.FS, dir, name string, header []byte, allocate int64) (_ vfs.File, err error) {
	path := filepath.Join(dir, name)
	file, err := fsys.Create(path + tempSuffix)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if allocate > 0 {
		if err := file.Preallocate(allocate); err != nil {
			return nil, fmt.Errorf("allocate %d bytes: %w", allocate, err)
		}
	}
	if _, err := file.WriteAt(header, 0); err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	if err := file.Sync(); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	if err := fsys.Rename(path+tempSuffix, path); err != nil {
		return nil, fmt.Errorf("rename: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("sync directory: %w", err)
	}
	return file, nil
}
