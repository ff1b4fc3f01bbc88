package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var writeReference = flag.Bool("reference.write", false, "write docs/reference instead of comparing with it")

// TestReferenceIsCurrent holds docs/reference to the settings and commands that there
// are; 'make docs' writes it anew.
func TestReferenceIsCurrent(t *testing.T) {
	for name, text := range map[string]string{"config.md": configReference(t), "cli.md": cliReference()} {
		path := filepath.Join("../../docs/reference", name)
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
	topic, flags := "", pflag.NewFlagSet("", pflag.ContinueOnError)
	addConfigFlags(flags)
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, s := range new(Config).table().Settings {
		if s.Topic != topic {
			topic = s.Topic
			fmt.Fprintf(&b, "\n## %s\n\n| key | default | takes | what it is | flag | variable |\n"+
				"| --- | --- | --- | --- | --- | --- |\n", topic)
		}
		kind, help := "", s.Help
		if parts := strings.Split(s.Help, "`"); len(parts) == 3 {
			kind, help = parts[1], strings.Join(parts, "")
		}
		as, flag, variable := s.Preset, "only in a file", ""
		if !s.FileOnly {
			f := flags.Lookup(s.Flag())
			if f == nil {
				t.Fatalf("%s has no flag", s.Key)
			}
			kind, _ = pflag.UnquoteUsage(f)
			kind = cmp.Or(kind, "true or false")
			flag, variable = "`--"+f.Name+"`", "`"+s.Variable(envPrefix)+"`"
		}
		if as != "" {
			as = "`" + as + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", s.Key, as, cell.Replace(cmp.Or(s.Bounds, kind)),
			cell.Replace(help), flag, variable)
	}
	return b.String()
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
