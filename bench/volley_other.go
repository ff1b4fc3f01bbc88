//go:build !linux

package bench

import (
	"context"
	"errors"
	"time"
)

// fire sends for warmUp unmeasured and then for measured.
func (v *volley) fire(ctx context.Context, warmUp, measured time.Duration) (shot, error) {
	return v.fireByConns(ctx, warmUp, measured)
}

// onCores shares the machine.
func onCores(_ bool, do func() error) error { return do() }

// storm needs a loop of its own.
func (v *volley) storm(context.Context, time.Duration, []stretch) ([][]window, error) {
	return nil, errors.ErrUnsupported
}

// throng leaves everybody to the crowd's own workers.
func (r *crowd) throng(context.Context) error { return nil }
