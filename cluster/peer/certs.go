package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"time"
)

// KeyPair is a certificate and its private key, both as PEM.
type KeyPair struct{ Cert, Key []byte }

// maxHosts bounds the host names and addresses of one certificate.
const maxHosts = 64

// MakeCA makes a CA (ECDSA P-256) whose certificates are for the nodes of cluster,
// good from from to until. It can sign nodes, and no further CAs.
func MakeCA(cluster string, from, until time.Time) (KeyPair, error) {
	if err := CheckID("cluster id", cluster); err != nil {
		return KeyPair{}, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "doorbuster CA of " + cluster},
		NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
		URIs: []*url.URL{clusterURI(cluster)},
	}
	return issue(template, nil)
}

// clusterURI is the name in a CA of ours.
func clusterURI(cluster string) *url.URL {
	return &url.URL{Scheme: "doorbuster", Host: "cluster", Path: "/" + cluster}
}

// MakeNode makes the certificate of a node of cluster, signed by ca: for both ends
// of a connection, with the node's URI (NodeURI) and hosts, which are names or IP
// addresses and of use to other programs only. until must be within ca's.
func MakeNode(ca KeyPair, cluster, node string, hosts []string, from, until time.Time) (KeyPair, error) {
	if err := errors.Join(CheckID("cluster id", cluster), CheckID("node id", node)); err != nil {
		return KeyPair{}, err
	}
	signer, err := tls.X509KeyPair(ca.Cert, ca.Key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("the CA and its key: %w", err)
	}
	if err := checkCA(signer.Leaf, cluster); err != nil {
		return KeyPair{}, err
	}
	if until.After(signer.Leaf.NotAfter) {
		return KeyPair{}, fmt.Errorf("the CA is good until %s only, and the certificate would be until %s",
			signer.Leaf.NotAfter.Format(time.DateTime), until.Format(time.DateTime))
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: node},
		NotBefore: from, NotAfter: until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{NodeURI(cluster, node)},
	}
	if len(hosts) > maxHosts {
		return KeyPair{}, fmt.Errorf("node %s has %d hosts; at most %d are taken", node, len(hosts), maxHosts)
	}
	for _, host := range hosts {
		switch ip := net.ParseIP(host); {
		case ip != nil:
			template.IPAddresses = append(template.IPAddresses, ip)
		case hostName.MatchString(host):
			template.DNSNames = append(template.DNSNames, host)
		default:
			return KeyPair{}, fmt.Errorf("node %s: %q is neither an IP address nor a host name", node, host)
		}
	}
	return issue(template, &signer)
}

// checkCA tells why ca can't sign for cluster. One that was not made here names no
// cluster, and may sign for any.
func checkCA(ca *x509.Certificate, cluster string) error {
	if !ca.IsCA || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("the certificate of %s is no CA's", ca.Subject)
	}
	if len(ca.URIs) == 1 && ca.URIs[0].Scheme == "doorbuster" && ca.URIs[0].String() != clusterURI(cluster).String() {
		return fmt.Errorf("the CA is for %s, and not for cluster %s", oneLine(ca.URIs[0].String(), 200), cluster)
	}
	return nil
}

// hostName is what could be a DNS name.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]{0,252}$`)

// issue makes a key and has signer sign template for it; nil is the key itself.
func issue(template *x509.Certificate, signer *tls.Certificate) (KeyPair, error) {
	if !template.NotAfter.After(template.NotBefore) {
		return KeyPair{}, errors.New("the certificate would end before it begins")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, err
	}
	// A serial of 127 random bits, so that certificates made anywhere differ.
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return KeyPair{}, err
	}
	parent, by := template, any(key)
	if signer != nil {
		parent, by = signer.Leaf, signer.PrivateKey
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		return KeyPair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}, nil
}
