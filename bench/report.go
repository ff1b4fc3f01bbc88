package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what came of a workload.
type Report interface {
	// OK reports whether all was as it must be.
	OK() bool
	write(*sheet) // for people
}

// WriteTable writes a report for people.
func WriteTable(out io.Writer, r Report) error {
	s := &sheet{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	r.write(s)
	return s.to.Flush()
}

// JSON returns the whole report, indented.
func JSON(r Report) ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Measurement is a report whose figures are kept, to be compared with others.
type Measurement interface {
	Report
	kept() kept
}

// kept are a measurement's figures for benchstat: a line each.
type kept struct {
	dir   string
	from  *Environment
	lines []string
}

// line adds one; what is measured follows the number of operations, as unit and value
// in turn.
func (k *kept) line(name string, operations int64, measured string, args ...any) {
	k.lines = append(k.lines, fmt.Sprintf("Benchmark%s-%d\t%d\t", name, k.from.GOMAXPROCS, operations)+
		fmt.Sprintf(measured, args...)+"\n")
}

// Save writes a measurement as JSON and as text for benchstat into its folder, which it
// creates, and returns the paths; without a folder nowhere. A name carries the time and the commit, so that
// results pile up and nothing is overwritten.
func Save(r Measurement) (paths []string, err error) {
	k := r.kept()
	if measurements[k.from.Workload] == nil {
		return nil, fmt.Errorf("save results: nothing reads those of %q", k.from.Workload)
	}
	if k.dir == "" {
		return nil, nil
	}
	asJSON, err := JSON(r)
	if err != nil {
		return nil, fmt.Errorf("save results: %w", err)
	}
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return nil, fmt.Errorf("save results: %w", err)
	}
	var text bytes.Buffer
	k.from.writeBenchfmt(&text)
	text.WriteString(strings.Join(k.lines, ""))
	stem := fmt.Sprintf("%s-%s-%.10s", k.from.Workload, k.from.Time.Format("20060102T150405Z"),
		cmp.Or(k.from.Commit, "unknown"))
	for suffix, data := range map[string][]byte{".json": asJSON, ".txt": text.Bytes()} {
		path := filepath.Join(k.dir, stem+suffix)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return paths, fmt.Errorf("save results: %w", err)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, nil
}

// resultsDir declares where results are kept.
func resultsDir(at *string) Setting {
	return free(at, "results", filepath.Join("bench", "results"), "`folder` to keep the results in; empty keeps none")
}

// sheet is a report for people: tabs part columns.
type sheet struct{ to *tabwriter.Writer }

func (s *sheet) put(format string, args ...any) { fmt.Fprintf(s.to, format, args...) }

// some is put where there are any.
func (s *sheet) some(format string, n int64) {
	if n > 0 {
		s.put(format, n)
	}
}

// timed is a row of a table of times.
type timed struct {
	name string
	p    Percentiles
}

func (s *sheet) times(title string, rows []timed) {
	s.put("%s\tCOUNT\tP50\tP90\tP99\tP99.9\tMAX\n", title)
	for _, l := range rows {
		if l.p.Count > 0 {
			s.put("%s\t%d\t%s\t%s\t%s\t%s\t%s\n", l.name, l.p.Count, ms(l.p.P50), ms(l.p.P90), ms(l.p.P99),
				ms(l.p.P999), ms(l.p.Max))
		}
	}
}

func (s *sheet) listings(all []ListingReport) {
	s.put("\nLISTING\tSTOCK\tGRANTED\tRESOLD\tAVAILABLE\tHELD\tPAID\tSTATE\tSOLD OUT AFTER\n")
	for _, l := range all {
		after := "-"
		if l.SoldOutSeconds > 0 {
			after = fmt.Sprintf("%.3f s", l.SoldOutSeconds)
		}
		s.put("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", l.Listing, l.After.Stock, l.Granted, l.Resold,
			l.After.Available, l.After.Held, l.After.Paid, l.After.State, after)
	}
	s.put("\n")
}

func (s *sheet) verdict(v *Verdict) {
	s.put("VERDICT\t%s\n", strings.ToUpper(exact(v.OK)))
	for _, c := range v.Checks {
		s.put("%s %s\t%s\n", mark(c.OK), c.Claim, c.Figures)
		for _, o := range c.Offenders {
			s.put("    %s\n", o)
		}
		s.some("    and %d more\n", int64(c.Offences-len(c.Offenders)))
	}
}

// exact is the word for a verdict.
func exact(ok bool) string {
	if ok {
		return "exact"
	}
	return "NOT EXACT"
}

// mark is how a check is shown.
func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

func ms(v float64) string { return fmt.Sprintf("%.2f ms", v) }

// sortedCounts writes counts by name.
func sortedCounts[N int | int64](m map[string]N) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
