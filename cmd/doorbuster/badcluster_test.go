package main

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
)

// TestStrangeCertificates: a node whose certificate is not good, or not its own, is
// refused with words that say why, and the cluster goes on as if it were not
// there: two nodes of three, the third configured and never reached.
func TestStrangeCertificates(t *testing.T) {
	certs := t.TempDir()
	if _, err := runCerts(t, certs, "a1", "a2", "b1"); err != nil {
		t.Fatal(err)
	}
	others := t.TempDir()
	if _, err := runCerts(t, others, "b1"); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, "prefer", rooms3...)
	for _, m := range f.nodes {
		m.certificates(certs)
	}
	a1, a2, b1 := f.nodes[0], f.nodes[1], f.nodes[2]
	a1.launch()
	a2.launch()
	a1.awaitUp()
	a2.awaitUp()
	f.plan(dayPlan("", 100))
	for _, m := range []*member{a1, a2} {
		told := `can't be reached","peer":"` + b1.ports[2]
		m.logs.await(t, m.exit, told)
		if n := strings.Count(m.logs.String(), told); n != 1 {
			t.Errorf("%s tells %d times of a node that is not there", m.id, n)
		}
	}
	if v := a1.metric("doorbuster_nodes_unreachable"); v != "1" {
		t.Errorf("unreachable: %q", v)
	}
	if v := a1.metric(`doorbuster_alarms{name="node_unreachable"}`); v != "1" {
		t.Errorf("alarms of nodes that are away: %q", v)
	}
	if _, out, errs := runTool(t, "", "alarms", "--admin", a1.admin); !strings.Contains(out, "can't be reached: nothing listens at "+b1.ports[2]+".") {
		t.Errorf("not in plain words: %s%s", out, errs)
	}

	for _, c := range []struct {
		name   string
		spoil  func(m *member)
		says   string // the node itself, which ends if the others need not say anything
		others string
	}{
		{"wrong cluster", func(m *member) { m.cluster = "other" }, "is for doorbuster://cluster/shop/node/b1, and this is doorbuster://cluster/other/node/b1", ""},
		{"expired", func(m *member) { m.certificates(expired(t, certs, "b1")) }, "b1.crt: x509: certificate has expired", ""},
		{"of another", func(m *member) {
			mixed := t.TempDir()
			copyFiles(t, certs, mixed, "ca.crt")
			copyAs(t, certs, mixed, "a1", "b1")
			m.certificates(mixed)
		}, "is for doorbuster://cluster/shop/node/a1, and this is doorbuster://cluster/shop/node/b1", ""},
		{"another authority", func(m *member) { m.certificates(others) }, "certificate signed by unknown authority", "a peer was turned away"},
		{"none", func(m *member) { m.section = "" }, "the caller speaks without TLS and the one who is called with it", "the caller speaks without TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := a1.membership()
			stranger := f.stranger(t, b1)
			c.spoil(stranger)
			stranger.launch()
			stranger.logs.await(t, nil, c.says)
			if c.others == "" {
				if status := stranger.wait(); status != 1 {
					t.Errorf("status %d", status)
				}
			} else {
				a1.logs.await(t, a1.exit, c.others)
				stranger.kill()
			}
			a2.mustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if after := a1.membership(); after != before {
				t.Errorf("from %s to %s", before, after)
			}
		})
	}
	for _, m := range []*member{a1, a2} {
		if n := strings.Count(m.logs.String(), "was turned away"); n > 2*2 { // each kind once, and again after a good handshake
			t.Errorf("%s tells %d times whom it has turned away:\n%s", m.id, n, m.logs)
		}
	}
}

// TestStrangersWithoutCertificates: what only the handshake can tell: another
// cluster, and a node whose directory is not the one that was met first, because
// it runs twice or because it was lost. That one votes for nobody.
func TestStrangersWithoutCertificates(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 100))
	a1, a2, b1 := f.nodes[0], f.nodes[1], f.nodes[2]
	before := a1.membership()
	for _, c := range []struct{ name, cluster, says string }{
		{"wrong cluster", "other", "is of cluster other, and node a1"},
		{"same id twice", "", "comes with another data directory than before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stranger := f.stranger(t, b1)
			stranger.cluster = c.cluster
			stranger.launch()
			stranger.logs.await(t, stranger.exit, c.says)
			a1.logs.await(t, a1.exit, c.says)
			if a, err := stranger.request("GET", "http://"+stranger.admin+"/readyz", ""); err != nil || a.Status != 503 {
				t.Errorf("it is ready: %v %d %s", err, a.Status, a.Body)
			}
			b1.mustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if after := a1.membership(); after != before {
				t.Errorf("from %s to %s", before, after)
			}
			for _, m := range []*member{stranger, a1, a2} {
				if n := strings.Count(m.logs.String(), c.says); n > 2 { // by each way it comes, or to each other node
					t.Errorf("%s says so %d times:\n%s", m.id, n, m.logs)
				}
			}
			stranger.kill()
		})
	}
	// Its directory lost: the only one to vote for a2, and it must not.
	b1.halt()
	if err := os.RemoveAll(b1.dir); err != nil {
		t.Fatal(err)
	}
	b1.launch()
	b1.logs.await(t, b1.exit, "comes with another data directory than before")
	a1.kill()
	f.eventually(func() bool { s, ok := a2.status(); return ok && s.Leader == "" }, "a2 does not notice that it is alone")
	if a := a2.grab("late", "k", "day/sku-1"); a.Code != "processing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if s, ok := a2.status(); !ok || s.Leader != "" {
		t.Errorf("a node that has forgotten everything votes: %+v", s)
	}
	a1.relaunch()
	a2.eventuallyGrants("late", "day/sku-1")
}

// membership says who is in the cluster, and who leads, in a word to compare.
func (m *member) membership() string {
	m.t.Helper()
	s, ok := m.status()
	if !ok {
		m.t.Fatalf("%s has no status", m.id)
	}
	text := fmt.Sprint(s.Leader, " ", s.Generation, " ", s.Term)
	for _, n := range s.Nodes {
		text += " " + n.ID + n.Zone + n.Kind
	}
	return text
}

// TestGarbageOnThePort: whoever speaks to the nodes' port, and says what no node
// says, is turned away, for little memory, and nobody else notices.
func TestGarbageOnThePort(t *testing.T) {
	f := openFleet(t, "prefer", rooms3...)
	f.plan(dayPlan("", 1_000_000))
	f.prefers("a") // it stays there
	target, b1 := f.leader(), f.node("b1")
	// A node that is down is who the garbage says it is.
	var version struct {
		Incarnation, Life string
		Starts            uint64
	}
	text, err := os.ReadFile(filepath.Join(b1.dir, "VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &version); err != nil || version.Incarnation == "" {
		t.Fatalf("%v: %s", err, text)
	}
	b1.kill()
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
		{"a frame of 16 MB", rpc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x01", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := target.memory()
			conn, err := net.Dial("tcp", target.ports[2])
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if c.kind != 0 {
				welcome(t, conn, c.kind, peer.Hello{Cluster: "shop", Node: b1.id, Generation: 1, Past: peer.Past{Incarnation: version.Incarnation, Life: version.Life, Starts: version.Starts}})
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
			target.mustGrant(strings.ReplaceAll(c.name, " ", "-"), "k", "day/sku-1")
			if grown := target.memory() - before; grown > 64<<20 {
				t.Errorf("the node has grown by %d MB", grown>>20)
			}
		})
	}
	if n := strings.Count(target.logs.String(), "was turned away"); n == 0 || n > 3 { // again after a good handshake
		t.Errorf("told of %d times:\n%s", n, target.logs)
	}
	b1.relaunch()
	b1.mustGrant("t", "k", "day/sku-1")
	if f.leader() != target {
		t.Errorf("%s leads, not %s", f.leader().id, target.id)
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
func (m *member) memory() int64 {
	m.t.Helper()
	v, err := strconv.ParseFloat(m.metric("process_resident_memory_bytes"), 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return int64(v)
}

// TestBadClusterConfig: each mistake in a cluster section is named, and where it
// stands; nothing is opened.
func TestBadClusterConfig(t *testing.T) {
	noEnvironment(t)
	const good = "node: a1\nzone: a\ndata: /nowhere/a1\npeer: 127.0.0.1:7001\ndev: true\ncluster:\n  id: shop\n  zone_ack: require\n  nodes:\n    - {id: a1, zone: a, peer: \"127.0.0.1:7001\"}\n    - {id: b1, zone: b, peer: \"127.0.0.1:7002\"}\n"
	if _, err := load(t, "--config", planFile(t, good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"unknown key":             {"  zone_ack: require", "  zone_akc: require", []string{`:8: cluster.zone_akc: unknown key; known are ca, cert, id, key, nodes`}},
		"unknown key of a node":   {"{id: b1, zone: b", "{id: b1, room: b", []string{`:11: cluster.nodes[1].room: unknown key; known are id, kind, peer, zone`}},
		"a key twice":             {"  zone_ack: require", "  id: shop", []string{`:8: cluster.id: set in line 7 already`}},
		"no section":              {good[strings.Index(good, "cluster:"):], "cluster: shop\n", []string{":6: cluster: it must be a section"}},
		"nodes that are no list":  {good[strings.Index(good, "  nodes:"):], "  nodes: {a1: 127.0.0.1:7001}\n", []string{":9: cluster.nodes: it must be a list, each like {id: a1"}},
		"a node that is a word":   {`{id: b1, zone: b, peer: "127.0.0.1:7002"}`, "b1", []string{":11: cluster.nodes[1]: it must be like {id: a1"}},
		"a list for an address":   {`"127.0.0.1:7002"`, `["127.0.0.1:7002"]`, []string{`:11: cluster.nodes[1].peer: it takes a single value`}},
		"no nodes":                {good[strings.Index(good, "  nodes:"):], "", []string{"0 nodes; a cluster begins with 1 to 64"}},
		"an id twice":             {"id: b1", "id: a1", []string{`node 2: the id "a1" is there twice`}},
		"an address twice":        {"7002", "7001", []string{`node 2: the peer address "127.0.0.1:7001" is there twice`}},
		"bad zone ack":            {"require", "always", []string{`:8: cluster.zone_ack: "always" is none of off, prefer, require`}},
		"bad timeout":             {"  zone_ack: require", "  zone_timeout: 3h", []string{":8: cluster.zone_timeout: 3h0m0s is not between 10ms and 1m"}},
		"a timeout with no unit":  {"  zone_ack: require", "  zone_timeout: 3", []string{`:8: cluster.zone_timeout: "3" has no unit; give one, such as 3s`}},
		"bad kind":                {"zone: b,", "zone: b, kind: king,", []string{`"king"`, "voter", "witness", "edge"}},
		"bad address of a node":   {"127.0.0.1:7002", "b1", []string{`"b1"`}},
		"no id":                   {"  id: shop\n", "", []string{":6: cluster.id: there are settings of a cluster, but it has no id"}},
		"bad id":                  {"  id: shop", "  id: my shop", []string{`:7: cluster.id: "my shop" is not 1 to`}},
		"no peer":                 {"peer: 127.0.0.1:7001\n", "", []string{"peer: a node of a cluster needs an address for the others"}},
		"peer without a port":     {"peer: 127.0.0.1:7001\n", "peer: 127.0.0.1\n", []string{`:4: peer: "127.0.0.1" is not HOST:PORT`}},
		"dev for everybody":       {"peer: 127.0.0.1:7001\n", "peer: 10.0.0.1:7001\n", []string{"peer: --dev has no certificates, so it listens on loopback only"}},
		"another zone":            {"zone: a\ndata", "zone: c\ndata", []string{`node "a1" is of zone "a", but this node says that it stands in "c"`}},
		"no voter":                {"zone: a, peer", "zone: a, kind: witness, peer", nil},
		"no certificates":         {"dev: true\n", "", []string{":5: cluster.ca, cluster.cert, cluster.key: nodes talk to each other by certificates (mTLS); 'doorbuster cluster certs'"}},
		"half of the certificate": {"  zone_ack: require", "  cert: /x.crt", []string{":6: cluster.ca, cluster.cert, cluster.key: all three or none"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.from) {
				t.Fatal("nothing is spoilt")
			}
			text := strings.Replace(good, c.from, c.to, 1)
			if name == "no voter" {
				text, c.want = strings.Replace(text, "zone: b, peer", "zone: b, kind: edge, peer", 1), []string{"no voter among the nodes"}
			}
			file := planFile(t, text)
			status, out, errs := runTool(t, "", "serve", "--config", file)
			if status == 0 || out != "" {
				t.Errorf("status %d, %q", status, out)
			}
			for _, part := range c.want {
				if !strings.Contains(errs, part) {
					t.Errorf("no %q in:\n%s", part, errs)
				}
			}
			if n := strings.Count(errs, "\n"); n > 6 {
				t.Errorf("%d lines for a mistake:\n%s", n, errs)
			}
		})
	}
}

// certificates has the node show a folder's.
func (m *member) certificates(dir string) {
	m.section = "  ca: " + filepath.Join(dir, "ca.crt") + "\n  cert: " + filepath.Join(dir, m.id+".crt") + "\n  key: " + filepath.Join(dir, m.id+".key") + "\n"
}

// stranger is another node that says that it is m, with ports and a directory of
// its own.
func (f *testCluster) stranger(t *testing.T, m *member) *member {
	t.Helper()
	s := &member{f: f, id: m.id, zone: m.zone, kind: m.kind, section: m.section, ports: [3]string{freePort(t), freePort(t), freePort(t)}}
	s.shop = &shop{t: t, dir: filepath.Join(t.TempDir(), m.id), admin: s.ports[1], http: "http://" + s.ports[0]}
	return s
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
	if err := os.WriteFile(filepath.Join(dir, node+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
