package nodetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TempFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// FlipByte changes a byte in the middle of the pages in use.
func FlipByte(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	b := make([]byte, 64<<10)
	from := int64(8 << 10)
	if info, err := file.Stat(); err != nil || info.Size() == 0 {
		return err
	} else if info.Size() <= from {
		from = info.Size() / 4
	}
	n, err := file.ReadAt(b, from)
	if n == 0 {
		return err
	}
	for i := n / 3; i < n; i++ {
		if b[i] >= 'a' && b[i] <= 'z' { // of a row, not of room that nobody uses
			_, err := file.WriteAt([]byte{b[i] ^ 1}, from+int64(i))
			return err
		}
	}
	_, err = file.WriteAt([]byte{b[n/2] ^ 1}, from+int64(n/2))
	return err
}

// ListFile writes a file of a list.
func ListFile(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Edit changes a file's bytes.
func Edit(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, how(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
