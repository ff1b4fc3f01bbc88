package peer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// maxPEMBytes bounds each of the files.
const maxPEMBytes = 1 << 20

// credentials are a node's certificate and the CAs it trusts, as the files have
// them at the moment.
type credentials struct {
	files  Files
	who    func() Hello
	now    func() time.Time
	every  time.Duration // the files are looked at no more often
	logger *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	seen    [3][]byte // what the files held when they were last tried
	unread  string    // why they could not be read then
	present material
}

// material is what one connection needs. It is never changed.
type material struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newCredentials(files Files, who func() Hello, now func() time.Time, every time.Duration,
	logger *slog.Logger) (*credentials, error) {
	c := &credentials{files: files, who: who, now: now, every: every, logger: logger, looked: time.Now()}
	seen, err := files.read()
	if err != nil {
		return nil, err
	}
	c.seen = seen
	c.present, err = c.parse(seen)
	return c, err
}

// read gives the contents of the CA, certificate and key files.
func (f Files) read() (contents [3][]byte, err error) {
	for i, path := range []string{f.CA, f.Cert, f.Key} {
		if contents[i], err = readBounded(path); err != nil {
			return contents, err
		}
	}
	return contents, nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxPEMBytes+1))
	if err == nil && len(content) > maxPEMBytes {
		err = fmt.Errorf("%s is over %d bytes: that is no PEM file of certificates", path, maxPEMBytes)
	}
	return content, err
}

// parse checks that the three belong together, now, and to this node.
func (c *credentials) parse(contents [3][]byte) (material, error) {
	m := material{roots: x509.NewCertPool()}
	if !m.roots.AppendCertsFromPEM(contents[0]) {
		return m, fmt.Errorf("%s has no certificate in it", c.files.CA)
	}
	var err error
	if m.certificate, err = tls.X509KeyPair(contents[1], contents[2]); err != nil {
		return m, fmt.Errorf("%s and %s: %w", c.files.Cert, c.files.Key, err)
	}
	leaf := m.certificate.Leaf
	if own := c.who(); !proves(leaf, own.Cluster, own.Node) {
		return m, fmt.Errorf("%s is for %s, and this is %s", c.files.Cert, names(leaf), NodeURI(own.Cluster, own.Node))
	}
	chain, err := x509.ParseCertificates(slices.Concat(m.certificate.Certificate...))
	if err != nil {
		return m, fmt.Errorf("%s: %w", c.files.Cert, err)
	}
	// A node both calls and is called with the one certificate.
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := verify(chain, m.roots, use, c.now()); err != nil {
			return m, fmt.Errorf("%s: %w", c.files.Cert, err)
		}
	}
	return m, nil
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, use x509.ExtKeyUsage, at time.Time) error {
	if len(chain) == 0 {
		return errors.New("no certificate was shown")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{use}}
	for _, link := range chain[1:] {
		options.Intermediates.AddCert(link)
	}
	_, err := chain[0].Verify(options)
	return err
}

// current gives what is to be used now. Files that have changed are taken if they
// are good; else the old ones stay, with an error logged once for each change. It
// compares contents, because a file may be replaced within the grain of its time.
func (c *credentials) current() material {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < c.every {
		return c.present
	}
	c.looked = time.Now()
	contents, err := c.files.read()
	if err != nil {
		if c.unread != err.Error() {
			c.unread = err.Error()
			c.logger.Error("the node's certificate files can't be read; the old ones stay in use", "error", err)
		}
		return c.present
	}
	c.unread = ""
	if slices.EqualFunc(contents[:], c.seen[:], bytes.Equal) {
		return c.present
	}
	c.seen = contents
	renewed, err := c.parse(contents)
	if err != nil {
		c.logger.Error("the node's new certificate files are not good; the old ones stay in use", "error", err)
		return c.present
	}
	c.present = renewed
	c.logger.Info("the node's certificate files were replaced", "serial",
		renewed.certificate.Leaf.SerialNumber.Text(16), "until", renewed.certificate.Leaf.NotAfter)
	return c.present
}

// config is the TLS of both ends. There are no tickets: what was true of a certificate
// is looked at anew for each connection. The one who calls checks by CA, use and time
// here, and both by node id after the handshake: the standard library's check is by host
// name, which a node's certificate is not about.
func (c *credentials) config() *tls.Config {
	m := c.current()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Time: c.now,
		Certificates: []tls.Certificate{m.certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: m.roots,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			err := verify(state.PeerCertificates, m.roots, x509.ExtKeyUsageServerAuth, c.now())
			if err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			return nil
		},
		SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}
}
