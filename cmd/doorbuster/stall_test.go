package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

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

func (h hangingFS) Create(name string) (vfs.File, error)    { return h.open(h.FS.Create(name)) }
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
func (m *member) launchHanging() {
	m.t.Helper()
	c := process(m.t, "--dev", "--config", m.config())
	c.Args[1] = "-test.run=^TestHangingProcess$"
	c.Env = append(c.Env, hangsBy+"="+m.hangs())
	m.logs = newLogBook()
	m.start(c)
	m.up = true
}

func (m *member) hangs() string { return filepath.Join(m.f.dir, m.id+".hangs") }

// promises is what shoppers of one listing were told through some nodes.
type promises struct {
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	told map[string]string // order by shopper
}

// promise has shoppers grab through nodes until kept.
func promise(listing string, through ...*member) *promises {
	p := &promises{stop: make(chan struct{}), told: map[string]string{}}
	for i, m := range through {
		p.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-p.stop:
					return
				default:
				}
				who := fmt.Sprintf("p%d-%d", i, n)
				if a, err := m.tryGrab(who, "k", listing); err == nil && a.Code == "granted" {
					p.mu.Lock()
					p.told[who] = a.Order.OrderNo
					p.mu.Unlock()
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return p
}

func (p *promises) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.told)
}

// kept ends it, and looks for all that was told on each node that is up.
func (p *promises) kept(f *testCluster) {
	f.t.Helper()
	close(p.stop)
	p.done.Wait()
	f.settled()
	for _, m := range f.nodes {
		if !m.up {
			continue
		}
		found := m.orders()
		for who, orderNo := range p.told {
			if o, there := found[orderNo]; !there || o.Shopper != who || o.State != "held" {
				f.t.Errorf("%s was told order %s; node %s has %+v", who, orderNo, m.id, o)
			}
		}
	}
}

// TestLeadersDiskHangs: a leader whose disk hangs ends, because a node that can't
// write must not lead; another leads, and nothing that was told is lost. The disk
// well again, the node comes back.
func TestLeadersDiskHangs(t *testing.T) {
	for _, call := range []string{"sync", "write"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "prefer", rooms3...)
			f.stall = 1500 * time.Millisecond // the usual
			for _, m := range f.nodes {
				m.launchHanging()
			}
			for _, m := range f.nodes {
				m.awaitUp()
			}
			f.plan(dayPlan("", 100_000))
			leader := f.leader()
			p := promise("day/sku-1", f.nodes...)
			f.eventually(func() bool { return p.count() > 20 }, "nobody is granted anything")
			if err := os.WriteFile(leader.hangs(), []byte(call), 0o600); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			if status := leader.wait(); status != 1 || !strings.Contains(leader.logs.String(), "disk stalled") || !strings.Contains(leader.logs.String(), "the disk has confirmed everything up to index ") {
				t.Errorf("status %d: %s", status, leader.logs)
			}
			leader.up = false
			ended, before := time.Since(since), p.count()
			f.eventually(func() bool { return p.count() > before+20 }, "nobody sells in the place of the node whose disk hangs")
			t.Logf("the node ended after %s; twenty more were granted something after %s", ended.Round(time.Millisecond), time.Since(since).Round(time.Millisecond))
			if err := os.Remove(leader.hangs()); err != nil {
				t.Fatal(err)
			}
			leader.launchHanging()
			leader.awaitUp()
			p.kept(f)
		})
	}
}
