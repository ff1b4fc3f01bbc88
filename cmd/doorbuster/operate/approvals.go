package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newApprovalsCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "approvals",
		Short: "Approve or reject changes of other operators",
		Long: `Approve or reject changes that another operator has asked for and that await a second one:
large plans, words of sales, ends of sessions, as the leader's settings approvals.* say. A
change is made once it is approved, exactly as it was asked for. Who asked for it can't
approve it, but can take it back by rejecting it.`,
		Example: `  doorbuster approvals list --admin 127.0.0.1:8081
  doorbuster approvals show 7 --admin 127.0.0.1:8081
  doorbuster approvals approve 7 --note "as agreed" --admin 127.0.0.1:8081
  doorbuster approvals reject 8 --note "not before Monday" --admin 127.0.0.1:8081`,
	}, newApprovalsListCommand(), newApprovalsShowCommand(), newApprovalsDecideCommand("approve",
		"Approve a change of another operator's, which is made then",
		`Approve a change of another operator's: it is made then, exactly as it was asked for. It is
refused if by now it would change something else than when it was asked for: reject it then,
and have it asked for again.`), newApprovalsDecideCommand("reject",
		"Reject a change that awaits approval, or take back one's own", ""))
}

func newApprovalsListCommand() *cobra.Command {
	var o nodeOptions
	state := ""
	c := o.command(&cobra.Command{
		Use:   "list --admin ADDR",
		Short: "List changes that await approval, and what has become of earlier ones",
	}, func() error {
		if _, known := engine.ParseApprovalState(state); state != "" && !known {
			return fmt.Errorf("--state %q is not pending, approved, rejected or expired", state)
		}
		return nil
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Approvals, error) {
		return node.Approvals(ctx, state)
	}, func(w io.Writer, list *wire.Approvals) error {
		var b strings.Builder
		if len(list.Approvals) == 0 {
			b.WriteString("No approvals.\n")
		} else {
			t := cli.NewTable(&b, "ID", "STATE", "WHAT", "ASKED BY", "AT", "EXPIRES", "DECIDED BY")
			for i := range list.Approvals {
				a := &list.Approvals[i]
				t.Row(a.ID, a.State, a.What, a.By, a.At, a.Expires, a.DecidedBy)
			}
			t.Flush()
		}
		_, err := io.WriteString(w, b.String())
		return err
	}))
	c.Flags().StringVar(&state, "state", "", "pending, approved, rejected or expired; all if not given")
	return c
}

// ofApproval has a command take the number of an approval.
func ofApproval(c *cobra.Command, id *uint32) *cobra.Command {
	return cli.WithArguments(c, func(args []string) error {
		if len(args) == 1 {
			if n, err := strconv.ParseUint(args[0], 10, 32); err == nil && n > 0 {
				*id = uint32(n)
				return nil
			}
		}
		return errors.New("name one approval by its number; 'doorbuster approvals list' has them")
	})
}

func newApprovalsShowCommand() *cobra.Command {
	var o nodeOptions
	var id uint32
	return ofApproval(o.command(&cobra.Command{
		Use:   "show ID --admin ADDR",
		Short: "Show a change that awaits approval, with its diff",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Approval, error) {
		return node.Approval(ctx, id)
	}, printApproval)), &id)
}

func newApprovalsDecideCommand(verb, short, long string) *cobra.Command {
	o := nodeOptions{look: "approvals list"}
	var id uint32
	return ofApproval(o.change(&cobra.Command{Use: verb + " ID --admin ADDR", Short: short, Long: long}, nil,
		asking(&o, func(ctx context.Context, node *client.Client) (*wire.Approval, error) {
			return node.DecideApproval(ctx, id, verb, o.note)
		}, printApproval)), &id)
}

// printApproval writes an approval and its diff for a person.
func printApproval(w io.Writer, a *wire.Approval) error {
	var b strings.Builder
	say := func(format string, args ...any) { b.WriteString(cli.Shown(fmt.Sprintf(format, args...)) + "\n") }
	noted := func(note string) string {
		if note == "" {
			return ""
		}
		return " (" + note + ")"
	}
	say("Approval %d, %s: %s", a.ID, a.State, a.What)
	say("asked for by %s at %s%s", a.By, a.At, noted(a.Note))
	for _, why := range a.Why {
		say("needs a second operator: %s", why)
	}
	switch {
	case a.DecidedBy != "":
		say("%s by %s at %s%s", a.State, a.DecidedBy, a.DecidedAt, noted(a.DecisionNote))
	default:
		say("expires at %s", a.Expires)
	}
	if a.BaseChanged {
		say("It can't be approved: this is not what it would have changed when it was asked for. Reject it, and have " +
			"it asked for again.")
	}
	for _, p := range a.Problems {
		say("It can't be approved: %s: %s", p.Path, p.Message)
	}
	if len(a.Changes) > 0 {
		b.WriteString("\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil || len(a.Changes) == 0 {
		return err
	}
	if err := printDiff(w, a.Changes); err != nil || a.LeftOut == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "and %d changes more, which are not kept\n", a.LeftOut)
	return err
}
