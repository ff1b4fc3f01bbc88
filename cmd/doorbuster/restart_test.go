package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// openBare serves dir in this process without run, so that a test can look at
// the state itself. It is closed by the test's end, or by closing.
func openBare(t *testing.T, dir string, how func(*Config), more ...string) (s *nodetest.Shop, n *node, closing func()) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(nodetest.ServeArgs(dir, more...)[1:]); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	if how != nil {
		how(&cfg)
	}
	s = &nodetest.Shop{T: t, Dir: dir, Logs: nodetest.NewLogBook()}
	var log io.Writer = s.Logs
	if cfg.logSink != nil {
		log = io.MultiWriter(s.Logs, cfg.logSink)
	}
	if n, err = openNode(cfg, cfg.newLogger(log)); err != nil {
		t.Fatal(err)
	}
	s.HTTP, s.Admin = "http://"+n.shopperListener.Addr().String(), n.adminListener.Addr().String()
	open := true
	closing = func() {
		if open {
			open = false
			if err := n.close(t.Context()); err != nil {
				t.Errorf("%v:\n%s", err, s.Logs)
			}
		}
	}
	t.Cleanup(func() {
		if open {
			n.close(t.Context()) // the test has failed already, or does not mind
		}
	})
	s.Eventually(func() bool { return n.cluster.Ready() == nil }, s.Logs.String)
	return s, n, closing
}

// hashOf gives the hash of the node's state, and the log index that it is of.
func hashOf(n *node) (sum [sha256.Size]byte, at engine.LogIndex) {
	n.cluster.View(func(s *engine.State) { sum, at = s.Hash(), s.LogIndex() })
	return sum, at
}

// replay gives the hash of what a directory's log comes to at an index, without
// any of what a node does beside.
func replay(t *testing.T, dir string, to engine.LogIndex) (sum [sha256.Size]byte) {
	t.Helper()
	state := engine.NewState()
	first := true
	_, err := wal.Dump(vfs.OS(), cluster.WALDir(dir), wal.Known{}, func(e wal.Entry) error {
		if first && e.Index != 1 {
			t.Fatalf("the log begins at %d: nothing to replay from", e.Index)
		}
		first = false
		if kind, err := cluster.EntryType(e.Record); err != nil || kind != "command" || e.Index > uint64(to) {
			return err
		}
		return state.Apply(engine.LogIndex(e.Index), append([]byte(nil), e.Data...), new(engine.Effects))
	})
	if err != nil {
		t.Fatal(err)
	}
	return state.Hash()
}

// A node that comes back, from its log or from a snapshot and the rest of the
// log, is byte for byte the node that it was.
func TestRestartIsTheSameState(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.PlanOf([]string{"{sku: mask, price: 100, stock: 50}",
		"{sku: mug, price: 200, stock: 5, limit_per_shopper: 2}"}, "limit_per_shopper: 0"))
	told := map[string]nodetest.Order{}
	sell := func(round string) {
		for i := range 8 {
			shopper := fmt.Sprintf("%s%d", round, i)
			o := s.MustGrant(shopper, "k", nodetest.Mask)
			switch i % 4 {
			case 1:
				s.Pay(o, round+"p"+shopper)
			case 2:
				s.CancelOrder(shopper, o.OrderNo)
			case 3:
				s.Do("PUT", s.HTTP+"/v1/orders/"+o.OrderNo+"/receiver", `{"name":"王小明","phone":"1","street":"Road 1"}`,
					"X-Shopper-Id", shopper)
			}
			told[shopper] = o
		}
	}
	same := func(when string) {
		t.Helper()
		live, at := hashOf(n)
		if replayed := replay(t, s.Dir, at); replayed != live {
			t.Errorf("%s: at log index %d the node has %x, its log comes to %x", when, at, live, replayed)
		}
	}
	sell("a")
	same("at first")
	before := s.Orders()
	closing()

	s, n, closing = openBare(t, s.Dir, nil)
	same("after a restart from the log")
	s.StillThere(told)
	if after := s.Orders(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("orders were\n%v\nare\n%v", before, after)
	}
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	sell("b")
	same("after a snapshot")
	before = s.Orders()
	closing()

	s, n, closing = openBare(t, s.Dir, nil)
	same("after a restart from the snapshot and the log behind it")
	s.StillThere(told)
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	closing()
	s, n, closing = openBare(t, s.Dir, nil)
	same("after a restart from a snapshot of everything")
	if after := s.Orders(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("orders were\n%v\nare\n%v", before, after)
	}
	// Keys, limits and releases are remembered too.
	if again := s.MustGrant("a0", "k", nodetest.Mask); again.OrderNo != told["a0"].OrderNo {
		t.Errorf("%+v, not %+v", again, told["a0"])
	}
	s.MustRefuse("limit_reached", "b1", "other", nodetest.Mask)
	closing()
}

// Snapshots are taken by bytes of log, by the node itself, and old ones go.
func TestSnapshotsByThemselves(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), func(c *Config) { c.Disk.SnapshotBytes = 1 << 10 })
	s.Apply(nodetest.Masks(1_000_000))
	told := map[string]nodetest.Order{}
	snapshots := func() []string {
		names, err := filepath.Glob(filepath.Join(s.Dir, "snapshots", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	seen := map[string]bool{}
	look := func() (news bool) {
		for _, name := range snapshots() {
			news = news || !seen[name]
			seen[name] = true
		}
		return news
	}
	for range 3 { // each comes after as much log as the one before it has
		s.Eventually(func() bool {
			shopper := fmt.Sprintf("s%d", len(told))
			told[shopper] = s.MustGrant(shopper, "k", nodetest.Mask)
			return look()
		}, func() string { return fmt.Sprintf("no snapshot but %v:\n%s", seen, s.Logs) })
	}
	live, at := hashOf(n)
	if replayed := replay(t, s.Dir, at); replayed != live {
		t.Errorf("at log index %d the node has %x, its log comes to %x", at, live, replayed)
	}
	closing()
	s, _, closing = openBare(t, s.Dir, nil)
	s.StillThere(told)
	if c := s.Counts(nodetest.Mask); c.Held != int64(len(told)) {
		t.Errorf("%d hold: %+v", len(told), c)
	}
	closing()
	if names := snapshots(); len(names) > 2 {
		t.Errorf("old snapshots stay: %v", names)
	}
}

// A damaged newest snapshot must not make a node forget: it says so and ends, or
// goes on from an older one and the log.
func TestDamagedSnapshot(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.Masks(50))
	told := map[string]nodetest.Order{"alice": s.MustGrant("alice", "k", nodetest.Mask)}
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	told["bob"] = s.MustGrant("bob", "k", nodetest.Mask)
	closing()
	names, err := filepath.Glob(filepath.Join(s.Dir, "snapshots", "*", "state.bin"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v %v", names, err)
	}
	nodetest.Edit(t, names[0], func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
	status, _, errs := runTool(t, "", nodetest.ServeArgs(s.Dir)...)
	if status != 1 || !strings.Contains(errs, "snapshot") {
		t.Errorf("status %d: %s", status, errs)
	}
}

// TestDamagedSnapshotBesideAnother: a node whose newest snapshot is damaged begins with an older
// one, and says so until it is started without.
func TestDamagedSnapshotBesideAnother(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.Masks(50))
	snapshots := func() []string {
		names, err := filepath.Glob(filepath.Join(s.Dir, "snapshots", "*", "state.bin"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	told := map[string]nodetest.Order{}
	for _, shopper := range []string{"alice", "bob"} {
		told[shopper] = s.MustGrant(shopper, "k", nodetest.Mask)
		if err := n.cluster.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	closing()
	names := snapshots()
	if len(names) != 2 {
		t.Fatal(names)
	}
	newest := names[1]
	nodetest.Edit(t, newest, func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
	s, _, closing = openBare(t, s.Dir, nil)
	s.StillThere(told)
	s.Raised("snapshot_damaged")
	closing()
	if err := os.RemoveAll(filepath.Dir(newest)); err != nil {
		t.Fatal(err)
	}
	s, _, closing = openBare(t, s.Dir, nil)
	s.Healed("snapshot_damaged")
	closing()
}

// TestMalformedEntry: an entry of the log that no build should have written is skipped, and is an
// alarm until the node is started from a snapshot behind it.
func TestMalformedEntry(t *testing.T) {
	t.Parallel()
	s, n, closing := openBare(t, t.TempDir(), nil)
	s.Apply(nodetest.Masks(50))
	cut := engine.EncodeBatch(engine.BatchHeader{}, engine.Command{Kind: engine.CmdOpenEpoch})
	if _, err := n.cluster.Propose(cut[:len(cut)-1])(); !errors.Is(err, engine.ErrMalformed) {
		t.Fatal(err)
	}
	s.Raised("log_malformed")
	s.MustGrant("alice", "k", nodetest.Mask)
	if err := n.cluster.Snapshot(); err != nil {
		t.Fatal(err)
	}
	closing()
	s, _, closing = openBare(t, s.Dir, nil)
	s.Healed("log_malformed")
	s.MustGrant("bob", "k", nodetest.Mask)
	closing()
}

// Connections that are open and say nothing, or only half of it, don't keep a
// node from stopping.
func TestStopWithIdleConnections(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	for _, addr := range []string{strings.TrimPrefix(s.HTTP, "http://"), s.Admin} {
		silent, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		used, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer used.Close()
		fmt.Fprintf(used, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(used), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
	}
	s.Stop()
}

// A request that is half sent when the stop begins is answered or cut off, and
// the stop does not wait for ever.
func TestStopWithASlowSender(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(1))
	slow, err := net.Dial("tcp", strings.TrimPrefix(s.HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "POST /v1/sessions/day/skus/mask/grab HTTP/1.1\r\nHost: x\r\nX-Shopper-Id: s\r\nContent-Length: "+
		"14\r\n\r\n{\"quan")
	s.Stop()
}

// Ready means ready; alive means alive.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	for path, want := range map[string]string{"/livez": `{"live":true}`, "/readyz": `{"ready":true}`} {
		if a := s.Ops("GET", path, ""); a.Status != 200 || strings.TrimSpace(a.Body) != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	s.Apply(nodetest.Masks(1))
	s.MustGrant("alice", "", nodetest.Mask)
	metrics := s.Ops("GET", "/metrics", "").Body
	for _, want := range []string{"doorbuster_leader 1", `doorbuster_grabs_total{code="granted"} 1`,
		"doorbuster_wal_fsync_seconds_count", "doorbuster_listings_frozen_total 0",
		"doorbuster_applied_index ", "doorbuster_http_connections{", "go_goroutines", "process_open_fds"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	for _, line := range strings.Split(metrics, "\n") {
		if name, found := strings.CutPrefix(line, "# HELP "); found && !strings.HasPrefix(name, "doorbuster_") &&
			!strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("a metric without our prefix: %s", name)
		}
	}
	a := s.Ops("GET", "/admin/v1/cluster", "")
	for _, want := range []string{`"leader":"n1"`, `"id":"n1"`, `"zone":"z1"`, `"role":"leader"`, `"reachable":true`,
		`"applied_index":`} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("no %s in %s", want, a.Body)
		}
	}
}

// Many listings cost a little memory each, not an actor: those are started by
// the first grab.
func TestManyListings(t *testing.T) {
	t.Parallel()
	const listings = 2000
	var plan strings.Builder
	plan.WriteString("products:\n")
	for i := range listings {
		fmt.Fprintf(&plan, "  - {id: p%d, currency: CNY}\n", i)
	}
	plan.WriteString("sales:\n  - id: sale\n    sessions:\n")
	for i := range listings {
		if i%500 == 0 {
			fmt.Fprintf(&plan,
				"      - id: day%d\n        start: now\n        limit_per_shopper: 0\n        listings:\n", i/500)
		}
		fmt.Fprintf(&plan, "          - {sku: p%d, price: 1, stock: 10}\n", i)
	}
	s, _, closing := openBare(t, t.TempDir(), nil)
	s.Apply(plan.String())
	told := map[string]nodetest.Order{}
	for i := 0; i < listings; i += 100 {
		told[fmt.Sprintf("s%d", i)] = s.MustGrant(fmt.Sprintf("s%d", i), "k", fmt.Sprintf("day%d/p%d", i/500, i))
	}
	if out := s.Apply(plan.String()); !strings.Contains(out, "nothing to change") {
		t.Errorf("applied again: %s", out)
	}
	closing()
	var n *node
	s, n, closing = openBare(t, s.Dir, nil)
	if actors := n.office.Stats().Actors; actors != 0 {
		t.Errorf("%d actors before the first grab", actors)
	}
	s.StillThere(told)
	s.MustGrant("s0", "k", "day0/p0")
	s.MustGrant("new", "k", "day3/p1999")
	if actors := n.office.Stats().Actors; actors < 1 || actors > 2 {
		t.Errorf("%d actors after two grabs", actors)
	}
	closing()
}

// A daily session is one session a day at the sale's own time of day, also when
// the clocks change in between.
func TestDailySessionsOverAClockChange(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	// Berlin puts its clocks forward on 28 March 2038, and back on 31 October.
	s.Apply(`products:
  - {id: mask, currency: EUR}
sales:
  - id: spring
    timezone: Europe/Berlin
    sessions:
      - id: morning
        daily: {from: 2038-03-27, until: 2038-03-29, at: "10:00"}
        duration: 1h
        listings: [{sku: mask, price: 100, stock: 7}]
      - id: night
        daily: {from: 2038-10-30, until: 2038-11-01, at: "02:30"}
        duration: 30m
        listings: [{sku: mask, price: 100, stock: 7}]
`)
	for id, want := range map[string][2]string{
		"morning-20380327": {"2038-03-27T09:00:00Z", "2038-03-27T10:00:00Z"},
		"morning-20380328": {"2038-03-28T08:00:00Z", "2038-03-28T09:00:00Z"},
		"morning-20380329": {"2038-03-29T08:00:00Z", "2038-03-29T09:00:00Z"},
		"night-20381030":   {"2038-10-30T00:30:00Z", "2038-10-30T01:00:00Z"},
		"night-20381031":   {"2038-10-31T00:30:00Z", "2038-10-31T01:00:00Z"}, // half past two, the first time
		"night-20381101":   {"2038-11-01T01:30:00Z", "2038-11-01T02:00:00Z"},
	} {
		a := s.Ops("GET", "/admin/v1/sessions/"+id, "")
		if a.Status != 200 || !strings.Contains(a.Body, `"start":"`+want[0]) ||
			!strings.Contains(a.Body, `"end":"`+want[1]) {
			t.Errorf("%s: %d %s; not %v", id, a.Status, a.Body, want)
		}
		if c := s.Counts(id + "/mask"); c.Stock != 7 || c.State != "published" {
			t.Errorf("%s: %+v", id, c)
		}
		s.MustRefuse("not_open", "alice", "", id+"/mask")
	}
	if n := len(s.EveryListing()); n != 6 {
		t.Errorf("%d listings", n)
	}
}
