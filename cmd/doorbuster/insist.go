package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"doorbuster/engine"
)

// What asks for a change whose outcome it does not hear asks again with the same
// key, so that the change is made once.
const (
	mostInsisted = 4 // tries in all
	insistPause  = 500 * time.Millisecond
)

// errUnheard marks an error after which a change may have been made or not.
var errUnheard = errors.New("outcome unknown")

// unheard is an error that leaves open what became of a change.
type unheard struct{ error }

func (u unheard) Is(target error) bool { return target == errUnheard }
func (u unheard) Unwrap() error        { return u.error }

// intendFlag lets whoever heard of no outcome repeat a command with its key.
func (o *applyOptions) intendFlag(flags *pflag.FlagSet) {
	flags.StringVar(&o.key, "idempotency-key", "", "`key` of a command whose outcome was not heard: what was done with it is not done again")
}

// intent gives the key of what this command means to have done once.
func (o *applyOptions) intent() string {
	if o.key == "" {
		o.key = rand.Text()
	}
	return o.key
}

func (o *applyOptions) validIntent() error {
	if o.key != "" && !engine.ValidKey([]byte(o.key)) {
		return errors.New("--idempotency-key is not 1 to 255 printable ASCII characters without a space")
	}
	return nil
}

// insist asks for a change until its outcome is heard, some times. again makes the
// request anew; false where it can't.
func (o *applyOptions) insist(ctx context.Context, try func() error, again func() bool) error {
	for n := 1; ; n++ {
		err := try()
		var refused refusal
		if !errors.Is(err, errUnheard) && !(errors.As(err, &refused) && refused.passes()) {
			return err
		}
		if n < mostInsisted && ctx.Err() == nil && again() {
			select {
			case <-ctx.Done():
			case <-time.After(insistPause):
				continue
			}
		}
		return fmt.Errorf("%w; the same command with --idempotency-key %s does it once, whether or not it is done already", err, o.intent())
	}
}
