package main

import (
	"errors"
	"fmt"
	"strconv"
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

// badValue says in plain words that text can't be the value of a flag.
func badValue(name, text string, f *pflag.Flag) error {
	if _, err := strconv.ParseFloat(text, 64); err == nil && f.Value.Type() == "duration" {
		return fmt.Errorf("%s: %q has no unit; give one, such as %ss", name, text, text)
	}
	return fmt.Errorf("%s: %q is not %s", name, text, formOf(f))
}

// badFlag says in plain words which value a flag can't take.
func badFlag(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		err = badValue("--"+bad.GetFlag().Name, bad.GetValue(), bad.GetFlag())
		if custom := errors.Unwrap(bad); formOf(bad.GetFlag()) == "a value for it" && custom != nil {
			err = fmt.Errorf("--%s: %q can't be: %w", bad.GetFlag().Name, bad.GetValue(), custom)
		}
	}
	return usageError{err}
}

// noTimeBelowZero refuses durations that no command has a use for.
func noTimeBelowZero(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "duration" && strings.HasPrefix(f.Value.String(), "-") {
			errs = append(errs, fmt.Errorf("--%s: %s is under 0s", f.Name, f.Value))
		}
	})
	if len(errs) == 0 {
		return nil
	}
	return usageError{errors.Join(errs...)}
}

// badSettings says in plain words which keys of a file, or variables, err is about.
func badSettings(flags *pflag.FlagSet, value func(key string) string, err error) error {
	var errs []error
	check := func(f *pflag.Flag) {
		if key := keyOf(f.Name); strings.Contains(err.Error(), "'"+key+"'") {
			errs = append(errs, badValue(key, value(key), f))
		}
	}
	flags.VisitAll(check)
	file := pflag.NewFlagSet("", pflag.ContinueOnError) // what stands in a file only
	file.Duration("cluster.zone_timeout", 0, "")
	file.VisitAll(check)
	if len(errs) == 0 {
		return err
	}
	return errors.Join(errs...)
}
