package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

// version is set by the linker in releases.
var version = "0.1.0-dev"

func newVersionCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "version",
		Short: "Print which build this is, and what it can read",
		Args:  cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			commit := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = s.Value
					}
				}
			}
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), map[string]any{"version": version, "commit": commit,
					"go":            runtime.Version(),
					"rules_version": engine.RulesVersion})
			}
			fmt.Fprintf(c.OutOrStdout(), "doorbuster %s (commit %s, %s, rules version %d)\n", version, commit,
				runtime.Version(), engine.RulesVersion)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
