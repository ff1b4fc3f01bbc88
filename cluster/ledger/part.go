package ledger

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"

	"doorbuster/cluster/ledger/settled"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// A ledger's part of a backup has what the state at the backup's index does not: the
// files of the sessions that have left the state by then, and the trail up to it.
//
//	8 bytes  "DBLEDGER", byte version 1
//	Part     in gob, but for what it says of the trail
//	         of each session in it: u64 bytes of its file, little-endian, and the file
//	         the trail, as its own WriteTo writes it
//	32 bytes SHA-256 of all before
const (
	partMagic   = "DBLEDGER"
	partVersion = 1
)

// Part says what a ledger's part of a backup holds.
type Part struct {
	Index    engine.LogIndex
	Group    [16]byte
	Sessions []settled.Session
	Gaps     int // in the trail
}

// Orders is how many the part has.
func (p *Part) Orders() (n int64) {
	for _, x := range p.Sessions {
		n += int64(x.Orders)
	}
	return n
}

var (
	// ErrPart: it is no ledger's part of a backup, or a damaged one, or another backup's.
	ErrPart = errors.New("the ledger's part is damaged or cut short")
	// ErrNotWhole: the ledger lacks something that a backup must have.
	ErrNotWhole = errors.New("this node's ledger is not whole")
)

// Left gives the sessions whose orders have left a state.
func Left(s *engine.State) (left []settled.Session) {
	for _, x := range s.Sessions() {
		if x.Left() {
			left = append(left, sessionOf(x, groupOf(s)))
		}
	}
	return left
}

// Fits tells why a part does not go with a state.
func (p *Part) Fits(s *engine.State) error {
	left := Left(s)
	if p.Index != s.LogIndex() || p.Group != groupOf(s) || len(left) != len(p.Sessions) {
		return fmt.Errorf("%w: it is of log index %d with %d settled sessions, the state of %d with %d", ErrPart,
			p.Index, len(p.Sessions), s.LogIndex(), len(left))
	}
	for i, x := range left {
		if p.Sessions[i] != x {
			return fmt.Errorf("%w: it has session %d otherwise than the state", ErrPart, x.Handle)
		}
	}
	return nil
}

// AwaitWhole waits until everything up to index is on disk, and reports whether the
// ledger can give its part up to there. Error: ErrNotWhole.
func (l *Ledger) AwaitWhole(ctx context.Context, index engine.LogIndex) error {
	err := l.Await(ctx, index)
	switch missing := len(l.orders.Missing()); {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrNotWhole, err)
	case err != nil:
		return err
	case missing > 0:
		return fmt.Errorf("%w: it lacks the orders of %d settled sessions", ErrNotWhole, missing)
	}
	return nil
}

// WritePart writes the ledger's part of a backup at index, with the files of the
// sessions that have left the state by then. A slow to holds up nobody. After an error
// what was written is worth nothing. Errors: ErrNotWhole, and what to says.
func (l *Ledger) WritePart(ctx context.Context, to io.Writer, index engine.LogIndex, left []settled.Session) error {
	if err := l.AwaitWhole(ctx, index); err != nil {
		return err
	}
	digest := sha256.New()
	w := io.MultiWriter(to, digest)
	p := Part{Index: index, Sessions: left}
	l.source.View(func(s *engine.State) { p.Group = groupOf(s) })
	_, err := w.Write(append([]byte(partMagic), partVersion))
	if err == nil {
		err = gob.NewEncoder(w).Encode(&p)
	}
	for i := 0; i < len(left) && err == nil; i++ {
		err = cmp.Or(ctx.Err(), l.writeFile(w, left[i]))
	}
	if err == nil {
		err = l.trail.WriteTo(ctx, w, index)
	}
	if err == nil {
		_, err = to.Write(digest.Sum(nil))
	}
	return err
}

func (l *Ledger) writeFile(w io.Writer, x settled.Session) error {
	f, err := l.orders.OpenFile(x.Handle)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotWhole, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(info.Size()))); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}

// readPart checks a part of so many bytes, and gives each file, and the pages of the
// trail, to its callers; what they leave unread is passed over. Error: ErrPart.
func readPart(from io.Reader, bytes int64, file func(settled.Session, io.Reader) error,
	page func(kind int, p *trail.Page) error) (p Part, err error) {
	defer func() {
		if err != nil && !errors.Is(err, engine.ErrNewerFormat) {
			err = fmt.Errorf("%w: %w", ErrPart, err)
		}
	}()
	digest := sha256.New()
	body := &io.LimitedReader{R: from, N: bytes - sha256.Size}
	r := bufio.NewReaderSize(io.TeeReader(body, digest), 1<<16)
	head := make([]byte, len(partMagic)+1)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(partMagic)]) != partMagic {
		return p, fmt.Errorf("it does not begin with %q", partMagic)
	}
	if v := head[len(partMagic)]; v > partVersion {
		return p, fmt.Errorf("the ledger's part: format %d, this build reads %d: %w", v,
			partVersion, engine.ErrNewerFormat)
	}
	if err := gob.NewDecoder(r).Decode(&p); err != nil {
		return p, err
	}
	for _, x := range p.Sessions {
		var size [8]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return p, err
		}
		f := &io.LimitedReader{R: r, N: int64(min(binary.LittleEndian.Uint64(size[:]), math.MaxInt64))}
		if err := file(x, f); err != nil {
			return p, err
		}
		if _, err := io.Copy(io.Discard, f); err != nil || f.N > 0 {
			return p, cmp.Or(err, io.ErrUnexpectedEOF)
		}
	}
	if p.Gaps, err = trail.ReadBackup(r, p.Group, p.Index, page); err != nil {
		return p, err
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n > 0 || body.N > 0 {
		return p, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(from, want); err != nil || string(digest.Sum(nil)) != string(want) {
		return p, cmp.Or(err, errors.New("it does not fit its checksum"))
	}
	return p, nil
}

// CheckPart reads a part of so many bytes to its end. Error: ErrPart.
func CheckPart(from io.Reader, bytes int64) (Part, error) {
	return readPart(from, bytes, func(settled.Session, io.Reader) error { return nil },
		func(int, *trail.Page) error { return nil })
}

// Restore makes a ledger in a directory that has none, of a part that was checked.
func Restore(ctx context.Context, cfg Config, from io.Reader, bytes int64) (err error) {
	orders, err := settled.Open(cfg.settled())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, orders.Close()) }()
	events, err := trail.Restore(cfg.trail())
	if err != nil {
		return err
	}
	_, err = readPart(from, bytes, func(x settled.Session, f io.Reader) error {
		orders.Expect(x)
		return orders.Install(ctx, x.Handle, f)
	}, events)
	return err
}
