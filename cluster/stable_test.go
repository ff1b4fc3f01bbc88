package cluster

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openRefused expects that a directory is refused, with words that help, and that
// term and vote stay as they are.
func openRefused(t *testing.T, dir string, says ...string) {
	t.Helper()
	before, _ := os.ReadFile(filepath.Join(dir, stableFile))
	n, err := Open(quietConfig(dir), nobody{}, anyLeader{})
	if err == nil {
		_ = n.Close()
		t.Fatal("it starts")
	}
	for _, part := range append(says, dir, "'doorbuster restore'", "new id") {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("it does not say %q: %v", part, err)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, stableFile)); string(after) != string(before) {
		t.Error("term and vote have changed")
	}
}

// TestTermAndVoteAreKept: whatever becomes of the file with term and vote, a node goes
// on with both as they were, or refuses.
func TestTermAndVoteAreKept(t *testing.T) {
	dir := t.TempDir()
	openReady(t, dir)
	openReady(t, dir)
	path := filepath.Join(dir, stableFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := openStable(dir, nil)
	if err != nil || kept.term() < 2 {
		t.Fatalf("%+v, %v", kept, err)
	}
	same := func(what string, at int) {
		t.Helper()
		if s, err := openStable(dir, nil); err != nil || !maps.EqualFunc(s.values, kept.values, bytes.Equal) {
			t.Fatalf("%s %d: %+v, %v", what, at, s, err)
		}
	}
	for i := range whole {
		if i%stableBytes > 300 && i%61 != 0 {
			continue // zeros
		}
		for _, flip := range []byte{1, 0x20, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= flip
			put(b)
			same("flipped: byte", i)
			b[(i+stableBytes)%len(b)] ^= flip // the other copy, too
			put(b)
			if s, err := openStable(dir, nil); err == nil || !strings.Contains(err.Error(), path+" is damaged") {
				t.Fatalf("bytes %d of both, flipped by %#x: %v, %v", i%stableBytes, flip, s, err)
			}
		}
	}
	openRefused(t, dir, path+" is damaged") // the last of them, by the node's own door
	for n := range 300 {
		put(whole[:n])
		if _, err := openStable(dir, nil); err == nil {
			t.Fatalf("cut to %d bytes it is taken", n)
		}
		// A crash in the middle of a change leaves one copy half written.
		put(append(bytes.Repeat([]byte{'x'}, n), whole[n:]...))
		if n > 0 {
			same("overwritten up to", n)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, path+" is missing")
	older := &stableStore{path: path}
	if err := older.setTerm(1); err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, path+" ends with term 1")
	put(whole)
	openReady(t, dir)

	// One copy is behind, or damaged: a start makes both the same.
	for _, at := range []int{20, stableBytes + 20} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		put(b)
		openReady(t, dir)
		if b, err := os.ReadFile(path); err != nil || len(b) != 2*stableBytes || !bytes.Equal(b[:stableBytes], b[stableBytes:]) {
			t.Errorf("after byte %d was damaged the copies differ: %v", at, err)
		}
	}
}
