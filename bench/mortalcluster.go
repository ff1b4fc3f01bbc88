package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mortalCluster is a cluster whose nodes are killed, each in all its lives.
type mortalCluster struct {
	ids        []string
	startNode  func(ctx context.Context, n int) (CrashNode, error)
	leadWithin time.Duration // that a leader may take to be found
	backWithin time.Duration // that a node may take to catch up
	nodes      []*mortalNode
	starts     int
}

func newMortalCluster(ids []string, start func(ctx context.Context, n int) (CrashNode, error), leadWithin,
	backWithin time.Duration) mortalCluster {
	t := mortalCluster{ids: ids, startNode: start, leadWithin: leadWithin, backWithin: backWithin}
	for range ids {
		t.nodes = append(t.nodes, new(mortalNode))
	}
	return t
}

// open starts all nodes and waits until all is well.
func (t *mortalCluster) open(ctx context.Context) error {
	for n := range t.nodes {
		if err := t.start(ctx, n); err != nil {
			return err
		}
	}
	return t.awaitWell(ctx)
}

func (t *mortalCluster) start(ctx context.Context, n int) error {
	c, err := t.startNode(ctx, n)
	if err == nil {
		t.starts++
		err = t.nodes[n].started(c)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", t.ids[n], err)
	}
	return nil
}

// close stops the nodes that are up, one after the other.
func (t *mortalCluster) close() error {
	var all []error
	for n, node := range t.nodes {
		if err := node.close(); err != nil {
			all = append(all, fmt.Errorf("%s: %w", t.ids[n], err))
		}
	}
	return errors.Join(all...)
}

// allBack brings back what a kill that went wrong has left away.
func (t *mortalCluster) allBack(ctx context.Context) error {
	for n, node := range t.nodes {
		switch {
		case node.paused:
			node.paused = false
			_ = node.Resume() // if it can't go on, it won't be well below
		case !node.up:
			if err := t.start(ctx, n); err != nil {
				return err
			}
		}
	}
	return t.awaitWell(ctx)
}

// clusterView is the cluster as one node sees it.
type clusterView struct {
	Leader   string `json:"leader"`
	Answered string `json:"answered_by"`
	Term     uint64 `json:"term"`
	Nodes    []struct {
		ID        string `json:"id"`
		Role      string `json:"role"`
		Reachable bool   `json:"reachable"`
		Applied   uint64 `json:"applied_index"`
		Error     string `json:"error"`
	} `json:"nodes"`
}

func (t *mortalCluster) view(n int) (v clusterView, err error) {
	return v, t.nodes[n].ops.once("/admin/v1/cluster", &v)
}

// leader gives the node that says of itself that it leads, in the highest term if there
// are several, with its view.
func (t *mortalCluster) leader() (n int, v clusterView, ok bool) {
	for i := range t.nodes {
		if !t.nodes[i].up {
			continue
		}
		if x, err := t.view(i); err == nil && x.Leader == t.ids[i] && (!ok || x.Term > v.Term) {
			n, v, ok = i, x, true
		}
	}
	return n, v, ok
}

// lookEvery is how often a test looks whether something has come about.
const lookEvery = 5 * time.Millisecond

func (t *mortalCluster) awaitLeader(ctx context.Context) (int, error) {
	for until := time.Now().Add(t.leadWithin); ; time.Sleep(lookEvery) {
		if n, _, ok := t.leader(); ok {
			return n, nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return 0, fmt.Errorf("no leader within %v; %s", t.leadWithin, t.views())
		}
	}
}

// nearIndex is how many log entries a node may be behind and still count as
// caught up: under load it is always some behind.
const nearIndex = 500

// awaitWell waits until every node is ready, reached by the leader, and has
// caught up with it.
func (t *mortalCluster) awaitWell(ctx context.Context) error {
	for until := time.Now().Add(t.backWithin); ; time.Sleep(lookEvery) {
		for n := range t.nodes {
			select {
			case <-t.nodes[n].Ended:
				t.nodes[n].up = false
				return fmt.Errorf("%s ended by itself: %w", t.ids[n], t.nodes[n].Kill())
			default:
			}
		}
		why := t.unwell()
		if why == "" {
			return nil
		}
		if time.Now().After(until) || ctx.Err() != nil {
			return fmt.Errorf("not well within %v: %s; %s", t.backWithin, why, t.views())
		}
	}
}

// unwell says what is missing until all is well; "" if nothing is.
func (t *mortalCluster) unwell() string {
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
			return fmt.Sprintf("%s is not ready: %v", t.ids[n], err)
		}
	}
	return ""
}

// views is how the nodes see things, for a message.
func (t *mortalCluster) views() string {
	var all []string
	for n, id := range t.ids {
		if v, err := t.view(n); err != nil {
			all = append(all, fmt.Sprintf("%s: %v", id, err))
		} else {
			all = append(all, fmt.Sprintf("%s sees %+v", id, v))
		}
	}
	return strings.Join(all, "; ")
}

// awaitAgreement waits until all nodes stand at one log index, with the same state, and
// count the same of listings. It gives that index, and the hash of their states.
func (t *mortalCluster) awaitAgreement(ctx context.Context, listings []Listing, within time.Duration) (index uint64,
	hash string, err error) {
	for until := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if index, hash, err = t.agreement(ctx, listings); err == nil || time.Now().After(until) || !t.allUp() {
			return index, hash, err
		}
	}
}

func (t *mortalCluster) allUp() bool {
	return !slices.ContainsFunc(t.nodes, func(n *mortalNode) bool { return !n.up })
}

func (t *mortalCluster) agreement(ctx context.Context, listings []Listing) (index uint64, hash string, err error) {
	var first []Counts
	var state stateInfo
	for n := range t.nodes {
		counts, err := t.nodes[n].ops.survey(ctx, listings)
		if err != nil {
			return 0, "", fmt.Errorf("%s: %w", t.ids[n], err)
		}
		has, err := t.nodes[n].ops.state(ctx)
		if err != nil {
			return 0, "", fmt.Errorf("%s: %w", t.ids[n], err)
		}
		if first == nil {
			first, state = counts, has
			continue
		}
		if !slices.Equal(first, counts) {
			return 0, "", fmt.Errorf("%s counts %+v, %s %+v", t.ids[0], first, t.ids[n], counts)
		}
		if has != state {
			return 0, "", fmt.Errorf("%s has the state %+v, %s %+v", t.ids[0], state, t.ids[n], has)
		}
	}
	return state.LogIndex, state.Hash, nil
}
