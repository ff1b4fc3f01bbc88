//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// ownerOf gives whose a file is.
func ownerOf(info fs.FileInfo) (uid, gid int, known bool) {
	s, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, 0, false
	}
	return int(s.Uid), int(s.Gid), true
}
