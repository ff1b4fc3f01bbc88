package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/httpapi/storefront"
)

func TestStorefrontSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := write("large.css", strings.Repeat("x", storefront.MaxThemeBytes+1))
	good := write("good.css", ":root { --brand: #00529b; }")
	with := func(theme string) Config { return Config{Dev: true, Storefront: StorefrontConfig{Theme: theme}} }
	for name, c := range map[string]struct {
		is   Config
		page bool
		says string
	}{
		"off":            {Config{}, false, ""},
		"dev":            {Config{Dev: true}, true, ""},
		"on":             {Config{Storefront: StorefrontConfig{On: true, Theme: good}}, true, ""},
		"off, any theme": {Config{Storefront: StorefrontConfig{Theme: "nowhere"}}, false, ""},
		"no such theme":  {with(filepath.Join(dir, "x")), false, "no such file"},
		"a folder":       {with(dir), false, "is no file"},
		"too large":      {with(large), false, "over 16384"},
		"no text":        {with(write("x.png", "\x89PNG")), false, "UTF-8"},
	} {
		site, err := c.is.storefront()
		if (site != nil) != c.page || (err != nil) != (c.says != "") {
			t.Errorf("%s: page %t, %v", name, site != nil, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.says) ||
			!strings.HasPrefix(err.Error(), "storefront_theme: ")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := Config{Dev: true, Cashier: CashierConfig{URL: "http://127.0.0.1:8090/"}}
	site, err := cfg.storefront()
	if err != nil {
		t.Fatal(err)
	}
	if page, _ := site.File(""); !strings.Contains(string(page.Body), `data-cashier="http://127.0.0.1:8090/pay"`) {
		t.Errorf("the demo cashier is not led to: %s", page.Body)
	}
}
