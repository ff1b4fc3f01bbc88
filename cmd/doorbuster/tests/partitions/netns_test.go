package partitions

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/httpapi/auth"
)

// namespace is a network of its own, as one host has it. It has no name in the
// system, so nothing is left behind when the test's process ends, however it does.
type namespace struct {
	file *os.File
	jobs chan func()
}

// newNamespace makes one that lasts until the test ends.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{jobs: make(chan func())}
	made := make(chan error, 1)
	go func() {
		// The thread is never given back: it ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		if made <- err; err != nil {
			return
		}
		for job := range n.jobs {
			job()
		}
	}()
	if err := <-made; err != nil {
		t.Skipf("no network namespaces here (they take root, or CAP_SYS_ADMIN): %v", err)
	}
	// The file is closed with the last who may still dial.
	t.Cleanup(func() { close(n.jobs) })
	return n
}

// within runs do on a thread of the namespace; processes that it starts are of
// it, too.
func (n *namespace) within(do func()) {
	done := make(chan struct{})
	n.jobs <- func() {
		defer close(done)
		do()
	}
	<-done
}

// ip runs lines of the ip command in the namespace.
func (n *namespace) ip(t *testing.T, lines ...string) {
	t.Helper()
	var out []byte
	var err error
	n.within(func() {
		c := exec.Command("ip", "-batch", "-")
		c.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		out, err = c.CombinedOutput()
	})
	if err != nil {
		t.Fatalf("ip %q: %v: %s", lines, err, out)
	}
}

// ourNetwork is what threads go back to.
var ourNetwork = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/ns/net") })

// dial connects from inside the namespace.
func (n *namespace) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	home, err := ourNetwork()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	dialer := net.Dialer{Timeout: 500 * time.Millisecond}
	c, err := dialer.DialContext(ctx, network, addr)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, back // the thread is lost to others, and ends with this goroutine
	}
	runtime.UnlockOSThread()
	return c, err
}

// land is hosts in rooms, and shoppers, that reach each other through one router,
// which can be told to lose what goes from one to another.
type land struct {
	t      *testing.T
	router *namespace
	hosts  map[string]*namespace
	addrs  map[string]string
	cuts   int // rules from firstCut on
}

const firstCut = 100

// newLand makes hosts named like "a1", of room a; "a0" is where shoppers of that
// room are.
func newLand(t *testing.T, names ...string) *land {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip command here: install iproute2")
	}
	l := &land{t: t, router: newNamespace(t), hosts: map[string]*namespace{}, addrs: map[string]string{}}
	var err error
	l.router.within(func() { err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	if err != nil {
		t.Skipf("no forwarding between network namespaces here: %v", err)
	}
	for _, name := range names {
		host := newNamespace(t)
		addr := fmt.Sprintf("10.77.%d.%s", name[0]-'a'+1, string(name[1]+1))
		l.hosts[name], l.addrs[name] = host, addr
		l.router.ip(t,
			fmt.Sprintf("link add %s type veth peer name eth0 netns /proc/%d/fd/%d", name, os.Getpid(), host.file.Fd()),
			"addr add 10.77.0.1/32 dev "+name, "link set "+name+" up", fmt.Sprintf("route add %s/32 dev %s", addr,
				name))
		host.ip(t, "link set lo up", "addr add "+addr+"/32 dev eth0", "link set eth0 up",
			"route add default via 10.77.0.1 dev eth0 onlink")
	}
	return l
}

// lose makes all vanish that goes from one host, or room, to another: "a1" to
// "b", say. The other way stays as it is.
func (l *land) lose(from, to string) {
	l.t.Helper()
	l.router.ip(l.t, fmt.Sprintf("rule add from %s to %s prio %d blackhole", l.prefix(from), l.prefix(to),
		firstCut+l.cuts))
	l.cuts++
}

// cut is lose, both ways.
func (l *land) cut(one, other string) {
	l.t.Helper()
	l.lose(one, other)
	l.lose(other, one)
}

func (l *land) prefix(name string) string {
	if len(name) == 1 {
		return fmt.Sprintf("10.77.%d.0/24", name[0]-'a'+1)
	}
	return l.addrs[name] + "/32"
}

// heal ends all cuts.
func (l *land) heal() {
	l.t.Helper()
	var lines []string
	for ; l.cuts > 0; l.cuts-- {
		lines = append(lines, fmt.Sprintf("rule del prio %d", firstCut+l.cuts-1))
	}
	if lines != nil {
		l.router.ip(l.t, lines...)
	}
}

// client is a way to make requests from a host, as whoever X-Shopper-Id says.
func (l *land) client(from string, patience time.Duration) *http.Client {
	return &http.Client{Timeout: patience, Transport: &badge{&http.Transport{DialContext: l.hosts[from].dial,
		MaxIdleConnsPerHost: 4}}}
}

// badge adds the tokens that --dev would do without: of the shopper that is named,
// else an operator's.
type badge struct{ next http.RoundTripper }

func (b *badge) RoundTrip(r *http.Request) (*http.Response, error) {
	kind, id, role := auth.Operators, "olga", auth.Role("admin")
	if shopper := r.Header.Get("X-Shopper-Id"); shopper != "" {
		kind, id, role = auth.Shoppers, shopper, ""
	}
	token, err := mint(kind, id, role)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Del("X-Shopper-Id")
	r.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(r)
}

func mint(kind auth.Audience, id string, role auth.Role) (string, error) {
	secret := testKeys()["ops"]
	if kind == auth.Shoppers {
		secret = testKeys()["shopper"]
	}
	return auth.Claims{Audience: kind, Subject: id, Role: role, TTL: time.Hour}.Sign(secret, time.Now())
}

// testKeys are the secrets of the cluster's tokens.
func testKeys() map[string][]byte {
	return map[string][]byte{"shopper": []byte(strings.Repeat("shopper ", 6)), "ops": []byte(strings.Repeat("operator",
		6))}
}

// country is a cluster on hosts of its own, as in production: with certificates
// and tokens, each node on its host's address.
type country struct {
	*nodetest.Fleet
	*land
	t     *testing.T
	token string // an operator's
}

// openCountry starts nodes such as "a1" in room a, and waits until they serve.
func openCountry(t *testing.T, l *land, zoneAck string, ids ...string) *country {
	t.Helper()
	c := &country{Fleet: &nodetest.Fleet{T: t, Dir: t.TempDir(), ZoneAck: zoneAck, Stall: nodetest.Patience}, land: l,
		t: t}
	var hosts []string // of nodes that join later, too
	for name := range l.hosts {
		if name[1] != '0' {
			hosts = append(hosts, name)
		}
	}
	if status, out, errs := nodetest.Tool(t, "", append([]string{"cluster", "certs", "--dir", c.Dir, "--cluster",
		"shop"}, hosts...)...); status != 0 {
		t.Fatal(out, errs)
	}
	for name, secret := range testKeys() {
		if err := os.WriteFile(filepath.Join(c.Dir, name+".key"), secret, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.token, err = mint(auth.Operators, "olga", "admin"); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		c.place(id).Initial = true
	}
	t.Cleanup(func() {
		for _, m := range c.Nodes {
			if t.Failed() && m.Logs != nil {
				t.Logf("%s, at %s, said:\n%s", m.ID, time.Now().UTC().Format(time.RFC3339Nano),
					nodetest.TailOf(m.Logs.String(), 8000))
			}
		}
	})
	for _, m := range c.Nodes {
		c.launch(m)
	}
	for _, m := range c.Nodes {
		m.AwaitUp()
	}
	return c
}

// place configures a node on the host of its name.
func (c *country) place(id string) *nodetest.Member {
	addr := c.addrs[id]
	m := &nodetest.Member{Fleet: c.Fleet, ID: id, Zone: id[:1], Kind: "voter", Ports: [3]string{addr + ":8080",
		addr + ":8081", addr + ":8082"}}
	m.Shop = &nodetest.Shop{T: c.t, Dir: filepath.Join(c.Dir, id), Admin: m.Ports[1], HTTP: "http://" + m.Ports[0],
		Through: c.client(id, nodetest.Patience)}
	c.Nodes = append(c.Nodes, m)
	return m
}

// launch starts a node's process on its host.
func (c *country) launch(m *nodetest.Member) {
	c.t.Helper()
	path := m.Config()
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(c.Dir, name) }
	text = append([]byte(fmt.Sprintf("shopper_key_file: %s\nops_key_file: %s\n", file("shopper.key"), file("ops.key"))),
		strings.Replace(string(text), "cluster:\n", fmt.Sprintf("cluster:\n  ca: %s\n  cert: %s\n  key: %s\n",
			file("ca.crt"), file(m.ID+".crt"), file(m.ID+".key")), 1)...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	p := nodetest.Command(c.t, "serve", "--config", path)
	m.Logs = nodetest.NewLogBook()
	c.hosts[m.ID].within(func() { m.Start(p) })
	m.Up = m.Exit != nil
}

// tool runs a command of the program on a node's host, against that node.
func (c *country) tool(m *nodetest.Member, args ...string) (status int, output string) {
	c.t.Helper()
	p := nodetest.Command(c.t, append(args, "--admin", m.Admin)...)
	p.Env = append(p.Env, "DOORBUSTER_TOKEN="+c.token)
	var said strings.Builder
	p.Stdout, p.Stderr = &said, &said
	var err error
	c.hosts[m.ID].within(func() { err = p.Start() })
	if err != nil {
		c.t.Fatal(err)
	}
	_ = p.Wait() // the status says all
	return p.ProcessState.ExitCode(), said.String()
}

// plan applies a plan through a node.
func (c *country) plan(m *nodetest.Member, text string) {
	c.t.Helper()
	path := filepath.Join(c.Dir, "plan.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if status, said := c.tool(m, "apply", "-f", path); status != 0 {
		c.t.Fatalf("apply: status %d: %s", status, said)
	}
}

// lead makes a node lead.
func (c *country) lead(id string) *nodetest.Member {
	c.t.Helper()
	for _, m := range c.Nodes {
		if m.ID != id {
			continue
		}
		c.Eventually(func() bool {
			at := c.Leader()
			if at != m {
				c.tool(at, "cluster", "transfer", "--to", id)
			}
			return at == m
		}, id+" does not come to lead")
		return m
	}
	c.t.Fatalf("no node %s", id)
	return nil
}
