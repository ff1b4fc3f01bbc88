package ratelimit

import (
	"math"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 9, 20, 12, 0, 0, 0, time.UTC)

func newLimiter(t testing.TB, cfg Config) *Limiter {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// allowed counts how many of n requests of a key are let through at once.
func allowed(l *Limiter, key uint64, n int, now time.Time) int {
	through := 0
	for range n {
		if l.Allow(key, now) {
			through++
		}
	}
	return through
}

func TestAllow(t *testing.T) {
	l := newLimiter(t, Config{PerSecond: 2, Burst: 5})
	ada, bob := l.ShopperKey([]byte("ada")), l.ShopperKey([]byte("bob"))
	for _, c := range []struct {
		name  string
		key   uint64
		after time.Duration
		want  int
	}{
		{"a burst", ada, 0, 5},
		{"another's burst", bob, 0, 5},
		{"not yet half a second on", ada, 499 * time.Millisecond, 0},
		{"half a second on", ada, 500 * time.Millisecond, 1},
		{"two seconds on", ada, 2500 * time.Millisecond, 4},
		{"a long time on", ada, time.Hour, 5},
		{"the clock stepped back", ada, time.Minute, 0},
	} {
		if got := allowed(l, c.key, 100, noon.Add(c.after)); got != c.want {
			t.Errorf("%s: %d of 100 requests pass; want %d", c.name, got, c.want)
		}
	}
}

func TestSetLimit(t *testing.T) {
	l := newLimiter(t, Config{})
	if got := allowed(l, 1, 1000, noon); got != 1000 || l.Len() != 0 {
		t.Errorf("without a limit %d of 1000 pass, and %d keys are remembered", got, l.Len())
	}
	set := func(perSecond float64, burst int) {
		t.Helper()
		if err := l.SetLimit(perSecond, burst); err != nil {
			t.Fatal(err)
		}
	}
	set(1, 10)
	if got := allowed(l, 1, 100, noon); got != 10 {
		t.Errorf("with a burst of 10, %d pass", got)
	}
	set(1, 100)
	if got := allowed(l, 1, 100, noon.Add(20*time.Second)); got != 10 {
		t.Errorf("with the old burst earned when the new one came, %d pass; want 10", got)
	}
	if got := allowed(l, 1, 100, noon.Add(40*time.Second)); got != 20 {
		t.Errorf("20 seconds under the new burst %d pass; want 20", got)
	}
	set(1, 3)
	if got := allowed(l, 1, 100, noon.Add(time.Hour)); got != 3 {
		t.Errorf("after the burst was lowered to 3, %d pass", got)
	}
	set(50, 3)
	if got := allowed(l, 1, 100, noon.Add(time.Hour)); got != 0 {
		t.Errorf("at the moment of the change %d pass; want 0", got)
	}
	if got := allowed(l, 1, 100, noon.Add(time.Hour+40*time.Millisecond)); got != 2 {
		t.Errorf("at 50 a second %d pass after 40 ms; want 2", got)
	}
	set(0, 0)
	if got := allowed(l, 1, 1000, noon.Add(time.Hour)); got != 1000 {
		t.Errorf("with the limit off again %d of 1000 pass", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, nil},
		{DefaultConfig(), nil},
		{Config{PerSecond: 0.001, Burst: 1, Keys: 1024}, nil},
		{Config{PerSecond: -1, Burst: 0, Keys: 10}, []string{"PerSecond is -1", "Burst is 0; it must be 1 to 1000000",
			"Keys is 10; it must be 1024 to 16777216"}},
		{Config{PerSecond: math.NaN(), Burst: 1}, []string{"PerSecond is NaN"}},
		{Config{PerSecond: math.Inf(1), Burst: 2_000_000}, []string{"PerSecond is +Inf", "Burst is 2000000"}},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%+v: %v", c.cfg, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %q does not say %q", c.cfg, err, want)
			}
		}
		if _, made := New(c.cfg); (made == nil) != (err == nil) {
			t.Errorf("%+v: New gives %v", c.cfg, made)
		}
	}
	l := newLimiter(t, Config{PerSecond: 1, Burst: 1})
	if l.SetLimit(math.NaN(), 1) == nil || l.SetLimit(1, 0) == nil {
		t.Error("a bad limit is taken")
	}
	if got := allowed(l, 1, 10, noon); got != 1 {
		t.Errorf("after refused limits %d pass; want 1", got)
	}
}

// TestMillionKeys: memory is bounded however many ask.
func TestMillionKeys(t *testing.T) {
	const bytesPerKey = 48
	cfg := Config{PerSecond: 1, Burst: 1, Keys: DefaultConfig().Keys}
	l := newLimiter(t, cfg)
	before := heap()
	for i := range uint32(1_000_000) {
		addr := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		if !l.Allow(l.AddressKey(addr), noon) {
			t.Fatalf("the first request of address %d is refused", i)
		}
	}
	grown := int64(heap()) - int64(before)
	if n := l.Len(); n > cfg.Keys || n < cfg.Keys*99/100 {
		t.Errorf("%d keys are remembered; want %d, less at most a hundredth", n, cfg.Keys)
	}
	if most := int64(cfg.Keys * bytesPerKey); grown > most {
		t.Errorf("the heap has grown by %d bytes; want at most %d", grown, most)
	}
	if l.Allow(l.AddressKey(netip.AddrFrom4([4]byte{0, 15, 0x42, 0x3f})), noon) {
		t.Error("the last address that asked is forgotten")
	}
	runtime.KeepAlive(l)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAddressKey(t *testing.T) {
	l := newLimiter(t, Config{})
	key := func(text string) uint64 { return l.AddressKey(netip.MustParseAddr(text)) }
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"::1", "0.0.0.1", false},
	} {
		if (key(c.one) == key(c.other)) != c.same {
			t.Errorf("%s and %s: the same key is %t; want %t", c.one, c.other, !c.same, c.same)
		}
	}
	if newLimiter(t, Config{}).AddressKey(netip.MustParseAddr("192.0.2.1")) == key("192.0.2.1") {
		t.Error("two limiters have the same keys")
	}
	l.AddressKey(netip.Addr{}) // an address that is none does no harm
}

// TestTogether: however many ask at once, a burst is a burst.
func TestTogether(t *testing.T) {
	l := newLimiter(t, Config{PerSecond: 1, Burst: 50})
	var through atomic.Int64
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() { through.Add(int64(allowed(l, 7, 100, noon))) })
	}
	askers.Wait()
	if through.Load() != 50 {
		t.Errorf("%d requests pass; want 50", through.Load())
	}
}

func TestAllowAllocates(t *testing.T) {
	l := newLimiter(t, Config{PerSecond: 1, Burst: 1})
	four, six, ada := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), []byte("ada")
	n := testing.AllocsPerRun(1000, func() {
		l.Allow(l.AddressKey(four), noon)
		l.Allow(l.AddressKey(six), noon)
		l.Allow(l.ShopperKey(ada), noon)
	})
	if n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// BenchmarkAllow is what a request costs of one address among many.
func BenchmarkAllow(b *testing.B) {
	l := newLimiter(b, Config{PerSecond: 1, Burst: 1})
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		n := i * 7919 % 60_000
		l.AllowAddress(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), noon)
	}
}
