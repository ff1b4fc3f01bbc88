package operate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/httpapi/shipping"
)

// TestFilesTooLargeToSend are refused by what a node takes of their kind, before they are sent.
func TestFilesTooLargeToSend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "parcels.csv")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, shipping.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	_, err := run(newParcelsCommand(), "day", file, "--admin", "127.0.0.1:1", "--timeout", "1s")
	if err == nil || !strings.Contains(err.Error(), "may have 64.0 MiB") {
		t.Error(err)
	}
}
