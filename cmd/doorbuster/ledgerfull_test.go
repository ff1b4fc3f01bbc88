package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLedgersDiskFull: a node whose ledger alone has no room goes on selling; every
// node's status names it, until there is room again.
func TestLedgersDiskFull(t *testing.T) {
	t.Parallel()
	f := openFleet(t, "prefer", rooms3...)
	full := f.nodes[0]
	disk := filepath.Join(full.dir, "ledger")
	full.halt()
	aside := t.TempDir()
	if err := os.CopyFS(aside, os.DirFS(disk)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("no small file system here (it takes root): %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	if err := os.CopyFS(disk, os.DirFS(aside)); err != nil {
		t.Fatal(err)
	}
	full.relaunch()
	f.plan(dayPlan("        limit_per_shopper: 0\n", 100_000))
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	ails := func(m *member) bool {
		a, err := m.request("GET", "http://"+m.admin+"/admin/v1/cluster", "")
		_, alarms, _ := strings.Cut(a.Body, `"alarms":`)
		return err == nil && strings.Contains(alarms, full.id) && strings.Contains(alarms, "no space left on device")
	}
	for _, m := range f.nodes {
		f.eventually(func() bool {
			full.mustGrant(newKey(), newKey(), "day/sku-1") // what the ledger has to write; and it goes on
			return ails(m)
		}, m.id+" does not say that the ledger of "+full.id+" can't be written")
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	filler.Close()
	for _, m := range f.nodes {
		f.eventually(func() bool { return !ails(m) }, m.id+" says for ever that the ledger can't be written")
	}
}
