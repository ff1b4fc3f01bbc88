package trail

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// building is a segment that is being written, by one goroutine.
type building struct {
	header
	contents
	fs    vfs.FS
	dir   string
	file  vfs.File
	sum   uint32 // of the file up to end
	names map[uint64]struct{}
	began engine.Time // of the first entry that came since it is being written; 0 before that
}

func newBuilding(c *Config, h header) *building {
	return &building{header: h, fs: c.FS, dir: c.Dir, names: map[uint64]struct{}{},
		contents: contents{end: headerBytes, upto: h.after, last: entry{index: h.after, time: h.time}}}
}

func (b *building) path() string { return filepath.Join(b.dir, b.name()) }

// create makes the file, under another name until install.
func (b *building) create() (err error) {
	if err := b.fs.MkdirAll(b.dir); err != nil { // somebody may have removed it
		return err
	}
	if b.file, err = b.fs.Create(b.path() + tempSuffix); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	h := b.header.bytes()
	b.sum = crc32.Checksum(h, castagnoli)
	if _, err = b.file.WriteAt(h, 0); err == nil {
		err = b.file.Sync()
	}
	if err != nil {
		b.abandon()
		return fmt.Errorf("write header: %w", err)
	}
	return nil
}

// install makes the segment's name durable. It replaces one of the same name.
func (b *building) install() error {
	if err := b.fs.Rename(b.path()+tempSuffix, b.path()); err != nil {
		b.abandon()
		return fmt.Errorf("rename: %w", err)
	}
	return b.fs.SyncDir(b.dir)
}

// abandon removes what is not installed.
func (b *building) abandon() {
	b.file.Close()
	b.fs.Remove(b.path() + tempSuffix)
}

// note takes in the whole batches at the start of p, which stand at end or are to, and
// gives how many bytes they are. They reach no further than upto.
func (b *building) note(p []byte, upto engine.LogIndex) (n int, err error) {
	var recs []wal.Record
	for n < len(p) {
		batch, length, ok := wal.DecodeBatch(p[n:], recs[:0])
		if !ok {
			break
		}
		at := b.end
		for i := range batch {
			if err := b.noteRecord(&batch[i], at, upto); err != nil {
				return n, err
			}
			at += batch[i].FrameBytes()
		}
		recs = batch
		b.end, b.sum = b.end+int64(length), crc32.Update(b.sum, castagnoli, p[n:n+length])
		n += length
	}
	return n, nil
}

func (b *building) noteRecord(rec *wal.Record, at int64, upto engine.LogIndex) error {
	n, err := entryOf(rec)
	if err != nil {
		return err
	}
	if n.index <= b.upto || n.index > upto {
		return codec.Damaged("the entry %d stands behind %d, in what reaches to %d", n.index, b.upto, upto)
	}
	b.upto, b.last = n.index, n
	marked := int64(0)
	if m := len(b.marks); m > 0 {
		marked = int64(b.marks[m-1].offset)
	}
	if at-marked >= markEvery {
		b.marks = append(b.marks, row{uint64(n.index), uint32(at)})
	}
	var before engine.SessionHandle
	return eachEvent(rec, func(e *Event) bool {
		for _, h := range [...]engine.SessionHandle{e.Session, e.Order.Session} {
			if h != before && h != 0 {
				b.names[sessionKey(h)], before = struct{}{}, h
			}
		}
		if !e.Order.IsZero() {
			b.rows = append(b.rows, row{orderKey(e.Order), uint32(at)})
		}
		if e.Operator != "" {
			key := operatorKey(e.Operator)
			b.names[anyDeed], b.names[key] = struct{}{}, struct{}{}
			b.rows = append(b.rows, row{key, uint32(at)})
		}
		return true
	})
}

// add appends whole batches, which reach up to an index; durable: they are on disk then.
// After an error it is as before.
func (b *building) add(frames []byte, upto engine.LogIndex, durable bool) error {
	before, sum := b.contents, b.sum
	n, err := b.note(frames, upto)
	if err == nil && n < len(frames) {
		err = codec.Damaged("frames are not intact")
	}
	if err == nil {
		_, err = b.file.WriteAt(frames, before.end)
	}
	if err == nil && durable {
		err = b.file.Sync()
	}
	if err != nil {
		b.contents, b.sum = before, sum
		return fmt.Errorf("append: %w", err)
	}
	b.upto = upto
	return nil
}

// seal appends table and summary, and has all of it on disk. It may be repeated after an
// error.
func (b *building) seal() (*segment, error) {
	s := &segment{header: b.header, contents: b.contents, sealed: true, names: slices.Sorted(maps.Keys(b.names))}
	rows := slices.Clone(b.rows) // readers have them
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.key, y.key),
			cmp.Compare(x.offset, y.offset))
	})
	rows = slices.Compact(rows)
	var p []byte
	for _, r := range rows {
		p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(p, r.key), r.offset)
	}
	s.rows, s.count, s.sum = nil, len(rows), crc32.Update(b.sum, castagnoli, p)
	p = append(p, s.summary()...)
	s.size = b.end + int64(len(p))
	if err := b.file.Truncate(b.end); err != nil {
		return nil, fmt.Errorf("truncate: %w", err)
	}
	if _, err := b.file.WriteAt(p, b.end); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return s, b.file.Sync()
}

// finish seals, installs and closes a segment that was built aside.
func (b *building) finish() (*segment, error) {
	s, err := b.seal()
	if err != nil {
		b.abandon()
		return nil, err
	}
	return s, errors.Join(b.install(), b.file.Close())
}

// recover goes on with a file that is not sealed: what is behind its last whole batch
// is cut off. What is of entries up to kept was on disk, whole. Error: codec.ErrDamaged
// if a crash can't have left that so.
func (b *building) recover(kept engine.LogIndex) (cut int, err error) {
	if b.file, err = b.fs.OpenWrite(b.path()); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			b.file.Close()
		}
	}()
	size, err := b.file.Size()
	if err != nil {
		return 0, err
	}
	p, err := readAt(b.file, 0, size)
	if err != nil {
		return 0, err
	}
	b.sum, p = crc32.Checksum(p[:headerBytes], castagnoli), p[headerBytes:]
	n, err := b.note(p, ^engine.LogIndex(0))
	if err != nil || n == len(p) {
		return 0, err
	}
	// Each batch is on disk before the next is begun: only one can be torn.
	if wal.Sealed(p[n:]) > 1 {
		return 0, codec.Damaged("there are intact batches behind one that is not")
	}
	for torn := p[n:]; len(torn) > 0; torn = torn[1:] {
		if rec, _, _, ok := wal.DecodeFrame(torn); ok && engine.LogIndex(rec.Index) <= kept {
			return 0, codec.Damaged("the batch of entry %d was whole, and is not", rec.Index)
		}
	}
	return len(p) - n, errors.Join(b.file.Truncate(b.end), b.file.Sync())
}

// live gives the segment as readers may see it now.
func (b *building) live() *segment {
	return &segment{header: b.header, contents: b.contents, size: b.end}
}
