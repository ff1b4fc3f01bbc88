package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// watchEvery is how often status --watch looks.
const watchEvery = time.Second

func newClusterStatusCommand() *cobra.Command {
	var o nodeOptions
	var watch bool
	c := o.command(&cobra.Command{
		Use:   "status --admin ADDR",
		Short: "Show the nodes of a cluster, and what needs seeing to",
		Long: `Show the nodes of a cluster as the node that is asked sees them, and what needs
seeing to. The leader is marked with a star. With --watch it looks every second
until it is interrupted; --output json then gives one line each time.`,
		Example: `  doorbuster cluster status --admin 127.0.0.1:8081
  doorbuster cluster status --admin 127.0.0.1:8081 --output json | jq .leader`,
	}, nil, func(c *cobra.Command) error {
		if watch {
			return o.watch(c)
		}
		return asking(&o, func(ctx context.Context, node *client.Client) (*wire.Cluster, error) {
			return node.Cluster(ctx)
		}, printStatus)(c)
	})
	c.Flags().BoolVar(&watch, "watch", false, "look every second until interrupted")
	return c
}

// watch shows the status again and again. A node that does not answer for a
// while, as during a restart, is told of and asked again; one that refuses, or
// never answered, ends it.
func (o *nodeOptions) watch(c *cobra.Command) error {
	node, err := o.asks()
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for shownOnce := false; ; {
		status, err := node.Cluster(c.Context())
		switch {
		case c.Context().Err() != nil:
			return nil
		case err != nil && (!shownOnce || errors.As(err, new(*client.Refused))):
			return err
		case err != nil:
			fmt.Fprintf(c.ErrOrStderr(), "%s %v\n", time.Now().Format(time.TimeOnly), err)
		default:
			if err := o.show(out, status, shownOnce); err != nil {
				return err
			}
			shownOnce = true
		}
		select {
		case <-c.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

// show writes one look: over the one before on a terminal, else below it.
func (o *nodeOptions) show(out io.Writer, status *wire.Cluster, again bool) error {
	const clear = "\x1b[H\x1b[2J"
	switch {
	case o.output == "json":
		return json.NewEncoder(out).Encode(status)
	case cli.IsTerminal(out):
		fmt.Fprint(out, clear)
	case again:
		fmt.Fprintln(out)
	}
	return printStatus(out, status)
}

// printStatus writes what a person reads: the group, the alarms, the nodes.
func printStatus(w io.Writer, s *wire.Cluster) error {
	var b strings.Builder
	head := func(name, text string) { fmt.Fprintf(&b, "%-9s %s\n", name, cli.Shown(text)) }
	name := "this node is alone"
	if s.Cluster != "" {
		name = fmt.Sprintf("%s, generation %d", s.Cluster, s.Generation)
	}
	if s.Answered != "" {
		name += ", as " + s.Answered + " sees it"
	}
	head("cluster", name)
	head("leader", fmt.Sprintf("%s, term %d, epoch %d", cmp.Or(s.Leader, "none"), s.Term, s.Epoch))
	head("state", fmt.Sprintf("rules %d", s.RulesVersion))
	if s.AsOf != nil {
		head("began", fmt.Sprintf("with the state as of log index %d, %s", s.AsOf.LogIndex,
			s.AsOf.Time.Format(time.RFC3339)))
	}
	if s.ZoneAck.Mode != "" {
		head("zone ack", zoneAckText(s.ZoneAck))
	}
	b.WriteString(alarmLines(s.Alarms, cli.PaintFor(w)))
	b.WriteByte('\n')
	t := cli.NewTable(&b, "  NODE", "ZONE", "KIND", "ROLE", "APPLIED", "LAST", "LAG", "DURABLE", "DISK", "GEN", "CLOCK",
		"NOTES")
	nodes := slices.Clone(s.Nodes)
	slices.SortStableFunc(nodes, func(a, b wire.Node) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone),
			cmp.Compare(a.ID, b.ID))
	})
	versions := map[string]bool{}
	for i := range nodes {
		if nodes[i].Version != "" {
			versions[nodes[i].Version] = true
		}
	}
	for i := range nodes {
		t.Row(nodeRow(s, &nodes[i], len(versions) > 1)...)
	}
	t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}

func zoneAckText(z wire.ZoneAck) string {
	upTo := fmt.Sprintf("up to log index %d", z.ZoneIndex)
	switch z.State {
	case wire.ZoneAckOff:
		return "off: a quorum is waited for, in whatever zones"
	case wire.ZoneAckHolding:
		return z.Mode + ", holding: another zone has everything " + upTo
	case wire.ZoneAckDegraded:
		return z.Mode + ", DEGRADED: another zone has things only " + upTo
	case wire.ZoneAckBlocked:
		return z.Mode + ", BLOCKED: another zone has things only " + upTo +
			"; nothing is granted until one answers, or until 'doorbuster cluster zone-ack --mode prefer'"
	case wire.ZoneAckUnknown:
		return z.Mode + ": not known yet what another zone has"
	case wire.ZoneAckSingleZone:
		return z.Mode + ": all voters are of one zone"
	}
	return z.Mode + ", " + z.State
}

// nodeRow is one line of the table.
func nodeRow(s *wire.Cluster, n *wire.Node, versions bool) []any {
	count := func(n uint64) string {
		if n == 0 {
			return "-" // not known; log indices begin at 1
		}
		return strconv.FormatUint(n, 10)
	}
	mark := "  "
	if n.ID == s.Leader {
		mark = "* "
	}
	role, lag, clock := n.Role, strconv.FormatUint(n.Lag, 10), "-"
	if !n.Reachable {
		role = "unreachable"
	}
	if !n.Reachable && n.AppliedIndex == 0 {
		lag = "-"
	}
	if n.Reachable && n.ID != s.Answered {
		if clock = fmt.Sprintf("%+.1fms", n.ClockOffsetMS); strings.Trim(clock, "+-0.ms") == "" {
			clock = "0ms"
		}
	}
	disk := "-"
	if n.WALBytes > 0 {
		disk = cli.BinaryBytes(n.WALBytes)
	}
	var notes []string
	if n.Joining {
		notes = append(notes, "joining")
	}
	if n.Drained {
		notes = append(notes, "drained")
	}
	if n.Preferred {
		notes = append(notes, "preferred zone")
	}
	if versions && n.Version != "" {
		notes = append(notes, n.Version)
	}
	if n.Error != "" {
		notes = append(notes, n.Error)
	}
	return []any{mark + n.ID, n.Zone, n.Kind, strings.ReplaceAll(role, "_", "-"), count(n.AppliedIndex),
		count(n.LastIndex), lag, count(n.DurableIndex), disk, count(n.Generation), clock, strings.Join(notes, "; ")}
}
