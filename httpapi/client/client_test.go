package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"doorbuster/httpapi/wire"
)

// asking makes a client of a node that answers by handle.
func asking(t *testing.T, handle http.HandlerFunc) *Client {
	t.Helper()
	node := httptest.NewServer(handle)
	t.Cleanup(node.Close)
	c, err := New(Config{Addr: node.URL, Token: "t", Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAChangeIsInsistedOn: where no whole answer comes, it is asked for again with the
// same key and the same body.
func TestAChangeIsInsistedOn(t *testing.T) {
	keys, bodies := []string{}, []string{}
	c := asking(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(body))
		switch len(keys) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = io.WriteString(w, `{"stock":7}`)
		}
	})
	counts, err := c.AddStock(t.Context(), "day", "mask", 7, "more")
	if err != nil || counts.Stock != 7 || len(keys) != 3 {
		t.Fatalf("%+v, %v, after %d tries", counts, err, len(keys))
	}
	for i := range keys {
		if keys[i] == "" || keys[i] != keys[0] || bodies[i] != `{"note":"more","units":7}` {
			t.Errorf("try %d: key %q, body %s", i, keys[i], bodies[i])
		}
	}
}

// TestWhatIsNotAskedAgain: reading, and what was refused for good.
func TestWhatIsNotAskedAgain(t *testing.T) {
	var asked atomic.Int32 // handlers run beside the test
	c := asking(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Method == http.MethodGet {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, `{"title":"t","status":422,"detail":"d.",
			"problems":[{"path":"sales[x]","message":"bad\u001b"}]}`)
	})
	if _, err := c.Switches(t.Context()); err == nil || errors.Is(err, ErrUnheard) || asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	_, err := c.ApplyPlan(t.Context(), []byte("x"), false)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Status != 422 || len(refused.Problem.Problems) != 1 || asked.Load() != 2 ||
		!strings.HasSuffix(err.Error(), ` refused this (422): d`+"\n"+`  "sales[x]: bad\x1b"`) {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

// TestNobodyElseGetsTheToken: no redirect is followed.
func TestNobodyElseGetsTheToken(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer other.Close()
	c := asking(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			t.Error(r.Header)
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Cluster(t.Context()); !errors.As(err, new(*Refused)) {
		t.Error(err)
	}
}

// TestAListIsSent: its progress is told, and it is sent again from its beginning where
// nothing was heard.
func TestAListIsSent(t *testing.T) {
	var asked atomic.Int32 // handlers run beside the test
	c := asking(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Add(1)
		if string(body) != "ann\nbob\n" || r.URL.String() != "/admin/v1/risk/shoppers?level=watch&note=why" {
			t.Errorf("sent %s %q", r.URL, body)
		}
		_, _ = io.WriteString(w, "{\"committed\":1,\"of\":2}\n")
		if asked.Load() == 1 {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"list":"risk/shoppers","action":"change","rows":2,"count":2}`+"\n")
	})
	var progress []wire.ImportProgress
	done, err := c.SendList(t.Context(), "risk/shoppers", SendList{Body: strings.NewReader("ann\nbob\n"), Size: 8,
		Type: "text/plain", Level: "watch", Note: "why",
		Progress: func(p wire.ImportProgress) { progress = append(progress, p) }})
	if err != nil || done.Rows != 2 || asked.Load() != 2 || len(progress) != 2 ||
		progress[0] != (wire.ImportProgress{Committed: 1, Of: 2}) {
		t.Errorf("%+v, %v, %v, asked %d times", done, err, progress, asked.Load())
	}
}

// TestADownloadThatFallsStill ends once nothing has come for the timeout.
func TestADownloadThatFallsStill(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer node.Close()
	c, err := New(Config{Addr: node.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	to, err := os.Create(filepath.Join(t.TempDir(), "list"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	err = c.ExportList(t.Context(), "allowlists/vips", "csv", to)
	if err == nil || !strings.Contains(err.Error(), "no answer from") {
		t.Error(err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "ftp://x", "http://x/path", "http://"} {
		_, err := New(Config{Addr: addr, Names: Names{Addr: "--admin"}})
		if err == nil || !strings.Contains(err.Error(), "--admin") {
			t.Errorf("%q: %v", addr, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := New(Config{Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Order(ctx, "X"); err == nil || errors.Is(err, ErrUnheard) {
		t.Error(err)
	}
}
