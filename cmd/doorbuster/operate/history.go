package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

// mostHistory is how many entries a page has at most.
const mostHistory = 200

func newHistoryCommand() *cobra.Command {
	var o nodeOptions
	kind, before, limit := "", "", 0
	c := o.command(&cobra.Command{
		Use:   "history --admin ADDR",
		Short: "Show what was changed by plans, in words and with switches",
		Long: `Show what was changed by plans, in words and with switches, the newest first: who did it
and when, who approved it, and from what to what. The last 64 changes by plans and of words
are kept, and the last 64 of switches; 'doorbuster events' goes further back.`,
		Example: `  doorbuster history --admin 127.0.0.1:8081
  doorbuster history --kind words --admin 127.0.0.1:8081
  doorbuster history --kind plan --limit 1 --admin 127.0.0.1:8081 --json`,
	}, func() error {
		var errs []error
		if !slices.Contains([]string{"", "plan", "words", "switches"}, kind) {
			errs = append(errs, fmt.Errorf("--kind %q is not plan, words or switches", kind))
		}
		if limit < 0 || limit > mostHistory {
			errs = append(errs, fmt.Errorf("--limit %d is not between 1 and %d", limit, mostHistory))
		}
		return errors.Join(errs...)
	}, asking(&o, func(ctx context.Context, node *client.Client) (*wire.History, error) {
		return node.History(ctx, kind, before, limit)
	}, printHistory))
	c.Flags().StringVar(&kind, "kind", "", "plan, words or switches; all if not given")
	c.Flags().StringVar(&before, "before", "", "where to go on, as the page before says")
	c.Flags().IntVar(&limit, "limit", 0, "how many at most; 50 if not given")
	return c
}

func printHistory(w io.Writer, h *wire.History) error {
	say := func(format string, args ...any) error {
		_, err := fmt.Fprintln(w, cli.Shown(fmt.Sprintf(format, args...)))
		return err
	}
	var errs []error
	if len(h.Entries) == 0 {
		errs = append(errs, say("Nothing was changed."))
	}
	for i := range h.Entries {
		e := &h.Entries[i]
		text := fmt.Sprintf("%s  %s: %s %s", e.At, cmp.Or(e.By, "nobody"), e.Kind, e.Action)
		if e.Profile != "" {
			text += " " + e.Profile
		}
		if e.ApprovedBy != "" {
			text += fmt.Sprintf(", approved by %s (approval %d)", e.ApprovedBy, e.Approval)
		}
		if e.Note != "" {
			text += " (" + e.Note + ")"
		}
		errs = append(errs, say("%s", text), printDiff(w, e.Changes))
		if e.LeftOut > 0 {
			errs = append(errs, say("and %d changes more, which are not kept", e.LeftOut))
		}
		_, err := fmt.Fprintln(w)
		errs = append(errs, err)
	}
	if h.KeptSince != "" {
		errs = append(errs, say("What was before %s is in the audit trail alone.", h.KeptSince))
	}
	if h.Before != "" {
		errs = append(errs, say("There are more: --before %s", h.Before))
	}
	return errors.Join(errs...)
}
