package wal_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"doorbuster/wal"
	"doorbuster/wal/waltest"
)

func TestPoisonIsToldOnce(t *testing.T) {
	disk := waltest.NewDisk(1)
	cfg := crashConfig(disk)
	told := make(chan error, 10)
	cfg.OnPoison = func(err error) { told <- err }
	l := open(t, cfg)
	mustAppend(t, l, makeBatch(1, 3, 1))
	disk.FailAt(disk.Ops()+2, syscall.EIO) // write, then sync
	first := l.Append(makeBatch(4, 1, 1))
	for _, err := range []error{first, l.Append(makeBatch(4, 1, 1)), <-told} {
		if !errors.Is(err, wal.ErrPoisoned) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "sync") {
			t.Fatalf("%v", err)
		}
	}
	if err := holdsExactly(l, makeBatch(1, 3, 1)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-told:
		t.Fatal("told again: ", err)
	case <-time.After(20 * time.Millisecond):
	}
}

func TestDiskFull(t *testing.T) {
	for capacity := int64(5000); capacity < 20_000; capacity += 700 {
		disk := waltest.NewDisk(1)
		disk.SetCapacity(capacity)
		l, err := wal.Open(crashConfig(disk))
		if err != nil {
			t.Fatal(err)
		}
		var held []wal.Record
		for {
			batch := makeBatch(uint64(len(held)+1), 7, 1)
			if err = l.Append(batch); err != nil {
				break
			}
			held = append(held, batch...)
		}
		for _, want := range []error{wal.ErrPoisoned, wal.ErrDiskFull, syscall.ENOSPC} {
			if !errors.Is(err, want) {
				t.Fatalf("%v is not %v", err, want)
			}
		}
		l.Close()
		disk = disk.Restart(uint64(capacity))
		disk.SetCapacity(capacity) // opening needs no room
		l, err = wal.Open(crashConfig(disk))
		if err != nil {
			t.Fatal(err)
		}
		if err := holdsExactly(l, held); err != nil {
			t.Fatal(err)
		}
		disk.SetCapacity(0)
		more := makeBatch(uint64(len(held)+1), 7, 1)
		mustAppend(t, l, more)
		if err := holdsExactly(l, append(held, more...)); err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

func TestStallIsToldWhileItLasts(t *testing.T) {
	for _, kind := range []waltest.Kind{waltest.Write, waltest.Sync} {
		t.Run(string(kind), func(t *testing.T) {
			disk := waltest.NewDisk(1)
			cfg := crashConfig(disk)
			cfg.StallTimeout = 10 * time.Millisecond
			var tellings atomic.Int32
			told := make(chan error, 10)
			cfg.OnStall = func(err error) {
				tellings.Add(1)
				told <- err
			}
			l := open(t, cfg)
			mustAppend(t, l, makeBatch(1, 1, 1))
			entered, release := disk.Stall(kind)
			done := make(chan error, 1)
			go func() { done <- l.Append(makeBatch(2, 1, 1)) }()
			<-entered
			if err := <-told; !errors.Is(err, wal.ErrStalled) {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				t.Fatal("the append came back: ", err)
			default:
			}
			// Reads and bounds do not wait for the disk that hangs.
			if err := holdsExactly(l, makeBatch(1, 1, 1)); err != nil {
				t.Fatal(err)
			}
			release()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if n := tellings.Load(); n != 1 {
				t.Fatalf("told %d times", n)
			}
		})
	}
}

func TestQuickDiskIsNoStall(t *testing.T) { synctest.Test(t, quickDisk) }

func quickDisk(t *testing.T) {
	cfg := crashConfig(waltest.NewDisk(1))
	cfg.StallTimeout = 50 * time.Millisecond
	cfg.OnStall = func(err error) { t.Error(err) }
	l := open(t, cfg)
	mustAppend(t, l, makeBatch(1, 1, 1))
	time.Sleep(100 * time.Millisecond)
	mustAppend(t, l, makeBatch(2, 1, 1))
}
