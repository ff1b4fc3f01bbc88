package nodetest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"doorbuster/httpapi/warn"
)

// Ear hears what nodes warn of, and fails the test over what is not signed.
type Ear struct {
	URL    string
	secret string // file
	mu     sync.Mutex
	heard  []warn.Message
	deaf   atomic.Bool
}

// NewEar makes one that listens until the test ends.
func NewEar(t *testing.T) *Ear {
	t.Helper()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("e", 32)))
	e := &Ear{secret: filepath.Join(t.TempDir(), "ear.secret")}
	signer, err := standardwebhooks.NewWebhook(secret)
	if err == nil {
		err = os.WriteFile(e.secret, []byte(secret+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.deaf.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = signer.Verify(body, r.Header)
		}
		var m warn.Message
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			t.Errorf("a warning: %v: %s", err, body)
			return
		}
		e.mu.Lock()
		e.heard = append(e.heard, m)
		e.mu.Unlock()
	}))
	t.Cleanup(server.Close)
	e.URL = server.URL
	return e
}

// Deafen has it take nothing, or all again.
func (e *Ear) Deafen(deaf bool) { e.deaf.Store(deaf) }

// Receiver is a line of warnings.receivers.
func (e *Ear) Receiver(name, severity string) string {
	return fmt.Sprintf("    - {name: %s, url: %q, severity: %s, secret_file: %q, allow_addresses: [127.0.0.0/8]}\n",
		name, e.URL, severity, e.secret)
}

// Of gives what was heard of an alarm, "begins; over".
func (e *Ear) Of(alarm string) string {
	return e.events(func(m *warn.Message) bool { return m.Alarm == alarm })
}

// About gives what was heard of all alarms about something, such as a node.
func (e *Ear) About(what string) string {
	return e.events(func(m *warn.Message) bool { return m.About == what })
}

func (e *Ear) events(wanted func(*warn.Message) bool) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var events []string
	for _, m := range e.heard {
		if wanted(&m) {
			events = append(events, m.Event)
		}
	}
	return strings.Join(events, "; ")
}

// Last gives the last message about an alarm.
func (e *Ear) Last(alarm string) (last warn.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.heard {
		if m.Alarm == alarm {
			last = m
		}
	}
	return last
}
