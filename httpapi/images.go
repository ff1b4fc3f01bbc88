package httpapi

import (
	"context"
	"net/netip"
	"sync"
)

// Bounds of images that are drawn for challenges, some milliseconds each.
const (
	imagesAtOnce  = 4
	imagesWaiting = 256 // those that are being drawn among them
)

// imageDesk has images drawn, a few at once, in the order in which they were asked
// for: one for a shopper at a time, and the places in line shared fairly among
// addresses. Safe for concurrent use.
type imageDesk struct {
	drawing chan struct{} // one for each that is being drawn
	shares  *shares       // by address

	mu     sync.Mutex
	asking map[string]struct{} // shoppers one is asked for
}

func newImageDesk() *imageDesk {
	return &imageDesk{drawing: make(chan struct{}, imagesAtOnce), shares: newShares(imagesWaiting),
		asking: map[string]struct{}{}}
}

// enter waits until an image may be drawn, which leave is to follow. Else it says why
// not: tooOften for a shopper who waits for one already, unavailable where there is no
// place in line, or none any more, or ctx ended.
func (d *imageDesk) enter(ctx context.Context, shopper string, from netip.Addr) (leave func(), why problemKind) {
	d.mu.Lock()
	_, asked := d.asking[shopper]
	d.asking[shopper] = struct{}{}
	d.mu.Unlock()
	if asked {
		return nil, tooOften
	}
	answered := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.asking, shopper)
	}
	ctx, turnAway := context.WithCancel(ctx)
	out := d.shares.enter(networkOf(from).String(), turnAway)
	if out != nil {
		select {
		case d.drawing <- struct{}{}:
			return func() {
				<-d.drawing
				out()
				turnAway()
				answered()
			}, 0
		case <-ctx.Done():
			out()
		}
	}
	turnAway()
	answered()
	return nil, unavailable
}
