package cluster

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/cmd/doorbuster/nodetest"
)

// TestStrangeCertificates: a node whose certificate is not good, or not its own, is
// refused with words that say why, and the cluster goes on as if it were not
// there: two nodes of three, the third configured and never reached.
func TestStrangeCertificates(t *testing.T) {
	certs := t.TempDir()
	makeCerts(t, certs, "a1", "a2", "b1")
	others := t.TempDir()
	makeCerts(t, others, "b1")
	f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
	for _, m := range f.Nodes {
		certificates(m, certs)
	}
	a1, a2, b1 := f.Nodes[0], f.Nodes[1], f.Nodes[2]
	a1.Launch()
	a2.Launch()
	a1.AwaitUp()
	a2.AwaitUp()
	f.Plan(nodetest.DayPlan("", 100))
	for _, m := range []*nodetest.Member{a1, a2} {
		told := `can't be reached","peer":"` + b1.Ports[2]
		m.Logs.Await(t, m.Exit, told)
		if n := strings.Count(m.Logs.String(), told); n != 1 {
			t.Errorf("%s tells %d times of a node that is not there", m.ID, n)
		}
	}
	if v := a1.Metric("doorbuster_nodes_unreachable"); v != "1" {
		t.Errorf("unreachable: %q", v)
	}
	if v := a1.Metric(`doorbuster_alarms{name="node_unreachable"}`); v != "1" {
		t.Errorf("alarms of nodes that are away: %q", v)
	}
	if _, out, errs := nodetest.Tool(t, "", "alarms", "--admin", a1.Admin); !strings.Contains(out,
		"can't be reached: nothing listens at "+b1.Ports[2]+".") {
		t.Errorf("not in plain words: %s%s", out, errs)
	}

	for _, c := range []struct {
		name   string
		spoil  func(m *nodetest.Member)
		says   string // the node itself, which ends if the others need not say anything
		others string
	}{
		{"wrong cluster", func(m *nodetest.Member) {
			m.Cluster = "other"
		}, "is for doorbuster://cluster/shop/node/b1, and this is doorbuster://cluster/other/node/b1", ""},
		{"expired", func(m *nodetest.Member) {
			certificates(m, expired(t, certs, "b1"))
		}, "b1.crt: x509: certificate has expired", ""},
		{"of another", func(m *nodetest.Member) {
			mixed := t.TempDir()
			copyFiles(t, certs, mixed, "ca.crt")
			copyAs(t, certs, mixed, "a1", "b1")
			certificates(m, mixed)
		}, "is for doorbuster://cluster/shop/node/a1, and this is doorbuster://cluster/shop/node/b1", ""},
		{"another authority", func(m *nodetest.Member) {
			certificates(m, others)
		}, "certificate signed by unknown authority", "a peer was turned away"},
		{"none", func(m *nodetest.Member) {
			m.Section = ""
		}, "the caller speaks without TLS and the one who is called with it", "the caller speaks without TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := membership(a1)
			stranger := stranger(f, t, b1)
			c.spoil(stranger)
			stranger.Launch()
			stranger.Logs.Await(t, nil, c.says)
			if c.others == "" {
				if status := stranger.Wait(); status != 1 {
					t.Errorf("status %d", status)
				}
			} else {
				a1.Logs.Await(t, a1.Exit, c.others)
				stranger.Kill()
			}
			a2.MustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if after := membership(a1); after != before {
				t.Errorf("from %s to %s", before, after)
			}
		})
	}
	for _, m := range []*nodetest.Member{a1, a2} {
		// Each kind once, and again after a good handshake.
		if n := strings.Count(m.Logs.String(), "was turned away"); n > 2*2 {
			t.Errorf("%s tells %d times whom it has turned away:\n%s", m.ID, n, m.Logs)
		}
	}
}

// TestStrangersWithoutCertificates: what only the handshake can tell: another
// cluster, and a node whose directory is not the one that was met first, because
// it runs twice or because it was lost. That one votes for nobody.
func TestStrangersWithoutCertificates(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 100))
	a1, a2, b1 := f.Nodes[0], f.Nodes[1], f.Nodes[2]
	prefers(f, "b")
	before := membership(a1)
	for _, c := range []struct{ name, cluster, says string }{
		{"wrong cluster", "other", "is of cluster other, and node a1"},
		{"same id twice", "", "comes with another data directory than before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stranger := stranger(f, t, b1)
			stranger.Cluster = c.cluster
			stranger.Launch()
			stranger.Logs.Await(t, stranger.Exit, c.says)
			a1.Logs.Await(t, a1.Exit, c.says)
			if a, err := stranger.Request("GET", "http://"+stranger.Admin+"/readyz", ""); err != nil ||
				a.Status != 503 {
				t.Errorf("it is ready: %v %d %s", err, a.Status, a.Body)
			}
			b1.MustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if after := membership(a1); after != before {
				t.Errorf("from %s to %s", before, after)
			}
			for _, m := range []*nodetest.Member{stranger, a1, a2} {
				if n := strings.Count(m.Logs.String(), c.says); n > 2 { // by each way it comes, or to each other node
					t.Errorf("%s says so %d times:\n%s", m.ID, n, m.Logs)
				}
			}
			stranger.Kill()
		})
	}
	// Its directory lost: the only one to vote for a2, and it must not.
	b1.Halt()
	aside := filepath.Join(t.TempDir(), "b1")
	if err := os.Rename(b1.Dir, aside); err != nil {
		t.Fatal(err)
	}
	b1.Launch()
	b1.Logs.Await(t, b1.Exit, "comes with another data directory than before")
	b1.Raised("node_behind", "b1")
	a1.Kill()
	f.Eventually(func() bool {
		s, ok := a2.Status()
		return ok && s.Leader == ""
	}, "a2 does not notice that it is alone")
	if a := a2.Grab("late", "k", "day/sku-1"); a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if s, ok := a2.Status(); !ok || s.Leader != "" {
		t.Errorf("a node that has forgotten everything votes: %+v", s)
	}
	a1.Relaunch()
	a2.EventuallyGrants("late", "day/sku-1")
	b1.Halt() // and it is found again
	if err := errors.Join(os.RemoveAll(b1.Dir), os.Rename(aside, b1.Dir)); err != nil {
		t.Fatal(err)
	}
	b1.Relaunch()
	b1.Healed("node_behind")
}

// membership says who is in the cluster, in a word to compare.
func membership(m *nodetest.Member) string {
	m.T.Helper()
	s, ok := m.Status()
	if !ok {
		m.T.Fatalf("%s has no status", m.ID)
	}
	text := fmt.Sprint(s.Generation) // and not who leads: a busy machine elects by itself
	for _, n := range s.Nodes {
		text += " " + n.ID + n.Zone + n.Kind
	}
	return text
}

// TestGarbageOnThePort: whoever speaks to the nodes' port, and says what no node
// says, is turned away, for little memory, and nobody else notices.
func TestGarbageOnThePort(t *testing.T) {
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	f.Plan(nodetest.DayPlan("", 1_000_000))
	prefers(f, "a") // it stays there
	target, b1 := f.Leader(), f.Node("b1")
	// A node that is down is who the garbage says it is.
	var version struct {
		Incarnation, Life string
		Starts            uint64
	}
	text, err := os.ReadFile(filepath.Join(b1.Dir, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &version); err != nil || version.Incarnation == "" {
		t.Fatalf("%v: %s", err, text)
	}
	b1.Kill()
	const raft, rpc = 1, 2
	for _, c := range []struct {
		name    string
		kind    byte // of stream, after a handshake; 0: before one
		sent    string
		endless string // sent on and on
		says    string
	}{
		{"a browser", 0, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", "it begins with"},
		{"TLS", 0, "\x16\x03\x01\x02\x00\x01", "", "the peer speaks TLS"},
		{"a handshake of 64 KB", 0, "DBP1\x01\x01\xff\xff", "", "claims 65535 bytes"},
		{"no JSON", 0, "DBP1\x01\x01\x00\x04xxxx", "", "is not the JSON"},
		{"noise for ever", 0, "\x00", "\x00", ""},
		{"no call of Raft's", raft, "\x63", "", ""},
		{"1 GB for Raft", raft, "\x00\x81\xa7Entries\xc6\x40\x00\x00\x00", "x", ""},
		{"2^30 entries for Raft", raft, "\x00\x81\xa7Entries\xdd\x40\x00\x00\x00", "\x80", ""},
		{"a snapshot of 1 GB", raft, "\x03\x81\xa4Size\xd3\x00\x00\x00\x00\x40\x00\x00\x00", "x", ""},
		{"no HTTP/2", rpc, "GET / HTTP/1.1\r\n\r\n", "", ""},
		{"a frame of 16 MB", rpc,
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
				"\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x01", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := memory(target)
			conn, err := net.Dial("tcp", target.Ports[2])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(nodetest.Patience)); err != nil {
				t.Fatal(err)
			}
			if c.kind != 0 {
				welcome(t, conn, c.kind, peer.Hello{Cluster: "shop", Node: b1.ID, Generation: 1,
					Past: peer.Past{Incarnation: version.Incarnation, Life: version.Life, Starts: version.Starts}})
			}
			if _, err := io.WriteString(conn, c.sent); err != nil {
				t.Fatal(err)
			}
			go func() { // until the node has enough of it
				chunk := strings.Repeat(c.endless, 1<<20)
				for sent := 0; c.endless != "" && sent < 1<<30; sent += len(chunk) {
					if _, err := io.WriteString(conn, chunk); err != nil {
						return
					}
				}
			}()
			answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
			if isDeadline(err) {
				t.Error("the node goes on listening")
			}
			if !strings.Contains(string(answer), c.says) {
				t.Errorf("it says %q, not %q", answer, c.says)
			}
			target.MustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if grown := memory(target) - before; grown > 64<<20 {
				t.Errorf("the node has grown by %d MB", grown>>20)
			}
		})
	}
	if n := strings.Count(target.Logs.String(), "was turned away"); n == 0 || n > 3 { // again after a good handshake
		t.Errorf("told of %d times:\n%s", n, target.Logs)
	}
	b1.Relaunch()
	b1.MustGrant("t", "k", "day/sku-1")
	if f.Leader() != target {
		t.Errorf("%s leads, not %s", f.Leader().ID, target.ID)
	}
}

// welcome does the handshake of package peer, as a node would.
func welcome(t *testing.T, conn net.Conn, kind byte, hello peer.Hello) {
	t.Helper()
	body, err := json.Marshal(hello)
	if err != nil {
		t.Fatal(err)
	}
	frame := binary.BigEndian.AppendUint16([]byte{'D', 'B', 'P', '1', 1, kind}, uint16(len(body)))
	if _, err := conn.Write(append(frame, body...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, binary.BigEndian.Uint16(answer[6:]))
	if _, err := io.ReadFull(conn, text); err != nil || answer[5] != 0 {
		t.Fatalf("not welcome: %v %s", err, text)
	}
}

func isDeadline(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// memory is what the node's process has, in bytes.
func memory(m *nodetest.Member) int64 {
	m.T.Helper()
	v, err := strconv.ParseFloat(m.Metric("process_resident_memory_bytes"), 64)
	if err != nil {
		m.T.Fatal(err)
	}
	return int64(v)
}

// certificates has the node show a folder's.
func certificates(m *nodetest.Member, dir string) {
	m.Section = "  ca: " + filepath.Join(dir, "ca.crt") + "\n  cert: " + filepath.Join(dir, m.ID+".crt") + "\n  key: " +
		filepath.Join(dir, m.ID+".key") + "\n"
}

// stranger is another node that says that it is m, with ports and a directory of
// its own.
func stranger(f *nodetest.Fleet, t *testing.T, m *nodetest.Member) *nodetest.Member {
	t.Helper()
	s := &nodetest.Member{Fleet: f, ID: m.ID, Zone: m.Zone, Kind: m.Kind, Section: m.Section,
		Ports: [3]string{nodetest.Address(t), nodetest.Address(t), nodetest.Address(t)}}
	s.Shop = &nodetest.Shop{T: t, Dir: filepath.Join(t.TempDir(), m.ID), Admin: s.Ports[1], HTTP: "http://" +
		s.Ports[0]}
	return s
}

func makeCerts(t *testing.T, dir string, nodes ...string) {
	t.Helper()
	args := append([]string{"cluster", "certs", "--dir", dir, "--cluster", "shop"}, nodes...)
	if status, _, errs := nodetest.Tool(t, "", args...); status != 0 {
		t.Fatal(errs)
	}
}

func copyFiles(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copyAs copies a node's certificate and key as another's.
func copyAs(t *testing.T, from, to, node, as string) {
	t.Helper()
	copyFiles(t, from, to, node+".crt", node+".key")
	for _, kind := range []string{".crt", ".key"} {
		if err := os.Rename(filepath.Join(to, node+kind), filepath.Join(to, as+kind)); err != nil {
			t.Fatal(err)
		}
	}
}

// expired gives a folder with a node's certificate as it was, but for its days.
func expired(t *testing.T, certs, node string) string {
	t.Helper()
	dir := t.TempDir()
	copyFiles(t, certs, dir, "ca.crt", node+".key")
	pair := func(name string) (tls.Certificate, *x509.Certificate) {
		pair, err := tls.LoadX509KeyPair(filepath.Join(certs, name+".crt"), filepath.Join(certs, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return pair, pair.Leaf
	}
	ca, authority := pair("ca")
	_, leaf := pair(node)
	leaf.NotBefore, leaf.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, leaf.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, node+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
