package httpapi

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// Bounds of what is remembered of visitors.
const (
	visitorPlaces  = 1024            // some 300 bytes each
	visitorsWithin = 5 * time.Minute // how long one counts
	fewVisitors    = 20              // of fewer, a share says nothing
)

// DefaultListShare is how many percent of the last visitors a list may meet unasked.
const DefaultListShare = 5

// Visitors are some of the shoppers whom this node's guard was asked about lately: what
// a list would do to a sale can be tried on them. Each shopper has one place, and the
// next one whose id falls on it takes it, so that who asks often counts no more than
// others. The methods are safe for concurrent use, and nobody waits in them.
type Visitors struct {
	share  int // percent of them, of which more are too many
	risk   func(*engine.Visitor) engine.Level
	seed   maphash.Seed
	places [visitorPlaces]visitorPlace
}

// visitorPlace is whoever came last of those whose place it is.
type visitorPlace struct {
	busy    atomic.Bool // it is read or written; whoever else comes goes on without it
	at      time.Time   // zero: nobody came yet
	shopper [engine.MaxShopperBytes]byte
	length  int
	addr    netip.Addr
	phone   engine.Canonical
	address engine.Canonical
	hashes  [2]engine.Blind // of the two
}

// newVisitors remembers nobody yet; risk is what the risk lists say of one.
func newVisitors(share int, risk func(*engine.Visitor) engine.Level) *Visitors {
	return &Visitors{share: share, risk: risk, seed: maphash.MakeSeed()}
}

// note remembers a visitor, whose bytes it copies. It allocates nothing.
func (v *Visitors) note(who *engine.Visitor, now time.Time) {
	p := &v.places[maphash.Bytes(v.seed, who.Shopper)%visitorPlaces]
	if !p.busy.CompareAndSwap(false, true) {
		return
	}
	p.length = copy(p.shopper[:], who.Shopper)
	p.at, p.addr, p.phone, p.address = now, who.Addr, who.Phone, who.Address
	p.hashes = [2]engine.Blind{who.PhoneHash, who.AddressHash}
	p.busy.Store(false)
}

// count gives how many there are now, and how many of them are met. The visitor that
// met is given is good until it returns.
func (v *Visitors) count(met func(*engine.Visitor) bool) (n share) {
	if v == nil {
		return n
	}
	now := time.Now()
	n.most = v.share
	var shopper [engine.MaxShopperBytes]byte
	for i := range v.places {
		p := &v.places[i]
		if !p.busy.CompareAndSwap(false, true) {
			continue
		}
		since := p.at
		who := engine.Visitor{Shopper: shopper[:copy(shopper[:], p.shopper[:p.length])], Addr: p.addr, Phone: p.phone,
			Address: p.address, PhoneHash: p.hashes[0], AddressHash: p.hashes[1]}
		p.busy.Store(false)
		if since.IsZero() || now.Sub(since) > visitorsWithin {
			continue
		}
		if n.of++; met(&who) {
			n.met++
		}
	}
	return n
}

// share is how many visitors are met of how many there are.
type share struct{ met, of, most int }

// large reports whether that is more than it may be unasked.
func (n share) large() bool { return n.of >= fewVisitors && n.met*100 > n.most*n.of }

// String says the share as a person reads it, after "meets".
func (n share) String() string {
	within := fmt.Sprintf("in the last %d minutes", int(visitorsWithin.Minutes()))
	if n.of < fewVisitors {
		return fmt.Sprintf("an unknown share of shoppers (this node saw fewer than %d %s)", fewVisitors, within)
	}
	return fmt.Sprintf("%d%% of the shoppers whom this node saw %s (%d of a sample of %d)", (n.met*100+n.of-1)/n.of,
		within,
		n.met, n.of)
}

// by gives what a risk list of a kind may compare of a visitor, and nothing else.
func by(kind engine.RosterKind, v *engine.Visitor) (only engine.Visitor) {
	switch kind {
	case engine.RosterRiskShopper:
		only.Shopper = v.Shopper
	case engine.RosterRiskPhone:
		only.Phone, only.PhoneHash = v.Phone, v.PhoneHash
	case engine.RosterRiskAddress:
		only.Address, only.AddressHash = v.Address, v.AddressHash
	case engine.RosterRiskIP:
		only.Addr = v.Addr
	}
	return only
}

// alarms tells of the risk lists that meet too many.
func (g *Guard) alarms() (all []engine.Alarm) {
	met := make([]int, len(riskKinds))
	seen := g.visitors.count(func(v *engine.Visitor) bool {
		if g.seller.Risk(v) <= engine.LevelListed {
			return false
		}
		for i, k := range riskKinds {
			if only := by(k.kind, v); g.seller.Risk(&only) > engine.LevelListed {
				met[i]++
			}
		}
		return true
	})
	for i, k := range riskKinds {
		if seen.met = met[i]; seen.large() {
			all = append(all, engine.Alarm{Name: engine.AlarmListMeetsMany, About: "risk/" + k.name,
				Detail: fmt.Sprintf("The list risk/%s challenges or blocks %s.", k.name, seen),
				Advice: "If that is not meant, see in the audit trail what was put on it, and take it off " +
					"('doorbuster lists remove'), or turn all risk lists off ('doorbuster switches set " +
					"risk_lists=off')."})
		}
	}
	return all
}
