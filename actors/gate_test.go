package actors

import (
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/engine"
)

// TestQuotaIsExact: however many come at once, no more are let in than the
// quota, and nobody who was is told otherwise.
func TestQuotaIsExact(t *testing.T) {
	for range 2000 {
		var switches atomic.Pointer[engine.Switches]
		normal := engine.NormalSwitches()
		switches.Store(&normal)
		g := &gate{switches: &switches}
		g.facts.Store(&facts{multiple: 1})
		g.stock.Store(1)
		var in [6]atomic.Bool // each shopper clicks twice
		var ready, wait sync.WaitGroup
		ready.Add(len(in))
		for i := range in {
			wait.Go(func() {
				ready.Done()
				ready.Wait()
				in[i].Store(g.admit(uint64(i/2)<<1 | 1))
			})
		}
		wait.Wait()
		let := 0
		for i := 0; i < len(in); i += 2 {
			if in[i].Load() != in[i+1].Load() {
				t.Fatalf("a shopper was let in and turned away: %v, %v", in[i].Load(), in[i+1].Load())
			}
			if in[i].Load() {
				let++
			}
		}
		if let != 1 {
			t.Fatalf("%d let in, want 1", let)
		}
	}
}
