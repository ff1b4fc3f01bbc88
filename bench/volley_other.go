//go:build !linux

package bench

import (
	"context"
	"time"
)

// fire sends for warmUp unmeasured and then for measured.
func (v *volley) fire(ctx context.Context, warmUp, measured time.Duration) (shot, error) {
	return v.fireByConns(ctx, warmUp, measured)
}
