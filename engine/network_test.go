package engine

import (
	"errors"
	"testing"
)

// TestPlainNetworkError: no alarm speaks as Go, gRPC and the system's calls do.
func TestPlainNetworkError(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{`rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial ` +
			`tcp [::1]:7002: connect: connection refused"`,
			"nothing listens at [::1]:7002"},
		{`follow: rpc error: code = DeadlineExceeded desc = context deadline exceeded`, "no answer in time"},
		{`rpc error: code = Unavailable desc = error reading from server: EOF`, "the connection broke off"},
		{`closing transport due to: connection error: desc = "error reading from server: EOF", received prior ` +
			`goaway: code: NO_ERROR`,
			"the connection broke off"},
		{`rpc error: code = Unavailable desc = keepalive ping failed to receive ACK within timeout`,
			"no answer in time"},
		{`ask the cashier: dial tcp: lookup pay.example on 127.0.0.53:53: no such host`,
			"there is no address for pay.example"},
		{`dial tcp 10.0.0.1:80: connect: no route to host`, "no network leads to 10.0.0.1:80"},
		{`dial tcp 10.0.0.1:80: i/o timeout`, "no answer in time"},
		{`read tcp 10.0.0.1:80->10.0.0.2:99: read: connection reset by peer`, "the connection broke off"},
		{`accept tcp 127.0.0.1:80: accept4: too many open files`, "too many open files"},
		{`connection refused`, "nothing listens at its address"},
		{`the cashier answered with status 503`, "the cashier answered with status 503"},
		{`rpc error: code = Unknown desc = is for b`, "is for b"},
	} {
		if got := PlainNetworkError(errors.New(c.said)); got != c.want {
			t.Errorf("%s: %q, want %q", c.said, got, c.want)
		}
	}
}
