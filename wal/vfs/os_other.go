//go:build !linux

package vfs

import (
	"errors"
	"os"
	"syscall"
)

func openDirect(uintptr) (*os.File, error) { return nil, errors.ErrUnsupported }

// Good enough to develop on; the log is meant to run on Linux.

func datasync(fd uintptr) error { return syscall.Fsync(int(fd)) }

func allocate(uintptr, int64) error { return errors.ErrUnsupported }
