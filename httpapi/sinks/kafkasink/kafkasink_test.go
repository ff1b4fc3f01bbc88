package kafkasink

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/sinktest"
)

const topic, partitions = "shop.orders", 5

// fake starts a cluster in this process.
func fake(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(partitions, topic)},
		options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func configOf(cluster *kfake.Cluster) Config {
	return Config{Brokers: cluster.ListenAddrs(), Topic: topic, Format: sinktest.Format, Timeout: 3 * time.Second}
}

func newSink(t *testing.T, c Config) *Sink {
	t.Helper()
	return sinktest.Made(t, New, c)
}

// opened gives a sink that is open, and where it goes on.
func opened(t *testing.T, c Config) (*Sink, engine.TrailPosition) {
	t.Helper()
	s := newSink(t, c)
	return s, sinktest.Opened(t, s)
}

// contents reads what the topic has for readers of committed records: in each partition in
// its order.
func contents(t *testing.T, cluster *kfake.Cluster) (got []sinktest.Got) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ends, err := kadm.NewClient(reader).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	where := make(map[string]int32)
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				return
			}
			var event struct{ ID string }
			if err := json.Unmarshal(r.Value, &event); err != nil {
				t.Fatal(err)
			}
			key := string(r.Key)
			if p, seen := where[key]; seen && p != r.Partition {
				t.Errorf("key %s is in partitions %d and %d", key, p, r.Partition)
			}
			where[key] = r.Partition
			got = append(got, sinktest.Got{ID: event.ID, Key: key})
		})
	}
	return got
}

func TestEventsArriveAndArePositioned(t *testing.T) {
	cluster := fake(t)
	changes := sinktest.Changes(700, 1)
	s, at := opened(t, configOf(cluster))
	if at != (engine.TrailPosition{}) {
		t.Fatalf("an empty topic is at %v", at)
	}
	sinktest.Write(t, s, changes[:500])
	sinktest.Write(t, s, changes[500:501]) // one partition is ahead of the others
	if err := s.Write(t.Context(), nil, changes[501].TrailPosition); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s, at = opened(t, configOf(cluster))
	if want := changes[500].TrailPosition.Next(); at != want {
		t.Fatalf("goes on at %v, want %v", at, want)
	}
	sinktest.Write(t, s, changes[501:])
	sinktest.Check(t, changes, contents(t, cluster), true)
}

// TestGivenUp: a batch that broke off is nowhere, however much of the topic it has filled.
func TestGivenUp(t *testing.T) {
	cluster := fake(t)
	changes := sinktest.Changes(600, 2)
	s, _ := opened(t, configOf(cluster))
	sinktest.Write(t, s, changes[:100])
	for range 3 {
		// The records go in; then the node dies.
		if err := s.writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			if err := s.writer.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key(&changes[100+i])),
				Value: []byte("{}")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()
		var at engine.TrailPosition
		if s, at = opened(t, configOf(cluster)); at != changes[99].TrailPosition.Next() {
			t.Fatalf("goes on at %v", at)
		}
	}
	sinktest.Write(t, s, changes[100:])
	sinktest.Check(t, changes, contents(t, cluster), true)
}

// TestDeposedWritersAreTurnedAway: who opened last writes.
func TestDeposedWritersAreTurnedAway(t *testing.T) {
	cluster := fake(t)
	changes := sinktest.Changes(60, 3)
	old, _ := opened(t, configOf(cluster))
	sinktest.Write(t, old, changes[:20])
	next, at := opened(t, configOf(cluster))
	if at != changes[19].TrailPosition.Next() {
		t.Fatal(at)
	}
	for range 2 {
		err := old.Write(t.Context(), changes[20:40], changes[39].TrailPosition.Next())
		if err == nil || !strings.Contains(err.Error(), "another node has opened the topic") {
			t.Fatalf("a deposed writer was told %v", err)
		}
	}
	sinktest.Write(t, next, changes[20:])
	sinktest.Check(t, changes, contents(t, cluster), true)
}

// TestCommitWithoutAnAnswer: whether a batch is in is found out, not guessed.
func TestCommitWithoutAnAnswer(t *testing.T) {
	cluster := fake(t)
	changes := sinktest.Changes(300, 4)
	for i := range 3 {
		s, at := opened(t, configOf(cluster))
		if i > 0 && at != changes[100*i-1].TrailPosition.Next() {
			t.Fatalf("goes on at %v after %d batches", at, i)
		}
		fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.RequestTimedOut,
			Count: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := s.Write(ctx, changes[100*i:100*i+100], changes[100*i+99].TrailPosition.Next())
		cancel()
		fault.Remove()
		if err == nil {
			t.Fatal("a commit that nobody answered has succeeded")
		}
		_ = s.Close()
		if s, at = opened(t, configOf(cluster)); at != changes[100*i+99].TrailPosition.Next() {
			if i > 0 && at != changes[100*i-1].TrailPosition.Next() || i == 0 && at != (engine.TrailPosition{}) {
				t.Fatalf("goes on at %v, in the middle of a batch", at)
			}
			sinktest.Write(t, s, changes[100*i:100*i+100])
		}
		_ = s.Close()
	}
	sinktest.Check(t, changes, contents(t, cluster), true)
}

func TestReplay(t *testing.T) {
	cluster := fake(t)
	changes := sinktest.Changes(100, 5)
	s, _ := opened(t, configOf(cluster))
	sinktest.Write(t, s, changes)
	if err := s.Rewind(t.Context(), changes[10].TrailPosition); err != nil {
		t.Fatal(err)
	}
	sinktest.Write(t, s, changes[10:30])
	_ = s.Close()
	s, at := opened(t, configOf(cluster))
	if at != changes[29].TrailPosition.Next() {
		t.Fatalf("goes on at %v", at)
	}
	sinktest.Write(t, s, changes[30:])
	count := make(map[string]int)
	for _, g := range contents(t, cluster) {
		count[g.ID]++
	}
	for i := range changes {
		if want := 1 + min(1, i/10); count[changes[i].ID()] != want {
			t.Errorf("%s is there %d times, want %d", changes[i].ID(), count[changes[i].ID()], want)
		}
	}
}

func TestBadTopics(t *testing.T) {
	cluster := fake(t)
	config := configOf(cluster)
	config.Topic = "typo"
	s := newSink(t, config)
	if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(),
		"there is no topic typo: make it") {
		t.Error(err)
	}
	t.Run("dropped", func(t *testing.T) {
		s, _ := opened(t, configOf(cluster))
		changes := sinktest.Changes(50, 6)
		sinktest.Write(t, s, changes)
		for p := range int32(partitions) {
			if err := cluster.DeleteRecords(topic, p, cluster.PartitionInfo(topic, p).HighWatermark); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()
		if at, known, err := s.Open(t.Context()); err != nil || known {
			t.Errorf("%v, known %v, %v", at, known, err)
		}
	})
	t.Run("another's records", func(t *testing.T) {
		other, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := other.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		s := newSink(t, configOf(cluster))
		if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(),
			"nothing else may write there") {
			t.Error(err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		gone := fake(t)
		config := configOf(gone)
		gone.Close()
		config.Timeout = 200 * time.Millisecond
		s := newSink(t, config)
		if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(),
			"connecting to Kafka at 127.0.0.1:") {
			t.Error(err)
		}
	})
}

// TestCredentials: who we are comes from files, read anew each time.
func TestCredentials(t *testing.T) {
	cluster := fake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "shop", "secret"))
	file := filepath.Join(t.TempDir(), "password")
	config := configOf(cluster)
	config.Mechanism, config.User, config.PasswordFile, config.Timeout = "scram-sha-256", "shop", file, time.Second
	s := newSink(t, config)
	if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without a file: %v", err)
	}
	for _, c := range []struct{ password, want string }{{"wrong", "does not know who we are"}, {"secret", ""}} {
		if err := os.WriteFile(file, []byte(c.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Open(t.Context())
		_ = s.Close()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.password, err)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Config{Brokers: []string{"127.0.0.1:9092"}, Topic: topic, Format: sinktest.Format}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"at least one":            func(c *Config) { c.Brokers = nil },
		"must be HOST:PORT":       func(c *Config) { c.Brokers = []string{"kafka://x:1"} },
		"topic:":                  func(c *Config) { c.Topic = "a b" },
		"must be plain, scram":    func(c *Config) { c.Mechanism = "gssapi" },
		"by which mechanism":      func(c *Config) { c.User = "a" },
		"are needed":              func(c *Config) { c.Mechanism = "scram-sha-512" },
		"needs tls":               func(c *Config) { c.Mechanism, c.User, c.PasswordFile = "plain", "a", "b" },
		"is negative":             func(c *Config) { c.Timeout = -1 },
		"tls: it is off":          func(c *Config) { c.TLS.CA = "ca.pem" },
		"must be a URI reference": func(c *Config) { c.Format.Source = "" },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestTurmoil has writers come and go, leaders of partitions and coordinators move, and
// requests fail before and after they were applied.
func TestTurmoil(t *testing.T) {
	cluster := fake(t)
	n := 20_000
	if testing.Short() {
		n /= 4
	}
	changes := sinktest.Changes(n, 7)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	turmoil, stop := context.WithCancel(ctx)
	turns := make(chan int)
	go func() {
		turned := 0
		defer func() { turns <- turned }()
		keys := []kmsg.Key{kmsg.Produce, kmsg.EndTxn, kmsg.AddPartitionsToTxn, kmsg.InitProducerID, kmsg.Fetch,
			kmsg.ListOffsets, kmsg.FindCoordinator}
		errs := []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotEnoughReplicas,
			kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.NotLeaderForPartition, kerr.UnknownServerError}
		for {
			select {
			case <-turmoil.Done():
				return
			case <-time.After(rand.N(time.Second)):
			}
			turned++
			switch rand.IntN(4) {
			case 0:
				cluster.ShufflePartitionLeaders()
			case 1:
				cluster.RehashCoordinators()
			default:
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{keys[rand.IntN(len(keys))]}, TopLevel: rand.IntN(2) == 0,
					Err: errs[rand.IntN(len(errs))], Count: 1 + rand.IntN(2)})
			}
		}
	}()
	crowd := sinktest.Crowd{Changes: changes, Seed: 8, Reign: time.Second, Batch: sinks.MaxBatch,
		Pause: 100 * time.Millisecond, New: func() sinks.Sink { return newSink(t, configOf(cluster)) }}
	reigns, failures := crowd.Run(ctx, t)
	stop()
	t.Logf("%d turns, %d reigns, %d ways to fail", <-turns, reigns, failures)
	if failures == 0 {
		t.Error(errors.New("nothing has failed: there was no turmoil"))
	}
	sinktest.Check(t, changes, contents(t, cluster), true)
}
