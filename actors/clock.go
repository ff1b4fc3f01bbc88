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
// It never runs back. Safe for concurrent use.
type stateClock struct {
	wall func() time.Time // with a monotonic reading

	mu   sync.Mutex
	now  engine.Time
	last time.Time
	part time.Duration // below a millisecond, carried over
}

func newStateClock(wall func() time.Time) *stateClock {
	c := &stateClock{wall: wall, last: wall()}
	c.now = engine.TimeOf(c.last)
	return c
}

// open begins an epoch at state time at, or at the wall clock's if that is later.
func (c *stateClock) open(at engine.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.wall()
	c.now = max(at, c.now, engine.TimeOf(c.last))
	c.part = 0
}

// read gives the time.
func (c *stateClock) read() engine.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.wall()
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
