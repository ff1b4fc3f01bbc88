package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"doorbuster/httpapi/storefront"
)

// storefront makes the shoppers' page, with the theme as it is now; nil where none is
// served.
func (c Config) storefront() (*storefront.Site, error) {
	s := c.Storefront
	if !s.On && !c.Dev {
		return nil, nil
	}
	if s.Cashier == "" && c.Dev && c.Cashier.URL != "" {
		s.Cashier = strings.TrimRight(c.Cashier.URL, "/") + "/pay"
	}
	var theme []byte
	if s.Theme != "" {
		var err error
		if theme, err = readTheme(s.Theme); err != nil {
			return nil, fmt.Errorf("storefront_theme: %w", err)
		}
	}
	return storefront.Open(storefront.Config{Dev: c.Dev, Theme: theme, Cashier: s.Cashier})
}

// readTheme reads no more of a file than a theme may have.
func readTheme(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	theme, err := io.ReadAll(io.LimitReader(f, storefront.MaxThemeBytes+1))
	if err != nil {
		return nil, err
	}
	if len(theme) > storefront.MaxThemeBytes {
		return nil, fmt.Errorf("%s has over %d bytes, the most of a theme", path, storefront.MaxThemeBytes)
	}
	if err := storefront.CheckTheme(theme); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return theme, nil
}
