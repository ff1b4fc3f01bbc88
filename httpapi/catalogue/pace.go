package catalogue

import "time"

// pace has long work leave others the processor: whenever it has worked for a while it
// pauses a quarter longer. Without that, on two cores, a grab beside it waits for whole slices of the
// scheduler's time.
type pace struct {
	since time.Time
	rows  int
}

const (
	paceRows   = 16 // between two looks at the clock
	paceWork   = time.Millisecond
	paceAtMost = 5 * time.Millisecond
)

// row counts a row, and pauses when it is time to.
func (p *pace) row() {
	if p.rows++; p.rows%paceRows != 0 {
		return
	}
	worked := time.Since(p.since)
	if worked < paceWork {
		return
	}
	time.Sleep(min(worked+worked/4, paceAtMost))
	p.since = time.Now()
}
