package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/wal/vfs"
)

// hangingFS is the machine's file system, until a file called at says which calls
// hang for ever: "sync" or "write".
type hangingFS struct {
	vfs.FS
	at string
}

type hangingFile struct {
	vfs.File
	fs hangingFS
}

func (h hangingFS) Create(name string) (vfs.File, error) { return h.open(h.FS.Create(name)) }

func (h hangingFS) OpenWrite(name string) (vfs.File, error) { return h.open(h.FS.OpenWrite(name)) }

func (h hangingFS) open(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return hangingFile{f, h}, nil
}

func (h hangingFS) pass(call string) {
	if text, err := os.ReadFile(h.at); err == nil && string(text) == call {
		select {} // as in the kernel: nothing ends it
	}
}

func (f hangingFile) Sync() error {
	f.fs.pass("sync")
	return f.File.Sync()
}

func (f hangingFile) WriteAt(b []byte, at int64) (int, error) {
	f.fs.pass("write")
	return f.File.WriteAt(b, at)
}

// hangsBy is where a node's process looks which calls hang.
const hangsBy = "TEST_DOORBUSTER_HANGS"

// TestHangingProcess is no test: it is a node on a disk that can be made to hang.
func TestHangingProcess(t *testing.T) {
	at := os.Getenv(hangsBy)
	if at == "" {
		t.Skip("run as a process by other tests")
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	err := flags.Parse(flag.Args())
	var cfg Config
	if err == nil {
		cfg, err = loadConfig(flags)
	}
	if err == nil {
		cfg.fs = hangingFS{vfs.OS(), at}
		err = serve(context.Background(), cfg, cfg.newLogger(os.Stderr))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// launchHanging starts the node's process on a disk that can be made to hang.
func launchHanging(m *nodetest.Member) {
	m.T.Helper()
	self, err := os.Executable()
	if err != nil {
		m.T.Fatal(err)
	}
	c := nodetest.CommandOf(m.T, self, "-test.run=^TestHangingProcess$", "--", "--dev", "--config", m.Config())
	c.Env = append(os.Environ(), hangsBy+"="+hangs(m))
	m.Logs = nodetest.NewLogBook()
	m.Start(c)
	m.Up = true
}

func hangs(m *nodetest.Member) string { return filepath.Join(m.Fleet.Dir, m.ID+".hangs") }

// TestLeadersDiskHangs: a leader whose disk hangs ends, because a node that can't
// write must not lead; another leads, and nothing that was told is lost. The disk
// well again, the node comes back.
func TestLeadersDiskHangs(t *testing.T) {
	for _, call := range []string{"sync", "write"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			f := nodetest.NewFleet(t, "prefer", nodetest.Rooms3...)
			f.Stall = 1500 * time.Millisecond // the usual
			for _, m := range f.Nodes {
				launchHanging(m)
			}
			for _, m := range f.Nodes {
				m.AwaitUp()
			}
			f.Plan(nodetest.DayPlan("", 100_000))
			leader := f.Leader()
			p := nodetest.Promise("day/sku-1", f.Nodes...)
			f.Eventually(func() bool { return p.Count() > 20 }, "nobody is granted anything")
			if err := os.WriteFile(hangs(leader), []byte(call), 0o600); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			if status := leader.Wait(); status != 1 || !strings.Contains(leader.Logs.String(), "disk stalled") ||
				!strings.Contains(leader.Logs.String(), "the disk has confirmed everything up to index ") {
				t.Errorf("status %d: %s", status, leader.Logs)
			}
			leader.Up = false
			ended, before := time.Since(since), p.Count()
			f.Eventually(func() bool { return p.Count() > before+20 },
				"nobody sells in the place of the node whose disk hangs")
			t.Logf("the node ended after %s; twenty more were granted something after %s",
				ended.Round(time.Millisecond), time.Since(since).Round(time.Millisecond))
			if err := os.Remove(hangs(leader)); err != nil {
				t.Fatal(err)
			}
			launchHanging(leader)
			leader.AwaitUp()
			p.Kept(f)
		})
	}
}
