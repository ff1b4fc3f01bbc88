package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// TestTailComesAgain: after a break it asks behind what it has told whole, or where
// the stream began; what will not pass ends it, with its place.
func TestTailComesAgain(t *testing.T) {
	const event = `{"index":%d,"n":0,"kind":"hold_placed"}` + "\n"
	var mu sync.Mutex
	var asked []string
	answers := []func(w http.ResponseWriter){
		func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, // before anything was told
		func(w http.ResponseWriter) { w.WriteHeader(503) },
		func(w http.ResponseWriter) { fmt.Fprintf(w, event+event+`{"index":9,"n":0,"ki`, 7, 8); panicFlushed(w) },
		func(w http.ResponseWriter) {},
		func(w http.ResponseWriter) { fmt.Fprintln(w, `{"heartbeat":true,"index":11}`) },
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(410)
			io.WriteString(w, `{"detail":"Events before 503.0 have been dropped. Begin with from=503.0."}`)
		},
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n := len(asked)
		asked = append(asked, r.URL.Query().Get("last")+" "+r.URL.Query().Get("from"))
		mu.Unlock()
		w.Header().Set(wire.HeaderFromEvent, "5.0")
		if n == 0 { // the head has come, and nothing else
			w.(http.Flusher).Flush()
		}
		answers[n](w)
	}))
	defer node.Close()
	status, out, errs := runTool(t, "", "events", "tail", "--admin", node.URL, "--follow", "--session", "day", "--json")
	if want := fmt.Sprintf(event+event, 7, 8); status != 1 || out != want {
		t.Errorf("status %d: %s", status, out)
	}
	if got, want := strings.Join(asked, ","), "10 , 5.0, 5.0, 8.1, 5.0, 12"; got != want {
		t.Errorf("asked %s; want %s", got, want)
	}
	if !strings.Contains(errs, "Begin with from=503.0; it was at 12") || strings.Count(errs, "coming again") != 4 {
		t.Errorf("%s", errs)
	}
}

// panicFlushed breaks an answer off behind what was written.
func panicFlushed(w http.ResponseWriter) {
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestReaderThatStopsReading: the sale and other readers go on, the node says once
// that it has cut the reader off, and the reader goes on where it was.
func TestReaderThatStopsReading(t *testing.T) {
	const orders = 20_000 // more of events than sockets keep
	cfg := testConfig(t)
	cfg.eventPatience, cfg.eventHeartbeat = 500*time.Millisecond, 50*time.Millisecond
	log := nodetest.NewLogBook()
	n, err := openNode(cfg, cfg.newLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	defer n.close(context.Background())
	if err := n.cluster.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &nodetest.Shop{T: t, Admin: n.adminListener.Addr().String(), HTTP: "http://" +
		n.shopperListener.Addr().String()}
	s.Apply(nodetest.DayPlan("", orders+200))
	var crowd sync.WaitGroup
	for worker := range 100 {
		crowd.Go(func() {
			for i := worker; i < orders; i += 100 {
				if a := n.office.Grab(&engine.Grab{Listing: []byte("day/skus/sku-1"),
					Shopper: []byte("s" + strconv.Itoa(i)), IdempotencyKey: []byte("k"),
					Quantity: 1}); a.Code != engine.CodeGranted {
					t.Error(a.Code)
					return
				}
			}
		})
	}
	crowd.Wait()
	if t.Failed() {
		return
	}
	// What is sent and not read stays with the node, and not in this process.
	small := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network,
		address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}}}
	open := func(from string) *bufio.Reader {
		t.Helper()
		answer, err := small.Get("http://" + s.Admin + "/admin/v1/events" + "?from=" + from)
		if err != nil || answer.StatusCode != 200 {
			t.Fatal(answer, err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return bufio.NewReader(answer.Body)
	}
	stopped, other := open("0"), open("0")
	type heard struct {
		events []byte
		beat   uint64
		err    error
	}
	others := make(chan heard, 1)
	go func() { // reads up to the last shopper, and three heartbeats
		var h heard
		h.events, h.err = eventsUntil(other, `"shopper":"last"`)
		for beats := 0; h.err == nil && beats < 3; beats++ {
			var line []byte
			var beat nodetest.TrailLine
			if line, h.err = other.ReadBytes('\n'); h.err != nil {
				break
			}
			if h.err = json.Unmarshal(line, &beat); h.err == nil && !beat.Heartbeat {
				h.err = fmt.Errorf("instead of a heartbeat: %s", line)
			}
			h.beat = beat.Index
		}
		others <- h
	}()
	bought := 0
	s.Eventually(func() bool {
		if bought < 100 {
			s.MustGrant(fmt.Sprint("late", bought), "k", "day/sku-1")
			bought++
		}
		return s.Metric("doorbuster_event_readers_cut_off_total") == "1"
	}, func() string { return "the reader is not cut off" })
	s.MustGrant("last", "k", "day/sku-1")
	told, err := eventsUntil(stopped, "nobody")
	if err != io.ErrUnexpectedEOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it ended as if that were all: %v", err)
	}
	told = told[:bytes.LastIndexByte(told, '\n')+1]
	rest, err := eventsUntil(open(behind(t, told)), `"shopper":"last"`)
	if err != nil {
		t.Fatal(err)
	}
	whole := <-others
	if whole.err != nil {
		t.Fatal(whole.err)
	}
	if got := append(told, rest...); !bytes.Equal(got, whole.events) ||
		bytes.Count(got, []byte("hold_placed")) != orders+bought+1 {
		t.Errorf("%d bytes, another reader was told %d; %d holds of %d", len(got), len(whole.events),
			bytes.Count(got, []byte("hold_placed")), orders+bought+1)
	}
	if said := strings.Count(log.String(), "a reader of events was cut off"); said != 1 {
		t.Errorf("said %d times", said)
	}
	// A heartbeat tells from where on whatever comes next will be.
	s.MustGrant("next", "k", "day/sku-1")
	next, err := eventsUntil(open(strconv.FormatUint(whole.beat+1, 10)), `"shopper":"next"`)
	if err != nil || bytes.Count(next, []byte("\n")) != 1 {
		t.Errorf("behind heartbeat %d comes %s, %v", whole.beat, next, err)
	}
}

// eventsUntil reads events, without heartbeats, up to one that has marker in it, or
// to the end.
func eventsUntil(from *bufio.Reader, marker string) (events []byte, err error) {
	for {
		line, err := from.ReadBytes('\n')
		if !bytes.HasPrefix(line, []byte(`{"heartbeat"`)) {
			events = append(events, line...)
		}
		if err != nil || bytes.Contains(line, []byte(marker)) {
			return events, err
		}
	}
}

// behind gives the position behind the last of events.
func behind(t *testing.T, events []byte) string {
	t.Helper()
	last := bytes.TrimSuffix(events, []byte("\n"))
	var e nodetest.TrailLine
	if err := json.Unmarshal(last[bytes.LastIndexByte(last, '\n')+1:], &e); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d.%d", e.Index, e.N+1)
}

// TestTailOfOneSession: the last events of a session are its own last, however many of
// others have come since.
func TestTailOfOneSession(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(strings.Replace(nodetest.Masks(100), "id: day", "id: other", 1))
	s.Apply(nodetest.DayPlan("", 10))
	for range 3 {
		s.MustGrant(nodetest.NewKey(), nodetest.NewKey(), "day/sku-1")
	}
	for range 20 {
		s.MustGrant(nodetest.NewKey(), nodetest.NewKey(), "other/mask")
	}
	var told string
	s.Eventually(func() bool {
		_, out, errs := runTool(t, "", "events", "tail", "--admin", s.Admin, "--last", "2", "--session", "day")
		told = out + errs
		return strings.Count(out, "hold_placed session=day ") == 2 && strings.Count(out, "\n") == 2
	}, func() string { return told })
	for _, begin := range [][]string{{"--last", "1"}, {"--from", "0"}, nil} {
		status, out, errs := runTool(t, "",
			append([]string{"events", "tail", "--admin", s.Admin, "--session", "none"}, begin...)...)
		if status != 1 || out != "" || !strings.HasPrefix(errs, "doorbuster: events are kept since 20") ||
			!strings.Contains(errs, `no event of a session "none" is kept`) {
			t.Errorf("of a session that is not there: %d %s%s", status, out, errs)
		}
	}
	// Who comes again where it was hears of nothing new, and that is no fault.
	if status, out, errs := runTool(t, "", "events", "tail", "--admin", s.Admin, "--from", "99999", "--session",
		"day"); status != 0 || out != "" {
		t.Errorf("nothing new: %d %s%s", status, out, errs)
	}
	if status, _, errs := runTool(t, "", "events", "tail", "--admin", s.Admin, "--from", "0", "--last",
		"3"); status != 2 || !strings.Contains(errs, "--from and --last: take one") {
		t.Errorf("--from with --last: %d %s", status, errs)
	}
}
