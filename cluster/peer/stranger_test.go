package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// TestCertificates: who calls shows the wrong certificate, or none. The one who is
// called says so once, whatever the number of attempts; then a good one is taken.
func TestCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.files("b1")
	mixed := func(f *Files) *Files { return &Files{CA: good.CA, Cert: f.Cert, Key: f.Key} }
	// opens is for a caller that has to believe its own files.
	past := func(tuned *tuning) { tuned.now = func() time.Time { return time.Now().Add(-10 * time.Hour) } }
	for name, c := range map[string]struct {
		files  *Files // of the caller
		now    func(*tuning)
		caller string // in the error
		called string // in the log
		code   string
	}{
		"expired": {ca.issue("old", "shop", "a1", -time.Hour), past,
			"does not take this node's certificate",
			"its certificate is not good: tls: failed to verify certificate: x509: certificate has expired",
			"certificate"},
		"another CA": {other.files("a1"), nil,
			"unknown authority", "remote error", "certificate"},
		"another node's": {mixed(ca.issue("c1", "shop", "c1", time.Hour)), nil,
			"shows a certificate for doorbuster://cluster/shop/node/c1, and not for " +
				"doorbuster://cluster/shop/node/a1",
			"shows a certificate for doorbuster://cluster/shop/node/c1", CodeIdentity},
		"another cluster's": {mixed(ca.issue("f1", "fair", "a1", time.Hour)), nil,
			"shows a certificate for doorbuster://cluster/fair/node/a1", "cluster/fair/node/a1", CodeIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			b := openNode(t, hello("b1"), good, nil)
			change := func(_ *Config, tuned *tuning) {
				if c.now != nil {
					c.now(tuned)
				}
			}
			var a *testNode
			if c.code == CodeIdentity { // Listen wants its own certificate: turn into another afterwards
				shown := hello("c1")
				if name == "another cluster's" {
					shown = hello("a1")
					shown.Cluster = "fair"
				}
				a = openNode(t, shown, c.files, change)
				a.mu.Lock()
				a.hello = hello("a1")
				a.mu.Unlock()
			} else {
				a = openNode(t, hello("a1"), c.files, change)
			}
			for range 3 {
				_, err := a.dialRaft(t, b.addr())
				if err == nil || !strings.Contains(err.Error(), c.caller) {
					t.Fatalf("%v", err)
				}
			}
			eventually(t, "said", func() bool { return b.journal.count(c.called) > 0 })
			if b.journal.count("level=WARN") != 1 || b.journal.count("code="+c.code) != 1 {
				t.Errorf("%s", b.journal)
			}
			if a.journal.count("level=WARN") != 1 {
				t.Errorf("%s", a.journal)
			}
			connect(t, openNode(t, hello("a1"), ca.files("a1"), nil), b, kindRaft)
		})
	}
}

// TestCalledShowsWrongCertificate: the one who calls looks as closely.
func TestCalledShowsWrongCertificate(t *testing.T) {
	ca := newAuthority(t)
	a := openNode(t, hello("a1"), ca.files("a1"), nil)
	late := ca.issue("late", "shop", "b1", -time.Hour)
	for name, c := range map[string]struct {
		serve *Files
		want  string
	}{
		"expired":    {late, "expired"},
		"another CA": {newAuthority(t).files("b1"), "unknown authority"},
		"another node's": {ca.issue("c1", "shop", "c1", time.Hour),
			"shows a certificate for doorbuster://cluster/shop/node/c1"},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(c.serve.Cert, c.serve.Key)
			if err != nil {
				t.Fatal(err)
			}
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair},
				ClientAuth: tls.RequireAnyClientCert})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := listener.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if _, _, err := readPreamble(c); err == nil {
					frame, _ := appendFrame(nil, welcome, hello("b1"))
					c.Write(frame)
					c.Read(make([]byte, 1))
				}
			}()
			_, err = a.dialRPC(t, listener.Addr().String())
			listener.Close()
			<-done
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestForgedGeneration: a node stops only when the peer that says so proves who it
// is.
func TestForgedGeneration(t *testing.T) {
	ca := newAuthority(t)
	b := openNode(t, hello("b1"), ca.files("b1"), func(cfg *Config, _ *tuning) {
		cfg.Admit = func(Hello) error { return nil }
	})
	a := openNode(t, hello("a1"), ca.files("a1"), nil)
	certificate := a.credentials.current().certificate.Leaf
	for _, c := range []struct {
		told *Refusal
		want bool
	}{
		{&Refusal{Code: CodeGeneration, Generation: 4, Node: "a1"}, true},
		{&Refusal{Code: CodeGeneration, Generation: 4, Node: "c1"}, false},
		{&Refusal{Code: CodeGeneration, Generation: 4}, false},
	} {
		if got := b.credible(hello("b1"), c.told, certificate); got != c.want {
			t.Errorf("%+v: %t", c.told, got)
		}
	}
	// And when it calls: a1's certificate says nothing for c1.
	newer := hello("c1")
	newer.Generation = 9
	if err := b.judge(hello("b1"), newer, certificate); asRefusal(err, newer).Code != CodeIdentity {
		t.Error(err)
	}
}

// TestGarbage: what comes in is no handshake. The port says so once for each kind
// of it, and goes on.
func TestGarbage(t *testing.T) {
	frame := func(bytes ...byte) []byte { return append([]byte(magic), bytes...) }
	whole, err := appendFrame(nil, byte(kindRaft), hello("a1"))
	if err != nil {
		t.Fatal(err)
	}
	newest := append([]byte(nil), whole...)
	newest[4] = 7
	for name, c := range map[string]struct {
		send []byte
		code string // the answer's and the log's
		text string
		mute bool // the log's only
	}{
		"HTTP":          {[]byte("GET / HTTP/1.1\r\n\r\n"), CodeMalformed, `it begins with \"GET \"`, false},
		"TLS":           {[]byte("\x16\x03\x01\x02\x00\x01\x00"), CodeMalformed, "speaks TLS", false},
		"zeros":         {make([]byte, 8<<10), CodeMalformed, "it begins with", false},
		"version 0":     {frame(0, 1, 0, 2, '{', '}'), CodeMalformed, "version 0", false},
		"newer version": {newest, CodeVersion, "version 7 of the handshake, newer than this node's 1", false},
		"older build": {append([]byte("DBPR"), whole[4:]...), CodeVersion,
			"before version 1 of the formats", false},
		"unknown kind": {frame(1, 9, 0, 2, '{', '}'), CodeMalformed, "unknown kind 9", false},
		"too long":     {frame(1, 1, 0x10, 0x01), CodeMalformed, "claims 4097 bytes", false},
		"longest":      {frame(1, 1, 0xff, 0xff), CodeMalformed, "claims 65535 bytes", false},
		"no JSON":      {frame(1, 1, 0, 2, '{', '{'), CodeMalformed, "not the JSON", false},
		"empty":        {frame(1, 1, 0, 0), CodeMalformed, "not the JSON", false},
		"wrong JSON": {frame(append([]byte{1, 1, 0, 12}, `{"cluster":1`...)...),
			CodeMalformed, "not the JSON", false},
		"ids missing":      {frame(1, 1, 0, 2, '{', '}'), CodeMalformed, `cluster id \"\"`, false},
		"cut in the magic": {[]byte("DB"), "handshake", "unexpected EOF", true},
		"cut in the JSON":  {whole[:len(whole)-1], "handshake", "unexpected EOF", true},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			for _, secure := range []bool{false, true} {
				t.Run(map[bool]string{true: "TLS", false: "plain"}[secure], func(t *testing.T) {
					files := map[bool]*Files{true: ca.files("b1")}[secure]
					b := openNode(t, hello("b1"), files, nil)
					for range 3 {
						raw, err := net.Dial("tcp", b.addr())
						if err != nil {
							t.Fatal(err)
						}
						send := net.Conn(raw)
						if secure {
							send = ca.client(raw, "a1")
						}
						send.Write(c.send)
						if s, ok := send.(interface{ CloseWrite() error }); ok {
							s.CloseWrite()
						}
						_, told, err := readAnswer(send)
						if c.mute && err == nil || !c.mute &&
							(err != nil || told == nil || told.Code != c.code || told.Node != "b1") {
							t.Errorf("%v %v", told, err)
						}
						raw.Close()
					}
					eventually(t, "said", func() bool { return b.journal.count(c.text) > 0 })
					if b.journal.count("level=WARN") != 1 || b.journal.count("code="+c.code) != 1 {
						t.Errorf("%s", b.journal)
					}
				})
			}
		})
	}
}

// client is the TLS of a node by hand.
func (a *authority) client(raw net.Conn, node string) *tls.Conn {
	f := a.files(node)
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
}

// TestBelowTLS: what is no TLS, or not the TLS that a node speaks.
func TestBelowTLS(t *testing.T) {
	ca := newAuthority(t)
	plain, err := appendFrame(nil, byte(kindRPC), hello("a1"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func(raw net.Conn)
		code string
		text string
	}{
		"garbage": {func(raw net.Conn) { raw.Write(make([]byte, 64<<10)) }, CodeMalformed,
			"what it sends is not TLS"},
		"without TLS": {func(raw net.Conn) { raw.Write(plain) }, CodeMalformed, "speaks without TLS"},
		"no certificate": {func(raw net.Conn) {
			tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}, "handshake", "client didn't provide a certificate"},
		"TLS 1.2": {func(raw net.Conn) {
			tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}).Handshake()
		}, "handshake", "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			b := openNode(t, hello("b1"), ca.files("b1"), nil)
			for range 3 {
				raw, err := net.Dial("tcp", b.addr())
				if err != nil {
					t.Fatal(err)
				}
				c.do(raw)
				raw.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, raw)
				raw.Close()
			}
			eventually(t, "said", func() bool { return b.journal.count(c.text) > 0 })
			if b.journal.count("level=WARN") != 1 || b.journal.count("code="+c.code) != 1 {
				t.Errorf("%s", b.journal)
			}
		})
	}
	// Both ways round: a node without TLS calls one with it.
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), ca.files("b1"), nil)
	if _, err := a.dialRPC(t, b.addr()); err == nil || !strings.Contains(err.Error(), "the caller speaks without TLS") {
		t.Errorf("%v", err)
	}
	if _, err := b.dialRPC(t, a.addr()); err == nil || !strings.Contains(err.Error(), "it speaks without TLS") {
		t.Errorf("%v", err)
	}
}

// TestLookIn: a connection without a byte, as of a load balancer's check, is not
// worth a line.
func TestLookIn(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		b := openNode(t, hello("b1"), files("b1"), nil)
		raw, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		raw.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, raw)
		raw.Close()
		if b.journal.String() != "" {
			t.Errorf("%s", b.journal)
		}
	})
}

// TestSlow: one that never finishes its handshake is given up, and keeps nobody
// from meeting.
func TestSlow(t *testing.T) {
	both(t, func(t *testing.T, files func(string) *Files) {
		b := openNode(t, hello("b1"), files("b1"),
			func(_ *Config, tuned *tuning) { tuned.patience = 200 * time.Millisecond })
		raw, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		stop := make(chan struct{})
		dripped := make(chan struct{})
		go func() { // a byte at a time, forever
			defer close(dripped)
			first := []byte("DBP1\x01\x01\x10\x00")
			if files("x") != nil {
				first = []byte("\x16\x03\x01\x10\x00\x01\x00\x0f\xfc")
			}
			for i := 0; ; i++ {
				one := []byte{' '}
				if i < len(first) {
					one[0] = first[i]
				}
				if _, err := raw.Write(one); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		eventually(t, "given up", func() bool { return b.journal.count("code=slow") == 1 })
		eventually(t, "forgotten", func() bool {
			b.Port.mu.Lock()
			defer b.Port.mu.Unlock()
			return len(b.conns) == 0
		})
		close(stop)
		<-dripped
	})
}

// TestCrowd: more handshakes of one host than it may have at a time are closed,
// and the rest of the world is served.
func TestCrowd(t *testing.T) {
	b := openNode(t, hello("b1"), nil, nil)
	var held []net.Conn
	for range maxHandshakesOfAHost {
		raw, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		held = append(held, raw)
	}
	eventually(t, "all are in their handshake", func() bool {
		b.Port.mu.Lock()
		defer b.Port.mu.Unlock()
		return len(b.conns) == maxHandshakesOfAHost
	})
	for range 3 {
		raw, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		raw.SetReadDeadline(time.Now().Add(patience))
		if _, err := raw.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%v", err)
		}
		raw.Close()
	}
	eventually(t, "said once", func() bool { return b.journal.count("code=crowd") == 1 })
	// From another address of the loopback there is room.
	from, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", b.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	frame, _ := appendFrame(nil, byte(kindRPC), hello("a1"))
	from.Write(frame)
	if peer, told, err := readAnswer(from); err != nil || told != nil || peer.Node != "b1" {
		t.Errorf("%v %v %v", peer, told, err)
	}
	for _, raw := range held {
		raw.Close()
	}
	eventually(t, "room again", func() bool {
		b.Port.mu.Lock()
		defer b.Port.mu.Unlock()
		return len(b.conns) == 1 // the one from the other address
	})
	connect(t, openNode(t, hello("a1"), nil, nil), b, kindRaft)
}

// TestInboundBound: established connections are bounded too.
func TestInboundBound(t *testing.T) {
	b := openNode(t, hello("b1"), nil, nil)
	b.note(func() {
		for range maxInbound {
			b.conns[&conn{inbound: true, met: true, port: b.Port, raw: new(net.TCPConn)}] = struct{}{}
		}
	})
	a := openNode(t, hello("a1"), nil, nil)
	if _, err := a.dialRPC(t, b.addr()); err == nil {
		t.Error("welcome")
	}
	b.note(func() { clear(b.conns) })
	connect(t, a, b, kindRPC)
}

// TestAnswersAreBounded: the one who calls doesn't trust the answer either.
func TestAnswersAreBounded(t *testing.T) {
	a := openNode(t, hello("a1"), nil, nil)
	for name, say := range map[string]string{
		"garbage":        "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a huge frame":   "DBP1\x01\x00\xff\xff",
		"unknown status": "DBP1\x01\x07\x00\x02{}",
		"newer":          "DBP1\x02\x00\x00\x02{}",
		"no refusal":     "DBP1\x01\x01\x00\x01{",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.dialRPC(t, answering(t, []byte(say)))
			var why *Refusal
			if !errors.As(err, &why) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := a.dialRPC(t, answering(t, nil)); err == nil || !strings.Contains(err.Error(), "hung up") {
		t.Errorf("%v", err)
	}
}

// TestHugeFramesOnRaft: a gigabyte that is claimed, or sent, on Raft's stream is
// neither allocated nor read, by Raft's own transport as it is used.
func TestHugeFramesOnRaft(t *testing.T) {
	const gigabyte = "\x40\x00\x00\x00"
	big := func(head string) func(net.Conn) {
		return func(c net.Conn) {
			c.Write([]byte(head))
			fill := make([]byte, 64<<10)
			for range 64 << 20 / len(fill) {
				if _, err := c.Write(fill); err != nil {
					return
				}
			}
		}
	}
	// A batch of many fields, each of a size that may be.
	many := func(c net.Conn) {
		field := append([]byte("\xc6\x00\x20\x00\x00"), make([]byte, 2<<20)...)
		c.Write([]byte("\x00\x81\xa7Entries\xdc\x00\x20"))
		for range 32 {
			if _, err := c.Write(append([]byte("\x81\xa4Data"), field...)); err != nil {
				return
			}
		}
	}
	deep := func(c net.Conn) { c.Write([]byte("\x00\x81\xa1x" + strings.Repeat("\x91", 1<<20))) }
	for name, c := range map[string]struct {
		send func(net.Conn)
		want string
	}{
		"bytes claimed":  {big("\x00\x81\xa4Addr\xc6" + gigabyte), "a field claims 1073741824 bytes"},
		"string claimed": {big("\x01\x81\xa4Addr\xdb" + gigabyte), "a field claims 1073741824 bytes"},
		"list claimed": {big("\x00\x81\xa7Entries\xdd" + gigabyte),
			"a list or map claims 1073741824 values"},
		"map claimed":       {big("\x00\xdf" + gigabyte), "a list or map claims 2147483648 values"},
		"extension claimed": {big("\x00\x81\xa1x\xc9" + gigabyte), "a field claims 1073741824 bytes"},
		"snapshot's configuration": {big("\x02\x81\xadConfiguration\xc6" + gigabyte),
			"a field claims 1073741824 bytes"},
		"a message of lawful parts": {many, "a field claims 2097152 bytes"},
		"nested":                    {deep, "values are nested deeper than 16"},
		"no such request":           {big("\x05"), "there is no request of type 5"},
		"no such value":             {big("\x00\xc1"), "0xc1 begins no MessagePack value"},
		"the second message": {big("\x01\x80\x00\x81\xa4Addr\xc6" + gigabyte),
			"a field claims 1073741824 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
			transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
				Stream: b.Raft(), MaxPool: 3, Timeout: patience, MaxRPCsInFlight: 1, Logger: hclog.NewNullLogger(),
			})
			defer transport.Close()
			answered := make(chan struct{})
			go func() {
				for {
					select {
					case rpc := <-transport.Consumer():
						rpc.Respond(&raft.RequestVoteResponse{}, nil)
					case <-answered:
						return
					}
				}
			}()
			defer close(answered)
			out, err := a.dialRaft(t, b.addr())
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			before := allocated()
			c.send(out)
			eventually(t, "closed", func() bool {
				b.Port.mu.Lock()
				defer b.Port.mu.Unlock()
				return len(b.conns) == 0
			})
			// The lawful parts of one message, each grown with copies, make the most.
			if took := allocated() - before; took > 512<<20 {
				t.Errorf("%d MiB were allocated", took>>20)
			}
			if b.journal.count(c.want) != 1 || b.journal.count("level=WARN") != 1 {
				t.Errorf("%s", b.journal)
			}
			if name != "a message of lawful parts" && allocated()-before > 16<<20 {
				t.Errorf("%d MiB were allocated", (allocated()-before)>>20)
			}
		})
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestHugeAnswersOnRaft: the one who calls measures answers.
func TestHugeAnswersOnRaft(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	transport := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: a.Raft(), MaxPool: 3, Timeout: patience, MaxRPCsInFlight: 1, Logger: hclog.NewNullLogger(),
	})
	defer transport.Close()
	done := make(chan error)
	go func() {
		done <- transport.RequestVote("b1", raft.ServerAddress(b.addr()), &raft.RequestVoteRequest{},
			&raft.RequestVoteResponse{})
	}()
	in, err := b.Raft().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	before := allocated()
	in.Write(append([]byte("\xdb\x40\x00\x00\x00"), make([]byte, 8<<10)...))
	if err := <-done; err == nil || !strings.Contains(err.Error(), "a field claims 1073741824 bytes") {
		t.Errorf("%v", err)
	}
	if took := allocated() - before; took > 16<<20 {
		t.Errorf("%d MiB were allocated", took>>20)
	}
}

// TestReportsAreBounded: what is remembered of those who were turned away.
func TestReportsAreBounded(t *testing.T) {
	j := &journal{}
	r := newReports(slogTo(j))
	for range 2 {
		for i := range maxReports + 10 {
			r.warn(fmt.Sprintf("10.0.%d.%d", i/256, i%256), CodeCluster, "turned away")
		}
	}
	if n := j.count("turned away\""); n != maxReports || j.count("too many peers") != 1 || len(r.told) != maxReports {
		t.Errorf("%d lines, %d remembered", n, len(r.told))
	}
	r.good("10.0.0.1")
	r.warn("10.0.0.1", CodeCluster, "it came again")
	r.warn("10.0.0.1", CodeCluster, "it came again")
	if j.count("it came again") != 1 || len(r.told) != maxReports {
		t.Errorf("%d remembered", len(r.told))
	}
	for x := range r.told {
		r.told[x] = time.Now().Add(-2 * reportStays)
	}
	r.warn("10.1.0.0", CodeCluster, "room for another")
	if j.count("room for another") != 1 || len(r.told) != 1 {
		t.Errorf("%d remembered", len(r.told))
	}
}

// TestLoggedAgain: after a good handshake what is wrong is news again.
func TestLoggedAgain(t *testing.T) {
	old := hello("a1")
	old.Generation = 2
	a, b := openNode(t, old, nil, nil), openNode(t, hello("b1"), nil, nil)
	for round := range 3 {
		a.become(2)
		for range 3 {
			if _, err := a.dialRPC(t, b.addr()); err == nil {
				t.Fatal("welcome")
			}
		}
		for _, n := range []*testNode{a, b} {
			if n.journal.count("code=generation") != round+1 {
				t.Fatalf("round %d: %s", round, n.journal)
			}
		}
		a.become(3)
		connect(t, a, b, kindRPC)
	}
}
