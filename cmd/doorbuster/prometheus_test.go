package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// scraper is a Prometheus that runs.
type scraper struct {
	*testing.T
	address string
}

// startPrometheus has one scrape a node, by the rules of examples. A scrape that takes too long
// makes a rule begin anew, so it has a few seconds.
func startPrometheus(t *testing.T, node string) *scraper {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("there is no prometheus here; 'make tools' installs it where that can be done")
	}
	rules, err := filepath.Abs(filepath.Join(monitoringFolder, "prometheus-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: doorbuster
  static_configs: [{targets: [%q]}]
`, rules, node), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage")
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(said)
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, lines)
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	listening := regexp.MustCompile(`Listening on"? address=(127\.0\.0\.1:\d+)`)
	for log := ""; ; {
		line, err := lines.ReadString('\n')
		if at := listening.FindStringSubmatch(line); at != nil {
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return &scraper{t, at[1]}
		}
		if log += line; err != nil {
			t.Fatalf("prometheus does not listen: %s", log)
		}
	}
}

// get asks Prometheus; false where it can't answer yet.
func (p *scraper) get(path string, query url.Values, into any) bool {
	p.Helper()
	a, err := http.Get("http://" + p.address + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		return false
	}
	defer func() { _ = a.Body.Close() }()
	said := struct {
		Status, Error string
		Warnings      []string
		Data          json.RawMessage
	}{}
	if a.StatusCode == http.StatusServiceUnavailable { // it is starting
		return false
	}
	if err := json.NewDecoder(a.Body).Decode(&said); err != nil || said.Status != "success" || len(said.Warnings) > 0 {
		p.Fatalf("%s %v: %v, %s %s", path, query, err, said.Error, said.Warnings)
	}
	if err := json.Unmarshal(said.Data, into); err != nil {
		p.Fatalf("%s %v: %v", path, query, err)
	}
	return true
}

// samples gives how many series a query finds.
func (p *scraper) samples(query string) int {
	p.Helper()
	found := struct{ Result json.RawMessage }{}
	p.get("query", url.Values{"query": {query}}, &found)
	var series []json.RawMessage
	_ = json.Unmarshal(found.Result, &series) // a scalar is none
	return len(series)
}

// await waits until something holds.
func (p *scraper) await(what string, holds func() bool) {
	p.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatal("not so: ", what)
		}
	}
}

// TestPrometheusScrapesARush: a real one finds the node up and every metric that the rules and
// the dashboard name, evaluates all of them without an error, and fires the rule of an alarm
// that is on, and no other.
func TestPrometheusScrapesARush(t *testing.T) {
	t.Parallel()
	s := watchedShop(t, "--metrics-exemplars")
	p := startPrometheus(t, s.Admin)
	transactions := nodetest.Crowd(200, func(i int) string {
		shopper := fmt.Sprint("shopper-", i)
		o := s.MustGrant(shopper, "", "day/sku-1")
		for range 5 {
			s.MustRefuse("limit_reached", shopper, "", "day/sku-1")
		}
		return o.TransactionID
	})
	p.await("the node is up", func() bool { return p.samples(`up{job="doorbuster"} == 1`) == 1 })
	for _, name := range metricsNamed(t) {
		p.await(name+" has samples", func() bool { // the alarms name histograms as a whole
			return p.samples(fmt.Sprintf(`{__name__=~"%s(_bucket)?"}`, name)) > 0
		})
	}
	for _, panel := range panels {
		for _, q := range panel.queries {
			p.samples(q.expr) // it fails the test if it is none
		}
	}
	p.await("the rush is seen", func() bool {
		return p.samples(`sum(doorbuster_listing_refused_total{sku="sku-1",reason="limit_listing"}) == 1000 or `+
			`sum(doorbuster_listing_refused_total{sku="sku-1",reason="limit_session"}) == 1000`) == 1
	})
	p.await("grabs have exemplars", func() bool {
		var found []struct {
			Exemplars []struct{ Labels map[string]string }
		}
		now := time.Now()
		p.get("query_exemplars", url.Values{"query": {`doorbuster_grab_duration_seconds_bucket{class="granted"}`},
			"start": {fmt.Sprint(now.Add(-time.Hour).Unix())}, "end": {fmt.Sprint(now.Unix() + 1)}}, &found)
		for _, series := range found {
			for _, e := range series.Exemplars {
				if slices.Contains(transactions, e.Labels["transaction_id"]) {
					return true
				}
			}
		}
		return false
	})

	alert := alertName(engine.AlarmCashierFails)
	states := map[string]string{}
	p.await(alert+" fires", func() bool {
		rules := struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}{}
		p.get("rules", nil, &rules)
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" || r.LastError != "" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				states[r.Name] = r.State
			}
		}
		return states[alert] == "firing" || testing.Short() && states[alert] == "pending" // it fires 15 s later
	})
	if len(states) != len(engine.AlarmKinds())+1 {
		t.Errorf("%d rules of %d alarms", len(states), len(engine.AlarmKinds()))
	}
	lit := s.Ops("GET", "/metrics", "").Body
	for name, state := range states {
		on := false
		for _, k := range engine.AlarmKinds() {
			on = on || alertName(k.Name) == name &&
				strings.Contains(lit, fmt.Sprintf("doorbuster_alarms{name=%q}", k.Name))
		}
		if state == "firing" && !on {
			t.Errorf("%s fires, and no alarm is on", name)
		}
	}
}

// TestExemplarsAreForWhoAsks: without the setting, or in the older format, there are none.
func TestExemplarsAreForWhoAsks(t *testing.T) {
	t.Parallel()
	const open = "application/openmetrics-text; version=1.0.0"
	for _, on := range []bool{false, true} {
		s := openShop(t, t.TempDir(), fmt.Sprint("--metrics-exemplars=", on))
		s.Apply(nodetest.DayPlan("", 1))
		o := s.MustGrant("ann", "", "day/sku-1")
		for accept, has := range map[string]bool{open: on, "text/plain": false, "": false, "*/*": false,
			";;;=,": false} {
			s.Eventually(func() bool { // the answer is told of just after it is written
				a := s.Ops("GET", "/metrics", "", "Accept", accept)
				return a.Status == 200 && strings.Contains(a.Body, o.TransactionID) == has
			}, func() string { return fmt.Sprintf("exemplars %v for %q, and asked for are %v", !has, accept, on) })
		}
	}
}
