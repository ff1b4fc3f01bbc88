package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/engine"
)

// Proposer appends entries to the replicated log. Met by the cluster's node.
type Proposer interface {
	// Propose hands over an entry, which the caller must not change afterwards.
	// It may block while the log is busy. wait blocks until the entry is applied
	// on this node and gives what it did, or an error: engine.ErrStaleEpoch if it
	// was refused whole, else engine.ErrOutcomeUnknown.
	Propose(entry []byte) (wait func() (*engine.Effects, error))
	// EpochLost tells that a batch of epoch came to nothing or to nobody knows
	// what, so that a new epoch is opened if this node still leads.
	EpochLost(epoch engine.Epoch)
}

// The most that one entry takes. hashicorp/raft stalls on large ones (#612).
const (
	batchCommands = 8192
	batchBytes    = engine.MaxEntryBytes - 4096
)

// pending is a command on its way: a grab's, or an ask's.
type pending struct {
	slot *slot
	ask  *ask

	// Of a grab, for its actor; the slot is not to be looked at once completed.
	gate        *gate
	item        decidedItem
	speculative *speculative
}

// ask is a command other than a grab, and its result.
type ask struct {
	command engine.Command
	outcome engine.Outcome
	err     error
	done    chan struct{}
}

// gathering is what will be the next entry: never more than one may hold. The entry's
// bytes are given away as they are: once proposed they are the log's, which keeps the
// newest entries in memory (wal's tail), besides what Raft has in flight and what waits
// for another zone.
type gathering struct {
	entry   []byte // behind room for the header; nil before the first command
	pending []pending
	way
}

// way is how a gathering's first grab came into it. What one of a batch took tells of all.
type way struct {
	grabs  bool      // there is one
	handed time.Time // to its actor, where that was here; zero otherwise
	began  time.Time // the gathering with it
	traced bool      // some are
}

// headed gives the entry, with its header in the room for it.
func (g *gathering) headed(h engine.BatchHeader) []byte {
	header := engine.AppendBatchHeader(g.entry[:0], h)
	if g.entry == nil {
		return header
	}
	entry := g.entry[engine.MaxHeaderBytes-len(header):]
	copy(entry, header)
	return entry
}

// fits reports whether a command of size bytes may join.
func (g *gathering) fits(size int) bool {
	return len(g.pending) == 0 || len(g.pending) < batchCommands && len(g.entry)+size <= batchBytes
}

type flight struct {
	epoch   engine.Epoch
	wait    func() (*engine.Effects, error)
	pending []pending
	way
	proposed time.Time
}

// batcher turns commands into log entries: one goroutine proposes what has
// gathered while earlier entries are on their way, one completes them in order.
// So batches grow with the load, and no timer is needed.
type batcher struct {
	log      Proposer
	clock    *stateClock
	complete func(flight, *engine.Effects, error)

	mu       sync.Mutex
	taken    sync.Cond // signalled when the gathering was taken
	next     gathering
	hold     engine.Command // of a grab, used again and again
	size     int            // of the entry before, which the next is likely to have
	spare    [][]pending    // emptied ones, to be used again
	epoch    engine.Epoch   // 0: closed
	sequence uint64
	due      engine.Time
	tick     bool // propose even with no command, for time's sake

	batches, commands atomic.Uint64 // proposed so far

	began time.Time // when the last entry was proposed; of the goroutine that proposes
	last  int       // its commands

	wake    chan struct{}
	flights chan flight
	tokens  chan struct{}
	stop    chan struct{}
	stopped sync.WaitGroup
}

func newBatcher(log Proposer, clock *stateClock, inFlight int, complete func(flight, *engine.Effects, error)) *batcher {
	b := &batcher{
		log: log, clock: clock, complete: complete, due: engine.Never,
		wake: make(chan struct{}, 1), flights: make(chan flight, inFlight), tokens: make(chan struct{}, inFlight),
		stop: make(chan struct{}),
	}
	b.taken.L = &b.mu
	b.stopped.Add(2)
	go b.run()
	go b.land()
	return b
}

// open begins an epoch; at is the time of its EpochOpened.
func (b *batcher) open(epoch engine.Epoch, at engine.Time) {
	b.clock.begin(at)
	b.mu.Lock()
	b.epoch, b.sequence, b.tick = epoch, 0, true
	b.mu.Unlock()
	b.signal()
}

// close ends epoch and gives back what had gathered: it was never proposed, so
// asking again repairs it.
func (b *batcher) close(epoch engine.Epoch) []pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return nil
	}
	left := b.next.pending
	b.next = gathering{}
	b.epoch = 0
	b.clock.end()
	b.taken.Broadcast()
	return left
}

func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// addGrab queues the command of a grab; false if no epoch is open. It waits
// while the gathering is full.
func (b *batcher) addGrab(s *slot, d *speculative, item decidedItem) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready(grabBytes) {
		return false
	}
	c := &b.hold
	c.Kind, c.Listing, c.Shopper, c.Key = engine.CmdPlaceHold, s.gate.handle, append(c.Shopper[:0], s.shopper...), s.key
	c.Quantity, c.Deadline, c.Ticket, c.Transaction = s.quantity, s.deadline, s.ticket, s.transaction
	c.Waitlist = s.waitlist && s.gate.facts.Load().waitlist
	c.Price, c.Priced, c.Bargain = s.price, s.priced, engine.BargainRef{}
	if s.bargain != 0 {
		c.Bargain = engine.BargainRef{Session: s.gate.session, Ordinal: s.bargain}
	}
	b.next.entry = engine.AppendCommand(b.next.entry, c)
	if w := &b.next.way; !w.grabs || s.trace != nil {
		w.add(s)
	}
	b.queue(pending{slot: s, gate: s.gate, speculative: d, item: item})
	return true
}

// add takes down how a grab came here.
func (w *way) add(s *slot) {
	now := time.Now()
	if !w.grabs {
		w.grabs, w.began, w.handed = true, now, s.handedAt()
	}
	if s.trace != nil {
		w.traced = true
		s.trace.Ended(engine.StageActor, now)
	}
}

// commands are buffers that commands are written to before there is room for them.
var commands = sync.Pool{New: func() any { return new([]byte) }}

// addAsk queues another command; false if no epoch is open.
func (b *batcher) addAsk(a *ask) bool {
	scratch := commands.Get().(*[]byte)
	defer commands.Put(scratch)
	*scratch = engine.AppendCommand((*scratch)[:0], &a.command)
	command := *scratch
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready(len(command)) {
		return false
	}
	b.next.entry = append(b.next.entry, command...)
	b.queue(pending{ask: a})
	return true
}

// grabBytes bounds the command of a grab.
const grabBytes = engine.MaxShopperBytes + 100

// ready waits for room in the gathering, and makes it; b.mu is held.
func (b *batcher) ready(size int) bool {
	for b.epoch != 0 && !b.next.fits(size) {
		b.taken.Wait()
	}
	if b.next.entry == nil {
		b.next.entry = make([]byte, engine.MaxHeaderBytes, max(engine.MaxHeaderBytes, b.size))
	}
	return b.epoch != 0
}

func (b *batcher) queue(p pending) {
	b.next.pending = append(b.next.pending, p)
	if len(b.next.pending) == 1 {
		b.signal()
	}
}

// wakeAt tells when time has something to do next.
func (b *batcher) wakeAt(due engine.Time) {
	b.mu.Lock()
	sooner := due < b.due
	b.due = due
	b.mu.Unlock()
	if sooner {
		b.signal()
	}
}

// nudge proposes an empty batch, so that state time moves.
func (b *batcher) nudge() {
	b.mu.Lock()
	b.tick = true
	b.mu.Unlock()
	b.signal()
}

func (b *batcher) run() {
	defer b.stopped.Done()
	defer close(b.flights)
	timer := time.NewTimer(time.Hour)
	for {
		select {
		case <-b.stop:
			return
		case b.tokens <- struct{}{}: // a place in flight first, so that the batch gathers until then
		}
		if wait := b.pace(); wait > 0 {
			timer.Reset(wait)
			select {
			case <-b.stop:
				return
			case <-timer.C:
			}
		}
		for !b.propose() {
			timer.Reset(b.untilDue())
			select {
			case <-b.stop:
				return
			case <-b.wake:
			case <-timer.C:
			}
		}
	}
}

// In a rush a commit begins so long after the one before at the soonest: each costs a
// sync and its wake-ups, whatever it takes along. The entry before tells what is a rush.
const (
	paced    = time.Millisecond
	rushFrom = 16 // commands
)

// pace is how long to wait with the next entry. A lone grab waits for nobody.
func (b *batcher) pace() time.Duration {
	if b.last < rushFrom {
		return 0
	}
	return paced - time.Since(b.began)
}

// untilDue is how long nothing will be due; at most a minute.
func (b *batcher) untilDue() time.Duration {
	b.mu.Lock()
	due, open := b.due, b.epoch != 0
	b.mu.Unlock()
	if !open || due == engine.Never {
		return time.Minute
	}
	return min(max(due.Sub(b.clock.read()), time.Millisecond), time.Minute)
}

// propose sends what has gathered, or an empty batch if something is due. It
// gives false if there was nothing to send.
func (b *batcher) propose() bool {
	b.mu.Lock()
	now := b.clock.read()
	if b.epoch == 0 || len(b.next.pending) == 0 && !b.tick && b.due > now {
		b.mu.Unlock()
		return false
	}
	taken := b.next
	b.next = gathering{}
	if len(taken.entry) > 0 {
		b.size = len(taken.entry)
	}
	if n := len(b.spare); n > 0 {
		b.next.pending, b.spare = b.spare[n-1], b.spare[:n-1]
	}
	b.tick = false
	if b.due <= now {
		b.due = engine.Never // until the batch tells
	}
	b.sequence++
	header := engine.BatchHeader{Epoch: b.epoch, Sequence: b.sequence, Time: now}
	b.taken.Broadcast()
	b.mu.Unlock()

	header.Commands = len(taken.pending)
	b.began, b.last = time.Now(), header.Commands
	b.batches.Add(1)
	b.commands.Add(uint64(header.Commands))
	b.flights <- flight{header.Epoch, b.log.Propose(taken.headed(header)), taken.pending, taken.way, b.began}
	return true
}

// land completes flights in order.
func (b *batcher) land() {
	defer b.stopped.Done()
	for f := range b.flights {
		effects, err := f.wait()
		<-b.tokens
		if err == nil {
			b.wakeAt(effects.NextDue)
		}
		b.complete(f, effects, err)
		b.recycle(f.pending)
	}
}

// recycle keeps the memory of a flight that is over.
func (b *batcher) recycle(over []pending) {
	clear(over)
	b.mu.Lock()
	if len(b.spare) < cap(b.flights)+1 {
		b.spare = append(b.spare, over[:0])
	}
	b.mu.Unlock()
}

// gathered gives how many commands wait for the next entry.
func (b *batcher) gathered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.next.pending)
}

// shutdown ends both goroutines; what is in flight is completed first.
func (b *batcher) shutdown() {
	close(b.stop)
	b.stopped.Wait()
}
