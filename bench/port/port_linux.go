package port

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// hold binds a socket that never listens. Where each of two sockets may reuse an
// address, as every listener of package net may, a second can be bound to it as long
// as the first does not listen; the kernel gives its port to nobody who asks for any.
func hold() (addr string, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = unix.Close(fd) }
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}))
	at, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		release()
		return "", nil, err
	}
	port := at.(*unix.SockaddrInet4).Port
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, uint16(port))).String(), release, nil
}
