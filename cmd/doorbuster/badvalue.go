package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// formOf says what values a flag takes, in words.
func formOf(f *pflag.Flag) string {
	switch kind := f.Value.Type(); {
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case strings.HasPrefix(kind, "uint"):
		return "a whole number from 0 on"
	case kind == "float64":
		return "a number such as 1.5"
	case kind == "bool":
		return "true or false"
	case kind == "duration":
		return "a duration such as 1.5s or 10m"
	}
	return "a value for it"
}

// badFlag says in plain words which value a flag can't take.
func badFlag(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		err = fmt.Errorf("--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), formOf(bad.GetFlag()))
		if custom := errors.Unwrap(bad); formOf(bad.GetFlag()) == "a value for it" && custom != nil {
			err = fmt.Errorf("--%s: %q can't be: %w", bad.GetFlag().Name, bad.GetValue(), custom)
		}
	}
	return usageError{err}
}

// badSettings says in plain words which keys of a file, or variables, err is about.
func badSettings(flags *pflag.FlagSet, value func(key string) string, err error) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if key := keyOf(f.Name); strings.Contains(err.Error(), "'"+key+"'") {
			errs = append(errs, fmt.Errorf("%s: %q is not %s", key, value(key), formOf(f)))
		}
	})
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}
