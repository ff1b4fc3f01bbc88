package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Setting is one setting of a workload, stated once: its name, its default, its
// bounds and what it means.
type Setting struct {
	Name string // as its flag is called; messages have spaces for the dashes
	// Help says what it means; without it, it has no flag.
	Help string
	// At points to it: *bool, *int, *int64, *uint64, *float64, *string, *[]string or
	// *time.Duration.
	At any

	reset func()        // to the default
	fault func() string // its value, and what it must be; "" where it is that
}

// bounded declares a number of least to most.
func bounded[T ~int | ~int64 | ~float64](at *T, name string, otherwise, least, most T, help string) Setting {
	s := free(at, name, otherwise, help)
	s.fault = func() string {
		if *at >= least && *at <= most {
			return ""
		}
		return fmt.Sprintf("%v: want %v to %v", *at, least, most)
	}
	return s
}

// share declares a part of 1.
func share(at *float64, name string, otherwise float64, help string) Setting {
	return bounded(at, name, otherwise, 0, 1, help)
}

// span declares a time of least to an hour.
func span(at *time.Duration, name string, otherwise, least time.Duration, help string) Setting {
	return bounded(at, name, otherwise, least, time.Hour, help)
}

// choice declares one of several words, three or more, which are its help too.
func choice(at *string, name, otherwise string, words ...string) Setting {
	last := len(words) - 1
	help := strings.Join(words[:last], ", ") + " or " + words[last]
	s := free(at, name, otherwise, help)
	s.fault = func() string {
		if slices.Contains(words, *at) {
			return ""
		}
		return fmt.Sprintf("%q: want %s", *at, help)
	}
	return s
}

// free declares what has no bounds of its own.
func free[T any](at *T, name string, otherwise T, help string) Setting {
	return Setting{Name: name, Help: help, At: at, reset: func() { *at = otherwise }}
}

// settled is a pointer to a workload's configuration.
type settled[C any] interface {
	*C
	Settings() []Setting
}

// defaults gives a configuration with every setting at its default.
func defaults[C any, P settled[C]]() (c C) {
	for _, s := range P(&c).Settings() {
		s.reset()
	}
	return c
}

// problems are all that is wrong with a configuration.
type problems []error

// unless adds a problem where something that must hold does not.
func (p *problems) unless(holds bool, format string, args ...any) {
	if !holds {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// check adds the settings that are out of bounds.
func (p *problems) check(all []Setting) {
	for _, s := range all {
		if s.fault == nil {
			continue
		}
		fault := s.fault()
		p.unless(fault == "", "%s %s", strings.ReplaceAll(s.Name, "-", " "), fault)
	}
}

func (p problems) join() error { return errors.Join(p...) }
