package peer

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestMakeNode(t *testing.T) {
	now := time.Now()
	ca, err := MakeCA("shop", now, now.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := MakeNode(ca, "shop", "A_1.x", []string{"10.0.1.1", "::1", "a1.example"}, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := parsed.Leaf
	if len(leaf.IPAddresses) != 2 || len(leaf.DNSNames) != 1 || leaf.IsCA {
		t.Errorf("%v %v", leaf.IPAddresses, leaf.DNSNames)
	}
	for _, c := range []struct {
		cluster, node string
		want          bool
	}{{"shop", "A_1.x", true}, {"shop", "a_1.x", false}, {"shop", "A_1", false}, {"sho", "A_1.x", false}} {
		if proves(leaf, c.cluster, c.node) != c.want {
			t.Errorf("%s %s", c.cluster, c.node)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if err := verify([]*x509.Certificate{leaf}, roots, use, now.Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := verify([]*x509.Certificate{leaf}, roots, use, now.Add(2*time.Hour)); err == nil {
			t.Error("good for ever")
		}
	}
	if err := verify([]*x509.Certificate{leaf}, roots, x509.ExtKeyUsageCodeSigning, now.Add(time.Minute)); err == nil {
		t.Error("good for everything")
	}
}

func TestMakeNodeRefuses(t *testing.T) {
	now := time.Now()
	ca, err := MakeCA("shop", now, now.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other, err := MakeCA("fair", now, now.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	node, err := MakeNode(ca, "shop", "a1", nil, now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ca            KeyPair
		cluster, node string
		hosts         []string
		until         time.Duration
		want          string
	}{
		"bad node id":    {ca, "shop", "a/1", nil, time.Hour, `node id "a/1"`},
		"bad cluster id": {ca, "", "a1", nil, time.Hour, `cluster id ""`},
		"another cluster": {other, "shop", "a1", nil, time.Hour,
			"is for doorbuster://cluster/fair, and not for cluster shop"},
		"no CA":             {node, "shop", "a2", nil, time.Hour, "is no CA's"},
		"key of another":    {KeyPair{ca.Cert, other.Key}, "shop", "a1", nil, time.Hour, "does not match"},
		"no PEM":            {KeyPair{}, "shop", "a1", nil, time.Hour, "the CA and its key"},
		"outlives the CA":   {ca, "shop", "a1", nil, 49 * time.Hour, "the CA is good until"},
		"ends at once":      {ca, "shop", "a1", nil, 0, "would end before it begins"},
		"bad host":          {ca, "shop", "a1", []string{"a 1"}, time.Hour, `"a 1" is neither`},
		"too many of hosts": {ca, "shop", "a1", make([]string, maxHosts+1), time.Hour, "has 65 hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := MakeNode(c.ca, c.cluster, c.node, c.hosts, now, now.Add(c.until)); err == nil ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := MakeCA("sh op", now, now.Add(time.Hour)); err == nil {
		t.Error("a CA of no cluster")
	}
}
