package trail

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"doorbuster/engine"
	"doorbuster/wal/vfs"
)

// What is done in the background, and how often.
const (
	keepEvery   = time.Second
	askPatience = 60 * time.Second // for a peer's page
	retryAfter  = 3 * time.Second  // for a gap that nobody could fill, and twice as long each time
	retryAtMost = time.Minute
	checkShare  = 4 // checking rests so many times as long as it takes
	deedsShare  = 4 // deeds may fill one part in so many of KeepBytes
)

// errOvertaken: what work was done on is not there any more.
var errOvertaken = errors.New("overtaken")

// keep is the goroutine that drops, fills gaps and checks what was not read yet.
func (t *Trail) keep() {
	timer := time.NewTicker(keepEvery)
	defer timer.Stop()
	var f filling
	for t.ctx.Err() == nil {
		t.look()
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
	kind, damaged := d.segment.kind, d.segment
	if segs := t.now()[kind].segs; !damaged.sealed {
		n := len(segs) - 1
		if n < 0 || segs[n].sealed || segs[n].after != damaged.after {
			return true // it has been replaced meanwhile
		}
		if err := t.seal(kind); err != nil {
			return false
		}
		if segs = t.now()[kind].segs; len(segs) > n {
			damaged = segs[n]
		}
	}
	segs := t.now()[kind].segs
	if i := slices.Index(segs, damaged); i >= 0 {
		s := t.rescue(kind, damaged.name(), d.err)
		if segs = slices.Delete(slices.Clone(segs), i, i+1); s != nil {
			segs = slices.Insert(segs, i, s)
		}
		t.list(kind, segs)
		signal(t.work)
	}
	return true
}

// list replaces the list of a kind's segments; disk is held.
func (t *Trail) list(kind int, segs []*segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.views[kind].segs = segs
}

// install lists a segment that was built. One of what was dropped takes the place of all
// before its end.
func (t *Trail) install(b *building) error {
	t.disk.Lock()
	defer t.disk.Unlock()
	v := t.now()[b.kind]
	segs := slices.DeleteFunc(slices.Clone(v.segs), func(s *segment) bool { return b.gone && s.upto <= b.upto })
	i := (&view{segs: segs}).find(b.after + 1)
	if b.upto > v.upto || i < len(segs) && segs[i].after < b.upto {
		b.abandon()
		return errOvertaken // damage has been found, or what was missing
	}
	s, err := b.finish()
	if err != nil {
		return err
	}
	t.list(b.kind, slices.Insert(segs, i, s))
	for _, old := range v.segs[:len(v.segs)-len(segs)] {
		if old.name() != s.name() {
			err = errors.Join(err, vfs.IgnoreGone(t.cfg.FS.Remove(t.path(old.name()))))
		}
	}
	return err
}

// excess gives the last segment that is to be dropped: what is there may be most bytes,
// and no older than a time.
func (v *view) excess(most int64, oldest engine.Time) (last *segment) {
	size := v.bytes()
	for _, s := range v.segs {
		if s.sealed && !s.gone && (size > most || s.last.time != 0 && s.last.time < oldest) {
			last = s
			size -= s.size
		}
	}
	return last
}

// bytes is what may be dropped.
func (v *view) bytes() (n int64) {
	for _, s := range v.segs {
		if s.sealed && !s.gone {
			n += s.size
		}
	}
	return n
}

// excess gives what is to be dropped of one kind, nil if nothing is.
func (all *views) excess(c *Config) *segment {
	share := c.KeepBytes / deedsShare
	most := [kinds]int64{events: c.KeepBytes - min(all[deeds].bytes(), share), deeds: share}
	for kind := range all {
		if s := all[kind].excess(most[kind], all[events].last.time.Add(-c.Keep)); s != nil {
			return s
		}
	}
	return nil
}

// trim drops what is too much or too old.
func (t *Trail) trim() (did bool, err error) {
	all := t.now()
	if s := all.excess(&t.cfg); s != nil {
		return true, t.drop(s.header, s.last, s.upto)
	}
	return false, nil
}

// drop drops all of a header's kind up to an index.
func (t *Trail) drop(of header, last entry, upto engine.LogIndex) error {
	b, err := newGone(&t.cfg, of, last, upto)
	if err == nil {
		err = t.install(b)
	}
	return err
}

// newGone begins a segment that covers all up to an index, and has nothing of it.
func newGone(c *Config, of header, last entry, upto engine.LogIndex) (*building, error) {
	b := newBuilding(c, header{group: of.group, kind: of.kind, gone: true})
	b.last, b.upto = last, upto
	return b, b.create()
}

// filling remembers which gaps nobody could fill, and when they are to be asked for
// again: soon, as a peer may be about to write them, and ever later.
type filling struct {
	gaps  []gap
	wait  time.Duration
	again time.Time
}

// fill asks peers for what is missing.
func (t *Trail) fill(f *filling) (did bool, err error) {
	all := t.now()
	gaps := slices.Concat(all[events].gaps(all[events].upto), all[deeds].gaps(all[deeds].upto))
	if t.peers == nil || slices.Equal(gaps, f.gaps) && time.Now().Before(f.again) {
		return false, nil
	}
	for _, g := range gaps {
		err := t.fillGap(g, g.after == all[g.kind].dropped())
		if err == nil {
			t.cfg.Logger.Info("a gap in the trail is filled from a peer", "after", g.after, "upto", g.upto)
			return true, nil
		}
		if errors.Is(err, errOvertaken) || t.ctx.Err() != nil {
			return true, err
		}
		t.cfg.Logger.Warn("no peer has what the trail is missing", "after", g.after, "upto", g.upto, "error", err)
	}
	if slices.Equal(gaps, f.gaps) {
		f.wait = min(2*f.wait, retryAtMost)
	} else {
		f.gaps, f.wait = gaps, retryAfter
	}
	f.again = time.Now().Add(f.wait)
	return false, nil
}

// errNothing: nobody has any of what is asked for.
var errNothing = errors.New("nobody has it")

// fillGap fills a part of a gap. Where peers have dropped its beginning, and it is the
// trail's first, the horizon is as late here.
func (t *Trail) fillGap(g gap, first bool) error {
	ctx, cancel := context.WithTimeout(t.ctx, askPatience)
	defer cancel()
	p, err := t.peers.Entries(ctx, g.after, g.upto, g.kind == deeds)
	if err == nil {
		err = p.check(t.group, g.after, g.upto)
	}
	switch {
	case err != nil:
		return err
	case first && p.Dropped > g.after:
		return t.drop(header{group: t.group, kind: g.kind}, entry{index: p.Dropped}, p.Dropped)
	case p.After == p.Upto:
		return errNothing
	}
	b, err := p.build(&t.cfg, g.kind, t.cfg.owner())
	if err == nil {
		err = t.install(b)
	}
	return err
}

// look notices files that are gone.
func (t *Trail) look() {
	all := t.now() // before the names: what comes meanwhile is not among these
	names, err := t.cfg.FS.List(t.cfg.Dir)
	if vfs.IgnoreGone(err) != nil {
		return // readers are told
	}
	slices.Sort(names)
	for _, s := range slices.Concat(all[deeds].segs, all[events].segs) {
		if _, there := slices.BinarySearch(names, s.name()); !there {
			t.quarantine(&segmentError{s, fs.ErrNotExist})
		}
	}
}

// check compares one segment with its checksum, the newest first, and rests.
func (t *Trail) check() (did bool, err error) {
	all := t.now()
	for _, s := range slices.Backward(slices.Concat(all[deeds].segs, all[events].segs)) {
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
