package trail

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// building is a segment that is being written, by one goroutine.
type building struct {
	header
	contents // up to what was appended; of a batch in the making, rows are ahead
	fs       vfs.FS
	dir      string
	file     vfs.File
	sum      uint32
	sessions map[engine.SessionHandle]struct{}
	known    map[string]uint64 // the places of operators
	session  engine.SessionHandle
	marked   int64
}

func newBuilding(fsys vfs.FS, dir string, h header) *building {
	return &building{header: h, fs: fsys, dir: dir, sessions: map[engine.SessionHandle]struct{}{}, known: map[string]uint64{},
		contents: contents{end: headerBytes, last: entry{index: h.after, time: h.time}}}
}

func (b *building) path() string { return filepath.Join(b.dir, b.name()) }

// create makes the file, under another name until install.
func (b *building) create() (err error) {
	if b.file, err = b.fs.Create(b.path() + tempSuffix); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	h := b.header.append(nil)
	b.sum = crc32.Checksum(h, castagnoli)
	if _, err := b.file.WriteAt(h, 0); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	return nil
}

// install makes what was written, and the segment's name, durable. It replaces one
// of the same name.
func (b *building) install() error {
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := b.fs.Rename(b.path()+tempSuffix, b.path()); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return b.fs.SyncDir(b.dir)
}

// abandon removes what is not installed.
func (b *building) abandon() {
	if b.file != nil {
		b.file.Close()
	}
	b.fs.Remove(b.path() + tempSuffix)
}

// began notes that an entry's frame begins at an offset.
func (b *building) began(index engine.LogIndex, offset int64) {
	if offset-b.marked >= markEvery {
		b.rows[marks] = append(b.rows[marks], row{uint64(index), uint32(offset)})
		b.marked = offset
	}
}

// note adds what leads to an event of the entry whose frame is at offset.
func (b *building) note(e *Event, offset int64) {
	b.events++
	b.about(e.Session)
	if !e.Order.IsZero() {
		b.about(e.Order.Session)
		b.rows[orders] = append(b.rows[orders], row{refKey(e.Order), uint32(offset)})
	}
	if e.Operator != "" {
		place, known := b.known[e.Operator]
		if !known {
			place = uint64(len(b.operators))
			b.known[e.Operator] = place
			b.operators = append(b.operators, e.Operator)
		}
		b.rows[deeds] = append(b.rows[deeds], row{place, uint32(offset)})
	}
}

// about notes a session.
func (b *building) about(h engine.SessionHandle) {
	if h != b.session && h != 0 {
		b.session = h
		b.sessions[h] = struct{}{}
	}
}

// noteRecord is began and note for a record that is there already.
func (b *building) noteRecord(rec *wal.Record, offset int64) error {
	n, err := entryOf(rec)
	if err != nil {
		return err
	}
	if n.index <= b.last.index {
		return damaged("the entry %d stands behind %d", n.index, b.last.index)
	}
	b.began(n.index, offset)
	b.last = n
	return eachEvent(rec, func(e *Event) bool {
		b.note(e, offset)
		return true
	})
}

// write appends bytes; nothing of it is durable yet. It may be repeated after an error.
func (b *building) write(p []byte) error {
	if _, err := b.file.WriteAt(p, b.end); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// wrote takes in that bytes were appended.
func (b *building) wrote(p []byte) {
	b.end += int64(len(p))
	b.sum = crc32.Update(b.sum, castagnoli, p)
}

// addBatch appends records that come from elsewhere.
func (b *building) addBatch(recs []wal.Record) error {
	if len(recs) == 0 {
		return nil
	}
	at := b.end
	for i := range recs {
		if err := b.noteRecord(&recs[i], at); err != nil {
			return err
		}
		at += recs[i].FrameBytes()
	}
	p := wal.AppendBatch(nil, recs)
	if err := b.write(p); err != nil {
		return err
	}
	b.wrote(p)
	return nil
}

// seal appends tables and summary. It may be repeated after an error; the caller
// syncs.
func (b *building) seal() (*segment, error) {
	s := &segment{header: b.header, contents: b.contents, sealed: true, sessions: slices.Sorted(maps.Keys(b.sessions))}
	s.rows = [tables][]row{}
	var p []byte
	for t, rows := range b.rows {
		rows = slices.Clone(rows) // readers have them
		slices.SortFunc(rows, func(x, y row) int { return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.offset, y.offset)) })
		rows = slices.Compact(rows)
		s.counts[t] = int64(len(rows))
		p = slices.Grow(p, len(rows)*rowBytes)
		for _, r := range rows {
			p = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(p, r.key), r.offset)
		}
	}
	s.sum = crc32.Update(b.sum, castagnoli, p)
	p = s.summary(p)
	s.size = b.end + int64(len(p))
	if err := b.file.Truncate(b.end); err != nil {
		return nil, fmt.Errorf("truncate: %w", err)
	}
	if err := b.write(p); err != nil {
		return nil, err
	}
	return s, nil
}

// finish seals, installs and closes a segment that was built aside.
func (b *building) finish() (*segment, error) {
	s, err := b.seal()
	if err == nil {
		err = b.install()
	}
	if err != nil {
		b.abandon()
		return nil, err
	}
	return s, b.file.Close()
}

// recover goes on with a file that is not sealed: what is behind its last whole batch
// is cut off. torn tells of bytes that a crash can't have left so.
func (b *building) recover() (cut int64, rotten bool, err error) {
	if b.file, err = b.fs.OpenWrite(b.path()); err != nil {
		return 0, false, err
	}
	size, err := b.file.Size()
	if err != nil {
		return 0, false, err
	}
	p := make([]byte, size)
	if err := readAt(b.file, p, 0); err != nil {
		return 0, false, err
	}
	b.sum = crc32.Checksum(p[:headerBytes], castagnoli)
	p = p[headerBytes:]
	var recs []wal.Record
	for len(p) > 0 {
		var length int
		var ok bool
		if recs, length, ok = wal.DecodeBatch(p, recs[:0]); !ok {
			break
		}
		at := b.end
		for i := range recs {
			if err := b.noteRecord(&recs[i], at); err != nil {
				return 0, false, err
			}
			at += recs[i].FrameBytes()
		}
		b.wrote(p[:length])
		p = p[length:]
	}
	if len(p) == 0 {
		return 0, false, nil
	}
	// Each batch is on disk before the next is begun: only one can be torn.
	rotten = wal.Sealed(p) > 1
	if err := b.file.Truncate(b.end); err != nil {
		return 0, false, err
	}
	return int64(len(p)), rotten, b.file.Sync()
}

// live gives the segment as readers may see it now.
func (b *building) live() *segment { return &segment{header: b.header, contents: b.contents} }
