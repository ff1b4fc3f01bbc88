package sinks

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"doorbuster/cmd/doorbuster/nodetest"
	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/cloudevents"
	"doorbuster/httpapi/sinks/natssink/natstest"
	"doorbuster/httpapi/wire"
)

var streamKills = flag.Int("streams.kills", 3, "how often a leader and a server of NATS are killed")

// TestStreamsAreTheTrail: three nodes flow into a real cluster of NATS and into a topic of
// Kafka while leaders and servers are killed in the middle of orders: both have what the trail
// tells, each event once, in its order (Kafka: each order's in its order).
func TestStreamsAreTheTrail(t *testing.T) {
	binary := natstest.Program(t)
	servers := natstest.Servers(t, 3, "")
	js := natstest.Connection(t, servers)
	natstest.MakeStream(t, js, jetstream.StreamConfig{Replicas: 3, Duplicates: 100 * time.Millisecond})
	kafka, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(4, "shop.orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	list := func(all []string) string { return `["` + strings.Join(all, `","`) + `"]` }
	f := nodetest.NewFleet(t, "off", nodetest.Rooms3...)
	f.Extra = fmt.Sprintf("sinks:\n"+
		"  - {name: events, kind: nats, servers: %s, stream: ORDERS, subject: shop.orders, timeout: 3s}\n"+
		"  - {name: lake, kind: kafka, brokers: %s, topic: shop.orders, timeout: 5s}\n",
		list(natstest.Addresses(servers)), list(kafka.ListenAddrs()))
	f.Open()
	f.Plan(nodetest.DayPlan("", 100_000))
	for round := range *streamKills {
		leader := f.Leader()
		for i := range 30 {
			shopper := fmt.Sprintf("s-%d-%d", round, i)
			o := leader.EventuallyGrants(shopper, "day/sku-1")
			if i%2 == 0 {
				leader.CancelOrder(shopper, o.OrderNo)
			}
			if i == 15 {
				servers[round%3].Kill()
			}
		}
		leader.Kill()
		leader.Relaunch()
		servers[round%3].Start(t, binary)
		kafka.ShufflePartitionLeaders()
	}
	leader := f.Leader()
	want := toldEvents(t, leader.Ops("GET", "/admin/v1/events?follow=false&from=0", "").Body)
	ids := make([]string, len(want))
	place := map[string]int{}
	for i, at := range want {
		ids[i] = at.String()
		place[ids[i]] = i
	}
	last := want[len(want)-1]
	state := func() string { return leader.Ops("GET", "/admin/v1/sinks", "").Body }
	leader.Eventually(func() bool {
		var all wire.Sinks
		if json.Unmarshal([]byte(state()), &all) != nil || len(all.Sinks) != 2 {
			return false
		}
		return !slices.ContainsFunc(all.Sinks, func(s wire.Sink) bool {
			at, err := cloudevents.ParsePosition(s.Position)
			return err != nil || !last.Before(at)
		})
	}, state)
	got, _ := natstest.Contents(t, js)
	var arrived []string
	for _, g := range got {
		arrived = append(arrived, g.ID)
	}
	if !slices.Equal(arrived, ids) {
		t.Errorf("%d events in the stream, %d in the trail\n%v\n%v", len(arrived), len(ids), arrived, ids)
	}
	seen, before := map[string]bool{}, map[string]int{}
	for _, r := range records(t, kafka) {
		var e event
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		i, known := place[e.ID]
		if !known || seen[e.ID] {
			t.Errorf("%s is in the topic twice, or never happened", e.ID)
		}
		seen[e.ID] = true
		if earlier, some := before[string(r.Key)]; some && earlier > i {
			t.Errorf("%s comes after %s", e.ID, ids[earlier])
		}
		before[string(r.Key)] = i
	}
	if len(seen) != len(ids) {
		t.Errorf("%d events in the topic, %d in the trail", len(seen), len(ids))
	}
	t.Logf("%d events, each once in both", len(ids))
}

// toldEvents gives the positions of the events that sinks are handed, from what a node tells
// of the trail.
func toldEvents(t *testing.T, told string) (all []engine.TrailPosition) {
	t.Helper()
	for line := range strings.Lines(told) {
		var e struct {
			wire.TrailEvent
			Heartbeat bool
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.MissingFrom != 0 {
			t.Fatalf("%v: %s", err, line)
		}
		if kind, known := engine.ParseEventKind(e.Kind); !e.Heartbeat && known && sinks.Tells(kind) {
			all = append(all, engine.TrailPosition{Index: engine.LogIndex(e.Index), N: e.N})
		}
	}
	if len(all) == 0 {
		t.Fatal("the trail tells nothing")
	}
	return all
}

// records reads the committed records of the topic.
func records(t *testing.T, kafka *kfake.Cluster) (all []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics("shop.orders"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ends, err := kadm.NewClient(reader).ListCommittedOffsets(ctx, "shop.orders")
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}
