package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/bench"
	"doorbuster/cmd/doorbuster/operate"
	"doorbuster/engine"
	"doorbuster/httpapi/client"
)

// benchTrio is a cluster under measurement, of three unless said: zones a, a, b on this
// machine, each node a process of this program. All kinds that measure it share it.
type benchTrio struct {
	dir, profile string
	fleet        *fleet
	nodes        []bench.HTTPServer // by place in the fleet
	leader       int
	users        int
}

const trioNodes = 3

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
		plan := func(l bench.Listing, stock int64) string {
			return rushPlan([]bench.Listing{l}, stock, time.Hour, 1)
		}
		if err := b.start(ctx, trioNodes, plan(trioGranted, engine.MaxStock), plan(trioFollower, engine.MaxStock),
			plan(trioRefused, 100)); err != nil {
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

// newTrioFleet is a cluster to be measured.
func newTrioFleet(nodes int) *fleet {
	f := &fleet{zoneAck: "prefer", snapshotBytes: 256 << 20}
	f.ids, f.zones = twoRooms(nodes)
	return f
}

// serve starts the nodes from a place on, each a process of this program that ends with
// this one, and waits until they are ready.
func (f *fleet) serve(from int, profile string) ([]bench.HTTPServer, error) {
	type started struct {
		at     int
		server bench.HTTPServer
		err    error
	}
	all := make(chan started)
	for i, v := range f.victims[from:] {
		args := []string{"bench", "hello", "--node", "--config", v.config, "--data", v.data, "--http", v.http,
			"--admin", v.admin}
		if profile != "" {
			args = append(args, "--cpu-profile", profile+"."+f.ids[from+i])
		}
		go func() { // none is ready before another is
			s, err := startChild(trioGranted, args...)
			all <- started{i, s, err}
		}()
	}
	nodes := make([]bench.HTTPServer, len(f.victims)-from)
	var errs []error
	for range nodes {
		s := <-all
		nodes[s.at] = s.server
		errs = append(errs, s.err)
	}
	err := errors.Join(errs...)
	if err != nil {
		for _, s := range nodes {
			if s.Close != nil {
				err = errors.Join(err, s.Close())
			}
		}
		return nil, err
	}
	return nodes, nil
}

// start starts so many nodes and applies plans to them.
func (b *benchTrio) start(ctx context.Context, nodes int, plans ...string) (err error) {
	b.fleet = newTrioFleet(nodes)
	if err := b.fleet.prepare(filepath.Join(b.dir, "trio")); err != nil {
		return err
	}
	if b.nodes, err = b.fleet.serve(0, b.profile); err != nil {
		return err
	}
	admin := b.fleet.victims[0].admin
	for _, text := range plans {
		if err := operate.ApplyPlan(ctx, admin, []byte(text)); err != nil {
			return err
		}
	}
	node, err := client.New(client.Config{Addr: admin})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for { // a leader of the smaller zone hands over soon
		status, err := node.Cluster(ctx)
		if err != nil {
			return fmt.Errorf("no node of zone %s has come to lead: %w", b.fleet.zones[0], err)
		}
		b.leader = slices.Index(b.fleet.ids, status.Leader)
		if b.leader >= 0 && b.fleet.zones[b.leader] == b.fleet.zones[0] {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
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
