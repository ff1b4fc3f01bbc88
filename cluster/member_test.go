package cluster

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/engine"
)

func TestMembershipThereAndBack(t *testing.T) {
	r := &Membership{Version: 7, ZoneAck: ZoneAckRequire, Preferred: "a", Operator: "ann", Note: "why",
		Members: []Member{{ID: "a1", Zone: "a", Kind: KindVoter, Peer: "10.0.0.1:1", Drained: true},
			{ID: "c1", Zone: "c", Kind: KindWitness, Peer: "h:2"}}}
	got, err := DecodeMembership(encodeMembership(r))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%v %+v", err, got)
	}
	if _, _, err := engine.DecodeBatch(encodeMembership(r)); err == nil {
		t.Error("the engine takes a membership for a batch")
	}
}

// TestSnapshotHeads: one from before version 1 of the formats is named, and what is
// none is malformed.
func TestSnapshotHeads(t *testing.T) {
	for before, want := range map[string]error{"engine's bytes": engine.ErrMalformed,
		"DBCLUST2....": engine.ErrOlderFormat, "": io.EOF, "DB": io.ErrUnexpectedEOF} {
		if _, err := readHead(strings.NewReader(before)); !errors.Is(err, want) {
			t.Errorf("%q: %v", before, err)
		}
	}
	var text bytes.Buffer
	if err := writeHead(&text, snapshotHead{Roster: &Membership{Version: 1, ZoneAck: ZoneAckOff}}); err != nil {
		t.Fatal(err)
	}
	text.WriteString("engine bytes")
	h, err := readHead(&text)
	b, _ := io.ReadAll(&text)
	if err != nil || h.Roster.Version != 1 || string(b) != "engine bytes" {
		t.Errorf("%v %v %q", err, h, b)
	}
}

func FuzzReadHead(f *testing.F) {
	var text bytes.Buffer
	if err := writeHead(&text, snapshotHead{Roster: &Membership{Version: 1, ZoneAck: ZoneAckOff}}); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte("DBSNAP01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHead(bytes.NewReader(b))
		if err == nil && h.Roster != nil && !h.Roster.ZoneAck.Valid() {
			t.Errorf("%+v", h)
		}
	})
}

// TestTracker: what a leader may conclude from what followers answered.
func TestTracker(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(1_000_000 + int64(ms)) }
	moves := 0
	k := newTracker(func(further bool) {
		if further {
			moves++
		}
	})
	k.answered("a2", 5, mark{5, 10}, at(1))
	k.answered("b1", 5, mark{5, 8}, at(2))
	k.answered("b1", 5, mark{5, 0}, at(9)) // a heartbeat: it is there, and says nothing of its disk
	k.answered("b1", 5, mark{5, 7}, at(3)) // an answer that was overtaken
	if got := k.furthest(5, []string{"b1"}); got != 8 {
		t.Errorf("b1 has %d", got)
	}
	if got := k.furthest(5, []string{"a2", "b1"}); got != 10 {
		t.Errorf("the furthest has %d", got)
	}
	if got := k.furthest(6, []string{"a2", "b1"}); got != 0 {
		t.Errorf("another term's leader knows %d", got)
	}
	if got := k.quorumAt(5, []string{"a2", "b1"}); !got.Equal(at(9)) {
		t.Errorf("of three, one other makes a quorum: %v", got)
	}
	if got := k.quorumAt(5, []string{"a2", "b1", "c1", "c2"}); !got.Equal(at(1)) {
		t.Errorf("of five, two others: %v", got)
	}
	if got := k.quorumAt(5, []string{"b1", "c1", "c2", "c3"}); !got.IsZero() {
		t.Errorf("one of four: %v", got)
	}
	if moves != 2 {
		t.Errorf("%d moves", moves)
	}
	k.answered("a2", 6, mark{6, 3}, at(20)) // a new term of this node: all is forgotten
	if k.furthest(6, []string{"b1"}) != 0 || k.furthest(6, []string{"a2"}) != 3 || k.furthest(5, []string{"a2"}) != 0 {
		t.Error("terms are mixed")
	}
	k.answered("b1", 5, mark{5, 100}, at(30))
	if k.furthest(6, []string{"b1"}) != 0 {
		t.Error("an answer of an older term counts")
	}
	k.reset("a2")
	if k.furthest(6, []string{"a2"}) != 0 {
		t.Error("a node that left is remembered")
	}
}

// TestFreshness: a follower is fresh for half a second after the moment at which
// it asked, once it has what the leader had then.
func TestFreshness(t *testing.T) {
	f := &freshness{began: time.Now().Add(-time.Hour)}
	if f.holds() {
		t.Error("fresh from the start")
	}
	now := time.Now()
	f.heard(10, now, 9)
	if f.holds() {
		t.Error("fresh without entry 10")
	}
	f.heard(12, now.Add(50*time.Millisecond), 9) // comes after what is wanted already
	f.reached(10)
	if !f.holds() {
		t.Error("not fresh with entry 10")
	}
	f.end()
	f.heard(10, now.Add(-time.Second), 10) // an answer that was a second on its way
	if f.holds() {
		t.Error("fresh by an old answer")
	}
	f.heard(11, now, 11)
	f.end()
	if f.holds() {
		t.Error("fresh after the end")
	}
}

func TestMemberValidate(t *testing.T) {
	good := Member{ID: "a1", Zone: "a", Kind: KindVoter, Peer: "h:1"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, m := range map[string]Member{
		"id":   {ID: "a 1", Zone: "a", Kind: KindVoter, Peer: "h:1"},
		"zone": {ID: "a1", Zone: "", Kind: KindVoter, Peer: "h:1"},
		"kind": {ID: "a1", Zone: "a", Kind: "king", Peer: "h:1"},
		"peer": {ID: "a1", Zone: "a", Kind: KindVoter, Peer: "nowhere"},
	} {
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestDirectoryOf: whose directory it is, and what became of it.
func TestDirectoryOf(t *testing.T) {
	dir := t.TempDir()
	d, err := claimDir(dir, dirVersion{Hello: peer.Hello{Node: "a1", Cluster: "shop", Generation: 1,
		Past: peer.Past{Incarnation: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.update(func(v *dirVersion) { v.Starts = 3 }), d.release()); err != nil {
		t.Fatal(err)
	}
	for want, first := range map[string]peer.Hello{
		`belongs to node "a1"`:          {Node: "a2", Cluster: "shop"},
		`of cluster "shop"`:             {Node: "a1", Cluster: "other"},
		`of cluster "shop"; this one's`: {Node: "a1"},
	} {
		if _, err := claimDir(dir, dirVersion{Hello: first}); !errors.Is(err, ErrDirectory) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if d, err = claimDir(dir, dirVersion{Hello: peer.Hello{Node: "a1", Cluster: "shop", Generation: 9,
		Past: peer.Past{Incarnation: "z"}}}); err != nil {
		t.Fatal(err)
	}
	if v := d.version(); v.Generation != 1 || v.Incarnation != "x" || v.Starts != 3 {
		t.Errorf("%+v", v)
	}
	if err := errors.Join(d.update(func(v *dirVersion) { v.Superseded = 2 }), d.release()); err != nil {
		t.Fatal(err)
	}
	if _, err := claimDir(dir, dirVersion{Hello: peer.Hello{Node: "a1", Cluster: "shop"}}); !errors.Is(err,
		ErrDirectory) || !strings.Contains(err.Error(), "generation 2") {
		t.Errorf("superseded: %v", err)
	}
}
