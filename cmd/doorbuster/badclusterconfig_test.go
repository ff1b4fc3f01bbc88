package main

import (
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestBadClusterConfig: each mistake in a cluster section is named, and where it
// stands; nothing is opened.
func TestBadClusterConfig(t *testing.T) {
	noEnvironment(t)
	const good = "node: a1\nzone: a\ndata: /nowhere/a1\npeer: 127.0.0.1:7001\ndev: true\ncluster:\n  id: shop\n " +
		" zone_ack: require\n  nodes:\n    - {id: a1, zone: a, peer: \"127.0.0.1:7001\"}\n    - {id: b1, zone: b, " +
		"peer: \"127.0.0.1:7002\"}\n"
	if _, err := load(t, "--config", nodetest.TempFile(t, good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"unknown key": {"  zone_ack: require", "  zone_akc: require",
			[]string{`:8: cluster.zone_akc: unknown key; known are ca, cert, id, key, nodes`}},
		"unknown key of a node": {"{id: b1, zone: b", "{id: b1, room: b",
			[]string{`:11: cluster.nodes[1].room: unknown key; known are id, kind, peer, zone`}},
		"a key twice": {"  zone_ack: require", "  id: shop",
			[]string{`:8: cluster.id: set in line 7 already`}},
		"a second document": {"dev: true\n", "dev: true\n---\n",
			[]string{":6: config: a second document begins here"}},
		"no section": {good[strings.Index(good, "cluster:"):], "cluster: shop\n",
			[]string{":6: cluster: it must be a section"}},
		"nodes that are no list": {good[strings.Index(good, "  nodes:"):], "  nodes: {a1: 127.0.0.1:7001}\n",
			[]string{":9: cluster.nodes: it must be a list, each like {id: a1"}},
		"a node that is a word": {`{id: b1, zone: b, peer: "127.0.0.1:7002"}`, "b1",
			[]string{":11: cluster.nodes[1]: it must be like {id: a1"}},
		"a list for an address": {`"127.0.0.1:7002"`, `["127.0.0.1:7002"]`,
			[]string{`:11: cluster.nodes[1].peer: it takes a single value`}},
		"no nodes": {good[strings.Index(good, "  nodes:"):], "",
			[]string{":6: cluster.nodes: 0 nodes; a cluster begins with 1 to 64"}},
		"an id twice": {"id: b1", "id: a1", []string{`:11: cluster.nodes[1]: the id "a1" is there twice`}},
		"an address twice": {"7002", "7001",
			[]string{`:11: cluster.nodes[1]: the peer address "127.0.0.1:7001" is there twice`}},
		"bad zone ack": {"require", "always",
			[]string{`:8: cluster.zone_ack: "always" is none of off, prefer, require`}},
		"bad timeout": {"  zone_ack: require", "  zone_timeout: 3h",
			[]string{":8: cluster.zone_timeout: 3h0m0s is not between 10ms and 1m"}},
		"a timeout with no unit": {"  zone_ack: require", "  zone_timeout: 3",
			[]string{`:8: cluster.zone_timeout: "3" has no unit; give one, such as 3s`}},
		"bad kind":              {"zone: b,", "zone: b, kind: king,", []string{`"king"`, "voter", "witness", "edge"}},
		"bad address of a node": {"127.0.0.1:7002", "b1", []string{`"b1"`}},
		"no id": {"  id: shop\n", "",
			[]string{":6: cluster.id: there are settings of a cluster, but it has no id"}},
		"bad id": {"  id: shop", "  id: my shop", []string{`:7: cluster.id: "my shop" is not 1 to`}},
		"no peer": {"peer: 127.0.0.1:7001\n", "",
			[]string{"peer: a node of a cluster needs an address for the others"}},
		"peer without a port": {"peer: 127.0.0.1:7001\n", "peer: 127.0.0.1\n",
			[]string{`:4: peer: "127.0.0.1" is not HOST:PORT`}},
		"dev for everybody": {"peer: 127.0.0.1:7001\n", "peer: 10.0.0.1:7001\n",
			[]string{"peer: --dev has no certificates, so it listens on loopback only"}},
		"another zone": {"zone: a\ndata", "zone: c\ndata",
			[]string{`node "a1" is of zone "a", but this node says that it stands in "c"`}},
		"no voter": {"zone: a, peer", "zone: a, kind: witness, peer", nil},
		"no certificates": {"dev: true\n", "", []string{":5: cluster.ca, cluster.cert, cluster.key: nodes " +
			"talk to each other by certificates (mTLS); 'doorbuster cluster certs'"}},
		"half of the certificate": {"  zone_ack: require", "  cert: /x.crt",
			[]string{":6: cluster.ca, cluster.cert, cluster.key: all three or none"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.from) {
				t.Fatal("nothing is spoilt")
			}
			text := strings.Replace(good, c.from, c.to, 1)
			if name == "no voter" {
				text, c.want = strings.Replace(text, "zone: b, peer", "zone: b, kind: edge, peer", 1),
					[]string{"no voter among the nodes"}
			}
			file := nodetest.TempFile(t, text)
			status, out, errs := runTool(t, "", "serve", "--config", file)
			if status == 0 || out != "" {
				t.Errorf("status %d, %q", status, out)
			}
			for _, part := range c.want {
				if !strings.Contains(errs, part) {
					t.Errorf("no %q in:\n%s", part, errs)
				}
			}
			for line := range strings.Lines(errs) {
				if strings.Count(errs, line) > 1 ||
					strings.HasPrefix(name, "a timeout") && strings.Contains(line, "0s is not") {
					t.Errorf("told twice, or of a value that nobody gave: %s", line)
				}
			}
			if n := strings.Count(errs, "\n"); n > 6 {
				t.Errorf("%d lines for a mistake:\n%s", n, errs)
			}
		})
	}
}
