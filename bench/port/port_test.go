package port

import (
	"net"
	"slices"
	"testing"
)

// TestHeld: whoever knows an address can listen there, again and again; whoever asks
// for any port gets another.
func TestHeld(t *testing.T) {
	addrs, release, err := Hold(20)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	slices.Sort(addrs)
	if n := len(slices.Compact(slices.Clone(addrs))); n != 20 {
		t.Errorf("%d different addresses", n)
	}
	for _, addr := range addrs {
		for range 2 {
			ln, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			ln.Close()
		}
	}
	for range 200 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if slices.Contains(addrs, ln.Addr().String()) {
			t.Errorf("%s was given to another", ln.Addr())
		}
	}
}
