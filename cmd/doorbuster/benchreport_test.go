package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"doorbuster/bench"
)

// TestBenchReport draws what is kept in the tree, and a run with its latency over time,
// on a page that takes nothing from elsewhere.
func TestBenchReport(t *testing.T) {
	timed := keptHTTP(t, 3, 0.5, func(r *bench.HTTPReport) {
		for i := range r.Rounds {
			r.Rounds[i].OverTime = bench.OverTime{EverySeconds: 0.25, PerSecond: []float64{1, 2, 0},
				P50: []float64{1, 2, 0}, P99: []float64{2, 300, 0}}
			if r.Rounds[i].Kind == bench.KindGranted {
				r.Rounds[i].Kind = "<script>"
			}
		}
		r.Config.Kinds[1] = "<script>"
	})
	out := filepath.Join(t.TempDir(), "page.html")
	status, told, errs := runTool(t, "", "bench", "report", "../../bench/results", timed, "--out", out)
	b, err := os.ReadFile(out)
	if status != 0 || err != nil || !strings.Contains(told, "drawn in "+out) {
		t.Fatalf("status %d, %v: %s%s", status, err, told, errs)
	}
	page := string(b)
	kept, _ := filepath.Glob("../../bench/results/*.json")
	for _, file := range kept {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !strings.Contains(page, "<h2>"+name+"</h2>") {
			t.Errorf("%s is not drawn", name)
		}
	}
	for _, part := range []string{"prefers-color-scheme: dark", "Latency over the measured time", "from run to run",
		"requests a second, as a part of hello", "Latency, medians", "&lt;script&gt;", "DEFENCE"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page has no %q", part)
		}
	}
	for _, part := range []string{"<script", "<link", "<img", " src=", "http:", "https:", "url(", "@import", "ZgotmplZ",
		"NaN", "Inf"} {
		if strings.Contains(page, part) {
			t.Errorf("the page has %q", part)
		}
	}
	pictures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(pictures) < len(kept) {
		t.Errorf("%d pictures of %d results", len(pictures), len(kept))
	}
	for _, picture := range pictures {
		for d := xml.NewDecoder(strings.NewReader(picture)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %s", err, picture)
			}
		}
	}
}

func TestBenchReportOfNothing(t *testing.T) {
	empty := t.TempDir()
	out, nowhere := filepath.Join(empty, "page.html"), filepath.Join(empty, "no", "page.html")
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"none":          {nil, 2, "name the kept results"},
		"nothing there": {[]string{"none.json"}, 1, "none.json: no such file"},
		"empty":         {[]string{empty}, 1, empty + ": no kept results"},
		"a text":        {[]string{"../../README.md"}, 1, "README.md: no kept result"},
		"nowhere":       {[]string{"../../bench/results", "--out", nowhere}, 1, "--out: "},
	} {
		status, told, errs := runTool(t, "", append([]string{"bench", "report", "--out", out}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, no %q in %s%s", name, status, c.says, told, errs)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a page was written of nothing")
	}
}
