package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"doorbuster/httpapi"
)

// TestSlowStatementGivesWay: a statement that is not in when its time is over is
// given up, says so, and the next one has its turn.
func TestSlowStatementGivesWay(t *testing.T) {
	r := copying(t, nil)
	from, to := io.Pipe()
	r.patience = -1 // over at once
	ended := make(chan error)
	go func() {
		_, err := r.Reconcile(context.Background(), from, httpapi.StatementRequest{})
		ended <- err
	}()
	if _, err := io.WriteString(to, statementHeader); err != nil { // it was begun to be taken in
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, httpapi.ErrTooSlow) || errors.Is(err, httpapi.ErrCutOff) {
		t.Error(err)
	}
	r.patience = statementPatience
	_, err := r.Reconcile(context.Background(), strings.NewReader("no statement\n"), httpapi.StatementRequest{})
	if !isMalformed(err) {
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
	r := copying(t, nil)
	from := &awaited{make(chan struct{}), make(chan struct{})}
	ended, closed := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := r.Reconcile(context.Background(), from, httpapi.StatementRequest{})
		ended <- err
	}()
	<-from.asked
	if _, err := r.Reconcile(context.Background(), strings.NewReader(""), httpapi.StatementRequest{}); !errors.Is(err, httpapi.ErrReconciling) {
		t.Errorf("a second one: %v", err)
	}
	go func() {
		r.close()
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
	if _, err := r.Reconcile(context.Background(), strings.NewReader(statementHeader), httpapi.StatementRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("behind the end: %v", err)
	}
}
