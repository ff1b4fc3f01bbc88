package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// What a catalogue of a million products may take.
const (
	maxImportSeconds    = 20
	maxFoundMillis      = 5
	maxGrabsBeside      = 2 // times as long as alone, at the 99th percentile
	catalogueBenchMost  = engine.MaxProducts
	grabsASecond        = 400
	grabsAlone          = 4000 // to be held against
	productsLookedUp    = 2000
	catalogueBenchStock = 1_000_000
)

// catalogueBench is a supplier's catalogue that comes while a listing sells.
type catalogueBench struct{ products int }

// catalogueFigures are what came of it.
type catalogueFigures struct {
	Products      int     `json:"products"`
	Bytes         int64   `json:"bytes"` // of the file
	ImportSeconds float64 `json:"import_seconds"`
	Counted       int64   `json:"counted"` // products that the supplier has in the end
	FoundMillis   float64 `json:"found_p99_ms"`
	NotFound      int     `json:"not_found"`
	GrabsAlone    int     `json:"grabs_alone"`
	GrabsBeside   int     `json:"grabs_beside"`
	AloneMillis   float64 `json:"grab_p99_alone_ms"`
	BesideMillis  float64 `json:"grab_p99_beside_ms"`
	NotGranted    int     `json:"not_granted"`
}

func newCatalogueBenchCommand() *cobra.Command {
	b := catalogueBench{products: 1_000_000}
	c := workload(&cobra.Command{
		Use:   "catalogue",
		Short: "Import a million products while a listing sells, and find them",
		Long: `Run a node in this process, sell at an even rate, and import a supplier's catalogue
meanwhile, with 'doorbuster products import'. Exit status 1 if it took over 20 s for each
million, a product is not found within 5 ms (99th percentile), or a grab took over twice
as long beside the import as alone (99th percentile).`,
	}, nil, func(c *cobra.Command, tell teller) error {
		if b.products < 1 || b.products > catalogueBenchMost {
			return cli.Usage(fmt.Errorf("--products %d: want 1 to %d", b.products, catalogueBenchMost))
		}
		return inScratch("", "catalogue", func(dir string) error {
			figures, err := b.run(c, dir)
			if err != nil {
				return err
			}
			return tell(figures, "products are missing, or it took too long: see above")
		}, neverKept)
	})
	c.Flags().IntVar(&b.products, "products", b.products, "products of the catalogue")
	return c
}

func (b *catalogueBench) run(c *cobra.Command, dir string) (f *catalogueFigures, err error) {
	ctx := c.Context()
	n, err := openTemporary(ctx, filepath.Join(dir, "node"), io.Discard, fmt.Appendf(nil,
		"products: [{id: unit, list_price: 100, currency: CNY}]\nsales: [{id: bench, timezone: UTC, sessions: [{id: "+
			"day, start: now, duration: 2h, admission_multiple: 0, listings: [{sku: unit, price: 100, stock: "+
			"%d}]}]}]\n",
		catalogueBenchStock))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close(context.Background())) }()
	file := filepath.Join(dir, "catalogue.ndjson")
	f = &catalogueFigures{Products: b.products}
	if f.Bytes, err = b.write(file); err != nil {
		return nil, err
	}
	said := c.ErrOrStderr()
	fmt.Fprintf(said, "%d grabs, %d a second, alone\n", grabsAlone, grabsASecond)
	alone := newGrabbing(n, "alone")
	alone.until(func() bool { return len(alone.took) >= grabsAlone })
	fmt.Fprintf(said, "as many a second, and %d products come in\n", b.products)
	beside, done := newGrabbing(n, "beside"), make(chan struct{})
	var grabs sync.WaitGroup
	grabs.Go(func() {
		beside.until(func() bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
	})
	admin := n.adminListener.Addr().String()
	began := time.Now()
	out, err := b.importAs(ctx, "acme", file, admin, said)
	f.ImportSeconds = time.Since(began).Seconds()
	close(done)
	grabs.Wait()
	if err != nil {
		return nil, err
	}
	var imported wire.ProductsImport
	if err := json.Unmarshal(out, &imported); err != nil {
		return nil, err
	}
	f.Counted = imported.Count
	f.GrabsAlone, f.GrabsBeside = len(alone.took), len(beside.took)
	f.NotGranted = alone.refused + beside.refused
	f.AloneMillis, f.BesideMillis = millisAt99(alone.took), millisAt99(beside.took)
	return f, b.find(ctx, "http://"+admin, f)
}

// importAs has a process of its own import, as whoever brings a catalogue would.
func (b *catalogueBench) importAs(ctx context.Context, supplier, file, admin string, said io.Writer) ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, self, "products", "import", supplier, file, "--admin", admin, "--json")
	command.Stderr = said
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("products import: %w", err)
	}
	return out, nil
}

// write makes the supplier's file.
func (b *catalogueBench) write(path string) (size int64, err error) {
	to, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(to, 1<<20)
	for i := range b.products {
		n, _ := fmt.Fprintf(w, `{"id":"%s","name":{"en":"Product %d","zh":"商品 %d"},"list_price":%d,"currency":"CNY",`+
			`"image":"https://img.example.com/%d.jpg","stock":{"total":%d}}`+"\n", benchProduct(i), i, i, 100+i, i,
			i%1000)
		size += int64(n)
	}
	return size, errors.Join(w.Flush(), to.Close())
}

func benchProduct(i int) string { return "product-" + strconv.Itoa(i) }

// find looks products up, one after the other.
func (b *catalogueBench) find(ctx context.Context, admin string, f *catalogueFigures) error {
	door := &http.Client{}
	defer door.CloseIdleConnections()
	source := rand.New(rand.NewPCG(1, 2))
	took := make([]time.Duration, 0, productsLookedUp)
	for range productsLookedUp {
		id := benchProduct(source.IntN(b.products))
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/admin/v1/products/"+id, nil)
		if err != nil {
			return err
		}
		began := time.Now()
		answer, err := door.Do(r)
		if err != nil {
			return err
		}
		var p wire.Product
		err = json.NewDecoder(answer.Body).Decode(&p)
		answer.Body.Close()
		took = append(took, time.Since(began))
		if err != nil || p.ID != id || p.Supplier != "acme" {
			f.NotFound++
		}
	}
	f.FoundMillis = millisAt99(took)
	return nil
}

// grabbing has shoppers grab at an even rate, each once.
type grabbing struct {
	node    *node
	name    string
	took    []time.Duration // from when each was due, so that who waits for others counts, too
	refused int
}

func newGrabbing(n *node, name string) *grabbing { return &grabbing{node: n, name: name} }

// until grabs until done says so; it is asked by one goroutine.
func (g *grabbing) until(done func() bool) {
	const grabbers = 64 // so that a slow one keeps none of the next waiting
	var mu sync.Mutex
	free := make(chan struct{}, grabbers)
	var all sync.WaitGroup
	began := time.Now()
	for i := 0; ; i++ {
		mu.Lock()
		over := done()
		mu.Unlock()
		if over {
			break
		}
		due := began.Add(time.Duration(i) * time.Second / grabsASecond)
		time.Sleep(time.Until(due))
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			a := g.node.office.Grab(&engine.Grab{Listing: []byte("day/skus/unit"),
				Shopper: fmt.Appendf(nil, "%s-%d", g.name, i), IdempotencyKey: []byte("k"), Quantity: 1})
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if g.took = append(g.took, took); a.Code != engine.CodeGranted {
				g.refused++
			}
		})
	}
	all.Wait()
}

// millisAt99 is the 99th percentile, in milliseconds.
func millisAt99(took []time.Duration) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return float64(took[min(len(took)-1, len(took)*99/100)].Microseconds()) / 1000
}

func (f *catalogueFigures) String() string {
	return fmt.Sprintf(`import         %.1f s for %d products, %s
found          in %.2f ms (99th percentile), %d not
grabs alone    %.2f ms (99th percentile of %d)
grabs beside   %.2f ms (99th percentile of %d), %.2f times as long
not granted    %d
`, f.ImportSeconds, f.Counted, cli.BinaryBytes(f.Bytes), f.FoundMillis, f.NotFound, f.AloneMillis, f.GrabsAlone,
		f.BesideMillis, f.GrabsBeside, f.BesideMillis/max(f.AloneMillis, 0.001), f.NotGranted)
}

func (f *catalogueFigures) OK() bool {
	bound := max(1, float64(f.Products)/1_000_000) * maxImportSeconds
	return f.Counted == int64(f.Products) && f.NotFound+f.NotGranted == 0 && f.ImportSeconds <= bound &&
		f.FoundMillis <= maxFoundMillis && f.BesideMillis <= maxGrabsBeside*f.AloneMillis
}
