package trail

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// What is done in the background, and how often.
const (
	keepEvery    = time.Second
	askPatience  = 60 * time.Second // for a peer's page
	retryAfter   = 3 * time.Second  // where nobody could be asked
	askAgain     = time.Minute      // for a gap that nobody can fill
	checkShare   = 4                // checking rests so many times as long as it takes
	deedsShare   = 4                // deeds may fill one part in so many of KeepBytes
	thinnedBytes = 1 << 20          // of a thinned segment, before another is begun
	quarantines  = 2                // files are kept for whoever wants to look into them
	asideSuffix  = ".damaged"
)

// keep is the goroutine that drops, fills gaps and checks what was not read yet.
func (t *Trail) keep() {
	k := keeping{Trail: t, asked: map[gap]time.Time{}}
	timer := time.NewTicker(keepEvery)
	defer timer.Stop()
	for t.ctx.Err() == nil {
		t.quarantineFiles()
		did, err := k.trim()
		if err == nil && !did {
			did, err = k.fill()
		}
		if err == nil && !did {
			did, err = k.check()
		}
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil && t.ctx.Err() == nil {
			t.cfg.Logger.Warn("the trail could not be tidied up; it is tried again", "error", err)
		}
		if did && err == nil {
			continue
		}
		select {
		case <-t.work:
		case <-timer.C:
		case <-t.ctx.Done():
		}
	}
}

// keeping is what that goroutine has to itself.
type keeping struct {
	*Trail
	asked map[gap]time.Time // when nobody could fill it
}

// quarantine takes a damaged segment off the list. It reports whether it is worth
// looking again.
func (t *Trail) quarantine(d *segmentError) bool {
	t.disk.Lock()
	defer t.disk.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.segs, d.segment)
	if i >= 0 {
		t.segs = slices.Delete(slices.Clone(t.segs), i, i+1)
		t.setAside(d.segment.name(), d.err)
		signal(t.work)
		return true
	}
	if t.live == nil || d.segment.sealed || t.live.after != d.segment.after {
		return true // it has been replaced meanwhile
	}
	t.roll.Store(true)
	signal(t.poke)
	return false
}

// quarantineFiles renames the files that are not listed any more.
func (t *Trail) quarantineFiles() {
	t.disk.Lock()
	defer t.disk.Unlock()
	t.quarantineLocked()
}

// quarantineLocked is quarantineFiles; disk is held.
func (t *Trail) quarantineLocked() {
	t.mu.Lock()
	aside := t.aside
	t.aside = nil
	t.mu.Unlock()
	if len(aside) == 0 {
		return
	}
	names, err := t.cfg.FS.List(t.cfg.Dir)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, asideSuffix) })
	slices.Sort(names)
	number := 0
	if len(names) > 0 {
		_, _ = fmt.Sscanf(names[len(names)-1], "%d", &number) // of another form: begin again
	}
	for _, q := range aside {
		if q.why == nil {
			err = cmp.Or(err, ignoreGone(t.cfg.FS.Remove(t.path(q.name))))
			continue
		}
		number++
		name := fmt.Sprintf("%06d-%s%s", number, q.name, asideSuffix)
		switch failed := t.cfg.FS.Rename(t.path(q.name), t.path(name)); {
		case failed == nil:
			names = append(names, name)
		default:
			err = cmp.Or(err, ignoreGone(failed))
		}
	}
	for len(names) > quarantines {
		err = cmp.Or(err, ignoreGone(t.cfg.FS.Remove(t.path(names[0]))))
		names = names[1:]
	}
	if err = cmp.Or(err, t.cfg.FS.SyncDir(t.cfg.Dir)); err != nil {
		t.cfg.Logger.Warn("what is damaged of the trail could not be quarantined", "error", err)
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// at gives the trail now, and which generation it is of.
func (k *keeping) now() (view, int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.viewed(), k.generation
}

// errOvertaken: the trail was disowned, or a segment quarantined, while work on it was done.
var errOvertaken = errors.New("overtaken")

// install lists a segment that was built in the place of others, which may be none.
func (k *keeping) install(b *building, generation int, instead ...*segment) error {
	k.disk.Lock()
	defer k.disk.Unlock()
	k.quarantineLocked()
	if _, g := k.now(); g != generation {
		b.abandon()
		return errOvertaken
	}
	for _, s := range instead {
		if v, _ := k.now(); !slices.Contains(v.segs, s) {
			b.abandon()
			return errOvertaken
		}
	}
	s, err := b.finish()
	if err != nil {
		return err
	}
	k.mu.Lock()
	current := k.generation == generation
	if current {
		segs := slices.DeleteFunc(slices.Clone(k.segs), func(s *segment) bool { return slices.Contains(instead, s) })
		i, _ := slices.BinarySearchFunc(segs, s.after, func(s *segment, after engine.LogIndex) int { return cmp.Compare(s.after, after) })
		k.segs = slices.Insert(segs, i, s)
	}
	k.mu.Unlock()
	if !current {
		return errors.Join(errOvertaken, k.cfg.FS.Remove(b.path()))
	}
	for _, old := range instead {
		if old.name() != s.name() {
			if err := k.cfg.FS.Remove(k.path(old.name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// excess tells what is too old or too much: that the first segment is to be dropped, or
// which one is to be thinned, -1 for none.
func (v *view) excess(c *Config) (drop bool, thin int) {
	var full, thinned int64
	thin = -1
	for i, s := range v.segs {
		if s.thinned {
			thinned += s.size
			continue
		}
		if full += s.size; thin < 0 {
			thin = i
		}
	}
	share := c.KeepBytes / deedsShare
	if full <= c.KeepBytes-min(thinned, share) {
		thin = -1
	}
	return len(v.segs) > 0 && (v.segs[0].last.time < v.last.time.Add(-c.Keep) || v.segs[0].thinned && thinned > share), thin
}

// trim drops or thins one segment, if there is too much or it is too old.
func (k *keeping) trim() (did bool, err error) {
	v, generation := k.now()
	drop, thin := v.excess(&k.cfg)
	switch {
	case drop:
		return true, k.raise(v.segs[0].last.index, generation)
	case thin >= 0:
		return true, k.thin(&v, thin, generation)
	}
	return false, nil
}

// raise drops what stands up to an index; a segment only as a whole.
func (k *keeping) raise(dropped engine.LogIndex, generation int) error {
	k.disk.Lock()
	defer k.disk.Unlock()
	if _, g := k.now(); g != generation {
		return errOvertaken
	}
	if err := writeHorizon(k.cfg.FS, k.cfg.Dir, dropped); err != nil {
		return err
	}
	var old []*segment
	k.mu.Lock()
	for k.generation == generation && len(k.segs) > 0 && k.segs[0].last.index <= dropped {
		old, k.segs = append(old, k.segs[0]), k.segs[1:]
	}
	if k.generation == generation {
		k.dropped = dropped
	}
	k.mu.Unlock()
	for _, s := range old {
		if err := ignoreGone(k.cfg.FS.Remove(k.path(s.name()))); err != nil {
			return err
		}
	}
	return nil
}

// thin leaves nothing but deeds of a segment, together with the thinned one before it if
// that is short.
func (k *keeping) thin(v *view, i int, generation int) error {
	of := v.segs[i : i+1]
	if i > 0 && v.segs[i-1].thinned && v.segs[i-1].last.index == of[0].after && v.segs[i-1].size < min(thinnedBytes, k.cfg.KeepBytes/32) {
		of = v.segs[i-1 : i+1]
	}
	b := newBuilding(k.cfg.FS, k.cfg.Dir, header{group: of[0].group, after: of[0].after, time: of[0].time, thinned: true})
	if err := b.create(); err != nil {
		return err
	}
	for _, s := range of {
		if err := k.reading(s, func(f vfs.File) error {
			var recs []wal.Record
			err := scan(f, headerBytes, s.end, func(rec *wal.Record) (bool, error) {
				data, err := onlyDeeds(rec, nil)
				if err == nil && len(data) > 0 {
					recs = append(recs, wal.Record{Index: rec.Index, Term: rec.Term, Meta: slices.Clone(rec.Meta), Data: data})
				}
				return true, err
			})
			if err != nil {
				return err
			}
			return b.addBatch(recs)
		}); err != nil {
			b.abandon()
			var d *segmentError
			if errors.As(err, &d) {
				k.quarantine(d)
			}
			return err
		}
		b.last = s.last
	}
	return k.install(b, generation, of...)
}

// fill asks peers for what is missing.
func (k *keeping) fill() (did bool, err error) {
	if k.peers == nil {
		return false, nil
	}
	v, generation := k.now()
	gaps := v.gaps()
	for g := range k.asked {
		if !slices.Contains(gaps, g) {
			delete(k.asked, g)
		}
	}
	for _, g := range gaps {
		if time.Now().Before(k.asked[g]) {
			continue
		}
		did, err = k.fillGap(g, g.after == v.dropped, g.upto <= v.thinned(), generation)
		if did || err != nil {
			return did, err
		}
	}
	return false, nil
}

// fillGap fills a gap as far as peers can. Where they have dropped its beginning, and it
// is the trail's, the horizon is as late here.
func (k *keeping) fillGap(g gap, first, deeds bool, generation int) (did bool, err error) {
	defer func() {
		if err != nil {
			k.asked[g] = time.Now().Add(askAgain)
		}
	}()
	to := receiving{cfg: &k.cfg, group: k.group}
	to.done = func(b *building) error {
		did = true
		return k.install(b, generation)
	}
	defer func() {
		if err != nil {
			to.abandon()
		}
	}()
	for after := g.after; after < g.upto; {
		ctx, cancel := context.WithTimeout(k.ctx, askPatience)
		p, err := k.peers.Entries(ctx, after, g.upto, deeds)
		cancel()
		if err != nil {
			if _, before := k.asked[g]; !before {
				k.cfg.Logger.Warn("no peer could be asked for what the trail is missing", "after", after, "upto", g.upto, "error", err)
			}
			k.asked[g] = time.Now().Add(retryAfter)
			break
		}
		if dropped := min(p.Dropped, g.upto); first && after == g.after && p.Group == k.group && dropped > after {
			return true, k.raise(dropped, generation)
		}
		if p.Upto == after {
			k.asked[g] = time.Now().Add(askAgain)
			break
		}
		if p.Group != k.group || p.After < after || p.Upto <= p.After || p.Upto > g.upto {
			return did, damaged("a peer's page of (%d, %d] for (%d, %d] is not what was asked for", p.After, p.Upto, after, g.upto)
		}
		if err := to.add(&p); err != nil {
			return did, fmt.Errorf("a peer's page: %w", err)
		}
		after = p.Upto
	}
	if err := to.finish(); err != nil || !did {
		return did, err
	}
	k.cfg.Logger.Info("a gap in the trail was filled from a peer", "after", g.after, "upto", g.upto)
	return true, nil
}

// check compares one segment with its checksum, the newest first, and rests.
func (k *keeping) check() (did bool, err error) {
	v, _ := k.now()
	for i := len(v.segs) - 1; i >= 0; i-- {
		s := v.segs[i]
		if s.checked.Load() {
			continue
		}
		began := time.Now()
		err := k.reading(s, func(vfs.File) error { return nil })
		var d *segmentError
		if errors.As(err, &d) {
			k.quarantine(d)
			return true, nil
		}
		if err == nil {
			rest := time.NewTimer(checkShare * time.Since(began))
			defer rest.Stop()
			select {
			case <-rest.C:
			case <-k.ctx.Done():
			}
		}
		return true, err
	}
	return false, nil
}

// The horizon is a file of its own: up to which index nothing is kept.
//
//	"DBTRLHZN", index (u64, little endian), CRC-32C of both
const (
	horizonMagic = "DBTRLHZN"
	horizonName  = "horizon"
)

func writeHorizon(fsys vfs.FS, dir string, dropped engine.LogIndex) (err error) {
	b := binary.LittleEndian.AppendUint64([]byte(horizonMagic), uint64(dropped))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	path := filepath.Join(dir, horizonName)
	f, err := fsys.Create(path + tempSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(path+tempSuffix, path); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// readHorizon gives 0 where there is none, or none that is intact: then what is before
// the first segment counts as missing.
func readHorizon(fsys vfs.FS, dir string) (engine.LogIndex, error) {
	f, err := fsys.OpenRead(filepath.Join(dir, horizonName))
	if err != nil {
		return 0, ignoreGone(err)
	}
	defer f.Close()
	b := make([]byte, 20)
	err = readAt(f, b, 0)
	if errors.Is(err, errDamaged) || string(b[:8]) != horizonMagic || crc32.Checksum(b[:16], castagnoli) != binary.LittleEndian.Uint32(b[16:]) {
		return 0, nil
	}
	return engine.LogIndex(binary.LittleEndian.Uint64(b[8:])), err
}
