// Package secure reads what sinks prove themselves with, and know the other side by:
// certificates, keys and passwords, all from files. They are read whenever a sink connects,
// so that a file that has been renewed counts from the next connection on.
package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"doorbuster/httpapi/auth"
)

// TLS names the files of a connection over TLS. The zero value is a connection without.
type TLS struct {
	On         bool   // over TLS; by the authorities that the system knows, if CA is ""
	CA         string // PEM file of the authorities that the other side's certificate may come from
	Cert, Key  string // PEM files of our own certificate, where the other side asks for one
	ServerName string // that the certificate is held against, if it is not the address's host
}

// Validate reports what does not go together, behind the keys of the settings. It reads no
// file.
func (t TLS) Validate() error {
	var problems []error
	if (t.Cert == "") != (t.Key == "") {
		problems = append(problems, errors.New("tls_cert_file and tls_key_file come together"))
	}
	if !t.On && (t.CA != "" || t.Cert != "" || t.Key != "" || t.ServerName != "") {
		problems = append(problems, errors.New("tls: it is off, and files or a name for it are given"))
	}
	return errors.Join(problems...)
}

// Config reads the files, for one connection; nil without TLS. TLS 1.2 is the least that it
// takes. Errors: of reading the files, each with its path.
func (t TLS) Config() (*tls.Config, error) {
	if !t.On {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := auth.ReadFile(t.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := auth.ReadFile(t.Cert)
		if err != nil {
			return nil, err
		}
		key, err := auth.ReadFile(t.Key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", t.Cert, t.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Secret reads a password or token: a file of one line, whose end is not part of it. Its
// errors name the file, and never what it holds.
func Secret(file string) (string, error) {
	b, err := auth.ReadFile(file)
	if err != nil {
		return "", err
	}
	if secret := string(b); !strings.ContainsAny(secret, "\r\n") {
		return secret, nil
	}
	return "", fmt.Errorf("%s has more than one line; a password or token is one", file)
}
