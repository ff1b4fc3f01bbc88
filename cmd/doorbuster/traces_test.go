package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// traced has the names of the spans that a collector took, by trace, and what else they say.
type traced struct {
	*httptest.Server
	mu    sync.Mutex
	names map[string][]string
	said  map[string]string
}

func newTraced(t *testing.T) *traced {
	c := &traced{names: map[string][]string{}, said: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var sent collectorpb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &sent); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range sent.ResourceSpans[0].ScopeSpans[0].Spans {
			id := hex.EncodeToString(s.TraceId)
			c.names[id] = append(c.names[id], s.Name)
			c.said[id] += fmt.Sprint(s.Attributes)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// TestTracesOfGrabs: a trace has all stages of a grant, under the trace of its request, and of
// a refusal those that there are.
func TestTracesOfGrabs(t *testing.T) {
	t.Parallel()
	c := newTraced(t)
	s := openShop(t, t.TempDir(), "--traces-endpoint", c.URL, "--traces-sample-ratio", "1")
	s.Apply(nodetest.DayPlan("", 1))
	with := func(id string) []string { return []string{"Traceparent", "00-" + id + "-b7ad6b7169203331-01"} }
	yes, no := strings.Repeat("1", 32), strings.Repeat("2", 32)
	granted := s.ExpectWith("granted", "ann", "", "day/sku-1", "", with(yes)...)
	s.ExpectWith("sold_out", "ben", "", "day/sku-1", "", with(no)...)
	s.ExpectWith("sold_out", "cid", "", "day/sku-1", "", "Traceparent", "00-nonsense-%s\xff")
	for id, want := range map[string][]string{yes: engine.Stages(), no: {"door", "gate", "answer"}} {
		want = append(slices.Clone(want), "grab")
		if id == no {
			want = []string{"door", "gate", "decision", "grab"}
		}
		s.Eventually(func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.Equal(c.names[id], want)
		}, func() string { return fmt.Sprintf("spans %v, not %v", c.names[id], want) })
	}
	if want := granted.Order.TransactionID; want == "" || !strings.Contains(c.said[yes], want) {
		t.Errorf("no transaction %s: %s", want, c.said[yes])
	}
	if !strings.Contains(c.said[no], "sold_out") {
		t.Errorf("no reason: %s", c.said[no])
	}
	s.Eventually(func() bool { return s.Metric(`doorbuster_traces_total{outcome="sent"}`) == "3" }, func() string {
		return "not all traces were sent"
	})
}

// TestCollectorThatHangs: a sale goes on, and what is traced is dropped and counted; the node
// stops in good time.
func TestCollectorThatHangs(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1000)
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(c.Close)
	s := openShop(t, t.TempDir(), "--traces-endpoint", c.URL, "--traces-sample-ratio", "1")
	s.Apply(nodetest.DayPlan("", 1))
	s.MustGrant("first", "", "day/sku-1")
	<-asked
	for i := range 3000 {
		s.MustRefuse("sold_out", fmt.Sprint("shopper-", i), "", "day/sku-1")
	}
	s.Eventually(func() bool { return s.Metric(`doorbuster_traces_total{outcome="dropped"}`) != "0" }, func() string {
		return "none was dropped"
	})
}

func TestTracesConfig(t *testing.T) {
	noEnvironment(t)
	_, err := load(t, "--data", t.TempDir(), "--dev", "--traces-endpoint", "collector:4318",
		"--traces-sample-ratio", "2")
	for _, want := range []string{`--traces-endpoint: "(an address that can't be read)": it must be like ` +
		"https://collector.example:4318", "--traces-sample-ratio: 2 is not between 0 and 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	_, err = load(t, "--data", t.TempDir(), "--dev", "--traces-token-file", "x")
	if !saysLine(err, "--traces-token-file: there is no traces.endpoint to send it to") {
		t.Error(err)
	}
}
