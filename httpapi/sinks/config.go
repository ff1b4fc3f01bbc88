package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"doorbuster/engine"
)

// ErrTooManyLetters is why a change is not put aside: the sink has engine.MaxLetters already.
// It waits until some were sent again, or dropped.
var ErrTooManyLetters = errors.New("there are too many dead letters; send them again, or drop them")

// Trail is where committed events are read, as httpapi.Trail. Safe for concurrent use.
type Trail interface {
	// Events gives at most so many events from a position on, which are the caller's, and the
	// position behind the last that it has looked at. Error: *engine.TrailGone where events
	// have been dropped there, and what keeps the trail from being read.
	Events(from engine.TrailPosition, most int) (events []engine.TrailEvent, next engine.TrailPosition, err error)
	// AwaitEvents waits until there is something at a position or behind it, or until ctx
	// ends, and gives the last log index that the trail has.
	AwaitEvents(ctx context.Context, from engine.TrailPosition) engine.LogIndex
	// Horizon gives the position of the first event that is kept, and since when all are.
	Horizon(deeds bool) (engine.TrailPosition, engine.Time, error)
}

// Shop is what the group knows of orders and of sinks. Safe for concurrent use.
type Shop interface {
	// Leads reports whether this node leads: only then are sinks fed.
	Leads() bool
	// OrdersNow gives orders by number as they are at a log index or later. One that is
	// not known any more is left out. The views are whoever's asks.
	OrdersNow(orderNos []string) (views map[string]*engine.OrderView, asOf engine.LogIndex, err error)
	// Sink gives what is noted of a sink. Read only.
	Sink(name string) *engine.SinkNote
	// SetSink notes something of a sink, committed. Errors: *engine.Refusal, and what keeps
	// the group from committing.
	SetSink(ctx context.Context, by engine.By, x engine.SinkChange, note string) error
}

// Fed is a sink with what it is fed.
type Fed struct {
	// Name is an engine.ValidID that no other sink has; Kind is shown, and means nothing here.
	Name, Kind string
	// Sink may be nil until Runner.Give.
	Sink Sink
	// Events are the kinds of events that it is handed; nil: all that Tells.
	Events []engine.EventKind
}

// Config says which sinks are fed, and how. Trail and Shop are required; other zero fields
// take what DefaultConfig has.
type Config struct {
	Sinks []Fed // engine.MaxSinks at most
	Trail Trail
	Shop  Shop
	// Every is how often each sink looks whether this node leads, and for what operators
	// want of it. Default 250 ms, 1 ms to 1 min.
	Every time.Duration
	// NoteEvery is how often it is committed how far a sink has come, while it moves.
	// Default 1 s, 1 ms to 1 h. Rarer: more is handed over again after a failure, to sinks
	// that keep no position; more often: more entries in the log.
	NoteEvery time.Duration
	// RetryFirst and RetryMost are how long after a failure a sink is opened again: at
	// first, and after doubling; each is varied by a fifth. Default 500 ms and 30 s, 1 ms to
	// 1 h.
	RetryFirst, RetryMost time.Duration
	// AlarmAfter is how long a sink may fail, or one call of it last, before that is an
	// alarm. Default 30 s, 1 ms to 1 h.
	AlarmAfter time.Duration
	// Now reads the clock by which that is. Default time.Now.
	Now func() time.Time
	// Logger hears of failures and of what operators had done. Default: nowhere.
	Logger *slog.Logger
}

// DefaultConfig is complete but for what is fed from where.
func DefaultConfig() Config {
	return Config{Every: 250 * time.Millisecond, NoteEvery: time.Second, RetryFirst: 500 * time.Millisecond,
		RetryMost: 30 * time.Second, AlarmAfter: 30 * time.Second, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	c.Every = cmp.Or(c.Every, d.Every)
	c.NoteEvery = cmp.Or(c.NoteEvery, d.NoteEvery)
	c.RetryFirst = cmp.Or(c.RetryFirst, d.RetryFirst)
	c.RetryMost = cmp.Or(c.RetryMost, d.RetryMost)
	c.AlarmAfter = cmp.Or(c.AlarmAfter, d.AlarmAfter)
	if c.Now == nil {
		c.Now = d.Now
	}
	c.Logger = cmp.Or(c.Logger, d.Logger)
	return c
}

// Validate reports every value that is out of its bounds.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	for _, d := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"Every", c.Every, time.Millisecond, time.Minute}, {"NoteEvery", c.NoteEvery, time.Millisecond, time.Hour},
		{"RetryFirst", c.RetryFirst, time.Millisecond, time.Hour}, {"RetryMost", c.RetryMost, c.RetryFirst, time.Hour},
		{"AlarmAfter", c.AlarmAfter, time.Millisecond, time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			errs = append(errs, fmt.Errorf("%s is %s; it must be %s to %s", d.name, d.value, d.least, d.most))
		}
	}
	if len(c.Sinks) > engine.MaxSinks {
		errs = append(errs, fmt.Errorf("there are %d sinks; it may be %d", len(c.Sinks), engine.MaxSinks))
	}
	for i, s := range c.Sinks {
		if !engine.ValidID(s.Name) || slices.ContainsFunc(c.Sinks[:i], func(o Fed) bool { return o.Name == s.Name }) {
			errs = append(errs, fmt.Errorf("%q is no name of a sink, or is there twice", s.Name))
		}
	}
	return errors.Join(errs...)
}

// Tells reports whether events of a kind tell of something that has changed, for whoever
// is outside: what was refused or was so before, and what the nodes do among themselves,
// does not.
func Tells(kind engine.EventKind) bool {
	switch kind {
	case engine.EventNone, engine.EpochOpened, engine.HoldConfirmed, engine.HoldRefused, engine.OrderUnchanged,
		engine.PlanRefused, engine.SessionUnchanged, engine.RulesRaised, engine.CommandRefused, engine.BatchRefused,
		engine.IntentRepeated, engine.SessionCleared, engine.BargainConfirmed, engine.ProductsStaged,
		engine.ProductUnchanged, engine.OrdersHandled, engine.SinkMoved, engine.SinkSteered,
		engine.AlarmNoted, engine.ApprovalAsked, engine.ApprovalWasRejected, engine.ApprovalUnchanged:
		return false
	}
	return true
}

// wants reports whether the sink is handed events of a kind.
func (f *Fed) wants(kind engine.EventKind) bool {
	if f.Events == nil || kind == engine.SinkMoved || kind == engine.SinkSteered {
		return Tells(kind)
	}
	return slices.Contains(f.Events, kind)
}
