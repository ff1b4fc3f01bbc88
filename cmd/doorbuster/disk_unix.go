//go:build linux || darwin

package main

import "syscall"

// diskFree gives how many bytes may still be written to the disk of dir.
func diskFree(dir string) (bytes uint64, known bool) {
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil {
		return 0, false
	}
	return fs.Bavail * uint64(fs.Bsize), true
}
