package lab

import (
	"testing"

	"doorbuster/bench"
)

// TestBenchSales: of each kind a small crowd comes, everybody is answered, exactly, and
// every question too. What the other figures are is not for a test to say.
func TestBenchSales(t *testing.T) {
	for kind, flags := range map[string][]string{
		bench.KindFanDay: {"--rate", "1000", "--decide-within", "100ms"},
		bench.KindMask:   nil,
	} {
		t.Run(kind, func(t *testing.T) {
			flags = append([]string{kind, "--shoppers", "1000", "--hello-shoppers", "400", "--units", "100",
				"--connections", "32", "--fsyncs", "10", "--results", t.TempDir()}, flags...)
			r, _, _ := measured[bench.SaleReport](t, flags...)
			exact := map[string]bool{}
			for _, q := range r.Questions {
				exact[q.Name] = q.Met
			}
			if !exact["Sale/unanswered"] || !exact["Sale/offences"] || r.Rush.Orders < 100 || r.Hello.Latency.P99 <= 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	refuses(t, "mask", map[string]string{"--shoppers 0": "shoppers 0"})
}
