package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
)

func newBenchReportCommand() *cobra.Command {
	var out string
	c := cli.WithArguments(&cobra.Command{
		Use:   "report FILE|FOLDER…",
		Short: "Draw kept results as one HTML page",
		Long: `Draw kept results as one HTML page that needs nothing else, light or dark as the
reader's system is: a table of each run's kinds, ratios with their least and most,
percentiles of latency, latency over time where it was kept, and how the ratios went
from run to run. Results are named by their .json files; of a folder, all are drawn.`,
		Example: `  doorbuster bench report bench/results
  doorbuster bench report before.json after.json --out difference.html`,
	}, func(args []string) error {
		if len(args) == 0 {
			return errors.New("name the kept results to draw, or their folder")
		}
		return nil
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		all, err := bench.LoadAllKept(args...)
		if err != nil {
			return err
		}
		var page bytes.Buffer
		if err := bench.WritePage(&page, all); err != nil {
			return err
		}
		if err := writeFile(out, page.Bytes()); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		fmt.Fprintf(c.OutOrStdout(), "%d results drawn in %s\n", len(all), out)
		return nil
	}
	c.Flags().StringVar(&out, "out", "report.html", "write the page to `FILE`")
	return c
}
