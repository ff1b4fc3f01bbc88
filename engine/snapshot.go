package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// A snapshot file, version 1:
//
//	8 bytes  "DBSTATE1"
//	uint32   version, little endian
//	blocks:
//	  byte    kind, as below; 255 is the end
//	  uint32  bytes of the body, at most 16 MiB
//	  uint32  CRC-32C of kind and body
//	  body    uvarint count of rows, rows
//
// Blocks of one kind follow each other in the order of the list, and their rows
// are in a fixed order (by id, handle, number or reference), so that equal
// states have equal bytes: their SHA-256 is the state's Hash. What can be derived
// (indexes, the timers, what is due) is not stored.
const (
	snapshotMagic   = "DBSTATE1"
	snapshotVersion = 1
	blockBytes      = 64 << 10 // a block is closed when it has grown to this
	maxBlockBytes   = 16 << 20
)

const (
	blockHead = iota + 1
	blockSuppliers
	blockProducts
	blockUses
	blockStagings
	blockStaged
	blockSales
	blockSessions
	blockListings
	blockShoppers
	blockOrders
	blockRosters
	blockRosterRows
	blockSwitches
	blockRefunds
	blockBought
	blockIntents
	blockPlays
	blockBargains
	blockCuts
	blockSinks
	blockPersonal
	blockPersonalKeys
	blockErasures
	blockAlarms
	blockApprovals
	blockRecords
	blockUndo
	blockEnd = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot is a state frozen at a log index. It may be encoded while the state
// it came from goes on, by one goroutine at a time.
type Snapshot struct {
	head     head
	products frozenProducts
	plays    []*PlayVersion // never changed in place
	sales    []*Sale
	sessions []Session
	listings []Listing
	shoppers table[shopper]
	refunds  table[Refund]
	bought   []bought
	rosters  []frozenRoster
	board    switchboard // its slices are never changed in place
	done     []*deed
	sinks    []*SinkNote  // never changed in place
	alarms   []*AlarmNote // never changed in place

	approvals []*Approval // never changed in place
	records   []*PlanRecord
	undo      *undo // nil for none

	personal personalHead
	keys     table[named[keyRow]]
	erasures table[named[Erasure]]
}

// frozenRoster is a roster and, right behind it, what is staged of it, if that is.
type frozenRoster struct {
	rosterHead
	rows   table[named[rostered]]
	sealed table[string]
}

// Snapshot freezes the state. It costs a few words for every 128 orders or
// shoppers, and a copy of the catalogue's figures.
func (s *State) Snapshot() *Snapshot {
	snap := &Snapshot{
		head:     s.head,
		products: s.products.freeze(),
		plays:    s.Plays(),
		sales:    s.Sales(),
		sessions: make([]Session, len(s.sessions)),
		listings: make([]Listing, len(s.listings)),
		shoppers: s.shoppers.rows.freeze(),
		refunds:  s.refunds.freeze(),
		board:    s.board,
		sinks:    s.sinks,
		alarms:   s.alarms,

		approvals: s.approvals,
		records:   s.records,
		undo:      s.undo,

		done:     slices.Clone(s.intents.done),
		personal: s.personal.head(),
		keys:     s.personal.keys.rows.freeze(),
		erasures: s.personal.erasures.rows.freeze(),
	}
	for _, id := range s.Rosters().IDs() {
		r := s.rosters[id]
		snap.rosters = append(snap.rosters, frozenRoster{rosterHead{id, r.stage, false}, r.rows.rows.freeze(),
			r.sealed.freeze()})
		if r.staged != nil {
			snap.rosters = append(snap.rosters, frozenRoster{rosterHead{id, r.stage, true},
				r.staged.rows.rows.freeze(), r.staged.sealed.freeze()})
		}
	}
	for _, b := range s.bought {
		snap.bought = append(snap.bought, bought{month: b.month, rows: b.rows.freeze()})
	}
	for i, x := range s.sessions {
		snap.sessions[i] = *x
		snap.sessions[i].orders = x.orders.freeze()
		snap.sessions[i].details = x.details.freeze()
		snap.sessions[i].bargains = x.bargains.freeze()
		snap.sessions[i].Listings = slices.Clone(x.Listings)
		snap.sessions[i].exceptional, snap.sessions[i].asides = nil, nil
		snap.sessions[i].draws, snap.sessions[i].restless, snap.sessions[i].parcels = nil, nil, nil
	}
	for i, l := range s.listings {
		snap.listings[i] = *l
		snap.listings[i].waitlist, snap.listings[i].pool = waitlist{}, pool{}
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
	rows    coder
	count   uint64
	kind    byte
	written int64
	err     error
}

// row writes what x, a pointer, leads to.
func (b *blockWriter) row(kind byte, x any) {
	if b.kind != kind || len(b.rows.buf) >= blockBytes {
		b.flush()
		b.kind = kind
	}
	b.count++
	if own, ok := x.(row); ok {
		own.fields(&b.rows)
	} else {
		b.rows.all(x)
	}
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
	b.write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion))
	b.row(blockHead, &s.head)
	s.products.writeTo(b)
	for _, x := range s.sales {
		b.row(blockSales, x)
	}
	for i := range s.sessions {
		b.row(blockSessions, &s.sessions[i])
	}
	for i := range s.listings {
		b.row(blockListings, &s.listings[i])
	}
	var shopper shopperRow
	for i := range s.shoppers.len() {
		at := s.shoppers.at(i)
		shopper.id, shopper.last = append(shopper.id[:0], at.id...), at.kept
		b.row(blockShoppers, &shopper)
	}
	var order orderRow
	for i := range s.sessions {
		x := &s.sessions[i]
		for j := range x.orders.len() {
			order = orderRow{session: x.Handle, Order: x.orders.at(j)}
			if at := order.Order.details; at != 0 && *x.details.at(int(at) - 1) != (details{}) {
				order.more = x.details.at(int(at) - 1)
			}
			b.row(blockOrders, &order)
		}
	}
	for i := range s.rosters {
		b.row(blockRosters, &s.rosters[i].rosterHead)
	}
	var listed rosterRow
	for i := range s.rosters {
		rows := &s.rosters[i].rows
		for j := range rows.len() {
			at := rows.at(j)
			listed.roster, listed.id, listed.rostered = i, append(listed.id[:0], at.id...), at.kept
			listed.text = listed.text[:0]
			if at.kept.sealed != 0 {
				listed.text = append(listed.text, *s.rosters[i].sealed.at(int(at.kept.sealed) - 1)...)
			}
			b.row(blockRosterRows, &listed)
		}
	}
	b.row(blockSwitches, &s.board)
	for i := range s.refunds.len() {
		b.row(blockRefunds, s.refunds.at(i))
	}
	var month monthRow
	for i := range s.bought {
		for j := range s.bought[i].rows.len() {
			month = monthRow{*s.bought[i].rows.at(j), s.bought[i].month}
			b.row(blockBought, &month)
		}
	}
	for _, d := range s.done {
		b.row(blockIntents, d)
	}
	for _, p := range s.plays {
		b.row(blockPlays, p)
	}
	for i := range s.sessions {
		x := &s.sessions[i]
		for j := range x.bargains.rows.len() {
			b.row(blockBargains, &bargainRow{x.Handle, x.bargains.rows.at(j)})
		}
	}
	for i := range s.sessions {
		x := &s.sessions[i]
		for j := range x.bargains.cuts.len() {
			b.row(blockCuts, &cutRow{x.Handle, x.bargains.cuts.at(j)})
		}
	}
	for _, n := range s.sinks {
		b.row(blockSinks, n)
	}
	s.writePersonal(b)
	for _, n := range s.alarms {
		b.row(blockAlarms, n)
	}
	for _, a := range s.approvals {
		b.row(blockApprovals, a)
	}
	for _, r := range s.records {
		b.row(blockRecords, r)
	}
	if s.undo != nil {
		b.row(blockUndo, s.undo)
	}
	b.flush()
	b.block(blockEnd, nil)
	return b.written, b.err
}

func (s *Snapshot) writePersonal(b *blockWriter) {
	if !s.personal.empty() {
		b.row(blockPersonal, &s.personal)
	}
	var key keyPageRow
	for i := range s.keys.len() {
		at := s.keys.at(i)
		key.id, key.keyRow = append(key.id[:0], at.id...), at.kept
		b.row(blockPersonalKeys, &key)
	}
	var erased erasureRow
	for i := range s.erasures.len() {
		at := s.erasures.at(i)
		erased.id, erased.Erasure = append(erased.id[:0], at.id...), at.kept
		b.row(blockErasures, &erased)
	}
}

func (h *head) fields(c *coder) {
	c.all(&h.index, &h.now, &h.rules, &h.epoch, &h.sequence, &h.epochNode, &h.life, &h.secret,
		&h.imports, &h.approving, &h.lastApproval)
	c.check(h.rules != 0, "no version of rules")
}

func (l *Life) fields(c *coder) {
	unsigned(c, l)
	c.check(*l>>lifeBits == 0, "a life beyond its bits")
}

func (x *Session) fields(c *coder) {
	c.all(&x.SessionSpec, &x.Sale, &x.State, &x.Paused, &x.Archived, &x.OpenedAt, &x.EndedAt, &x.Sealed, &x.SettledAt,
		&x.Listings, &x.settledOrders, &x.dropped, &x.cleared, &x.lives, &x.lastDue, &x.exports)
	c.check(x.State <= Deleted, "an unknown session state")
}

func (g *granting) fields(c *coder) { c.all(&g.first, &g.life) }

func (l *Listing) fields(c *coder) {
	c.all(&l.Session, &l.ListingSpec, &l.Currency, &l.Stock, &l.Available, &l.Held, &l.Paid, &l.Released, &l.Lowest,
		&l.Shoppers, &l.Frozen, &l.Waiting, &l.Entrants, &l.lastPlace, &l.Aside, &l.Seed, &l.DrawState, &l.Sold,
		&l.Shipped, &l.Received, &l.Completed)
	c.check(l.DrawState <= DrawDone, "an unknown state of a draw")
	c.check(!l.Play.Cuts() || l.Play.Cut.Friends > 0 && l.Play.Cut.Spread <= MaxSpread, "a price that nobody cuts")
}

// shopperRow is a shopper; without an id and an order, a number to be given out again.
type shopperRow struct {
	id   []byte
	last OrderRef
}

func (x *shopperRow) fields(c *coder) {
	c.span(&x.id, MaxShopperBytes)
	c.ref(&x.last)
}

// orderRow is an order with all that is known of it.
type orderRow struct {
	session SessionHandle
	*Order
	more *details // nil: none
}

func (x *orderRow) fields(c *coder) {
	o := x.Order
	unsigned(c, &x.session)
	c.fixed(o.Key[:])
	signed(c, &o.Amount)
	c.time(&o.Granted)
	c.since(&o.PayBy, o.Granted)
	c.since(&o.Changed, o.Granted)
	c.ref(&o.previous)
	unsigned(c, &o.Shopper)
	unsigned(c, &o.Listing)
	unsigned(c, &o.Quantity)
	c.check(o.Quantity > 0 && o.Quantity <= MaxQuantity, "a quantity out of bounds")
	unsigned(c, &o.graceMS)
	oneOf(c, &o.State, orderStateEnd, "an unknown order state")
	c.bool(&o.inSequence)
	octet(c, &o.traits)
	octet(c, &o.Why)
	c.check(o.State != 0 && o.traits < traitsEnd && o.Why < reasonEnd && (!o.State.Granted() || o.Why == ReasonNone) &&
		(!o.inSequence || o.State.Granted()), "an order that can't have come to be so")
	c.fixed(o.Transaction[:])
	more := x.more != nil
	if c.bool(&more); more {
		if c.reads {
			x.more = new(details)
		}
		x.more.fields(c)
		c.check(x.more.place == 0 || o.State == Waiting, "a place in line of one who does not wait")
	}
}

func (d *details) fields(c *coder) {
	c.string(&d.payment)
	c.text(&d.payType, MaxPayTypeBytes)
	signed(c, &d.coupon)
	c.bool(&d.paid)
	c.time(&d.paidAt)
	c.all(&d.receiver)
	unsigned(c, &d.place)
	unsigned(c, &d.ticket)
	c.all(&d.shipment)
	c.check(d.paid == (d.paidAt != 0) && (d.paid || d.payment == "" && d.payType == "" && d.coupon == 0),
		"a payment of no time, or the time of none")
	c.check(d.coupon >= 0, "a coupon of less than nothing")
	c.check(*d != (details{}), "details without anything")
}

// rosterHead is a roster, or what is staged of it.
type rosterHead struct {
	id     RosterID
	stage  uint64 // of the one that is staged
	staged bool
}

func (h *rosterHead) fields(c *coder) { c.all(&h.id, &h.stage, &h.staged) }

// rosterRow is a row of a roster, which is told by its place among them from 0.
type rosterRow struct {
	roster int
	id     []byte
	text   []byte // sealed
	rostered
}

func (x *rosterRow) fields(c *coder) {
	unsigned(c, &x.roster)
	c.span(&x.id, 2*MaxShopperBytes)
	oneOf(c, &x.level, levelEnd, "a row of no level")
	c.time(&x.since)
	c.span(&x.text, MaxSealedRowBytes)
	c.check(len(x.text) == 0 || x.level != LevelNone, "something of one who was taken off")
}
