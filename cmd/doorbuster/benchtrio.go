package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/bench"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// benchTrio is a cluster of three under measurement: zones a, a, b on this
// machine, each node a process of this program. All kinds that measure it share it.
type benchTrio struct {
	dir, profile string
	fleet        fleet
	nodes        []bench.HTTPServer // by place in the fleet
	leader       int
	users        int
}

// The listings of a trio: two with more stock than anybody asks for, since the
// same shoppers come through the leader and through a follower, and one that is
// sold out at once.
var (
	trioGranted  = bench.Listing{Session: "bench", SKU: "unit", Weight: 1}
	trioFollower = bench.Listing{Session: "follower", SKU: "unit", Weight: 1}
	trioRefused  = bench.Listing{Session: "gone", SKU: "unit", Weight: 1}
)

// server gives the leader, or a follower, as the server of a kind.
func (b *benchTrio) server(ctx context.Context, kind string) (s bench.HTTPServer, err error) {
	if b.users == 0 {
		if err := b.start(ctx); err != nil {
			return s, errors.Join(err, b.stop())
		}
	}
	b.users++
	at, granted := b.leader, trioGranted
	if bench.ThroughFollower(kind) {
		at, granted = (b.leader+1)%len(b.nodes), trioFollower
	}
	s = bench.HTTPServer{Addr: b.nodes[at].Addr, Grab: granted, Close: b.leave}
	if !bench.Grants(kind) {
		s.Grab = trioRefused
	}
	return s, nil
}

func (b *benchTrio) leave() error {
	if b.users--; b.users > 0 {
		return nil
	}
	return b.stop()
}

func (b *benchTrio) stop() error {
	var errs []error
	for _, n := range b.nodes {
		errs = append(errs, n.Close())
	}
	b.nodes = nil
	return errors.Join(errs...)
}

func (b *benchTrio) start(ctx context.Context) error {
	b.fleet = fleet{zoneAck: "prefer", snapshotBytes: 256 << 20}
	b.fleet.ids, b.fleet.zones = twoRooms(3)
	if err := b.fleet.prepare(filepath.Join(b.dir, "trio")); err != nil {
		return err
	}
	type started struct {
		at     int
		server bench.HTTPServer
		err    error
	}
	all := make(chan started)
	for i, v := range b.fleet.victims {
		args := []string{"bench", "hello", "--node", "--config", v.config, "--data", v.data, "--http", v.http,
			"--admin", v.admin}
		if b.profile != "" {
			args = append(args, "--cpu-profile", b.profile+"."+b.fleet.ids[i])
		}
		go func() { // none is ready before another is
			s, err := startChild(trioGranted, args...)
			all <- started{i, s, err}
		}()
	}
	b.nodes = make([]bench.HTTPServer, len(b.fleet.victims))
	var errs []error
	for range b.nodes {
		s := <-all
		if s.err == nil {
			b.nodes[s.at] = s.server
		}
		errs = append(errs, s.err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	admin := b.fleet.victims[0].admin
	for _, p := range []struct {
		sale    string
		listing bench.Listing
		stock   int64
	}{{"bench", trioGranted, engine.MaxStock}, {"follower", trioFollower, engine.MaxStock},
		{"gone", trioRefused, 100}} {
		path := filepath.Join(b.dir, p.sale+".yaml")
		if err := os.WriteFile(path, []byte(rushPlan([]bench.Listing{p.listing}, p.stock, time.Hour, 1)),
			0o600); err != nil {
			return err
		}
		if _, err := b.run(ctx, "apply", "-f", path, "--admin", admin); err != nil {
			return err
		}
	}
	text, err := b.run(ctx, "cluster", "status", "--output", "json", "--admin", admin)
	if err != nil {
		return err
	}
	var status wire.Cluster
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	if b.leader = slices.Index(b.fleet.ids, status.Leader); b.leader < 0 {
		return fmt.Errorf("the nodes agree on no leader: %s", text)
	}
	return nil
}

// run runs a command of this program.
func (b *benchTrio) run(ctx context.Context, args ...string) ([]byte, error) {
	var out, diagnostics bytes.Buffer
	if status := run(ctx, args, strings.NewReader(""), &out, &diagnostics); status != 0 {
		return nil, fmt.Errorf("%s: %s", strings.Join(args, " "), diagnostics.String())
	}
	return out.Bytes(), nil
}

// fileConfig is the configuration of a measured node that has a file.
func fileConfig(file, data, http, admin string, dev bool) (Config, error) {
	flags := pflag.NewFlagSet("node", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse([]string{"--dev=" + strconv.FormatBool(dev), "--config", file, "--data", data, "--http", http,
		"--admin", admin, "--log-level", "error"}); err != nil {
		return Config{}, err
	}
	return loadConfig(flags)
}
