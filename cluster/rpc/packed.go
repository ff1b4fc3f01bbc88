package rpc

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"doorbuster/cluster/ledger/codec"
	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// What a grab, or an answer, has besides.
const (
	hasWaitlist    = 1 << iota // a grab: it would rather wait in line
	hasTicket                  // a grab
	hasTransaction             // either
	hasFault                   // an answer, and nothing else
	hasOrder
	hasMore
	hasBits = iota

	hasBargain = hasFault // of a grab, which has none
)

// appendGrab appends a grab that checkGrab has passed: numbers as varints, texts behind
// their lengths.
//
//	id | deadline | quantity << 6, and what it has | [ticket] | [bargain] | [transaction] | listing | shopper | key
func appendGrab(b []byte, id uint64, q *engine.Grab, deadline engine.Time) []byte {
	has := uint64(q.Quantity) << hasBits
	if q.Waitlist {
		has |= hasWaitlist
	}
	if q.Ticket != 0 {
		has |= hasTicket
	}
	if q.Bargain != 0 {
		has |= hasBargain
	}
	if q.Transaction != (engine.Transaction{}) {
		has |= hasTransaction
	}
	b = binary.AppendUvarint(b, id)
	b = binary.AppendUvarint(b, uint64(deadline))
	b = binary.AppendUvarint(b, has)
	if q.Ticket != 0 {
		b = binary.AppendUvarint(b, q.Ticket)
	}
	if q.Bargain != 0 {
		b = binary.AppendUvarint(b, uint64(q.Bargain))
	}
	if has&hasTransaction != 0 {
		b = append(b, q.Transaction[:]...)
	}
	for _, text := range [...][]byte{q.Listing, q.Shopper, q.IdempotencyKey} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}

// checkGrab tells what is wrong with a grab's form.
func checkGrab(q *engine.Grab) error {
	switch {
	case len(q.Listing) == 0 || len(q.Listing) > maxListingBytes:
		return fmt.Errorf("a listing's name of %d bytes, not 1 to %d", len(q.Listing), maxListingBytes)
	case !engine.ValidShopper(q.Shopper):
		return fmt.Errorf("a shopper's id of %d bytes that is not 1 to %d printable ASCII characters",
			len(q.Shopper), engine.MaxShopperBytes)
	case !engine.ValidKey(q.IdempotencyKey):
		return fmt.Errorf("an idempotency key of %d bytes that is not 1 to %d printable ASCII characters",
			len(q.IdempotencyKey), engine.MaxKeyBytes)
	case q.Quantity > engine.MaxQuantity:
		return fmt.Errorf("a quantity of %d, over %d", q.Quantity, engine.MaxQuantity)
	}
	return nil
}

// readGrabs takes a batch apart, whole or not at all. The grabs' slices lie in it.
func readGrabs(m *peerpb.GrabBatch) ([]forwarded, error) {
	n := m.GetGrabs()
	if n > maxBatch {
		return nil, fmt.Errorf("a batch of %d grabs, over %d", n, maxBatch)
	}
	grabs, r := make([]forwarded, n), codec.Reader{Buf: m.GetPacked()}
	for i := range grabs {
		g := &grabs[i]
		g.id, g.deadline = r.Uint(), engine.Time(r.Uint())
		has := r.Uint()
		if has >= 1<<(32+hasBits) {
			r.Fail()
		}
		g.Waitlist, g.Quantity = has&hasWaitlist != 0, uint32(has>>hasBits)
		if has&hasTicket != 0 {
			g.Ticket = r.Uint()
		}
		if has&hasBargain != 0 {
			ordinal := r.Uint()
			if g.Bargain = uint32(ordinal); uint64(g.Bargain) != ordinal || ordinal == 0 {
				r.Fail()
			}
		}
		if has&hasTransaction != 0 {
			copy(g.Transaction[:], r.Bytes(uint64(len(g.Transaction))))
		}
		g.Listing, g.Shopper, g.IdempotencyKey = r.Bytes(r.Uint()), r.Bytes(r.Uint()), r.Bytes(r.Uint())
		err := r.Err
		if err == nil {
			err = checkGrab(&g.Grab)
		}
		if err != nil {
			return nil, fmt.Errorf("grab %d of %d: %w", i, n, err)
		}
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a batch with more than its %d grabs: %w", n, err)
	}
	return grabs, nil
}

// decided is a grab's outcome on its way back.
type decided struct {
	id     uint64
	answer engine.Answer
	err    error
}

// appendAnswer appends an outcome, numbers as varints, texts behind their lengths.
//
//	id | what it has | code | reason | state | session | ...
//	hasOrder: order's session | ordinal | life | listing | quantity | amount | pay by
//	hasTransaction: 16 bytes
//	hasMore:  count | limit | start | deadline
//
//	id | hasFault | Fault
func appendAnswer(b []byte, d *decided) []byte {
	w := codec.Writer{Buf: b}
	if d.err != nil {
		fault, _ := proto.Marshal(faultOf(d.err)) // valid text: it never fails
		w.Uint(d.id, hasFault, uint64(len(fault)))
		return append(w.Buf, fault...)
	}
	a, has := &d.answer, uint64(0)
	if a.Order != (engine.OrderRef{}) || a.Life != 0 || a.Listing != 0 || a.Quantity != 0 ||
		a.Amount != 0 || a.PayBy != 0 {
		has |= hasOrder
	}
	if a.Transaction != (engine.Transaction{}) {
		has |= hasTransaction
	}
	if a.Count != 0 || a.Limit != 0 || a.Start != 0 || a.Deadline != 0 {
		has |= hasMore
	}
	w.Uint(d.id, has, uint64(a.Code), uint64(a.Reason), uint64(a.State), uint64(a.Session))
	if has&hasOrder != 0 {
		w.Uint(uint64(a.Order.Session), uint64(a.Order.Ordinal), uint64(a.Life), uint64(a.Listing), uint64(a.Quantity))
		w.Int(a.Amount, int64(a.PayBy))
	}
	if has&hasTransaction != 0 {
		w.Buf = append(w.Buf, a.Transaction[:]...)
	}
	if has&hasMore != 0 {
		w.Uint(uint64(a.Count), uint64(a.Limit))
		w.Int(int64(a.Start), int64(a.Deadline))
	}
	return w.Buf
}

// readAnswers takes a batch apart, whole or not at all, in the memory of into.
func readAnswers(m *peerpb.AnswerBatch, into []decided) ([]decided, error) {
	n := m.GetAnswers()
	if n > maxBatch {
		return nil, fmt.Errorf("a batch of %d answers, over %d", n, maxBatch)
	}
	r := codec.Reader{Buf: m.GetPacked()}
	into = into[:0]
	for range n {
		into = append(into, decided{})
		into[len(into)-1].read(&r)
	}
	return into, r.Done()
}

func (d *decided) read(r *codec.Reader) {
	var has uint64
	d.id, has = r.Uint(), r.Uint()
	if has&hasFault != 0 {
		f := new(peerpb.Fault)
		if proto.Unmarshal(r.Bytes(r.Uint()), f) != nil {
			r.Fail()
		}
		d.err = errorOf(f)
		return
	}
	small := func() uint8 {
		v := r.Uint()
		if v > math.MaxUint8 {
			r.Fail()
		}
		return uint8(v)
	}
	a := &d.answer
	a.Code, a.Reason, a.State, a.Session = engine.Code(small()), engine.Reason(small()), engine.OrderState(small()),
		engine.SessionHandle(r.Uint32())
	if has&hasOrder != 0 {
		a.Order = engine.OrderRef{Session: engine.SessionHandle(r.Uint32()), Ordinal: r.Uint32()}
		a.Life, a.Listing, a.Quantity = engine.Life(r.Uint()), engine.ListingHandle(r.Uint32()), r.Uint32()
		a.Amount, a.PayBy = r.Int(), engine.Time(r.Int())
	}
	if has&hasTransaction != 0 {
		copy(a.Transaction[:], r.Bytes(uint64(len(a.Transaction))))
	}
	if has&hasMore != 0 {
		a.Count, a.Limit, a.Start, a.Deadline = r.Uint32(), r.Uint32(), engine.Time(r.Int()), engine.Time(r.Int())
	}
}
