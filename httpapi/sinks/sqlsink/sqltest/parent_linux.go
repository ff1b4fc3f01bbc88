package sqltest

import "syscall"

// dieWithParent: a test binary that dies must not leave servers behind.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
