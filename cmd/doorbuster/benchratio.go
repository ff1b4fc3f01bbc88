package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/bench"
	"doorbuster/bench/bare"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

func newBenchHTTPCommand() *cobra.Command {
	cfg := bench.DefaultHTTPConfig()
	var dataDir, profile string
	cluster, rules := false, false
	c := workload(&cobra.Command{
		Use:   "http",
		Short: "Measure refused and granted grabs against a bare fasthttp handler",
		Long: `Measure three servers in one run, interleaved, each a process of this program
under the same load: a bare fasthttp handler ("hello"), a sold-out listing
("refused"), and one with stock ("granted", on disk before the answer). What
counts are the ratios; the figures are the machine's.

Where a redis-server is installed, and redislab (bench/redislab) lies beside this
program, a fourth is measured: a Lua script on a Redis that syncs every write
before it answers ("redis").

With --rules, both paths once more with every rule that leaves the answer the same,
signed tokens, a ticket with each grab, rate limits and lists, beside the same
path with none ("refused-ruled", "granted-ruled"). Each grab of granted-ruled is
another shopper's, who got their ticket some seconds before.

What the look at which products are asked for most costs:
--kinds refused-unwatched,refused says, and granted-unwatched,granted likewise.

With --cluster, the last two are measured on three nodes that share the machine,
through the leader and through a follower, and the Redis has a replica that
syncs, too, and is waited for ("redis-replica").`,
	}, cfg.Settings(), func(c *cobra.Command, tell teller) error {
		return inScratch(dataDir, "bench", func(dir string) error {
			cfg.DataDir, cfg.Progress = dir, c.ErrOrStderr()
			trio := &benchTrio{dir: dir, profile: profile}
			cfg.StartServer = func(ctx context.Context, kind string) (bench.HTTPServer, error) {
				if bench.OnRedis(kind) {
					return startRedis(filepath.Join(dir, kind), kind, cfg.Connections)
				}
				if cluster && kind != bench.KindHello {
					return trio.server(ctx, kind)
				}
				if bench.Plain(kind) != "" {
					return startRuledKind(ctx, ruledKind{dir, kind, profile, cfg.ShopperPrefix,
						bench.Equipped(cfg.RoundTime), cfg.Rounds})
				}
				return startKind(dir, kind, profile)
			}
			if cluster {
				cfg.Nodes = trioNodes
			}
			if cluster && rules {
				return cli.Usage(errors.New("--rules and --cluster: one of them at a time"))
			}
			if !c.Flags().Changed("kinds") {
				cfg.Kinds = usualKinds(cluster, rules)
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			report, err := bench.HTTPRatios(c.Context(), cfg)
			if err != nil {
				return err
			}
			return tell(report, notMeasured)
		}, neverKept)
	})
	f := c.Flags()
	f.BoolVar(&cluster, "cluster", false, "measure three nodes instead of one")
	f.BoolVar(&rules, "rules", false, "measure each path with every rule on, too")
	f.StringVar(&profile, "cpu-profile", "", "write the nodes' CPU profiles to `FILE`.refused and FILE.granted")
	f.StringVar(&dataDir, "data-dir", "", "`folder` on the disk to measure (default: the system's temporary one)")
	return c
}

const notMeasured = "some answers were not what was measured: the figures mean nothing"

// startKind runs this program again as one of the servers to compare.
func startKind(dir, kind, profile string) (bench.HTTPServer, error) {
	listing := bench.Listing{Session: "bench", SKU: "unit", Weight: 1}
	if kind == bench.KindHello {
		return startChild(listing, "bench", "hello")
	}
	stock := int64(engine.MaxStock)
	if !bench.Grants(kind) {
		stock = 100
	}
	data := filepath.Join(dir, kind)
	planFile := filepath.Join(dir, kind+".yaml")
	if err := os.WriteFile(planFile, []byte(rushPlan([]bench.Listing{listing}, stock, time.Hour, 1)),
		0o600); err != nil {
		return bench.HTTPServer{}, err
	}
	args := []string{"bench", "hello", "--node", "--data", data, "--plan", planFile}
	if profile != "" {
		args = append(args, "--cpu-profile", profile+"."+kind)
	}
	if bench.Unwatched(kind) {
		args = append(args, "--unwatched")
	}
	return startChild(listing, args...)
}

// usualKinds is what is measured where nobody says what: with a Redis where one is there,
// but not beside the rules, which are held against the same paths without.
func usualKinds(cluster, rules bool) []string {
	kinds, redis := bench.OneNodeKinds(), bench.KindRedis
	switch {
	case rules:
		return bench.RuledKinds()
	case cluster:
		kinds, redis = bench.ClusterKinds(), bench.KindRedisReplica
	}
	if redislab() != "" {
		kinds = append(kinds, redis)
	}
	return kinds
}

// startRedis serves grabs out of a Redis.
func startRedis(dir, kind string, connections int) (s bench.HTTPServer, err error) {
	program, replicas := redislab(), "0"
	if program == "" {
		return s, errors.New("it takes a redis-server, and redislab (bench/redislab) beside this program")
	}
	if kind == bench.KindRedisReplica {
		replicas = "1"
	}
	return startProgram(program, trioGranted, dir, strconv.Itoa(engine.MaxStock), strconv.Itoa(connections), replicas)
}

// redislab finds the program that serves grabs out of a Redis; "" where that, or a
// redis-server, is not there.
func redislab() string {
	self, err := os.Executable()
	if err == nil {
		_, err = exec.LookPath("redis-server")
	}
	if err != nil {
		return ""
	}
	found, _ := exec.LookPath(filepath.Join(filepath.Dir(self), "redislab"))
	return found
}

// startChild runs this program with args.
func startChild(listing bench.Listing, args ...string) (s bench.HTTPServer, err error) {
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	return startProgram(self, listing, args...)
}

// startProgram runs a program, which says where it listens on its first line.
func startProgram(program string, listing bench.Listing, args ...string) (s bench.HTTPServer, err error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the child ends when this closes, also when we die
	if err != nil {
		return s, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return s, err
	}
	if err := cmd.Start(); err != nil {
		return s, err
	}
	stop := func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return s, errors.Join(fmt.Errorf("the server did not start: %w", err), stop())
	}
	return bench.HTTPServer{Addr: strings.TrimSpace(line), Grab: listing, Close: stop}, nil
}

// newHelloCommand is a server under measurement, started by 'bench http'.
func newHelloCommand() *cobra.Command {
	var asNode, guarded, unwatched bool
	var data, planFile, profile, file, http, admin string
	var peers []string
	at := 0
	c := &cobra.Command{
		Use:    "hello",
		Short:  "A server to be measured, until its standard input ends",
		Hidden: true,
		Args:   cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, c.InOrStdin())
			}()
			if len(peers) > 0 {
				useProcessors()
				return serveBare(c.OutOrStdout(), bare.Config{Dir: data, Peers: peers, At: at}, ended)
			}
			if !asNode {
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), ln.Addr())
				failed := make(chan error, 1)
				go func() { failed <- bench.ServeHello(ln) }()
				select {
				case <-ended:
					return ln.Close()
				case err := <-failed:
					return err
				}
			}
			useProcessors()
			cfg, err := temporaryConfig(data)
			if file != "" {
				cfg, err = fileConfig(file, data, http, admin, !guarded)
			}
			if err != nil {
				return err
			}
			cfg.unwatched = unwatched
			n, err := openNode(cfg, cfg.newLogger(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			var text []byte
			if planFile != "" {
				text, err = os.ReadFile(planFile)
			}
			if err = errors.Join(err, n.takePlan(c.Context(), text)); err != nil {
				return errors.Join(err, n.close(context.Background()))
			}
			stop, err := startProfile(profile)
			if err != nil {
				return errors.Join(err, n.close(context.Background()))
			}
			defer stop()
			fmt.Fprintln(c.OutOrStdout(), n.shopperListener.Addr())
			select {
			case <-ended:
				return n.close(context.Background())
			case err := <-n.fatal:
				return err
			}
		},
	}
	c.Flags().BoolVar(&asNode, "node", false, "a node instead of a bare handler")
	c.Flags().BoolVar(&guarded, "guarded", false, "without --dev: the node asks for tokens")
	c.Flags().BoolVar(&unwatched, "unwatched", false, "which products are asked for most is not looked at")
	c.Flags().StringSliceVar(&peers, "bare", nil, "a bare node of these `addresses` instead (package bare)")
	c.Flags().IntVar(&at, "at", 0, "its place among them")
	c.Flags().StringVar(&data, "data", "", "data directory of the node")
	c.Flags().StringVar(&file, "config", "", "configuration `file` of the node")
	c.Flags().StringVar(&http, "http", "", "its address for shoppers")
	c.Flags().StringVar(&admin, "admin", "", "its address for operators")
	c.Flags().StringVar(&planFile, "plan", "", "plan of the node")
	c.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to `FILE`")
	return c
}

// startProfile writes a CPU profile to path, if one is named, until stop.
func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
