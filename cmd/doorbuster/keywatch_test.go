package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	s := runShop(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
		"--shopper-key-file", shoppers, "--ops-key-file", ops})
	s.awaitServing()
	token := func(key string) string {
		status, out, errs := runTool(t, "", "token", "--sub", "olga", "--role", "viewer", "--key-file", key)
		if status != 0 {
			t.Fatal(errs)
		}
		return strings.TrimSpace(out)
	}
	asks := func(with string) int {
		return s.do("GET", "http://"+s.admin+"/admin/v1/sales", "", "Authorization", "Bearer "+with).Status
	}
	old := token(ops)
	fresh := token(write("next.key", secret("b")))
	if asks(old) != 200 || asks(fresh) != 401 {
		t.Fatal("to begin with:", asks(old), asks(fresh))
	}
	write("ops.key", secret("b")+"\n"+secret("a")+"\n")
	s.eventually(func() bool { return asks(fresh) == 200 }, func() string { return "the new secret does not do" })
	if asks(old) != 200 || token(ops) == "" || asks(token(ops)) != 200 {
		t.Error("the old secret does not do beside the new one")
	}
	write("ops.key", "short")
	s.logs.await(t, s.exit, "the old ones stay")
	if asks(old) != 200 || asks(fresh) != 200 {
		t.Error("a bad file changed something")
	}
	write("ops.key", secret("b")+"\n")
	s.eventually(func() bool { return asks(old) == 401 }, func() string { return "the old secret still does" })
	if asks(fresh) != 200 {
		t.Error("the new secret does not do")
	}
}

// TestTailEndsWithItsKey: whoever reads a node's events is cut off when the key of
// their token is taken out of the file; the command says so and ends. A reader whose
// key stays reads on.
func TestTailEndsWithItsKey(t *testing.T) {
	dir := t.TempDir()
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
	stays, goes := write("stays.key", strings.Repeat("a", 40)), write("goes.key", strings.Repeat("b", 40))
	both := strings.Repeat("a", 40) + "\n" + strings.Repeat("b", 40) + "\n"
	s := runShop(t, []string{"serve", "--data", filepath.Join(dir, "data"), "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
		"--shopper-key-file", write("shopper.key", strings.Repeat("s", 40)), "--ops-key-file", write("ops.key", both)})
	s.awaitServing()
	token := func(key string) string {
		status, out, errs := runTool(t, "", "token", "--sub", "vera", "--role", "operator", "--key-file", key)
		if status != 0 {
			t.Fatal(errs)
		}
		return write(filepath.Base(key)+".token", out)
	}
	plan := write("plan.yaml", dayPlan("", 5))
	apply := func() {
		t.Helper()
		if status, _, errs := runTool(t, "", "apply", "-f", plan, "--admin", s.admin, "--token-file", token(stays)); status != 0 {
			t.Fatal(errs)
		}
	}
	apply()
	tail := func(key string) *tailing {
		w := startTail(t, "--admin", s.admin, "--from", "0", "--follow", "--json", "--token-file", token(key))
		w.await(t, w.out, "plan_applied")
		return w
	}
	reads, cut := tail(stays), tail(goes)
	write("ops.key", strings.Repeat("a", 40)+"\n")
	ended := make(chan error, 1)
	go func() { ended <- cut.process.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(cut.errs.String(), "The token is not valid") {
			t.Errorf("%v, %s", err, cut.errs)
		}
	case <-time.After(patience):
		t.Fatalf("its key was withdrawn, and it reads on: %s", cut.errs)
	}
	write("plan.yaml", dayPlan("", 6))
	apply()
	s.eventually(func() bool { return strings.Count(reads.out.String(), "plan_applied") == 2 }, func() string { return "the other one does not read on: " + reads.errs.String() })
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
		"shoppers' secret":     func(c *Config, path string) { c.Tokens.ShopperKeyFile, c.Tokens.ShopperPublicKeyFile = path, full },
		"shoppers' public key": func(c *Config, path string) { c.Tokens.ShopperKeyFile, c.Tokens.ShopperPublicKeyFile = full, path },
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
			if _, err := c.readKeys(); err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), path+" is empty") {
				t.Errorf("%s, %q: %v", what, text, err)
			}
		}
	}
}
