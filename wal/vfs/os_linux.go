package vfs

import "golang.org/x/sys/unix"

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
