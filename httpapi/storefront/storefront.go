package storefront

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

//go:embed index.html shop.css *.js
var files embed.FS

// Policy is the Content-Security-Policy that the files are to be served with. Pictures of
// products are where the catalogue says, over TLS; those of challenges are in the answer.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; " +
	"connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// MaxThemeBytes bounds a theme: it is sent to whoever opens the page.
const MaxThemeBytes = 16 << 10

// themeFile is the theme's name among the files; without a theme it is empty.
const themeFile = "theme.css"

var kinds = map[string]string{
	"html": "text/html; charset=utf-8",
	"css":  "text/css; charset=utf-8",
	"js":   "text/javascript; charset=utf-8",
}

// Config says how the page is shown.
type Config struct {
	// Dev has the page ask for a name, since the node believes any; without it shoppers
	// bring a token.
	Dev bool
	// Theme is a style sheet, loaded after the page's own. CheckTheme says what may be one.
	Theme []byte
	// Cashier is where shoppers pay: the URL of a page that takes the payment token behind
	// #token=. Without one the page says so; with Dev, too, it offers to pretend.
	Cashier string
}

// Site is the files as they are served. It never changes.
type Site struct{ files map[string]File }

// File is one of them. Its slices are for reading.
type File struct {
	Body, Zipped []byte // Zipped is Body by gzip
	Type, Tag    string // Tag is an entity tag, in its quotes
}

// CheckTheme says what is wrong with a theme, or nil.
func CheckTheme(theme []byte) error {
	switch {
	case len(theme) > MaxThemeBytes:
		return fmt.Errorf("it has %d bytes; a theme has at most %d", len(theme), MaxThemeBytes)
	case !utf8.Valid(theme) || bytes.IndexByte(theme, 0) >= 0:
		return errors.New("it is not a text in UTF-8")
	case bytes.Contains(bytes.ToLower(theme), []byte("@import")):
		return errors.New("it has an @import, which browsers would not load: put all of it into one file")
	}
	return nil
}

// Open makes the site, or says what is wrong with the theme.
func Open(cfg Config) (*Site, error) {
	if err := CheckTheme(cfg.Theme); err != nil {
		return nil, fmt.Errorf("theme: %w", err)
	}
	s := &Site{files: map[string]File{}}
	if err := s.add(themeFile, cfg.Theme); err != nil {
		return nil, err
	}
	all, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		body, err := files.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		if f.Name() == "index.html" {
			body = []byte(strings.NewReplacer("{dev}", fmt.Sprint(cfg.Dev),
				"{cashier}", html.EscapeString(cfg.Cashier)).Replace(string(body)))
		}
		if err = s.add(f.Name(), body); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Site) add(name string, body []byte) error {
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return err
	}
	_, ending, _ := strings.Cut(name, ".")
	sum := sha256.Sum256(body)
	s.files[name] = File{Body: body, Zipped: zipped.Bytes(), Type: kinds[ending],
		Tag: `"` + hex.EncodeToString(sum[:12]) + `"`}
	return nil
}

// File gives a file by its name, "" for the page itself; ok is false for a name that is
// none.
func (s *Site) File(name string) (f File, ok bool) {
	if name == "" {
		name = "index.html"
	}
	f, ok = s.files[name]
	return f, ok
}
