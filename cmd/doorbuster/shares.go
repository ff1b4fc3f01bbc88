package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"doorbuster/cluster"
	"doorbuster/cmd/doorbuster/settings"
	"doorbuster/engine"
	"doorbuster/httpapi/wire"
)

// asked is what came to a node's own doors of late, while it was in service.
type asked struct {
	Looks, Grabs uint64
	Whole        bool // it has been in service all the while
}

// askedOf reads what a node tells of itself; one that is not in service, or of another
// build, tells nothing.
func askedOf(x *cluster.NodeStatus) (a asked, serves bool) {
	if !x.Reachable || x.Drained || x.Kind == cluster.KindWitness || json.Unmarshal([]byte(x.Told), &a) != nil {
		return asked{}, false
	}
	return a, true
}

// attendance holds what came to this node, for itself and to tell others. One goroutine
// calls look.
type attendance struct {
	looks, grabs minute
	since        time.Time // when it came into service; zero while it is not
	told         atomic.Pointer[string]
}

// look takes in how many came since the start.
func (c *attendance) look(now time.Time, window time.Duration, looks, grabs uint64) {
	if c.since.IsZero() {
		c.since, c.looks, c.grabs = now, minute{long: window}, minute{long: window}
	}
	text, _ := json.Marshal(asked{c.looks.grew(now, share{all: looks}).all, c.grabs.grew(now, share{all: grabs}).all,
		now.Sub(c.since) >= window}) // two numbers and a bool always can be
	told := string(text)
	c.told.Store(&told)
}

// away says that this node is not in service.
func (c *attendance) away() {
	c.since = time.Time{}
	c.told.Store(nil)
}

// tells is for the other nodes.
func (c *attendance) tells() string {
	if told := c.told.Load(); told != nil {
		return *told
	}
	return ""
}

// fewestAsked is how many looks and grabs a node have to come before shares say something.
const fewestAsked = 200

// underShare reports whether a node got less than a third of an even share of what came to
// all that were in service as long as it.
func underShare(self string, nodes []cluster.NodeStatus) (own, even uint64, under bool) {
	sum, serving, judged := uint64(0), uint64(0), false
	for i := range nodes {
		a, serves := askedOf(&nodes[i])
		if !serves || !a.Whole {
			continue
		}
		sum += a.Looks + a.Grabs
		serving++
		if nodes[i].ID == self {
			own, judged = a.Looks+a.Grabs, true
		}
	}
	if !judged || sum < fewestAsked*serving {
		return own, 0, false
	}
	return own, sum / serving, own*serving*3 < sum
}

// shareAlarms counts what came to this node, and tells if that is too little.
func (n *node) shareAlarms() []engine.Alarm {
	window := n.cfg.Thresholds.ShareWindow
	if n.shopperListener == nil || (clusterView{n}).Ready() != nil {
		n.crowd.away()
		return nil
	}
	looks, grabs := n.shoppers.Asked()
	n.crowd.look(time.Now(), cmp.Or(window, time.Minute), looks, grabs)
	if window == 0 || n.cfg.Cluster.ID == "" {
		return nil
	}
	own, even, under := underShare(n.cfg.Node, n.cluster.ClusterStatus().Nodes)
	if !under {
		return nil
	}
	return []engine.Alarm{{Name: engine.AlarmUnderShare,
		Detail: fmt.Sprintf("In the last %s, %d looks and grabs came to this node; an even share is %d.",
			settings.Short(window), own, even),
		Advice: "See the load balancer's health check of this node, and its weights."}}
}

// shareOut fills in which part of what came to all nodes in service came to each.
func shareOut(told []wire.Node, nodes []cluster.NodeStatus) {
	looks, grabs := uint64(0), uint64(0)
	for i := range nodes {
		a, _ := askedOf(&nodes[i])
		told[i].Looks, told[i].Grabs = a.Looks, a.Grabs
		looks, grabs = looks+a.Looks, grabs+a.Grabs
	}
	for i := range told {
		x := &told[i]
		x.LooksShare, x.GrabsShare = float64(x.Looks)/float64(max(looks, 1)), float64(x.Grabs)/float64(max(grabs, 1))
	}
}
