package engine

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A snapshot is encoded by another goroutine while the state goes on; what it
// encodes to is what the state was when it was taken.
func TestSnapshotStaysWhileTheStateGoesOn(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", func(x *SessionPlan) { x.End = x.End.Add(24 * time.Hour) }, ListingSpec{Stock: 100_000})
	l := x.Listings[0]
	var encoding sync.WaitGroup
	defer encoding.Wait()
	for round := range 12 {
		for i := range 150 {
			shopper := fmt.Sprint("s", round, "-", i)
			ref := g.grab(l, shopper, "k", 1).Order
			switch i % 3 {
			case 0:
				g.pay(ref, "p")
			case 1:
				g.cancel(ref)
			case 2:
				g.one(Command{Kind: CmdSetReceiver, Order: OrderRef{1, 3}, Shopper: []byte("s0-2"),
					Receiver: sealed(shopper), PersonalKey: testKey})
			}
		}
		// Two snapshots of the same state: one encoded at once, one meanwhile.
		now := encoded(t, g.state.Snapshot())
		later := g.state.Snapshot()
		encoding.Go(func() {
			var b bytes.Buffer
			if _, err := later.WriteTo(&b); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(b.Bytes(), now) {
				t.Errorf("round %d: encoded later it has other bytes", round)
			}
		})
		g.after(time.Minute)
	}
}

// A snapshot fails when what it is written to fails.
func TestSnapshotTellsOfAFailedWrite(t *testing.T) {
	g := newGroup(t)
	snap := g.state.Snapshot()
	for room := range 40 {
		if n, err := snap.WriteTo(&narrow{room}); err == nil || n > int64(room) {
			t.Fatalf("%d bytes of room: wrote %d, %v", room, n, err)
		}
	}
}

// narrow takes so many bytes and then no more.
type narrow struct{ room int }

func (w *narrow) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	if n < len(p) {
		return n, fmt.Errorf("no room")
	}
	return n, nil
}

// Grabbing and letting go a million times leaves behind what the first three
// times did.
func TestGrabCancelLoopsLeaveNothing(t *testing.T) {
	g := newGroup(t)
	x := g.session("s", nil, ListingSpec{Stock: 10})
	l := g.state.Listing(x.Listings[0])
	for i := range MaxReleases {
		g.cancel(g.grab(l.Handle, "ann", fmt.Sprint("k", i), 1).Order)
	}
	orders, counts, bytes := x.Orders(), g.state.CountsOf(l), len(encoded(t, g.state.Snapshot()))
	const loops, batch = 1_000_000, 8192
	key := g.state.KeyOf([]byte("again"))
	var commands []byte
	for range batch / 2 {
		commands = AppendCommand(commands, &Command{Kind: CmdPlaceHold, Listing: l.Handle, Shopper: []byte("ann"),
			Key: key, Quantity: 1, Deadline: maxTime})
		commands = AppendCommand(commands, &Command{Kind: CmdCancelHold, Order: OrderRef{1, MaxReleases},
			Shopper: []byte("ann")})
	}
	index := g.state.LogIndex()
	for range loops / (batch / 2) {
		g.sequence++
		index++
		entry := append(AppendBatchHeader(nil, BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock,
			Commands: batch}), commands...)
		if err := g.state.Apply(index, entry, &g.effects); err != nil {
			t.Fatal(err)
		}
		for i, e := range g.effects.Primary {
			if i%2 == 0 && e.Reason != ReasonReleases || i%2 == 1 && e.Kind != OrderUnchanged {
				t.Fatalf("command %d: %v", i, e)
			}
		}
	}
	now := g.state.CountsOf(l)
	now.LogIndex = counts.LogIndex
	if x.Orders() != orders || now != counts {
		t.Errorf("%d orders and %+v have become %d and %+v", orders, counts, x.Orders(), now)
	}
	if after := len(encoded(t, g.state.Snapshot())); after > bytes+8 {
		t.Errorf("the snapshot has grown from %d to %d bytes", bytes, after)
	}
}

// Grants to new shoppers allocate for their tables now and then, not each time.
func TestGrantsAllocateLittle(t *testing.T) {
	if invariantsPanic {
		t.Skip("the checks of this build allocate")
	}
	g, l := bigSession(t)
	const batches = 64
	entries := grabEntries(g, l, 0, (batches+1)*256)
	index := g.state.LogIndex()
	i := 0
	perBatch := testing.AllocsPerRun(batches, func() {
		index++
		if err := g.state.Apply(index, entries[i], &g.effects); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if perBatch > 64 {
		t.Errorf("%.0f allocations for 256 grants", perBatch)
	}
}

// The directory finds whom it knows and nobody else, however many there are.
func TestDirectoryFindsShoppers(t *testing.T) {
	var d directory[OrderRef]
	const n = 50_000
	name := func(i int) []byte { return fmt.Appendf(nil, "shopper-%d", i*i) }
	for i := range n {
		if got := d.find(name(i)); got != 0 {
			t.Fatalf("%s is there before being added, as %d", name(i), got)
		}
		if got := d.add(name(i), OrderRef{}); int(got) != i+1 {
			t.Fatalf("%s is number %d", name(i), got)
		}
	}
	for i := range n {
		if got := d.find(name(i)); int(got) != i+1 || d.rows.at(i).id != string(name(i)) {
			t.Fatalf("%s is %d, called %q", name(i), got, d.rows.at(i).id)
		}
	}
	if d.find(nil) != 0 || d.find([]byte("shopper-2")) != 0 {
		t.Error("found somebody who is not there")
	}
}
