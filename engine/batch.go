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
	return appendOther(dst, x)
}

// appendOther is apart, also from its caller's frame: what it needs goes to the heap,
// and a grab's goroutine would have to grow its stack for room that it does not use.
//
//go:noinline
func appendOther(dst []byte, x *Command) []byte {
	c, other := coder{buf: dst}, *x
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
	b = append(b, byte(btoi(x.Waitlist)|btoi(!x.Bargain.IsZero())<<1|btoi(x.Priced)<<2))
	b = binary.AppendUvarint(b, x.Ticket)
	b = append(b, x.Transaction[:]...)
	if !x.Bargain.IsZero() {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(x.Bargain.Session)), uint64(x.Bargain.Ordinal))
	}
	if x.Priced {
		b = binary.AppendVarint(b, x.Price)
	}
	return b
}

// placeHold reads the fields of the hot command: nothing else of x is touched.
func (c *coder) placeHold(x *Command) {
	unsigned(c, &x.Listing)
	c.span(&x.Shopper, MaxShopperBytes)
	c.check(len(x.Shopper) > 0, "nobody")
	c.fixed(x.Key[:])
	unsigned(c, &x.Quantity)
	signed(c, &x.Deadline)
	var has byte // 1 to be put on the waitlist, 2 a bargain, 4 a price
	oneOf(c, &has, 8, "more than a grab has")
	x.Waitlist, x.Priced, x.Bargain, x.Price = has&1 != 0, has&4 != 0, BargainRef{}, 0
	unsigned(c, &x.Ticket)
	c.fixed(x.Transaction[:])
	if has&2 != 0 {
		unsigned(c, &x.Bargain.Session)
		unsigned(c, &x.Bargain.Ordinal)
		c.check(!x.Bargain.IsZero(), "no bargain")
	}
	if x.Priced {
		signed(c, &x.Price)
	}
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
		// Grabs are unknown below.
		c.check(x.Intent != (Intent{}) && x.Kind != CmdOpenEpoch, "no intent, or none of an operator")
	}
	if int(x.Kind) >= len(commandSpecs) || commandSpecs[x.Kind].do == nil {
		c.fail(fmt.Sprintf("unknown command kind %d", kind))
		return
	}
	c.all(commandSpecs[x.Kind].carries(x)...)
	c.check(x.Kind != CmdApplyPlan || x.Plan != nil, "no plan")
	c.check(x.Kind != CmdEditProducts || x.Products != nil && len(x.Products.Rows) <= MaxImportProducts,
		"no edit of products, or too many rows in one")
	c.check(x.Kind != CmdStartBargain && x.Kind != CmdCutBargain ||
		len(x.Shopper) > 0 && len(x.Shopper) <= MaxShopperBytes, "nobody, or one with too long a name")
	c.check(len(x.Edit.Rows) <= MaxRosterEntries, "too many rows in one edit")
	c.check(max(len(x.Reviews), len(x.Orders), len(x.Parcels)) <= MaxParcels, "too many orders at once")
	c.check(x.Coupon == 0 || x.Coupon > 0 && x.Coupon < x.Amount, "a coupon that leaves nothing to pay")
	c.check(x.PayType == "" || ValidPayType(x.PayType), "a payment type that can't be")
}

// batch reads a header and the commands that follow, into the room for some.
func (c *coder) batch(commands []Command) (h BatchHeader, _ []Command) {
	h.fields(c)
	for i := 0; i < h.Commands && c.err == nil; i++ {
		if len(commands) == cap(commands) {
			commands = append(commands, Command{}) // what a malformed count says takes no room
		}
		commands = commands[:i+1]
		c.command(&commands[i])
	}
	return h, commands
}

// DecodeBatch decodes an entry for reading by people and tests. The commands'
// byte slices lie in entry.
func DecodeBatch(entry []byte) (BatchHeader, []Command, error) {
	c := coder{buf: entry, reads: true}
	h, commands := c.batch(nil)
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
