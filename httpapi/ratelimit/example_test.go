package ratelimit_test

import (
	"fmt"
	"net/netip"
	"time"

	"doorbuster/httpapi/ratelimit"
)

func ExampleLimiter() {
	limiter, err := ratelimit.New(ratelimit.Config{PerSecond: 1, Burst: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	key := limiter.AddressKey(netip.MustParseAddr("203.0.113.5"))
	now := time.Date(2026, 9, 20, 2, 0, 0, 0, time.UTC)
	for range 3 {
		fmt.Println(limiter.Allow(key, now))
	}
	fmt.Println(limiter.Allow(key, now.Add(time.Second)))
	// Output:
	// true
	// true
	// false
	// true
}

func ExampleTrusted_ClientAddr() {
	proxies, err := ratelimit.ParseTrusted([]string{"10.0.0.0/8"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The client wrote 1.1.1.1; the proxy added where that really came from.
	header := []byte("1.1.1.1, 203.0.113.5")
	fmt.Println(proxies.ClientAddr(netip.MustParseAddr("10.0.0.1"), header))
	fmt.Println(proxies.ClientAddr(netip.MustParseAddr("198.51.100.9"), header))
	// Output:
	// 203.0.113.5
	// 198.51.100.9
}

func ExampleConfig_Validate() {
	fmt.Println(ratelimit.Config{PerSecond: -1, Keys: 5}.Validate())
	// Output:
	// Keys is 5; it must be 1024 to 16777216
	// PerSecond is -1; it must be 0 (no limit) or 0.001 to 1000000
	// Burst is 0; it must be 1 to 1000000
}
