package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	shipped "doorbuster/examples/plays"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/plan"
	"doorbuster/httpapi/play"
	"doorbuster/httpapi/wire"
)

func newPlaysCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "plays",
		Short: "Check, try and apply the rules that listings sell by",
		Long: `Check, try and apply the rules that listings sell by: a price that friends cut down,
that falls as units sell or time passes, or that an expression says; who may buy; and
what shoppers are told.

A play is a file: a template with parameters, which a listing of a plan fills in, as in

  play: {kind: bargain, floor: 100, helpers: 20}

Four are shipped, which are as good to begin with as to use: 'doorbuster plays list'
names them, and examples/plays has their files. A play needs no code of its own.`,
		Example: `  doorbuster plays list
  doorbuster plays check my-play.yaml
  doorbuster plays simulate my-play.yaml --price 4900 --set floor=100 --set helpers=20
  doorbuster plays apply my-play.yaml --admin 127.0.0.1:8081`,
	}, newPlaysCheckCommand(), newPlaysSimulateCommand(), newPlaysApplyCommand(), newPlaysListCommand())
}

// readPlay reads a template: a file, - for standard input, or one that is shipped.
func readPlay(c *cobra.Command, name string) (*play.Template, error) {
	text, known := "", false
	if engine.ValidID(name) {
		text, known = shipped.Shipped(name)
	}
	if !known {
		from := c.InOrStdin()
		if name == "-" {
			name = "(standard input)"
		} else {
			f, err := os.Open(name)
			if err != nil {
				return nil, fmt.Errorf("read the play: %w; those that are shipped are %s", err,
					strings.Join(shipped.IDs(), ", "))
			}
			defer f.Close()
			from = f
		}
		read, err := io.ReadAll(io.LimitReader(from, plan.MaxFileBytes+1))
		if err != nil {
			return nil, fmt.Errorf("read the play: %w", err)
		}
		text = string(read)
	}
	t, problems := play.Read([]byte(text), name)
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

// readPlays reads several and reports what is wrong with each.
func readPlays(c *cobra.Command, names []string) (all []*play.Template, err error) {
	wrong := 0
	for _, name := range names {
		t, err := readPlay(c, name)
		var problems play.Problems
		switch {
		case errors.As(err, &problems):
			fmt.Fprintln(c.ErrOrStderr(), problems.Error())
			wrong += len(problems)
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, t)
	}
	switch {
	case wrong == 1:
		return all, errors.New("the plays have a problem")
	case wrong > 1:
		return all, fmt.Errorf("the plays have %d problems", wrong)
	}
	return all, nil
}

// someFiles asks for one file at least.
func someFiles(to *[]string) func(args []string) error {
	return func(args []string) error {
		if *to = args; len(args) == 0 {
			return errors.New("name a play's file, - for standard input, or one that is shipped: " +
				strings.Join(shipped.IDs(), ", "))
		}
		return nil
	}
}

// playShown is a template as commands print it.
type playShown struct {
	ID         string            `json:"id"`
	Name       map[string]string `json:"name"`
	Parameters []parameterShown  `json:"parameters"`
}

type parameterShown struct {
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Default *string `json:"default"` // null, if it must be said
	Range   string  `json:"range,omitempty"`
	Says    string  `json:"says,omitempty"`
}

func shownPlays(of []*play.Template) []playShown {
	all := make([]playShown, len(of))
	for i, t := range of {
		all[i] = playShown{ID: t.ID, Name: map[string]string{}, Parameters: make([]parameterShown, len(t.Parameters))}
		for _, name := range t.Name {
			all[i].Name[name.Lang] = name.Text
		}
		for j, p := range t.Parameters {
			shown := parameterShown{Name: p.Name, Type: p.Type.String(), Range: p.Range(), Says: p.Says}
			if !p.Required {
				shown.Default = &p.Default
			}
			all[i].Parameters[j] = shown
		}
	}
	return all
}

func printPlays(w io.Writer, of []*play.Template, asJSON bool) error {
	if asJSON {
		return cli.PrintJSON(w, map[string]any{"plays": shownPlays(of)})
	}
	var b strings.Builder
	for i, t := range of {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(t.ID)
		for _, name := range t.Name {
			if name.Text != t.ID {
				fmt.Fprintf(&b, ", %s", cli.Shown(name.Text))
			}
		}
		b.WriteByte('\n')
		if len(t.Parameters) == 0 {
			b.WriteString("  no parameters\n")
			continue
		}
		table := cli.NewTable(&b, "  PARAMETER", "TYPE", "UNLESS SAID", "RANGE", "WHAT IT IS")
		for _, p := range t.Parameters {
			unless := p.Default
			if p.Required {
				unless = "must be said"
			}
			table.Row("  "+p.Name, p.Type, cli.Shown(unless), p.Range(), cli.Shown(p.Says))
		}
		table.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newPlaysCheckCommand() *cobra.Command {
	var files []string
	asJSON := false
	c := cli.WithArguments(&cobra.Command{
		Use:   "check FILE...",
		Short: "Check plays' files, and say what they ask for",
		Long: `Check plays' files: shape, parameters, expressions. All problems are told, each with
its line; exit status 1 if there is one. Of what is right it says what a listing fills in.

Whether a play works at a listing's price is seen once there is a price: 'plays
simulate' says it, and so does 'apply' for every listing of a plan.`,
		Example: `  doorbuster plays check my-play.yaml examples/plays/bargain.yaml`,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := readPlays(c, files)
			if err != nil {
				return err
			}
			return printPlays(c.OutOrStdout(), all, asJSON)
		},
	}, someFiles(&files))
	c.Flags().BoolVar(&asJSON, "json", false, "the parameters as JSON")
	return c
}

func newPlaysListCommand() *cobra.Command {
	var o nodeOptions
	c := o.command(&cobra.Command{
		Use:   "list [--admin ADDR]",
		Short: "List the plays that are shipped, or those that have been applied",
		Long: `List the plays that are shipped, with their parameters; or with --admin those that have
been applied to a node, with their versions. One that is shipped is applied with the first
plan that uses it.`,
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Plays, error) {
		return node.Plays(ctx)
	}, printApplied))
	ask := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if c.Flags().Changed("admin") {
			return ask(c, args)
		}
		all, err := readPlays(c, shipped.IDs())
		if err != nil {
			return err
		}
		return printPlays(c.OutOrStdout(), all, o.asJSON || o.output == "json")
	}
	return c
}

// printApplied lists what a node has.
func printApplied(w io.Writer, answer *wire.Plays) error {
	var b strings.Builder
	if len(answer.Plays) == 0 {
		b.WriteString("no play has been applied\n")
	} else {
		table := cli.NewTable(&b, "PLAY", "VERSION", "SINCE", "PARAMETERS")
		for _, p := range answer.Plays {
			parameters := "unreadable here"
			if t, problems := play.Read([]byte(p.Text), ""); len(problems) == 0 {
				names := make([]string, len(t.Parameters))
				for i := range names {
					names[i] = t.Parameters[i].Name
				}
				parameters = strings.Join(names, ", ")
			}
			table.Row(cli.Shown(p.ID), p.Version, cli.Shown(p.Since), parameters)
		}
		table.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newPlaysApplyCommand() *cobra.Command {
	o := nodeOptions{breaks: "the plays may be applied or not"}
	var files []string
	var all []*play.Template
	dryRun := false
	c := cli.WithArguments(o.keyed(&cobra.Command{
		Use:   "apply FILE... --admin ADDR",
		Short: "Apply plays, for the listings of later plans",
		Long: `Apply plays, for the listings of later plans. One that was applied before under the
same id gets a new version, if it means something else: listings that have been published
keep the version that they were published with.

All are taken or none; nothing is sent while one has problems.`,
		Example: `  doorbuster plays apply my-play.yaml --admin 127.0.0.1:8081 --dry-run`,
	}, nil, func(c *cobra.Command) (err error) {
		if all, err = readPlays(c, files); err != nil {
			return err
		}
		text := playsPlan(all)
		err = asking(&o, func(ctx context.Context, node *client.Client) (*wire.PlanChanges, error) {
			answer, err := node.ApplyPlan(ctx, text, dryRun)
			if err == nil && answer.Changes == nil {
				answer.Changes = []wire.PlanChange{}
			}
			return answer, err
		}, printChanges)(c)
		var refused *client.Refused
		if errors.As(err, &refused) && len(refused.Problem.Problems) > 0 {
			for _, p := range refused.Problem.Problems {
				fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", cli.Shown(p.Path), cli.Shown(p.Message))
			}
			return errors.New("the node refused the plays; nothing was changed")
		}
		return err
	}), someFiles(&files))
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would change")
	return c
}

// playsPlan gives a plan that has templates alone.
func playsPlan(of []*play.Template) []byte {
	var b strings.Builder
	b.WriteString("plays:\n")
	for _, t := range of {
		b.WriteString("  - " + strings.ReplaceAll(strings.TrimSuffix(t.Text, "\n"), "\n", "\n    ") + "\n")
	}
	return []byte(b.String())
}

// simulateOptions are the flags of plays simulate.
type simulateOptions struct {
	play.Options
	at     play.Listing
	given  []string
	asJSON bool
}

func newPlaysSimulateCommand() *cobra.Command {
	var o simulateOptions
	file := ""
	c := cli.WithArguments(&cobra.Command{
		Use:   "simulate FILE --price N",
		Short: "Sell by a play, to see what it brings",
		Long: `Sell by a play, to see what it brings before anybody pays for it: by how many friends a
bargain's floor is reached, what shoppers pay, what that comes to. The file may be the id of a
play that is shipped.

A price that friends cut is tried in so many bargains, each cut by the same sum as in a sale.
Any other is tried on a stock that sells out evenly over the session, to shoppers who buy one
unit each, their first of the day. Amounts are in minor units: 4900 is 49.00. The same flags
bring the same report. Rules that can't work are refused with their reason, and exit status 1,
as a plan with them would be.`,
		Example: `  # 10,000 bargains from 49.00 down to 1.00; a third of the friends are new
  doorbuster plays simulate bargain --price 4900 --set floor=100 --new-friends 33

  # The same where nobody finds more than ten friends
  doorbuster plays simulate bargain --price 4900 --set floor=100 --friends 10

  # A falling price over a session of two hours
  doorbuster plays simulate falling-price --price 4900 --set floor=2900 --set by=200 \
    --stock 500 --length 2h`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c, file) },
	}, func(args []string) error {
		if len(args) != 1 {
			return errors.New("name one play's file, - for standard input, or one that is shipped: " +
				strings.Join(shipped.IDs(), ", "))
		}
		file = args[0]
		return o.check()
	})
	flags := c.Flags()
	flags.Int64Var(&o.at.Price, "price", 0, "the listing's price, in minor units")
	flags.StringArrayVar(&o.given, "set", nil, "a parameter, as `name=value`; once for each")
	flags.Int64Var(&o.at.Stock, "stock", 100, "the listing's units")
	flags.DurationVar(&o.at.Length, "length", 24*time.Hour, "how long its session is open")
	flags.IntVar(&o.Bargains, "bargains", 10_000, "how many bargains, of a price that friends cut")
	flags.IntVar(&o.Friends, "friends", 0, "how many friends each shopper finds; 0 = as many as it takes")
	flags.IntVar(&o.NewFriends, "new-friends", 0, "how many `percent` of friends are new here")
	flags.Uint64Var(&o.Seed, "seed", 1, "another one brings another draw")
	flags.BoolVar(&o.asJSON, "json", false, "the report as JSON")
	return c
}

// check reports every problem of the flags at once.
func (o *simulateOptions) check() error {
	var problems []error
	between := func(flag string, v, least, most int64) {
		if v < least || v > most {
			problems = append(problems, fmt.Errorf("--%s %d is not between %d and %d", flag, v, least, most))
		}
	}
	between("price", o.at.Price, 1, engine.MaxPrice)
	between("stock", o.at.Stock, 1, play.MaxSimulated)
	between("bargains", int64(o.Bargains), 1, play.MaxSimulated)
	between("friends", int64(o.Friends), 0, engine.MaxBargainCuts)
	between("new-friends", int64(o.NewFriends), 0, 100)
	if o.at.Length < time.Second || o.at.Length > engine.MaxSessionLength {
		problems = append(problems, fmt.Errorf("--length %s is not between 1s and %s", o.at.Length,
			engine.MaxSessionLength))
	}
	seen := map[string]bool{}
	for _, pair := range o.given {
		name, _, found := strings.Cut(pair, "=")
		if !found || name == "" {
			problems = append(problems, fmt.Errorf("--set %q is not name=value", pair))
		} else if seen[name] {
			problems = append(problems, fmt.Errorf("--set %s is there twice", name))
		}
		seen[name] = true
	}
	return errors.Join(problems...)
}

func (o *simulateOptions) run(c *cobra.Command, file string) error {
	t, err := readPlay(c, file)
	if err != nil {
		return err
	}
	given := map[string]string{}
	for _, pair := range o.given {
		name, value, _ := strings.Cut(pair, "=")
		given[name] = value
	}
	p, faults := t.Fill(given, o.at)
	if len(faults) > 0 {
		for _, fault := range faults {
			said := fault.String()
			if fault.Parameter != "" {
				said = fault.Parameter + ": " + fault.Message
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", t.ID, cli.Shown(said))
		}
		return errors.New("the play does not work at this price")
	}
	o.Progress = progress(c.ErrOrStderr())
	report, err := play.Simulate(c.Context(), p, o.at, o.Options)
	o.Progress(-1)
	if err != nil {
		return fmt.Errorf("simulate %s: %w", t.ID, err)
	}
	if o.asJSON {
		return cli.PrintJSON(c.OutOrStdout(), map[string]any{"play": p.Name,
			"parameters":    json.RawMessage(p.Parameters),
			"listing_price": o.at.Price, "floor": p.Price.Floor, "seed": o.Seed, "report": report})
	}
	return o.print(c.OutOrStdout(), p, report)
}

// progress gives what tells, on a terminal and once it has taken a second, how many are done;
// below 0 is the end.
func progress(w io.Writer) func(done int) {
	began := time.Now()
	said := began
	return func(done int) {
		now := time.Now()
		switch {
		case !cli.IsTerminal(w):
		case done < 0 && said != began:
			fmt.Fprint(w, "\r\033[K")
		case done >= 0 && now.Sub(began) > time.Second && now.Sub(said) > 200*time.Millisecond:
			fmt.Fprintf(w, "\rsold %d", done)
			said = now
		}
	}
}

// barWidth is that of the longest bar.
const barWidth = 40

// bar draws a count beside the greatest.
func bar(count, greatest int64) string {
	return strings.Repeat("#", int((count*barWidth+greatest-1)/max(greatest, 1)))
}

func (o *simulateOptions) print(w io.Writer, p *engine.Play, r *play.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at a price of %d with %s\n\n", p.Name, o.at.Price, p.Parameters)
	if f := r.Friends; f != nil {
		fmt.Fprintf(&b, "bargains         %d, seed %d\n", o.Bargains, o.Seed)
		fmt.Fprintf(&b, "reached floor    %d\n", f.ReachedFloor)
		fmt.Fprintf(&b, "friends planned  %d; by the rule %.2f on average, if all cuts are ordinary ones\n", f.Planned,
			f.Expected)
		if f.ReachedFloor > 0 {
			fmt.Fprintf(&b, "friends needed   %.2f on average\n", f.Mean)
		}
	}
	fmt.Fprintf(&b, "sold             %d\nrevenue          %d, %.2f each\n\n", r.Sold, r.Revenue, r.Mean)
	if f := r.Friends; f != nil {
		greatest := int64(0)
		for _, c := range f.Counts {
			greatest = max(greatest, c.Bargains)
		}
		table := cli.NewTable(&b, "FRIENDS", "BARGAINS", "")
		for _, c := range f.Counts {
			table.Row(c.Friends, c.Bargains, bar(c.Bargains, greatest))
		}
		table.Flush()
		b.WriteByte('\n')
	}
	greatest := int64(0)
	for _, c := range r.Prices {
		greatest = max(greatest, c.Count)
	}
	table := cli.NewTable(&b, "PAID", "SOLD", "")
	for _, c := range r.Prices {
		paid := fmt.Sprint(c.Price)
		if c.To != c.Price {
			paid = fmt.Sprintf("%d to %d", c.Price, c.To)
		}
		table.Row(paid, c.Count, bar(c.Count, greatest))
	}
	table.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}
