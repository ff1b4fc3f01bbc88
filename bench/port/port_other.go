//go:build !linux

package port

import "net"

// hold finds a port that nobody has just now; it can't be kept here.
func hold() (addr string, release func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return ln.Addr().String(), func() {}, ln.Close()
}
