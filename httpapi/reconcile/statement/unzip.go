package statement

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Bounds of an archive. Statements come to some twenty times their archive.
const (
	maxDirectoryBytes = 1 << 20 // read of the list of its files
	maxInflation      = 250
	freeInflation     = 1 << 20 // bytes that an archive may come to, however small it is
)

// Unpacked gives a statement from its beginning: that in f, or, if f is a zip archive, the
// one within. Errors, also those of reading it, are a *Malformed for what is wrong with the
// archive.
func Unpacked(f io.ReaderAt, size int64) (io.ReadCloser, error) {
	head := make([]byte, 4)
	if n, _ := f.ReadAt(head, 0); string(head[:n]) != "PK\x03\x04" {
		return io.NopCloser(io.NewSectionReader(f, 0, size)), nil
	}
	bounded := &boundedAt{from: f, left: maxDirectoryBytes}
	archive, err := zip.NewReader(bounded, size)
	if err != nil {
		return nil, inArchive("it can't be read: %v", err)
	}
	bounded.left = -1
	files := slices.DeleteFunc(archive.File, func(f *zip.File) bool {
		return strings.HasSuffix(f.Name, "/") || strings.Contains(nameOf(f), summaryFile)
	})
	if len(files) != 1 {
		return nil, inArchive("it has %d files; one is a statement", len(files))
	}
	file := files[0]
	if file.Flags&1 != 0 {
		return nil, inArchive("it is encrypted; unpack it with its password first")
	}
	from, err := file.Open()
	if err != nil {
		return nil, inArchive("it can't be read: %v", err)
	}
	return &unpacked{from, min(MaxBytes, freeInflation+maxInflation*size)}, nil
}

// summaryFile is in the name of what Alipay puts beside its statement: its totals.
const summaryFile = "汇总"

// nameOf gives the name of a file, which Alipay writes in GBK.
func nameOf(f *zip.File) string {
	if !f.NonUTF8 {
		return f.Name
	}
	name, err := simplifiedchinese.GB18030.NewDecoder().String(f.Name)
	if err != nil {
		return f.Name
	}
	return name
}

func inArchive(format string, args ...any) error {
	return &Malformed{Problems: []Problem{{0, "the zip archive: " + fmt.Sprintf(format, args...)}}}
}

// boundedAt fails once more than left was read; with -1 it has no bound.
type boundedAt struct {
	from io.ReaderAt
	left int64
}

func (b *boundedAt) ReadAt(p []byte, at int64) (int, error) {
	if b.left >= 0 {
		if b.left -= int64(len(p)); b.left < 0 {
			b.left = 0
			return 0, errors.New("it has too many files")
		}
	}
	return b.from.ReadAt(p, at)
}

// unpacked is a file of an archive.
type unpacked struct {
	io.ReadCloser
	left int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, inArchive("what is in it is too long for it, or over %d bytes", int64(MaxBytes))
	}
	if err != nil && err != io.EOF {
		err = inArchive("it is damaged: %v", err)
	}
	return n, err
}
