package vfs

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestWriteSync: what WriteSync wrote is read back, directly written or not, also after
// the file was renamed.
func TestWriteSync(t *testing.T) {
	for _, refused := range []bool{false, true} {
		dir := t.TempDir()
		f, err := OS().Create(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		f.(*osFile).refused = refused
		for _, size := range []int64{2*BlockBytes + 7, 4 * BlockBytes} {
			if err := f.Preallocate(size); err != nil {
				t.Fatal(err)
			}
		}
		if err := OS().Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
			t.Fatal(err)
		}
		b := Blocks(2 * BlockBytes)[:2*BlockBytes]
		for i := range b {
			b[i] = byte(i) | 1
		}
		if err := f.WriteSync(b, BlockBytes); err != nil {
			t.Fatal(err)
		}
		if refused && f.Direct() {
			t.Error("it says that it wrote directly")
		}
		t.Logf("direct: %v", f.Direct())
		got := make([]byte, 4*BlockBytes)
		if _, err := f.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		zeros := make([]byte, BlockBytes)
		if want := bytes.Join([][]byte{zeros, b, zeros}, nil); !bytes.Equal(got, want) {
			t.Error("other bytes were read than written")
		}
	}
}

// TestBlocks: the memory is where direct writes want it.
func TestBlocks(t *testing.T) {
	for _, n := range []int{1, 512, 4096, 4097, 1 << 20} {
		b := Blocks(n)
		if len(b) < n || len(b)%alignment != 0 || address(b)%alignment != 0 {
			t.Errorf("%d bytes of blocks: %d at %#x", n, len(b), address(b))
		}
	}
}
