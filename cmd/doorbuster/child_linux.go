package main

import "syscall"

// childAttributes are of a process that must not outlive this one, and that the
// terminal's Ctrl-C is not for. The kernel counts the end of the thread that
// started it as ours; Go ends none but those that a goroutine took for itself.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
