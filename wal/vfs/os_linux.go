package vfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openDirect opens a file that is open once more, whatever its name is by now, for
// writes that are on the disk when they return.
func openDirect(fd uintptr) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY|unix.O_DIRECT|unix.O_DSYNC, 0)
}

// Both calls start again when a signal interrupts them: the Go scheduler sends
// signals of its own accord.

func datasync(fd uintptr) error {
	for {
		if err := unix.Fdatasync(int(fd)); err != unix.EINTR {
			return err
		}
	}
}

func allocate(fd uintptr, size int64) error {
	for {
		if err := unix.Fallocate(int(fd), 0, 0, size); err != unix.EINTR {
			return err
		}
	}
}
