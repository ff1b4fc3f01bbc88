package trail

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
)

// A backup's part is a stream: magic and version; pages, each behind its length, the
// first of them empty; a length of 0, and a CRC-32C of all that.
const (
	backupMagic   = "DBTRLBAK"
	backupVersion = 1
	longestPage   = wal.MaxBatchBytes + pageBytes
)

// errBackup: the stream is not what WriteTo wrote.
var errBackup = errors.New("the trail in the backup is damaged")

// WriteTo writes all that there is up to a log index, for Restore.
func (t *Trail) WriteTo(ctx context.Context, w io.Writer, upto engine.LogIndex) error {
	sum := crc32.New(castagnoli)
	out, le := io.MultiWriter(w, sum), binary.LittleEndian
	_, err := out.Write(append([]byte(backupMagic), backupVersion))
	for after, to := engine.LogIndex(0), engine.LogIndex(0); err == nil && ctx.Err() == nil; to = upto {
		var p Page
		if p, err = t.Page(after, to, false, 0); err != nil || p.Upto == after && to > 0 {
			break
		}
		thin := uint64(0)
		if p.Thinned {
			thin = 1
		}
		b := codec.Writer{Buf: make([]byte, 4)}
		b.Uint(uint64(p.Dropped), uint64(p.After), uint64(p.Upto), uint64(p.Time), thin)
		b.Buf = append(b.Buf, p.Frames...)
		le.PutUint32(b.Buf, uint32(len(b.Buf)-4))
		_, err = out.Write(b.Buf)
		if after = p.Upto; after >= upto {
			break
		}
	}
	if err = errors.Join(err, ctx.Err()); err == nil {
		_, err = out.Write(make([]byte, 4))
	}
	if err == nil {
		_, err = w.Write(le.AppendUint32(nil, sum.Sum32()))
	}
	return err
}

// Restore makes a trail of a group's in cfg.Dir, which must not have one, from what
// WriteTo wrote. Nothing of it is there before the whole stream was found intact.
func Restore(cfg Config, group [16]byte, r io.Reader) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if names, err := listSegments(&cfg); err != nil || len(names) > 0 {
		return errors.Join(err, fmt.Errorf("%s holds a trail already, or can't be read", cfg.Dir))
	}
	var built []*building
	to := receiving{cfg: &cfg, group: group, most: cfg.SegmentBytes, done: func(b *building) error {
		built = append(built, b)
		_, err := b.seal()
		return errors.Join(err, b.file.Close())
	}}
	var last engine.LogIndex
	err = readBackup(r, func(p *Page) (err error) {
		switch {
		case p.After < last || p.Upto < p.After || p.Upto == p.After && p.Upto > 0:
			return codec.Damaged("a page says what can't be")
		case p.Upto > 0:
			err = to.add(p)
		case p.Dropped > 0:
			to.b, err = newGone(&cfg, group, entry{index: p.Dropped}, p.Dropped)
		}
		last = p.Upto
		return err
	})
	if err == nil {
		err = to.finish()
	}
	for i := 0; i < len(built) && err == nil; i++ {
		err = built[i].install()
	}
	if err != nil {
		to.abandon()
		for _, b := range built {
			b.abandon()
		}
	}
	return err
}

// readBackup gives a backup's pages to add.
func readBackup(from io.Reader, add func(*Page) error) error {
	sum := crc32.New(castagnoli)
	in, le := io.TeeReader(bufio.NewReaderSize(from, 1<<16), sum), binary.LittleEndian
	next := func(n uint32) ([]byte, error) {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, fmt.Errorf("%w: %w", errBackup, err)
		}
		return b, nil
	}
	head, err := next(uint32(len(backupMagic) + 1))
	if err != nil {
		return err
	}
	if string(head[:len(backupMagic)]) != backupMagic {
		return fmt.Errorf("%w: it does not begin like one", errBackup)
	}
	if v := head[len(backupMagic)]; v > backupVersion {
		return fmt.Errorf("a trail of version %d in the backup, this build reads %d: %w", v, backupVersion,
			engine.ErrNewerFormat)
	}
	for {
		b, err := next(4)
		if err != nil {
			return err
		}
		n, want := le.Uint32(b), sum.Sum32()
		if n == 0 {
			if b, err = next(4); err == nil && le.Uint32(b) != want {
				err = fmt.Errorf("%w: it does not fit its checksum", errBackup)
			}
			return err
		}
		if n > longestPage {
			return fmt.Errorf("%w: a page of %d bytes", errBackup, n)
		}
		if b, err = next(n); err != nil {
			return err
		}
		r := codec.Reader{Buf: b}
		p := Page{Dropped: engine.LogIndex(r.Uint()), After: engine.LogIndex(r.Uint()), Upto: engine.LogIndex(r.Uint()),
			Time: engine.Time(r.Uint()), Thinned: r.Uint() == 1}
		p.Frames = r.Buf
		if err = r.Err; err == nil {
			err = add(&p)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBackup, err)
		}
	}
}
