package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func newFailoverCommand() *cobra.Command {
	cfg := bench.DefaultFailoverConfig()
	nodes := len(cfg.Nodes)
	snapshotBytes := int64(8 << 20)
	var dir string
	var keep bool
	c := workload(&cobra.Command{
		Use:   "failover",
		Short: "Kill the leader of a cluster under load, over and over, and time it",
		Long: `Run a cluster of this program's nodes in two zones as child processes, send a
crowd to all of them alike, and kill the leader (SIGKILL) again and again; every
5th time a follower, every 7th time the leader that has only just taken over. It
measures how long it takes from the kill until a unit is granted to a shopper who
asked after it, restarts the node, and waits until it has caught up. At the end
everything that any node told any shopper is held against what all nodes know.
Exit status 1 if a check fails. The first kill that finds something wrong is the
last, and the directory is kept. Ctrl-C ends after the kill under way.

--how stop stops nodes in good order instead, --how stall makes them stand still
(SIGSTOP) for --stall-for.

Without --dir the nodes' directories are in a temporary one, which goes after a
good run unless --keep. What a node logs goes to a file beside its directory.`,
		Example: `  doorbuster bench failover --kills 100
  doorbuster bench failover --kills 20 --how stall --zone-ack require --json failover.json`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		if nodes < 3 || nodes > 7 {
			return cli.Usage(fmt.Errorf("--nodes %d: want 3 to 7", nodes))
		}
		cfg.Progress = c.ErrOrStderr()
		cfg.Nodes, cfg.Zones = twoRooms(nodes)
		f := fleet{ids: cfg.Nodes, zones: cfg.Zones, zoneAck: cfg.ZoneAck, snapshotBytes: snapshotBytes}
		cfg.StartNode, cfg.ApplyPlan, cfg.VerifyLog = f.start, operate.ApplyPlan, f.verifyLog
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		failover := func(at string) error {
			if err := f.prepare(at); err != nil {
				return err
			}
			report, err := bench.Failover(c.Context(), cfg)
			if err != nil {
				return fmt.Errorf("%w\nthe nodes' last words:\n%s", err, f.lastWords())
			}
			return tell(report,
				"the cluster broke its word: see the checks above; its nodes' directories and logs are in "+at)
		}
		if dir != "" {
			return failover(dir)
		}
		at := ""
		return inScratch("", "failover", func(dir string) error { at = dir; return failover(dir) },
			func(err error) bool { return kept(c, keep || err != nil, at) })
	})
	f := c.Flags()
	f.IntVar(&nodes, "nodes", nodes, "how many nodes, 3 to 7; the larger half of them in zone a, the others in b")
	f.Int64Var(&snapshotBytes, "snapshot-bytes", snapshotBytes,
		"bytes of log after which the nodes take snapshots: few, so that nodes come back by way of one")
	f.StringVar(&dir, "dir", "",
		"`directory` for the nodes', kept; it must be new or empty; none makes a temporary one")
	f.BoolVar(&keep, "keep", false, "keep the temporary directory after a good run too")
	return c
}

// twoRooms names n nodes, the larger half of them in zone a: a1, a2, b1.
func twoRooms(n int) (ids, zones []string) {
	for i := range n {
		zone, number := "a", i+1
		if most := (n + 1) / 2; i >= most {
			zone, number = "b", i-most+1
		}
		ids, zones = append(ids, zone+strconv.Itoa(number)), append(zones, zone)
	}
	return ids, zones
}

// fleet is a cluster of victims.
type fleet struct {
	ids, zones    []string
	zoneAck       string
	snapshotBytes int64
	victims       []*victim
}

// prepare finds addresses, and writes the nodes' configurations into dir.
func (f *fleet) prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if found, err := os.ReadDir(dir); err != nil {
		return err
	} else if len(found) > 0 {
		return cli.Usage(fmt.Errorf("--dir %s: it is not empty: there is %s", dir, found[0].Name()))
	}
	n := len(f.ids)
	addrs, err := quietAddrs(3 * n)
	if err != nil {
		return err
	}
	var members strings.Builder
	for i, id := range f.ids {
		fmt.Fprintf(&members, "    - {id: %s, zone: %s, peer: %q}\n", id, f.zones[i], addrs[i])
	}
	for i, id := range f.ids {
		v := &victim{data: filepath.Join(dir, id), config: filepath.Join(dir, id+".yaml"), http: addrs[n+i],
			admin: addrs[2*n+i]}
		text := fmt.Sprintf(`node: %s
zone: %s
peer: %s
snapshot_bytes: %d
cluster:
  id: failover
  zone_ack: %s
  nodes:
%s`, id, f.zones[i], addrs[i], f.snapshotBytes, f.zoneAck, members.String())
		err := errors.Join(os.WriteFile(v.config, []byte(text), 0o600), os.WriteFile(v.logFile(), nil, 0o600))
		if err != nil {
			return err
		}
		f.victims = append(f.victims, v)
	}
	return nil
}

func (f *fleet) start(ctx context.Context, n int) (bench.CrashNode, error) {
	return f.victims[n].start(ctx, 0)
}

func (f *fleet) verifyLog(n int) (bench.LogReport, error) { return f.victims[n].verifyLog() }

func (f *fleet) lastWords() string {
	var b strings.Builder
	for i, v := range f.victims {
		fmt.Fprintf(&b, "--- %s\n%s\n", f.ids[i], v.lastWords())
	}
	return b.String()
}
