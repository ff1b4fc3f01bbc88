package peer

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSilenceIsBounded: both ends of a connection give up a peer that acknowledges
// nothing.
func TestSilenceIsBounded(t *testing.T) {
	a, b := openNode(t, hello("a1"), nil, nil), openNode(t, hello("b1"), nil, nil)
	out, in := connect(t, a, b, kindRPC)
	for name, c := range map[string]net.Conn{"caller": out, "called": in} {
		raw, err := c.(*conn).raw.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: int(silence.Milliseconds()),
				unix.TCP_KEEPIDLE: 1, unix.TCP_NODELAY: 1} {
				if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
					t.Errorf("%s: option %d is %d: %v", name, option, got, err)
				}
			}
		})
	}
}
