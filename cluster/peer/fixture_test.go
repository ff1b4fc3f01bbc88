package peer

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(what string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), what)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func slogTo(j *journal) *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// told is a call of Refused.
type told struct {
	addr string
	*Refusal
}

// testNode is a port, its identity and what it said.
type testNode struct {
	*Port
	journal *journal

	mu      sync.Mutex
	hello   Hello
	refused []told
}

func (n *testNode) identity() Hello {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hello
}

func (n *testNode) become(generation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hello.Generation = generation
}

func (n *testNode) tellings() []told {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]told(nil), n.refused...)
}

func hello(node string) Hello {
	return Hello{Cluster: "shop", Node: node, Generation: 3, Past: Past{Incarnation: "made-" + node}}
}

// quick are timings for tests. The handshake's patience is long enough never to
// end one that goes on.
var quick = tuning{patience: patience, lookAtFiles: 0, now: time.Now}

// openNode opens a port on loopback. change may be nil.
func openNode(t *testing.T, h Hello, files *Files, change func(*Config, *tuning)) *testNode {
	t.Helper()
	n := &testNode{journal: &journal{}, hello: h}
	cfg := Config{
		Listen: "127.0.0.1:0", Identity: n.identity, TLS: files,
		Logger: slogTo(n.journal),
		Refused: func(addr string, why *Refusal) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.refused = append(n.refused, told{addr, why})
		},
	}
	tuned := quick
	if change != nil {
		change(&cfg, &tuned)
	}
	port, err := listen(cfg, tuned)
	if err != nil {
		t.Fatal(err)
	}
	n.Port = port
	t.Cleanup(func() { port.Close() })
	return n
}

func (n *testNode) addr() string { return n.Addr().String() }

// dialRPC and dialRaft call another node, with the test's patience.
func (n *testNode) dialRPC(t *testing.T, to string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return n.DialRPC(ctx, to)
}

func (n *testNode) dialRaft(_ *testing.T, to string) (net.Conn, error) {
	return n.Raft().Dial(raft.ServerAddress(to), patience)
}

// authority is a CA and a folder of what it signed.
type authority struct {
	t    *testing.T
	dir  string
	pair KeyPair
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	now := time.Now()
	// Without a cluster in it, as a CA from elsewhere: it signs for any.
	pair, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "a CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: now.Add(-100 * time.Hour), NotAfter: now.Add(100 * time.Hour),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, t.TempDir(), pair}
}

// files gives the files of a node of cluster shop.
func (a *authority) files(node string) *Files {
	return a.issue(node, "shop", node, time.Hour)
}

// issue writes a certificate for node of cluster that ends in life.
func (a *authority) issue(name, cluster, node string, life time.Duration) *Files {
	a.t.Helper()
	now := time.Now()
	pair, err := MakeNode(a.pair, cluster, node, nil, now.Add(-50*time.Hour), now.Add(life))
	if err != nil {
		a.t.Fatal(err)
	}
	files := &Files{CA: filepath.Join(a.dir, name+"-ca.crt"), Cert: filepath.Join(a.dir, name+".crt"),
		Key: filepath.Join(a.dir, name+".key")}
	a.write(files.CA, a.pair.Cert)
	a.write(files.Key, pair.Key)
	a.write(files.Cert, pair.Cert)
	return files
}

func (a *authority) write(path string, content []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// checkGoroutines fails the test when it leaves goroutines of this package.
func checkGoroutines(t *testing.T) {
	t.Helper()
	ours := func() int {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		n := 0
		for _, one := range strings.Split(string(stacks), "\n\n") {
			if strings.Contains(one, "cluster/peer.(*Port)") || strings.Contains(one, "cluster/peer.(*inlet)") {
				n++
			}
		}
		return n
	}
	t.Cleanup(func() {
		eventually(t, "no goroutine is left", func() bool { return ours() == 0 })
	})
}
