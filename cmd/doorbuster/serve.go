package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/cli"
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
		Args: cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c.Flags())
			if err != nil {
				return err
			}
			useProcessors()
			signal.Ignore(syscall.SIGPIPE) // a log reader that goes away ends nothing
			cfg.logSink = newLogSink(c.ErrOrStderr())
			defer cfg.logSink.flush()
			logger := cfg.newLogger(cfg.logSink)
			cfg.keepDescriptors(descriptorLimit(), logger)
			for _, l := range cfg.lacks() {
				logger.Warn("this shop "+l.means, "setting", l.setting)
			}
			return serve(c.Context(), cfg, logger)
		},
	}
	addConfigFlags(c.Flags())
	return c
}

// Restarts of a node by itself that are taken for a way out, not for a circle.
const (
	restartsAtMost = 5
	restartsWithin = time.Minute
)

// serve runs a node until ctx ends or the node can't go on. One that must be
// opened again is.
func serve(ctx context.Context, cfg Config, logger *slog.Logger) error {
	var restarts []time.Time
	for {
		err := serveOnce(ctx, cfg, logger)
		if !errors.Is(err, cluster.ErrRestart) || ctx.Err() != nil {
			return err
		}
		restarts = append(restarts, time.Now())
		if n := len(restarts); n > restartsAtMost && time.Since(restarts[n-1-restartsAtMost]) < restartsWithin {
			return givenUp(fmt.Errorf("it opened itself again %d times within %s: %w", restartsAtMost, restartsWithin,
				err))
		}
		why := err
		if end := (*cluster.Fatal)(nil); errors.As(err, &end) {
			why = end.Err
		}
		logger.Warn("opening the node again", "why", why)
	}
}

func serveOnce(ctx context.Context, cfg Config, logger *slog.Logger) error {
	start := time.Now()
	n, err := openNode(cfg, logger)
	if err != nil {
		return err
	}
	logger.Info("recovering", "data", cfg.Data, "shoppers", address(n.shopperListener), "display", n.displayAddress(),
		"operators", address(n.adminListener))
	ready := make(chan error, 1)
	go func() { ready <- n.cluster.AwaitReady(ctx) }()
	for {
		select {
		case err := <-ready:
			ready = nil
			if err == nil {
				if found := n.cluster.AsOf(); found.LogIndex != 0 {
					logger.Info(fmt.Sprintf("the state is as of log index %d, %s", found.LogIndex,
						found.Time.Format(time.RFC3339Nano)))
				}
				logger.Info("serving", "shoppers", "http://"+address(n.shopperListener), "display",
					"http://"+n.displayAddress(),
					"operators", "http://"+address(n.adminListener), "after", time.Since(start).Round(time.Millisecond))
			}
		case <-ctx.Done():
			logger.Info("stopping: answering what is in flight; a second signal ends it at once")
			n.leave()
			if err := n.stop(); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			logger.Info("stopped")
			return nil
		case err := <-n.fatal:
			if errors.Is(err, cluster.ErrRestart) {
				return errors.Join(err, n.reopened())
			}
			return givenUp(err)
		case err := <-n.served:
			return errors.Join(fmt.Errorf("a door closed by itself: %w", err), n.stop())
		}
	}
}

func address(ln net.Listener) string {
	if ln == nil {
		return "none"
	}
	return ln.Addr().String()
}

// displayAddress is where whoever looks is served.
func (n *node) displayAddress() string {
	if n.displayListener == nil {
		return address(n.shopperListener)
	}
	return address(n.displayListener)
}

// leave lets others take over before the doors close: leadership goes first, and
// whoever comes is asked to come to another node next time.
func (n *node) leave() {
	if n.cfg.Cluster.ID == "" {
		return
	}
	n.leaving.Store(true)
	since := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	n.cluster.HandOver(ctx)
	select {
	case <-time.After(n.cfg.StopDelay - time.Since(since)):
	case err := <-n.fatal:
		n.fatal <- err // whoever stops the node looks at it
	}
}

// reopened closes a node that is to be opened again at once.
func (n *node) reopened() error {
	ctx, cancel := context.WithTimeout(context.Background(), reopenPatience)
	defer cancel()
	return n.close(ctx)
}

// reopenPatience is how long what is in flight has when a node opens itself again.
const reopenPatience = time.Second

// stop closes the node in good order, unless it finds meanwhile that it can't go
// on: a disk that hangs would keep it for ever.
func (n *node) stop() error {
	closed := make(chan error, 1)
	go func() { closed <- n.close(context.Background()) }()
	for {
		select {
		case err := <-closed:
			return err
		case err := <-n.fatal:
			if !errors.Is(err, cluster.ErrRestart) {
				return givenUp(err)
			}
		}
	}
}

// givenUp ends a node without an orderly end, which its disk is not to be trusted
// with. err says what is known of what the node told.
func givenUp(err error) error { return fmt.Errorf("the node stops: %w", err) }

// useProcessors lets one more goroutine run than there are cores, unless the
// environment says how many: one is always waiting for the log's fsync, a
// blocking call that would keep a core from the others until the scheduler
// notices.
func useProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
