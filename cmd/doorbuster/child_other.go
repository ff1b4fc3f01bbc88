//go:build unix && !linux

package main

import "syscall"

// childAttributes are of a process that the terminal's Ctrl-C is not for.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
