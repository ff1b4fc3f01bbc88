package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/reconcile"
)

// reconcileBench is a statement of many lines, some of which nobody has told of.
type reconcileBench struct {
	orders, lost int
}

// reconcileFigures are what came of it. Times are of the whole command, with its
// upload.
type reconcileFigures struct {
	Lines          int     `json:"lines"`
	Lost           int     `json:"lost"`
	StatementBytes int64   `json:"statement_bytes"`
	FirstSeconds   float64 `json:"first_seconds"`
	AgainSeconds   float64 `json:"again_seconds"`
	Settled        int64   `json:"settled"`
	SettledAgain   int64   `json:"settled_again"`
	OpenFirst      int64   `json:"open"`
	OpenAgain      int64   `json:"open_again"`
	// PeakBytes is the memory of the whole process while statements are run: the
	// node with all orders and the command. MappedBytes is what of the ledger's files
	// is in the system's cache besides, which gives it back when somebody needs it.
	// Both are 0 where they can't be measured.
	PeakBytes   int64 `json:"peak_bytes"`
	MappedBytes int64 `json:"mapped_bytes"`
}

func newReconcileBenchCommand() *cobra.Command {
	b := reconcileBench{orders: 1_000_000, lost: 10_000}
	c := workload(&cobra.Command{
		Use:   "reconcile",
		Short: "Reconcile a statement of a million lines, twice",
		Long: `Run a node in this process, sell and pay as many orders as are asked for, and
reconcile a statement of them twice with 'doorbuster reconcile': some of the lines
are payments that nobody has told of. Exit status 1 if not each of those is booked
once, or anything is left open.`,
	}, nil, func(c *cobra.Command, tell teller) error {
		if b.orders < 1 || b.orders > 10_000_000 || b.lost < 0 || b.lost > b.orders {
			return cli.Usage(fmt.Errorf("--orders %d, --lost %d: want 1 to 10000000 orders, and at most as many lost",
				b.orders, b.lost))
		}
		return inScratch("", "reconcile", func(dir string) error {
			figures, err := b.run(c, dir)
			if err != nil {
				return err
			}
			return tell(figures, "the books don't agree: see above")
		}, neverKept)
	})
	f := c.Flags()
	f.IntVar(&b.orders, "orders", b.orders, "orders, each a line of the statement")
	f.IntVar(&b.lost, "lost", b.lost, "of them, orders whose callback never came")
	return c
}

func (b *reconcileBench) run(c *cobra.Command, dir string) (figures *reconcileFigures, err error) {
	n, err := openTemporary(c.Context(), filepath.Join(dir, "node"), io.Discard, fmt.Appendf(nil,
		"products: [{id: unit, list_price: 100, currency: CNY}]\nsales: [{id: bench, timezone: UTC, sessions: [{id: "+
			"day, "+
			"start: now, duration: 2h, pay_within: 2h, admission_multiple: 0, listings: [{sku: unit, price: 100, "+
			"stock: %d}]}]}]\n", b.orders))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close(context.Background())) }()
	file, said := filepath.Join(dir, "statement.csv"), c.ErrOrStderr()
	fmt.Fprintf(said, "selling %d units and paying for %d of them\n", b.orders, b.orders-b.lost)
	if err := b.sell(c.Context(), n, file); err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	figures = &reconcileFigures{Lines: b.orders, Lost: b.lost, StatementBytes: info.Size()}
	var sold engine.LogIndex
	n.cluster.View(func(s *engine.State) { sold = s.LogIndex() })
	if err := n.cluster.Ledger().Await(c.Context(), sold); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // what selling took is not of interest
	peak := watchMemory()
	admin := n.adminListener.Addr().String()
	first, took, err := reconcileOnce(c.Context(), file, admin, said)
	if err != nil {
		return nil, err
	}
	figures.FirstSeconds, figures.Settled, figures.OpenFirst = took.Seconds(), first.Booked, first.Open
	again, took, err := reconcileOnce(c.Context(), file, admin, said)
	if err != nil {
		return nil, err
	}
	figures.AgainSeconds, figures.SettledAgain, figures.OpenAgain = took.Seconds(), again.Booked, again.Open
	figures.PeakBytes, figures.MappedBytes = peak()
	return figures, nil
}

func (f *reconcileFigures) String() string {
	return fmt.Sprintf(`statement      %d lines, %s
first          %.1f s, %d lost payments booked, %d open
a second time  %.1f s, %d booked, %d open
memory         %s at most, node and command together; %s of the ledger's files mapped
`, f.Lines, cli.BinaryBytes(f.StatementBytes), f.FirstSeconds, f.Settled, f.OpenFirst,
		f.AgainSeconds, f.SettledAgain, f.OpenAgain, cli.BinaryBytes(f.PeakBytes), cli.BinaryBytes(f.MappedBytes))
}

func (f *reconcileFigures) OK() bool {
	return f.Settled == int64(f.Lost) && f.SettledAgain == 0 && f.OpenFirst+f.OpenAgain == 0
}

// sell has every unit granted, all but the lost ones paid, and writes the cashier's
// statement of them.
func (b *reconcileBench) sell(ctx context.Context, n *node, file string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	to := bufio.NewWriterSize(f, 1<<20)
	defer func() { err = errors.Join(err, to.Flush(), f.Close()) }()
	if _, err := to.WriteString("payment_id,order_no,amount,currency,kind,at\n"); err != nil {
		return err
	}
	at := n.office.Now()
	text := at.Wall().Format("2006-01-02T15:04:05.000Z07:00")
	const buyers = 1024
	var mu sync.Mutex
	var next atomic.Int64
	crowd, ctx := errgroup.WithContext(ctx)
	for range buyers {
		crowd.Go(func() error {
			for i := int(next.Add(1)); i <= b.orders; i = int(next.Add(1)) {
				a := n.office.Grab(&engine.Grab{Listing: []byte("day/skus/unit"),
					Shopper: strconv.AppendInt(nil, int64(i), 10), IdempotencyKey: []byte("k"), Quantity: 1})
				if a.Code != engine.CodeGranted {
					return fmt.Errorf("a grab was answered %s", a.Code)
				}
				no, id := a.No.String(), "payment-"+strconv.Itoa(i)
				if i > b.lost {
					if _, err := n.office.Pay(ctx, engine.Payment{OrderNo: no, ID: id, Amount: 100, Currency: "CNY",
						PaidAt: at}); err != nil {
						return fmt.Errorf("pay: %w", err)
					}
				}
				mu.Lock()
				_, err := fmt.Fprintf(to, "%s,%s,100,CNY,payment,%s\n", id, no, text)
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return crowd.Wait()
}

// reconcileOnce runs the command, its progress to where people look.
func reconcileOnce(ctx context.Context, file, admin string, said io.Writer) (*reconcile.Report, time.Duration, error) {
	var out bytes.Buffer
	began := time.Now()
	status := run(ctx, []string{"reconcile", file, "--json", "--admin", admin}, nil, &out, said)
	took := time.Since(began)
	r := new(reconcile.Report)
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, took, fmt.Errorf("reconcile ended with status %d: %w", status, err)
	}
	return r, took, nil
}

// watchMemory follows the memory of this process, its own and that of files it has
// mapped, until the most of either is asked for. It is measured on Linux alone.
func watchMemory() (most func() (own, mapped int64)) {
	const every = 20 * time.Millisecond
	stop, peak := make(chan struct{}), make(chan [2]int64)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var pages [2]int64
		for {
			var size, resident, files int64
			if text, err := os.ReadFile("/proc/self/statm"); err == nil {
				if n, _ := fmt.Sscan(string(text), &size, &resident, &files); n == 3 {
					pages[0], pages[1] = max(pages[0], resident-files), max(pages[1], files)
				}
			}
			select {
			case <-stop:
				peak <- pages
				return
			case <-tick.C:
			}
		}
	}()
	return func() (own, mapped int64) {
		close(stop)
		pages, size := <-peak, int64(os.Getpagesize())
		return pages[0] * size, pages[1] * size
	}
}
