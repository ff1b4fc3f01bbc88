package operate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// maxTypedBytes bounds what is read from whoever is asked to confirm.
const maxTypedBytes = 1 << 10

func newClusterPromoteCommand() *cobra.Command {
	var o nodeOptions
	var zone string
	var yes, dryRun, wait bool
	c := o.change(&cobra.Command{
		Use:   "promote --zone ZONE --admin ADDR",
		Short: "Make the surviving zone take over after a quorum was lost",
		Long: `Make the surviving zone take over, for good, after the zone with the majority was
lost. Ask the node that is to take over, by its own admin API. It says what it
will do and what it can't know, and asks. What was read is what is done: where
things have changed in the meantime, it is refused.

The cluster's generation is raised, and the nodes of the lost zone are refused
when they come back: they join from scratch, under new ids. While a quorum
lives, there is nothing to promote, and it is refused; see 'cluster transfer'. It is
also refused for some seconds after a leader was heard: --wait waits for that.`,
		Example: `  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --dry-run
  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --note "zone a burns"
  doorbuster cluster promote --zone b --admin 127.0.0.1:8081 --yes   # asks nothing`,
	}, func() error {
		switch {
		case zone == "":
			return errors.New("no zone: name the one that is to take over with --zone, such as b")
		case yes && dryRun:
			return errors.New("--yes and --dry-run contradict each other")
		case o.output == "json" && !yes && !dryRun:
			return errors.New("--output json asks nothing: say --yes or --dry-run with it")
		}
		return nil
	}, func(c *cobra.Command) error {
		node, err := o.asks()
		if err != nil {
			return err
		}
		request := wire.PromoteRequest{Note: wire.Note{Note: o.note}, Zone: zone, DryRun: true}
		var plan *wire.Promoted
		for until := time.Now().Add(o.timeout); ; {
			if plan, err = node.Promote(c.Context(), request); err != nil {
				return err
			}
			pause, err := time.ParseDuration(plan.Wait)
			if !wait || plan.Refusal == "" || err != nil || time.Now().Add(pause).After(until) {
				break
			}
			fmt.Fprintf(c.ErrOrStderr(), "doorbuster: %s\n", cli.Shown(plan.Refusal))
			select {
			case <-c.Context().Done():
				return errors.New("interrupted; nothing was changed")
			case <-time.After(pause + waitEvery):
			}
		}
		out := c.OutOrStdout()
		if o.output == "json" && (dryRun || plan.Refusal != "") {
			if err := cli.PrintJSON(out, plan); err != nil {
				return err
			}
		} else if o.output != "json" {
			if _, err := io.WriteString(out, promoteText(&plan.PromotePlan)); err != nil {
				return err
			}
		}
		switch {
		case plan.Refusal != "":
			return fmt.Errorf("it can't be done now; nothing was changed: %s", cli.Shown(plan.Refusal))
		case dryRun:
			return nil
		case !yes:
			typed, err := ask(c, "\nType the zone's name to go on, anything else to leave it: ")
			if err != nil {
				return err
			}
			if typed != zone {
				return fmt.Errorf("%q is not %s; nothing was changed", typed, zone)
			}
		}
		request.DryRun, request.Token = false, plan.Token
		return asking(&o, func(ctx context.Context, node *client.Client) (*wire.Promoted, error) {
			return node.Promote(ctx, request)
		}, line(func(p *wire.Promoted) string {
			return fmt.Sprintf("\n%s of zone %s takes over, in generation %d. Follow it with 'doorbuster cluster "+
				"status'.",
				cli.Shown(p.Node), cli.Shown(p.Zone), p.NextGeneration)
		}))(c)
	})
	c.Flags().StringVar(&zone, "zone", "", "the `zone` that is to take over")
	c.Flags().BoolVar(&yes, "yes", false, "go on without asking")
	c.Flags().BoolVar(&wait, "wait", false,
		"wait, for --timeout at most, where that is all it takes until it can be done")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what it would do")
	return c
}

// promoteText is a plan as an operator reads it.
func promoteText(p *wire.PromotePlan) string {
	var b strings.Builder
	heard := "never heard since the start"
	if p.LeaderHeardAgo != "" {
		heard = "last heard " + p.LeaderHeardAgo + " ago"
	}
	fmt.Fprintf(&b, "Node %s of zone %s, generation %d, term %d, zone ack %s.\nIts log ends at index %d, of which %d "+
		"is applied. The leader was %s.\n",
		cli.Shown(p.Node), cli.Shown(p.Zone), p.Generation, p.Term, cli.Shown(p.ZoneAck), p.LastIndex, p.AppliedIndex,
		cli.Shown(heard))
	if len(p.Unreachable) > 0 {
		fmt.Fprintf(&b, "Out of reach: %s.\n", cli.Shown(strings.Join(p.Unreachable, ", ")))
	}
	for _, part := range [...]struct {
		head  string
		lines []string
	}{{"Promote will", p.Will}, {"It can't know", p.CannotKnow}} {
		if len(part.lines) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", part.head)
		for _, line := range part.lines {
			fmt.Fprintf(&b, "  - %s\n", cli.Shown(line))
		}
	}
	return b.String()
}

// ask reads a line from standard input. Nothing there is an answer of "".
func ask(c *cobra.Command, question string) (string, error) {
	if _, err := io.WriteString(c.OutOrStdout(), question); err != nil {
		return "", err
	}
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() { // an interrupt must not wait for a line that never comes
		text, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), maxTypedBytes)).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case <-c.Context().Done():
		return "", errors.New("interrupted; nothing was changed")
	case typed := <-read:
		if typed.err != nil && !errors.Is(typed.err, io.EOF) {
			return "", fmt.Errorf("read the answer: %w", typed.err)
		}
		return strings.TrimSpace(typed.text), nil
	}
}
