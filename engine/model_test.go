package engine

import (
	"fmt"
	"slices"
)

// model is what the rules of a sale say, as slowly and plainly as can be:
// nothing is counted ahead, every figure is added up from the orders each time.
type model struct {
	now      Time
	rules    uint32
	products map[string]bool
	supply   map[string]SupplierStock
	months   []Time // of the one sale
	rosters  map[RosterID]*modelRoster
	board    modelBoard
	sinks    map[string]*modelSink
	alarms   map[AlarmName]AlarmNote
	rank     func(*modelOrder) (uint64, string) // by the state's seed and order numbers
	touched  []ListingHandle                    // in which order lines are worked, where that decides
	sessions []*modelSession
	listings []*modelListing // by handle - 1
	shoppers []string        // by number - 1; "" is free again
	orders   []*modelOrder
	refunds  []Refund
	asked    map[string]bool // ids of the payments that anybody ever told of

	templates map[string]modelTemplate
	bargains  []*modelBargain
	luck      func(b *modelBargain, number uint32) uint64 // by the listing's seed and the bargain's code
	keys      []*modelKey
	lists     modelKey   // of risk lists
	erased    []modelKey // used is when it was
	clocks    bool       // of the sale are known
	approving bool       // the end of a session
	approvals []*modelApproval
	derived   []Event
}

type modelSession struct {
	SessionSpec
	handle  SessionHandle
	state   SessionState
	paused  bool
	opened  Time
	endedAt Time
	orders  uint32
	cleared bool
	exports uint32

	bargains uint32
}

type modelListing struct {
	handle  ListingHandle
	session *modelSession
	spec    ListingSpec
	stock   int64
	looked  ListingState
	places  int // on the waitlist, given out so far
	draw    DrawState

	sold     int64 // the most that was held and paid at once
	released int64 // units that were set aside for bargains
}

type modelOrder struct {
	ref      OrderRef
	shopper  string
	key      Key
	listing  *modelListing
	quantity uint32
	amount   int64
	payBy    Time
	due      Time
	state    OrderState
	payment  *modelPayment // what paid for it, or would have if a unit had been free
	receiver Receiver
	toKnown  bool // where it goes has been said
	released int64
	granted  Time
	changed  Time
	why      Reason
	waitlist bool
	ticket   uint64
	place    int
	// asideUntil is until when what is free is set aside for this head of a waitlist.
	asideUntil Time
	drawn      bool
	late       bool
	trace      Transaction
	month      Time // of one that has left: the month in which it counts, or Never
	gone       bool // month has been set
	bargain    *modelBargain
	payType    string
	boughtAt   Time
	shipment   Shipment
}

func (m *model) session(id string) *modelSession {
	for _, x := range m.sessions {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (m *model) listing(h ListingHandle) *modelListing {
	for _, l := range m.listings {
		if l.handle == h {
			return l
		}
	}
	return nil
}

func (m *model) order(ref OrderRef) *modelOrder {
	for _, o := range m.orders {
		if o.ref == ref && !o.settled() {
			return o
		}
	}
	return nil
}

func (m *model) shopper(id string) ShopperNo {
	for i, s := range m.shoppers {
		if s == id {
			return ShopperNo(i + 1)
		}
	}
	return 0
}

// counts adds up a listing from its orders.
func (m *model) counts(l *modelListing) Counts {
	c := Counts{Session: l.session.ID, SKU: l.spec.SKU, Stock: l.stock, Available: l.stock, Released: l.released,
		Held: m.asideOf(l)}
	c.Available -= c.Held
	shoppers := map[string]bool{}
	for _, o := range m.orders {
		if o.listing != l {
			continue
		}
		c.Released += o.released
		switch o.state {
		case Held:
			c.Held += int64(o.quantity)
		case Paid, Shipped, Received, Completed:
			c.Paid += int64(o.quantity)
		case Waiting:
			c.Waiting += int64(o.quantity)
			continue
		case Entered:
			c.Entrants++
			continue
		default:
			continue
		}
		c.Available -= int64(o.quantity)
		shoppers[o.shopper] = true
	}
	c.Shoppers = int64(len(shoppers))
	c.Reserved = m.roster(RosterID{Kind: RosterReserved, Listing: l.handle}).listed()
	c.State = m.looks(l, c)
	return c
}

func (m *model) looks(l *modelListing, c Counts) ListingState {
	switch l.session.state {
	case Draft:
		return ListingDraft
	case Ended, Settled:
		return ListingEnded
	}
	if l.session.paused {
		return ListingPaused
	}
	if l.session.state == Published {
		return ListingPublished
	}
	if c.Available > 0 && c.Waiting == 0 {
		return ListingOpen
	}
	if c.Held > 0 || c.Waiting > 0 {
		return ListingSoldOut
	}
	return ListingGone
}

// units adds up a shopper's live units in a listing or, with nil, in a session,
// and finds the newest order among them.
func (m *model) units(shopper string, x *modelSession, l *modelListing) (units uint32, newest OrderRef) {
	for _, o := range m.orders {
		if o.shopper == shopper && o.listing.session == x && (l == nil || o.listing == l) && o.live() {
			units += o.quantity
			newest = o.ref
		}
	}
	return units, newest
}

func (m *model) releases(shopper string, l *modelListing) (n uint32) {
	for _, o := range m.orders {
		if o.shopper == shopper && o.listing == l && !o.live() && o.state.Granted() {
			n++
		}
	}
	return n
}

// pass lets time do what it must, one thing after the other: the later session's profile lies
// over the earlier one's, and what comes back goes to a supplier who has lowered its figure as
// long as it has too little.
func (m *model) pass() {
	for {
		m.closeDraws()
		var next *modelSession
		at := Never
		for _, x := range m.sessions {
			if t := m.due(x); t <= m.now && t < at {
				next, at = x, t
			}
		}
		if next == nil {
			m.passParcels()
			return
		}
		m.passOne(next)
	}
}

// due is when time has something to do in a session next.
func (m *model) due(x *modelSession) Time {
	at := x.turns()
	if o := m.firstHeld(x); o != nil {
		at = min(at, o.due)
	}
	if b := m.firstAside(x); b != nil {
		at = min(at, b.back())
	}
	return at
}

func (m *model) firstHeld(x *modelSession) (first *modelOrder) {
	for _, o := range m.orders {
		if o.state == Held && o.listing.session == x && (first == nil || o.due < first.due) {
			first = o
		}
	}
	return first
}

// passOne does what is due first in a session.
func (m *model) passOne(x *modelSession) {
	o, b, held := m.firstHeld(x), m.firstAside(x), Never
	if o != nil {
		held = o.due
	}
	switch {
	case b != nil && b.back() <= min(held, m.now):
		m.expireBargain(b)
	case x.turns() <= min(held, m.now) && x.state == Published:
		m.openSession(x)
	case x.turns() <= min(held, m.now):
		m.derived = append(m.derived, m.endSession(x))
	default:
		e := m.release(o, Expired, ReasonExpired)
		e.Command = -1
		m.derived = append(m.derived, e)
	}
}

// turns is when a session opens or ends by the clock.
func (x *modelSession) turns() Time {
	switch x.state {
	case Published:
		return x.Start
	case Open:
		return x.End
	}
	return Never
}

func (m *model) openSession(x *modelSession) {
	x.state, x.opened = Open, m.now
	m.derived = append(m.derived, Event{Kind: SessionOpened, Command: -1, Session: x.handle})
	m.profile(x, true)
}

func (m *model) endSession(x *modelSession) Event {
	x.state, x.endedAt = Ended, m.now
	m.profile(x, false)
	return Event{Kind: SessionEnded, Command: -1, Session: x.handle}
}

func (m *model) release(o *modelOrder, to OrderState, why Reason) Event {
	o.state, o.changed = to, m.now
	o.released += int64(o.quantity)
	m.cameBack(o.listing)
	return m.told(HoldReleased, why, o)
}

// told is an event about an order.
func (m *model) told(kind EventKind, why Reason, o *modelOrder) Event {
	return Event{Kind: kind, Reason: why, State: o.state, Session: o.ref.Session, Listing: o.listing.handle,
		Order: o.ref, Shopper: m.shopper(o.shopper), Quantity: o.quantity, Amount: o.amount, PayBy: o.payBy,
		Transaction: o.trace}
}

// batch does what an entry asks and gives the events it should cause. touched is
// in which order lines are worked, where several are.
func (m *model) batch(at Time, commands []Command, touched []ListingHandle) (primary, derived []Event) {
	m.now = max(m.now, at)
	m.derived, m.touched = nil, touched
	m.pass()
	for i, c := range commands {
		e := m.command(&c)
		e.Command = int32(i)
		primary = append(primary, e)
	}
	m.workWaitlists()
	m.conclude()
	m.letGo()
	return primary, m.derived
}

// conclude says what has sold out or is gone since the last batch, and ends
// sessions of which every listing is paid for to the last unit. A listing that
// has sold nothing has nothing to be gone, so that a session may open before its
// stock is put up.
func (m *model) conclude() {
	for _, l := range m.listings {
		looks := m.counts(l).State
		if looks != l.looked {
			switch looks {
			case ListingSoldOut:
				m.derived = append(m.derived, Event{Kind: StockTaken, Command: -1, Session: l.session.handle,
					Listing: l.handle})
			case ListingGone:
				m.derived = append(m.derived, Event{Kind: StockGone, Command: -1, Session: l.session.handle,
					Listing: l.handle})
			}
		}
		l.looked = looks
	}
	for _, x := range m.sessions {
		if x.state != Open || x.paused {
			continue
		}
		listings, gone := 0, 0
		for _, l := range m.listings {
			if l.session == x {
				listings++
				if c := m.counts(l); c.Available == 0 && c.Held == 0 && c.Paid > 0 {
					gone++
				}
			}
		}
		if listings > 0 && gone == listings {
			m.derived = append(m.derived, m.endSession(x))
			for _, l := range m.listings {
				if l.session == x {
					l.looked = ListingEnded
				}
			}
		}
	}
}

func (m *model) command(c *Command) Event {
	switch c.Kind {
	case CmdRaiseRules:
		if c.RulesVersion <= m.rules {
			return Event{Kind: CommandRefused, Reason: ReasonConflict}
		}
		m.rules = c.RulesVersion
		return Event{Kind: RulesRaised}
	case CmdReserve:
		return m.reserve(c)
	case CmdEditRoster:
		return m.editRoster(&c.Edit)
	case CmdSetSwitches:
		return m.setSwitches(&c.Switches)
	case CmdSetProfile:
		return m.setProfile(&c.Switches)
	case CmdSetSink:
		return m.setSink(c.Sink)
	case CmdNoteAlarm:
		return m.noteAlarm(c)
	case CmdDecideApproval:
		return m.decide(c)
	case CmdPlaceHold:
		return m.placeHold(c)
	case CmdStartBargain:
		return m.startBargain(c)
	case CmdCutBargain:
		return m.cutBargain(c)
	case CmdEndBargain:
		return m.endBargain(c)
	case CmdApplyPlan:
		return m.applyPlan(c)
	case CmdSteerSession:
		return m.steer(c)
	case CmdAddStock:
		return m.addStock(c)
	case CmdConfirmRefund:
		return m.confirmRefund(c)
	case CmdSettleSession:
		return m.settle(c)
	case CmdClearSession:
		return m.clear(c)
	case CmdReviewOrders, CmdExportOrders, CmdShipOrders, CmdReceiveOrders:
		return m.handleOrders(c)
	case CmdErase:
		return m.erase(c)
	case CmdRewrap:
		return m.rewrap(c)
	case CmdPayOrder:
		m.asked[c.PaymentID] = true
		return m.pay(c)
	}
	o := m.order(c.Order)
	if o == nil || (c.Kind == CmdCancelHold || c.Kind == CmdSetReceiver || c.Kind == CmdLeaveLine ||
		c.Kind == CmdReceiveOrder) &&
		string(c.Shopper) != o.shopper {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	switch c.Kind {
	case CmdLeaveLine:
		switch o.state {
		case Waiting, Entered:
			return m.passOver(o, Left, ReasonLeft)
		case Left:
			return m.told(OrderUnchanged, ReasonNone, o)
		}
	case CmdCancelHold:
		switch o.state {
		case Held:
			return m.release(o, Cancelled, ReasonCancelled)
		case Cancelled:
			return m.told(OrderUnchanged, ReasonNone, o)
		}
	case CmdVoidOrder:
		switch o.state {
		case Held:
			return m.release(o, Voided, ReasonVoided)
		case Paid:
			return m.takeBack(o, ReasonVoided)
		case Voided:
			return m.told(OrderUnchanged, ReasonNone, o)
		}
	case CmdExtendHold:
		if o.state != Held {
			break
		}
		if c.Deadline < o.payBy || c.Deadline > m.now.Add(MaxPayWithin) {
			return m.told(CommandRefused, ReasonConflict, o)
		}
		if c.Deadline == o.payBy {
			return m.told(OrderUnchanged, ReasonNone, o)
		}
		o.due += c.Deadline - o.payBy
		o.payBy = c.Deadline
		return m.told(HoldExtended, ReasonNone, o)
	case CmdSetReceiver:
		if o.state != Held && o.state != Paid {
			break
		}
		return m.setReceiver(c, o)
	case CmdReceiveOrder:
		switch o.state {
		case Shipped:
			return m.receive(o)
		case Received, Completed:
			return m.told(OrderUnchanged, ReasonNone, o)
		}
	case CmdCloseHold:
		switch {
		case o.state == Expired:
			return m.told(OrderUnchanged, ReasonNone, o)
		case o.state == Held && m.now >= o.payBy:
			return m.release(o, Expired, ReasonExpired)
		}
	}
	return m.told(CommandRefused, ReasonNotHeld, o)
}

func (m *model) limited(shopper string, l *modelListing, quantity uint32) Reason {
	if units, _ := m.units(shopper, l.session, l); l.spec.LimitPerShopper > 0 &&
		units+quantity > l.spec.LimitPerShopper {
		return ReasonLimitListing
	}
	if units, _ := m.units(shopper, l.session, nil); l.session.LimitPerShopper > 0 &&
		units+quantity > l.session.LimitPerShopper {
		return ReasonLimitSession
	}
	if units, _ := m.month(shopper, l); l.spec.LimitPerMonth > 0 && units+quantity > l.spec.LimitPerMonth {
		return ReasonLimitMonth
	}
	return ReasonNone
}

// began gives when the month of a time began; 0 where no plan has said.
func (m *model) began(at Time) (month Time) {
	for _, x := range m.months {
		if x <= at {
			month = x
		}
	}
	return month
}

// month adds up a shopper's live units of a listing's product since the month began.
func (m *model) month(shopper string, l *modelListing) (units uint32, newest OrderRef) {
	began := m.began(m.now)
	for _, o := range m.orders {
		if o.shopper != shopper || o.listing.spec.SKU != l.spec.SKU || !o.live() {
			continue
		}
		switch {
		case o.left() && o.month != Never && o.month >= began:
			units += o.quantity
		case !o.left() && o.granted >= began:
			units += o.quantity
			newest = o.ref
		}
	}
	return units, newest
}

func (m *model) placeHold(c *Command) Event {
	l := m.listing(c.Listing)
	if l == nil {
		return Event{Kind: HoldRefused, Reason: ReasonUnknown}
	}
	shopper := string(c.Shopper)
	for _, o := range m.orders {
		if o.shopper == shopper && o.key == c.Key && !o.settled() {
			if o.listing != l || o.quantity != c.Quantity || o.bargain == nil != c.Bargain.IsZero() {
				return m.told(HoldRefused, ReasonKeyReused, o)
			}
			return m.told(HoldConfirmed, ReasonNone, o)
		}
	}
	no := Event{Kind: HoldRefused, Session: l.session.handle, Listing: l.handle}
	if m.now > c.Deadline {
		no.Reason = ReasonDeadline
		return no
	}
	for _, o := range m.orders {
		if o.shopper == shopper && o.listing == l && (o.state == Waiting || o.state == Entered) {
			return m.told(HoldConfirmed, ReasonNone, o)
		}
	}
	if m.forbids(shopper, l, c.Quantity, &no); no.Reason != ReasonNone {
		return no
	}
	for _, o := range m.orders {
		if c.Ticket != 0 && o.shopper == shopper && o.ticket == c.Ticket && !o.settled() {
			no.Reason = ReasonTicketUsed
			return no
		}
	}
	bargain, why := m.mayPlay(c, l)
	if why != ReasonNone {
		no.Reason = why
		return no
	}
	counts, left := m.counts(l), m.left(shopper, l)
	own := bargain != nil && bargain.aside
	if !l.drawing() && !own && (counts.Available < int64(c.Quantity) || len(m.line(l)) > 0) {
		switch {
		case c.Waitlist && m.capacity(l, c.Quantity) && left >= MaxLeaves:
			no.Reason = ReasonLeft
			return no
		case c.Waitlist && m.capacity(l, c.Quantity):
			return m.told(PlaceTaken, ReasonNone, m.join(m.newOrder(c, l, bargain)))
		case counts.Held > 0 || len(m.line(l)) > 0:
			no.Reason = ReasonSoldOut
		default:
			no.Reason = ReasonGone
		}
		return no
	}
	if l.drawing() && left >= MaxLeaves {
		no.Reason = ReasonLeft
		return no
	}
	o := m.newOrder(c, l, bargain)
	if l.drawing() {
		o.state, o.drawn, o.late = Entered, true, l.draw == DrawClosed
		return m.told(DrawEntered, ReasonNone, o)
	}
	m.grant(o)
	e := m.told(HoldPlaced, ReasonNone, o)
	e.Bargain = c.Bargain.Ordinal
	return e
}

// forbids says in no which rule of who may buy forbids it, if one does.
func (m *model) forbids(shopper string, l *modelListing, quantity uint32, no *Event) {
	x := l.session
	if x.state == Draft || x.state == Published {
		no.Reason = ReasonNotOpen
		return
	}
	if x.state >= Ended || m.now >= x.End {
		no.Reason = ReasonEnded
		return
	}
	if x.paused {
		no.Reason = ReasonPaused
		return
	}
	most := uint32(MaxQuantity)
	for _, limit := range []uint32{l.spec.LimitPerShopper, x.LimitPerShopper, l.spec.LimitPerMonth} {
		if limit > 0 {
			most = min(most, limit)
		}
	}
	if quantity == 0 || quantity > most {
		no.Reason, no.Limit = ReasonQuantity, most
		return
	}
	switch {
	case l.spec.Reservation && m.board.now.On(SwitchReservations) &&
		m.level(RosterID{Kind: RosterReserved, Listing: l.handle}, shopper) == LevelNone:
		no.Reason = ReasonNotReserved
		return
	case l.spec.AllowList != "" && m.board.now.On(SwitchAllowLists) &&
		m.level(RosterID{Kind: RosterAllowed, Name: l.spec.AllowList}, shopper) == LevelNone:
		no.Reason = ReasonNotAllowed
		return
	}
	switch no.Reason = m.limited(shopper, l, quantity); no.Reason {
	case ReasonLimitListing:
		no.Limit = l.spec.LimitPerShopper
		no.Quantity, no.Order = m.units(shopper, x, l)
		return
	case ReasonLimitSession:
		no.Limit = x.LimitPerShopper
		no.Quantity, no.Order = m.units(shopper, x, nil)
	case ReasonLimitMonth:
		no.Limit = l.spec.LimitPerMonth
		no.Quantity, no.Order = m.month(shopper, l)
		return
	}
	if no.Reason != ReasonNone {
		if _, here := m.units(shopper, x, l); !here.IsZero() {
			no.Order = here // the one in the listing asked for says more
		}
		return
	}
	if n := m.releases(shopper, l); n >= 3 {
		no.Reason, no.Limit, no.Quantity = ReasonReleases, 3, n
		return
	}
	play := l.spec.Play
	if today := m.today(shopper); play != nil && play.Who.FirstOfDay && !today.IsZero() {
		no.Reason, no.Limit, no.Quantity, no.Order = ReasonNotFirst, 1, 1, today
		return
	}
	level := m.level(RosterID{Kind: RosterRiskShopper}, shopper)
	if m.board.now.On(SwitchRiskLists) && (level == LevelBlock ||
		play != nil && play.Who.MaxRisk != LevelNone && level > play.Who.MaxRisk) {
		no.Reason = ReasonRisk
	}
}

// number gives a shopper a number who has none.
func (m *model) number(who string) {
	if m.shopper(who) != 0 {
		return
	}
	if free := slices.Index(m.shoppers, ""); free >= 0 {
		m.shoppers[free] = who
	} else {
		m.shoppers = append(m.shoppers, who)
	}
}

// newOrder notes what c asks for, by a bargain or without; it holds nothing yet.
func (m *model) newOrder(c *Command, l *modelListing, by *modelBargain) *modelOrder {
	m.number(string(c.Shopper))
	l.session.orders++
	o := &modelOrder{ref: OrderRef{l.session.handle, l.session.orders}, shopper: string(c.Shopper), key: c.Key,
		listing: l, quantity: c.Quantity, amount: m.amount(c, l, by), granted: m.now,
		changed: m.now, payBy: m.now, waitlist: c.Waitlist, ticket: c.Ticket, trace: c.Transaction, bargain: by}
	if by != nil {
		by.aside = false // it is the order's
	}
	m.orders = append(m.orders, o)
	return o
}

func (m *model) grant(o *modelOrder) {
	if p := o.listing.spec.Play; p != nil && (p.Price.Kind == PriceSteps || p.Price.Kind == PriceClock) {
		o.amount = min(o.amount, m.priceNow(o.listing)*int64(o.quantity)) // it falls while one waits
	}
	o.state, o.granted, o.changed, o.asideUntil = Held, m.now, m.now, 0
	defer m.sell(o.listing)
	if o.amount == 0 {
		o.state, o.payBy, o.boughtAt = Paid, m.now, m.now
		return
	}
	o.payBy = m.now.Add(o.listing.session.PayWithin)
	o.due = o.payBy.Add(o.listing.session.PayGrace)
}

func (m *model) steer(c *Command) Event {
	if int(c.Session) > len(m.sessions) || c.Session == 0 {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	x := m.sessions[c.Session-1]
	e := Event{Session: x.handle}
	same := Event{Kind: SessionUnchanged, Session: x.handle}
	late := Event{Kind: CommandRefused, Reason: ReasonEnded, Session: x.handle}
	switch c.Action {
	case SessionPublish:
		if x.state != Draft {
			return same
		}
		if x.End <= m.now {
			return late
		}
		x.state, e.Kind = Published, SessionPublished
		m.pass()
	case SessionPause:
		if x.state >= Ended {
			return late
		}
		if x.paused {
			return same
		}
		x.paused, e.Kind = true, SessionPaused
		m.pass()
	case SessionResume:
		if x.state >= Ended {
			return late
		}
		if !x.paused {
			return same
		}
		x.paused, e.Kind = false, SessionResumed
		m.pass()
	case SessionEnd:
		if x.state >= Ended {
			return same
		}
		if m.approving {
			return m.ask(ApprovalEnd, c.Operator, x)
		}
		e = m.endSession(x)
		e.Command = 0
		m.pass()
	default:
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	return e
}

func (m *model) addStock(c *Command) Event {
	l := m.listing(c.Listing)
	if l == nil {
		return Event{Kind: CommandRefused, Reason: ReasonUnknown}
	}
	if l.session.state >= Ended {
		return Event{Kind: CommandRefused, Reason: ReasonEnded}
	}
	if c.Amount == 0 || c.Amount < -MaxStock || c.Amount > MaxStock || l.stock+c.Amount > MaxStock {
		return Event{Kind: CommandRefused, Reason: ReasonQuantity}
	}
	if m.counts(l).Available+c.Amount < 0 {
		return Event{Kind: CommandRefused, Reason: ReasonSoldOut}
	}
	if !m.fitsSupply(l.spec.SKU, m.supply[l.spec.SKU], c.Amount) {
		return Event{Kind: CommandRefused, Reason: ReasonSupplier}
	}
	l.stock += c.Amount
	return Event{Kind: StockAdded, Session: l.session.handle, Listing: l.handle, Amount: c.Amount}
}

// applyPlan looks at everything that forbids the plan, then does it.
func (m *model) applyPlan(c *Command) Event {
	p := c.Plan
	for _, s := range p.Sales {
		for _, x := range s.Sessions {
			if !m.mayPlan(p, &x) {
				return Event{Kind: PlanRefused, Reason: ReasonConflict}
			}
		}
	}
	if !m.maySupply(p) {
		return Event{Kind: PlanRefused, Reason: ReasonConflict}
	}
	if m.approving && m.endsSooner(p) {
		return m.ask(ApprovalPlan, c.Operator, nil)
	}
	for _, product := range p.Products {
		m.products[product.ID] = true
	}
	m.planTemplates(p)
	for _, s := range p.Sales {
		m.clocks = m.clocks || len(s.Offsets) > 0
		for _, at := range s.Months {
			if !slices.Contains(m.months, at) {
				m.months = append(m.months, at)
			}
		}
		slices.Sort(m.months)
		for _, x := range s.Sessions {
			m.planSession(&x)
		}
	}
	for _, product := range p.Products {
		if product.Stock.Known && product.Stock != m.supply[product.ID] {
			m.states(product.ID, product.Stock)
		}
	}
	m.pass()
	return Event{Kind: PlanApplied}
}

// mayPlan knows the plans that planned draws: well-formed, of products that are
// there, and a known session keeps its start.
func (m *model) mayPlan(plan *Plan, p *SessionPlan) bool {
	x := m.session(p.ID)
	for _, l := range p.Listings {
		if !m.mayPlanPlay(plan, x, &l) {
			return false
		}
	}
	if x == nil {
		return p.End > m.now
	}
	end := x.Start + p.End - p.Start
	if end != x.End && end <= m.now {
		return false
	}
	if p.Publish && x.state == Draft && end <= m.now || !p.Publish && x.Publish {
		return false
	}
	ended := x.state >= Ended
	if ended && (end != x.End || p.PayWithin != x.PayWithin || p.PayGrace != x.PayGrace ||
		p.LimitPerShopper != x.LimitPerShopper || p.Profile != x.Profile ||
		p.ReceiveWithin != x.ReceiveWithin || p.CompleteWithin != x.CompleteWithin) {
		return false
	}
	for _, spec := range p.Listings {
		l := m.listingIn(x, spec.SKU)
		if l != nil && ended {
			spec.Play = l.spec.Play // it is the same
		}
		if ended && (l == nil || l.spec != spec) {
			return false
		}
		if l == nil {
			continue
		}
		if l.spec.Draw != spec.Draw && (x.state == Open || ended) {
			return false
		}
		if c := m.counts(l); spec.Stock != l.spec.Stock && spec.Stock < c.Held+c.Paid {
			return false
		}
	}
	return true
}

func (m *model) listingIn(x *modelSession, sku string) *modelListing {
	for _, l := range m.listings {
		if l.session == x && l.spec.SKU == sku {
			return l
		}
	}
	return nil
}

func (m *model) planSession(p *SessionPlan) {
	x := m.session(p.ID)
	if x == nil {
		x = &modelSession{SessionSpec: p.SessionSpec, handle: SessionHandle(len(m.sessions) + 1)}
		m.sessions = append(m.sessions, x)
	} else {
		start, profile := x.Start, x.Profile
		x.SessionSpec = p.SessionSpec
		x.Start, x.End = start, start+p.End-p.Start
		if x.state == Open && x.Profile != profile {
			m.profile(x, false)
			m.profile(x, true)
		}
	}
	defer func() {
		if p.Publish && x.state == Draft {
			x.state = Published
		}
	}()
	for _, spec := range p.Listings {
		l := m.listingIn(x, spec.SKU)
		if l == nil {
			l = &modelListing{handle: ListingHandle(len(m.listings) + 1), session: x}
			m.listings = append(m.listings, l)
		}
		if spec.Stock != l.spec.Stock {
			l.stock = spec.Stock
		}
		spec.Play = m.planPlay(x, l.spec.Play, spec.Play)
		l.spec = spec
	}
}

// differs says how a state is not what the model says; "" if it is.
func (m *model) differs(s *State) string {
	if s.Now() != m.now {
		return fmt.Sprintf("state time %d, the model says %d", s.Now(), m.now)
	}
	if len(s.Sessions()) != len(m.sessions) || len(s.Listings()) != len(m.listings) {
		return fmt.Sprintf("%d sessions and %d listings, the model has %d and %d", len(s.Sessions()), len(s.Listings()),
			len(m.sessions), len(m.listings))
	}
	orders := 0
	for i, x := range m.sessions {
		got, spec := s.Sessions()[i], x.SessionSpec
		spec.Publish = got.Publish // a plan's wish, not a fact
		if got.SessionSpec != spec || got.State != x.state || got.Paused != x.paused {
			return fmt.Sprintf("session %+v %v paused %v, the model says %+v %v paused %v", got.SessionSpec, got.State,
				got.Paused, x.SessionSpec, x.state, x.paused)
		}
		orders += got.Orders()
	}
	for i, l := range m.listings {
		want := m.counts(l)
		want.LogIndex = s.LogIndex()
		if got := s.CountsOf(s.Listings()[i]); got != want {
			return fmt.Sprintf("counts %+v, the model says %+v", got, want)
		}
	}
	if orders != len(m.orders) {
		return fmt.Sprintf("%d orders, the model has %d", orders, len(m.orders))
	}
	due := Never
	for _, o := range m.orders {
		v, ok := s.View(o.ref)
		if o.left() {
			if ok {
				return fmt.Sprintf("order %+v has left and is still there", v)
			}
			continue
		}
		var by modelPayment
		if o.payment != nil {
			by = *o.payment
		}
		if !ok || v.State != m.shown(o) || v.Shopper != o.shopper || v.PayBy != o.payBy || v.Amount != o.amount ||
			v.Quantity != o.quantity ||
			v.PaymentID != by.id || v.Coupon != by.coupon || v.PaidAt != by.at || v.Transaction != o.trace ||
			v.Receiver != o.receiver ||
			v.SKU != o.listing.spec.SKU || v.Why != o.why || v.Position != m.position(o) ||
			v.GrantedAt != o.granted || v.ChangedAt != o.changed {
			return fmt.Sprintf("order %+v, the model says %+v", v, *o)
		}
		if o.state == Held {
			due = min(due, o.due)
		}
		if v.PayType != o.payType || v.Shipment != o.shipment {
			return fmt.Sprintf("the delivery of order %+v, the model says %+v", v, *o)
		}
		due = min(due, o.parcelDue())
		if o.settled() { // its key may lead elsewhere by now
			continue
		}
		if found := s.OrderByKey(s.ShopperNo(o.shopper), o.key); found != o.ref {
			return fmt.Sprintf("the key of order %v leads to %v", o.ref, found)
		}
	}
	for _, x := range m.sessions {
		due = min(due, x.turns())
	}
	for _, b := range m.bargains {
		if b.aside {
			due = min(due, b.expires)
		}
	}
	for i, l := range m.listings {
		if l.drawing() && l.draw == DrawOpen && l.session.state == Open {
			due = min(due, l.drawAt())
		}
		if line := m.line(l); len(line) > 0 && line[0].asideUntil != 0 && l.session.state == Open && !l.session.paused {
			due = min(due, line[0].asideUntil)
		}
		if got := s.Listings()[i].DrawState; got != l.draw {
			return fmt.Sprintf("the draw of listing %d is %v, the model says %v", l.handle, got, l.draw)
		}
	}
	if why := m.listsDiffer(s); why != "" {
		return why
	}
	if why := m.supplyDiffers(s); why != "" {
		return why
	}
	if why := m.alarmsDiffer(s); why != "" {
		return why
	}
	if why := m.approvalsDiffer(s); why != "" {
		return why
	}
	if why := m.sinksDiffer(s); why != "" {
		return why
	}
	if why := m.moneyDiffers(s); why != "" {
		return why
	}
	if why := m.shippingDiffers(s); why != "" {
		return why
	}
	if why := m.personalDiffers(s); why != "" {
		return why
	}
	if why := m.playsDiffer(s); why != "" {
		return why
	}
	if s.NextDue() != due {
		return fmt.Sprintf("next due %d, the model says %d", s.NextDue(), due)
	}
	return ""
}
