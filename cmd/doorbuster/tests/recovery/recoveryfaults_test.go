package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"doorbuster/cmd/doorbuster/nodetest"
)

// damage is a row of the recovery matrix: what becomes of a node's disk, and what
// the node must do then.
type damage struct {
	name   string
	disk   string       // what of the node's directory is a small disk of its own; "" for nothing
	backed bool         // the shop begins with a backup: its log does not reach back to the beginning
	leads  bool         // the node leads
	while  func(*scene) // in the middle of what is sold
	last   func(*scene) // before the node ends
	after  func(*scene) // once it has ended

	alone, among fate // of a node by itself, and of one of three
}

func recoveryDamages() []damage {
	return []damage{
		refused("log: last byte but one flipped", inLog(func(b []byte, end int) []byte { return flipped(b, end-2) })),
		refused("log: a byte in the middle flipped", inLog(func(b []byte, end int) []byte {
			return flipped(b, end/2)
		})),
		refused("log: segment gone", removed("wal/*.wal")),
		refused("log: last batch torn", inLog(func(b []byte, end int) []byte { return b[:end-7] })),
		refused("log: last batches cut off", (*scene).cutBatches),
		{
			name: "log: last batches cut off, with all that proves them", while: (*scene).keepsUpToNow,
			after: all((*scene).cutBatches, removed("wal/MARK"), removed("ledger/*")), alone: saysAsOf, among: rejoins,
		},
		refused("stable store (`raft.db`): gone", removed("raft.db")),
		refused("stable store (`raft.sum`): a byte flipped", (*scene).flipTerm),
		refused("snapshots: gone", removed("snapshots/*")).withBackup(),
		{
			name: "snapshots: a byte of the newest flipped", backed: true, while: (*scene).snapshot,
			after: flippedSnapshots(1), alone: goesOn, among: goesOn,
		},
		refused("snapshots: a byte of each flipped", flippedSnapshots(99)).withBackup(),
		{name: "ledger: gone", after: removed("ledger/*"), alone: goesOn, among: goesOn},
		{name: "ledger: a byte flipped", after: (*scene).flipLedger, alone: goesOn, among: goesOn},
		{
			name: "directory: an older copy", while: (*scene).copyStopped, after: (*scene).putCopy,
			alone: saysAsOf, among: rejoins,
		},
		{name: "directory: another node's copy", after: (*scene).putOthers, alone: wantsItsOwn, among: wantsItsOwn},
		{
			name: "directory: cloned while running", while: (*scene).copyRunning, after: (*scene).putCopy,
			alone: saysAsOf, among: rejoins,
		},
		{
			name: "disk: full, of the log", disk: wholeDisk, leads: true, last: (*scene).fillDisk,
			alone: wantsSpace, among: wantsSpace,
		},
		{name: "disk: full, of the ledger", disk: ledgerDisk, while: (*scene).fillDisk, alone: goesOn, among: goesOn},
		{
			name: "disk: read-only", disk: wholeDisk, after: (*scene).makeReadOnly,
			alone: wantsWriting, among: wantsWriting,
		},
	}
}

// Disks of their own.
const (
	wholeDisk  = "."
	ledgerDisk = "ledger"
)

// refused is damage that a node can tell, and can't mend by itself.
func refused(name string, after func(*scene)) damage {
	return damage{name: name, after: after, alone: restores, among: rejoins}
}

// withBackup has the shop begin with a backup, and take a snapshot of its own.
func (d damage) withBackup() damage {
	d.backed, d.while = true, (*scene).snapshot
	return d
}

// inLog changes the bytes of the newest segment; end is where what was written ends.
func inLog(how func(b []byte, end int) []byte) func(*scene) {
	return func(s *scene) {
		segments := s.files("wal/*.wal")
		nodetest.Edit(s.t, segments[len(segments)-1], func(b []byte) []byte {
			return how(b, len(bytes.TrimRight(b, "\x00")))
		})
	}
}

func flipped(b []byte, at int) []byte {
	b[at] ^= 0x10
	return b
}

// cutBatches leaves a log that looks whole, without the last of what was told.
func (s *scene) cutBatches() {
	entries, _ := entriesOf(s.t, s.hit.Dir)
	segments := s.files("wal/*.wal")
	if err := os.Truncate(segments[len(segments)-1], entries[len(entries)-4].Offset); err != nil {
		s.t.Fatal(err)
	}
}

// flipTerm changes the term in which the node has voted, wherever it stands.
func (s *scene) flipTerm() {
	nodetest.Edit(s.t, filepath.Join(s.hit.Dir, "raft.sum"), func(b []byte) []byte {
		key, found := []byte("CurrentTerm"), false
		for at := 0; ; found = true {
			i := bytes.Index(b[at:], key)
			if i < 0 {
				break
			}
			at += i + len(key)
			b[at+7] ^= 0x40
		}
		if !found {
			s.t.Fatal("raft.sum holds no term")
		}
		return b
	})
}

func flippedSnapshots(most int) func(*scene) {
	return func(s *scene) {
		states := s.files("snapshots/*/state.bin")
		slices.SortFunc(states, func(a, b string) int { return strings.Compare(s.written(b), s.written(a)) })
		for _, state := range states[:min(most, len(states))] {
			nodetest.Edit(s.t, state, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}
	}
}

// written tells when, so that it can be compared as text.
func (s *scene) written(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return info.ModTime().UTC().Format("20060102150405.000000000")
}

func (s *scene) flipLedger() {
	for _, file := range s.files("ledger/*/*") {
		if err := nodetest.FlipByte(file); err != nil {
			s.t.Fatal(err)
		}
	}
}

func all(of ...func(*scene)) func(*scene) {
	return func(s *scene) {
		for _, do := range of {
			do(s)
		}
	}
}

func removed(pattern string) func(*scene) {
	return func(s *scene) {
		for _, path := range s.files(pattern) {
			if err := os.RemoveAll(path); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// files gives what the directory of the node holds under a pattern: something.
func (s *scene) files(pattern string) []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.hit.Dir, pattern))
	if err != nil || len(found) == 0 {
		s.t.Fatalf("%s: %v %v", pattern, found, err)
	}
	return found
}

func (s *scene) copyStopped() {
	s.hit.Halt()
	s.takeCopy()
	s.hit.Relaunch()
}

// copyRunning copies the directory while what is in it changes.
func (s *scene) copyRunning() {
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		s.takeCopy()
	}()
	s.sell(8)
	<-copied
}

// takeCopy takes a copy; what has been told when it begins is in it.
func (s *scene) takeCopy() {
	s.copied = filepath.Join(s.t.TempDir(), "copy")
	s.keepsUpToNow()
	for { // a file may go while it is copied
		err := os.CopyFS(s.copied, os.DirFS(s.hit.Dir))
		if err == nil {
			s.since = time.Now()
			return
		}
		if err := os.RemoveAll(s.copied); err != nil {
			s.t.Error(err)
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.t.Error(err)
			return
		}
	}
}

func (s *scene) putCopy() { s.replaceDir(s.copied) }

// replaceDir has the node's directory hold what another does.
func (s *scene) replaceDir(with string) {
	s.t.Helper()
	if err := errors.Join(os.RemoveAll(s.hit.Dir), os.CopyFS(s.hit.Dir, os.DirFS(with))); err != nil {
		s.t.Fatal(err)
	}
}

// putOthers puts a directory in the place of the node's own, which is kept.
func (s *scene) putOthers() {
	s.copied = s.hit.Dir + "-own"
	other := s.other()
	if err := errors.Join(os.Rename(s.hit.Dir, s.copied), os.CopyFS(s.hit.Dir, os.DirFS(other))); err != nil {
		s.t.Fatal(err)
	}
}

// other gives a directory of another node: of the cluster, or of another shop.
func (s *scene) other() string {
	if !s.f.Alone {
		return s.f.Node("a2").Dir
	}
	f := nodetest.NewFleet(s.t, "", "n2:a")
	f.Alone = true
	m := f.Nodes[0]
	m.Launch()
	m.AwaitUp()
	m.Halt()
	return m.Dir
}

// smallDisk is how large a small disk is, in bytes.
const smallDisk = 64 << 20

// mount gives a part of the node's directory a small disk, of which a file that
// has nothing to do with the node takes what is asked for later.
func (s *scene) mount() {
	s.disk = filepath.Join(s.hit.Dir, s.damage.disk)
	aside := s.disk + "-aside"
	if s.damage.disk != wholeDisk { // it is there only once the node has made it
		s.hit.Launch()
		s.hit.AwaitUp()
		s.hit.Halt()
		if err := os.Rename(s.disk, aside); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(s.disk, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.disk, "tmpfs", 0, fmt.Sprint("size=", smallDisk)); err != nil {
		s.t.Skipf("can't mount a small disk: %v", err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(s.disk, 0); err != nil {
			s.t.Error(err)
		}
	})
	if s.damage.disk != wholeDisk {
		if err := os.CopyFS(s.disk, os.DirFS(aside)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// lostAndFound is a name that every file system has at its top.
const lostAndFound = "lost+found"

func (s *scene) ballast() string { return filepath.Join(s.disk, lostAndFound) }

func (s *scene) fillDisk() {
	if err := fill(s.ballast()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) freeDisk() {
	if err := os.Remove(s.ballast()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) remount(flags uintptr) {
	if err := syscall.Mount("", s.disk, "", syscall.MS_REMOUNT|flags, fmt.Sprint("size=", smallDisk)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) makeReadOnly() { s.remount(syscall.MS_RDONLY) }
