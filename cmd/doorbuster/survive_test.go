package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A reader of the log that goes away costs lines and nothing else.
func TestLogReaderGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, dir: t.TempDir(), logs: newLogBook()}
	c := process(t, serveArgs(s.dir, "--log-level", "debug")...)
	s.start(c, w)
	w.Close()
	lines := bufio.NewReader(r)
	for line := ""; !strings.Contains(line, `"msg":"serving"`); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		s.logs.Write([]byte(line))
	}
	s.awaitServing()
	r.Close()
	s.eventually(func() bool {
		s.garble() // a line of the log
		return s.count("doorbuster_log_lines_lost_total") > 0
	}, func() string { return "no line of the log was counted as lost" })
	s.apply(masks(3))
	s.mustGrant("alice", "k", mask)
	s.stop()
}

// hung is a writer that takes one write and never returns from it.
type hung chan struct{}

func (h hung) Write([]byte) (int, error) {
	<-h
	return 0, io.ErrClosedPipe
}

// A reader of the log that stops reading holds up nobody who logs.
func TestLogReaderHangs(t *testing.T) {
	reader := make(hung)
	sink := newLogSink(reader)
	const lines = 2 * queuedLogLines
	for range lines {
		sink.Write([]byte("a line\n"))
	}
	close(reader) // all that was queued fails now
	sink.flush()
	if lost := sink.lost.Load(); lost != lines {
		t.Errorf("%d lines of %d were counted as lost", lost, lines)
	}
}

// count gives a metric as a number, 0 where there is none.
func (s *shop) count(name string) float64 {
	n, _ := strconv.ParseFloat(s.metric(name), 64)
	return n
}

// garble sends what is no HTTP request.
func (s *shop) garble() {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		s.t.Fatalf("%v: has the node ended?", err)
	}
	defer c.Close()
	fmt.Fprint(c, "\x16\x03\x01 this is no HTTP\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(patience))
	c.Read(make([]byte, 512))
}

// A node that runs out of file descriptors goes on as soon as there are some.
func TestOutOfDescriptors(t *testing.T) {
	s := spawnShop(t, t.TempDir())
	s.apply(masks(3))
	var before unix.Rlimit
	pid := s.child.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	scarce := unix.Rlimit{Cur: uint64(len(open)), Max: before.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &scarce, nil); err != nil {
		t.Fatal(err)
	}
	var waiting []net.Conn
	for range 40 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	s.logs.await(t, s.exit, "ALARM: connections can't be accepted")
	for _, c := range waiting {
		c.Close()
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	s.logs.await(t, s.exit, "connections are accepted again")
	s.mustGrant("alice", "k", mask)
	if s.count(`doorbuster_accept_failures_total{api="shopper"}`) == 0 {
		t.Error("no failure was counted")
	}
	s.stop()
}

// A node takes no more connections than leave descriptors for its log and peers.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	s := &shop{t: t, dir: t.TempDir(), logs: newLogBook()}
	c := process(t, serveArgs(s.dir)...)
	inner := strings.Join(c.Args, " ")
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "ulimit -n 300; exec " + inner}
	s.start(c)
	s.awaitServing()
	line, _ := s.logs.find("connections are fewer than")
	if !strings.Contains(line, `"descriptors":300`) || !strings.Contains(line, `"connections":150`) {
		t.Errorf("the node says of its descriptors: %s", line)
	}
	s.stop()
}
