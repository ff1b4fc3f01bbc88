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

// MaxHeaderBytes is the most that a batch's header takes.
const MaxHeaderBytes = 1 + 4*10

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

// AppendCommand appends c to dst. Of a grab's command it allocates only to grow dst.
func AppendCommand(dst []byte, c *Command) []byte {
	if c.Intent != (Intent{}) {
		dst = append(append(append(dst, byte(cmdIntended)), c.Intent.Key[:]...), c.Intent.Request[:]...)
	}
	w := writer{append(dst, byte(c.Kind))}
	switch c.Kind {
	case CmdPlaceHold:
		w.uint(uint64(c.Listing))
		w.span(c.Shopper)
		w.fixed(c.Key[:])
		w.uint(uint64(c.Quantity))
		w.int(int64(c.Deadline))
		w.bool(c.Waitlist)
		w.uint(c.Ticket)
		w.fixed(c.Transaction[:])
	case CmdOpenEpoch:
		w.string(c.Node)
		w.uint(c.Nonce)
		w.fixed(c.Secret[:])
	case CmdCancelHold, CmdLeaveLine:
		w.ref(c.Order)
		w.span(c.Shopper)
	case CmdPayOrder:
		w.ref(c.Order)
		w.int(c.Amount)
		w.string(c.Currency)
		w.string(c.PaymentID)
		w.int(int64(c.PaidAt))
		w.string(c.OrderNo)
		w.fixed(c.Transaction[:])
	case CmdConfirmRefund:
		w.uint(uint64(c.Refund))
		w.string(c.Note)
	case CmdCloseHold:
		w.ref(c.Order)
	case CmdSettleSession, CmdClearSession:
		w.uint(uint64(c.Session))
		w.by(c)
	case CmdVoidOrder:
		w.ref(c.Order)
		w.by(c)
	case CmdExtendHold:
		w.ref(c.Order)
		w.int(int64(c.Deadline))
		w.by(c)
	case CmdSetReceiver:
		w.ref(c.Order)
		w.span(c.Shopper)
		w.receiver(c.Receiver)
	case CmdApplyPlan:
		w.string(c.Operator)
		w.fixed(c.Entropy[:])
		w.plan(c.Plan)
	case CmdSteerSession:
		w.uint(uint64(c.Session))
		w.byte(byte(c.Action))
		w.by(c)
	case CmdAddStock:
		w.uint(uint64(c.Listing))
		w.int(c.Amount)
		w.by(c)
	case CmdRaiseRules:
		w.uint(uint64(c.RulesVersion))
	case CmdReserve:
		w.uint(uint64(c.Listing))
		w.span(c.Shopper)
		w.bool(c.Withdraw)
	case CmdEditRoster:
		w.rosterEdit(&c.Edit)
		w.by(c)
	case CmdSetSwitches, CmdSetProfile:
		w.switchChange(&c.Switches)
		w.by(c)
	case cmdBreakListing:
		w.uint(uint64(c.Listing))
	}
	return w.buf
}

// by writes which operator asked, and why.
func (w *writer) by(c *Command) {
	w.string(c.Operator)
	w.string(c.Note)
}

func (r *reader) by(c *Command) {
	c.Operator, c.Note = r.string(MaxShopperBytes), r.string(MaxTextBytes)
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
	if kind == CmdPlaceHold { // the hot one: nothing but its own fields is touched
		c.Kind = CmdPlaceHold
		c.Listing = ListingHandle(r.uint32())
		c.Shopper = r.span(MaxShopperBytes)
		c.Key = r.key()
		c.Quantity = r.uint32()
		c.Deadline = Time(r.int())
		c.Waitlist, c.Ticket = r.bool(), r.uint()
		c.Transaction = Transaction(r.key())
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
	case CmdCancelHold, CmdLeaveLine:
		c.Order = r.ref()
		c.Shopper = r.span(MaxShopperBytes)
	case CmdPayOrder:
		c.Order = r.ref()
		c.Amount = r.int()
		c.Currency = r.string(MaxIDBytes)
		c.PaymentID = r.string(MaxKeyBytes)
		c.PaidAt = Time(r.int())
		c.OrderNo = r.string(OrderNoBytes)
		c.Transaction = Transaction(r.key())
	case CmdConfirmRefund:
		c.Refund = RefundNo(r.uint32())
		c.Note = r.string(MaxTextBytes)
	case CmdCloseHold:
		c.Order = r.ref()
	case CmdSettleSession, CmdClearSession:
		c.Session = SessionHandle(r.uint32())
		r.by(c)
	case CmdVoidOrder:
		c.Order = r.ref()
		r.by(c)
	case CmdExtendHold:
		c.Order = r.ref()
		c.Deadline = Time(r.int())
		r.by(c)
	case CmdSetReceiver:
		c.Order = r.ref()
		c.Shopper = r.span(MaxShopperBytes)
		c.Receiver = r.receiver()
	case CmdApplyPlan:
		c.Operator = r.string(MaxShopperBytes)
		copy(c.Entropy[:], r.bytes(len(c.Entropy)))
		c.Plan = r.plan()
	case CmdSteerSession:
		c.Session = SessionHandle(r.uint32())
		c.Action = SessionAction(r.byte())
		r.by(c)
	case CmdAddStock:
		c.Listing = ListingHandle(r.uint32())
		c.Amount = r.int()
		r.by(c)
	case CmdRaiseRules:
		c.RulesVersion = r.uint32()
	case CmdReserve:
		c.Listing = ListingHandle(r.uint32())
		c.Shopper = r.span(MaxShopperBytes)
		c.Withdraw = r.bool()
	case CmdEditRoster:
		c.Edit = r.rosterEdit()
		r.by(c)
	case CmdSetSwitches, CmdSetProfile:
		c.Switches = r.switchChange()
		r.by(c)
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
