package actors

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/engine"
)

// jumpy is a clock that a test moves.
type jumpy struct {
	began  time.Time
	passed atomic.Int64
}

func (j *jumpy) read() time.Time { return j.began.Add(time.Duration(j.passed.Load())) }

// TestClockIsBentNotSet: what the epoch began with is ahead of the wall clock, or
// behind it; state time comes nearer by a tenth of what passes and no faster, however
// often it is read.
func TestClockIsBentNotSet(t *testing.T) {
	for _, every := range []time.Duration{100 * time.Microsecond, 900 * time.Microsecond, 1900 * time.Microsecond,
		time.Second} {
		j := &jumpy{began: time.Now()}
		c := newStateClock(j.read)
		begun := engine.TimeOf(j.began).Add(time.Minute)
		c.begin(begun)
		for time.Duration(j.passed.Load()) < 10*time.Second {
			j.passed.Add(int64(every))
			c.read()
		}
		if got := c.read().Sub(begun); got < 8999*time.Millisecond || got > 9001*time.Millisecond {
			t.Errorf("read each %s, ten seconds with the wall clock behind came to %s of state time, want 9 s", every,
				got)
		}
	}
}

// TestClockNeverRunsBack, whoever reads it at once.
func TestClockNeverRunsBack(t *testing.T) {
	c := newStateClock(time.Now)
	c.begin(engine.TimeOf(time.Now()))
	var latest atomic.Int64
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for range 20_000 {
				before := latest.Load() // told before this reading began
				now := int64(c.read())
				if now < before {
					t.Errorf("%d ms was told, then %d", before, now)
					return
				}
				for was := latest.Load(); now > was && !latest.CompareAndSwap(was, now); was = latest.Load() {
				}
			}
		})
	}
	reading.Wait()
}

func BenchmarkClock(b *testing.B) {
	c := newStateClock(time.Now)
	c.begin(engine.TimeOf(time.Now()))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.read()
		}
	})
}
