package bench

import (
	"testing"
	"time"
)

// BenchmarkRushSend measures what the rush's own machinery can send: a closed
// loop against the bare handler, both in this process.
func BenchmarkRushSend(b *testing.B) {
	c := DefaultRushConfig()
	c.Addrs = []string{startHello(b)}
	c.Listings = []Listing{{Session: "s", SKU: "a"}}
	c.ShopperPrefix = "r-"
	c.ReturnShare = 0
	c.Shoppers = b.N
	r := newCrowd(&c)
	r.started = time.Now()
	b.ResetTimer()
	r.send(b.Context())
	b.ReportMetric(float64(r.tally.asks.Load())/b.Elapsed().Seconds(), "grabs/s")
	b.ReportMetric(percentilesOf(r.tally.all.sum()).P99, "p99-ms")
}

// BenchmarkVolley measures the same for the volley.
func BenchmarkVolley(b *testing.B) {
	addr := startHello(b)
	for name, fire := range map[string]func(*volley, time.Duration) (shot, error){
		"loop":  func(v *volley, d time.Duration) (shot, error) { return v.fire(b.Context(), 0, d) },
		"conns": func(v *volley, d time.Duration) (shot, error) { return v.fireByConns(b.Context(), 0, d) },
	} {
		b.Run(name, func(b *testing.B) {
			v, err := newVolley(HTTPServer{Addr: addr, Grab: Listing{Session: "s", SKU: "a"}}, 256, "b-", codeSoldOut)
			if err != nil {
				b.Fatal(err)
			}
			got, err := fire(v, time.Duration(b.N)*8*time.Microsecond)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(got.requests)/got.took.Seconds(), "req/s")
			b.ReportMetric(float64(got.cpu.Nanoseconds())/float64(max(1, got.requests)), "cpu-ns/req")
			b.ReportMetric(got.latency.P99, "p99-ms")
		})
	}
}
