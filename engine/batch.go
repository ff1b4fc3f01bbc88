package engine

import (
	"encoding/binary"
	"fmt"
)

// A batch, version 1:
//
//	byte    version
//	uvarint epoch      (0 with an OpenEpoch command, which makes one)
//	uvarint sequence   of the batch in its epoch, from 1; OpenEpoch has 0
//	varint  time       state time in ms, stamped by the leader
//	uvarint commands
//	        commands, each a byte of kind, over 127 before an operator's intent, and its fields
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
	c := coder{buf: dst}
	h.fields(&c)
	return c.buf
}

func (h *BatchHeader) fields(c *coder) {
	version := byte(batchVersion)
	if octet(c, &version); c.err == nil && version != batchVersion {
		c.err = fmt.Errorf("batch format %d, this build reads %d: %w", version, batchVersion, ErrNewerFormat)
	}
	unsigned(c, &h.Epoch)
	unsigned(c, &h.Sequence)
	signed(c, &h.Time)
	c.check(h.Time <= maxTime, "a time beyond all use")
	unsigned(c, &h.Commands)
	if c.reads && h.Commands > min(maxBatchCommands, c.left()) {
		c.fail("too many commands")
		h.Commands = 0
	}
}

// AppendCommand appends x to dst. Of a grab's command it allocates only to grow dst.
func AppendCommand(dst []byte, x *Command) []byte {
	if x.Kind == CmdPlaceHold {
		return appendPlaceHold(dst, x)
	}
	c, other := coder{buf: dst}, *x // apart from the grab's: these go to the heap
	other.fields(&c)
	return c.buf
}

// appendPlaceHold is the inverse of placeHold. Both are written straight: it is one
// of each for a grab.
func appendPlaceHold(b []byte, x *Command) []byte {
	b = binary.AppendUvarint(append(b, byte(CmdPlaceHold)), uint64(x.Listing))
	b = binary.AppendUvarint(b, uint64(len(x.Shopper)))
	b = append(append(b, x.Shopper...), x.Key[:]...)
	b = binary.AppendUvarint(b, uint64(x.Quantity))
	b = binary.AppendVarint(b, int64(x.Deadline))
	b = append(b, byte(btoi(x.Waitlist)))
	b = binary.AppendUvarint(b, x.Ticket)
	return append(b, x.Transaction[:]...)
}

// placeHold reads the fields of the hot command: nothing else of x is touched.
func (c *coder) placeHold(x *Command) {
	unsigned(c, &x.Listing)
	c.span(&x.Shopper, MaxShopperBytes)
	c.fixed(x.Key[:])
	unsigned(c, &x.Quantity)
	signed(c, &x.Deadline)
	c.bool(&x.Waitlist)
	unsigned(c, &x.Ticket)
	c.fixed(x.Transaction[:])
}

// command reads the next command into x, whose old contents are lost.
func (c *coder) command(x *Command) {
	if c.err == nil && c.left() > 0 && c.buf[c.pos] == byte(CmdPlaceHold) {
		c.pos++
		x.Kind = CmdPlaceHold
		c.placeHold(x)
		return
	}
	*x = Command{}
	x.fields(c)
}

// fields are those of all kinds but a grab.
func (x *Command) fields(c *coder) {
	kind := x.Kind
	if x.Intent != (Intent{}) {
		kind |= cmdIntended
	}
	octet(c, &kind)
	if x.Kind = kind &^ cmdIntended; kind != x.Kind {
		c.all(&x.Intent)
		c.check(x.Intent != (Intent{}) && x.Kind != CmdOpenEpoch, "no intent, or none of an operator") // grabs are unknown below
	}
	by := []any{&x.Operator, &x.Note} // who of the operators asked, and why
	switch x.Kind {
	case CmdOpenEpoch:
		c.all(&x.Node, &x.Nonce, &x.Secret)
	case CmdCancelHold, CmdLeaveLine:
		c.all(&x.Order, &x.Shopper)
	case CmdPayOrder:
		c.all(&x.Order, &x.Amount, &x.Currency, &x.PaymentID, &x.PaidAt, &x.OrderNo, &x.Transaction)
	case CmdConfirmRefund:
		c.all(&x.Refund, &x.Note)
	case CmdCloseHold:
		c.all(&x.Order)
	case CmdSettleSession, CmdClearSession:
		c.all(append(by, &x.Session)...)
	case CmdVoidOrder:
		c.all(append(by, &x.Order)...)
	case CmdExtendHold:
		c.all(append(by, &x.Order, &x.Deadline)...)
	case CmdSetReceiver:
		c.all(&x.Order, &x.Shopper, &x.Receiver)
	case CmdApplyPlan:
		c.all(&x.Operator, &x.Entropy, &x.Plan)
		c.check(x.Plan != nil, "no plan")
	case CmdSteerSession:
		c.all(append(by, &x.Session, &x.Action)...)
	case CmdAddStock:
		c.all(append(by, &x.Listing, &x.Amount)...)
	case CmdRaiseRules:
		c.all(&x.RulesVersion)
	case CmdReserve:
		c.all(&x.Listing, &x.Shopper, &x.Withdraw)
	case CmdEditRoster:
		c.all(append(by, &x.Edit)...)
		c.check(len(x.Edit.Rows) <= MaxRosterEntries, "too many rows in one edit")
	case CmdSetSwitches, CmdSetProfile:
		c.all(append(by, &x.Switches)...)
	case cmdBreakListing:
		c.all(&x.Listing)
	default:
		c.fail(fmt.Sprintf("unknown command kind %d", kind))
	}
}

// DecodeBatch decodes an entry for reading by people and tests. The commands'
// byte slices lie in entry.
func DecodeBatch(entry []byte) (BatchHeader, []Command, error) {
	c := coder{buf: entry, reads: true}
	var h BatchHeader
	h.fields(&c)
	var commands []Command
	for i := 0; i < h.Commands && c.err == nil; i++ {
		commands = append(commands, Command{})
		c.command(&commands[i])
	}
	if err := c.done(); err != nil {
		return BatchHeader{}, nil, err
	}
	return h, commands, nil
}

// BatchOrigin gives the epoch that a batch belongs to or, of one that opens an epoch,
// 0 and the node that does. Errors as of DecodeBatch; it looks no further than that.
func BatchOrigin(entry []byte) (epoch Epoch, opener string, err error) {
	c := coder{buf: entry, reads: true}
	var h BatchHeader
	if h.fields(&c); h.Epoch != 0 || h.Commands != 1 || c.err != nil {
		return h.Epoch, "", c.err
	}
	var x Command
	if c.command(&x); x.Kind == CmdOpenEpoch && c.err == nil {
		opener = x.Node
	}
	return 0, opener, c.err
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
