package actors

import (
	"runtime"
	"sync"
)

// dispatcher runs the mailboxes of actors that have something to do on as many goroutines
// as there are processors: proto.actor's own begins one for each time that an actor has.
// It is actor.Dispatcher's. Safe for concurrent use.
type dispatcher struct {
	mu      sync.Mutex
	waiting []func()
	workers int
}

// Schedule has a mailbox run.
func (d *dispatcher) Schedule(mailbox func()) {
	d.mu.Lock()
	d.waiting = append(d.waiting, mailbox)
	more := d.workers < runtime.GOMAXPROCS(0)
	if more {
		d.workers++
	}
	d.mu.Unlock()
	if more {
		go d.work()
	}
}

// Throughput is after how many messages a mailbox lets others go on.
func (d *dispatcher) Throughput() int { return 300 }

// work runs what waits, until nothing does.
func (d *dispatcher) work() {
	runtime.Gosched() // who is about to hand something in goes first
	var taken []func()
	for {
		d.mu.Lock()
		taken, d.waiting = d.waiting, taken[:0]
		if len(taken) == 0 {
			d.workers--
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		for i, run := range taken {
			taken[i] = nil
			run()
		}
	}
}
