package recovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/nodetest"
)

// refuses expects that dir is not served, with words that say why, and that
// nothing in it changes.
func refuses(t *testing.T, dir, why string, more ...string) {
	t.Helper()
	before := contentsOf(t, filepath.Dir(dir))
	status, _, errs := nodetest.Tool(t, "", nodetest.ServeArgs(dir, more...)...)
	if status != 1 || !strings.Contains(errs, why) || !strings.Contains(errs, dir) {
		t.Errorf("status %d, not %q: %s", status, why, errs)
	}
	unchanged(t, filepath.Dir(dir), before)
}

func TestDirectoryOfANewerBuild(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 1)
	nodetest.Edit(t, filepath.Join(dir, "VERSION"), func([]byte) []byte {
		return []byte(`{"magic":"DBNODE01","format":99,"node":"n1","new":true}`)
	})
	refuses(t, dir, "newer build (format 99, this build knows 1)")
}

// TestDirectoryOfAnOlderBuild: one from before version 1 of the formats is refused by
// name, and so is its log.
func TestDirectoryOfAnOlderBuild(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 1)
	const why = "written by a build before version 1 of the formats, which this build can't read: " +
		"begin with an empty directory"
	segment := segmentOf(t, dir)
	nodetest.Edit(t, segment, func(b []byte) []byte { return append([]byte("DBWALSEG"), b[8:]...) })
	refuses(t, dir, filepath.Base(segment)+": wal: "+why)
	nodetest.Edit(t, filepath.Join(dir, "VERSION"), func([]byte) []byte { return []byte(`{"format":1,"node":"n1"}`) })
	refuses(t, dir, "it was "+why)
}

// A log can be newer than its directory says, where a newer build was killed.
func TestSegmentOfANewerBuild(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 1)
	segment := segmentOf(t, dir)
	nodetest.Edit(t, segment, func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[8:], 7)
		binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], crc32.MakeTable(crc32.Castagnoli)))
		return b
	})
	before := contentsOf(t, dir)
	for _, args := range [][]string{nodetest.ServeArgs(dir), {"wal", "verify", dir}} {
		status, _, errs := nodetest.Tool(t, "", args...)
		if status != 1 || !strings.Contains(errs,
			filepath.Base(segment)+" was written by format 7; this build reads up to 1") {
			t.Errorf("%v: status %d: %s", args, status, errs)
		}
	}
	unchanged(t, dir, before)
}

func TestDirectoryOfAnotherNode(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 1)
	refuses(t, dir, `it belongs to node "n1", this is node "n2"`, "--node", "n2")
}

func TestDirectoryOfSomethingElse(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "thesis.txt"), []byte("chapter one"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, home, "no data directory")
	refuses(t, filepath.Join(home, "thesis.txt"), "not a directory")
}

func TestDamagedVersion(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 1)
	for _, text := range []string{"", "{", "1\n"} {
		nodetest.Edit(t, filepath.Join(dir, "VERSION"), func([]byte) []byte { return []byte(text) })
		refuses(t, dir, "VERSION")
	}
}

func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	alice := s.MustGrant("alice", "k", nodetest.Mask)
	// The node that runs writes on, so only that of the other is looked at which it
	// would write first.
	before := contentsOf(t, filepath.Join(s.Dir, "wal"))
	if status, _, errs := nodetest.Tool(t, "", nodetest.ServeArgs(s.Dir)...); status != 1 ||
		!strings.Contains(errs, "another process uses it (pid ") {
		t.Errorf("status %d: %s", status, errs)
	}
	// Started once more as it was, it hears of the directory, not of the port.
	status, _, errs := nodetest.Tool(t, "", nodetest.ServeArgs(s.Dir, "--http", strings.TrimPrefix(s.HTTP, "http://"),
		"--admin", s.Admin)...)
	if want := fmt.Sprintf("another process uses it (pid %d)", s.Child.Process.Pid); status != 1 ||
		!strings.Contains(errs, want) || strings.Contains(errs, "address already in use") {
		t.Errorf("status %d, not %q: %s", status, want, errs)
	}
	unchanged(t, filepath.Join(s.Dir, "wal"), before)
	if again := s.MustGrant("alice", "k", nodetest.Mask); again != alice {
		t.Errorf("%+v, not %+v", again, alice)
	}
	s.Stop()
	s.Reopen().StillThere(map[string]nodetest.Order{"alice": alice})
}

// The rights are another user's: the process is made that user, for root may
// write anywhere.
func TestDirectoryWithoutRights(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start a process as somebody else")
	}
	// Somewhere that everybody may go, with a copy of the program.
	base, err := os.MkdirTemp("", "doorbuster")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	for path := base; path != "/"; path = filepath.Dir(path) {
		if info, err := os.Stat(path); path != base && (err != nil || info.Mode()&0o001 == 0) {
			t.Skipf("%s is closed to others", path)
		}
	}
	program, dir := filepath.Join(base, "program"), filepath.Join(base, "data")
	sold, _ := soldShop(t, 1)
	own := nodetest.Command(t).Path
	if err := errors.Join(os.Chmod(base, 0o755), copyFile(own, program), os.CopyFS(dir, os.DirFS(sold))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir string
		mode      os.FileMode
	}{
		{"another's", dir, 0o700},
		{"another's to read", dir, 0o755},
		{"can't be made here", filepath.Join(base, "new"), 0o755},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.Chmod(dir, c.mode); err != nil {
				t.Fatal(err)
			}
			before := contentsOf(t, base)
			s := &nodetest.Shop{T: t, Logs: nodetest.NewLogBook()}
			p := nodetest.Command(t, nodetest.ServeArgs(c.dir)...)
			p.Path, p.Dir = program, "/"
			p.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
			s.Start(p)
			if status := s.Wait(); status != 1 || !strings.Contains(s.Logs.String(),
				"the data directory can't be used: "+c.dir) || !strings.Contains(s.Logs.String(), "permission denied") {
				t.Errorf("status %d: %s", status, s.Logs)
			}
			unchanged(t, base, before)
		})
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// A disk that is full ends the node, in words; what was told is on the disk, and
// the node goes on once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("can't mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	dir, ballast := filepath.Join(disk, "data"), filepath.Join(disk, "ballast")
	s := nodetest.Open(t, dir)
	s.Apply(nodetest.Masks(1_000_000, "admission_multiple: 0"))
	if err := fill(ballast); err != nil {
		t.Fatal(err)
	}
	told := map[string]nodetest.Order{}
	for _, mine := range nodetest.Crowd(8, func(i int) map[string]nodetest.Order {
		mine := map[string]nodetest.Order{}
		for n := 0; ; n++ {
			shopper := fmt.Sprintf("s%d-%d", i, n)
			a, err := s.TryGrab(shopper, "k", nodetest.Mask)
			if err != nil || a.Code != "granted" {
				return mine
			}
			mine[shopper] = a.Order
			// Long addresses fill the disk sooner.
			a, err = s.Request("PUT", s.HTTP+"/v1/orders/"+a.Order.OrderNo+"/receiver",
				fmt.Sprintf(`{"name":"x","phone":"1","street":%q}`, strings.Repeat("x", 512)),
				"X-Shopper-Id", shopper)
			if err != nil || a.Status != 200 {
				return mine
			}
		}
	}) {
		for shopper, o := range mine {
			told[shopper] = o
		}
	}
	if status := s.Wait(); status != 1 || !strings.Contains(s.Logs.String(),
		"disk full; free some space and start again") {
		t.Errorf("status %d: %s", status, s.Logs)
	}
	if len(told) == 0 {
		t.Error("nothing was sold before the disk was full")
	}

	// Still full, but for what a small entry takes: it serves and ends in the
	// same way, or says at once why it does not, and is none the worse for it.
	again := &nodetest.Shop{T: t, Dir: dir, Logs: nodetest.NewLogBook()}
	again.Start(nodetest.Command(t, nodetest.ServeArgs(dir)...))
	again.Logs.Await(t, nil, "no space left on device", `"msg":"serving"`)
	again.Child.Process.Kill()
	again.Wait()

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = nodetest.Open(t, dir)
	s.StillThere(told)
	s.Raised("disk_nearly_full")
	if err := syscall.Mount("", disk, "tmpfs", syscall.MS_REMOUNT, "size=4g"); err != nil {
		t.Fatal(err)
	}
	s.Healed("disk_nearly_full")
	if c := s.Counts(nodetest.Mask); c.Held < int64(len(told)) {
		t.Errorf("%d were told: %+v", len(told), c)
	}
	s.MustGrant("late", "", nodetest.Mask)
	s.Stop()
	if status, out, errs := nodetest.Tool(t, "", "wal", "verify", dir); status != 0 {
		t.Errorf("%d %s%s", status, out, errs)
	}
}

// fill takes all the room on a disk.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return nil
		}
	}
}

// A node that can't open its doors has touched nothing.
func TestNothingIsMadeBeforeTheDoors(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	dir := filepath.Join(t.TempDir(), "data")
	for name, args := range map[string][]string{
		"--http": {"serve", "--dev", "--data", dir, "--http", strings.TrimPrefix(s.HTTP, "http://"), "--admin",
			"127.0.0.1:0"},
		"--admin": {"serve", "--dev", "--data", dir, "--http", "127.0.0.1:0", "--admin", s.Admin},
	} {
		status, _, errs := nodetest.Tool(t, "", args...)
		if status != 1 || !strings.Contains(errs, name) || !strings.Contains(errs, "address already in use") {
			t.Errorf("%s: status %d: %s", name, status, errs)
		}
	}
	short, long, missing := nodetest.TempFile(t, "tiny"), nodetest.TempFile(t, strings.Repeat("k", 48)+"\n"),
		filepath.Join(t.TempDir(), "none")
	for _, c := range []struct{ shopper, ops, want string }{
		{short, long, "4 bytes; it must have at least 32"}, {long, short, "4 bytes; it must have at least 32"},
		{long, long, "must not share a secret"}, {missing, long, "no such file"},
	} {
		status, _, errs := nodetest.Tool(t, "", "serve", "--data", dir, "--http", "127.0.0.1:0", "--admin",
			"127.0.0.1:0", "--shopper-key-file", c.shopper, "--ops-key-file", c.ops)
		if status != 1 || !strings.Contains(errs, c.want) || strings.Contains(errs, "tiny") ||
			strings.Contains(errs, "kkkk") {
			t.Errorf("status %d, not %q: %s", status, c.want, errs)
		}
	}
	if _, err := os.Stat(cluster.WALDir(dir)); err == nil {
		t.Error("a data directory was made")
	}
}

// A hold on the directory ends with the process, however that ends.
func TestLockEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Child.Process.Kill()
	s.Wait()
	s.Reopen()
}
