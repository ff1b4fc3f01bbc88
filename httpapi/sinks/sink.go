package sinks

import (
	"context"
	"log/slog"

	"doorbuster/engine"
)

// MaxBatch is how many changes a sink is handed at once, at most.
const MaxBatch = 500

// Change is one committed event with the order that it is about.
type Change struct {
	engine.TrailEvent
	// Order is the order as it is now, which may be further than the event has it: nil if
	// the event is about none. Changes of one batch share it: read only.
	Order *engine.OrderView
	// AsOf is the log index that Order is of, or a later one: of two views of an order, the
	// one of the higher index is the newer.
	AsOf engine.LogIndex
}

// ID names the change, the same each time that it is handed over: "4711.0".
func (c *Change) ID() string { return c.TrailPosition.String() }

// Sink is where committed changes flow to. One goroutine calls it. Its life: Open, Write as
// often as there is something, Close; after an error it is closed, and opened again later.
// Each call ends soon after its context does, and Close within seconds.
type Sink interface {
	// Open connects, and gives the position behind the last change that the other side has
	// for good. known is false if it keeps none: then the group's own note counts. An other
	// side that would keep one and has taken nothing yet gives the zero position, known.
	Open(ctx context.Context) (at engine.TrailPosition, known bool, err error)
	// Write hands over changes in order, whole or not at all where the other side can; next
	// is the position behind the last, to be kept with them. A sink that keeps a position
	// refuses to write if it is not the one that Open gave or that it wrote last: another
	// node leads by now, and has written. changes may be empty, where there was nothing
	// for sinks up to next. They are the caller's again once Write returns.
	//
	// When changes are sent again by an operator's wish, next is what it was before.
	Write(ctx context.Context, changes []Change, next engine.TrailPosition) error
	// Close gives everything back. It is called after a failed Open, too.
	Close() error
}

// Rewinder is a Sink that can be told to forget what came after a position: an operator
// wants a replay from there, or skips what is gone. One that keeps a position must be one. It is
// called between Open and the first Write; an error is as one of Write.
type Rewinder interface {
	Rewind(ctx context.Context, to engine.TrailPosition) error
}

// Partial is a Sink whose other side takes a batch in parts. After a Write that failed, it says
// how far it is: the position of the first change of the batch that it has not.
type Partial interface {
	Taken() engine.TrailPosition
}

// Bury puts a change aside that the other side refuses for good, so that those behind it
// get their turn; operators can look at it and have it sent again. It comes back once that is
// committed. Error: ErrTooManyLetters, and whatever keeps the group from committing; the
// change is not put aside then, and must not be left out.
type Bury func(ctx context.Context, c *Change, why string) error

// Means is what a sink is made with, whatever its kind.
type Means struct {
	Name   string // as configured
	Bury   Bury
	Logger *slog.Logger // has the sink's name already
}
