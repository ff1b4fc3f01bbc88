//go:build !linux

package peer

import (
	"net"
	"time"
)

// boundSilence is left to the keepalive here, which notices idle peers only.
func boundSilence(*net.TCPConn, time.Duration) error { return nil }
