// Package natstest runs real servers of NATS for tests, kills them, and reads what streams have.
package natstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"doorbuster/httpapi/sinks/sinktest"
)

// Program is the real server; make tools installs it.
func Program(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"nats-server", "/usr/sbin/nats-server"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skip("nats-server is not installed (make tools installs it)")
	return ""
}

// Server is one process of a cluster of NATS.
type Server struct {
	Address     string // nats://HOST:PORT
	config, log string

	mu  sync.Mutex
	run *exec.Cmd
}

// Servers starts n servers with JetStream, in one cluster if there are several. more is put
// into each one's configuration.
func Servers(t *testing.T, n int, more string) []*Server {
	t.Helper()
	binary := Program(t)
	dir := t.TempDir()
	ports := freePorts(t, 2*n)
	var routes []string
	for i := range n {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+i]))
	}
	all := make([]*Server, n)
	for i := range n {
		config := fmt.Sprintf("server_name: n%d\nhost: 127.0.0.1\nport: %d\njetstream { store_dir: %q }\n%s\n",
			i, ports[i], filepath.Join(dir, fmt.Sprint("store", i)), more)
		if n > 1 {
			config += fmt.Sprintf("cluster { name: test, host: 127.0.0.1, port: %d, routes: [%s] }\n", ports[n+i],
				strings.Join(routes, ", "))
		}
		s := &Server{config: filepath.Join(dir, fmt.Sprintf("n%d.conf", i)),
			log:     filepath.Join(dir, fmt.Sprintf("n%d.log", i)),
			Address: fmt.Sprintf("nats://127.0.0.1:%d", ports[i])}
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		all[i] = s
		s.Start(t, binary)
		t.Cleanup(func() {
			s.Kill()
			if t.Failed() {
				if b, err := os.ReadFile(s.log); err == nil {
					t.Logf("the last words of %s:\n%s", s.config, b[max(0, len(b)-2000):])
				}
			}
		})
	}
	return all
}

// Start starts the process, for the first time or after Kill.
func (s *Server) Start(t *testing.T, binary string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = exec.Command(binary, "-c", s.config, "-l", s.log)
	if err := s.run.Start(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the process as kill -9 does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		_ = s.run.Process.Kill()
		_ = s.run.Wait()
		s.run = nil
	}
}

// Addresses are where servers listen.
func Addresses(all []*Server) (to []string) {
	for _, s := range all {
		to = append(to, s.Address)
	}
	return to
}

func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Until tries until it succeeds, or fails the test.
func Until(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		once, done := context.WithTimeout(ctx, 5*time.Second)
		err := try(once)
		done()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Connection is a test's own.
func Connection(t *testing.T, all []*Server, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	var conn *nats.Conn
	Until(t, "connecting", func(context.Context) (err error) {
		conn, err = nats.Connect(strings.Join(Addresses(all), ","), append(options, nats.MaxReconnects(-1))...)
		return err
	})
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// MakeStream makes the stream that sinks of these tests write to.
func MakeStream(t *testing.T, js jetstream.JetStream, config jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	if config.Name == "" {
		config.Name = "ORDERS"
	}
	if config.Subjects == nil {
		config.Subjects = []string{"shop.orders.>"}
	}
	var stream jetstream.Stream
	Until(t, "making a stream", func(ctx context.Context) (err error) {
		stream, err = js.CreateStream(ctx, config)
		return err
	})
	return stream
}

// Contents reads the whole stream.
func Contents(t *testing.T, js jetstream.JetStream) (got []sinktest.Got, messages []*nats.Msg) {
	t.Helper()
	Until(t, "reading the stream", func(ctx context.Context) error {
		got, messages = nil, nil
		stream, err := js.Stream(ctx, "ORDERS")
		if err != nil {
			return err
		}
		state := stream.CachedInfo().State
		if state.Msgs == 0 {
			return nil
		}
		reader, err := js.OrderedConsumer(ctx, "ORDERS", jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		for last := uint64(0); last < state.LastSeq; {
			batch, err := reader.Fetch(1000, jetstream.FetchMaxWait(time.Second))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				var event struct{ ID, Subject string }
				if err := json.Unmarshal(m.Data(), &event); err != nil {
					return err
				}
				meta, err := m.Metadata()
				if err != nil {
					return err
				}
				if meta.Sequence.Stream <= last {
					continue // an ordered consumer may read a message again when its server went away
				}
				last = meta.Sequence.Stream
				got = append(got, sinktest.Got{ID: event.ID, Key: event.Subject})
				messages = append(messages, &nats.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
			}
			if batch.Error() != nil {
				return batch.Error()
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	return got, messages
}
