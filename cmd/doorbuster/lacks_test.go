package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestServeSaysWhatAShopLacks: a shop that is started with tokens alone says that no
// order of it can be paid, and what else it can't do, with the setting for each; one
// that has all says nothing.
func TestServeSaysWhatAShopLacks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := func(name string) string { return write(name, strings.Repeat(name, 40)+"\n") }
	tokens := []string{"serve", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
		"--shopper-key-file", secret("a"), "--ops-key-file", secret("b")}
	all := append(append([]string{}, tokens...), "--cashier-key-file", secret("c"), "--cashier-url",
		"http://127.0.0.1:1", "--reconcile-folder", dir,
		"--pay-keys", write("pay.yaml", "- {id: k, file: "+secret("d")+", signs: true}\n"))
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"tokens alone": {tokens, []string{`"setting":"pay_keys"`, `"setting":"cashier_key_file"`,
			`"setting":"cashier_url"`, "reconcile.folder"}},
		"all there is": {all, nil},
		"open doors":   {append(append([]string{}, all...), "--http", "0.0.0.0:0"), []string{`"setting":"http"`}},
		"dev": {nodetest.ServeArgs("", "--cashier-url", "http://127.0.0.1:1", "--reconcile-folder", dir),
			[]string{`"setting":"dev"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := runShop(t, append(c.args, "--data", t.TempDir()))
			s.AwaitServing()
			said := s.Logs.String()
			for _, part := range c.says {
				if !strings.Contains(said, part) {
					t.Errorf("it does not say %s: %s", part, said)
				}
			}
			if n := strings.Count(said, `"msg":"this shop `); n != len(c.says) {
				t.Errorf("it says %d things, not %d: %s", n, len(c.says), said)
			}
		})
	}
}
