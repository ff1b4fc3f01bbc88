package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/cmd/doorbuster/operate"
)

func newCrowdCommand() *cobra.Command {
	cfg := bench.DefaultContestConfig()
	var defences []string
	var dataDir string
	c := workload(&cobra.Command{
		Use:   "crowd",
		Short: "Bots from the first millisecond against people, with each defence alone and with all",
		Long: `Hold people against bots for a few units: thousands of accounts that send a
million requests from the opening's first millisecond, against people who come
within seconds, ask once, and again a second or two later. Once without any
defence, once with each alone, and with all; with bots that share a hundred
addresses, and with one that is rented for each. The table says which part of the
units people got. Exit status 1 if a unit was sold twice, if anybody was told what
did not come true, if a person heard a no that the rules do not allow, or if a
defence does not bring about what it is for.

Bots really solve the challenges of tickets, on --bot-cores of this machine.`,
		Example: `  doorbuster bench crowd
  doorbuster bench crowd --defences none,draw,draw+reservation+risk --networks rented --json crowd.json`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		if c.Flags().Changed("defences") {
			cfg.Defences = nil
			for _, text := range defences {
				d, err := bench.ParseDefence(text)
				if err != nil {
					return cli.Usage(fmt.Errorf("--defences: %w", err))
				}
				cfg.Defences = append(cfg.Defences, d)
			}
		}
		cfg.Progress = c.ErrOrStderr()
		cfg.StartShop = func(ctx context.Context, d bench.Defence) (bench.ContestShop, error) {
			return startContestShop(ctx, dataDir, &cfg, d)
		}
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		report, err := bench.Contest(c.Context(), cfg)
		if err != nil {
			return err
		}
		err = tell(report, "a verdict is bad, or a contest is missing: see above")
		if err == nil && !report.Reached() {
			err = errors.New("a defence does not bring about what it is for: see above")
		}
		return err
	})
	c.Flags().StringSliceVar(&defences, "defences", nil, "what to try, parts joined by +: none, rates, ticket, quota, "+
		"reservation, risk, draw, waitlist, all (default: each alone, what works best together, and all)")
	c.Flags().StringVar(&dataDir, "data-dir", "", "`folder` for the nodes' data (default: the system's temporary one)")
	return c
}

// What the defences of a contest are set to.
const (
	contestMultiple  = 4 // shoppers that the admission quota lets in a unit
	contestDraw      = 3 * time.Second
	contestMaxNumber = 10_000 // of challenges: thousands are solved on the cores that also sell
	// A person asks four times in a row: for a unit, a challenge, a ticket, the unit.
	contestPerSecond, contestBurst = 1, 5
)

// startContestShop runs a node in a process of its own, on a directory that goes
// when it does.
func startContestShop(ctx context.Context, dataDir string, cfg *bench.ContestConfig,
	d bench.Defence) (s bench.ContestShop, err error) {
	dir, err := os.MkdirTemp(dataDir, "doorbuster-crowd-")
	if err != nil {
		return s, err
	}
	v := victim{data: filepath.Join(dir, "data"), config: filepath.Join(dir, "node.yaml")}
	if err := errors.Join(os.WriteFile(v.config, []byte(contestConfig(d)), 0o600), v.prepare()); err != nil {
		return s, errors.Join(err, os.RemoveAll(dir))
	}
	node, err := v.start(ctx, 0)
	if err != nil {
		return s, errors.Join(err, os.RemoveAll(dir))
	}
	s = bench.ContestShop{HTTPAddr: v.http, AdminAddr: v.admin, Listing: bench.Listing{Session: "crowd", SKU: "unit"}}
	s.Close = func() error { return errors.Join(node.Stop(), os.RemoveAll(dir)) }
	if err := v.awaitReady(ctx); err != nil {
		return s, errors.Join(fmt.Errorf("%w\nthe node's last words:\n%s", err, v.lastWords()), s.Close())
	}
	lead := 1500 * time.Millisecond
	if d.Reservation || d.Risk { // they are brought in first, some thousands a second
		lead += time.Duration(cfg.People+cfg.Bots) * 500 * time.Microsecond
	}
	if err := operate.ApplyPlan(ctx, v.admin, []byte(contestPlan(d, cfg.Units, lead))); err != nil {
		return s, errors.Join(err, s.Close())
	}
	return s, nil
}

// contestConfig is the configuration of a contest's node.
func contestConfig(d bench.Defence) string {
	var b strings.Builder
	b.WriteString("log_level: warn\n")
	b.WriteString("trusted_proxies: [127.0.0.1/32]\n") // the bench, which tells whom it asks for
	if d.Rates {
		for _, of := range []string{"shopper", "address"} {
			fmt.Fprintf(&b, "rate_limit_%s_per_second: %d\nrate_limit_%s_burst: %d\n", of, contestPerSecond, of,
				contestBurst)
		}
	}
	if d.Ticket {
		fmt.Fprintf(&b, "challenge_max_number: %d\n", contestMaxNumber)
	}
	return b.String()
}

// contestPlan is a session of one listing that opens after lead.
func contestPlan(d bench.Defence, units int64, lead time.Duration) string {
	multiple := 0
	if d.Quota {
		multiple = contestMultiple
	}
	var rules strings.Builder
	for _, rule := range []struct {
		on   bool
		text string
	}{{d.Reservation, "reservation: true"}, {d.Waitlist, "waitlist: true"}, {d.Ticket, "challenge: work"},
		{d.Draw, "draw: " + contestDraw.String()}} {
		if rule.on {
			rules.WriteString(", " + rule.text)
		}
	}
	return fmt.Sprintf(`products:
  - {id: unit, name: unit, list_price: 4900, currency: CNY}
sales:
  - id: crowd
    name: crowd
    timezone: UTC
    sessions:
      - id: crowd
        start: "+%s"
        pay_within: 15m
        limit_per_shopper: 1
        admission_multiple: %d
        listings:
          - {sku: unit, price: 100, stock: %d%s}
`, lead.Round(time.Millisecond), multiple, units, rules.String())
}
