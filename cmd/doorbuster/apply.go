package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/httpapi/client"
	"doorbuster/httpapi/input"
	"doorbuster/httpapi/plan"
	"doorbuster/httpapi/wire"
)

// maxApplyTimeout is the longest that a command waits for a node.
const maxApplyTimeout = time.Hour

// applyOptions are the flags of apply.
type applyOptions struct {
	file, admin, tokenFile, output string
	asJSON                         bool // --json, the same as --output json
	dryRun                         bool
	timeout                        time.Duration
	key                            string // of what is to be done once; minted where none is given
}

func newApplyCommand() *cobra.Command {
	o := applyOptions{}
	cmd := &cobra.Command{
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
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("apply takes no argument %q; name the plan with -f %s", args[0], args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return usageError{err}
			}
			cmd.SilenceUsage = true // what fails from here on is not the command line
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.file, "file", "f", "", "the plan file, YAML or JSON; - for standard input")
	flags.StringVar(&o.admin, "admin", "", "address of a node's admin API, such as 127.0.0.1:8081")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only tell what would change")
	flags.StringVar(&o.tokenFile, "token-file", "", "file with the ops token (else $DOORBUSTER_TOKEN; a node in --dev needs none)")
	o.outputFlags(flags)
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the node")
	o.intendFlag(flags)
	cmd.SetFlagErrorFunc(badFlag)
	return cmd
}

// outputFlags say how to tell what came of it.
func (o *applyOptions) outputFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.output, "output", "text", "text or json")
	flags.BoolVar(&o.asJSON, "json", false, "the same as --output json")
}

// validate reports every problem of the command line at once.
func (o *applyOptions) validate() error {
	if o.asJSON {
		o.output = "json"
	}
	var problems []error
	if o.file == "" {
		problems = append(problems, errors.New("no plan: name it with -f FILE, or -f - for standard input"))
	}
	if o.admin == "" {
		problems = append(problems, errors.New("no node: name its admin API with --admin ADDR, such as 127.0.0.1:8081"))
	} else if _, err := client.New(o.config("", "")); err != nil {
		problems = append(problems, err)
	}
	if o.output != "text" && o.output != "json" {
		problems = append(problems, fmt.Errorf("--output %q is neither text nor json", o.output))
	}
	if err := o.validIntent(); err != nil {
		problems = append(problems, err)
	}
	if o.timeout <= 0 || o.timeout > maxApplyTimeout {
		problems = append(problems, fmt.Errorf("--timeout %s is not over 0s and at most %s", o.timeout, maxApplyTimeout))
	}
	return errors.Join(problems...)
}

func (o *applyOptions) run(cmd *cobra.Command) error {
	text, name, err := o.read(cmd.InOrStdin())
	if err != nil {
		return err
	}
	result, problems := plan.Parse(text, plan.Options{Now: time.Now(), File: name})
	if len(problems) > 0 {
		return planRefused(cmd.ErrOrStderr(), problems)
	}
	for _, note := range result.Notes {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: note: %s\n", name, note)
	}
	node, err := o.client("the plan may be applied or not")
	if err != nil {
		return err
	}
	answer, err := node.ApplyPlan(cmd.Context(), text, o.dryRun)
	var refused *client.Refused
	if errors.As(err, &refused) && len(refused.Problem.Problems) > 0 {
		return planRefused(cmd.ErrOrStderr(), located(refused.Problem.Problems, name, result))
	}
	if err != nil {
		return err
	}
	for _, note := range located(answer.Notes, name, result) {
		note.Message = "note: " + note.Message
		fmt.Fprintln(cmd.ErrOrStderr(), note)
	}
	if o.output == "json" {
		if answer.Changes == nil {
			answer.Changes = []wire.PlanChange{} // a list to whoever reads it, if an empty one
		}
		return printJSON(cmd.OutOrStdout(), answer)
	}
	for i, c := range answer.Changes {
		answer.Changes[i].Before, answer.Changes[i].After = result.Local(c.Path, c.Before), result.Local(c.Path, c.After)
	}
	return printChanges(cmd.OutOrStdout(), answer)
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

func (o *applyOptions) token() (string, error) {
	if o.tokenFile == "" {
		return strings.TrimSpace(os.Getenv("DOORBUSTER_TOKEN")), nil
	}
	const most = 64 << 10
	f, err := os.Open(o.tokenFile)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("read the token: %s is not one line with a token", o.tokenFile)
	}
	return token, nil
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

// printChanges tells the changes in groups, one for the products and one for each sale
// and session, and what they come to.
func printChanges(w io.Writer, a *wire.PlanChanges) error {
	var b strings.Builder
	paint := paintFor(w)
	created, changed, removed := 0, 0, 0
	group := ""
	for i, c := range a.Changes {
		if g := groupOf(c.Path); g != group {
			if i > 0 {
				b.WriteByte('\n')
			}
			group = g
		}
		switch {
		case c.Before == "":
			created++
			said := ""
			if c.After != "" && c.After != "new" {
				said = ": " + c.After
			}
			b.WriteString(paint(green, shown("+ "+c.Path+said)) + "\n")
		case c.After == "":
			removed++
			b.WriteString(paint(red, shown("- "+c.Path+": "+c.Before)) + "\n")
		default:
			changed++
			b.WriteString(paint(yellow, shown("~ "+c.Path+": "+c.Before+" → "+c.After)) + "\n")
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

// Colours of a terminal, by their SGR numbers.
const (
	red    = 31
	green  = 32
	yellow = 33
)

// paintFor gives what colours a line for w: nothing unless w is a terminal, and
// nothing where NO_COLOR (https://no-color.org) is set.
func paintFor(w io.Writer) func(colour int, line string) string {
	f, file := w.(*os.File)
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if !plain && file {
		info, err := f.Stat()
		plain = err != nil || info.Mode()&os.ModeCharDevice == 0
	}
	if plain || !file {
		return func(_ int, line string) string { return line }
	}
	return func(colour int, line string) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, line) }
}

// shown gives what a node says for a terminal: on one line, and without
// characters that would steer it.
func shown(s string) string {
	if strings.ContainsFunc(s, input.Steers) {
		return strconv.Quote(s)
	}
	return s
}
