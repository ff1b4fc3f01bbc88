package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
)

// monitoringFolder has what is made of the tables of alarms and panels.
const monitoringFolder = "../../examples/monitoring"

// panel is a curve worth looking at, a query each. Each query is of one name of metrics at
// least that a node exposes: TestMonitoringNamesWhatIsThere.
type panel struct {
	row, title, unit string
	queries          []query
}

type query struct{ says, expr string }

// panels is the dashboard, in reading order.
var panels = []panel{
	{"The sale", "Alarms that are on", "none", []query{{"{{name}}", `max by (name) (doorbuster_alarms)`}}},
	{"The sale", "Answers to grabs", "ops", []query{{"{{code}}", `sum by (code) (rate(doorbuster_grabs_total[1m]))`}}},
	{"The sale", "Reasons of refusals", "ops",
		[]query{{"{{reason}}", `topk(8, sum by (reason) (rate(doorbuster_grab_reasons_total[1m])))`}}},
	{"The sale", "Grabs that wait for a decision", "none", []query{{"{{instance}}", `doorbuster_grabs_waiting`}}},
	{"The sale", "Time of an answer", "s", []query{
		{"p99 {{class}}", `histogram_quantile(0.99, sum by (le, class) (rate(doorbuster_grab_duration_seconds_bucket[1m])))`},
		{"p50 {{class}}", `histogram_quantile(0.5, sum by (le, class) (rate(doorbuster_grab_duration_seconds_bucket[1m])))`},
	}},
	{"The sale", "Stages of grabs, 99th percentile", "s", []query{{"{{stage}}",
		`histogram_quantile(0.99, sum by (le, stage) (rate(doorbuster_grab_stage_seconds_bucket[1m])))`}}},
	{"The sale", "Rate limits, tickets, risk", "ops", []query{
		{"over a rate: {{by}}", `sum by (by) (rate(doorbuster_rate_limited_total[1m]))`},
		{"tickets issued", `sum(rate(doorbuster_tickets_issued_total[1m]))`},
		{"tickets refused", `sum(rate(doorbuster_tickets_refused_total[1m]))`},
		{"risk: {{level}}", `sum by (level) (rate(doorbuster_risk_verdicts_total[1m]))`},
	}},
	{"The listings", "Units granted a second, the ten busiest", "ops", []query{{"{{session}} {{sku}}",
		`topk(10, max by (session, sku) (rate(doorbuster_listing_granted_units_total[1m])))`}}},
	{"The listings", "Refused a second, the ten busiest", "ops", []query{{"{{session}} {{sku}} {{reason}}",
		`topk(10, sum by (session, sku, reason) (rate(doorbuster_listing_refused_total[1m])))`}}},
	{"The listings", "Units of the listing that has granted most", "none", []query{
		{"put up: {{session}} {{sku}}", busiest("doorbuster_listing_stock")},
		{"free: {{session}} {{sku}}", busiest("doorbuster_listing_available")},
		{"held: {{session}} {{sku}}", busiest("doorbuster_listing_held")},
		{"paid: {{session}} {{sku}}", busiest("doorbuster_listing_paid")},
		{"in line: {{session}} {{sku}}", busiest("doorbuster_listing_waiting")},
	}},
	{"The listings", "Listings without metrics of their own", "none",
		[]query{{"{{instance}}", `doorbuster_listings_without_metrics`}}},
	{"The doors", "Connections", "none", []query{{"{{instance}}", `doorbuster_http_connections`}}},
	{"The doors", "Problems answered", "ops",
		[]query{{"{{api}} {{status}} {{kind}}", `sum by (api, status, kind) (rate(doorbuster_http_problems_total[1m])) > 0`}}},
	{"The doors", "Streams of events", "none", []query{{"shoppers at {{instance}}", `doorbuster_event_streams`},
		{"readers at {{instance}}", `doorbuster_event_readers`}}},
	{"The doors", "Traces of grabs", "ops", []query{{"{{outcome}}", `sum by (outcome) (rate(doorbuster_traces_total[1m]))`},
		{"waiting at {{instance}}", `doorbuster_traces_waiting`}}},
	{"The cluster", "Who leads", "none", []query{{"{{instance}}", `doorbuster_leader`}}},
	{"The cluster", "Whose state may be told", "none", []query{{"{{instance}}", `doorbuster_fresh`}}},
	{"The cluster", "Entries behind the first", "none",
		[]query{{"{{instance}}", `scalar(max(doorbuster_applied_index)) - doorbuster_applied_index`}}},
	{"The cluster", "Entries that each node lacks", "none",
		[]query{{"{{node}} in {{zone}}", `max by (node, zone) (doorbuster_node_lag_entries)`}}},
	{"The cluster", "Nodes that others don't reach", "none",
		[]query{{"{{node}} in {{zone}}", `1 - min by (node, zone) (doorbuster_node_reachable)`}}},
	{"The cluster", "Clocks, against the others'", "s", []query{
		{"{{node}}", `max by (node) (abs(doorbuster_node_clock_offset_seconds))`}}},
	{"The cluster", "Without a word of a leader", "s", []query{{"{{instance}}", `doorbuster_leader_silent_seconds`}}},
	{"The cluster", "Changes of the leader", "none",
		[]query{{"in ten minutes", `sum(increase(doorbuster_leadership_gained_total[10m]))`}}},
	{"The cluster", "Entries committed and not applied", "none",
		[]query{{"{{instance}}", `doorbuster_commit_index - doorbuster_applied_index`},
			{"for another zone at {{instance}}", `doorbuster_zone_held_entries`}}},
	{"The cluster", "Waiting for another zone", "s", []query{{"{{instance}}", `doorbuster_zone_held_seconds`}}},
	{"The cluster", "Batches", "none", []query{
		{"commands of one at {{instance}}",
			`rate(doorbuster_batch_commands_total[1m]) / (rate(doorbuster_batches_total[1m]) > 0)`},
		{"commands that gather at {{instance}}", `doorbuster_batch_gathering`},
		{"in flight at {{instance}}", `doorbuster_batches_in_flight`}}},
	{"The cluster", "Entries that another zone lacks", "none",
		[]query{{"{{instance}}", `doorbuster_last_index - doorbuster_zone_index`}}},
	{"The disk", "Fsync", "s", []query{
		{"p99 {{instance}}", `histogram_quantile(0.99, sum by (le, instance) (rate(doorbuster_wal_fsync_seconds_bucket[1m])))`},
		{"p50 {{instance}}", `histogram_quantile(0.5, sum by (le, instance) (rate(doorbuster_wal_fsync_seconds_bucket[1m])))`},
	}},
	{"The disk", "Bytes", "bytes", []query{{"log of {{instance}}", `doorbuster_wal_bytes`},
		{"ledger of {{instance}}", `doorbuster_ledger_bytes`}}},
	{"The disk", "Log written", "Bps", []query{
		{"{{instance}}", `rate(doorbuster_wal_appended_bytes_total[1m])`}}},
	{"The disk", "Entries written", "ops", []query{
		{"{{instance}}", `rate(doorbuster_wal_appended_entries_total[1m])`}}},
	{"The disk", "Since the last snapshot", "bytes", []query{{"{{instance}}", `doorbuster_snapshot_pending_bytes`}}},
	{"The disk", "Events that wait for the ledger", "none", []query{{"{{instance}}", `doorbuster_ledger_lag_events`}}},
	{"The disk", "Ledger behind", "s", []query{{"{{instance}}", `doorbuster_ledger_lag_seconds`}}},
	{"Money", "Callbacks of the cashier", "ops",
		[]query{{"{{outcome}}", `sum by (outcome) (rate(doorbuster_payment_callbacks_total[1m]))`}}},
	{"Money", "Time of the cashier's answers", "s", []query{
		{"p99", `histogram_quantile(0.99, sum by (le) (rate(doorbuster_cashier_request_seconds_bucket[5m])))`}}},
	{"Money", "Cashier left alone", "none", []query{{"{{instance}}", `doorbuster_cashier_left_alone`}}},
	{"Money", "Refunds due", "none", []query{{"due", `max(doorbuster_refunds_due)`}}},
	{"Money", "Oldest refund due", "s", []query{{"oldest", `max(doorbuster_refunds_oldest_seconds)`}}},
	{"Money", "Open differences with the cashier", "none",
		[]query{{"open", `max(doorbuster_reconciliation_open)`}}},
}

// busiest is a metric of the listing that has granted most.
func busiest(metric string) string {
	return "max by (session, sku) (" + metric + ") and topk(1, max by (session, sku) " +
		"(doorbuster_listing_granted_units_total))"
}

// alertName is an alarm's name as Prometheus's users write theirs.
func alertName(name engine.AlarmName) string {
	words := strings.Split(string(name), "_")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return "Doorbuster" + strings.Join(words, "")
}

func prometheusRules(t *testing.T) string {
	t.Helper()
	type rule struct {
		Alert       string            `yaml:"alert"`
		Expr        string            `yaml:"expr"`
		For         string            `yaml:"for"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	}
	rules := []rule{{Alert: "DoorbusterNotScraped", Expr: `up{job="doorbuster"} == 0`, For: "1m",
		Labels: map[string]string{"severity": string(engine.SeverityWake)},
		Annotations: map[string]string{"summary": "A node's metrics can't be had.",
			"do": "Look whether the node lives (/livez), and whether Prometheus may read its metrics."}}}
	for _, k := range engine.AlarmKinds() {
		rules = append(rules, rule{Alert: alertName(k.Name),
			Expr: fmt.Sprintf("max(doorbuster_alarms{name=%q}) > 0", k.Name), For: "15s",
			Labels: map[string]string{"severity": string(k.Severity), "alarm": string(k.Name)},
			Annotations: map[string]string{"summary": k.Means, "shoppers": k.Felt, "look_at": k.Look, "do": k.Do,
				"runbook": "/runbook#" + string(k.Name) + " of any node's operations address"}})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "doorbuster", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return "# Written by 'make docs' from the table of alarms. Scrape all nodes under the job name doorbuster.\n" +
		string(text)
}

func grafanaDashboard(t *testing.T) string {
	t.Helper()
	source := map[string]string{"type": "prometheus", "uid": "${source}"}
	const width, height = 8, 8
	var shown []map[string]any
	row, x, y := "", 0, 0
	for _, p := range panels {
		if p.row != row {
			if row != "" && x > 0 {
				y += height
			}
			row, x = p.row, 0
			shown = append(shown, map[string]any{"id": len(shown) + 1, "type": "row", "title": row, "collapsed": false,
				"gridPos": map[string]int{"h": 1, "w": 24, "x": 0, "y": y}})
			y++
		} else if x == 24 {
			x, y = 0, y+height
		}
		var targets []map[string]any
		for i, q := range p.queries {
			targets = append(targets, map[string]any{"refId": string(rune('A' + i)), "expr": q.expr,
				"legendFormat": q.says, "datasource": source})
		}
		shown = append(shown, map[string]any{"id": len(shown) + 1, "type": "timeseries", "title": p.title,
			"datasource": source, "targets": targets,
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit, "min": 0}, "overrides": []any{}},
			"gridPos":     map[string]int{"h": height, "w": width, "x": x, "y": y}})
		x += width
	}
	text, err := json.MarshalIndent(map[string]any{"title": "Doorbuster", "uid": "doorbuster", "schemaVersion": 39,
		"tags": []string{"doorbuster"}, "refresh": "5s", "time": map[string]string{"from": "now-15m", "to": "now"},
		"description": "Written by 'make docs' from the table of panels.",
		"templating": map[string]any{"list": []any{map[string]any{"name": "source", "label": "Prometheus",
			"type": "datasource", "query": "prometheus"}}},
		"panels": shown}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// alarmReference is the runbook.
func alarmReference() string {
	var b strings.Builder
	b.WriteString(generated + `
# Alarms, and what to do

` + "`GET /admin/v1/alarms`, `doorbuster alarms`" + ` and the console list those that are on. The severity **wake** is for what
puts shoppers, money or data at risk now; **tell** can wait for the morning. A node shows this page at
` + "`/runbook`" + ` of its operations address. See also [alarms](../alerts.md) and [metrics](../watch.md).

| alarm | severity | what it means |
| --- | --- | --- |
`)
	for _, k := range engine.AlarmKinds() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", k.Name, k.Name, k.Severity, k.Means)
	}
	for _, k := range engine.AlarmKinds() {
		fmt.Fprintf(&b, "\n## %s\n\n**%s.** %s\n\n- *Shoppers:* %s\n- *Look at:* %s\n- *Do:* %s\n- *It is over:* %s\n",
			k.Name, k.Severity, k.Means, k.Felt, k.Look, k.Do, k.Heals)
	}
	return b.String()
}

// watchedShop is a shop of which every metric has a sample, with an alarm on: its cashier is
// not there, and a refund is due.
func watchedShop(t *testing.T, more ...string) *nodetest.Shop {
	t.Helper()
	s := openShop(t, t.TempDir(), append(more, "--cashier-url", "http://127.0.0.1:1/", "--traces-endpoint",
		"http://127.0.0.1:1/")...)
	s.Apply(nodetest.DayPlan("", 1000, 1))
	no := s.MustGrant("ann", "", "day/sku-2").OrderNo
	s.MustRefuse("sold_out", "ben", "", "day/sku-2")
	s.CancelOrder("ann", no)
	if a := s.Do("POST", s.HTTP+"/v1/payments/callback", fmt.Sprintf(
		`{"order_no":%q,"payment_id":"p-1","amount":100,"currency":"CNY","paid_at":%q}`, no,
		time.Now().Format(time.RFC3339Nano)), "Content-Type", "application/json"); a.Status != 200 { // a refund is due
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Eventually(func() bool { return s.Metric(`doorbuster_alarms{name="cashier_fails"}`) == "1" }, func() string {
		return "no alarm to see a metric of"
	})
	return s
}

// metricsNamed gives the metrics that the rules and the dashboard name.
func metricsNamed(t *testing.T) (names []string) {
	for _, text := range []string{prometheusRules(t), grafanaDashboard(t)} {
		names = append(names, regexp.MustCompile(`\bdoorbuster_\w+`).FindAllString(text, -1)...)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < len(panels) {
		t.Errorf("only %d are named", len(names))
	}
	return names
}

// TestMonitoringNamesWhatIsThere: every metric that the rules and the dashboard name is one
// that a node exposes.
func TestMonitoringNamesWhatIsThere(t *testing.T) {
	has := watchedShop(t).Ops("GET", "/metrics", "").Body
	exposed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (\w+)`).FindAllStringSubmatch(has, -1) {
		exposed[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^(doorbuster_\w+)[ {]`).FindAllStringSubmatch(has, -1) {
		exposed[m[1]] = true
	}
	for _, name := range metricsNamed(t) {
		if !exposed[name] {
			t.Errorf("no node has %s", name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool here; 'make tools' installs it where that can be done")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(has)
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v: %s", err, said)
	}
}

// TestRulesAreWellFormed by Prometheus's own tool.
func TestRulesAreWellFormed(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool here; 'make tools' installs it where that can be done")
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(prometheusRules(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	// Each query of the dashboard is a rule that could be.
	var b strings.Builder
	b.WriteString("groups:\n- name: panels\n  rules:\n")
	for i, p := range panels {
		for j, q := range p.queries {
			fmt.Fprintf(&b, "  - record: panel:query:%d_%d\n    expr: %q\n", i, j, q.expr)
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
}
