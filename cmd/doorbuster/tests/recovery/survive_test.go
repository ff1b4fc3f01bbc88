package recovery

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"doorbuster/cmd/doorbuster/nodetest"
)

// A reader of the log that goes away costs lines and nothing else.
func TestLogReaderGoesAway(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &nodetest.Shop{T: t, Dir: t.TempDir(), Logs: nodetest.NewLogBook()}
	c := nodetest.Command(t, nodetest.ServeArgs(s.Dir, "--log-level", "debug")...)
	s.Start(c, w)
	w.Close()
	lines := bufio.NewReader(r)
	for line := ""; !strings.Contains(line, `"msg":"serving"`); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		s.Logs.Write([]byte(line))
	}
	s.AwaitServing()
	r.Close()
	s.Eventually(func() bool {
		garble(s) // a line of the log
		return count(s, "doorbuster_log_lines_lost_total") > 0
	}, func() string { return "no line of the log was counted as lost" })
	s.Raised("log_lines_lost")
	s.Apply(nodetest.Masks(3))
	s.MustGrant("alice", "k", nodetest.Mask)
	s.Stop()
}

// count gives a metric as a number, 0 where there is none.
func count(s *nodetest.Shop, name string) float64 {
	n, _ := strconv.ParseFloat(s.Metric(name), 64)
	return n
}

// garble sends what is no HTTP request.
func garble(s *nodetest.Shop) {
	s.T.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		s.T.Fatalf("%v: has the node ended?", err)
	}
	defer c.Close()
	fmt.Fprint(c, "\x16\x03\x01 this is no HTTP\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(nodetest.Patience))
	c.Read(make([]byte, 512))
}

// A node that runs out of file descriptors goes on as soon as there are some.
func TestOutOfDescriptors(t *testing.T) {
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	// Operators have a connection already, as nobody gets a new one.
	s.Through = &http.Client{Timeout: nodetest.Patience, Transport: &http.Transport{MaxConnsPerHost: 1}}
	s.Ops("GET", "/admin/v1/alarms", "")
	var before unix.Rlimit
	pid := s.Child.Process.Pid
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
		c, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	s.Logs.Await(t, s.Exit, "ALARM: connections can't be accepted")
	s.Raised("accept_fails")
	for _, c := range waiting {
		c.Close()
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil); err != nil {
		t.Fatal(err)
	}
	s.Logs.Await(t, s.Exit, "connections are accepted again")
	s.Healed("accept_fails")
	s.MustGrant("alice", "k", nodetest.Mask)
	if count(s, `doorbuster_accept_failures_total{api="shopper"}`) == 0 {
		t.Error("no failure was counted")
	}
	s.Stop()
}

// A node takes no more connections than leave descriptors for its log and peers.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	s := &nodetest.Shop{T: t, Dir: t.TempDir(), Logs: nodetest.NewLogBook()}
	c := nodetest.Command(t, nodetest.ServeArgs(s.Dir)...)
	inner := strings.Join(c.Args, " ")
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", "ulimit -n 300; exec " + inner}
	s.Start(c)
	s.AwaitServing()
	line, _ := s.Logs.Find("connections are fewer than")
	if !strings.Contains(line, `"descriptors":300`) || !strings.Contains(line, `"connections":150`) {
		t.Errorf("the node says of its descriptors: %s", line)
	}
	s.Stop()
}
