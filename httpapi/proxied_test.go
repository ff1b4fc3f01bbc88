package httpapi

import (
	"net"
	"testing"

	"doorbuster/httpapi/ratelimit"
)

// TestTrustedProxiesAreNotOneAddress: at each door, the connections of a balancer that
// is trusted bring many, and do not count as one address's; those of others do.
func TestTrustedProxiesAreNotOneAddress(t *testing.T) {
	for _, c := range []struct {
		trusted string
		want    int
	}{{"127.0.0.0/8", 200}, {"10.0.0.0/8", 429}} {
		proxies, err := ratelimit.ParseTrusted([]string{c.trusted})
		if err != nil {
			t.Fatal(err)
		}
		few := Limits{ConnectionsPerIP: 1}
		s, front := serveShopper(t, ShopperConfig{Seller: selling(&fakeSeller{}), Dev: true, Limits: few, Display: &few,
			Guard: GuardConfig{Proxies: proxies}})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.ServeDisplay(ln) }() // until the server is shut down
		for _, door := range []string{front, ln.Addr().String()} {
			status := 0
			for range 3 {
				one := dial(t, door)
				one.send(t, "GET /v1/time HTTP/1.1\r\nHost: shop.test\r\n\r\n")
				status, _, _ = one.receive(t)
			}
			if status != c.want {
				t.Errorf("with %s trusted, the third connection hears %d; want %d", c.trusted, status, c.want)
			}
		}
	}
}
