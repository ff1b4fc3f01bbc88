//go:build !unix

package main

import "io/fs"

// ownerOf knows nothing here.
func ownerOf(fs.FileInfo) (uid, gid int, known bool) { return 0, 0, false }
