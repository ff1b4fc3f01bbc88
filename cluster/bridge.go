package cluster

import (
	"slices"
	"strings"
	"time"
)

// detailHears is, in a pulse, which nodes its sender hears.
const detailHears = "hears"

// hearsFor is how old an answered ping may be for a node to count as heard by
// another. It is so much less than what a leader waits before it takes a zone to be
// away (ZoneTimeout) that a node which has died is heard by nobody by then.
const hearsFor = 250 * time.Millisecond

// apartFor is for how long another voter must hear a zone that the leader does not: a
// node that comes back is heard by one before the other.
const apartFor = 2 * freshFor

// whomItHears gives what detailHears tells.
func (n *Node) whomItHears(now time.Time) string {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	var heard []string
	for id, f := range n.net.follows {
		if now.Sub(f.heard) < hearsFor {
			heard = append(heard, id)
		}
	}
	return strings.Join(heard, " ")
}

// bridge gives a voter to lead in this one's place, while this leader hears no voter
// of another zone: one that it hears, and that hears a voter of a zone which is not
// its own. With two nodes apart the third can have every zone acknowledge. nil if
// other zones are not away, or are so for everybody.
func (n *Node) bridge(now time.Time) *Member {
	if !n.zoneAcked.blocked.Load() && !n.zoneAcked.degraded.Load() {
		return nil
	}
	membership, v, term := n.Membership(), n.voters.Load(), n.raft.CurrentTerm()
	for _, id := range v.elsewhere {
		if now.Sub(n.heardAt(id)) < freshFor {
			return nil // it is slow, not cut off
		}
	}
	for _, id := range v.others {
		m := membership.member(id)
		if m == nil || m.Drained || m.Kind != KindVoter || !n.healthy(term, id) ||
			uint64(n.tracker.durableOf(term, id))+behind < n.raft.LastIndex() {
			continue
		}
		if offset, known := n.clockOffset(id); known && offset.Abs() > clockBound {
			continue
		}
		p, _ := n.pulseOf(id)
		for _, far := range strings.Fields(p.Detail[detailHears]) {
			if membership.zoneOf(far) != m.Zone && slices.Contains(v.others, far) &&
				now.Sub(n.heardAt(id)) < hearsFor && !n.ended(far) {
				return m
			}
		}
	}
	return nil
}
