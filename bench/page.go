package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms":    func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"ratio": func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"whole": func(v float64) string { return fmt.Sprintf("%.0f", v) },
}).Parse(pageText))

// WritePage draws kept results, the oldest first, as one HTML page that needs nothing
// else: no script, no style and no picture of another file.
func WritePage(out io.Writer, all []*Kept) error {
	var p struct {
		Trends []trend
		Runs   []pageRun
	}
	p.Trends = trends(all)
	for i, k := range all {
		run, err := newPageRun(i, k)
		if err != nil {
			return err
		}
		p.Runs = append(p.Runs, run)
	}
	return page.Execute(out, p)
}

// pageRun is a kept result as it is drawn.
type pageRun struct {
	ID, Name, Workload, From string
	Text                     string // for people, as the workload itself prints it
	Kinds                    []pageKind
	Charts                   []chart
}

// pageKind is a row of the table, and a colour of the charts.
type pageKind struct {
	Name, Unit, Of string
	Colour         int // 1 to colours
	PerSecond      spread
	Ratio          spread      // to Of's
	Latency        Percentiles // medians of the rounds'
}

// colours is how many the page has; further kinds begin again.
const colours = 8

// spread is a median with the least and the most.
type spread struct{ Median, Least, Most float64 }

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	return spread{median(v), slices.Min(v), slices.Max(v)}
}

func newPageRun(i int, k *Kept) (pageRun, error) {
	var text strings.Builder
	if err := WriteTable(&text, k.Report); err != nil {
		return pageRun{}, err
	}
	run := pageRun{ID: pageID(i), Name: k.Name(), Workload: k.Environment.Workload,
		From: k.Environment.String(), Text: text.String()}
	for n, s := range k.Series {
		middle := func(of func(p Percentiles) float64) float64 { return median(s.latencies(of)) }
		run.Kinds = append(run.Kinds, pageKind{Name: s.Kind, Unit: s.Unit, Of: s.Of, Colour: 1 + n%colours,
			PerSecond: spreadOf(s.PerSecond), Ratio: spreadOf(k.relative(s, measures[byRate])), Latency: Percentiles{
				P50:  middle(func(p Percentiles) float64 { return p.P50 }),
				P90:  middle(func(p Percentiles) float64 { return p.P90 }),
				P99:  middle(func(p Percentiles) float64 { return p.P99 }),
				P999: middle(func(p Percentiles) float64 { return p.P999 }),
				Max:  middle(func(p Percentiles) float64 { return p.Max }),
			}})
	}
	for _, c := range []chart{ratioChart(run.Kinds), percentileChart(run.Kinds), overTimeChart(k.Series)} {
		if c.Title != "" {
			run.Charts = append(run.Charts, c)
		}
	}
	return run, nil
}

// trend is how the ratios of a workload went from run to run.
type trend struct {
	Workload, Under string
	Kinds           []string
	Rows            []trendRow
}

type trendRow struct {
	ID, Name string
	Ratios   map[string]float64 // by kind; none where it was not measured
}

// trends has workloads of which there are several runs under the same settings.
func trends(all []*Kept) (found []trend) {
	for i, k := range all {
		row, kinds, under := trendRow{pageID(i), k.Name(), map[string]float64{}}, []string(nil), ""
		for _, s := range k.Series {
			if r := k.relative(s, measures[byRate]); len(r) > 0 {
				kind := s.Kind + " of " + s.Of
				row.Ratios[kind], kinds, under = median(r), append(kinds, kind), s.Under
			}
		}
		if len(kinds) == 0 {
			continue
		}
		at := slices.IndexFunc(found, func(t trend) bool {
			return t.Workload == k.Environment.Workload && t.Under == under
		})
		if at < 0 {
			at, found = len(found), append(found, trend{Workload: k.Environment.Workload, Under: under})
		}
		t := &found[at]
		t.Rows = append(t.Rows, row)
		for _, kind := range kinds {
			if !slices.Contains(t.Kinds, kind) {
				t.Kinds = append(t.Kinds, kind)
			}
		}
	}
	return slices.DeleteFunc(found, func(t trend) bool { return len(t.Rows) < 2 })
}

// pageID is where a run stands on its page.
func pageID(i int) string { return fmt.Sprintf("run-%d", i+1) }

// chart is a picture: marks in a frame, in points from its upper left corner.
type chart struct {
	Title         string // "" for none
	Width, Height float64
	Left, Bottom  float64 // the axes
	Ticks         []tick
	Bars          []bar
	Lines         []line
	Legend        []legend
}

// tick is a value of an axis: of the lower one where Y is the axis itself.
type tick struct {
	X, Y  float64
	Lower bool
	Text  string
}

// bar is a median with its spread, lying.
type bar struct {
	X, Y, Width, Height float64
	Least, Most, Middle float64 // of the whisker
	Name, Text          string
	Colour              int
}

// line is a series of points.
type line struct {
	Points, Text string
	Colour       int
	Dashed       bool
}

// legend names a colour.
type legend struct {
	Name   string
	Colour int
}

// The frame of a chart, in points.
const (
	chartWidth  = 640.0
	chartHeight = 260.0
	chartLeft   = 130.0 // for the names of kinds, or values
	chartRight  = chartWidth - 60
	chartTop    = 10.0
	barStep     = 26.0
)

// ratioChart has what the kinds reach of what they are held against.
func ratioChart(kinds []pageKind) chart {
	c := chart{Width: chartWidth, Left: chartLeft}
	most, title := 1.0, ""
	for _, k := range kinds {
		most = max(most, k.Ratio.Most)
	}
	x := func(v float64) float64 { return chartLeft + v/most*(chartRight-chartLeft) }
	y := chartTop
	for _, k := range kinds {
		if k.Ratio.Median == 0 {
			continue
		}
		title = k.Unit + " a second, as a part of " + k.Of + "'s in the same round: median, least and most"
		c.Bars = append(c.Bars, bar{X: chartLeft, Y: y, Width: x(k.Ratio.Median) - chartLeft, Height: barStep - 10,
			Least: x(k.Ratio.Least), Most: x(k.Ratio.Most), Middle: y + (barStep-10)/2, Name: k.Name, Colour: k.Colour,
			Text: fmt.Sprintf("%.2f", k.Ratio.Median)})
		y += barStep
	}
	if len(c.Bars) == 0 {
		return chart{}
	}
	c.Title, c.Bottom, c.Height = title, y, y+22
	step := 0.25
	for most/step > 10 {
		step *= 2
	}
	for v := 0.0; v <= most; v += step {
		c.Ticks = append(c.Ticks, tick{x(v), y, true, fmt.Sprintf("%.2f", v)})
	}
	return c
}

// logarithmic gives where a time lies between the least and the most of all, and the
// ticks of that axis.
func logarithmic(c *chart, all []float64) func(ms float64) float64 {
	all = slices.DeleteFunc(all, func(v float64) bool { return v <= 0 })
	low, high := math.Floor(math.Log10(slices.Min(all))), math.Ceil(math.Log10(slices.Max(all)))
	if high == low {
		high++
	}
	c.Width, c.Height, c.Left, c.Bottom = chartWidth, chartHeight, chartLeft, chartHeight-24
	y := func(ms float64) float64 {
		return c.Bottom - (math.Log10(max(ms, math.Pow(10, low)))-low)/(high-low)*(c.Bottom-chartTop)
	}
	for e := low; e <= high; e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); m == 1 || e < high {
				c.Ticks = append(c.Ticks, tick{chartLeft, y(v), false, fmt.Sprintf("%g ms", v)})
			}
		}
	}
	return y
}

// percentileChart has the kinds' latencies, from the median to the worst.
func percentileChart(kinds []pageKind) (c chart) {
	names := []string{"p50", "p90", "p99", "p99.9", "max"}
	var all []float64
	for _, k := range kinds {
		all = append(all, k.Latency.P50, k.Latency.P90, k.Latency.P99, k.Latency.P999, k.Latency.Max)
	}
	if len(all) == 0 || slices.Max(all) <= 0 {
		return chart{}
	}
	y := logarithmic(&c, slices.Clone(all))
	x := func(i int) float64 { return chartLeft + 20 + float64(i)/4*(chartRight-chartLeft-20) }
	for i, name := range names {
		c.Ticks = append(c.Ticks, tick{x(i), c.Bottom, true, name})
	}
	for n, k := range kinds {
		if k.Latency.Max <= 0 {
			continue
		}
		var points strings.Builder
		for i, v := range all[5*n : 5*n+5] {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(i), y(v))
		}
		c.Lines = append(c.Lines, line{Points: points.String(), Colour: k.Colour,
			Text: fmt.Sprintf("%s: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms", k.Name, k.Latency.P50,
				k.Latency.P99, k.Latency.P999)})
		c.Legend = append(c.Legend, legend{k.Name, k.Colour})
	}
	c.Title = "Latency, medians of the rounds"
	return c
}

// overTimeChart has the latencies of slices of time, the rounds of each kind after one
// another: the 99th percentile, and dashed the median.
func overTimeChart(all []Series) (c chart) {
	var values []float64
	seconds := 0.0
	for _, s := range all {
		at := 0.0
		for _, o := range s.OverTime {
			values = append(append(values, o.P50...), o.P99...)
			at += o.EverySeconds * float64(len(o.P99))
		}
		seconds = max(seconds, at)
	}
	if len(values) == 0 || slices.Max(values) <= 0 {
		return chart{}
	}
	y := logarithmic(&c, values)
	x := func(at float64) float64 { return chartLeft + at/seconds*(chartRight-chartLeft) }
	for i := range 6 {
		at := seconds * float64(i) / 5
		c.Ticks = append(c.Ticks, tick{x(at), c.Bottom, true, fmt.Sprintf("%.3g s", at)})
	}
	for n, s := range all {
		at := 0.0
		for _, o := range s.OverTime {
			for _, of := range []struct {
				values []float64
				name   string
				dashed bool
			}{{o.P50, "p50", true}, {o.P99, "p99", false}} {
				var points strings.Builder
				for i, v := range of.values {
					fmt.Fprintf(&points, "%.1f,%.1f ", x(at+(float64(i)+0.5)*o.EverySeconds), y(v))
				}
				c.Lines = append(c.Lines, line{points.String(), s.Kind + ", " + of.name, 1 + n%colours, of.dashed})
			}
			at += o.EverySeconds * float64(len(o.P99))
		}
		if len(s.OverTime) > 0 {
			c.Legend = append(c.Legend, legend{s.Kind, 1 + n%colours})
		}
	}
	c.Title = "Latency over the measured time, round after round: 99th percentile, and dashed the median"
	return c
}
