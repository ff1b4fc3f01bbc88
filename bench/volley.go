package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// volley sends the same grab over and over as fast as the answers come, each
// for another shopper: the cheapest load there is, for comparing servers on
// the cores it shares with them. It looks at an answer's length and code only.
// What it sends it can't judge; that is what the rush is for.
type volley struct {
	addr        string
	connections int
	template    []byte // a whole request; the shopper's number is patched in
	numberAt    int    // where the number's digits begin
	want        []byte // how the body of an expected answer begins

	shopper atomic.Uint64 // the last number used; no two requests share one

	// Of shoppers with tokens; see equip.
	server HTTPServer
	prefix string
	pool   int // 0: each comes once
	served int // of the pool, who took what there was at first: they come no more
	papers papers
	slots  paperSlots // where they go in a request
}

// numberDigits is how many digits a shopper's number has, so that patching one
// in never moves what follows.
const numberDigits = 10

// volleyTimeout is how long a volley waits for any answer at all before it
// gives up on the server.
const volleyTimeout = 10 * time.Second

func newVolley(s HTTPServer, connections int, prefix, code string) *volley {
	head := string(appendHead(nil, "POST", s.Grab.path()+"/grab", s.Addr)) + "Content-Length: 0\r\nX-Shopper-Id: " +
		prefix
	return &volley{addr: s.Addr, connections: connections, server: s, prefix: prefix, pool: s.Pool,
		want: []byte(`{"code":"` + code + `"`),
		// Of shoppers with tokens equip makes another one, once their papers' lengths are known.
		template: append([]byte(head), "0000000000\r\n\r\n"...), numberAt: len(head)}
}

// primeTries bounds how many grabs it may take until the server answers as it
// is meant to: a listing with a few units has to be sold out first.
const primeTries = 2000

// prime grabs until the first wanted answer, so that a server that was set up
// otherwise is found out before anything is measured.
func (v *volley) prime(ctx context.Context) error {
	c := newConn([]string{v.addr}, 0, volleyTimeout)
	defer c.close()
	request := bytes.Clone(v.template)
	var last reply
	for range primeTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !v.patch(request) {
			break
		}
		a, err := c.roundTrip(request)
		if err != nil {
			return fmt.Errorf("volley: %w", err)
		}
		if last = a; a.status == 200 && bytes.HasPrefix(a.body, v.want) {
			v.served = int(v.shopper.Load() - v.papers.first)
			return nil
		}
	}
	return fmt.Errorf("volley: %d grabs and no answer beginning with %s; the last was %d %.200s",
		primeTries, v.want, last.status, last.body)
}

// patch writes the next shopper's number, or what they show instead, into a
// request; false if all have come.
func (v *volley) patch(request []byte) bool {
	n := v.shopper.Add(1)
	if v.server.TokenFor != nil {
		return v.patchPapers(request, n)
	}
	for i := numberDigits - 1; i >= 0; i-- {
		request[v.numberAt+i] = byte('0' + n%10)
		n /= 10
	}
	return true
}

// shot is what a volley measured.
type shot struct {
	requests   int64 // answered in the measured time
	unexpected int64 // of these, with another code than wanted
	took       time.Duration
	cpu        time.Duration // the generator's own; 0 where it can't be told
	latency    Percentiles
	overTime   OverTime
}

// gauge measures one sender's answers between two moments. Not for concurrent
// use.
type gauge struct {
	from, until time.Time
	shot
	slices []*hdrhistogram.Histogram // of latencies
	each   time.Duration             // how long a slice is
}

func newGauge(from, until time.Time) *gauge {
	n, each := slicesOf(until.Sub(from))
	g := &gauge{from: from, until: until, each: each}
	for range n {
		g.slices = append(g.slices, newHistogram())
	}
	return g
}

// answered notes an answer with this body.
func (g *gauge) answered(v *volley, status int, body []byte, sent, now time.Time) {
	if now.Before(g.from) || now.After(g.until) {
		return
	}
	g.requests++
	if status != 200 || !bytes.HasPrefix(body, v.want) {
		g.unexpected++
	}
	record(g.slices[min(int(now.Sub(g.from)/g.each), len(g.slices)-1)], now.Sub(sent))
}

// sumShots adds up what several senders measured over the same time.
func sumShots(gauges []*gauge) shot {
	sum := shot{took: gauges[0].until.Sub(gauges[0].from)}
	slices := gauges[0].slices
	for _, g := range gauges {
		sum.requests += g.requests
		sum.unexpected += g.unexpected
		sum.cpu += g.cpu
	}
	for _, g := range gauges[1:] {
		for i, h := range g.slices {
			slices[i].Merge(h)
		}
	}
	all := newHistogram()
	for _, h := range slices {
		all.Merge(h)
	}
	sum.latency = percentilesOf(all)
	sum.overTime = overTimeOf(slices, gauges[0].each, sum.took)
	return sum
}

// fireByConns is the volley with a goroutine a connection: for systems
// without a loop of their own.
func (v *volley) fireByConns(ctx context.Context, warmUp, measured time.Duration) (shot, error) {
	from := time.Now().Add(warmUp)
	until := from.Add(measured)
	gauges := make([]*gauge, latencyStripes)
	for i := range gauges {
		gauges[i] = newGauge(from, until)
	}
	var locks [latencyStripes]sync.Mutex
	errs := make([]error, v.connections)
	var all sync.WaitGroup
	for i := range v.connections {
		all.Go(func() {
			c := newConn([]string{v.addr}, 0, volleyTimeout)
			defer c.close()
			request := bytes.Clone(v.template)
			for now := time.Now(); now.Before(until) && ctx.Err() == nil; {
				if !v.patch(request) {
					errs[i] = errAllCame
					return
				}
				sent := now
				a, err := c.roundTrip(request)
				if err != nil {
					errs[i] = err
					return
				}
				now = time.Now()
				locks[i%latencyStripes].Lock()
				gauges[i%latencyStripes].answered(v, a.status, a.body, sent, now)
				locks[i%latencyStripes].Unlock()
			}
		})
	}
	all.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return shot{}, fmt.Errorf("volley: %w", err)
	}
	return sumShots(gauges), nil
}
