package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newClusterCommand(others []*cobra.Command) *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "cluster",
		Short: "Look at a cluster and operate it",
		Long: `Look at a cluster and operate it, through the admin API of any of its nodes.
Only snapshot, backup and promote are about the very node that is asked.`,
		Example: `  doorbuster cluster status --admin 127.0.0.1:8081 --watch
  doorbuster cluster transfer --to b1 --admin 127.0.0.1:8081`,
	}, append(others, newClusterStatusCommand(), newClusterJoinCommand(), newClusterRemoveCommand(),
		newClusterTransferCommand(), newClusterSnapshotCommand(), newClusterPromoteCommand(),
		newClusterZoneAckCommand(),
		newClusterPreferCommand(), newClusterDrainCommand("drain", true), newClusterDrainCommand("undrain", false),
		newBackupCommand())...)
}

func newClusterJoinCommand() *cobra.Command {
	var o nodeOptions
	var m wire.JoinRequest
	c := o.change(&cobra.Command{
		Use:   "join --id ID --zone ZONE --peer HOST:PORT --admin ADDR",
		Short: "Let a node into the cluster",
		Long: `Let a node into the cluster. It is sent the state, and if it is to vote, votes
once it has caught up. The id must be a new one: a node that was taken out, or
whose disk was lost, comes back as another.`,
		Example: `  doorbuster cluster join --id a3 --zone a --peer 10.0.1.3:8082 --admin 127.0.0.1:8081
  doorbuster cluster join --id c1 --zone c --kind witness --peer 10.0.3.1:8082 --admin 127.0.0.1:8081`,
	}, func() error {
		var problems []error
		for _, flag := range [...]struct{ name, value, what string }{
			{"--id", m.ID, "the id of the node, such as a3"}, {"--zone", m.Zone, "its failure domain, such as a"},
			{"--peer", m.Peer, "where the other nodes reach it, such as 10.0.1.3:8082"},
		} {
			if flag.value == "" {
				problems = append(problems, fmt.Errorf("no %s: %s", flag.name, flag.what))
			}
		}
		switch m.Kind {
		case wire.KindVoter, wire.KindWitness, wire.KindEdge:
		default:
			problems = append(problems, fmt.Errorf("--kind %q is none of voter, witness, edge", m.Kind))
		}
		return errors.Join(problems...)
	}, asking(&o, func(ctx context.Context, node *client.Client) (*joined, error) {
		m.Note.Note = o.note
		member, err := node.Join(ctx, m)
		if err != nil {
			return nil, err
		}
		status, err := node.Cluster(ctx)
		if err != nil { // it is only for the advice: without it there is less to copy
			status = &wire.Cluster{}
		}
		return &joined{*member, status}, nil
	}, line(func(j *joined) string { return joinAdvice(j.Member, j.in) })))
	c.Flags().StringVar(&m.ID, "id", "", "`id` of the node, one that the cluster has not had before")
	c.Flags().StringVar(&m.Zone, "zone", "", "its failure domain")
	c.Flags().StringVar(&m.Peer, "peer", "", "`host:port` that the other nodes reach it at")
	c.Flags().StringVar(&m.Kind, "kind", wire.KindVoter, "voter; witness (votes, serves no shoppers); edge (serves "+
		"shoppers, has no vote)")
	return c
}

// joined is a node that was let in, and the cluster that it is of.
type joined struct {
	wire.Member
	in *wire.Cluster
}

// joinAdvice says that m is let in, and what is to be done on the node itself.
func joinAdvice(m wire.Member, s *wire.Cluster) string {
	does := map[string]string{
		wire.KindVoter:   "It votes once it has caught up.",
		wire.KindWitness: "It votes once it has caught up, and serves no shoppers.",
		wire.KindEdge:    "It serves shoppers once it has caught up, and has no vote.",
	}[m.Kind]
	var b strings.Builder
	fmt.Fprintf(&b, `%[1]s of zone %[2]s is let in as %[3]s. %[4]s

Now on the node itself:
  1. Give it an empty data directory, and a certificate for %[1]s by the CA of this cluster.
  2. Have this in its config; among the nodes are others, not itself:
       node: %[1]s
       zone: %[2]s
       peer: %[5]s
       cluster:
         id: %[6]s
         ca: ca.crt
         cert: %[1]s.crt
         key: %[1]s.key
         nodes:
`, cli.Shown(m.ID), cli.Shown(m.Zone), article(m.Kind), does, cli.Shown(m.Peer),
		cli.Shown(cmp.Or(s.Cluster, "(the id of this cluster)")))
	for _, n := range s.Nodes {
		if n.ID == m.ID || n.Peer == "" {
			continue
		}
		kind := ""
		if n.Kind != "" && n.Kind != wire.KindVoter {
			kind = ", kind: " + n.Kind
		}
		fmt.Fprintf(&b, "           - %s\n", cli.Shown(fmt.Sprintf("{id: %s, zone: %s%s, peer: %q}", n.ID, n.Zone, kind,
			n.Peer)))
	}
	b.WriteString(`  3. Start it: doorbuster serve --config FILE
It shows in 'doorbuster cluster status' with its lag.`)
	return b.String()
}

func article(kind string) string {
	if kind == wire.KindEdge {
		return "an edge node"
	}
	return "a " + cli.Shown(kind)
}

func newClusterRemoveCommand() *cobra.Command {
	var o nodeOptions
	var node string
	c := o.change(&cobra.Command{
		Use:   "remove --node ID --admin ADDR",
		Short: "Take a node out of the cluster for good",
		Long: `Take a node out of the cluster for good. It is refused where the nodes left could
not decide any more. To keep shoppers away for a while, drain the node instead.`,
		Example: `  doorbuster cluster remove --node a3 --admin 127.0.0.1:8081`,
	}, func() error {
		if node == "" {
			return errors.New("no node: name the one to take out with --node, such as a3")
		}
		return nil
	}, asking(&o, func(ctx context.Context, at *client.Client) (*wire.Removed, error) {
		return at.Remove(ctx, wire.RemoveRequest{Note: wire.Note{Note: o.note}, Node: node})
	}, line(func(r *wire.Removed) string {
		return cli.Shown(r.Removed) + " is out of the cluster. Stop it; it can come back only with an empty data " +
			"directory, under a new id."
	})))
	c.Flags().StringVar(&node, "node", "", "`id` of the node")
	return c
}

func newClusterTransferCommand() *cobra.Command {
	var o nodeOptions
	var from, to string
	c := o.change(&cobra.Command{
		Use:   "transfer [--from ID] [--to ID] --admin ADDR",
		Short: "Hand leadership to another node",
		Long: `Hand leadership to a node, or from one to the best of the others. If another
leads already, --from changes nothing, so that both can be repeated. Leadership
does not stay outside of the zone that it is to be in; see 'doorbuster cluster
prefer'.`,
		Example: `  doorbuster cluster transfer --from a1 --admin 127.0.0.1:8081   # to the best one
  doorbuster cluster transfer --to b1 --admin 127.0.0.1:8081`,
	}, func() error {
		if from == "" && to == "" {
			return errors.New("say --to ID, or --from ID for the best of the others")
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Led, error) {
		return node.Transfer(ctx, wire.TransferRequest{Note: wire.Note{Note: o.note}, From: from, To: to})
	}, line(func(l *wire.Led) string { return cli.Shown(l.Leader) + " leads." })))
	c.Flags().StringVar(&to, "to", "", "`id` of the node that is to lead")
	c.Flags().StringVar(&from, "from", "", "`id` of the node that is to lead no longer")
	return c
}

func newClusterSnapshotCommand() *cobra.Command {
	var o nodeOptions
	return o.change(&cobra.Command{
		Use:   "snapshot --admin ADDR",
		Short: "Take a snapshot on the node that is asked",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Snapshot, error) {
		return node.Snapshot(ctx, o.note)
	}, line(func(s *wire.Snapshot) string {
		return fmt.Sprintf("The snapshot holds the state at log index %d.", s.LogIndex)
	})))
}

func newClusterZoneAckCommand() *cobra.Command {
	var o nodeOptions
	var mode string
	var yes bool
	c := o.change(&cobra.Command{
		Use:   "zone-ack --mode off|prefer|require --admin ADDR",
		Short: "Change when another zone must have what shoppers are told",
		Long: `Change what is waited for before a shopper hears anything:
  require  a voter of another zone has it on disk. Losing a zone loses nothing
           that anybody was told; while the other zone is away, nothing is granted.
  prefer   the same while there is another zone; without one it goes on after a
           moment, with an alarm.
  off      a quorum has it, in whatever zones that is.`,
		Example: `  doorbuster cluster zone-ack --mode prefer --note "b is being moved" --admin 127.0.0.1:8081`,
	}, func() error {
		switch mode {
		case wire.ZoneAckOff, wire.ZoneAckPrefer, wire.ZoneAckRequire:
			return nil
		case "":
			return errors.New("no mode: say --mode off, prefer or require")
		}
		return fmt.Errorf("--mode %q is none of off, prefer, require", mode)
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.ZoneAckMode, error) {
		return node.SetZoneAck(ctx, wire.ZoneAckRequest{Note: wire.Note{Note: o.note}, Mode: mode}, yes)
	}, line(func(z *wire.ZoneAckMode) string { return "Zone ack is " + cli.Shown(z.Mode) + "." })))
	c.Flags().StringVar(&mode, "mode", "", "off, prefer or require")
	c.Flags().BoolVar(&yes, "yes", false, "require is meant, although no voter of another zone answers: nothing is "+
		"granted then")
	return c
}

func newClusterPreferCommand() *cobra.Command {
	var o nodeOptions
	var zone string
	var none bool
	c := o.change(&cobra.Command{
		Use:   "prefer (--zone ZONE | --none) --admin ADDR",
		Short: "Name the zone that leadership is to be in",
		Long: `Name the zone that leadership is to be in. It moves there by itself while all
voters are healthy. Without one it is the zone that has more voters than any
other, if there is such a zone: so the loss of another zone does not take the
leader.`,
		Example: `  doorbuster cluster prefer --zone a --admin 127.0.0.1:8081
  doorbuster cluster prefer --none --admin 127.0.0.1:8081`,
	}, func() error {
		if (zone == "") == !none {
			return errors.New("say --zone ZONE or --none, one of them")
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Preferred, error) {
		return node.Prefer(ctx, zone, o.note)
	}, line(func(p *wire.Preferred) string {
		if p.Zone == "" {
			return "Leadership may be in any zone."
		}
		return "Leadership is to be in zone " + cli.Shown(p.Zone) + "."
	})))
	c.Flags().StringVar(&zone, "zone", "", "the `zone`")
	c.Flags().BoolVar(&none, "none", false, "no zone is better than another")
	return c
}

func newClusterDrainCommand(name string, on bool) *cobra.Command {
	var o nodeOptions
	var node, zone string
	short, long, told := "Let shoppers come to a node or a zone again",
		"Let shoppers come to a node or a zone again, and leadership too.", "%s takes shoppers again."
	if on {
		short = "Keep new shoppers away from a node or a zone, for maintenance"
		long = `Keep new shoppers away from a node or a zone: /readyz says so to the load
balancer, and leadership moves elsewhere. Whom it is serving, it serves to the end.`
		told = "%s takes no new shoppers. Wait until the load balancer has seen it, then go on; 'doorbuster cluster " +
			"undrain' ends it."
	}
	c := o.change(&cobra.Command{
		Use: name + " (--node ID | --zone ZONE) --admin ADDR", Short: short, Long: long,
		Example: fmt.Sprintf("  doorbuster cluster %[1]s --node a1 --admin 127.0.0.1:8081\n  doorbuster cluster %[1]s "+
			"--zone a --admin 127.0.0.1:8081", name),
	}, func() error {
		if (node == "") == (zone == "") {
			return errors.New("say --node ID or --zone ZONE, one of them")
		}
		return nil
	}, asking(&o, func(ctx context.Context, at *client.Client) (*wire.Drain, error) {
		r := wire.DrainRequest{Note: wire.Note{Note: o.note}, Node: node, Zone: zone}
		if on {
			return at.Drain(ctx, r)
		}
		return at.Undrain(ctx, r)
	}, line(func(*wire.Drain) string {
		if zone != "" {
			return fmt.Sprintf(told, "Zone "+zone)
		}
		return fmt.Sprintf(told, "Node "+node)
	})))
	c.Flags().StringVar(&node, "node", "", "`id` of a node")
	c.Flags().StringVar(&zone, "zone", "", "a `zone`, with all its nodes")
	return c
}
