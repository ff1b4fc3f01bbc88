package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMoneyAgainstModel plays the same as TestStateAgainstModel, where most orders
// come about and much is heard of money.
func TestMoneyAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sim := newModelled(t)
		sim.brisk = true
		sim.run()
	})
}

// shop has some shoppers grab what they can get, of a session that is planned for
// it where none is open.
func (s *simulation) shop() {
	s.jump()
	var open []ListingHandle
	for _, x := range s.group.state.Sessions() {
		if x.State == Open && !x.Paused && x.End > s.group.clock {
			open = append(open, x.Listings...)
		}
	}
	if len(open) == 0 {
		s.play(Command{Kind: CmdApplyPlan, Plan: s.briskPlan()})
		if len(s.group.state.Sessions()) == 0 { // with a play that it can't have
			return
		}
		open = s.group.state.Sessions()[len(s.group.state.Sessions())-1].Listings
	}
	var commands []Command
	for i := range rapid.IntRange(2, 6).Draw(s.t, "grabs") {
		c := s.grab()
		c.Shopper = []byte(rapid.SampledFrom([]string{"ann", "bob", "cai", "dov", "eve", "fay", "gus", "hal"}).Draw(s.t,
			"of more"))
		c.Listing = open[rapid.IntRange(0, len(open)-1).Draw(s.t, "open listing")]
		c.Key = s.group.state.KeyOf(fmt.Appendf(nil, "n%d.%d", len(s.group.entries), i))
		c.Deadline, c.Ticket, c.Quantity = Never, 0, uint32(rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(s.t, "units"))
		commands = append(commands, c)
	}
	s.play(commands...)
}

// briskPlan draws a session that is open at once.
func (s *simulation) briskPlan() *Plan {
	now, id := s.group.clock, fmt.Sprint("brisk-", len(s.group.state.Sessions()))
	x := SessionPlan{SessionSpec: SessionSpec{ID: id, StartSpec: "now", Start: now, Publish: true,
		End:             now.Add(time.Duration(rapid.IntRange(3, 15).Draw(s.t, "length")) * modelTick),
		PayWithin:       time.Duration(rapid.IntRange(1, 3).Draw(s.t, "pay_within")) * modelTick,
		PayGrace:        time.Duration(rapid.IntRange(0, 3).Draw(s.t, "pay_grace")) * modelTick,
		LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 0, 0, 3}).Draw(s.t, "session limit"))}}
	p := &Plan{}
	for i := range rapid.IntRange(1, 2).Draw(s.t, "listings") {
		l := ListingSpec{SKU: fmt.Sprint("sku-", i), Price: int64(100 * (i + 1)),
			Stock:           int64(rapid.IntRange(2, 5).Draw(s.t, "stock")),
			LimitPerShopper: uint32(rapid.SampledFrom([]int{0, 0, 2}).Draw(s.t, "limit"))}
		l.Waitlist = rapid.IntRange(0, 2).Draw(s.t, "has a line") == 0
		l.LimitPerMonth = uint32(rapid.SampledFrom([]int{0, 0, 0, 4}).Draw(s.t, "month limit"))
		if s.playful {
			s.enrichPlay(p, id, &l)
		}
		p.Products = append(p.Products, Product{ID: l.SKU, Currency: "CNY"})
		x.Listings = append(x.Listings, l)
	}
	s.enrichDelivery(&x)
	p.Sales = []SalePlan{{Sale: Sale{ID: "sale"}, Sessions: []SessionPlan{x}}}
	p.Sales[0].Months = s.months(rapid.IntRange(-2, 0).Draw(s.t, "months from"))
	return p
}

// someOrder gives one of the last orders of a session that has had any, also of one
// that has been settled.
func (s *simulation) someOrder() OrderRef {
	var had []*Session
	for _, x := range s.group.state.Sessions() {
		if x.Orders() > 0 {
			had = append(had, x)
		}
	}
	if len(had) == 0 {
		return OrderRef{}
	}
	x := had[len(had)-1-rapid.IntRange(0, len(had)-1).Draw(s.t, "sessions ago")]
	return OrderRef{x.Handle, uint32(x.Orders() - rapid.IntRange(0, min(x.Orders()-1, 9)).Draw(s.t, "orders ago"))}
}

// cashier plays what is heard of money: payments that come in time, late, twice and
// for the wrong order, holds closed, refunds made, orders taken back, and sessions
// settled behind the cashier's back.
func (s *simulation) cashier() {
	s.jump()
	if o := s.group.state.Order(s.order()); o != nil && rapid.Bool().Draw(s.t, "at pay_by") {
		s.group.clock = max(s.group.clock, o.PayBy+Time(rapid.IntRange(-1, 1).Draw(s.t, "beside pay_by")))
	}
	var commands []Command
	for range rapid.IntRange(1, 5).Draw(s.t, "words") {
		switch n := rapid.IntRange(0, 11).Draw(s.t, "word"); {
		case n < 6:
			commands = append(commands, s.payment())
		case n < 8:
			commands = append(commands, Command{Kind: CmdCloseHold, Order: s.order()})
		case n < 9:
			commands = append(commands, Command{Kind: CmdVoidOrder, Order: s.order(), Operator: "op", Note: "why"})
		case n < 11:
			commands = append(commands, s.confirmation())
		default:
			commands = append(commands, s.settling())
		}
	}
	if rapid.IntRange(0, 3).Draw(s.t, "said twice") == 0 {
		commands = append(commands, commands...)
	}
	s.play(commands...)
}

// payment pays for an order: mostly as it should be, often as it came before, now
// and then with another's id or another amount.
func (s *simulation) payment() Command {
	if len(s.paid) > 0 && rapid.IntRange(0, 3).Draw(s.t, "again") == 0 {
		c := s.paid[rapid.IntRange(max(0, len(s.paid)-12), len(s.paid)-1).Draw(s.t, "which")]
		switch rapid.IntRange(0, 9).Draw(s.t, "changed") {
		case 0, 1:
			c.Order = s.order()
		case 2:
			c.Amount++
		case 3:
			c.Coupon = min(c.Coupon+1, max(0, c.Amount-1))
		}
		return c
	}
	c := Command{Kind: CmdPayOrder, Order: s.order(), Amount: 100, Currency: "CNY",
		PaymentID: fmt.Sprint("f", len(s.paid)), PayType: rapid.SampledFrom([]string{"", "wechat"}).Draw(s.t, "how")}
	if rapid.IntRange(0, 2).Draw(s.t, "shared id") == 0 {
		c.PaymentID = rapid.SampledFrom([]string{"p1", "p2", "p3", ""}).Draw(s.t, "payment")
	}
	at := s.group.clock
	if o := s.group.state.Order(c.Order); o != nil {
		c.Amount, at = o.Amount, o.PayBy
	}
	switch rapid.IntRange(0, 11).Draw(s.t, "wrong") {
	case 0:
		c.Amount += int64(rapid.SampledFrom([]int{1, -1, -200}).Draw(s.t, "by"))
	case 1:
		c.Currency = "EUR"
	}
	if coupon := int64(rapid.SampledFrom([]int{0, 0, 0, 10, 20, 21, 99}).Draw(s.t, "coupon")); coupon < c.Amount {
		c.Coupon = coupon
	}
	c.PaidAt = rapid.SampledFrom([]Time{0, at - 1, at, at + 1, at.Add(-modelTick), s.group.clock, 1, -1, maxTime,
		maxTime + 1}).Draw(s.t, "paid at")
	s.paid = append(s.paid, c)
	return c
}

// confirmation says that a refund was made: mostly one that is due.
func (s *simulation) confirmation() Command {
	no := RefundNo(rapid.IntRange(0, s.group.state.Money().Refunds()+1).Draw(s.t, "refund"))
	if due := s.group.state.Money().ViewRefunds(0, 4); len(due) > 0 && rapid.IntRange(0, 3).Draw(s.t, "due") > 0 {
		no = due[rapid.IntRange(0, len(due)-1).Draw(s.t, "which due")].No
	}
	return Command{Kind: CmdConfirmRefund, Refund: no, Note: rapid.SampledFrom([]string{"ref", "", "other"}).Draw(s.t,
		"reference")}
}

// settling asks for a session to be settled, or to leave the state: mostly for one that is over.
func (s *simulation) settling() Command {
	sessions := s.group.state.Sessions()
	h := SessionHandle(rapid.IntRange(0, len(sessions)+1).Draw(s.t, "settled"))
	if rapid.IntRange(0, 3).Draw(s.t, "over") > 0 {
		if at := slices.IndexFunc(sessions, func(x *Session) bool { return x.State == Ended }); at >= 0 {
			h = sessions[at].Handle
		}
	}
	if rapid.IntRange(0, 2).Draw(s.t, "clear") == 0 {
		if at := slices.IndexFunc(sessions, func(x *Session) bool { return x.State == Settled && !x.Left() }); at >= 0 {
			h = sessions[at].Handle
		}
		return Command{Kind: CmdClearSession, Session: h}
	}
	return Command{Kind: CmdSettleSession, Session: h, Operator: "op", Note: "why"}
}

// restart goes on with a state that was read from a snapshot.
func (s *simulation) restart() {
	before := s.group.state.Hash()
	s.group.state = s.limited(copied(s.t, s.group.state))
	if s.group.state.Hash() != before {
		s.t.Fatal("a snapshot's reading has another hash")
	}
	checkInside(s.t, s.group.state)
	s.accounts.check(s.t, s.group.state)
	if s.model != nil {
		if why := s.model.differs(s.group.state); why != "" {
			s.t.Fatal("after a restart: ", why)
		}
	}
}

// settleAll pays back what is due and has every session that is over leave: then
// nothing of their orders may be left.
func (s *simulation) settleAll() {
	g := s.group
	var commands []Command
	for _, r := range g.state.Money().ViewRefunds(0, g.state.Money().Refunds()) {
		commands = append(commands, Command{Kind: CmdConfirmRefund, Refund: r.No, Note: "at last"})
	}
	for _, x := range g.state.Sessions() {
		commands = append(commands, Command{Kind: CmdSettleSession, Session: x.Handle},
			Command{Kind: CmdClearSession, Session: x.Handle})
	}
	s.play(commands...)
	for _, x := range g.state.Sessions() {
		if x.State != Settled && x.State != Draft && x.State != Deleted {
			s.t.Fatalf("session %q is %v and can't be settled", x.ID, x.State)
		}
	}
	for i := range g.state.shoppers.rows.len() {
		no := ShopperNo(i + 1)
		if g.state.ShopperID(no) != "" && !g.state.hasBought(no) {
			s.t.Fatalf("shopper %d is known for nothing", no)
		}
	}
	ids := map[string]bool{}
	for i := range g.state.Money().Refunds() {
		ids[g.state.Money().Refund(RefundNo(i+1)).PaymentID] = true
	}
	if known := g.state.payments.len(); known != len(ids) {
		s.t.Fatalf("%d payments are known, there are refunds of %d", known, len(ids))
	}
}
