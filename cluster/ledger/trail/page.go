package trail

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// pageBytes is about how long a page for another node is. Each makes a segment there.
const pageBytes = 2 << 20

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
	Frames  []byte      // batches of wal's frames, one record an entry
}

// errPage: a page says what can't be.
var errPage = codec.Damaged("a page is not what was asked for, or of another cluster")

// check checks a page of what was asked for, but for its frames.
func (p *Page) check(group [16]byte, after, upto engine.LogIndex) error {
	if p.Group != group || p.After < after || p.Upto < p.After || p.Upto > upto || p.Dropped > upto {
		return errPage
	}
	return nil
}

// build makes a segment of a page, to be installed.
func (p *Page) build(c *Config, kind int, owner uint64) (*building, error) {
	b := newBuilding(c, header{kind: kind, group: p.Group, owner: owner, after: p.After, time: p.Time})
	if err := b.create(); err != nil {
		return nil, err
	}
	if err := b.add(p.Frames, p.Upto, false); err != nil {
		b.abandon()
		return nil, err
	}
	return b, nil
}

// Page gives what one segment has of (after, upto], the first that has something: of
// all events, or of operators' deeds. It is about 2 MiB at most. Error: ErrNotReady.
func (t *Trail) Page(after, upto engine.LogIndex, ofDeeds bool) (Page, error) {
	kind := events
	if ofDeeds {
		kind = deeds
	}
	return t.page(kind, after, upto, t.pageBytes)
}

func (t *Trail) page(kind int, after, upto engine.LogIndex, most int64) (p Page, err error) {
	err = t.looking(func(all *views) error {
		v := &all[kind]
		p = Page{Group: t.group, Dropped: min(v.dropped(), upto), After: after, Upto: after}
		i := v.find(max(after, v.dropped()) + 1)
		if i == len(v.segs) || v.segs[i].after >= upto {
			return nil
		}
		s := v.segs[i]
		p.After, p.Upto = max(after, s.after), min(upto, s.upto)
		if p.After == s.after {
			p.Time = s.time
		}
		var recs []wal.Record
		err := t.reading(s, func(f vfs.File) error {
			return scan(f, s.seek(p.After), s.end, func(rec *wal.Record) (bool, error) {
				if index := engine.LogIndex(rec.Index); index <= p.After || index > p.Upto {
					return index <= p.After, nil
				}
				recs = append(recs, wal.Record{Index: rec.Index, Term: rec.Term, Meta: slices.Clone(rec.Meta),
					Data: slices.Clone(rec.Data)})
				if most -= rec.FrameBytes(); most <= 0 {
					p.Upto = engine.LogIndex(rec.Index)
				}
				return most > 0, nil
			})
		})
		if len(recs) > 0 {
			p.Frames = wal.AppendBatch(nil, recs)
		}
		return err
	})
	return p, err
}

// A backup's part is a gob stream of pages: all of events, in order, then all of deeds,
// each kind ended by an empty one. Who writes it adds a checksum.

// WriteTo writes all that there is up to a log index, for Restore.
func (t *Trail) WriteTo(ctx context.Context, w io.Writer, upto engine.LogIndex) error {
	out := gob.NewEncoder(w)
	for kind := range kinds {
		for after, more := engine.LogIndex(0), true; more; {
			p, err := t.page(kind, after, upto, t.cfg.SegmentBytes)
			if err == nil {
				err = errors.Join(out.Encode(&p), ctx.Err())
			}
			if err != nil {
				return err
			}
			after, more = p.Upto, p.After < p.Upto
		}
	}
	return nil
}

// ReadBackup checks what WriteTo wrote of a group's trail up to an index, but for frames,
// gives its pages to use, and tells how many gaps there are.
func ReadBackup(r io.Reader, group [16]byte, upto engine.LogIndex,
	use func(kind int, p *Page) error) (gaps int, err error) {
	in, needed := gob.NewDecoder(r), upto // deeds are told of where events were dropped
	for kind := range kinds {
		var covered, horizon, last engine.LogIndex
		for more := true; more; {
			var p Page
			if err = in.Decode(&p); err == nil {
				err = p.check(group, last, upto)
			}
			if last > 0 { // it may have moved since
				p.Dropped = 0
			}
			if err == nil {
				err = use(kind, &p)
			}
			if err != nil {
				return gaps, err
			}
			horizon = max(horizon, p.Dropped)
			covered, last, more = max(covered, horizon), p.Upto, p.After < p.Upto
			if covered < needed && (p.After > covered || !more) {
				gaps++
			}
			covered = max(covered, p.Upto)
		}
		needed = horizon
	}
	return gaps, nil
}

// Restore begins a trail in c.Dir, which must not have one, and gives what makes it of
// pages that ReadBackup gives. What came in without an error is on disk.
func Restore(c Config) (add func(kind int, p *Page) error, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if names, err := listSegments(&c, events); err != nil || len(names) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s holds a trail already, or can't be read", c.Dir))
	}
	return func(kind int, p *Page) error {
		var built []*building
		if p.Dropped > 0 {
			b, err := newGone(&c, header{kind: kind, group: p.Group}, entry{index: p.Dropped}, p.Dropped)
			if err != nil {
				return err
			}
			built = append(built, b)
		}
		if p.After < p.Upto {
			b, err := p.build(&c, kind, 0)
			if err != nil {
				return err
			}
			built = append(built, b)
		}
		for _, b := range built {
			if _, err := b.finish(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
