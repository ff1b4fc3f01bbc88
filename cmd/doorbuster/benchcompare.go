package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
)

// exitSlower is the status of 'bench compare' if something is slower, apart from that of
// results that can't be compared.
const exitSlower = 3

func newBenchCompareCommand() *cobra.Command {
	cfg := bench.DefaultCompareConfig()
	var jsonFile string
	c := cli.WithArguments(&cobra.Command{
		Use:   "compare A B",
		Short: "Decide whether two kept results of a workload differ",
		Long: `Decide whether two kept results of a workload differ: the .json files of two runs,
B held against A, kind by kind. The rounds of each are a sample; the Mann-Whitney U
test, which assumes nothing of how they are distributed, gives the probability (p)
that they differ so by chance alone. Under --alpha, B is "faster" or "slower"; else
there is "no difference" that so many rounds could show. With many kinds, one in
twenty is under 0.05 by chance.

What is compared is what part the figures are, in the same round, of their baseline's,
such as the bare handler's: that carries over to other machines and hours. With
--absolute, or where one of the two has no such baseline, it is the figures themselves;
the column MEASURE says which.

The exit status is 0 if nothing is slower, 3 if something is, and 1 if the two can't
be compared: a file that is not there or no kept result, of another workload, measured
under other settings (connections, nodes), or with too few rounds; four each are enough
for 0.05.`,
		Example: `  doorbuster bench compare bench/results/http-20261122T015141Z-cf02027bd7.json \
    bench/results/http-20261122T020520Z-b618c6bde9.json
  doorbuster bench compare before.json after.json --by p99`,
	}, func(args []string) error {
		if len(args) != 2 {
			return errors.New("two kept results are compared, A and B")
		}
		return nil
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		a, errA := bench.LoadKept(args[0])
		b, errB := bench.LoadKept(args[1])
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		found, err := bench.Compare(a, b, cfg)
		if err != nil {
			return err
		}
		if err := errors.Join(keepJSON(jsonFile, found), printReport(c.OutOrStdout(), found)); err != nil {
			return err
		}
		if !found.OK() {
			return cli.Exit(exitSlower, fmt.Errorf("slower: %s", strings.Join(found.Slower(), ", ")))
		}
		return nil
	}
	settingFlags(c.Flags(), cfg.Settings())
	c.Flags().StringVar(&jsonFile, "json", "", "write the whole comparison to `FILE`")
	return c
}
