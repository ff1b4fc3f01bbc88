//go:build unix && !linux

package sqltest

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
