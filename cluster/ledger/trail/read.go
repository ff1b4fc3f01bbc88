package trail

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"slices"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// mostEvents is how many events one call gives, mostLooked how many it looks at to find
// them, and mostLookedBack how many Last does.
const (
	mostEvents     = 1000
	mostLooked     = 100_000
	mostLookedBack = 1_000_000
)

// Filter says which events are wanted. Zero fields don't filter; of Order, Session and
// Operator only one may be set.
type Filter struct {
	Order    engine.OrderRef
	Life     engine.Life // of the order; 0: of any
	Session  engine.SessionHandle
	Operator string
	From     engine.TrailPosition
	Limit    int // 1 to 1000
	// Besides those of Session: all that operators did, and each leader's beginning.
	Besides bool

	deeds bool // of whichever operator: only segments that have some are looked at
}

func (f *Filter) all() bool {
	return f.Order.IsZero() && f.Session == 0 && f.Operator == "" && !f.deeds
}

func (f *Filter) wants(e *Event) bool {
	switch {
	case !f.Order.IsZero():
		return e.Order == f.Order && (f.Life == 0 || e.Life == f.Life)
	case f.Session != 0:
		return e.Session == f.Session || f.Besides && (e.Operator != "" || e.Kind == engine.EpochOpened)
	}
	return f.Operator == "" || e.Operator == f.Operator
}

// views are the trail at one moment.
type views [kinds]view

// view is what there is of a kind.
type view struct {
	kind int
	segs []*segment      // in order; replaced, never changed. Only the last may not be sealed
	upto engine.LogIndex // everything is on disk, or known to be missing
	last entry           // that is known
}

// find gives the place of the first segment that reaches to index or further.
func (v *view) find(index engine.LogIndex) int {
	i, _ := slices.BinarySearchFunc(v.segs, index, func(s *segment, index engine.LogIndex) int {
		return cmp.Compare(s.upto, index)
	})
	return i
}

// dropped gives the index up to which everything was dropped.
func (v *view) dropped() engine.LogIndex {
	if len(v.segs) > 0 && v.segs[0].gone {
		return v.segs[0].upto
	}
	return 0
}

// gap is what no segment of a kind covers: (after, upto], and the time of upto if known.
type gap struct {
	kind        int
	after, upto engine.LogIndex
	time        engine.Time
}

// gapBefore gives the gap before a segment, or behind the last, which may be empty.
func (v *view) gapBefore(i int) gap {
	g := gap{kind: v.kind, upto: v.upto, time: v.last.time}
	if i < len(v.segs) {
		g.upto, g.time = v.segs[i].after, v.segs[i].time
	}
	if i > 0 {
		g.after = v.segs[i-1].upto
	}
	return g
}

// gaps gives those that begin before an index.
func (v *view) gaps(before engine.LogIndex) (gaps []gap) {
	for i := range len(v.segs) + 1 {
		if g := v.gapBefore(i); g.after < g.upto && g.after < before {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// end is the position behind all that there is.
func (v *view) end() engine.TrailPosition { return engine.TrailPosition{Index: v.upto + 1} }

// missing gives the event that stands for what is not there.
func missing(g gap) *Event {
	return &Event{TrailEvent: engine.TrailEvent{TrailPosition: engine.TrailPosition{Index: g.upto, N: math.MaxUint32},
		Time: g.time, Missing: g.after + 1}}
}

// segmentError is what went wrong with a segment.
type segmentError struct {
	segment *segment
	err     error
}

func (e *segmentError) Error() string { return e.segment.name() + ": " + e.err.Error() }
func (e *segmentError) Unwrap() error { return e.err }

// reading opens a segment, and compares it with its checksum, for read.
func (t *Trail) reading(s *segment, read func(vfs.File) error) error {
	f, err := t.cfg.FS.OpenRead(t.path(s.name()))
	if err == nil {
		defer f.Close()
		if err = s.check(f); err == nil {
			err = read(f)
		}
	}
	if errors.Is(err, codec.ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
		return &segmentError{s, err}
	}
	return err
}

// looking has read look at the trail, once more for each segment that turns out to be
// damaged: then that is quarantined.
func (t *Trail) looking(read func(*views) error) error {
	for {
		t.mu.Lock()
		v, known := t.views, t.known
		t.mu.Unlock()
		if !known {
			return ErrNotReady
		}
		var d *segmentError
		if err := read(&v); !errors.As(err, &d) || !t.quarantine(d) {
			return err
		}
	}
}

// walk gives the events from a position on to visit, in order, until it returns false:
// all those of entries that may have some that a filter wants. Before the horizon these
// are operators' deeds alone. Those that stand for gaps are among them if the filter
// wants all.
func (t *Trail) walk(f Filter, visit func(*Event) bool) error {
	from := f.From // where to go on if a segment is damaged
	return t.looking(func(all *views) error {
		goOn, upto := true, all[events].dropped()
		each := func(e *Event) bool {
			if e.Before(from) {
				return true
			}
			if e.Index > upto {
				return false
			}
			if goOn = visit(e); goOn {
				from = e.Next()
			}
			return goOn
		}
		for _, v := range [...]*view{&all[deeds], &all[events]} {
			for i := v.find(from.Index); i <= len(v.segs) && goOn && from.Index <= upto; i++ {
				g := v.gapBefore(i)
				if g.upto = min(g.upto, upto); g.after < g.upto && f.all() && !each(missing(g)) || i == len(v.segs) {
					break
				}
				s := v.segs[i]
				if s.after >= upto || !s.mayHave(&f) {
					continue
				}
				err := t.reading(s, func(file vfs.File) error { return s.walk(file, from.Index, &f, each) })
				if err != nil {
					return err
				}
			}
			upto = all[events].upto
		}
		return nil
	})
}

// mayHave reports whether a segment may have what a filter wants.
func (s *segment) mayHave(f *Filter) bool {
	switch {
	case s.gone:
		return false
	case !s.sealed || f.all() || f.Besides:
		return true
	}
	name := sessionKey(cmp.Or(f.Session, f.Order.Session))
	if f.Operator != "" {
		name = operatorKey(f.Operator)
	} else if f.deeds {
		name = anyDeed
	}
	_, found := slices.BinarySearch(s.names, name)
	return found
}

// walk gives events of a segment's to visit: of the entries from index on that may have
// what a filter wants.
func (s *segment) walk(file vfs.File, index engine.LogIndex, f *Filter, visit func(*Event) bool) error {
	goOn := true
	each := func(rec *wal.Record) (bool, error) {
		if engine.LogIndex(rec.Index) < index {
			return true, nil
		}
		err := eachEvent(rec, func(e *Event) bool {
			goOn = visit(e)
			return goOn
		})
		return goOn, err
	}
	key := orderKey(f.Order)
	switch {
	case f.Operator != "":
		key = operatorKey(f.Operator)
	case f.Order.IsZero():
		return scan(file, s.seek(index), s.end, each)
	}
	offsets, err := s.offsets(file, key)
	for i := 0; i < len(offsets) && goOn && err == nil; i++ {
		err = scan(file, int64(offsets[i]), s.end, func(rec *wal.Record) (bool, error) {
			_, err := each(rec)
			return false, err
		})
	}
	return err
}

// Events gives up to most events, at most 1000, from a position on, and the position to
// go on from, which is behind all that there is if there were fewer. Error:
// *engine.TrailGone, where no more than deeds is kept from there on; ErrNotReady.
func (t *Trail) Events(from engine.TrailPosition, most int) (found []Event, next engine.TrailPosition, err error) {
	all := t.now()
	v := &all[events]
	if first := (engine.TrailPosition{Index: v.dropped() + 1}); first.Index > 1 && from.Before(first) {
		return nil, from, &engine.TrailGone{First: first}
	}
	found, next, more, err := t.Find(Filter{From: from, Limit: most})
	if more || err != nil {
		return found, next, err
	}
	if next = from; from.Before(v.end()) {
		next = v.end()
	}
	if n := len(found); n > 0 && !found[n-1].Before(next) { // it came meanwhile
		next = found[n-1].Next()
	}
	return found, next, nil
}

// Find gives the events that a filter wants, the oldest first, deeds before the horizon
// among them, and where to go on; more is false at the end. There may be fewer events
// than asked for, and more to follow: what one call looks at is bounded.
func (t *Trail) Find(f Filter) (found []Event, next engine.TrailPosition, more bool, err error) {
	most, looked := min(max(f.Limit, 1), mostEvents), 0
	err = t.walk(f, func(e *Event) bool {
		if looked++; len(found) == most || looked > mostLooked {
			next, more = e.TrailPosition, true
			return false
		}
		if f.wants(e) {
			found = append(found, *e)
		}
		return true
	})
	return found, next, more, err
}

// Last gives the position of the event from which on there are n that keep wants (nil:
// all); of the first that is found if there are fewer. With 0, the one behind all
// that there is. How far back it looks is bounded.
func (t *Trail) Last(n int, keep func(*Event) bool) (p engine.TrailPosition, err error) {
	err = t.looking(func(all *views) error {
		v := &all[events]
		p = v.end()
		want, looked := n, 0
		for _, s := range slices.Backward(v.segs) {
			if s.gone {
				break
			}
			if err := t.reading(s, func(f vfs.File) error {
				to := s.end
				for m := len(s.marks); m >= 0 && want > 0 && looked < mostLookedBack; m-- {
					from := int64(headerBytes)
					if m > 0 {
						from = int64(s.marks[m-1].offset)
					}
					var found []engine.TrailPosition
					if err := scan(f, from, to, func(rec *wal.Record) (bool, error) {
						return true, eachEvent(rec, func(e *Event) bool {
							if looked++; keep == nil || keep(e) {
								found = append(found, e.TrailPosition)
							}
							return true
						})
					}); err != nil {
						return err
					}
					if n := min(len(found), want); n > 0 {
						p, want = found[len(found)-n], want-n
					}
					to = from
				}
				return nil
			}); err != nil || want == 0 || looked >= mostLookedBack {
				return err
			}
		}
		return nil
	})
	return p, err
}

// Horizon gives position and time of the first event that is kept: of all events, or of
// deeds alone. Where there is none, it is the end.
func (t *Trail) Horizon(ofDeeds bool) (p engine.TrailPosition, at engine.Time, err error) {
	all := t.now()
	p, at = all[events].end(), all[events].last.time
	f := Filter{From: engine.TrailPosition{Index: all[events].dropped() + 1}, deeds: ofDeeds}
	if ofDeeds {
		f.From.Index = min(f.From.Index, all[deeds].dropped()+1)
	}
	err = t.walk(f, func(e *Event) bool {
		if e.Missing != 0 || ofDeeds && e.Operator == "" {
			return true
		}
		p, at = e.TrailPosition, e.Time
		return false
	})
	return p, at, err
}
