package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"doorbuster/bench/port"
	"doorbuster/cmd/doorbuster/cli"
)

// newPortsCommand gives scripts what processes that know each other need beforehand.
func newPortsCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "ports N",
		Short:  "Print N addresses on loopback, and hold them until standard input ends",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usage(fmt.Errorf("how many?"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return cli.Usage(fmt.Errorf("%q is no number of addresses", args[0]))
			}
			addrs, _, err := port.Hold(n)
			if err != nil {
				return err
			}
			for _, addr := range addrs {
				fmt.Fprintln(c.OutOrStdout(), addr)
			}
			_, err = io.Copy(io.Discard, c.InOrStdin())
			return err
		},
	}
}
