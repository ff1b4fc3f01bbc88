package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// both runs a test without and with TLS. files is given to each node.
func both(t *testing.T, test func(t *testing.T, files func(node string) *Files)) {
	t.Run("plain", func(t *testing.T) { test(t, func(string) *Files { return nil }) })
	t.Run("TLS", func(t *testing.T) { test(t, newAuthority(t).files) })
}

// exchangeBytes sends something both ways.
func exchangeBytes(t *testing.T, from, to net.Conn) {
	t.Helper()
	for i, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		// A request of Raft's type 1 with nil in it; its answer.
		sent := [][]byte{{1, 0xc0}, {0xa0, 0xc0}}[i]
		if _, err := pair[0].Write(sent); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(pair[1], got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%x %v", got, err)
		}
	}
}

func TestBothKindsOfStream(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		checkGoroutines(t)
		a, b := openNode(t, hello("a1"), files("a1"), nil), openNode(t, hello("b1"), files("b1"), nil)
		for _, calls := range []struct {
			kind   string
			from   func(*testing.T, string) (net.Conn, error)
			accept func() (net.Conn, error)
		}{
			{"raft", a.dialRaft, func() (net.Conn, error) { return b.Raft().Accept() }},
			{"rpc", a.dialRPC, func() (net.Conn, error) { return b.RPC().Accept() }},
			{"raft again", a.dialRaft, func() (net.Conn, error) { return b.Raft().Accept() }},
		} {
			out, err := calls.from(t, b.addr())
			if err != nil {
				t.Fatalf("%s: %v", calls.kind, err)
			}
			in, err := calls.accept()
			if err != nil {
				t.Fatalf("%s: %v", calls.kind, err)
			}
			exchangeBytes(t, out, in)
			// The end of one side is the end of the other.
			if err := out.Close(); err != nil {
				t.Error(err)
			}
			if _, err := in.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: still open", calls.kind)
			}
			in.Close()
		}
		if got := b.Raft().Addr().String(); got != b.addr() {
			t.Errorf("advertised %s", got)
		}
		if text := a.journal.String() + b.journal.String(); text != "" {
			t.Errorf("logged: %s", text)
		}
		for _, n := range []*testNode{a, b} {
			eventually(t, "nothing is left of it", func() bool {
				n.Port.mu.Lock()
				defer n.Port.mu.Unlock()
				return len(n.conns) == 0
			})
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		a, b := openNode(t, hello("a1"), files("a1"), nil), openNode(t, hello("b1"), files("b1"), nil)
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				out, err := a.dialRPC(t, b.addr())
				if err != nil {
					t.Error(err)
					return
				}
				defer out.Close()
				if _, err := out.Write([]byte("x")); err != nil {
					t.Error(err)
				}
				if _, err := out.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
			})
		}
		for range 16 {
			in, err := b.RPC().Accept()
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				defer in.Close()
				io.CopyN(in, in, 1)
				in.Read(make([]byte, 1)) // until the caller has gone
			})
		}
		group.Wait()
	})
}

// refusalCase is a meeting of a caller and a called one that comes to nothing.
type refusalCase struct {
	caller, called   func(*Hello)
	admit            error // of the one who is called
	whom             string
	code             string   // of the refusal that Dial gives
	detail           []string // what it says
	callerTold       string   // the code that the caller's Refused hears, "" for none
	calledTold       string
	callerGeneration uint64 // told with it
	calledGeneration uint64
}

func refusalCases() map[string]refusalCase {
	generation := func(n uint64) func(*Hello) { return func(h *Hello) { h.Generation = n } }
	return map[string]refusalCase{
		"another cluster": {
			caller: func(h *Hello) { h.Cluster = "fair" },
			code:   CodeCluster, detail: []string{"fair", "shop", "check the cluster ids"},
			callerTold: CodeCluster, callerGeneration: 3,
		},
		"older caller": {
			caller: generation(2),
			code:   CodeGeneration, detail: []string{"node a1 is of generation 2, the cluster went on as generation " +
				"3: stop it", "doorbuster cluster join"},
			callerTold: CodeGeneration, callerGeneration: 3,
		},
		"older called": {
			called: generation(2),
			code:   CodeSuperseded, detail: []string{"node b1 is of generation 2, the cluster went on as generation " +
				"3: stop it"},
			calledTold: CodeSuperseded, calledGeneration: 3,
		},
		"the same id twice": {
			caller: func(h *Hello) { h.Node = "b1" },
			code:   CodeSelf, detail: []string{"two nodes go by the same id b1"},
			callerTold: CodeSelf, callerGeneration: 3,
		},
		"itself": {
			caller: func(h *Hello) { *h = hello("b1") },
			code:   CodeSelf, detail: []string{"node b1 has reached itself"}, callerTold: CodeSelf, callerGeneration: 3,
		},
		"another node than wanted": {
			whom: "c1",
			code: CodeIdentity, detail: []string{"wants node c1, and this is node b1"},
			callerTold: CodeIdentity, callerGeneration: 3,
		},
		"not admitted": {
			admit: errors.New("not a member"),
			code:  CodeOther, detail: []string{"not a member"}, callerTold: CodeOther, callerGeneration: 3,
		},
		"not admitted, with a code": {
			admit: fmt.Errorf("wrapped: %w",
				&Refusal{Code: CodeIncarnation, Detail: "a1 came with another data directory"}),
			code: CodeIncarnation, detail: []string{"another data directory"},
			callerTold: CodeIncarnation, callerGeneration: 3,
		},
		"no valid id": {
			caller: func(h *Hello) { h.Incarnation = strings.Repeat("x", maxIncarnationBytes+1) },
			code:   CodeMalformed, detail: []string{"the incarnation is not at most 128"},
			callerTold: CodeMalformed, callerGeneration: 3,
		},
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range refusalCases() {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, files func(string) *Files) {
				caller, called := hello("a1"), hello("b1")
				if c.caller != nil {
					c.caller(&caller)
				}
				if c.called != nil {
					c.called(&called)
				}
				callerFiles := files(caller.Node)
				if callerFiles != nil && caller.Cluster != "shop" {
					a := newAuthority(t)
					callerFiles, called.Cluster = a.issue("a1", caller.Cluster, "a1", time.Hour), "shop"
					trusted := a.issue("b1", "shop", "b1", time.Hour)
					meet(t, c, caller, called, callerFiles, trusted)
					return
				}
				meet(t, c, caller, called, callerFiles, files("b1"))
			})
		})
	}
}

// meet lets the two of a case meet three times over each kind of stream.
func meet(t *testing.T, c refusalCase, caller, called Hello, callerFiles, calledFiles *Files) {
	long := caller.Incarnation
	caller.Incarnation = hello(caller.Node).Incarnation // Listen would not take it
	if caller.Node == called.Node && c.detail[0] != "node b1 has reached itself" {
		caller.Incarnation = "another"
	}
	a := openNode(t, caller, callerFiles, func(cfg *Config, _ *tuning) {
		if c.whom != "" {
			cfg.Whom = func(string) string { return c.whom }
		}
	})
	if c.code == CodeMalformed {
		a.mu.Lock()
		a.hello.Incarnation = long
		a.mu.Unlock()
	}
	b := openNode(t, called, calledFiles, func(cfg *Config, _ *tuning) {
		cfg.Admit = func(Hello) error { return c.admit }
	})
	for i := range 3 {
		for _, dial := range []func(*testing.T, string) (net.Conn, error){a.dialRaft, a.dialRPC} {
			_, err := dial(t, b.addr())
			var why *Refusal
			if !errors.As(err, &why) || why.Code != c.code || why.Node != called.Node ||
				why.Generation != called.Generation {
				t.Fatalf("attempt %d: %#v", i, err)
			}
			for _, part := range c.detail {
				if !strings.Contains(why.Detail, part) {
					t.Errorf("%q is not in %q", part, why.Detail)
				}
			}
		}
	}
	eventually(t, "the called one has closed", func() bool {
		b.Port.mu.Lock()
		defer b.Port.mu.Unlock()
		return len(b.conns) == 0
	})
	checkTold(t, a, c.callerTold, c.callerGeneration)
	checkTold(t, b, c.calledTold, c.calledGeneration)
	for who, n := range map[string]*testNode{"caller": a, "called": b} {
		if got := n.journal.count("level=WARN"); got != 1 {
			t.Errorf("the %s logged %d times:\n%s", who, got, n.journal)
		}
		if n.journal.count("code="+c.code) != 1 {
			t.Errorf("the %s logged\n%s", who, n.journal)
		}
	}
}

func checkTold(t *testing.T, n *testNode, code string, generation uint64) {
	t.Helper()
	want := 6
	if code == "" {
		want = 0
	}
	heard := n.tellings()
	if len(heard) != want {
		t.Fatalf("node %s heard %d times", n.hello.Node, len(heard))
	}
	for _, one := range heard {
		if one.Code != code || one.Generation != generation || one.addr == "" {
			t.Errorf("heard %+v", one)
		}
	}
}

// TestFreshNodes: one that has no generation yet is neither older nor newer.
func TestFreshNodes(t *testing.T) {
	fresh := hello("a1")
	fresh.Generation = 0
	a, b := openNode(t, fresh, nil, nil), openNode(t, hello("b1"), nil, nil)
	for _, c := range []struct{ from, to *testNode }{{a, b}, {b, a}} {
		out, err := c.from.dialRPC(t, c.to.addr())
		if err != nil {
			t.Fatal(err)
		}
		out.Close()
	}
}

// TestCallerRefuses: what the one who calls finds out about who answers.
func TestCallerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		answer Hello
		admit  error
		whom   string
		code   string
		told   string
	}{
		"another cluster": {answer: Hello{Cluster: "fair", Node: "b1", Generation: 3}, code: CodeCluster},
		"an older one":    {answer: Hello{Cluster: "shop", Node: "b1", Generation: 2}, code: CodeGeneration},
		"a newer one": {answer: Hello{Cluster: "shop", Node: "b1", Generation: 4},
			code: CodeSuperseded, told: CodeSuperseded},
		"the same id":              {answer: Hello{Cluster: "shop", Node: "a1", Generation: 3}, code: CodeSelf},
		"another node than wanted": {answer: hello("b1"), whom: "c1", code: CodeIdentity},
		"not admitted":             {answer: hello("b1"), admit: errors.New("not a member"), code: CodeOther},
		"no valid id":              {answer: Hello{Cluster: "shop", Node: "../etc"}, code: CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			a := openNode(t, hello("a1"), nil, func(cfg *Config, _ *tuning) {
				cfg.Admit = func(Hello) error { return c.admit }
				cfg.Whom = func(string) string { return c.whom }
			})
			frame, err := appendFrame(nil, welcome, c.answer)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.dialRPC(t, answering(t, frame))
			var why *Refusal
			if !errors.As(err, &why) || why.Code != c.code {
				t.Errorf("%v", err)
			}
			heard := a.tellings()
			if c.told == "" && len(heard) != 0 || c.told != "" && (len(heard) != 1 || heard[0].Code != c.told ||
				heard[0].Generation != c.answer.Generation) {
				t.Errorf("heard %+v", heard)
			}
		})
	}
}

// answering is a server that reads a preamble and says what it is given to say.
func answering(t *testing.T, say []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			readFrame(c)
			c.Write(say)
			linger(c.(*net.TCPConn))
			c.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	return listener.Addr().String()
}

// TestUnlikelyRefusals: what a peer says when it refuses is not believed blindly.
func TestUnlikelyRefusals(t *testing.T) {
	long := &Refusal{Code: "gossip", Detail: strings.Repeat("x\n", 1500), Node: strings.Repeat("n", 200)}
	a := openNode(t, hello("a1"), nil, nil)
	for name, c := range map[string]struct {
		say  *Refusal
		code string
		told int
	}{
		"of its own generation": {&Refusal{Code: CodeGeneration, Generation: 3, Node: "b1"}, CodeGeneration, 0},
		"of an older one":       {&Refusal{Code: CodeGeneration, Generation: 1, Node: "b1"}, CodeGeneration, 0},
		"superseded":            {&Refusal{Code: CodeSuperseded, Generation: 9, Node: "b1"}, CodeSuperseded, 0},
		"of a newer one":        {&Refusal{Code: CodeGeneration, Generation: 4, Node: "b1"}, CodeGeneration, 1},
		"unknown code, long":    {long, CodeOther, 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(a.tellings())
			frame, err := appendFrame(nil, refused, &Refusal{Code: c.say.Code,
				Detail: c.say.Detail[:min(1200, len(c.say.Detail))], Node: c.say.Node, Generation: c.say.Generation})
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.dialRPC(t, answering(t, frame))
			var why *Refusal
			if !errors.As(err, &why) || why.Code != c.code || len(why.Error()) > 700 ||
				strings.Contains(why.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if n := len(a.tellings()) - before; n != c.told {
				t.Errorf("heard %d times", n)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	a := openNode(t, hello("a1"), nil, nil)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := nobody.Addr().String()
	nobody.Close()
	for range 3 {
		if _, err := a.dialRaft(t, addr); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%v", err)
		}
	}
	if a.journal.count("a peer can't be reached") != 1 {
		t.Errorf("%s", a.journal)
	}
}

// TestDialEnds: a dial ends with its context, and with the port, although the peer
// never answers.
func TestDialEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, end := range map[string]func(n *testNode, cancel func()){
		"by its context":     func(_ *testNode, cancel func()) { cancel() },
		"by the port":        func(n *testNode, _ func()) { n.Close() },
		"by its connections": func(n *testNode, _ func()) { n.DropConnections() },
	} {
		t.Run(name, func(t *testing.T) {
			n := openNode(t, hello("a1"), nil, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error)
			go func() {
				_, err := n.DialRPC(ctx, silent.Addr().String())
				done <- err
			}()
			c, err := silent.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, _, err := readPreamble(c); err != nil {
				t.Fatal(err)
			}
			end(n, cancel)
			if err := <-done; err == nil {
				t.Error("welcome")
			}
			if n.journal.String() != "" {
				t.Errorf("logged %s", n.journal)
			}
		})
	}
	t.Run("by time", func(t *testing.T) {
		n := openNode(t, hello("a1"), nil, func(_ *Config, tuned *tuning) { tuned.patience = 50 * time.Millisecond })
		if _, err := n.dialRaft(t, silent.Addr().String()); !isTimeout(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestDropConnections(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		a, b := openNode(t, hello("a1"), files("a1"), nil), openNode(t, hello("b1"), files("b1"), nil)
		var ends []net.Conn
		for _, pair := range []struct{ from, to *testNode }{{a, b}, {b, a}} {
			for _, k := range []kind{kindRaft, kindRPC} {
				out, in := connect(t, pair.from, pair.to, k)
				ends = append(ends, out, in)
			}
		}
		// One more is in the middle of its handshake.
		half, err := net.Dial("tcp", a.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		eventually(t, "the handshake has begun", func() bool {
			a.Port.mu.Lock()
			defer a.Port.mu.Unlock()
			return len(a.conns) == 5
		})
		a.become(4)
		a.DropConnections()
		for i, c := range append(ends, half) {
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		// The next meeting is between generations.
		_, err = b.dialRPC(t, a.addr())
		var why *Refusal
		if !errors.As(err, &why) || why.Code != CodeGeneration || why.Generation != 4 {
			t.Errorf("%v", err)
		}
		b.become(4)
		connect(t, b, a, kindRPC)
	})
}

// connect gives both ends of a connection.
func connect(t *testing.T, from, to *testNode, k kind) (out, in net.Conn) {
	t.Helper()
	dial, accept := from.dialRPC, func() (net.Conn, error) { return to.RPC().Accept() }
	if k == kindRaft {
		dial, accept = from.dialRaft, func() (net.Conn, error) { return to.Raft().Accept() }
	}
	out, err := dial(t, to.addr())
	if err != nil {
		t.Fatal(err)
	}
	if in, err = accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		out.Close()
		in.Close()
	})
	return out, in
}

func TestClose(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		checkGoroutines(t)
		a, b := openNode(t, hello("a1"), files("a1"), nil), openNode(t, hello("b1"), files("b1"), nil)
		out, in := connect(t, a, b, kindRaft)
		waiting, err := a.dialRPC(t, b.addr()) // never accepted
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		slow, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		accepted := make(chan error, 2)
		go func() {
			_, err := b.Raft().Accept()
			accepted <- err
		}()
		stream, rpc := b.Raft(), b.RPC()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("the second time: %v", err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		for name, c := range map[string]net.Conn{"caller's": out, "called one's": in,
			"waiting": waiting, "slow": slow} {
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := b.dialRPC(t, a.addr()); err == nil {
			t.Error("a closed port dials")
		}
		if _, err := stream.Dial("127.0.0.1:1", time.Second); err == nil {
			t.Error("a closed port dials")
		}
		if _, err := rpc.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		if _, err := a.dialRPC(t, b.addr()); err == nil {
			t.Error("a closed port takes calls")
		}
		a.Close()
	})
}

// TestStreamEnds: Raft, or RPC, is shut down on an open port.
func TestStreamEnds(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	out, in := connect(t, a, b, kindRPC)
	if err := errors.Join(b.Raft().Close(), b.RPC().Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Raft().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	for kind, dial := range map[string]func(*testing.T, string) (net.Conn,
		error){"raft": a.dialRaft, "rpc": a.dialRPC} {
		_, err := dial(t, b.addr())
		var why *Refusal
		if !errors.As(err, &why) || why.Code != CodeOther ||
			!strings.Contains(why.Detail, "takes no "+kind+" connections") {
			t.Errorf("%v", err)
		}
	}
	exchangeBytes(t, out, in) // what was accepted is its owner's
}

// TestNobodyAccepts: connections wait to be accepted, but not without bound.
func TestNobodyAccepts(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	for range maxWaiting + 1 {
		out, err := a.dialRPC(t, b.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
	}
	eventually(t, "it is said", func() bool { return b.journal.count("code=unwanted") == 1 })
	eventually(t, "the one too many is closed", func() bool {
		b.Port.mu.Lock()
		defer b.Port.mu.Unlock()
		return len(b.conns) == maxWaiting
	})
}

func TestListenRefuses(t *testing.T) {
	taken := openNode(t, hello("a1"), nil, nil)
	ca := newAuthority(t)
	good := ca.files("a1")
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no port":            {func(c *Config) { c.Listen = "127.0.0.1" }, `listen: "127.0.0.1" is not host:port`},
		"no number":          {func(c *Config) { c.Listen = "127.0.0.1:http" }, "the port is not a number"},
		"taken":              {func(c *Config) { c.Listen = taken.addr() }, "in use"},
		"nothing advertised": {func(c *Config) { c.Listen = "0.0.0.0:0" }, "names no host that others could reach"},
		"advertised badly": {func(c *Config) { c.Advertise = "a1.example:0" },
			`advertise: "a1.example:0" names no port`},
		"no identity": {func(c *Config) { c.Identity = nil }, "no identity"},
		"bad id":      {func(c *Config) { c.Identity = func() Hello { return hello("a/1") } }, `node id "a/1"`},
		"no logger":   {func(c *Config) { c.Logger = nil }, "no logger"},
		"no key":      {func(c *Config) { c.TLS = &Files{CA: good.CA, Cert: good.Cert} }, "TLS needs all of"},
		"no such file": {func(c *Config) { c.TLS = &Files{CA: good.CA, Cert: good.Cert + "x", Key: good.Key} },
			"a1.crtx: no such file"},
		"no CA in it": {func(c *Config) { c.TLS = &Files{CA: good.Key, Cert: good.Cert, Key: good.Key} },
			"has no certificate in it"},
		"another's key": {func(c *Config) {
			c.TLS = &Files{CA: good.CA, Cert: good.Cert,
				Key: ca.files("k1").Key}
		}, "private key does not match"},
		"another node's": {func(c *Config) { c.TLS = ca.files("b1") },
			"is for doorbuster://cluster/shop/node/b1, and this is doorbuster://cluster/shop/node/a1"},
		"another cluster's": {func(c *Config) { c.TLS = ca.issue("x1", "fair", "a1", time.Hour) },
			"is for doorbuster://cluster/fair/node/a1"},
		"expired": {func(c *Config) { c.TLS = ca.issue("e1", "shop", "a1", -time.Hour) }, "expired"},
		"another CA's": {func(c *Config) {
			c.TLS = &Files{CA: newAuthority(t).files("a1").CA, Cert: good.Cert, Key: good.Key}
		}, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := taken.cfg
			cfg.Listen, cfg.Advertise = "127.0.0.1:0", ""
			c.change(&cfg)
			p, err := Listen(cfg)
			if err == nil {
				p.Close()
				t.Fatal("listens")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAcceptGoesOn: an error of accept is said once, and is no end.
func TestAcceptGoesOn(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	b.listener.SetDeadline(time.Unix(1, 0))
	eventually(t, "said", func() bool { return b.journal.count("can't be accepted") > 0 })
	time.Sleep(50 * time.Millisecond) // for more errors to come
	b.listener.SetDeadline(time.Time{})
	connect(t, a, b, kindRPC)
	if b.journal.count("can't be accepted") != 1 {
		t.Errorf("%s", b.journal)
	}
}
