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
	g.one(Command{Kind: CmdSetReceiver, Order: OrderRef{1, 1}, Shopper: []byte("ann"), Receiver: Receiver{Name: "Ann"}})
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
		{"two orders follow each other", func(s *State) { s.mutOrder(OrderRef{1, 1}).previous = OrderRef{1, 3} }, "follow"},
		{"a cycle across sessions", func(s *State) { s.mutOrder(OrderRef{1, 1}).previous = OrderRef{2, 1} }, "follow"},
		{"an order that nothing leads to", func(s *State) { s.shoppers.rows.mut(0).kept = OrderRef{1, 3} }, "lead"},
		{"an order of another shopper before it", func(s *State) { s.mutOrder(OrderRef{1, 3}).previous = OrderRef{1, 2} }, "follow"},
		{"a session twice", func(s *State) { s.sessions[1].ID = "s" }, "twice"},
		{"a session of no sale", func(s *State) { s.sessions[1].Sale = "none" }, "sale"},
		{"a listing twice", func(s *State) { s.listings[1].SKU = "sku-1" }, "twice"},
		{"a session that lists a listing twice", func(s *State) { s.sessions[0].Listings[1] = 1 }, "list"},
		{"a session that hides a listing", func(s *State) { s.sessions[0].Listings = s.sessions[0].Listings[:1] }, "list"},
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
		if _, err := ReadState(bytes.NewReader(joined(head, without...))); err == nil && block[0] < blockReceivers {
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
	if _, err := ReadState(bytes.NewReader(joined(head, append(blocks[:len(blocks)-1:len(blocks)-1], end.Bytes())...))); err == nil {
		t.Error("read with an end that is not empty")
	}
}
