package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// ErrRefused: the cluster can't, or must not, do what an operator asked for, and
// nothing was changed. The error says why, and what to do.
var ErrRefused = errors.New("refused")

// ErrRestart: the node must be closed and opened again; its directory is as it
// should be. It comes by OnFatal.
var ErrRestart = errors.New("the node restarts itself")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
}

// Bounds of leading.
const (
	// clockBound is how far a clock may be off those of the other nodes.
	clockBound = 200 * time.Millisecond
	// modesty is how long a witness or a drained node waits for another to lead.
	modesty = 2 * time.Second
	// transferPause lies between two attempts to hand leadership over.
	transferPause = 3 * time.Second
	// clockPatience is how long, after its start, a node whose clock differs from
	// another's waits for a third to say who is right.
	clockPatience = 10 * time.Second
	// handOverPatience is how long a leader that is about to stop tries again to
	// hand over: a voter that is only slow just now answers by then.
	handOverPatience = 2 * time.Second
	// settled is how long a leader has led before it looks for a better one.
	settled = 2 * time.Second
)

// leadership is whether this node is to lead.
type leadership struct {
	// leaving: leadership is being handed over; no epoch is opened meanwhile.
	leaving atomic.Bool
	// retired: the node is about to stop, and is not to lead again.
	retired  atomic.Bool
	clockOff atomic.Bool
	// compared: this node's clock was compared with enough others, since the start.
	compared atomic.Bool
	orphaned atomic.Int64 // when no leader was known first, since the start; 0: one is

	transferring sync.Mutex                // one transfer at a time
	lastTry      atomic.Pointer[time.Time] // to hand leadership over; nil: none was made

	// keepLeadership's.
	lastRules time.Time // to raise the rules
	ledSince  time.Time
	apart     time.Time // since when another voter hears a zone that this leader does not; zero: none does
}

// due reports whether another attempt to hand leadership over may be made.
func (l *leadership) due() bool {
	last := l.lastTry.Load()
	return last == nil || time.Since(*last) > transferPause
}

var (
	errRetired  = errors.New("this node is stopping")
	errLeaving  = errors.New("leadership is being handed over")
	errClockOff = fmt.Errorf("this node's clock is more than %s off those of the others", clockBound)
	errNotYet   = errors.New("this node has not compared its clock with the others yet")
	errModest   = errors.New("this node leads only if no other can")
)

// mayLead reports whether this node may hold an epoch.
func (n *Node) mayLead() error {
	switch {
	case n.lead.leaving.Load():
		return errLeaving
	case n.lead.clockOff.Load():
		return errClockOff
	}
	return nil
}

// maySolicit reports whether this node may ask for votes.
func (n *Node) maySolicit() error {
	switch {
	case n.lead.retired.Load() || n.stopping.Load():
		return errRetired
	case n.Removed():
		return errRemoved
	case n.lead.clockOff.Load():
		return errClockOff
	case !n.alone() && !n.lead.compared.Load():
		return errNotYet
	case n.modest():
		since := n.lead.orphaned.Load()
		if since == 0 || time.Since(n.began)-time.Duration(since) < modesty {
			return errModest
		}
	}
	return nil
}

// modest reports whether another node should lead, if one can.
func (n *Node) modest() bool {
	m := n.Membership().member(n.cfg.NodeID)
	return m != nil && (m.Drained || m.Kind == KindWitness)
}

// ClockOff reports whether this node's clock is off those of the others.
func (n *Node) ClockOff() bool { return n.lead.clockOff.Load() }

// Drained reports whether an operator has taken this node out of service.
func (n *Node) Drained() bool {
	m := n.Membership().member(n.cfg.NodeID)
	return m != nil && m.Drained
}

// lookEvery is how often a node looks whether it should lead, and how its zones
// fare.
const lookEvery = 25 * time.Millisecond

// keepLeadership looks after all that only time brings.
func (n *Node) keepLeadership() {
	looks := 0
	n.every(lookEvery, func() {
		now := time.Now()
		n.renewLease() // the only voter hears from nobody
		n.watchZones(now)
		n.watchEpochless()
		n.watchOrphaned(now)
		n.lookAtSelf()
		n.net.mu.Lock()
		n.net.reckonSeen() // who is silent counts no more
		n.net.mu.Unlock()
		if looks++; looks%4 != 0 {
			return
		}
		n.watchClock()
		n.watchLog()
		n.watchStuck(now)
		n.learnVoters()
		leads := n.raft.State() == raft.Leader
		if leads && (n.epoch.Load() == 0 || n.mayLead() != nil) || !leads && n.epoch.Load() != 0 {
			n.look()
		}
		if leads {
			n.improve(now)
			if now.Sub(n.lead.lastRules) > rulesEvery && n.epoch.Load() != 0 && n.raiseRules() {
				n.lead.lastRules = now
			}
		} else {
			n.lead.ledSince, n.lead.apart = time.Time{}, time.Time{}
		}
	})
}

// watchOrphaned looks who leads. What was sent to one who does not any more is
// given up at once, so that it goes to the next.
func (n *Node) watchOrphaned(now time.Time) {
	addr, leader := n.raft.LeaderWithID()
	if old := n.net.leader; addr != "" && addr != old {
		if n.net.leader = addr; old != "" {
			n.net.peers.Peer(string(old)).GiveUp()
		}
	}
	if leader != "" {
		n.lead.orphaned.Store(0)
	} else {
		n.lead.orphaned.CompareAndSwap(0, max(1, int64(now.Sub(n.began))))
	}
}

// watchClock compares this node's clock with those of the other voters: it is
// off if so many of them differ that they are a majority without it. Who was
// heard last is remembered; clocks do not wander fast.
func (n *Node) watchClock() {
	v := n.voters.Load()
	known, differ := 0, 0
	for _, id := range v.others {
		offset, heard := n.clockOffset(id)
		if heard {
			known++
		}
		if heard && offset.Abs() > clockBound {
			differ++
		}
	}
	if known >= (len(v.others)+1)/2 && (differ == 0 || known == len(v.others) || time.Since(n.began) > clockPatience) {
		n.lead.compared.Store(true)
	}
	off := differ > 0 && differ >= (len(v.others)+1)/2+1
	if was := n.lead.clockOff.Swap(off); was == off {
		return
	}
	if off {
		n.alarm(engine.AlarmClockOff, n.cfg.NodeID, fmt.Sprintf("Node %s's clock is off those of the others "+
			"by more than %s: it does not lead until that is mended.", n.cfg.NodeID, clockBound))
	} else {
		n.alarms.end(engine.AlarmClockOff, n.cfg.NodeID)
		n.logger.Info("this node's clock agrees with the others again")
	}
	n.look()
}

// watchLog restarts the node if Raft believes its log to be longer than it is:
// after a snapshot replaced a log that reached further, Raft 1.7.3 goes on with
// the last index of the one that is gone, and refuses every entry.
func (n *Node) watchLog() {
	believed, snapshot := n.raft.LastIndex(), uint64(n.applied.load())
	if last := n.log.LastIndex(); believed <= max(last, snapshot) || n.fsm.restored.Load() == 0 {
		n.net.beyond = 0
		return
	}
	// An entry is believed in only once it is on disk; but a look at both is two
	// looks. It takes several of the same.
	if n.net.beyond++; n.net.beyond == 20 {
		n.fatal.fail(CauseRestart, fmt.Errorf("%w: Raft expects log entries that a snapshot has replaced", ErrRestart))
	}
}

// improve hands leadership over if another is to have it: one of the zone that is to
// lead, or anybody if this node is a witness or drained.
func (n *Node) improve(now time.Time) {
	l, bridge := &n.lead, n.bridge(now)
	if l.ledSince.IsZero() {
		l.ledSince = now
	}
	switch {
	case bridge == nil:
		l.apart = time.Time{}
	case l.apart.IsZero():
		l.apart = now
	}
	due := l.due()
	if due && bridge != nil && now.Sub(l.apart) > apartFor {
		n.logger.Warn("this leader hears no voter of another zone, and another voter does: it is to lead", "node",
			bridge.ID)
		go n.handTo(bridge, false)
		return
	}
	home := n.Membership().home()
	wrongZone := home != "" && home != n.cfg.Zone
	if !due || now.Sub(l.ledSince) <= settled || !n.modest() && !wrongZone && !l.clockOff.Load() {
		return
	}
	target := n.successor()
	if target == nil || wrongZone && !n.modest() && !l.clockOff.Load() && (target.Zone != home || n.missing() != "") {
		return
	}
	go n.handTo(target, true)
}

// handTo is transferTo for whom nobody asked.
func (n *Node) handTo(target *Member, whole bool) {
	if err := n.transferTo(target, whole); err != nil {
		n.logger.Warn("leadership was not handed over", "to", target.ID, "error", err)
	}
}

// giveUpLeading is for a leader that may not be one.
func (n *Node) giveUpLeading(why error) {
	if errors.Is(why, errLeaving) {
		return
	}
	if target := n.successor(); n.lead.due() && target != nil {
		go n.handTo(target, true)
	}
}

// behind is how many entries a successor may lack: it gets them in a moment.
const behind = 256

// successor gives the node that had best lead in this one's place, or nil.
func (n *Node) successor() (best *Member) {
	if n.alone() {
		return nil
	}
	membership, rank := n.Membership(), -1
	home := membership.home()
	for _, id := range n.voters.Load().others {
		m := membership.member(id)
		if m == nil || m.Drained || m.Kind == KindWitness || !n.caughtUp(id) || n.untimely(id) != 0 {
			continue
		}
		r := 0
		if m.Zone == home {
			r += 2
		}
		if m.Zone == n.cfg.Zone {
			r++
		}
		if r > rank {
			best, rank = m, r
		}
	}
	return best
}

// caughtUp reports whether a node has answered this leader just now, and lacks no more
// than it gets in a moment.
func (n *Node) caughtUp(id string) bool {
	term := n.raft.CurrentTerm()
	return n.healthy(term, id) && uint64(n.tracker.durableOf(term, id))+behind >= n.raft.LastIndex()
}

// untimely gives how far a node's clock is off this one's, if that keeps it from
// leading; else 0.
func (n *Node) untimely(id string) time.Duration {
	if offset, _ := n.clockOffset(id); offset.Abs() > clockBound && !n.lead.clockOff.Load() {
		return offset
	}
	return 0
}

// missing gives a voter that has not answered this leader just now; "" if all have.
func (n *Node) missing() string {
	term := n.raft.CurrentTerm()
	for _, id := range n.voters.Load().others {
		if !n.healthy(term, id) {
			return id
		}
	}
	return ""
}

// healthy reports whether a voter has answered this leader just now.
func (n *Node) healthy(term uint64, id string) bool {
	return time.Since(n.tracker.latest(term, []string{id})) < freshFor
}

// Transfer hands leadership to the node with id to, or to the best if that is
// empty, and gives who leads then. With from it changes nothing unless that node
// leads, so that a transfer to the best is not done twice. Errors: ErrRefused,
// engine.ErrNotLeader, ErrRestart.
func (n *Node) Transfer(ctx context.Context, from, to string) (leader string, err error) {
	if n.raft.State() != raft.Leader {
		return "", engine.ErrNotLeader
	}
	if from != "" && from != n.cfg.NodeID {
		if n.Membership().member(from) == nil {
			return "", refuse("no node %q; see 'doorbuster cluster status'", from)
		}
		return n.cfg.NodeID, nil
	}
	target := n.successor()
	if to != "" {
		m := n.Membership().member(to)
		switch {
		case to == n.cfg.NodeID:
			return to, nil
		case m == nil:
			return "", refuse("no node %q; see 'doorbuster cluster status'", to)
		case m.Kind == KindEdge:
			return "", refuse("node %q is an edge node: it has no vote and can't lead", to)
		case m.Drained:
			return "", refuse("node %q is drained; 'doorbuster cluster undrain --node %s' first", to, to)
		}
		if !slices.Contains(n.voters.Load().others, to) {
			return "", refuse("node %q is still joining; wait until it votes", to)
		}
		if !n.caughtUp(to) {
			return "", refuse("node %q does not answer, or lacks too much of the log; see 'doorbuster cluster "+
				"status'", to)
		}
		if offset := n.untimely(to); offset != 0 {
			return "", refuse("the clock of node %q is %s off this one's; mend that first", to,
				offset.Round(time.Millisecond))
		}
		target = m
	}
	if target == nil {
		return "", refuse("no other voter is healthy, caught up and allowed to lead")
	}
	if err := n.transferTo(target, true); err != nil {
		return "", err
	}
	if !n.until(ctx, 5*time.Millisecond, func() bool {
		_, id := n.raft.LeaderWithID()
		leader = string(id)
		return n.follow(leader).pulse.Leads || leader == n.cfg.NodeID && n.epoch.Load() != 0
	}) {
		return "", engine.ErrOutcomeUnknown
	}
	return leader, nil
}

// transferTo hands leadership over. With whole it begins only if all voters are
// healthy; without, the leader is of little use as it is. When it fails, the node
// restarts: Raft may refuse all writes afterwards
// (hashicorp/raft #696).
func (n *Node) transferTo(target *Member, whole bool) error {
	l := &n.lead
	l.transferring.Lock()
	defer l.transferring.Unlock()
	now := time.Now()
	l.lastTry.Store(&now)
	if n.raft.State() != raft.Leader {
		return engine.ErrNotLeader
	}
	if id := n.missing(); whole && id != "" {
		return refuse("voter %q does not answer; leadership is handed over only while all voters are healthy", id)
	}
	l.leaving.Store(true)
	defer func() {
		l.leaving.Store(false)
		n.look()
	}()
	n.look()
	for n.epoch.Load() != 0 { // what is in flight comes in before Raft refuses more
		if !n.pause(time.Millisecond) {
			return errRetired
		}
	}
	n.fresh.end()
	n.logger.Info("handing leadership over", "to", target.ID, "zone", target.Zone)
	if err := n.raft.LeadershipTransferToServer(raft.ServerID(target.ID),
		raft.ServerAddress(target.Peer)).Error(); err != nil {
		if n.raft.State() != raft.Leader || n.stopping.Load() {
			return nil // somebody leads, or will: there is nothing left to hand over
		}
		err = fmt.Errorf("%w: leadership could not be handed to %q: %w", ErrRestart, target.ID, err)
		n.fatal.fail(CauseRestart, err)
		return err
	}
	patient, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n.until(patient, time.Millisecond, func() bool { // it is known who leads
		_, id := n.raft.LeaderWithID()
		return n.raft.State() != raft.Leader && id != ""
	})
	return nil
}

// Bounds of an election that need not wait for the whole timeout.
const (
	probePatience = 200 * time.Millisecond
	// hurried is the timeout then: the least that Raft takes beside its lease.
	hurried = 250 * time.Millisecond
	// hurryStep lies between those who are to vote and who is to lead, so that
	// they do not all ask for votes at the same moment, and split them.
	hurryStep = 30 * time.Millisecond
)

// hurry makes Raft give up a leader early whose process is gone: its connections
// broke, and its machine refuses new ones. Raft itself would wait for one to
// three times its timeout.
//
// The connections broke at the same moment for all who are left, so that this is
// what they count from; each heard from the leader last at another.
func (n *Node) hurry(leader Member, gone time.Time) {
	wait := hurried + hurryStep/2 - time.Since(gone) + time.Duration(n.rank(leader.ID))*hurryStep
	if !n.pause(max(wait, 0)) {
		return
	}
	if _, now := n.raft.LeaderWithID(); string(now) != leader.ID || n.maySolicit() != nil {
		return
	}
	timeout := func(d time.Duration) error {
		return n.reload(func(c *raft.ReloadableConfig) { c.HeartbeatTimeout, c.ElectionTimeout = d, d })
	}
	err := timeout(hurried) // which makes Raft look at once
	if err == nil {
		n.pause(4 * hurried)
		err = timeout(heartbeatTimeout)
	}
	if err != nil {
		n.logger.Warn("Raft does not take another timeout", "error", err)
	}
}

// refused reports whether nobody listens at an address of a machine that answers.
// It looks for a while: a process that ends closes its doors one by one.
func (n *Node) refused(addr string) bool {
	for began := time.Now(); time.Since(began) < probePatience; {
		c, err := net.DialTimeout("tcp", addr, probePatience)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true
		}
		if err == nil {
			_ = c.Close()
		}
		if !n.pause(5 * time.Millisecond) {
			return false
		}
	}
	return false
}

// rank orders the voters that are left: the higher, the rather it is to lead. Who
// has given the old leader up votes; so the one that is to lead comes last.
func (n *Node) rank(gone string) int {
	membership := n.Membership()
	home := membership.home()
	worth := func(m Member) (w int) {
		if m.Kind == KindVoter && !m.Drained {
			w += 2
		}
		if m.Zone == home {
			w++
		}
		return w
	}
	left := slices.DeleteFunc(slices.Clone(membership.Members),
		func(m Member) bool { return m.ID == gone || !m.Kind.votes() })
	slices.SortFunc(left, func(a, b Member) int {
		return cmp.Or(cmp.Compare(worth(a), worth(b)),
			strings.Compare(b.ID, a.ID))
	})
	return max(0, slices.IndexFunc(left, func(m Member) bool { return m.ID == n.cfg.NodeID }))
}

// HandOver makes a node that is about to stop give leadership away, if another
// can take it, and never ask for it again. The node goes on as a follower.
func (n *Node) HandOver(ctx context.Context) {
	if n.alone() || !n.lead.retired.CompareAndSwap(false, true) || n.raft.State() != raft.Leader {
		return
	}
	_, err := n.Transfer(ctx, "", "")
	for began := time.Now(); errors.Is(err, ErrRefused) && time.Since(began) < handOverPatience &&
		n.pause(20*time.Millisecond); {
		_, err = n.Transfer(ctx, "", "")
	}
	if err != nil && !errors.Is(err, engine.ErrNotLeader) {
		n.logger.Warn("leadership is not handed over before the stop; the others elect a leader by themselves",
			"error", err)
	}
}
