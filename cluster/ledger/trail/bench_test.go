package trail

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"doorbuster/engine"
)

// rushEntries are entries of a rush: grants, with a refusal for each.
func rushEntries(entries, events int) []*engine.Effects {
	all := make([]*engine.Effects, entries)
	ordinal := uint32(0)
	for i := range all {
		e := &engine.Effects{Index: engine.LogIndex(i + 1), Time: engine.Time(1_700_000_000_000 + i),
			Header: engine.BatchHeader{Epoch: 1, Sequence: uint64(i)}}
		for n := range events {
			if n%2 == 0 {
				ordinal++
				e.Primary = append(e.Primary, engine.Event{Kind: engine.HoldPlaced, State: 1, Command: int32(n),
					Session: 7, Listing: engine.ListingHandle(3 + n%5),
					Order: engine.OrderRef{Session: 7, Ordinal: ordinal}, Life: 1 << 38, Quantity: 1, Amount: 1999,
					PayBy:       e.Time + 900_000,
					Transaction: engine.Transaction{1, 2, 3}})
				continue
			}
			e.Primary = append(e.Primary, engine.Event{Kind: engine.HoldRefused, Reason: 3, Command: int32(n),
				Session: 7, Listing: engine.ListingHandle(3 + n%5)})
			e.AuditNotes = append(e.AuditNotes, engine.AuditNote{Command: int32(n), Shopper: "shopper-123456",
				Transaction: engine.Transaction{4, 5, 6}})
		}
		all[i] = e
	}
	return all
}

// cpu is how long the process has computed: what others do on the machine is not in it.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTrailRush is the trail alone: from Applied until all is on disk, with the
// back pressure that a batcher gets. One operation is an event.
func BenchmarkTrailRush(b *testing.B) {
	const events = 512
	c := DefaultConfig(b.TempDir())
	c.Logger = slog.New(slog.DiscardHandler)
	tr, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	tr.Own(group)
	tr.Start(nil)
	entries := rushEntries(b.N/events+1, events)
	began := cpu(b)
	b.ResetTimer()
	for _, e := range entries {
		tr.AwaitRoom(nil)
		tr.Applied(e)
	}
	if err := tr.Await(context.Background(), entries[len(entries)-1].Index); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(entries)*events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(len(entries)*events)/(cpu(b)-began).Seconds(), "events/cpu-s")
	b.ReportMetric(float64(tr.Stats().Bytes)/float64(len(entries)*events), "bytes/event")
}
