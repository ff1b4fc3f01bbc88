package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node: shoppers at --http, operators at --admin, everything it must not
forget under --data. One node is complete; it needs nothing beside it.

Every flag can also stand in the --config file, with underscores for dashes, or
in the environment as DOORBUSTER_…; flags win over environment over file.

Without --dev, shoppers carry tokens (JWT, audience "doorbuster-shopper", their
id in "sub"), and so do operators (audience "doorbuster-ops", role "viewer",
"operator" or "admin"). 'doorbuster token' makes both for trying out.`,
		Example: `  # try it out
  doorbuster serve --dev --data /tmp/shop

  # for real
  openssl rand -base64 48 > shopper.key; openssl rand -base64 48 > ops.key
  doorbuster serve --data /var/lib/doorbuster --http 0.0.0.0:8080 \
    --shopper-key-file shopper.key --ops-key-file ops.key`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c.Flags())
			if err != nil {
				return err
			}
			useProcessors()
			return serve(c.Context(), cfg, cfg.newLogger(c.ErrOrStderr()))
		},
	}
	addConfigFlags(c.Flags())
	return c
}

// serve runs a node until ctx ends or the node can't go on.
func serve(ctx context.Context, cfg Config, logger *slog.Logger) error {
	start := time.Now()
	n, err := openNode(cfg, logger)
	if err != nil {
		return err
	}
	if torn := n.cluster.Recovery().Torn; torn != nil {
		logger.Warn("the end of the log was cut short; what was not acknowledged is dropped", "recovery", torn.String())
	}
	logger.Info("recovering", "data", cfg.Data, "shoppers", n.shopperListener.Addr().String(), "operators", n.adminListener.Addr().String())
	ready := make(chan error, 1)
	go func() { ready <- n.cluster.AwaitReady(ctx) }()
	for {
		select {
		case err := <-ready:
			ready = nil
			if err == nil {
				logger.Info("serving", "shoppers", "http://"+n.shopperListener.Addr().String(),
					"operators", "http://"+n.adminListener.Addr().String(), "after", time.Since(start).Round(time.Millisecond))
			}
		case <-ctx.Done():
			logger.Info("stopping: answering what is in flight; a second signal ends it at once")
			if err := n.stop(); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			logger.Info("stopped")
			return nil
		case err := <-n.fatal:
			return givenUp(err)
		case err := <-n.served:
			return errors.Join(fmt.Errorf("a door closed by itself: %w", err), n.stop())
		}
	}
}

// stop closes the node in good order, unless it finds meanwhile that it can't go
// on: a disk that hangs would keep it for ever.
func (n *node) stop() error {
	closed := make(chan error, 1)
	go func() { closed <- n.close(context.Background()) }()
	select {
	case err := <-closed:
		return err
	case err := <-n.fatal:
		return givenUp(err)
	}
}

// givenUp ends a node whose disk is not to be trusted with an orderly end: what
// was told is on it, the rest is unknown to everybody.
func givenUp(err error) error {
	return fmt.Errorf("the node stops, nothing acknowledged is lost: %w", err)
}

// useProcessors lets one more goroutine run than there are cores, unless the
// environment says how many: one is always waiting for the log's fsync, a
// blocking call that would keep a core from the others until the scheduler
// notices.
func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
