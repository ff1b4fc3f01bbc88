package cluster

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"doorbuster/wal"
)

func openStore(t *testing.T, dir string) (*LogStore, *wal.Log) {
	t.Helper()
	cfg := wal.DefaultConfig(dir)
	cfg.SegmentBytes = wal.MinSegmentBytes
	cfg.TailCacheBytes = 2 << 10
	l, err := wal.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return NewLogStore(l), l
}

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand,
		Data:       fmt.Appendf(nil, "entry %d of term %d", index, term),
		AppendedAt: time.Unix(1_700_000_000, int64(index))}
}

func entries(from, to, term uint64) []*raft.Log {
	var es []*raft.Log
	for i := from; i <= to; i++ {
		es = append(es, entry(i, term))
	}
	return es
}

func checkStore(t *testing.T, s *LogStore, want []*raft.Log) {
	t.Helper()
	var first, last uint64
	if len(want) > 0 {
		first, last = want[0].Index, want[len(want)-1].Index
	}
	if f, _ := s.FirstIndex(); f != first {
		t.Fatalf("first index %d, want %d", f, first)
	}
	if l, _ := s.LastIndex(); l != last {
		t.Fatalf("last index %d, want %d", l, last)
	}
	for _, w := range want {
		var got raft.Log
		if err := s.GetLog(w.Index, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, *w) {
			t.Fatalf("entry %+v, want %+v", got, *w)
		}
	}
	for _, i := range []uint64{0, first - 1, last + 1} {
		var got raft.Log
		if err := s.GetLog(i, &got); err != raft.ErrLogNotFound {
			t.Fatalf("entry %d: error %v, want exactly raft.ErrLogNotFound", i, err)
		}
	}
}

func TestLogStoreKeepsEveryField(t *testing.T) {
	dir := t.TempDir()
	s, l := openStore(t, dir)
	want := []*raft.Log{
		{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: []byte{1, 2}},
		{Index: 2, Term: 1, Type: raft.LogNoop, Data: []byte{}, AppendedAt: time.Unix(0, 0)},
		{Index: 3, Term: 2, Type: raft.LogBarrier, Data: []byte{}, Extensions: []byte("ext"),
			AppendedAt: time.Unix(-5, 7)},
		{Index: 4, Term: 2, Type: raft.LogCommand, Data: make([]byte, 3*wal.MinSegmentBytes),
			AppendedAt: time.Unix(1_700_000_000, 123456789)},
	}
	if err := s.StoreLogs(want); err != nil {
		t.Fatal(err)
	}
	checkStore(t, s, want)
	l.Close()
	s, _ = openStore(t, dir)
	checkStore(t, s, want)
}

func TestLogStoreDeleteRange(t *testing.T) {
	for _, tc := range []struct {
		name             string
		lowest, highest  uint64
		wantFrom, wantTo uint64
		inside           bool
	}{
		{name: "front", lowest: 10, highest: 30, wantFrom: 31, wantTo: 100},
		{name: "front from before the first", lowest: 1, highest: 30, wantFrom: 31, wantTo: 100},
		{name: "back", lowest: 70, highest: 100, wantFrom: 10, wantTo: 69},
		{name: "back beyond the last", lowest: 70, highest: 200, wantFrom: 10, wantTo: 69},
		{name: "everything", lowest: 10, highest: 100},
		{name: "everything and more", lowest: 0, highest: ^uint64(0)},
		{name: "before the first", lowest: 1, highest: 9, wantFrom: 10, wantTo: 100},
		{name: "after the last", lowest: 101, highest: 200, wantFrom: 10, wantTo: 100},
		{name: "nothing, as RecoverCluster asks of an empty log", lowest: 0, highest: 0, wantFrom: 10, wantTo: 100},
		{name: "middle", lowest: 20, highest: 30, wantFrom: 10, wantTo: 100, inside: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := openStore(t, t.TempDir())
			if err := s.DeleteRange(0, 0); err != nil {
				t.Fatal("on an empty log: ", err)
			}
			if err := s.StoreLogs(entries(10, 100, 3)); err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteRange(tc.lowest, tc.highest); errors.Is(err, ErrDeleteInside) != tc.inside ||
				!tc.inside && err != nil {
				t.Fatal(err)
			}
			var want []*raft.Log
			next := uint64(200)
			if tc.wantTo > 0 {
				want = entries(tc.wantFrom, tc.wantTo, 3)
				next = tc.wantTo + 1
			}
			checkStore(t, s, want)
			more := entries(next, next+5, 4)
			if err := s.StoreLogs(more); err != nil {
				t.Fatal(err)
			}
			checkStore(t, s, append(want, more...))
		})
	}
}

// Raft compacts on one goroutine while it appends on another: what arrives in
// between must stay, even if everything that was there goes.
func TestLogStoreCompactsWhileAppending(t *testing.T) {
	s, _ := openStore(t, t.TempDir())
	const n = 2000
	if err := s.StoreLog(entry(1, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for {
			first, _ := s.FirstIndex()
			last, _ := s.LastIndex()
			if err := s.DeleteRange(first, last); err != nil || last >= n {
				done <- err
				return
			}
		}
	}()
	for i := uint64(2); i <= n; i++ {
		if err := s.StoreLog(entry(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	checkStore(t, s, nil)
}

func TestLogStoreDropIfBehind(t *testing.T) {
	for _, tc := range []struct {
		snapshot uint64
		dropped  bool
	}{{0, false}, {19, false}, {20, false}, {21, true}, {100, true}} {
		s, _ := openStore(t, t.TempDir())
		if err := s.DropIfBehind(tc.snapshot); err != nil {
			t.Fatal("on an empty log: ", err)
		}
		want := entries(1, 20, 1)
		if err := s.StoreLogs(want); err != nil {
			t.Fatal(err)
		}
		if err := s.DropIfBehind(tc.snapshot); err != nil {
			t.Fatal(err)
		}
		if tc.dropped {
			want = nil
		}
		checkStore(t, s, want)
	}
}

func TestLogStoreRefusesForeignRecords(t *testing.T) {
	s, l := openStore(t, t.TempDir())
	for i, meta := range [][]byte{nil, {1}, {9, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}} {
		if err := l.Append([]wal.Record{{Index: uint64(i + 1), Meta: meta}}); err != nil {
			t.Fatal(err)
		}
		var e raft.Log
		if err := s.GetLog(uint64(i+1), &e); err == nil || err == raft.ErrLogNotFound {
			t.Errorf("record %d with meta %v: error %v", i+1, meta, err)
		}
	}
}

// member is a real Raft node over a LogStore on disk, with a state machine that
// lists what it was told.
type member struct {
	dir   string
	id    raft.ServerID
	log   *wal.Log
	store *LogStore
	stab  *raft.InmemStore
	snaps *raft.FileSnapshotStore
	trans *raft.InmemTransport
	fsm   *listFSM
	raft  *raft.Raft
}

type listFSM struct {
	mu    sync.Mutex
	lines []string
}

func (f *listFSM) Apply(l *raft.Log) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, string(l.Data))
	return nil
}

func (f *listFSM) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return listSnapshot(strings.Join(f.lines, "\n")), nil
}

func (f *listFSM) Restore(r io.ReadCloser) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = strings.Split(string(b), "\n")
	return nil
}

func (f *listFSM) has(lines int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) >= lines
}

func (f *listFSM) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines, "\n")
}

type listSnapshot string

func (s listSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := io.WriteString(sink, string(s)); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (listSnapshot) Release() {}

func quickRaft(id raft.ServerID) *raft.Config {
	cfg := raft.DefaultConfig()
	cfg.LocalID = id
	cfg.HeartbeatTimeout = 200 * time.Millisecond
	cfg.ElectionTimeout = 200 * time.Millisecond
	cfg.LeaderLeaseTimeout = 150 * time.Millisecond
	cfg.CommitTimeout = 5 * time.Millisecond
	cfg.SnapshotInterval = time.Hour
	cfg.TrailingLogs = 5
	cfg.Logger = hclog.NewNullLogger()
	return cfg
}

// start opens the member's log, as after a restart of its process.
func (m *member) start(t *testing.T) {
	t.Helper()
	m.open(t)
	_, m.trans = raft.NewInmemTransport(raft.ServerAddress(m.id))
	m.run(t)
}

func (m *member) open(t *testing.T) {
	t.Helper()
	m.store, m.log = openStore(t, filepath.Join(m.dir, "wal"))
	var err error
	if m.snaps, err = raft.NewFileSnapshotStore(m.dir, 1, io.Discard); err != nil {
		t.Fatal(err)
	}
	m.fsm = &listFSM{}
}

func (m *member) run(t *testing.T) {
	t.Helper()
	var err error
	if m.raft, err = raft.NewRaft(quickRaft(m.id), m.fsm, m.store, m.stab, m.snaps, m.trans); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.stop(t) })
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	if m.raft == nil {
		return
	}
	if err := m.raft.Shutdown().Error(); err != nil {
		t.Error(err)
	}
	if err := m.log.Close(); err != nil {
		t.Error(err)
	}
	m.raft = nil
}

type members []*member

// startMembers starts a cluster of n. Each is reachable by all.
func startMembers(t *testing.T, n int) members {
	t.Helper()
	var ms members
	var cfg raft.Configuration
	for i := range n {
		m := &member{dir: t.TempDir(), id: raft.ServerID(fmt.Sprintf("n%d", i)), stab: raft.NewInmemStore()}
		m.start(t)
		ms = append(ms, m)
		cfg.Servers = append(cfg.Servers, raft.Server{ID: m.id, Address: m.trans.LocalAddr()})
	}
	ms.connect()
	if err := ms[0].raft.BootstrapCluster(cfg).Error(); err != nil {
		t.Fatal(err)
	}
	return ms
}

func (ms members) connect() {
	for _, a := range ms {
		for _, b := range ms {
			a.trans.Connect(b.trans.LocalAddr(), b.trans)
		}
	}
}

func (ms members) isolate(m *member) {
	m.trans.DisconnectAll()
	for _, other := range ms {
		other.trans.Disconnect(m.trans.LocalAddr())
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: ", what)
		}
	}
}

func (ms members) leader(t *testing.T) *member {
	t.Helper()
	var leader *member
	eventually(t, "a leader", func() bool {
		for _, m := range ms {
			if m.raft != nil && m.raft.State() == raft.Leader {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// apply has the commands committed by whoever leads. On a slow machine one can
// lose the lead over it; then it is tried again, and may be there twice.
func (ms members) apply(t *testing.T, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		eventually(t, fmt.Sprintf("command %d", i), func() bool {
			return ms.leader(t).raft.Apply(fmt.Appendf(nil, "command %d", i), time.Second).Error() == nil
		})
	}
}

func (ms members) agree(t *testing.T, lines int) {
	t.Helper()
	for _, m := range ms {
		eventually(t, fmt.Sprintf("%s has %d commands", m.id, lines), func() bool { return m.fsm.has(lines) })
		if got, want := m.fsm.String(), ms[0].fsm.String(); got != want {
			t.Fatalf("%s has %q, %s has %q", m.id, got, ms[0].id, want)
		}
	}
}

// A follower that was away finds the log it needs compacted away: Raft installs
// a snapshot, deletes its whole log and goes on behind the snapshot.
func TestRaftInstallsSnapshotOverLog(t *testing.T) {
	ms := startMembers(t, 3)
	ms.apply(t, 1, 20)
	ms.agree(t, 20)
	away := ms[0]
	if away == ms.leader(t) {
		away = ms[1]
	}
	last := away.log.LastIndex()
	away.stop(t)
	ms.apply(t, 21, 100)
	for _, m := range ms {
		if m == away {
			continue
		}
		if err := m.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if first := m.log.FirstIndex(); first <= last+1 {
			t.Fatalf("%s still has %d: nothing to show", m.id, first)
		}
	}
	away.start(t)
	ms.connect()
	ms.agree(t, 100)
	ms.apply(t, 101, 120)
	ms.agree(t, 120)
	if first := away.log.FirstIndex(); first <= last+1 {
		t.Fatalf("the follower's log begins at %d: it was not deleted", first)
	}
	// And once more from what is on disk.
	away.stop(t)
	away.start(t)
	ms.connect()
	ms.agree(t, 120)
}

// A leader that was cut off has entries that nobody else has: when it comes
// back, Raft deletes them from the back and stores others in their place.
func TestRaftOverrulesEntries(t *testing.T) {
	ms := startMembers(t, 3)
	ms.apply(t, 1, 20)
	ms.agree(t, 20)
	old := ms.leader(t)
	ms.isolate(old)
	before := old.log.LastIndex()
	var lost []raft.ApplyFuture
	for i := range 10 {
		lost = append(lost, old.raft.Apply(fmt.Appendf(nil, "lost %d", i), 0))
	}
	eventually(t, "lost entries on disk", func() bool { return old.log.LastIndex() > before })
	for _, f := range lost {
		if f.Error() == nil {
			t.Fatal("committed without a quorum")
		}
	}
	var rest members
	for _, m := range ms {
		if m != old {
			rest = append(rest, m)
		}
	}
	rest.apply(t, 21, 60)
	ms.connect()
	ms.agree(t, 60)
	if s := old.fsm.String(); strings.Contains(s, "lost") {
		t.Fatal(s)
	}
	old.stop(t)
	old.start(t)
	ms.connect()
	ms.agree(t, 60)
}

// RecoverCluster turns the whole log into a snapshot and deletes it.
func TestRaftRecoverCluster(t *testing.T) {
	ms := startMembers(t, 3)
	ms.apply(t, 1, 30)
	ms.agree(t, 30)
	survivor := ms[2]
	last := survivor.log.LastIndex()
	for _, m := range ms {
		m.stop(t)
	}
	survivor.open(t)
	_, survivor.trans = raft.NewInmemTransport(raft.ServerAddress(survivor.id))
	alone := raft.Configuration{Servers: []raft.Server{{ID: survivor.id, Address: survivor.trans.LocalAddr()}}}
	if err := raft.RecoverCluster(quickRaft(survivor.id), &listFSM{}, survivor.store, survivor.stab, survivor.snaps,
		survivor.trans, alone); err != nil {
		t.Fatal(err)
	}
	if got := survivor.log.LastIndex(); got != 0 {
		t.Fatalf("the log still ends at %d", got)
	}
	survivor.run(t)
	members{survivor}.apply(t, 31, 40)
	if first := survivor.log.FirstIndex(); first != last+1 {
		t.Fatalf("the log goes on at %d, want %d", first, last+1)
	}
	members{survivor}.agree(t, 40)
}

// A crash after a snapshot was installed and before the log was deleted leaves
// a log that ends before the snapshot.
func TestRaftLogBehindSnapshot(t *testing.T) {
	ms := startMembers(t, 1)
	m := ms[0]
	ms.apply(t, 1, 10)
	m.stop(t)
	m.open(t)
	_, m.trans = raft.NewInmemTransport(raft.ServerAddress(m.id))
	configuration := raft.Configuration{Servers: []raft.Server{{ID: m.id, Address: m.trans.LocalAddr()}}}
	const index = 500
	sink, err := m.snaps.Create(1, index, 9, configuration, 1, m.trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := listSnapshot("from\nelsewhere").Persist(sink); err != nil {
		t.Fatal(err)
	}
	if err := m.store.DropIfBehind(index); err != nil {
		t.Fatal(err)
	}
	m.run(t)
	ms.apply(t, 11, 12)
	if first := m.log.FirstIndex(); first != index+1 {
		t.Fatalf("the log goes on at %d, want %d", first, index+1)
	}
	if got := m.fsm.String(); got != "from\nelsewhere\ncommand 11\ncommand 12" {
		t.Fatalf("%q", got)
	}
}

func BenchmarkStoreLogs(b *testing.B) {
	l, err := wal.Open(wal.DefaultConfig(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	s := NewLogStore(l)
	e := &raft.Log{Term: 1, Data: make([]byte, 16<<10), AppendedAt: time.Now()}
	b.SetBytes(int64(len(e.Data)))
	b.ReportAllocs()
	for b.Loop() {
		e.Index++
		if err := s.StoreLog(e); err != nil {
			b.Fatal(err)
		}
		if e.Index%4096 == 0 {
			if err := s.DeleteRange(1, e.Index-1000); err != nil {
				b.Fatal(err)
			}
		}
	}
}
