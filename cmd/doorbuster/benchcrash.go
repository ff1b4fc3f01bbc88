package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/bench/port"
	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
	"doorbuster/wal"
	"doorbuster/wal/vfs"
)

func newCrashCommand() *cobra.Command {
	cfg := bench.DefaultCrashConfig()
	var data string
	var keep bool
	c := workload(&cobra.Command{
		Use:   "crash",
		Short: "Kill a node under load, over and over, and check what it still knows",
		Long: `Run a node of this program as a child process and kill it (SIGKILL) at a random
instant under load, sometimes again while it recovers; restart it on the same
directory; then hold everything that any shopper was ever told against what the
node knows. Exit status 1 if a check fails. The first round that finds something
wrong is the last, and the directory is kept. Ctrl-C ends after the round under
way.

The operating system survives a kill, and with it what the node had written: this
tries the recovery, not the disk.

Without --data the node's directory is a temporary one, which goes after a good
run unless --keep. What the node logs goes to a file beside it, DIR.log.`,
		Example: `  doorbuster bench crash --rounds 50
  doorbuster bench crash --rounds 500 --seed 7 --data /mnt/disk/crash --json crash.json`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		cfg.Progress = c.ErrOrStderr()
		v := victim{data: data}
		cfg.StartNode, cfg.ApplyPlan, cfg.VerifyLog = v.start, operate.ApplyPlan, v.verifyLog
		cfg.AwaitSnapshot = v.awaitSnapshot
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		crash := func() error {
			if err := v.prepare(); err != nil {
				return err
			}
			report, err := bench.Crash(c.Context(), cfg)
			if err != nil {
				return fmt.Errorf("%w\nthe node's last words:\n%s", err, v.lastWords())
			}
			return tell(report,
				fmt.Sprintf("the node broke its word: see the checks above; its directory is %s, its log %s",
					v.data, v.logFile()))
		}
		if data != "" {
			return crash()
		}
		return inScratch("", "crash", func(dir string) error {
			v.data = filepath.Join(dir, "data")
			return crash()
		}, func(err error) bool { return kept(c, keep || err != nil, v.data) })
	})
	c.Flags().StringVar(&data, "data", "", "data `directory` for the node, kept; none makes a temporary one")
	c.Flags().BoolVar(&keep, "keep", false, "keep the temporary directory after a good run too")
	return c
}

// kept says where a directory is if it is kept, and gives whether it is.
func kept(c *cobra.Command, is bool, dir string) bool {
	if is {
		fmt.Fprintln(c.ErrOrStderr(), "kept:", dir)
	}
	return is
}

// victim is a node that runs as a child process on one directory and one pair
// of addresses, one process after the other.
type victim struct {
	data        string
	http, admin string
	config      string // a file that says the rest; "" for none
}

// logFile is where the processes' standard error goes.
func (v *victim) logFile() string { return filepath.Clean(v.data) + ".log" }

// prepare finds addresses and begins the log.
func (v *victim) prepare() error {
	addrs, err := quietAddrs(2)
	if err != nil {
		return err
	}
	v.http, v.admin = addrs[0], addrs[1]
	return os.WriteFile(v.logFile(), nil, 0o600)
}

// quietAddrs are n loopback addresses that nobody else takes while a node is down,
// as long as this process runs.
func quietAddrs(n int) ([]string, error) {
	addrs, _, err := port.Hold(n)
	return addrs, err
}

// start runs this program as a node. Errors are of the process; whether the
// node comes up is for the caller to see.
func (v *victim) start(_ context.Context, snapshotBytes int64) (n bench.CrashNode, err error) {
	self, err := os.Executable()
	if err != nil {
		return n, err
	}
	args := []string{"serve", "--dev", "--data", v.data, "--http", v.http, "--admin", v.admin}
	if v.config != "" {
		args = append(args, "--config", v.config)
	}
	if snapshotBytes > 0 {
		args = append(args, "--snapshot-bytes", strconv.FormatInt(snapshotBytes, 10))
	}
	cmd := exec.Command(self, args...)
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, envPrefix) { // the flags above are to be all
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.SysProcAttr = childAttributes()
	log, err := os.OpenFile(v.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return n, err
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return n, err
	}
	ended := make(chan struct{})
	var outcome error
	go func() {
		defer close(ended)
		outcome = cmd.Wait()
	}()
	kill := func() error {
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-ended
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() ||
			status.Signal() != syscall.SIGKILL {
			return fmt.Errorf("the node had ended by itself (%v):\n%s", cmd.ProcessState, v.lastWords())
		}
		return nil
	}
	stop := func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		const patience = 20 * time.Second
		select {
		case <-ended:
			return outcome
		case <-time.After(patience):
			return errors.Join(fmt.Errorf("the node did not stop within %v", patience), kill())
		}
	}
	signal := func(s syscall.Signal) func() error { return func() error { return cmd.Process.Signal(s) } }
	return bench.CrashNode{HTTPAddr: v.http, AdminAddr: v.admin, Kill: kill, Stop: stop,
		Pause: signal(syscall.SIGSTOP), Resume: signal(syscall.SIGCONT), Ended: ended}, nil
}

// startPatience is how long a node may take until it serves.
const startPatience = 30 * time.Second

// awaitReady waits until the node serves.
func (v *victim) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := operate.Await(ctx, "http://"+v.admin+"/readyz"); err != nil {
		return fmt.Errorf("the node at %s is not ready: %w", v.admin, err)
	}
	return nil
}

// lastWords are the last lines that the node logged.
func (v *victim) lastWords() string {
	const most = 4 << 10
	f, err := os.Open(v.logFile())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-most), io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	return string(bytes.TrimSpace(b))
}

func (v *victim) verifyLog() (bench.LogReport, error) {
	r, err := wal.Verify(vfs.OS(), cluster.WALDir(v.data), wal.Known{})
	report := bench.LogReport{Bytes: r.Bytes, Records: r.Records, HalfSnapshots: v.halfSnapshots()}
	if r.Torn != nil {
		report.Torn = r.Torn.String()
	}
	return report, err
}

// halfSnapshots counts the snapshots that are being written, or were when the
// node was killed.
func (v *victim) halfSnapshots() (n int) {
	found, _ := os.ReadDir(cluster.SnapshotsDir(v.data)) // there is none before the first start
	for _, entry := range found {
		if filepath.Ext(entry.Name()) == ".tmp" {
			n++
		}
	}
	return n
}

// awaitSnapshot looks for one that has begun, often enough to see one that takes
// some milliseconds.
func (v *victim) awaitSnapshot(ctx context.Context) {
	every := time.NewTicker(200 * time.Microsecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if v.halfSnapshots() > 0 {
			return
		}
	}
}
