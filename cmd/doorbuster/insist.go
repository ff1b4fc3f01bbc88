package main

import (
	"crypto/rand"
	"errors"

	"github.com/spf13/pflag"

	"doorbuster/engine"
)

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
