// Package sinktest has sinks that keep a position attacked: several nodes believe to lead,
// batches break off anywhere, and the other side comes and goes. Whatever happens, the other
// side ends up with every change once, in order.
package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
)

// Made makes a sink of a configuration, and closes it when the test ends.
func Made[C any, S sinks.Sink](t *testing.T, with func(C) (S, error), c C) S {
	t.Helper()
	s, err := with(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Opened opens a sink that knows where it goes on, and gives that.
func Opened(t *testing.T, s sinks.Sink) engine.TrailPosition {
	t.Helper()
	at, known, err := s.Open(t.Context())
	if err != nil || !known {
		t.Fatalf("Open: known %v, %v", known, err)
	}
	return at
}

// Write hands changes over, and wants them taken.
func Write(t *testing.T, s sinks.Sink, changes []sinks.Change) {
	t.Helper()
	if err := s.Write(t.Context(), changes, changes[len(changes)-1].TrailPosition.Next()); err != nil {
		t.Fatal(err)
	}
}

// Changes makes n changes of some orders, with what positions can look like: entries
// without events between them, and entries with several.
func Changes(n int, seed uint64) []sinks.Change {
	random := rand.New(rand.NewPCG(seed, 16))
	kinds := []engine.EventKind{engine.HoldPlaced, engine.OrderPaid, engine.HoldReleased, engine.RefundBecameDue}
	var changes []sinks.Change
	at := engine.TrailPosition{Index: 10}
	for len(changes) < n {
		if random.IntN(3) == 0 {
			at = engine.TrailPosition{Index: at.Index + 1 + engine.LogIndex(random.IntN(5))}
		} else {
			at.N++
		}
		c := sinks.Change{TrailEvent: engine.TrailEvent{TrailPosition: at, Time: engine.Time(1_800_000_000_000 + n),
			Kind: kinds[random.IntN(len(kinds))], Session: fmt.Sprintf("fans.day-%d", random.IntN(3)), SKU: "mask-50"}}
		switch random.IntN(20) {
		case 0:
			c.Session, c.SKU = "", ""
		case 1:
		default:
			c.OrderNo = fmt.Sprintf("o-%d", random.IntN(1+n/20))
			c.Order = &engine.OrderView{OrderNo: c.OrderNo, Shopper: "ann", Session: c.Session, SKU: c.SKU,
				Quantity: 1, Amount: 100, Currency: "CNY", State: engine.Paid}
		}
		changes = append(changes, c)
	}
	return changes
}

// Format is enough of one.
var Format = cloudevents.Format{Source: "/doorbuster/test", Data: func(c *sinks.Change) ([]byte, error) {
	return json.Marshal(map[string]any{"index": c.Index, "order_no": c.OrderNo})
}}

// Crowd has nodes lead, one after the other and some beside each other.
type Crowd struct {
	Changes []sinks.Change
	New     func() sinks.Sink
	Seed    uint64
	Reign   time.Duration // how long a node leads, about
	Batch   int           // changes, at most
	Pause   time.Duration // between batches
}

// Run has all changes written, or fails the test when ctx ends before. It gives how often a
// node began to lead, and how many times a batch failed.
func (c *Crowd) Run(ctx context.Context, t *testing.T) (reigns, failures int) {
	t.Helper()
	random := rand.New(rand.NewPCG(c.Seed, 17))
	all, finish := context.WithCancel(ctx)
	defer finish()
	var nodes sync.WaitGroup
	defer nodes.Wait()
	var failed sync.Map
	for all.Err() == nil {
		reigns++
		reign := c.Reign/2 + rand.N(c.Reign)
		// Some are told at once that they lead no longer, some write on beside their successor.
		beside := time.Duration(random.IntN(2)) * rand.N(c.Reign)
		node, depose := context.WithTimeout(all, reign+beside)
		seed := random.Uint64()
		nodes.Go(func() {
			defer depose()
			if c.lead(node, seed, &failed) {
				finish()
			}
		})
		select {
		case <-all.Done():
		case <-time.After(reign):
		}
	}
	nodes.Wait()
	if ctx.Err() != nil {
		failed.Range(func(what, _ any) bool { t.Log(what); return true })
		t.Fatal("not all changes were written in time")
	}
	failed.Range(func(what, _ any) bool { failures++; return true })
	return reigns, failures
}

// lead writes changes until all are there, as a feed would; false if ctx ended before.
func (c *Crowd) lead(ctx context.Context, seed uint64, failed *sync.Map) bool {
	random := rand.New(rand.NewPCG(seed, 18))
	for ctx.Err() == nil {
		sink := c.New()
		done, err := c.live(ctx, sink, random)
		_ = sink.Close()
		if err != nil && ctx.Err() == nil {
			failed.Store(err.Error(), true)
			select {
			case <-ctx.Done():
			case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
			}
		}
		if done {
			return true
		}
	}
	return false
}

// live is one life of a sink.
func (c *Crowd) live(ctx context.Context, sink sinks.Sink, random *rand.Rand) (done bool, err error) {
	at, known, err := sink.Open(ctx)
	if err != nil {
		return false, err
	}
	if !known {
		return false, fmt.Errorf("the position is not known")
	}
	i := 0
	for i < len(c.Changes) && c.Changes[i].TrailPosition.Before(at) {
		i++
	}
	for i < len(c.Changes) {
		n := min(1+random.IntN(c.Batch), len(c.Changes)-i)
		write, cancel := ctx, context.CancelFunc(func() {})
		if random.IntN(10) == 0 { // the node is killed in the middle
			write, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(5))*time.Millisecond)
		}
		err := sink.Write(write, c.Changes[i:i+n], c.Changes[i+n-1].TrailPosition.Next())
		cancel()
		if err != nil {
			return false, err
		}
		i += n
		if c.Pause > 0 {
			time.Sleep(c.Pause) // a rush is no single burst
		}
	}
	return true, nil
}

// Got is what the other side has.
type Got struct{ ID, Key string }

// Check holds what the other side has against the changes: each once. In order altogether,
// or, with byKey, of those with the same key.
func Check(t *testing.T, changes []sinks.Change, got []Got, byKey bool) {
	t.Helper()
	place := make(map[string]int)
	for i := range changes {
		place[changes[i].ID()] = i
	}
	seen := make(map[string]bool)
	last := make(map[string]int)
	wrong := 0
	say := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			t.Errorf(format, args...)
		}
	}
	for _, g := range got {
		i, known := place[g.ID]
		switch {
		case !known:
			say("%s is there, and never happened", g.ID)
			continue
		case seen[g.ID]:
			say("%s is there twice", g.ID)
			continue
		}
		seen[g.ID] = true
		key := ""
		if byKey {
			key = g.Key
		}
		if before, some := last[key]; some && before > i {
			say("%s comes after %s (key %q)", g.ID, changes[before].ID(), g.Key)
		}
		last[key] = i
	}
	for i := range changes {
		if !seen[changes[i].ID()] {
			say("%s is missing", changes[i].ID())
		}
	}
	if wrong > 10 {
		t.Errorf("and %d more", wrong-10)
	}
}
