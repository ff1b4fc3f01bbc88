package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"doorbuster/httpapi/reconcile"
	"doorbuster/httpapi/reconcile/archive"
	"doorbuster/httpapi/reconcile/intake"
)

// pacePatience is what the streaming routes have with the other side in tests; a
// slow one takes longer as a whole, and moves many times within it.
const (
	pacePatience = time.Second
	paceStep     = 40 * time.Millisecond
	paceSteps    = 40
	pacePiece    = 16 << 10
)

// longDesk keeps one report, which is long, and takes statements in.
type longDesk struct{}

func (longDesk) SetAside(context.Context, archive.SetAside) (*reconcile.Report, error) {
	return nil, archive.ErrNoReport
}

func (longDesk) Reconcile(_ context.Context, from io.Reader, _ intake.Request) (*reconcile.Report, error) {
	if _, err := io.Copy(io.Discard, from); err != nil {
		return nil, fmt.Errorf("%w: %w", intake.ErrCutOff, err)
	}
	return &reconcile.Report{ID: "r"}, nil
}

func (longDesk) Reports(context.Context) ([]reconcile.Report, []archive.SilentNode, error) {
	return nil, nil, nil
}

func (longDesk) Report(ctx context.Context, id string) (*reconcile.Report, *archive.Findings, error) {
	text := strings.Repeat(`{"line":1,"kind":"missing","open":true,"says":"`+strings.Repeat("x", 200)+`"}`+"\n", 3500)
	return &reconcile.Report{ID: id}, archive.NewFindings(io.NopCloser(&untilDone{ctx, strings.NewReader(text)})), nil
}

// untilDone is read from another node, as long as somebody waits for it.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(p[:min(len(p), 4096)])
}

// narrowListener gives connections that hold little which nobody has read.
type narrowListener struct{ net.Listener }

func (l narrowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	return c, err
}

// paced serves an operations API that has little patience, and tells of each
// request that has ended.
func pacedAdmin(t *testing.T) (address string, ended <-chan struct{}) {
	api := newTestAdmin(t, longLists(), func(c *AdminConfig) {
		c.Patience, c.RequestTimeout, c.Reconciler = pacePatience, 20*time.Millisecond, longDesk{}
		c.Operations = &fakeOperations{text: strings.Repeat("x", 1<<20)}
	})
	done := make(chan struct{}, 16)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { done <- struct{}{} }()
		api.ServeHTTP(w, r)
	}))
	s.Listener = narrowListener{s.Listener}
	s.Config.ReadTimeout, s.Config.WriteTimeout = pacePatience, pacePatience // as NewAdmin has them, in small
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), done
}

func dialNarrow(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDownloadsLiveByProgress: whoever takes a long answer slowly gets all of it,
// however long that takes; whoever stops taking it is cut off.
func TestDownloadsLiveByProgress(t *testing.T) {
	for _, path := range []string{
		"/admin/v1/risk/shoppers?format=csv", "/admin/v1/risk/shoppers?format=ndjson",
		"/admin/v1/allowlists/vips?format=csv",
		"/admin/v1/sessions/a/skus/b/reservations?format=csv", "/admin/v1/sessions/a/skus/b/draw?format=ndjson",
		"/admin/v1/reconciliations/r", "/admin/v1/reconciliations/r?format=csv", "/admin/v1/cluster/backup",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			address, ended := pacedAdmin(t)
			ask := func() net.Conn {
				c := dialNarrow(t, address)
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address)
				return c
			}
			slow := ask()
			var got bytes.Buffer
			for range paceSteps {
				if _, err := io.CopyN(&got, slow, pacePiece); err != nil && !errors.Is(err, io.EOF) {
					t.Fatalf("after %d bytes: %v", got.Len(), err)
				}
				time.Sleep(paceStep) // this reader's pace
			}
			if _, err := io.Copy(&got, slow); err != nil {
				t.Fatalf("after %d bytes: %v", got.Len(), err)
			}
			if !bytes.HasPrefix(got.Bytes(), []byte("HTTP/1.1 200")) ||
				!bytes.HasSuffix(got.Bytes(), []byte("0\r\n\r\n")) {
				t.Errorf("%.80q … %q, %d bytes", got.Bytes(), got.Bytes()[got.Len()-20:], got.Len())
			}
			<-ended
			ask() // and take nothing
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("one that takes nothing is served for ever")
			}
		})
	}
}

// TestUploadsLiveByProgress: a long body that comes slowly is taken, and its answer
// heard; one that stops coming is given up.
func TestUploadsLiveByProgress(t *testing.T) {
	for _, c := range []struct{ method, path, kind string }{
		{"PUT", "/admin/v1/risk/shoppers", "text/plain"}, {"PATCH", "/admin/v1/allowlists/vips", "text/plain"},
		{"PUT", "/admin/v1/sessions/a/skus/b/reservations", "text/plain"}, {"POST", "/admin/v1/reconciliations",
			"text/csv"},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			t.Parallel()
			address, ended := pacedAdmin(t)
			begin := func() net.Conn {
				conn := dialNarrow(t, address)
				fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: "+
					"%s\r\nContent-Length: %d\r\n\r\n", c.method, c.path, address, c.kind, 8*paceSteps)
				return conn
			}
			slow := begin()
			for i := range paceSteps {
				fmt.Fprintf(slow, "s%06d\n", i)
				time.Sleep(paceStep) // this sender's pace
			}
			answer, err := io.ReadAll(slow)
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
				t.Errorf("%v: %.300s", err, answer)
			}
			<-ended
			stalled := begin()
			fmt.Fprint(stalled, "half\n")
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Error("one that sends nothing is waited for for ever")
			}
		})
	}
}
