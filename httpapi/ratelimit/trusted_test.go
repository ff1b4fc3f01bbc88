package ratelimit

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func parseTrusted(t testing.TB, proxies ...string) Trusted {
	t.Helper()
	trusted, err := ParseTrusted(proxies)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func TestClientAddr(t *testing.T) {
	proxies := parseTrusted(t, "10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.7")
	everyHop := strings.TrimSuffix(strings.Repeat("10.9.9.9,", maxHops-1), ",")
	for _, c := range []struct {
		name, remote string
		lines        []string
		want         string
	}{
		{"no header", "10.0.0.1", nil, "10.0.0.1"},
		{"one proxy", "10.0.0.1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"a single trusted address", "192.0.2.7", []string{"203.0.113.5"}, "203.0.113.5"},
		{"two proxies", "10.0.0.1", []string{"203.0.113.5, 10.0.0.2"}, "203.0.113.5"},
		{"without spaces", "10.0.0.1", []string{"203.0.113.5,10.0.0.2"}, "203.0.113.5"},
		{"with tabs", "10.0.0.1", []string{"\t203.0.113.5 ,\t10.0.0.2\t"}, "203.0.113.5"},
		{"IPv6", "2001:db8:ffff::1", []string{"2001:db8:1::5"}, "2001:db8:1::5"},
		{"IPv4 written as IPv6", "::ffff:10.0.0.1", []string{"::ffff:203.0.113.5, ::ffff:10.0.0.2"}, "203.0.113.5"},
		{"with ports", "10.0.0.1", []string{"203.0.113.5:4711, 10.0.0.2:80"}, "203.0.113.5"},
		{"IPv6 in brackets", "10.0.0.1", []string{"[2001:db8:1::5]"}, "2001:db8:1::5"},
		{"IPv6 with a port", "10.0.0.1", []string{"[2001:db8:1::5]:443"}, "2001:db8:1::5"},
		{"all trusted", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"several lines", "10.0.0.1", []string{"1.1.1.1", "203.0.113.5", "10.0.0.2"}, "203.0.113.5"},

		{"spoofed by whom nobody trusts", "203.0.113.5", []string{"10.0.0.2, 1.1.1.1"}, "203.0.113.5"},
		{"spoofed before the proxy", "10.0.0.1", []string{"1.1.1.1, 203.0.113.5"}, "203.0.113.5"},
		{"spoofed as a proxy", "10.0.0.1", []string{"10.0.0.9, 203.0.113.5"}, "203.0.113.5"},
		{"spoofed in a line before the proxy's", "10.0.0.1", []string{"1.1.1.1", "203.0.113.5"}, "203.0.113.5"},

		{"garbage from the proxy", "10.0.0.1", []string{"unknown"}, "10.0.0.1"},
		{"garbage after a good one", "10.0.0.1", []string{"1.1.1.1, <script>, 10.0.0.2"}, "10.0.0.2"},
		{"empty", "10.0.0.1", []string{""}, "10.0.0.1"},
		{"an empty place", "10.0.0.1", []string{"1.1.1.1,,10.0.0.2"}, "10.0.0.2"},
		{"only commas", "10.0.0.1", []string{",,,,"}, "10.0.0.1"},
		{"a number too high", "10.0.0.1", []string{"203.0.113.256"}, "10.0.0.1"},
		{"unspecified", "10.0.0.1", []string{"0.0.0.0"}, "10.0.0.1"},
		{"a zone", "10.0.0.1", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"a prefix", "10.0.0.1", []string{"203.0.113.0/24"}, "10.0.0.1"},
		{"half a bracket", "10.0.0.1", []string{"[2001:db8:1::5"}, "10.0.0.1"},
		{"IPv4 in brackets", "10.0.0.1", []string{"[203.0.113.5]"}, "10.0.0.1"},
		{"a port that is none", "10.0.0.1", []string{"203.0.113.5:http"}, "10.0.0.1"},
		{"a port too long", "10.0.0.1", []string{"203.0.113.5:123456"}, "10.0.0.1"},
		{"a colon only", "10.0.0.1", []string{"203.0.113.5:"}, "10.0.0.1"},
		{"too much space", "10.0.0.1", []string{strings.Repeat(" ", maxHopBytes) + "203.0.113.5"}, "10.0.0.1"},
		{"too long after a good one", "10.0.0.1", []string{strings.Repeat("1", 1<<20) + ",10.0.0.2"}, "10.0.0.2"},
		{"as many hops as are read", "10.0.0.1", []string{"203.0.113.5," + everyHop}, "203.0.113.5"},
		{"a hop more", "10.0.0.1", []string{"203.0.113.5,10.8.8.8," + everyHop}, "10.8.8.8"},
		{"hops in lines of their own", "10.0.0.1", append([]string{"203.0.113.5", "10.8.8.8"}, strings.Split(everyHop,
			",")...), "10.8.8.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := proxies.ClientAddr(netip.MustParseAddr(c.remote), lines(c.lines)...)
			if got != netip.MustParseAddr(c.want) {
				t.Errorf("the client is %s; want %s", got, c.want)
			}
			if got := (Trusted{}).ClientAddr(netip.MustParseAddr(c.remote),
				lines(c.lines)...); got != netip.MustParseAddr(c.remote).Unmap() {
				t.Errorf("with nobody trusted the client is %s; want %s", got, c.remote)
			}
		})
	}
}

func lines(texts []string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func TestParseTrusted(t *testing.T) {
	_, err := ParseTrusted([]string{"10.0.0.0/8", "10.0.0.5/8", "lb", "0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96",
		"fe80::1%eth0", "1.2.3.4/33", ""})
	if err == nil {
		t.Fatal("what is wrong is taken")
	}
	for _, want := range []string{
		`"10.0.0.5/8": there is more of the address than its length says; write 10.0.0.0/8`, `"lb": not an address`,
		`"0.0.0.0/0": this trusts everybody`,
		`"::/0": this trusts everybody`, `"::ffff:0.0.0.0/96": this trusts every IPv4`, `"fe80::1%eth0": not`,
		`"1.2.3.4/33": not`, `"": not`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), `"10.0.0.0/8"`) {
		t.Errorf("%q blames a good prefix", err)
	}
	if _, err := ParseTrusted(make([]string, maxTrusted+1)); err == nil {
		t.Error("too many are taken")
	}
	proxies := parseTrusted(t, "::ffff:10.0.0.0/104", "::ffff:192.0.2.7")
	for text, want := range map[string]bool{"10.1.2.3": true, "11.0.0.0": false, "192.0.2.7": true, "192.0.2.8": false,
		"::1": false} {
		if proxies.Contains(netip.MustParseAddr(text)) != want {
			t.Errorf("%s is trusted: %t", text, !want)
		}
	}
}

func TestClientAddrAllocates(t *testing.T) {
	proxies, remote := parseTrusted(t, "10.0.0.0/8"), netip.MustParseAddr("10.0.0.1")
	one := [][]byte{[]byte("1.1.1.1, 203.0.113.5:80, 10.0.0.2")}
	two := [][]byte{[]byte("[2001:db8::1]:443"), []byte("10.0.0.3,10.0.0.2")}
	three := [][]byte{[]byte("unknown, 10.0.0.2")}
	n := testing.AllocsPerRun(1000, func() {
		proxies.ClientAddr(remote, one...)
		proxies.ClientAddr(remote, two...)
		proxies.ClientAddr(remote, three...)
		proxies.ClientAddr(remote)
	})
	if n != 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

// FuzzClientAddr: a client can say what it likes, in front of what the proxy
// says of it and in lines of its own: its address stays what the proxy said.
func FuzzClientAddr(f *testing.F) {
	proxies, remote, client := parseTrusted(f, "10.0.0.0/8"), netip.MustParseAddr("10.0.0.1"),
		netip.MustParseAddr("203.0.113.5")
	f.Add([]byte("1.1.1.1"))
	f.Add([]byte("10.0.0.2, 10.0.0.3"))
	f.Add([]byte("[::ffff:10.0.0.2]:1,\x00,"))
	f.Fuzz(func(t *testing.T, said []byte) {
		kept := bytes.Clone(said)
		joined := append(bytes.Clone(said), ", 203.0.113.5, 10.0.0.2"...)
		if got := proxies.ClientAddr(remote, joined); got != client {
			t.Errorf("%q: the client is %s", joined, got)
		}
		if got := proxies.ClientAddr(remote, said, []byte("203.0.113.5")); got != client {
			t.Errorf("%q in a line of its own: the client is %s", said, got)
		}
		if got := proxies.ClientAddr(client, said); got != client {
			t.Errorf("%q from an untrusted address: the client is %s", said, got)
		}
		got := proxies.ClientAddr(remote, said)
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("%q: the client is %s", said, got)
		}
		if !bytes.Equal(said, kept) {
			t.Errorf("%q has become %q", kept, said)
		}
	})
}
