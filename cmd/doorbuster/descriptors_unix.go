//go:build unix

package main

import "syscall"

// descriptorLimit raises the process's limit of open files as far as it may, and
// gives it; 0 if it is not known.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	if raised := limit; raised.Cur < raised.Max {
		raised.Cur = raised.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return uint64(limit.Cur)
}
