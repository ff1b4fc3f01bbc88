package cluster

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"doorbuster/engine"
)

// alarms are what this node has found that somebody must see to: a sentence each,
// by what it is about. Each is logged once, and shown by every node's status until
// it is over. Safe for concurrent use.
type alarms struct {
	mu   sync.Mutex
	text map[string]string
}

// raise sets the alarm about something; it tells whether that is news.
func (a *alarms) raise(about, text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.text[about] == text {
		return false
	}
	if a.text == nil {
		a.text = map[string]string{}
	}
	a.text[about] = text
	return true
}

// end takes the alarm about something back; it tells whether there was one.
func (a *alarms) end(about string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, was := a.text[about]
	delete(a.text, about)
	return was
}

// retain ends the alarms about what stays does not hold for.
func (a *alarms) retain(stays func(about string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.text, func(about, _ string) bool { return !stays(about) })
}

// all gives the sentences, in the order of what they are about.
func (a *alarms) all() (sentences []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, about := range slices.Sorted(maps.Keys(a.text)) {
		sentences = append(sentences, a.text[about])
	}
	return sentences
}

func (n *Node) alarm(about, text string) {
	if n.alarms.raise(about, text) {
		n.logger.Error("ALARM: " + text)
	}
}

// ailments are this node's alarms and its ledger's. It asks no disk.
func (n *Node) ailments() []string {
	sentences := n.alarms.all()
	for _, what := range n.ledger.Alarms() {
		sentences = append(sentences, fmt.Sprintf("Node %s: %s.", n.cfg.NodeID, what))
	}
	return sentences
}

// turnedAway is the latest refusal that this node heard, or said.
type turnedAway struct {
	at  time.Time
	why string
}

// stuckFor is how long a node may stand still behind a cluster that goes on before
// that is an alarm. A large snapshot on its way takes less on a usual network.
const stuckFor = 10 * time.Second

// standing is what watchStuck saw last.
type standing struct {
	applied, last engine.LogIndex
	since         time.Time
}

// watchStuck raises an alarm when this node gets nothing of what the others agree
// on, although they can be reached.
func (n *Node) watchStuck(now time.Time) {
	if turned := n.turned.Load(); turned == nil || now.Sub(turned.at) > stuckFor {
		n.twice.Store(nil)
		n.alarms.end("twice")
	}
	at := standing{n.applied.load(), engine.LogIndex(n.log.LastIndex()), now}
	if n.fresh.holds() || n.standing.since.IsZero() || at.applied != n.standing.applied || at.last != n.standing.last {
		n.standing = at
		if n.alarms.end("stuck") {
			n.logger.Info("this node catches up with the cluster again")
		}
		return
	}
	if now.Sub(n.standing.since) < stuckFor {
		return
	}
	why := ""
	if turned := n.turned.Load(); turned != nil && now.Sub(turned.at) < stuckFor {
		why = turned.why
	} else if by, leader := n.saysWhoLeads(now); leader != "" {
		why = fmt.Sprintf("node %s says that %s leads, and nothing comes from there", by, leader)
	}
	if why == "" { // nobody is there, or nobody leads: that is said elsewhere
		return
	}
	n.alarm("stuck", fmt.Sprintf("Node %s does not catch up with its cluster: %s. Mend what that names; "+
		"if it stays behind, 'doorbuster cluster remove --node %s', and join it under a new id with an empty directory.", n.cfg.NodeID, why, n.cfg.NodeID))
}

// saysWhoLeads gives a node that was heard just now and names another leader than
// this node.
func (n *Node) saysWhoLeads(now time.Time) (by, leader string) {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	for id, f := range n.net.follows {
		if now.Sub(f.heard) < reachableFor && f.pulse.Leader != "" && f.pulse.Leader != n.cfg.NodeID {
			return id, f.pulse.Leader
		}
	}
	return "", ""
}
