package waltest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"doorbuster/wal/vfs"
	"doorbuster/wal/waltest"
)

func create(t *testing.T, fsys vfs.FS, name string, b []byte) vfs.File {
	t.Helper()
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func sync(t *testing.T, f vfs.File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// What was synced survives every crash; what was not survives some.
func TestCrash(t *testing.T) {
	synced, unsynced := bytes.Repeat([]byte{1}, 2000), bytes.Repeat([]byte{2}, 2000)
	var gone, nameGone, torn, kept bool
	for seed := range uint64(100) {
		d := waltest.NewDisk(seed)
		f := create(t, d, "f", synced)
		sync(t, f)
		if err := d.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(unsynced, 2000); err != nil {
			t.Fatal(err)
		}
		sync(t, create(t, d, "g", synced))
		after := d.Restart(seed)
		if _, err := f.WriteAt(unsynced, 0); !errors.Is(err, waltest.ErrPowerLost) {
			t.Fatal("the old disk still works: ", err)
		}
		b := after.Bytes("f")
		if len(b) < 2000 || !bytes.Equal(b[:2000], synced) {
			t.Fatalf("seed %d: synced bytes are gone", seed)
		}
		switch rest := b[2000:]; {
		case len(rest) == 0:
			gone = true
		case bytes.Equal(rest, unsynced):
			kept = true
		default:
			torn = true
		}
		nameGone = nameGone || after.Bytes("g") == nil
	}
	if !gone || !nameGone || !torn || !kept {
		t.Fatalf("a hundred crashes: all gone %v, name gone %v, torn %v, all kept %v", gone, nameGone, torn, kept)
	}
}

// After a failed sync the bytes can be read, the next sync succeeds, and a
// crash loses them all the same.
func TestFailedSyncLosesBytes(t *testing.T) {
	d := waltest.NewDisk(1)
	f := create(t, d, "f", make([]byte, 600))
	sync(t, f)
	d.SyncDir(".")
	f.WriteAt([]byte("lost"), 0)
	d.FailAt(d.Ops()+1, syscall.EIO)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	sync(t, f)
	if b := d.Bytes("f"); !bytes.HasPrefix(b, []byte("lost")) {
		t.Fatal("not readable")
	}
	if b := d.Restart(1).Bytes("f"); bytes.HasPrefix(b, []byte("lost")) {
		t.Fatal("survived a failed sync")
	}
}

// The memory disk and the operating system agree on what programs see.
func TestSameAsOS(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"memory": waltest.NewDisk(1), "os": vfs.OS()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			if _, err := fsys.List(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			for range 2 {
				if err := fsys.MkdirAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "f")
			if _, err := fsys.OpenRead(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			f := create(t, fsys, path, []byte("hello"))
			for _, step := range []struct {
				do   func() error
				size int64
			}{
				{func() error { return f.Preallocate(4096) }, 4096},
				{func() error { return f.Preallocate(100) }, 4096},
				{func() error { return f.Truncate(3) }, 3},
				{func() error { return f.Truncate(10) }, 10},
				{f.Sync, 10},
			} {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				if size, err := f.Size(); err != nil || size != step.size {
					t.Fatal(size, err)
				}
			}
			b := make([]byte, 20)
			if n, _ := f.ReadAt(b, 0); string(b[:n]) != "hel\x00\x00\x00\x00\x00\x00\x00" {
				t.Fatalf("%q", b[:n])
			}
			if err := fsys.Rename(path, path+"2"); err != nil {
				t.Fatal(err)
			}
			r, err := fsys.OpenRead(path + "2")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.WriteAt([]byte("x"), 0); err == nil {
				t.Fatal("wrote to a file opened for reading")
			}
			if names, err := fsys.List(dir); err != nil || len(names) != 1 || names[0] != "f2" {
				t.Fatal(names, err)
			}
			if err := errors.Join(fsys.Remove(path+"2"), fsys.SyncDir(dir)); err != nil {
				t.Fatal(err)
			}
			if n, err := r.ReadAt(b[:3], 0); n != 3 || err != nil {
				t.Fatal("an open file went with its name: ", err)
			}
			if err := errors.Join(r.Close(), f.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := r.ReadAt(b, 0); !errors.Is(err, fs.ErrClosed) {
				t.Fatal(err)
			}
		})
	}
}
