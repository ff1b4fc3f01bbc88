package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// shippingBench is a session whose paid orders go all the way to their shoppers. Of each
// hundred, one is of a shopper whom a list blocks by now, two go to one address, and one
// has none.
type shippingBench struct {
	orders  int
	numbers []string // by shopper, from 1
}

const (
	benchShopperBlocked = 1 // of a hundred, by the remainder of the shopper's number
	benchSharesPlace    = 2
	benchSharesToo      = 3
	benchHasNoPlace     = 4
)

// shippingFigures are what came of it. Times are of whole commands.
type shippingFigures struct {
	Orders          int           `json:"orders"`
	ReviewSeconds   float64       `json:"review_seconds"`
	ExportSeconds   float64       `json:"export_seconds"`
	ImportSeconds   float64       `json:"import_seconds"`
	ReceivedSeconds float64       `json:"received_seconds"`
	TotalSeconds    float64       `json:"total_seconds"`
	Found           wire.Shipping `json:"found"`         // in the end
	Wanted          wire.Shipping `json:"wanted"`        // in the end
	AgainChanged    int           `json:"again_changed"` // by everything done a second time
	ShippedTwice    int           `json:"shipped_twice"` // by the trail of events
	ShownWrongly    int           `json:"shown_wrongly"` // of the shoppers who looked
	Looked          int           `json:"looked"`
}

// maxShippingSeconds is how long a hundred thousand orders may take, on two cores.
const maxShippingSeconds = 60

func newShippingBenchCommand() *cobra.Command {
	b := shippingBench{orders: 100_000}
	c := workload(&cobra.Command{
		Use:   "shipping",
		Short: "Take 100,000 paid orders through second look, export, tracking and received",
		Long: `Run a node in this process, sell and pay as many orders as are asked for, and take them
all the way with the commands of 'doorbuster shipping', each of them twice. Exit status
1 if an order is not where it should be, one was shipped twice, a shopper is shown
anything else, or it took over a minute for each 100,000.`,
	}, nil, func(c *cobra.Command, tell teller) error {
		if b.orders < 100 || b.orders > shippingBenchMost || b.orders%100 != 0 {
			return cli.Usage(fmt.Errorf("--orders %d: want hundreds, up to %d", b.orders, shippingBenchMost))
		}
		return inScratch("", "shipping", func(dir string) error {
			figures, err := b.run(c, dir)
			if err != nil {
				return err
			}
			return tell(figures, "orders are not where they should be, or it took too long: see above")
		}, neverKept)
	})
	c.Flags().IntVar(&b.orders, "orders", b.orders, "paid orders, in hundreds")
	return c
}

// shippingBenchMost is as many rows as a file of parcels may have.
const shippingBenchMost = 500_000

func (b *shippingBench) run(c *cobra.Command, dir string) (figures *shippingFigures, err error) {
	ctx := c.Context()
	n, err := openTemporary(ctx, filepath.Join(dir, "node"), io.Discard, fmt.Appendf(nil,
		"products: [{id: unit, list_price: 100, currency: CNY}]\nsales: [{id: bench, timezone: UTC, sessions: [{id: "+
			"day, start: now, duration: 2h, pay_within: 2h, admission_multiple: 0, listings: [{sku: unit, price: 100, "+
			"stock: %d, delivery: ship}]}]}]\n", b.orders+1)) // a session ends by itself once all is sold
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close(context.Background())) }()
	said := c.ErrOrStderr()
	fmt.Fprintf(said, "selling %d units, taking the money, and hearing where they go\n", b.orders)
	if err := b.sell(ctx, n); err != nil {
		return nil, err
	}
	if _, err := n.office.Steer(ctx, engine.By{Operator: "bench"}, "day", engine.SessionEnd, ""); err != nil {
		return nil, err
	}
	figures = &shippingFigures{Orders: b.orders}
	r := &shippingRun{b, n, dir, said, figures}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	return figures, nil
}

// sell has every unit granted and paid, and told where it goes.
func (b *shippingBench) sell(ctx context.Context, n *node) error {
	b.numbers = make([]string, b.orders+1)
	at, shop := n.office.Now(), "http://"+n.shopperListener.Addr().String()
	const buyers = 256
	var next atomic.Int64
	crowd, ctx := errgroup.WithContext(ctx)
	door := &shippingDoor{shop, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: buyers}}}
	defer door.client.CloseIdleConnections()
	for range buyers {
		crowd.Go(func() error {
			for i := int(next.Add(1)); i <= b.orders; i = int(next.Add(1)) {
				shopper := strconv.Itoa(i)
				a := n.office.Grab(&engine.Grab{Listing: []byte("day/skus/unit"), Shopper: []byte(shopper),
					IdempotencyKey: []byte("k"), Quantity: 1})
				if a.Code != engine.CodeGranted {
					return fmt.Errorf("a grab was answered %s", a.Code)
				}
				b.numbers[i] = a.No.String()
				if _, err := n.office.Pay(ctx, engine.Payment{OrderNo: b.numbers[i], ID: "payment-" + shopper,
					Amount: 100, Currency: "CNY", PaidAt: at}); err != nil {
					return fmt.Errorf("pay: %w", err)
				}
				if i%100 == benchHasNoPlace {
					continue
				}
				if err := door.ask(ctx, shopper, b.numbers[i]+"/receiver", benchReceiver(i), nil); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return crowd.Wait()
}

// benchReceiver is where the order of shopper i goes.
func benchReceiver(i int) string {
	house := i
	if i%100 == benchSharesToo {
		house = i - benchSharesToo + benchSharesPlace
	}
	return fmt.Sprintf(`{"name":"Shopper %d","phone":"+8613%09d","street":"%d Long Lane, Shanghai"}`, i, i, house)
}

// shippingDoor is where shoppers ask of their orders.
type shippingDoor struct {
	url    string
	client *http.Client
}

// ask looks at what is of an order, or puts body there if it is not "", and reads the
// answer into to, unless that is nil.
func (d *shippingDoor) ask(ctx context.Context, shopper, what, body string, to any) error {
	method, url := http.MethodGet, d.url+"/v1/orders/"+what
	if body != "" {
		method = http.MethodPut
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Shopper-Id", shopper)
	answer, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s (%w)", method, url, answer.StatusCode, text, cmp.Or(err, errors.New("refused")))
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(text, to)
}

// shippingRun is the way of the orders of a bench.
type shippingRun struct {
	*shippingBench
	node *node
	dir  string
	said io.Writer
	told *shippingFigures
}

// command runs one of the commands of shipping, and gives how long it took.
func (r *shippingRun) command(ctx context.Context, to any, args ...string) (seconds float64, err error) {
	var out bytes.Buffer
	began := time.Now()
	status := run(ctx, append([]string{"shipping"}, append(args, "--json", "--admin",
		r.node.adminListener.Addr().String())...), nil, &out, r.said)
	seconds = time.Since(began).Seconds()
	if err := json.Unmarshal(out.Bytes(), to); err != nil {
		return seconds, fmt.Errorf("shipping %s ended with status %d: %w", args[0], status, err)
	}
	return seconds, nil
}

func (r *shippingRun) all(ctx context.Context) (err error) {
	if err := r.block(ctx); err != nil {
		return err
	}
	var looked, lookedAgain wire.Review
	var export, nothing wire.Export
	var shipped, shippedAgain, received, receivedAgain wire.ParcelsTaken
	orders, parcels := filepath.Join(r.dir, "orders.csv"), filepath.Join(r.dir, "parcels.csv")
	t := r.told
	steps := []struct {
		took *float64
		do   func() (float64, error)
	}{
		{&t.ReviewSeconds, func() (float64, error) { return r.command(ctx, &looked, "review", "day") }},
		{nil, func() (float64, error) { return r.command(ctx, &lookedAgain, "review", "day") }},
		{&t.ExportSeconds, func() (float64, error) {
			return r.command(ctx, &export, "export", "day", "--out", orders)
		}},
		{nil, func() (float64, error) { return r.command(ctx, &nothing, "export", "day", "--out", orders+"2") }},
		{nil, func() (float64, error) { return 0, pack(orders, parcels) }},
		{&t.ImportSeconds, func() (float64, error) { return r.command(ctx, &shipped, "import", "day", parcels) }},
		{nil, func() (float64, error) { return r.command(ctx, &shippedAgain, "import", "day", parcels) }},
		{&t.ReceivedSeconds, func() (float64, error) { return r.command(ctx, &received, "received", "day", parcels) }},
		{nil, func() (float64, error) { return r.command(ctx, &receivedAgain, "received", "day", parcels) }},
	}
	for _, step := range steps {
		seconds, err := step.do()
		if err != nil {
			return err
		}
		if step.took != nil {
			*step.took = seconds
			t.TotalSeconds += seconds
		}
	}
	t.AgainChanged = lookedAgain.Looked + nothing.Orders + shippedAgain.Changed + receivedAgain.Changed
	one := r.orders / 100
	t.Wanted = wire.Shipping{Session: "day", State: "ended", Held: 2 * one, NoReceiver: one, Received: r.orders - 4*one,
		Rejected: one, RefundDue: one, Exports: []wire.ExportCounts{{Export: 1, Orders: r.orders - 4*one}}}
	if _, err := r.command(ctx, &t.Found, "status", "day"); err != nil {
		return err
	}
	return errors.Join(r.trail(ctx), r.pages(ctx))
}

// block puts those on a risk list whom nobody knew during the sale.
func (r *shippingRun) block(ctx context.Context) error {
	file := filepath.Join(r.dir, "bots.txt")
	var b strings.Builder
	for i := benchShopperBlocked; i <= r.orders; i += 100 {
		fmt.Fprintf(&b, "%d,block\n", i)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	if status := run(ctx, []string{"lists", "import", "risk/shoppers", file, "--yes", "--admin",
		r.node.adminListener.Addr().String()}, nil, &out, r.said); status != 0 {
		return fmt.Errorf("lists import ended with status %d", status)
	}
	return nil
}

// pack is what a warehouse does: it fills in the last two columns of an export.
func pack(orders, parcels string) (err error) {
	in, err := os.Open(orders)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(parcels)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(out)
	to := csv.NewWriter(buffer)
	defer func() {
		to.Flush()
		err = errors.Join(err, to.Error(), buffer.Flush(), out.Close())
	}()
	rows := csv.NewReader(in)
	for i := 0; ; i++ {
		row, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case i > 0:
			row[len(row)-2], row[len(row)-1] = "Carrier", "T"+row[0]
		}
		if err := to.Write(row); err != nil {
			return err
		}
	}
}

// trail looks in the events for orders that were shipped twice.
func (r *shippingRun) trail(ctx context.Context) error {
	var sold engine.LogIndex
	r.node.cluster.View(func(s *engine.State) { sold = s.LogIndex() })
	if err := r.node.cluster.Ledger().Await(ctx, sold); err != nil {
		return err
	}
	shipped := map[string]bool{}
	for from := (engine.TrailPosition{Index: 1}); from.Index <= sold; {
		events, next, err := r.node.cluster.Ledger().Events(from, 1000)
		if err != nil {
			return err
		}
		for i := range events {
			if e := &events[i]; e.Kind == engine.OrderShipped {
				if shipped[e.OrderNo] {
					r.told.ShippedTwice++
				}
				shipped[e.OrderNo] = true
			}
		}
		if next == from {
			break
		}
		from = next
	}
	if want := r.orders - r.orders/100*4; len(shipped) != want {
		return fmt.Errorf("the trail tells of %d orders that were shipped, not of %d", len(shipped), want)
	}
	return nil
}

// pages has shoppers of each kind look at their orders.
func (r *shippingRun) pages(ctx context.Context) error {
	door := &shippingDoor{url: "http://" + r.node.shopperListener.Addr().String(), client: http.DefaultClient}
	defer door.client.CloseIdleConnections()
	for i := 1; i <= r.orders; i++ {
		if i > 100 && i%97 != 0 {
			continue
		}
		var o wire.Order
		if err := door.ask(ctx, strconv.Itoa(i), r.numbers[i], "", &o); err != nil {
			return err
		}
		state, tracking := "received", "T"+r.numbers[i]
		switch i % 100 {
		case benchShopperBlocked:
			state, tracking = "refund_due", ""
		case benchSharesPlace, benchSharesToo, benchHasNoPlace:
			state, tracking = "paid", ""
		}
		r.told.Looked++
		if o.State != state || o.Tracking != tracking || (o.ReceivedAt != "") != (state == "received") {
			r.told.ShownWrongly++
		}
	}
	return nil
}

func (f *shippingFigures) String() string {
	s := &f.Found
	return fmt.Sprintf(`second look    %.1f s
export         %.1f s
tracking       %.1f s
received       %.1f s
together       %.1f s for %d paid orders
in the end     %d received, %d held, %d without receiver, %d rejected, %d to be paid back
a second time  %d changed; %d shipped twice
shoppers       %d looked, %d were shown anything else
`, f.ReviewSeconds, f.ExportSeconds, f.ImportSeconds, f.ReceivedSeconds, f.TotalSeconds, f.Orders, s.Received, s.Held,
		s.NoReceiver, s.Rejected, s.RefundDue, f.AgainChanged, f.ShippedTwice, f.Looked, f.ShownWrongly)
}

func (f *shippingFigures) OK() bool {
	bound := max(float64(maxShippingSeconds), maxShippingSeconds*float64(f.Orders)/100_000)
	return fmt.Sprint(f.Found) == fmt.Sprint(f.Wanted) && f.AgainChanged+f.ShippedTwice+f.ShownWrongly == 0 &&
		f.TotalSeconds <= bound
}
