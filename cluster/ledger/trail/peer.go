package trail

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// pageBytes is about how long a page is, if nobody wants less.
const pageBytes = 1 << 20

// Peers are the trails of the other nodes. The cluster's node is one.
type Peers interface {
	// Entries asks a node for a page, as its Trail.Page gives it. An error means that
	// nobody could be asked now. Answers that cover more come from nodes that have
	// more: who has several to ask prefers those.
	Entries(ctx context.Context, after, upto engine.LogIndex, deeds bool) (Page, error)
}

// Page is what one trail has of a range: all entries in (After, Upto], those that did
// nothing left out. It is empty, with After and Upto the same, if that is nothing.
type Page struct {
	Group   [16]byte
	Dropped engine.LogIndex // nothing is kept up to here
	After   engine.LogIndex
	Upto    engine.LogIndex
	Time    engine.Time // state time at After; 0 where that is not known
	Thinned bool        // nothing but deeds is in it
	Frames  []byte      // batches of wal's frames, one record an entry
}

// Page gives what there is of (after, upto] from its first covered index on, as far as
// about most bytes go (1 MiB at most, and with 0); with deeds, nothing else. Error:
// ErrNotReady.
func (t *Trail) Page(after, upto engine.LogIndex, deeds bool, most int) (p Page, err error) {
	if most <= 0 || most > pageBytes {
		most = pageBytes
	}
	err = t.looking(func(v *view) error {
		p = Page{Group: t.group, Dropped: v.dropped, After: after, Upto: after}
		var recs []wal.Record
		size := 0
		for i := v.find(after + 1); i < v.len() && size < most; i++ {
			s := v.at(i)
			from := max(after, s.after)
			if from >= upto {
				break
			}
			if p.Upto == after { // the first
				p.After, p.Upto, p.Thinned = from, from, s.thinned || deeds
				if from == s.after {
					p.Time = s.time
				}
			} else if p.Upto != from || p.Thinned != (s.thinned || deeds) {
				break
			}
			if err := t.reading(s, func(f vfs.File) error {
				at, err := s.seek(f, from)
				if err != nil {
					return err
				}
				return scan(f, at, s.end, func(rec *wal.Record) (bool, error) {
					if index := engine.LogIndex(rec.Index); index <= from || index > upto {
						return index <= from, nil
					}
					data := slices.Clone(rec.Data)
					if deeds {
						if data, err = onlyDeeds(rec, nil); err != nil || len(data) == 0 {
							return err == nil, err
						}
					}
					recs = append(recs, wal.Record{Index: rec.Index, Term: rec.Term, Meta: slices.Clone(rec.Meta), Data: data})
					size += int(recs[len(recs)-1].FrameBytes())
					return size < most, nil
				})
			}); err != nil {
				return err
			}
			if p.Upto = min(s.last.index, upto); size >= most {
				p.Upto = engine.LogIndex(recs[len(recs)-1].Index)
			}
		}
		if len(recs) > 0 {
			p.Frames = wal.AppendBatch(make([]byte, 0, size+wal.FrameHeaderBytes+4), recs)
		}
		return nil
	})
	return p, err
}

// receiving makes segments from pages.
type receiving struct {
	cfg   *Config
	group [16]byte
	b     *building
	done  func(*building) error // takes in one that is complete, not sealed
}

// add takes in a page that covers something, after it was checked.
func (r *receiving) add(p *Page) error {
	if b := r.b; b != nil && (b.last.index != p.After || b.thinned != p.Thinned || b.end >= r.cfg.SegmentBytes) {
		if err := r.finish(); err != nil {
			return err
		}
	}
	if r.b == nil {
		r.b = newBuilding(r.cfg.FS, r.cfg.Dir, header{group: r.group, after: p.After, time: p.Time, thinned: p.Thinned})
		if err := r.b.create(); err != nil {
			return err
		}
	}
	b, at := r.b, r.b.end
	for rest := p.Frames; len(rest) > 0; {
		recs, length, ok := wal.DecodeBatch(rest, nil)
		if !ok {
			return damaged("a page has frames that are not intact")
		}
		offset := at
		for i := range recs {
			if engine.LogIndex(recs[i].Index) > p.Upto {
				return damaged("a page up to %d has the entry %d", p.Upto, recs[i].Index)
			}
			if err := b.noteRecord(&recs[i], offset); err != nil {
				return err
			}
			offset += recs[i].FrameBytes()
		}
		at, rest = at+int64(length), rest[length:]
	}
	if err := b.write(p.Frames); err != nil {
		return err
	}
	if b.wrote(p.Frames); b.last.index < p.Upto {
		b.last = entry{index: p.Upto, time: b.last.time}
	}
	return nil
}

// finish completes what was begun.
func (r *receiving) finish() error {
	b := r.b
	if b == nil {
		return nil
	}
	r.b = nil
	return r.done(b)
}

// abandon removes what was begun.
func (r *receiving) abandon() {
	if r.b != nil {
		r.b.abandon()
	}
}

// A backup's part is a stream: magic and version, the horizon, pages each behind its
// length, a length of 0, and a CRC-32C of all that.
const (
	backupMagic   = "DBTRLBAK"
	backupVersion = 1
	longestPage   = wal.MaxBatchBytes + pageBytes
)

// errBackup: the stream is not what WriteTo wrote.
var errBackup = errors.New("the trail in the backup is damaged")

// WriteTo writes all that there is up to a log index, for Restore.
func (t *Trail) WriteTo(ctx context.Context, w io.Writer, upto engine.LogIndex) error {
	v, err := t.view()
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	out := io.MultiWriter(w, sum)
	le := binary.LittleEndian
	head := le.AppendUint64(append([]byte(backupMagic), backupVersion), uint64(v.dropped))
	if _, err := out.Write(head); err != nil {
		return err
	}
	for after := v.dropped; after < upto; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := t.Page(after, upto, false, 0)
		if err != nil {
			return err
		}
		if p.Upto == after {
			break
		}
		after = p.Upto
		b := make([]byte, 4, len(p.Frames)+32)
		for _, n := range [...]uint64{uint64(p.After), uint64(p.Upto), uint64(p.Time)} {
			b = binary.AppendUvarint(b, n)
		}
		thinned := byte(0)
		if p.Thinned {
			thinned = 1
		}
		b = append(append(b, thinned), p.Frames...)
		le.PutUint32(b, uint32(len(b)-4))
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	if _, err := out.Write(make([]byte, 4)); err != nil {
		return err
	}
	_, err = w.Write(le.AppendUint32(nil, sum.Sum32()))
	return err
}

// Restore makes a trail of a group's in cfg.Dir, which must not have one, from what
// WriteTo wrote. Nothing of it is there before the whole stream was found intact.
func Restore(cfg Config, group [16]byte, r io.Reader) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := cfg.FS.MkdirAll(cfg.Dir); err != nil {
		return err
	}
	names, err := cfg.FS.List(cfg.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, ours := namedAfter(name); ours {
			return fmt.Errorf("%s holds a trail already", cfg.Dir)
		}
	}
	var built []*building
	to := receiving{cfg: &cfg, group: group, done: func(b *building) error {
		built = append(built, b)
		_, err := b.seal()
		if err == nil {
			err = b.file.Sync()
		}
		return errors.Join(err, b.file.Close())
	}}
	defer func() {
		if err != nil {
			to.abandon()
			for _, b := range built {
				b.abandon()
			}
		}
	}()
	dropped, err := readBackup(r, to.add)
	if err == nil {
		err = to.finish()
	}
	if err == nil {
		err = writeHorizon(cfg.FS, cfg.Dir, dropped)
	}
	for i := 0; i < len(built) && err == nil; i++ {
		err = cfg.FS.Rename(built[i].path()+tempSuffix, built[i].path())
	}
	if err != nil {
		return err
	}
	return cfg.FS.SyncDir(cfg.Dir)
}

// summed reads and sums up what it reads.
type summed struct {
	r   io.Reader
	sum hash.Hash32
}

func (s *summed) next(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, fmt.Errorf("%w: %w", errBackup, err)
	}
	s.sum.Write(b)
	return b, nil
}

// readBackup gives a backup's pages to add.
func readBackup(from io.Reader, add func(*Page) error) (dropped engine.LogIndex, err error) {
	in := summed{bufio.NewReaderSize(from, 1<<16), crc32.New(castagnoli)}
	le := binary.LittleEndian
	head, err := in.next(len(backupMagic) + 9)
	if err != nil {
		return 0, err
	}
	if string(head[:len(backupMagic)]) != backupMagic {
		return 0, fmt.Errorf("%w: it does not begin like one", errBackup)
	}
	if v := head[len(backupMagic)]; v > backupVersion {
		return 0, fmt.Errorf("a trail of version %d in the backup, this build reads %d: %w", v, backupVersion, engine.ErrNewerFormat)
	}
	dropped = engine.LogIndex(le.Uint64(head[len(backupMagic)+1:]))
	for last := dropped; ; {
		length, err := in.next(4)
		if err != nil {
			return 0, err
		}
		n := le.Uint32(length)
		if n == 0 {
			break
		}
		if n > longestPage {
			return 0, fmt.Errorf("%w: a page of %d bytes", errBackup, n)
		}
		b, err := in.next(int(n))
		if err != nil {
			return 0, err
		}
		fields := reader{buf: b}
		p := Page{After: engine.LogIndex(fields.uint()), Upto: engine.LogIndex(fields.uint()), Time: engine.Time(fields.uint()), Thinned: fields.byte() == 1}
		p.Frames = fields.buf
		if fields.err != nil || p.After < last || p.Upto <= p.After {
			return 0, fmt.Errorf("%w: a page says what can't be", errBackup)
		}
		if err := add(&p); err != nil {
			return 0, fmt.Errorf("%w: %w", errBackup, err)
		}
		last = p.Upto
	}
	sum := in.sum.Sum32()
	if b, err := in.next(4); err != nil {
		return 0, err
	} else if le.Uint32(b) != sum {
		return 0, fmt.Errorf("%w: it does not fit its checksum", errBackup)
	}
	return dropped, nil
}
