package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/plan"
	"doorbuster/httpapi/wire"
)

// applyOptions are the flags of apply.
type applyOptions struct {
	nodeOptions
	file   string
	dryRun bool
}

func newApplyCommand() *cobra.Command {
	o := applyOptions{nodeOptions: nodeOptions{breaks: "the plan may be applied or not"}}
	c := cli.WithArguments(o.keyed(&cobra.Command{
		Use:   "apply -f FILE --admin ADDR",
		Short: "Make products, sales, sessions and listings match a plan file",
		Long: `Apply makes the products, sales, sessions and listings of a node match a plan
file: it creates what is missing, changes what differs and says what it did.
What the plan does not name stays as it is, so the same file applied again
changes nothing. What operators have changed since (stock, words, publishing)
stays, too, where the plan says what the last one said: a note tells.

A plan is taken whole or not at all. It is checked here first, and nothing is
sent while it has problems; each of them is told with its line. The node then
holds it against what is on sale already.`,
		Example: `  # See what a plan would do, then do it
  doorbuster apply -f examples/fans-day.yaml --admin 127.0.0.1:8081 --dry-run
  doorbuster apply -f examples/fans-day.yaml --admin 127.0.0.1:8081

  # A node that asks for a token; the plan from another program
  make-plan | doorbuster apply -f - --admin ops.example.com:8081 --token-file ops.token

  # For a script
  doorbuster apply -f plan.yaml --admin 127.0.0.1:8081 --json`,
	}, func() error {
		if o.file == "" {
			return errors.New("no plan: name it with -f FILE, or -f - for standard input")
		}
		return nil
	}, o.run), func(args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("apply takes no argument %q; name the plan with -f %s", args[0], args[0])
		}
		return nil
	})
	c.Flags().StringVarP(&o.file, "file", "f", "", "the plan file, YAML or JSON; - for standard input")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only tell what would change")
	return c
}

func (o *applyOptions) run(cmd *cobra.Command) error {
	text, name, err := o.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	result, problems := plan.Parse(text, plan.Options{Now: time.Now(), File: name, Stateless: true})
	if len(problems) > 0 {
		return planRefused(cmd.ErrOrStderr(), problems)
	}
	for _, note := range result.Notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %s\n", name, note)
	}
	err = asking(&o.nodeOptions, func(ctx context.Context, node *client.Client) (*wire.PlanChanges, error) {
		answer, err := node.ApplyPlan(ctx, text, o.dryRun)
		if err != nil {
			return nil, err
		}
		for i, note := range located(answer.Notes, name, result) {
			answer.Notes[i] = wire.PlanProblem{Path: note.Path, Message: note.Message,
				Line: note.Line, Column: note.Column}
			note.Message = "note: " + note.Message
			fmt.Fprintln(cmd.ErrOrStderr(), note)
		}
		if answer.Changes == nil {
			answer.Changes = []wire.PlanChange{} // a list to whoever reads it, if an empty one
		}
		return answer, nil
	}, func(w io.Writer, answer *wire.PlanChanges) error {
		for i, c := range answer.Changes {
			answer.Changes[i].Before, answer.Changes[i].After = result.Local(c.Path, c.Before),
				result.Local(c.Path, c.After)
		}
		return printChanges(w, answer)
	})(cmd)
	var refused *client.Refused
	if errors.As(err, &refused) && len(refused.Problem.Problems) > 0 {
		return planRefused(cmd.ErrOrStderr(), located(refused.Problem.Problems, name, result))
	}
	return err
}

// planRefused tells every problem and gives the error that closes the list.
func planRefused(w io.Writer, problems plan.Problems) error {
	fmt.Fprintln(w, problems.Error())
	if len(problems) == 1 {
		return errors.New("the plan has a problem; nothing was changed")
	}
	return fmt.Errorf("the plan has %d problems; nothing was changed", len(problems))
}

func (o *applyOptions) read(stdin io.Reader) (text []byte, name string, err error) {
	name, from := o.file, stdin
	if o.file == "-" {
		name = "(standard input)"
	} else {
		f, err := os.Open(o.file)
		if err != nil {
			return nil, "", fmt.Errorf("read the plan: %w", err)
		}
		defer f.Close()
		from = f
	}
	// One byte over the bound is enough for the reader to refuse it.
	text, err = io.ReadAll(io.LimitReader(from, plan.MaxFileBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("read the plan: %w", err)
	}
	return text, name, nil
}

// located gives what the node says of a plan in the order of the file, with its name, and
// with lines where the node named none.
func located(said []wire.PlanProblem, name string, result *plan.Result) plan.Problems {
	problems := make(plan.Problems, len(said))
	for i, p := range said {
		at := plan.Problem{File: name, Path: p.Path, Message: p.Message, Line: p.Line, Column: p.Column}
		line, column := result.Locate(at.Path)
		if at.Line == 0 || at.Line == line && at.Column == 0 {
			at.Line, at.Column = line, column
		}
		problems[i] = at
	}
	slices.SortStableFunc(problems, func(a, b plan.Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return problems
}

// printDiff tells changes in groups, one for the products and one for each sale and
// session.
func printDiff(w io.Writer, changes []wire.PlanChange) error {
	var b strings.Builder
	paint := cli.PaintFor(w)
	group := ""
	for i, c := range changes {
		if g := groupOf(c.Path); g != group {
			if i > 0 {
				b.WriteByte('\n')
			}
			group = g
		}
		switch {
		case c.Before == "":
			said := ""
			if c.After != "" && c.After != "new" {
				said = ": " + c.After
			}
			b.WriteString(paint(cli.Green, cli.Shown("+ "+c.Path+said)) + "\n")
		case c.After == "":
			b.WriteString(paint(cli.Red, cli.Shown("- "+c.Path+": "+c.Before)) + "\n")
		default:
			b.WriteString(paint(cli.Yellow, cli.Shown("~ "+c.Path+": "+c.Before+" → "+c.After)) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printChanges tells the changes, and what they come to.
func printChanges(w io.Writer, a *wire.PlanChanges) error {
	if err := printDiff(w, a.Changes); err != nil {
		return err
	}
	var b strings.Builder
	created, changed, removed := 0, 0, 0
	for _, c := range a.Changes {
		switch {
		case c.Before == "":
			created++
		case c.After == "":
			removed++
		default:
			changed++
		}
	}
	if len(a.Changes) > 0 {
		b.WriteByte('\n')
	}
	var parts []string
	for _, part := range []struct {
		count int
		what  string
	}{{created, "created"}, {changed, "changed"}, {removed, "removed"}} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.what))
		}
	}
	summary := strings.Join(parts, ", ")
	if summary == "" {
		summary = "nothing to change"
	}
	if a.DryRun {
		summary += "; dry run: nothing was changed"
	}
	b.WriteString(summary + "\n")
	for _, why := range a.NeedsApproval {
		b.WriteString(cli.Shown("another operator must approve it: "+why) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// groupOf gives the part of a path up to its session, or else its sale; products
// are one group.
func groupOf(path string) string {
	if strings.HasPrefix(path, "products[") {
		return "products"
	}
	for _, within := range []string{".sessions[", "sales["} {
		if i := strings.Index(path, within); i >= 0 {
			if end := strings.IndexByte(path[i:], ']'); end >= 0 {
				return path[:i+end]
			}
		}
	}
	return path
}

// ApplyPlan is 'apply' without a command line.
func ApplyPlan(ctx context.Context, admin string, text []byte) error {
	result, problems := plan.Parse(text, plan.Options{Now: time.Now(), Stateless: true})
	if len(problems) > 0 {
		return problems
	}
	node, err := client.New(client.Config{Addr: admin})
	if err != nil {
		return err
	}
	_, err = node.ApplyPlan(ctx, text, false)
	var refused *client.Refused
	if errors.As(err, &refused) && len(refused.Problem.Problems) > 0 {
		return located(refused.Problem.Problems, "", result)
	}
	return err
}
