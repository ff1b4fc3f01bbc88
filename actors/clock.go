package actors

import (
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// slewPerMille bounds how fast state time is bent towards the wall clock: 100 ms
// in a second. A jump of the wall clock never becomes a jump of state time within
// an epoch, so holds live about as long as they were promised.
const slewPerMille = 100

// stateClock tells the time that the leader stamps into batches: what the epoch
// began with, plus the monotonic time since, bent slowly towards the wall clock.
// It does not run back within an epoch. Without an epoch it tells about what the
// leader's says, since deadlines are set by it: the wall clock, and how far the
// leader's is ahead of that. Safe for concurrent use.
type stateClock struct {
	wall  func() time.Time                     // with a monotonic reading
	ahead atomic.Pointer[func() time.Duration] // of the leader's wall clock; nil alone
	told  atomic.Pointer[told]                 // nil without an epoch
}

// told is what an epoch's clock said last.
type told struct {
	now  engine.Time
	part time.Duration // below a millisecond, carried over
	wall time.Time
}

func newStateClock(wall func() time.Time) *stateClock { return &stateClock{wall: wall} }

// begin begins an epoch at state time at, or at the wall clock's if that is later.
// What was told before the epoch binds nobody: this node's clock may have been off.
func (c *stateClock) begin(at engine.Time) {
	wall := c.wall()
	c.told.Store(&told{now: max(at, engine.TimeOf(wall)), wall: wall})
}

// end ends the epoch.
func (c *stateClock) end() { c.told.Store(nil) }

// read gives the time.
func (c *stateClock) read() engine.Time {
	for {
		last, wall := c.told.Load(), c.wall()
		if last == nil {
			if ahead := c.ahead.Load(); ahead != nil {
				wall = wall.Add((*ahead)())
			}
			return engine.TimeOf(wall)
		}
		elapsed := max(0, wall.Sub(last.wall))
		bend := elapsed * slewPerMille / 1000
		elapsed += last.part
		// How far the wall clock, read without its monotonic part, is ahead.
		ahead := time.Duration(wall.UnixNano()) - time.Duration(last.now)*time.Millisecond - elapsed
		elapsed += min(max(ahead, -bend), bend)
		now := last.now + engine.Time(elapsed/time.Millisecond)
		// Within a millisecond nothing is written.
		if now == last.now || c.told.CompareAndSwap(last, &told{now, elapsed % time.Millisecond, wall}) {
			return now
		}
	}
}
