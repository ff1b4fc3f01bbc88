package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/httpapi/payment"
)

// TestCashierIsUsedRightly: what can't be is refused with all that is wrong.
func TestCashierIsUsedRightly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		status int
		says   []string
	}{
		"nothing": {nil, 2, []string{"--data and --shop"}},
		"shares": {[]string{"--data", "x", "--shop", "nowhere", "--drop", "2", "--repeat", "-1", "--delay", "9h"}, 2,
			[]string{"nowhere", "drop", "repeat", "delay"}},
		"no file": {[]string{"--data", t.TempDir(), "--shop", "http://127.0.0.1:1", "--cashier-key-file",
			"/nonexistent"}, 1, []string{"shared secret"}},
		"an extra":  {[]string{"pay"}, 2, []string{"pay"}},
		"bad serve": {[]string{"serve"}, 2, []string{"cashier"}},
	} {
		args := append([]string{"cashier"}, c.args...)
		if name == "bad serve" {
			args = []string{"serve", "--data", t.TempDir(), "--cashier-url", "ftp://x", "--shopper-key-file", "x",
				"--ops-key-file", "y"}
		}
		status, _, errs := runTool(t, "", args...)
		if status != c.status {
			t.Errorf("%s: status %d: %s", name, status, errs)
		}
		for _, want := range c.says {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: %q does not say %q", name, errs, want)
			}
		}
	}
	for name, list := range map[string]string{"no list": "id: x", "an unknown key": "- {id: x, fil: y}",
		"no file": "- {id: x, file: none.key, signs: true}", "no signer": "- {id: x, file: x.key}"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "keys.yaml")
		for file, text := range map[string]string{path: list, filepath.Join(dir, "x.key"): strings.Repeat("x", 40)} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := payment.ReadKeys(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
