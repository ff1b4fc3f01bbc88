package pages

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/cmd/doorbuster/tests/browser"
)

var (
	minutes = flag.Int("console.minutes", 0, "how long TestConsoleOverTime leaves a console open, and holds it to its "+
		"bound of memory; without it, the test is skipped")
	rounds = flag.Int("console.rounds", 0, "how many rounds TestConsoleCost measures")
)

// Bounds of a console that is left open.
const (
	mostAsked = 1.5  // questions a second, of a page
	mostGrown = 0.05 // of a page's heap, from a third of the time to its end
	mostSpent = 0.01 // of a processor, that all pages cost the node
)

// TestConsoleOverTime: a console that is left open while a session sells asks little, and
// takes no more memory after an hour than after twenty minutes.
func TestConsoleOverTime(t *testing.T) {
	if *minutes == 0 {
		t.Skip("it measures, for minutes: 'make console' runs it")
	}
	b := browser.Open(t)
	s := busyShop(t)
	tab := b.Profile().Tab(browser.View{})
	watch(s, tab)
	// Who asks is counted, and kept by the page's own script: the browser's list of them would
	// grow with time, and be measured.
	browser.Value[bool](tab, `(window.asked = 0, new PerformanceObserver((list, observer) => {
		window.asked += list.getEntries().filter(e => e.initiatorType === "fetch").length;
		performance.clearResourceTimings();
	}).observe({type: "resource"})) === undefined`)
	whole := time.Duration(*minutes) * time.Minute
	began := time.Now()
	for at := 2 * time.Minute; at < whole; at += 2 * time.Minute {
		wait(began.Add(at))
		t.Logf("%v: %.3f MB", at, float64(tab.Heap())/1e6)
	}
	wait(began.Add(whole / 3))
	early := tab.Heap()
	wait(began.Add(whole))
	late := tab.Heap()
	rate := browser.Value[float64](tab, "window.asked") / time.Since(began).Seconds()
	t.Logf("the page asks %.2f times a second; its heap has %.2f MB after %v, %.2f MB after %v", rate,
		float64(early)/1e6, whole/3, float64(late)/1e6, whole)
	if rate > mostAsked {
		t.Errorf("the page asks %.2f times a second, %v at most", rate, mostAsked)
	}
	if grown := float64(late)/float64(early) - 1; grown > mostGrown {
		t.Errorf("the heap has grown by %.1f%%, %v%% at most", 100*grown, 100*mostGrown)
	}
	tab.Screenshot("console-over-time")
}

// TestConsoleCost: ten consoles cost a busy node next to nothing: windows with and without
// them, in turn.
func TestConsoleCost(t *testing.T) {
	if *rounds == 0 {
		t.Skip("it measures, for minutes: 'make console' runs it")
	}
	const pages, window = 10, 30 * time.Second
	b := browser.Open(t)
	s := busyShop(t)
	tabs := make([]*browser.Tab, pages)
	for i := range tabs {
		tabs[i] = b.Profile().Tab(browser.View{})
	}
	var with, without []float64
	spent := func() float64 {
		from, began := processorTime(t, s.Child.Process.Pid), time.Now()
		wait(began.Add(window))
		return (processorTime(t, s.Child.Process.Pid) - from).Seconds() / time.Since(began).Seconds()
	}
	for range *rounds {
		without = append(without, spent())
		watch(s, tabs...)
		wait(time.Now().Add(3 * time.Second)) // what opening costs is not what is asked
		with = append(with, spent())
		for _, tab := range tabs {
			tab.Go("about:blank")
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	cost := with[*rounds/2] - without[*rounds/2]
	t.Logf("%d pages cost the node %.2f%% of a processor; without them it takes %.2f%%", pages, 100*cost,
		100*without[*rounds/2])
	if cost > mostSpent {
		t.Errorf("%d pages cost the node %.2f%% of a processor, %v%% at most", pages, 100*cost, 100*mostSpent)
	}
}

// watch opens the console in each tab, until its curve is drawn.
func watch(s *nodetest.Shop, tabs ...*browser.Tab) {
	for _, tab := range tabs {
		tab.Go("http://" + s.Admin + "/now")
	}
	for _, tab := range tabs {
		tab.Await(`document.querySelector(".chart canvas") && !document.hidden`)
	}
}

// busyShop is a node that shoppers come to for as long as the test lasts: a few are granted,
// most refused.
func busyShop(t *testing.T) *nodetest.Shop {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.DayPlan("        admission_multiple: 0\n", 1000, 10_000_000))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i, tick := 0, time.NewTicker(5*time.Millisecond); ; i++ {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			listing := "day/sku-1"
			if i%10 == 0 {
				listing = "day/sku-2"
			}
			if _, err := s.TryGrab(fmt.Sprint("shopper-", i), "k", listing); err != nil {
				t.Errorf("a grab: %v", err)
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	return s
}

func wait(until time.Time) { time.Sleep(time.Until(until)) }

// processorTime gives what a process has used of the processors, to ten milliseconds.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields, ticks := strings.Fields(rest), int64(0)
	for _, field := range fields[11:13] { // utime and stime of proc(5)
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
