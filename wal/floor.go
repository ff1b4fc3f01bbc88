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
	file, err := fsys.OpenRead(filepath.Join(dir, floorName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("wal: open %s: %w", floorName, err)
	}
	defer file.Close()
	b := make([]byte, segmentHeaderBytes+1)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("wal: read %s: %w", floorName, err)
	}
	floor, _, err := decodeHeader(b[:n], floorMagic, floorName)
	if err != nil {
		return 0, err
	}
	if floor == 0 || n > segmentHeaderBytes {
		return 0, &DamageError{Segment: floorName, Reason: fmt.Sprintf("floor %d in %d bytes or more", floor, n)}
	}
	return floor, nil
}

// writeFloor makes the floor durable.
func writeFloor(fsys vfs.FS, dir string, floor uint64) error {
	path := filepath.Join(dir, floorName)
	if err := writeNew(fsys, path+tempSuffix, appendHeader(nil, floorMagic, floor, 0)); err != nil {
		return err
	}
	if err := fsys.Rename(path+tempSuffix, path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func writeNew(fsys vfs.FS, path string, b []byte) (err error) {
	file, err := fsys.Create(path)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}
