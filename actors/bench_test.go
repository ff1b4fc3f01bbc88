package actors

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/engine"
)

// BenchmarkGrab grants units to new shoppers, on a log that is in memory: through the
// leader itself, or through a follower of it.
func BenchmarkGrab(b *testing.B) {
	for _, through := range []string{"leader", "follower"} {
		for _, callers := range []int{1, 256} {
			b.Run(fmt.Sprintf("%s/%d", through, callers), func(b *testing.B) { benchmarkGrab(b, through, callers) })
		}
	}
}

func benchmarkGrab(b *testing.B, through string, callers int) {
	cfg := DefaultConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	leader := openShop(b, func(c *Config) { c.Logger = cfg.Logger })
	s := leader.Group
	if through == "follower" {
		var err error
		if s, err = New(cfg); err != nil {
			b.Fatal(err)
		}
		s.Connect(leader.log, leader.log)
		s.Join(&wire{leader: leader.Group, fresh: alwaysTrue()})
		b.Cleanup(s.Close)
		(&shop{Group: s, log: leader.log, t: b}).awake()
	}
	leader.plan("day", nil, units("mask", engine.MaxStock))
	var next atomic.Int64
	var running sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		running.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				q := &engine.Grab{Listing: []byte("day/skus/mask"), Shopper: fmt.Appendf(nil, "shopper-%d", n), IdempotencyKey: []byte("k"), Quantity: 1}
				if a := s.Grab(q); a.Code != engine.CodeGranted {
					b.Error(a)
					return
				}
			}
		})
	}
	running.Wait()
}
