package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysRotate: a second secret in the file lets tokens of both in; the old one
// goes when it is taken out; a file that does not do changes nothing.
func TestKeysRotate(t *testing.T) {
	dir := t.TempDir()
	secret := func(c string) string { return strings.Repeat(c, 40) }
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shoppers, ops := write("shopper.key", secret("s")+"\n"), write("ops.key", secret("a")+"\n")
	s := runShop(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin",
		"127.0.0.1:0", "--log-format", "json",
		"--shopper-key-file", shoppers, "--ops-key-file", ops})
	s.AwaitServing()
	token := func(key string) string {
		status, out, errs := runTool(t, "", "token", "--sub", "olga", "--role", "viewer", "--key-file", key)
		if status != 0 {
			t.Fatal(errs)
		}
		return strings.TrimSpace(out)
	}
	asks := func(with string) int {
		return s.Do("GET", "http://"+s.Admin+"/admin/v1/sales", "", "Authorization", "Bearer "+with).Status
	}
	old := token(ops)
	fresh := token(write("next.key", secret("b")))
	if asks(old) != 200 || asks(fresh) != 401 {
		t.Fatal("to begin with:", asks(old), asks(fresh))
	}
	write("ops.key", secret("b")+"\n"+secret("a")+"\n")
	s.Eventually(func() bool { return asks(fresh) == 200 }, func() string { return "the new secret does not do" })
	if asks(old) != 200 || token(ops) == "" || asks(token(ops)) != 200 {
		t.Error("the old secret does not do beside the new one")
	}
	write("ops.key", "short")
	s.Logs.Await(t, s.Exit, "the old ones stay")
	s.Token = fresh
	s.Raised("keys_unusable")
	if asks(old) != 200 || asks(fresh) != 200 {
		t.Error("a bad file changed something")
	}
	write("ops.key", secret("b")+"\n")
	s.Eventually(func() bool { return asks(old) == 401 }, func() string { return "the old secret still does" })
	if asks(fresh) != 200 {
		t.Error("the new secret does not do")
	}
	s.Healed("keys_unusable")
}

// TestEmptyKeyFilesAreRefused: who empties a key file, or writes it anew in place, has
// not withdrawn its keys, also where others stay.
func TestEmptyKeyFilesAreRefused(t *testing.T) {
	t.Parallel()
	full := filepath.Join(t.TempDir(), "full.key")
	if err := os.WriteFile(full, []byte(strings.Repeat("k", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, set := range map[string]func(c *Config, path string){
		"shoppers' secret": func(c *Config, path string) {
			c.Tokens.ShopperKeyFile,
				c.Tokens.ShopperPublicKeyFile = path, full
		},
		"shoppers' public key": func(c *Config, path string) {
			c.Tokens.ShopperKeyFile,
				c.Tokens.ShopperPublicKeyFile = full, path
		},
		"operators' secret":    func(c *Config, path string) { c.Tokens.OpsKeyFile = path },
		"cashier's secret":     func(c *Config, path string) { c.Cashier.KeyFile = path },
		"risk service's token": func(c *Config, path string) { c.Risk.TokenFile = path },
	} {
		for _, text := range []string{"", "\n\r\n"} {
			path := filepath.Join(t.TempDir(), "empty.key")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var c Config
			set(&c, path)
			if _, err := c.readKeys(); err == nil || !strings.Contains(err.Error(), what) ||
				!strings.Contains(err.Error(), path+" is empty") {
				t.Errorf("%s, %q: %v", what, text, err)
			}
		}
	}
}
