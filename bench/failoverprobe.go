package bench

import (
	"sync"
	"time"
)

// How often a node is probed, and how many grabs of probes it may have open: so
// many that those which began before a strike, and wait, don't keep others from
// beginning after it.
const (
	probeUrgently = 10 * time.Millisecond // until it has granted after a strike
	probeCalmly   = 50 * time.Millisecond
	probesOpen    = 128
)

// probe asks one node for units at a steady pace until done is closed, each time
// as a shopper who is new. Without it nobody would know which nodes grant again:
// the crowd's connections may all be waiting for answers.
func (t *failoverTest) probe(n int, done <-chan struct{}) {
	addr := t.nodes[n].HTTPAddr
	idle := make(chan *worker, probesOpen)
	var open sync.WaitGroup
	made := 0
	for shopper := probesFrom + n; ; shopper += len(t.nodes) {
		every := probeCalmly
		if t.watch.urgent(addr) {
			every = probeUrgently
		}
		select {
		case <-done:
			open.Wait()
			for range made {
				(<-idle).conn.close()
			}
			return
		case <-time.After(every):
		}
		if t.nodes[n].away.Load() {
			continue
		}
		var w *worker
		select {
		case w = <-idle:
		default:
			if made == probesOpen {
				continue
			}
			made++
			w = &worker{crowd: t.crowd, number: n, conn: newConn([]string{addr}, 0, t.rush.Timeout)}
		}
		open.Go(func() {
			w.grab(task{due: t.crowd.now(), deed: deedGrab, shopper: shopper, listing: 0, probe: true})
			idle <- w
		})
	}
}
