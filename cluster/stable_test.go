package cluster

import (
	"bytes"
	"errors"
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
	before, _ := os.ReadFile(filepath.Join(dir, sumFile))
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
	if after, _ := os.ReadFile(filepath.Join(dir, sumFile)); string(after) != string(before) {
		t.Error("term and vote have changed")
	}
}

// TestTermAndVoteAreKept: whatever becomes of the files with term and vote, a node goes
// on with both as they were, or refuses.
func TestTermAndVoteAreKept(t *testing.T) {
	dir := t.TempDir()
	openReady(t, dir)
	openReady(t, dir)
	path, bolt := filepath.Join(dir, sumFile), filepath.Join(dir, stableFile)
	whole := mustRead(t, path)
	writeTo := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put := func(b []byte) { t.Helper(); writeTo(path, b) }
	kept, err := openStable(dir, nil)
	if err != nil || kept.term() < 2 {
		t.Fatalf("%+v, %v", kept, err)
	}
	same := func(what string, at int) {
		t.Helper()
		s, err := openStable(dir, nil)
		if err != nil || !maps.EqualFunc(s.values, kept.values, bytes.Equal) {
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
	put(whole)
	// What raft.db holds at a start does not matter, as long as it is there.
	writeTo(bolt, bytes.Repeat(termKey, 100))
	openReady(t, dir)
	whole = mustRead(t, path)
	pages := mustRead(t, bolt)
	if err := os.Remove(bolt); err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, bolt+" is missing")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, bolt+" is missing")
	older, err := openStable(dir, nil)
	if err == nil {
		err = errors.Join(older.setTerm(1), older.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	openRefused(t, dir, bolt+" ends with term 1")
	put(whole)
	writeTo(bolt, pages)
	openReady(t, dir)

	// One copy is behind, or damaged: a start makes both the same.
	for _, at := range []int{20, stableBytes + 20} {
		b := mustRead(t, path)
		b[at] ^= 1
		put(b)
		openReady(t, dir)
		if b := mustRead(t, path); len(b) != 2*stableBytes || !bytes.Equal(b[:stableBytes], b[stableBytes:]) {
			t.Errorf("after byte %d was damaged the copies differ", at)
		}
	}
}

// TestChangeOfVoteIsCut: a crash between raft.sum and raft.db leaves the latter behind;
// both say the same again after the next start.
func TestChangeOfVoteIsCut(t *testing.T) {
	dir := t.TempDir()
	s, err := openStable(dir, nil)
	if err == nil {
		err = errors.Join(s.setTerm(2), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	behind := mustRead(t, s.path)
	if s, err = openStable(dir, nil); err == nil {
		err = errors.Join(s.setTerm(3), s.Close(), os.WriteFile(s.path, behind, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	if s, err = openStable(dir, nil); err == nil {
		err = s.make()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if term, err := s.bolt.GetUint64(termKey); err != nil || term != 3 || s.term() != 3 {
		t.Errorf("raft.db says term %d (%v), the store %d", term, err, s.term())
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
