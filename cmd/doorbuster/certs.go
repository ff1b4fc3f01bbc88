package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cluster/peer"
	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
)

const (
	day = 24 * time.Hour
	// A CA is good for longer than what it signs: replacing it takes a tour of
	// all nodes.
	caLife = 3650 * day
	// backdated lets a node with a clock that is behind take a new certificate.
	backdated   = time.Hour
	maxCertDays = 3649
	maxPEMBytes = 1 << 20
)

// certsOptions are the flags of cluster certs.
type certsOptions struct {
	dir, cluster, ca, caKey string
	hosts                   []string
	days                    int
	renew, force            bool
}

func newCertsCommand() *cobra.Command {
	o := certsOptions{}
	c := &cobra.Command{
		Use:   "certs --dir DIR --cluster ID NODE...",
		Short: "Make a CA and node certificates, for trying out",
		Long: `Make the certificates that nodes prove themselves to each other with: in DIR, a CA
(ca.crt, ca.key) and for each NODE its certificate and key (NODE.crt, NODE.key).

A node needs three of the files: ca.crt, its own NODE.crt and its own NODE.key.
Its certificate is for one node id of one cluster: it can't stand in for another
node, whatever host it is on. ca.key can make a new node: keep it off the nodes.
In production your own CA makes the certificates. What doorbuster looks for is a
URI among the alternative names, doorbuster://cluster/CLUSTER/node/NODE, and both
server and client authentication among the uses.

A CA that is in DIR already is used again, so a node is added by running the
command with its id. Files that exist are not touched, unless --renew makes new
certificates and keys for nodes that have some. Running nodes take replaced files
by themselves.`,
		Example: `  # A CA and three nodes
  doorbuster cluster certs --dir certs --cluster shop a1 a2 b1

  # One more node, with names for other programs to check
  doorbuster cluster certs --dir certs --cluster shop c1 --hosts c1=10.0.3.1,c1.example

  # New ones for a node whose certificate ends soon
  doorbuster cluster certs --dir certs --cluster shop --renew a1`,
		RunE: func(c *cobra.Command, nodes []string) error {
			if err := o.validate(nodes); err != nil {
				return cli.Usage(err)
			}
			return o.run(c.OutOrStdout(), nodes, time.Now())
		},
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "", "`folder` for the files; it is made if missing")
	f.StringVar(&o.cluster, "cluster", "", "the cluster's `id`, as in the nodes' configs")
	f.StringArrayVar(&o.hosts, "hosts", nil, "`NODE=HOST,...`: IP addresses and host names for a node's certificate; "+
		"once a node")
	f.IntVar(&o.days, "days", 365, "how long node certificates are good for")
	f.StringVar(&o.ca, "ca", "", "certificate `file` of the CA that signs, instead of DIR/ca.crt")
	f.StringVar(&o.caKey, "ca-key", "", "its key `file`")
	f.BoolVar(&o.renew, "renew", false, "replace the nodes' certificates and keys; hosts stay as they are unless given")
	f.BoolVar(&o.force, "force", false, "write over files of nodes that exist; never over a CA")
	return c
}

// validate tells everything that is wrong with the command line.
func (o certsOptions) validate(nodes []string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.dir == "" {
		bad("--dir is required")
	}
	if !engine.ValidID(o.cluster) {
		bad("--cluster: %q is not 1 to %d letters, digits, dots, dashes or underscores", o.cluster, engine.MaxIDBytes)
	}
	if len(nodes) == 0 {
		bad("name the nodes, such as a1 a2 b1")
	}
	for i, node := range nodes {
		switch {
		case !engine.ValidID(node):
			bad("node %q is not 1 to %d letters, digits, dots, dashes or underscores", node, engine.MaxIDBytes)
		case strings.EqualFold(node, "ca"):
			bad("a node can't be called %s: its files would be the CA's", node)
		case slices.ContainsFunc(nodes[:i], func(other string) bool { return strings.EqualFold(other, node) }):
			bad("node %s is named twice", node)
		}
	}
	if o.days < 1 || o.days > maxCertDays {
		bad("--days: %d is not from 1 to %d", o.days, maxCertDays)
	}
	if (o.ca == "") != (o.caKey == "") {
		bad("--ca and --ca-key go together")
	}
	if o.renew && o.force {
		bad("take either --renew or --force")
	}
	if _, err := o.hostsOf(nodes); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hostsOf gives the hosts of each node that has some.
func (o certsOptions) hostsOf(nodes []string) (map[string][]string, error) {
	hosts := map[string][]string{}
	for _, given := range o.hosts {
		node, list, found := strings.Cut(given, "=")
		switch {
		case !found || list == "":
			return nil, fmt.Errorf("--hosts: %q is not NODE=HOST,HOST", given)
		case !slices.Contains(nodes, node):
			return nil, fmt.Errorf("--hosts: %q is not among the nodes named", node)
		case hosts[node] != nil:
			return nil, fmt.Errorf("--hosts: node %s is given twice; part its hosts by commas", node)
		}
		hosts[node] = strings.Split(list, ",")
	}
	return hosts, nil
}

// certFile is a file that is to be written.
type certFile struct {
	path    string
	content []byte
	mode    os.FileMode
	replace bool
}

// run makes everything first and writes it then: what is refused leaves the folder
// as it was.
func (o certsOptions) run(out io.Writer, nodes []string, now time.Time) error {
	hosts, err := o.hostsOf(nodes)
	if err != nil {
		return err
	}
	ca, files, err := o.authority(now)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		made, err := o.node(ca, node, hosts[node], now)
		if err != nil {
			return err
		}
		files = append(files, made...)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(); err != nil {
			return err
		}
		fmt.Fprintf(out, "wrote %s\n", f.path)
	}
	fmt.Fprintf(out, "good until %s; each node needs %s, and its own .crt and .key. Keep the CA's key off the nodes.\n",
		now.Add(time.Duration(o.days)*day).UTC().Format(time.DateOnly), o.caPath())
	return nil
}

func (o certsOptions) caPath() string {
	if o.ca != "" {
		return o.ca
	}
	return filepath.Join(o.dir, "ca.crt")
}

// authority gives the CA that signs, and its files if it is a new one.
func (o certsOptions) authority(now time.Time) (peer.KeyPair, []certFile, error) {
	cert, key := o.caPath(), filepath.Join(o.dir, "ca.key")
	if o.ca != "" {
		key = o.caKey
	}
	haveCert, err := exists(cert)
	if err != nil {
		return peer.KeyPair{}, nil, err
	}
	haveKey, err := exists(key)
	if err != nil {
		return peer.KeyPair{}, nil, err
	}
	switch {
	case haveCert && haveKey || o.ca != "":
		pair, err := readPair(cert, key)
		return pair, nil, err
	case haveCert:
		return peer.KeyPair{}, nil,
			fmt.Errorf("%s is there and %s is not: bring the key, or take another --dir to begin anew", cert, key)
	case haveKey:
		return peer.KeyPair{}, nil, fmt.Errorf("%s is there and %s is not: bring the certificate, or take another "+
			"--dir to begin anew", key, cert)
	case o.renew:
		return peer.KeyPair{}, nil,
			fmt.Errorf("--renew needs the CA, and there is no %s; name it with --ca and --ca-key", cert)
	}
	pair, err := peer.MakeCA(o.cluster, now.Add(-backdated), now.Add(caLife))
	return pair, []certFile{{cert, pair.Cert, 0o644, false}, {key, pair.Key, 0o600, false}}, err
}

// node makes a node's certificate and key.
func (o certsOptions) node(ca peer.KeyPair, node string, hosts []string, now time.Time) ([]certFile, error) {
	cert, key := filepath.Join(o.dir, node+".crt"), filepath.Join(o.dir, node+".key")
	if o.renew {
		old, err := readLeaf(cert)
		if err != nil {
			return nil, fmt.Errorf("--renew of node %s: %w", node, err)
		}
		if want := peer.NodeURI(o.cluster, node).String(); !slices.ContainsFunc(old.URIs,
			func(u *url.URL) bool { return u.String() == want }) {
			return nil, fmt.Errorf("--renew of node %s: %s is not for %s", node, cert, want)
		}
		if hosts == nil {
			hosts = slices.Clone(old.DNSNames)
			for _, ip := range old.IPAddresses {
				hosts = append(hosts, ip.String())
			}
		}
	} else if !o.force {
		for _, path := range []string{cert, key} {
			switch there, err := exists(path); {
			case err != nil:
				return nil, err
			case there:
				return nil, fmt.Errorf("%s is there already: --renew replaces it by a new one, --force writes over "+
					"whatever it is", path)
			}
		}
	}
	pair, err := peer.MakeNode(ca, o.cluster, node, hosts, now.Add(-backdated), now.Add(time.Duration(o.days)*day))
	replace := o.renew || o.force
	return []certFile{{key, pair.Key, 0o600, replace}, {cert, pair.Cert, 0o644, replace}}, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func readPair(cert, key string) (pair peer.KeyPair, err error) {
	if pair.Cert, err = readPEM(cert); err != nil {
		return pair, err
	}
	if pair.Key, err = readPEM(key); err != nil {
		return pair, err
	}
	if _, err = tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
		return pair, fmt.Errorf("%s and %s: %w", cert, key, err)
	}
	return pair, nil
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPEMBytes+1))
	if err == nil && len(content) > maxPEMBytes {
		err = fmt.Errorf("%s is over %d bytes: that is no certificate or key", path, maxPEMBytes)
	}
	return content, err
}

// readLeaf reads the first certificate of a PEM file.
func readLeaf(path string) (*x509.Certificate, error) {
	content, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s has no certificate in it", path)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return leaf, nil
}

// write puts the whole file in place, or nothing: a node may be reading it.
func (f certFile) write() (err error) {
	part, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = part.Write(f.content)
	if err = errors.Join(err, part.Chmod(f.mode), part.Sync(), part.Close()); err != nil {
		return err
	}
	if f.replace {
		return os.Rename(part.Name(), f.path)
	}
	return os.Link(part.Name(), f.path) // fails if somebody has made it meanwhile
}
