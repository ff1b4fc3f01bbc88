package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"doorbuster/engine"
)

// gathered gives counters, gauges and the counts of histograms by name and labels.
func gathered(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// TestMetrics: what was answered is counted, under labels that are there from
// the start.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	f := &fakeSeller{}
	_, addr := serveShopper(t, ShopperConfig{Seller: selling(f), Dev: true, Registerer: registry})
	before := gathered(t, registry)
	for _, name := range engine.Codes() {
		if _, ok := before[`doorbuster_grabs_total{code="`+name+`"}`]; !ok {
			t.Errorf("no label for code %s", name)
		}
	}
	for _, name := range engine.Reasons() {
		if _, ok := before[`doorbuster_grab_reasons_total{reason="`+name+`"}`]; !ok {
			t.Errorf("no label for reason %s", name)
		}
	}
	line := dial(t, addr)
	for _, a := range []engine.Answer{
		granted(), {Code: engine.CodeSoldOut, Reason: engine.ReasonGone},
		{Code: engine.CodeMissed, Reason: engine.ReasonQuota},
		{Code: engine.CodeMissed, Reason: engine.ReasonDepth}, {Code: engine.CodeProcessing},
		{Reason: engine.ReasonUnknown},
	} {
		f.answer = a // the connection's requests come one by one
		line.send(t, rawGrab+"\r\n")
		line.receive(t)
	}
	after := gathered(t, registry)
	for name, want := range map[string]float64{
		`doorbuster_grabs_total{code="granted"}`:                                                    1,
		`doorbuster_grabs_total{code="missed"}`:                                                     2,
		`doorbuster_grabs_total{code="ended"}`:                                                      0,
		`doorbuster_grab_reasons_total{reason="quota"}`:                                             1,
		`doorbuster_grab_reasons_total{reason="gone"}`:                                              1,
		`doorbuster_grab_duration_seconds{class="granted"}`:                                         1,
		`doorbuster_grab_duration_seconds{class="refused"}`:                                         3,
		`doorbuster_grab_duration_seconds{class="processing"}`:                                      1,
		`doorbuster_grab_duration_seconds{class="problem"}`:                                         1,
		`doorbuster_http_problems_total{api="shopper",kind="unknown-listing",status="404"}`:         1,
		`doorbuster_http_problems_total{api="shopper",kind="callback-not-configured",status="403"}`: 0,
		`doorbuster_http_connections{api="shopper"}`:                                                1,
		`doorbuster_http_panics_total{api="shopper"}`:                                               0,
	} {
		if got, ok := after[name]; !ok || got != want {
			t.Errorf("%s is %v (there: %t); want %v", name, got, ok, want)
		}
	}
}
