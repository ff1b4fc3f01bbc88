package backoffice

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"doorbuster/actors"
	"doorbuster/engine"
)

// Office is a group, and all that doors ask of it besides grabs. It takes the group's
// place with whoever tells of entries and epochs, and with the doors. Safe for
// concurrent use.
type Office struct {
	*actors.Group
	logger   *slog.Logger
	patience time.Duration // what a command may take
	wall     func() time.Time

	watchers watchers
	settling sync.WaitGroup
	closing  context.Context // ends with Close
	close    context.CancelFunc

	short short // which suppliers have less than is held and paid

	strays  atomic.Int64 // payments for no order that this node took
	strayAt atomic.Int64 // when it took the last, in milliseconds since 1970
}

// New makes an office, and the group that it sells by, which knows of nothing yet. Connect
// it before anything else.
func New(cfg actors.Config) (*Office, error) {
	g, err := actors.New(cfg)
	if err != nil {
		return nil, err
	}
	bo := &Office{Group: g, logger: cfg.Logger, patience: cfg.CommandTimeout, wall: cfg.Wall}
	bo.closing, bo.close = context.WithCancel(context.Background())
	return bo, nil
}

// Close stops the office and its group.
func (bo *Office) Close() {
	bo.close()
	bo.settling.Wait()
	bo.Group.Close()
}

// Applied is Group.Applied, and wakes those who watch.
func (bo *Office) Applied(s *engine.State, effects *engine.Effects) {
	bo.Group.Applied(s, effects)
	bo.watchers.tell(s, effects)
}

// Restored is Group.Restored, and wakes those who watch.
func (bo *Office) Restored(s *engine.State) {
	bo.Group.Restored(s)
	bo.watchers.tellAll()
}

// StrayPayments counts payments for no order of the group that this node took.
func (bo *Office) StrayPayments() int64 { return bo.strays.Load() }

func refusal(why engine.Reason) error { return &engine.Refusal{Reason: why} }

// handle gives the handle of a listing, after this node knows all that was told.
func (bo *Office) handle(ctx context.Context, session, sku string) (engine.ListingHandle, error) {
	if err := bo.CatchUp(ctx); err != nil {
		return 0, err
	}
	if h := bo.Handle(session, sku); h != 0 {
		return h, nil
	}
	return 0, refusal(engine.ReasonUnknown)
}

// askBy takes a command of an operator's through the log.
func (bo *Office) askBy(ctx context.Context, by engine.By, c engine.Command) error {
	if err := bo.sign(ctx, &c, by); err != nil {
		return err
	}
	_, err := bo.Ask(ctx, c)
	return err
}
