package trail

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
	"doorbuster/wal/waltest"
)

// peer is another node's trail.
type peer struct{ *Trail }

func (p peer) Entries(_ context.Context, after, upto engine.LogIndex, deeds bool) (Page, error) {
	return p.Page(after, upto, deeds)
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// segments gives the paths of a disk's segments, in order.
func segments(disk *waltest.Disk) (paths []string) {
	for _, path := range disk.Files() {
		if strings.HasSuffix(path, suffixes[events]) {
			paths = append(paths, path)
		}
	}
	return paths
}

// flip changes a bit of a file.
func flip(disk *waltest.Disk, path string, at int) {
	b := bytes.Clone(disk.Bytes(path))
	b[(len(b)+at)%len(b)] ^= 4
	disk.SetBytes(path, b)
}

// damages is every kind of damage to the files of a closed trail.
var damages = map[string]func(disk, other *waltest.Disk) error{
	"flip in a header":    func(disk, _ *waltest.Disk) error { flip(disk, segments(disk)[1], 40); return nil },
	"flip in a frame":     func(disk, _ *waltest.Disk) error { flip(disk, segments(disk)[1], 5000); return nil },
	"flip in the tables":  func(disk, _ *waltest.Disk) error { flip(disk, segments(disk)[1], -400); return nil },
	"flip in the summary": func(disk, _ *waltest.Disk) error { flip(disk, segments(disk)[1], -20); return nil },
	"flip in the trailer": func(disk, _ *waltest.Disk) error { flip(disk, segments(disk)[1], -2); return nil },
	"flip in the last one": func(disk, _ *waltest.Disk) error {
		flip(disk, segments(disk)[len(segments(disk))-1],
			200)
		return nil
	},
	"cut": func(disk, _ *waltest.Disk) error {
		path := segments(disk)[2]
		disk.SetBytes(path, disk.Bytes(path)[:20_000])
		return nil
	},
	"cut to nothing": func(disk, _ *waltest.Disk) error { disk.SetBytes(segments(disk)[2], nil); return nil },
	"first deleted":  func(disk, _ *waltest.Disk) error { return disk.Remove(segments(disk)[0]) },
	"some deleted": func(disk, _ *waltest.Disk) error {
		paths := segments(disk)
		return errors.Join(disk.Remove(paths[1]), disk.Remove(paths[2]), disk.Remove(paths[4]))
	},
	"last deleted": func(disk, _ *waltest.Disk) error { return disk.Remove(segments(disk)[len(segments(disk))-1]) },
	"all deleted": func(disk, _ *waltest.Disk) (err error) {
		for _, path := range segments(disk) {
			err = errors.Join(err, disk.Remove(path))
		}
		return err
	},
	"swapped": func(disk, _ *waltest.Disk) error {
		a, b := segments(disk)[1], segments(disk)[2]
		x, y := disk.Bytes(a), disk.Bytes(b)
		disk.SetBytes(a, y)
		disk.SetBytes(b, x)
		return nil
	},
	"another group's": func(disk, other *waltest.Disk) error {
		disk.SetBytes(segments(disk)[0], other.Bytes(segments(other)[0]))
		return nil
	},
	"an older copy": func(disk, _ *waltest.Disk) error {
		path := segments(disk)[2]
		s, err := openSegment(disk, path)
		disk.SetBytes(path, disk.Bytes(path)[:s.end]) // as it was before it was sealed
		return err
	},
}

func TestDamageIsNoticedAndMadeUpForByAPeer(t *testing.T) {
	s := newSale(4)
	whole := waltest.NewDisk(1)
	tr := open(t, testConfig(whole), nil)
	other := waltest.NewDisk(1)
	foreign, err := Open(testConfig(other))
	if err != nil {
		t.Fatal(err)
	}
	foreign.Own([16]byte{9})
	foreign.Start(nil)
	for n := range 2600 {
		e := s.entry(12)
		tr.Applied(e)
		foreign.Applied(e)
		if n%200 == 0 { // a commit is in one segment, however long
			await(t, tr, s.index)
		}
	}
	await(t, tr, s.index)
	await(t, foreign, s.index)
	if err := errors.Join(tr.Close(), foreign.Close()); err != nil {
		t.Fatal(err)
	}
	last, at := s.index, s.time
	tr = open(t, testConfig(whole.Clone()), nil)
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			disk := whole.Clone()
			if err := damage(disk, other.Clone()); err != nil {
				t.Fatal(err)
			}
			alone := open(t, testConfig(disk.Clone()), nil)
			alone.Restored(last, at)
			await(t, alone, last)
			tellsTheTruth(t, alone, s.model)

			helped := open(t, testConfig(disk), peer{tr})
			helped.Restored(last, at)
			await(t, helped, last)
			until(t, "whole trail", func() bool {
				events, _, err := helped.Events(engine.TrailPosition{}, 1) // each look may find more
				return err == nil && len(events) == 1 && helped.checkedAll() && helped.Stats().Gaps == 0
			})
			same(t, all(t, helped, engine.TrailPosition{}), s.model)
			if err := helped.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, testConfig(disk), nil)
			same(t, all(t, again, engine.TrailPosition{}), s.model)
			if stats := again.Stats(); stats.Gaps != 0 || stats.Rebuilds != 0 {
				t.Errorf("after another start: %+v", stats)
			}
			if n := len(aside(disk)); n > 2 {
				t.Errorf("%d files are quarantined", n)
			}
		})
	}
}

func aside(disk *waltest.Disk) (paths []string) {
	for _, path := range disk.Files() {
		if filepath.Ext(path) == vfs.QuarantineSuffix {
			paths = append(paths, path)
		}
	}
	return paths
}

// checkedAll reports whether every sealed segment was compared with its checksum.
func (t *Trail) checkedAll() bool {
	for _, v := range t.now() {
		if slices.ContainsFunc(v.segs, func(s *segment) bool { return s.sealed && !s.checked.Load() }) {
			return false
		}
	}
	return true
}

// tellsTheTruth checks that a trail tells all of a model, or that something is missing.
func tellsTheTruth(t *testing.T, tr *Trail, model []Event) {
	t.Helper()
	events := all(t, tr, engine.TrailPosition{})
	holes := 0
	for _, e := range events {
		if e.Missing != 0 {
			holes++
			for len(model) > 0 && model[0].Index <= e.Index {
				model = model[1:]
			}
			continue
		}
		if len(model) == 0 || model[0] != e {
			t.Fatalf("it tells of %+v, which was not so", e)
		}
		model = model[1:]
	}
	if len(model) > 0 {
		t.Errorf("%d events are silently missing; it tells of %d gaps", len(model), holes)
	}
	if stats := tr.Stats(); stats.Gaps != int64(holes) {
		t.Errorf("%d gaps are counted, %d told of", stats.Gaps, holes)
	}
}

func TestATornTailIsCutAndComesAgain(t *testing.T) {
	s := newSale(5)
	var entries []*engine.Effects
	for range 400 {
		entries = append(entries, s.entry(8))
	}
	for n := 1; n < 130; n += 3 {
		disk := waltest.NewDisk(uint64(n))
		disk.CrashAt(n)
		if tr, err := Open(testConfig(disk)); err == nil {
			tr.Own(group)
			tr.Start(nil)
			for _, e := range entries {
				tr.Applied(e)
				if e.Index%16 == 0 {
					ctx, cancel := context.WithCancel(context.Background())
					go func() { // the disk may be gone for good
						until(t, "write", func() bool { return tr.Stats().Trouble != "" || tr.Index() >= e.Index })
						cancel()
					}()
					_ = tr.Await(ctx, e.Index) // then what is written is looked at below
				}
			}
			index := tr.Index()
			tr.Close() // it can't be
			defer func() {
				if t.Failed() {
					t.Logf("crash at operation %d, after index %d", n, index)
				}
			}()
			again := open(t, testConfig(disk.Restart(uint64(n))), nil)
			if again.Index() < index {
				t.Fatalf("crash at %d: %d was durable, now it is %d", n, index, again.Index())
			}
			for _, e := range entries {
				again.Applied(e)
			}
			await(t, again, s.index)
			same(t, all(t, again, engine.TrailPosition{}), s.model)
			if stats := again.Stats(); stats.Rebuilds != 0 || stats.Gaps != 0 {
				t.Fatalf("a crash at %d looks like damage: %+v", n, stats)
			}
			again.Close()
		}
	}
}

func TestARushOverTheQueueIsFilledFromAPeer(t *testing.T) {
	s := newSale(6)
	c := testConfig(waltest.NewDisk(1))
	with := open(t, testConfig(waltest.NewDisk(1)), nil)
	c.QueueEvents = 1024
	disk := c.FS.(*waltest.Disk)
	entered, release := disk.Stall(waltest.Sync)
	tr := open(t, c, peer{with})
	for range 500 { // nobody waits for room: a follower can't
		e := s.entry(20)
		tr.Applied(e)
		with.Applied(e)
	}
	<-entered
	release()
	await(t, with, s.index)
	e := s.entry(5)
	with.Applied(e)
	await(t, with, s.index)
	tr.Applied(e)
	await(t, tr, s.index)
	if tr.Stats().Lost == 0 {
		t.Fatal("it all fitted in")
	}
	until(t, "whole trail", func() bool { return tr.Stats().Gaps == 0 })
	same(t, all(t, tr, engine.TrailPosition{}), s.model)
}

func TestAFullDiskIsWaitedFor(t *testing.T) {
	s := newSale(7)
	disk := waltest.NewDisk(1)
	c := testConfig(disk)
	disk.SetCapacity(60_000)
	tr := open(t, c, nil)
	for range 600 {
		tr.Applied(s.entry(10))
	}
	until(t, "trouble", func() bool { return tr.Stats().Trouble != "" })
	tr.AwaitRoom(nil) // sales go on
	disk.SetCapacity(0)
	await(t, tr, s.index)
	same(t, all(t, tr, engine.TrailPosition{}), s.model)
	until(t, "end of the trouble", func() bool { return tr.Stats().Trouble == "" })
}

func TestAnotherLogsTrailIsBegunAnew(t *testing.T) {
	s := newSale(8)
	disk := waltest.NewDisk(1)
	tr := open(t, testConfig(disk), nil)
	for range 3 {
		s.feed(tr, 400, 12)
		await(t, tr, s.index)
	}
	tr.Disown(errors.New("its last entry has another time"))
	if tr.Index() != 0 {
		t.Errorf("it reaches to %d still", tr.Index())
	}
	from := len(s.model)
	seen := s.index
	s.feed(tr, 300, 12)
	await(t, tr, s.index)
	events := all(t, tr, engine.TrailPosition{})
	if len(events) == 0 || events[0].Missing != 1 || events[0].Index != seen {
		t.Fatalf("it begins with %+v, not with a gap", events[:min(len(events), 1)])
	}
	same(t, events[1:], s.model[from:])
	if n := len(aside(disk)); n != 2 { // that is how many are kept
		t.Errorf("%d files are quarantined", n)
	}
}

// TestDamageBehindWhichNothingCame: the last segment is sealed when it turns out to be
// damaged, so that no other begins behind it.
func TestDamageBehindWhichNothingCame(t *testing.T) {
	s := newSale(12)
	disk := waltest.NewDisk(1)
	tr := open(t, testConfig(disk), nil)
	s.feed(tr, 100, 12)
	await(t, tr, s.index)
	tr.disk.Lock()
	err := tr.seal(events)
	segs := tr.now()[events].segs
	last := segs[len(segs)-1]
	last.checked.Store(false)
	flip(disk, segments(disk)[len(segments(disk))-1], 5000)
	tr.disk.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	tellsTheTruth(t, tr, s.model)
}

// TestOpenedIsWhatIsKnown: where the last entries of a backup's part did nothing, their
// time is not known, and the one before them is told.
func TestOpenedIsWhatIsKnown(t *testing.T) {
	s := newSale(13)
	tr, err := Open(testConfig(waltest.NewDisk(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	tr.Own(group)
	tr.Applied(s.entry(0))
	known := s.entry(0)
	known.Primary = []engine.Event{{Kind: engine.StockGone}}
	tr.Applied(known)
	quiet := s.entry(0)
	tr.Applied(quiet)
	more := s.entry(0)
	more.Primary = known.Primary
	tr.Applied(more)
	tr.Start(nil)
	await(t, tr, s.index)
	var b bytes.Buffer
	if err := tr.WriteTo(context.Background(), &b, quiet.Index); err != nil {
		t.Fatal(err)
	}
	disk := waltest.NewDisk(1)
	add, err := Restore(testConfig(disk))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBackup(&b, group, quiet.Index, add); err != nil {
		t.Fatal(err)
	}
	back := open(t, testConfig(disk), nil)
	if index := back.Index(); index != quiet.Index {
		t.Errorf("it reaches to %d, want %d", index, quiet.Index)
	}
	if index, at, epoch, _ := back.Opened(); index != known.Index || at != known.Time || epoch != 1 {
		t.Errorf("the last entry is %d, %d, %d; want %d", index, at, epoch, known.Index)
	}
}

// TestTheGoodPartOfDamageIsKept: where nobody can help, no more is missing than what
// stands behind the damage in its segment, sealed or not.
func TestTheGoodPartOfDamageIsKept(t *testing.T) {
	half := func(disk *waltest.Disk, path string) { flip(disk, path, len(disk.Bytes(path))/2) }
	for name, x := range map[string]struct {
		sealed bool
		damage func(disk *waltest.Disk, path string)
	}{
		"sealed": {true, half}, "written to": {false, half},
		"cut short": {true, func(disk *waltest.Disk, path string) {
			disk.SetBytes(path, disk.Bytes(path)[:len(disk.Bytes(path))/2])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSale(14)
			disk := waltest.NewDisk(1)
			c := testConfig(disk)
			c.SegmentBytes = 1 << 20
			tr := open(t, c, nil)
			for range 20 {
				s.feed(tr, 40, 12)
				await(t, tr, s.index)
			}
			path := segments(disk)[0]
			if x.sealed {
				if err := tr.Close(); err != nil {
					t.Fatal(err)
				}
				c.SegmentBytes = 64 << 10
				tr = open(t, c, nil)
				s.feed(tr, 1, 12)
				await(t, tr, s.index)
				if err := tr.Close(); err != nil {
					t.Fatal(err)
				}
				x.damage(disk, path)
				tr = open(t, c, nil)
			} else {
				x.damage(disk, path)
			}
			until(t, "gap", func() bool {
				_, _, _, _ = tr.Find(Filter{Limit: 1000, From: engine.TrailPosition{Index: s.index / 2}})
				s.feed(tr, 1, 1)
				await(t, tr, s.index)
				return tr.Stats().Gaps == 1
			})
			told := all(t, tr, engine.TrailPosition{})
			tellsTheTruth(t, tr, s.model)
			if len(told) < len(s.model)/3 {
				t.Errorf("%d events are left of %d, with the damage in the middle", len(told), len(s.model))
			}
		})
	}
}

// TestADirectoryThatIsRemovedIsMadeAgain: while the trail is open, too.
func TestADirectoryThatIsRemovedIsMadeAgain(t *testing.T) {
	s := newSale(15)
	c := testConfig(vfs.OS())
	c.Dir = filepath.Join(t.TempDir(), "trail")
	tr := open(t, c, nil)
	s.feed(tr, 300, 12)
	await(t, tr, s.index)
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	until(t, "gap", func() bool {
		s.feed(tr, 1, 3)
		await(t, tr, s.index)
		return tr.Stats().Gaps == 1
	})
	s.feed(tr, 300, 12)
	await(t, tr, s.index)
	tellsTheTruth(t, tr, s.model)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, c, nil)
	tellsTheTruth(t, again, s.model)
}

// TestWhatIsKeptOfAnothersDamageStaysAnothers: it does not prove anything of this
// directory's log.
func TestWhatIsKeptOfAnothersDamageStaysAnothers(t *testing.T) {
	s := newSale(16)
	disk := waltest.NewDisk(1)
	c := testConfig(disk)
	c.Owner = "that"
	tr := open(t, c, nil)
	for range 20 {
		s.feed(tr, 10, 12)
		await(t, tr, s.index)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	path := segments(disk)[0]
	flip(disk, path, len(disk.Bytes(path))/2)
	c.Owner = "this"
	tr, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if own, other := tr.Writer(); own || !other || len(tr.now()[events].segs) != 1 {
		t.Errorf("own %v, another's %v, %d segments", own, other, len(tr.now()[events].segs))
	}
}

// TestDamageToTheLastDeedsIsNoCrash: deeds are on disk before the events that they are
// among, so that a crash tears none that the events reach to.
func TestDamageToTheLastDeedsIsNoCrash(t *testing.T) {
	s := newSale(17)
	disk := waltest.NewDisk(1)
	tr := open(t, testConfig(disk), nil)
	s.feed(tr, 60, 12)
	await(t, tr, s.index)
	s.feed(tr, 60, 12)
	await(t, tr, s.index)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	tr = open(t, testConfig(disk.Clone()), nil)
	files := disk.Files()
	path := files[slices.IndexFunc(files, func(path string) bool { return strings.HasSuffix(path, suffixes[deeds]) })]
	for name, at := range map[string]int{"in a record": -40, "in what seals the batch": -2} {
		t.Run(name, func(t *testing.T) {
			disk := disk.Clone()
			flip(disk, path, at)
			alone := open(t, testConfig(disk.Clone()), nil)
			if all := alone.now(); len(all[deeds].gaps(s.index)) != 1 || alone.Stats().Rebuilds == 0 {
				t.Fatalf("nothing is said to be missing: %+v", alone.Stats())
			}
			helped := open(t, testConfig(disk), peer{tr})
			want := entriesWithDeeds(t, tr, s.index)
			until(t, "whole deeds", func() bool { return slices.Equal(entriesWithDeeds(t, helped, s.index), want) })
		})
	}
}

// entriesWithDeeds gives the indexes of the entries that have deeds, up to one.
func entriesWithDeeds(t *testing.T, tr *Trail, upto engine.LogIndex) (indexes []uint64) {
	t.Helper()
	for after := engine.LogIndex(0); ; {
		p, err := tr.Page(after, upto, true)
		if err != nil {
			t.Fatal(err)
		}
		var recs []wal.Record
		if len(p.Frames) > 0 {
			recs, _, _ = wal.DecodeBatch(p.Frames, nil)
		}
		for _, rec := range recs {
			indexes = append(indexes, rec.Index)
		}
		if p.After == p.Upto {
			return indexes
		}
		after = p.Upto
	}
}
