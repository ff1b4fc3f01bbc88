package rpc

import (
	"errors"
	"fmt"

	"doorbuster/cluster/rpc/peerpb"
	"doorbuster/engine"
)

// addGrab appends a grab that checkGrab has passed.
func addGrab(m *peerpb.GrabBatch, id uint64, q *engine.Grab, deadline engine.Time) {
	m.Ids = append(m.Ids, id)
	lengths := uint32(len(q.Listing) | len(q.Shopper)<<lengthBits | len(q.IdempotencyKey)<<(2*lengthBits))
	if q.Waitlist {
		lengths |= waitlistBit
	}
	if q.Ticket != 0 {
		lengths |= ticketBit
		m.Tickets = append(m.Tickets, q.Ticket)
	}
	m.Lengths = append(m.Lengths, lengths)
	m.Quantities = append(m.Quantities, q.Quantity)
	m.Deadlines = append(m.Deadlines, uint64(deadline))
	m.Text = append(m.Text, q.Listing...)
	m.Text = append(m.Text, q.Shopper...)
	m.Text = append(m.Text, q.IdempotencyKey...)
	m.Transactions = addTransaction(m.Transactions, len(m.Ids)-1, &q.Transaction)
}

const transactionBytes = len(engine.Transaction{})

// addTransaction appends that of the entry at place to a column which begins with
// the first entry that has one.
func addTransaction(column []byte, place int, t *engine.Transaction) []byte {
	if len(column) == 0 && *t == (engine.Transaction{}) {
		return column
	}
	for len(column) < place*transactionBytes {
		column = append(column, 0)
	}
	return append(column, t[:]...)
}

// transactionsFit tells whether a column has one for each of n entries, or none.
func transactionsFit(column []byte, n int) bool {
	return len(column) == 0 || len(column) == n*transactionBytes
}

// orderNosFit tells whether a column has a number, or zeros, for each of n entries.
func orderNosFit(column []byte, n int) bool {
	if len(column) != n*engine.OrderNoBytes {
		return false
	}
	for ; len(column) > 0; column = column[engine.OrderNoBytes:] {
		if no := engine.OrderNo(column[:engine.OrderNoBytes]); no != (engine.OrderNo{}) && !engine.ValidOrderNo(no[:]) {
			return false
		}
	}
	return true
}

func transactionAt(column []byte, place int) (t engine.Transaction) {
	if len(column) > 0 {
		copy(t[:], column[place*transactionBytes:])
	}
	return t
}

// emptyGrabs makes m ready to gather again in the same memory.
func emptyGrabs(m *peerpb.GrabBatch) {
	m.Ids, m.Lengths, m.Quantities, m.Deadlines, m.Text = m.Ids[:0], m.Lengths[:0], m.Quantities[:0], m.Deadlines[:0], m.Text[:0]
	m.Tickets, m.Transactions = m.Tickets[:0], m.Transactions[:0]
}

// checkGrab tells what is wrong with a grab's form.
func checkGrab(q *engine.Grab) error {
	switch {
	case len(q.Listing) == 0 || len(q.Listing) > maxListingBytes:
		return fmt.Errorf("a listing's name of %d bytes, not 1 to %d", len(q.Listing), maxListingBytes)
	case !engine.ValidShopper(q.Shopper):
		return fmt.Errorf("a shopper's id of %d bytes that is not 1 to %d printable ASCII characters", len(q.Shopper), engine.MaxShopperBytes)
	case !engine.ValidKey(q.IdempotencyKey):
		return fmt.Errorf("an idempotency key of %d bytes that is not 1 to %d printable ASCII characters", len(q.IdempotencyKey), engine.MaxKeyBytes)
	case q.Quantity > engine.MaxQuantity:
		return fmt.Errorf("a quantity of %d, over %d", q.Quantity, engine.MaxQuantity)
	}
	return nil
}

// forwarded is a grab as it came in; its slices lie in the batch.
type forwarded struct {
	engine.Grab
	id       uint64
	deadline engine.Time
}

// readGrabs takes a batch apart, whole or not at all.
func readGrabs(m *peerpb.GrabBatch) ([]forwarded, error) {
	n := len(m.Ids)
	switch {
	case n > maxBatch:
		return nil, fmt.Errorf("a batch of %d grabs, over %d", n, maxBatch)
	case len(m.Lengths) != n || len(m.Quantities) != n || len(m.Deadlines) != n:
		return nil, fmt.Errorf("a batch whose columns differ: %d ids, %d lengths, %d quantities, %d deadlines", n, len(m.Lengths), len(m.Quantities), len(m.Deadlines))
	}
	if !transactionsFit(m.Transactions, n) {
		return nil, fmt.Errorf("a batch of %d grabs with %d bytes of transactions, not %d of each", n, len(m.Transactions), transactionBytes)
	}
	grabs := make([]forwarded, n)
	text, tickets := m.Text, m.Tickets
	cut := func(length uint32) (part []byte, ok bool) {
		if uint64(length) > uint64(len(text)) {
			return nil, false
		}
		part, text = text[:length:length], text[length:]
		return part, true
	}
	for i := range grabs {
		g, lengths := &grabs[i], m.Lengths[i]
		var ok1, ok2, ok3 bool
		g.Listing, ok1 = cut(lengths & lengthMask)
		g.Shopper, ok2 = cut(lengths >> lengthBits & lengthMask)
		g.IdempotencyKey, ok3 = cut(lengths >> (2 * lengthBits) & lengthMask)
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("grab %d of %d: its lengths go beyond the %d bytes of text", i, n, len(m.Text))
		}
		g.Waitlist = lengths&waitlistBit != 0
		if lengths&ticketBit != 0 {
			if len(tickets) == 0 || tickets[0] == 0 {
				return nil, fmt.Errorf("grab %d of %d: its ticket is missing", i, n)
			}
			g.Ticket, tickets = tickets[0], tickets[1:]
		}
		g.Transaction = transactionAt(m.Transactions, i)
		g.id, g.Quantity, g.deadline = m.Ids[i], m.Quantities[i], engine.Time(m.Deadlines[i])
		if err := checkGrab(&g.Grab); err != nil {
			return nil, fmt.Errorf("grab %d of %d: %w", i, n, err)
		}
	}
	if len(tickets) > 0 {
		return nil, fmt.Errorf("a batch with %d tickets that belong to no grab", len(tickets))
	}
	if len(text) > 0 {
		return nil, fmt.Errorf("a batch with %d bytes of text that belong to no grab", len(text))
	}
	return grabs, nil
}

// decided is a grab's outcome on its way back.
type decided struct {
	id     uint64
	answer engine.Answer
	err    error
}

func addAnswer(m *peerpb.AnswerBatch, d *decided) {
	if d.err != nil {
		m.Failures = append(m.Failures, &peerpb.Failure{Id: d.id, Fault: faultOf(d.err)})
		return
	}
	a, place := &d.answer, uint32(len(m.Ids))
	m.Ids = append(m.Ids, d.id)
	m.Kinds = append(m.Kinds, uint32(a.Code)|uint32(a.Reason)<<8|uint32(a.State)<<16)
	m.Sessions = append(m.Sessions, uint32(a.Session))
	if a.Order != (engine.OrderRef{}) || a.Listing != 0 || a.Quantity != 0 || a.Amount != 0 || a.PayBy != 0 {
		m.WithOrder = append(m.WithOrder, place)
		m.OrderSessions = append(m.OrderSessions, uint32(a.Order.Session))
		m.OrderOrdinals = append(m.OrderOrdinals, a.Order.Ordinal)
		m.Listings = append(m.Listings, uint32(a.Listing))
		m.Quantities = append(m.Quantities, a.Quantity)
		m.Amounts = append(m.Amounts, a.Amount)
		m.PayBys = append(m.PayBys, uint64(a.PayBy))
		m.Transactions = addTransaction(m.Transactions, len(m.WithOrder)-1, &a.Transaction)
		m.OrderNos = append(m.OrderNos, a.No[:]...)
	}
	if a.Count != 0 || a.Limit != 0 || a.Start != 0 || a.Deadline != 0 {
		m.WithMore = append(m.WithMore, place)
		m.Counts = append(m.Counts, a.Count)
		m.Limits = append(m.Limits, a.Limit)
		m.Starts = append(m.Starts, uint64(a.Start))
		m.Deadlines = append(m.Deadlines, uint64(a.Deadline))
	}
}

// emptyAnswers makes m ready to gather again in the same memory.
func emptyAnswers(m *peerpb.AnswerBatch) {
	m.Applied, m.Closing = 0, false
	clear(m.Failures)
	m.Ids, m.Kinds, m.Sessions, m.Failures = m.Ids[:0], m.Kinds[:0], m.Sessions[:0], m.Failures[:0]
	m.WithOrder, m.OrderSessions, m.OrderOrdinals, m.Listings = m.WithOrder[:0], m.OrderSessions[:0], m.OrderOrdinals[:0], m.Listings[:0]
	m.Quantities, m.Amounts, m.PayBys, m.Transactions, m.OrderNos = m.Quantities[:0], m.Amounts[:0], m.PayBys[:0], m.Transactions[:0], m.OrderNos[:0]
	m.WithMore, m.Counts, m.Limits, m.Starts, m.Deadlines = m.WithMore[:0], m.Counts[:0], m.Limits[:0], m.Starts[:0], m.Deadlines[:0]
}

// readAnswers calls take with each answer and failure of a batch, which take does
// not keep; nothing is taken of one that is malformed. It stops at take's first error.
func readAnswers(m *peerpb.AnswerBatch, take func(*decided) error) error {
	if err := checkAnswers(m); err != nil {
		return err
	}
	order, more := 0, 0
	var d decided // one for all, for it goes to the heap
	for i, id := range m.Ids {
		kind := m.Kinds[i]
		d = decided{id: id}
		a := &d.answer
		a.Code, a.Reason, a.State = engine.Code(kind), engine.Reason(kind>>8), engine.OrderState(kind>>16)
		a.Session = engine.SessionHandle(m.Sessions[i])
		if order < len(m.WithOrder) && m.WithOrder[order] == uint32(i) {
			a.Order = engine.OrderRef{Session: engine.SessionHandle(m.OrderSessions[order]), Ordinal: m.OrderOrdinals[order]}
			a.Listing, a.Quantity = engine.ListingHandle(m.Listings[order]), m.Quantities[order]
			a.Amount, a.PayBy = m.Amounts[order], engine.Time(m.PayBys[order])
			a.Transaction = transactionAt(m.Transactions, order)
			copy(a.No[:], m.OrderNos[order*engine.OrderNoBytes:])
			order++
		}
		if more < len(m.WithMore) && m.WithMore[more] == uint32(i) {
			a.Count, a.Limit = m.Counts[more], m.Limits[more]
			a.Start, a.Deadline = engine.Time(m.Starts[more]), engine.Time(m.Deadlines[more])
			more++
		}
		if err := take(&d); err != nil {
			return err
		}
	}
	for _, f := range m.Failures {
		d = decided{id: f.GetId(), err: errorOf(f.GetFault())}
		if err := take(&d); err != nil {
			return err
		}
	}
	return nil
}

func checkAnswers(m *peerpb.AnswerBatch) error {
	n := len(m.Ids)
	if n+len(m.Failures) > maxBatch {
		return fmt.Errorf("a batch of %d answers, over %d", n+len(m.Failures), maxBatch)
	}
	for _, column := range []int{len(m.Kinds), len(m.Sessions)} {
		if column != n {
			return errors.New("a batch of answers whose columns differ")
		}
	}
	orders := len(m.WithOrder)
	for _, column := range []int{len(m.OrderSessions), len(m.OrderOrdinals), len(m.Listings), len(m.Quantities), len(m.Amounts), len(m.PayBys)} {
		if column != orders {
			return errors.New("a batch of answers whose columns of orders differ")
		}
	}
	if !transactionsFit(m.Transactions, orders) {
		return errors.New("a batch of answers whose column of transactions differs")
	}
	if !orderNosFit(m.OrderNos, orders) {
		return errors.New("a batch of answers whose column of order numbers differs")
	}
	mores := len(m.WithMore)
	for _, column := range []int{len(m.Counts), len(m.Limits), len(m.Starts), len(m.Deadlines)} {
		if column != mores {
			return errors.New("a batch of answers whose columns of limits differ")
		}
	}
	if !rising(m.WithOrder, n) || !rising(m.WithMore, n) {
		return errors.New("a batch of answers with details in no order")
	}
	for _, kind := range m.Kinds {
		if kind >= 1<<24 {
			return fmt.Errorf("an answer: %w", errBeyond)
		}
	}
	for _, f := range m.Failures {
		if f.GetFault() == nil {
			return errors.New("a failure without a fault")
		}
	}
	return nil
}

// rising tells whether places go up, below n.
func rising(places []uint32, n int) bool {
	for i, p := range places {
		if int64(p) >= int64(n) || i > 0 && p <= places[i-1] {
			return false
		}
	}
	return true
}
