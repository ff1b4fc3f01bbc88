package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench/cashier"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/payment"
)

func newCashierCommand() *cobra.Command {
	var listen, data, keyFile, payKeys string
	cfg := cashier.Config{}
	f := &cfg.Faults
	c := &cobra.Command{
		Use:   "cashier --data DIR --shop URL",
		Short: "Run a small outside cashier, for demonstrations and tests",
		Long: `Run a cashier outside of the shop, with books of its own under --data. It is no
payment system: whoever brings a token has paid.

  GET  /pay                       a page to pay at, with the token behind #token=
  POST /pay                       {"token": "…"}, the pay_token of a held order
  POST /refunds                   the shop's: pay a payment back, once
  POST /orders/{order_no}/close   the shop's: take no more money for an order
  GET  /statement                 ?format=csv or ndjson, &from= and &to= (RFC 3339)
  GET  /payments                  NDJSON, with what the shop answered to each
  GET  /books                     what it all adds up to

It tells the shop of each payment by a signed callback, again and again until the
shop has answered. Start the shop with --cashier-url, and both with the same
--cashier-key-file and --pay-keys (a shop with --dev needs neither: then the
cashier has the shop check the tokens).

The flags from --delay on make it behave badly, always in the same way for the
same --seed and order number.`,
		Example: `  doorbuster serve --dev --data /tmp/shop --cashier-url http://127.0.0.1:8090 &
  doorbuster cashier --data /tmp/cashier --shop http://127.0.0.1:8080 --delay 2s --repeat 0.2 --drop 0.05 &
  curl -d '{"token":"'$PAY_TOKEN'"}' http://127.0.0.1:8090/pay
  curl 'http://127.0.0.1:8090/statement?format=csv' > statement.csv`,
		Args: cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if data == "" || len(cfg.Shop) == 0 {
				return cli.Usage(errors.New("--data and --shop are required"))
			}
			cfg.File = filepath.Join(data, "books.db")
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			var err error
			if keyFile != "" {
				text, err := auth.ReadFile(keyFile)
				if err != nil {
					return fmt.Errorf("the shared secret: %w", err)
				}
				if cfg.Secrets, err = payment.NewSecrets(auth.Secrets(text)); err != nil {
					return err
				}
			}
			if payKeys != "" {
				keys, err := payment.ReadKeys(payKeys)
				if err != nil {
					return err
				}
				if cfg.Keys, err = payment.NewKeys(keys); err != nil {
					return err
				}
			}
			if err = os.MkdirAll(data, 0o700); err != nil {
				return err
			}
			cfg.Logger = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			return runCashier(c.Context(), cfg, listen)
		},
	}
	c.Flags().StringVar(&data, "data", "", "`directory` for the books; made if missing (required)")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "`address` to serve at")
	c.Flags().StringSliceVar(&cfg.Shop, "shop", nil, "`URLs` of the shoppers' doors of the shop's nodes (required)")
	c.Flags().StringVar(&keyFile, "cashier-key-file", "", "`file` with the secret shared with the shop; without it "+
		"nothing is signed")
	c.Flags().StringVar(&payKeys, "pay-keys", "", "YAML `file` with the keys of payment tokens; without it the shop "+
		"is asked about each token")
	c.Flags().DurationVar(&f.Delay, "delay", 0, "delay callbacks, each by another time up to this")
	c.Flags().Float64Var(&f.Repeat, "repeat", 0, "share of callbacks that come two to four times")
	c.Flags().Float64Var(&f.Drop, "drop", 0, "share of callbacks that never come")
	c.Flags().Float64Var(&f.Reorder, "reorder", 0, "share of callbacks that later ones overtake")
	c.Flags().Float64Var(&f.Late, "late", 0, "share of tokens that are taken though their time is over")
	c.Flags().Float64Var(&f.Fail, "fail", 0, "share of the shop's questions that get no answer, half of them after "+
		"all was booked")
	c.Flags().Uint64Var(&f.Seed, "seed", 1, "what goes wrong depends on it")
	return c
}

// runCashier serves until ctx ends.
func runCashier(ctx context.Context, cfg cashier.Config, listen string) error {
	c, err := cashier.New(cfg)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(fmt.Errorf("can't listen on %s (--listen): %w", listen, err), c.Close())
	}
	server := &http.Server{Handler: c.Handler(), ReadTimeout: 10 * time.Second, ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug)}
	inner, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		c.Run(inner)
	}()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	cfg.Logger.Info("cashier", "at", "http://"+ln.Addr().String(), "shop", strings.Join(cfg.Shop, ","), "books",
		cfg.File)
	select {
	case err = <-served:
	case <-ctx.Done():
		wait, stop := context.WithTimeout(context.Background(), closePatience)
		err = server.Shutdown(wait)
		stop()
	}
	cancel()
	<-ran
	return errors.Join(err, c.Close())
}
