package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// resultsDir declares where results are kept.
func resultsDir(at *string) Setting {
	return free(at, "results", filepath.Join("bench", "results"), "`folder` to keep the results in; empty keeps none")
}

// save writes a report as JSON and as text for benchstat into dir, which it
// creates, and returns the paths. A name carries the time and the commit, so
// that results pile up and nothing is overwritten.
func save(dir, name string, e Environment,
	asJSON func() ([]byte, error), asText func(io.Writer) error) ([]string, error) {
	if dir == "" {
		return nil, fmt.Errorf("save results: no directory given")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("save results: %w", err)
	}
	j, err := asJSON()
	if err != nil {
		return nil, fmt.Errorf("save results: %w", err)
	}
	var text bytes.Buffer
	if err := asText(&text); err != nil {
		return nil, fmt.Errorf("save results: %w", err)
	}
	commit := e.Commit
	if commit == "" {
		commit = "unknown"
	}
	stem := fmt.Sprintf("%s-%s-%.10s", name, e.Time.Format("20060102T150405Z"), commit)
	var paths []string
	for _, f := range []struct {
		suffix string
		data   []byte
	}{{".json", j}, {".txt", text.Bytes()}} {
		path := filepath.Join(dir, stem+f.suffix)
		if err := os.WriteFile(path, f.data, 0o644); err != nil {
			return paths, fmt.Errorf("save results: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func indentedJSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// writeBenchfmt writes the configuration lines that benchstat groups by.
func (e Environment) writeBenchfmt(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: doorbuster/bench\n", e.OS, e.Arch)
	if e.CPU != "" {
		fmt.Fprintf(w, "cpu: %s\n", e.CPU)
	}
	fmt.Fprintf(w, "go: %s\ncores: %d\n", e.GoVersion, e.Cores)
	if e.Commit != "" {
		fmt.Fprintf(w, "commit: %s\n", e.Commit)
	}
}
