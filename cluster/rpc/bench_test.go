package rpc

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"doorbuster/engine"
)

// BenchmarkGrab forwards grabs over loopback TCP; both ends are in the process.
// cpu-ns/op is what both of them used together.
func BenchmarkGrab(b *testing.B) {
	for name, handler := range map[string]Handler{"refused": atOnce{newFake(), soldOut},
		"granted": atOnce{newFake(), granted}, "waited": newTurnstile()} {
		for _, callers := range []int{1, 256, 4096} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) { benchmarkGrab(b, callers, handler) })
		}
	}
}

func soldOut(*engine.Grab, engine.Time) engine.Answer {
	return engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut, Session: 3}
}

func granted(q *engine.Grab, deadline engine.Time) engine.Answer {
	return engine.Answer{Code: engine.CodeGranted, State: engine.Held,
		Order: engine.OrderRef{Session: 3, Ordinal: 123_456}, Session: 3,
		Listing: 17, Quantity: q.Quantity, Amount: 4900, PayBy: deadline}
}

// atOnce answers as a gate does.
type atOnce struct {
	*fake
	answer func(*engine.Grab, engine.Time) engine.Answer
}

func (x atOnce) GrabFor(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	to.Decided(x.answer(q, deadline), 0, nil)
}

// turnstile decides what has gathered at once, as a committed entry does.
type turnstile struct {
	*fake
	mu   sync.Mutex
	next []func()
}

func newTurnstile() *turnstile {
	s := &turnstile{fake: newFake()}
	go func() {
		for range time.Tick(time.Millisecond) {
			s.mu.Lock()
			now := s.next
			s.next = nil
			s.mu.Unlock()
			for _, answer := range now {
				answer()
			}
		}
	}()
	return s
}

func (s *turnstile) GrabFor(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	a := granted(q, deadline)
	s.mu.Lock()
	s.next = append(s.next, func() { to.Decided(a, 0, nil) })
	s.mu.Unlock()
}

func benchmarkGrab(b *testing.B, callers int, h Handler) {
	_, r := pair(b, h)
	var left atomic.Int64
	left.Store(int64(b.N))
	if _, _, err := r.grab(grabOf("l", "s", "k"), 0, patience); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	var running sync.WaitGroup
	for c := range callers {
		running.Go(func() {
			q := grabOf("fans-day-10/skus/mask-50", fmt.Sprint("shopper-", c), "0190a5d0-6b3c-7e6f-8b1a-0123456789ab")
			told := make(hearing, 1)
			for left.Add(-1) >= 0 {
				if r.Grab(q, 1_800_000_000_000, told); (<-told).err != nil {
					b.Error("no answer")
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grabs/s")
}

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
