package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"path"
	"slices"
	"sync"
)

//go:embed *.html *.css *.js *.txt *.svg
var files embed.FS

// Policy is the Content-Security-Policy that the files are to be served with.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page is the file that every view is shown by.
const Page = "index.html"

// views are the first parts of the paths that views have.
var views = []string{"now", "plan", "orders", "crowd", "money", "goods", "cluster", "after"}

// HasView reports whether a path that begins with this part is one of the console's.
func HasView(name string) bool { return slices.Contains(views, name) }

var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// File is one of the console's. Its slices are for reading.
type File struct {
	Body, Zipped []byte // Zipped is Body by gzip
	Type, Tag    string // Tag is an entity tag, in its quotes
}

// Open gives a file by its name; ok is false for a name that is none.
func Open(name string) (f File, ok bool) {
	f, ok = all()[name]
	return f, ok
}

// all reads the files when the first is asked for.
var all = sync.OnceValue(func() map[string]File {
	found, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the build has put them there
	}
	table := map[string]File{}
	for _, entry := range found {
		body, err := files.ReadFile(entry.Name())
		if err != nil {
			panic(err)
		}
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, _ = w.Write(body) // a buffer takes all
		_ = w.Close()
		sum := sha256.Sum256(body)
		table[entry.Name()] = File{body, zipped.Bytes(), kinds[path.Ext(entry.Name())],
			`"` + hex.EncodeToString(sum[:12]) + `"`}
	}
	return table
})
