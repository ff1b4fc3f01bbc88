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
		if err == nil && (kind < last || kind == last && (kind == blockHead || kind == blockSwitches) || kind != blockHead && last == 0) {
			err = fmt.Errorf("%w: block %d after block %d", ErrMalformed, kind, last)
		}
		if err == nil && kind == blockEnd && body.Len() > 0 {
			err = fmt.Errorf("%w: the end is not empty", ErrMalformed)
		}
		if err == nil && kind == blockEnd {
			if s.rules > RulesVersion {
				return nil, fmt.Errorf("snapshot of rules version %d, this build knows %d: %w", s.rules, RulesVersion, ErrRulesTooNew)
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
			s.life = r.life()
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
			x := r.sale()
			if s.sales[x.ID] != nil {
				r.fail("a sale is there twice")
			}
			s.sales[x.ID] = &x
		case blockSessions:
			s.readSession(r)
		case blockListings:
			s.readListing(r)
		case blockShoppers:
			id, last := r.span(MaxShopperBytes), r.ref()
			switch {
			case len(id) == 0 && last.IsZero(): // a number to be given out again
				s.shoppers.addFree()
			case s.shoppers.find(id) != 0:
				r.fail("a shopper is there twice")
			default:
				s.shoppers.append(id, last)
			}
		case blockOrders:
			s.readOrder(r)
		case blockReceivers:
			ref, to := r.ref(), r.receiver()
			if !s.has(ref) || s.detailsOf(ref).receiver != nil {
				r.fail("a receiver of no order, or the second one")
			} else {
				s.mutDetails(ref).receiver = &to
			}
		case blockPayments:
			ref, id, at := r.ref(), r.string(MaxKeyBytes), Time(r.int())
			switch {
			case !s.has(ref) || s.detailsOf(ref).settled:
				r.fail("a payment of no order, or the second one")
			case at == 0 || !sane(at):
				r.fail("a payment of no time, or beyond all use")
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
		case blockIntents:
			s.readDeed(r)
		default:
			r.fail(fmt.Sprintf("unknown block kind %d", kind))
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

func (s *State) readSession(r *reader) {
	x := &Session{Handle: SessionHandle(len(s.sessions) + 1), SessionSpec: r.sessionSpec(), Sale: r.string(MaxIDBytes)}
	x.State, x.Paused = SessionState(r.byte()), r.bool()
	x.OpenedAt, x.EndedAt, x.lastDue = Time(r.int()), Time(r.int()), Time(r.int())
	for range r.count() {
		x.Listings = append(x.Listings, ListingHandle(r.uint32()))
	}
	x.settledOrders, x.dropped, x.cleared = r.uint32(), r.uint32(), r.bool()
	x.Sealed, x.SettledAt = LogIndex(r.uint()), Time(r.int())
	for range r.count() {
		x.lives = append(x.lives, granting{r.uint32(), r.life()})
	}
	switch {
	case x.State != Settled && (x.settledOrders > 0 || x.cleared || x.Sealed != 0) || x.dropped > x.settledOrders || x.dropped > 0 && !x.cleared:
		r.fail("a session without its orders that is not settled")
	case x.State > Settled:
		r.fail("an unknown session state")
	case s.sessionByID[x.ID] != nil:
		r.fail("a session is there twice")
	case s.sales[x.Sale] == nil:
		r.fail("a session of no sale")
	case !sane(x.Start) || !sane(x.End) || !sane(x.OpenedAt) || !sane(x.EndedAt) || !sane(x.lastDue) || !sane(x.SettledAt):
		r.fail("a time beyond all use")
	}
	s.sessions = append(s.sessions, x)
	s.sessionByID[x.ID] = x
}

func (s *State) readListing(r *reader) {
	l := &Listing{Handle: ListingHandle(len(s.listings) + 1), Session: SessionHandle(r.uint32()), ListingSpec: r.listingSpec(), Currency: r.string(MaxIDBytes)}
	for _, v := range [...]*int64{&l.Stock, &l.Available, &l.Held, &l.Paid, &l.Released, &l.Lowest, &l.Shoppers} {
		*v = r.int()
	}
	l.Frozen = r.bool()
	l.Waiting, l.Entrants, l.lastPlace, l.Aside = r.int(), r.int(), r.uint32(), Time(r.int())
	copy(l.Seed[:], r.bytes(len(l.Seed)))
	if l.DrawState = DrawState(r.byte()); l.DrawState > DrawDone {
		r.fail("an unknown state of a draw")
	}
	switch x := s.SessionOf(l.Session); {
	case x == nil:
		r.fail("a listing of no session")
		return
	case s.listingIn(x, l.SKU) != nil:
		r.fail("a listing is there twice")
	case s.products[l.SKU] == nil:
		r.fail("a listing of no product")
	case !sane(l.Aside):
		r.fail("a time beyond all use")
	}
	s.listings = append(s.listings, l)
	s.lines, s.draws = append(s.lines, line{}), append(s.draws, pool{})
	s.byName[listingName{l.Session, l.SKU}] = l
}

func (s *State) readOrder(r *reader) {
	x := s.SessionOf(SessionHandle(r.uint32()))
	o := Order{Key: r.key(), Amount: r.int(), Granted: Time(r.int())}
	o.PayBy, o.Changed = o.Granted+Time(r.int()), o.Granted+Time(r.int())
	o.previous = r.ref()
	o.Shopper, o.Listing = ShopperNo(r.uint32()), ListingHandle(r.uint32())
	o.Quantity, o.graceMS = r.uint32(), r.uint32()
	o.State, o.inLine = OrderState(r.byte()), r.bool()
	ticket := r.uint()
	o.traits, o.Why = traits(r.byte()), Reason(r.byte())
	o.Transaction = Transaction(r.key())
	switch {
	case r.err != nil:
	case x == nil || s.Listing(o.Listing) == nil || s.Listing(o.Listing).Session != x.Handle:
		r.fail("an order of no listing")
	case o.Shopper == 0 || int(o.Shopper) > s.shoppers.rows.len():
		r.fail("an order of no shopper")
	case o.State == 0 || o.State >= orderStateEnd:
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

func (r *reader) life() Life {
	life := Life(r.uint())
	if life>>lifeBits != 0 {
		r.fail("a life beyond its bits")
	}
	return life
}

// checkLives checks that each order of x came in one life.
func (x *Session) checkLives() error {
	last := uint32(0)
	for i, g := range x.lives {
		if g.first <= last || i == 0 && g.first != 1 || int(g.first) > x.Orders() || g.life == 0 || i > 0 && g.life == x.lives[i-1].life {
			return fmt.Errorf("%w: life %d of session %q can't be", ErrMalformed, i+1, x.ID)
		}
		last = g.first
	}
	if (len(x.lives) == 0) != (x.Orders() == 0) {
		return fmt.Errorf("%w: the orders of session %q came in no life", ErrMalformed, x.ID)
	}
	return nil
}

// sane tells whether t is a time that a state can hold: sums of a plan's times
// and durations may be over maxTime, but not twice that.
func sane(t Time) bool { return t >= 0 && t <= 2*maxTime }

// restore derives what a snapshot does not hold, and checks what it refers to.
func (s *State) restore() error {
	orders, leaving := 0, 0
	s.marks = make([]mark, len(s.listings))
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
		case x.cleared && n > 0:
			s.clears(x)
			leaving += n
		default:
			orders += n
		}
		if err := x.checkLives(); err != nil {
			return err
		}
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
	return s.followOrders(orders, leaving)
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
			if o.State == RefundDue {
				x.refundsDue++
			}
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
		if l.Aside != 0 && s.lines[i].count == 0 {
			return fmt.Errorf("%w: listing %d has something set aside, and nobody is in line", ErrMalformed, l.Handle)
		}
		if l.Aside != 0 {
			s.sessions[l.Session-1].asides.add(due{l.Aside, uint32(l.Handle)})
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
