package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// clusterView is the cluster as one node sees it.
type clusterView struct {
	Leader   string `json:"leader"`
	Answered string `json:"answered_by"`
	Term     uint64 `json:"term"`
	Hash     string `json:"hash"`
	Nodes    []struct {
		ID        string `json:"id"`
		Role      string `json:"role"`
		Reachable bool   `json:"reachable"`
		Applied   uint64 `json:"applied_index"`
		Error     string `json:"error"`
	} `json:"nodes"`
}

func (t *failoverTest) view(n int) (v clusterView, err error) {
	return v, t.nodes[n].ops.once("/admin/v1/cluster", &v)
}

// leader gives the node that says of itself that it leads, in the highest term if there
// are several, with its view.
func (t *failoverTest) leader() (n int, v clusterView, ok bool) {
	for i := range t.nodes {
		if !t.nodes[i].up {
			continue
		}
		if x, err := t.view(i); err == nil && x.Leader == t.cfg.Nodes[i] && (!ok || x.Term > v.Term) {
			n, v, ok = i, x, true
		}
	}
	return n, v, ok
}

// lookEvery is how often a test looks whether something has come about.
const lookEvery = 5 * time.Millisecond

func (t *failoverTest) awaitLeader(ctx context.Context) (int, error) {
	for until := time.Now().Add(t.cfg.GrantWithin); ; time.Sleep(lookEvery) {
		if n, _, ok := t.leader(); ok {
			return n, nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return 0, fmt.Errorf("no leader within %v; %s", t.cfg.GrantWithin, t.views())
		}
	}
}

// nearIndex is how many log entries a node may be behind and still count as
// caught up: under load it is always some behind.
const nearIndex = 500

// awaitWell waits until every node is ready, reached by the leader, and has
// caught up with it.
func (t *failoverTest) awaitWell(ctx context.Context) error {
	for until := time.Now().Add(t.cfg.BackWithin); ; time.Sleep(lookEvery) {
		for n := range t.nodes {
			select {
			case <-t.nodes[n].Ended:
				t.nodes[n].up = false
				return fmt.Errorf("%s ended by itself: %w", t.cfg.Nodes[n], t.nodes[n].Kill())
			default:
			}
		}
		why := t.unwell()
		if why == "" {
			return nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return fmt.Errorf("not well within %v: %s; %s", t.cfg.BackWithin, why, t.views())
		}
	}
}

// unwell says what is missing until all is well; "" if nothing is.
func (t *failoverTest) unwell() string {
	_, v, ok := t.leader()
	if !ok {
		return "there is no leader"
	}
	var last uint64
	for _, x := range v.Nodes {
		last = max(last, x.Applied)
	}
	known := 0
	for _, x := range v.Nodes {
		switch {
		case !x.Reachable:
			return fmt.Sprintf("%s does not reach %s (%s)", v.Leader, x.ID, x.Error)
		case x.Applied+nearIndex < last:
			return fmt.Sprintf("%s has applied %d of %d entries", x.ID, x.Applied, last)
		}
		known++
	}
	if known != len(t.nodes) {
		return fmt.Sprintf("%s knows %d nodes of %d", v.Leader, known, len(t.nodes))
	}
	for n := range t.nodes {
		if err := t.nodes[n].ops.ready(); err != nil {
			return fmt.Sprintf("%s is not ready: %v", t.cfg.Nodes[n], err)
		}
	}
	return ""
}

// views is how the nodes see things, for a message.
func (t *failoverTest) views() string {
	var all []string
	for n, id := range t.cfg.Nodes {
		if v, err := t.view(n); err != nil {
			all = append(all, fmt.Sprintf("%s: %v", id, err))
		} else {
			all = append(all, fmt.Sprintf("%s sees %+v", id, v))
		}
	}
	return strings.Join(all, "; ")
}
