package engine

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// crafted encodes what change makes of a state, as somebody might who can
// compute checksums.
func crafted(t testing.TB, change func(s *State)) []byte {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) { x.LimitPerShopper = 0 }, ListingSpec{Stock: 10}, ListingSpec{Stock: 10})
	y := g.session("t", nil, ListingSpec{Stock: 10, SKU: "sku-1"})
	g.grab(x.Listings[0], "ann", "k1", 1)
	g.grab(x.Listings[0], "bob", "k1", 1)
	g.grab(x.Listings[1], "ann", "k2", 2)
	g.grab(y.Listings[0], "ann", "k3", 1)
	g.one(Command{Kind: CmdSetReceiver, Order: OrderRef{1, 1}, Shopper: []byte("ann"), Receiver: sealed("Ann"),
		PersonalKey: testKey})
	g.pay(OrderRef{1, 1}, "p1")
	change(g.state)
	return encoded(t, g.state.Snapshot())
}

func TestCraftedSnapshotsAreRefused(t *testing.T) {
	cases := []struct {
		name   string
		change func(s *State)
		says   string
	}{
		{"two orders follow each other", func(s *State) {
			s.mutOrder(OrderRef{1, 1}).previous = OrderRef{1, 3}
		}, "follow"},
		{"a cycle across sessions", func(s *State) { s.mutOrder(OrderRef{1, 1}).previous = OrderRef{2, 1} }, "follow"},
		{"an order that nothing leads to", func(s *State) { s.shoppers.rows.mut(0).kept = OrderRef{1, 3} }, "lead"},
		{"an order of another shopper before it", func(s *State) {
			s.mutOrder(OrderRef{1, 3}).previous = OrderRef{1, 2}
		}, "follow"},
		{"a session twice", func(s *State) { s.sessions[1].ID = "s" }, "twice"},
		{"a session of no sale", func(s *State) { s.sessions[1].Sale = "none" }, "sale"},
		{"a listing twice", func(s *State) { s.listings[1].SKU = "sku-1" }, "twice"},
		{"a session that lists a listing twice", func(s *State) { s.sessions[0].Listings[1] = 1 }, "list"},
		{"a session that hides a listing", func(s *State) {
			s.sessions[0].Listings = s.sessions[0].Listings[:1]
		}, "list"},
		{"in line out of line", func(s *State) { s.mutOrder(OrderRef{1, 2}).PayBy -= 5 }, "line"},
		{"due after the line's end", func(s *State) { s.sessions[0].lastDue = 0 }, "line"},
		{"a time beyond all", func(s *State) { s.mutOrder(OrderRef{1, 3}).PayBy = Never }, "time"},
		{"an hour beyond all", func(s *State) { s.now = Never }, "time"},
		{"an end beyond all", func(s *State) { s.sessions[0].End = Never }, "time"},
		{"no units", func(s *State) { s.mutOrder(OrderRef{1, 3}).Quantity = 0 }, "quantity"},
		{"rules of version 0", func(s *State) { s.rules = 0 }, "rules"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data := crafted(t, c.change)
			done := make(chan error, 1)
			go func() {
				s, err := ReadState(bytes.NewReader(data))
				if err == nil {
					s.OrdersOf(1, func(OrderRef, *Order) bool { return true })
				}
				done <- err
			}()
			select {
			case err := <-done:
				mustFail(t, err, ErrMalformed)
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("%q does not say %q", err, c.says)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("reading it never ends")
			}
		})
	}
	if _, err := ReadState(bytes.NewReader(crafted(t, func(*State) {}))); err != nil {
		t.Errorf("the untouched one: %v", err)
	}
}

// Of waitlists, draws, lists and switches, too, nothing is taken for what can't be.
func TestCraftedWaitlistsAndListsAreRefused(t *testing.T) {
	vip, tea := sampleEdits[0].Roster, RosterID{Kind: RosterReserved, Listing: 3}
	waiting, entered, left := OrderRef{1, 4}, OrderRef{1, 5}, OrderRef{1, 3}
	cases := []struct {
		name   string
		change func(s *State)
		says   string
	}{
		{"no place in line", func(s *State) { s.mutDetails(waiting).place = 0 }, "without a place"},
		{"a place that was not given out", func(s *State) { s.mutDetails(waiting).place = 3 }, "without a place"},
		{"a place in line of one who left", func(s *State) { s.mutDetails(left).place = 1 }, "place"},
		{"more places than orders", func(s *State) { s.listings[0].lastPlace = 1 << 31 }, "more than there are orders"},
		{"two at one place", func(s *State) {
			s.mutOrder(left).State, s.listings[0].Waiting = Waiting, 2
			s.mutDetails(left).place = s.detailsOf(waiting).place
		}, "two orders"},
		{"fewer waiting than counted", func(s *State) { s.listings[0].Waiting++ }, "counts"},
		{"fewer entrants than counted", func(s *State) { s.listings[1].Entrants++ }, "counts"},
		{"an entrant of no draw", func(s *State) { s.mutOrder(entered).Listing = 1 }, "a draw that there is not"},
		{"an entrant of a draw that is done", func(s *State) {
			s.listings[1].DrawState = DrawDone
		}, "a draw that there is not"},
		{"an unknown state of a draw", func(s *State) { s.listings[1].DrawState = 9 }, "draw"},
		{"one who waits among the timers", func(s *State) {
			s.mutOrder(waiting).inSequence = true
		}, "can't have come"},
		{"a grant with a reason to pass", func(s *State) {
			s.mutOrder(OrderRef{1, 2}).Why = ReasonGone
		}, "can't have come"},
		{"unknown traits", func(s *State) { s.mutOrder(waiting).traits = traitsEnd }, "can't have come"},
		{"a roster of no listing", func(s *State) {
			s.rosters[RosterID{Kind: RosterReserved, Listing: 99}] = s.newRoster()
		}, "roster of nothing"},
		{"a roster without a name", func(s *State) {
			s.rosters[RosterID{Kind: RosterAllowed}] = s.newRoster()
		}, "roster of nothing"},
		{"a roster of no kind", func(s *State) {
			s.rosters[RosterID{Kind: rosterKindEnd}] = s.newRoster()
		}, "roster of nothing"},
		{"a staging that is not there", func(s *State) { s.rosters[tea].stage = 5 }, "staging"},
		{"a staging of nobody", func(s *State) { s.rosters[vip].stage = 0 }, "staged for none"},
		{"a row of an unknown level", func(s *State) { s.rosters[vip].rows.rows.mut(0).kept.level = levelEnd }, "row"},
		{"a row from beyond all time", func(s *State) { s.rosters[vip].rows.rows.mut(0).kept.since = Never }, "time"},
		{"a switch that can't be so", func(s *State) { s.board.now[SwitchTickets] = 9 }, "switch"},
		{"profiles out of order", func(s *State) {
			s.board.profiles = append(s.board.profiles, s.board.profiles[0])
		}, "profile"},
		{"a profile of no session", func(s *State) { s.board.clocked[0].session = 99 }, "profile of no session"},
		{"a change that can't have been", func(s *State) { s.board.history[0].Action = 0 }, "change of switches"},
		{"an unknown challenge", func(s *State) { s.listings[0].Challenge = 9 }, "challenge"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := sampleGroup(t).state
			c.change(s)
			_, err := ReadState(bytes.NewReader(encoded(t, s.Snapshot())))
			mustFail(t, err, ErrMalformed)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
	if _, err := ReadState(bytes.NewReader(encoded(t, sampleGroup(t).state.Snapshot()))); err != nil {
		t.Errorf("the untouched one: %v", err)
	}
}

// blocksOf cuts a snapshot into its header and its blocks.
func blocksOf(data []byte) (head []byte, blocks [][]byte) {
	head, data = data[:12], data[12:]
	for len(data) > 0 {
		n := 9 + int(binary.LittleEndian.Uint32(data[1:]))
		blocks, data = append(blocks, data[:n]), data[n:]
	}
	return head, blocks
}

func joined(head []byte, blocks ...[]byte) []byte {
	return bytes.Join(append([][]byte{head}, blocks...), nil)
}

func TestSnapshotBlocksMissingOrDoubled(t *testing.T) {
	head, blocks := blocksOf(crafted(t, func(*State) {}))
	for i, block := range blocks {
		var without, twice [][]byte
		without = append(append(without, blocks[:i]...), blocks[i+1:]...)
		twice = append(append(twice, blocks[:i+1]...), blocks[i:]...)
		if _, err := ReadState(bytes.NewReader(joined(head, without...))); err == nil && block[0] <= blockOrders {
			t.Errorf("read without block %d", block[0])
		}
		if _, err := ReadState(bytes.NewReader(joined(head, twice...))); err == nil && block[0] != blockEnd {
			t.Errorf("read with block %d twice", block[0])
		}
	}
	var b blockWriter
	var end bytes.Buffer
	b.to = &end
	b.block(blockEnd, []byte("x"))
	if _, err := ReadState(bytes.NewReader(joined(head, append(blocks[:len(blocks)-1:len(blocks)-1],
		end.Bytes())...))); err == nil {
		t.Error("read with an end that is not empty")
	}
}
