package trail

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal/vfs"
)

// What is done in the background, and how often.
const (
	keepEvery    = time.Second
	askPatience  = 60 * time.Second // for a peer's page
	retryAfter   = 3 * time.Second  // where nobody could be asked
	askAgain     = time.Minute      // for gaps that nobody can fill
	checkShare   = 4                // checking rests so many times as long as it takes
	deedsShare   = 4                // deeds may fill one part in so many of KeepBytes
	thinnedBytes = 1 << 20          // of a thinned segment, before another is begun
)

// errOvertaken: what work was done on is not there any more.
var errOvertaken = errors.New("overtaken")

// keep is the goroutine that drops, fills gaps and checks what was not read yet.
func (t *Trail) keep() {
	timer := time.NewTicker(keepEvery)
	defer timer.Stop()
	var f filling
	for t.ctx.Err() == nil {
		did, err := t.trim()
		if err == nil && !did {
			did, err = t.fill(&f)
		}
		if err == nil && !did {
			did, err = t.check()
		}
		if errors.Is(err, errOvertaken) || did && err == nil {
			continue
		}
		if err != nil && t.ctx.Err() == nil {
			t.cfg.Logger.Warn("the trail could not be tidied up; it is tried again", "error", err)
		}
		select {
		case <-t.work:
		case <-timer.C:
		case <-t.ctx.Done():
		}
	}
}

// quarantine takes a damaged segment off the list. It reports whether it is worth
// looking again.
func (t *Trail) quarantine(d *segmentError) bool {
	t.disk.Lock()
	defer t.disk.Unlock()
	segs := t.now().segs
	if n := len(segs); !d.segment.sealed {
		if n == 0 || segs[n-1].sealed || segs[n-1].after != d.segment.after {
			return true // it has been replaced meanwhile
		}
		t.roll.Store(true)
		signal(t.queue.wake)
		return false
	}
	if i := slices.Index(segs, d.segment); i >= 0 {
		t.list(slices.Delete(slices.Clone(segs), i, i+1))
		t.setAside(d.segment.name(), d.err)
		signal(t.work)
	}
	return true
}

// list replaces the list of segments; disk is held.
func (t *Trail) list(segs []*segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.segs = segs
}

// install lists a segment that was built in the place of others, which may be none.
func (t *Trail) install(b *building, instead []*segment) error {
	t.disk.Lock()
	defer t.disk.Unlock()
	v := t.now()
	segs := slices.DeleteFunc(slices.Clone(v.segs), func(s *segment) bool { return slices.Contains(instead, s) })
	i := (&view{segs: segs}).find(b.after + 1)
	if len(segs)+len(instead) != len(v.segs) || b.upto > v.upto || i < len(segs) && segs[i].after < b.upto {
		b.abandon()
		return errOvertaken
	}
	s, err := b.finish()
	if err != nil {
		return err
	}
	t.list(slices.Insert(segs, i, s))
	for _, old := range instead {
		if old.name() != s.name() {
			err = errors.Join(err, vfs.IgnoreGone(t.cfg.FS.Remove(t.path(old.name()))))
		}
	}
	return err
}

// excess gives the segments to be dropped as they are too old or too much, and those to
// be thinned, as one.
func (v *view) excess(c *Config) (drop, thin []*segment) {
	var full, deeds int64
	var old []*segment
	first, share := -1, c.KeepBytes/deedsShare
	for i, s := range v.segs {
		switch {
		case !s.sealed || s.kind == gone:
			continue
		case s.kind == thinned:
			if deeds += s.size; drop == nil {
				drop = v.segs[:i+1]
			}
		default:
			if full += s.size; first < 0 {
				first = i
			}
		}
		if s.last.time != 0 && s.last.time < v.last.time.Add(-c.Keep) {
			old = v.segs[:i+1]
		}
	}
	if old != nil || deeds <= share {
		drop = old
	}
	if drop != nil || full <= c.KeepBytes-min(deeds, share) {
		return drop, nil
	}
	thin = v.segs[first : first+1]
	if first > 0 {
		if before := v.segs[first-1]; before.kind == thinned && before.upto == thin[0].after &&
			before.size < min(thinnedBytes, c.KeepBytes/32) {
			thin = v.segs[first-1 : first+1]
		}
	}
	return drop, thin
}

// trim drops or thins, if there is too much or it is too old.
func (t *Trail) trim() (did bool, err error) {
	v := t.now()
	drop, thin := v.excess(&t.cfg)
	switch {
	case drop != nil:
		return true, t.drop(drop[len(drop)-1].last, drop[len(drop)-1].upto, drop)
	case thin == nil:
		return false, nil
	}
	last := thin[len(thin)-1]
	to := receiving{cfg: &t.cfg, group: t.group, most: math.MaxInt64, done: func(b *building) error {
		if b.after != thin[0].after || b.upto != last.upto {
			b.abandon()
			return errOvertaken // damage has been found
		}
		b.last = last.last
		return t.install(b, thin)
	}}
	return true, to.receive(thin[0].after, last.upto, func(after, upto engine.LogIndex) (Page, error) {
		return t.Page(after, upto, true, 0)
	})
}

// drop has a segment without anything in the place of others, up to an index.
func (t *Trail) drop(last entry, upto engine.LogIndex, instead []*segment) error {
	b, err := newGone(&t.cfg, t.group, last, upto)
	if err == nil {
		err = t.install(b, instead)
	}
	return err
}

// newGone begins a segment that covers all up to an index, and has nothing of it.
func newGone(c *Config, group [16]byte, last entry, upto engine.LogIndex) (*building, error) {
	b := newBuilding(c, header{group: group, kind: gone})
	b.last, b.upto = last, upto
	return b, b.create()
}

// filling remembers which gaps nobody could fill, and when they are to be asked for again.
type filling struct {
	gaps  []gap
	again time.Time
}

// fill asks peers for what is missing.
func (t *Trail) fill(f *filling) (did bool, err error) {
	v := t.now()
	gaps := v.gaps()
	if t.peers == nil || slices.Equal(gaps, f.gaps) && time.Now().Before(f.again) {
		return false, nil
	}
	wait := askAgain
	for _, g := range gaps {
		did, err := t.fillGap(&v, g)
		if did {
			return true, err
		}
		if err != nil && t.ctx.Err() == nil {
			t.cfg.Logger.Warn("no peer has what the trail is missing", "after", g.after, "upto", g.upto, "error", err)
			if !errors.Is(err, codec.ErrDamaged) {
				wait = retryAfter
			}
		}
	}
	f.gaps, f.again = gaps, time.Now().Add(wait)
	return false, nil
}

// fillGap fills a gap as far as peers can. Where they have dropped its beginning, and it
// is the trail's, the horizon is as late here.
func (t *Trail) fillGap(v *view, g gap) (did bool, err error) {
	to := receiving{cfg: &t.cfg, group: t.group, most: t.cfg.SegmentBytes, done: func(b *building) error {
		did = true
		return t.install(b, nil)
	}}
	var dropped engine.LogIndex
	err = to.receive(g.after, g.upto, func(after, upto engine.LogIndex) (Page, error) {
		ctx, cancel := context.WithTimeout(t.ctx, askPatience)
		defer cancel()
		p, err := t.peers.Entries(ctx, after, upto, g.upto <= v.reaches(thinned))
		if err == nil && p.Group != t.group {
			err = codec.Damaged("a peer's page is another cluster's")
		}
		if err == nil && g.after == v.reaches(gone) {
			dropped = min(p.Dropped, g.upto)
		}
		return p, err
	})
	if dropped > g.after && (err == nil || did) {
		did = true
		n := v.find(g.after + 1) // what has been dropped here stands before the gap
		err = cmp.Or(err, t.drop(entry{index: dropped}, dropped, v.segs[:n]))
	}
	if did && err == nil {
		t.cfg.Logger.Info("a gap in the trail was filled from a peer", "after", g.after, "upto", g.upto)
	}
	return did, err
}

// check compares one segment with its checksum, the newest first, and rests.
func (t *Trail) check() (did bool, err error) {
	for _, s := range slices.Backward(t.now().segs) {
		if !s.sealed || s.checked.Load() {
			continue
		}
		began := time.Now()
		err := t.reading(s, func(vfs.File) error { return nil })
		var d *segmentError
		if errors.As(err, &d) {
			t.quarantine(d)
			return true, nil
		}
		rest := time.NewTimer(checkShare * time.Since(began))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-t.ctx.Done():
		}
		return true, err
	}
	return false, nil
}
