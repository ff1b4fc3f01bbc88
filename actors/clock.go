package actors

import (
	"sync"
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
	wall func() time.Time // with a monotonic reading

	mu    sync.Mutex
	open  bool
	now   engine.Time
	last  time.Time
	part  time.Duration        // below a millisecond, carried over
	ahead func() time.Duration // of the leader's wall clock; nil alone
}

func newStateClock(wall func() time.Time) *stateClock { return &stateClock{wall: wall} }

// follow says how far the leader's wall clock is ahead.
func (c *stateClock) follow(ahead func() time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
}

// begin begins an epoch at state time at, or at the wall clock's if that is later.
// What was told before the epoch binds nobody: this node's clock may have been off.
func (c *stateClock) begin(at engine.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.last, c.part = true, c.wall(), 0
	c.now = max(at, engine.TimeOf(c.last))
}

// end ends the epoch.
func (c *stateClock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
}

// read gives the time.
func (c *stateClock) read() engine.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.wall()
	if !c.open {
		if c.ahead != nil {
			wall = wall.Add(c.ahead())
		}
		return engine.TimeOf(wall)
	}
	elapsed := max(0, wall.Sub(c.last)) + c.part
	c.last = wall
	bend := elapsed * slewPerMille / 1000
	// How far the wall clock, read without its monotonic part, is ahead.
	ahead := time.Duration(wall.UnixNano()) - time.Duration(c.now)*time.Millisecond - elapsed
	elapsed += min(max(ahead, -bend), bend)
	c.now += engine.Time(elapsed / time.Millisecond)
	c.part = elapsed % time.Millisecond
	return c.now
}
