package main

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
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

// contentsOf is every file below dir with its bytes, and every folder.
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
func soldShop(t *testing.T, n int) (dir string, told map[string]order) {
	t.Helper()
	s := openShop(t, t.TempDir())
	s.apply(masks(1000))
	told = map[string]order{}
	for i := range n {
		shopper := fmt.Sprintf("s%d", i)
		told[shopper] = s.mustGrant(shopper, "k", mask)
	}
	s.stop()
	return s.dir, told
}

// stillThere expects everything that shoppers were told.
func (s *shop) stillThere(told map[string]order) {
	s.t.Helper()
	orders := s.orders()
	for shopper, o := range told {
		if found := orders[o.OrderNo]; found.Shopper != shopper || found.Amount != o.Amount || !found.PayBy.Equal(o.PayBy) {
			s.t.Errorf("%s was told of %+v; there is %+v", shopper, o, found)
		}
	}
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

// edit changes a file's bytes.
func edit(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoodLogIsCounted(t *testing.T) {
	t.Parallel()
	dir, _ := soldShop(t, 10)
	before := contentsOf(t, dir)
	_, report := entriesOf(t, dir)
	status, out, errs := runTool(t, "", "wal", "verify", dir)
	want := fmt.Sprintf("the log is good: 1 segments, %d batches, %d records (log index 1 to %d), %d bytes\n", report.Batches, report.Records, report.LastIndex, report.Bytes)
	if status != 0 || out != want || errs != "" {
		t.Errorf("status %d, %s%s, not %s", status, out, errs, want)
	}
	status, out, _ = runTool(t, "", "wal", "verify", "--json", dir)
	var told struct {
		OK      bool
		Records uint64
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || status != 0 || !told.OK || told.Records != report.Records {
		t.Errorf("status %d: %s", status, out)
	}
	status, out, _ = runTool(t, "", "wal", "dump", dir)
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
	edit(t, segment, func(b []byte) []byte {
		b[middle.Offset+40] ^= 0x10
		return b
	})
	place := fmt.Sprintf("%s is damaged at byte %d", filepath.Base(segment), middle.Offset)
	before := contentsOf(t, dir)

	status, out, errs := runTool(t, "", "wal", "verify", dir)
	if status != 1 || out != "" || !strings.Contains(errs, place) {
		t.Errorf("verify: status %d, %s%s, not %s", status, out, errs, place)
	}
	status, out, _ = runTool(t, "", "wal", "verify", "--json", dir)
	var told struct {
		OK      bool
		Segment string
		Offset  int64
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || status != 1 || told.OK || told.Segment != filepath.Base(segment) || told.Offset != middle.Offset {
		t.Errorf("verify --json: status %d: %s", status, out)
	}
	status, _, errs = runTool(t, "", serveArgs(dir)...)
	if status != 1 || !strings.Contains(errs, place) {
		t.Errorf("serve: status %d: %s", status, errs)
	}
	status, _, errs = runTool(t, "", "wal", "dump", dir)
	if status != 1 || !strings.Contains(errs, place) {
		t.Errorf("dump: status %d: %s", status, errs)
	}
	unchanged(t, dir, before)
}

// The end of the log is no different: what it held was told, and a node that went
// on without would sell it again, under the same number.
func TestRotAtTheEndIsRefused(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*shop){
		"stopped": (*shop).stop,
		"killed": func(s *shop) {
			s.child.Process.Kill()
			s.wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spawnShop(t, t.TempDir())
			s.apply(masks(20))
			told := map[string]order{}
			for i := range 20 {
				shopper := fmt.Sprintf("s%d", i)
				told[shopper] = s.mustGrant(shopper, "k", mask)
			}
			end(s)
			segment := segmentOf(t, s.dir)
			entries, report := entriesOf(t, s.dir)
			last := entries[len(entries)-1]
			whole := contentsOf(t, cluster.WALDir(s.dir))
			refused := func(how string, damage func([]byte) []byte) {
				t.Helper()
				intact, err := os.ReadFile(segment)
				if err != nil {
					t.Fatal(err)
				}
				edit(t, segment, damage)
				before := contentsOf(t, cluster.WALDir(s.dir))
				status, _, errs := runTool(t, "", serveArgs(s.dir)...)
				for _, part := range []string{filepath.Base(segment) + " is damaged at byte ", fmt.Sprintf("(record %d)", last.Index), "'doorbuster restore'", "new id"} {
					if status != 1 || !strings.Contains(errs, part) {
						t.Fatalf("%s: status %d, not %q: %s", how, status, part, errs)
					}
				}
				if status, out, errs := runTool(t, "", "wal", "verify", s.dir); status != 1 || !strings.Contains(errs, filepath.Base(segment)+" is damaged at byte ") {
					t.Errorf("%s: verify: status %d, %s%s", how, status, out, errs)
				}
				unchanged(t, cluster.WALDir(s.dir), before)
				edit(t, segment, func([]byte) []byte { return intact })
			}
			// Of a log that was trimmed, or not, the last record ends at the same byte.
			commit := report.Bytes - 36
			refused("a bit of the commit frame", func(b []byte) []byte { b[report.Bytes-2] ^= 1; return b })
			refused("a bit of the last record", func(b []byte) []byte { b[commit-2] ^= 1; return b })
			refused("a sector like a torn one", func(b []byte) []byte { clear(b[last.Offset:]); return b })
			refused("cut short", func(b []byte) []byte { return b[:report.Bytes-7] })
			refused("the last batch cut off", func(b []byte) []byte { return b[:last.Offset] })
			unchanged(t, cluster.WALDir(s.dir), whole)
			s.reopen().stillThere(told)
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
	s := openShop(t, elsewhere)
	const lost = "lost"
	s.mustGrant(lost, "k", mask)
	s.stop()
	entries, report := entriesOf(t, elsewhere)
	last := entries[len(entries)-1]
	if !bytes.Contains(last.Data, []byte(lost)) {
		t.Fatalf("the last entry is not %s's grab: %q", lost, last.Data)
	}
	more, err := os.ReadFile(segmentOf(t, elsewhere))
	if err != nil {
		t.Fatal(err)
	}
	edit(t, segment, func([]byte) []byte { return more[:report.Bytes-7] })
	for _, file := range []string{"raft.db", "raft.sum"} { // its term came first
		if err := copyFile(filepath.Join(elsewhere, file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}

	status, out, errs := runTool(t, "", "wal", "verify", dir)
	drops := fmt.Sprintf("%s at byte %d", filepath.Base(segment), last.Offset)
	if status != 0 || !strings.Contains(out, "its end is torn") || !strings.Contains(out, drops) {
		t.Errorf("verify: status %d, %s%s", status, out, errs)
	}
	s = openShop(t, dir)
	if line, _ := s.logs.find("cut off a torn tail"); !strings.Contains(line, strconv.FormatInt(last.Offset, 10)) || !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("serve said %q, not what it drops: %s", line, drops)
	}
	s.stillThere(told)
	if n := int64(len(told)); s.counts(mask).Held != n {
		t.Errorf("%d hold: %+v", n, s.counts(mask))
	}
	// To the one that was cut off the unit is free again.
	s.mustGrant(lost, "k", mask)
	s.stop()
	if status, out, errs = runTool(t, "", "wal", "verify", dir); status != 0 || strings.Contains(out, "torn") {
		t.Errorf("after the repair: status %d, %s%s", status, out, errs)
	}
}

// A process that is killed in the middle of a rush has kept what it told.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := spawnShop(t, t.TempDir())
	s.apply(masks(100_000))
	const shoppers = 8
	enough := make(chan struct{}, 1)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for range 100 {
			<-enough
		}
		s.child.Process.Kill()
	}()
	told := crowd(shoppers, func(i int) map[string]order {
		mine := map[string]order{}
		for n := 0; ; n++ {
			shopper := fmt.Sprintf("s%d-%d", i, n)
			a, err := s.tryGrab(shopper, "k", mask)
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
	if status := s.wait(); status != -1 {
		t.Errorf("exit status %d", status)
	}
	s = s.reopen()
	n := int64(0)
	for _, mine := range told {
		s.stillThere(mine)
		n += int64(len(mine))
	}
	// At most one grab of each was on its way and is in, though nobody heard.
	if c := s.counts(mask); c.Held < n || c.Held > n+shoppers {
		t.Errorf("%d were told: %+v", n, c)
	}
}

func TestVerifyOfWhatIsNoLog(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if status, _, errs := runTool(t, "", "wal", "verify", dir); status != 1 || !strings.Contains(errs, "is it a data directory?") {
			t.Errorf("status %d: %s", status, errs)
		}
		if _, err := os.Stat(cluster.WALDir(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("looking made %s: %v", cluster.WALDir(dir), err)
		}
	}
	if status, _, errs := runTool(t, "", "wal", "verify"); status != 2 {
		t.Errorf("status %d: %s", status, errs)
	}
}

func TestDumpTellsWhatOperatorsDid(t *testing.T) {
	t.Parallel()
	s := openShop(t, t.TempDir())
	s.apply(masks(3))
	o := s.mustGrant("alice", "", mask)
	s.ops("POST", "/admin/v1/sessions/day/pause", `{"note":"wrong \"picture\""}`)
	s.ops("POST", "/admin/v1/sessions/day/skus/mask/stock", `{"units":-1}`)
	s.ops("POST", "/admin/v1/orders/"+o.OrderNo+"/void", `{"note":"作弊"}`)
	s.stop()
	_, out, _ := runTool(t, "", "wal", "dump", s.dir)
	_, asJSON, _ := runTool(t, "", "wal", "dump", "--json", s.dir)
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
