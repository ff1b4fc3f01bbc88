//go:build !linux

package vfs

import (
	"errors"
	"syscall"
)

// Good enough to develop on; the log is meant to run on Linux.

func datasync(fd uintptr) error { return syscall.Fsync(int(fd)) }

func allocate(uintptr, int64) error { return errors.ErrUnsupported }
