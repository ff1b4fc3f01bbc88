package payment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"

	yaml "go.yaml.in/yaml/v3"

	"doorbuster/httpapi/auth"
)

// ReadKeys reads the list of keys of payment tokens, a YAML file, and the keys' own
// files, which lie beside it unless they say where. Without a path there are none.
func ReadKeys(path string) ([]Key, error) {
	if path == "" {
		return nil, nil
	}
	text, err := auth.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys of payment tokens: %w", err)
	}
	var list []struct {
		ID    string `yaml:"id"`
		File  string `yaml:"file"`
		Signs bool   `yaml:"signs"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		at := "" // of the parser's words the line is all that helps
		if line := regexp.MustCompile(`line \d+`).FindString(err.Error()); line != "" {
			at = ", and is not at " + line
		}
		return nil, fmt.Errorf("keys of payment tokens: %s must be a list like %q%s", path,
			"- {id: k1, file: k1.key, signs: true}", at)
	}
	keys := make([]Key, len(list))
	for i, given := range list {
		file := given.File
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		keys[i] = Key{ID: given.ID, Signs: given.Signs}
		if keys[i].Text, err = auth.ReadFile(file); err != nil {
			return nil, fmt.Errorf("keys of payment tokens: key %q in %s: %w", given.ID, path, err)
		}
	}
	if _, err := NewKeys(keys); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}
