package ratelimit

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// group is nodes whose pulses take a while.
type group struct {
	nodes []*Limiter
	now   time.Time
	last  [][]byte // that each told
	told  []pulse
}

type pulse struct {
	from int
	text []byte
	due  time.Time
}

const (
	tick  = 5 * time.Millisecond
	delay = 150 * time.Millisecond
)

func newGroup(t *testing.T, nodes int, perSecond float64, burst int) *group {
	g := &group{now: noon, last: make([][]byte, nodes)}
	for range nodes {
		g.nodes = append(g.nodes, newLimiter(t, Config{PerSecond: perSecond, Burst: burst}))
	}
	for range 2 * time.Second / tick { // they hear of each other
		g.pass(t)
	}
	return g
}

// pass lets a tick pass, in which nodes tell and hear.
func (g *group) pass(t *testing.T) {
	t.Helper()
	g.now = g.now.Add(tick)
	for i, l := range g.nodes {
		text := l.Tell(g.now)
		p := pulse{i, text, g.now.Add(delay)}
		if bytes.Equal(text, g.last[i]) {
			p.text = nil // as it was told before
		}
		g.last[i] = text
		g.told = append(g.told, p)
	}
	for len(g.told) > 0 && !g.told[0].due.After(g.now) {
		p := g.told[0]
		g.told = g.told[1:]
		for i, l := range g.nodes {
			if i == p.from {
				continue
			}
			if err := l.Hear(g.name(p.from), p.text, g.now); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (g *group) name(i int) string { return string(rune('a' + i)) }

// Three nodes give an address one burst and the rate, wherever it asks; who asks one
// of them only gets nearly all of the rate there.
func TestSharesFollowDemand(t *testing.T) {
	const perSecond, burst, seconds = 20, 100, 30
	addr := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name  string
		asks  func(second int) []int // the nodes asked, 200 times a second each
		least int
	}{
		{"all nodes at once", func(int) []int { return []int{0, 1, 2} }, burst + 9*perSecond*seconds/10 - burst/2},
		{"one node", func(int) []int { return []int{0} }, 9 * perSecond * seconds / 10},
		{"one after the other", func(second int) []int { return []int{second % 3} }, perSecond * seconds / 4},
		{"another one each five seconds", func(second int) []int { return []int{second / 5 % 3} },
			perSecond * seconds / 2},
		{"two, then the third", func(second int) []int { return [][]int{{0, 1}, {2}}[min(second/10, 1)] },
			perSecond * seconds / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, passed := newGroup(t, 3, perSecond, burst), 0
			for i := range int(seconds * time.Second / tick) {
				for _, node := range c.asks(i * int(tick) / int(time.Second)) {
					if g.nodes[node].AllowAddress(addr, g.now) {
						passed++
					}
				}
				g.pass(t)
				sum := 0.0
				for _, l := range g.nodes {
					sum += l.shares.Load().share(networkOf(addr))
				}
				if sum > 1+rounding {
					t.Fatalf("after %s the shares come to %v", time.Duration(i)*tick, sum)
				}
			}
			if most := burst + 2 + perSecond*seconds; passed > most || passed < c.least {
				t.Errorf("%d pass in %d s; want %d to %d", passed, seconds, c.least, most)
			}
		})
	}
}

// A node that is silent has no share any more, and what makes no sense is refused.
func TestSharesOfTheSilent(t *testing.T) {
	g := newGroup(t, 3, 1, 1)
	if s := g.nodes[0].shares.Load(); s == nil || s.nodes != 3 {
		t.Fatalf("%+v", s)
	}
	for _, told := range []string{"\x02", "\x01short", string(make([]byte, 1+bytesTold*(maxTold+1)))} {
		if err := g.nodes[0].Hear("b", []byte(told), g.now); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", told, err)
		}
	}
	g.nodes[0].Tell(g.now.Add(silentFor + time.Second))
	if s := g.nodes[0].shares.Load(); s != nil && s.nodes != 1 {
		t.Errorf("%d nodes, with nobody heard", s.nodes)
	}
}

// What is told is bounded, however many addresses come near their rate.
func TestTellIsBounded(t *testing.T) {
	g := newGroup(t, 2, 1, 1)
	for i := range 50_000 {
		g.nodes[0].AllowAddress(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), g.now)
	}
	told := g.nodes[0].Tell(g.now.Add(time.Second))
	if len(told) != 1+bytesTold*maxTold {
		t.Errorf("%d bytes", len(told))
	}
	if n := testing.AllocsPerRun(1000, func() {
		g.nodes[0].AllowAddress(netip.MustParseAddr("10.0.0.1"),
			g.now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
