package intake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const statementHeader = "payment_id,order_no,amount,currency,kind,at\n"

// newService takes in what covers nothing: it knows no accounts.
func newService(t *testing.T) *Service {
	t.Helper()
	s := New(Config{Dir: t.TempDir(), Node: "a1", Zone: time.UTC, Leads: func() bool { return true },
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	t.Cleanup(s.Close)
	return s
}

// TestSlowStatementGivesWay: a statement that is not in when its time is over is
// given up, says so, and the next one has its turn.
func TestSlowStatementGivesWay(t *testing.T) {
	r := newService(t)
	from, to := io.Pipe()
	r.patience = -1 // over at once
	ended := make(chan error)
	go func() {
		_, err := r.Reconcile(t.Context(), from, Request{})
		ended <- err
	}()
	if _, err := io.WriteString(to, statementHeader); err != nil { // it was begun to be taken in
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrTooSlow) || errors.Is(err, ErrCutOff) {
		t.Error(err)
	}
	r.patience = patience
	_, err := r.Reconcile(t.Context(), strings.NewReader("no statement\n"), Request{})
	if !Unusable(err) {
		t.Errorf("the next one: %v", err)
	}
}

// awaited says when it is asked for more, and has some once it is there.
type awaited struct{ asked, there chan struct{} }

func (a *awaited) Read(p []byte) (int, error) {
	close(a.asked) // whoever asks again has not seen the end
	<-a.there
	return copy(p, statementHeader), nil
}

// TestCloseWaitsForStatements: a node that ends gives up what comes in with its
// next part, is not done before that, and takes nothing any more.
func TestCloseWaitsForStatements(t *testing.T) {
	r := newService(t)
	from := &awaited{make(chan struct{}), make(chan struct{})}
	ended, closed := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := r.Reconcile(t.Context(), from, Request{})
		ended <- err
	}()
	<-from.asked
	if _, err := r.Reconcile(t.Context(), strings.NewReader(""), Request{}); !errors.Is(err, ErrReconciling) {
		t.Errorf("a second one: %v", err)
	}
	go func() {
		r.Close()
		close(closed)
	}()
	<-r.ctx.Done()
	select {
	case <-closed:
		t.Error("closed while a statement comes in")
	default:
	}
	close(from.there)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-closed
	if _, err := r.Reconcile(t.Context(), strings.NewReader(statementHeader), Request{}); !errors.Is(err,
		context.Canceled) {
		t.Errorf("behind the end: %v", err)
	}
}
