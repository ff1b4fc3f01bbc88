package engine

import (
	"fmt"
	"time"
)

// CommandKind says what a command asks for.
type CommandKind uint8

// Commands. Their numbers are on disk: never reuse one.
const (
	CmdOpenEpoch    CommandKind = 1
	CmdPlaceHold    CommandKind = 2
	CmdCancelHold   CommandKind = 3
	CmdPayOrder     CommandKind = 4
	CmdVoidOrder    CommandKind = 5
	CmdExtendHold   CommandKind = 6
	CmdSetReceiver  CommandKind = 7
	CmdApplyPlan    CommandKind = 8
	CmdSteerSession CommandKind = 9
	CmdAddStock     CommandKind = 10
	CmdRaiseRules   CommandKind = 11

	// From here on, of rules of version 2.
	cmdApplyRichPlan CommandKind = 12 // CmdApplyPlan with what version 1 has no room for
	cmdPlaceRichHold CommandKind = 13 // CmdPlaceHold, likewise
	CmdLeaveLine     CommandKind = 14
	CmdReserve       CommandKind = 15
	CmdEditRoster    CommandKind = 16
	CmdSetSwitches   CommandKind = 17
	CmdSetProfile    CommandKind = 18

	// From here on, of rules of version 3.
	cmdPlaceTracedHold CommandKind = 19 // CmdPlaceHold with a transaction
	cmdPayTimedOrder   CommandKind = 20 // CmdPayOrder with the cashier's time
	CmdConfirmRefund   CommandKind = 21
	CmdCloseHold       CommandKind = 22
	CmdSettleSession   CommandKind = 23
	cmdBreakListing    CommandKind = 250 // takes effect only in builds with the faults tag
	maxBatchCommands               = 16_384
)

var commandKinds = map[CommandKind]string{
	CmdOpenEpoch: "OpenEpoch", CmdPlaceHold: "PlaceHold", CmdCancelHold: "CancelHold", CmdPayOrder: "PayOrder",
	CmdVoidOrder: "VoidOrder", CmdExtendHold: "ExtendHold", CmdSetReceiver: "SetReceiver", CmdApplyPlan: "ApplyPlan",
	CmdSteerSession: "SteerSession", CmdAddStock: "AddStock", CmdRaiseRules: "RaiseRules", cmdApplyRichPlan: "ApplyRichPlan", cmdPlaceRichHold: "PlaceRichHold", CmdLeaveLine: "LeaveLine", CmdReserve: "Reserve",
	CmdEditRoster: "EditRoster", CmdSetSwitches: "SetSwitches", CmdSetProfile: "SetProfile", cmdPlaceTracedHold: "PlaceTracedHold", cmdPayTimedOrder: "PayTimedOrder",
	CmdConfirmRefund: "ConfirmRefund", CmdCloseHold: "CloseHold", CmdSettleSession: "SettleSession", cmdBreakListing: "BreakListing",
}

func (k CommandKind) String() string {
	if name, ok := commandKinds[k]; ok {
		return name
	}
	return fmt.Sprintf("command %d", uint8(k))
}

// Command is one thing asked of the state. Which fields count depends on Kind.
// Shopper and the slices of a decoded command lie in the entry they came from.
type Command struct {
	Kind     CommandKind
	Shopper  []byte // PlaceHold, CancelHold, SetReceiver, LeaveLine, Reserve
	Key      Key    // PlaceHold
	Listing  ListingHandle
	Session  SessionHandle
	Quantity uint32
	Deadline Time // PlaceHold: past it, the hold is of no use; ExtendHold: the new PayBy
	Order    OrderRef
	Waitlist bool   // PlaceHold: would rather wait than be told that all is taken
	Ticket   uint64 // PlaceHold: the id of the ticket shown; 0 without

	Withdraw bool // Reserve: takes the reservation back
	Edit     RosterEdit
	Switches SwitchChange // SetSwitches, SetProfile

	Amount    int64 // PayOrder: minor units; AddStock: units
	Currency  string
	PaymentID string
	PaidAt    Time     // PayOrder: by the cashier's clock; 0 if it does not say
	Refund    RefundNo // ConfirmRefund; Note is the cashier's reference
	// Transaction of a PlaceHold.
	Transaction Transaction

	Operator string // who of the operators asked, for the audit trail
	Note     string // why
	Action   SessionAction
	Receiver Receiver
	Plan     *Plan
	// Entropy seeds the draws that a plan begins: random, and the leader's secret.
	Entropy [32]byte

	Node  string // OpenEpoch
	Nonce uint64
	// Secret becomes the group's at the first OpenEpoch, and is ignored later.
	Secret       [16]byte
	RulesVersion uint32 // RaiseRules
}

// SessionAction is what an operator does to a session.
type SessionAction uint8

// Actions on a session.
const (
	SessionPublish SessionAction = iota + 1
	SessionPause
	SessionResume
	SessionEnd
)

var sessionActions = [...]string{"", "publish", "pause", "resume", "end"}

func (a SessionAction) String() string { return nameOf(sessionActions[:], int(a)) }

// ParseSessionAction reads the name of an action.
func ParseSessionAction(name string) (SessionAction, bool) {
	for i, n := range sessionActions {
		if i > 0 && n == name {
			return SessionAction(i), true
		}
	}
	return 0, false
}

// A batch, version 1:
//
//	byte    version
//	uvarint epoch      (0 with an OpenEpoch command, which makes one)
//	uvarint sequence   of the batch in its epoch, from 1; OpenEpoch has 0
//	varint  time       state time in ms, stamped by the leader
//	uvarint commands
//	        commands, each a byte of kind and its fields
const batchVersion = 1

// BatchHeader leads an entry.
type BatchHeader struct {
	Epoch    Epoch
	Sequence uint64
	Time     Time
	Commands int
}

// AppendBatchHeader appends h to dst; the encoded commands follow it.
func AppendBatchHeader(dst []byte, h BatchHeader) []byte {
	w := writer{dst}
	w.byte(batchVersion)
	w.uint(uint64(h.Epoch))
	w.uint(h.Sequence)
	w.int(int64(h.Time))
	w.uint(uint64(h.Commands))
	return w.buf
}

func (r *reader) batchHeader() (h BatchHeader) {
	if v := r.byte(); r.err == nil && v != batchVersion {
		r.err = fmt.Errorf("batch format %d, this build reads %d: %w", v, batchVersion, ErrNewerFormat)
		return h
	}
	h.Epoch, h.Sequence, h.Time = Epoch(r.uint()), r.uint(), Time(r.int())
	if h.Time > maxTime {
		r.fail("a time beyond all use")
	}
	h.Commands = r.count()
	if h.Commands > maxBatchCommands {
		r.fail("too many commands")
	}
	return h
}

// AppendPlaceHold appends the command of a grab to dst. It allocates only to
// grow dst. shopper is copied.
func AppendPlaceHold[S string | []byte](dst []byte, listing ListingHandle, shopper S, key *Key, quantity uint32, deadline Time) []byte {
	w := writer{append(dst, byte(CmdPlaceHold))}
	w.uint(uint64(listing))
	w.uint(uint64(len(shopper)))
	w.buf = append(w.buf, shopper...)
	w.fixed(key[:])
	w.uint(uint64(quantity))
	w.int(int64(deadline))
	return w.buf
}

// AppendRichHold is AppendPlaceHold for a grab with a ticket, or whose shopper
// would rather wait. Only for groups that run by rules of version 2.
func AppendRichHold[S string | []byte](dst []byte, listing ListingHandle, shopper S, key *Key, quantity uint32, deadline Time, waitlist bool, ticket uint64) []byte {
	from := len(dst)
	w := writer{AppendPlaceHold(dst, listing, shopper, key, quantity, deadline)}
	w.buf[from] = byte(cmdPlaceRichHold)
	w.bool(waitlist)
	w.uint(ticket)
	return w.buf
}

// AppendTracedHold is AppendRichHold with a transaction. Only for groups that run
// by rules of version 3.
func AppendTracedHold[S string | []byte](dst []byte, listing ListingHandle, shopper S, key *Key, quantity uint32, deadline Time, waitlist bool, ticket uint64, transaction *Transaction) []byte {
	from := len(dst)
	dst = AppendRichHold(dst, listing, shopper, key, quantity, deadline, waitlist, ticket)
	dst[from] = byte(cmdPlaceTracedHold)
	return append(dst, transaction[:]...)
}

// Rules is the version of the rules from which on the group knows c.
func (c *Command) Rules() uint32 {
	switch {
	case c.Kind >= cmdPlaceTracedHold && c.Kind != cmdBreakListing, c.Kind == CmdPlaceHold && c.Transaction != Transaction{},
		c.Kind == CmdPayOrder && c.PaidAt != 0:
		return 3
	case c.Kind == CmdPlaceHold && (c.Waitlist || c.Ticket != 0), c.Kind == CmdApplyPlan && c.Plan.rich(),
		c.Kind > CmdRaiseRules && c.Kind != cmdBreakListing:
		return 2
	}
	return 1
}

// AppendCommand appends c to dst.
func AppendCommand(dst []byte, c *Command) []byte {
	rules := c.Rules()
	rich := rules > 1
	if c.Kind == CmdPlaceHold && rules > 2 {
		return AppendTracedHold(dst, c.Listing, c.Shopper, &c.Key, c.Quantity, c.Deadline, c.Waitlist, c.Ticket, &c.Transaction)
	}
	if c.Kind == CmdPlaceHold && !rich {
		return AppendPlaceHold(dst, c.Listing, c.Shopper, &c.Key, c.Quantity, c.Deadline)
	}
	if c.Kind == CmdPlaceHold {
		return AppendRichHold(dst, c.Listing, c.Shopper, &c.Key, c.Quantity, c.Deadline, c.Waitlist, c.Ticket)
	}
	w := writer{append(dst, byte(c.Kind))}
	switch c.Kind {
	case CmdOpenEpoch:
		w.string(c.Node)
		w.uint(c.Nonce)
		w.fixed(c.Secret[:])
	case CmdCancelHold:
		w.ref(c.Order)
		w.string(string(c.Shopper))
	case CmdPayOrder:
		w.ref(c.Order)
		w.int(c.Amount)
		w.string(c.Currency)
		w.string(c.PaymentID)
		if rich {
			w.buf[len(dst)] = byte(cmdPayTimedOrder)
			w.int(int64(c.PaidAt))
		}
	case CmdConfirmRefund:
		w.uint(uint64(c.Refund))
		w.string(c.Note)
	case CmdCloseHold:
		w.ref(c.Order)
	case CmdSettleSession:
		w.uint(uint64(c.Session))
		w.string(c.Operator)
		w.string(c.Note)
	case CmdVoidOrder:
		w.ref(c.Order)
		w.string(c.Operator)
		w.string(c.Note)
	case CmdExtendHold:
		w.ref(c.Order)
		w.int(int64(c.Deadline))
		w.string(c.Operator)
		w.string(c.Note)
	case CmdSetReceiver:
		w.ref(c.Order)
		w.string(string(c.Shopper))
		w.receiver(c.Receiver)
	case CmdApplyPlan:
		w.string(c.Operator)
		if rich {
			w.buf[len(dst)] = byte(cmdApplyRichPlan)
			w.fixed(c.Entropy[:])
		}
		w.plan(c.Plan, rich)
	case CmdSteerSession:
		w.uint(uint64(c.Session))
		w.byte(byte(c.Action))
		w.string(c.Operator)
		w.string(c.Note)
	case CmdAddStock:
		w.uint(uint64(c.Listing))
		w.int(c.Amount)
		w.string(c.Operator)
		w.string(c.Note)
	case CmdRaiseRules:
		w.uint(uint64(c.RulesVersion))
	case CmdLeaveLine:
		w.ref(c.Order)
		w.string(string(c.Shopper))
	case CmdReserve:
		w.uint(uint64(c.Listing))
		w.string(string(c.Shopper))
		w.bool(c.Withdraw)
	case CmdEditRoster:
		w.rosterEdit(&c.Edit)
		w.string(c.Operator)
		w.string(c.Note)
	case CmdSetSwitches, CmdSetProfile:
		w.switchChange(&c.Switches)
		w.string(c.Operator)
		w.string(c.Note)
	case cmdBreakListing:
		w.uint(uint64(c.Listing))
	}
	return w.buf
}

func (w *writer) receiver(v Receiver) {
	w.string(v.Name)
	w.string(v.Phone)
	w.string(v.Address)
}

func (r *reader) receiver() Receiver {
	return Receiver{Name: r.string(MaxTextBytes), Phone: r.string(MaxTextBytes), Address: r.string(MaxTextBytes)}
}

// command decodes the next command into c, whose old contents are lost.
func (r *reader) command(c *Command) {
	kind := CommandKind(r.byte())
	if kind == CmdPlaceHold || kind == cmdPlaceRichHold || kind == cmdPlaceTracedHold { // the hot one: nothing but its own fields is touched
		c.Kind = CmdPlaceHold
		c.Listing = ListingHandle(r.uint32())
		c.Shopper = r.span(MaxShopperBytes)
		c.Key = r.key()
		c.Quantity = r.uint32()
		c.Deadline = Time(r.int())
		c.Waitlist, c.Ticket, c.Transaction = false, 0, Transaction{}
		if kind != CmdPlaceHold {
			c.Waitlist, c.Ticket = r.bool(), r.uint()
		}
		if kind == cmdPlaceTracedHold {
			c.Transaction = Transaction(r.key())
		}
		return
	}
	*c = Command{Kind: kind}
	switch kind {
	case CmdOpenEpoch:
		c.Node = r.string(MaxIDBytes)
		c.Nonce = r.uint()
		copy(c.Secret[:], r.bytes(len(c.Secret)))
	case CmdCancelHold:
		c.Order = r.ref()
		c.Shopper = r.span(MaxShopperBytes)
	case CmdPayOrder, cmdPayTimedOrder:
		c.Kind = CmdPayOrder
		c.Order = r.ref()
		c.Amount = r.int()
		c.Currency = r.string(MaxIDBytes)
		c.PaymentID = r.string(MaxKeyBytes)
		if kind == cmdPayTimedOrder {
			c.PaidAt = Time(r.int())
		}
	case CmdConfirmRefund:
		c.Refund = RefundNo(r.uint32())
		c.Note = r.string(MaxTextBytes)
	case CmdCloseHold:
		c.Order = r.ref()
	case CmdSettleSession:
		c.Session = SessionHandle(r.uint32())
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdVoidOrder:
		c.Order = r.ref()
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdExtendHold:
		c.Order = r.ref()
		c.Deadline = Time(r.int())
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdSetReceiver:
		c.Order = r.ref()
		c.Shopper = r.span(MaxShopperBytes)
		c.Receiver = r.receiver()
	case CmdApplyPlan:
		c.Operator = r.string(MaxShopperBytes)
		c.Plan = r.plan(false)
	case cmdApplyRichPlan:
		c.Kind = CmdApplyPlan
		c.Operator = r.string(MaxShopperBytes)
		copy(c.Entropy[:], r.bytes(len(c.Entropy)))
		c.Plan = r.plan(true)
	case CmdSteerSession:
		c.Session = SessionHandle(r.uint32())
		c.Action = SessionAction(r.byte())
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdAddStock:
		c.Listing = ListingHandle(r.uint32())
		c.Amount = r.int()
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdRaiseRules:
		c.RulesVersion = r.uint32()
	case CmdLeaveLine:
		c.Order = r.ref()
		c.Shopper = r.span(MaxShopperBytes)
	case CmdReserve:
		c.Listing = ListingHandle(r.uint32())
		c.Shopper = r.span(MaxShopperBytes)
		c.Withdraw = r.bool()
	case CmdEditRoster:
		c.Edit = r.rosterEdit()
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case CmdSetSwitches, CmdSetProfile:
		c.Switches = r.switchChange()
		c.Operator = r.string(MaxShopperBytes)
		c.Note = r.string(MaxTextBytes)
	case cmdBreakListing:
		c.Listing = ListingHandle(r.uint32())
	default:
		r.fail(fmt.Sprintf("unknown command kind %d", kind))
	}
}

// DecodeBatch decodes an entry for reading by people and tests. The commands'
// byte slices lie in entry.
func DecodeBatch(entry []byte) (BatchHeader, []Command, error) {
	r := reader{buf: entry}
	h := r.batchHeader()
	var commands []Command
	for i := 0; i < h.Commands && r.err == nil; i++ {
		var c Command
		r.command(&c)
		commands = append(commands, c)
	}
	if err := r.done(); err != nil {
		return BatchHeader{}, nil, err
	}
	return h, commands, nil
}

// EncodeBatch is the inverse of DecodeBatch. h.Commands is taken from commands.
func EncodeBatch(h BatchHeader, commands ...Command) []byte {
	h.Commands = len(commands)
	entry := AppendBatchHeader(nil, h)
	for i := range commands {
		entry = AppendCommand(entry, &commands[i])
	}
	return entry
}

func (w *writer) plan(p *Plan, rich bool) {
	w.uint(uint64(len(p.Products)))
	for i := range p.Products {
		w.product(&p.Products[i])
	}
	w.uint(uint64(len(p.Sales)))
	for i := range p.Sales {
		s := &p.Sales[i]
		w.sale(&s.Sale, rich)
		w.uint(uint64(len(s.Sessions)))
		for j := range s.Sessions {
			w.sessionSpec(&s.Sessions[j].SessionSpec, rich)
			w.uint(uint64(len(s.Sessions[j].Listings)))
			for _, l := range s.Sessions[j].Listings {
				w.listingSpec(&l, rich)
			}
		}
	}
}

func (r *reader) plan(rich bool) *Plan {
	p := &Plan{}
	for range r.count() {
		p.Products = append(p.Products, r.product())
		if r.err != nil {
			return p
		}
	}
	for range r.count() {
		sale := SalePlan{Sale: r.sale(rich)}
		for range r.count() {
			session := SessionPlan{SessionSpec: r.sessionSpec(rich)}
			for range r.count() {
				session.Listings = append(session.Listings, r.listingSpec(rich))
				if r.err != nil {
					return p
				}
			}
			sale.Sessions = append(sale.Sessions, session)
			if r.err != nil {
				return p
			}
		}
		p.Sales = append(p.Sales, sale)
		if r.err != nil {
			return p
		}
	}
	return p
}

func (w *writer) product(p *Product) {
	w.string(p.ID)
	w.text(p.Name)
	w.string(p.Image)
	w.string(p.Supplier)
	w.int(p.ListPrice)
	w.string(p.Currency)
	w.bool(p.Place != nil)
	if p.Place != nil {
		w.float(p.Place.Latitude)
		w.float(p.Place.Longitude)
	}
}

func (r *reader) product() Product {
	p := Product{ID: r.string(MaxIDBytes), Name: r.text(), Image: r.string(MaxURLBytes), Supplier: r.string(MaxTextBytes),
		ListPrice: r.int(), Currency: r.string(MaxIDBytes)}
	if r.bool() {
		p.Place = &Place{Latitude: r.float(), Longitude: r.float()}
	}
	return p
}

// What rules of version 2 have added to a plan, and to the snapshot's rows that
// hold it, is written behind the rest where rich is asked for.

func (w *writer) sale(s *Sale, rich bool) {
	w.string(s.ID)
	w.text(s.Name)
	w.string(s.Timezone)
	if !rich {
		return
	}
	w.uint(uint64(len(s.Months)))
	for _, at := range s.Months {
		w.int(int64(at))
	}
	w.uint(uint64(len(s.Messages)))
	for _, m := range s.Messages {
		w.string(m.Name)
		w.text(m.Text)
	}
}

func (r *reader) sale(rich bool) Sale {
	s := Sale{ID: r.string(MaxIDBytes), Name: r.text(), Timezone: r.string(MaxIDBytes)}
	if !rich {
		return s
	}
	for range r.count() {
		s.Months = append(s.Months, Time(r.int()))
		if len(s.Months) > MaxMonths {
			r.fail("too many months")
			return s
		}
	}
	for range r.count() {
		s.Messages = append(s.Messages, Message{Name: r.string(MaxIDBytes), Text: r.text()})
		if r.err != nil {
			return s
		}
	}
	return s
}

func (w *writer) sessionSpec(s *SessionSpec, rich bool) {
	w.string(s.ID)
	w.string(s.StartSpec)
	w.int(int64(s.Start))
	w.int(int64(s.End))
	w.duration(s.PayWithin)
	w.duration(s.PayGrace)
	w.uint(uint64(s.LimitPerShopper))
	w.uint(uint64(s.AdmissionMultiple))
	w.bool(s.Publish)
	if rich {
		w.string(s.Profile)
	}
}

func (r *reader) sessionSpec(rich bool) SessionSpec {
	s := SessionSpec{ID: r.string(MaxIDBytes), StartSpec: r.string(MaxIDBytes), Start: Time(r.int()), End: Time(r.int()),
		PayWithin: r.duration(), PayGrace: r.duration(), LimitPerShopper: r.uint32(), AdmissionMultiple: r.uint32(), Publish: r.bool()}
	if rich {
		s.Profile = r.string(MaxIDBytes)
	}
	return s
}

func (w *writer) listingSpec(l *ListingSpec, rich bool) {
	w.string(l.SKU)
	w.int(l.Price)
	w.int(l.Stock)
	w.int(l.Shown)
	w.uint(uint64(l.LimitPerShopper))
	w.int(int64(l.SortOrder))
	if !rich {
		return
	}
	w.uint(uint64(l.LimitPerMonth))
	w.bool(l.Reservation)
	w.string(l.AllowList)
	w.bool(l.Waitlist)
	w.bool(l.Ticket)
	w.byte(byte(l.Challenge))
	w.duration(l.Draw)
}

func (r *reader) listingSpec(rich bool) ListingSpec {
	l := ListingSpec{SKU: r.string(MaxIDBytes), Price: r.int(), Stock: r.int(), Shown: r.int(), LimitPerShopper: r.uint32()}
	order := r.int()
	if order != int64(int32(order)) {
		r.fail("a sort order is over 32 bits")
	}
	l.SortOrder = int32(order)
	if !rich {
		return l
	}
	l.LimitPerMonth, l.Reservation, l.AllowList = r.uint32(), r.bool(), r.string(MaxIDBytes)
	l.Waitlist, l.Ticket, l.Challenge, l.Draw = r.bool(), r.bool(), Challenge(r.byte()), r.duration()
	if int(l.Challenge) >= len(challenges) {
		r.fail("an unknown challenge")
	}
	return l
}

// Bounds of durations in a plan.
const (
	MaxSessionLength = 31 * 24 * time.Hour
	MaxPayWithin     = 7 * 24 * time.Hour
	MaxPayGrace      = 24 * time.Hour
	MaxDraw          = time.Hour
)
