package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"doorbuster/cmd/doorbuster/settings"
)

// BadFlag says in plain words which value a flag can't take.
func BadFlag(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		f := bad.GetFlag()
		err = fmt.Errorf("--%s: %w", f.Name, settings.BadValue(f.Value.Type(), bad.GetValue(), errors.Unwrap(bad)))
	}
	return Usage(err)
}

// NoTimeBelowZero refuses durations that no command has a use for.
func NoTimeBelowZero(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "duration" && strings.HasPrefix(f.Value.String(), "-") {
			errs = append(errs, fmt.Errorf("--%s: %s is under 0s", f.Name, f.Value))
		}
	})
	if len(errs) == 0 {
		return nil
	}
	return Usage(errors.Join(errs...))
}
