package trail

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"doorbuster/engine"
	"doorbuster/wal/waltest"
)

// deedsOf gives the deeds of a model.
func deedsOf(model []Event) []Event {
	return slices.DeleteFunc(slices.Clone(model), func(e Event) bool { return e.Operator == "" })
}

// feedMuch has entries written until the trail has begun so many segments.
func feedMuch(t *testing.T, s *sale, tr *Trail, most int, enough func(Stats) bool) {
	t.Helper()
	until(t, "end of the feeding", func() bool {
		s.feed(tr, 200, most)
		await(t, tr, s.index)
		return enough(tr.Stats())
	})
}

func TestDeedsOutlastTheEventsThatAreDropped(t *testing.T) {
	s := newSale(9)
	disk := waltest.NewDisk(1)
	c := testConfig(disk)
	c.KeepBytes = 1 << 20
	tr := open(t, c, nil)
	if p, _, err := tr.Horizon(false); err != nil || p.Index != 1 {
		t.Fatalf("the horizon of nothing is %s, %v", p, err)
	}
	feedMuch(t, s, tr, 12, func(stats Stats) bool { return stats.FirstEvent > 1000 })
	check := func(tr *Trail) {
		t.Helper()
		until(t, "rest", func() bool {
			all := tr.now()
			return all.excess(&tr.cfg) == nil
		})
		first, at, err := tr.Horizon(false)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(s.model, func(e Event) bool { return !e.Before(first) })
		if s.model[i].TrailPosition != first || s.model[i].Time != at {
			t.Errorf("the horizon is %s, where there is nothing", first)
		}
		var gone *engine.TrailGone
		if _, _, err := tr.Events(engine.TrailPosition{}, 1); !errors.As(err, &gone) || first.Before(gone.First) {
			t.Errorf("before the horizon: %v", err)
		}
		same(t, all(t, tr, gone.First), s.model[i:])
		oldest, _, err := tr.Horizon(true)
		if err != nil || !oldest.Before(first) {
			t.Errorf("deeds since %s, %v; events since %s", oldest, err, first)
		}
		want := slices.DeleteFunc(deedsOf(s.model), func(e Event) bool {
			return e.Before(oldest) ||
				e.Operator != "ops-2"
		})
		var got []Event
		for f := (Filter{Operator: "ops-2", Limit: 100}); ; {
			events, next, more, err := tr.Find(f)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, events...); !more {
				break
			}
			f.From = next
		}
		same(t, got, want)
	}
	check(tr)
	if stats := tr.Stats(); stats.Bytes > c.KeepBytes+2*c.SegmentBytes || stats.Gaps != 0 {
		t.Errorf("%+v", stats)
	}
	oldest, _, _ := tr.Horizon(true)
	if oldest.Index > s.index/20 {
		t.Errorf("deeds are kept only since %s of %d", oldest, s.index)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, c, nil)
	check(again)

	joined := open(t, testConfig(waltest.NewDisk(1)), peer{again}) // takes over the other's horizon, thinned as it is
	joined.Restored(s.index, s.time)
	await(t, joined, s.index)
	until(t, "whole trail", func() bool { return joined.Stats().Gaps == 0 })
	check(joined)

	feedMuch(t, s, again, 12, func(Stats) bool { // deeds go once they fill their share
		all := again.now()
		return all[deeds].dropped() > 0
	})
	check(again)
	joined = open(t, testConfig(waltest.NewDisk(1)), peer{again})
	joined.Restored(s.index, s.time)
	await(t, joined, s.index)
	until(t, "whole trail", func() bool { return joined.Stats().Gaps == 0 })
	check(joined)

	s.time += engine.Time(c.Keep.Milliseconds()) * 2 // all is too old
	feedMuch(t, s, again, 12, func(stats Stats) bool {
		all := again.now()
		return all[deeds].dropped() > s.index/2
	})
	check2, _, _ := again.Horizon(true)
	if full, _, _ := again.Horizon(false); check2.Before(full) {
		t.Errorf("deeds of %s outlast the time that they are kept; events begin at %s", check2, full)
	}
}

func TestABackupsPart(t *testing.T) {
	s := newSale(10)
	tr := open(t, testConfig(waltest.NewDisk(1)), nil)
	feedMuch(t, s, tr, 12, func(stats Stats) bool { return stats.Bytes > 400_000 })
	upto, n := s.index, len(s.model)
	s.feed(tr, 200, 12)
	await(t, tr, s.index)
	var b bytes.Buffer
	if err := tr.WriteTo(context.Background(), &b, upto); err != nil {
		t.Fatal(err)
	}
	restore := func(disk *waltest.Disk, of [16]byte, b []byte) error {
		add, err := Restore(testConfig(disk))
		if err != nil {
			return err
		}
		gaps, err := ReadBackup(bytes.NewReader(b), of, upto, add)
		if err == nil && gaps != 0 {
			t.Errorf("%d gaps", gaps)
		}
		return err
	}
	for _, n := range []int{0, 1, b.Len() / 2, b.Len() - 1} {
		if restore(waltest.NewDisk(1), group, b.Bytes()[:n]) == nil {
			t.Errorf("%d bytes of %d were restored", n, b.Len())
		}
	}
	if err := restore(waltest.NewDisk(1), [16]byte{7}, b.Bytes()); !errors.Is(err, errPage) {
		t.Errorf("another group's was restored: %v", err)
	}
	disk := waltest.NewDisk(1)
	if err := restore(disk, group, b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if restore(disk, group, b.Bytes()) == nil {
		t.Error("a trail was restored over another")
	}
	back, err := Open(testConfig(disk))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	back.Own(group)
	back.Start(nil)
	if index := back.Index(); index != upto {
		t.Errorf("it reaches to %d, want %d", index, upto)
	}
	same(t, all(t, back, engine.TrailPosition{}), s.model[:n])
}

func TestAPeersPageIsChecked(t *testing.T) {
	s := newSale(11)
	with := open(t, testConfig(waltest.NewDisk(1)), nil)
	s.feed(with, 100, 12)
	await(t, with, s.index)
	bad := map[string]func(*Page){
		"flipped":         func(p *Page) { p.Frames[len(p.Frames)/2] ^= 1 },
		"another group's": func(p *Page) { p.Group[3]++ },
		"too early":       func(p *Page) { p.After++; p.Upto = p.After + 1 },
		"too far":         func(p *Page) { p.Upto += 1000 },
		"backwards":       func(p *Page) { p.Upto = p.After - 1 },
		"cut":             func(p *Page) { p.Frames = p.Frames[:len(p.Frames)-5] },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 100)
			disk := waltest.NewDisk(1)
			tr := open(t, testConfig(disk), peerFunc(func(after, upto engine.LogIndex, deeds bool) (Page, error) {
				defer signal(asked)
				p, err := with.Page(after, upto, deeds)
				spoil(&p)
				return p, err
			}))
			tr.Restored(s.index, s.time)
			await(t, tr, s.index)
			<-asked
			tr.Close()
			again := open(t, testConfig(disk), nil)
			tellsTheTruth(t, again, s.model)
			if events := all(t, again, engine.TrailPosition{}); len(events) != 1 {
				t.Errorf("%d events were taken from a bad page", len(events)-1)
			}
		})
	}
}

type peerFunc func(after, upto engine.LogIndex, deeds bool) (Page, error)

func (f peerFunc) Entries(_ context.Context, after, upto engine.LogIndex, deeds bool) (Page, error) {
	return f(after, upto, deeds)
}
