package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"doorbuster/cluster/ledger/settled"
	"doorbuster/cluster/ledger/trail"
	"doorbuster/engine"
)

// A ledger's part of a backup has what the state at the backup's index does not: the
// files of the sessions that have left the state by then, and the trail up to it.
//
//	8 bytes  "DBLEDGER", byte version 1
//	16 bytes the group
//	u64      log index
//	u32      sessions, and of each: u32 handle, u64 index, u32 orders, u64 bytes of its file, the file
//	         the trail, as its own WriteTo writes it
//	32 bytes SHA-256 of all before
//
// Numbers are little-endian.
const (
	partMagic   = "DBLEDGER"
	partVersion = 1
	partHead    = len(partMagic) + 1 + 16 + 8 + 4
)

// Part says what a ledger's part of a backup holds.
type Part struct {
	Index    engine.LogIndex
	Group    [16]byte
	Sessions []settled.Session
	Orders   int64
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
			left = append(left, settled.Session{Handle: x.Handle, Index: x.Sealed, Orders: uint32(x.Orders()), Group: groupOf(s)})
		}
	}
	return left
}

// Fits tells why a part does not go with a state.
func (p *Part) Fits(s *engine.State) error {
	left := Left(s)
	if p.Index != s.LogIndex() || p.Group != groupOf(s) || len(left) != len(p.Sessions) {
		return fmt.Errorf("%w: it is of log index %d with %d settled sessions, the state of %d with %d", ErrPart, p.Index, len(p.Sessions), s.LogIndex(), len(left))
	}
	for i, x := range left {
		if p.Sessions[i] != x {
			return fmt.Errorf("%w: it has session %d otherwise than the state", ErrPart, x.Handle)
		}
	}
	return nil
}

// AwaitWhole waits until everything up to index is on disk, and tells whether the
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
	head := append([]byte(partMagic), append([]byte{partVersion}, make([]byte, 16)...)...)
	l.source.View(func(s *engine.State) {
		group := groupOf(s)
		copy(head[len(partMagic)+1:], group[:])
	})
	le := binary.LittleEndian
	head = le.AppendUint32(le.AppendUint64(head, uint64(index)), uint32(len(left)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, x := range left {
		if err := l.writeFile(ctx, w, x); err != nil {
			return err
		}
	}
	if err := l.trail.WriteTo(ctx, w, index); err != nil {
		return unreadable(err)
	}
	_, err := to.Write(digest.Sum(nil))
	return err
}

func (l *Ledger) writeFile(ctx context.Context, w io.Writer, x settled.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := l.orders.OpenFile(x.Handle)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotWhole, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	head := le.AppendUint32(le.AppendUint64(le.AppendUint32(nil, uint32(x.Handle)), uint64(x.Index)), x.Orders)
	if _, err := w.Write(le.AppendUint64(head, uint64(info.Size()))); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, info.Size())
	return err
}

// readPart checks a part of so many bytes, and gives each file, and at last the trail,
// to whoever takes them; what they leave unread is passed over. Error: ErrPart.
func readPart(from io.Reader, bytes int64, file func(settled.Session, io.Reader) error, events func(group [16]byte, r io.Reader) error) (p Part, err error) {
	bad := func(err error) error { return fmt.Errorf("%w: %w", ErrPart, err) }
	digest := sha256.New()
	body := &io.LimitedReader{R: from, N: bytes - sha256.Size}
	r := io.TeeReader(bufio.NewReaderSize(body, 1<<16), digest)
	head := make([]byte, partHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return p, bad(err)
	}
	if string(head[:len(partMagic)]) != partMagic {
		return p, fmt.Errorf("%w: it does not begin with %q", ErrPart, partMagic)
	}
	if v := head[len(partMagic)]; v != partVersion {
		return p, fmt.Errorf("the ledger's part: format %d, this build reads %d: %w", v, partVersion, engine.ErrNewerFormat)
	}
	le := binary.LittleEndian
	copy(p.Group[:], head[len(partMagic)+1:])
	p.Index = engine.LogIndex(le.Uint64(head[partHead-12:]))
	for n := le.Uint32(head[partHead-4:]); n > 0; n-- {
		if _, err := io.ReadFull(r, head[:24]); err != nil {
			return p, bad(err)
		}
		x := settled.Session{Handle: engine.SessionHandle(le.Uint32(head)), Index: engine.LogIndex(le.Uint64(head[4:])), Orders: le.Uint32(head[12:]), Group: p.Group}
		size := le.Uint64(head[16:])
		if size > uint64(bytes) {
			return p, fmt.Errorf("%w: a file of %d bytes in it", ErrPart, size)
		}
		f := &io.LimitedReader{R: r, N: int64(size)}
		if err := file(x, f); err != nil {
			return p, err
		}
		if _, err := io.Copy(io.Discard, f); err != nil || f.N > 0 {
			return p, bad(errors.Join(err, io.ErrUnexpectedEOF))
		}
		p.Sessions = append(p.Sessions, x)
		p.Orders += int64(x.Orders)
	}
	if err := events(p.Group, r); err != nil {
		return p, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil || body.N > 0 {
		return p, bad(errors.Join(err, io.ErrUnexpectedEOF))
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(from, want); err != nil || string(digest.Sum(nil)) != string(want) {
		return p, ErrPart
	}
	return p, nil
}

// CheckPart reads a part of so many bytes to its end. Error: ErrPart.
func CheckPart(from io.Reader, bytes int64) (Part, error) {
	return readPart(from, bytes, func(settled.Session, io.Reader) error { return nil }, func([16]byte, io.Reader) error { return nil })
}

// Restore makes a ledger in a directory that has none, of a part that was checked.
func Restore(ctx context.Context, cfg Config, from io.Reader, bytes int64) (err error) {
	orders, err := settled.Open(cfg.settled())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, orders.Close()) }()
	_, err = readPart(from, bytes, func(x settled.Session, f io.Reader) error {
		orders.Expect(x)
		return orders.Install(ctx, x.Handle, f)
	}, func(group [16]byte, r io.Reader) error { return trail.Restore(cfg.trail(), group, r) })
	return err
}
