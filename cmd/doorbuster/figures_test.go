package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbuster/bench"
)

var writeFigures = flag.Bool("figures.write", false, "write the documents' figures instead of comparing with them")

// figures are tables of documents that come from kept results, between comments that
// name them.
var figures = regexp.MustCompile(`(?s)(<!-- figures: ([a-z-]+)[^>]*-->\n).*?(<!-- /figures -->)`)

// TestFiguresAreCurrent holds the figures of documents to the newest of the kept results;
// 'make figures' writes them anew.
func TestFiguresAreCurrent(t *testing.T) {
	all, err := bench.LoadAllKept("../../bench/results")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"README.md": 1, "docs/benchmarks.md": 4} {
		path, blocks := filepath.Join("../..", name), 0
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := figures.ReplaceAllStringFunc(string(b), func(block string) string {
			blocks++
			parts := figures.FindStringSubmatch(block)
			draw := drawings[parts[2]]
			if draw == nil {
				t.Errorf("%s: nothing draws the figures %q", name, parts[2])
				return block
			}
			link, _ := filepath.Rel(filepath.Dir(name), "bench/results")
			return parts[1] + draw(figureSource{all, filepath.ToSlash(link)}) + parts[3]
		})
		if blocks < want {
			t.Errorf("%s has %d tables of figures, %d at least", name, blocks, want)
		}
		if *writeFigures {
			err = os.WriteFile(path, []byte(text), 0o644)
		} else if text != string(b) {
			err = fmt.Errorf("%s has other figures than bench/results; run 'make figures'", name)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// drawings are what draws figures, by name.
var drawings = map[string]func(k figureSource) string{
	"speed": func(k figureSource) string {
		return k.table(k.rows(oneNode, bench.KindRefused, bench.KindGranted, bench.KindRedis),
			k.rows(withRules, bench.KindGrantedRuled),
			k.rows(threeNodes, bench.KindGranted, bench.KindGrantedFollower, bench.KindRedisReplica))
	},
	"one-node":    func(k figureSource) string { return k.table(k.rows(oneNode)) },
	"rules":       func(k figureSource) string { return k.table(k.rows(withRules)) },
	"three-nodes": func(k figureSource) string { return k.table(k.rows(threeNodes)) },
	"decide":      func(k figureSource) string { return k.decisions() },
}

// runSort is a sort of HTTP runs.
type runSort int

const (
	oneNode runSort = iota
	withRules
	threeNodes
)

// sortOf gives a run's.
func sortOf(c bench.HTTPConfig) runSort {
	switch {
	case c.Nodes > 1:
		return threeNodes
	case slices.ContainsFunc(c.Kinds, func(kind string) bool { return bench.Plain(kind) != "" }):
		return withRules
	}
	return oneNode
}

// kindWords say what kinds are, in a table that has several sorts of runs.
var kindWords = map[runSort]map[string]string{
	oneNode: {
		bench.KindHello:   "a bare fasthttp handler, fixed JSON",
		bench.KindRefused: "refused: sold out, holders looked for",
		bench.KindGranted: "granted: on disk, and in the ledger, before the answer",
		bench.KindRedis:   "a Lua script on Redis, syncing always",
	},
	withRules: {
		bench.KindHello:        "a bare fasthttp handler, fixed JSON",
		bench.KindRefused:      "refused, without rules",
		bench.KindGranted:      "granted, without rules",
		bench.KindRefusedRuled: "refused, with tokens, tickets and every rule on",
		bench.KindGrantedRuled: "granted, with tokens, tickets and every rule on",
	},
	threeNodes: {
		bench.KindHello:           "a bare fasthttp handler, fixed JSON",
		bench.KindRefused:         "refused by three nodes, through the leader",
		bench.KindRefusedFollower: "the same through a follower",
		bench.KindGranted: "granted by three nodes: on two disks in two zones before the answer, through the " +
			"leader",
		bench.KindGrantedFollower: "the same through a follower",
		bench.KindRedisReplica:    "a Lua script on Redis with a replica, both syncing always, `WAIT 1`",
	},
}

// figureSource is where figures come from; folder is how a document gets there.
type figureSource struct {
	all    []*bench.Kept // the oldest first
	folder string
}

// figureRow is a line of a table, from a run.
type figureRow struct {
	from *bench.Kept
	text string
	kind bench.HTTPKind
}

// rows are what the newest run of a sort measured: of these kinds, or all.
func (k figureSource) rows(of runSort, kinds ...string) (rows []figureRow) {
	for _, run := range slices.Backward(k.all) {
		report, http := run.Report.(*bench.HTTPReport)
		if !http || sortOf(report.Config) != of {
			continue
		}
		for _, kind := range report.Kinds {
			if len(kinds) == 0 || slices.Contains(kinds, kind.Kind) {
				rows = append(rows, figureRow{run, cmp.Or(kindWords[of][kind.Kind], kind.Kind), kind})
			}
		}
		return rows
	}
	return nil
}

// table writes rows, with what they are parts of, and the runs that they come from.
func (k figureSource) table(of ...[]figureRow) string {
	rows := slices.Concat(of...)
	var b strings.Builder
	b.WriteString("| | a second | of a bare handler | of plain | of Redis | p99 |\n" +
		"| --- | --- | --- | --- | --- | --- |\n")
	part := func(middle, least, most float64) string {
		if middle == 0 {
			return ""
		}
		return fmt.Sprintf("**%.2f** (%.2f–%.2f)", middle, least, most)
	}
	var runs []*bench.Kept
	for _, r := range rows {
		x := r.kind
		ratio := part(x.Ratio, x.RatioLeast, x.RatioMost)
		if x.Kind == bench.KindHello {
			ratio = "1"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.1f ms |\n", r.text, thousands(x.RequestsPerSecond), ratio,
			part(x.OfPlain, x.OfPlainLeast, x.OfPlainMost), part(x.OfRedis, x.OfRedisLeast, x.OfRedisMost), x.P99)
		if !slices.Contains(runs, r.from) {
			runs = append(runs, r.from)
		}
	}
	return withoutEmpty(b.String()) + "\n" + k.sources(runs...)
}

// withoutEmpty leaves columns out that have nothing below their head.
func withoutEmpty(table string) string {
	var lines [][]string
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Split(strings.TrimSpace(line), "|"))
	}
	var b strings.Builder
	for _, line := range lines {
		for i, cell := range line[:len(line)-1] {
			filled := func(l []string) bool { return strings.TrimSpace(l[i]) != "" }
			if i == 1 || i > 1 && slices.ContainsFunc(lines[2:], filled) {
				b.WriteString("|" + cell)
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// decisions is the newest run without HTTP, for each number of nodes.
func (k figureSource) decisions() string {
	var b strings.Builder
	b.WriteString("| | decisions a second | of the bare log and batches | p99 |\n| --- | --- | --- | --- |\n")
	var runs []*bench.Kept
	for _, nodes := range []int{1, 3} {
		for _, run := range slices.Backward(k.all) {
			report, decide := run.Report.(*bench.DecideReport)
			if !decide || report.Config.Nodes != nodes {
				continue
			}
			var p99 []float64
			for _, r := range report.Rounds {
				p99 = append(p99, r.Latency.P99)
			}
			slices.Sort(p99)
			bare := ""
			if report.OfBare > 0 {
				bare = fmt.Sprintf("**%.2f** (%.2f–%.2f)", report.OfBare, report.OfBareLeast, report.OfBareMost)
			}
			name := map[int]string{1: "one node", 3: "three nodes"}[nodes]
			fmt.Fprintf(&b, "| %s, %d callers | %s | %s | %.0f ms |\n", name, report.Config.Submitters,
				thousands(report.PerSecond), bare, p99[(len(p99)-1)/2])
			runs = append(runs, run)
			break
		}
	}
	return withoutEmpty(b.String()) + "\n" + k.sources(runs...)
}

// sources names runs, with what they ran on.
func (k figureSource) sources(runs ...*bench.Kept) string {
	var all []string
	for _, r := range runs {
		e, rounds, fsync := r.Environment, 0, 0.0
		switch report := r.Report.(type) {
		case *bench.HTTPReport:
			rounds, fsync = report.Config.Rounds, report.FsyncP50MS
		case *bench.DecideReport:
			rounds, fsync = report.Config.Rounds, report.Rounds[0].FsyncP50MS
		}
		all = append(all, fmt.Sprintf("[%[1]s](%[2]s/%[1]s.json) (%[3]d rounds; %[4]s, %[5]d cores, fsync %.2[6]f ms, "+
			"%[7]s)", r.Name(), k.folder, rounds, e.CPU, e.Cores, fsync, e.GoVersion))
	}
	return "Medians with the least and the most, from " + strings.Join(all, "; ") + ".\n"
}

// thousands writes a number that is not meant more exactly than a reader remembers.
func thousands(v float64) string {
	n := int(v + 0.5)
	if n >= 10_000 {
		n = (n + 500) / 1000 * 1000
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
