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
	answers := map[string]func(*engine.Grab, engine.Time) (engine.Answer, error){
		"refused": func(*engine.Grab, engine.Time) (engine.Answer, error) {
			return engine.Answer{Code: engine.CodeSoldOut, Reason: engine.ReasonSoldOut, Session: 3}, nil
		},
		"granted": granted,
		"waited":  newTurnstile().grab,
	}
	for _, name := range []string{"refused", "granted", "waited"} {
		for _, callers := range []int{1, 256, 4096} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) { benchmarkGrab(b, callers, answers[name]) })
		}
	}
}

func granted(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
	return engine.Answer{Code: engine.CodeGranted, State: engine.Held, Order: engine.OrderRef{Session: 3, Ordinal: 123_456}, Session: 3,
		Listing: 17, Quantity: q.Quantity, Amount: 4900, PayBy: deadline}, nil
}

// turnstile decides what has gathered at once, as a committed entry does.
type turnstile struct {
	mu   sync.Mutex
	next chan struct{}
}

func newTurnstile() *turnstile {
	s := &turnstile{next: make(chan struct{})}
	go func() {
		for range time.Tick(time.Millisecond) {
			s.mu.Lock()
			close(s.next)
			s.next = make(chan struct{})
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *turnstile) grab(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
	s.mu.Lock()
	next := s.next
	s.mu.Unlock()
	<-next
	return granted(q, deadline)
}

func benchmarkGrab(b *testing.B, callers int, answer func(*engine.Grab, engine.Time) (engine.Answer, error)) {
	f := newFake()
	f.onGrab(answer)
	_, r := pair(b, f)
	var left atomic.Int64
	left.Store(int64(b.N))
	if _, _, err := r.Grab(grabOf("l", "s", "k"), 0, patience); err != nil {
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
			for left.Add(-1) >= 0 {
				if _, _, err := r.Grab(q, 1_800_000_000_000, patience); err != nil {
					b.Error(err)
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
