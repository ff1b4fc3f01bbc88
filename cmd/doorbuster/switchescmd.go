package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/engine"
)

// Paths of the admin API that the switches are at.
const (
	switchesPath = "/admin/v1/switches"
	profilesPath = "/admin/v1/profiles/"
)

// switchboard is what the admin API says of the switches.
type switchboard struct {
	LogIndex      uint64          `json:"log_index"`
	ActiveProfile string          `json:"active_profile"`
	Switches      []switchSetting `json:"switches"`
	Profiles      []switchProfile `json:"profiles"`
	History       []switchRecord  `json:"history"`
}

type switchSetting struct {
	Name    string      `json:"name"`
	Value   switchValue `json:"value"`
	Normal  switchValue `json:"normal"`
	Allowed []string    `json:"allowed,omitempty"`
	Most    *int64      `json:"most,omitempty"`
	Help    string      `json:"help"`
}

// switchValue is a word or a whole number, as the node wrote it.
type switchValue struct{ json.RawMessage }

func (v switchValue) String() string {
	if word, err := strconv.Unquote(string(v.RawMessage)); err == nil {
		return word
	}
	return string(v.RawMessage)
}

type switchProfile struct {
	Name     string                 `json:"name"`
	Switches map[string]switchValue `json:"switches"`
}

type switchRecord struct {
	At       time.Time `json:"at"`
	LogIndex uint64    `json:"log_index"`
	Operator string    `json:"operator"`
	Note     string    `json:"note"`
	Action   string    `json:"action"`
	Profile  string    `json:"profile,omitempty"`
	Changed  []struct {
		Name   string      `json:"name"`
		Before switchValue `json:"before"`
		After  switchValue `json:"after"`
	} `json:"changed"`
}

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
	c.SetFlagErrorFunc(badFlag)
	c.AddCommand(newSwitchesListCommand("list"), newSwitchesSetCommand(),
		newSwitchesTurnCommand("back", "Take the last change back", http.MethodPost, func(string) string { return switchesPath + "/back" }),
		newSwitchesTurnCommand("normal", "Turn everything as it is while nobody says otherwise", http.MethodPost, func(string) string { return switchesPath + "/normal" }),
		newSwitchesTurnCommand("profile NAME", "Turn a profile's switches on", http.MethodPost, func(name string) string { return profilesPath + name + "/apply" }),
		newSwitchesDefineCommand(),
		newSwitchesTurnCommand("forget NAME", "Forget a profile; what it has turned on stays", http.MethodDelete, func(name string) string { return profilesPath + name }))
	return c
}

func newSwitchesListCommand(use string) *cobra.Command {
	o := clusterOptions{look: "switches list"}
	return o.command(&cobra.Command{Use: use + " --admin ADDR", Short: "List the switches, the profiles and the last changes"}, nil, func(c *cobra.Command) error {
		var board switchboard
		if err := o.call(c.Context(), switchesPath, nil, &board); err != nil {
			return err
		}
		if o.output == "json" {
			return printJSON(c.OutOrStdout(), &board)
		}
		return board.print(c.OutOrStdout())
	})
}

// turnSwitches asks for a change and shows what it came to.
func (o *clusterOptions) turnSwitches(c *cobra.Command, method, path string, switches map[string]string) error {
	body := map[string]any{}
	if switches != nil {
		values := map[string]any{}
		for name, text := range switches {
			values[name] = text
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				values[name] = n
			}
		}
		body["switches"] = values
	}
	if o.note != "" {
		body["note"] = o.note
	}
	var board switchboard
	if err := o.callAs(c.Context(), method, path, body, &board); err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(c.OutOrStdout(), &board)
	}
	return board.printChange(c.OutOrStdout())
}

// withArguments lets a command of the admin API take arguments, which check must
// find right.
func withArguments(c *cobra.Command, check func(args []string) error) *cobra.Command {
	c.Args = func(_ *cobra.Command, args []string) error {
		if err := check(args); err != nil {
			return usageError{err}
		}
		return nil
	}
	return c
}

func newSwitchesTurnCommand(use, short, method string, path func(name string) string) *cobra.Command {
	o := clusterOptions{look: "switches list"}
	name := ""
	c := o.change(&cobra.Command{Use: use + " --admin ADDR", Short: short}, nil, func(c *cobra.Command) error {
		return o.turnSwitches(c, method, path(name), nil)
	})
	if !strings.Contains(use, "NAME") {
		return c
	}
	return withArguments(c, func(args []string) (err error) {
		if len(args) != 1 {
			return errors.New("name one profile")
		}
		name, err = profileName(args[0])
		return err
	})
}

func profileName(given string) (string, error) {
	if !engine.ValidID(given) {
		return "", fmt.Errorf("%q is no profile's name: 1 to %d letters, digits, dots, dashes and underscores", given, engine.MaxIDBytes)
	}
	return given, nil
}

func newSwitchesSetCommand() *cobra.Command {
	o := clusterOptions{look: "switches list"}
	var switches map[string]string
	c := o.change(&cobra.Command{Use: "set NAME=VALUE... --admin ADDR", Short: "Turn single switches",
		Example: `  doorbuster switches set rate_limits=50 risk_service=off --note "the risk service is slow" --admin 127.0.0.1:8081`},
		nil, func(c *cobra.Command) error { return o.turnSwitches(c, http.MethodPatch, switchesPath, switches) })
	return withArguments(c, func(args []string) (err error) {
		switches, err = parseSwitches(args)
		return err
	})
}

func newSwitchesDefineCommand() *cobra.Command {
	o := clusterOptions{look: "switches list"}
	var switches map[string]string
	name := ""
	c := o.change(&cobra.Command{Use: "define NAME NAME=VALUE... --admin ADDR", Short: "Define a profile, or define it anew"},
		nil, func(c *cobra.Command) error { return o.turnSwitches(c, http.MethodPut, profilesPath+name, switches) })
	return withArguments(c, func(args []string) (err error) {
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
func parseSwitches(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, errors.New("name switches and their values, such as rate_limits=50")
	}
	switches := map[string]string{}
	var problems []error
	for _, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		_, known := engine.ParseSwitch(name)
		switch _, twice := switches[name]; {
		case !given || value == "":
			problems = append(problems, fmt.Errorf("%q is not like rate_limits=50", arg))
		case !known:
			problems = append(problems, fmt.Errorf("there is no switch %q; 'doorbuster switches list' shows them", name))
		case twice:
			problems = append(problems, fmt.Errorf("%s is given twice", name))
		default:
			switches[name] = value
		}
	}
	return switches, errors.Join(problems...)
}

// print writes the whole board for a person.
func (b *switchboard) print(w io.Writer) error {
	var out strings.Builder
	paint := paintFor(w)
	table := tabwriter.NewWriter(&out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "  SWITCH\tNOW\tNORMAL\tMAY BE\tTURNS")
	for _, v := range b.Switches {
		mark, may := " ", strings.Join(v.Allowed, ", ")
		if v.Value.String() != v.Normal.String() {
			mark = "*"
		}
		if v.Most != nil {
			may = fmt.Sprintf("0 to %d", *v.Most)
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\t%s\n", mark, shown(v.Name), shown(v.Value.String()), shown(v.Normal.String()), shown(may), shown(v.Help))
	}
	_ = table.Flush() // into memory
	lines := strings.SplitAfter(out.String(), "\n")
	out.Reset()
	for _, line := range lines {
		if strings.HasPrefix(line, "*") {
			line = paint(yellow, strings.TrimSuffix(line, "\n")) + "\n"
		}
		out.WriteString(line)
	}
	fmt.Fprintf(&out, "\n* is not as it normally is. Active profile: %s\n", shown(cmp.Or(b.ActiveProfile, "none")))
	if len(b.Profiles) > 0 {
		out.WriteString("\nProfiles:\n")
	}
	for _, p := range b.Profiles {
		var settings []string
		for _, name := range slices.Sorted(maps.Keys(p.Switches)) {
			settings = append(settings, fmt.Sprintf("%s=%v", name, p.Switches[name]))
		}
		fmt.Fprintf(&out, "  %s: %s\n", shown(p.Name), shown(strings.Join(settings, " ")))
	}
	if len(b.History) > 0 {
		out.WriteString("\nLast changes, the newest first:\n")
	}
	for _, r := range b.History {
		fmt.Fprintf(&out, "  %s\n", shown(r.String()))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (r *switchRecord) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s", r.At.Format(time.RFC3339), cmp.Or(r.Operator, "nobody"), r.Action)
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

// printChange writes what the last change came to.
func (b *switchboard) printChange(w io.Writer) error {
	var off []string
	for _, v := range b.Switches {
		if v.Value.String() != v.Normal.String() {
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
	_, err := fmt.Fprintln(w, shown(said))
	return err
}
