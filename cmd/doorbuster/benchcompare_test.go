package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/bench"
)

// keptHTTP writes a result of so many rounds into a folder: of hello, and of granted that
// is a part of it.
func keptHTTP(t *testing.T, rounds int, part float64, change func(r *bench.HTTPReport)) string {
	t.Helper()
	r := bench.HTTPReport{Config: bench.DefaultHTTPConfig()}
	r.Environment.Workload, r.Environment.CPU = "http", "abacus"
	r.Config.Kinds = []string{bench.KindHello, bench.KindGranted}
	for i := range rounds {
		machine := 100_000 + 10_000*float64(i%3) // has moods
		for kind, per := range map[string]float64{bench.KindHello: machine,
			bench.KindGranted: machine * part * (1 + float64(i)/1000)} {
			r.Rounds = append(r.Rounds, bench.HTTPRound{Round: i + 1, Kind: kind, Requests: 1000,
				RequestsPerSecond: per, Latency: bench.Percentiles{Count: 1000, P50: 1e5 / per, P99: 2e5 / per}})
		}
	}
	if change != nil {
		change(&r)
	}
	file := filepath.Join(t.TempDir(), "run.json")
	b, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBenchCompare: the exit status says whether something is slower, and the table of
// each kind by how much and how sure that is.
func TestBenchCompare(t *testing.T) {
	run := func(rounds int, part float64) string { return keptHTTP(t, rounds, part, nil) }
	five := func(part float64) string { return run(5, part) }
	changed := func(change func(r *bench.HTTPReport)) string { return keptHTTP(t, 5, 0.5, change) }
	slowMachine := changed(func(r *bench.HTTPReport) {
		for i := range r.Rounds {
			r.Rounds[i].RequestsPerSecond /= 2
		}
	})
	usual := five(0.5)
	for name, c := range map[string]struct {
		args   []string // after A
		status int
		says   []string
	}{
		"same":          {[]string{five(0.5)}, 0, []string{"rate of hello's", "1.000", "no difference"}},
		"faster":        {[]string{five(0.6)}, 0, []string{"1.200", "0.008", "5, 5", "faster"}},
		"slower":        {[]string{five(0.4)}, 3, []string{"0.800", "0.008", "slower", "slower: granted"}},
		"by p99":        {[]string{five(0.4), "--by", "p99"}, 3, []string{"p99 of hello's", "1.250", "slower"}},
		"slow machine":  {[]string{slowMachine}, 0, []string{"1.000", "no difference"}},
		"as it is":      {[]string{slowMachine, "--absolute"}, 3, []string{"hello", "rate, a second", "slower"}},
		"too sure":      {[]string{five(0.4), "--alpha", "0.005"}, 1, []string{"5 and 5 rounds are too few"}},
		"too few":       {[]string{run(1, 0.1)}, 1, []string{"5 and 1 rounds are too few", "p would be 0.333"}},
		"nothing there": {[]string{"none.json"}, 1, []string{"none.json: no such file"}},
		"a text":        {[]string{"../../README.md"}, 1, []string{"README.md: no kept result: those end in .json"}},
		"one alone":     {nil, 2, []string{"two kept results"}},
		"improbable":    {[]string{five(0.5), "--alpha", "2"}, 2, []string{"alpha 2: want"}},
		"by what":       {[]string{five(0.5), "--by", "luck"}, 2, []string{`by "luck": want rate, p50 or p99`}},
		"no rounds":     {[]string{run(0, 0.5)}, 1, []string{"not what was measured"}},
		"connections": {[]string{changed(func(r *bench.HTTPReport) { r.Config.Connections = 16 })}, 1,
			[]string{"connections=256", "connections=16"}},
		"nodes": {[]string{changed(func(r *bench.HTTPReport) { r.Config.Nodes = 3 })}, 1,
			[]string{"nodes=1", "nodes=3"}},
		"workload": {[]string{changed(func(r *bench.HTTPReport) { r.Environment.Workload = "decide" })}, 1,
			[]string{"is of http, and", "of decide"}},
		"no workload": {[]string{changed(func(r *bench.HTTPReport) { r.Environment.Workload = "" })}, 1,
			[]string{`its workload is ""`}},
		"baseline": {[]string{changed(func(r *bench.HTTPReport) { r.Config.Kinds = []string{"granted", "hello"} })}, 0,
			[]string{"rate, a second"}},
		"nothing in common": {[]string{changed(func(r *bench.HTTPReport) { r.Config.Kinds = []string{"refused"} })}, 1,
			[]string{"no rounds of the same kind"}},
		"other answers": {[]string{changed(func(r *bench.HTTPReport) { r.Rounds[0].Unexpected = 500 })}, 1,
			[]string{"its answers were not what was measured"}},
	} {
		status, out, errs := runTool(t, "", append([]string{"bench", "compare", usual}, c.args...)...)
		for _, says := range c.says {
			if !strings.Contains(out+errs, says) {
				t.Errorf("%s: no %q in %s%s", name, says, out, errs)
			}
		}
		if status != c.status {
			t.Errorf("%s: status %d: %s%s", name, status, out, errs)
		}
	}
}

// TestBenchCompareKept: what is kept in the tree can be compared, and written as JSON.
func TestBenchCompareKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compared.json")
	status, out, errs := runTool(t, "", "bench", "compare",
		"../../bench/results/http-20261122T015141Z-cf02027bd7.json",
		"../../bench/results/http-20261122T020520Z-b618c6bde9.json", "--json", file)
	if status != 0 || !strings.Contains(out, "commit cf02027bd7") || strings.Contains(out, "hello  ") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	var c bench.Comparison
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &c) != nil || len(c.Kinds) != 2 || c.Kinds[0].Of != "hello" ||
		c.Kinds[0].P <= 0 || c.Kinds[0].RoundsA != 5 {
		t.Errorf("%v: %s", err, b)
	}
}
