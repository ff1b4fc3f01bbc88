package bench

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineEvery is how often a line of progress goes to what is no terminal;
// barEvery how often the bar is drawn.
const (
	lineEvery = 2 * time.Second
	barEvery  = 250 * time.Millisecond
)

// showProgress writes progress until done is closed.
func (r *crowd) showProgress(done <-chan struct{}) {
	out := r.cfg.Progress
	if out == nil {
		<-done
		return
	}
	f, isFile := out.(*os.File)
	var bar *progressbar.ProgressBar
	every := lineEvery
	if r.cfg.ForceBar || isFile && isTerminal(f) {
		every = barEvery
		bar = progressbar.NewOptions(r.cfg.Shoppers,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetWidth(8), // the figures need the line
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(0),
		)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var asked int64
	var at time.Duration
	for {
		stop := false
		select {
		case <-done:
			stop = true
		case <-tick.C:
		}
		now, t := r.now(), r.tally
		n, shoppers := atomic.LoadInt64(&t.Grabs), atomic.LoadInt64(&t.Shoppers)
		rate := float64(n-asked) / max(1e-3, (now-at).Seconds())
		asked, at = n, now
		text := fmt.Sprintf("sent %d, granted %d, paid %d, %s", n, atomic.LoadInt64(&t.Orders),
			atomic.LoadInt64(&t.Paid), sortedCounts(t.soFar()))
		p99 := millis(time.Duration(t.all.sum().ValueAtQuantile(99)))
		switch {
		case bar != nil && stop:
			_ = bar.Finish() // progress is a courtesy: it may fail
		case bar != nil:
			bar.Describe(fmt.Sprintf("%s %.0f/s p99 %.1fms", text, rate, p99))
			_ = bar.Set64(shoppers)
		case stop:
			fmt.Fprintf(out, "%7.1fs done: %d shoppers, %s\n", now.Seconds(), shoppers, text)
		default:
			fmt.Fprintf(out, "%7.1fs %s, %.0f/s, p99 %.1f ms\n", now.Seconds(), text, rate, p99)
		}
		if stop {
			return
		}
	}
}

// everyLine calls show as often as a line of progress is written, until done is closed.
func everyLine(done <-chan struct{}, show func()) {
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			show()
		}
	}
}

// isTerminal reports whether f is a character device, which for a standard
// stream means a terminal.
func isTerminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
