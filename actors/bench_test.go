package actors_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
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
	cfg := actors.DefaultConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	leader := openShop(b, func(c *actors.Config) { c.Logger = cfg.Logger })
	s := leader.Group
	if through == "follower" {
		follower, err := backoffice.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		follower.Connect(leader.log, leader.log)
		follower.Join(&wire{leader: leader.Group, fresh: alwaysTrue()})
		b.Cleanup(follower.Close)
		(&testShop{Office: follower, log: leader.log, t: b}).awake()
		s = follower.Group
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
				q := &engine.Grab{Listing: []byte("day/skus/mask"), Shopper: fmt.Appendf(nil, "shopper-%d", n),
					IdempotencyKey: []byte("k"), Quantity: 1}
				if a := s.Grab(q); a.Code != engine.CodeGranted {
					b.Error(a)
					return
				}
			}
		})
	}
	running.Wait()
}

// BenchmarkRefusedGrab refuses shoppers at the gate of a listing that has sold out.
func BenchmarkRefusedGrab(b *testing.B) {
	s := openShop(b, func(c *actors.Config) { c.Logger = slog.New(slog.DiscardHandler) })
	s.plan("day", nil, units("mask", 1))
	if a := s.Grab(&engine.Grab{Listing: []byte("day/skus/mask"), Shopper: []byte("first"), IdempotencyKey: []byte("k"),
		Quantity: 1}); a.Code != engine.CodeGranted {
		b.Fatal(a)
	}
	var callers atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q := &engine.Grab{Listing: []byte("day/skus/mask"), Shopper: fmt.Appendf(nil, "shopper-%d", callers.Add(1)),
			IdempotencyKey: []byte("k"), Quantity: 1}
		for pb.Next() {
			if a, decided := s.Decide(q, nil); !decided || a.Code != engine.CodeSoldOut {
				b.Error(a)
				return
			}
		}
	})
}
