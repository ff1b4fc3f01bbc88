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

// An archive has the rows of one settled session, for a ledger to be made anew from
// where there is no other node. It is gzip of:
//
//	8 bytes  "DBLEDGER"
//	byte     version 1
//	16 bytes the group's id
//	rows     byte of bucket, uvarint and key, uvarint and value; a bucket of 0 ends them
//	32 bytes SHA-256 of all before

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
		if err := l.writeArchive(names.sessions[gone.Session], gone, &x); err != nil {
			return fmt.Errorf("archive of session %q: %w", names.sessions[gone.Session], err)
		}
	}
	return nil
}

func (l *Ledger) writeArchive(session string, gone *engine.Leaving, x *Settled) (err error) {
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
	to := bufio.NewWriterSize(packed, 64<<10)
	sum := sha256.New()
	a := archiver{to: io.MultiWriter(to, sum)}
	group := l.group()
	a.bytes(append(append([]byte(archiveMagic), archiveVersion), group[:]...))
	for i := range gone.Orders() {
		r, _ := gone.Record(uint32(i + 1))
		l.source.View(func(s *engine.State) { r.Refunds = s.RefundsOf(r.Ref) })
		a.row(bucketOrders, refKey(r.Ref), orderBody(&r))
	}
	a.row(bucketSettled, handleKey(sessionName, gone.Session), x.body())
	a.bytes([]byte{0})
	if a.err == nil {
		_, a.err = to.Write(sum.Sum(nil))
	}
	if err := errors.Join(a.err, to.Flush(), packed.Close(), f.Sync(), f.Close()); err != nil {
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

type archiver struct {
	to  io.Writer
	err error
}

func (a *archiver) bytes(b []byte) {
	if a.err == nil {
		_, a.err = a.to.Write(b)
	}
}

func (a *archiver) row(bucket byte, key, body []byte) {
	value := seal(bucket, key, body)
	b := append([]byte{bucket}, binary.AppendUvarint(nil, uint64(len(key)))...)
	b = append(b, key...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	a.bytes(append(b, value...))
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
	r := &summed{r: bufio.NewReader(packed), sum: sha256.New()}
	head := make([]byte, len(archiveMagic)+1+16)
	if _, err := io.ReadFull(r, head); err != nil {
		return bad(err)
	}
	if string(head[:len(archiveMagic)]) != archiveMagic {
		return bad("it is none")
	}
	if v := head[len(archiveMagic)]; v > archiveVersion {
		return fmt.Errorf("archive format %d, this build reads %d: %w", v, archiveVersion, engine.ErrNewerFormat)
	}
	if group := l.group(); string(head[len(archiveMagic)+1:]) != string(group[:]) {
		return bad("it belongs to another group")
	}
	for {
		bucket, err := r.ReadByte()
		if err != nil {
			return bad(err)
		}
		if bucket == 0 {
			break
		}
		key, err := r.field()
		if err != nil {
			return bad(err)
		}
		value, err := r.field()
		if err != nil {
			return bad(err)
		}
		if err := take(CopyRow{bucket, key, value}); err != nil {
			return err
		}
	}
	want, got := r.sum.Sum(nil), make([]byte, sha256.Size)
	if _, err := io.ReadFull(r.r, got); err != nil || string(got) != string(want) {
		return bad("its checksum does not fit")
	}
	return nil
}

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

func (s *summed) field() ([]byte, error) {
	n, err := binary.ReadUvarint(s)
	if err != nil || n > maxArchiveRow {
		return nil, errors.Join(errDamaged, err)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(s, b)
	return b, err
}
