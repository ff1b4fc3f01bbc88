package ledger

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"doorbuster/engine"
)

// Rows leave a ledger's file as:
//
//	8 bytes  "DBLEDGER"
//	byte     version 1
//	16 bytes the group's id
//	rows     byte of bucket, uvarint and key, uvarint and value; a bucket of 0 ends them
//	32 bytes SHA-256 of all before
//
// An archive has the rows of one settled session, packed with gzip, for a ledger to
// be made anew from where there is no other node. A backup has those of all; see
// part.go.

const (
	archiveMagic   = "DBLEDGER"
	archiveVersion = 1
	maxArchiveRow  = 1 << 20
)

// archivePath: ids of sessions are harmless in paths (engine.ValidID).
func (l *Ledger) archivePath(session string) string {
	return filepath.Join(l.cfg.Dir, "archive", session+".gz")
}

// archive writes what leaves the state with an entry to files that are on disk,
// whole, when it returns.
func (l *Ledger) archive(e *engine.Effects, b *batch) error {
	for _, gone := range e.Leaving {
		names := l.names.Load()
		if b.names != nil {
			names = b.names
		}
		x := settledRow(e, gone)
		if err := l.writeArchive(names.sessions[gone.Session], func(a *archiver) error {
			for i := range gone.Orders() {
				r, _ := gone.Record(uint32(i + 1))
				l.source.View(func(s *engine.State) { r.Refunds = s.RefundsOf(r.Ref) })
				a.row(bucketOrders, refKey(r.Ref), orderBody(&r))
			}
			a.row(bucketSettled, handleKey(sessionName, gone.Session), x.body())
			return nil
		}); err != nil {
			return fmt.Errorf("archive of session %q: %w", names.sessions[gone.Session], err)
		}
	}
	return nil
}

// archiveAgain writes a settled session's archive from the ledger itself.
func (l *Ledger) archiveAgain(h engine.SessionHandle) error {
	session := l.names.Load().sessions[h]
	if err := l.writeArchive(session, func(a *archiver) error {
		return l.view(func(v *viewing) error {
			if err := v.walk(bucketOrders, binary.BigEndian.AppendUint32(nil, uint32(h)), refKey(engine.OrderRef{Session: h}), func(key, body []byte) (bool, error) {
				a.row(bucketOrders, key, body)
				return a.err == nil, nil
			}); err != nil {
				return err
			}
			key := handleKey(sessionName, h)
			body, err := v.get(bucketSettled, key)
			a.row(bucketSettled, key, body)
			return err
		})
	}); err != nil {
		return fmt.Errorf("archive of session %q: %w", session, err)
	}
	return nil
}

// writeArchive has rows written to a session's archive.
func (l *Ledger) writeArchive(session string, rows func(*archiver) error) (err error) {
	path := l.archivePath(session)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // again, after an error; the first one counts
	packed := gzip.NewWriter(f)
	a := newArchiver(packed, l.group())
	if err := errors.Join(rows(a), a.end(), packed.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// archiver writes rows; after the first error it writes no more.
type archiver struct {
	to  *bufio.Writer
	sum hash.Hash
	err error
}

func newArchiver(to io.Writer, group [16]byte) *archiver {
	a := &archiver{to: bufio.NewWriterSize(to, 64<<10), sum: sha256.New()}
	a.bytes(append(append([]byte(archiveMagic), archiveVersion), group[:]...))
	return a
}

func (a *archiver) bytes(b []byte) {
	if a.err == nil {
		a.sum.Write(b)
		_, a.err = a.to.Write(b)
	}
}

// row writes a row with body.
func (a *archiver) row(bucket byte, key, body []byte) {
	a.sealed(CopyRow{bucket, key, seal(bucket, key, body)})
}

// sealed writes a row as it stands in a file.
func (a *archiver) sealed(r CopyRow) {
	b := append([]byte{r.Bucket}, binary.AppendUvarint(nil, uint64(len(r.Key)))...)
	b = append(b, r.Key...)
	b = binary.AppendUvarint(b, uint64(len(r.Value)))
	a.bytes(append(b, r.Value...))
}

// end writes what is behind the rows.
func (a *archiver) end() error {
	a.bytes([]byte{0})
	if a.err == nil {
		_, a.err = a.to.Write(a.sum.Sum(nil))
	}
	if a.err == nil {
		a.err = a.to.Flush()
	}
	return a.err
}

// readArchive reads a session's archive whole, twice: nothing of a damaged one is
// given to take.
func (l *Ledger) readArchive(session string, take func(CopyRow) error) error {
	if err := l.eachArchived(session, func(CopyRow) error { return nil }); err != nil {
		return err
	}
	return l.eachArchived(session, take)
}

func (l *Ledger) eachArchived(session string, take func(CopyRow) error) error {
	f, err := os.Open(l.archivePath(session))
	if err != nil {
		return err
	}
	defer f.Close()
	bad := func(why any) error { return fmt.Errorf("%w: the archive of session %q: %v", errDamaged, session, why) }
	packed, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return bad(err)
	}
	r, group, err := openArchived(bufio.NewReader(packed))
	switch {
	case errors.Is(err, engine.ErrNewerFormat):
		return fmt.Errorf("archive of session %q: %w", session, err)
	case err != nil:
		return bad(err)
	case group != l.group():
		return bad("it belongs to another group")
	}
	for {
		row, err := r.row()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return bad(err)
		}
		if err := take(row); err != nil {
			return err
		}
	}
}

// openArchived reads what stands before the rows. Error: engine.ErrNewerFormat.
func openArchived(from *bufio.Reader) (r *summed, group [16]byte, err error) {
	r = &summed{r: from, sum: sha256.New()}
	head := make([]byte, len(archiveMagic)+1+len(group))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, group, cutOff(err)
	}
	if string(head[:len(archiveMagic)]) != archiveMagic {
		return nil, group, fmt.Errorf("it does not begin with %q", archiveMagic)
	}
	if v := head[len(archiveMagic)]; v > archiveVersion {
		return nil, group, fmt.Errorf("format %d, this build reads %d: %w", v, archiveVersion, engine.ErrNewerFormat)
	}
	copy(group[:], head[len(archiveMagic)+1:])
	return r, group, nil
}

// cutOff says of an end that comes too soon what it is.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errCutOff
	}
	return err
}

var errCutOff = errors.New("it is cut off")

// summed hashes what is read.
type summed struct {
	r   *bufio.Reader
	sum hash.Hash
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.sum.Write(b[:n])
	return n, err
}

func (s *summed) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

// row gives the next row, as it was sealed; io.EOF behind the last one, when the
// checksum of all has been found to fit.
func (s *summed) row() (r CopyRow, err error) {
	if r.Bucket, err = s.ReadByte(); err != nil {
		return r, cutOff(err)
	}
	if r.Bucket == 0 {
		want, got := s.sum.Sum(nil), make([]byte, sha256.Size)
		if _, err := io.ReadFull(s.r, got); err != nil {
			return r, cutOff(err)
		}
		if string(got) != string(want) {
			return r, errors.New("its checksum does not fit")
		}
		return r, io.EOF
	}
	if r.Key, err = s.field(); err == nil {
		r.Value, err = s.field()
	}
	return r, err
}

func (s *summed) field() ([]byte, error) {
	n, err := binary.ReadUvarint(s)
	if err != nil {
		return nil, cutOff(err)
	}
	if n > maxArchiveRow {
		return nil, fmt.Errorf("a row of it claims %d bytes", n)
	}
	b := make([]byte, n)
	if _, err = io.ReadFull(s, b); err != nil {
		return nil, cutOff(err)
	}
	return b, nil
}
