package peer

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replace puts the files of one certificate in the place of another's, as an
// operator does: by renaming, one after the other.
func replace(t *testing.T, old, by *Files) {
	t.Helper()
	for _, pair := range [][2]string{{by.CA, old.CA}, {by.Key, old.Key}, {by.Cert, old.Cert}} {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRotation: a certificate has expired, and is replaced on disk. The port takes
// the new one without a restart, on both sides of a connection; what is connected
// stays so.
func TestRotation(t *testing.T) {
	ca := newAuthority(t)
	var ahead atomic.Int64 // of the clock that certificates are checked by
	clock := func(_ *Config, tuned *tuning) {
		tuned.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	aFiles, bFiles := ca.issue("a1", "shop", "a1", time.Hour), ca.issue("b1", "shop", "b1", 20*time.Hour)
	a, b := openNode(t, hello("a1"), aFiles, clock), openNode(t, hello("b1"), bFiles, clock)
	out, in := connect(t, a, b, kindRaft)

	ahead.Store(int64(2 * time.Hour))
	for _, dial := range []func() (net.Conn, error){
		func() (net.Conn, error) { return a.dialRPC(t, b.addr()) },
		func() (net.Conn, error) { return b.dialRPC(t, a.addr()) },
	} {
		if _, err := dial(); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Fatalf("%v", err)
		}
	}
	replace(t, aFiles, ca.issue("a1-new", "shop", "a1", 20*time.Hour))
	connect(t, a, b, kindRPC)
	connect(t, b, a, kindRaft)
	exchangeBytes(t, out, in)
	if a.journal.count("certificate files were replaced") != 1 {
		t.Errorf("%s", a.journal)
	}
}

// TestRotationOfCA: nodes first trust both CAs, then get certificates of the new
// one, then trust it alone. At each step they meet.
func TestRotationOfCA(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	aFiles, bFiles := old.files("a1"), old.files("b1")
	a, b := openNode(t, hello("a1"), aFiles, nil), openNode(t, hello("b1"), bFiles, nil)
	meet := func(step string) {
		t.Helper()
		for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
			out, err := pair[0].dialRPC(t, pair[1].addr())
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			out.Close()
		}
	}
	meet("at first")
	both := append(append([]byte(nil), old.pair.Cert...), next.pair.Cert...)
	for _, f := range []*Files{aFiles, bFiles} {
		old.write(f.CA, both)
		meet("one more trusts both")
	}
	for node, f := range map[string]*Files{"a1": aFiles, "b1": bFiles} {
		by := next.issue(node+"-next", "shop", node, time.Hour)
		next.write(by.CA, both)
		replace(t, f, by)
		meet("one more has a new certificate")
	}
	for _, f := range []*Files{aFiles, bFiles} {
		next.write(f.CA, next.pair.Cert)
		meet("one more trusts the new one alone")
	}
	if _, err := openNode(t, hello("c1"), old.files("c1"), nil).dialRPC(t, b.addr()); err == nil {
		t.Error("the old CA is still trusted")
	}
}

// TestWithdrawnCA: what was connected by a CA ends once that is not trusted any more;
// what was by another goes on.
func TestWithdrawnCA(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	both := append(append([]byte(nil), old.pair.Cert...), next.pair.Cert...)
	aFiles, bFiles, cFiles := next.files("a1"), old.files("b1"), next.files("c1")
	for _, f := range []*Files{aFiles, bFiles, cFiles} {
		next.write(f.CA, both)
	}
	looks := func(_ *Config, tuned *tuning) { tuned.lookAtFiles = 5 * time.Millisecond }
	a, b, c := openNode(t, hello("a1"), aFiles, looks), openNode(t, hello("b1"), bFiles, nil),
		openNode(t, hello("c1"), cFiles, nil)
	toOld, _ := connect(t, a, b, kindRaft)
	fromOld, _ := connect(t, b, a, kindRPC)
	out, in := connect(t, a, c, kindRaft)
	next.write(aFiles.CA, next.pair.Cert)
	for _, conn := range []net.Conn{toOld, fromOld} {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		var late net.Error
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &late) && late.Timeout() {
			t.Errorf("a connection by a CA that was withdrawn goes on: %v", err)
		}
	}
	exchangeBytes(t, out, in)
}

// TestBrokenRotation: new files that are not good leave the old ones in use, and
// are complained about once each.
func TestBrokenRotation(t *testing.T) {
	ca := newAuthority(t)
	files := ca.files("a1")
	a, b := openNode(t, hello("a1"), files, nil), openNode(t, hello("b1"), ca.files("b1"), nil)
	lines := 0
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"no PEM", func() { ca.write(files.Cert, []byte("no PEM at all")) }, "failed to find any PEM data"},
		{"gone", func() { os.Remove(files.Cert) }, "no such file"},
		{"another's key", func() {
			*files = *ca.files("a1")
			os.Rename(ca.files("k1").Key, files.Key)
		}, "private key does not match"},
		{"another node's", func() { replace(t, files, ca.files("c1")) }, "is for doorbuster://cluster/shop/node/c1"},
		{"expired", func() { replace(t, files, ca.issue("old", "shop", "a1", -time.Hour)) }, "expired"},
		{"another CA's", func() {
			replace(t, files, ca.issue("again", "shop", "a1", time.Hour))
			ca.write(files.CA, newAuthority(t).pair.Cert)
		}, "unknown authority"},
		{"huge", func() { ca.write(files.CA, make([]byte, maxPEMBytes+1)) }, "is over 1048576 bytes"},
	} {
		step.do()
		for range 3 {
			out, err := a.dialRPC(t, b.addr())
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			out.Close()
			out, err = b.dialRPC(t, a.addr())
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			out.Close()
		}
		lines++
		if a.journal.count("level=ERROR") != lines || a.journal.count(step.want) != 1 {
			t.Errorf("%s:\n%s", step.name, a.journal)
		}
	}
	ca.write(files.CA, ca.pair.Cert)
	replace(t, files, ca.issue("good", "shop", "a1", time.Hour))
	connect(t, a, b, kindRPC)
	if a.journal.count("certificate files were replaced") != 1 {
		t.Errorf("%s", a.journal)
	}
}

// TestFilesAreLookedAtSeldom: handshakes in a row cost one look at the disk.
func TestFilesAreLookedAtSeldom(t *testing.T) {
	ca := newAuthority(t)
	files := ca.files("a1")
	a := openNode(t, hello("a1"), files, func(_ *Config, tuned *tuning) { tuned.lookAtFiles = time.Hour })
	b := openNode(t, hello("b1"), ca.files("b1"), nil)
	os.Remove(files.Cert)
	connect(t, a, b, kindRPC)
	if a.journal.String() != "" {
		t.Errorf("%s", a.journal)
	}
}
