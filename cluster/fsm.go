package cluster

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"doorbuster/engine"
)

// Observer is told of what was applied, on every node. Both methods are called
// in log order, one at a time, while readers of the state are locked out; they
// must not block and must keep nothing of the state. Effects may be kept, and are
// not changed any more.
type Observer interface {
	Applied(*engine.State, *engine.Effects)
	Restored(*engine.State)
}

// fsm bridges committed entries into the engine.
//
// An entry is applied, and with that seen by any door of this node, only once it
// is zone-acked: committed, and at or below the index that bound gives. Entries that
// are committed and not yet zone-acked are held, in order. So the zone rule is kept
// in this one place, whatever a door shows of the state.
type fsm struct {
	observer Observer
	fatal    *fatal
	logger   *slog.Logger
	// bound gives the highest index that may be applied. Set before the first
	// Apply; safe for concurrent use; never called with hold locked by others.
	bound func() engine.LogIndex
	// membershipChanged is told of each new membership, when it is committed; reconfigured, that
	// Raft's configuration has changed.
	membershipChanged func(*Membership)
	reconfigured      func()
	// stored gives when an entry was on this node's disk; zero if that is not known.
	stored func(engine.LogIndex) time.Time
	// alarm is Node.alarm; called with hold locked.
	alarm func(name engine.AlarmName, about, detail string)

	mu    sync.RWMutex
	state *engine.State

	hold  sync.Mutex // taken before mu
	held  []*heldEntry
	holds atomic.Bool // some are held: there is something to look at
	wake  chan struct{}
	// passed is told, in order, how far the node has applied; begun is further while
	// an entry is being applied, of which doors may show something already.
	passed func(engine.LogIndex)
	begun  atomic.Uint64
	// recorded waits until what has been applied up to an index is kept outside of
	// the state, too. A snapshot is not written before.
	recorded func(engine.LogIndex) error

	membership atomic.Pointer[Membership]
	term       atomic.Uint64 // of the last entry that was committed here, also if it is held
	// reduceTo is the node that takes over alone, in a recovery.
	reduceTo string

	restored atomic.Int64 // how often a snapshot replaced the state
	outdated error        // why this build can't read a snapshot; set by Restore

	written atomic.Int64 // bytes of entries applied since the last snapshot
	entries atomic.Int64
	history history // of what was committed; under hold
	halted  error   // why nothing more is applied; under hold
}

// heldEntry is committed and not yet zone-acked. It is what the entry's future gets.
type heldEntry struct {
	index engine.LogIndex
	term  uint64
	since time.Time
	data  []byte
	done  chan struct{} // closed once outcome is there
	applied
}

// applied is what became of an entry.
type applied struct {
	effects *engine.Effects
	err     error
}

func newFSM(observer Observer, fatal *fatal, logger *slog.Logger) *fsm {
	return &fsm{observer: observer, fatal: fatal, logger: logger, state: engine.NewState(),
		wake:  make(chan struct{}, 1),
		bound: unbounded, membershipChanged: func(*Membership) {}, reconfigured: func() {},
		passed: func(engine.LogIndex) {}, stored: func(engine.LogIndex) time.Time { return time.Time{} },
		alarm: func(engine.AlarmName, string, string) {}, recorded: func(engine.LogIndex) error { return nil }}
}

// unbounded lets everything that is committed be applied.
func unbounded() engine.LogIndex { return ^engine.LogIndex(0) }

func (f *fsm) view(read func(*engine.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	read(f.state)
}

// Apply is Raft's. It gives an applied, or a *heldEntry whose outcome comes later.
func (f *fsm) Apply(entry *raft.Log) any {
	f.term.Store(entry.Term)
	if isMembership(entry.Data) {
		return f.applyMembership(entry)
	}
	f.hold.Lock()
	defer f.hold.Unlock()
	f.history = f.history.add(mark{entry.Term, entry.Index})
	index := engine.LogIndex(entry.Index)
	if len(f.held) == 0 && index <= f.bound() {
		return f.apply(index, entry.Data)
	}
	h := &heldEntry{index: index, term: entry.Term, since: time.Now(), data: entry.Data, done: make(chan struct{})}
	f.held = append(f.held, h)
	f.holds.Store(true)
	f.look() // what bounds it may have moved meanwhile
	return h
}

// errMembershipMoved: a membership was made out of one that is not the present one.
var errMembershipMoved = errors.New("the membership has changed meanwhile")

// applyMembership takes in a change of the cluster itself. It waits for no zone: it
// is how operators change that rule when a zone is away.
func (f *fsm) applyMembership(entry *raft.Log) any {
	next, err := DecodeMembership(entry.Data)
	if err != nil {
		f.malformed("membership", entry.Index, err)
		return applied{err: err}
	}
	version := uint64(0)
	if now := f.membership.Load(); now != nil {
		version = now.Version
	}
	if next.Version != version+1 {
		return applied{err: errMembershipMoved}
	}
	f.membership.Store(next)
	f.membershipChanged(next)
	f.look()
	return applied{}
}

// malformed raises the alarm about an entry that no build should have written.
func (f *fsm) malformed(what string, index uint64, err error) {
	f.alarm(engine.AlarmLogMalformed, "", fmt.Sprintf("The %s at log index %d is malformed, and every node skips it: "+
		"%v. Keep a backup, and report it.", what, index, err))
}

// apply takes one entry into the state; f.hold is held.
func (f *fsm) apply(index engine.LogIndex, data []byte) applied {
	if f.halted != nil {
		return applied{err: f.halted}
	}
	effects := new(engine.Effects)
	f.begun.Store(uint64(index))
	times := engine.Times{Stored: f.stored(index), Committed: time.Now()}
	f.mu.Lock()
	err := f.state.Apply(index, data, effects)
	times.Applied = time.Now()
	effects.Times = times
	if tooOld(err) {
		f.mu.Unlock()
		f.halted = err
		f.fatal.fail(CauseOutdated, err)
		return applied{err: err}
	}
	f.observer.Applied(f.state, effects)
	f.mu.Unlock()
	f.written.Add(int64(len(data)))
	f.entries.Add(1)
	f.passed(index)
	switch {
	case errors.Is(err, engine.ErrMalformed):
		f.malformed("batch", uint64(index), err)
	case err != nil:
		f.logger.Warn("a batch was refused", "error", err)
	}
	return applied{effects, err}
}

// tooOld reports whether this build is, for what it was given.
func tooOld(err error) bool {
	return errors.Is(err, engine.ErrRulesTooNew) || errors.Is(err, engine.ErrNewerFormat)
}

func upgrade(err error) error { return fmt.Errorf("%w; upgrade doorbuster on this node", err) }

// look asks for held entries to be looked at: the bound may have moved.
func (f *fsm) look() {
	if f.holds.Load() {
		wake(f.wake)
	}
}

// release applies held entries as far as they are zone-acked, until stop.
func (f *fsm) release(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-f.wake:
		}
		f.hold.Lock()
		n := 0
		for bound := f.bound(); n < len(f.held) && f.held[n].index <= bound; n++ {
			h := f.held[n]
			h.finish(f.apply(h.index, h.data))
		}
		f.drop(n)
		f.hold.Unlock()
	}
}

// finish tells everybody who waits; once only.
func (h *heldEntry) finish(a applied) {
	select {
	case <-h.done: // its waiter was told before that nobody knows
	default:
		h.applied = a
		close(h.done)
	}
}

// drop forgets the first n held entries; f.hold is held.
func (f *fsm) drop(n int) {
	clear(f.held[:n])
	if f.held = f.held[n:]; len(f.held) == 0 {
		f.held = nil
		f.holds.Store(false)
	}
}

// abandon tells everybody who waits for a held entry that nobody knows what will
// become of it: this node does not lead any more.
func (f *fsm) abandon() {
	f.hold.Lock()
	defer f.hold.Unlock()
	for _, h := range f.held {
		h.finish(applied{err: engine.ErrOutcomeUnknown})
	}
}

// holding gives the term of the oldest entry that is committed and not yet zone-acked, and
// since when it is held; 0 if there is none. All before it has been applied.
func (f *fsm) holding() (term uint64, since time.Time) {
	f.hold.Lock()
	defer f.hold.Unlock()
	if len(f.held) == 0 {
		return 0, since
	}
	return f.held[0].term, f.held[0].since
}

// writtenBy gives the last held entry that a node wrote for which counts holds, by
// its id and the term in which it wrote; 0 if there is none. A batch was written by
// the node that opened its epoch, which an entry says, held or applied.
func (f *fsm) writtenBy(counts func(node string, term uint64) bool) (last engine.LogIndex) {
	f.hold.Lock()
	defer f.hold.Unlock()
	var epoch engine.Epoch
	var node string
	f.view(func(s *engine.State) { epoch, _, node = s.Epoch() })
	for _, h := range f.held {
		of, opener, err := engine.BatchOrigin(h.data)
		if opener != "" {
			of, epoch, node = engine.Epoch(h.index), engine.Epoch(h.index), opener
		}
		if err == nil && of != 0 && of == epoch && counts(node, h.term) {
			last = h.index
		}
	}
	return last
}

// errHolding: a snapshot must have all that Raft believes applied.
var errHolding = errors.New("committed entries wait for another zone; the snapshot waits, too")

// snapshotPatience is how long a snapshot waits for held entries to be zone-acked.
// Entries queue up before the state machine meanwhile.
const snapshotPatience = 500 * time.Millisecond

// StoreConfiguration is Raft's: a change of who votes was committed.
func (f *fsm) StoreConfiguration(uint64, raft.Configuration) { f.reconfigured() }

// Snapshot is Raft's: it freezes the state; the copying happens in Persist.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.hold.Lock()
	defer f.hold.Unlock()
	for since := time.Now(); len(f.held) > 0; {
		if time.Since(since) >= snapshotPatience {
			return nil, errHolding
		}
		f.hold.Unlock()
		time.Sleep(5 * time.Millisecond)
		f.hold.Lock()
	}
	if f.halted != nil {
		return nil, f.halted
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	membership := f.membership.Load()
	if f.reduceTo != "" {
		membership = membership.reduced(f.reduceTo)
	}
	return fsmSnapshot{f.state.Snapshot(), snapshotHead{membership, f.history}, f.recorded}, nil
}

// Restore is Raft's. A state never goes back while somebody may look at it: a
// leader whose appends were answered too late may send a snapshot once more, and
// then the node opens itself again from that snapshot.
func (f *fsm) Restore(from io.ReadCloser) error {
	defer from.Close()
	head, err := readHead(from)
	if err != nil {
		return err
	}
	state, err := engine.ReadState(from)
	if tooOld(err) { // Raft would drop the reason at a start, and later try forever
		f.outdated = upgrade(err)
		f.fatal.fail(CauseOutdated, err)
	}
	if err != nil {
		return err
	}
	f.hold.Lock()
	defer f.hold.Unlock()
	for _, h := range f.held { // a snapshot has all that was committed before it
		h.finish(applied{err: engine.ErrOutcomeUnknown})
	}
	f.drop(len(f.held))
	f.mu.Lock()
	if have, index := f.state.LogIndex(), state.LogIndex(); index < have {
		f.mu.Unlock()
		f.halted = fmt.Errorf("%w: a snapshot of log index %d came while %d was applied", ErrRestart, index, have)
		f.fatal.fail(CauseRestart, f.halted)
		return nil
	}
	f.state = state
	f.observer.Restored(state)
	f.mu.Unlock()
	f.restored.Add(1)
	f.passed(state.LogIndex())
	f.history = head.Terms
	if membership := head.Roster; membership != nil {
		f.membership.Store(membership)
		f.membershipChanged(membership)
	}
	return nil
}

type fsmSnapshot struct {
	snapshot *engine.Snapshot
	head     snapshotHead
	recorded func(engine.LogIndex) error
}

func (s fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	err := s.recorded(s.snapshot.LogIndex()) // before a state is written for nothing
	if err == nil {
		err = writeHead(sink, s.head)
	}
	if err == nil {
		_, err = s.snapshot.WriteTo(sink)
	}
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (fsmSnapshot) Release() {}
