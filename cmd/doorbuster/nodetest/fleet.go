package nodetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbuster/bench/port"
	"doorbuster/httpapi/personal"
)

// Fleet is a cluster whose nodes are processes of this binary, on loopback.
type Fleet struct {
	T       *testing.T
	Dir     string
	ZoneAck string
	Stall   time.Duration // after which a hanging disk stops a node: not soon, a test's disk may be busy
	more    string        // further lines of the cluster section
	Extra   string        // further lines of every node's configuration
	Nodes   []*Member
	Alone   bool // it is no cluster, but a node by itself
	Guarded bool // it is for use, not for trying out: everybody needs a token
}

// Member is a node of a fleet, running or not.
type Member struct {
	*Shop
	Fleet          *Fleet
	ID, Zone, Kind string
	Ports          [3]string // shoppers, operators, nodes
	Up             bool
	Initial        bool     // among the nodes that the cluster begins with
	environment    []string // of its process
	Executable     string   // another build of the program; "" for this one
	Cluster        string   // what it takes for the cluster's id; "" for the right one
	Section        string   // further lines of its cluster section
}

// OpenFleet starts a cluster of nodes named "id:zone" or "id:zone:kind", and
// waits until all of them serve.
func OpenFleet(t *testing.T, zoneAck string, names ...string) *Fleet {
	t.Helper()
	f := NewFleet(t, zoneAck, names...)
	f.Open()
	return f
}

// Open starts all nodes, with further flags, and waits until they serve.
func (f *Fleet) Open(more ...string) {
	f.T.Helper()
	for _, m := range f.Nodes {
		m.Launch(more...)
	}
	for _, m := range f.Nodes {
		m.AwaitUp()
	}
}

// NewFleet configures one without starting it.
func NewFleet(t *testing.T, zoneAck string, names ...string) *Fleet {
	t.Helper()
	f := &Fleet{T: t, Dir: t.TempDir(), ZoneAck: zoneAck, Stall: Patience}
	for _, name := range names {
		f.Add(name).Initial = true
	}
	return f
}

// Rooms3 is the usual fleet: two nodes in one room, one in another.
var Rooms3 = []string{"a1:a", "a2:a", "b1:b"}

// Add configures one more node.
func (f *Fleet) Add(name string) *Member {
	f.T.Helper()
	parts := append(strings.Split(name, ":"), "voter")
	m := &Member{Fleet: f, ID: parts[0], Zone: parts[1], Kind: parts[2],
		Ports: [3]string{Address(f.T), Address(f.T), Address(f.T)}}
	m.Shop = &Shop{T: f.T, Dir: filepath.Join(f.Dir, m.ID), Admin: m.Ports[1], HTTP: "http://" + m.Ports[0]}
	f.Nodes = append(f.Nodes, m)
	return m
}

// Address is an address on loopback that nobody else is given until the test ends.
func Address(t *testing.T) string {
	t.Helper()
	addrs, release, err := port.Hold(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addrs[0]
}

// Config writes the node's configuration and gives its path.
func (m *Member) Config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "node: %s\ndata: %s\nhttp: %s\nadmin: %s\n", m.ID, m.Dir, m.Ports[0], m.Ports[1])
	fmt.Fprintf(&b, "log_format: json\nstop_delay: 100ms\nstall_timeout: %s\n%s", m.Fleet.Stall, m.Fleet.Extra)
	if !m.Fleet.Alone {
		if !strings.Contains(m.Fleet.Extra, "personal_keys:") {
			fmt.Fprintf(&b, "personal_keys: %s\n", m.Fleet.PersonalKeys())
		}
		b.WriteString(m.clusterSection())
	}
	path := filepath.Join(m.Fleet.Dir, m.ID+".yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		m.T.Fatal(err)
	}
	return path
}

// PersonalKeys gives the path of the key file that all nodes of the fleet have, which is
// written if it is not there.
func (f *Fleet) PersonalKeys() string {
	path := filepath.Join(f.Dir, "personal.keys")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	key, err := personal.NewKey(nil, time.Now())
	if err == nil {
		err = os.WriteFile(path, personal.FormatKeys([]personal.Key{key}), 0o600)
	}
	if err != nil {
		f.T.Fatal(err)
	}
	return path
}

// clusterSection is what its configuration says of the cluster.
func (m *Member) clusterSection() string {
	id := "shop"
	if m.Cluster != "" {
		id = m.Cluster
	}
	var b strings.Builder
	fmt.Fprintf(&b, "zone: %s\npeer: %s\ncluster:\n  id: %s\n  zone_ack: %s\n%s%s  nodes:\n", m.Zone, m.Ports[2], id,
		m.Fleet.ZoneAck, m.Fleet.more, m.Section)
	for _, other := range m.Fleet.Nodes {
		if other.Initial {
			fmt.Fprintf(&b, "    - {id: %s, zone: %s, kind: %s, peer: %q}\n", other.ID, other.Zone, other.Kind,
				other.Ports[2])
		}
	}
	return b.String()
}

// Launch starts the node's process.
func (m *Member) Launch(more ...string) {
	m.T.Helper()
	args := append([]string{"serve", "--config", m.Config()}, more...)
	if !m.Fleet.Guarded {
		args = append(args, "--dev")
	}
	path := m.Executable
	if path == "" {
		path = builtProgram(m.T)
	}
	c := CommandOf(m.T, path, args...)
	c.Env = append(os.Environ(), m.environment...)
	m.Logs = NewLogBook()
	m.Start(c)
	m.Up = true
}

// AwaitUp waits until the node serves.
func (m *Member) AwaitUp() {
	m.T.Helper()
	m.Logs.Await(m.T, m.Exit, `"msg":"serving"`)
}

// Kill ends the node's process at once.
func (m *Member) Kill() {
	m.T.Helper()
	if err := m.Child.Process.Kill(); err != nil {
		m.T.Fatal(err)
	}
	<-m.Exit
	m.Exit, m.Up = nil, false
}

// Signal is for SIGSTOP and its like. A process that is to stop has stopped, with
// all of its threads, when it returns.
func (m *Member) Signal(s syscall.Signal) {
	m.T.Helper()
	if err := m.Child.Process.Signal(s); err != nil {
		m.T.Fatal(err)
	}
	if s != syscall.SIGSTOP {
		return
	}
	m.Eventually(func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", m.Child.Process.Pid))
		if err != nil {
			m.T.Fatal(err)
		}
		for _, path := range stats {
			text, err := os.ReadFile(path)
			if _, state, ok := strings.Cut(string(text), ") "); err == nil && ok && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return true
	}, func() string { return m.ID + " does not stop" })
}

// Halt stops the node as an operator does.
func (m *Member) Halt() {
	m.T.Helper()
	m.Stop()
	m.Up = false
}

// Relaunch starts the node again and waits until it serves.
func (m *Member) Relaunch() {
	m.T.Helper()
	m.Launch()
	m.AwaitUp()
}

// ClusterStatus is what a node says of the cluster.
type ClusterStatus struct {
	Leader     string
	Generation uint64
	Term       uint64
	ZoneAck    struct{ Mode, State string } `json:"zone_ack"`
	Rules      uint32                       `json:"rules_version"`
	Nodes      []ClusterStatusNode
}

type ClusterStatusNode struct {
	ID, Zone, Kind, Role string
	Reachable            bool
	Joining, Drained     bool
	Applied              uint64  `json:"applied_index"`
	Last                 uint64  `json:"last_index"`
	First                uint64  `json:"first_index"`
	Ledger               uint64  `json:"ledger_index"`
	Clock                float64 `json:"clock_offset_ms"`
	Looks                float64 `json:"looks_share"`
}

// Status asks a node; ok is false if it does not answer.
func (m *Member) Status() (s ClusterStatus, ok bool) {
	var header []string
	if m.Token != "" {
		header = []string{"Authorization", "Bearer " + m.Token}
	}
	a, err := m.Request("GET", "http://"+m.Admin+"/admin/v1/cluster", "", header...)
	if err != nil || a.Status != 200 {
		return s, false
	}
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		m.T.Fatal(err)
	}
	return s, true
}

// Node gives a node by id.
func (f *Fleet) Node(id string) *Member {
	f.T.Helper()
	for _, m := range f.Nodes {
		if m.ID == id {
			return m
		}
	}
	f.T.Fatalf("no node %s", id)
	return nil
}

// Leader waits until all nodes that are up agree on one of them.
func (f *Fleet) Leader() *Member {
	f.T.Helper()
	return f.LeaderAmong(func(m *Member) bool { return m.Up })
}

// LeaderAmong waits until some nodes agree on one of them.
func (f *Fleet) LeaderAmong(some func(*Member) bool) (leader *Member) {
	f.T.Helper()
	f.Eventually(func() bool {
		leader = nil
		for _, m := range f.Nodes {
			if !some(m) {
				continue
			}
			s, ok := m.Status()
			if !ok || s.Leader == "" || leader != nil && leader.ID != s.Leader {
				return false
			}
			leader = f.Node(s.Leader)
		}
		return leader != nil && some(leader)
	}, "the nodes agree on no leader")
	return leader
}

// Follower gives a node that is up and does not lead.
func (f *Fleet) Follower() *Member {
	f.T.Helper()
	leader := f.Leader()
	for _, m := range f.Nodes {
		if m.Up && m != leader && m.Kind != "witness" {
			return m
		}
	}
	f.T.Fatal("no follower is up")
	return nil
}

// Others gives the nodes that are up besides m.
func (f *Fleet) Others(m *Member) (others []*Member) {
	for _, o := range f.Nodes {
		if o.Up && o != m {
			others = append(others, o)
		}
	}
	return others
}

// Eventually waits for a condition; what says what is wrong if it never comes.
func (f *Fleet) Eventually(holds func() bool, what string) {
	f.T.Helper()
	for deadline := time.Now().Add(Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			var logs strings.Builder
			for _, m := range f.Nodes {
				if m.Logs != nil {
					fmt.Fprintf(&logs, "--- %s\n%s\n", m.ID, TailOf(m.Logs.String(), 4000))
				}
			}
			f.T.Fatalf("%s; the nodes said:\n%s", what, logs.String())
		}
	}
}

func TailOf(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// Settled waits until all nodes that are up have applied the same, and gives each
// listing's figures, which must be the same everywhere.
func (f *Fleet) Settled() map[string]Counts {
	f.T.Helper()
	f.Eventually(func() bool {
		at := uint64(0)
		for _, m := range f.Nodes {
			if !m.Up {
				continue
			}
			s, ok := m.Status()
			if !ok {
				return false
			}
			for _, n := range s.Nodes {
				if n.ID != m.ID {
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
	var first map[string]Counts
	for _, m := range f.Nodes {
		if !m.Up {
			continue
		}
		every := m.EveryListing()
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
				f.T.Errorf("%s: node %s says %+v, another %+v", name, m.ID, c, first[name])
			}
		}
	}
	return first
}

// Plan applies a plan through the first node that is up.
func (f *Fleet) Plan(text string) {
	f.T.Helper()
	for _, m := range f.Nodes {
		if m.Up {
			m.Apply(text)
			return
		}
	}
}

// DayPlan is a session that is open, with listings of so many units.
func DayPlan(more string, stock ...int) string {
	var b strings.Builder
	b.WriteString("products:\n")
	for i := range stock {
		fmt.Fprintf(&b, "  - {id: sku-%d, list_price: 100, currency: CNY}\n", i+1)
	}
	b.WriteString("sales:\n  - id: sale\n    sessions:\n      - id: day\n        start: now\n        duration: 2h\n" +
		more + "        listings:\n")
	for i, n := range stock {
		fmt.Fprintf(&b, "          - {sku: sku-%d, price: 100, stock: %d}\n", i+1, n)
	}
	return b.String()
}

// EventuallyGrants asks until there is a yes.
func (m *Member) EventuallyGrants(shopper, listing string) (o Order) {
	m.T.Helper()
	m.Fleet.Eventually(func() bool {
		a, err := m.TryGrab(shopper, "k", listing)
		o = a.Order
		return err == nil && a.Code == "granted"
	}, shopper+" is granted nothing by "+m.ID)
	return o
}
