package cashier

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/cespare/xxhash/v2"

	"doorbuster/httpapi/payment"
)

// Config of a Cashier.
type Config struct {
	// File has the books; required.
	File string
	// Shop has the URLs of the shoppers' doors of one shop, one at least. A callback
	// that one does not take goes to the next.
	Shop []string
	// Secrets sign callbacks, and check what the shop asks; nil for a shop in dev.
	Secrets *payment.Secrets
	// Keys check tokens; nil has the shop check them.
	Keys *payment.Keys
	// Workers deliver callbacks. Default 16, 1 to 1024.
	Workers int
	Faults  Faults
	// Logger hears of callbacks that the shop refused. Default: nowhere.
	Logger *slog.Logger
}

// Faults say how badly the cashier behaves. Shares are 0 to 1. What happens to an
// order depends on its number and the seed alone.
type Faults struct {
	Delay   time.Duration // of callbacks, up to so long, each another one; at most 1 h
	Repeat  float64       // share of callbacks that come again, up to three times
	Drop    float64       // share of callbacks that never come
	Reorder float64       // share of callbacks that later ones overtake
	Late    float64       // share of tokens that are taken though their time is over
	Fail    float64       // share of the shop's questions that get no answer, half of them after all was booked
	Seed    uint64
}

// Validate reports every setting that can't be.
func (c Config) Validate() error {
	var errs []error
	unless := func(holds bool, format string, args ...any) {
		if !holds {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	unless(c.File != "", "there is no file for the books")
	unless(len(c.Shop) > 0, "there is no shop to call back")
	for _, shop := range c.Shop {
		u, err := url.Parse(shop)
		unless(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "",
			"the shop %q is not like http://127.0.0.1:8080", shop)
	}
	unless(c.Workers >= 0 && c.Workers <= 1024, "%d workers are not between 1 and 1024", c.Workers)
	f := &c.Faults
	for i, share := range []float64{f.Repeat, f.Drop, f.Reorder, f.Late, f.Fail} {
		unless(share >= 0 && share <= 1, "the share to %s is %v; it must be 0 to 1",
			[]string{"repeat", "drop", "reorder", "late", "fail"}[i], share)
	}
	unless(f.Delay >= 0 && f.Delay <= time.Hour, "the delay is %s; it must be 0s to 1h", f.Delay)
	return errors.Join(errs...)
}

// dice are those of one matter: the same seed and name throw the same.
func (f *Faults) dice(name string) *rand.Rand {
	return rand.New(rand.NewPCG(f.Seed, xxhash.Sum64String(name)))
}

// callbacks tells when the callbacks of an order's payment are to come.
func (f *Faults) callbacks(orderNo string, now time.Time) (at []time.Time) {
	d := f.dice(orderNo)
	late, dropped, overtaken, repeated := d.Float64(), d.Float64() < f.Drop,
		d.Float64() < f.Reorder, d.Float64() < f.Repeat
	if dropped {
		return nil
	}
	first := now.Add(time.Duration(late * float64(f.Delay)))
	if overtaken {
		first = first.Add(f.Delay + 100*time.Millisecond)
	}
	at = append(at, first)
	if repeated {
		for range 1 + d.IntN(3) {
			at = append(at, now.Add(time.Duration(d.Float64()*float64(2*f.Delay+100*time.Millisecond))))
		}
	}
	return at
}
