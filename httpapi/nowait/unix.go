//go:build unix

package nowait

import (
	"net"
	"syscall"
)

func to(c *net.TCPConn) *Writer {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var rest []byte
	try := func(fd uintptr) bool {
		for len(rest) > 0 {
			n, err := syscall.Write(int(fd), rest)
			if err != nil && err != syscall.EINTR {
				break
			}
			rest = rest[max(n, 0):]
		}
		return true
	}
	return &Writer{func(b []byte) int {
		rest = b
		_ = raw.Write(try) // an error is met again by whoever writes the rest
		n := len(b) - len(rest)
		rest = nil
		return n
	}}
}
