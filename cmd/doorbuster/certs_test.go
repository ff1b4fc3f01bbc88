package main

import (
	"bytes"
	"crypto/tls"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbuster/cluster/peer"
	"doorbuster/cmd/doorbuster/cli"
)

// runCerts runs cluster certs in dir, for cluster shop unless args say otherwise.
func runCerts(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	if !slices.Contains(args, "--cluster") {
		args = append(args, "--cluster", "shop")
	}
	var out bytes.Buffer
	c := newCertsCommand()
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(append(args, "--dir", dir))
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.Execute()
	return out.String(), err
}

// filesIn gives the contents of a folder's files, and complains about secrets that
// others may read.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = string(content)
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o644)
		if filepath.Ext(entry.Name()) == ".key" {
			want = 0o600
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %o", entry.Name(), info.Mode())
		}
	}
	return found
}

// nodeOpens reports whether a node takes the files as its own.
func nodeOpens(dir, cluster, node string) error {
	p, err := peer.Listen(peer.Config{
		Listen:   "127.0.0.1:0",
		Identity: func() peer.Hello { return peer.Hello{Cluster: cluster, Node: node} },
		TLS: &peer.Files{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, node+".crt"),
			Key: filepath.Join(dir, node+".key")},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	return p.Close()
}

func TestCerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	out, err := runCerts(t, dir, "a1", "b.1", "--hosts", "a1=10.0.1.1,a1.example")
	if err != nil {
		t.Fatal(err)
	}
	first := filesIn(t, dir)
	for _, name := range []string{"ca.crt", "ca.key", "a1.crt", "a1.key", "b.1.crt", "b.1.key"} {
		if first[name] == "" || !strings.Contains(out, name) {
			t.Errorf("no %s", name)
		}
	}
	for _, node := range []string{"a1", "b.1"} {
		if err := nodeOpens(dir, "shop", node); err != nil {
			t.Error(err)
		}
	}
	// A node is added; nothing else changes.
	if _, err := runCerts(t, dir, "c1", "--days", "30"); err != nil {
		t.Fatal(err)
	}
	if err := nodeOpens(dir, "shop", "c1"); err != nil {
		t.Error(err)
	}
	now := filesIn(t, dir)
	for name, content := range first {
		if now[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
	// A node is renewed; its hosts stay.
	if _, err := runCerts(t, dir, "a1", "--renew"); err != nil {
		t.Fatal(err)
	}
	renewed := filesIn(t, dir)
	for name, content := range now {
		if changed := renewed[name] != content; changed != strings.HasPrefix(name, "a1.") {
			t.Errorf("%s has changed: %t", name, changed)
		}
	}
	if err := nodeOpens(dir, "shop", "a1"); err != nil {
		t.Error(err)
	}
	pair, err := tls.X509KeyPair([]byte(renewed["a1.crt"]), []byte(renewed["a1.key"]))
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Leaf.IPAddresses) != 1 || !slices.Equal(pair.Leaf.DNSNames, []string{"a1.example"}) {
		t.Errorf("%v %v", pair.Leaf.IPAddresses, pair.Leaf.DNSNames)
	}
	if life := time.Until(pair.Leaf.NotAfter); life < 364*day || life > 366*day {
		t.Errorf("good for %s", life)
	}
	// With a CA that lies elsewhere; over whatever is there.
	elsewhere := t.TempDir()
	os.WriteFile(filepath.Join(elsewhere, "a1.crt"), []byte("whatever"), 0o644)
	if _, err := runCerts(t, elsewhere, "a1", "--force", "--ca", filepath.Join(dir, "ca.crt"), "--ca-key",
		filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(elsewhere, "ca.crt"), []byte(first["ca.crt"]), 0o644)
	if err := nodeOpens(elsewhere, "shop", "a1"); err != nil {
		t.Error(err)
	}
}

// TestCertsRefuse: what can't be done is said, and leaves the folder as it was.
func TestCertsRefuse(t *testing.T) {
	dir := t.TempDir()
	if _, err := runCerts(t, dir, "a1"); err != nil {
		t.Fatal(err)
	}
	before := filesIn(t, dir)
	broken := t.TempDir()
	os.WriteFile(filepath.Join(broken, "ca.crt"), []byte(before["ca.crt"]), 0o644)
	for name, c := range map[string]struct {
		args  []string
		usage bool
		want  string
	}{
		"no node":              {nil, true, "name the nodes"},
		"bad node":             {[]string{"b1", "../a1"}, true, `node "../a1" is not`},
		"named like the CA":    {[]string{"CA"}, true, "its files would be the CA's"},
		"named twice":          {[]string{"b1", "B1"}, true, "node B1 is named twice"},
		"bad cluster":          {[]string{"b1", "--cluster", "sh op"}, true, `--cluster: "sh op"`},
		"no days":              {[]string{"b1", "--days", "0"}, true, "--days: 0"},
		"too many days":        {[]string{"b1", "--days", "3650"}, true, "--days: 3650"},
		"half a CA named":      {[]string{"b1", "--ca", "x"}, true, "--ca and --ca-key go together"},
		"hosts of nobody":      {[]string{"b1", "--hosts", "c1=10.0.0.1"}, true, `"c1" is not among`},
		"hosts without a node": {[]string{"b1", "--hosts", "10.0.0.1"}, true, "is not NODE=HOST"},
		"hosts twice": {[]string{"b1", "--hosts", "b1=10.0.0.1", "--hosts", "b1=10.0.0.2"}, true,
			"given twice"},
		"renew and force":   {[]string{"a1", "--renew", "--force"}, true, "either --renew or --force"},
		"bad host":          {[]string{"b1", "--hosts", "b1=x y"}, false, `"x y" is neither`},
		"exists":            {[]string{"b1", "a1"}, false, "a1.crt is there already: --renew"},
		"renew what is not": {[]string{"a1", "b1", "--renew"}, false, "--renew of node b1"},
		"another cluster":   {[]string{"b1", "--cluster", "fair"}, false, "not for cluster fair"},
		"CA that is not there": {[]string{"b1", "--ca", dir + "/x.crt", "--ca-key", dir + "/x.key"}, false,
			"no such file"},
		"CA that is none": {[]string{"b1", "--ca", dir + "/a1.crt", "--ca-key", dir + "/a1.key"}, false,
			"is no CA's"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runCerts(t, dir, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v", err)
			}
			if _, usage := err.(cli.UsageError); usage != c.usage {
				t.Errorf("usage error: %t", usage)
			}
			after := filesIn(t, dir)
			if len(after) != len(before) {
				t.Errorf("%d files", len(after))
			}
			for file, content := range before {
				if after[file] != content {
					t.Errorf("%s has changed", file)
				}
			}
		})
	}
	if _, err := runCerts(t, broken, "b1", "--force"); err == nil || !strings.Contains(err.Error(), "ca.key is not") {
		t.Errorf("%v", err)
	}
	if _, err := runCerts(t, t.TempDir(), "b1", "--renew"); err == nil ||
		!strings.Contains(err.Error(), "--renew needs the CA") {
		t.Errorf("%v", err)
	}
}
