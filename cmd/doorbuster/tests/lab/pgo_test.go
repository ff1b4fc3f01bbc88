package lab

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"testing"

	"doorbuster/cmd/doorbuster/nodetest"
)

// TestBuiltByProfile: the program is built by the profile that lies beside its source,
// which is small enough for a repository.
func TestBuiltByProfile(t *testing.T) {
	built, err := buildinfo.ReadFile(nodetest.Command(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	profile := ""
	for _, s := range built.Settings {
		if s.Key == "-race" {
			t.Skip("with the race detector it is built by none")
		}
		if s.Key == "-pgo" {
			profile = s.Value
		}
	}
	if filepath.Base(profile) != "default.pgo" {
		t.Errorf("built by the profile %q", profile)
	}
	if info, err := os.Stat("../../default.pgo"); err != nil || info.Size() > 500<<10 {
		t.Errorf("%+v, %v", info, err)
	}
}
