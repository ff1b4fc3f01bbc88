package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"doorbuster/engine"
)

// CopyRequest asks for a page of another node's ledger: of its events from From
// on, or, if Session is not 0, of that settled session's rows behind After.
type CopyRequest struct {
	Session engine.SessionHandle
	From    engine.TrailPosition
	After   uint32 // ordinal of the last order that is there already
}

// CopyPage is a page. Rows carry the checksums that they were written with.
type CopyPage struct {
	Group [16]byte
	Index engine.LogIndex // up to which the other ledger reaches
	First engine.TrailPosition
	Rows  []CopyRow
	More  bool
}

// CopyRow is a row as it stands in the file.
type CopyRow struct {
	Bucket     byte
	Key, Value []byte
}

// pageBytes bounds a page, but for its last row.
const pageBytes = 1 << 20

// ErrNotWhole: this ledger can't be copied from now.
var ErrNotWhole = errors.New("this node's ledger is not whole")

// Page gives a page for another node. Error: ErrNotWhole.
func (l *Ledger) Page(r CopyRequest) (p CopyPage, err error) {
	if !l.whole.Load() || l.missing.Load() > 0 {
		return p, ErrNotWhole
	}
	err = l.view(func(v *viewing) error {
		h, err := v.head()
		if err != nil {
			return err
		}
		p.Group, p.Index = h.group, h.index
		if p.First, err = v.first(); err != nil {
			return err
		}
		if r.Session != 0 {
			return v.sessionPage(r, &p)
		}
		return v.page(bucketEvents, nil, positionKey(r.From), &p)
	})
	return p, err
}

// sessionPage gives orders of a settled session, and last what the session was.
func (v *viewing) sessionPage(r CopyRequest, p *CopyPage) error {
	x := handleKey(sessionName, r.Session)
	settled, err := v.get(bucketSettled, x)
	if err != nil {
		return err
	}
	if settled == nil {
		return fmt.Errorf("%w: session %d is not settled in it", ErrNotWhole, r.Session)
	}
	prefix := binary.BigEndian.AppendUint32(nil, uint32(r.Session))
	if err := v.page(bucketOrders, prefix, refKey(engine.OrderRef{Session: r.Session, Ordinal: r.After + 1}), p); err != nil || p.More {
		return err
	}
	p.Rows = append(p.Rows, CopyRow{bucketSettled, x, append([]byte(nil), v.bucket(bucketSettled).Get(x)...)})
	return nil
}

// page appends rows as they are, until there are enough.
func (v *viewing) page(bucket byte, prefix, from []byte, p *CopyPage) error {
	size := 0
	c := v.bucket(bucket).Cursor()
	for key, value := c.Seek(from); key != nil && len(key) >= len(prefix) && string(key[:len(prefix)]) == string(prefix); key, value = c.Next() {
		if _, err := unseal(bucket, key, value); err != nil {
			return err
		}
		if size >= pageBytes {
			p.More = true
			return nil
		}
		size += len(key) + len(value)
		p.Rows = append(p.Rows, CopyRow{bucket, append([]byte(nil), key...), append([]byte(nil), value...)})
	}
	return nil
}

// take writes a row that came from elsewhere, with all that leads to it.
func (w *writing) take(r CopyRow) error {
	body, err := unseal(r.Bucket, r.Key, r.Value)
	if err != nil {
		return fmt.Errorf("a row from elsewhere: %w", err)
	}
	switch r.Bucket {
	case bucketOrders:
		o, err := orderOf(r.Key, body)
		if err != nil {
			return err
		}
		return w.putOrder(&o)
	case bucketEvents:
		e, err := eventOf(r.Key, body)
		if err != nil {
			return err
		}
		return w.putEvent(&e)
	case bucketSettled:
		if _, err := settledOf(r.Key, body); err != nil {
			return err
		}
		_, err := w.put(bucketSettled, r.Key, body)
		return err
	}
	return fmt.Errorf("%w: a row of bucket %q from elsewhere", errDamaged, r.Bucket)
}
