package rpc

import (
	"sync"
	"time"
)

// crewTick is half of how long a worker stays without work, roughly.
const crewTick = 5 * time.Second

// crew lends goroutines whose stacks have grown already: a handler's call is
// deep, and growing a fresh stack for each grab costs more than waking a worker.
// As many as there are grabs at a time; whoever uses it bounds that.
type crew struct {
	mu   sync.Mutex
	idle []*worker // the longest idle first
	tick uint32    // counts; a clock that costs nothing to read
	done chan struct{}
	over sync.Once
}

// job is one grab of a batch.
type job struct {
	stream *grabStream
	grab   *forwarded
}

type worker struct {
	jobs  chan job // one place; closed to end it
	since uint32   // the tick when it became idle
}

func newCrew() *crew {
	c := &crew{done: make(chan struct{})}
	go c.thin()
	return c
}

// do hands every grab to a goroutine of its own and does not wait for any.
func (c *crew) do(stream *grabStream, grabs []forwarded) {
	var lent [64]*worker
	for len(grabs) > 0 {
		c.mu.Lock()
		n := min(len(c.idle), len(grabs), len(lent))
		at := len(c.idle) - n
		copy(lent[:n], c.idle[at:])
		clear(c.idle[at:])
		c.idle = c.idle[:at]
		c.mu.Unlock()
		for i := range n {
			lent[i].jobs <- job{stream, &grabs[i]}
		}
		grabs = grabs[n:]
		if n > 0 {
			continue
		}
		for i := range grabs {
			w := &worker{jobs: make(chan job, 1)}
			w.jobs <- job{stream, &grabs[i]}
			go c.work(w)
		}
		return
	}
}

func (c *crew) work(w *worker) {
	for j := range w.jobs {
		j.stream.decide(j.grab)
		c.mu.Lock()
		w.since = c.tick
		c.idle = append(c.idle, w)
		c.mu.Unlock()
	}
}

// thin ends workers that have been idle for long, and all once dismissed.
func (c *crew) thin() {
	tick := time.NewTicker(crewTick)
	defer tick.Stop()
	for dismissed := false; ; {
		select {
		case <-tick.C:
		case <-c.done:
			dismissed = true
		}
		c.mu.Lock()
		c.tick++
		n := 0
		for n < len(c.idle) && (dismissed || c.tick-c.idle[n].since > 2) {
			close(c.idle[n].jobs)
			n++
		}
		kept := copy(c.idle, c.idle[n:])
		clear(c.idle[kept:])
		c.idle = c.idle[:kept]
		c.mu.Unlock()
		if dismissed {
			return
		}
	}
}

// dismiss ends the workers that have nothing to do.
func (c *crew) dismiss() { c.over.Do(func() { close(c.done) }) }
