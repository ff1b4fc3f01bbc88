package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkRushSend measures what the rush's own machinery can send: a closed
// loop against the bare handler, which runs
// in a process of its own.
func BenchmarkRushSend(b *testing.B) {
	c := DefaultRushConfig()
	c.Addrs = []string{startHelloChild(b)}
	c.Listings = []Listing{{Session: "s", SKU: "a"}}
	c.ShopperPrefix = "r-"
	c.ReturnShare = 0
	c.Shoppers = b.N
	r := newCrowd(&c)
	r.started = time.Now()
	b.ResetTimer()
	r.send(b.Context())
	b.ReportMetric(float64(r.tally.Grabs)/b.Elapsed().Seconds(), "grabs/s")
	b.ReportMetric(percentilesOf(r.tally.all.sum()).P99, "p99-ms")
}

// BenchmarkVolley measures the same for the volley.
func BenchmarkVolley(b *testing.B) {
	addr := startHelloChild(b)
	for name, fire := range map[string]func(*volley, time.Duration) (shot, error){
		"loop":  func(v *volley, d time.Duration) (shot, error) { return v.fire(b.Context(), 0, d) },
		"conns": func(v *volley, d time.Duration) (shot, error) { return v.fireByConns(b.Context(), 0, d) },
	} {
		b.Run(name, func(b *testing.B) {
			v := newVolley(HTTPServer{Addr: addr, Grab: Listing{Session: "s", SKU: "a"}}, 256, "b-", codeSoldOut)
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

// helloChild is set in a child of the test binary that is to serve hello.
const helloChild = "DOORBUSTER_BENCH_HELLO_CHILD"

// TestHelloChild is the child's part; alone it does nothing.
func TestHelloChild(t *testing.T) {
	if os.Getenv(helloChild) == "" {
		t.Skip("serves the benchmarks only")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(ln.Addr())
	go func() { _ = ServeHello(ln) }()
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
}

// startHelloChild serves hello from a child process.
func startHelloChild(b *testing.B) string {
	b.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestHelloChild$")
	child.Env = append(os.Environ(), helloChild+"=1")
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = child.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr)
}
