package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"doorbuster/actors"
	"doorbuster/actors/backoffice"
	"doorbuster/cluster"
	"doorbuster/engine"
	"doorbuster/httpapi"
	"doorbuster/httpapi/auth"
	"doorbuster/httpapi/catalogue/pull"
	"doorbuster/httpapi/curve"
	"doorbuster/httpapi/hot"
	"doorbuster/httpapi/payment"
	"doorbuster/httpapi/personal"
	"doorbuster/httpapi/play"
	"doorbuster/httpapi/reconcile/daily"
	"doorbuster/httpapi/reconcile/intake"
	"doorbuster/httpapi/report"
	"doorbuster/httpapi/risk"
	"doorbuster/httpapi/roster"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/traces"
	"doorbuster/httpapi/warn"
)

// node is all rooms of one process, connected.
type node struct {
	cfg      Config
	logger   *slog.Logger
	office   *backoffice.Office
	cluster  *cluster.Node
	shoppers *httpapi.ShopperServer
	admin    *httpapi.AdminServer
	metrics  *prometheus.Registry
	risk     *risk.Client     // nil without a service to ask
	lookRisk *risk.Client     // of second looks; nil like it
	pay      *payment.Keys    // of payment tokens; nil without
	cashier  *payment.Secrets // shared with the cashier; nil without
	jobs     *payment.Jobs    // nil without a cashier to ask
	intake   *intake.Service
	daily    *daily.Daily // nil without statements to fetch
	sinks    *sinks.Runner
	puller   *pull.Puller // nil without catalogues to fetch
	warnings *warn.Sender // nil without anybody to warn
	curves   *curve.Recorder
	fsyncs   fsyncs
	crowd    attendance
	stages   func(engine.Stage, time.Duration)
	tracer   *traces.Tracer // nil without a collector
	hot      *hot.Watch
	board    atomic.Pointer[board]
	keys     *auth.Watcher[keys]
	canon    roster.Canon // of both doors
	tallies  *report.Tallies
	reports  *report.Keeper
	vault    *personal.Vault

	shopperListener, adminListener net.Listener
	displayListener                net.Listener // nil where shoppers' own serves who looks
	served                         chan error   // one value for each server that ends
	fatal                          chan error
	working                        context.Context // ends when the node closes
	endWork                        context.CancelFunc
	work                           sync.WaitGroup // what runs beside the doors
	connected, leaving             atomic.Bool    // the rooms are; about to stop
}

// openNode opens the rooms in order: a data directory that is in use ends it, for
// whoever uses it has the addresses, too; then addresses and doors, for they cost
// nothing to give back, then the log and the state; only then are the doors opened.
// Whether the node is ready is for the caller to await.
func openNode(cfg Config, logger *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, hot: hot.New(), tallies: report.NewTallies(), logger: logger,
		metrics: prometheus.NewRegistry(), served: make(chan error, 3), fatal: make(chan error, 1)}
	n.working, n.endWork = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.close(context.Background())
		}
	}()
	if err := cluster.InUse(cfg.Data); err != nil {
		return nil, err
	}
	keys, err := cfg.readKeys()
	if err != nil {
		return nil, err
	}
	if cfg.kind() != cluster.KindWitness {
		if n.shopperListener, err = net.Listen("tcp", cfg.HTTP); err != nil {
			return nil, listenError("shoppers", "--http", cfg.HTTP, err)
		}
		if cfg.Display != "" {
			if n.displayListener, err = net.Listen("tcp", cfg.Display); err != nil {
				return nil, listenError("whoever looks", "--display", cfg.Display, err)
			}
		}
	}
	if n.adminListener, err = net.Listen("tcp", cfg.Admin); err != nil {
		return nil, listenError("operators", "--admin", cfg.Admin, err)
	}
	if err := n.makeDoors(keys); err != nil {
		return nil, err
	}
	if err := n.openRooms(); err != nil {
		return nil, err
	}
	if err := n.makePersonalKeys(&keys); err != nil {
		return nil, err
	}
	n.openDoors()
	if n.jobs != nil {
		n.inBackground(n.jobs.Run)
	}
	if n.daily != nil {
		n.inBackground(n.daily.Run)
	}
	n.inBackground(n.sinks.Run)
	n.inBackground(n.curves.Run)
	n.inBackground(n.reports.Run)
	if n.puller != nil {
		n.inBackground(n.puller.Run)
	}
	n.inBackground(func(ctx context.Context) { n.keys.Run(ctx, keys) })
	n.inBackground(n.keepPersonalKeys)
	n.inBackground(n.watchAlarms)
	n.inBackground(n.hot.Run)
	if n.tracer != nil {
		n.inBackground(n.tracer.Run)
	}
	if n.warnings != nil {
		n.inBackground(n.warnings.Run)
	}
	return n, nil
}

// now reads the clock that alarms go by.
func (n *node) now() time.Time {
	if n.cfg.wall != nil {
		return n.cfg.wall()
	}
	return time.Now()
}

// inBackground does something until the node closes.
func (n *node) inBackground(do func(ctx context.Context)) { n.work.Go(func() { do(n.working) }) }

func listenError(who, flag, addr string, err error) error {
	return fmt.Errorf("can't listen for %s on %s (%s): %w", who, addr, flag, err)
}

// makeDoors makes all that a mistake in the configuration can spoil, before
// anything is touched on disk.
func (n *node) makeDoors(keys keys) (err error) {
	ac := actors.DefaultConfig()
	if n.cfg.wall != nil {
		ac.Wall = n.cfg.wall
	}
	n.stages = newStages(n.metrics)
	ac.Took = n.stages
	ac.Logger, ac.WaitingDepth, ac.GrabTimeout, ac.JournalEntries = n.logger, n.cfg.Grabs.WaitingDepth,
		n.cfg.Grabs.Timeout, n.cfg.Grabs.JournalEntries
	if n.office, err = backoffice.New(ac); err != nil {
		return err
	}
	n.office.SetFormulas(play.NewFormulas())
	if err := n.meetCashier(keys.cashierKeys); err != nil {
		return err
	}
	guard, err := n.cfg.guard(keys, n.logger)
	if err != nil {
		return err
	}
	n.risk = guard.Risk
	if n.lookRisk, err = n.cfg.lookRisk(keys, n.logger); err != nil {
		return err
	}
	n.canon = guard.Canon
	n.vault = personal.New(n.office, n.canon, keys.personal)
	if n.tracer, err = n.cfg.newTracer(keys, n.logger); err != nil {
		return err
	}
	page, err := n.cfg.storefront()
	if err != nil {
		return err
	}
	if n.shoppers, err = httpapi.NewShopper(httpapi.ShopperConfig{
		Seller: httpapi.Seller{Grabber: n.office.Group, ShopperOrders: n.office, Receiving: n.office,
			Display: n.office, Rules: n.office.Group, Bargains: n.office},
		Exemplars: n.cfg.Metrics.Exemplars, Tracer: n.tracer, Took: n.stages, Hot: n.watched(),
		Tallies: n.tallies, Guard: guard, Personal: n.vault,
		Streams: n.cfg.Doors.EventStreams, Leaving: n.turnsAway,
		Removed:    n.removed,
		DisplayAge: n.displayAge, DisplayShared: n.displayShared, Dev: n.cfg.Dev, Tokens: keys.shopper,
		TokenBytes: n.cfg.Tokens.Bytes, PayKeys: n.pay, Cashier: n.cashier, Limits: n.cfg.Doors.Limits,
		Display: n.cfg.displayLimits(), Logger: n.logger, Registerer: n.metrics, Storefront: page,
	}); err != nil {
		return err
	}
	n.office.SetGuard(n.shoppers.Guard())
	if err := n.makeReconciler(); err != nil {
		return err
	}
	if err := n.makeSinks(); err != nil {
		return err
	}
	if err := n.makePuller(); err != nil {
		return err
	}
	if err := n.makeWarnings(); err != nil {
		return err
	}
	n.curves = curve.New(curve.Config{Look: n.office.LiveCounts, Refused: n.shoppers.Refused})
	n.makeReports()
	if n.admin, err = newAdmin(n, keys); err != nil {
		return err
	}
	n.keys = n.newKeyWatcher()
	return nil
}

// watched is what sees which products are asked for; nil: nobody.
func (n *node) watched() *hot.Watch {
	if n.cfg.unwatched {
		return nil
	}
	return n.hot
}

// turnsAway reports whether shoppers had better come to another node: this one is
// about to stop, drained, or removed.
func (n *node) turnsAway() bool {
	return n.leaving.Load() || n.connected.Load() && (n.cluster.Drained() || n.cluster.Removed())
}

// removed reports whether this node was taken out of its cluster.
func (n *node) removed() bool { return n.connected.Load() && n.cluster.Removed() }

// displayAge is how long caches may keep what is on display, as operators have it.
func (n *node) displayAge() time.Duration {
	return time.Duration(n.office.Switches()[engine.SwitchDisplayAge]) * time.Millisecond
}

// displayShared reports whether operators have both listeners serve everything.
func (n *node) displayShared() bool { return n.office.Switches().On(engine.SwitchDisplayShared) }

// openDoors begins to answer.
func (n *node) openDoors() {
	if n.shopperListener != nil {
		go func() { n.served <- n.shoppers.Serve(n.shopperListener) }()
	}
	if n.displayListener != nil {
		go func() { n.served <- n.shoppers.ServeDisplay(n.displayListener) }()
	}
	go func() { n.served <- n.admin.Serve(n.adminListener) }()
}

func (n *node) openRooms() (err error) {
	n.metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if sink := n.cfg.logSink; sink != nil {
		n.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "doorbuster_log_lines_lost_total", Help: "Lines of the log that its reader did not take.",
		}, func() float64 { return float64(sink.lost.Load()) }))
	}
	n.fsyncs.slow = n.cfg.Thresholds.Fsync
	fsync := newFsyncHistogram(n.metrics, &n.fsyncs)
	cc := cluster.DefaultConfig(n.cfg.Data)
	n.cfg.clusterInto(&cc)
	cc.SnapshotBytes, cc.StallTimeout = n.cfg.Disk.SnapshotBytes, n.cfg.Disk.StallTimeout
	cc.Logger, cc.Version, cc.FS = n.logger, version, n.cfg.fs
	if n.cfg.wall != nil {
		cc.Wall, cc.Ledger.Trail.Now = n.cfg.wall, n.cfg.wall
	}
	if n.cfg.tape != nil {
		cc.Ledger.Trail.FS = n.cfg.tape
	}
	cc.Ledger.Trail.Keep, cc.Ledger.Trail.KeepBytes = n.cfg.Disk.KeepEvents, n.cfg.Disk.KeepEventBytes
	cc.ObserveSync = fsync
	cc.OnFatal = func(err error) {
		select {
		case n.fatal <- err:
		default:
		}
	}
	// The cluster tells the group of epochs from the moment it is opened, and an
	// epoch needs the log: the leader in between waits until both are connected.
	cc.Decider = decider{n.office.Group, n.intake.Archive, n.reports}
	cc.Alarms, cc.Tells = n.roomAlarms, n.crowd.tells
	cc.Approving = n.cfg.Approving
	if n.cfg.HTTP != "" && n.cfg.RateLimit.Address.PerSecond > 0 {
		cc.Demand = n.shoppers.Guard()
	}
	if n.cluster, err = cluster.Open(cc, n.office, n.office); err != nil {
		return err
	}
	n.office.SetLedger(ledgers{n.cluster.Ledger(), n.cluster})
	if n.cfg.Cluster.ID != "" {
		n.office.Join(n.cluster)
		n.intake.Join(n.cluster)
	}
	n.office.Connect(n.cluster, n.cluster)
	n.office.KeepSettling(n.cfg.Disk.SettleAfter)
	n.connected.Store(true)
	registerGroup(n.metrics, n.office, n.cluster)
	n.registerListings()
	n.board.Store(newBoard(n))
	return nil
}

// closePatience is how long what is in flight has to be answered. It is more than
// a request has to arrive unless it is told otherwise, and more than what both servers
// wait for the first byte of a connection before they count it as idle.
const closePatience = 12 * time.Second

// close shuts the doors, then the rooms, in reverse. What is in flight is
// answered first; whoever is slower than closePatience is cut off, for nobody
// outside shall keep a node from stopping in good order.
func (n *node) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closePatience)
	defer cancel()
	n.endWork()
	if n.intake != nil {
		n.intake.Stop()
	}
	n.work.Wait()
	doors := make(chan error, 2)
	shut := func(door interface{ Shutdown(context.Context) error }, made bool, listeners ...net.Listener) {
		var err error
		if made {
			err = door.Shutdown(ctx)
		}
		for _, ln := range listeners {
			if ln != nil {
				_ = ln.Close() // closed already, unless nothing was served yet
			}
		}
		doors <- err
	}
	go shut(n.shoppers, n.shoppers != nil, n.shopperListener, n.displayListener)
	go shut(n.admin, n.admin != nil, n.adminListener)
	var errs []error
	for range cap(doors) {
		if err := <-doors; errors.Is(err, context.DeadlineExceeded) {
			n.logger.Warn("connections were cut off that did not end in time", "door", err)
		} else {
			errs = append(errs, err)
		}
	}
	if n.intake != nil {
		n.intake.Close()
	}
	if n.cluster != nil {
		// What waits for another zone may wait for ever.
		impatience := time.AfterFunc(reopenPatience, n.cluster.GiveUp)
		n.office.Close()
		impatience.Stop()
		errs = append(errs, n.cluster.Close())
	}
	return errors.Join(errs...)
}
