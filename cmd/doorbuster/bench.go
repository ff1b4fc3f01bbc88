package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/auth"
)

func newBenchCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "bench",
		Short: "Send a crowd, and check what it was told; measure",
	}, newRushCommand(), newBenchHTTPCommand(), newBenchDecideCommand(), newBenchGrowthCommand(),
		newBenchOverloadCommand(), newBenchFanDayCommand(), newBenchMaskCommand(), newBenchBargainCommand(),
		newCrashCommand(), newFailoverCommand(), newTwoTabsCommand(), newCrowdCommand(), newReconcileBenchCommand(),
		newShippingBenchCommand(), newCatalogueBenchCommand(),
		newHelloCommand(), newPortsCommand(), newBenchCompareCommand(), newBenchReportCommand())
}

// benchReport is what a workload came to: a bench.Report, or what prints as a table.
type benchReport interface{ OK() bool }

// teller tells a report, and what it means if it is not OK: the command fails by it.
type teller func(r benchReport, bad string) error

// workload makes the command of a workload, with its settings and --json as flags.
func workload(c *cobra.Command, settings []bench.Setting,
	run func(c *cobra.Command, tell teller) error) *cobra.Command {
	var jsonFile string
	c.Args = cli.NoArguments
	c.RunE = func(c *cobra.Command, _ []string) error {
		return run(c, func(r benchReport, bad string) error {
			err := errors.Join(keepJSON(jsonFile, r), printReport(c.OutOrStdout(), r))
			if m, ok := r.(bench.Measurement); ok && err == nil {
				var files []string
				files, err = bench.Save(m)
				for _, file := range files {
					fmt.Fprintln(c.OutOrStdout(), "kept in", file)
				}
			}
			if err == nil && !r.OK() {
				err = errors.New(bad)
			}
			return err
		})
	}
	settingFlags(c.Flags(), settings)
	c.Flags().StringVar(&jsonFile, "json", "", "write the whole report to `FILE`")
	return c
}

func printReport(out io.Writer, r benchReport) error {
	if r, ok := r.(bench.Report); ok {
		return bench.WriteTable(out, r)
	}
	_, err := fmt.Fprint(out, r)
	return err
}

// inScratch runs something in a new directory, which goes afterwards unless keeps says
// otherwise. parent "" is the system's.
func inScratch(parent, name string, run func(dir string) error, keeps func(err error) bool) (err error) {
	dir, err := os.MkdirTemp(parent, "doorbuster-"+name+"-")
	if err != nil {
		return err
	}
	defer func() {
		if !keeps(err) {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	return run(dir)
}

// neverKept keeps no scratch directory.
func neverKept(error) bool { return false }

// writeFile writes a report next to where it is wanted and moves it there, so
// that a report is whole or not there.
func writeFile(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// keepJSON writes a report as JSON where --json asks for it; nowhere for "".
func keepJSON(path string, report any) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	err := cli.PrintJSON(&b, report)
	if err == nil {
		err = writeFile(path, b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
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
