package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// ReadState decodes a snapshot. Errors: ErrMalformed with the place, ErrNewerFormat,
// ErrOlderFormat, ErrRulesTooNew, or what from returns.
func ReadState(from io.Reader) (*State, error) {
	var head [len(snapshotMagic) + 4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, fmt.Errorf("snapshot header: %w", cutOff(err))
	}
	switch string(head[:len(snapshotMagic)]) {
	case snapshotMagic:
	case "DOORSNAP":
		return nil, fmt.Errorf("snapshot: %w", ErrOlderFormat)
	default:
		return nil, fmt.Errorf("%w: no snapshot: it does not begin with %q", ErrMalformed, snapshotMagic)
	}
	version := binary.LittleEndian.Uint32(head[len(snapshotMagic):])
	if version != snapshotVersion {
		return nil, fmt.Errorf("snapshot format %d, this build reads %d: %w", version, snapshotVersion, ErrNewerFormat)
	}
	s := NewState()
	read := snapshotReader{State: s}
	offset, last := int64(len(head)), byte(0)
	var body bytes.Buffer
	for {
		kind, n, err := readBlock(from, &body)
		if err == nil && (kind < last || kind == last && only(kind) ||
			kind != blockHead && last == 0) {
			err = fmt.Errorf("%w: block %d after block %d", ErrMalformed, kind, last)
		}
		if err == nil && kind == blockEnd && body.Len() > 0 {
			err = fmt.Errorf("%w: the end is not empty", ErrMalformed)
		}
		if err == nil && kind == blockEnd {
			if s.rules > RulesVersion {
				return nil, fmt.Errorf("snapshot of rules version %d, this build knows %d: %w", s.rules, RulesVersion,
					ErrRulesTooNew)
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

// only reports whether there is one row of a kind at most.
func only(kind byte) bool {
	return kind == blockHead || kind == blockSwitches || kind == blockPersonal || kind == blockUndo
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
	rosters []*roster // in the order of their heads
	shopper shopperRow
	order   Order
	listed  rosterRow
	product namedProduct
	bargain Bargain
	cut     Cut
	key     keyPageRow
	erased  erasureRow
}

func (s *snapshotReader) readRows(kind byte, body []byte) error {
	c := &coder{buf: body, reads: true, state: true}
	rows := c.length(0, anyNumber)
	c.check(rows == 1 || !only(kind), "not one row of what there is one")
	for i := 0; i < rows && c.err == nil; i++ {
		s.readRow(c, kind)
	}
	return c.done()
}

func (s *snapshotReader) readRow(c *coder, kind byte) {
	switch kind {
	case blockHead:
		s.head.fields(c)
		s.setSecret(s.secret)
	case blockSuppliers:
		s.readSupplier(c)
	case blockProducts:
		s.readProduct(c)
	case blockUses:
		s.readUse(c)
	case blockStagings:
		s.readStaging(c)
	case blockStaged:
		s.readStaged(c)
	case blockSales:
		x := new(Sale)
		c.all(x)
		c.check(s.sales[x.ID] == nil, "a sale is there twice")
		s.sales[x.ID] = x
	case blockSessions:
		x := &Session{Handle: SessionHandle(len(s.sessions) + 1)}
		x.fields(c)
		c.check((x.State == Settled || x.settledOrders == 0 && !x.cleared && x.Sealed == 0) &&
			x.dropped <= x.settledOrders && (x.dropped == 0 || x.cleared),
			"a session without its orders that is not settled")
		s.sessions = append(s.sessions, x)
		if x.State == Deleted {
			break
		}
		c.check(s.sessionByID[x.ID] == nil, "a session is there twice")
		c.check(s.sales[x.Sale] != nil, "a session of no sale")
		s.sessionByID[x.ID] = x
	case blockListings:
		l := &Listing{Handle: ListingHandle(len(s.listings) + 1)}
		l.fields(c)
		c.check(s.SessionOf(l.Session) != nil, "a listing of no session")
		c.check(s.byName[listingName{l.Session, l.SKU}] == nil, "a listing is there twice")
		x := s.SessionOf(l.Session)
		switch p := &s.State.products; {
		case c.err != nil:
		case x.State != Deleted:
			no := p.find([]byte(l.SKU))
			c.check(no != 0 && p.row(no).use != 0 && int(p.row(no).use) <= p.uses.len(), "a listing of no product")
		default:
			c.check(bytes.Equal(written(l), written(&Listing{Session: l.Session, Currency: l.Currency,
				ListingSpec: ListingSpec{SKU: l.SKU}})), "something of a listing that was deleted")
		}
		if c.err == nil {
			s.addListing(l)
		}
	case blockShoppers:
		x := &s.shopper
		switch x.fields(c); {
		case c.err != nil:
		case len(x.id) == 0 && x.last.IsZero():
			s.shoppers.addFree()
		case s.shoppers.find(x.id) != 0:
			c.fail("a shopper is there twice")
		default:
			s.shoppers.append(x.id, x.last)
		}
	case blockOrders:
		s.readOrder(c)
	case blockRosters:
		s.readRoster(c)
	case blockRosterRows:
		s.readRosterRow(c)
	case blockSwitches:
		s.board.fields(c)
		for _, x := range s.board.clocked {
			c.check(s.SessionOf(x.session) != nil, "a profile of no session")
		}
	case blockRefunds:
		s.readRefund(c)
	case blockBought:
		s.readBought(c)
	case blockIntents:
		s.readDeed(c)
	case blockPlays:
		p := new(PlayVersion)
		c.all(p)
		c.check(s.plays[p.ID] == nil && p.Version > 0, "a template is there twice, or without a version")
		s.plays[p.ID] = p
	case blockBargains:
		s.readBargain(c)
	case blockCuts:
		s.readCut(c)
	case blockSinks:
		s.readSink(c)
	case blockPersonal, blockPersonalKeys, blockErasures:
		s.readPersonal(c, kind)
	case blockAlarms:
		s.readAlarm(c)
	case blockApprovals:
		s.readApproval(c)
	case blockRecords:
		s.readRecord(c)
	case blockUndo:
		s.readUndo(c)
	default:
		c.fail(fmt.Sprintf("unknown block kind %d", kind))
	}
}

func (s *snapshotReader) readPersonal(c *coder, kind byte) {
	p := &s.personal
	switch kind {
	case blockPersonal:
		var h personalHead
		h.fields(c)
		p.lists, p.uses, p.sweeps = h.lists, h.uses, h.sweeps
	case blockPersonalKeys:
		x := &s.key
		switch x.fields(c); {
		case c.err != nil:
		case len(x.id) == 0:
			p.keys.addFree()
		case p.keys.find(x.id) != 0:
			c.fail("a shopper's key is there twice")
		default:
			p.keys.append(x.id, x.keyRow)
		}
	case blockErasures:
		x := &s.erased
		switch x.fields(c); {
		case c.err != nil:
		case p.erasures.find(x.id) != 0 || p.erasures.rows.len() >= MaxErasures:
			c.fail("an erasure is there twice, or there are too many")
		default:
			p.erasures.add(x.id, x.Erasure)
		}
	}
}

func (s *snapshotReader) readRoster(c *coder) {
	var h rosterHead
	h.fields(c)
	old := s.State.rosters[h.id]
	switch {
	case c.err != nil:
	case !s.mayBe(h.id):
		c.fail("a roster of nothing")
	case h.staged && (old == nil || old.staged != nil || old.stage != h.stage || h.stage == 0), !h.staged && old != nil:
		c.fail("a roster is there twice, or staged for none")
	case len(s.State.rosters) >= MaxRosters && !h.staged:
		c.fail("too many rosters")
	default:
		one := s.newRoster()
		if h.staged {
			old.staged = one
		} else {
			one.stage = h.stage
			s.State.rosters[h.id] = one
		}
		s.rosters = append(s.rosters, one)
	}
}

func (s *snapshotReader) readRosterRow(c *coder) {
	x := &s.listed
	switch x.fields(c); {
	case c.err != nil:
	case x.roster >= len(s.rosters):
		c.fail("a row of no roster")
	case s.rosters[x.roster].rows.find(x.id) != 0:
		c.fail("a row is there twice")
	case s.rosters[x.roster].rows.rows.len() >= MaxRosterRows:
		c.fail("more rows than a roster may have")
	case x.level == LevelNone: // taken off, and remembered so that nothing grows
		s.rosters[x.roster].rows.add(x.id, rostered{level: x.level, since: x.since})
	default:
		s.rosters[x.roster].put(&RosterEntry{x.id, x.level, x.text}, x.since)
	}
}

func (s *snapshotReader) readOrder(c *coder) {
	s.order = Order{}
	row := orderRow{Order: &s.order}
	row.fields(c)
	x, l := s.SessionOf(row.session), s.Listing(row.Listing)
	c.check(x != nil && l != nil && l.Session == x.Handle && x.State != Deleted, "an order of no listing")
	c.check(row.Shopper != 0 && int(row.Shopper) <= s.shoppers.rows.len(), "an order of no shopper")
	if c.err != nil {
		return
	}
	x.orders.add(s.order)
	if row.more != nil {
		*s.mutDetails(OrderRef{x.Handle, uint32(x.orders.len())}) = *row.more
	}
}

// checkLives checks that each order of x came in one life.
func (x *Session) checkLives() error {
	last := uint32(0)
	for i, g := range x.lives {
		if g.first <= last || i == 0 && g.first != 1 || int(g.first) > x.Orders() || g.life == 0 ||
			i > 0 && g.life == x.lives[i-1].life {
			return fmt.Errorf("%w: life %d of session %q can't be", ErrMalformed, i+1, x.ID)
		}
		last = g.first
	}
	if (len(x.lives) == 0) != (x.Orders() == 0) {
		return fmt.Errorf("%w: the orders of session %q came in no life", ErrMalformed, x.ID)
	}
	return nil
}

// restore derives what a snapshot does not hold, and checks what it refers to.
func (s *State) restore() error {
	orders, leaving := 0, 0
	listed := make([]bool, len(s.listings))
	for _, x := range s.sessions {
		for _, h := range x.Listings {
			if l := s.Listing(h); l == nil || l.Session != x.Handle || listed[h-1] {
				return fmt.Errorf("%w: session %q lists a listing that is not its own, or twice", ErrMalformed, x.ID)
			}
			listed[h-1] = true
		}
		switch n := x.orders.len(); {
		case x.State == Settled && n != int(x.settledOrders) && (n != 0 || x.dropped != x.settledOrders):
			return fmt.Errorf("%w: settled session %q has %d of its %d orders", ErrMalformed, x.ID, n, x.settledOrders)
		case x.cleared && x.has():
			s.clears(x)
			leaving += n
		default:
			orders += n
		}
		if err := x.checkLives(); err != nil {
			return err
		}
		if wrong := s.restoreBargains(x); wrong != "" {
			return fmt.Errorf("%w: in session %q %s", ErrMalformed, x.ID, wrong)
		}
	}
	for i, l := range s.listings {
		if !listed[i] {
			return fmt.Errorf("%w: listing %d is not listed by its session", ErrMalformed, i+1)
		}
		l.looks = s.sessions[l.Session-1].StateOf(l)
	}
	for _, id := range s.Rosters().IDs() {
		if r := s.rosters[id]; (r.stage != 0) != (r.staged != nil) {
			return fmt.Errorf("%w: of roster %s a staging is named and not there", ErrMalformed, id)
		}
	}
	if err := s.restoreProducts(); err != nil {
		return err
	}
	if err := s.restoreLines(); err != nil {
		return err
	}
	for _, x := range s.sessions {
		if wrong := s.restoreParcels(x); wrong != "" {
			return fmt.Errorf("%w: in session %q %s", ErrMalformed, x.ID, wrong)
		}
	}
	if err := s.restorePersonal(); err != nil {
		return err
	}
	s.restoreMoney()
	for _, x := range s.sessions {
		s.schedule(x)
	}
	return s.followOrders(orders, leaving)
}

// restoreLines puts holds where time finds them, and those who wait and those in draws
// where their turn does, and finds what goes on with the next batch.
func (s *State) restoreLines() error {
	waiting := make([][]timer, len(s.listings)) // by place
	units := make([]int64, len(s.listings))
	for _, x := range s.sessions {
		var last Time
		for i := range x.orders.len() {
			o, ref := x.orders.at(i), OrderRef{x.Handle, uint32(i) + 1}
			l := s.listings[o.Listing-1]
			switch {
			case o.inSequence && (o.Due() < last || o.Due() > x.lastDue):
				return fmt.Errorf("%w: order %d of session %q is in line but out of order", ErrMalformed, i+1, x.ID)
			case o.inSequence:
				last = o.Due()
			case o.State == Held:
				x.exceptional.add(timer{o.Due(), ref.Ordinal})
			}
			if o.State == RefundDue {
				x.refundsDue++
			}
			switch o.State {
			case Waiting:
				place := s.detailsOf(ref).place
				if place == 0 || place > l.lastPlace {
					return fmt.Errorf("%w: order %d of session %q waits without a place in line", ErrMalformed, i+1,
						x.ID)
				}
				waiting[o.Listing-1] = append(waiting[o.Listing-1], timer{Time(place), ref.Ordinal})
				units[o.Listing-1] += int64(o.Quantity)
			case Entered:
				if l.Draw == 0 || l.DrawState == DrawDone {
					return fmt.Errorf("%w: order %d of session %q is in a draw that there is not", ErrMalformed, i+1,
						x.ID)
				}
				s.addEntrant(l, ref, o.traits&traitLate != 0)
			}
		}
	}
	for i, l := range s.listings {
		// Nobody takes two places with one order: this bounds what a waitlist needs.
		if int(l.lastPlace) > s.sessions[l.Session-1].Orders() {
			return fmt.Errorf("%w: listing %d has given out %d places in line, more than there are orders",
				ErrMalformed, l.Handle, l.lastPlace)
		}
		slices.SortFunc(waiting[i], func(a, b timer) int { return cmp.Compare(a.at, b.at) })
		for j, d := range waiting[i] {
			if j > 0 && waiting[i][j-1].at == d.at {
				return fmt.Errorf("%w: two orders of listing %d have place %d in line", ErrMalformed, l.Handle, d.at)
			}
			l.waitlist.add(uint32(d.at), d.who)
		}
		if units[i] != l.Waiting || int64(l.pool.count) != l.Entrants {
			return fmt.Errorf("%w: listing %d counts %d units waited for and %d entrants, its orders %d and %d",
				ErrMalformed, l.Handle, l.Waiting, l.Entrants, units[i], l.pool.count)
		}
		if l.Aside != 0 && l.waitlist.count == 0 {
			return fmt.Errorf("%w: listing %d has something set aside, and nobody is in line", ErrMalformed, l.Handle)
		}
		if l.Aside != 0 {
			s.sessions[l.Session-1].asides.add(timer{l.Aside, uint32(l.Handle)})
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

// followOrders checks that each of so many orders is on the way back from its
// shopper's newest one, and that all ways end: who walks them later need not look. Of
// those that leave the state some may be on no way any more.
func (s *State) followOrders(orders, leaving int) error {
	steps, left := 0, 0
	for i := range s.shoppers.rows.len() {
		for ref := s.shoppers.rows.at(i).kept; !ref.IsZero(); {
			if !s.has(ref) || int(s.at(ref).Shopper) != i+1 || steps+left == orders+leaving {
				return fmt.Errorf("%w: the orders of shopper %d do not follow each other", ErrMalformed, i+1)
			}
			if s.sessions[ref.Session-1].cleared {
				left++
			} else {
				steps++
			}
			ref = s.at(ref).previous
		}
	}
	if steps != orders || left > leaving {
		return fmt.Errorf("%w: no shopper's newest order leads to %d of the orders", ErrMalformed, orders-steps)
	}
	return nil
}
