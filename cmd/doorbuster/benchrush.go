package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/plan"
)

func newRushCommand() *cobra.Command {
	cfg := bench.DefaultRushConfig()
	var listings []string
	var progress, tokenFile, shopperKeyFile, planFile string
	var stock int64
	var payWithin time.Duration
	var killPID int
	c := workload(&cobra.Command{
		Use:   "rush --listing SESSION/SKU [--addr HOST:PORT --admin HOST:PORT]",
		Short: "Send many shoppers at once, and check every answer",
		Long: `Send many distinct shoppers for a listing over HTTP: some click twice, some pay,
some never do. At the end: a table of outcomes, throughput and latency, and a
verdict on exactness, checked against the admin API and against what each shopper
was told. Exit status 1 if the verdict is bad. Ctrl-C stops sending and still
gives the verdict.

Without --addr a node is started in this process, in a temporary directory, with
the listings given and --stock units of each (or a --plan of yours).`,
		Example: `  doorbuster bench rush --shoppers 100000 --listing day/mask --stock 5000
  doorbuster bench rush --addr 127.0.0.1:8080 --admin 127.0.0.1:8081 \
    --listing fans-day-10/mask-50 --shoppers 200000 --rate 10000 --json rush.json
  doorbuster bench rush --addr 127.0.0.1:8080 --admin 127.0.0.1:8081 \
    --cashier 127.0.0.1:8090 --listing fans-day-10/mask-50`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) (err error) {
		for _, text := range listings {
			l, err := bench.ParseListing(text)
			if err != nil {
				return cli.Usage(fmt.Errorf("--listing: %w", err))
			}
			cfg.Listings = append(cfg.Listings, l)
		}
		if cfg.AdminToken, err = tokenOf(tokenFile); err != nil {
			return err
		}
		if shopperKeyFile != "" {
			if cfg.TokenFor, err = shopperTokens(shopperKeyFile); err != nil {
				return err
			}
		}
		switch progress {
		case "auto":
			cfg.Progress = c.ErrOrStderr()
		case "bar":
			cfg.Progress, cfg.ForceBar = c.ErrOrStderr(), true
		case "none":
		default:
			return cli.Usage(fmt.Errorf("--progress: %q is none of auto, bar, none", progress))
		}
		cfg.StartNode = func(ctx context.Context) (bench.Node, error) {
			text := []byte(rushPlan(cfg.Listings, stock, payWithin, cfg.LimitPerSession))
			if planFile != "" {
				if text, err = os.ReadFile(planFile); err != nil {
					return bench.Node{}, err
				}
			}
			return startTemporaryNode(ctx, text)
		}
		if killPID != 0 {
			if killPID < 2 || len(cfg.Addrs) == 0 {
				return cli.Usage(fmt.Errorf("--kill-pid %d: want the process id of a node, and --addr of another one",
					killPID))
			}
			cfg.Strike = func() error { return killProcess(killPID) }
		}
		if err := cfg.Validate(); err != nil {
			return cli.Usage(err)
		}
		report, err := bench.Rush(c.Context(), cfg)
		if err != nil {
			return err
		}
		return tell(report, "the verdict is bad: see the checks above")
	})
	f := c.Flags()
	f.StringArrayVar(&listings, "listing", nil,
		"`SESSION/SKU`, or SESSION/SKU=WEIGHT; repeat it for several (required)")
	f.IntVar(&killPID, "kill-pid", 0,
		"`process` of a node to kill (SIGKILL) in the middle of the rush, to time the next grant of the others")
	f.StringVar(&progress, "progress", "auto", "auto, bar or none")
	f.StringVar(&tokenFile, "token-file", "", "`file` with the operators' token (or DOORBUSTER_TOKEN)")
	f.StringVar(&shopperKeyFile, "shopper-key-file", "",
		"`file` with the secret to make shoppers' tokens with; none sends X-Shopper-Id")
	f.StringVar(&planFile, "plan", "", "plan `file` for the node in this process")
	f.Int64Var(&stock, "stock", 1000, "units of each listing, for the node in this process")
	f.DurationVar(&payWithin, "pay-within", 15*time.Minute, "time to pay, for the node in this process")
	return c
}

// shopperTokens makes each shopper's token once.
func shopperTokens(keyFile string) (func(string) string, error) {
	secret, err := readSigningKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("--shopper-key-file: %w", err)
	}
	if _, err := (auth.Claims{Audience: auth.Shoppers, Subject: "probe", TTL: time.Hour}).Sign(secret,
		time.Now()); err != nil {
		return nil, fmt.Errorf("--shopper-key-file: %w", err)
	}
	var made sync.Map
	return func(shopper string) string {
		if t, ok := made.Load(shopper); ok {
			return t.(string)
		}
		t, err := auth.Claims{Audience: auth.Shoppers, Subject: shopper, TTL: 12 * time.Hour}.Sign(secret, time.Now())
		if err != nil {
			return "" // the shop will say that it is not valid
		}
		made.Store(shopper, t)
		return t
	}, nil
}

// killProcess ends a process at once.
func killProcess(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// rushPlan lists what the rush comes for, in sessions that are open at once.
func rushPlan(listings []bench.Listing, stock int64, payWithin time.Duration, limit int) string {
	var products, sessions strings.Builder
	seen := map[string]bool{}
	bySession := map[string][]string{}
	var order []string
	for _, l := range listings {
		if !seen[l.SKU] {
			seen[l.SKU] = true
			fmt.Fprintf(&products, "  - {id: %s, name: %s, list_price: 4900, currency: CNY}\n", l.SKU, l.SKU)
		}
		if bySession[l.Session] == nil {
			order = append(order, l.Session)
		}
		bySession[l.Session] = append(bySession[l.Session], l.SKU)
	}
	for _, id := range order {
		fmt.Fprintf(&sessions, `      - id: %s
        start: now
        pay_within: %s
        pay_grace: 0s
        limit_per_shopper: %d
        admission_multiple: 0
        listings:
`, id, payWithin, limit)
		for _, sku := range bySession[id] {
			fmt.Fprintf(&sessions, "          - {sku: %s, price: 100, stock: %d, limit_per_shopper: 0}\n", sku, stock)
		}
	}
	return "products:\n" + products.String() + `sales:
  - id: bench
    name: bench
    timezone: UTC
    sessions:
` + sessions.String()
}

// startTemporaryNode runs a node of this process on a directory that goes when
// it does, with the plan applied.
func startTemporaryNode(ctx context.Context, planText []byte) (_ bench.Node, err error) {
	if _, problems := plan.Parse(planText, plan.Options{Now: time.Now()}); len(problems) > 0 {
		return bench.Node{}, fmt.Errorf("the plan can't be applied:\n%w", problems)
	}
	dir, err := os.MkdirTemp("", "doorbuster-bench-")
	if err != nil {
		return bench.Node{}, err
	}
	n, err := openTemporary(ctx, dir, io.Discard, planText)
	if err != nil {
		return bench.Node{}, errors.Join(err, os.RemoveAll(dir))
	}
	shut := func() error { return errors.Join(n.close(context.Background()), os.RemoveAll(dir)) }
	return bench.Node{HTTPAddr: n.shopperListener.Addr().String(), AdminAddr: n.adminListener.Addr().String(),
			Close: shut},
		nil
}

// openTemporary runs a node of this process on dir, with a plan applied.
func openTemporary(ctx context.Context, dir string, log io.Writer, planText []byte) (*node, error) {
	cfg, err := temporaryConfig(dir)
	if err != nil {
		return nil, err
	}
	n, err := openNode(cfg, cfg.newLogger(log))
	if err != nil {
		return nil, err
	}
	if err := n.takePlan(ctx, planText); err != nil {
		return nil, errors.Join(err, n.close(context.Background()))
	}
	return n, nil
}

// takePlan waits until the node is ready and applies a plan; nil is none.
func (n *node) takePlan(ctx context.Context, text []byte) error {
	if err := n.cluster.AwaitReady(ctx); err != nil || text == nil {
		return err
	}
	parsed, problems := plan.Parse(text, plan.Options{Now: n.office.Now().Wall(), Play: n.play})
	if len(problems) > 0 {
		return problems
	}
	o, err := n.office.ApplyPlan(ctx, engine.By{Operator: "bench"}, parsed.Plan, false)
	if err != nil || len(o.Problems) > 0 {
		return fmt.Errorf("apply the plan: %v %w", o.Problems, err)
	}
	return nil
}

// temporaryConfig is a development node's on ports of the system's choice.
func temporaryConfig(dir string) (Config, error) {
	return fileConfig("", dir, "127.0.0.1:0", "127.0.0.1:0", true)
}
