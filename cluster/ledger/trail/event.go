package trail

import (
	"encoding/binary"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/engine"
	"doorbuster/wal"
)

// Event is a committed event, with handles where readers see names: those are empty. It
// is a copy, the reader's to keep. Transaction and Shopper are what the audit note or the
// event has: of an order, it may be left to the order to tell.
type Event struct {
	engine.TrailEvent
	Session engine.SessionHandle
	Listing engine.ListingHandle
	Order   engine.OrderRef
	Life    engine.Life // of the order
}

// numbers is how many numbers an event may have.
const numbers = 11

// appendEvent appends e, before which skipped events of the entry are left out:
//
//	uint16  which of what follows there is, from the lowest bit on, little endian
//	byte    kind
//	        numbers: skipped, reason and state, session, listing, order's session and
//	        ordinal, life, quantity, limit, amount, time to pay; the transaction;
//	        strings: shopper, operator, note, detail
func appendEvent(b []byte, e *Event, skipped uint32) []byte {
	at, flags, bit := len(b), uint16(0), uint16(1)
	w := codec.Writer{Buf: append(b, 0, 0, byte(e.Kind))}
	payBy := uint64(0)
	if e.PayBy != 0 {
		payBy = zigzag(int64(e.PayBy-e.Time)) + 1
	}
	for _, n := range [numbers]uint64{uint64(skipped), uint64(e.Reason) | uint64(e.State)<<8, uint64(e.Session),
		uint64(e.Listing), uint64(e.Order.Session), uint64(e.Order.Ordinal), uint64(e.Life), uint64(e.Quantity),
		uint64(e.Limit), zigzag(e.Amount), payBy} {
		if n != 0 {
			flags |= bit
			w.Buf = binary.AppendUvarint(w.Buf, n)
		}
		bit <<= 1
	}
	if e.Transaction != (engine.Transaction{}) {
		flags |= bit
		w.Buf = append(w.Buf, e.Transaction[:]...)
	}
	for _, s := range [...]string{e.Shopper, e.Operator, e.Note, e.Detail} {
		if bit <<= 1; s != "" {
			flags |= bit
			w.String(s)
		}
	}
	binary.LittleEndian.PutUint16(w.Buf[at:], flags)
	return w.Buf
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// takeEvent takes the next event of an entry into e, which has the entry's index and
// time, and the position behind the event before.
func takeEvent(r *codec.Reader, e *Event) {
	*e = Event{TrailEvent: engine.TrailEvent{TrailPosition: e.TrailPosition, Time: e.Time}}
	head := r.Bytes(3)
	if head == nil {
		return
	}
	flags, v := binary.LittleEndian.Uint16(head), [numbers]uint64{}
	for i := range v {
		if flags&1 != 0 {
			v[i] = r.Uint()
		}
		flags >>= 1
	}
	e.N += uint32(v[0])
	e.Kind, e.Reason, e.State = engine.EventKind(head[2]), engine.Reason(v[1]), engine.OrderState(v[1]>>8)
	e.Session, e.Listing = engine.SessionHandle(v[2]), engine.ListingHandle(v[3])
	e.Order = engine.OrderRef{Session: engine.SessionHandle(v[4]), Ordinal: uint32(v[5])}
	e.Life, e.Quantity, e.Limit, e.Amount = engine.Life(v[6]), uint32(v[7]), uint32(v[8]), unzigzag(v[9])
	if v[10] != 0 {
		e.PayBy = e.Time + engine.Time(unzigzag(v[10]-1))
	}
	if flags&1 != 0 {
		copy(e.Transaction[:], r.Bytes(uint64(len(e.Transaction))))
	}
	for _, s := range [...]*string{&e.Shopper, &e.Operator, &e.Note, &e.Detail} {
		if flags >>= 1; flags&1 != 0 {
			*s = r.String()
		}
	}
}

// appendEvents appends all that an entry did, or operators' deeds alone. AuditNotes
// complete and override events. That a sink has come further is no event to tell of: it
// would have each sink follow itself.
func appendEvents(b []byte, effects *engine.Effects, kind int) []byte {
	skipped := uint32(0)
	for ev, note := range effects.InOrder {
		if ev.Kind == engine.SinkMoved || kind == deeds && (note == nil || note.Operator == "") {
			skipped++
			continue
		}
		e := Event{Session: ev.Session, Listing: ev.Listing, Order: ev.Order, Life: ev.Life,
			TrailEvent: engine.TrailEvent{Time: effects.Time, Kind: ev.Kind, Reason: ev.Reason, State: ev.State,
				Quantity: ev.Quantity, Limit: ev.Limit, Amount: ev.Amount, PayBy: ev.PayBy,
				Transaction: ev.Transaction}}
		if note != nil {
			e.Shopper, e.Operator, e.Note, e.Detail = note.Shopper, note.Operator, note.Note, note.Detail
			if note.Transaction != (engine.Transaction{}) {
				e.Transaction = note.Transaction
			}
		}
		b = appendEvent(b, &e, skipped)
		skipped = 0
	}
	return b
}

// entry is what is known of an entry beside its events.
type entry struct {
	index  engine.LogIndex
	time   engine.Time
	epoch  engine.Epoch
	number uint64 // of the batch, in its epoch
}

func entryOfEffects(e *engine.Effects) entry {
	return entry{e.Index, e.Time, e.Header.Epoch, e.Header.Sequence}
}

// meta is an entry's time and number as its record keeps them.
func (n entry) meta(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, int64(n.time)), n.number)
}

// entryOf gives the entry of a record.
func entryOf(rec *wal.Record) (entry, error) {
	r := codec.Reader{Buf: rec.Meta}
	n := entry{engine.LogIndex(rec.Index), engine.Time(r.Int()), engine.Epoch(rec.Term), r.Uint()}
	return n, r.Done()
}

// eachEvent gives a record's events to visit, until it returns false. The event is
// reused.
func eachEvent(rec *wal.Record, visit func(*Event) bool) error {
	n, err := entryOf(rec)
	if err != nil {
		return err
	}
	var e Event
	e.Index, e.Time = n.index, n.time
	for r := (codec.Reader{Buf: rec.Data}); len(r.Buf) > 0; e.N++ {
		if takeEvent(&r, &e); r.Err != nil || !visit(&e) {
			return r.Err
		}
	}
	return nil
}
