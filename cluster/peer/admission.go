package peer

import (
	"crypto/x509"
	"fmt"
	"net/url"
)

// NodeURI is the name that a node's certificate carries, as a URI among its
// alternative names. Host names and addresses in certificates are not looked at:
// a node is who its id says, wherever it runs.
func NodeURI(cluster, node string) *url.URL {
	return &url.URL{Scheme: "doorbuster", Host: "cluster", Path: "/" + cluster + "/node/" + node}
}

// proves reports whether certificate is the one of node in cluster.
func proves(certificate *x509.Certificate, cluster, node string) bool {
	want := NodeURI(cluster, node).String()
	for _, u := range certificate.URIs {
		if u.String() == want {
			return true
		}
	}
	return false
}

// names lists whom a certificate is for, in one short line.
func names(certificate *x509.Certificate) string {
	if len(certificate.URIs) == 0 {
		return "no node at all (it was not made by 'doorbuster cluster certs', or without the URI that names the node)"
	}
	return oneLine(certificate.URIs[0].String(), 200)
}

// judge tells why peer is turned away, nil if it is not. certificate is what it
// showed, nil without TLS.
func (p *Port) judge(own, peer Hello, certificate *x509.Certificate) error {
	known := peer.Generation != 0 && own.Generation != 0
	// Whose cluster it is comes first, because it explains the rest; nothing that
	// stops a node is believed before the certificate is.
	switch {
	case peer.Cluster != own.Cluster:
		return Refuse(CodeCluster, "node %s is of cluster %s, and node %s of cluster %s: check the cluster ids and "+
			"the peers' addresses in the configs",
			peer.Node, peer.Cluster, own.Node, own.Cluster)
	case certificate != nil && !proves(certificate, peer.Cluster, peer.Node):
		return Refuse(CodeIdentity, "node %s shows a certificate for %s, and not for %s: give each node its own "+
			"certificate",
			peer.Node, names(certificate), NodeURI(peer.Cluster, peer.Node))
	case peer.To != "" && peer.To != own.Node:
		return Refuse(CodeIdentity, "node %s wants node %s, and this is node %s: check the peers' addresses in the "+
			"configs", peer.Node, peer.To, own.Node)
	case peer.Node == own.Node && peer.Incarnation == own.Incarnation:
		return Refuse(CodeSelf, "node %s has reached itself: a peer's address in the config is its own", own.Node)
	case peer.Node == own.Node:
		return Refuse(CodeSelf, "two nodes go by the same id %s: stop one of them, and join it from scratch under a "+
			"new id with 'doorbuster cluster join'", own.Node)
	case known && peer.Generation < own.Generation:
		return Refuse(CodeGeneration, "%s", goneOn(peer, own))
	case known && peer.Generation > own.Generation:
		return Refuse(CodeSuperseded, "%s", goneOn(own, peer))
	case p.cfg.Admit != nil:
		return p.cfg.Admit(peer)
	}
	return nil
}

func goneOn(old, current Hello) string {
	return fmt.Sprintf("node %s is of generation %d, the cluster went on as generation %d: stop it, move its data "+
		"directory away, and join it from scratch under a new id with 'doorbuster cluster join'",
		old.Node, old.Generation, current.Generation)
}
