package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
	"doorbuster/httpapi/wire"
)

func newSwitchesCommand() *cobra.Command {
	c := newSwitchesListCommand("switches [command]")
	c.Short = "Turn rules off or tighten them while a sale runs"
	c.Long = `Turn rules off or tighten them while a sale runs, on all nodes at once, through
the admin API of any of them. Without a further command the switches are listed.

A profile is a named set of switches, turned at once: by hand, or by the clock of
a session that names it. "back" takes the last change back.`
	c.Example = `  doorbuster switches --admin 127.0.0.1:8081
  doorbuster switches set rate_limits=50 tickets=always --note "bots" --admin 127.0.0.1:8081
  doorbuster switches define rush tickets=always challenge=work --admin 127.0.0.1:8081
  doorbuster switches profile rush --admin 127.0.0.1:8081
  doorbuster switches back --admin 127.0.0.1:8081`
	c.AddCommand(newSwitchesListCommand("list"), newSwitchesSetCommand(),
		newSwitchesTurnCommand("back", "Take the last change back",
			func(ctx context.Context, node *client.Client, _, note string) (*wire.Switchboard, error) {
				return node.TurnSwitches(ctx, "back", note)
			}),
		newSwitchesTurnCommand("normal", "Turn everything as it is while nobody says otherwise",
			func(ctx context.Context, node *client.Client, _, note string) (*wire.Switchboard, error) {
				return node.TurnSwitches(ctx, "normal", note)
			}),
		newSwitchesTurnCommand("profile NAME", "Turn a profile's switches on",
			func(ctx context.Context, node *client.Client, name, note string) (*wire.Switchboard, error) {
				return node.ApplyProfile(ctx, name, note)
			}),
		newSwitchesDefineCommand(),
		newSwitchesTurnCommand("forget NAME", "Forget a profile; what it has turned on stays",
			func(ctx context.Context, node *client.Client, name, note string) (*wire.Switchboard, error) {
				return node.ForgetProfile(ctx, name, note)
			}))
	return c
}

func newSwitchesListCommand(use string) *cobra.Command {
	var o nodeOptions
	return o.command(&cobra.Command{
		Use:   use + " --admin ADDR",
		Short: "List the switches, the profiles and the last changes",
	}, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Switchboard, error) {
		return node.Switches(ctx)
	}, printSwitches))
}

// switching fills in a command that turns switches.
func switching(c *cobra.Command,
	turn func(ctx context.Context, node *client.Client, note string) (*wire.Switchboard, error)) *cobra.Command {
	o := nodeOptions{look: "switches list"}
	return o.change(c, nil, asking(&o, func(ctx context.Context, node *client.Client) (*wire.Switchboard, error) {
		return turn(ctx, node, o.note)
	}, printSwitched))
}

func newSwitchesTurnCommand(use, short string,
	turn func(ctx context.Context, node *client.Client, name, note string) (*wire.Switchboard, error)) *cobra.Command {
	name := ""
	c := switching(&cobra.Command{Use: use + " --admin ADDR", Short: short},
		func(ctx context.Context, node *client.Client, note string) (*wire.Switchboard, error) {
			return turn(ctx, node, name, note)
		})
	if !strings.Contains(use, "NAME") {
		return c
	}
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) != 1 {
			return errors.New("name one profile")
		}
		name, err = profileName(args[0])
		return err
	})
}

func profileName(given string) (string, error) {
	if !engine.ValidID(given) {
		return "", fmt.Errorf("%q is no profile's name: 1 to %d letters, digits, dots, dashes and underscores",
			given, engine.MaxIDBytes)
	}
	return given, nil
}

func newSwitchesSetCommand() *cobra.Command {
	var switches map[string]wire.SwitchValue
	c := switching(&cobra.Command{
		Use:   "set NAME=VALUE... --admin ADDR",
		Short: "Turn single switches",
		Example: `  doorbuster switches set rate_limits=50 risk_service=off --note "the risk service is slow" \
    --admin 127.0.0.1:8081`,
	}, func(ctx context.Context, node *client.Client, note string) (*wire.Switchboard, error) {
		return node.SetSwitches(ctx, switches, note)
	})
	return cli.WithArguments(c, func(args []string) (err error) {
		switches, err = parseSwitches(args)
		return err
	})
}

func newSwitchesDefineCommand() *cobra.Command {
	var switches map[string]wire.SwitchValue
	name := ""
	c := switching(&cobra.Command{
		Use:   "define NAME NAME=VALUE... --admin ADDR",
		Short: "Define a profile, or define it anew",
	}, func(ctx context.Context, node *client.Client, note string) (*wire.Switchboard, error) {
		return node.DefineProfile(ctx, name, switches, note)
	})
	return cli.WithArguments(c, func(args []string) (err error) {
		if len(args) == 0 {
			return errors.New("name the profile, and then its switches")
		}
		if name, err = profileName(args[0]); err != nil {
			return err
		}
		switches, err = parseSwitches(args[1:])
		return err
	})
}

// parseSwitches reads what the command line says of switches. This build may know
// others than the node: what values they take is for the node to say, but a name
// that is no switch here is most likely a slip.
func parseSwitches(args []string) (map[string]wire.SwitchValue, error) {
	if len(args) == 0 {
		return nil, errors.New("name switches and their values, such as rate_limits=50")
	}
	switches := map[string]wire.SwitchValue{}
	var problems []error
	for _, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		_, known := engine.ParseSwitch(name)
		switch _, twice := switches[name]; {
		case !given || value == "":
			problems = append(problems, fmt.Errorf("%q is not like rate_limits=50", arg))
		case !known:
			problems = append(problems, fmt.Errorf("there is no switch %q; 'doorbuster switches list' shows them",
				name))
		case twice:
			problems = append(problems, fmt.Errorf("%s is given twice", name))
		default:
			switches[name] = wire.SwitchValue(value)
		}
	}
	return switches, errors.Join(problems...)
}

// printSwitches writes the whole board for a person.
func printSwitches(w io.Writer, b *wire.Switchboard) error {
	var out strings.Builder
	paint := cli.PaintFor(w)
	t := cli.NewTable(&out, "  SWITCH", "NOW", "NORMAL", "MAY BE", "TURNS")
	for _, v := range b.Switches {
		mark, may := "  ", strings.Join(v.Allowed, ", ")
		if v.Value != v.Normal {
			mark = "* "
		}
		if v.Most != nil {
			may = fmt.Sprintf("0 to %d", *v.Most)
		}
		t.Row(mark+v.Name, v.Value, v.Normal, may, v.Help)
	}
	t.Flush()
	lines := strings.SplitAfter(out.String(), "\n")
	out.Reset()
	for _, line := range lines {
		if strings.HasPrefix(line, "*") {
			line = paint(cli.Yellow, strings.TrimSuffix(line, "\n")) + "\n"
		}
		out.WriteString(line)
	}
	fmt.Fprintf(&out, "\n* is not as it normally is. Active profile: %s\n", cli.Shown(cmp.Or(b.ActiveProfile, "none")))
	if len(b.Profiles) > 0 {
		out.WriteString("\nProfiles:\n")
	}
	for _, p := range b.Profiles {
		var settings []string
		for _, name := range slices.Sorted(maps.Keys(p.Switches)) {
			settings = append(settings, fmt.Sprintf("%s=%v", name, p.Switches[name]))
		}
		fmt.Fprintf(&out, "  %s: %s\n", cli.Shown(p.Name), cli.Shown(strings.Join(settings, " ")))
	}
	if len(b.History) > 0 {
		out.WriteString("\nLast changes, the newest first:\n")
	}
	for _, r := range b.History {
		fmt.Fprintf(&out, "  %s\n", cli.Shown(recordText(&r)))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// recordText is a change as a person reads it.
func recordText(r *wire.SwitchRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s", r.At, cmp.Or(r.Operator, "nobody"), r.Action)
	if r.Profile != "" {
		fmt.Fprintf(&b, " %s", r.Profile)
	}
	for i, v := range r.Changed {
		fmt.Fprintf(&b, "%s %s %v → %v", map[bool]string{true: ";", false: ","}[i == 0], v.Name, v.Before, v.After)
	}
	if len(r.Changed) == 0 && r.Action != "define" && r.Action != "forget" {
		b.WriteString("; nothing changed")
	}
	if r.Note != "" {
		fmt.Fprintf(&b, " (%s)", r.Note)
	}
	return b.String()
}

// printSwitched writes what the last change came to.
func printSwitched(w io.Writer, b *wire.Switchboard) error {
	var off []string
	for _, v := range b.Switches {
		if v.Value != v.Normal {
			off = append(off, fmt.Sprintf("%s=%v", v.Name, v.Value))
		}
	}
	said := "Done. Everything is as it normally is."
	if len(off) > 0 {
		said = "Done. Not as it normally is: " + strings.Join(off, " ")
	}
	if b.ActiveProfile != "" {
		said += " (profile " + b.ActiveProfile + ")"
	}
	_, err := fmt.Fprintln(w, cli.Shown(said))
	return err
}
