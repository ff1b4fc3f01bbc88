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
// (indexes, the agenda, what is due) is not stored.
const (
	snapshotMagic   = "DBSTATE1"
	snapshotVersion = 1
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
	blockIntents
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
	bought   []frozenBought
	rosters  []frozenRoster
	board    switchboard // its slices are never changed in place
	done     []*deed
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
	life      Life
	secret    [16]byte
}

// Snapshot freezes the state. It costs a few words for every 128 orders or
// shoppers, and a copy of the catalogue's figures.
func (s *State) Snapshot() *Snapshot {
	snap := &Snapshot{
		head:     snapshotHead{s.index, s.now, s.rules, s.epoch, s.sequence, s.epochNode, s.life, s.secret},
		products: s.Products(),
		sales:    s.Sales(),
		sessions: make([]Session, len(s.sessions)),
		listings: make([]Listing, len(s.listings)),
		shoppers: s.shoppers.rows.freeze(),
		refunds:  s.refunds.freeze(),
		board:    s.board,
		done:     slices.Clone(s.intents.done),
	}
	for _, id := range s.Rosters() {
		r := s.rosters[id]
		snap.rosters = append(snap.rosters, frozenRoster{id: id, stage: r.stage, rows: r.rows.rows.freeze()})
		if r.staged != nil {
			snap.rosters = append(snap.rosters, frozenRoster{id: id, stage: r.stage, staged: true, rows: r.staged.rows.rows.freeze()})
		}
	}
	for _, b := range s.bought {
		snap.bought = append(snap.bought, frozenBought{b.month, b.rows.freeze()})
	}
	for i, x := range s.sessions {
		snap.sessions[i] = *x
		snap.sessions[i].orders = x.orders.freeze()
		snap.sessions[i].details = x.details.freeze()
		snap.sessions[i].Listings = slices.Clone(x.Listings)
		snap.sessions[i].exceptional, snap.sessions[i].asides = nil, nil
		snap.sessions[i].draws, snap.sessions[i].restless = nil, nil
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
	b.write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion))
	b.row(blockHead, s.head.write)
	for _, p := range s.products {
		b.row(blockProducts, func(w *writer) { w.product(p) })
	}
	for _, x := range s.sales {
		b.row(blockSales, func(w *writer) { w.sale(x) })
	}
	for i := range s.sessions {
		b.row(blockSessions, func(w *writer) { w.session(&s.sessions[i]) })
	}
	for i := range s.listings {
		b.row(blockListings, func(w *writer) { w.listing(&s.listings[i]) })
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
				w.order(orders.at(j), s.sessions[i].ticketOf(orders.at(j)))
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
				w.int(int64(d.paidAt))
			})
		}
	})
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
	for i := range s.refunds.len() {
		b.row(blockRefunds, func(w *writer) { w.refund(s.refunds.at(i)) })
	}
	for i := range s.bought {
		for j := range s.bought[i].rows.len() {
			b.row(blockBought, func(w *writer) { w.bought(s.bought[i].month, s.bought[i].rows.at(j)) })
		}
	}
	for _, d := range s.done {
		b.row(blockIntents, func(w *writer) { w.deed(d) })
	}
	b.flush()
	b.block(blockEnd, nil)
	return b.written, b.err
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
	w.uint(uint64(h.life))
	w.fixed(h.secret[:])
}

func (w *writer) session(x *Session) {
	w.sessionSpec(&x.SessionSpec)
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
	w.uint(uint64(x.settledOrders))
	w.uint(uint64(x.dropped))
	w.bool(x.cleared)
	w.uint(uint64(x.Sealed))
	w.int(int64(x.SettledAt))
	w.uint(uint64(len(x.lives)))
	for _, g := range x.lives {
		w.uint(uint64(g.first))
		w.uint(uint64(g.life))
	}
}

func (w *writer) listing(l *Listing) {
	w.uint(uint64(l.Session))
	w.listingSpec(&l.ListingSpec)
	w.string(l.Currency)
	for _, v := range [...]int64{l.Stock, l.Available, l.Held, l.Paid, l.Released, l.Lowest, l.Shoppers} {
		w.int(v)
	}
	w.bool(l.Frozen)
	w.int(l.Waiting)
	w.int(l.Entrants)
	w.uint(uint64(l.lastPlace))
	w.int(int64(l.Aside))
	w.fixed(l.Seed[:])
	w.byte(byte(l.DrawState))
}

func (w *writer) order(o *Order, ticket uint64) {
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
	w.uint(ticket)
	w.byte(byte(o.traits))
	w.byte(byte(o.Why))
	w.fixed(o.Transaction[:])
}
