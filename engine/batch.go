package engine

import "fmt"

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
		c.Kind == CmdPayOrder && (c.PaidAt != 0 || c.OrderNo != "" || c.Transaction != Transaction{}):
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
	if c.Intent != (Intent{}) {
		dst = append(append(append(dst, byte(cmdIntended)), c.Intent.Key[:]...), c.Intent.Request[:]...)
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
			w.string(c.OrderNo)
			w.fixed(c.Transaction[:])
		}
	case CmdConfirmRefund:
		w.uint(uint64(c.Refund))
		w.string(c.Note)
	case CmdCloseHold:
		w.ref(c.Order)
	case CmdSettleSession, CmdClearSession:
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
	if kind == cmdIntended {
		intent := Intent{r.key(), r.key()}
		kind = CommandKind(r.byte())
		if intent == (Intent{}) || kind == cmdIntended || kind == CmdOpenEpoch { // grabs are unknown below
			r.fail("no intent, or none of an operator")
			return
		}
		c.Kind, c.Intent = kind, intent
	}
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
			c.OrderNo = r.string(OrderNoBytes)
			c.Transaction = Transaction(r.key())
		}
	case CmdConfirmRefund:
		c.Refund = RefundNo(r.uint32())
		c.Note = r.string(MaxTextBytes)
	case CmdCloseHold:
		c.Order = r.ref()
	case CmdSettleSession, CmdClearSession:
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

// BatchOrigin gives the epoch that a batch belongs to or, of one that opens an epoch,
// 0 and the node that does. Errors as of DecodeBatch; it looks no further than that.
func BatchOrigin(entry []byte) (epoch Epoch, opener string, err error) {
	r := reader{buf: entry}
	if h := r.batchHeader(); h.Epoch != 0 || h.Commands != 1 || r.err != nil {
		return h.Epoch, "", r.err
	}
	var c Command
	r.command(&c)
	if c.Kind == CmdOpenEpoch && r.err == nil {
		opener = c.Node
	}
	return 0, opener, r.err
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
