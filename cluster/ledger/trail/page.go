package trail

import (
	"context"
	"errors"
	"slices"

	"doorbuster/cluster/ledger/codec"
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
		p = Page{Group: t.group, Dropped: v.reaches(gone), After: after, Upto: after}
		var recs []wal.Record
		size := 0
		defer func() {
			if len(recs) > 0 {
				p.Frames = wal.AppendBatch(nil, recs)
			}
		}()
		for _, s := range v.segs[v.find(after+1):] {
			from, only := max(after, s.after), deeds || s.kind == thinned
			switch {
			case s.kind == gone:
				continue
			case from >= upto || size >= most || p.Upto > p.After && (p.Upto != from || p.Thinned != only):
				return nil
			case p.Upto == p.After: // the first
				p.After, p.Thinned = from, only
				if from == s.after {
					p.Time = s.time
				}
			}
			if err := t.reading(s, func(f vfs.File) error {
				return scan(f, s.seek(from), s.end, func(rec *wal.Record) (_ bool, err error) {
					if index := engine.LogIndex(rec.Index); index <= from || index > upto {
						return index <= from, nil
					}
					data := slices.Clone(rec.Data)
					if deeds {
						data, err = onlyDeeds(rec)
					}
					if len(data) > 0 || !deeds {
						recs = append(recs, wal.Record{Index: rec.Index, Term: rec.Term, Meta: slices.Clone(rec.Meta), Data: data})
						size += int(recs[len(recs)-1].FrameBytes())
					}
					return size < most, err
				})
			}); err != nil {
				return err
			}
			if p.Upto = min(s.upto, upto); size >= most {
				p.Upto = engine.LogIndex(recs[len(recs)-1].Index)
			}
		}
		return nil
	})
	return p, err
}

// errNothing: nobody has any of what is asked for.
var errNothing = errors.New("nobody has it")

// receiving makes segments from pages.
type receiving struct {
	cfg   *Config
	group [16]byte
	most  int64 // bytes of a segment, about
	b     *building
	done  func(*building) error // takes in one that is complete, not sealed
}

// receive makes segments of what there is of (after, upto], after it was checked.
func (r *receiving) receive(after, upto engine.LogIndex, ask func(after, upto engine.LogIndex) (Page, error)) error {
	for after < upto {
		p, err := ask(after, upto)
		if err == nil && p.Upto == after {
			err = errNothing
		}
		if err == nil && (p.After < after || p.Upto <= p.After || p.Upto > upto) {
			err = codec.Damaged("a page of (%d, %d] for (%d, %d] is not what was asked for", p.After, p.Upto, after, upto)
		}
		if err == nil {
			err = r.add(&p)
		}
		if errors.Is(err, codec.ErrDamaged) {
			r.abandon()
			return err
		}
		if err != nil {
			return errors.Join(err, r.finish())
		}
		after = p.Upto
	}
	return r.finish()
}

// add takes in a page that covers something.
func (r *receiving) add(p *Page) error {
	h := header{group: r.group, after: p.After, time: p.Time}
	if p.Thinned {
		h.kind = thinned
	}
	if b := r.b; b != nil && (b.upto != p.After || b.kind != h.kind || b.end >= r.most) {
		if err := r.finish(); err != nil {
			return err
		}
	}
	if r.b == nil {
		b := newBuilding(r.cfg, h)
		if err := b.create(); err != nil {
			return err
		}
		r.b = b
	}
	return r.b.add(p.Frames, p.Upto, false)
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
		r.b = nil
	}
}
