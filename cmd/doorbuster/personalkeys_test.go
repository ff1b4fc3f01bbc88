package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbuster/httpapi/personal"
)

// keyTool runs a command on a key file, and gives what it says.
func keyTool(t *testing.T, args ...string) (says string, err error) {
	t.Helper()
	var out bytes.Buffer
	c := newPersonalKeysCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	err = c.Execute()
	return out.String(), err
}

// TestKeyFileHasNoMoreKeysThanAreRead: a rotation too many changes nothing, as the file could
// be read no more, and none of its keys be removed.
func TestKeyFileHasNoMoreKeysThanAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	_, err := keyTool(t, "new", "--file", file)
	for range personal.MaxKeys - 1 {
		if err == nil {
			_, err = keyTool(t, "rotate", "--file", file)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err = keyTool(t, "rotate", "--file", file); err == nil || !strings.Contains(err.Error(), "64 keys") {
		t.Errorf("%v", err)
	}
	if keys, err := readKeyFile(file); err != nil || len(keys) != personal.MaxKeys {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestKeyFileIsReplacedInItsPlace: what a link leads to is what changes, and it stays whose it
// was: the node may be another user than whoever rotates its keys.
func TestKeyFileIsReplacedInItsPlace(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "keys"), filepath.Join(dir, "link")
	if _, err := keyTool(t, "new", "--file", file); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	root := os.Chown(file, 65534, 65534) == nil
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	if _, err := keyTool(t, "rotate", "--file", link); err != nil {
		t.Fatal(err)
	}
	if keys, err := readKeyFile(file); err != nil || len(keys) != 2 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o640 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if uid, gid, known := ownerOf(info); known && root && (uid != 65534 || gid != 65534) {
		t.Errorf("it is %d:%d's", uid, gid)
	}
}

// TestKeyFileIsChangedByOneAtATime: of two rotations at once none takes the other's key away.
func TestKeyFileIsChangedByOneAtATime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if _, err := keyTool(t, "new", "--file", file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", nil, 0o600); err != nil { // another is at it
		t.Fatal(err)
	}
	if _, err := keyTool(t, "rotate", "--file", file); err == nil || !strings.Contains(err.Error(), ".new") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(file + ".new"); err != nil {
		t.Error(err)
	}
	if keys, err := readKeyFile(file); err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}
