package ratelimit

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds of what nodes tell each other. A demand loses an eighth of itself each
// tellEvery: what was asked more than two seconds ago hardly counts.
const (
	tellEvery  = 250 * time.Millisecond // more than a pulse takes to the others
	fades      = 7. / 8
	leastTold  = 0.25 // a demand below this is forgotten
	silentFor  = 2 * time.Second
	maxTold    = 256               // addresses, those that ask most
	maxBusy    = 4096 / shardCount // addresses near their rate, in a shard
	bytesTold  = 12                // network, and demand in sixteenths
	tellFormat = 1                 // the first byte
	demandUnit = 16                // of one request
	floorPart  = 16                // nodes without demand have this part of an even share
)

// table is the demand of addresses, in requests.
type table map[network]float64

// exchange is what this node and the others have told each other.
type exchange struct {
	mu     sync.Mutex
	at     time.Time // of the last telling
	text   []byte
	latest table // of this node, as told last
	before table // and the time before
	others map[string]*other
}

// other is what another node told: now, and before that.
type other struct {
	heard          time.Time
	latest, before table
}

// shares are the parts of the rate that are this node's. They are never changed.
type shares struct {
	nodes int
	of    map[network]float64 // of addresses that anybody has told of
}

func (s *shares) share(n network) float64 {
	if s == nil {
		return 1
	}
	if share, known := s.of[n]; known {
		return share
	}
	return 1 / float64(s.nodes)
}

// Tell gives what the other nodes shall Hear, at most 3 KiB, and reckons the shares
// anew. It must be called several times a second; it does something every 250 ms.
// nil while there is no limit.
func (l *Limiter) Tell(now time.Time) []byte {
	if l.limit.Load().perSecond == 0 {
		return nil
	}
	x := &l.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if now.Sub(x.at) < tellEvery {
		return x.text
	}
	x.at = now
	x.before, x.latest = x.latest, l.demand()
	x.text = append(make([]byte, 0, 1+bytesTold*len(x.latest)), tellFormat)
	for n, demand := range x.latest {
		units := uint32(min(demand*demandUnit, 1<<31))
		x.latest[n] = float64(units) / demandUnit // as the others have it
		x.text = binary.BigEndian.AppendUint64(x.text, uint64(n))
		x.text = binary.BigEndian.AppendUint32(x.text, units)
	}
	l.reckon(now)
	return x.text
}

// demand gathers what busy addresses asked since it was called last.
func (l *Limiter) demand() table {
	all := table{}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		stay := s.busy[:0]
		for at, b := range s.busy {
			b.demand = b.demand*fades + float64(b.asked)
			b.asked = 0
			place := uint8(0)
			if b.demand >= leastTold {
				all[b.from] += b.demand
				stay = append(stay, b)
				place = uint8(len(stay))
			}
			if *b.place == uint8(at+1) { // else another key has its place in the set
				*b.place = place
			}
		}
		s.busy = stay
		s.mu.Unlock()
	}
	if len(all) <= maxTold {
		return all
	}
	demands := make([]float64, 0, len(all))
	for _, demand := range all {
		demands = append(demands, demand)
	}
	slices.Sort(demands)
	least, told := demands[len(demands)-maxTold], table{}
	for n, demand := range all {
		if demand >= least && len(told) < maxTold {
			told[n] = demand
		}
	}
	return told
}

// ErrMalformed is what no node tells.
var ErrMalformed = errors.New("rate limit: another node told what makes no sense")

// Hear takes in what Tell gave on another node; nil if that is what it gave before.
// It must be called several times a second while the node is there: one that is
// silent for two seconds has no share. After ErrMalformed nothing has changed.
func (l *Limiter) Hear(node string, told []byte, now time.Time) error {
	if len(told) > 0 && (told[0] != tellFormat || len(told) > 1+bytesTold*maxTold || len(told)%bytesTold != 1) {
		return ErrMalformed
	}
	x := &l.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.others[node]
	if len(told) == 0 {
		if o != nil {
			o.heard = now
		}
		return nil
	}
	if o == nil {
		o = &other{}
		if x.others == nil {
			x.others = map[string]*other{}
		}
		x.others[node] = o
	}
	o.heard = now
	o.before, o.latest = o.latest, table{}
	for told = told[1:]; len(told) > 0; told = told[bytesTold:] {
		o.latest[network(binary.BigEndian.Uint64(told))] = float64(binary.BigEndian.Uint32(told[8:])) / demandUnit
	}
	l.reckon(now)
	return nil
}

// reckon finds this node's shares. Of the last two demands that were told it takes
// the lower of its own and the higher of the others': of one and the same demand, the
// node itself never takes more than another does, although it reaches the others
// later. So the shares of all nodes come to at most 1. The exchange is locked.
func (l *Limiter) reckon(now time.Time) {
	x := &l.exchange
	nodes, sum := 1, table{}
	for _, o := range x.others {
		if now.Sub(o.heard) > silentFor {
			continue
		}
		nodes++
		for n, demand := range o.latest {
			sum[n] += max(demand, o.before[n])
		}
		for n, demand := range o.before {
			if _, told := o.latest[n]; !told {
				sum[n] += demand
			}
		}
	}
	if nodes == 1 {
		l.shares.Store(nil)
		return
	}
	to := &shares{nodes: nodes, of: make(map[network]float64, len(sum)+len(x.latest))}
	floor := 1 / float64(floorPart*nodes)
	for n, demand := range x.latest {
		if own := min(demand, x.before[n]); own > 0 {
			to.of[n] = floor + (1-floor*float64(nodes))*own/(own+sum[n])
		}
	}
	for n, demand := range sum {
		if _, known := to.of[n]; !known && demand > 0 {
			to.of[n] = floor
		}
	}
	l.shares.Store(to)
}

// network is where requests come from: an IPv4 address, or the first 64 bits of an
// IPv6 address. IPv4 goes where IPv6 has multicast, from where nobody asks.
type network uint64

func networkOf(addr netip.Addr) network {
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return 0xffffffff<<32 | network(binary.BigEndian.Uint32(b[:]))
	}
	b := addr.As16()
	return network(binary.BigEndian.Uint64(b[:8]))
}
