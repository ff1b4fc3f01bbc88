// Package cli is what all commands share: their errors, how they take arguments, and how
// they print.
package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// UsageError is a wrong use of the command line: exit status 2.
type UsageError struct{ err error }

// Usage makes err a UsageError.
func Usage(err error) error { return UsageError{err} }

func (u UsageError) Error() string { return u.err.Error() }

// ErrQuiet ends the program with status 1 after everything has been said.
var ErrQuiet = errors.New("failed")

// ExitError is an error that has an exit status of its own.
type ExitError struct {
	Status int
	err    error
}

// Exit makes err an ExitError.
func Exit(status int, err error) error { return ExitError{status, err} }

func (e ExitError) Error() string { return e.err.Error() }

// Group makes a command that is only there for those below it.
func Group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = NoArguments
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(below...)
	return c
}

// NoArguments is for a command that takes none.
func NoArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(fmt.Errorf("unknown command or argument %q for %q", args[0], c.CommandPath()))
	}
	return nil
}

// WithArguments lets a command take arguments, which check must find right.
func WithArguments(c *cobra.Command, check func(args []string) error) *cobra.Command {
	c.Args = func(_ *cobra.Command, args []string) error {
		if err := check(args); err != nil {
			return Usage(err)
		}
		return nil
	}
	return c
}
