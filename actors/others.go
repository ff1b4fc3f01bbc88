package actors

import (
	"context"
	"math"
	"time"

	"doorbuster/engine"
)

// Others is the way to the rest of the Raft group, for a node that is not alone.
// Met by the cluster's node. Safe for concurrent use.
type Others interface {
	// Fresh reports whether this node's state may be told as the group's: it has
	// all that anybody was told until half a second ago. It must be cheap.
	Fresh() bool
	// Current reports whether this node leads, with an open epoch or without, and its
	// state has all that any node has told anybody so far. It must be cheap.
	Current() bool
	// Ahead tells how far the leader's clock is ahead of this node's; 0 if that is
	// not known. It must be cheap.
	Ahead() time.Duration
	// Seen gives the index that every node which may be fresh has applied, as far
	// as this node knows. It must be cheap.
	Seen() engine.LogIndex
	// Sync waits until this node's state has all that any node has told anybody
	// before the call. Error: engine.ErrNotLeader, when ctx ends first.
	Sync(ctx context.Context) error
	// Await waits until this node has applied index.
	Await(ctx context.Context, index engine.LogIndex) error
	// Grab has the leader decide q, without waiting for it: to is told.
	Grab(q *engine.Grab, deadline engine.Time, to engine.Reply)
	// Ask has the leader take a batch of one command through the log.
	Ask(ctx context.Context, batch []byte) (engine.Outcome, error)
	// Look asks the leader what became of a grab.
	Look(
		ctx context.Context, shopper, key []byte, deadline engine.Time,
	) (a engine.Answer, found bool, index engine.LogIndex, err error)
}

// Join gives the group the way to the other nodes. Call it before grabs come in.
func (g *Group) Join(others Others) {
	g.others = others
	ahead := others.Ahead
	g.clock.ahead.Store(&ahead)
}

// Fresh reports whether what this node does not know is not there. A node that has
// applied nothing since it started or joined does not know the group's secret: whatever
// the cluster says of freshness, it tells nobody anything.
func (g *Group) Fresh() bool {
	if g.others == nil {
		return g.caughtUp.Load()
	}
	return g.hasState() && g.others.Fresh()
}

// Alone reports whether there are no other nodes.
func (g *Group) Alone() bool { return g.others == nil }

// Leads reports whether this node leads.
func (g *Group) Leads() bool { return g.leads.Load() }

// certain reports whether this node leads or presides, and knows all that anybody was told.
func (g *Group) certain() bool { return g.others != nil && g.hasState() && g.others.Current() }

// presides reports whether this node leads and can't sell: no epoch is open, since none
// would get across. It says what it knows for the whole group, and proposes nothing.
func (g *Group) presides() bool { return !g.leads.Load() && g.certain() }

// speaks reports whether this node leads, and may tell the others what it knows.
func (g *Group) speaks() bool { return g.leads.Load() && g.Fresh() || g.presides() }

// sync waits until this node knows all that was ever told before the call.
func (g *Group) sync(ctx context.Context) error {
	if g.others == nil {
		return g.awaitEpoch(ctx)
	}
	err := g.others.Sync(ctx)
	if err == nil && !g.hasState() {
		err = engine.ErrNotLeader
	}
	return err
}

// Current waits until this node knows all that was ever told, as long as a grab
// may take; a lone node that has not recovered yet does not wait.
func (g *Group) Current() error {
	if g.others == nil && !g.Fresh() {
		return engine.ErrNotLeader
	}
	return g.catchUp(context.Background(), g.cfg.GrabTimeout)
}

// CatchUp waits until this node knows all that was ever told, at most for
// the time that a command may take.
func (g *Group) CatchUp(ctx context.Context) error { return g.catchUp(ctx, g.cfg.CommandTimeout) }

func (g *Group) catchUp(ctx context.Context, patience time.Duration) error {
	if g.others == nil && g.Fresh() || g.speaks() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return g.sync(ctx)
}

// everybodyKnows reports whether all nodes know that a listing takes grabs again.
//
// A follower says "sold out" by itself, from state that may be half a second old.
// If units came back meanwhile and were granted at once, a shopper could be told
// yes through one node and then, asking again, no through another. So after a
// listing has opened, or opened again, the leader grants nothing of it before
// every node that may be fresh has seen that, or can't be fresh any more.
func (g *Group) everybodyKnows(gate *gate) bool {
	if g.others == nil {
		return true
	}
	index, at := gate.opened()
	if epoch := g.epoch.Load(); epoch > index {
		index, at = epoch, time.Duration(g.epochAt.Load())
	}
	return index <= uint64(g.others.Seen()) || g.slots.now() >= at+knownAfter
}

// knownAfter is when no node can be fresh any more that has not seen what was
// applied before: half a second, and a little for the moment of applying.
const knownAfter = 550 * time.Millisecond

// wakeWhenKnown has a listing's actor look at what it has parked once everybody
// knows.
func (g *Group) wakeWhenKnown(gate *gate) {
	if !gate.waking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for g.leads.Load() && !g.everybodyKnows(gate) {
			time.Sleep(time.Millisecond)
		}
		gate.waking.Store(false)
		gate.inbox.tell(g.decidedMsg.Get().(*decided))
		g.wake(gate)
	}()
}

// learnOf waits until this node knows of a listing that the leader told of.
func (g *Group) learnOf(h engine.ListingHandle, index engine.LogIndex) {
	if g.knows(h) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.GrabTimeout)
	defer cancel()
	_ = g.others.Await(ctx, index) // without it the answer says less, and nothing wrong
}

// longest is how far ahead another node may set a deadline.
const longest = time.Minute

// GrabFor has a grab that another node forwards decided, as the leader; to is told, at
// once or later. Errors: engine.ErrNotLeader if this node does not lead,
// engine.ErrOutcomeUnknown.
func (g *Group) GrabFor(q *engine.Grab, deadline engine.Time, to engine.Reply) {
	if !g.answers() {
		to.Decided(engine.Answer{}, 0, engine.ErrNotLeader)
		return
	}
	x := passing{Grab: q, fingerprint: g.fingerprint(q.Shopper), deadline: min(deadline, g.clock.read().Add(longest)),
		expires: math.MaxInt64, reply: to}
	if a, handed, err := g.lead(&x, nil); !handed {
		to.Decided(a, 0, err)
	}
}

// answers reports whether other nodes are answered as by the leader.
func (g *Group) answers() bool {
	select {
	case <-g.connected:
		return g.speaks()
	default:
		return false
	}
}

// forwarded reports whether a command may come from another node's front.
func forwarded(kind engine.CommandKind) bool {
	return kind != engine.CmdOpenEpoch && kind != engine.CmdPlaceHold
}

// AskFor takes a batch of one command, which another node forwards, through the
// log. Errors: engine.ErrMalformed, engine.ErrNotLeader, engine.ErrOutcomeUnknown.
func (g *Group) AskFor(ctx context.Context, batch []byte) (engine.Outcome, error) {
	_, commands, err := engine.DecodeBatch(batch)
	if err != nil {
		return engine.Outcome{}, err
	}
	if len(commands) != 1 || !forwarded(commands[0].Kind) {
		return engine.Outcome{}, engine.ErrMalformed
	}
	if !g.leads.Load() {
		return engine.Outcome{}, engine.ErrNotLeader
	}
	return g.askHere(ctx, commands[0])
}

// LookFor tells another node what became of a grab.
func (g *Group) LookFor(shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, err error) {
	if !g.answers() {
		return a, false, engine.ErrNotLeader
	}
	return g.whatCame(shopper, key, deadline)
}

// Blocked tells that what is proposed now would not be acknowledged, because a
// zone that must have it does not answer: then nobody new is let in.
func (g *Group) Blocked(blocked bool) { g.blocked.Store(blocked) }

// RaiseRules has the group go over to newer rules. It does not wait.
func (g *Group) RaiseRules(version uint32) {
	go func() {
		<-g.connected
		c := engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: version}
		if _, err := g.Ask(context.Background(), c); err != nil {
			g.logger.Warn("the rules were not raised; it will be tried again", "to", version, "error", err)
		}
	}()
}
