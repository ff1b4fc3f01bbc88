package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestDrainBehindHAProxy: a real HAProxy with the example's configuration shares
// the shoppers among the rooms, moves all of them when a room is drained and when
// a node stops, and back, and no request fails.
func TestDrainBehindHAProxy(t *testing.T) {
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Skip("haproxy is not installed")
		}
	}
	f := newFleet(t, "prefer", rooms3...)
	for _, m := range f.nodes {
		m.launch("--stop-delay", "3s") // as in the example
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	f.plan(dayPlan("", 1_000_000))
	f.leader()
	front := openHAProxy(t, binary, f)
	rate := rushRate() / 2
	r := startRush(t, "s", "day/sku-1", rate, &door{addr: front})
	// The shares over some time: who granted how many as the shopper's node.
	shares := func() (a, b int) {
		t.Helper()
		before := f.answered()
		r.sell(rate)
		after := f.answered()
		for i, m := range f.nodes {
			if m.up && m.zone == "a" {
				a += after[i] - before[i]
			} else if m.up {
				b += after[i] - before[i]
			}
		}
		return a, b
	}
	a, b := shares()
	t.Logf("all up: room a answered %d, room b %d", a, b)
	if b == 0 || a < b {
		t.Errorf("not 70 to 30: room a answered %d, room b %d", a, b)
	}
	cluster := func(args ...string) {
		t.Helper()
		if status, out, errs := runTool(t, "", append([]string{"cluster"}, append(args, "--admin", f.node("b1").admin)...)...); status != 0 {
			t.Fatal(out, errs)
		}
	}
	cluster("drain", "--zone", "a")
	f.eventually(func() bool { a, b = shares(); return a == 0 }, "shoppers still come to the drained room")
	t.Logf("room a drained: room a answered %d, room b %d", a, b)
	f.eventually(func() bool { return f.leader().zone == "b" }, "a drained node leads on")
	cluster("undrain", "--zone", "a")
	f.eventually(func() bool { a, b = shares(); return a > b }, "the shoppers do not come back")
	t.Logf("undrained: room a answered %d, room b %d", a, b)
	leader := f.leader()
	leader.halt()
	r.sell(rate)
	leader.relaunch()
	r.close()
	checkRushes(f, r)
}

// answered gives how many grabs each node has granted as a shopper's node.
func (f *testCluster) answered() []int {
	f.t.Helper()
	answered := make([]int, len(f.nodes))
	for i, m := range f.nodes {
		if m.up {
			n, err := strconv.ParseFloat(m.metric(`doorbuster_grabs_total{code="granted"}`), 64)
			if err != nil {
				f.t.Fatal(err)
			}
			answered[i] = int(n)
		}
	}
	return answered
}

// serverLine is a server in HAProxy's configuration: name, address, the rest.
var serverLine = regexp.MustCompile(`(?m)^(\s*server (\w+)) \S+:8080(.*)$`)

// openHAProxy serves a fleet with the configuration of the example, but for
// addresses and bounds, and gives the front's.
func openHAProxy(t *testing.T, binary string, f *testCluster) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/two-rooms/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	front := freePort(t)
	// Fewer connections: a test's process may not open as many files. With --dev,
	// operators are answered only under a loopback name. And a machine that runs
	// tests may be busy for long.
	config := strings.NewReplacer("bind :8000", "bind "+front, "maxconn 100000", "maxconn 1000", "timeout check 1s", "timeout check 10s", "timeout connect 500ms", "timeout connect 5s",
		"uri /readyz", "uri /readyz ver HTTP/1.1 hdr Host localhost").Replace(string(text))
	config = serverLine.ReplaceAllStringFunc(config, func(line string) string {
		part := serverLine.FindStringSubmatch(line)
		m := f.node(part[2])
		_, check, _ := net.SplitHostPort(m.ports[1])
		return fmt.Sprintf("%s %s%s port %s", part[1], m.ports[0], part[3], check)
	})
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "-db", "-f", path)
	logs := newLogBook()
	c.Stdout, c.Stderr = logs, logs
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			t.Logf("haproxy said:\n%s", tailOf(logs.String(), 8000))
			for _, m := range f.nodes {
				t.Logf("%s said:\n%s", m.id, tailOf(m.logs.String(), 8000))
			}
		}
	})
	f.eventually(func() bool {
		conn, err := net.Dial("tcp", front)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "haproxy does not listen")
	return front
}
