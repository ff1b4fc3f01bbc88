// Package plays has the templates of plays that are shipped: files, as any shop could write
// them, and no code of their own.
package plays

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

const suffix = ".yaml"

// Shipped gives the text of a shipped template.
func Shipped(id string) (text string, known bool) {
	b, err := files.ReadFile(id + suffix)
	return string(b), err == nil
}

// IDs gives the ids of those that are shipped, sorted.
func IDs() []string {
	names, err := fs.Glob(files, "*"+suffix)
	if err != nil {
		return nil // of a bad pattern only
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], suffix)
	}
	slices.Sort(names)
	return names
}
