package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testCluster is a cluster whose nodes are processes of this binary, on loopback.
type testCluster struct {
	t       *testing.T
	dir     string
	zoneAck string
	stall   time.Duration // after which a hanging disk stops a node: not soon, a test's disk may be busy
	more    string        // further lines of the cluster section
	extra   string        // further lines of every node's configuration
	nodes   []*member
	alone   bool // it is no cluster, but a node by itself
}

// member is a node of a fleet, running or not.
type member struct {
	*shop
	f              *testCluster
	id, zone, kind string
	ports          [3]string // shoppers, operators, nodes
	up             bool
	initial        bool     // among the nodes that the cluster begins with
	environment    []string // of its process
	executable     string   // another build of the program; "" for this one
	cluster        string   // what it takes for the cluster's id; "" for the right one
	section        string   // further lines of its cluster section
}

// openFleet starts a cluster of nodes named "id:zone" or "id:zone:kind", and
// waits until all of them serve.
func openFleet(t *testing.T, zoneAck string, names ...string) *testCluster {
	t.Helper()
	f := newFleet(t, zoneAck, names...)
	for _, m := range f.nodes {
		m.launch()
	}
	for _, m := range f.nodes {
		m.awaitUp()
	}
	return f
}

// newFleet configures one without starting it.
func newFleet(t *testing.T, zoneAck string, names ...string) *testCluster {
	t.Helper()
	f := &testCluster{t: t, dir: t.TempDir(), zoneAck: zoneAck, stall: patience}
	for _, name := range names {
		f.add(name).initial = true
	}
	return f
}

// rooms is the usual fleet: two nodes in one room, one in another.
var rooms3 = []string{"a1:a", "a2:a", "b1:b"}

// add configures one more node.
func (f *testCluster) add(name string) *member {
	f.t.Helper()
	parts := append(strings.Split(name, ":"), "voter")
	m := &member{f: f, id: parts[0], zone: parts[1], kind: parts[2], ports: [3]string{freePort(f.t), freePort(f.t), freePort(f.t)}}
	m.shop = &shop{t: f.t, dir: filepath.Join(f.dir, m.id), admin: m.ports[1], http: "http://" + m.ports[0]}
	f.nodes = append(f.nodes, m)
	return m
}

// Ports of fleets: below those that systems give to whoever connects, or a node
// that is down for a while finds its port taken by somebody's connection.
var (
	ports    sync.Mutex
	nextPort = 18_000 + os.Getpid()*31%12_000
)

const lastPort = 32_000

// freePort is an address that nobody listens on just now, another one each time.
func freePort(t *testing.T) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range lastPort {
		if nextPort++; nextPort > lastPort {
			nextPort = 18_000
		}
		if ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", nextPort)); err == nil {
			ln.Close()
			return ln.Addr().String()
		}
	}
	t.Fatal("no free port on loopback")
	return ""
}

// config writes the node's configuration and gives its path.
func (m *member) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\ndata: %s\nhttp: %s\nadmin: %s\nlog_format: json\nstop_delay: 100ms\nstall_timeout: %s\n%s", m.id, m.dir, m.ports[0], m.ports[1], m.f.stall, m.f.extra)
	if !m.f.alone {
		b.WriteString(m.clusterSection())
	}
	path := filepath.Join(m.f.dir, m.id+".yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// clusterSection is what its configuration says of the cluster.
func (m *member) clusterSection() string {
	id := "shop"
	if m.cluster != "" {
		id = m.cluster
	}
	var b strings.Builder
	fmt.Fprintf(&b, "zone: %s\npeer: %s\ncluster:\n  id: %s\n  zone_ack: %s\n%s%s  nodes:\n", m.zone, m.ports[2], id, m.f.zoneAck, m.f.more, m.section)
	for _, other := range m.f.nodes {
		if other.initial {
			fmt.Fprintf(&b, "    - {id: %s, zone: %s, kind: %s, peer: %q}\n", other.id, other.zone, other.kind, other.ports[2])
		}
	}
	return b.String()
}

// launch starts the node's process.
func (m *member) launch(more ...string) {
	m.t.Helper()
	args := append([]string{"serve", "--dev", "--config", m.config()}, more...)
	c := process(m.t, args...)
	if m.executable != "" {
		c.Path, c.Args = m.executable, append([]string{m.executable}, args...)
	}
	c.Env = append(c.Env, m.environment...)
	m.logs = newLogBook()
	m.start(c)
	m.up = true
}

// awaitUp waits until the node serves.
func (m *member) awaitUp() {
	m.t.Helper()
	m.logs.await(m.t, m.exit, `"msg":"serving"`)
}

// kill ends the node's process at once.
func (m *member) kill() {
	m.t.Helper()
	if err := m.child.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	<-m.exit
	m.exit, m.up = nil, false
}

// signal is for SIGSTOP and its like. A process that is to stop has stopped, with
// all of its threads, when it returns.
func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.child.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	m.eventually(func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.child.Process.Pid))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, path := range stats {
			text, err := os.ReadFile(path)
			if _, state, ok := strings.Cut(string(text), ") "); err == nil && ok && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return true
	}, func() string { return m.id + " does not stop" })
}

// halt stops the node as an operator does.
func (m *member) halt() {
	m.t.Helper()
	m.stop()
	m.up = false
}

// relaunch starts the node again and waits until it serves.
func (m *member) relaunch() {
	m.t.Helper()
	m.launch()
	m.awaitUp()
}

// clusterStatus is what a node says of the cluster.
type clusterStatus struct {
	Leader     string
	Generation uint64
	Term       uint64
	ZoneAck    struct{ Mode, State string } `json:"zone_ack"`
	Rules      uint32                       `json:"rules_version"`
	Nodes      []clusterStatusNode
}

type clusterStatusNode struct {
	ID, Zone, Kind, Role string
	Reachable            bool
	Joining, Drained     bool
	Applied              uint64  `json:"applied_index"`
	Last                 uint64  `json:"last_index"`
	First                uint64  `json:"first_index"`
	Ledger               uint64  `json:"ledger_index"`
	Clock                float64 `json:"clock_offset_ms"`
}

// status asks a node; ok is false if it does not answer.
func (m *member) status() (s clusterStatus, ok bool) {
	a, err := m.request("GET", "http://"+m.admin+"/admin/v1/cluster", "")
	if err != nil || a.Status != 200 {
		return s, false
	}
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		m.t.Fatal(err)
	}
	return s, true
}

// node gives a node by id.
func (f *testCluster) node(id string) *member {
	f.t.Helper()
	for _, m := range f.nodes {
		if m.id == id {
			return m
		}
	}
	f.t.Fatalf("no node %s", id)
	return nil
}

// leader waits until all nodes that are up agree on one of them.
func (f *testCluster) leader() *member {
	f.t.Helper()
	return f.leaderAmong(func(m *member) bool { return m.up })
}

// leaderAmong waits until some nodes agree on one of them.
func (f *testCluster) leaderAmong(some func(*member) bool) (leader *member) {
	f.t.Helper()
	f.eventually(func() bool {
		leader = nil
		for _, m := range f.nodes {
			if !some(m) {
				continue
			}
			s, ok := m.status()
			if !ok || s.Leader == "" || leader != nil && leader.id != s.Leader {
				return false
			}
			leader = f.node(s.Leader)
		}
		return leader != nil && some(leader)
	}, "the nodes agree on no leader")
	return leader
}

// follower gives a node that is up and does not lead.
func (f *testCluster) follower() *member {
	f.t.Helper()
	leader := f.leader()
	for _, m := range f.nodes {
		if m.up && m != leader && m.kind != "witness" {
			return m
		}
	}
	f.t.Fatal("no follower is up")
	return nil
}

// others gives the nodes that are up besides m.
func (f *testCluster) others(m *member) (others []*member) {
	for _, o := range f.nodes {
		if o.up && o != m {
			others = append(others, o)
		}
	}
	return others
}

// eventually waits for a condition; what says what is wrong if it never comes.
func (f *testCluster) eventually(holds func() bool, what string) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			var logs strings.Builder
			for _, m := range f.nodes {
				if m.logs != nil {
					fmt.Fprintf(&logs, "--- %s\n%s\n", m.id, tailOf(m.logs.String(), 4000))
				}
			}
			f.t.Fatalf("%s; the nodes said:\n%s", what, logs.String())
		}
	}
}

func tailOf(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// settled waits until all nodes that are up have applied the same, and gives each
// listing's figures, which must be the same everywhere.
func (f *testCluster) settled() map[string]counts {
	f.t.Helper()
	f.eventually(func() bool {
		at := uint64(0)
		for _, m := range f.nodes {
			if !m.up {
				continue
			}
			s, ok := m.status()
			if !ok {
				return false
			}
			for _, n := range s.Nodes {
				if n.ID != m.id {
					continue
				}
				if at != 0 && n.Applied != at {
					return false
				}
				at = n.Applied
			}
		}
		return true
	}, "the nodes do not come to the same log index")
	var first map[string]counts
	for _, m := range f.nodes {
		if !m.up {
			continue
		}
		every := m.everyListing()
		for name, c := range every {
			c.LogIndex = 0
			every[name] = c
		}
		if first == nil {
			first = every
			continue
		}
		for name, c := range every {
			if c != first[name] {
				f.t.Errorf("%s: node %s says %+v, another %+v", name, m.id, c, first[name])
			}
		}
	}
	return first
}

// plan applies a plan through the first node that is up.
func (f *testCluster) plan(text string) {
	f.t.Helper()
	for _, m := range f.nodes {
		if m.up {
			m.apply(text)
			return
		}
	}
}
