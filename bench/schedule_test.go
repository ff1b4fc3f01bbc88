package bench

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPaceCountAgreesWithDue(t *testing.T) {
	for _, rate := range []float64{0.3, 1, 7, 333.3, 10_000, 999_999} {
		p := pace{rate: rate}
		for i := range 2000 {
			due := p.due(i)
			if got := p.count(due); got < i+1 {
				t.Fatalf("rate %g: arrival %d is due at %v, but only %d are", rate, i, due, got)
			}
			if got := p.count(due - 1); got > i {
				t.Fatalf("rate %g: arrival %d is due at %v, but %d are just before", rate, i, due, got)
			}
		}
	}
	if got := (pace{rate: 100}).count(10 * time.Second); got != 1001 {
		t.Errorf("100 a second for 10 s: %d arrivals, want 1001 (the first is at 0)", got)
	}
}

// handClock is a clock that a test sets.
type handClock struct{ t atomic.Int64 }

func (c *handClock) now() time.Duration  { return time.Duration(c.t.Load()) }
func (c *handClock) set(d time.Duration) { c.t.Store(int64(d)) }

func TestOpenLoopHandsOutWhatIsDueAndNoMore(t *testing.T) {
	var clock handClock
	a := newSchedule(clock.now, pace{rate: 1000}, 5000)
	var taken atomic.Int64
	var late atomic.Bool
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for held := false; ; held = true {
				task, ok := a.take(held)
				if !ok {
					return
				}
				if task.due > clock.now() {
					late.Store(true)
				}
				taken.Add(1)
			}
		})
	}
	// The clock jumps, as it does when the generator is starved: everything
	// that fell due meanwhile is handed out, with its own due time.
	for _, step := range []time.Duration{0, 10 * time.Millisecond, 10*time.Millisecond + 1,
		2 * time.Second, time.Minute} {
		clock.set(step)
		want := int64(min(a.pace.count(step), 5000))
		for taken.Load() < want {
			a.rouse(time.Millisecond)
			time.Sleep(100 * time.Microsecond)
		}
		if got := taken.Load(); got != want {
			t.Errorf("at %v: %d tasks handed out, want %d", step, got, want)
		}
	}
	workers.Wait()
	if late.Load() {
		t.Error("a task was handed out before it was due")
	}
}

func TestScheduleFollowUps(t *testing.T) {
	var clock handClock
	a := newSchedule(clock.now, pace{}, 2)
	first, _ := a.take(false)
	if !first.first || first.shopper != 0 {
		t.Fatalf("first task %+v", first)
	}
	a.add(task{due: 2 * time.Second, deed: deedPay, shopper: 8})
	a.add(task{due: time.Second, deed: deedCancel, shopper: 9})
	clock.set(time.Second)
	if next, _ := a.take(true); next.shopper != 9 {
		t.Errorf("a follow-up that is due must go before an arrival, got %+v", next)
	}
	if next, _ := a.take(true); next.shopper != 1 || !next.first {
		t.Errorf("want the second arrival, got %+v", next)
	}
	if d := a.rouse(time.Minute); d != time.Second {
		t.Errorf("the next is due in %v, want 1s", d)
	}

	a.stop()
	if a.add(task{deed: deedGrab}) {
		t.Error("a grab was taken on after stop")
	}
	if !a.add(task{due: time.Second, deed: deedPoll, shopper: 5}) {
		t.Error("a question was refused after stop")
	}
	if next, ok := a.take(true); !ok || next.deed != deedPoll {
		t.Errorf("want the question, got %+v, %v", next, ok)
	}
	if next, ok := a.take(true); ok {
		t.Errorf("after all is done: %+v", next)
	}
}
