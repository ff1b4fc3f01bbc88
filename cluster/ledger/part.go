package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"doorbuster/engine"
)

// A ledger's part of a backup has what the state at the backup's index does not:
// the orders of the sessions that were settled by then, and the trail up to it. It
// is written like an archive, but not packed, with the rows
//
//	the head: the group and the index
//	of each settled session its orders, and then what it was
//	the events, in order
//	from where on events are kept, if older ones were dropped
//
// Rows are copied in pages, as for another node. So they may be newer than the
// index in one way: an order may have refunds that came later. Whoever restores
// goes by those that the state knows.

// Part says what a ledger's part of a backup holds.
type Part struct {
	Index    engine.LogIndex
	Sessions map[engine.SessionHandle]uint32 // settled ones, and how many orders each has
	Orders   int64
	Events   int64
	group    [16]byte
	first    engine.TrailPosition
}

// ErrPart: it is no ledger's part of a backup, or a damaged one, or another
// backup's.
var ErrPart = errors.New("the ledger's part is damaged or cut short")

// AwaitWhole waits until everything up to index is on disk, and tells whether the
// ledger can give its part up to there. Error: ErrNotWhole.
func (l *Ledger) AwaitWhole(ctx context.Context, index engine.LogIndex) error {
	err := l.Await(ctx, index)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrNotWhole, err)
	case err != nil:
		return err
	case l.missing.Load() > 0:
		return fmt.Errorf("%w: it lacks the orders of %d settled sessions", ErrNotWhole, l.missing.Load())
	case !l.whole.Load():
		return fmt.Errorf("%w: it is being made anew", ErrNotWhole)
	}
	return nil
}

// WritePart writes the ledger's part of a backup at index. settled are the sessions
// that the state has let go of by then. No transaction lasts longer than a page, so
// a slow to holds up nobody. After an error what was written is worth nothing.
// Errors: ErrNotWhole, and what to says.
func (l *Ledger) WritePart(ctx context.Context, to io.Writer, index engine.LogIndex, settled []engine.SessionHandle) error {
	if err := l.AwaitWhole(ctx, index); err != nil {
		return err
	}
	group := l.group()
	a := newArchiver(to, group)
	a.row(bucketMeta, keyHead, (&head{group: group, index: index}).body())
	for _, h := range settled {
		if err := l.eachPage(ctx, CopyRequest{Session: h}, func(p *CopyPage) (bool, error) {
			for _, r := range p.Rows {
				a.sealed(r)
			}
			return true, a.err
		}); err != nil {
			return err
		}
	}
	var first engine.TrailPosition
	if err := l.eachPage(ctx, CopyRequest{}, func(p *CopyPage) (bool, error) {
		first = p.First
		for _, r := range p.Rows {
			if positionOf(r.Key).Index > index {
				return false, errors.Join(a.holeUpTo(index, r), a.err)
			}
			a.sealed(r)
		}
		return true, a.err
	}); err != nil {
		return err
	}
	if end := (engine.TrailPosition{Index: index + 1}); end.Before(first) {
		first = end
	}
	if first != (engine.TrailPosition{}) {
		a.row(bucketMeta, keyDropped, positionBody(first))
	}
	return a.end()
}

// holeUpTo writes what of a hole in the trail lies up to index, if the first event
// behind that notes one.
func (a *archiver) holeUpTo(index engine.LogIndex, behind CopyRow) error {
	body, err := unseal(behind.Bucket, behind.Key, behind.Value)
	if err != nil {
		return err
	}
	e, err := eventOf(behind.Key, body)
	if err == nil && e.missing != 0 && e.missing <= index {
		e.at = engine.TrailPosition{Index: index, N: ^uint32(0)}
		a.row(bucketEvents, positionKey(e.at), e.body())
	}
	return err
}

// eachPage gives the pages that r asks for to take, until it wants no more.
func (l *Ledger) eachPage(ctx context.Context, r CopyRequest, take func(*CopyPage) (more bool, err error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := l.Page(r)
		if err != nil {
			return err
		}
		if more, err := take(&p); err != nil || !more || !p.More {
			return err
		}
		last := p.Rows[len(p.Rows)-1].Key
		if r.Session != 0 {
			r.After = refOf(last).Ordinal
		} else {
			r.From = positionOf(last).Next()
		}
	}
}

// ReadPart reads a ledger's part of a backup to its end, which is that of from, and
// gives what it holds, and its rows to take. Each row has been checked when take
// gets it, and the whole when ReadPart returns. Errors: ErrPart,
// engine.ErrNewerFormat, and what take says.
func ReadPart(from io.Reader, take func(CopyRow) error) (p Part, err error) {
	bad := func(format string, args ...any) (Part, error) {
		return p, fmt.Errorf("%w: %w", ErrPart, fmt.Errorf(format, args...))
	}
	in := bufio.NewReaderSize(from, 64<<10)
	r, group, err := openArchived(in)
	if errors.Is(err, engine.ErrNewerFormat) {
		return p, fmt.Errorf("the ledger's part: %w", err)
	}
	if err != nil {
		return bad("%w", err)
	}
	p.Sessions, p.group = map[engine.SessionHandle]uint32{}, group
	reading := partReader{Part: &p}
	for n := 1; ; n++ {
		row, err := r.row()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad("%w", err)
		}
		err = reading.row(row)
		if errors.Is(err, engine.ErrNewerFormat) {
			return p, fmt.Errorf("the ledger's part: %w", err)
		}
		if err != nil {
			return bad("row %d: %w", n, err)
		}
		if err := take(row); err != nil {
			return p, err
		}
	}
	switch {
	case !reading.begun:
		return bad("it has no head")
	case reading.orders > 0:
		return bad("it has orders of session %d, and not what that was", reading.session)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return bad("something follows its end")
	}
	return p, nil
}

// partReader checks that a part's rows stand where they should.
type partReader struct {
	*Part
	begun   bool
	session engine.SessionHandle // whose orders come
	orders  uint32               // of it so far
	last    engine.OrderRef
	at      engine.TrailPosition // of the last event
	trimmed bool
}

func (p *partReader) row(r CopyRow) error {
	body, err := unseal(r.Bucket, r.Key, r.Value)
	if err != nil {
		return errors.New("it does not fit its checksum")
	}
	if !p.begun && r.Bucket != bucketMeta {
		return errors.New("it stands before the head")
	}
	switch r.Bucket {
	case bucketMeta:
		return p.meta(r.Key, body)
	case bucketOrders:
		o, err := orderOf(r.Key, body)
		if err != nil {
			return err
		}
		if p.orders > 0 && o.Ref.Session != p.session || o.Ref.Ordinal <= p.last.Ordinal && p.orders > 0 || p.Events > 0 {
			return errors.New("the order stands in the wrong place")
		}
		p.session, p.last = o.Ref.Session, o.Ref
		p.orders++
		p.Orders++
	case bucketSettled:
		x, err := settledOf(r.Key, body)
		if err != nil {
			return err
		}
		if _, twice := p.Sessions[x.Session]; twice || p.orders > 0 && x.Session != p.session || x.Orders != p.orders || x.Index > p.Index {
			return fmt.Errorf("session %d, settled at log index %d with %d orders, has %d, or is there twice, or is too new", x.Session, x.Index, x.Orders, p.orders)
		}
		p.Sessions[x.Session], p.orders = x.Orders, 0
	case bucketEvents:
		e, err := eventOf(r.Key, body)
		if err != nil {
			return err
		}
		if p.Events > 0 && !p.at.Before(e.at) || e.at.Index > p.Index || p.orders > 0 {
			return fmt.Errorf("the event at %s stands in the wrong place", e.at)
		}
		p.at = e.at
		p.Events++
	default:
		return fmt.Errorf("bucket %q has nothing to do in it", r.Bucket)
	}
	return nil
}

func (p *partReader) meta(key, body []byte) (err error) {
	switch string(key) {
	case string(keyHead):
		h, err := headOf(body)
		if err == nil && (p.begun || h.group != p.group) {
			err = errors.New("the head stands twice, or is another group's")
		}
		p.begun, p.Index = true, h.index
		return err
	case string(keyDropped):
		if p.trimmed {
			return errors.New("where the trail begins stands twice")
		}
		p.trimmed = true
		p.first, err = positionFrom(body)
		return err
	}
	return fmt.Errorf("there is no %q", key)
}

// Fits tells whether a state is the one that the part goes with: the same group and
// index, and all sessions that it has let go of are there. Error: ErrPart.
func (p *Part) Fits(s *engine.State) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrPart, fmt.Errorf(format, args...))
	}
	if p.Index != s.LogIndex() {
		return bad("it is of log index %d, the state of %d", p.Index, s.LogIndex())
	}
	if p.group != groupOf(s) {
		return bad("it is of another group than the state")
	}
	settled := 0
	for _, x := range s.Sessions() {
		if x.State != engine.Settled {
			continue
		}
		settled++
		if orders, there := p.Sessions[x.Handle]; !there || int(orders) != x.Orders() {
			return bad("it has %d of %d orders of session %q", orders, x.Orders(), x.ID)
		}
	}
	if settled != len(p.Sessions) {
		return bad("it has %d settled sessions, the state %d", len(p.Sessions), settled)
	}
	return nil
}

// frozen is a state that nobody changes any more.
type frozen struct{ state *engine.State }

func (f frozen) View(read func(*engine.State)) { read(f.state) }

// Restore makes a new ledger in a directory without one, for a node that begins
// with a state: what that knows comes from it, the rest from the ledger's part of
// its backup. The state must fit it (Part.Fits). After an error, or a crash, what is
// there is worth nothing.
func Restore(cfg Config, s *engine.State, from io.Reader) (p Part, err error) {
	l, err := Open(cfg)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	l.source = frozen{s}
	file := l.open()
	// One sync at the end is enough: nobody goes on with half of it.
	file.db.NoSync = true
	var rows []CopyRow
	write := func() error {
		err := file.update(func(w *writing) error {
			for _, r := range rows {
				if err := w.takeOf(s, r); err != nil {
					return err
				}
			}
			return nil
		})
		rows = rows[:0]
		return err
	}
	l.head = head{group: groupOf(s), index: s.LogIndex(), time: s.Now(), lacking: true, owner: cfg.Owner}
	if err := file.update(func(w *writing) error { return w.putHead(&l.head) }); err != nil {
		return p, err
	}
	if p, err = ReadPart(from, func(r CopyRow) error {
		if rows = append(rows, r); len(rows) < batchEvents {
			return nil
		}
		return write()
	}); err != nil {
		return p, err
	}
	if err := write(); err != nil {
		return p, err
	}
	if err := l.resyncOnce(); err != nil {
		return p, err
	}
	if cfg.Archive {
		for h := range p.Sessions {
			if err := l.archiveAgain(h); err != nil {
				return p, err
			}
		}
	}
	return p, file.db.Sync()
}

// takeOf is take for a row of the backup of a state.
func (w *writing) takeOf(s *engine.State, r CopyRow) error {
	switch r.Bucket {
	case bucketOrders:
		body, err := unseal(r.Bucket, r.Key, r.Value)
		if err != nil {
			return err
		}
		o, err := orderOf(r.Key, body)
		if err != nil {
			return err
		}
		o.Refunds = s.RefundsOf(o.Ref)
		return w.putOrder(&o)
	case bucketMeta:
		if string(r.Key) != string(keyDropped) {
			return nil // the head is the state's
		}
		return w.bucket(bucketMeta).Put(r.Key, r.Value)
	}
	return w.take(r)
}
