package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"time"

	"doorbuster/httpapi/reconcile"
)

// ID names a report that is made at a time of what has the hash sum; two nodes may make
// one in the same millisecond.
func ID(at time.Time, sum [sha256.Size]byte) string {
	const hashShown = 6
	return at.UTC().Format(idTime) + "-" + hex.EncodeToString(sum[:hashShown])
}

// idTime is what an ID begins with.
const idTime = "20060102T150405.000Z"

// MadeAt is when the report of an ID was made; zero where the ID does not say.
func MadeAt(id string) time.Time {
	at, _ := time.Parse(idTime, id[:min(len(id), len(idTime))])
	return at
}

// Scratch gives a file for what is reconciled, which goes when it is closed.
func (a *Archive) Scratch() (*Scratch, error) {
	if err := a.prepare(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(a.cfg.Dir, "statement-*"+partSuffix)
	return &Scratch{f}, err
}

// Scratch is a file that lasts until it is closed.
type Scratch struct{ *os.File }

// Close removes the file.
func (s *Scratch) Close() error { return errors.Join(s.File.Close(), os.Remove(s.Name())) }

// Writer writes one report.
type Writer struct {
	archive *Archive
	id      string
	file    *os.File
	to      *bufio.Writer
	sum     hash.Hash // of the findings
	kept    int64
	bytes   int64
}

// Begin begins a report with its findings. Its Keep or its Drop is to be called.
func (a *Archive) Begin(id string) (*Writer, error) {
	if err := a.prepare(); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", a.cfg.Dir, err)
	}
	f, err := os.OpenFile(a.path(id, findingsSuffix)+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin the report: %w", err)
	}
	return &Writer{archive: a, id: id, file: f, to: bufio.NewWriterSize(f, 64<<10), sum: sha256.New()}, nil
}

// Finding adds a finding, unless there is no more room for any.
func (w *Writer) Finding(f *reconcile.Finding) error {
	if w.bytes >= mostFindingBytes {
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	w.kept++
	w.bytes += int64(len(text)) + 1
	_, err = w.Write(append(text, '\n'))
	return err
}

// Write adds findings that are lines already.
func (w *Writer) Write(lines []byte) (int, error) {
	w.sum.Write(lines)
	return w.to.Write(lines)
}

// checksum is that of the findings, as reports tell it.
func (w *Writer) checksum() string { return hex.EncodeToString(w.sum.Sum(nil)) }

// Drop leaves nothing behind.
func (w *Writer) Drop() {
	_ = w.file.Close() // it is removed
	_ = os.Remove(w.file.Name())
}

// Keep makes the report of a run last.
func (w *Writer) Keep(r *reconcile.Report) error {
	r.Kept, r.FindingsSHA256 = w.kept, w.checksum()
	text, err := json.Marshal(r)
	if err != nil {
		w.Drop()
		return err
	}
	if err := w.keep(r, text); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// keep makes a report last that is written as text.
func (w *Writer) keep(r *reconcile.Report, text []byte) error {
	a := w.archive
	whole, findings := a.path(w.id, reportSuffix), a.path(w.id, findingsSuffix)
	err := errors.Join(w.to.Flush(), w.file.Sync(), w.file.Close())
	if err == nil {
		err = writePart(whole, text)
	}
	if err == nil {
		err = a.locked(func() error {
			if err := place(findings, whole); err != nil {
				return err
			}
			return errors.Join(a.add(r), a.prune())
		})
	}
	if err != nil {
		_ = os.Remove(findings + partSuffix) // what is left of it
		_ = os.Remove(whole + partSuffix)
	}
	return err
}

// KeepFile writes a file whole or not at all, and has it on disk.
func KeepFile(path string, text []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = writePart(path, text)
	}
	if err != nil {
		return err
	}
	return place(path)
}

// writePart writes what is to be a file, and has it on disk.
func writePart(path string, text []byte) error {
	f, err := os.OpenFile(path+partSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// place has files of one folder that are written count, in this order, so that where
// the last one is, all are.
func place(paths ...string) error {
	for _, path := range paths {
		if err := os.Rename(path+partSuffix, path); err != nil {
			return err
		}
	}
	folder, err := os.Open(filepath.Dir(paths[0]))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
