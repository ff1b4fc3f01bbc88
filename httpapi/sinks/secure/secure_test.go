package secure_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbuster/httpapi/sinks/secure"
)

// pair is a certificate and its key, in PEM.
type pair struct{ cert, key []byte }

// issue makes a certificate, signed by another or (nil) by itself.
func issue(t *testing.T, by *pair, serial int64) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"broker.test"},
		IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := template, any(key)
	if by != nil {
		authority, err := tls.X509KeyPair(by.cert, by.key)
		if err != nil {
			t.Fatal(err)
		}
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

func TestTLS(t *testing.T) {
	authority, other := issue(t, nil, 1), issue(t, nil, 2)
	broker := issue(t, authority, 3)
	own, err := tls.X509KeyPair(broker.cert, broker.key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{own},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				defer conn.Close()
				if conn.(*tls.Conn).Handshake() == nil {
					_, _ = conn.Write([]byte("hello"))
				}
			}(conn)
		}
	}()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	client := issue(t, authority, 4)
	files := secure.TLS{On: true, CA: put("ca", other.cert), Cert: put("cert", client.cert), Key: put("key",
		client.key),
		ServerName: "broker.test"}
	greeted := func() error {
		config, err := files.Config()
		if err != nil {
			return err
		}
		conn, err := tls.Dial("tcp", listener.Addr().String(), config)
		if err != nil {
			return err
		}
		defer conn.Close()
		got := make([]byte, 5)
		if _, err := conn.Read(got); err != nil {
			return err
		}
		if !bytes.Equal(got, []byte("hello")) {
			t.Errorf("read %q", got)
		}
		return nil
	}
	fails := func(want string) {
		t.Helper()
		if err := greeted(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	fails("unknown authority")
	put("ca", []byte("no certificate"))
	fails("holds no certificate in PEM")
	put("ca", authority.cert) // renewed: counts from the next connection on
	if err := greeted(); err != nil {
		t.Fatal(err)
	}
	put("key", issue(t, authority, 5).key)
	fails("does not match")
	_ = os.Remove(files.Key)
	fails(files.Key)
	put("key", client.key)
	files.ServerName = "elsewhere.test"
	fails("elsewhere.test")
	files = secure.TLS{}
	if config, err := files.Config(); config != nil || err != nil {
		t.Errorf("without TLS: %v, %v", config, err)
	}
}

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	for content, want := range map[string]string{"secret\n": "secret", "secret\r\n": "secret",
		"a\nb\n": "more than one line",
		"":       "is empty"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := secure.Secret(file)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || err != nil && !strings.Contains(got, file) {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}
