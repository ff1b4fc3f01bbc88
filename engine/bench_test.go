package engine

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// grabEntries gives entries of 256 grabs each, all by new shoppers with ids of
// about 12 bytes.
func grabEntries(g *group, l ListingHandle, first, grabs int) [][]byte {
	var entries [][]byte
	var commands []byte
	var shopper []byte
	n := 0
	flush := func() {
		g.sequence++
		h := BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock, Commands: n}
		entries = append(entries, append(AppendBatchHeader(nil, h), commands...))
		commands, n = commands[:0], 0
	}
	for i := range grabs {
		shopper = strconv.AppendInt(append(shopper[:0], "u-"...), int64(1_000_000_000+first+i), 10)
		key := g.state.KeyOf(shopper)
		commands = AppendCommand(commands, &Command{Kind: CmdPlaceHold, Listing: l, Shopper: shopper, Key: key,
			Quantity: 1, Deadline: g.clock.Add(time.Second)})
		if n++; n == 256 {
			flush()
		}
	}
	if n > 0 {
		flush()
	}
	return entries
}

func bigSession(tb testing.TB) (*group, ListingHandle) {
	g := newGroup(tb)
	x := g.session("s", nil, ListingSpec{Stock: MaxStock, LimitPerShopper: 1})
	return g, x.Listings[0]
}

// BenchmarkApplyPlaceHold grants batches of 256 to new shoppers; ns/command is
// what a budget can be held against.
func BenchmarkApplyPlaceHold(b *testing.B) {
	const round = 1024 // batches a state takes before the next one begins
	var g *group
	var entries [][]byte
	index := LogIndex(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%round == 0 {
			b.StopTimer()
			var l ListingHandle
			g, l = bigSession(b)
			entries = grabEntries(g, l, 0, round*256)
			index = g.state.LogIndex()
			runtime.GC()
			b.StartTimer()
		}
		index++
		if err := g.state.Apply(index, entries[i%round], &g.effects); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/command")
}

// BenchmarkMillionHolds reports what a live hold costs in heap, how long a freeze
// of a million takes, and how long encoding them and reading them back.
func BenchmarkMillionHolds(b *testing.B) {
	const holds = 1_000_000
	for b.Loop() {
		g, l := bigSession(b)
		entries := grabEntries(g, l, 0, holds)
		index := g.state.LogIndex()
		before := heapBytes()
		for _, entry := range entries {
			index++
			if err := g.state.Apply(index, entry, &g.effects); err != nil {
				b.Fatal(err)
			}
		}
		held := heapBytes() - before
		runtime.KeepAlive(entries)
		b.ReportMetric(float64(held)/holds, "B/hold")
		start := time.Now()
		snap := g.state.Snapshot()
		b.ReportMetric(float64(time.Since(start).Microseconds()), "freeze-µs")
		start = time.Now()
		n, err := snap.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "encode-ms")
		b.ReportMetric(float64(n)/holds, "snapshot-B/hold")
		data := encoded(b, snap)
		start = time.Now()
		copied(b, g.state)
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "copy-ms")
		runtime.KeepAlive(data)
	}
}

// BenchmarkSettle settles a session of a million paid orders, of a product that is
// limited by the month, and clears it, beside batches of grabs of another session and a
// snapshot now and then. It reports the longest Apply and the longest freeze, by the
// clock, garbage collection included: on a quiet machine neither takes over 5 ms.
func BenchmarkSettle(b *testing.B) {
	const orders, batch = 1_000_000, 64
	for b.Loop() {
		g := newGroup(b)
		x := g.session("own", nil, ListingSpec{Stock: orders, LimitPerMonth: 5})
		for i := 0; i < orders; i += 1000 {
			var holds, pays []Command
			for n := i; n < i+1000; n++ {
				holds = append(holds, g.placeHold(x.Listings[0], fmt.Sprint("s", n), "own"+strconv.Itoa(n), 1))
				pays = append(pays, Command{Kind: CmdPayOrder, Order: OrderRef{x.Handle, uint32(n + 1)}, Amount: 100,
					Currency: "CNY", PaymentID: fmt.Sprint("own-", n)})
			}
			g.do(holds...)
			g.do(pays...)
		}
		rush := g.session("rush", nil, ListingSpec{Stock: 1_000_000_000})
		g.steer(x.Handle, SessionEnd)
		runtime.GC()
		var apply, freeze time.Duration
		next, index := 0, g.state.LogIndex()
		do := func(more ...Command) {
			for range batch {
				next++
				more = append(more, g.placeHold(rush.Listings[0], fmt.Sprint("r", next), "k", 1))
			}
			g.sequence++
			entry := EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock}, more...)
			index++
			var effects Effects
			start := time.Now()
			if err := g.state.Apply(index, entry, &effects); err != nil {
				b.Fatal(err)
			}
			apply = max(apply, time.Since(start))
			if index%100 == 0 {
				start = time.Now()
				g.state.Snapshot()
				freeze = max(freeze, time.Since(start))
			}
		}
		do(Command{Kind: CmdSettleSession, Session: x.Handle})
		do(Command{Kind: CmdClearSession, Session: x.Handle})
		batches := 0
		for ; x.Leaving(); batches++ {
			do()
		}
		b.ReportMetric(float64(apply.Microseconds())/1000, "longest-apply-ms")
		b.ReportMetric(float64(freeze.Microseconds())/1000, "longest-freeze-ms")
		b.ReportMetric(float64(batches), "batches")
	}
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkMillionRows reports how long a roster of a million takes to be staged and
// committed, and to freeze, and how many bytes a row takes in heap.
func BenchmarkMillionRows(b *testing.B) {
	const million = 1_000_000
	for b.Loop() {
		g := newGroup(b)
		id := RosterID{Kind: RosterAllowed, Name: "vip"}
		var entries [][]byte
		for first := 0; first < million; first += MaxRosterEntries {
			e := RosterEdit{Roster: id, Action: RosterStage, Stage: 1}
			for i := first; i < min(first+MaxRosterEntries, million); i++ {
				e.Rows = append(e.Rows, RosterEntry{ID: strconv.AppendInt([]byte("u-"), int64(1_000_000_000+i), 10),
					Level: LevelListed})
			}
			g.sequence++
			entries = append(entries, EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock},
				Command{Kind: CmdEditRoster, Edit: e}))
		}
		before, start := heapBytes(), time.Now()
		for _, entry := range entries {
			if err := g.state.Apply(g.state.LogIndex()+1, entry, &g.effects); err != nil {
				b.Fatal(err)
			}
		}
		g.entries = make([][]byte, g.state.LogIndex())
		if e := g.one(Command{Kind: CmdEditRoster, Edit: RosterEdit{Roster: id, Action: RosterCommit, Stage: 1,
			Count: million}}); e.Kind != RosterEdited {
			b.Fatal(e)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "import-ms")
		b.ReportMetric(float64(heapBytes()-before)/million, "B/row")
		runtime.KeepAlive(entries)
		start = time.Now()
		snap := g.state.Snapshot()
		b.ReportMetric(float64(time.Since(start).Microseconds()), "freeze-µs")
		runtime.KeepAlive(snap)
	}
}

// BenchmarkLongWaitlist joins a waitlist of 50,000 and looks at every position.
func BenchmarkLongWaitlist(b *testing.B) {
	const long = 50_000
	for b.Loop() {
		g := newGroup(b)
		x := g.session("s", nil, ListingSpec{Stock: long, Waitlist: true, LimitPerShopper: 1})
		l := x.Listings[0]
		for _, entry := range grabEntries(g, l, 0, long) {
			g.apply(entry)
		}
		var commands []Command
		for i := range long {
			c := g.placeHold(l, "w"+strconv.Itoa(i), "k", 1)
			c.Waitlist = true
			commands = append(commands, c)
		}
		start := time.Now()
		for first := 0; first < long; first += 5000 {
			g.do(commands[first : first+5000]...)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/long, "join-ns")
		start = time.Now()
		for i := range long {
			if g.state.Position(OrderRef{x.Handle, uint32(long + i + 1)}) != uint32(i+1) {
				b.Fatal("not where they joined")
			}
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/long, "position-ns")
	}
}

// BenchmarkShipping takes 100,000 paid orders through the second look, one export, their
// parcels and the time after which they count as received and are completed, beside
// batches of grabs of another session and a snapshot now and then; of some orders more,
// far from each other, one command rejects as many as it may. It reports the longest
// Apply, by the clock, garbage collection included (on a quiet machine not over 5 ms), and
// how long all of it takes.
func BenchmarkShipping(b *testing.B) {
	for b.Loop() {
		shipAll(b)
	}
}

func shipAll(b *testing.B) {
	const orders, batch, rows = 100_000, 64, 1024
	const total, apart = orders + MaxParcels, (orders + MaxParcels) / MaxParcels
	rejected := func(n int) bool { return n%apart == 0 && n/apart < MaxParcels }
	g := newGroup(b)
	x := g.session("own", func(x *SessionPlan) { x.ReceiveWithin, x.CompleteWithin = time.Hour, time.Hour },
		ListingSpec{Stock: total, Delivery: DeliveryShip})
	for i := 0; i < total; i += 1000 {
		var holds, pays, receivers []Command
		for n := i; n < min(i+1000, total); n++ {
			who, ref := fmt.Sprint("s", n), OrderRef{x.Handle, uint32(n + 1)}
			holds = append(holds, g.placeHold(x.Listings[0], who, "own"+strconv.Itoa(n), 1))
			pays = append(pays, Command{Kind: CmdPayOrder, Order: ref, Amount: 100, Currency: "CNY",
				PaymentID: fmt.Sprint("own-", n), PayType: "wechat"})
			receivers = append(receivers, Command{Kind: CmdSetReceiver, Order: ref, Shopper: []byte(who),
				Receiver: sealed(who), PersonalKey: testKey})
		}
		g.do(holds...)
		g.do(pays...)
		g.do(receivers...)
	}
	g.steer(x.Handle, SessionEnd)
	rush := g.session("rush", nil, ListingSpec{Stock: 1_000_000_000})
	runtime.GC()
	var longest, all time.Duration
	var longestOf CommandKind // 0: of time
	next, index := 0, g.state.LogIndex()
	do := func(more ...Command) {
		for range batch {
			next++
			more = append(more, g.placeHold(rush.Listings[0], fmt.Sprint("r", next), "k", 1))
		}
		g.sequence++
		entry := EncodeBatch(BatchHeader{Epoch: g.epoch, Sequence: g.sequence, Time: g.clock}, more...)
		index++
		var effects Effects
		start := time.Now()
		if err := g.state.Apply(index, entry, &effects); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		if all += took; took > longest {
			longest, longestOf = took, 0
			if len(more) > batch {
				longestOf = more[0].Kind
			}
		}
		if len(more) > batch && effects.Primary[0].Kind != OrdersHandled {
			b.Fatal(effects.Primary[0])
		}
		if index%50 == 0 {
			g.state.Snapshot()
		}
	}
	no := Command{Kind: CmdReviewOrders, Session: x.Handle, Operator: "op"}
	for n := range total {
		if rejected(n) {
			no.Reviews = append(no.Reviews, Review{OrderRef{x.Handle, uint32(n + 1)}, ReviewRejected, "odd"})
		}
	}
	snap := g.state.Snapshot()
	do(no)
	runtime.KeepAlive(snap)
	for _, kind := range []CommandKind{CmdReviewOrders, CmdExportOrders, CmdShipOrders} {
		for from := 0; from < total; from += rows {
			c := Command{Kind: kind, Session: x.Handle, Operator: "op"}
			for n := from; n < min(from+rows, total); n++ {
				ref := OrderRef{x.Handle, uint32(n + 1)}
				switch {
				case rejected(n):
				case kind == CmdReviewOrders:
					c.Reviews = append(c.Reviews, Review{ref, ReviewPassed, ""})
				case kind == CmdExportOrders:
					c.Orders = append(c.Orders, ref)
					c.Export = x.exports
				default:
					c.Parcels = append(c.Parcels, Parcel{ref, "SF", "SF" + strconv.Itoa(1_000_000_000+n)})
				}
			}
			do(c)
		}
	}
	for state := g.state; state.undelivered(x) > 0; {
		g.clock = max(g.clock, state.NextDue())
		do()
	}
	if l := g.state.Listing(x.Listings[0]); l.Completed != orders || x.exports != 1 {
		b.Fatalf("%d completed, %d exports", l.Completed, x.exports)
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-apply-ms")
	b.ReportMetric(float64(all.Milliseconds()), "all-ms")
	b.ReportMetric(float64(longestOf), "command-of-longest")
}
