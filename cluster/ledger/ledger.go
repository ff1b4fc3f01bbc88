package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/cluster/ledger/settled"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// Config of a Ledger. Start from DefaultConfig.
type Config struct {
	// Dir is the ledger's own directory. It is made if missing.
	Dir string
	// Trail says how events are kept; its directory and logger are the ledger's.
	Trail trail.Config
	// Owner names the data directory, at random: what has the same owner was written
	// from the log of that directory. "" of no directory.
	Owner string
	// Logger hears of damage, gaps and what is rebuilt; required.
	Logger *slog.Logger
}

// DefaultConfig is what suits a node.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, Trail: trail.DefaultConfig(filepath.Join(dir, "trail")), Logger: slog.Default()}
}

// Validate tells every field that is out of bounds.
func (c Config) Validate() error { return c.trail().Validate() }

func (c Config) trail() trail.Config {
	t := c.Trail
	t.Dir, t.Owner, t.Logger = filepath.Join(c.Dir, "trail"), c.Owner, c.Logger
	t.SegmentBytes = min(t.SegmentBytes, t.KeepBytes/8)
	return t
}

func (c Config) settled() settled.Config {
	return settled.Config{Dir: filepath.Join(c.Dir, "settled"), Log: c.Logger}
}

// Source is the committed state.
type Source interface {
	// View calls read with the state under a reader's lock.
	View(read func(*engine.State))
}

// Others are the other nodes' ledgers. Met by the cluster's node.
type Others interface {
	trail.Peers
	settled.Peers
}

// orderReader is what settled.Store answers.
type orderReader interface {
	Order(ref engine.OrderRef) (o engine.OrderRecord, found bool, err error)
	PaidBy(paymentID string) (ref engine.OrderRef, found bool, err error)
	OrdersOf(shopper string, after engine.OrderRef, granted engine.Time, yield func(*engine.OrderRecord) bool) error
	Scan(from engine.OrderRef, yield func(*engine.OrderRecord) bool) error
	ReadChunk(h engine.SessionHandle, offset int64) (chunk []byte, total int64, err error)
}

// eventReader is what trail.Trail does without names.
type eventReader interface {
	AwaitRoom(stop <-chan struct{})
	AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex
	Horizon(ofDeeds bool) (engine.TrailPosition, engine.Time, error)
	Page(after, upto engine.LogIndex, ofDeeds bool) (trail.Page, error)
}

// Ledger is one node's. It is told of every applied entry (Applied, Restored) from
// the moment that it is open; the other methods are safe for concurrent use.
type Ledger struct {
	orderReader
	eventReader
	cfg    Config
	source Source
	trail  *trail.Trail
	orders *settled.Store
	bound  engine.LogIndex // where the node's log ends, of the start
	own    bool            // when it was opened, the trail was of this directory's log,
	other  bool            // or of another's
	// Of the goroutine that applies.
	group    [16]byte      // zero until the state knows it
	compared bool          // what the trail had last was held against the log
	heard    atomic.Uint64 // the last index that was applied, with all that it seals

	mu      sync.Mutex
	sealed  []*engine.Leaving // whose files are not written yet, by Sealed
	changed chan struct{}     // closed and replaced when sealed changes
	trouble atomic.Pointer[string]

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// errOther makes a trail another's.
var errOther = errors.New("this node's log goes on otherwise")

// retryAfter is how long a file that could not be written waits.
const retryAfter = 500 * time.Millisecond

// Open opens the ledger in a directory, or begins one. What is damaged is quarantined;
// what it held comes from other nodes once Start was called. Errors:
// engine.ErrNewerFormat, and what the disk says.
func Open(cfg Config) (*Ledger, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l := &Ledger{cfg: cfg, bound: ^engine.LogIndex(0), changed: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	var err error
	if l.trail, err = trail.Open(cfg.trail()); err == nil {
		l.own, l.other = l.trail.Writer()
		if l.orders, err = settled.Open(cfg.settled()); err != nil {
			err = errors.Join(err, l.trail.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l.orderReader, l.eventReader = l.orders, l.trail
	return l, nil
}

// Proves gives a log index that this data directory's own log has reached, as its
// trail was written from there; 0: nothing is known. Call it before Start.
func (l *Ledger) Proves() (index engine.LogIndex) {
	if l.own {
		index, _, _, _ = l.trail.Opened()
	}
	return index
}

// Bound tells the ledger, before anything is applied, where the node's log ends: a
// trail that reaches further was not written from it, but by another node, or before
// another generation took over without what this one knows.
func (l *Ledger) Bound(last engine.LogIndex) { l.bound = last }

// Start begins to write. Call it once, when the state can be read; others is nil for
// a node that is alone.
func (l *Ledger) Start(source Source, others Others) {
	l.source = source
	if others == nil {
		l.trail.Start(nil)
		l.orders.Start(nil)
	} else {
		l.trail.Start(others)
		l.orders.Start(others)
	}
	l.running.Go(l.writeSealed)
}

// Close writes what waits, as far as that takes no longer than a moment, and ends.
// No entry must be applied any more.
func (l *Ledger) Close() error {
	l.stop()
	l.running.Wait()
	return errors.Join(l.trail.Close(), l.orders.Close())
}

// Applied takes in what one entry did. It is called by the goroutine that applies,
// in order, and neither waits nor looks at the disk. The effects are kept, and read
// later: nobody must change them.
func (l *Ledger) Applied(s *engine.State, e *engine.Effects) {
	l.recognise(s)
	l.compare(e.Index, func(at engine.Time, epoch engine.Epoch, number uint64) bool {
		return at == e.Time && (epoch == 0 || epoch == e.Header.Epoch && number == e.Header.Sequence)
	})
	l.trail.Applied(e)
	for _, gone := range e.Leaving {
		l.seal(gone)
	}
	l.heard.Store(uint64(e.Index))
	for i := 0; e.Catalogue && i < len(e.Primary); i++ {
		if ev := &e.Primary[i]; ev.Kind == engine.SessionCleared {
			l.orders.Expect(sessionOf(s.SessionOf(ev.Session), l.group))
		}
	}
}

// Restored takes in that a snapshot has replaced the state. What lies between it and
// the trail has to come from elsewhere, as do files of sessions that have left.
func (l *Ledger) Restored(s *engine.State) {
	l.recognise(s)
	l.compare(s.LogIndex(), func(at engine.Time, _ engine.Epoch, _ uint64) bool { return at == s.Now() })
	l.trail.Restored(s.LogIndex(), s.Now())
	l.mu.Lock()
	l.sealed = slices.DeleteFunc(l.sealed, func(gone *engine.Leaving) bool { // of another history
		x := s.SessionOf(gone.Session)
		return x == nil || x.Sealed != gone.Sealed
	})
	l.tell()
	l.mu.Unlock()
	for _, x := range s.Sessions() {
		if gone := s.Leaving(x.Handle); gone != nil {
			l.seal(gone)
		}
	}
	l.heard.Store(uint64(s.LogIndex()))
	l.orders.Expect(Left(s)...)
}

// recognise finds out whose ledger this should be, as soon as the state tells: a
// trail from elsewhere is quarantined before anybody is told of what is in it.
func (l *Ledger) recognise(s *engine.State) {
	if l.group != ([16]byte{}) {
		return
	}
	if l.group = groupOf(s); l.group == ([16]byte{}) {
		return
	}
	l.trail.Own(l.group)
	if index, _, _, _ := l.trail.Opened(); index > l.bound {
		l.trail.Disown(fmt.Errorf("%w: the trail reaches to %d, and its log to %d", errOther, index, l.bound))
	}
}

// compare holds what the trail had last, when it was opened, against what the log has
// there.
func (l *Ledger) compare(index engine.LogIndex, fits func(at engine.Time, epoch engine.Epoch, number uint64) bool) {
	if l.group == ([16]byte{}) || l.compared {
		return
	}
	last, at, epoch, number := l.trail.Opened()
	switch {
	case last > index:
		return
	case last == index && !fits(at, epoch, number):
		l.trail.Disown(errOther)
	case 0 < last && last < index && l.other:
		l.trail.Disown(fmt.Errorf("%w, or can't tell: another directory's trail ends before it", errOther))
	}
	l.compared = true
}

func groupOf(s *engine.State) (id [16]byte) {
	if secret, known := s.Derive("ledger"); known {
		copy(id[:], secret[:])
	}
	return id
}

func sessionOf(x *engine.Session, group [16]byte) settled.Session {
	return settled.Session{Handle: x.Handle, Index: x.Sealed, At: x.SettledAt, Orders: uint32(x.Orders()), Group: group}
}

// seal has the file of a sealed session written.
func (l *Ledger) seal(gone *engine.Leaving) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.sealed, func(o *engine.Leaving) bool { return o.Session == gone.Session }) {
		l.sealed = append(l.sealed, gone)
		slices.SortFunc(l.sealed, func(a, b *engine.Leaving) int { return cmp.Compare(a.Sealed, b.Sealed) })
		l.tell()
	}
}

// tell wakes who waits for sealed to change; l.mu is held.
func (l *Ledger) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// nextSealed gives the session to be written next, or what to wait for.
func (l *Ledger) nextSealed() (gone *engine.Leaving, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sealed) > 0 {
		gone = l.sealed[0]
	}
	return gone, l.changed
}

// writeSealed is the goroutine that writes files of sealed sessions.
func (l *Ledger) writeSealed() {
	for l.ctx.Err() == nil {
		gone, changed := l.nextSealed()
		if gone == nil {
			select {
			case <-changed:
			case <-l.ctx.Done():
			}
			continue
		}
		var group [16]byte
		l.source.View(func(s *engine.State) { group = groupOf(s) })
		err := l.orders.Write(l.ctx, group, gone)
		if l.ctx.Err() != nil {
			return
		}
		if err != nil {
			text := err.Error()
			if l.trouble.Swap(&text) == nil {
				l.cfg.Logger.Error("ALARM: the file of a settled session can't be written; it is tried again",
					"error", err)
			}
			select {
			case <-time.After(retryAfter):
			case <-l.ctx.Done():
			}
			continue
		}
		if l.trouble.Swap(nil) != nil {
			l.cfg.Logger.Info("files of settled sessions can be written again")
		}
		l.mu.Lock()
		l.sealed = slices.DeleteFunc(l.sealed, func(o *engine.Leaving) bool { return o == gone })
		l.tell()
		l.mu.Unlock()
	}
}

// Index is the log index up to which everything is on disk: the trail, and the files
// of all sessions sealed by then; 0 until it is known whose they are. It is no further
// than what was applied since the start: what lies behind may seal sessions.
func (l *Ledger) Index() engine.LogIndex {
	index := min(l.trail.Index(), engine.LogIndex(l.heard.Load())) // before what is sealed
	if gone, _ := l.nextSealed(); gone != nil {
		index = min(index, gone.Sealed-1)
	}
	return index
}

// TrailIndex is Index of the trail alone, also before all of it was applied again.
func (l *Ledger) TrailIndex() engine.LogIndex { return l.trail.Index() }

// Await waits until everything up to index is on disk. The error is ctx's end, or
// that the ledger was closed.
func (l *Ledger) Await(ctx context.Context, index engine.LogIndex) error {
	if err := l.AwaitTrail(ctx, index); err != nil {
		return err
	}
	for {
		gone, changed := l.nextSealed()
		if gone == nil || gone.Sealed > index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the orders of session %d are not on disk yet: %w", gone.Session, ctx.Err())
		case <-l.ctx.Done():
			return fmt.Errorf("the ledger is closed: %w", context.Canceled)
		}
	}
}

// AwaitTrail is Await of the trail alone.
func (l *Ledger) AwaitTrail(ctx context.Context, index engine.LogIndex) error {
	return l.trail.Await(ctx, index)
}

// Stats are what a ledger tells of itself.
type Stats struct {
	trail.Stats
	Damaged int64 // files and segments quarantined since the start
	Missing int   // settled sessions whose orders could not be had yet
	Whole   bool  // nothing is known to be missing
}

// Stats gives the figures. It asks no disk.
func (l *Ledger) Stats() Stats {
	s, o := Stats{Stats: l.trail.Stats()}, l.orders.Stats()
	s.Damaged, s.Missing, s.Bytes = s.Rebuilds+o.Damaged, o.Missing, s.Bytes+o.Bytes
	s.Whole = s.Index > 0 && s.Gaps == 0 && s.Missing == 0
	if t := l.trouble.Load(); t != nil && s.Trouble == "" {
		s.Trouble = *t
	}
	return s
}

// behindTooFar is how far behind the state a trail may be before it is an alarm.
const behindTooFar = time.Minute

// Alarms tells what of the ledger somebody must see to. It asks no disk.
func (l *Ledger) Alarms() (alarms []engine.Alarm) {
	alarm := func(name engine.AlarmName, advice, format string, args ...any) {
		alarms = append(alarms, engine.Alarm{Name: name, Detail: fmt.Sprintf(format, args...), Advice: advice})
	}
	s := l.Stats()
	if s.Trouble != "" {
		alarm(engine.AlarmLedgerBlocked,
			"Sales go on; no orders leave memory and no snapshot is taken until it can. Give "+
				"its disk room.", "The ledger can't be written: %s.", s.Trouble)
	}
	if s.Missing > 0 {
		alarm(engine.AlarmLedgerMissing,
			"Until then no payment is taken that may have been for one of them. Bring other "+
				"nodes back that have them; or stop this one, copy the files that it lacks from ledger/settled of a "+
				"restored "+
				"backup into DATA/ledger/settled, and start it.",
			"The ledger lacks the orders of %s.", engine.Counted(int64(s.Missing), "settled session"))
	}
	if s.Behind > behindTooFar {
		alarm(engine.AlarmLedgerBehind, "Its disk is too slow.", "The ledger is %s behind, with %s to write.",
			s.Behind.Round(time.Second), engine.Counted(int64(s.Waiting), "event"))
	}
	if s.Gaps > 0 {
		alarm(engine.AlarmLedgerGaps, "Other nodes are asked for what is missing; what none of them has stays missing.",
			"The trail of events has %s.", engine.Counted(s.Gaps, "gap"))
	}
	if s.Damaged > 0 {
		alarm(engine.AlarmLedgerRebuilt, "Check its disk; this is said until the node is started again.",
			"Files of the ledger were damaged and quarantined, %d since the start.", s.Damaged)
	}
	return alarms
}
