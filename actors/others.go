package actors

import (
	"context"
	"errors"
	"time"

	"doorbuster/engine"
)

// Others is the way to the rest of the Raft group, for a node that is not alone.
// Met by the cluster's node. Safe for concurrent use.
type Others interface {
	// Fresh tells whether this node's state may be told as the group's: it has
	// all that anybody was told until half a second ago. It must be cheap.
	Fresh() bool
	// Current tells whether this node leads, with an open epoch or without, and its
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
	// Grab has the leader decide q. Error: engine.ErrNotLeader when it surely was
	// not asked, engine.ErrOutcomeUnknown when nobody knows. index is how far the
	// leader had applied.
	Grab(q *engine.Grab, deadline engine.Time, patience time.Duration) (a engine.Answer, index engine.LogIndex, err error)
	// Ask has the leader take a batch of one command through the log.
	Ask(ctx context.Context, batch []byte) (engine.Outcome, error)
	// Look asks the leader what became of a grab.
	Look(ctx context.Context, shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, index engine.LogIndex, err error)
}

// Join gives the group the way to the other nodes. Call it before grabs come in.
func (g *Group) Join(others Others) {
	g.others = inService{others, g}
	ahead := others.Ahead
	g.clock.ahead.Store(&ahead)
}

// inService is the way to the others for a node that may have no state yet: it has
// applied nothing since it started or joined, and does not know the group's secret.
// Such a node tells nobody anything, and has nothing decided elsewhere that it could
// not tell: it is neither fresh nor current, and finds no leader to ask.
type inService struct {
	Others
	group *Group
}

func (o inService) Fresh() bool   { return o.group.hasState() && o.Others.Fresh() }
func (o inService) Current() bool { return o.group.hasState() && o.Others.Current() }

func (o inService) Sync(ctx context.Context) error {
	if err := o.Others.Sync(ctx); err != nil {
		return err
	}
	return o.needState()
}

func (o inService) Grab(q *engine.Grab, deadline engine.Time, patience time.Duration) (a engine.Answer, index engine.LogIndex, err error) {
	if err := o.needState(); err != nil {
		return a, 0, err
	}
	return o.Others.Grab(q, deadline, patience)
}

func (o inService) Ask(ctx context.Context, batch []byte) (engine.Outcome, error) {
	if err := o.needState(); err != nil {
		return engine.Outcome{}, err
	}
	return o.Others.Ask(ctx, batch)
}

func (o inService) Look(ctx context.Context, shopper, key []byte, deadline engine.Time) (a engine.Answer, found bool, index engine.LogIndex, err error) {
	if err := o.needState(); err != nil {
		return a, false, 0, err
	}
	return o.Others.Look(ctx, shopper, key, deadline)
}

func (o inService) needState() error {
	if !o.group.hasState() {
		return engine.ErrNotLeader
	}
	return nil
}

// fresh tells whether what this node does not know is not there.
func (g *Group) fresh() bool {
	if g.others == nil {
		return g.caughtUp.Load()
	}
	return g.others.Fresh()
}

// current waits until this node knows all that was ever told, as long as a grab
// may take.
func (g *Group) current() error {
	if g.others == nil {
		if !g.caughtUp.Load() {
			return engine.ErrNotLeader
		}
		return nil
	}
	if g.speaks() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.GrabTimeout)
	defer cancel()
	return g.others.Sync(ctx)
}

// presides tells whether this node leads and can't sell: no epoch is open, since none
// would get across. It says what it knows for the whole group, and proposes nothing.
func (g *Group) presides() bool {
	return g.others != nil && !g.leads.Load() && g.others.Current()
}

// everybodyKnows tells whether all nodes know that a listing takes grabs again.
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
		g.send(gate, g.decidedMsg.Get())
	}()
}

// retryPause is how long a front waits before it asks again whoever leads then.
const retryPause = 5 * time.Millisecond

// route has a grab decided by whoever leads, again with the same key where the
// outcome is unknown, until its deadline.
func (g *Group) route(q *engine.Grab, fingerprint uint64) engine.Answer {
	deadline := g.clock.read().Add(g.cfg.GrabTimeout)
	expires := g.slots.now() + g.cfg.GrabTimeout
	g.slots.inside.enter(fingerprint) // between tries, too
	defer g.slots.inside.leave(fingerprint)
	for {
		if g.leads.Load() || g.presides() {
			if a := g.lead(q, deadline, expires); a != unknown {
				return a
			}
		} else if a, index, err := g.others.Grab(q, deadline, expires-g.slots.now()); err == nil {
			g.learnOf(a.Listing, index)
			if gate := g.catalogue.Load().byName[string(q.Listing)]; gate != nil && (a.Code == engine.CodeGranted || a.Code == engine.CodeWaitlisted || a.Code == engine.CodeEntered) {
				gate.engage(fingerprint) // when they ask again they go the long way, also before this node has seen their hold
				gate.tells(index)
			}
			return a
		}
		if expires-g.slots.now() <= retryPause {
			return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Deadline: deadline}
		}
		time.Sleep(retryPause)
	}
}

// learnOf waits until this node knows of a listing that the leader told of.
func (g *Group) learnOf(h engine.ListingHandle, index engine.LogIndex) {
	if h == 0 || g.catalogue.Load().gate(h) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.GrabTimeout)
	defer cancel()
	_ = g.others.Await(ctx, index) // without it the answer says less, and nothing wrong
}

// lead decides a grab as the leader, at the gate or by the actor; unknown if it
// can't be decided here and now.
func (g *Group) lead(q *engine.Grab, deadline engine.Time, expires time.Duration) engine.Answer {
	if !g.fresh() {
		return unknown
	}
	gate := g.catalogue.Load().byName[string(q.Listing)]
	if gate == nil {
		return engine.Answer{Reason: engine.ReasonUnknown}
	}
	fingerprint := g.fingerprint(q.Shopper)
	a, decided := g.atGate(gate, q, fingerprint, 1, false)
	switch {
	case decided:
		return a
	case g.leads.Load():
		return g.submit(gate, q, fingerprint, deadline, expires)
	case g.blocked.Load(): // they are engaged, or the gate would have told them that they missed it
		return g.putOff(gate, q, fingerprint, 1, engine.ReasonOverload)
	}
	return unknown
}

// submit sends the grab to the actor once.
func (g *Group) submit(gate *gate, q *engine.Grab, fingerprint uint64, deadline engine.Time, expires time.Duration) engine.Answer {
	if a, answered := g.hand(gate, q, fingerprint, (*g.keyed.Load())(q.IdempotencyKey), deadline, expires); answered {
		return a
	}
	return engine.Answer{Code: engine.CodeProcessing, Reason: engine.ReasonOverload, Session: gate.session, Deadline: deadline}
}

// longest is how far ahead another node may set a deadline.
const longest = time.Minute

// speaks tells whether this node leads, and may tell the others what it knows.
func (g *Group) speaks() bool { return g.leads.Load() && g.fresh() || g.presides() }

// GrabFor decides a grab that another node forwards, as the leader. Error:
// engine.ErrNotLeader if this node does not lead, engine.ErrOutcomeUnknown.
func (g *Group) GrabFor(q *engine.Grab, deadline engine.Time) (engine.Answer, error) {
	if !g.speaks() {
		return engine.Answer{}, engine.ErrNotLeader
	}
	deadline = min(deadline, g.clock.read().Add(longest))
	fingerprint := g.fingerprint(q.Shopper)
	g.slots.inside.enter(fingerprint)
	defer g.slots.inside.leave(fingerprint)
	a := g.lead(q, deadline, g.slots.now()+g.cfg.GrabTimeout)
	if a == unknown {
		return a, engine.ErrOutcomeUnknown
	}
	g.number(&a)
	return a, nil
}

// forwarded tells whether a command may come from another node's front.
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
	if !g.speaks() {
		return a, false, engine.ErrNotLeader
	}
	return g.GrabByKey(shopper, key, deadline)
}

// askOthers takes a command through the log by way of the leader, and waits until
// this node has seen what it did.
func (g *Group) askOthers(ctx context.Context, c engine.Command) (engine.Outcome, error) {
	o, err := g.others.Ask(ctx, engine.EncodeBatch(engine.BatchHeader{}, c))
	if errors.Is(err, engine.ErrNotLeader) {
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
		return o, err
	}
	if err == nil {
		err = g.others.Await(ctx, o.Index)
	}
	return o, err
}

// Blocked tells that what is proposed now would not be acknowledged, because a
// zone that must have it does not answer: then nobody new is let in.
func (g *Group) Blocked(blocked bool) { g.blocked.Store(blocked) }

// RaiseRules has the group go over to newer rules. It does not wait.
func (g *Group) RaiseRules(version uint32) {
	go func() {
		if _, err := g.ask(context.Background(), engine.Command{Kind: engine.CmdRaiseRules, RulesVersion: version}); err != nil {
			g.logger.Warn("the rules were not raised; it will be tried again", "to", version, "error", err)
		}
	}()
}
