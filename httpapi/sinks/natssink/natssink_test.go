package natssink

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"doorbuster/engine"
	"doorbuster/httpapi/sinks"
	"doorbuster/httpapi/sinks/natssink/natstest"
	"doorbuster/httpapi/sinks/sinktest"
)

func configOf(all []*natstest.Server) Config {
	return Config{Servers: natstest.Addresses(all), Stream: "ORDERS", Subject: "shop.orders", Format: sinktest.Format,
		Timeout: 3 * time.Second}
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

func TestEventsArriveAndArePositioned(t *testing.T) {
	all := natstest.Servers(t, 1, "")
	js := natstest.Connection(t, all)
	natstest.MakeStream(t, js, jetstream.StreamConfig{})
	changes := sinktest.Changes(700, 1)
	s, at := opened(t, configOf(all))
	if at != (engine.TrailPosition{}) {
		t.Fatalf("an empty stream is at %v", at)
	}
	sinktest.Write(t, s, changes[:500])
	if err := s.Write(t.Context(), nil, engine.TrailPosition{Index: changes[500].Index}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s, at = opened(t, configOf(all))
	if want := changes[499].TrailPosition.Next(); at != want {
		t.Fatalf("goes on at %v, want %v", at, want)
	}
	sinktest.Write(t, s, changes[500:])
	got, messages := natstest.Contents(t, js)
	sinktest.Check(t, changes, got, false)
	for i, m := range messages {
		if m.Header.Get("Nats-Msg-Id") != changes[i].ID() {
			t.Fatalf("message %d: Nats-Msg-Id %q of change %s", i, m.Header.Get("Nats-Msg-Id"), changes[i].ID())
		}
		if words := strings.Split(m.Subject, "."); len(words) != 4 {
			t.Fatalf("message %d has subject %s", i, m.Subject)
		}
	}
}

// TestDeposedWritersAreRefused: of two that opened at the same end, one writes on, even
// where the window of deduplication has long passed.
func TestDeposedWritersAreRefused(t *testing.T) {
	all := natstest.Servers(t, 1, "")
	js := natstest.Connection(t, all)
	stream := natstest.MakeStream(t, js, jetstream.StreamConfig{Duplicates: 100 * time.Millisecond})
	changes := sinktest.Changes(60, 2)
	old, _ := opened(t, configOf(all))
	sinktest.Write(t, old, changes[:20])
	next, at := opened(t, configOf(all))
	if at != changes[19].TrailPosition.Next() {
		t.Fatal(at)
	}
	sinktest.Write(t, next, changes[20:40])
	natstest.Until(t, "the window to pass", func(ctx context.Context) error { // it goes by the server's clock
		time.Sleep(200 * time.Millisecond)
		_, err := stream.Info(ctx)
		return err
	})
	for range 2 { // and it does not come round by trying again
		err := old.Write(t.Context(), changes[20:40], changes[39].TrailPosition.Next())
		if err == nil || !strings.Contains(err.Error(), "another node") {
			t.Fatalf("a deposed writer was told %v", err)
		}
	}
	sinktest.Write(t, next, changes[40:])
	got, _ := natstest.Contents(t, js)
	sinktest.Check(t, changes, got, false)
}

// TestReplay: what an operator wants again comes again, though JetStream has it, and a
// writer killed in the middle goes on in the middle.
func TestReplay(t *testing.T) {
	all := natstest.Servers(t, 1, "")
	js := natstest.Connection(t, all)
	natstest.MakeStream(t, js, jetstream.StreamConfig{})
	changes := sinktest.Changes(100, 3)
	s, _ := opened(t, configOf(all))
	sinktest.Write(t, s, changes)
	_ = s.Close()
	s, _ = opened(t, configOf(all))
	if err := s.Rewind(t.Context(), changes[10].TrailPosition); err != nil {
		t.Fatal(err)
	}
	sinktest.Write(t, s, changes[10:30])
	_ = s.Close()
	s, at := opened(t, configOf(all))
	if at != changes[30].TrailPosition && at != changes[29].TrailPosition.Next() {
		t.Fatalf("goes on at %v", at)
	}
	sinktest.Write(t, s, changes[30:])
	// One by itself: the position stays what it was.
	if err := s.Write(t.Context(), changes[5:6], changes[99].TrailPosition.Next()); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, at = opened(t, configOf(all)); at != changes[99].TrailPosition.Next() {
		t.Fatalf("goes on at %v", at)
	}
	got, _ := natstest.Contents(t, js)
	if len(got) != 100+90+1 {
		t.Fatalf("%d messages", len(got))
	}
	sinktest.Check(t, changes, got[:100], false)
	sinktest.Check(t, changes[10:], got[100:190], false)
}

// TestBadStreams: what would lose changes is told before the first is written.
func TestBadStreams(t *testing.T) {
	all := natstest.Servers(t, 1, "")
	js := natstest.Connection(t, all)
	s := newSink(t, configOf(all))
	for _, c := range []struct {
		name   string
		config *jetstream.StreamConfig
		want   string
	}{
		{"none", nil, "there is no stream ORDERS: make it, with the subject shop.orders.>"},
		{"other subjects", &jetstream.StreamConfig{Subjects: []string{"shop.*"}},
			"takes the subjects shop.*: add shop.orders.>"},
		{"read once", &jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, "its retention must be limits"},
		{"no acknowledgements", &jetstream.StreamConfig{NoAck: true}, "no_ack must be off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config != nil {
				natstest.MakeStream(t, js, *c.config)
				defer func() { _ = js.DeleteStream(t.Context(), "ORDERS") }()
			}
			_, known, err := s.Open(t.Context())
			_ = s.Close()
			if err == nil || known || !strings.Contains(err.Error(), c.want) {
				t.Errorf("known %v, %v", known, err)
			}
		})
	}
	t.Run("another's messages", func(t *testing.T) {
		natstest.MakeStream(t, js, jetstream.StreamConfig{})
		if _, err := js.Publish(t.Context(), "shop.orders.x.y", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "is not this sink's (subject shop.orders.x.y)") {
			t.Error(err)
		}
	})
	t.Run("dropped", func(t *testing.T) { // by its age, or by hand
		stream, err := js.Stream(t.Context(), "ORDERS")
		if err == nil {
			err = stream.Purge(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		if at, known, err := s.Open(t.Context()); err != nil || known {
			t.Errorf("%v, known %v, %v", at, known, err)
		}
		sinktest.Write(t, s, sinktest.Changes(3, 4)) // goes on behind the last sequence
	})
	t.Run("full", func(t *testing.T) {
		_ = js.DeleteStream(t.Context(), "ORDERS")
		natstest.MakeStream(t, js, jetstream.StreamConfig{MaxMsgs: 10, Discard: jetstream.DiscardNew})
		_ = s.Close()
		if _, _, err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		changes := sinktest.Changes(20, 4)
		err := s.Write(t.Context(), changes, changes[19].TrailPosition.Next())
		if err == nil || !strings.Contains(err.Error(), "maximum messages exceeded") {
			t.Fatal(err)
		}
		_ = s.Close()
		if at, known, err := s.Open(t.Context()); err != nil || !known || at != changes[9].TrailPosition.Next() {
			t.Errorf("%v, known %v, %v", at, known, err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		all[0].Kill()
		_ = s.Close()
		_, _, err := s.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), "connecting to NATS at "+all[0].Address) {
			t.Error(err)
		}
	})
}

// TestCredentials: who we are comes from files, read anew each time.
func TestCredentials(t *testing.T) {
	all := natstest.Servers(t, 1, `authorization { users: [
		{user: admin, password: all}, {user: shop, password: secret, permissions: {publish: ["$JS.API.>"]}}] }`)
	js := natstest.Connection(t, all, nats.UserInfo("admin", "all"))
	natstest.MakeStream(t, js, jetstream.StreamConfig{})
	file := filepath.Join(t.TempDir(), "password")
	put := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := configOf(all)
	config.User, config.PasswordFile, config.Timeout = "shop", file, time.Second
	s := newSink(t, config)
	if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without a file: %v", err)
	}
	put("wrong")
	if _, _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "Authorization") ||
		strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	put("secret")
	if _, _, err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes := sinktest.Changes(2, 5)
	err := s.Write(t.Context(), changes, changes[1].TrailPosition.Next())
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
		t.Errorf("without permission: %v", err)
	}
}

func TestValidate(t *testing.T) {
	good := Config{Servers: []string{"nats://127.0.0.1:4222"}, Stream: "ORDERS", Subject: "shop.orders",
		Format: sinktest.Format}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"at least one":                 func(c *Config) { c.Servers = nil },
		"must begin with nats://":      func(c *Config) { c.Servers = []string{"http://x:1"} },
		"must not hold a password":     func(c *Config) { c.Servers = []string{"nats://a:b@x:1"} },
		"must name a host and a port":  func(c *Config) { c.Servers = []string{"nats://x"} },
		"is over TLS, and tls is off":  func(c *Config) { c.Servers = []string{"tls://x:1"} },
		"can't name a stream":          func(c *Config) { c.Stream = "A.B" },
		"must be words":                func(c *Config) { c.Subject = "shop.>" },
		"only one of them":             func(c *Config) { c.TokenFile, c.NKeyFile = "a", "b" },
		"password_file come together":  func(c *Config) { c.User = "a" },
		"is negative":                  func(c *Config) { c.Timeout = -1 },
		"tls: it is off":               func(c *Config) { c.TLS.CA = "ca.pem" },
		"tls_key_file come together":   func(c *Config) { c.TLS.On, c.TLS.Cert = true, "cert.pem" },
		"must be a URI reference":      func(c *Config) { c.Format.Source = "" },
		"nothing says how a change be": func(c *Config) { c.Format.Data = nil },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{">", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", false},
		{"a.b", "a.b", true}, {"a.b.c", "a.b", false}, {"*.b", "a.b", true}, {"b.>", "a.b", false},
		{"a.*.c", "a.b.c", true},
	} {
		if got := covers(c.pattern, c.subject); got != c.want {
			t.Errorf("covers(%q, %q) = %v", c.pattern, c.subject, got)
		}
	}
}

// TestKills has writers and servers come and go: one server, then a cluster of three whose
// leaders are killed.
func TestKills(t *testing.T) {
	for _, c := range []struct {
		name     string
		servers  int
		changes  int
		down, up time.Duration
	}{
		{"one server", 1, 20_000, 300 * time.Millisecond, time.Second},
		{"three servers", 3, 20_000, 2 * time.Second, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			binary := natstest.Program(t)
			if testing.Short() {
				c.changes /= 4
			}
			all := natstest.Servers(t, c.servers, "")
			js := natstest.Connection(t, all)
			natstest.MakeStream(t, js, jetstream.StreamConfig{Replicas: c.servers, Duplicates: 100 * time.Millisecond})
			changes := sinktest.Changes(c.changes, 6)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			killing, stop := context.WithCancel(ctx)
			kills := make(chan int)
			go func() {
				killed := 0
				defer func() { kills <- killed }()
				wait := func(d time.Duration) bool {
					select {
					case <-killing.Done():
						return false
					case <-time.After(d/2 + rand.N(d)):
						return true
					}
				}
				for wait(c.up) {
					s := all[rand.IntN(len(all))]
					s.Kill()
					killed++
					wait(c.down)
					s.Start(t, binary)
				}
			}()
			crowd := sinktest.Crowd{Changes: changes, Seed: 7, Reign: time.Second, Batch: sinks.MaxBatch,
				Pause: 100 * time.Millisecond, New: func() sinks.Sink { return newSink(t, configOf(all)) }}
			reigns, failures := crowd.Run(ctx, t)
			stop()
			t.Logf("%d kills of servers, %d reigns, %d ways to fail", <-kills, reigns, failures)
			got, _ := natstest.Contents(t, js)
			sinktest.Check(t, changes, got, false)
		})
	}
}
