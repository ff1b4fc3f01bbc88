package trail

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"slices"

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
}

func (f *Filter) all() bool { return f.Order.IsZero() && f.Session == 0 && f.Operator == "" }

func (f *Filter) wants(e *Event) bool {
	switch {
	case !f.Order.IsZero():
		return e.Order == f.Order && (f.Life == 0 || e.Life == f.Life)
	case f.Session != 0:
		return e.Session == f.Session
	case f.Operator != "":
		return e.Operator == f.Operator
	}
	return true
}

// view is the trail at one moment.
type view struct {
	segs    []*segment
	live    *segment
	dropped engine.LogIndex
	last    entry
}

// viewed gives the trail as it is; mu is held.
func (t *Trail) viewed() view { return view{t.segs, t.live, t.dropped, t.last} }

func (t *Trail) view() (view, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		return view{}, ErrNotReady
	}
	return t.viewed(), nil
}

func (v *view) len() int {
	if v.live != nil {
		return len(v.segs) + 1
	}
	return len(v.segs)
}

func (v *view) at(i int) *segment {
	if i == len(v.segs) {
		return v.live
	}
	return v.segs[i]
}

// find gives the place of the first segment that reaches to index or further.
func (v *view) find(index engine.LogIndex) int {
	i, _ := slices.BinarySearchFunc(v.segs, index, func(s *segment, index engine.LogIndex) int { return cmp.Compare(s.last.index, index) })
	return i
}

// thinned gives the index up to which no more than deeds is kept.
func (v *view) thinned() engine.LogIndex {
	index := v.dropped
	for _, s := range v.segs {
		if !s.thinned {
			break
		}
		index = s.last.index
	}
	return index
}

// gap is what no segment covers: (after, upto], and the time of upto if known.
type gap struct {
	after, upto engine.LogIndex
	time        engine.Time
}

// gapBefore gives the gap before a segment, which may be empty.
func (v *view) gapBefore(i int) gap {
	s, after := v.at(i), v.dropped
	if i > 0 {
		after = v.at(i - 1).last.index
	}
	return gap{after, max(s.after, after), s.time}
}

func (v *view) gaps() (gaps []gap) {
	for i := range v.len() {
		if g := v.gapBefore(i); g.after < g.upto {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// end is the position behind all that there is.
func (v *view) end() engine.TrailPosition { return engine.TrailPosition{Index: v.last.index + 1} }

// missing gives the event that stands for what is not there.
func missing(g gap) Event {
	return Event{TrailPosition: engine.TrailPosition{Index: g.upto, N: math.MaxUint32}, Time: g.time, Missing: g.after + 1}
}

// segmentError is what went wrong with a segment.
type segmentError struct {
	segment *segment
	err     error
}

func (e *segmentError) Error() string { return e.segment.name() + ": " + e.err.Error() }
func (e *segmentError) Unwrap() error { return e.err }

// reading opens a segment that was compared with its checksum for read.
func (t *Trail) reading(s *segment, read func(vfs.File) error) error {
	err := s.check(t.cfg.FS, t.cfg.Dir)
	if err == nil {
		var f vfs.File
		if f, err = t.cfg.FS.OpenRead(t.path(s.name())); err == nil {
			defer f.Close()
			err = read(f)
		}
	}
	if errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) {
		return &segmentError{s, err}
	}
	return err
}

// looking has read look at the trail, once more for each segment that turns out to be
// damaged: then that is quarantined.
func (t *Trail) looking(read func(*view) error) error {
	for {
		v, err := t.view()
		if err != nil {
			return err
		}
		var d *segmentError
		if err = read(&v); !errors.As(err, &d) || !t.quarantine(d) {
			return err
		}
	}
}

// walk gives the events from a position on to visit, in order, until it returns false:
// all those of entries that may have some that a filter wants. Those that stand for gaps
// are among them if the filter wants all.
func (t *Trail) walk(from engine.TrailPosition, f Filter, visit func(*Event) bool) error {
	return t.looking(func(v *view) error {
		stopped := false
		each := func(e *Event) bool {
			if e.Before(from) {
				return true
			}
			if stopped = !visit(e); !stopped {
				from = e.Next() // where to go on if the next segment is damaged
			}
			return !stopped
		}
		for i := v.find(from.Index); i < v.len() && !stopped; i++ {
			s := v.at(i)
			if g := v.gapBefore(i); g.after < g.upto && f.all() {
				if e := missing(g); !each(&e) {
					break
				}
			}
			if !s.mayHave(&f) {
				continue
			}
			if err := t.reading(s, func(file vfs.File) error { return s.walk(file, from.Index, &f, each) }); err != nil {
				return err
			}
			if s.thinned && s.last.index > v.thinned() && f.all() && !stopped {
				e := missing(gap{s.after, s.last.index, s.last.time})
				each(&e)
			}
		}
		return nil
	})
}

// mayHave reports whether a segment may have what a filter wants.
func (s *segment) mayHave(f *Filter) bool {
	if !s.sealed || f.all() {
		return true
	}
	if f.Operator != "" {
		return slices.Contains(s.operators, f.Operator)
	}
	_, found := slices.BinarySearch(s.sessions, cmp.Or(f.Session, f.Order.Session))
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
	table, key := orders, refKey(f.Order)
	switch {
	case f.Operator != "":
		table, key = deeds, uint64(slices.Index(s.operators, f.Operator)) // if there is none, no row has it
	case f.Order.IsZero():
		from, err := s.seek(file, index)
		if err != nil {
			return err
		}
		return scan(file, from, s.end, each)
	}
	offsets, err := s.offsets(file, table, key)
	if err != nil {
		return err
	}
	for _, offset := range offsets {
		if !goOn {
			break
		}
		if err := scan(file, int64(offset), s.end, func(rec *wal.Record) (bool, error) {
			_, err := each(rec)
			return false, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Events gives up to most events, at most 1000, from a position on, and the position to
// go on from, which is behind all that there is if there were fewer. Error:
// *engine.TrailGone, where no more than deeds is kept from there on; ErrNotReady.
func (t *Trail) Events(from engine.TrailPosition, most int) (events []Event, next engine.TrailPosition, err error) {
	v, err := t.view()
	if err != nil {
		return nil, from, err
	}
	if first := (engine.TrailPosition{Index: v.thinned() + 1}); from.Before(first) && v.thinned() > 0 {
		return nil, from, &engine.TrailGone{First: first}
	}
	most = min(max(most, 1), mostEvents)
	if next = from; from.Before(v.end()) {
		next = v.end()
	}
	more := false
	err = t.walk(from, Filter{}, func(e *Event) bool {
		if len(events) == most {
			next, more = e.TrailPosition, true
			return false
		}
		events = append(events, *e)
		return true
	})
	if n := len(events); n > 0 && !more && !events[n-1].Before(next) { // it came meanwhile
		next = events[n-1].Next()
	}
	return events, next, err
}

// Find gives the events that a filter wants, the oldest first, deeds before the horizon
// among them, and where to go on; more is false at the end. There may be fewer events
// than asked for, and more to follow: what one call looks at is bounded.
func (t *Trail) Find(f Filter) (events []Event, next engine.TrailPosition, more bool, err error) {
	most, looked := min(max(f.Limit, 1), mostEvents), 0
	err = t.walk(f.From, f, func(e *Event) bool {
		if looked++; len(events) == most || looked > mostLooked {
			next, more = e.TrailPosition, true
			return false
		}
		if f.wants(e) {
			events = append(events, *e)
		}
		return true
	})
	return events, next, more, err
}

// Last gives the position of the event from which on there are n that keep wants (nil:
// all); of the first that is found if there are fewer. With 0, the one behind all
// that there is. How far back it looks is bounded.
func (t *Trail) Last(n int, keep func(*Event) bool) (p engine.TrailPosition, err error) {
	err = t.looking(func(v *view) error {
		p = v.end()
		want, looked := n, 0
		for i := v.len() - 1; i >= 0 && want > 0 && looked < mostLookedBack && v.at(i).last.index > v.thinned(); i-- {
			s := v.at(i)
			if err := t.reading(s, func(f vfs.File) error {
				m, err := s.table(f, marks)
				for to := s.end; err == nil && to > headerBytes && want > 0 && looked < mostLookedBack; {
					from := int64(headerBytes)
					if len(m) > 0 {
						from, m = int64(m[len(m)-1].offset), m[:len(m)-1]
					}
					var found []engine.TrailPosition
					err = scan(f, from, to, func(rec *wal.Record) (bool, error) {
						return true, eachEvent(rec, func(e *Event) bool {
							if looked++; keep == nil || keep(e) {
								found = append(found, e.TrailPosition)
							}
							return true
						})
					})
					if len(found) > 0 {
						p = found[max(len(found)-want, 0)]
						want -= min(len(found), want)
					}
					to = from
				}
				return err
			}); err != nil {
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
	v, err := t.view()
	if err != nil {
		return p, at, err
	}
	p, at = v.end(), v.last.time
	from := engine.TrailPosition{Index: v.dropped + 1}
	if !ofDeeds {
		from.Index = v.thinned() + 1
	}
	err = t.looking(func(v *view) error {
		for i := v.find(from.Index); i < v.len(); i++ {
			s, found := v.at(i), false
			if ofDeeds && len(s.operators) == 0 {
				continue
			}
			if err := t.reading(s, func(f vfs.File) error {
				return s.walk(f, from.Index, &Filter{}, func(e *Event) bool {
					if found = !ofDeeds || e.Operator != ""; found {
						p, at = e.TrailPosition, e.Time
					}
					return !found
				})
			}); err != nil || found {
				return err
			}
		}
		return nil
	})
	return p, at, err
}
