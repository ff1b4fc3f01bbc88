package nodetest

import (
	"fmt"
	"sync"
	"time"
)

// Promises is what shoppers of one listing were told through some nodes.
type Promises struct {
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	told map[string]string // order by shopper
}

// Promise has shoppers grab through nodes until kept.
func Promise(listing string, through ...*Member) *Promises {
	p := &Promises{stop: make(chan struct{}), told: map[string]string{}}
	for i, m := range through {
		p.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-p.stop:
					return
				default:
				}
				who := fmt.Sprintf("p%d-%d", i, n)
				if a, err := m.TryGrab(who, "k", listing); err == nil && a.Code == "granted" {
					p.mu.Lock()
					p.told[who] = a.Order.OrderNo
					p.mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return p
}

func (p *Promises) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.told)
}

// Kept ends it, and looks for all that was told on each node that is up.
func (p *Promises) Kept(f *Fleet) {
	f.T.Helper()
	close(p.stop)
	p.done.Wait()
	f.Settled()
	for _, m := range f.Nodes {
		if !m.Up {
			continue
		}
		found := m.Orders()
		for who, orderNo := range p.told {
			if o, there := found[orderNo]; !there || o.Shopper != who || o.State != "held" {
				f.T.Errorf("%s was told order %s; node %s has %+v", who, orderNo, m.ID, o)
			}
		}
	}
}
