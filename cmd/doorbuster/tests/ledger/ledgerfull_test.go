package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestLedgersDiskFull: a node whose ledger alone has no room goes on selling; every
// node's status names it, until there is room again.
func TestLedgersDiskFull(t *testing.T) {
	t.Parallel()
	f := nodetest.OpenFleet(t, "prefer", nodetest.Rooms3...)
	full := f.Nodes[0]
	disk := filepath.Join(full.Dir, "ledger")
	full.Halt()
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
	full.Relaunch()
	f.Plan(nodetest.DayPlan("        limit_per_shopper: 0\n", 100_000))
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	ails := func(m *nodetest.Member) bool {
		a, err := m.Request("GET", "http://"+m.Admin+"/admin/v1/cluster", "")
		_, alarms, _ := strings.Cut(a.Body, `"alarms":`)
		return err == nil && strings.Contains(alarms, full.ID) && strings.Contains(alarms, "no space left on device")
	}
	for _, m := range f.Nodes {
		f.Eventually(func() bool {
			full.MustGrant(nodetest.NewKey(), nodetest.NewKey(),
				"day/sku-1") // what the ledger has to write; and it goes on
			return ails(m)
		}, m.ID+" does not say that the ledger of "+full.ID+" can't be written")
		m.Raised("ledger_blocked")
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	filler.Close()
	for _, m := range f.Nodes {
		m.Healed("ledger_blocked")
	}
}
