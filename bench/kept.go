package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kept is a measurement that was kept.
type Kept struct {
	File        string
	Environment Environment
	Report      Measurement
	// Series is what the rounds found, by kind; none where a measurement has no rounds.
	Series []Series
}

// Series is what the rounds of a measurement found of one kind, by round.
type Series struct {
	Kind string
	Unit string // what is counted a second
	// Under is what it was measured under: under other settings it is not the same.
	Under     string
	PerSecond []float64
	Latency   []Percentiles
	OverTime  []OverTime // empty where it was not kept
	// Of is the kind that this one is held against, of the same rounds; "" for none.
	Of string
}

// inRounds is a measurement of rounds.
type inRounds interface {
	Measurement
	series() []Series
}

// measurements are what is kept, by workload.
var measurements = map[string]func() Measurement{
	workloadHTTP:     func() Measurement { return new(HTTPReport) },
	workloadDecide:   func() Measurement { return new(DecideReport) },
	workloadCrowd:    func() Measurement { return new(ContestReport) },
	workloadGrowth:   func() Measurement { return new(GrowthReport) },
	workloadOverload: func() Measurement { return new(OverloadReport) },
	workloadFanDay:   func() Measurement { return new(SaleReport) },
	workloadMask:     func() Measurement { return new(SaleReport) },
	workloadBargain:  func() Measurement { return new(BargainReport) },
}

// Workloads whose measurements are kept, as their files are called.
const (
	workloadHTTP     = "http"
	workloadDecide   = "decide"
	workloadCrowd    = "crowd"
	workloadGrowth   = "growth"
	workloadOverload = "overload"
	workloadFanDay   = "fanday"
	workloadMask     = "mask"
	workloadBargain  = "bargain"
)

// LoadKept reads a measurement that [Save] wrote as JSON. The error names the file.
func LoadKept(file string) (*Kept, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var head struct {
		Environment Environment `json:"environment"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		if filepath.Ext(file) != ".json" {
			return nil, fmt.Errorf("%s: no kept result: those end in .json", file)
		}
		return nil, fmt.Errorf("%s: no kept result: %w", file, err)
	}
	k := &Kept{File: file, Environment: head.Environment}
	empty, known := measurements[k.Environment.Workload]
	if !known {
		return nil, fmt.Errorf("%s: no kept result: its workload is %q, and kept are %s", file, k.Environment.Workload,
			strings.Join(slices.Sorted(maps.Keys(measurements)), ", "))
	}
	k.Report = empty()
	if err := json.Unmarshal(b, k.Report); err != nil {
		return nil, fmt.Errorf("%s: no kept result: %w", file, err)
	}
	if !k.Report.OK() {
		return nil, fmt.Errorf("%s: its answers were not what was measured: its figures mean nothing", file)
	}
	if r, ok := k.Report.(inRounds); ok {
		k.Series = r.series()
	}
	return k, nil
}

// LoadAllKept reads the measurements that are named, and all in the folders that are, in
// the order of their times.
func LoadAllKept(paths ...string) (all []*Kept, err error) {
	for _, path := range paths {
		files := []string{path}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("%s: no kept results", path)
			}
		}
		for _, file := range files {
			k, err := LoadKept(file)
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
	}
	slices.SortStableFunc(all, func(a, b *Kept) int { return a.Environment.Time.Compare(b.Environment.Time) })
	return all, nil
}

// Name is the file's without its folder and ending.
func (k *Kept) Name() string { return strings.TrimSuffix(filepath.Base(k.File), ".json") }

// find gives the series of a kind.
func (k *Kept) find(kind string) (Series, bool) {
	for _, s := range k.Series {
		if s.Kind == kind {
			return s, true
		}
	}
	return Series{}, false
}

// measures is what can be compared of a series' rounds, by name. More is better of the
// rate, and less of a latency.
var measures = map[string]func(s Series) []float64{
	byRate: func(s Series) []float64 { return s.PerSecond },
	byP50:  func(s Series) []float64 { return s.latencies(func(p Percentiles) float64 { return p.P50 }) },
	byP99:  func(s Series) []float64 { return s.latencies(func(p Percentiles) float64 { return p.P99 }) },
}

const (
	byRate = "rate"
	byP50  = "p50"
	byP99  = "p99"
)

func (s Series) latencies(of func(p Percentiles) float64) []float64 {
	values := make([]float64, len(s.Latency))
	for i, p := range s.Latency {
		values[i] = of(p)
	}
	return values
}

// holds reports whether others are held against a kind.
func (k *Kept) holds(kind string) bool {
	return slices.ContainsFunc(k.Series, func(s Series) bool { return s.Of == kind })
}

// relative gives a measure of a series by round as a part of what it is held against;
// nil if that has none.
func (k *Kept) relative(s Series, measure func(s Series) []float64) []float64 {
	base, _ := k.find(s.Of)
	values, bases := slices.Clone(measure(s)), measure(base)
	if len(bases) < len(values) {
		return nil
	}
	for i := range values {
		values[i] /= bases[i]
	}
	return values
}
