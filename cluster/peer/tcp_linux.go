package peer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// boundSilence makes the kernel give a connection up when what was sent on it is
// not acknowledged for d: a peer whose cable was pulled says nothing at all.
func boundSilence(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var optionErr error
	err = raw.Control(func(fd uintptr) {
		optionErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return optionErr
}
