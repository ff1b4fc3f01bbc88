package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestBadBackups: a file that is no whole backup is refused with words that say
// what is wrong with it, whatever stands in its place, and leaves nothing behind.
func TestBadBackups(t *testing.T) {
	s := openShop(t, t.TempDir())
	s.Apply(nodetest.Masks(500))
	for _, who := range []string{"ann", "bob", "cid"} {
		s.MustGrant(who, "k", nodetest.Mask)
	}
	good := filepath.Join(t.TempDir(), "shop.backup")
	if status, out, errs := runTool(t, "", "backup", "--out", good, "--admin", s.Admin); status != 0 {
		t.Fatal(out, errs)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if status, out, errs := runTool(t, "", "backup", "--out", good, "--admin", s.Admin); status != 1 ||
		!strings.Contains(errs, "is there already") {
		t.Errorf("over another one: %d %s%s", status, out, errs)
	}
	if now, err := os.ReadFile(good); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("it has changed: %v", err)
	}

	spoilt := func(at int, to ...byte) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], to)
		return b
	}
	// One whose checksum fits, by somebody's mistake or will.
	signed := func(b []byte) []byte {
		sum := sha256.Sum256(b[:len(b)-sha256.Size])
		return append(b[:len(b)-sha256.Size], sum[:]...)
	}
	// Where its parts begin: the engine's snapshot, its checksum, the ledger's part.
	state := 24 + int(binary.LittleEndian.Uint32(whole[12:]))
	check := state + int(binary.LittleEndian.Uint64(whole[16:]))
	part := check + sha256.Size
	resigned := func(b []byte) []byte { return append(signed(b[:part:part]), b[part:]...) }
	older := filepath.Join(t.TempDir(), "state.backup")
	if status, out, errs := runTool(t, "", "backup", "--state-only", "--out", older, "--admin", s.Admin); status != 0 ||
		!strings.Contains(out, "without settled orders") {
		t.Fatal(status, out, errs)
	}
	alone, err := os.ReadFile(older)
	if err != nil {
		t.Fatal(err)
	}
	const damagedPart = "the ledger's part is damaged or cut short"
	refused := map[string]struct {
		text []byte
		want string
	}{
		"empty": {nil, "it has 0 bytes, too few"},
		"not a backup": {bytes.Repeat([]byte("all work and no play\n"), 50),
			`it does not begin with "DBSAVED1"`},
		"an older build's": {spoilt(0, []byte("DBBACKUP\x02")...),
			"it was written by a build before version 1 of the formats, which this build can't read; nothing is " +
				"restored"},
		"newer format": {spoilt(8, 3),
			"it was written by a newer build (format 3, this build reads 1)"},
		"cut short": {whole[:check/2], "damaged or cut short"},
		"a huge head": {spoilt(12, binary.LittleEndian.AppendUint32(nil, 1<<30)...),
			"damaged or cut short"},
		"a huge state": {spoilt(16, binary.LittleEndian.AppendUint64(nil, 1<<63)...),
			"damaged or cut short"},
		"a head that is no JSON":          {resigned(spoilt(24, 'x')), "its head: invalid character 'x'"},
		"a state that is damaged":         {resigned(spoilt(check-20, whole[check-20]^1)), "snapshot"},
		"a state of newer format":         {resigned(spoilt(state+8, 9)), "snapshot"},
		"a flipped magic":                 {spoilt(0, 'd'), `it does not begin with "DBSAVED1"`},
		"two after all":                   {append(bytes.Clone(whole), whole...), damagedPart + ""},
		"the last byte":                   {whole[:len(whole)-1], damagedPart},
		"half of the ledger's part":       {whole[:(part+len(whole))/2], damagedPart},
		"all of the ledger's part":        {whole[:part], damagedPart},
		"a ledger's part of newer format": {spoilt(part+8, 9), "the ledger's part: format 9, this build reads 1"},
		"no ledger's part":                {spoilt(part, 'd'), damagedPart + ": it does not begin with"},
		"the state only, cut short":       {alone[:len(alone)/2], "damaged or cut short"},
		"the state only, damaged":         {alone[: len(alone)-1 : len(alone)-1], "damaged or cut short"},
		"the state only, and more":        {append(bytes.Clone(alone), 0), "damaged or cut short"},
	}
	for _, eighth := range []int{1, 2, 3, 4, 5, 6, 7} { // a byte here and there
		for where, at := range map[string]int{"state": check * eighth / 8, "ledger": part +
			(len(whole)-part)*eighth/8} {
			want := "its checksum does not fit: it is damaged or cut short"
			if where == "ledger" {
				want = damagedPart
			}
			refused[where+", flipped byte "+string(rune('0'+eighth))] = struct {
				text []byte
				want string
			}{spoilt(at, whole[at]^0x10), want}
		}
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			file, dir := filepath.Join(t.TempDir(), "spoilt.backup"), filepath.Join(t.TempDir(), "new")
			if err := os.WriteFile(file, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			status, out, errs := runTool(t, "", "restore", "--from", file, "--dev", "--data", dir)
			if status != 1 || out != "" || !strings.Contains(errs, c.want) || !strings.Contains(errs, file) {
				t.Errorf("status %d, %s%s; not %q", status, out, errs, c.want)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("something is left in the directory: %v", err)
			}
		})
	}

	used := filepath.Join(t.TempDir(), "used")
	if status, out, errs := runTool(t, "", "restore", "--from", good, "--dev", "--data", used); status != 0 {
		t.Fatal(out, errs)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no file said":            {[]string{"--dev", "--data", foreign}, 2, "--from"},
		"no such file":            {[]string{"--from", good + "x", "--dev", "--data", used + "x"}, 1, "no such file"},
		"a directory":             {[]string{"--from", foreign, "--dev", "--data", used + "x"}, 1, foreign},
		"no directory":            {[]string{"--from", good, "--dev"}, 2, "--data"},
		"a node's directory":      {[]string{"--from", good, "--dev", "--data", used}, 1, "new directory"},
		"somebody's directory":    {[]string{"--from", good, "--dev", "--data", foreign}, 1, "thesis.txt"},
		"a directory that serves": {[]string{"--from", good, "--dev", "--data", s.Dir}, 1, "new directory"},
	} {
		t.Run(name, func(t *testing.T) {
			before := tree(t, used) + tree(t, foreign)
			status, out, errs := runTool(t, "", append([]string{"restore"}, c.args...)...)
			if status != c.status || out != "" || !strings.Contains(errs, c.want) {
				t.Errorf("status %d, %s%s; not %q", status, out, errs, c.want)
			}
			if tree(t, used)+tree(t, foreign) != before {
				t.Error("something was changed")
			}
		})
	}
	if _, err := os.Stat(used + "x"); !os.IsNotExist(err) {
		t.Error("a refused restore has made a directory")
	}
	// What was refused around it does no harm to what was restored.
	restored := openShop(t, used)
	restored.Expect(nodetest.Mask, 497, 3, 0)
	restored.MustGrant("dan", "k", nodetest.Mask)
}

// tree lists what is under a directory, and when it was written.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			list.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}
