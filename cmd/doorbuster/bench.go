package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/bench"
	"doorbuster/httpapi/auth"
)

func newBenchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Send a crowd, and check what it was told; measure",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newRushCommand(), newBenchHTTPCommand(), newBenchDecideCommand(), newCrashCommand(), newFailoverCommand(), newTwoTabsCommand(), newCrowdCommand(), newReconcileBenchCommand(), newHelloCommand())
	return c
}

// writeFile writes a report next to where it is wanted and moves it there, so
// that a report is whole or not there.
func writeFile(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// deliver writes a report for people, and as JSON where --json asks for it.
func deliver(c *cobra.Command, jsonFile string, report bench.Report) error {
	if jsonFile != "" {
		b, err := bench.JSON(report)
		if err == nil {
			err = writeFile(jsonFile, b)
		}
		if err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	return bench.WriteTable(c.OutOrStdout(), report)
}

// keep keeps a measurement's figures, and says where.
func keep(c *cobra.Command, report bench.Measurement) error {
	files, err := bench.Save(report)
	for _, file := range files {
		fmt.Fprintln(c.OutOrStdout(), "kept in", file)
	}
	return err
}

// tokenOf reads the operators' token from a file, else from the environment:
// never from a flag, where others could read it.
func tokenOf(file string) (string, error) {
	if file == "" {
		return os.Getenv(envPrefix + "TOKEN"), nil
	}
	b, err := auth.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return string(b), nil
}

// settingFlags declares a workload's settings as flags.
func settingFlags(f *pflag.FlagSet, settings []bench.Setting) {
	for _, s := range settings {
		if s.Help == "" {
			continue
		}
		switch at := s.At.(type) {
		case *bool:
			f.BoolVar(at, s.Name, *at, s.Help)
		case *int:
			f.IntVar(at, s.Name, *at, s.Help)
		case *int64:
			f.Int64Var(at, s.Name, *at, s.Help)
		case *uint64:
			f.Uint64Var(at, s.Name, *at, s.Help)
		case *float64:
			f.Float64Var(at, s.Name, *at, s.Help)
		case *string:
			f.StringVar(at, s.Name, *at, s.Help)
		case *[]string:
			f.StringSliceVar(at, s.Name, *at, s.Help)
		case *time.Duration:
			f.DurationVar(at, s.Name, *at, s.Help)
		default:
			panic(fmt.Sprintf("setting %s: no flag for a %T", s.Name, at)) // the bench declares what this does not know
		}
	}
}
