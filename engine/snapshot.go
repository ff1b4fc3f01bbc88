package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A snapshot file, version 3; of a group that runs by rules of an older version it
// is written as that version, so that nodes which know no newer ones can read it:
//
//	8 bytes  "DOORSNAP"
//	uint32   version, little endian
//	blocks:
//	  byte    kind (1 head, 2 products, 3 sales, 4 sessions, 5 listings,
//	          6 shoppers, 7 orders, 8 receivers, 9 payments, from version 2 on
//	          10 rosters, 11 their rows, 12 places in line, 13 switches, from
//	          version 3 on 14 refunds, 15 units bought in settled sessions, 255 end)
//	  uint32  bytes of the body, at most 16 MiB
//	  uint32  CRC-32C of kind and body
//	  body    uvarint count of rows, rows
//
// Blocks of one kind follow each other in the order of the list, and their rows
// are in a fixed order (by id, handle, number or reference), so that equal
// states have equal bytes: their SHA-256 is the state's Hash. What can be derived
// (indexes, the agenda, what is due) is not stored.
const (
	snapshotMagic   = "DOORSNAP"
	snapshotVersion = 3
	blockBytes      = 64 << 10 // a block is closed when it has grown to this
	maxBlockBytes   = 16 << 20
)

const (
	blockHead = iota + 1
	blockProducts
	blockSales
	blockSessions
	blockListings
	blockShoppers
	blockOrders
	blockReceivers
	blockPayments
	blockRosters
	blockRosterRows
	blockPlaces
	blockSwitches
	blockRefunds
	blockBought
	blockEnd = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot is a state frozen at a log index. It may be encoded while the state
// it came from goes on, by one goroutine at a time.
type Snapshot struct {
	head     snapshotHead
	products []*Product // never changed in place
	sales    []*Sale
	sessions []Session
	listings []Listing
	shoppers table[shopper]
	refunds  table[Refund]
	bought   []boughtRow
	rosters  []frozenRoster
	board    switchboard // its slices are never changed in place
}

// frozenRoster is a roster and, right behind it, what is staged of it, if that is.
type frozenRoster struct {
	id     RosterID
	stage  uint64 // of the staged one behind
	staged bool
	rows   table[named[rostered]]
}

type snapshotHead struct {
	index     LogIndex
	now       Time
	rules     uint32
	epoch     Epoch
	sequence  uint64
	epochNode string
	secret    [16]byte
}

// Snapshot freezes the state. It costs a few words for every 128 orders or
// shoppers, and a copy of the catalogue's figures.
func (s *State) Snapshot() *Snapshot {
	snap := &Snapshot{
		head:     snapshotHead{s.index, s.now, s.rules, s.epoch, s.sequence, s.epochNode, s.secret},
		products: s.Products(),
		sales:    s.Sales(),
		sessions: make([]Session, len(s.sessions)),
		listings: make([]Listing, len(s.listings)),
		shoppers: s.shoppers.rows.freeze(),
		refunds:  s.refunds.freeze(),
		bought:   s.boughtRows(),
		board:    s.board,
	}
	for _, id := range s.Rosters() {
		r := s.rosters[id]
		snap.rosters = append(snap.rosters, frozenRoster{id: id, stage: r.stage, rows: r.rows.rows.freeze()})
		if r.staged != nil {
			snap.rosters = append(snap.rosters, frozenRoster{id: id, stage: r.stage, staged: true, rows: r.staged.rows.rows.freeze()})
		}
	}
	for i, x := range s.sessions {
		snap.sessions[i] = *x
		snap.sessions[i].orders = x.orders.freeze()
		snap.sessions[i].details = x.details.freeze()
		snap.sessions[i].Listings = slices.Clone(x.Listings)
		snap.sessions[i].exceptional, snap.sessions[i].draws, snap.sessions[i].restless = nil, nil, nil
	}
	for i, l := range s.listings {
		snap.listings[i] = *l
	}
	return snap
}

// LogIndex is the index of the last entry that the snapshot holds.
func (s *Snapshot) LogIndex() LogIndex { return s.head.index }

// Hash is the SHA-256 of the snapshot's bytes: equal states have equal hashes.
func (s *State) Hash() [sha256.Size]byte { return s.Snapshot().Hash() }

// Hash is the hash of the state that the snapshot holds.
func (s *Snapshot) Hash() (sum [sha256.Size]byte) {
	digest := sha256.New()
	if _, err := s.WriteTo(digest); err != nil {
		panic("engine: a hash does not fail: " + err.Error())
	}
	digest.Sum(sum[:0])
	return sum
}

// blockWriter cuts rows into blocks.
type blockWriter struct {
	to      io.Writer
	rows    writer
	count   uint64
	kind    byte
	written int64
	err     error
}

func (b *blockWriter) row(kind byte, write func(*writer)) {
	if b.kind != kind || len(b.rows.buf) >= blockBytes {
		b.flush()
		b.kind = kind
	}
	b.count++
	write(&b.rows)
}

func (b *blockWriter) flush() {
	if b.kind != 0 {
		body := append(binary.AppendUvarint(nil, b.count), b.rows.buf...)
		b.block(b.kind, body)
	}
	b.rows.buf, b.count = b.rows.buf[:0], 0
}

func (b *blockWriter) block(kind byte, body []byte) {
	var head [9]byte
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[5:], blockCRC(kind, body))
	b.write(head[:])
	b.write(body)
}

func blockCRC(kind byte, body []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte{kind}, castagnoli), castagnoli, body)
}

func (b *blockWriter) write(p []byte) {
	if b.err == nil {
		var n int
		n, b.err = b.to.Write(p)
		b.written += int64(n)
	}
}

// WriteTo encodes the snapshot.
func (s *Snapshot) WriteTo(to io.Writer) (int64, error) {
	b := &blockWriter{to: to}
	version := min(max(s.head.rules, 1), snapshotVersion)
	rich := version > 1
	b.write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), version))
	b.row(blockHead, s.head.write)
	for _, p := range s.products {
		b.row(blockProducts, func(w *writer) { w.product(p) })
	}
	for _, x := range s.sales {
		b.row(blockSales, func(w *writer) { w.sale(x, rich) })
	}
	for i := range s.sessions {
		b.row(blockSessions, func(w *writer) { w.session(&s.sessions[i], version) })
	}
	for i := range s.listings {
		b.row(blockListings, func(w *writer) { w.listing(&s.listings[i], rich) })
	}
	for i := range s.shoppers.len() {
		b.row(blockShoppers, func(w *writer) {
			row := s.shoppers.at(i)
			w.string(row.id)
			w.ref(row.kept)
		})
	}
	for i := range s.sessions {
		orders := &s.sessions[i].orders
		for j := range orders.len() {
			b.row(blockOrders, func(w *writer) {
				w.uint(uint64(s.sessions[i].Handle))
				w.order(orders.at(j), s.sessions[i].ticketOf(orders.at(j)), version)
			})
		}
	}
	s.eachDetails(func(ref OrderRef, d *details) {
		if d.receiver != nil {
			b.row(blockReceivers, func(w *writer) {
				w.ref(ref)
				w.receiver(*d.receiver)
			})
		}
	})
	s.eachDetails(func(ref OrderRef, d *details) {
		if d.settled {
			b.row(blockPayments, func(w *writer) {
				w.ref(ref)
				w.string(d.payment)
				if version > 2 {
					w.int(int64(d.paidAt))
				}
			})
		}
	})
	if rich {
		s.writeRich(b)
	}
	if version > 2 {
		s.writeMoney(b)
	}
	b.flush()
	b.block(blockEnd, nil)
	return b.written, b.err
}

// writeRich writes the blocks that rules of version 2 have added.
func (s *Snapshot) writeRich(b *blockWriter) {
	for i := range s.rosters {
		r := &s.rosters[i]
		b.row(blockRosters, func(w *writer) {
			w.rosterID(r.id)
			w.uint(r.stage)
			w.bool(r.staged)
		})
	}
	for i := range s.rosters {
		rows := &s.rosters[i].rows
		for j := range rows.len() {
			b.row(blockRosterRows, func(w *writer) {
				row := rows.at(j)
				w.uint(uint64(i))
				w.string(row.id)
				w.byte(byte(row.kept.level))
				w.int(int64(row.kept.since))
			})
		}
	}
	s.eachDetails(func(ref OrderRef, d *details) {
		if d.place != 0 {
			b.row(blockPlaces, func(w *writer) {
				w.ref(ref)
				w.uint(uint64(d.place))
			})
		}
	})
	b.row(blockSwitches, func(w *writer) { w.board(&s.board) })
}

// writeMoney writes the blocks that rules of version 3 have added.
func (s *Snapshot) writeMoney(b *blockWriter) {
	for i := range s.refunds.len() {
		b.row(blockRefunds, func(w *writer) { w.refund(s.refunds.at(i)) })
	}
	for _, each := range s.bought {
		b.row(blockBought, func(w *writer) {
			w.uint(uint64(each.shopper))
			w.string(each.sku)
			w.int(int64(each.month))
			w.uint(uint64(each.units))
		})
	}
}

// eachDetails visits the orders that have details, in the order of their references.
func (s *Snapshot) eachDetails(visit func(OrderRef, *details)) {
	for i := range s.sessions {
		orders := &s.sessions[i].orders
		for j := range orders.len() {
			if at := orders.at(j).details; at != 0 {
				visit(OrderRef{s.sessions[i].Handle, uint32(j) + 1}, s.sessions[i].details.at(int(at)-1))
			}
		}
	}
}

func (h *snapshotHead) write(w *writer) {
	w.uint(uint64(h.index))
	w.int(int64(h.now))
	w.uint(uint64(h.rules))
	w.uint(uint64(h.epoch))
	w.uint(h.sequence)
	w.string(h.epochNode)
	w.fixed(h.secret[:])
}

func (w *writer) session(x *Session, version uint32) {
	w.sessionSpec(&x.SessionSpec, version > 1)
	w.string(x.Sale)
	w.byte(byte(x.State))
	w.bool(x.Paused)
	w.int(int64(x.OpenedAt))
	w.int(int64(x.EndedAt))
	w.int(int64(x.lastDue))
	w.uint(uint64(len(x.Listings)))
	for _, h := range x.Listings {
		w.uint(uint64(h))
	}
	if version > 2 {
		w.uint(uint64(x.settledOrders))
	}
}

func (w *writer) listing(l *Listing, rich bool) {
	w.uint(uint64(l.Session))
	w.listingSpec(&l.ListingSpec, rich)
	w.string(l.Currency)
	for _, v := range [...]int64{l.Stock, l.Available, l.Held, l.Paid, l.Released, l.Lowest, l.Shoppers} {
		w.int(v)
	}
	w.bool(l.Frozen)
	if rich {
		w.int(l.Waiting)
		w.int(l.Entrants)
		w.uint(uint64(l.lastPlace))
		w.fixed(l.Seed[:])
		w.byte(byte(l.DrawState))
	}
}

func (w *writer) order(o *Order, ticket uint64, version uint32) {
	w.fixed(o.Key[:])
	w.int(o.Amount)
	w.int(int64(o.Granted))
	w.int(int64(o.PayBy - o.Granted))
	w.int(int64(o.Changed - o.Granted))
	w.ref(o.previous)
	w.uint(uint64(o.Shopper))
	w.uint(uint64(o.Listing))
	w.uint(uint64(o.Quantity))
	w.uint(uint64(o.graceMS))
	w.byte(byte(o.State))
	w.bool(o.inLine)
	if version > 1 {
		w.uint(ticket)
		w.byte(byte(o.traits))
		w.byte(byte(o.Why))
	}
	if version > 2 {
		w.fixed(o.Transaction[:])
	}
}

// ReadState decodes a snapshot. Errors: ErrMalformed with the place, ErrNewerFormat,
// ErrRulesTooNew, or what from returns.
func ReadState(from io.Reader) (*State, error) {
	var head [len(snapshotMagic) + 4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, fmt.Errorf("snapshot header: %w", cutOff(err))
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("%w: no snapshot: it does not begin with %q", ErrMalformed, snapshotMagic)
	}
	version := binary.LittleEndian.Uint32(head[len(snapshotMagic):])
	if version == 0 || version > snapshotVersion {
		return nil, fmt.Errorf("snapshot format %d, this build reads 1 to %d: %w", version, snapshotVersion, ErrNewerFormat)
	}
	s := NewState()
	read := snapshotReader{State: s, version: version, rich: version > 1}
	offset, last := int64(len(head)), byte(0)
	var body bytes.Buffer
	for {
		kind, n, err := readBlock(from, &body)
		if err == nil && (kind < last || kind == blockHead && last != 0 || kind != blockHead && last == 0) {
			err = fmt.Errorf("%w: block %d after block %d", ErrMalformed, kind, last)
		}
		if err == nil && kind == blockEnd && body.Len() > 0 {
			err = fmt.Errorf("%w: the end is not empty", ErrMalformed)
		}
		if err == nil && kind == blockEnd {
			if s.rules > RulesVersion {
				return nil, fmt.Errorf("snapshot of rules version %d, this build knows %d: %w", s.rules, RulesVersion, ErrRulesTooNew)
			}
			if version != min(s.rules, snapshotVersion) {
				return nil, fmt.Errorf("%w: snapshot format %d of rules version %d", ErrMalformed, version, s.rules)
			}
			if err := s.restore(); err != nil {
				return nil, err
			}
			return s, nil
		}
		if err == nil {
			err = read.readRows(kind, body.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot block at byte %d: %w", offset, err)
		}
		offset, last = offset+n, kind
	}
}

func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: cut off", ErrMalformed)
	}
	return err
}

func readBlock(from io.Reader, body *bytes.Buffer) (kind byte, n int64, err error) {
	var head [9]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return 0, 0, cutOff(err)
	}
	size := binary.LittleEndian.Uint32(head[1:])
	if size > maxBlockBytes {
		return 0, 0, fmt.Errorf("%w: a block of %d bytes", ErrMalformed, size)
	}
	body.Reset()
	if got, err := io.CopyN(body, from, int64(size)); err != nil {
		return 0, 0, fmt.Errorf("after %d of %d bytes: %w", got, size, cutOff(err))
	}
	if blockCRC(head[0], body.Bytes()) != binary.LittleEndian.Uint32(head[5:]) {
		return 0, 0, fmt.Errorf("%w: checksum differs", ErrMalformed)
	}
	return head[0], int64(len(head)) + int64(size), nil
}

// snapshotReader is a state in the making.
type snapshotReader struct {
	*State
	version uint32
	rich    bool      // version is over 1
	rosters []*roster // in the order of their heads
}

func (s *snapshotReader) readRows(kind byte, body []byte) error {
	r := &reader{buf: body}
	rows := r.count()
	if kind == blockHead && rows != 1 {
		r.fail("not one head")
	}
	for range rows {
		switch kind {
		case blockHead:
			s.index, s.now, s.rules = LogIndex(r.uint()), Time(r.int()), r.uint32()
			s.epoch, s.sequence, s.epochNode = Epoch(r.uint()), r.uint(), r.string(MaxIDBytes)
			var secret [16]byte
			copy(secret[:], r.bytes(len(secret)))
			s.setSecret(secret)
			if s.rules == 0 {
				r.fail("no version of rules")
			}
			if !sane(s.now) {
				r.fail("a time beyond all use")
			}
		case blockProducts:
			p := r.product()
			if s.products[p.ID] != nil {
				r.fail("a product is there twice")
			}
			s.products[p.ID] = &p
		case blockSales:
			x := r.sale(s.rich)
			if s.sales[x.ID] != nil {
				r.fail("a sale is there twice")
			}
			s.sales[x.ID] = &x
		case blockSessions:
			s.readSession(r, s.version)
		case blockListings:
			s.readListing(r, s.rich)
		case blockShoppers:
			id, last := r.span(MaxShopperBytes), r.ref()
			switch {
			case len(id) == 0 && s.version > 2 && last.IsZero(): // a number to be given out again
				s.shoppers.addFree()
			case s.shoppers.find(id) != 0:
				r.fail("a shopper is there twice")
			default:
				s.shoppers.append(id, last)
			}
		case blockOrders:
			s.readOrder(r, s.version)
		case blockReceivers:
			ref, to := r.ref(), r.receiver()
			if s.Order(ref) == nil || s.detailsOf(ref).receiver != nil {
				r.fail("a receiver of no order, or the second one")
			} else {
				s.mutDetails(ref).receiver = &to
			}
		case blockPayments:
			ref, id, at := r.ref(), r.string(MaxKeyBytes), Time(0)
			if s.version > 2 {
				at = Time(r.int())
			}
			switch {
			case s.Order(ref) == nil || s.detailsOf(ref).settled:
				r.fail("a payment of no order, or the second one")
			case !sane(at):
				r.fail("a time beyond all use")
			default:
				d := s.mutDetails(ref)
				d.payment, d.settled, d.paidAt = id, true, at
			}
		case blockRosters:
			s.readRoster(r)
		case blockRosterRows:
			s.readRosterRow(r)
		case blockPlaces:
			ref, place := r.ref(), r.uint32()
			if o := s.Order(ref); o == nil || o.State != Waiting || place == 0 || s.detailsOf(ref).place != 0 {
				r.fail("a place in line of nobody who waits, or the second one")
			} else {
				s.mutDetails(ref).place = place
			}
		case blockSwitches:
			if s.board = r.board(); rows != 1 {
				r.fail("not one row of switches")
			}
			for _, c := range s.board.clocked {
				if s.SessionOf(c.session) == nil {
					r.fail("a profile of no session")
				}
			}
		case blockRefunds:
			s.readRefund(r)
		case blockBought:
			s.readBought(r)
		default:
			r.fail(fmt.Sprintf("unknown block kind %d", kind))
		}
		if kind >= blockRosters && !s.rich || kind >= blockRefunds && s.version < 3 {
			r.fail(fmt.Sprintf("a block that version %d does not have", s.version))
		}
		if r.err != nil {
			return r.err
		}
	}
	return r.done()
}

func (s *snapshotReader) readRoster(r *reader) {
	id, stage, staged := r.rosterID(), r.uint(), r.bool()
	old := s.State.rosters[id]
	switch {
	case r.err != nil:
	case id.Kind == 0 || id.Kind >= rosterKindEnd || (id.Kind == RosterReserved) != (id.Listing != 0) || (id.Kind == RosterAllowed) != (id.Name != ""),
		id.Kind == RosterReserved && s.Listing(id.Listing) == nil:
		r.fail("a roster of nothing")
	case staged && (old == nil || old.staged != nil || old.stage != stage || stage == 0), !staged && old != nil:
		r.fail("a roster is there twice, or staged for none")
	case len(s.State.rosters) >= MaxRosters && !staged:
		r.fail("too many rosters")
	default:
		one := s.newRoster()
		if staged {
			old.staged = one
		} else {
			one.stage = stage
			s.State.rosters[id] = one
		}
		s.rosters = append(s.rosters, one)
	}
}

func (s *snapshotReader) readRosterRow(r *reader) {
	n, id, level, since := r.uint(), r.span(2*MaxShopperBytes), Level(r.byte()), Time(r.int())
	switch {
	case r.err != nil:
	case n >= uint64(len(s.rosters)) || level >= levelEnd || !sane(since):
		r.fail("a row of no roster, or of no sense")
	case s.rosters[n].rows.find(id) != 0:
		r.fail("a row is there twice")
	case s.rosters[n].rows.rows.len() >= MaxRosterRows:
		r.fail("more rows than a roster may have")
	case level == LevelNone: // taken off, and remembered so that nothing grows
		s.rosters[n].rows.add(id, rostered{level, since})
	default:
		s.rosters[n].put(id, level, since)
	}
}

func (s *State) readSession(r *reader, version uint32) {
	x := &Session{Handle: SessionHandle(len(s.sessions) + 1), SessionSpec: r.sessionSpec(version > 1), Sale: r.string(MaxIDBytes)}
	x.State, x.Paused = SessionState(r.byte()), r.bool()
	x.OpenedAt, x.EndedAt, x.lastDue = Time(r.int()), Time(r.int()), Time(r.int())
	for range r.count() {
		x.Listings = append(x.Listings, ListingHandle(r.uint32()))
	}
	if version > 2 {
		x.settledOrders = r.uint32()
	}
	switch {
	case x.settledOrders > 0 && x.State != Settled:
		r.fail("a session without its orders that is not settled")
	case x.State > Settled:
		r.fail("an unknown session state")
	case s.sessionByID[x.ID] != nil:
		r.fail("a session is there twice")
	case s.sales[x.Sale] == nil:
		r.fail("a session of no sale")
	case !sane(x.Start) || !sane(x.End) || !sane(x.OpenedAt) || !sane(x.EndedAt) || !sane(x.lastDue):
		r.fail("a time beyond all use")
	}
	s.sessions = append(s.sessions, x)
	s.sessionByID[x.ID] = x
}

func (s *State) readListing(r *reader, rich bool) {
	l := &Listing{Handle: ListingHandle(len(s.listings) + 1), Session: SessionHandle(r.uint32()), ListingSpec: r.listingSpec(rich), Currency: r.string(MaxIDBytes)}
	for _, v := range [...]*int64{&l.Stock, &l.Available, &l.Held, &l.Paid, &l.Released, &l.Lowest, &l.Shoppers} {
		*v = r.int()
	}
	l.Frozen = r.bool()
	if rich {
		l.Waiting, l.Entrants, l.lastPlace = r.int(), r.int(), r.uint32()
		copy(l.Seed[:], r.bytes(len(l.Seed)))
		if l.DrawState = DrawState(r.byte()); l.DrawState > DrawDone {
			r.fail("an unknown state of a draw")
		}
	}
	switch x := s.SessionOf(l.Session); {
	case x == nil:
		r.fail("a listing of no session")
		return
	case s.listingIn(x, l.SKU) != nil:
		r.fail("a listing is there twice")
	case s.products[l.SKU] == nil:
		r.fail("a listing of no product")
	}
	s.listings = append(s.listings, l)
	s.lines, s.draws = append(s.lines, line{}), append(s.draws, pool{})
	s.byName[listingName{l.Session, l.SKU}] = l
}

func (s *State) readOrder(r *reader, version uint32) {
	rich := version > 1
	x := s.SessionOf(SessionHandle(r.uint32()))
	o := Order{Key: r.key(), Amount: r.int(), Granted: Time(r.int())}
	o.PayBy, o.Changed = o.Granted+Time(r.int()), o.Granted+Time(r.int())
	o.previous = r.ref()
	o.Shopper, o.Listing = ShopperNo(r.uint32()), ListingHandle(r.uint32())
	o.Quantity, o.graceMS = r.uint32(), r.uint32()
	ticket := uint64(0)
	o.State, o.inLine = OrderState(r.byte()), r.bool()
	if rich {
		ticket, o.traits, o.Why = r.uint(), traits(r.byte()), Reason(r.byte())
	}
	if version > 2 {
		o.Transaction = Transaction(r.key())
	}
	switch {
	case r.err != nil:
	case x == nil || s.Listing(o.Listing) == nil || s.Listing(o.Listing).Session != x.Handle:
		r.fail("an order of no listing")
	case o.Shopper == 0 || int(o.Shopper) > s.shoppers.rows.len():
		r.fail("an order of no shopper")
	case x.State == Settled && version > 2:
		r.fail("an order of a settled session")
	case o.State == 0 || o.State >= orderStateEnd || !rich && !o.State.Granted():
		r.fail("an unknown order state")
	case o.traits >= traitsEnd || o.Why >= reasonEnd || o.State.Granted() && o.Why != ReasonNone || o.inLine && !o.State.Granted():
		r.fail("an order that can't have come to be so")
	case o.Quantity == 0 || o.Quantity > MaxQuantity:
		r.fail("a quantity out of bounds")
	case !sane(o.Granted) || !sane(o.PayBy) || !sane(o.Due()) || !sane(o.Changed):
		r.fail("a time beyond all use")
	default:
		x.orders.add(o)
		if ticket != 0 {
			s.mutDetails(OrderRef{x.Handle, uint32(x.orders.len())}).ticket = ticket
		}
	}
}

// sane tells whether t is a time that a state can hold: sums of a plan's times
// and durations may be over maxTime, but not twice that.
func sane(t Time) bool { return t >= 0 && t <= 2*maxTime }

// restore derives what a snapshot does not hold, and checks what it refers to.
func (s *State) restore() error {
	orders := 0
	s.marks = make([]mark, len(s.listings))
	listed := make([]bool, len(s.listings))
	for _, x := range s.sessions {
		for _, h := range x.Listings {
			if l := s.Listing(h); l == nil || l.Session != x.Handle || listed[h-1] {
				return fmt.Errorf("%w: session %q lists a listing that is not its own, or twice", ErrMalformed, x.ID)
			}
			listed[h-1] = true
		}
		orders += x.orders.len()
		if err := x.line(); err != nil {
			return err
		}
	}
	for i, l := range s.listings {
		if !listed[i] {
			return fmt.Errorf("%w: listing %d is not listed by its session", ErrMalformed, i+1)
		}
		s.marks[i].looks = s.sessions[l.Session-1].StateOf(l)
	}
	for _, id := range s.Rosters() {
		if r := s.rosters[id]; (r.stage != 0) != (r.staged != nil) {
			return fmt.Errorf("%w: of roster %s a staging is named and not there", ErrMalformed, id)
		}
	}
	if err := s.restoreLines(); err != nil {
		return err
	}
	s.restoreMoney()
	for _, x := range s.sessions {
		s.schedule(x)
	}
	return s.followOrders(orders)
}

// restoreLines puts those who wait and those in draws where their turn finds
// them, and finds what goes on with the next batch.
func (s *State) restoreLines() error {
	waiting := make([][]due, len(s.listings)) // by place
	units := make([]int64, len(s.listings))
	for _, x := range s.sessions {
		for i := range x.orders.len() {
			o, ref := x.orders.at(i), OrderRef{x.Handle, uint32(i) + 1}
			l := s.listings[o.Listing-1]
			switch o.State {
			case Waiting:
				place := s.detailsOf(ref).place
				if place == 0 || place > l.lastPlace {
					return fmt.Errorf("%w: order %d of session %q waits without a place in line", ErrMalformed, i+1, x.ID)
				}
				waiting[o.Listing-1] = append(waiting[o.Listing-1], due{Time(place), ref.Ordinal})
				units[o.Listing-1] += int64(o.Quantity)
			case Entered:
				if l.Draw == 0 || l.DrawState == DrawDone {
					return fmt.Errorf("%w: order %d of session %q is in a draw that there is not", ErrMalformed, i+1, x.ID)
				}
				s.addEntrant(l, ref, o.traits&traitLate != 0)
			}
		}
	}
	for i, l := range s.listings {
		// Nobody takes two places with one order: this bounds what a line needs.
		if int(l.lastPlace) > s.sessions[l.Session-1].Orders() {
			return fmt.Errorf("%w: listing %d has given out %d places in line, more than there are orders", ErrMalformed, l.Handle, l.lastPlace)
		}
		slices.SortFunc(waiting[i], func(a, b due) int { return cmp.Compare(a.at, b.at) })
		for j, d := range waiting[i] {
			if j > 0 && waiting[i][j-1].at == d.at {
				return fmt.Errorf("%w: two orders of listing %d have place %d in line", ErrMalformed, l.Handle, d.at)
			}
			s.lines[i].add(uint32(d.at), d.who)
		}
		if units[i] != l.Waiting || int64(s.draws[i].count) != l.Entrants {
			return fmt.Errorf("%w: listing %d counts %d units waited for and %d entrants, its orders %d and %d", ErrMalformed,
				l.Handle, l.Waiting, l.Entrants, units[i], s.draws[i].count)
		}
		if !s.nextUp(l).IsZero() || s.drawDone(l) {
			s.unrest(l)
		}
	}
	for _, x := range s.sessions {
		if x.State == Open {
			x.draws = s.drawsOf(x)
		}
	}
	return nil
}

// line puts a session's holds where time finds them.
func (x *Session) line() error {
	var last Time
	for i := range x.orders.len() {
		o := x.orders.at(i)
		switch {
		case o.inLine && (o.Due() < last || o.Due() > x.lastDue):
			return fmt.Errorf("%w: order %d of session %q is in line but out of order", ErrMalformed, i+1, x.ID)
		case o.inLine:
			last = o.Due()
		case o.State == Held:
			x.exceptional.add(due{o.Due(), uint32(i) + 1})
		}
	}
	return nil
}

// followOrders checks that each of so many orders is on the way back from its
// shopper's newest one, and that all ways end: who walks them later need not look.
func (s *State) followOrders(orders int) error {
	steps := 0
	for i := range s.shoppers.rows.len() {
		for ref := s.shoppers.rows.at(i).kept; !ref.IsZero(); steps++ {
			o := s.Order(ref)
			if o == nil || int(o.Shopper) != i+1 || steps == orders {
				return fmt.Errorf("%w: the orders of shopper %d do not follow each other", ErrMalformed, i+1)
			}
			ref = o.previous
		}
	}
	if steps != orders {
		return fmt.Errorf("%w: no shopper's newest order leads to %d of the orders", ErrMalformed, orders-steps)
	}
	return nil
}
