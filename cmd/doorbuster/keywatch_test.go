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
