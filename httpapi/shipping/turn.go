package shipping

import (
	"context"
	"errors"
	"fmt"
)

// ErrBusy: the session's orders are being worked on, and for long or by many. Nothing was
// changed.
var ErrBusy = errors.New("the session's orders are being worked on")

// mostWaiting is how many wait for their turn at the orders of a session.
const mostWaiting = 64

// turn is the one place at the orders of a session: changes of them go one after the other.
type turn struct {
	place chan struct{}
	in    int  // who has the place or waits for it
	looks bool // one of them takes a second look, which may take as long as the risk service does
}

// enter waits for the turn at a session's orders, until ctx ends; whoever got it calls leave.
// looks: it is for a second look. Errors: ErrBusy where one is under way or to come, or too
// many wait; ctx's.
func (d *Desk) enter(ctx context.Context, session string, looks bool) (leave func(), err error) {
	d.mu.Lock()
	t := d.turns[session]
	if t == nil {
		t = &turn{place: make(chan struct{}, 1)}
		d.turns[session] = t
	}
	switch {
	case t.looks:
		err = fmt.Errorf("%w: a second look is under way", ErrBusy)
	case t.in > mostWaiting:
		err = fmt.Errorf("%w: %d others wait for it", ErrBusy, mostWaiting)
	default:
		t.in++
		t.looks = looks
	}
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if t.in--; looks {
			t.looks = false
		}
		if t.in == 0 {
			delete(d.turns, session)
		}
	}
	select {
	case t.place <- struct{}{}:
		return func() { <-t.place; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}
