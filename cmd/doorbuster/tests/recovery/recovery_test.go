package recovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// contentsOf is every file below dir with its bytes, and every folder; of the lock,
// which tells the last process that was here, only that it is there.
func contentsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			found[path] = "folder"
			return nil
		case e.Name() == "LOCK":
			found[path] = "lock"
			return nil
		}
		b, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unchanged tells what happened to dir since before was taken.
func unchanged(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	after := contentsOf(t, dir)
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s was %s, is %q", path, was, after[path])
		}
	}
	for path, is := range after {
		if before[path] == "" {
			t.Errorf("%s is new: %s", path, is)
		}
	}
}

// soldShop is a directory in which n shoppers hold a mask each, its node stopped.
func soldShop(t *testing.T, n int) (dir string, told map[string]nodetest.Order) {
	t.Helper()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(1000))
	told = map[string]nodetest.Order{}
	for i := range n {
		shopper := fmt.Sprintf("s%d", i)
		told[shopper] = s.MustGrant(shopper, "k", nodetest.Mask)
	}
	s.Stop()
	return s.Dir, told
}

// segmentOf gives the only segment of a log.
func segmentOf(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(cluster.WALDir(dir), "*.wal"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v %v", names, err)
	}
	return names[0]
}

// entriesOf gives every entry of a log, and the report on it.
func entriesOf(t *testing.T, dir string) (entries []wal.Entry, report wal.Report) {
	t.Helper()
	report, err := wal.Dump(vfs.OS(), cluster.WALDir(dir), wal.Known{}, func(e wal.Entry) error {
		e.Data = bytes.Clone(e.Data)
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, report
}

func TestGoodLogIsCounted(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 10)
	before := contentsOf(t, dir)
	_, report := entriesOf(t, dir)
	status, out, errs := nodetest.Tool(t, "", "wal", "verify", dir)
	want := fmt.Sprintf("the log is good: 1 segments, %d batches, %d records (log index 1 to %d), %d bytes\n",
		report.Batches, report.Records, report.LastIndex, report.Bytes)
	if status != 0 || out != want || errs != "" {
		t.Errorf("status %d, %s%s, not %s", status, out, errs, want)
	}
	status, out, _ = nodetest.Tool(t, "", "wal", "verify", "--json", dir)
	var told struct {
		OK      bool
		Records uint64
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || status != 0 || !told.OK ||
		told.Records != report.Records {
		t.Errorf("status %d: %s", status, out)
	}
	status, out, _ = nodetest.Tool(t, "", "wal", "dump", dir)
	for _, part := range []string{"OpenEpoch", "ApplyPlan", `PlaceHold shopper="s9"`} {
		if status != 0 || !strings.Contains(out, part) {
			t.Errorf("status %d, no %q in the dump", status, part)
		}
	}
	unchanged(t, dir, before)
}

// One byte gone bad in the middle is no crash's doing. Serving what is left would
// be to forget what shoppers were told.
func TestRotIsRefused(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 20)
	entries, _ := entriesOf(t, dir)
	segment, middle := segmentOf(t, dir), entries[len(entries)/2]
	nodetest.Edit(t, segment, func(b []byte) []byte {
		b[middle.Offset+40] ^= 0x10
		return b
	})
	place := fmt.Sprintf("%s is damaged at byte %d", filepath.Base(segment), middle.Offset)
	before := contentsOf(t, dir)

	status, out, errs := nodetest.Tool(t, "", "wal", "verify", dir)
	if status != 1 || out != "" || !strings.Contains(errs, place) {
		t.Errorf("verify: status %d, %s%s, not %s", status, out, errs, place)
	}
	status, out, _ = nodetest.Tool(t, "", "wal", "verify", "--json", dir)
	var told struct {
		OK      bool
		Segment string
		Offset  int64
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || status != 1 || told.OK ||
		told.Segment != filepath.Base(segment) || told.Offset != middle.Offset {
		t.Errorf("verify --json: status %d: %s", status, out)
	}
	status, _, errs = nodetest.Tool(t, "", nodetest.ServeArgs(dir)...)
	if status != 1 || !strings.Contains(errs, place) {
		t.Errorf("serve: status %d: %s", status, errs)
	}
	status, _, errs = nodetest.Tool(t, "", "wal", "dump", dir)
	if status != 1 || !strings.Contains(errs, place) {
		t.Errorf("dump: status %d: %s", status, errs)
	}
	unchanged(t, dir, before)
}

// The end of the log is no different: what it held was told, and a node that went
// on without would sell it again, under the same number.
func TestRotAtTheEndIsRefused(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*nodetest.Shop){
		"stopped": (*nodetest.Shop).Stop,
		"killed": func(s *nodetest.Shop) {
			s.Child.Process.Kill()
			s.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := nodetest.Open(t, t.TempDir())
			s.Apply(nodetest.Masks(20))
			told := map[string]nodetest.Order{}
			for i := range 20 {
				shopper := fmt.Sprintf("s%d", i)
				told[shopper] = s.MustGrant(shopper, "k", nodetest.Mask)
			}
			end(s)
			segment := segmentOf(t, s.Dir)
			entries, _ := entriesOf(t, s.Dir)
			last := entries[len(entries)-1]
			whole := contentsOf(t, cluster.WALDir(s.Dir))
			refused := func(how string, damage func([]byte) []byte) {
				t.Helper()
				intact, err := os.ReadFile(segment)
				if err != nil {
					t.Fatal(err)
				}
				nodetest.Edit(t, segment, damage)
				before := contentsOf(t, cluster.WALDir(s.Dir))
				status, _, errs := nodetest.Tool(t, "", nodetest.ServeArgs(s.Dir)...)
				for _, part := range []string{filepath.Base(segment) + " is damaged at byte ",
					fmt.Sprintf("(record %d)", last.Index), "'doorbuster restore'", "new id"} {
					if status != 1 || !strings.Contains(errs, part) {
						t.Fatalf("%s: status %d, not %q: %s", how, status, part, errs)
					}
				}
				if status, out, errs := nodetest.Tool(t, "", "wal", "verify", s.Dir); status != 1 ||
					!strings.Contains(errs, filepath.Base(segment)+" is damaged at byte ") {
					t.Errorf("%s: verify: status %d, %s%s", how, status, out, errs)
				}
				unchanged(t, cluster.WALDir(s.Dir), before)
				nodetest.Edit(t, segment, func([]byte) []byte { return intact })
			}
			// Of a log that was trimmed, or not, the last record ends at the same byte.
			end := last.Offset + last.FrameBytes() + 36 // and zeros to the end of the block
			commit := end - 36
			refused("a bit of the commit frame", func(b []byte) []byte { b[end-2] ^= 1; return b })
			refused("a bit of the last record", func(b []byte) []byte { b[commit-2] ^= 1; return b })
			refused("a sector like a torn one", func(b []byte) []byte { clear(b[last.Offset:]); return b })
			refused("cut short", func(b []byte) []byte { return b[:end-7] })
			refused("the last batch cut off", func(b []byte) []byte { return b[:last.Offset] })
			unchanged(t, cluster.WALDir(s.Dir), whole)
			s.Reopen().StillThere(told)
		})
	}
}

// An append that a crash cut short was told to nobody: it is dropped, with a
// word, and everything before it is there.
func TestTornTailIsDropped(t *testing.T) {
	t.Parallel()
	dir, told := soldShop(t, 10)
	segment := segmentOf(t, dir)
	// What the append of one more grab writes, all but its end.
	elsewhere := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(elsewhere, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s := nodetest.Open(t, elsewhere)
	const lost = "lost"
	s.MustGrant(lost, "k", nodetest.Mask)
	s.Stop()
	entries, _ := entriesOf(t, elsewhere)
	last := entries[len(entries)-1]
	if !bytes.Contains(last.Data, []byte(lost)) {
		t.Fatalf("the last entry is not %s's grab: %q", lost, last.Data)
	}
	more, err := os.ReadFile(segmentOf(t, elsewhere))
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Edit(t, segment, func([]byte) []byte { return more[:last.Offset+last.FrameBytes()+36-7] })
	for _, file := range []string{"raft.db", "raft.sum"} { // its term came first
		if err := copyFile(filepath.Join(elsewhere, file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}

	status, out, errs := nodetest.Tool(t, "", "wal", "verify", dir)
	drops := fmt.Sprintf("%s at byte %d", filepath.Base(segment), last.Offset)
	if status != 0 || !strings.Contains(out, "its end is torn") || !strings.Contains(out, drops) {
		t.Errorf("verify: status %d, %s%s", status, out, errs)
	}
	s = nodetest.Open(t, dir)
	if line, _ := s.Logs.Find("cut off a torn tail"); !strings.Contains(line, strconv.FormatInt(last.Offset, 10)) ||
		!strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("serve said %q, not what it drops: %s", line, drops)
	}
	s.StillThere(told)
	if n := int64(len(told)); s.Counts(nodetest.Mask).Held != n {
		t.Errorf("%d hold: %+v", n, s.Counts(nodetest.Mask))
	}
	// To the one that was cut off the unit is free again.
	s.MustGrant(lost, "k", nodetest.Mask)
	s.Stop()
	if status, out, errs = nodetest.Tool(t, "", "wal", "verify", dir); status != 0 || strings.Contains(out, "torn") {
		t.Errorf("after the repair: status %d, %s%s", status, out, errs)
	}
}

// A process that is killed in the middle of a rush has kept what it told.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(100_000))
	const shoppers = 8
	enough := make(chan struct{}, 1)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range 100 {
			<-enough
		}
		s.Child.Process.Kill()
	}()
	told := nodetest.Crowd(shoppers, func(i int) map[string]nodetest.Order {
		mine := map[string]nodetest.Order{}
		for n := 0; ; n++ {
			shopper := fmt.Sprintf("s%d-%d", i, n)
			a, err := s.TryGrab(shopper, "k", nodetest.Mask)
			if err != nil {
				return mine
			}
			if a.Code != "granted" {
				t.Errorf("%d %s", a.Status, a.Body)
				return mine
			}
			mine[shopper] = a.Order
			select {
			case enough <- struct{}{}:
			case <-killed:
			}
		}
	})
	if status := s.Wait(); status != -1 {
		t.Errorf("exit status %d", status)
	}
	s = s.Reopen()
	n := int64(0)
	for _, mine := range told {
		s.StillThere(mine)
		n += int64(len(mine))
	}
	// At most one grab of each was on its way and is in, though nobody heard.
	if c := s.Counts(nodetest.Mask); c.Held < n || c.Held > n+shoppers {
		t.Errorf("%d were told: %+v", n, c)
	}
}

func TestVerifyOfWhatIsNoLog(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if status, _, errs := nodetest.Tool(t, "", "wal", "verify", dir); status != 1 ||
			!strings.Contains(errs, "is it a data directory?") {
			t.Errorf("status %d: %s", status, errs)
		}
		if _, err := os.Stat(cluster.WALDir(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("looking made %s: %v", cluster.WALDir(dir), err)
		}
	}
	if status, _, errs := nodetest.Tool(t, "", "wal", "verify"); status != 2 {
		t.Errorf("status %d: %s", status, errs)
	}
}

func TestDumpTellsWhatOperatorsDid(t *testing.T) {
	t.Parallel()
	s := nodetest.Open(t, t.TempDir())
	s.Apply(nodetest.Masks(3))
	o := s.MustGrant("alice", "", nodetest.Mask)
	s.Ops("POST", "/admin/v1/sessions/day/pause", `{"note":"wrong \"picture\""}`)
	s.Ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":-1}`)
	s.Ops("POST", "/admin/v1/orders/"+o.OrderNo+"/void", `{"note":"作弊"}`)
	s.Stop()
	_, out, _ := nodetest.Tool(t, "", "wal", "dump", s.Dir)
	_, asJSON, _ := nodetest.Tool(t, "", "wal", "dump", "--json", s.Dir)
	for _, want := range []string{
		`SteerSession session="1" action="pause" operator="dev" note="wrong \"picture\""`,
		`AddStock listing="1" amount="-1" operator="dev"`,
		`VoidOrder order="1/1" operator="dev" note="作弊"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	for _, want := range []string{`"action":"pause","operator":"dev","note":"wrong \"picture\""`, `"amount":-1`} {
		if !strings.Contains(asJSON, want) {
			t.Errorf("no %s in\n%s", want, asJSON)
		}
	}
}
