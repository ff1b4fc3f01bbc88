package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/cmd/doorbuster/settings"
)

var writeReference = flag.Bool("reference.write", false, "write docs/reference instead of comparing with it")

// TestReferenceIsCurrent holds docs/reference and examples/monitoring to the settings,
// commands and alarms that there are; 'make docs' writes them anew.
func TestReferenceIsCurrent(t *testing.T) {
	const docs = "../../docs/reference"
	for path, text := range map[string]string{docs + "/config.md": configReference(t), docs + "/cli.md": cliReference(),
		docs + "/alarms.md": alarmReference(), monitoringFolder + "/prometheus-rules.yaml": prometheusRules(t),
		monitoringFolder + "/grafana-dashboard.json": grafanaDashboard(t)} {
		if *writeReference {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Error(err)
			}
		} else if stands, err := os.ReadFile(path); err != nil || string(stands) != text {
			t.Errorf("%s is not what the program has; run 'make docs' (%v)", path, err)
		}
	}
}

const generated = "<!-- Written by 'make docs'. -->\n"

func configReference(t *testing.T) string {
	var b strings.Builder
	b.WriteString(generated + `
# Configuration

A setting is given as a flag of ` + "`doorbuster serve`" + `, in an environment variable, or in the YAML file that
` + "`--config`" + ` or ` + "`DOORBUSTER_CONFIG`" + ` names. Flags win over the environment, and the environment over the file; a variable
that is empty is not set. What stands in none of them has its default.

A key with dots may stand in sections (` + "`rate_limit: {shopper: {burst: 5}}`" + `) or with underscores
(` + "`rate_limit_shopper_burst: 5`" + `). Lists are ` + "`[a, b]`" + ` in a file, and ` + "`a,b`" + ` everywhere. A duration has a
unit: ` + "`300ms`, `1.5s`, `2h45m`" + `.

A node does not start with a key or a variable that it does not know, or with a value that is out of bounds: it tells
all of them at once, each with the line of the file, the variable or the flag.
`)
	var items strings.Builder
	topic, flags := "", pflag.NewFlagSet("", pflag.ContinueOnError)
	addConfigFlags(flags)
	for _, s := range new(Config).table().Settings {
		if s.Topic != topic {
			topic = s.Topic
			fmt.Fprintf(&b, "\n## %s\n\n| key | default | takes | what it is | flag | variable |\n"+
				"| --- | --- | --- | --- | --- | --- |\n", topic)
		}
		flag, variable := "only in a file", ""
		if !s.FileOnly {
			if flags.Lookup(s.Flag()) == nil {
				t.Fatalf("%s has no flag", s.Key)
			}
			flag, variable = "`--"+s.Flag()+"`", "`"+s.Variable(envPrefix)+"`"
		}
		fmt.Fprintf(&b, "%s %s | %s |\n", settingReference(s), flag, variable)
		kinds, tables := s.Items()
		for i, kind := range kinds {
			items.WriteString(itemReference(s.Key, kind, tables[i]))
		}
	}
	b.WriteString(items.String())
	return b.String()
}

// itemReference is what stands of one kind of a list's items; of the kind "" for all of them.
func itemReference(list, kind string, t *settings.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## An item of `%s`", list)
	if kind != "" {
		fmt.Fprintf(&b, " of kind `%s`", kind)
	}
	b.WriteString("\n\n| key | default | takes | what it is |\n| --- | --- | --- | --- |\n")
	for _, s := range t.Settings {
		b.WriteString(settingReference(s) + "\n")
	}
	return b.String()
}

// settingReference is a row of a table: key, default, what it takes and what it is.
func settingReference(s *settings.Setting) string {
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	as, help := s.Preset, s.Help
	if as != "" {
		as = "`" + as + "`"
	}
	if strings.Count(help, "`") == 2 { // the kind of value
		help = strings.ReplaceAll(help, "`", "")
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", s.Key, as, cell.Replace(s.Takes()), cell.Replace(help))
}

func cliReference() string {
	var b strings.Builder
	b.WriteString(generated + "\n# Commands\n\nThe settings of `doorbuster serve` are in [Configuration](config.md).\n")
	root := newRootCommand()
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", c.CommandPath(), cmp.Or(c.Long, c.Short+"."))
		if c.HasAvailableSubCommands() {
			b.WriteString("\n")
			for _, sub := range c.Commands() {
				if !sub.Hidden && sub.Name() != "help" {
					at := strings.ReplaceAll(sub.CommandPath(), " ", "-")
					fmt.Fprintf(&b, "- [%s](#%s): %s\n", sub.CommandPath(), at,
						sub.Short)
				}
			}
		} else {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", c.UseLine())
		}
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", dedented(c.Example))
		}
		if flags := c.NonInheritedFlags().FlagUsages(); c.Name() != "serve" && flags != "" {
			fmt.Fprintf(&b, "\n```\n%s```\n", flags)
		}
		for _, sub := range c.Commands() {
			add(sub)
		}
	}
	add(root)
	return b.String()
}

// dedented is an example without the two spaces that help gives each line.
func dedented(example string) string {
	return strings.TrimPrefix(strings.ReplaceAll(example, "\n  ", "\n"), "  ")
}
